"""Answers on the floor plan: lengths and directions by hand, in both conventions; what is no place is not drawn."""

import math
from dataclasses import replace

import numpy as np
import pytest

from vsr_kit.data import make_rows, split_rooms
from vsr_kit.plots import floor_plan
from vsr_kit.plots.answer_marks import MOST_ANSWERS, answer_marks, closest
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.rooms import Box, box_distance

ROOM = split_rooms(1, "val")[0]
EAST, UP = ((1, 0, 0), (0, 1, 0), (0, 0, 1)), (1.0, 1.0, 1.0)


def box(name, x, y, axes=EAST, size=UP):
    return Box(name, (x, y, 0.5), size, axes)


def room(*boxes):
    return replace(ROOM, boxes=boxes, shell=replace(ROOM.shell, center=(0, 0, 1.5), size=(10, 10, 3), axes=EAST))


THREE = room(box("bed", 0, 0), box("tv", 3, 4), box("sofa", 4, 0))
FAR = {"question_type": "object_abs_distance", "objects": ["bed", "tv"], "ground_truth": "5.0", "options": None}
FAR |= {"question": "What is the distance between the bed and the tv (in meters)?"}
NEAR = FAR | {
    "question": "Measuring from the closest point of each object, what is the direct distance …",
    "ground_truth": "3.6",
}
SIDE = {"question_type": "object_rel_direction_easy", "objects": ["bed", "tv", "sofa"], "ground_truth": "right"}
SIDE |= {
    "options": None,
    "question": "If I am standing by the bed and facing the tv is the sofa to the left or the right?",
}


def lengths(marks):
    return [math.dist(mark.start, mark.end) for mark in marks]


def test_a_distance_is_drawn_from_centre_to_centre_in_vsi_100ks_words():
    truth, twice, once = answer_marks(FAR, THREE, ["2.5", "about 2.5 m", "7.0", "no idea"])
    assert (truth.start, truth.end, truth.kind, truth.text) == ((0, 0), (3, 4), "truth", "true 5.0 m")
    assert (twice.text, twice.kind, once.text) == ("2.5 m ×2", "answer", "7 m")
    assert lengths([truth, twice, once]) == pytest.approx([5.0, 2.5, 7.0])
    for mark in (twice, once):  # in the truth's direction
        along = np.subtract(mark.end, mark.start) / math.dist(mark.start, mark.end)
        assert along == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("row", [NEAR, FAR | {"ground_truth": "3.6"}], ids=["its words", "other words"])
def test_a_distance_between_closest_points_is_drawn_between_them_whatever_the_words(row):
    (truth,) = answer_marks(row, THREE, [])
    assert (truth.start, truth.end) == ((0.5, 0.5), (2.5, 3.5))
    assert lengths([truth]) == pytest.approx([box_distance(*THREE.boxes[:2])])


def test_an_answer_that_leaves_the_room_is_cut_off_and_says_so():
    _, far = answer_marks(FAR, THREE, ["250"])
    assert far.text == "250 m (cut off)" and lengths([far]) == pytest.approx([math.hypot(10, 10)])
    corners = room(box("bed", -4.5, -4.5), box("tv", 4.5, 4.5))
    truth, right = answer_marks(FAR | {"ground_truth": "12.7"}, corners, ["12.7"])
    assert right.text == "12.7 m" and lengths([right]) == pytest.approx([12.7])
    assert lengths([truth]) == pytest.approx([12.7], abs=0.1)
    assert answer_marks(FAR, THREE, ["1" + "0" * 300])[1].text == "1e+300 m (cut off)"
    assert len(answer_marks(FAR, THREE, [str(n) for n in range(1, 9)])) == 1 + MOST_ANSWERS


def test_a_direction_is_seen_from_the_first_object_facing_the_second():
    facing, truth, left, right = answer_marks(SIDE, THREE, ["left", "Left.", "right"])
    assert (facing.kind, facing.text, facing.end) == ("aid", "", (3, 4))
    assert (truth.text, truth.start, truth.end) == ("true: right", (0, 0), (4, 0))
    assert (left.text, right.text) == ("left ×2", "right")
    ahead = np.array([0.6, 0.8])
    turns = [np.cross([*ahead, 0], [*np.subtract(mark.end, mark.start), 0])[2] for mark in (left, right, truth)]
    assert turns[0] > 0 > turns[1] and turns[2] < 0


def test_letters_are_told_as_their_words():
    hard = SIDE | {"question_type": "object_rel_direction_hard", "ground_truth": "B"}
    hard |= {"options": ["A. back-left", "B. front-right"]}
    _, truth, said = answer_marks(hard, THREE, ["A"])
    assert (truth.text, said.text) == ("true: front-right", "back-left")
    way = math.degrees(math.atan2(*said.end[::-1])) - math.degrees(math.atan2(0.8, 0.6))
    assert way % 360 == pytest.approx(135)


@pytest.mark.parametrize(
    "row, there",
    [
        (FAR | {"objects": ["bed", "piano"]}, THREE),
        (FAR, room(box("bed", 0, 0), box("bed", 2, 2), box("tv", 3, 4))),
        (FAR | {"objects": None}, THREE),
        (FAR | {"question_type": "object_counting"}, THREE),
        (SIDE | {"objects": ["bed", "tv"]}, THREE),
        (SIDE | {"ground_truth": ""}, THREE),
        (FAR | {"ground_truth": "far"}, THREE),
        ({key: value for key, value in FAR.items() if key != "ground_truth"}, THREE),
    ],
)
def test_what_is_no_place_is_not_drawn(row, there):
    assert answer_marks(row, there, ["1"]) == ()


def test_closest_points_of_boxes_that_overlap_and_of_turned_ones():
    over = box("a", 0, 0), box("b", 0.5, 0.2)
    assert [tuple(p) for p in closest(*over)] == [(0.25, 0.1)] * 2
    half = math.sqrt(0.5)
    turned = box("b", 3, 0, ((half, half, 0), (-half, half, 0), (0, 0, 1)))
    a, b = closest(box("a", 0, 0), turned)
    assert tuple(a) == pytest.approx((0.5, 0)) and tuple(b) == pytest.approx((3 - half, 0))


@pytest.mark.parametrize("options", [["A) left", "B) right"], ["(A) left", "(B) right"], ["left", "right"]])
def test_options_are_read_however_they_are_lettered(options):
    _, truth, said = answer_marks(SIDE | {"options": np.array(options), "ground_truth": "B"}, THREE, ["A"])
    assert (truth.text, said.text) == ("true: right", "left")


def test_the_middle_of_a_side_depends_on_how_many_there_are():
    medium = SIDE | {"question_type": "object_rel_direction_medium", "ground_truth": "back"}
    _, _, left = answer_marks(medium, THREE, ["left"])
    way = math.degrees(math.atan2(*left.end[::-1])) - math.degrees(math.atan2(0.8, 0.6))
    assert way % 360 == pytest.approx(67.5)


@pytest.mark.parametrize("kind", QUESTION_TYPES)
@pytest.mark.parametrize("phrasing", ["vsi-100k", "vsi-bench"])
def test_every_question_can_be_drawn_with_any_answer(kind, phrasing):
    rooms = {one.name: one for one in split_rooms(4, "val")}
    for row in make_rows(list(rooms.values()), phrasing, 0, max_per_type=1):
        if row["question_type"] != kind:
            continue
        where = rooms[row["scene_name"]]
        marks = answer_marks(row, where, ["A", "4.2", "left", "<b>", "back", str(row["ground_truth"])])
        svg = floor_plan(where, source="shipped", marks=marks).to_svg()
        assert "<b>" not in svg and ("the truth" in svg) == bool(marks)
        assert all(mark.text.split()[0] in svg for mark in marks if mark.text)
