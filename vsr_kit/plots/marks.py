"""SVG elements of the figures: plotly's scatter and bar traces drawn as lines, shapes and text.

svg.py knows where a value lies on the page (`where`); `draw_trace` turns a trace into outlines, error bars, lines,
markers and text, from back to front. Sanitisers of notebook viewers keep `<line>`, `<rect>`, `<circle>`, `<polygon>`,
`<polyline>` and `<text>` with `fill=` and `stroke=`, so only these are used. All text is escaped here and nowhere else.
Left out: `style=`, classes, gradients, clip paths, `<use>` and embedded images; stacked and grouped bars (ours give
their own base and width), curved and stepped lines and `fill="tonexty"`, each of which raises an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape, unescape

from vsr_kit.plots.style import INK

_DASHES = {"dot": "2,3", "dash": "6,4", "longdash": "10,5", "dashdot": "6,3,2,3"}
_MARKUP = re.compile(r"(</?[bi]>|<br\s*/?>)")
_OUTLINES = {
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
    "triangle-up": ((0, -1.2), (1.1, 0.7), (-1.1, 0.7)),
}
_STROKES = {"line-ns": ((0, -1.4, 0, 1.4),), "x-thin": ((-1, -1, 1, 1), (-1, 1, 1, -1))}
SYMBOLS = ("circle", *_OUTLINES, *_STROKES)

Point = tuple[float, float]


def number(value: float) -> str:
    """Pixels with at most one decimal."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def tag(name: str, body: str | None = None, **attributes) -> str:
    """One element. Attributes that are None are left out, numbers rounded, underscores written as dashes."""
    written = "".join(
        f' {k.replace("_", "-")}="{escape(number(v) if isinstance(v, (int, float)) else str(v))}"'
        for k, v in attributes.items()
        if v is not None
    )
    return f"<{name}{written}/>" if body is None else f"<{name}{written}>{body}</{name}>"


def points(pairs: Iterable[Point]) -> str:
    """The value of a `points` attribute."""
    return " ".join(f"{number(x)},{number(y)}" for x, y in pairs)


def ink(color: str, opacity: float = 1.0) -> tuple[str, str | None]:
    """A colour and its opacity apart, since `rgba()` is no SVG 1.1 colour; opacity None is full."""
    found = re.fullmatch(r"rgba\((\d+),\s*(\d+),\s*(\d+),\s*([\d.]+)\)", color)
    if found:
        color, opacity = "#{:02x}{:02x}{:02x}".format(*map(int, found.groups()[:3])), opacity * float(found[4])
    return color, None if opacity >= 1 else f"{opacity:.3g}"


def pen(color: str, width: float, opacity: float = 1.0, dash: str | None = None) -> dict:
    """Stroke attributes; `dash` is one of plotly's names."""
    stroke, see = ink(color, opacity)
    return {"stroke": stroke, "stroke_width": width, "stroke_opacity": see, "stroke_dasharray": _DASHES.get(dash)}


def bare(text: str) -> str:
    """Text without the markup `text_at` knows, as its width is measured."""
    return unescape(_MARKUP.sub("", text))


def text_at(
    text: str, at: Point, size: float, color: str, across: str = "start", down: str = "middle", turn: float = 0
) -> str:
    """Text with plotly's <b>, <i> and <br>; every other tag is shown as the letters it is made of.

    Args:
        text: one or more lines.
        at: the pixel that `across` (start, middle, end) and `down` (top, middle, bottom) refer to.
        size: in pixels.
        color: of the letters.
        turn: degrees clockwise around `at`.
    """
    lines, bold, italic = [""], False, False
    for piece in _MARKUP.split(text):
        if piece.startswith("<br"):
            lines.append("")
        elif _MARKUP.fullmatch(piece):
            on = not piece.startswith("</")
            bold, italic = (on, italic) if "b" in piece else (bold, on)
        elif piece:
            body = escape(unescape(piece), quote=False)
            looks = {"font_weight": "600" if bold else None, "font_style": "italic" if italic else None}
            lines[-1] += tag("tspan", body, **looks) if bold or italic else body
    leading = 1.3 * size
    block = (len(lines) - 1) * leading
    first = at[1] + {"middle": 0.35 * size - block / 2, "top": 0.85 * size, "bottom": -0.25 * size - block}[down]
    looks = {"font_size": size, "fill": color, "text_anchor": None if across == "start" else across}
    looks["transform"] = f"rotate({number(turn)} {number(at[0])} {number(at[1])})" if turn else None
    return "".join(tag("text", line, x=at[0], y=first + i * leading, **looks) for i, line in enumerate(lines))


def symbol_at(symbol: str, at: Point, size: float, color: str, edge: tuple[str, float], opacity: float = 1.0) -> str:
    """One of plotly's marker symbols (see `SYMBOLS`, the solid ones also with `-open`).

    Args:
        edge: colour and width of the outline; width 0 for none.

    Raises:
        ValueError: for a symbol that has no form here.
    """
    kind, hollow, (x, y), r = symbol.removesuffix("-open"), symbol.endswith("-open"), at, size / 2
    if kind in _STROKES:
        lines = ((x + r * a, y + r * b, x + r * c, y + r * d) for a, b, c, d in _STROKES[kind])
        drawn = pen(edge[0] if edge[1] else color, edge[1] or 2, opacity)
        return "".join(tag("line", x1=a, y1=b, x2=c, y2=d, **drawn) for a, b, c, d in lines)
    fill, see = ink("white" if hollow else color, opacity)
    looks = {"fill": fill, "fill_opacity": see}
    if hollow or edge[1]:
        looks |= pen(color if hollow else edge[0], edge[1] or 2, opacity)
    if kind == "circle":
        return tag("circle", cx=x, cy=y, r=r, **looks)
    if kind not in _OUTLINES:
        raise ValueError(f"marker symbol {symbol!r} has no SVG form here: use one of {', '.join(SYMBOLS)}")
    return tag("polygon", points=points((x + r * a, y + r * b) for a, b in _OUTLINES[kind]), **looks)


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
