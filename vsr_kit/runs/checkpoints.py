"""Checking a trainer's checkpoint before a run resumes from it: all of its files are there and readable.

transformers continues without the files that it does not find: without optimizer.pt or scheduler.pt it starts a fresh
optimiser, without the random generators' state it draws other rollouts. It says nothing, and the run ends elsewhere.
`newest` finds the checkpoint from which a run resumes; `check_trainer_checkpoint` refuses it unless it is complete. A
trainer writes trainer_state.json last: a folder without it was cut short by a kill, and the one before it counts.
training/run.py seals each folder after saving it, so that a flipped bit in the optimiser's numbers is noticed too.
Left out: repair, and resuming with another number of processes.
"""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path

from vsr_kit.files import NUMBER, Damaged, reading
from vsr_kit.files import read_json
from vsr_kit.files import SEAL, check_folder

STATE = "trainer_state.json"
_STATE = {"global_step": int, "log_history": list, "epoch?": NUMBER, "max_steps": int}


def newest(folder: Path) -> Path | None:
    """The newest checkpoint under a trainer's output folder that was saved to its end; None where there is none.

    Those a kill cut short are passed over, and it is said what is gone on from instead. Whether the one returned is
    whole in all its parts is for `check_trainer_checkpoint`.

    Raises:
        Damaged: its trainer_state.json is broken, and there is no older checkpoint; or a seal says that it was whole.
    """
    found = [path for path in folder.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", path.name)]
    found = sorted(found, key=lambda path: int(path.name.split("-")[1]))
    while found:
        path = found.pop()
        instead = found[-1].name if found else "the beginning"
        try:
            read_json(path / STATE, remedy=f"restore it from a copy, or remove {path} to go on from {instead}")
            return path
        except FileNotFoundError:
            why = f"{path} was not saved to its end (it has no {STATE})"
            if (path / SEAL).exists():
                raise Damaged(
                    f"{path / STATE} is missing; restore it, or remove {path} to go on from {instead}"
                ) from None
        except Damaged as error:
            if not found or (path / SEAL).exists():
                raise
            why = str(error).split(";")[0]
        _tell(f"{why}: going on from {instead}")
    return None


@cache
def _tell(line: str) -> None:
    """On stderr, once."""
    print(line, file=sys.stderr)


def check_trainer_checkpoint(path: Path, processes: int | None = None) -> None:
    """Complain unless a `checkpoint-N` holds all that a resumed training needs, whole and fitting together.

    Args:
        path: the folder.
        processes: that train together, WORLD_SIZE by default; each has a generator of its own.

    Raises:
        Damaged: naming the file and the remedy.
    """
    path, processes = Path(path), processes or int(os.environ.get("WORLD_SIZE") or 1)
    remedy = f"restore it from a copy, or remove {path} to go on from before it"
    generators = ["rng_state.pth"] if processes == 1 else [f"rng_state_{rank}.pth" for rank in range(processes)]
    whole = (path / "config.json").is_file()  # of a training of all weights; one of an adapter has none
    weights = ("model.safetensors",) if whole else ("adapter_config.json", "adapter_model.safetensors")
    needed = (*weights, "optimizer.pt", "scheduler.pt", *generators, STATE)
    for name in needed:
        if not (path / name).is_file():
            raise Damaged(
                f"{path / name} is missing, and a training cannot go on without it; {remedy}{_other(path, name)}"
            )
    check_folder(path)
    state = read_json(path / STATE, _STATE, remedy)
    if state["global_step"] != (step := int(path.name.split("-")[1])):
        raise Damaged(f"{path / STATE} is of step {state['global_step']}, the folder of step {step}; {remedy}")
    if not whole:
        _check_weights(path, remedy)
    schedule = _loaded(path / "scheduler.pt", ("last_epoch", "_last_lr"), remedy)
    if processes == 1 and schedule["last_epoch"] != step:
        raise Damaged(f"{path / 'scheduler.pt'} is of step {schedule['last_epoch']}, not {step}; {remedy}")
    for name in generators:
        _loaded(path / name, ("python", "numpy", "cpu"), remedy)


def _other(path: Path, name: str) -> str:
    """What was saved instead of a generator's state: by another number of processes."""
    if name.startswith("rng_state") and (others := sorted(path.glob("rng_state*.pth"))):
        return f" (it was saved by {len(others)} processes: go on with as many)"
    return ""


def _check_weights(path: Path, remedy: str) -> None:
    """The adapter and the optimiser's memory of it: as many weights of the same sizes, all of them finite."""
    from vsr_kit.models.adapters import check_files, read_config

    try:
        shapes = check_files(path)
        read_config(path)
    except ValueError as error:
        raise Damaged(f"{error}; or remove {path}") from error
    optimizer = _loaded(path / "optimizer.pt", ("state", "param_groups"), remedy)
    with reading(path / "optimizer.pt", remedy):
        memories = list(optimizer["state"].values())
        sizes = sorted(tuple(memory["exp_avg"].shape) for memory in memories if "exp_avg" in memory)
        finite = all(_is_finite(value) for memory in memories for value in memory.values())
    if len(memories) != len(shapes) or (sizes and sizes != sorted(shapes.values())):
        raise Damaged(f"{path / 'optimizer.pt'} is not of the {len(shapes)} weights of the adapter beside it; {remedy}")
    if not finite:
        raise Damaged(f"{path / 'optimizer.pt'} holds values that are no finite numbers; {remedy}")


def _is_finite(value) -> bool:
    import torch

    return not torch.is_tensor(value) or not value.is_floating_point() or bool(torch.isfinite(value).all())


def _loaded(path: Path, needed: tuple[str, ...], remedy: str) -> dict:
    """What torch saved, tensors and plain values only: nothing in the file can run."""
    import torch
    from transformers.trainer_pt_utils import safe_globals

    with reading(path, remedy), safe_globals():
        found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, dict) or not found.keys() >= set(needed):
        raise Damaged(f"{path} does not hold {', '.join(needed)}; {remedy}")
    return found
