"""Are two formulas equal? `same_latex` asks math-verify, in a process of its own that may be ended at any time.

The process (judge_worker.py) is started with the first question, kept for the next ones, and started anew where a
formula was too much for it: such a formula equals nothing. Threads take turns, a forked process starts its own, and
Ctrl-C, which asks a training to end after its step, does not reach it. Answers are remembered by their two texts.
Left out: judging several pairs at once, and Windows, which has no limits of this kind (WSL has).
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
from functools import lru_cache
from pathlib import Path

CPU_SECONDS = 3  # of a pair; those of geometry and algebra take hundredths
MEMORY_BYTES = 2 * 2**30
WALL_SECONDS = 60.0  # of a pair, where the limit on processor time does not end it
START_SECONDS = 300.0  # of importing SymPy: one to two seconds of work, more on a busy machine
LONGEST = 400  # characters of a formula that is judged; answers have a few dozen
_WORKER = Path(__file__).with_name("judge_worker.py")


def require() -> None:
    """Raise an ImportError that names the extra, unless math-verify is installed."""
    if importlib.util.find_spec("math_verify") is None:
        raise ImportError(
            "a row of mathematics needs the package math-verify, which says whether two formulas are equal: "
            "pip install 'vsr-kit[mathematics]', or pip install math-verify"
        )


@lru_cache(maxsize=1 << 15)
def same_latex(truth: str, said: str) -> bool:
    """Whether two formulas in LaTeX are equal, as math-verify has it; one that cannot be judged in time is not.

    Args:
        truth, said: without dollar signs. math-verify takes the true one as the form: `x=3` is said by `3`, units are
            dropped, floats are compared to six digits behind the point.

    Raises:
        ImportError: math-verify is not installed, or does not import.
    """
    require()
    if max(len(truth), len(said)) > LONGEST:
        return False
    return _JUDGE.ask(truth, said)


class _Judge:
    """The worker, and whose it is."""

    def __init__(self) -> None:
        self.lock, self.owner = threading.Lock(), os.getpid()
        self.worker: subprocess.Popen | None = None

    def ask(self, truth: str, said: str) -> bool:
        """One question and its answer; False where the worker was ended by it."""
        if self.owner != os.getpid():  # after a fork: pipe and lock are the parent's
            self.__init__()  # type: ignore[misc]
        with self.lock:
            if self.worker is None:
                self.worker = self._started()
            try:
                self.worker.stdin.write(json.dumps([truth, said]).encode() + b"\n")  # type: ignore[union-attr]
                answer = _line(self.worker, WALL_SECONDS)
            except OSError:
                answer = ""
            if answer not in ("0", "1"):
                self.end()
            return answer == "1"

    def _started(self) -> subprocess.Popen:
        # -P: beside the script lies numbers.py, which is not Python's own
        command = [sys.executable, "-P", str(_WORKER), str(CPU_SECONDS), str(MEMORY_BYTES)]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        worker = subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=nowhere, start_new_session=True)
        if (first := _line(worker, START_SECONDS)) != "ready":
            _ended(worker)
            raise ImportError(f"math-verify {first or 'does not start'}: install it again, pip install math-verify")
        return worker

    def end(self) -> None:
        """End the worker, if it is this process's."""
        worker, self.worker = self.worker, None
        if worker is not None and self.owner == os.getpid():
            _ended(worker)


def _line(worker: subprocess.Popen, seconds: float) -> str:
    """The next line the worker writes; empty where it ends first, or takes longer."""
    if worker.stdout is None:
        return ""
    ready, _, _ = select.select([worker.stdout], [], [], seconds)
    return worker.stdout.readline().decode().strip() if ready else ""


def _ended(worker: subprocess.Popen) -> None:
    worker.kill()
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        with contextlib.suppress(OSError):
            pipe.close()  # type: ignore[union-attr]


_JUDGE = _Judge()
atexit.register(_JUDGE.end)
