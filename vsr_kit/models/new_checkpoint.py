"""A new Qwen2-VL of any size: tokenizer, configuration and random weights in the ordinary Hugging Face format.

A small model differs from a large one in its numbers, not in its code. The tokenizer is a `Qwen2Tokenizer` (byte-level
BPE, one digit per token, NFC, Qwen's special tokens) with merges learnt from the kit's own corpus; the chat template is
Qwen2-VL's, byte for byte; the configuration is `Qwen2VLConfig` with fewer layers. The result loads with
`from_pretrained` in an environment without this kit.
Left out: training (`vsr_kit.miniature`), the model card, and adding tokens to an existing tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from vsr_kit.files import seal
from vsr_kit.models.vision import new_processor

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
BLOCK = 64  # nf4 quantises in blocks of 64 weights; a language-model width must be a multiple


def stock_chat_template() -> str:
    """Qwen2-VL's chat template. TRL ships the same bytes, and recognises the model's training variant by them."""
    spec = find_spec("trl")  # found without importing: trl is heavy
    return (Path(spec.origin).parent / "chat_templates" / "qwen2_5_vl.jinja").read_text(encoding="utf-8")


def build_tokenizer(corpus: Iterable[str], vocab_size: int) -> Qwen2Tokenizer:
    """Train a Qwen-style byte-level BPE on `corpus`; `vocab_size` counts the 14 special tokens and the 256 bytes.

    Any text can be encoded and decoded back (NFC-normalised), since every byte is a token. Left padding, as generation
    needs.
    """
    smallest = 256 + len(SPECIAL_TOKENS)
    if vocab_size < smallest:
        raise ValueError(f"vocab_size must be at least {smallest} (256 bytes and the special tokens), got {vocab_size}")
    stock = Qwen2Tokenizer().backend_tokenizer  # its normaliser (NFC) and splitting: words, single digits, punctuation
    bpe = Tokenizer(models.BPE())
    bpe.normalizer, bpe.pre_tokenizer = stock.normalizer, stock.pre_tokenizer
    bpe.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=vocab_size - len(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    trained = json.loads(bpe.to_str())["model"]
    tokenizer = Qwen2Tokenizer(
        vocab=trained["vocab"],
        merges=[tuple(pair) for pair in trained["merges"]],
        eos_token="<|im_end|>",
        extra_special_tokens=list(SPECIAL_TOKENS),
        padding_side="left",
        model_max_length=32768,
    )
    tokenizer.chat_template = stock_chat_template()
    return tokenizer


def build_config(tokenizer, text: dict, vision: dict) -> Qwen2VLConfig:
    """A Qwen2-VL configuration around `tokenizer`.

    text: hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, num_key_value_heads, and whatever else
    Qwen2VLTextConfig takes; vision: depth, embed_dim, num_heads, mlp_ratio, and whatever else Qwen2VLVisionConfig
    takes. The tower's output width is set to the language model's. The three shares of the rotary dimensions (time,
    height, width) keep Qwen2-VL's 16 : 24 : 24. Embeddings are tied. Raises ValueError where nf4 could not take the
    widths.
    """
    _check_widths(text, vision)
    head_dim = text["hidden_size"] // text["num_attention_heads"]
    side = 3 * (head_dim // 2) // 8
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [head_dim // 2 - 2 * side, side, side]}
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    ends = {"bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"]}
    defaults = {
        "vocab_size": -(-len(tokenizer) // BLOCK) * BLOCK,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "rope_parameters": rope,
        "pad_token_id": ids["<|endoftext|>"],
    }
    patches = {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "hidden_size": text["hidden_size"]}
    return Qwen2VLConfig(
        text_config=defaults | ends | text,
        vision_config=patches | vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def _check_widths(text: dict, vision: dict) -> None:
    hidden, heads, kv_heads = text["hidden_size"], text["num_attention_heads"], text["num_key_value_heads"]
    if hidden % heads or heads % kv_heads or (hidden // heads) % 4:
        raise ValueError(
            f"hidden_size {hidden} must split into {heads} heads of a multiple of 4, and the heads into {kv_heads} "
            "groups; change num_attention_heads or num_key_value_heads"
        )
    widths = {
        "hidden_size": hidden,
        "intermediate_size": text["intermediate_size"],
        "num_key_value_heads * head_dim": kv_heads * hidden // heads,
    }
    if odd := {name: width for name, width in widths.items() if width % BLOCK}:
        raise ValueError(f"4-bit weights come in blocks of {BLOCK}: {odd} must be multiples of {BLOCK}")
    if vision["embed_dim"] % (4 * vision["num_heads"]):
        raise ValueError(
            f"the tower's embed_dim must be a multiple of 4 * num_heads (rotary height and width), got {vision}"
        )


def new_checkpoint(
    path, tokenizer, config: Qwen2VLConfig, size: dict[str, int], seed: int = 0, dtype: torch.dtype = torch.float32
) -> Path:
    """Random weights from `seed`, with tokenizer, processor and generation settings, saved under `path`.

    size: {"shortest_edge", "longest_edge"} in pixels per frame; between the two a clip keeps its size. The global
    random state of torch is left as it was. Returns the folder.
    """
    path = Path(path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2VLForConditionalGeneration(config).to(dtype)
    save_checkpoint(path, model, new_processor(tokenizer, size))
    return path


def save_checkpoint(path, model: Qwen2VLForConditionalGeneration, processor) -> Path:
    """Model (safetensors), tokenizer, processor, a greedy generation_config in the ordinary format; and their seal."""
    path, tokenizer = Path(path), processor.tokenizer
    ends = [tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>")]
    model.generation_config.eos_token_id = ends
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = tokenizer.pad_token_id
    model.generation_config.do_sample = False
    model.save_pretrained(path)
    processor.save_pretrained(path)
    seal(path)
    return path
