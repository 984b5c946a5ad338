"""The look of every figure: palette, names of tasks, and how text and numbers are written.

Ink on white, one palette that is safe for colour-blind readers, one colour per prompt mode everywhere. Every figure
says where its numbers come from, in one of two words (`SOURCES`). Figures stay white cards in a dark theme. In HTML a
background is never set without the colour of its text, nor a text colour without its background (`PANEL`, `MARK`,
`WARN`), since the theme's colour for the other is unknown.
Left out: dark figures, and fonts that must be downloaded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from vsr_kit.validation import drawable

SOURCES = ("measured now", "shipped")
WIDTH_PX = 880
FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
INK, SOFT, FAINT, LINE, BACK = "#1b1f24", "#57606a", "#8c959f", "#e4e8ec", "#f6f8fa"
# Pairs of background and text for inline styles, legible on any page (contrast of at least 4.5).
PANEL = f"background:{BACK}; color:{INK}"
MARK = f"background:#ffe9a8; color:{INK}"
WARN = "background:#fdeee6; color:#8f3300"
# Okabe and Ito's palette, darkened where it would not be legible as text on white.
BLUE, ORANGE, GREEN, PURPLE, GOLD, SKY = "#0067a5", "#c94f00", "#00805d", "#a0447f", "#a07000", "#3d8fc9"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, GOLD, SKY)
BEFORE, AFTER = FAINT, BLUE
MODE_COLORS = {"vanilla": BLUE, "think": ORANGE, "observe": GREEN}

TASK_NAMES = {
    "overall": "Overall",
    "trained": "Trained tasks",
    "multi_step": "Multi-step types",
    "object_counting": "Object count",
    "object_abs_distance": "Absolute distance",
    "object_size_estimation": "Object size",
    "room_size_estimation": "Room size",
    "object_rel_distance": "Relative distance",
    "object_rel_direction": "Relative direction",
    "object_rel_direction_easy": "Direction, easy",
    "object_rel_direction_medium": "Direction, medium",
    "object_rel_direction_hard": "Direction, hard",
    "route_planning": "Route plan",
    "obj_appearance_order": "Appearance order",
    "object_compare_distances": "Two distances",
    "object_nearest_size": "Size of the nearest",
    "object_walk_length": "Length of a walk",
    "object_count_within": "Count within",
    "furniture_order": "Furniture puzzle",
    "mathematics": "Mathematics",
}


def task_name(task: str) -> str:
    """A task or type as figures name it; an unknown one without its underscores."""
    return TASK_NAMES.get(task, task.replace("_", " "))


def task_order(tasks: Iterable[str]) -> list[str]:
    """Tasks in the papers' order, unknown ones behind them in the order given."""
    known = list(TASK_NAMES)
    return sorted(dict.fromkeys(tasks), key=lambda t: known.index(t) if t in known else len(known))


def check_source(source: str) -> str:
    """Return `source`, or raise ValueError: every figure says where its numbers come from."""
    if source not in SOURCES:
        raise ValueError(f"source is {source!r}: say where the numbers come from, 'measured now' or 'shipped'")
    return source


def color_of(name: str, index: int) -> str:
    """The colour of a curve or row: a mode has its own, others take the palette's in turn."""
    return MODE_COLORS.get(name, SERIES[index % len(SERIES)])


def plain(text: object, limit: int | None = None) -> str:
    """Any text as plotly shows it verbatim: one line, cut at `limit` characters, its angle brackets no tags."""
    line = " ".join(drawable(str(text)).split())
    if limit is not None and len(line) > limit:
        line = line[: limit - 1].rstrip() + "…"
    return escape(line, quote=False)


def text_width(text: str, size_px: float) -> float:
    """About how wide a line of `text` is in pixels; of common faces the widest (DejaVu Sans), so that none is cut."""
    per_char = {**dict.fromkeys("iljtfrI.,:;|!'()[] ·", 0.32), **dict.fromkeys("mwMW%@", 0.88)}
    return size_px * sum(per_char.get(c, 0.72 if c.isupper() else 0.6) for c in text)


def wrap(text: str, width_px: float, size_px: float) -> list[str]:
    """Break a line at spaces so that every part is at most `width_px` wide (a longer word stays whole)."""
    lines, current = [], ""
    for word in text.split():
        longer = f"{current} {word}".strip()
        if current and text_width(longer, size_px) > width_px:
            lines.append(current)
            longer = word
        current = longer
    return [*lines, current] if current else lines


def tidy(values: Iterable[float | None]) -> list[float | None]:
    """Four significant digits, so that a notebook does not carry noise; None stays a gap."""
    return [None if v is None or not math.isfinite(v) else float(f"{v:.4g}") for v in values]


def padded(values: Iterable[float], pad: float = 0.06, least: float = 1e-9) -> tuple[float, float]:
    """A linear axis range around finite `values`."""
    finite = [v for v in values if v is not None and math.isfinite(v)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    room = max((high - low) * pad, abs(high) * 0.02, least)
    return low - room, high + room


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round tick positions (steps of 1, 2, 2.5 or 5 times a power of ten) inside a linear range."""
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_label(value: float) -> str:
    """A number as an axis shows it."""
    return f"{value:.6g}".replace("-", "−")
