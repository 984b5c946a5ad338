"""Verdicts: the differences that a claim names are measured, and the claim's own rule decides.

`vsr_kit.claims` was written before any run and knows no data; evidence.py knows which answers and curves a claim's
names mean; this module combines the two. Differences are in points. The claims of the shipped study are decided by
bootstrap intervals, as was fixed before the runs; since those are too narrow with few seeds, the same rule is applied a
second time with Student's intervals, and a verdict that changes says so. A claim whose rule is made for Student's
intervals says where the bootstrap's would have changed it. A verdict on fewer runs than its claim asks for is marked as
preliminary, and every verdict names the model and the rooms on which it was measured.
Left out: storing verdicts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import fill

from vsr_kit.claims import VERDICTS, Claim, Count, Finding
from vsr_kit.evaluation import Interval
from vsr_kit.files import Damaged
from vsr_kit.recipes import all_claims, claim, variant
from vsr_kit.study.answers import finished_runs, trained_runs
from vsr_kit.study.evidence import Evidence
from vsr_kit.study.reach import Reach, reach_of, rooms_in_words
from vsr_kit.study.real_rooms import elsewhere

NOT_RUN = "not run yet"  # of a claim whose runs are not there: no verdict
NOT_JUDGED = "not judged"  # of a claim that needs a damaged file


@dataclass(frozen=True)
class Verdict:
    """A claim, the differences its rule looked at, and what the rule says of them.

    Attributes:
        found: what was measured, by name.
        verdict: by the claim's rule, from the intervals that it names, the bootstrap's or Student's.
        runs: for each variant that the claim needs, how many runs are there and how many it asks for.
        elsewhere: the same on real rooms, where they were asked about; one line each, and no part of the rule.
    """

    claim: Claim
    found: dict[str, Finding]
    verdict: str
    runs: dict[str, tuple[int, int]] = field(default_factory=dict)
    elsewhere: tuple[str, ...] = ()

    @property
    def by_student(self) -> str:
        """What the same rule says where seeds vary and Student's intervals take the bootstrap's place."""
        return self.claim.decide({name: _student(finding) for name, finding in self.found.items()})

    @property
    def by_bootstrap(self) -> str:
        """What the same rule says where Student's intervals are left out."""
        return self.claim.decide({name: _bootstrap(finding) for name, finding in self.found.items()})

    @property
    def missing(self) -> str:
        """Which runs are not there, in words; empty if none."""
        return ", ".join(f"{have} of {asked} runs of {of}" for of, (have, asked) in self.runs.items() if have < asked)

    @property
    def reach(self) -> Reach:
        """The model, the rooms and the runs it speaks of."""
        return reach_of(self.claim, self.found, self.runs)

    @property
    def limits(self) -> str:
        """What limits it: what was asked of a claim that says more, intervals that disagree, missing runs."""
        parts = [f"asked was {self.claim.only}"] if self.claim.only else []
        if self.by_student != self.verdict:
            parts.append(f"by Student's intervals {self.by_student.split(':')[0]}")
        if self.by_bootstrap != self.verdict:
            parts.append(f"by the bootstrap's intervals {self.by_bootstrap.split(':')[0]}")
        return "; ".join([*parts, f"preliminary: {self.missing}"] if self.missing else parts)

    @property
    def words(self) -> str:
        """The verdict as it may be quoted: on which model and rooms, and what limits it."""
        return f"{self.verdict} on {self.reach}" + (f"; {self.limits}" if self.limits else "")

    def __str__(self) -> str:
        lines = [_line(name, band, self.claim.geometry_only) for name, band in self.found.items()]
        lines += [f"elsewhere, no part of the rule: {line}" for line in self.elsewhere]
        told = self.words.removeprefix(self.verdict)
        return "\n".join([*lines, f"{self.claim.name}: {self.verdict.upper()}{told}"])


def not_run(known: Claim) -> str:
    """What stands for the verdict on a claim whose runs are not there, with what they would be about."""
    return f"{NOT_RUN} on {reach_of(known, {}, {})}"


def verdict_text(name: str, folder: Path | str | None = None) -> str:
    """A verdict with what was found, or which claim's runs are not there: what a page can print of any claim.

    Raises:
        ValueError: for a claim that `vsr_kit.claims` does not know.
    """
    try:
        return str(verdict(name, folder))
    except FileNotFoundError:
        return f"{name}: {not_run(claim(name)).replace(NOT_RUN, NOT_RUN.upper(), 1)}"


def claim_text(name: str) -> str:
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
    found = _measured(known, Evidence(folder))
    by_logs = found and all(isinstance(finding, Count) for finding in found.values())  # which runs leave before answers
    runs_of = finished_runs if by_logs else trained_runs
    runs = {of: (len(runs_of(folder, of)), len(variant(of).seeds)) for of in known.needs}
    return Verdict(known, found, _decided(known, found), runs, tuple(elsewhere(known, folder)))


def _measured(known: Claim, evidence: Evidence) -> dict[str, Finding]:
    """What a claim's measure finds; one that fails otherwise than for want of answers is the recipe's mistake."""
    if known.measure is None:
        return {}
    try:
        found = known.measure(evidence)
    except (FileNotFoundError, Damaged):
        raise
    except ValueError as error:
        raise ValueError(f"claim {known.name!r}: {error}") from error
    except Exception as error:
        raise ValueError(f"claim {known.name!r}: its measure failed with {type(error).__name__}: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"claim {known.name!r}: its measure gave {found!r}, not findings by name")
    return found


def _decided(known: Claim, found: Mapping[str, Finding]) -> str:
    try:
        decision = known.decide(found)
    except KeyError as error:
        raise ValueError(
            f"claim {known.name!r}: its rule looks for {error}, measured were {', '.join(found)}"
        ) from error
    if decision not in VERDICTS:
        raise ValueError(
            f"claim {known.name!r}: its rule gave {decision!r}, no verdict: choose from {', '.join(VERDICTS)}"
        )
    return decision


def verdicts(
    folder: Path | str | None = None, damaged: dict[str, str] | None = None, names: Sequence[str] | None = None
) -> dict[str, Verdict]:
    """The verdict on every claim for which the folder holds answers.

    Args:
        damaged: takes, by claim, what is wrong with a file that it needs, or with its measure; such a claim is not
            judged, the others are.
        names: of the claims to judge, all by default.

    Raises:
        Damaged: a file is not what it was written as, and no `damaged` was given to say so in.
    """
    found = {}
    for name in [c.name for c in all_claims()] if names is None else names:
        try:
            found[name] = verdict(name, folder)
        except FileNotFoundError:
            continue
        except (Damaged, ValueError) as error:
            if damaged is None:
                raise
            damaged[name] = str(error)
    return found


def _line(name: str, found: Finding, score: bool) -> str:
    words = name.replace("_", " ")
    if isinstance(found, Count):
        return f"{words}: {found.k} of {found.of} runs"
    if score:
        return (
            f"{words}: {found.mean:.1f} % ({found.low:.1f} to {found.high:.1f}; {found.n} pairs, "
            f"{rooms_in_words([found])})"
        )
    f = ".1f" if found.unit == "points" else ".3g"
    student = "" if found.student is None else f"; Student's {found.student[0]:+{f}} to {found.student[1]:+{f}}"
    return f"{words}: {found.mean:+{f}} {found.unit} ({found.low:+{f}} to {found.high:+{f}}{student}; {_basis(found)})"


def _basis(found: Interval) -> str:
    """What an interval rests on, in words."""
    several = [str(count) for count in found.seeds if count > 1]
    seeds = f", {several[0] if len(set(several)) == 1 else ' and '.join(several)} seeds" if several else ""
    if not found.rooms:  # read from logs: nobody was asked
        return f"{found.n} runs{seeds}"
    return f"{found.n} questions, {rooms_in_words([found])}{seeds}"


def _bootstrap(finding: Finding) -> Finding:
    return finding if isinstance(finding, Count) else replace(finding, student=None)


def _student(finding: Finding) -> Finding:
    if isinstance(finding, Count) or finding.student is None:
        return finding
    return replace(finding, low=finding.student[0], high=finding.student[1])
