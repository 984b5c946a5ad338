"""A report page that stands alone: still figures and tables, a little style, no script and no network.

The story: `report_page` takes headed sections of what this package makes (figures, pictures, tables, traces) and plain
sentences, and returns one HTML document that opens from a disk, an archive or an e-mail. Plain text is escaped; only
objects that bring their own markup (`__html__`) are trusted. Left out: interaction, and finding out what to report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from vsr_kit.characters import drawable

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1f24; --soft: #57606a; --line: #e4e8ec; --link: #0550ae; }
@media (prefers-color-scheme: dark) {
:root { --page: #0d1117; --ink: #e6edf3; --soft: #9198a1; --line: #30363d; --link: #6cb6ff; }
}
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; color: var(--ink);
       background: var(--page); max-width: 920px; margin: 0 auto; padding: 2rem 1rem 5rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
p { max-width: 44rem; } nav { color: var(--soft); } nav a { color: var(--link); margin-right: 1.1rem; }
figure { margin: 1.2rem 0; overflow-x: auto; } svg, img { max-width: 100%; height: auto; }
.wide { overflow-x: auto; margin: 1.2rem 0; } td, th { border-bottom: 1px solid var(--line); } pre { font-size: 12px; }
a:focus { outline: 2px solid var(--link); outline-offset: 2px; }
@media print { h2 { break-after: avoid; } figure, table { break-inside: avoid; } }
"""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it: text, and objects with `__html__`, in order."""

    title: str
    parts: tuple = ()


def report_page(title: str, sections: Iterable[Section | tuple[str, Sequence]], *, lead: str = "") -> str:
    """One self-contained HTML page.

    Args:
        title: the page's heading.
        sections: `Section`s, or pairs of a heading and its parts; strings among the parts become paragraphs.
        lead: a sentence below the heading: what ran, when, on what.
    """
    sections = [s if isinstance(s, Section) else Section(s[0], tuple(s[1])) for s in sections]
    links = "".join(f'<a href="#s{i}">{escape(s.title)}</a>' for i, s in enumerate(sections, 1))
    body = "\n".join(_section(i, section) for i, section in enumerate(sections, 1))
    return drawable(
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{f'<p>{escape(lead)}</p>' if lead else ''}\n<nav>{links}</nav>\n{body}\n</body>\n</html>\n"
    )


def _section(number: int, section: Section) -> str:
    parts = "\n".join(_part(part) for part in section.parts)
    return f'<section>\n<h2 id="s{number}">{escape(section.title)}</h2>\n{parts}\n</section>'


def _part(part: object) -> str:
    if hasattr(part, "__html__"):
        return f'<div class="wide">{part.__html__()}</div>'
    return f"<p>{escape(str(part))}</p>"
