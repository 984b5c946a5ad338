"""A notebook as one HTML page that loads nothing from the network and links to the course's other pages.

nbconvert's page loads require.js, MathJax and mermaid from the network. The kit's template (`templates/course`) loads
only plotly.js, from the same folder: formulas become MathML, which browsers draw by themselves; figures are drawn by
plotly and shown as their still SVG on narrow screens or without scripts; widgets are replaced by their still form.
Pictures keep their alternative text. A link to another notebook leads to its page; a link that would lead nowhere
becomes plain text.
Left out: TeX that latex2mathml does not know, which stays as it was written.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import plotly.io
from bs4 import BeautifulSoup
from jinja2 import pass_context
from latex2mathml.converter import convert_to_element
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from vsr_kit.plots.canvas import PLOTLY_MIME
from vsr_kit.validation import drawable

TEMPLATES = Path(__file__).parent / "templates"
_ELSEWHERE = re.compile(r"(https?|mailto):|#")


def notebook_page(
    notebook: NotebookNode,
    name: str,
    *,
    pages: Collection[str] = (),
    folder: str | Path | None = None,
    note: str = "",
    later: Collection[str] = (),
) -> str:
    """The notebook as a page that needs `../plotly.min.js` and `../index.html` and no network.

    Args:
        notebook: with its outputs; it stays as it is.
        name: the page's, `<name>.html`.
        pages: names of all notebooks that have a page in the same folder, in the course's order.
        folder: where the page will lie: a relative link to anything that is there is kept.
        note: a sentence at the top, say that nothing was run.
        later: relative addresses of pages that will be there, though they are not yet.
    """
    order = sorted({*pages, name})
    at = order.index(name)
    neighbours = {"before": order[at - 1] if at else None, "after": order[at + 1] if at + 1 < len(order) else None}
    exporter = _CourseExporter(template_name="course", extra_template_basedirs=[str(TEMPLATES)])
    resources = {"metadata": {"name": name}, "course": {"index": "../index.html", "note": note, **neighbours}}
    html, _ = exporter.from_notebook_node(_static(notebook), resources)
    there = {"../index.html", *later, *(f"{each}.html" for each in order)}
    return drawable(_linked(html, set(order), there, None if folder is None else Path(folder)))


class _CourseExporter(HTMLExporter):
    @pass_context
    def markdown2html(self, context, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        return MarkdownWithMath(renderer=_Renderer(escape=False, attachments=attachments)).render(source)


class _Renderer(IPythonRenderer):
    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")


def mathml(tex: str, display: str) -> str:
    """A formula as MathML, `block` or `inline`; what cannot be parsed stays TeX, as code."""
    try:
        math = convert_to_element(tex, display=display)
    except Exception:  # the library's errors have no class in common, and a page is better than none
        return f"<code>{escape(tex)}</code>"
    for part in math.iter():  # it writes its symbols as entities
        part.text = unescape(part.text) if part.text else part.text
    math.set("alttext", " ".join(tex.split()))
    return ElementTree.tostring(math, encoding="unicode")


def markdown_body(text: str) -> str:
    """Markdown as HTML whose headings have the anchors that GitHub gives them, `#kl-term` for `### KL term`."""
    from nbconvert.filters import markdown2html

    soup = BeautifulSoup(markdown2html(text), "html.parser")
    for anchor in soup.find_all("a", class_="anchor-link"):
        anchor.decompose()
    for link in soup.find_all("a", href=re.compile(r"^(?!#|https?:)")):  # into the repository, which is not here
        del link["href"]
    for head in soup.find_all(re.compile(r"h\d")):
        head["id"] = re.sub(r"[^\w\- ]", "", head.get_text().lower()).replace(" ", "-")
    return str(soup)


def _linked(html: str, names: set[str], there: set[str], folder: Path | None) -> str:
    """The page with links to notebooks turned to their pages, dead ones made text, and no picture from elsewhere."""
    soup = BeautifulSoup(html, "html.parser")
    for link in soup.find_all("a", href=True):
        target = _target(link["href"], names, there, folder)
        if target is None:
            link["title"] = f"{link['href']}: not among these pages"
            del link["href"]
        else:
            link["href"] = target
    for picture in soup.find_all("img", src=re.compile(r"^(?!data:)")):
        source = picture["src"].strip()
        if not _lies_in(folder, source):
            words = soup.new_tag("a", href=source) if re.match(r"https?://", source) else soup.new_tag("span")
            words.string = picture.get("alt") or source
            picture.replace_with(words)
    return str(soup)


def _target(url: str, names: set[str], there: set[str], folder: Path | None) -> str | None:
    """Where a link leads from a page; None where nothing is there."""
    if _ELSEWHERE.match(url):
        return url
    path, _, fragment = url.partition("#")
    anchor = f"#{fragment}" if fragment else ""
    stem, _, kind = path.rpartition(".")
    if kind == "ipynb" and stem.removeprefix("./") in names:
        return f"{stem.removeprefix('./')}.html{anchor}"
    if kind == "md" and _lies_in(folder, f"{stem}.html"):
        return f"{stem}.html{anchor}"
    return url if path in there or _lies_in(folder, path) else None


def _lies_in(folder: Path | None, path: str) -> bool:
    """Whether a relative address leads to a file from a page in `folder`."""
    return folder is not None and not re.match(r"\w+:|/", path) and (folder / unquote(path)).is_file()


def _static(notebook: NotebookNode) -> NotebookNode:
    """A copy whose figures draw without the notebook server; widgets without state are shown by what else there is."""
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY_MIME in data:
                data["text/html"] = figure_html(data.pop(PLOTLY_MIME), data.pop("image/svg+xml", ""))
    return notebook


def figure_html(figure: dict, still: str = "") -> str:
    """A plotly figure as a <div> and a script, for a page that loads plotly.js, and its `still`, an SVG, beside it.

    The page's style shows one of the two; without a still there is nothing to choose.
    """
    config = figure.get("config", {})
    figure = {key: figure[key] for key in ("data", "layout", "frames") if key in figure}
    alt = escape((figure.get("layout", {}).get("meta") or {}).get("alt", "a figure"))
    live = plotly.io.to_html(figure, config=config, include_plotlyjs=False, full_html=False, validate=False)
    if not still:
        return f'<div role="img" aria-label="{alt}">{live}</div>'
    live = f'<div class="live" role="img" aria-label="{alt}">{live}</div>'
    return f'<div class="figure">{live}<div class="still" tabindex="0">{still}</div></div>'
