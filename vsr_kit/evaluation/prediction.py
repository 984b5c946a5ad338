"""Where a repetition of a comparison should land: 95 % prediction intervals over training seeds.

Questions and rooms are the same in a repetition, so only seeds (and the rounding of another machine) make it differ;
the interval is Student's for the mean of new runs drawn like the old ones.
Left out: repetitions on other rooms, for which the intervals of `vsr_kit.evaluation.intervals` stand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Prediction:
    """A mean over `runs` runs, and where the mean of `new_runs` further ones lies in 95 of 100 repetitions."""

    mean: float
    low: float
    high: float
    runs: int
    new_runs: int

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.low <= value <= self.high


def predict(values: Sequence[float], new_runs: int) -> Prediction:
    """Predict the mean of `new_runs` runs from one value for each run that is known.

    Raises:
        ValueError: fewer than two values, which have no spread; fewer than one new run.
    """
    from scipy.stats import t

    if len(values) < 2 or new_runs < 1:
        raise ValueError(f"{len(values)} runs cannot predict {new_runs}: give at least 2 runs, and ask for at least 1")
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(t.ppf(0.975, len(values) - 1)) * spread * math.sqrt(1 / len(values) + 1 / new_runs)
    return Prediction(mean, mean - reach, mean + reach, len(values), new_runs)
