"""Progressive thinking suppression training: caps and groups of its stages, and the two phases of `vsr train --recipe`.

Vision-R1 first gives GRPO a small cap on the length of a completion and many completions of a question, and later a
larger cap and fewer: cap times group stays the same, and so does what a step may cost. The study's stages take numbers
that were fixed before its runs; the phases take theirs from the chains and the profile, so that they fit any model.
Left out: the paper's third stage (16K x 4 tokens), which its final model does not use either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from vsr_kit.claims.recipe import WATCHED
from vsr_kit.rewards.hard import hard_reward
from vsr_kit.training.joints import Stage
from vsr_kit.training.methods import GRPO, SFT
from vsr_kit.training.phases import Given, Phase
from vsr_kit.validation import whole

STAGE_STEPS = 60
NOT_PAID = {"accuracy_reward": 0.0, "format_reward": 0.0}  # logged beside the one reward that counts
BETA = 1e-2
CAP_TO_LENGTH = 4096 / 3566  # the paper's first cap, and the mean length of a completion after its cold start
GROUPS = (16, 8)
GRPO_RATE = 0.25  # of the profile's learning rate, which a fresh adapter needs and a trained one does not


def first_cap(chain_tokens: float) -> int:
    """The cap of the first stage, a multiple of eight tokens, where chains have a mean length of so many."""
    return 8 * math.ceil(CAP_TO_LENGTH * chain_tokens / 8)


# The mean of the shipped cold start's completions at temperature 1, seed 17: the first 60 questions of each of the six
# tasks in 120 validation rooms, VSI-100k's words, the training prompt for thinking. Greedy ones have 113 tokens.
CHAIN_TOKENS = 114.5
TOKENS = 16 * first_cap(CHAIN_TOKENS)  # of a question's completions in every stage: 16 of 136, 8 of 272, 4 of 544
LONGEST = TOKENS // 4


def ptst_stages(
    tokens: int, groups: Sequence[int], steps: int, rewards: Mapping[str, float] | None = None
) -> tuple[Stage, ...]:
    """PTST's schedule: stages of equal length, each with so many completions of a question and the cap they leave.

    Args:
        tokens: that all completions of a question may have together: cap x G is at most that in every stage.
        groups: G of each stage, in their order; the paper's 16, 8, 4.
        steps: of each stage.
        rewards: weights of rewards, as a `Stage` has them.

    Raises:
        ValueError: fewer than two completions, more of them than tokens, or no whole number of steps.
    """
    whole("tokens", tokens)
    whole("steps", steps)
    for group in groups:
        whole("a group's num_generations", group, 2)
    caps = [tokens // group for group in groups]
    return tuple(
        Stage(i * steps, max_completion_length=cap, num_generations=group, rewards=rewards)
        for i, (group, cap) in enumerate(zip(groups, caps, strict=True))
    )


def stages(*groups: int, hard: bool = True) -> tuple[Stage, ...]:
    """The study's stages, each with so many completions of a question."""
    return ptst_stages(TOKENS, groups, STAGE_STEPS, NOT_PAID if hard else None)


def in_words(schedule: Sequence[Stage]) -> str:
    """Completions of a question and their cap, stage by stage: `16 × 136, then 8 × 272`."""
    return ", then ".join(f"{stage.num_generations} × {stage.max_completion_length}" for stage in schedule)


def _cold_start(given: Given) -> tuple[SFT, dict]:
    return SFT("think", targets=given.chains), {"steps": given.steps}


def _ptst(given: Given) -> tuple[GRPO, dict]:
    """Two stages of half the steps; the reference is what the cold start left, as all of it is in the paper."""
    cap = first_cap(given.chain_tokens)  # of the chains that are learnt, which stand in for the cold start's own
    schedule = ptst_stages(cap * GROUPS[0], GROUPS, max(1, given.steps // 2), NOT_PAID)
    how = GRPO(
        "think",
        detectors=(*WATCHED, "thinking_words"),
        rewards=(hard_reward("think"),),
        stages=schedule,
        reference="base" if given.adapter is None else given.adapter,
    )
    questions = max(1, given.profile.questions_per_step // 2)
    return how, {
        "steps": given.steps,
        "beta": BETA,
        "learning_rate": GRPO_RATE * given.profile.learning_rate,
        "num_generations": GROUPS[0],
        "max_chain_tokens": cap,
        "questions_per_step": questions,
        "groups_per_pass": math.gcd(questions, given.profile.groups_per_pass),
        "questions_per_clip": 1,
    }


PHASES = (
    Phase("cold-start", "Supervised fine-tuning on chains that end in a right answer.", _cold_start),
    Phase("ptst", "GRPO that begins with a small cap and 16 completions, and goes on with twice the cap and 8.", _ptst),
)
