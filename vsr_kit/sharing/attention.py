"""Attention that reads shared tokens once: over a packed tree, and over a shared KV cache of prompts.

One attention function, registered with transformers under the name `shared`, serves every pass of a model. If it is
given a `TreeMask`, it computes each part of a packed tree against its ancestors and itself. While a `SharedCache`
(shared_cache.py) is read, it computes each row's new token against the beginnings that the row goes on from, each kept
once for all its rows, and against the row's own tokens, in one softmax. With an ordinary mask it is transformers' sdpa.

The results of a tree's parts are recomputed in the backward pass, so that a layer keeps only queries, keys and values.
Left out: attention dropout, sliding windows, beam search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from vsr_kit.models.vision import core_model
from vsr_kit.sharing.packing import PackedTree, Part, inputs_of
from vsr_kit.sharing.shared_cache import SharedCache

NAME = "shared"
EXPANDED_BYTES = 2**26  # that copies of beginnings, and scores, take at once in one layer while prompts are read
_READING: ContextVar[Callable | None] = ContextVar(
    "attention to the beginnings of the cache that is read", default=None
)


def share_attention(model) -> None:
    """Make a model's language model use `shared_attention`; the vision tower keeps its own attention."""
    AttentionInterface.register(NAME, shared_attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    core = core_model(model)
    if core.model.language_model.config._attn_implementation != NAME:
        core.set_attn_implementation({"text_config": NAME})


def shared_attention(module, query, key, value, attention_mask, scaling=None, tree_mask=None, **how):
    """An attention function as transformers calls it: (N, H, T, d) in, (N, T, H, d) out.

    tree_mask: a `TreeMask`, which a model's layers hand down to here; they would take it for a mask of their own
    otherwise, and not all make sense of it.
    """
    if tree_mask is not None:
        if torch.is_grad_enabled() and query.requires_grad:
            out = checkpoint(tree_mask.attend, query, key, value, scaling, use_reentrant=False)
        else:
            out = tree_mask.attend(query, key, value, scaling)
        return out.transpose(1, 2), None
    if (attend := _READING.get()) is not None:
        return attend(module, query, key, value, attention_mask, scaling).transpose(1, 2), None
    return _plain(module, query, key, value, attention_mask, scaling, **how).transpose(1, 2), None


def groups_fall_to_the_slow_kernel(query: torch.Tensor, bias: torch.Tensor | None) -> bool:
    """Whether attention with fewer key heads than query heads would hold all scores in memory on this card.

    On CUDA only the flash kernel takes grouped heads. It takes no mask, and 16-bit numbers alone, on cards from Ampere
    (8.0) on; a T4 is a 7.5. The other fast kernel needs each query head's own keys.
    """
    if not query.is_cuda:
        return False
    flash = query.dtype in (torch.float16, torch.bfloat16) and torch.cuda.get_device_capability(query.device) >= (8, 0)
    return bias is not None or not flash


def grouped_attention(query, key, value, bias, *, causal: bool, scaling=None) -> torch.Tensor:
    """`scaled_dot_product_attention` of (N, H, T, d) over (N, K, L, d); key heads are repeated where that is faster."""
    grouped = not groups_fall_to_the_slow_kernel(query, bias)
    if not grouped:
        key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    return F.scaled_dot_product_attention(query, key, value, bias, is_causal=causal, scale=scaling, enable_gqa=grouped)


def _plain(module, query, key, value, mask, scaling, **how) -> torch.Tensor:
    """transformers' sdpa, (N, H, T, d), which leaves grouped heads as they are where there is no mask."""
    if mask is None and query.shape[2] == key.shape[2] > 1 and groups_fall_to_the_slow_kernel(query, None):
        return grouped_attention(query, key, value, None, causal=True, scaling=scaling)
    return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, **how)[0].transpose(1, 2)


# -- a packed tree -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TreeMask:
    """Given beside a mask: the parts of a tree, and small masks inside parts of several pieces."""

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
        return grouped_attention(query[:, :, part.own], keys, values, bias, causal=bias is None, scaling=scaling)


def _bias(num_seen: int, pieces: tuple[int, ...], dtype: torch.dtype, device) -> torch.Tensor | None:
    """What is added to the scores of T tokens against `num_seen` + T: (T, num_seen + T), or None if plainly causal."""
    if num_seen == 0 and len(pieces) == 1:
        return None
    piece_T = torch.repeat_interleave(torch.arange(len(pieces)), torch.tensor(pieces))
    order_T = torch.arange(len(piece_T))
    allowed_TT = (piece_T[:, None] == piece_T) & (order_T[:, None] >= order_T)
    allowed = F.pad(allowed_TT, (num_seen, 0), value=True).to(device)
    return torch.zeros(allowed.shape, dtype=dtype, device=device).masked_fill_(~allowed, torch.finfo(dtype).min)


def read_tree(core, tree: PackedTree, **how):
    """The language model's output over a packed tree; `how` is a cache, and whether it is used."""
    return core.model.language_model(
        **inputs_of(core, tree.embeds_LD[None]),
        position_ids=tree.positions_3L[:, None],
        attention_mask=None,
        tree_mask=TreeMask.of(tree),
        **how,
    )


# -- a shared KV cache -------------------------------------------------------------------------------------------------


@contextmanager
def reading_from(cache: SharedCache) -> Iterator[None]:
    """While open, passes of one token per row with `cache` attend to its beginnings too."""
    with _reading(partial(_attend_beginnings, cache)):
        yield


@contextmanager
def reading_prompts(cache: SharedCache) -> Iterator[None]:
    """While open, passes of any number of tokens per row do so; the cache may hold one level of beginnings only."""
    with _reading(partial(_attend_copies, cache)):
        yield


@contextmanager
def _reading(attend: Callable) -> Iterator[None]:
    token = _READING.set(attend)
    try:
        yield
    finally:
        _READING.reset(token)


def _attend_copies(cache: SharedCache, module, query, key, value, mask, scaling) -> torch.Tensor:
    """Rows attend to copies of their beginnings, which last for this layer and a few rows; (N, H, T, d) -> same."""
    (begun,), (level,) = cache.layers[module.layer_idx].beginnings, cache.levels
    scores = 4 * query.shape[1] * query.shape[2] * (begun[0].shape[2] + key.shape[2])
    at_once = max(1, EXPANDED_BYTES // (scores + sum(x[0].nbytes for x in begun)))
    made, new = [], (key, value)
    for start in range(0, len(query), at_once):
        some = slice(start, start + at_once)
        keys, values = (torch.cat([x[level.owner_N[some]], own[some]], 2) for x, own in zip(begun, new, strict=True))
        made.append(_plain(module, query[some], keys, values, None if mask is None else mask[some], scaling))
    return torch.cat(made)


def _attend_beginnings(cache: SharedCache, module, query, key, value, mask, scaling) -> torch.Tensor:
    """Each row's token attends to its beginnings and its row's tokens, in one softmax. (N, H, 1, d) -> same."""
    rows, heads, length, size = query.shape
    if length != 1:
        raise ValueError(f"a pass over shared beginnings reads one token a row, got {length}")
    beginnings = cache.layers[module.layer_idx].beginnings
    scale = size**-0.5 if scaling is None else scaling
    own_q = query.view(rows, key.shape[1], heads // key.shape[1], size)  # a key head's queries side by side
    before = [
        level.back(level.together(own_q) @ keys.transpose(-1, -2))
        for level, (keys, _) in zip(cache.levels, beginnings, strict=True)
    ]
    scores = torch.cat([*before, own_q @ key.transpose(-1, -2)], -1)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale
    if mask is not None:  # (N, 1, 1, tokens), True or 0 where a key may be seen
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    *on_begun, on_own = scores.softmax(-1).to(value.dtype).split([*(x.shape[-1] for x in before), key.shape[2]], -1)
    out = on_own @ value
    for level, weights, (_, values) in zip(cache.levels, on_begun, beginnings, strict=True):
        out = out + level.back(level.together(weights) @ values)
    return out.reshape(rows, heads, 1, size)
