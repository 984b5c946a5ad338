"""Does a KL term keep what training does not look at? One question of this kit's, with ten seeds on either side.

The first runs on KL (`vsr_kit.recipes.vsgrpo`, three seeds each) were trained with think prompts that ask for tags.
Asked with the prompts of the evaluation, which training never uses, one of the runs without a KL term fell far below
its base. That was seen afterwards, and no rule had been written for it. Here the rule comes first: the same two
settings, beta 0 and beta 0.1, with ten seeds that are none of the first runs', asked as those were.
Left out: betas between the two, and other prompts than the evaluation's.
"""

from __future__ import annotations

from vsr_kit.claims.measures import all_of, minus
from vsr_kit.claims.recipe import BENCH_SET, Condition, Recipe, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, gain
from vsr_kit.recipes.vsgrpo import NO_BETA, tuned_variant, with_beta

TEN_SEEDS = tuple(range(11, 21))
STRONG = 0.1  # SEED-Bench-R1's (arXiv 2503.24376), the strongest KL term among the published recipes

VARIANTS: tuple[Variant, ...] = (
    tuned_variant("kl-0-ten", "kl-elsewhere", **with_beta(NO_BETA), seeds=TEN_SEEDS),
    tuned_variant("kl-1e-1-ten", "kl-elsewhere", **with_beta(STRONG), seeds=TEN_SEEDS),
)
BASE: tuple[Condition, ...] = (Condition(BENCH_SET, mode="think"),)

CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="kl-keeps-other-prompts",
        says="A KL term keeps what a model can do under a prompt that training does not use.",
        source="asked by this kit; the papers do not test it; asked after notebook 06 had shown three seeds of either",
        measured=(
            "GRPO with think prompts at beta 0.1 minus the same at beta 0, ten seeds each: the mean of the six trained "
            "tasks on held-out procedural rooms, VSI-Bench's phrasing, the evaluation's think prompt, which asks for "
            "no tags and is never trained on, greedy, lenient parser. Both minus the base asked alike stand beside it "
            "and are no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("kl_minus_none", by="student"),
        measure=all_of(
            minus("kl_minus_none", "kl-1e-1-ten", "kl-0-ten"),
            minus("none_minus_base", "kl-0-ten", "base", mode="think"),
            minus("kl_minus_base", "kl-1e-1-ten", "base", mode="think"),
        ),
        caveat=(
            "Three seeds of either had been seen when the rule was written (48.5 % against 38.8 %, one fallen run); "
            "they are none of these ten. Beta 0 is 1e-12, so that the KL can be drawn."
        ),
        needs=("kl-0-ten", "kl-1e-1-ten"),
    ),
)

RECIPE = Recipe("kl-elsewhere", "What a KL term keeps that training does not look at", VARIANTS, CLAIMS, BASE)
