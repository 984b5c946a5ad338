"""Data: splits that share nothing, rows that are named when they break a rule, folders that are whole or not there."""

import dataclasses
import itertools
import json
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vsr_kit import data
from vsr_kit.data import (
    SPLITS,
    assign_splits,
    balanced,
    build,
    clip_path,
    load_clips,
    load_vsi_bench,
    make_rows,
    make_samples,
    read_rows,
    sample_clips,
    sample_rooms,
    sample_rows,
    split_rooms,
    write_rows,
)
from vsr_kit.questions import BESIDE_TYPES, HELD_OUT_TYPES, QUESTION_TYPES
from vsr_kit.rooms import load_rooms, make_rooms
from vsr_kit.videos import Video, camera_walk, film, read_mp4, render, write_mp4
from vsr_kit.videos.filming import read_visibility, visibility_of

ROW = {
    "id": 17,
    "dataset": "arkitscenes",
    "scene_name": "41069025",
    "question_type": "object_rel_distance",
    "question": "Measuring from the closest point, which of these objects (chair, table, sofa, tv) is …?",
    "options": ["A. chair", "B. table", "C. sofa", "D. tv"],
    "ground_truth": "C",
}
NUMBER = ROW | {"id": 18, "question_type": "object_counting", "options": None, "ground_truth": "3"}


# ----------------------------------------------------------------------------------------------------------- filming


def test_a_room_is_filmed_by_its_name():
    room = make_rooms(1, seed=3)[0]
    by_hand = render(room, camera_walk(room, 4, seed=zlib.crc32(room.name.encode())), 56)
    assert (film(room, 4, 56).frames_FHW3 == by_hand.frames_FHW3).all()
    other = film(replace(room, name="another"), 4, 56)
    assert (other.frames_FHW3 != by_hand.frames_FHW3).any()
    assert film(room).frames_FHW3.shape == (8, 112, 112, 3)


# ------------------------------------------------------------------------------------------------------------ splits


def test_no_room_is_in_two_splits():
    """Neither by name nor by its boxes, within a seed and across seeds, nor among rooms made without a split."""
    families = {(split, seed): split_rooms(40, split, seed) for split in SPLITS for seed in (0, 1)}
    families["none", 0] = make_rooms(40, seed=0)
    names = Counter(room.name for rooms in families.values() for room in rooms)
    boxes = Counter(room.boxes for rooms in families.values() for room in rooms)
    assert len(names) == len(boxes) == 7 * 40
    assert [room.name for room in families["val", 1]] == [f"val-1-{i:05d}" for i in range(40)]


def test_a_split_is_the_same_every_time_and_grows_at_its_end():
    assert split_rooms(7, "val", 3) == split_rooms(20, "val", 3)[:7]
    assert [room.name for room in split_rooms(2, "train")] == ["train-0-00000", "train-0-00001"]


@pytest.mark.parametrize("n, split, rule", [(3, "dev", "'dev'.*train, val, test"), (0, "val", "at least 1")])
def test_unknown_splits_and_empty_ones_are_refused(n, split, rule):
    with pytest.raises(ValueError, match=rule):
        split_rooms(n, split)


def test_a_real_room_keeps_its_split_whatever_else_is_in_the_file():
    rooms = [replace(room, name=f"41{i:06d}") for i, room in enumerate(make_rooms(1, 0) * 900)]
    splits = assign_splits(rooms, seed=1)
    assert list(splits) == list(SPLITS)
    where = {room.name: split for split, found in splits.items() for room in found}
    assert len(where) == 900
    assert [len(splits[split]) for split in SPLITS] == pytest.approx([720, 90, 90], abs=40)
    again = assign_splits(rooms[::-3], seed=1)
    assert all(where[room.name] == split for split, found in again.items() for room in found)
    assert sum(map(len, again.values())) == 300
    other = assign_splits(rooms, seed=2)
    assert {room.name for room in other["test"]} != {room.name for room in splits["test"]}


def test_shares_may_be_none_and_must_add_up():
    rooms = make_rooms(30, seed=0)
    assert assign_splits(rooms, fractions=(0.0, 0.0, 1.0))["test"] == rooms
    assert assign_splits(rooms, fractions=(1.0, 0.0, 0.0))["train"] == rooms
    for bad in ((0.5, 0.5), (0.9, 0.2, 0.1), (1.2, -0.1, -0.1)):
        with pytest.raises(ValueError, match="add up to 1"):
            assign_splits(rooms, fractions=bad)


# -------------------------------------------------------------------------------------------------------------- rows


def test_rows_of_many_rooms():
    rooms = make_rooms(5, seed=2)
    rows = make_rows(rooms)
    assert {row["scene_name"] for row in rows} == {room.name for room in rooms}
    assert len({row["id"] for row in rows}) == len(rows)
    assert rows == make_rows(rooms)
    assert rows != make_rows(rooms, seed=1)
    default = set(QUESTION_TYPES) - set(BESIDE_TYPES)
    assert {row["question_type"] for row in rows} == default - {"obj_appearance_order"}
    assert {row["question_type"] for row in make_rows(rooms, "vsi-100k")}.isdisjoint(HELD_OUT_TYPES)
    assert {row["question_type"] for row in make_rows(rooms, types=("object_counting",))} == {"object_counting"}
    counts = Counter((row["scene_name"], row["question_type"]) for row in make_rows(rooms, max_per_type=2))
    assert max(counts.values()) == 2
    assert make_rows([]) == []


def test_with_clips_only_what_they_show_is_asked():
    rooms = make_rooms(12, seed=2)
    clips = {room.name: film(room, 1, 32) for room in rooms}
    with_clips, without = make_rows(rooms, clips=clips), make_rows(rooms)
    assert 0 < len(with_clips) < len(without)
    with pytest.raises(ValueError, match=rf"{rooms[3].name}.*film it"):
        make_rows(rooms, clips={room.name: clips[room.name] for room in rooms[:3]})


def test_two_rooms_of_one_name_are_refused():
    room = make_rooms(1, seed=0)[0]
    with pytest.raises(ValueError, match=f"2 rooms are called '{room.name}'"):
        make_rows([room, room])


def test_a_balanced_draw_takes_as_many_of_each_type_room_by_room():
    rows = make_rows(make_rooms(20, seed=4))
    picked = balanced(rows, 15, seed=1)
    kinds = Counter(row["question_type"] for row in picked)
    available = Counter(row["question_type"] for row in rows)
    assert kinds == {kind: min(15, n) for kind, n in available.items()}
    assert len({row["id"] for row in picked}) == len(picked)
    for kind in kinds:
        rooms = Counter(row["scene_name"] for row in picked if row["question_type"] == kind)
        possible = Counter(row["scene_name"] for row in rows if row["question_type"] == kind)
        full = max(rooms.values())
        assert all(rooms[name] >= min(n, full - 1) for name, n in possible.items()), kind
    assert picked == balanced(rows, 15, seed=1)
    assert picked != balanced(rows, 15, seed=2)
    order = [row["question_type"] for row in picked]
    assert sum(a != b for a, b in itertools.pairwise(order)) > 3 * len(kinds)  # mixed, not type by type


# ------------------------------------------------------------------------------------------------------ reading rows


def lines(tmp_path, *records) -> Path:
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in records), encoding="utf-8")
    return path


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = make_rows(make_rooms(3, seed=1)) + make_rows(make_rooms(3, seed=1), "vsi-100k")
    rows[0]["question"] = "Naïve – with a line\u2028separator, and\nbreaks?"
    write_rows(tmp_path / "q.jsonl", rows)
    assert read_rows(tmp_path / "q.jsonl") == rows


def test_what_is_missing_is_filled_in(tmp_path):
    open_word = {key: value for key, value in ROW.items() if key != "options"} | {"id": 19, "ground_truth": "sofa"}
    number = NUMBER | {"ground_truth": 3, "options": []}
    more = NUMBER | {"id": 20, "ground_truth": 1.5, "extra": 1}
    rows = read_rows(lines(tmp_path, "\ufeff", ROW, "\n", open_word, number, more))
    assert [row["phrasing"] for row in rows] == ["vsi-bench", "vsi-100k", "vsi-bench", "vsi-bench"]
    assert [row["ground_truth"] for row in rows] == ["C", "sofa", "3", "1.5"]
    assert [row["options"] for row in rows] == [ROW["options"], None, None, None]
    assert rows[3]["extra"] == 1


def without(field):
    return {key: value for key, value in ROW.items() if key != field}


@pytest.mark.parametrize(
    "record, words",
    [
        ("{broken\n", ("not JSON", "one object a line")),
        ([1], ("list", "must be an object")),
        (without("id"), ("'id'", "missing")),
        (without("dataset"), ("'dataset'", "missing")),
        (without("scene_name"), ("'scene_name'", "missing")),
        (without("question_type"), ("'question_type'", "missing")),
        (without("question"), ("'question'", "missing")),
        (without("ground_truth"), ("'ground_truth'", "missing")),
        (ROW | {"scene_name": 41069025}, ("'scene_name'", "41069025", "text")),
        (ROW | {"question": ""}, ("'question'", "not empty")),
        (ROW | {"dataset": None}, ("'dataset'", "None", "text")),
        (ROW | {"question_type": "object_count"}, ("'question_type'", "'object_count'", "object_counting")),
        (ROW | {"phrasing": "vsi"}, ("'phrasing'", "'vsi'", "vsi-100k")),
        (ROW | {"options": None, "phrasing": "vsi-bench"}, ("'options'", "A. …", "vsi-100k")),
        (ROW | {"options": "A. chair"}, ("'options'", "A. …")),
        (ROW | {"options": ["chair", "table"]}, ("'options'", "A. …")),
        (ROW | {"options": ["A. chair", "C. table"]}, ("'options'", "A. …")),
        (ROW | {"options": ["A. chair", 3]}, ("'options'", "A. …")),
        (ROW | {"options": 3}, ("'options'", "A. …")),
        (ROW | {"ground_truth": "E"}, ("'ground_truth'", "'E'", "letters")),
        (ROW | {"ground_truth": "sofa"}, ("'ground_truth'", "'sofa'", "letters")),
        (NUMBER | {"ground_truth": "three"}, ("'ground_truth'", "'three'", "number")),
        (NUMBER | {"ground_truth": "3 m"}, ("'ground_truth'", "no unit")),
        (NUMBER | {"ground_truth": "nan"}, ("'ground_truth'", "number")),
        (ROW | {"options": None, "ground_truth": True}, ("'ground_truth'", "True", "text")),
    ],
)
def test_a_row_that_breaks_a_rule_is_named_by_line_and_field(tmp_path, record, words):
    with pytest.raises(ValueError) as error:
        read_rows(lines(tmp_path, ROW, NUMBER, record))
    for word in ("questions.jsonl, line 3", *words):
        assert word in str(error.value)


def test_files_that_cannot_hold_rows_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"no file .*vsr build"):
        read_rows(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(json.dumps(ROW, ensure_ascii=False).encode("cp1252", "replace") + b"\xe9")
    with pytest.raises(ValueError, match=r"latin\.jsonl.*UTF-8"):
        read_rows(tmp_path / "latin.jsonl")


# ---------------------------------------------------------------------------------------------------------- VSI-Bench


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    """A cache for `datasets` that the test may fill."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "folder"])
def test_vsi_bench_loads_from_a_copy(tmp_path, own_cache, kind):
    """The folder has the hub repository's layout, so that `datasets` goes the way it goes for the hub id."""
    records = [ROW, NUMBER, ROW | {"id": 19, "ground_truth": "A"}]
    source = tmp_path / f"test.{kind}"
    if kind == "jsonl":
        source.write_text("".join(json.dumps(record) + "\n" for record in records))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        source = tmp_path / "test-00000-of-00001.parquet" if kind == "folder" else source
        pq.write_table(pa.Table.from_pylist(records), source)
    rows = load_vsi_bench(tmp_path if kind == "folder" else source)
    assert rows == [record | {"phrasing": "vsi-bench"} for record in records]


def test_a_copy_with_a_bad_row_names_it(tmp_path, own_cache):
    (tmp_path / "test.jsonl").write_text(
        json.dumps(ROW) + "\n" + json.dumps(ROW | {"id": 2, "ground_truth": "F"}) + "\n"
    )
    with pytest.raises(ValueError, match=r"test\.jsonl, line 2: .*'F'"):
        load_vsi_bench(tmp_path / "test.jsonl")
    (tmp_path / "test.csv").write_text("id\n1\n")
    with pytest.raises(ValueError, match=r"test\.csv.*\.parquet"):
        load_vsi_bench(tmp_path / "test.csv")


def test_without_a_network_the_error_says_what_to_do(own_cache):
    with pytest.raises(ValueError, match=r"nyu-visionx/VSI-Bench.*network.*local copy"):
        load_vsi_bench()


# ------------------------------------------------------------------------------------------------------------- folders


def test_build_writes_rows_rooms_and_clips(tmp_path):
    rooms = split_rooms(3, "val")
    report = build(rooms, tmp_path / "out", video=True, num_frames=6, size_px=56, max_per_type=3, skipped=("scene x",))
    rows = read_rows(tmp_path / "out" / "questions.jsonl")
    clips = {room.name: film(room, 6, 56) for room in rooms}
    assert rows == make_rows(rooms, clips=clips, max_per_type=3, rules="benchmark")
    assert {row["rules"] for row in rows} == {report.rules} == {"benchmark"}
    assert load_rooms(tmp_path / "out" / "rooms.json") == rooms
    assert (report.rooms, report.questions, report.clips, report.skipped) == (3, len(rows), 3, ("scene x",))
    assert report.counts == Counter(row["question_type"] for row in rows)
    assert report.folder == tmp_path / "out"
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    expected = [f"out/procedural/{room.name}.mp4" for room in rooms]
    made = [*expected, "out/build.json", "out/questions.jsonl", "out/rooms.json", "out/visibility.jsonl"]
    assert found == sorted(made)
    for room in rooms:
        frames = read_mp4(clip_path(tmp_path / "out", "procedural", room.name))
        assert np.abs(frames.astype(int) - clips[room.name].frames_FHW3).mean() < 2


def test_build_without_video_and_in_the_other_phrasing(tmp_path):
    rooms = make_rooms(4, seed=9)
    report = build(rooms, tmp_path / "out", "vsi-100k", seed=5)
    made = make_rows(rooms, "vsi-100k", 5)
    assert read_rows(tmp_path / "out" / "questions.jsonl") == [row | {"rules": "benchmark"} for row in made]
    assert report.clips == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["build.json", "questions.jsonl", "rooms.json"]


def test_an_earlier_build_is_replaced_whole(tmp_path):
    out = tmp_path / "out"
    build(make_rooms(2, seed=1), out, video=True, num_frames=1, size_px=16)
    build(make_rooms(1, seed=2), out)
    assert sorted(path.name for path in out.iterdir()) == ["build.json", "questions.jsonl", "rooms.json"]
    assert load_rooms(out / "rooms.json") == make_rooms(1, seed=2)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("foreign", ["thesis.txt", "procedural/notes/a.mp4", "predictions.jsonl"])
def test_a_folder_with_anything_else_is_left_alone(tmp_path, foreign):
    out = tmp_path / "out"
    build(make_rooms(1, seed=1), out)
    (out / foreign).parent.mkdir(parents=True, exist_ok=True)
    (out / foreign).write_text("mine")
    with pytest.raises(ValueError, match="which no build wrote"):
        build(make_rooms(1, seed=2), out)
    assert (out / foreign).read_text() == "mine"
    assert load_rooms(out / "rooms.json") == make_rooms(1, seed=1)


def test_a_killed_build_leaves_the_old_one_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    build(make_rooms(1, seed=1), out)

    def killed(path, frames):
        Path(path).write_bytes(b"half a clip")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(data.datasets, "write_mp4", killed)
        with pytest.raises(KeyboardInterrupt):
            build(make_rooms(2, seed=2), out, video=True, num_frames=1, size_px=16)
    assert load_rooms(out / "rooms.json") == make_rooms(1, seed=1)
    build(make_rooms(2, seed=2), out, video=True, num_frames=1, size_px=16)
    assert len(read_mp4(clip_path(out, "procedural", "room-2-00000"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_build_needs_rooms_of_different_names_and_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="at least one"):
        build([], tmp_path / "out")
    with pytest.raises(ValueError, match="2 rooms are called"):
        build(make_rooms(1) * 2, tmp_path / "out")
    with pytest.raises(ValueError, match="is a file"):
        build(make_rooms(1), tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["../evil", "a/b", "..", "", ".hidden", "c:\\x"])
def test_a_scene_name_cannot_lead_out_of_the_folder(tmp_path, name):
    room = replace(make_rooms(1)[0], name=name)
    with pytest.raises(ValueError, match="cannot name"):
        build([room], tmp_path / "out", video=True, num_frames=1, size_px=16)
    with pytest.raises(ValueError, match="cannot name"):
        load_clips([ROW | {"dataset": name}], tmp_path)
    assert not list(tmp_path.rglob("*.mp4"))


# --------------------------------------------------------------------------------------------------------------- clips


@pytest.fixture
def own_files(tmp_path):
    """Three clips of one's own in the benchmark's layout, and rows that ask about two of them."""
    for i, name in enumerate(["kitchen", "hall", "attic"]):
        clip_path(tmp_path, "mine", name).parent.mkdir(exist_ok=True)
        write_mp4(clip_path(tmp_path, "mine", name), np.full((6, 32, 48, 3), 60 * (i + 1), np.uint8))
    rows = [ROW | {"dataset": "mine", "scene_name": name} for name in ("kitchen", "attic", "kitchen")]
    return tmp_path, rows


def test_clips_of_ones_own(own_files):
    root, rows = own_files
    clips = load_clips(rows, root, num_frames=4)
    assert list(clips) == ["kitchen", "attic"]
    assert len(clips) == 2
    assert clips["kitchen"].shape == (4, 32, 48, 3)
    assert np.abs(clips["kitchen"].astype(int) - 60).max() < 6
    assert np.abs(clips["attic"].astype(int) - 180).max() < 6
    assert load_clips(rows, root)["attic"].shape == (6, 32, 48, 3)
    assert load_clips(rows, root, max_side_px=24)["attic"].shape == (6, 16, 24, 3)
    assert "hall" not in clips
    with pytest.raises(KeyError):
        clips["hall"]


def test_a_clip_is_read_once_as_long_as_memory_lasts(own_files, monkeypatch):
    root, rows = own_files
    rows.append(rows[0] | {"scene_name": "hall"})
    reads, frames = [], np.zeros(400_000, np.uint8)

    def read(path, *_):
        reads.append(path.stem)
        return Video(frames, {})

    monkeypatch.setattr(data.clips, "read_clip", read)
    clips = load_clips(rows, root, memory_mb=1)
    assert reads == []
    for name in ("kitchen", "attic", "kitchen", "hall", "kitchen", "attic"):
        clips[name]
    assert reads == ["kitchen", "attic", "hall", "attic"]  # two fit; the one not used for longest goes
    one = load_clips(rows, root, memory_mb=0.1)
    assert one["hall"].shape == (400_000,)  # one clip is always kept


def test_missing_clips_are_counted_and_named(own_files):
    root, rows = own_files
    rows += [rows[0] | {"scene_name": "cellar"}, rows[0] | {"scene_name": "garage"}]
    with pytest.raises(ValueError, match=r"2 of 4 clips are missing.*mine/cellar\.mp4"):
        load_clips(rows, root)
    with pytest.raises(ValueError, match="'kitchen' is in two data sets"):
        load_clips([*rows[:3], rows[0] | {"dataset": "yours"}], root)


# ------------------------------------------------------------------------------------------------------------- samples


def _digits(value):
    """A record with its numbers to twelve digits after the point."""
    if isinstance(value, float):
        return round(value, 12) + 0.0
    if dataclasses.is_dataclass(value):
        return {field.name: _digits(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _digits(own) for key, own in value.items()}
    return [_digits(own) for own in value] if isinstance(value, (tuple, list)) else value


def test_the_shipped_samples_are_what_the_kit_would_make():
    rooms, made = sample_rooms(), split_rooms(12, "test")
    # Drawn sizes differ in the last digit between processors, and so do places that follow from them; nothing else.
    assert [_digits(room) for room in rooms] == [_digits(room) for room in made]
    clips = sample_clips()
    for room in rooms[::4]:
        assert np.abs(clips[room.name].astype(int) - film(room, 32).frames_FHW3).mean() < 2
    assert sample_clips(8)[rooms[0].name].shape == (8, 112, 112, 3)
    with_clips = make_rows(rooms[:1], clips={rooms[0].name: film(rooms[0], 32)}, max_per_type=5)
    assert [row for row in sample_rows() if row["scene_name"] == rooms[0].name] == with_clips
    recorded = read_visibility(data.datasets.data_samples("rooms", "visibility.jsonl"))
    for room in rooms[::4]:
        filmed = visibility_of(room, film(room, 32))
        assert filmed.to_dict() == recorded[room.dataset, room.name].to_dict()


def test_the_shipped_samples_are_small_and_ours():
    folder = data.datasets.data_samples("rooms")
    clips = sorted(folder.rglob("*.mp4"))
    assert len(clips) == 12
    assert max(path.stat().st_size for path in clips) < 100_000
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 2_000_000
    assert {room.dataset for room in sample_rooms()} == {"procedural"}  # nobody else's geometry is shipped


def test_samples_are_made_by_one_call(tmp_path, monkeypatch):
    monkeypatch.setattr(data.datasets, "SAMPLE_ROOMS", 1)
    report = make_samples(tmp_path / "rooms")
    assert (report.rooms, report.clips) == (1, 1)
    assert load_rooms(tmp_path / "rooms" / "rooms.json") == split_rooms(1, "test")
