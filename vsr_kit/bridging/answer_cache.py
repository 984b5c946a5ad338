"""Answers of writers on disk, so that nothing is asked twice: not after a kill, not by another run, not by two threads.

An answer is kept under the SHA-256 of all it hangs on (the writer's identity, the messages, the frames), a file each,
written beside and renamed, with a hash of its own content. A file that is not what was written is told on stderr and
asked anew: it can only be repaired by asking. Refusals are not kept, since the next try may succeed.
Left out: a limit of size, and forgetting; remove the folder.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vsr_kit.bridging.asking import FINISHES, REFUSED, Written
from vsr_kit.files import Damaged, in_a_line, read_json, write_json
from vsr_kit.validation import one_line

_FIELDS = {"key": str, "text": str, "finish": str, "sha256": str}


class AnswerCache:
    """A folder of answers.

    Args:
        folder: made when the first answer is kept; several runs may share it.

    Attributes:
        damaged: files that were not what was written, and were asked anew.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.damaged: list[Path] = []
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    @contextmanager
    def only(self, key: str) -> Iterator[None]:
        """Let one thread at a time look for, ask and keep the answer of this key."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            yield

    def get(self, key: str) -> Written | None:
        """The answer under a key; None where there is none, or none that can be trusted."""
        path = self._path(key)
        try:
            kept = read_json(path, _FIELDS, "it is asked anew")
            if kept["key"] != key or kept["finish"] not in FINISHES or kept["sha256"] != _hash(kept):
                raise Damaged(f"{path} is not what was written; it is asked anew")
        except FileNotFoundError:
            return None
        except (Damaged, OSError) as error:
            if path not in self.damaged:
                self.damaged.append(path)
                print(f"note: {one_line(in_a_line(error))}", file=sys.stderr)
            return None
        return Written(kept["text"], kept["finish"])

    def put(self, key: str, written: Written) -> None:
        """Keep an answer; a refusal is not kept."""
        if written.finish == REFUSED:
            return
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = {"key": key, "text": written.text, "finish": written.finish}
        write_json(path, kept | {"sha256": _hash(kept)})

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def _hash(kept: dict) -> str:
    return hashlib.sha256(f"{kept['key']}\0{kept['finish']}\0{kept['text']}".encode("utf-8", "replace")).hexdigest()
