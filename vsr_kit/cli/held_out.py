"""What `vsr train` may be trained on: the benchmark's own rows are refused, and its scenes left out of other rows.

The rules are `vsr_kit.data.benchmark`'s; here they are applied to what a command loaded, and told.
Left out: procedural rooms, which are in no benchmark and pass untouched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

Benchmark = Annotated[
    list[str] | None, typer.Option(help="VSI-Bench's questions or geometry: their scenes are left out; may repeat.")
]
TrainOnTestSet = Annotated[
    bool, typer.Option("--train-on-test-set", help="Train on VSI-Bench's rows and scenes; the run records it.")
]


def without_test_scenes(rows: Sequence[dict], settings: Mapping, tell: bool = True) -> list[dict]:
    """The rows that may be trained on by a run's settings (`benchmark`, `train_on_test_set`).

    tell: print what was compared and left out, on stderr.

    Raises:
        ValueError: the rows are the benchmark's test set, nothing is left of them, or a file of --benchmark is wrong.
    """
    from vsr_kit.data.benchmark import benchmark_scenes, training_rows

    scenes = benchmark_scenes(settings.get("benchmark") or ())
    kept, told = training_rows(rows, scenes, bool(settings.get("train_on_test_set")))
    for line in told if tell else ():
        typer.echo(line, err=True)
    return kept
