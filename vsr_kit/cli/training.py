"""What `vsr train` does between its flags and its run folder: profile, rooms, clips, the method's training.

The folder records the whole profile as it was used, so that `--resume` needs no other flag. Under `accelerate launch`
every process comes through here; the main one makes the folder and tells the others where it is.

Left out: evaluation; `vsr eval --adapter FOLDER` asks what was trained.
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import typer

FIRST_AND_LAST = 10  # steps at either end whose mean reward is told


def train(profile: str, changes: dict, settings: dict, seed: int, name: str, resume: Path | None) -> None:
    """Train by the profile with `changes`, or go on with what the folder `resume` recorded."""
    from tqdm import tqdm

    from vsr_kit.asking import gather
    from vsr_kit.methods import Task, check
    from vsr_kit.profiles import Profile, get_profile
    from vsr_kit.questions import TRAINED_TYPES
    from vsr_kit.runs import RunFolder
    from vsr_kit.training import train as start

    if resume is None:
        chosen = replace(get_profile(profile), **changes)
    else:
        recorded = RunFolder.open(resume)
        settings, seed = recorded.config["config"], recorded.seed
        chosen = Profile(**settings["profile"])
    names = ("extra_rewards", "detectors")
    task = Task(settings.get("method", "grpo"), settings["mode"], *(tuple(settings.get(name, ())) for name in names))
    asked = gather(
        settings["rooms"],
        split="train",
        phrasing=settings["phrasing"],
        types=TRAINED_TYPES,
        per_room=settings["per_room"],
        num_frames=chosen.num_frames,
        size_px=chosen.size_px,
        seed=seed,
        skip_broken=settings.get("skip_broken_clips", False),
        progress=_main_process(),
    )
    for line in asked.told() if _main_process() else ():
        typer.echo(line, err=True)
    check(task, chosen, asked.rows)  # before there is a folder
    run = _run_folder(name, {**settings, "profile": asdict(chosen)}, seed, chosen.model, resume)
    how = {"seconds": settings["seconds"], "resume": resume is not None}
    with tqdm(total=chosen.steps, desc="training", unit="step", disable=not _main_process()) as bar:
        try:
            trained = start(chosen, task, asked.rows, asked.clips, run, seed, on_log=partial(_show, bar), **how)
        except KeyboardInterrupt:
            run.close()
            typer.echo(f"stopped; go on with: vsr train --resume {run.path}", err=True)
            raise typer.Exit(130) from None
    if _main_process():
        _close(run, trained)


def _show(bar, row: dict) -> None:
    """Move the bar to a logged step, with the two numbers to watch."""
    if "reward" in row:
        bar.set_postfix(reward=f"{row['reward']:.2f}", kl=f"{row.get('kl', 0):.1e}", refresh=False)
    elif "loss" in row:
        bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
    if "loss" in row:
        bar.update(row["step"] - bar.n)


def _close(run, trained) -> None:
    rewards = [row["reward"] for row in run.read_metrics() if "reward" in row]
    count = min(FIRST_AND_LAST, len(rewards))
    headline = {"steps": trained.steps, "minutes of this attempt": trained.seconds / 60}
    if rewards:
        headline[f"sampled reward, mean of the first {count} steps"] = sum(rewards[:count]) / count
        headline[f"sampled reward, mean of the last {count} steps"] = sum(rewards[-count:]) / count
    if (cost := trained.cost) is not None:
        headline |= {
            "seconds a step": cost.seconds_per_step,
            "tokens a second": cost.tokens_per_second,
            "peak memory, GB": cost.peak_bytes / 1e9,
            "groups of equal rewards, %": 100 * cost.zero_variance_share,
        }
    run.summarise(headline=headline)
    run.finish()
    for what, value in headline.items():
        typer.echo(f"{what}: {value:.3g}")
    typer.echo(f"look at {run.path}; a page: vsr report {run.path}; ask it: vsr eval --adapter {run.path}")


def _run_folder(name: str, config: dict, seed: int, model: str, resume: Path | None):
    """A new folder, or the one to resume; in processes beside the main one, the same folder to read."""
    from vsr_kit.models import mini_path
    from vsr_kit.resumable import check_trainer_checkpoint
    from vsr_kit.runs import RunFolder

    run = None
    if _main_process() and resume is not None:
        last = RunFolder.open(resume).last_checkpoint()
        if last is not None:
            check_trainer_checkpoint(last)  # before anything is noted
        run = RunFolder.resume(resume, from_step=0 if last is None else int(last.name.split("-")[1]))
    elif _main_process():
        run = RunFolder.create(name, config, seed=seed, checkpoint=mini_path() if model == "mini" else model)
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        return run
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    PartialState(cpu=not torch.cuda.is_available())
    told = [None if run is None else str(run.path)]
    broadcast_object_list(told)
    return run or RunFolder.open(told[0])


def _main_process() -> bool:
    return int(os.environ.get("RANK") or 0) == 0
