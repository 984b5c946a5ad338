"""Cited answers and rollouts as a notebook shows them: who wrote them, when, the text shortened, and where to open it.

`verdict_examples` has under every verdict the examples that `study.citations` chose. `rollouts_that` stands behind a
sentence about how rollouts look, with the first three that show it. Links lead to the gallery of the course's site.
Left out: whole texts, rooms and clips, which the gallery has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

from vsr_kit.pages.gallery import link
from vsr_kit.pages.verdicts import all_citations
from vsr_kit.plots import Html
from vsr_kit.plots.tables import marked, read_if_known, traces
from vsr_kit.study.citations import RULES, Citations, Cited, Example, showing, who_wrote
from vsr_kit.study.judge import Verdict

BEGIN, END = 180, 120  # characters of a text that are shown
WHERE = "Links open the gallery of the site that `make run` leaves."
_PRE = (
    'style="white-space:pre-wrap; word-break:normal; overflow-wrap:break-word; margin:0; font-size:12px; '
    'max-width:460px; background:transparent"'
)


def rollouts_that(of: str, says: str, shows: Callable[[Mapping], bool], folder: Path | str | None = None) -> Html:
    """Three rollouts that show what a sentence says of them.

    Args:
        of: a variant, whose first run kept rollouts.
        says: the end of "Rollouts that …".
        shows: whether a rollout, a row as the run kept it, shows it.
        folder: the study's, by default the shipped one.

    Raises:
        FileNotFoundError: no finished run of the variant, or none that kept rollouts.
        ValueError: an unknown variant, or no rollout shows it.
    """
    found = showing(of, says, shows, folder)
    table = _table(found, f"Rollouts that {says}")
    rule = f"<details><summary>How they are chosen</summary>{escape(RULES[found.rule])} {escape(WHERE)}</details>"
    return Html(f"{table.__html__()}{rule}", f"{table.alt}; {'; '.join(map(_address, found.examples))}")


def verdict_examples(found: Mapping[str, Verdict], folder: Path | str | None = None) -> Html:
    """Under every verdict its cited answers or rollouts, folded away; a claim without any says why.

    Args:
        found: verdicts by claim.
        folder: the study's, by default the shipped one.
    """
    cited = {name: own for name, own in all_citations(folder).items() if name in found}
    parts = [_folded(found[name], own) for name, own in cited.items()]
    used = {own.rule for own in cited.values()}
    rules = "".join(f"<p>{escape(text)}</p>" for rule, text in RULES.items() if rule in used)
    parts.append(f"<details><summary>How they are chosen</summary>{rules}<p>{escape(WHERE)}</p></details>")
    count = sum(len(own.examples) for own in cited.values())
    return Html("".join(parts), f"{count} examples of {len(cited)} verdicts (shipped)")


def _folded(verdict: Verdict, own: Citations) -> str:
    words = f"<code>{escape(own.claim)}</code>: {escape(verdict.verdict)}"
    shown = _table(own, "Examples").__html__() if own.examples else f"<p>{escape(own.none)}</p>"
    return f"<details><summary>{words}</summary>{shown}</details>"


def _table(found: Citations, title: str) -> Html:
    """The examples as answers are shown everywhere, each text shortened and with its link."""
    lines, texts = [], []
    for example in found.examples:
        for one in example.answers:
            paid = {"score": one.score} if one.step is None else _paid(example.row)
            told = {"label": who_wrote(one), "completion": one.text, "rewards": paid}
            lines.append(_asked(example.row) | told)
            how = "" if found.rule == "showing" else f" · {escape(example.shows)}"
            texts.append(f"<pre {_PRE}>{_text(one.text, example.row)}</pre>{_linked(found, one)}{how}")
    return traces(lines, source="shipped", read=read_if_known, title=title, texts=texts)


def _asked(row: Mapping) -> dict:
    """What a row says of its question."""
    fields = ("id", "question", "question_type", "scene_name", "options", "ground_truth")
    return {name: row[name] for name in fields if name in row}


def _paid(row: Mapping) -> dict[str, float]:
    """What a rollout was paid: detectors pay nothing and are left out."""
    return {name: value for name, value in row.items() if name.endswith("_reward") and value is not None}


def _text(text: str, row: Mapping) -> str:
    """Markup of a text's beginning and end, in which the answer that was read is marked."""
    if len(text) > BEGIN + END:
        text = f"{text[:BEGIN]} … {text[-END:]}"
    answer, _ = read_if_known(text, row)
    return escape(text) if answer is None else marked(text, answer)


def _linked(found: Citations, one: Cited) -> str:
    return f'<a href="../{escape(link(found, one), quote=True)}">open in the gallery</a>'


def _address(example: Example) -> str:
    one = example.answers[0]
    return f"{one.run}, step {one.step}, {one.id}"
