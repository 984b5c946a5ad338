"""Commands on data: build a data set of questions, and score predictions.

Left out: downloading (fetch.py has `vsr fetch`).
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

_HEADINGS = ("question type", "%", "n", "right", "partly", "wrong", "not read")  # of the table of scores


class Phrasing(StrEnum):
    """The two ways a question is put."""

    vsi_bench = "vsi-bench"
    vsi_100k = "vsi-100k"


class RuleSet(StrEnum):
    """The two rule sets; see questions/types.py for what each asks."""

    benchmark = "benchmark"
    study = "study"


class Harness(StrEnum):
    """The three scorers; see evaluation/scorers.py for what each does to the same text."""

    official = "official"
    lenient = "lenient"
    lmms_eval = "lmms-eval"


Types = Annotated[
    list[str] | None,
    typer.Option(help="A question type, or trained, held-out or multi-step; may repeat. Multi-step ones need naming."),
]

Rooms = Annotated[
    str,
    typer.Option(
        help="A number of procedural rooms, a geometry file, a folder of `vsr build`, or questions: VSI-Bench's "
        "folder, its test.jsonl or parquet, VSI-100k's annotations, rows of your own."
    ),
]
Videos = Annotated[
    str | None,
    typer.Option(help="Films of such questions, if not beside them: mp4, ScanNet's .sens, or folders of frames."),
]


def build(
    rooms: Annotated[str, typer.Option(help="A geometry file, or the number of procedural rooms to make.")],
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier build there is replaced.")],
    phrasing: Annotated[Phrasing, typer.Option(help="VSI-Bench's wording, or VSI-100k's.")] = Phrasing.vsi_bench,
    seed: Annotated[int, typer.Option(help="Fixes the procedural rooms, drawn options and their order.")] = 0,
    video: Annotated[bool, typer.Option("--video", help="Film every room: mp4 clips, and appearance order.")] = False,
    rules: Annotated[
        RuleSet, typer.Option(help="What is asked: by VSI-Bench's rules, or by those of the shipped study.")
    ] = RuleSet.benchmark,
    types: Types = None,
    furnished: Annotated[
        bool, typer.Option("--furnished", help="A number of rooms: bedrooms, kitchens, … as people furnish them.")
    ] = False,
) -> None:
    """Make questions from rooms: questions.jsonl with VSI-Bench's fields, rooms.json and, with --video, clips."""
    from vsr_kit import data
    from vsr_kit.questions import RULES, named_types
    from vsr_kit.rooms import read_rooms
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

    if seed < 0:
        raise ValueError(f"--seed is {seed}, must be 0 or more")
    asked = named_types(types or [])
    how = f"begin again with the same command (what {out} held is kept)"
    with say_on_stop(how) as stop, say_on_full_disk(out, stop):
        geometry = read_rooms(rooms, seed, RULES[rules.value].walls, furnished)
        how = {"video": video, "skipped": geometry.skipped, "progress": True, "rules": rules.value, "types": asked}
        try:
            built = data.build(geometry.rooms, out, phrasing.value, seed, **how)
        except (KeyboardInterrupt, OSError):
            if data.unfinished(out):
                stop.how = "run the same command again: the build is whole, and waits to be moved into place"
            raise
    for line in built.skipped:
        typer.echo(f"skipped {line}", err=True)
    counts = ", ".join(f"{count} {kind}" for kind, count in built.counts.items())
    typer.echo(f"{built.questions} questions about {built.rooms} rooms in {built.seconds:.1f} s: {counts}")
    typer.echo(f"asked by the rules {built.rules!r} (vsr_kit.questions.types)")
    if built.clips:
        typer.echo(f"{built.clips} clips")
    typer.echo(f"{len(built.skipped)} scenes skipped; written to {built.folder}")


def score(
    predictions: Annotated[Path, typer.Argument(help="JSONL: rows with VSI-Bench's fields plus `prediction`.")],
    harness: Annotated[
        Harness, typer.Option(help="VSI-Bench's own scorer, one that reads chains of thought, or lmms-eval's.")
    ] = Harness.official,
    as_json: Annotated[bool, typer.Option("--json", help="Print means and every task, in per cent.")] = False,
) -> None:
    """Score predictions: per task and type, parse failures apart from wrong answers."""
    from vsr_kit.evaluation import read_predictions
    from vsr_kit.evaluation import score as make_table

    table = make_table(read_predictions(predictions), harness.value)
    if as_json:
        typer.echo(json.dumps(table.percent()))
    else:
        show_scores(table)


_HEADINGS = ("question type", "%", "n", "right", "partly", "wrong", "not read")


def show_scores(table) -> None:
    """Print a ScoreTable: a line for each question type, then the tasks' mean, and that of multi-step types.

    However narrow the terminal, numbers are whole: names of types are broken, behind underscores where it can be, then
    headings at their spaces; then the lines between the columns go. A table too wide even so stays too wide.
    """
    from rich.console import Console
    from rich.table import Table

    from vsr_kit.questions import BESIDE_TYPES, MULTI_STEP_TYPES

    rows = []
    for kind, found in table.types.items():
        counts = (found.n, found.right, found.partly, found.wrong, found.unparsed)
        rows.append((kind, f"{100 * found.mean:.1f}", *map(str, counts)))
    n = {"multi_step": sum(table.types[kind].n for kind in MULTI_STEP_TYPES if kind in table.types)}
    n["overall"] = table.n - sum(table.types[kind].n for kind in BESIDE_TYPES if kind in table.types)
    for name, mean in table.means.items():
        rows.append((f"{name}: mean of tasks", f"{100 * mean:.1f}", str(n[name]), "", "", "", ""))
    console = Console()
    widths, lines = _widths(rows, console.width)
    plain = {} if lines else {"box": None, "pad_edge": False, "padding": (0, 0, 0, 1)}
    grid = Table(title=f"{table.n} answers, harness {table.harness}", **plain)
    for heading, width in zip(_HEADINGS, widths, strict=True):
        grid.add_column(heading, justify="left" if heading == _HEADINGS[0] else "right", width=width, overflow="fold")
    for number, (kind, *numbers) in enumerate(rows, 1):
        if number == len(rows) - len(table.means) + 1:
            grid.add_section()
        grid.add_row(_broken(kind, widths[0]), *numbers)
    Console(width=max(console.width, sum(widths) + _gaps(lines))).print(grid)


def _gaps(lines: bool) -> int:
    """Characters of a line that are no column's: spaces, and lines between the columns."""
    return 3 * len(_HEADINGS) + 1 if lines else len(_HEADINGS) - 1


def _widths(rows: list[tuple[str, ...]], available: int) -> tuple[list[int], bool]:
    """Widths of the columns, numbers' never below what they need; and whether there is room for lines between them."""
    needs = [max(map(len, column)) for column in zip(*rows, strict=True)]
    whole = [max(len(heading), need) for heading, need in zip(_HEADINGS, needs, strict=True)]
    least = [max(*map(len, heading.split()), need) for heading, need in zip(_HEADINGS, needs, strict=True)]
    shortest = max(len(part) for name, *_ in rows for part in _parts(name))
    for numbers, lines in ((whole, True), (least, True), (least, False)):
        names = min(whole[0], available - _gaps(lines) - sum(numbers[1:]))
        if names >= (whole[0] if numbers is whole else shortest):
            break
    return [max(names, shortest), *numbers[1:]], lines


def _parts(name: str) -> list[str]:
    return re.findall(r"[^_ ]*[_ ]|[^_ ]+", name)


def _broken(name: str, width: int) -> str:
    """A name over several lines of at most `width`, broken behind underscores and spaces if no part is longer."""
    lines = [""]
    for part in _parts(name):
        if lines[-1] and len(lines[-1] + part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
