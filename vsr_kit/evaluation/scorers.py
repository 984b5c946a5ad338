"""Three readings of one answer: VSI-Bench's own, lmms-eval's, and a lenient one that reads chains of thought.

All three share VSI-Bench's metric (mean relative accuracy for numbers, exact match for choices) and differ in what they
take the answer to be:

- `official`: everything before the first space, a full stop taken off its end. "Answer: 3", "two", "1.5m", "B)" are
  wrong; so is any chain. Source: vision-x-nyu/thinking-in-space, lmms_eval/tasks/vsibench/utils.py.
- `lmms-eval`: for numbers the first digit or number word anywhere; choices as `official`. Source: lmms-eval 0.7.3, the
  same path. Published numbers from before July 2026 were read the official way.
- `lenient`: `vsr_kit.prompts.parse_answer`.

Rows without options (VSI-100k) are foreign to the first two; their words are compared as letters would be, so that a
ground truth of two words is never right there.
Left out: the harnesses' prompts (`vsr_kit.prompts` has them) and their limit of 16 new tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vsr_kit.prompts import answer_choices, parse_answer, same_answer
from vsr_kit.prompts.numbers import lmms_eval_number
from vsr_kit.questions import NUMERIC_TYPES, QUESTION_TYPES
from vsr_kit.rewards import mra


@dataclass(frozen=True)
class Score:
    """What one answer is worth.

    Attributes:
        value: 0 to 1.
        parsed: whether an answer could be read; a parse failure is worth 0.
        reason: why not, one of `vsr_kit.prompts.REASONS`; None if it could.
    """

    value: float
    parsed: bool
    reason: str | None


def score_row(row: Mapping, prediction: str, harness: str = "official") -> Score:
    """Score one prediction.

    Args:
        row: with `question_type`, `question`, `options` and `ground_truth`.
        prediction: what the model wrote.
        harness: one of `HARNESSES`.
    """
    if harness not in HARNESSES:
        raise ValueError(f"unknown harness {harness!r}: choose one of {', '.join(HARNESSES)}")
    if row["question_type"] not in QUESTION_TYPES:
        raise ValueError(f"unknown question_type {row['question_type']!r}: VSI-Bench has {', '.join(QUESTION_TYPES)}")
    return _SCORERS[harness](row, prediction)


def _official(row: Mapping, prediction: str) -> Score:
    if row["question_type"] in NUMERIC_TYPES:
        return _number(row, _float(_first_word(prediction)))
    return _first_word_match(row, prediction)


def _lmms_eval(row: Mapping, prediction: str) -> Score:
    if row["question_type"] in NUMERIC_TYPES:
        return _number(row, lmms_eval_number(prediction))
    return _first_word_match(row, prediction)


def _lenient(row: Mapping, prediction: str) -> Score:
    parsed = parse_answer(prediction, row)
    if parsed.value is None:
        return Score(0.0, False, parsed.reason)
    if parsed.kind == "number":
        return _number(row, float(parsed.value))
    return Score(float(same_answer(parsed.value, row["ground_truth"], parsed.kind)), True, None)


_SCORERS: dict[str, Callable[[Mapping, str], Score]] = {
    "official": _official,
    "lenient": _lenient,
    "lmms-eval": _lmms_eval,
}
HARNESSES = tuple(_SCORERS)


def _first_word(prediction: str) -> str:
    # in this order: a line break inside stays, and "3.\n" keeps its full stop
    return prediction.partition(" ")[0].rstrip(".").strip()


def _first_word_match(row: Mapping, prediction: str) -> Score:
    word = _first_word(prediction).lower()
    offered = {choice.label.lower() for choice in answer_choices(row)}
    parsed = word in offered if offered else bool(word)
    return Score(float(word == row["ground_truth"].lower()), parsed, None if parsed else _why(word, "not an option"))


def _number(row: Mapping, value: float | None) -> Score:
    if value is None or not math.isfinite(value):
        return Score(0.0, False, "not a number")
    return Score(mra(value, float(row["ground_truth"])), True, None)


def _float(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _why(word: str, otherwise: str) -> str:
    return otherwise if word else "empty"
