"""The sizes of a Qwen2-VL from its configuration alone: parameters by part, and tokens of a clip.

A memory plan needs a model's widths and depths, not its weights. `SHAPES` has those of the two models that the papers
train, from the `config.json` and `preprocessor_config.json` that are public beside their weights
(https://huggingface.co/Qwen/Qwen2-VL-2B-Instruct, https://huggingface.co/Qwen/Qwen2-VL-7B-Instruct); `shape_of` reads
any other from a checkpoint's folder, in the flat form of the hub's files or in the nested one that transformers writes.
Left out: other architectures, and asking a hub for a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vsr_kit.files import reading
from vsr_kit.paths import checkpoint_of
from vsr_kit.validation import parse_json
from vsr_kit.videos.frame_limits import PixelBounds, smart_size

NF4_BLOCK = 64  # weights that share a scale in bitsandbytes' nf4
_SCALE_BLOCK = 256  # scales that share one, quantised a second time
_CHANNELS = 3


@dataclass(frozen=True)
class Shape:
    """Widths and depths of a Qwen2-VL.

    Attributes:
        name: what it was asked for by.
        hidden, layers, heads, kv_heads, intermediate, vocab: of the language model.
        tied: whether the output head is the embedding.
        vision_depth, vision_width, vision_heads, vision_ratio: of the tower; the ratio is its MLP's width to its own.
        patch_px, merge, frames_a_patch: a patch is patch_px x patch_px over so many frames, and merge x merge of them
            are one token.
        least_px, most_px: pixels of a frame between which the processor leaves its size alone.
    """

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int
    tied: bool
    vision_depth: int
    vision_width: int
    vision_heads: int
    vision_ratio: float
    patch_px: int = 14
    merge: int = 2
    frames_a_patch: int = 2
    least_px: int = 56 * 56
    most_px: int = 14 * 14 * 4 * 16384

    @property
    def kv_width(self) -> int:
        """Width of a token's keys, and of its values, in one layer: heads share them in groups."""
        return self.kv_heads * self.hidden // self.heads

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one decoder layer, which LoRA adapts and nf4 packs: (inputs, outputs) by name."""
        d, kv, inner = self.hidden, self.kv_width, self.intermediate
        own = {"q_proj": (d, d), "k_proj": (d, kv), "v_proj": (d, kv), "o_proj": (d, d)}
        return own | {"gate_proj": (d, inner), "up_proj": (d, inner), "down_proj": (inner, d)}

    @property
    def linear_weights(self) -> int:
        """Weights of all decoder layers' linears, without biases: what nf4 packs."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linears.values())

    @property
    def tower_weights(self) -> int:
        """Parameters of the vision tower and its merger."""
        width, inner = self.vision_width, int(self.vision_width * self.vision_ratio)
        block = 4 * width * width + 4 * width + 2 * width * inner + inner + width + 4 * width  # attention, MLP, norms
        merged = width * self.merge**2
        merger = 2 * width + merged * merged + merged + merged * self.hidden + self.hidden
        return self.vision_depth * block + self.patch_values * width + merger

    @property
    def embedding_weights(self) -> int:
        """Parameters of the embedding, and of the output head where it is a matrix of its own."""
        return self.vocab * self.hidden * (1 if self.tied else 2)

    @property
    def small_weights(self) -> int:
        """The language model's norms and biases."""
        return self.layers * (2 * self.hidden + self.hidden + 2 * self.kv_width) + self.hidden

    @property
    def parameters(self) -> int:
        """All of them."""
        return self.linear_weights + self.tower_weights + self.embedding_weights + self.small_weights

    @property
    def patch_values(self) -> int:
        """Numbers in one patch."""
        return _CHANNELS * self.frames_a_patch * self.patch_px**2

    def nf4_bytes(self) -> int:
        """Bytes of the packed linears: half a byte a weight, a byte a block's scale, which are quantised again.

        Source: arXiv 2305.14314, section 3, and bitsandbytes' QuantState.
        """
        total = 0
        for inputs, outputs in self.linears.values():
            scales = -(-inputs * outputs // NF4_BLOCK)
            total += inputs * outputs // 2 + scales + 4 * -(-scales // _SCALE_BLOCK) + 4 * (16 + 256 + 1)
        return self.layers * total

    def adapter_weights(self, rank: int) -> int:
        """Parameters of a LoRA adapter on every linear of the decoder layers."""
        return self.layers * sum(rank * (inputs + outputs) for inputs, outputs in self.linears.values())

    def grid(self, num_frames: int, height_px: int, width_px: int) -> tuple[int, int, int]:
        """Patches of a clip in time, height and width, after the processor has resized its frames.

        Raises:
            ValueError: frames more than 200 times as long as wide.
        """
        bounds = PixelBounds(self.least_px, self.most_px, self.patch_px * self.merge, self.frames_a_patch)
        height, width = smart_size(height_px, width_px, bounds)
        return -(-num_frames // self.frames_a_patch), height // self.patch_px, width // self.patch_px

    def video_tokens(self, num_frames: int, height_px: int, width_px: int) -> int:
        """Merged tokens of a clip."""
        time, height, width = self.grid(num_frames, height_px, width_px)
        return time * height * width // self.merge**2


_TOWER = (32, 1280, 16, 4.0)  # depth, width, heads, ratio: the same for both
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("Qwen/Qwen2-VL-2B-Instruct", 1536, 28, 12, 2, 8960, 151936, True, *_TOWER),
        Shape("Qwen/Qwen2-VL-7B-Instruct", 3584, 28, 28, 4, 18944, 152064, False, *_TOWER),
    )
}
_ALIASES = {name.removesuffix("-Instruct"): name for name in SHAPES}


def shape_of(model: str | Path) -> Shape:
    """The sizes of a model: one of `SHAPES`, a shipped checkpoint, or a checkpoint's folder.

    Raises:
        ValueError: a configuration of another kind, or without a size that is needed.
        FileNotFoundError: neither a known name nor a folder with a config.json.
    """
    if (known := SHAPES.get(_ALIASES.get(str(model), str(model)))) is not None:
        return known
    path = Path(checkpoint_of(model)) / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"no sizes are known of {str(model)!r}: name {', '.join(SHAPES)}, or the folder of a checkpoint with its "
            "config.json"
        )
    return _read(str(model), path)


def _read(name: str, path: Path) -> Shape:
    config = _object(path)
    if config.get("model_type") != "qwen2_vl":
        named = repr(config.get("model_type"))
        raise ValueError(
            f"{path} is of model_type {named}: plans are made for qwen2_vl only; begin with a small --batch-size or "
            "--groups-per-pass, and raise it"
        )
    text, vision = config.get("text_config") or config, config.get("vision_config") or {}
    try:
        found = Shape(
            name=name,
            hidden=int(text["hidden_size"]),
            layers=int(text["num_hidden_layers"]),
            heads=int(text["num_attention_heads"]),
            kv_heads=int(text["num_key_value_heads"]),
            intermediate=int(text["intermediate_size"]),
            vocab=int(text["vocab_size"]),
            tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
            vision_depth=int(vision["depth"]),
            vision_width=int(vision["embed_dim"]),
            vision_heads=int(vision["num_heads"]),
            vision_ratio=float(vision.get("mlp_ratio", 4)),
            patch_px=int(vision.get("patch_size", 14)),
            merge=int(vision.get("spatial_merge_size", 2)),
            frames_a_patch=int(vision.get("temporal_patch_size", 2)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} has no usable size of {error}: it is no whole Qwen2-VL configuration") from None
    bounds = _bounds(path.parent)
    return found if bounds is None else replace(found, least_px=bounds[0], most_px=bounds[1])


def _bounds(folder: Path) -> tuple[int, int] | None:
    """Pixels of a frame that the folder's processor leaves alone; the hub spells them otherwise than transformers 5."""
    for name in ("processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json"):
        if (path := folder / name).is_file():
            found = _object(path)
            found = found.get("video_processor") or found
            size = found.get("size") or {}
            low = found.get("min_pixels") or size.get("min_pixels") or size.get("shortest_edge")
            high = found.get("max_pixels") or size.get("max_pixels") or size.get("longest_edge")
            if low and high:
                return int(low), int(high)
    return None


def _object(path: Path) -> Mapping:
    with reading(path, "it is no JSON object; get the checkpoint again"):
        found = parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} holds {json.dumps(found)[:40]}, no object of settings")
    return found
