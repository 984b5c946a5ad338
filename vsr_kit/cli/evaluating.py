"""What `vsr eval` does between its flags and its table: gather, load, ask into a run folder, score.

Left out: intervals; claims.py and the notebooks draw them from the predictions that a run keeps.
"""

from __future__ import annotations

from pathlib import Path

import typer


def evaluate(settings: dict, harness: str, seed: int, name: str, resume: Path | None) -> None:
    """Run `settings`, or go on with those that the folder `resume` recorded; print the table and where to look."""
    from tqdm import tqdm

    from vsr_kit.asking import ask, gather, other_clips
    from vsr_kit.cli.questions import show_scores
    from vsr_kit.evaluation import score
    from vsr_kit.runs import RunFolder

    run = None if resume is None else RunFolder.resume(resume)
    if run is not None:
        settings, seed = run.config["config"], run.seed
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
    clips = {"own": lambda: asked.clips, "wrong": lambda: other_clips(asked.clips, seed), "none": lambda: None}
    shown = clips[settings["clip"]]()
    loaded, checkpoint = load(settings)
    run = run or RunFolder.create(name, settings, seed=seed, checkpoint=checkpoint)
    with tqdm(total=len(asked.rows), desc=f"asking ({settings['mode']})", unit="question") as bar:
        answered = ask(
            loaded,
            asked.rows,
            shown,
            run,
            mode=settings["mode"],
            max_new_tokens=settings["max_new_tokens"],
            temperature=settings["temperature"],
            num_samples=settings["samples"],
            seed=seed,
            on_answers=bar.update,
        )
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
    """The adapter itself, or the one in a run folder of that name."""
    if adapter and (Path(adapter) / "config.json").exists() and (Path(adapter) / "adapter").is_dir():
        return Path(adapter) / "adapter"
    return adapter
