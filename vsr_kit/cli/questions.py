"""Commands around questions: build a data set, score predictions.

Left out: downloading VSI-Bench's videos; put them into `{dataset}/{scene_name}.mp4` beside a questions.jsonl and they
are read from there.
"""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Phrasing(StrEnum):
    """The two ways a question is put."""

    vsi_bench = "vsi-bench"
    vsi_100k = "vsi-100k"


class RuleSet(StrEnum):
    """The two rule sets; see questions/rules.py for what each asks."""

    benchmark = "benchmark"
    study = "study"


class Harness(StrEnum):
    """The three scorers; see evaluation.py for what each does to the same text."""

    official = "official"
    lenient = "lenient"
    lmms_eval = "lmms-eval"


def build(
    rooms: Annotated[str, typer.Option(help="A geometry file, or the number of procedural rooms to make.")],
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier build there is replaced.")],
    phrasing: Annotated[Phrasing, typer.Option(help="VSI-Bench's wording, or VSI-100k's.")] = Phrasing.vsi_bench,
    seed: Annotated[int, typer.Option(help="Fixes the procedural rooms, drawn options and their order.")] = 0,
    video: Annotated[bool, typer.Option("--video", help="Film every room: mp4 clips, and appearance order.")] = False,
    rules: Annotated[
        RuleSet, typer.Option(help="What is asked: by VSI-Bench's rules, or by those of the shipped study.")
    ] = RuleSet.benchmark,
) -> None:
    """Make questions from rooms: questions.jsonl with VSI-Bench's fields, rooms.json and, with --video, clips."""
    from vsr_kit import data
    from vsr_kit.questions import RULES
    from vsr_kit.rooms import read_rooms

    geometry = read_rooms(rooms, seed, RULES[rules.value].walls)
    how = {"video": video, "skipped": geometry.skipped, "progress": True, "rules": rules.value}
    built = data.build(geometry.rooms, out, phrasing.value, seed, **how)
    for line in built.skipped:
        typer.echo(f"skipped {line}", err=True)
    counts = ", ".join(f"{count} {kind}" for kind, count in built.counts.items())
    typer.echo(f"{built.questions} questions about {built.rooms} rooms in {built.seconds:.1f} s: {counts}")
    typer.echo(f"asked by the rules {built.rules!r} (vsr_kit.questions.rules)")
    if built.clips:
        typer.echo(f"{built.clips} clips")
    typer.echo(f"{len(built.skipped)} scenes skipped; written to {built.folder}")


def score(
    predictions: Annotated[Path, typer.Argument(help="JSONL: rows with VSI-Bench's fields plus `prediction`.")],
    harness: Annotated[
        Harness, typer.Option(help="VSI-Bench's own scorer, one that reads chains of thought, or lmms-eval's.")
    ] = Harness.official,
    as_json: Annotated[bool, typer.Option("--json", help="Print `overall` and every task, in per cent.")] = False,
) -> None:
    """Score predictions: per task and type, parse failures apart from wrong answers."""
    from vsr_kit.evaluation import read_predictions
    from vsr_kit.evaluation import score as make_table

    table = make_table(read_predictions(predictions), harness.value)
    if as_json:
        typer.echo(json.dumps(table.percent()))
    else:
        show_scores(table)


def show_scores(table) -> None:
    """Print a ScoreTable: a line for each question type, then the tasks' mean."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(title=f"{table.n} answers, harness {table.harness}")
    for heading in ("question type", "%", "n", "right", "partly", "wrong", "not read"):
        grid.add_column(heading, justify="left" if heading == "question type" else "right", no_wrap=True)
    for kind, found in table.types.items():
        counts = (found.n, found.right, found.partly, found.wrong, found.unparsed)
        grid.add_row(kind, f"{100 * found.mean:.1f}", *map(str, counts))
    grid.add_section()
    grid.add_row("overall: mean of tasks", f"{100 * table.overall:.1f}", str(table.n))
    Console().print(grid)
