"""Records of a file, one after another, each with the place to name when it breaks a rule.

The story: JSON lines, or one JSON list, plain or gzipped, from a file or a pipe, and parquet. What a file is, its first
bytes say, whatever its name. Nothing is guessed: what cannot be read stops the reading and is named by file and line.
Left out: CSV, whose lists and empty fields are no longer told from text; the error says how to turn it into JSON lines.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from vsr_kit.strict import parse_json

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
