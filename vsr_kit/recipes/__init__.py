"""Recipes: the claims of each paper and the kit's own, in one list.

vsgrpo.py has the paper's claims, kit_questions.py the kit's own, each with its measurement and verdict rule, written
before its runs. `vsr_kit.study.verdicts` measures what they name; `vsr claims` prints the ledger.
Left out: data. The claims were written before any result.
"""

from vsr_kit.claims import Claim
from vsr_kit.recipes.kit_questions import CEILING, KIT_QUESTIONS
from vsr_kit.recipes.vsgrpo import (
    COLLAPSE_FALL,
    COLLAPSE_WINDOW,
    FORMAT_AT_ONCE,
    HABIT_SHARE,
    LAST_STEPS,
    VSGRPO,
)

CLAIMS: tuple[Claim, ...] = (*VSGRPO, *KIT_QUESTIONS)

__all__ = [
    "CEILING",
    "CLAIMS",
    "COLLAPSE_FALL",
    "COLLAPSE_WINDOW",
    "FORMAT_AT_ONCE",
    "HABIT_SHARE",
    "KIT_QUESTIONS",
    "LAST_STEPS",
    "VSGRPO",
    "claim",
]


def claim(name: str) -> Claim:
    """Look a claim up by name."""
    for known in CLAIMS:
        if known.name == name:
            return known
    raise ValueError(f"unknown claim {name!r}: there are {', '.join(c.name for c in CLAIMS)}")
