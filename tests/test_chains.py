"""Chains of thought held against rooms and answers: what is stated, how near it is to the room, and what follows."""

import pytest

from vsr_kit.data import split_rooms
from vsr_kit.miniature.lessons import chain_text
from vsr_kit.questions import make_questions
from vsr_kit.study import chains

SIDES = {"easy": ["A. left", "B. right"], "medium": ["A. left", "B. right", "C. back"]}


def row(kind, **fields):
    return {"question_type": kind, "question": "", "options": None, "objects": [], **fields}


def direction(level):
    return row(f"object_rel_direction_{level}", options=SIDES[level], objects=["bed", "tv", "sofa"])


def test_numbers_are_read_with_their_sides_and_never_from_the_answer():
    said = "<think>tv west 1.2, tv south 0.5. bed east 2.0, bed north 0.1.</think> <answer>7</answer>"
    assert chains.stated_numbers(said) == [-1.2, -0.5, 2.0, 0.1]
    assert chains.stated_numbers("The room is 3.7 by 4.5 meters. The answer is 12.1.") == [3.7, 4.5]
    assert chains.stated_numbers("The answer is 12.1.") == []


NEAREST = row(
    "object_rel_distance", options=["A. bed", "B. floor lamp", "C. tv"], objects=["sofa", "bed", "floor lamp", "tv"]
)


@pytest.mark.parametrize(
    "asked, chain, answer",
    [
        (row("object_counting"), "I see one in the north-east, one in the north-west.", "2"),
        (row("object_counting"), "I see nothing.", None),
        (row("object_size_estimation"), "The bed is 2.1 by 1.5 by 0.6 meters.", "210"),
        (row("object_size_estimation"), "The bed is 2.1 by 1.5 meters.", None),
        (row("room_size_estimation"), "The room is 3.0 by 4.5 meters.", "13.5"),
        (row("object_abs_distance"), "tv west 1.0, tv south 2.0. bed east 2.0, bed north 2.0.", "5.0"),
        (NEAREST, "From the sofa, the bed is 2.0 away, the floor lamp is 1.1 away, the tv is 1.9 away.", "B"),
        (NEAREST, "From the sofa, the bed is 1.1 away, the floor lamp is 1.1 away, the tv is 1.9 away.", None),
        (NEAREST, "", None),
        # at the origin, facing north: west is to the left
        (
            direction("easy"),
            "bed east 0.0, bed north 0.0. tv east 0.0, tv north 2.0. sofa west 1.0, sofa north 1.0.",
            "A",
        ),
        (
            direction("easy"),
            "bed east 0.0, bed north 0.0. tv east 0.0, tv north 2.0. sofa east 1.0, sofa south 1.0.",
            "B",
        ),
        (
            direction("medium"),
            "bed east 0.0, bed north 0.0. tv east 0.0, tv north 2.0. sofa east 0.1, sofa south 1.0.",
            "C",
        ),
        (direction("easy"), "bed east 0.0, bed north 0.0. tv east 0.0, tv north 2.0.", None),
        (row("route_planning", options=["A. Turn Back", "B. Turn Left"]), "I turn left.", None),
    ],
)
def test_the_answer_that_follows(asked, chain, answer):
    assert chains.follows(f"{chain} The answer is 9.", asked) == answer


def test_where_nothing_follows_the_given_answer_stays():
    given = [
        row("room_size_estimation", prediction="The room is 3.0 by 4.0 meters. The answer is 9."),
        row("room_size_estimation", prediction="The answer is 9."),
    ]
    worked = chains.worked_out(given)
    assert [(r["prediction"], r["worked"]) for r in worked] == [("12.0", True), ("The answer is 9.", False)]


@pytest.fixture(scope="module")
def asked():
    rooms = {room.name: room for room in split_rooms(6, "test")}
    rows = [q.to_row() for room in rooms.values() for q in make_questions(room, "vsi-bench", 0, max_per_type=2)]
    return rooms, [r for r in rows if not r["question_type"].startswith("route")]


def speaks_of(room_of, rows):
    found = chains.grounding([{**r, "prediction": f"{chain_text(room_of(r), r)} The answer is 1."} for r in rows])
    assert "object_counting" not in found
    return found


def test_a_chain_of_the_lessons_is_wholly_about_its_room(asked):
    rooms, rows = asked
    for task, found in speaks_of(lambda r: rooms[r["scene_name"]], rows).items():
        assert (found["off_m"], found["nearer_percent"], found["read_percent"]) == (0, 100, 100), task
        assert found["other_m"] > 0


def test_chains_that_do_not_depend_on_the_room_are_as_near_to_another(asked):
    _, rows = asked
    walls = [r for r in rows if r["question_type"] == "room_size_estimation"]
    said = [{**r, "prediction": "The room is 4.0 by 4.0 meters. The answer is 16."} for r in walls]
    assert chains.grounding(said)["room_size_estimation"]["nearer_percent"] == pytest.approx(50)


def test_a_room_that_is_no_nearer_than_another_counts_half_nearer(asked, monkeypatch):
    monkeypatch.setattr(chains, "_truth", lambda row: [4.0, 5.0])
    walls = [r for r in asked[1] if r["question_type"] == "room_size_estimation"]
    said = [{**r, "prediction": "The room is 4.0 by 4.0 meters. The answer is 16."} for r in walls]
    assert chains.grounding(said)["room_size_estimation"]["nearer_percent"] == 50


def test_a_chain_in_other_words_is_counted_as_not_read(asked):
    _, rows = asked
    walls = [r for r in rows if r["question_type"] == "room_size_estimation"]
    half = [
        {**r, "prediction": "The room is 4.0 by 4.0 meters." if i % 2 else "It is big."} for i, r in enumerate(walls)
    ]
    assert chains.grounding(half)["room_size_estimation"]["read_percent"] == 50


def test_counts_are_listed_answered_and_true():
    two, three = "I see one in the north-east, one in the north-west.", "I see one in the south-east, " * 3
    said = [(two, "4", "2"), (three, "2", "5"), (three, "lots", "9"), ("I see nothing.", "1", "9")]
    rows = [
        row("object_counting", ground_truth=truth) | {"prediction": f"<think>{chain}</think> <answer>{answer}</answer>"}
        for chain, answer, truth in said
    ]
    size = "<think>The room is 3.0 by 4.5 meters.</think> <answer>9</answer>"  # lists nothing to be counted
    rows.append(row("room_size_estimation", ground_truth="9", prediction=size))
    assert chains.chain_statistics(rows) == {"listed": 2.5, "answered": 3.0, "truth": 3.5}
    sampled = [{**one, "completion": one["prediction"]} for one in rows]
    for one in sampled:
        del one["prediction"]
    assert chains.chain_statistics(sampled) == chains.chain_statistics(rows)
    with pytest.raises(ValueError, match="no chain lists anything"):
        chains.chain_statistics(rows[2:])
