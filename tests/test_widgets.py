"""Widgets without a browser: a control's value is set, everything shown follows; hostile text stays text."""

import io
import json

import ipywidgets as ipw
import numpy as np
import pytest
from PIL import Image

from vsr_kit.inspection import CHANGES, OUTCOMES
from vsr_kit.questions import make_questions
from vsr_kit.rooms import make_room
from vsr_kit.videos import camera_walk, render
from vsr_kit.widgets import AnswerInspector, ClipPlayer, Knob
from vsr_kit.widgets.answer_sources import stored_answers
from vsr_kit.widgets.inspector import linked
from vsr_kit.widgets.player import WIDGET_MIME

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(scope="module")
def world():
    """Two filmed rooms with questions, and a third that has neither."""
    rooms = [make_room(5, "five"), make_room(11, "eleven"), make_room(3, "bare")]
    clips = {r.name: render(r, camera_walk(r, 4, i), 32) for i, r in enumerate(rooms[:2])}
    rows = [q.to_row() for r in rooms[:2] for q in make_questions(r, clip=clips[r.name], max_per_type=2)]
    return rooms, rows, clips


def read(text, row):
    return (text.split()[-1], None) if text.startswith("answer") else (None, "no answer in it")


def reward(text, row):
    return {"accuracy_reward": float(text.endswith(row["ground_truth"]))}


def inspector(world, checkpoints=None, **changes):
    rooms, rows, clips = world
    if checkpoints is None:
        right = {row["id"]: f"answer {row['ground_truth']}" for row in rows}
        checkpoints = {"before": {row["id"]: HOSTILE for row in rows}, "after": right}
    given = {"rooms": rooms, "rows": rows, "clips": clips, "checkpoints": checkpoints} | changes
    return AnswerInspector(**given, source="measured now", read=read, rewards=reward)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


# -- the player --------------------------------------------------------------------------------------------------------


def test_the_slider_shows_its_frame_enlarged_by_whole_pixels(world):
    rooms, _, clips = world
    clip = clips["five"]
    player = ClipPlayer(clip, rooms[0], source="shipped", for_people=False)
    for value in (1, 4, 2):
        player.slider.value = value
        shown = pixels(player.picture.value)
        assert shown.shape == (320, 320, 3)
        difference = np.abs(shown[5::10, 5::10].astype(int) - clip.frames_FHW3[value - 1])
        assert difference.max() <= 20  # the picture has 256 colours
        assert difference.mean() < 3
    assert (player.slider.min, player.slider.max, player.play.max) == (1, 4, 4)


def test_the_plans_view_follows_the_slider(world):
    rooms, _, clips = world
    player = ClipPlayer(clips["five"], rooms[0], source="shipped", for_people=False)
    seen = set()
    for value in (1, 2, 3, 4):
        player.slider.value = value
        seen.add(player.plan.value)
        walk = next(t for t in player.figure().data if "markers" in (t.mode or ""))
        assert walk.text[value - 1] == str(value)
        assert walk.marker.size[value - 1] == max(walk.marker.size)
    assert len(seen) == 4


def test_play_and_slider_are_linked_in_the_browser(world):
    player = ClipPlayer(world[2]["five"], source="shipped")
    assert (player._link.source, player._link.target) == ((player.play, "value"), (player.slider, "value"))


def test_a_shorter_clip_after_a_longer_one_starts_anew(world):
    _, _, clips = world
    player = ClipPlayer(clips["five"], source="shipped")
    player.slider.value = 4
    player.show(clips["eleven"].frames_FHW3[:2])
    assert (player.slider.value, player.slider.max) == (1, 2)
    assert np.array_equal(
        pixels(player.picture.value), pixels(ClipPlayer(clips["eleven"], source="shipped").picture.value)
    )


def test_a_missing_clip_and_missing_geometry_are_said(world):
    player = ClipPlayer(None, world[0][0], source="shipped")
    assert "no clip of this room" in player.message.value
    assert player.slider.disabled
    assert player.play.disabled
    assert player.picture.layout.display == "none"
    assert "<svg" in player.plan.value
    bare = ClipPlayer(world[2]["five"], source="shipped")
    assert "geometry of this room is not here" in bare.plan.value
    assert bare.static().count("<img") == 1


def test_frames_alone_take_a_walk_from_outside(world):
    rooms, _, clips = world
    given = {"source": "shipped", "for_people": False}
    player = ClipPlayer(clips["five"].frames_FHW3, rooms[0], path=clips["five"].path, **given)
    assert player.plan.value == ClipPlayer(clips["five"], rooms[0], **given).plan.value
    without = ClipPlayer(clips["five"].frames_FHW3, rooms[0], source="shipped")
    assert not any("markers" in (t.mode or "") for t in without.figure().data)


# -- the inspector -----------------------------------------------------------------------------------------------------


def test_choosing_a_room_changes_everything_below(world):
    _rooms, rows, _clips = world
    view = inspector(world)
    assert view.room.options == ("five", "eleven", "bare", "every room")
    assert view.row["scene_name"] == "five"
    before = view.player.picture.value
    view.room.value = "eleven"
    assert view.row["scene_name"] == "eleven"
    assert view.player.picture.value != before
    assert view.player.room.name == "eleven"
    own = [row for row in rows if row["scene_name"] == "eleven"]
    assert len(view.question.options) == len(own)
    assert {kind for _, kind in view.kind.options[1:]} == {row["question_type"] for row in own}


def test_choosing_a_type_narrows_the_questions_and_survives_a_change_of_room(world):
    view = inspector(world)
    view.kind.value = "object_size_estimation"
    assert {view.rows[i]["question_type"] for _, i in view.question.options} == {"object_size_estimation"}
    view.room.value = "eleven"
    assert view.kind.value == "object_size_estimation"
    assert view.row["question_type"] == "object_size_estimation"
    view.kind.value = ""
    assert len(view.question.options) == sum(row["scene_name"] == "eleven" for row in view.rows)


def test_choosing_a_question_outlines_its_objects_and_shows_its_answers(world):
    view = inspector(world)
    for _, index in view.question.options[::3]:
        view.question.value = index
        row = view.rows[index]
        assert row["question"].replace("'", "&#x27;") in view.answers.value
        assert f">{row['ground_truth']}</b>" in view.answers.value
        assert view.player.highlight == tuple(dict.fromkeys(row["objects"]))


def test_choosing_a_checkpoint_shows_its_answer_alone(world):
    view = inspector(world)
    assert view.checkpoint.options == ("all of them", "before", "after")
    assert "could not be read" in view.answers.value
    assert "accuracy 1.00" in view.answers.value
    view.checkpoint.value = "after"
    assert "could not be read" not in view.answers.value
    assert "accuracy 1.00" in view.answers.value
    view.checkpoint.value = "before"
    assert "accuracy 0.00" in view.answers.value
    assert "accuracy 1.00" not in view.answers.value


def test_model_text_questions_and_names_never_become_markup(world):
    _rooms, rows, _clips = world
    bad = rows[0] | {"question": HOSTILE, "options": [f"A. {HOSTILE}"], "ground_truth": HOSTILE}
    view = inspector(world, {HOSTILE: {bad["id"]: HOSTILE}}, rows=[bad])
    for shown in (view.answers.value, view.static()):
        assert "<script" not in shown
        assert "<img src=x" not in shown
        assert shown.count("&lt;script&gt;") >= 5


def test_a_room_without_questions_and_no_questions_at_all(world):
    view = inspector(world)
    view.room.value = "bare"
    assert view.row is None
    assert "no question about room bare" in view.answers.value
    assert "no clip of this room" in view.player.message.value
    assert "<svg" in view.player.plan.value
    view.room.value = "five"
    assert view.row is not None
    assert "no clip" not in view.player.message.value
    empty = AnswerInspector([], [], {}, {}, source="shipped")
    assert empty.row is None
    assert "no question" in empty.static()
    empty.ask_now()


def test_a_missing_clip_leaves_the_rest(world):
    view = inspector(world, clips={})
    assert "no clip of this room" in view.player.message.value
    assert "accuracy 1.00" in view.answers.value
    assert "<svg" in view.static()
    assert "data:image/png" not in view.static()


def test_objects_the_geometry_does_not_know_are_left_unmarked(world):
    _rooms, rows, _clips = world
    view = inspector(world, rows=[rows[0] | {"objects": ["ufo"]}, {k: v for k, v in rows[1].items() if k != "objects"}])
    assert view.player.highlight == ()
    view.question.value = 1
    assert view.player.highlight == ()


def test_a_live_model_is_asked_when_the_button_is_pressed_and_once_a_question(world):
    asked = []

    def live(row):
        asked.append(row["id"])
        return f"answer {row['ground_truth']}"

    view = inspector(world, {"live": live, "stored": {}})
    assert view.ask.layout.display == ""
    assert asked == []
    assert "live: not asked yet" in view.answers.value
    assert "stored: no stored answer to this question" in view.answers.value
    assert "could not be read" not in view.answers.value
    first = view.row["id"]
    view.ask.click()
    assert asked == [first]
    assert "accuracy 1.00" in view.answers.value
    view.question.value = view.question.options[1][1]
    assert "live: not asked yet" in view.answers.value
    view.question.value = view.question.options[0][1]
    assert "accuracy 1.00" in view.answers.value
    assert asked == [first]


def test_a_model_that_fails_is_shown_and_the_button_works_again(world):
    def live(row):
        raise RuntimeError(HOSTILE)

    view = inspector(world, {"live": live})
    view.ask.click()
    assert "live failed: RuntimeError: &lt;script&gt;" in view.answers.value
    assert "<script" not in view.answers.value
    assert not view.ask.disabled


def test_the_kits_own_parser_and_reward_are_used_by_default(world):
    rooms, rows, clips = world
    row = next(r for r in rows if r["question_type"] == "room_size_estimation")
    answers = {"right": {row["id"]: row["ground_truth"]}, "lost": {row["id"]: "well, hm"}}
    view = AnswerInspector(rooms, [row], clips, answers, source="measured now")
    assert "accuracy 1.00" in view.answers.value
    assert "accuracy 0.00" in view.answers.value
    assert "could not be read" in view.answers.value


def test_questions_are_found_by_what_came_out_of_them(world):
    rows = world[1]
    right = {row["id"]: f"answer {row['ground_truth']}" for row in rows}
    worse = right | {rows[2]["id"]: "answer nothing", rows[-1]["id"]: "lost for words"}
    view = inspector(world, {"before": right, "after": worse})
    there = {CHANGES[1], CHANGES[4], "right", "wrong", "unread"}
    assert [value for _, value in view.only.options] == ["", *(k for k in (*CHANGES, *OUTCOMES) if k in there)]
    view.room.value = "every room"
    assert len(view.question.options) == len(rows)
    view.only.value = "no longer right"
    assert [index for _, index in view.question.options] == [2, len(rows) - 1] and view.row is view.rows[2]
    assert view.player.room.name == rows[2]["scene_name"]
    view.only.value = "unread"
    assert [index for _, index in view.question.options] == [len(rows) - 1]
    assert view.player.room.name == rows[-1]["scene_name"] and view.player.frames is not None
    view.room.value = "bare"
    assert view.row is None and "no such question here" in view.answers.value
    assert inspector(world, {"live": lambda row: "4"}).only.layout.display == "none"


def test_it_opens_with_the_first_question_on_which_the_checkpoints_differ(world):
    rows = world[1]
    right = {row["id"]: f"answer {row['ground_truth']}" for row in rows}
    at = next(i for i, row in enumerate(rows) if row["scene_name"] == "eleven") + 1
    view = inspector(world, {"before": right, "after": right | {rows[at]["id"]: "answer nothing"}})
    assert view.row is view.rows[at] and view.room.value == "eleven" and view.player.room.name == "eleven"
    assert inspector(world, {"before": right, "after": right}).row["id"] == rows[0]["id"]
    assert inspector(world, {"before": right}).row["id"] == rows[0]["id"]


def test_questions_are_found_by_words_of_theirs_or_of_their_answers(world):
    rows = world[1]
    view = inspector(world, {"before": {rows[3]["id"]: "answer Hippopotamus"}})
    view.room.value = "every room"
    view.search.value = "hippo"
    assert [index for _, index in view.question.options] == [3] and view.only.options == (
        ("all", ""),
        ("wrong (1)", "wrong"),
    )
    view.search.value = "size OF this room"
    assert {view.rows[i]["question_type"] for _, i in view.question.options} == {"room_size_estimation"}
    view.search.value = "<nothing of the kind>"
    assert view.row is None and "no such question here" in view.answers.value
    assert "<nothing" not in view.answers.value


def test_a_live_answer_counts_among_what_came_out(world):
    view = inspector(world, {"live": lambda row: f"answer {row['ground_truth']}"})
    assert view.only.layout.display == "none"
    view.ask.click()
    assert ("right (1)", "right") in view.only.options and view.only.layout.display == ""


def test_a_model_beside_kept_answers_can_be_asked(world):
    rows = world[1]
    kept = {rows[0]["id"]: "answer kept"}
    view = inspector(world, {"before": kept}, models={"before": lambda row: "answer anew"})
    assert view.ask.layout.display == "" and "kept" in view.answers.value
    view.question.value = 1
    assert "not asked yet" in view.answers.value
    view.ask.click()
    assert "anew" in view.answers.value
    with pytest.raises(ValueError, match="a name of `models` is 'after': choose one of before"):
        inspector(world, {"before": kept}, models={"after": lambda row: ""})


def test_buttons_go_on_to_the_next_question_and_to_any(world):
    view = inspector(world)
    places = [index for _, index in view.question.options]
    view.on.click()
    assert view.question.value == places[1]
    view.back.click()
    view.back.click()
    assert view.question.value == places[-1]
    for _ in range(20):
        before = view.question.value
        view.any.click()
        assert view.question.value != before and view.question.value in places
    view.room.value = "bare"
    for button in (view.on, view.back, view.any):
        button.click()
    assert view.row is None


def test_the_answers_shown_are_drawn_on_the_plan(world):
    rows = world[1]
    at = next(i for i, row in enumerate(rows) if row["question_type"] == "object_abs_distance")
    view = inspector(world, {"before": {rows[at]["id"]: "7.5"}})
    view.room.value = rows[at]["scene_name"]
    view.question.value = at
    assert "true " in view.player.plan.value and "7.5 m" in view.player.plan.value


def test_without_a_live_model_there_is_no_button(world):
    assert inspector(world).ask.layout.display == "none"


def test_stored_answers_come_as_mapping_or_rows_the_first_sample_counts():
    rows = [{"id": 1, "prediction": "a"}, {"id": 1, "prediction": "b"}, {"id": 2, "prediction": "c"}]
    assert stored_answers("x", rows) == {"1": "a", "2": "c"}
    assert stored_answers("x", {1: "a"}) == {"1": "a"}
    with pytest.raises(ValueError, match=r"answers of 'x': row 0 holds \['id'\]"):
        stored_answers("x", [{"id": 1}])


def test_a_row_that_brings_its_own_prediction_is_not_mistaken_for_an_answer(world):
    _rooms, rows, _clips = world
    view = inspector(world, {"stored": {}}, rows=[rows[0] | {"prediction": "answer outdated"}])
    assert "outdated" not in view.answers.value


def test_lines_join_what_a_question_relates(world):
    rooms, _rows, _ = world
    room = rooms[0]
    names = sorted(room.unique)
    assert len(names) >= 4
    asked = {"objects": names[:3], "question_type": "object_rel_direction_hard"}
    assert linked(asked, room) == [(names[0], names[1])]
    assert linked(asked | {"question_type": "object_rel_distance"}, room) == [(names[0], n) for n in names[1:3]]
    route = {"objects": names[:4], "question_type": "route_planning"}
    assert linked(route, room) == [(names[0], names[2]), (names[2], names[3])]
    several = next(c for c, n in room.counts.items() if n > 1)
    assert linked({"objects": [several, names[0]], "question_type": "object_abs_distance"}, room) == []
    assert linked({"objects": [names[0]], "question_type": "object_size_estimation"}, room) == []


# -- display -----------------------------------------------------------------------------------------------------------


def displayed(widget, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "IPython.display.display", lambda data, metadata=None, raw=False: shown.append((data, metadata))
    )
    widget._ipython_display_()
    return shown


def test_every_still_form_rides_beside_a_widget_and_only_the_first_is_seen(world, monkeypatch):
    view = inspector(world)
    outputs = displayed(view, monkeypatch)
    kinds = [set(data) - {WIDGET_MIME, "text/plain"} for data, _ in outputs]
    assert kinds == [{"image/png"}, {"image/svg+xml"}, {"text/html"}]
    ids = [data[WIDGET_MIME]["model_id"] for data, _ in outputs]
    assert ids[0] == view.view.model_id
    assert len(set(ids)) == 3
    assert outputs[0][1]["image/png"]["alt"]
    hidden = [w for w in ipw.widgets.widget._instances.values() if w.model_id in ids[1:]]
    assert [w.layout.display for w in hidden] == ["none", "none"]
    assert len(json.dumps(outputs)) < 80_000


def test_a_widget_without_pictures_still_shows(monkeypatch):
    empty = AnswerInspector([], [], {}, {}, source="shipped")
    (only,) = displayed(empty, monkeypatch)
    assert only[0][WIDGET_MIME]["model_id"] == empty.view.model_id
    assert "no question" in only[0]["text/html"]
    player = ClipPlayer(None, source="shipped")
    (only,) = displayed(player, monkeypatch)
    assert only[0][WIDGET_MIME]["model_id"] == player.view.model_id


def test_every_control_can_be_reached_by_keyboard_and_has_a_name(world):
    view = inspector(world, {"live": lambda row: "answer"})

    def controls(widget):
        children = getattr(widget, "children", ())
        return [w for child in children for w in controls(child)] if children else [widget]

    named = [w for w in controls(view.view) if hasattr(w, "disabled")]
    kinds = {ipw.Dropdown, ipw.IntSlider, ipw.Play, ipw.Button, ipw.Text, ipw.ToggleButtons}
    assert {type(w) for w in named} == kinds
    assert all(w.description for w in named)


def test_a_widget_wants_its_source(world):
    with pytest.raises(ValueError, match="'measured now' or 'shipped'"):
        ClipPlayer(None, source="yesterday")


# -- the knob ----------------------------------------------------------------------------------------------------------


def test_the_knob_shows_the_figure_and_the_answers_of_its_setting(world):
    _, rows, _ = world
    bands = {50: (1.0, 0.0, 2.0), 0: (-5.0, -6.0, -4.0)}
    said = {0: [rows[0] | {"label": "run 1", "prediction": HOSTILE}]}
    knob = Knob(bands, said, source="shipped", knob="share", unit=" %", title="grounding")
    assert [label for label, _ in knob.slider.options] == ["0 %", "50 %"] and knob.slider.value == 50
    assert "50 %: +1.0" in knob.drawing.value and "No answers were kept" in knob.said.value
    knob.slider.value = 0
    assert "0 %: -5.0 (-6.0 to -4.0)" in knob.drawing.value
    assert "&lt;script&gt;" in knob.said.value and "<script" not in knob.said.value
    assert knob.traces() is not None and knob.figure().source == "shipped"


def test_a_knob_refuses_answers_without_a_setting():
    with pytest.raises(ValueError, match="answers at 7, which has no band: settings are 0, 50"):
        Knob({50: (1, 0, 2), 0: (1, 0, 2)}, {7: []}, source="shipped")
    with pytest.raises(ValueError, match="1 setting is no line"):
        Knob({50: (1, 0, 2)}, source="shipped")
