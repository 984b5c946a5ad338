"""The work of `vsr train` between its flags and its run folder: profile, rooms, clips, and the method's training.

The folder records the whole profile as it was used, so that `--resume` needs no other flag. Under `accelerate launch`
every process runs this code; the main one makes the folder and tells the others its path.
Left out: evaluation; `vsr eval --adapter FOLDER` asks the trained model.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import typer

from vsr_kit import validation
from vsr_kit.cli.clips import flags_of, look
from vsr_kit.cli.held_out import without_test_scenes
from vsr_kit.cli.resume import BROKEN_STATUS, is_over, needed, profile_of, refuse_changes, settings_of
from vsr_kit.cli.terminal import bars
from vsr_kit.failures import OutOfMemory
from vsr_kit.paths import checkpoint_of
from vsr_kit.runs import RunFolder, check_name, runs_root
from vsr_kit.runs.attempts import INTERRUPTED
from vsr_kit.training.launching import alone_by_mistake, divided
from vsr_kit.training.methods import GRPO, check_numbers, make_method
from vsr_kit.training.phases import headline_of
from vsr_kit.training.profiles import get_profile


def train(
    profile: str, changes: dict, settings: dict, seed: int, name: str, resume: Path | None, given: Mapping | None = None
) -> None:
    """Train by the profile with `changes`, or go on with what the folder `resume` recorded.

    given: the options that were typed, which may not contradict the record.
    """
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

    with say_on_stop("begin again with the same command (nothing was recorded)") as stop:
        work = _work(profile, changes, settings, seed, name, resume, given or {})
        if work is None:
            return
        chosen, method, settings, seed, run = work
        if run is not None:
            stop.how = f"go on with: vsr train --resume {run.path}"
        asked = _questions(chosen, method, settings, seed)
        how = {"seconds": settings["seconds"], "resume": resume is not None}
        if every := settings.get("record_tokens", 0):
            from vsr_kit.training.token_records import TokenSample

            how["record_tokens"] = TokenSample(every)
        with say_on_full_disk(run.path if run else runs_root(), stop):
            if run is None:
                check_numbers(chosen, asked.rows, seed, seconds=how["seconds"])  # before there is a folder
                method.check(chosen, asked.rows)
                run = _new_folder(name, {**settings, "profile": asdict(chosen)}, seed, chosen.model)
                stop.how = f"go on with: vsr train --resume {run.path}"
            run = _shared(run)
            try:
                trained = _run(chosen, method, asked, run, seed, how)
            except (KeyboardInterrupt, OutOfMemory):
                run.close()
                raise
            except (ValueError, OSError):
                if _main_process() and resume is None:
                    run.discard_if_empty()
                raise
            if trained.stopped == INTERRUPTED:
                run.close()
                stop.again()
            if _main_process():
                _close(run, trained)


def _questions(chosen, method, settings: Mapping, seed: int):
    """Rows and clips of the settings; says what they cost, and refuses rows that cannot be trained on.

    No weights are loaded for it.
    """
    from vsr_kit.evaluation.evaluate import load_questions
    from vsr_kit.training.machine import slow_here
    from vsr_kit.videos.frame_limits import PixelBounds

    say = _main_process()
    if say and (slow := slow_here(chosen)) is not None:
        typer.echo(f"warning: {slow}", err=True)
    asked = load_questions(
        settings["rooms"],
        split="train",
        phrasing=settings["phrasing"],
        types=_types(settings),
        per_room=settings["per_room"],
        num_frames=chosen.num_frames,
        size_px=chosen.size_px,
        max_pixels=settings.get("pixels", PixelBounds.most),  # an earlier version recorded none, and shrank none
        fps=settings.get("fps"),
        seed=seed,
        skip_broken=settings.get("skip_broken_clips", False),
        videos=settings.get("videos"),
        keep=partial(without_test_scenes, settings=settings, tell=say),
        progress=say and bars(),
    )
    for line in asked.told() if say else ():
        typer.echo(line, err=True)
    how = {"mode": method.mode, "prompt_set": "train", "numeric": chosen.numeric}
    own = (chosen.model, method.mode, chosen.num_frames, chosen.size_px)
    where = flags_of(settings, *own, training=True, numeric=chosen.numeric)
    look(chosen.model, asked.rows, asked.clips, how, where=where, say=say)
    return asked


def _work(profile: str, changes: dict, settings: dict, seed: int, name: str, resume: Path | None, given: Mapping):
    """(profile, method, settings, seed, run folder to resume or None); None where there is nothing left to do."""
    if told := alone_by_mistake():
        typer.echo(f"warning: {told}", err=True)
    run = None
    if resume is None:
        chosen = replace(get_profile(profile), **changes)
        chosen = divided(chosen) if settings.get("divide") else chosen
        check_name(name)
    else:
        run = RunFolder.open(resume)
        settings, seed = settings_of(run, "train"), run.seed
        needed(run, settings, ("mode", "rooms", "phrasing", "per_room", "seconds"))
        chosen = profile_of(run, settings)
        singular = {"extra_reward": settings.get("extra_rewards", []), "detector": settings.get("detectors", [])}
        own = {"seed": seed, "name": run.name, "profile": chosen.name, "seconds": settings["seconds"] or 0}
        own |= {"frames": chosen.num_frames, "quantize": chosen.quantize or "none"}
        refuse_changes(run, "train", given, {**asdict(chosen), **settings, **singular, **own})
        if is_over(run):
            return None
        run = RunFolder.resume(resume) if _main_process() else run
    names = ("method", "mode", "extra_rewards", "detectors")
    method = make_method(**{name: settings[name] for name in names if name in settings})
    _types(settings)
    validation.seed(seed)
    validation.whole("per_room", settings["per_room"])
    if settings["seconds"] is not None:
        validation.real("seconds", settings["seconds"])
    chosen.check_passes()
    validation.whole("record_tokens", settings.get("record_tokens", 0), 0, remedy="0 records none")
    if isinstance(method, GRPO):
        method.reward_funcs(chosen.numeric)
    elif settings.get("record_tokens"):
        raise ValueError(f"--record-tokens with {method.name}: only grpo samples rollouts; leave it out")
    return chosen, method, settings, seed, run


def _types(settings: Mapping) -> tuple[str, ...]:
    """The types to train on: those named, else the papers'.

    Raises:
        ValueError: a name that is none, or of a type that nothing here trains on.
    """
    from vsr_kit.questions import HELD_OUT_TYPES, TRAINED_TYPES, named_types

    types = named_types(settings.get("types", [])) or TRAINED_TYPES
    if held_out := [name for name in types if name in HELD_OUT_TYPES]:
        raise ValueError(f"types has {', '.join(held_out)}: these are held out of all training; leave them out")
    return types


def _run(profile, method, asked, run, seed: int, how: dict):
    """Train under a bar."""
    from tqdm import tqdm

    from vsr_kit.training.run import train as start

    with tqdm(total=profile.steps, desc="training", unit="step", disable=not (_main_process() and bars())) as bar:
        return start(profile, method, asked, run=run, seed=seed, on_log=partial(_show, bar), **how)


def _show(bar, row: dict) -> None:
    """Move the bar to a logged step, with the two numbers to watch."""
    if "reward" in row:
        bar.set_postfix(reward=f"{row['reward']:.2f}", kl=f"{row.get('kl', 0):.1e}", refresh=False)
    elif "loss" in row:
        bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
    if "loss" in row:
        bar.update(row["step"] - bar.n)


def _close(run, trained) -> None:
    headline = headline_of(run, trained)
    broken = {} if trained.broken is None else {"stopped": trained.broken, "good step": trained.good_step}
    run.summarise(headline=headline | broken, **broken)
    run.finish(stopped=trained.broken)
    for what, value in headline.items():
        typer.echo(f"{what}: {value:.3g}")
    ask = "" if broken else f"; ask it: vsr eval --adapter {run.path}"
    typer.echo(f"look at {run.path}; a page: vsr report {run.path}{ask}")
    if broken:
        typer.echo(f"the training broke: {trained.broken}", err=True)
        raise typer.Exit(BROKEN_STATUS)


def _new_folder(name: str, config: dict, seed: int, model: str):
    """A new folder, made by the main process; None in the others."""
    if not _main_process():
        return None
    return RunFolder.create(name, config, seed=seed, checkpoint=checkpoint_of(model))


def _shared(run):
    """The main process's folder to write, in the others the same one to read."""
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
