"""The playground in JupyterLab, in a real browser: a question is typed, asked, answered; in both themes, and narrow."""

import pytest

from tests.lab import MISSING, Page, lab_page, until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=f"not here: {MISSING}")]

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
# Answers of a stub, one of them hostile; the miniature itself is asked below.
PLAYGROUND = f"""
from types import SimpleNamespace
from vsr_kit.evaluation.taught import read_taught
from vsr_kit.paths import data_samples
from vsr_kit.widgets import Playground

def draw(loaded, row, frames, *, num_samples, on_part, **settings):
    texts = ["2", "2", "3", {HOSTILE!r}]
    answers = [SimpleNamespace(text=texts[i % 4], truncated=i == 3) for i in range(num_samples)]
    on_part(answers)
    return answers

stub = SimpleNamespace(model=None, processor=None, name="stub")
Playground(stub, taught=read_taught(data_samples("mini-qwen2-vl")), draw=draw)
"""
MINIATURE = """
import vsr_kit as vsr

vsr.widgets.Playground(vsr.load_model("mini", quantize="nf4", quiet=True))
"""
CELLS = ".jp-Notebook .jp-Cell"
QUESTION = "How many hamster(s) are in this room?"


@pytest.fixture(scope="module", params=["JupyterLab Light", "JupyterLab Dark"])
def page(request, tmp_path_factory):
    with lab_page(tmp_path_factory.mktemp("lab"), request.param) as page:
        yield page


def typed(page, text):
    """Type a question over the one that is there."""
    box = page.seen(".vsr-view textarea")[0]
    page.focus(box)
    page.driver.execute_script("arguments[0].select()", box)
    page.press(*text)
    return box


def pressed(page, name):
    button = next(one for one in page.seen(".vsr-view button") if one.text == name)
    page.focus(button)
    page.press("ENTER")


def test_a_typed_question_is_asked_and_the_distribution_comes(page):
    page.run(page.folder, PLAYGROUND, "1 + 1")
    until(lambda: "Ask" in page.text(".vsr-view button"), "the playground did not open")
    box = typed(page, "bmrdd")  # keys that mean something to a notebook
    assert box.get_attribute("value") == "bmrdd" and len(page.all(CELLS)) == 2
    typed(page, QUESTION)
    pressed(page, "Ask")
    until(lambda: "lenient reader" in page.text(".vsr-view table"), "no answers came")
    svg = "return [...document.querySelectorAll('.vsr-view svg')].map(e => e.textContent).join('|')"
    until(lambda: "2: 8; 3: 4; 1: 4" in page.driver.execute_script(svg), "no distribution was drawn")
    assert "never seen the word 'hamster'" in page.text(".vsr-view")
    asking = "return document.activeElement.textContent"
    until(lambda: page.driver.execute_script(asking) == "Ask", "the button lost the keyboard")
    assert len(page.all(CELLS)) == 2 and page.driver.execute_script("return window.hacked") is None
    page.driver.execute_script("document.querySelectorAll('.vsr-view details').forEach(e => e.open = true)")
    assert "<script>" in page.text(".vsr-view table") and page.faint(".vsr-view") == []
    assert page.complaints() == [] and page.asked_outside() == []


def test_the_miniature_is_asked_and_the_controls_come_back(page):
    page.run(page.folder, MINIATURE, "1 + 1")
    until(lambda: "Ask" in page.text(".vsr-view button"), "the playground did not open")
    pressed(page, "Ask")
    until(lambda: "mean score" in page.text(".vsr-view"), "no answers came")
    until(lambda: all(one.is_enabled() for one in page.seen(".vsr-view textarea")), "the controls stay off")
    assert page.complaints() == []


@pytest.mark.parametrize("width", [420, 1400])
def test_nothing_is_wider_than_the_page(page, width):
    narrow = Page(page.address, width)
    try:
        narrow.run(page.folder, PLAYGROUND, alone=True)
        until(lambda: "Ask" in narrow.text(".vsr-view button"), "the playground did not open")
        pressed(narrow, "Ask")
        until(lambda: "lenient reader" in narrow.text(".vsr-view table"), "no answers came")
        look = "const v = document.querySelector('.vsr-view'); return [v.scrollWidth, v.clientWidth]"
        wide, there = narrow.driver.execute_script(look)
        assert wide <= there + 1
    finally:
        narrow.close()
