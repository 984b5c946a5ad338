"""VSI-Bench as the hub has it, VSI-100k and own rows: what `--rooms` takes beside rooms."""

import json
import sys

import pytest

from tests.real_files import (
    ARKIT,
    SCENES,
    plain_frames,
    vsi_bench_rows,
    write_films,
    write_lines,
    write_parquet,
    write_sens,
    zipped,
)
from vsr_kit.data import build, make_rows, split_rooms
from vsr_kit.data.sources import find_source
from vsr_kit.evaluation import load_questions
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.rooms import save_rooms

ROWS = vsi_bench_rows()
VSI_BENCH_TYPES = {row["question_type"] for row in ROWS}
NAMES = ["test.jsonl", "test-00000-of-00001.parquet", "data/test-00000-of-00001.parquet", "test_debiased.parquet"]


@pytest.fixture
def films(tmp_path):
    write_films(tmp_path / "bench")
    return tmp_path / "bench"


def write_rows_as(path, rows=ROWS):
    return (write_parquet if path.suffix == ".parquet" else write_lines)(path, rows)


def test_there_is_a_row_of_each_of_the_benchmarks_ten_types():
    assert len(VSI_BENCH_TYPES) == 10 and set(QUESTION_TYPES) >= VSI_BENCH_TYPES


@pytest.mark.parametrize("named", ["folder", "file"])
@pytest.mark.parametrize("name", NAMES)
def test_the_hubs_folder_and_each_of_its_files_are_taken(films, name, named):
    write_rows_as(films / name)
    asked = load_questions(films if named == "folder" else films / name, num_frames=2)
    assert [row["ground_truth"] for row in asked.rows] == [row["ground_truth"] for row in ROWS]
    assert [row["options"] for row in asked.rows] == [row["options"] for row in ROWS]
    assert {row["question_type"] for row in asked.rows} == VSI_BENCH_TYPES
    assert set(asked.clips) == set(SCENES.values()) and asked.clips[ARKIT].shape == (2, 24, 32, 3)
    assert {row["phrasing"] for row in asked.rows} == {"vsi-bench"} and asked.told() == []


def test_the_whole_set_is_taken_before_the_debiased_one(films):
    write_rows_as(films / "test.jsonl")
    write_rows_as(films / "test_debiased.parquet", [{**row, "pruned": False} for row in ROWS[:3]])
    assert len(load_questions(films, num_frames=1).rows) == 10
    assert len(load_questions(films / "test_debiased.parquet", num_frames=1).rows) == 3


def test_parts_of_a_parquet_are_taken_together_and_a_missing_one_is_told(films):
    write_rows_as(films / "test-00000-of-00002.parquet", ROWS[:5])
    with pytest.raises(ValueError, match="has 1 of 2 parts of the questions"):
        load_questions(films)
    write_rows_as(films / "test-00001-of-00002.parquet", ROWS[5:])
    assert len(load_questions(films, num_frames=1).rows) == 10


def test_archives_that_are_not_unpacked_are_named_with_the_remedy(films):
    write_rows_as(films / "test.jsonl")
    for dataset in ("arkitscenes", "scannet"):
        (films / f"{dataset}.zip").write_bytes(zipped(films, dataset))
    for film in films.glob("arkitscenes/*"):
        film.unlink()
    (films / "arkitscenes").rmdir()
    with pytest.raises(ValueError, match=r"arkitscenes\.zip is not unpacked.*unzip .*arkitscenes\.zip -d .*vsr fetch"):
        load_questions(films)
    assert len(load_questions(films, blind=True).rows) == 10  # nothing is shown, nothing is needed
    assert load_questions(films, blind=True).clips == {}


def test_films_without_questions_are_told(films):
    with pytest.raises(ValueError, match=r"no questions: test\.jsonl .*vsr fetch vsi-bench --annotations-only --out"):
        load_questions(films)


def test_films_that_are_missing_are_told_and_left_out_when_told_so(films):
    write_rows_as(films / "test.jsonl")
    (films / "arkitscenes" / f"{ARKIT}.mp4").unlink()
    with pytest.raises(ValueError, match=rf"1 of 3 clips .*arkitscenes/{ARKIT}\.mp4: is missing"):
        load_questions(films)
    asked = load_questions(films, skip_broken=True, num_frames=1)
    assert ARKIT not in asked.clips and len(asked.rows) == 6 and "4 questions left out" in asked.skipped[0]


def test_rows_that_break_a_rule_are_counted_named_and_left_out_when_told_so(films):
    bad = [{**ROWS[0], "id": 50, "ground_truth": "0"}, {**ROWS[4], "id": 51, "ground_truth": "F"}]
    write_rows_as(films / "test.jsonl", [*ROWS, *bad])
    with pytest.raises(
        ValueError, match=r"2 of 12 rows cannot be used: .*line 11: field 'ground_truth'.*--skip-broken"
    ):
        load_questions(films)
    asked = load_questions(films, skip_broken=True, num_frames=1)
    assert len(asked.rows) == 10 and len(asked.skipped) == 2


def test_two_questions_of_one_id_are_refused(films):
    write_rows_as(films / "test.jsonl", [*ROWS, ROWS[0]])
    with pytest.raises(ValueError, match="field 'id' 0 is that of .*line 1, too"):
        load_questions(films)


def test_types_and_numbers_of_each_are_chosen_as_from_any_folder(films):
    write_rows_as(films / "test.jsonl")
    kinds = ("route_planning", "obj_appearance_order")
    asked = load_questions(films, types=kinds, num_frames=1)
    assert {row["question_type"] for row in asked.rows} == set(kinds) and len(asked.clips) == 2
    with pytest.raises(ValueError, match="none of its questions is of these types; it has object_counting"):
        write_rows_as(films / "test.jsonl", ROWS[:1])
        load_questions(films, types=kinds)


def test_a_split_is_no_matter_of_rows_and_that_is_said(films):
    write_rows_as(films / "test.jsonl")
    for split, notes in (("test", 0), ("all", 0), ("val", 1), ("train", 1)):
        told = load_questions(films, split=split, num_frames=1).told()
        assert len(told) == notes and all(f"has no split {split!r}" in line for line in told)


def test_films_may_lie_elsewhere_as_scannet_has_them(tmp_path):
    rows = [row for row in ROWS if row["dataset"] == "scannet"]
    write_sens(tmp_path / "scans" / SCENES["scannet"] / f"{SCENES['scannet']}.sens", plain_frames(5))
    path = write_lines(tmp_path / "own" / "mine.jsonl", rows)
    asked = load_questions(path, videos=tmp_path, num_frames=4)
    assert asked.clips[SCENES["scannet"]].shape == (4, 24, 32, 3)
    with pytest.raises(ValueError, match="leave --videos out"):
        load_questions(2, videos=tmp_path)


def test_rooms_stay_rooms(tmp_path):
    """Numbers, built folders, geometry and saved rooms are no questions."""
    rooms = split_rooms(2, "test")
    build(rooms, tmp_path / "built")
    save_rooms(tmp_path / "rooms.json", rooms)
    box = {"centroid": [0, 0, 0], "axesLengths": [1, 1, 1], "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
    scene = {"room_size": 9.0, "object_bbox": {"chair": [box]}, "dataset": "arkitscenes"}
    geometry = tmp_path / "arkitscenes_meta_info_val.json"
    geometry.write_text(json.dumps({"room": scene}))
    (tmp_path / "geometry_without_end").write_text(json.dumps({"room": scene}))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "empty").mkdir()
    for rooms in (3, "3", "built", "rooms.json", geometry.name, "geometry_without_end", "broken.json", "empty", "none"):
        assert find_source(tmp_path / rooms if isinstance(rooms, str) and rooms != "3" else rooms) is None, rooms
    assert len(load_questions(geometry, split="all", num_frames=1, size_px=28).clips) == 1


def test_rows_are_known_by_what_they_hold_not_by_the_name_of_the_file(films):
    for name in ("rows.json", "rows.txt", "rows"):
        (films / name).write_text(json.dumps(ROWS))
        assert len(load_questions(films / name, num_frames=1).rows) == 10
    write_lines(films / "lines.json", ROWS)
    assert len(load_questions(films / "lines.json", num_frames=1).rows) == 10


def test_damaged_questions_are_named(films):
    (films / "test.jsonl").write_text('{"id": 1}\n{"id"')
    with pytest.raises(ValueError, match=r"test\.jsonl, line 2: is not JSON"):
        load_questions(films)
    (films / "test.jsonl").write_text("")
    with pytest.raises(ValueError, match="holds no row"):
        load_questions(films)
    (films / "test.jsonl").write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match="is damaged parquet"):
        load_questions(films)


def test_the_command_line_tells_of_questions_without_geometry_where_chains_are_wanted(films, monkeypatch, capsys):
    from vsr_kit.cli import main

    write_rows_as(films / "test.jsonl")
    monkeypatch.setattr(sys, "argv", ["vsr", "train", "--recipe", "vision-r1", "--rooms", str(films)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2 and "has questions and no geometry" in capsys.readouterr().err


def test_built_rows_in_a_file_are_taken_too(tmp_path):
    from vsr_kit.videos import film, write_mp4

    (room,) = split_rooms(1, "test")
    clip = film(room, 4, 28)
    (tmp_path / "procedural").mkdir()
    write_mp4(tmp_path / "procedural" / f"{room.name}.mp4", clip.frames_FHW3)
    rows = make_rows([room], clips={room.name: clip})
    path = write_lines(tmp_path / "mine.jsonl", rows)
    assert load_questions(path, num_frames=4).rows == rows
