"""How models think, by variant: score, length, what the cap cut off, words of second thoughts, and checked chains.

Vision-R1 tells its story by the mean length of completions and by accuracy per length. `thinking_of` measures the same
of a variant's shipped answers, `right_by_length` sorts answers by their tokens, and `chains_by_step` checks the chains
of the rollouts that a study kept, early and late in training.
Left out: verdicts. None of this is part of a claim's rule, except for thinking words, which are counted in training.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np

from vsr_kit.bridging.quality import Quality, chain_quality
from vsr_kit.claims.recipe import UNTRAINED
from vsr_kit.data import split_rooms
from vsr_kit.evaluation import Interval, intervals, score
from vsr_kit.paths import checkpoint_of
from vsr_kit.recipes import model_of, variant
from vsr_kit.rewards import COUNTS
from vsr_kit.rooms import Room
from vsr_kit.study.answers import truncated_percent
from vsr_kit.study.question_sets import ROOMS
from vsr_kit.study.study import Study


@dataclass(frozen=True)
class Thinking:
    """How a model thinks about its test questions, over its runs.

    Attributes:
        runs: how many answered.
        score: mean of the trained tasks in per cent, over rooms and seeds.
        tokens: of an answer, mean.
        cut_percent: answers that the cap ended.
        words: of second thoughts in an answer, such as wait and again, mean.
        quality: its chains, checked by computation.
    """

    runs: int
    score: Interval
    tokens: float
    cut_percent: float
    words: float
    quality: Quality


def thinking_of(study: Study, of: str, **how) -> Thinking:
    """How a variant, or an untrained model, thinks in a study's answers to its test questions.

    Args:
        study: whose answers are read.
        of: a variant; or `base` or a shipped checkpoint, asked with the `cap` and `prompt_set` in `how`.

    Raises:
        FileNotFoundError: the study has no such answers.
    """
    runs = study.answers_of(of, mode="think", **how)
    rows = [row for own in runs for row in own]
    return Thinking(
        len(runs),
        intervals(runs)["trained"],
        float(np.mean(token_counts([row["prediction"] for row in rows], of))),
        truncated_percent(rows),
        float(np.mean([COUNTS["thinking_words"](row["prediction"], "think") for row in rows])),
        chain_quality(rows, _rooms("test")),
    )


def token_counts(texts: Sequence[str], of: str) -> list[int]:
    """How many tokens texts have for the tokenizer of a variant's checkpoint, or of an untrained model."""
    model = model_of(of) if of in UNTRAINED else variant(of).profile.model
    return [len(ids) for ids in _tokenizer(model)(list(texts)).input_ids]


@cache
def _tokenizer(model: str):
    from transformers import AutoTokenizer  # which takes seconds to import

    return AutoTokenizer.from_pretrained(checkpoint_of(model))


def right_by_length(
    rows: Sequence[Mapping], tokens: Sequence[int], edges: Sequence[int]
) -> dict[str, tuple[int, float]]:
    """How many answers have so many tokens, and their mean score in per cent.

    Args:
        rows: answers with `prediction`.
        tokens: of each answer.
        edges: the last number of tokens of each bin but the last, which is open.

    Returns:
        By bin, such as `137 to 272`, the number of answers and their mean score; nan for an empty bin.

    Raises:
        ValueError: not one number of tokens for each row, or edges that do not rise.
    """
    if not edges or sorted(set(edges)) != list(edges) or edges[0] < 1:
        raise ValueError(f"edges are {list(edges)}: give at least one number of tokens, each above the one before it")
    earned: list[list[float]] = [[] for _ in range(len(edges) + 1)]
    for own, count in zip(score(rows, "lenient").scores, tokens, strict=True):
        earned[bisect_left(edges, count)].append(own.value)
    between = [f"{low + 1} to {high}" for low, high in pairwise(edges)]
    names = [f"up to {edges[0]}", *between, f"above {edges[-1]}"]
    means = (100 * float(np.mean(own)) if own else float("nan") for own in earned)
    return {name: (len(own), mean) for name, own, mean in zip(names, earned, means, strict=True)}


def chains_by_step(study: Study, of: str, parts: Mapping[str, tuple[int, int]]) -> dict[str, Quality]:
    """The chains of the rollouts that a study kept of a variant, checked, in some parts of its training.

    Args:
        study: whose runs are read; all seeds together.
        of: a variant whose training rooms are the study's.
        parts: by name, the first and the last step.

    Returns:
        By part. A study keeps the rollouts of the first and the last five steps and of every twentieth between.
    """
    rows = [{**row, "prediction": row["completion"]} for run in study.rollouts(of) for row in run]
    return {
        name: chain_quality([row for row in rows if first <= row["step"] <= last], _rooms("train"))
        for name, (first, last) in parts.items()
    }


@cache
def _rooms(split: str) -> dict[str, Room]:
    return {room.name: room for room in split_rooms(ROOMS[split], split)}
