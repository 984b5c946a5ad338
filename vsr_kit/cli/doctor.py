"""`vsr doctor`: what might go wrong, said before a long run and read from a run's folder afterwards.

The checks are those of `vsr_kit.diagnosis`; this is their choice by what was named, and their print. The exit status is
1 where there is a problem, so that a script can stop before it pays for hours.
Left out: mending anything.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vsr_kit.cli.flags import quantization_of
from vsr_kit.cli.loading import adapter_run, default_quantize
from vsr_kit.cli.models import Mode
from vsr_kit.files import read_json
from vsr_kit.paths import SHIPPED

if TYPE_CHECKING:
    from vsr_kit.diagnosis import Diagnosis


def doctor(
    what: Annotated[
        str | None, typer.Argument(help="A model (`mini`, a hub id, a folder), an adapter's folder, or a run's folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings as JSON.")] = False,
    profile: Annotated[
        str | None, typer.Option(help="Sizes of the step that a model is asked for; mini for shipped models, else t4.")
    ] = None,
    mode: Annotated[Mode, typer.Option(help="How a model is asked.")] = Mode.vanilla,
    model: Annotated[str | None, typer.Option(help="The model an adapter is of; by default the one it names.")] = None,
    quantize: Annotated[
        str | None, typer.Option(help="`nf4` or `none`, for a model; by default the profile's.")
    ] = None,
    rooms: Annotated[str, typer.Option(help="What a model is asked about, as `vsr train --rooms` takes it.")] = "4",
    questions: Annotated[int, typer.Option(help="How many a model is asked.")] = 8,
    n: Annotated[int | None, typer.Option("--n", help="Completions of each; by default the profile's.")] = None,
    seed: Annotated[int, typer.Option(help="Of questions and draws.")] = 0,
) -> None:
    """Look for what would spoil a run: the installation, a model before it, or a run's folder.

    Without an argument: versions, GPU, disk, threads, packages that get in the way. A model or an adapter does one step
    of GRPO (template, clip in all three passes, rollouts against training, answers, rewards). A run's folder is read.
    Exit status 1 says that there is a problem.
    """
    from vsr_kit.diagnosis import check_environment, check_run

    kind = _kind(what)
    if kind == "installation":
        found = check_environment()
    elif kind == "run":
        found = check_run(str(what))
    else:
        sizes = {"num_generations": n, "quantize": quantize}
        found = _model(str(what), kind, profile, model, mode.value, sizes, rooms, questions, seed)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        for line in found.lines():
            typer.echo(line)
    raise typer.Exit(found.status)


def _kind(what: str | None) -> str:
    """`installation`, `run`, `adapter` or `model`, by what the folder holds; what is no folder is a model."""
    if what is None:
        return "installation"
    folder = Path(what)
    if (folder / "adapter_config.json").is_file():
        return "adapter"
    if (folder / "config.json").is_file():
        return "model" if "model_type" in read_json(folder / "config.json") else "run"
    return "model"


def _model(
    what: str, kind: str, profile: str | None, model: str | None, mode: str, sizes: dict, rooms: str, count: int, seed
) -> Diagnosis:
    """Ask a model, or the model of an adapter, for one step."""
    from vsr_kit.diagnosis.model import check_model
    from vsr_kit.evaluation import load_questions
    from vsr_kit.questions import TRAINED_TYPES
    from vsr_kit.training.profiles import get_profile

    if kind == "model" and model is not None:
        raise ValueError(f"--model {model} beside the model {what}: it names an adapter's model; leave it out")
    adapter = Path(what) if kind == "adapter" else None
    base = what if adapter is None else model or _base_of(adapter)
    chosen = get_profile(profile or ("mini" if base in SHIPPED else "t4"))
    trained = default_quantize(base, what) if adapter is not None and adapter_run(what) is not None else None
    if (told := sizes["quantize"] or trained) is not None:
        chosen = replace(chosen, quantize=quantization_of(told))
    if sizes["num_generations"] is not None:
        chosen = replace(chosen, num_generations=sizes["num_generations"])
    split = "val" if rooms.isdigit() else "all"
    how = {"split": split, "phrasing": "vsi-100k", "types": TRAINED_TYPES, "seed": seed}  # as training asks
    asked = load_questions(rooms, num_frames=chosen.num_frames, size_px=chosen.size_px, **how)
    random.Random(seed).shuffle(asked.rows)
    typer.echo(f"one step of GRPO: {count} questions, {chosen.num_generations} completions of each", err=True)
    return check_model(what, replace(chosen, model=base), mode, asked, adapter=adapter, num_questions=count, seed=seed)


def _base_of(adapter: Path) -> str:
    """The model that an adapter says it is of."""
    named = read_json(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not named:
        raise ValueError(f"{adapter} does not say which model it is of: name it with --model")
    return str(named)
