"""One writer a folder: a lock that ends with its process, however the process ends.

The story: work that takes minutes fills a folder (a build, a pretraining); a second one in the same folder would mix
its files with the first one's. `held` locks the folder itself, so that nothing is left behind by a kill, and whatever
path leads there, the lock is the same.

Left out: Windows outside WSL and file systems without locks, where nothing is kept out; run folders, whose lock
outlives a function call (runs.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
