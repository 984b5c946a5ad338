"""A figure about a knob: what came out at each setting, along the knob's own scale.

Every setting was run and asked; a line joins the means, and at each stands its interval, with what single runs gave
beside it. One setting may be chosen, whose numbers are then written out: a slider redraws the figure with another.
Left out: settings between those that were run, and fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from vsr_kit.plots.canvas import BASELINE, Figure, axis, canvas
from vsr_kit.plots.comparisons import Band, signed
from vsr_kit.plots.style import BLUE, FAINT, ORANGE, SOFT, padded, plain, tidy

_HEIGHT_PX = 260


def by_setting(
    bands: Mapping[float, Band],
    *,
    source: str,
    runs: Mapping[float, Sequence[float]] | None = None,
    chosen: float | None = None,
    knob: str = "setting",
    unit: str = "",
    note: str = "points, bars = 95 % intervals",
    title: str = "What the knob does",
) -> Figure:
    """Draw differences over the settings of a knob.

    Args:
        bands: a setting to (mean, low, high), in points.
        source: `measured now` or `shipped`.
        runs: a setting to what its single runs gave, in points; drawn as small rings.
        chosen: the setting to write out; none by default.
        knob: what the horizontal axis says.
        unit: stands behind a setting, such as ` %`.
        note: what the numbers are.
        title: the figure's.

    Raises:
        ValueError: fewer than two settings, or a chosen one that is not among them.
    """
    if len(bands) < 2:
        raise ValueError(f"{len(bands)} setting is no line to draw: give at least 2, as {{setting: (mean, low, high)}}")
    if chosen is not None and chosen not in bands:
        raise ValueError(f"setting {chosen:g} was not run: choose one of {', '.join(f'{at:g}' for at in bands)}")
    order = sorted(bands)
    told = "; ".join(f"{at:g}{unit}: {signed(bands[at])}" for at in order)
    single = {at: list((runs or {}).get(at, ())) for at in order}
    low, high = padded([0.0, *(v for band in bands.values() for v in band), *sum(single.values(), [])], 0.12)
    reach = 0.08 * (order[-1] - order[0])
    keys = [("●", BLUE, "mean"), *([("○", FAINT, "one run")] if any(single.values()) else [])]
    if chosen is not None:  # among the keys, where no bar and no line runs
        keys.append(("●", ORANGE, f"{chosen:g}{unit}: {signed(bands[chosen])}"))
    fig = canvas(
        title,
        source,
        f"Differences in points by {knob}: {told}.",
        note=note,
        keys=keys,
        height_px=_HEIGHT_PX,
        left_px=66,
    )
    _axes(fig, order, reach, (low, high), knob, unit)
    ends = {"x": [order[0] - reach, order[-1] + reach], "y": [0, 0]}
    fig.add_trace(go.Scatter(**ends, mode="lines", line={"color": SOFT, "width": 1.5}, hoverinfo="skip"))
    for at in order:
        _draw_setting(fig, at, bands[at], single[at], ORANGE if at == chosen else BLUE)
    hover = {"text": [plain(f"{at:g}{unit}") for at in order], "hovertemplate": "%{text}: %{y}<extra></extra>"}
    means = tidy([bands[at][0] for at in order])
    look = {"line": {"color": BLUE, "width": 2}, "marker": {"color": BLUE, "size": 9}}
    fig.add_trace(go.Scatter(x=order, y=means, mode="lines+markers", **look, **hover))
    if chosen is not None:
        dot = {"x": [chosen], "y": tidy([bands[chosen][0]]), "mode": "markers", "marker": {"color": ORANGE, "size": 12}}
        fig.add_trace(go.Scatter(**dot, hoverinfo="skip"))
    return fig


def _axes(fig: Figure, order: Sequence[float], reach: float, span: tuple[float, float], knob: str, unit: str) -> None:
    """Settings from left to right, points upwards; `reach` is the room beside the first and the last setting."""
    fig.update_layout(
        xaxis=axis(
            order[0] - reach,
            order[-1] + reach,
            ticks=order,
            ticktext=[plain(f"{at:g}{unit}") for at in order],
            title_text=plain(knob),
            **BASELINE,
        ),
        yaxis=axis(*span, title_text="difference, points"),
    )


def _draw_setting(fig: Figure, at: float, band: Band, single: Sequence[float], color: str) -> None:
    line = {"x": [at, at], "y": tidy(band[1:]), "mode": "lines", "line": {"color": color, "width": 3}}
    fig.add_trace(go.Scatter(**line, hoverinfo="skip"))
    if single:
        ring = {"color": "white", "size": 7, "line": {"color": FAINT, "width": 1.5}}
        fig.add_trace(
            go.Scatter(
                x=[at] * len(single),
                y=tidy(single),
                mode="markers",
                marker=ring,
                hovertemplate="one run: %{y}<extra></extra>",
            )
        )
