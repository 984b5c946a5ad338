"""SRPO's recipe: what is dropped and what stays, what comes next, its two stages and its own question set."""

import pytest
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.cli.bridging import material_of
from vsr_kit.questions import MULTI_STEP_TYPES
from vsr_kit.recipes import mm_eureka, srpo, variant
from vsr_kit.recipes.srpo import HistoryGRPO, HistoryResampling, solved
from vsr_kit.runs import RunFolder
from vsr_kit.study.question_sets import make_set
from vsr_kit.study.runner import plan
from vsr_kit.study.staleness import settings_of
from vsr_kit.training.methods import GRPO
from vsr_kit.training.phases import Given
from vsr_kit.training.profiles import get_profile

RIGHT, MIXED, WRONG = [1.0] * 4, [1.0, 0.0, 1.0, 1.0], [0.0] * 4


def test_what_was_all_right_is_solved_and_nothing_else_is():
    assert solved(RIGHT) and solved([1.5, 1.0, 1.5, 1.5])
    assert not any(map(solved, (MIXED, WRONG, [0.5] * 4, [1.0, None, 1.0, 1.0], None)))


def epochs(chooser, history, steps, count=4):
    return [chooser.choose(step, count, history) for step in range(steps)]


def test_an_epoch_asks_every_question_once_in_another_order_each_time():
    asked = epochs(HistoryResampling(8, tuple(range(8)), 0, seed=1), {}, 4)
    first, second = asked[0] + asked[1], asked[2] + asked[3]
    assert sorted(first) == sorted(second) == list(range(8)) and first != second
    assert asked == epochs(HistoryResampling(8, tuple(range(8)), 0, seed=1), {}, 4)  # a resumed run goes on as it was
    assert asked != epochs(HistoryResampling(8, tuple(range(8)), 0, seed=2), {}, 4)


def test_solved_questions_are_dropped_mixed_and_hopeless_ones_stay():
    history = {0: RIGHT, 1: RIGHT, 2: MIXED, 3: WRONG, 4: RIGHT}  # 5, 6, 7 were not asked yet
    chooser = HistoryResampling(8, tuple(range(8)), 0, seed=1)
    for chosen in (chooser.choose(step, 4, history) for step in range(20)):
        assert len(chosen) == 4 == len(set(chosen)) and set(chosen) <= {2, 3, 5, 6, 7}
    for epoch in range(10):
        assert {2, 3, 5, 6, 7} == {i for step in (0, 1) for i in chooser.choose(2 * epoch + step, 4, history)}


def test_a_solved_questions_place_goes_to_another_and_the_others_keep_theirs():
    every = HistoryResampling(8, tuple(range(8)), 0, seed=1, resample=False).choose(0, 4, {})
    drop = every[1]
    chosen = HistoryResampling(8, tuple(range(8)), 0, seed=1).choose(0, 4, {drop: RIGHT})
    assert chosen[:3] == [i for i in every if i != drop] and chosen[3] not in every


def test_the_control_asks_all_whatever_was_earned():
    control = HistoryResampling(8, tuple(range(8)), 0, seed=1, resample=False)
    assert epochs(control, dict.fromkeys(range(5), RIGHT), 4) == epochs(control, {}, 4)


def test_fewer_questions_than_places_are_repeated_and_none_left_asks_all():
    chooser = HistoryResampling(8, tuple(range(8)), 0, seed=1)
    few = dict.fromkeys(range(6), RIGHT)
    assert all(len(chosen) == 4 and set(chosen) <= {6, 7} for chosen in epochs(chooser, few, 6))
    none = dict.fromkeys(range(8), RIGHT)
    assert sorted(sum(epochs(chooser, none, 2), [])) == list(range(8))


def test_multi_step_questions_join_at_the_switch():
    chooser = HistoryResampling(8, (0, 2, 4, 6), switch=3, seed=1)
    asked = epochs(chooser, {}, 5)
    assert all(sorted(chosen) == [0, 2, 4, 6] for chosen in asked[:3])
    assert sorted(asked[3] + asked[4]) == list(range(8))


@pytest.mark.parametrize(
    "kinds, first",
    [
        (["object_counting", "object_walk_length", "object_counting"], (0, 2)),
        (["object_walk_length"] * 2, (0, 1)),
        (["object_counting"] * 2, (0, 1)),
    ],
)
def test_the_method_finds_the_first_stages_questions_by_their_type(kinds, first, monkeypatch):
    seen = []
    monkeypatch.setattr(GRPO, "trainer", lambda self, *rest: seen.append(self.next_rows))
    config = type("Config", (), {"seed": 7})
    HistoryGRPO(switch=5, resample=True).trainer(None, config, None, [{"question_type": kind} for kind in kinds], {})
    assert seen == [HistoryResampling(len(kinds), first, 5, 7, True)]


def test_the_arms_differ_in_resampling_alone():
    one, other = (settings_of(variant(name)) for name in ("srpo-resampled", "srpo-plain"))
    assert {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)} == {"resample"}
    assert (one["steps"], one["switch"], one["beta"], one["questions"]) == (240, 90, 0, "srpo-train")
    assert len(plan(["srpo"])) == 1 + 2 * 5


def test_its_questions_are_half_one_step_half_multi_step_of_training_rooms():
    rows = make_set("srpo-train").rows
    assert len(rows) == 240 and sum(row["question_type"] in MULTI_STEP_TYPES for row in rows) == 120
    assert all(row["scene_name"].startswith("train-0-") and row["options"] is None for row in rows)
    epoch = srpo.STEPS - srpo.SWITCH
    assert epoch % srpo.EPOCH == 0 and len(rows) == 8 * srpo.EPOCH  # the last steps looked at are a whole epoch
    assert srpo.SWITCH * 8 % 120 == 0


def test_the_command_asks_one_step_questions_alone_and_the_recipe_says_so():
    rows = material_of("2", "train", "vsi-100k", 1, 8, 112, 0)["rows"]
    assert rows and not {row["question_type"] for row in rows} & set(MULTI_STEP_TYPES)
    assert "asks one-step questions alone" in srpo.__doc__
    assert "where there are any" in srpo.RECIPE.phases[0].about


def test_the_phase_switches_halfway_and_pays_half_of_the_format():
    method, changes = srpo.RECIPE.phases[0].plan(Given(get_profile("mini"), 20, {}, 0.0))
    assert (changes, method.switch, method.resample, method.mode) == ({"steps": 20, "beta": 0.0}, 10, True, "think")
    assert method.stages == (mm_eureka.PAID_TAGGED,)


@pytest.mark.slow
def test_the_command_trains_it_and_asks_what_the_method_chose(tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    asked, whole = [], HistoryResampling.choose

    def choose(self, step, count, history):
        asked.append((step, whole(self, step, count, history)))
        return asked[-1][1]

    monkeypatch.setattr(HistoryResampling, "choose", choose)
    words = ("train", "--recipe", "srpo", "--rooms", "2", "--per-room", "2", "--steps", "2")
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (found,) = tmp_path.glob("*/*-resampled/config.json")
    rows = [row for row in RunFolder.open(found.parent).read_metrics() if "loss" in row]
    assert [step for step, _ in asked] == [0, 1] and all(len(chosen) == 8 for _, chosen in asked)
    assert len(rows) == 2 and all("frac_reward_zero_std" in row and row["stage"] == 1 for row in rows)
