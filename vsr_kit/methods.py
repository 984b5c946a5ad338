"""The ways to train an adapter on the same rows: GRPO, SFT on the answers, DPO on pairs, each by TRL's own trainer.

The story: a method decides which of TRL's trainers and configs is made and what the rows carry besides their question;
the rest (model, LoRA, clips, features, schedule) is the same for all, so that a comparison compares the method.
Left out: training loops and losses (TRL's), and mixing methods in one run (a second run can start from an adapter).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vsr_kit.detectors import make_detectors
from vsr_kit.profiles import Profile
from vsr_kit.rewards import make_reward_funcs

METHODS = ("grpo", "sft", "dpo-corrupted", "dpo-rollouts")


@dataclass(frozen=True)
class Task:
    """What is trained how, apart from the sizes a profile holds.

    Attributes:
        method: one of METHODS.
        mode: vanilla, think or observe, with the paper's training prompts.
        extra_rewards: names of `rewards.EXTRA_REWARDS` paid besides accuracy and format; GRPO only.
        detectors: names of `detectors.DETECTORS` that are logged with each step and pay nothing; GRPO only.
    """

    method: str = "grpo"
    mode: str = "vanilla"
    extra_rewards: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}: choose one of {', '.join(METHODS)}")
        if self.method != "grpo" and (self.extra_rewards or self.detectors):
            raise ValueError(f"{self.method} has no rewards: leave extra_rewards and detectors out, or use grpo")

    def reward_funcs(self, numeric: str) -> tuple[list, list[float]]:
        """GRPO's rewards and their weights: 1 for what is paid, 0 for what is only logged."""
        paid = make_reward_funcs(self.mode, numeric, self.extra_rewards)
        logged = make_detectors(self.mode, self.detectors) if self.detectors else []
        return [*paid, *logged], [1.0] * len(paid) + [0.0] * len(logged)


def check(task: Task, profile: Profile, rows: Sequence[dict]) -> None:
    """Complain about what can be known before a model is loaded."""
    from vsr_kit.trainers import training_rows

    training_rows(rows, task.mode)
    if task.method == "grpo":
        task.reward_funcs(profile.numeric)


def config_of(task: Task, profile: Profile, **settings):
    """The method's TRL config; settings are `output_dir`, `seed` and any of the config's fields."""
    if task.method == "sft":
        return profile.sft_config(**settings)
    if task.method != "grpo":
        return profile.dpo_config(**settings)
    weights = task.reward_funcs(profile.numeric)[1]
    return profile.grpo_config(**({"mode": task.mode, "reward_weights": weights} | settings))


def make_trainer(
    task: Task, profile: Profile, config, loaded, rows: Sequence[dict], clips: Mapping[str, np.ndarray], **extra
):
    """The method's trainer with a fresh LoRA adapter.

    Args:
        config: from `config_of`.
        loaded: a `models.Loaded`.
        extra: `features` and, for GRPO, `recorder`, as the trainers take them.
    """
    # here, not above: the study's plan and its verdicts need tasks, and none of what follows
    from vsr_kit.models import lora_config
    from vsr_kit.trainers import VideoDPOTrainer, VideoGRPOTrainer, VideoSFTTrainer, answer_rows, training_rows

    common = {
        "model": loaded.model,
        "args": config,
        "processing_class": loaded.processor,
        "peft_config": lora_config(profile.lora_rank, profile.lora_alpha),
        "clips": clips,
        "features": extra["features"],
        "questions_per_clip": profile.questions_per_clip,
    }
    if task.method == "grpo":
        common |= {"reward_funcs": task.reward_funcs(profile.numeric)[0], "recorder": extra.get("recorder")}
        return VideoGRPOTrainer(train_dataset=training_rows(rows, task.mode), **common)
    if task.method == "sft":
        return VideoSFTTrainer(train_dataset=answer_rows(rows, task.mode), **common)
    return VideoDPOTrainer(train_dataset=_pairs(task, profile, config.seed, loaded, rows, clips), **common)


def _pairs(task: Task, profile: Profile, seed: int, loaded, rows, clips):
    from vsr_kit.pairs import corrupted_pairs, rollout_pairs

    if task.method == "dpo-corrupted":
        return corrupted_pairs(rows, task.mode, seed)
    cap = profile.max_completion_length(task.mode)
    return rollout_pairs(loaded, rows, clips, task.mode, profile.numeric, cap, seed)
