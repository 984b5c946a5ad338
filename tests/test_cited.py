"""Citations in notebooks and in the ledger: chosen by the written rule, escaped, shortened, and all of them resolve."""

import html
import re
from functools import cache
from types import SimpleNamespace
from urllib.parse import parse_qs

import pytest

from tests.prose import Told
from vsr_kit.pages import gallery, site, verdicts
from vsr_kit.pages.cited import BEGIN, END, rollouts_that, verdict_examples
from vsr_kit.pages.html import notebook_page
from vsr_kit.pages.site import course_notebooks
from vsr_kit.study import citations
from vsr_kit.study.answers import condition_answers, run_folder
from vsr_kit.study.citations import citation_table, gallery_steps, showing

HOSTILE = "<script>alert(1)</script>"
LINK = re.compile(r'<a href="\.\./(gallery\.html#[^"]+)">')
COURSE = {path.stem: path for path in course_notebooks()}


@cache
def all_citations():
    return verdicts.all_citations()


@cache
def kept(run: str) -> list[dict]:
    return run_folder(run, None).read_rollouts()


# -- the rule ----------------------------------------------------------------------------------------------------------


def test_the_first_rollouts_that_show_it_are_taken_each_of_another_question_and_type():
    found = showing("length", "keep the format", lambda row: row["format_reward"] == 1)
    held = gallery_steps(row["step"] for row in kept("length-seed1"))
    rows = [row for row in kept("length-seed1") if row["step"] in held and row["format_reward"] == 1]
    first = min(rows, key=lambda row: (row["step"], str(row["id"])))
    ones = [example.answers[0] for example in found.examples]
    assert (ones[0].step, ones[0].id, ones[0].text) == (first["step"], str(first["id"]), first["completion"])
    assert len({example.row["question_type"] for example in found.examples}) == len({one.id for one in ones}) == 3


def test_steps_that_the_gallery_lacks_are_not_cited_and_one_question_may_show_it_alone():
    only = next(row for row in kept("length-seed1") if row["step"] == 240)["id"]
    with pytest.raises(ValueError, match="that the gallery holds"):
        showing("length", "are of a step beside it", lambda row: row["step"] == 239)
    found = showing("length", "are these", lambda row: row["step"] == 240 and row["id"] == only)
    assert {(one.step, one.id) for example in found.examples for one in example.answers} == {(240, str(only))}
    assert len({id(example.row) for example in found.examples}) == 3


def test_the_gallery_s_steps_are_the_first_the_last_and_every_sixtieth():
    assert gallery_steps([20, 5, 1, 60, 120, 239, 119]) == [1, 60, 120, 239]
    assert gallery_steps([7]) == [7]


def test_a_sentence_that_no_rollout_shows_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"length-seed1.*sing: mend the sentence"):
        rollouts_that("length", "sing", lambda row: False)
    with pytest.raises(ValueError, match="no variant is called 'no-such'"):
        rollouts_that("no-such", "sing", lambda row: True)
    with pytest.raises(FileNotFoundError, match="sft-seed1 kept no rollouts"):
        rollouts_that("sft", "sing", lambda row: True)
    with pytest.raises(FileNotFoundError, match="no finished run of 'length'"):
        rollouts_that("length", "sing", lambda row: True, tmp_path)


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_texts_are_escaped_and_shortened_and_each_has_its_link(monkeypatch):
    row = {"step": 1, "id": 'a"b', "question": HOSTILE, "question_type": HOSTILE, "ground_truth": HOSTILE}
    row |= {"completion": HOSTILE + "a" * BEGIN + "MIDDLE" + "z" * END, "accuracy_reward": 0.5, "empty_thought": 1.0}
    run = run_folder("length-seed1", None)
    monkeypatch.setattr(type(run), "read_rollouts", lambda self: [row])
    shown = rollouts_that("length", HOSTILE, lambda row: True)
    markup = shown.__html__()
    assert "<script" not in markup and markup.count("&lt;script&gt;alert(1)") >= 5
    assert "MIDDLE" not in markup and re.search("a{100} … z{100}", markup)
    assert LINK.findall(markup) == ["gallery.html#run=length-seed1&amp;step=1&amp;id=a%22b"]
    assert "accuracy 0.50" in markup and "empty thought" not in markup
    assert citations.RULES["showing"] in html.unescape(markup)


def test_every_verdict_has_its_examples_under_it(monkeypatch):
    monkeypatch.setattr("vsr_kit.pages.cited.all_citations", lambda folder: all_citations())  # it takes seconds
    found = {name: SimpleNamespace(verdict=f"{name} & so on") for name in all_citations()}
    markup = verdict_examples(found).__html__()
    for name, own in all_citations().items():
        part = re.search(rf"<details><summary><code>{name}</code>: (.*?)</summary>(.*?)</details>", markup, re.S)
        assert part[1] == html.escape(found[name].verdict)
        links = [html.unescape(link) for link in LINK.findall(part[2])]
        assert links == [gallery.link(own, one) for example in own.examples for one in example.answers]
        assert own.examples or html.escape(own.none) in part[2]
        for shows in {example.shows for example in own.examples}:
            count = sum(len(example.answers) for example in own.examples if example.shows == shows)
            assert part[2].count(f"open in the gallery</a> · {shows}") == count
    assert "(shipped)" in verdict_examples({}).alt and LINK.findall(verdict_examples({}).__html__()) == []


def test_the_ledger_s_table_names_question_run_and_step():
    table = citation_table(all_citations())
    lines = dict(re.findall(r"^\| `([\w-]+)` \| (.*) \|$", table, re.M))
    assert lines.keys() == all_citations().keys()
    for name, own in all_citations().items():
        for example in own.examples:
            assert f"`{example.row['id']}`" in lines[name]
            assert all(one.run in lines[name] for one in example.answers)
            assert all(one.step is None or f"step {one.step}" in lines[name] for one in example.answers)


# -- links of a page ---------------------------------------------------------------------------------------------------


def test_a_page_keeps_links_to_what_will_be_there_and_no_others():
    from nbformat.v4 import new_markdown_cell, new_notebook

    notebook = new_notebook(cells=[new_markdown_cell("[there](../gallery.html#id=1) and [not](../other.html)")])
    with_it = notebook_page(notebook, "a", later=("../gallery.html",))
    assert 'href="../gallery.html#id=1"' in with_it and 'href="../other.html"' not in with_it
    assert 'href="../gallery.html#id=1"' not in notebook_page(notebook, "a")
    assert site.GALLERY == gallery.PAGE


# -- the committed notebooks -------------------------------------------------------------------------------------------


def named(path) -> list[dict]:
    """What the links of a notebook's committed outputs say, with the text that stands before each."""
    told = Told(path)
    markup = "".join(
        "".join(output.get("data", {}).get("text/html", ""))
        for cell in told.cells
        for output in cell.get("outputs", [])
    )
    found = []
    for text, link in re.findall(r"<pre [^>]*>((?:(?!<pre ).)*?)</pre>" + LINK.pattern, markup, re.S):
        said = {key: values[0] for key, values in parse_qs(html.unescape(link).split("#")[1]).items()}
        found.append(said | {"text": html.unescape(re.sub(r"<[^>]+>", "", text))})
    assert len(found) == len(LINK.findall(markup))
    return found


def texts_of(said: dict) -> list[str]:
    """The kept texts at the place that a link names, which the gallery holds."""
    if "step" in said:
        rows = kept(said["run"])
        assert int(said["step"]) in gallery_steps(row["step"] for row in rows), said
        return [row["completion"] for row in rows if (str(row["step"]), str(row["id"])) == (said["step"], said["id"])]
    own = all_citations()[said["run"].removeprefix("claim ")]
    assert said["id"] in [one.id for example in own.examples for one in example.answers]
    rows = [row for condition in own.conditions for row in condition_answers(condition, None)]
    return [row["prediction"] for row in rows if str(row["id"]) == said["id"]]


@pytest.mark.parametrize("name", COURSE)
def test_every_citation_that_a_notebook_names_is_what_was_kept(name):
    for said in named(COURSE[name]):
        begin, _, end = said["text"].partition(" … ")
        assert any(text.startswith(begin) and text.endswith(end) for text in texts_of(said)), said


def test_the_notebooks_that_speak_of_rollouts_cite_some_and_11_cites_every_verdict():
    counts = {name[:2]: len(named(path)) for name, path in COURSE.items()}
    for number in ("06", "07", "08", "10", "12", "13"):
        assert counts[number] >= 3, f"{number} cites {counts[number]} rollouts"
    answers = [one for own in all_citations().values() for example in own.examples for one in example.answers]
    assert counts["11"] == len(answers)
