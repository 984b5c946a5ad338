"""Verdicts: measure the differences a claim names and let the claim's own rule decide.

The story: `vsr_kit.claims` was written before any run and knows no data; `measured` knows which answers and curves its
names mean; here the two meet. Differences are in points.
Left out: storing a verdict anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from vsr_kit.claims import CLAIMS, Claim, Count, Finding, claim
from vsr_kit.results.measured import MEASURED

SCORES = ("perfect_centre_answers",)  # findings that are no differences


@dataclass(frozen=True)
class Verdict:
    """A claim, the differences its rule looked at, and what the rule says of them."""

    claim: Claim
    found: dict[str, Finding]
    verdict: str

    def __str__(self) -> str:
        lines = [_line(name, band) for name, band in self.found.items()]
        return "\n".join([*lines, f"{self.claim.name}: {self.verdict.upper()}"])


def stated(name: str) -> str:
    """A claim as it was written before the runs, in lines of a page's width."""
    known = claim(name)
    parts = {"claim": known.says, "source": known.source, "measured": known.measured}
    parts |= {"rule": known.rule, "caveat": known.caveat}
    return "\n".join(fill(text, 100, initial_indent=f"{k:10}", subsequent_indent=" " * 10) for k, text in parts.items())


def verdict(name: str, folder: Path | str | None = None) -> Verdict:
    """Measure what a claim names and apply its rule.

    Raises:
        ValueError: for a claim that `vsr_kit.claims` does not know.
        FileNotFoundError: if the folder lacks answers it needs.
    """
    known = claim(name)
    found = MEASURED[name](folder)
    return Verdict(known, found, known.decide(found))


def verdicts(folder: Path | str | None = None) -> dict[str, Verdict]:
    """The verdict on every claim for which the folder holds answers."""
    found = {}
    for name in (c.name for c in CLAIMS):
        try:
            found[name] = verdict(name, folder)
        except FileNotFoundError:
            continue
    return found


def _line(name: str, found: Finding) -> str:
    words = name.replace("_", " ")
    if isinstance(found, Count):
        return f"{words}: {found.k} of {found.of} runs"
    over = f"{found.n} questions, {found.rooms} rooms" + (f", {found.seeds} seeds" if found.seeds > 1 else "")
    if name in SCORES:
        return f"{words}: {found.mean:.1f} % ({found.low:.1f} to {found.high:.1f}; {over})"
    return f"{words}: {found.mean:+.1f} points ({found.low:+.1f} to {found.high:+.1f}; {over})"
