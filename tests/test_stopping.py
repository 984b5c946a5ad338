"""Stopping a run from outside: a request in its folder, a button among its sinks, a handle, `vsr stop`."""

import os
import subprocess
import sys
import threading
import time

import pytest
import torch
from transformers import TrainerControl, TrainerState
from typer.testing import CliRunner

from tests.test_resuming import profile  # noqa: F401 - a fixture
from tests.test_training import CLIPS, ROWS, run_of, weights
from vsr_kit.cli import app
from vsr_kit.locks import NAME, Lock, is_held
from vsr_kit.runs import RunFolder, ask_to_stop
from vsr_kit.runs.attempts import INTERRUPTED, UNFINISHED
from vsr_kit.runs.stopping import REQUEST, is_asked, resume_command
from vsr_kit.training.background import train_in_background
from vsr_kit.training.callbacks import StopWhenAsked
from vsr_kit.training.run import train

pytestmark = pytest.mark.usefixtures("rewards_that_differ")
LOCKS = pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
WRITER = """
import sys
from vsr_kit.runs import RunFolder

run = RunFolder.create("other", {}, root=sys.argv[1])
print(run.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """The path of a run that another process works on."""
    words = [sys.executable, "-c", WRITER, str(tmp_path / "runs")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process.stdout.readline().strip(), process
        process.kill()


def vsr(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@LOCKS
def test_a_request_is_left_for_a_run_of_another_process_and_refused_once_that_is_gone(other):
    path, process = other
    assert is_held(path) is True
    assert vsr("stop", path).exit_code == 0 and is_asked(path)
    asked = os.stat(f"{path}/{REQUEST}").st_mtime_ns
    ask_to_stop(RunFolder.open(path))
    assert os.stat(f"{path}/{REQUEST}").st_mtime_ns == asked, "asking again changes nothing"
    process.kill()
    process.wait()
    assert is_held(path) is False
    with pytest.raises(ValueError, match="no process on this machine is working on .*: there is nothing to stop"):
        ask_to_stop(RunFolder.open(path))
    assert "--resume" in str(vsr("stop", path).exception)


@LOCKS
def test_whether_a_folder_is_held_can_be_looked_at_without_being_in_the_way(tmp_path):
    assert is_held(tmp_path) is None, "a copied folder has no lock file"
    lock = Lock(tmp_path)
    assert is_held(tmp_path) is True
    lock.release()
    assert is_held(tmp_path) is False
    import fcntl

    with (tmp_path / NAME).open() as look:  # as is_held does, for longer
        fcntl.flock(look, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert is_held(tmp_path) is False, "two may look at once"
        threading.Timer(0.01, fcntl.flock, (look, fcntl.LOCK_UN)).start()
        Lock(tmp_path).release()


def test_a_run_that_has_ended_is_not_asked(tmp_path):
    run = RunFolder.create("ended", {}, root=tmp_path)
    run.metrics({"step": 1})
    run.finish()
    with pytest.raises(ValueError, match="is finished: there is nothing to stop"):
        ask_to_stop(run)
    assert not is_asked(run.path)


def test_an_evaluation_is_not_asked_and_is_gone_on_with_by_its_own_command(tmp_path):
    run = RunFolder.create("asked", {"split": "val"}, root=tmp_path)
    with pytest.raises(ValueError, match="is an evaluation, which has no steps.*Ctrl-C"):
        ask_to_stop(run)
    assert not is_asked(run.path)
    assert resume_command(run) == f"vsr eval --resume {run.path}"
    trained = RunFolder.create("trained", {"profile": "mini"}, root=tmp_path)
    assert resume_command(trained) == f"vsr train --resume {trained.path}"


def test_what_cannot_begin_in_the_background_is_in_nobodys_way():
    with pytest.raises(TypeError):
        train_in_background("mini", "vanilla", ROWS, on_log=None)
    other = train_in_background("mini", "vanilla", [], clips={})
    with pytest.raises(ValueError, match="0 questions to train on"):
        other.result(60)


def test_a_request_counts_for_one_attempt_only(tmp_path):
    run = RunFolder.create("one", {}, root=tmp_path)
    run.metrics({"step": 1})
    ask_to_stop(run)
    run.close()  # as after a kill
    again = RunFolder.resume(run.path)
    assert not is_asked(run.path), "a resumed run starts without it"
    ask_to_stop(again)
    again.interrupt(1)
    assert not is_asked(run.path), "a stopped run has done what it was asked"
    (run.path / REQUEST).write_text("{}")
    again.go_on(1)
    assert not is_asked(run.path), "nor does one that goes on in the same process"
    ask_to_stop(again)
    again.finish()
    assert not is_asked(run.path)


def test_training_ends_as_all_processes_agree_and_not_as_one_of_them_thinks():
    said = []

    def agree(mine):
        said.append(mine)
        return True

    control = TrainerControl()
    StopWhenAsked([lambda: False], save=True, agree=agree).on_step_end(None, TrainerState(global_step=3), control)
    assert said == [False] and control.should_training_stop and control.should_save
    control = TrainerControl()
    stop = StopWhenAsked([lambda: False, lambda: True], save=False, agree=lambda mine: False)
    stop.on_step_end(None, TrainerState(global_step=3), control)
    assert not control.should_training_stop and not stop.asked


# -- real trainings of a tiny model ------------------------------------------------------------------------------------


class Button:
    """A sink that asks to stop after a step, as widgets.LiveCurves does when its button is pressed."""

    def __init__(self, step, act=None):
        self.step, self.act, self.pressed = step, act, False

    def __call__(self, row):
        if row.get("step") == self.step:
            self.pressed = True
            if self.act:
                self.act()

    def stop_asked(self):
        return self.pressed and self.act is None


def how(run, **more):
    return {"clips": CLIPS, "run": run, "seed": 5, "save_every": 1, "quiet": True} | more


@pytest.mark.parametrize("by", ["request", "button"])
def test_a_training_that_is_asked_ends_after_its_step_and_goes_on_to_the_same_bits(profile, tmp_path, capsys, by):  # noqa: F811
    whole = run_of(tmp_path, "whole")
    train(profile, "vanilla", ROWS, **how(whole))
    run = run_of(tmp_path, "stopped")
    button = Button(2, (lambda: ask_to_stop(run)) if by == "request" else None)
    trained = train(profile, "vanilla", ROWS, **how(run, on_log=button))
    # a step's line is logged after the callbacks of its end: the request made with it is seen one step later
    assert (trained.stopped, trained.steps, trained.good_step, trained.broken) == (INTERRUPTED, 3, 3, None)
    assert (trained.adapter / "adapter_model.safetensors").is_file() and run.last_checkpoint().name == "checkpoint-3"
    assert "stopped after step 3 of 4" in capsys.readouterr().err
    assert (run.status, run.attempts()[-1]["event"], is_asked(run.path)) == (UNFINISHED, "interrupt", False)
    resumed = RunFolder.resume(run.path)
    assert train(profile, "vanilla", ROWS, **how(resumed, resume=True)).steps == 4
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_request_that_comes_with_the_last_step_stops_nothing(profile, tmp_path):  # noqa: F811
    run = run_of(tmp_path, "late")
    trained = train(profile, "vanilla", ROWS, **how(run, on_log=Button(4)))
    assert (trained.stopped, trained.steps) == (None, 4)


def test_a_training_in_the_background_is_stopped_by_its_handle_and_gives_its_result(profile, tmp_path):  # noqa: F811
    run, rows = run_of(tmp_path, "behind"), []
    training = train_in_background(profile, "vanilla", ROWS, **how(run, steps=100_000, on_log=rows.append))
    try:
        with pytest.raises(ValueError, match="a training runs in the background already"):
            train_in_background(profile, "vanilla", ROWS, clips=CLIPS)
        with pytest.raises(TimeoutError, match="the training still runs: step"):
            training.result(0.01)
        while training.step < 2:
            assert training.running
            time.sleep(0.05)
    finally:
        training.stop()
    trained = training.result(120)
    assert trained.stopped == INTERRUPTED and trained.steps < 100_000 and not training.running
    assert [row["step"] for row in run.read_metrics()] == list(range(1, trained.steps + 1))
    assert rows[-1]["step"] == training.step == trained.steps
    assert f"ended after step {trained.steps}" in repr(training)


def test_what_a_training_in_the_background_raises_comes_from_its_result(profile, capsys):  # noqa: F811
    training = train_in_background(profile, "vanilla", ROWS[:1], clips=CLIPS)
    with pytest.raises(ValueError, match="1 questions to train on, a step needs 2"):
        training.result(60)
    assert "ended with an error: 1 questions" in capsys.readouterr().err
    with pytest.raises(ValueError, match="1 questions"):  # and the next may begin
        train_in_background(profile, "vanilla", ROWS[:1], clips=CLIPS).result(60)
