"""Training collapse, found in one curve of a run's log: its format reward or its accuracy reward.

The vsGRPO paper reports that training without a KL term "can easily lead to training collapse" and shows a format
reward that falls and stays down, without a number. Here collapse is a rule, fixed before the runs: a running mean has
fallen below a share of the best one so far, and is still below it at the end. A dip that recovers is no collapse.
Left out: curves that never rise, and the reason for a collapse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def collapsed(values: Sequence[float], window: int = 20, fall: float = 0.5) -> int | None:
    """The step, counted from 1, at which a curve fell for good; None if it did not.

    At step t stands the mean of the `window` values up to t, from t = window on. It is down where it is below `fall`
    times the best mean so far. A run that is down at its end collapsed, at the first step of the last fall.

    Args:
        values: of each step, in order; none below 0 (a share of a negative best would turn the rule round).
        window: steps. A curve shorter than that says nothing: None.
        fall: share of the best, between 0 and 1.

    Raises:
        ValueError: a value that is negative or no finite number, a window below 1, a fall outside (0, 1).
    """
    if window < 1 or not 0 < fall < 1:
        raise ValueError(f"window is {window} and fall {fall}: take at least one step, and a share between 0 and 1")
    for step, value in enumerate(values, 1):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"the value of step {step} is {value}: give rewards or shares, finite and not negative")
    best, first = 0.0, None
    for step, mean in enumerate(running_mean(values, window), window):
        best = max(best, mean)
        if mean >= fall * best:
            first = None
        elif first is None:
            first = step
    return first


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """The mean of each `window` consecutive values, N - window + 1 of them; none where there are fewer values."""
    return [math.fsum(values[end - window : end]) / window for end in range(window, len(values) + 1)]
