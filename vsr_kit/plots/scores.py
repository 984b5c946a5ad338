"""Scores by task as dots with intervals and baselines, and the shares of right, wrong and unreadable answers.

A score means little without its interval and without what guessing earns. So `score_dots` and `before_after` show each
dot with its interval, and three baselines that need no understanding: always the most frequent answer, no video, and
another room's video. Scores are in per cent: MRA for numbers, accuracy for choices.

A chain of thought whose end no parser understands scores like a wrong answer; only when both are counted separately
(`parse_failures`) can prompts be compared.

Left out: tests of significance and the computation of intervals (`vsr_kit.evaluation`), and why reading failed
(`Parsed.reason` says it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from vsr_kit.plots.canvas import Figure, axis, canvas, label
from vsr_kit.plots.marks import bare
from vsr_kit.plots.style import (
    AFTER,
    BACK,
    BEFORE,
    BLUE,
    INK,
    ORANGE,
    SOFT,
    color_of,
    plain,
    task_name,
    task_order,
    text_width,
)

Score = float | Sequence[float] | object  # value, (value, low, high[, n]), or an evaluation Interval; per cent
Row = Mapping[str, Score]  # task -> score
_BAND_PX = 44
_LANE = 0.31  # where, below a task's middle, the marks stand that need no understanding
_REFERENCES = (
    ("frequent", "line-ns", "┃", INK, "most frequent answer"),
    ("no_video", "circle-open", "○", SOFT, "no video"),
    ("wrong_clip", "x-thin", "✕", SOFT, "another room's clip"),
)


def read_score(score: Score) -> tuple[float, float, float, int | None]:
    """Value, low, high and n of a score given as a number, a tuple or an `Interval`; n None where it was not given."""
    if isinstance(score, (int, float)):
        return float(score), float(score), float(score), None
    value, low, high, *n = getattr(score, "band", score)
    if not low <= value <= high:
        raise ValueError(f"score {score} must be (value, low, high[, n]) with low ≤ value ≤ high, in per cent")
    return float(value), float(low), float(high), int(n[0]) if n else None


def score_dots(
    rows: Mapping[str, Row],
    *,
    source: str,
    frequent: Row | None = None,
    no_video: Row | None = None,
    wrong_clip: Row | None = None,
    title: str = "Scores by task",
) -> Figure:
    """Draw each row's score in every task as a dot with its interval.

    Args:
        rows: a row's name to its scores by task.
        source: `measured now` or `shipped`.
        frequent: scores of always giving the most frequent training answer.
        no_video: scores without any frame.
        wrong_clip: scores with another room's clip.
        title: the figure's.
    """
    references = {"frequent": frequent, "no_video": no_video, "wrong_clip": wrong_clip}
    colors = {name: color_of(name, i) for i, name in enumerate(rows)}
    tasks = task_order(task for row in rows.values() for task in row)
    keys = [("●", colors[name], name) for name in rows] + _reference_keys(references)
    fig = _open(title, source, tasks, rows, references, keys, "dots with 95 % intervals" if _has_bands(rows) else "")
    for i, (name, row) in enumerate(rows.items()):
        offset = -0.08 + (i - (len(rows) - 1) / 2) * min(0.23, 0.6 / len(rows))
        _dots(fig, name, row, tasks, colors[name], offset)
    return fig


def before_after(
    before: Row,
    after: Row,
    *,
    source: str,
    difference: Row | None = None,
    frequent: Row | None = None,
    no_video: Row | None = None,
    wrong_clip: Row | None = None,
    names: tuple[str, str] = ("before", "after"),
    title: str = "Before and after training",
) -> Figure:
    """Draw what training changed in every task: a dumbbell from the first score to the second.

    Args:
        before, after: scores by task.
        source: `measured now` or `shipped`.
        difference: after minus before in points with its own interval (pairing makes it narrower than the two
            suggest); without it the difference of the two values is written.
        frequent, no_video, wrong_clip: see `score_dots`.
        names: what the two ends are called.
        title: the figure's.
    """
    references = {"frequent": frequent, "no_video": no_video, "wrong_clip": wrong_clip}
    tasks = task_order(t for t in before if t in after)
    if not tasks:
        raise ValueError(f"before has {sorted(before)} and after {sorted(after)}: they must share a task")
    rows = {names[0]: before, names[1]: after}
    keys = [("●", BEFORE, names[0]), ("●", AFTER, names[1]), *_reference_keys(references)]
    changes = [_change(before[task], after[task], (difference or {}).get(task)) for task in tasks]
    note = "change in points at the right" + (", pale bars = 95 % intervals" if _has_bands(rows) else "")
    right = 40 + max(text_width(bare(text), 13) for text, _ in changes)
    fig = _open(title, source, tasks, rows, references, keys, note, right)
    for row, color in ((before, BEFORE), (after, AFTER)):
        _spans(fig, row, tasks, color)
    ends = [(read_score(before[task])[0], read_score(after[task])[0]) for task in tasks]
    for place, (start, end) in enumerate(ends):
        line = {"color": BLUE if end >= start else ORANGE, "width": 2}
        fig.add_trace(go.Scatter(x=[start, end], y=[place - 0.08] * 2, mode="lines", line=line, hoverinfo="skip"))
    _dots(fig, names[0], before, tasks, BEFORE, -0.08, bars=False)
    _dots(fig, names[1], after, tasks, AFTER, -0.08, bars=False)
    for place, (text, color) in enumerate(changes):
        label(fig, text, 100, place, color=color, right_px=14)
    return fig


def _spans(fig: Figure, row: Row, tasks: Sequence[str], color: str) -> None:
    """Intervals as pale bars behind the dots, so that two of them may overlap and be seen."""
    for place, task in enumerate(tasks):
        _, low, high, _ = read_score(row[task])
        if low < high:
            ends, line = {"x": [round(low, 2), round(high, 2)], "y": [place - 0.08] * 2}, {"color": color, "width": 10}
            fig.add_trace(go.Scatter(**ends, mode="lines", line=line, opacity=0.25, hoverinfo="skip"))


def _open(title, source, tasks, rows, references, keys, note, right_px=24) -> Figure:
    """The canvas all of these share: tasks from top to bottom, per cent across, the reference marks."""
    found = {name: row for name, row in references.items() if row}
    counts = {t: read_score(row[t])[3] for row in rows.values() for t in tasks if t in row}
    means = ("overall", "trained", "multi_step")
    names = [f"<b>{task_name(t)}</b>" if t in means else plain(task_name(t)) for t in tasks]
    names = [f"{name}, n = {counts[t]}" if counts.get(t) else name for name, t in zip(names, tasks, strict=True)]
    left = 24 + max(text_width(bare(name), 13) for name in names)
    alt = _scores_alt(rows, {text: found[k] for k, _, _, _, text in _REFERENCES if k in found}, tasks)
    size = {"height_px": _BAND_PX * len(tasks), "left_px": left, "right_px": right_px}
    fig = canvas(title, source, alt, note=note, keys=keys, **size)
    across = axis(0, 100, title_text="score, % (MRA for numbers, accuracy for choices)")
    down = axis(len(tasks) - 0.5, -0.5, ticks=list(range(len(tasks))), ticktext=names, showgrid=False)
    fig.update_layout(xaxis=across, yaxis=down | {"tickfont": {"size": 13, "color": INK}})
    for place in range(0, len(tasks), 2):
        stripe = {"x0": 0, "x1": 1, "xref": "x domain", "y0": place - 0.5, "y1": place + 0.5}
        fig.add_shape(type="rect", **stripe, fillcolor=BACK, line_width=0, layer="below")
    for key, symbol, _, color, text in _REFERENCES:
        if key in found:
            _reference(fig, found[key], tasks, symbol, color, text)
    return fig


def _reference_keys(references: Mapping[str, Row | None]) -> list[tuple[str, str, str]]:
    return [(glyph, color, text) for key, _, glyph, color, text in _REFERENCES if references[key]]


def _has_bands(rows: Mapping[str, Row]) -> bool:
    return any(read_score(s)[1] != read_score(s)[2] for row in rows.values() for s in row.values())


def _reference(fig: Figure, row: Row, tasks: Sequence[str], symbol: str, color: str, text: str) -> None:
    lane = 0 if symbol == "line-ns" else _LANE
    at = [(round(read_score(row[t])[0], 2), i + lane) for i, t in enumerate(tasks) if t in row]
    size = {"line-ns": _BAND_PX / 1.5, "circle-open": 8, "x-thin": 7}[symbol]
    marker = {"symbol": symbol, "size": size, "color": color, "line": {"color": color, "width": 2}}
    if symbol == "circle-open":
        marker["line"] = {"width": 1.6}
    look = {"mode": "markers", "marker": marker, "hovertemplate": f"{text}: %{{x:.1f}} %<extra></extra>"}
    fig.add_trace(go.Scatter(x=[x for x, _ in at], y=[y for _, y in at], **look))


def _dots(fig: Figure, name: str, row: Row, tasks: Sequence[str], color: str, offset: float, bars: bool = True) -> None:
    scores = [(i, *read_score(row[t])) for i, t in enumerate(tasks) if t in row]
    error = {"type": "data", "symmetric": False, "color": color, "thickness": 1.6, "width": 0, "visible": bars}
    error["array"] = [round(high - value, 3) for _, value, _, high, _ in scores]
    error["arrayminus"] = [round(value - low, 3) for _, value, low, _, _ in scores]
    text = [f"{plain(name)}: {v:.1f} %" + (f", {lo:.1f} to {h:.1f}" if lo != h else "") for _, v, lo, h, _ in scores]
    fig.add_trace(
        go.Scatter(
            x=[round(s[1], 2) for s in scores],
            y=[s[0] + offset for s in scores],
            error_x=error,
            mode="markers",
            marker={"size": 10, "color": color, "line": {"width": 1, "color": "white"}},
            text=text,
            hovertemplate="%{text}<extra></extra>",
        )
    )


def _change(before: Score, after: Score, difference: Score | None) -> tuple[str, str]:
    """The change in points as text, and its colour: one that its interval cannot tell from zero stays grey."""
    value = read_score(after)[0] - read_score(before)[0]
    if difference is None:
        return f"<b>{_signed(value)}</b>", BLUE if value >= 0 else ORANGE
    value, low, high, _ = read_score(difference)
    color = SOFT if low <= 0 <= high else BLUE if value > 0 else ORANGE
    spread = f" ({_signed(low)} to {_signed(high)})" if low != high else ""
    return f"<b>{_signed(value)}</b>{spread}", color


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _scores_alt(rows: Mapping[str, Row], references: Mapping[str, Row], tasks: Sequence[str]) -> str:
    parts = []
    for task in tasks:
        shown = [f"{n} {read_score(r[task])[0]:.1f}" for n, r in {**rows, **references}.items() if task in r]
        parts.append(f"{task_name(task)}: {', '.join(shown)}")
    return f"Scores in per cent. {'; '.join(parts)}."


PARTS = {  # key: name, colour, colour of the number in it
    "right": ("right", BLUE, "white"),
    "partly": ("partly right", "#86b6d8", INK),
    "wrong": ("wrong", "#e6a57a", INK),
    "unparsed": ("could not be read", "#4b535c", "white"),
    "cut": ("cut off by the cap", "#aeb6be", INK),
}
_SHORT = (("right", "wrong", "unparsed"), ("right", "wrong", "unparsed", "cut"))
_BAR_PX = 34


def parse_failures(counts: Mapping[str, object], *, source: str, title: str = "Wrong, or not readable?") -> Figure:
    """Draw one bar for each row of answers, split into right, wrong, and what could not be read.

    Args:
        counts: a row's name to its numbers of answers: a mapping with keys of `PARTS`, an evaluation `TypeScore`, or
            three or four numbers (right, wrong, not readable, cut off by the token cap).
        source: `measured now` or `shipped`.
        title: the figure's.

    Raises:
        ValueError: for a row of another form, a negative number, or none above zero.
    """
    rows = {name: _parts(name, row) for name, row in counts.items()}
    used = [k for k in PARTS if k in _SHORT[0] or any(row.get(k) for row in rows.values())]
    shares = {name: [100 * row.get(k, 0) / sum(row.values()) for k in used] for name, row in rows.items()}
    names = [plain(name) for name in rows]
    fig = canvas(
        title,
        source,
        _shares_alt(shares, [PARTS[k][0] for k in used]),
        note="share of all answers",
        keys=[("■", PARTS[k][1], PARTS[k][0]) for k in used],
        height_px=_BAR_PX * len(rows),
        left_px=36 + max(text_width(name, 13) for name in names),
        right_px=90,
    )
    down = axis(len(rows) - 0.5, -0.5, ticks=list(range(len(rows))), ticktext=names, showgrid=False)
    across = axis(0, 100, ticks=[0, 25, 50, 75, 100], title_text="answers, %")
    fig.update_layout(xaxis=across, yaxis=down | {"tickfont": {"size": 13, "color": INK}})
    for column, key in enumerate(used):
        _segments(fig, shares, column, *PARTS[key])
    for place, row in enumerate(rows.values()):
        label(fig, f"n = {sum(row.values()):g}", 100, place, color=SOFT, right_px=10)
    return fig


def _parts(name: str, row: object) -> dict[str, float]:
    """A row's numbers of answers by the keys of `PARTS`."""
    given = row
    if not isinstance(row, Mapping):
        if hasattr(row, "unparsed"):
            row = {key: getattr(row, key) for key in PARTS if hasattr(row, key)}
        else:
            row = dict(zip(_SHORT[len(row) == 4], row, strict=False)) if len(row) in (3, 4) else {}
    if not row or set(row) - set(PARTS) or min(row.values()) < 0 or sum(row.values()) <= 0:
        wanted = "right, wrong and unreadable answers"
        raise ValueError(f"row {name!r} holds {given}: give numbers of {wanted}, keys of {', '.join(PARTS)}")
    return dict(row)


def _segments(fig: Figure, shares: Mapping[str, Sequence[float]], column: int, part: str, color: str, ink: str) -> None:
    values = [round(row[column], 2) for row in shares.values()]
    fig.add_trace(
        go.Bar(
            x=values,
            y=list(range(len(values))),
            base=[round(sum(row[:column]), 2) for row in shares.values()],
            width=0.66,
            orientation="h",
            marker={"color": color, "line": {"width": 0}},
            text=[f"{v:.0f}" if v >= 4 else "" for v in values],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            insidetextfont={"size": 12, "color": ink},
            hovertemplate=f"{part}: %{{x:.1f}} %<extra></extra>",
        )
    )


def _shares_alt(shares: Mapping[str, Sequence[float]], parts: Sequence[str]) -> str:
    rows = []
    for name, row in shares.items():
        rows.append(f"{name}: " + ", ".join(f"{p} {v:.0f} %" for p, v in zip(parts, row, strict=True)))
    return f"Shares of answers. {'; '.join(rows)}."
