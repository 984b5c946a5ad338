"""Rows: plain dicts with VSI-Bench's fields, read from files, made from rooms, and split by room.

Everything downstream takes rows, so procedural rooms, the benchmark's geometry, its own questions and a user's file are
handled alike. Reading is strict (checking.py), and nothing is made that could not be read again.

`read_records` reads JSON lines or one JSON list, plain or gzipped, from a file or a pipe, and parquet. The first bytes
decide which it is, whatever the file's name. Nothing is guessed: the first record that cannot be read stops the
reading, and the error names its file and line.

Splits are by room, never by question. A procedural room belongs to the split whose random stream its seed comes from, a
real one to the split that a hash of its name gives; other rooms never change either.

Left out: CSV, whose lists and empty fields cannot be told from text (the error says how to convert it to JSON lines);
real scenes that show the same home, which the release does not mark; and VSI-100k, which was released as annotations
without films: vsi_100k.py reads it, and `make_rows(..., phrasing="vsi-100k")` makes questions of its kind.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from vsr_kit.data.checking import check_row, check_rows
from vsr_kit.questions import QUESTION_TYPES, Rules, make_questions
from vsr_kit.rooms import Room, furnished_named, make_room
from vsr_kit.validation import parse_json
from vsr_kit.videos import Clip

_BOM = b"\xef\xbb\xbf"


def read_records(path: str | Path, wanted: str, blank_lines: bool = True) -> Iterator[tuple[str, object]]:
    """Yield (place, record) of every record.

    Args:
        path: a file or a pipe (`/dev/stdin`).
        wanted: what the file should be, for the error where there is none: "a questions.jsonl, …".
        blank_lines: whether lines without anything between others are passed over; else they are no JSON.

    Raises:
        ValueError: naming the file and, where there is one, the line.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give {wanted}")
    if not path.exists():
        raise ValueError(f"no file {path}: give {wanted}")
    data = path.read_bytes()
    if data.startswith(b"\x1f\x8b"):
        data = _unzipped(data, path)
    if data.startswith(b"PAR1"):
        yield from _of_parquet(data, path)
        return
    if _is_csv(data, path):
        how = "pandas.read_csv(FILE).to_json('rows.jsonl', orient='records', lines=True)"
        raise ValueError(f"{path}: is CSV, where lists are text; make a .jsonl or .parquet of it, by {how}, say")
    if data.removeprefix(_BOM).lstrip()[:1] == b"[":
        yield from _of_list(data, path)
        return
    lines = data.split(b"\n")  # bytes: text may hold other line breaks
    if not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        if line.removeprefix(_BOM).strip() or not blank_lines:
            yield f"{path}, line {number}", _parsed(line, f"{path}, line {number}", "write one object a line")


def _is_csv(data: bytes, path: Path) -> bool:
    """By its name, or by a first line that names a field and is no JSON."""
    header = data.removeprefix(_BOM).lstrip()[:2000].split(b"\n")[0]
    named = {suffix.lower() for suffix in path.suffixes[-2:]} & {".csv", ".tsv"}
    return bool(named) or (b"question_type" in header and header[:1] not in (b"{", b"["))


def _parsed(line: bytes, where: str, remedy: str) -> object:
    try:
        return parse_json(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: is not UTF-8 ({error}); save the file as UTF-8") from None
    except ValueError as error:
        raise ValueError(f"{where}: is not JSON ({error}); {remedy}") from None


def _unzipped(data: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: is damaged gzip ({error}); copy it again from where it came") from None


def _of_list(data: bytes, path: Path) -> Iterator[tuple[str, object]]:
    records = _parsed(data, str(path), "write one object a line, or one list of objects")
    for number, record in enumerate(records, 1):
        yield f"{path}, record {number}", record


def _of_parquet(data: bytes, path: Path) -> Iterator[tuple[str, object]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        records = pq.read_table(io.BytesIO(data)).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is damaged parquet ({error}); copy it again from where it came") from None
    for number, record in enumerate(records, 1):
        yield f"{path}, row {number}", record


SPLITS = ("train", "val", "test")


def split_rooms(n: int, split: str, seed: int = 0) -> list[Room]:
    """Make `n` procedural rooms of a split, named `{split}-{seed}-00000` and on.

    Splits draw from separate random streams, so no room is in two of them; asking for more rooms keeps the first ones.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    if n < 1:
        raise ValueError(f"cannot make {n} rooms: n must be at least 1")
    return [make_room(state, f"{split}-{seed}-{i:05d}") for i, state in enumerate(_room_states(split, seed, n))]


def room_named(name: str) -> Room | None:
    """The room that `split_rooms` or `furnished_room` gives this name, made anew; None for any other name.

    Rooms beyond the first million of a split take too long to be counted to, and have none.
    """
    if (furnished := furnished_named(name)) is not None:
        return furnished
    found = re.fullmatch(rf"({'|'.join(SPLITS)})-([0-9]{{1,9}})-([0-9]{{5,6}})", name)
    if found is None or name != f"{found[1]}-{int(found[2])}-{int(found[3]):05d}":
        return None
    split, seed, at = found[1], int(found[2]), int(found[3])
    return make_room(_room_states(split, seed, at + 1)[at], name)


def _room_states(split: str, seed: int, n: int) -> list[int]:
    stream = np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split) + 1,))
    return [int(state) for state in stream.generate_state(n, dtype=np.uint64)]


def assign_splits(
    rooms: Iterable[Room], seed: int = 0, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> dict[str, list[Room]]:
    """Put every room of a geometry file into train, val or test by a hash of its scene name.

    A scene's split depends on its name and `seed` alone, not on the other scenes or their order; the shares are
    therefore `fractions` on average only.
    """
    if len(fractions) != 3 or min(fractions) < 0 or not math.isclose(sum(fractions), 1.0):
        raise ValueError(f"fractions are {fractions}: give three shares, none below 0, that add up to 1")
    edges = np.cumsum(fractions)[:2]
    splits: dict[str, list[Room]] = {split: [] for split in SPLITS}
    for room in rooms:
        digest = hashlib.sha256(f"{seed}/{room.name}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        splits[SPLITS[int(np.searchsorted(edges, share, side="right"))]].append(room)
    return splits


HUB_ID = "nyu-visionx/VSI-Bench"


def make_rows(
    rooms: Iterable[Room],
    phrasing: str = "vsi-bench",
    seed: int = 0,
    *,
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

    Gzipped lines, one JSON list, parquet, and a pipe are read as well; see `vsr_kit.data.rows`.

    Raises:
        ValueError: naming line, field, rule and remedy of the first row that breaks one (`vsr_kit.data.checking`).
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
