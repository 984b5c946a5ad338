"""What rewards pay: zero-variance groups, the best constant answer, repeated answers, longer against shorter rollouts.

Before training, a reward is judged by the differences that it makes inside a group and by what it pays for a constant
answer; after training, by whether the answers became that constant.
Left out: what a reward should pay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from vsr_kit.questions import NUMERIC_TYPES
from vsr_kit.rewards import NUMERIC_REWARDS, accuracy_reward

Rows = Iterable[Mapping]


def zero_variance_shares(
    rollouts: Rows, numerics: Sequence[str] = tuple(NUMERIC_REWARDS)
) -> dict[str, dict[str, float]]:
    """Share of zero-variance groups if the answers were paid by each of several rewards.

    Args:
        rollouts: of one run or several, with `run`, as `answers.rollouts` gives them.
        numerics: names of rewards for numbers.

    Returns:
        By question type and reward, per cent; `groups` says of how many.
    """
    silent: dict[str, dict[str, list[bool]]] = {}
    for rows in _groups(rollouts):
        of_type = silent.setdefault(rows[0]["question_type"], {name: [] for name in numerics})
        for name in numerics:
            paid = {accuracy_reward(row["completion"], row, name) for row in rows}
            of_type[name].append(len(paid) == 1)
    return {
        kind: {name: 100 * float(np.mean(found)) for name, found in of_type.items()}
        | {"groups": len(next(iter(of_type.values())))}
        for kind, of_type in silent.items()
    }


def best_constants(
    rows: Rows, rewards: Mapping[str, Callable[[float, float], float]] = NUMERIC_REWARDS
) -> dict[str, dict[str, tuple[float, float]]]:
    """The answer of the rows that would earn most if it were given to all of them, and its mean reward.

    By type of number and by reward; of equals the smallest.
    """
    truths: dict[str, list[float]] = {}
    for row in rows:
        if row["question_type"] in NUMERIC_TYPES:
            truths.setdefault(row["question_type"], []).append(float(row["ground_truth"]))
    return {kind: {name: _best(reward, own) for name, reward in rewards.items()} for kind, own in truths.items()}


def _best(reward: Callable[[float, float], float], truths: Sequence[float]) -> tuple[float, float]:
    often = Counter(truths)  # each pair of numbers is paid once
    earned = {c: sum(n * reward(c, truth) for truth, n in often.items()) / len(truths) for c in sorted(often)}
    best = max(earned, key=earned.get)
    return best, float(earned[best])


def modal_answers(rows: Rows) -> dict[str, tuple[str, float]]:
    """By question type, the answer that was written most often, and its share of all answers in per cent."""
    counts: dict[str, Counter] = {}
    for row in rows:
        counts.setdefault(row["question_type"], Counter())[row["prediction"].strip()] += 1
    tops = {kind: answers.most_common(1)[0] for kind, answers in counts.items()}
    return {kind: (text, 100 * count / counts[kind].total()) for kind, (text, count) in tops.items()}


def length_reward_gap(rollouts: Rows, length: Callable[[str], float]) -> float:
    """Accuracy reward of a group's longer half minus that of its shorter half, mean over groups.

    Args:
        rollouts: as `zero_variance_shares` takes them, with `accuracy_reward`.
        length: of a completion; where two are equally long, the one sampled first counts as shorter.
    """
    differences = []
    for rows in _groups(rollouts):
        paid = [row["accuracy_reward"] for row in sorted(rows, key=lambda row: length(row["completion"]))]
        half = len(paid) // 2
        differences.append(np.mean(paid[-half:]) - np.mean(paid[:half]))
    return float(np.mean(differences))


def _groups(rollouts: Rows) -> Iterable[list[Mapping]]:
    """Rollouts of one question in one step of one run."""
    groups: dict[tuple, list[Mapping]] = {}
    for row in rollouts:
        groups.setdefault((row["run"], row["step"], row["id"]), []).append(row)
    return groups.values()
