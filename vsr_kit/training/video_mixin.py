"""What TRL's trainers lack for video: clips and their features, and batches in which questions about one clip meet.

`SeesClips` is a mixin before each of TRL's trainers. A trainer gets clips by scene name, encodes each once per run
(models/feature_cache.py) and uses the packed passes of `vsr_kit.sharing`. The reference model is always the model
without its adapter, fresh or not (TRL would copy an adapter that came with the model). LoRA weights are kept in fp32:
TRL converts those of a 4-bit model to bf16, where a step of the paper's size is lost to rounding.

Prefixes are shared within a batch, so several questions about one clip in a batch save work. With one question per clip
the order is TRL's own, a shuffle of all questions. With more, `ClipSampler` shuffles each clip's questions, cuts them
into sets of that size and shuffles the sets; smaller remainders come at the end of the epoch, so that no set straddles
two batches. Both samplers know an epoch's order from its number alone, so that a run resumed in its third epoch
continues in the third order; TRL's own sampler would begin with the first again.

Left out, and refused with an error: training the vision tower, and weights sharded over processes (FSDP, DeepSpeed
ZeRO-3), since parts of the model are called by themselves. With several GPUs under `accelerate launch` each holds the
whole model. Also left out: weighting questions by difficulty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import Sampler
from transformers import TrainerCallback
from trl.trainer.utils import RepeatSampler

from vsr_kit.files import one_type
from vsr_kit.models.feature_cache import FeatureStore
from vsr_kit.models.vision import core_model
from vsr_kit.prompts import chat_messages
from vsr_kit.sharing import EncodedPrompt, encode_prompt, give_scores


class EpochSampler(RepeatSampler):
    """TRL's RepeatSampler, order for order, that can begin at any epoch.

    Args:
        args, kwargs: RepeatSampler's, with a seed.
    """

    def __init__(self, *args, seed: int, **kwargs) -> None:
        super().__init__(*args, seed=seed, **kwargs)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, counted from 0; trainers say it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if self.shuffle:  # an order is the next draw of one stream: the earlier ones are drawn and put aside
            self.generator.manual_seed(self.seed)
            for _ in range(self.epoch):
                torch.randperm(self.num_samples, generator=self.generator)
        self.epoch += 1
        return super().__iter__()


class ClipSampler(Sampler):
    """Yields row indices as `trl.trainer.utils.RepeatSampler` does, with several questions of a clip side by side.

    Args:
        scenes: scene_name of every row.
        questions_per_clip: how many of a clip's questions come together, at least 1.
        batch_size: questions of a batch; a multiple of `questions_per_clip`.
        mini_repeat_count, repeat_count, seed: RepeatSampler's.

    Raises:
        ValueError: a batch that cannot hold whole cuts.
    """

    def __init__(
        self,
        scenes: Sequence[str],
        questions_per_clip: int,
        batch_size: int,
        mini_repeat_count: int,
        repeat_count: int = 1,
        seed: int = 0,
    ) -> None:
        if questions_per_clip < 1 or batch_size % questions_per_clip:
            raise ValueError(
                f"questions_per_clip is {questions_per_clip} and a batch holds {batch_size} questions: choose a "
                f"divisor of {batch_size}, or change the questions of a step"
            )
        self.scenes, self.questions_per_clip = list(scenes), questions_per_clip
        self.repeats = RepeatSampler(self.scenes, mini_repeat_count, batch_size, repeat_count, shuffle=False)
        self.seed, self.epoch = seed, 0

    def __len__(self) -> int:
        return len(self.repeats)

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next, counted from 0; trainers say it, so that a resumed run goes on in its own order."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = self._order()
        self.epoch += 1
        return (order[place] for place in self.repeats)

    def _order(self) -> list[int]:
        self.generator = torch.Generator().manual_seed(self.seed + self.epoch)
        by_scene: dict[str, list[int]] = {}
        for row in self._shuffled(range(len(self.scenes))):
            by_scene.setdefault(self.scenes[row], []).append(row)
        many = self.questions_per_clip
        cuts = [rows[i : i + many] for rows in by_scene.values() for i in range(0, len(rows), many)]
        whole, rest = [c for c in cuts if len(c) == many], [c for c in cuts if len(c) < many]
        return sum(self._shuffled(whole) + self._shuffled(rest), [])

    def _shuffled(self, items: Sequence) -> list:
        return [items[i] for i in torch.randperm(len(items), generator=self.generator).tolist()]


# What TRL's trainers and reward functions know by these names; predictions that were scored have a `prediction`, too.
TRAINERS_OWN = {"prompt", "prompts", "completion", "completions", "completion_ids", "chosen", "rejected", "images"}
TRAINERS_OWN |= {"image", "tools", "messages", "trainer_state", "log_extra", "log_metric", "environments"}


def training_rows(rows: Sequence[dict], mode: str, prompt_set: str = "train") -> Dataset:
    """Rows with VSI-Bench's fields as the data set a trainer takes: with `prompt`, the video before the text.

    A field whose values have several types becomes text, since a column has one; fields that a trainer takes for
    something of its own (`TRAINERS_OWN`) are left out.
    """
    missing = [row.get("id", i) for i, row in enumerate(rows) if "scene_name" not in row or "ground_truth" not in row]
    if missing:
        raise ValueError(f"row {missing[0]!r} lacks scene_name or ground_truth; rows need VSI-Bench's fields")
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in TRAINERS_OWN]
    columns = {name: one_type([row.get(name) for row in rows]) for name in names}
    return Dataset.from_dict({**columns, "prompt": [chat_messages(row, mode, prompt_set) for row in rows]})


def rows_and_clips(questions, clips) -> tuple[Sequence[dict], Mapping[str, np.ndarray]]:
    """Questions taken apart: anything with `.rows` and `.clips`, or rows and the clips beside them.

    Raises:
        ValueError: there are no clips, or two sets of them.
    """
    if hasattr(questions, "rows") and hasattr(questions, "clips"):
        if clips is not None:
            raise ValueError(f"clips were given beside {type(questions).__name__}, which has its own: leave clips out")
        return questions.rows, questions.clips
    if clips is None:
        raise ValueError(
            f"questions is a {type(questions).__name__} without clips: give what load_questions returns, or the rows "
            "with clips={scene_name: frames}"
        )
    return questions, clips


class SeesClips:
    """Mixin before one of TRL's trainers that gives it clips.

    Args:
        clips: scene_name to uint8 frames (F, H, W, 3), for every scene of the data sets.
        features: where clips' features are kept; in memory for as long as the trainer lives if None.
        questions_per_clip: so many questions of a clip come together in a batch and share it; 1 draws every question by
            itself, as the paper does. See `ClipSampler`.
        args, kwargs: the trainer's own. Rows need `prompt` (one {"type": "video"} block) and `scene_name`.
    """

    def __init__(
        self,
        *args,
        clips: Mapping[str, np.ndarray],
        features: FeatureStore | None = None,
        questions_per_clip: int = 1,
        **kwargs,
    ) -> None:
        self.clips, self.questions_per_clip = clips, questions_per_clip
        self.features = FeatureStore() if features is None else features
        super().__init__(*args, **kwargs)
        _refuse_sharded(self)
        core = core_model(self.accelerator.unwrap_model(self.model))
        if any(p.requires_grad for p in core.model.visual.parameters()):
            raise ValueError(
                "the vision tower has trainable weights: clips are encoded once and their features shared, which is "
                "exact only for a frozen tower; train with LoRA on the language model (models.lora_config())"
            )
        if "ref" in getattr(self.model, "peft_config", ()):
            self.model.delete_adapter("ref")  # TRL's copy of an adapter that came with the model
        for name, weight in self.model.named_parameters():
            if weight.requires_grad and "lora_" in name and weight.dtype in (torch.bfloat16, torch.float16):
                weight.data = weight.data.float()
        give_scores(core)

    def encoded_prompts(self, rows: Sequence[Mapping]) -> list[EncodedPrompt]:
        """The prompts of some rows, their clips' features with them."""
        scenes = list(dict.fromkeys(row["scene_name"] for row in rows))
        if missing := [scene for scene in scenes if scene not in self.clips]:
            raise ValueError(f"no clip for scene {missing[0]!r}: `clips` must hold frames for every row's scene_name")
        model, processor = self.accelerator.unwrap_model(self.model), self.processing_class
        with self.accelerator.autocast():
            features = self.features.encode(model, processor, [self.clips[scene] for scene in scenes])
        clip_of = dict(zip(scenes, features, strict=True))
        return [encode_prompt(model, processor, row["prompt"], clip_of[row["scene_name"]]) for row in rows]

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None) -> None:
        own = self.accelerator.unwrap_model(self.model if model is None else model)
        if hasattr(own, "peft_config"):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:  # stock looks for names that a saved Qwen2-VL does not have, loads nothing, and only warns
            own.load_state_dict(type(own).from_pretrained(resume_from_checkpoint, dtype=own.dtype).state_dict())

    def _get_train_sampler(self, dataset=None):
        if self.questions_per_clip == 1:
            return _from_any_epoch(super()._get_train_sampler(dataset))
        batches = self._batches()
        a_pass = self.args.per_device_train_batch_size // batches["mini_repeat_count"]
        if not a_pass or a_pass % self.questions_per_clip:
            raise ValueError(
                f"questions_per_clip is {self.questions_per_clip}, but a process scores {a_pass} questions at once: "
                "raise per_device_train_batch_size (groups_per_pass in a profile) to a multiple of it"
            )
        scenes = (self.train_dataset if dataset is None else dataset)["scene_name"]
        return ClipSampler(scenes, self.questions_per_clip, seed=self.args.seed, **batches)

    def _batches(self) -> dict[str, int]:
        """How many questions a batch holds, and how often each of them and the batch come: for the sampler."""
        return {"batch_size": self.args.per_device_train_batch_size, "mini_repeat_count": 1, "repeat_count": 1}


def _from_any_epoch(sampler):
    """TRL's sampler of GRPO in a form that a resumed run can enter at its own epoch; the others are so already."""
    if not isinstance(sampler, RepeatSampler):
        return sampler
    names = ("data_source", "mini_repeat_count", "batch_size", "repeat_count", "shuffle", "seed")
    return EpochSampler(**{name: getattr(sampler, name) for name in names})


def _refuse_sharded(trainer) -> None:
    plugin = trainer.accelerator.state.deepspeed_plugin
    if trainer.is_fsdp_enabled or (plugin is not None and plugin.zero_stage == 3):
        raise ValueError(
            "weights sharded over processes (FSDP, DeepSpeed ZeRO-3) are not supported here; launch with ddp.yaml of "
            "vsr_kit/training/launch_configs, or plain `accelerate launch --multi_gpu`, or shard the optimizer only "
            "(zero2.yaml)"
        )


class MetricsRecorder(TrainerCallback):
    """Hands every log line of a run, with its step, to each of `sinks` (a run folder's `metrics`, a live figure)."""

    def __init__(self, *sinks: Callable[[dict], None]) -> None:
        self.sinks = sinks

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero and logs:
            for sink in self.sinks:
                sink({"step": state.global_step, **logs})
