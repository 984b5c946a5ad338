"""What `vsr eval` does between its flags and its table: gather, load, ask into a run folder, score.

Left out: intervals; claims.py and the notebooks draw them from the predictions that a run keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import typer

from vsr_kit import limits
from vsr_kit.attempts import FINISHED, UNFINISHED
from vsr_kit.cli.recorded import is_over, needed, refuse_changes, settings_of
from vsr_kit.provenance import checkpoint_identity
from vsr_kit.runs import RunFolder, check_name, runs_root

SETTINGS = ("model", "adapter", "mode", "rooms", "split", "phrasing", "per_type", "clip", "quantize", "max_new_tokens")
SETTINGS += ("temperature", "samples", "frames", "size")


def evaluate(
    settings: dict, harness: str, seed: int, name: str, resume: Path | None, given: Mapping | None = None
) -> None:
    """Run `settings`, or go on with those that the folder `resume` recorded; print the table and where to look.

    given: the options that were typed, which may not contradict the record.
    """
    from vsr_kit.asking import answered_scenes, gather, other_clips
    from vsr_kit.interrupts import say_on_full_disk, say_on_stop

    with say_on_stop("begin again with the same command (nothing was recorded)") as stop:
        run = None
        if resume is None:
            check_name(name)
            settings = {**settings, "harness": harness}
        else:
            run = RunFolder.open(resume)
            settings, seed = settings_of(run, "eval"), run.seed
            needed(run, settings, SETTINGS)
            harness = settings.get("harness", harness)
            own = {"seed": seed, "name": run.name, "harness": harness}
            refuse_changes(run, "eval", given or {}, settings | own)
            run = RunFolder.resume(resume)
            stop.how = f"go on with: vsr eval --resume {run.path}"
        limits.drawing(settings["max_new_tokens"], settings["temperature"], settings["samples"], seed)
        limits.whole("per_type", settings["per_type"], 0, remedy="0 asks all")
        asked = gather(
            settings["rooms"],
            split=settings["split"],
            phrasing=settings["phrasing"],
            per_type=settings["per_type"] or None,
            num_frames=settings["frames"],
            size_px=settings["size"],
            seed=seed,
            skip_broken=settings.get("skip_broken_clips", False),
            progress=True,
        )
        for line in asked.told():
            typer.echo(line, err=True)
        if not asked.rows:
            where = f"{settings['rooms']}, split {settings['split']}"
            raise ValueError(f"{where}: 0 questions, so there is nothing to ask; give more rooms, or another split")
        if run is not None and run.status == FINISHED:
            done, _ = answered_scenes(run, asked.rows, settings["mode"], settings["samples"])
            if done == {row["scene_name"] for row in asked.rows} and is_over(run):
                return
        clips = {"own": lambda: asked.clips, "wrong": lambda: other_clips(asked.clips, seed), "none": lambda: None}
        shown = clips[settings["clip"]]()
        with say_on_full_disk(run.path if run else runs_root(), stop):
            loaded, checkpoint = load(settings)
            if run is None:
                run = RunFolder.create(name, settings, seed=seed, checkpoint=checkpoint)
                stop.how = f"go on with: vsr eval --resume {run.path}"
            _ask_and_tell(loaded, checkpoint, asked.rows, shown, run, settings, seed, harness)


def _ask_and_tell(loaded, checkpoint, rows, shown, run, settings: dict, seed: int, harness: str) -> None:
    from tqdm import tqdm

    from vsr_kit.asking import ask
    from vsr_kit.cli.questions import show_scores
    from vsr_kit.evaluation import score

    how = {
        "mode": settings["mode"],
        "max_new_tokens": settings["max_new_tokens"],
        "temperature": settings["temperature"],
        "num_samples": settings["samples"],
        "seed": seed,
        "made_of": {"base sha256": checkpoint_identity(checkpoint)["sha256"], "quantize": settings["quantize"]},
    }
    with tqdm(total=len(rows), desc=f"asking ({settings['mode']})", unit="question") as bar:
        answered = ask(loaded, rows, shown, run, on_answers=bar.update, **how)
    table = score(answered, harness)
    label = f"{settings['mode']}, {settings['clip']} clip, {harness}"
    cut = sum(row["truncated"] for row in answered) / len(answered)
    run.summarise(
        scores={label: table.percent()},
        headline={f"overall, per cent ({label})": table.overall * 100, "cut off by the cap, per cent": 100 * cut},
    )
    run.finish()
    show_scores(table)
    typer.echo(f"look at {run.path}; a page: vsr report {run.path}")


def load(settings: dict):
    """The model of the settings, and what its run records as the checkpoint: a folder, or a hub id."""
    from vsr_kit.models import load_model, mini_path

    quantize = None if settings["quantize"] == "none" else settings["quantize"]
    loaded = load_model(settings["model"], quantize, adapter=adapter_folder(settings["adapter"]))
    return loaded, mini_path() if settings["model"] == "mini" else settings["model"]


def adapter_folder(adapter: str | None) -> Path | str | None:
    """The adapter itself, or the one in a run folder of that name; what is odd about the run is told.

    Raises:
        ValueError: the run's training broke before it had learnt anything, or it has left no adapter yet.
    """
    if not adapter:
        return adapter
    path = Path(adapter)
    run = next((RunFolder.open(p) for p in (path, path.parent) if (p / "config.json").is_file()), None)
    if run is None or (path != run.path and path.name != "adapter"):
        return adapter
    if not run.adapter.is_dir():
        if path != run.path or (path / "adapter_config.json").exists():
            return adapter
        raise ValueError(f"{path} is a run that has left no adapter: finish it first, vsr train --resume {path}")
    broken = run.summary.get("stopped")
    if broken and not run.summary.get("good step"):
        raise ValueError(f"{path} has an untrained adapter: its training broke in its first steps ({broken})")
    if broken:
        typer.echo(f"warning: the training of {path} broke: {broken}", err=True)
    elif run.status == UNFINISHED and run.attempts() and (steps := run.read_metrics()):
        typer.echo(f"warning: {path} is unfinished; its adapter is that of step {steps[-1]['step']}", err=True)
    return run.adapter
