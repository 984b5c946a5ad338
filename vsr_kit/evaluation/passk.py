"""pass@k and best-of-k: the exact expected score of the best of k answers, from n samples of each question.

Every choice of k out of n sampled answers is equally likely, so the mean of the best of k needs no drawing: it is a sum
over ranks. For right-or-wrong answers it is the usual unbiased pass@k. A curve shows how varied a model's answers are;
compare it with `draws_from_training_answers`, which rises by luck alone.
Left out: majority voting, and estimates for k above n, which would need assumptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import comb

from vsr_kit.evaluation.intervals import RESAMPLES, Interval, intervals
from vsr_kit.evaluation.scorers import Score, ScoreTable, score


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of k answers is right, given that c of n sampled ones are: 1 - C(n-c, k) / C(n, k).

    Raises:
        ValueError: unless 0 <= c <= n and 1 <= k <= n.
    """
    if not 0 <= c <= n:
        raise ValueError(f"c is {c} of n = {n} answers: right answers must be between 0 and n")
    _check_k(k, n)
    return 1 - comb(n - c, k) / comb(n, k)


def best_of_k(scores_n: Sequence[float], k: int) -> float:
    """Mean of the best of k scores over all choices of k of the n, each score used at most once.

    Raises:
        ValueError: unless 1 <= k <= n.
    """
    n = len(scores_n)
    _check_k(k, n)
    # the i-th smallest is the best of those choices whose other k-1 come from the i below it
    return sum(value * comb(i, k - 1) for i, value in enumerate(sorted(scores_n))) / comb(n, k)


def best_of_k_table(rows: Iterable[Mapping], k: int, harness: str = "lenient") -> ScoreTable:
    """Score questions that were answered several times by the mean best of k answers.

    Args:
        rows: with `prediction`, one for each answer; those of one question share dataset, scene_name and id.
        k: tries; every question needs at least as many answers.

    Returns:
        A table with one entry for each question; `parsed` is whether any of its answers could be read.
    """
    return _best(score(rows, harness), k)


def best_of_k_curve(
    rows: Iterable[Mapping],
    ks: Sequence[int],
    harness: str = "lenient",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, dict[int, Interval]]:
    """Best-of-k of `overall` and every task for several k, with intervals over rooms: {task: {k: Interval}}."""
    table = score(rows, harness)
    curve: dict[str, dict[int, Interval]] = {}
    for k in ks:
        for task, found in intervals(_best(table, k), harness, resamples, seed).items():
            curve.setdefault(task, {})[k] = found
    return curve


def _best(table: ScoreTable, k: int) -> ScoreTable:
    keys = list(zip(table.ids, table.rooms, table.question_types, strict=True))
    groups: dict[tuple, list[Score]] = {}
    for key, own in zip(keys, table.scores, strict=True):
        groups.setdefault(key, []).append(own)
    for (ident, room, _), group in groups.items():
        if len(group) < k:
            raise ValueError(f"row {ident[1]!r} of {room[1]!r} has {len(group)} answers: best of {k} needs {k} or more")
    ids, rooms, kinds = zip(*groups, strict=True)
    return ScoreTable(table.harness, ids, rooms, kinds, tuple(_best_score(group, k) for group in groups.values()))


def _best_score(group: Sequence[Score], k: int) -> Score:
    readable = any(own.parsed for own in group)
    return Score(best_of_k([own.value for own in group], k), readable, None if readable else group[0].reason)


def _check_k(k: int, n: int) -> None:
    if not 1 <= k <= n:
        raise ValueError(f"k is {k} with n = {n} answers: k must be 1 to n; sample more answers for a larger k")
