"""One question about one clip, as token ids, positions and features.

The story: nothing here runs the model; `embed` puts the clip's features where the video pads stand, in the prompt and
nowhere else, so that a completion that says `<|video_pad|>` cannot steal them.
Left out: several clips in one prompt, and images.
"""

from __future__ import annotations

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


def embed(model, ids_T: torch.Tensor, prompt: EncodedPrompt, prompt_tokens: int) -> torch.Tensor:
    """Input embeddings (T, D) with the clip's features in place; only the first `prompt_tokens` can hold a clip."""
    core = core_model(model)
    embeds = core.get_input_embeddings()(ids_T)
    if prompt.features_VD is None:
        return embeds
    inside = torch.arange(len(ids_T), device=ids_T.device) < prompt_tokens
    place = ((ids_T == core.config.video_token_id) & inside)[:, None]
    return embeds.masked_scatter(place, prompt.features_VD.to(embeds.dtype))
