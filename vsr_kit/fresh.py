"""A new run's folder, which appears with its settings or not at all.

The story: settings are written into a hidden folder beside, which is then renamed, so that a kill in between leaves no
run without settings; what it does leave is removed when the next run begins, unless someone holds its lock.
Left out: runs that began and recorded nothing; they are left alone, and `vsr report` passes over them.
"""

from __future__ import annotations

import os
import shutil
from datetime import datetime
from pathlib import Path

from vsr_kit.locks import Lock

_BEGUN = ".begun"  # the end of a folder's name until its settings are written
_SETTINGS = {"lock", "versions.json", "config.json", "attempts.jsonl"}


def begin(root: Path, name: str) -> Path:
    """A hidden folder under `root` for a run of this name to be written into."""
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root)
    beside = root / f".{_stamp()}-{name}.{os.getpid()}{_BEGUN}"
    beside.mkdir(exist_ok=True)
    return beside


def put(beside: Path, root: Path, name: str) -> Path:
    """Give a folder that is written its place; the first that is free."""
    for count in range(1, 1000):
        path = root / (f"{_stamp()}-{name}" if count == 1 else f"{_stamp()}-{name}-{count}")
        if path.exists():
            continue
        try:
            beside.rename(path)
        except OSError:
            if path.exists():
                continue
            raise
        return path
    raise FileExistsError(f"{root} already holds 999 runs named {name!r} of this second")


def _sweep(root: Path) -> None:
    """Remove what kills left of runs that never began: nobody holds their lock, and nothing is in them but settings."""
    for left in root.glob(f".*{_BEGUN}"):
        try:
            lock = Lock(left)
        except (ValueError, OSError):
            continue
        lock.release()
        if {path.name.strip(".").removesuffix(".part") for path in left.iterdir()} <= _SETTINGS:
            shutil.rmtree(left, ignore_errors=True)


def _stamp() -> str:
    return datetime.now().strftime("%Y%m%d-%H%M%S")
