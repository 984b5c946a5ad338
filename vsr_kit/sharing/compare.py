"""One GRPO step computed plainly and with sharing, side by side, small enough for a notebook: tokens and seconds.

`make_work` prepares questions about one clip. `plain_step` and `shared_step` each do the rollouts, the reference
model's pass, the policy's pass and the gradient, and return tokens, seconds, log-probabilities and gradient; for the
same completions, the last two must agree. Random numbers take the place of the advantages.
Left out: TRL, the optimiser, memory and repeats: `python -m benchmarks sharing` compares whole trainers, each in its
own process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import GenerationConfig

from vsr_kit.models.feature_cache import FeatureStore
from vsr_kit.models.loading import Loaded
from vsr_kit.models.vision import core_model
from vsr_kit.prompts import chat_messages
from vsr_kit.sharing.meter import BACKWARD, POLICY, ROLLOUT, SCORING, VISION, Meter
from vsr_kit.sharing.packing import EncodedPrompt, encode_prompt, shared_prefixes
from vsr_kit.sharing.reference import gradient, plain_logps, plain_rollouts
from vsr_kit.sharing.rollouts import generate_ids
from vsr_kit.sharing.scoring import give_scores, score

_SHOWN = (VISION, ROLLOUT, SCORING, POLICY, BACKWARD)
Completions = list[list[torch.Tensor]]


@dataclass(frozen=True, eq=False)
class Work:
    """Questions about one clip, and how they are to be answered.

    Attributes:
        loaded: a model with LoRA.
        messages: one conversation a question.
        frames_FHW3: the clip.
        prompts: the questions encoded, for the shared side.
        num_generations: G, completions of each.
        sampling: as transformers takes it; every completion has the same number of tokens.
        meter: counts and times.
    """

    loaded: Loaded
    messages: list[list[dict]]
    frames_FHW3: np.ndarray
    prompts: list[EncodedPrompt]
    num_generations: int
    sampling: GenerationConfig
    meter: Meter

    @property
    def lengths(self) -> dict[str, int | float]:
        """What `plain_tokens` and `shared_tokens` take: tokens of clip, question (the mean), answer; G; questions.

        The clip is all that the questions have in common. What a single question adds begins behind the video.
        """
        (_, clip), count = shared_prefixes(self.prompts)[0], len(self.prompts)
        if count == 1:
            is_video = self.prompts[0].ids_P == core_model(self.loaded.model).config.video_token_id
            clip = int(is_video.nonzero()[-1]) + 1
        question = sum(len(p.ids_P) for p in self.prompts) / count - clip
        sizes = {"clip": clip, "question": int(question) if question.is_integer() else question}
        sizes["answer"] = self.sampling.max_new_tokens
        return {**sizes, "num_generations": self.num_generations, "questions": count}


@dataclass(frozen=True, eq=False)
class Step:
    """What a step read, took and found.

    Attributes:
        completions: G of each question.
        tokens: read by the language model, by phase.
        seconds: by phase; `vision` is the tower, wherever it runs.
        logps_S: of all completions' tokens under the policy.
        gradient: of the loss in all that is trained.
    """

    completions: Completions
    tokens: dict[str, int]
    seconds: dict[str, float]
    logps_S: torch.Tensor
    gradient: torch.Tensor


def make_work(
    loaded: Loaded, rows: Sequence[dict], frames_FHW3: np.ndarray, num_generations: int, answer_tokens: int
) -> Work:
    """Prepare a step: rows (all about this clip), G, and the exact number of tokens of every answer."""
    model, processor, config = loaded.model, loaded.processor, core_model(loaded.model).config
    give_scores(model)
    sampling = GenerationConfig(
        do_sample=True,
        top_k=0,
        min_new_tokens=answer_tokens,
        max_new_tokens=answer_tokens,
        eos_token_id=core_model(model).generation_config.eos_token_id,
        pad_token_id=processor.tokenizer.pad_token_id,
        suppress_tokens=[config.image_token_id, config.video_token_id],
    )
    (features,) = FeatureStore().encode(model, processor, [frames_FHW3])
    messages = [chat_messages(row, "vanilla", "train") for row in rows]
    prompts = [encode_prompt(model, processor, own, features) for own in messages]
    return Work(loaded, messages, frames_FHW3, prompts, num_generations, sampling, Meter(model))


def plain_step(work: Work, completions: Completions | None = None, seed: int = 0) -> Step:
    """The step without sharing: every rollout with its own clip and question, one question at a time.

    completions: scored instead of the rollouts, which are made all the same. seed: of rollouts and advantages.
    """
    model, meter, found = work.loaded.model, work.meter, []
    torch.manual_seed(seed)
    meter.take()
    with meter.phase(ROLLOUT):
        ids = [plain_rollouts(*_asked(work, own), work.num_generations, work.sampling) for own in work.messages]
    completions = completions or [[torch.tensor(one) for one in group] for group in ids]
    with meter.phase(SCORING), torch.no_grad(), model.disable_adapter():
        for own, group in zip(work.messages, completions, strict=True):
            plain_logps(*_asked(work, own), group)
    total = 0
    for own, group, advantages_G in zip(work.messages, completions, _advantages(work, seed), strict=True):
        with meter.phase(POLICY):
            logps = plain_logps(*_asked(work, own), group)
        with meter.phase(BACKWARD):
            total = total + gradient(model, _loss(work, logps, advantages_G))
        found += [one.detach() for one in logps]
    return _told(work, completions, found, total)


def shared_step(work: Work, completions: Completions | None = None, seed: int = 0) -> Step:
    """The step with sharing: the clip's features are cached, the clip and each question are read once per pass."""
    model, meter, count = work.loaded.model, work.meter, work.num_generations
    torch.manual_seed(seed)
    meter.take()
    with meter.phase(ROLLOUT):
        ids = generate_ids(model, work.prompts, count, work.sampling, work.sampling.pad_token_id)
    device = work.prompts[0].ids_P.device
    groups = [ids[i : i + count] for i in range(0, len(ids), count)]
    completions = completions or [[torch.tensor(one, device=device) for one in group] for group in groups]
    with meter.phase(SCORING), torch.no_grad(), model.disable_adapter():
        score(model, work.prompts, completions)
    with meter.phase(POLICY):
        logps = [one.logps_T for group in score(model, work.prompts, completions) for one in group]
    with meter.phase(BACKWARD):
        total = gradient(model, _loss(work, logps, _advantages(work, seed).flatten()))
    return _told(work, completions, [one.detach() for one in logps], total)


def _asked(work: Work, messages: list[dict]) -> tuple:
    return work.loaded.model, work.loaded.processor, messages, work.frames_FHW3


def _advantages(work: Work, seed: int) -> torch.Tensor:
    """One for every completion, (B, G)."""
    shape = len(work.messages), work.num_generations
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _loss(work: Work, logps: list[torch.Tensor], advantages) -> torch.Tensor:
    """Of some of the step's completions: GRPO on a fresh batch, where every ratio is 1."""
    total = sum(float(a) * one.mean() for a, one in zip(advantages, logps, strict=True))
    return -total / (len(work.messages) * work.num_generations)


def _told(work: Work, completions: Completions, logps: list[torch.Tensor], total: torch.Tensor) -> Step:
    found = work.meter.take()
    seconds = {name: spent for name, spent in found["phases"].items() if spent > 0 and name in _SHOWN}
    return Step(completions, found["trunk_tokens"], seconds, torch.cat(logps), total)
