"""Measures of designed experiments: what a factor adds, over all variants that have it and all that do not.

Where variants are corners of a grid (many samples or few, hot or not, with a bonus or without), each pair of corners
compares three seeds with three. A factor that is high in half of the corners and low in the others, with the other
factors balanced between the halves, is compared over all of them: six runs with six. In half a grid, an effect of two
factors together looks like one of the third.
Left out: interactions, and a model of variance for each corner: a half's runs count as one sample, so what lies between
its corners widens the interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vsr_kit.claims.measures import Compared, Evidence, comparing
from vsr_kit.claims.rules import Finding, Measure
from vsr_kit.claims.training_measures import Reads, best_tables, welch
from vsr_kit.evaluation import difference

Factors = Mapping[str, tuple[Sequence[str], Sequence[str]]]  # a factor's name to the variants with it, and without


def factor_effects(factors: Factors, task: str = "trained") -> Measure:
    """What each factor adds to the greedy answers, paired by question, in points; findings are named as the factors."""

    def measure(evidence: Evidence) -> dict[str, Finding]:
        return {name: difference(*own, task=task) for name, own in _sides(factors, evidence.trained).items()}

    return comparing(measure, Compared(task=task))


def factor_draws(factors: Factors, k: int, task: str = "trained") -> Measure:
    """What each factor adds to the best of k sampled answers, in points; findings are named `<factor>_best_of_<k>`."""

    def measure(evidence: Evidence) -> dict[str, Finding]:
        sides = _sides(factors, lambda of: best_tables(evidence, of, k))
        return {f"{name}_best_of_{k}": difference(*own, task=task) for name, own in sides.items()}

    return comparing(measure, Compared(task=task))


def factor_logs(factors: Factors, read: Reads, ending: str, unit: str = "points") -> Measure:
    """What each factor adds to a number of each run's log, in its unit, by Welch's interval; findings end as named."""

    def measure(evidence: Evidence) -> dict[str, Finding]:
        sides = _sides(factors, lambda of: [read(log) for log in evidence.curves(of)])
        return {f"{name}{ending}": welch(*own, unit) for name, own in sides.items()}

    return measure


def _sides(factors: Factors, of_variant: Callable[[str], list]) -> dict[str, tuple[list, list]]:
    """For each factor what the runs with it gave, and those without, one entry a run."""
    variants = dict.fromkeys(of for both in factors.values() for side in both for of in side)
    runs = {of: of_variant(of) for of in variants}  # each read once
    joined = {name: [[run for of in side for run in runs[of]] for side in both] for name, both in factors.items()}
    return {name: (with_it, without) for name, (with_it, without) in joined.items()}
