"""Methods: GRPO knows what it pays; what is only logged, and a weight of next to nothing, change no weight."""

import dataclasses

import pytest
import torch

from tests.test_training import CLIPS, ROWS
from vsr_kit.evaluation.evaluate import Questions
from vsr_kit.recipes.vsgrpo import NO_BETA
from vsr_kit.rewards import detectors
from vsr_kit.training.methods import DPO, GRPO, METHODS, SFT, make_method
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.run import train


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"method": "ppo"}, "method is 'ppo': choose one of grpo, sft, dpo-corrupted, dpo-rollouts"),
        ({"method": "sft", "extra_rewards": ("length",)}, "sft has no rewards"),
        ({"method": "dpo-rollouts", "detectors": ("empty_thought",)}, "dpo-rollouts has no rewards"),
    ],
)
def test_a_method_that_cannot_be_is_an_error(settings, words):
    with pytest.raises(ValueError, match=words):
        make_method(**settings)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"mode": "think", "extra_rewards": ("lenght",)}, "unknown extra reward 'lenght'"),
        ({"mode": "vanilla", "extra_rewards": ("length",)}, "in vanilla mode"),
        ({"mode": "think", "detectors": ("empty",)}, "unknown detector 'empty'"),
    ],
)
def test_what_a_mode_does_not_have_is_an_error_before_a_model_is_loaded(settings, words):
    with pytest.raises(ValueError, match=words):
        make_method(**settings).check(PROFILES["mini"], ROWS)


@pytest.mark.parametrize("method", METHODS)
def test_rows_are_looked_at_before_a_model_is_loaded(method):
    make_method(method).check(PROFILES["mini"], ROWS)
    with pytest.raises(ValueError, match="lacks scene_name"):
        make_method(method).check(PROFILES["mini"], [{"id": "x", "ground_truth": "3"}])


def test_what_is_paid_weighs_one_and_what_is_watched_nothing(tmp_path):
    method = GRPO("think", ("thought", "length"), ("empty_thought", "repeated_tags"))
    functions, weights = method.reward_funcs("paper")
    assert {f.__name__: w for f, w in zip(functions, weights, strict=True)} == {
        "accuracy_reward": 1.0,
        "format_reward": 1.0,
        "thought_reward": 1.0,
        "length_reward": 1.0,
        "empty_thought": 0.0,
        "repeated_tags": 0.0,
    }
    config = method.config(PROFILES["mini"], output_dir=tmp_path)
    assert config.reward_weights == weights and config.max_completion_length == 96
    plain, ones = GRPO().reward_funcs("mra")
    assert [f.__name__ for f in plain] == ["accuracy_reward"] and ones == [1.0]
    assert GRPO().config(PROFILES["mini"], output_dir=tmp_path, max_completion_length=7).max_completion_length == 7


def test_every_method_has_its_trainers_config(tmp_path):
    made = {name: type(make_method(name).config(PROFILES["mini"], output_dir=tmp_path)).__name__ for name in METHODS}
    assert made == {
        "grpo": "GRPOConfig",
        "sft": "SFTConfig",
        "dpo-corrupted": "DPOConfig",
        "dpo-rollouts": "DPOConfig",
    }


@pytest.mark.parametrize("name", METHODS)
def test_a_method_records_what_runs_have_always_recorded_and_comes_back_from_it(name):
    rewards = {"extra_rewards": ("length",), "detectors": ("empty_thought",)} if name == "grpo" else {}
    made = make_method(name, "think", **rewards)
    recorded = {"method": name, "mode": "think", "extra_rewards": (), "detectors": ()} | rewards
    assert made.settings() == recorded and list(made.settings()) == list(recorded)
    assert make_method(**made.settings()) == made
    assert (make_method(), make_method("sft"), make_method("dpo-rollouts")) == (GRPO(), SFT(), DPO(pairs="rollouts"))


@pytest.mark.parametrize(
    "questions, clips, words",
    [
        (ROWS, None, "questions is a list without clips: give what load_questions returns, or the rows with clips="),
        (Questions(ROWS, CLIPS), CLIPS, "clips were given beside Questions, which has its own: leave clips out"),
    ],
)
def test_questions_have_their_clips_once(questions, clips, words):
    with pytest.raises(ValueError, match=words):
        train("mini", "vanilla", questions, clips=clips)


# -- two real steps of a tiny model ------------------------------------------------------------------------------------


def odd_length(text, mode):
    """A sign that about half of a random model's completions show."""
    return len(text) % 2 == 1


@pytest.fixture(scope="module")
def two_steps(tiny_path):
    """two_steps(beta, detectors) -> (LoRA weights by name, logs) of two steps of GRPO, the same but for these."""

    def length_reward(completions, **columns):
        return [len(c[0]["content"]) % 7 / 7 for c in completions]

    sizes = {"lora_rank": 4, "num_generations": 4, "questions_per_step": 2, "groups_per_pass": 2}
    profile = dataclasses.replace(
        PROFILES["mini"], model=str(tiny_path), max_chain_tokens=5, learning_rate=1e-2, **sizes
    )

    def run(beta, watched=()):
        own = dataclasses.replace(profile, beta=beta)
        trained = train(own, GRPO("think", (), watched), ROWS, clips=CLIPS, seed=3, steps=2, quiet=True)
        named = trained.loaded.model.named_parameters()
        return {name: p.detach().clone() for name, p in named if "lora_" in name}, trained.logs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vsr_kit.training.methods.make_reward_funcs", lambda mode, numeric, extra: [length_reward])
        patch.setitem(detectors.DETECTORS, "odd_length", odd_length)
        yield run


@pytest.fixture(scope="module")
def plain(two_steps):
    return two_steps(0.0)


def furthest(a: dict, b: dict) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


def test_the_two_steps_move_weights(plain):
    weights, logs = plain
    assert max(float(w.abs().max()) for name, w in weights.items() if "lora_B" in name) > 5e-3  # they begin at zero
    assert 0 < logs[0]["reward"] < 1


def test_detectors_are_logged_and_train_nothing(two_steps, plain):
    weights, logs = two_steps(0.0, ("odd_length", "empty_thought"))
    assert furthest(weights, plain[0]) == 0
    assert [log.get("reward") for log in logs] == [log.get("reward") for log in plain[1]]
    assert 0 < logs[0]["rewards/odd_length/mean"] < 1
    assert logs[0]["rewards/empty_thought/mean"] == 0 and "rewards/empty_thought/mean" not in plain[1][0]


def test_next_to_no_beta_trains_what_none_does_and_logs_the_kl(two_steps, plain):
    weights, logs = two_steps(NO_BETA)
    assert furthest(weights, plain[0]) <= 1e-6
    assert logs[1]["kl"] > 0 and "kl" not in plain[1][1]
    assert torch.isfinite(torch.tensor(logs[1]["kl"]))
