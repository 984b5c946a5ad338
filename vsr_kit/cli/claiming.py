"""`vsr claims`: every claim with its verdict, computed now from the answers of a study folder.

Left out: running what is missing, which `vsr reproduce` does.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def claims(
    study: Annotated[Path | None, typer.Option(help="A study folder instead of the shipped one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
) -> None:
    """Print what the papers claim and what the answers say of it: verdicts are recomputed, never stored.

    Every verdict names the model and the rooms it speaks of: nothing here has seen Qwen2-VL-2B or a real video. A claim
    that needs a damaged file is not judged; the file is named, and the exit code is 2.
    Each claim's rule was written before its runs; `vsr_kit/claims` has measurement and rule in full.
    """
    from vsr_kit.claims import CLAIMS
    from vsr_kit.results import verdicts

    if study is not None and not study.is_dir():
        raise FileNotFoundError(f"no folder {study}: give a study folder with answers/, or leave --study out")
    if study is not None and not (study / "answers").is_dir():
        raise FileNotFoundError(f"{study} holds the answers of no claim; vsr reproduce --out {study} makes them")
    damaged: dict[str, str] = {}
    found = verdicts(study, damaged)
    if as_json:
        records = {c.name: _record(c, found.get(c.name), damaged.get(c.name)) for c in CLAIMS}
        typer.echo(json.dumps(records, indent=1))
    else:
        for known in CLAIMS:
            _tell(known, found.get(known.name), damaged.get(known.name))
    for told in dict.fromkeys(damaged.values()):  # one line a file, however many claims need it
        typer.echo(f"error: {told}", err=True)
    if damaged:
        raise typer.Exit(2)


def _tell(known, verdict, damaged: str | None) -> None:
    """A claim in a few lines; without its runs, what would make them, and with a broken file, which."""
    from vsr_kit.results.verdicts import NOT_JUDGED, NOT_RUN, not_run

    unjudged = NOT_JUDGED.upper() if damaged else NOT_RUN.upper() + not_run(known).removeprefix(NOT_RUN)
    typer.echo(str(verdict).split("\n")[-1] if verdict else f"{known.name}: {unjudged}")
    more = "" if known.needs else " --geometry arkitscenes_meta_info_val.json"  # no runs: asked of released geometry
    missing = [damaged or f"run it with: vsr reproduce --only {known.name}{more}"]
    measured = str(verdict).split("\n")[:-1] if verdict else missing
    for line in (known.says, *measured, f"source: {known.source}", f"mind: {known.caveat}"):
        typer.echo(f"    {line}")
    if known.scale:
        typer.echo(f"    it takes: {known.scale}")


def _record(known, verdict, damaged: str | None) -> dict:
    from vsr_kit.results.reach import reach_of
    from vsr_kit.results.verdicts import NOT_JUDGED, NOT_RUN, not_run

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
