"""Runs over each other: controls redraw, seeds are one line, and runs in every state, of every kind, are fine."""

import math

import pytest

from vsr_kit.paths import data_samples
from vsr_kit.runs import RunFolder, run_folders
from vsr_kit.widgets import RunCompare

HOSTILE = "<script>alert(1)</script>"


def run_of(root, name, seed=0, steps=3, **more) -> RunFolder:
    run = RunFolder.create(name, {"rate": 1}, seed=seed, root=root)
    for step in range(1, steps + 1):
        run.metrics({"step": step, "reward": seed + step, "num_tokens": 100 * step, "elapsed_s": 2.0 * step, **more})
    return run


@pytest.fixture
def root(tmp_path):
    """Two seeds of one training, and another training."""
    runs = [run_of(tmp_path, "ours", 1, kl=0.1), run_of(tmp_path, "ours", 2, kl=0.2), run_of(tmp_path, "other", 5)]
    for run in runs[:2]:
        run.finish()
    runs[2].close()  # as after a kill
    return tmp_path


def lines(compare) -> dict:
    """The drawn lines, by training."""
    return {trace.name: (list(trace.x), list(trace.y)) for trace in compare.figure().data if trace.name}


def test_seeds_are_one_line_and_every_control_redraws(root):
    compare = RunCompare(root, smooth=1)
    assert lines(compare) == {"ours": ([1, 2, 3], [2.5, 3.5, 4.5]), "other": ([1, 2, 3], [6, 7, 8])}
    assert "band = lowest to highest seed" in compare.drawing.value
    compare.over.value = "tokens"
    assert lines(compare)["ours"][0] == [100, 200, 300] and "tokens read and written" in compare.drawing.value
    compare.over.value = "seconds"
    assert lines(compare)["other"][0] == [2, 4, 6] and "seconds of training" in compare.drawing.value
    compare.smooth.value = 2
    assert lines(compare)["other"][1] == [6, 6.5, 7.5] and "trailing mean of 2" in compare.drawing.value
    compare.shown.value = ["other"]
    assert list(lines(compare)) == ["other"] and "ours" not in compare.table.value
    compare.shown.value = ["ours", "other"]
    compare.metric.value = "kl"
    assert list(lines(compare)["ours"][1]) == pytest.approx([0.15] * 3) and lines(compare)["other"] == ([], [])
    assert "other (not logged)" in compare.drawing.value


def test_named_groups_of_runs_are_trainings_of_these_names(root):
    by_name = {run.name: [] for run in run_folders(root)}
    for run in run_folders(root):
        by_name[run.name].append(run)
    compare = RunCompare({"beta 0": by_name["ours"], "all of them": root}, smooth=1)
    assert lines(compare) == {
        "beta 0": ([1, 2, 3], [2.5, 3.5, 4.5]),
        "all of them": ([1, 2, 3], [3.667, 4.667, 5.667]),
    }
    assert "beta 0 2 3 2 finished" in compare.tables()[0].alt
    with pytest.raises(ValueError, match="no run to compare"):
        RunCompare({})


def test_a_named_run_that_cannot_be_read_is_told_and_its_empty_name_is_not_shown(root):
    damaged = run_of(root, "damaged", 8)
    with (damaged.path / "metrics.jsonl").open("a") as journal:
        journal.write("{broken\n{broken\n")
    compare = RunCompare({"good": [run for run in run_folders(root) if run.name == "ours"], "bad": damaged})
    assert list(lines(compare)) == ["good"] and f"{damaged.path.name} is left out" in compare.told.value


def test_the_table_says_where_each_training_ended_and_how_sure_that_is(root):
    alt = RunCompare(root).tables()[0].alt
    assert "ours 2 3 2 finished 3.5 -2.85 to 9.85" in alt, "means 3 and 4, Student's interval of two"
    assert "other 1 3 gone 7 –" in alt, "one run has no interval"


def test_recorded_and_given_scores_stand_beneath(root):
    run = run_of(root, "asked", 9, steps=0)
    run.summarise(scores={"vanilla, own clip, lenient": {"overall": 41.0}})
    compare = RunCompare(root, scores={"base": {"overall": (45.0, 43.0, 47.3, 900)}})
    shown = compare.table.value
    assert "asked: vanilla, own clip, lenient" in shown and "41.0" in shown and "43.0 to 47.3" in shown
    assert "asked" not in lines(compare) and "No step is logged yet" in compare.told.value
    assert "over their seeds (Student&#x27;s), where they are known; of given scores as they were given" in shown
    alone = RunCompare({"ours": run_of(root, "new", 3)}, scores={"base": {"overall": 45.0}})
    assert "intervals: of given scores as they were given" in alone.table.value


def test_runs_in_every_state_are_fine(root, tmp_path):
    one = run_of(root, "one-step", 3, steps=1)
    one.finish(stopped="kl is nan")
    run_of(root, "empty", 4, steps=0)
    odd = run_of(root, "odd", 6, steps=2)
    odd.metrics({"step": 3, "reward": math.nan})
    killed = run_of(root, "killed", 7)
    killed.close()
    again = RunFolder.resume(killed.path, from_step=2)
    again.metrics({"step": 3, "reward": 100.0, "elapsed_s": 1.0})
    damaged = run_of(root, "damaged", 8)
    with (damaged.path / "metrics.jsonl").open("a") as journal:
        journal.write("{not json}\n")
    half = run_of(root, "half", 8)
    with (half.path / "metrics.jsonl").open("a") as journal:
        journal.write('{"step": 4, "rew')
    compare = RunCompare(root, smooth=1)
    compare.shown.value = compare.shown.options
    drawn = lines(compare)
    assert drawn["one-step"] == ([1], [4]) and drawn["odd"] == ([1, 2], [7, 8]) and drawn["half"][0] == [1, 2, 3]
    assert drawn["killed"] == ([1, 2, 3], [8, 9, 100])
    compare.over.value = "seconds"
    assert lines(compare)["killed"][0] == [2, 4, 5]
    assert (
        "empty" in compare.told.value
        and "damaged is left out: The run cannot be read" in compare.told.value.replace(damaged.path.name, "damaged")
    )
    assert "one-step 1 1 broken" in compare.tables()[0].alt


def test_scores_that_cannot_be_read_are_said_once_however_often_it_is_drawn(root, monkeypatch):
    def refused(runs):
        raise ValueError("no such score")

    run_of(root, "runs", 3)
    monkeypatch.setattr("vsr_kit.widgets.compare.scores_of_seeds", refused)
    compare = RunCompare(root)
    for smooth in compare.smooth.options:
        compare.smooth.value = smooth
    assert compare.told.value.count("no such score") == len(compare.runs)


def test_a_running_training_is_read_again(root):
    run = run_of(root, "runs", 3, steps=1)
    compare = RunCompare(root, smooth=1)
    compare.shown.value = ["runs"]
    compare.over.value = "tokens"
    run.metrics({"step": 2, "reward": 9.0, "num_tokens": 200, "new": 1.0})
    begun = run_of(root, "later", 3)
    compare.again.click()
    assert lines(compare) == {"runs": ([100, 200], [4, 9])}, "what was chosen stays"
    assert "later" in compare.shown.options and "new" in [key for _, key in compare.metric.options]
    begun.close()


def test_shipped_runs_are_compared_as_shipped_and_a_mixture_as_measured_now(root):
    runs = [data_samples("reference_runs", f"{name}-seed{i}") for name in ("grpo-vanilla", "kl-0") for i in (1, 2)]
    compare = RunCompare(runs, metric="kl", over="tokens")
    assert compare.figure().source == "shipped" and list(compare.runs) == ["grpo-vanilla", "kl-0"]
    assert "kl-0 2 240 2 finished" in compare.tables()[0].alt
    assert RunCompare([*runs, root]).figure().source == "measured now"


def test_of_the_whole_shipped_study_the_first_trainings_are_shown():
    compare = RunCompare(data_samples("reference_runs"))
    assert len(compare.runs) > 30 and len(compare.shown.value) == 6 and compare.told.value == ""


def test_a_file_that_was_changed_since_it_was_sealed_is_left_out(root):
    (run,) = [run for run in RunCompare(root).runs["ours"] if run.seed == 1]
    journal = run.path / "metrics.jsonl"
    journal.write_text(journal.read_text().replace('"reward": 2', '"reward": 3'))
    compare = RunCompare(root)
    assert "is not the file that was written" in compare.told.value and len(compare.runs["ours"]) == 1


def test_what_others_wrote_stays_text(root):
    run = run_of(root, "hostile", 3, **{HOSTILE: 1.0})
    run.summarise(scores={HOSTILE: {HOSTILE: 1.0}})
    compare = RunCompare(root, metric=HOSTILE, scores={HOSTILE: {"overall": 1.0}})
    shown = compare.drawing.value + compare.table.value + compare.told.value + compare.static()
    assert "<script" not in shown and "&lt;script&gt;" in shown


@pytest.mark.parametrize(
    "given, how, told",
    [
        ("nowhere", {}, "nowhere is no folder"),
        ("", {"over": "hours"}, "over is 'hours': choose one of step, tokens, seconds"),
        ("", {"smooth": 3}, "smooth is 3: choose one of 1, 2"),
        ("", {"metric": "luck"}, "metric is 'luck': choose one of reward"),
        ("empty", {}, "there is no run in .*empty.*: give a run's folder"),
    ],
)
def test_what_cannot_be_compared_is_an_error_with_a_remedy(root, given, how, told):
    (root / "empty").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=told):
        RunCompare(root / given, **how)


def test_runs_without_any_step_are_told_and_nothing_is_drawn(tmp_path):
    run_of(tmp_path, "begun", steps=0)
    compare = RunCompare(tmp_path)
    assert compare.figure() is None and "No step is logged yet" in compare.told.value and compare.tables() == []
    assert "No step is logged yet" in compare.static()
