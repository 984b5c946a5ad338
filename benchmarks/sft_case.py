"""The SFT case: stock TRL with the clip's pixels in every row, against the kit's trainer on the same rows.

Stock `SFTTrainer` can see real video if its collator supplies the pixels, so the clip need not be passed as an image as
in the GRPO case. Both sides get the questions of a step in one batch.
Left out: DPO, whose pairs share at least as much.
"""

from __future__ import annotations

import tempfile

import torch
from torch.nn.utils.rnn import pad_sequence
from trl import SFTConfig, SFTTrainer

from benchmarks.cases import STOCK
from benchmarks.step_log import train_measured
from benchmarks.workload import make_work
from vsr_kit.models import load_model, lora_config, pick_device
from vsr_kit.models.vision import chat_inputs
from vsr_kit.training.supervised_trainers import VideoSFTTrainer, answer_rows


def sft(job, tell) -> None:
    """Optimiser steps on answers of exactly the case's length, one a repeat."""
    loaded = load_model(job.checkpoint, job.quantize, quiet=True)
    rows, clips = [], {}
    for repeat in job.repeats:
        own_rows, own_clips = make_work(loaded.processor, job.shape, job.case, abs(repeat), job.seed)
        rows, clips = rows + own_rows, clips | own_clips
    torch.manual_seed(job.seed)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _trainer(job, loaded, scratch, answer_rows(rows), clips)
        train_measured(job, trainer, clips, tell)


def _trainer(job, loaded, scratch: str, data, clips):
    on_cpu = pick_device().type == "cpu"
    config = SFTConfig(
        scratch,
        max_steps=len(job.repeats),
        per_device_train_batch_size=job.case.questions,
        learning_rate=0.0,
        max_grad_norm=1e9,
        activation_checkpointing=False,
        use_cpu=on_cpu,
        bf16=not on_cpu,
        max_length=None,
        remove_unused_columns=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        train_sampling_strategy="sequential",
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        logging_steps=1,
        seed=job.seed,
    )
    common = {"model": loaded.model, "args": config, "train_dataset": data, "peft_config": lora_config()}
    common["processing_class"] = loaded.processor
    if job.side == STOCK:
        return SFTTrainer(**common, data_collator=lambda rows: pixels_in_every_row(loaded.processor, rows, clips))
    return VideoSFTTrainer(**common, clips=clips)


def pixels_in_every_row(processor, rows: list[dict], clips) -> dict[str, torch.Tensor]:
    """Rows of `answer_rows` as an ordinary batch of a vision-language model, padded on the right."""
    end = [processor.tokenizer.convert_tokens_to_ids("<|im_end|>")]
    inputs = [chat_inputs(processor, row["prompt"], clips[row["scene_name"]]) for row in rows]
    answers = [torch.tensor(processor.tokenizer(row["completion"])["input_ids"] + end) for row in rows]
    prompts = [own["input_ids"][0] for own in inputs]
    pairs = list(zip(prompts, answers, strict=True))
    types = [
        torch.cat([own["mm_token_type_ids"][0], torch.zeros_like(a)]) for own, a in zip(inputs, answers, strict=True)
    ]
    pad = processor.tokenizer.pad_token_id
    return {
        "input_ids": pad_sequence([torch.cat(pair) for pair in pairs], True, pad),
        "attention_mask": pad_sequence([torch.ones(len(p) + len(a), dtype=torch.long) for p, a in pairs], True),
        "labels": pad_sequence([torch.cat([torch.full_like(p, -100), a]) for p, a in pairs], True, -100),
        "mm_token_type_ids": pad_sequence(types, True),
        "pixel_values_videos": torch.cat([own["pixel_values_videos"] for own in inputs]),
        "video_grid_thw": torch.cat([own["video_grid_thw"] for own in inputs]),
    }
