"""A recipe's whole training: what phases are told, how they go on, and what `vsr train --recipe` refuses and makes."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.cli.recipes import RECORD
from vsr_kit.evaluation import load_questions
from vsr_kit.prompts import target_completion
from vsr_kit.recipes import ptst
from vsr_kit.runs import RunFolder
from vsr_kit.training.methods import GRPO, SFT
from vsr_kit.training.phases import Given, Phase, mean_tokens, train_phases
from vsr_kit.training.profiles import get_profile

SMALL = replace(
    get_profile("mini"), questions_per_step=2, groups_per_pass=2, num_generations=2, num_frames=2, size_px=56
)


@pytest.fixture(scope="module")
def questions():
    asked = load_questions(2, split="train", phrasing="vsi-100k", per_room=1, num_frames=2, size_px=56)
    return SimpleNamespace(rows=asked.rows[:4], clips=asked.clips)


@pytest.fixture
def chains(questions):
    return {row["id"]: target_completion("think", "train", "It is so.", row["ground_truth"]) for row in questions.rows}


def first(given: Given):
    return SFT("think", targets=given.chains), {"steps": given.steps}


def second(given: Given):
    how = GRPO("think", reference="base" if given.adapter is None else given.adapter)
    return how, {"steps": given.steps, "max_chain_tokens": 8, "learning_rate": 1e-12, "beta": 0.1}


PHASES = (Phase("first", "Answers.", first), Phase("second", "Rewards.", second))


def test_a_phase_goes_on_with_the_adapter_of_the_one_before(questions, chains, tmp_path):
    seen = []
    runs = train_phases(
        PHASES, SMALL, questions, chains, tmp_path, steps=1, on_log=lambda phase, profile, row: seen.append(phase.name)
    )
    learnt, kept = (load_file(run.adapter / "adapter_model.safetensors") for run in runs)
    assert learnt.keys() == kept.keys() and any(
        weights.abs().sum() > 0 for name, weights in learnt.items() if "_B" in name
    )
    assert all(torch.allclose(learnt[name], kept[name], atol=1e-9) for name in learnt)  # the second learns nothing
    (kl,) = (row["kl"] for row in runs[1].read_metrics() if "kl" in row)
    assert kl == pytest.approx(0.0, abs=1e-9)  # measured against what the first phase left
    assert seen.index("second") > seen.index("first") and {run.status for run in runs} == {"finished"}

    def untouched():
        return {path: path.read_bytes() for path in sorted(tmp_path.rglob("*.json*"))}

    before = untouched()
    again = train_phases(PHASES, SMALL, questions, chains, tmp_path, steps=1)
    assert [run.path for run in again] == [run.path for run in runs] and untouched() == before


def test_a_stopped_phase_is_gone_on_with(questions, chains, tmp_path, monkeypatch):
    from vsr_kit.training import run as running

    whole = running.train

    def killed(profile, method, *args, **how):
        if isinstance(method, GRPO):
            raise KeyboardInterrupt
        return whole(profile, method, *args, **how)

    monkeypatch.setattr(running, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        train_phases(PHASES, SMALL, questions, chains, tmp_path, steps=1)
    left = {path.parent.name for path in tmp_path.glob("*/config.json")}
    assert len(left) == 2
    for path in tmp_path.glob("*-second"):
        RunFolder.open(path)  # nobody holds it any more than a kill would
    monkeypatch.setattr(running, "train", whole)
    runs = train_phases(PHASES, SMALL, questions, chains, tmp_path, steps=1)
    assert {run.path.name for run in runs} == left and {run.status for run in runs} == {"finished"}


def test_chains_of_other_questions_and_several_processes_are_refused(questions, chains, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="none of the 1 chains is about one of the 4 questions"):
        train_phases(PHASES, SMALL, questions, {"other": "x"}, tmp_path, steps=1)
    with pytest.raises(ValueError, match="steps"):
        train_phases(PHASES, SMALL, questions, chains, tmp_path, steps=0)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="one process"):
        train_phases(PHASES, SMALL, questions, chains, tmp_path, steps=1)
    assert not list(tmp_path.iterdir())


def test_progressive_suppression_takes_its_caps_from_the_chains(tmp_path):
    cold, grown = (phase.plan for phase in ptst.PHASES)
    given = Given(get_profile("mini"), 20, {"a": "x"}, 100.0)
    method, changes = cold(given)
    assert method.targets == {"a": "x"} and changes["steps"] == 20
    method, changes = grown(replace(given, adapter=tmp_path))
    early, late = method.stages
    assert early.max_completion_length == 8 * math.ceil(4096 / 3566 * 100 / 8) == changes["max_chain_tokens"] == 120
    assert early.num_generations * early.max_completion_length == late.num_generations * late.max_completion_length
    assert (early.from_step, late.from_step) == (0, 10) and (early.num_generations, late.num_generations) == (16, 8)
    assert method.reference == tmp_path and changes["learning_rate"] == get_profile("mini").learning_rate / 4
    for name in ("mini", "t4", "a100", "paper"):  # the plan fits every profile
        profile = get_profile(name)
        own = replace(profile, **grown(replace(given, profile=profile))[1])
        own.check_passes()
        assert own.questions_per_step * own.num_generations == 8 * profile.questions_per_step


def test_mean_tokens_are_the_models_own():
    assert (
        mean_tokens(["tv", "tv tv tv"], "mini") == (mean_tokens(["tv"], "mini") + mean_tokens(["tv tv tv"], "mini")) / 2
    )
    assert mean_tokens(["tv tv tv"], "mini") > mean_tokens(["tv"], "mini") >= 1


def vsr(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_command_trains_all_phases_and_goes_on(tmp_path, monkeypatch):
    from vsr_kit.training import phases

    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    calls, kill = [], [True]

    def trained(plan, profile, questions, chains, folder, *, steps, seed, on_log):
        calls.append((profile, len(questions.rows), dict(chains), folder, steps, seed))
        if kill.pop() if kill else False:
            raise KeyboardInterrupt
        made = SimpleNamespace(
            path=folder / "x", config={"config": {"mode": "think"}}, summary={"headline": {"steps": steps}}
        )
        return [made for _ in plan]

    monkeypatch.setattr(phases, "train_phases", trained)
    done = vsr("train", "--recipe", "vision-r1", "--rooms", 2, "--per-room", 1, "--steps", 3, "--seed", 5)
    (folder,) = tmp_path.glob("*-vision-r1")
    assert done.exit_code == 130 and f"vsr train --resume {folder}" in done.output
    assert json.loads((folder / RECORD).read_text())["settings"]["steps"] == 3
    assert "already" not in done.output and (folder / "chains" / "kept.jsonl").is_file()
    done = vsr("train", "--resume", folder)
    assert done.exit_code == 0, done.output
    assert calls[0] == calls[1] and calls[0][4:] == (3, 5) and calls[0][2] and calls[0][3] == folder
    assert "vsr eval --adapter" in done.output and all(phase.name in done.output for phase in ptst.PHASES)
    done = vsr("train", "--resume", folder, "--steps", 4)
    assert "--steps 4 (the run has 3)" in str(done.exception) and len(calls) == 2
    done = vsr(
        "train", "--recipe", "vision-r1", "--rooms", 2, "--per-room", 1, "--chains", folder / "chains", "--name", "b"
    )
    assert done.exit_code == 0, done.output
    assert calls[2][2].keys() >= calls[0][2].keys() and not list(tmp_path.glob("*-b/chains"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--recipe", "nothing"], "'nothing' is no recipe: give one of vision-r1"),
        (["--recipe", "vsgrpo"], "'vsgrpo' has no phases to train"),
        (["--recipe", "vision-r1", "--mode", "think"], "--mode beside --recipe"),
        (["--recipe", "vision-r1", "--num-generations", "4"], "--num-generations beside --recipe"),
        (["--recipe", "vision-r1", "--steps", "0"], "steps"),
        (["--recipe", "vision-r1", "--chains", "nowhere"], "no file"),
        (["--recipe", "missing.py"], "no file"),
        (["--chains", "nowhere"], "--chains belongs to --recipe"),
        (["--rows", "nowhere"], "--rows belongs to --recipe"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_made(words, told, tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    done = vsr("train", *words)
    assert isinstance(done.exception, (ValueError, FileNotFoundError)) and told in str(done.exception)
    assert not list(tmp_path.iterdir())


def written(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def pictured(tmp_path):
    """Rows to be asked, and rows with a chain, about one little picture."""
    from PIL import Image

    Image.new("RGB", (64, 48), "red").save(tmp_path / "a.png")
    asked = {"problem": "<image>What is 1/2 + 1/4?", "answer": "3/4", "images": ["a.png"]}
    turns = [("human", "<image>What is 2 + 2?"), ("gpt", "<think>Two and two.</think> <answer>4</answer>")]
    taught = {"id": "c1", "conversations": [{"from": who, "value": said} for who, said in turns], "image": "a.png"}
    return written(tmp_path / "rl.jsonl", [{"id": "r1", **asked}]), written(tmp_path / "cold.jsonl", [taught])


def test_rows_about_pictures_are_trained_on_chains_from_a_file_of_their_own(tmp_path, monkeypatch):
    from vsr_kit.training import phases

    pytest.importorskip("math_verify")
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "runs"))
    seen = []

    def trained(plan, profile, questions, chains, folder, **how):
        seen.append((questions, chains, profile))
        return [
            SimpleNamespace(path=folder, config={"config": {"mode": "think"}}, summary={"headline": {}}) for _ in plan
        ]

    monkeypatch.setattr(phases, "train_phases", trained)
    asked, taught = pictured(tmp_path)
    done = vsr("train", "--recipe", "vision-r1", "--rows", asked, "--rows", taught)
    assert done.exit_code == 0, done.output
    questions, chains, profile = seen[0]
    assert {row["ground_truth"] for row in questions.rows} == {"3/4", "4"}
    (ident,) = chains
    assert "Two and two." in chains[ident] and ident in {row["id"] for row in questions.rows}
    assert {questions.clips[row["scene_name"]].ndim for row in questions.rows} == {4}
    assert max(questions.clips[row["scene_name"]].shape[1] for row in questions.rows) <= profile.size_px
    (folder,) = (tmp_path / "runs").iterdir()
    assert vsr("train", "--resume", folder).exit_code == 0 and seen[1][1] == chains


def test_rows_about_pictures_without_chains_or_of_two_folders_are_refused(tmp_path, monkeypatch):
    pytest.importorskip("math_verify")
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "runs"))
    asked, taught = pictured(tmp_path)
    (tmp_path / "b").mkdir()
    other = written(tmp_path / "b" / "rl.jsonl", [])
    for words, told in (
        (["--rows", asked], "no chains of thought"),
        (["--rows", asked, "--rows", other], "several folders"),
        (["--rows", taught, "--rows", taught], "'c1' first"),
    ):
        done = vsr("train", "--recipe", "vision-r1", *words)
        assert isinstance(done.exception, ValueError) and told in str(done.exception)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())
