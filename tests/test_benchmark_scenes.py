"""VSI-Bench is a test set: its rows are refused in training, and its scenes left out of other rows."""

import json
from pathlib import Path

import pytest

from tests.real_files import ARKIT, SCANNET, SCENES, vsi_bench_rows, write_lines
from vsr_kit.data import benchmark_scenes, split_rooms, training_rows
from vsr_kit.data.benchmark import DATASETS, place_of
from vsr_kit.data.benchmark import SCENES as SHIPPED
from vsr_kit.data.rows import make_rows

GEOMETRY = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
ROW = {
    "id": "mine-1",
    "dataset": "scannet",
    "scene_name": "scene0700_00",
    "question_type": "object_counting",
    "question": "How many chair(s)in the room?",
    "options": None,
    "ground_truth": "3",
    "phrasing": "vsi-100k",
}


def rows_of(*scenes, **change):
    return [{**ROW, "id": f"m-{i}", "dataset": d, "scene_name": s, **change} for i, (d, s) in enumerate(scenes)]


def test_the_shipped_names_are_of_two_data_sets_all_different():
    names = {dataset: text.split() for dataset, text in SHIPPED.items()}
    assert {dataset: len(set(own)) for dataset, own in names.items()} == {"arkitscenes": 150, "scannetpp": 50}
    assert names.keys() < DATASETS.keys()


@pytest.mark.parametrize("dataset", SHIPPED)
@pytest.mark.skipif(not GEOMETRY.is_dir(), reason="the release's geometry is not part of the kit")
def test_the_shipped_names_are_the_releases(dataset):
    released = json.loads((GEOMETRY / f"{dataset}_meta_info_val.json").read_text())
    assert sorted(SHIPPED[dataset].split()) == sorted(released)


def test_the_benchmarks_own_rows_are_refused_unless_told():
    rows = [{**row, "phrasing": "vsi-bench"} for row in vsi_bench_rows()]
    with pytest.raises(ValueError, match=r"7 of 10 rows are VSI-Bench's own, the test set \(id 0 about arkitscenes's"):
        training_rows(rows, benchmark_scenes())
    kept, told = training_rows(rows, benchmark_scenes(), allowed=True)
    assert kept == rows and "TRAINING ON THE TEST SET" in told[0]


def test_rows_that_cannot_be_told_from_the_benchmarks_are_refused_until_its_scenes_are_named(tmp_path):
    """ScanNet's are in no file of the kit."""
    rows = [row for row in vsi_bench_rows() if row["dataset"] == "scannet"]
    with pytest.raises(ValueError, match="look like VSI-Bench's own .*no list of its ScanNet scenes.*--benchmark FILE"):
        training_rows(rows, benchmark_scenes())
    bench = write_lines(tmp_path / "test.jsonl", vsi_bench_rows())
    with pytest.raises(ValueError, match="3 of 3 rows are VSI-Bench's own"):
        training_rows(rows, benchmark_scenes([bench]))
    others = [{**row, "scene_name": "scene0001_00"} for row in rows]
    kept, told = training_rows(others, benchmark_scenes([bench]))
    assert kept == others and "1 of ScanNet" in told[0] and "none of them is trained on" in told[0]


def test_other_rows_lose_the_benchmarks_scenes_and_all_is_told(tmp_path):
    rows = rows_of(*SCENES.items(), ("scannet", "scene0700_00"), ("scannet", "scene0011_01"))
    kept, told = training_rows(rows, benchmark_scenes())
    assert [row["scene_name"] for row in kept] == [SCANNET, "scene0700_00", "scene0011_01"]
    assert "50 of ScanNet++, 150 of ARKitScenes" in told[0] and "ScanNet's are NOT" in told[0]
    assert "left out 2 of 5 questions, about 2 of 5 scenes" in told[1] and ARKIT in told[1]
    bench = write_lines(tmp_path / "test.jsonl", vsi_bench_rows())
    kept, told = training_rows(rows, benchmark_scenes([bench]))
    assert [row["scene_name"] for row in kept] == ["scene0700_00"]  # another scan of a place is that place
    assert "NOT" not in told[0] and "1 of ScanNet," in told[0] and str(bench) in told[0]
    assert training_rows(rows, benchmark_scenes([bench]), allowed=True)[0] == rows


def test_nothing_left_is_an_error():
    with pytest.raises(ValueError, match="nothing is left to train on: left out 1 of 1 questions"):
        training_rows(rows_of(("arkitscenes", ARKIT)), benchmark_scenes())


def test_procedural_and_own_rows_pass_untouched():
    procedural = make_rows(split_rooms(2, "train"), "vsi-100k")
    assert training_rows(procedural, benchmark_scenes()) == (procedural, ())
    own = [{**row, "dataset": "my-flat"} for row in vsi_bench_rows()]
    assert training_rows(own, benchmark_scenes()) == (own, ())


def test_rows_that_vsr_build_made_from_other_scenes_are_no_benchmark():
    made = rows_of(("scannet", "scene0700_00"), phrasing="vsi-bench", rules="benchmark", objects=["chair"])
    assert training_rows([{**row, "id": 3} for row in made], benchmark_scenes())[0]


def test_a_place_is_what_two_scans_share():
    assert place_of("scene0011_01") == place_of("scene0011_00") == "scene0011"
    assert place_of("41069025") == "41069025" and place_of("c50d2d1d42") == "c50d2d1d42" and place_of("a_1") == "a_1"


def test_scenes_come_from_questions_folders_and_geometry(tmp_path):
    write_lines(tmp_path / "vsi-bench" / "test.jsonl", vsi_bench_rows())
    box = {"centroid": [0, 0, 0], "axesLengths": [1, 1, 1], "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
    scene = {"room_size": 9.0, "object_bbox": {"chair": [box]}}
    geometry = tmp_path / "scannet_meta_info_val.json"
    geometry.write_text(json.dumps({"scene0095_00": scene}))
    scenes = benchmark_scenes([tmp_path / "vsi-bench", geometry])
    assert scenes.names["scannet"] == {SCANNET, "scene0095_00"} and scenes.has("scannet", "scene0095_01")
    with pytest.raises(ValueError, match="--benchmark .*nothing: there is no such file"):
        benchmark_scenes([tmp_path / "nothing"])
    own = write_lines(tmp_path / "own.jsonl", [{**ROW, "dataset": "mine"}])
    with pytest.raises(ValueError, match=r"own\.jsonl: names no scene of scannet, scannetpp, arkitscenes"):
        benchmark_scenes([own])
