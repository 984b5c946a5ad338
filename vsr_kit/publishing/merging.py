"""One checkpoint out of a base and its adapter: W + B A, saved as an ordinary Qwen2-VL that nobody needs PEFT for.

Which W? An adapter that was trained on 4-bit weights has never met the checkpoint's own: every pass of its training
multiplied by W', the nf4 codes turned back into numbers, and the adapter corrects W''s errors as it corrects anything
else. So `weights="seen"`, the default, merges into W', and the result is the network that was trained and scored, in 16
or 32 bits. `weights="original"` merges into the checkpoint's own W: a network that nobody has measured, often a little
better or worse. For an adapter that was trained without 4 bits both are the same.

Precision: sums are made in float32 and rounded once. bfloat16 keeps eight binary digits of a weight, and an update
smaller than that is lost, so `Merged.lost` says how far this rounding moved the weights, as a share of how far the
adapter did. Packing a merged checkpoint into 4 bits again rounds once more, and small updates may not survive that;
whoever needs 4 bits uses the base with the adapter.
Left out: adapters that are more than a product of two matrices (DoRA, biases), GGUF, and merging several adapters.
"""

from __future__ import annotations

import copy
import errno
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vsr_kit.files import read_json
from vsr_kit.models.checkpoint_files import folder_of
from vsr_kit.models.loading import load_model, packed
from vsr_kit.models.vision import core_model
from vsr_kit.paths import checkpoint_of
from vsr_kit.publishing.card import merged_card
from vsr_kit.publishing.origin import Origin, check_base
from vsr_kit.training.starting import save_whole
from vsr_kit.validation import one_of

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
WEIGHTS = ("seen", "original")


@dataclass(frozen=True)
class Merged:
    """What a merge left.

    Attributes:
        folder: the checkpoint.
        dtype: of its weights.
        weights: `seen` or `original`, see the module.
        layers: how many got an adapter's product.
        lost: how far rounding to `dtype` moved these layers' weights, divided by how far the adapter moved them
            (Euclidean norms over all of them); 0 where nothing was rounded.
    """

    folder: Path
    dtype: str
    weights: str
    layers: int
    lost: float


def merge(
    origin: Origin,
    out: str | Path,
    *,
    dtype: str | None = None,
    weights: str = "seen",
    command: str | None = None,
    quiet: bool = True,
) -> Merged:
    """Write the run's adapter merged into its base, with processor, generation settings and model card.

    Args:
        origin: from `origin_of`.
        out: a folder that is not there yet.
        dtype: `bfloat16` or `float32`; the base checkpoint's own by default.
        weights: `seen` merges into the weights of training, `original` into the checkpoint's; see the module.
        command: what made the run, for the card; None is unknown.
        quiet: do not print what is loaded.

    Raises:
        ValueError: `out` exists, an unknown dtype, a base that is another than the run's, an adapter that is no plain
            product; nothing was written.
        FileNotFoundError: the base is not there.
        OSError: the disk is too small for the checkpoint.
    """
    out = Path(out)
    one_of("weights", weights, WEIGHTS)
    one_of("dtype", dtype, (None, *DTYPES), "None takes the base's own")
    if out.exists():
        raise ValueError(f"{out} exists: name a folder that does not, or remove it")
    if not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {out.absolute().parent} to write {out.name} into: make it first")
    check_base(origin)
    if weights == "seen" and origin.quantize == "unknown":
        raise ValueError(f"{origin.run.path} does not record whether its base was in 4 bits: give weights='original'")
    quantize = origin.quantize if weights == "seen" else None
    folder = folder_of(checkpoint_of(origin.base))
    named = dtype or own_dtype(folder)
    # float32 while it is computed: the codes of nf4 are made from the numbers that are loaded
    loaded = load_model(folder, quantize, adapter=origin.adapter, device="cpu", dtype=torch.float32, quiet=quiet)
    was_packed = packed(core_model(loaded.model))
    tensors, changed, lost = _merged_weights(loaded.model, DTYPES[named])
    _check_space(tensors, out)
    model = _plain_model(core_model(loaded.model), tensors, DTYPES[named])
    try:
        save_whole(model, loaded.processor, out)
    except BaseException:
        shutil.rmtree(out.with_name(f".{out.name}.part"), ignore_errors=True)
        raise
    merged = Merged(out, named, weights, len(changed), lost)
    card = merged_card(origin, dtype=named, seen=was_packed, lost=lost, command=command)
    (out / "README.md").write_text(card, encoding="utf-8")
    return merged


def own_dtype(folder: Path) -> str:
    """`bfloat16` or `float32`, what a checkpoint's configuration says of its weights; other kinds become bfloat16."""
    config = read_json(folder / "config.json")
    told = str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")
    return told if told in DTYPES else "bfloat16"


def _merged_weights(model, dtype: torch.dtype) -> tuple[dict[str, torch.Tensor], list[str], float]:
    """Every weight of the plain model by its name, the names of the changed layers, and `Merged.lost`."""
    tensors: dict[str, torch.Tensor] = {}
    changed: list[str] = []
    moved = rounded = 0.0
    core = core_model(model)
    with torch.no_grad():
        for name, layer in _linears(core):
            base: Any = layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
            exact = whole_weight(base)
            if base is not layer:
                change = _change(name, layer)
                exact = exact + change
                changed.append(name)
                moved += float(change.square().sum())
                rounded += float((exact.to(dtype).float() - exact).square().sum())
            tensors[f"{name}.weight"] = exact.to(dtype)
            if base.bias is not None:
                tensors[f"{name}.bias"] = base.bias.to(dtype)
        made = tuple(f"{name}." for name, _ in _linears(core))
        for name, weight in core.state_dict().items():
            if not name.startswith(made):
                tensors[name] = weight.to(dtype)
    if not changed:
        raise ValueError("the adapter changes no layer of its base: there is nothing to merge")
    return tensors, changed, (rounded / moved) ** 0.5 if moved else 0.0


def _linears(core) -> Iterator[tuple[str, Any]]:
    """Layers with an adapter, and packed ones without, by the names that they have in a plain model."""
    from peft.tuners.lora import LoraLayer

    adapted = [name for name, layer in core.named_modules() if isinstance(layer, LoraLayer)]
    inside = tuple(f"{name}." for name in adapted)
    for name, layer in core.named_modules():
        if name in adapted or (type(layer).__name__ == "Linear4bit" and not name.startswith(inside)):
            yield name, layer


def whole_weight(layer) -> torch.Tensor:
    """A linear layer's weight (out, in) as float32 numbers; of a packed one those that its passes multiply by."""
    if type(layer).__name__ != "Linear4bit":
        return layer.weight.detach().float()
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()


def _change(name: str, layer) -> torch.Tensor:
    """B A, scaled, of the layer's adapter (out, in)."""
    for adapter in layer.active_adapters:
        if adapter in layer.lora_variant or layer.lora_bias[adapter]:
            raise ValueError(
                f"the adapter of {name} is more than a product of two matrices (DoRA or a bias): not merged"
            )
    return sum(layer.get_delta_weight(adapter).float() for adapter in layer.active_adapters if adapter in layer.lora_A)


def _check_space(tensors: dict[str, torch.Tensor], out: Path) -> None:
    needed = sum({t.data_ptr(): t.numel() * t.element_size() for t in tensors.values()}.values())
    free = shutil.disk_usage(out.absolute().parent).free
    if free < needed * 1.01 + 2**25:  # and what lies beside the weights
        why = f"a merged checkpoint of {needed / 1e9:.2f} GB does not fit"
        raise OSError(errno.ENOSPC, f"{why}: No space left on device", str(out))


def _plain_model(core, tensors: dict[str, torch.Tensor], dtype: torch.dtype):
    """A model without adapters and without 4 bits that holds these weights."""
    config = copy.deepcopy(core.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = dtype
    with torch.device("meta"):
        model = type(core)(config)
    model.load_state_dict(tensors, strict=True, assign=True)
    model.tie_weights()
    model.generation_config = copy.deepcopy(core.generation_config)
    return model
