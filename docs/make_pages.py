"""The computed parts of README.md and of docs/*.md: tables, sentences with numbers, and the tree of the package.

`python docs/make_pages.py` writes them anew between their marks, `<!-- computed: NAME -->` and `<!-- end -->`.
A test checks that it would change nothing. All numbers come from the shipped study and the shipped benchmark.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

from make_tree import tree  # noqa: E402

from vsr_kit.pages.verdicts import all_citations  # noqa: E402
from vsr_kit.study import ledger, study_summary  # noqa: E402
from vsr_kit.study.citations import citation_table  # noqa: E402
from vsr_kit.study.real_rooms import real_rooms_summary, travels  # noqa: E402
from vsr_kit.study.summary import headlines, sharing_lines, sharing_summary  # noqa: E402
from vsr_kit.study.systems import kl_table, system_table  # noqa: E402
from vsr_kit.study.travel import findings  # noqa: E402

_MARK = re.compile(r"(<!-- computed: ([a-z-]+) -->\n)(?:(?!<!-- ).)*(<!-- end -->)", re.S)


def _listed(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


BLOCKS: dict[str, Callable[[], str]] = {
    "tree": tree,
    "scores": study_summary,
    "headlines": headlines,
    "ledger": ledger,
    "citations": lambda: citation_table(all_citations()),
    "real-rooms": real_rooms_summary,
    "travels": lambda: _listed(travels()),
    "controls": lambda: _listed(findings()),
    "systems": system_table,
    "kl-terms": kl_table,
    "sharing": sharing_summary,
    "sharing-short": sharing_lines,
}


def pages() -> list[Path]:
    """The pages with computed parts."""
    every = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
    return [path for path in every if _MARK.search(path.read_text(encoding="utf-8"))]


def filled(text: str) -> str:
    """A page with its computed parts made anew."""
    return _MARK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}\n{found[3]}", text)


if __name__ == "__main__":
    for page in pages():
        old = page.read_text(encoding="utf-8")
        page.write_text(new := filled(old), encoding="utf-8")
        print(f"{page.relative_to(DOCS.parent)}: {'as it was' if new == old else 'written anew'}")
