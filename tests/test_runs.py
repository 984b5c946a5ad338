"""Run folders: what was written survives a kill, resuming repeats nothing, weights are named by their bytes."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from vsr_kit.files import seal
from vsr_kit.paths import data_samples, smoke
from vsr_kit.runs import RunFolder, git_at_start, run_folders, runs_root
from vsr_kit.runs.provenance import checkpoint_hash, checkpoint_identity, versions
from vsr_kit.runs.watching import Watch


@pytest.fixture
def run(tmp_path):
    return RunFolder.create("try", {"steps": 3}, seed=7, root=tmp_path)


def test_a_new_folder_says_what_runs_and_with_what(run):
    again = RunFolder.open(run.path)
    assert (again.name, again.seed, again.config["config"]) == ("try", 7, {"steps": 3})
    assert again.versions["packages"]["numpy"] == np.__version__
    assert again.versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert again.status == "unfinished"
    assert run.path.name.endswith("-try")


def test_every_attempt_names_the_commit_that_its_process_began_with(tmp_path, monkeypatch):
    assert git_at_start() is git_at_start()  # read once
    monkeypatch.setattr("vsr_kit.runs.folder.git_at_start", lambda: {"commit": "one", "dirty": False})
    run = RunFolder.create("try", root=tmp_path)
    for commit in ("two", "three"):
        run.close()
        monkeypatch.setattr(
            "vsr_kit.runs.folder.git_at_start", lambda commit=commit: {"commit": commit, "dirty": False}
        )
        run = RunFolder.resume(run.path, from_step=1)
    assert [row["git"]["commit"] for row in run.attempts()] == ["one", "two", "three"]
    assert run.versions["git"]["commit"] == "one"


def test_two_runs_of_one_second_get_two_folders(tmp_path):
    made = [RunFolder.create("same", root=tmp_path).path for _ in range(3)]
    assert len(set(made)) == 3
    assert {run.path for run in run_folders(tmp_path)} == set(made)


def test_settings_may_be_a_frozen_record_with_arrays_and_paths(tmp_path):
    @dataclass(frozen=True)
    class Settings:
        lr: float
        folder: Path
        caps: np.ndarray

    run = RunFolder.create("record", Settings(1e-5, Path("a") / "b", np.arange(2)), root=tmp_path)
    assert run.config["config"] == {"lr": 1e-5, "folder": str(Path("a") / "b"), "caps": [0, 1]}


@pytest.mark.parametrize("name", ["", "../up", "a b", "-x", "x" * 81])
def test_a_name_that_is_no_folder_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="letters, digits"):
        RunFolder.create(name, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_environment_says_where_runs_go(monkeypatch, tmp_path):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "elsewhere"))
    assert runs_root() == tmp_path / "elsewhere"
    assert RunFolder.create("x").path.parent == tmp_path / "elsewhere"


def test_metrics_rollouts_and_predictions_read_back(run):
    run.metrics({"step": 1, "reward": np.float32(0.5)})
    run.rollouts([{"step": 1, "completion": "3", "reward": 1.0}, {"step": 1, "completion": "<b>", "reward": 0.0}])
    run.predictions([{"id": 4, "prediction": "3"}])
    assert [(row["step"], row["reward"]) for row in run.read_metrics()] == [(1, 0.5)]
    assert [row["completion"] for row in run.read_rollouts()] == ["3", "<b>"]
    assert run.read_predictions() == [{"id": 4, "prediction": "3"}]


def test_a_row_that_cannot_be_written_is_refused_and_leaves_the_journal_whole(run):
    run.metrics({"step": 1})
    with pytest.raises(TypeError, match="cannot record"):
        run.metrics({"step": 2, "model": object()})
    with pytest.raises(TypeError, match="cannot record"):
        run.predictions([{"id": 1}, {"id": object()}])
    assert [row["step"] for row in run.read_metrics()] == [1]
    assert (run.path / "metrics.jsonl").read_text().count("\n") == 1
    assert run.read_predictions() == []


def test_finishing_turns_rollouts_into_parquet_and_ends_writing(run):
    run.rollouts([{"step": 1, "ground_truth": "3", "tokens": [1, 2]}, {"step": 2, "ground_truth": 4, "extra": None}])
    run.finish()
    assert (run.path / "rollouts.parquet").exists()
    assert not (run.path / "rollouts.jsonl").exists()
    rows = RunFolder.open(run.path).read_rollouts()
    assert [row["ground_truth"] for row in rows] == ["3", "4"]  # mixed types: kept as text
    assert rows[0]["tokens"] == [1, 2]
    assert RunFolder.open(run.path).status == "finished"
    with pytest.raises(ValueError, match="reading only"):
        run.metrics({"step": 9})


def test_reading_never_writes(run):
    with pytest.raises(ValueError, match="resume"):
        RunFolder.open(run.path).summarise(headline={"x": 1})


def test_a_second_writer_is_refused_while_the_first_lives(run):
    with pytest.raises(ValueError, match="another process"):
        RunFolder.resume(run.path)
    run.close()
    assert RunFolder.resume(run.path).attempt == 2


def test_resuming_supersedes_what_is_written_again_and_nothing_else(run):
    for step in (1, 2, 3):
        run.metrics({"step": step, "reward": 0.1})
        run.rollouts([{"step": step, "completion": f"first {step}"}])
    run.metrics({"note": "no step"})
    run.close()
    again = RunFolder.resume(run.path, from_step=2)
    again.metrics({"step": 3, "reward": 0.9})
    again.rollouts([{"step": 3, "completion": "second 3"}])
    assert [row.get("reward") for row in again.read_metrics()] == [0.1, 0.1, None, 0.9]
    assert [row["completion"] for row in again.read_rollouts()] == ["first 1", "first 2", "second 3"]
    assert len(again.read_metrics(superseded=True)) == 5
    again.finish()
    assert [row["completion"] for row in again.read_rollouts()] == ["first 1", "first 2", "second 3"]
    assert len(again.read_rollouts(superseded=True)) == 4


def test_resuming_a_finished_run_keeps_its_parquet_and_adds_to_it(run):
    run.rollouts([{"step": 1, "completion": "a"}])
    run.finish()
    again = RunFolder.resume(run.path, from_step=1)
    again.rollouts([{"step": 2, "completion": "b"}])
    assert [row["completion"] for row in again.read_rollouts()] == ["a", "b"]
    again.finish()
    assert [(row["row"], row["completion"]) for row in again.read_rollouts()] == [(0, "a"), (1, "b")]


def test_a_kill_between_parquet_and_journal_repeats_no_row(run):
    run.rollouts([{"step": 1, "completion": "a"}])
    journal = (run.path / "rollouts.jsonl").read_text()
    run.finish()
    (run.path / "rollouts.jsonl").write_text(journal)  # as if the kill had come before its removal
    assert [row["completion"] for row in run.read_rollouts()] == ["a"]


WRITER = """
import sys
from vsr_kit.runs import RunFolder
run = RunFolder.create("killed", root=sys.argv[1])
step = 0
while True:
    step += 1
    run.metrics({"step": step})
    run.rollouts([{"step": step, "completion": "word " * 2000}])
    print(step, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_kill_loses_nothing_that_was_written_and_the_run_resumes(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    for _ in range(20):
        last = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    (run,) = run_folders(tmp_path)
    with (run.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 99999, "rew')  # a line torn in the middle
    assert {row["step"] for row in run.read_rollouts()} >= set(range(1, last + 1))
    kept = [row["step"] for row in run.read_metrics()]
    assert kept == list(range(1, len(kept) + 1))
    assert len(kept) >= last
    again = RunFolder.resume(run.path)  # the lock died with its holder
    again.metrics({"step": len(kept) + 1})
    assert [row["step"] for row in again.read_metrics()] == [*kept, len(kept) + 1]


def test_damage_inside_a_journal_is_named_not_skipped(run):
    (run.path / "metrics.jsonl").write_text('{"step": 1, "attempt": 1}\nnonsense\n{"step": 2, "attempt": 1}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl, line 2"):
        run.read_metrics()


def pack_metrics(folder):
    """As shipped runs are kept: their metrics gzipped, and the folder sealed."""
    plain = folder / "metrics.jsonl"
    (folder / "metrics.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes(), 9, mtime=0))
    plain.unlink()
    seal(folder)


def test_packed_metrics_are_read_as_plain_ones_and_their_damage_is_told(run):
    for step in (1, 2, 3):
        run.metrics({"step": step, "reward": step / 3})
    run.finish()
    rows, seen = run.read_metrics(), Watch(run).look()
    pack_metrics(run.path)
    again = RunFolder.open(run.path)
    assert again.read_metrics() == rows and len(rows) == 3 and not again.is_empty
    watch = Watch(run.path)
    assert watch.look().rows == seen.rows == rows == watch.look().rows, "a second look finds nothing new"
    packed = run.path / "metrics.jsonl.gz"
    whole = packed.read_bytes()
    for damage in (lambda: packed.write_bytes(whole[:-12]), lambda: packed.write_bytes(b""), packed.unlink):
        damage()
        with pytest.raises(ValueError, match=r"metrics\.jsonl\.gz"):
            again.read_metrics()
        watch = Watch(run.path)
        assert [watch.look().state, watch.look().state] == ["unreadable"] * 2, "also at the second look"
    packed.write_bytes(whole)
    (run.path / "metrics.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(ValueError, match=r"holds metrics\.jsonl and metrics\.jsonl\.gz"):
        again.read_metrics()


def test_the_metrics_that_a_seal_names_count_and_a_packed_run_can_be_written_again(run):
    for step in (1, 2, 3):
        run.metrics({"step": step})
    run.finish()
    other = run.path.parent / "other"
    shutil.copytree(run.path, other)
    (other / "metrics.jsonl").unlink()
    (other / "metrics.jsonl.gz").write_bytes(gzip.compress(b'{"step": 9}\n'))
    with pytest.raises(ValueError, match=r"metrics\.jsonl is missing"):
        RunFolder.open(other).read_metrics()
    pack_metrics(run.path)
    again = RunFolder.resume(run.path)
    again.metrics({"step": 4})
    assert [row["step"] for row in again.read_metrics()] == [1, 2, 3, 4]
    assert not (run.path / "metrics.jsonl.gz").exists()


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no config\.json"):
        RunFolder.open(tmp_path)


def test_summaries_merge(run):
    run.summarise(scores={"before": {"overall": 40.0}}, headline={"reward": 0.4})
    run.summarise(scores={"after": {"overall": 50.0}}, note="n")
    assert run.summary == {
        "scores": {"before": {"overall": 40.0}, "after": {"overall": 50.0}},
        "headline": {"reward": 0.4},
        "note": "n",
    }


def test_the_last_whole_checkpoint_is_the_one_to_resume_from(run):
    assert run.last_checkpoint() is None
    for step, state in ((9, "{}"), (50, "{}"), (100, '{"half')):
        folder = run.checkpoints / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(state)
    (run.checkpoints / "checkpoint-150").mkdir()
    assert run.last_checkpoint().name == "checkpoint-50"


def test_a_checkpoint_is_named_by_its_bytes(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="safetensors"):
        checkpoint_hash(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"\0" * 100)
    first = checkpoint_hash(tmp_path)
    assert checkpoint_hash(tmp_path) == first
    weights.write_bytes(b"\0" * 99 + b"\1")
    assert checkpoint_hash(tmp_path) != first
    assert checkpoint_identity(tmp_path)["sha256"] == checkpoint_hash(tmp_path)
    assert checkpoint_identity("Qwen/Qwen2-VL-2B-Instruct") == {"name": "Qwen/Qwen2-VL-2B-Instruct", "sha256": None}


def test_versions_are_json_and_hold_no_home_or_user():
    record = json.dumps(versions())
    for private in (os.path.expanduser("~") + os.sep, os.environ.get("USER", "\0"), os.environ.get("LOGNAME", "\0")):
        assert private == "root" or private not in record


@pytest.mark.parametrize("value, expected", [("1", True), ("0", False), ("", False), ("TRUE", True)])
def test_the_smoke_budget_is_a_switch_of_the_environment(monkeypatch, value, expected):
    monkeypatch.setenv("VSR_SMOKE", value)
    assert smoke() is expected


def test_a_switch_that_is_neither_is_refused(monkeypatch):
    monkeypatch.setenv("VSR_SMOKE", "maybe")
    with pytest.raises(ValueError, match="VSR_SMOKE must be 1 or 0, got 'maybe'"):
        smoke()


def test_asking_for_a_sample_that_is_not_shipped_names_those_that_are():
    with pytest.raises(FileNotFoundError, match="nothing is shipped as data_samples/no-such-thing"):
        data_samples("no-such-thing")
