"""Rewards: one completion and its row in, one number out; and the same as functions `trl.GRPOTrainer` takes.

The paper pays accuracy (a match for words; |p-g| / min(p,g) for numbers) and, where it asks for tags, format. It does
not say how an error becomes a reward: max(0, 1 - error) is our reading. Two other published rewards for numbers stand
beside it by name. Every reward is pure and looks at one row alone; the ground truth itself earns 1.0 on every row, in
every mode. `CHEATS` lists what can be earned without an answer, or lost with one.
Left out: the length reward that the paper tried later, and rewards given by another model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vsr_kit.prompts import MODES, parse_answer, same_answer

# np.linspace, not 0.5, 0.55, …: its last bits decide cases on a threshold, and VSI-Bench's scorer uses it
MRA_TOLERANCES = 1 - np.linspace(0.5, 0.95, 10)

RewardFunction = Callable[..., list]

# re.fullmatch with re.DOTALL, as R1-V has it, on which the paper builds
_FORMATS = {
    mode: re.compile(rf"<{mode}>.*?</{mode}>\s*<answer>.*?</answer>", re.DOTALL) for mode in ("think", "observe")
}


def paper_numeric(predicted: float, truth: float) -> float:
    """max(0, 1 - |p-g| / min(p,g)), zero from twice or half the truth on: vsGRPO's error, our map to a reward."""
    if predicted == truth:
        return 1.0
    least = min(predicted, truth)
    return max(0.0, 1 - abs(predicted - truth) / least) if least > 0 and math.isfinite(predicted) else 0.0


def mra(predicted: float | np.ndarray, truth: float) -> float | np.ndarray:
    """Mean relative accuracy, VSI-Bench's metric: the share of ten thresholds t (0.5 to 0.95) with |p-g| / g <= 1 - t.

    Args:
        predicted: a number, or an array of them.
        truth: where it is not above 0 the metric has no meaning, and only the truth itself earns 1.
    """
    numbers = np.asarray(predicted, dtype=float)
    if truth > 0:
        shares = (abs(numbers - truth)[..., None] / truth <= MRA_TOLERANCES).mean(axis=-1)
    else:
        shares = (numbers == truth).astype(float)
    return shares if numbers.ndim else float(shares)


def one_minus_relative_error(predicted: float, truth: float) -> float:
    """max(0, 1 - |p-g| / |g|), as Video-R1 pays it: half the truth, or one and a half times it, still earns 0.5."""
    if predicted == truth:
        return 1.0
    return max(0.0, 1 - abs(predicted - truth) / abs(truth)) if truth and math.isfinite(predicted) else 0.0


NUMERIC_REWARDS: dict[str, Callable[[float, float], float]] = {
    "paper": paper_numeric,
    "mra": mra,
    "one_minus_relative_error": one_minus_relative_error,
}


def accuracy_reward(text: str, row: Mapping, numeric: str = "paper") -> float:
    """What the answer in a completion earns, from 0 to 1; nothing where none can be read.

    Args:
        text: the completion, read by `parse_answer`.
        row: with `question_type`, `options`, `question` and `ground_truth`.
        numeric: the reward for numbers, one of `NUMERIC_REWARDS`; letters and words earn 1 for a match.

    Raises:
        ValueError: for an unknown `numeric` or question type; never because of the text.
    """
    reward = _numeric(numeric)
    parsed = parse_answer(text, row)
    if parsed.value is None:
        return 0.0
    if parsed.kind == "number":
        return reward(float(parsed.value), float(row["ground_truth"]))
    return float(same_answer(parsed.value, row["ground_truth"], parsed.kind))


def format_reward(text: str, mode: str) -> float | None:
    """1.0 if the whole completion is a block of the mode and then an answer block, else 0.0; None in vanilla mode.

    Between the tags anything is paid, nothing included: that is R1-V's rule, and a way to cheat (see `CHEATS`).
    """
    _check_mode(mode)
    return float(_FORMATS[mode].fullmatch(text) is not None) if mode in _FORMATS else None


def make_reward_funcs(mode: str, numeric: str = "paper") -> list[RewardFunction]:
    """Make the rewards of a mode as `trl.GRPOTrainer(reward_funcs=…)` takes them.

    Args:
        mode: think and observe earn accuracy and format, vanilla accuracy alone.
        numeric: the reward for numbers, one of `NUMERIC_REWARDS`.

    Returns:
        `accuracy_reward` and, but for vanilla, `format_reward`: each takes `completions` (texts, or conversations whose
        last turn counts) and the columns of the batch as lists, and returns one float for each completion.
    """
    _check_mode(mode)
    _numeric(numeric)  # complain now, not at the first step

    def accuracy(completions: Sequence, **columns) -> list[float]:
        rows = _rows(len(completions), columns)
        return [accuracy_reward(_text(c), row, numeric) for c, row in zip(completions, rows, strict=True)]

    def form(completions: Sequence, **columns) -> list[float]:
        return [format_reward(_text(c), mode) for c in completions]

    accuracy.__name__, form.__name__ = "accuracy_reward", "format_reward"  # TRL logs by these names
    return [accuracy, form] if mode in _FORMATS else [accuracy]


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}: choose one of {', '.join(MODES)}")


def _numeric(name: str) -> Callable[[float, float], float]:
    if name not in NUMERIC_REWARDS:
        raise ValueError(f"unknown reward for numbers {name!r}: choose one of {', '.join(NUMERIC_REWARDS)}")
    return NUMERIC_REWARDS[name]


def _rows(count: int, columns: Mapping) -> list[dict]:
    """The rows of a batch, from its columns; what is not one value a completion (TRL's own arguments) is left alone."""
    if missing := [name for name in ("question_type", "ground_truth") if name not in columns]:
        raise ValueError(f"column {missing[0]!r} is missing: rewards need the rows' fields; keep them in the data set")
    own = {k: v for k, v in columns.items() if isinstance(v, (list, tuple)) and len(v) == count}
    rows = [{name: values[i] for name, values in own.items()} for i in range(count)]
    return [{"options": None, "question": ""} | row for row in rows]


def _text(completion) -> str:
    """The text of a completion: itself, or the content of a conversation's last turn, its text blocks joined."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"] if completion else ""
    if isinstance(content, str):
        return content
    return "".join(block.get("text") or "" for block in content or [])


@dataclass(frozen=True)
class Cheat:
    """A completion that earns what it should not, or fails to earn what one might think.

    Attributes:
        name: two or three words.
        completion, mode, row: what was written, how it was asked for, and the row (question and truth).
        accuracy, format: what it earns with the paper's rewards; format None in vanilla mode.
        reason: why, and what it teaches.
    """

    name: str
    completion: str
    mode: str
    row: dict
    accuracy: float
    format: float | None
    reason: str


def _row(question_type: str, question: str, truth: str, options: list[str] | None = None) -> dict:
    return {"question_type": question_type, "question": question, "ground_truth": truth, "options": options}


_COUNT = _row("object_counting", "How many chair(s)in the room?", "4")
_SIZE = _row("object_size_estimation", "What is the length of the longest side of the sofa, in centimeters?", "200")
_SIDE = _row("object_rel_direction_easy", "Is the sofa to the left or the right of the desk?", "left")
_NEAR = _row(
    "object_rel_distance", "Which is the closest to the bed?", "B", ["A. chair", "B. sofa", "C. desk", "D. lamp"]
)

CHEATS: tuple[Cheat, ...] = (
    Cheat(
        "empty thoughts", "<think> </think> <answer>4</answer>", "think", _COUNT, 1.0, 1.0,
        "The format asks for tags, not for thoughts: this is where the paper's rollouts ended.",
    ),
    Cheat(
        "tags repeated", "<think></think><think></think> <answer>4</answer>", "think", _COUNT, 1.0, 1.0,
        "R1-V's pattern lets tags stand inside tags, so a length reward on top is collected by repeating empty ones.",
    ),
    Cheat(
        "tags around nothing", "<think>Hm.</think> <answer></answer>", "think", _COUNT, 0.0, 1.0,
        "Format is paid without any answer: early in training this is the cheapest reward there is.",
    ),
    Cheat(
        "answer before thoughts", "<answer>4</answer> <think>Four chairs.</think>", "think", _COUNT, 1.0, 0.0,
        "Accuracy does not depend on format: a right answer out of order loses the format reward alone.",
    ),
    Cheat(
        "the other mode's tags", "<think>Two by the desk.</think> <answer>4</answer>", "observe", _COUNT, 1.0, 0.0,
        "Each mode pays its own tags only.",
    ),
    Cheat(
        "both sides", "left or right", "vanilla", _SIDE, 0.0, None,
        "Naming every word would otherwise always match: different candidates in one answer are read as none.",
    ),
    Cheat(
        "both sides, tagged", "<think>Hm.</think> <answer>left right</answer>", "think", _SIDE, 0.0, 1.0,
        "The same between tags; the format is paid all the same.",
    ),
    Cheat(
        "every letter", "A, B, C, D", "vanilla", _NEAR, 0.0, None,
        "A search for the right letter anywhere in the text would pay this.",
    ),
    Cheat(
        "letter and text disagree", "B) chair", "vanilla", _NEAR, 0.0, None,
        "The letter is right and the text is another option's: read as ambiguous, not by whichever fits.",
    ),
    Cheat(
        "every number", "<think>Hm.</think> <answer>1 2 3 4 5</answer>", "think", _COUNT, 0.0, 1.0,
        "Listing numbers until one fits is read as ambiguous.",
    ),
    Cheat(
        "the middle of the range", "<think>Hm.</think> <answer>150</answer>", "think", _SIZE, 1 - 50 / 150, 1.0,
        "A constant near the middle of the training answers earns much without looking, and no reward can tell: "
        "the most-frequent-answer row and the wrong-clip row do.",
    ),
    Cheat(
        "thoughts without an answer", "<think>I count 4 chairs.</think>", "think", _COUNT, 0.0, 0.0,
        "A number in the thoughts is no answer, or thinking aloud of every number would be one.",
    ),
    Cheat(
        "many answers", "<think>Hm.</think><answer>4</answer><answer>5</answer>", "think", _COUNT, 0.75, 1.0,
        "The last answer counts, so several earn no more than one; R1-V's pattern does not mind them.",
    ),
    Cheat(
        "answer never closed", "<think>Hm.</think> <answer>4", "think", _COUNT, 1.0, 0.0,
        "The answer is there to be read; closing its tag is the format's business.",
    ),
    Cheat(
        "minus the answer", "-4", "vanilla", _COUNT, 0.0, None,
        "The paper's |p-g| / min(p,g) is negative here, and 1 minus it would pay 3.",
    ),
    Cheat(
        "zero", "0", "vanilla", _COUNT, 0.0, None,
        "The paper's error divides by min(p,g): without a guard a zero stops the training.",
    ),
    Cheat(
        "another unit", "2 m", "vanilla", _SIZE, 1.0, None,
        "No cheat: 2 m are the 200 cm asked for, and a stated unit is converted.",
    ),
    Cheat(
        "an endless number", "9" * 400, "vanilla", _COUNT, 0.0, None,
        "Larger than any float: it must not become infinity, and a reward never becomes not-a-number.",
    ),
)  # fmt: skip
