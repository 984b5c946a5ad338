"""The sizes of a Qwen2-VL, Qwen2.5-VL or Qwen3-VL from its configuration alone: parameters by part, tokens of a clip.

A memory plan needs a model's widths and depths, not its weights. `SHAPES` has those of the two models that the papers
train and of their successors of about the same sizes, from the `config.json` and `preprocessor_config.json` that are
public beside their weights (https://huggingface.co/Qwen/Qwen2-VL-2B-Instruct and so on, by name); `shape_of` reads any
other from a checkpoint's folder, in the flat form of the hub's files or in the nested one that transformers writes.
Left out: other architectures, and asking a hub for a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from vsr_kit.files import reading
from vsr_kit.paths import checkpoint_of
from vsr_kit.validation import parse_json, real, whole
from vsr_kit.videos.frame_limits import PixelBounds, smart_size

NF4_BLOCK = 64  # weights that share a scale in bitsandbytes' nf4
_SCALE_BLOCK = 256  # scales that share one, quantised a second time
_CHANNELS = 3
STAMP_TOKENS = 8  # "<0.2 seconds>" and the marks around a pair's tokens
KINDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")  # models.families'; a test compares


@dataclass(frozen=True)
class Shape:
    """Widths and depths of a model.

    Attributes:
        name: what it was asked for by.
        hidden, layers, heads, kv_heads, intermediate, vocab: of the language model.
        tied: whether the output head is the embedding.
        vision_depth, vision_width, vision_heads, vision_ratio: of the tower; the ratio is its MLP's width to its own.
        patch_px, merge, frames_a_patch: a patch is patch_px x patch_px over so many frames, and merge x merge of them
            are one token.
        least_px, most_px: pixels of a frame, or of a whole clip for qwen3_vl, between which the processor leaves its
            size alone.
        kind: the family, `models.families.FAMILIES`.
        head_dim: width of a head; hidden / heads if None.
        levels: how many depths of the tower the language model is fed from: 1, or more with DeepStack.
        places: learnt positions of the tower; 0 where it has none.
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
    kind: str = "qwen2_vl"
    head_dim: int | None = None
    levels: int = 1
    places: int = 0

    @property
    def query_width(self) -> int:
        """Width of a token's queries in one layer, all heads together."""
        return self.heads * self._head_width

    @property
    def kv_width(self) -> int:
        """Width of a token's keys, and of its values, in one layer: heads share them in groups."""
        return self.kv_heads * self._head_width

    @property
    def features_width(self) -> int:
        """Numbers that the tower says of one video token: of every level that the language model is fed from."""
        return self.levels * self.hidden

    @property
    def _head_width(self) -> int:
        return self.head_dim or self.hidden // self.heads

    @property
    def linears(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one decoder layer, which LoRA adapts and nf4 packs: (inputs, outputs) by name."""
        d, q, kv, inner = self.hidden, self.query_width, self.kv_width, self.intermediate
        own = {"q_proj": (d, q), "k_proj": (d, kv), "v_proj": (d, kv), "o_proj": (q, d)}
        return own | {"gate_proj": (d, inner), "up_proj": (d, inner), "down_proj": (inner, d)}

    @property
    def linear_weights(self) -> int:
        """Weights of all decoder layers' linears, without biases: what nf4 packs."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.linears.values())

    @property
    def tower_weights(self) -> int:
        """Parameters of the vision tower and its mergers, one a level."""
        width, inner = self.vision_width, round(self.vision_width * self.vision_ratio)
        gated = self.kind == "qwen2_5_vl"  # a third matrix in the MLP, and norms without biases
        norm = width if gated else 2 * width
        mlp = (3 if gated else 2) * width * inner + (2 if gated else 1) * inner + width
        block = 4 * width * width + 4 * width + mlp + 2 * norm  # attention, MLP, norms
        merged = width * self.merge**2
        merger = merged * merged + merged + merged * self.hidden + self.hidden
        mergers = norm + merger + (self.levels - 1) * (2 * merged + merger)  # DeepStack's norms stand behind merging
        begin = self.patch_values * width + (width if self.kind == "qwen3_vl" else 0) + self.places * width
        return self.vision_depth * block + begin + mergers

    @property
    def embedding_weights(self) -> int:
        """Parameters of the embedding, and of the output head where it is a matrix of its own."""
        return self.vocab * self.hidden * (1 if self.tied else 2)

    @property
    def small_weights(self) -> int:
        """The language model's norms and biases; Qwen3 has norms of queries and keys in the biases' place."""
        own = 2 * self._head_width if self.kind == "qwen3_vl" else self.query_width + 2 * self.kv_width
        return self.layers * (2 * self.hidden + own) + self.hidden

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
        side, of_clip = self.patch_px * self.merge, self.kind == "qwen3_vl"
        bounds = PixelBounds(self.least_px, self.most_px, side, self.frames_a_patch, of_clip)
        height, width = smart_size(height_px, width_px, bounds, num_frames)
        return -(-num_frames // self.frames_a_patch), height // self.patch_px, width // self.patch_px

    def video_tokens(self, num_frames: int, height_px: int, width_px: int) -> int:
        """Merged tokens of a clip."""
        time, height, width = self.grid(num_frames, height_px, width_px)
        return time * height * width // self.merge**2

    def stamp_tokens(self, num_frames: int) -> int:
        """Tokens, about, of the times that Qwen3-VL writes before each pair of frames; 0 for the other families."""
        return STAMP_TOKENS * -(-num_frames // self.frames_a_patch) if self.kind == "qwen3_vl" else 0


_TOWER = (32, 1280, 16, 4.0)  # depth, width, heads, ratio: the same for both
_TOWER_2_5 = (32, 1280, 16, 3420 / 1280)
_SMALL_TOWER_3, _TOWER_3 = (24, 1024, 16, 4.0), (27, 1152, 16, 4304 / 1152)
_FAMILY_3: dict[str, Any] = {
    "patch_px": 16,
    "least_px": 4096,
    "most_px": 25165824,
    "kind": "qwen3_vl",
    "levels": 4,
    "places": 2304,
}
_FAMILY_3["head_dim"] = 128
SHAPES = {
    shape.name: shape
    for shape in (
        Shape("Qwen/Qwen2-VL-2B-Instruct", 1536, 28, 12, 2, 8960, 151936, True, *_TOWER),
        Shape("Qwen/Qwen2-VL-7B-Instruct", 3584, 28, 28, 4, 18944, 152064, False, *_TOWER),
        Shape("Qwen/Qwen2.5-VL-3B-Instruct", 2048, 36, 16, 2, 11008, 151936, True, *_TOWER_2_5, kind="qwen2_5_vl"),
        Shape("Qwen/Qwen2.5-VL-7B-Instruct", 3584, 28, 28, 4, 18944, 152064, False, *_TOWER_2_5, kind="qwen2_5_vl"),
        Shape("Qwen/Qwen3-VL-2B-Instruct", 2048, 28, 16, 8, 6144, 151936, True, *_SMALL_TOWER_3, **_FAMILY_3),
        Shape("Qwen/Qwen3-VL-4B-Instruct", 2560, 36, 32, 8, 9728, 151936, True, *_SMALL_TOWER_3, **_FAMILY_3),
        Shape("Qwen/Qwen3-VL-8B-Instruct", 4096, 36, 32, 8, 12288, 151936, False, *_TOWER_3, **_FAMILY_3),
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
    if (kind := config.get("model_type")) not in KINDS:
        raise ValueError(
            f"{path} is of model_type {kind!r}: plans are made for {', '.join(KINDS)} only; begin with a small "
            "--batch-size or --groups-per-pass, and raise it"
        )
    text, vision = config.get("text_config") or config, config.get("vision_config") or {}
    for part, own in (("text_config", text), ("vision_config", vision)):
        if not isinstance(own, Mapping):
            raise ValueError(
                f"{path}: {part} is {own!r}, must be an object of sizes: it is no whole {kind} configuration"
            )
    said = [own.get("tie_word_embeddings") for own in (config, text)]
    size = partial(_size, path)
    found = Shape(
        name=name,
        hidden=size(text, "hidden_size"),
        layers=size(text, "num_hidden_layers"),
        heads=size(text, "num_attention_heads"),
        kv_heads=size(text, "num_key_value_heads"),
        intermediate=size(text, "intermediate_size"),
        vocab=size(text, "vocab_size"),
        tied=next((own for own in said if isinstance(own, bool)), False),
        kind=kind,
        **_tower(path, kind, vision),
        **({"head_dim": size(text, "head_dim")} if kind == "qwen3_vl" else {}),
    )
    bounds = _bounds(path.parent)
    return found if bounds is None else replace(found, least_px=bounds[0], most_px=bounds[1])


def _size(path: Path, own: Mapping, field: str, default: int | None = None) -> int:
    """A size of a configuration, a whole number from 1."""
    value = own.get(field, default)
    if value is None:
        raise ValueError(f"{path} has no usable size of {field!r}: it is no whole configuration of a model")
    whole(f"{path}: {field}", value)
    return value


def _tower(path: Path, kind: str, vision: Mapping) -> dict[str, Any]:
    """The sizes of the tower, which the families name differently."""
    size = partial(_size, path)
    width = size(vision, "embed_dim" if kind == "qwen2_vl" else "hidden_size")
    third = kind == "qwen3_vl"
    found: dict[str, Any] = {
        "vision_depth": size(vision, "depth"),
        "vision_width": width,
        "vision_heads": size(vision, "num_heads"),
        "merge": size(vision, "spatial_merge_size", 2),
        "patch_px": size(vision, "patch_size", _FAMILY_3["patch_px"] if third else 14),
        "frames_a_patch": size(vision, "temporal_patch_size", 2),
    }
    if kind == "qwen2_vl":
        real(f"{path}: mlp_ratio", ratio := vision.get("mlp_ratio", 4), above=True)
    else:
        ratio = size(vision, "intermediate_size") / width
    found["vision_ratio"] = float(ratio)
    if third:
        depths = vision.get("deepstack_visual_indexes")
        if not isinstance(depths, list):
            raise ValueError(f"{path}: deepstack_visual_indexes is {depths!r}, must be a list of layers of the tower")
        found |= {"levels": 1 + len(depths), "places": size(vision, "num_position_embeddings")}
        found |= {name: _FAMILY_3[name] for name in ("least_px", "most_px")}
    return found


def _bounds(folder: Path) -> tuple[int, int] | None:
    """Pixels of a frame that the folder's processor leaves alone; the hub spells them otherwise than transformers 5."""
    for name in ("processor_config.json", "video_preprocessor_config.json", "preprocessor_config.json"):
        if (path := folder / name).is_file():
            found = _object(path)
            found = found.get("video_processor") or found
            if not isinstance(found, Mapping):
                raise ValueError(f"{path}: video_processor is {found!r}, must be an object of settings")
            size = found.get("size") or {}
            if not isinstance(size, Mapping):
                raise ValueError(f"{path}: size is {size!r}, must be an object with bounds of pixels")
            low = found.get("min_pixels") or size.get("min_pixels") or size.get("shortest_edge")
            high = found.get("max_pixels") or size.get("max_pixels") or size.get("longest_edge")
            if low and high:
                whole(f"{path}: the least number of pixels", low)
                whole(f"{path}: the largest number of pixels", high, low)
                return low, high
    return None


def _object(path: Path) -> Mapping:
    with reading(path, "it is no JSON object; get the checkpoint again"):
        found = parse_json(path.read_text(encoding="utf-8"))
    if not isinstance(found, Mapping):
        raise ValueError(f"{path} holds {json.dumps(found)[:40]}, no object of settings")
    return found
