"""Asking a run to stop from outside its process: a file in its folder that its training looks for after each step.

    stop.request      {"asked": when}; there from the asking until the run has stopped, finished, or is resumed

A signal reaches only processes of the same user on the same machine, and it needs their number. A file needs neither:
whoever may write into the run's folder can stop the run, from another terminal, a notebook, a container that shares the
disk, or the same kernel. The run then ends as it does on Ctrl-C: after its step, with a checkpoint and its adapter
saved, and it can be gone on with. Looking for a file that is not there takes microseconds.

A request counts for the attempt that is running. It is taken away when a run stops, finishes or is resumed, so a
request that came too late, or that a kill overtook, stops nothing later.
Left out: stopping in the middle of a step (a second Ctrl-C does that), and runs without a folder.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from vsr_kit.files import write_json
from vsr_kit.locks import is_held
from vsr_kit.runs.attempts import UNFINISHED
from vsr_kit.runs.reading import RecordedRun

REQUEST = "stop.request"


def resume_command(run: RecordedRun) -> str:
    """The command that goes on with a run."""
    return f"vsr {'eval' if _is_evaluation(run) else 'train'} --resume {run.path}"


def _is_evaluation(run: RecordedRun) -> bool:
    """Whether questions are asked in this run: the split is a setting that only `vsr eval` records."""
    return "split" in run.config["config"]


def ask_to_stop(run: RecordedRun) -> None:
    """Ask a run that some process is working on to stop after its step; to ask again changes nothing.

    Raises:
        ValueError: the run has ended, is an evaluation, or no process on this machine is working on it.
    """
    if (status := run.status) != UNFINISHED:
        raise ValueError(f"{run.path} is {status}: there is nothing to stop")
    if is_held(run.path) is False:
        raise ValueError(
            f"no process on this machine is working on {run.path}: there is nothing to stop; go on with it, "
            f"{resume_command(run)}, or leave it as it is"
        )
    if _is_evaluation(run):
        raise ValueError(f"{run.path} is an evaluation, which has no steps to stop after: Ctrl-C in its terminal stops it")
    if not is_asked(run.path):
        write_json(run.path / REQUEST, {"asked": datetime.now().astimezone().isoformat(timespec="seconds")})


def is_asked(folder: str | Path) -> bool:
    """Whether someone asked the run in this folder to stop."""
    return (Path(folder) / REQUEST).exists()


def withdraw(folder: str | Path) -> None:
    """Take the request away, where there is one."""
    (Path(folder) / REQUEST).unlink(missing_ok=True)
