"""Rewards for numbers: a predicted number and the true one in, a share from 0 to 1 out.

The paper measures |p-g| / min(p,g) and does not say how that error becomes a reward: max(0, 1 - error) is our reading.
Beside it stand two other published rewards and the crudest of all, an exact match, to see what grading is worth.
Left out: rewards on a logarithmic scale, and rewards that know how answers are distributed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from vsr_kit.prompts.numbers import canonical_number

# np.linspace, not 0.5, 0.55, …: its last bits decide cases on a threshold, and VSI-Bench's scorer uses it
MRA_TOLERANCES = 1 - np.linspace(0.5, 0.95, 10)


def paper_numeric(predicted: float, truth: float) -> float:
    """max(0, 1 - |p-g| / min(p,g)), zero from twice or half the truth on: vsGRPO's error, our map to a reward."""
    if predicted == truth:
        return 1.0
    least = min(predicted, truth)
    return max(0.0, 1 - abs(predicted - truth) / least) if least > 0 and math.isfinite(predicted) else 0.0


def mra(predicted: float | np.ndarray, truth: float) -> float | np.ndarray:
    """Mean relative accuracy, VSI-Bench's metric: the share of ten thresholds t (0.5 to 0.95) with |p-g| / g <= 1 - t.

    Args:
        predicted: a number, or an array of them.
        truth: where it is not above 0 the metric has no meaning, and only the truth itself earns 1.
    """
    numbers = np.asarray(predicted, dtype=float)
    if truth > 0:
        with np.errstate(over="ignore"):  # the largest floats are infinitely wrong, and 0 is what they earn
            shares = (abs(numbers - truth)[..., None] / truth <= MRA_TOLERANCES).mean(axis=-1)
    else:
        shares = (numbers == truth).astype(float)
    return shares if numbers.ndim else float(shares)


def one_minus_relative_error(predicted: float, truth: float) -> float:
    """max(0, 1 - |p-g| / |g|), as Video-R1 pays it: half the truth, or one and a half times it, still earns 0.5."""
    if predicted == truth:
        return 1.0
    return max(0.0, 1 - abs(predicted - truth) / abs(truth)) if truth and math.isfinite(predicted) else 0.0


def exact(predicted: float, truth: float) -> float:
    """1 for the same number, to ten significant digits, else 0: 2 m are the 200 cm asked for, 201 cm earn nothing."""
    return float(canonical_number(predicted) == canonical_number(truth))


NUMERIC_REWARDS: dict[str, Callable[[float, float], float]] = {
    "paper": paper_numeric,
    "mra": mra,
    "one_minus_relative_error": one_minus_relative_error,
    "exact": exact,
}


def numeric_reward(name: str) -> Callable[[float, float], float]:
    """One of `NUMERIC_REWARDS` by its name; a ValueError names those there are."""
    if name not in NUMERIC_REWARDS:
        raise ValueError(f"unknown reward for numbers {name!r}: choose one of {', '.join(NUMERIC_REWARDS)}")
    return NUMERIC_REWARDS[name]
