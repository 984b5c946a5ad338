"""Vision-R1's reward, all or nothing: 1 for a completion with the right format and the right answer, else 0.

The paper (arXiv 2503.06749) calls it the hard formatting result reward function, HFRRF. Its answers are those of
mathematics, right or wrong, and where a row is one of mathematics math-verify says so. Other rows ask for measures, for
which no source says what right is: a number is right within RIGHT_WITHIN of the truth, which is the kit's threshold; a
count must be the count itself. So a chain earns by its answer alone, and a right answer in broken tags earns nothing.

Pay nothing else beside it by a stage of weight 0 from the first step on; what is paid nothing is logged all the same:

    unpaid = Stage(0, rewards={"accuracy_reward": 0, "format_reward": 0})
    GRPO("think", rewards=(hard_reward("think"),), stages=(unpaid,))

`right_reward` pays the answer alone, in any mode: the accuracy of papers whose answers are right or wrong.
Left out: whether the chain itself is right. An empty thought before a right answer earns everything (see `CHEATS`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial, update_wrapper

from vsr_kit.prompts import parse_answer, same_answer
from vsr_kit.questions.types import ANSWER_UNITS
from vsr_kit.rewards.terms import TAGGED_MODES, check_mode, exact, format_reward
from vsr_kit.rewards.trl_functions import RewardFunction, read_completion, rows_of_batch
from vsr_kit.validation import real

# |p - g| / g. Ours: the paper's answers are right or wrong, and no source states a threshold for measures.
RIGHT_WITHIN = 0.25
_ROUNDING = 1e-9  # 1.5 m are within a quarter of 1.2 m, though floats say 0.25000000000000006


def right_answer(text: str, row: Mapping, within: float = RIGHT_WITHIN) -> bool:
    """Whether a completion answers its question rightly; one that cannot be read does not.

    Args:
        text: the completion, read by `parse_answer`.
        row: with `question_type`, `options`, `question` and `ground_truth`.
        within: how far a measure p may be from the truth g, |p - g| / g; at 0 it must be the truth itself, as counts
            (numbers without a unit) always must.

    Raises:
        ValueError: for an unknown question type; never because of the text.
        ImportError: a row of mathematics, and math-verify is not installed.
    """
    parsed = parse_answer(text, row)
    if parsed.value is None:
        return False
    if parsed.kind != "number":
        return same_answer(parsed.value, row["ground_truth"], parsed.kind)
    predicted, truth = float(parsed.value), float(row["ground_truth"])
    if exact(predicted, truth):
        return True
    if row["question_type"] not in ANSWER_UNITS or truth <= 0:  # a count, or a truth that has no share
        return False
    return abs(predicted - truth) / truth <= within + _ROUNDING * (within > 0)


def all_or_nothing(text: str, row: Mapping, mode: str = "think", within: float = RIGHT_WITHIN) -> float:
    """What one completion earns: 1.0 if it has the format of its mode and answers rightly, else 0.0.

    Args:
        text: the completion.
        row, within: as `right_answer` takes them.
        mode: think or observe, whose tags `format_reward` asks for.

    Raises:
        ValueError: for an unknown mode or question type; never because of the text.
    """
    return float(format_reward(text, mode) == 1 and right_answer(text, row, within))


def right_reward(completions: Sequence, **columns) -> list[float]:
    """1.0 for each completion that answers rightly, else 0.0, whatever its tags: for `GRPO(rewards=(right_reward,))`.

    Args:
        completions: N texts, or conversations whose last turn counts.
        columns: the columns of the batch as lists of N, with the rows' fields.
    """
    rows, texts = rows_of_batch(len(completions), columns), map(read_completion, completions)
    return [float(right_answer(text, row)) for text, row in zip(texts, rows, strict=True)]


def hard_format_result_reward(
    completions: Sequence, *, mode: str, within: float = RIGHT_WITHIN, **columns
) -> list[float]:
    """1.0 for each completion that has the format of its mode and answers rightly, else 0.0.

    Args:
        completions: N texts, or conversations whose last turn counts.
        mode: think or observe, whose tags `format_reward` asks for.
        within: as `right_answer` takes it.
        columns: the columns of the batch as lists of N, with the rows' fields.
    """
    rows, texts = rows_of_batch(len(completions), columns), map(read_completion, completions)
    return [all_or_nothing(text, row, mode, within) for text, row in zip(texts, rows, strict=True)]


def hard_reward(mode: str, within: float = RIGHT_WITHIN) -> RewardFunction:
    """Make the reward of a mode for `GRPO(rewards=(…,))`; it is logged as `hard_format_result_reward`.

    A run records it by its source, its mode and its threshold, the same in every process (`joints.described`).

    Raises:
        ValueError: for a mode without tags, which has no format, or a threshold below 0.
    """
    check_mode(mode)
    if mode not in TAGGED_MODES:
        raise ValueError(f"mode is {mode!r}, which has no format to be right: choose {' or '.join(TAGGED_MODES)}")
    real("within", within, remedy="0 asks for the truth itself")
    return update_wrapper(partial(hard_format_result_reward, mode=mode, within=within), hard_format_result_reward)
