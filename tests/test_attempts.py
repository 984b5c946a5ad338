"""Which rows of a run count, told by its events, or by the rows where events were lost; no marks of refusals."""

import json
import os
import subprocess
import sys

import pytest

from vsr_kit.locks import Lock
from vsr_kit.pages.report import write_report
from vsr_kit.runs import RunFolder, newest_run, run_folders
from vsr_kit.runs.attempts import BROKEN, FINISHED, UNFINISHED


@pytest.fixture
def run(tmp_path):
    return RunFolder.create("try", {"steps": 3}, root=tmp_path)


def resumed_twice(run) -> RunFolder:
    """Steps 1 to 3; killed and resumed from 2, 3 to 5; killed and resumed from 4, 5 to 6."""
    for steps, from_step in (((1, 2, 3), None), ((3, 4, 5), 2), ((5, 6), 4)):
        if from_step is not None:
            run.close()
            run = RunFolder.resume(run.path, from_step)
        for step in steps:
            run.metrics({"step": step})
            run.rollouts([{"step": step, "completion": f"{run.attempt}"}])
    return run


@pytest.mark.parametrize("kept_lines", [0, 1, 2])
def test_lost_events_are_told_by_the_rows(run, kept_lines):
    run = resumed_twice(run)
    counted = run.read_rollouts()
    assert [(row["step"], row["completion"]) for row in counted] == [
        (1, "1"), (2, "1"), (3, "2"), (4, "2"), (5, "3"), (6, "3")
    ]  # fmt: skip
    events = run.path / "attempts.jsonl"
    events.write_text("".join(line + "\n" for line in events.read_text().splitlines()[:kept_lines]))
    assert run.read_rollouts() == counted
    run.close()
    again = RunFolder.resume(run.path, from_step=6)
    assert again.attempt == 4
    again.metrics({"step": 7})
    assert again.read_rollouts() == counted
    assert [row["step"] for row in again.read_metrics()] == [1, 2, 3, 4, 5, 6, 7]
    assert [event["attempt"] for event in again.attempts()][-1] == 4
    events.unlink()
    assert again.read_rollouts() == counted


def test_resuming_marks_nothing_before_its_first_row(run):
    run.metrics({"step": 1})
    with (run.path / "metrics.jsonl").open("a") as journal:
        journal.write('{"step": 2, "torn')
    run.finish()
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    refused = RunFolder.resume(run.path)
    refused.close()
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before
    assert run.status == FINISHED
    again = RunFolder.resume(run.path)
    again.metrics({"step": 2})
    assert (again.status, again.attempts()[-1]["event"]) == (UNFINISHED, "resume")


def test_going_on_from_a_step_is_noted_once_and_supersedes(run):
    for step in (1, 2, 3):
        run.metrics({"step": step})
    run.go_on(2)
    run.go_on(2)
    run.metrics({"step": 3, "again": True})
    assert [event["event"] for event in run.attempts()] == ["start", "resume"]
    assert [row.get("again") for row in run.read_metrics()] == [None, None, True]


def test_a_stopped_training_lets_its_folder_be_resumed_by_the_same_process(run, capsys):
    run.metrics({"step": 1})
    run.interrupt(1)
    run.summarise(headline={"steps": 1})
    run.finish()  # the cell that follows: the run is not finished by it
    assert f"stopped after step 1 and is left unfinished; go on with RunFolder.resume('{run.path}')" in (
        capsys.readouterr().err
    )
    again = RunFolder.resume(run.path)
    assert (again.status, again.attempt) == (UNFINISHED, 2)


def test_the_error_of_a_lock_says_whether_it_is_our_own(run):
    with pytest.raises(ValueError, match="by this process, .*close.. the object"):
        RunFolder.resume(run.path)
    code = "import sys; from vsr_kit.runs import RunFolder; RunFolder.resume(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True)
    assert "is being written by another process; wait for it or stop it first" in done.stderr


def test_a_run_that_broke_says_so_everywhere(run):
    run.metrics({"step": 1, "reward": 0.5})
    run.summarise(headline={"steps": 1}, stopped="loss is nan")
    run.finish(stopped="loss is nan")
    assert (run.status, run.stopped) == (BROKEN, "loss is nan")
    assert run.attempts()[-1] | {"time": 0} == {
        "event": "finish", "attempt": 1, "time": 0, "status": "broken", "reason": "loss is nan"
    }  # fmt: skip
    page = write_report([run]).read_text()
    assert "broke." in page and "loss is nan" in page and "<td>broken</td>" in page


def test_a_run_appears_with_its_settings_or_not_at_all(tmp_path, monkeypatch):
    def killed(*args):
        raise SystemExit

    monkeypatch.setattr("vsr_kit.runs.folder.write_json", killed)
    with pytest.raises(SystemExit):
        RunFolder.create("try", root=tmp_path)
    assert run_folders(tmp_path) == [] and [path.name[0] for path in tmp_path.iterdir()] == ["."]
    monkeypatch.undo()
    (tmp_path / ".set.part").mkdir()  # somebody else's
    (left,) = tmp_path.glob("*.begun")
    lock = Lock(left)
    RunFolder.create("held", root=tmp_path)
    assert left.exists(), "a writer may be at it"
    lock.release()
    RunFolder.create("next", root=tmp_path)
    assert not left.exists() and (tmp_path / ".set.part").exists()


def test_the_newest_run_is_one_that_recorded_something(tmp_path):
    assert newest_run(tmp_path) is None
    first = RunFolder.create("a", root=tmp_path)
    assert newest_run(tmp_path).path == first.path
    first.metrics({"step": 1})
    refused = RunFolder.create("b", root=tmp_path)
    assert newest_run(tmp_path).path == first.path
    assert refused.discard_if_empty() and not refused.path.exists()
    assert not first.discard_if_empty() and first.path.exists()


@pytest.mark.parametrize(
    "file, text, words",
    [
        ("config.json", "[1, 2]", r"is \[1, 2\], must be an object"),
        ("config.json", '{"name": "x", "seed": 0, "started": "t"}', "field 'config' is missing"),
        ("config.json", '{"name": "x", "seed": "0", "started": "t", "config": {}}', "'seed' is '0', must be a whole"),
        ("versions.json", "3", "is 3, must be an object"),
        ("summary.json", "[]", r"is \[\], must be an object"),
        ("metrics.jsonl", "5\n", "line 1: is 5, must be an object"),
        ("metrics.jsonl", '{"step": "two", "attempt": 1}\n', "line 1: field 'step' is 'two', must be a whole number"),
        ("attempts.jsonl", '{"event": "start"}\n', "line 1: field 'attempt' is missing"),
        ("attempts.jsonl", "[]\n", r"line 1: is \[\], must be an object"),
        ("rollouts.jsonl", '{"step": 1}\n', "line 1: field 'row' is missing"),
    ],
)
def test_a_record_that_is_none_is_one_line_with_its_file(run, file, text, words):
    run.metrics({"step": 1})
    run.summarise(headline={"x": 1})
    (run.path / file).write_text(text)
    with pytest.raises(ValueError, match=words) as told:
        write_report([run])
    assert file in str(told.value) and "\n" not in str(told.value)


@pytest.mark.skipif(os.name == "nt", reason="flock")
def test_a_lock_is_let_go_once(tmp_path):
    lock = Lock(tmp_path)
    with pytest.raises(ValueError, match="study .* this process"):
        Lock(tmp_path, "study")
    lock.release()
    lock.release()
    assert json.dumps(os.listdir(tmp_path)) == '[".lock"]'
    Lock(tmp_path).release()
