"""One training run: a profile, rows and clips go in; an adapter, its metrics and every rollout come out.

The story: `train` loads the profile's model, puts LoRA on its language model, and lets `VideoGRPOTrainer` do the rest
with the rewards of the prompt mode. Given a run folder, it writes metrics and rollouts there as they come, a checkpoint
every few steps and the adapter at the end; a killed run that is resumed from its last checkpoint ends with the weights
of one that never was, up to rounding (beyond its first epoch, where TRL's sampler would start its order anew, only if
`questions_per_clip` is above 1). Under `accelerate launch` every process calls `train`, only the main one writes.

Left out: evaluation (generation.py asks, evaluation scores), pushing to a hub, and sweeps (study.py).
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from vsr_kit.costs import Cost, cost_of
from vsr_kit.features import FeatureStore
from vsr_kit.models import Loaded, describe, load_model, lora_config, without_renaming_warnings
from vsr_kit.profiles import Profile, get_profile
from vsr_kit.rewards import make_reward_funcs
from vsr_kit.trainers import MetricsRecorder, VideoGRPOTrainer, training_rows

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
        cost: of this call's steps; None where there was none.
    """

    loaded: Loaded
    adapter: Path | None
    logs: list[dict]
    steps: int
    seconds: float
    cost: Cost | None


def train(
    profile: Profile | str,
    mode: str,
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
    """Train a fresh LoRA adapter by GRPO.

    Args:
        profile: a Profile, or the name of one.
        mode: vanilla, think or observe, with the paper's training prompts.
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
        overrides: any of GRPOConfig's fields.

    Raises:
        ValueError: rows without clips, an unknown mode or profile, `resume` without a run folder.
        FloatingPointError: a gradient that is no number.
    """
    profile = get_profile(profile)
    checkpoint = _checkpoint(run, resume)
    sinks = [on_log] if callable(on_log) else list(on_log)
    if run is not None:
        sinks.insert(0, lambda row: None if "train_runtime" in row else run.metrics(row))
    with tempfile.TemporaryDirectory() as scratch:
        places = {"output_dir": scratch} if run is None else {"output_dir": str(run.checkpoints)} | _saving(save_every)
        limits = {} if steps is None else {"max_steps": steps}
        settings = {"disable_tqdm": not progress, "mode": mode, "seed": seed} | places | limits | overrides
        with without_renaming_warnings():
            trainer, loaded = _trainer(profile, settings, rows, clips, run, quiet)
            for callback in (MetricsRecorder(*sinks), StopWhenNotFinite(), StopAfter(seconds), *callbacks):
                trainer.add_callback(callback)
            began = time.monotonic()
            trainer.train(resume_from_checkpoint=checkpoint)
            took = time.monotonic() - began
    since = 0 if checkpoint is None else int(Path(checkpoint).name.split("-")[1])
    return _trained(trainer, loaded, profile, _save(trainer, loaded, run), took, since, quiet)


def _trained(trainer, loaded: Loaded, profile: Profile, adapter, took: float, since: int, quiet: bool) -> Trained:
    """What is left of a training that went on from step `since`; its cost is printed."""
    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    ready = Loaded(model, loaded.processor, loaded.name, describe(model, loaded.name, profile.quantize, adapter))
    cost = cost_of(trainer.state.log_history, trainer.accelerator.device.type, since)
    if not quiet and cost is not None and trainer.accelerator.is_main_process:
        print(f"cost: {cost}")
    return Trained(ready, adapter, trainer.state.log_history, trainer.state.global_step, took, cost)


def _checkpoint(run, resume: bool) -> str | None:
    if not resume:
        return None
    if run is None:
        raise ValueError("resume=True needs the run folder to go on with: pass run=RunFolder.resume(path)")
    found = run.last_checkpoint()
    return None if found is None else str(found)


def _saving(save_every: int) -> dict:
    return {"save_strategy": "steps", "save_steps": save_every, "save_total_limit": 1}


def _trainer(profile: Profile, settings: dict, rows, clips, run, quiet: bool) -> tuple[VideoGRPOTrainer, Loaded]:
    mode = settings["mode"]
    rewards, data = make_reward_funcs(mode, profile.numeric), training_rows(rows, mode)  # complain before loading
    config = profile.grpo_config(**settings)
    if not quiet and config.process_index == 0:
        print(profile.describe())
    dtype = None if profile.dtype is None else getattr(torch, profile.dtype)
    loaded = load_model(profile.model, profile.quantize, device=_own_gpu(), dtype=dtype, quiet=quiet)
    trainer = VideoGRPOTrainer(
        model=loaded.model,
        reward_funcs=rewards,
        args=config,
        train_dataset=data,
        processing_class=loaded.processor,
        peft_config=lora_config(profile.lora_rank, profile.lora_alpha),
        clips=clips,
        recorder=run,
        features=FeatureStore(folder=None if run is None else run.path / FEATURES),
        questions_per_clip=profile.questions_per_clip,
    )
    trainer.remove_callback(PrinterCallback)  # what it would print goes to the sinks
    if config.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
    return trainer, loaded


def _own_gpu() -> str | None:
    """Each process of a launch has a GPU of its own."""
    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if rank is not None and torch.cuda.is_available() else None


def _save(trainer: VideoGRPOTrainer, loaded: Loaded, run) -> Path | None:
    if run is None:
        return None
    if trainer.accelerator.is_main_process:
        model = trainer.accelerator.unwrap_model(trainer.model)
        model.peft_config["default"].base_model_name_or_path = loaded.name  # not the path it has on this machine
        model.save_pretrained(run.adapter, save_embedding_layers=False)
        shutil.rmtree(run.path / FEATURES, ignore_errors=True)  # a finished run needs them no more
    trainer.accelerator.wait_for_everyone()
    return run.adapter


class StopAfter(TrainerCallback):
    """Ends training after the first step that ends later than `seconds` from its beginning; None never does."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds

    def on_train_begin(self, args, state, control, **kwargs):  # noqa: D102 - TrainerCallback's
        self.began = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):  # noqa: D102 - TrainerCallback's
        if time.monotonic() - self.began > self.seconds:
            control.should_training_stop = True
        return control


class StopWhenNotFinite(TrainerCallback):
    """Raises FloatingPointError at the first loss or gradient norm that is no finite number."""

    def on_log(self, args, state, control, logs=None, **kwargs):  # noqa: D102 - TrainerCallback's
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} is {value} at step {state.global_step}: lower the learning rate, or compute in float32 "
                    "(a profile's dtype); the last checkpoint is from before"
                )
