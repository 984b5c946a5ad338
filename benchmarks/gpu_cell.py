"""One cell of the GPU benchmark: optimiser steps of one side, and how far its rollouts are from its training.

Stock TRL repeats the prompt for every rollout; with one level a question is read once for its rollouts; with two the
clip is read once for its questions, too. All do the same step on the same questions with weights that are loaded once:
after a cell the adapter is taken off the model, and what a trainer has put on it. `rollout_mismatch` compares the
log-probability of each sampled token as the decoder saw it with that of the training pass. A policy gradient takes both
for the same number.
Left out: the vision tower's share (features are made in the step that is measured), and several repeats by default.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from unittest.mock import patch

import torch
from transformers import GenerationConfig

from benchmarks.cases import COLD, STOCK, Case, Shape
from benchmarks.sharing import Job
from benchmarks.step_log import train_measured
from benchmarks.worker import _trainer
from vsr_kit.models.loading import Loaded
from vsr_kit.models.vision import core_model, load_processor
from vsr_kit.prompts import chat_messages
from vsr_kit.sharing import generate_ids, packing, score
from vsr_kit.sharing.reference import plain_logps, plain_rollouts

ONE, TWO = "one level", "two levels"
SIDES = (TWO, ONE, STOCK)
COMPARED = 16  # tokens of an answer whose log-probabilities are compared


@dataclass(frozen=True)
class Cell:
    """What is measured: a side, and the size of a step.

    Attributes:
        side: of `SIDES`.
        frames, height_px, width_px: of the clip, which decide its tokens.
        answer_tokens: of every rollout, exactly.
        questions: of a step, all about one clip.
        num_generations: rollouts of each.
    """

    side: str
    frames: int
    height_px: int
    width_px: int
    answer_tokens: int
    questions: int = 4
    num_generations: int = 8

    @property
    def case(self) -> Case:
        """The work of a step."""
        return Case(
            "cell", "grpo", (self.side,), self.questions, self.questions, self.num_generations, self.answer_tokens
        )

    def shape(self, of: Shape) -> Shape:
        """A model's shape with this cell's clip."""
        return replace(of, num_frames=self.frames, height_px=self.height_px, width_px=self.width_px)

    def work(self, of: Shape) -> int:
        """Tokens that a step's rows have, by which a cell's time is guessed from another's; decoding weighs more."""
        return self.shape(of).clip_tokens + of.question_tokens + 8 * self.answer_tokens


def measure(cell: Cell, loaded: Loaded, shape: Shape, *, checkpoint: str, seed: int, repeats: int = 1) -> dict:
    """Seconds and bytes of a step (the fastest of the repeats), its loss and gradient, and the mismatch."""
    own = Loaded(loaded.model, load_processor(checkpoint), loaded.name, loaded.description)
    side = STOCK if cell.side == STOCK else COLD
    job = Job(cell.shape(shape), cell.case, side, tuple(range(repeats)), seed, None, checkpoint, "")
    records: list[dict] = []
    with tempfile.TemporaryDirectory() as scratch, _levels(cell.side):
        trainer, clips = _trainer(job, own, scratch)
        try:
            train_measured(job, trainer, clips, records.append)
            found = rollout_mismatch(cell, trainer, own, clips)
        finally:
            _clean(trainer)
    best = min(records, key=lambda record: record["seconds"])
    told = ("seconds", "phases", "trunk_tokens", "peak_bytes", "loss", "grad_norm", "dtype", "device")
    prompt = best["prompt_tokens"] // (cell.questions * cell.num_generations)
    about = {"clip_tokens": cell.shape(shape).clip_tokens, "prompt_tokens": prompt}
    return {**about, **{name: best[name] for name in told}, "mismatch": found}


@contextmanager
def _levels(side: str) -> Iterator[None]:
    """With one level, prompts about one clip are taken for prompts about several."""
    with ExitStack() as stack:
        if side == ONE:
            stack.enter_context(patch.object(packing, "shared_prefixes", _each_alone))
        yield


def _each_alone(prompts) -> list[tuple[list[int], int]]:
    return [([i], len(prompt.ids_P) - 1) for i, prompt in enumerate(prompts)]


def _clean(trainer) -> None:
    """Take the adapter off the model, and what trainers have put on its forward pass."""
    wrapped = trainer.accelerator.unwrap_model(trainer.model)
    core = core_model(wrapped)
    wrapped.unload()
    core.__dict__.pop("forward", None)
    core.set_attn_implementation({"text_config": "sdpa"})


# -- the decoder's log-probabilities against the training pass's -------------------------------------------------------


@torch.no_grad()
def rollout_mismatch(cell: Cell, trainer, loaded: Loaded, clips: dict) -> dict[str, float]:
    """How far a token's log-probabilities in decoding and in training are apart: {"mean", "most", "tokens"}.

    Over the first tokens of one question's rollouts; absolute differences, in nats.
    """
    model, row = trainer.model, trainer.train_dataset[0]
    core, device = core_model(model), core_model(model).device
    messages, frames = chat_messages(row, "vanilla", "train"), clips[row["scene_name"]]
    sampling = _sampling(core, loaded.processor, min(COMPARED, cell.answer_tokens))
    plain = (model, loaded.processor, messages, frames)
    was_training = model.training
    model.eval()
    with trainer.accelerator.autocast():
        prompts = [] if cell.side == STOCK else trainer.encoded_prompts([{**row, "prompt": messages}])
        with _heard(core) as heard:
            if cell.side == STOCK:
                said = plain_rollouts(*plain, cell.num_generations, sampling)
            else:
                said = generate_ids(model, prompts, cell.num_generations, sampling, sampling.pad_token_id)
        ids = [torch.tensor(own, device=device) for own in said]
        if cell.side == STOCK:
            trained = torch.stack(plain_logps(*plain, ids))
        else:
            trained = torch.stack([one.logps_T for one in score(model, prompts, [ids])[0]])
    model.train(was_training)
    decoded = torch.stack(heard, 1).gather(-1, torch.stack(ids)[..., None])[..., 0]  # (G, T)
    apart = (decoded - trained).abs().double()
    return {"mean": float(apart.mean()), "most": float(apart.max()), "tokens": apart.numel()}


def _sampling(core, processor, tokens: int) -> GenerationConfig:
    return GenerationConfig(
        do_sample=True,
        top_k=0,
        min_new_tokens=tokens,
        max_new_tokens=tokens,
        eos_token_id=core.generation_config.eos_token_id,
        pad_token_id=processor.tokenizer.pad_token_id,
        suppress_tokens=[core.config.image_token_id, core.config.video_token_id],
    )


@contextmanager
def _heard(core) -> Iterator[list[torch.Tensor]]:
    """Log-probabilities of all tokens at each step of a decoding, (G, W) each, fp32."""
    steps: list[torch.Tensor] = []
    hook = core.lm_head.register_forward_hook(lambda head, args, out: steps.append(out[:, -1].float().log_softmax(-1)))
    try:
        yield steps
    finally:
        hook.remove()
