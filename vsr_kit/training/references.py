"""The reference of GRPO's KL term when it is not the base: a trained adapter, frozen, or the policy's moving mean.

The story: TRL takes the base (the model without its adapter) as the reference of an adapter that is trained, unless the
model holds a second adapter called "ref"; then it takes that. So both kinds here are such an adapter. It is saved with
every checkpoint, and not with a run's result.
Left out: a moving reference of all weights (`train_all`), which is TRL's `sync_ref_model`.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import torch
from transformers import TrainerCallback

from vsr_kit.models.adapters import add_adapter
from vsr_kit.training.joints import Ema

REFERENCE = "ref"  # what TRL calls it


def set_reference(trainer, reference: str | Path | Ema) -> None:
    """Give a trainer whose model has a fresh adapter another reference than the base.

    Args:
        trainer: one of `VideoGRPOTrainer`.
        reference: "base", an adapter's folder, or a `joints.Ema`.

    Raises:
        ValueError: the trainer trains no adapter, or has no KL term; as `Damaged`, an adapter that does not fit.
    """
    if reference == "base":
        return
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not hasattr(model, "peft_config"):
        raise ValueError(
            f"reference is {reference!r} with train_all: another reference is a second adapter, and there is none; for "
            "a moving reference give sync_ref_model=True, TRL's own"
        )
    if trainer.beta == 0:
        raise ValueError(f"reference is {reference!r} and beta is 0: there is no KL term; give beta above 0")
    if isinstance(reference, Ema):
        freeze_as_reference(model)
        trainer.add_callback(_Follow(reference.decay))
    else:
        add_adapter(model, Path(reference), REFERENCE)
        _freeze(model)


def freeze_as_reference(model) -> None:
    """Give a model a frozen copy of its adapter as it is now, which TRL then takes for the reference."""
    model.add_adapter(REFERENCE, deepcopy(model.peft_config["default"]))
    _freeze(model)
    with torch.no_grad():
        for own, reference in _pairs(model):
            reference.copy_(own)


def _freeze(model) -> None:
    """Go on with the policy's adapter, and train no weight of the reference's."""
    model.set_adapter("default")
    for _, reference in _pairs(model):
        reference.requires_grad_(False)


def _pairs(model) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each weight of the policy's adapter beside the reference's."""
    weights = dict(model.named_parameters())
    own = {name: name.replace(f".{REFERENCE}.", ".default.") for name in weights if f".{REFERENCE}." in name}
    return [(weights[policy], weights[reference]) for reference, policy in own.items()]


class _Follow(TrainerCallback):
    """Moves the reference's weights towards the policy's after every step, each of LoRA's factors by itself."""

    def __init__(self, decay: float) -> None:
        self.decay = decay

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        if state.global_step == 0:  # a resumed run has read its own
            self._move(model, 0.0)

    def on_step_end(self, args, state, control, model=None, **kwargs):
        self._move(model, self.decay)

    @torch.no_grad()
    def _move(self, model, decay: float) -> None:
        for own, reference in _pairs(model):
            reference.lerp_(own.to(reference.dtype), 1 - decay)
