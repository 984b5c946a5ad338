"""Loss of many lessons about one clip: the clip is read once a step, and every lesson continues from its KV cache.

All clips have the same number of tokens, so a step reads B clip prefixes in one pass and then the lessons in a few
chunks of similar length, each row on its own clip's keys and values; the gradient runs through both. This is ordinary
teacher forcing without reading a clip's tokens again for every question.
Left out: dropout, label smoothing, packing of several lessons into one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from transformers import DynamicCache

from vsr_kit.miniature.lessons import WATCH, Lesson, grounding_loss
from vsr_kit.models.vision import chat_ids, rope_positions

MARK = "\u0000"


@dataclass(frozen=True)
class Prefix:
    """What stands before every lesson: system turn, opening of the user's turn, the clip.

    Attributes:
        ids_P: its token ids.
        positions_3P: their positions in time, height and width.
        next_position: of the first token after it.
    """

    ids_P: torch.Tensor
    positions_3P: torch.Tensor
    next_position: int


class LessonEncoder:
    """Turns lessons into token ids that continue a prefix exactly as the chat template would."""

    def __init__(self, model, processor, grid_thw: tuple[int, int, int]) -> None:
        self.processor = processor
        end = processor.tokenizer.convert_tokens_to_ids("<|vision_end|>")
        ids = self._chat("x", grid_thw)
        cut = ids.tolist().index(end) + 1
        positions, _ = rope_positions(model, ids, grid_thw)
        self.prefix = Prefix(ids[:cut], positions[:, :cut], int(positions[0, cut]))
        text = processor.apply_chat_template(_messages(MARK), tokenize=False, add_generation_prompt=True)
        self.before, self.after = text[text.index("<|vision_end|>") + len("<|vision_end|>") :].split(MARK)
        self.eos = "<|im_end|>"

    def _chat(self, user: str, grid_thw) -> torch.Tensor:
        return chat_ids(self.processor, _messages(user), grid_thw)

    def __call__(self, lessons: Sequence[Lesson]) -> list[tuple[list[int], int]]:
        """Token ids of each lesson after the prefix, and how many of them are prompt."""
        tokenizer = self.processor.tokenizer
        asked = tokenizer([self.before + lesson.user + self.after for lesson in lessons])["input_ids"]
        replies = tokenizer([lesson.reply + self.eos for lesson in lessons])["input_ids"]
        return [(a + r, len(a)) for a, r in zip(asked, replies, strict=True)]


def _messages(user: str) -> list[dict]:
    return [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": user}]}]


@dataclass(frozen=True)
class Grounding:
    """What words are to look at: category of each token id, and which merged token shows which category."""

    category_of_token: torch.Tensor
    shown_BVC: torch.Tensor
    weight: float


def lesson_loss(
    model, prefix: Prefix, features_BVD, encoded, clip_of_row, chunks: int = 3, grounding: Grounding | None = None
) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy of N replies about B clips; a reply of n tokens weighs as much as the root of n.

    Short answers would drown in long replies if every token weighed the same.

    Args:
        model: Qwen2VLForConditionalGeneration.
        prefix: shared by all clips.
        features_BVD: merged tokens of the clips.
        encoded: N pairs of ids and prompt length, as LessonEncoder returns them.
        clip_of_row: N indices into the B clips.
        chunks: rows are sorted by length and computed in so many passes, to save padding.
        grounding: adds the loss of `vsr_kit.miniature.lessons`, weighted.

    Returns:
        The loss and its parts, to log.
    """
    keys_values = _read_clips(model, prefix, features_BVD)
    WATCH.seen.clear()
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i][0]))
    size = -(-len(order) // chunks)
    total, weight = 0.0, 0.0
    looked, words = 0.0, 0
    WATCH.on = grounding is not None
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        loss, part = _chunk_loss(model, prefix, keys_values, [encoded[i] for i in rows], [clip_of_row[i] for i in rows])
        total, weight = total + loss, weight + part
        if grounding is not None:
            astray, count = _chunk_grounding(
                prefix, grounding, model, [encoded[i] for i in rows], [clip_of_row[i] for i in rows]
            )
            looked, words = looked + astray, words + count
    WATCH.on = False
    loss, read = total / weight, {"words": float(total.detach() / weight)}
    if grounding is not None:
        loss = loss + grounding.weight * looked / words
        read["astray"] = float(looked.detach() / words)
    return loss, read


def _chunk_grounding(prefix: Prefix, grounding: Grounding, model, encoded, clip_of_row):
    longest = max(len(ids) for ids, _ in encoded)
    named = torch.full((len(encoded), longest), -1)
    for row, (ids, _) in enumerate(encoded):
        named[row, : len(ids)] = grounding.category_of_token[torch.tensor(ids)]
    return grounding_loss(named, grounding.shown_BVC[clip_of_row], prefix.ids_P == model.config.video_token_id)


def _read_clips(model, prefix: Prefix, features_BVD: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    core = model.model
    b = len(features_BVD)
    embeds = core.get_input_embeddings()(prefix.ids_P)[None].repeat(b, 1, 1)
    place = (prefix.ids_P == model.config.video_token_id)[None, :, None].expand_as(embeds)
    embeds = embeds.masked_scatter(place, features_BVD.to(embeds.dtype))
    cache = DynamicCache()
    positions = prefix.positions_3P[:, None].expand(-1, b, -1)
    core.language_model(inputs_embeds=embeds, position_ids=positions, past_key_values=cache, use_cache=True)
    return [(layer.keys, layer.values) for layer in cache.layers]


def _chunk_loss(model, prefix: Prefix, keys_values, encoded, clip_of_row) -> tuple[torch.Tensor, float]:
    n, longest = len(encoded), max(len(ids) for ids, _ in encoded)
    ids, labels = torch.zeros(n, longest, dtype=torch.long), torch.full((n, longest), -100)
    for row, (row_ids, prompt) in enumerate(encoded):
        line = torch.tensor(row_ids)
        ids[row, : len(line)] = line
        labels[row, prompt - 1 : len(line) - 1] = line[prompt:]  # a token's label stands where it is predicted
    index = torch.tensor(clip_of_row)
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(keys_values):
        cache.update(keys[index], values[index], layer)
    positions = (prefix.next_position + torch.arange(longest)).expand(3, n, longest)
    # Padding stands on the right, where causal attention never looks, so no padding mask is needed.
    hidden = model.model.language_model(
        inputs_embeds=model.get_input_embeddings()(ids), position_ids=positions, past_key_values=cache, use_cache=True
    ).last_hidden_state
    scored = labels >= 0
    logits = model.lm_head(hidden[scored]).float()
    root_N1 = scored.sum(1, keepdim=True).float().sqrt()
    loss = F.cross_entropy(logits, labels[scored], reduction="none")
    return (loss / root_N1.expand_as(scored)[scored]).sum(), float(root_N1.sum())
