"""Out of memory in one sentence: what was used, what to turn down by the memory plan, and how the run goes on.

`told_out_of_memory` stands around a training; `told_out_of_memory_asking` around an evaluation. Both turn CUDA's error,
and that of the CPU's allocator, into `failures.OutOfMemory`. What the failed step held is let go, and a run folder
stays as its last checkpoint left it.
Left out: trying again with smaller settings, which would be another run than the one that was asked for.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from vsr_kit.failures import OutOfMemory, is_out_of_memory
from vsr_kit.files import in_a_line
from vsr_kit.runs.interrupts import a_command_tells
from vsr_kit.training.knobs import gigabytes, largest_parts, sentence
from vsr_kit.training.machine import work_here
from vsr_kit.training.memory import Work, plan
from vsr_kit.training.profiles import Profile

_SMALLER = 0.8  # of what the plan said: that much was not there, whatever the plan says
_ALL = "--gradient-checkpointing, --groups-per-pass, --quantize nf4, --num-generations, --pixels, --frames"


def told_out_of_memory(profile: Profile, method, clips: Mapping, run) -> AbstractContextManager:
    """Around a training: memory that runs out is told with what to turn down, and the run stays to be gone on with.

    Args:
        profile, method, clips, run: training.train's.

    Raises:
        OutOfMemory: in place of torch's error.
    """

    def advice() -> str:
        told = f"{_advice(profile, method, clips)}{_how_to_go_on(run)}"
        if run is not None:
            run.let_go()  # the same process may go on with it
        return told

    return _told(advice)


def told_out_of_memory_asking(knobs: Sequence[str], how: Callable[[], str]) -> AbstractContextManager:
    """Around an evaluation, in the same way.

    Args:
        knobs: flags that can be turned down, with values.
        how: says how to go on.

    Raises:
        OutOfMemory: in place of torch's error.
    """
    return _told(lambda: f"turn it down by {' '.join(knobs)}; {how()}")


@contextmanager
def _told(advice: Callable[[], str]) -> Iterator[None]:
    """OutOfMemory with the advice in place of torch's error."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        used = _used()
        traceback.clear_frames(error.__traceback__)  # the step's tensors go with them
        told = f"{_said(error, used)}; {advice()}"
    else:
        return
    raise OutOfMemory(told)


def work_of_run(profile: Profile, method, clips: Mapping) -> Work:
    """The work that a training is, on this machine, with the frames that its clips have."""
    from vsr_kit.models.loading import pick_device

    num_frames, height, width = next(iter(clips.values())).shape[:3]
    return work_here(
        replace(profile, num_frames=num_frames),
        "cuda" if pick_device().type == "cuda" else "cpu",
        method=method.name.split("-")[0],
        mode=method.mode,
        frame_px=(height, width),
        num_clips=len(clips),
        processes=int(os.environ.get("WORLD_SIZE") or 1),
    )


def _advice(profile: Profile, method, clips: Mapping) -> str:
    """What to turn down; by name alone where the model's sizes are not known."""
    try:
        work = work_of_run(profile, method, clips)
        own = plan(work)
        parts = ", ".join(f"{name} {gigabytes(count)}" for name, count in largest_parts(own))
        budget = min(_total() or own.needed, own.needed * _SMALLER)
        needs = f"the plan has {gigabytes(own.peak)} of tensors at its peak ({own.largest}), most of them {parts}"
        return f"{needs}; {sentence(work, budget)}"
    except (ValueError, OSError, StopIteration):
        return f"turn it down by one of {_ALL}"


def _how_to_go_on(run) -> str:
    if run is None:
        return ""
    last = run.last_checkpoint()
    step = "its beginning" if last is None else f"step {last.name.split('-')[-1]}"
    how = f"vsr train --resume {run.path}"
    if not a_command_tells():
        how = f"train(…, run=RunFolder.resume({str(run.path)!r}), resume=True)"
    return (
        ". A run keeps its settings: begin a new one with these, or, if another program held the memory, go on from "
        f"{step} with {how}"
    )


def _used() -> str:
    """What the GPU held when it failed; asked for before anything is let go."""
    total = _total()
    if not total:
        return ""
    import torch

    now, most = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    return f" ({gigabytes(now)} of {gigabytes(total)} in use by this process, at most {gigabytes(most)})"


def _total() -> int:
    """Bytes of the GPU, 0 where there is none."""
    import torch

    return torch.cuda.mem_get_info()[1] if torch.cuda.is_available() else 0


def _said(error: BaseException, used: str) -> str:
    """Torch's first sentence or two, which name the size that was asked for."""
    said = ". ".join(in_a_line(error).split(". ")[:2]).rstrip(".")
    return f"memory ran out{used}: {said}"
