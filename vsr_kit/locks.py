"""One writer for a folder: a lock that dies with its process, however that ends.

The story: two processes that write one run, one study or one data set spoil it without an error. There are two kinds.
A `Lock` outlives a function call: whoever writes a run or a study holds `FOLDER/.lock`, and the second is told who it
is; the file stays when the lock is gone. `held` goes around work that fills a folder (a build, a pretraining): it locks
the folder itself, so that nothing is left behind by a kill, and whatever path leads there, the lock is the same.

Left out: file systems without locks, and Windows outside WSL, where nothing is kept out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = ".lock"
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
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ValueError(f"{what or folder} is being written by {_holder(key)}") from None
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
