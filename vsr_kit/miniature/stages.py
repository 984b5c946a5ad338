"""The training loop of all four stages: one optimiser, one schedule, resumable at any saved step.

What a step draws follows from (seed, stage, step, rank) alone, so a killed run continues exactly where it was saved.
Several processes each take their share of a step's clips and average their gradients (gloo); the draw, and so the
result, depends on their number.
Left out: everything that a large run would need.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
from transformers.models.qwen2_vl import modeling_qwen2_vl

from vsr_kit.files import append_lines, read_json, read_lines, reading, replace
from vsr_kit.miniature.folder import RECIPE, must_agree
from vsr_kit.miniature.lessons import WATCH

SAVE_EVERY = 100  # a multiple of LOG_EVERY, so that a resumed stage logs means over as many steps
LOG_EVERY = 25
_FUSED: dict = {}


class Schedule(Protocol):
    """What the loop reads of a stage; `recipe.Stage` is one."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""

    @property
    def learning_rate(self) -> float:
        """The highest, after the warm-up."""

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""

    @property
    def warmup(self) -> int:
        """Steps until the rate is at its highest."""


def run_stage(
    name: str,
    stage: Schedule,
    folder: Path,
    model: nn.Module,
    parameters: Iterable[tuple[Iterable[nn.Parameter], float]],
    step_loss: Callable[[np.random.Generator], tuple[torch.Tensor, dict[str, float]]],
    seed: int,
) -> None:
    """Train to the stage's last step, resuming from `folder` if it holds this stage's state.

    Args:
        parameters: what to train, each part with its share of the stage's learning rate.
        step_loss: draws a batch with the generator it is given and returns the loss and numbers to log.
    """
    groups = [{"params": list(part), "lr": stage.learning_rate * share} for part, share in parameters]
    parameters = [p for group in groups for p in group["params"]]
    optimizer = torch.optim.AdamW(groups, weight_decay=stage.weight_decay, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, stage))
    state_path, log_path = folder / f"{name}.pt", folder / f"{name}.jsonl"
    recipe = read_json(folder / RECIPE) if (folder / RECIPE).exists() else {}
    first = _resume(state_path, recipe, model, optimizer, schedule)
    if rank() == 0:
        _cut_log(log_path, first)
    started, seen = time.time(), []
    bar = tqdm(
        range(first, stage.steps), initial=first, total=stage.steps, desc=name, mininterval=5, disable=rank() > 0
    )
    for step in bar:
        rng = np.random.default_rng([seed, sum(name.encode()), step, rank()])
        with bf16_products():
            loss, read = step_loss(rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        _average_gradients(parameters)
        norm = float(nn.utils.clip_grad_norm_(parameters, 1.0))
        if math.isfinite(norm):
            optimizer.step()
        schedule.step()
        seen.append(read | {"loss": float(loss.detach()), "grad_norm": norm})
        if (step + 1) % LOG_EVERY == 0 and rank() == 0:
            line = {key: round(float(np.mean([s[key] for s in seen])), 4) for key in seen[0]}
            line |= {"step": step + 1, "seconds": round(time.time() - started, 1)}
            bar.set_postfix({key: line[key] for key in list(line)[:4]})
            append_lines(log_path, [line])
            seen = []
        if rank() == 0 and (step % SAVE_EVERY == SAVE_EVERY - 1 or step == stage.steps - 1):
            _save(state_path, recipe, model, optimizer, schedule, step + 1)


def rank() -> int:
    """Which of several processes this is; 0 where there is only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def _average_gradients(parameters: list[nn.Parameter]) -> None:
    if world() == 1:
        return
    flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
    dist.all_reduce(flat)
    for p, grad in zip(parameters, (flat / world()).split([p.numel() for p in parameters]), strict=True):
        p.grad = grad.view_as(p)


def _rate(step: int, stage: Schedule) -> float:
    warm = min((step + 1) / stage.warmup, 1.0)
    return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / stage.steps))))


def _resume(path: Path, recipe: dict, model: nn.Module, optimizer, schedule) -> int:
    if not path.exists():
        return 0
    remedy = f"restore it from a copy, or remove {path} to do the stage again"
    with reading(path, remedy):
        state = torch.load(path, weights_only=True, map_location="cpu")
        made_by = state["recipe"]
    must_agree(made_by, recipe, path)
    with reading(path, remedy):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        return int(state["step"])


def _save(path: Path, recipe: dict, model: nn.Module, optimizer, schedule, step: int) -> None:
    """Write beside, then rename: a kill leaves the old state or the new one."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    try:
        replace(path, lambda beside: torch.save(state | {"step": step, "recipe": recipe}, beside))
    except BaseException:
        path.with_name(f".{path.name}.part").unlink(missing_ok=True)
        raise


def _cut_log(path: Path, step: int) -> None:
    """Leave a stage's log as it was when the state at `step` was saved: what came after comes again."""
    lines = read_lines(path)
    kept = [line for line in lines if isinstance(line, dict) and line.get("step", 0) <= step]
    if path.exists():
        replace(path, lambda beside: beside.write_text("".join(json.dumps(line) + "\n" for line in kept)))


def bf16_products() -> torch.autocast:
    """bf16 matrix products where the processor has them built in, else plain fp32, which is faster than imitating them.

    PyTorch calls bf16 supported from AVX-512 on, where it takes twice as long as fp32.
    """
    built_in = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(built_in))


def _attention_fp32(module, query, key, value, attention_mask=None, **kwargs):
    WATCH.note(getattr(module, "layer_idx", None), query, key)
    with torch.autocast(query.device.type, enabled=False):
        mask = attention_mask
        if mask is not None and mask.dtype != torch.bool:
            mask = mask.float()
        return sdpa_attention_forward(module, query.float(), key.float(), value.float(), mask, **kwargs)


def optimise_cpu_ops(model, fuse: bool = True) -> None:
    """Swap two operations whose CPU backward is slow for equal ones, for as long as `model` lives.

    bf16 attention on CPU is several times slower backward than fp32 attention, and a 3-d convolution whose stride is
    its kernel is a matrix product. With `fuse`, small operations are compiled too.
    """
    AttentionInterface.register("sdpa_fp32", _attention_fp32)
    AttentionMaskInterface.register("sdpa_fp32", sdpa_mask)
    model.set_attn_implementation("sdpa_fp32")
    if fuse:
        _fuse_elementwise(model.model.language_model)
    embed = model.model.visual.patch_embed
    embed.forward = lambda patches: F.linear(patches.to(embed.proj.weight.dtype), embed.proj.weight.flatten(1))


def _fuse_elementwise(text_model) -> None:
    """Compile norms, rotary and feed-forward: on narrow models most of a step is memory traffic between small ops."""
    fuse = partial(torch.compile, dynamic=True)
    if modeling_qwen2_vl.apply_rotary_pos_emb is not _FUSED.get("rotary"):
        _FUSED["rotary"] = modeling_qwen2_vl.apply_rotary_pos_emb = fuse(modeling_qwen2_vl.apply_rotary_pos_emb)
    parts = [text_model.norm]
    for layer in text_model.layers:
        parts += [layer.mlp, layer.input_layernorm, layer.post_attention_layernorm]
    for part in parts:
        part.forward = fuse(part.forward)
