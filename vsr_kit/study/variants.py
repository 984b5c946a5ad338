"""Every training run of the study, and what each trained model is asked: written before any of them ran.

A variant is one way to train; a run is a variant with a seed. All use the miniature's profile with the learning rate
that `TUNED` names for their method, found on validation rooms with a seed of its own (`tuning`), and every one is
judged by its last step. Budgets beyond equal questions come from costs measured while tuning.
Left out: variants of the related recipes, and any setting chosen by how a claim came out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from vsr_kit.study.conditions import SAMPLES, Condition
from vsr_kit.training.methods import Method, make_method
from vsr_kit.training.profiles import Profile, get_profile

SEEDS = (1, 2, 3, 4, 5)  # of the headline
THREE_SEEDS = SEEDS[:3]  # of all else
TUNING_SEED = 0  # left out of every result
LEARNING_RATES = (6.25e-5, 2.5e-4, 1e-3)
TUNING_STEPS = 120
BENCH_SET, WORDS_SET, HELD_OUT_SET, ORDER_SET = "test-vsi-bench", "test-vsi-100k", "test-held-out", "test-order"
# TRL measures no KL at beta 0. This weight adds less to a loss than fp32 can hold, and lets the curve be drawn.
NO_BETA = 1e-12
LONG_STEPS = 720  # three times the others', where 240 may be too few for a collapse
WATCHED = ("empty_thought", "repeated_tags", "repeated_words")  # logged with every step that has tags


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        name: of its runs, before `-seed<n>`.
        group: the part of the study it belongs to, as `vsr reproduce --only` takes it.
        tuned_as: the method whose learning rate it takes, a key of `TUNED`.
        method, mode, extra_rewards: as `methods.make_method` takes them.
        questions: name of the training set.
        changes: fields of the profile that differ.
        asked: (question set, mode, clip) of every greedy pass over the trained model.
        seeds: one run each.
    """

    name: str
    group: str
    tuned_as: str = "grpo-vanilla"
    method: str = "grpo"
    mode: str = "vanilla"
    extra_rewards: tuple[str, ...] = ()
    questions: str = "train-vsi-100k"
    changes: dict = field(default_factory=dict)
    asked: tuple[tuple[str, str, str], ...] = ((BENCH_SET, "vanilla", "own"),)
    seeds: tuple[int, ...] = THREE_SEEDS

    def seeds_from(self, first: int) -> tuple[int, ...]:
        """As many seeds, counted from another first one."""
        return tuple(seed - self.seeds[0] + first for seed in self.seeds)

    def run_name(self, seed: int) -> str:
        """Folder and model name of a seed's run."""
        return f"{self.name}-seed{seed}"

    @property
    def trained_by(self) -> Method:
        """The method as `training.train` takes it; what tags make countable is counted."""
        watched = WATCHED if self.method == "grpo" and self.mode != "vanilla" else ()
        return make_method(self.method, self.mode, self.extra_rewards, watched)

    @property
    def profile(self) -> Profile:
        """The miniature's, with the tuned learning rate and this variant's changes."""
        tuned = {"learning_rate": TUNED[self.tuned_as]} if self.tuned_as in TUNED else {}
        return replace(get_profile("mini"), **(tuned | self.changes))

    def conditions(self, seed: int) -> list[Condition]:
        """What a seed's model is asked."""
        return [Condition(q, self.run_name(seed), mode, clip=clip) for q, mode, clip in self.asked]


def _asked(*modes: str, held_out: bool = False, wrong: bool = False, words: bool = False) -> tuple:
    """The test questions in some modes; then what else is asked, always in the first of them."""
    more = [(HELD_OUT_SET, modes[0], "own")] if held_out else []
    more += [(BENCH_SET, modes[0], "wrong")] if wrong else []
    more += (
        [(WORDS_SET, modes[0], "own"), (WORDS_SET, modes[0], "wrong"), (ORDER_SET, modes[0], "own")] if words else []
    )
    return (*((BENCH_SET, mode, "own") for mode in modes), *more)


def _beta(beta: float, **changes) -> dict:
    changes = {"beta": beta} | changes
    return {"changes": changes, "mode": "think", "tuned_as": "grpo-think", "asked": _asked("think")}


def _budget(method: str, steps: int) -> dict:
    return {"method": method, "tuned_as": method, "changes": {"steps": steps}}


def _chains(mode: str) -> dict:
    return {"mode": mode, "tuned_as": f"grpo-{mode}"}


# The best of the grid on the trained tasks of the validation rooms, by `vsr reproduce --only tuning`, before any other
# run of the study; for dpo-corrupted again when its pairs had been mended, before its present runs.
# data_samples/reference_runs/tuning.json has every score; a test holds the two together.
TUNED: dict[str, float] = {
    "grpo-vanilla": 1e-3,
    "grpo-think": 1e-3,
    "grpo-observe": 2.5e-4,
    "sft": 1e-3,
    "dpo-corrupted": 1e-3,
    "dpo-rollouts": 2.5e-4,
}
# Steps that take as many seconds, or as many tokens, as 240 of GRPO with vanilla prompts: costs of the tuning runs, all
# from one sitting; those of dpo-corrupted were measured with its first pairs, which took as long to learn.
BUDGETS: dict[str, int] = {"sft-seconds": 504, "sft-tokens": 1929, "dpo-seconds": 400, "dpo-tokens": 964}

_FULL = {"held_out": True, "wrong": True}
VARIANTS: tuple[Variant, ...] = (
    Variant("grpo-vanilla", "headline", asked=_asked("vanilla", words=True, **_FULL), seeds=SEEDS),
    Variant("sft", "headline", "sft", "sft", asked=_asked("vanilla", **_FULL), seeds=SEEDS),
    Variant("dpo-corrupted", "headline", "dpo-corrupted", "dpo-corrupted", asked=_asked("vanilla"), seeds=SEEDS),
    Variant("dpo-rollouts", "pairs", "dpo-rollouts", "dpo-rollouts", asked=_asked("vanilla")),
    # Part of no rule, added when the grid's best rate had broken most runs of dpo-corrupted: the grid's second best.
    Variant("dpo-lower-rate", "pairs", "dpo-corrupted", "dpo-corrupted", changes={"learning_rate": 2.5e-4}),
    Variant("reward-mra", "rewards", changes={"numeric": "mra"}),
    Variant("reward-relative", "rewards", changes={"numeric": "one_minus_relative_error"}),
    Variant("reward-exact", "rewards", changes={"numeric": "exact"}),
    Variant("labels-closest", "labels", questions="train-closest"),
    Variant("labels-letters", "labels", questions="train-letters"),
    Variant("grpo-think", "modes", **_chains("think"), asked=_asked("think", "vanilla", **_FULL)),
    Variant("grpo-observe", "modes", **_chains("observe"), asked=_asked("observe", "vanilla", **_FULL)),
    Variant("sft-seconds", "costs", **_budget("sft", BUDGETS["sft-seconds"])),
    Variant("sft-tokens", "costs", **_budget("sft", BUDGETS["sft-tokens"])),
    Variant("dpo-seconds", "costs", **_budget("dpo-corrupted", BUDGETS["dpo-seconds"])),
    Variant("dpo-tokens", "costs", **_budget("dpo-corrupted", BUDGETS["dpo-tokens"])),
    Variant("kl-0", "kl", **_beta(NO_BETA)),
    Variant("kl-1e-3", "kl", **_beta(1e-3)),
    Variant("kl-1e-2", "kl", **_beta(1e-2)),
    Variant("kl-1e-1", "kl", **_beta(1e-1)),
    Variant("kl-0-long", "kl-long", **_beta(NO_BETA, steps=LONG_STEPS)),
    Variant("length", "hacking", **_chains("think"), extra_rewards=("length",), asked=_asked("think")),
    Variant("thought", "hacking", **_chains("think"), extra_rewards=("thought",), asked=_asked("think")),
)


def tuning_variants() -> tuple[Variant, ...]:
    """Every method at every learning rate of the grid, for half as many steps, judged on validation rooms."""
    methods = {v.tuned_as: v for v in reversed(VARIANTS)}  # the first variant of each
    return tuple(
        replace(
            methods[name],
            name=f"tuning-{name}-{rate:g}",
            group="tuning",
            changes={"learning_rate": rate, "steps": TUNING_STEPS},
            asked=(("val-vsi-bench", methods[name].mode, "own"),),
            seeds=(TUNING_SEED,),
        )
        for name in methods
        for rate in LEARNING_RATES
    )


def base_conditions() -> list[Condition]:
    """Everything that is asked of the untrained model."""
    modes = ("vanilla", "think", "observe")
    greedy = [Condition(q, mode=mode) for q in (BENCH_SET, HELD_OUT_SET) for mode in modes]
    sampled = [Condition(BENCH_SET, mode=mode, samples=SAMPLES) for mode in modes]
    blind = [
        Condition(BENCH_SET, clip="wrong"),
        *(Condition(q, clip="none") for q in (BENCH_SET, HELD_OUT_SET, ORDER_SET)),
    ]
    return [*greedy, *blind, Condition(ORDER_SET), Condition(WORDS_SET), Condition(WORDS_SET, clip="wrong"), *sampled]


def variant(name: str) -> Variant:
    """Look a variant up by name, of the study's or of its tuning."""
    known = {v.name: v for v in (*VARIANTS, *tuning_variants())}
    if name not in known:
        raise ValueError(f"no variant is called {name!r}: there are {', '.join(v.name for v in VARIANTS)}")
    return known[name]
