"""The clip player: the model's frame always stands there, a frame for people beside it; it opens where one looks."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.lab import MISSING, Page, lab, until
from vsr_kit.rooms import Box, Room, make_room
from vsr_kit.videos import CameraPath, Clip, camera_walk, render
from vsr_kit.widgets import AnswerInspector, ClipPlayer, player

HOSTILE = "<script>window.hacked = 1</script>"


@pytest.fixture(scope="module")
def world():
    room = make_room(11, "eleven")
    return room, render(room, camera_walk(room, 4, 1), 112)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_both_frames_show_and_words_above_say_which_the_model_sees(world):
    room, clip = world
    shown = ClipPlayer(clip, room, source="shipped")
    assert shown.caption.value == "What the model sees: 112 × 112 px" and "For people" in shown.large_caption.value
    assert pixels(shown.picture.value).shape == (224, 224, 3) and shown.picture.layout.width == "224px"
    assert pixels(shown.large.value).shape == (336, 336, 3)
    assert shown._people.layout.display == "" == shown._model.layout.display
    before = shown.large.value
    shown.slider.value = 3
    assert shown.large.value != before


def test_what_is_for_people_can_be_put_away_the_models_frame_cannot(world):
    room, clip = world
    shown = ClipPlayer(clip, room, source="shipped")
    shown.frames_shown.value = "what the model sees"
    assert shown._people.layout.display == "none" and shown.both() is None
    assert pixels(shown.picture.value).shape == (336, 336, 3) and shown._model.layout.display == ""
    assert set(shown.frames_shown.options) == {"what the model sees", "and for people"}
    assert shown.static().count("<img") == 1
    shown.frames_shown.value = "and for people"
    assert shown._people.layout.display == "" and shown.static().count("<img") == 2
    assert "as the model sees it, and the same drawn larger" in shown.static()


def test_without_room_or_walk_there_is_nothing_to_choose(world):
    room, clip = world
    for shown in (
        ClipPlayer(clip, source="shipped"),
        ClipPlayer(clip.frames_FHW3, room, source="shipped"),
        ClipPlayer(clip.frames_FHW3[:2], room, path=clip.path, source="shipped"),  # a walk of other frames
        ClipPlayer(None, room, source="shipped"),
    ):
        assert shown.frames_shown.layout.display == "none" == shown._people.layout.display
        assert shown.frame_for_people() is None
    known = ClipPlayer(clip.frames_FHW3, room, path=clip.path, source="shipped")
    assert known.frames_shown.layout.display == "" and known.frame_for_people().shape == (336, 336, 3)


def test_a_frame_is_drawn_once_and_only_when_it_is_looked_at(world, monkeypatch):
    room, clip = world
    drawn = []
    real = player.frame_for_people
    monkeypatch.setattr(player, "frame_for_people", lambda *given: drawn.append(given[2]) or real(*given))
    shown = ClipPlayer(clip, room, source="shipped", for_people=False)
    shown.slider.value = 2
    assert drawn == []
    shown.frames_shown.value = "and for people"
    shown.slider.value = 3
    shown.slider.value = 2
    shown.show(clip, room, highlight=[room.boxes[0].category])
    assert sorted(drawn) == sorted(set(drawn)) and {1, 2} <= set(drawn)
    inspector = AnswerInspector([room], [], {"eleven": clip}, {}, source="shipped")
    assert inspector.player.frames_shown.value == "what the model sees"  # it goes from room to room at every click


def seen_in(frame: int) -> tuple[Room, Clip]:
    """A room with two boxes, of which one frame alone shows the second."""
    shell = Box("room", (2.0, 2.0, 1.35), (4.0, 4.0, 2.7))
    room = Room(
        "two", "x", (Box("bed", (3.4, 2.0, 0.3), (1, 1, 0.6)), Box("bin", (0.6, 2.0, 0.3), (0.4, 0.4, 0.6))), shell, 16
    )
    yaws = np.zeros(4)
    yaws[frame] = 180.0
    return room, render(room, CameraPath(np.tile([2.0, 2.0, 1.75], (4, 1)), yaws), 112)


@pytest.mark.parametrize("frame", [0, 2, 3])
def test_it_opens_on_the_frame_that_shows_what_is_asked_about(frame):
    room, clip = seen_in(frame)
    assert ClipPlayer(clip, room, source="shipped", highlight=["bin"]).frame == frame
    assert ClipPlayer(clip.frames_FHW3, room, path=clip.path, source="shipped", highlight=["bin"]).frame == frame
    assert ClipPlayer(clip, room, source="shipped", highlight=[1]).frame == frame
    assert ClipPlayer(clip, room, source="shipped").frame == 0


def test_the_frame_stays_while_only_answers_change_and_moves_with_the_question():
    room, clip = seen_in(2)
    shown = ClipPlayer(clip, room, source="shipped", for_people=False, highlight=["bin"])
    shown.slider.value = 2
    shown.show(clip, room, highlight=["bin"], links=[("bed", "bin")])
    assert shown.frame == 1
    shown.show(clip, room, highlight=["bed"])
    assert shown.frame == 0
    shown.show(clip, room, highlight=["bin"])
    assert shown.frame == 2


def test_hostile_names_are_pixels(world):
    room, clip = world
    boxes = (Box(HOSTILE, room.boxes[0].center, room.boxes[0].size), *room.boxes[1:])
    hostile = Room(HOSTILE, "x", boxes, room.shell, room.floor_area_m2)
    shown = ClipPlayer(clip, hostile, source="shipped", highlight=[HOSTILE])
    for html in (shown.static(), shown.caption.value, shown.large_caption.value, shown.plan.value):
        assert "<script" not in html


CELL = f"""
from vsr_kit.rooms import Box, Room, make_room
from vsr_kit.videos import film
from vsr_kit.widgets import ClipPlayer

room = make_room(11)
boxes = (Box({HOSTILE!r}, room.boxes[0].center, room.boxes[0].size), *room.boxes[1:])
room = Room("eleven", "x", boxes, room.shell, room.floor_area_m2)
ClipPlayer(film(room), room, source="measured now", highlight=[room.boxes[1].category])
"""


def displayed(page: Page) -> int:
    """How many pictures of the view can be seen."""
    return len([one for one in page.all(".vsr-view img") if one.is_displayed()])


def fits(page: Page) -> bool:
    look = "const v = document.querySelector('.vsr-view'); return [v.scrollWidth, v.clientWidth]"
    wide, there = page.driver.execute_script(look)
    return wide <= there + 1


@pytest.mark.slow
@pytest.mark.skipif(bool(MISSING), reason=f"not here: {MISSING}")
@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_in_a_browser_keys_choose_the_frames_and_all_of_it_can_be_read(theme, tmp_path):
    with lab(tmp_path, theme) as address:
        page = Page(address)
        try:
            page.run(tmp_path, CELL, "1 + 1", alone=True)
            until(lambda: displayed(page) == 2, "no two frames")
            text = page.text(".vsr-view")
            assert "What the model sees: 112 × 112 px" in text and "For people" in text
            for name, count in (("what the model sees", 1), ("and for people", 2)):
                page.focus(next(one for one in page.seen(".vsr-view button") if one.text == name))
                page.press("ENTER")
                until(lambda count=count: displayed(page) == count, f"{name!r} by keyboard did nothing")
            assert len(page.all(".jp-Notebook .jp-Cell")) == 2
            page.driver.set_window_size(420, 1400)
            until(lambda: fits(page), "the view is wider than its cell", 20)
            page.driver.save_screenshot(str(tmp_path / "narrow.png"))
            assert page.faint(".vsr-view") == [] and page.complaints() == []
            assert page.driver.execute_script("return window.hacked") is None
        finally:
            page.close()
