"""Reading a study folder: which answers are there, what the training rooms' answers were, what made it all.

Left out: scoring, which is the business of the modules beside this one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from vsr_kit.data import make_rows, split_rooms
from vsr_kit.evaluation import Interval
from vsr_kit.questions import STUDY_RULES, TRAINED_TYPES
from vsr_kit.study import (
    PER_TYPE_AND_ROOM,
    TRAIN_ROOMS,
    Condition,
    answers_path,
    questions_path,
    read_answers,
    read_lines,
    read_samples,
    reference_runs,
)
from vsr_kit.study.answers import manifest_entries

Bands = dict[str, Interval]  # `overall` and every task; see `one_mean`


def study_folder(folder: Path | str | None) -> Path:
    """The folder given, or the shipped study's."""
    return Path(folder) if folder is not None else reference_runs()


def answered(condition: Condition, folder: Path | str | None) -> bool:
    """Whether the answers of a condition are in the folder."""
    return answers_path(condition, study_folder(folder)).exists()


def said(condition: Condition, folder: Path | str | None) -> list[dict]:
    """The answers of a greedy condition: its rows with `prediction` and `truncated`."""
    return read_answers(condition, study_folder(folder))


def all_draws(condition: Condition, folder: Path | str | None) -> list[dict]:
    """Every draw of a sampled condition, draw after draw."""
    return [row for draw in read_samples(condition, study_folder(folder)) for row in draw]


def training_answers(phrasing: str, folder: Path | str | None = None) -> list[dict]:
    """Rows of the training rooms: the study's own where it kept them, else all that geometry alone allows."""
    kept = questions_path(f"train-{phrasing}", study_folder(folder))
    if kept.exists():
        return read_lines(kept)
    return list(_from_geometry(phrasing, TRAIN_ROOMS))


@cache
def _from_geometry(phrasing: str, count: int) -> tuple[dict, ...]:
    rooms = split_rooms(count, "train")
    return tuple(make_rows(rooms, phrasing, 0, TRAINED_TYPES, max_per_type=PER_TYPE_AND_ROOM, rules=STUDY_RULES))


def one_mean(bands: Bands) -> Bands:
    """Bands without `trained` where no other tasks were asked: `overall` then is the same mean."""
    same = "trained" in bands and bands["trained"].n == bands["overall"].n
    return {task: band for task, band in bands.items() if not (same and task == "trained")}


def in_points(bands: Bands) -> dict[str, str]:
    """Differences as a table writes them: `{"object_counting": "+1.2 (-0.3 to +2.7)", …}`."""
    return {task: f"{b.mean:+.1f} ({b.low:+.1f} to {b.high:+.1f})" for task, b in bands.items()}


def provenance(folder: Path | str | None = None) -> str:
    """One line: conditions, token cap, commit and checkpoint behind the answers, from the manifest."""
    entries = [e for e in manifest_entries(study_folder(folder)).values() if "token_cap" in e]  # of conditions
    parts = {
        "token cap": {str(e["token_cap"]) for e in entries},
        "commit": {(e["git"] or {}).get("commit", "unknown")[:10] for e in entries},
        "SHA-256 of the base": {(e["base"].get("sha256") or "unknown")[:10] for e in entries},
    }
    return f"{len(entries)} conditions; " + ", ".join(f"{k} {' and '.join(sorted(v))}" for k, v in parts.items())
