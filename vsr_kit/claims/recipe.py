"""What a recipe is made of: the runs it trains, the passes over questions that they are asked, and its claims.

A `Condition` is one pass over one set of questions. A `Variant` is one way to train; a run is a variant with a seed.
Untrained are the base, which is the miniature, and the other checkpoints that ship with the kit (`paths.SHIPPED`).
A `Recipe` is a paper's method or a question of this kit's, in one file of `vsr_kit.recipes` or in a file of your own:
its variants, its claims with rule and measure, what it asks of the untrained model, and the paper's table.
Left out: anything that has run. Where answers are kept is the business of `vsr_kit.study`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from vsr_kit.claims.rules import Claim
from vsr_kit.paths import SHIPPED
from vsr_kit.prompts import MODES, USES
from vsr_kit.training.methods import Method, make_method
from vsr_kit.training.phases import Phase
from vsr_kit.training.profiles import Profile, get_profile
from vsr_kit.validation import one_of, whole

SEEDS = (1, 2, 3, 4, 5)  # of the headline
THREE_SEEDS = SEEDS[:3]  # of all else
TUNING_SEED = 0  # left out of every result
SAMPLES = 8  # draws of a sampled pass
BENCH_SET, WORDS_SET, HELD_OUT_SET, ORDER_SET = "test-vsi-bench", "test-vsi-100k", "test-held-out", "test-order"
UNTRAINED = ("base", *SHIPPED)  # models that are asked as they are
_MECHANISM_WORDS = 14
WATCHED = ("empty_thought", "repeated_tags", "repeated_words")  # detectors that are logged wherever a mode has tags


@dataclass(frozen=True)
class Condition:
    """One pass over one question set.

    Attributes:
        questions: name of the question set.
        model: `base`, the name of a shipped checkpoint that is asked untrained, or the name of a training run.
        mode: vanilla, think or observe.
        samples: 0 decodes greedily, else so many draws at temperature 1.
        clip: `own`, `wrong` or `none`.
        cap: of an answer in tokens; None is TOKEN_CAP, the study's one cap for every mode.
        prompt_set: the paper's `eval` prompts, or those of its training, `train`, which ask for tags.
    """

    questions: str
    model: str = "base"
    mode: str = "vanilla"
    samples: int = 0
    clip: str = "own"
    cap: int | None = None
    prompt_set: str = "eval"

    def __post_init__(self) -> None:
        _check_asking(f"a pass over {self.questions!r}", self.cap, self.prompt_set)

    @property
    def name(self) -> str:
        """File name of the answers."""
        decode = f"sampled{self.samples}" if self.samples else "greedy"
        return f"{self.questions}--{self.model}--{self.mode}--{decode}--{self.clip}{self.asked_otherwise}"

    @property
    def asked_otherwise(self) -> str:
        """How the asking differs from the study's own, as names end: `--train--cap512`; empty where it does not."""
        prompts = "" if self.prompt_set == "eval" else f"--{self.prompt_set}"
        return prompts + ("" if self.cap is None else f"--cap{self.cap}")


def _check_asking(what: str, cap: int | None, prompt_set: str) -> None:
    if cap is not None:
        whole(f"the cap of {what}", cap, remedy="leave it out for the study's own")
    one_of(f"the prompt_set of {what}", prompt_set, USES)


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Attributes:
        name: of its runs, before `-seed<n>`.
        group: the part of the study it belongs to, as `vsr reproduce --only` takes it.
        tuned_as: the name under which its learning rate was tuned, a key of its recipe's `tuned`.
        method, mode, extra_rewards: as `methods.make_method` takes them.
        questions: name of the training set.
        changes: fields of the profile that differ.
        asked: (question set, mode, clip) of every greedy pass over the trained model.
        sampled: (question set, mode) of every pass of SAMPLES draws at temperature 1 over the trained model.
        seeds: one run each.
        learning_rate: the tuned one; the profile's if None. A rate among `changes` comes before it.
        how: a method object of your own, such as `GRPO(advantages=…)`, in place of the names; its mode must be `mode`.
        cap, prompt_set: of every pass over the trained model, as a `Condition` has them.
        starts_from: another variant whose adapter of the same seed is gone on with, the shipped study's where the study
            at hand has none; empty for a fresh adapter.
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
    learning_rate: float | None = None
    how: Method | None = None
    cap: int | None = None
    prompt_set: str = "eval"
    starts_from: str = ""
    sampled: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _check_variant(self)
        if self.how is not None and self.how.mode != self.mode:
            raise ValueError(
                f"variant {self.name!r} has mode {self.mode!r}, its method {self.how.mode!r}: make them one"
            )

    def seeds_from(self, first: int) -> tuple[int, ...]:
        """As many seeds, counted from another first one."""
        return tuple(seed - self.seeds[0] + first for seed in self.seeds)

    def run_name(self, seed: int) -> str:
        """Folder and model name of a seed's run."""
        return f"{self.name}-seed{seed}"

    @property
    def trained_by(self) -> Method:
        """The method as `training.run.train` takes it; what tags make countable is counted."""
        if self.how is not None:
            return self.how
        watched = WATCHED if self.method == "grpo" and self.mode != "vanilla" else ()
        return make_method(self.method, self.mode, self.extra_rewards, watched)

    @property
    def profile(self) -> Profile:
        """The miniature's, with the tuned learning rate and this variant's changes."""
        tuned = {} if self.learning_rate is None else {"learning_rate": self.learning_rate}
        return replace(get_profile("mini"), **(tuned | self.changes))

    @property
    def test_set(self) -> str:
        """The question set by which it is judged: the test rooms' where it is asked that, else the first of its own."""
        sets = [questions for questions, _, _ in self.asked]
        return BENCH_SET if BENCH_SET in sets or not sets else sets[0]

    def conditions(self, seed: int) -> list[Condition]:
        """What a seed's model is asked."""
        run = self.run_name(seed)
        greedy = [self.condition(run, *asked) for asked in self.asked]
        return greedy + [replace(self.condition(run, *drawn), samples=SAMPLES) for drawn in self.sampled]

    def condition(self, run: str, questions: str, mode: str | None = None, clip: str = "own") -> Condition:
        """One greedy pass over a run, by its name, with the variant's prompts and cap; in its own mode by default."""
        return Condition(questions, run, mode or self.mode, clip=clip, cap=self.cap, prompt_set=self.prompt_set)


def _check_variant(variant: Variant) -> None:
    """Complain about what can be known of a variant before anything runs."""
    named = f"variant {variant.name!r}"
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", variant.name) or variant.name in UNTRAINED:
        rule = "a name has letters, digits, dots and dashes, and `base` is the untrained model's"
        raise ValueError(f"{named}: {rule}, as are {', '.join(SHIPPED)}")
    known = [field.name for field in fields(Profile)]
    if strange := [name for name in variant.changes if name not in known]:
        raise ValueError(
            f"{named} changes {strange[0]!r}, which is no field of a profile: choose from {', '.join(known)}"
        )
    if not variant.seeds or len(set(variant.seeds)) < len(variant.seeds):
        raise ValueError(f"{named} has the seeds {variant.seeds}: give at least one, each once")
    for asked in variant.asked:
        if len(asked) != 3 or asked[1] not in MODES or asked[2] not in ("own", "wrong", "none"):
            raise ValueError(
                f"{named} is asked {asked}: give (question set, {' or '.join(MODES)}, own or wrong or none)"
            )
    for drawn in variant.sampled:
        if len(drawn) != 2 or drawn[1] not in MODES:
            raise ValueError(f"{named} is sampled {drawn}: give (question set, {' or '.join(MODES)})")
    if variant.how is not None and (variant.method != "grpo" or variant.extra_rewards):
        raise ValueError(f"{named} has a method object and names beside it: leave method and extra_rewards to `how`")
    _check_asking(named, variant.cap, variant.prompt_set)


def asked_in(*modes: str, held_out: bool = False, wrong: bool = False, words: bool = False) -> tuple:
    """The test questions in some modes; then what else is asked, always in the first of them.

    Args:
        held_out: ask the two tasks that nobody trained, too.
        wrong: show another room's clip, too.
        words: ask in VSI-100k's words and about the order of appearance, too.
    """
    more = [(HELD_OUT_SET, modes[0], "own")] if held_out else []
    more += [(BENCH_SET, modes[0], "wrong")] if wrong else []
    if words:
        more += [(WORDS_SET, modes[0], "own"), (WORDS_SET, modes[0], "wrong"), (ORDER_SET, modes[0], "own")]
    return (*((BENCH_SET, mode, "own") for mode in modes), *more)


@dataclass(frozen=True)
class Asked:
    """A question set of a recipe's own, as its `question_sets` make one.

    Attributes:
        name: of the set.
        rows: its questions.
        clips: frames (F, H, W, 3), uint8, by the `scene_name` of the rows.
    """

    name: str
    rows: list[dict]
    clips: Mapping[str, Any]


@dataclass(frozen=True)
class System:
    """The published system that a recipe is about: its row in the README's table of recipes.

    Attributes:
        title: as its authors call it.
        source: where it is published, such as `arXiv 2503.07365`.
        mechanism: what the recipe switches on, in at most 14 words.
        section: the notebook that has its section, by file name without ending.
        try_it: the shortest command that runs it.
        kl: the weight of the published KL term, in words where it has none.
        kl_here: what this kit's runs of it have.
        drawn: the claim whose first difference stands for the recipe beside others'; its first claim's if empty.
        turned: whether that difference is the control minus the recipe, and is to be drawn the other way round.
        trained: the variant of the recipe whose tokens are told beside it; empty where it trains none.
    """

    title: str
    source: str
    mechanism: str
    section: str
    try_it: str
    kl: str = "no RL"
    kl_here: str = "no RL"
    drawn: str = ""
    turned: bool = False
    trained: str = ""

    def __post_init__(self) -> None:
        if len(self.mechanism.split()) > _MECHANISM_WORDS:
            words = len(self.mechanism.split())
            raise ValueError(f"the mechanism of {self.title!r} has {words} words: give at most {_MECHANISM_WORDS}")


@dataclass(frozen=True)
class Recipe:
    """A paper's method, or questions of this kit's: what runs, what is asked, what is claimed.

    Attributes:
        name: short and stable.
        about: one sentence.
        variants: every training run, written before any of them ran.
        claims: each with its rule and its measure, written before the runs.
        base: what untrained models are asked: `base`, and shipped checkpoints by their names.
        tuned: the learning rate of each `tuned_as`, found on validation rooms.
        tuned_on: name of the question set that the tuning is judged by.
        question_sets: makers of question sets that `study.question_sets` does not know, by name; each takes no argument
            and returns something with `name`, `rows` and `clips`.
        table: the paper's figures as printed: {row: {task: per cent}}.
        phases: the paper's whole training, part after part, on any model: `vsr train --recipe NAME`.
        system: what the table of recipes says of it; None for this kit's own questions.
    """

    name: str
    about: str
    variants: tuple[Variant, ...] = ()
    claims: tuple[Claim, ...] = ()
    base: tuple[Condition, ...] = ()
    tuned: Mapping[str, float] = field(default_factory=dict)
    tuned_on: str = "val-vsi-bench"
    question_sets: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    table: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    system: System | None = None

    @property
    def sets(self) -> set[str]:
        """Names of the question sets that its runs and the base train on or are asked."""
        asked = {each[0] for variant in self.variants for each in (*variant.asked, *variant.sampled)}
        return (
            asked | {variant.questions for variant in self.variants} | {condition.questions for condition in self.base}
        )
