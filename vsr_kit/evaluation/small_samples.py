"""Intervals of a few plain numbers: one value for each seed, or for each room, and where a replication should land.

`student_interval` allows for few values, `bootstrap_interval` draws the values themselves again and again, which is the
idea behind intervals.py without its questions, tasks and seeds. `replication_interval` says where a repetition of a
comparison should land. Questions and rooms are the same in a repetition, so only seeds (and the rounding of another
machine) make it differ; the interval is Student's for the mean of new runs drawn like the old ones.
Left out: repetitions on other rooms, for which the intervals of intervals.py apply.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def resampled_means(values_N: Sequence[float], picks_RN: np.ndarray) -> np.ndarray:
    """The mean of each resample (R,): `picks_RN` says which of the values are in it, by index, some several times."""
    return np.asarray(values_N)[np.asarray(picks_RN)].mean(1)


def bootstrap_interval(values: Sequence[float], resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Low and high end of the 95 % bootstrap interval of a mean: percentiles of the means of resamples.

    A resample has as many values as there are, drawn with replacement. With few values the interval is too narrow.

    Raises:
        ValueError: no value.
    """
    if not len(values):
        raise ValueError("no value has no interval: give at least 2, such as one for each room")
    picks_RN = np.random.default_rng(seed).integers(len(values), size=(resamples, len(values)))
    low, high = np.percentile(resampled_means(values, picks_RN), [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class ReplicationInterval:
    """A mean over `runs` runs, and where the mean of `new_runs` further ones lies in 95 of 100 repetitions."""

    mean: float
    low: float
    high: float
    runs: int
    new_runs: int

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return self.low <= value <= self.high


def student_interval(values: Sequence[float]) -> tuple[float, float]:
    """Low and high end of Student's 95 % interval for the mean of a few values, such as one for each seed.

    Raises:
        ValueError: fewer than two values, which have no spread.
    """
    from scipy.special import stdtrit

    if len(values) < 2:
        raise ValueError(f"{len(values)} value has no spread: give at least 2, from 2 seeds")
    reach = float(stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(np.mean(values)) - reach, float(np.mean(values)) + reach


def replication_interval(values: Sequence[float], new_runs: int) -> ReplicationInterval:
    """Predict the mean of `new_runs` runs from one value for each run that is known.

    Raises:
        ValueError: fewer than two values, which have no spread; fewer than one new run.
    """
    from scipy.stats import t

    if len(values) < 2 or new_runs < 1:
        raise ValueError(f"{len(values)} runs cannot predict {new_runs}: give at least 2 runs, and ask for at least 1")
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    reach = float(t.ppf(0.975, len(values) - 1)) * spread * math.sqrt(1 / len(values) + 1 / new_runs)
    return ReplicationInterval(mean, mean - reach, mean + reach, len(values), new_runs)
