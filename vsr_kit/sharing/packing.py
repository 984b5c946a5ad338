"""Encoded prompts, and many prompts with their completions packed into one sequence that holds each shared prefix once.

`encode_prompt` turns one question about one clip into token ids, rotary positions and features, without running the
model. `embed` writes the clip's features over the video pads of the prompt only, so that a completion that contains
`<|video_pad|>` gets none of them.

`pack` lays a batch out. For a clip with two questions and two completions (rollouts, or chosen and rejected answers) of
each,

    sequence    clip | q1    | q1's last, c1[:-1] | q1's last, c2[:-1] | q2    | q2's last, c3[:-1] | ...
    may see     self | clip  | clip, q1           | clip, q1           | clip  | clip, q2           |   and itself
    predicts    -    | -     | c1                 | c2                 | -     | c3                 |

where q1 is question 1 without the shared prefix and without its last token. That last token is repeated before each
completion, whose first token is predicted from it. Every token attends to the same tokens, at the same rotary
positions, as in a plain forward pass over its own prompt and completion, so its log-probability is the same. The parts
form a tree, clip → question → completion, and `attention.TreeMask` computes each part against its ancestors: no mask of
the whole sequence is ever made.

Left out: several clips in one prompt, images, and completions that share a prefix beyond their prompt.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from vsr_kit.models.vision import ClipFeatures, chat_ids, core_model, deep_levels, rope_positions


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


def embed(model, prompt: EncodedPrompt, start: int = 0, stop: int | None = None) -> torch.Tensor:
    """Input embeddings (P, D) of a prompt or a part of it, with its clip's features in place of the video pads.

    Features of several levels stand side by side, (P, (1 + n) * D), zeros beside a text's embeddings; see `inputs_of`.
    """
    core = core_model(model)
    embeds = _text_embeds(core, prompt.ids_P[start:stop])
    if prompt.features_VD is None:
        return embeds
    is_pad_P = prompt.ids_P == core.config.video_token_id
    features_VD = prompt.features_VD[int(is_pad_P[:start].sum()) :] if start else prompt.features_VD
    return embeds.masked_scatter(is_pad_P[start:stop, None], features_VD.to(embeds.dtype))


def _text_embeds(core, ids_T: torch.Tensor) -> torch.Tensor:
    embeds_TD = core.get_input_embeddings()(ids_T)
    return F.pad(embeds_TD, (0, deep_levels(core) * embeds_TD.shape[-1]))


def inputs_of(core, embeds_NTD: torch.Tensor) -> dict[str, object]:
    """What a language model is given of `embed`'s rows: its embeddings, and what is added behind its first layers.

    A level is added at every token, which changes nothing where it is zero.
    """
    width = core.config.text_config.hidden_size
    if embeds_NTD.shape[-1] == width:
        return {"inputs_embeds": embeds_NTD}
    first, *deep = embeds_NTD.split(width, -1)
    everywhere = torch.ones(first.shape[:2], dtype=torch.bool, device=first.device)
    return {
        "inputs_embeds": first,
        "visual_pos_masks": everywhere,
        "deepstack_visual_embeds": [level.flatten(0, 1) for level in deep],
    }


def shared_prefixes(prompts: Sequence[EncodedPrompt]) -> list[tuple[list[int], int]]:
    """For each clip, the indices of its prompts and the length of the prefix that they share.

    The prefix leaves at least one token of every prompt, from which the next one is predicted.
    """
    by_clip: dict[int, list[int]] = {}
    for i, prompt in enumerate(prompts):
        by_clip.setdefault(id(prompt.features_VD), []).append(i)
    out = []
    for rows in by_clip.values():
        ids = [prompts[i].ids_P.tolist() for i in rows]
        out.append((rows, min(len(os.path.commonprefix(ids)), *(len(own) - 1 for own in ids))))
    return out


_TOKENS_A_PART = 256  # short completions of a question share a part of at most this many tokens, under a small mask


@dataclass(frozen=True)
class Part:
    """A run of tokens that is computed together.

    Attributes:
        own: its place in the sequence.
        seen: places of its ancestors, all of which each of its tokens sees.
        pieces: lengths of the runs inside it that do not see each other; causal within each.
    """

    own: slice
    seen: tuple[slice, ...]
    pieces: tuple[int, ...]

    @property
    def num_seen(self) -> int:
        """How many tokens the ancestors have."""
        return sum(place.stop - place.start for place in self.seen)


@dataclass(frozen=True, eq=False)
class PackedTree:
    """N prompts and their completions as one sequence of L tokens, S of which predict a completion's token.

    Attributes:
        embeds_LD: input embeddings, the clips' features in place, as `embed` gives them.
        positions_3L: rotary positions.
        parts: the tree, in the sequence's order.
        scored_S: places that predict.
        labels_S: what they should predict.
        lengths: for each prompt, in the order given, its completions' lengths.
        order: indices of the prompts as they stand in the sequence.
        prompt_places: for each prompt, in the order given, where its tokens stand, the last left out.
    """

    embeds_LD: torch.Tensor
    positions_3L: torch.Tensor
    parts: tuple[Part, ...]
    scored_S: torch.Tensor
    labels_S: torch.Tensor
    lengths: tuple[tuple[int, ...], ...]
    order: tuple[int, ...]
    prompt_places: tuple[tuple[slice, ...], ...]

    def by_completion(self, values_S: torch.Tensor) -> list[list[torch.Tensor]]:
        """Values of the scored places, split by prompt and completion, in the order given."""
        pieces = iter(values_S.split([n for i in self.order for n in self.lengths[i]]))
        own = {i: [next(pieces) for _ in self.lengths[i]] for i in self.order}
        return [own[i] for i in range(len(self.lengths))]


def pack(
    model, prompts: Sequence[EncodedPrompt], completions: Sequence[Sequence[torch.Tensor]] | None = None
) -> PackedTree:
    """Pack prompts and their completions into one sequence; prompts about one clip share their prefix.

    Args:
        completions: for each prompt its id tensors, none empty. None packs the prompts alone, without last tokens.

    Raises:
        ValueError: an empty completion, no prompt, or an empty one.
    """
    completions = [()] * len(prompts) if completions is None else completions
    if any(len(c) == 0 for own in completions for c in own):
        raise ValueError("a completion has no token: score at least its end token")
    if not prompts or any(len(p.ids_P) == 0 for p in prompts) or max(len(p.ids_P) for p in prompts) < 2:
        raise ValueError(f"nothing to pack: {len(prompts)} prompts, or prompts of less than two tokens")
    layout, places = _Layout(model), {}
    for rows, common in shared_prefixes(prompts):
        beginning: tuple[slice, ...] = ()
        for i in rows:
            positions_3P = prompts[i].positions_3P
            if i == rows[0]:
                beginning = layout.add(embed(model, prompts[i], 0, common), positions_3P[:, :common])
            tail = layout.add(embed(model, prompts[i], common, -1), positions_3P[:, common:-1], beginning)
            places[i] = beginning + tail
            for together in _by_size(completions[i]):
                layout.add_completions(prompts[i], together, places[i])
    lengths = tuple(tuple(len(c) for c in own) for own in completions)
    return layout.packed(lengths, places)


def _by_size(completions: Sequence[torch.Tensor]) -> list[list[torch.Tensor]]:
    """Completions in runs of at most `_TOKENS_A_PART` tokens, or of one."""
    runs: list[list[torch.Tensor]] = []
    room = 0
    for completion in completions:
        if not runs or len(completion) > room:
            runs.append([])
            room = _TOKENS_A_PART
        runs[-1].append(completion)
        room -= len(completion)
    return runs


class _Layout:
    """A sequence that grows part by part."""

    def __init__(self, model) -> None:
        self.model = model
        self.length = 0
        self.embeds: list[torch.Tensor] = []
        self.positions: list[torch.Tensor] = []
        self.parts: list[Part] = []
        self.scored: list[torch.Tensor] = []
        self.labels: list[torch.Tensor] = []

    def add(self, embeds_TD, positions_3T, seen: tuple[slice, ...] = (), pieces: tuple[int, ...] = ()):
        """Append one part; returns its place, as a tuple that is empty where the part has no token."""
        if len(embeds_TD) == 0:
            return ()
        own = slice(self.length, self.length + len(embeds_TD))
        self.length = own.stop
        self.embeds.append(embeds_TD)
        self.positions.append(positions_3T)
        self.parts.append(Part(own, seen, pieces or (len(embeds_TD),)))
        return (own,)

    def add_completions(self, prompt: EncodedPrompt, completions: list[torch.Tensor], seen: tuple[slice, ...]) -> None:
        """Append completions that do not see each other, each behind the prompt's last token."""
        ids = torch.cat([torch.cat([prompt.ids_P[-1:], c[:-1]]) for c in completions])
        lengths = tuple(len(c) for c in completions)
        steps = torch.cat([torch.arange(n, device=ids.device) for n in lengths]) + prompt.next_position - 1
        (own,) = self.add(_text_embeds(core_model(self.model), ids), steps.expand(3, -1), seen, lengths)
        self.scored.append(torch.arange(own.start, own.stop, device=ids.device))
        self.labels += completions

    def packed(self, lengths: tuple[tuple[int, ...], ...], places: dict[int, tuple[slice, ...]]) -> PackedTree:
        nothing = torch.zeros(0, dtype=torch.long, device=self.positions[0].device)
        return PackedTree(
            embeds_LD=torch.cat(self.embeds),
            positions_3L=torch.cat(self.positions, 1),
            parts=tuple(self.parts),
            scored_S=torch.cat([nothing, *self.scored]),
            labels_S=torch.cat([nothing, *self.labels]),
            lengths=lengths,
            order=tuple(places),
            prompt_places=tuple(places[i] for i in range(len(places))),
        )
