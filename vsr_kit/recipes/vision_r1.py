"""Vision-R1 (arXiv 2503.06749): a cold start with chains that compute, then GRPO that first holds thinking short.

The paper's story has two parts. Chains written by a reasoner that never saw the picture teach a model to think; but the
model then thinks too long and is wrong where it does ("overthinking"). So GRPO begins with a small cap on the length of
a completion and many of them, and relaxes the cap later with fewer (PTST, progressive thinking suppression training),
paying 1 only for a right answer in the right format (HFRRF). No script of that training was ever published; this is
ours. Caps, stage lengths and numbers are the paper's, scaled to the miniature's chains. The paper's first cap is 1.15
times the mean length after its cold start (4,096 tokens to 3,566), and so is ours: 136 tokens to 114.5. Tasks differ:
sizes take 30 tokens, relative distances 260, so the first cap cuts off a third of completions, and by task.

All questions are in VSI-100k's words, whose distances go from centre to centre as the chains' do, asked with the
training prompt, which is the only one that Vision-R1 has. Claims, rules and measures were written before the runs.
Left out: mathematics rows (`vsr train --recipe vision-r1` reads them), and the paper's 7B figures, which are in TABLE.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from vsr_kit.bridging import Style, describe, reason
from vsr_kit.bridging.description import imagined
from vsr_kit.claims.chain_measures import share_slope, shorter_minus_longer
from vsr_kit.claims.measures import minus, prompts_minus, runs_that
from vsr_kit.claims.recipe import BENCH_SET, WATCHED, WORDS_SET, Condition, Recipe, System, Variant
from vsr_kit.claims.rules import GAIN_BY_STUDENT, MOST_RUNS, Claim, gain, most_runs, no_loss, not_testable
from vsr_kit.data import split_rooms
from vsr_kit.prompts import MODES, target_completion
from vsr_kit.recipes.filmed import asked_about
from vsr_kit.recipes.ptst import BETA, LONGEST, NOT_PAID, PHASES, STAGE_STEPS, ptst_stages, stages
from vsr_kit.rewards.hard import hard_reward, right_answer
from vsr_kit.rooms import Room
from vsr_kit.training.joints import Stage
from vsr_kit.training.methods import GRPO, SFT

PAPER = "Vision-R1 (arXiv 2503.06749)"
COLD = "mini-cold-start"
STEPS = 2 * STAGE_STEPS
QUESTIONS = 4  # a step
PLACES_SET, MULTI_STEP_SET = "test-places", "test-multi-step"
PLACES_TYPES = ("object_abs_distance", "object_rel_distance", "object_rel_direction_easy")  # what chains compute
# The rate of the arms that begin with the cold start: the best of the grid on validation rooms, by
# `vsr reproduce --only tuning`, seed 0, before any other run; Zero's is that of vsGRPO's think prompts, on its base.
TUNED: dict[str, float] = {"vr1-full": 6.25e-5}
ZERO_RATE = CHAINS_RATE = 1e-3
MAIN_SEEDS, OTHER_SEEDS = (1, 2, 3, 4, 5), (1, 2, 3)
ASKED: dict[str, Any] = {"cap": LONGEST, "prompt_set": "train"}


def arm(
    name: str, *schedule: Stage, hard: bool = True, rate: float | None = None, model: str = COLD, **more
) -> Variant:
    """An arm of the study: GRPO with think prompts, its schedule, and the one reward, or the usual two."""
    rewards = (hard_reward("think"),) if hard else ()
    how = GRPO("think", detectors=(*WATCHED, "thinking_words"), rewards=rewards, stages=schedule)
    first = schedule[0]
    changes = {
        "model": model,
        "beta": BETA,
        "steps": more.pop("steps", STEPS),
        "questions_per_step": QUESTIONS,
        "groups_per_pass": QUESTIONS,
        "num_generations": first.num_generations,
        "max_chain_tokens": first.max_completion_length,
    }
    own: dict[str, Any] = {"asked": ((WORDS_SET, "think", "own"),), "seeds": OTHER_SEEDS} | ASKED | more
    rate = TUNED["vr1-full"] if rate is None else rate
    return Variant(name, "vision-r1", "vr1-full", mode="think", changes=changes, how=how, learning_rate=rate, **own)


@dataclass(frozen=True)
class RoomChains:
    """Chains for SFT about the training rooms: f(row) -> completion.

    Attributes:
        share: of chains that speak of the room shown; the others speak of one that is not there and end in the truth.
        steps: whether a chain computes, or states places and leaves the rest to one glance.
    """

    share: float
    steps: bool = True

    def __call__(self, row: Mapping) -> str | None:
        """The completion; None where the rule reasoner misses the truth, as the paper drops such chains."""
        room = _training_rooms()[row["scene_name"]]
        rng = np.random.default_rng([17, zlib.crc32(str(row["id"]).encode())])
        shown = bool(rng.random() < self.share)
        described = describe(room if shown else imagined(room, rng))
        found = reason(row, described, Style(self.steps, checks=0.1, detours=0.1, restarts=0.1), rng)
        if found is None or (shown and not right_answer(found.answer, row)):
            return None
        return target_completion("think", "train", found.chain, found.answer if shown else row["ground_truth"])


@cache
def _training_rooms() -> dict[str, Room]:
    return {room.name: room for room in split_rooms(400, "train")}


def _knob(name: str, chains: RoomChains) -> Variant:
    """A short second cold start, from the shipped one, on chains of which a share is grounded."""
    changes = {"model": COLD, "steps": 100, "max_chain_tokens": LONGEST}
    asked = tuple((questions, mode, "own") for questions in (PLACES_SET,) for mode in ("think", "vanilla"))
    how = SFT("think", targets=chains)
    more: dict[str, Any] = {"asked": asked, "seeds": OTHER_SEEDS, "learning_rate": CHAINS_RATE} | ASKED
    return Variant(name, "vision-r1", "vr1-full", mode="think", changes=changes, how=how, **more)


SHARES = (0, 25, 50, 75, 100)
_FULL_ASKED = tuple((WORDS_SET, "think", clip) for clip in ("own", "wrong")) + ((MULTI_STEP_SET, "think", "own"),)
VARIANTS: tuple[Variant, ...] = (
    arm("vr1-full", *stages(16, 8), seeds=MAIN_SEEDS, asked=_FULL_ASKED),
    arm("vr1-long", *stages(4), seeds=MAIN_SEEDS),
    arm("vr1-zero", *stages(4), seeds=MAIN_SEEDS, model="mini", rate=ZERO_RATE),
    arm("vr1-short", *stages(16)),
    arm("vr1-stage-one", *stages(16), steps=STAGE_STEPS),
    arm("vr1-three-stages", *stages(16, 8, 4), steps=3 * STAGE_STEPS),
    arm("vr1-long-many", *ptst_stages(16 * LONGEST, (16,), STEPS, NOT_PAID)),
    arm("vr1-zero-ptst", *stages(16, 8), model="mini", rate=ZERO_RATE),
    arm("vr1-sft-ptst", *stages(16, 8), model="mini", rate=ZERO_RATE, starts_from="sft"),
    arm("vr1-sum", *stages(16, 8, hard=False), hard=False),
    *(_knob(f"chains-{share}", RoomChains(share / 100)) for share in SHARES),
    _knob("chains-places-only", RoomChains(1.0, steps=False)),
)

BASE: tuple[Condition, ...] = (
    *(Condition(WORDS_SET, m, mode, **ASKED) for m in ("base", COLD) for mode in ("vanilla", "think")),
    *(Condition(PLACES_SET, m, mode, **ASKED) for m in ("base", COLD) for mode in ("vanilla", "think")),
    *(Condition(MULTI_STEP_SET, m, mode, **ASKED) for m in ("base", COLD) for mode in ("vanilla", "think")),
    *(Condition(WORDS_SET, COLD, "think", clip=clip, **ASKED) for clip in ("wrong", "none")),
    *(Condition(BENCH_SET, COLD, mode, cap=LONGEST) for mode in MODES),  # notebook 02's three prompts again
)


def _more_words(rows) -> bool:
    """Whether the last steps of the second stage have more thinking words a completion than those of the first."""
    said = {row["step"]: row["rewards/thinking_words/mean"] for row in rows if "rewards/thinking_words/mean" in row}
    first, second = (
        np.mean([said[step] for step in range(end - LAST_STEPS + 1, end + 1)]) for end in (STAGE_STEPS, STEPS)
    )
    return bool(second > first)


LAST_STEPS = 20
_MEASURED = (
    "Mean of the six trained tasks on held-out procedural rooms, VSI-100k's words, the training prompt for thinking, "
    f"greedy, a cap of {LONGEST} tokens, read by the lenient parser; paired by question. Same questions, steps and "
    "tokens of completions that a question may have."
)


def _beats(name: str, says: str, source: str, other: str, caveat: str, **more) -> Claim:
    """The claim that the full recipe is better than another arm."""
    finding = f"full_minus_{other.removeprefix('vr1-').replace('-', '_')}"
    return Claim(
        name=name,
        says=says,
        source=f"{PAPER}, {source}",
        measured=f"{_MEASURED} vr1-full minus {other}.",
        rule=GAIN_BY_STUDENT,
        decide=gain(finding, by="student"),
        measure=minus(finding, "vr1-full", other),
        needs=("vr1-full", other),
        caveat=caveat,
        **more,
    )


CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="cold-start-makes-chains-pay",
        says="After a cold start with grounded chains, thinking answers better than one glance.",
        source=f"{PAPER}, where the paper builds on it; the comparison on one model is this kit's",
        measured=(
            "The cold start alone, asked about distance, relative distance and direction on held-out procedural rooms "
            "with the training prompts for thinking and for a short answer; think minus vanilla, mean of the three "
            "tasks, paired by question, 95 % bootstrap interval over rooms (one network, so seeds do not vary)."
        ),
        rule="Reproduced if the interval is above zero, not reproduced if at or below, else undecided.",
        decide=gain("think"),
        measure=prompts_minus("vanilla", "think", task="overall", questions=PLACES_SET, model=COLD, **ASKED),
        untrained=(COLD,),
        caveat=(
            "What chains hold is built in: places of the room shown, right arithmetic, and answers that follow. "
            "Whether so small a network says them well enough to gain is not. Glances were taught beside the chains."
        ),
    ),
    Claim(
        name="overthinking-after-cold-start",
        says="After the cold start long outputs are wrong more often: 41, 28 and 7 % right by length.",
        source=f"{PAPER}, on overthinking",
        measured=(
            "The cold start's thinking answers on the six trained tasks: the shorter half of each question type minus "
            "the longer half, by characters, mean over tasks, 95 % bootstrap interval over rooms."
        ),
        rule="Reproduced if the interval is above zero, not reproduced if at or below, else undecided.",
        decide=gain("shorter_minus_longer"),
        measure=shorter_minus_longer("shorter_minus_longer", COLD, WORDS_SET, ASKED),
        untrained=(COLD,),
        caveat=(
            "Within a type, since types differ in length and difficulty by themselves. Repeated checks, detours and "
            "restarts were taught without regard to question or truth; longer names make longer chains, too."
        ),
    ),
    _beats(
        "ptst-beats-fixed-long-cap",
        "Progressive thinking suppression beats training at the large cap throughout: 55.4 against 47.7.",
        "table of variants",
        "vr1-long",
        "The large cap has fewer completions of a question, as the paper's has, so groups are smaller, too.",
    ),
    _beats(
        "ptst-beats-fixed-short-cap",
        "Relaxing the cap in a second stage beats staying at the small one: 55.4 against 54.3.",
        "table of caps",
        "vr1-short",
        "In the paper 1.1 points lie between them, less than three seeds here can tell.",
    ),
    Claim(
        name="relaxing-the-cap-keeps-the-gain",
        says="Relaxing the cap later does not undo what the first stage gained.",
        source=f"{PAPER}, on progressive thinking suppression training",
        measured=f"{_MEASURED} vr1-full minus vr1-stage-one, which ends where the second stage begins.",
        rule="By Student's interval: reproduced unless the whole interval is below zero.",
        decide=no_loss("full_minus_stage_one", by="student"),
        measure=minus("full_minus_stage_one", "vr1-full", "vr1-stage-one"),
        needs=("vr1-full", "vr1-stage-one"),
        caveat=(
            "The rule passes more easily with fewer seeds: what is excluded is a loss beyond the interval's lower end. "
            "The learning rate of stage one alone falls to zero in half the steps."
        ),
    ),
    _beats(
        "cold-start-is-needed",
        "Without the cold start the same training does not reach as far.",
        "Zero against the full recipe: 50.7 and 55.4",
        "vr1-zero-ptst",
        "Zero's base was never shown a chain that computes, and 480 questions are few to find one.",
    ),
    Claim(
        name="sft-without-chains-hurts",
        says="A cold start on answers alone, without chains, leaves the same training behind no cold start at all.",
        source="VLAA (arXiv 2504.11468) of SFT before GRPO; Vision-R1 holds that chains are what matters",
        measured=(
            f"{_MEASURED} vr1-zero-ptst minus vr1-sft-ptst, which goes on from the adapters of the shipped variant sft."
        ),
        rule=GAIN_BY_STUDENT,
        decide=gain("zero_minus_sft", by="student"),
        measure=minus("zero_minus_sft", "vr1-zero-ptst", "vr1-sft-ptst"),
        needs=("vr1-zero-ptst", "vr1-sft-ptst"),
        caveat="SFT on answers mends the base's calibration, which is broken on purpose; that is in its favour here.",
    ),
    _beats(
        "hard-reward-beats-sum",
        "Paying only a right answer in the right format beats the sum of accuracy and format.",
        "on the hard formatting result reward function",
        "vr1-sum",
        "The sum pays numbers by degrees, the hard reward within a quarter of the truth: the two differ in both.",
    ),
    Claim(
        name="grounding-decides",
        says="How much thinking helps grows with the share of chains that speak of what is shown.",
        source="asked by this kit: the knob between vsGRPO's finding and Vision-R1's",
        measured=(
            "Short second cold starts on chains of which 0, 25, 50, 75 and 100 % are grounded, three seeds each: think "
            "minus vanilla on distance, relative distance and direction; the slope of a straight line through the "
            "five, one for each seed, in points from 0 to 100 %, Student's interval over seeds."
        ),
        rule="Reproduced if the interval is above zero, not reproduced if at or below, else undecided.",
        decide=gain("slope", by="student"),
        measure=share_slope("slope", {share: f"chains-{share}" for share in SHARES}, PLACES_SET),
        needs=tuple(f"chains-{share}" for share in SHARES),
        caveat=(
            "All begin with the shipped cold start, whose chains are grounded: the knob shows what it takes to spoil "
            "thinking, not to teach it."
        ),
    ),
    Claim(
        name="thinking-words-return",
        says="When the cap is relaxed, words of second thoughts come back.",
        source=f"{PAPER}, on thinking words by variant",
        measured=(
            "vr1-full, five seeds: words such as wait, again and start, counted in each completion's thought; the mean "
            f"over the last {LAST_STEPS} steps of the second stage against that of the first."
        ),
        rule=MOST_RUNS,
        decide=most_runs("runs_with_more"),
        measure=runs_that("runs_with_more", _more_words, "vr1-full"),
        needs=("vr1-full",),
        caveat="The words themselves were taught in the cold start, on a stated share of steps.",
    ),
    Claim(
        name="seven-billion-on-mathematics",
        says="Vision-R1-7B reaches 73.5 on MathVista, 52.4 on MathVerse and 40.2 on MM-Math.",
        source=f"{PAPER}, main table",
        measured="The three benchmarks, Qwen2.5-VL-7B, 200 thousand chains and 10 thousand questions.",
        rule="None here.",
        decide=not_testable,
        caveat="The miniature knows rooms and nothing else.",
        scale="Qwen2.5-VL-7B, several GPUs, and the three benchmarks' pictures",
    ),
)

# As printed. Rows of variants and of caps: mean length in tokens, mean accuracy in per cent over the three benchmarks.
PAPER_VARIANTS = {
    "Zero": (1285, 50.7),
    "CI": (3566, 44.5),
    "Long (16K x 4)": (3107, 47.7),
    "Vision-R1": (2057, 55.4),
}
PAPER_CAPS = {"4K x 16, 8K x 8": 55.4, "4K x 16, 4K x 16": 54.3, "16K x 4": 47.7, "16K x 16": 47.9}
PAPER_LENGTHS = {"0 to 4K": 41, "4K to 8K": 28, "above 8K": 7}  # tokens after the cold start to per cent right


def places_set():
    """Questions about distance, relative distance and direction in the test rooms, four of a type and room at most."""
    return asked_about(PLACES_SET, split_rooms(120, "test"), types=PLACES_TYPES, max_per_type=4)


RECIPE = Recipe(
    "vision-r1",
    "A cold start with chains that compute, then GRPO that first holds thinking short",
    VARIANTS,
    CLAIMS,
    BASE,
    TUNED,
    tuned_on="val-vsi-100k",
    question_sets={PLACES_SET: places_set},
    phases=PHASES,
    system=System(
        title="Vision-R1",
        source="arXiv 2503.06749",
        mechanism="a cold start on chains that compute, then a cap that grows",
        section="12_cold_start_and_ptst",
        try_it="vsr train --recipe vision-r1",
        kl="0.01",
        kl_here=f"{BETA:g}",
        drawn="ptst-beats-fixed-long-cap",
        trained="vr1-full",
    ),
)
