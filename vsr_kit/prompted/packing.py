"""All completions of a prompt scored in one sequence that holds the prompt once.

The story: for a prompt of P tokens and G completions,

    sequence    prompt[:-1] | prompt[-1] c1[:-1] | prompt[-1] c2[:-1] | ...
    positions   0 .. P-2    | P-1 ..             | P-1 ..             | ...    (rotary; a clip shifts them all)
    may see     itself      | prompt, itself     | prompt, itself     | ...    (each causally)
    predicts    nothing     | c1                 | c2                 | ...

so every token's log-probability is what a plain forward of its own prompt and completion would give.
Left out: packing several prompts, and attention that skips the empty blocks of the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vsr_kit.prompted.prompt import EncodedPrompt, embed
from vsr_kit.vision import core_model


def score_group(
    model, prompt: EncodedPrompt, completions: Sequence[torch.Tensor], with_entropy: bool = False
) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Log-probabilities of a prompt's completions, read in one sequence.

    The sequence is `prompt[:-1]`, then `[prompt[-1], completion[:-1]]` for each completion; a completion's rotary
    positions go on from the prompt's, whatever stands between.

    Args:
        model: a model whose forward TRL has patched for `fused_lm_head` (any model inside a GRPOTrainer).
        completions: G id tensors, none empty.

    Returns:
        G pairs of log-probabilities and entropies, each of the completion's length.
    """
    packed = pack_group(prompt, completions)
    core = core_model(model)
    embeds = embed(model, packed.ids_L, prompt, len(prompt.ids_P) - 1)[None]
    dtype = (
        torch.get_autocast_dtype(embeds.device.type) if torch.is_autocast_enabled(embeds.device.type) else core.dtype
    )
    bias = torch.zeros(packed.allowed_LL.shape, dtype=dtype, device=embeds.device)
    bias.masked_fill_(~packed.allowed_LL, torch.finfo(dtype).min)  # float: a bool mask is misread by eager attention
    out = model(
        inputs_embeds=embeds,
        position_ids=packed.positions_3L[:, None],
        attention_mask=bias[None, None],
        shift_labels=packed.labels_L[None],
        fused_lm_head=True,
        use_cache=False,
    )
    lengths = [len(c) for c in completions]
    start = len(prompt.ids_P) - 1
    logps = out.log_probs[0, start:].split(lengths)
    entropies = out.entropy[0, start:].split(lengths) if with_entropy else [None] * len(lengths)
    return list(zip(logps, entropies, strict=True))


@dataclass(frozen=True)
class PackedGroup:
    """A prompt and its completions as one sequence of L tokens.

    Attributes:
        ids_L, positions_3L: tokens and their rotary positions.
        labels_L: the token to predict at each place, -100 where none is scored.
        allowed_LL: True where row may look at column.
    """

    ids_L: torch.Tensor
    positions_3L: torch.Tensor
    labels_L: torch.Tensor
    allowed_LL: torch.Tensor


def pack_group(prompt: EncodedPrompt, completions: Sequence[torch.Tensor]) -> PackedGroup:
    """Lay a prompt and its completions side by side."""
    if any(len(c) == 0 for c in completions):
        raise ValueError("a completion has no token: score at least its end token")
    device, head = prompt.ids_P.device, prompt.ids_P[:-1]
    parts = [torch.cat([prompt.ids_P[-1:], c[:-1]]) for c in completions]
    lengths = torch.tensor([len(p) for p in parts], device=device)
    steps = torch.cat([torch.arange(len(p), device=device) for p in parts]) + prompt.next_position - 1
    owner = torch.repeat_interleave(torch.arange(1, len(parts) + 1, device=device), lengths)
    owner = torch.cat([torch.zeros(len(head), dtype=owner.dtype, device=device), owner])
    order = torch.arange(len(owner), device=device)
    allowed = (order[:, None] >= order) & ((owner == 0) | (owner[:, None] == owner))
    return PackedGroup(
        ids_L=torch.cat([head, *parts]),
        positions_3L=torch.cat([prompt.positions_3P[:, :-1], steps.expand(3, -1)], 1),
        labels_L=torch.cat([torch.full((len(head),), -100, device=device), *completions]),
        allowed_LL=allowed,
    )
