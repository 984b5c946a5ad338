"""Seals: the SHA-256 of each file of a folder, written when the folder is done, so that a flipped bit is seen.

The story: text and containers mostly show damage by themselves, numbers do not: one bit of a weight or one digit of a
log is another result. `seal` writes sha256.json into a finished folder (a checkpoint, an adapter, a run that a study
keeps); `check_seal` holds a file against the one in its own folder or in the folder above, where there is one that
names it. A folder without a seal is read as it is.

Left out: signatures. A seal tells damage, not forgery: whoever may change a file may change its seal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from vsr_kit.damage import Damaged
from vsr_kit.journals import read_json, write_json

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
