"""`vsr fetch`: VSI-Bench with its films, or VSI-100k's annotations, from the hub into a folder for `--rooms`.

The work is `vsr_kit.data.fetching`'s, which a notebook can call as well.
Left out: ScanNet's own films, which everybody gets from ScanNet by a licence of their own (docs/real_data.md).
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class DataSet(StrEnum):
    """What can be fetched."""

    vsi_bench = "vsi-bench"
    vsi_100k = "vsi-100k"


_NEXT = {
    "vsi-bench": "ask a model: vsr eval --rooms {out} --preset vsi-bench --model Qwen/Qwen2-VL-2B-Instruct",
    "vsi-100k": "train on it: vsr train --rooms {out} --videos SCANNET, the folder of your scans (docs/real_data.md)",
}


def fetch(
    what: Annotated[
        DataSet, typer.Argument(help="vsi-bench: questions and films, 5.7 GB; vsi-100k: questions, no film.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to fill; ./WHAT by default.")] = None,
    annotations_only: Annotated[bool, typer.Option("--annotations-only", help="Questions without films.")] = False,
) -> None:
    """Fetch a data set from the Hugging Face hub: disk stated first, checksums, goes on where it was cut off."""
    from vsr_kit.data.fetching import fetch as bring
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

    folder = out or Path(what.value)
    again = f"vsr fetch {what.value} --out {folder}" + (" --annotations-only" if annotations_only else "")
    with say_on_stop(f"go on with: {again}") as stop, say_on_full_disk(folder, stop):
        bring(what.value, folder, annotations_only=annotations_only, tell=typer.echo)
    blind = " --clip none" if annotations_only and what is DataSet.vsi_bench else ""
    typer.echo(_NEXT[what.value].format(out=folder) + blind)
