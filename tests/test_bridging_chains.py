"""The language of chains that compute: what is written is read back, and every fault is found by computation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vsr_kit.bridging import Description, Style, chain_quality, check_chain, check_steps, describe, read_chain, reason
from vsr_kit.bridging.chains import (
    bearing_of,
    difference,
    distance_of,
    place_text,
    rounded,
    stated_in,
    step_text,
    sum_text,
    turn_of,
)
from vsr_kit.bridging.quality import conclusion
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.prompts import parse_answer, same_answer, target_completion
from vsr_kit.questions import MULTI_STEP_TYPES, NUMERIC_TYPES

PLACES = {"tv": (-3.8, 3.7), "side table": (0.2, -1.0), "bed": (-3.8, -1.3)}
STEP = (
    "from tv to side table: tv west 3.8 to side table east 0.2 is east 4.0, "
    "tv north 3.7 to side table south 1.0 is south 4.7, distance 6.2, degrees 140"
)


def test_a_step_is_written_as_the_language_says():
    assert step_text("tv", "side table", PLACES, degrees=True) == STEP
    assert step_text("tv", "side table", PLACES) == STEP.removesuffix(", degrees 140")


def test_a_chain_is_read_back():
    text = f"{place_text('tv', PLACES['tv'])}. {place_text('side table', PLACES['side table'])}. {STEP}. turn left 105."
    chain = read_chain(text + " closest side table. 2.1 plus 3.0 is 5.1. count 2.")
    assert chain.place_of == {"tv": (-3.8, 3.7), "side table": (0.2, -1.0)}
    (step,) = chain.steps
    assert (step.a, step.b, step.way, step.distance_m, step.degrees) == ("tv", "side table", (4.0, -4.7), 6.2, 140)
    assert step.named and step.from_place == PLACES["tv"] and step.to_place == PLACES["side table"]
    assert (chain.turns, chain.closest, chain.sums, chain.counts) == (
        (-105,),
        ("side table",),
        (((2.1, 3.0), 5.1),),
        (2,),
    )


def test_operands_of_a_step_are_no_statements_of_places():
    assert read_chain(step_text("tv", "tv", PLACES)).places == ()


@pytest.mark.parametrize("text", ["", "tv", "I see a tv in the east.", "tv west x, tv north y", "<b>tv</b> west 3.8"])
def test_other_words_are_passed_over(text):
    chain = read_chain(text)
    assert (chain.places, chain.steps, chain.turns) == ((), (), ())


def test_nothing_is_minus_zero_and_bearings_are_compass_bearings():
    assert place_text("tv", rounded(-0.04, -0.0)) == "tv east 0.0, tv north 0.0"
    assert str(rounded(-0.04, -0.0)) == "(0.0, 0.0)" == str(read_chain("tv west 0.0, tv south 0.0").place_of["tv"])
    ways = [(0, 1), (1, 1), (1, 0), (0, -1), (-1, 0), (-0.01, 1)]
    assert [bearing_of(way) for way in ways] == [0, 45, 90, 180, 270, 0]
    assert distance_of(difference((-3.8, 3.7), (0.2, -1.0))) == 6.2
    assert [turn_of(a, b) for a, b in ((140, 35), (350, 20), (20, 350), (0, 180))] == [
        ("left", 105),
        ("right", 30),
        ("left", 30),
        ("right", 180),
    ]
    assert sum_text([2.1, 3.0, 1.2]) == "2.1 plus 3.0 plus 1.2 is 6.3"


def test_values_are_found_with_their_names():
    text = f"<think>tv west 3.8, tv north 3.7. {STEP}."
    found = [(own.name, own.axis, text[slice(*own.value)]) for own in stated_in(text)]
    assert [own for own in found if own[1] is None] == [("tv", None, ""), ("side table", None, "")]
    assert all(text[own.name_at :].startswith(own.name) for own in stated_in(text))
    assert [own for own in found if own[1] is not None] == [
        ("tv", 0, "west 3.8"),
        ("tv", 1, "north 3.7"),
        ("tv", 0, "west 3.8"),
        ("side table", 0, "east 0.2"),
        ("tv", 1, "north 3.7"),
        ("side table", 1, "south 1.0"),
    ]


@pytest.fixture(scope="module")
def rooms():
    return {room.name: room for room in split_rooms(12, "val")}


def test_a_description_is_read_back(rooms):
    for room in rooms.values():
        told = describe(room, range(0, len(room.boxes), 2))
        assert Description.read(told.text()) == told
        assert len(told.objects) == len(range(0, len(room.boxes), 2))


@pytest.mark.parametrize("phrasing", ["vsi-100k", "vsi-bench"])
@pytest.mark.parametrize("style", [Style(), Style(checks=0.5, detours=0.5, restarts=0.5)])
def test_chains_about_the_room_are_right_and_their_answers_follow(rooms, phrasing, style):
    rng, answered, agreed = np.random.default_rng(0), [], {}
    for row in make_rows(rooms.values(), phrasing, max_per_type=2):
        found = reason(row, describe(rooms[row["scene_name"]]), style, rng)
        if found is None:
            assert row["question_type"] == "route_planning"
            continue
        for use in ("train", "eval"):
            said = target_completion("think", use, found.chain, found.answer)
            kind = "number" if row["question_type"] in NUMERIC_TYPES else "letter" if row["options"] else "word"
            assert same_answer(parse_answer(said, row).value, found.answer, kind)
            answered.append({**row, "prediction": said})
        agreed.setdefault(row["question_type"], []).append(found.answer == row["ground_truth"])
    quality = chain_quality(answered, rooms)
    assert quality.texts > 100 and quality.steps > 100 and quality.off_m < 0.1
    shares = (quality.read_percent, quality.places_percent, quality.copied_percent, quality.steps_percent)
    assert shares == (100, 100, 100, 100) and quality.follows_percent == 100
    for kind, right in agreed.items():  # heights, closest points and whole centimetres are more than a plan can tell
        if kind == "object_counting" or kind.startswith("object_rel_direction"):
            assert all(right)
        if kind == "object_rel_distance":
            assert np.mean(right) > 0.8


def test_style_makes_chains_longer_and_without_steps_nothing_is_computed(rooms):
    row = next(r for r in make_rows(rooms.values(), "vsi-100k") if r["question_type"] == "object_rel_distance")
    told = describe(rooms[row["scene_name"]])
    plain = reason(row, told, Style())
    habits = {name: reason(row, told, Style(**{name: 1.0})) for name in ("checks", "detours", "restarts")}
    assert all(len(found.chain) > len(plain.chain) and found.answer == plain.answer for found in habits.values())
    assert habits["checks"].chain.count("wait, again from") == 4 and "wait, start again." in habits["restarts"].chain
    assert len(read_chain(habits["detours"].chain).place_of) == 6
    places = reason(row, told, Style(steps=False))
    assert "from" not in places.chain and places.answer == plain.answer
    with pytest.raises(ValueError, match="checks is 2"):
        Style(checks=2)


def test_a_chain_about_another_room_leads_to_that_rooms_answer(rooms):
    row = next(r for r in make_rows(rooms.values(), "vsi-100k") if r["question_type"] == "object_abs_distance")
    a, b = row["objects"]
    other = Description.read(f"{a} west 1.0, {a} north 0.0, {a} 1.0 by 1.0 by 1.0 meters. ")
    assert reason(row, other) is None
    size = "1.0 by 1.0 by 0.5 meters"
    both = f"{a} west 1.0, {a} north 0.0, {a} {size}. {b} east 2.0, {b} north 4.0, {b} {size}."
    assert reason(row, Description.read(both)).answer == "5.0"


ROW = {"question_type": "object_abs_distance", "objects": ["tv", "side table"], "options": None, "question": "How far?"}
SAID = "tv west 3.8, tv north 3.7. side table east 0.2, side table south 1.0. "


@pytest.mark.parametrize(
    "text, copied, right",
    [
        (SAID + STEP, (True, True), (True,)),
        (SAID + STEP.replace("tv west 3.8 to", "tv west 3.6 to"), (False, True), (False,)),  # says another place
        (SAID + STEP.replace("is east 4.0", "is east 4.3"), (True, True), (False,)),
        (SAID + STEP.replace("is east 4.0", "is east 4.1"), (True, True), (True,)),  # within a decimal
        (SAID + STEP.replace("distance 6.2", "distance 6.6"), (True, True), (False,)),
        (SAID + STEP.replace("degrees 140", "degrees 160"), (True, True), (False,)),
        (SAID.replace("3.7", "3.0") + STEP, (False, True), (True,)),  # right about what it did not state
    ],
)
def test_a_fault_in_a_step_is_found(text, copied, right):
    assert check_steps(read_chain(text)) == (copied, right)


@pytest.mark.parametrize(
    "answer, follows", [("6.2", True), ("6.3", False), ("", False), ("<script>alert(1)</script>", False)]
)
def test_an_answer_that_does_not_follow_is_found(rooms, answer, follows):
    room = next(iter(rooms.values()))
    checked = check_chain(f"<think>{SAID}{STEP}.</think> <answer>{answer}</answer>", ROW, room)
    assert checked.follows is follows
    assert check_chain("<think></think> <answer>6.2</answer>", ROW, room).follows is None


def test_places_are_held_against_the_nearest_object_of_the_name(rooms):
    room = next(room for room in rooms.values() if room.unique)
    name = sorted(room.unique)[0]
    spot = next(o.place for o in describe(room).objects if o.name == name)
    off = (spot[0] + 3, spot[1])
    text = f"{place_text(name, spot)}. {place_text(name, off)}. {place_text('unicorn', spot)}."
    near, far, none = check_chain(text, ROW, room).off_m
    assert near < 0.1 and far == pytest.approx(3, abs=0.1) and math.isinf(none)


def test_conclusions_of_the_other_types():
    def concluded(kind, text, objects=(), options=None):
        row = {"question_type": kind, "objects": list(objects), "options": options, "question": "?"}
        return conclusion(text, read_chain(text), row)

    options = ["A. left", "B. right"]
    assert concluded("object_rel_direction_easy", "turn left 105.", options=options) == "A"
    assert concluded("object_rel_direction_easy", "turn left 105. wait. turn right 30.", options=options) == "B"
    assert concluded("object_counting", "count 3.") == "3"
    assert concluded("room_size_estimation", "The room is 5.0 by 4.2 meters.") == "21.0"
    assert concluded("object_size_estimation", "The tv is 1.2 by 0.5 by 0.4 meters.") == "120"
    assert concluded("object_rel_distance", STEP, ["tv", "side table", "bed"]) is None  # the bed was not measured
    for text in (STEP, "tv bed"):  # of a question that asks for an order, and offers nothing to choose from
        assert concluded("object_rel_distance", text) is None


@pytest.mark.parametrize("phrasing", ["vsi-100k", "vsi-bench"])
def test_questions_of_several_steps_are_reasoned_through(rooms, phrasing):
    rows = make_rows(rooms.values(), phrasing, types=MULTI_STEP_TYPES, max_per_type=3)
    assert {row["question_type"] for row in rows} == set(MULTI_STEP_TYPES)
    answered, right = [], {}
    for row in rows:
        found = reason(row, describe(rooms[row["scene_name"]]), Style(restarts=0.5), np.random.default_rng(1))
        said = target_completion("think", "train", found.chain, found.answer)
        answered.append({**row, "prediction": said})
        near = abs(float(found.answer) / float(row["ground_truth"]) - 1) < 0.1 if _number(row) else None
        right.setdefault(row["question_type"], []).append(found.answer == row["ground_truth"] if near is None else near)
    quality = chain_quality(answered, rooms)
    assert quality.steps_percent == quality.copied_percent == 100
    assert quality.concluded == len(rows) and quality.follows_percent == 100
    assert all(np.mean(own) > 0.9 for own in right.values()), right  # rounded places decide close calls otherwise
    assert reason(rows[0], describe(rooms[rows[0]["scene_name"]], seen=())) is None


def _number(row) -> bool:
    return row["question_type"] in ("object_nearest_size", "object_walk_length")
