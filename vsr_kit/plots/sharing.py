"""Prefix sharing as figures: which tokens of a packed tree attend to which, and how many tokens sharing saves.

In `tree_mask` a row is a token that attends, a column a token that is attended to, and a colour says what that is: the
clip, a question, or the completion itself. The library never makes this square; it is drawn from the tree's parts
alone, and so is the grey area, which the small mask inside a part computes and discards.
Left out: attention weights, and the upper triangle of a causal part, which a kernel may or may not compute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from vsr_kit.plots.canvas import BASELINE, Figure, axis, canvas, label, spread
from vsr_kit.plots.style import BLUE, GREEN, ORANGE, color_of, padded, plain, text_width, tidy

CLIP, QUESTION, ANSWERS = "clip", "question", "completions"
KINDS = {CLIP: "#6fa8d0", QUESTION: "#57b894", ANSWERS: "#e08a52"}
_DARK = {CLIP: BLUE, QUESTION: GREEN, ANSWERS: ORANGE}
_MASKED = "#dfe3e7"
_SIDE_PX, _WIDTH_PX, _HEIGHT_PX = 520, 780, 300


def tree_mask(tree, *, source: str, title: str = "What sees what") -> Figure:
    """Draw which tokens of a packed tree see which.

    Args:
        tree: a `vsr_kit.sharing.PackedTree`.
        source: `measured now` or `shipped`.
        title: the figure's.
    """
    kinds = [_kind(tree, part) for part in tree.parts]
    names = [_name(tree, part, kind) for part, kind in zip(tree.parts, kinds, strict=True)]
    total = tree.parts[-1].own.stop
    seen = sum(_cells_seen(part) for part in tree.parts)
    short = [name.split(" · ")[0] for name in names]
    left = 24 + max(text_width(name, 12) for name in names)
    fig = canvas(
        title,
        source,
        f"Mask of {total} tokens in {len(names)} parts: {'; '.join(names)}. Each sees its ancestors and itself.",
        note=f"rows read, columns are read · {seen:,} of {total:,} × {total:,} cells are seen ({seen / total**2:.0%})",
        keys=[("■", KINDS[CLIP], "reads the clip"), ("■", KINDS[QUESTION], "reads its question")]
        + [("■", KINDS[ANSWERS], "reads its own completion"), ("■", _MASKED, "computed, then masked away")],
        height_px=_SIDE_PX,
        width_px=left + _SIDE_PX + 24,
        left_px=left,
        bottom_px=44,
    )
    middles = [(part.own.start + part.own.stop) / 2 for part in tree.parts]
    room = [(part.own.stop - part.own.start) * _SIDE_PX / total for part in tree.parts]
    below = [(at, name) for at, name, px in zip(middles, short, room, strict=True) if px > text_width(name, 12)]
    bare = {"showgrid": False, "ticklen": 4}
    fig.update_layout(
        xaxis=axis(0, total, ticks=[at for at, _ in below], ticktext=[name for _, name in below], **bare),
        yaxis=axis(total, 0, ticks=[], **bare),
    )
    kind_at = {part.own.start: kind for part, kind in zip(tree.parts, kinds, strict=True)}
    for part, kind, name in zip(tree.parts, kinds, names, strict=True):
        _draw_part(fig, part, kind, name, kind_at)
    _edges(fig, tree.parts, total)
    for at, name, kind in zip(spread(middles, 15 * total / _SIDE_PX), names, kinds, strict=True):
        label(fig, plain(name), 0, at, color=_DARK[kind], size=12, anchor="right", right_px=-8)
    return fig


def _kind(tree, part) -> str:
    if not part.seen:
        return CLIP
    return ANSWERS if any(part.seen == places for places in tree.prompt_places) else QUESTION


def _name(tree, part, kind: str) -> str:
    """Short name, a dot, and its tokens."""
    length = part.own.stop - part.own.start
    if kind == CLIP:
        return f"clip · {length} tokens"
    if kind == QUESTION:
        number = next(i for i, places in enumerate(tree.prompt_places) if places[-1] == part.own)
        return f"q{number + 1} · {length} tokens"
    number = tree.prompt_places.index(part.seen)
    many = len(part.pieces)
    return f"c{number + 1} · {many} completion{'s' * (many > 1)}, {length} tokens"


def _cells_seen(part) -> int:
    length = part.own.stop - part.own.start
    return length * part.num_seen + sum(n * (n + 1) // 2 for n in part.pieces)


def _draw_part(fig: Figure, part, kind: str, name: str, kind_at: Mapping[int, str]) -> None:
    own = part.own
    for place in part.seen:
        read = kind_at[place.start]
        _area(fig, _box(place, own), KINDS[read], f"{name}<br>each reads all {place.stop - place.start} of its {read}")
    if len(part.pieces) > 1:
        _area(fig, _box(own, own), _MASKED, f"{name}<br>completions do not read each other")
    start = own.start
    for length in part.pieces:
        _area(fig, _stairs(start, length), KINDS[kind], f"{name}<br>each reads itself and what stands before it")
        start += length


def _box(across: slice, down: slice) -> list[tuple[int, int]]:
    """Corners of the cells in which tokens `down` read tokens `across`."""
    left, right, top, bottom = across.start, across.stop, down.start, down.stop
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def _stairs(start: int, length: int) -> list[tuple[int, int]]:
    """Outline of the cells of `length` tokens of which each reads itself and those before it."""
    steps = [corner for i in range(length) for corner in ((start + i + 1, start + i), (start + i + 1, start + i + 1))]
    return [(start, start), *steps, (start, start + length)]


def _area(fig: Figure, corners: Sequence[tuple[int, int]], color: str, hover: str) -> None:
    xs, ys = zip(*corners, corners[0], strict=True)
    look = {"fill": "toself", "fillcolor": color, "mode": "lines", "line": {"width": 0, "color": color}}
    fig.add_trace(go.Scatter(x=xs, y=ys, **look, text=hover, hoverinfo="text", hoveron="fills"))


def _edges(fig: Figure, parts, total: int) -> None:
    """Thin white lines where one part ends and the next begins."""
    look = {"line": {"color": "white", "width": 1}}
    for at in (part.own.stop for part in parts[:-1]):
        fig.add_shape(type="line", x0=0, x1=total, y0=at, y1=at, **look)
        fig.add_shape(type="line", x0=at, x1=at, y0=0, y1=total, **look)


def sharing_gain(
    curves: Mapping[str, Mapping[int, float]],
    measured: Mapping[str, Mapping[int, float]] | None = None,
    *,
    source: str,
    title: str = "How many times less is read",
) -> Figure:
    """Draw ratios, plain over shared, against the length of the clip: expected as lines, measured as dots.

    Args:
        curves: a setting's name to `{clip tokens: ratio}`.
        measured: the same for what was measured, under names of `curves`.
        source: `measured now` or `shipped`.
        title: the figure's.

    Raises:
        ValueError: for something measured that has no curve.
    """
    measured = measured or {}
    if unknown := set(measured) - set(curves):
        raise ValueError(f"{sorted(unknown)} was measured and has no curve: choose among {', '.join(curves)}")
    told = "; ".join(f"{n} from {c[min(c)]:.1f} at {min(c)} to {c[max(c)]:.1f} at {max(c)}" for n, c in curves.items())
    points = "".join(f" Measured, {n}: {v:.1f} at {k}." for n, row in measured.items() for k, v in row.items())
    last = max(k for curve in curves.values() for k in curve)
    top = padded([v for table in (curves, measured) for row in table.values() for v in row.values()])[1]
    fig = canvas(
        title,
        source,
        f"Ratio of plain to shared by clip tokens: {told}.{points}",
        note="times less; lines count tokens, dots measure seconds" if measured else "times less, by counting tokens",
        height_px=_HEIGHT_PX,
        width_px=_WIDTH_PX,
        right_px=30 + max(text_width(plain(n, 40), 13) for n in curves),
    )
    fig.update_layout(
        xaxis=axis(0, last * 1.01, title_text="tokens of the clip", **BASELINE),
        yaxis=axis(0, top, title_text="plain over shared"),
    )
    heights = spread([-curve[max(curve)] for curve in curves.values()], top * 17 / _HEIGHT_PX)
    for i, ((name, curve), height) in enumerate(zip(curves.items(), heights, strict=True)):
        color, hover = color_of(name, i), f"{plain(name)}: %{{y:.1f}} at %{{x}} tokens<extra></extra>"
        line = {"mode": "lines", "line": {"color": color, "width": 2}, "hovertemplate": hover}
        fig.add_trace(go.Scatter(x=sorted(curve), y=tidy(curve[k] for k in sorted(curve)), **line))
        dots = measured.get(name, {})
        look = {"mode": "markers", "marker": {"color": color, "size": 11}, "hovertemplate": f"measured, {hover}"}
        if dots:
            fig.add_trace(go.Scatter(x=list(dots), y=tidy(dots.values()), **look))
        label(fig, plain(name, 40), last, -height, color=color, right_px=14)
    return fig
