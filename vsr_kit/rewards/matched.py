"""Advantages matched to the standard normal distribution by rank, task by task, and a reward that hands them on.

GRPO takes (r - mean) / std within a group. It keeps the shape of the rewards: the one right answer of eight that are
paid 0 or 1 is worth 2.5, and the best of eight graded answers 1.4 or so, so a task weighs by how it is paid. Matching
keeps the order alone. The i-th smallest of n rewards becomes the quantile of N(0, 1) at (i - 1/2) / n, which is the
optimal transport of n equal weights on a line; rewards that are equal share the mean of their quantiles.

Ranks are taken over all groups of one question type in a step, each reward first minus its group's mean: a hard
question would otherwise lie below an easy one of its type. A group of equal rewards takes no part and gets 0.

The type is known where rewards are made and no longer where advantages are, so `matched_reward` is a reward that *is*
the advantage, and `as_paid` hands it on: give both to `methods.GRPO`, and pay nothing else.
Left out: types that share a step in several processes, which each process ranks for itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial, update_wrapper
from itertools import groupby
from math import fsum, isfinite
from statistics import NormalDist

from vsr_kit.rewards.trl_functions import RewardFunction, make_reward_funcs, rows_of_batch


def normal_scores(values: Sequence[float]) -> list[float]:
    """Each value's quantile of N(0, 1) by its rank: that at (i - 1/2) / n for the i-th smallest of n.

    Equal values share the mean of their quantiles, so what comes out has mean 0, and is all 0 where all are equal.

    Args:
        values: n finite numbers.

    Returns:
        n numbers in the order of the values.

    Raises:
        ValueError: a value that is no finite number.
    """
    if strange := [value for value in values if not isfinite(value)]:
        raise ValueError(f"values hold {strange[0]}, which has no rank: give finite numbers")
    order = sorted(range(len(values)), key=values.__getitem__)
    quantiles = [NormalDist().inv_cdf((i + 0.5) / len(values)) for i in range(len(values))]
    scores = [0.0] * len(values)
    for _, places in groupby(range(len(values)), key=lambda place: values[order[place]]):
        own = list(places)
        shared = fsum(quantiles[place] for place in own) / len(own) if len(own) < len(values) else 0.0
        for place in own:
            scores[order[place]] = shared
    return scores


def matched_advantages(rewards_BG: Sequence[Sequence[float]], types_B: Sequence[str]) -> list[list[float]]:
    """The advantages of B groups of G rewards, matched to N(0, 1) within each question type.

    Args:
        rewards_BG: the rewards of each group, in groups that may differ in size.
        types_B: the question type of each group.

    Returns:
        Advantages in the form of `rewards_BG`; zeros for a group whose rewards are all equal.

    Raises:
        ValueError: another number of types than groups, or a reward that is no finite number.
    """
    if len(types_B) != len(rewards_BG):
        raise ValueError(f"there are {len(types_B)} types for {len(rewards_BG)} groups: give one for each group")
    advantages = [[0.0] * len(own) for own in rewards_BG]
    by_type: dict[str, list[int]] = defaultdict(list)
    for group, (own, kind) in enumerate(zip(rewards_BG, types_B, strict=True)):
        if len(set(own)) > 1:  # nothing is better than anything else there
            by_type[kind].append(group)
    for groups in by_type.values():
        places = [(group, i) for group in groups for i in range(len(rewards_BG[group]))]
        means = {group: fsum(rewards_BG[group]) / len(rewards_BG[group]) for group in groups}
        # rounded: of two groups alike, the same reward must tie though their means were added in another order
        scores = normal_scores([round(rewards_BG[group][i] - means[group], 9) for group, i in places])
        for (group, i), score in zip(places, scores, strict=True):
            advantages[group][i] = score
    return advantages


def matched_advantage(completions: Sequence, *, mode: str, numeric: str, **columns) -> list[float]:
    """The matched advantage of each completion of a batch.

    Args:
        completions: N texts, or conversations whose last turn counts; those of a group stand together.
        mode: vanilla, think or observe; what is matched is the sum of the mode's rewards.
        numeric: the reward for numbers, one of `NUMERIC_REWARDS`.
        columns: the columns of the batch as lists of N: the rows' fields, and `group`, the number of each one's group.

    Raises:
        ValueError: a column is missing.
    """
    if "group" not in columns:
        raise ValueError("column 'group' is missing: give matched_reward to training by GRPO(rewards=...)")
    rows = rows_of_batch(len(completions), columns)
    terms = [reward(completions, **columns) for reward in make_reward_funcs(mode, numeric)]
    totals = [fsum(own) for own in zip(*terms, strict=True)]
    groups = [list(own) for _, own in groupby(range(len(totals)), key=lambda i: columns["group"][i])]
    rewards_BG = [[totals[i] for i in own] for own in groups]
    matched = matched_advantages(rewards_BG, [rows[own[0]]["question_type"] for own in groups])
    return [advantage for own in matched for advantage in own]


def matched_reward(mode: str, numeric: str = "paper") -> RewardFunction:
    """Make the reward of a mode for `GRPO(rewards=(…,), advantages=as_paid)`; it is logged as `matched_advantage`.

    Pay nothing beside it, by a stage of weight 0 for the mode's own rewards: they are logged all the same.

    Raises:
        ValueError: an unknown mode, or an unknown reward for numbers.
    """
    make_reward_funcs(mode, numeric)  # complain now, not at the first step
    return update_wrapper(partial(matched_advantage, mode=mode, numeric=numeric), matched_advantage)


def as_paid(rewards_BG):
    """The rewards themselves as advantages, for a reward that is one already; a tensor (B, G) as it came."""
    return rewards_BG
