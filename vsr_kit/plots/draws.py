"""How answers to one question are distributed: numbers on an axis with the truth, letters and words as bars.

A model that is asked once says what it finds likely; asked many times it shows what it holds possible. Each value that
was read stands at its place, as high as it was often, and the truth is a line, where it is known. Letters stand beside
the words of their options, also those that nobody chose. What could not be read is counted, too.
`readings_table` shows the texts themselves: each once, with what the lenient and the official reader read in it and
what that is worth; all beyond the first few are folded away.
Left out: smoothing, and a curve through counts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from vsr_kit.evaluation.readings import Reading, is_numeric, tally
from vsr_kit.plots.canvas import Figure, Html, axis, canvas, label
from vsr_kit.plots.style import BLUE, FAINT, GREEN, INK, WARN, check_source, nice_ticks, padded, plain, tidy
from vsr_kit.plots.tables import marked
from vsr_kit.prompts import answer_choices
from vsr_kit.questions import QUESTION_TYPES

WIDTH_PX = 540  # stays legible where a cell is narrow
MOST_BARS, LABEL_CHARS = 10, 30
MOST_ROWS = 4  # texts that are shown unfolded
_FAR = 4.0  # times the median or the truth: a value beyond would press all others into one line
_STEMS = 60  # places on an axis that can be told apart


def answer_distribution(
    row: Mapping, readings: Sequence[Reading], *, source: str, title: str = "What was answered, and how often"
) -> Figure:
    """Draw how often each answer was given.

    Args:
        row: the question; `ground_truth` is marked where it is not empty, `options` name the letters.
        readings: from `evaluation.readings.read_all`.
        source: `measured now` or `shipped`.
        title: the figure's.

    Raises:
        ValueError: there is no answer.
    """
    counts = tally(readings)
    if not counts:
        raise ValueError("there is no answer to draw: ask first")
    total, unread = sum(counts.values()), counts.get(None, 0)
    truth = str(row.get("ground_truth") or "")
    draw = _on_an_axis if is_numeric(row, counts) and any(value is not None for value in counts) else _as_bars
    note = f"{total} answer{'s' * (total != 1)}" + (f", {unread} could not be read" if unread else "")
    return draw(row, counts, truth, {"source": source, "title": title, "note": note})


def _on_an_axis(row: Mapping, counts: Mapping[str | None, int], truth: str, look: dict) -> Figure:
    values = {float(value): times for value, times in counts.items() if value is not None}
    true = _finite(truth)
    shown, beyond = _near(values, true)
    if beyond:
        far = ", ".join(f"{value:.4g}" for value in sorted(beyond)[:3]) + ("…" if len(beyond) > 3 else "")
        look["note"] += f"; {sum(beyond.values())} beyond the axis: {far}"
    stems = _together(shown, *(span := _span([*shown, *([true] if true is not None else [])])))
    most = max(stems.values())
    keys = [("▮", BLUE, "answers")] + ([] if true is None else [("▮", GREEN, f"true: {truth}")])
    fig = canvas(look["title"], look["source"], _alt(row, counts, truth), note=look["note"], keys=keys, **_size(170))
    whole = [tick for tick in nice_ticks(0, most * 1.18, 4) if tick == int(tick)]
    fig.update_layout(
        xaxis=axis(*span, title_text=plain(_unit(row)), showgrid=False, showline=True, linecolor=FAINT),
        yaxis=axis(0, most * 1.18, ticks=whole, title_text="answers"),
    )
    wide = _width(stems, span[1] - span[0])
    if true is not None:
        line = {"x": tidy([true, true]), "y": [0, round(most * 1.18, 3)], "mode": "lines", "hoverinfo": "skip"}
        fig.add_trace(go.Scatter(**line, line={"color": GREEN, "width": 2}))
    bars = {"width": [wide] * len(stems), "marker": {"color": [GREEN if value == true else BLUE for value in stems]}}
    fig.add_trace(go.Bar(x=tidy(stems), y=list(stems.values()), **bars, hovertemplate="%{x}: %{y}<extra></extra>"))
    written = [] if true is None else [true]  # which the key has
    for value, times in sorted(stems.items(), key=lambda stem: -stem[1])[:3]:
        if all(abs(value - other) > 0.08 * (span[1] - span[0]) for other in written):
            label(fig, f"{value:.4g}", value, times, anchor="center", size=12, up_px=10)
            written.append(value)
    return fig


def _as_bars(row: Mapping, counts: Mapping[str | None, int], truth: str, look: dict) -> Figure:
    named = {choice.label: choice.text for choice in _choices(row)}
    read = [value for value in counts if value is not None]
    values = [*named, *(value for value in read if value not in named)]
    others = values[max(MOST_BARS, len(named)) :]
    values = values[: max(MOST_BARS, len(named))]
    lines = [(_told(value, named), counts.get(value, 0), GREEN if value == truth else BLUE) for value in values]
    lines = [(text + (" ✓ true" if color == GREEN else ""), times, color) for text, times, color in lines]
    if others:
        lines.append((f"{len(others)} other answers", sum(counts[value] for value in others), BLUE))
    if counts.get(None):
        lines.append(("could not be read", counts[None], FAINT))
    most = max(times for _, times, _ in lines)
    fig = canvas(
        look["title"],
        look["source"],
        _alt(row, counts, truth),
        note=look["note"],
        **_size(max(60, 30 * len(lines)), left_px=230),
    )
    places = list(range(len(lines)))[::-1]
    fig.update_layout(
        xaxis=axis(
            0, most * 1.12, ticks=[0, most], title_text="answers", showgrid=False, showline=True, linecolor=FAINT
        ),
        yaxis=axis(
            -0.6,
            len(lines) - 0.4,
            ticks=places,
            ticktext=[plain(text, LABEL_CHARS + 8) for text, _, _ in lines],
            showgrid=False,
            tickfont={"size": 12, "color": INK},
        ),
    )
    looks = {"orientation": "h", "width": 0.62, "marker": {"color": [color for *_, color in lines]}}
    hover = {"hovertemplate": "%{x}<extra></extra>"}
    fig.add_trace(go.Bar(x=[times for _, times, _ in lines], y=places, **looks, **hover))
    for place, (_, times, _) in zip(places, lines, strict=True):
        label(fig, str(times), times, place, right_px=6, size=12)
    return fig


def _choices(row: Mapping) -> tuple:
    if row.get("question_type") in QUESTION_TYPES or row.get("options"):
        kind = row.get("question_type") or "object_rel_distance"
        return answer_choices({**row, "question_type": kind})
    return ()


def _told(value: str, named: Mapping[str, str]) -> str:
    words = named.get(value, "")
    text = f"{value}. {words}" if words and words.lower() != value else words or value
    return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1].rstrip() + "…"


def _size(height_px: float, left_px: float = 62) -> dict:
    return {"height_px": height_px, "left_px": left_px, "right_px": 30, "width_px": WIDTH_PX}


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _near(values: Mapping[float, int], true: float | None) -> tuple[dict[float, int], dict[float, int]]:
    """Values that an axis can hold together, and those far beyond the middle one and the truth."""
    ordered = [value for value, times in sorted(values.items()) for _ in range(times)]
    reach = _FAR * max(abs(ordered[len(ordered) // 2]), abs(true or 0.0))
    near = {value: times for value, times in values.items() if abs(value) <= reach}
    return near, {value: times for value, times in values.items() if value not in near}


def _span(values: Sequence[float]) -> tuple[float, float]:
    """An axis from zero, unless all values lie close together far from it."""
    low, high = min(values), max(values)
    if low >= 0 and low < 0.6 * high:
        return 0.0, padded([low, high], 0.08)[1]
    return padded([low, high], 0.3, 0.5)


def _together(values: Mapping[float, int], low: float, high: float) -> dict[float, int]:
    """Values by their places on the axis; those that would be drawn over each other stand at their mean."""
    step, bins = (high - low) / _STEMS, dict[int, list[tuple[float, int]]]()
    for value, times in sorted(values.items()):
        bins.setdefault(int((value - low) / step), []).append((value, times))
    found = {}
    for own in bins.values():
        count = sum(times for _, times in own)
        found[sum(value * times for value, times in own) / count] = count
    return found


def _width(places: Mapping[float, int], span: float) -> float:
    """Of a bar: narrower than the least gap, and no wall where there are few."""
    ordered = sorted(places)
    gap = min((b - a for a, b in itertools.pairwise(ordered)), default=span)
    return max(min(0.6 * gap, 0.05 * span), 0.7 * span / _STEMS)


_UNITS = {
    "object_counting": "how many",
    "object_count_within": "how many",
    "object_abs_distance": "metres",
    "object_walk_length": "metres",
    "object_size_estimation": "centimetres",
    "object_nearest_size": "centimetres",
    "room_size_estimation": "square metres",
}


def _unit(row: Mapping) -> str:
    return _UNITS.get(str(row.get("question_type")), "answer")


def _alt(row: Mapping, counts: Mapping[str | None, int], truth: str) -> str:
    """All that the figure shows, in words."""
    told = [f"{'unread' if value is None else value}: {times}" for value, times in list(counts.items())[:12]]
    more = f" and {len(counts) - 12} other answers" if len(counts) > 12 else ""
    right = f" The truth is {truth}." if truth else " The truth is not known."
    return f"{sum(counts.values())} answers to {row['question']!r}, by how often: {'; '.join(told)}{more}.{right}"


# -- the texts ---------------------------------------------------------------------------------------------------------

_CELL = 'style="text-align:left; vertical-align:top; padding:5px 10px; line-height:1.4"'
_TEXT = (
    'style="white-space:pre-wrap; overflow-wrap:break-word; margin:0; font-size:12px; max-width:440px; '
    'min-width:120px; background:transparent"'
)
_TABLE = 'style="border-collapse:collapse; font-size:13px"'
_HEADS = ("times", "what the model wrote", "lenient reader", "VSI-Bench's reader")


def readings_table(readings: Sequence[Reading], *, source: str, title: str = "What the model wrote") -> Html:
    """The texts, the most frequent first, each with what two readers read in it and what that is worth."""
    check_source(source)
    lines = [_line(reading) for reading in readings]
    parts = [f'<div style="padding:4px 10px">{escape(title)} · <b>{source}</b></div>', _table(lines[:MOST_ROWS])]
    if rest := lines[MOST_ROWS:]:
        summary = f"{len(rest)} more text{'s' * (len(rest) != 1)}"
        parts.append(f'<details><summary style="padding:5px 10px">{summary}</summary>{_table(rest)}</details>')
    return Html("".join(parts), f"{title} ({source}): {len(readings)} different texts")


def _table(lines: Sequence[str]) -> str:
    heads = "".join(f"<th {_CELL}>{head}</th>" for head in _HEADS)
    return f"<table {_TABLE}><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _line(reading: Reading) -> str:
    shown = marked(reading.text, reading.value or "") if reading.value else escape(reading.text[:4000])
    wrote = f"<pre {_TEXT}>{shown}</pre>" if reading.text.strip() else "<i>(nothing)</i>"
    if reading.truncated:
        wrote += f'<i style="{WARN}">cut off by the cap{_times(reading)}</i>'
    lenient = (
        f'<i style="{WARN}">not read: {escape(str(reading.reason))}</i>'
        if reading.value is None
        else f"<b>{escape(reading.value)}</b>{_worth(reading.score)}"
    )
    word = reading.official
    word = word if len(word) <= 40 else word[:39] + "…"
    official = f"{escape(word) or '<i>(nothing)</i>'}{_worth(reading.official_score)}"
    cells = (str(reading.times), wrote, lenient, official)
    return f"<tr>{''.join(f'<td {_CELL}>{cell}</td>' for cell in cells)}</tr>"


def _times(reading: Reading) -> str:
    return "" if reading.truncated == reading.times else f" ({reading.truncated} of {reading.times})"


def _worth(score: float | None) -> str:
    return "" if score is None else f'<br><span style="white-space:nowrap">scores {score:.2f}</span>'
