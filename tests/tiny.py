"""A random Qwen2-VL of half a million weights with our tokenizer: what tests of models and trainers run on."""

from pathlib import Path

import numpy as np

from vsr_kit.models import lora_config
from vsr_kit.models.new_checkpoint import build_config, build_tokenizer, new_checkpoint

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
