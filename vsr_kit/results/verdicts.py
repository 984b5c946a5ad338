"""Verdicts: measure the differences a claim names and let the claim's own rule decide.

The story: `vsr_kit.claims` was written before any run and knows no data; here its names meet the answers. All
differences are of the mean of the trained tasks, in points. Left out: claims whose runs do not exist yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

from vsr_kit.claims import CLAIMS, Claim, claim
from vsr_kit.evaluation import Interval, difference, gap_change
from vsr_kit.results.prompting import mode_answers
from vsr_kit.results.trained import trained_answers


@dataclass(frozen=True)
class Verdict:
    """A claim, the differences its rule looked at, and what the rule says of them."""

    claim: Claim
    found: dict[str, Interval]
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
        ValueError: for a claim that `vsr_kit.claims` does not know, or that has no measurement here.
        FileNotFoundError: if the folder lacks answers it needs.
    """
    known = claim(name)
    if name not in _MEASURED:
        raise ValueError(f"claim {name!r} has no measurement here yet: there are {', '.join(_MEASURED)}")
    found = _MEASURED[name](folder)
    return Verdict(known, found, known.decide(found))


def verdicts(folder: Path | str | None = None) -> dict[str, Verdict]:
    """The verdict on every claim for which the folder holds answers."""
    found = {}
    for name in (c.name for c in CLAIMS if c.name in _MEASURED):
        try:
            found[name] = verdict(name, folder)
        except FileNotFoundError:
            continue
    return found


def _prompts(folder: Path | str | None) -> dict[str, Interval]:
    said = mode_answers(folder)
    return {mode: difference(said[mode], said["vanilla"], task="trained") for mode in ("think", "observe")}


def _lift(folder: Path | str | None) -> dict[str, Interval]:
    said = trained_answers(folder)
    return {"grpo_minus_base": difference(said.own, said.base, task="trained")}


def _looking(folder: Path | str | None) -> dict[str, Interval]:
    said = trained_answers(folder)
    return {"gap_growth": gap_change((said.own, said.wrong), ([said.base], [said.base_wrong]))["trained"]}


_MEASURED = {"cot-prompts-do-not-help": _prompts, "grpo-lifts": _lift, "grpo-teaches-looking": _looking}


def _line(name: str, band: Interval) -> str:
    over = f"{band.n} questions, {band.rooms} rooms" + (f", {band.seeds} seeds" if band.seeds > 1 else "")
    return f"{name.replace('_', ' ')}: {band.mean:+.1f} points ({band.low:+.1f} to {band.high:+.1f}; {over})"
