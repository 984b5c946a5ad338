"""VSI-Bench's table: the mean of each question type, of each task, and over all of them.

The three levels of relative direction are one task, the mean of their means; the overall score is the mean of the
tasks. Where a set of questions lacks some of them, both means are over those there are: VSI-Bench's code stops there,
since its own questions lack none.
Left out: drawing (`vsr_kit.plots`) and intervals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vsr_kit.evaluation.scorers import Score, score_row
from vsr_kit.questions import QUESTION_TYPES, TASKS, TRAINED_TASKS, task_of


@dataclass(frozen=True)
class TypeScore:
    """One question type: its mean value (0 to 1) and how its n answers divide.

    Attributes:
        mean: of all n, a parse failure counting 0.
        right, partly, wrong: read, and worth 1, between, or 0.
        unparsed: not read; `reasons` says why, and how often.
    """

    mean: float
    n: int
    right: int
    partly: int
    wrong: int
    unparsed: int
    reasons: Mapping[str, int]


@dataclass(frozen=True)
class ScoreTable:
    """The scores of one set of predictions; rows in their order.

    Attributes:
        harness: what read the answers.
        ids: (dataset, id) of every row.
        rooms: (dataset, scene_name) of every row.
        question_types: of every row.
        scores: of every row.
    """

    harness: str
    ids: tuple[tuple[str, object], ...]
    rooms: tuple[tuple[str, str], ...]
    question_types: tuple[str, ...]
    scores: tuple[Score, ...]

    @property
    def n(self) -> int:
        """How many rows."""
        return len(self.scores)

    @cached_property
    def values(self) -> np.ndarray:
        """The value of every row, 0 to 1."""
        return np.array([score.value for score in self.scores])

    @cached_property
    def types(self) -> dict[str, TypeScore]:
        """The question types that occur, in VSI-Bench's order."""
        by_type: dict[str, list[Score]] = {}
        for kind, score in zip(self.question_types, self.scores, strict=True):
            by_type.setdefault(kind, []).append(score)
        return {kind: _summary(by_type[kind]) for kind in QUESTION_TYPES if kind in by_type}

    @cached_property
    def tasks(self) -> dict[str, float]:
        """The tasks that occur, 0 to 1: a type's mean, for relative direction the mean of its levels' means."""
        levels: dict[str, list[float]] = {}
        for kind, summary in self.types.items():
            levels.setdefault(task_of(kind), []).append(summary.mean)
        return {task: float(np.mean(levels[task])) for task in TASKS if task in levels}

    @property
    def overall(self) -> float:
        """The mean of the tasks that occur, 0 to 1."""
        return float(np.mean(list(self.tasks.values())))

    @property
    def trained(self) -> float | None:
        """The mean of those of the six trained tasks that occur, 0 to 1; None if none does."""
        present = [value for task, value in self.tasks.items() if task in TRAINED_TASKS]
        return float(np.mean(present)) if present else None

    @property
    def parse_rate(self) -> float:
        """The share of answers that could be read."""
        return float(np.mean([score.parsed for score in self.scores]))

    def percent(self) -> dict[str, float]:
        """`overall` and every task that occurs, in per cent."""
        return {"overall": 100 * self.overall} | {task: 100 * value for task, value in self.tasks.items()}

    def to_dict(self) -> dict:
        """Everything, ready for JSON: `percent()`, then the trained tasks' mean, counts, and each question type."""
        types = {
            kind: {**vars(summary), "mean": 100 * summary.mean, "reasons": dict(summary.reasons)}
            for kind, summary in self.types.items()
        }
        trained = None if self.trained is None else 100 * self.trained
        counts = {"harness": self.harness, "n": self.n, "parse_rate": 100 * self.parse_rate}
        return {**self.percent(), "mean_of_trained_tasks": trained, **counts, "types": types}


def score(rows: Iterable[Mapping], harness: str = "official") -> ScoreTable:
    """Score rows that carry a `prediction`.

    Raises:
        ValueError: if there is no row, or one has no prediction.
    """
    rows = list(rows)
    for row in rows:
        if not isinstance(row.get("prediction"), str):
            found = row.get("prediction")
            raise ValueError(f"row {row.get('id')!r}: 'prediction' is {found!r}, must be the text the model wrote")
    return tabulate(rows, [score_row(row, row["prediction"], harness) for row in rows], harness)


def tabulate(rows: Sequence[Mapping], scores: Sequence[Score], harness: str) -> ScoreTable:
    """Make a table of scores that were computed elsewhere, one a row."""
    if not rows or len(rows) != len(scores):
        raise ValueError(f"{len(rows)} rows and {len(scores)} scores: give at least one row, and one score for each")
    return ScoreTable(
        harness,
        tuple((row["dataset"], row["id"]) for row in rows),
        tuple((row["dataset"], row["scene_name"]) for row in rows),
        tuple(row["question_type"] for row in rows),
        tuple(scores),
    )


def _summary(scores: Sequence[Score]) -> TypeScore:
    read = [score.value for score in scores if score.parsed]
    right, wrong = sum(value == 1 for value in read), sum(value == 0 for value in read)
    reasons = Counter(score.reason for score in scores if not score.parsed)
    mean = float(np.mean([score.value for score in scores]))
    partly, unparsed = len(read) - right - wrong, len(scores) - len(read)
    return TypeScore(mean, len(scores), right, partly, wrong, unparsed, dict(reasons.most_common()))
