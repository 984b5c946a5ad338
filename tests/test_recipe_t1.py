"""T1: the penalty and the factors' effects on cases worked by hand, the half grid, and a training with all parts."""

import json
import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import t
from typer.testing import CliRunner

from vsr_kit import recipes
from vsr_kit.claims.factor_measures import factor_draws, factor_effects, factor_logs
from vsr_kit.claims.training_measures import last_mean
from vsr_kit.cli import app
from vsr_kit.evaluation import load_questions
from vsr_kit.recipes import t1
from vsr_kit.rewards import waste_reward
from vsr_kit.rewards.waste import repeats
from vsr_kit.runs import RunFolder
from vsr_kit.training.profiles import get_profile

# -- the penalty -------------------------------------------------------------------------------------------------------


def test_what_reaches_its_cap_or_repeats_itself_loses_one():
    said = ["left", "left left", "two", "left left left left left left left left", "<think>a</think> <think>b</think>"]
    ids = [[1], [1, 1], [1, 2, 3, 4], [1], [1]]
    assert waste_reward("think", 4)(said, completion_ids=ids) == [0.0, 0.0, -1.0, -1.0, -1.0]
    assert waste_reward("vanilla", 4)(said, completion_ids=ids) == [
        0.0,
        0.0,
        -1.0,
        -1.0,
        0.0,
    ]  # no tags to repeat there
    turns = [[{"role": "assistant", "content": said[3]}]]
    assert waste_reward("vanilla", 4)(turns, completion_ids=[[1]]) == [-1.0]


@pytest.mark.parametrize(
    "said, is_so",
    [
        ("one " * 7, False),  # seven words are few
        ("one " * 8, True),
        ("one two three " + "one " * 5, False),  # three different of eight: more than a third
        ("one two " + "one " * 6, True),
        ("one two three four five six seven eight", False),
    ],
)
def test_a_text_repeats_itself_if_fewer_than_a_third_of_eight_words_differ(said, is_so):
    assert repeats(said, "vanilla") is is_so


@pytest.mark.parametrize(
    "how, told", [(("cot", 4), "unknown mode 'cot'"), (("think", 0), "cap is 0"), (("think", 1.5), "cap is 1.5")]
)
def test_a_penalty_that_nothing_can_have_is_refused(how, told):
    with pytest.raises(ValueError, match=told):
        waste_reward(*how)


# -- effects of factors ------------------------------------------------------------------------------------------------


def row(number, said):
    own = {"dataset": "made", "scene_name": f"room{number}", "id": number, "question_type": "object_counting"}
    return {**own, "ground_truth": "2", "options": None, "prediction": said}


class Grid:
    """Evidence of four variants, two runs each: how many of ten rooms each run answers rightly, and a log."""

    def __init__(self):
        self.right = {"a": (2, 3), "b": (4, 5), "c": (5, 6), "d": (9, 10)}

    def trained(self, of):
        return [[row(number, "2" if number < right else "9") for number in range(10)] for right in self.right[of]]

    def draws(self, of, questions=None):
        return [[[row(number, "9") for number in range(10)], own] for own in self.trained(of)]

    def curves(self, of):
        return [[{"entropy": 9.0}, {"entropy": right / 10}] for right in self.right[of]]


FACTORS = {"first": (("b", "d"), ("a", "c")), "second": (("c", "d"), ("a", "b"))}


def test_a_factor_adds_what_all_runs_with_it_have_more_than_all_without():
    found = factor_effects(FACTORS, task="overall")(Grid())
    assert found["first"].mean == pytest.approx(100 * ((4 + 5 + 9 + 10) - (2 + 3 + 5 + 6)) / 40)
    assert found["second"].mean == pytest.approx(100 * ((5 + 6 + 9 + 10) - (2 + 3 + 4 + 5)) / 40)
    assert found["first"].seeds == (4, 4)
    drawn = factor_draws(FACTORS, 2, task="overall")(Grid())  # of both draws one is the greedy answer, the other wrong
    assert drawn.keys() == {"first_best_of_2", "second_best_of_2"}
    assert drawn["first_best_of_2"].mean == pytest.approx(found["first"].mean)
    once = factor_draws(FACTORS, 1, task="overall")(Grid())
    assert once["first_best_of_1"].mean == pytest.approx(found["first"].mean / 2)


def test_a_factor_in_a_log_has_welchs_interval_over_all_its_runs():
    (found,) = factor_logs({"first": FACTORS["first"]}, last_mean("entropy", 1), "", "nats")(Grid()).values()
    sides = np.array([0.4, 0.5, 0.9, 1.0]), np.array([0.2, 0.3, 0.5, 0.6])
    parts = [side.var(ddof=1) / 4 for side in sides]
    freedom = sum(parts) ** 2 / sum(part**2 / 3 for part in parts)
    reach = t.ppf(0.975, freedom) * math.sqrt(sum(parts))
    assert found.unit == "nats" and found.mean == pytest.approx(0.3)
    assert found.student == pytest.approx((0.3 - reach, 0.3 + reach))


# -- the recipe --------------------------------------------------------------------------------------------------------


def settings(name):
    """A variant's three factors: samples of a question, temperature, weight of the bonus."""
    known = recipes.variant(name)
    stages = known.trained_by.stages
    return known.profile.num_generations, stages[0].temperature if stages else 1.0, known.trained_by.entropy_bonus


def test_every_factor_is_high_in_two_variants_and_low_in_two_whatever_the_others_are():
    levels = {v.name: settings(v.name) for v in t1.VARIANTS}
    assert sorted(levels.values()) == [(8, 1.0, 0.05), (8, 1.2, 0.0), (32, 1.0, 0.0), (32, 1.2, 0.05)]
    for place, (high, low) in enumerate(t1.FACTORS.values()):
        assert {*high, *low} == levels.keys()
        assert min(levels[of][place] for of in high) > max(levels[of][place] for of in low)
    for a, b in combinations(range(3), 2):  # no two factors go together: all four pairs of levels occur
        assert len({(own[a], own[b]) for own in levels.values()}) == 4


def test_all_variants_draw_as_many_rollouts_as_plain_grpo_and_differ_from_it_as_told():
    plain = recipes.variant("grpo-vanilla")
    for known in t1.VARIANTS:
        own, other = known.profile, plain.profile
        assert own.questions_per_step * own.num_generations == other.questions_per_step * other.num_generations == 64
        sized = {"questions_per_step": 8, "groups_per_pass": 8, "num_generations": 8, "beta": other.beta}
        assert replace(own, **sized) == other and own.beta == 1e-2
        recorded = known.trained_by.settings()
        assert recorded["reference"] == {"kind": "Ema", "decay": 0.99}
        assert recorded["rewards"][0]["cap"] == own.max_vanilla_tokens and recorded["rewards"][0]["mode"] == "vanilla"
        json.dumps(recorded)
    told = [claim for claim in t1.CLAIMS if "t1-hot" in claim.needs]
    assert len(told) == 2 and all("two variants of three runs each" in claim.caveat for claim in told)
    assert t1.RECIPE in recipes.RECIPES and t1.RECIPE.system.source in t1.PAPER
    assert {c.cap for c in t1.BASE if c.mode == "think"} == set(t1.BUDGETS)


def test_a_larger_budget_adds_what_its_answers_have_more():
    asked = []

    class Cut:
        def base(self, mode, questions, model, cap, prompt_set):
            asked.append((mode, questions, model, cap, prompt_set))
            right = {64: 1, 136: 4, 272: 6, 544: 6}[cap] if mode == "think" else 5
            kinds = ["object_counting", "object_abs_distance", "object_size_estimation", "room_size_estimation"]
            rows = [
                row(n, "2" if n < right else "9") | {"id": (n, k), "question_type": k} for n in range(10) for k in kinds
            ]
            far = [
                row(n, "left" if n < right else "right") | {"id": (n, k), "question_type": k, "ground_truth": "left"}
                for n in range(10)
                for k in ("object_rel_direction_easy",)
            ]
            near = [
                row(n, "tv" if n < right else "bed")
                | {"id": (n, "near"), "question_type": "object_rel_distance"}
                | {"ground_truth": "tv", "question": "Which of these objects (tv, bed) is the closest to the door?"}
                for n in range(10)
            ]
            return [*rows, *far, *near]

    found = t1.budget_gains(Cut())
    gains = {name: round(own.mean, 6) for name, own in found.items()}
    assert gains == {
        **{"to_136": 30.0, "to_272": 20.0, "to_544": 0.0},
        **{"64_minus_glance": -40.0, "136_minus_glance": -10.0, "272_minus_glance": 10.0, "544_minus_glance": 10.0},
    }
    assert {own[1:3] for own in asked} == {("test-vsi-100k", "mini-cold-start")} and {own[4] for own in asked} == {
        "train"
    }
    budget = next(claim for claim in t1.CLAIMS if claim.name == "thinking-budget-pays")
    assert budget.decide(found) == "not reproduced"  # the last doubling adds nothing


@pytest.mark.slow
def test_two_steps_with_all_parts_are_hot_pay_the_bonus_and_move_the_reference(tmp_path):
    from vsr_kit.training.run import train

    asked = load_questions(2, split="train", phrasing="vsi-100k", per_room=2, num_frames=2, size_px=56)
    sizes = {"questions_per_step": 2, "groups_per_pass": 2, "num_generations": 8, "num_frames": 2, "size_px": 56}
    profile = replace(get_profile("mini"), **sizes, beta=t1.BETA, max_vanilla_tokens=1)
    run, logs = RunFolder.create("full", root=tmp_path), []
    how = t1.explorer("vanilla", profile.max_vanilla_tokens, t1.HOT, t1.BONUS)
    train(profile, how, asked, run=run, steps=2, seed=1, on_log=logs.append, quiet=True)
    steps = [log for log in logs if "reward" in log]
    assert [log["entropy_coef"] for log in steps] == [t1.BONUS] * 2 and all(log["stage"] == 1 for log in steps)
    assert all(log["rewards/waste_penalty/mean"] == -1 for log in steps)  # at a cap of one token nothing ends in time
    for log in steps:
        assert log["reward"] == pytest.approx(log["rewards/accuracy_reward/mean"] - 1, abs=1e-6)
    assert steps[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert steps[1]["kl"] > 1e-6  # it lags behind the policy
    cool: list[dict] = []
    how = t1.explorer("vanilla", profile.max_vanilla_tokens, 1.0, t1.BONUS)
    train(profile, how, asked, steps=1, seed=1, on_log=cool.append, quiet=True)
    assert steps[0]["entropy"] > cool[0]["entropy"]


@pytest.mark.slow
def test_the_command_trains_it_on_any_rooms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(
        app, ["train", "--recipe", "t1", "--rooms", "2", "--per-room", "1", "--steps", "2", "--seed", "5"]
    )
    assert done.exit_code == 0, done.output
    (config,) = tmp_path.rglob("*-explore/config.json")
    recorded = json.loads(config.read_text())["config"]
    sizes = recorded["profile"]
    assert (sizes["num_generations"], sizes["questions_per_step"], recorded["mode"]) == (16, 4, "think")
    logged = [row for row in RunFolder.open(config.parent).read_metrics() if "reward" in row]
    assert len(logged) == 2 and all(-1 <= row["rewards/waste_penalty/mean"] <= 0 for row in logged)
