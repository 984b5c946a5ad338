"""Rollouts of a training step: one prefill per clip and prompt serves all completions that are sampled from it.

One pass over the packed prompts fills a KV cache, with a clip's part computed once for all its questions. transformers'
`generate` decodes, so that every sampling setting works and the same random numbers give the rollouts of stock TRL.
Each new token attends to its prompt's keys, kept once for the G rollouts of the prompt, and to its own row's keys.
On a CPU a small model's adapter is merged into its weights meanwhile (models/dequantized.py).
Left out: continuous batching, beam search and vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList

from vsr_kit.failures import refuse_non_finite
from vsr_kit.models.dequantized import merged_adapters
from vsr_kit.models.vision import core_model
from vsr_kit.sharing.attention import read_tree, reading_from, share_attention
from vsr_kit.sharing.packing import EncodedPrompt, PackedTree, pack
from vsr_kit.sharing.shared_cache import Level, SharedCache


@torch.no_grad()
def generate_ids(
    model, prompts: Sequence[EncodedPrompt], num_samples: int, generation_config, pad_token_id: int
) -> list[list[int]]:
    """Decode `num_samples` completions of each prompt, reading each prompt once.

    Args:
        model: of one of `families.FAMILIES`, in a PEFT wrapper or not.
        prompts: N prompts of any lengths; those about one clip share it.
        num_samples: completions of each; more than one needs sampling.
        generation_config: transformers' own, without beams; its `suppress_tokens` must hold the image and video pads.
        pad_token_id: what fills short prompts on the left.

    Returns:
        N * num_samples lists of ids, prompt by prompt, cut after their first end token.

    Raises:
        NotFinite: the model's numbers overflowed.
    """
    if (generation_config.num_beams or 1) > 1:
        raise ValueError(f"num_beams is {generation_config.num_beams}: rollouts are sampled or greedy; leave it at 1")
    share_attention(model)
    core, device = core_model(model), prompts[0].ids_P.device
    left = {"batch_first": True, "padding_side": "left"}
    ids = pad_sequence([p.ids_P for p in prompts], padding_value=pad_token_id, **left)
    mask = pad_sequence([torch.ones_like(p.ids_P) for p in prompts], **left)
    # All but the last tokens are read here; generate() reads those itself and finds the rest in the cache.
    cache = SharedCache(_read(core, pack(model, prompts)), Level.each(len(prompts), num_samples, device))
    deltas = torch.tensor([[p.next_position - len(p.ids_P)] for p in prompts], device=device)
    core.model.rope_deltas = deltas.repeat_interleave(num_samples, 0)
    try:
        with reading_from(cache), merged_adapters(model):
            full = model.generate(
                input_ids=ids.repeat_interleave(num_samples, 0),
                attention_mask=mask.repeat_interleave(num_samples, 0),
                past_key_values=cache,
                generation_config=generation_config,
                logits_processor=LogitsProcessorList([_Finite(ids.shape[1])]),
            )
    finally:
        core.model.rope_deltas = None  # stale ones would silently shift the next forward's positions
    return _until_end(full[:, ids.shape[1] :], generation_config.eos_token_id)


class _Finite(LogitsProcessor):
    """Refuses to sample where the logits are no numbers, and changes none of them."""

    def __init__(self, prompt_length: int) -> None:
        self.prompt_length = prompt_length

    def __call__(self, input_ids, scores):
        refuse_non_finite(scores, input_ids.shape[1] - self.prompt_length)
        return scores


def _read(core, tree: PackedTree) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each layer's keys and values of N prompts without their last tokens, (N, K, P, d), padded on the left."""
    cache = DynamicCache()
    read_tree(core, tree, past_key_values=cache, use_cache=True)
    order = torch.arange(len(tree.embeds_LD), device=tree.embeds_LD.device)
    places = [torch.cat([order[place] for place in own]) for own in tree.prompt_places]
    longest = max(map(len, places))
    places_NP = torch.stack([F.pad(own, (longest - len(own), 0)) for own in places])  # padding repeats token 0, unseen
    return [
        tuple(x[0][:, places_NP].transpose(0, 1).contiguous() for x in (layer.keys, layer.values))
        for layer in cache.layers
    ]


def _until_end(completions_NT: torch.Tensor, eos_token_id: int | list[int]) -> list[list[int]]:
    ends = torch.tensor(
        eos_token_id if isinstance(eos_token_id, list) else [eos_token_id], device=completions_NT.device
    )
    is_end = torch.isin(completions_NT, ends)
    lengths = torch.where(is_end.any(1), is_end.int().argmax(1) + 1, completions_NT.shape[1])
    return [row[:length] for row, length in zip(completions_NT.tolist(), lengths.tolist(), strict=True)]
