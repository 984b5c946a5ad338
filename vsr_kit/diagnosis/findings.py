"""What a check says: a finding with its evidence and its remedy, and all findings about one subject together.

The exit status of `vsr doctor` follows from the worst finding: 0 where there is no problem, 1 where there is one. A
warning is for reading and changes no status; a folder or model that cannot be read at all is an error (status 2), as
of every command.
Left out: colours, and order by importance (checks come in the order in which a run depends on them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from vsr_kit.diagnosis.rules import RULES, level_of
from vsr_kit.validation import one_line

LEVELS = ("fine", "note", "warning", "problem")
PROBLEM_STATUS = 1


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at; a name of `RULES`, or of a part of the installation.
        level: `fine`, `note` (worth knowing), `warning` or `problem`.
        finding: what was found, a sentence.
        evidence: numbers and steps.
        remedy: what to do; empty where nothing is to be done.
        numbers: the same evidence for programs.
    """

    check: str
    level: str
    finding: str
    evidence: str = ""
    remedy: str = ""
    numbers: Mapping = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """All findings about one subject.

    Attributes:
        subject: what was looked at, as it was named.
        kind: `installation`, `model` or `run`.
        findings: in the order of the checks.
    """

    subject: str
    kind: str
    findings: tuple[Finding, ...]

    def at(self, *levels: str) -> list[Finding]:
        """The findings of these levels."""
        return [finding for finding in self.findings if finding.level in levels]

    @property
    def status(self) -> int:
        """The exit status: 0 without a problem, else 1."""
        return PROBLEM_STATUS if self.at("problem") else 0

    def as_dict(self) -> dict:
        """As JSON holds it."""
        return {
            "subject": self.subject,
            "kind": self.kind,
            "status": self.status,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def lines(self) -> list[str]:
        """As a terminal shows it: a line a finding, evidence and remedy below it where there is something to do."""
        shown = []
        for own in self.findings:
            evidence = f" ({one_line(own.evidence)})" if own.evidence else ""
            shown.append(f"{own.level:<8} {own.check}: {one_line(own.finding)}{evidence}")
            if own.remedy and own.level in ("warning", "problem"):
                shown.append(f"{'':<8} remedy: {one_line(own.remedy)}")
        counts = [f"{len(self.at(level))} {level}{'s' * (len(self.at(level)) != 1)}" for level in LEVELS[:1:-1]]
        return [*shown, f"{self.kind} {one_line(self.subject)}: {', '.join(counts)}"]


def judged(check: str, value: float, said: Mapping[str, str], evidence: str, below: bool = False, **numbers) -> Finding:
    """A finding by a rule's thresholds.

    Args:
        check: a name of `RULES`.
        value: what the thresholds are of.
        said: the sentence if it is `fine` and, as `else`, if it is not.
        evidence: numbers and steps.
        below: whether small values are the bad ones.
        numbers: for programs, beside `value`.
    """
    level, rule = level_of(check, value, below), RULES[check]
    limits = [f"{name} from {getattr(rule, name):g}" for name in ("warning", "problem") if level != "fine"
              and getattr(rule, name) is not None]  # fmt: skip
    told = f"{evidence}; {', '.join(limits)}, {rule.unit}" if limits else evidence
    remedy = "" if level == "fine" else rule.remedy
    return Finding(check, level, said["fine" if level == "fine" else "else"], told, remedy, {"value": value, **numbers})
