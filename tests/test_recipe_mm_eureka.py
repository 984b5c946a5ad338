"""MM-Eureka's recipe: which groups its filter keeps, what is paid, and what training adds where the base fails."""

from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from vsr_kit.claims.training_measures import reached_minus_luck, right_draws
from vsr_kit.cli import app
from vsr_kit.recipes import mm_eureka, variant
from vsr_kit.recipes.mm_eureka import PAID_BARE, PAID_TAGGED, RECIPE, eureka, group_accuracy, useful
from vsr_kit.rewards import right_reward
from vsr_kit.runs import RunFolder
from vsr_kit.study.runner import plan
from vsr_kit.study.staleness import settings_of
from vsr_kit.training.phases import Given
from vsr_kit.training.profiles import get_profile


@pytest.mark.parametrize(
    "right, of, counts",
    [(0, 8, False), (1, 8, True), (7, 8, True), (8, 8, False), (1, 16, False), (2, 16, True), (15, 16, False)],
)
def test_a_group_counts_from_a_tenth_to_nine_tenths_right(right, of, counts):
    assert useful([1.0] * right + [0.0] * (of - right)) is counts
    tagged = [1.5] * right + [0.5] * (of - right)  # all have the format: the accuracy is the same
    assert useful(torch.tensor(tagged)) is counts


def test_a_format_without_an_answer_is_not_right_and_nothing_is_neither():
    assert group_accuracy([0.5, 0.5, 1.0, 1.5]) == 0.5
    assert group_accuracy([None, float("nan"), 1.0, 1.0]) == 0.5


def test_a_right_answer_is_paid_whatever_its_tags():
    columns = {"question_type": ["object_abs_distance"] * 4, "ground_truth": ["2.0"] * 4}
    said = ["2.5", "2.6", "<think> a </think> <answer> 1.9 </answer>", "none"]
    assert right_reward(said, **columns) == [1.0, 0.0, 1.0, 0.0]  # within a quarter of two metres
    counts = {"question_type": ["object_counting"] * 2, "ground_truth": ["4"] * 2}
    assert right_reward(["4", "5"], **counts) == [1.0, 0.0]


def paid(method, stage):
    functions, weights = method.reward_funcs("paper")
    names = dict(zip((function.__name__ for function in functions), weights, strict=True))
    return {name: weight for name, weight in (names | stage.rewards).items() if weight}


def test_accuracy_and_half_of_the_format_are_paid_and_nothing_else():
    assert paid(eureka("vanilla", PAID_BARE), PAID_BARE) == {"right_reward": 1}
    assert paid(eureka("think", PAID_TAGGED), PAID_TAGGED) == {"right_reward": 1, "format_reward": 0.5}


def test_the_ratio_is_cut_at_three_and_the_cut_is_recorded(tmp_path):
    method = eureka("vanilla", PAID_BARE)
    assert method.config(get_profile("mini"), output_dir=tmp_path, seed=0).delta == 3
    assert method.settings()["delta"] == 3
    assert replace(method, delta=None).config(get_profile("mini"), output_dir=tmp_path, seed=0).delta is None


def test_the_arms_differ_in_the_filter_and_in_updates_that_make_up_for_its_tokens():
    kept, plain = (settings_of(variant(name)) for name in ("eureka-filter", "eureka-plain"))
    assert {name for name in kept.keys() | plain.keys() if kept.get(name) != plain.get(name)} == {"keep_group", "steps"}
    assert (kept["steps"] * mm_eureka.DRAWN, plain["steps"], plain["beta"]) == (240, 240, 0)
    assert len(plan(["mm-eureka"])) == 1 + 2 * 5


def test_the_phase_needs_no_chains_and_has_no_reference():
    (phase,) = RECIPE.phases
    method, changes = phase.plan(Given(get_profile("mini"), 7, {}, 0.0))
    assert (changes["steps"], changes["beta"], method.mode, method.keep_group) == (7, 0, "think", useful)
    assert not phase.needs_chains


# -- questions that the base never gets right --------------------------------------------------------------------------


def draw(*said):
    """Answers to questions about two rooms, whose truth is 2."""
    return [
        {"dataset": "made", "scene_name": f"room{i}", "id": i, "question_type": "object_counting"}
        | {"ground_truth": "2", "options": None, "question": "", "prediction": own}
        for i, own in enumerate(said)
    ]


class Draws:
    """Base: question 0 is right at once, 1 and 2 are missed twice, of which 2 comes right later by luck alone."""

    base = (draw("2", "7", "7"), draw("7", "7", "7"), draw("2", "7", "2"), draw("2", "7", "7"))
    trained = (draw("7", "2", "7"), draw("7", "2", "7"), draw("7", "7", "7"), draw("7", "7", "7"))

    def test_set(self, of):
        return "set"

    def draws(self, of, questions=None, mode=None):
        return [self.base] if of == "base" else [self.trained, self.trained]


def test_right_draws_are_counted_by_question_in_their_order():
    assert [right for _, right in right_draws(Draws.base).values()] == [
        [True, False, True, True],
        [False] * 4,
        [False, False, True, False],
    ]


def test_what_the_base_misses_is_held_against_its_own_luck():
    (found,) = reached_minus_luck("reached", "a", 2, "overall")(Draws()).values()
    # Of question 1 two of four draws are right: two of them hold one but for one choice in six; luck had none.
    # Of question 2 none is; luck had one. Question 0, which the base gets right, is not asked.
    assert found.n == 2 and found.mean == pytest.approx(100 * ((5 / 6 - 0) + (0 - 1)) / 2)


def test_more_tries_than_half_of_the_bases_draws_are_refused():
    with pytest.raises(ValueError, match="the base has 4 draws, 3 tries need 6: ask for fewer tries"):
        reached_minus_luck("reached", "a", 3, "overall")(Draws())


@pytest.mark.slow
def test_the_command_trains_it(tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    words = ("train", "--recipe", "mm-eureka", "--rooms", "2", "--per-room", "2", "--steps", "2")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (found,) = tmp_path.glob("*/*-filtered/config.json")
    rows = [row for row in RunFolder.open(found.parent).read_metrics() if "loss" in row]
    assert len(rows) == 2 and all(row["groups/sampled"] >= 1 and "rewards/right_reward/mean" in row for row in rows)
    paid = rows[0]["rewards/right_reward/mean"] + 0.5 * rows[0]["rewards/format_reward/mean"]
    assert rows[0]["reward"] == pytest.approx(paid, abs=1e-5) and rows[0].get("kl") is None
