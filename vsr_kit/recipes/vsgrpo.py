"""vsGRPO (arXiv 2504.00883): its training runs, its claims with rule and measure; its table is in vsgrpo_table.py.

The claims, their rules and measures were written before the runs; nothing in the recipe, the data or the settings was
chosen by how a claim comes out. Unless a claim says otherwise, its questions are about held-out procedural rooms in
VSI-Bench's phrasing, answered greedily and read by the lenient parser; a difference is that of the mean of the six
trained tasks, paired by question, with a 95 % bootstrap interval over seeds and rooms. (Student's interval, which the
ledger shows as well, was added after the runs, and no rule uses it.) All runs use the miniature's profile with the
learning rate of `TUNED`, found on validation rooms with a seed of its own; a run is judged by its last step.
Left out: this kit's own questions, which are in kit_questions.py.
"""

from __future__ import annotations

from functools import partial

from vsr_kit.claims.measures import all_of, collapses, habit, minus, prompts_minus, rises_before, runs_that, starts_at
from vsr_kit.claims.recipe import (
    BENCH_SET,
    HELD_OUT_SET,
    ORDER_SET,
    SAMPLES,
    SEEDS,
    WORDS_SET,
    Condition,
    Recipe,
    System,
    Variant,
    asked_in,
)
from vsr_kit.claims.rules import GAIN, MOST_RUNS, Claim, built_in_if_all, gain, most_runs, no_gain, not_testable
from vsr_kit.prompts import MODES
from vsr_kit.recipes.vsgrpo_table import PAPER_2B

PAPER = "vsGRPO (arXiv 2504.00883)"
LAST_STEPS, HABIT_SHARE = 20, 0.5  # a run has a habit if this share of its last steps' rollouts shows it
# A run collapses if a reward's mean over the window falls below this share of its best and is still there at the end.
COLLAPSE_WINDOW, COLLAPSE_FALL = 20, 0.5
fallen = partial(collapses, rewards=("format_reward", "accuracy_reward"), window=COLLAPSE_WINDOW, fall=COLLAPSE_FALL)
FORMAT_AT_ONCE = 0.95  # format reward over the first steps that leaves nothing to learn
TAGGED = ("grpo-think", "grpo-observe")
# TRL measures no KL at beta 0. This weight adds less to a loss than fp32 can hold, and lets the curve be drawn.
NO_BETA = 1e-12
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
BUDGETS = {"sft-seconds": 504, "sft-tokens": 1929, "dpo-seconds": 400, "dpo-tokens": 964}


def tuned_variant(name: str, group: str, tuned_as: str = "grpo-vanilla", method: str = "grpo", **more) -> Variant:
    """A variant of the study with the learning rate that was tuned for its method; `more` as `Variant` takes it."""
    return Variant(name, group, tuned_as, method, learning_rate=TUNED[tuned_as], **more)


def with_chains(mode: str) -> dict:
    """How a variant with think or observe prompts is tuned and prompted."""
    return {"mode": mode, "tuned_as": f"grpo-{mode}"}


def with_beta(beta: float, **changes) -> dict:
    """How a variant with think prompts and its own weight of the KL term is trained and asked."""
    return {"changes": {"beta": beta} | changes, **with_chains("think"), "asked": asked_in("think")}


def _budget(name: str, steps: int) -> dict:
    method = "sft" if name.startswith("sft") else "dpo-corrupted"
    return {"tuned_as": method, "method": method, "changes": {"steps": steps}}


def _habit(detector: str):
    return habit(detector, at_least=HABIT_SHARE, last_steps=LAST_STEPS)


_FULL = {"held_out": True, "wrong": True}
VARIANTS: tuple[Variant, ...] = (
    tuned_variant("grpo-vanilla", "headline", asked=asked_in("vanilla", words=True, **_FULL), seeds=SEEDS),
    tuned_variant("sft", "headline", "sft", "sft", asked=asked_in("vanilla", **_FULL), seeds=SEEDS),
    tuned_variant("dpo-corrupted", "headline", "dpo-corrupted", "dpo-corrupted", seeds=SEEDS),
    tuned_variant("dpo-rollouts", "pairs", "dpo-rollouts", "dpo-rollouts"),
    # Part of no rule, added when the grid's best rate had broken most runs of dpo-corrupted: the grid's second best.
    tuned_variant("dpo-lower-rate", "pairs", "dpo-corrupted", "dpo-corrupted", changes={"learning_rate": 2.5e-4}),
    tuned_variant("grpo-think", "modes", **with_chains("think"), asked=asked_in("think", "vanilla", **_FULL)),
    tuned_variant("grpo-observe", "modes", **with_chains("observe"), asked=asked_in("observe", "vanilla", **_FULL)),
    *(tuned_variant(name, "costs", **_budget(name, steps)) for name, steps in BUDGETS.items()),
    tuned_variant("kl-0", "kl", **with_beta(NO_BETA)),
    tuned_variant("kl-1e-3", "kl", **with_beta(1e-3)),
    tuned_variant("kl-1e-2", "kl", **with_beta(1e-2)),
    tuned_variant("kl-1e-1", "kl", **with_beta(1e-1)),
    tuned_variant("length", "hacking", **with_chains("think"), extra_rewards=("length",), asked=asked_in("think")),
)
BASE: tuple[Condition, ...] = (
    *(Condition(questions, mode=mode) for questions in (BENCH_SET, HELD_OUT_SET) for mode in MODES),
    *(Condition(questions, clip="wrong") for questions in (BENCH_SET, WORDS_SET)),
    *(Condition(questions, clip="none") for questions in (BENCH_SET, HELD_OUT_SET, ORDER_SET)),
    *(Condition(questions) for questions in (ORDER_SET, WORDS_SET)),
    *(Condition(BENCH_SET, mode=mode, samples=SAMPLES) for mode in MODES),
)

VSGRPO: tuple[Claim, ...] = (
    Claim(
        name="cot-prompts-do-not-help",
        says="Prompting for a chain of thought does not improve small Qwen2-VL models on visual-spatial questions.",
        source=f"{PAPER}, Table 1",
        measured=(
            "Mean of the six trained tasks on held-out procedural rooms, VSI-Bench's phrasing, the paper's evaluation "
            "prompts, greedy, one token cap for all modes, read by the lenient parser; think minus vanilla and observe "
            "minus vanilla, paired by question, 95 % bootstrap interval over rooms."
        ),
        rule=(
            "Reproduced if neither prompt is better than vanilla beyond its interval; not reproduced if one of them is."
        ),
        decide=no_gain("think", "observe"),
        measure=prompts_minus("vanilla", "think", "observe"),
        caveat=(
            "The miniature's chains are as grounded as its recipe made them (the stated share of chains speaks of "
            "another room), so whichever way this comes out is partly built in; it says nothing about 2B models. The "
            "rule passes more easily with fewer rooms: what is excluded is a gain above the interval's upper end."
        ),
    ),
    Claim(
        name="grpo-lifts",
        says="GRPO with vanilla prompts lifts Qwen2-VL-2B by 12.1 points on VSI-Bench.",
        source=f"{PAPER}, Table 2",
        measured=(
            "Mean of the six trained tasks on held-out procedural rooms, VSI-Bench's phrasing, vanilla prompt, greedy, "
            "lenient parser; GRPO-trained minus base, both with nf4 weights, paired by question, 95 % bootstrap "
            "interval over five training seeds and rooms. Training: VSI-100k phrasing, the paper's objective."
        ),
        rule="Reproduced if the gain's interval is above zero, not reproduced if it is at or below, else undecided.",
        decide=gain("grpo_minus_base"),
        measure=minus("grpo_minus_base", "grpo-vanilla", "base"),
        elsewhere=True,
        needs=("grpo-vanilla",),
        caveat=(
            "The room to gain is built in: the base was tuned on labels of which a stated share is random. The size of "
            "the gain is therefore a property of the recipe; the paper's 12.1 is shown beside it, never as a target."
        ),
        only="whether it gains at all, not by how much",
    ),
    Claim(
        name="grpo-beats-sft",
        says="On the same rows GRPO gains more than SFT: 12.1 points against 6.3.",
        source=f"{PAPER}, Table 2",
        measured=(
            "GRPO with vanilla prompts minus SFT on the answers, vanilla prompt, five seeds each: the same rows, as "
            "many questions, each at the best of the same three learning rates on validation rooms."
        ),
        rule=GAIN,
        decide=gain("grpo_minus_sft"),
        measure=minus("grpo_minus_sft", "grpo-vanilla", "sft"),
        caveat=(
            "At equal questions GRPO reads and writes several times SFT's tokens; the same comparison at equal tokens "
            "and at equal seconds stands beside it and is no part of the rule."
        ),
        needs=("grpo-vanilla", "sft"),
        only="which gains more, not by how much",
    ),
    Claim(
        name="sft-beats-dpo",
        says="SFT gains more than DPO on answers that were changed to wrong ones: 6.3 points against 0.6.",
        source=f"{PAPER}, Table 2",
        measured=(
            "SFT minus DPO, vanilla prompt, five seeds each, tuned alike. DPO's rejected answer is another training "
            "question's answer of the same type (how the paper changed answers is unstated)."
        ),
        rule=GAIN,
        decide=gain("sft_minus_dpo"),
        measure=minus("sft_minus_dpo", "sft", "dpo-corrupted"),
        caveat=(
            "DPO's own beta is TRL's default of 0.1, since the paper gives none; it was not tuned. DPO's best rate of "
            "the grid, found with one seed and half the steps, breaks most of its full runs, so this is a verdict on "
            "DPO tuned like that; dpo-lower-rate, the grid's second best, stands beside it and is no part of the rule."
        ),
        needs=("sft", "dpo-corrupted"),
        only="which gains more, not by how much",
    ),
    Claim(
        name="corrupted-answers-hold-dpo-back",
        says="DPO's small gain comes from the way its rejected answers were made.",
        source=f"{PAPER}, where the authors suspect it",
        measured=(
            "DPO on pairs of the base's own best and worst paid of eight rollouts minus DPO on corrupted answers, "
            "vanilla prompt, three seeds against five, tuned alike."
        ),
        rule=GAIN,
        decide=gain("rollout_pairs_minus_corrupted"),
        measure=minus("rollout_pairs_minus_corrupted", "dpo-rollouts", "dpo-corrupted"),
        caveat=(
            "The pairs differ in what is chosen, too: the best of eight rollouts is not always the truth. And the two "
            "have different rates, each the best of its grid; the higher one breaks most runs on corrupted answers."
        ),
        needs=("dpo-rollouts", "dpo-corrupted"),
    ),
    Claim(
        name="kl-prevents-collapse",
        says="Without the KL term training easily collapses, seen in the format reward; beta 1e-4 prevents it.",
        source=f"{PAPER}, on the KL penalty",
        measured=(
            "GRPO with think prompts, three seeds at beta 0 and three at 1e-4: a run collapses if the mean over 20 "
            "steps of its format or accuracy reward falls below half of its best and is still there at the end, or if "
            "a loss, gradient or KL stops being a number."
        ),
        rule=(
            "Reproduced if at least two thirds of the runs at beta 0 collapse and none at 1e-4; not reproduced if none "
            "at 0 does, or as large a share at 1e-4; else undecided."
        ),
        decide=most_runs("collapsed_at_0", never="collapsed_at_1e-4"),
        measure=all_of(
            fallen("collapsed_at_0", "kl-0"),
            fallen("collapsed_at_1e-4", "grpo-think"),
        ),
        caveat=(
            "240 steps with LoRA at the learning rate that tuning chose; a collapse that needs longer or a larger step "
            "is not seen. Only training is looked at: what a run does under other prompts is another matter (notebook "
            "05). Beta 0 is 1e-12, so that the KL can be drawn."
        ),
        needs=("kl-0", "grpo-think"),
    ),
    Claim(
        name="format-first",
        says="The format reward saturates early, accuracy climbs slowly.",
        source=f"{PAPER}, training curves",
        measured=(
            "GRPO with think and with observe prompts, three seeds each: whether the format reward over the first 20 "
            "steps is at least 0.95 already; and whether the mean over 20 steps has made nine tenths of its rise in "
            "half the steps that accuracy takes for nine tenths of its own."
        ),
        rule=(
            "Built in if every run starts with the format; else reproduced if at least two thirds of the runs learn it "
            "first, not reproduced if none does, else undecided."
        ),
        decide=built_in_if_all("format_from_the_start", most_runs("format_first")),
        measure=all_of(
            runs_that("format_from_the_start", starts_at("format_reward", FORMAT_AT_ONCE, COLLAPSE_WINDOW), *TAGGED),
            runs_that("format_first", rises_before("format_reward", "accuracy_reward", COLLAPSE_WINDOW), *TAGGED),
        ),
        caveat="The recipe's last stage shows both tags; a base that never saw them would have to find them.",
        needs=("grpo-think", "grpo-observe"),
    ),
    Claim(
        name="thoughts-become-empty",
        says="Trained with think prompts, rollouts degrade to empty thoughts: <think> </think> and an answer.",
        source=f"{PAPER}, on reward hacking",
        measured=(
            "GRPO with think prompts, accuracy and format rewards, three seeds: a run shows it if at least half of the "
            "rollouts of its last 20 steps hold no word between the tags."
        ),
        rule=MOST_RUNS,
        decide=most_runs("runs_with_empty_thoughts"),
        measure=runs_that("runs_with_empty_thoughts", _habit("empty_thought"), "grpo-think"),
        caveat="The miniature's chains were taught by its recipe and are short; leaving one out saves it little.",
        needs=("grpo-think",),
    ),
    Claim(
        name="length-reward-is-gamed",
        says="A length reward against empty thoughts is collected by repeating empty tags.",
        source=f"{PAPER}, on reward hacking",
        measured=(
            "GRPO with think prompts and a reward for characters before the answer (its form is unstated; ours is "
            "naive), three seeds: a run shows it if at least half of the rollouts of its last 20 steps repeat a tag."
        ),
        rule=MOST_RUNS,
        decide=most_runs("runs_with_repeated_tags"),
        measure=all_of(
            runs_that("runs_with_repeated_tags", _habit("repeated_tags"), "length"),
            runs_that("runs_padded_with_words", _habit("repeated_words"), "length"),
        ),
        caveat=(
            "A cheat must be stumbled on before it is paid; padding with words is another one, counted beside it. The "
            "shipped runs found a third, which no rule foresaw: lists of things that are not there (notebook 08)."
        ),
        needs=("length",),
    ),
    Claim(
        name="vanilla-beats-chains",
        says="Trained and asked with vanilla prompts, the model is better than with think or observe prompts.",
        source=f"{PAPER}, Table 2: 35.4 against 29.6 and 31.2",
        measured=(
            "GRPO-V asked with its prompt minus GRPO-T and minus GRPO-O asked with theirs, five seeds against three, "
            "each at the best of the same three learning rates, as many questions."
        ),
        rule=(
            "Reproduced if vanilla is better than both beyond the intervals, not reproduced if it is worse than one of "
            "them beyond its interval, else undecided."
        ),
        decide=gain("vanilla_minus_think", "vanilla_minus_observe"),
        measure=all_of(
            minus("vanilla_minus_think", "grpo-vanilla", "grpo-think"),
            minus("vanilla_minus_observe", "grpo-vanilla", "grpo-observe"),
        ),
        caveat=(
            "Half of the chains that the base was taught speak of another room, and its answers were drawn without "
            "regard to them: that chains start with a burden is built in. Greedy chains mostly speak of the room "
            "shown; the answers do not follow from them."
        ),
        needs=("grpo-vanilla", "grpo-think", "grpo-observe"),
        only="which is better, not by how much",
    ),
    Claim(
        name="chains-win-on-direction",
        says="On relative direction, think and observe training beat vanilla training.",
        source=f"{PAPER}, Table 2: 38.5 and 41.8 against 30.9",
        measured=(
            "The same runs and prompts as vanilla-beats-chains, relative direction alone: think minus vanilla, observe "
            "minus vanilla."
        ),
        rule=(
            "Reproduced if both are better beyond their intervals, not reproduced if one is worse beyond its interval, "
            "else undecided."
        ),
        decide=gain("think_minus_vanilla", "observe_minus_vanilla"),
        measure=all_of(
            minus("think_minus_vanilla", "grpo-think", "grpo-vanilla", "object_rel_direction"),
            minus("observe_minus_vanilla", "grpo-observe", "grpo-vanilla", "object_rel_direction"),
        ),
        caveat="The miniature hardly computes directions, with a chain or without.",
        needs=("grpo-vanilla", "grpo-think", "grpo-observe"),
    ),
    Claim(
        name="route-planning-improves",
        says="Route planning, which nobody trained, improves.",
        source=f"{PAPER}, Table 2: 24.7 to 26.8",
        measured="GRPO-V minus base on route planning about the test rooms, vanilla prompt, five seeds.",
        rule=GAIN,
        decide=gain("route_planning"),
        measure=minus("route_planning", "grpo-vanilla", "base", "route_planning", HELD_OUT_SET),
        caveat=(
            "Two turns past named objects, no obstacles. The base never saw a route: it seldom names an option at all, "
            "so its score is below always naming one letter, and a change may be one of manners."
        ),
        needs=("grpo-vanilla",),
    ),
    Claim(
        name="appearance-order-does-not",
        says="Appearance order, which nobody trained, does not improve.",
        source=f"{PAPER}, Table 2: 18.9 before and after",
        measured=(
            "GRPO-V minus base on appearance order, vanilla prompt, five seeds; ten times the test rooms are filmed "
            "for it, since few clips show four objects for the first time in four different frames."
        ),
        rule="Reproduced unless the difference's whole interval is above zero.",
        decide=no_gain("appearance_order"),
        measure=minus("appearance_order", "grpo-vanilla", "base", "obj_appearance_order", ORDER_SET),
        caveat=(
            "The base never saw such a question and seldom names an option at all: below always naming one letter, a "
            "rise may say only that letters are named more often."
        ),
        needs=("grpo-vanilla",),
    ),
    Claim(
        name="small-model-beats-gpt-4o",
        says="vsGRPO-2B outperforms GPT-4o on VSI-Bench, 35.4 against 34.0.",
        source=f"{PAPER}, Table 2",
        measured="VSI-Bench's 5,130 questions about 288 videos, Qwen2-VL-2B trained with the profile `paper`.",
        rule="None here.",
        decide=not_testable,
        caveat="The printed most-frequent-answer row is 34.0 as well, and its columns average 35.5.",
        scale="Qwen2-VL-2B, about 120 GPU hours, and VSI-Bench's videos: vsr train --profile paper",
    ),
    Claim(
        name="seven-billion-near-72b",
        says="vsGRPO-7B is comparable with LLaVA-NeXT-Video-72B on VSI-Bench, 40.7 against 40.9.",
        source=f"{PAPER}, Table 2",
        measured="As small-model-beats-gpt-4o, with Qwen2-VL-7B and learning rate 5e-6.",
        rule="None here.",
        decide=not_testable,
        caveat="Its gain over its own base is 8.5 points, smaller than the 2B model's.",
        scale="Qwen2-VL-7B, several GPUs, and VSI-Bench's videos",
    ),
)

SYSTEM = System(
    title="vsGRPO",
    source="arXiv 2504.00883",
    mechanism="GRPO on exact and graded answers",
    section="04_qlora_grpo",
    try_it="vsr train",
    kl="1e-4",
    kl_here="1e-4",
    drawn="grpo-lifts",
    trained="grpo-vanilla",
)
RECIPE = Recipe(
    "vsgrpo", "GRPO for visual-spatial questions", VARIANTS, VSGRPO, BASE, TUNED, table=PAPER_2B, system=SYSTEM
)
