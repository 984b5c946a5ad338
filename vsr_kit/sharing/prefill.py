"""Prefill for evaluation: many prompts are read in batches, and a prefix that prompts share is read once.

The prompts about one clip share a prefix, whose keys and values are computed once and held once (shared_cache.py); the
rest of each prompt is read in batches of similar length. Padding is on the left, once before the prefix and once before
the rest, and the mask records where; rotary positions come from the prompts, so padding shifts nothing. `prefill_next`
then appends one token to each sequence. Of long clips, only some are read in a pass and held at a time.
Left out: gradients, and prefixes shared across different clips (the system prompt).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from transformers import Cache

from vsr_kit.models.vision import core_model
from vsr_kit.sharing.attention import reading_from, reading_prompts, share_attention
from vsr_kit.sharing.packing import EncodedPrompt, embed, inputs_of, shared_prefixes
from vsr_kit.sharing.shared_cache import Level, Pair, SharedCache

READ_AT_ONCE = 2**13  # tokens of beginnings in one pass, padding included; one beginning at least
HELD_AT_ONCE = 2**15  # tokens of beginnings whose keys and values are there at a time


@dataclass(frozen=True, eq=False)
class Prefill:
    """N sequences after a prefill: their KV cache and the logits of the next token.

    Attributes:
        logits_NW: of the next token, fp32; W is the size of the vocabulary.
        cache: keys and values of all tokens read so far.
        mask_NL: 1 where the cache holds a token, 0 where it holds padding.
        next_N: rotary position of the next token.
    """

    logits_NW: torch.Tensor
    cache: SharedCache
    mask_NL: torch.Tensor
    next_N: torch.Tensor

    def repeat(self, times: int) -> Prefill:
        """Each sequence `times` over, side by side. The cache is changed in place."""
        if times == 1:
            return self
        self.cache.batch_repeat_interleave(times)
        logits, mask, following = (x.repeat_interleave(times, 0) for x in (self.logits_NW, self.mask_NL, self.next_N))
        return Prefill(logits, self.cache, mask, following)

    def take(self, rows: torch.Tensor) -> Prefill:
        """Only some of the sequences. The cache is changed in place."""
        self.cache.batch_select_indices(rows)
        return Prefill(self.logits_NW[rows], self.cache, self.mask_NL[rows], self.next_N[rows])


@torch.no_grad()
def prefill(
    model, prompts: Sequence[EncodedPrompt], batch_size: int, num_samples: int = 1
) -> Iterator[tuple[list[int], Prefill]]:
    """Read N prompts, and yield them in batches of similar length: indices, and `num_samples` sequences of each.

    The prefix that prompts about the same clip share is read once for all of them, which is exact: a token's keys and
    values depend only on the tokens before it.
    """
    share_attention(model)
    for runs in _held(shared_prefixes(prompts)):
        yield from _prefill(model, prompts, runs, batch_size, num_samples)


def _held(runs: list[tuple[list[int], int]]) -> Iterator[list[tuple[list[int], int]]]:
    """Runs of prompts in parts whose beginnings have at most `HELD_AT_ONCE` tokens together, or of one."""
    part: list[tuple[list[int], int]] = []
    for run in runs:
        if part and (len(part) + 1) * max(length for _, length in [*part, run]) > HELD_AT_ONCE:
            yield part
            part = []
        part.append(run)
    if part:
        yield part


def _prefill(
    model, prompts: Sequence[EncodedPrompt], runs, batch_size: int, num_samples: int
) -> Iterator[tuple[list[int], Prefill]]:
    """`prefill` of some clips' prompts, whose beginnings are there at the same time."""
    core = core_model(model)
    heads = [(embed(model, prompts[rows[0]], 0, n), prompts[rows[0]].positions_3P[:, :n]) for rows, n in runs]
    beginnings, mask_RL = _read_beginnings(core, heads)
    run_of = {i: k for k, (rows, _) in enumerate(runs) for i in rows}
    cut = {i: n for rows, n in runs for i in rows}
    order = sorted(run_of, key=lambda i: len(prompts[i].ids_P) - cut[i])
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        owner = torch.tensor([run_of[i] for i in batch], device=mask_RL.device)
        tails = [(embed(model, prompts[i], cut[i]), prompts[i].positions_3P[:, cut[i] :]) for i in batch]
        cache = SharedCache(beginnings, Level(owner, len(runs)))
        with reading_prompts(cache):
            logits, _, mask = _read(core, tails, cache, mask_RL[owner])
        cache.begin()
        following = torch.tensor([prompts[i].next_position for i in batch], device=mask.device)
        yield batch, Prefill(logits, cache, mask, following).repeat(num_samples)


def _read_beginnings(core, heads: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[list[Pair], torch.Tensor]:
    """Each layer's keys and values (R, K, L, d) of R beginnings, a few read at a time, and the mask (R, L)."""
    longest = max(len(embeds) for embeds, _ in heads)
    at_once = max(1, READ_AT_ONCE // longest)
    caches, masks = [], []
    for start in range(0, len(heads), at_once):
        _, cache, mask = _read(core, heads[start : start + at_once], longest=longest)
        caches.append(cache)
        masks.append(mask)
    pairs = []
    for layers in zip(*(cache.layers for cache in caches), strict=True):
        pairs.append(tuple(_joined([getattr(layer, name) for layer in layers]) for name in ("keys", "values")))
        for layer in layers:
            layer.reset()  # one copy at a time
    return pairs, torch.cat(masks)


def _joined(parts: list[torch.Tensor]) -> torch.Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


@torch.no_grad()
def prefill_next(model, reading: Prefill, ids_N: torch.Tensor) -> Prefill:
    """Append one token to each sequence."""
    core = core_model(model)
    mask = F.pad(reading.mask_NL, (0, 1), value=1)
    positions = reading.next_N.expand(3, 1, -1).transpose(1, 2)
    embeds = core.get_input_embeddings()(ids_N)[:, None]
    with reading_from(reading.cache):
        logits, cache = _forward(core, embeds, positions, mask, reading.cache)
    return Prefill(logits, cache, mask, reading.next_N + 1)


def _read(core, parts: list[tuple[torch.Tensor, torch.Tensor]], cache=None, before_NL=None, longest: int = 0):
    """Read one more part (embeddings (T, D), positions (3, T)) of each sequence, short ones padded on the left."""
    longest = max(longest, *(len(embeds) for embeds, _ in parts))
    pads = [longest - len(embeds) for embeds, _ in parts]
    embeds_NTD = torch.stack([F.pad(embeds, (0, 0, pad, 0)) for (embeds, _), pad in zip(parts, pads, strict=True)])
    positions = torch.stack([F.pad(at, (pad, 0)) for (_, at), pad in zip(parts, pads, strict=True)], 1)
    mask_NL = (torch.arange(longest) >= torch.tensor(pads)[:, None]).long().to(embeds_NTD.device)
    if before_NL is not None:
        mask_NL = torch.cat([before_NL, mask_NL], 1)
    logits, cache = _forward(core, embeds_NTD, positions, mask_NL, cache)
    return logits, cache, mask_NL


def _forward(core, embeds_NTD, positions_3NT, mask_NL, cache: Cache | None) -> tuple[torch.Tensor, Cache]:
    """Logits after the last token, in fp32, and the cache."""
    out = core.model.language_model(
        **inputs_of(core, embeds_NTD),
        attention_mask=mask_NL,
        position_ids=positions_3NT,
        past_key_values=cache,
        use_cache=True,
    )
    return core.lm_head(out.last_hidden_state[:, -1]).float(), out.past_key_values
