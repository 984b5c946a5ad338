"""Why two scores of one model differ: an account in points that adds up, and a list of what was done differently.

The account of a gap, A's score minus B's, both the mean of the tasks in per cent:

    rows            what each side's score changes by when it is taken over the questions that both answered
    own scorer      what a file's recorded scores differ by from the nearest of our readings of the same answers
    scorer          the same answers of the common questions, read A's way and B's (the mean over both sides' answers)
    answers         the common questions' answers, read the same way (the mean over both readings), divided into
      questions     whose text, options or truth differ under one id
      cut off       where the cap on new tokens ended one of the two
      not read      where one of the two holds no answer that the readings find
      other answers the rest: all else that changes what a model writes (prompt, frames, weights, precision, decoding)

A mean of task means is a weighted sum over questions, so each question's part is exact, and the parts sum up to the gap
to the last digit. Where the rest lies is then for the second list: settings of both sides that differ or that only one
of them records. What neither records cannot be told apart, and is not guessed.
Left out: several answers to one question, and which single setting moved the rest: only a run that changes it alone
can say (`vsr eval` with that option).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from vsr_kit.evaluation import Interval, difference, score_row
from vsr_kit.publishing.sides import Side, differing_settings, pair_rows, short
from vsr_kit.questions import BESIDE_TYPES, task_of


@dataclass(frozen=True)
class Part:
    """A summand of a gap: its name, points, the questions that it rests on, and what to know about it."""

    name: str
    points: float
    rows: int
    about: str = ""


@dataclass(frozen=True)
class Gap:
    """Two scores and the account of their difference.

    Attributes:
        a, b: the sides.
        scores: of A and of B over all of their rows, in per cent.
        parts: summands of scores[0] - scores[1], in points; the last is the rest.
        common: questions that both answered.
        same_answers: of these, how many have the same text on both sides.
        paired: A minus B on the common questions by B's reading, with its interval over rooms; None where there are
            fewer than two rooms.
        differing: (what, on A's side, on B's side), the settings that differ or that one side does not record.
    """

    a: Side
    b: Side
    scores: tuple[float, float]
    parts: tuple[Part, ...]
    common: int
    same_answers: int
    paired: Interval | None
    differing: tuple[tuple[str, str, str], ...]

    @property
    def points(self) -> float:
        """A's score minus B's."""
        return self.scores[0] - self.scores[1]

    def lines(self) -> list[str]:
        """The account as lines of text, safe to print."""
        sides = [(f"A  {self.a.name}", self.a, self.scores[0]), (f"B  {self.b.name}", self.b, self.scores[1])]
        told = [
            f"{short(name)}: {score:.1f} ({len(side.rows)} questions, {side.kind}, read by {side.reader})"
            for name, side, score in sides
        ]
        told += [f"A - B: {self.points:+.1f} points, of which"]
        width = max(len(part.name) for part in self.parts)
        for part in self.parts:
            points = round(part.points, 1) + 0.0  # which has no minus before a zero
            told.append(f"  {part.name:<{width}}  {points:+6.1f}  {part.rows:>6} questions  {part.about}".rstrip())
        told.append(f"{self.common} questions in common, {self.same_answers} with the same answer word for word")
        if self.paired is not None:
            band = f"{self.paired.mean:+.1f} points (95 % {self.paired.low:+.1f} to {self.paired.high:+.1f})"
            told.append(f"on these, both read by {self.b.harness}: {band}")
        told.append("what was done differently, or is recorded by one side alone:" if self.differing else _NOTHING)
        told += [f"  {what}: A {a} | B {b}" for what, a, b in self.differing]
        return told


_NOTHING = "nothing that both sides record was done differently"


# -- the account -------------------------------------------------------------------------------------------------------


def explain_gap(a: Side, b: Side) -> Gap:
    """The account of A's score minus B's; see the module.

    Raises:
        ValueError: the sides have no question in common.
    """
    pairs = pair_rows(a.rows, b.rows)
    if not pairs:
        raise ValueError(
            f"{a.name} and {b.name} have no question in common, by id, or by scene and wording: they are scores of two "
            "benchmarks"
        )
    sides = (a, b)
    common = ([one for one, _ in pairs], [other for _, other in pairs])
    whole = [_mean(side.rows, _values(side, side.rows)) for side in sides]
    there = [_mean(rows, _values(side, rows)) for side, rows in zip(sides, common, strict=True)]
    lost = [len(side.rows) - len(pairs) for side in sides]
    about = f"{lost[0]} are only in A, {lost[1]} only in B"
    parts = [Part("rows", (whole[0] - there[0]) - (whole[1] - there[1]), sum(lost), about)]
    ours = [_mean(rows, _read(rows, side.harness)) for side, rows in zip(sides, common, strict=True)]
    for letter, side, recorded, mine, sign in zip("AB", sides, there, ours, (1, -1), strict=True):
        if side.recorded:
            about = f"as recorded in {letter}, against `{side.harness}` here"
            parts.append(Part(f"own scorer of {letter}", sign * (recorded - mine), len(pairs), about))
    parts += _of_common(a, b, common)
    same = sum(one["prediction"] == other["prediction"] for one, other in pairs)
    return Gap(
        a,
        b,
        (whole[0], whole[1]),
        tuple(parts),
        len(pairs),
        same,
        _paired(common, b.harness),
        differing_settings(a, b, common),
    )


def _of_common(a: Side, b: Side, common: tuple[list, list]) -> list[Part]:
    """Scorer and answers, of the questions that both answered."""
    values = {(i, h): _read(rows, h) for i, rows in enumerate(common) for h in {a.harness, b.harness}}
    means = {key: _mean(common[key[0]], found) for key, found in values.items()}
    scorer = sum(means[i, a.harness] - means[i, b.harness] for i in (0, 1)) / 2
    about = f"{a.harness} against {b.harness}" if a.harness != b.harness else f"both {a.harness}"
    parts = [Part("scorer", scorer, len(common[0]), about)]
    weights = [_weights(rows) for rows in common]
    each = sum(100 * (weights[0] * values[0, h] - weights[1] * values[1, h]) for h in (a.harness, b.harness)) / 2
    kinds = np.array([_kind(one, other, a, b) for one, other in zip(*common, strict=True)])
    for name, told in _KINDS.items():
        rows = kinds == name
        if rows.any() or name == _REST:
            parts.append(Part(name, float(each[rows].sum()), int(rows.sum()), told))
    parts[-1] = Part(_REST, parts[-1].points + float(each[kinds == "same"].sum()), parts[-1].rows, parts[-1].about)
    return parts


_REST = "rest: other answers"
_KINDS = {
    "other questions": "one id, but text, options or truth differ",
    "cut off": "the cap on new tokens ended one of the two",
    "not read": "one of the two holds no answer that is read",
    _REST: "prompt, frames, weights, precision, decoding: see below",
}


def _kind(one: Mapping, other: Mapping, a: Side, b: Side) -> str:
    if _asked(one) != _asked(other):
        return "other questions"
    if one["prediction"] == other["prediction"]:
        return "same"
    if bool(one.get("truncated")) != bool(other.get("truncated")):
        return "cut off"
    parsed = [all(score_row(row, row["prediction"], h).parsed for h in {a.harness, b.harness}) for row in (one, other)]
    return "not read" if parsed[0] != parsed[1] else _REST


def _asked(row: Mapping) -> tuple:
    options = row.get("options")
    truth = str(row["ground_truth"])
    with suppress(ValueError):
        truth = str(float(truth))
    return str(row["question"]), None if options is None or len(options) == 0 else tuple(options), truth


def _values(side: Side, rows: Sequence[Mapping]) -> np.ndarray:
    if side.recorded:
        return np.array([row["recorded_score"] for row in rows], dtype=float)
    return _read(rows, side.harness)


def _read(rows: Sequence[Mapping], harness: str) -> np.ndarray:
    return np.array([score_row(row, row["prediction"], harness).value for row in rows])


def _mean(rows: Sequence[Mapping], values: np.ndarray) -> float:
    return float(100 * (_weights(rows) * values).sum())


def _weights(rows: Sequence[Mapping]) -> np.ndarray:
    """What each row adds to the mean of tasks (`ScoreTable.overall`), so that the weights sum up to one.

    Types beside the benchmark's count where there are no others.
    """
    types = [row["question_type"] for row in rows]
    counted = {kind for kind in types if task_of(kind) not in BESIDE_TYPES} or set(types)
    of_type, levels = Counter(types), Counter(task_of(kind) for kind in counted)
    return np.array([1 / (len(levels) * levels[task_of(k)] * of_type[k]) if k in counted else 0.0 for k in types])


def _paired(common: tuple[list, list], harness: str) -> Interval | None:
    """The difference on common rows with its interval; the rooms are A's."""
    named = [{"dataset": "", **{k: v for k, v in row.items() if v is not None}} for row in common[0]]
    named = [{**row, "dataset": str(row["dataset"]), "id": at} for at, row in enumerate(named)]
    if any(not row.get("scene_name") for row in named) or len({row["scene_name"] for row in named}) < 2:
        return None
    if any(one["question_type"] != other["question_type"] for one, other in zip(*common, strict=True)):
        return None
    other = [
        {**row, **{k: own[k] for k in ("question", "ground_truth", "prediction")}, "options": own.get("options")}
        for row, own in zip(named, common[1], strict=True)
    ]
    task = "overall" if any(task_of(row["question_type"]) not in BESIDE_TYPES for row in named) else "multi_step"
    try:
        return difference(named, other, harness, task=task)
    except (KeyError, ValueError):  # of mathematics there is neither
        return None
