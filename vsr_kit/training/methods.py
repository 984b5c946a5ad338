"""The methods that train an adapter on the same rows: GRPO, SFT on the answers, DPO on pairs, each by TRL's trainer.

A method is a small frozen object that knows which of TRL's trainers and configs it needs and what rows carry besides
their question; the rest (model, LoRA, clips, features, schedule) is the same for all, so that a comparison compares the
methods. The command line and the study name methods by strings, which `make_method` reads.
Left out: training loops and losses, which are TRL's, and mixing methods in one run (a second run can start from an
adapter).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from vsr_kit import validation
from vsr_kit.prompts import MODES, judging
from vsr_kit.questions import MATHEMATICS
from vsr_kit.rewards import make_reward_funcs
from vsr_kit.rewards.detectors import make_detectors
from vsr_kit.training.joints import AdaptiveBeta, Ema, NextRows, Stage, described
from vsr_kit.training.profiles import Profile
from vsr_kit.validation import one_of, real, whole

_SIZES = {"per_device_train_batch_size", "gradient_accumulation_steps", "generation_batch_size"}
METHODS = ("grpo", "sft", "dpo-corrupted", "dpo-rollouts")
PAIRS = ("corrupted", "rollouts")
_NAMED = ("extra_rewards", "detectors")  # recorded whatever the method


@dataclass(frozen=True)
class Method:
    """What all methods have in common; make a GRPO, an SFT or a DPO.

    Attributes:
        mode: vanilla, think or observe, with the paper's training prompts.
    """

    mode: str = "vanilla"

    def __post_init__(self) -> None:
        one_of("mode", self.mode, MODES)

    @property
    def name(self) -> str:
        """What the command line and a run's record call it, one of METHODS."""
        raise NotImplementedError

    def settings(self) -> dict:
        """What a run records of its method, flat: `method`, `mode`, `extra_rewards`, `detectors`, and its joints."""
        named = {"extra_rewards": (), "detectors": ()} | {n: getattr(self, n) for n in _NAMED if hasattr(self, n)}
        return {"method": self.name, "mode": self.mode, **named, **self.joints()}

    def joints(self) -> dict:
        """The joints that are not at their default, by name, as a run records them (`joints.described`)."""
        own = [field for field in fields(self) if field.name not in ("mode", "pairs", *_NAMED)]
        changed = {field.name: getattr(self, field.name) for field in own}
        return {f.name: described(changed[f.name]) for f in own if changed[f.name] != f.default}

    def check(self, profile: Profile, rows: Sequence[dict]) -> None:
        """Complain about what can be known before a model is loaded.

        Raises:
            ValueError: a row that lacks a field, or a setting that the mode or the profile does not allow.
        """
        from vsr_kit.training.video_mixin import training_rows

        training_rows(rows, self.mode)

    def config(self, profile: Profile, **settings):
        """The method's TRL config; settings are `output_dir`, `seed` and any of the config's fields."""
        raise NotImplementedError

    def trainer(
        self,
        profile: Profile,
        config,
        loaded,
        rows: Sequence[dict],
        clips: Mapping[str, np.ndarray],
        features=None,
        recorder=None,
    ):
        """The method's trainer with a fresh LoRA adapter; none where the model comes with weights to be trained.

        Args:
            profile: the sizes, and the rank of the adapter.
            config: from `config`.
            loaded: a `models.Loaded`.
            rows, clips: as `training.train` takes them.
            features, recorder: as the trainers take them; only GRPO has rollouts to record.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class GRPO(Method):
    """Group relative policy optimisation (arXiv 2402.03300) on the mode's rewards; each joint exchanges a part of it.

    A step asks B questions and draws G rollouts of each. A row's rewards are the sum of all rewards by their weights,
    TRL's `reward_weights`: give `train` other weights to pay less of one, or nothing.

    Attributes:
        mode: vanilla, think or observe.
        extra_rewards: names of `rewards.EXTRA_REWARDS` paid besides accuracy and format.
        detectors: names of `detectors.DETECTORS` or `COUNTS` that are logged with each step and pay nothing.
        rewards: functions of your own paid besides, as TRL takes them, or made by `rewards.group_reward`.
        advantages: f(rewards_BG) -> advantages_BG, tensors (B, G) of the groups of all processes that count; nan is a
            completion that nothing rewarded. None for TRL's own, which `scale_rewards` names.
        next_rows: chooses the next questions by what was earned before, a `joints.NextRows`; None for TRL's order.
        keep_group: f(rewards_G), a tensor (G,) -> whether a group counts, as in DAPO (arXiv 2503.14476). One that does
            not is replaced by a group of the next question; questions then come in shuffled orders of their own, or by
            next_rows. Logged: `groups/kept` (share of the groups drawn first), `groups/sampled` (groups drawn for each
            place of the batch), `groups/empty` (share of places that nothing filled).
        most_refills: so many times a step may draw new groups; places still open then train nothing.
        stages: settings that switch at given steps inside the run, `joints.Stage`s in their order; the number of a
            step's stage is logged as `stage`, from 1, and is 0 before the first.
        entropy_bonus: weight of the mean entropy of a token, in nats, that is added to the objective: TRL's
            `entropy_coef`.
        reference: of the KL term: "base", the model without its adapter; a trained adapter's folder, frozen; or a
            `joints.Ema` that follows the policy.
        adaptive_beta: moves the KL term's weight towards a target KL, a `joints.AdaptiveBeta`; logged as `beta`.
    """

    extra_rewards: tuple[str, ...] = ()
    detectors: tuple[str, ...] = ()
    rewards: tuple[Callable, ...] = ()
    advantages: Callable | None = None
    next_rows: NextRows | None = None
    keep_group: Callable | None = None
    most_refills: int = 3
    stages: tuple[Stage, ...] = ()
    entropy_bonus: float = 0.0
    reference: str | Path | Ema = "base"
    adaptive_beta: AdaptiveBeta | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("most_refills", self.most_refills, 0)
        real("entropy_bonus", self.entropy_bonus, remedy="0 leaves it out")
        functions = {"advantages": self.advantages, "keep_group": self.keep_group}
        functions |= {f"rewards[{i}]": function for i, function in enumerate(self.rewards)}
        for name, value in functions.items():
            if value is not None and not callable(value):
                raise ValueError(f"{name} is {value!r}: give a function")
        if self.next_rows is not None and any(stage.questions is not None for stage in self.stages):
            raise ValueError("next_rows and a stage's questions both say what is asked: let next_rows choose alone")
        if self.next_rows is not None and not callable(getattr(self.next_rows, "choose", None)):
            raise ValueError(f"next_rows is {self.next_rows!r}: give an object with choose(step, count, history)")

    @property
    def name(self) -> str:
        return "grpo"

    def reward_funcs(self, numeric: str) -> tuple[list, list[float]]:
        """The rewards and their weights: 1 for what is paid, 0 for what is only logged."""
        paid = make_reward_funcs(self.mode, numeric, self.extra_rewards)
        logged = make_detectors(self.mode, self.detectors) if self.detectors else []
        return [*paid, *logged, *self.rewards], [1.0] * len(paid) + [0.0] * len(logged) + [1.0] * len(self.rewards)

    def check(self, profile, rows) -> None:
        super().check(profile, rows)
        self.reward_funcs(profile.numeric)
        if any(row.get("question_type") == MATHEMATICS for row in rows):
            judging.require()  # not at the first reward, when the model is loaded
        if isinstance(self.reference, (str, Path)) and self.reference != "base":
            from vsr_kit.models.adapters import check_files

            if not Path(self.reference).is_dir():
                raise FileNotFoundError(
                    f"reference is {self.reference}, which is no folder: give 'base', or a trained adapter's folder"
                )
            check_files(Path(self.reference))
        if self.stages:
            from vsr_kit.training.stages import check_stages
            from vsr_kit.training.video_mixin import training_rows

            names = [function.__name__ for function in self.reward_funcs(profile.numeric)[0]]
            check_stages(self.stages, names, list(training_rows(rows, self.mode)), profile.questions_per_step)
        if self.adaptive_beta is not None:
            real("beta", profile.beta, above=True, remedy="adaptive_beta multiplies it, and 0 stays 0")

    def config(self, profile, **settings):
        own = {"mode": self.mode, "reward_weights": self.reward_funcs(profile.numeric)[1]}
        own |= {"entropy_coef": self.entropy_bonus} if self.entropy_bonus else {}
        return profile.grpo_config(**(own | settings))

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        from vsr_kit.training.grpo_trainer import VideoGRPOTrainer
        from vsr_kit.training.video_mixin import training_rows

        common = trainer_arguments(profile, config, loaded, clips, features)
        common |= {"reward_funcs": self.reward_funcs(profile.numeric)[0], "recorder": recorder}
        common |= {"train_dataset": training_rows(rows, self.mode)}
        if self.joints().keys() <= {"entropy_bonus"}:  # TRL does that one itself
            return VideoGRPOTrainer(**common)
        return self.joint_trainer(joints=self, **common)

    @property
    def joint_trainer(self) -> type:
        """The trainer of runs with joints: a method of your own may name a subclass of it."""
        from vsr_kit.training.joint_trainer import JointGRPOTrainer

        return JointGRPOTrainer


@dataclass(frozen=True)
class SFT(Method):
    """Supervised fine-tuning on a text for each question.

    Attributes:
        mode: vanilla, think or observe.
        targets: f(row) -> the whole completion, or completions by the rows' `id`; a question without one is left out.
            None for the true answer, in the mode's reply without a chain. `supervised_trainers.filtered_rollouts`
            makes such texts from a model's own rollouts.
    """

    targets: Callable[[dict], str | None] | Mapping[str, str] | None = None

    def joints(self) -> dict:
        if not isinstance(self.targets, Mapping):
            return super().joints()
        text = json.dumps(dict(self.targets), sort_keys=True)
        return {"targets": f"{len(self.targets)} texts, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"}

    def check(self, profile, rows) -> None:
        from vsr_kit.training.supervised_trainers import target_texts

        super().check(profile, rows)
        if self.targets is not None:
            texts = target_texts(rows, self.mode, "train", self.targets)
            enough(sum(text is not None for text in texts), profile, "questions with a target")

    @property
    def name(self) -> str:
        return "sft"

    def config(self, profile, **settings):
        return profile.sft_config(**settings)

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        from vsr_kit.training.supervised_trainers import VideoSFTTrainer, answer_rows

        common = trainer_arguments(profile, config, loaded, clips, features)
        return VideoSFTTrainer(train_dataset=answer_rows(rows, self.mode, targets=self.targets), **common)


@dataclass(frozen=True)
class DPO(Method):
    """Direct preference optimisation (arXiv 2305.18290).

    Attributes:
        mode: vanilla, think or observe.
        pairs: "corrupted", the true answer against a wrong one; or "rollouts", the base's best against its worst.
    """

    pairs: str = "corrupted"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("pairs", self.pairs, PAIRS)

    @property
    def name(self) -> str:
        return f"dpo-{self.pairs}"

    def config(self, profile, **settings):
        return profile.dpo_config(**settings)

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        from vsr_kit.training.supervised_trainers import VideoDPOTrainer, corrupted_pairs, rollout_pairs

        common = trainer_arguments(profile, config, loaded, clips, features)
        if self.pairs == "corrupted":
            pairs = corrupted_pairs(rows, self.mode, config.seed)
        else:
            cap = profile.max_completion_length(self.mode)
            pairs = rollout_pairs(loaded, rows, clips, self.mode, profile.numeric, cap, config.seed)
        enough(len(pairs), profile, "pairs of answers")
        return VideoDPOTrainer(train_dataset=pairs, **common)


def make_method(
    method: str = "grpo",
    mode: str = "vanilla",
    extra_rewards: Sequence[str] = (),
    detectors: Sequence[str] = (),
) -> Method:
    """Make a method from the strings that the command line and a run's record have for it.

    Args:
        method: one of METHODS.
        mode: vanilla, think or observe.
        extra_rewards, detectors: GRPO's; the other methods have none.

    Raises:
        ValueError: an unknown method or mode, or rewards for a method that has none.
    """
    if method not in METHODS:
        raise ValueError(f"method is {method!r}: choose one of {', '.join(METHODS)}")
    if method == "grpo":
        return GRPO(mode, tuple(extra_rewards), tuple(detectors))
    if extra_rewards or detectors:
        raise ValueError(f"{method} has no rewards: leave extra_rewards and detectors out, or use grpo")
    return SFT(mode) if method == "sft" else DPO(mode, method.removeprefix("dpo-"))


def check_numbers(
    profile: Profile, rows: Sequence[dict], seed: int = 0, steps: int | None = None, seconds=None, **more
) -> None:
    """Complain about numbers that no run can be made of, before a model is loaded or a folder made.

    Args:
        profile: the sizes.
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


def trainer_arguments(profile: Profile, config, loaded, clips: Mapping[str, np.ndarray], features) -> dict:
    """What every trainer is given."""
    # here, not above: the study's plan and its verdicts need methods, and no torch
    from vsr_kit.models.loading import lora_config
    from vsr_kit.training.starting import trains_all

    fresh = None if trains_all(loaded.model) else lora_config(profile.lora_rank, profile.lora_alpha)
    return {
        "model": loaded.model,
        "args": config,
        "processing_class": loaded.processor,
        "peft_config": fresh,
        "clips": clips,
        "features": features,
        "questions_per_clip": profile.questions_per_clip,
    }
