"""What an answer to a puzzle is worth: the order that it states, and the share of its places that are right.

A puzzle (`vsr_kit.questions.puzzles`) asks for a row of pieces as one number, 213. Each place of the row is a subtask,
as each cell of a grid is in LR²Bench (arXiv 2502.17848). Its four measures all follow from two shares of an answer:

    completion ratio    the share of places that the answer fills with a piece's number
    subtask accuracy    the share of places that it fills rightly
    exact match         1 if all places are right, else 0
    PM-0.5              1 if at least half of the places are right, else 0

An answer that states more numbers than there are places is none: else a long list would earn what a short guess does.
A piece named twice fills two places, of which at most one is right.
Left out: credit for rules that are met in the wrong places.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vsr_kit.prompts import parse_answer

PARTIAL_MATCH = 0.5  # the share of subtasks from which on the paper's PM-0.5 counts an answer
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
# A row of numbers, "2, 1, 3" or "2-1-3" or "2 1 3", up to its last one; a full stop after that belongs to the sentence.
# In texts whose white space is single blanks: no part can be matched in two ways, so a search takes one pass.
_APART = re.compile(rf"(?<![0-9.]){_NUMBER}(?:(?: ?(?:,|-|>|→|,? ?\band\b) ?| ){_NUMBER})+")
_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|$)", re.IGNORECASE | re.DOTALL)


def read_order(text: str, row: Mapping) -> str | None:
    """The numbers that an answer states from left to right, such as "213"; None where it states no order.

    Args:
        text: the completion. A number of several digits is read by `parse_answer`, where it is one. Else the last row
            of numbers counts, all of them, in the last `<answer>` if there is one: a single digit may be a part of it.
        row: of a puzzle, with its fields.
    """
    places = len(row["ground_truth"])
    value = parse_answer(text, row).value
    if value is None or len(value) == 1:
        answers = _ANSWER.findall(text)
        apart = _APART.findall(" ".join((answers[-1] if answers else text).split()))
        if apart:
            labels = re.findall(_NUMBER, apart[-1])
            value = "".join(labels) if all(len(label) == 1 for label in labels) else None
    return value if value is not None and value.isdigit() and len(value) <= places else None


def places_filled(text: str, row: Mapping) -> float:
    """The share of a puzzle's places, 0 to 1, in which the answer puts one of its pieces."""
    places = len(row["ground_truth"])
    return sum("1" <= label <= str(places) for label in read_order(text, row) or "") / places


def places_right(text: str, row: Mapping) -> float:
    """The share of a puzzle's places, 0 to 1, in which the answer puts the right piece."""
    truth = row["ground_truth"]
    return sum(a == b for a, b in zip(read_order(text, row) or "", truth, strict=False)) / len(truth)
