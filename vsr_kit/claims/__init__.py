"""What the papers claim and what this kit asks: each claim with its measurement and verdict rule, before its runs.

rules.py says what a claim and a verdict are, vsgrpo.py has the paper's claims, asked.py the kit's own questions.
`vsr_kit.results.verdicts` measures what they name; `vsr claims` prints the ledger.
Left out: data. Nothing here has seen a result.
"""

from vsr_kit.claims.asked import ASKED, CEILING
from vsr_kit.claims.rules import (
    BUILT_IN,
    HOLDS_LIMIT,
    NOT_REPRODUCED,
    NOT_TESTABLE,
    REPRODUCED,
    SOME_RUNS,
    UNDECIDED,
    VERDICTS,
    Claim,
    Count,
    Finding,
    gain_rule,
)
from vsr_kit.claims.vsgrpo import AT_ONCE, END, FALL, SHARE, VSGRPO, WINDOW

CLAIMS: tuple[Claim, ...] = (*VSGRPO, *ASKED)

__all__ = [
    "ASKED",
    "AT_ONCE",
    "BUILT_IN",
    "CEILING",
    "CLAIMS",
    "END",
    "FALL",
    "HOLDS_LIMIT",
    "NOT_REPRODUCED",
    "NOT_TESTABLE",
    "REPRODUCED",
    "SHARE",
    "SOME_RUNS",
    "UNDECIDED",
    "VERDICTS",
    "VSGRPO",
    "WINDOW",
    "Claim",
    "Count",
    "Finding",
    "claim",
    "gain_rule",
]


def claim(name: str) -> Claim:
    """Look a claim up by name."""
    for known in CLAIMS:
        if known.name == name:
            return known
    raise ValueError(f"unknown claim {name!r}: there are {', '.join(c.name for c in CLAIMS)}")
