"""MM-Eureka (arXiv 2503.07365): an online filter that trains on questions which are neither solved nor hopeless.

A group whose rollouts all earn the same has no advantages: it is paid for and teaches nothing. The paper keeps a
question only if between a tenth and nine tenths of its rollouts are right, and draws other questions until the batch is
full. Ours is the joint `GRPO(keep_group=useful)`. It costs rollouts, so at equal tokens a filtered run makes fewer
updates, each on a full batch; whether that is worth it is the question.

    setting         the paper                      here
    filter          0.1 <= group accuracy <= 0.9   the same; accuracy is the share of rollouts that are right
    accuracy        0 or 1                         0 or 1: a measure is right within a quarter (`right_reward`)
    format          0 or 0.5                       0 or 0.5 with think prompts; the study's prompts have no tags
    KL term         none (7B), 1e-3 (32B)          none
    ratio           cut at 3 before it is used     TRL's `delta`, 3: the same cut from above, before the usual clip

The filter needs accuracy apart from format, and is given their sum: a right answer earns 1, so a sum of 1 or more means
right. A batch is used for one update, as in every run of the kit, and then the ratio is exactly 1 and the cut does
nothing; it counts where `num_iterations` is above 1.

MM-Eureka's code is not used; this is written from the paper. Rules and measures were written before the runs. The
filtered runs' number of steps was fixed before, too, by what earlier runs drew on training rooms (`DRAWN`).
Left out: the paper's second stage and its data (MMK12).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsr_kit.claims.measures import all_of, minus
from vsr_kit.claims.recipe import BENCH_SET, SAMPLES, SEEDS, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, gain
from vsr_kit.claims.training_measures import reached_minus_luck
from vsr_kit.recipes.vsgrpo import tuned_variant
from vsr_kit.rewards.hard import right_reward
from vsr_kit.training.joints import Stage
from vsr_kit.training.methods import GRPO
from vsr_kit.training.phases import Given, Phase

PAPER = "MM-Eureka (arXiv 2503.07365)"
LOWEST, HIGHEST = 0.1, 0.9
RIGHT, FORMAT = 1.0, 0.5
RATIO_CAP = 3.0
MOST_REFILLS = 5
STEPS = 240
# Groups drawn for each place of a batch. Of the shipped grpo-vanilla's recorded rollouts, which are about training
# rooms, a third of the groups would not count: an eighth at the beginning, half of them at the end.
DRAWN = 1.5
FILTERED_STEPS = round(STEPS / DRAWN)
TRIES = SAMPLES // 2
# What the kit's own accuracy would pay by degrees is logged and not paid.
PAID_BARE = Stage(0, rewards={"accuracy_reward": 0.0})
PAID_TAGGED = Stage(0, rewards={"accuracy_reward": 0.0, "format_reward": FORMAT})


def group_accuracy(rewards_G: Sequence[float | None]) -> float:
    """The share of a group's rollouts that are right, 0 to 1: those that earn 1, or 1.5 with the format."""
    return sum(reward is not None and float(reward) >= RIGHT for reward in rewards_G) / len(rewards_G)


def useful(rewards_G: Sequence[float]) -> bool:
    """Whether a group counts: a tenth to nine tenths of its rollouts are right."""
    return LOWEST <= group_accuracy(rewards_G) <= HIGHEST


@dataclass(frozen=True)
class PreClippedGRPO(GRPO):
    """GRPO whose importance ratio is cut from above before it meets the advantage.

    Attributes:
        delta: the largest ratio, TRL's field of that name; None for TRL's plain clip.
    """

    delta: float | None = None

    def config(self, profile, **settings):
        return super().config(profile, **({"delta": self.delta} | settings))


def eureka(mode: str, paid: Stage, filtered: bool = True) -> PreClippedGRPO:
    """MM-Eureka's GRPO with the prompts of a mode, with its filter or without."""
    keep = useful if filtered else None
    return PreClippedGRPO(
        mode, rewards=(right_reward,), keep_group=keep, most_refills=MOST_REFILLS, stages=(paid,), delta=RATIO_CAP
    )


def _arm(name: str, steps: int, filtered: bool) -> Variant:
    how = eureka("vanilla", PAID_BARE, filtered)
    drawn = ((BENCH_SET, "vanilla"),)
    changes = {"steps": steps, "beta": 0.0}
    return tuned_variant(name, "mm-eureka", how=how, changes=changes, sampled=drawn, seeds=SEEDS)


VARIANTS: tuple[Variant, ...] = (
    _arm("eureka-filter", FILTERED_STEPS, filtered=True),
    _arm("eureka-plain", STEPS, filtered=False),
)
BASE: tuple[Condition, ...] = (Condition(BENCH_SET), Condition(BENCH_SET, samples=SAMPLES))


CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="filter-beats-more-updates",
        says="An online filter on group accuracy makes training better.",
        source=f"{PAPER}, on online filtering",
        measured=(
            "Mean of the six trained tasks on held-out procedural rooms, VSI-Bench's phrasing, vanilla prompt, greedy, "
            f"lenient parser: eureka-filter minus eureka-plain, five seeds each. Both pay 0 or 1; {FILTERED_STEPS} "
            f"updates on filtered batches take about the tokens of {STEPS} without. Filtered minus base stands beside "
            "it and is no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("filter_minus_plain", by="student"),
        measure=all_of(
            minus("filter_minus_plain", "eureka-filter", "eureka-plain"),
            minus("filter_minus_base", "eureka-filter", "base"),
        ),
        needs=("eureka-filter", "eureka-plain"),
        caveat=(
            "At equal tokens the filter has to make up for fewer updates. The learning rate was tuned for "
            "graded rewards. That filtered batches hold hardly an equal group is built in."
        ),
    ),
    Claim(
        name="training-reaches-what-the-base-misses",
        says="After filtered training, questions that the base always misses come right more often than by luck.",
        source="asked by this kit of MM-Eureka's filter, which takes such questions out of training",
        measured=(
            f"Questions about the test rooms that the base answers wrongly in its first {TRIES} of {SAMPLES} draws at "
            f"temperature 1: the chance that {TRIES} draws of a trained model hold a right answer minus that of the "
            "base's other draws; a measure is right within a quarter. Mean of the six trained tasks, paired by "
            "question. The same without the filter stands beside it and is no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("filter_minus_luck", by="student"),
        measure=all_of(
            reached_minus_luck("filter_minus_luck", "eureka-filter", TRIES),
            reached_minus_luck("plain_minus_luck", "eureka-plain", TRIES),
        ),
        needs=("eureka-filter", "eureka-plain"),
        caveat=(
            "A room to gain is built into the base, whose labels are random in a stated share. The questions are the "
            "test's, not those that the filter dropped; four misses may be bad luck, which the comparison allows for."
        ),
    ),
)


def _plan(given: Given) -> tuple[GRPO, dict]:
    return eureka("think", PAID_TAGGED), {"steps": given.steps, "beta": 0.0}


RECIPE = Recipe(
    "mm-eureka",
    "An online filter that trains on questions which are neither solved nor hopeless",
    VARIANTS,
    CLAIMS,
    BASE,
    phases=(Phase("filtered", "GRPO on groups with a right and a wrong answer.", _plan, needs_chains=False),),
    system=System(
        title="MM-Eureka",
        source="arXiv 2503.07365",
        mechanism="groups with an accuracy of 0.1 to 0.9 count, others are drawn anew",
        section="15_recipes_for_rl",
        try_it="vsr train --recipe mm-eureka --steps 20",
        kl="none (7B), 1e-3 (32B)",
        kl_here="none",
        trained="eureka-filter",
    ),
)
