"""Scores: three readings of an answer, VSI-Bench's table of means, and predictions read from a file.

All three readings share VSI-Bench's metric (mean relative accuracy for numbers, exact match for choices) and differ in
what they take the answer to be:

- `official`: everything before the first space, without a full stop at its end. "Answer: 3", "two", "1.5m" and "B)" are
  wrong; so is any chain. Source: vision-x-nyu/thinking-in-space, lmms_eval/tasks/vsibench/utils.py.
- `lmms-eval`: for numbers the first digit or number word anywhere; choices as `official`. Source: lmms-eval 0.7.3, the
  same path. Numbers published before July 2026 were read the official way.
- `lenient`: `vsr_kit.prompts.parse_answer`.

The first two know no rows without options (VSI-100k); words are compared there as letters would be, so a ground truth
of two words is never right. Puzzles are read alike by all three, and a puzzle's score is the share of its places that
are right (`vsr_kit.rewards.orders`).

The table has the mean of each question type, of each task, and over all tasks. The three levels of relative direction
are one task, the mean of their means. Where a set of questions lacks some types or tasks, means are over those present;
VSI-Bench's code stops there, since its own questions lack none. `overall` leaves out what is none of the benchmark's:
the kit's multi-step types, which have a mean of their own, `multi_step`, and mathematics, which the lenient reading
alone is made for (the others compare its first word).

Predictions are records with VSI-Bench's fields and `prediction`, as JSON lines or a table. They follow the rules of
rows (`vsr_kit.data.checking`), and the first record that breaks one stops the reading: a score over the valid lines
alone would be the score of another set of questions. Several answers to one question differ in a field `sample`. A
study keeps answers without their questions (`id`, `said`, `cut`); they are joined to the questions in the same folder.

Left out: the harnesses' prompts (`vsr_kit.prompts` has them) and their limit of 16 new tokens, intervals, and drawing.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from vsr_kit.data import check_row, read_records, read_rows
from vsr_kit.prompts import answer_choices, parse_answer, same_answer
from vsr_kit.prompts.number_words import lmms_eval_number
from vsr_kit.questions import (
    BESIDE_TYPES,
    MULTI_STEP_TYPES,
    NUMERIC_TYPES,
    PUZZLE_TYPES,
    QUESTION_TYPES,
    TASKS,
    TRAINED_TASKS,
    task_of,
)
from vsr_kit.rewards import mra
from vsr_kit.rewards.orders import places_right, read_order
from vsr_kit.validation import shown


@dataclass(frozen=True)
class Score:
    """What one answer is worth.

    Attributes:
        value: 0 to 1.
        parsed: whether an answer could be read; a parse failure is worth 0.
        reason: why not, one of `vsr_kit.prompts.REASONS`; None if it could.
    """

    value: float
    parsed: bool
    reason: str | None


def score_row(row: Mapping, prediction: str, harness: str = "official") -> Score:
    """Score one prediction.

    Args:
        row: with `question_type`, `question`, `options` and `ground_truth`.
        prediction: what the model wrote.
        harness: one of `HARNESSES`.
    """
    if harness not in HARNESSES:
        raise ValueError(f"unknown harness {harness!r}: choose one of {', '.join(HARNESSES)}")
    if row["question_type"] not in QUESTION_TYPES:
        raise ValueError(f"unknown question_type {row['question_type']!r}: choose one of {', '.join(QUESTION_TYPES)}")
    if row["question_type"] in PUZZLE_TYPES:
        return _order(row, prediction)
    return _SCORERS[harness](row, prediction)


def _official(row: Mapping, prediction: str) -> Score:
    if row["question_type"] in NUMERIC_TYPES:
        return _number(row, _float(first_word(prediction)))
    return _first_word_match(row, prediction)


def _lmms_eval(row: Mapping, prediction: str) -> Score:
    if row["question_type"] in NUMERIC_TYPES:
        return _number(row, lmms_eval_number(prediction))
    return _first_word_match(row, prediction)


def _lenient(row: Mapping, prediction: str) -> Score:
    parsed = parse_answer(prediction, row)
    if parsed.value is None:
        return _score(0.0, False, parsed.reason)
    if parsed.kind == "number":
        return _number(row, float(parsed.value))
    return _score(float(same_answer(parsed.value, row["ground_truth"], parsed.kind)), True, None)


_SCORERS: dict[str, Callable[[Mapping, str], Score]] = {
    "official": _official,
    "lenient": _lenient,
    "lmms-eval": _lmms_eval,
}
HARNESSES = tuple(_SCORERS)


def _order(row: Mapping, prediction: str) -> Score:
    read = read_order(prediction, row) is not None
    return _score(places_right(prediction, row), read, None if read else _why(prediction.strip(), "not a number"))


def first_word(prediction: str) -> str:
    """What VSI-Bench reads: everything before the first space, without a full stop at its end."""
    # in this order: a line break inside stays, and "3.\n" keeps its full stop
    return prediction.partition(" ")[0].rstrip(".").strip()


def _first_word_match(row: Mapping, prediction: str) -> Score:
    word = first_word(prediction).lower()
    offered = {choice.label.lower() for choice in answer_choices(row)}
    parsed = word in offered if offered else bool(word)
    return Score(float(word == row["ground_truth"].lower()), parsed, None if parsed else _why(word, "not an option"))


def _number(row: Mapping, value: float | None) -> Score:
    if value is None or not math.isfinite(value):
        return _score(0.0, False, "not a number")
    return _score(_mra(value, float(row["ground_truth"])), True, None)


_mra = lru_cache(maxsize=1 << 15)(mra)  # numpy is slow on single numbers, and few pairs of them are new
_score = lru_cache(maxsize=1024)(Score)  # few of very many differ


def _float(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def _why(word: str, otherwise: str) -> str:
    return otherwise if word else "empty"


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
    def overall(self) -> float | None:
        """The mean of the tasks that occur, 0 to 1, without `BESIDE_TYPES`; None if there are no others."""
        return self._mean([task for task in self.tasks if task not in BESIDE_TYPES])

    @property
    def trained(self) -> float | None:
        """The mean of those of the six trained tasks that occur, 0 to 1; None if none does."""
        return self._mean(TRAINED_TASKS)

    @property
    def multi_step(self) -> float | None:
        """The mean of those of the four multi-step types that occur, 0 to 1; None if none does."""
        return self._mean(MULTI_STEP_TYPES)

    def _mean(self, of: Collection[str]) -> float | None:
        present = [value for task, value in self.tasks.items() if task in of]
        return float(np.mean(present)) if present else None

    @property
    def means(self) -> dict[str, float]:
        """`overall` and `multi_step`, 0 to 1: those that these rows have."""
        found = {"overall": self.overall, "multi_step": self.multi_step}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def parse_rate(self) -> float:
        """The share of answers that could be read."""
        return float(np.mean([score.parsed for score in self.scores]))

    def percent(self) -> dict[str, float]:
        """`overall`, `multi_step` and every task, in per cent: those that these rows have."""
        return {name: 100 * value for name, value in (self.means | self.tasks).items()}

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


_STUDY_LINE = {"id", "said"}


def read_predictions(path: str | Path) -> list[dict]:
    """Read rows with VSI-Bench's fields plus `prediction` from JSON lines, plain or gzipped, a pipe, or parquet.

    A study's `answers/NAME.jsonl.gz` is read with its `questions/`: each draw is a row with `sample`.

    Raises:
        ValueError: naming line, field, rule and remedy of the first line that breaks one; also for an empty file.
    """
    path = Path(path)
    records = list(read_records(path, "JSON lines of VSI-Bench rows with 'prediction'", blank_lines=False))
    if not records:
        raise ValueError(f"{path}: is empty; a line for each prediction is needed")
    first = records[0][1]
    if isinstance(first, dict) and first.keys() >= _STUDY_LINE and "question_type" not in first:
        records = list(_joined(records, path))
    return _checked(records)


def _checked(records: Iterable[tuple[str, object]]) -> list[dict]:
    rows, seen = [], {}
    for where, record in records:
        row = _checked_row(record, where)
        key = row["dataset"], str(row["id"]), json.dumps(row.get("sample"))
        if key in seen:
            rule = "give a question one row, or number its rows in a field 'sample'"
            raise ValueError(f"{where}: field 'id' {shown(row['id'])} is {seen[key]}'s, too; {rule}")
        seen[key] = where.rpartition(", ")[2]
        rows.append(row)
    return rows


def _checked_row(record: object, where: str) -> dict:
    asked = {k: v for k, v in record.items() if k != "prediction"} if isinstance(record, dict) else record
    row = check_row(asked, where)  # but for the prediction: a model may have written anything
    if not isinstance(record.get("prediction"), str):
        found = "missing" if "prediction" not in record else shown(record["prediction"])
        raise ValueError(f"{where}: field 'prediction' is {found}, must be the text the model wrote, such as \"3\"")
    return row | {"prediction": record["prediction"]}


def _joined(records: list[tuple[str, object]], path: Path) -> Iterator[tuple[str, object]]:
    """A study's answers with the fields of their questions; every draw is a row."""
    beside = path.absolute().parent.parent / "questions" / f"{path.name.split('--')[0]}.jsonl.gz"
    if "--" not in path.name or not beside.is_file():
        raise ValueError(
            f"{path}: holds a study's answers (id, said) without their questions: keep answers/NAME--….jsonl.gz and "
            "questions/NAME.jsonl.gz side by side, or give rows with VSI-Bench's fields and 'prediction'"
        )
    questions = {row["id"]: row for row in read_rows(beside)}
    for where, record in records:
        answers = record.get("said") if isinstance(record, dict) else None
        if not isinstance(answers, list) or record.get("id") not in questions:
            raise ValueError(f"{where}: is no answer to a question of {beside}; copy both files of the study again")
        for sample, said in enumerate(answers):
            yield where, {**questions[record["id"]], "sample": sample, "prediction": said}
