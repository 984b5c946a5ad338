"""One writer for a folder: a lock that dies with its process, however that ends.

The story: two processes that write one run, one study or one data set spoil it without an error. Whoever writes holds
`FOLDER/.lock`; the second is told who holds it. The file stays when the lock is gone: only the lock counts.
Left out: file systems without locks, and Windows outside WSL, where there is none.
"""

from __future__ import annotations

import os
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
