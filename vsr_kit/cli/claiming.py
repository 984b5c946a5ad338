"""`vsr claims`: every claim with its verdict, computed now from the answers of a study folder.

Left out: running what is missing; claims whose runs do not exist yet.
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

    Each claim's rule was written before its runs; `vsr_kit/claims.py` has rule, source and caveat in full.
    """
    from vsr_kit.results import verdicts

    if study is not None and not study.is_dir():
        raise FileNotFoundError(f"no folder {study}: give a study folder with answers/, or leave --study out")
    found = verdicts(study)
    if not found:
        raise FileNotFoundError(f"{study} holds the answers of no claim; vsr_kit.study writes them")
    if as_json:
        typer.echo(json.dumps({name: _record(verdict) for name, verdict in found.items()}, indent=1))
        return
    for verdict in found.values():
        *measured, _ = str(verdict).split("\n")
        typer.echo(f"{verdict.claim.name}: {verdict.verdict.upper()}")
        for line in (verdict.claim.says, *measured, f"source: {verdict.claim.source}", f"mind: {verdict.claim.caveat}"):
            typer.echo(f"    {line}")


def _record(verdict) -> dict:
    claim = {name: getattr(verdict.claim, name) for name in ("says", "source", "measured", "rule", "caveat")}
    return {"verdict": verdict.verdict, "found": {k: asdict(v) for k, v in verdict.found.items()}, **claim}
