"""Locks that allow one writer per folder, and new run folders that appear complete or not at all.

Two processes that write to one run, one study or one data set would spoil it without an error. There are two kinds of
lock, and both end with their process, however it ends. A `Lock` outlives a function call: the writer of a run or a
study holds `FOLDER/.lock`, and a second writer gets an error that says who holds it; the file itself stays. `held`
wraps work that fills a folder (a build, a pretraining): it locks the folder itself, so that a kill leaves no lock file
and every path to the folder meets the same lock.

`begin` and `put` make a new run's folder: the settings are written into a hidden folder, which is then renamed, so that
no run can exist without its settings. Hidden folders left by a kill are removed when the next run begins, unless
another process holds their lock.

Left out: file systems without locks, and Windows outside WSL, where no lock is taken; runs that recorded nothing after
their settings, which stay and are skipped by `vsr report`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

NAME = ".lock"
_TRIES, _PAUSE_S = 4, 0.02  # whoever only looks at a lock (`is_held`) holds it for microseconds
_held: dict[tuple[int, int], int] = {}  # (device, inode) of what this process holds, and its process id


class Lock:
    """Held from the making until `release` or the end of the process.

    Args:
        folder: to be written; it is there already.
        what: it is called in the error, the folder's path if left out.

    Raises:
        ValueError: another writer holds it; in the same process that is told, too.
    """

    def __init__(self, folder: str | Path, what: str | None = None) -> None:
        self._file, self._key = None, None
        try:
            import fcntl
        except ImportError:  # Windows outside WSL
            return
        self._file = (Path(folder) / NAME).open("w")
        known = os.fstat(self._file.fileno())
        key = (known.st_dev, known.st_ino)
        for left in reversed(range(_TRIES)):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not left or key in _held:
                    self._file.close()
                    raise ValueError(f"{what or folder} is being written by {_holder(key)}") from None
                time.sleep(_PAUSE_S)
            except OSError:  # a file system without locks
                return
        self._key = key
        _held[key] = os.getpid()

    def release(self) -> None:
        """Let go; a second time does nothing."""
        if self._file is not None:
            self._file.close()
        if self._key is not None:
            _held.pop(self._key, None)
        self._file = self._key = None

    close = release

    def __del__(self) -> None:
        self.release()


def is_held(folder: str | Path) -> bool | None:
    """Whether a process, this one or another, holds a folder's `Lock`.

    Returns:
        None where that cannot be told: the folder has no lock file (it was copied, or shipped), or the file system or
        the operating system knows no locks. False says that no process on this machine holds it.
    """
    try:
        import fcntl

        with (Path(folder) / NAME).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that several may look at once
    except BlockingIOError:
        return True
    except (ImportError, OSError):
        return None
    return False


def _holder(key: tuple[int, int]) -> str:
    if _held.get(key) == os.getpid():
        return "this process, not another process: close() the object that holds it, or restart the kernel"
    return "another process; wait for it or stop it first"


@contextmanager
def held(folder: Path) -> Iterator[Path]:
    """Keep others out of `folder` until the end; it is made where there is none, and removed if it is left empty.

    Raises:
        ValueError: if `folder` is a file, or somebody else holds it.
    """
    folder = folder.resolve()
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file: give a folder")
    made = [above for above in (folder, *folder.parents) if not above.exists()]
    handle = _locked(folder)
    try:
        yield folder
    finally:
        with suppress(OSError):
            for above in made:  # rmdir removes nothing but an empty folder
                above.rmdir()
        if handle is not None:
            os.close(handle)


def _locked(folder: Path) -> int | None:
    """A handle that holds the lock until it is closed; None where there are no locks."""
    try:
        import fcntl
    except ImportError:  # Windows outside WSL
        folder.mkdir(parents=True, exist_ok=True)
        return None
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise ValueError(
                f"{folder} is being written by another process: wait for it or stop it, or give another folder"
            ) from None
        except OSError:  # the file system knows no locks
            return handle
        if folder.exists() and os.path.samestat(os.fstat(handle), folder.stat()):
            return handle
        os.close(handle)  # its last holder removed it, empty, between our two steps


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
