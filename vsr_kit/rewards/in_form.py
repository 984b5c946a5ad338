"""CrossThink's reward: accuracy and format together, a product, so that neither is worth anything without the other.

Nemotron-CrossThink (arXiv 2504.13941) pays an answer that is right and stands where it was asked for. vsGRPO adds the
two instead, so that a wrong answer in the right tags still earns one of two points. Here the format has two parts: the
tags of the mode where it has some, else an answer and nothing beside it; and an answer that is one of those offered,
where some are. Accuracy stays graded, as it is for the sum.

Pay nothing beside it by a stage of weight 0 from the first step on:

    unpaid = Stage(0, rewards={"accuracy_reward": 0})
    GRPO("vanilla", rewards=(product_reward("vanilla"),), stages=(unpaid,))

Left out: the length of an open answer, which the paper limits in its data (`vsr_kit.data.forms`) and not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial, update_wrapper

from vsr_kit.data.forms import numbers_offered
from vsr_kit.prompts import parse_answer
from vsr_kit.prompts.numbers import canonical_number
from vsr_kit.rewards.terms import TAGGED_MODES, accuracy_reward, check_mode, format_reward, numeric_reward
from vsr_kit.rewards.trl_functions import RewardFunction, read_completion, rows_of_batch


def in_form(text: str, row: Mapping, mode: str = "vanilla") -> bool:
    """Whether a completion is written as its question wants it, right or wrong.

    Args:
        text: the completion.
        row: with `question_type`, `options` and `question`.
        mode: think and observe want their tags; vanilla wants the answer and no other words.

    Raises:
        ValueError: for an unknown mode or question type; never because of the text.
    """
    check_mode(mode)
    parsed = parse_answer(text, row)
    if parsed.value is None:
        return False
    if not (format_reward(text, mode) == 1 if mode in TAGGED_MODES else parsed.source == "bare"):
        return False
    among = [canonical_number(float(number)) for number in numbers_offered(row)]
    return not among or canonical_number(float(parsed.value)) in among


def both_or_nothing(text: str, row: Mapping, mode: str = "vanilla", numeric: str = "paper") -> float:
    """What one completion earns: its accuracy, 0 to 1, if it is in form, else nothing; arguments as `in_form`'s.

    numeric: the reward for numbers, one of `NUMERIC_REWARDS`.
    """
    return in_form(text, row, mode) * accuracy_reward(text, row, numeric)


def accuracy_and_format(completions: Sequence, *, mode: str, numeric: str = "paper", **columns) -> list[float]:
    """Accuracy times format for each completion, from the columns of the batch; `product_reward` makes it for TRL."""
    rows, texts = rows_of_batch(len(completions), columns), map(read_completion, completions)
    return [both_or_nothing(text, row, mode, numeric) for text, row in zip(texts, rows, strict=True)]


def product_reward(mode: str, numeric: str = "paper") -> RewardFunction:
    """Make the reward of a mode for `GRPO(rewards=(…,))`; it is logged as `accuracy_and_format`.

    Raises:
        ValueError: for an unknown mode, or a reward for numbers that there is none of.
    """
    check_mode(mode)
    numeric_reward(numeric)
    return update_wrapper(partial(accuracy_and_format, mode=mode, numeric=numeric), accuracy_and_format)
