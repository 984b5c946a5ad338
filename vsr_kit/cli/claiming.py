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

    Every verdict names the model and the rooms it speaks of: nothing here has seen Qwen2-VL-2B or a real video.
    Each claim's rule was written before its runs; `vsr_kit/claims` has measurement and rule in full.
    """
    from vsr_kit.claims import CLAIMS
    from vsr_kit.results import verdicts

    if study is not None and not study.is_dir():
        raise FileNotFoundError(f"no folder {study}: give a study folder with answers/, or leave --study out")
    if study is not None and not (study / "answers").is_dir():
        raise FileNotFoundError(f"{study} holds the answers of no claim; vsr reproduce --out {study} makes them")
    found = verdicts(study)
    if as_json:
        typer.echo(json.dumps({known.name: _record(known, found.get(known.name)) for known in CLAIMS}, indent=1))
        return
    for known in CLAIMS:
        _tell(known, found.get(known.name))


def _tell(known, verdict) -> None:
    """A claim in a few lines; without its runs, what would make them."""
    from vsr_kit.results.verdicts import NOT_RUN, not_run

    unrun = f"{known.name}: {NOT_RUN.upper()}{not_run(known).removeprefix(NOT_RUN)}"
    typer.echo(str(verdict).split("\n")[-1] if verdict else unrun)
    more = "" if known.needs else " --geometry arkitscenes_meta_info_val.json"  # no runs: asked of released geometry
    missing = [f"run it with: vsr reproduce --only {known.name}{more}"]
    measured = str(verdict).split("\n")[:-1] if verdict else missing
    for line in (known.says, *measured, f"source: {known.source}", f"mind: {known.caveat}"):
        typer.echo(f"    {line}")
    if known.scale:
        typer.echo(f"    it takes: {known.scale}")


def _record(known, verdict) -> dict:
    from vsr_kit.results.reach import reach_of
    from vsr_kit.results.verdicts import NOT_RUN, not_run

    words = ("says", "source", "measured", "rule", "caveat", "needs", "scale", "only")
    stated = {name: getattr(known, name) for name in words}
    if verdict is None:
        reach = asdict(reach_of(known, {}, {}))
        return {"verdict": NOT_RUN, "words": not_run(known), "reach": reach, "elsewhere": [], "found": {}, **stated}
    found = {name: asdict(finding) for name, finding in verdict.found.items()}
    stated |= {"words": verdict.words, "reach": asdict(verdict.reach), "elsewhere": list(verdict.elsewhere)}
    limits = {"by_student": verdict.by_student, "runs": verdict.runs, "preliminary": bool(verdict.missing)}
    return {"verdict": verdict.verdict, "found": found, **limits, **stated}
