"""From a run's log to the points of a curve: over steps, tokens or seconds; smoothed; the mean of several seeds.

Rows are what `RunFolder.read_metrics()` gives: those that no later attempt wrote again. Over tokens and seconds a
resumed run goes on where the attempt before it had got to, since both counts may begin anew with an attempt. Values
that are missing, or no finite numbers, are no points.
Left out: drawing (training.py, sketch.py and overlay.py do it), and time that a kill lost: its rows do not count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vsr_kit.validation import one_of

AXES = {"step": "step", "tokens": "tokens read and written", "seconds": "seconds of training, preparations included"}
_FIELDS = {"tokens": "num_tokens", "seconds": "elapsed_s"}
MOST_POINTS = 240

Log = Sequence[Mapping]


@dataclass(frozen=True)
class Curve:
    """The mean of some seeds, at the steps that all of them logged.

    Attributes:
        xs: where each point lies, the mean over seeds; so is `middle`.
        low, high: lowest and highest seed; the same as `middle` where there is one.
    """

    xs: list[float]
    middle: list[float]
    low: list[float]
    high: list[float]


def is_number(value: object) -> bool:
    """Whether a logged value can be drawn; a truth value cannot."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def trailing(values: Sequence[float], width: int) -> list[float]:
    """The mean of each value and up to `width` - 1 before it, as many as there are values."""
    return [_mean(values[max(0, i + 1 - width) : i + 1]) for i in range(len(values))]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(
        values
    )  # statistics.mean takes thirty times as long, and live curves are drawn often


def places(rows: Log, axis: str = "step") -> dict[int, float]:
    """Where each step of a run lies on an axis, one of AXES; steps without a place on it are left out.

    Raises:
        ValueError: another axis.
    """
    one_of("axis", axis, AXES)
    if axis == "step":
        return {row["step"]: row["step"] for row in rows if is_number(row.get("step"))}
    found: dict[int, float] = {}
    before, last, attempt = 0.0, 0.0, None
    for row in rows:
        if not (is_number(row.get("step")) and is_number(row.get(_FIELDS[axis]))):
            continue
        value = float(row[_FIELDS[axis]])
        if row.get("attempt") != attempt:
            begun_anew, attempt = axis == "seconds" or value < last, row.get("attempt")
            before, last = (before + last if begun_anew else before), 0.0
        found[row["step"]], last = before + value, value
    return found


def measured(rows: Log, key: str, axis: str = "step") -> list[tuple[int, float, float]]:
    """(step, place, value) of every step that logged the metric, in the order of steps."""
    at = places(rows, axis)
    values = {row.get("step"): float(row[key]) for row in rows if is_number(row.get(key))}
    return [(step, at[step], values[step]) for step in sorted(at) if step in values]


def curve(seeds: Sequence[Log], key: str, axis: str = "step", smooth: int = 1) -> Curve:
    """The mean of some runs at the steps that all of them logged; empty where there are none.

    smooth: each run is first replaced by its trailing mean over so many of its own logged steps.
    """
    runs = []
    for rows in seeds:
        points = measured(rows, key, axis)
        smoothed = trailing([value for *_, value in points], smooth)
        runs.append({step: (x, y) for (step, x, _), y in zip(points, smoothed, strict=True)})
    shared = sorted(set.intersection(*map(set, runs))) if runs else []
    kept = thinned(shared)
    across = [[run[step] for run in runs] for step in kept]
    ys = [[y for _, y in points] for points in across]
    xs = [_mean([x for x, _ in points]) for points in across]
    return Curve(xs, [_mean(y) for y in ys], [min(y) for y in ys], [max(y) for y in ys])


def thinned(values: Sequence, most: int = MOST_POINTS) -> list:
    """About `most` of the values, evenly, the last among them."""
    apart = max(1, -(-len(values) // most))
    return [values[i] for i in sorted({*range(0, len(values), apart), *range(len(values))[-1:]})]
