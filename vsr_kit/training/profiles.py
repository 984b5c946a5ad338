"""Profiles: the paper's objective with the sizes that a model and a machine need.

vsGRPO (arXiv 2504.00883) trains Qwen2-VL by GRPO with 14 rollouts per question, beta 1e-4, learning rate 1e-5 and
temperature 1; LoRA is named, its rank is not, and neither are batch, steps and frames. A profile is that objective with
sizes that a machine can run; another profile names another model and larger numbers and uses the same code. TRL's
defaults are a different objective (beta 0, loss "dapo", a corrected KL), so each of them is set here.
Left out: full fine-tuning, 7B profiles (name another model and lower the learning rate to 5e-6), and a search for
better numbers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields

from vsr_kit.rewards import NUMERIC_REWARDS
from vsr_kit.validation import one_of, real, whole

# Knobs keep TRL's names. arXiv 2402.03300, eq. 3: a mean over each completion's tokens, then over completions.
OBJECTIVE = {
    "loss_type": "grpo",
    "scale_rewards": "group",
    "epsilon": 0.2,
    "num_iterations": 1,
    "use_bias_correction_kl": False,
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
}
_COUNTS = ("lora_rank", "lora_alpha", "questions_per_step", "groups_per_pass", "questions_per_clip", "steps")
_COUNTS += ("max_vanilla_tokens", "max_chain_tokens", "num_frames", "size_px")
# Measured on the miniature, in two GRPO steps of its profile, at the outputs of its 4-bit layers. What would mend it,
# scaling the loss, comes with autocast, which puts into fp16 what overflows, too (models/loading.py).
NO_FLOAT16 = (
    "dtype is 'float16': a quarter of the gradients between layers are smaller than what fp16 can hold and would be 0; "
    "train in float32, or in bfloat16 where the card has it; vsr eval --dtype float16 --quantize nf4 may ask in it"
)
DPO_BETA = 0.1  # arXiv 2305.18290's and TRL's; vsGRPO names none


@dataclass(frozen=True)
class Profile:
    """Everything a training run is made of, apart from rows, clips, prompt mode and seed.

    Attributes:
        name: what the command line and the run folder call it.
        model: `mini` or another shipped checkpoint (`models.SHIPPED`), a hub id, or a folder.
        quantize: `nf4` or None.
        lora_rank, lora_alpha: of the adapter on the language model's linears.
        num_generations: G, completions of each question.
        beta: weight of the KL term.
        learning_rate: of AdamW, falling linearly to zero over `steps`, no warm-up.
        questions_per_step: over all processes.
        groups_per_pass: questions scored with gradients at once in a process; fewer take less memory.
        questions_per_clip: so many of a step's questions are about one clip and share it; 1 is the paper's sampling.
        steps: optimiser steps.
        max_vanilla_tokens, max_chain_tokens: cap of a completion without and with a chain of thought.
        num_frames, size_px: of the clips.
        numeric: how numbers are rewarded, a name of rewards.NUMERIC_REWARDS.
        dtype: `float32`, `bfloat16`, or None for what the device computes best; not `float16`: see NO_FLOAT16.
        gradient_checkpointing: half the speed of the backward pass for a fraction of its memory.
    """

    name: str
    model: str = "Qwen/Qwen2-VL-2B-Instruct"
    quantize: str | None = None
    lora_rank: int = 16
    lora_alpha: int = 32
    num_generations: int = 14
    beta: float = 1e-4
    learning_rate: float = 1e-5
    questions_per_step: int = 8
    groups_per_pass: int = 1
    questions_per_clip: int = 1
    steps: int = 1000
    max_vanilla_tokens: int = 32
    max_chain_tokens: int = 384
    num_frames: int = 16
    size_px: int = 336
    numeric: str = "paper"
    dtype: str | None = None
    gradient_checkpointing: bool = True
    about: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse what no run can be made of.

        Raises:
            ValueError: naming the setting, its value and the rule.
        """
        for name in _COUNTS:
            whole(name, getattr(self, name))
        whole("num_generations", self.num_generations, 2, remedy="a group of one has no mean to beat")
        real("beta", self.beta, remedy="0 leaves the KL term out")
        real("learning_rate", self.learning_rate)
        one_of("numeric", self.numeric, NUMERIC_REWARDS)
        if self.dtype == "float16":
            raise ValueError(NO_FLOAT16)
        one_of("dtype", self.dtype, (None, "float32", "bfloat16"))
        one_of("quantize", self.quantize, (None, "nf4"))
        for name in ("name", "model"):
            if not isinstance(getattr(self, name), str) or not getattr(self, name):
                raise ValueError(f"a profile's {name} is {getattr(self, name)!r}: give a text")

    def max_completion_length(self, mode: str) -> int:
        """Cap of a completion in tokens: short for `vanilla`, long for the modes that think or observe first."""
        return self.max_vanilla_tokens if mode == "vanilla" else self.max_chain_tokens

    def grpo_config(self, output_dir, seed: int = 0, mode: str = "vanilla", **overrides):
        """The profile as a `trl.GRPOConfig` on this machine.

        Args:
            output_dir: where checkpoints go.
            seed: of the adapter's first weights, the order of the questions and the sampling.
            mode: decides the cap of a completion.
            overrides: any of GRPOConfig's fields.

        Raises:
            ValueError: the questions of a step do not divide among processes and passes.
        """
        from trl import GRPOConfig

        settings = {
            **OBJECTIVE,
            **self._shared(output_dir, seed, rows_per_question=self.num_generations),
            "num_generations": self.num_generations,
            "beta": self.beta,
            "max_completion_length": self.max_completion_length(mode),
        }
        return GRPOConfig(**(settings | overrides))

    def sft_config(self, output_dir, seed: int = 0, **overrides):
        """The profile as a `trl.SFTConfig`: as many questions a step, the same schedule; arguments as `grpo_config`."""
        from trl import SFTConfig

        return SFTConfig(**(self._shared(output_dir, seed) | overrides))

    def dpo_config(self, output_dir, seed: int = 0, **overrides):
        """The profile as a `trl.DPOConfig`, as many pairs a step as questions, with TRL's beta of 0.1 (DPO_BETA)."""
        from trl import DPOConfig

        return DPOConfig(**(self._shared(output_dir, seed) | {"beta": DPO_BETA} | overrides))

    def _shared(self, output_dir, seed: int, rows_per_question: int = 1) -> dict:
        """What a run is told whatever the method."""
        return {
            **_place(self.dtype),
            "output_dir": str(output_dir),
            "seed": seed,
            "learning_rate": self.learning_rate,
            "lr_scheduler_type": "linear",
            "max_steps": self.steps,
            "per_device_train_batch_size": self.groups_per_pass * rows_per_question,
            "gradient_accumulation_steps": self._passes(),
            "activation_checkpointing": self.gradient_checkpointing,
            "ddp_find_unused_parameters": False,  # every LoRA weight has a part in every pass
            "logging_steps": 1,
            "report_to": "none",
            "save_strategy": "no",
        }

    def check_passes(self) -> None:
        """Complain if the questions of a step do not divide among processes and passes, or a clip's within a pass."""
        self._passes()
        if self.groups_per_pass % self.questions_per_clip:
            raise ValueError(
                f"questions_per_clip is {self.questions_per_clip}, but a process scores {self.groups_per_pass} "
                "questions at once: choose a divisor of that, or raise groups_per_pass to a multiple of it"
            )

    def _passes(self) -> int:
        processes = int(os.environ.get("WORLD_SIZE") or 1)
        passes, left = divmod(self.questions_per_step, processes * self.groups_per_pass)
        if left or not passes:
            raise ValueError(
                f"questions_per_step is {self.questions_per_step}: it must be a multiple of {processes} processes x "
                f"{self.groups_per_pass} groups_per_pass; change it (vsr train --divide does), or launch another number"
            )
        return passes

    def describe(self) -> str:
        """The profile as one readable table, as runs print it at their beginning."""
        return describe([self])


def _place(dtype: str | None) -> dict:
    """Device and precision: fp32 on CPU and MPS, mixed bf16 on GPUs that have it."""
    import torch

    from vsr_kit.models.loading import pick_device, pick_dtype

    device = pick_device()
    if device.type == "cpu":
        return {"use_cpu": True, "bf16": False}
    wanted = pick_dtype(device) if dtype is None else getattr(torch, dtype)
    return {"bf16": device.type == "cuda" and wanted is torch.bfloat16}


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "mini",
            model="mini",
            quantize="nf4",
            num_generations=8,
            learning_rate=1e-3,  # the best of a grid on validation rooms: see vsr_kit.study.variants
            groups_per_pass=8,
            steps=240,
            max_vanilla_tokens=16,
            max_chain_tokens=96,
            num_frames=8,
            size_px=112,
            gradient_checkpointing=False,
            about="CPU, two cores, minutes",
        ),
        Profile(
            "t4",
            quantize="nf4",
            num_generations=8,
            questions_per_step=4,
            steps=300,
            max_chain_tokens=256,
            num_frames=8,
            size_px=224,
            about="one T4, 16 GB",
        ),
        Profile("a100", steps=500, about="one A100, 40 GB or more"),
        Profile("paper", questions_per_step=16, about="several GPUs through accelerate launch"),
    )
}


def get_profile(profile: str | Profile) -> Profile:
    """A profile by its name, or as it is. ValueError names the profiles there are."""
    if isinstance(profile, Profile):
        return profile
    if profile not in PROFILES:
        raise ValueError(f"no profile is called {profile!r}: choose one of {', '.join(PROFILES)}, or make a Profile")
    return PROFILES[profile]


def describe(profiles: Iterable[Profile] | None = None) -> str:
    """A table of text, one row a setting, one column a profile; the objective all share below it."""
    chosen = list(PROFILES.values() if profiles is None else profiles)
    settings = [asdict(profile) for profile in chosen]
    rows = [[f.name, *(_shown(own[f.name]) for own in settings)] for f in fields(Profile)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    shared = ", ".join(f"{name}={_shown(value)}" for name, value in OBJECTIVE.items())
    return "\n".join([*lines, f"objective, in every profile: {shared}"])


def _shown(value) -> str:
    return {None: "-", True: "yes", False: "no"}[value] if value is None or isinstance(value, bool) else f"{value}"
