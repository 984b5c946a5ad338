"""Rows of completions become columns that can be counted on: text is text, numbers are numbers, a question has one key.

Rows come from many hands: parquet gives arrays for lists, a table of another harness gives numbers for ids, a logged
reward may be missing. Everything is brought into one form here, and what cannot be is refused with its row and value.
Left out: reading files (sources.py), and what the columns mean (table.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from vsr_kit.rewards.detectors import COUNTS, DETECTORS

TEXT = ("completion", "question", "ground_truth", "question_type", "scene_name", "label", "dataset")
LISTS = ("options", "objects")
KEY, CHARACTERS = "question key", "characters"


def make_frame(rows: Sequence[Mapping] | pd.DataFrame, name: str) -> pd.DataFrame:
    """A column a field; see `RolloutTable`.

    Raises:
        ValueError: no rows, no text, fields named twice, or a number that is none.
    """
    frame = (rows if isinstance(rows, pd.DataFrame) else _framed(list(rows))).reset_index(drop=True)
    if frame.empty:
        raise ValueError(f"{name} has no completions: record some, or name another run")
    fields = [str(column) for column in frame.columns]
    if twice := [field for field in fields if fields.count(field) > 1]:
        raise ValueError(f"{name} has the field {twice[0]!r} more than once: give every field one name")
    frame.columns = fields
    if not {"completion", "prediction"} & set(fields):
        raise ValueError(f"rows of {name} have {', '.join(fields)}: `completion` is missing")
    if "prediction" in frame:
        said = frame.pop("prediction")
        frame["completion"] = said if "completion" not in frame else frame["completion"].where(_there(frame), said)
    return _completed(frame, name)


def _there(frame: pd.DataFrame) -> pd.Series:
    return frame["completion"].notna()


def _framed(rows: list[Mapping]) -> pd.DataFrame:
    try:
        return pd.DataFrame(rows)
    except UnicodeEncodeError:  # half of a character, as a cut text may end with
        return pd.DataFrame([{key: _whole(value) for key, value in row.items()} for row in rows])


def _whole(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _completed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    frame = frame.copy()
    for field in TEXT:
        column = frame[field].astype(object) if field in frame else pd.Series([""] * len(frame), dtype=object)
        frame[field] = [_whole(value) if isinstance(value, str) else _text(value) for value in column]
    for field in LISTS:
        if field in frame:
            frame[field] = pd.Series([list(v) if isinstance(v, np.ndarray) else v for v in frame[field]], dtype=object)
    ids = frame["id"].astype(object) if "id" in frame else pd.Series([None] * len(frame), dtype=object)
    named = zip(map(_text, ids), frame["question"], strict=True)
    frame["id"] = [own or question or str(at) for at, (own, question) in enumerate(named)]
    frame[KEY] = frame["dataset"] + "\n" + frame["id"]
    for field in frame.columns:
        if field == "advantage" or field.endswith("_reward") or field in DETECTORS or field in COUNTS:
            frame[field] = _numbers(frame[field], field, name)
    frame["step"] = _steps(frame["step"], name) if "step" in frame else np.nan
    frame[CHARACTERS] = frame["completion"].str.len()
    return frame


def _text(value: Any) -> str:
    """A value as text; nothing where there is none, and no point zero behind a whole number."""
    if value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _numbers(column: pd.Series, field: str, name: str) -> np.ndarray:
    """A column as numbers, nan where there is none."""
    found = pd.to_numeric(column.astype(object).map(lambda v: float(v) if isinstance(v, bool) else v), errors="coerce")
    lost = column.notna().to_numpy() & found.isna().to_numpy()
    if lost.any():
        at = int(np.flatnonzero(lost)[0])
        raise ValueError(f"{name}, row {at}: {field} is {column.iloc[at]!r}, must be a number; leave it out instead")
    return found.to_numpy(float)


def _steps(column: pd.Series, name: str) -> np.ndarray:
    steps = _numbers(column, "step", name)
    there = steps[~np.isnan(steps)]
    if len(wrong := there[(there < 0) | (there != np.floor(there)) | np.isinf(there)]):
        raise ValueError(f"{name}: a step is {wrong[0]:g}, must be a whole number of at least 0, or be left out")
    return steps
