"""Damage told in one line: which file, what is wrong with it, what to do.

The story: a copy breaks off, a disk fills, a file is edited by hand, and every library complains in its own tongue:
safetensors, torch, zlib and pyarrow raise errors that name no file. `reading(path)` goes around every place that reads
one, and turns whatever comes out of it into `Damaged`. JSON that can be read and is not what it should be (a list for a
dictionary, a step that is text) is damage too: `expect` looks at a record's fields. `vsr_kit.seals` sees the rest.

Left out: mending. What a file said cannot be guessed, so nothing is skipped, filled in or overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

NUMBER = (int, float)
REMEDY = "restore it from a copy, or remove it and have it made again"
LONGEST = 300  # of what a library said; some print every weight


class Damaged(ValueError):
    """A file is not what it was written as. The message names it and a remedy."""


@contextmanager
def reading(path: str | Path, remedy: str = REMEDY) -> Iterator[None]:
    """Around the reading of one file: what goes wrong inside is raised as `Damaged`, naming file and remedy.

    A file that is not there, or may not be read, keeps its own error, which names the file already.
    """
    try:
        yield
    except (Damaged, FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:
        raise Damaged(f"{path} cannot be read ({in_a_line(error)}); {remedy}") from error


def in_a_line(error: BaseException) -> str:
    """What an error says, in one line of bearable length; its kind where it says nothing."""
    said = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, KeyError):
        said = f"there is no {said}"
    return said if len(said) <= LONGEST else said[: LONGEST - 1] + "…"


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
    said = repr(value)
    return said if len(said) <= 80 else said[:79] + "…"
