"""Plotly's scatter and bar traces as SVG elements.

The story: `svg.py` knows where a value lies on the page (`where`); here a trace becomes outlines, error bars, lines,
markers and text, from back to front. Left out: stacking and grouping (our bars give their own base and width), curved
and stepped lines, `fill="tonexty"`; each raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vsr_kit.plots.elements import Point, ink, pen, points, symbol_at, tag, text_at
from vsr_kit.plots.style import INK

Where = Callable[[str, float | None], float | None]  # axis name, value -> pixel


def default(value, otherwise):
    """`value`, or `otherwise` where plotly has None: empty lists and zeros are values, and arrays have no truth."""
    return otherwise if value is None else value


def pick(value, index: int):
    """The entry of an attribute that may be one value for all points or one for each."""
    return value if isinstance(value, (str, int, float)) else value[index]


def draw_trace(trace, where: Where) -> list[str]:
    """All marks of one scatter or bar trace.

    Raises:
        ValueError: for a fill, line or symbol that has no form here.
    """
    xs, ys = list(default(trace.x, ())), list(default(trace.y, ()))
    names = trace.xaxis or "x", trace.yaxis or "y"
    if trace.type == "bar":
        return _bars(trace, xs, ys, names, where)
    pixels = [(where(names[0], x), where(names[1], y)) for x, y in zip(xs, ys, strict=True)]
    mode, parts = trace.mode or "lines", []
    if trace.fill not in (None, "none"):
        parts.append(_outline(trace, pixels))
    parts += _errors(trace, xs, ys, names, where)
    if "lines" in mode and default(trace.line.width, 2) > 0:
        parts += [_line(trace, run) for run in _runs(pixels) if len(run) > 1]
    present = [(i, at) for i, at in enumerate(pixels) if None not in at]
    if "markers" in mode:
        parts += [_symbol(trace, i, at) for i, at in present]
    if "text" in mode:
        parts += [_text(trace, i, at) for i, at in present if pick(trace.text, i)]
    return parts


def _outline(trace, pixels: Sequence) -> str:
    if trace.fill != "toself":
        raise ValueError(f"fill={trace.fill!r} has no SVG form here: draw the whole outline and use fill='toself'")
    fill, see = ink(trace.fillcolor or trace.line.color or INK, default(trace.opacity, 1))
    return tag("polygon", points=points(at for at in pixels if None not in at), fill=fill, fill_opacity=see)


def _line(trace, run: list[Point]) -> str:
    line = trace.line
    if line.shape not in (None, "linear"):
        raise ValueError(f"line shape {line.shape!r} has no SVG form here: use 'linear'")
    drawn = pen(line.color or INK, default(line.width, 2), default(trace.opacity, 1), line.dash)
    return tag("polyline", points=points(run), fill="none", **drawn, stroke_linejoin="round")


def _runs(pixels: Sequence) -> list[list[Point]]:
    """Cut a line at its gaps."""
    runs: list[list[Point]] = [[]]
    for at in pixels:
        if None in at:
            runs.append([])
        else:
            runs[-1].append(at)
    return runs


def _errors(trace, xs: list, ys: list, names: tuple[str, str], where: Where) -> list[str]:
    parts = []
    for across, bar in ((True, trace.error_x), (False, trace.error_y)):
        if bar.array is None or bar.visible is False:
            continue
        below = default(bar.arrayminus, bar.array)
        drawn = pen(bar.color or INK, default(bar.thickness, 2), default(trace.opacity, 1))
        for i, (x, y) in enumerate(zip(xs, ys, strict=True)):
            if None in (x, y, bar.array[i], below[i]):
                continue
            x_ends = (x - below[i], x + bar.array[i]) if across else (x, x)
            y_ends = (y, y) if across else (y - below[i], y + bar.array[i])
            (x1, x2), (y1, y2) = (where(names[0], v) for v in x_ends), (where(names[1], v) for v in y_ends)
            if None not in (x1, x2, y1, y2):
                parts.append(tag("line", x1=x1, y1=y1, x2=x2, y2=y2, **drawn))
    return parts


def _symbol(trace, index: int, at: Point) -> str:
    marker = trace.marker
    edge = pick(marker.line.color or INK, index), default(marker.line.width, 0)
    opacity = default(trace.opacity, 1) * float(pick(default(marker.opacity, 1), index))
    symbol, size = pick(marker.symbol or "circle", index), float(pick(default(marker.size, 6), index))
    return symbol_at(symbol, at, size, pick(default(marker.color, INK), index), edge, opacity)


def _text(trace, index: int, at: Point) -> str:
    """A point's text beside it, as `textposition` says."""
    down, across = pick(trace.textposition or "middle center", index).split()
    marked = "markers" in (trace.mode or "")
    gap = 3 + (float(pick(default(trace.marker.size, 6), index)) / 2 if marked else 0)
    x = at[0] + {"left": -gap, "center": 0, "right": gap}[across]
    y = at[1] + {"top": -gap, "middle": 0, "bottom": gap}[down]
    font = trace.textfont
    looks = default(pick(font.size, index) if font.size is not None else None, 12), pick(font.color or INK, index)
    anchor = {"left": "end", "center": "middle", "right": "start"}[across]
    vertical = {"top": "bottom", "middle": "middle", "bottom": "top"}[down]
    return text_at(pick(trace.text, index), (x, y), *looks, anchor, vertical)


def _bars(trace, xs: list, ys: list, names: tuple[str, str], where: Where) -> list[str]:
    flat, parts = trace.orientation == "h", []
    along, beside = names if flat else names[::-1]
    for i, (place, length) in enumerate(zip(ys, xs, strict=True) if flat else zip(xs, ys, strict=True)):
        if length is None:
            continue
        base, thick = float(pick(default(trace.base, 0), i)), float(pick(default(trace.width, 0.8), i))
        ends = sorted((where(along, base), where(along, base + length)))
        sides = sorted((where(beside, place - thick / 2), where(beside, place + thick / 2)))
        (x1, x2), (y1, y2) = (ends, sides) if flat else (sides, ends)
        fill, see = ink(pick(default(trace.marker.color, INK), i), default(trace.opacity, 1))
        parts.append(tag("rect", x=x1, y=y1, width=x2 - x1, height=y2 - y1, fill=fill, fill_opacity=see))
        text = pick(trace.text, i) if trace.text is not None else ""
        if text:
            font, middle = trace.insidetextfont, ((x1 + x2) / 2, (y1 + y2) / 2)
            parts.append(text_at(text, middle, default(font.size, 12), font.color or "white", "middle"))
    return parts
