"""Stopping from outside: one line on a line of its own, the status a shell expects, and a full disk in one line."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from vsr_kit.runs.interrupts import first_ask, is_full_disk, say_on_full_disk, say_on_stop

STOPPED = """
import sys, time
from tqdm import tqdm
from vsr_kit.runs.interrupts import say_on_stop

def numbers():
    for number in tqdm(range(1000), desc="filming"):
        if number == 3:
            print("ready", flush=True)
        time.sleep(0.05)
        yield number

with say_on_stop("give the same command again") as stop:
    stop.how = "go on with: vsr train --resume runs/x"
    for number in numbers():
        pass
"""


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_says_how_to_go_on_on_a_line_of_its_own(signum):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", STOPPED], **pipes) as command:
        assert command.stdout.readline() == "ready\n"
        command.send_signal(signum)
        said = command.stderr.read()
    assert command.returncode == 128 + signum
    assert said.split("\n")[-2:] == ["stopped; go on with: vsr train --resume runs/x", ""]
    assert "Traceback" not in said


def test_handlers_are_as_before_afterwards():
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    with say_on_stop("x"), first_ask("y"):
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_first_signal_is_noted_and_the_second_stops(capsys):
    with (
        pytest.raises(SystemExit) as ended,
        say_on_stop("go on") as stop,
        first_ask("stopping after step") as wish,
    ):
        signal.raise_signal(signal.SIGTERM)
        assert (wish.signum, stop.signum, stop.status) == (signal.SIGTERM, signal.SIGTERM, 143)
        assert capsys.readouterr().err == "\nstopping after step\n"
        signal.raise_signal(signal.SIGINT)
    assert ended.value.code == 130


def test_a_signal_that_nobody_handles_stays_so():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with first_ask("y"):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0"),
    RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("error", FULL, ids=lambda error: type(error).__name__)
def test_a_full_disk_is_one_line_with_folder_and_remedy(error, tmp_path):
    full = pytest.raises(OSError, match="is full .* MB free.: free some space, then go on")
    with full as told, say_on_full_disk(tmp_path / "run", "go on with: vsr train --resume x"):
        raise error
    assert str(tmp_path / "run") in str(told.value) and "\n" not in str(told.value)


def test_an_error_that_a_full_disk_caused_counts_and_others_pass():
    try:
        raise RuntimeError("could not save") from FULL[0]
    except RuntimeError as error:
        assert is_full_disk(error)
    with pytest.raises(ValueError, match="something else"), say_on_full_disk("x", "y"):
        raise ValueError("something else")
