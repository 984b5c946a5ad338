"""Differences with their intervals under one another: which hold zero, and what was concluded.

The story: a ledger of claims is read by looking for the line at zero; the words at the right say what the claim's own
rule made of it. Left out: differences of different units in one figure, and sorting by size.
"""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go

from vsr_kit.plots.canvas import axis, canvas, label
from vsr_kit.plots.display import Figure
from vsr_kit.plots.style import BLUE, FAINT, ORANGE, SOFT, padded, plain, text_width

Band = tuple[float, float, float]
_BAND_PX = 30
_NAME = 72  # letters of a row's name; the longest claim with its longest finding has 63


def difference_forest(
    differences: Mapping[str, Band],
    *,
    source: str,
    said: Mapping[str, str] | None = None,
    note: str = "points, bars = 95 % intervals",
    title: str = "Differences",
) -> Figure:
    """Draw paired differences as dots with bars around a line at zero.

    Args:
        differences: a row's name to (mean, low, high), in points, from top to bottom.
        source: `measured now` or `shipped`.
        said: a row's name to what stands at its right, such as a verdict.
        note: what the numbers are.
        title: the figure's.

    Raises:
        ValueError: without any row.
    """
    if not differences:
        raise ValueError("there is no difference to draw: give {name: (mean, low, high)}")
    said, names = said or {}, list(differences)
    low, high = padded([0.0, *(v for band in differences.values() for v in band)], 0.05)
    told = "; ".join(f"{n} {m:+.1f} ({a:+.1f} to {b:+.1f}) {said.get(n, '')}" for n, (m, a, b) in differences.items())
    fig = canvas(
        title,
        source,
        f"Differences in points: {told}.",
        note=note,
        keys=[("●", BLUE, "above zero"), ("●", ORANGE, "below zero"), ("●", FAINT, "the interval holds zero")],
        height_px=_BAND_PX * len(names),
        left_px=24 + max(text_width(plain(n, _NAME), 13) for n in names),
        right_px=24 + max((text_width(text, 13) for text in said.values()), default=0),
    )
    fig.update_layout(
        xaxis=axis(low, high, title_text="difference, points"),
        yaxis=axis(
            len(names) - 0.5, -0.5, ticks=range(len(names)), ticktext=[plain(n, _NAME) for n in names], showgrid=False
        ),
    )
    ends = {"x": [0, 0], "y": [-0.5, len(names) - 0.5]}
    fig.add_trace(go.Scatter(**ends, mode="lines", line={"color": SOFT, "width": 1.5}, hoverinfo="skip"))
    for place, (name, band) in enumerate(differences.items()):
        _row(fig, place, name, band)
        label(fig, plain(said.get(name, "")), high, place, color=_color(band) if said.get(name) else SOFT, right_px=10)
    return fig


def _color(band: Band) -> str:
    _, low, high = band
    return BLUE if low > 0 else ORANGE if high < 0 else SOFT


def _row(fig: Figure, place: int, name: str, band: Band) -> None:
    mean, low, high = (round(v, 2) for v in band)
    color = FAINT if _color(band) == SOFT else _color(band)
    line = {"x": [low, high], "y": [place, place], "mode": "lines", "line": {"color": color, "width": 3}}
    fig.add_trace(go.Scatter(**line, hoverinfo="skip"))
    hover = {"text": [plain(name)], "hovertemplate": f"%{{text}}: %{{x}} ({low} to {high})<extra></extra>"}
    fig.add_trace(go.Scatter(x=[mean], y=[place], mode="markers", marker={"color": color, "size": 9}, **hover))
