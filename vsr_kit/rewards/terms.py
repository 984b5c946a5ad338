"""The terms of a reward, each a function of one completion: accuracy, format, length, thought.

`accuracy_reward` pays 1 for a matching word and a graded share for a number. The paper measures |p-g| / min(p,g) and
does not say how that error becomes a reward: max(0, 1 - error), `paper_numeric`, is the kit's reading. Two other
published rewards and an exact match are there for comparison, to see what grading is worth.

`format_reward` pays for the tags of the mode. The paper saw its rollouts end as empty tags and "tried a length reward
later against empty reasoning", whose form it does not state. `length_reward` is a naive one: repeated tags collect it,
as the paper found of its own. `thought_reward` is the kit's answer: it pays for different words between one pair of
tags.

A tag counts however sloppily it is spelled (`< Think >`), as for `parse_answer`, so that a space cannot hide a tag from
the counting. A word is a run of letters and digits; a dot, hyphen or apostrophe inside joins it, so "2.5" and
"north-west" are one word each.

Left out: rewards on a logarithmic scale, rewards that know how answers are distributed, a length reward that falls
again for long texts, any look at whether a thought is true, tags with attributes, and languages written without spaces,
where a sentence counts as one word.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice

import numpy as np

from vsr_kit.prompts import MODES, parse_answer, same_answer
from vsr_kit.prompts.numbers import canonical_number
from vsr_kit.questions import PUZZLE_TYPES
from vsr_kit.rewards.orders import places_right

# np.linspace, not 0.5, 0.55, …: its last bits decide cases on a threshold, and VSI-Bench's scorer uses it
MRA_TOLERANCES = 1 - np.linspace(0.5, 0.95, 10)


def paper_numeric(predicted: float, truth: float) -> float:
    """max(0, 1 - |p-g| / min(p,g)), zero from twice or half the truth on: vsGRPO's error, our map to a reward."""
    if predicted == truth:
        return 1.0
    least = min(predicted, truth)
    return max(0.0, 1 - abs(predicted - truth) / least) if least > 0 and math.isfinite(predicted) else 0.0


def mra(predicted: float | np.ndarray, truth: float) -> float | np.ndarray:
    """Mean relative accuracy, VSI-Bench's metric: the share of ten thresholds t (0.5 to 0.95) with |p-g| / g <= 1 - t.

    Args:
        predicted: a number, or an array of them.
        truth: where it is not above 0 the metric has no meaning, and only the truth itself earns 1.
    """
    numbers = np.asarray(predicted, dtype=float)
    if truth > 0:
        with np.errstate(over="ignore"):  # the largest floats are infinitely wrong, and 0 is what they earn
            shares = (abs(numbers - truth)[..., None] / truth <= MRA_TOLERANCES).mean(axis=-1)
    else:
        shares = (numbers == truth).astype(float)
    return shares if numbers.ndim else float(shares)


def one_minus_relative_error(predicted: float, truth: float) -> float:
    """max(0, 1 - |p-g| / |g|), as Video-R1 pays it: half the truth, or one and a half times it, still earns 0.5."""
    if predicted == truth:
        return 1.0
    return max(0.0, 1 - abs(predicted - truth) / abs(truth)) if truth and math.isfinite(predicted) else 0.0


def exact(predicted: float, truth: float) -> float:
    """1 for the same number, to ten significant digits, else 0: 2 m are the 200 cm asked for, 201 cm earn nothing."""
    return float(canonical_number(predicted) == canonical_number(truth))


NUMERIC_REWARDS: dict[str, Callable[[float, float], float]] = {
    "paper": paper_numeric,
    "mra": mra,
    "one_minus_relative_error": one_minus_relative_error,
    "exact": exact,
}


def numeric_reward(name: str) -> Callable[[float, float], float]:
    """One of `NUMERIC_REWARDS` by its name; a ValueError names those there are."""
    if name not in NUMERIC_REWARDS:
        raise ValueError(f"unknown reward for numbers {name!r}: choose one of {', '.join(NUMERIC_REWARDS)}")
    return NUMERIC_REWARDS[name]


TAGGED_MODES = tuple(mode for mode in MODES if mode != "vanilla")

_TAG = re.compile(r"< ?(/?) ?(think|observe|answer) ?>", re.IGNORECASE | re.ASCII)
_OPENING = {mode: re.compile(rf"< ? ?{mode} ?>", re.IGNORECASE | re.ASCII) for mode in TAGGED_MODES}
_ENDING = {mode: re.compile(rf"< ?(?:/ ?{mode}| ?answer) ?>", re.IGNORECASE | re.ASCII) for mode in TAGGED_MODES}
_WORD = re.compile(r"[^\W_]+(?:[.'’-][^\W_]+)*")


def check_mode(mode: str) -> None:
    """Raise a ValueError that names the modes, unless `mode` is one of them."""
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}: choose one of {', '.join(MODES)}")


def tag_names(text: str, most: int | None = None) -> list[str]:
    """The tags of a text in order, the first `most`, a closing one with its slash: `["think", "/think", "answer"]`."""
    return [match[1] + match[2].lower() for match in islice(_TAG.finditer(text), most)]


def tag_counts(text: str) -> Counter[str]:
    """How often each tag stands in a text, by the names of `tag_names`."""
    counts: Counter[str] = Counter()
    for (slash, name), count in Counter(_TAG.findall(text)).items():
        counts[slash + name.lower()] += count
    return counts


def has_words(text: str) -> bool:
    """Whether there is a word in a text."""
    return _WORD.search(text) is not None


def thoughts(text: str, mode: str) -> list[str]:
    """What stands in each block of a mode, tags within it taken out; a block never closed counts, too.

    Raises:
        ValueError: for an unknown mode. Vanilla has no blocks: an empty list.
    """
    check_mode(mode)
    if mode not in TAGGED_MODES:
        return []
    held = []
    opening = _OPENING[mode].search(text)
    while opening is not None:
        ending = _ENDING[mode].search(text, opening.end())  # never closed: it ends where the answer begins
        held.append(text[opening.end() : ending.start() if ending else None])
        opening = _OPENING[mode].search(text, ending.end()) if ending else None
    return [_TAG.sub(" ", block) if "<" in block else block for block in held]


def words(text: str) -> list[str]:
    """The words of a text in order, without case."""
    return _WORD.findall(text.casefold())


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
        numeric: the reward for numbers, one of `NUMERIC_REWARDS`; letters and words earn 1 for a match, and so does a
            free answer of mathematics that equals the truth (`vsr_kit.prompts.mathematics`). A puzzle earns the share
            of its places that are right; by `exact`, 1 for all of them and else nothing.

    Raises:
        ValueError: for an unknown `numeric` or question type; never because of the text.
        ImportError: a row of mathematics, and math-verify is not installed.
    """
    reward = numeric_reward(numeric)
    if row["question_type"] in PUZZLE_TYPES:
        share = places_right(text, row)
        return float(share == 1) if numeric == "exact" else share
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
