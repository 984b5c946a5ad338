"""Questions keep to the frames that are shown, wherever these are sampled from a built folder."""

import json
import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.data import build, make_rows, read_rows, sample_clips, sample_rooms, sample_rows
from vsr_kit.evaluation.evaluate import load_questions
from vsr_kit.rooms import Room, load_rooms, make_rooms, read_geometry
from vsr_kit.videos import film, first_appearance, sample_frame_indices, visible_objects, write_mp4
from vsr_kit.videos.filming import Visibility, read_visibility, shown_rows, visibility_of, write_visibility

SCANNETPP = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "scannetpp_meta_info_val.json"
FRAMES, PX = 24, 56


@pytest.fixture(scope="module")
def rooms():
    """Enough rooms that some have an order of appearance."""
    return [replace(room, dataset="mine") for room in make_rooms(10, seed=12)]


@pytest.fixture(scope="module")
def folder(rooms, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "set"
    build(rooms, out, video=True, num_frames=FRAMES, size_px=PX)
    return out


@cache
def filmed(room_index: int):
    """The clip that the folder's was made from."""
    return film(replace(make_rooms(10, seed=12)[room_index], dataset="mine"), FRAMES, PX)


def shown_by_rendering(rooms: list[Room], rows: list[dict], num_frames: int) -> list[dict]:
    """The rows that hold in the sampled frames, worked out from the pixels of the clip instead of the record."""
    kept = []
    for number, room in enumerate(rooms):
        clip = filmed(number)
        picked = sample_frame_indices(FRAMES, num_frames)
        few = replace(clip, frames_FHW3=clip.frames_FHW3[picked], object_ids_FHW=clip.object_ids_FHW[picked])
        seen = set(visible_objects(few))
        for row in (row for row in rows if row["scene_name"] == room.name):
            if row["question_type"] == "obj_appearance_order":
                firsts = {}
                for name in row["objects"]:
                    own = [first_appearance(few, i) for i, box in enumerate(room.boxes) if box.category == name]
                    firsts[name] = min((f for f in own if f is not None), default=None)
                frames = list(firsts.values())
                (answer,) = [o[3:] for o in row["options"] if o[0] == row["ground_truth"]]
                good = None not in frames and len(set(frames)) == 4
                good = good and answer == ", ".join(sorted(firsts, key=firsts.get))
            else:
                good = all(i in seen for i, box in enumerate(room.boxes) if box.category in row["objects"])
            kept += [row] if good else []
    return kept


@pytest.mark.parametrize("num_frames", [1, 2, 3, 5, 8, 24])
def test_a_folder_is_asked_what_the_sampled_frames_show(rooms, folder, num_frames):
    rows = read_rows(folder / "questions.jsonl")
    asked = load_questions(folder, num_frames=num_frames)
    assert asked.rows == shown_by_rendering(rooms, rows, num_frames)
    assert asked.unseen == len(rows) - len(asked.rows)
    assert (asked.unseen == 0) == (num_frames == FRAMES)
    assert all(len(asked.clips[row["scene_name"]]) == num_frames for row in asked.rows[:3])
    told = [line for line in asked.told() if line.startswith("left out")]
    assert [line.split(" questions")[0] for line in told] == [f"left out {asked.unseen}"] * (asked.unseen > 0)


def test_what_is_left_out_is_left_out_before_questions_are_drawn(folder):
    asked = load_questions(folder, num_frames=2, per_type=3)
    whole = load_questions(folder, num_frames=2)
    assert {row["id"] for row in asked.rows} <= {row["id"] for row in whole.rows}
    assert asked.unseen == whole.unseen
    only = load_questions(folder, num_frames=2, types=("obj_appearance_order",))
    assert only.unseen < whole.unseen and {row["question_type"] for row in only.rows} <= {"obj_appearance_order"}


def test_an_order_that_came_out_otherwise_is_not_asked():
    """Four things that appear one after the other, and fewer and fewer frames to see it in."""
    pixels = np.zeros((5, 8), int)
    for i, first in enumerate((0, 2, 4, 6)):
        pixels[i, first:] = 50
    pixels[4, 7] = 11  # a second lamp, never seen: for an order the first one is enough
    record = Visibility("d", "s", ("bed", "tv", "sofa", "lamp", "lamp"), pixels)
    row = {"question_type": "obj_appearance_order", "objects": ["tv", "lamp", "bed", "sofa"], "ground_truth": "B"}
    row["options"] = ["A. tv, lamp, bed, sofa", "B. bed, tv, sofa, lamp"]
    assert record.shows(row)
    assert not record.shows(row | {"ground_truth": "A"})
    assert record.sampled(8).shows(row)
    assert record.sampled(4).pixels_BF.shape == (5, 4)
    assert not record.sampled(3).shows(row)  # frames 0, 4 and 7: tv and sofa appear together
    assert not record.sampled(1).shows(row)
    assert record.shows(row | {"options": None, "ground_truth": "bed, tv, sofa, lamp"})
    assert not record.shows(row | {"objects": ["tv", "lamp", "bed", "stool"]})


@pytest.mark.parametrize("pixels, shown", [((12, 12), True), ((12, 11), False), ((0, 40), False)])
def test_a_count_needs_every_instance(pixels, shown):
    record = Visibility("d", "s", ("chair", "chair"), np.array([[0, pixels[0]], [0, pixels[1]]]))
    row = {"question_type": "object_counting", "objects": ["chair"], "options": None, "ground_truth": "2"}
    assert record.shows(row) is shown
    assert not record.shows(row | {"objects": ["tv"]})
    assert record.shows(row | {"question_type": "room_size_estimation", "objects": []})
    assert record.shows({key: value for key, value in row.items() if key != "objects"})  # nobody can tell


def test_a_folder_without_a_record_is_asked_whole(folder, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    (own / "visibility.jsonl").unlink()
    asked = load_questions(own, num_frames=2)
    assert asked.rows == read_rows(own / "questions.jsonl") and asked.unseen == 0
    (own / "visibility.jsonl").write_text("")
    assert load_questions(own, num_frames=2).unseen == 0


def test_another_clip_in_place_of_the_built_one_is_named(folder, rooms, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(folder, own)
    path = own / "mine" / f"{rooms[3].name}.mp4"
    write_mp4(path, np.zeros((5, 16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match=f"{rooms[3].name}.mp4 has 5 frames.*tells of 24.*remove the record"):
        load_questions(own, num_frames=2)


@pytest.mark.parametrize(
    "line",
    ["{", "[]", '{"dataset": "d"}', '{"dataset": "d", "scene_name": "s", "categories": ["a", "b"], "pixels": [[1], 2]}']
    + ['{"dataset": "d", "scene_name": "s", "categories": ["a", "b"], "pixels": [[1, 2, 3, 4]]}'],
)
def test_a_record_that_is_none_is_named(tmp_path, line):
    path = tmp_path / "visibility.jsonl"
    write_visibility(path, [Visibility("d", "r", ("a",), np.array([[3]]))])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match="visibility.jsonl, line 2: .*build the folder anew, or remove the file"):
        read_visibility(path)


def test_a_record_survives_its_file(tmp_path, rooms):
    records = [visibility_of(room, film(room, 3, 28)) for room in rooms[:3]]
    bare = replace(rooms[0], name="bare", boxes=())
    write_visibility(tmp_path / "v", [*records, visibility_of(bare, film(bare, 3, 28))])
    read = read_visibility(tmp_path / "v")
    assert [read["mine", room.name].to_dict() for room in rooms[:3]] == [record.to_dict() for record in records]


def test_the_shipped_samples_are_asked_what_their_sampled_frames_show():
    orders = [[r for r in sample_rows(n) if r["question_type"] == "obj_appearance_order"] for n in (None, 8)]
    assert (len(orders[0]), len(orders[1])) == (9, 3)
    clips = {room.name: film(room, 8) for room in sample_rooms()}
    for row in orders[1]:
        (room,) = [room for room in sample_rooms() if room.name == row["scene_name"]]
        first = {}
        for i, box in enumerate(room.boxes):
            frame = first_appearance(clips[room.name], i)
            if frame is not None:
                first[box.category] = min(frame, first.get(box.category, frame))
        (answer,) = [option[3:].split(", ") for option in row["options"] if option[0] == row["ground_truth"]]
        assert [first[name] for name in answer] == sorted({first[name] for name in answer})
    assert len(sample_clips(8)[sample_rooms()[0].name]) == 8


def test_both_commands_say_what_is_left_out_and_by_which_rules(tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    made = CliRunner().invoke(app, ["build", "--rooms", "3", "--out", str(tmp_path / "set"), "--video"])
    assert made.exit_code == 0 and "asked by the rules 'benchmark'" in made.output
    assert {row["rules"] for row in read_rows(tmp_path / "set" / "questions.jsonl")} == {"benchmark"}
    old = CliRunner().invoke(app, ["build", "--rooms", "3", "--out", str(tmp_path / "old"), "--rules", "study"])
    assert old.exit_code == 0 and "asked by the rules 'study'" in old.output
    rows = read_rows(tmp_path / "old" / "questions.jsonl")
    assert rows == make_rows(load_rooms(tmp_path / "old" / "rooms.json"), rules="study")


@pytest.mark.skipif(not SCANNETPP.exists(), reason="the released geometry is not in ../shared/data")
def test_real_rooms_name_nothing_unseen_in_eight_of_32_frames(tmp_path):
    rooms = list(read_geometry(SCANNETPP).rooms)[:2]
    build(rooms, tmp_path / "set", video=True)
    asked, rows = load_questions(tmp_path / "set"), read_rows(tmp_path / "set" / "questions.jsonl")
    assert 0 < asked.unseen < len(rows) / 2
    for room in rooms:
        ids = film(room, 32).object_ids_FHW[sample_frame_indices(32, 8)]
        most = {i: (ids == i).sum(axis=(1, 2)).max() for i in range(len(room.boxes))}
        for row in (row for row in asked.rows if row["scene_name"] == room.name):
            if row["question_type"] != "obj_appearance_order":
                assert all(most[i] >= 12 for i, b in enumerate(room.boxes) if b.category in row["objects"])
    assert shown_rows(rows, tmp_path / "set", 8) == asked.rows
    assert json.loads((tmp_path / "set" / "visibility.jsonl").read_text().split("\n")[0])["scene_name"] == rooms[0].name
