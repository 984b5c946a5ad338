"""SFT and DPO see the video: losses and gradients are the textbook's, from plain forwards with the clip."""

import pytest
import torch
from trl import DPOConfig, SFTConfig

from tests.plain import plain_logps
from tests.test_trainers import CLIPS, common, rows, watch
from tests.tiny import random_lora, tiny_clip
from vsr_kit.models import load_model, lora_config
from vsr_kit.sharing import shared_prefixes
from vsr_kit.training.supervised_trainers import VideoDPOTrainer, VideoSFTTrainer, answer_rows
from vsr_kit.training.video_mixin import training_rows

BETA = 0.3


def preferences():
    data = training_rows(rows(), "vanilla")
    return data.add_column("chosen", ["3", "4 m", "A", "two"]).add_column("rejected", ["5 chairs", "1", "B. 4", "x"])


@pytest.fixture
def make(tiny_path, tmp_path):
    """make(class, trainer arguments…, config fields…) -> a trainer on the tiny checkpoint."""

    def build(kind, clips=CLIPS, lora=None, data=None, quantize=None, extra=None, **changes):
        loaded = load_model(tiny_path, quantize=quantize, device="cpu", dtype=torch.float32, quiet=True)
        sft = kind is VideoSFTTrainer
        settings = common(tmp_path, **({"per_device_train_batch_size": 4} | changes))
        config = SFTConfig(**settings) if sft else DPOConfig(beta=BETA, **settings)
        return kind(
            model=loaded.model,
            args=config,
            train_dataset=data or (answer_rows(rows()) if sft else preferences()),
            processing_class=loaded.processor,
            peft_config=lora or random_lora(alpha=32),
            clips=clips,
            **(extra or {}),
        )

    return build


def logps_of(trainer, row, text) -> torch.Tensor:
    tokenizer = trainer.processing_class.tokenizer
    ids = tokenizer(text)["input_ids"] + [tokenizer.convert_tokens_to_ids("<|im_end|>")]
    return plain_logps(trainer.model, trainer.processing_class, row["prompt"], CLIPS[row["scene_name"]], ids)[0]


def sft_loss(trainer) -> torch.Tensor:
    """Mean over all answers' tokens of -log p."""
    logps = torch.cat([logps_of(trainer, row, row["completion"]) for row in trainer.train_dataset])
    return -logps.mean()


def dpo_loss(trainer) -> torch.Tensor:
    """arXiv 2305.18290, eq. 7."""
    losses = []
    for row in trainer.train_dataset:
        chosen, rejected = (logps_of(trainer, row, row[name]).sum() for name in ("chosen", "rejected"))
        with torch.no_grad(), trainer.model.disable_adapter():
            ref_chosen, ref_rejected = (logps_of(trainer, row, row[name]).sum() for name in ("chosen", "rejected"))
        margin = (chosen - ref_chosen) - (rejected - ref_rejected)
        losses.append(-torch.nn.functional.logsigmoid(BETA * margin))
    return torch.stack(losses).mean()


TEXTBOOK = {VideoSFTTrainer: sft_loss, VideoDPOTrainer: dpo_loss}
KINDS = [VideoSFTTrainer, VideoDPOTrainer]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
        {"activation_checkpointing": True},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2, "extra": {"questions_per_clip": 2}},
    ],
    ids=["whole batch", "two at a time", "gradient checkpointing", "two questions of a clip"],
)
def test_step_one_loss_and_gradients_are_the_textbooks(make, kind, changes):
    trainer = make(kind, **changes)
    watcher = watch(trainer, lambda t: TEXTBOOK[kind](t))
    with torch.no_grad():
        expected = float(TEXTBOOK[kind](trainer))
    trainer.train()
    assert max(watcher.errors(0).values()) < 1e-4
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_in_4_bit_every_lora_layer_learns_in_fp32(make, kind):
    trainer = make(kind, quantize="nf4")
    before = {n: p.clone() for n, p in trainer.model.named_parameters() if p.requires_grad}
    trainer.train()
    after = dict(trainer.model.named_parameters())
    assert before and all((after[n] != p).any() and after[n].dtype == torch.float32 for n, p in before.items())


@pytest.mark.parametrize("kind", KINDS)
def test_another_clip_changes_the_loss(make, kind):
    def first_loss(clips):
        trainer = make(kind, clips=clips)
        trainer.train()
        return trainer.state.log_history[0]["loss"]

    assert abs(first_loss(CLIPS) - first_loss({"room-0": tiny_clip(7), "room-1": tiny_clip(8, 3, 56, 84)})) > 1e-3


def test_a_fresh_adapter_prefers_nothing(make):
    trainer = make(VideoDPOTrainer, lora=lora_config(rank=4, alpha=8))
    trainer.train()
    log = trainer.state.log_history[0]
    assert log["loss"] == pytest.approx(0.693147, abs=1e-5) and log["rewards/margins"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_chosen_and_rejected_share_all_but_the_answer(make, kind):
    trainer = make(kind, extra={"questions_per_clip": 2}, per_device_train_batch_size=2)
    read = []
    layer = trainer.model.get_base_model().model.language_model.layers[0]
    layer.register_forward_pre_hook(lambda m, args, kw: read.append(args[0].shape[:2]), with_kwargs=True)
    collate = trainer.data_collator
    batches = []
    trainer.data_collator = lambda rows: batches.append(collate(rows)) or batches[-1]
    trainer.train()
    prompts, answers = batches[0]["shared"].prompts, batches[0]["shared"].completions
    ((_, common),) = shared_prefixes(prompts)
    once = common + sum(len(p.ids_P) - 1 - common for p in prompts) + sum(len(a) for own in answers for a in own)
    assert read[0] == (1, once) and once < 0.9 * int(batches[0]["attention_mask"].sum())


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_sees_the_video_too(make, kind):
    trainer = make(kind, per_device_eval_batch_size=4, prediction_loss_only=True)
    trainer.model.eval()
    with torch.no_grad():
        expected = float(TEXTBOOK[kind](trainer))
    assert trainer.evaluate(trainer.train_dataset)["eval_loss"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_would_not_see_the_video_is_refused(make, kind):
    with pytest.raises(ValueError, match="label_smoothing_factor is not supported"):
        make(kind, label_smoothing_factor=0.1)
    with pytest.raises(ValueError, match="dataloader_num_workers is 2: batches are made with the model"):
        make(kind, dataloader_num_workers=2)
    with pytest.raises(ValueError, match="compute_metrics is not supported"):
        make(kind, extra={"compute_metrics": lambda found: {}})
    with pytest.raises(ValueError, match="lacks the column"):
        make(kind, data=training_rows(rows(), "vanilla"))
    with pytest.raises(ValueError, match="no clip for scene"):
        make(kind, clips={}).train()
