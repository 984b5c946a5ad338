"""Furnished rooms: nothing overlaps, the door is free, numbers are sensible, and every question can be asked."""

import json
import math
from collections import Counter
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.data import make_rows, room_named
from vsr_kit.pages import furnished as page_of_rooms
from vsr_kit.plots import floor_plan
from vsr_kit.questions import HELD_OUT_TYPES, MULTI_STEP_TYPES, TRAINED_TYPES
from vsr_kit.rooms import (
    CATEGORIES,
    Room,
    box_distance,
    door_of,
    furnished_named,
    furnished_room,
    furnished_rooms,
    make_room,
    read_rooms,
)
from vsr_kit.rooms.arranging import Floor, meet
from vsr_kit.rooms.furnished import DOOR_M, KINDS, _keep_a_door_free, kind_of
from vsr_kit.rooms.generator import _TYPICAL_M
from vsr_kit.videos import (
    CameraPath,
    Clip,
    camera_walk,
    film,
    film_for_people,
    for_people,
    render,
    visible_objects,
    walk_seed,
)
from vsr_kit.videos.filming import _inside
from vsr_kit.videos.rendering import camera_axes, pixel_rays

# The most of each that a room of the kind may have; what is not listed must not be there.
MOST = {
    "bedroom": "bed 1 cabinet 2 dresser 1 desk 1 chair 1 tv 1 shelf 1 radiator 1 lamp 1 plant 1 mirror 1 suitcase 1 "
    "bin 1 stool 1",
    "living room": "tv 1 cabinet 1 sofa 1 table 2 chair 6 piano 1 stool 1 fireplace 1 shelf 2 radiator 1 lamp 1 "
    "plant 2 dresser 1 bin 1",
    "office": "desk 4 chair 8 tv 4 cabinet 1 shelf 2 table 1 plant 1 bin 1 radiator 1 lamp 1 stool 1",
    "kitchen": "refrigerator 1 stove 1 dishwasher 1 cabinet 3 washer 1 table 1 chair 6 bin 1 radiator 1 plant 1 "
    "shelf 1 stool 1 lamp 1",
    "bathroom": "bathtub 1 toilet 1 cabinet 1 mirror 1 washer 1 bin 1 radiator 1 stool 1 plant 1 shelf 1",
    "dining room": "table 1 chair 8 dresser 1 cabinet 1 radiator 1 plant 1 lamp 1 mirror 1 fireplace 1 shelf 1 stool 1",
}
CAMERA_FREE_M = 1.65  # the camera walks at 1.75 m and wants 10 cm


def most(kind: str) -> dict[str, int]:
    words = MOST[kind].split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    return furnished_rooms(200)


def kind(room: Room) -> str:
    return " ".join(room.name.split("-")[1:-1])


def test_nothing_overlaps_and_everything_is_inside(rooms):
    for room in rooms:
        high = np.array(room.shell.size)
        for box in room.boxes:
            corners = box.corners()
            assert (corners > -1e-9).all() and (corners < high + 1e-9).all(), (room.name, box)
            assert box.upright and corners[:, 2].max() <= CAMERA_FREE_M, (room.name, box)
        for a, b in combinations(room.boxes, 2):
            assert box_distance(a, b) > 0, (room.name, a, b)


def test_what_does_not_stand_on_the_floor_stands_on_something_or_hangs_at_the_wall(rooms):
    lifted = 0
    for room in rooms:
        for box in room.boxes:
            bottom = box.corners()[:, 2].min()
            if bottom < 1e-9:
                continue
            lifted += 1
            under = [other for other in room.boxes if 0 < bottom - other.corners()[:, 2].max() < 0.02]
            inside = [o for o in under if np.abs((np.array(box.center) - o.center) @ np.array(o.axes).T)[:2].max() < 1]
            at_wall = min(*box.center[:2], *(np.array(room.shell.size) - box.center)[:2]) < 0.15
            assert inside if box.category == "tv" else at_wall, (room.name, box)
    assert lifted > 100


def test_no_room_has_more_of_anything_than_such_a_room_has(rooms):
    for room in rooms:
        limits = most(kind(room))
        assert all(n <= limits.get(name, 0) for name, n in room.counts.items()), (room.name, room.counts)
        low, high = KINDS[kind(room)][0]
        assert low - 1e-6 <= room.floor_area_m2 <= high + 1e-6
        covered = sum(box.size[0] * box.size[1] for box in room.boxes if box.corners()[:, 2].min() < 0.01)
        assert covered < 0.55 * room.floor_area_m2, room.name


def test_every_kind_has_what_makes_it_one():
    """In nearly every room: a bedroom's bed, a living room's tv and sofa, and so on."""
    needs = {"bedroom": "bed", "living room": "tv sofa", "office": "desk chair", "kitchen": "stove refrigerator"}
    needs |= {"bathroom": "toilet cabinet mirror", "dining room": "table chair"}
    for name, wanted in needs.items():
        found = [set(wanted.split()) <= furnished_room(seed, name).counts.keys() for seed in range(40)]
        assert np.mean(found) > 0.9, (name, np.mean(found))


def test_a_bed_has_its_head_at_a_wall_a_chair_its_desk_and_a_sofa_its_tv():
    for seed in range(40):
        room = furnished_room(seed, "bedroom")
        for bed in (box for box in room.boxes if box.category == "bed"):
            outline, sides = bed.plan(), np.array(room.shell.size[:2])
            assert min(outline.min(), (sides - outline).min()) < 0.05
        office = furnished_room(seed, "office")
        desks = [box for box in office.boxes if box.category == "desk"]
        for desk in desks:
            near = [box_distance(desk, box) for box in office.boxes if box.category == "chair"]
            assert min(near) < 0.35
        living = furnished_room(seed, "living room")
        if {"tv", "sofa"} <= living.unique.keys():
            tv, sofa = living.unique["tv"], living.unique["sofa"]
            ahead = np.array(tv.axes)[1][:2]
            offset = (np.array(sofa.center) - tv.center)[:2]
            assert abs(offset @ ahead) / np.linalg.norm(offset) > 0.99, room.name


@given(st.integers(0, 10**9), st.sampled_from(list(KINDS)))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_same_seed_and_kind_give_the_same_room_and_its_name_gives_it_again(seed, kind):
    room = furnished_room(seed, kind)
    assert room == furnished_room(seed, kind) == furnished_named(room.name) == room_named(room.name)
    assert room.dataset == "furnished" and len(room.boxes) >= 1
    floor = Floor(*room.shell.size[:2])
    rng = np.random.default_rng([seed, list(KINDS).index(kind), 11])
    area = math.exp(rng.uniform(*map(math.log, KINDS[kind][0])))
    assert room.floor_area_m2 == pytest.approx(area)
    rng.uniform(1.0, 1.45), rng.choice([-1, 1])
    _keep_a_door_free(rng, floor)
    (door,) = floor.free
    assert max(door[2] - door[0], door[3] - door[1]) == pytest.approx(DOOR_M)
    for box in room.boxes:
        low, high = box.plan().min(0), box.plan().max(0)
        assert not meet((*low, *high), door), (room.name, box)


def test_sizes_are_of_the_kind_that_the_studys_rooms_have(rooms):
    """Within the generator's own spread: 0.6 to 1.8 times the typical size, times e^±0.25 for each side."""
    for box in (box for room in rooms for box in room.boxes):
        assert box.category in CATEGORIES
        factor = np.sort(box.size) / np.sort(_TYPICAL_M[box.category])
        assert (factor > 0.46).all() and (factor < 2.32).all(), (box.category, box.size)


def test_every_question_type_can_be_asked_of_some_dozens_of_rooms(rooms):
    few = rooms[:36]
    clips = {room.name: film(room, num_frames=16, size_px=56) for room in few}
    asked = Counter(row["question_type"] for row in make_rows(few, clips=clips, max_per_type=2))
    assert set(asked) == {*TRAINED_TYPES, *HELD_OUT_TYPES}
    assert min(asked.values()) >= 5, asked
    steps = Counter(row["question_type"] for row in make_rows(few, clips=clips, types=MULTI_STEP_TYPES, max_per_type=2))
    assert set(steps) == set(MULTI_STEP_TYPES) and min(steps.values()) >= 5, steps
    assert {row["rules"] for row in make_rows(few[:2])} == {"benchmark"}


def test_they_are_filmed_and_drawn_like_any_other_room(rooms):
    """The camera has elbow room on its way, nothing fills its view, and most of what is there comes into sight."""
    for room in rooms[:40]:
        path = camera_walk(room, 8, walk_seed(room))
        assert _inside(room, path) == 0
        clip = render(room, path, 56)
        assert len(visible_objects(clip, 4)) >= 0.6 * len(room.boxes), room.name
    plan = floor_plan(room, path, [room.boxes[0].category], source="measured now")
    assert room.name in plan.alt and "<svg" in plan.to_svg()


def test_names_are_no_names_of_the_study(rooms):
    names = [room.name for room in rooms]
    assert len(set(names)) == 200 and {kind_of(i) for i in range(50)} == set(KINDS)
    assert {kind(room) for room in rooms[:6]} == set(KINDS) and furnished_room(3) == furnished_room(3, kind_of(3))
    assert all(name == f"furnished-{list(KINDS)[i % 6].replace(' ', '-')}-{i}" for i, name in enumerate(names))
    for name in ("furnished-attic-3", "furnished-office-", "furnished-office-03", "test-0-00001x", "furnished", ""):
        assert furnished_named(name) is None and room_named(name) is None
    assert room_named("test-0-00001").dataset == "procedural"


def test_errors_name_value_and_remedy():
    with pytest.raises(ValueError, match="seed is -1: give an integer from 0"):
        furnished_room(-1)
    with pytest.raises(ValueError, match="attic.*choose one of bedroom, living room"):
        furnished_room(0, "attic")
    with pytest.raises(ValueError, match="cannot make 0 furnished rooms"):
        furnished_rooms(0)
    with pytest.raises(ValueError, match="rooms is some.json, a file's name.*give a number"):
        read_rooms("some.json", furnished=True)


def test_vsr_build_furnishes_rooms(tmp_path):
    words = ["build", "--rooms", "3", "--furnished", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    rooms = json.loads((tmp_path / "out" / "rooms.json").read_text())
    assert [room["name"] for room in rooms] == [room.name for room in furnished_rooms(3)]


# -- doors, and the page that shows such rooms -------------------------------------------------------------------------


def test_a_door_is_where_the_room_keeps_its_floor_free(rooms):
    for room in rooms:
        door = door_of(room)
        x0, y0, x1, y1 = door.free
        width, depth = room.shell.size[:2]
        assert (x1 - x0, y1 - y0) == pytest.approx((DOOR_M, DOOR_M))
        at_wall = {0: y0, 1: width - x1, 2: depth - y1, 3: x0}[door.wall]
        assert abs(at_wall) < 1e-9, room.name
        for box in room.boxes:
            assert not meet((*box.plan().min(0), *box.plan().max(0)), door.free), (room.name, box)
        hinge, latch, opened = door.swing
        for ahead in (latch - hinge, opened - hinge):
            assert np.linalg.norm(ahead) == pytest.approx(DOOR_M)
        assert (latch - hinge) @ (opened - hinge) == pytest.approx(0)
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        assert all(np.abs(corners - point).sum(1).min() < 1e-9 for point in door.swing)


def test_only_furnished_rooms_have_a_door_and_a_changed_one_has_none(rooms):
    room = rooms[0]
    plain = make_room(3)
    larger = replace(room, shell=replace(room.shell, size=tuple(1.1 * side for side in room.shell.size)))
    assert door_of(plain) is None and door_of(larger) is None
    assert door_of(replace(plain, name=room.name)) is None
    assert door_of(Room.from_dict(json.loads(json.dumps(room.to_dict())))) == door_of(room)


def test_a_plan_draws_the_door_and_says_so(rooms):
    room = rooms[1]
    plan = floor_plan(room, source="measured now")
    (arc,) = [t for t in plan.data if t.mode == "lines" and t.line.dash == "dot"]
    points, hinge = np.column_stack([arc.x, arc.y]), door_of(room).swing[0]
    assert np.hypot(*(points - hinge).T) == pytest.approx(np.full(13, DOOR_M), abs=2e-3)
    assert "A door opens into it." in plan.alt and 'stroke-dasharray="' in plan.to_svg()
    bare = floor_plan(make_room(3), source="measured now")
    assert "door" not in bare.alt and not [t for t in bare.data if t.mode == "lines" and t.line.dash == "dot"]


@pytest.mark.parametrize("seed", range(4))
def test_a_frame_for_people_shows_the_door_at_its_place_and_the_models_does_not(seed, monkeypatch):
    """Rays that meet the door's rectangle on its wall, and those alone, have another colour than the bare wall."""
    room = next(room for room in furnished_rooms(60) if door_of(room).wall == seed)
    door, (width, depth, _) = door_of(room), room.shell.size
    middle = np.array([width, depth]) / 2
    target = door.swing[:2].mean(0)
    yaw = math.degrees(math.atan2(*(target - middle)[::-1]))
    path = CameraPath(np.array([[*middle, 1.7]]), np.array([yaw]), -5.0, 70.0)
    large, model = film_for_people(room, path, 96), render(room, path, 96)
    monkeypatch.setattr(for_people, "door_of", lambda room: None)
    bare = film_for_people(room, path, 96)
    changed = (large.frames_FHW3[0] != bare.frames_FHW3[0]).any(-1)
    rays = pixel_rays(camera_axes(path, 0), path.fov_deg, 96)
    ends = path.positions_m_F3[0] + rays * large.depth_m_FHW[0][..., None]
    along, (start, end) = ends[..., door.wall % 2], door.span
    from_wall = {0: ends[..., 1], 1: width - ends[..., 0], 2: depth - ends[..., 1], 3: ends[..., 0]}[door.wall]
    off = np.maximum(np.abs(along - (start + end) / 2) - (end - start) / 2, ends[..., 2] - 2.02)
    on_wall = (large.object_ids_FHW[0] < 0) & (np.abs(from_wall) < 0.02) & (ends[..., 2] > 0.03)
    assert changed.sum() > 200
    assert changed[on_wall & (off < -0.06)].mean() > 0.99 and not changed[~on_wall | (off > 0.06)].mean() > 0.01
    assert np.array_equal(model.frames_FHW3, render(replace(room, name="x", dataset="x"), path, 96).frames_FHW3)


def test_the_page_shows_a_room_of_every_kind_and_why_the_study_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(page_of_rooms, "SIZE_PX", 32)
    monkeypatch.setattr(page_of_rooms, "film", lambda room: film(room, num_frames=2, size_px=28, clear=False))
    html = page_of_rooms.write_rooms(tmp_path).read_text()
    for name in KINDS:
        assert f"<h2>{name.capitalize()}, " in html
    assert html.count("A door opens into it.") >= 6 and html.count("as the model sees it, and the same drawn") == 6
    assert "the shipped model was trained on such rooms" in html and 'href="index.html"' in html
    assert "http" not in html.replace("http://www.w3.org", "")
    monkeypatch.setattr(page_of_rooms, "pictures", lambda room: {"plan": "<", "frames": ""})
    alone = page_of_rooms.write_rooms(tmp_path, index="").read_text()
    assert 'href="' not in alone and "<div>&lt;</div>" in alone


def test_the_fullest_frame_is_the_one_with_most_objects():
    ids = np.full((3, 50, 50), -1)
    ids[1, :10], ids[1, 20:30] = 0, 1
    ids[2, :30], ids[2, 30, :5] = 0, 1  # much of one, and hardly any of another
    clip = Clip(np.zeros((3, 50, 50, 3), np.uint8), ids, np.zeros((3, 50, 50)), None)
    assert page_of_rooms.fullest_frame(clip) == 1
