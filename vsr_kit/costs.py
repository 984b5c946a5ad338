"""What a run costs: seconds a step, tokens a second, peak memory, and the share of groups that taught nothing.

The story: a group whose rollouts all earn the same has no advantage, so it is paid for and trains nothing; its share
stands beside the speed, because a run that is fast and has nothing to compare is no bargain.
Left out: energy and money.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Means over the steps of one call of a trainer.

    Attributes:
        steps: optimiser steps.
        seconds_per_step: rollouts, rewards and optimisation, all of it; the first step warms up and counts too.
        tokens_per_second: of prompts and completions as TRL counts them, every rollout with its whole prompt, so that
            the number can be compared with a trainer that shares nothing.
        peak_bytes: of the process, or of the GPU where there is one; since the process began.
        zero_variance_share: of groups whose rewards are all equal, 0 to 1.
    """

    steps: int
    seconds_per_step: float
    tokens_per_second: float
    peak_bytes: int
    zero_variance_share: float

    def __str__(self) -> str:
        return (
            f"{self.steps} steps, {self.seconds_per_step:.2f} s a step, {self.tokens_per_second:,.0f} tokens/s, peak "
            f"memory {self.peak_bytes / 1e9:.1f} GB, {100 * self.zero_variance_share:.0f} % of groups had equal rewards"
        )


def cost_of(logs: Sequence[dict], device: str = "cpu", after_step: int = 0) -> Cost | None:
    """The cost of the steps in TRL's log dictionaries; None where no step was logged.

    Steps that use rollouts a second time log neither tokens nor shares of groups; a line that stands for several steps
    (`logging_steps`) has their mean time.

    device: `cuda` reads the GPU's peak memory, anything else the process's. after_step: where the process went on from.
    """
    own = [log for log in logs if "loss" in log and log["step"] > after_step]
    seconds = _seconds(logs, own, after_step) if own else 0.0  # none: a run whose last step an earlier attempt saved
    if not seconds:
        return None
    read = [log["num_tokens"] for log in logs if "num_tokens" in log and log["step"] <= after_step]
    tokens = max(log.get("num_tokens", 0) for log in own) - (read[-1] if read else 0)
    shares = [log["frac_reward_zero_std"] for log in own if log.get("frac_reward_zero_std") is not None]
    steps, idle = own[-1]["step"] - after_step, sum(shares) / len(shares) if shares else 0.0
    return Cost(steps, seconds / steps, max(tokens, 0) / seconds, peak_bytes(device), idle)


def _seconds(logs: Sequence[dict], own: Sequence[dict], after_step: int) -> float:
    """Of all steps of a call: what GRPO logs with each, or, as SFT and DPO log no times, the closing line's whole."""
    if all("step_time" in log for log in own):
        began = [after_step, *(log["step"] for log in own[:-1])]
        return sum(log["step_time"] * (log["step"] - before) for log, before in zip(own, began, strict=True))
    return sum(log["train_runtime"] for log in logs[-1:] if "train_runtime" in log)


def peak_bytes(device: str = "cpu") -> int:
    """The most memory this process has held so far, or with `cuda` the most it had allocated on the current GPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated()
    try:
        import resource
    except ImportError:  # Windows outside WSL
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
