"""LR²Bench (arXiv 2502.17848): constraint puzzles, four measures of an answer, and two of them as a reward.

The paper tests reasoning models on constraint satisfaction problems and counts an answer in four ways, from the share
of its subtasks that were filled to the strict match of all. Even the best models there are exactly right in one case of
four or five, and most small ones in next to none. It trains nothing. This recipe asks what follows for training: where
a model is hardly ever exactly right, does GRPO learn from exact matches at all, and does it learn them when it is paid
for the places that are right?

Puzzles are the kit's own (`vsr_kit.questions.puzzles`): three pieces of furniture in a row, rules, one solution. The
answer is a number such as 213. The base was never taught such a question. In a trial on validation rooms, before the
runs, it answered this wording with a number of three digits in 45 of 100 samples, and with three different numbers of
the puzzle's pieces in about one of a hundred; so a group of eight holds an exact match once in about a hundred groups.
This was the best of six wordings by that share, and the only thing that was chosen by looking.
What differs between the two runs is the reward alone, `numeric="exact"` or the share of right places.

    setting                 LR²Bench                           here
    puzzles                 850 of six kinds                   furniture in a row, two of each room that shows three
    subtasks of a puzzle    up to 81 cells                     3 places
    how it is asked         a chain, no limit                  train prompt; base also in one glance
    learning                none                               GRPO, 240 steps of 8 questions, vsGRPO's tuned rate

Left out: chains of reflection, which the paper is about; the cold start is asked with its chains and not trained.
"""

from __future__ import annotations

from typing import Any

from vsr_kit.claims.measures import Compared, Evidence, all_of, comparing
from vsr_kit.claims.recipe import Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, Finding, Measure, gain
from vsr_kit.claims.training_measures import EQUAL_REWARDS, last_mean, log_minus
from vsr_kit.evaluation import difference
from vsr_kit.evaluation.puzzle_scores import puzzle_table
from vsr_kit.evaluation.scorers import ScoreTable
from vsr_kit.questions import PUZZLE_TYPES
from vsr_kit.recipes.ptst import LONGEST
from vsr_kit.recipes.vsgrpo import tuned_variant

PAPER = "LR²Bench (arXiv 2502.17848)"
TRAIN_SET, TEST_SET = "train-puzzles", "test-puzzles"
STEPS = 240
ASKED: dict[str, Any] = {"asked": ((TEST_SET, "vanilla", "own"),), "prompt_set": "train"}


def _variant(name: str, numeric: str) -> Variant:
    """GRPO on puzzles that pays for exact matches (`exact`) or for right places (any graded reward for numbers)."""
    return tuned_variant(name, "lr2bench", questions=TRAIN_SET, changes={"numeric": numeric, "steps": STEPS}, **ASKED)


VARIANTS: tuple[Variant, ...] = (_variant("lr2-exact", "exact"), _variant("lr2-partial", "paper"))
BASE: tuple[Condition, ...] = (
    Condition(TEST_SET, prompt_set="train"),
    Condition(TEST_SET, "mini-cold-start", prompt_set="train"),
    Condition(TEST_SET, "mini-cold-start", "think", cap=LONGEST, prompt_set="train"),
)


def puzzles_minus(name: str, after: str, before: str, measure: str) -> Measure:
    """The difference between two models in one of LR²Bench's measures, paired by puzzle, in points.

    Args:
        name: of the finding.
        after, before: variants, `base` or shipped checkpoints.
        measure: `subtask_accuracy`, `exact_match` or `pm_0.5`.
    """

    def read(evidence: Evidence) -> dict[str, Finding]:
        sides = evidence.sides(after, before, TEST_SET)
        own, other = ([puzzle_table(one, measure) for one in _each(side)] for side in sides)
        return {name: difference(own, other, task=PUZZLE_TYPES[0])}

    return comparing(read, Compared(task=PUZZLE_TYPES[0]))


def _each(side) -> list:
    """The answers of each run of a side: one table, one list of rows, or several of them."""
    return [side] if isinstance(side, ScoreTable) or isinstance(side[0], dict) else list(side)


_RUNS = "GRPO on 240 steps of 8 puzzles about training rooms, three seeds each, the same puzzles, steps and rate."
CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="lr2-exact-teaches-little",
        says="Where a model is hardly ever exactly right, pay for exact matches leaves more groups that teach nothing.",
        source=f"asked by this kit, of {PAPER}'s measures; the paper trains nothing",
        measured=(
            f"{_RUNS} The share of groups in which all eight rollouts earn the same, over all steps of a run, in per "
            "cent: paid for exact matches minus paid for right places."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("equal_groups_exact_minus_partial", by="student"),
        measure=log_minus(
            "equal_groups_exact_minus_partial", "lr2-exact", "lr2-partial", last_mean(EQUAL_REWARDS, STEPS, 100)
        ),
        needs=("lr2-exact", "lr2-partial"),
        caveat=(
            "At the first step this follows from how the base answers: an exact match in about one group of a hundred. "
            "What is open is whether few matches are enough to begin with, and whether partial credit runs dry later."
        ),
    ),
    Claim(
        name="lr2-partial-credit-pays",
        says="Paying for right places makes more puzzles exactly right than paying for exact matches does.",
        source=f"asked by this kit, of {PAPER}'s measures; the paper trains nothing",
        measured=(
            f"{_RUNS} Exact match on puzzles about held-out procedural rooms, the training prompt for a short answer, "
            "greedy: paid for right places minus paid for exact matches, paired by puzzle. Subtask accuracy and PM-0.5 "
            "stand beside it and are no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("exact_match", by="student"),
        measure=all_of(
            puzzles_minus("exact_match", "lr2-partial", "lr2-exact", "exact_match"),
            puzzles_minus("subtask_accuracy", "lr2-partial", "lr2-exact", "subtask_accuracy"),
            puzzles_minus("half_right", "lr2-partial", "lr2-exact", "pm_0.5"),
            puzzles_minus("exact_match_over_base", "lr2-partial", "base", "exact_match"),
        ),
        needs=("lr2-exact", "lr2-partial"),
        caveat=(
            "A guess among the six orders is exactly right once in six, and a third of its places are right: a gain up "
            "to there is one of form, three different numbers, and only what is above it follows from the rules."
        ),
    ),
)

RECIPE = Recipe(
    name="lr2bench",
    about="Constraint puzzles about furniture, and exact matches against partial credit as a reward",
    variants=VARIANTS,
    claims=CLAIMS,
    base=BASE,
    system=System(
        title="LR²Bench",
        source="arXiv 2502.17848",
        mechanism="constraint puzzles with one solution; exact match against partial credit as reward",
        section="16_recipes_around_it",
        try_it="vsr eval --types puzzles",
        kl="no RL",
        kl_here="1e-4",
        drawn="lr2-partial-credit-pays",
        trained="lr2-partial",
    ),
)
