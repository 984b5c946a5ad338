"""One training run: a profile, rows and clips go in; an adapter, its metrics and every rollout come out.

The story: `train` loads the profile's model, puts LoRA on its language model, and lets the method's trainer do the rest
(GRPO unless told otherwise; see methods.py). Given a run folder, it writes metrics and rollouts there as they come, a
checkpoint every few steps and the adapter at the end; a killed run that is resumed from its last checkpoint ends with
the weights of one that never was, up to rounding (beyond its first epoch, where TRL's sampler would start its order
anew, only if `questions_per_clip` is above 1). Under `accelerate launch` every process calls `train`, only the main one
writes.

Left out: evaluation (generation.py asks, evaluation scores), pushing to a hub, and sweeps (study.py).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from vsr_kit.adapters import check_fits
from vsr_kit.costs import Cost, cost_of
from vsr_kit.features import FeatureStore
from vsr_kit.methods import Task, check, config_of, make_trainer
from vsr_kit.models import Loaded, describe, load_model, without_renaming_warnings
from vsr_kit.profiles import Profile, get_profile
from vsr_kit.resumable import check_trainer_checkpoint
from vsr_kit.seals import SEAL, seal
from vsr_kit.trainers import MetricsRecorder, SeesClips
from vsr_kit.watch import StopAfter, StopWhenBroken, WarnOfCollapse

Sink = Callable[[dict], None]
FEATURES = "features"  # in a run's folder while it is under way, for a resumed one to find


@dataclass(frozen=True)
class Trained:
    """What a run left.

    Attributes:
        loaded: the trained model with its adapter, ready to be asked.
        adapter: folder of the adapter's weights, None without a run folder.
        logs: TRL's log dictionaries, `step` in each; the closing one has `train_runtime` in seconds.
        steps: optimiser steps done, earlier attempts' included.
        seconds: spent in this call's training loop.
        prepared_seconds: spent before it, on loading the model and making the rows (pairs from rollouts take a while).
        cost: of this call's steps; None where there was none.
        stopped: why it ended early, with its last good weights (see watch.py); None where no number broke.
    """

    loaded: Loaded
    adapter: Path | None
    logs: list[dict]
    steps: int
    seconds: float
    prepared_seconds: float
    cost: Cost | None
    stopped: str | None = None


def train(
    profile: Profile | str,
    task: Task | str,
    rows: Sequence[dict],
    clips: Mapping[str, np.ndarray],
    run=None,
    seed: int = 0,
    steps: int | None = None,
    seconds: float | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    on_log: Sink | Sequence[Sink] = (),
    resume: bool = False,
    save_every: int = 20,
    progress: bool = False,
    quiet: bool = False,
    **overrides,
) -> Trained:
    """Train a fresh LoRA adapter.

    Args:
        profile: a Profile, or the name of one.
        task: what to do: a `methods.Task`, or just the mode (vanilla, think or observe) to train it in by GRPO.
        rows: with VSI-Bench's fields.
        clips: scene_name to uint8 frames (F, H, W, 3), for every row's scene.
        run: a `runs.RunFolder` to write to; in processes beside the main one, the same folder opened for reading.
        seed: of the adapter, the order of the questions and the sampling.
        steps: optimiser steps, the profile's if None; the learning rate falls to zero at their end.
        seconds: stop after the first step that ends later than this, whatever the learning rate is then.
        callbacks: transformers' own kind.
        on_log: gets every log dictionary with its `step`, the closing one too.
        resume: go on from the run's last checkpoint, or begin where there is none yet.
        save_every: steps between checkpoints.
        progress, quiet: show a bar; print neither profile nor model nor, at the end, what it cost.
        overrides: any of the fields of the method's TRL config.

    Raises:
        ValueError: rows without clips, an unknown mode or profile, `resume` without a run folder, or from a checkpoint
            that is not whole (see resumable.py).
    """
    profile, task = get_profile(profile), Task(mode=task) if isinstance(task, str) else task
    check(task, profile, rows)
    checkpoint = _checkpoint(run, resume)
    sinks = [on_log] if callable(on_log) else list(on_log)
    if run is not None:
        sinks.insert(0, lambda row: None if "train_runtime" in row else run.metrics(row))
    with tempfile.TemporaryDirectory() as scratch:
        places = {"output_dir": scratch} if run is None else {"output_dir": str(run.checkpoints)} | _saving(save_every)
        limits = {} if steps is None else {"max_steps": steps}
        settings = {"disable_tqdm": not progress, "seed": seed} | places | limits | overrides
        with without_renaming_warnings():
            called = time.monotonic()
            trainer, loaded = _trainer(profile, task, settings, rows, clips, run, quiet)
            watch = StopWhenBroken()
            own = (MetricsRecorder(*sinks), watch, WarnOfCollapse(), StopAfter(seconds), SealCheckpoints())
            for callback in (*own, *callbacks):
                trainer.add_callback(callback)
            if checkpoint is not None:
                check_fits(trainer.accelerator.unwrap_model(trainer.model), Path(checkpoint))
            began = time.monotonic()
            _go(trainer, checkpoint, watch)
            took = began - called, time.monotonic() - began
    since = 0 if checkpoint is None else int(Path(checkpoint).name.split("-")[1])
    trained = _trained(trainer, loaded, profile, _save(trainer, loaded, run), took, since, quiet)
    return replace(trained, stopped=watch.reason)


def _go(trainer, checkpoint: str | None, watch: StopWhenBroken) -> None:
    """Train; numbers that break end it, and are told."""
    try:
        trainer.train(resume_from_checkpoint=checkpoint)
    except RuntimeError as error:  # weights may be too large to sample from before any number is logged
        if not watch.caught(error, trainer):
            raise
    if watch.reason is not None and trainer.accelerator.is_main_process:
        print(f"stopped: {watch.reason}", file=sys.stderr)


def _trained(trainer, loaded: Loaded, profile: Profile, adapter, took: tuple, since: int, quiet: bool) -> Trained:
    """What is left of a training that went on from step `since`; its cost is printed."""
    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    ready = Loaded(model, loaded.processor, loaded.name, describe(model, loaded.name, adapter))
    cost = cost_of(trainer.state.log_history, trainer.accelerator.device.type, since)
    if not quiet and cost is not None and trainer.accelerator.is_main_process:
        print(f"cost: {cost}")
    logs, steps, (prepared, seconds) = trainer.state.log_history, trainer.state.global_step, took
    return Trained(ready, adapter, logs, steps, seconds, prepared, cost)


def _checkpoint(run, resume: bool) -> str | None:
    if not resume:
        return None
    if run is None:
        raise ValueError("resume=True needs the run folder to go on with: pass run=RunFolder.resume(path)")
    found = run.last_checkpoint()
    if found is None:
        return None
    check_trainer_checkpoint(found)
    return str(found)


def _saving(save_every: int) -> dict:
    return {"save_strategy": "steps", "save_steps": save_every, "save_total_limit": 1}


class SealCheckpoints(TrainerCallback):
    """Seal every checkpoint when it has been saved; generators of other processes may be written still."""

    def on_save(self, args, state, control, **kwargs):
        """Part of transformers' callback interface."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not state.is_world_process_zero or not folder.is_dir():
            return
        kinds = (".json", ".jinja", ".safetensors", ".pt", ".pth")
        names = [path.name for path in folder.iterdir() if path.suffix in kinds and path.name != SEAL]
        seal(folder, [name for name in names if args.world_size == 1 or not name.startswith("rng_state")])


def _trainer(profile: Profile, task: Task, settings: dict, rows, clips, run, quiet: bool) -> tuple[SeesClips, Loaded]:
    config = config_of(task, profile, **settings)
    if not quiet and config.process_index == 0:
        print(profile.describe())
    dtype = None if profile.dtype is None else getattr(torch, profile.dtype)
    loaded = load_model(profile.model, profile.quantize, device=_own_gpu(), dtype=dtype, quiet=quiet)
    features = FeatureStore(folder=None if run is None else run.path / FEATURES)
    trainer = make_trainer(task, profile, config, loaded, rows, clips, features=features, recorder=run)
    trainer.remove_callback(PrinterCallback)  # what it would print goes to the sinks
    if config.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
    return trainer, loaded


def _own_gpu() -> str | None:
    """Each process of a launch has a GPU of its own."""
    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if rank is not None and torch.cuda.is_available() else None


def _save(trainer: SeesClips, loaded: Loaded, run) -> Path | None:
    if run is None:
        return None
    if trainer.accelerator.is_main_process:
        model = trainer.accelerator.unwrap_model(trainer.model)
        model.peft_config["default"].base_model_name_or_path = loaded.name  # not the path it has on this machine
        model.save_pretrained(run.adapter, save_embedding_layers=False)
        seal(run.adapter)
        shutil.rmtree(run.path / FEATURES, ignore_errors=True)  # a finished run needs them no more
    trainer.accelerator.wait_for_everyone()
    return run.adapter
