"""Plotly figures as plain SVG, without a browser, a network or a plotting program.

plotly's own export needs Chrome, and GitHub and nbviewer sanitise what they show of a notebook: scripts, `<style>`,
`style=`, clip paths and references are removed. So this writer knows few elements and uses presentation attributes
alone: scatter and bar traces (marks.py), straight shapes, annotations without arrows, linear and logarithmic axes.
Anything else raises an error, so that a still figure never silently lacks something.
Left out: legends (our figures label directly), clipping, category and date axes, plotly's automatic margins.
"""

from __future__ import annotations

import math
from html import escape

import plotly.graph_objects as go

from vsr_kit.plots.marks import bare, default, draw_trace, number, pen, tag, text_at
from vsr_kit.plots.style import FONT, INK, LINE, SOFT, nice_ticks, padded, text_width, tick_label
from vsr_kit.validation import drawable

_ACROSS = {"left": "start", "center": "middle", "right": "end", "auto": "middle", None: "middle"}
_DOWN = {"top": "top", "middle": "middle", "bottom": "bottom", "auto": "middle", None: "middle"}


def figure_svg(fig: go.Figure, alt: str) -> str:
    """Draw `fig`; `alt` becomes the picture's title and label.

    Raises:
        ValueError: naming the trace, shape, annotation or axis it cannot draw, and what to use.
    """
    page = _Page(fig)
    parts = [tag("rect", x=0, y=0, width=page.width, height=page.height, fill=fig.layout.paper_bgcolor or "white")]
    for name in page.axes:
        parts += page.grid(name)
    parts += [page.shape(s) for s in fig.layout.shapes if s.layer == "below"]
    for trace in fig.data:
        if trace.visible not in (False, "legendonly"):
            parts += draw_trace(trace, page.where)
    parts += [page.shape(s) for s in fig.layout.shapes if s.layer != "below"]
    parts += [page.annotation(a) for a in fig.layout.annotations]
    name, wide, high = escape(" ".join(alt.split())), number(page.width), number(page.height)
    size = f'width="{wide}" height="{high}" viewBox="0 0 {wide} {high}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{name}" font-family="{FONT}">'
    return drawable(f"{head}<title>{name}</title>{''.join(parts)}</svg>")


class _Page:
    """Pixels: where the figure's axes lie and how a value becomes a position."""

    def __init__(self, fig: go.Figure) -> None:
        layout, margin = fig.layout, fig.layout.margin
        for trace in fig.data:
            if trace.type not in ("scatter", "bar"):
                raise ValueError(f"trace type {trace.type!r} has no SVG form here: use scatter or bar")
        self.fig = fig
        self.width, self.height = float(layout.width or 900), float(layout.height or 450)
        self.left, self.top = float(default(margin.l, 80)), float(default(margin.t, 100))
        self.right = self.width - float(default(margin.r, 80))
        self.bottom = self.height - float(default(margin.b, 80))
        used = {name[1:] for t in fig.data for name in (t.xaxis or "x", t.yaxis or "y")} if fig.data else {""}
        self.axes = {f"{d}{n}": layout[f"{d}axis{n}"] for n in sorted(used, key=lambda n: int(n or 1)) for d in "xy"}
        self.ranges = {name: self._range(name) for name in self.axes}
        # read once: plotly takes longer to say what an axis is than a point takes to be drawn
        self.logarithmic = {name for name, axis in self.axes.items() if axis.type == "log"}
        self.spans = {name: self._span(name) for name in self.axes}

    def _range(self, name: str) -> tuple[float, float]:
        """Low and high end of an axis (logarithms on a log axis): as given, or around the data."""
        axis = self.axes[name]
        if axis.type not in (None, "-", "linear", "log"):
            raise ValueError(f"axis {name!r} has type {axis.type!r}: draw numbers, and name them by tickvals")
        if axis.range is not None:
            return tuple(map(float, axis.range))
        traces = [t for t in self.fig.data if (t[f"{name[0]}axis"] or name[0]) == name]
        values = [v for t in traces for v in default(t[name[0]], ()) if v is not None]
        try:
            numbers = [float(v) for v in values]
        except (TypeError, ValueError) as error:
            raise ValueError(f"axis {name!r} holds {values[0]!r}: draw numbers, and name them by tickvals") from error
        return padded([math.log10(v) for v in numbers if v > 0] if axis.type == "log" else numbers)

    def _ends(self, direction: str, domain: tuple[float, float] = (0, 1)) -> tuple[float, float]:
        """Pixels of a share of the plotting area, low end first."""
        start, end = (self.left, self.right) if direction == "x" else (self.bottom, self.top)
        return start + domain[0] * (end - start), start + domain[1] * (end - start)

    def _span(self, name: str) -> tuple[float, float]:
        """Pixels of the low and the high end of an axis."""
        return self._ends(name[0], default(self.axes[name].domain, (0, 1)))

    def where(self, name: str, value: float | None, logged: bool = False) -> float | None:
        """Pixel of a value; None where it has none (a gap, or zero on a log axis)."""
        if value is None or not math.isfinite(value):
            return None
        if name in self.logarithmic and not logged:
            if value <= 0:
                return None
            value = math.log10(value)
        (low, high), (start, end) = self.ranges[name], self.spans[name]
        return start + (value - low) / (high - low) * (end - start)

    def _place(self, direction: str, ref: str | None, value: float, logged: bool = False) -> float:
        """Pixel of a shape's or annotation's coordinate: of the paper, of an axis' domain, or of an axis."""
        ref = ref or direction
        if ref != "paper" and not ref.endswith(" domain"):
            return self.where(ref, value, logged)
        start, end = self._ends(direction) if ref == "paper" else self._span(ref.removesuffix(" domain"))
        return start + value * (end - start)

    # -- axes ----------------------------------------------------------------------------------------------------------

    def grid(self, name: str) -> list[str]:
        """Grid lines, tick labels and the title of one axis."""
        axis, across = self.axes[name], name[0] == "x"
        if axis.visible is False:
            return []
        other = axis.anchor or ("y" if across else "x") + name[1:]
        start, end = self._span(other)
        looks = default(axis.tickfont.size, 12), axis.tickfont.color or SOFT
        lines, texts, widest = [], [], 0.0
        for value, shown in self._ticks(name):
            at = self.where(name, value)
            if at is None:
                continue
            ends = (at, start, at, end) if across else (start, at, end, at)
            stroke = pen(axis.gridcolor or LINE, default(axis.gridwidth, 1))
            lines.append(tag("line", **dict(zip(("x1", "y1", "x2", "y2"), ends, strict=True)), **stroke))
            widest = max(widest, *(text_width(bare(line), looks[0]) for line in shown.split("<br>")))
            place = ((at, start + 7), *looks, "middle", "top") if across else ((start - 8, at), *looks, "end")
            texts.append(text_at(shown, *place))
        lines = lines if axis.showgrid is not False else []
        texts = texts if axis.showticklabels is not False else []
        if axis.showline:
            (a, b), stroke = self._span(name), pen(axis.linecolor or SOFT, default(axis.linewidth, 1))
            ends = (a, start, b, start) if across else (start, a, start, b)
            lines.append(tag("line", **dict(zip(("x1", "y1", "x2", "y2"), ends, strict=True)), **stroke))
        return lines + texts + self._axis_title(name, start, widest)

    def _ticks(self, name: str) -> list[tuple[float, str]]:
        axis, (low, high) = self.axes[name], sorted(self.ranges[name])
        if axis.tickvals is not None:
            texts = default(axis.ticktext, [tick_label(v) for v in axis.tickvals])
            return list(zip(axis.tickvals, texts, strict=True))
        if axis.type == "log":
            return [(10.0**p, tick_label(10.0**p)) for p in range(math.ceil(low), math.floor(high) + 1)]
        return [(v, tick_label(v)) for v in nice_ticks(low, high)]

    def _axis_title(self, name: str, base: float, widest: float) -> list[str]:
        title = self.axes[name].title
        if not title.text:
            return []
        looks, middle = (default(title.font.size, 13), title.font.color or SOFT, "middle"), sum(self._span(name)) / 2
        if name[0] == "x":
            return [text_at(title.text, (middle, base + 34), *looks)]
        return [text_at(title.text, (base - widest - 22, middle), *looks, turn=-90)]

    # -- shapes and annotations ----------------------------------------------------------------------------------------

    def shape(self, shape) -> str:
        """A straight line or a rectangle."""
        x1, x2 = (self._place("x", shape.xref, v) for v in (shape.x0, shape.x1))
        y1, y2 = (self._place("y", shape.yref, v) for v in (shape.y0, shape.y1))
        line = shape.line
        drawn = pen(line.color or INK, default(line.width, 2), default(shape.opacity, 1), line.dash)
        if shape.type == "line":
            return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **drawn)
        if shape.type == "rect":
            box = {"x": min(x1, x2), "y": min(y1, y2), "width": abs(x2 - x1), "height": abs(y2 - y1)}
            return tag("rect", **box, fill=shape.fillcolor or "none", **(drawn if drawn["stroke_width"] else {}))
        raise ValueError(f"shape type {shape.type!r} has no SVG form here: use line, rect or a filled scatter trace")

    def annotation(self, note) -> str:
        """Text at a place."""
        if note.showarrow is not False:
            raise ValueError(f"annotation {note.text!r} has an arrow, which has no SVG form here: set showarrow=False")
        # On a log axis plotly places annotations by logarithms, shapes by values.
        x = self._place("x", note.xref, note.x, logged=True) + default(note.xshift, 0)
        y = self._place("y", note.yref, note.y, logged=True) - default(note.yshift, 0)
        looks = default(note.font.size, 13), note.font.color or INK, _ACROSS[note.xanchor], _DOWN[note.yanchor]
        return text_at(note.text or "", (x, y), *looks, turn=default(note.textangle, 0))
