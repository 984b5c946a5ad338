"""A run's curves as SVG at once, for views that are drawn again with every step.

`training_curves` makes a plotly figure with its SVG, which takes as long as a step of the miniature. This writes a
plain SVG of the same panels in a few milliseconds, so that watching costs a training next to nothing. The view that
stays when a run has ended is drawn by `training_curves`.
Left out: several seeds, bands, and anything to hover over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from vsr_kit.plots.canvas import Html, axis, decades
from vsr_kit.plots.curves import Log, curve
from vsr_kit.plots.marks import number, pen, points, tag, text_at
from vsr_kit.plots.style import FONT, INK, LINE, SOFT, WIDTH_PX, check_source, color_of, padded, plain
from vsr_kit.plots.training import METRICS, metric_name
from vsr_kit.validation import drawable

_COLUMNS, _HIGH, _LEFT, _RIGHT, _ABOVE, _BELOW = 3, 120, 52, 14, 30, 26  # pixels of a panel and around it


def sketch(
    curves: Mapping[str, Log],
    keys: Sequence[str],
    *,
    source: str,
    smooth: int = 1,
    title: str = "Training, as it runs",
    borders: Sequence[int] = (),
) -> Html:
    """Draw one panel for each metric over the steps.

    Args:
        curves: a name to a run's rows; the name of a single one is not shown.
        keys: the metrics, see `plots.METRICS`.
        source, smooth, title, borders: as `plots.training_curves` takes them.
    """
    lines = -(-len(keys) // _COLUMNS)
    colors = {name: color_of(name, i) for i, name in enumerate(curves)}
    top = 62 + 22 * (len(curves) > 1)
    height = top + lines * (_ABOVE + _HIGH + _BELOW) + 12
    caption = f"<b>{check_source(source)}</b>" + (f" · trailing mean of {smooth} logged steps" if smooth > 1 else "")
    parts = [tag("rect", x=0, y=0, width=WIDTH_PX, height=height, fill="white")]
    parts += [text_at(f"<b>{plain(title)}</b>", (12, 22), 17, INK), text_at(caption, (12, 45), 13, SOFT)]
    if len(curves) > 1:
        parts += _names(colors)
    last = max([row["step"] for rows in curves.values() for row in rows if row.get("step") is not None], default=1)
    for i, key in enumerate(keys):
        wide = WIDTH_PX / _COLUMNS
        place = (i % _COLUMNS * wide + _LEFT, top + i // _COLUMNS * (_ABOVE + _HIGH + _BELOW) + _ABOVE)
        drawn = {name: curve([rows], key, smooth=smooth) for name, rows in curves.items()}
        parts += _Panel(place, wide - _LEFT - _RIGHT, key, drawn, last).parts(colors, borders)
    alt = escape(_alt(curves, keys))
    size = f'width="{WIDTH_PX}" height="{number(height)}" viewBox="0 0 {WIDTH_PX} {number(height)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{alt}" font-family="{FONT}">'
    return Html(drawable(f"{head}<title>{alt}</title>{''.join(parts)}</svg>"), _alt(curves, keys))


def _names(colors: Mapping[str, str]) -> list[str]:
    parts, x = [], 12.0
    for name, color in colors.items():
        parts += [text_at("<b>━</b>", (x, 70), 15, color), text_at(plain(name, 40), (x + 20, 70), 13, INK)]
        x += 50 + 8 * min(len(name), 40)
    return parts


class _Panel:
    """One metric's panel: pixels of its values."""

    def __init__(self, corner: tuple[float, float], wide: float, key: str, drawn: Mapping, last: float) -> None:
        self.corner, self.wide, self.key, self.drawn = corner, wide, key, drawn
        self.logarithmic = METRICS.get(key, ("", False))[1]
        shown = [y for one in drawn.values() for y in one.middle if y > 0 or not self.logarithmic]
        self.shown = bool(shown)
        self.across = axis(0, last * 1.02 or 1)
        if self.logarithmic:
            self.up = decades(min(shown, default=0.1), max(shown, default=1.0))
        else:
            self.up = axis(*padded(shown, 0.1, 0.02))

    def x(self, value: float) -> float:
        low, high = self.across["range"]
        return self.corner[0] + (value - low) / (high - low) * self.wide

    def y(self, value: float) -> float | None:
        if self.logarithmic:
            if value <= 0:
                return None
            value = math.log10(value)
        low, high = self.up["range"]
        return self.corner[1] + _HIGH - (value - low) / (high - low) * _HIGH

    def parts(self, colors: Mapping[str, str], borders: Sequence[int]) -> list[str]:
        left, top = self.corner
        made = [text_at(f"<b>{plain(metric_name(self.key))}</b>", (left - 30, top - 14), 13, INK)]
        for value, words in zip(self.up["tickvals"], self.up["ticktext"], strict=True):
            at = self.y(value) or 0.0  # ticks have a place on every axis
            made.append(tag("line", x1=left, x2=left + self.wide, y1=at, y2=at, **pen(LINE, 1)))
            made.append(text_at(words, (left - 6, at), 11, SOFT, "end"))
        for value, words in zip(self.across["tickvals"], self.across["ticktext"], strict=True):
            made.append(text_at(words, (self.x(value), top + _HIGH + 12), 11, SOFT, "middle"))
        for step in (step for step in borders if 0 < step <= self.across["range"][1]):
            made.append(tag("line", x1=self.x(step + 0.5), x2=self.x(step + 0.5), y1=top, y2=top + _HIGH,
                            **pen(INK, 1.2, dash="dash")))  # fmt: skip
        for name, one in self.drawn.items():
            made += self._line(one, colors[name])
        if not self.shown:
            said = "zero at every step" if any(one.xs for one in self.drawn.values()) else "not logged"
            made.append(text_at(said, (left + self.wide / 2, top + _HIGH / 2), 13, SOFT, "middle"))
        return made

    def _line(self, one, color: str) -> list[str]:
        at = [(self.x(x), y) for x, value in zip(one.xs, one.middle, strict=True) if (y := self.y(value)) is not None]
        if len(at) == 1:  # a line of one point is no line
            return [tag("circle", cx=at[0][0], cy=at[0][1], r=2.5, fill=color)]
        return [tag("polyline", points=points(at), fill="none", **pen(color, 1.8))] if at else []


def _alt(curves: Mapping[str, Log], keys: Sequence[str]) -> str:
    """First and last value of every curve."""
    told = []
    for name, rows in curves.items():
        for key in keys:
            values = [row[key] for row in rows if isinstance(row.get(key), (int, float))]
            if values:
                what = f"{name} {metric_name(key)}" if len(curves) > 1 else metric_name(key)
                told.append(f"{what} from {values[0]:.3g} to {values[-1]:.3g}")
    return f"Training curves: {'; '.join(told)}."
