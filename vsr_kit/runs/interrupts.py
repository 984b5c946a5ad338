"""Stopping long work by a signal: one line that says how to continue, and the exit status that a shell expects.

Within `say_on_stop`, Ctrl-C (SIGINT) and a scheduler's SIGTERM both become a KeyboardInterrupt, so that files are
closed and progress bars finished; then one line on stderr says how to continue, and the process ends with 130 or 143.
Work that should not stop in the middle of a step uses `first_ask`: the first signal is only noted, a second one stops
at once. `say_on_full_disk` reports a full disk in one line, whether Python, torch or safetensors noticed it.
Left out: SIGKILL, which no process can catch (run folders survive it), and threads, which receive no signals.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_FULL = ("no space left on device", "os error 28", "disk quota exceeded", "os error 122", "unexpected pos")
_FULL += ("pytorchstreamwriter failed writing",)  # torch's words for a write that fell short, and the line before


class Stop:
    """What `say_on_stop` gives: where its line is changed once there is more to say.

    Attributes:
        how: how to go on, the end of the line on stderr; set it anew when a folder is there to go on with.
        signum: the signal that came last, None before.
    """

    def __init__(self, how: str) -> None:
        self.how, self.signum = how, None

    def __call__(self, signum: int, frame=None) -> None:
        """Be the signal's handler: raise KeyboardInterrupt where the program stands."""
        self.signum = signum
        raise KeyboardInterrupt

    def again(self) -> None:
        """Go on stopping: work that noted a signal, and ended in its own time, is over."""
        raise KeyboardInterrupt

    @property
    def status(self) -> int:
        """The exit status of a process ended by the signal: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + (self.signum or signal.SIGINT)


@contextlib.contextmanager
def say_on_stop(how: str) -> Iterator[Stop]:
    """Run a command's work; stopped by a signal, it leaves the line `stopped; HOW` on stderr and SystemExit 130 or 143.

    how: how to go on, such as "go on with: vsr train --resume runs/x"; the Stop that is given has it as `how`.
    """
    stop = Stop(how)
    with _handled(dict.fromkeys(SIGNALS, stop)):
        try:
            yield stop
        except KeyboardInterrupt as error:
            _ignore(SIGNALS)  # a second Ctrl-C would cut the line that says how to go on
            traceback.clear_frames(error.__traceback__)  # progress bars of generators end there, before our line
            print(f"stopped; {stop.how}", file=sys.stderr, flush=True)
            raise SystemExit(stop.status) from None


class Wish:
    """What `first_ask` gives: `signum` is the signal that asked to stop, None while none has."""

    def __init__(self) -> None:
        self.signum: int | None = None


@contextlib.contextmanager
def first_ask(told: str) -> Iterator[Wish]:
    """Only note the first signal, with the line `told` on stderr; the second does what it would have done.

    Signals that would end the process without a word (nobody handles them) are left as they are.
    """
    wish, before = Wish(), {signum: _current(signum) for signum in SIGNALS}

    def note(signum: int, frame=None) -> None:
        if wish.signum is not None:
            before[signum](signum, frame)
            return
        wish.signum = signum
        if isinstance(before[signum], Stop):
            before[signum].signum = signum
        print(f"\n{told}", file=sys.stderr, flush=True)

    with _handled({signum: note for signum, old in before.items() if callable(old)}):
        yield wish


def a_command_tells() -> bool:
    """Whether this runs within `say_on_stop`, which has the last word on a stop."""
    return isinstance(signal.getsignal(signal.SIGINT), Stop)


def _current(signum: int):
    """The Python function that handles a signal now, or something that is none."""
    found = signal.getsignal(signum)
    return None if isinstance(found, signal.Handlers) else found


@contextlib.contextmanager
def _handled(handlers: dict) -> Iterator[None]:
    """Signals handled by these functions within; as before after. Other threads than the main one may set none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)


def _ignore(signums: Iterable[int]) -> None:
    if threading.current_thread() is threading.main_thread():
        for signum in signums:
            signal.signal(signum, signal.SIG_IGN)


@contextlib.contextmanager
def say_on_full_disk(folder: str | Path, how: str | Stop) -> Iterator[None]:
    """Turn every error that a full disk causes into one OSError that names `folder` and says how to go on.

    how: as in `say_on_stop`, or the Stop that it gave.
    """
    try:
        yield
    except Exception as error:
        if not is_full_disk(error):
            raise
        remedy = how.how if isinstance(how, Stop) else how
        named = getattr(error, "filename", None) or folder
        raise OSError(
            f"the disk of {named} is full ({_free(folder)} MB free): free some space, then {remedy}"
        ) from error


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that a disk or a quota is full."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(error).lower() for words in _FULL):
            return True
        error = error.__cause__ or error.__context__
    return False


def _free(folder: str | Path) -> str:
    """Megabytes free where a folder is or would be."""
    place = Path(folder).absolute()
    while not place.exists():
        place = place.parent
    return f"{shutil.disk_usage(place).free / 1e6:.1f}"
