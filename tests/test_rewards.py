"""Rewards pay what they say, gold earns 1.0 everywhere, and the cheats earn exactly what the table admits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr_kit.claims.recipe import BENCH_SET, Condition
from vsr_kit.data import make_rows, sample_rows
from vsr_kit.miniature.lessons import chain_text
from vsr_kit.prompts import MODES, target_completion
from vsr_kit.rewards import (
    CHEATS,
    EXTRA_REWARDS,
    LENGTH_TARGET,
    NUMERIC_REWARDS,
    THOUGHT_TARGET,
    accuracy_reward,
    exact,
    format_reward,
    length_reward,
    make_reward_funcs,
    mra,
    one_minus_relative_error,
    paper_numeric,
    tag_names,
    thought_reward,
    thoughts,
    words,
)
from vsr_kit.rooms import make_rooms
from vsr_kit.study import read_answers

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


@settings(deadline=None)
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
    assert [accuracy_reward("2", COUNT, name) for name in NUMERIC_REWARDS] == [0, 0.1, 0.5, 0]
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


@pytest.mark.parametrize(
    "call",
    [
        lambda: format_reward("4", "cot"),
        lambda: length_reward("4", "cot"),
        lambda: thought_reward("4", "cot"),
        lambda: thoughts("4", "cot"),
        lambda: make_reward_funcs("cot"),
    ],
)
def test_an_unknown_mode_is_named(call):
    with pytest.raises(ValueError, match="'cot'.*vanilla, think, observe"):
        call()


@pytest.mark.parametrize("phrasing", ["vsi-bench", "vsi-100k"])
@pytest.mark.parametrize("mode", MODES)
def test_gold_earns_everything(phrasing, mode):
    rows = make_rows(make_rooms(4, 5, "gold"), phrasing, max_per_type=2) + sample_rows()
    for use in ("train", "eval"):
        texts = [target_completion(mode, use, "I see 3 or 4, left of option A.", row["ground_truth"]) for row in rows]
        for numeric in NUMERIC_REWARDS:
            wrong = [t for t, row in zip(texts, rows, strict=True) if accuracy_reward(t, row, numeric) != 1]
            assert wrong == []
    if mode != "vanilla":
        assert format_reward(target_completion(mode, "train", "a", "4"), mode) == 1


@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name)
def test_a_cheat_earns_what_the_table_says(cheat):
    assert accuracy_reward(cheat.completion, cheat.row) == pytest.approx(cheat.accuracy)
    assert format_reward(cheat.completion, cheat.mode) == cheat.format
    paid = {name: score(cheat.completion, cheat.mode) for name, score in EXTRA_REWARDS.items()}
    assert paid == (cheat.extra or dict.fromkeys(EXTRA_REWARDS))
    assert bool(cheat.extra) == (cheat.mode != "vanilla")
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


@pytest.mark.parametrize(
    "text, truth, value",
    [("200", "200", 1), ("200.0", "200", 1), ("2 m", "200", 1), ("201", "200", 0), ("1.5e2", "150", 1), ("-2", "2", 0)],
)
def test_exact_compares_numbers_not_spellings(text, truth, value):
    row = COUNT | {"question_type": "object_size_estimation", "ground_truth": truth}
    assert accuracy_reward(text, row, "exact") == value


def test_exact_forgives_the_last_bits_alone():
    assert exact(0.1 + 0.2, 0.3) == 1
    assert exact(0.3001, 0.3) == 0


@pytest.mark.parametrize(
    "text, mode, characters",
    [
        ("<think>a</think> <answer>4</answer>", "think", 17),
        ("<observe>a</observe><answer>4</answer>", "observe", 20),
        ("<answer>4</answer> and then nothing but words", "think", 0),
        ("<think>a</think> <answer>4</answer> <answer>5</answer>", "think", 17),  # the first answer ends the count
        ("never an answer", "think", 15),
        ("", "think", 0),
        ("x" * 1000, "think", LENGTH_TARGET),
    ],
)
def test_length_counts_characters_before_the_answer(text, mode, characters):
    assert length_reward(text, mode) == characters / LENGTH_TARGET


THOUGHT = "I see a bed, a desk, two"  # six different words, one of them twice


@pytest.mark.parametrize(
    "text, different_words",
    [
        (f"<think>{THOUGHT}</think> <answer>4</answer>", 6),
        (f"<think>\n{THOUGHT}\n</think>\n<answer>4</answer>", 6),
        ("<think>2.5 2.5 north-west North-West don't</think><answer>4</answer>", 3),
        ("<think>bed bed Bed bed BED bed bed</think><answer>4</answer>", 1),
        ("<think>. . . , - _ !</think><answer>4</answer>", 0),
        ("<think> \n </think> <answer>4</answer>", 0),
        # the same thought in anything but the strict format
        (f"<observe>{THOUGHT}</observe> <answer>4</answer>", 0),
        (f"<think>{THOUGHT}</think> <answer> </answer>", 0),
        (f"<think>{THOUGHT}</think> <answer>4", 0),
        (f"<think>{THOUGHT} <answer>4</answer>", 0),
        (f"{THOUGHT}</think> <answer>4</answer>", 0),
        (f"<Think>{THOUGHT}</Think> <answer>4</answer>", 0),
        (f" <think>{THOUGHT}</think> <answer>4</answer>", 0),
        (f"<think>{THOUGHT}</think> <answer>4</answer>.", 0),
        (f"<think>{THOUGHT}</think> so <answer>4</answer>", 0),
        (f"<answer>4</answer> <think>{THOUGHT}</think>", 0),
        (f"<think></think><think>{THOUGHT}</think> <answer>4</answer>", 0),
        (f"<think><think>{THOUGHT}</think> <answer>4</answer>", 0),
        (f"<think>{THOUGHT}</think></think> <answer>4</answer>", 0),
        (f"<think>{THOUGHT}< THINK ></think> <answer>4</answer>", 0),
        (f"<think><observe>{THOUGHT}</observe></think> <answer>4</answer>", 0),
        (f"<think>{THOUGHT}</think> <answer>4</answer><answer>4</answer>", 0),
        (f"<think>{THOUGHT}</think> <answer>4</think></answer>", 0),
    ],
)
def test_thought_counts_different_words_in_a_strict_format(text, different_words):
    assert thought_reward(text, "think") == different_words / THOUGHT_TARGET


def test_the_honest_chains_earn_the_whole_thought_reward():
    """The target is set by them: a chain of any type is paid in full, and none is paid for getting longer."""
    chains = []
    for room in make_rooms(20, 5, "gold"):
        chains += [chain_text(room, row) for row in make_rows([room], "vsi-100k", max_per_type=2)]
    assert len(chains) > 100
    texts = [target_completion("think", "train", chain, "4") for chain in chains]
    assert [text for text in texts if thought_reward(text, "think") != 1] == []
    assert min(len(set(words(chain))) for chain in chains) == THOUGHT_TARGET
    assert max(length_reward(text, "think") for text in texts) < 1  # while length always asks for more


def test_the_base_earns_the_thought_reward_from_the_start():
    """In all but one chain in a hundred, so the term changes little until thoughts wither."""
    told = read_answers(Condition(BENCH_SET, mode="observe"))
    chains = [row["prediction"].split(" The answer is")[0] for row in told]
    paid = [thought_reward(target_completion("observe", "train", chain, "4"), "observe") for chain in chains]
    assert len(paid) > 1000
    assert np.mean(np.array(paid) == 1) > 0.99


@settings(deadline=None)
@given(st.integers(1, 400))
def test_repeating_collects_length_and_never_a_thought(times):
    """The paper's exploit, and its sibling with one word: longer is better paid, whatever is said."""
    tags = "<think></think>" * times + "<answer>4</answer>"
    padded = f"<think>{'chair ' * times}</think><answer>4</answer>"
    assert format_reward(tags, "think") == format_reward(padded, "think") == 1
    assert length_reward(tags, "think") == min(1, 15 * times / LENGTH_TARGET)
    assert length_reward(padded, "think") == min(1, (15 + 6 * times) / LENGTH_TARGET)
    assert thought_reward(tags, "think") == 0
    assert thought_reward(padded, "think") == 1 / THOUGHT_TARGET


PIECES = [
    "<think>",
    "</think>",
    "< THINK >",
    "<observe>",
    "</observe>",
    "<answer>",
    "</answer>",
    " ",
    "4",
    "2.5 m",
    "Bett",
]
TEXTS = st.one_of(st.text(), st.lists(st.sampled_from([*PIECES, "\ud800", "İK ſ", "椅子"])).map("".join))


@settings(deadline=None)
@given(TEXTS, st.sampled_from(MODES), st.sampled_from(sorted(NUMERIC_REWARDS)))
def test_any_text_earns_a_share(text, mode, numeric):
    extra = () if mode == "vanilla" else tuple(EXTRA_REWARDS)
    columns = {name: [value] for name, value in COUNT.items()}
    for reward in make_reward_funcs(mode, numeric, extra):
        (value,) = reward(completions=[text], **columns)
        assert type(value) is float and 0 <= value <= 1


@settings(deadline=None)
@given(TEXTS)
def test_a_thought_paid_is_one_pair_of_tags_around_words(text):
    for mode in ("think", "observe"):
        paid = thought_reward(text, mode)
        assert (paid > 0) <= (format_reward(text, mode) == 1 and tag_names(text).count(mode) == 1)
        assert paid <= len(set(words(" ".join(thoughts(text, mode))))) / THOUGHT_TARGET


@pytest.mark.parametrize(
    "text", ["", " \n\t", "9" * 100_000, "<think>" * 20_000, "</think>" * 20_000, "é̂\u200b椅子🪑\0" * 9]
)
@pytest.mark.parametrize("mode", ["think", "observe"])
def test_hostile_texts_are_scored(text, mode):
    assert thought_reward(text, mode) == 0
    assert length_reward(text, mode) == min(1, len(text) / LENGTH_TARGET)
    assert format_reward(text, mode) == accuracy_reward(text, COUNT, "exact") == 0


def test_extra_rewards_are_paid_on_top_in_order():
    names = [reward.__name__ for reward in make_reward_funcs("think", extra=["thought", "length"])]
    assert names == ["accuracy_reward", "format_reward", "thought_reward", "length_reward"]
    length, thought = make_reward_funcs("observe", extra=("length", "thought"))[2:]
    said = [
        "<observe>two chairs</observe><answer>4</answer>",
        "<observe></observe><observe></observe><answer>4</answer>",
    ]
    turns = [[{"role": "assistant", "content": text}] for text in said]
    for completions in (said, turns):
        assert length(completions=completions, trainer_state=None) == [29 / LENGTH_TARGET, 38 / LENGTH_TARGET]
        assert thought(completions=completions, trainer_state=None) == [2 / THOUGHT_TARGET, 0.0]


@pytest.mark.parametrize(
    "mode, extra, complaint",
    [
        ("think", ["lenght"], "'lenght'.*length, thought"),
        ("vanilla", ["lenght"], "'lenght'.*length, thought"),
        ("think", "length", "'l'.*as a list"),
        ("vanilla", ["thought"], "'thought' in vanilla mode.*think or observe"),
        ("think", ["length", "length"], "twice"),
    ],
)
def test_an_extra_reward_that_cannot_be_paid_is_named(mode, extra, complaint):
    with pytest.raises(ValueError, match=complaint):
        make_reward_funcs(mode, extra=extra)


def test_vanilla_has_no_thoughts_to_pay():
    text = "<think>I see a bed, a desk, two</think><answer>4</answer>"
    assert [score(text, "vanilla") for score in EXTRA_REWARDS.values()] == [None, None]
    assert thoughts(text, "vanilla") == []


def test_each_row_is_scored_by_its_own_type():
    (accuracy,) = make_reward_funcs("vanilla", "mra")
    columns = {name: [NEAR[name], COUNT[name]] for name in COUNT}
    assert accuracy(completions=["B", "5"], **columns) == [1.0, mra(5, 4)]


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="'ground_truth' is missing"):
        make_reward_funcs("vanilla")[0](completions=["4"], question_type=["object_counting"])
    with pytest.raises(ValueError, match="'best'"):
        make_reward_funcs("vanilla", "best")
