"""The terms of a reward, each one completion in and one number out: accuracy, format, length, thought.

The paper pays accuracy and format, saw its rollouts end as empty tags, and "tried a length reward later against empty
reasoning", whose form it does not state. `length_reward` is a naive one of ours: tags repeated collect it, which is the
paper's own finding. `thought_reward` is our answer: it pays for different words between one pair of tags.
Left out: a length reward that falls again for long texts, and any look at whether a thought is true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from vsr_kit.prompts import parse_answer, same_answer
from vsr_kit.rewards.numeric import numeric_reward
from vsr_kit.rewards.tags import TAGGED_MODES, check_mode, tag_names, words

# Characters. The miniature's chains have up to about 140 and are cut at 96 tokens: tags and words can both reach it.
LENGTH_TARGET = 250
# Different words. The shortest honest chain of the miniature has six ("The bin is 0.3 by 0.3 by 0.3 meters."): all are
# paid in full, so that nothing is gained by padding one, and the reward bites only where thoughts wither.
THOUGHT_TARGET = 6

# what R1-V, on which the paper builds, asks for as re.fullmatch(r"<think>.*?</think>\s*<answer>.*?</answer>"), looked
# for piece by piece: the pattern itself takes a time that grows with the square of a text's length
_BETWEEN = {mode: re.compile(rf"</{mode}>\s*<answer>") for mode in TAGGED_MODES}


def accuracy_reward(text: str, row: Mapping, numeric: str = "paper") -> float:
    """What the answer in a completion earns, from 0 to 1; nothing where none can be read.

    Args:
        text: the completion, read by `parse_answer`.
        row: with `question_type`, `options`, `question` and `ground_truth`.
        numeric: the reward for numbers, one of `NUMERIC_REWARDS`; letters and words earn 1 for a match.

    Raises:
        ValueError: for an unknown `numeric` or question type; never because of the text.
    """
    reward = numeric_reward(numeric)
    parsed = parse_answer(text, row)
    if parsed.value is None:
        return 0.0
    if parsed.kind == "number":
        return reward(float(parsed.value), float(row["ground_truth"]))
    return float(same_answer(parsed.value, row["ground_truth"], parsed.kind))


def format_reward(text: str, mode: str) -> float | None:
    """1.0 if the whole completion is a block of the mode and then an answer block, else 0.0; None in vanilla mode.

    Between the tags anything is paid, nothing included: that is R1-V's rule, and a way to cheat (see `CHEATS`).
    """
    check_mode(mode)
    return float(_blocks(text, mode) is not None) if mode in _BETWEEN else None


def length_reward(text: str, mode: str) -> float | None:
    """min(1, characters before the first `<answer>` / LENGTH_TARGET); None in vanilla mode.

    Naive on purpose: tags count like words, repeated ones like new ones, and without `<answer>` the whole text counts.
    The paper does not state its length reward; this is ours, with the weakness that the paper reports.
    """
    check_mode(mode)
    return min(1.0, len(text.split("<answer>", 1)[0]) / LENGTH_TARGET) if mode in _BETWEEN else None


def thought_reward(text: str, mode: str) -> float | None:
    """min(1, different words in the thought / THOUGHT_TARGET), in a strict format alone; None in vanilla mode.

    Strict is what `format_reward` asks for with each of the four tags once, no other mode's tags, and an answer block
    that holds something. So neither empty tags, nor repeated ones, nor a word repeated collect it. A list of different
    words does: no count of words can tell it from a thought.
    """
    check_mode(mode)
    if mode not in _BETWEEN:
        return None
    once_each = tag_names(text, most=5) == [mode, f"/{mode}", "answer", "/answer"]
    strict = _blocks(text, mode) if once_each else None
    if strict is None or not strict[1].strip():
        return 0.0
    return min(1.0, len(set(words(strict[0]))) / THOUGHT_TARGET)


def _blocks(text: str, mode: str) -> tuple[str, str] | None:
    """The thought and the answer of a text that is a block of the mode and an answer block; None if it is not."""
    first, last = len(f"<{mode}>"), len(text) - len("</answer>")
    if not (text.startswith(f"<{mode}>") and text.endswith("</answer>")):
        return None
    between = _BETWEEN[mode].search(text, first, max(first, last))
    return (text[first : between.start()], text[between.end() : last]) if between else None


EXTRA_REWARDS: dict[str, Callable[[str, str], float | None]] = {"length": length_reward, "thought": thought_reward}
