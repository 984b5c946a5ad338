"""Commands around models and runs: pretrain, eval, train, report.

The story: `vsr eval` asks and scores, `vsr train` runs QLoRA GRPO, each into a run folder that a kill does not spoil;
`--resume FOLDER` goes on with the settings the folder recorded. `vsr report` makes a page of one folder, or compares
several. `vsr pretrain` makes the miniature itself.

Left out: sweeps (study.py), and every setting of a profile that has no flag here: a notebook or a script sets those.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vsr_kit.cli.questions import Harness, Phrasing


class Mode(StrEnum):
    """How the model is asked: at once, after thinking, after describing what it sees."""

    vanilla = "vanilla"
    think = "think"
    observe = "observe"


class ClipChoice(StrEnum):
    """What the model is shown."""

    own = "own"
    wrong = "wrong"


Model = Annotated[str, typer.Option(help="`mini`, a hub id such as Qwen/Qwen2-VL-2B-Instruct, or a folder.")]
Quantize = Annotated[str, typer.Option(help="`nf4` loads in 4 bits; `none` does not.")]
Rooms = Annotated[str, typer.Option(help="A number of procedural rooms, a geometry file, or a folder of `vsr build`.")]
Seed = Annotated[int, typer.Option(help="Fixes rooms, questions and draws.")]
Resume = Annotated[Path | None, typer.Option(help="Go on in this run folder, with the settings it recorded.")]


def report(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders; the newest of ./runs by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page; report.html in the first folder by default.")] = None,
) -> None:
    """Make a page of one run folder, or compare several: scores, curves, traces, settings that differ."""
    from vsr_kit.report import write_report
    from vsr_kit.runs import RunFolder, run_folders, runs_root

    folders = [RunFolder.open(path) for path in runs or []] or run_folders()[-1:]
    if not folders:
        raise ValueError(f"there is no run folder in {runs_root()}/; name one, or make one with vsr eval or vsr train")
    typer.echo(f"look at {write_report(folders, out)}")
