"""Every verdict as a page: the claim, what was measured, the verdict, and three cited examples that can be opened.

The examples are chosen by the rules of `study.citations`, which the page prints. Each leads to the gallery, where the
same question stands with its room and with all answers to it.
Left out: claims of recipes that are not loaded, and verdicts over real rooms alone, which stand beside theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vsr_kit.claims import Claim
from vsr_kit.files import replace
from vsr_kit.pages.filling import page
from vsr_kit.pages.gallery import link
from vsr_kit.recipes import all_claims
from vsr_kit.study.citations import RULES, Citations, Example, cited, who_wrote
from vsr_kit.study.judge import NOT_JUDGED, Verdict, not_run
from vsr_kit.study.summary import counted

PAGE = "verdicts.html"


def all_citations(folder: Path | str | None = None) -> dict[str, Citations]:
    """Examples of every claim's verdict; a claim that a folder cannot be asked about says why it has none."""
    found = {}
    for known in all_claims():
        try:
            found[known.name] = cited(known.name, folder)
        except FileNotFoundError:
            found[known.name] = Citations(known.name, none="Its runs are not there yet.")
        except ValueError as error:
            found[known.name] = Citations(known.name, none=str(error))
    return found


def write_verdicts(
    out: str | Path,
    found: Mapping[str, Verdict],
    citations: Mapping[str, Citations],
    damaged: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> Path:
    """Write the page into a folder and return its path.

    Args:
        out: the folder, where the gallery is, too.
        found: verdicts by claim.
        citations: examples by claim.
        damaged: why a claim is not judged, by claim.
        links: text and address of links at the top.
    """
    claims = [_view(known, found.get(known.name), citations[known.name], damaged or {}) for known in all_claims()]
    html = page("verdicts.html.j2", claims=claims, counted=counted(found), rules=RULES, links=dict(links or {}))
    replace(Path(out) / PAGE, lambda beside: beside.write_text(html, encoding="utf-8"))
    return Path(out) / PAGE


def _view(known: Claim, verdict: Verdict | None, citations: Citations, damaged: Mapping[str, str]) -> dict:
    lines = [] if verdict is None else str(verdict).split("\n")[:-1]
    words = f"{NOT_JUDGED}: {damaged[known.name]}" if known.name in damaged else not_run(known)
    return {
        "claim": known,
        "lines": lines,
        "words": words if verdict is None else verdict.words,
        "kind": "" if verdict is None else verdict.verdict.partition(":")[0],
        "none": citations.none,
        "rule": RULES.get(citations.rule, ""),
        "examples": [_example(citations, example) for example in citations.examples],
    }


def _example(citations: Citations, example: Example) -> dict:
    answers = [
        {
            "who": who_wrote(one),
            "text": one.text,
            "score": f"{one.score:.2g}",
        }
        for one in example.answers
    ]
    links = list(dict.fromkeys(link(citations, one) for one in example.answers))
    return {"row": example.row, "shows": example.shows, "answers": answers, "links": links}
