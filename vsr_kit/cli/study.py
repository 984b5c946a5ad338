"""Commands on the study: claims and reproduce.

`vsr claims` shows every claim with its verdict, computed now from the answers in a study folder. `vsr reproduce` runs
the study, or what one claim needs of it, and shows what it found next to the shipped results.
Left out: shipping; a study's folder becomes the reference when it is committed.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

_RecipeFiles = Annotated[
    list[Path] | None,
    typer.Option("--recipe", help="A Python file with a RECIPE of your own, which is run; repeat for several."),
]


def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="A claim, or a recipe, whose claims are meant. Default: all."),
    ] = None,
    study: Annotated[Path | None, typer.Option(help="A study folder instead of the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    recipe: _RecipeFiles = None,
) -> None:
    """Print what the papers claim and what the answers say of it: verdicts are recomputed, never stored.

    Every verdict names the model and the rooms it speaks of: nothing here has seen Qwen2-VL-2B or a real video. A claim
    that needs a damaged file is not judged; the file is named, and the exit code is 2.
    Each claim's rule was written before its runs; `vsr_kit/recipes` has measurement and rule in full.
    """
    from vsr_kit.recipes import add
    from vsr_kit.study import verdicts

    for path in recipe or ():
        add(path)
    if study is not None and not study.is_dir():
        raise FileNotFoundError(f"no folder {study}: give a study folder with answers/, or leave --study out")
    if study is not None and not (study / "answers").is_dir():
        raise FileNotFoundError(f"{study} holds the answers of no claim; vsr reproduce --out {study} makes them")
    chosen = _claims_called(names or ())
    gc.freeze()  # modules stay: looking through them for garbage whenever rows are read takes a tenth of the time
    damaged: dict[str, str] = {}
    found = verdicts(study, damaged, [known.name for known in chosen])
    if as_json:
        records = {c.name: _record(c, found.get(c.name), damaged.get(c.name)) for c in chosen}
        typer.echo(json.dumps(records, indent=1))
    else:
        for known in chosen:
            _claiming_tell(known, found.get(known.name), damaged.get(known.name), _words(recipe))
    _tell_of_strangers(study)
    for told in dict.fromkeys(damaged.values()):  # one line a file, however many claims need it
        typer.echo(f"error: {told}", err=True)
    if damaged:
        raise typer.Exit(2)


def _claims_called(names: Sequence[str]) -> list:
    """The claims that some names mean, in the ledger's order; all for none.

    Raises:
        ValueError: for a name that is neither a claim's nor a recipe's.
    """
    from vsr_kit.recipes import all_claims, recipes

    by_recipe = {recipe.name: [known.name for known in recipe.claims] for recipe in recipes()}
    known_names = [known.name for known in all_claims()]
    for name in names:
        if name not in known_names and name not in by_recipe:
            trained = [recipe.name for recipe in recipes() if name in {known.name for known in recipe.variants}]
            near = trained or get_close_matches(name.lower(), [*by_recipe, *known_names], n=3)
            meant = f"did you mean {' or '.join(near)}?" if near else f"give a recipe ({', '.join(by_recipe)})"
            raise ValueError(
                f"no claim and no recipe is called {name!r}: {meant}; vsr claims alone lists every claim, and a recipe "
                "of your own needs --recipe FILE"
            )
    wanted = {claim for name in names for claim in by_recipe.get(name, [name])}
    return [known for known in all_claims() if not names or known.name in wanted]


def _words(recipes: list[Path] | None) -> str:
    """The options that a next command needs, too, to know the same recipes."""
    return "".join(f" --recipe {path}" for path in recipes or ())


def _tell_of_strangers(study: Path | None) -> None:
    """Say which runs of a folder no known recipe has: their claims are missing above."""
    from vsr_kit.recipes import all_variants, tuning_variants

    known = {v.name for v in (*all_variants(), *tuning_variants())}
    runs = sorted(path.parent.name for path in study.glob("*-seed*/config.json")) if study is not None else []
    if strange := [name for name in runs if name.rpartition("-seed")[0] not in known]:
        typer.echo(f"note: {study} holds {strange[0]}, which no known recipe has: add its file with --recipe", err=True)


def _claiming_tell(known, verdict, damaged: str | None, recipes: str) -> None:
    """A claim in a few lines; without its runs, what would make them, and with a broken file, which."""
    from vsr_kit.study.judge import NOT_JUDGED, NOT_RUN, not_run

    unjudged = NOT_JUDGED.upper() if damaged else NOT_RUN.upper() + not_run(known).removeprefix(NOT_RUN)
    typer.echo(str(verdict).split("\n")[-1] if verdict else f"{known.name}: {unjudged}")
    more = " --geometry arkitscenes_meta_info_val.json" if known.geometry_only else ""
    missing = [damaged or f"run it with: vsr reproduce --only {known.name}{more}{recipes}"]
    measured = str(verdict).split("\n")[:-1] if verdict else missing
    for line in (known.says, *measured, f"source: {known.source}", f"mind: {known.caveat}"):
        typer.echo(f"    {line}")
    if known.scale:
        typer.echo(f"    it takes: {known.scale}")


def _record(known, verdict, damaged: str | None) -> dict:
    from vsr_kit.study.judge import NOT_JUDGED, NOT_RUN, not_run
    from vsr_kit.study.reach import reach_of

    words = ("says", "source", "measured", "rule", "caveat", "needs", "scale", "only")
    stated = {name: getattr(known, name) for name in words}
    if damaged:
        return {"verdict": NOT_JUDGED, "damaged": damaged, "found": {}, **stated}
    if verdict is None:
        reach = asdict(reach_of(known, {}, {}))
        return {"verdict": NOT_RUN, "words": not_run(known), "reach": reach, "elsewhere": [], "found": {}, **stated}
    found = {name: asdict(finding) for name, finding in verdict.found.items()}
    stated |= {"words": verdict.words, "reach": asdict(verdict.reach), "elsewhere": list(verdict.elsewhere)}
    limits = {"by_student": verdict.by_student, "runs": verdict.runs, "preliminary": bool(verdict.missing)}
    return {"verdict": verdict.verdict, "found": found, **limits, **stated}


def reproduce(
    only: Annotated[
        list[str] | None,
        typer.Option(help="A part (headline, modes, kl, …), a variant, or a claim; repeat for several. Default: all."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(help="At most so many seeds of each variant.")] = None,
    first_seed: Annotated[
        int | None, typer.Option(help="Where seeds begin to count: 1 repeats the shipped runs, 6 makes new ones.")
    ] = None,
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
    recipe: _RecipeFiles = None,
) -> None:
    """Run the study on this machine: train every variant and seed, ask them all, recompute the verdicts.

    Killed studies go on where they were when the same command is given again. `--only headline` is the main table.
    """
    from vsr_kit.recipes import add
    from vsr_kit.runs import runs_root
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop
    from vsr_kit.study.runner import check_plan, finished, plan, reproduce

    for path in recipe or ():
        add(path)
    folder = out or runs_root() / "study"
    units, files = plan(only or (), seeds, first_seed), tuple(geometry) if geometry else None
    if dry_run:
        check_plan(units, folder, workers, files)
        for unit in units:
            done = " (done)" if finished(unit, folder, files) else ""
            typer.echo(f"{unit.name}: about {unit.seconds / 60:.0f} min on one core{done}")
        typer.echo(f"{len(units)} units, about {sum(u.seconds for u in units) / 3600:.1f} core-hours, into {folder}")
        return
    how = f"the same command goes on with {folder}"
    with say_on_stop(how), say_on_full_disk(folder, how):
        failed = reproduce(units, folder, workers, files)
    try:
        _reproducing_tell(folder, _words(recipe))
    finally:  # whatever else cannot be told
        if failed:
            raise ValueError(
                f"{len(failed)} of {len(units)} units failed, the first: {failed[0]}; the same command retries"
            )


def _reproducing_tell(folder: Path, recipes: str) -> None:
    """Verdicts on what the folder holds, and how its gains compare with the shipped study's."""
    from vsr_kit.recipes import untrained_pass
    from vsr_kit.study.answers import trained_runs
    from vsr_kit.study.comparisons import repeated
    from vsr_kit.study.judge import verdicts
    from vsr_kit.study.reach import rooms_asked

    unjudged: dict[str, str] = {}
    for verdict in verdicts(folder, unjudged).values():
        if verdict.found:
            typer.echo(str(verdict))
    for words in dict.fromkeys(unjudged.values()):
        typer.echo(f"not judged: {words}", err=True)
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
            f"{name} minus {untrained_pass(name).model}: {own:+.1f} points here, {expected.mean:+.1f} shipped; {where} "
            f"the 95 % prediction interval for {expected.new_runs} seeds ({expected.low:+.1f} to {expected.high:+.1f})"
        )
    typer.echo(f"look at {folder}; the whole ledger: vsr claims --study {folder}{recipes}")
