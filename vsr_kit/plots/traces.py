"""Sampled answers as they were written, with what was read from them and what it earned.

The story: a number says how often a model is right, its words say why. Whatever a model wrote is shown verbatim and
escaped, every character of it; the part that was read as the answer is marked, and where nothing could be read the
reason stands in its place. Rows of one question share a heading, so that before and after stand together.
Left out: judging the reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape

from vsr_kit.plots.display import Html
from vsr_kit.plots.groups import reward_terms, term_name
from vsr_kit.plots.style import MARK, PANEL, WARN, check_source, task_name
from vsr_kit.prompts import parse_answer

_TOP = 'style="text-align:left; vertical-align:top; padding:5px 10px"'
_HEAD = f'style="text-align:left; padding:10px; border-top:2px solid #8c959f; {PANEL}"'
_TEXT = (
    'style="white-space:pre-wrap; word-break:normal; overflow-wrap:break-word; margin:0; font-size:12px; '
    'max-width:460px; background:transparent"'
)
_MARK = f'style="{MARK}"'
_SMALL = 'style="font-size:11px"'
_WARN = f'style="{WARN}"'
_MOST_CHARACTERS = 4000


def read_answer(text: str, row: Mapping) -> tuple[str | None, str | None]:
    """What the kit's parser reads from a model's text: (answer, None), or (None, why not)."""
    parsed = parse_answer(text, row)
    return parsed.value, parsed.reason


def traces(
    rows: Sequence[Mapping],
    *,
    source: str,
    read: Callable[[str, Mapping], tuple[str | None, str | None]] = read_answer,
    title: str = "Sampled answers",
) -> Html:
    """Show sampled answers as a table: who wrote it, the text, what was read, what it earned.

    Args:
        rows: with VSI-Bench's fields and `completion` or `prediction`; optional: `label` (a checkpoint's or step's
            name), `rewards` or `…_reward` columns, `advantage`. Neighbouring rows of one question share its
            heading; a row without text shows the question alone.
        source: `measured now` or `shipped`.
        read: what reads an answer from text: `(answer, None)` or `(None, reason)`; the kit's parser by default.
        title: the caption.
    """
    body: list[str] = []
    last = object()
    for row in rows:
        if (key := (row.get("id"), row.get("question"))) != last:
            body.append(question_heading(row))
            last = key
        if row.get("completion") is not None or row.get("prediction") is not None:
            body.append(answer_line(row, read))
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
    parts.append(f"<span {_SMALL}>{escape(' · '.join(where))}</span>")
    return f'<tr><td colspan="4" {_HEAD}>{"<br>".join(parts)}</td></tr>'


def answer_line(row: Mapping, read: Callable = read_answer) -> str:
    """A table row with one answer; see `traces`."""
    text = row.get("completion") if row.get("completion") is not None else row.get("prediction")
    text = str(text)
    answer, reason = read(text, row)
    if answer is None:
        shown, said = escape(_cut(text)), f"<i {_WARN}>could not be read: {escape(str(reason))}</i>"
    else:
        shown, said = marked(text, answer), f"<b>{escape(str(answer))}</b>"
    name = row.get("label", f"step {row['step']}" if row.get("step") is not None else "")
    wrote = f"<pre {_TEXT}>{shown}</pre>" if text.strip() else "<i>(nothing)</i>"
    cells = (escape(str(name)), wrote, said, _earned(row))
    return f"<tr>{''.join(f'<td {_TOP}>{cell}</td>' for cell in cells)}</tr>"


def _earned(row: Mapping) -> str:
    terms = reward_terms(row)
    lines = [f"{escape(term_name(name))} {value:.2f}" for name, value in terms.items()]
    if row.get("advantage") is not None:
        lines.append(f"advantage {float(row['advantage']):+.2f}".replace("-", "−"))
    return "<br>".join(lines) or "–"


def marked(text: str, answer: str) -> str:
    """Escaped text in which the answer that was read is marked: inside the last answer tag, or its last mention."""
    text = _cut(text)
    tagged = list(re.finditer(r"<answer>(.*?)(?:</answer>|$)", text, re.S | re.I))
    if tagged and tagged[-1].group(1).strip():
        start, end = tagged[-1].span(1)
    else:
        mentions = list(re.finditer(rf"(?<!\w){re.escape(str(answer))}(?!\w)", text, re.I))
        if not mentions:
            return escape(text)
        start, end = mentions[-1].span()
    return f"{escape(text[:start])}<b {_MARK}>{escape(text[start:end])}</b>{escape(text[end:])}"


def _cut(text: str) -> str:
    if len(text) <= _MOST_CHARACTERS:
        return text
    half = _MOST_CHARACTERS // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"
