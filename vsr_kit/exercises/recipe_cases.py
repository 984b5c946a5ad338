"""The checks of the exercises about recipes (notebooks 15 and 16), one function each, as in course.py.

Left out: as in `vsr_kit.exercises`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vsr_kit.exercises.cases import Case, run_cases


def normal_scores(function: Callable[[Sequence[float]], Sequence[float]]) -> None:
    """Notebook 15: `(rewards_G) -> advantages_G` by rank: quantiles of N(0, 1) at (i - 1/2) / G, ties share a mean."""
    middle = "the i-th smallest of G, counted from 1, sits at (i - 1/2) / G: `NormalDist().inv_cdf` of that"
    order = "advantages stand where their rewards stood: sort places, not rewards"
    ties = "equal rewards share the mean of their quantiles, so that neither is better than the other"
    low, high = -1.1503493803760079, 1.1503493803760079  # at 1/8 and 7/8
    one = 1.5341205443525463  # at 15/16
    broken = (low, -0.31863936396437514, 0.31863936396437514, high)
    apart = ((broken, f"the order of equal rewards decides nothing: {ties}"),)
    cases = [
        Case(([0.2, 0.9],), [-0.6744897501960817, 0.6744897501960817], middle),
        Case(([0.9, 0.1, 0.5],), [0.9674215661017014, -0.9674215661017014, 0.0], f"{middle}; {order}"),
        Case(
            ([0.0, 0.1, 0.2, 100.0],), list(broken), "how far one reward is from the next does not count, its rank does"
        ),
        Case(([0.0, 0.5, 0.5, 1.0],), [low, 0.0, 0.0, high], ties, mistakes=apart),
        Case(([0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],), [*[-one / 7] * 2, one, *[-one / 7] * 5], ties),
        Case(([0.6, 0.6, 0.6],), [0.0, 0.0, 0.0], f"{ties}; where all are equal that is 0"),
    ]
    run_cases("normal_scores", function, cases)
