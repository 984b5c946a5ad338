"""95 % intervals over rooms and seeds for scores and differences.

Questions about one room are not independent, so the bootstrap draws rooms, not questions; each training run is one draw
of its seed, so with several runs seeds are drawn as well. Differences are taken question by question on the same rooms.
All figures are in per cent, and a percentile interval is widened to include its own mean where a skewed sample would
leave it out.

A bootstrap of three or five seeds is too narrow: it draws from values that lie closer together than new runs would. So
where seeds vary, Student's interval is given as well, from the variance between seeds and the variance between rooms.
An effect that is clear by the bootstrap and not by Student's interval depends on having few seeds.

small_samples.py has intervals of a few plain numbers: one value for each seed, or for each room.

Left out: tests of significance, and corrections for looking at many tasks at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vsr_kit.evaluation.scorers import ScoreTable, score
from vsr_kit.questions import BESIDE_TYPES, MULTI_STEP_TYPES, QUESTION_TYPES, TASKS, TRAINED_TASKS, task_of

RESAMPLES = 1000

# one set of predictions: a scored table, or rows with `prediction`
Predictions = ScoreTable | Sequence[Mapping]


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval in per cent (points, for a difference), or in another unit that it names.

    Attributes:
        mean, low, high: low <= mean <= high.
        n: questions it rests on, each counted once, however many seeds answered it.
        rooms: they are about.
        seeds: how many runs each side has, 1 for a model that was not trained here; a pair whose runs are the same
            networks counts as one side.
        student: low and high of Student's interval over seeds and rooms, None where no side has several seeds. A side
            without seeds, such as a checkpoint that was not trained here, adds no variance of its own: it has one
            score for each question, against which every seed of the other side is held.
        datasets: that the rooms come from.
        unit: of mean, low and high, where it is a difference.
    """

    mean: float
    low: float
    high: float
    n: int
    rooms: int
    seeds: tuple[int, ...]
    student: tuple[float, float] | None = None
    datasets: tuple[str, ...] = ()
    unit: str = "points"

    @property
    def band(self) -> tuple[float, float, float, int]:
        """(mean, low, high, n), as the plots take a score."""
        return self.mean, self.low, self.high, self.n


def intervals(
    sets: Predictions | Sequence[Predictions], harness: str = "lenient", resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Interval]:
    """Intervals of `overall`, `trained`, `multi_step` and every task present; `overall` leaves multi-step types out.

    Args:
        sets: one set of predictions, or one for each seed.
        harness: the scorer of sets that are not scored yet.
        resamples: draws of the bootstrap.
        seed: of these draws.
    """
    return _bootstrap([_Term(1.0, _scored(sets, harness), 0)], resamples, seed)


def interval(
    sets: Predictions | Sequence[Predictions],
    harness: str = "lenient",
    task: str = "overall",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of one task, or of `overall`, `trained` or `multi_step`; arguments as in `intervals`."""
    return _pick(intervals(sets, harness, resamples, seed), task)


def differences(
    a_sets: Predictions | Sequence[Predictions],
    b_sets: Predictions | Sequence[Predictions],
    harness: str = "lenient",
    resamples: int = RESAMPLES,
    seed: int = 0,
    same_seeds: bool = False,
) -> dict[str, Interval]:
    """Intervals of a minus b in points, paired: both must have answered the same rows.

    Args:
        a_sets, b_sets: one set of predictions each, or one for each seed; their numbers may differ.
        same_seeds: set i of both comes from the same trained network (say, with its own and with another room's clip),
            so seeds are drawn together.

    Raises:
        ValueError: where the rows differ, or a set holds a row twice.
    """
    a, b = _scored(a_sets, harness), _scored(b_sets, harness)
    _check_pairs([*a, *b])
    return _bootstrap([_Term(1.0, a, 0), _Term(-1.0, b, 0 if same_seeds else 1)], resamples, seed)


def difference(
    a_sets: Predictions | Sequence[Predictions],
    b_sets: Predictions | Sequence[Predictions],
    harness: str = "lenient",
    task: str = "overall",
    resamples: int = RESAMPLES,
    seed: int = 0,
    same_seeds: bool = False,
) -> Interval:
    """The interval of one task's a minus b; arguments as in `differences`."""
    return _pick(differences(a_sets, b_sets, harness, resamples, seed, same_seeds), task)


def unpaired_difference(
    a_sets: Predictions | Sequence[Predictions],
    b_sets: Predictions | Sequence[Predictions],
    harness: str = "lenient",
    task: str = "overall",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The interval of a minus b where the two answered different questions about the same rooms, such as halves.

    Rooms are drawn once for both. Counts of questions and rooms are those of a. Arguments as in `difference`.
    """
    terms = [_Term(1.0, _scored(a_sets, harness), 0), _Term(-1.0, _scored(b_sets, harness), 0)]
    return _pick(_bootstrap(terms, resamples, seed), task)


def gap_change(
    after: tuple[Sequence[Predictions], Sequence[Predictions]],
    before: tuple[Sequence[Predictions], Sequence[Predictions]],
    harness: str = "lenient",
    resamples: int = RESAMPLES,
    seed: int = 0,
    same_rows: bool = True,
) -> dict[str, Interval]:
    """Intervals of (own - other) after minus (own - other) before: did a gap, such as to a wrong clip, grow?

    Args:
        after, before: pairs (own, other) of sets; set i of own and of other comes from the same network.
        same_rows: all answered the same rows; else own and other are about different ones, such as two data sets, and
            only after and before are paired. Counts of questions and rooms are those of own.
    """
    terms = []
    for sign, group, (own, other) in ((1.0, 0, after), (-1.0, 1, before)):
        terms += [_Term(sign, _scored(own, harness), group), _Term(-sign, _scored(other, harness), group)]
    for part in (terms,) if same_rows else (terms[0::2], terms[1::2]):
        _check_pairs([table for term in part for table in term.tables])
    return _bootstrap(terms, resamples, seed)


@dataclass(frozen=True)
class _Term:
    """A summand: its sign, a table for each seed, and the group of summands whose seeds are drawn together."""

    sign: float
    tables: list[ScoreTable]
    group: int


def _scored(sets, harness: str) -> list[ScoreTable]:
    if isinstance(sets, ScoreTable):
        return [sets]
    if not len(sets):
        raise ValueError("there is no set of predictions: give rows with `prediction`, or a list of such sets")
    if isinstance(sets[0], Mapping):
        return [score(sets, harness)]
    return [one if isinstance(one, ScoreTable) else score(one, harness) for one in sets]


def _check_pairs(tables: Sequence[ScoreTable]) -> None:
    """Raise ValueError unless every table is about the same rows, each once."""
    wanted = set(_keys(tables[0]))
    for number, table in enumerate(tables):
        keys = set(_keys(table))
        if len(keys) < table.n:
            key, times = Counter(_keys(table)).most_common(1)[0]
            raise ValueError(f"set {number} holds row {key[2]!r} of {key[1]!r} {times} times: pairing needs each once")
        if other := wanted ^ keys:
            raise ValueError(
                f"set {number} and set 0 differ by {len(other)} rows, {min(other, key=str)[2]!r} among them: "
                "a difference needs the same rows on both sides; ask both the same questions"
            )


def _keys(table: ScoreTable) -> list[tuple]:
    return [(*room, ident) for room, (_, ident) in zip(table.rooms, table.ids, strict=True)]


def _bootstrap(terms: Sequence[_Term], resamples: int, seed: int) -> dict[str, Interval]:
    """Draw rooms once for all terms, seeds once for each group, and take percentiles of the signed sum."""
    if resamples < 1:
        raise ValueError(f"resamples is {resamples}: must be at least 1, such as {RESAMPLES}")
    rng = np.random.default_rng(seed)
    rooms = sorted({room for term in terms for table in term.tables for room in table.rooms})
    rooms_BR = _draws(rng, len(rooms), resamples)
    occurring = {kind for term in terms for table in term.tables for kind in table.question_types}
    columns = _Columns(tuple(kind for kind in BESIDE_TYPES if kind in occurring))
    seeds_BS: dict[tuple[int, int], np.ndarray] = {}
    sides_SC: dict[tuple[int, int], np.ndarray | float] = {}  # what each seed of a group adds to the sum
    total_BC: np.ndarray | float = 0.0
    of_rooms_BC: np.ndarray | float = 0.0  # the same, with every seed drawn once
    for term in terms:
        count = len(term.tables)
        draw = (term.group, count)
        if draw not in seeds_BS:
            seeds_BS[draw] = _draws(rng, count, resamples) / count
        scores_SBC = term.sign * _scores(term.tables, rooms, rooms_BR, columns)
        total_BC = total_BC + _weighted(scores_SBC, seeds_BS[draw].T[..., None])
        of_rooms_BC = of_rooms_BC + _weighted(scores_SBC, np.ones((count, 1, 1)))
        sides_SC[draw] = sides_SC.get(draw, 0.0) + scores_SBC[:, 0]
    reach_C = _student(np.asarray(of_rooms_BC), list(sides_SC.values()), terms[0].tables[0])
    seeds = tuple(count for _, count in seeds_BS)
    return _percentiles(np.asarray(total_BC), reach_C, terms[0].tables[0], seeds, columns.names)


def _student(of_rooms_BC: np.ndarray, sides_SC: Sequence[np.ndarray], table: ScoreTable) -> np.ndarray | None:
    """Half of Student's interval (C,), degrees of freedom after Welch and Satterthwaite; None without several seeds.

    Variances of means add: that of every side's seeds, and that of the rooms, which the bootstrap gives.
    """
    from scipy.special import stdtrit  # what scipy.stats.t.ppf calls, without the time that scipy.stats takes to load

    drawn = [side_SC for side_SC in sides_SC if len(side_SC) > 1]
    if not drawn:
        return None
    known = ~np.isnan(sum(side_SC.sum(0) for side_SC in sides_SC))  # tasks that every seed of every side has
    parts = [(np.nanvar(of_rooms_BC[:, known], axis=0), len(set(table.rooms)) - 1)]
    parts += [(side_SC[:, known].var(0, ddof=1) / len(side_SC), len(side_SC) - 1) for side_SC in drawn]
    variance = sum(part for part, _ in parts)
    with np.errstate(invalid="ignore"):  # no variance at all has no degrees of freedom, and no reach
        freedom = variance**2 / sum(part**2 / max(free, 1) for part, free in parts)
    reach_C = np.full(len(known), np.nan)
    reach_C[known] = np.where(variance > 0, stdtrit(freedom, 0.975) * np.sqrt(variance), 0.0)
    return reach_C


def _draws(rng: np.random.Generator, count: int, resamples: int) -> np.ndarray:
    """How often each of `count` things is drawn in each resample (B, count); the first line is the sample itself."""
    return np.vstack([np.ones(count), rng.multinomial(count, np.full(count, 1 / count), resamples)])


@dataclass(frozen=True)
class _Columns:
    """What is averaged: VSI-Bench's tasks and those of one's own, `BESIDE_TYPES` where they occur, then means.

    Without these the arrays have the shapes they had before there were any, and sums the same last digit.
    """

    beside: tuple[str, ...]

    @property
    def kinds(self) -> list[str]:
        """The question types."""
        return [kind for kind in QUESTION_TYPES if kind not in BESIDE_TYPES or kind in self.beside]

    @property
    def tasks(self) -> list[str]:
        """The tasks that `overall` takes in."""
        return [task for task in TASKS if task not in BESIDE_TYPES]

    @property
    def names(self) -> list[str]:
        """Of all columns, in order."""
        return [*self.tasks, *self.beside, "trained", "overall", "multi_step"]


def _scores(tables: list[ScoreTable], rooms: list, rooms_BR: np.ndarray, columns: _Columns) -> np.ndarray:
    """Every resample's scores (S, B, C) by `columns.names`; nan where none is."""
    place, kind_at = {room: i for i, room in enumerate(rooms)}, {kind: i for i, kind in enumerate(columns.kinds)}
    sums = np.zeros((len(tables), len(rooms), len(kind_at)))
    counts = np.zeros_like(sums)
    for number, table in enumerate(tables):
        at = [place[room] for room in table.rooms], [kind_at[kind] for kind in table.question_types]
        np.add.at(sums[number], at, table.values)
        np.add.at(counts[number], at, 1)
    with np.errstate(invalid="ignore"):
        types_SBT = (rooms_BR @ sums) / (rooms_BR @ counts)
    of_task = {task: [i for kind, i in kind_at.items() if task_of(kind) == task] for task in columns.tasks}
    tasks_SBK = np.stack([_mean(types_SBT[..., types]) for types in of_task.values()], -1)
    trained = [columns.tasks.index(task) for task in TRAINED_TASKS]
    beside_SBM = types_SBT[..., [kind_at[kind] for kind in columns.beside]]
    steps = [i for i, kind in enumerate(columns.beside) if kind in MULTI_STEP_TYPES]
    means_SBC = np.stack([_mean(tasks_SBK[..., trained]), _mean(tasks_SBK), _mean(beside_SBM[..., steps])], -1)
    return np.concatenate([tasks_SBK, beside_SBM, means_SBC], axis=-1)


def _mean(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis of what is there; nan where nothing is."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.where(there, values, 0).sum(-1) / there.sum(-1)


def _weighted(scores_SBC: np.ndarray, weights_SB1: np.ndarray) -> np.ndarray:
    """Mean over seeds by weight, of the seeds that have the task at all."""
    there = ~np.isnan(scores_SBC) * weights_SB1
    with np.errstate(invalid="ignore"):
        return np.where(there > 0, scores_SBC * there, 0).sum(0) / there.sum(0)


def _percentiles(
    total_BC: np.ndarray, reach_C: np.ndarray | None, table: ScoreTable, seeds: tuple[int, ...], names: list[str]
) -> dict[str, Interval]:
    asked: dict[str, list] = {"overall": [], "trained": [], "multi_step": []}
    for room, kind in zip(table.rooms, table.question_types, strict=True):
        asked.setdefault(task_of(kind), []).append(room)
        if kind not in BESIDE_TYPES:
            asked["overall"].append(room)
        if kind in MULTI_STEP_TYPES:
            asked["multi_step"].append(room)
        if task_of(kind) in TRAINED_TASKS:
            asked["trained"].append(room)
    columns = {task: i for i, task in enumerate(names)}
    found = {}
    for name in ("overall", "trained", "multi_step", *(task for task in TASKS if task in asked)):
        values, rooms = 100 * total_BC[:, columns[name]], asked[name]
        if rooms and not np.isnan(values[0]):
            low, high = np.nanpercentile(values, [2.5, 97.5])
            mean = float(values[0])
            reach = np.nan if reach_C is None else 100 * float(reach_C[columns[name]])
            student = None if np.isnan(reach) else (mean - reach, mean + reach)
            low, high = min(mean, float(low)), max(mean, float(high))
            datasets = tuple(sorted({dataset for dataset, _ in rooms}))
            found[name] = Interval(mean, low, high, len(rooms), len(set(rooms)), seeds, student, datasets)
    return found


def _pick(found: Mapping[str, Interval], task: str) -> Interval:
    if task not in found:
        raise ValueError(f"no score of {task!r}: these rows have {', '.join(found)}")
    return found[task]
