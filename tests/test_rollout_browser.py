"""The rollout browser without a web browser: a control's value is set, everything shown follows; text stays text."""

import json
import re
import shutil
from dataclasses import replace

import ipywidgets as ipw
import numpy as np
import pytest

from vsr_kit.data import make_rows, room_named, split_rooms
from vsr_kit.data.own_questions import objects_named
from vsr_kit.inspection import Filter, RolloutTable
from vsr_kit.paths import data_samples
from vsr_kit.rewards import accuracy_reward
from vsr_kit.rooms import make_room
from vsr_kit.widgets import Knob, RolloutBrowser
from vsr_kit.widgets.browser import MOST_QUESTIONS, PAGE
from vsr_kit.widgets.player import WIDGET_MIME
from vsr_kit.widgets.view import VIEW, as_view

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> Sofa"
ROWS = [row for row in make_rows(split_rooms(2, "train"), "vsi-100k", 0, max_per_type=1) if row.get("objects")][:4]


def table(size=10):
    """Two steps of four questions each, ten rollouts of a question; later ones are right more often."""
    rows = []
    for step in (1, 20):
        for row in ROWS:
            for i in range(size):
                text = HOSTILE if i == 0 else str(row["ground_truth"]) if i < step // 2 else "no idea"
                paid = {"accuracy_reward": accuracy_reward(text, row), "advantage": i / 10}
                rows.append({**row, "step": step, "completion": text, **paid})
    return RolloutTable(rows, "made")


@pytest.fixture
def browser():
    return RolloutBrowser(table())


def shown(browser):
    """How many rollouts the browser says fit, and how many it shows."""
    return int(re.match(r"<b>(\d+)</b>", browser.status.value)[1]), browser.rollouts.value.count("<pre")


def test_it_opens_at_the_last_step_with_its_first_question(browser):
    assert browser.filter.step == 20 and shown(browser) == (40, PAGE)
    assert len(browser.question.options) == 4 and "80 at all steps" in browser.status.value
    assert (
        ROWS[0]["question"].split()[0] in browser.rollouts.value and browser.player.room.name == ROWS[0]["scene_name"]
    )


def test_from_the_curve_to_a_step_to_a_question_to_its_rollouts_in_three_clicks(browser):
    browser.step.value = 1
    assert "step 1: " in browser.curve.value and browser.filter.step == 1
    browser.question.value = 2
    assert browser.group.id == ROWS[2]["id"] and ROWS[2]["ground_truth"] in browser.rollouts.value
    assert browser.where.value == f"1 to {PAGE} of 10"
    browser.on.click()
    assert browser.where.value == f"{PAGE + 1} to 10 of 10" and browser.on.disabled and not browser.back.disabled
    browser.back.click()
    assert browser.where.value.startswith("1 to") and browser.back.disabled


def test_every_view_follows_one_filter(browser):
    before = browser.curve.value
    browser.facets["outcome"].value = "right"
    assert shown(browser) == (36, PAGE) and browser.curve.value != before
    assert {option for option, _ in browser.facets["outcome"].options} >= {"all", "right (36)"}
    browser.search.value = "SOFA"  # hostile texts alone have it, and they are never right
    assert shown(browser) == (0, 0) and "No rollout fits" in browser.rollouts.value
    assert browser.question.options == () and "No rollout of any step" in browser.curve.value
    assert browser.player.view.layout.display == "none"
    browser.facets["outcome"].value = ""
    assert shown(browser)[0] == 4 and "<mark" in browser.rollouts.value and ">Sofa</mark>" in browser.rollouts.value
    browser.reset.click()
    assert (
        browser.search.value == ""
        and shown(browser) == (40, PAGE)
        and browser.filter == Filter(step=20, measure="accuracy_reward")
    )


def test_a_bar_narrows_to_its_bin_and_lets_go(browser):
    bars = [bar for bar in browser.bars if bar.layout.display == ""]
    values = sorted(set(browser.table.values("accuracy_reward")))
    assert [bar.description for bar in bars] == [f"{value:.3g}" for value in values]
    counts = [int(re.match(r"\d+", bar.tooltip)[0]) for bar in bars]
    assert sum(counts) == 40
    bars[-1].click()
    assert (browser.filter.low, browser.filter.high) == (values[-1], values[-1]) and shown(browser)[0] == counts[-1]
    assert [int(re.match(r"\d+", bar.tooltip)[0]) for bar in bars] == counts  # its own view it does not narrow
    browser.measure.value = "characters"  # bounds of another measure
    assert browser.filter.low is None and shown(browser)[0] == 40
    browser.measure.value = "accuracy_reward"
    bars[0].click()
    bars[0].click()
    assert browser.filter.low is None and shown(browser)[0] == 40


def test_all_steps_may_be_looked_at_together(browser):
    browser.all_steps.value = True
    assert browser.filter.step is None and shown(browser)[0] == 80 and len(browser.question.options) == 8
    browser.look(Filter(step=1, outcome="unread"))
    assert browser.all_steps.value is False and browser.step.value == 1 and browser.facets["outcome"].value == "unread"


def test_rollouts_come_in_the_order_asked_for(browser):
    browser.measure.value = "advantage"
    browser.order.value = "lowest first"
    lowest = browser.rollouts.value.index("advantage +0.00")
    assert lowest < browser.rollouts.value.index("advantage +0.10")
    browser.order.value = "highest first"
    assert browser.rollouts.value.index("advantage +0.90") < browser.rollouts.value.index("advantage +0.80")


def test_what_a_model_wrote_stays_text(browser):
    for html in (browser.rollouts.value, browser.static(), browser.status.value, browser.curve.value):
        assert "<script" not in html and "<img src=x" not in html
    assert "&lt;script&gt;" in browser.rollouts.value
    hostile = RolloutTable([row | {"scene_name": HOSTILE} for row in table().frame.to_dict("records")], HOSTILE)
    told = RolloutBrowser(hostile)
    assert "<script" not in told.static() and "<script" not in told.curve.value


def test_signs_are_looked_for_when_they_are_chosen(browser):
    assert browser.table.known_signs == []
    looked = [value for told, value in browser.facets["sign"].options if "(look)" in told]
    assert "answer contradicts chain" in looked
    browser.facets["sign"].value = "empty thought"
    assert shown(browser) == (0, 0) and browser.table.known_signs == ["empty thought"]


def test_a_facet_that_divides_nothing_is_not_shown():
    plain = RolloutBrowser(RolloutTable([{"completion": "x", "id": i} for i in range(3)]))
    assert [name for name, control in plain.facets.items() if control.layout.display != "none"] == ["sign"]
    assert plain.step.disabled and shown(plain) == (3, 1) and "of 3" in plain.status.value
    both = [{"completion": "x", "id": 1, "label": label} for label in ("before", "after")]
    assert RolloutBrowser(both).facets["label"].layout.display is None


def test_a_run_folder_is_opened_as_it_is(tmp_path):
    path = data_samples("reference_runs") / "grpo-think-seed1"
    browser = RolloutBrowser(path, shown_as="shipped")
    assert browser.table.name == "grpo-think-seed1" and shown(browser)[0] == 64 and browser.player.frames is not None
    shutil.copytree(path, tmp_path / "copy")
    assert len(RolloutBrowser(str(tmp_path / "copy"), shown_as="shipped").table) == len(browser.table)
    with pytest.raises(ValueError, match="'guessed'"):
        RolloutBrowser(path, shown_as="guessed")


def test_rooms_and_clips_may_be_given():
    room = make_room(5, "five")
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    rows = [{"completion": "4", "id": 1, "scene_name": "five", "question": "x"}]
    browser = RolloutBrowser(rows, rooms={"five": room}, clips={"five": frames})
    assert browser.player.room is room and browser.player.frames is frames
    bare = RolloutBrowser(rows)  # a name that the kit did not give: no room, no clip
    assert bare.player.view.layout.display == "none"


def test_a_room_is_made_anew_from_its_name():
    for split in ("train", "val", "test"):
        rooms = split_rooms(3, split, seed=4)
        assert [room_named(room.name) for room in rooms] == rooms
    names = (
        "scene0011_00",
        "train-0-1",
        "train-0-00001/vsi-100k",
        "",
        "other-0-00001",
        "train-0-000001",
        "train-00-00001",
    )
    for name in (*names, "train-0-9999999", "train-0-٠٠٠٠١"):
        assert room_named(name) is None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["question_type"])
def test_the_objects_of_a_question_are_read_from_its_text_where_no_list_is(row):
    room = room_named(row["scene_name"])
    named = [name for name in dict.fromkeys(row["objects"]) if name in room.counts]
    assert objects_named(row, room) == named
    assert set(objects_named({"question": row["question"]}, room)) == set(named)


def test_a_longer_name_is_not_taken_for_the_shorter_one_in_it():
    room, names = split_rooms(1, "train")[0], ("table", "coffee table")
    boxes = [replace(box, category=name) for box, name in zip(room.boxes[:2], names, strict=True)]
    small = replace(room, boxes=tuple(boxes))
    assert objects_named({"question": "How far is the coffee table?"}, small) == ["coffee table"]
    assert objects_named({"question": "How far is the table?"}, small) == ["table"]


def test_it_is_displayed_live_and_still(browser, monkeypatch):
    outputs = []
    monkeypatch.setattr("IPython.display.display", lambda data, **more: outputs.append(data))
    browser._ipython_display_()
    assert len(outputs) == 4 and all(WIDGET_MIME in data for data in outputs)
    assert "<script" not in json.dumps(outputs) and "javascript" not in json.dumps(outputs)


def test_a_view_keeps_its_keys_once_and_no_notebook_keeps_the_script():
    view = ipw.VBox([ipw.Button()])
    assert as_view(view) is view and as_view(view) is view
    assert VIEW in view._dom_classes and len(view.children) == 3
    script = view.children[1].outputs[0]["data"]["application/javascript"]
    assert "data-lm-suppress-shortcuts" in script and VIEW in script and view.children[1].layout.display == "none"


def test_every_widget_that_is_displayed_keeps_its_keys(browser, monkeypatch):
    monkeypatch.setattr("IPython.display.display", lambda data, **more: None)
    knob = Knob({0: (0, -1, 1), 1: (1, 0, 2)}, source="shipped")
    for widget in (browser, knob, browser.player):
        assert VIEW not in widget.view._dom_classes
        widget._ipython_display_()
        assert VIEW in widget.view._dom_classes


def test_every_bar_says_how_many_it_leaves():
    browser = RolloutBrowser([{"completion": "x" * n, "advantage": n % 7 / 7} for n in range(101)])
    for measure in browser.table.measures:
        browser.measure.value = measure
        for bar in (bar for bar in browser.bars if bar.layout.display == ""):
            count = int(re.match(r"\d+", bar.tooltip)[0])
            bar.click()
            assert shown(browser)[0] == count
            bar.click()


def test_with_all_steps_a_question_says_its_step(browser):
    browser.all_steps.value = True
    lines = [told for told, _ in browser.question.options]
    assert len(set(lines)) == len(lines) == 8 and lines[0].startswith("step 1 ") and lines[-1].startswith("step 20 ")
    browser.question.value = 4
    assert "step 20" in browser.rollouts.value


def test_the_chosen_question_is_kept_by_what_it_is(browser):
    browser.question.value = 3
    browser.search.value = ROWS[3]["question"][:30]  # leaves it, among others or alone
    assert browser.group.id == ROWS[3]["id"]
    browser.search.value = ""
    assert browser.group.id == ROWS[3]["id"] and browser.question.value == 3


def test_long_lists_say_that_they_go_on():
    many = RolloutBrowser([{"completion": "x", "id": i} for i in range(MOST_QUESTIONS + 60)])
    assert len(many.question.options) == MOST_QUESTIONS
    assert f"the first {MOST_QUESTIONS} of {MOST_QUESTIONS + 60} questions are listed" in many.status.value
    assert "are listed" not in RolloutBrowser([{"completion": "x", "id": i} for i in range(9)]).status.value


def test_pages_end_where_the_rollouts_do(browser):
    for button, wanted in ((browser.back, f"1 to {PAGE} of 10"), (browser.on, f"{PAGE + 1} to 10 of 10")):
        for _ in range(4):
            button.click()
        assert browser.where.value == wanted and "<pre" in browser.rollouts.value
    browser._bar_pressed(99)  # pressed before it was taken away


@pytest.mark.parametrize(
    "wrong, told",
    [
        (Filter(step=99, search="zz"), "step is 99: choose one of 1, 20"),
        (Filter(measure="nonsense"), "measure is 'nonsense'"),
        (Filter(outcome="zz"), "outcome is 'zz'"),
        (Filter(sign="zz", step=1), "sign is 'zz'"),
    ],
)
def test_looking_at_what_there_is_not_changes_nothing(browser, wrong, told):
    before = browser.filter, browser.search.value, browser.step.value, browser.status.value
    with pytest.raises(ValueError, match=told):
        browser.look(wrong)
    assert (browser.filter, browser.search.value, browser.step.value, browser.status.value) == before
    browser.step.value = 1
    assert shown(browser)[0] == 40


def test_bounds_that_are_no_bin_are_named(browser):
    browser.look(Filter(measure="characters", low=2, high=50))
    assert "only at least 2 and at most 50; press Show all to let go" in browser.narrowed.value
    browser.look(Filter())
    assert "press a bar" in browser.narrowed.value


def test_objects_are_whole_words():
    room, names = split_rooms(1, "train")[0], ("bin", "cabinet", "washer", "dishwasher")
    boxes = [replace(box, category=name) for box, name in zip(room.boxes[:4], names, strict=True)]
    small = replace(room, boxes=tuple(boxes))
    for question, wanted in (
        ("What is the distance between the cabinet and the bin (in meters)?", ["cabinet", "bin"]),
        ("Estimate the size of the combined space.", []),
        ("Which is closer, the dishwasher or the washer?", ["dishwasher", "washer"]),
        ("How many bin(s) in the room?", ["bin"]),
    ):
        assert objects_named({"question": question}, small) == wanted


def test_every_bar_of_a_shipped_run_says_how_many_it_leaves():
    browser = RolloutBrowser(data_samples("reference_runs") / "grpo-observe-seed1", shown_as="shipped")
    for step in (1, browser.table.steps[-1]):
        browser.step.value = step
        for measure in browser.table.measures:
            browser.measure.value = measure
            rows = browser.table.select(Filter(step=step))
            for low, high, count in browser.table.histogram(rows, measure):
                assert len(browser.table.select(Filter(step=step, measure=measure, low=low, high=high))) == count
