"""One metric of several trainings over each other: a line a training, a band over its seeds, raw steps faint behind.

The heading says what the band spans, how wide the smoothing is and what a place on the axis is. A training whose seeds
have no step in common has its raw steps and no line; one that did not log the metric is named as such.
Left out: several metrics at once (`training_curves`), and intervals, for which the seeds of a curve are too few.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from vsr_kit.plots.canvas import BASELINE, Figure, axis, band, canvas, decades, label
from vsr_kit.plots.curves import AXES, Curve, Log, curve, measured, thinned
from vsr_kit.plots.style import SERIES, SOFT, color_of, nice_ticks, padded, plain, tick_label, tidy
from vsr_kit.plots.training import METRICS, metric_name
from vsr_kit.validation import one_of, whole

_DASHES = ("solid", "dash", "dot", "dashdot")  # once the palette begins again
_FAINT, _POINTS = 0.3, 80  # of raw steps: how faint, and how many of a run at most


def overlay(
    curves: Mapping[str, Sequence[Log]],
    metric: str = "reward",
    *,
    source: str,
    over: str = "step",
    smooth: int = 1,
    title: str = "",
) -> Figure:
    """Draw one metric of several trainings.

    Args:
        curves: a training's name to the rows of each of its seeds, as `RunFolder.read_metrics()` gives them.
        metric: a key of those rows.
        source: `measured now` or `shipped`.
        over: what lies on the axis: `step`, `tokens` or `seconds`.
        smooth: trailing mean of each seed over so many of its logged steps.
        title: the figure's; the metric's name by default.

    Raises:
        ValueError: another axis, or a smoothing below 1.
    """
    one_of("over", over, AXES)
    whole("smooth", smooth)
    raw = {name: [measured(rows, metric, over) for rows in seeds] for name, seeds in curves.items()}
    lines = {name: curve(seeds, metric, over, smooth) for name, seeds in curves.items()}
    looks = {name: (color_of(name, i), _DASHES[i // len(SERIES) % len(_DASHES)]) for i, name in enumerate(curves)}
    logarithmic = METRICS.get(metric, ("", False))[1]
    fig = canvas(
        title or metric_name(metric),
        source,
        _alt(lines, raw, metric, over),
        note=_note(curves, smooth, over),
        keys=[("━", looks[name][0], _key(name, raw[name])) for name in curves],
        height_px=300,
        left_px=70,
    )
    _scale(fig, raw, logarithmic, over)
    for name in curves:
        if smooth > 1 or len(raw[name]) > 1:
            _points(fig, raw[name], looks[name][0], logarithmic)
    for name, line in lines.items():
        _line(fig, name, line, *looks[name], logarithmic)
    return fig


def _scale(fig: Figure, raw: Mapping, logarithmic: bool, over: str) -> None:
    """Both axes, and a word where nothing is to be seen on them."""
    values = [y for seeds in raw.values() for seed in seeds for *_, y in seed]
    right = max((x for seeds in raw.values() for seed in seeds for _, x, _ in seed), default=1)
    shown = [y for y in values if y > 0 or not logarithmic]
    up = decades(min(shown, default=0.1), max(shown, default=1.0)) if logarithmic else axis(*padded(shown, 0.06, 0.02))
    ticks = nice_ticks(0, right * 1.02 or 1)
    across = axis(0, right * 1.02 or 1, ticks=ticks, ticktext=[_short(v) for v in ticks], title_text=AXES[over])
    fig.update_layout(xaxis=across | BASELINE, yaxis=up)
    if not shown:
        fig.add_trace(go.Scatter(x=[], y=[], mode="lines"))  # axes are drawn for traces only
        said = "zero at every step" if values else "not logged"
        label(fig, said, right / 2, sum(up["range"]) / 2, color=SOFT, anchor="center")


def _short(value: float) -> str:
    """A place on the axis; tokens are many."""
    size, unit = next(((s, u) for s, u in ((1e6, " M"), (1e4, " k")) if value >= s), (1, ""))
    return tick_label(value / (1e3 if unit == " k" else size)) + unit


def _points(fig: Figure, seeds: Sequence, color: str, logarithmic: bool) -> None:
    """Logged steps of every seed, faint, as they are."""
    at = [(x, y) for seed in seeds for _, x, y in thinned(seed, _POINTS) if y > 0 or not logarithmic]
    look = {"mode": "markers", "marker": {"color": color, "size": 3.5, "opacity": _FAINT}, "hoverinfo": "skip"}
    fig.add_trace(go.Scatter(x=tidy(x for x, _ in at), y=tidy(y for _, y in at), **look))


def _line(fig: Figure, name: str, line: Curve, color: str, dash: str, logarithmic: bool) -> None:
    """The band and the mean of a training; zero has no place on a logarithmic axis."""
    rows = list(zip(line.xs, line.middle, line.low, line.high, strict=True))
    rows = [row for row in rows if min(row[1:]) > 0 or not logarithmic]
    xs, middle, low, high = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    if any(a != b for a, b in zip(low, high, strict=True)):
        band(fig, xs, low, high, color)
    alone = {"mode": "markers", "marker": {"color": color, "size": 9}}  # a line of one point is no line
    look = alone if len(xs) == 1 else {"mode": "lines", "line": {"color": color, "width": 2.2, "dash": dash}}
    fig.add_trace(go.Scatter(x=tidy(xs), y=tidy(middle), name=plain(name), hovertemplate="%{x}: %{y}", **look))


def _key(name: str, seeds: Sequence) -> str:
    """A training's name in the heading, and what is odd about it."""
    logged = [seed for seed in seeds if seed]
    if not logged:
        return f"{name} (not logged)"
    told = f"{len(logged)} seeds" if len(logged) > 1 else ""
    one_step = "one step" if max(map(len, logged)) == 1 else ""
    more = ", ".join(filter(None, [told, one_step]))
    return f"{name} ({more})" if more else name


def _note(curves: Mapping[str, Sequence], smooth: int, over: str) -> str:
    """What line, band, points and places are."""
    several = any(len(seeds) > 1 for seeds in curves.values())
    parts = ["line = mean of the seeds at the steps that all of them logged, band = lowest to highest seed"] * several
    parts += [f"trailing mean of {smooth} logged steps"] if smooth > 1 else []
    parts += [f"faint points = logged steps, about {_POINTS} of a run"] if smooth > 1 or several else []
    parts += [f"{over} = mean over the seeds at each step"] if several and over != "step" else []
    return " · ".join(parts)


def _alt(lines: Mapping[str, Curve], raw: Mapping, metric: str, over: str) -> str:
    told = []
    for name, line in lines.items():
        if line.xs:
            ends = [f"{line.middle[i]:.3g} at {over} {line.xs[i]:.4g}" for i in (0, -1)]
            told.append(f"{name} from {ends[0]} to {ends[1]}")
        else:
            told.append(f"{name} has no line" if any(raw[name]) else f"{name} did not log it")
    return f"{metric_name(metric)} over {AXES[over]}: {'; '.join(told)}."
