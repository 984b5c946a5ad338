"""SEED-Bench-R1 (arXiv 2503.24376): GRPO against SFT at three distances from training, and do chains lead to answers?

The benchmark asks a trained model at three levels: where it was trained, in new environments, and at new tasks in new
environments. GRPO is ahead of SFT most where it is farthest. Its authors then looked at the chains: only 57.9 % of the
answers agreed with them. GRPO-CARE (arXiv 2506.16141), their mending, pays a bonus for right answers that a slowly
moving reference finds likely once it has read the chain (`rewards.consistency`, `training.care`).

Here level 1 is the rooms of training with questions that were not trained on, level 2 new rooms in the same words, and
level 3 route planning and the order of appearance in new rooms. Two trainings of the kit's own are asked at all levels;
at levels 2 and 3 the shipped runs of vsGRPO's study stand beside them. The bonus is held against the shipped `kl-0`,
which is the same training without it. The benchmark's code and GRPO-CARE's were published; this is written anew.

| setting | published | here |
|---|---|---|
| model | Qwen2-VL-7B; of GRPO-CARE Qwen2.5-VL-7B | the miniature |
| completions of a question, cap | 8, 768 tokens | 8, 96 tokens |
| learning rate, steps | 1e-6, one epoch of 6,000 questions | 1e-3, 240 steps of 8 questions |
| weight of the KL term | 0.1 in SEED-Bench-R1, 0 in GRPO-CARE | 1e-4 in `levels-grpo`, 1e-12 in `care` |
| reference of the bonus | 0.995 of itself every 10 steps | 0.997 of itself every step |
| bonus, ceiling, margin | 0.5, 0.95, 0.01 (0 in one of its scripts) | 0.5, 0.95, 0.01 |

Left out: a judge that reads chains; whether answers agree is computed (`bridging.stated`).
"""

from __future__ import annotations

from functools import partial

from vsr_kit.claims.level_measures import agree_more, keeps_more
from vsr_kit.claims.measures import all_of, minus
from vsr_kit.claims.recipe import BENCH_SET, HELD_OUT_SET, WATCHED, Condition, Recipe, System, Variant, asked_in
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, gain
from vsr_kit.recipes.levels import IN_WORDS, MAKERS, NEW_TASKS_SET, SEEN_SET, TRAIN_SET
from vsr_kit.recipes.vsgrpo import NO_BETA, TUNED, tuned_variant
from vsr_kit.training.care import CareGRPO, care
from vsr_kit.training.phases import Given, Phase

PAPER, CARE_PAPER = "SEED-Bench-R1 (arXiv 2503.24376)", "GRPO-CARE (arXiv 2506.16141)"
GROUP = "seed-bench-r1"
# Level 3 as printed, per cent right: the base, SFT, GRPO; and answers that agree with their chains, GRPO and GRPO-CARE.
PAPER_LEVEL_3 = {"base": 31.6, "SFT": 38.2, "GRPO": 44.9}
PAPER_CONSISTENCY = {"GRPO": 57.9, "GRPO-CARE": 82.4}

RL_STEPS = 120  # of GRPO after SFT

_levels = partial(tuned_variant, group=GROUP, questions=TRAIN_SET, asked=tuple((s, "vanilla", "own") for s in IN_WORDS))
VARIANTS: tuple[Variant, ...] = (
    _levels("levels-grpo"),
    _levels("levels-supervised", tuned_as="sft", method="sft"),
    # Part of no claim here: shifts.py asks what RL adds after SFT.
    _levels("levels-then-grpo", starts_from="levels-supervised", changes={"steps": RL_STEPS}),
    Variant(
        "care",
        GROUP,
        "grpo-think",
        mode="think",
        how=care("think", detectors=WATCHED),
        changes={"beta": NO_BETA},
        asked=asked_in("think"),
        learning_rate=TUNED["grpo-think"],
    ),
)
BASE: tuple[Condition, ...] = (*map(Condition, IN_WORDS), Condition(BENCH_SET, mode="think"))

_AGREE = (
    "the share of answers that are right by what their own chain concludes (measures within a quarter, counts, letters "
    "and words exactly), of chains that conclude something; held-out procedural rooms, VSI-Bench's phrasing, the "
    "evaluation's think prompt, greedy. Student's interval over seeds."
)
CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="grpo-beats-sft-on-new-tasks",
        says="At new tasks in new rooms GRPO is ahead of SFT: 44.9 against 38.2.",
        source=f"{PAPER}, level 3; the shipped answers were there before the rule",
        measured=(
            "Route planning and the order of appearance, which no run trained, in held-out procedural rooms: the "
            "shipped grpo-vanilla minus the shipped sft, five seeds each, equal questions and steps, mean of the two "
            "tasks, vanilla prompts, greedy, lenient reader."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("grpo_minus_sft", by="student"),
        measure=minus("grpo_minus_sft", "grpo-vanilla", "sft", "overall", HELD_OUT_SET),
        needs=("grpo-vanilla", "sft"),
        caveat=(
            "The order of appearance has 12 of the 240 questions and half of the weight. Both tasks want a letter, and "
            "a chain or a number in its place earns nothing: what is lost may be the form of an answer."
        ),
    ),
    Claim(
        name="grpo-leads-more-farther-off",
        says="GRPO's lead over SFT is larger at new tasks than where both were trained.",
        source=f"{PAPER}, levels 1 and 3",
        measured=(
            "levels-grpo and levels-supervised, three seeds each, the same questions and steps: each run's score at "
            "new tasks minus its score on untrained questions about its training rooms; the mean over GRPO's runs "
            "minus that over SFT's, vanilla prompts, greedy, lenient reader. Student's interval over seeds."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("lead_growth", by="student"),
        measure=keeps_more("lead_growth", "levels-grpo", "levels-supervised", SEEN_SET, (NEW_TASKS_SET,)),
        needs=("levels-grpo", "levels-supervised"),
        caveat=(
            "The interval is over seeds alone; no rooms are drawn. At new tasks 12 of 240 questions have half of the "
            "weight. Half of a room's questions are trained on and the "
            "other half asked, and two of them may be about the same objects in another order."
        ),
    ),
    Claim(
        name="grpo-loosens-chains-from-answers",
        says="After GRPO answers agree less often with their own chains than before.",
        source=(
            f"{PAPER} and {CARE_PAPER}: {PAPER_CONSISTENCY['GRPO']} % agree; the shipped answers were there before the "
            "rule"
        ),
        measured=f"The base minus the shipped grpo-think, three seeds: {_AGREE}",
        rule=GAIN_BY_STUDENT,
        decide=gain("base_minus_grpo", by="student"),
        measure=agree_more("base_minus_grpo", "base", "grpo-think"),
        needs=("grpo-think",),
        caveat=(
            "The base's answers are calibrated badly on purpose, so that they often miss what its chains state; that "
            "is in GRPO's favour. The paper's judge reads whole chains; a rule reads what follows from stated facts."
        ),
    ),
    Claim(
        name="care-raises-agreement",
        says=(
            "A bonus for answers that their chains make likely raises agreement: "
            f"{PAPER_CONSISTENCY['GRPO']} % to {PAPER_CONSISTENCY['GRPO-CARE']} %."
        ),
        source=f"{CARE_PAPER}, main table",
        measured=(
            f"care minus the shipped kl-0, the same training without the bonus, three seeds each: {_AGREE} The "
            "difference of their scores, and of care and grpo-think, stand beside it and are no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("care_minus_none", by="student"),
        measure=all_of(
            agree_more("care_minus_none", "care", "kl-0"),
            minus("score_care_minus_none", "care", "kl-0"),
            minus("score_care_minus_grpo", "care", "grpo-think"),
        ),
        needs=("care", "kl-0"),
        caveat=(
            "Rollouts are trained with tags and asked without, as all think runs of the study. Our accuracy is graded "
            "for numbers, and the bonus with it."
        ),
    ),
)


def _care(given: Given) -> tuple[CareGRPO, dict]:
    return care("think", detectors=WATCHED), {"steps": given.steps, "beta": NO_BETA}


RECIPE = Recipe(
    GROUP,
    "GRPO against SFT at three levels, and a bonus for answers that follow from their chains",
    VARIANTS,
    CLAIMS,
    BASE,
    question_sets=MAKERS,
    table={name: {"level 3": score} for name, score in PAPER_LEVEL_3.items()},
    phases=(
        Phase("care", "GRPO that also pays answers which their own chain makes likely.", _care, needs_chains=False),
    ),
    system=System(
        title="SEED-Bench-R1",
        source="arXiv 2503.24376",
        mechanism="three levels of distance; a bonus for answers that their chains make likely",
        section="16_recipes_around_it",
        try_it="vsr train --recipe seed-bench-r1 --steps 20",
        kl="0.1; GRPO-CARE 0",
        kl_here="1e-4; with the bonus none",
        drawn="grpo-leads-more-farther-off",
        trained="levels-grpo",
    ),
)
