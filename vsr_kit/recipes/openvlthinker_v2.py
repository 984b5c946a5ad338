"""OpenVLThinker V2 (arXiv 2604.08539): advantages matched to N(0, 1) task by task, entropy bounded from both sides.

The paper trains one model on many visual tasks, some paid 0 or 1, some by degrees, and says of (r - mean) / std that
the tasks' spreads then decide who moves the model. It maps each task's rewards to the standard normal distribution
instead, by rank, and keeps entropy between two bounds. This kit's reward is such a mixture: a side or a name is paid 0
or 1, a distance, a size or a count by degrees (and the paper's own words for its gain are "inter-task equity").

Ours, written from the paper's account; its code, published in 2026, was not read, and its numbers were not obtained:

    setting                   paper            here
    advantages                N(0, 1) by task  ranks within a type and step, (i - 1/2) / n, ties share their mean
    entropy bounds            not obtained     0.75 and 1 times the mean of the first ten steps
    weight of either side     not obtained     0.05 a nat
    length shaping by task    yes              none: answers have one word
    base                      Qwen3-VL-8B      the miniature

The bounds were set from the shipped runs of grpo-vanilla, whose entropy falls from 0.95 nats to 0.58, so that these
leave them. A tie is never broken: of eight answers paid 0 or 1 with one right, the right one gets 1.5 and not 2.5, and
the variance stays below 1. Claims, rules and measures were written before the runs.
Left out: response lengths shaped by task, and bounds for each task.
"""

from __future__ import annotations

from vsr_kit.claims.measures import all_of, minus
from vsr_kit.claims.recipe import SEEDS, THREE_SEEDS, WATCHED, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, gain
from vsr_kit.claims.training_measures import log_minus
from vsr_kit.questions import TRAINED_TASKS
from vsr_kit.recipes.vsgrpo import tuned_variant
from vsr_kit.rewards.matched import as_paid, matched_reward
from vsr_kit.training.entropy_bounds import BoundedGRPO, EntropyBounds
from vsr_kit.training.joints import Stage
from vsr_kit.training.methods import GRPO
from vsr_kit.training.phases import Given, Phase

PAPER = "OpenVLThinker V2 (arXiv 2604.08539)"
BOUNDS = EntropyBounds(low=0.75, high=1.0, weight=0.05, first=10)


def matched(mode: str = "vanilla", numeric: str = "paper") -> dict:
    """The arguments of a GRPO whose advantages are matched: the mode's own rewards are logged and pay nothing."""
    own = {"accuracy_reward": 0.0} | ({} if mode == "vanilla" else {"format_reward": 0.0})
    rewards = (matched_reward(mode, numeric),)
    return {"mode": mode, "rewards": rewards, "advantages": as_paid, "stages": (Stage(0, rewards=own),)}


VARIANTS: tuple[Variant, ...] = (
    tuned_variant("v2-matched", "openvlthinker-v2", how=GRPO(**matched()), seeds=SEEDS),
    tuned_variant("v2-bounded", "openvlthinker-v2", how=BoundedGRPO(**matched(), bounds=BOUNDS), seeds=THREE_SEEDS),
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="matched-advantages-help",
        says="Advantages matched to a normal distribution by task beat (r - mean) / std where tasks are paid unlike.",
        source=f"{PAPER}, abstract",
        measured=(
            "v2-matched minus grpo-vanilla, five seeds each, the same questions, steps and rollouts: the mean of the "
            "six trained tasks on held-out procedural rooms, VSI-Bench's phrasing, vanilla prompt, greedy, lenient "
            "parser, paired by question. Each task alone, and v2-bounded minus v2-matched, stand beside it and are no "
            "part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("matched_minus_grpo", by="student"),
        measure=all_of(
            minus("matched_minus_grpo", "v2-matched", "grpo-vanilla"),
            *(minus(task, "v2-matched", "grpo-vanilla", task=task) for task in TRAINED_TASKS),
            minus("bounded_minus_matched", "v2-bounded", "v2-matched"),
        ),
        caveat=(
            "The rate was tuned for the other advantages, whose mean square is 1; matched ones are smaller where "
            "rewards tie. A step asks eight questions, so most types are ranked over one group or two."
        ),
        needs=("v2-matched", "grpo-vanilla", "v2-bounded"),
    ),
    Claim(
        name="bounds-hold-entropy",
        says="A bonus below a lower bound and a penalty above an upper one keep the entropy of a policy between them.",
        source=f"{PAPER}, on entropy shaping",
        measured=(
            "v2-bounded minus v2-matched, three and five seeds: the share of a run's steps, after the first ten, whose "
            "mean entropy of a token lies between 0.75 and 1 times that of its first ten, in points, Student's "
            "interval over seeds."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("inside_with_minus_without", by="student"),
        measure=log_minus(
            "inside_with_minus_without", "v2-bounded", "v2-matched", lambda rows: 100 * BOUNDS.share_inside(rows)
        ),
        caveat="Entropy is only held here; whether that helps stands beside the other claim, with three seeds.",
        needs=("v2-bounded", "v2-matched"),
    ),
)


def _train(given: Given) -> tuple[GRPO, dict]:
    how = BoundedGRPO(**matched("think", given.profile.numeric), bounds=BOUNDS, detectors=WATCHED)
    return how, {"steps": given.steps}


RECIPE = Recipe(
    "openvlthinker-v2",
    "Advantages matched to a normal distribution by task, entropy bounded from both sides",
    VARIANTS,
    CLAIMS,
    phases=(
        Phase("matched", "GRPO on matched advantages, its entropy held between bounds.", _train, needs_chains=False),
    ),
    system=System(
        "OpenVLThinker V2",
        "arXiv 2604.08539",
        "advantages matched to N(0, 1) by task; entropy bounded from both sides",
        "15_recipes_for_rl",
        "vsr train --recipe openvlthinker-v2",
        kl="not obtained",
        kl_here="1e-4",
        trained="v2-matched",
    ),
)
