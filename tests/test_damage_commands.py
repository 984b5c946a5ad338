"""Damaged files through the commands themselves: each is named in one line with exit code 2, or changes nothing at all.

Slow: several hundred commands in one process. `VSR_HARM_SEEDS=3` tries three draws of every kind of damage.
"""

import json
import os
import shutil

import pytest

from tests import terminal
from tests.harm import BYTES, copied, harm, line_told_well, make_all
from tests.test_damage import write_run
from vsr_kit.files import seal
from vsr_kit.paths import data_samples

pytestmark = pytest.mark.slow
SEEDS = range(int(os.environ.get("VSR_HARM_SEEDS", "1")))
ALL = [*BYTES, "missing", "folder"]


def command(monkeypatch, capsys, *words):
    """Exit code, what was printed, and what was said on stderr without progress bars; a traceback comes through."""
    code, out, err = terminal.command(monkeypatch, capsys, *words)
    return code, out, [line for line in err.splitlines() if line.startswith("error") or "Abort" in line]


def count(monkeypatch, capsys, cases):
    """Break one file after another. Returns (tried, named, without effect) and the cases that went wrong."""
    tried = named = same = 0
    wrong = []
    for path, how, seed, words, usual in cases:
        kept = path.read_bytes()
        harm(path, how, seed)
        if path.is_file() and path.read_bytes() == kept:
            path.write_bytes(kept)
            continue
        tried += 1
        try:
            code, out, errors = command(monkeypatch, capsys, *words)
        except Exception as error:
            wrong.append(f"{path.name} {how}: {type(error).__name__}")
            code = None
        if path.is_dir():
            path.rmdir()
        path.write_bytes(kept)
        if code == 2 and len(errors) == 1 and line_told_well(errors[0], path) is None:
            named += 1
        elif code == 0 and usual is not None and usual(out):
            same += 1
        elif code is not None:
            wrong.append(f"{path.name} {how} {seed}: code {code}, {errors or out[-200:]}")
    print(f"tried {tried}, named {named}, without effect {same}, wrong {len(wrong)}")
    return tried, wrong


def kinds(folder, names, words, usual, hows=ALL):
    return [(folder / name, how, seed, words, usual) for name in names for how in hows for seed in SEEDS]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def table(out):
    """The scores of `vsr eval`, without the names of folders."""
    return [line for line in out.splitlines() if "│" in line or "%" in line]


MODEL = ("model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
MODEL += ("processor_config.json", "chat_template.jinja")
ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def test_models_and_adapters(tmp_path, monkeypatch, capsys, runs):
    root = make_all(tmp_path / "made")
    ask = ("eval", "--rooms", 1, "--per-type", 1, "--model", root / "model", "--adapter", root / "adapter")
    code, usual, _ = command(monkeypatch, capsys, *ask)
    assert code == 0 and table(usual)
    made = len(list(runs.iterdir()))
    cases = kinds(root / "model", MODEL, ask, lambda out: table(out) == table(usual))
    cases += kinds(root / "adapter", ADAPTER, ask, lambda out: table(out) == table(usual))
    tried, wrong = count(monkeypatch, capsys, cases)
    assert wrong == [] and tried > 100
    assert len(list(runs.iterdir())) == made  # no folder is left by a command that was refused


def test_a_killed_training(tmp_path, monkeypatch, capsys, runs):
    short = ("train", "--rooms", 6, "--per-room", 2, "--steps", 3, "--num-generations", 2, "--name", "t")
    monkeypatch.setattr("vsr_kit.training.run._saving", lambda every: {"save_strategy": "steps", "save_steps": 1})
    from vsr_kit.training import run as training

    class Killed(BaseException):
        pass

    def die(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "_save", die)
        with pytest.raises(Killed):
            command(patch, capsys, *short)
    (run,) = runs.iterdir()
    for lock in run.glob(".lock"):
        lock.unlink()
    for step in (1, 3):
        shutil.rmtree(run / "checkpoints" / f"checkpoint-{step}", ignore_errors=True)
    checkpoint = run / "checkpoints" / "checkpoint-2"
    names = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", *ADAPTER)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != ".lock"}
    resume = ("train", "--resume", run)
    tried, wrong = count(monkeypatch, capsys, kinds(checkpoint, names, resume, None))
    assert wrong == [] and tried > 60
    assert {path: path.read_bytes() for path in before} == before  # nothing was noted, nothing overwritten


def test_reports(tmp_path, monkeypatch, capsys):
    path = write_run(tmp_path)
    seal(path)
    names = ("config.json", "versions.json", "summary.json", "attempts.jsonl", "metrics.jsonl", "rollouts.parquet")
    page = ("report", path, "--out", tmp_path / "page.html")

    tried, wrong = count(monkeypatch, capsys, kinds(path, names, page, None))
    assert wrong == [] and tried > 60


def test_studies(tmp_path, monkeypatch, capsys):
    """One claim's part of the shipped study."""
    shipped, study = data_samples("reference_runs"), tmp_path / "study"
    for name in ("test-order--base--vanilla--greedy--own", *(f"test-order--grpo-vanilla-seed{i}" for i in (1, 2))):
        for path in (shipped / "answers").glob(f"{name}*"):
            (study / "answers").mkdir(parents=True, exist_ok=True)
            shutil.copy(path, study / "answers")
    for seed in (1, 2):
        for path in (shipped / "answers").glob(f"test-vsi-bench--grpo-think-seed{seed}--*"):
            shutil.copy(path, study / "answers")
        shutil.copytree(shipped / f"grpo-think-seed{seed}", study / f"grpo-think-seed{seed}")
    (study / "questions").mkdir()
    for name in ("test-order", "test-vsi-bench"):
        shutil.copy(shipped / "questions" / f"{name}.jsonl.gz", study / "questions")
    shutil.copytree(shipped / "labels", study / "labels")
    ask = ("claims", "--study", study, "--json")
    monkeypatch.setattr("vsr_kit.evaluation.intervals.RESAMPLES", 50, raising=False)
    code, usual, _ = command(monkeypatch, capsys, *ask)
    assert code == 0 and json.loads(usual)["thoughts-become-empty"]["verdict"] != "not run yet"
    hows = [how for how in ALL if how != "missing"]
    cases = kinds(study / "labels", ["arkitscenes.jsonl"], ask, lambda out: out == usual, hows)
    run = ("config.json", "metrics.jsonl", "summary.json")
    cases += kinds(study / "grpo-think-seed1", run, ask, lambda out: out == usual, ALL)
    tried, wrong = count(monkeypatch, capsys, cases)
    assert wrong == [] and tried > 50


def test_copies_without_seals(tmp_path, monkeypatch, capsys, runs):
    """Whatever was copied from elsewhere has no seal: what can be seen without one still is."""
    root = copied(make_all(tmp_path / "made"), tmp_path, sealed=False)
    ask = ("eval", "--rooms", 1, "--per-type", 1, "--model", root / "model", "--adapter", root / "adapter")
    hows = [how for how in ALL if how not in ("bit", "holed")]  # which change a number or a word, and it is another one
    code, usual, _ = command(monkeypatch, capsys, *ask)
    assert code == 0
    cases = kinds(root / "model", MODEL, ask, lambda out: table(out) == table(usual), hows)
    cases += kinds(root / "adapter", ADAPTER, ask, lambda out: table(out) == table(usual), hows)
    tried, wrong = count(monkeypatch, capsys, cases)
    assert wrong == [] and tried > 90
