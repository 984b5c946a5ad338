"""GRPO that truly sees the video: TRL's trainer, with the three places that read a prompt replaced.

Stock `GRPOTrainer` (TRL 1.16) passes a video block to its rollouts but not to its reference and policy passes, and says
nothing. Here a clip is encoded once, each prompt is read once for its rollouts, and all rollouts of a prompt are scored
in one packed pass (`vsr_kit.prompted`); everything else, losses, schedules, logging, callbacks, is TRL's.
All private methods of TRL that the kit overrides are in this file; a test holds their signatures.

The reference is always the model without its adapter, fresh or not (TRL would take a copy of an adapter that came with
the model). LoRA weights are kept in fp32: TRL puts those of a 4-bit model into bf16, where a step of the paper's size
is lost.

Left out, and refused with an error: training the vision tower, vLLM rollouts, tools and environments, and weights
sharded over processes (FSDP, DeepSpeed ZeRO-3), since parts of the model are called by themselves. Several GPUs through
`accelerate launch` hold the whole model each.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.utils import split_tensor_dict

from vsr_kit.prompted import EncodedPrompt, encode_prompt, generate_ids, score_group
from vsr_kit.prompts import chat_messages
from vsr_kit.vision import ClipFeatures, core_model, encode_clips

RECORDED = ("id", "scene_name", "question_type", "question", "options", "ground_truth")
_CLIPS_AT_ONCE = 8


def training_rows(rows: Sequence[dict], mode: str, use: str = "train") -> Dataset:
    """Rows with VSI-Bench's fields as the data set a trainer takes: with `prompt`, the video before the text."""
    missing = [row.get("id", i) for i, row in enumerate(rows) if "scene_name" not in row or "ground_truth" not in row]
    if missing:
        raise ValueError(f"row {missing[0]!r} lacks scene_name or ground_truth; rows need VSI-Bench's fields")
    return Dataset.from_list([{**row, "prompt": chat_messages(row, mode, use)} for row in rows])


class VideoGRPOTrainer(GRPOTrainer):
    """`trl.GRPOTrainer` whose rollouts, reference and policy all see the clip.

    Args:
        clips: scene_name to uint8 frames (F, H, W, 3), for every scene of the data sets.
        recorder: anything with `.rollouts(rows)`; gets every sampled completion with its rewards (main process only).
        args, kwargs: GRPOTrainer's own. Rows need `prompt` (one {"type": "video"} block) and `scene_name`.

    Attributes:
        feature_budget_bytes: clips' features beyond it are let go, the longest unused first, and encoded anew.
    """

    feature_budget_bytes = 4 * 2**30

    def __init__(self, *args, clips: Mapping[str, np.ndarray], recorder=None, **kwargs) -> None:
        _refuse_unsupported(inspect.signature(GRPOTrainer.__init__).bind_partial(self, *args, **kwargs).arguments)
        super().__init__(*args, **kwargs)
        _refuse_sharded(self)
        visual = core_model(self.accelerator.unwrap_model(self.model)).model.visual
        if any(p.requires_grad for p in visual.parameters()):
            raise ValueError(
                "the vision tower has trainable weights: clips are encoded once and their features shared, which is "
                "exact only for a frozen tower; train with LoRA on the language model (models.lora_config())"
            )
        if "ref" in getattr(self.model, "peft_config", ()):
            self.model.delete_adapter("ref")  # TRL's copy of an adapter that came with the model
        for name, weight in self.model.named_parameters():
            if weight.requires_grad and "lora_" in name:
                weight.data = weight.data.float()
        self.clips, self.recorder = clips, recorder
        self._features: dict[str, ClipFeatures] = {}
        self._prompts: list[EncodedPrompt] = []  # of the rows being scored, row by row
        config = core_model(self.accelerator.unwrap_model(self.model)).config
        # Stock suppresses only the image pad, and a sampled video pad breaks the next forward.
        pads = {config.image_token_id, config.video_token_id}
        suppressed = sorted({*(self.generation_kwargs.get("suppress_tokens") or []), *pads})
        self.generation_kwargs["suppress_tokens"] = suppressed
        self.generation_config.suppress_tokens = suppressed

    @property
    def _group_size(self) -> int:
        return self.num_generations if self.model.training else self.num_generations_eval

    # -- one batch: whole groups, their prompts encoded --------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict:
        group = self._group_size
        if len(inputs) % group:
            raise ValueError(
                f"{len(inputs)} rows a process and step do not hold whole groups of {group} rollouts; make "
                "per_device_train_batch_size x steps_per_generation a multiple of num_generations, and "
                "per_device_eval_batch_size one of num_generations_eval"
            )
        self._encode(list(dict.fromkeys(row["scene_name"] for row in inputs)))
        model, processor = self.accelerator.unwrap_model(self.model), self.processing_class
        encoded = [
            encode_prompt(model, processor, row["prompt"], self._features[row["scene_name"]]) for row in inputs[::group]
        ]
        self._prompts = [encoded[i // group] for i in range(len(inputs))]
        output = super()._generate_and_score_completions(inputs)
        output["encoded_prompts"] = self._prompts  # travels with the buffered batch: an evaluation in between may come
        self._record(inputs, output)
        return output

    def _encode(self, scenes: list[str]) -> None:
        """See to it that the features of these scenes' clips are at hand, as those used last."""
        if missing := [scene for scene in scenes if scene not in self.clips]:
            raise ValueError(f"no clip for scene {missing[0]!r}: `clips` must hold frames for every row's scene_name")
        new = [scene for scene in scenes if scene not in self._features]
        model = self.accelerator.unwrap_model(self.model)
        for start in range(0, len(new), _CLIPS_AT_ONCE):
            part = new[start : start + _CLIPS_AT_ONCE]
            with self.accelerator.autocast():
                encoded = encode_clips(model, self.processing_class, [self.clips[scene] for scene in part])
            self._features.update(zip(part, encoded, strict=True))
        for scene in scenes:
            self._features[scene] = self._features.pop(scene)
        for scene in list(self._features)[: -len(scenes)]:
            if sum(clip.features_VD.nbytes for clip in self._features.values()) <= self.feature_budget_bytes:
                break
            del self._features[scene]

    def _tokenize_prompts(self, prompts: list):
        return [p.ids_P.tolist() for p in self._prompts], None, {}

    def _generate_single_turn(self, prompt_ids, images, multimodal_fields, num_generations, has_tool_images=False):
        groups = self._prompts[:: self._group_size]
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self.args.ds3_gather_for_generation,
                generation_kwargs=self.generation_kwargs,
                gradient_checkpointing_kwargs=self.args.gradient_checkpointing_kwargs,
            ) as model,
            self.accelerator.autocast(),
        ):
            pad_id = self._tokenizer.pad_token_id
            return generate_ids(model, groups, self._group_size, self.generation_config, pad_id), None

    def _record(self, inputs: list[dict], output: dict) -> None:
        """Hand every completion of the step, with its rewards and advantage, to the recorder."""
        if self.recorder is None or not self.model.training or not self.accelerator.is_main_process:
            return
        total = len(inputs) * self.accelerator.num_processes  # the logs hold every process's rows, the main one's first

        def own(values) -> list:
            return list(values)[-total:][: len(inputs)]

        rewards = {name: own(values) for name, values in self._logs["rewards"].items()}
        texts, advantages = own(self._logs["completion"]), own(self._logs["advantages"])
        self.recorder.rollouts(
            {
                "step": self.state.global_step + 1,
                **{name: row.get(name) for name in RECORDED},
                "completion": _plain_text(text),
                "advantage": float(advantage),
                **{name: float(values[i]) for name, values in rewards.items()},
            }
            for i, (row, text, advantage) in enumerate(zip(inputs, texts, advantages, strict=True))
        )

    # -- optimisation ------------------------------------------------------------------------------------------------

    def _prepare_inputs(self, generation_batch):
        if not self.model.training:
            return self._generate_and_score_completions(generation_batch)
        every = self.args.steps_per_generation * self.num_iterations
        if self._step % every == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            batch = _take(batch, _whole_groups_shuffled(len(batch["prompt_ids"]), self.num_generations))
            self._buffered_inputs = split_tensor_dict(batch, self.args.steps_per_generation)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _compute_loss(self, model, inputs):
        self._prompts = inputs["encoded_prompts"]
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(
        self,
        model,
        input_ids,
        attention_mask,
        logits_to_keep,
        batch_size=None,
        compute_entropy=False,
        compute_aux_loss=False,
        **unused_image_inputs,
    ):
        ids_BT, mask_BT = input_ids[:, -logits_to_keep:], attention_mask[:, -logits_to_keep:].bool()
        if len(self._prompts) != len(ids_BT):
            raise RuntimeError(f"{len(ids_BT)} rows to score, but {len(self._prompts)} encoded prompts")
        logps_BT = torch.zeros(ids_BT.shape, device=ids_BT.device)
        entropies_BT = torch.zeros_like(logps_BT)
        groups: dict[int, list[int]] = {}
        for i, prompt in enumerate(self._prompts):
            groups.setdefault(id(prompt), []).append(i)
        rows_logps, rows_entropies = list(logps_BT), list(entropies_BT)
        for rows in groups.values():
            # A row masked away as a whole (truncated, and told not to count) still keeps the graph connected.
            lengths = [max(1, int(mask_BT[i].sum())) for i in rows]
            completions = [ids_BT[i, :length] for i, length in zip(rows, lengths, strict=True)]
            with self.accelerator.autocast():
                scored = score_group(model, self._prompts[rows[0]], completions, compute_entropy)
            for i, (logps, entropies) in zip(rows, scored, strict=True):
                spare = (0, logits_to_keep - len(logps))
                rows_logps[i] = torch.nn.functional.pad(logps.float(), spare)
                if compute_entropy:
                    rows_entropies[i] = torch.nn.functional.pad(entropies.float(), spare)
        entropies = torch.stack(rows_entropies) * mask_BT if compute_entropy else None
        return torch.stack(rows_logps) * mask_BT, entropies, None


def _refuse_unsupported(given: Mapping) -> None:
    args = given.get("args")
    if not isinstance(args, GRPOConfig):
        raise ValueError(
            f"args is {type(args).__name__}: give a trl.GRPOConfig, for example PROFILES['mini'].grpo_config(folder)"
        )
    refused = {
        "use_vllm": args.use_vllm,
        "use_transformers_continuous_batching": args.use_transformers_continuous_batching,
        "tools": bool(given.get("tools")),
        "environment_factory": given.get("environment_factory") is not None,
        "rollout_func": given.get("rollout_func") is not None,
    }
    if wrong := [name for name, on in refused.items() if on]:
        raise ValueError(f"{wrong[0]} is not supported here: its rollouts would not see the video; leave it out")


def _refuse_sharded(trainer: GRPOTrainer) -> None:
    plugin = trainer.accelerator.state.deepspeed_plugin
    if trainer.is_fsdp_enabled or (plugin is not None and plugin.zero_stage == 3):
        raise ValueError(
            "weights sharded over processes (FSDP, DeepSpeed ZeRO-3) are not supported here; launch with plain "
            "`accelerate launch --multi_gpu`, or shard the optimizer only (ZeRO-1, ZeRO-2)"
        )


def _whole_groups_shuffled(rows: int, group: int) -> torch.Tensor:
    """Row order with the groups in random order and each group together (stock TRL shuffles single rows)."""
    return (torch.randperm(rows // group)[:, None] * group + torch.arange(group)).flatten()


def _take(batch: dict, order: torch.Tensor) -> dict:
    def pick(value):
        if isinstance(value, torch.Tensor) and value.ndim:
            return value[order.to(value.device)]
        return [value[i] for i in order.tolist()] if isinstance(value, list) else value

    return {key: pick(value) for key, value in batch.items()}


def _plain_text(completion) -> str:
    return completion if isinstance(completion, str) else completion[0]["content"]


class MetricsRecorder(TrainerCallback):
    """Hands every log line of a run, with its step, to each of `sinks` (a run folder's `metrics`, a live figure)."""

    def __init__(self, *sinks: Callable[[dict], None]) -> None:
        self.sinks = sinks

    def on_log(self, args, state, control, logs=None, **kwargs):  # noqa: D102 - TrainerCallback's
        if state.is_world_process_zero and logs:
            for sink in self.sinks:
                sink({"step": state.global_step, **logs})
