"""Nemotron-CrossThink (arXiv 2504.13941): one set of questions in two forms, blended, paid only if right and in form.

The paper takes RL beyond mathematics. It asks questions of many sources in two templates, multiple choice and
open-ended, drops those whose answers no rule can check, pays accuracy and format together or nothing, and sweeps
blends. Of the templates it finds that open questions teach more, 1.21 points on average, since a choice can be guessed.
Its code was not released; this is written from the paper, on VSI-100k's questions, whose sources are one.

| | paper | here |
|---|---|---|
| templates | multiple choice, open-ended | `data.forms.as_choice`, `as_open` |
| dropped | truth not among the options, or over ten words | `drop_unchecked`: these, and what the reader cannot read |
| reward | accuracy AND format | `rewards.in_form`: accuracy times format |
| KL weight | 1e-3 | 1e-3 |
| rate, questions a step | 1e-6 constant, 128 | 1e-3 falling, 8: LoRA, as tuned for GRPO with vanilla prompts |
| blends | by source and template | choices for 0, 50 and 100 % of the questions |

A choice among numbers is answered by the number, so both forms are scored by the benchmark's metric. Its prompt has 20
tokens more, 2 % of what a question costs with its clip and eight answers: choices have 157 steps where open questions
have 160. Runs answer with vanilla prompts, where the format is an answer and nothing beside it.
`vsr train --recipe crossthink` blends nothing: its questions stay in the form that they come in.
Left out: blends of sources and of difficulty, and the paper's 7B and 32B models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from vsr_kit.claims.measures import all_of, minus
from vsr_kit.claims.recipe import BENCH_SET, WATCHED, WORDS_SET, Asked, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, gain
from vsr_kit.data import split_rooms
from vsr_kit.data.forms import blend, drop_unchecked, unchecked
from vsr_kit.questions import TRAINED_TYPES
from vsr_kit.recipes.filmed import asked_about
from vsr_kit.recipes.vsgrpo import tuned_variant
from vsr_kit.rewards.in_form import product_reward
from vsr_kit.training.joints import Stage
from vsr_kit.training.methods import GRPO
from vsr_kit.training.phases import Given, Phase

PAPER = "Nemotron-CrossThink (arXiv 2504.13941)"
BETA = 1e-3  # the paper's
CHOICE_SET, OPEN_TRAIN = "test-choices", "train-vsi-100k"
ROOMS = {"train": 400, "test": 120}  # the study's
SHARES = {"train-choices": 1.0, "train-half-choices": 0.5}  # of choices among the study's training questions
STEPS = {"open": 160, "half": 158, "choice": 157}  # at equal tokens
_PRODUCT = GRPO(rewards=(product_reward("vanilla"),), stages=(Stage(0, rewards={"accuracy_reward": 0.0}),))


def blended(name: str, split: str, share: float, rooms: int | None = None) -> Asked:
    """The study's questions of a split in VSI-100k's words, a share of them as choices, without what cannot be checked.

    rooms: so many of them; by default as many as the study has.
    """
    made = asked_about(name, split_rooms(rooms or ROOMS[split], split), types=TRAINED_TYPES, max_per_type=2)
    return replace(made, rows=drop_unchecked(blend(made.rows, share))[0])


def _arm(form: str, questions: str) -> Variant:
    sets = ((BENCH_SET, "own"), (WORDS_SET, "own"), (CHOICE_SET, "own"), (WORDS_SET, "none"), (CHOICE_SET, "none"))
    more: dict[str, Any] = {
        "questions": questions,
        "changes": {"steps": STEPS[form], "beta": BETA},
        "asked": tuple((name, "vanilla", clip) for name, clip in sets),
        "how": _PRODUCT,
    }
    return tuned_variant(f"crossthink-{form}", "crossthink", **more)


VARIANTS: tuple[Variant, ...] = (
    _arm("open", OPEN_TRAIN),
    _arm("half", "train-half-choices"),
    _arm("choice", "train-choices"),
)
BASE: tuple[Condition, ...] = (
    *(Condition(name) for name in (BENCH_SET, WORDS_SET, CHOICE_SET)),
    *(Condition(name, clip="none") for name in (WORDS_SET, CHOICE_SET)),
)
_MEASURED = (
    "Mean of the six trained tasks on held-out procedural rooms in VSI-Bench's phrasing, which none was trained on: "
    "open numbers, and letters for the rest. Vanilla prompt, greedy, lenient parser, paired by question; three seeds "
    "each, equal tokens, one reward for all."
)


def _on(questions: str, after: str, before: str):
    """A finding beside the rule: the difference on another set."""
    form = "open" if questions == WORDS_SET else "choices"
    return minus(
        f"{after}_minus_{before}_asked_{form}", f"crossthink-{after}", f"crossthink-{before}", "trained", questions
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="open-questions-teach-more",
        says="Trained on open questions a model gains more than on the same questions as multiple choice: 1.21 points.",
        source=f"{PAPER}, ablation of templates",
        measured=(
            f"{_MEASURED} GRPO on open questions minus GRPO on choices. What either gives up where the other form is "
            "asked stands beside it and is no part of the rule."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("open_minus_choice", by="student"),
        measure=all_of(
            minus("open_minus_choice", "crossthink-open", "crossthink-choice"),
            _on(WORDS_SET, "open", "choice"),
            _on(CHOICE_SET, "open", "choice"),
        ),
        caveat=(
            "VSI-Bench's numbers are open and its relations are letters, so each side is at home in a part of it. "
            "Offered numbers are at least a factor of two apart, which makes a choice easier than an open answer; for "
            "counts most of them are absurd. The base was never offered numbers: at first it says others, which earn "
            "nothing. The paper's models answer after a chain of thought, these at once."
        ),
        needs=("crossthink-open", "crossthink-choice"),
        only="which form teaches more, not by how much",
    ),
    Claim(
        name="blended-forms-beat-either",
        says="Training on a blend of both forms gains more than on either alone.",
        source=f"{PAPER}, where blends of formats are recommended; the even blend against both ends is this kit's",
        measured=f"{_MEASURED} GRPO on half choices and half open questions minus each of the two.",
        rule=(
            "Reproduced if both differences have Student's interval above zero, not reproduced if one of them is at or "
            "below, else undecided."
        ),
        decide=gain("half_minus_open", "half_minus_choice", by="student"),
        measure=all_of(
            minus("half_minus_open", "crossthink-half", "crossthink-open"),
            minus("half_minus_choice", "crossthink-half", "crossthink-choice"),
            *(_on(name, "half", other) for name in (WORDS_SET, CHOICE_SET) for other in ("open", "choice")),
        ),
        caveat="Three points of a sweep, 0, 50 and 100 % choices; a smaller share of either form is not tried.",
        needs=("crossthink-half", "crossthink-open", "crossthink-choice"),
    ),
)


def checkable(row: Mapping) -> bool:
    """Whether a rule can check an answer to the row."""
    return unchecked(row) is None


def _grpo(given: Given) -> tuple[GRPO, dict]:
    unpaid = {"accuracy_reward": 0.0, "format_reward": 0.0}
    how = GRPO(
        "think",
        detectors=WATCHED,
        rewards=(product_reward("think", given.profile.numeric),),
        stages=(Stage(0, questions=checkable, rewards=unpaid),),
    )
    return how, {"steps": given.steps, "beta": BETA}


PHASES = (
    Phase(
        "grpo",
        "GRPO on questions that can be checked, each in the form it came in, paid by accuracy times format.",
        _grpo,
        needs_chains=False,
    ),
)
RECIPE = Recipe(
    "crossthink",
    "The same questions open and as choices, blended, paid only if right and in form",
    VARIANTS,
    CLAIMS,
    BASE,
    question_sets={
        CHOICE_SET: partial(blended, CHOICE_SET, "test", 1.0),
        **{name: partial(blended, name, "train", share) for name, share in SHARES.items()},
    },
    phases=PHASES,
    system=System(
        "Nemotron-CrossThink",
        "arXiv 2504.13941",
        "questions open and as choices, blended; unchecked ones dropped; accuracy times format paid",
        "16_recipes_around_it",
        "vsr train --recipe crossthink",
        kl="1e-3",
        kl_here="1e-3",
        trained="crossthink-open",
    ),
)
