"""SRPO (arXiv 2504.14286): solved questions leave the training after each epoch, and two stages of tasks.

The longer a policy trains, the more groups are right throughout; they have no advantages, are paid for and teach
nothing. SRPO remembers what each question earned and, after an epoch, drops those whose rollouts were all right. Mixed
ones stay, and so do those that were all wrong, since they may come right later. That is what sets it apart from a
filter within the batch (mm_eureka.py), which draws again and drops hopeless questions, too. It also trains in two
stages, mathematics first and code joining later; here questions that one glance answers, then multi-step ones join.

    setting        the paper                               here
    resampling     after an epoch, all right are dropped   the same, by `GRPO(next_rows=HistoryResampling(...))`
    stages         mathematics, then code as well          one-step types, then the kit's multi-step types as well
    reward         accuracy and format                     0 or 1 for accuracy (`right_reward`), 0.5 for a format
    KL term        none                                    none

An epoch here keeps its number of steps: the places of dropped questions go to others that remain, drawn anew at each
step, where SRPO's epochs grow shorter. So both arms make as many updates on as many tokens. What comes next follows
from the step and from what was earned last alone, so a killed run goes on as it was.

The study's training set is too large to be asked twice in a run. Both arms train on a small one of the recipe's own,
`srpo-train`: six epochs of its 120 one-step questions, then five of all 240. The paper comes with a model and,
as far as we know, no training code; this is written from it. Rules and measures were written before the runs.
`vsr train --recipe srpo` asks one-step questions alone, so that its stages are one; `srpo-train` has both kinds.
Left out: the paper's penalty for mixed languages, its data, and choosing when stage two begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from vsr_kit.claims.measures import all_of, minus
from vsr_kit.claims.recipe import BENCH_SET, SEEDS, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, gain
from vsr_kit.claims.training_measures import EQUAL_REWARDS, change, last_mean, log_mean, log_minus
from vsr_kit.data import balanced, split_rooms
from vsr_kit.questions import MULTI_STEP_TYPES, TRAINED_TYPES
from vsr_kit.recipes.filmed import asked_about, filmed
from vsr_kit.recipes.mm_eureka import PAID_BARE, PAID_TAGGED, group_accuracy
from vsr_kit.recipes.vision_r1 import MULTI_STEP_SET
from vsr_kit.recipes.vsgrpo import tuned_variant
from vsr_kit.rewards.hard import right_reward
from vsr_kit.training.joints import History
from vsr_kit.training.methods import GRPO
from vsr_kit.training.phases import Given, Phase

PAPER = "SRPO (arXiv 2504.14286)"
TRAIN_SET = "srpo-train"
OF_A_TYPE = {TRAINED_TYPES: 20, MULTI_STEP_TYPES: 30}  # 6 and 4 types in VSI-100k's words: 120 questions of either
STEPS, SWITCH = 240, 90  # of 8 questions: 6 epochs of 120, then 5 of 240
EPOCH = 30  # steps of an epoch of stage two
ROOMS = 40


def solved(rewards_G: Sequence[float | None] | None) -> bool:
    """Whether a question is dropped: every rollout of its last group was right."""
    return rewards_G is not None and group_accuracy(rewards_G) == 1


@dataclass(frozen=True)
class HistoryResampling:
    """Chooses the next questions (a `joints.NextRows`): epochs in shuffled orders, without what is solved.

    Attributes:
        rows: of the training.
        first: indices of the questions of stage one.
        switch: steps of stage one; all questions are asked after it.
        seed: of the orders.
        resample: False asks every question of an epoch, solved or not: the control.
    """

    rows: int
    first: tuple[int, ...]
    switch: int
    seed: int
    resample: bool = True

    def choose(self, step: int, count: int, history: History) -> list[int]:
        """The epoch's next `count` questions; a solved one's place goes to one that is left, drawn by the step."""
        began, pool = (0, self.first) if step < self.switch else (self.switch, range(self.rows))
        places = [divmod(place, len(pool)) for place in range((step - began) * count, (step - began + 1) * count)]
        seeds = {epoch: [self.seed, began, epoch] for epoch, _ in places}
        orders = {epoch: np.random.default_rng(seed).permutation(pool) for epoch, seed in seeds.items()}
        chosen = [int(orders[epoch][place]) for epoch, place in places]
        left = [i for i in pool if not (self.resample and solved(history.get(i)))]
        if not left:  # all is solved: nothing remains to be chosen
            return chosen
        kept = [i for i in chosen if i in set(left)]
        spare = [i for i in left if i not in set(kept)] or left
        missing = count - len(kept)
        drawn = np.random.default_rng([self.seed, step]).choice(spare, missing, replace=missing > len(spare))
        return kept + [int(i) for i in drawn]


@dataclass(frozen=True)
class HistoryGRPO(GRPO):
    """GRPO in two stages of question types, whose questions are chosen by what they earned last.

    Attributes:
        switch: steps until multi-step questions join; 0 asks all from the beginning.
        resample: whether solved questions are left out.
    """

    switch: int = 0
    resample: bool = False

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        one_step = tuple(i for i, row in enumerate(rows) if row["question_type"] not in MULTI_STEP_TYPES)
        first = one_step or tuple(range(len(rows)))
        chooser = HistoryResampling(len(rows), first, self.switch, config.seed, self.resample)
        chosen = replace(self, next_rows=chooser)
        return GRPO.trainer(chosen, profile, config, loaded, rows, clips, features, recorder)


def train_set():
    """As many one-step as multi-step questions about the first training rooms, in VSI-100k's words."""
    rooms = split_rooms(ROOMS, "train")
    ask = partial(asked_about, TRAIN_SET, rooms, clips=filmed(rooms), max_per_type=2)
    parts = [(ask(types=types), most) for types, most in OF_A_TYPE.items()]
    return replace(parts[0][0], rows=[row for part, most in parts for row in balanced(part.rows, most)])


def _arm(name: str, resample: bool) -> Variant:
    how = HistoryGRPO(rewards=(right_reward,), stages=(PAID_BARE,), switch=SWITCH, resample=resample)
    asked = tuple((questions, "vanilla", "own") for questions in (BENCH_SET, MULTI_STEP_SET))
    changes = {"steps": STEPS, "beta": 0.0}
    return tuned_variant(name, "srpo", questions=TRAIN_SET, how=how, changes=changes, asked=asked, seeds=SEEDS)


VARIANTS: tuple[Variant, ...] = (_arm("srpo-resampled", resample=True), _arm("srpo-plain", resample=False))
BASE: tuple[Condition, ...] = (Condition(BENCH_SET), Condition(MULTI_STEP_SET))
_ARMS = (
    f"GRPO on {TRAIN_SET} in two stages, {STEPS} updates, five seeds each, srpo-resampled and srpo-plain, which differ "
    "in whether solved questions are left out"
)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="resampling-keeps-groups-useful",
        says="Dropping solved questions after each epoch keeps more groups of a batch useful.",
        source=f"{PAPER}, on history resampling",
        measured=(
            f"{_ARMS}: the share of groups with equal rewards over the last {EPOCH} steps, an epoch of stage two, "
            "plain minus resampled, Welch's interval over runs. How much the share rises from the first epoch's "
            f"{EPOCH} steps in either arm stands beside it and is no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("plain_minus_resampled", by="student"),
        measure=all_of(
            log_minus("plain_minus_resampled", "srpo-plain", "srpo-resampled", last_mean(EQUAL_REWARDS, EPOCH, 100)),
            log_mean("rise_in_plain", "srpo-plain", change(EQUAL_REWARDS, EPOCH, 100)),
            log_mean("rise_in_resampled", "srpo-resampled", change(EQUAL_REWARDS, EPOCH, 100)),
        ),
        needs=("srpo-resampled", "srpo-plain"),
        caveat=(
            "That solved questions are not asked is built in; what is not is whether hopeless ones, which stay and are "
            "asked more often, fill their places. First and last steps ask different types, by the two stages."
        ),
    ),
    Claim(
        name="resampling-learns-more-per-update",
        says="In as many updates, training on what is not solved yet reaches a higher score.",
        source=f"{PAPER}, which needs a tenth of another system's steps",
        measured=(
            f"{_ARMS}: mean of the six trained tasks on held-out procedural rooms, VSI-Bench's phrasing, vanilla "
            "prompt, greedy, lenient parser, resampled minus plain, paired by question. The same on multi-step "
            "questions stands beside it and is no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("resampled_minus_plain", by="student"),
        measure=all_of(
            minus("resampled_minus_plain", "srpo-resampled", "srpo-plain"),
            minus("on_multi_step", "srpo-resampled", "srpo-plain", "multi_step", MULTI_STEP_SET),
        ),
        needs=("srpo-resampled", "srpo-plain"),
        caveat=(
            "240 questions asked eleven and five times are learnt by heart in part, in either arm. The paper's tenth "
            "is against another system, not against itself without resampling."
        ),
    ),
)


def _plan(given: Given) -> tuple[GRPO, dict]:
    switch = given.steps // 2
    how = HistoryGRPO("think", rewards=(right_reward,), stages=(PAID_TAGGED,), switch=switch, resample=True)
    return how, {"steps": given.steps, "beta": 0.0}


_ABOUT = "GRPO that drops what it has solved; multi-step questions, where there are any, join halfway."
RECIPE = Recipe(
    "srpo",
    "Solved questions leave the training, and two stages of tasks",
    VARIANTS,
    CLAIMS,
    BASE,
    question_sets={TRAIN_SET: train_set},
    phases=(Phase("resampled", _ABOUT, _plan, needs_chains=False),),
    system=System(
        title="SRPO",
        source="arXiv 2504.14286",
        mechanism="questions whose rollouts were all right are dropped; multi-step tasks join later",
        section="15_recipes_for_rl",
        try_it="vsr train --recipe srpo --steps 20",
        kl="none",
        kl_here="none",
        drawn="resampling-learns-more-per-update",
        trained="srpo-resampled",
    ),
)
