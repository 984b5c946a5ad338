"""Exercises on scores and what may be said of them: best of k, a verdict rule. Left out: as in `vsr_kit.checks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vsr_kit.checks.cases import Case, run_cases


def best_of_k(function: Callable[[Sequence[float], int], float]) -> None:
    """Notebook 02: the mean best of k of n scores, `(scores_n, k) -> mean over all choices of k`."""
    choices = "take every choice of k scores (itertools.combinations), the best of each, and the mean of those"
    cases = [
        Case(([0.0, 1.0], 1), 0.5, "the best of one is that one: with k = 1 this is the plain mean"),
        Case(([0.0, 1.0], 2), 1.0, "with k = n there is one choice, and its best is the highest score"),
        Case(([1.0, 0.0, 0.0, 0.0], 2), 0.5, f"{choices}: 3 of the 6 pairs hold the 1.0"),
        Case(([0.4, 0.9, 0.2], 2), 2.2 / 3, f"{choices}: 0.9, 0.4 and 0.9 here"),
        Case(([0.5, 0.5, 0.5], 2), 0.5, "equal scores are different answers: do not merge them"),
    ]
    run_cases("best_of_k", function, cases)


def gain_rule(function: Callable[[float, float], str]) -> None:
    """Notebook 09: `(low, high) -> "reproduced", "not reproduced" or "undecided"`, of a difference's interval."""
    cases = [
        Case((1.0, 3.0), "reproduced", "the whole interval is above zero"),
        Case((-3.0, -1.0), "not reproduced", "the whole interval is below zero"),
        Case((-1.0, 3.0), "undecided", "zero is inside: a positive mean alone decides nothing"),
        Case((0.0, 3.0), "undecided", "above zero means above: an interval that begins at zero holds it"),
        Case((-3.0, 0.0), "not reproduced", "at or below zero: no gain is left inside"),
    ]
    run_cases("gain_rule", function, cases)
