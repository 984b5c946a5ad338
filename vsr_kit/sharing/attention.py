"""Attention that reads shared tokens once: over a packed tree, and over a shared KV cache of prompts.

One attention function, registered with transformers under the name `shared`, serves every pass of a model. If the mask
is a `TreeMask`, it computes each part of a packed tree against its ancestors and itself. Inside `reading_from(cache)`,
it computes each row's single new token against the prefix in the shared cache, which is kept once for the G rollouts of
a prompt, and against the row's own tokens. With an ordinary mask it is transformers' sdpa.

The results of a tree's parts are recomputed in the backward pass, so that a layer keeps only queries, keys and values.
Left out: attention dropout, sliding windows, beam search.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from vsr_kit.models.vision import core_model
from vsr_kit.sharing.packing import PackedTree, Part

NAME = "shared"
_READING: ContextVar[SharedCache | None] = ContextVar("the cache that rollouts go on from", default=None)


def share_attention(model) -> None:
    """Make a model's language model use `shared_attention`; the vision tower keeps its own attention."""
    AttentionInterface.register(NAME, shared_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    core = core_model(model)
    if core.model.language_model.config._attn_implementation != NAME:
        core.set_attn_implementation({"text_config": NAME})


def shared_attention(module, query, key, value, attention_mask, scaling=None, **how):
    """An attention function as transformers calls it: (N, H, T, d) in, (N, T, H, d) out."""
    if isinstance(attention_mask, TreeMask):
        if torch.is_grad_enabled() and query.requires_grad:
            out = checkpoint(attention_mask.attend, query, key, value, scaling, use_reentrant=False)
        else:
            out = attention_mask.attend(query, key, value, scaling)
        return out.transpose(1, 2), None
    if (cache := _READING.get()) is not None:
        layer = cache.layers[module.layer_idx]
        return _attend_beginnings(query, key, value, layer, attention_mask, scaling).transpose(1, 2), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **how)


# -- a packed tree -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TreeMask:
    """Passed in place of a mask: the parts of a tree, and small masks inside parts of several pieces."""

    parts: tuple[Part, ...]
    biases: tuple[torch.Tensor | None, ...]

    @classmethod
    def of(cls, tree: PackedTree) -> TreeMask:
        """The mask of a tree, in the dtype that queries have here (autocast's or the embeddings')."""
        device = tree.embeds_LD.device
        autocast = torch.is_autocast_enabled(device.type)
        dtype = torch.get_autocast_dtype(device.type) if autocast else tree.embeds_LD.dtype
        made: dict[tuple, torch.Tensor | None] = {}
        for part in tree.parts:
            made.setdefault((part.num_seen, part.pieces), None)
        for shape in made:
            made[shape] = _bias(*shape, dtype, device)
        return cls(tree.parts, tuple(made[part.num_seen, part.pieces] for part in tree.parts))

    def attend(self, query, key, value, scaling) -> torch.Tensor:
        """(1, H, L, d), (1, K, L, d) twice -> (1, H, L, d)."""
        return torch.cat([self._part(i, query, key, value, scaling) for i in range(len(self.parts))], 2)

    def _part(self, i: int, query, key, value, scaling) -> torch.Tensor:
        part, bias = self.parts[i], self.biases[i]
        keys, values = (torch.cat([x[:, :, place] for place in (*part.seen, part.own)], 2) for x in (key, value))
        if bias is not None and query.is_cuda:  # grouped heads under a mask would fall to the slow kernel
            keys, values = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (keys, values))
        return F.scaled_dot_product_attention(
            query[:, :, part.own], keys, values, bias, is_causal=bias is None, scale=scaling, enable_gqa=True
        )


def _bias(num_seen: int, pieces: tuple[int, ...], dtype: torch.dtype, device) -> torch.Tensor | None:
    """What is added to the scores of T tokens against `num_seen` + T: (T, num_seen + T), or None if plainly causal."""
    if num_seen == 0 and len(pieces) == 1:
        return None
    piece_T = torch.repeat_interleave(torch.arange(len(pieces)), torch.tensor(pieces))
    order_T = torch.arange(len(piece_T))
    allowed_TT = (piece_T[:, None] == piece_T) & (order_T[:, None] >= order_T)
    allowed = F.pad(allowed_TT, (num_seen, 0), value=True).to(device)
    return torch.zeros(allowed.shape, dtype=dtype, device=device).masked_fill_(~allowed, torch.finfo(dtype).min)


# -- a shared KV cache -------------------------------------------------------------------------------------------------


class SharedLayer(DynamicLayer):
    """One layer of the cache: N prefixes (N, K, P, d) kept once, and the own tokens of N * `each` rows."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.beginning, self.each = (keys, values), 1

    def get_seq_length(self) -> int:
        return self.beginning[0].shape[-2] + super().get_seq_length()

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Give each prefix `repeats` rows; called before any row has added a token."""
        self.each *= repeats

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only some of the rows, each from now on with a prefix of its own."""
        self.beginning, self.each = tuple(x[indices // self.each] for x in self.beginning), 1
        if self.is_initialized:
            self.keys, self.values = self.keys[indices], self.values[indices]


class SharedCache(DynamicCache):
    """A KV cache of N prefixes for N * G rows, the G rows of a prefix side by side."""

    def __init__(self, beginnings: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__()
        self.layers = [SharedLayer(keys, values) for keys, values in beginnings]


@contextmanager
def reading_from(cache: SharedCache) -> Iterator[None]:
    """While open, passes of one token per row with `cache` attend to its prefixes too."""
    token = _READING.set(cache)
    try:
        yield
    finally:
        _READING.reset(token)


def _attend_beginnings(query, key, value, layer: SharedLayer, mask, scaling) -> torch.Tensor:
    """Row n's token attends to prefix n // G and its row's tokens, in one softmax. (N * G, H, 1, d) -> same."""
    rows, heads, length, size = query.shape
    if length != 1:
        raise ValueError(f"a pass over shared beginnings reads one token a row, got {length}")
    begun_k, begun_v = layer.beginning
    n, kv_heads, begun, _ = begun_k.shape
    each, group = rows // n, heads // kv_heads
    scale = size**-0.5 if scaling is None else scaling
    grouped = query.view(n, each, kv_heads, group, size)
    shared_q = grouped.transpose(1, 2).reshape(n, kv_heads, each * group, size)  # a prefix's queries side by side
    own_q = grouped.reshape(rows, kv_heads, group, size)
    before = (shared_q @ begun_k.transpose(-1, -2)).view(n, kv_heads, each, group, begun).transpose(1, 2)
    scores = torch.cat([before.reshape(rows, kv_heads, group, begun), own_q @ key.transpose(-1, -2)], -1)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale
    if mask is not None:  # (N * G, 1, 1, P + T), True or 0 where a key may be seen
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(-1).to(value.dtype)
    on_begun = weights[..., :begun].view(n, each, kv_heads, group, begun).transpose(1, 2)
    from_begun = (on_begun.reshape(n, kv_heads, each * group, begun) @ begun_v).view(n, kv_heads, each, group, size)
    out = from_begun.transpose(1, 2).reshape(rows, kv_heads, group, size) + weights[..., begun:] @ value
    return out.reshape(rows, heads, 1, size)
