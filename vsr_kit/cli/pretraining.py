"""`vsr pretrain`: the miniature itself, made from rooms alone, or gone on with where a killed run stood.

Left out: the recipe and its loop, which are `vsr_kit.miniature`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def pretrain(
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write, in the ordinary Hugging Face format.")],
    work: Annotated[
        Path | None, typer.Option(help="Films, logs and resume states, about 5 GB; OUT-work by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and draws.")] = 0,
    share: Annotated[float, typer.Option(help="Share of the recipe's rooms and steps: 0.01 tries the pipeline.")] = 1.0,
    fuse: Annotated[bool, typer.Option(help="Compile small operations; needs a C++ compiler.")] = True,
) -> None:
    """Make the miniature from our rooms alone, or go on where a killed run stood.

    Hours at the whole recipe. For several processes: torchrun --nproc_per_node N -m vsr_kit.miniature OUT.
    """
    from dataclasses import replace

    from vsr_kit.miniature import Recipe, Stage
    from vsr_kit.miniature import pretrain as make
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

    if seed < 0:
        raise ValueError(f"--seed is {seed}, must be 0 or more")
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    whole = Recipe(seed=seed)
    stages = {name: value for name, value in vars(whole).items() if isinstance(value, Stage)}
    fewer: dict[str, Any] = {
        name: replace(stage, steps=max(2, round(stage.steps * share))) for name, stage in stages.items()
    }
    recipe = replace(whole, num_rooms=max(64, round(whole.num_rooms * share)), **fewer)
    with say_on_stop("go on with the same command") as stop, say_on_full_disk(work or f"{out}-work", stop):
        made = make(out, recipe, work, fuse)
    typer.echo(f"look at {made}")
