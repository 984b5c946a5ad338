"""Tokens recorded while training: what is written is what the loss used, and no weight is another for it."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from benchmarks.__main__ import bench
from benchmarks.tokens import TokenCosts
from tests.harm import Kill, Killed
from tests.plain import plain_logps
from tests.test_cli_models import runs, trainer, vsr  # noqa: F401 - fixtures
from tests.tiny import tiny_clip
from vsr_kit.cli import main
from vsr_kit.evaluation.baselines import wrong_clip_pairing
from vsr_kit.evaluation.token_texts import MEASURES
from vsr_kit.inspection import read_rollout_table
from vsr_kit.prompts import chat_messages
from vsr_kit.runs import RunFolder
from vsr_kit.training.methods import GRPO, SFT
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.run import train
from vsr_kit.training.token_records import TokenSample
from vsr_kit.widgets import RolloutBrowser

pytestmark = pytest.mark.usefixtures("rewards_that_differ")

CLIPS = {f"room-{i}": tiny_clip(i) for i in range(3)}
THINGS = ["chair", "table", "lamp", "door", "bed", "sofa"]
ROWS = [
    {"id": str(i), "dataset": "rooms", "scene_name": f"room-{i % 3}", "question_type": "object_counting"}
    | {"question": f"How many {thing}(s) are in this room?", "options": None, "ground_truth": str(i + 2)}
    for i, thing in enumerate(THINGS)
]
G = 4


@pytest.fixture
def profile(tiny_path):
    sizes = {"lora_rank": 4, "num_generations": G, "questions_per_step": 2, "groups_per_pass": 1}
    return dataclasses.replace(
        PROFILES["mini"], model=str(tiny_path), max_vanilla_tokens=6, learning_rate=1e-2, steps=3, **sizes
    )


def trained(profile, folder, name, method="vanilla", **how):
    run = RunFolder.create(name, root=folder)
    done = train(profile, method, ROWS, clips=CLIPS, run=run, seed=5, quiet=True, **how)
    return run, done


def weights(run) -> dict[str, torch.Tensor]:
    return load_file(run.adapter / "adapter_model.safetensors")


def half(rewards_BG):
    """Advantages of one's own, for the trainer with exchanged parts."""
    return (rewards_BG - rewards_BG.mean(1, keepdim=True)) / 2


def first_alone(rewards_G):
    return bool(rewards_G.std() > 0)


CHANGES = {
    "as it is": {},
    "without a reference": {"beta": 0.0},
    "nf4": {"quantize": "nf4"},
    "rollouts twice": {"num_iterations": 2},
    "exchanged parts": {"method": GRPO(advantages=half, keep_group=first_alone)},
    "dropout": {"dropout": 0.3},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_the_weights_are_bit_for_bit_the_same_with_and_without_recording(profile, tmp_path, monkeypatch, changes):
    from vsr_kit.models import loading

    how = dict(changes)
    if "quantize" in how:
        profile = dataclasses.replace(profile, quantize=how.pop("quantize"))
    if dropout := how.pop("dropout", 0):  # which draws random numbers in every pass
        plain = loading.lora_config
        monkeypatch.setattr(loading, "lora_config", lambda rank, alpha: plain(rank, alpha, dropout))
    both = [
        trained(profile, tmp_path, name, record_tokens=sample, **how)[0]
        for name, sample in (("without", None), ("with", TokenSample(every=2, questions=2)))
    ]
    first, second = map(weights, both)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
    assert max(w.abs().max() for name, w in first.items() if "lora_B" in name) > 1e-3  # something was learnt
    said = [[row["completion"] for row in run.read_rollouts()] for run in both]
    logged = [
        [{k: v for k, v in row.items() if "time" not in k and k != "elapsed_s"} for row in run.read_metrics()]
        for run in both
    ]
    assert said[0] == said[1] and logged[0] == logged[1]
    assert both[0].read_tokens() == [] and not (both[0].path / "tokens.jsonl").exists()
    wanted = {1} if "num_iterations" in changes else {1, 2}  # the second step uses the first one's rollouts again
    places = [(row["step"], row["rollout"]) for row in both[1].read_tokens()]
    assert {step for step, _ in places} == wanted and len(set(places)) == len(places)
    assert all(name in row for row in both[1].read_tokens() for name in MEASURES)


def test_what_is_recorded_is_what_a_plain_forward_gives_and_what_the_run_recorded(profile, tmp_path):
    run, done = trained(profile, tmp_path, "run", steps=1, learning_rate=1e-12, record_tokens=TokenSample())
    lines, rollouts = run.read_tokens(), run.read_rollouts()
    assert len(lines) == G and len({line["id"] for line in lines}) == 1  # a whole group
    model, processor = done.loaded.model, done.loaded.processor
    others = wrong_clip_pairing(CLIPS)
    for line in lines:
        sampled = rollouts[line["rollout"]]
        assert (line["id"], line["completion"], line["step"]) == (sampled["id"], sampled["completion"], 1)
        assert "".join(line["tokens"]) == line["completion"] and line["other_scene"] == others[line["scene_name"]]
        row = next(row for row in ROWS if row["id"] == line["id"])
        messages, ids = chat_messages(row, "vanilla", "train"), line["completion_ids"]
        with torch.no_grad():
            logps, entropies = plain_logps(model, processor, messages, CLIPS[line["scene_name"]], ids)
            there, _ = plain_logps(model, processor, messages, CLIPS[line["other_scene"]], ids)
        assert np.allclose(line["entropy"], entropies, atol=1e-4)
        assert np.allclose(line["grounding"], logps - there, atol=1e-4) and np.abs(line["grounding"]).max() > 1e-2
        assert np.allclose(line["policy_minus_reference"], 0, atol=1e-4)  # a fresh adapter is none
        assert np.allclose(line["advantage"], sampled["advantage"], atol=1e-5) and len(line["advantage"]) == len(ids)


@pytest.mark.parametrize("beta", [1e-4, 0.0], ids=["of the KL term", "asked for"])
def test_the_distance_from_the_reference_grows_as_it_is_trained(profile, tmp_path, beta):
    run, _ = trained(profile, tmp_path, "run", record_tokens=TokenSample(every=3), beta=beta)
    far = {line["step"]: np.abs(line["policy_minus_reference"]).max() for line in run.read_tokens()}
    assert sorted(far) == [1, 3] and far[1] < 1e-5 < 1e-3 < far[3]


def test_a_resumed_run_has_every_step_once_and_the_same_numbers(profile, tmp_path):
    sample = {"steps": 4, "record_tokens": TokenSample(every=1)}
    whole, _ = trained(profile, tmp_path, "whole", **sample)
    killed = RunFolder.create("killed", root=tmp_path)
    how = {"clips": CLIPS, "seed": 5, "save_every": 2, "quiet": True, **sample}
    with pytest.raises(Killed):
        train(profile, "vanilla", ROWS, run=killed, callbacks=[Kill(3)], **how)
    killed.close()
    with (killed.path / "tokens.jsonl").open("a") as file:
        file.write('{"step": 3, "rollout"')  # what a kill in the middle of a line leaves
    resumed = RunFolder.resume(killed.path)
    train(profile, "vanilla", ROWS, run=resumed, resume=True, **how)
    resumed.finish()
    steps = [line["step"] for line in resumed.read_tokens()]
    assert steps == [step for step in (1, 2, 3, 4) for _ in range(G)]
    assert len(resumed.read_tokens(superseded=True)) == 5 * G
    for ours, theirs in zip(resumed.read_tokens(), whole.read_tokens(), strict=True):
        ours, theirs = ({k: v for k, v in line.items() if k != "attempt"} for line in (ours, theirs))
        assert ours == theirs
    table = read_rollout_table(RunFolder.open(resumed.path))
    assert len(table.token_measures) == 4 * G
    for at, one in table.token_measures.items():
        assert "".join(one.tokens) == table.row(at)["completion"]
        assert set(np.round(one.values["advantage"], 4)) == {round(table.row(at)["advantage"], 4)}


def test_a_record_that_was_cut_or_edited_is_named(profile, tmp_path):
    run, _ = trained(profile, tmp_path, "run", steps=1, record_tokens=TokenSample())
    path = run.path / "tokens.jsonl"
    lines = path.read_text().splitlines()
    first = json.loads(lines[0])
    for wrong, told in (({"tokens": first["tokens"][:-1]}, "line 1: its lists"), ({"rollout": "x"}, "'rollout'")):
        path.write_text("\n".join([json.dumps(first | wrong), *lines[1:]]) + "\n")
        with pytest.raises(ValueError, match=told):
            run.read_tokens()
    path.write_text("\n".join([json.dumps(first | {"completion": "another"}), *lines[1:]]) + "\n")
    assert len(read_rollout_table(run).token_measures) == G - 1


def test_what_cannot_be_recorded_is_refused_before_a_model_is_loaded(profile, tmp_path, monkeypatch):
    monkeypatch.setattr("vsr_kit.training.run.load_model", lambda *args, **how: pytest.fail("a model was loaded"))
    with pytest.raises(ValueError, match="record_tokens needs a run folder"):
        train(profile, "vanilla", ROWS, clips=CLIPS, record_tokens=TokenSample())
    with pytest.raises(ValueError, match="record_tokens with sft"):
        trained(profile, tmp_path, "sft", SFT(), record_tokens=TokenSample())
    with pytest.raises(ValueError, match="every is 0"):
        TokenSample(every=0)


def test_the_command_line_records_every_so_many_steps_and_resumes_so(trainer, runs):  # noqa: F811
    vsr("train", "--rooms", 2, "--steps", 3, "--mode", "think", "--record-tokens", 7)  # the stub stops the first
    (run,) = runs()
    assert run.config["config"]["record_tokens"] == 7
    assert vsr("train", "--resume", run.path).exit_code == 0
    assert [given["record_tokens"] for given in trainer] == [TokenSample(7), TokenSample(7)]
    assert vsr("train", "--rooms", 2, "--steps", 3).exit_code == 0 and "record_tokens" not in trainer[-1]


@pytest.mark.parametrize(
    "flags, told",
    [(["--method", "sft"], "--record-tokens with sft: only grpo samples rollouts"), ([], "record_tokens is -1")],
)
def test_a_command_that_cannot_record_leaves_no_folder(trainer, runs, monkeypatch, capsys, flags, told):  # noqa: F811
    every = "3" if flags else "-1"
    monkeypatch.setattr(sys, "argv", ["vsr", "train", "--rooms", "2", "--record-tokens", every, *flags])
    with pytest.raises(SystemExit):
        main()
    assert told in capsys.readouterr().err and runs() == [] and not trainer


def test_a_trained_run_is_looked_at_with_its_tokens_coloured(runs, tiny_path):  # noqa: F811
    words = ["train", "--model", tiny_path, "--rooms", 2, "--steps", 1, "--num-generations", 2, "--record-tokens", 1]
    done = vsr(*words)
    assert done.exit_code == 0, done.output
    (run,) = runs()
    browser = RolloutBrowser(run)
    browser.question.value = next(
        i for i, group in enumerate(browser._groups) if group.rows[0] in browser.table.token_measures
    )
    assert [value for _, value in browser.colours.control.options] == ["", *MEASURES]
    for measure in MEASURES:
        browser.colours.control.value = measure
        assert browser.rollouts.value.count("vsr-tokens") == 2


def test_the_benchmark_of_recording_compares_equal_trainings(tiny_path):
    done = CliRunner().invoke(bench, ["tokens", "--model", str(tiny_path), "--steps", "1", "--repeats", "1", "--json"])
    assert done.exit_code == 0, done.output
    costs = json.loads(done.stdout)
    assert costs["ratio"] == costs["seconds"]["recorded"] / costs["seconds"]["without"] and costs["rollouts"] > 0
    assert TokenCosts(**costs).ratio_of(20) == pytest.approx(1 + (costs["ratio"] - 1) / 20)
