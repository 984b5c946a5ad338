"""The few SVG elements our figures are made of, with presentation attributes only.

The story: what sanitisers leave standing is `<line>`, `<rect>`, `<circle>`, `<polygon>`, `<polyline>` and `<text>` with
`fill=` and `stroke=`; everything drawn comes through here. All text is escaped here and nowhere else.
Left out: `style=`, classes, gradients, clip paths, `<use>`, embedded images.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape, unescape

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
