"""Four-bit weights of small models on a CPU: dequantized once instead of in every pass, adapters merged for rollouts.

bitsandbytes dequantizes a weight each time that a layer is used. On a GPU that is one fast kernel; on a CPU it takes
longer than the product itself where models are small. `keep_dequantized` keeps the weights of frozen layers while a
model is trained or asked: same weights, same product, so every number stays the same to the last bit. `merged_adapters`
adds the adapter's B A to them while rollouts are sampled: one product a layer, not three, equal but for rounding.
Neither changes what a model holds: both end with the layers as they were, and nothing of it is saved.
Left out: GPUs, precisions below float32 (a merged bfloat16 weight loses small updates), models whose weights would take
more than `HELD_BYTES`, and adapters that are more than a product of two matrices (DoRA, dropout). They run as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch.nn.functional import linear

HELD_BYTES = 2**30


@contextmanager
def keep_dequantized(model) -> Iterator[int]:
    """Within it, four-bit layers on the CPU compute with weights that were dequantized once; yields how many do."""
    with _computing_with([layer for layer in model.modules() if _is_four_bit(layer)], _dequantized) as count:
        yield count


@contextmanager
def merged_adapters(model) -> Iterator[int]:
    """Within it, layers with an active LoRA adapter compute with the sum of their weight and the adapter's.

    For passes without gradients. Yields the number of layers that do.
    """
    with _computing_with([layer for layer in model.modules() if _is_mergeable(layer)], _merged) as count:
        yield count


@contextmanager
def _computing_with(layers: Sequence, weight_of: Callable) -> Iterator[int]:
    """Let each layer be one product with a weight made now; none of them if these take too much memory together."""
    if sum(4 * layer.in_features * layer.out_features for layer in layers) > HELD_BYTES:
        layers = []
    weights = [weight_of(layer) for layer in layers]
    before = [layer.__dict__.get("forward") for layer in layers]
    for layer, weight in zip(layers, weights, strict=True):
        layer.forward = partial(linear, weight=weight, bias=_base(layer).bias)
    try:
        yield len(layers)
    finally:
        for layer, forward in zip(layers, before, strict=True):
            if forward is None:
                del layer.forward
            else:
                layer.forward = forward


def _is_four_bit(layer) -> bool:
    """Whether a layer has four-bit weights on the CPU and computes in float32."""
    bitsandbytes = sys.modules.get("bitsandbytes")  # who has not imported it has no such layer, and may not have it
    if bitsandbytes is None or not isinstance(layer, bitsandbytes.nn.Linear4bit) or layer.weight.device.type != "cpu":
        return False
    state = layer.weight.quant_state
    if state is None or getattr(state, "packing_format_for_cpu", False):  # which bitsandbytes does to use bfloat16
        return False
    return state.dtype == torch.float32 and layer.compute_dtype in (None, torch.float32)


def _is_mergeable(layer) -> bool:
    """Whether a LoRA layer is float32 on the CPU, and its active adapters are products of two matrices."""
    from peft.tuners.lora import LoraLayer

    if not isinstance(layer, LoraLayer) or layer.merged or layer.disable_adapters:
        return False
    names, base = _adapters(layer), _base(layer)
    if not all(isinstance(layer.lora_dropout[name], torch.nn.Identity) for name in names):
        return False
    if any(name in layer.lora_variant or layer.lora_bias[name] for name in names):
        return False
    plain = type(base) is torch.nn.Linear and (base.weight.dtype, base.weight.device.type) == (torch.float32, "cpu")
    return _is_four_bit(base) or plain


def _dequantized(layer) -> torch.Tensor:
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.data, layer.weight.quant_state)


@torch.no_grad()
def _merged(layer) -> torch.Tensor:
    base = _base(layer)
    weight = _dequantized(base) if _is_four_bit(base) else base.weight
    return sum((layer.get_delta_weight(name) for name in _adapters(layer)), weight)


def _adapters(layer) -> list[str]:
    return [name for name in layer.active_adapters if name in layer.lora_A]


def _base(layer):
    return layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
