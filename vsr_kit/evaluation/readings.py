"""Many answers to one question: each text once, how often it was given, and what two readers read in it.

The lenient reader is the kit's own; the official one is VSI-Bench's, which sees the first word alone. Both are shown
side by side, since a model may say the right thing in a form that the benchmark does not read. A question in no known
wording has no reader of its own: a letter is looked for where there are options, a text that is a number is one, and
any other text, or what it calls the answer, stands for itself. Letters are scored where the truth is known, and texts
are not, since nobody said what kind of answer is right.
Left out: telling whether two texts mean the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vsr_kit.evaluation.scorers import first_word, score_row
from vsr_kit.prompts import parse_answer, same_words
from vsr_kit.prompts.numbers import canonical_number
from vsr_kit.questions import NUMERIC_TYPES, QUESTION_TYPES

_AS_A_CHOICE = "object_rel_distance"  # how a question with options is read whose wording is not known
# An answer in tags or behind "the answer is", as the prompts ask for one; else the whole text is the answer.
_STATED = re.compile(r"(?:<answer>|\banswer is:?)((?:(?!</answer>).){1,2000})", re.IGNORECASE | re.DOTALL)
_SHORT = 48  # characters of a text that stands for itself


@dataclass(frozen=True)
class Reading:
    """One text and what was read in it.

    Attributes:
        text: what the model wrote.
        times: how often.
        value: what the lenient reader reads; None where it cannot, and `reason` says why.
        official: VSI-Bench's first word; empty where there is none.
        score, official_score: 0 to 1 by the two readers; None where no truth is known.
        truncated: how many of these were cut off by the cap.
    """

    text: str
    times: int
    value: str | None
    reason: str | None
    official: str
    score: float | None
    official_score: float | None
    truncated: int = 0


def read_all(row: Mapping, texts: Sequence[str], truncated: Sequence[bool] = ()) -> list[Reading]:
    """Each text once, the most frequent first, equally frequent ones as they came."""
    cut = Counter(text for text, was_cut in zip(texts, truncated, strict=False) if was_cut)
    return [_read(row, text, times, cut[text]) for text, times in Counter(texts).most_common()]


def tally(readings: Sequence[Reading]) -> dict[str | None, int]:
    """How often each value was read, the most frequent first; None is what could not be read."""
    counts: Counter = Counter()
    for reading in readings:
        counts[reading.value] += reading.times
    return dict(counts.most_common())


def mean_score(readings: Sequence[Reading], official: bool = False) -> float | None:
    """The mean of all answers' scores, 0 to 1; None where no truth is known."""
    worth = [(r.official_score if official else r.score, r.times) for r in readings]
    total = sum(times for _, times in worth)
    known = [(value, times) for value, times in worth if value is not None]
    return sum(value * times for value, times in known) / total if known else None


def _read(row: Mapping, text: str, times: int, cut: int) -> Reading:
    known, truth = _readable(row), str(row.get("ground_truth") or "")
    if known is None:
        value = _as_it_stands(text)
        return Reading(text, times, value, None if value else "empty", first_word(text), None, None, cut)
    parsed = parse_answer(text, known)
    lenient, official = (score_row(known, text, by).value if truth else None for by in ("lenient", "official"))
    return Reading(text, times, parsed.value, parsed.reason, first_word(text), lenient, official, cut)


def _readable(row: Mapping) -> Mapping | None:
    """The row as a reader takes it; None where no reader knows what was asked."""
    if row.get("question_type") in QUESTION_TYPES:
        return row
    return {**row, "question_type": _AS_A_CHOICE} if row.get("options") else None


def _as_it_stands(text: str) -> str | None:
    stated = _STATED.findall(text)
    line = " ".join((stated[-1] if stated else text).split()).strip(" .")
    try:
        return canonical_number(float(line))
    except (ValueError, OverflowError):
        said = same_words(line) or line
        return (said if len(said) <= _SHORT else said[: _SHORT - 1] + "…") or None


def is_numeric(row: Mapping, counts: Mapping[str | None, int]) -> bool:
    """Whether answers belong on an axis: the question asks for a number, or all that was said freely are numbers."""
    if row.get("question_type") in QUESTION_TYPES or row.get("options"):
        return row.get("question_type") in NUMERIC_TYPES
    said = [value for value in counts if value is not None]
    return bool(said) and all(_number(value) for value in said)


def _number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return value.replace("-", "").replace(".", "").isdigit()
