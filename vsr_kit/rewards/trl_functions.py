"""The rewards as `trl.GRPOTrainer(reward_funcs=…)` takes them: a batch of completions in, a list of floats out.

TRL passes completions and the columns of its data set as lists; here they become rows again, each scored by its own
question type. TRL logs a function under its `__name__`.
Left out: asynchronous reward functions, rewards that see token ids, and the weights of the terms, which are TRL's
`reward_weights`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from vsr_kit.rewards.terms import (
    EXTRA_REWARDS,
    TAGGED_MODES,
    accuracy_reward,
    check_mode,
    format_reward,
    numeric_reward,
)

RewardFunction = Callable[..., list]


def make_reward_funcs(mode: str, numeric: str = "paper", extra: Sequence[str] = ()) -> list[RewardFunction]:
    """Make the rewards of a mode as `trl.GRPOTrainer(reward_funcs=…)` takes them.

    Args:
        mode: think and observe earn accuracy and format, vanilla accuracy alone.
        numeric: the reward for numbers, one of `NUMERIC_REWARDS`.
        extra: names of `EXTRA_REWARDS`, paid on top in this order; the paper's runs have none.

    Returns:
        `accuracy_reward`, and but for vanilla `format_reward` and the extra ones (`length_reward`, `thought_reward`):
        each takes `completions` (texts, or conversations whose last turn counts) and the columns of the batch as lists,
        and returns one float for each completion.

    Raises:
        ValueError: for an unknown mode or name, for one named twice, and for an extra reward in vanilla mode.
    """
    check_mode(mode)
    numeric_reward(numeric)  # complain now, not at the first step
    _check_extra(mode, extra)

    def accuracy(completions: Sequence, **columns) -> list[float]:
        rows = rows_of_batch(len(completions), columns)
        return [accuracy_reward(read_completion(c), row, numeric) for c, row in zip(completions, rows, strict=True)]

    accuracy.__name__ = "accuracy_reward"  # TRL logs by this name
    tagged = [format_reward, *(EXTRA_REWARDS[name] for name in extra)] if mode in TAGGED_MODES else []
    return [accuracy, *(text_reward(score, mode) for score in tagged)]


def text_reward(score: Callable[[str, str], float | bool], mode: str) -> RewardFunction:
    """Make a function for TRL, under the same name, of one that scores a single completion by its text and mode."""

    def reward(completions: Sequence, **columns) -> list[float]:
        return [float(score(read_completion(c), mode)) for c in completions]

    reward.__name__ = score.__name__
    return reward


def group_reward(fn: Callable, reference: bool = False) -> RewardFunction:
    """Make a reward for TRL, under the same name, of one that sees all completions of a question at once.

    For rewards that compare: a rank, a majority, what is said once only.

    Args:
        fn: called as fn(completions_G, row) with the G texts of a group and their row (VSI-Bench's fields); returns G
            numbers, or None in the place of one that it says nothing about.
        reference: call it as fn(completions_G, row, reference_logps=logps_G), with the log-probability of each whole
            completion under the reference model: the sum over its tokens, in nats. Costs one more pass of the model.

    Returns:
        A function for `GRPO(rewards=...)`, whose trainer says which completions are a group.

    Raises:
        ValueError: when it is called, a trainer that does not say so, or another number of rewards than completions.
    """

    def reward(completions: Sequence, **columns) -> list:
        for name in ("group", *(("reference_logps",) if reference else ())):
            if name not in columns:
                raise ValueError(f"column {name!r} is missing: give {fn.__name__} to training by GRPO(rewards=...)")
        rows, found = rows_of_batch(len(completions), columns), []
        for _, places in groupby(range(len(completions)), key=lambda i: columns["group"][i]):
            own = list(places)
            more = {"reference_logps": [columns["reference_logps"][i] for i in own]} if reference else {}
            paid = list(fn([read_completion(completions[i]) for i in own], rows[own[0]], **more))
            if len(paid) != len(own):
                raise ValueError(
                    f"{fn.__name__} gave {len(paid)} rewards for {len(own)} completions: give one for each"
                )
            found += paid
        return found

    reward.__name__, reward.__qualname__, reward.__module__ = fn.__name__, fn.__qualname__, fn.__module__
    reward.wants_reference = reference
    return reward


def read_completion(completion: str | Sequence[Mapping]) -> str:
    """The text of a completion: itself, or the content of a conversation's last turn, its text blocks joined."""
    if isinstance(completion, str):
        return completion
    content = completion[-1]["content"] if completion else ""
    if isinstance(content, str):
        return content
    return "".join(block.get("text") or "" for block in content or [])


def _check_extra(mode: str, extra: Sequence[str]) -> None:
    there_are = ", ".join(EXTRA_REWARDS)
    if unknown := [name for name in extra if name not in EXTRA_REWARDS]:
        raise ValueError(f"unknown extra reward {unknown[0]!r}: choose from {there_are}, as a list")
    if len(set(extra)) < len(extra):
        raise ValueError(f"extra rewards {list(extra)} name one twice: TRL logs by name; raise its weight instead")
    if extra and mode not in TAGGED_MODES:
        raise ValueError(
            f"extra reward {extra[0]!r} in {mode} mode: there are no thoughts to pay for; leave it out, or train in "
            f"mode {' or '.join(TAGGED_MODES)}"
        )


def rows_of_batch(count: int, columns: Mapping) -> list[dict]:
    """The rows of a batch, from its columns; what is not one value a completion (TRL's own arguments) is left alone.

    Raises:
        ValueError: the columns lack `question_type` or `ground_truth`.
    """
    if missing := [name for name in ("question_type", "ground_truth") if name not in columns]:
        raise ValueError(f"column {missing[0]!r} is missing: rewards need the rows' fields; keep them in the data set")
    own = {k: v for k, v in columns.items() if isinstance(v, (list, tuple)) and len(v) == count}
    rows = [{name: values[i] for name, values in own.items()} for i in range(count)]
    return [{"options": None, "question": ""} | row for row in rows]
