"""The benchmark's rules beside the study's: what is asked of real rooms, and that what is drawn agrees with it."""

import json
import math
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from tests.oracles import closest_distance
from vsr_kit.data import make_rows
from vsr_kit.evaluation.evaluate import load_questions
from vsr_kit.questions import BENCHMARK_RULES, RULES, STUDY_RULES, get_rules, make_questions
from vsr_kit.rewards import mra
from vsr_kit.rooms import Box, Room, load_rooms, make_rooms, read_geometry, save_rooms, yaw_axes
from vsr_kit.rooms.geometry import overlap
from vsr_kit.videos import camera_walk, film, object_colors, render

SHARED = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
REAL = {name: SHARED / f"{name}_meta_info_val.json" for name in ("arkitscenes", "scannetpp")}
real = pytest.mark.skipif(not REAL["scannetpp"].exists(), reason="the released geometry is not in ../shared/data")
STRAIGHT = [1, 0, 0, 0, 1, 0, 0, 0, 1]
NEAREST = ("object_rel_distance",)


def room_of(*boxes: Box, area_m2: float = 400.0, counts: dict | None = None, dataset: str = "d") -> Room:
    return Room("scene", dataset, boxes, Box("room", (0.0, 0.0, 1.5), (20.0, 20.0, 3.0)), area_m2, counts)


def cube(category: str, x: float, y: float, side: float = 0.2) -> Box:
    return Box(category, (x, y, side / 2), (side, side, side))


def record(x: float, y: float, size=(0.5, 0.5, 0.5), axes=STRAIGHT) -> dict:
    return {"centroid": [x, y, 0.0], "axesLengths": list(size), "normalizedAxes": list(axes)}


def read_scene(tmp_path, boxes: dict, area: float = 20.0, counts: object = None, walls: str = "labelled") -> Room:
    scene = {"room_size": area, "object_bbox": boxes} | ({} if counts is None else {"object_counts": counts})
    path = tmp_path / "made_meta_info_val.json"
    path.write_text(json.dumps({"s": scene}))
    (room,) = read_geometry(path, walls).rooms
    return room


def asked(room, kind, **more):
    return make_questions(room, types=(kind,), **more)


def answer_text(question) -> str:
    (text,) = [o[3:] for o in question.options if o.startswith(f"{question.ground_truth}. ")]
    return text


# ------------------------------------------------------------------------------------------------- which rules hold


def test_procedural_rooms_are_asked_by_the_studys_rules_and_all_others_by_the_benchmarks():
    (made,) = make_rooms(1, seed=4)
    assert "rules" not in make_rows([made])[0]  # its rows are older than the field
    assert make_rows([made]) == make_rows([made], rules=STUDY_RULES) == make_rows([made], rules="study")
    assert {row["rules"] for row in make_rows([replace(made, dataset="mine")])} == {"benchmark"}
    assert {row["rules"] for row in make_rows([made], rules="benchmark")} == {"benchmark"}
    assert (get_rules(None, "procedural"), get_rules(None, "x")) == (STUDY_RULES, BENCHMARK_RULES)
    assert get_rules(own := replace(STUDY_RULES, name="own"), "x") is own
    with pytest.raises(ValueError, match="unknown rules 'other': choose one of benchmark, study"):
        make_questions(made, rules="other")


def test_vsi_100k_asks_the_same_by_both(tmp_path):
    for room in make_rooms(6, seed=8):
        one, two = (make_questions(room, "vsi-100k", 3, rules=rules) for rules in RULES)
        assert [replace(q, rules="") for q in one] == [replace(q, rules="") for q in two]


def test_a_geometry_file_is_gathered_by_the_benchmarks_rules_unless_told(tmp_path):
    boxes = {name: [record(x, 0)] for name, x in (("sofa", 0), ("chair", 0.8), ("door", 4))}
    path = tmp_path / "made_meta_info_val.json"
    path.write_text(json.dumps({"s": {"room_size": 9.0, "object_bbox": boxes}}))
    size = {"split": "all", "num_frames": 8, "size_px": 56}
    new, old = load_questions(path, **size), load_questions(path, **size, rules="study")
    assert {row["rules"] for row in new.rows} == {"benchmark"} and all("rules" not in row for row in old.rows)
    assert any("'benchmark'" in line for line in new.told()) and not old.told()
    near = [sum(set(row["objects"]) == {"sofa", "chair"} for row in made.rows) for made in (new, old)]
    assert near == [0, 1]  # 30 cm apart


# --------------------------------------------------------------------------------------------- room size as it is drawn


@pytest.mark.parametrize("yaw_deg", [0.0, 30.0, 77.0])
@pytest.mark.parametrize("area", [30.0, 13.0, 12.2])
def test_the_floor_is_drawn_as_large_as_its_label_where_the_boxes_allow_it(tmp_path, yaw_deg, area):
    axes = np.asarray(yaw_axes(yaw_deg))
    spots = np.array([[0.5, 0.5], [3.5, 0.5], [0.5, 2.5], [3.5, 2.5]]) @ axes[:2, :2]
    boxes = {"bed": [record(*spot, size=(1, 1, 1), axes=axes.ravel().tolist()) for spot in spots]}
    room = read_scene(tmp_path, boxes, area)
    assert room.drawn_area_m2 == pytest.approx(area)
    assert asked(room, "room_size_estimation")[0].ground_truth == f"{area:.1f}"
    corners = np.concatenate([box.corners() for box in room.boxes])
    local = (corners - room.shell.center) @ np.asarray(room.shell.axes).T
    assert (np.abs(local) <= np.asarray(room.shell.size) / 2 + 1e-9).all()


def test_walls_turn_where_that_makes_room(tmp_path):
    """Two long shelves that lie askew to a row of chairs: the rectangle along the chairs would be twice as large."""
    axes = np.asarray(yaw_axes(45.0)).ravel().tolist()
    chairs = [record(i, i, size=(0.4, 0.4, 1)) for i in range(6)]
    lamp = [record(i, i, size=(0.1, 0.1, 1), axes=axes) for i in range(6)]
    room = read_scene(tmp_path, {"chair": chairs, "lamp": lamp}, 12.0)
    assert room.drawn_area_m2 == pytest.approx(12.0)
    assert read_scene(tmp_path, {"chair": chairs, "lamp": lamp}, 12.0, walls="roomy").drawn_area_m2 > 24


@pytest.mark.parametrize("area, number", [(12.0, 1), (11.0, 1), (10.8, 0), (4.0, 0)])
def test_a_room_size_that_no_clip_can_show_is_not_asked(tmp_path, area, number):
    boxes = {"bed": [record(x, y, size=(1, 1, 1)) for x in (0.5, 3.5) for y in (0.5, 2.5)]}  # they span 12 m²
    room = read_scene(tmp_path, boxes, area)
    assert room.drawn_area_m2 == pytest.approx(12.0)
    for phrasing in ("vsi-bench", "vsi-100k"):
        assert len(make_questions(room, phrasing, types=("room_size_estimation",))) == number
    assert len(asked(room, "room_size_estimation", rules="study")) == 1
    clip = film(room, 2, 28)
    assert len(asked(room, "room_size_estimation", clip=clip)) == number


def test_walls_of_another_kind_are_refused(tmp_path):
    with pytest.raises(ValueError, match="walls are 'thick': choose one of labelled, roomy"):
        read_scene(tmp_path, {"bed": [record(0, 0)]}, walls="thick")


@real
@pytest.mark.parametrize("name, least, before", [("arkitscenes", 145, 127), ("scannetpp", 42, 12)])
def test_who_reads_the_drawn_floor_is_right_about_real_rooms(name, least, before):
    rooms, old = (read_geometry(REAL[name], walls).rooms for walls in ("labelled", "roomy"))
    truths = {q.scene_name: float(q.ground_truth) for room in rooms for q in asked(room, "room_size_estimation")}
    scores = [mra(round(room.drawn_area_m2, 1), truths[room.name]) for room in rooms if room.name in truths]
    assert len(scores) >= least and np.mean(scores) >= 0.99
    assert sum(BENCHMARK_RULES.shows_its_size(room) for room in old) == before
    for room in rooms:
        corners = np.concatenate([box.corners() for box in room.boxes])
        local = (corners - room.shell.center) @ np.asarray(room.shell.axes).T
        assert (np.abs(local) <= np.asarray(room.shell.size) / 2 + 1e-6).all()


# -------------------------------------------------------------------------------------------- counts and doubled boxes


def test_the_stated_count_decides(tmp_path):
    boxes = {"chair": [record(0, 0), record(2, 0)], "door": [record(4, 0)], "sofa": [record(0, 3)], "bed": []}
    counts = {"chair": 3, "door": 2, "sofa": 1, "lamp": 4}
    room = read_scene(tmp_path, boxes, counts=counts)
    truths = {q.objects[0]: q.ground_truth for q in asked(room, "object_counting")}
    assert truths == {"chair": "3", "door": "2", "lamp": "4"}
    assert set(room.unique) == {"sofa"}  # one door is boxed, but there are two
    named = {name for q in make_questions(room) for name in q.objects if q.question_type != "object_counting"}
    assert named == {"sofa"}


def test_a_count_that_no_clip_can_show_is_not_asked_about_one():
    chairs, bins = (cube("chair", 1.5, y, 0.5) for y in (-1.0, 0.0, 1.0)), (cube("bin", 3, y, 0.4) for y in (-1, 1))
    room = room_of(*chairs, *bins, counts={"chair": 2, "bin": 2})
    clip = render(room, replace(camera_walk(room, 1), positions_m_F3=np.array([[-2, 0, 1.6]]), yaw_deg_F=np.zeros(1)))
    assert {q.objects[0]: q.ground_truth for q in asked(room, "object_counting")} == {"chair": "2", "bin": "2"}
    assert [q.objects[0] for q in asked(room, "object_counting", clip=clip)] == ["bin"]  # it shows three chairs
    assert [q.objects[0] for q in asked(room, "object_counting", seen=range(5))] == ["bin"]


JITTER = np.array([0.004, -0.006, 0.005])


@pytest.mark.parametrize("counts", [None, {"printer": 1, "desk": 1, "lamp": 1}])
@pytest.mark.parametrize("how", ["same", "nearly", "turned"])
def test_an_object_that_is_stored_twice_is_one(tmp_path, counts, how):
    printer = record(1, 1, size=(0.5, 0.4, 0.3))
    again = json.loads(json.dumps(printer))
    if how == "nearly":
        again["centroid"] = (np.array(again["centroid"]) + JITTER).tolist()
        again["axesLengths"] = (np.array(again["axesLengths"]) - JITTER).tolist()
    elif how == "turned":  # the same box, its axes in another order
        again["axesLengths"], again["normalizedAxes"] = [0.4, 0.5, 0.3], [0, 1, 0, -1, 0, 0, 0, 0, 1]
    room = read_scene(
        tmp_path, {"printer": [printer, again], "desk": [record(3, 1)], "lamp": [record(3, 3)]}, 20, counts
    )
    assert [box.category for box in room.boxes] == ["printer", "desk", "lamp"]
    assert "printer" in room.unique and room.counts == {"printer": 1, "desk": 1, "lamp": 1}
    assert not asked(room, "object_counting")
    assert any("printer" in q.objects for q in asked(room, "object_size_estimation"))
    save_rooms(tmp_path / "rooms.json", [room])
    assert load_rooms(tmp_path / "rooms.json") == [room]


def test_two_that_stand_close_or_in_each_other_are_two_unless_the_count_says_one():
    apart = room_of(cube("chair", 0, 0), cube("chair", 0.1, 0), cube("bin", 3, 0), cube("bin", 3.05, 0))
    assert apart.counts == {"chair": 2, "bin": 2}
    assert overlap(*apart.boxes[2:]) == pytest.approx(0.6, abs=0.05)
    counted = replace(apart, stated_counts={"chair": 1, "bin": 1})
    assert counted.drawn_counts == {"chair": 2, "bin": 1}  # chairs share a third: what is drawn and counted differ
    assert set(counted.unique) == {"bin"}


def test_overlap_by_hand():
    one = Box("a", (0, 0, 0), (1, 1, 1))
    assert overlap(one, one) == 1.0
    assert overlap(one, Box("a", (0.5, 0, 0), (1, 1, 1))) == pytest.approx(1 / 3, abs=0.02)
    assert overlap(one, Box("a", (0, 0, 0), (1, 1, 0.5))) == pytest.approx(0.5, abs=0.02)
    assert overlap(one, Box("a", (0, 0, 0), (1, 1, 1), yaw_axes(45))) == pytest.approx(0.707, abs=0.03)
    assert overlap(one, Box("a", (3, 0, 0), (1, 1, 1))) == 0.0


@pytest.mark.parametrize("counts", [[2], {"chair": "two"}, {"chair": -1}, {"chair": 1.5}, {"chair": True}, 3])
def test_counts_that_are_none_are_named(tmp_path, counts):
    with pytest.raises(ValueError, match="scene 's': .*object_counts"):
        read_scene(tmp_path, {"chair": [record(0, 0)]}, counts=counts)


@pytest.mark.parametrize("count", ["NaN", "Infinity", "1e400"])
def test_a_count_that_is_not_finite_is_named(tmp_path, count):
    path = tmp_path / "m.json"
    scene = {"room_size": 9, "object_bbox": {"chair": [record(0, 0)]}, "object_counts": {"chair": "X"}}
    path.write_text(json.dumps({"s": scene}).replace('"X"', count))
    with pytest.raises(ValueError, match="scene 's': .*object_counts"):
        read_geometry(path)


# ------------------------------------------------------------------------------------------------- relative distance


def test_of_several_instances_the_nearest_counts():
    """Unique objects alone would leave two options; of the chairs one is nearest of all, the other farthest."""
    around = [cube("chair", 0.7, 0), cube("chair", 9, 0), cube("bin", 0, 1.5), cube("bin", 0, -8), cube("tv", -2.5, 0)]
    room = room_of(cube("bed", 0, 0), *around, cube("lamp", 0, 4), area_m2=20)
    questions = [q for q in asked(room, NEAREST[0]) if q.objects[0] == "bed"]
    assert [answer_text(q) for q in questions] == ["chair"]
    assert set(questions[0].objects[1:]) == {"chair", "bin", "tv", "lamp"}
    assert {q.objects[0] for q in asked(room, NEAREST[0])} <= {"bed", "tv", "lamp"}  # the target occurs once
    assert not asked(room, NEAREST[0], rules="study")


def test_an_instance_that_is_not_seen_could_be_the_nearest():
    around = [cube("chair", 0.7, 0), cube("chair", 9, 0), cube("bin", 0, 1.5), cube("tv", -2.5, 0), cube("lamp", 0, 4)]
    room = room_of(cube("bed", 0, 0), *around)
    assert asked(room, NEAREST[0], seen=range(6))
    assert not asked(room, NEAREST[0], seen=[0, 2, 3, 4, 5])  # the near chair is hidden
    assert not asked(replace(room, stated_counts={"chair": 3}), NEAREST[0])  # where is the third?


@pytest.mark.parametrize("gap_m, number", [(0.0, 0), (0.14, 0), (0.16, 1)])
def test_nothing_is_asked_to_be_nearest_that_touches(gap_m, number):
    others = [cube(name, 0.2 + gap_m + 0.5 * i, 0) for i, name in enumerate(("chair", "bin", "tv", "lamp"))]
    questions = [q for q in asked(room_of(cube("bed", 0, 0), *others, area_m2=20), NEAREST[0]) if q.objects[0] == "bed"]
    assert len(questions) == number


@pytest.mark.parametrize("area_m2, step_m, number", [(39, 0.14, 0), (39, 0.16, 1), (41, 0.29, 0), (41, 0.31, 1)])
def test_options_are_as_far_apart_as_the_benchmark_asks_and_four_are_found_if_there_are(area_m2, step_m, number):
    """Of ten options that pairs of two share a distance, only one in each pair may be offered."""
    names = ["a", "b", "c", "d"]
    near = [cube(name, 1 + step_m * i, 0) for i, name in enumerate(names)]
    far = [cube(name + "2", -1 - step_m * i - 0.01, 0) for i, name in enumerate(names)]
    room = room_of(cube("bed", 0, 0), *near, *far, area_m2=area_m2)
    questions = [q for q in asked(room, NEAREST[0]) if q.objects[0] == "bed"]
    assert len(questions) == number
    for question in questions:
        assert answer_text(question)[0] == min(name[0] for name in question.objects[1:])


def test_four_that_can_be_told_apart_are_found_among_many_that_cannot():
    """A heap of thirty things at one distance, another that touches, and three that stand alone: one in 1,364 draws."""
    heap = [Box(f"thing {i}", (3.0, 0.0, 0.1), (0.2, 2.0, 0.2)) for i in range(30)]
    touching = [cube(f"cup {i}", 0.21, 0.0) for i in range(4)]
    alone = [cube(name, -x, 0) for name, x in (("chair", 1.0), ("bin", 1.5), ("tv", 2.0))]
    room = room_of(cube("bed", 0, 0), *heap, *touching, *alone, area_m2=20)
    (question,) = [q for q in asked(room, NEAREST[0]) if q.objects[0] == "bed"]
    assert {"chair", "bin", "tv"} < set(question.objects) and answer_text(question) == "chair"


@pytest.mark.parametrize("gap_m, number", [(0.39, 0), (0.41, 1)])
def test_absolute_distances_begin_at_the_benchmarks_smallest(gap_m, number):
    room = room_of(cube("bed", 0, 0), cube("tv", 0.2 + gap_m, 0))
    assert len(asked(room, "object_abs_distance")) == number
    assert len(asked(room, "object_abs_distance", rules="study")) == 1


@real
@pytest.mark.parametrize("name, least", [("arkitscenes", 50), ("scannetpp", 100)])
def test_real_rooms_are_asked_by_the_benchmarks_rule(name, least):
    """Truth, margins and smallest distances, worked out again from corners and edges."""
    several = found = 0
    for room in read_geometry(REAL[name]).rooms:
        for question in asked(room, NEAREST[0]):
            target, *options = question.objects
            place = {c: [box for box in room.boxes if box.category == c] for c in question.objects}
            assert len(place[target]) == 1
            far = {c: min(closest_distance(box, place[target][0]) for box in place[c]) for c in options}
            ranked = sorted(far.values())
            assert answer_text(question) == min(far, key=far.get)
            assert ranked[0] >= 0.13 and np.diff(ranked).min() >= (0.3 if room.floor_area_m2 > 40 else 0.15) - 1e-3
            several, found = several + any(len(place[c]) > 1 for c in options), found + 1
    assert found >= least and several > found / 2


# ---------------------------------------------------------------------------------------------------- colours and walks


def likeness(a, b) -> float:
    """CIE 1976 distance of two sRGB colours, from the standard's formulas."""

    def lab(color):
        linear = [(v / 12.92) if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.asarray(color) / 255]
        to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
        x, y, z = (sum(m * v for m, v in zip(row, linear, strict=True)) for row in to_xyz)
        f = [v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x / 0.9505, y, z / 1.089)]
        return 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])

    return math.dist(lab(a), lab(b))


HOUSEHOLD = """basket blanket bookshelf bowl bucket clock crate cup cushion door fan guitar heater kettle keyboard
laptop microwave monitor pan pillow printer shoes sink telephone towel whiteboard window""".split()


def test_no_two_categories_of_a_room_look_alike():
    from vsr_kit.rooms import CATEGORIES
    from vsr_kit.videos import category_color
    from vsr_kit.videos.rendering import category_colors, color_distance

    rng = np.random.default_rng(0)
    for _ in range(40):
        names = [*rng.permutation(HOUSEHOLD)[:14].tolist(), *rng.permutation(CATEGORIES)[:6].tolist()]
        colors = category_colors(names)
        assert colors == category_colors(reversed(names))
        for a, b in combinations(names, 2):
            if not {a, b} <= set(CATEGORIES):
                assert likeness(colors[a], colors[b]) > 15
                assert color_distance(np.array([colors[a]]), np.array([colors[b]])) > 15  # in shade and far off, too
        assert all(colors[name] == category_color(name) for name in names if name in CATEGORIES)
    crowd = category_colors(f"thing {i}" for i in range(150))
    assert len(set(crowd.values())) == 150
    for pair in ({"door", "telephone"}, {"printer", "guitar"}):
        assert likeness(*category_colors(pair).values()) > 15


@real
def test_no_two_categories_of_a_real_room_look_alike():
    from vsr_kit.rooms import CATEGORIES

    for room in read_geometry(REAL["scannetpp"]).rooms:
        shown = dict(zip((box.category for box in room.boxes), object_colors(room), strict=True))
        for a, b in combinations(shown, 2):
            if not {a, b} <= set(CATEGORIES):
                assert likeness(shown[a], shown[b]) > 12, (room.name, a, b)


def in_the_way(room, clip) -> tuple[bool, float]:
    """Whether the camera is ever in a box, and the largest share of a frame that one object fills."""
    inside = any(
        (np.abs((eye - box.center) @ np.asarray(box.axes).T) <= np.asarray(box.size) / 2).all()
        for box in room.boxes
        for eye in clip.path.positions_m_F3
    )
    fills = [np.bincount(ids[ids >= 0]).max(initial=0) / ids.size for ids in clip.object_ids_FHW]
    return inside, max(fills)


def tall_room(name: str) -> Room:
    """Half of the way around the walls is taken by tall shelves."""
    shelves = [Box("shelf", (x, y, 1.1), (0.9, 0.9, 2.2)) for x, y in ((2.4, 0), (2.3, 1.8), (0.5, 2), (2.3, -1.8))]
    return Room(name, "d", (*shelves, cube("bin", 0, 0)), Box("room", (0, 0, 1.35), (6, 5, 2.7)), 30.0)


def test_the_camera_takes_a_walk_with_nothing_in_its_way():
    rooms = [tall_room(f"room {i}") for i in range(8)]
    first = [in_the_way(room, film(room, 12, 28, clear=False)) for room in rooms]
    clear = [in_the_way(room, film(room, 12, 28)) for room in rooms]
    assert any(inside or fills > 0.8 for inside, fills in first)
    assert not any(inside or fills > 0.8 for inside, fills in clear)
    for room, (inside, fills) in zip(rooms, first, strict=True):
        if not inside and fills < 0.3:  # far from both limits: it stays as it was
            assert (film(room, 3, 28).path.yaw_deg_F == film(room, 3, 28, clear=False).path.yaw_deg_F).all()
    one, other = (film(rooms[0], frames, 28).path for frames in (3, 5))
    assert np.allclose(one.positions_m_F3[[0, 1, 2]], other.positions_m_F3[[0, 2, 4]])  # the same walk at any number


def test_where_no_walk_is_clear_a_room_is_filmed_all_the_same():
    box = Box("tent", (0.0, 0.0, 1.5), (9.0, 9.0, 3.0))
    room = Room("s", "d", (box,), Box("room", (0, 0, 1.5), (10.0, 10.0, 3.0)), 100.0)
    assert film(room, 2, 28).frames_FHW3.shape == (2, 28, 28, 3)


@real
def test_real_rooms_are_filmed_clear():
    rooms = read_geometry(REAL["scannetpp"]).rooms[::3]
    found = [in_the_way(room, film(room, 8, 28)) for room in rooms]
    assert not any(inside or fills > 0.8 for inside, fills in found)


# ------------------------------------------------------------------------- the study's clips, by formulas of their own


def old_colors(room: Room) -> np.ndarray:
    import colorsys

    from vsr_kit.rooms import CATEGORIES

    colors = []
    for i, box in enumerate(room.boxes):
        index = CATEGORIES.index(box.category)
        rgb = colorsys.hsv_to_rgb((index % 12) / 12, 1.0 if index < 12 else 0.5, 0.92)
        colors.append(np.array([255 * v for v in rgb]) * (0.84 + 0.16 * ((31 * i + len(room.boxes)) % 7) / 6))
    return np.array(colors, np.float32).reshape(-1, 3)


def test_procedural_clips_are_what_they_were(monkeypatch):
    import zlib

    from vsr_kit.videos import rendering

    for room in make_rooms(4, seed=77):
        new = film(room, 4, 56).frames_FHW3
        path = camera_walk(room, 4, zlib.crc32(room.name.encode()))
        with monkeypatch.context() as patch:
            patch.setattr(rendering, "object_colors", old_colors)
            assert (render(room, path, 56).frames_FHW3 == new).all()


@real
def test_the_studys_real_rooms_have_the_walls_they_had():
    for room in read_geometry(REAL["arkitscenes"], STUDY_RULES.walls).rooms:
        local = np.concatenate([box.corners() for box in room.boxes]) @ np.asarray(room.shell.axes).T
        sides = np.ptp(local, axis=0)[:2] + 0.5
        grow = max(1.0, math.sqrt(room.floor_area_m2 / np.prod(sides)))
        assert room.shell.size[:2] == pytest.approx(tuple(sides * grow))
        assert (object_colors(room) == old_colors(room)).all()


def test_counts_of_types_by_rule_set():
    rooms = [replace(room, dataset="mine") for room in make_rooms(10, seed=3)]
    new, old = (Counter(row["question_type"] for row in make_rows(rooms, rules=rules)) for rules in RULES)
    assert new["object_rel_distance"] > 1.5 * old["object_rel_distance"]
    assert new["object_abs_distance"] < old["object_abs_distance"]
    same = ("object_size_estimation", "object_counting", "room_size_estimation", "object_rel_direction_hard")
    assert [new[kind] for kind in same] == [old[kind] for kind in same]
