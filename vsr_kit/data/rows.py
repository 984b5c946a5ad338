"""Rows: plain dicts with VSI-Bench's fields, made from rooms, read from a file, or loaded from the benchmark.

Everything downstream takes rows, so procedural rooms, the benchmark's geometry, its own questions and a user's file all
look alike. Reading is strict (`vsr_kit.data.checks`), and nothing is made that would not be read again.
Left out: VSI-100k, of which no file was ever released; `make_rows(..., phrasing="vsi-100k")` makes its like.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from vsr_kit.data.checks import check_row, check_rows
from vsr_kit.data.records import read_records
from vsr_kit.questions import QUESTION_TYPES, Rules, make_questions
from vsr_kit.rooms import Room
from vsr_kit.videos import Clip

HUB_ID = "nyu-visionx/VSI-Bench"


def make_rows(
    rooms: Iterable[Room],
    phrasing: str = "vsi-bench",
    seed: int = 0,
    types: tuple[str, ...] | None = None,
    clips: Mapping[str, Clip] | None = None,
    max_per_type: int | None = None,
    labels: str | None = None,
    rules: Rules | str | None = None,
) -> list[dict]:
    """Ask every room (`vsr_kit.questions.make_questions`) and return rows with VSI-Bench's fields.

    Args:
        rooms: of any source; their names must differ.
        phrasing: `vsi-bench` or `vsi-100k`.
        seed: of the drawn options and their order.
        types: question types, all of the phrasing's by default.
        clips: by room name; with them only what they show is asked, and appearance order, too.
        max_per_type: most questions of one type from one room.
        labels: `closest` or `centre`, what distances measure; the phrasing's own by default. Ids do not tell: rows
            of one id under two choices are one question with two truths, so keep them in separate files.
        rules: a rule set or its name; by default the study's for procedural rooms, the benchmark's for all others.

    A question that `check_row` would refuse is left out: a size that rounds to nothing, a name that no answer can give
    back ("cabinet, tall" among words that commas part).
    """
    rooms, rows = list(rooms), []
    check_names(rooms)
    for room in rooms:
        if clips is not None and room.name not in clips:
            raise ValueError(f"no clip of room {room.name!r} among {len(clips)}: film it, or leave `clips` out")
        clip = None if clips is None else clips[room.name]
        asked = make_questions(room, phrasing, seed, types, clip, max_per_type, labels=labels, rules=rules)
        rows += [row for row in (question.to_row() for question in asked) if _would_be_read(row)]
    return rows


def _would_be_read(row: dict) -> bool:
    try:
        return bool(check_row(row, ""))
    except ValueError:
        return False


def check_names(rooms: Iterable[Room]) -> None:
    """Raise ValueError where two rooms share a name."""
    for name, times in Counter(room.name for room in rooms).most_common(1):
        if times > 1:
            raise ValueError(f"{times} rooms are called {name!r}: clips and splits go by name, rename all but one")


def balanced(rows: list[dict], per_type: int, seed: int = 0) -> list[dict]:
    """Draw `per_type` rows of each type, one room after another, in random order; all of a type that has fewer.

    Rooms with many objects have many more questions than others; drawing room by room keeps them from taking over.
    """
    rng = np.random.default_rng(seed)
    picked: list[dict] = []
    for kind in QUESTION_TYPES:
        by_room: dict[tuple, list[dict]] = {}
        for row in rows:
            if row["question_type"] == kind:
                by_room.setdefault((row["dataset"], row["scene_name"]), []).append(row)
        turns = [(turn, rng.random(), row) for own in by_room.values() for turn, row in enumerate(_shuffled(own, rng))]
        picked += [row for *_, row in sorted(turns, key=lambda t: t[:2])[:per_type]]
    return _shuffled(picked, rng)


def first_of_types(rows: Iterable[dict], per_type: int, types: Collection[str] | None = None) -> list[dict]:
    """The first `per_type` rows of each type, or of some types, in the order given: chosen by nothing else."""
    taken: dict[str, list[dict]] = {}
    for row in rows:
        if types is None or row["question_type"] in types:
            taken.setdefault(row["question_type"], []).append(row)
    return [row for own in taken.values() for row in own[:per_type]]


def _shuffled(rows: list[dict], rng: np.random.Generator) -> list[dict]:
    return [rows[i] for i in rng.permutation(len(rows))]


def write_rows(path: str | Path, rows: Iterable[dict]) -> None:
    """Write rows as JSON lines, the format `read_rows` reads."""
    Path(path).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def read_rows(path: str | Path) -> list[dict]:
    """Read a questions.jsonl: one row with VSI-Bench's fields a line, `phrasing` filled in where it is missing.

    Gzipped lines, one JSON list, parquet, and a pipe are read as well; see `vsr_kit.data.records`.

    Raises:
        ValueError: naming line, field, rule and remedy of the first row that breaks one (`vsr_kit.data.checks`).
    """
    return check_rows(read_records(path, "a questions.jsonl, or write one with `vsr build`"))


def load_vsi_bench(source: str | Path = HUB_ID, split: str = "test", config: str | None = None) -> list[dict]:
    """Load VSI-Bench's rows from the hub, or from a copy of its jsonl or parquet.

    Args:
        source: a hub id (needs the network once; `datasets` caches it), or a local file or folder.
        split, config: as `datasets.load_dataset` takes them; `config="debiased"` leaves out what can be guessed.

    Raises:
        ValueError: naming source, line or row, field, rule and remedy; also where there is no row at all.
    """
    path = Path(source)
    if path.exists() and not path.is_dir():
        rows = read_rows(path)
    else:
        rows = check_rows(
            (f"{source}, row {i}", record) for i, record in enumerate(_from_hub(source, split, config), 1)
        )
    if not rows:
        raise ValueError(f"{source}: holds no row; give a hub id, or a copy of the data set's parquet or jsonl")
    return rows


def _from_hub(source: str | Path, split: str, config: str | None) -> Iterable[dict]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    try:
        return load_dataset(str(source), config, split=split)
    except (ConnectionError, FileNotFoundError) as error:
        raise ValueError(
            f"{source} cannot be loaded ({error}): it needs the network once; offline, give a local copy of the "
            "data set's parquet or jsonl"
        ) from error
    except (DatasetGenerationError, StopIteration) as error:
        why = error.__cause__ or error.__context__ or "it is empty"
        raise ValueError(f"{source}: a file of it is damaged ({why}); give the file itself to see the line") from error
