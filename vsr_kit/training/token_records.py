"""Recording while training what each token of a few rollouts was worth: `train(..., record_tokens=TokenSample(20))`.

A trainer computes log-probabilities and entropies of every token, uses them in its loss and forgets them.
`TokenRecords` keeps them for a small sample: at step 1 and at every `every`-th step, the rollouts of the first
`questions` questions of the step's first pass, whole groups of them. What is recorded is what the loss was computed
from: ids as they were sampled, the advantage of each token, the policy's entropies, and log-probabilities minus the
reference's, all at the sampling's temperature. Only the grounding takes a pass of its own, in which the same rollouts
are scored with another room's clip; without a KL term the reference takes a second one. Which questions these are
follows from the order of the batch, which is shuffled, so the sample favours nothing.

Recording changes nothing about the training: the additional passes carry no gradient, draw no random numbers that the
training would have drawn, and touch no weight. Rows go into `tokens.jsonl` of the run's folder, with the step and the
place of the rollout among those recorded for that step in the run's rollouts.
Left out: rollouts that the loss leaves out altogether (truncated ones that are told not to count, dropped groups), and
second uses of the same rollouts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from vsr_kit.evaluation.baselines import wrong_clip_pairing
from vsr_kit.evaluation.token_measures import adapter_off
from vsr_kit.evaluation.token_texts import MEASURES, token_texts
from vsr_kit.sharing import encode_prompt, score
from vsr_kit.validation import whole

_DIGITS = 6  # significant ones of a recorded number


@dataclass(frozen=True)
class TokenSample:
    """Which rollouts' tokens a training records.

    Attributes:
        every: steps between two records; step 1 is recorded, too.
        questions: of such a step, with all their rollouts.
    """

    every: int = 20
    questions: int = 1

    def __post_init__(self) -> None:
        whole("every", self.every, remedy="leave record_tokens out to record nothing")
        whole("questions", self.questions)

    def wants(self, step: int) -> bool:
        """Whether a step, counted from 1, is recorded."""
        return step == 1 or step % self.every == 0


@dataclass(frozen=True, eq=False)
class Sampled:
    """A rollout on its way through a batch: what the run recorded of it, and the conversation that was asked."""

    row: dict
    messages: list[dict]


def check_sample(sample: TokenSample | None, method, run) -> None:
    """Complain of a sample that cannot be recorded, before a model is loaded.

    Raises:
        ValueError: another method than GRPO, or no run folder.
    """
    if sample is None:
        return
    if method.name != "grpo":
        raise ValueError(f"record_tokens with {method.name}: only GRPO samples rollouts; leave record_tokens out")
    if run is None:
        raise ValueError("record_tokens needs a run folder to write to: give run=RunFolder.create(name)")


class TokenRecords:
    """Watches the passes of a `VideoGRPOTrainer` and writes down its sample of tokens.

    Args:
        sample: what to record.
        recorder: anything with `.tokens(rows)`, such as a RunFolder.
    """

    def __init__(self, sample: TokenSample, recorder) -> None:
        self.sample, self.recorder = sample, recorder
        self._step, self._places = (
            0,
            dict[int, int](),
        )  # of the rollouts recorded for this step, by their row's identity
        self._done = 0  # the last step that was recorded

    def number(self, rows: Sequence[dict]) -> None:
        """Learn in which order the run records the rollouts of a step."""
        for row in rows:
            if row["step"] != self._step:
                self._step, self._places = row["step"], {}
            self._places[id(row)] = len(self._places)

    def look(self, trainer, inputs: Mapping, scores: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Record what belongs to the sample of a pass whose loss was just computed.

        Args:
            trainer: the trainer.
            inputs: the pass's batch.
            scores: (B, T) log-probabilities and entropies of its completions under the policy.
        """
        sampled, step = inputs.get("sampled"), trainer.state.global_step + 1
        if not sampled or step == self._done or not self.sample.wants(step) or sampled[0].row["step"] != step:
            return
        self._done = step
        prompts = list(dict.fromkeys(inputs["encoded_prompts"]))[: self.sample.questions]
        lengths = inputs["completion_mask"].sum(1).tolist()
        rows = [i for i, prompt in enumerate(inputs["encoded_prompts"]) if prompt in prompts and lengths[i]]
        if not rows:
            return
        ids = {i: inputs["completion_ids"][i, : lengths[i]] for i in rows}
        with torch.no_grad(), torch.random.fork_rng(_gpus(trainer)), trainer.accelerator.autocast():
            values = _values(trainer, inputs, ids, scores)
        tokenizer = trainer.processing_class.tokenizer
        others = _other_scenes(trainer)
        self.recorder.tokens(
            self._line(sampled[i].row, ids[i].tolist(), tokenizer, others, {n: v[i] for n, v in values.items()})
            for i in rows
        )

    def _line(self, row: Mapping, ids: list[int], tokenizer, others: Mapping, values: Mapping) -> dict:
        texts, specials = token_texts(tokenizer, ids)
        told = {name: row[name] for name in ("step", "id", "scene_name", "completion")}
        told |= {"rollout": self._places[id(row)], "completion_ids": ids, "tokens": texts, "specials": specials}
        told |= {"other_scene": others.get(row["scene_name"], "") if "grounding" in values else ""}
        return told | {name: _rounded(values[name]) for name in MEASURES if name in values}


def _values(trainer, inputs: Mapping, ids: Mapping[int, torch.Tensor], scores) -> dict[str, dict[int, torch.Tensor]]:
    """By measure and row the numbers of its tokens; a measure that cannot be taken is missing."""
    logps_BT, entropies_BT = scores
    advantages = inputs["advantages"]
    each = advantages if advantages.ndim == 2 else advantages[:, None].expand(logps_BT.shape)  # as TRL broadcasts them
    made = {
        "advantage": {i: each[i, : len(own)] for i, own in ids.items()},
        "entropy": {i: entropies_BT[i, : len(own)] for i, own in ids.items()},
    }
    reference = _reference_logps(trainer, inputs, ids)
    compared = {"policy_minus_reference": reference, "grounding": _other_clip_logps(trainer, inputs, ids)}
    for name, other in compared.items():
        if other is not None:
            made[name] = {i: logps_BT[i, : len(own)].double() - other[i].double() for i, own in ids.items()}
    return made


def _reference_logps(trainer, inputs: Mapping, ids: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor] | None:
    """Those of the KL term where there is one; else of the model without its adapter, where it has one."""
    if (known := inputs.get("ref_per_token_logps")) is not None:
        return {i: known[i, : len(own)] for i, own in ids.items()}
    model = trainer.accelerator.unwrap_model(trainer.model)
    if not hasattr(model, "peft_config"):
        return None
    with adapter_off(model):
        return _scored(trainer, inputs["encoded_prompts"], ids)


def _other_clip_logps(trainer, inputs: Mapping, ids: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor] | None:
    """With another room's clip; None where there is no other room."""
    others, model = _other_scenes(trainer), trainer.accelerator.unwrap_model(trainer.model)
    if not others:
        return None
    prompts = {}
    for i in ids:
        if (own := inputs["encoded_prompts"][i]) not in prompts:
            asked = inputs["sampled"][i]
            (clip,) = trainer.features.encode(
                model, trainer.processing_class, [trainer.clips[others[asked.row["scene_name"]]]]
            )
            prompts[own] = encode_prompt(model, trainer.processing_class, asked.messages, clip)
    return _scored(trainer, {i: prompts[inputs["encoded_prompts"][i]] for i in ids}, ids)


def _scored(trainer, prompt_of, ids: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor]:
    """Log-probabilities of rollouts after their prompts, by row, in one pass of the bare model."""
    prompts = list(dict.fromkeys(prompt_of[i] for i in ids))
    rows = [[i for i in ids if prompt_of[i] is prompt] for prompt in prompts]
    model = trainer.accelerator.unwrap_model(
        trainer.model
    )  # the wrapper of several processes would wait for the others
    found = score(model, prompts, [[ids[i] for i in own] for own in rows], trainer.temperature)
    return {i: one.logps_T for i, one in zip(sum(rows, []), sum(found, []), strict=True)}


def _other_scenes(trainer) -> dict[str, str]:
    """Whose clip each scene is shown instead of its own; none where there is one scene."""
    return wrong_clip_pairing(trainer.clips) if len(trainer.clips) > 1 else {}


def _gpus(trainer) -> list[torch.device]:
    device = trainer.accelerator.device
    return [device] if device.type == "cuda" else []


def _rounded(values_T: torch.Tensor) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values_T.tolist()]
