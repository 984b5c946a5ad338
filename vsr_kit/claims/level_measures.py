"""Measures of claims about how far a training reaches, and about answers that agree with their own chains.

Questions at a distance from training are other questions than those near it, so their scores are not paired: each run
gives one number, its score away minus its score at home, and the numbers of two ways to train are compared by
Student's interval over seeds. The same comparison serves any number of which a run has one, such as the share of its
answers that agree with their chains.
Left out: what other rooms would have made of it; intervals here are over seeds alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vsr_kit.bridging.stated import agreement
from vsr_kit.claims.chain_measures import over_seeds
from vsr_kit.claims.measures import Compared, Evidence, comparing
from vsr_kit.claims.recipe import BENCH_SET, UNTRAINED
from vsr_kit.claims.rules import Finding, Measure
from vsr_kit.claims.training_measures import welch
from vsr_kit.evaluation import Interval


def changes(evidence: Evidence, of: str, home: str, away: Sequence[str]) -> list[float]:
    """Of each run of a variant the mean score over some question sets minus that on another, in points.

    A score is the mean of the tasks that a set asks. Sets that ask other tasks differ in difficulty, too, which cancels
    where variants are compared.
    """
    at_home: Any = evidence.trained(of, questions=home)
    far: list[Any] = [evidence.trained(of, questions=name) for name in away]
    means = [np.mean([own.overall for own in runs]) for runs in zip(*far, strict=True)]
    return [100 * float(mean - own.overall) for mean, own in zip(means, at_home, strict=True)]


def keeps_more(name: str, after: str, before: str, home: str, away: Sequence[str]) -> Measure:
    """How much more of its score at home one variant keeps away from it than another, in points.

    Args:
        name: of the finding.
        after, before: variants.
        home: the question set nearest to training.
        away: question sets farther off, of which the mean counts.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        own, other = (changes(evidence, of, home, away) for of in (after, before))
        asked: Any = [evidence.trained(after, questions=one)[0] for one in away]
        rooms = {room for table in asked for room in table.rooms}
        return {name: two_sides(own, other, sum(table.n for table in asked), rooms)}

    last = len(away)  # of the sets that are read of a side: home, then each one farther off
    return comparing(measure, Compared(last, 2 * last + 1))


def agree_more(name: str, after: str, before: str, mode: str = "think", questions: str = BENCH_SET) -> Measure:
    """How many more answers agree with what their own chains conclude, of chains that conclude something.

    Args:
        name: of the finding; `<name>_concluding` is the difference of the shares of chains that conclude something.
        after, before: variants, or `base` for the untrained model, which has one share and no seeds.
        mode: in which all were asked.
        questions: name of the question set.
    """

    def shares(evidence: Evidence, of: str) -> tuple[list[tuple[float, float]], list[dict]]:
        untrained = of in UNTRAINED
        runs = [evidence.texts(mode, questions, of)] if untrained else evidence.trained_texts(of, questions, mode)
        return [agreement(rows) for rows in runs], runs[0]

    def measure(evidence: Evidence) -> dict[str, Finding]:
        own, rows = shares(evidence, after)
        other, _ = shares(evidence, before)
        rooms = {(row["dataset"], row["scene_name"]) for row in rows}
        sides = {"_concluding": 0, "": 1}
        return {
            f"{name}{part}": two_sides([a[i] for a in own], [b[i] for b in other], len(rows), rooms)
            for part, i in sides.items()
        }

    return comparing(measure, Compared())


def two_sides(after: Sequence[float], before: Sequence[float], n: int, rooms: set[tuple[str, str]]) -> Interval:
    """The difference of two means of one number a run, with Student's interval over runs (Welch's); no rooms are drawn.

    A side of one number has no variance of its own, as an untrained model has none.

    Args:
        after, before: a number of each run.
        n, rooms: questions that they rest on, and (dataset, scene_name) of the rooms.

    Raises:
        ValueError: neither side has several runs, or a number is none.
    """
    if not all(len(side) and np.isfinite(side).all() for side in (after, before)):
        raise ValueError(f"runs have {list(after)} and {list(before)}: every run must have a finite number")
    if min(len(after), len(before)) > 1:
        found = welch(after, before)
    elif len(after) > 1:
        found = over_seeds([own - before[0] for own in after], n, len(rooms))
    else:
        found = over_seeds([after[0] - own for own in before], n, len(rooms))
    datasets = tuple(sorted({dataset for dataset, _ in rooms}))
    return replace(found, n=n, rooms=len(rooms), seeds=(len(after), len(before)), datasets=datasets)
