"""Rows: plain dicts with VSI-Bench's fields, made from rooms, read from a file, or loaded from the benchmark.

Everything downstream takes rows, so procedural rooms, the benchmark's geometry, its own questions and a user's file all
look alike. Reading is strict: a row that breaks a rule is named by line and field, since a question that cannot be
scored would otherwise count as answered wrongly.
Left out: VSI-100k, of which no file was ever released; `make_rows(..., phrasing="vsi-100k")` makes its like.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from vsr_kit.questions import CHOICE_TYPES, NUMERIC_TYPES, PHRASINGS, QUESTION_TYPES, Rules, make_questions
from vsr_kit.rooms import Room
from vsr_kit.videos import Clip

HUB_ID = "nyu-visionx/VSI-Bench"
FIELDS = ("id", "dataset", "scene_name", "question_type", "question", "options", "ground_truth")


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
    """
    rooms, rows = list(rooms), []
    check_names(rooms)
    for room in rooms:
        if clips is not None and room.name not in clips:
            raise ValueError(f"no clip of room {room.name!r} among {len(clips)}: film it, or leave `clips` out")
        clip = None if clips is None else clips[room.name]
        found = make_questions(room, phrasing, seed, types, clip, max_per_type, labels=labels, rules=rules)
        rows += [question.to_row() for question in found]
    return rows


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

    Raises:
        ValueError: naming line, field, rule and remedy of the first row that breaks one.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no file {path}: give a questions.jsonl, or write one with `vsr build`")
    rows = []
    for number, line in enumerate(_text(path).split("\n"), 1):  # splitlines would cut at U+2028 inside a question, too
        if line.strip():
            where = f"{path}, line {number}"
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{where}: not JSON ({error}); write one object a line") from None
            rows.append(check_row(record, where))
    return rows


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None


def check_row(record: object, where: str) -> dict:
    """Return the row, numbers as text and `phrasing` filled in; ValueError names `where`, field, rule and remedy."""
    if not isinstance(record, dict):
        raise ValueError(f"{where}: is a {type(record).__name__}, must be an object with {', '.join(FIELDS)}")
    if missing := [field for field in FIELDS if field not in record and field != "options"]:
        raise ValueError(f"{where}: field {missing[0]!r} is missing; a row needs {', '.join(FIELDS)}")
    row = dict(record) | {"options": record.get("options") or None}
    if isinstance(row["ground_truth"], (int, float)) and not isinstance(row["ground_truth"], bool):
        row["ground_truth"] = str(row["ground_truth"])
    for field in ("dataset", "scene_name", "question_type", "question", "ground_truth"):
        if not isinstance(row[field], str) or not row[field]:
            raise ValueError(f"{where}: field {field!r} is {row[field]!r}, must be text that is not empty")
    kind, options = row["question_type"], row["options"]
    if kind not in QUESTION_TYPES:
        raise ValueError(f"{where}: field 'question_type' is {kind!r}, must be one of {', '.join(QUESTION_TYPES)}")
    row.setdefault("phrasing", "vsi-100k" if kind in CHOICE_TYPES and options is None else "vsi-bench")
    _check_answer(row, where)
    return row


def _check_answer(row: dict, where: str) -> None:
    """Rules that tie options, phrasing and ground truth together."""
    answer, options = row["ground_truth"], row["options"]
    if row["phrasing"] not in PHRASINGS:
        raise ValueError(f"{where}: field 'phrasing' is {row['phrasing']!r}, must be one of {', '.join(PHRASINGS)}")
    if row["question_type"] in NUMERIC_TYPES:
        try:
            good = math.isfinite(float(answer))
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"{where}: field 'ground_truth' is {answer!r}, must be a number such as 3 or 1.5, no unit")
    elif row["phrasing"] == "vsi-bench":
        letters = [str(option)[:1] for option in options] if isinstance(options, list) else []
        if letters != list("ABCDEFGH"[: len(letters)]) or answer not in letters:
            raise ValueError(
                f"{where}: field 'options' is {options!r} and 'ground_truth' {answer!r}: options must read 'A. …', "
                "'B. …' in order and the ground truth be one of their letters; or set phrasing to vsi-100k"
            )


def load_vsi_bench(source: str | Path = HUB_ID, split: str = "test", config: str | None = None) -> list[dict]:
    """Load VSI-Bench's rows from the hub, or from a copy of its jsonl or parquet.

    Args:
        source: a hub id (needs the network once; `datasets` caches it), or a local file or folder.
        split, config: as `datasets.load_dataset` takes them; `config="debiased"` leaves out what can be guessed.
    """
    from datasets import load_dataset

    path = Path(source)
    if path.is_file():
        kind = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}.get(path.suffix)
        if kind is None:
            raise ValueError(f"{path}: is no .jsonl, .json or .parquet file; give one of these, or a hub id")
        table = load_dataset(kind, data_files=str(path), split="train")
    else:
        try:
            table = load_dataset(str(source), config, split=split)
        except (ConnectionError, FileNotFoundError) as error:
            raise ValueError(
                f"{source} cannot be loaded ({error}): it needs the network once; offline, give a local copy of the "
                "data set's parquet or jsonl"
            ) from error
    return [check_row(record, f"{source}, row {i}") for i, record in enumerate(table)]
