"""What a cell displays (`Figure`, `Picture`, `Html`), and the empty figure that every plot starts from.

A saved notebook is read on GitHub and nbviewer, which run no script, so a `Figure` gives both plotly's JSON and an SVG
drawn from the same figure, and the viewer takes what it can show. Pictures are PNG; tables and traces are HTML that
stays readable when a site removes its styles. Each carries alternative text.

`canvas` makes the empty figure. Title, source line and keys are placed in pixels from the top left corner, so that
plotly and the SVG writer put them in the same place; axes have explicit ranges and ticks for the same reason. The
alternative text is stored inside the figure.

Left out: PDF, figures that svg.py cannot draw (it raises an error), and titles, legends and margins laid out by plotly.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from vsr_kit.plots.style import (
    FAINT,
    FONT,
    INK,
    LINE,
    SOFT,
    WIDTH_PX,
    check_source,
    nice_ticks,
    plain,
    text_width,
    tick_label,
    tidy,
    wrap,
)
from vsr_kit.validation import drawable

PLOTLY_MIME = "application/vnd.plotly.v1+json"
_CONFIG = {"displaylogo": False, "displayModeBar": False, "responsive": False}


class Figure(go.Figure):
    """A plotly figure that brings its own still picture; everything plotly does with a figure works on it."""

    _ipython_display_ = None  # plotly's own would put its script into the notebook

    @property
    def alt(self) -> str:
        """What the figure shows, for readers who cannot see it."""
        return (self.layout.meta or {}).get("alt", "")

    @property
    def source(self) -> str:
        """`measured now` or `shipped`."""
        return (self.layout.meta or {}).get("source", "")

    def to_svg(self) -> str:
        """The figure as an SVG document without scripts, styles or outside references."""
        from vsr_kit.plots.svg import figure_svg

        return figure_svg(self, self.alt)

    def _repr_mimebundle_(self, include=None, exclude=None, **_) -> dict:
        live = json.loads(drawable(json.dumps(json.loads(self.to_json()), ensure_ascii=False))) | {"config": _CONFIG}
        return {PLOTLY_MIME: live, "image/svg+xml": self.to_svg(), "text/plain": drawable(self.alt)}

    def _repr_html_(self) -> None:  # plotly's would carry its script
        return None

    def __html__(self) -> str:
        return f"<figure>{self.to_svg()}</figure>"


@dataclass(frozen=True)
class Picture:
    """A PNG with alternative text and the width in pixels it is shown at."""

    png: bytes
    alt: str
    width_px: int

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        data = {"image/png": base64.b64encode(self.png).decode(), "text/plain": self.alt}
        return data, {"image/png": {"width": self.width_px, "alt": self.alt}}

    def __html__(self) -> str:
        image = base64.b64encode(self.png).decode()
        return f'<img src="data:image/png;base64,{image}" alt="{escape(self.alt)}" width="{self.width_px}">'


@dataclass(frozen=True)
class Html:
    """Markup we made ourselves, all foreign text in it escaped already; `alt` says it in one line."""

    markup: str
    alt: str = ""

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        return {"text/html": self.__html__(), "text/plain": drawable(self.alt or "a table")}

    def __html__(self) -> str:
        return drawable(self.markup)


def show(fig: go.Figure, alt: str | None = None) -> Figure:
    """Make any plotly figure displayable where no script runs; the last expression of a cell shows it.

    Args:
        fig: a figure of scatter and bar traces, see `svg.py`.
        alt: alternative text; needed unless the figure is one of ours and has it.

    Raises:
        ValueError: without alternative text, or where the SVG writer cannot draw the figure.
    """
    alt = alt or (fig.layout.meta or {}).get("alt")
    if not alt:
        raise ValueError("a figure needs alternative text: show(fig, alt='what it shows')")
    shown = Figure(fig)
    shown.update_layout(meta={**(fig.layout.meta or {}), "alt": alt})
    shown.to_svg()  # fail here, with a message, rather than inside the notebook's display
    return shown


BASELINE = {"showgrid": False, "showline": True, "linecolor": FAINT}  # a horizontal axis: a line to stand on
Key = tuple[str, str, str]  # glyph, colour, label
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def canvas(
    title: str,
    source: str,
    alt: str,
    *,
    note: str = "",
    keys: Sequence[Key] = (),
    height_px: float,
    left_px: float = 60,
    right_px: float = 24,
    bottom_px: float = 48,
    width_px: float = WIDTH_PX,
) -> Figure:
    """Open a figure: title, source and note, keys; `height_px` is the plotting area's, the header comes on top.

    Args:
        title: what the figure shows.
        source: `measured now` or `shipped`.
        alt: what a reader who cannot see it needs.
        note: seeds, intervals, what the marks mean.
        keys: glyph, colour and label of each kind of mark.
    """
    caption = check_source(source) + (f" · {note}" if note else "")
    lines = [line.strip("· ") for line in wrap(caption, width_px - 24, 13.5)]
    key_rows = _key_rows(keys, width_px)
    top = 40 + 18 * len(lines) + 24 * len(key_rows) + 14
    fig = Figure()
    fig.update_layout(
        template="none",
        width=round(width_px),
        height=round(height_px + top + bottom_px),
        margin={"l": left_px, "r": right_px, "t": top, "b": bottom_px, "pad": 0},
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="white",
        plot_bgcolor="white",
        showlegend=False,
        barmode="overlay",
        hoverlabel={"font": {"family": FONT, "size": 13}},
        meta={"alt": " ".join(f"{alt} ({source})".split()), "source": source},
    )
    write(fig, f"<b>{plain(title)}</b>", 12, 22, size=17)
    for i, line in enumerate(lines):
        shown = plain(line)
        write(fig, shown.replace(source, f"<b>{source}</b>", 1) if i == 0 else shown, 12, 45 + 18 * i, color=SOFT)
    for row, placed in enumerate(key_rows):
        y = 40 + 18 * len(lines) + 16 + 24 * row
        for x, (glyph, color, label) in placed:
            write(fig, f"<b>{glyph}</b>", x, y, color=color, size=15)
            write(fig, plain(label), x + 20, y)
    return fig


def _key_rows(keys: Sequence[Key], width_px: float) -> list[list[tuple[float, Key]]]:
    rows: list[list[tuple[float, Key]]] = []
    x = width_px
    for key in keys:
        wide = text_width(key[2], 13) + 46
        if x + wide > width_px:
            rows.append([])
            x = 12.0
        rows[-1].append((x, key))
        x += wide
    return rows


def write(fig: Figure, text: str, x_px: float, y_px: float, *, size: float = 13, color: str = INK) -> None:
    """Put text at pixels from the figure's top left corner; `y_px` is the line's middle."""
    margin = fig.layout.margin
    shift = {"xshift": x_px - margin.l, "yshift": margin.t - y_px}
    _put(fig, text, {"x": 0, "y": 1, "xref": "paper", "yref": "paper", **shift}, size, color, "left")


def label(
    fig: Figure,
    text: str,
    x: float,
    y: float,
    *,
    axes: str = "",
    color: str = INK,
    size: float = 13,
    anchor: str = "left",
    right_px: float = 0,
    up_px: float = 0,
) -> None:
    """Put text at a data point of the axes with this number ('' or '2', …), moved by some pixels."""
    place = {"x": x, "y": y, "xref": f"x{axes}", "yref": f"y{axes}", "xshift": right_px, "yshift": up_px}
    _put(fig, text, place, size, color, anchor)


def head(fig: Figure, text: str, axes: str = "", *, size: float = 13) -> None:
    """Put a bold line above a panel's top left corner."""
    place = {"x": 0, "y": 1, "xref": f"x{axes} domain", "yref": f"y{axes} domain", "yshift": 13}
    _put(fig, f"<b>{plain(text)}</b>", place, size, INK, "left")


def _put(fig: Figure, text: str, place: dict, size: float, color: str, anchor: str) -> None:
    font = {"size": size, "color": color}
    fig.add_annotation(text=text, **place, xanchor=anchor, yanchor="middle", align="left", showarrow=False, font=font)


def axis(low: float, high: float, *, ticks: Sequence[float] | None = None, **more) -> dict:
    """A linear axis with explicit range and ticks, so that every renderer draws the same one.

    Args:
        low, high: its ends.
        ticks: where grid lines and numbers go; round values by default.
        more: further plotly attributes of the axis, `ticktext` among them.
    """
    at = list(ticks) if ticks is not None else nice_ticks(low, high)
    looks = {"showgrid": True, "gridcolor": LINE, "zeroline": False, "showline": False}
    gap = {"ticks": "outside", "ticklen": 6, "tickcolor": "rgba(0,0,0,0)"}  # between numbers and plot
    fonts = {"tickfont": {"size": 12, "color": SOFT}, "title_font": {"size": 13, "color": SOFT}}
    marks = {"tickmode": "array", "tickvals": at, "ticktext": [tick_label(v) for v in at]}
    return {"range": [low, high], **marks, **looks, **gap, **fonts, **more}


def decades(low: float, high: float, about: int = 4, **more) -> dict:
    """A logarithmic axis over whole decades around `low` and `high`, both above zero."""
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    last = max(last, first + 1)
    powers = range(first, last + 1, -(-(last - first) // about))
    far = any(abs(p) > 2 for p in powers)
    texts = [f"10{str(p).translate(_RAISED)}" if far and p else tick_label(10.0**p) for p in powers]
    return axis(first, last, ticks=[10.0**p for p in powers], ticktext=texts, type="log") | more


def band(fig: Figure, xs: Sequence, low: Sequence, high: Sequence, color: str, *, axes: str = "") -> None:
    """A translucent band between two curves."""
    fill = f"rgba({','.join(str(int(color[i : i + 2], 16)) for i in (1, 3, 5))},0.15)"
    outline = {"x": [*xs, *reversed(xs)], "y": tidy([*low, *reversed(high)]), "fill": "toself", "fillcolor": fill}
    panel = {"xaxis": f"x{axes}", "yaxis": f"y{axes}"}
    fig.add_trace(go.Scatter(**outline, **panel, mode="lines", line={"width": 0, "color": color}, hoverinfo="skip"))


def spread(positions: Sequence[float], least: float) -> list[float]:
    """Move labels apart along one axis: same order, neighbours at least `least` apart, as near their wish as can be."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    blocks: list[list[float]] = []  # sum of wished first positions, count
    for rank, i in enumerate(order):
        blocks.append([positions[i] - rank * least, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + last[0], blocks[-1][1] + last[1]]
    placed = [total / count for total, count in blocks for _ in range(int(count))]
    out = [0.0] * len(positions)
    for rank, i in enumerate(order):
        out[i] = placed[rank] + rank * least
    return out
