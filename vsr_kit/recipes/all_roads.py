"""All Roads Lead to Likelihood (arXiv 2503.01067): offline and online training where checking is easier than writing.

The paper asks why online methods (online DPO, RL with a reward model) beat offline DPO, though both fit the same
likelihood. Its answer: where an answer is easier to check than to write, going online searches among the few policies
that are best for some simple check. So the gap should vanish where writing is as easy as checking, as it does there
for summaries of two words.

Here one question has two forms. One asks which of four objects is the closest to a fifth and takes one word; the other
asks for the names of all four from the closest to the farthest, of whose pairs each is checked by itself: an order
earns the share of its six pairs that it names in order, in training and in the test. SFT on true answers of both forms
teaches to write them, one for each seed, from which all six trainings of that seed start. On validation rooms it was
looked at beforehand whether orders are written at all: after 240 steps of SFT no rollout named the four objects, and
rollouts of most questions still earned differently. So naming the right ones is part of what is hard to write. Before
this trial only whole orders were to be paid and tested, after 60 steps of SFT; it changed all three.
DPO and online DPO differ in who writes the eight rollouts of a question, the policy that SFT left or the present one;
loss, reference, questions, the way to choose a pair, and the numbers of updates and rollouts are the same, also for
GRPO. The true distances stand in for the paper's reward model, so nothing of it need be learnt from preferences: of the
paper's two parts, the easier checker and the search, only the second is there. TRL's own online DPO is experimental and
sees no video; ours is TRL's trainer of DPO on pairs that are drawn at every step. It is written from the paper, without
its code.

| setting | published | here |
|---|---|---|
| starts from | SFT | SFT on true answers, 240 steps |
| who pays | a reward model learnt from preferences | the true distances |
| hard to write | summaries | orders of four objects |
| easy to write | summaries of two words | one object of four |
| weight of the KL term | DPO's beta | DPO's beta of 0.1; GRPO 1e-4 to the base |

Left out: preference data of people, a learnt reward model, and routes, whose answers are letters here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import combinations
from typing import Any

import numpy as np

from vsr_kit.claims.measures import Compared, Evidence, all_of, comparing
from vsr_kit.claims.recipe import THREE_SEEDS, Asked, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, Claim, Finding, Measure, gain, no_gain
from vsr_kit.data import split_rooms
from vsr_kit.evaluation import Score, ScoreTable, difference, score
from vsr_kit.recipes.filmed import asked_about
from vsr_kit.recipes.ptst import GRPO_RATE
from vsr_kit.recipes.vsgrpo import TUNED
from vsr_kit.rewards import accuracy_reward
from vsr_kit.rewards.trl_functions import read_completion, rows_of_batch
from vsr_kit.rooms import Room, pairwise_distances
from vsr_kit.training.joints import Stage
from vsr_kit.training.methods import DPO, GRPO, SFT, trainer_arguments
from vsr_kit.training.phases import Given, Phase
from vsr_kit.validation import whole

PAPER = "All Roads Lead to Likelihood (arXiv 2503.01067)"
KIND = "object_rel_distance"  # of both forms: an order is a relative distance written out
FORMS = ("word", "order")
SFT_STEPS, STEPS = 240, 100
ROLLOUTS = 8
ROOMS = {"train": 400, "test": 120}
PER_ROOM = {"train": 4, "test": 3}  # questions of a room; training takes as many as 100 steps of 8 ask
ORDER = "Name these objects from the closest to the {target} to the farthest: {names}."


# -- one question in two forms -----------------------------------------------------------------------------------------


def order_of(room: Room, target: str, names: list[str]) -> list[str]:
    """The names from the closest to the target to the farthest, from centre to centre."""
    place = {box.category: i for i, box in enumerate(room.boxes)}
    metres = pairwise_distances(room.boxes, closest_points=False)[place[target]]
    return sorted(names, key=lambda name: metres[place[name]])


def as_order(row: Mapping, room: Room) -> dict:
    """A row of relative distance in VSI-100k's words as a question for the whole order, answered by names alone."""
    target, *names = row["objects"]
    asked = ORDER.format(target=target, names=", ".join(names))  # no brackets: nothing to choose from
    truth = " ".join(order_of(room, target, names))
    return {**row, "id": f"{row['id']}/order", "question": asked, "ground_truth": truth}


def is_order(row: Mapping) -> bool:
    """Whether a row asks for a whole order: its truth is the names of all its objects but the first."""
    names = row["ground_truth"].split()
    return len(names) > 1 and sorted(names) == sorted((row.get("objects") or ("",))[1:])


def pairs_in_order(text: str, row: Mapping) -> float:
    """The share of the true order's pairs that a text names in order, 0 to 1; 0 for more words than there are names."""
    said, truth = text.lower().replace(",", " ").rstrip(".").split(), row["ground_truth"].split()
    if len(said) > len(truth):  # a list of everything would have every pair
        return 0.0
    pairs = list(combinations(truth, 2))
    named = [near in said and far in said and said.index(near) < said.index(far) for near, far in pairs]
    return sum(named) / len(pairs)


def pay(text: str, row: Mapping) -> float:
    """What an answer earns: an order by its pairs, any other by `rewards.accuracy_reward`."""
    return pairs_in_order(text, row) if is_order(row) else accuracy_reward(text, row)


def answer_reward(completions, **columns) -> list[float]:
    """`pay` of each completion, as TRL takes it."""
    rows = rows_of_batch(len(completions), columns)
    return [pay(read_completion(text), row) for text, row in zip(completions, rows, strict=True)]


@cache
def _both(split: str) -> tuple[dict[str, list[dict]], Mapping[str, np.ndarray]]:
    """The rows of both forms about a split's rooms, and the rooms' clips."""
    rooms = split_rooms(ROOMS[split], split)
    made = asked_about(_set(split, "word"), rooms, types=(KIND,), max_per_type=PER_ROOM[split])
    by_name = {room.name: room for room in rooms}
    return {"word": made.rows, "order": [as_order(row, by_name[row["scene_name"]]) for row in made.rows]}, made.clips


def _set(split: str, *forms: str) -> str:
    return f"{split}-roads-{'-and-'.join(forms)}"


def questions(split: str, *forms: str) -> Asked:
    """The question set of a split in one form or in both."""
    rows, clips = _both(split)
    return Asked(_set(split, *forms), [row for form in forms for row in rows[form]], clips)


# -- the methods -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RolloutDPO(DPO):
    """DPO on the best and the worst of each question's rollouts, the start's (offline) or the present policy's.

    Attributes:
        online: whether the present policy writes.
        draws: rollouts of a question, at least two: one has no other to be better than.
    """

    pairs: str = "rollouts"
    online: bool = field(kw_only=True)
    draws: int = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.online, bool):
            raise ValueError(f"online is {self.online!r}: give True, the present policy writes, or False, the start")
        whole("draws", self.draws, 2)

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        from vsr_kit.training.own_rollouts import OwnPairsTrainer

        cap = profile.max_completion_length(self.mode)
        return OwnPairsTrainer(
            questions=rows,
            mode=self.mode,
            how={"num_samples": self.draws, "max_new_tokens": cap, "seed": config.seed},
            pay=pay,
            online=self.online,
            **trainer_arguments(profile, config, loaded, clips, features),
        )


METHODS: dict[str, tuple[Any, float]] = {
    "dpo": (RolloutDPO(online=False, draws=ROLLOUTS), TUNED["dpo-rollouts"]),
    "online": (RolloutDPO(online=True, draws=ROLLOUTS), TUNED["dpo-rollouts"]),
    "grpo": (
        GRPO(rewards=(answer_reward,), stages=(Stage(0, rewards={"accuracy_reward": 0.0}),)),
        TUNED["grpo-vanilla"],
    ),
}


def _sft(given: Given) -> tuple[SFT, dict]:
    return SFT(), {"steps": given.steps}


def _online(given: Given) -> tuple[RolloutDPO, dict]:
    return METHODS["online"][0], {"steps": given.steps, "learning_rate": GRPO_RATE * given.profile.learning_rate}


PHASES = (
    Phase("sft", "Supervised fine-tuning on true answers.", _sft, needs_chains=False),
    Phase("online-dpo", "DPO on the best and worst of the present model's rollouts.", _online, needs_chains=False),
)


def _asked(*forms: str) -> tuple:
    return tuple((_set("test", form), "vanilla", "own") for form in forms)


def _variant(form: str, method: str) -> Variant:
    how, rate = METHODS[method]
    return Variant(
        f"roads-{form}-{method}",
        "all-roads",
        questions=_set("train", form),
        how=how,
        changes={"steps": STEPS, "num_generations": ROLLOUTS},
        asked=_asked(form),
        seeds=THREE_SEEDS,
        learning_rate=rate,
        starts_from="roads-start",
    )


VARIANTS = (
    Variant(
        "roads-start",
        "all-roads",
        tuned_as="sft",
        method="sft",
        questions=_set("train", *FORMS),
        changes={"steps": SFT_STEPS},
        asked=_asked(*FORMS),
        seeds=THREE_SEEDS,
        learning_rate=TUNED["sft"],
    ),
    *(_variant(form, method) for form in FORMS for method in METHODS),
)
_TESTED = {"word": "right words, one of four objects", "order": "pairs of four objects that are named in order"}


def paid_minus(name: str, after: str, before: str, test: str) -> Measure:
    """The difference between two variants of what `pay` gives their greedy answers, paired by question, in points."""

    def side(evidence: Evidence, of: str) -> list[ScoreTable]:
        if not (runs := evidence.runs(of)):
            raise FileNotFoundError(f"the study holds no runs of {of}; vsr reproduce makes them")
        return [_paid(evidence.texts("vanilla", test, run)) for run in runs]

    def measure(evidence: Evidence) -> dict[str, Finding]:
        return {name: difference(side(evidence, after), side(evidence, before), task=KIND)}

    return comparing(measure, Compared(task=KIND))


def _paid(rows: list[dict]) -> ScoreTable:
    """A table of what answers earn in place of whether they are read as right."""
    earned = [Score(pay(row["prediction"], row), True, None) for row in rows]
    return replace(score(rows, "lenient"), scores=tuple(earned))


def _gap(form: str) -> Measure:
    """Online DPO and GRPO minus DPO on one form, and what each added to SFT."""
    test = _set("test", form)
    after = {method: f"roads-{form}-{method}" for method in METHODS}
    gaps = [paid_minus(f"{m}_minus_dpo", after[m], after["dpo"], test) for m in ("online", "grpo")]
    return all_of(*gaps, *(paid_minus(f"{m}_minus_sft", of, "roads-start", test) for m, of in after.items()))


def _measured(form: str) -> str:
    return (
        f"Online DPO minus DPO: share of {_TESTED[form]}, 120 held-out rooms, three questions a room at most, greedy, "
        "vanilla prompts; three seeds, the same updates, questions and rollouts. GRPO minus DPO, and all three minus "
        "SFT, are told beside it."
    )


def _needs(form: str) -> tuple[str, ...]:
    return (*(f"roads-{form}-{method}" for method in METHODS), "roads-start")


CLAIMS = (
    Claim(
        name="online-beats-offline-on-orders",
        says="Where answers are harder to write than to check, online DPO beats DPO on rollouts from before training.",
        source=f"{PAPER}, on the gap between generation and verification",
        measured=_measured("order"),
        rule=GAIN_BY_STUDENT,
        decide=gain("online_minus_dpo", by="student"),
        measure=_gap("order"),
        caveat=(
            "100 updates move a policy less far than the paper's, so rollouts from before training stay closer to it. "
            "Both have DPO's rate as tuned for other pairs. Naming the four objects at all is part of what is learnt."
        ),
        needs=_needs("order"),
    ),
    Claim(
        name="no-online-gap-on-one-word",
        says="Where an answer is one word, as easy to write as to check, going online adds nothing.",
        source=f"{PAPER}, on summaries of two words",
        measured=_measured("word"),
        rule="By Student's interval: reproduced unless the whole interval is above zero.",
        decide=no_gain("online_minus_dpo", by="student"),
        measure=_gap("word"),
        caveat=(
            "The rule passes more easily with fewer seeds: what is excluded is a gain above the interval's upper end. "
            "It says something beside the claim on orders alone."
        ),
        needs=_needs("word"),
    ),
)

RECIPE = Recipe(
    "all-roads",
    "DPO, online DPO and GRPO on one-word answers and on orders, which are harder to write than to check",
    VARIANTS,
    CLAIMS,
    tuple(Condition(_set("test", form)) for form in FORMS),
    question_sets={
        _set(split, *forms): partial(questions, split, *forms)
        for split, *forms in (("train", *FORMS), *((split, form) for split in ROOMS for form in FORMS))
    },
    phases=PHASES,
    system=System(
        title="All Roads Lead to Likelihood",
        source="arXiv 2503.01067",
        mechanism="DPO, online DPO and GRPO on one-word answers and on whole orders",
        section="15_recipes_for_rl",
        try_it="vsr train --recipe all-roads --steps 5",
        kl="DPO's",
        kl_here="DPO 0.1, GRPO 1e-4",
        trained="roads-order-online",
    ),
)
