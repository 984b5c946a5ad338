"""One training run: a profile, rows and clips go in; an adapter, metrics, rollouts and costs come out.

`train` loads the profile's model, adds LoRA to its language model, and lets the method's trainer do the rest (GRPO by
default; see methods.py). Given a run folder, it writes metrics and rollouts there as they come, a checkpoint every few
steps and the adapter at the end. A killed run that is resumed on the same machine and packages ends with the same bits
as an uninterrupted one; resuming.py finds where to start and checks that it is the same run. A run that is asked to
stop, by a signal, by a request in its folder (runs/stopping.py) or by what its log lines go to, ends after its step
with a checkpoint, and what it learned is returned. Under `accelerate launch` every process calls `train`, and only the
main one writes.

`Cost` gives seconds per step, tokens per second, peak memory and the share of zero-variance groups: a group whose
rollouts all earn the same has no advantages, so it is paid for and trains nothing, and a fast run full of such groups
is no bargain.

Left out: evaluation (`vsr_kit.generation`, `vsr_kit.evaluation`), uploading to a hub, sweeps (`vsr_kit.study`), energy
and money.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import broadcast
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from vsr_kit.files import SEAL, seal
from vsr_kit.models.adapters import check_fits
from vsr_kit.models.dequantized import keep_dequantized
from vsr_kit.models.feature_cache import FeatureStore
from vsr_kit.models.loading import Loaded, describe, load_model, without_renaming_warnings
from vsr_kit.runs.attempts import INTERRUPTED, UNFINISHED
from vsr_kit.runs.interrupts import Wish, a_command_tells, first_ask
from vsr_kit.runs.stopping import is_asked
from vsr_kit.sharing.meter import peak_bytes
from vsr_kit.training.callbacks import StopAfter, StopWhenAsked, StopWhenBroken, WarnOfCollapse
from vsr_kit.training.joints import Start
from vsr_kit.training.launching import tell_share
from vsr_kit.training.methods import GRPO, Method, check_numbers
from vsr_kit.training.out_of_memory import told_out_of_memory
from vsr_kit.training.profiles import Profile, get_profile
from vsr_kit.training.references import REFERENCE
from vsr_kit.training.resuming import Begun, begin, identity_of, restore
from vsr_kit.training.starting import (
    WHOLE,
    check_start,
    finish_trainer,
    made_ready,
    save_whole,
    start_identity,
)
from vsr_kit.training.token_records import TokenRecords, TokenSample, check_sample
from vsr_kit.training.video_mixin import MetricsRecorder, SeesClips, rows_and_clips
from vsr_kit.validation import whole


@dataclass(frozen=True)
class Cost:
    """Means over the steps of one call of a trainer.

    Attributes:
        steps: optimiser steps.
        seconds_per_step: rollouts, rewards and optimisation, all of it; the first step warms up and counts too.
        tokens_per_second: of prompts and completions as TRL counts them, every rollout with its whole prompt, so that
            the number can be compared with a trainer that shares nothing.
        peak_bytes: of the process, or of the GPU where there is one; since the process began.
        zero_variance_share: of groups whose rewards are all equal, 0 to 1.
    """

    steps: int
    seconds_per_step: float
    tokens_per_second: float
    peak_bytes: int
    zero_variance_share: float

    def __str__(self) -> str:
        return (
            f"{self.steps} steps, {self.seconds_per_step:.2f} s a step, {self.tokens_per_second:,.0f} tokens/s, peak "
            f"memory {self.peak_bytes / 1e9:.1f} GB, {100 * self.zero_variance_share:.0f} % of groups had equal rewards"
        )


def cost_of(logs: Sequence[dict], device: str = "cpu", after_step: int = 0) -> Cost | None:
    """The cost of the steps in TRL's log dictionaries; None where no step was logged.

    Steps that use rollouts a second time log neither tokens nor shares of groups; a line that stands for several steps
    (`logging_steps`) has their mean time.

    device: `cuda` reads the GPU's peak memory, anything else the process's. after_step: where the process went on from.
    """
    own = [log for log in logs if "loss" in log and log["step"] > after_step]
    seconds = _seconds(logs, own, after_step) if own else 0.0  # none: a run whose last step an earlier attempt saved
    if not seconds:
        return None
    read = [log["num_tokens"] for log in logs if "num_tokens" in log and log["step"] <= after_step]
    tokens = max(log.get("num_tokens", 0) for log in own) - (read[-1] if read else 0)
    shares = [log["frac_reward_zero_std"] for log in own if log.get("frac_reward_zero_std") is not None]
    steps, idle = own[-1]["step"] - after_step, sum(shares) / len(shares) if shares else 0.0
    return Cost(steps, seconds / steps, max(tokens, 0) / seconds, peak_bytes(torch.device(device)), idle)


def _seconds(logs: Sequence[dict], own: Sequence[dict], after_step: int) -> float:
    """Of all steps of a call: what GRPO logs with each, or, as SFT and DPO log no times, the closing line's whole."""
    if all("step_time" in log for log in own):
        began = [after_step, *(log["step"] for log in own[:-1])]
        return sum(log["step_time"] * (log["step"] - before) for log, before in zip(own, began, strict=True))
    return sum(log["train_runtime"] for log in logs[-1:] if "train_runtime" in log)


Sink = Callable[[dict], None]
FEATURES = "features"  # in a run's folder while it is under way, for a resumed one to find


@dataclass(frozen=True)
class Trained:
    """What a run left.

    Attributes:
        loaded: the trained model with its adapter, ready to be asked.
        adapter: folder of the adapter's weights, None without a run folder or after `train_all`.
        logs: TRL's log dictionaries, `step` in each; the closing one has `train_runtime` in seconds.
        steps: optimiser steps done, earlier attempts' included.
        seconds: spent in this call's training loop.
        prepared_seconds: spent before it, on loading the model and making the rows (pairs from rollouts take a while).
        cost: of this call's steps; None where there was none.
        stopped: why it ended early: what broke, with its last good weights (see callbacks.py), or INTERRUPTED where
            someone stopped it, with the weights of its last whole step; None where it came to its end.
        good_step: the step whose weights these are; 0 are untrained ones.
    """

    loaded: Loaded
    adapter: Path | None
    logs: list[dict]
    steps: int
    seconds: float
    prepared_seconds: float
    cost: Cost | None
    stopped: str | None = None
    good_step: int | None = None

    @property
    def broken(self) -> str | None:
        """What broke, None where nothing did."""
        return None if self.stopped == INTERRUPTED else self.stopped


def train(
    profile: Profile | str,
    method: Method | str,
    questions,
    *,
    clips: Mapping[str, np.ndarray] | None = None,
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
    start: Start | None = None,
    train_all: bool = False,
    record_tokens: TokenSample | None = None,
    **overrides,
) -> Trained:
    """Train a LoRA adapter, a fresh one unless told otherwise.

    Args:
        profile: a Profile, or the name of one.
        method: a `methods.GRPO`, `SFT` or `DPO`, or just the mode (vanilla, think or observe) to train in by GRPO.
        questions: anything with `.rows` and `.clips` (what `load_questions` gives, a set of the study), or the rows
            alone, with VSI-Bench's fields.
        clips: where `questions` are rows: scene_name to uint8 frames (F, H, W, 3), for every row's scene.
        run: a `runs.RunFolder` to write to; in processes beside the main one, the same folder opened for reading.
        seed: of the adapter, the order of the questions and the sampling.
        steps: optimiser steps, the profile's if None; the learning rate falls to zero at their end.
        seconds: stop after the first step that ends later than this, earlier attempts' time included, whatever the
            learning rate is then.
        callbacks: transformers' own kind.
        on_log: gets every log dictionary with its `step`, the closing one too. Training ends after the step in which
            the method `stop_asked()` of one that has it is true, as `widgets.LiveCurves` has.
        resume: go on from the run's last checkpoint, or begin where there is none yet. All else must be as it was.
        save_every: steps between checkpoints.
        progress, quiet: show a bar; print neither profile nor model nor, at the end, what it cost.
        start: a trained adapter to go on with or to merge in first, a `joints.Start`; another checkpoint is the
            profile's `model`. Pairs of DPO from rollouts are the base's, or the merged base's.
        train_all: train all of the language model instead of an adapter; not with 4-bit weights. A run's folder then
            has a whole checkpoint in `model/` and no adapter.
        record_tokens: GRPO alone: of which rollouts to record what each token was worth, into the run's
            `tokens.jsonl`, a `token_records.TokenSample`; None for none. It changes no weight.
        overrides: any of the fields of the method's TRL config.

    Raises:
        ValueError: rows without clips or fewer than a step needs, an unknown mode or profile, a number that is none,
            `resume` without a run folder, a run that was begun otherwise, one with steps that is not to be resumed, or
            a checkpoint that is not whole (see runs/checkpoints.py). Nothing was written then.
        OutOfMemory: says what to turn down (out_of_memory.py); the run can be gone on with.
    """
    profile, method = get_profile(profile), GRPO(method) if isinstance(method, str) else method
    rows, clips = rows_and_clips(questions, clips)
    whole("save_every", save_every)
    check_numbers(profile, rows, seed, steps, seconds, **overrides)
    method.check(profile, rows)
    check_start(start, train_all, profile)
    check_sample(record_tokens, method, run)
    origin = start_identity(start, train_all)
    begun = begin(run, resume, lambda: identity_of(profile, method, rows, clips, seed, steps, overrides, origin))
    sinks = [on_log] if callable(on_log) else list(on_log)
    if run is not None:
        sinks.insert(0, lambda row: None if "train_runtime" in row else run.metrics(row))
    every = overrides.get("num_iterations", 1)  # rollouts that are used again are in no checkpoint
    with tempfile.TemporaryDirectory() as scratch, told_out_of_memory(profile, method, clips, run):
        places = {"output_dir": scratch} if run is None else {"output_dir": str(run.checkpoints)}
        places |= {} if run is None else _saving(-(-save_every // every) * every)
        limits = {} if steps is None else {"max_steps": steps}
        settings = {"disable_tqdm": not progress, "seed": seed} | places | limits | overrides
        with without_renaming_warnings():
            called = time.monotonic()
            trainer, loaded = _trainer(profile, method, settings, rows, clips, run, quiet, (start, train_all))
            if record_tokens is not None:
                trainer.token_records = TokenRecords(record_tokens, run)
            watch, budget = StopWhenBroken(), StopAfter(seconds, begun.spent)
            for callback in (MetricsRecorder(*sinks), watch, WarnOfCollapse(), budget, SealCheckpoints(), *callbacks):
                trainer.add_callback(callback)
            if begun.checkpoint is not None and not train_all:
                check_fits(trainer.accelerator.unwrap_model(trainer.model), Path(begun.checkpoint))
            began = time.monotonic()
            if begun.is_over(trainer.args.max_steps, seconds):
                restore(trainer, begun)
                stopped = None
            else:
                stopped = _go(trainer, begun, watch, run, every, sinks)
            took = began - called, time.monotonic() - began
    good_step = trainer.state.global_step if watch.reason is None else watch.good_step
    trained = _trained(trainer, loaded, profile, _save(trainer, loaded, run, stopped), took, begun.step, quiet)
    return replace(trained, stopped=stopped, good_step=good_step)


def _go(trainer, begun: Begun, watch: StopWhenBroken, run, every: int, sinks: Sequence[Sink]) -> str | None:
    """Train; numbers that break end it, and so does who asks. Returns why it ended early."""
    writes = run is not None and run.attempt is not None
    if writes and begun.resumed:
        run.go_on(begun.step)
    alone = trainer.accelerator.num_processes == 1  # processes that stop at steps of their own would wait for ever
    asking = first_ask("stopping after this step; once more stops at once") if alone else nullcontext(Wish())
    with asking as wish:
        saves = writes if alone else run is not None  # all processes save a checkpoint together, or none does
        stop = StopWhenAsked(_asks(wish, run if writes else None, sinks), saves, every, _agree(trainer))
        trainer.add_callback(stop)
        try:
            with keep_dequantized(trainer.model):
                trainer.train(resume_from_checkpoint=begun.checkpoint)
            interrupted = stop.asked and trainer.state.global_step < trainer.state.max_steps
        except RuntimeError as error:  # weights may be too large to sample from before any number is logged
            if not watch.caught(error, trainer):
                raise
            interrupted = False
        except KeyboardInterrupt:
            if not alone:
                raise
            watch.put_back(trainer.state.global_step, trainer.model)
            interrupted = True
    if watch.reason is not None:
        if trainer.accelerator.is_main_process:
            print(f"stopped: {watch.reason}", file=sys.stderr)
        return watch.reason
    if interrupted:
        _tell(trainer, run if writes else None)
    return INTERRUPTED if interrupted else None


def _asks(wish: Wish, run, sinks: Sequence[Sink]) -> list[Callable[[], bool]]:
    """Everything by which someone may ask a training to stop: a signal, its folder, what its log lines go to."""
    found = [lambda: wish.signum is not None]
    found += [] if run is None else [partial(is_asked, run.path)]
    return found + [sink.stop_asked for sink in sinks if hasattr(sink, "stop_asked")]


def _agree(trainer) -> Callable[[bool], bool]:
    """Of several processes, the main one decides for all; one decides for itself."""
    if trainer.accelerator.num_processes == 1:
        return bool
    device = trainer.accelerator.device
    return lambda asked: bool(broadcast(torch.tensor(float(asked), device=device)).item())


def _tell(trainer, run) -> None:
    """Say that a training was stopped and how it goes on; a command says so itself."""
    step, of = trainer.state.global_step, trainer.state.max_steps
    if run is not None:
        run.interrupt(step)
    if not a_command_tells() and trainer.accelerator.is_main_process:
        how = "" if run is None else f"; go on with train(…, run=RunFolder.resume({str(run.path)!r}), resume=True)"
        print(f"stopped after step {step} of {of}: the result has its weights{how}", file=sys.stderr)


def _trained(trainer, loaded: Loaded, profile: Profile, adapter, took: tuple, since: int, quiet: bool) -> Trained:
    """What is left of a training that went on from step `since`; its cost is printed."""
    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    if REFERENCE in getattr(model, "peft_config", ()):
        model.delete_adapter(REFERENCE)
    ready = Loaded(model, loaded.processor, loaded.name, describe(model, loaded.name, adapter))
    cost = cost_of(trainer.state.log_history, trainer.accelerator.device.type, since)
    if not quiet and cost is not None and trainer.accelerator.is_main_process:
        print(f"cost: {cost}")
    logs, steps, (prepared, seconds) = trainer.state.log_history, trainer.state.global_step, took
    return Trained(ready, adapter, logs, steps, seconds, prepared, cost)


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


def _trainer(
    profile: Profile, method: Method, settings: dict, rows, clips, run, quiet: bool, origin: tuple
) -> tuple[SeesClips, Loaded]:
    config = method.config(profile, **settings)
    if not quiet and config.process_index == 0:
        print(profile.describe())
    tell_share(config)
    dtype = None if profile.dtype is None else getattr(torch, profile.dtype)
    loaded = load_model(profile.model, profile.quantize, device=_own_gpu(), dtype=dtype, quiet=quiet)
    loaded = made_ready(loaded, *origin, run)
    features = FeatureStore(folder=None if run is None else run.path / FEATURES)
    trainer = method.trainer(profile, config, loaded, rows, clips, features=features, recorder=run)
    finish_trainer(trainer, origin[0])
    trainer.remove_callback(PrinterCallback)  # what it would print goes to the sinks
    if config.disable_tqdm:
        trainer.remove_callback(ProgressCallback)
    return trainer, loaded


def _own_gpu() -> str | None:
    """Each process of a launch has a GPU of its own."""
    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if rank is not None and torch.cuda.is_available() else None


def _save(trainer: SeesClips, loaded: Loaded, run, stopped: str | None) -> Path | None:
    """Write the adapter, whole or not at all; a run that is finished already is left as it is."""
    if run is None:
        return None
    model = trainer.accelerator.unwrap_model(trainer.model)
    adapted = hasattr(model, "peft_config")
    if trainer.accelerator.is_main_process and run.status == UNFINISHED:
        if adapted:
            _save_adapter(model, loaded.name, run.adapter)
        else:
            save_whole(model, loaded.processor, run.path / WHOLE)
        if stopped != INTERRUPTED:
            shutil.rmtree(run.path / FEATURES, ignore_errors=True)  # a finished run needs them no more
    trainer.accelerator.wait_for_everyone()
    return run.adapter if adapted else None


def _save_adapter(model, base: str, folder: Path) -> None:
    model.peft_config["default"].base_model_name_or_path = base  # not the path it has on this machine
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    model.save_pretrained(beside, save_embedding_layers=False, selected_adapters=["default"])
    seal(beside)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
