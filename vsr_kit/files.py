"""Files that survive a kill and show damage: atomic JSON, JSON lines, parquet by column, and SHA-256 seals.

Writing: a process may be killed between any two instructions. A whole file is written under another name and renamed,
so it exists complete or not at all. A journal of JSON lines is only appended to, so a kill leaves a prefix of it, and
everything up to the prefix's last line break is valid.

Reading: safetensors, torch, zlib and pyarrow raise errors that name no file. Every place that reads a file is wrapped
in `reading(path)`, which turns such errors into `Damaged`: one line with the file, the fault and the remedy. `expect`
checks a record's fields, so valid JSON of the wrong form (a list instead of a dictionary, a step that is text) is
damage too.

Sealing: text files and containers mostly show damage by themselves, numbers do not: one flipped bit of a weight or one
changed digit of a log is a different result. `seal` writes sha256.json, the hash of each file, into a finished folder
(a checkpoint, an adapter, a run that a study keeps). `check_seal` compares a file with the seal of its own folder or of
the folder above, if one names the file. A folder without a seal is read as it is.

Left out: repair (a file's content cannot be guessed, so nothing is skipped, filled in or overwritten), fsync (a power
failure is not a kill), compression, several writers of one journal, and signatures: a seal detects damage, not forgery.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path

NUMBER = (int, float)
REMEDY = "restore it from a copy, or remove it and have it made again"
LONGEST = 300  # of what a library said; some print every weight


class Damaged(ValueError):
    """A file is not what it was written as. The message names it and a remedy."""


@contextmanager
def reading(path: str | Path, remedy: str = REMEDY) -> Iterator[None]:
    """Around the reading of one file: what goes wrong inside is raised as `Damaged`, naming file and remedy.

    A file that is not there, or may not be read, keeps its own error, which names the file already; so does what is no
    fault of the file: memory that is full, and a package that is not installed.
    """
    try:
        yield
    except (Damaged, FileNotFoundError, PermissionError, MemoryError, ImportError):
        raise
    except Exception as error:
        if "OutOfMemory" in type(error).__name__:  # torch's own
            raise
        raise Damaged(f"{path} cannot be read ({in_a_line(error)}); {remedy}") from error


def in_a_line(error: BaseException) -> str:
    """What an error says, in one line of bearable length; its kind where it says nothing."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):
        text = f"there is no {text}"
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def expect(record, where: str | Path, fields: Mapping[str, type | tuple], remedy: str = REMEDY) -> dict:
    """The record itself, if it is a dictionary whose fields are of the types they should be.

    Args:
        record: what a file held.
        where: the file, or file and line.
        fields: name to type or types; a name that ends with "?" may be missing or null. Truth values are no numbers.

    Raises:
        Damaged: naming `where`, the field, its value and what it must be.
    """
    if not isinstance(record, dict):
        raise Damaged(f"{where}: is {_short(record)}, must be an object with fields; {remedy}")
    for field, kinds in fields.items():
        name, kinds = field.removesuffix("?"), kinds if isinstance(kinds, tuple) else (kinds,)
        value = record.get(name)
        if value is None and field.endswith("?"):
            continue
        if name not in record:
            raise Damaged(f"{where}: field {name!r} is missing; {remedy}")
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            wanted = " or ".join(_WORDS.get(kind, kind.__name__) for kind in kinds)
            raise Damaged(f"{where}: field {name!r} is {_short(value)}, must be {wanted}; {remedy}")
    return record


_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    dict: "an object",
    list: "a list",
    bool: "true or false",
}


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


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
    beside.unlink(missing_ok=True)  # a kill's: it may be appended to
    write(beside)
    os.replace(beside, path)


def read_json(path: Path, fields: Mapping | None = None, remedy: str = REMEDY) -> dict:
    """The object in a JSON file, with fields as `expect` takes them; `Damaged`, a ValueError, if it is none."""
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

    A malformed line before the last, or one without the fields (as `expect` takes them), is damage, not a kill:
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


SEAL = "sha256.json"


def seal(folder: str | Path, names: Iterable[str] | None = None) -> Path:
    """Write `sha256.json`: name to hash, of the named files (paths within the folder) or of all but README.md in it."""
    folder = Path(folder)
    if names is None:
        names = [path.name for path in folder.iterdir() if path.is_file()]
        names = [name for name in names if name not in (SEAL, "README.md") and not name.startswith(".")]
    write_json(folder / SEAL, {name: file_hash(folder / name) for name in sorted(names)})
    return folder / SEAL


def unseal(folder: str | Path) -> None:
    """Take the seal off a folder that is about to be written again."""
    (Path(folder) / SEAL).unlink(missing_ok=True)


def check_seal(path: str | Path) -> Path:
    """The file itself, if it is what was sealed, or if no seal names it.

    Raises:
        Damaged: it was changed since, or is missing; or the seal cannot be read.
    """
    path = Path(path)
    for folder in (path.parent, path.parent.parent):
        sealed = sealed_files(folder)
        name = path.relative_to(folder).as_posix()
        if name not in sealed:
            continue
        remedy = f"restore it from a copy; if the change is meant, remove {folder / SEAL}"
        if not path.is_file():
            raise Damaged(f"{path} is missing, and {folder / SEAL} names it; {remedy}")
        if file_hash(path) != sealed[name]:
            raise Damaged(
                f"{path} is not the file that was written: its SHA-256 differs from {folder / SEAL}; {remedy}"
            )
    return path


def check_folder(folder: str | Path) -> None:
    """`check_seal` for every file that the folder's own seal names; missing ones are told too."""
    for name in sealed_files(folder):
        check_seal(Path(folder) / name)


def sealed_files(folder: str | Path) -> dict[str, str]:
    """Name to SHA-256 as the folder's seal has it; empty where there is no seal."""
    path = Path(folder) / SEAL
    if not path.is_file():
        return {}
    sealed = read_json(path)
    if not all(isinstance(found, str) for found in sealed.values()):
        raise Damaged(f"{path}: must hold a name and a hash for each file; restore it from a copy, or remove it")
    return sealed


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
