"""A checkpoint of Qwen2-VL-2B's full shape, with random weights and in the layout of the hub's repository; then used.

    python -m tests.full_shape                     make it (4.4 GB), ask ten questions, one step of GRPO; `make real`
    python -m tests.full_shape --divisor 20        the same at a twentieth of the widths, as the tests do
    python -m tests.full_shape --quantize none --frames 8 --generations 8

No hub is needed: names, shapes, files and the old flat configuration are those of Qwen/Qwen2-VL-2B-Instruct, numbers
are drawn. Its weights are called `model.layers…` and `visual…`, as there, which transformers renames while loading, and
lie in several files with an index. The tokenizer is the miniature's, lengthened to 151,643 tokens by merges of bytes
that no UTF-8 text holds, so that text is cut as the miniature cuts it and the special tokens have the hub's numbers.
What a run shows: that a checkpoint of that shape loads, fits and trains through the kit's ordinary functions. What it
does not show: anything that a trained model would answer.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import math
import resource
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

FULL = 2_208_985_600  # parameters of Qwen/Qwen2-VL-2B-Instruct, the tied head counted once
VOCABULARY, TOKENS = 151_936, 151_643  # rows of the embedding; tokens before the special ones
SHARD_BYTES = 1 << 30
UNTEXTLIKE = [chr(b) for b in (0xC0, 0xC1, *range(0xF5, 0x100))]  # bytes in no UTF-8, as a byte-level BPE writes them
NEXT_TO_NOTHING = 0.02  # standard deviation of random weights, Qwen2-VL's initializer_range


def flat_config(divisor: int = 1) -> dict:
    """config.json as the hub has it, before transformers had a text_config; widths divided by `divisor`, about.

    Depths, vocabulary and patches stay. Divided widths are rounded to what 4 bits and rotary shares take.
    """
    heads, head = (12, 128) if divisor == 1 else (4, 32 * max(1, round(1536 / divisor / 128)))
    seeing, width = (16, 1280) if divisor == 1 else (4, 64 * max(1, round(1280 / divisor / 64)))
    hidden, side = heads * head, 3 * (head // 2) // 8
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "attention_dropout": 0.0,
        "bos_token_id": TOKENS,
        "eos_token_id": TOKENS + 2,
        "vision_start_token_id": TOKENS + 9,
        "vision_end_token_id": TOKENS + 10,
        "vision_token_id": TOKENS + 11,
        "image_token_id": TOKENS + 12,
        "video_token_id": TOKENS + 13,
        "hidden_act": "silu",
        "hidden_size": hidden,
        "initializer_range": 0.02,
        "intermediate_size": 64 * max(1, round(8960 / divisor / 64)),
        "max_position_embeddings": 32768,
        "max_window_layers": 28,
        "model_type": "qwen2_vl",
        "num_attention_heads": heads,
        "num_hidden_layers": 28,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "sliding_window": 32768,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.41.2",
        "use_cache": True,
        "use_sliding_window": False,
        "vision_config": {
            "depth": 32,
            "embed_dim": width,
            "mlp_ratio": 4,
            "num_heads": seeing,
            "in_chans": 3,
            "hidden_size": hidden,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "spatial_patch_size": 14,
            "temporal_patch_size": 2,
        },
        "rope_scaling": {"type": "mrope", "mrope_section": [head // 2 - 2 * side, side, side]},
        "vocab_size": VOCABULARY,
    }


def make_checkpoint(folder: Path, divisor: int = 1, seed: int = 0) -> int:
    """Write the checkpoint, whole or not at all; returns its number of parameters."""
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    _write(beside / "config.json", flat_config(divisor))
    _write_tokenizer(beside)
    _write_settings(beside)
    count = _write_weights(beside, seed)
    beside.rename(folder)
    return count


def _write(path: Path, value) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False), encoding="utf-8")


def _write_settings(folder: Path) -> None:
    ends = {"bos_token_id": TOKENS, "pad_token_id": TOKENS, "eos_token_id": [TOKENS + 2, TOKENS]}
    drawn = {"do_sample": True, "repetition_penalty": 1.0, "temperature": 0.01, "top_p": 0.001, "top_k": 1}
    _write(folder / "generation_config.json", ends | drawn | {"transformers_version": "4.37.0"})
    means = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
    sizes = {"min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    named = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor"}
    _write(folder / "preprocessor_config.json", sizes | means | named)


def _write_tokenizer(folder: Path) -> None:
    """tokenizer.json, vocab.json, merges.txt, tokenizer_config.json and chat_template.json."""
    from vsr_kit.models.new_checkpoint import SPECIAL_TOKENS, stock_chat_template
    from vsr_kit.paths import data_samples

    parts = json.loads((data_samples("mini-qwen2-vl") / "tokenizer.json").read_text(encoding="utf-8"))
    model = parts["model"]
    names = [name for name, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    longer = ("".join(own) for n in itertools.count(2) for own in itertools.product(UNTEXTLIKE, repeat=n))
    added = list(itertools.islice(longer, TOKENS - len(names)))
    model["vocab"] = {name: at for at, name in enumerate([*names, *added])}
    model["merges"] += [[name[:-1], name[-1]] for name in added]
    special = {TOKENS + at: name for at, name in enumerate(SPECIAL_TOKENS)}
    how = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    parts["added_tokens"] = [{"id": at, "content": name, **how} for at, name in special.items()]
    _write(folder / "tokenizer.json", parts)
    _write(folder / "vocab.json", model["vocab"])
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in model["merges"])]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(at): {"content": name, **how} for at, name in special.items()},
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "bos_token": None,
        "chat_template": stock_chat_template(),
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "padding_side": "left",
        "errors": "replace",
        "model_max_length": 32768,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    _write(folder / "tokenizer_config.json", config)
    _write(folder / "chat_template.json", {"chat_template": stock_chat_template()})


def old_names(folder: Path) -> dict[str, tuple[int, ...]]:
    """Every weight of the folder's configuration by the name that the hub's files have for it, with its shape."""
    from transformers import AutoConfig, Qwen2VLForConditionalGeneration

    with torch.device("meta"):
        model = Qwen2VLForConditionalGeneration(AutoConfig.from_pretrained(folder))
    found = {}
    for name, weight in model.named_parameters():  # the tied head is the embedding
        old = name.replace("model.language_model.", "model.", 1).replace("model.visual.", "visual.", 1)
        found[old] = tuple(weight.shape)
    return found


def _write_weights(folder: Path, seed: int) -> int:
    """Shards of at most SHARD_BYTES in bf16, drawn tensor by tensor so that one shard is in memory at a time."""
    from safetensors.torch import save_file

    shapes = old_names(folder)
    shards: list[list[str]] = [[]]
    filled = 0
    for name, shape in shapes.items():
        size = 2 * math.prod(shape)
        if filled + size > SHARD_BYTES and shards[-1]:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    draw, place = torch.Generator().manual_seed(seed), {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({name: _drawn(name, shapes[name], draw) for name in names}, folder / file, {"format": "pt"})
        place |= dict.fromkeys(names, file)
    count = sum(math.prod(shape) for shape in shapes.values())
    _write(folder / "model.safetensors.index.json", {"metadata": {"total_size": 2 * count}, "weight_map": place})
    return count


def _drawn(name: str, shape: tuple[int, ...], draw: torch.Generator) -> torch.Tensor:
    if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "ln_q.weight")):
        return torch.ones(shape, dtype=torch.bfloat16)
    return torch.empty(shape, dtype=torch.bfloat16).normal_(0.0, NEXT_TO_NOTHING, generator=draw)


def make_film(folder: Path, width_px: int = 640, height_px: int = 480, num_frames: int = 24) -> Path:
    """A clip of one procedural room, 640 × 480 by PyAV, with its questions, as `vsr build` lays them out."""
    from PIL import Image

    from vsr_kit.data import make_rows, split_rooms
    from vsr_kit.files import append_lines
    from vsr_kit.videos import film
    from vsr_kit.videos.files import write_mp4

    (room,) = split_rooms(1, "train", seed=3)
    clip = film(room, num_frames, 112)
    rows = make_rows([room], clips={room.name: clip}, max_per_type=3)
    (folder / room.dataset).mkdir(parents=True)
    frames = [np.asarray(Image.fromarray(f).resize((width_px, height_px), 2)) for f in clip.frames_FHW3]
    write_mp4(folder / room.dataset / f"{room.name}.mp4", np.stack(frames))
    append_lines(folder / "questions.jsonl", rows)
    return folder


@dataclass(frozen=True)
class Used:
    """What came of it: parameters, questions answered, the step's log, and (stage, seconds, peak GB) of each stage."""

    parameters: int
    answered: int
    step: dict
    stages: tuple[tuple[str, float, float], ...]


class Watch:
    """Tells time and the peak of the process's memory stage by stage, as they end."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, float, float]] = []
        self._began = time.monotonic()

    def ends(self, stage: str) -> None:
        """Note the end of a stage, and print it."""
        now, peak = time.monotonic(), _peak_gb()
        self.stages.append((stage, now - self._began, peak))
        self._began = now
        print(f"{stage}: {self.stages[-1][1]:.0f} s, peak memory {peak:.2f} GB so far", flush=True)


def _peak_gb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def by_tokens(completions, completion_ids, **columns) -> list[float]:
    """A reward that a random model can earn, so that groups differ and the step has a gradient."""
    return [sum(own) % 7 / 7 for own in completion_ids]


def use(folder: Path, film: Path, options, watch: Watch) -> tuple[int, dict]:
    """Ask questions, then one step of GRPO by profile t4; returns how many were answered, and the step's log."""
    from vsr_kit.evaluation import load_questions, predict
    from vsr_kit.models import load_model
    from vsr_kit.training.methods import GRPO
    from vsr_kit.training.profiles import get_profile
    from vsr_kit.training.run import train

    quantize = None if options.quantize == "none" else options.quantize
    asked = load_questions(film, num_frames=options.frames)
    rows = asked.rows[: options.questions]
    loaded = load_model(folder, quantize, device="cpu", dtype=getattr(torch, options.dtype))
    watch.ends("loading")
    answers = predict(loaded, rows, clips=asked.clips, max_new_tokens=options.tokens)
    watch.ends(f"asking {len(rows)} questions about {options.frames} frames of 640 × 480")
    del loaded
    gc.collect()
    profile = replace(
        get_profile("t4"),
        model=str(folder),
        quantize=quantize,
        steps=1,
        num_frames=options.frames,
        num_generations=options.generations,
        questions_per_step=options.step_questions,
        max_vanilla_tokens=options.tokens,
        dtype=options.dtype,
    )
    logs: list[dict] = []
    method = GRPO("vanilla", rewards=(by_tokens,))
    train(profile, method, rows, clips=asked.clips, steps=1, on_log=logs.append, quiet=True)
    watch.ends(f"one GRPO step: {options.step_questions} question(s), {options.generations} rollouts each")
    return len(answers), next(log for log in logs if "grad_norm" in log)


def main(words: list[str] | None = None) -> Used:
    """Make what is not there, use it, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("build/full-shape"), help="where all of it goes")
    parser.add_argument("--divisor", type=int, default=1, help="of the widths; 1 is the full shape")
    parser.add_argument("--quantize", choices=("nf4", "none"), default="nf4")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of what is not in 4 bits")
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--questions", type=int, default=10, help="asked before the step")
    parser.add_argument("--step-questions", type=int, default=1, help="of the step; the profile has 4")
    parser.add_argument("--generations", type=int, default=4, help="rollouts a question; the profile has 8")
    parser.add_argument("--tokens", type=int, default=8, help="cap of an answer; the profile has 32")
    parser.add_argument("--most-gb", type=float, default=12.0, help="fail where the process's memory rose above it")
    options = parser.parse_args(words)
    folder, watch = options.folder / f"checkpoint-{options.divisor}", Watch()
    if not folder.exists():
        make_checkpoint(folder, options.divisor)
    count = sum(math.prod(shape) for shape in old_names(folder).values())
    if options.divisor == 1 and count != FULL:
        raise SystemExit(f"the checkpoint has {count:,} parameters, must be {FULL:,}")
    film = options.folder / "film"
    if not film.exists():
        make_film(film)
    watch.ends(f"making {count:,} parameters and a film")
    answered, step = use(folder, film, options, watch)
    print(", ".join(f"{name} {step[name]:.3g}" for name in ("reward", "grad_norm", "kl", "loss") if name in step))
    peak = watch.stages[-1][2]
    print(f"peak memory {peak:.2f} GB, {'within' if peak <= options.most_gb else 'above'} {options.most_gb:g} GB")
    if peak > options.most_gb:
        raise SystemExit(1)
    return Used(count, answered, step, tuple(watch.stages))


if __name__ == "__main__":
    main()
