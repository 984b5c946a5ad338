"""One question about one clip, as token ids, positions and features.

The story: nothing here runs the model; `embed` puts the clip's features where the video pads stand, in the prompt and
nowhere else, so that a completion that says `<|video_pad|>` cannot steal them.
Left out: several clips in one prompt, and images.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from vsr_kit.vision import ClipFeatures, chat_ids, core_model, rope_positions


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """One prompt, ready for the language model.

    Attributes:
        ids_P: token ids.
        positions_3P: rotary positions in time, height and width.
        next_position: of the first token of a completion.
        features_VD: the clip's merged tokens, or None without a clip.
    """

    ids_P: torch.Tensor
    positions_3P: torch.Tensor
    next_position: int
    features_VD: torch.Tensor | None


def encode_prompt(model, processor, messages: list[dict], clip: ClipFeatures | None) -> EncodedPrompt:
    """Token ids and positions of a conversation about an encoded clip (or about none)."""
    device = core_model(model).get_input_embeddings().weight.device
    grid = None if clip is None else clip.grid_thw
    ids = chat_ids(processor, messages, grid).to(device)
    positions, following = rope_positions(model, ids, grid)
    return EncodedPrompt(ids, positions, following, None if clip is None else clip.features_VD.to(device))


def embed(model, prompt: EncodedPrompt) -> torch.Tensor:
    """Input embeddings (P, D) of a prompt, its clip's features where the pads stand."""
    core = core_model(model)
    embeds = core.get_input_embeddings()(prompt.ids_P)
    if prompt.features_VD is None:
        return embeds
    place = (prompt.ids_P == core.config.video_token_id)[:, None]
    return embeds.masked_scatter(place, prompt.features_VD.to(embeds.dtype))


def shared_beginnings(prompts: Sequence[EncodedPrompt]) -> list[tuple[list[int], int]]:
    """Prompts about one clip, wherever they stand: their indices, and how many first tokens they have in common.

    At least one token of every prompt is left over, since what follows it is wanted.
    """
    by_clip: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        by_clip.setdefault(id(prompt.features_VD), []).append(i)
    out = []
    for rows in by_clip.values():
        ids = [prompts[i].ids_P.tolist() for i in rows]
        out.append((rows, min(len(os.path.commonprefix(ids)), *(len(own) - 1 for own in ids))))
    return out
