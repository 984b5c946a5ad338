"""`RolloutTable`: completions of a run, or answers of several models, with facets, a filter, and groups.

Every row is one completion: a rollout of a training step, or an answer of a model. A facet is a property that divides
them: the question's type, the outcome, a sign of something odd, and, where the same questions were answered before and
after a training, what that changed. A `Filter` names one value of each and bounds of a measure; `select` applies it,
and everything that is shown follows from the rows that it leaves. Rollouts of one question at one step are a `Group`.

A hundred thousand rows are held as columns, so that a filter takes milliseconds; outcomes and signs are computed once,
when they are first asked for, and what a part of a filter leaves is kept for the next filter that has the same part.
Left out: drawing, and editing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from vsr_kit.evaluation.token_texts import TokenMeasures
from vsr_kit.inspection.columns import CHARACTERS, KEY, make_frame
from vsr_kit.inspection.outcomes import CHANGES, OUTCOMES, change_of, has_truth, outcome_of
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.rewards.detectors import DETECTORS, reward_columns
from vsr_kit.validation import one_of

SIGNS = ("empty thought", "repeated tags", "repeated words", "answer contradicts chain")
FACETS = ("question_type", "outcome", "sign", "change", "label")
ORDERS = ("as recorded", "highest first", "lowest first", "longest first", "shortest first")
_MOST_KEPT = 32  # parts of filters whose rows are remembered


@dataclass(frozen=True)
class Filter:
    """Which rows are looked at; every part narrows.

    Attributes:
        search: what a completion or its question must hold, whatever the case.
        question_type, outcome, sign, change, label: a value of that facet; empty for all.
        step: of the training; None for all.
        measure, low, high: bounds of a measure, both ends included; None is open.
    """

    search: str = ""
    question_type: str = ""
    outcome: str = ""
    sign: str = ""
    change: str = ""
    label: str = ""
    step: int | None = None
    measure: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Group:
    """Completions of one question at one step.

    Attributes:
        rows: places of its rows in the table, in the order asked for.
        id, question, question_type: of the question.
        step: of the training; None of answers that belong to none.
        mean: of the measure over the whole group, whatever a filter leaves of it; nan where nothing was measured.
        size: of the whole group.
    """

    rows: tuple[int, ...]
    id: str
    question: str
    question_type: str
    step: int | None
    mean: float
    size: int


class RolloutTable:
    """Completions, one a row.

    Attributes:
        name: of the run, or of whatever it is.
        frame: a column a field; see the constructor.
        measures: columns that can be drawn and sorted by: rewards, the advantage, the length in characters.
        token_measures: what a training recorded of the tokens of some rows, by their places.
    """

    def __init__(self, rows: Sequence[Mapping] | pd.DataFrame, name: str = "rollouts", mode: str = "think") -> None:
        """Take rows as columns.

        Args:
            rows: with `completion` or `prediction`, VSI-Bench's fields, and what else there is: `step`, `label` (who
                wrote it), `advantage`, and rewards by their names.
            name: what the table is called.
            mode: which tags make a thought, for signs that were not recorded.

        Raises:
            ValueError: no rows, rows without text, fields named twice, or a step or a reward that is no number.
        """
        self.frame = make_frame(rows, name)
        self.name, self.mode = name, mode
        self.token_measures: dict[int, TokenMeasures] = {}
        self._signs: dict[str, np.ndarray] = {}
        self._kept: dict[tuple[str, Any], np.ndarray] = {}
        self._codes: dict[str, tuple[np.ndarray, list[str]]] = {}
        self.measures = [*self._rewards(), *(["advantage"] if "advantage" in self.frame else []), CHARACTERS]

    def __len__(self) -> int:
        return len(self.frame)

    def row(self, at: int) -> dict[str, Any]:
        """A row as `plots.traces` takes it: fields that are there, and its rewards."""
        found = {key: value for key, value in self.frame.iloc[at].to_dict().items() if not _missing(value)}
        if not found["label"]:
            del found["label"]
        if "step" in found:
            found["step"] = int(found["step"])
        return {key: value for key, value in found.items() if key not in (KEY, CHARACTERS)}

    def part(self, rows: Iterable[int]) -> RolloutTable:
        """Some of its rows as a table of their own, in its order, with what is known of their tokens."""
        kept = sorted(rows)
        part = RolloutTable(self.frame.iloc[kept].drop(columns=[KEY, CHARACTERS]), self.name, self.mode)
        known = self.token_measures
        part.token_measures = {place: known[at] for place, at in enumerate(kept) if at in known}
        return part

    @cached_property
    def steps(self) -> list[int]:
        """Steps of which there are rollouts; empty for answers that belong to no training step."""
        return sorted(int(step) for step in self.frame["step"].dropna().unique())

    @cached_property
    def labels(self) -> list[str]:
        """Who wrote: models or runs, in the order in which they come."""
        return list(dict.fromkeys(self.frame["label"]))

    # -- facets --------------------------------------------------------------------------------------------------------

    @cached_property
    def outcomes(self) -> np.ndarray:
        """Of every row one of `OUTCOMES`; empty where there is no question type to read an answer by."""
        kinds, truths = self.frame["question_type"].tolist(), self.frame["ground_truth"].tolist()
        recorded = "accuracy_reward" in self.frame
        paid = self.frame["accuracy_reward"].tolist() if recorded else [math.nan] * len(self)
        rows = self._to_read
        found = np.empty(len(self), object)
        for at, (kind, truth, earned) in enumerate(zip(kinds, truths, paid, strict=True)):
            if not has_truth(kind, truth):
                found[at] = ""
            elif earned > 0:
                found[at] = OUTCOMES[0] if earned >= 1 else OUTCOMES[1]
            else:  # nothing was earned, or nothing recorded: only the text tells
                found[at] = outcome_of(rows[at], scored=earned == 0)
        return found

    @cached_property
    def _to_read(self) -> list[dict]:
        """Of every row what reading its answer takes."""
        names = ["completion", "question", "question_type", "ground_truth"]
        names += [name for name in ("options", "objects") if name in self.frame]
        columns = [self.frame[name].tolist() for name in names]
        return [
            {name: value for name, value in zip(names, values, strict=True) if not _missing(value)}
            for values in zip(*columns, strict=True)
        ]

    def sign(self, name: str) -> np.ndarray:
        """Whether each row shows a sign: as it was recorded, else looked for once in every text.

        Raises:
            ValueError: it is none of `SIGNS`.
        """
        one_of("sign", name, SIGNS)
        if name not in self._signs:
            self._signs[name] = self._contradicts() if name == SIGNS[-1] else self._detected(name.replace(" ", "_"))
        return self._signs[name]

    @property
    def known_signs(self) -> list[str]:
        """Signs that take no time: recorded in training, or looked for before."""
        return [name for name in SIGNS if name in self._signs or name.replace(" ", "_") in self.frame]

    def _detected(self, detector: str) -> np.ndarray:
        """A sign as it was recorded, looked for in the text where it was not."""
        known = self.frame[detector].to_numpy() if detector in self.frame else np.full(len(self), np.nan)
        found = known == 1
        for at in np.flatnonzero(np.isnan(known)):
            found[at] = DETECTORS[detector](self.frame["completion"].iat[at], self.mode)
        return found

    def _contradicts(self) -> np.ndarray:
        from vsr_kit.bridging.quality import answer_follows

        found = np.zeros(len(self), bool)
        for at, row in enumerate(self._to_read):
            if row["question_type"] in QUESTION_TYPES:
                found[at] = answer_follows(row["completion"], row) is False
        return found

    @cached_property
    def changes(self) -> np.ndarray:
        """Of every row one of `CHANGES`: its outcome against that of the first label's answer to the same question.

        What is partly right is not right; what changed between partly right and wrong is neither.

        Empty for the first label's own rows, for questions that it was not asked, and where there is one label.
        """
        found = np.full(len(self), "", object)
        if len(self.labels) < 2:
            return found
        ids, labels = self.frame[KEY].to_numpy(), self.frame["label"].to_numpy()
        before: dict[str, str] = {}
        for at in np.flatnonzero(labels == self.labels[0]):
            before.setdefault(ids[at], self.outcomes[at])
        for at in np.flatnonzero(labels != self.labels[0]):
            found[at] = change_of(before.get(ids[at], ""), self.outcomes[at])
        return found

    def facet(self, name: str, rows: np.ndarray) -> dict[str, int]:
        """How many of some rows have each value of a facet, by value; those that none has are left out.

        Args:
            name: `question_type`, `outcome`, `sign`, `change` or `label`, a part of a `Filter`.
            rows: places in the table.

        Signs that were not recorded and not looked for yet are left out, since looking takes time.
        """
        one_of("facet", name, FACETS)
        if name == "sign":
            counts = {sign: int(self.sign(sign)[rows].sum()) for sign in self.known_signs}
        else:
            codes, values = self._coded(name)
            counts = dict(zip(values, np.bincount(codes[rows], minlength=len(values)).tolist(), strict=True))
        return {value: count for value, count in sorted(counts.items()) if value and count}

    def _coded(self, name: str) -> tuple[np.ndarray, list[str]]:
        """A facet as numbers, which are counted quickly, and what they stand for."""
        if name not in self._codes:
            known = {"outcome": "outcomes", "change": "changes"}
            column = getattr(self, known[name]) if name in known else self.frame[name].to_numpy()
            codes, values = pd.factorize(column)
            self._codes[name] = codes, [str(value) for value in values]
        return self._codes[name]

    # -- what a filter leaves ------------------------------------------------------------------------------------------

    @cached_property
    def _searched(self) -> pd.Series:
        return (self.frame["completion"] + "\n" + self.frame["question"]).str.casefold()

    def select(self, chosen: Filter) -> np.ndarray:
        """Places of the rows that a filter leaves, in the table's order.

        Raises:
            ValueError: an outcome, sign, change or measure that there is not.
        """
        if chosen.measure:
            one_of("measure", chosen.measure, self.measures)
        parts = ("search", "question_type", "outcome", "sign", "change", "label", "step")
        closed = [(part, getattr(chosen, part)) for part in parts if getattr(chosen, part) not in ("", None)]
        if chosen.measure and (chosen.low, chosen.high) != (None, None):
            closed.append(("bounds", (chosen.measure, chosen.low, chosen.high)))
        keep = np.ones(len(self), bool)
        for part, value in closed:
            if (part, value) not in self._kept:
                if len(self._kept) >= _MOST_KEPT:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[part, value] = self._left_by(part, value)
            keep &= self._kept[part, value]
        return np.flatnonzero(keep)

    def _left_by(self, part: str, value: Any) -> np.ndarray:
        """Whether each row is left by one part of a filter."""
        if part == "search":
            return self._searched.str.contains(value.casefold(), regex=False).to_numpy()
        if part == "sign":
            return self.sign(value)
        if part == "bounds":
            measure, low, high = value
            values = self.values(measure)
            return (values >= (-np.inf if low is None else low)) & (values <= (np.inf if high is None else high))
        if part in ("outcome", "change"):
            one_of(part, value, OUTCOMES if part == "outcome" else CHANGES)
            return (self.outcomes if part == "outcome" else self.changes) == value
        return self.frame[part].to_numpy() == value

    def values(self, measure: str) -> np.ndarray:
        """A measure of every row; nan where it was not recorded."""
        one_of("measure", measure, self.measures)
        return self.frame[measure].to_numpy(float)

    def histogram(self, rows: np.ndarray, measure: str, bins: int = 10) -> list[tuple[float, float, int]]:
        """Bins of a measure over all rows, each with how many of some rows lie in it: (low, high, count).

        Both ends belong to a bin, as to a `Filter`'s bounds: the next bin begins just above. Few values have a bin
        each. Empty where nothing was measured.
        """
        values = self.values(measure)
        there = values[np.isfinite(values)]
        if not len(there):
            return []
        kinds = np.unique(there)
        if len(kinds) <= bins:
            return [(float(v), float(v), int((values[rows] == v).sum())) for v in kinds]
        edges = np.linspace(kinds[0], kinds[-1], bins + 1)
        ends = [*(np.nextafter(edge, -np.inf) for edge in edges[1:-1]), edges[-1]]
        some = values[rows]
        return [
            (float(low), float(high), int(((some >= low) & (some <= high)).sum()))
            for low, high in zip(edges[:-1], ends, strict=True)
        ]

    def by_step(self, rows: np.ndarray, measure: str) -> dict[int, tuple[float, int]]:
        """By step, the mean of a measure over some rows, and how many they are; steps without any are left out."""
        steps, values = self.frame["step"].to_numpy()[rows], self.values(measure)[rows]
        there = ~pd.isna(steps) & np.isfinite(values)
        table = pd.Series(values[there]).groupby(steps[there].astype(int)).agg(["mean", "size"])
        return {int(step): (float(mean), int(size)) for step, mean, size in table.itertuples()}

    def groups(self, rows: np.ndarray, measure: str, order: str = ORDERS[0]) -> list[Group]:
        """Groups that some rows belong to, each with those rows in the order asked for; groups as they were recorded.

        A group's mean and size are of all its rows, since an advantage is relative to all of them.
        """
        one_of("order", order, ORDERS)
        values, lengths = self.values(measure), self.frame[CHARACTERS].to_numpy()
        found = []
        for key, own in _by_key(self._keys[rows], rows).items():
            whole = self._members[key]
            mean = float(np.nanmean(values[whole])) if np.isfinite(values[whole]).any() else float("nan")
            first = self.frame.iloc[own[0]]
            step = None if np.isnan(first["step"]) else int(first["step"])
            rest = (str(first["question"]), str(first["question_type"]), step, mean, len(whole))
            found.append(Group(tuple(_ordered(own, order, values, lengths)), str(first["id"]), *rest))
        return found

    @cached_property
    def _keys(self) -> np.ndarray:
        """A number for each row's group: rows of one question, at one step where there are steps."""
        named = [KEY] if not self.steps else ["step", KEY]
        return self.frame.groupby(named, sort=False, dropna=False).ngroup().to_numpy()

    @cached_property
    def _members(self) -> dict[int, np.ndarray]:
        return {key: np.asarray(own) for key, own in _by_key(self._keys, np.arange(len(self))).items()}

    def _rewards(self) -> list[str]:
        """Columns that are rewards, by the first row that has each."""
        numbers = self.frame.select_dtypes("number").columns.drop([CHARACTERS])
        first = {name: 0.0 for name in numbers if self.frame[name].notna().any()}
        return list(reward_columns(first))


def without(chosen: Filter, *parts: str) -> Filter:
    """A filter with some of its parts open."""
    return replace(chosen, **{part: getattr(Filter(), part) for part in parts})


def _by_key(keys: np.ndarray, rows: np.ndarray) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for key, at in zip(keys.tolist(), rows.tolist(), strict=True):
        found.setdefault(key, []).append(at)
    return found


def _ordered(rows: Sequence[int], order: str, values: np.ndarray, lengths: np.ndarray) -> list[int]:
    if order == ORDERS[0]:
        return list(rows)
    by, sign = (values, -1 if order == ORDERS[1] else 1) if order in ORDERS[1:3] else (lengths, 1)
    sign = -1 if order == ORDERS[3] else sign
    return sorted(rows, key=lambda at: (not np.isfinite(by[at]), sign * by[at]))


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))
