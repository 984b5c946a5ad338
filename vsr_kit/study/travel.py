"""Does the gain travel to real rooms? The effect of each control in controls.py, and its reading by the stated rule.

The module gives the gain on procedural rooms, the gain on ScanNet++'s rooms, the shortfall between the two, and then
for each control how the gain moved when one thing was changed. Some controls asked the models again; others use
existing answers: a part of them, or all of them with each model's numbers rescaled.
Left out: drawing, and controls that were invented after their answers were known.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vsr_kit.claims.recipe import BENCH_SET, Condition
from vsr_kit.evaluation import Interval, difference, gap_change
from vsr_kit.prompts import parse_answer
from vsr_kit.questions import NUMERIC_TYPES
from vsr_kit.rewards import mra
from vsr_kit.rooms import CATEGORIES
from vsr_kit.study.answers import answered, asked_runs, condition_answers, variant_answers
from vsr_kit.study.controls import (
    ASKED_CONTROLS,
    CANNOT_TELL,
    CONTROLS,
    EXPLAINS,
    NOT_MAIN,
    SCANNETPP,
    Control,
    reading,
)

GRPO = "grpo-vanilla"
MOST_TAUGHT = 6  # of one category in a procedural room
_SCALES = np.geomspace(0.1, 10, 201)
_LIKE = 5  # questions with the nearest truths, of which one is drawn
_FEWEST = 5  # answers that a constant is fitted on

Sets = tuple[list[list[dict]], list[list[dict]]]  # of the trained runs, and of the base


@dataclass(frozen=True)
class Tried:
    """A control and what came of it; all in points, of the trained tasks' mean.

    Attributes:
        gain: GRPO minus base with the thing changed.
        plain: the same without, on the same questions (all of them where a control leaves some out).
        change: gain minus plain.
        missing: the shortfall that is to be explained.
    """

    control: Control
    gain: Interval
    plain: Interval
    change: Interval
    missing: float

    @property
    def reading(self) -> str:
        """What the controls' rule says of the change."""
        return reading(self.control, self.change, self.missing)

    @property
    def by_student(self) -> str:
        """What it says by Student's interval in the bootstrap's place."""
        low, high = self.change.student or (self.change.low, self.change.high)
        return reading(self.control, replace(self.change, low=low, high=high), self.missing)


def asked_sets(questions: str, runs: Sequence[str], folder: Path | str | None = None) -> Sets:
    """What some runs of GRPO with vanilla prompts, and the base, answered with a set's own clips."""
    return variant_answers(GRPO, folder, questions, runs=runs), [condition_answers(Condition(questions), folder)]


def runs_asked(folder: Path | str | None = None) -> tuple[str, ...]:
    """The runs that were asked about procedural and about ScanNet++'s rooms, and every control: always the same."""
    sets = (BENCH_SET, SCANNETPP, *(known.name for known in ASKED_CONTROLS if answered(Condition(known.name), folder)))
    return asked_runs([Condition(name) for name in sets], folder) if answered(Condition(SCANNETPP), folder) else ()


def gain(questions: str, folder: Path | str | None = None) -> Interval:
    """GRPO minus base on a set's trained tasks, in points, by the runs that every control was asked of."""
    after, before = asked_sets(questions, runs_asked(folder), folder)
    return difference(after, before, task="trained")


def shortfall(folder: Path | str | None = None) -> Interval:
    """The gain on procedural test rooms minus the gain on ScanNet++'s, the same runs on both."""
    runs = runs_asked(folder)
    return _moved(asked_sets(BENCH_SET, runs, folder), asked_sets(SCANNETPP, runs, folder))


def tried(folder: Path | str | None = None) -> dict[str, Tried]:
    """Every control whose answers are there, in the order they were written down; none without runs that have all."""
    runs = runs_asked(folder)
    there = [known for known in CONTROLS if known.moved is None or answered(Condition(known.name), folder)]
    missing = shortfall(folder).mean if runs else 0.0
    return {known.name: _try(known, runs, folder, missing) for known in there if runs}


def _try(known: Control, runs: Sequence[str], folder: Path | str | None, missing: float) -> Tried:
    plain = asked_sets(known.of, runs, folder)
    if known.moved is None:
        changed = _AGAIN[known.name](plain, folder)
    else:
        changed = asked_sets(known.name, runs, folder)
        kept = {row["id"] for row in changed[1][0]}
        plain = _where(plain, lambda row: row["id"] in kept)
    change = _moved(changed, plain)
    gains = [difference(*sets, task="trained") for sets in (changed, plain)]
    return Tried(known, *gains, change, missing)


def _moved(changed: Sets, plain: Sets) -> Interval:
    after, before = zip(changed, plain, strict=True)
    return gap_change(after, before, same_rows=False)["trained"]


def _where(sets: Sets, keep: Callable[[Mapping], bool]) -> Sets:
    return tuple([[row for row in rows if keep(row)] for rows in side] for side in sets)


def findings(folder: Path | str | None = None) -> list[str]:
    """What the controls said, in sentences; one that says so where none was asked, or none explains anything."""
    runs, found = runs_asked(folder), tried(folder)
    if not found:
        return ["The controls of `vsr_kit/study/controls.py` were not asked yet; vsr reproduce --geometry asks them."]
    missing = shortfall(folder)
    sentences = [
        f"On the miniature and {len(runs)} seeds the shortfall is {missing.mean:.1f} points ({missing.low:+.1f} to "
        f"{missing.high:+.1f}): that much more is gained on procedural rooms than on ScanNet++'s."
    ]
    if missing.low <= 0:
        sentences.append("Its interval holds zero, so there may be less to explain than it seems.")
    for words, none in (
        (EXPLAINS, "No control brings the gain back, or loses it at home, beyond its interval: none explains it."),
        (NOT_MAIN, "No control is excluded as the main reason."),
        (CANNOT_TELL, ""),
    ):
        names = [name for name, one in found.items() if one.reading == words]
        told = [f"`{name}` ({found[name].change.mean:+.1f})" for name in names]
        sentences += [f"{words[0].upper()}{words[1:]}: {', '.join(told)}."] if told else [none] * bool(none)
    unsure = [f"`{name}`" for name, one in found.items() if one.reading == EXPLAINS != one.by_student]
    sentences += [f"By Student's intervals these do not explain it: {', '.join(unsure)}."] * bool(unsure)
    open_ = [f"`{c.name}`" for c in CONTROLS if c.name not in found]
    return sentences + [f"Not asked yet: {', '.join(open_)}."] * bool(open_)


# -- controls that look at answers again -------------------------------------------------------------------------------


def rescaled(rows: Sequence[Mapping]) -> list[dict]:
    """A model's answers with every number times a constant of its type, fitted where it is not used.

    Rooms fall into two halves by a hash of their names. The constant of one half is the one that earns most on the
    other half; counts are rounded. Answers that are no number, and types with fewer than five of them, stay.
    """
    read = {row["id"]: _number(row) for row in rows if row["question_type"] in NUMERIC_TYPES}
    constants = {}
    for kind in NUMERIC_TYPES:
        for half in (0, 1):
            fit = [r for r in rows if r["question_type"] == kind and _half(r) != half and read[r["id"]] is not None]
            constants[kind, half] = _best_scale([(read[r["id"]], float(r["ground_truth"])) for r in fit])
    return [_scaled(row, read.get(row["id"]), constants) for row in rows]


def _half(row: Mapping) -> int:
    return hashlib.sha256(row["scene_name"].encode()).digest()[0] % 2


def _number(row: Mapping) -> float | None:
    value = parse_answer(row["prediction"], row).value
    return None if value is None else float(value)


def _best_scale(pairs: Sequence[tuple[float, float]]) -> float:
    if len(pairs) < _FEWEST:
        return 1.0
    by_scale = np.stack([mra(_SCALES * value, truth) for value, truth in pairs], axis=1)  # (scales, pairs)
    earned = [np.mean(row) for row in by_scale]
    best = np.flatnonzero(np.isclose(earned, max(earned)))
    return float(np.exp(np.mean(np.log(_SCALES[best]))))  # the middle of those that earn as much


def _scaled(row: Mapping, value: float | None, constants: Mapping) -> dict:
    if value is None:
        return dict(row)
    number = value * constants[row["question_type"], _half(row)]
    text = str(round(number)) if row["question_type"] == "object_counting" else f"{number:.3f}"
    return {**row, "prediction": text}


def with_truths_like(rows: Sequence[Mapping], others: Iterable[Mapping]) -> dict[str, list[str]]:
    """For each row, the new ids under which it stands in a sample whose numbers are spread as those of others.

    For every numeric row of `others` one of the rows of its type with the nearest truths (on a logarithm) is drawn;
    rows of other types stand for themselves.
    """
    rng = np.random.default_rng(0)
    ids: dict[str, list[str]] = {row["id"]: [row["id"]] for row in rows if row["question_type"] not in NUMERIC_TYPES}
    for kind in NUMERIC_TYPES:
        own = [row for row in rows if row["question_type"] == kind]
        truths = np.log([float(row["ground_truth"]) for row in own])
        for number, other in enumerate(row for row in others if row["question_type"] == kind):
            away = np.abs(truths - math.log(float(other["ground_truth"])))
            near = np.flatnonzero(away <= np.sort(away)[:_LIKE][-1])
            row = own[int(rng.choice(near))]
            ids.setdefault(row["id"], []).append(f"{row['id']}#{number}")
    return ids


def _spread_as_real(sets: Sets, folder: Path | str | None) -> Sets:
    ids = with_truths_like(sets[1][0], list(condition_answers(Condition(SCANNETPP), folder)))
    return tuple(
        [[{**row, "id": new} for row in rows for new in ids.get(row["id"], ())] for rows in side] for side in sets
    )


def _is(kind: str) -> Callable[[Mapping], bool]:
    return lambda row: row["question_type"] == kind


def _to_scale(sets: Sets, folder: Path | str | None) -> Sets:
    return tuple([rescaled(rows) for rows in side] for side in sets)


_AGAIN: dict[str, Callable[[Sets, Path | str | None], Sets]] = {
    "scannetpp-rescaled": _to_scale,
    "procedural-rescaled": _to_scale,
    "scannetpp-without-counting": lambda sets, folder: _where(sets, lambda row: not _is("object_counting")(row)),
    "scannetpp-counts-to-six": lambda sets, folder: _where(
        sets, lambda row: not _is("object_counting")(row) or float(row["ground_truth"]) <= MOST_TAUGHT
    ),
    "scannetpp-taught-named": lambda sets, folder: _where(sets, lambda row: set(row["objects"]) <= set(CATEGORIES)),
    "procedural-real-truths": _spread_as_real,
}
