"""T1 (arXiv 2501.11651): many hot samples of a question, an entropy bonus, a reference that follows, waste penalised.

The paper scales reinforcement learning by exploring more: K = 64 samples of a question, a high temperature and a bonus
for entropy; a KL term to a moving mean of the policy in place of a fixed reference; and a penalty on outputs that are
too long or repeat themselves. Then it asks what a larger thinking budget is worth at the end, by cutting thoughts off.

Ours, written from the paper's account; of its numbers K alone is known here:

    setting                    paper            here
    samples of a question      64               8, and 32 of a quarter of the questions: as many rollouts a step
    temperature                high             1, and 1.2
    entropy bonus              yes              0, and 0.05 a nat
    reference of the KL term   EMA              EMA with decay 0.99, weight 1e-2, in all four variants
    penalty                    yes              1 off for reaching the cap or for repeating, in all four variants

Four variants are half of the grid of two settings each, chosen so that every factor is high in two of them and low in
two, whatever the others are. So each factor's effect is that of six runs against six. (What two factors do together is
not told apart from the third: the price of half a grid.) The fifth corner, nothing of it all, is grpo-vanilla.
Answers of one word reach no cap and repeat nothing, so the penalty bites in `vsr train --recipe t1`, which thinks.
Claims, rules and measures were written before the runs.
Left out: a grid of the EMA's decay, and an answer asked for after a cut thought, which the paper may have had.
"""

from __future__ import annotations

import math
from itertools import pairwise

from vsr_kit.claims.factor_measures import factor_draws, factor_effects, factor_logs
from vsr_kit.claims.measures import Compared, Evidence, all_of, comparing, minus
from vsr_kit.claims.recipe import BENCH_SET, SAMPLES, WATCHED, WORDS_SET, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, Finding, gain
from vsr_kit.claims.training_measures import last_mean, pass_at_minus
from vsr_kit.evaluation import difference
from vsr_kit.recipes.vision_r1 import COLD
from vsr_kit.recipes.vsgrpo import tuned_variant
from vsr_kit.rewards import waste_reward
from vsr_kit.training.joints import Ema, Stage
from vsr_kit.training.methods import GRPO
from vsr_kit.training.phases import Given, Phase
from vsr_kit.training.profiles import get_profile

PAPER = "T1 (arXiv 2501.11651)"
FEW, MANY = 8, 32
HOT, BONUS, BETA = 1.2, 0.05, 1e-2
FOLLOWS = Ema(0.99)
BUDGETS = (64, 136, 272, 544)  # caps of an answer in tokens: Vision-R1's stages have 136, 272 and 544 here
LAST_STEPS = 60


def explorer(mode: str, cap: int, temperature: float, bonus: float, detectors: tuple[str, ...] = ()) -> GRPO:
    """GRPO with T1's parts; the number of samples is the profile's."""
    hot = () if temperature == 1 else (Stage(0, temperature=temperature),)
    waste = (waste_reward(mode, cap),)
    return GRPO(mode, (), detectors, waste, stages=hot, entropy_bonus=bonus, reference=FOLLOWS)


def cell(name: str, samples: int, temperature: float, bonus: float) -> Variant:
    """A corner of the grid: as many rollouts in a step and in all, whatever the samples of a question."""
    mini = get_profile("mini")
    questions = mini.questions_per_step * mini.num_generations // samples
    sizes = {"questions_per_step": questions, "groups_per_pass": questions, "num_generations": samples}
    how = explorer("vanilla", mini.max_vanilla_tokens, temperature, bonus)
    return tuned_variant(name, "t1", how=how, changes={"beta": BETA} | sizes, sampled=((BENCH_SET, "vanilla"),))


VARIANTS: tuple[Variant, ...] = (
    cell("t1-many", MANY, 1.0, 0.0),
    cell("t1-hot", FEW, HOT, 0.0),
    cell("t1-bonus", FEW, 1.0, BONUS),
    cell("t1-full", MANY, HOT, BONUS),
)
# Each factor: the two variants that have it, and the two that do not.
FACTORS = {
    "many": (("t1-many", "t1-full"), ("t1-hot", "t1-bonus")),
    "hot": (("t1-hot", "t1-full"), ("t1-many", "t1-bonus")),
    "bonus": (("t1-bonus", "t1-full"), ("t1-many", "t1-hot")),
}
BASE: tuple[Condition, ...] = (
    *(Condition(WORDS_SET, COLD, "think", cap=cap, prompt_set="train") for cap in BUDGETS),
    Condition(WORDS_SET, COLD, cap=max(BUDGETS), prompt_set="train"),
    Condition(BENCH_SET),
    Condition(BENCH_SET, samples=SAMPLES),
)


def budget_gains(evidence: Evidence) -> dict[str, Finding]:
    """What each larger budget adds to the cold start's thinking, and each budget to its glance, in points."""

    def asked(mode: str, cap: int):
        return evidence.base(mode, questions=WORDS_SET, model=COLD, cap=cap, prompt_set="train")

    told, glance = {cap: asked("think", cap) for cap in BUDGETS}, asked("vanilla", max(BUDGETS))
    found: dict[str, Finding] = {}
    steps = {f"to_{more}": difference(told[more], told[less], task="trained") for less, more in pairwise(BUDGETS)}
    return found | steps | {f"{cap}_minus_glance": difference(own, glance, task="trained") for cap, own in told.items()}


_MEASURED = (
    "held-out procedural rooms, VSI-Bench's phrasing, vanilla prompt, lenient parser, mean of the six trained tasks"
)
CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="t1-beats-plain-grpo",
        says="Many hot samples, an entropy bonus and a following reference train better than plain GRPO.",
        source=f"{PAPER}, on scaling reinforcement learning by exploration",
        measured=(
            f"t1-full, three seeds, minus grpo-vanilla, five: {_MEASURED}, greedy, paired by question, as many "
            "rollouts. What each factor adds, six runs against six, stands beside it and is no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("full_minus_grpo", by="student"),
        measure=all_of(minus("full_minus_grpo", "t1-full", "grpo-vanilla"), factor_effects(FACTORS)),
        caveat=(
            "The rate was tuned for eight samples at temperature 1. At equal rollouts more samples are fewer "
            "questions; the paper scales samples alone. Answers have one word, where there is little to explore. "
            "Six runs against six are two variants of three runs each, taken as one sample: what lies between the two "
            "variants counts as spread among runs."
        ),
        needs=("t1-many", "t1-hot", "t1-bonus", "t1-full", "grpo-vanilla"),
    ),
    Claim(
        name="bonus-keeps-best-of-eight",
        says="An entropy bonus keeps answers varied: the best of several gets better.",
        source=f"{PAPER}, on the entropy bonus; the best of eight draws as its measure is this kit's",
        measured=(
            f"Best of eight draws at temperature 1, {_MEASURED}, part of the questions: t1-bonus and t1-full minus "
            "t1-many and t1-hot, six runs against six. The other two factors, t1-full minus the base, and what the "
            f"bonus adds to the entropy of the last {LAST_STEPS} steps stand beside it and are no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("bonus_best_of_8", by="student"),
        measure=all_of(
            factor_draws(FACTORS, SAMPLES),
            pass_at_minus("full_minus_base_best_of_8", "t1-full", "base", SAMPLES),
            factor_logs({"bonus": FACTORS["bonus"]}, last_mean("entropy", LAST_STEPS), "_on_entropy", "nats"),
        ),
        caveat=(
            "A best of eight also rises by noise alone where rewards are graded. TRL's entropy is that of the tempered "
            "distribution; both sides have one variant at 1 and one at 1.2. "
            "Six runs against six are two variants of three runs each, taken as one sample: what lies between the two "
            "variants counts as spread among runs."
        ),
        needs=("t1-many", "t1-hot", "t1-bonus", "t1-full"),
    ),
    Claim(
        name="thinking-budget-pays",
        says="The more tokens a model may think, the better it answers, without anything that checks.",
        source=f"{PAPER}, on inference scaling",
        measured=(
            "The cold start alone, not trained further, asked to think at caps of 64, 136, 272 and 544 tokens: each "
            "minus the one before, mean of the six trained tasks on held-out procedural rooms, VSI-100k's words, the "
            "training prompt, greedy, lenient parser, 95 % bootstrap interval over rooms (one network, so seeds do not "
            "vary). Each cap minus a short answer stands beside it and is no part of the rule."
        ),
        rule="Reproduced if all three intervals are above zero, not reproduced if one is at or below, else undecided.",
        decide=gain("to_136", "to_272", "to_544"),
        measure=comparing(budget_gains, Compared(1, 0, "trained")),
        caveat=(
            "A thought that is cut off has no answer, so the rise to where most thoughts end is built in; the last "
            "doubling is the test. Nothing here asks for an answer after the cut."
        ),
        untrained=(COLD,),
    ),
)


def _train(given: Given) -> tuple[GRPO, dict]:
    """Twice the profile's samples of half its questions: a device scores a group at once, and 64 are too many."""
    profile = given.profile
    questions = max(1, profile.questions_per_step // 2)
    return explorer("think", profile.max_chain_tokens, HOT, BONUS, WATCHED), {
        "steps": given.steps,
        "beta": BETA,
        "num_generations": 2 * profile.num_generations,
        "questions_per_step": questions,
        "groups_per_pass": math.gcd(questions, profile.groups_per_pass),
        "questions_per_clip": 1,
    }


RECIPE = Recipe(
    "t1",
    "Many hot samples, an entropy bonus, a reference that follows, and a penalty on waste",
    VARIANTS,
    CLAIMS,
    BASE,
    phases=(Phase("explore", "GRPO with many hot samples, a bonus for entropy and an EMA reference.", _train, False),),
    system=System(
        "T1",
        "arXiv 2501.11651",
        "many hot samples, entropy bonus, KL to a moving reference, penalty on waste",
        "15_recipes_for_rl",
        "vsr train --recipe t1",
        kl="to an EMA reference, weight not obtained",
        kl_here="1e-2 to an EMA reference",
        trained="t1-full",
    ),
)
