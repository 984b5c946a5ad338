"""Measures of claims about training: numbers read from runs' logs, and what a trained model can do in several tries.

A log has one row a step. A reader, such as `last_mean("frac_reward_zero_std", 20)`, makes one number of it; runs of two
variants are then compared by these numbers, one a run. Variants are independent samples of runs, although run i of both
has seed i: Welch's interval, which is Student's for two samples of unequal spread, decides.
Whether questions that the base never gets right come right is asked with the base's own luck taken off.
Left out: answers asked once, greedily, which `measures.minus` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vsr_kit.claims.chain_measures import over_seeds
from vsr_kit.claims.measures import Compared, Evidence, Log, comparing
from vsr_kit.claims.rules import Finding, Measure
from vsr_kit.evaluation import Interval, Score, ScoreTable, best_of_k_table, difference, pass_at_k
from vsr_kit.rewards.hard import right_answer
from vsr_kit.validation import whole

Reads = Callable[[Log], float]  # one number of one run's log
Key = tuple[str, str, object]  # of a question: data set, room, id
EQUAL_REWARDS = "frac_reward_zero_std"  # TRL's name: the share of groups whose completions all earn the same


def values_of(log: Log, key: str) -> list[float]:
    """A logged number, step by step.

    Raises:
        ValueError: no row of the log has it.
    """
    values = [float(row[key]) for row in log if row.get(key) is not None]
    if not values:
        raise ValueError(f"no step of the log has {key!r}: choose a number that the run logged, or train it so")
    return values


def last_mean(key: str, steps: int, scale: float = 1.0) -> Reads:
    """Reads the mean of a logged number over a run's last steps, times `scale` (100 for a share in per cent)."""
    whole("steps", steps)
    return lambda log: scale * float(np.mean(values_of(log, key)[-steps:]))


def first_mean(key: str, steps: int, scale: float = 1.0) -> Reads:
    """Reads the mean of a logged number over a run's first steps, times `scale`."""
    whole("steps", steps)
    return lambda log: scale * float(np.mean(values_of(log, key)[:steps]))


def change(key: str, steps: int, scale: float = 1.0) -> Reads:
    """Reads what a logged number rose by: its mean over the last steps minus that over as many first ones."""
    whole("steps", steps)
    return lambda log: scale * float(np.mean(values_of(log, key)[-steps:]) - np.mean(values_of(log, key)[:steps]))


def log_minus(name: str, after: str, before: str, read: Reads, unit: str = "points") -> Measure:
    """The difference between two variants of a number that is read from each run's log, in that number's unit.

    Args:
        name: of the finding.
        after, before: variants by name; each needs runs of at least two seeds.
        read: makes one number of a log.
        unit: of that number, such as `tokens` or `nats`; points for a share that is read in per cent.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        sides = [[read(log) for log in evidence.curves(of)] for of in (after, before)]
        return {name: welch(sides[0], sides[1], unit)}

    return measure


def log_mean(name: str, of: str, read: Reads, unit: str = "points") -> Measure:
    """The mean over a variant's runs of a number that is read from each log, with Student's interval over the seeds.

    unit: as `log_minus` takes it.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        values = [read(log) for log in evidence.curves(of)]
        return {name: replace(over_seeds(values, n=len(values), rooms=0), unit=unit)}

    return measure


def welch(after: Sequence[float], before: Sequence[float], unit: str = "points") -> Interval:
    """The difference of two means with Welch's 95 % interval, which stands for both intervals; no rooms are drawn.

    Its `n` counts runs, and it has no rooms.

    Raises:
        ValueError: fewer than two values on a side, which have no spread.
    """
    from scipy.stats import ttest_ind

    if short := [side for side in (after, before) if len(side) < 2]:
        raise ValueError(f"{len(short[0])} run has no spread: give runs of at least 2 seeds")
    apart = float(np.mean(after) - np.mean(before))
    if np.std(after) == 0 and np.std(before) == 0:  # all runs of a side agree: nothing to draw
        ends = apart, apart
    else:
        found = ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
        ends = float(found.low), float(found.high)
    return Interval(apart, *ends, len(after) + len(before), 0, (len(after), len(before)), ends, unit=unit)


def pass_at_minus(
    name: str, after: str, before: str, k: int, task: str = "trained", questions: str | None = None
) -> Measure:
    """The difference between two models' best of k sampled answers, paired by question, in points.

    For answers that are right or wrong it is pass@k; a graded answer counts by the best grade among the k. Both sides
    need sampled passes: a variant's `sampled` names its own, the base's are conditions with `samples`.

    Args:
        name: of the finding.
        after, before: variants or `base`, by name.
        k: tries, at most as many as were drawn.
        task: as `minus` takes it.
        questions: name of the question set; by default that by which `after` is judged.
    """
    whole("k", k)

    def measure(evidence: Evidence) -> dict[str, Finding]:
        about = questions or evidence.test_set(after)
        own, other = (best_tables(evidence, of, k, about) for of in (after, before))
        return {name: difference(own, other, task=task)}

    return comparing(measure, Compared(task=task))


def best_tables(evidence: Evidence, of: str, k: int, questions: str | None = None) -> list[ScoreTable]:
    """The best of k sampled answers to each question, one table a run; arguments as `Evidence.draws` takes them."""
    return [best_of_k_table([row for draw in drawn for row in draw], k) for drawn in evidence.draws(of, questions)]


def right_draws(draws: Iterable[Iterable[Mapping]]) -> dict[Key, tuple[Mapping, list[bool]]]:
    """Of each question its row, and whether each draw answered it rightly (`rewards.right_answer`), in their order.

    draws: rows with `prediction`, one list a draw, as `Evidence.draws` has them of a seed.
    """
    found: dict[Key, tuple[Mapping, list[bool]]] = {}
    for rows in draws:
        for row in rows:
            key = (row["dataset"], row["scene_name"], row["id"])
            found.setdefault(key, (row, []))[1].append(right_answer(row["prediction"], row))
    return found


def reached_minus_luck(name: str, of: str, tries: int, task: str = "trained", questions: str | None = None) -> Measure:
    """What training adds on questions that the base misses in its first draws, in points, paired by question.

    The base's first `tries` draws choose the questions: all are wrong. Its next `tries` draws say what luck alone
    brings, which the trained model's chance of a right answer in as many is compared with. A question that is chosen
    and judged by the same draws would seem to gain whatever training did.

    Args:
        name: of the finding.
        of: a variant by name, with sampled passes.
        tries: at most half as many as the base's draws.
        task: as `minus` takes it.
        questions: name of the question set; by default that by which `of` is judged.

    The measure raises ValueError where the base has too few draws.
    """
    whole("tries", tries)

    def measure(evidence: Evidence) -> dict[str, Finding]:
        about = questions or evidence.test_set(of)
        (base,) = map(right_draws, evidence.draws("base", about))
        if short := next((right for _, right in base.values() if len(right) < 2 * tries), None):
            raise ValueError(f"the base has {len(short)} draws, {tries} tries need {2 * tries}: ask for fewer tries")
        missed = {key: row for key, (row, right) in base.items() if not any(right[:tries])}
        luck = {key: float(any(base[key][1][tries : 2 * tries])) for key in missed}
        runs = []
        for drawn in map(right_draws, evidence.draws(of, about)):
            right = {key: drawn[key][1] for key in missed}
            runs.append(_chances(missed, {key: pass_at_k(len(own), sum(own), tries) for key, own in right.items()}))
        return {name: difference(runs, [_chances(missed, luck)], task=task)}

    return comparing(measure, Compared(task=task))


def _chances(rows: Mapping[Key, Mapping], chances: Mapping[Key, float]) -> ScoreTable:
    """Questions with their chance of a right answer, as a table of scores."""
    return ScoreTable(
        "lenient",
        tuple((dataset, ident) for dataset, _, ident in rows),
        tuple((dataset, room) for dataset, room, _ in rows),
        tuple(row["question_type"] for row in rows.values()),
        tuple(Score(chances[key], True, None) for key in rows),
    )
