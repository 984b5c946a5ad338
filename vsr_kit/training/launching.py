"""Several processes: launch configurations, a profile divided among them, and what each process does in a step.

`python -m vsr_kit.training.launching ddp` prints where a configuration of `accelerate launch --config_file` lies:

    accelerate launch --config_file "$(python -m vsr_kit.training.launching ddp)" --num_processes 4 \\
        -m vsr_kit.cli train --profile t4 --divide

A step's questions are those of all processes together, so a run in four processes has the same step as one in one; the
questions must divide among them, which `divided` sees to. docs/several_gpus.md says what was tried where.
Left out: several machines (accelerate's own flags go with these files), and weights sharded over processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vsr_kit.training.profiles import Profile
from vsr_kit.validation import one_of, whole

FOLDER = Path(__file__).resolve().parent / "launch_configs"
CONFIGS = ("ddp", "zero2", "zero3", "fsdp2")


def config_path(name: str) -> Path:
    """Where the configuration of this name lies, for `accelerate launch --config_file`; ValueError names them all."""
    one_of("launch configuration", name, CONFIGS)
    return FOLDER / f"{name}.yaml"


def divided(profile: Profile, processes: int | None = None) -> Profile:
    """The profile with a step that divides among processes, as near to its own as can be.

    A step keeps its questions where they divide, else it gets more, up to the next multiple; a pass gets as many of
    them as its process has, or the largest divisor of these below the profile's. What a clip shares within a pass
    (`questions_per_clip`) is kept.

    Args:
        profile: of any sizes.
        processes: how many; WORLD_SIZE, which launchers set, if None.

    Raises:
        ValueError: no process, or passes too small for the questions that share a clip.
    """
    count = int(os.environ.get("WORLD_SIZE") or 1) if processes is None else processes
    whole("processes", count)
    together = profile.questions_per_clip
    own = -(-profile.questions_per_step // (count * together)) * together  # of one process
    most = min(profile.groups_per_pass, own)
    passes = [size for size in range(together, most + 1, together) if own % size == 0]
    if not passes:
        raise ValueError(
            f"groups_per_pass is {profile.groups_per_pass} and questions_per_clip {together}: a pass must hold the "
            "questions that share a clip; raise groups_per_pass"
        )
    return replace(profile, questions_per_step=own * count, groups_per_pass=passes[-1])


def share_of(rank: int, processes: int, rows_a_pass: int, passes: int, num_generations: int = 1) -> str:
    """One line: which part of a step a process has.

    Args:
        rank, processes: this process, from 0, of how many.
        rows_a_pass: the trainer's per_device_train_batch_size.
        passes: its gradient_accumulation_steps.
        num_generations: completions of a question; 1 where there are none (SFT, DPO).
    """
    rows = rows_a_pass * passes
    questions = rows // num_generations
    completions = f", {rows} completions" if num_generations > 1 else ""
    recorded = "its completions are recorded" if rank == 0 and num_generations > 1 else ""
    parts = [f"process {rank} of {processes} (0 to {processes - 1})", f"{questions} of {questions * processes} "
             f"questions a step{completions}, in {passes} passes", recorded]  # fmt: skip
    return ": ".join(parts[:2]) + (f"; {recorded}" if recorded else "")


def tell_share(config) -> None:
    """Every process of a launch says its part of a step on stderr; a process alone says nothing."""
    if config.world_size > 1:
        sizes = config.per_device_train_batch_size, config.gradient_accumulation_steps
        share = share_of(config.process_index, config.world_size, *sizes, getattr(config, "num_generations", 1))
        print(share, file=sys.stderr, flush=True)


def alone_by_mistake(environment: Mapping[str, str] | None = None) -> str | None:
    """What to know if `accelerate launch` was asked for several processes and started one; None where it was not.

    With --cpu it starts one process whatever --num_processes says, without a word, and sets an address for others.
    """
    given = os.environ if environment is None else environment
    launched = "ACCELERATE_DYNAMO_BACKEND" in given and "MASTER_ADDR" in given
    if not launched or int(given.get("WORLD_SIZE") or 1) > 1:
        return None
    return (
        "accelerate launch started one process, though it was asked for several: with --cpu it always does; on CPUs "
        "use torchrun --nproc_per_node 2 -m vsr_kit.cli train …, on GPUs leave --cpu out"
    )


if __name__ == "__main__":
    print(config_path(sys.argv[1] if len(sys.argv) > 1 else "ddp"))
