"""The work of `vsr eval` between its flags and its run folder: questions, what they cost, a model, answers, a table.

Left out: the flags (models.py) and what an adapter or a checkpoint is loaded as (loading.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import typer

from vsr_kit import validation
from vsr_kit.cli.clips import flags_of, look
from vsr_kit.cli.loading import adapter_run, load, told_out_of_memory
from vsr_kit.cli.resume import is_over, needed, refuse_changes, settings_of
from vsr_kit.cli.terminal import bars
from vsr_kit.runs import RunFolder, check_name, runs_root
from vsr_kit.runs.attempts import FINISHED
from vsr_kit.runs.provenance import checkpoint_identity

# Settings that every recorded evaluation has, and all that one is asked with.
SETTINGS = (
    *("model", "adapter", "mode", "rooms", "split", "phrasing", "per_type", "clip", "quantize", "max_new_tokens"),
    *("temperature", "samples", "frames", "size"),
)
ASKED_WITH = (*SETTINGS, "dtype", "videos", "pixels", "fps", "preset", "skip_broken_clips", "types")


def evaluate(
    settings: dict,
    harness: str,
    seed: int,
    name: str,
    resume: Path | None,
    given: Mapping | None = None,
    batch_size: int = 64,
) -> None:
    """Run `settings`, or go on with those that the folder `resume` recorded; print the table and where to look.

    given: the options that were typed, which may not contradict the record. batch_size changes no answer, and may.
    """
    from vsr_kit.evaluation.evaluate import answered_scenes
    from vsr_kit.evaluation.predictions import mismatched_clips
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

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
            own = {"seed": seed, "name": run.name, "harness": harness, "batch_size": batch_size}
            refuse_changes(run, "eval", given or {}, settings | own)
            run = RunFolder.resume(resume)
            stop.how = f"go on with: vsr eval --resume {run.path}"
        validation.drawing(settings["max_new_tokens"], settings["temperature"], settings["samples"], seed)
        validation.whole("per_type", settings["per_type"], 0, remedy="0 asks all")
        validation.whole("batch_size", batch_size)
        asked = _questions(settings, seed)
        if run is not None and run.status == FINISHED:
            done, _ = answered_scenes(run, asked.rows, settings["mode"], settings["samples"])
            if done == {row["scene_name"] for row in asked.rows} and is_over(run):
                return
        clips = {"own": lambda: asked.clips, "wrong": lambda: mismatched_clips(asked.clips, seed), "none": lambda: None}
        shown = clips[settings["clip"]]()
        seen = asked.clips if settings["clip"] != "none" else None
        trained_in = adapter_run(settings["adapter"])
        where = flags_of(settings, *(settings[name] for name in ("model", "mode", "frames", "size")))
        look(settings["model"], asked.rows, seen, {"mode": settings["mode"]}, where=where, run=trained_in)
        with say_on_full_disk(run.path if run else runs_root(), stop), told_out_of_memory(settings, batch_size, stop):
            loaded, checkpoint = load(settings)
            if run is None:
                run = RunFolder.create(name, settings, seed=seed, checkpoint=checkpoint)
                stop.how = f"go on with: vsr eval --resume {run.path}"
            _ask_and_tell(loaded, checkpoint, asked.rows, shown, run, settings, seed, harness, batch_size)


def _questions(settings: Mapping, seed: int):
    """Rows and clips of the settings, and a line for each thing to know about them."""
    from vsr_kit.evaluation.evaluate import load_questions
    from vsr_kit.questions import named_types
    from vsr_kit.videos.frame_limits import PixelBounds

    asked = load_questions(
        settings["rooms"],
        split=settings["split"],
        phrasing=settings["phrasing"],
        types=named_types(settings.get("types", [])),
        per_type=settings["per_type"] or None,
        num_frames=settings["frames"],
        size_px=settings["size"],
        max_pixels=settings.get("pixels", PixelBounds.most),  # an earlier version recorded none, and shrank none
        fps=settings.get("fps"),
        seed=seed,
        skip_broken=settings.get("skip_broken_clips", False),
        videos=settings.get("videos"),
        blind=settings["clip"] == "none",
        progress=bars(),
    )
    for line in asked.told():
        typer.echo(line, err=True)
    if not asked.rows:
        where = f"{settings['rooms']}, split {settings['split']}"
        raise ValueError(f"{where}: 0 questions, so there is nothing to ask; give more rooms, or another split")
    return asked


def _ask_and_tell(
    loaded, checkpoint, rows, shown, run, settings: dict, seed: int, harness: str, batch_size: int
) -> None:
    from tqdm import tqdm

    from vsr_kit.cli.data import show_scores
    from vsr_kit.evaluation import score
    from vsr_kit.evaluation.evaluate import ask

    how = {
        "mode": settings["mode"],
        "max_new_tokens": settings["max_new_tokens"],
        "temperature": settings["temperature"],
        "num_samples": settings["samples"],
        "seed": seed,
        "made_of": {"base sha256": checkpoint_identity(checkpoint)["sha256"], "quantize": settings["quantize"]},
    }
    how["made_of"] |= {"dtype": settings["dtype"]} if settings.get("dtype") else {}
    how["batch_size"] = batch_size
    with tqdm(total=len(rows), desc=f"asking ({settings['mode']})", unit="question", disable=not bars()) as bar:
        answered = ask(loaded, rows, shown, run, on_answers=bar.update, **how)
    table = score(answered, harness)
    label = f"{settings['mode']}, {settings['clip']} clip, {harness}"
    cut = sum(row["truncated"] for row in answered) / len(answered)
    run.summarise(
        scores={label: table.percent()},
        headline={f"{name}, per cent ({label})": mean * 100 for name, mean in table.means.items()}
        | {"cut off by the cap, per cent": 100 * cut},
    )
    run.finish()
    show_scores(table)
    typer.echo(f"look at {run.path}; a page: vsr report {run.path}")
