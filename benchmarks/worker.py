"""One side of one case, measured in a process of its own: `python -m benchmarks.worker JOB`, with JOB as JSON.

The process warms up on a tiny clip with a model of its own (imports, kernels, first calls), then does the missing
repeats and appends a line to the journal after each. The learning rate is zero and the random state is set at the start
of every step: a repeat does all the work of an optimiser step and leaves the weights unchanged, so it is the same
whether it comes first, second or after a resume. LoRA's second factor is filled with small random numbers, since a
fresh one is zero and would hide half the gradient and the whole KL term.
Left out: several processes per side. A new kind of case is one more function in KINDS.
"""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from trl import GRPOTrainer

from benchmarks.cases import SHARED, STOCK
from benchmarks.sft_case import sft
from benchmarks.sharing import Job
from benchmarks.step_log import costs, digest, head, train_measured
from benchmarks.workload import ClipsAsImages, make_checkpoint, make_work, stock_rows
from vsr_kit.files import append_lines
from vsr_kit.generation import generate
from vsr_kit.models import load_model, lora_config
from vsr_kit.models.vision import chat_inputs, core_model
from vsr_kit.prompts import chat_messages
from vsr_kit.sharing.meter import Meter, reset_peak
from vsr_kit.training.grpo_trainer import VideoGRPOTrainer
from vsr_kit.training.profiles import Profile
from vsr_kit.training.video_mixin import training_rows

BETA = 1e-4  # of the paper; above zero, so that the reference is scored
Tell = Callable[[dict], None]


def main(job: Job) -> None:
    """Make the checkpoint (a job without a case), or measure."""
    if job.case is None:
        beside = Path(job.checkpoint).with_name("checkpoint.part")
        make_checkpoint(beside, job.shape, job.seed).rename(job.checkpoint)
        return
    measure = KINDS[job.case.kind]
    measure(_smallest(job), lambda record: None)
    gc.collect()
    measure(job, lambda record: append_lines(job.journal, [record]))


def _smallest(job: Job) -> Job:
    """The same path through the code with hardly any work."""
    shape = replace(job.shape, num_frames=2, height_px=56, width_px=56)
    case = replace(job.case, questions=1, questions_per_clip=1, answer_tokens=2)
    case = replace(case, num_generations=min(2, case.num_generations))
    return replace(job, shape=shape, case=case, repeats=(-1,))


# -- GRPO --------------------------------------------------------------------------------------------------------------


def grpo(job: Job, tell: Tell) -> None:
    """Optimiser steps, one a repeat."""
    loaded = load_model(job.checkpoint, job.quantize, quiet=True)
    with tempfile.TemporaryDirectory() as scratch:
        trainer, clips = _trainer(job, loaded, scratch)
        train_measured(job, trainer, clips, tell)


def _trainer(job: Job, loaded, scratch: str):
    """Trainer of the job's side, with the rows of all repeats in order, and their clips."""
    rows, clips = [], {}
    for repeat in job.repeats:
        own_rows, own_clips = make_work(loaded.processor, job.shape, job.case, abs(repeat), job.seed)
        rows, clips = rows + own_rows, clips | own_clips
    torch.manual_seed(job.seed)
    common = {
        "model": loaded.model,
        "reward_funcs": _any_reward,
        "args": _config(job, loaded, scratch),
        "processing_class": loaded.processor,
        "peft_config": lora_config(),
    }
    if job.side == STOCK:
        loaded.processor.image_processor = ClipsAsImages(loaded.processor.video_processor, job.shape.num_frames)
        return GRPOTrainer(**common, train_dataset=stock_rows(rows, clips)), clips
    return VideoGRPOTrainer(**common, train_dataset=training_rows(rows, "vanilla"), clips=clips), clips


def _config(job: Job, loaded, scratch: str):
    """The paper's objective. Stock gets a question a pass, since more would not fit; ours the questions of a clip."""
    case, core = job.case, core_model(loaded.model).config
    profile = Profile(
        "bench",
        num_generations=case.num_generations,
        beta=BETA,
        learning_rate=0.0,
        questions_per_step=case.questions,
        groups_per_pass=1 if job.side == STOCK else case.questions_per_clip,
        steps=len(job.repeats),
        max_vanilla_tokens=case.answer_tokens,
        gradient_checkpointing=False,
    )
    sampling = {"min_new_tokens": case.answer_tokens, "suppress_tokens": [core.image_token_id, core.video_token_id]}
    settings = {"shuffle_dataset": False, "max_grad_norm": 1e9, "disable_tqdm": True, "generation_kwargs": sampling}
    return profile.grpo_config(scratch, job.seed, **settings)


def _any_reward(completion_ids, **columns) -> list[float]:
    """Differs within a group, and hangs on nothing but the tokens."""
    return [sum(ids) % 97 / 97 for ids in completion_ids]


# -- evaluation --------------------------------------------------------------------------------------------------------


def evaluation(job: Job, tell: Tell) -> None:
    """Greedy answers: question by question with transformers' own generate, or all at once with the kit's."""
    loaded = load_model(job.checkpoint, job.quantize, quiet=True)
    meter = Meter(loaded.model)
    meter.watch_processor(loaded.processor)
    ask = {STOCK: _ask_plainly, SHARED: _ask_together}[job.side]
    for repeat in job.repeats:
        rows, clips = make_work(loaded.processor, job.shape, job.case, abs(repeat), job.seed)
        machine = {"model": loaded.model, "device": core_model(loaded.model).device}
        reset_peak(machine["device"])
        meter.take()
        with meter.phase("rollout"):
            said = ask(loaded, rows, clips, job.case.answer_tokens)
        measured = meter.take()
        answers = {"completions": [digest(text)[:8] for text in said]}
        tell({**head(job, repeat, **machine), **costs(measured, **machine), **answers})


def _ask_together(loaded, rows: list[dict], clips: dict, answer_tokens: int) -> list[str]:
    return [said[0].text for said in generate(loaded, rows, clips, max_new_tokens=answer_tokens)]


@torch.no_grad()
def _ask_plainly(loaded, rows: list[dict], clips: dict, answer_tokens: int) -> list[str]:
    core, texts = core_model(loaded.model), []
    pads = [core.config.image_token_id, core.config.video_token_id]
    for row in rows:
        inputs = chat_inputs(loaded.processor, chat_messages(row), clips[row["scene_name"]])
        inputs = {name: value.to(core.device) for name, value in inputs.items()}
        ids = loaded.model.generate(**inputs, do_sample=False, max_new_tokens=answer_tokens, suppress_tokens=pads)
        new = ids[0, inputs["input_ids"].shape[1] :]
        texts.append(loaded.processor.tokenizer.decode(new, skip_special_tokens=True).strip())
    return texts


KINDS = {"grpo": grpo, "sft": sft, "evaluation": evaluation}


if __name__ == "__main__":
    main(Job.read(sys.argv[1]))
