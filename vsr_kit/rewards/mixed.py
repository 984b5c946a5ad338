"""VLAA's mixed reward: each row is paid by the rule that its own answer needs, numbers, letters, words and boxes alike.

VLAA-Thinker (arXiv 2504.11468) trains on questions of several kinds at once. One function looks at the row and takes
a rule: digits must be the same, an option's letter must be the same, a formula must be equal, a box earns what it
shares with the true one (intersection over union). The format is not paid for by itself: what does not stand in answer
tags is not read, and so earns nothing. Measures are the kit's own addition, since VLAA has none: right within a
quarter, as `rewards.hard` takes it, and words must be the same words.
Left out: the paper's reward model for open answers, which is a network that judges texts; none ships with the kit. No
question type of the kit asks for a box; rows of your own may.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from vsr_kit.prompts.templates import has_options
from vsr_kit.questions.types import ANSWER_UNITS, MATHEMATICS, NUMERIC_TYPES
from vsr_kit.rewards.hard import right_answer
from vsr_kit.rewards.trl_functions import read_completion, rows_of_batch

Box = tuple[float, float, float, float]  # x and y of one corner, then of the opposite one, in pixels or in shares
KINDS = ("digit", "measure", "letter", "word", "formula", "box")
_NUMBER = r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?"
_BOX = re.compile(rf"\[ ?{_NUMBER}(?: ?, ?{_NUMBER}){{3}} ?\]")
_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def box_of(value: object) -> Box | None:
    """The last box in a text, `[x1, y1, x2, y2]`, or four numbers as they are; None where there is none."""
    if isinstance(value, str):
        found = _BOX.findall(value)
        value = [float(own) for own in re.findall(_NUMBER, found[-1])] if found else None
    if not isinstance(value, (list, tuple)) or len(value) != 4:
        return None
    numbers = [float(own) for own in value if isinstance(own, (int, float)) and math.isfinite(own)]
    return (numbers[0], numbers[1], numbers[2], numbers[3]) if len(numbers) == 4 else None


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 to 1; corners may come in either order, a box without area shares 0."""
    (ax, bx), (ay, by) = ([sorted((box[i], box[i + 2])) for box in (a, b)] for i in (0, 1))
    width, height = (min(p[1], q[1]) - max(p[0], q[0]) for p, q in ((ax, bx), (ay, by)))
    shared = max(0.0, width) * max(0.0, height)
    both = sum((x[1] - x[0]) * (y[1] - y[0]) for x, y in ((ax, ay), (bx, by)))
    return shared / (both - shared) if both > shared else 0.0


def answer_kind(row: Mapping) -> str:
    """Which rule a row is paid by, one of KINDS: what its true answer is, a box, a letter, a number, a formula, a word.

    A digit is a number without a unit, such as a count.
    """
    if has_options(row):
        return "letter"
    if box_of(row["ground_truth"]) is not None:
        return "box"
    if row["question_type"] in NUMERIC_TYPES:
        return "measure" if row["question_type"] in ANSWER_UNITS else "digit"
    return "formula" if row["question_type"] == MATHEMATICS else "word"


def _box_reward(answer: str, row: Mapping) -> float:
    given, true = box_of(answer), box_of(row["ground_truth"])
    return 0.0 if given is None or true is None else box_iou(given, true)


def _right_or_not(answer: str, row: Mapping) -> float:
    return float(right_answer(answer, row))


RULES: dict[str, Callable[[str, Mapping], float]] = {
    kind: _box_reward if kind == "box" else _right_or_not for kind in KINDS
}


def mixed_reward(text: str, row: Mapping) -> float:
    """What a completion earns, 0 to 1, by the rule of its row; nothing outside of the last pair of answer tags.

    Args:
        text: the completion.
        row: with `question_type`, `question`, `options` and `ground_truth`; a box's truth is `[x1, y1, x2, y2]`.

    Raises:
        ValueError: for an unknown question type, unless its truth is a box; never because of the text.
        ImportError: a row of mathematics, and math-verify is not installed.
    """
    tagged = _TAGGED.findall(text)
    return RULES[answer_kind(row)](tagged[-1], row) if tagged and tagged[-1].strip() else 0.0


def mixed_rule_reward(completions: Sequence, **columns) -> list[float]:
    """`mixed_reward` of each completion, as TRL calls it.

    Args:
        completions: N texts, or conversations whose last turn counts.
        columns: the columns of the batch as lists of N, with the rows' fields.
    """
    rows, texts = rows_of_batch(len(completions), columns), map(read_completion, completions)
    return [mixed_reward(text, row) for text, row in zip(texts, rows, strict=True)]
