"""`vsr reproduce`: run the study, or what one claim needs of it, and say what it found beside what is shipped.

Left out: shipping; a study's folder becomes the reference by being committed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def reproduce(
    only: Annotated[
        list[str] | None,
        typer.Option(help="A part (headline, modes, kl, …), a variant, or a claim; repeat for several. Default: all."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="At most so many seeds of each variant.")] = None,
    first_seed: Annotated[
        int, typer.Option(help="Where seeds begin to count: 1 repeats the shipped runs, 6 makes new ones.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option(help="Study folder to fill, or to go on with; runs/study if left out.")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Runs at once, one thread each; one a core if left out.")] = None,
    geometry: Annotated[
        list[Path] | None,
        typer.Option(
            help="VSI-Bench's arkitscenes_meta_info_val.json or scannetpp_…, to ask about real rooms, too; or both."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and what they may take; run nothing.")
    ] = False,
) -> None:
    """Run the study on this machine: train every variant and seed, ask them all, recompute the verdicts.

    Killed studies go on where they were when the same command is given again. `--only headline` is the main table.
    """
    from vsr_kit.runs import runs_root
    from vsr_kit.study.reproduce import check, finished, plan, reproduce

    folder = out or runs_root() / "study"
    units, files = plan(only or (), seeds, first_seed), tuple(geometry) if geometry else None
    if dry_run:
        check(units, folder, workers, files)
        for unit in units:
            done = " (done)" if finished(unit, folder, files) else ""
            typer.echo(f"{unit.name}: about {unit.seconds / 60:.0f} min on one core{done}")
        typer.echo(f"{len(units)} units, about {sum(u.seconds for u in units) / 3600:.1f} core-hours, into {folder}")
        return
    try:
        failed = reproduce(units, folder, workers, files)
    except KeyboardInterrupt:
        typer.echo(f"stopped; the same command goes on with {folder}", err=True)
        raise typer.Exit(130) from None
    try:
        _tell(folder)
    finally:  # whatever else cannot be told
        if failed:
            raise ValueError(
                f"{len(failed)} of {len(units)} units failed, the first: {failed[0]}; the same command retries"
            )


def _tell(folder: Path) -> None:
    """Verdicts on what the folder holds, and how its gains compare with the shipped study's."""
    from vsr_kit.results import verdicts
    from vsr_kit.results.compared import repeated
    from vsr_kit.results.reach import rooms_asked
    from vsr_kit.results.trained import trained_runs

    for verdict in verdicts(folder).values():
        if verdict.found:
            typer.echo(str(verdict))
    compared, on = repeated(folder), rooms_asked()
    known = {run for name in compared for run in trained_runs(None, name)}
    own_runs = {run for name in compared for run in trained_runs(folder, name)}
    if own_runs & known:
        typer.echo(
            f"Against the shipped study ({on}): your runs have the seeds of shipped ones, so on like hardware each "
            "should land very close to its own; the intervals are where runs with new seeds may land (--first-seed 6 "
            "makes such)."
        )
    elif own_runs:
        typer.echo(f"Against the shipped study ({on}): your seeds are new, and 95 of 100 such means should lie inside.")
    for name, (own, expected) in compared.items():
        where = "inside" if expected.holds(own) else "OUTSIDE"
        typer.echo(
            f"{name} minus base: {own:+.1f} points here, {expected.mean:+.1f} shipped; {where} the 95 % prediction "
            f"interval for {expected.new_runs} seeds ({expected.low:+.1f} to {expected.high:+.1f})"
        )
    typer.echo(f"look at {folder}; the whole ledger: vsr claims --study {folder}")
