"""Questions that the papers do not test and the kit does: the same records and rules, written before the runs.

Questions, decoding and intervals are those of `vsr_kit.recipes.vsgrpo`. One claim was added later, when the runs of
kl-prevents-collapse had finished: its source says so, and it has runs of its own, made after its rule was written.
Left out: other questions that came up while looking at results.
"""

from __future__ import annotations

from vsr_kit.claims.measures import Evidence, gap_growth, habit, minus, runs_that
from vsr_kit.claims.recipe import Recipe, Variant, asked_in
from vsr_kit.claims.rules import GAIN, MOST_RUNS, Claim, Finding, below, gain, most_runs
from vsr_kit.recipes.vsgrpo import BASE, LAST_STEPS, NO_BETA, fallen, tuned_variant, with_beta, with_chains

KIT = "asked by this kit; the papers do not test it"
CEILING = 40.0  # per cent
KEPT_SHARE = 0.1  # of rollouts that may be empty or repeat, where a run is said to keep its thoughts
LONG_STEPS = 720  # three times the others', where 240 may be too few for a collapse

VARIANTS: tuple[Variant, ...] = (
    tuned_variant("reward-mra", "rewards", changes={"numeric": "mra"}),
    tuned_variant("reward-relative", "rewards", changes={"numeric": "one_minus_relative_error"}),
    tuned_variant("reward-exact", "rewards", changes={"numeric": "exact"}),
    tuned_variant("labels-closest", "labels", questions="train-closest"),
    tuned_variant("labels-letters", "labels", questions="train-letters"),
    tuned_variant("kl-0-long", "kl-long", **with_beta(NO_BETA, steps=LONG_STEPS)),
    tuned_variant("thought", "hacking", **with_chains("think"), extra_rewards=("thought",), asked=asked_in("think")),
)
_SPOILT = habit("empty_thought", "repeated_tags", "repeated_words", at_least=KEPT_SHARE, last_steps=LAST_STEPS)


def _keeps_thoughts(rows) -> bool:
    return not _SPOILT(rows)


def _centre_answers(evidence: Evidence) -> dict[str, Finding]:
    return {"perfect_centre_answers": evidence.centre_answers()}


KIT_QUESTIONS: tuple[Claim, ...] = (
    Claim(
        name="grpo-teaches-looking",
        says="What GRPO adds is looking at the clip, not better constants.",
        source=KIT,
        measured=(
            "The own-clip score minus the score with another room's clip, trained against base, same questions and "
            "decoding as grpo-lifts; difference of the two gaps, 95 % bootstrap interval over seeds and rooms."
        ),
        rule="Reproduced if the gap grows beyond its interval, not reproduced if it shrinks, else undecided.",
        decide=gain("gap_growth"),
        measure=gap_growth("gap_growth", "grpo-vanilla"),
        elsewhere=True,
        caveat=(
            "Another room's clip still shows a room: constants that fit all rooms cancel, a wrong room's facts do not."
        ),
        needs=("grpo-vanilla",),
    ),
    Claim(
        name="centre-labels-cap-distance",
        says="A model that answers centre-to-centre distances perfectly scores low where closest points are asked.",
        source="computed by this kit from VSI-Bench's released geometry; in no paper",
        measured=(
            "MRA of perfect centre-to-centre answers against closest-point truths over all pairs of unique objects "
            "that do not touch, in the 150 ARKitScenes rooms of the released geometry; interval over rooms."
        ),
        rule="Reproduced if the interval lies below 40 %, not reproduced if at or above it, else undecided.",
        decide=below("perfect_centre_answers", CEILING),
        measure=_centre_answers,
        elsewhere=True,
        geometry_only=True,
        caveat=(
            "About 30 % was known for other parts of this geometry before the rule was written. It is no upper bound: "
            "a constant, or centres scaled down, can score as much or more, since centres are always farther apart."
        ),
    ),
    Claim(
        name="closest-labels-help",
        says="Trained on closest-point distances instead of centres, GRPO gains more where closest points are asked.",
        source=KIT,
        measured=(
            "Absolute distance alone: GRPO on VSI-100k's words with closest-point labels minus GRPO on centre labels, "
            "vanilla prompts, three seeds against five."
        ),
        rule=GAIN,
        decide=gain("closest_minus_centre"),
        measure=minus("closest_minus_centre", "labels-closest", "grpo-vanilla", "object_abs_distance"),
        caveat=(
            "Closest points are a closer call: 137 of 395 training questions about relative distance have no clear "
            "answer by them and are left out of that arm."
        ),
        needs=("labels-closest", "grpo-vanilla"),
    ),
    Claim(
        name="words-or-letters",
        says="Training on lettered options instead of open words helps where letters are asked.",
        source=KIT,
        measured=(
            "Relative distance alone, which offers letters in VSI-Bench: GRPO on the same rows with lettered options "
            "minus GRPO on open words, vanilla prompts, three seeds against five."
        ),
        rule=GAIN,
        decide=gain("letters_minus_words"),
        measure=minus("letters_minus_words", "labels-letters", "grpo-vanilla", "object_rel_distance"),
        caveat="A letter is right by chance once in four, an open word less often, which feeds GRPO noise, too.",
        needs=("labels-letters", "grpo-vanilla"),
    ),
    Claim(
        name="metric-as-reward-helps",
        says="Paying VSI-Bench's own metric (MRA) for numbers is better than the paper's relative error.",
        source=KIT,
        measured="GRPO with the MRA reward minus GRPO with the paper's, vanilla prompts, three seeds against five.",
        rule=GAIN,
        decide=gain("mra_minus_paper"),
        measure=minus("mra_minus_paper", "reward-mra", "grpo-vanilla"),
        caveat="The paper's map from error to reward is unstated; ours is max(0, 1 - error).",
        needs=("reward-mra", "grpo-vanilla"),
    ),
    Claim(
        name="thought-reward-is-not-gamed",
        says="A reward for distinct words inside one strict pair of tags keeps thoughts, unlike a reward for length.",
        source=KIT,
        measured=(
            "GRPO with think prompts and `thought_reward`, three seeds: a run keeps its thoughts if less than a tenth "
            "of the rollouts of its last 20 steps are empty, repeat a tag or repeat their words."
        ),
        rule="Reproduced if at least two thirds of the runs keep them, not reproduced if none does, else undecided.",
        decide=most_runs("runs_that_keep_thoughts"),
        measure=runs_that("runs_that_keep_thoughts", _keeps_thoughts, "thought"),
        caveat="Distinct words need not be true ones: whether a thought speaks of the room shown is not paid.",
        needs=("thought",),
    ),
    Claim(
        name="longer-without-kl-collapses",
        says="Given three times the steps, training without the KL term collapses.",
        source=f"{KIT}; asked after kl-prevents-collapse had seen no collapse in 240 steps",
        measured=(
            "GRPO with think prompts at beta 0 for 720 steps, three seeds; a run collapses as in kl-prevents-collapse. "
            "The learning rate falls to zero at the last step, so it stays high three times as long."
        ),
        rule=MOST_RUNS,
        decide=most_runs("collapsed_at_0_in_720_steps"),
        measure=fallen("collapsed_at_0_in_720_steps", "kl-0-long"),
        caveat=(
            "Whether a KL term would prevent it is not asked: that takes the same runs at beta 1e-4, and makes sense "
            "only if these collapse. Beyond step 449 the training questions come up a second time. What the runs lose "
            "under another prompt, which no curve of their training shows, is no part of it (notebook 06)."
        ),
        needs=("kl-0-long",),
    ),
)

RECIPE = Recipe("kit-questions", "What the papers do not test and this kit asks", VARIANTS, KIT_QUESTIONS, BASE)
