"""`vsr eval` and `vsr train` on VSI-Bench's folder and VSI-100k: what is asked, refused, left out and recorded."""

import json

import pytest
from typer.testing import CliRunner

from tests.real_files import ARKIT, plain_frames, vsi_bench_rows, write_films, write_lines, write_sens
from vsr_kit.cli import app
from vsr_kit.runs import run_folders
from vsr_kit.training.run import Cost, Trained

ROWS = vsi_bench_rows()
SCANS = ("scene0700_00", "scene0701_00", "scene0011_01")  # the last is another scan of a place of the benchmark


def vsr(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def runs(monkeypatch, tmp_path):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return lambda: run_folders(tmp_path / "runs")


@pytest.fixture
def bench(tmp_path):
    write_films(tmp_path / "vsi-bench")
    return write_lines(tmp_path / "vsi-bench" / "test.jsonl", ROWS).parent


@pytest.fixture
def vsi_100k(tmp_path):
    """Annotations, and ScanNet's scans beside."""
    for scene in SCANS:
        write_sens(tmp_path / "scannet" / "scans" / scene / f"{scene}.sens", plain_frames(9))
    things = ("chair", "table", "lamp", "shelf")
    made = [{"question": f"How many {t}(s)in the room?", "answer": 2, "scene": s} for s in SCANS for t in things]
    (tmp_path / "vsi-100k").mkdir()
    (tmp_path / "vsi-100k" / "object_counting.json").write_text(json.dumps(made))
    return tmp_path / "vsi-100k"


@pytest.fixture
def says_b(monkeypatch):
    """No model: every answer is B."""

    class Said:
        text, num_tokens, truncated = "B", 1, False

    monkeypatch.setattr("vsr_kit.models.loading.load_model", lambda *args, **kwargs: None)
    monkeypatch.setattr("vsr_kit.generation.generate", lambda loaded, rows, clips, **how: [[Said()] for _ in rows])


@pytest.fixture
def trainer(monkeypatch):
    """No training: the rows and clips it would have are kept."""
    seen = []

    def train(profile, method, questions, *, run, seed, **how):
        seen.append((questions.rows, questions.clips))
        run.adapter.mkdir(parents=True, exist_ok=True)
        return Trained(None, run.adapter, [], 1, 6.0, 1.5, Cost(1, 2.0, 5000.0, 3 * 10**9, 0.25))

    monkeypatch.setattr("vsr_kit.training.run.train", train)
    return seen


def test_eval_asks_the_hubs_folder_in_all_ten_types(bench, says_b, runs):
    done = vsr("eval", "--rooms", bench, "--frames", 2, "--per-type", 0)
    assert done.exit_code == 0, done.output
    assert "10 answers" in done.output and "planning" in done.output
    (run,) = runs()
    right = {row["question_type"] for row in ROWS if row["options"]}
    answered = run.read_predictions()
    assert len(answered) == 10 and {r["question_type"] for r in answered if r["ground_truth"] == "B"} == right
    assert run.config["config"]["videos"] is None


def test_eval_without_clips_needs_no_films(bench, says_b, runs):
    for film in bench.glob("*/*.mp4"):
        film.unlink()
    done = vsr("eval", "--rooms", bench, "--clip", "none", "--per-type", 0)
    assert done.exit_code == 0, done.output
    refused = vsr("eval", "--rooms", bench, "--per-type", 0)
    assert "3 of 3 clips are missing" in str(refused.exception)


def test_train_refuses_the_test_set_before_any_film_is_read(bench, trainer, runs):
    for film in bench.glob("*/*.mp4"):
        film.unlink()
    done = vsr("train", "--rooms", bench, "--steps", 1)
    assert "VSI-Bench's own, the test set" in str(done.exception) and "--train-on-test-set" in str(done.exception)
    assert trainer == [] and runs() == []


def test_train_on_the_test_set_when_told_is_recorded(bench, trainer, runs):
    done = vsr("train", "--rooms", bench, "--steps", 1, "--train-on-test-set")
    assert done.exit_code == 0, done.output
    assert "TRAINING ON THE TEST SET" in done.output
    ((rows, clips),) = trainer
    assert ARKIT in {row["scene_name"] for row in rows} and len(clips) == 3
    assert not {"route_planning", "obj_appearance_order"} & {row["question_type"] for row in rows}
    (run,) = runs()
    assert run.config["config"]["train_on_test_set"] is True


def test_train_on_vsi_100k_with_ones_own_scans(vsi_100k, bench, trainer, runs, tmp_path):
    how = ["--rooms", vsi_100k, "--videos", tmp_path / "scannet", "--steps", 1]
    done = vsr("train", *how)
    assert done.exit_code == 0, done.output
    assert "ScanNet's are NOT" in done.output and "none of them is trained on" in done.output
    assert [row["scene_name"] for row in trainer[0][0]][::4] == list(SCANS)
    assert trainer[0][1]["scene0700_00"].shape == (8, 24, 32, 3)
    done = vsr("train", *how, "--benchmark", bench, "--name", "clean")
    assert "left out 4 of 12 questions, about 1 of 3 scenes that VSI-Bench asks about: scene0011_01" in done.output
    assert [row["scene_name"] for row in trainer[1][0]][::4] == list(SCANS[:2])
    config = {run.name: run.config["config"] for run in runs()}
    assert config["clean"]["benchmark"] == [str(bench)] and config["grpo"]["benchmark"] == []
    assert config["clean"]["videos"] == str(tmp_path / "scannet") and config["clean"]["train_on_test_set"] is False


def test_train_leaves_out_the_benchmarks_geometry(trainer, runs, tmp_path):
    box = {"centroid": [0, 0, 0], "axesLengths": [1, 1, 1], "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
    boxes = [[{**box, "centroid": [2 * i, 2 * j, 0]} for i in range(2)] for j in range(8)]
    scene = {"room_size": 90.0, "object_bbox": {f"thing {'abcdefgh'[j]}": own for j, own in enumerate(boxes)}}
    path = tmp_path / "arkitscenes_meta_info_val.json"
    path.write_text(json.dumps({ARKIT: scene}))
    done = vsr("train", "--rooms", path, "--steps", 1)
    assert "nothing is left to train on" in str(done.exception) and ARKIT in str(done.exception)
    assert trainer == []
    path.write_text(json.dumps({ARKIT: scene, "99999999": scene}))
    done = vsr("train", "--rooms", path, "--steps", 1, "--per-room", 9)
    assert done.exit_code == 0, done.output
    assert "ScanNet's" not in done.output  # none of these rooms is of ScanNet
    assert {row["scene_name"] for row in trainer[0][0]} == {"99999999"}


def test_procedural_rooms_are_trained_on_as_ever(trainer, runs):
    done = vsr("train", "--rooms", 2, "--steps", 1)
    assert done.exit_code == 0 and "compared" not in done.output and len(trainer[0][0]) > 4


def test_a_resumed_run_keeps_to_what_it_left_out(vsi_100k, bench, trainer, runs, tmp_path):
    vsr("train", "--rooms", vsi_100k, "--videos", tmp_path / "scannet", "--steps", 1, "--benchmark", bench)
    (run,) = runs()
    (run.path / "status.json").unlink(missing_ok=True)
    done = vsr("train", "--resume", run.path, "--train-on-test-set")
    assert "leave out --train-on-test-set" in str(done.exception)
