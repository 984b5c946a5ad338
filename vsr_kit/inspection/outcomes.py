"""What came out of a completion: right, partly right, wrong or unread; and what a training changed about it.

Right is an accuracy reward of 1, partly right one above 0; unread is an answer that the kit's parser cannot read.
Left out: other readers than the kit's own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from vsr_kit.prompts import parse_answer
from vsr_kit.questions import NUMERIC_TYPES, QUESTION_TYPES
from vsr_kit.rewards import accuracy_reward

OUTCOMES = ("right", "partly right", "wrong", "unread")
CHANGES = ("became right", "no longer right", "became readable", "no longer readable", "neither")


def has_truth(kind: str, truth: str) -> bool:
    """Whether there is a right answer of a kind that the parser knows."""
    if kind not in QUESTION_TYPES or not truth.strip():
        return False
    if kind not in NUMERIC_TYPES:
        return True
    try:
        return math.isfinite(float(truth))
    except ValueError:
        return False


def outcome_of(row: Mapping, scored: bool = False) -> str:
    """The outcome of a row that earned nothing (`scored`), or of one whose accuracy was not recorded."""
    if parse_answer(row["completion"], row).value is None:
        return OUTCOMES[3]
    paid = 0.0 if scored else accuracy_reward(row["completion"], row)
    return OUTCOMES[0] if paid >= 1 else OUTCOMES[1] if paid > 0 else OUTCOMES[2]


def change_of(before: str, after: str) -> str:
    """What became of an outcome: one of `CHANGES`, or nothing where there is none to compare with.

    Right comes first: an unread answer that became right is not told as readable.
    """
    if not before or not after:
        return ""
    for outcome, gained, lost in ((OUTCOMES[0], *CHANGES[:2]), (OUTCOMES[3], CHANGES[3], CHANGES[2])):
        if (before == outcome) != (after == outcome):
            return gained if after == outcome else lost
    return CHANGES[4]
