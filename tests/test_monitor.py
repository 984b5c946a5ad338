"""A run watched from its folder: states in words, half-written lines, other processes, hostile text, the button."""

import json
import re
import subprocess
import sys
import time

import pytest

from vsr_kit.paths import data_samples
from vsr_kit.runs import RunFolder
from vsr_kit.runs.stopping import is_asked
from vsr_kit.runs.watching import Watch, planned_steps
from vsr_kit.widgets import RunMonitor

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"
LOCKS = pytest.mark.skipif(sys.platform == "win32", reason="needs file locks")
WRITER = """
import sys
from vsr_kit.runs import RunFolder

run = RunFolder.create("other", {"profile": {"steps": 9}}, root=sys.argv[1])
for line in sys.stdin:
    step = int(line)
    run.metrics({"step": step, "reward": step / 9, "kl": 1e-3 * step})
    run.rollouts([{"step": step, "id": 1, "question": "How many?", "completion": f"answer {step}", "advantage": 0.0}])
    print(run.path, flush=True)
"""


def begun(tmp_path, name="mine", steps=8, **settings) -> RunFolder:
    return RunFolder.create(name, {"steps": steps, **settings}, root=tmp_path / "runs")


def take_step(run, step, **more):
    run.metrics({"step": step, "reward": 0.1 * step, "kl": 1e-4, "entropy": 1.0, **more})
    row = {"step": step, "id": step, "question": "How many?", "ground_truth": "2", "question_type": "object_counting"}
    run.rollouts([row | {"completion": f"answer {step} of {i}", "accuracy_reward": 0.5 * i} for i in range(3)])


def said(monitor) -> str:
    """The answers' table without its markup; what was read as the answer is marked."""
    return re.sub("<[^>]+>", "", monitor.answers.value)


def state(monitor) -> str:
    return monitor.refresh().state


@LOCKS
def test_a_run_is_followed_from_its_first_step_to_its_end(tmp_path):
    run = begun(tmp_path, steps=2)
    monitor = RunMonitor(run)
    assert state(monitor) == "waiting" and "the first step is not done yet" in monitor.told.value
    assert monitor.curves.value == monitor.answers.value == "" and monitor.figure() is None
    take_step(run, 1)
    assert state(monitor) == "running"
    assert "step 1 of 2" in monitor.told.value and "<svg" in monitor.curves.value
    assert "answer 1 of 2" in said(monitor) and "accuracy" in monitor.answers.value
    assert (monitor.progress.value, monitor.progress.max) == (1, 2)
    take_step(run, 2)
    assert state(monitor) == "done" and "answer 2 of 0" in said(monitor)
    run.finish()
    seen = monitor.refresh()
    assert (seen.state, seen.step, len(seen.rollouts)) == ("finished", 2, 3) and seen.ended
    assert monitor.stop.button.layout.display == "none"
    assert "reward" in monitor.figure().alt and monitor.answers.value in monitor.static()


@LOCKS
def test_a_run_of_another_process_is_seen_and_its_death_too(tmp_path):
    words = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def step(number):
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        monitor = RunMonitor(step(1))
        for number in (2, 3, 4):
            step(number)
            assert monitor.refresh().step == number
            assert f"answer {number}" in said(monitor)
        assert state(monitor) == "running" and monitor.seen.steps == 9
        monitor.stop.button.click()
        assert is_asked(monitor.seen and monitor._watch.path) and state(monitor) == "stopping"
        assert monitor.stop.button.disabled and "Stopping after the step" in monitor.told.value
        process.kill()
    assert state(monitor) == "gone" and monitor.seen.ended
    assert "The process is gone" in monitor.told.value and "vsr train --resume" in monitor.told.value


@LOCKS
def test_a_stop_that_is_refused_says_why(tmp_path):
    run = begun(tmp_path)
    take_step(run, 1)
    monitor = RunMonitor(run)
    run.close()
    monitor.stop.button.click()  # the view still shows the button of the look before
    assert "no process on this machine is working on" in monitor.stop.said.value and not is_asked(run.path)


def test_an_interrupted_and_a_resumed_run_show_the_steps_that_count(tmp_path):
    run = begun(tmp_path)
    for step in (1, 2, 3):
        take_step(run, step)
    watch = Watch(run)
    assert watch.look().step == 3
    run.interrupt(3)
    seen = watch.look()
    assert (seen.state, seen.ended) == ("interrupted", True) and "Stopped by someone after step 3" in seen.words
    run.close()
    again = RunFolder.resume(run.path, from_step=1)
    take_step(again, 2)
    seen = watch.look()
    assert [row["step"] for row in seen.rows] == [1, 2] and seen.step == 2 and not seen.ended
    assert {row["attempt"] for row in seen.rollouts} == {2}, "the newest answers, though an earlier attempt had step 3"


def test_a_broken_run_says_what_broke(tmp_path):
    run = begun(tmp_path)
    take_step(run, 1)
    run.finish(stopped=f"kl is nan {HOSTILE}")
    monitor = RunMonitor(run.path)
    assert monitor.seen.state == "broken" and "Broken: kl is nan &lt;script&gt;" in monitor.told.value


def test_a_line_that_is_half_written_is_read_when_it_is_whole(tmp_path):
    run = begun(tmp_path)
    take_step(run, 1)
    watch, journal = Watch(run), run.path / "metrics.jsonl"
    line = json.dumps({"attempt": 1, "step": 2, "reward": 0.5}) + "\n"
    with journal.open("a") as stream:
        stream.write(line[:10])
        stream.flush()
        assert watch.look().step == 1
        stream.write(line[10:])
        stream.flush()
    assert [row["step"] for row in watch.look().rows] == [1, 2]
    with journal.open("a") as stream:
        stream.write("[1, 2]\n")
    seen = watch.look()
    assert seen.state == "unreadable" and "metrics.jsonl" in seen.words and seen.step == 2, "what was read stays"


def test_a_journal_that_was_cut_is_read_anew(tmp_path):
    run = begun(tmp_path)
    for step in (1, 2, 3):
        take_step(run, step)
    watch, journal = Watch(run), run.path / "metrics.jsonl"
    assert watch.look().step == 3
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:1]))
    assert [row["step"] for row in watch.look().rows] == [1]


def test_of_many_rollouts_only_the_newest_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("vsr_kit.runs.watching._FIRST_BYTES", 500)
    run = begun(tmp_path)
    for step in range(1, 30):
        take_step(run, step)
    assert {row["step"] for row in Watch(run).look().rollouts} == {29}


def test_a_folder_that_goes_away_or_was_none_is_told(tmp_path):
    run = begun(tmp_path)
    take_step(run, 1)
    watch = Watch(run)
    watch.look()
    run.close()
    (run.path / "config.json").unlink()
    seen = watch.look()
    assert seen.state == "unreadable" and "no longer there" in seen.words and seen.step == 1
    with pytest.raises(FileNotFoundError, match="is no folder: give a run's folder, or one that holds runs"):
        RunMonitor(tmp_path / "nothing")


def test_numbers_that_are_none_are_no_points_and_stop_nothing(tmp_path):
    run = begun(tmp_path)
    take_step(run, 1, kl=float("nan"), loss=None)
    take_step(run, 2, kl=float("inf"), grad_norm=float("nan"))
    monitor = RunMonitor(run)
    assert monitor.seen.step == 2 and "not logged" in monitor.curves.value and monitor.figure() is not None


def test_a_path_stays_text(tmp_path):
    run = RunFolder.create("mine", {}, root=tmp_path / "<b>runs")
    run.metrics({"step": 1, "reward": 0.1})
    run.interrupt(1)
    told = RunMonitor(run).told.value
    assert "&lt;b&gt;runs" in told and "<b>runs" not in told


@pytest.mark.parametrize("where", ["completion", "question", "ground_truth", "accuracy_reward<script>"])
def test_what_a_model_wrote_stays_text(tmp_path, where):
    run = begun(tmp_path, **{"note": HOSTILE})
    run.metrics({"step": 1, "reward": 0.1, HOSTILE: 1.0})
    run.rollouts([{"step": 1, "completion": "x", "question": "q", where: HOSTILE if "<" not in where else 1.0}])
    monitor = RunMonitor(run, keys=("reward", HOSTILE))
    shown = monitor.told.value + monitor.curves.value + monitor.answers.value + monitor.static()
    assert "<script" not in shown and "<img" not in shown
    assert "&lt;script&gt;alert(1)" in shown


def test_answers_of_another_form_are_told_and_the_curves_stay(tmp_path):
    run = begun(tmp_path)
    run.metrics({"step": 1, "reward": 0.1})
    run.rollouts([{"step": 1, "completion": "x", "advantage": "none"}])
    monitor = RunMonitor(run)
    assert "The answers cannot be shown: could not convert" in monitor.answers.value and "<svg" in monitor.curves.value


def test_the_newest_run_of_a_folder_is_followed_and_another_can_be_chosen(tmp_path):
    (tmp_path / "runs").mkdir()
    monitor = RunMonitor(tmp_path / "runs")
    assert monitor.seen is None and "There is no run in" in monitor.told.value
    first = begun(tmp_path, "first")
    take_step(first, 1)
    assert monitor.refresh().step == 1 and "first" in monitor.told.value
    second = begun(tmp_path, "second")
    for step in (1, 2):
        take_step(second, step)
    assert monitor.refresh().step == 2 and "second" in monitor.told.value
    monitor.choice.value = str(first.path)
    assert monitor.seen.step == 1 and "answer 1" in said(monitor)
    third = begun(tmp_path, "third")
    assert monitor.refresh().step == 1, "a choice stays"
    assert str(third.path) in [path for _, path in monitor.choice.options]


def test_a_run_that_asks_questions_tells_how_many_it_has_answered(tmp_path):
    run = begun(tmp_path, steps=0)
    run.predictions([{"id": i, "prediction": "x"} for i in range(5)])
    monitor = RunMonitor(run)
    assert monitor.seen.answered == 5 and "5 questions answered" in monitor.told.value and monitor.figure() is None


def test_a_shipped_run_is_shown_as_shipped():
    monitor = RunMonitor(data_samples("reference_runs", "grpo-vanilla-seed1"))
    assert (monitor.seen.state, monitor.seen.step, monitor.seen.steps) == ("finished", 240, 240)
    assert ">shipped<" in monitor.curves.value and monitor.figure().source == "shipped"


def test_the_time_left_is_that_of_the_last_steps_of_this_attempt(tmp_path):
    run = begun(tmp_path, steps=100)
    clock = [(1, 50.0), (2, 51.0), (3, 52.0)]
    for step, elapsed in clock:
        run.metrics({"step": step, "elapsed_s": elapsed, "reward": 0.0})
    seen = Watch(run).look()
    assert (seen.step_s, seen.left_s) == (1.0, 97.0)
    run.go_on(3)
    run.close()
    again = RunFolder.resume(run.path, from_step=3)
    again.metrics({"step": 4, "elapsed_s": 9.0, "reward": 0.0})
    assert Watch(run).look().left_s is None, "one step of the new attempt has no pace"
    again.metrics({"step": 6, "elapsed_s": 13.0, "reward": 0.0})
    assert Watch(run).look().left_s == 94 * 2.0


def test_how_many_steps_there_will_be_is_found_where_it_is_written(tmp_path):
    assert planned_steps(begun(tmp_path, steps=7)) == 7
    assert planned_steps(begun(tmp_path, steps=None, profile={"steps": 5})) == 5
    assert planned_steps(begun(tmp_path, steps="many")) is None
    run = begun(tmp_path, steps=7)
    run.identify({"steps": 3})
    assert planned_steps(run) == 3, "what it is made of comes before what somebody noted"


def test_it_follows_by_itself_until_the_run_has_ended_or_it_is_closed(tmp_path):
    run = begun(tmp_path)
    monitor = RunMonitor(run, every_s=0.01)
    monitor.follow()
    take_step(run, 1)
    wait(lambda: monitor.seen.step == 1)
    monitor.close()
    wait(lambda: not monitor.following)
    take_step(run, 2)
    assert monitor.seen.step == 1
    monitor.follow()
    wait(lambda: monitor.seen.step == 2)
    run.interrupt(2)
    wait(lambda: not monitor.following)
    assert monitor.seen.state == "interrupted" and monitor.again.layout.display == ""
    run.close()
    again = RunFolder.resume(run.path, from_step=2)
    take_step(again, 3)
    monitor.again.click()
    wait(lambda: monitor.seen.step == 3)
    again.finish()
    wait(lambda: not monitor.following)
    assert monitor.seen.state == "finished" and monitor.again.layout.display == "none"


def wait(true):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_looking_takes_a_fiftieth_of_the_time_at_most(tmp_path, monkeypatch):
    run = begun(tmp_path)
    monitor, waited, clock = RunMonitor(run, every_s=0.5), [], iter([0.0, 0.2, 1.0, 1.001])
    monkeypatch.setattr("vsr_kit.widgets.monitor.time.thread_time", lambda: next(clock))

    def wait_for(seconds):
        waited.append(seconds)
        if len(waited) == 2:
            monitor.close()

    monkeypatch.setattr(monitor._closed, "wait", wait_for)
    monitor._keep_looking()
    assert waited == pytest.approx([10.0, 0.5])


def test_a_view_that_cannot_be_drawn_says_so(tmp_path, monkeypatch):
    run = begun(tmp_path)
    monitor = RunMonitor(run)
    monkeypatch.setattr(monitor, "refresh", lambda: 1 / 0)
    monitor._keep_looking()
    assert "The view cannot follow: division by zero" in monitor.told.value
