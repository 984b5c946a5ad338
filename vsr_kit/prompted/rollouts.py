"""Rollouts of a training step: each prompt is read once, transformers' `generate` decodes from the repeated cache.

The story: a trainer's users expect every sampling setting of transformers to work, and the same random numbers to give
the same rollouts as stock TRL; both hold because `generate` itself does the decoding.
Left out: continuous batching and vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from vsr_kit.prompted.prompt import EncodedPrompt, embed
from vsr_kit.vision import core_model


@torch.no_grad()
def generate_ids(
    model, prompts: Sequence[EncodedPrompt], num_samples: int, generation_config, pad_token_id: int
) -> list[list[int]]:
    """Decode `num_samples` completions of each prompt, reading each prompt once.

    Args:
        model: Qwen2VLForConditionalGeneration, in a PEFT wrapper or not.
        prompts: N prompts of any lengths.
        num_samples: completions of each; more than one needs sampling.
        generation_config: transformers' own; its `suppress_tokens` must hold the image and video pads.
        pad_token_id: what fills short prompts on the left.

    Returns:
        N * num_samples lists of ids, prompt by prompt, cut after their first end token.
    """
    core = core_model(model)
    device = prompts[0].ids_P.device
    left = {"batch_first": True, "padding_side": "left"}
    ids = pad_sequence([p.ids_P for p in prompts], padding_value=pad_token_id, **left)
    mask = pad_sequence([torch.ones_like(p.ids_P) for p in prompts], **left)
    n, longest = ids.shape
    positions = torch.zeros(3, n, longest, dtype=torch.long, device=device)
    embeds = core.get_input_embeddings()(ids)
    for i, p in enumerate(prompts):
        positions[:, i, longest - len(p.ids_P) :] = p.positions_3P
        embeds[i, longest - len(p.ids_P) :] = embed(model, p.ids_P, p, len(p.ids_P))
    # All but the last token are read here; generate() reads that one itself and finds the rest in the cache.
    read = core.model.language_model(
        inputs_embeds=embeds[:, :-1], attention_mask=mask[:, :-1], position_ids=positions[:, :, :-1], use_cache=True
    )
    cache = read.past_key_values
    cache.batch_repeat_interleave(num_samples)
    deltas = torch.tensor([[p.next_position - len(p.ids_P)] for p in prompts], device=device)
    core.model.rope_deltas = deltas.repeat_interleave(num_samples, 0)
    try:
        full = model.generate(
            input_ids=ids.repeat_interleave(num_samples, 0),
            attention_mask=mask.repeat_interleave(num_samples, 0),
            past_key_values=cache,
            generation_config=generation_config,
        )
    finally:
        core.model.rope_deltas = None  # stale ones would silently shift the next forward's positions
    return _until_end(full[:, longest:], generation_config.eos_token_id)


def _until_end(completions_NT: torch.Tensor, eos_token_id: int | list[int]) -> list[list[int]]:
    ends = torch.tensor(
        eos_token_id if isinstance(eos_token_id, list) else [eos_token_id], device=completions_NT.device
    )
    is_end = torch.isin(completions_NT, ends)
    lengths = torch.where(is_end.any(1), is_end.int().argmax(1) + 1, completions_NT.shape[1])
    return [row[:length] for row, length in zip(completions_NT.tolist(), lengths.tolist(), strict=True)]
