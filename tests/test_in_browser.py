"""The widgets in JupyterLab, in a real browser: clicked, keyed, filtered; in both themes; hostile text does nothing."""

import pytest

from tests.lab import MISSING, Page, lab_page, until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=f"not here: {MISSING}")]

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
BROWSER = f"""
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.inspection import RolloutTable
from vsr_kit.rewards import accuracy_reward
from vsr_kit.widgets import RolloutBrowser

rows = make_rows(split_rooms(2, "train"), "vsi-100k", 0, max_per_type=1)[:6]
made = []
for step in (1, 10, 20):
    for row in rows:
        for i in range(10):
            text = {HOSTILE!r} if i == 0 else str(row["ground_truth"]) if i < step // 3 else "a sofa, no idea"
            paid = {{"accuracy_reward": accuracy_reward(text, row), "advantage": i / 10}}
            made.append(row | {{"step": step, "completion": text}} | paid)
RolloutBrowser(RolloutTable(made, {HOSTILE!r}))
"""
INSPECTOR = f"""
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.videos import film
from vsr_kit.widgets import AnswerInspector

rooms = split_rooms(2, "val")
clips = {{room.name: film(room) for room in rooms}}
rows = make_rows(rooms, "vsi-100k", 0, clips=clips, max_per_type=2)
answers = {{row["id"]: {HOSTILE!r} for row in rows}}
AnswerInspector(rooms, rows, clips, {{"before": answers, "live": lambda row: "4 indeed"}}, source="measured now")
"""
KNOB = """
from vsr_kit.widgets import Knob

Knob({0: (0, -1, 1), 50: (1, 0, 2), 100: (3, 1, 5)}, source="shipped")
"""
GUESSES = f"""
from vsr_kit.plots import score_dots
from vsr_kit.widgets import Guesses

guess = Guesses()
figure = score_dots({{"base": {{"overall": (50.0, 45.0, 55.0)}}}}, source="shipped")
guess("Which one? {HOSTILE}", ["left", "right"], answer="right", then=[figure, "the long result"])
"""
COLOURED = """
from vsr_kit.evaluation.token_texts import TokenMeasures
from vsr_kit.inspection import RolloutTable
from vsr_kit.widgets import RolloutBrowser

tokens = ("<think>", "<script>window.hacked = 1</script>", " two", "\\n", " ", "", "é", "<answer>", "4", "")
names = ("",) * 9 + ("<|im_end|>",)
values = {"grounding": (0.0, -3.0, 2.9, 0.1, -0.1, 0.4, 0.5, -1.5, 6.0, -6.0), "entropy": tuple(range(10))}
rows = [{"completion": "".join(tokens), "id": 1, "question": "x", "step": 1} for _ in range(3)]
table = RolloutTable(rows, "coloured")
table.token_measures = {at: TokenMeasures(tokens, names, values, "far") for at in (0, 1)}
RolloutBrowser(table)
"""
CELLS = ".jp-Notebook .jp-Cell"


@pytest.fixture(scope="module", params=["JupyterLab Light", "JupyterLab Dark"])
def page(request, tmp_path_factory):
    with lab_page(tmp_path_factory.mktemp("lab"), request.param) as page:
        yield page


def drawn(page) -> str:
    """The text of the view's first figure, which is none of the page's own."""
    return page.driver.execute_script("return document.querySelector('.vsr-view svg').textContent")


def status(page) -> str:
    return next((line for line in page.text(".vsr-view").split("\n") if "rollouts fit" in line), "")


def test_keys_stay_in_a_widget_until_escape_gives_them_back(page):
    page.run(page.folder, INSPECTOR, "1 + 1")
    room, *_ = page.seen(".vsr-view select")
    page.focus(room)
    chosen = room.get_attribute("value")
    page.press("b", "r", "y", "x", "ARROW_DOWN")
    until(lambda: room.get_attribute("value") != chosen, "an arrow did not choose the next room")
    assert len(page.all(CELLS)) == 2 and room.is_displayed()
    button = next(one for one in page.seen(".vsr-view button") if one.text == "Ask now")
    page.focus(button)
    page.press("b", "m", "ENTER")
    until(lambda: "4 indeed" in page.text(".vsr-view"), "the model was not asked")
    assert len(page.all(CELLS)) == 2
    active = "return document.activeElement.textContent"
    until(lambda: page.driver.execute_script(active) == "Ask now", "the button lost the keyboard")
    page.press("ESCAPE", "b")  # now they are the notebook's again
    until(lambda: len(page.all(CELLS)) == 3, "Escape did not give the keys back")
    assert page.complaints() == []


def test_a_slider_is_moved_by_keys(page):
    page.run(page.folder, KNOB, "1 + 1")
    until(lambda: "100 %" not in page.text(".vsr-view") and page.all(".vsr-view svg"), "no figure")
    handle, *_ = page.seen(".vsr-view .noUi-handle")
    page.focus(handle)
    page.press("ARROW_LEFT")
    until(
        lambda: "50: +1.0" in page.driver.execute_script("return document.querySelector('.vsr-view').textContent"), "no"
    )
    assert len(page.all(CELLS)) == 2


def test_a_rollout_is_found_by_clicks_keys_and_words(page):
    page.run(page.folder, BROWSER, "1 + 1")
    until(lambda: status(page).startswith("60 rollouts fit"), "the browser did not open")
    handle, *_ = page.seen(".vsr-view .noUi-handle")  # of the steps
    page.focus(handle)
    page.press("ARROW_LEFT")
    until(
        lambda: "step 10: " in page.driver.execute_script("return document.querySelector('.vsr-view svg').textContent"),
        "",
    )
    questions = page.seen(".vsr-view select[size]")[0]
    page.focus(questions)
    first = page.text(".vsr-view table")
    page.press("ARROW_DOWN")
    until(lambda: page.text(".vsr-view table") != first, "the next question's rollouts did not come")
    search = next(one for one in page.seen(".vsr-view input[type=text]") if one.get_attribute("placeholder"))
    page.focus(search)
    page.press(*"sofa", "ENTER")
    until(lambda: page.all(".vsr-view mark"), "nothing was marked")
    fits = status(page)
    bars = [one for one in page.seen(".vsr-view button") if "rollouts with" in (one.get_attribute("title") or "")]
    bars[0].click()
    until(lambda: status(page) != fits or "blue bar" in page.text(".vsr-view"), "the bar did nothing")
    next(one for one in page.seen(".vsr-view button") if one.text == "Show all").click()
    until(lambda: status(page).startswith("60 rollouts fit"), "not everything came back")
    assert len(page.all(CELLS)) == 2


def test_everything_can_be_read_and_nothing_hostile_ran(page):
    """After the browser of the test before: both themes, the whole view."""
    page.run(page.folder, BROWSER, INSPECTOR)
    until(lambda: status(page).startswith("60 rollouts fit"), "the browser did not open")
    page.press("Shift+Enter")
    until(lambda: len(page.all(".vsr-view")) == 2 and "Ask now" in page.text(".vsr-view"), "the inspector did not open")
    assert "<script>" in page.text(".vsr-view table")
    assert page.driver.execute_script("return window.hacked") is None
    assert page.faint(".vsr-view") == []
    assert page.complaints() == [] and page.asked_outside() == []


def test_a_figure_comes_after_the_guess_and_the_guess_is_told_again(page):
    page.run(page.folder, GUESSES, "guess.looking_back()", "1 + 1")
    until(lambda: "Which one?" in page.text(".vsr-view"), "the question did not come")
    page.press("Shift+Enter")  # the second cell, as in a notebook that is run as a whole
    until(lambda: "No guess was made" in page.text(".vsr-view"), "the table did not come")
    assert "the long result" not in page.text(".vsr-view") and not page.all(".vsr-view .jp-OutputArea svg")
    left = next(one for one in page.seen(".vsr-view button") if one.text == "left")
    page.focus(left)
    page.press("ENTER")
    until(lambda: "the long result" in page.text(".vsr-view"), "the result did not come")
    until(lambda: page.all(".vsr-view .jp-OutputArea svg"), "the figure did not come")
    until(lambda: "0 of 1 guesses were right" in page.text(".vsr-view"), "the guess was not told again")
    assert page.driver.execute_script("return window.hacked") is None
    assert page.faint(".vsr-view") == [] and len(page.all(CELLS)) == 3
    assert page.complaints() == [] and page.asked_outside() == []


def test_tokens_are_coloured_by_keys_and_can_be_read_in_either_theme(page):
    page.run(page.folder, COLOURED)
    until(lambda: status(page).startswith("3 rollouts fit"), "the browser did not open")
    assert page.all(".vsr-tokens") == []
    control = next(one for one in page.seen(".vsr-view select") if "grounding" in one.text)
    page.focus(control)
    for told in ("entropy", "grounding"):
        page.press("ARROW_DOWN")
        until(lambda told=told: f"tokens coloured by {told}" in page.text(".vsr-view"), f"{told} was not chosen")
    spans = page.seen(".vsr-tokens > span")
    grounds = [span.value_of_css_property("background-color") for span in spans]
    assert len(spans) == 20 and len(set(grounds)) > 6 and "rgba(255, 255, 255, 1)" in grounds
    assert "token 9, 4: grounding, nats 6.00" in [span.get_attribute("title") for span in spans]
    assert "<script>" in page.text(".vsr-tokens") and page.driver.execute_script("return window.hacked") is None
    assert page.faint(".vsr-view") == []
    look = "const v = document.querySelector('.vsr-view'); return [v.scrollWidth, v.clientWidth]"
    wide, there = page.driver.execute_script(look)
    assert wide <= there + 1 and page.complaints() == []


FAINT = """
import ipywidgets as ipw
from vsr_kit.widgets.view import as_view

as_view(ipw.VBox([ipw.HTML('<p style="color:#ccc; background:#fff">faint</p>')]))
"""


def test_faint_text_is_found(page):
    page.run(page.folder, FAINT)
    until(lambda: "faint" in page.text(".vsr-view"), "nothing came")
    ((ratio, text, _),) = page.faint(".vsr-view")
    assert text == "faint" and ratio < 2


@pytest.mark.parametrize("width", [420, 1400])
def test_nothing_is_wider_than_the_page(page, width):
    narrow = Page(page.address, width)
    try:
        narrow.run(page.folder, BROWSER, alone=True)
        until(lambda: status(narrow).startswith("60 rollouts fit"), "the browser did not open")
        look = "const v = document.querySelector('.vsr-view'); return [v.scrollWidth, v.clientWidth]"
        wide, there = narrow.driver.execute_script(look)
        assert wide <= there + 1
    finally:
        narrow.close()
