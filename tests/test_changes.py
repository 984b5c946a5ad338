"""Changed rooms: each change does its one thing and leaves the rest alone; questions about them have their truths."""

from dataclasses import replace

import numpy as np
import pytest

from vsr_kit.data import make_rows, split_rooms
from vsr_kit.questions import TRAINED_TYPES
from vsr_kit.questions.geometric import in_other_words, truth_in
from vsr_kit.rooms import CATEGORIES, Box, Room, box_distance, yaw_axes
from vsr_kit.rooms.generator import bottom_m, lifted, on_the_floor, renamed, scaled, without_others
from vsr_kit.videos import film

ROOMS = split_rooms(12, "test")


def hanging(name="some room"):
    """A room with things on things, one of them leaning."""
    lean = ((0.8, 0.0, 0.6), (0.0, 1.0, 0.0), (-0.6, 0.0, 0.8))
    boxes = (
        Box("table", (1.0, 1.0, 0.4), (1.2, 0.8, 0.8), yaw_axes(30)),
        Box("telephone", (1.0, 1.0, 0.85), (0.2, 0.1, 0.1)),
        Box("clock", (3.0, 0.2, 2.0), (0.4, 0.1, 0.4), lean),
        Box("chair", (2.5, 2.0, 0.45), (0.5, 0.5, 0.9)),
        Box("chair", (3.5, 2.6, 0.45), (0.5, 0.5, 0.9)),
    )
    return Room(name, "somewhere", boxes, Box("room", (2.0, 1.5, 1.35), (4.0, 3.0, 2.7)), 12.0)


def same_but_names(a, b):
    return [(x.center, x.size, x.axes) for x in a.boxes] == [(x.center, x.size, x.axes) for x in b.boxes]


def test_other_names_are_all_that_renaming_changes():
    room = hanging()
    other = renamed(room, {"telephone": "bed", "bed": "lamp", "chair": "stool"})
    assert [box.category for box in other.boxes] == ["table", "bed", "clock", "stool", "stool"]
    assert same_but_names(room, other) and (other.shell, other.floor_area_m2) == (room.shell, room.floor_area_m2)
    assert other.counts == {"table": 1, "bed": 1, "clock": 1, "stool": 2}
    assert renamed(renamed(room, {"telephone": "bed"}), {"bed": "telephone"}) == room
    swapped = renamed(room, {"table": "clock", "clock": "table"})
    assert [box.category for box in swapped.boxes][:3] == ["clock", "telephone", "table"]
    with pytest.raises(ValueError, match="'some room'.* gives two categories one name"):
        renamed(room, {"telephone": "chair"})


@pytest.mark.parametrize("factor", [0.5, 1.7])
@pytest.mark.parametrize("room", [*ROOMS[:4], hanging()], ids=lambda room: room.name)
def test_scaling_multiplies_all_lengths(room, factor):
    other = scaled(room, factor)
    assert other.floor_z_m == pytest.approx(room.floor_z_m)
    assert other.floor_area_m2 == pytest.approx(room.floor_area_m2 * factor**2)
    assert other.shell.size[:2] == pytest.approx([factor * side for side in room.shell.size[:2]])
    assert other.shell.size[2] == pytest.approx(max(2.7, factor * 2.7))
    for a, b in zip(room.boxes, other.boxes, strict=True):
        assert b.longest_m == pytest.approx(factor * a.longest_m) and b.category == a.category
        assert bottom_m(b) - other.floor_z_m == pytest.approx(factor * (bottom_m(a) - room.floor_z_m), abs=1e-9)
    first, *others = zip(room.boxes, other.boxes, strict=True)
    for a, b in others:
        assert box_distance(first[1], b) == pytest.approx(factor * box_distance(first[0], a), abs=1e-6)
    inside = np.concatenate([box.corners() for box in other.boxes])[:, :2] - np.asarray(other.shell.center)[:2]
    assert (
        np.abs(inside @ np.asarray(other.shell.axes)[:2, :2].T) <= np.asarray(other.shell.size)[:2] / 2 + 1e-9
    ).all()


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan")])
def test_a_room_cannot_be_scaled_away(factor):
    with pytest.raises(ValueError, match="must be above 0"):
        scaled(hanging(), factor)


def test_letting_down_moves_things_straight_down_to_the_floor():
    room = hanging()
    other = on_the_floor(room)
    assert [bottom_m(box) for box in other.boxes] == pytest.approx([0.0] * 5)
    for a, b in zip(room.boxes, other.boxes, strict=True):
        assert (b.center[:2], b.size, b.axes, b.category) == (a.center[:2], a.size, a.axes, a.category)
    for made in ROOMS[:3]:
        assert [box.center for box in on_the_floor(made).boxes] == [pytest.approx(box.center) for box in made.boxes]


def test_hung_things_keep_their_place_in_plan_and_under_the_ceiling():
    heights = [0.0, 0.5, 2.0, 9.0]
    other = lifted(ROOMS[0], heights)
    assert other == lifted(ROOMS[0], heights) != lifted(ROOMS[0], heights, seed=1)
    rises = []
    for a, b in zip(ROOMS[0].boxes, other.boxes, strict=True):
        assert (b.center[:2], b.size, b.category) == (a.center[:2], a.size, a.category)
        assert b.corners()[:, 2].max() <= 2.7
        rises.append(bottom_m(b))
    assert {round(rise, 6) for rise in rises} & {0.5, 2.0} and max(rises) < 2.7


def test_taking_others_away_leaves_what_is_named():
    room = hanging()
    assert [box.category for box in without_others(room, {"chair", "clock"}).boxes] == ["clock", "chair", "chair"]
    assert without_others(room, set()) == room  # a room without a thing is none


# -- questions about them ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows():
    return make_rows(ROOMS, types=TRAINED_TYPES, max_per_type=2, clips={room.name: film(room) for room in ROOMS})


def by_name(rooms):
    return {room.name: room for room in rooms}


def test_a_question_about_the_same_room_has_the_same_truth(rows):
    rooms = by_name(ROOMS)
    assert len(rows) > 100
    assert [truth_in(row, rooms[row["scene_name"]]) for row in rows] == [row["ground_truth"] for row in rows]


def test_truths_of_a_scaled_room_are_scaled_and_letters_stay(rows):
    rooms = by_name(scaled(room, 2.0) for room in ROOMS)
    for row in rows:
        then, now, kind = row["ground_truth"], truth_in(row, rooms[row["scene_name"]]), row["question_type"]
        if kind in ("object_abs_distance", "object_size_estimation"):
            assert float(now) == pytest.approx(2 * float(then), abs=1.01 if "size" in kind else 0.11)
        elif kind == "room_size_estimation":
            assert float(now) == pytest.approx(4 * float(then), abs=0.21)
        elif kind == "object_rel_distance":  # margins grow with the room, unless it grows into a large one
            assert now in (then, None)
        else:
            assert now == then


def test_a_question_that_has_no_clear_answer_any_more_has_none():
    room = hanging()
    row = {"question_type": "object_abs_distance", "objects": ["table", "telephone"], "ground_truth": "1.0"}
    assert truth_in(row, room) is None  # it lies on the table
    asked = {"question_type": "object_rel_distance", "objects": ["clock", "table", "chair"], "ground_truth": "A"}
    asked["options"] = ["A. table", "B. chair"]
    near, far = Box("chair", (3.0, 1.0, 1.5), (0.3, 0.3, 0.1)), Box("chair", (0.3, 2.8, 0.2), (0.3, 0.3, 0.1))
    as_far = replace(room.boxes[0], category="chair")
    for truth, chair in {"B": near, "A": far, None: as_far}.items():
        assert truth_in(asked, Room("r", "d", (*room.boxes[:3], chair), room.shell, 12.0)) == truth


def test_of_several_instances_the_nearest_counts():
    row = {"question_type": "object_rel_distance", "objects": ["clock", "table", "chair"], "ground_truth": "A"}
    row["options"] = ["A. table", "B. chair"]
    room = hanging()
    far, near = Box("chair", (0.3, 2.8, 0.2), (0.3, 0.3, 0.1)), Box("chair", (3.0, 1.0, 1.5), (0.3, 0.3, 0.1))
    for chairs in ((far, near), (near, far)):
        assert truth_in(row, Room("r", "d", (*room.boxes[:3], *chairs), room.shell, 12.0)) == "B"


def test_other_words_are_said_everywhere_at_once(rows):
    names = {name: f"{other} thing" for name, other in zip(CATEGORIES, reversed(CATEGORIES), strict=True)}
    for row in rows:
        said = in_other_words(row, names)
        assert said["objects"] == [names[name] for name in row["objects"]]
        back = in_other_words(said, {new: old for old, new in names.items()})
        assert back == row and (said["id"], said["ground_truth"]) == (row["id"], row["ground_truth"])
        for name in row["objects"]:
            assert names[name] in said["question"]
        if row["question_type"] == "object_rel_distance":
            assert [option[3:] for option in said["options"]] == [names[option[3:]] for option in row["options"]]
    assert in_other_words(rows[0], {}) == rows[0]


def test_a_word_inside_a_longer_name_is_left_alone():
    row = {"question": "How far is the table lamp from the table, and the lamp?", "options": None}
    row["objects"] = ["table lamp", "table", "lamp"]
    said = in_other_words(row, {"table": "bed", "lamp": "tv"})
    assert said["question"] == "How far is the table lamp from the bed, and the tv?"
    assert said["objects"] == ["table lamp", "bed", "tv"]
