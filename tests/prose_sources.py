"""Where the numbers in the notebooks' prose come from, by notebook; tests/test_prose_numbers.py compares the two.

SOURCES has, for each notebook by its name without the number, the words in which a number stands, and a source for each
number in them, in their order: a value; a function of the notebook that computes one; or, in words, why there is none.
Values are taken from where they live: the papers' tables and the settings from the package, results from the shipped
study or from the notebook's own outputs.
Left out: numbers that their notebook prints, with no number beside them that could be taken for them (`Told.has`).
"""

from __future__ import annotations

import ast
import json
import math
import re
import statistics
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from scipy.stats import t as student_t

import vsr_kit
from benchmarks.cases import SHAPES
from tests.prose import Told
from vsr_kit.claims.recipe import SEEDS
from vsr_kit.evaluation import student_interval
from vsr_kit.pages.site import course_notebooks
from vsr_kit.paths import data_samples
from vsr_kit.questions import BENCHMARK_RULES
from vsr_kit.recipes import kl_elsewhere, mm_eureka, openvlthinker_v2, ptst, srpo, variant, vision_r1
from vsr_kit.rewards import RIGHT_WITHIN
from vsr_kit.study import PAPER_2B, Study, answer_shares
from vsr_kit.study.controls import CONTROLS
from vsr_kit.study.real_rooms import ELSEWHERE
from vsr_kit.training.machine import CHOICES
from vsr_kit.training.profiles import get_profile
from vsr_kit.videos.rendering import CAMERA_HEIGHT_M

Value = float | tuple[float, ...]
Source = Value | str | Callable[[Told], Value]

# -- ways to a value ---------------------------------------------------------------------------------------------------


def shown(pattern: str, of=lambda *values: values[0], within: str = "outputs"):
    """What a notebook's outputs say: groups of a pattern, as numbers, put together by `of`."""

    def read(told: Told):
        found = set(re.findall(pattern, getattr(told, within)))
        assert len(found) == 1, f"{told.name}: {within} say {sorted(found) or 'nothing'} for {pattern!r}"
        (values,) = found
        numbers = [float(value.replace(",", "")) for value in (values if isinstance(values, tuple) else (values,))]
        return of(*numbers)

    return read


def coded(pattern: str, of=lambda *values: values[0]):
    """The same of its code."""
    return shown(pattern, of, "code")


def paper(row: str, column: str = "overall") -> float:
    """A figure of vsGRPO's tables, as printed."""
    return PAPER_2B[row][column]


CONSTANTS_OF_THE_PAPER = statistics.mean(list(PAPER_2B["most frequent answer"].values())[1:])
EIGHT = get_profile("mini").num_generations
LEVEL = "the level of all intervals"
EXAMPLE = "an example, no result"
DEFINED = "what a reward or a score is by its definition; its own tests hold it"
IDIOM = "no measure"


@cache
def study() -> Study:
    return Study()


@cache
def seeds_of(name: str) -> int:
    return len(study().runs(name))


@cache
def mean_of(name: str, key: str, first: int, last: int) -> float:
    """A logged number of a variant's runs, averaged over steps and runs."""
    logs = [log for run in study().curves(name) for log in run]
    return float(np.mean([log[key] for log in logs if key in log and first <= log["step"] <= last]))


@cache
def unreadable(name: str, question_type: str = "") -> list[float]:
    """Of each run's greedy answers to test questions, the share that is no answer."""
    found = []
    for rows in study().answers_of(name):
        shares = answer_shares([row for row in rows if question_type in row["question_type"]])
        found.append((shares["cut"] + shares["unparsed"]) / sum(shares.values()))
    return found


def lowest_run_without_kl(told: Told) -> float:
    gains = study().seed_gains("kl-0")
    return unreadable("kl-0", "object_size_estimation")[gains.index(min(gains))]


def most_empty_thoughts(told: Told) -> int:
    sampled = get_profile("mini").questions_per_step * EIGHT
    runs = study().curves("grpo-think")
    return round(max(sum(log.get("rewards/empty_thought/mean", 0) * sampled for log in run) for run in runs))


def lines_of_grpo(told: Told) -> int:
    """Of the two cells with the loop, and of the three functions of the loss without their docstrings; to ten."""
    cells = [cell for cell in ("".join(c["source"]) for c in told.cells) if re.search(r"def one_group|AdamW", cell)]
    lines = sum(bool(line.strip()) for cell in cells for line in cell.splitlines())
    losses = ast.parse((Path(vsr_kit.__file__).parent / "losses.py").read_text(encoding="utf-8"))
    for defined in losses.body:
        if getattr(defined, "name", "") in ("group_advantages", "grpo_loss", "kl_k3"):
            docstring, *body = defined.body
            lines += docstring.lineno - defined.lineno + body[-1].end_lineno - body[0].lineno + 1
    return round(lines, -1)


def lines_of_reinforce(told: Told) -> int:
    """Of the cell that teaches the machine with two arms."""
    (cell,) = ["".join(c["source"]) for c in told.cells if "torch.optim.SGD([scores]" in "".join(c["source"])]
    return sum(bool(line.strip()) for line in cell.splitlines())


def best_constants_ends(told: Told) -> tuple[float, float]:
    """The least and the most that a best constant earns by the three graded rewards."""
    rows = re.findall(
        r"^[A-Z][a-z ]+ [\d.]+ \((.+?)\) +[\d.]+ \((.+?)\) +[\d.]+ \((.+?)\) +[\d.]+ \(", told.outputs, re.M
    )
    assert len(rows) == 4, rows
    values = [float(value) for row in rows for value in row]
    return min(values), max(values)


@cache
def prompt_tokens(mode: str) -> int:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(data_samples("mini-qwen2-vl") / "tokenizer.json"))
    return len(tokenizer.encode(vsr_kit.prompts.PROMPTS["train", mode]).ids)


def longer(mode: str) -> int:
    return prompt_tokens(mode) - prompt_tokens("vanilla")


def share_of_prompt(mode: str):
    """What the longer prompt is of the tokens that a question costs more, in per cent, to ten."""
    row = rf"grpo-{mode} +([\d.]+) [^\n]*\n(?:.*\n)*?grpo-vanilla +([\d.]+)"
    return shown(row, lambda own, vanilla: round(100 * EIGHT * longer(mode) / (own - vanilla), -1))


def rooms_asked_about(told: Told) -> int:
    rows = study().base("think", questions=vision_r1.WORDS_SET, model="mini-cold-start", **vision_r1.ASKED)
    return len({row["scene_name"] for row in rows})


def counts_at_the_cap(told: Told) -> float:
    """Of the greedy answers to counting questions after training with the length reward, the share that is cut off."""
    rows = [row for run in study().answers_of("length") for row in run if row["question_type"] == "object_counting"]
    return answer_shares(rows)["cut"] / len(rows)


def tuning_steps() -> int:
    (steps,) = {run["steps"] for run in json.loads((data_samples("reference_runs") / "tuning.json").read_text())}
    return steps


def at_the_border(key: str):
    """What the full recipe logs in the last ten steps before its second stage, and in the ten after."""
    last = ptst.STAGE_STEPS
    return mean_of("vr1-full", key, last - 9, last), mean_of("vr1-full", key, last + 1, last + 10)


def grounded_share(told: Told) -> float:
    """Of the chains in the base's lessons, as the notebook says that prints the miniature's recipe."""
    (prints_it,) = (path for path in course_notebooks() if path.stem.endswith("cot_fails"))
    return shown(r"chains that speak of the room shown: +(\d+)%")(Told(prints_it)) / 100


def patch_size(told: Told) -> int:
    processor = json.loads((data_samples("mini-qwen2-vl") / "processor_config.json").read_text())
    return processor["image_processor"]["patch_size"]


CLIPPED, HARD = "completions/clipped_ratio", "rewards/hard_format_result_reward/mean"
CAPS = vision_r1.PAPER_CAPS
FULL, SHORT, LONG, LONG_MANY = CAPS.values()
OVERALL = r"{} +[^\n]*?([\d.]+) \([\d.]+ to [\d.]+\)"

# -- the table ---------------------------------------------------------------------------------------------------------

SOURCES: dict[str, dict[str, Source | tuple[Source, ...]]] = {
    "start_here": {
        "train it for 80 steps": coded(r"TRAIN_STEPS = \d+ if SMOKE else (\d+)"),
        "Train for 80 steps": coded(r"TRAIN_STEPS = \d+ if SMOKE else (\d+)"),
        "two lines to beat": IDIOM,
        "Two lines that every claim": IDIOM,
        "half the truth earns 0": DEFINED,
        "100 for exact": DEFINED,
        "95 % intervals": LEVEL,
        "with five seeds": len(SEEDS),
    },
    "rooms_clips_questions": {
        "half of each object's own size": "geometry: between two centres lies half of each object",
        "1.75 m above the floor": CAMERA_HEIGHT_M,
        "14 × 14 pixels": (patch_size, patch_size),
        "-180 to 180 degrees": (180, 180),
        "2.00 m away and the bin 2.05 m": (EXAMPLE,) * 2,
        "15 cm are not compared (30 cm in rooms above 40 m²)": (
            100 * BENCHMARK_RULES.close_call_m,
            100 * BENCHMARK_RULES.close_call_large_room_m,
            BENCHMARK_RULES.large_room_m2,
        ),
        "within 12 degrees": BENCHMARK_RULES.border_deg,
        "100 for the exact number": DEFINED,
        "half of the true number": DEFINED,
        "one in two, three or four": "options of the three levels of direction and of relative distance",
    },
    "cot_fails": {
        "since 2026": "a year",
        "Above 2 %": coded(r"cut <= (\d+)"),
        "averages 34.0 as printed, and 35.5 as the mean": (paper("most frequent answer"), CONSTANTS_OF_THE_PAPER),
        "with three lines that need": 3,
        "All three rows of the paper's block": 3,
        "three lines to beat": 3,
    },
    "qlora_grpo": {
        "(Schulman, 2020)": "a year",
        "the loss is 0.0000": "what trainers print; the notebook shows why",
        "Five seeds, shipped": len(SEEDS),
        "five seeds of the miniature": len(SEEDS),
        "about 120 procedural test rooms": shown(r"grpo-lifts: [A-Z ]+ on [^\n]*?, (\d+) procedural rooms"),
        "the miniature and 120 rooms": shown(r"grpo-lifts: [A-Z ]+ on [^\n]*?, (\d+) procedural rooms"),
        "Its 35.4 stands beside 35.5 for constants": (paper("vsGRPO-V"), CONSTANTS_OF_THE_PAPER),
        "(34.0 as printed)": paper("most frequent answer"),
        "88 other real rooms": ELSEWHERE["rooms"],
        "*lose* 6.9 points (-9.4 to -4.3)": (ELSEWHERE["gain"], ELSEWHERE["low"], ELSEWHERE["high"]),
        "about 4.5 GB": "arithmetic: 2.2 billion parameters of two bytes",
    },
    "by_hand": {
        "by REINFORCE, in ten lines": lines_of_reinforce,
        "Ten lines that learn": lines_of_reinforce,
        "Those ten lines": lines_of_reinforce,
        "in 40 of 100 pulls, the right one in 80": (
            coded(r"pays = torch.tensor\(\[(0.4), ", lambda share: 100 * share),
            100,
            coded(r"pays = torch.tensor\(\[0.4, (0.8)\]", lambda share: 100 * share),
        ),
        "each arm half of the time": 1 / 2,
        "(Williams, 1992)": "a year",
        "about 0.1 whatever constant": shown(r"nothing +(0\.\d+) ", lambda push: round(push, 1)),
        "With -10 as a baseline, which adds 10": (coded(r'"-10": (-10\.0)'), coded(r'"-10": -(10\.0)')),
        "relative to the push, 0.6": coded(r'"0.6, the mean reward": (0\.6)'),
        "the best answer, 118,": "the answer with the largest advantage of the table",
        "one of eight equally likely answers": 1 / 8,
        "trained five seeds": len(SEEDS),
        "The middle 95 %": LEVEL,
        "Four times as many rooms, half the width": (120 / 30, (30 / 120) ** 0.5),
        "Eight rooms give": coded(r"for count in \((\d+), 30"),
        "for three seeds": "how many most variants of the study have",
        "four times as many of them for half the width": (120 / 30, (30 / 120) ** 0.5),
    },
    "four_rewards": {
        "for 2.3 metres where 2.2 is right": (EXAMPLE,) * 2,
        "The ten bounds are 0.5, 0.45, 0.4 and so on down to 0.05": (DEFINED,) * 4,
        "pays 0.5 for half the truth": (DEFINED,) * 2,
        "half the truth earns 0.1, double nothing": (DEFINED,) * 2,
        "five per cent": DEFINED,
        "between 0.24 and 0.69": (
            (lambda told: best_constants_ends(told)[0]),
            (lambda told: best_constants_ends(told)[1]),
        ),
        "three seeds each, and five": (lambda told: seeds_of("reward-exact")),
        "the last three rows": (lambda told: seeds_of("reward-exact")),
    },
    "share_the_prompt": {
        "64 tokens": shown(r"(\d+) of them the clip"),
        "with G = 14": get_profile("paper").num_generations,
        "take 16, a clip of 1,024 tokens, a question of 60, and answers of 16": (
            get_profile("paper").num_frames,
            *(coded(rf"\({at}, 14, 1\)") for at in (r"(\d+), 60, 16", r"1024, (\d+), 16", r"1024, 60, (\d+)")),
        ),
        "with clips of 1,024 tokens": SHAPES["paper-shape"].clip_tokens,
        "four times G for four": coded(r"max_per_type=1\)\[:(\d)\]"),
    },
    "kl_penalty": {
        "From 89 nats on (12 in float16)": (math.ceil(math.log(np.finfo("f4").max)), math.ceil(math.log(65504))),
        "From 89 nats on one word": math.ceil(math.log(np.finfo("f4").max)),
        "About seventy lines": lines_of_grpo,
        "about seventy lines": lines_of_grpo,
        "three seeds each, 240 steps": ((lambda told: seeds_of("kl-0")), variant("kl-0").profile.steps),
        "three times the steps": variant("kl-0-long").profile.steps / variant("kl-0").profile.steps,
        "strongest penalty, 0.1,": variant("kl-1e-1").profile.beta,
        "Three of ten of that run's answers on sizes": lowest_run_without_kl,
        "three of ten replies unreadable": (lambda told: max(unreadable("kl-0-long"))),
        "there are three seeds": (lambda told: seeds_of("kl-1e-3")),
        "at thirty times that, also with …, ten thousand times the study's; and at ten thousand times": (
            coded(r"\(1, 1e-4\), \((\d+), 1e-4\)"),
            1.0 / variant("grpo-vanilla").profile.beta,
            coded(r"\((\d+_\d+), 1e-4\)\)"),
        ),
        "At thirty times the rate": coded(r"\(1, 1e-4\), \((\d+), 1e-4\)"),
        "0.1 (SEED-Bench-R1)": "another paper's setting",
    },
    "reward_hacking": {
        "with a fifth of the room": shown(
            r'"refrigerator", said often +\d+ +(\d+)',
            lambda tokens: round(tokens / variant("length").profile.max_completion_length("think"), 1),
        ),
        "it loses on counts (-7.1) and gains on absolute distances (+7.3)": (
            shown(r"Object count +[-+][\d.]+ \([^)]*\) +([-+][\d.]+) \("),
            shown(r"Absolute distance +[-+][\d.]+ \([^)]*\) +([-+][\d.]+) \("),
        ),
        "About one in ten thousand": shown(r"in all ([\d,]+) that were sampled: (\d+) empty", lambda of, n: n / of),
        "half of all rollouts": "the claim's rule, which the notebook prints",
        "does not look gets 50": "chance: of the other rooms half fit worse",
        "three times what is there": shown(
            r"listed +[\d.]+ +[\d.]+ +([\d.]+) [^\n]*\n(?:.*\n)?truth +([\d.]+)", lambda a, b: a / b
        ),
        "three of four such chains": counts_at_the_cap,
    },
    "sft_dpo_grpo": {
        "one half": 1 / (1 + math.exp(0)),
        "half of beta up": "the loss's first gradient, which the notebook prints",
        "half as many steps as the study": (lambda told: tuning_steps() / variant("sft").profile.steps),
        "trains twice as long": (lambda told: variant("sft").profile.steps / tuning_steps()),
        "When one of three runs breaks": IDIOM,
        "5.8 points between them": paper("vsGRPO-V") - paper("SFT"),
        "one of three still breaks": (
            lambda told: np.mean([gain < -10 for gain in study().seed_gains("dpo-lower-rate")])
        ),
        "one to four tokens": "tokens of an answer in the shipped tokenizer",
    },
    "think_observe_vanilla": {
        "Half of the chains": lambda told: 1 - grounded_share(told),
        "1.0 if the whole text is": DEFINED,
        "else 0.0": DEFINED,
        "at most two rollouts": most_empty_thoughts,
        "26 and 38 tokens longer, 40 to 50 % of the difference": (
            (lambda told: longer("think")),
            (lambda told: longer("observe")),
            share_of_prompt("think"),
            share_of_prompt("observe"),
        ),
        "about four times as many": shown(r"grpo-think +[\d.]+ +[\d.]+ +([\d.]+)\n"),
        "direction, 38.5 and 41.8, are below": (
            paper("vsGRPO-T: think", "object_rel_direction"),
            paper("vsGRPO-O: observe", "object_rel_direction"),
        ),
        "47.9 as printed": paper("most frequent answer", "object_rel_direction"),
        "average 36.3": "another paper's table",
        "half of them": "chance: of the other rooms half are farther off",
        "about half of these answers": shown(
            r"observe training: right [^;]*could not be read (\d+) %, cut off by the cap (\d+) %; vanilla",
            lambda *lost: sum(lost) / 100,
        ),
    },
    "verdicts": {
        "three or five seeds": ((len(vision_r1.OTHER_SEEDS), len(SEEDS)),),
        "95 % interval of a difference": LEVEL,
        "At 95 %, about one in twenty": (LEVEL, 1 - 0.95),
        "95 times in 100": (LEVEL, LEVEL),
        "at 95 % each": LEVEL,
        "Four times the rooms": lambda told: max(map(int, re.findall(r" (\d+) rooms: ", told.outputs))) / 30,
        "half the width": "what the cell prints is half of the interval",
        "a fifth shorter": coded(r"for s in \(1, ([\d.]+)", lambda share: 1 - share),
        "more than twice as much": shown(
            r"ARKitScenes, .*\n +100% of it: ([\d.]+) % +80% of it: ([\d.]+)", lambda full, less: less / full
        ),
        "Fifty rooms": shown(r"On (\d+) ScanNet\+\+ rooms"),
        "seventeen intervals": len(CONTROLS),
        "half of its chains": grounded_share,
    },
    "cold_start_and_ptst": {
        "Half of the chains": lambda told: 1 - grounded_share(told),
        "on two rooms": coded(r"load_questions\((\d), split"),
        "is 1.0 if": DEFINED,
        "else 0.0": DEFINED,
        "a quarter of the truth": RIGHT_WITHIN,
        "4,096 tokens × 16, then 8,192 × 8": ("the paper's stages",) * 3,
        "about 120 test rooms": rooms_asked_about,
    },
    "which_part_pays": {
        "2,176 tokens together: 16 completions of at most 136 tokens": (ptst.TOKENS, 16, ptst.TOKENS / 16),
        "4,096 tokens for a mean length": vision_r1.PAPER_VARIANTS["CI"][0] * ptst.CAP_TO_LENGTH,
        "114.5 tokens on average": ptst.CHAIN_TOKENS,
        "with beta 0.01": ptst.BETA,
        "16 times higher": variant("vr1-zero").profile.learning_rate / variant("vr1-full").profile.learning_rate,
        "three rows with the cold start": 3,
        "some nine points below": shown(
            OVERALL.format("Zero") + r"[^\n]*\nCI +[^\n]*?([\d.]+) \(", lambda zero, cold: zero - cold
        ),
        "RL on 480 questions": variant("vr1-full").profile.steps * variant("vr1-full").profile.questions_per_step,
        "480 a run": variant("vr1-full").profile.steps * variant("vr1-full").profile.questions_per_step,
        "is 1.1 points worse": FULL - SHORT,
        "7.7 or 7.5 points worse, with 4 or 16 completions": (FULL - LONG, FULL - LONG_MANY, 16),
        "four times the tokens are spent": 16 * ptst.LONGEST / ptst.TOKENS,
        "4.302653 for three values and 2.776445 for five": (student_t.ppf(0.975, 2), student_t.ppf(0.975, 4)),
        "Three or five seeds": ((len(vision_r1.OTHER_SEEDS), len(SEEDS)),),
        "the mean of 3 points has an interval from -3.6 to 9.6": (3, *student_interval([1, 2, 6])),
        "a loss of 0.8 points": shown(r"relaxing-the-cap-keeps-the-gain \+[\d.]+ \((-[\d.]+)"),
        "falls to 4.6 %": shown(r"vr1-sum Overall [^;]*Relative distance ([\d.]+)"),
        "about a third of the full recipe's completions": (lambda told: mean_of("vr1-full", CLIPPED, 1, 60)),
        "under a tenth, and the reward rises by about 0.12": (
            (lambda told: at_the_border(CLIPPED)[1]),
            (lambda told: at_the_border(HARD)[1] - at_the_border(HARD)[0]),
        ),
        "about a third of the groups": (lambda told: mean_of("vr1-full", "frac_reward_zero_std", 1, 120)),
        "right in 41 of 100 cases": (vision_r1.PAPER_LENGTHS["0 to 4K"], 100),
        "two of six tasks": shown(
            r"object_rel_direction_easy [\d.]+ ([\d.]+) .*?object_rel_distance [\d.]+ ([\d.]+) ",
            lambda *above: sum(share > 95 for share in above) / 6,
        ),
        "that five seeds can see": len(SEEDS),
        "nearly ten points": shown(r"chains-100: Absolute distance \+([\d.]+)"),
        "thirteen points": shown(r"chains-places-only: Absolute distance -([\d.]+)"),
        "has 16 completions at the large cap and so four times the tokens": (
            variant("vr1-long-many").profile.num_generations,
            16 * ptst.LONGEST / ptst.TOKENS,
        ),
        "about 10 thousand": "the paper's questions of RL",
    },
    "qwen2_vl_on_a_gpu": {
        "on a GPU of 14 GB or more": dict(CHOICES)["t4"],
        "from 14 GB, even where": dict(CHOICES)["t4"],
        "stored in 32 bits": "float32",
        "within 15 % of them": "tests/test_memory_plan.py compares",
        "In 32 bits the difference": "float32",
        "23.3 at once, 22.9 thinking, 21.8 observing": (paper("vanilla"), paper("think"), paper("observe")),
        "120 GPU hours": "the paper's",
        "Five seeds on the miniature": len(SEEDS),
    },
    "recipes_for_rl": {
        "in 2025 and 2026": ("when their papers appeared",) * 2,
        "three seeds do not decide": len(variant("kl-0").seeds),
        "With eight rollouts that are": variant("eureka-filter").profile.num_generations,
        "after 90 of 240 steps": (srpo.SWITCH, variant("srpo-plain").profile.steps),
        "weighs about 2.5": shown(r"by the spread: \[([\d.]+), -0\.35"),
        "ones about 1.3": shown(r"by the spread: \[([\d.]+), 0\."),
        "ours are 0.75 and 1 times": openvlthinker_v2.BOUNDS.low,
        "that three and five runs": len(variant("v2-matched").seeds),
        "four are run, three seeds each": len(variant("t1-many").seeds),
        "between none and 0.1": kl_elsewhere.STRONG,
        "in five runs of either arm": len(variant("eureka-plain").seeds),
        "or 1.5 with the format; the format alone earns 0.5": (mm_eureka.RIGHT + mm_eureka.FORMAT, mm_eureka.FORMAT),
        "In two of the five runs it falls far": len(variant("srpo-resampled").seeds),
        "up to 8.6 points may be there": shown(r"online minus dpo: \+4\.2 .*Student's -0\.2 to \+([\d.]+);"),
        "verbose chains for 100 steps": variant("vlaa-verbose").profile.steps,
        "eight rollouts are all right": variant("eureka-filter").profile.num_generations,
        "between a tenth and nine tenths of it": mm_eureka.HIGHEST,
        "within a quarter of the truth": RIGHT_WITHIN,
        "make 160 updates where the plain ones make 240": (
            variant("eureka-filter").profile.steps,
            variant("eureka-plain").profile.steps,
        ),
        "is six runs against six": 2 * len(variant("t1-many").seeds),
        "at temperature 1.2": 1.2,
    },
    "recipes_around_it": {
        "from 57.9 to 57.7, its larger one from 60.6 to 61.2": ("VST, arXiv 2511.05491",) * 4,
        "only 57.9 % of the answers": "SEED-Bench-R1's, arXiv 2503.24376",
        "70 % rewritten and 30 % original": (70, 30),
        "Three times the same number": 3,
    },
}
