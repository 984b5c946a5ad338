"""Multi-step questions: worked by hand, dropped where they are close, read in both phrasings, and in no default."""

import json
import math
import re
from collections import Counter
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from typer.testing import CliRunner

from tests.test_scorers import row_of
from vsr_kit.cli import app
from vsr_kit.data import check_row, make_rows, split_rooms
from vsr_kit.evaluation import differences, intervals, load_questions, score
from vsr_kit.plots.style import task_name
from vsr_kit.prompts import answer_choices, parse_answer
from vsr_kit.questions import (
    CHOICE_TYPES,
    MULTI_STEP_TYPES,
    PHRASINGS,
    QUESTION_TYPES,
    RULES,
    add_type,
    answer_from,
    limit_m,
    make_questions,
    named_types,
    remove_type,
)
from vsr_kit.questions.geometric import truth_in
from vsr_kit.questions.multi_step import COMPARED_MARGINS, LIMIT_STEP_M, SIZES_APART
from vsr_kit.rooms import Box, Room, make_rooms
from vsr_kit.study.labels import as_letters
from vsr_kit.videos import film
from vsr_kit.widgets.inspector import linked

COMPARE, SIZE, WALK, WITHIN = MULTI_STEP_TYPES


def room_of(*boxes: Box, area_m2: float = 20.0) -> Room:
    return Room("scene", "d", boxes, Box("room", (0.0, 0.0, 1.5), (20.0, 20.0, 3.0)), area_m2)


def box(category: str, x: float, y: float, longest: float = 0.2, height: float = 0.1) -> Box:
    return Box(category, (x, y, height), (longest, 0.2, 0.2))


def asked(room: Room, kind: str, phrasing: str = "vsi-bench", **more) -> list:
    return make_questions(room, phrasing, types=(kind,), **more)


def said(question) -> str:
    """The answer in words, whether the row has letters or not."""
    return next((o[3:] for o in question.options or () if o[0] == question.ground_truth), question.ground_truth)


def answers(room: Room, kind: str, phrasing: str = "vsi-bench") -> dict[tuple[str, ...], str]:
    """By the objects named, over many draws."""
    return {q.objects: said(q) for seed in range(30) for q in asked(room, kind, phrasing, seed=seed)}


# four objects whose distances are known: a 3-4-5 triangle, and a lamp far away
FOUR = (box("bed", 0, 0, 2.0), box("tv", 3, 0, 1.2), box("sofa", 3, 4, 1.5), box("lamp", -6, 0, 0.5, height=2.4))


# ------------------------------------------------------------------------------------------------- truths, by hand


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_two_distances_are_compared_between_centres_on_the_plan(phrasing):
    """bed-tv 3, sofa-lamp √97; bed-sofa 5, tv-lamp 9; bed-lamp 6, tv-sofa 4. The lamp's height is left out."""
    far = {frozenset(("sofa", "lamp")), frozenset(("tv", "lamp")), frozenset(("bed", "lamp"))}
    found = answers(room_of(*FOUR), COMPARE, phrasing)
    assert {frozenset(text.split(" and ")) for text in found.values()} == far
    for (a, b, c, d), text in found.items():
        assert text in (f"{a} and {b}", f"{c} and {d}") and len({a, b, c, d}) == 4


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_the_size_of_the_nearest_is_its_longest_side_in_centimetres(phrasing):
    found = answers(room_of(*FOUR), SIZE, phrasing)
    nearest = {"bed": "120", "tv": "200", "sofa": "120", "lamp": "200"}  # of tv, of bed, of tv, of bed
    assert {objects[0]: text for objects, text in found.items()} == nearest
    assert all(set(objects) == {"bed", "tv", "sofa", "lamp"} for objects in found)


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_a_walk_is_the_sum_of_its_legs(phrasing):
    found = answers(room_of(*FOUR), WALK, phrasing)
    by_hand = {("bed", "tv", "sofa", "lamp"): "16.8", ("lamp", "bed", "tv", "sofa"): "13.0"}  # 3 + 4 + √97; 6 + 3 + 4
    for stops, metres in by_hand.items():
        assert metres in (found.get(stops), found.get(stops[::-1]))
    assert len(found) > 12


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_a_count_within_a_limit_counts_centres(phrasing):
    """From the bed: tv 3, sofa 5, lamp 6. A limit of 2.5 m holds nothing and is not asked."""
    found = {
        (limit_m(q.question), q.ground_truth)
        for seed in range(200)
        for q in asked(room_of(*FOUR), WITHIN, phrasing, seed=seed)
        if q.objects[0] == "bed"
    }
    assert found == {(3.5, "1"), (4.0, "1"), (4.5, "1"), (5.5, "2"), (6.5, "3")}


def test_the_question_names_its_objects_in_the_order_of_the_row_and_says_what_is_measured():
    for phrasing in PHRASINGS:
        for kind in MULTI_STEP_TYPES:
            for q in asked(room_of(*FOUR), kind, phrasing):
                target, *others = q.objects
                names = [*others, target] if kind in (SIZE, WITHIN) else list(q.objects)
                assert re.findall("bed|tv|sofa|lamp", q.question) == names
                assert "floor plan" in q.question and "center to center" in q.question


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_the_answer_follows_from_places_and_sizes(phrasing):
    rooms = make_rooms(20, seed=7)
    rows = make_rows(rooms, phrasing, types=MULTI_STEP_TYPES)
    assert {row["question_type"] for row in rows} == set(MULTI_STEP_TYPES)
    by_name = {room.name: room for room in rooms}
    for row in rows:
        boxes = by_name[row["scene_name"]].unique
        turned = {name: (-b.center[1] + 1, b.center[0] - 2) for name, b in boxes.items()}  # another origin and north
        assert answer_from(row, turned, {name: b.longest_m for name, b in boxes.items()}) == row["ground_truth"]


def test_an_answer_that_does_not_follow_is_none_and_other_types_are_refused():
    square = {"bed": (0, 0), "tv": (1, 0), "sofa": (1, 1), "lamp": (0, 1)}
    row = {"question_type": COMPARE, "objects": ["bed", "tv", "sofa", "lamp"], "options": None, "question": ""}
    assert answer_from(row, square) is None
    nearest = row | {"question_type": SIZE}
    assert answer_from(nearest, square, {"tv": 1.0, "sofa": 2.0, "lamp": 3.0}) is None
    assert answer_from(nearest, square | {"tv": (0.5, 0)}) is None, "no sizes are known"
    with pytest.raises(ValueError, match="'object_counting' has no several steps: choose one of object_compare"):
        answer_from(row | {"question_type": "object_counting"}, square)
    with pytest.raises(ValueError, match="states no limit: it must say 'within … meters'"):
        limit_m("How many of these objects are near?")


# ------------------------------------------------------------------------------------------------- what is not asked


@pytest.mark.parametrize("gap_m, area_m2, number", [(0.28, 20, 0), (0.32, 20, 1), (0.58, 50, 0), (0.62, 50, 1)])
def test_two_distances_that_are_nearly_equal_are_not_compared(gap_m, area_m2, number):
    """Two pairs 2 m and 2 m plus the gap; the other two pairings differ by less than 0.1 m."""
    boxes = box("bed", 0, 0), box("tv", 2, 0), box("sofa", 0, 9), box("lamp", 2 + gap_m, 9)
    found = {frozenset((q.objects[:2], q.objects[2:])) for q in asked(room_of(*boxes, area_m2=area_m2), COMPARE)}
    pairs = [{frozenset(pair) for pair in both} for both in found]
    assert pairs.count({frozenset(("bed", "tv")), frozenset(("sofa", "lamp"))}) == number
    assert COMPARED_MARGINS == 2


@pytest.mark.parametrize("gap_m, area_m2, number", [(0.14, 20, 0), (0.16, 20, 1), (0.29, 50, 0), (0.31, 50, 1)])
def test_the_nearest_is_nearest_by_a_margin(gap_m, area_m2, number):
    boxes = box("bed", 0, 0), box("tv", 2, 0, 1.0), box("sofa", -2 - gap_m, 0, 1.5), box("lamp", 0, 5, 0.5)
    found = [q for q in asked(room_of(*boxes, area_m2=area_m2), SIZE) if q.objects[0] == "bed"]
    assert len(found) == number and all(q.ground_truth == "100" for q in found)


@pytest.mark.parametrize("size_m, number", [(1.19, 0), (1.21, 1), (0.81, 0), (0.79, 1)])
def test_a_size_that_another_object_nearly_has_is_not_asked(size_m, number):
    boxes = box("bed", 0, 0), box("tv", 2, 0, 1.0), box("sofa", -4, 0, size_m), box("lamp", 0, 5, 2.0)
    assert len([q for q in asked(room_of(*boxes), SIZE) if q.objects[0] == "bed"]) == number
    assert SIZES_APART == 0.2


@pytest.mark.parametrize("far_m, limits", [(2.86, {4.5, 5.5, 6.5}), (2.84, {3.0, 4.5, 5.5, 6.5}), (2.34, {2.5, 3.0})])
def test_a_limit_keeps_a_margin_from_every_object(far_m, limits):
    boxes = box("bed", 0, 0), box("tv", far_m, 0), box("sofa", -5, 0), box("lamp", 0, 6)
    questions = [q for seed in range(200) for q in asked(room_of(*boxes), WITHIN, seed=seed) if q.objects[0] == "bed"]
    found = {limit_m(q.question) for q in questions}
    assert found >= limits and not found & ({3.0, 5.0, 6.0} - limits)
    assert all(limit % LIMIT_STEP_M == 0 for limit in found)


@pytest.mark.parametrize("kind", MULTI_STEP_TYPES)
@pytest.mark.parametrize("apart_m, number", [(0.38, 0), (0.42, 1)])
def test_objects_that_stand_together_are_not_measured_between(kind, apart_m, number):
    boxes = box("bed", 0, 0, 0.3), box("tv", apart_m, 0, 0.9), box("sofa", 3, 4, 1.5), box("lamp", -6, 1, 0.5)
    found = [q.objects for seed in range(30) for q in asked(room_of(*boxes), kind, seed=seed)]
    if kind == COMPARE:
        near = [objects for objects in found if {"bed", "tv"} in (set(objects[:2]), set(objects[2:]))]
    elif kind == WALK:
        near = [objects for objects in found if {"bed", "tv"} in map(set, pairwise(objects))]
    else:
        near = [objects for objects in found if objects[0] == "bed"]
    assert bool(near) is bool(number)


def test_three_objects_are_offered_where_there_are_no_more_and_never_fewer():
    five = (*FOUR, box("desk", 1, 7, 0.8))
    for kind in (SIZE, WITHIN):
        assert {len(q.objects) for q in asked(room_of(*FOUR), kind)} == {4}
        assert {len(q.objects) for q in asked(room_of(*five), kind)} == {5}
    for kind in MULTI_STEP_TYPES:
        assert asked(room_of(*FOUR[:3]), kind) == []


def test_only_objects_that_occur_once_and_are_seen_are_named():
    twice = room_of(*FOUR, box("desk", 1, 7, 0.8), box("desk", 5, 7, 0.8))
    hidden = room_of(*FOUR, box("desk", 1, 7, 0.8))
    for room, seen in ((twice, None), (hidden, range(4))):
        for kind in MULTI_STEP_TYPES:
            questions = [q for seed in range(5) for q in asked(room, kind, seed=seed, seen=seen)]
            assert questions and not any("desk" in q.objects for q in questions)


@pytest.mark.parametrize("kind", MULTI_STEP_TYPES)
def test_an_object_comes_first_in_one_question(kind):
    for room in make_rooms(20, seed=3):
        first = Counter(q.objects[0] for q in asked(room, kind))
        assert max(first.values(), default=1) == 1


@pytest.mark.parametrize("seed", range(20))
def test_no_two_pairs_are_compared_twice_and_no_walk_is_asked_both_ways(seed):
    """Four objects have three pairings and twelve walks, so that draws meet."""
    room = room_of(*FOUR)
    pairs = [frozenset(map(frozenset, (q.objects[:2], q.objects[2:]))) for q in asked(room, COMPARE, seed=seed)]
    walks = [min(q.objects, q.objects[::-1]) for q in asked(room, WALK, seed=seed)]
    assert len(set(pairs)) == len(pairs) and len(set(walks)) == len(walks) == 4


def test_both_rule_sets_and_all_labels_ask_the_same():
    for room in make_rooms(6, seed=8):
        for phrasing in PHRASINGS:
            plain = make_questions(room, phrasing, 3, types=MULTI_STEP_TYPES)
            for changed in ({"rules": name} for name in RULES):
                other = make_questions(room, phrasing, 3, types=MULTI_STEP_TYPES, **changed)
                assert [replace(q, rules="") for q in other] == [replace(q, rules="") for q in plain]
            for labels in ("closest", "centre"):
                assert make_questions(room, phrasing, 3, types=MULTI_STEP_TYPES, labels=labels) == plain


def test_no_answer_is_much_likelier_than_others():
    rows = make_rows(make_rooms(120, seed=9), types=MULTI_STEP_TYPES)
    compared = [row for row in rows if row["question_type"] == COMPARE]
    letters = Counter(row["ground_truth"] for row in compared)
    assert set(letters) == {"A", "B"} and max(letters.values()) < 0.56 * letters.total()
    texts = [row["options"]["AB".index(row["ground_truth"])][3:] for row in compared]
    first = [text == " and ".join(row["objects"][:2]) for text, row in zip(texts, compared, strict=True)]
    assert 0.44 < sum(first) / len(first) < 0.56
    counts = Counter(row["ground_truth"] for row in rows if row["question_type"] == WITHIN)
    assert set(counts) == set("1234") and max(counts.values()) < 0.4 * counts.total()


# ------------------------------------------------------------------------------------------------- reading and scores


@pytest.mark.parametrize("phrasing", PHRASINGS)
def test_perfect_answers_are_rows_that_score_one(phrasing):
    rows = make_rows(make_rooms(20, seed=4), phrasing, types=MULTI_STEP_TYPES, max_per_type=2)
    assert all(check_row(json.loads(json.dumps(row)), "") == row for row in rows)
    table = score([{**row, "prediction": row["ground_truth"]} for row in rows], "lenient")
    assert table.tasks == dict.fromkeys(sorted(MULTI_STEP_TYPES, key=QUESTION_TYPES.index), 1.0)
    for row in rows:
        assert (row["options"] is None) == (phrasing == "vsi-100k" or row["question_type"] not in CHOICE_TYPES)


PAIRS = {
    "question_type": COMPARE,
    "question": "Which two objects are farther apart (bed and tv, sofa and coffee table)?",
    "options": None,
    "objects": ["bed", "tv", "sofa", "coffee table"],
}
LETTERS = PAIRS | {"options": ["A. sofa and coffee table", "B. bed and tv"]}


@pytest.mark.parametrize(
    "text, word, letter",
    [
        ("bed and tv", "bed and tv", "B"),
        ("TV and bed", "bed and tv", "B"),
        ("The tv and the bed.", "bed and tv", "B"),
        ("coffee table, sofa", "sofa and coffee table", "A"),
        ("<think>bed to tv 3.2</think> <answer>tv and bed</answer>", "bed and tv", "B"),
        ("The bed and the tv are farther apart.", "bed and tv", "B"),
        ("The bed and the tv are farther apart than the sofa and the coffee table.", "bed and tv", "B"),
        ("Bed and tv are the farthest apart", "bed and tv", "B"),
        ("The bed and the tv are closer together.", None, None),
        ("bed", None, None),
        ("bed and sofa", None, None),
        ("bed and tv or sofa and coffee table", None, None),
        ("B", None, "B"),
    ],
)
def test_a_pair_is_read_in_either_order(text, word, letter):
    assert parse_answer(text, PAIRS).value == word
    assert parse_answer(text, LETTERS).value == letter


def test_a_pairs_other_order_is_no_option_of_its_own():
    assert [choice.text for choice in answer_choices(PAIRS)] == ["bed and tv", "sofa and coffee table"]
    row = make_rows([room_of(*FOUR)], "vsi-100k", types=(COMPARE,))[0]
    (lettered,) = as_letters([row])
    assert [option[3:] for option in sorted(lettered["options"])] and len(lettered["options"]) == 2


@pytest.mark.parametrize(
    "kind, text, value",
    [
        (WALK, "9.4 m", "9.4"),
        (WALK, "940 cm", "9.4"),
        (WALK, "3.1 + 2.2 + 4.1 = 9.4 meters", "9.4"),
        (SIZE, "1.2 m", "120"),
        (SIZE, "The sofa is closest, 120 cm.", "120"),
        (WITHIN, "three", "3"),
        (WITHIN, "3 objects are within 1.5 meters", "3"),
        (WITHIN, "Within 1.5 meters there are 2 objects.", "2"),
        (WITHIN, "1.5 m", "1.5"),
        ("object_counting", "Within 1.5 meters there are 2 objects.", None),
    ],
)
def test_numbers_are_read_with_their_units(kind, text, value):
    assert parse_answer(text, {"question_type": kind, "question": "", "options": None}).value == value


def answered(*values: tuple[str, float]) -> list[dict]:
    """Rows with answers that are right or wrong, each about a room of its own or shared."""
    rows = []
    for number, (kind, value) in enumerate(values):
        truth = "B" if kind in CHOICE_TYPES else "3"
        wrong = "A" if kind in CHOICE_TYPES else "900"
        row = row_of(kind, truth, id=number, scene_name=f"r{number % 3}")
        rows.append(row | {"prediction": truth if value else wrong})
    return rows


def test_overall_leaves_multi_step_types_out_and_they_have_a_mean_of_their_own():
    old = [("object_counting", 1), ("object_counting", 0), ("route_planning", 1), ("route_planning", 1)]
    new = [(COMPARE, 1), (COMPARE, 0), (WALK, 0), (WALK, 0), (WITHIN, 1)]
    without, both, alone = (score(answered(*kinds), "lenient") for kinds in (old, old + new, new))
    assert without.percent() == {"overall": 75.0, "object_counting": 50.0, "route_planning": 100.0}
    assert without.multi_step is None and without.means == {"overall": 0.75}
    assert both.overall == without.overall and both.trained == without.trained
    assert both.multi_step == alone.multi_step == pytest.approx((0.5 + 0 + 1) / 3)
    assert alone.overall is None and next(iter(alone.percent())) == "multi_step" and "overall" not in alone.percent()
    assert alone.to_dict()["mean_of_trained_tasks"] is None
    found = {name: intervals(answered(*kinds)) for name, kinds in (("old", old), ("both", old + new), ("new", new))}
    assert found["both"]["overall"].mean == found["old"]["overall"].mean == 75
    assert found["both"]["overall"].n == found["old"]["overall"].n == 4
    assert found["both"]["multi_step"].mean == pytest.approx(50) and found["both"]["multi_step"].n == 5
    assert set(found["old"]) == {"overall", "trained", "object_counting", "route_planning"}
    assert set(found["new"]) == {"multi_step", COMPARE, WALK, WITHIN}
    change = differences(answered(*new), answered(*((kind, 0) for kind, _ in new)))
    assert change["multi_step"].mean == pytest.approx(50) and change[WITHIN].mean == 100


def test_intervals_of_the_benchmarks_tasks_are_the_same_beside_multi_step_rows():
    """The same rooms are drawn: rows of other types add columns and change none."""
    old = answered(*[("object_counting", i % 3) for i in range(9)])
    new = [row | {"id": f"m{row['id']}"} for row in answered(*[(WALK, i % 2) for i in range(9)])]
    assert intervals(old)["overall"] == intervals(old + new)["overall"]


# ------------------------------------------------------------------------------------------------- asked by name only


def test_no_default_set_holds_a_multi_step_question_or_draws_anything_for_one():
    rooms = make_rooms(4, seed=5)
    for phrasing in PHRASINGS:
        rows = make_rows(rooms, phrasing)
        kinds = {row["question_type"] for row in rows}
        assert not kinds & set(MULTI_STEP_TYPES)
        named = tuple(dict.fromkeys(row["question_type"] for row in rows))
        together = make_rows(rooms, phrasing, types=(*named, *MULTI_STEP_TYPES))
        assert [row for row in together if row["question_type"] not in MULTI_STEP_TYPES] == rows
    assert not {row["question_type"] for row in load_questions(2).rows} & set(MULTI_STEP_TYPES)


def test_types_are_named_alone_or_by_a_group():
    assert named_types([]) is None
    assert named_types(["multi-step", WALK]) == MULTI_STEP_TYPES
    assert named_types(["object_counting", "held-out"]) == ("object_counting", "route_planning", "obj_appearance_order")
    with pytest.raises(ValueError, match="types has 'walks', which is neither .*: choose from trained, held-out"):
        named_types(["walks"])


def vsr(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_build_asks_multi_step_types_where_they_are_named(tmp_path):
    plain, named = tmp_path / "plain", tmp_path / "named"
    assert vsr("build", "--rooms", 2, "--out", plain).exit_code == 0
    assert (
        vsr("build", "--rooms", 2, "--out", named, "--types", "multi-step", "--types", "object_counting").exit_code == 0
    )

    def kinds(folder):
        return {json.loads(line)["question_type"] for line in (folder / "questions.jsonl").read_text().splitlines()}

    assert not kinds(plain) & set(MULTI_STEP_TYPES)
    assert kinds(named) == {*MULTI_STEP_TYPES, "object_counting"}
    assert "types" not in json.loads((plain / "build.json").read_text())["settings"]
    assert json.loads((named / "build.json").read_text())["settings"]["types"] == [*MULTI_STEP_TYPES, "object_counting"]
    refused = vsr("build", "--rooms", 2, "--out", tmp_path / "none", "--types", "walks")
    assert refused.exit_code and "neither a question type nor a group" in str(refused.exception)


def test_training_takes_multi_step_types_and_refuses_held_out_ones():
    from vsr_kit.cli.training import _types
    from vsr_kit.questions import TRAINED_TYPES

    assert _types({}) == _types({"types": []}) == TRAINED_TYPES
    assert _types({"types": ["multi-step"]}) == MULTI_STEP_TYPES
    with pytest.raises(ValueError, match="types has route_planning: these are held out"):
        _types({"types": ["object_counting", "route_planning"]})
    refused = vsr("train", "--types", "held-out", "--steps", 1).exception
    assert "these are held out of all training; leave them out" in str(refused)


def test_the_table_of_scores_ends_with_the_means_there_are(capsys):
    from vsr_kit.cli.data import show_scores

    show_scores(score(answered(("object_counting", 1), (WALK, 0), (COMPARE, 1)), "lenient"))
    lines = capsys.readouterr().out.splitlines()
    (overall,) = [line for line in lines if "overall: mean of tasks" in line]
    (steps,) = [line for line in lines if "multi_step: mean of tasks" in line]
    assert re.findall(r"[\d.]+", overall) == ["100.0", "1"] and re.findall(r"[\d.]+", steps) == ["50.0", "2"]
    show_scores(score(answered((WALK, 1)), "lenient"))
    assert "overall" not in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------- beside the rest


def test_a_type_of_ones_own_may_have_open_words():
    def shapes(scene):
        for name in scene.names[:1]:
            yield {"category": name, "options": "round, square"}, (name,), "round", ["square"]

    add_type("object_shape", "What shape is the {category}?", shapes, words="Is {category} ({options})?", choice=True)
    try:
        (open_word,) = asked(room_of(*FOUR), "object_shape", "vsi-100k")
        assert (open_word.question, open_word.options) == ("Is bed (round, square)?", None)
        assert open_word.ground_truth == "round"
    finally:
        remove_type("object_shape")
    plain = make_questions(room_of(*FOUR), "vsi-100k")
    assert "object_shape" not in {q.question_type for q in plain}


def test_the_truth_in_a_changed_room_is_not_guessed():
    (row, *_) = make_rows([room_of(*FOUR)], types=(WALK,))
    with pytest.raises(ValueError, match="'object_walk_length' has no rule for changed rooms"):
        truth_in(row, room_of(*FOUR))


def test_figures_name_the_types_and_join_what_is_measured():
    assert task_name("multi_step") == "Multi-step types"
    assert all("_" not in task_name(kind) and task_name(kind) != kind.replace("_", " ") for kind in MULTI_STEP_TYPES)
    room, names = room_of(*FOUR), ["bed", "tv", "sofa", "lamp"]
    joined = {kind: linked({"question_type": kind, "objects": names}, room) for kind in MULTI_STEP_TYPES}
    assert joined[COMPARE] == [("bed", "tv"), ("sofa", "lamp")]
    assert joined[WALK] == [("bed", "tv"), ("tv", "sofa"), ("sofa", "lamp")]
    assert joined[SIZE] == joined[WITHIN] == [("bed", name) for name in names[1:]]


def test_clips_decide_what_is_named():
    rooms = split_rooms(6, "test")
    clips = {room.name: film(room, 2, 32) for room in rooms}
    with_clips, without = (make_rows(rooms, types=MULTI_STEP_TYPES, clips=c) for c in (clips, None))
    assert 0 < len(with_clips) < len(without)


def test_distances_of_a_procedural_room_are_worked_out_again():
    for room in make_rooms(10, seed=12):
        boxes = room.unique
        for q in asked(room, WALK):
            legs = [math.dist(boxes[a].center[:2], boxes[b].center[:2]) for a, b in pairwise(q.objects)]
            assert float(q.ground_truth) == pytest.approx(sum(legs), abs=0.0501) and min(legs) >= 0.4
        for q in asked(room, SIZE):
            target, *others = q.objects
            away = {name: math.dist(boxes[target].center[:2], boxes[name].center[:2]) for name in others}
            nearest = min(away, key=away.get)
            assert abs(int(q.ground_truth) - 100 * boxes[nearest].longest_m) <= 0.5 + 1e-9
            gaps = [abs(away[a] - away[b]) for a, b in combinations(sorted(away, key=away.get)[:2], 2)]
            assert min(gaps) >= (0.3 if room.floor_area_m2 > 40 else 0.15)
