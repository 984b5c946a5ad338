"""Asking a model: many questions about many clips, greedily or sampled, with each clip encoded and read once.

Rows become prompts, ordered so that those about one clip come together and `vsr_kit.sharing.prefill` reads the clip
once for all of them, and a prompt once for all its samples. Sequences that have ended leave the batch. Each sample
draws from random numbers that belong to its seed, row and sample index, so that neither the batch nor earlier questions
change an answer; they are made on the CPU, and tokens are drawn where the logits are. A `Generation` records its length
and whether the cap cut it off, since a truncated chain of thought is neither wrong nor unreadable.
Left out: beam search, top-k and top-p, streaming.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from vsr_kit import validation
from vsr_kit.failures import refuse_non_finite
from vsr_kit.models.dequantized import keep_dequantized
from vsr_kit.models.loading import Loaded
from vsr_kit.models.vision import core_model, encode_clips
from vsr_kit.prompts import chat_messages
from vsr_kit.sharing import EncodedPrompt, Prefill, encode_prompt, prefill, prefill_next

_CLIPS_AT_ONCE = 16
_PIXELS_AT_ONCE = 2**24  # of clips that go through the vision tower together; of one clip at least
_LOGITS_AT_ONCE = 2**22  # whose distribution is made at a time while sampling: 32 MB in fp64
_CROWDED = 0.75  # a batch with fewer living rows than this is thinned out: copying its cache then pays


@dataclass(frozen=True)
class Generation:
    """One completion.

    Attributes:
        text: without special tokens.
        num_tokens: end token included.
        truncated: whether the cap stopped it before it ended by itself.
    """

    text: str
    num_tokens: int
    truncated: bool


def generate(
    loaded: Loaded,
    rows: Sequence[dict],
    clips: Mapping[str, np.ndarray] | None,
    *,
    mode: str | Sequence[str] = "vanilla",
    prompt_set: str = "eval",
    max_new_tokens: int = 16,
    temperature: float = 0.0,
    num_samples: int = 1,
    seed: int = 0,
    batch_size: int = 64,
    progress: bool = False,
) -> list[list[Generation]]:
    """Ask every row.

    Args:
        loaded: from `load_model`.
        rows: with VSI-Bench's fields.
        clips: scene_name to uint8 frames (F, H, W, 3); None, or a scene that is missing, asks without video.
        mode, prompt_set: which of the six prompts. One mode a row asks in several, and reads every clip once for all.
        max_new_tokens: cap of a completion.
        temperature: 0 decodes greedily, else the whole distribution at this temperature is sampled.
        num_samples: completions of each row; more than one needs a temperature above 0.
        seed: of sampling. A row's draws follow from the seed, the row's dataset and id, and the sample's number.
        batch_size: sequences decoded together; changes nothing but the time and memory it takes.

    Returns:
        For each row, in order, `num_samples` generations.
    """
    validation.drawing(max_new_tokens, temperature, num_samples, seed)
    validation.whole("batch_size", batch_size)
    modes = [mode] * len(rows) if isinstance(mode, str) else list(mode)
    if len(modes) != len(rows):
        raise ValueError(f"{len(modes)} modes for {len(rows)} rows: give one mode, or one for each row")
    completions: dict[int, list[Generation]] = {}
    told = {"total": len(rows), "desc": f"asking ({', '.join(dict.fromkeys(modes))})", "unit": "question"}
    with keep_dequantized(loaded.model), tqdm(**told, disable=not progress) as bar:
        for part in _windows(rows, clips):
            own = [rows[i] for i in part]
            prompts = _prompts(loaded, own, clips, [modes[i] for i in part], prompt_set)
            pick = greedy if temperature <= 0 else sampler(own, num_samples, seed, temperature, max_new_tokens)
            for batch, reading in prefill(loaded.model, prompts, max(1, batch_size // num_samples), num_samples):
                sequences = torch.tensor([i * num_samples + k for i in batch for k in range(num_samples)])
                ids = decode(loaded, reading, sequences, max_new_tokens, pick)
                made = _generations(loaded, ids)
                for row, i in enumerate(batch):
                    completions[part[i]] = made[row * num_samples : (row + 1) * num_samples]
                bar.update(len(batch))
    return [completions[i] for i in range(len(rows))]


def _windows(rows: Sequence[dict], clips) -> list[list[int]]:
    """Indices of rows in parts of a few clips each, the rows of a clip together; rows without a clip share one part."""
    by_clip: dict[str | None, list[int]] = {}
    for i, row in enumerate(rows):
        scene = row["scene_name"]
        by_clip.setdefault(scene if clips is not None and scene in clips else None, []).append(i)
    blind, seen = by_clip.pop(None, []), list(by_clip.values())
    parts = [sum(seen[i : i + _CLIPS_AT_ONCE], []) for i in range(0, len(seen), _CLIPS_AT_ONCE)]
    return parts + [blind] * bool(blind)


def _prompts(loaded: Loaded, rows: Sequence[dict], clips, modes: Sequence[str], prompt_set: str) -> list[EncodedPrompt]:
    scenes = [s for s in dict.fromkeys(row["scene_name"] for row in rows) if clips is not None and s in clips]
    model, processor, features = loaded.model, loaded.processor, {}
    for part in _few_pixels({scene: clips[scene] for scene in scenes}):
        features |= dict(zip(part, encode_clips(model, processor, list(part.values())), strict=True))
    return [
        encode_prompt(model, processor, chat_messages(row, mode, prompt_set), features.get(row["scene_name"]))
        for row, mode in zip(rows, modes, strict=True)
    ]


def _few_pixels(clips: Mapping[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Clips in parts of at most `_PIXELS_AT_ONCE` pixels of all frames together, or of one clip."""
    part: dict[str, np.ndarray] = {}
    for scene, frames in clips.items():
        if part and sum(own.size for own in (*part.values(), frames)) > 3 * _PIXELS_AT_ONCE:
            yield part
            part = {}
        part[scene] = frames
    if part:
        yield part


def _generations(loaded: Loaded, ids: list[list[int]]) -> list[Generation]:
    texts, ends = loaded.processor.tokenizer.batch_decode(ids, skip_special_tokens=True), end_token_ids(loaded)
    return [Generation(text.strip(), len(own), own[-1] not in ends) for text, own in zip(texts, ids, strict=True)]


def end_token_ids(loaded: Loaded) -> set[int]:
    """Every token that ends a completion, from the checkpoint's generation_config."""
    ends = core_model(loaded.model).generation_config.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}


# -- decoding ----------------------------------------------------------------------------------------------------------

Pick = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


def greedy(logits_NW: torch.Tensor, sequences_N: torch.Tensor, step: int) -> torch.Tensor:
    """The most likely token of each row; W is the size of the vocabulary."""
    return logits_NW.argmax(-1)


def sampler(rows: Sequence[dict], num_samples: int, seed: int, temperature: float, max_new_tokens: int) -> Pick:
    """Draws tokens by inverting the cumulative distribution at uniform numbers fixed for each row, sample and step.

    Of a draw, a number a row goes to the device of the logits, which stay there.
    """
    streams = [(zlib.crc32(f"{row['dataset']}/{row['id']}".encode()), k) for row in rows for k in range(num_samples)]
    uniform_NT = torch.from_numpy(
        np.stack([np.random.default_rng((seed, *stream)).random(max_new_tokens) for stream in streams])
    )

    def pick(logits_NW: torch.Tensor, sequences_N: torch.Tensor, step: int) -> torch.Tensor:
        return draw(logits_NW, uniform_NT[sequences_N, step], temperature)

    return pick


def draw(logits_NW: torch.Tensor, uniform_N: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
    """The token of each row at which its cumulative distribution passes its number from [0, 1); (N,), with the logits.

    It is computed in fp64, in which a batch's rounding moves a draw once in some 1e15; in fp32 on MPS, which has none.
    A token of probability zero is never drawn.
    """
    precision = torch.float32 if logits_NW.device.type == "mps" else torch.float64
    uniform_N = uniform_N.to(precision).to(logits_NW.device)
    at_once = max(1, _LOGITS_AT_ONCE // logits_NW.shape[1])
    parts = zip(logits_NW.split(at_once), uniform_N.split(at_once), strict=True)
    return torch.cat([_at_height(own.to(precision) / temperature, numbers) for own, numbers in parts])


def _at_height(logits_NW: torch.Tensor, uniform_N: torch.Tensor) -> torch.Tensor:
    heights_NW = logits_NW.softmax(-1).cumsum(-1)
    top_N1 = heights_NW[:, -1:]
    below = top_N1 * (1 - torch.finfo(heights_NW.dtype).eps)  # rounding may not carry a number to the top, past the end
    return torch.searchsorted(heights_NW, torch.minimum(uniform_N[:, None] * top_N1, below), right=True)[:, 0]


@torch.no_grad()
def decode(
    loaded: Loaded, reading: Prefill, sequences_N: torch.Tensor, max_new_tokens: int, pick: Pick
) -> list[list[int]]:
    """Token ids of the completions of N sequences that are read already, each up to its end token or the cap.

    sequences_N: the number under which `pick` knows each. The image and video pads are never chosen: a forward pass
    would look for features to put there.

    Raises:
        NotFinite: the model's numbers overflowed.
    """
    core, ends = core_model(loaded.model), end_token_ids(loaded)
    pads = [core.config.image_token_id, core.config.video_token_id]
    completions: list[list[int]] = [[] for _ in sequences_N]
    here = torch.arange(len(completions))  # which of `said` the rows of the batch belong to
    for step in range(max_new_tokens):
        refuse_non_finite(reading.logits_NW, step)
        reading.logits_NW[:, pads] = -torch.inf
        ids = pick(reading.logits_NW, sequences_N[here], step)
        for i, token in zip(here.tolist(), ids.tolist(), strict=True):
            if not completions[i] or completions[i][-1] not in ends:
                completions[i].append(token)
        living = [row for row, i in enumerate(here.tolist()) if completions[i][-1] not in ends]
        if not living or step + 1 == max_new_tokens:
            break
        if len(living) < _CROWDED * len(here):
            rows = torch.tensor(living)
            reading, ids, here = reading.take(rows.to(ids.device)), ids[rows.to(ids.device)], here[rows]
        reading = prefill_next(loaded.model, reading, ids)
    return completions
