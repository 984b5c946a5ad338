"""What is shown can be read in a light and in a dark theme, and words stay whole.

In a notebook the page around our tables is the reader's: white or nearly black, with text to match. So an inline style
that sets a background sets its text's colour as well, and the other way round; and the two differ enough.
"""

import re
from html.parser import HTMLParser

import pytest

from vsr_kit.pages.report import page, write_report
from vsr_kit.plots import paper_table, score_table, traces
from vsr_kit.plots.style import BACK
from vsr_kit.questions import make_questions
from vsr_kit.rooms import make_room
from vsr_kit.runs import RunFolder
from vsr_kit.videos import camera_walk, render
from vsr_kit.widgets import AnswerInspector, ClipPlayer

LEAST = 4.5  # WCAG's, for text
BANDS = {"overall": (50.0, 45.0, 55.0, 40), "object_counting": (60.0, 50.0, 70.0, 20)}
UNREAD = {"id": 9, "question": "How far?", "question_type": "object_abs_distance", "ground_truth": "2.0"}
LONG = "an-answer-without-a-space-" * 40


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_is_wcags():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.478, abs=0.001)
    assert contrast("#ffffff", BACK) < 1.1  # what a dark theme made of a heading that set no colour


def declarations(style: str) -> dict[str, str]:
    pairs = [part.partition(":") for part in style.split(";") if ":" in part]
    return {name.strip(): value.strip() for name, _, value in pairs}


def colours(style: str) -> tuple[str | None, str | None]:
    """Background and text that a style sets; a transparent background is none."""
    said = declarations(style)
    back = said.get("background", said.get("background-color"))
    return None if back in ("transparent", "none") else back, said.get("color")


class Styles(HTMLParser):
    """Every inline style of a piece of HTML; an SVG's presentation attributes are no styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name == "style"]


def illegible(html: str) -> list[str]:
    wrong = []
    for style in Styles(html).found:
        back, text = colours(style)
        if (back is None) != (text is None) or (back and contrast(back, text) < LEAST):
            wrong.append(style)
    return wrong


@pytest.fixture(scope="module")
def pieces() -> dict[str, str]:
    """HTML as the kit puts it into a notebook, by name."""
    room = make_room(5, "five")
    clip = render(room, camera_walk(room, 4, 0), 32)
    rows = [question.to_row() for question in make_questions(room, clip=clip, max_per_type=2)]
    answers = [rows[0] | {"label": "base", "completion": rows[0]["ground_truth"]}]
    answers += [UNREAD | {"label": "base", "completion": "no idea"}]
    checkpoints = {"base": {row["id"]: "no idea" for row in rows}, "after": {}}
    shown = AnswerInspector([room], rows, {room.name: clip}, checkpoints, source="shipped")
    return {
        "traces": traces(answers, source="measured now").markup,
        "scores": score_table({"a": BANDS}, source="shipped", references={"b": BANDS}).markup,
        "paper": paper_table({"a": {"overall": 40.0}}, {"a": BANDS}, source="shipped").markup,
        "inspector": shown.static() + shown.answers.value + shown.player.message.value,
        "player": ClipPlayer(clip, room, source="shipped").static(),
        "no clip": ClipPlayer(None, source="shipped").message.value,
    }


@pytest.mark.parametrize("name", ["traces", "scores", "paper", "inspector", "player", "no clip"])
def test_a_background_has_its_texts_colour_and_a_text_its_background(name, pieces):
    html = pieces[name]
    assert illegible(html) == []
    if name in ("traces", "scores", "paper", "inspector"):
        assert any(colours(style)[0] for style in Styles(html).found), "a table without any background tests nothing"


@pytest.mark.parametrize("style", ["background:#f6f8fa", "color:#a33b00", "background:#ffffff; color:#8c959f"])
def test_the_proof_above_can_fail(style):
    assert illegible(f'<p style="{style}">x</p>') == [style]


# -- pages -------------------------------------------------------------------------------------------------------------


def schemes(css: str) -> tuple[str, dict[str, dict[str, str]]]:
    """The rules without media queries, and the variables of the light and the dark scheme."""
    dark = re.search(r"@media \(prefers-color-scheme: dark\) \{(.*?\})\s*\}", css, re.S)
    assert dark, "a page without a dark scheme"
    variables = [dict(re.findall(r"(--\w+): (#\w{6})", text)) for text in (css.replace(dark[0], ""), dark[1])]
    assert variables[0].keys() == variables[1].keys()
    return re.sub(r"@media[^{]*\{.*?\}\s*\}", "", css, flags=re.S), dict(zip(("light", "dark"), variables, strict=True))


def illegible_rules(html: str) -> list[tuple]:
    css = "\n".join(re.findall(r"<style>(.*?)</style>", html, re.S))
    rules, variables = schemes(css)
    wrong = []
    for scheme, values in variables.items():
        seen = 0
        for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", rules):
            back, text = (values.get(c[4:-1], c) if c else c for c in colours(body))  # var(--ink), or a colour itself
            if back is None and text is None:
                continue
            seen += 1
            if (back and not text) or contrast(back or values["--page"], text) < LEAST:
                wrong.append((scheme, selector.strip(), back, text))
        assert seen > 2
    return wrong


@pytest.fixture
def report(tmp_path):
    run = RunFolder.create("run", {}, root=tmp_path)
    run.rollouts([{"step": 1, "question": "How far?", "ground_truth": "2", "completion": LONG, "accuracy_reward": 0.5}])
    run.finish()
    return write_report([run]).read_text()


def test_pages_can_be_read_in_both_schemes(report):
    for html in (report, page("base.html.j2")):
        assert illegible_rules(html) == []
        assert illegible(html) == []


def test_words_are_broken_only_where_they_do_not_fit(report, pieces):
    """`anywhere` and `break-all` let a table squeeze a column until every word falls apart; `break-word` does not."""
    for html in (report, *pieces.values()):
        assert not re.search(r"overflow-wrap:\s*anywhere|word-break:\s*break-all", html)
    # JupyterLab breaks every <pre> of an output anywhere; ours say otherwise, and still bound what has no space
    (wrote,) = {style for style in Styles(pieces["traces"]).found if "pre-wrap" in style}
    assert declarations(wrote)["word-break"] == "normal"
    assert declarations(wrote)["overflow-wrap"] == "break-word"
    assert "max-width" in declarations(wrote)
