"""Running the study: what is planned, what is there already, and that no kill loses a run or leaves a worker behind."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from vsr_kit.claims.recipe import SEEDS, Condition
from vsr_kit.cli import app
from vsr_kit.data import split_rooms
from vsr_kit.evaluation import ReplicationInterval
from vsr_kit.files import append_lines, read_lines, read_parquet, write_json
from vsr_kit.recipes import CLAIMS, VARIANTS, base_conditions, claim, tuning_variants, variant
from vsr_kit.rooms import Box
from vsr_kit.runs import RunFolder, git_at_start
from vsr_kit.study import TOKEN_CAP, QuestionSet, answers_path, pairs_path, training_runs, write_lines
from vsr_kit.study import runner as module
from vsr_kit.study.conditions import base_identity
from vsr_kit.study.controls import ASKED_CONTROLS
from vsr_kit.study.labels import distance_pairs, read_pairs
from vsr_kit.study.runner import UNFINISHED, check_plan, conditions_of, finished, groups, plan, reproduce
from vsr_kit.study.staleness import settings_of

# -- the plan ----------------------------------------------------------------------------------------------------------


def test_everything_is_planned_base_first_then_group_after_group():
    units = plan()
    assert (units[0].name, units[0].variant) == ("base", None)
    parts = [variant(unit.variant).group for unit in units[1:]]
    assert list(dict.fromkeys(parts)) == list(groups()) and groups()[0] == "headline"
    assert parts == sorted(parts, key=groups().index)
    runs = {v.run_name(seed) for v in VARIANTS for seed in v.seeds}
    assert {unit.name for unit in units[1:]} == runs and len(units) == len(runs) + 1
    headline = [unit for unit in units[1:] if variant(unit.variant).group == "headline"]
    assert [unit.seed for unit in headline] == sorted(unit.seed for unit in headline)  # every method's first, then …
    for unit in units[1:]:
        assert unit.steps == variant(unit.variant).profile.steps and unit.seconds > 0
        assert unit.name == variant(unit.variant).run_name(unit.seed)


def test_seeds_are_capped():
    assert all(unit.seed in variant(unit.variant).seeds[:2] for unit in plan(seeds=2)[1:])
    assert {unit.seed for unit in plan(["headline"], seeds=2)[1:]} == set(SEEDS[:2])
    assert plan(seeds=10) == plan()
    with pytest.raises(ValueError, match="seeds is 0: must be at least 1"):
        plan(seeds=0)


@pytest.mark.parametrize(
    "only, wanted",
    [
        (["pairs"], {"dpo-rollouts", "dpo-lower-rate"}),
        (["reward-mra"], {"reward-mra"}),
        (["kl-prevents-collapse"], {"kl-0", "grpo-think"}),
        (["labels", "sft"], {"labels-closest", "labels-letters", "sft"}),
        (["cot-prompts-do-not-help"], set()),  # the base's answers are all its evidence
    ],
)
def test_a_part_may_be_planned(only, wanted):
    units = plan(only)
    assert units[0].name == "base" and {unit.variant for unit in units[1:]} == wanted
    assert len(units) == 1 + sum(len(variant(name).seeds) for name in wanted)


def test_every_claim_that_can_be_tested_here_may_be_planned():
    for known in CLAIMS:
        if known.scale:
            with pytest.raises(ValueError, match=f"{known.name} cannot be tested here.* it takes .*Qwen2(.5)?-VL"):
                plan(["sft", known.name])
            continue
        assert {unit.variant for unit in plan([known.name])[1:]} == set(claim(known.name).needs)


def test_tuning_is_planned_by_itself_long_runs_first():
    units = plan(["tuning"])
    assert {unit.variant for unit in units} == {v.name for v in tuning_variants()}
    assert [u.seconds for u in units] == sorted((u.seconds for u in units), reverse=True)


def test_tuning_comes_after_what_else_is_named():
    tuning, pairs = plan(["tuning"]), plan(["pairs"])
    assert plan(["tuning", "pairs"]) == plan(["pairs", "tuning"]) == [*pairs, *tuning]
    with pytest.raises(ValueError, match="no part of the study is called 'nonsense'"):
        plan(["tuning", "nonsense"])


def test_seeds_may_be_new_ones():
    new = plan(["sft", "kl"], seeds=2, first_seed=6)
    assert {unit.seed for unit in new[1:]} == {6, 7} and new[1].name == "sft-seed6"
    assert [unit.variant for unit in new] == [unit.variant for unit in plan(["sft", "kl"], seeds=2)]
    assert [unit.seed for unit in plan(["sft"], first_seed=6)] == [0, 6, 7, 8, 9, 10]
    with pytest.raises(ValueError, match="first_seed is 0: must be at least 1; seed 0 chose the learning rates"):
        plan(["sft"], first_seed=0)
    done = vsr("reproduce", "--only", "sft", "--first-seed", 6, "--seeds", 1, "--dry-run")
    assert done.exit_code == 0 and "\nsft-seed6: about " in done.output and "2 units" in done.output


def test_an_unknown_part_is_an_error_that_names_what_there_is():
    with pytest.raises(ValueError, match="no part of the study is called 'headlines'") as error:
        plan(["sft", "headlines"])
    names = [*groups(), "tuning", *(v.name for v in VARIANTS), *(c.name for c in CLAIMS)]
    assert all(name in str(error.value) for name in names)


def geometry_of(dataset, folder) -> Path:
    """A geometry file with one room of a data set."""
    box = {"centroid": [1, 1, 0.5], "axesLengths": [1, 1, 1], "normalizedAxes": [1, 0, 0, 0, 1, 0, 0, 0, 1]}
    scene = {"dataset": dataset, "room_size": 12.5, "object_counts": {"bed": 1}, "object_bbox": {"bed": [box]}}
    path = folder / f"of-{dataset}.json"
    path.write_text(json.dumps({"a room": scene}))
    return path


def test_real_geometry_is_asked_of_the_base_and_of_the_headlines_models(tmp_path):
    units = {unit.name: unit for unit in plan(["headline"])}
    files = tuple(geometry_of(dataset, tmp_path) for dataset in ("arkitscenes", "scannetpp"))
    more = {name: [c for c in conditions_of(u, files) if c not in conditions_of(u)] for name, u in units.items()}
    sets = {name: {(c.questions, c.clip) for c in asked} for name, asked in more.items()}
    for name in ("base", "grpo-vanilla-seed1", "grpo-vanilla-seed5"):
        assert {c.model for c in more[name]} == {name} and {(c.mode, c.samples) for c in more[name]} == {("vanilla", 0)}
        for real in ("arkitscenes-benchmark", "scannetpp-benchmark"):
            assert {(real, "own"), (real, "wrong")} <= sets[name]
        assert {(known.name, "own") for known in ASKED_CONTROLS} <= sets[name]
        assert ("arkitscenes-vsi-bench", "own") in sets[name]
    assert len(sets["base"]) == 4 + len(ASKED_CONTROLS) + 2 and len(sets["grpo-vanilla-seed1"]) == len(sets["base"]) - 1
    assert not more["sft-seed1"]
    only = {c.questions for c in conditions_of(units["base"], files[:1])} - {c.questions for c in base_conditions()}
    assert only == {"arkitscenes-benchmark", "arkitscenes-vsi-bench"}


def test_geometry_that_nothing_is_asked_about_is_refused(tmp_path):
    units, known = plan(["sft"], seeds=1), geometry_of("scannetpp", tmp_path)
    (tmp_path / "copy").mkdir()
    again, other = geometry_of("scannetpp", tmp_path / "copy"), geometry_of("elsewhere", tmp_path)
    with pytest.raises(ValueError, match="holds rooms of 'elsewhere'.* asks about arkitscenes, scannetpp;"):
        check_plan(units, tmp_path, geometry=(known, other))
    with pytest.raises(ValueError, match="both hold rooms of scannetpp: give one of them"):
        check_plan(units, tmp_path, geometry=(known, again))
    check_plan(units, tmp_path, geometry=(known,))


# -- what is there already ---------------------------------------------------------------------------------------------


def complete(unit, folder) -> None:
    """Make the files of a finished unit."""
    if unit.variant is not None:
        run = folder / unit.name
        run.mkdir(parents=True, exist_ok=True)
        settings = settings_of(variant(unit.variant)) | {"rows": 1}
        write_json(run / "config.json", {"name": unit.name, "seed": unit.seed, "config": settings})
        write_json(run / "versions.json", {"checkpoint": base_identity()})
        write_json(run / "summary.json", {})
    made = {"token_cap": TOKEN_CAP, "base": base_identity()}
    for condition in conditions_of(unit):
        write_lines(answers_path(condition, folder), [])
        append_lines(folder / "manifest.jsonl", [{"name": condition.name, **made}])


def test_a_unit_is_finished_with_its_summary_and_all_its_answers(tmp_path):
    base, run = plan(["sft"], seeds=1)
    for unit in (base, run):
        assert not finished(unit, tmp_path)
        complete(unit, tmp_path)
        assert finished(unit, tmp_path)
        for condition in conditions_of(unit):
            path = answers_path(condition, tmp_path)
            path.rename(path.with_suffix(".away"))
            assert not finished(unit, tmp_path)
            path.with_suffix(".away").rename(path)
    (tmp_path / run.name / "summary.json").unlink()
    assert not finished(run, tmp_path)
    assert not finished(base, tmp_path, (geometry_of("scannetpp", tmp_path),))


def test_how_far_an_unfinished_unit_is_shows_in_its_metrics(tmp_path):
    unit = replace(plan(["sft"], seeds=1)[1], steps=10, seconds=100.0)
    assert module._begun(unit, tmp_path) == 0
    other = tmp_path / UNFINISHED / "20250101-000000-sft-seconds-seed1"
    run = tmp_path / UNFINISHED / "20250101-000000-sft-seed1"
    for folder, steps in ((other, 9), (run, 4)):
        folder.mkdir(parents=True)
        append_lines(folder / "metrics.jsonl", [{"step": step} for step in range(1, steps + 1)])
    assert module._begun(unit, tmp_path) == pytest.approx(0.9 * 100 * 4 / 10)
    (run / "metrics.jsonl").write_text("")
    assert module._begun(unit, tmp_path) == 0
    (tmp_path / unit.name).mkdir()
    (tmp_path / unit.name / "summary.json").write_text("{}")
    assert module._begun(unit, tmp_path) == pytest.approx(90)


def test_how_far_the_base_is_shows_in_its_answers(tmp_path):
    (base, *_), asked = plan(), base_conditions()
    assert module._begun(base, tmp_path) == 0
    for condition in asked[:3]:
        write_lines(answers_path(condition, tmp_path), [])
    assert module._begun(base, tmp_path) == pytest.approx(base.seconds * 3 / len(asked))


# -- workers -----------------------------------------------------------------------------------------------------------


def some_job(unit, folder, scratch, geometry) -> float:
    """What a worker does here: note the unit; one of them fails."""
    row = {"name": unit.name, "scratch": scratch.name, "git read": git_at_start.cache_info().currsize}
    append_lines(folder / "done.jsonl", [row])
    print("chatter of", unit.name)
    if unit.name == "sft-seed2":
        raise RuntimeError("out of luck")
    return 1.0


@pytest.mark.slow
def test_what_is_missing_is_done_and_a_failed_unit_stops_no_other(tmp_path, capfd):
    units = plan(["sft"], seeds=4)
    base, first, second, third, fourth = units
    complete(base, tmp_path)
    complete(third, tmp_path)
    failed = reproduce(units, tmp_path, workers=1, job=some_job)
    assert failed == ["sft-seed2: RuntimeError: out of luck"]
    done = read_lines(tmp_path / "done.jsonl")
    assert [row["name"] for row in done] == [first.name, second.name, fourth.name]
    assert {row["scratch"] for row in done} == {UNFINISHED}
    assert {row["git read"] for row in done} == {1}  # by the worker as it began
    out, err = capfd.readouterr()
    assert "sft-seed2 FAILED: RuntimeError: out of luck" in err and "sft-seed1: 1 s" in err
    assert "chatter" not in out + err  # it would tear the bar
    assert "chatter of sft-seed4" in (tmp_path / UNFINISHED / "workers.log").read_text()
    assert reproduce([base, third], tmp_path, workers=1, progress=False, job=some_job) == []
    assert len(read_lines(tmp_path / "done.jsonl")) == 3  # nothing was missing


def endless_job(unit, folder, scratch, geometry) -> float:
    """Hold a lock that ends with the process, and never return."""
    held = (folder / "lock").open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    (folder / "pid").write_text(str(os.getpid()))
    time.sleep(600)
    return 0.0


def wait_for(what, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.2)
    return False


def free(path) -> bool:
    with path.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_study_that_is_stopped_leaves_no_worker(tmp_path, how):
    program = (
        "import signal\n"
        "from pathlib import Path\n"
        "from tests.test_reproduce import endless_job\n"
        "from vsr_kit.study.runner import plan, reproduce\n"
        "if __name__ == '__main__':\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        f"    reproduce(plan(['sft'], 1)[1:], Path({str(tmp_path)!r}), 1, progress=False, job=endless_job)\n"
    )
    script = tmp_path / "study.py"
    script.write_text(program)
    top = Path(__file__).parent.parent
    study = subprocess.Popen(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": str(top)},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert wait_for(lambda: (tmp_path / "pid").exists() or study.poll() is not None, 1200)
        assert study.poll() is None and not free(tmp_path / "lock")
        study.send_signal(how)
        study.wait(600)
        assert wait_for(lambda: free(tmp_path / "lock"), 300)
    finally:
        study.kill()
        if (tmp_path / "pid").exists() and not free(tmp_path / "lock"):
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


# -- one unit ----------------------------------------------------------------------------------------------------------

QUESTIONS = QuestionSet("train-vsi-100k", [{"id": "q"}], {"room": None})


@pytest.fixture
def stub(monkeypatch):
    """No training: logs up to step `last`, rollouts, an adapter; what train was given is kept."""
    seen = SimpleNamespace(calls=[], last=60, killed=False)

    def train(profile, method, questions, *, run, seed, **how):
        seen.calls.append((profile, method, questions, run.path, seed, how))
        for step in range(1, seen.last + 1):
            row = {"step": step, "reward": 1 / 3, "num_tokens": 10.0 * step, "epoch": 0.1, "grad_norm": 123456.789}
            tags = {"completions/mean_length": 7.0, "completions/max_length": 9.0, "completions/clipped_ratio": 0.0}
            run.metrics({**row, **tags, "clip_ratio/low_mean": 0.0})
            run.rollouts([{"step": step, "id": "q", "completion": "3"}])
            if step == 2 and seen.killed:
                raise KeyboardInterrupt
        run.adapter.mkdir()
        for name in ("adapter_model.safetensors", "adapter_config.json", "README.md"):
            (run.adapter / name).write_text(name)
        return SimpleNamespace(steps=seen.last, prepared_seconds=1.26, stopped=None)

    monkeypatch.setattr("vsr_kit.training.run.train", train)
    return seen


def train_some(folder, seed=2, of="dpo-corrupted") -> Path:
    return training_runs.train_variant(variant(of), seed, QUESTIONS, folder, folder / UNFINISHED)


def test_a_run_is_trained_as_its_variant_says_and_kept(stub, tmp_path):
    kept = train_some(tmp_path)
    assert kept == tmp_path / "dpo-corrupted-seed2" and list((tmp_path / UNFINISHED).iterdir()) == []
    ((profile, method, questions, _, seed, how),) = stub.calls
    known = variant("dpo-corrupted")
    assert (profile, method, questions, seed) == (known.profile, known.trained_by, QUESTIONS, 2)
    assert how["resume"] is False
    headline = json.loads((kept / "summary.json").read_text())["headline"]
    seconds = headline.pop("training seconds")
    assert seconds >= 0 and headline == {
        "steps": 60,
        "questions": 60 * known.profile.questions_per_step,
        "preparation seconds": 1.3,
        "tokens": 600.0,
        "stopped": None,
    }
    settings = json.loads((kept / "config.json").read_text())["config"]
    assert (settings["method"], settings["learning_rate"], settings["questions"], settings["rows"]) == (
        "dpo-corrupted",
        1e-3,
        "train-vsi-100k",
        1,
    )
    assert train_some(tmp_path) == kept and len(stub.calls) == 1


def test_what_is_kept_is_small(stub, tmp_path):
    kept = train_some(tmp_path)
    assert sorted(path.name for path in kept.iterdir()) == [
        "adapter",
        "config.json",
        "metrics.jsonl",
        "rollouts.parquet",
        "sha256.json",
        "summary.json",
        "versions.json",
    ]
    assert sorted(path.name for path in (kept / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    rows = read_lines(kept / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 61))
    assert (rows[0]["reward"], rows[0]["grad_norm"]) == (0.333333, 123457.0)
    dropped = {"attempt", "epoch", "completions/max_length", "clip_ratio/low_mean"}
    assert not dropped & rows[0].keys()
    assert {"completions/mean_length", "completions/clipped_ratio", "num_tokens"} < rows[0].keys()
    shown = [row["step"] for row in read_parquet(kept / "rollouts.parquet")]
    assert shown == [1, 2, 3, 4, 5, 20, 40, 56, 57, 58, 59, 60]


def test_the_summary_is_kept_last(stub, tmp_path):
    run = RunFolder.create("x", root=tmp_path / UNFINISHED)
    run.summarise(headline={"steps": 1})
    with pytest.raises(FileNotFoundError):
        training_runs.keep(run, tmp_path / "x")  # there is no adapter to copy
    assert (tmp_path / "x" / "config.json").exists() and not (tmp_path / "x" / "summary.json").exists()


def test_what_a_kill_after_keeping_left_is_removed(stub, tmp_path):
    train_some(tmp_path)
    for name in ("1-dpo-corrupted-seed2", "1-dpo-corrupted-seed3"):
        (tmp_path / UNFINISHED / name).mkdir()
    train_some(tmp_path)
    assert [path.name for path in (tmp_path / UNFINISHED).iterdir()] == ["1-dpo-corrupted-seed3"]


def test_a_killed_run_goes_on_in_its_folder(stub, tmp_path):
    stub.killed = True
    with pytest.raises(KeyboardInterrupt):
        train_some(tmp_path)
    left = stub.calls[0][3]
    assert list((tmp_path / UNFINISHED).iterdir()) == [left] and not (tmp_path / "dpo-corrupted-seed2").exists()
    saved = left / "checkpoints" / "checkpoint-1"
    saved.mkdir(parents=True)
    (saved / "trainer_state.json").write_text("{}")
    stub.killed = False
    train_some(tmp_path, seed=3)  # another run begins in a folder of its own
    assert stub.calls[1][3] != left and stub.calls[1][5]["resume"] is False and left.exists()
    kept = train_some(tmp_path)
    assert stub.calls[2][3] == left and stub.calls[2][5]["resume"] is True
    assert list((tmp_path / UNFINISHED).iterdir()) == []
    assert sorted(row["step"] for row in read_lines(kept / "metrics.jsonl")) == sorted([1, *range(1, 61)])


def test_seconds_are_summed_over_attempts():
    def row(attempt, elapsed_s):
        return {"attempt": attempt, "elapsed_s": elapsed_s}

    assert training_runs.sum_of_seconds([row(1, 20.0), row(1, 21.0), row(1, 23.5), row(2, 9.0), row(2, 10.0)]) == 4.5
    assert training_runs.sum_of_seconds([]) == 0


def test_a_units_work_is_its_training_and_its_answers(monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(module, "_set", lambda name, geometry: QuestionSet(name, [{"id": name}], {}))
    monkeypatch.setattr(module, "train_variant", lambda known, seed, *more: told.append((known.name, seed, more)))
    monkeypatch.setattr(module, "load_run", lambda name, folder: f"adapter of {name}")
    monkeypatch.setattr(module, "answer", lambda c, q, loaded, folder: told.append((c, q.name, loaded)))
    monkeypatch.setattr("vsr_kit.models.loading.load_model", lambda *how, **more: (*how, more["quantize"]))
    base, run = plan(["labels-letters"], seeds=1)
    assert module.run_unit(run, tmp_path, tmp_path / UNFINISHED) >= 0
    trained_on = QuestionSet("train-letters", [{"id": "train-letters"}], {})
    assert told[0] == ("labels-letters", 1, (trained_on, tmp_path, tmp_path / UNFINISHED))
    asked = Condition("test-vsi-bench", "labels-letters-seed1")
    assert told[1:] == [(asked, "test-vsi-bench", "adapter of labels-letters-seed1")]
    told.clear()
    module.run_unit(base, tmp_path, tmp_path / UNFINISHED)
    assert [c for c, *_ in told] == base_conditions(base.recipes)
    assert {loaded for *_, loaded in told} == {("mini", "nf4")}
    kept = sorted(path.name for path in (tmp_path / "questions").iterdir())
    asked = {condition.questions for condition in base_conditions(base.recipes)}
    assert kept == sorted(f"{name}.jsonl.gz" for name in asked) and len(asked) > 2
    assert not pairs_path(tmp_path).exists()


def test_nothing_is_filmed_for_what_is_there(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(module, "_set", lambda name, geometry: made.append(name) or QuestionSet(name, [], {}))
    monkeypatch.setattr(module, "train_variant", lambda *how: pytest.fail("trained again"))
    monkeypatch.setattr(module, "load_run", lambda *how: None)
    monkeypatch.setattr(module, "answer", lambda c, q, loaded, folder: write_lines(answers_path(c, folder), []))
    (unit,) = plan(["grpo-vanilla"], seeds=1)[1:]
    complete(unit, tmp_path)
    answers_path(conditions_of(unit)[-1], tmp_path).unlink()
    module.run_unit(unit, tmp_path, tmp_path / UNFINISHED)
    assert set(made) == {conditions_of(unit)[-1].questions} and finished(unit, tmp_path)


def test_real_geometry_is_measured_with_the_base_and_only_with_it(monkeypatch, tmp_path):
    boxes = (Box("bed", (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)), Box("rug", (1.5, 0.5, 0.5), (1.0, 1.0, 1.0)))  # touching
    rooms = [*split_rooms(2, "test"), replace(split_rooms(3, "test")[2], boxes=boxes)]
    monkeypatch.setattr(module, "_set", lambda name, geometry: QuestionSet(name, [{"id": name}], {}))
    read, files = {}, tuple(geometry_of(dataset, tmp_path) for dataset in ("arkitscenes", "scannetpp"))
    monkeypatch.setattr(module, "read_geometry", lambda path: SimpleNamespace(rooms=read.setdefault(path, rooms)))
    monkeypatch.setattr(module, "train_variant", lambda *how: None)
    monkeypatch.setattr(module, "load_run", lambda *how: None)
    monkeypatch.setattr(module, "answer", lambda c, q, loaded, folder: write_lines(answers_path(c, folder), []))
    monkeypatch.setattr("vsr_kit.models.loading.load_model", lambda *how, **more: None)
    base, run = plan(["grpo-vanilla"], seeds=1)
    module.run_unit(run, tmp_path, tmp_path / UNFINISHED, files)
    assert not pairs_path(tmp_path).exists()
    module.run_unit(base, tmp_path, tmp_path / UNFINISHED, files)
    for dataset in ("arkitscenes", "scannetpp"):
        assert read_pairs(pairs_path(tmp_path, dataset)) == distance_pairs(rooms, touching="keep")
    assert set(read) == set(files) and finished(base, tmp_path, files)
    pairs_path(tmp_path, "scannetpp").unlink()
    assert not finished(base, tmp_path, files) and finished(base, tmp_path, files[:1])


# -- the command -------------------------------------------------------------------------------------------------------


def vsr(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_dry_run_lists_what_there_is_to_do(tmp_path):
    base, _run = plan(["sft"], 1)
    complete(base, tmp_path)
    done = vsr("reproduce", "--dry-run", "--only", "sft", "--seeds", 1, "--out", tmp_path)
    assert done.exit_code == 0, done.output
    first, second, last = done.output.splitlines()
    assert first.startswith("base: about ") and first.endswith("(done)")
    assert second.startswith("sft-seed1: about ") and not second.endswith("(done)")
    assert last.startswith("2 units, about ") and str(tmp_path) in last
    assert not (tmp_path / UNFINISHED).exists()


def test_units_that_failed_fail_the_command(monkeypatch, tmp_path):
    given = []
    monkeypatch.setattr(module, "reproduce", lambda *how: given.append(how) or ["sft-seed1: RuntimeError: no"])
    done = vsr("reproduce", "--only", "sft", "--seeds", 1, "--out", tmp_path, "--workers", 3)
    assert done.exit_code == 1 and given == [(plan(["sft"], 1), tmp_path, 3, None)]
    assert "1 of 2 units failed, the first: sft-seed1: RuntimeError: no" in str(done.exception)
    monkeypatch.setattr(module, "reproduce", lambda *how: [])
    assert vsr("reproduce", "--only", "sft", "--out", tmp_path).exit_code == 0


def test_the_command_says_where_a_repetition_landed(monkeypatch, tmp_path):
    found = {
        "sft": (3.25, ReplicationInterval(5.0, 3.0, 7.0, 5, 2)),
        "grpo-vanilla": (7.5, ReplicationInterval(5.0, 3.0, 7.0, 5, 2)),
    }
    monkeypatch.setattr(module, "reproduce", lambda *how: [])
    monkeypatch.setattr("vsr_kit.study.comparisons.repeated", lambda folder: found)
    seeds = {tmp_path: 1, None: 1}
    monkeypatch.setattr("vsr_kit.study.answers.trained_runs", lambda folder, of: (f"{of}-seed{seeds[folder]}",))
    done = vsr("reproduce", "--out", tmp_path)
    where = "the 95 % prediction interval for 2 seeds (+3.0 to +7.0)"
    assert f"sft minus base: +3.2 points here, +5.0 shipped; inside {where}" in done.output
    assert f"grpo-vanilla minus base: +7.5 points here, +5.0 shipped; OUTSIDE {where}" in done.output
    assert "shipped study (the miniature (3.3M parameters), 120 procedural rooms): your runs" in done.output
    assert done.output.count("your runs have the seeds of shipped ones") == 1 and "seeds are new" not in done.output
    seeds[tmp_path] = 6
    done = vsr("reproduce", "--out", tmp_path)
    assert done.output.count("your seeds are new, and 95 of 100 such means should lie inside") == 1
    assert "seeds of shipped ones" not in done.output
    monkeypatch.setattr("vsr_kit.study.comparisons.repeated", lambda folder: {})
    assert "Against the shipped" not in vsr("reproduce", "--out", tmp_path).output


def test_a_study_that_is_interrupted_says_how_to_go_on(monkeypatch, tmp_path):
    def interrupted(*how):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "reproduce", interrupted)
    done = vsr("reproduce", "--out", tmp_path)
    assert done.exit_code == 130 and f"the same command goes on with {tmp_path}" in done.output
