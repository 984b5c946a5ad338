"""Claims about training: numbers of logs compared over seeds, and the best of several draws."""

import math

import numpy as np
import pytest
from scipy.stats import t

from vsr_kit.claims import Claim
from vsr_kit.claims.recipe import BENCH_SET, SAMPLES, Recipe, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, gain
from vsr_kit.claims.training_measures import (
    change,
    first_mean,
    last_mean,
    log_mean,
    log_minus,
    pass_at_minus,
    values_of,
    welch,
)
from vsr_kit.study import citations, judge
from vsr_kit.study.evidence import Evidence

LOG = [{"step": i, "reward": float(i)} for i in range(1, 7)] + [{"train_runtime": 3.0}]


def test_readers_make_one_number_of_a_log():
    assert values_of(LOG, "reward") == [1, 2, 3, 4, 5, 6]
    assert last_mean("reward", 2, scale=100)(LOG) == 550
    assert first_mean("reward", 2, scale=100)(LOG) == 150
    assert change("reward", 2)(LOG) == 5.5 - 1.5
    with pytest.raises(ValueError, match="no step of the log has 'kl': choose a number that the run logged"):
        last_mean("kl", 2)(LOG)
    with pytest.raises(ValueError, match="steps is 0"):
        change("reward", 0)
    with pytest.raises(ValueError, match="steps is 0"):
        first_mean("reward", 0)


class Logs:
    """Evidence that has logs alone: a reward that ends at these heights, one a seed."""

    def __init__(self, **ends):
        self.ends = ends

    def curves(self, of):
        return [[{"reward": 0.0}, {"reward": end}] for end in self.ends[of]]


def test_runs_of_two_variants_are_compared_by_welchs_interval():
    after, before = [5.0, 6.0, 7.0], [1.0, 1.5, 2.0]
    (found,) = log_minus("gain", "a", "b", last_mean("reward", 1))(Logs(a=after, b=before)).values()
    parts = [np.var(side, ddof=1) / 3 for side in (after, before)]
    freedom = sum(parts) ** 2 / sum(part**2 / 2 for part in parts)
    reach = t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert found.mean == 4.5 and found.student == (found.low, found.high) and found.seeds == (3, 3)
    assert np.allclose((found.low, found.high), (4.5 - reach, 4.5 + reach))


def test_one_run_has_no_spread_and_equal_runs_have_none_to_draw():
    with pytest.raises(ValueError, match="1 run has no spread: give runs of at least 2 seeds"):
        welch([1.0], [1.0, 2.0])
    same = welch([2.0, 2.0], [1.0, 1.0])
    assert (same.low, same.mean, same.high, same.unit) == (1.0, 1.0, 1.0, "points")


def test_a_mean_over_runs_has_students_interval():
    (found,) = log_mean("level", "a", last_mean("reward", 1))(Logs(a=[1.0, 3.0])).values()
    assert found.mean == 2 and np.allclose(found.low, 2 - t.ppf(0.975, 1) * 1.0) and found.seeds == (2,)


def row(number, said):
    own = {"dataset": "made", "scene_name": f"room{number}", "id": number, "question_type": "object_counting"}
    return {**own, "ground_truth": "2", "options": None, "prediction": said}


def test_the_best_of_several_draws_is_compared_question_by_question():
    always, once = ["2", "2"], ["2", "7"]

    class Draws:
        def draws(self, of, questions=None, mode=None):
            assert questions == "set"
            said = {"a": [always, once], "b": [once, once]}[of]
            return [[[row(number, own[draw]) for number, own in enumerate(said)] for draw in range(2)]]

    def best(k):
        return pass_at_minus("more", "a", "b", k, task="overall", questions="set")(Draws())["more"].mean

    wrong = 50 * (1 - 1.0)  # counts are graded: 7 for 2 earns nothing
    assert best(2) == 0  # every question has a right draw on both sides
    assert best(1) == pytest.approx((100 + 50 + wrong) / 2 - 50)


def test_a_variants_sampled_passes_are_among_its_conditions_and_its_sets():
    known = Variant("tiny-drawn", "tiny", asked=(), sampled=(("mine", "vanilla"),), cap=32)
    (drawn,) = known.conditions(2)
    assert drawn.name == f"mine--tiny-drawn-seed2--vanilla--sampled{SAMPLES}--own--cap32"
    assert "mine" in Recipe("tiny", "about", (known,)).sets
    with pytest.raises(ValueError, match=r"variant 'x' is sampled \('mine',\): give \(question set, vanilla or"):
        Variant("x", "tiny", sampled=(("mine",),))


def test_the_shipped_study_has_the_bases_draws(monkeypatch):
    (draws,) = Evidence().draws("base", mode="think")
    assert len(draws) == SAMPLES and len({len(rows) for rows in draws}) == 1
    seen = []
    monkeypatch.setattr("vsr_kit.study.evidence.read_samples", lambda condition, folder: seen.append(condition) or [])
    assert Evidence().draws("grpo-vanilla") == [[]] * 5
    assert {(c.questions, c.samples, c.mode) for c in seen} == {(BENCH_SET, SAMPLES, "vanilla")}
    with pytest.raises(FileNotFoundError, match="holds no runs of kl-0-ten"):
        Evidence().draws("kl-0-ten")


def test_a_claim_that_no_single_answer_shows_cites_none(monkeypatch):
    claim = type("Known", (), {"measure": staticmethod(lambda evidence: {}), "geometry_only": False, "name": "x"})
    monkeypatch.setattr(citations, "claim", lambda name: claim)
    assert citations.cited("x").none.startswith("It compares numbers over many draws")


def test_a_difference_of_logs_is_told_in_its_unit_over_runs_and_training_rooms(monkeypatch):
    known = Claim(
        name="longer",
        says="It grows.",
        source="a test",
        measured="length",
        rule=GAIN_BY_STUDENT,
        decide=gain("longer", by="student"),
        measure=log_minus("longer", "grpo-vanilla", "grpo-think", last_mean("step", 1), unit="tokens"),
        caveat="",
        needs=("grpo-vanilla", "grpo-think"),
    )
    monkeypatch.setattr(judge, "claim", lambda name: known)
    monkeypatch.setattr(Evidence, "curves", lambda self, of: [[{"step": end}] for end in (3, 5, 4)[: len(of) - 8]])
    told = str(judge.verdict("longer"))
    assert told.startswith("longer: +0 tokens (") and "; 5 runs, 3 and 2 seeds)" in told, told
    assert "UNDECIDED" in told and "trained on 400 procedural rooms" in told
