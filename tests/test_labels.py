"""Labels: ceilings worked out by hand, pairs that survive a file, letters that change nothing but the letters."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.oracles import closest_distance
from vsr_kit.data import check_row, make_rows, read_rows, write_rows
from vsr_kit.prompts import parse_answer, user_text
from vsr_kit.questions import CHOICE_TYPES
from vsr_kit.rewards import accuracy_reward
from vsr_kit.rooms import Box, Room, make_rooms, read_geometry, yaw_axes
from vsr_kit.study.labels import DistancePair, as_letters, centre_ceiling, distance_pairs, read_pairs, write_pairs

GEOMETRY = Path(__file__).resolve().parents[2] / "shared" / "data" / "arkitscenes_meta_info_val.json"


def room_of(*boxes: Box, name: str = "scene") -> Room:
    return Room(name, "d", boxes, Box("room", (0.0, 0.0, 1.5), (20.0, 20.0, 3.0)), 20.0)


def unit(category: str, x: float, y: float = 0.0) -> Box:
    return Box(category, (x, y, 0.5), (1.0, 1.0, 1.0))


def pair(closest_m: float, centre_m: float, scene: str = "s", b: str = "tv") -> DistancePair:
    return DistancePair(scene, "bed", b, closest_m, centre_m)


# --------------------------------------------------------------------------------------------------------- the pairs


def test_pairs_are_those_of_objects_that_occur_once_with_both_distances():
    room = room_of(unit("tv", 3), unit("bed", 0), unit("lamp", 0, 5), unit("lamp", 3, 5), unit("bin", 0, -4))
    found = distance_pairs([room])
    assert found == [
        DistancePair("scene", "bed", "bin", 3.0, 4.0),
        DistancePair("scene", "bed", "tv", 2.0, 3.0),
        DistancePair("scene", "bin", "tv", round(math.hypot(2, 3), 3), 5.0),
    ]


@pytest.mark.parametrize("gap_m, dropped", [(-0.2, True), (0.0, True), (0.09, True), (0.11, False)])
def test_touching_pairs_are_dropped_or_kept(gap_m, dropped):
    room = room_of(unit("bed", 0), unit("tv", 1 + gap_m))
    (kept,) = distance_pairs([room], touching="keep")
    assert kept.closest_m == pytest.approx(max(gap_m, 0))
    assert kept.touching is dropped
    assert distance_pairs([room]) == ([] if dropped else [kept])


def test_pairs_agree_with_the_labels_of_questions():
    """What a distance question calls the truth is what its pair says, in either phrasing."""
    rooms, compared = make_rooms(5, seed=4), 0
    pairs = {(p.scene, p.a, p.b): p for p in distance_pairs(rooms)}
    for phrasing in ("vsi-bench", "vsi-100k"):
        for row in make_rows(rooms, phrasing, types=("object_abs_distance",)):
            found = pairs[row["scene_name"], *sorted(row["objects"])]
            metres = found.closest_m if phrasing == "vsi-bench" else found.centre_m
            assert float(row["ground_truth"]) == pytest.approx(metres, abs=0.051)
            compared += 1
    assert compared == 2 * len(pairs) > 20


def test_a_grid_finds_points_a_little_farther_apart():
    """Never nearer than the boxes, at most a cell's diagonal farther; boxes turned, so that corners matter."""
    boxes = [
        Box(n, (x, y, 0.5), (0.8, 1.2, 1.0), yaw_axes(deg)) for n, x, y, deg in [("bed", 0, 0, 20), ("tv", 3, 1, 65)]
    ]
    (exact,), (fine,), (coarse,) = (distance_pairs([room_of(*boxes)], grid_m=g) for g in (None, 0.05, 0.5))
    assert exact.closest_m == pytest.approx(closest_distance(*boxes), abs=6e-4)
    assert exact.closest_m <= fine.closest_m <= exact.closest_m + 0.1
    assert fine.closest_m < coarse.closest_m < exact.closest_m + 1
    assert {exact.centre_m, fine.centre_m, coarse.centre_m} == {3.162}


def test_a_grid_holds_the_corners_and_leaves_out_the_middle():
    from vsr_kit.study.labels import _grid

    points = _grid(Box("bed", (1.0, 2.0, 0.5), (0.8, 0.4, 1.0)), 0.1)
    assert points.min(0) == pytest.approx([0.6, 1.8, 0.0])
    assert points.max(0) == pytest.approx([1.4, 2.2, 1.0])
    from_centre = np.abs(points - [1.0, 2.0, 0.5]) / [0.8, 0.4, 1.0]
    assert from_centre.max(1).min() > 0.25
    assert len(np.unique(points[:, 0].round(6))) == 8


@pytest.mark.parametrize(
    "bad, says",
    [({"touching": "no"}, "'no'.*drop, keep"), ({"grid_m": 0.0}, "0.0.*above 0"), ({"grid_m": math.nan}, "nan")],
)
def test_bad_choices_are_named(bad, says):
    with pytest.raises(ValueError, match=says):
        distance_pairs([room_of(unit("bed", 0), unit("tv", 3))], **bad)


def test_rooms_of_one_name_are_refused():
    with pytest.raises(ValueError, match="'scene'"):
        distance_pairs([room_of(unit("bed", 0)), room_of(unit("tv", 0))])


# ------------------------------------------------------------------------------------------------------- the ceiling


@pytest.mark.parametrize(
    "closest_m, centre_m, expected",
    [
        (2.0, 2.0, 100),
        (2.0, 3.0, 10),  # half too far: the widest of ten tolerances alone, 50 %
        (2.0, 2.5, 60),  # a quarter too far: 50, 45, …, 25 %
        (2.0, 3.01, 0),
        (2.04, 2.0, 100),  # the truth has one decimal
        (1.96, 2.1, 100),  # 5 % too far by 2.0, 7 % by 1.96
        (0.04, 0.04, 0),  # a truth of 0.0, and 0.04 is not 0
    ],
)
def test_one_pairs_ceiling_by_hand(closest_m, centre_m, expected):
    assert centre_ceiling([pair(closest_m, centre_m)], resamples=5).mean == pytest.approx(expected)


def test_answers_have_two_decimals():
    """1.25 for a truth of 1.0 is within 25 %; with one decimal it would be 1.2, within 20 %."""
    assert centre_ceiling([pair(1.0, 1.25)], resamples=5).mean == pytest.approx(60)
    assert centre_ceiling([pair(1.0, 1.254)], resamples=5).mean == pytest.approx(60)
    assert centre_ceiling([pair(1.0, 1.256)], resamples=5).mean == pytest.approx(50)


def test_the_interval_is_over_rooms():
    """A room of perfect pairs and a room of hopeless ones: anything from 0 to 100, however many pairs each has."""
    one = [pair(2.0, 2.0, "one", f"thing {i}") for i in range(30)]
    two = [pair(2.0, 9.0, "two", f"thing {i}") for i in range(10)]
    found = centre_ceiling([*one, *two])
    assert (found.mean, found.low, found.high) == (75, 0, 100)
    assert (found.n, found.rooms) == (40, 2)


def test_no_pair_has_no_ceiling():
    with pytest.raises(ValueError, match="no pair"):
        centre_ceiling([])


@pytest.mark.skipif(not GEOMETRY.is_file(), reason="the released geometry is not in this checkout")
def test_the_released_rooms_hold_perfect_centres_well_below_full_marks():
    rooms = read_geometry(GEOMETRY).rooms
    apart, all_pairs = distance_pairs(rooms), distance_pairs(rooms, touching="keep")
    assert (len(apart), len(all_pairs)) == (332, 364)
    exact, kept = centre_ceiling(apart, resamples=200), centre_ceiling(all_pairs, resamples=200)
    assert exact.mean == pytest.approx(21.3, abs=0.05)
    assert kept.mean == pytest.approx(19.4, abs=0.05)
    assert 15 < exact.low < exact.mean < exact.high < 30


# ---------------------------------------------------------------------------------------------------- pairs on disk


def test_pairs_survive_a_file_and_so_does_the_ceiling(tmp_path):
    pairs = distance_pairs(make_rooms(4, seed=9), touching="keep")
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    assert read_pairs(tmp_path / "pairs.jsonl") == pairs
    assert centre_ceiling(read_pairs(tmp_path / "pairs.jsonl")) == centre_ceiling(pairs)
    numbers = [value for p in pairs for value in (p.closest_m, p.centre_m)]
    assert all(len(json.dumps(number).split(".")[1]) <= 3 for number in numbers)


GOOD = {"scene": "s", "a": "bed", "b": "tv", "closest_m": 1.0, "centre_m": 2}


@pytest.mark.parametrize(
    "line, says",
    [
        ("{", "line 2: not JSON"),
        ("[1]", r"line 2: is \[1\], must be an object with scene, a, b"),
        (json.dumps(GOOD | {"more": 1}), "line 2.*nothing else"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "a"}), "line 2.*must be an object with"),
        (json.dumps(GOOD | {"scene": 3}), "line 2: field 'scene' is 3, must be text"),
        (json.dumps(GOOD | {"centre_m": "2"}), "line 2: field 'centre_m' is '2'"),
        (json.dumps(GOOD | {"closest_m": -1}), "line 2: field 'closest_m' is -1"),
        (json.dumps(GOOD | {"closest_m": math.nan}), "line 2: field 'closest_m' is nan"),
        (json.dumps(GOOD | {"closest_m": True}), "line 2: field 'closest_m' is True"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, says):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=says):
        read_pairs(path)


def test_a_file_without_pairs_is_named(tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="empty.jsonl: is empty"):
        read_pairs(tmp_path / "empty.jsonl")
    with pytest.raises(ValueError, match="no file"):
        read_pairs(tmp_path / "none.jsonl")


# ------------------------------------------------------------------------------------------------- letters for words


@pytest.fixture(scope="module")
def worded():
    return make_rows(make_rooms(60, seed=12), "vsi-100k", max_per_type=6)


def lettered_pairs(worded, **more):
    rows = as_letters(worded, **more)
    return [(word, row) for word, row in zip(worded, rows, strict=True) if row["question_type"] in CHOICE_TYPES]


def test_letters_change_options_truth_and_phrasing_alone(worded):
    changed = {"options", "ground_truth", "phrasing"}
    pairs = lettered_pairs(worded)
    assert {row["question_type"] for _, row in pairs} == {"object_rel_distance", "object_rel_direction_easy"}
    for word, row in pairs:
        assert list(row) == list(word)
        assert {k: v for k, v in row.items() if k not in changed} == {k: v for k, v in word.items() if k not in changed}
        texts = {option[0]: option[3:] for option in row["options"]}
        assert texts[row["ground_truth"]] == word["ground_truth"]
        offered = word["objects"][1:] if len(texts) == 4 else ["left", "right"]
        assert sorted(texts.values()) == sorted(offered)


def test_numbers_and_rows_with_options_stay_as_they_are(worded):
    numeric = [row for row in worded if row["question_type"] not in CHOICE_TYPES]
    assert as_letters(numeric) == numeric
    assert as_letters(numeric)[0] is not numeric[0]
    once = as_letters(worded)
    assert as_letters(once, seed=5) == once


def test_lettered_rows_are_read_back_asked_with_options_and_paid(worded, tmp_path):
    pairs = lettered_pairs(worded)
    for word, row in pairs:
        assert check_row(row, "row") == row
        assert "\nOptions:\n" + "\n".join(row["options"]) + "\n" in user_text(row, "vanilla", "train")
        assert parse_answer(row["ground_truth"], row).kind == "letter"
        assert accuracy_reward(row["ground_truth"], row) == 1.0
        assert accuracy_reward(word["ground_truth"], row) == 1.0  # the option's text will do
        wrong = [option[0] for option in row["options"] if option[0] != row["ground_truth"]]
        assert {accuracy_reward(letter, row) for letter in wrong} == {0.0}
    rows = [{k: v for k, v in row.items() if k != "phrasing"} for _, row in pairs]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert read_rows(tmp_path / "rows.jsonl") == [row for _, row in pairs]  # the phrasing is what options imply


def test_letters_depend_on_id_and_seed_alone(worded):
    rows = as_letters(worded)
    assert as_letters(worded[::-1])[::-1] == rows
    assert as_letters(worded[7:]) == rows[7:]
    again = as_letters(worded, seed=1)
    assert sum(a != b for a, b in zip(rows, again, strict=True)) > len(lettered_pairs(worded)) / 3


def test_letters_are_near_uniform(worded):
    counts = {}
    for _, row in lettered_pairs(worded):
        counts.setdefault(row["question_type"], Counter())[row["ground_truth"]] += 1
    for kind, letters in {"object_rel_distance": "ABCD", "object_rel_direction_easy": "AB"}.items():
        assert set(counts[kind]) == set(letters)
        assert sum(counts[kind].values()) > 60
        assert chisquare(list(counts[kind].values())).pvalue > 1e-3


def test_a_word_that_is_no_choice_is_named(worded):
    row = next(row for row in worded if row["question_type"] == "object_rel_distance")
    with pytest.raises(ValueError, match=rf"{row['id']}.*'piano'.*exactly one"):
        as_letters([row | {"ground_truth": "piano"}])
    with pytest.raises(ValueError, match=r"exactly one.*\[\]"):
        as_letters([row | {"question": "Which is nearest?"}])
