"""Four-bit weights of small models on a CPU: dequantized once instead of in every pass, adapters merged for rollouts.

bitsandbytes dequantizes a weight each time that a layer is used. On a GPU that is one fast kernel; on a CPU it takes
longer than the product itself where models are small. `keep_dequantized` keeps the weights of frozen layers for as long
as a training lasts: same weights, same product, so every number stays the same to the last bit. `merged_adapters` adds
the adapter's B A to them while completions are sampled: one product a layer in place of three, equal but for rounding.
Neither changes what a model holds: both end with the layers as they were, and nothing of it is saved.
Left out: GPUs, precisions below float32 (a merged bfloat16 weight loses small updates), models whose weights would take
more than `HELD_BYTES`, and adapters that are more than a product of two matrices (DoRA, dropout). They run as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch.nn.functional import linear

HELD_BYTES = 2**30


@contextmanager
def keep_dequantized(model) -> Iterator[int]:
    """Within it, four-bit layers on the CPU compute with weights that were dequantized once; yields how many do."""
    weights = {layer: weight for layer in model.modules() if (weight := _dequantized(layer)) is not None}
    with _computing_with(weights) as count:
        yield count


@contextmanager
def merged_adapters(model) -> Iterator[int]:
    """Within it, layers with an active LoRA adapter compute with the sum of their weight and the adapter's.

    For passes without gradients. Yields the number of layers that do.
    """
    with torch.no_grad():
        weights = {layer: weight for layer in model.modules() if (weight := _merged(layer)) is not None}
    with _computing_with(weights) as count:
        yield count


@contextmanager
def _computing_with(weights: dict) -> Iterator[int]:
    """Let each layer be one product with its weight; none if they take too much memory together."""
    if sum(weight.nbytes for weight in weights.values()) > HELD_BYTES:
        weights = {}
    before = {layer: layer.__dict__.get("forward") for layer in weights}
    for layer, weight in weights.items():
        layer.forward = partial(linear, weight=weight, bias=_bias(layer))
    try:
        yield len(weights)
    finally:
        for layer, forward in before.items():
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


def _dequantized(layer) -> torch.Tensor | None:
    """The weight of a four-bit layer that computes in float32 on the CPU; of any other None."""
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    if not isinstance(layer, Linear4bit) or layer.weight.device.type != "cpu":
        return None
    state = layer.weight.quant_state
    if state is None or state.dtype != torch.float32 or layer.compute_dtype not in (None, torch.float32):
        return None
    if getattr(state, "packing_format_for_cpu", False):  # bitsandbytes' own way on CPUs with bfloat16, in evaluations
        return None
    return dequantize_4bit(layer.weight.data, state)


def _merged(layer) -> torch.Tensor | None:
    """The weight of a LoRA layer with its active adapters, where both are float32 on the CPU; else None."""
    from peft.tuners.lora import LoraLayer

    if not isinstance(layer, LoraLayer) or layer.merged or layer.disable_adapters:
        return None
    base = layer.get_base_layer()
    names = [name for name in layer.active_adapters if name in layer.lora_A]
    plain = all(isinstance(layer.lora_dropout[name], torch.nn.Identity) for name in names)
    if not plain or any(name in layer.lora_variant or layer.lora_bias[name] for name in names):
        return None
    weight = _dequantized(base)
    if weight is None and type(base) is torch.nn.Linear and base.weight.device.type == "cpu":
        weight = base.weight
    if weight is None or weight.dtype != torch.float32:
        return None
    return sum((layer.get_delta_weight(name) for name in names), weight)


def _bias(layer) -> torch.Tensor | None:
    return (layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer).bias
