"""Files that survive a kill: JSON that appears whole, JSON lines that lose at most a torn last one, parquet by column.

The story: a process may be killed between any two instructions. A whole file is written beside its place and renamed
over it; a journal is only ever appended to, so that a kill leaves a prefix, and everything up to the last line break of
a prefix is good.

Left out: fsync (a power failure is not a kill), compression, and several writers of one journal.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path

from vsr_kit.damage import REMEDY, Damaged, expect, in_a_line, reading


def plain(value):
    """What json.dumps cannot write itself: arrays and tensors as lists, records as dicts, paths and sets."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, type) or callable(value):
        return getattr(value, "__name__", repr(value))
    raise TypeError(f"a run cannot record {value!r} of type {type(value).__name__}; record numbers, text, lists, dicts")


def write_json(path: Path, value) -> None:
    """Write `value` so that readers see the old file or the new one, never half of it."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=plain) + "\n"
    replace(path, lambda beside: beside.write_text(text, encoding="utf-8"))


def replace(path: Path, write) -> None:
    """Call `write(beside)` with a path beside `path`, then rename the result over it."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.part")
    write(beside)
    os.replace(beside, path)


def read_json(path: Path, fields: Mapping | None = None, remedy: str = REMEDY) -> dict:
    """The object in a JSON file, with fields as `damage.expect` takes them; `Damaged`, a ValueError, if it is none."""
    try:
        found = json.loads(Path(path).read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as err:
        raise Damaged(f"{path} is not JSON ({in_a_line(err)}); it was cut or edited: {remedy}") from None
    return expect(found, path, fields or {}, remedy)


def append_lines(path: Path, rows: Iterable[Mapping]) -> None:
    """Append one JSON line a row and hand them to the operating system. A row that cannot be written writes none."""
    text = "".join(json.dumps(row, ensure_ascii=False, default=plain) + "\n" for row in rows)
    with Path(path).open("a", encoding="utf-8") as stream:
        stream.write(text)


def read_lines(path: Path, fields: Mapping | None = None) -> list[dict]:
    """Rows of a journal, without a torn last line; an empty list where there is no file.

    A malformed line before the last, or one without the fields (as `damage.expect` takes them), is damage, not a kill:
    `Damaged`, a ValueError, naming file and line.
    """
    path = Path(path)
    if not path.exists():
        return []
    with reading(path):
        whole, _, _torn = path.read_bytes().rpartition(b"\n")
    return _rows(whole, path, fields or {})


def read_gzip_lines(path: Path, fields: Mapping | None = None) -> list[dict]:
    """Rows of a gzipped file of JSON lines, which is written whole: any break is damage. As `read_lines` otherwise."""
    with reading(path):
        packed = Path(path).read_bytes()
        whole = gzip.decompress(packed)
    if not packed:  # which gzip takes for no lines
        raise Damaged(f"{path} is empty; {REMEDY}")
    return _rows(whole, path, fields or {})


def _rows(whole: bytes, path: Path, fields: Mapping) -> list[dict]:
    rows = []
    for number, line in enumerate(whole.split(b"\n"), start=1):  # text may hold other line breaks, such as U+2028
        if not line:
            continue
        try:
            rows.append(expect(json.loads(line.decode("utf-8")), f"{path}, line {number}", fields, _MEND))
        except Damaged:
            raise
        except (ValueError, RecursionError) as err:
            raise Damaged(f"{path}, line {number}, is not JSON ({in_a_line(err)}); {_MEND}") from None
    return rows


_MEND = "restore the file from a copy, or mend or remove the line"


def drop_torn_line(path: Path) -> None:
    """Cut a journal back to its last line break, before it is appended to again."""
    path = Path(path)
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as stream:
            stream.truncate(whole)


def write_parquet(path: Path, rows: list[dict]) -> None:
    """Rows as a parquet table. Columns are the union of the rows' keys; one of mixed types is kept as JSON text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column([row.get(name) for row in rows], pa) for name in names}
    replace(Path(path), lambda beside: pq.write_table(pa.table(columns), beside))


def _column(values: list, pa):
    return pa.array(one_type(values))


def one_type(values: list) -> list:
    """Values that an Arrow column can hold: as they are, or, if their types are mixed, all as text (JSON's)."""
    import pyarrow as pa

    try:
        pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return [v if isinstance(v, str) or v is None else json.dumps(v, ensure_ascii=False) for v in values]
    return values


def read_parquet(path: Path, fields: Mapping | None = None) -> list[dict]:
    """Rows of a parquet table; an empty list where there is no file; `Damaged` where it is broken."""
    if not Path(path).exists():
        return []
    import pyarrow.parquet as pq

    with reading(path), Path(path).open("rb") as stream:  # a folder by this name would be read as a table, too
        rows = pq.read_table(stream).to_pylist()
    return [expect(row, f"{path}, row {number}", fields or {}) for number, row in enumerate(rows, start=1)]
