"""Detectors find the signs they are named after in cheats, and next to none in honest chains; TRL can log them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr_kit.claims.recipe import BENCH_SET, Condition
from vsr_kit.prompts import MODES, target_completion
from vsr_kit.rewards import CHEATS
from vsr_kit.rewards.detectors import (
    COUNTS,
    DETECTORS,
    empty_thought,
    make_detectors,
    repeated_tags,
    repeated_words,
    reward_columns,
    shares,
    thinking_words,
)
from vsr_kit.study import read_answers

GOLD = target_completion("think", "train", "The room is 3.7 by 4.5 meters.", "12.1")
EMPTY = "<think> </think> <answer>4</answer>"
REPEATED = "<think></think><think></think> <answer>4</answer>"
PADDED = f"<think>{'chair ' * 41}</think> <answer>4</answer>"


@pytest.mark.parametrize(
    "text, there",
    [
        (EMPTY, True),
        (REPEATED, True),
        ("<think>...</think><answer>4</answer>", True),
        ("<think><think></think></think><answer>4</answer>", True),
        ("<THINK></ think ><answer>4</answer>", True),
        ("<think><answer>4</answer>", True),  # never closed: the answer's words are not thoughts
        ("<think>", True),
        ("<think></think> Four chairs. <answer>4</answer>", True),  # said, but not thought
        ("<think>4</think>", False),
        ("<think>Four chairs, I", False),
        ("<think></think><think>Four chairs.</think><answer>4</answer>", False),
        ("<think><think>Four chairs.</think></think>", False),
        (GOLD, False),
        ("<observe></observe><answer>4</answer>", False),  # the other mode's
        ("</think><answer>4</answer>", False),
        ("4", False),
        ("", False),
    ],
)
def test_empty_thought(text, there):
    assert empty_thought(text, "think") is there
    swapped = text.lower().replace("observe", "other").replace("think", "observe").replace("other", "think")
    assert empty_thought(swapped, "observe") is there


@pytest.mark.parametrize(
    "text, there",
    [
        (REPEATED, True),
        ("<think><think>a</think><answer>4</answer>", True),
        ("<think>a</think></think><answer>4</answer>", True),
        ("<think>a</think><answer>4</answer><answer>5</answer>", True),
        ("<answer>4</answer></answer>", True),
        ("<think>a< THINK ></think>", True),
        (GOLD, False),
        (EMPTY, False),
        ("<observe>a</observe><observe>a</observe><think>a</think>", False),  # the other mode's
        ("<think>a</think><answer>4</answer> think think", False),
        ("", False),
    ],
)
def test_repeated_tags(text, there):
    assert repeated_tags(text, "think") is there


@pytest.mark.parametrize(
    "thought, there",
    [
        ("chair " * 8, True),
        ("chair " * 7, False),  # too short to tell
        ("Chair chair CHAIR chair, chair. chair chair chair", True),
        ("a b " * 4, True),
        ("a b c " * 3, False),  # a third is not fewer than a third
        ("a b c " * 3 + "a", True),
        ("chair </think><think>" * 8, True),  # all blocks together
        ("", False),
    ],
)
def test_repeated_words(thought, there):
    assert repeated_words(f"<think>{thought}</think><answer>4</answer>", "think") is there


def test_words_outside_the_thought_are_not_padding():
    assert not repeated_words("<think>a</think><answer>" + "4 " * 20 + "</answer>" + " so" * 20, "think")


def test_the_cheats_are_found_and_no_others():
    found = {c.name: [name for name, found in DETECTORS.items() if found(c.completion, c.mode)] for c in CHEATS}
    assert {name: signs for name, signs in found.items() if signs} == {
        "empty thoughts": ["empty_thought"],
        "tags repeated": ["empty_thought", "repeated_tags"],
        "tags collecting length": ["empty_thought", "repeated_tags"],
        "a word collecting length": ["repeated_words"],
        "many answers": ["repeated_tags"],
    }


@pytest.mark.parametrize("mode", ["think", "observe"])
def test_the_bases_own_chains_raise_few_alarms(mode):
    """What the miniature says before any training: no sign, but for long lists of the same few places."""
    told = read_answers(Condition(BENCH_SET, mode=mode))
    kinds = [row["question_type"] for row in told]
    texts = [target_completion(mode, "train", row["prediction"].split(" The answer is")[0], "4") for row in told]
    assert len(texts) > 1000
    alarms = shares(texts, mode)
    assert alarms["empty_thought"] == alarms["repeated_tags"] == 0
    assert 0 < alarms["repeated_words"] < 0.01
    flagged = {kind for kind, text in zip(kinds, texts, strict=True) if repeated_words(text, mode)}
    assert flagged == {"object_counting"}


def test_detectors_take_what_trl_gives():
    detectors = make_detectors("think")
    assert [detector.__name__ for detector in detectors] == list(DETECTORS)
    said = [EMPTY, REPEATED, PADDED, GOLD]
    turns = [[{"role": "assistant", "content": text}] for text in said]
    for completions in (said, turns):
        given = {"completions": completions, "prompts": [""] * 4, "ground_truth": ["4"] * 4, "trainer_state": None}
        assert [detector(**given) for detector in detectors] == [
            [1.0, 1.0, 0.0, 0.0],
            [0.0, 1.0, 0.0, 0.0],
            [0, 0, 1, 0],
        ]
        assert all(type(value) is float for detector in detectors for value in detector(**given))


def test_detectors_are_chosen_by_name():
    chosen = make_detectors("observe", ["repeated_words", "empty_thought"])
    assert [detector.__name__ for detector in chosen] == ["repeated_words", "empty_thought"]
    assert [detector(completions=["<observe></observe>"]) for detector in chosen] == [[0.0], [1.0]]
    assert make_detectors("think", []) == []
    for mode in MODES:
        with pytest.raises(ValueError, match="'empty'.*empty_thought, repeated_tags, repeated_words"):
            make_detectors(mode, ["empty"])


def test_in_vanilla_mode_nothing_applies():
    assert make_detectors("vanilla") == [] == make_detectors("vanilla", ["empty_thought"])
    assert shares([EMPTY], "vanilla") == {}
    assert not any(found(text, "vanilla") for found in DETECTORS.values() for text in (EMPTY, REPEATED * 2, PADDED))


WAITING = "<think>Wait, 4 chairs. Hmm ... CHECK again: however, four.</think> <answer>wait</answer> Wait."


@pytest.mark.parametrize(
    "text, mode, count",
    [
        (WAITING, "think", 5),  # of the thought alone, whatever the case
        (WAITING, "observe", 0),
        (WAITING, "vanilla", 0),
        ("<think>start again. start again.</think><answer>4</answer>", "think", 2),
        ("<think>recheck</think><think>Mistake; alternatively", "think", 3),  # all blocks, one never closed
        ("<think>Checks, waiting: a double-check, hmmm.</think>", "think", 0),  # other words
        (GOLD, "think", 0),
        ("", "think", 0),
    ],
)
def test_thinking_words_are_counted(text, mode, count):
    assert thinking_words(text, mode) == count


def test_counts_are_logged_beside_detectors_and_are_no_shares_and_no_rewards():
    assert COUNTS.keys() == {"thinking_words"} and not COUNTS.keys() & DETECTORS.keys()
    (counted, _) = make_detectors("think", ["thinking_words", "empty_thought"])
    assert counted.__name__ == "thinking_words" and counted(completions=[WAITING, GOLD]) == [5.0, 0.0]
    assert [detector.__name__ for detector in make_detectors("think")] == list(DETECTORS)
    assert shares([WAITING], "think").keys() == DETECTORS.keys()
    assert reward_columns({"accuracy_reward": 1.0, "thinking_words": 5.0, "empty_thought": 0.0}) == {
        "accuracy_reward": 1.0
    }
    with pytest.raises(ValueError, match="'waits'.*repeated_words, thinking_words, as a list"):
        make_detectors("think", ["waits"])
    with pytest.raises(ValueError, match="'cot'.*vanilla, think, observe"):
        thinking_words("", "cot")
    assert type(thinking_words(WAITING * 2_000, "think")) is int


def test_shares():
    texts = iter([EMPTY, REPEATED, PADDED, GOLD])
    assert shares(texts, "think") == {"empty_thought": 0.5, "repeated_tags": 0.25, "repeated_words": 0.25}
    with pytest.raises(ValueError, match="at least one"):
        shares([], "think")


@pytest.mark.parametrize(
    "call",
    [make_detectors, lambda mode: shares([""], mode)]
    + [lambda mode, found=found: found("", mode) for found in DETECTORS.values()],
)
def test_an_unknown_mode_is_named(call):
    with pytest.raises(ValueError, match="'cot'.*vanilla, think, observe"):
        call("cot")


PIECES = ["<think>", "</think>", "< THINK >", "<observe>", "<answer>", "</answer>", " ", "a", "\ud800", "İK ſ", "椅子"]


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
def test_any_text_gets_a_verdict(text):
    for mode in MODES:
        assert all(type(found(text, mode)) is bool for found in DETECTORS.values())
        assert not (empty_thought(text, mode) and repeated_words(text, mode))


@pytest.mark.parametrize("text", ["<think>" * 20_000, "</think>" * 20_000, "<think></think>" * 20_000])
def test_huge_texts_are_read(text):
    assert repeated_tags(text, "think")
    assert empty_thought(text, "think") is text.startswith("<think>")
    assert not repeated_words(text, "think")


def test_the_number_of_a_rollout_in_its_run_is_no_reward():
    numbers = {"row": 973, "step": 16, "length_reward": 0.5, "empty_thought": 0.0}
    assert reward_columns(numbers) == {"length_reward": 0.5}
