"""Loading a model: one of the kit's own, a hub id or a folder, in full precision or 4 bits, with or without LoRA.

Every model of the kit is a Qwen2-VL checkpoint in the ordinary format, and one function loads all of them, and those of
Qwen2.5-VL and Qwen3-VL (families.py). Device and
precision follow from the machine: fp32 on CPU and MPS, bf16 on GPUs that have it, fp32 on those that do not. 4-bit
weights are nf4 from bitsandbytes, for the language model's linear layers only; LoRA is added to the same layers, and
the vision tower stays frozen.

fp16 is what a T4 computes fast, and Qwen2-VL overflows in it and then writes "!!!!": sums of a few hidden numbers pass
65,504. Asked for by name, and with 4-bit weights only, it is used for the products that are safe: those whose inputs
are normalised or are mixtures of values. The product after the MLP's gate, the sums between layers, norms, tower and
head stay in fp32. Training refuses it (training/profiles.py says why).

Loading prints one line of its own: transformers' progress bar over the weights is hidden, a hub download shows its
bars, and errors are not hidden.
Left out: 8-bit weights, merging adapters, other architectures, and remote code.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, get_peft_model
from transformers import BitsAndBytesConfig
from transformers.utils.logging import set_tqdm_hook

from vsr_kit.files import reading
from vsr_kit.models.adapters import with_adapter
from vsr_kit.models.checkpoint_files import (
    AGAIN,
    NO_CODE,
    check_files,
    check_filled,
    check_finite,
    check_processor,
    family_in,
    folder_of,
)
from vsr_kit.models.families import FAMILIES
from vsr_kit.models.vision import core_model, load_processor
from vsr_kit.paths import checkpoint_of

MINI = "mini"
LORA_TARGETS = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
QUANTIZATIONS = (None, "nf4")


@dataclass(frozen=True)
class Loaded:
    """A model ready to ask or train.

    Attributes:
        model: Qwen2VLForConditionalGeneration, or another of `families.FAMILIES`, in a PEFT wrapper where LoRA or an
            adapter was asked for.
        processor: tokenizer, chat template and clip processing.
        name: what was asked for.
        description: one line: parameters, footprint, precision, device, adapter.
    """

    model: torch.nn.Module
    processor: object
    name: str
    description: str


def mini_path() -> Path:
    """Folder of the embedded miniature, in a checkout or inside an installed wheel."""
    return Path(checkpoint_of(MINI))


def lora_config(rank: int = 16, alpha: int = 32, dropout: float = 0.0) -> LoraConfig:
    """LoRA on every linear of the language model. The paper used LoRA and states neither rank nor targets: ours."""
    return LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=LORA_TARGETS, bias="none")


def pick_device(device: str | None = None) -> torch.device:
    """The device asked for, or CUDA, MPS or CPU, whichever is there first."""
    if device is not None:
        return torch.device(device)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def pick_dtype(device: torch.device) -> torch.dtype:
    """bf16 on GPUs that compute it, fp32 everywhere else."""
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported(False) else torch.float32


def choose_threads() -> int:
    """Set and return torch's CPU threads: OMP_NUM_THREADS if it is set, else half of this process's cores, 8 at most.

    Half, because OpenMP's threads spin while they wait for a core that another process holds: on two busy cores a step
    of 0.7 s on one thread was seen to take 11 s on two.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(asked) if asked.isdigit() and int(asked) else max(1, min(8, cores // 2))
    torch.set_num_threads(threads)
    return threads


def load_model(
    name: str | Path = MINI,
    quantize: str | None = None,
    lora: bool | LoraConfig | None = None,
    *,
    adapter: str | Path | None = None,
    device: str | None = None,
    dtype: torch.dtype | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> Loaded:
    """Load a model of `families.FAMILIES` and its processor; prints one line of what it loaded.

    Args:
        name: `mini` or another of `paths.SHIPPED`, a hub id such as `Qwen/Qwen2-VL-2B-Instruct`, or a checkpoint
            folder.
        quantize: None, or `nf4` for 4-bit weights in the language model's linears.
        lora: True for `lora_config()`, or one of your own: a fresh adapter to train.
        adapter: folder or hub id of a trained adapter, loaded frozen.
        device, dtype: by `pick_device` and `pick_dtype` where they are None; float16 only with 4-bit weights.
        seed: of a fresh adapter's random half.
        quiet: do not print.

    Raises:
        ValueError: unknown quantisation, 4 bits on MPS, float16 without 4 bits, both `lora` and `adapter`, a checkpoint
            of another kind, or one that is not whole or not finite (see checkpoint_files.py), an adapter that is not,
            or not this model's (adapters.py).
        FileNotFoundError: nothing to load under that name, or the files of a shipped checkpoint are missing; says what
            to download, or to use the miniature.
    """
    if quantize not in QUANTIZATIONS:
        raise ValueError(f"quantize is {quantize!r}: choose None or 'nf4'")
    if lora and adapter:
        raise ValueError("give `lora` for a fresh adapter or `adapter` for a trained one, not both")
    place = pick_device(device)
    if quantize and place.type == "mps":
        raise ValueError("4-bit weights need a CPU or a CUDA device, not mps: pass device='cpu', or quantize=None")
    dtype = dtype or pick_dtype(place)
    if dtype == torch.float16 and quantize != "nf4":
        raise ValueError(
            "dtype is float16 without 4-bit weights: Qwen2-VL overflows in it and writes '!!!!'; use float32, bfloat16 "
            "where the card has it, or float16 with quantize='nf4', which keeps to fp32 what overflows"
        )
    if place.type == "cpu":
        choose_threads()
    folder = folder_of(checkpoint_of(name))
    adapter_folder = folder_of(adapter, "adapter") if adapter else None  # before the weights, which take their time
    model = _load_weights(folder, quantize, place, dtype)
    processor = _load_processor(folder, model)
    model.requires_grad_(False)
    if lora:
        with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):
            torch.manual_seed(seed)
            with without_renaming_warnings():
                model = get_peft_model(model, lora if isinstance(lora, LoraConfig) else lora_config())
    elif adapter:
        with without_renaming_warnings():
            model = with_adapter(model, adapter_folder)
    model.eval()
    loaded = Loaded(model, processor, str(name), describe(model, str(name), adapter))
    if not quiet:
        print(loaded.description)
        if notice := FAMILIES[core_model(model).config.model_type].notice:
            print(notice)
    return loaded


def _load_weights(folder: Path, quantize: str | None, device: torch.device, dtype: torch.dtype):
    """The model of a checkpoint that is whole; see checkpoint_files.py."""
    tensors = check_files(folder)
    extra = {"quantization_config": nf4_config(dtype)} if quantize == "nf4" else {}
    stored = torch.float32 if dtype == torch.float16 else dtype
    how = {"dtype": stored, "device_map": {"": device}, "use_safetensors": True, "ignore_mismatched_sizes": True}
    with _quiet_loading(), reading(folder, AGAIN):
        kind = getattr(transformers, family_in(folder).model)
        model, info = kind.from_pretrained(folder, output_loading_info=True, **how, **extra, **NO_CODE)
    check_filled(model, info, tensors, folder)
    check_finite(model, tensors)
    if packed(model):
        _mend_cpu_4bit(model)
    if dtype == torch.float16:
        _keep_from_overflow(model)
    return model


def _load_processor(folder: Path, model):
    with reading(folder, AGAIN):
        processor = load_processor(folder)
    check_processor(processor, model.config, model.generation_config.eos_token_id, folder)
    return processor


@contextmanager
def without_renaming_warnings() -> Iterator[None]:
    """Keep back that gradient checkpointing gets a new name: it is PEFT and TRL that still use the old one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing", category=FutureWarning)
        yield


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Hide transformers' own bars, and its report of what does not fit: that is refused, in one line.

    The hub's bars, of a download that takes its time, are not touched.
    """
    log = logging.getLogger("transformers.modeling_utils")

    def other(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    before = set_tqdm_hook(lambda bar, args, settings: bar(*args, **settings | {"disable": True}))
    log.addFilter(other)
    try:
        yield
    finally:
        log.removeFilter(other)
        set_tqdm_hook(before)


def nf4_config(compute_dtype: torch.dtype) -> BitsAndBytesConfig:
    """4-bit nf4, twice quantised, the vision tower and the head left alone.

    The skip names are full paths: `visual` alone does not match, and a quantised head breaks TRL's fused one.
    """
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype,
        llm_int8_skip_modules=["model.visual", "lm_head"],
    )


def packed(model) -> bool:
    """Whether linears of the model hold 4-bit weights, by this load or as they were saved."""
    return any(type(module).__name__ == "Linear4bit" for module in model.modules())


def _mend_cpu_4bit(model) -> None:
    """Keep bitsandbytes from repacking weights on CPUs with AVX512-BF16, which breaks the next training step."""
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _keep_from_overflow(model) -> None:
    """Let the products that pass fp16's largest number compute in fp32: those of what a gate multiplied."""
    for name, module in model.named_modules():
        if name.endswith("down_proj"):
            module.compute_dtype = torch.float32


def _half_products(core) -> bool:
    return any(getattr(module, "compute_dtype", None) == torch.float16 for module in core.modules())


def describe(model, name: str, adapter: str | Path | None = None) -> str:
    """One line: parameters, footprint, precision, device, quantisation, what is trainable."""
    core = core_model(model)
    threads = torch.get_num_threads()
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    parts = [
        f"{name}: {_parameters(core) / 1e6:.1f}M parameters",
        f"{core.get_memory_footprint() / 1e6:.0f} MB",
        ("nf4 weights, " if packed(core) else "")
        + ("float16 products, " if _half_products(core) else "")
        + str(core.get_input_embeddings().weight.dtype).removeprefix("torch."),
        f"cpu ({threads} thread{'s' * (threads > 1)})" if core.device.type == "cpu" else str(core.device),
    ]
    if trainable:
        adapted = any(".lora_" in name for name, _ in model.named_parameters())
        parts.append(f"{'LoRA' if adapted else 'a language model'} with {trainable / 1e6:.2f}M trainable")
    if adapter:
        parts.append(f"adapter {adapter}")
    return ", ".join(parts)


def _parameters(core) -> int:
    """Parameters of the base model: a 4-bit byte holds two, and an adapter's are not counted."""
    return sum(
        p.numel() * (2 if p.dtype == torch.uint8 else 1) for n, p in core.named_parameters() if ".lora_" not in n
    )
