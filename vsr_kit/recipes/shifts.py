"""Two findings of later work that are cheap here: RL after a spatial SFT, and what either training loses elsewhere.

Visual Spatial Tuning (VST, arXiv 2511.05491) trains on a large spatial data set by SFT and then by RL: a model of 3B
goes from 57.9 to 57.7 on VSI-Bench, so that RL adds nothing. And papers on RL after training report that SFT fits what
it is shown and RL what it is paid for, so that SFT loses more where questions change (Chu et al., arXiv 2501.17161).
Both are asked of the runs of `vsr_kit.recipes.seed_bench_r1`, whose question sets (`levels`) change one thing each: the
rooms, the wording, what a distance measures, how many objects there are, how far the camera walks.

The recipe has no runs of its own: `vsr reproduce --only seed-bench-r1` makes them. It trains and asks nothing that the
other does not, and its claims have rules of their own, written before those runs.
Left out: VST's data and sizes, and shifts to real films.
"""

from __future__ import annotations

from vsr_kit.claims.level_measures import keeps_more
from vsr_kit.claims.measures import all_of, minus
from vsr_kit.claims.recipe import Recipe
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, gain, no_gain
from vsr_kit.recipes.levels import NEW_ROOMS_SET, SEEN_SET, SHIFTED

VST_3B = {"SFT": 57.9, "SFT, then RL": 57.7}  # on VSI-Bench, as printed
VST_7B = {"SFT": 60.6, "SFT, then RL": 61.2}
AWAY = (NEW_ROOMS_SET, *SHIFTED)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="rl-adds-little-after-sft",
        says=(
            "After SFT on spatial questions, RL on the same questions adds nothing: "
            f"{VST_3B['SFT']} before, {VST_3B['SFT, then RL']} after."
        ),
        source="VST-3B (arXiv 2511.05491)",
        measured=(
            "levels-then-grpo, 120 steps of GRPO that go on with levels-supervised, minus levels-supervised, three "
            "seeds each: mean of the six trained tasks in new rooms, training's words, vanilla prompts, greedy, "
            "lenient reader. What GRPO adds to the base in 240 steps stands beside it and is no part of the rule."
        ),
        rule="By Student's interval: reproduced unless the whole interval is above zero.",
        decide=no_gain("rl_minus_sft", by="student"),
        measure=all_of(
            minus("rl_minus_sft", "levels-then-grpo", "levels-supervised", questions=NEW_ROOMS_SET),
            minus("grpo_minus_base", "levels-grpo", "base", questions=NEW_ROOMS_SET),
        ),
        needs=("levels-then-grpo", "levels-supervised", "levels-grpo"),
        caveat=(
            "The rule passes more easily with fewer seeds: what is excluded is a gain above the interval's upper end. "
            "VST's SFT has millions of rows; 900 rows, read twice, are not a strong one. GRPO's KL term holds "
            "levels-then-grpo to the untrained base, not to what SFT left, and its rate, 1e-3, is a fresh adapter's, "
            "four times what Vision-R1's phases take for a trained one: both favour this claim. VST's model of 7B goes "
            f"from {VST_7B['SFT']} to {VST_7B['SFT, then RL']}."
        ),
    ),
    Claim(
        name="sft-loses-more-elsewhere",
        says="Away from what was trained on, SFT loses more of its score than GRPO.",
        source="SFT memorizes, RL generalizes (arXiv 2501.17161), and SEED-Bench-R1 (arXiv 2503.24376)",
        measured=(
            "Each run's mean score over five shifts (new rooms, new wording, closest points for centres, more objects, "
            "a shorter walk) minus its score on untrained questions about its training rooms; the mean over three runs "
            "of levels-grpo minus that over three of levels-supervised. Vanilla prompts, greedy, lenient reader; "
            "Student's interval over seeds."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("grpo_keeps_more", by="student"),
        measure=keeps_more("grpo_keeps_more", "levels-grpo", "levels-supervised", SEEN_SET, AWAY),
        needs=("levels-grpo", "levels-supervised"),
        caveat=(
            "The interval is over seeds alone; no rooms are drawn. Four of the five sets ask about the same 60 rooms. "
            "Sets differ in difficulty, which cancels, since both ways to train are asked all of them."
        ),
    ),
)

RECIPE = Recipe("shifts", "What SFT and GRPO lose away from training, and what RL adds after SFT", claims=CLAIMS)
