"""Score tables as HTML: ours with intervals, and the paper's beside them.

The story: a table is for looking up what a figure shows. Its sense sits in the words, rows and bold letters, not in
colours, since a notebook's viewer may strip every style. All names are escaped.
Left out: sorting, and ranks by differences smaller than their intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import mean

from vsr_kit.plots.display import Html
from vsr_kit.plots.scores import Row, Score, read_score
from vsr_kit.plots.style import PANEL, check_source, task_name, task_order

_CELL = 'style="text-align:right; padding:3px 7px; white-space:nowrap; font-variant-numeric:tabular-nums"'
_NAME = 'style="text-align:left; padding:3px 10px"'
_SMALL = 'style="font-size:11px"'
_GROUP = f'style="text-align:left; padding:10px 10px 3px; {PANEL}"'


def score_table(
    rows: Mapping[str, Row],
    *,
    source: str,
    references: Mapping[str, Row] | None = None,
    note: str = "",
    title: str = "Scores by task, per cent",
) -> Html:
    """A table of scores with their intervals, one line for each row and one column for each task.

    Args:
        rows: a row's name to its scores by task; each column's highest value is bold.
        source: `measured now` or `shipped`.
        references: rows that need no understanding (most frequent answer, no video, wrong clip), set apart below.
        note: what else the caption should say: seeds, n, harness.
        title: the caption's first words.
    """
    references = references or {}
    tasks = task_order(task for row in [*rows.values(), *references.values()] for task in row)
    counts = {t: read_score(row[t])[3] for row in rows.values() for t in tasks if t in row}
    best = _best(rows.values(), tasks)
    body = [_line(name, row, tasks, best) for name, row in rows.items()]
    if references:
        body.append(_group("lines to beat: they need no model, or no sight of the room", len(tasks)))
        body += [_line(name, row, tasks, {}) for name, row in references.items()]
    if any(counts.values()):
        cells = "".join(f"<td {_CELL}>{counts.get(t) or ''}</td>" for t in tasks)
        body.append(f"<tr><td {_NAME}><i>questions</i></td>{cells}</tr>")
    bands = any(read_score(s)[1] != read_score(s)[2] for row in rows.values() for s in row.values())
    said = [escape(title), f"<b>{check_source(source)}</b>", "95 % intervals beneath" if bands else "", escape(note)]
    return Html(_table(" · ".join(filter(None, said)), tasks, body), f"{title} ({source}): " + "; ".join(_words(rows)))


def paper_table(
    paper: Mapping[str, Mapping[str, float]],
    ours: Mapping[str, Row],
    *,
    source: str,
    paper_name: str = "paper, Qwen2-VL-2B on VSI-Bench",
    our_name: str = "ours, the miniature on rendered rooms",
    title: str = "The same three prompts, there and here",
) -> Html:
    """The paper's table beside ours: the same rows (modes) and columns (tasks) in two blocks.

    Levels do not compare (another model, other rooms); the order of the rows within a block does. Where the paper
    prints an average that is not the mean of its columns, both are shown.

    Args:
        paper: a row's name (think, observe, vanilla) to per cent by task, `overall` as printed.
        ours: the same names to our scores.
        source: of our block: `measured now` or `shipped`.
        paper_name, our_name: the blocks' headings.
        title: the caption's first words.
    """
    missing = [name for name in paper if name not in ours]
    if missing:
        raise ValueError(f"our rows {sorted(ours)} lack {missing}: both blocks need the same rows to be compared")
    tasks = task_order(task for row in paper.values() for task in row)
    body = [_group(escape(paper_name), len(tasks))]
    body += [_line(name, row, tasks, _best(paper.values(), tasks), printed=True) for name, row in paper.items()]
    body.append(_group(f"{escape(our_name)} (<b>{check_source(source)}</b>)", len(tasks)))
    shown = {name: ours[name] for name in paper}
    body += [_line(name, row, tasks, _best(shown.values(), tasks)) for name, row in shown.items()]
    caption = f"{escape(title)}, per cent · bold = best of its block · compare orders, not levels"
    return Html(_table(caption, tasks, body), f"{title} ({source}): " + "; ".join(_words(shown)))


def _best(rows, tasks: Sequence[str]) -> dict[str, float]:
    rows = list(rows)
    if len(rows) < 2:
        return {}
    found = {t: [round(read_score(row[t])[0], 1) for row in rows if t in row] for t in tasks}
    return {t: max(values) for t, values in found.items() if values}


def _line(name: str, row: Row, tasks: Sequence[str], best: Mapping[str, float], printed: bool = False) -> str:
    cells = "".join(f"<td {_CELL}>{_cell(row.get(t), best.get(t))}{_mean_note(row, t, printed)}</td>" for t in tasks)
    return f"<tr><td {_NAME}>{escape(str(name))}</td>{cells}</tr>"


def _cell(score: Score | None, best: float | None) -> str:
    if score is None:
        return "–"
    value, low, high, _ = read_score(score)
    shown = f"<b>{value:.1f}</b>" if best is not None and round(value, 1) >= best else f"{value:.1f}"
    return shown + (f"<br><span {_SMALL}>{low:.1f} to {high:.1f}</span>" if low != high else "")


def _mean_note(row: Mapping[str, float], task: str, printed: bool) -> str:
    """What a printed average's columns really average to, where that differs by more than rounding."""
    columns = [float(v) for t, v in row.items() if t != "overall"] if printed and task == "overall" else []
    if not columns or abs(mean(columns) - row["overall"]) < 0.1:
        return ""
    return f"<br><span {_SMALL}>(columns: {mean(columns):.1f})</span>"


def _group(heading: str, columns: int) -> str:
    return f'<tr><th colspan="{columns + 1}" {_GROUP}>{heading}</th></tr>'


def _table(caption: str, tasks: Sequence[str], body: Sequence[str]) -> str:
    heads = "".join(f"<th {_CELL}>{_broken(task_name(t))}</th>" for t in tasks)
    look = 'style="border-collapse:collapse; font-size:13px"'
    lines = "\n".join(body)
    return (
        f'<div style="padding:4px 10px">{caption}</div>\n<table {look}>\n'
        f"<thead><tr><th {_NAME}></th>{heads}</tr></thead>\n<tbody>\n{lines}\n</tbody></table>"
    )


def _broken(name: str) -> str:
    """A column's heading on two lines, so that nine columns fit."""
    return escape(name).replace(" ", "<br>", 1)


def _words(rows: Mapping[str, Row]) -> list[str]:
    lines = []
    for name, row in rows.items():
        lines.append(f"{name} " + ", ".join(f"{task_name(t)} {read_score(row[t])[0]:.1f}" for t in task_order(row)))
    return lines
