"""GRPO that sees the video: TRL's trainer, with the methods that read a prompt replaced.

Stock `GRPOTrainer` (TRL 1.16) passes a video block to its rollouts but not to its reference and policy passes, without
any warning. Here a clip is encoded once per run, read once for all its questions in a batch, a question is read once
for all its rollouts, and all rollouts are scored in one packed pass (`vsr_kit.sharing`).
Left out, and refused with an error: vLLM rollouts, tools and environments, whose rollouts would not see the video.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import wraps
from itertools import groupby

import torch
from trl import GRPOConfig, GRPOTrainer
from trl.models.utils import unwrap_model_for_generation
from trl.trainer.utils import is_async_callable, split_tensor_dict

from vsr_kit.models.vision import core_model
from vsr_kit.sharing import EncodedPrompt, SampledLogps, generate_ids, score
from vsr_kit.training.mismatch import log_mismatch, padded
from vsr_kit.training.token_records import Sampled, TokenRecords
from vsr_kit.training.video_mixin import SeesClips

RECORDED = ("id", "scene_name", "question_type", "question", "options", "ground_truth")


class VideoGRPOTrainer(SeesClips, GRPOTrainer):
    """`trl.GRPOTrainer` whose rollouts, reference and policy all see the clip.

    Args:
        recorder: anything with `.rollouts(rows)`; gets every sampled completion with its rewards (main process only).
        args, kwargs: those of `SeesClips`, and GRPOTrainer's own.
    """

    def __init__(self, *args, recorder=None, **kwargs) -> None:
        own = {name: kwargs[name] for name in inspect.signature(GRPOTrainer.__init__).parameters if name in kwargs}
        _refuse_unsupported(inspect.signature(GRPOTrainer.__init__).bind_partial(self, *args, **own).arguments)
        super().__init__(*args, **kwargs)
        self.recorder = recorder
        named = zip(self.reward_funcs, self.reward_func_names, strict=True)
        self.reward_funcs = [_finite(function, name) for function, name in named]
        self._prompts: list[EncodedPrompt] = []  # of the rows being scored, row by row
        self.token_records: TokenRecords | None = None  # who records tokens gives it
        self._scores: tuple[torch.Tensor, torch.Tensor] | None = None  # of the policy, in the last pass
        self._rollout_logps: list[torch.Tensor] | None = None  # of the last rollouts, while they were sampled
        config = core_model(self.accelerator.unwrap_model(self.model)).config
        # Stock suppresses only the image pad, and a sampled video pad breaks the next forward.
        pads = {config.image_token_id, config.video_token_id}
        suppressed = sorted({*(self.generation_kwargs.get("suppress_tokens") or []), *pads})
        self.generation_kwargs["suppress_tokens"] = suppressed
        self.generation_config.suppress_tokens = suppressed

    @property
    def _group_size(self) -> int:
        return self.num_generations if self.model.training else self.num_generations_eval

    def _batches(self) -> dict[str, int]:
        if not self.shuffle_dataset:
            raise ValueError("questions_per_clip draws its own order: leave shuffle_dataset on, or set it to 1")
        return {
            "batch_size": self.args.generation_batch_size // self.num_generations,
            "mini_repeat_count": self.num_generations,
            "repeat_count": self.num_iterations * self.args.steps_per_generation,
        }

    # -- one batch: whole groups, their prompts encoded --------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict:
        group = self._group_size
        if len(inputs) % group:
            raise ValueError(
                f"{len(inputs)} rows a process and step do not hold whole groups of {group} rollouts; make "
                "per_device_train_batch_size x steps_per_generation a multiple of num_generations, and "
                "per_device_eval_batch_size one of num_generations_eval"
            )
        encoded = self.encoded_prompts(inputs[::group])
        self._prompts = [encoded[i // group] for i in range(len(inputs))]
        output = super()._generate_and_score_completions(inputs)
        output["encoded_prompts"] = self._prompts  # travels with the buffered batch: an evaluation in between may come
        output["rollout_logps"] = padded(self._rollout_logps, output["completion_ids"])
        sampled = self._sampled(inputs)
        if self.token_records is not None and sampled:
            output["sampled"] = [Sampled(own, row["prompt"]) for own, row in zip(sampled, inputs, strict=True)]
        self._record(sampled)
        return output

    def _calculate_rewards(self, inputs, *args, **kwargs):
        """TRL's, but for a reward that is no number: it would spoil its group's advantages without a word."""
        rewards_BR = super()._calculate_rewards(inputs, *args, **kwargs)
        if (wrong := rewards_BR.isinf().nonzero()).numel():  # of a model or a coroutine; functions are looked at above
            row, which = wrong[0].tolist()
            _refuse_reward(self.reward_func_names[which], float(rewards_BR[row, which]), inputs[row % len(inputs)])
        return rewards_BR

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
            with SampledLogps(model, self.temperature) as seen:
                ids = generate_ids(model, groups, self._group_size, self.generation_config, pad_id)
        self._rollout_logps = seen.of(ids)
        return ids, None

    def _record(self, sampled: list[dict]) -> None:
        """Hand completions of the step to the recorder."""
        if self.recorder is not None and sampled:
            self.recorder.rollouts(sampled)
            if self.token_records is not None:
                self.token_records.number(sampled)

    def _sampled(self, inputs: list[dict]) -> list[dict]:
        """Every completion that was just drawn with its rewards and advantage; none where nobody records."""
        if self.recorder is None or not self.model.training or not self.accelerator.is_main_process:
            return []
        total = len(inputs) * self.accelerator.num_processes  # the logs hold every process's rows, the main one's first

        def own(values) -> list:
            return list(values)[-total:][: len(inputs)]

        rewards = {name: own(values) for name, values in self._logs["rewards"].items()}
        texts, advantages = own(self._logs["completion"]), own(self._logs["advantages"])
        return [
            {
                "step": self.state.global_step + 1,
                **{name: row.get(name) for name in RECORDED},
                "completion": _plain_text(text),
                "advantage": float(advantage),
                **{name: float(values[i]) for name, values in rewards.items()},
            }
            for i, (row, text, advantage) in enumerate(zip(inputs, texts, advantages, strict=True))
        ]

    # -- optimisation ------------------------------------------------------------------------------------------------

    def _prepare_inputs(self, generation_batch):
        if not self.model.training:
            return self._generate_and_score_completions(generation_batch)
        every = self.args.steps_per_generation * self.num_iterations
        if self._step % every == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            batch = take_rows(batch, _whole_clips_shuffled(batch["encoded_prompts"]))
            self._buffered_inputs = split_tensor_dict(batch, self.args.steps_per_generation)
        return self._buffered_inputs[self._step % self.args.steps_per_generation]

    def _compute_loss(self, model, inputs):
        self._prompts = inputs["encoded_prompts"]
        loss = super()._compute_loss(model, inputs)
        log_mismatch(self, inputs, self._scores[0])
        if self.token_records is not None and self.model.training:
            self.token_records.look(self, inputs, self._scores)
        return loss

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
        # A row masked away as a whole (truncated, and told not to count) still keeps the graph connected.
        lengths_B = mask_BT.sum(1).clamp(min=1).tolist()
        prompts = list(dict.fromkeys(self._prompts))
        rows = [[i for i, own in enumerate(self._prompts) if own is prompt] for prompt in prompts]
        completions = [[ids_BT[i, : lengths_B[i]] for i in group] for group in rows]
        # TRL's bound on memory, in prompts; there is none where gradients are wanted
        at_once = len(prompts) if batch_size is None else max(1, batch_size // self._group_size)
        scored = []
        with self.accelerator.autocast():
            for start in range(0, len(prompts), at_once):
                part = slice(start, start + at_once)
                scored += score(model, prompts[part], completions[part], self.temperature, compute_entropy)
        rows_logps, rows_entropies = [None] * len(ids_BT), [None] * len(ids_BT)
        for i, own in zip(sum(rows, []), sum(scored, []), strict=True):
            spare = (0, logits_to_keep - len(own.logps_T))
            rows_logps[i] = torch.nn.functional.pad(own.logps_T, spare)
            if compute_entropy:
                rows_entropies[i] = torch.nn.functional.pad(own.entropies_T, spare)
        logps = torch.stack(rows_logps) * mask_BT
        entropies = torch.stack(rows_entropies) * mask_BT if compute_entropy else None
        if compute_entropy:
            self._scores = logps.detach(), entropies.detach()
        return logps, entropies, None


def _finite(function, name: str):
    """A reward function whose numbers are looked at; models and coroutines as they are. NaN is TRL's word for None."""
    if isinstance(function, torch.nn.Module) or is_async_callable(function):
        return function

    @wraps(function, updated=())
    def checked(*args, **columns):
        rewards = list(function(*args, **columns))
        for i, reward in enumerate(rewards):
            if reward is not None and not math.isfinite(reward):
                _refuse_reward(name, reward, {key: column[i] for key, column in columns.items() if key == "id"})
        return rewards

    return checked


def _refuse_reward(name: str, reward: float, row: Mapping) -> None:
    raise ValueError(
        f"the reward {name} gave {float(reward)} for question {row.get('id')!r}: a reward must be a finite number, or "
        "None where it says nothing; mend the function"
    )


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


def _whole_clips_shuffled(prompts: Sequence[EncodedPrompt]) -> torch.Tensor:
    """Row order with neighbours about one clip kept together, whole groups (stock TRL shuffles single rows)."""
    runs = [list(rows) for _, rows in groupby(range(len(prompts)), key=lambda i: id(prompts[i].features_VD))]
    return torch.tensor(sum((runs[i] for i in torch.randperm(len(runs)).tolist()), []))


def take_rows(batch: dict, order: torch.Tensor) -> dict:
    """A batch with its rows in another order, or only some of them; what is no row by row stays."""

    def pick(value):
        if isinstance(value, torch.Tensor) and value.ndim:
            return value[order.to(value.device)]
        return [value[i] for i in order.tolist()] if isinstance(value, list) else value

    return {key: pick(value) for key, value in batch.items()}


def _plain_text(completion) -> str:
    return completion if isinstance(completion, str) else completion[0]["content"]
