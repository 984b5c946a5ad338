"""The site's index: it opens with picture, story and figure, tells minutes, and sums the ledger up with links."""

import re

from nbformat.v4 import new_markdown_cell, new_notebook

from vsr_kit.claims import Count
from vsr_kit.evaluation import Interval
from vsr_kit.pages import site
from vsr_kit.pages.landing import copy_pictures, headline_figure, minutes_told
from vsr_kit.paths import checkout
from vsr_kit.recipes import claim
from vsr_kit.study.judge import Verdict


def test_every_notebook_of_the_course_tells_its_minutes():
    for path in site.course_notebooks():
        assert re.search(r"minute", minutes_told(site._read(path))), path.name


def test_minutes_come_from_the_table_and_from_nowhere_else():
    table = "| | CPU, 2 cores | T4 |\n|---|---|---|\n| time | 3 minutes | not yet run |"
    assert minutes_told(new_notebook(cells=[new_markdown_cell("# A\n\n" + table)])) == "3 minutes"
    assert minutes_told(new_notebook(cells=[new_markdown_cell("# It takes a time | of minutes |")])) == ""


def test_both_pictures_are_docs_own_and_have_the_words_of_the_readme(tmp_path):
    picture = copy_pictures(tmp_path)
    for kind, name in (("moving", "walk.gif"), ("still", "picture.png")):
        assert picture[kind] == name
        assert (tmp_path / name).read_bytes() == (checkout() / "docs" / name).read_bytes()
    assert f"![{picture['alt']}](docs/walk.gif)" in (checkout() / "README.md").read_text()


def found():
    """Two verdicts: one by the bootstrap's interval, one by Student's."""
    band = Interval(5.0, 1.0, 9.0, 100, 10, (3, 3), (-2.0, 12.0))
    return {
        "grpo-lifts": Verdict(claim("grpo-lifts"), {"grpo_minus_base": band}, "reproduced"),
        "ptst-beats-fixed-long-cap": Verdict(
            claim("ptst-beats-fixed-long-cap"), {"a": band, "b": band}, "undecided: x"
        ),
    }


def test_the_headline_figure_has_the_intervals_that_the_rules_look_at():
    figure = headline_figure(found())
    assert "grpo-lifts +5.0 (+1.0 to +9.0) reproduced" in figure.alt
    assert "ptst-beats-fixed-long-cap: a +5.0 (-2.0 to +12.0) undecided" in figure.alt
    counts = {"grpo-lifts": Verdict(claim("grpo-lifts"), {"n": Count(1, 2)}, "reproduced")}
    assert headline_figure({}) is None and headline_figure(counts) is None


def index(out, **shown):
    known = {"minutes": {"00_a": "2 minutes"}, "picture": None, "smoke": False}
    site._write_index(out, [], [site.Listed("00_a", "A & B", "as shipped")], [], known | shown)
    return (out / "index.html").read_text()


def test_the_index_leads_to_verdicts_gallery_and_notebooks(tmp_path):
    shown = {"figure": headline_figure(found()), "counted": "Of all 2 claims: so.", "verdicts": "verdicts.html"}
    page = index(tmp_path, **shown, gallery="gallery.html", picture={"moving": "w.gif", "still": "p.png", "alt": "<b>"})
    order = [
        page.index(part) for part in ('alt="&lt;b&gt;"', "It answers badly", "<svg", "Of all 2 claims", "gallery.html")
    ]
    assert order == sorted(order)
    assert 'href="verdicts.html"' in page and "2 minutes" in page and "A &amp; B" in page


def test_an_index_without_the_study_has_no_link_to_nowhere(tmp_path):
    page = index(tmp_path)
    assert "verdicts" not in page and "gallery" not in page and "<svg" not in page and "None" not in page


def test_every_table_of_the_index_stands_below_a_sentence(tmp_path):
    page = index(tmp_path)
    for at in (found.start() for found in re.finditer("<table>", page)):
        assert re.search(r"</p>\s*<div class=\"wide\">$", page[:at])


def test_the_study_s_pages_are_told_and_linked(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(site, "_write_study", lambda out: told.append("made") or {"gallery": "gallery.html"})
    monkeypatch.setattr(site, "execute", lambda path, out, **_: site.Executed(path.stem, "A", 1.0, 0))
    import nbformat

    (tmp_path / "c").mkdir()
    nbformat.write(new_notebook(cells=[new_markdown_cell("# A")]), tmp_path / "c" / "00_a.ipynb")
    site.build_site([tmp_path / "c" / "00_a.ipynb"], tmp_path / "site", on_study=lambda: told.append("begins"))
    assert told == ["begins", "made"] and 'href="gallery.html"' in (tmp_path / "site" / "index.html").read_text()
