"""The form of a claim, and the rules that turn measured findings into a verdict.

A rule looks at named findings, each a paired difference with its interval or a count of runs, and returns one of
VERDICTS. *Built in* means that the miniature's own recipe decides the outcome, *not testable here* that another scale
is needed; neither is a polite word for failure.

An interval is the bootstrap's, or Student's for a rule made with `by="student"`. The bootstrap of three or five seeds
is too narrow (see `vsr_kit.evaluation.intervals`), so Student's interval decides claims that are new; those that were
judged by the bootstrap before this was known keep their rule. Student's is there where a side of a difference has
several runs: against a checkpoint that was not trained here it is over that side's seeds and the rooms. Where none has,
as between two such checkpoints, rooms alone vary, which the bootstrap draws well, and its interval decides.
Left out: measuring; findings come from `vsr_kit.study`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from vsr_kit.evaluation import Interval
from vsr_kit.validation import one_of

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
UNDECIDED = "undecided: the interval holds zero"
HOLDS_LIMIT = "undecided: the interval holds the limit"
SOME_RUNS = "undecided: some runs show it"
BUILT_IN = "built in"
NOT_TESTABLE = "not testable here"
# The words of the two commonest rules, `gain` and `most_runs` in code.
GAIN = "Reproduced if the difference's interval is above zero, not reproduced if at or below, else undecided."
GAIN_BY_STUDENT = (
    "Reproduced if Student's interval of the difference is above zero, not reproduced if at or below, else undecided."
)
MOST_RUNS = "Reproduced if at least two thirds of the runs show it, not reproduced if none does, else undecided."
VERDICTS = (REPRODUCED, NOT_REPRODUCED, UNDECIDED, HOLDS_LIMIT, SOME_RUNS, BUILT_IN, NOT_TESTABLE)


@dataclass(frozen=True)
class Count:
    """How many of a variant's runs show an effect: k out of `of`."""

    k: int
    of: int


Finding = Interval | Count
Rule = Callable[[Mapping[str, Finding]], str]
Measure = Callable[[Any], dict[str, Finding]]  # takes a study's evidence, see measures.py


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        name: short and stable.
        says: the claim, in the paper's terms.
        source: paper and place.
        measured: what is compared, on which questions, decoded and read how.
        rule: the verdict rule in words.
        decide: the same rule in code; takes the named findings, returns a verdict.
        measure: the measurement in code; takes a study's evidence, returns the named findings. None: nothing can.
        caveat: what the miniature cannot tell, or what its recipe builds in.
        needs: the variants whose runs are the evidence, beside untrained models' answers, by name.
        scale: what it would take where the miniature cannot answer; empty where it can.
        only: which part of what it says the rule decides, where that is not all of it; a verdict tells it.
        elsewhere: whether the same is measured on real rooms, where a study asked about them, beside the verdict.
        geometry_only: whether it is asked of released geometry without a model; its findings are scores in per cent.
        untrained: shipped checkpoints whose answers are evidence beside the runs, by name; `mini`, the base, where a
            claim has neither.
    """

    name: str
    says: str
    source: str
    measured: str
    rule: str
    decide: Rule
    caveat: str
    needs: tuple[str, ...] = ()
    scale: str = ""
    only: str = ""
    measure: Measure | None = None
    elsewhere: bool = False
    geometry_only: bool = False
    untrained: tuple[str, ...] = ()


def _interval(found: Mapping[str, Finding], name: str) -> Interval:
    """The finding of that name, which the rule takes to be an interval."""
    return cast(Interval, found[name])


def _count(found: Mapping[str, Finding], name: str) -> Count:
    """The finding of that name, which the rule takes to be a count of runs."""
    return cast(Count, found[name])


BOOTSTRAP, STUDENT = "bootstrap", "student"


def _ends(found: Mapping[str, Finding], name: str, by: str) -> tuple[float, float]:
    """Low and high of an interval: the bootstrap's, or Student's where there is one."""
    band = _interval(found, name)
    return band.student if by == STUDENT and band.student is not None else (band.low, band.high)


def gain_rule(low: float, high: float) -> str:
    """Reproduced if an interval is above zero, not reproduced if it is at or below, else undecided."""
    return REPRODUCED if low > 0 else NOT_REPRODUCED if high <= 0 else "undecided"


def gain(*names: str, by: str = BOOTSTRAP) -> Rule:
    """Reproduced if every difference is above zero with its interval, not if one is at or below, else undecided.

    by: whose interval, `bootstrap` or `student`.
    """
    one_of("by", by, (BOOTSTRAP, STUDENT))

    def decide(found: Mapping[str, Finding]) -> str:
        verdicts = {gain_rule(*_ends(found, name, by)) for name in names}
        return REPRODUCED if verdicts == {REPRODUCED} else NOT_REPRODUCED if NOT_REPRODUCED in verdicts else UNDECIDED

    return decide


def no_gain(*names: str, by: str = BOOTSTRAP) -> Rule:
    """Reproduced unless a difference is above zero with its whole interval.

    The rule of claims that something does *not* help: with less data it passes more easily, never undecided. What the
    data do exclude is a gain above the interval's upper end. A wider interval passes it more easily, too: `by` as in
    `gain`.
    """
    one_of("by", by, (BOOTSTRAP, STUDENT))

    def decide(found: Mapping[str, Finding]) -> str:
        return NOT_REPRODUCED if any(_ends(found, name, by)[0] > 0 for name in names) else REPRODUCED

    return decide


def no_loss(name: str, by: str = BOOTSTRAP) -> Rule:
    """Reproduced unless the whole interval lies below zero; `by` as in `gain`.

    The rule of claims that something does *not* hurt: it passes more easily with less data, as `no_gain` does.
    """
    one_of("by", by, (BOOTSTRAP, STUDENT))

    def decide(found: Mapping[str, Finding]) -> str:
        return NOT_REPRODUCED if _ends(found, name, by)[1] < 0 else REPRODUCED

    return decide


def most_runs(name: str, never: str | None = None) -> Rule:
    """Reproduced if at least two thirds of the runs show it (and none that is counted under `never`).

    Not reproduced if no run shows it, or as many of `never` do; else undecided.
    """

    def decide(found: Mapping[str, Finding]) -> str:
        shown, other = _count(found, name), _count(found, never) if never else Count(0, 1)
        if shown.k == 0 or (never and other.k * shown.of >= shown.k * other.of):
            return NOT_REPRODUCED
        return REPRODUCED if 3 * shown.k >= 2 * shown.of and other.k == 0 else SOME_RUNS

    return decide


def below(name: str, limit: float, by: str = BOOTSTRAP) -> Rule:
    """Reproduced if the whole interval lies below a limit, not if it lies at or above it, else undecided.

    by: as in `gain`.
    """
    one_of("by", by, (BOOTSTRAP, STUDENT))

    def decide(found: Mapping[str, Finding]) -> str:
        low, high = _ends(found, name, by)
        return REPRODUCED if high < limit else NOT_REPRODUCED if low >= limit else HOLDS_LIMIT

    return decide


def built_in_if_all(name: str, otherwise: Rule) -> Rule:
    """Built in if every run shows the named thing before anything is learnt; else the other rule."""

    def decide(found: Mapping[str, Finding]) -> str:
        shown = _count(found, name)
        return BUILT_IN if shown.k == shown.of else otherwise(found)

    return decide


def not_testable(found: Mapping[str, Finding]) -> str:
    """For claims about models or videos that no miniature stands for."""
    return NOT_TESTABLE
