"""The work folder of a pretraining: a record of its recipe, so that nothing is continued under another one.

Films and stage states take hours to make, and nothing in them shows how they were made. recipe.json records it: every
number of the recipe, the number of processes, and hashes of the rooms and of the tokenizer, which follow from the code.
It is written before the first film, each stage's state carries a copy, and a folder of another recipe is refused, since
half of one model and half of another would look like a whole one. The checkpoint folders that it writes are recorded
too, so that no other folder is overwritten.
Left out: the machine; bf16 products and compiled operations may differ between two machines in the last digits.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from vsr_kit.files import plain, read_json

RECIPE = "recipe.json"
CHECKPOINTS = "checkpoints.json"


def digest(records: Iterable) -> str:
    """A hash of anything JSON can hold, short enough for a line."""
    whole = hashlib.sha256()
    for record in records:
        whole.update(json.dumps(record, sort_keys=True, default=plain).encode())
    return whole.hexdigest()[:16]


def as_recorded(identity: Mapping) -> dict:
    """The identity as JSON keeps it: lists for tuples, dicts for records."""
    return json.loads(json.dumps(dict(identity), default=plain))


def must_agree(recorded: Mapping, identity: Mapping, where: Path) -> None:
    """Raise ValueError naming both values of the first settings in which two identities differ.

    Only what `identity` holds is compared, so that a part of it can be checked before the rest is known.
    """
    there, here = _flat(recorded), _flat(as_recorded(identity))
    names = [name for name in here if there.get(name) != here[name]]
    names += [name for name in there if name not in here and name.split(".")[0] in identity]
    if names:
        told = ", ".join(f"{name} {there.get(name)!r} (now {here.get(name)!r})" for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ValueError(
            f"{where} was made with {told}{more}: go on with the settings it was begun with, or give another folder"
        )


def _flat(value, name: str = "") -> dict:
    if not isinstance(value, Mapping):
        return {name: value}
    inner = [_flat(part, f"{name}.{key}" if name else str(key)) for key, part in value.items()]
    return {key: part for flat in inner for key, part in flat.items()}


def check(work: Path, identity: Mapping) -> None:
    """Refuse a work folder of another recipe, or one that does not say which it is of. A new or empty one passes."""
    if (work / RECIPE).exists():
        recorded = read_json(work / RECIPE)
        if not isinstance(recorded, dict):
            raise ValueError(f"{work / RECIPE} holds no recipe: it was edited; give another folder")
        must_agree(recorded, identity, work)
    elif work.is_dir() and any(work.iterdir()):
        raise ValueError(
            f"{work} holds {min(path.name for path in work.iterdir())}, and no {RECIPE} that says what it was made by: "
            "give another work folder, or remove this one"
        )


def checkpoint_folders(work: Path, folders: Iterable[Path]) -> list[str]:
    """All checkpoint folders that this work writes, `folders` among them; ValueError where one holds others' files."""
    noted = work / CHECKPOINTS
    known = read_json(noted, {"folders": list})["folders"] if noted.exists() else []
    for folder in map(Path.resolve, folders):
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file: give a folder")
        if str(folder) not in known and folder.is_dir() and any(folder.iterdir()):
            raise ValueError(
                f"{folder} holds {min(path.name for path in folder.iterdir())}, which no pretraining in {work} wrote: "
                "give a new or empty folder for the checkpoint"
            )
    return sorted({*known, *(str(folder.resolve()) for folder in folders)})


def reserve(path: Path, work: Path) -> None:
    """Take all of a file's room on the disk now: a memory map that finds none later ends the process without a word.

    Raises:
        OSError: if there is not enough; it says how much is needed.
    """
    size = path.stat().st_size
    missing = size - path.stat().st_blocks * 512
    if missing <= 0:
        return
    full = False
    try:
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as stream:
                os.posix_fallocate(stream.fileno(), 0, size)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    free = shutil.disk_usage(work).free
    if full or (path.stat().st_blocks * 512 < size and free < missing):
        raise OSError(
            f"{path} needs {missing / 1e6:,.1f} MB more, {free / 1e6:,.1f} MB are free: free some space, or give "
            "another work folder"
        )
