"""Tables as HTML: scores with intervals, the paper's scores, and answers as they were written.

`score_table` and `paper_table` let a reader look up what a figure shows. Words, rows and bold letters carry the
meaning, not colours, since a notebook's viewer may remove every style. `traces` shows sampled answers verbatim: the
part that was read as the answer is marked, an unreadable answer shows the reason instead, and each comes with what it
earned. Rows about one question share a heading, so that answers before and after training can be compared. All names
and model text are escaped.
Left out: sorting, ranks by differences smaller than their intervals, and judging the reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from statistics import mean

from vsr_kit.plots.canvas import Html
from vsr_kit.plots.scores import Row, Score, read_score
from vsr_kit.plots.style import MARK, PANEL, WARN, check_source, task_name, task_order
from vsr_kit.plots.training import reward_terms, term_name
from vsr_kit.prompts import parse_answer
from vsr_kit.questions import QUESTION_TYPES

_CELL = 'style="text-align:right; padding:3px 7px; white-space:nowrap; font-variant-numeric:tabular-nums"'
_NAME = 'style="text-align:left; padding:3px 10px"'
_TABLES_SMALL = 'style="font-size:11px"'
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
    return shown + (f"<br><span {_TABLES_SMALL}>{low:.1f} to {high:.1f}</span>" if low != high else "")


def _mean_note(row: Mapping[str, float], task: str, printed: bool) -> str:
    """What a printed average's columns really average to, where that differs by more than rounding."""
    columns = [float(v) for t, v in row.items() if t != "overall"] if printed and task == "overall" else []
    if not columns or abs(mean(columns) - row["overall"]) < 0.1:
        return ""
    return f"<br><span {_TABLES_SMALL}>(columns: {mean(columns):.1f})</span>"


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


_TOP = 'style="text-align:left; vertical-align:top; padding:5px 10px; line-height:1.4"'
_HEAD = f'style="text-align:left; padding:10px; border-top:2px solid #8c959f; {PANEL}"'
_TEXT = (
    'style="white-space:pre-wrap; word-break:normal; overflow-wrap:break-word; margin:0; font-size:12px; '
    'max-width:460px; background:transparent"'
)
_MARK = f'style="{MARK}"'
_TRACES_SMALL = 'style="font-size:11px"'
_WARN = f'style="{WARN}"'
_MOST_CHARACTERS = 4000


def read_answer(text: str, row: Mapping) -> tuple[str | None, str | None]:
    """What the kit's parser reads from a model's text: (answer, None), or (None, why not)."""
    parsed = parse_answer(text, row)
    return parsed.value, parsed.reason


def read_if_known(text: str, row: Mapping) -> tuple[str | None, str | None]:
    """The same, where the row says what kind of answer it asks for: rows of other harnesses need not."""
    known = row.get("question_type") in QUESTION_TYPES
    return read_answer(text, row) if known else (None, "its question has no type that is known here")


def traces(
    rows: Sequence[Mapping],
    *,
    source: str,
    read: Callable[[str, Mapping], tuple[str | None, str | None]] = read_answer,
    title: str = "Sampled answers",
    highlight: str = "",
    texts: Sequence[str | None] = (),
) -> Html:
    """Show sampled answers as a table: who wrote it, the text, what was read, what it earned.

    Args:
        rows: with VSI-Bench's fields and `completion` or `prediction`; optional: `label` (a checkpoint's or step's
            name), `rewards` or reward columns, `advantage`. Neighbouring rows of one question share its
            heading; a row without text shows the question alone.
        source: `measured now` or `shipped`.
        read: what reads an answer from text: `(answer, None)` or `(None, reason)`; the kit's parser by default.
        title: the caption.
        highlight: words to mark in the texts, whatever their case.
        texts: for each row the markup to show instead of its text, such as coloured tokens; None for the text.
    """
    body: list[str] = []
    last = object()
    for row, shown in zip(rows, texts or [None] * len(rows), strict=True):
        if (key := (row.get("id"), row.get("question"))) != last:
            body.append(question_heading(row))
            last = key
        if row.get("completion") is not None or row.get("prediction") is not None:
            body.append(answer_line(row, read, highlight, shown))
    heads = "".join(f"<th {_TOP}>{h}</th>" for h in ("", "what the model wrote", "read as", "reward"))
    said = f"{escape(title)} · <b>{check_source(source)}</b>"
    caption = f'<div style="padding:4px 10px">{said}</div>'
    table = f'{caption}<table style="border-collapse:collapse; font-size:13px"><thead><tr>{heads}</tr></thead>'
    return Html(f"{table}<tbody>{''.join(body)}</tbody></table>", f"{title} ({source}): {len(rows)} answers")


def question_heading(row: Mapping) -> str:
    """A table row with the question, its options and the right answer."""
    parts = [f"<b>{escape(str(row.get('question', '')))}</b>"]
    if row.get("options") is not None and len(row["options"]):  # may be an array where rows come from parquet
        parts.append(escape(" · ".join(map(str, row["options"]))))
    where = [task_name(str(row["question_type"]))] if row.get("question_type") else []
    where += [f"room {row['scene_name']}"] if row.get("scene_name") else []
    where += [f"right answer: {row['ground_truth']}"] if row.get("ground_truth") is not None else []
    parts.append(f"<span {_TRACES_SMALL}>{escape(' · '.join(where))}</span>")
    return f'<tr><td colspan="4" {_HEAD}>{"<br>".join(parts)}</td></tr>'


def answer_line(row: Mapping, read: Callable = read_answer, highlight: str = "", instead: str | None = None) -> str:
    """A table row with one answer; see `traces`. `instead`: markup to show for its text."""
    text = row.get("completion") if row.get("completion") is not None else row.get("prediction")
    text = str(text)
    answer, reason = read(text, row)
    if answer is None:
        shown, said = _found(_cut(text), highlight), f"<i {_WARN}>could not be read: {escape(str(reason))}</i>"
    else:
        shown, said = marked(text, answer, highlight), f"<b>{escape(str(answer))}</b>"
    name = row.get("label", f"step {row['step']}" if row.get("step") is not None else "")
    wrote = f"<pre {_TEXT}>{shown}</pre>" if text.strip() else "<i>(nothing)</i>"
    cells = (escape(str(name)), wrote if instead is None else instead, said, _earned(row))
    return f"<tr>{''.join(f'<td {_TOP}>{cell}</td>' for cell in cells)}</tr>"


def _earned(row: Mapping) -> str:
    terms = reward_terms(row)
    lines = [f"{escape(term_name(name))} {value:.2f}" for name, value in terms.items()]
    if row.get("advantage") is not None:
        lines.append(f"advantage {float(row['advantage']):+.2f}".replace("-", "−"))
    return f'<span style="white-space:nowrap">{"<br>".join(lines)}</span>' if lines else "–"


def marked(text: str, answer: str, highlight: str = "") -> str:
    """Escaped text in which the answer that was read is marked: inside the last answer tag, or its last mention.

    Words that are looked for are marked in what is left and right of it.
    """
    text = _cut(text)
    if (span := answer_span(text, answer)) is None:
        return _found(text, highlight)
    start, end = span
    before, after = (_found(part, highlight) for part in (text[:start], text[end:]))
    return f"{before}<b {_MARK}>{escape(text[start:end])}</b>{after}"


def answer_span(text: str, answer: str) -> tuple[int, int] | None:
    """Where the answer that was read stands: inside the last answer tag, or its last mention; None where nowhere."""
    tagged = list(re.finditer(r"<answer>(.*?)(?:</answer>|$)", text, re.S | re.I))
    if tagged and tagged[-1].group(1).strip():
        return tagged[-1].span(1)
    mentions = list(re.finditer(rf"(?<!\w){re.escape(str(answer))}(?!\w)", text, re.I))
    return mentions[-1].span() if mentions else None


def _found(text: str, words: str) -> str:
    """Escaped text in which some words are marked wherever they stand."""
    if not words:
        return escape(text)
    pieces = re.split(f"({re.escape(words)})", text, flags=re.I)  # every second piece is a hit
    return "".join(f"<mark {_MARK}>{escape(p)}</mark>" if i % 2 else escape(p) for i, p in enumerate(pieces))


def _cut(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"
