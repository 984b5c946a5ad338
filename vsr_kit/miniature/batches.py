"""Loss of many lessons about one clip: the clip is read once a step, and every lesson continues from its KV cache.

Lessons without a clip continue from the system turn in the same way.

All clips have the same number of tokens, so a step reads B clip prefixes in one pass and then the lessons in a few
chunks of similar length, each row on its own clip's keys and values; the gradient runs through both. This is ordinary
teacher forcing without reading a clip's tokens again for every question.
Left out: dropout, label smoothing, packing of several lessons into one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F
from transformers import DynamicCache

from vsr_kit.bridging.chains import results_in
from vsr_kit.miniature.copying import BIND_LAYER, FETCH_LAYER, copying_loss, pointers_in
from vsr_kit.miniature.lessons import LAYERS, WATCH, Lesson, grounding_loss
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
    """Turns lessons into token ids that continue a prefix exactly as the chat template would.

    Args:
        model, processor: that the lessons are for.
        grid_thw: of the clip in patches; None for lessons without a clip.
    """

    def __init__(self, model, processor, grid_thw: tuple[int, int, int] | None) -> None:
        self.processor = processor
        device = model.get_input_embeddings().weight.device
        clip = grid_thw is not None
        text = processor.apply_chat_template(_messages(MARK, clip), tokenize=False, add_generation_prompt=True)
        if clip:
            end = processor.tokenizer.convert_tokens_to_ids("<|vision_end|>")
            ids = chat_ids(processor, _messages("x", clip), grid_thw)
            cut = ids.tolist().index(end) + 1
            positions, _ = rope_positions(model, ids, grid_thw)
            self.prefix = Prefix(ids[:cut].to(device), positions[:, :cut].to(device), int(positions[0, cut]))
            self.before, self.after = text[text.index("<|vision_end|>") + len("<|vision_end|>") :].split(MARK)
        else:
            system, _, turn = text.partition("<|im_start|>user")  # the first user's turn is the only one
            ids = torch.tensor(processor.tokenizer(system)["input_ids"], device=device)
            self.prefix = Prefix(ids, torch.arange(len(ids), device=device).expand(3, -1), len(ids))
            self.before, self.after = f"<|im_start|>user{turn}".split(MARK)
        self.eos = "<|im_end|>"

    def __call__(self, lessons: Sequence[Lesson]) -> list[Encoded]:
        """Token ids of each lesson after the prefix, and which of them are not to be learnt.

        What is given has to end where a word ends, and its reply to begin with the next, or tokens would differ.
        """
        tokenizer = self.processor.tokenizer
        asked = tokenizer([self.before + lesson.user + self.after + lesson.given for lesson in lessons])["input_ids"]
        replies = tokenizer([lesson.reply + self.eos for lesson in lessons], return_offsets_mapping=True)
        return [
            Encoded(before + reply, len(before), _passed_over(lesson, offsets, len(before)))
            for lesson, before, reply, offsets in zip(
                lessons, asked, replies["input_ids"], replies["offset_mapping"], strict=True
            )
        ]


class Encoded(NamedTuple):
    """A lesson as tokens.

    Attributes:
        ids: after the prefix.
        prompt: how many of them stand before what is learnt: the question, and what is given.
        passed_over: positions behind these that are not learnt either.
    """

    ids: list[int]
    prompt: int
    passed_over: frozenset[int] = frozenset()


def _passed_over(lesson: Lesson, offsets: Sequence[tuple[int, int]], prompt: int) -> frozenset[int]:
    if not lesson.results_only:
        return frozenset()
    learnt = results_in(lesson.reply)
    inside = (any(begin < end_at and end > begin_at for begin_at, end_at in learnt) for begin, end in offsets)
    return frozenset(prompt + place for place, own in enumerate(inside) if not own)


def _messages(user: str, clip: bool) -> list[dict]:
    video = [{"type": "video"}] if clip else []
    return [{"role": "user", "content": [*video, {"type": "text", "text": user}]}]


@dataclass(frozen=True)
class Copying:
    """What repeats a stated value looks back at it: the text of each token id, and the weight of that loss."""

    texts: Sequence[str]
    weight: float


@dataclass(frozen=True)
class Grounding:
    """What words are to look at: category of each token id, and which merged token shows which category."""

    category_of_token: torch.Tensor
    shown_BVC: torch.Tensor
    weight: float


def lesson_loss(
    model,
    prefix: Prefix,
    features_BVD,
    encoded,
    clip_of_row,
    chunks: int = 3,
    grounding: Grounding | None = None,
    copying: Copying | None = None,
) -> tuple[torch.Tensor, dict[str, float]]:
    """Cross-entropy of N replies about B clips; a reply of n tokens weighs as much as the root of n.

    Short answers would drown in long replies if every token weighed the same.

    Args:
        model: Qwen2VLForConditionalGeneration.
        prefix: shared by all clips.
        features_BVD: merged tokens of the clips; (1, 0, D) for a prefix without a clip.
        encoded: N pairs of ids and prompt length, as LessonEncoder returns them.
        clip_of_row: N indices into the B clips.
        chunks: rows are sorted by length and computed in so many passes, to save padding.
        grounding: adds the loss of `vsr_kit.miniature.lessons`, weighted.
        copying: adds the loss of `vsr_kit.miniature.copying`, weighted.

    Returns:
        The loss and its parts, to log.
    """
    keys_values = _read_clips(model, prefix, features_BVD)
    WATCH.seen.clear()
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i][0]))
    size = -(-len(order) // chunks)
    total, weight = 0.0, 0.0
    looked, words = 0.0, 0
    copied, values = 0.0, 0
    WATCH.on, WATCH.layers = grounding is not None or copying is not None, (*LAYERS, BIND_LAYER, FETCH_LAYER)
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        part, clips = [encoded[i] for i in rows], [clip_of_row[i] for i in rows]
        loss, own = _chunk_loss(model, prefix, keys_values, part, clips)
        total, weight = total + loss, weight + own
        if grounding is not None:
            astray, count = _chunk_grounding(prefix, grounding, model, part, clips)
            looked, words = looked + astray, words + count
        if copying is not None:
            pointers = [pointers_in(ids, copying.texts, prompt) for ids, prompt, *_ in part]
            astray, count = copying_loss(WATCH.seen, pointers, len(prefix.ids_P))
            copied, values = copied + astray, values + count
        WATCH.seen.clear()
    WATCH.on = False
    loss, read = total / weight, {"words": float(total.detach() / weight)}
    if grounding is not None:
        loss = loss + grounding.weight * looked / words
        read["astray"] = float(looked.detach() / words)
    if copying is not None:
        loss = loss + copying.weight * copied / max(values, 1)
        read["uncopied"] = float(torch.as_tensor(copied).detach() / max(values, 1))
    return loss, read


def _chunk_grounding(prefix: Prefix, grounding: Grounding, model, encoded, clip_of_row):
    longest = max(len(ids) for ids, *_ in encoded)
    named = torch.full((len(encoded), longest), -1)
    for row, (ids, *_) in enumerate(encoded):
        named[row, : len(ids)] = grounding.category_of_token[torch.tensor(ids)]
    device = prefix.ids_P.device
    shown = grounding.shown_BVC[clip_of_row].to(device)
    return grounding_loss(named.to(device), shown, prefix.ids_P == model.config.video_token_id)


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
    n, longest = len(encoded), max(len(ids) for ids, *_ in encoded)
    ids, labels = torch.zeros(n, longest, dtype=torch.long), torch.full((n, longest), -100)
    for row, (row_ids, prompt, *rest) in enumerate(encoded):
        line = torch.tensor(row_ids)
        ids[row, : len(line)] = line
        labels[row, prompt - 1 : len(line) - 1] = line[prompt:]  # a token's label stands where it is predicted
        for passed_over in rest:
            labels[row, [place - 1 for place in sorted(passed_over)]] = -100
    device = prefix.ids_P.device  # rows are filled where that is cheap, and moved at once
    ids, labels, index = ids.to(device), labels.to(device), torch.tensor(clip_of_row, device=device)
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(keys_values):
        cache.update(keys[index], values[index], layer)
    positions = (prefix.next_position + torch.arange(longest, device=device)).expand(3, n, longest)
    # Padding stands on the right, where causal attention never looks, so no padding mask is needed.
    hidden = model.model.language_model(
        inputs_embeds=model.get_input_embeddings()(ids), position_ids=positions, past_key_values=cache, use_cache=True
    ).last_hidden_state
    scored = labels >= 0
    logits = model.lm_head(hidden[scored]).float()
    root_N1 = scored.sum(1, keepdim=True).float().sqrt()
    loss = F.cross_entropy(logits, labels[scored], reduction="none")
    return (loss / root_N1.expand_as(scored)[scored]).sum(), float(root_N1.sum())
