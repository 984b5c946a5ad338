"""A random Qwen2-VL of half a million weights with our tokenizer: what tests of models and trainers run on."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from vsr_kit.models import lora_config
from vsr_kit.models.families import FAMILIES
from vsr_kit.models.new_checkpoint import build_config, build_tokenizer, new_checkpoint, save_checkpoint
from vsr_kit.models.vision import new_processor

SIZE = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
VISION = {"depth": 2, "embed_dim": 64, "num_heads": 2, "mlp_ratio": 2}
CORPUS = [
    "How many chair(s) are in this room? Please answer the question using a single word or phrase. <answer>3</answer>",
    "These are frames of a video. Options: A. left B. right. You are a helpful assistant. system user assistant",
] * 2


def tiny_checkpoint(path, text=None, vision=None, vocab_size=400, seed=0) -> Path:
    """Save a tiny random model under `path`; `text` and `vision` override single sizes."""
    tokenizer = build_tokenizer(CORPUS, vocab_size)
    config = build_config(tokenizer, text=TEXT | (text or {}), vision=VISION | (vision or {}))
    config.text_config.initializer_range = 0.2  # at 0.02 a random model ignores its input, and every test would pass
    config.vision_config.initializer_range = 0.2
    config.initializer_range = 0.2
    return new_checkpoint(path, tokenizer, config, SIZE, seed=seed)


def tiny_of_family(path, kind: str, seed: int = 0, text=None, **vision) -> Path:
    """A tiny random model of another family under `path`, in transformers' own format.

    text, vision: override single sizes of its language model and of its tower.
    """
    import torch
    import transformers

    family, tokenizer = FAMILIES[kind], build_tokenizer(CORPUS, 400)
    ids = {token: tokenizer.convert_tokens_to_ids(f"<|{token}|>") for token in ("image_pad", "video_pad")}
    ids |= {token: tokenizer.convert_tokens_to_ids(f"<|{token}|>") for token in ("vision_start", "vision_end")}
    sizes = TEXT | (text or {})
    half = sizes["hidden_size"] // sizes["num_attention_heads"] // 2
    rope = {
        "rope_type": "default",
        "rope_theta": 1e4,
        "mrope_section": [half - 2 * (3 * half // 8), *[3 * half // 8] * 2],
    }
    text = sizes | {
        "vocab_size": 448,
        "rope_parameters": rope,
        "max_position_embeddings": 8192,
        "initializer_range": 0.2,
    }
    # one layer more than the two behind which features are added: behind the last one nothing would read them
    own = {"head_dim": 2 * half, "pad_token_id": tokenizer.pad_token_id}
    own |= {"num_hidden_layers": max(3, sizes["num_hidden_layers"])}
    text |= own if kind == "qwen3_vl" else {}
    text |= {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    tower = {"hidden_size": 64, "intermediate_size": 64, "num_heads": 2, "depth": 3}
    tower |= {"out_hidden_size": sizes["hidden_size"]}
    tower |= {
        "qwen2_5_vl": {"fullatt_block_indexes": [1], "window_size": 56, "tokens_per_second": 2},
        "qwen3_vl": {"deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64},
    }[kind]
    named = {f"{name.removesuffix('_pad')}_token_id": number for name, number in ids.items()}
    settings = {"text_config": text, "vision_config": tower | {"initializer_range": 0.2} | vision} | named
    config = getattr(transformers, family.model).config_class(**settings, tie_word_embeddings=True)
    config.initializer_range = 0.2
    if kind == "qwen3_vl":
        chats = Path(find_spec("trl").origin).parent / "chat_templates"
        tokenizer.chat_template = (chats / "qwen3_vl.jinja").read_text(encoding="utf-8")
    many = 8 if kind == "qwen3_vl" else 1  # its bounds are those of a whole clip
    size = {edge: pixels * many for edge, pixels in SIZE.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, family.model)(config)
    return save_checkpoint(path, model, new_processor(tokenizer, size, family))


def tiny_clip(seed: int, num_frames: int = 4, height_px: int = 56, width_px: int = 56) -> np.ndarray:
    """Random uint8 frames (F, H, W, 3); 4 x 56 x 56 px make 2 x 2 x 2 = 8 merged video tokens."""
    return np.random.default_rng(seed).integers(0, 256, (num_frames, height_px, width_px, 3), dtype=np.uint8)


def tiny_messages(question: str, video: bool = True) -> list[dict]:
    """One user turn as prompts.chat_messages shapes it."""
    text = {"type": "text", "text": f"These are frames of a video.\n{question}"}
    return [{"role": "user", "content": [{"type": "video"}, text] if video else [text]}]


def random_lora(alpha: int = 8):
    """LoRA that is no identity at the start, so that policy and reference differ and both factors get gradients."""
    lora = lora_config(rank=4, alpha=alpha)
    lora.init_lora_weights = False
    return lora
