"""The claims of vsGRPO (arXiv 2504.00883): how the kit measures each and what would count, written before the runs.

Nothing in the recipe, the data or the settings was chosen by the outcome of a claim. Unless a claim says otherwise, its
questions are about held-out procedural rooms in VSI-Bench's phrasing, answered greedily and read by the lenient parser;
a difference is that of the mean of the six trained tasks, paired by question, with a 95 % bootstrap interval over seeds
and rooms. Student's interval, which the ledger shows as well, was added after the runs, and no rule uses it.
Left out: Vision-R1's claims, which come with its recipe.
"""

from __future__ import annotations

from vsr_kit.claims import GAIN, MOST_RUNS, Claim, built_in_if_all, gain, most_runs, no_gain, not_testable

PAPER = "vsGRPO (arXiv 2504.00883)"
LAST_STEPS, HABIT_SHARE = 20, 0.5  # a habit is a run's if it marks so much of the rollouts of its last so many steps
COLLAPSE_WINDOW, COLLAPSE_FALL = (
    20,
    0.5,
)  # a collapse: the mean over so many steps below so much of its best, and still so at the end
FORMAT_AT_ONCE = 0.95  # format reward over the first steps that leaves nothing to learn

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
        caveat=(
            "A cheat must be stumbled on before it is paid; padding with words is another one, counted beside it. The "
            "shipped runs found a third, which no rule foresaw: lists of things that are not there (notebook 06)."
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
