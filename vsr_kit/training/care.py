"""GRPO-CARE (arXiv 2506.16141) as a method: GRPO that also pays answers which their own chain makes likely.

It is GRPO with two parts exchanged. The reference follows the policy slowly, and it is not held against the policy by a
KL term; it judges. What it says of each answer after its chain goes to `rewards.consistency`, which pays the bonus.
Left out: the KL term. Its weight must be above 0 for a reference to exist; take one that adds nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, update_wrapper

from vsr_kit.rewards import group_reward
from vsr_kit.rewards.consistency import consistency_bonus
from vsr_kit.rewards.terms import numeric_reward
from vsr_kit.training.joints import Ema
from vsr_kit.training.methods import GRPO

# Theirs is 0.995 every ten steps of about 1,500, which leaves 0.47 of the first reference at the end; ours leaves as
# much in 240 steps, at each of them.
DECAY = 0.997


@dataclass(frozen=True)
class CareGRPO(GRPO):
    """GRPO whose rewards are told how likely the reference finds each answer, given its chain; `care` makes one."""

    def check(self, profile, rows) -> None:
        super().check(profile, rows)
        if self.mode == "vanilla":
            raise ValueError("mode is 'vanilla': an answer without a chain agrees with any; take think or observe")

    @property
    def joint_trainer(self) -> type:
        from vsr_kit.training.answer_likelihood import AnswerLikelihoodTrainer

        return AnswerLikelihoodTrainer


def care(
    mode: str = "think", *, decay: float = DECAY, detectors: tuple[str, ...] = (), numeric: str = "paper"
) -> CareGRPO:
    """GRPO with the consistency bonus beside the rewards of its mode, and a reference that follows the policy.

    Args:
        mode: think or observe.
        decay: of the reference, at every step.
        detectors: as `GRPO` has them.
        numeric: the reward for numbers that the bonus is a part of; give the profile's.

    Raises:
        ValueError: a reward for numbers that there is none of.
    """
    numeric_reward(numeric)
    paid = update_wrapper(partial(consistency_bonus, numeric=numeric), consistency_bonus)
    bonus = group_reward(paid, reference=True)
    return CareGRPO(mode, detectors=detectors, rewards=(bonus,), reference=Ema(decay))
