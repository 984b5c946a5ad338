"""A run from beginning to end on a tiny checkpoint: what it leaves, and that a kill costs nothing."""

import dataclasses
import functools
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from tests.harm import Kill, Killed
from tests.tiny import tiny_clip
from vsr_kit.generation import Generation, generate
from vsr_kit.models import load_model
from vsr_kit.runs import RunFolder
from vsr_kit.training.callbacks import WarnOfCollapse
from vsr_kit.training.methods import make_method
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.run import FEATURES, train
from vsr_kit.training.supervised_trainers import corrupted_pairs

pytestmark = pytest.mark.usefixtures("rewards_that_differ")

CLIPS = {f"room-{i}": tiny_clip(i) for i in range(3)}
ROWS = [
    {
        "id": str(i),
        "dataset": "rooms",
        "scene_name": f"room-{i % 3}",
        "question_type": "object_counting",
        "question": f"How many {thing}(s) are in this room?",
        "options": None,
        "ground_truth": str(i + 2),
    }
    for i, thing in enumerate(["chair", "table", "lamp", "door", "bed", "sofa"])
]


@pytest.fixture
def profile(tiny_path):
    return dataclasses.replace(
        PROFILES["mini"],
        model=str(tiny_path),
        lora_rank=4,
        num_generations=4,
        questions_per_step=2,
        groups_per_pass=2,
        max_vanilla_tokens=5,
        learning_rate=1e-2,
        steps=4,
    )


def run_of(folder, name):
    return RunFolder.create(name, root=folder)


def weights(run) -> dict[str, torch.Tensor]:
    return load_file(run.adapter / "adapter_model.safetensors")


def test_a_killed_and_resumed_run_ends_like_one_that_never_was(profile, tmp_path):
    whole = run_of(tmp_path, "whole")
    train(profile, "vanilla", ROWS, clips=CLIPS, run=whole, seed=5, quiet=True)
    killed = run_of(tmp_path, "killed")
    with pytest.raises(Killed):
        train(profile, "vanilla", ROWS, clips=CLIPS, run=killed, seed=5, save_every=2, callbacks=[Kill(3)], quiet=True)
    killed.close()
    assert not killed.adapter.exists() and any((killed.path / FEATURES).iterdir())
    checkpoint = killed.last_checkpoint()
    checkpoint_weights = tmp_path / "kept.safetensors"
    shutil.copy(checkpoint / "adapter_model.safetensors", checkpoint_weights)
    resumed = RunFolder.resume(killed.path, from_step=int(checkpoint.name.split("-")[1]))
    trained = train(profile, "vanilla", ROWS, clips=CLIPS, run=resumed, seed=5, save_every=2, resume=True, quiet=True)
    assert trained.steps == 4 and checkpoint.name == "checkpoint-2"
    tokens = {row["step"]: row["num_tokens"] for row in resumed.read_metrics()}
    assert trained.cost.steps == 2
    spent = trained.cost.seconds_per_step * 2 * trained.cost.tokens_per_second
    assert spent == pytest.approx(tokens[4] - tokens[2])
    assert [row["step"] for row in resumed.read_metrics()] == [1, 2, 3, 4]
    first, second = weights(whole), weights(resumed)
    assert first.keys() == second.keys() and len(first) == 28
    begun = torch.cat([w.flatten() for w in load_file(checkpoint_weights).values()])
    assert (torch.cat([w.flatten() for w in first.values()]) - begun).abs().max() > 1e-3
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=0)
    said = [[(row["step"], row["id"], row["completion"]) for row in run.read_rollouts()] for run in (whole, resumed)]
    assert said[0] == said[1] and len(said[0]) == 4 * 2 * 4


def test_what_a_run_leaves(profile, tmp_path, capsys):
    run, live = run_of(tmp_path, "short"), []
    trained = train(profile, "vanilla", ROWS, clips=CLIPS, run=run, steps=2, on_log=live.append)
    assert trained.adapter == run.adapter and trained.steps == 2
    assert sorted(p.suffix for p in run.adapter.iterdir() if "adapter" in p.name) == [".json", ".safetensors"]
    assert [row["step"] for row in run.read_metrics()] == [1, 2]
    steps = run.read_metrics()
    assert trained.cost.steps == 2 and trained.cost.seconds_per_step == pytest.approx(
        (steps[0]["step_time"] + steps[1]["step_time"]) / 2
    )
    seconds = trained.cost.seconds_per_step * 2
    assert trained.cost.tokens_per_second == pytest.approx(steps[1]["num_tokens"] / seconds)
    assert 10**8 < trained.cost.peak_bytes < 10**11
    assert trained.cost.zero_variance_share == pytest.approx(sum(s["frac_reward_zero_std"] for s in steps) / 2)
    assert not (run.path / FEATURES).exists()
    assert {"loss", "kl", "reward", "entropy", "completions/clipped_ratio"} <= run.read_metrics()[0].keys()
    assert "train_runtime" in live[-1] and len(live) == 3
    rollout = run.read_rollouts()[0]
    assert {"step", "id", "scene_name", "question", "completion", "advantage", "length_reward"} <= rollout.keys()
    printed = capsys.readouterr().out
    assert "cost: 2 steps, " in printed and "of groups had equal rewards" in printed
    assert "num_generations" in printed and "M parameters" in printed and "grad_norm" not in printed
    run.finish()
    assert (run.path / "rollouts.parquet").exists()


def test_steps_that_use_rollouts_again_have_a_cost_too(profile):
    trained = train(profile, "vanilla", ROWS, clips=CLIPS, steps=4, quiet=True, num_iterations=2)
    generated = [log for log in trained.logs if "num_tokens" in log]
    assert 0 < len(generated) < 4 and trained.cost.steps == 4
    seconds = trained.cost.seconds_per_step * 4
    assert trained.cost.tokens_per_second == pytest.approx(generated[-1]["num_tokens"] / seconds)


def test_a_line_for_several_steps_counts_as_several(profile):
    trained = train(profile, "vanilla", ROWS, clips=CLIPS, steps=4, quiet=True, logging_steps=2)
    assert trained.cost.steps == 4
    assert trained.cost.seconds_per_step < 1.5 * trained.seconds / 4


def test_the_adapter_loads_and_answers_as_the_trained_model_does(profile, tmp_path, tiny_path):
    run = run_of(tmp_path, "adapter")
    trained = train(profile, "vanilla", ROWS, clips=CLIPS, run=run, steps=2, quiet=True)
    again = load_model(tiny_path, "nf4", adapter=run.adapter, device="cpu", quiet=True)
    base = load_model(tiny_path, "nf4", device="cpu", quiet=True)
    answers = [
        [a[0].text for a in generate(loaded, ROWS, CLIPS, max_new_tokens=5)] for loaded in (trained.loaded, again, base)
    ]
    assert answers[0] == answers[1] != answers[2]
    assert not trained.loaded.model.training
    config = json.loads((run.adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == profile.model


def test_training_can_stop_after_seconds(profile):
    trained = train(profile, "vanilla", ROWS, clips=CLIPS, seconds=0.0, quiet=True)
    assert trained.steps == 1 and trained.adapter is None and trained.logs[-1]["train_runtime"] > 0


def test_the_mode_decides_prompt_and_cap(profile):
    asked, caps = [], []

    class Look(TrainerCallback):
        def on_train_begin(self, args, state, control, train_dataloader=None, **kwargs):
            caps.append(args.max_completion_length)
            asked.append(train_dataloader.dataset[0]["prompt"][0]["content"][1]["text"])

    train(profile, "think", ROWS, clips=CLIPS, steps=1, callbacks=[Look()], quiet=True, max_completion_length=7)
    assert caps == [7] and "<think> </think>" in asked[0]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_again(profile, tmp_path):
    run = run_of(tmp_path, "early")
    assert train(profile, "vanilla", ROWS, clips=CLIPS, run=run, steps=1, resume=True, quiet=True).steps == 1


def test_resuming_needs_a_run_folder(profile):
    with pytest.raises(ValueError, match="resume=True needs the run folder"):
        train(profile, "vanilla", ROWS, clips=CLIPS, resume=True)


# -- other methods than GRPO -------------------------------------------------------------------------------------------


METHODS = ["sft", "dpo-corrupted", "dpo-rollouts"]


@pytest.fixture
def answers_that_differ(monkeypatch):
    """A random model's answers are cut and earn nothing; these are the base's for pairs of rollouts."""

    def says(loaded, rows, clips, **settings):
        return [[Generation(row["ground_truth"], 2, False), Generation("99", 2, False)] for row in rows]

    monkeypatch.setattr("vsr_kit.generation.generate", says)


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_run_of_another_method_goes_on_like_one_that_never_was(profile, tmp_path, answers_that_differ, method):
    how = {"seed": 5, "steps": 3, "save_every": 2, "quiet": True}
    whole = run_of(tmp_path, "whole")
    trained = train(profile, make_method(method), ROWS, clips=CLIPS, run=whole, **how)
    assert trained.steps == 3 and trained.adapter == whole.adapter and trained.stopped is None
    assert max(float(w.abs().max()) for name, w in weights(whole).items() if "lora_B" in name) > 5e-3  # from zero
    assert [row["step"] for row in whole.read_metrics()] == [1, 2, 3] and whole.read_rollouts() == []
    assert all(row["loss"] > 0 and "step_time" not in row for row in whole.read_metrics())
    assert trained.cost.steps == 3 and trained.cost.zero_variance_share == 0
    assert trained.cost.seconds_per_step == pytest.approx(trained.logs[-1]["train_runtime"] / 3)
    killed = run_of(tmp_path, "killed")
    with pytest.raises(Killed):
        train(profile, make_method(method), ROWS, clips=CLIPS, run=killed, callbacks=[Kill(3)], **how)
    killed.close()
    resumed = RunFolder.resume(killed.path, from_step=2)
    again = train(profile, make_method(method), ROWS, clips=CLIPS, run=resumed, resume=True, **how)
    assert (again.steps, again.cost.steps) == (3, 1)
    assert [(row["step"], row["attempt"]) for row in resumed.read_metrics()] == [(1, 1), (2, 1), (3, 2)]
    first, second = weights(whole), weights(resumed)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], atol=1e-5, rtol=0)


def test_methods_train_other_weights(profile, tmp_path, answers_that_differ):
    found = {}
    for method in METHODS:
        run = run_of(tmp_path, method)
        train(profile, make_method(method), ROWS, clips=CLIPS, run=run, seed=5, steps=1, quiet=True)
        found[method] = torch.cat([w.flatten() for w in weights(run).values()])
    assert all((found[a] - found[b]).abs().max() > 1e-3 for a, b in [METHODS[:2], METHODS[1:], METHODS[::2]])


def test_the_time_that_pairs_take_is_counted_apart_from_training(profile, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("vsr_kit.training.run.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def slow_pairs(loaded, rows, clips, mode, numeric, cap, seed):
        clock[0] += 100
        assert (loaded.model.config.model_type, mode, numeric, cap, seed) == ("qwen2_vl", "vanilla", "paper", 5, 9)
        return corrupted_pairs(rows, mode, seed)

    class Tick(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            clock[0] += 1

    monkeypatch.setattr("vsr_kit.training.supervised_trainers.rollout_pairs", slow_pairs)
    trained = train(
        profile,
        make_method("dpo-rollouts"),
        ROWS,
        clips=CLIPS,
        seed=9,
        steps=2,
        callbacks=[Tick()],
        seconds=None,
        quiet=True,
    )
    assert (trained.prepared_seconds, trained.seconds) == (100, 2)


@pytest.mark.parametrize("rate", [1e2, 1e20])
def test_a_run_whose_numbers_break_ends_with_its_last_good_weights(profile, tmp_path, capsys, rate):
    run = run_of(tmp_path, "broken")
    fast = dataclasses.replace(profile, learning_rate=rate)
    trained = train(fast, "vanilla", ROWS, clips=CLIPS, run=run, steps=8, quiet=True)
    assert trained.steps < 8 and "not finite" in trained.stopped
    assert f"stopped: {trained.stopped}" in capsys.readouterr().err
    assert all(weight.isfinite().all() for weight in weights(run).values())
    assert train(profile, "vanilla", ROWS, clips=CLIPS, steps=1, quiet=True).stopped is None


def test_a_run_that_learns_nothing_says_so(profile, monkeypatch, capsys):
    def same_reward(completions, **columns):
        return [0.5] * len(completions)

    monkeypatch.setattr("vsr_kit.training.methods.make_reward_funcs", lambda mode, numeric, extra: [same_reward])
    monkeypatch.setattr("vsr_kit.training.run.WarnOfCollapse", functools.partial(WarnOfCollapse, 2))
    train(profile, "vanilla", ROWS, clips=CLIPS, steps=2, quiet=True)
    said = capsys.readouterr().err
    assert "warning: for 2 lines every group's rollouts earned the same, last 0.5: " in said
    assert "seen at step 2" in said
