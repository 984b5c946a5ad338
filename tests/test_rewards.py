"""Rewards pay what they say, gold earns 1.0 everywhere, and the cheats earn exactly what the table admits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsr_kit.data import make_rows, sample_rows
from vsr_kit.prompts import MODES, completion_text
from vsr_kit.rewards import (
    CHEATS,
    NUMERIC_REWARDS,
    accuracy_reward,
    format_reward,
    make_reward_funcs,
    mra,
    one_minus_relative_error,
    paper_numeric,
)
from vsr_kit.rooms import make_rooms

COUNT = {"question_type": "object_counting", "question": "How many?", "options": None, "ground_truth": "4"}
NEAR = {"question_type": "object_rel_distance", "question": "?", "options": ["A. bed", "B. sofa"], "ground_truth": "B"}


@pytest.mark.parametrize(
    "predicted, truth, paper, video_r1",
    [
        (4, 4, 1, 1),
        (5, 4, 0.75, 0.75),
        (4, 5, 0.75, 0.8),  # the paper's error divides by the smaller
        (8, 4, 0, 0),
        (2, 4, 0, 0.5),
        (0, 4, 0, 0),
        (-4, 4, 0, 0),
        (0, 0, 1, 1),
        (1, 0, 0, 0),
        (math.inf, 4, 0, 0),
    ],
)
def test_numeric_rewards(predicted, truth, paper, video_r1):
    assert paper_numeric(predicted, truth) == pytest.approx(paper)
    assert one_minus_relative_error(predicted, truth) == pytest.approx(video_r1)


@pytest.mark.parametrize(
    "predicted, truth, hits",
    [
        (10, 10, 10),
        (9.5, 10, 10),
        (9, 10, 9),
        (10.6, 10, 9),
        (11.2, 10, 8),
        (5, 10, 1),
        (4.9, 10, 0),
        (15, 10, 1),
        (1, 0, 0),
    ],
)
def test_mra_counts_thresholds(predicted, truth, hits):
    assert mra(predicted, truth) == pytest.approx(hits / 10)


def test_mra_is_linspace_with_less_or_equal():
    thresholds = 1 - np.linspace(0.5, 0.95, 10)
    grid = [(p / 10, t / 10) for p in range(1, 120) for t in range(1, 80, 3)]
    assert [mra(p, t) for p, t in grid] == [float((abs(p - t) / t <= thresholds).mean()) for p, t in grid]
    # both mistakes are known from reimplementations, and this grid can tell
    assert any(mra(p, t) != float((abs(p - t) / t < thresholds).mean()) for p, t in grid)
    literal = 1 - np.array([0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95])
    assert any(mra(p, t) != float((abs(p - t) / t <= literal).mean()) for p, t in grid)


@given(st.floats(), st.floats(0.01, 1e6), st.sampled_from(sorted(NUMERIC_REWARDS)))
def test_a_numeric_reward_is_a_share(predicted, truth, name):
    value = NUMERIC_REWARDS[name](predicted, truth)
    assert 0 <= value <= 1
    assert NUMERIC_REWARDS[name](truth, truth) == 1


@pytest.mark.parametrize(
    "text, row, value",
    [("4", COUNT, 1), ("4.0", COUNT, 1), ("five", COUNT, 0.75), ("many", COUNT, 0), ("b", NEAR, 1), ("bed", NEAR, 0)],
)
def test_accuracy(text, row, value):
    assert accuracy_reward(text, row) == pytest.approx(value)


def test_the_numeric_reward_is_chosen_by_name():
    assert [accuracy_reward("2", COUNT, name) for name in NUMERIC_REWARDS] == [0, 0.1, 0.5]
    with pytest.raises(ValueError, match="'MRA'.*paper, mra"):
        accuracy_reward("2", COUNT, "MRA")


@pytest.mark.parametrize(
    "text, mode, value",
    [
        ("<think>a\nb</think>\n<answer>4</answer>", "think", 1),
        ("<think></think><answer></answer>", "think", 1),
        ("<observe>a</observe> <answer>4</answer>", "observe", 1),
        ("<observe>a</observe> <answer>4</answer>", "think", 0),
        (" <think>a</think> <answer>4</answer>", "think", 0),
        ("<think>a</think> <answer>4</answer>.", "think", 0),
        ("<think>a</think> so <answer>4</answer>", "think", 0),
        ("<think>a <answer>4</answer>", "think", 0),
        ("4", "vanilla", None),
    ],
)
def test_format(text, mode, value):
    assert format_reward(text, mode) == value


@pytest.mark.parametrize("call", [lambda: format_reward("4", "cot"), lambda: make_reward_funcs("cot")])
def test_an_unknown_mode_is_named(call):
    with pytest.raises(ValueError, match="'cot'.*vanilla, think, observe"):
        call()


@pytest.mark.parametrize("phrasing", ["vsi-bench", "vsi-100k"])
@pytest.mark.parametrize("mode", MODES)
def test_gold_earns_everything(phrasing, mode):
    rows = make_rows(make_rooms(4, 5, "gold"), phrasing, max_per_type=2) + sample_rows()
    for use in ("train", "eval"):
        texts = [completion_text(mode, use, "I see 3 or 4, left of option A.", row["ground_truth"]) for row in rows]
        for numeric in NUMERIC_REWARDS:
            wrong = [t for t, row in zip(texts, rows, strict=True) if accuracy_reward(t, row, numeric) != 1]
            assert wrong == []
    if mode != "vanilla":
        assert format_reward(completion_text(mode, "train", "a", "4"), mode) == 1


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name)
def test_a_cheat_earns_what_the_table_says(cheat):
    assert accuracy_reward(cheat.completion, cheat.row) == pytest.approx(cheat.accuracy)
    assert format_reward(cheat.completion, cheat.mode) == cheat.format
    assert len(cheat.reason.split()) > 5


def test_reward_functions_take_what_trl_gives():
    accuracy, form = make_reward_funcs("think")
    assert [accuracy.__name__, form.__name__] == ["accuracy_reward", "format_reward"]
    said = ["<think>a</think> <answer>5</answer>", "B"]
    columns = {name: [COUNT[name], NEAR[name]] for name in COUNT}
    # what TRL passes besides the columns
    columns |= {"prompts": ["", ""], "completion_ids": [[1], [2]], "trainer_state": object(), "log_metric": len}
    turns = [[{"role": "assistant", "content": text}] for text in said]
    blocks = [[{"role": "assistant", "content": [{"type": "text", "text": text}]}] for text in said]
    later = [[{"role": "assistant", "content": "hm"}, {"role": "tool", "content": ""}, *turn] for turn in turns]
    for completions in (said, turns, blocks, later):
        assert accuracy(completions=completions, **columns) == [0.75, 1.0]
        assert form(completions=completions, **columns) == [1.0, 0.0]
    assert accuracy(completions=[[], [{"role": "assistant", "content": None}]], **columns) == [0.0, 0.0]


def test_each_row_is_scored_by_its_own_type():
    (accuracy,) = make_reward_funcs("vanilla", "mra")
    columns = {name: [NEAR[name], COUNT[name]] for name in COUNT}
    assert accuracy(completions=["B", "5"], **columns) == [1.0, mra(5, 4)]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="'ground_truth' is missing"):
        make_reward_funcs("vanilla")[0](completions=["4"], question_type=["object_counting"])
    with pytest.raises(ValueError, match="'best'"):
        make_reward_funcs("vanilla", "best")
