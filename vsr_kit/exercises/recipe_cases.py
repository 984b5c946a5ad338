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


def useful(function: Callable[[Sequence[float]], bool]) -> None:
    """Notebook 15: `(rewards_G) -> bool`, whether a tenth to nine tenths of a group's rollouts are right."""
    bounds = "the share of the group that is right must lie between 0.1 and 0.9, both included; groups differ in size"
    equal = "where all are right, or all wrong, no rollout is better than another"
    form = "a rollout is right if it earns 1, or 1.5 with the format; 0.5 is the format alone"
    all_right = f"all four are right, and no rollout is better than another: {form}"
    any_reward = ((True, f"a reward above 0 is not enough: {form}"),)
    cases = [
        Case(([0.0] * 8,), False, equal),
        Case(([1.0] * 8,), False, equal),
        Case(([1.0] + [0.0] * 7,), True, bounds),
        Case(([0.5, 0.0, 0.5, 0.0],), False, form, mistakes=any_reward),
        Case(([0.0] + [1.0] * 7,), True, bounds),
        Case(([1.5, 1.0, 1.5, 1.5],), False, all_right),
        Case(([1.5, 0.5, 1.5, 0.0],), True, form),
        Case(([1.0] + [0.0] * 9,), True, bounds),
        Case(([1.0] + [0.0] * 10,), False, bounds),
        Case(([0.0] + [1.0] * 9,), True, bounds),
        Case(([0.0] + [1.0] * 10,), False, bounds),
    ]
    run_cases("useful", function, cases)
