"""The benchmark for a GPU: stock TRL, one and two levels of sharing, in bf16 and nf4; then steps of profile `t4`.

One call makes a checkpoint of random weights on the device (no download), measures cell after cell (gpu_cell.py), each
precision loaded once, and writes the result after every cell, so that a kill costs one cell. Time is given: a cell that
would not come to its end is left out with the reason, and a share is kept for the steps of `t4`. `benchmarks/gpu.sh` is
that call with a limit of eight minutes; the tests run it at a tiny shape on a CPU.
Left out: several GPUs, quality, and cards on which the weights do not fit; too little memory is a cell's reason, too.
"""

from __future__ import annotations

import gc
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median

import torch

from benchmarks.cases import STOCK, Case, Shape, find_shape
from benchmarks.gpu_cell import SIDES, Cell, measure
from benchmarks.workload import make_checkpoint, make_work
from vsr_kit.files import write_json
from vsr_kit.models import load_model, pick_device
from vsr_kit.models.vision import load_processor
from vsr_kit.runs.provenance import versions
from vsr_kit.sharing.meter import peak_bytes, reset_peak
from vsr_kit.training.methods import GRPO
from vsr_kit.training.profiles import get_profile
from vsr_kit.training.run import train
from vsr_kit.validation import real, whole

# frames, height, width: 160, 1,024 and 3,128 tokens of a clip, the last of a 640 x 480 film; and tokens of an answer
CELLS = ((8, 140, 224, 16), (16, 224, 448, 16), (16, 224, 448, 256), (16, 476, 644, 16))
SMALL_CELLS = ((4, 84, 84, 4),)  # for a shape with limits
PRECISIONS = {None: 0.4, "nf4": 0.72}  # share of the time after which no cell of it begins; `t4` has the rest
_SMALL_T4 = {"num_frames": 2, "size_px": 56, "num_generations": 2, "questions_per_step": 2, "max_vanilla_tokens": 3}


@dataclass(eq=False)
class Clock:
    """The time that is given, and what cells took so far, from which the next one is guessed."""

    seconds: float
    began: float = field(default_factory=time.monotonic)
    took: dict[tuple, tuple[float, int]] = field(default_factory=dict)

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def reason_to_skip(self, kind: tuple, work: int, until: float) -> str | None:
        """Why a cell of this kind should not begin, if it should not; until: its share of the time."""
        left = until * self.seconds - self.now
        if left <= 0:
            return f"time is up: {self.now:.0f} s of the {until * self.seconds:.0f} s until here are gone"
        spent, before = self.took.get(kind, (0.0, work))
        guess = spent * work / before
        return f"would take about {guess:.0f} s, and {left:.0f} s are left" if guess > left else None


def bench_gpu(
    model: str = "qwen2-vl-2b",
    seconds: float = 450.0,
    steps: int = 20,
    *,
    repeats: int = 1,
    seed: int = 0,
    out: str | Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict:
    """Measure what fits into `seconds`, and return the result.

    Args:
        model: a name of `cases.SHAPES`; a large one needs a GPU.
        seconds: from now on; loading counts. What has begun is brought to its end.
        steps: of profile `t4`.
        repeats: optimiser steps of a cell; the fastest counts. With one, a cell's first calls count too.
        seed: of weights, clips, questions and sampling.
        out: the result is written there after every cell; a file, whose folder is made.
        tell: gets a line for every cell.

    Raises:
        ValueError: seconds, steps or repeats that are not positive; a large shape without a GPU; a full disk.
    """
    real("seconds", seconds, above=True)
    whole("steps", steps)
    whole("repeats", repeats)
    shape, device = find_shape(model), pick_device()
    if shape.text is None:
        raise ValueError(f"model is {model!r}: this benchmark makes its weights, name a shape such as qwen2-vl-2b")
    if device.type != "cuda" and not shape.limits:
        raise ValueError(
            f"{model} on {device.type} would take hours: run it where there is a GPU, or give --model tiny"
        )
    clock = Clock(seconds)
    result = _head(shape, seconds, steps, repeats, seed)

    def keep() -> None:
        result["took_s"] = clock.now
        if out is not None:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            write_json(out, result)

    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = _checkpoint(Path(scratch), shape, device, seed)
        tell(f"checkpoint made after {clock.now:.0f} s")
        for record in _cells(clock, shape, str(checkpoint), (seed, repeats)):
            result["cells"].append(record)
            tell(line_of(record))
            keep()
        result["ratios"] = ratios(result["cells"])
        result["t4"] = _guarded(partial(_t4, clock, shape, str(checkpoint), (steps, seed)))
    tell(line_of({"precision": "nf4", "side": "profile t4", **result["t4"]}))
    keep()
    return result


def _head(shape: Shape, seconds: float, steps: int, repeats: int, seed: int) -> dict:
    """What is measured, where, with what and when."""
    cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return {
        "benchmark": "gpu",
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]]),
        "versions": versions(),
        "cards": [{"name": c.name, "gb": c.total_memory / 1e9, "capability": [c.major, c.minor]} for c in cards],
        "cuda": torch.version.cuda,
        "seed": seed,
        "seconds": seconds,
        "steps": steps,
        "repeats": repeats,
        "shape": asdict(shape),
        "cells": [],
    }


def _checkpoint(folder: Path, shape: Shape, device: torch.device, seed: int) -> Path:
    """Random weights, made on the device; its processor leaves the largest clip as it is."""
    free, needed = shutil.disk_usage(folder).free, 0 if shape.limits else 6 * 10**9
    if free < needed:
        raise ValueError(
            f"{folder} has {free / 1e9:.1f} GB free: the checkpoint takes 4.4 GB; set TMPDIR to a larger disk"
        )
    with device:
        made = make_checkpoint(folder / "checkpoint", replace(shape, height_px=476, width_px=644), seed)
    _forget()
    return made


def _cells(clock: Clock, shape: Shape, checkpoint: str, how: tuple[int, int]) -> Iterator[dict]:
    """A record for every cell: what was measured, or why it was not. Each precision is loaded when it is needed."""
    for precision, until in PRECISIONS.items():
        model = _Model(shape, checkpoint, precision, *how)
        for size in SMALL_CELLS if shape.limits else CELLS:
            for side in SIDES:
                cell, kind = _cell(shape, side, size), (precision, side)
                head = {"precision": precision or "not quantized", "side": side, "answer_tokens": cell.answer_tokens}
                head |= {"clip_tokens": cell.shape(shape).clip_tokens}
                if reason := clock.reason_to_skip(kind, cell.work(shape), until):
                    yield {**head, "skipped": reason}
                    continue
                found, began = _guarded(model.load), clock.now
                if not found:
                    found = _guarded(partial(model.measure, cell))
                    clock.took[kind] = (clock.now - began, cell.work(shape))
                yield {**head, **found, "took_s": clock.now - began}
        del model
        _forget()


def _cell(shape: Shape, side: str, size: tuple[int, int, int, int]) -> Cell:
    frames, height, width, answer = size
    small = {"questions": 2, "num_generations": 2} if shape.limits else {}
    return Cell(side, frames, height, width, answer, **small)


class _Model:
    """The weights in one precision, loaded once and warmed up by a small step of each side."""

    def __init__(self, shape: Shape, checkpoint: str, precision: str | None, seed: int, repeats: int) -> None:
        self.shape, self.checkpoint, self.precision = shape, checkpoint, precision
        self.how = {"checkpoint": checkpoint, "seed": seed}
        self.repeats, self.loaded = repeats, None

    def load(self) -> dict:
        """Load, if it is not; {}."""
        if self.loaded is None:
            self.loaded = load_model(self.checkpoint, self.precision, quiet=True)
            for side in SIDES:
                small = Cell(side, 2, 56, 56, 2, questions=2, num_generations=2)
                _guarded(partial(measure, small, self.loaded, self.shape, **self.how))
        return {}

    def measure(self, cell: Cell) -> dict:
        """`gpu_cell.measure` with these weights."""
        return measure(cell, self.loaded, self.shape, repeats=self.repeats, **self.how)


def _guarded(work: Callable[[], dict]) -> dict:
    """What `work` gives; or {"failed": why}, so that the other cells are still measured."""
    try:
        return work()
    except Exception as error:
        first, *_ = [*str(error).strip().splitlines(), ""]
        return {"failed": f"{type(error).__name__}: {first}"}
    finally:
        _forget()


def _forget() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# -- profile t4 --------------------------------------------------------------------------------------------------------


def _t4(clock: Clock, shape: Shape, checkpoint: str, how: tuple[int, int]) -> dict:
    """Steps of GRPO as profile `t4` does them, in vanilla mode, until they are done or the time is up."""
    steps, seed = how
    if (left := clock.seconds - clock.now) <= 0:
        return {"skipped": f"time is up: {clock.now:.0f} s of {clock.seconds:.0f} s are gone"}
    profile = replace(get_profile("t4"), model=checkpoint, steps=steps, **(_SMALL_T4 if shape.limits else {}))
    size = {"num_frames": profile.num_frames, "height_px": profile.size_px, "width_px": profile.size_px}
    count, answers = steps * profile.questions_per_step, profile.max_vanilla_tokens
    case = Case("t4", "grpo", (), count, 1, profile.num_generations, answers)
    rows, clips = make_work(load_processor(checkpoint), replace(shape, **size), case, 0, seed)
    device = pick_device()
    reset_peak(device)
    done = train(profile, GRPO("vanilla"), rows, clips=clips, seconds=left, seed=seed, quiet=True)
    logs = [log for log in done.logs if "loss" in log]
    seconds = [log["step_time"] for log in logs]
    return {
        "steps": done.steps,
        "of": steps,
        "seconds": median(seconds[1:] or seconds),
        "first_step_s": seconds[0],
        "prepared_s": done.prepared_seconds,
        "peak_bytes": peak_bytes(device),
        "clip_tokens": replace(shape, **size).clip_tokens,
        "loss": [log["loss"] for log in logs],
        "completion_tokens": [log["completions/mean_length"] for log in logs],
        "stopped": done.stopped,
    }


# -- what is told ------------------------------------------------------------------------------------------------------


def ratios(cells: list[dict]) -> list[dict]:
    """Stock TRL over each way of sharing, for each size of which both were measured."""
    done = {(c["precision"], c["clip_tokens"], c["answer_tokens"], c["side"]): c for c in cells if "seconds" in c}
    found = []
    for (precision, clip, answer, side), own in done.items():
        stock = done.get((precision, clip, answer, STOCK))
        if side == STOCK or stock is None:
            continue
        about = {"precision": precision, "clip_tokens": clip, "answer_tokens": answer, "side": side}
        over = {name: stock[name] / own[name] for name in ("seconds", "peak_bytes")}
        apart = {"loss": abs(stock["loss"] - own["loss"]), "grad_norm": abs(own["grad_norm"] / stock["grad_norm"] - 1)}
        found.append({**about, **over, "apart": apart})
    return found


def line_of(record: dict) -> str:
    """A cell, or the steps of `t4`, in one line."""
    size = f"clip {record.get('clip_tokens', '?')}, answers {record.get('answer_tokens', '?')}"
    name = f"{record['precision']}, {size}, {record['side']}"
    for why in ("skipped", "failed"):
        if why in record:
            return f"{name}: {why}: {record[why]}"
    told = f"{name}: {record['seconds']:.2f} s a step, peak {record['peak_bytes'] / 1e9:.2f} GB"
    if apart := record.get("mismatch"):
        told += f", rollouts against training {apart['mean']:.1e} (most {apart['most']:.1e})"
    return told
