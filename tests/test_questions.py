"""Questions: every ground truth worked out again from geometry or pixels, every rule with a case that needs it."""

import json
import math
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.oracles import closest_distance
from vsr_kit.data import make_rows
from vsr_kit.questions import (
    BESIDE_TYPES,
    CHOICE_TYPES,
    HELD_OUT_TYPES,
    LABELS,
    MULTI_STEP_TYPES,
    NUMERIC_TYPES,
    PHRASINGS,
    QUESTION_TYPES,
    TASKS,
    TRAINED_TASKS,
    TRAINED_TYPES,
    add_type,
    make_questions,
    remove_type,
    task_of,
)
from vsr_kit.questions.held_out import route_turns
from vsr_kit.rooms import Box, Room, make_rooms, yaw_axes
from vsr_kit.videos import camera_walk, render

SIDES = "object_rel_direction_easy", "object_rel_direction_medium", "object_rel_direction_hard"


def room_of(*boxes: Box, area_m2: float = 20.0) -> Room:
    return Room("scene", "d", boxes, Box("room", (0.0, 0.0, 1.5), (20.0, 20.0, 3.0)), area_m2)


def cube(category: str, x: float, y: float, side: float = 0.2) -> Box:
    return Box(category, (x, y, side / 2), (side, side, side))


def asked(room, kind, phrasing="vsi-bench", **more):
    """Questions by the study's rules; the benchmark's have tests of their own in test_rules.py."""
    return make_questions(room, phrasing, types=(kind,), **{"rules": "study", **more})


def answer_text(question) -> str:
    """What the right answer says, whether the row gives a letter or the word itself."""
    if question.options is None:
        return question.ground_truth
    (text,) = [o[3:] for o in question.options if o.startswith(f"{question.ground_truth}. ")]
    return text


@pytest.fixture(scope="module")
def rooms():
    return make_rooms(30, seed=21)


@pytest.fixture(scope="module")
def questions(rooms):
    return {(room.name, p): make_questions(room, p, seed=3) for room in rooms for p in PHRASINGS}


def each(rooms, questions, kind, phrasings=PHRASINGS):
    for room in rooms:
        for phrasing in phrasings:
            for question in questions[room.name, phrasing]:
                if question.question_type == kind:
                    yield room, question


# ------------------------------------------------------------------------------------- ground truths, worked out again


def test_counts_are_counted(rooms, questions):
    found = 0
    for room, q in each(rooms, questions, "object_counting"):
        (category,) = re.findall(r"How many (\w+)\(s\)", q.question)
        assert int(q.ground_truth) == sum(box.category == category for box in room.boxes) >= 2
        found += 1
    asked_about = {(q.scene_name, q.objects[0]) for _, q in each(rooms, questions, "object_counting", ["vsi-100k"])}
    several = {(r.name, c) for r in rooms for c, n in Counter(b.category for b in r.boxes).items() if n > 1}
    assert asked_about == several
    assert found == 2 * len(several)


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_distances_are_closest_points_or_centres(rooms, questions, phrasing):
    differ = found = 0
    for room, q in list(each(rooms, questions, "object_abs_distance", [phrasing]))[::7]:
        a, b = re.search(r"between the (\w+) and the (\w+) \(in meters\)", q.question).groups()
        one, two = ([box for box in room.boxes if box.category == name] for name in (a, b))
        assert len(one) == len(two) == 1
        closest, centers = closest_distance(one[0], two[0]), math.dist(one[0].center, two[0].center)
        expected = closest if phrasing == "vsi-bench" else centers
        assert float(q.ground_truth) == pytest.approx(expected, abs=0.0505)
        assert re.fullmatch(r"\d+\.\d", q.ground_truth)
        assert ("closest point" in q.question) == (phrasing == "vsi-bench")
        differ, found = differ + (centers - closest > 0.2), found + 1
    assert found > 30
    assert differ > found / 2


def test_sizes_are_the_longest_side_in_whole_centimetres(rooms, questions):
    for room, q in each(rooms, questions, "object_size_estimation"):
        (category,) = re.search(r"height\) of the (\w+), measured in centimeters", q.question).groups()
        (box,) = [box for box in room.boxes if box.category == category]
        corners = box.corners()
        edges = [np.linalg.norm(corners[i] - corners[j]) for i in range(8) for j in range(i)]
        longest = max(e for e in edges if np.isclose(e, box.size, atol=1e-6).any())
        assert abs(int(q.ground_truth) - 100 * longest) <= 0.5 + 1e-9


def test_room_sizes_are_the_labelled_area(rooms, questions):
    found = {q.scene_name: q.ground_truth for _, q in each(rooms, questions, "room_size_estimation")}
    assert found == {room.name: f"{room.floor_area_m2:.1f}" for room in rooms}


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_the_closest_of_four_is_closest(rooms, questions, phrasing):
    by_centre = found = 0
    for room, q in each(rooms, questions, "object_rel_distance", [phrasing]):
        listed, target = re.search(r"objects \((.+?)\) ?is the closest to the (\w+)\?", q.question).groups()
        names, place = listed.split(", "), {box.category: box for box in room.boxes}
        assert len({target, *names}) == 5
        assert all(room.counts[name] == 1 for name in (target, *names))
        closest = {name: closest_distance(place[name], place[target]) for name in names}
        centers = {name: math.dist(place[name].center, place[target].center) for name in names}
        expected = closest if phrasing == "vsi-bench" else centers
        assert answer_text(q) == min(names, key=expected.get)
        margin = 0.3 if room.floor_area_m2 > 40 else 0.15
        assert min(np.diff(sorted(expected.values()))) >= margin - 1e-6
        if q.options:
            assert sorted(o[3:] for o in q.options) == sorted(names)
        by_centre, found = by_centre + (min(names, key=closest.get) != min(names, key=centers.get)), found + 1
    assert found > 15
    if phrasing == "vsi-bench":
        assert by_centre > 0  # some would be answered wrongly from centres


@pytest.mark.parametrize("kind", SIDES)
def test_directions_by_turning_the_plan(rooms, questions, kind):
    """Put `a` at the origin and turn the plan until `b` lies on the positive y axis; where is `c`?"""
    found = Counter()
    for room, q in each(rooms, questions, kind, ["vsi-bench"]):
        pattern = r"standing by the (\w+) and facing the (\w+), is the (\w+) to"
        a, b, c = re.search(pattern, q.question).groups()
        place = {box.category: np.array(box.center[:2]) for box in room.boxes if room.counts[box.category] == 1}
        ahead, thing = place[b] - place[a], place[c] - place[a]
        y_axis = ahead / np.linalg.norm(ahead)
        x, y = thing @ [y_axis[1], -y_axis[0]], thing @ y_axis
        turn = np.degrees(np.arctan2(abs(x), y))  # 0 ahead, 180 behind
        side = "left" if x < 0 else "right"
        expected = {
            "object_rel_direction_easy": side,
            "object_rel_direction_medium": "back" if turn >= 135 else side,
            "object_rel_direction_hard": f"{'front' if y > 0 else 'back'}-{side}",
        }[kind]
        assert answer_text(q) == expected
        borders = {SIDES[0]: (0, 180), SIDES[1]: (0, 135), SIDES[2]: (0, 90, 180)}[kind]
        assert min(abs(turn - border) for border in borders) >= 12 - 1e-6
        found[expected] += 1
    assert set(found) == {SIDES[0]: {"left", "right"}, SIDES[1]: {"left", "right", "back"}}.get(
        kind, {"front-left", "front-right", "back-left", "back-right"}
    )


def test_vsi_100k_asks_left_or_right_in_words(rooms, questions):
    for _, q in each(rooms, questions, SIDES[0], ["vsi-100k"]):
        assert q.ground_truth in ("left", "right")
        assert q.options is None


# ---------------------------------------------------------------------------------------------------- held-out: routes


class Robot:
    """Walks a plan by the words of a question; knows nothing but where it is and where it looks."""

    def __init__(self, room: Room, start: str, facing: str):
        self.place = {box.category: np.array(box.center[:2]) for box in room.boxes}
        self.here, self.ahead = self.place[start], self._towards(self.place[start], facing)

    def _towards(self, here, name):
        way = self.place[name] - here
        return way / np.linalg.norm(way)

    def turn(self, word: str) -> None:
        x, y = self.ahead
        self.ahead = {"Back": np.array([-x, -y]), "Left": np.array([-y, x]), "Right": np.array([y, -x])}[word]

    def can_walk_to(self, name: str) -> bool:
        """Whether the stop lies ahead: within 55 degrees, and straight ahead is not what another turn would give."""
        return self._towards(self.here, name) @ self.ahead > math.cos(math.radians(55))

    def walk_to(self, name: str) -> None:
        self.ahead, self.here = self._towards(self.here, name), self.place[name]


def arrives(room: Room, q, turns: list[str]) -> bool:
    start, facing, goal = re.search(
        r"beginning at the (\w+) facing the (\w+)\. You want to navigate to the (\w+)\.", q.question
    ).groups()
    steps = re.search(r"'turn right\.'\): (.+)\. You have reached the final destination\.$", q.question).group(1)
    robot, turns = Robot(room, start, facing), list(turns)
    numbered = re.split(r" ?\d+\. ", " " + steps)[1:]
    assert numbered[-1] == f"Go forward until the {goal}"
    for step in numbered:
        if step == "[please fill in]":
            robot.turn(turns.pop(0))
        else:
            stop = step.removeprefix("Go forward until the ")
            if not robot.can_walk_to(stop):
                return False
            robot.walk_to(stop)
    return not turns


def test_a_robot_that_follows_the_answer_arrives_and_by_no_other_option(rooms, questions):
    forms = Counter()
    for room, q in each(rooms, questions, "route_planning"):
        said = {option[0]: re.findall(r"Turn (\w+)", option) for option in q.options}
        assert len(set(map(tuple, said.values()))) == len(said) == (3 if len(said[q.ground_truth]) == 1 else 4)
        assert [letter for letter, turns in said.items() if arrives(room, q, turns)] == [q.ground_truth]
        first = re.search(r"\): 1\. (\[|Go)", q.question).group(1)
        forms[len(said[q.ground_truth]), first] += 1
        assert all(f"the {name}" in q.question for name in q.objects)
    assert min(forms[turns, first] for turns in (1, 2) for first in ("[", "Go")) >= 5


def test_route_wording_is_the_benchmarks():
    """Cf. the benchmark: '1. [please fill in] 2. Go forward until the blue desk 3. [please fill in] 4. Go …'"""
    room = room_of(*(cube(name, x, y) for name, x, y in [("bed", 0, 0), ("tv", 3, 0), ("sofa", 3, 3), ("bin", 0, 3)]))
    texts = [q.question for seed in range(20) for q in asked(room, "route_planning", seed=seed)]
    expected = (
        "You are a robot beginning at the bed facing the tv. You want to navigate to the sofa. You will perform the "
        "following actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' or 'turn "
        "right.'): 1. Go forward until the tv 2. [please fill in] 3. Go forward until the sofa. You have reached "
        "the final destination."
    )
    assert expected in texts


PLAN = {"bed": (0, 0), "tv": (3, 0), "left": (3, 3), "back": (-3, 0.2), "near": (0, 0.2)}
PLAN |= {"corner": (0, 3), "slight": (6, 1.5), "between": (-3, 3)}


@pytest.mark.parametrize(
    "start, facing, stops, turns",
    [
        ("bed", "tv", ["left"], ["Turn Left"]),
        ("bed", "left", ["tv"], ["Turn Right"]),
        ("bed", "tv", ["back"], ["Turn Back"]),
        ("bed", "tv", ["tv", "left"], ["Turn Left"]),
        ("bed", "tv", ["tv", "left", "corner"], ["Turn Left", "Turn Left"]),
        ("bed", "tv", ["slight"], None),  # 14 degrees is no turn
        ("bed", "tv", ["between"], None),  # 135 degrees: left or back?
        ("bed", "tv", ["near"], None),  # a step of 20 cm
        ("near", "bed", ["tv"], None),
    ],
)
def test_route_turns_by_hand(start, facing, stops, turns):
    assert route_turns(PLAN, start, facing, stops) == turns


# ---------------------------------------------------------------------------------------- held-out: appearance order


@pytest.fixture(scope="module")
def ordered():
    """Rooms and clips whose objects come into view one after another: a camera that turns on the spot."""
    found = []
    for seed, room in enumerate(make_rooms(40, seed=8)):
        path = camera_walk(room, 12, seed=seed)
        yaw = path.yaw_deg_F[0] + 30.0 * np.arange(12)
        eye = np.repeat([[*room.shell.center[:2], 1.75]], 12, 0)
        clip = render(room, type(path)(eye, yaw, path.pitch_deg, 60.0), 56)
        found += [(room, clip, q) for q in asked(room, "obj_appearance_order", clip=clip)]
    return found


def test_order_of_appearance_counted_pixel_by_pixel(ordered):
    assert len(ordered) > 20
    for room, clip, q in ordered:
        listed = re.search(r"in the video: (.+)\?$", q.question).group(1).split(", ")
        first = {}
        for name in listed:
            for frame, ids in enumerate(clip.object_ids_FHW):
                pixels = Counter(ids[ids >= 0].ravel().tolist())
                if any(n >= 12 and room.boxes[i].category == name for i, n in pixels.items()):
                    first[name] = frame
                    break
        assert len(set(first.values())) == 4
        assert answer_text(q) == ", ".join(sorted(listed, key=first.get))
        texts = [option[3:] for option in q.options]
        assert len(set(texts)) == 4
        assert all(sorted(text.split(", ")) == sorted(listed) for text in texts)


def test_order_needs_a_clip_and_is_asked_once(ordered, rooms):
    assert asked(rooms[0], "obj_appearance_order") == []
    by_room = Counter((q.scene_name, answer_text(q)) for _, _, q in ordered)
    assert max(by_room.values()) == 1


def test_what_appears_in_one_frame_has_no_order():
    boxes = [cube(name, 2, y, 0.4) for name, y in [("bed", -1), ("tv", 0), ("sofa", 1), ("bin", 2), ("desk", -2)]]
    room = room_of(*boxes)
    clip = render(room, camera_walk(room, 1), 64)
    assert asked(room, "obj_appearance_order", clip=clip) == []


# -------------------------------------------------------------------------------- rules, each with a case that needs it


def test_a_count_of_one_is_not_asked():
    assert asked(room_of(cube("bed", 0, 0)), "object_counting") == []
    assert [q.ground_truth for q in asked(room_of(cube("bed", 0, 0), cube("bed", 2, 0)), "object_counting")] == ["2"]


@pytest.mark.parametrize("kind", ["object_abs_distance", "object_size_estimation", *SIDES])
def test_objects_that_occur_twice_are_not_asked_about_by_name(kind):
    boxes = [cube("bed", 0, 0), cube("tv", 3, 0), cube("sofa", 3, 3)]
    assert {name for q in asked(room_of(*boxes), kind) for name in q.objects} == {"bed", "tv", "sofa"}
    twice = asked(room_of(*boxes, cube("sofa", -4, -4), cube("bin", 0, 3)), kind)
    assert {name for q in twice for name in q.objects} == {"bed", "tv", "bin"}


@pytest.mark.parametrize("gap_m, number", [(0.05, 0), (0.0, 0), (-0.05, 0), (0.15, 1)])
def test_touching_pairs_have_no_distance_question(gap_m, number):
    room = room_of(cube("bed", 0, 0), cube("tv", 0.2 + gap_m, 0))
    assert len(asked(room, "object_abs_distance")) == number
    assert len(asked(room, "object_abs_distance", "vsi-100k")) == 1  # their centres are apart


@pytest.mark.parametrize("gap_m, area_m2, number", [(0.16, 39, 5), (0.14, 39, 0), (0.29, 41, 0), (0.31, 41, 5)])
def test_options_at_nearly_the_same_distance_are_not_compared(gap_m, area_m2, number):
    """Five cubes in a row, each gap `gap_m` wider than the one before."""
    places = np.cumsum([0.0] + [1.0 + (k + 1) * gap_m for k in range(4)])
    names = ["bed", "tv", "sofa", "bin", "desk"]
    room = room_of(*(cube(n, x, 0) for n, x in zip(names, places, strict=True)), area_m2=area_m2)
    targets = {q.objects[0] for q in asked(room, "object_rel_distance")}
    distances = {t: np.diff(sorted(abs(x - places[names.index(t)]) for x in places))[1:].min() for t in names}
    fine = {t for t, least in distances.items() if least >= (0.3 if area_m2 > 40 else 0.15)}
    assert targets == fine
    assert ("tv" in targets) == (number > 0)  # its neighbours' gaps differ by gap_m alone


@pytest.mark.parametrize(
    "kind, turn_deg, number",
    [
        (SIDES[0], 5, 0),
        (SIDES[0], 20, 1),
        (SIDES[0], 175, 0),
        (SIDES[0], 95, 1),
        (SIDES[1], 5, 0),
        (SIDES[1], 130, 0),
        (SIDES[1], 140, 0),
        (SIDES[1], 150, 1),
        (SIDES[1], 178, 1),
        (SIDES[2], 5, 0),
        (SIDES[2], 85, 0),
        (SIDES[2], 95, 0),
        (SIDES[2], 110, 1),
        (SIDES[2], 175, 0),
    ],
)
def test_directions_near_a_border_are_not_asked(kind, turn_deg, number):
    for sign in (-1, 1):
        angle = math.radians(sign * turn_deg)
        room = room_of(cube("bed", 0, 0), cube("tv", 3, 0), cube("bin", 3.1 * math.cos(angle), 3.1 * math.sin(angle)))
        from_bed = [q for q in asked(room, kind) if q.objects == ("bed", "tv", "bin")]
        assert len(from_bed) == number
        if number and turn_deg < 135:
            assert ("left" if sign > 0 else "right") in answer_text(from_bed[0])


def test_nobody_stands_where_the_other_thing_is():
    room = room_of(cube("bed", 0, 0), cube("tv", 0.3, 0), cube("bin", 0, 3))
    assert asked(room, SIDES[0]) == []
    assert len(asked(room_of(cube("bed", 0, 0), cube("tv", 0.5, 0), cube("bin", 0, 3)), SIDES[0])) > 0


def test_what_a_clip_does_not_show_is_not_asked():
    wall = Box("shelf", (0.0, 0.0, 1.5), (0.1, 19.0, 2.9))
    boxes = [cube("bed", 4, 0, 0.5), cube("tv", 6, 3, 0.5), cube("bin", 5, -2, 0.5), cube("sofa", -5, 0, 0.5)]
    twins = [cube("lamp", 5, 4, 0.5), cube("lamp", -5, 4, 0.5), cube("stool", 7, 1, 0.5), cube("stool", 7, -3, 0.5)]
    room = room_of(wall, *boxes, *twins)
    path = camera_walk(room, 1)
    clip = render(room, type(path)(np.array([[1.0, 0.0, 1.5]]), np.array([0.0]), -10.0), 112)
    seen = {room.boxes[i].category for i in np.unique(clip.object_ids_FHW) if i >= 0}
    assert seen == {"bed", "tv", "bin", "lamp", "stool"}
    shown = make_questions(room, clip=clip)
    assert {name for q in shown for name in q.objects} == {"bed", "tv", "bin", "stool"}
    assert [q.objects for q in shown if q.question_type == "object_counting"] == [("stool",)]  # one lamp is hidden
    without = make_questions(room)
    assert {name for q in without for name in q.objects} >= {"sofa", "shelf", "lamp"}


# --------------------------------------------------------------------------------------------------------- templates

QUOTED = {
    ("vsi-bench", "object_counting"): "How many {category}(s) are in this room?",
    ("vsi-bench", "object_rel_distance"): (
        "Measuring from the closest point of each object, which of these objects ({a}, {b}, {c}, {d}) is the closest "
        "to the {category}?"
    ),
    ("vsi-bench", SIDES[0]): (
        "If I am standing by the {A} and facing the {B}, is the {C} to the left or the right of the {B}?"
    ),
    ("vsi-bench", SIDES[1]): (
        "If I am standing by the {A} and facing the {B}, is the {C} to my left, right, or back? An object is to my "
        "back if I would have to turn at least 135 degrees in order to face it."
    ),
    ("vsi-bench", SIDES[2]): (
        "If I am standing by the {A} and facing the {B}, is the {C} to my front-left, front-right, back-left, or "
        "back-right? Directions refer to the quadrants of a Cartesian plane (assuming I am at the origin and facing "
        "the positive y-axis)."
    ),
    ("vsi-bench", "obj_appearance_order"): (
        "What will be the first-time appearance order of the following categories in the video: {a}, {b}, {c}, {d}?"
    ),
    ("vsi-bench", "object_size_estimation"): (
        "What is the length of the longest dimension (length, width, or height) of the {X}, measured in centimeters?"
    ),
    ("vsi-bench", "object_abs_distance"): (
        "Measuring from the closest point of each object, what is the direct distance between the {A} and the {B} "
        "(in meters)?"
    ),
    ("vsi-bench", "room_size_estimation"): (
        "What is the size of this room (in square meters)? If multiple rooms are shown, estimate the size of the "
        "combined space."
    ),
    ("vsi-bench", "route_planning"): (
        "You are a robot beginning at {the bed facing the tv}. You want to navigate to {the toilet}. You will perform "
        "the following actions (Note: for each [please fill in], choose either 'turn back,' 'turn left,' or 'turn "
        "right.'): {actions} You have reached the final destination."
    ),
    ("vsi-100k", "object_counting"): "How many {category}(s)in the room?",
    ("vsi-100k", "object_abs_distance"): "What is the distance between the {A} and the {B} (in meters)?",
    ("vsi-100k", "object_rel_distance"): "Which of these objects ({a}, {b}, {c}, {d})is the closest to the {target}?",
    ("vsi-100k", SIDES[0]): (
        "If I am standing by the {A} and facing the {B} is the {C} to the left or the right of the {B}?"
    ),
    ("vsi-100k", "object_size_estimation"): (
        "What is the length of the longest dimension (length,width, or height) of the {X}, measured in centimeters?"
    ),
    ("vsi-100k", "room_size_estimation"): "What is the size of this room (in square meters)?",
}


def test_every_question_is_worded_as_the_papers_print_it(rooms, questions, ordered):
    """The quotations are the papers'; each hole may hold anything, two holes of one letter the same."""
    every = [q for found in questions.values() for q in found] + [q for *_, q in ordered]
    assert {(q.phrasing, q.question_type) for q in every} == set(QUOTED)
    for q in every:
        pattern, seen = "", set()
        for part in re.split(r"(\{[^}]*\})", QUOTED[q.phrasing, q.question_type]):
            if part.startswith("{"):
                name = re.sub(r"\W", "_", part[1:-1])
                pattern += f"(?P={name})" if name in seen else f"(?P<{name}>.+?)"
                seen.add(name)
            else:
                pattern += re.escape(part)
        assert re.fullmatch(pattern, q.question), q.question


# ---------------------------------------------------------------------------------------- letters, rows, types, seeds


def test_letters_are_near_uniform():
    """Over 250 rooms, no letter of any type is drawn more often than chance allows (p above 1 in 1,000)."""
    letters = {}
    for room in make_rooms(250, seed=33):
        for q in make_questions(room, types=[k for k in CHOICE_TYPES if k not in MULTI_STEP_TYPES], max_per_type=4):
            letters.setdefault((q.question_type, len(q.options)), Counter())[q.ground_truth] += 1
    assert len(letters) == 6  # five types, routes with three options or four
    for (kind, options), counts in letters.items():
        assert set(counts) == set("ABCD"[:options]), kind
        assert sum(counts.values()) > 150, kind
        assert chisquare(list(counts.values())).pvalue > 1e-3, (kind, counts)


def test_rows_carry_the_benchmarks_fields(questions):
    every = [q for found in questions.values() for q in found]
    assert len({q.id for q in every}) == len(every)
    for q in every[::5]:
        row = q.to_row()
        assert list(row)[:7] == [
            "id", "dataset", "scene_name", "question_type", "question", "options", "ground_truth"
        ]  # fmt: skip
        assert json.loads(json.dumps(row)) == row
        assert isinstance(row["ground_truth"], str)
        if row["options"] is None:
            assert q.question_type in NUMERIC_TYPES or q.phrasing == "vsi-100k"
        else:
            assert [o[:3] for o in row["options"]] == [f"{letter}. " for letter in "ABCD"[: len(row["options"])]]
            assert row["ground_truth"] in [option[0] for option in row["options"]]


def test_the_same_seed_asks_the_same_and_another_seed_draws_anew(rooms):
    room = rooms[2]
    for phrasing in PHRASINGS:
        assert make_questions(room, phrasing, seed=1) == make_questions(room, phrasing, seed=1)
    assert make_questions(room, seed=1) != make_questions(room, seed=2)


def test_held_out_types_are_in_no_training_set(rooms, questions):
    assert set(TRAINED_TYPES) == set(QUESTION_TYPES) - set(HELD_OUT_TYPES) - set(BESIDE_TYPES)
    assert set(HELD_OUT_TYPES) == {"route_planning", "obj_appearance_order"}
    assert len(set(QUESTION_TYPES) - set(BESIDE_TYPES)) == 10
    assert len(set(TASKS) - set(BESIDE_TYPES)) == 8
    assert len(TRAINED_TASKS) == 6
    kinds = {q.question_type for room in rooms for q in questions[room.name, "vsi-100k"]}
    assert kinds == {*NUMERIC_TYPES, "object_rel_distance", SIDES[0]} - set(BESIDE_TYPES)
    assert asked(rooms[2], "route_planning", "vsi-100k") == []
    assert len(asked(rooms[2], "route_planning")) > 0


def test_tasks_merge_the_direction_levels():
    assert {task_of(kind) for kind in QUESTION_TYPES} == set(TASKS)
    assert {task_of(kind) for kind in SIDES} == {"object_rel_direction"}
    with pytest.raises(ValueError, match="object_relative.*object_counting"):
        task_of("object_relative")


def test_a_cap_keeps_questions_at_random(rooms):
    room = next(room for room in rooms if len(room.unique) >= 6)
    everything = make_questions(room, types=(SIDES[0],))
    few = [make_questions(room, types=(SIDES[0],), max_per_type=5, seed=s) for s in range(4)]
    assert {len(found) for found in few} == {5}
    assert {q.question for found in few for q in found} <= {q.question for q in everything}
    assert len({q.question for found in few for q in found}) > 5


@pytest.mark.parametrize("bad", [{"phrasing": "vsi"}, {"types": ("object_count",)}, {"labels": "center"}])
def test_unknown_names_are_named(rooms, bad):
    with pytest.raises(ValueError, match=r"unknown .*(vsi-100k|object_counting|closest, centre)"):
        make_questions(rooms[0], **bad)


def test_turned_boxes_are_measured_along_their_own_axes():
    room = room_of(Box("bed", (0.0, 0.0, 0.3), (2.0, 1.0, 0.6), yaw_axes(45)), cube("tv", 3, 0))
    sizes = {q.objects[0]: q.ground_truth for q in asked(room, "object_size_estimation")}
    assert sizes == {"bed": "200", "tv": "20"}


# ------------------------------------------------------------------------------------- labels other than the phrasing's

OWN = {"vsi-bench": "closest", "vsi-100k": "centre"}
DISTANCES = ("object_abs_distance", "object_rel_distance")


@pytest.mark.parametrize("phrasing", PHRASINGS)
@pytest.mark.parametrize("cap", [None, 2])
def test_other_labels_change_truths_and_nothing_else(rooms, phrasing, cap):
    """Same ids, words, options and order; the truth is the other measure's; only what that makes ambiguous is gone."""
    (other,) = set(LABELS) - {OWN[phrasing]}
    moved, gone = 0, Counter()
    for room in rooms:
        own = make_questions(room, phrasing, 3, max_per_type=cap)
        assert make_questions(room, phrasing, 3, max_per_type=cap, labels=OWN[phrasing]) == own
        changed = {q.id: q for q in make_questions(room, phrasing, 3, max_per_type=cap, labels=other)}
        assert list(changed) == [q.id for q in own if q.id in changed]
        for q in own:
            expected = truth_by(room, q, other)
            assert (q.id in changed) == (expected is not None)
            if expected is None:
                gone[q.question_type] += 1
                continue
            now = changed[q.id]
            assert replace(now, ground_truth=q.ground_truth) == q
            if q.question_type == "object_abs_distance":
                assert float(now.ground_truth) == pytest.approx(float(expected), abs=0.0505)
                moved += now.ground_truth != q.ground_truth
            else:
                assert answer_text(now) == expected
    assert moved > 30
    assert gone["object_rel_distance"] > 0
    assert set(gone) <= set(DISTANCES)


def truth_by(room, q, labels) -> str | None:
    """The answer by a measure, worked out with the tests' own distances; None where the measure is ambiguous."""
    if q.question_type not in DISTANCES:
        return answer_text(q)
    place = {box.category: box for box in room.boxes}

    def apart(a, b):
        one, two = place[a], place[b]
        return closest_distance(one, two) if labels == "closest" else math.dist(one.center, two.center)

    if q.question_type == "object_abs_distance":
        metres = apart(*q.objects)
        return str(metres) if metres >= 0.1 else None
    target, *names = q.objects
    far = {name: apart(target, name) for name in names}
    margin = 0.3 if room.floor_area_m2 > 40 else 0.15
    return min(far, key=far.get) if np.diff(sorted(far.values())).min() >= margin else None


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_the_closest_of_four_may_be_another_by_other_labels(phrasing):
    """A long shelf ends 20 cm from the bed, its centre is 2 m away; the tv is 80 cm from the bed, and 1 m."""
    shelf = Box("shelf", (2.0, 0.0, 0.1), (3.4, 0.2, 0.2))
    room = room_of(cube("bed", 0, 0), shelf, cube("tv", -1, 0), cube("sofa", 0, 3), cube("bin", 0, -4.2))
    for labels, expected in [("closest", "shelf"), ("centre", "tv")]:
        for seed in range(8):  # every place among the options
            (q,) = [q for q in asked(room, DISTANCES[1], phrasing, labels=labels, seed=seed) if q.objects[0] == "bed"]
            assert answer_text(q) == expected


@pytest.mark.parametrize("gap_m, number", [(0.05, 0), (0.15, 1)])
def test_touching_pairs_are_asked_by_neither_when_closest_points_are_meant(gap_m, number):
    """VSI-100k's words with closest-point labels drop them; VSI-Bench's words never had them, centre labels or not."""
    room = room_of(cube("bed", 0, 0), cube("tv", 0.2 + gap_m, 0))
    assert len(asked(room, "object_abs_distance", "vsi-100k", labels="closest")) == number
    assert len(asked(room, "object_abs_distance", "vsi-bench", labels="centre")) == number
    assert len(asked(room, "object_abs_distance", "vsi-100k", labels="centre")) == 1


def test_labels_reach_rows(rooms):
    rows = {name: make_rows(rooms[:3], "vsi-100k", 3, types=DISTANCES[:1], labels=name) for name in (None, *LABELS)}
    assert rows[None] == rows["centre"] != rows["closest"]
    assert [row["id"] for row in rows["closest"]] == [row["id"] for row in rows["centre"]]
    both = zip(rows["closest"], rows["centre"], strict=True)
    assert all(float(near["ground_truth"]) < float(far["ground_truth"]) for near, far in both)


def test_a_type_of_ones_own_is_asked_refused_twice_and_forgotten():
    def heights(scene):
        for name in scene.names:
            yield {"category": name}, (name,), str(round(100 * scene.room.boxes[scene.index[name]].size[2])), None

    room, before = next(iter(make_rooms(1))), (list(QUESTION_TYPES), list(TASKS))
    plain = make_questions(room)
    add_type("object_height", "How tall is the {category}?", heights, unit=("length", 0.01))
    try:
        asked = make_questions(room)
        assert asked[: len(plain)] == plain, "draws of the benchmark's own types stay as they were"
        assert {q.question_type for q in asked[len(plain) :]} == {"object_height"}
        for name in ("object_height", "object_counting", "Height"):
            with pytest.raises(ValueError, match="is there already, or is no name"):
                add_type(name, "How tall?", heights)
        add_type("taller", "How tall is the {category}?", heights, choice=True)
        with pytest.raises(ValueError, match="'taller' must yield options"):
            make_questions(room, types=("taller",))
    finally:
        remove_type("object_height")
        remove_type("taller")
    assert (list(QUESTION_TYPES), list(TASKS)) == before and make_questions(room) == plain
