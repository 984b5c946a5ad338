"""Profiles: the paper's objective in every one of them, and settings that TRL accepts."""

import dataclasses

import pytest
import torch

from vsr_kit.training.profiles import OBJECTIVE, PROFILES, Profile, describe, get_profile

PAPER = {"beta": 1e-4, "temperature": 1.0, "epsilon": 0.2, "num_iterations": 1, "loss_type": "grpo"}
PAPER |= {"use_bias_correction_kl": False, "top_k": 0, "top_p": 1.0, "scale_rewards": "group"}


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_has_the_papers_objective(name, tmp_path):
    config = PROFILES[name].grpo_config(tmp_path, seed=7)
    assert {key: getattr(config, key) for key in PAPER} == PAPER
    assert config.importance_sampling_level == "token" and config.seed == 7


def test_the_papers_own_numbers():
    paper = PROFILES["paper"]
    assert (paper.num_generations, paper.beta, paper.learning_rate) == (14, 1e-4, 1e-5)
    assert paper.model == "Qwen/Qwen2-VL-2B-Instruct"
    assert list(PROFILES) == ["mini", "t4", "a100", "paper"]


@pytest.mark.parametrize("name", PROFILES)
def test_a_step_holds_the_questions_of_the_profile_in_whole_groups(name, tmp_path):
    profile = PROFILES[name]
    config = profile.grpo_config(tmp_path)
    assert config.generation_batch_size == profile.questions_per_step * profile.num_generations
    assert config.per_device_train_batch_size % profile.num_generations == 0
    # on-policy: TRL leaves the old log-probabilities out where this holds
    assert config.gradient_accumulation_steps % (config.steps_per_generation * config.num_iterations) == 0


def test_processes_share_the_questions_of_a_step(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert PROFILES["paper"]._passes() == 4
    with pytest.raises(ValueError, match="questions_per_step is 6: it must be a multiple of 4 processes x 1"):
        Profile("odd", questions_per_step=6).grpo_config(tmp_path)


def test_on_a_cpu_nothing_is_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr("vsr_kit.models.loading.pick_device", lambda: torch.device("cpu"))
    config = PROFILES["paper"].grpo_config(tmp_path)
    assert config.use_cpu and not config.bf16 and not config.fp16


@pytest.mark.parametrize(
    "dtype, has_bf16, expected", [(None, True, True), (None, False, False), ("float32", True, False)]
)
def test_on_a_gpu_bf16_is_used_where_there_is_any(dtype, has_bf16, expected, monkeypatch):
    from vsr_kit.training.profiles import _place

    monkeypatch.setattr("vsr_kit.models.loading.pick_device", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *args: has_bf16)
    assert _place(dtype) == {"bf16": expected}


def test_the_cap_follows_the_mode(tmp_path):
    mini = PROFILES["mini"]
    assert [mini.max_completion_length(mode) for mode in ("vanilla", "think", "observe")] == [16, 96, 96]
    assert mini.grpo_config(tmp_path, mode="think").max_completion_length == 96


def test_overrides_win(tmp_path):
    config = PROFILES["mini"].grpo_config(tmp_path, max_steps=3, learning_rate=0.5)
    assert (config.max_steps, config.learning_rate) == (3, 0.5)
    assert config.gradient_checkpointing is False and config.lr_scheduler_type == "linear"


def test_profiles_are_frozen_and_found_by_name():
    assert get_profile("mini") is PROFILES["mini"] and get_profile(PROFILES["t4"]) is PROFILES["t4"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        PROFILES["mini"].beta = 1
    with pytest.raises(ValueError, match="no profile is called 'h100': choose one of mini, t4, a100, paper"):
        get_profile("h100")


def test_the_table_shows_every_setting_of_every_profile():
    lines = describe().splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [f.name for f in dataclasses.fields(Profile)]
    assert lines[0].split() == ["name", *PROFILES]
    assert next(line for line in lines if line.startswith("num_generations")).split()[1:] == ["8", "8", "14", "14"]
    assert all(f"{key}=" in lines[-1] for key in OBJECTIVE)
    assert "beta" in PROFILES["t4"].describe() and "paper" not in PROFILES["t4"].describe().splitlines()[0]
