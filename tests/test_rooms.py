"""Rooms: rules of a box, distances against slow ones, the generator's spreads, the readers' errors."""

import copy
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tests.oracles import closest_distance, surface_points
from vsr_kit.rooms import (
    CATEGORIES,
    Box,
    Room,
    box_distance,
    center_distance,
    load_rooms,
    make_room,
    make_rooms,
    pairwise_distances,
    read_geometry,
    read_rooms,
    save_rooms,
    yaw_axes,
)

MM = 1e-3
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "arkitscenes_meta_info_val.json"
ARKITSCENES = "chair table sofa tv stool bed toilet stove bathtub washer refrigerator fireplace dishwasher".split()


def tilted(category, center, size, rotation) -> Box:
    return Box(category, tuple(center), tuple(size), tuple(map(tuple, rotation.as_matrix().T.tolist())))


def random_box(rng, kind: str) -> Box:
    center, size = rng.uniform(-1.5, 1.5, 3), rng.uniform(0.05, 2.0, 3)
    turn = Rotation.from_euler("z", rng.uniform(0, 360), degrees=True)
    if kind == "tilted":
        turn = Rotation.random(random_state=int(rng.integers(2**31)))
    if kind == "leaning":  # looks upright, and over two metres is not
        turn = Rotation.from_euler("x", rng.choice([0.03, 0.09, 2.0]), degrees=True) * turn
    box = tilted("box", center, size, turn)
    if kind == "permuted":  # upright, but the vertical axis is not the third, and axes point the other way
        order = rng.permutation(3)
        axes = np.asarray(box.axes)[order] * rng.choice([-1, 1], (3, 1))
        box = Box("box", box.center, tuple(np.asarray(box.size)[order]), tuple(map(tuple, axes)))
    return box


@pytest.fixture(scope="module")
def rooms():
    return make_rooms(250, seed=5)


@pytest.fixture(scope="module")
def read():
    return read_geometry(REAL)


# ------------------------------------------------------------------------------------------------ boxes and rooms


@pytest.mark.parametrize(
    "change, rule",
    [
        ({"size": (1.0, 0.0, 1.0)}, "above 0 m"),
        ({"size": (1.0, -2.0, 1.0)}, "above 0 m"),
        ({"size": (1.0, math.nan, 1.0)}, "not finite"),
        ({"center": (0.0, math.inf, 0.0)}, "not finite"),
        ({"axes": ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0))}, "orthogonal unit rows"),
        ({"axes": ((2.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 2.0))}, "orthogonal unit rows"),
    ],
)
def test_a_box_that_is_none_is_refused_by_name(change, rule):
    fields = {"category": "sofa", "center": (0.0, 0.0, 0.0), "size": (1.0, 1.0, 1.0)} | change
    with pytest.raises(ValueError, match=rule) as error:
        Box(**fields)
    assert "'sofa'" in str(error.value)


def test_corners_of_a_turned_box():
    box = Box("bed", (1.0, 2.0, 0.5), (2.0, 1.0, 1.0), yaw_axes(90))
    corners = box.corners()
    assert corners.min(0) == pytest.approx([0.5, 1.0, 0.0])
    assert corners.max(0) == pytest.approx([1.5, 3.0, 1.0])
    assert len(np.unique(corners.round(9), axis=0)) == 8
    assert box.longest_m == 2.0


def test_yaw_turns_counter_clockwise_seen_from_above():
    assert yaw_axes(90)[0] == pytest.approx((0.0, 1.0, 0.0))


def test_counts_and_unique_names():
    boxes = tuple(Box(name, (x, 0.0, 0.5), (1.0, 1.0, 1.0)) for x, name in enumerate(["chair", "bed", "chair"]))
    room = Room("r", "d", boxes, Box("room", (0.0, 0.0, 1.0), (9.0, 9.0, 3.0)), 81.0)
    assert room.counts == {"chair": 2, "bed": 1}
    assert list(room.unique) == ["bed"]
    assert room.floor_z_m == -0.5


def test_rooms_survive_json(rooms, tmp_path):
    save_rooms(tmp_path / "rooms.json", rooms[:3])
    assert load_rooms(tmp_path / "rooms.json") == rooms[:3]
    assert list(read_rooms(tmp_path / "rooms.json").rooms) == rooms[:3]


# ---------------------------------------------------------------------------------------------------------- distances


@pytest.mark.parametrize(
    "b, expected",
    [
        (Box("b", (3.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 2.0),  # face to face
        (Box("b", (3.0, 3.0, 0.0), (1.0, 1.0, 1.0)), math.hypot(2, 2)),  # edge to edge
        (Box("b", (3.0, 3.0, 3.0), (1.0, 1.0, 1.0)), math.sqrt(12)),  # corner to corner
        (Box("b", (0.0, 0.0, 5.0), (9.0, 9.0, 1.0)), 4.0),  # above, its outline around the other's
        (Box("b", (1.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 0.0),  # touching
        (Box("b", (0.2, 0.1, 0.0), (0.1, 0.1, 0.1)), 0.0),  # inside
        (Box("b", (3.0, 0.0, 0.0), (1.0, 1.0, 1.0), yaw_axes(45)), 2.5 - math.sqrt(0.5)),  # corner to face
        (Box("b", (2.2, 2.2, 0.0), (3.0, 1.0, 1.0), yaw_axes(-45)), math.hypot(1.7, 1.7) - 0.5),  # turned away
        (tilted("b", (0.0, 0.0, 3.0), (1, 1, 1), Rotation.from_euler("x", 45, degrees=True)), 2.5 - math.sqrt(0.5)),
    ],
)
def test_distance_by_hand(b, expected):
    a = Box("a", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert box_distance(a, b) == pytest.approx(expected, abs=1e-6)
    assert box_distance(b, a) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["yaw", "permuted", "leaning", "tilted"])
def test_distance_equals_corners_and_edges_to_a_millimetre(kind):
    rng = np.random.default_rng(3)
    pairs = [(random_box(rng, kind), random_box(rng, "yaw" if i % 2 else kind)) for i in range(50)]
    wrong = [abs(box_distance(a, b) - closest_distance(a, b)) for a, b in pairs]
    assert max(wrong) < MM
    assert sum(box_distance(a, b) > 0.05 for a, b in pairs) > 15  # not all of them overlap


def test_distance_equals_the_least_between_dense_points():
    rng = np.random.default_rng(8)
    for kind in ("yaw", "tilted"):
        a, b = random_box(rng, kind), random_box(rng, kind)
        b = Box("b", tuple(np.add(b.center, (2.5, 0, 0))), b.size, b.axes)
        sampled = np.linalg.norm(surface_points(a, 15)[:, None] - surface_points(b, 15)[None], axis=-1).min()
        assert box_distance(a, b) <= sampled + 1e-9
        assert box_distance(a, b) == pytest.approx(sampled, abs=0.15)


def test_a_lean_of_a_tenth_of_a_degree_counts():
    """Three metres tall and leaning by 0.09 degrees, a box reaches 2.4 mm further than its outline at mid height."""
    leaning = tilted("shelf", (0, 0, 0), (0.2, 0.2, 3.0), Rotation.from_euler("y", 0.09, degrees=True))
    high = Box("lamp", (1.0, 0.0, 1.45), (0.1, 0.1, 0.1))
    assert box_distance(leaning, high) == pytest.approx(closest_distance(leaning, high), abs=1e-5)
    assert not leaning.upright
    assert Box("a", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), yaw_axes(33)).upright


boxes_of = st.integers(0, 2**32 - 1)
kinds = st.sampled_from(["yaw", "permuted", "leaning", "tilted"])


@settings(max_examples=60, deadline=None)
@given(boxes_of, kinds, st.booleans())
def test_distance_is_symmetric_rigid_and_below_the_centres(seed, kind, upright_motion):
    rng = np.random.default_rng(seed)
    a, b = random_box(rng, kind), random_box(rng, kind)
    distance = box_distance(a, b)
    assert distance == pytest.approx(box_distance(b, a), abs=1e-5)
    assert 0 <= distance <= center_distance(a, b) + 1e-9
    motion = Rotation.from_euler("z", rng.uniform(0, 360), degrees=True)
    if not upright_motion:
        motion = Rotation.random(random_state=int(rng.integers(2**31)))
    shift = rng.uniform(-5, 5, 3)

    def moved(box):
        axes = motion.apply(np.asarray(box.axes))
        return Box(box.category, tuple(motion.apply(box.center) + shift), box.size, tuple(map(tuple, axes)))

    assert box_distance(moved(a), moved(b)) == pytest.approx(distance, abs=MM)
    assert center_distance(moved(a), moved(b)) == pytest.approx(center_distance(a, b), abs=1e-9)


def test_all_pairs_at_once_equal_one_at_a_time():
    rng = np.random.default_rng(1)
    boxes = [random_box(rng, kind) for kind in ("yaw", "tilted", "permuted", "yaw", "leaning")]
    closest, centers = pairwise_distances(boxes), pairwise_distances(boxes, closest_points=False)
    for i, a in enumerate(boxes):
        for j, b in enumerate(boxes):
            assert closest[i, j] == pytest.approx(0.0 if i == j else box_distance(a, b), abs=1e-9)
            assert centers[i, j] == pytest.approx(center_distance(a, b))
    assert pairwise_distances([]).shape == (0, 0)


# ---------------------------------------------------------------------------------------------------------- generator


def test_the_same_seed_makes_the_same_room(rooms):
    assert make_room(7) == make_room(7)
    assert make_room(7).boxes != make_room(8).boxes
    assert make_rooms(4, seed=5) == rooms[:4]
    assert {r.boxes for r in make_rooms(20, seed=6)}.isdisjoint({r.boxes for r in rooms})
    assert len({room.name for room in rooms}) == len(rooms)
    with pytest.raises(ValueError, match="at least 1"):
        make_rooms(0)


def test_boxes_stand_apart_on_the_floor_inside_the_walls(rooms):
    for room in rooms:
        half = np.asarray(room.shell.size) / 2
        for box in room.boxes:
            assert (np.abs(box.corners() - room.shell.center) <= half + 1e-9).all()
            assert box.corners()[:, 2].min() == pytest.approx(room.floor_z_m)
        apart = pairwise_distances(room.boxes)[np.triu_indices(len(room.boxes), 1)]
        assert apart.min() >= 0.12 - 1e-9


def test_floor_areas_spread_from_6_to_80_square_metres(rooms):
    areas = np.array([room.floor_area_m2 for room in rooms])
    assert 6 <= areas.min() < 8
    assert 65 < areas.max() <= 80
    assert 15 < np.median(areas) < 30  # even on a logarithmic scale
    shells = [room.shell.size[0] * room.shell.size[1] for room in rooms]
    assert shells == pytest.approx(areas)


def test_categories_and_their_sizes_vary(rooms):
    assert len(CATEGORIES) >= 20
    assert set(ARKITSCENES) <= set(CATEGORIES)
    sizes = {name: [b.longest_m for room in rooms for b in room.boxes if b.category == name] for name in CATEGORIES}
    assert min(len(found) for found in sizes.values()) > 50
    spread = {name: np.quantile(found, 0.95) / np.quantile(found, 0.05) for name, found in sizes.items()}
    assert sum(factor > 2.4 for factor in spread.values()) >= 20
    assert min(spread.values()) > 1.6  # refrigerator, shelf, mirror and lamp stop below the camera


def test_counts_do_not_follow_from_the_area(rooms):
    many = [r for r in rooms if r.floor_area_m2 > 12]
    counts = [max(room.counts.values()) for room in many]
    assert set(counts) >= {2, 3, 4, 5, 6}
    assert abs(np.corrcoef(counts, [room.floor_area_m2 for room in many])[0, 1]) < 0.35
    assert np.mean([len(room.unique) >= 3 for room in rooms]) > 0.8  # most rooms can be asked everything


# ------------------------------------------------------------------------------------------------------------ readers

SCENE = {
    "room_size": 12.5,
    "dataset": "arkitscenes",
    "object_counts": {"sofa": 1, "chair": 2},
    "object_bbox": {
        "sofa": [{"centroid": [0, 0, -1.0], "axesLengths": [2, 1, 0.8], "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1]}],
        "chair": [
            {"centroid": [2, 1, -1.1], "axesLengths": [0.5, 0.5, 0.9], "normalizedAxes": [0, 1, 0, -1, 0, 0, 0, 0, 1]},
            {"centroid": [2, 2, -1.1], "axesLengths": [0.5, 0.4, 0.9], "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1]},
        ],
    },
}


def geometry_file(tmp_path, scenes) -> Path:
    path = tmp_path / "arkitscenes_meta_info_val.json"
    path.write_text(json.dumps(scenes), encoding="utf-8")
    return path


def test_reads_boxes_as_they_are_oriented(tmp_path):
    read = read_geometry(geometry_file(tmp_path, {"41": SCENE}))
    (room,) = read.rooms
    assert (room.name, room.dataset, room.floor_area_m2, read.skipped) == ("41", "arkitscenes", 12.5, ())
    assert room.counts == {"sofa": 1, "chair": 2}
    assert room.boxes[1].axes[0] == (0.0, 1.0, 0.0)
    assert room.floor_z_m == pytest.approx(-1.55)  # the lowest box marks the floor


def test_a_scene_without_a_dataset_is_named_after_its_file(tmp_path):
    scene = {key: value for key, value in SCENE.items() if key != "dataset"}
    (room,) = read_geometry(geometry_file(tmp_path, {"41": scene})).rooms
    assert room.dataset == "arkitscenes"


def break_box(field, value):
    def change(scene):
        scene["object_bbox"]["chair"][1][field] = value

    return change


def drop_box_field(field):
    def change(scene):
        del scene["object_bbox"]["chair"][1][field]

    return change


def break_scene(field, value):
    def change(scene):
        scene[field] = value

    return change


BOX = ("'chair'[1]",)
BREAKS = [
    (break_scene("room_size", "big"), ("room_size", "finite number")),
    (break_scene("room_size", -3), ("room_size", "above 0")),
    (break_scene("room_size", math.nan), ("room_size", "finite")),
    (break_scene("room_size", True), ("room_size", "finite number")),
    (break_scene("object_bbox", None), ("object_bbox",)),
    (break_scene("object_bbox", []), ("object_bbox",)),
    (break_scene("object_bbox", {}), ("object_bbox",)),
    (break_scene("object_bbox", {"sofa": {}}), ("'sofa'", "list of boxes")),
    (break_scene("object_bbox", {"sofa": []}), ("object_bbox", "no box")),
    (break_scene("object_bbox", {"sofa": [7]}), ("'sofa'[0]", "must be an object")),
    (break_box("centroid", [0, 0]), (*BOX, "centroid", "3 finite numbers")),
    (break_box("centroid", [0, 0, math.inf]), (*BOX, "centroid", "finite")),
    (break_box("centroid", [0, 0, "1"]), (*BOX, "centroid", "finite")),
    (break_box("axesLengths", [1, 1, 0]), (*BOX, "size", "above 0")),
    (break_box("axesLengths", [1, 1]), (*BOX, "axesLengths", "3 finite numbers")),
    (break_box("normalizedAxes", [1, 0, 0, 0, 1, 0, 0, 0]), (*BOX, "normalizedAxes", "9 finite numbers")),
    (break_box("normalizedAxes", [1, 0, 0, 1, 0, 0, 0, 0, 1]), (*BOX, "axes", "orthogonal")),
    (drop_box_field("centroid"), (*BOX, "centroid")),
    (drop_box_field("axesLengths"), (*BOX, "axesLengths")),
    (drop_box_field("normalizedAxes"), (*BOX, "normalizedAxes")),
]


@pytest.mark.parametrize("change, named", BREAKS)
def test_a_malformed_scene_is_skipped_by_name_and_the_others_load(tmp_path, change, named):
    broken = copy.deepcopy(SCENE)
    change(broken)
    read = read_geometry(geometry_file(tmp_path, {"40": SCENE, "41": broken, "42": SCENE}))
    assert [room.name for room in read.rooms] == ["40", "42"]
    (line,) = read.skipped
    for word in ("arkitscenes_meta_info_val.json", "'41'", *named):
        assert word in line


def test_a_scene_that_is_no_object_is_skipped(tmp_path):
    read = read_geometry(geometry_file(tmp_path, {"40": SCENE, "41": [1]}))
    assert len(read.rooms) == 1
    assert "'41'" in read.skipped[0]


@pytest.mark.parametrize(
    "text, rule", [("{", "JSON"), ("[]", "maps scene names"), ("{}", "no scene"), ('{"a": 3}', "'a'")]
)
def test_a_file_without_scenes_is_an_error(tmp_path, text, rule):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rule) as error:
        read_geometry(path)
    assert "bad.json" in str(error.value)


@pytest.mark.parametrize(
    "text, rule",
    [("[{}]", "room 0.*boxes"), ('[{"boxes": 3}]', "room 0"), ("[3]", "room 0"), ("[", "JSON"), ("{}", "list")],
)
def test_our_own_format_names_the_broken_room(tmp_path, text, rule):
    path = tmp_path / "rooms.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=rule):
        load_rooms(path)


@pytest.mark.parametrize("mark", ["", "\ufeff", "\ufeff \n"])
def test_a_byte_order_mark_does_no_harm(tmp_path, mark):
    geometry, ours = tmp_path / "arkitscenes_meta_info_val.json", tmp_path / "rooms.json"
    geometry.write_text(mark + json.dumps({"40": SCENE}), encoding="utf-8")
    save_rooms(ours, make_rooms(1, seed=1))
    ours.write_text(mark + ours.read_text(encoding="utf-8"), encoding="utf-8")
    assert [room.name for room in read_rooms(geometry).rooms] == [room.name for room in read_geometry(geometry).rooms]
    assert load_rooms(ours) == list(read_rooms(ours).rooms) == make_rooms(1, seed=1)


def test_a_list_of_scenes_is_told_what_is_missing(tmp_path):
    path = tmp_path / "scenes.json"
    path.write_text(json.dumps([SCENE | {"scene_name": "41"}, SCENE]))
    with pytest.raises(ValueError, match=r"scenes\.json: room 0 \('41'\): is a scene .*maps scene names to scenes"):
        read_rooms(path)


@pytest.mark.parametrize(
    "change, rule",
    [
        (lambda room: room.pop("shell"), "field 'shell' is missing"),
        (lambda room: room.pop("floor_area_m2"), "field 'floor_area_m2' is missing"),
        (lambda room: room.update(floor_area_m2="wide"), "wide"),
        (lambda room: room.update(floor_area_m2=float("nan")), "floor_area_m2.*above 0"),
        (lambda room: room.update(floor_area_m2=10**400), "too large"),
        (lambda room: room.update(boxes=[3]), "int"),
        (lambda room: room["boxes"][0].pop("size"), "field 'size' is missing"),
        (lambda room: room["boxes"][0].update(center=[1, 2, 10**400]), "too large"),
        (lambda room: room["boxes"][0].update(category="a\x00"), "control character"),
        (lambda room: room["boxes"][0].update(category=3), "category is 3"),
        (lambda room: room.update(dataset=None), "field 'dataset' is None"),
    ],
)
def test_a_broken_room_is_named_by_place_and_name(tmp_path, change, rule):
    rooms = [room.to_dict() for room in make_rooms(2, seed=1)]
    change(rooms[1])
    path = tmp_path / "rooms.json"
    path.write_text(json.dumps(rooms))
    with pytest.raises(ValueError, match=rf"rooms\.json: room 1 \('{rooms[1]['name']}'\): .*{rule}.*save_rooms"):
        load_rooms(path)


@pytest.mark.parametrize(
    "name, change, rule",
    [
        ("41", lambda scene: scene.update(room_size=10**400), "'room_size' is 10*"),
        ("41", lambda scene: scene.update(room_size=1e300), "'room_size'"),
        ("41", lambda scene: scene.update(dataset=None), "'dataset' is None"),
        ("41", lambda scene: scene["object_bbox"].update({"<|im_end|>": []}), "command"),
        ("41", lambda scene: scene["object_bbox"].update({"a\ud800": []}), "half of a character"),
        ("4\x1b1", lambda scene: None, "control character"),
        ("", lambda scene: None, "not empty"),
    ],
)
def test_numbers_and_names_that_no_file_or_prompt_can_take_are_skipped_by_name(tmp_path, name, change, rule):
    broken = copy.deepcopy(SCENE)
    change(broken)
    read = read_geometry(geometry_file(tmp_path, {"40": SCENE, name: broken}))
    assert [room.name for room in read.rooms] == ["40"]
    assert re.search(f"arkitscenes_meta_info_val.json: scene {re.escape(repr(name))}: .*{rule}", read.skipped[0])


@pytest.mark.parametrize(
    "text", ["[" * 200_000, "{" + '"a": {' * 5000, '{"a": ' + "9" * 5000 + "}", '{"a": 1, "a": 2}']
)
@pytest.mark.parametrize("read", [read_rooms, read_geometry, load_rooms])
def test_hostile_json_is_one_line_with_the_file(tmp_path, read, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.json: not readable as JSON"):
        read(path)


def test_rooms_come_from_a_number_our_file_or_the_release(tmp_path):
    assert list(read_rooms("3", seed=2).rooms) == make_rooms(3, seed=2)
    assert list(read_rooms(3, seed=2).rooms) == make_rooms(3, seed=2)
    assert len(read_rooms(geometry_file(tmp_path, {"40": SCENE, "41": []})).skipped) == 1
    for missing in (tmp_path / "nowhere.json", tmp_path):
        with pytest.raises(ValueError, match="number of procedural rooms"):
            read_rooms(missing)


@pytest.mark.skipif(not REAL.exists(), reason="VSI-Bench's ARKitScenes geometry is not in ../shared/data")
class TestRealGeometry:
    def test_all_150_rooms_load(self, read):
        assert len(read.rooms) == 150
        assert read.skipped == ()
        assert {room.dataset for room in read.rooms} == {"arkitscenes"}
        assert {b.category for room in read.rooms for b in room.boxes} == set(ARKITSCENES)

    def test_corners_agree_with_the_stated_bounds_and_counts(self, read):
        scenes = json.loads(REAL.read_text())
        for room in read.rooms:
            scene = scenes[room.name]
            assert room.counts == room.drawn_counts == scene["object_counts"]
            records = [record for name in room.counts for record in scene["object_bbox"][name]]
            for box, record in zip(room.boxes, records, strict=True):
                assert box.corners().min(0) == pytest.approx(record["min"], abs=1e-6)
                assert box.corners().max(0) == pytest.approx(record["max"], abs=1e-6)

    def test_the_stand_in_walls_hold_every_box_and_the_floor_the_lowest(self, read):
        for room in read.rooms:
            corners = np.concatenate([b.corners() for b in room.boxes])
            local = (corners - room.shell.center) @ np.asarray(room.shell.axes).T
            half = np.asarray(room.shell.size) / 2
            assert (np.abs(local) <= half + 1e-9).all()
            assert room.floor_z_m == pytest.approx(min(b.corners()[:, 2].min() for b in room.boxes))
            assert half[0] * half[1] * 4 >= room.floor_area_m2 - 1e-6

    def test_distances_equal_corners_and_edges(self, read):
        pairs = [(a, b) for room in read.rooms for a in room.boxes for b in room.boxes if a is not b]
        leaning = [pair for pair in pairs if not (pair[0].upright and pair[1].upright)]
        for a, b in pairs[::150] + leaning[::25]:
            assert box_distance(a, b) == pytest.approx(closest_distance(a, b), abs=MM)
