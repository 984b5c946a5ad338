"""Joints: each part of a method that can be exchanged does what it says, and nothing where it is left alone."""

import dataclasses
import functools
import hashlib
import inspect
import itertools
import json
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback
from trl.trainer.utils import nanstd

from tests.test_training import CLIPS, ROWS, Kill, Killed, run_of, weights
from vsr_kit.evaluation.evaluate import load_questions
from vsr_kit.generation import generate
from vsr_kit.models import load_model
from vsr_kit.rewards import accuracy_reward, group_reward
from vsr_kit.runs import RunFolder
from vsr_kit.training.joint_trainer import JointGRPOTrainer
from vsr_kit.training.joints import AdaptiveBeta, Ema, Stage, Start
from vsr_kit.training.methods import DPO, GRPO, SFT
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.references import freeze_as_reference, set_reference
from vsr_kit.training.run import train
from vsr_kit.training.supervised_trainers import VideoSFTTrainer, filtered_rollouts

G = 4


def length_reward(completions, **columns):
    return [len(c[0]["content"]) % 7 / 7 for c in completions]


@pytest.fixture(autouse=True)
def rewards_that_differ(monkeypatch):
    monkeypatch.setattr("vsr_kit.training.methods.make_reward_funcs", lambda mode, numeric, extra: [length_reward])


@pytest.fixture
def profile(tiny_path):
    sizes = {"lora_rank": 4, "num_generations": G, "questions_per_step": 2, "groups_per_pass": 2}
    return dataclasses.replace(
        PROFILES["mini"], model=str(tiny_path), max_vanilla_tokens=5, learning_rate=1e-2, steps=2, **sizes
    )


@pytest.fixture
def trained(profile):
    """trained(method, …) -> what two steps of it left, at one seed."""

    def run(method, **how):
        return train(profile, method, ROWS, **{"clips": CLIPS, "seed": 3, "quiet": True} | how)

    return run


@pytest.fixture
def batches(monkeypatch) -> list[dict]:
    """Every batch that a trainer with joints trained on."""
    made, whole = [], JointGRPOTrainer._batch

    def batch(self, rounds):
        made.append(whole(self, rounds))
        return made[-1]

    monkeypatch.setattr(JointGRPOTrainer, "_batch", batch)
    return made


def lora(done) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in done.loaded.model.named_parameters() if "lora_" in name}


def furthest(a, b) -> float:
    a, b = lora(a), lora(b)
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def steps_of(done) -> list[dict]:
    return [log for log in done.logs if "loss" in log]


# -- advantages, rewards of whole groups ------------------------------------------------------------------------------


def as_trl(rewards_BG):
    """TRL's own, its deviation too: torch's rounds otherwise on some processors, and AdamW makes that a step."""
    return (rewards_BG - rewards_BG.mean(1, keepdim=True)) / (nanstd(rewards_BG, dim=1)[:, None] + 1e-4)


def without_scale(rewards_BG):
    return rewards_BG - rewards_BG.mean(1, keepdim=True)


def test_advantages_are_those_of_the_function(trained, tmp_path):
    plain = trained(GRPO())
    assert furthest(plain, trained(GRPO(advantages=as_trl))) < 1e-6
    run = run_of(tmp_path, "own")
    own = trained(GRPO(advantages=without_scale), run=run)
    assert furthest(own, trained("vanilla", scale_rewards="none")) < 1e-6 < 1e-4 < furthest(own, plain)
    for row in run.read_rollouts():
        group = [r["length_reward"] for r in run.read_rollouts() if (r["step"], r["id"]) == (row["step"], row["id"])]
        assert row["advantage"] == pytest.approx(row["length_reward"] - sum(group) / G, abs=1e-6)


@pytest.mark.parametrize("bad", [lambda r: r[0], lambda r: r / 0])
def test_advantages_of_another_shape_or_no_numbers_are_refused(trained, bad):
    with pytest.raises(ValueError, match="advantages gave"):
        trained(GRPO(advantages=bad))


def test_a_group_reward_sees_its_group_and_the_reference(trained, tmp_path):
    seen = []

    def rank_reward(completions_G, row, reference_logps):
        seen.append((row["id"], tuple(completions_G), tuple(reference_logps)))
        return [sorted(reference_logps).index(own) for own in reference_logps]

    run = run_of(tmp_path, "ranks")
    trained(GRPO(rewards=(group_reward(rank_reward, reference=True),)), run=run, reward_weights=[0, 1])
    told = {}
    for row in run.read_rollouts():
        told.setdefault((row["step"], row["id"]), []).append(row)
    assert [(key[1], tuple(r["completion"] for r in rows)) for key, rows in told.items()] == [s[:2] for s in seen]
    for rows, (_, _, logps) in zip(told.values(), seen, strict=True):
        assert len(rows) == G and all(logp < 0 for logp in logps) and len(set(logps)) > 1
        assert [r["rank_reward"] for r in rows] == [sorted(logps).index(own) for own in logps]
        best = max(rows, key=lambda r: r["rank_reward"])
        assert best["advantage"] == max(r["advantage"] for r in rows) > 0


def test_the_references_log_probabilities_are_those_in_trls_kl(trained, batches):
    seen = []

    def watch(completions_G, row, reference_logps):
        seen.extend(reference_logps)
        return [0.0] * G

    done = trained(GRPO(rewards=(group_reward(watch, reference=True),)))
    assert steps_of(done)[1]["kl"] > 1e-4, "the policy has left its reference"
    trls = torch.cat([one["ref_per_token_logps"].sum(1) for one in batches])
    assert seen == pytest.approx(trls.tolist(), abs=1e-4) and len(seen) == 2 * 2 * G


# -- the entropy bonus -------------------------------------------------------------------------------------------------


def test_an_entropy_bonus_is_trls_and_raises_the_entropy(trained):
    plain, more = trained(GRPO()), trained(GRPO(entropy_bonus=0.5))
    assert steps_of(more)[0]["entropy_coef"] == 0.5 and "entropy_coef" not in steps_of(plain)[0]
    first, _ = steps_of(more)
    assert first["entropy"] == pytest.approx(steps_of(plain)[0]["entropy"])
    assert first["loss"] == pytest.approx(steps_of(plain)[0]["loss"] - 0.5 * first["entropy"], abs=1e-5)
    assert furthest(plain, more) > 1e-3


# -- which questions ---------------------------------------------------------------------------------------------------


def first_is_long(rewards_G):
    return bool(rewards_G[0] >= 0.3)


def test_groups_that_do_not_count_are_refilled_and_recorded(trained, tmp_path):
    run = run_of(tmp_path, "kept")
    done = trained(GRPO(keep_group=first_is_long, most_refills=5), run=run, steps=4)
    dropped = 0
    for log in steps_of(done):
        rows = [r for r in run.read_rollouts() if r["step"] == log["step"]]
        groups = [rows[i : i + G] for i in range(0, len(rows), G)]
        kept = [first_is_long([r["length_reward"] for r in own]) for own in groups]
        assert sum(kept) == 2 and log["groups/empty"] == 0, "the seed fills every place"
        assert log["groups/kept"] == sum(kept[:2]) / 2 and log["groups/sampled"] == len(groups) / 2
        for counts, own in zip(kept, groups, strict=True):
            assert counts == any(r["advantage"] for r in own)
        dropped += len(groups) - 2
    assert dropped > 0, "the seed drops a group"
    asked = [row["id"] for row in run.read_rollouts()][::G]
    assert len(set(asked[: len(ROWS)])) == min(len(asked), len(ROWS)), "refills are new questions"


def test_what_no_refill_fills_trains_nothing(trained, batches):
    nothing = trained(GRPO(keep_group=lambda rewards_G: False, most_refills=1), steps=1)
    assert not batches[0]["completion_mask"].any() and not batches[0]["advantages"].any()
    (log,) = steps_of(nothing)
    assert (log["groups/kept"], log["groups/sampled"], log["groups/empty"]) == (0, 2, 1)
    assert log["grad_norm"] == 0 == log["loss"]


class HardestFirst:
    """Rows never asked, in order; then those that earned least."""

    def __init__(self):
        self.told = []

    def choose(self, step, count, history):
        self.told.append((step, count, dict(history)))
        return sorted(range(len(ROWS)), key=lambda i: (i in history and 1 + sum(history[i]), i))[:count]


def test_next_rows_are_chosen_by_what_was_earned_and_a_resumed_run_is_the_same(profile, tmp_path):
    how = {"clips": CLIPS, "seed": 3, "quiet": True, "steps": 6, "save_every": 2}
    whole, chooser = run_of(tmp_path, "whole"), HardestFirst()
    train(profile, GRPO(next_rows=chooser), ROWS, run=whole, **how)
    asked = [[r["id"] for r in whole.read_rollouts() if r["step"] == step][::G] for step in range(1, 7)]
    assert asked[:3] == [["0", "1"], ["2", "3"], ["4", "5"]]
    earned = {}
    for row in whole.read_rollouts():
        if row["step"] <= 3:
            earned.setdefault(int(row["id"]), []).append(row["length_reward"])
    assert chooser.told[3] == (3, 2, {i: pytest.approx(own) for i, own in earned.items()})
    assert asked[3] == [str(i) for i in sorted(earned, key=lambda i: (sum(earned[i]), i))[:2]]
    killed = run_of(tmp_path, "killed")
    with pytest.raises(Killed):
        train(profile, GRPO(next_rows=HardestFirst()), ROWS, run=killed, callbacks=[Kill(5)], **how)
    killed.close()
    resumed = RunFolder.resume(killed.path)
    assert train(profile, GRPO(next_rows=HardestFirst()), ROWS, run=resumed, resume=True, **how).steps == 6
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)
    resumed.close()
    with pytest.raises(ValueError, match="was begun otherwise: joints was"):
        train(profile, GRPO(), ROWS, run=RunFolder.resume(killed.path), resume=True, **how)


class TooFew:
    def choose(self, step, count, history):
        return [0, 99]


def test_rows_that_are_none_are_refused(trained):
    with pytest.raises(ValueError, match=r"next_rows chose the rows \[0, 99\]: it must choose 2 of 0 to 5"):
        trained(GRPO(next_rows=TooFew()))


# -- texts to learn ----------------------------------------------------------------------------------------------------


def chain(row):
    text = f"<think>I see {row['ground_truth']}.</think><answer>{row['ground_truth']}</answer>"
    return text if row["id"] != "5" else None


def test_sft_learns_the_texts_it_is_given(trained, monkeypatch):
    seen = []
    collate = VideoSFTTrainer._collate

    def watched(self, rows):
        seen.extend((row["id"], row["completion"]) for row in rows)
        return collate(self, rows)

    monkeypatch.setattr(VideoSFTTrainer, "_collate", watched)
    own = trained(SFT(targets=chain), steps=4)
    assert set(seen) == {(row["id"], chain(row)) for row in ROWS[:5]}
    texts = {row["id"]: chain(row) for row in ROWS[:5]}
    assert furthest(own, trained(SFT(targets=texts), steps=4)) == 0 < furthest(own, trained(SFT(), steps=4))
    assert steps_of(own)[-1]["loss"] < steps_of(own)[0]["loss"]
    assert SFT(targets=texts).settings()["targets"].startswith("5 texts, sha256 ")


@pytest.mark.parametrize(
    "targets, words",
    [
        (lambda row: "", "the target of question '0' is '': give a text that holds something"),
        ({"0": "3"}, "1 questions with a target to train on, a step needs 2"),
    ],
)
def test_texts_that_are_none_are_refused_before_a_model_is_loaded(profile, targets, words):
    with pytest.raises(ValueError, match=words):
        SFT(targets=targets).check(profile, ROWS)


def test_filtered_rollouts_are_the_models_own_and_kept():
    loaded, questions = load_model("mini", quiet=True), load_questions(3, split="train", per_room=2)
    said = generate(
        loaded,
        questions.rows,
        questions.clips,
        mode="vanilla",
        prompt_set="train",
        max_new_tokens=16,
        temperature=1.0,
        num_samples=4,
        seed=3,
    )
    texts = filtered_rollouts(
        loaded, questions, lambda text, row: accuracy_reward(text, row) >= 0.5, samples=4, max_new_tokens=16, seed=3
    )
    wanted = {}
    for row, group in zip(questions.rows, said, strict=True):
        good = [one.text for one in group if accuracy_reward(one.text, row) >= 0.5]
        wanted |= {row["id"]: good[0]} if good else {}
    assert texts == wanted and 0 < len(texts) < len(questions.rows), "the seed answers some"
    with pytest.raises(ValueError, match="none of 2 rollouts of each of"):
        filtered_rollouts(loaded, questions, lambda text, row: False, samples=2)


# -- where it starts ---------------------------------------------------------------------------------------------------


@pytest.fixture
def first(trained, profile, tmp_path):
    """A trained adapter's folder, and the model with it."""
    run = run_of(tmp_path, "first")
    return run.adapter, trained(GRPO(), run=run)


def asked(loaded):
    return [one[0].text for one in generate(loaded, ROWS, CLIPS, max_new_tokens=5)]


def test_a_training_goes_on_with_an_adapter(trained, profile, first, tmp_path):
    folder, before = first
    still = {"learning_rate": 1e-12, "steps": 1}
    went_on = trained(GRPO(), start=Start(folder), **still)
    assert furthest(went_on, before) < 1e-9 < 1e-3 < furthest(went_on, trained(GRPO(), **still))
    assert steps_of(went_on)[0]["kl"] > 1e-4, "the reference is the base without it"
    with pytest.raises(ValueError, match="rank 4 and alpha 32, the profile 8 and 32: use a profile with lora_rank=4"):
        train(dataclasses.replace(profile, lora_rank=8), "vanilla", ROWS, clips=CLIPS, start=Start(folder))
    with pytest.raises(FileNotFoundError, match="which is no folder"):
        trained(GRPO(), start=Start(tmp_path / "none"))


def test_an_adapter_is_merged_first_and_the_new_base_is_kept(profile, first, tmp_path):
    folder, _ = first
    plain = dataclasses.replace(profile, quantize=None)
    run, how = run_of(tmp_path, "merged"), {"clips": CLIPS, "seed": 3, "quiet": True, "steps": 1}
    done = train(plain, "vanilla", ROWS, run=run, start=Start(folder, merge=True), learning_rate=1e-12, **how)
    assert abs(steps_of(done)[0]["kl"]) < 1e-9, "the reference is the merged base"
    with_it = load_model(profile.model, adapter=folder, quiet=True)
    again = load_model(run.path / "base", adapter=run.adapter, quiet=True)
    assert asked(again) == asked(with_it) != asked(load_model(profile.model, quiet=True))
    with pytest.raises(ValueError, match="merge=True with quantize='nf4'"):
        train(profile, "vanilla", ROWS, start=Start(folder, merge=True), **how)


@pytest.mark.parametrize("method", [GRPO(), SFT(), DPO()], ids=lambda method: method.name)
def test_all_of_the_language_model_is_trained_and_a_resumed_run_is_the_same(profile, tmp_path, method):
    plain = dataclasses.replace(profile, quantize=None, learning_rate=1e-3)
    how = {"clips": CLIPS, "seed": 3, "quiet": True, "steps": 4, "save_every": 2, "train_all": True}
    whole, killed = run_of(tmp_path, "whole"), run_of(tmp_path, "killed")
    done = train(plain, method, ROWS, run=whole, **how)
    assert done.adapter is None
    if method.name == "grpo":
        assert abs(steps_of(done)[0]["kl"]) < 1e-9 < steps_of(done)[1]["kl"], "the reference is the base"
    base = load_model(profile.model, quiet=True).model.state_dict()
    now = done.loaded.model.state_dict()
    moved = {name for name, weight in now.items() if not torch.equal(weight, base[name])}
    assert moved and not any("visual" in name for name in moved)
    assert {"model.language_model.embed_tokens.weight", "model.language_model.norm.weight"} <= moved
    with pytest.raises(Killed):
        train(plain, method, ROWS, run=killed, callbacks=[Kill(3)], **how)
    killed.close()
    resumed = RunFolder.resume(killed.path)
    again = train(plain, method, ROWS, run=resumed, resume=True, **how).loaded.model.state_dict()
    assert all(torch.equal(now[name], again[name]) for name in now)
    kept = load_model(whole.path / "model", quiet=True).model.state_dict()
    assert all(torch.equal(weight, kept[name]) for name, weight in now.items())


def test_four_bits_are_not_trained(trained):
    with pytest.raises(ValueError, match="train_all with quantize='nf4'"):
        trained(GRPO(), train_all=True)


# -- the KL term -------------------------------------------------------------------------------------------------------


def test_the_reference_is_a_frozen_adapter(trained, first, tmp_path):
    folder, _ = first
    run = run_of(tmp_path, "own")
    done = trained(GRPO(reference=folder), start=Start(folder), run=run)
    assert abs(steps_of(done)[0]["kl"]) < 1e-9 < steps_of(done)[1]["kl"], "the policy starts as its reference"
    assert len(lora(done)) == len(weights(run)) == 28, "the result has one adapter"
    assert not (run.adapter / "ref").exists()
    with pytest.raises(FileNotFoundError, match="reference is nowhere, which is no folder: give 'base'"):
        trained(GRPO(reference="nowhere"))
    with pytest.raises(ValueError, match="and beta is 0: there is no KL term"):
        trained(GRPO(reference=Ema()), beta=0.0)
    with pytest.raises(ValueError, match="adaptive_beta multiplies beta, which is 0"):
        trained(GRPO(adaptive_beta=AdaptiveBeta(0.1)), beta=0.0)


@pytest.mark.parametrize("how", [freeze_as_reference, lambda model: set_reference(trainer_of(model), Ema())])
def test_a_reference_of_either_kind_begins_as_a_frozen_copy_of_the_adapter(how):
    layers = torch.nn.Sequential(torch.nn.Linear(3, 3))
    model = get_peft_model(layers, LoraConfig(r=2, target_modules=["0"], init_lora_weights=False))
    how(model)
    now = dict(model.named_parameters())
    pairs = [(now[name], now[name.replace(".ref.", ".default.")]) for name in now if ".ref." in name]
    assert len(pairs) == 2 and all(torch.equal(*pair) for pair in pairs)
    assert all(own.requires_grad and not ref.requires_grad for ref, own in pairs)
    assert model.active_adapter == "default"


def trainer_of(model):
    """As much of a trainer as `set_reference` looks at."""
    whole = SimpleNamespace(unwrap_model=lambda own: own)
    return SimpleNamespace(accelerator=whole, model=model, beta=0.1, add_callback=lambda callback: None)


class LookAtReference(TrainerCallback):
    """The policy's and the reference's weights after each step."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, args, state, control, model=None, **kwargs):
        named = {name: p.detach().clone() for name, p in model.named_parameters() if "lora_" in name}
        self.seen.append({name: p for name, p in named.items() if ".default." in name or ".ref." in name})


def test_a_moving_reference_is_the_policys_mean_and_goes_on_in_a_resumed_run(profile, tmp_path):
    how = {"clips": CLIPS, "seed": 3, "quiet": True, "steps": 4, "save_every": 2}
    whole, killed, look = run_of(tmp_path, "whole"), run_of(tmp_path, "killed"), LookAtReference()
    train(profile, GRPO(reference=Ema(0.75)), ROWS, run=whole, callbacks=[look], **how)
    for before, now in itertools.pairwise(look.seen):
        for name in (n for n in now if ".ref." in n):
            mean = 0.75 * before[name] + 0.25 * now[name.replace(".ref.", ".default.")]
            assert torch.allclose(now[name], mean, atol=1e-7)
    moved = [(look.seen[3][n] - look.seen[0][n]).abs().max() for n in look.seen[3] if ".ref." in n]
    assert len(moved) == 28 and max(moved) > 1e-3
    with pytest.raises(Killed):
        train(profile, GRPO(reference=Ema(0.75)), ROWS, run=killed, callbacks=[Kill(3)], **how)
    killed.close()
    resumed = RunFolder.resume(killed.path)
    train(profile, GRPO(reference=Ema(0.75)), ROWS, run=resumed, resume=True, **how)
    first, second = weights(whole), weights(resumed)
    assert len(first) == 28 and all(torch.equal(first[name], second[name]) for name in first)
    assert [row["kl"] for row in whole.read_metrics()] == [row["kl"] for row in resumed.read_metrics()]


def test_beta_moves_towards_the_target_and_a_resumed_run_knows_it(profile, tmp_path):
    rule = AdaptiveBeta(target=1e-3, gain=0.5)
    how = {"clips": CLIPS, "seed": 3, "quiet": True, "steps": 4, "save_every": 2}
    whole, killed = run_of(tmp_path, "whole"), run_of(tmp_path, "killed")
    train(profile, GRPO(adaptive_beta=rule), ROWS, run=whole, **how)
    logs = whole.read_metrics()
    assert logs[0]["beta"] == profile.beta
    for before, now in itertools.pairwise(logs):
        error = min(0.2, max(-0.2, before["kl"] / 1e-3 - 1))
        assert now["beta"] == pytest.approx(before["beta"] * (1 + 0.5 * error))
    assert logs[1]["beta"] < logs[0]["beta"] and logs[-1]["beta"] > logs[1]["beta"]
    with pytest.raises(Killed):
        train(profile, GRPO(adaptive_beta=rule), ROWS, run=killed, callbacks=[Kill(3)], **how)
    killed.close()
    resumed = RunFolder.resume(killed.path)
    train(profile, GRPO(adaptive_beta=rule), ROWS, run=resumed, resume=True, **how)
    assert [row["beta"] for row in resumed.read_metrics()] == [row["beta"] for row in logs]


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Ema(1.0), "decay is 1.0: must be below 1"),
        (lambda: AdaptiveBeta(0), "target is 0"),
        (lambda: AdaptiveBeta(0.1, gain=0), "gain is 0"),
    ],
)
def test_numbers_that_no_reference_has_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# -- stages ------------------------------------------------------------------------------------------------------------


def even(row):
    return int(row["ground_truth"]) % 2 == 0


def odd_reward(completions, **columns):
    return [len(c[0]["content"]) % 2 for c in completions]


class LookAtRate(TrainerCallback):
    """What the optimiser steps by."""

    def __init__(self):
        self.rates = []

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **kwargs):
        self.rates.append(optimizer.param_groups[0]["lr"])


SECOND = Stage(2, max_completion_length=7, num_generations=6, learning_rate=2e-3, temperature=0.7, questions=even)
STAGES = (SECOND, Stage(4, rewards={"length_reward": 0.0, "odd_reward": 2.0}))


def test_stages_switch_settings_and_a_resumed_run_lands_in_the_right_one(profile, tmp_path):
    method = GRPO(stages=STAGES, rewards=(odd_reward,))
    how = {"clips": CLIPS, "seed": 3, "quiet": True, "steps": 6, "save_every": 1, "reward_weights": [1, 0]}
    whole, look = run_of(tmp_path, "whole"), LookAtRate()
    train(profile, method, ROWS, run=whole, callbacks=[look], **how)
    logs, rows = whole.read_metrics(), whole.read_rollouts()
    assert [log["stage"] for log in logs] == [0, 0, 1, 1, 2, 2]
    assert [sum(row["step"] == step for row in rows) for step in range(1, 7)] == [8, 8, 12, 12, 8, 8]
    assert {row["id"] for row in rows if row["step"] in (3, 4)} == {"0", "2", "4"}
    assert [log["completions/max_length"] for log in logs] == [5, 5, 7, 7, 5, 5]
    heights = [profile.learning_rate] * 2 + [2e-3] * 2 + [profile.learning_rate] * 2
    wanted = [height * (6 - step) / 6 for step, height in enumerate(heights)]
    assert look.rates == [log["learning_rate"] for log in logs] == pytest.approx(wanted)
    for step, sums in ((2, lambda r: r["length_reward"]), (5, lambda r: 2 * r["odd_reward"])):
        paid = [sums(row) for row in rows if row["step"] == step]
        assert logs[step - 1]["reward"] == pytest.approx(sum(paid) / len(paid))
    for kill in (2, 4):  # right before a switch: the checkpoint is of the step before; and inside a stage
        killed = run_of(tmp_path, f"killed-{kill}")
        with pytest.raises(Killed):
            train(profile, method, ROWS, run=killed, callbacks=[Kill(kill)], **how)
        killed.close()
        resumed = RunFolder.resume(killed.path)
        train(profile, method, ROWS, run=resumed, resume=True, **how)
        first, second = weights(whole), weights(resumed)
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert [log["stage"] for log in resumed.read_metrics()] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    "stages, words",
    [
        ((Stage(2), Stage(2)), "stage 2 begins at step 2 and the one before at 2: name stages in the order"),
        ((Stage(0, rewards={"lenght": 1}),), "stage 1 pays 'lenght': the rewards are length_reward; name one"),
        ((Stage(0, questions=("route_planning",)),), "stage 1 leaves 0 of 6 questions, a step needs 2"),
    ],
)
def test_stages_that_cannot_be_are_refused_before_a_model_is_loaded(profile, stages, words):
    with pytest.raises(ValueError, match=words):
        GRPO(stages=stages).check(profile, ROWS)


def hashed(function) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:8]


def test_a_function_is_known_by_its_source_too():
    """A run is not gone on with by a function that has changed since, nor stopped by a file that was renamed."""
    spaces = [{}, {}]
    for space, factor in zip(spaces, (1, 0), strict=True):
        exec(f"def centred(rewards_BG):\n    return rewards_BG * {factor}\n", space)
    one, other = (GRPO(advantages=space["centred"]).settings()["advantages"] for space in spaces)
    assert one != other and one.startswith("centred ") and other.startswith("centred ")
    again = {}
    exec("def centred(rewards_BG):\n    return rewards_BG * 1\n", again | {"__name__": "elsewhere"}, again)
    assert GRPO(advantages=again["centred"]).settings()["advantages"] == one


def test_only_what_was_changed_is_recorded():
    stages = (Stage(2, num_generations=6),)
    changed = GRPO(advantages=as_trl, next_rows=TooFew(), stages=stages, entropy_bonus=0.1).settings()
    assert changed == GRPO().settings() | {
        "advantages": f"as_trl {hashed(as_trl)}",
        "next_rows": {"kind": f"TooFew {hashed(TooFew)}"},
        "stages": [{"kind": "Stage", "from_step": 2, "num_generations": 6}],
        "entropy_bonus": 0.1,
    }
    assert json.dumps(changed)
    scaled = functools.partial(as_trl, 2.0, cut=True)
    told = {"kind": f"as_trl {hashed(as_trl)}", "args": [2.0], "cut": True}
    assert GRPO(advantages=scaled).joints() == {"advantages": told}
