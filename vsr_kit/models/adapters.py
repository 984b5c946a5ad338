"""LoRA adapters, loaded completely or refused: no weight of the file is unused, none of the model unset.

PEFT loads what fits and warns about the rest in one line of thousands of characters; a model with an adapter for other
weight names then answers like its base, under the adapter's name. `with_adapter` checks the files first, then loads the
adapter, compares what was loaded with what the model has, and names any difference in its error. `check_fits` does the
same for the adapter in a trainer's checkpoint, which transformers itself loads into the model under training.
Left out: adapters other than LoRA, weights in formats that can run code, and two adapters at once. An adapter trained
on another model of the same shape does load: only a run's record of its base model shows the difference.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch
from safetensors import safe_open

from vsr_kit.files import Damaged, check_folder, check_seal, in_a_line, read_json, reading

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_AGAIN = "copy the adapter's folder again, or train it anew"
_SIZE = re.compile(r"size mismatch for (\S+): .*?\[([\d, ]*)\].*?\[([\d, ]*)\]", re.DOTALL)


def with_adapter(model, folder: Path):
    """The model with a trained adapter on top, frozen.

    Raises:
        FileNotFoundError: the folder holds no adapter in safetensors (PEFT would also unpickle an old .bin).
        ValueError: as `Damaged`, the adapter is broken, not finite, of another kind, or of another model.
    """
    from peft import MODEL_TYPE_TO_PEFT_MODEL_MAPPING, PeftModel

    shapes, config = check_files(folder), read_config(folder)
    kind = MODEL_TYPE_TO_PEFT_MODEL_MAPPING.get(config.task_type, PeftModel)
    with reading(folder / CONFIG, f"it fits no layer of this model: name this model's adapter, or {_AGAIN}"):
        model = kind(model, config)
    device = str(next(model.parameters()).device)
    try:
        told = model.load_adapter(str(folder), "default", torch_device=device, use_safetensors=True)
    except RuntimeError as error:
        raise Damaged(f"{folder} does not fit this model: {_mismatch(error)}; name this model's adapter") from None
    except Exception as error:
        raise Damaged(f"{folder / WEIGHTS} cannot be used ({in_a_line(error)}); {_AGAIN}") from error
    _check_used(told.unexpected_keys, told.missing_keys, len(shapes), folder)
    filled = [parameter for name, parameter in model.named_parameters() if ".default" in name]
    if len(filled) != len(shapes):
        raise Damaged(f"{folder / WEIGHTS}: {len(shapes)} weights for {len(filled)} places of the model; {_AGAIN}")
    _check_scaling(model, folder)
    return model


def add_adapter(model, folder: Path, name: str) -> None:
    """Put a trained adapter on a PEFT model beside its own, frozen and not active; raises as `with_adapter`."""
    shapes, device = check_files(folder), str(next(model.parameters()).device)
    read_config(folder)
    with reading(folder / WEIGHTS, f"it does not fit this model: name this model's adapter, or {_AGAIN}"):
        told = model.load_adapter(str(folder), name, torch_device=device, use_safetensors=True)
    _check_used(told.unexpected_keys, told.missing_keys, len(shapes), folder)


def check_files(folder: Path) -> dict[str, tuple[int, ...]]:
    """Complain of an adapter's files before anything is loaded; raises as `with_adapter`.

    Returns:
        Names and shapes of its weights, whose values are finite.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
            raise FileNotFoundError(f"{folder} holds no {name}, only {there}; name an adapter's folder")
        check_seal(folder / name)
    check_folder(folder)
    shapes, path = {}, folder / WEIGHTS
    with reading(path, _AGAIN), safe_open(path, "pt") as stream:
        for name in stream.keys():  # noqa: SIM118 (no dict: safetensors gives no iterator over itself)
            tensor = stream.get_tensor(name)
            if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
                raise Damaged(f"{path}: the weight {name} holds values that are no finite numbers; {_AGAIN}")
            shapes[name] = tuple(tensor.shape)
    if not shapes:
        raise Damaged(f"{path} holds no weights; {_AGAIN}")
    return shapes


def read_config(folder: Path):
    """The LoRA configuration of an adapter's folder; `Damaged` where it is broken or another method's."""
    from peft import LoraConfig

    path = folder / CONFIG
    config = read_json(path, {"peft_type": str, "r": int, "lora_alpha": (int, float)}, _AGAIN)
    if config["peft_type"] != "LORA":
        raise Damaged(f"{path}: the adapter is {config['peft_type']!r}, this kit reads LORA; name a LoRA adapter")
    known = set(LoraConfig.__dataclass_fields__)
    if strange := sorted(name for name, value in config.items() if name not in known and value):
        raise Damaged(f"{path}: this PEFT knows no setting {strange[0]!r}, which may change the adapter; update PEFT")
    if config["r"] < 1 or not math.isfinite(config["lora_alpha"]):
        raise Damaged(f"{path}: rank {config['r']} and alpha {config['lora_alpha']} are none; {_AGAIN}")
    with reading(path, _AGAIN):
        config = LoraConfig.from_pretrained(str(folder))
    config.inference_mode = True
    return config


def check_fits(model, folder: Path) -> None:
    """Complain unless a folder's adapter is, weight by weight, of the shape of the one on `model`; raises `Damaged`."""
    from peft import get_peft_model_state_dict

    shapes = check_files(folder)
    own = {name: tuple(tensor.shape) for name, tensor in get_peft_model_state_dict(model).items()}
    _check_used(shapes.keys() - own.keys(), own.keys() - shapes.keys(), len(shapes), folder)
    for name, shape in own.items():
        if shapes[name] != shape:
            raise Damaged(
                f"{folder} does not fit this model: {name} is {shapes[name]} there and {shape} here; {_AGAIN}"
            )


def _check_used(unused, unfilled, count: int, folder: Path) -> None:
    """What did not land in the model, and what stayed as it was."""
    for what, names in (("of its weights fit no place of this model", unused), ("of the model's got none", unfilled)):
        if names:
            raise Damaged(
                f"{folder / WEIGHTS}: {len(names)} {what} (it holds {count}), the first {min(names)}; it was trained "
                f"on another model or is not whole: name this model's adapter, or {_AGAIN}"
            )


def _check_scaling(model, folder: Path) -> None:
    for name, module in model.named_modules():
        scaling = getattr(module, "scaling", None)  # attention has one, too, a plain number
        if isinstance(scaling, dict) and not all(math.isfinite(value) for value in scaling.values()):
            raise Damaged(f"{folder / CONFIG}: the scaling of {name} is no finite number; {_AGAIN}")


def _mismatch(error: RuntimeError) -> str:
    """The first weight of another size, out of the many lines that torch writes."""
    found = _SIZE.search(str(error))
    if found is None:
        return in_a_line(error)
    name, there, here = found.groups()
    return f"{name} is {there.replace(', ', '×')} in the file and {here.replace(', ', '×')} in the model"
