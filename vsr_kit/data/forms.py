"""The same questions in two forms: open, where an answer is found freely, and as a choice among what is offered.

Nemotron-CrossThink (arXiv 2504.13941) asks its questions in two templates, multiple choice and open-ended, and leaves
out what a rule cannot check. Here a question keeps its id, its room and its truth, and changes its form alone:

- `as_choice` gives words VSI-Bench's lettered options (`as_letters`), and a number four numbers to choose from. These
  stand in the question, and the answer is still the number, so that a choice and an open answer are scored by one
  metric. A wrong one is at most half of its neighbour or at least twice as large, where the paper's reward for numbers
  pays nothing, and the truth's rank among the four is drawn: the second smallest is right no more often than another.
- `as_open` takes options away: the truth becomes the text of the right one.
- `unchecked` says why the answer to a question cannot be checked, `drop_unchecked` leaves such questions out.
- `blend` asks a share of the questions as choices, and the others as they are.

What is drawn depends on a seed and the question's id alone: other rows change nothing.
Left out: distractors that a model wrote, and questions whose words nobody offers ("What is nearest to the bed?"), whose
true answer would be another one.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from vsr_kit.data.checking import check_row
from vsr_kit.prompts import answer_choices, has_options, same_words
from vsr_kit.questions import CHOICE_TYPES, NUMERIC_TYPES
from vsr_kit.validation import real

OFFERED = 4  # numbers to choose from
LEAST_RATIO, MOST_RATIO = 2.0, 2.5  # of neighbours among them; from twice on the paper's reward pays nothing
MOST_WORDS = 10  # of an open answer, as CrossThink has it
_NUMBERS_OFFERED = re.compile(r" Which of these \((\d+(?:\.\d+)?(?:, \d+(?:\.\d+)?)+)\)\?$")


def as_letters(rows: Iterable[Mapping], seed: int = 0) -> list[dict]:
    """Give rows that are answered by a word VSI-Bench's lettered options: same id, same question, same truth.

    The words a question offers (`answer_choices`) become options in an order that depends on `seed` and the row's id
    alone, and the ground truth becomes the letter of the right one. `phrasing` becomes `vsi-bench`, which is where
    readers and baselines expect letters; the wording stays VSI-100k's, and distances stay what they were labelled.
    Numeric rows and rows that have options are copied as they are.

    Raises:
        ValueError: for a row whose question does not name its choices, or whose truth is none of them.
    """
    return [_lettered(row, seed) for row in rows]


def _lettered(row: Mapping, seed: int) -> dict:
    if row["question_type"] not in CHOICE_TYPES or has_options(row):
        return dict(row)
    texts = [choice.text for choice in answer_choices(row)]
    right = [text for text in texts if same_words(text) == same_words(row["ground_truth"])]
    if len(right) != 1:
        raise ValueError(
            f"row {row['id']!r}: the truth {row['ground_truth']!r} must be exactly one of the choices its question "
            f"names, and these are {texts}; as_letters takes rows of `make_rows(..., phrasing='vsi-100k')`"
        )
    order = np.random.default_rng([seed, *str(row["id"]).encode()]).permutation(len(texts))
    letters = "ABCDEFGH"[: len(texts)]
    options = [f"{letter}. {texts[i]}" for letter, i in zip(letters, order, strict=True)]
    answer = letters[[texts[i] for i in order].index(right[0])]
    lettered = {**row, "options": options, "ground_truth": answer, "phrasing": "vsi-bench"}
    return check_row(lettered, f"row {row['id']!r}")


def as_choice(rows: Iterable[Mapping], seed: int = 0) -> list[dict]:
    """Ask every row as a choice: words get lettered options, numbers four numbers to choose from.

    Rows that are choices already are copied as they are.

    Args:
        rows: of VSI-100k's phrasing, or any that `as_letters` takes.
        seed: of what is offered and in which order, with the row's id.

    Raises:
        ValueError: as `as_letters`.
    """
    return [_numbers_offered(row, seed) for row in as_letters(rows, seed)]


def _numbers_offered(row: dict, seed: int) -> dict:
    if row["question_type"] not in NUMERIC_TYPES or numbers_offered(row):
        return row
    told = ", ".join(_offers(row["ground_truth"], np.random.default_rng([seed, zlib.crc32(str(row["id"]).encode())])))
    return {**row, "question": f"{row['question']} Which of these ({told})?"}


def _offers(truth: str, rng: np.random.Generator) -> list[str]:
    """The truth and wrong numbers below and above it, as precise as the truth is written, in a drawn order."""
    digits = len(truth.partition(".")[2])
    whole = round(float(truth) * 10**digits)
    below, above = [whole], [whole]
    for _ in range(OFFERED - 1):
        below.append(math.floor(below[-1] / rng.uniform(LEAST_RATIO, MOST_RATIO)))
        above.append(math.ceil(above[-1] * rng.uniform(LEAST_RATIO, MOST_RATIO)))
    below = [number for number in below[1:] if number > 0]
    rank = int(rng.integers(len(below) + 1))  # how many of those offered are smaller than the truth
    chosen = [*below[:rank], whole, *above[1 : OFFERED - rank]]
    return [f"{chosen[i] / 10**digits:.{digits}f}" for i in rng.permutation(OFFERED)]


def numbers_offered(row: Mapping) -> tuple[str, ...]:
    """The numbers that a question of `as_choice` offers, in its order; empty for any other row."""
    if row["question_type"] not in NUMERIC_TYPES:
        return ()
    found = _NUMBERS_OFFERED.search(row["question"])
    return tuple(found[1].split(", ")) if found else ()


def offered(row: Mapping) -> tuple[str, ...]:
    """What one may answer, as it is to be said: letters, words that the question names, numbers; empty where free."""
    choices = answer_choices(row)
    return numbers_offered(row) or tuple(c.label if has_options(row) else c.text for c in choices)


def as_open(rows: Iterable[Mapping]) -> list[dict]:
    """Take away what rows offer: the truth is the text of the right option, or the number alone.

    Open rows are copied as they are. What nothing can check afterwards is kept, too; `drop_unchecked` finds it.

    Raises:
        ValueError: for a row whose truth is none of its options.
    """
    return [_opened(row) for row in rows]


def _opened(row: Mapping) -> dict:
    if numbers_offered(row):
        return {**row, "question": _NUMBERS_OFFERED.sub("", row["question"])}
    if not has_options(row):
        return dict(row)
    texts = {choice.label: choice.text for choice in answer_choices(row)}
    if row["ground_truth"] not in texts:
        raise ValueError(
            f"row {row['id']!r}: the truth {row['ground_truth']!r} is none of its options {row['options']}: leave it "
            "out by drop_unchecked before its options are taken away"
        )
    return {**row, "options": None, "ground_truth": texts[row["ground_truth"]], "phrasing": "vsi-100k"}


def blend(rows: Iterable[Mapping], share: float, seed: int = 0) -> list[dict]:
    """Ask a share of the rows as choices and the others as they are; a larger share only adds choices.

    Args:
        rows: open ones.
        share: 0 to 1, of the rows by chance: every row draws for itself.
        seed: of these draws and of what is offered.

    Raises:
        ValueError: a share outside 0 to 1, or as `as_letters`.
    """
    real("share", share, remedy="it is a share of the rows, 0 to 1")
    if share > 1:
        raise ValueError(f"share is {share}: it is a share of the rows, give 0 to 1")
    return [as_choice([row], seed)[0] if _drawn(row, seed) < share else dict(row) for row in rows]


def _drawn(row: Mapping, seed: int) -> float:
    return float(np.random.default_rng([seed, 1, zlib.crc32(str(row["id"]).encode())]).random())


NOT_OFFERED, TOO_LONG, NOT_READ = "truth not among the options", f"truth of more than {MOST_WORDS} words", "not read"


def unchecked(row: Mapping) -> str | None:
    """Why no rule can check an answer to this row: NOT_OFFERED, TOO_LONG or NOT_READ; None where one can.

    The first two are CrossThink's. NOT_READ: the reader that rewards use would not find the truth in the truth itself.
    """
    may = offered(row)
    if (has_options(row) or numbers_offered(row)) and row["ground_truth"] not in may:
        return NOT_OFFERED
    if len(str(row["ground_truth"]).split()) > MOST_WORDS:
        return TOO_LONG
    try:
        check_row(dict(row), "")
    except ValueError:
        return NOT_READ
    return None


def drop_unchecked(rows: Iterable[Mapping]) -> tuple[list[dict], dict[str, int]]:
    """The rows whose answers a rule can check, and how many were left out, by reason (`unchecked`)."""
    kept: list[dict] = []
    reasons: Counter[str] = Counter()
    for row in rows:
        why = unchecked(row)
        reasons.update([why] if why else [])
        kept += [] if why else [dict(row)]
    return kept, dict(reasons)
