"""The record of one measured repeat: costs, loss, gradient norm, and digests of the prompts and completions.

`train_measured` attaches a meter and a callback to a trainer of either side. The callback sets the random state before
each step and writes one record after it; the digests show whether both sides read the same tokens.
Left out: judging the records, which benchmarks/results.py does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime

import torch
from transformers import PrinterCallback, TrainerCallback

from benchmarks.cases import WARM
from vsr_kit.models.vision import core_model
from vsr_kit.runs.provenance import git_state
from vsr_kit.sharing.meter import Meter, flop_floor, linear_weights, peak_bytes, reset_peak

Tell = Callable[[dict], None]


def train_measured(job, trainer, clips: dict, tell: Tell) -> None:
    """Train a job's trainer and tell what every step cost; on the warm side the clips' features are there before."""
    _stir(trainer.model, job.seed)
    meter = Meter(trainer.model)
    meter.watch_processor(trainer.processing_class)
    meter.watch_trainer(trainer)
    trainer.add_callback(Steps(job, trainer, meter, tell))
    trainer.remove_callback(PrinterCallback)
    if job.side == WARM:
        with trainer.accelerator.autocast():
            trainer.features.encode(trainer.model, trainer.processing_class, list(clips.values()))
    trainer.train()


@torch.no_grad()
def _stir(model, seed: int) -> None:
    """Fill LoRA's second factor, zero when fresh, with small numbers: half the gradient would be hidden else."""
    own = torch.Generator().manual_seed(seed)
    for name, weight in sorted(model.named_parameters()):
        if "lora_B" in name:
            weight.copy_(0.01 * torch.randn(weight.shape, generator=own))


class Steps(TrainerCallback):
    """Sets the random state before each step, and tells what was measured after it."""

    def __init__(self, job, trainer, meter: Meter, tell: Tell) -> None:
        self.job, self.meter, self.tell = job, meter, tell
        self.left = list(job.repeats)
        self.loss, self.prompts, self.completions = 0.0, [], []
        device = core_model(trainer.model).device
        self.machine = {"model": trainer.model, "device": device}
        losses = "_compute_loss" if hasattr(trainer, "_generate_single_turn") else "compute_loss"
        loss = getattr(trainer, losses)

        def loss_noted(*args, **kwargs):
            if losses == "compute_loss":
                batch = args[1]
                self.prompts, self.completions = batch["input_ids"].tolist(), batch["labels"].tolist()
            value = loss(*args, **kwargs)
            self.loss += value.detach().double().item()
            return value

        setattr(trainer, losses, loss_noted)
        if losses == "compute_loss":
            return
        turn = trainer._generate_single_turn

        def turn_noted(prompt_ids, *args, **kwargs):
            said = turn(prompt_ids, *args, **kwargs)
            self.prompts, self.completions = prompt_ids, said[0]
            return said

        trainer._generate_single_turn = turn_noted

    def on_train_begin(self, args, state, control, **kwargs):
        self.meter.take()
        reset_peak(self.machine["device"])

    def on_step_begin(self, args, state, control, **kwargs):
        torch.manual_seed(self.job.seed + 1000 * abs(self.left[0]))

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        grads = [p.grad.double().norm() for p in model.parameters() if p.grad is not None]
        self.grad_norm = torch.stack(grads).norm().item()

    def on_step_end(self, args, state, control, **kwargs):
        measured = self.meter.take()
        self.tell(
            {
                **head(self.job, self.left.pop(0), **self.machine),
                **costs(measured, **self.machine),
                "loss": self.loss,
                "grad_norm": self.grad_norm,
                "prompt_tokens": sum(map(len, self.prompts)),
                "prompts": digest([[self._as_video(token) for token in ids] for ids in self.prompts]),
                "completion_tokens": sum(map(len, self.completions)),
                "completions": [digest(ids)[:8] for ids in self.completions],
            }
        )
        self.loss = 0.0
        self.meter.take()
        reset_peak(self.machine["device"])

    def _as_video(self, token: int) -> int:
        """A clip that travels as an image has the other pad."""
        config = core_model(self.machine["model"]).config
        return config.video_token_id if token == config.image_token_id else token


def head(job, repeat: int, model, device: torch.device) -> dict:
    """What was measured, where and when."""
    return {
        "case": job.case.name,
        "side": job.side,
        "repeat": repeat,
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "git": git_state(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "dtype": str(core_model(model).get_input_embeddings().weight.dtype).removeprefix("torch."),
    }


def costs(measured: dict, model, device: torch.device) -> dict:
    """A meter's reading, the floor that follows from it, and the peak of memory."""
    text, vision = linear_weights(model)
    return {
        **measured,
        "flop": flop_floor(measured, text, vision),
        "weights": {"text": text, "vision": vision},
        "peak_bytes": peak_bytes(device),
    }


def digest(value) -> str:
    """A hash of anything that prints the same when it is the same."""
    return hashlib.sha256(repr(value).encode()).hexdigest()
