"""Measures of claims about chains: whether longer is worse, and how a knob moves what thinking adds.

They read what `measures` reads, an `Evidence`, and return the same findings.
Left out: the quality of chains, which is described (`bridging.quality`) and decides no claim.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vsr_kit.claims.measures import Compared, Evidence, comparing
from vsr_kit.claims.rules import Finding, Measure
from vsr_kit.evaluation import Interval, score, student_interval, unpaired_difference


def shorter_minus_longer(name: str, model: str, questions: str, how: Mapping) -> Measure:
    """Thinking answers of an untrained model: the shorter half of each question type minus the longer, over tasks.

    Types differ in length and in difficulty by themselves, so halves are taken within each.

    Args:
        name: of the finding.
        model: `base`, or a shipped checkpoint's name.
        questions: name of the question set.
        how: cap and prompt_set, as a `Condition` has them.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        rows = evidence.texts("think", questions, model, **how)
        shorter, longer = halves_by_length(rows)
        if not shorter:
            raise ValueError("no question type has a shorter half: its answers are equally long; ask more questions")
        return {name: unpaired_difference(score(shorter, "lenient"), score(longer, "lenient"), task="overall")}

    return comparing(measure, Compared(halves=True))


def halves_by_length(rows: Sequence[Mapping]) -> tuple[list[Mapping], list[Mapping]]:
    """Rows whose `prediction` is shorter than the median of their question type, and the others, in characters.

    A type that has no shorter half, since most of its answers are equally long, is left out of both: a mean over types
    would compare different types.
    """
    lengths: dict[str, list[int]] = {}
    for row in rows:
        lengths.setdefault(row["question_type"], []).append(len(row["prediction"]))
    middle = {kind: float(np.median(own)) for kind, own in lengths.items()}
    shorter = [row for row in rows if len(row["prediction"]) < middle[row["question_type"]]]
    split = {row["question_type"] for row in shorter}
    rest = [row for row in rows if len(row["prediction"]) >= middle[row["question_type"]]]
    longer = [row for row in rest if row["question_type"] in split]
    return shorter, longer


def share_slope(name: str, variants: Mapping[float, str], questions: str) -> Measure:
    """How think minus vanilla grows with a share: a straight line through the variants, one slope for each seed.

    Args:
        name: of the finding.
        variants: the share in per cent to the variant trained with it.
        questions: name of the question set.

    The finding is the mean slope in points from 0 to 100 per cent, with Student's interval over the seeds.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        gains = []
        asked: Any = None
        for of in variants.values():
            think: Any = evidence.trained(of, questions=questions)
            glance: Any = evidence.trained(of, questions=questions, mode="vanilla")
            gains.append([100 * (a.overall - b.overall) for a, b in zip(think, glance, strict=True)])
            asked = think[0]
        seeds = min(map(len, gains))
        slopes = [100 * np.polyfit(list(variants), [own[seed] for own in gains], 1)[0] for seed in range(seeds)]
        datasets = tuple(sorted({dataset for dataset, _ in asked.rooms}))
        return {name: over_seeds(slopes, asked.n, len(set(asked.rooms)), datasets)}

    return comparing(measure, Compared(-2, -1))  # thinking and not, where the share is highest


def over_seeds(values: Sequence[float], n: int, rooms: int, datasets: tuple[str, ...] = ()) -> Interval:
    """The mean of one value a seed with Student's interval, which stands for both intervals: no rooms are drawn.

    Raises:
        ValueError: fewer than two seeds, which have no spread.
    """
    student = student_interval(values)
    return Interval(float(np.mean(values)), *student, n, rooms, (len(values),), student, datasets)
