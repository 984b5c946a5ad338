"""The methods that train an adapter on the same rows: GRPO, SFT on the answers, DPO on pairs, each by TRL's trainer.

A method decides which of TRL's trainers and configs is made and what rows carry besides their question; the rest
(model, LoRA, clips, features, schedule) is the same for all, so that a comparison compares the methods.
Left out: training loops and losses, which are TRL's, and mixing methods in one run (a second run can start from an
adapter).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vsr_kit import validation
from vsr_kit.prompts import MODES
from vsr_kit.rewards import make_reward_funcs
from vsr_kit.rewards.detectors import make_detectors
from vsr_kit.training.profiles import Profile
from vsr_kit.validation import one_of, real, whole

_SIZES = {"per_device_train_batch_size", "gradient_accumulation_steps", "generation_batch_size"}
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
        one_of("mode", self.mode, MODES)
        if self.method != "grpo" and (self.extra_rewards or self.detectors):
            raise ValueError(f"{self.method} has no rewards: leave extra_rewards and detectors out, or use grpo")

    def reward_funcs(self, numeric: str) -> tuple[list, list[float]]:
        """GRPO's rewards and their weights: 1 for what is paid, 0 for what is only logged."""
        paid = make_reward_funcs(self.mode, numeric, self.extra_rewards)
        logged = make_detectors(self.mode, self.detectors) if self.detectors else []
        return [*paid, *logged], [1.0] * len(paid) + [0.0] * len(logged)


def check(task: Task, profile: Profile, rows: Sequence[dict]) -> None:
    """Complain about what can be known before a model is loaded."""
    from vsr_kit.training.video_mixin import training_rows

    training_rows(rows, task.mode)
    if task.method == "grpo":
        task.reward_funcs(profile.numeric)


def check_numbers(
    task: Task, profile: Profile, rows: Sequence[dict], seed: int = 0, steps: int | None = None, seconds=None, **more
) -> None:
    """Complain about numbers that no run can be made of, before a model is loaded or a folder made.

    Args:
        task, profile: what is to be trained how.
        rows: the questions; a step needs `questions_per_step` of them, whatever the method.
        seed, steps, seconds: training.train's.
        more: fields of the method's TRL config, as training.train takes them.

    Raises:
        ValueError: naming the setting, its value, the rule and what to do.
    """
    validation.seed(seed)
    whole("steps", profile.steps if steps is None else steps)
    if seconds is not None:
        real("seconds", seconds, remedy="leave it out for no limit")
    real("learning_rate", more.get("learning_rate", profile.learning_rate), above=True, remedy="at 0 nothing is learnt")
    replace(profile, **{name: more[name] for name in more if name in profile.__dataclass_fields__})
    if _SIZES & more.keys():  # the trainer's own: it says what is wrong with them
        return
    profile.check_passes()
    enough(len(rows), profile, "questions")


def enough(count: int, profile: Profile, what: str) -> None:
    """Complain if there are fewer questions, or pairs of answers, than a step takes."""
    if count < profile.questions_per_step:
        raise ValueError(
            f"{count} {what} to train on, a step needs {profile.questions_per_step}: give more rooms or more questions "
            "about each, or a profile with fewer questions_per_step"
        )


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
        loaded: a `loading.Loaded`.
        extra: `features` and, for GRPO, `recorder`, as the trainers take them.
    """
    # here, not above: the study's plan and its verdicts need tasks, and none of what follows
    from vsr_kit.models.loading import lora_config
    from vsr_kit.training.grpo_trainer import VideoGRPOTrainer
    from vsr_kit.training.supervised_trainers import VideoDPOTrainer, VideoSFTTrainer, answer_rows
    from vsr_kit.training.video_mixin import training_rows

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
    pairs = _pairs(task, profile, config.seed, loaded, rows, clips)
    enough(len(pairs), profile, "pairs of answers")
    return VideoDPOTrainer(train_dataset=pairs, **common)


def _pairs(task: Task, profile: Profile, seed: int, loaded, rows, clips):
    from vsr_kit.training.supervised_trainers import corrupted_pairs, rollout_pairs

    if task.method == "dpo-corrupted":
        return corrupted_pairs(rows, task.mode, seed)
    cap = profile.max_completion_length(task.mode)
    return rollout_pairs(loaded, rows, clips, task.mode, profile.numeric, cap, seed)
