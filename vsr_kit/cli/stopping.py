"""`vsr stop`: asks a run that another process works on to end after its step.

Left out: waiting for the end, which `RunMonitor` and the run's own terminal show.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vsr_kit.runs import RunFolder, ask_to_stop


def stop(
    run: Annotated[Path, typer.Argument(help="The run's folder; it may be another process's, or a notebook's.")],
) -> None:
    """End a training after the step it is in, with its checkpoint and adapter saved, as Ctrl-C in its terminal does.

    The request is a file in the run's folder, so it works from another terminal, user or container that may write
    there. The run can be gone on with by vsr train --resume.
    """
    ask_to_stop(RunFolder.open(run))
    typer.echo(f"{run} will stop after its step; go on with it then: vsr train --resume {run}")
