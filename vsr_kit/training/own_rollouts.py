"""Trainers whose rows are the model's own rollouts: short right chains for SFT, best and worst answers for DPO.

The story: a loop that improves a model by itself trains on what the model wrote. Who writes is the model as the
training finds it (fresh, or with the adapter that it starts from), and it writes when training begins, since only then
are its weights there. `OwnChainsTrainer` keeps the shortest right rollout of each question, puts the fresh adapter back
and learns from these texts: whatever wrote them, training begins at the base (OpenVLThinker, arXiv 2503.17352; before
it STaR, arXiv 2203.14465). `OwnPairsTrainer` is DPO on the best and the worst of a question's rollouts, which either
the present policy writes at every step (online DPO) or the policy that training found (DPO). A resumed run draws the
same rollouts again, since a row's draws follow from seed, row and weights.
Left out: several processes, which would each write their own texts, and texts that are kept from an earlier round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from trl.trainer.utils import use_adapter

from vsr_kit.generation import Generation, generate
from vsr_kit.models.loading import Loaded
from vsr_kit.rewards.hard import all_or_nothing, right_answer
from vsr_kit.training.references import REFERENCE, freeze_as_reference
from vsr_kit.training.supervised_trainers import VideoDPOTrainer, VideoSFTTrainer, answer_rows
from vsr_kit.training.video_mixin import training_rows

Group = Sequence[Generation]


def draw_groups(
    model, processor, rows: Sequence[dict], clips: Mapping[str, np.ndarray], mode: str, **how
) -> list[list[Generation]]:
    """Rollouts of each row at temperature 1, asked with the training prompt.

    Args:
        model, processor: who is asked, with its adapter if it has one.
        rows, clips, mode: as in `training.train`.
        how: `num_samples`, `max_new_tokens` and `seed`, as `generation.generate` takes them.
    """
    trains = model.training
    model.eval()
    try:
        loaded = Loaded(model, processor, "", "")
        return generate(loaded, rows, clips, mode=mode, prompt_set="train", temperature=1.0, **how)
    finally:
        model.train(trains)


def is_right(one: Generation, row: Mapping, mode: str) -> bool:
    """Whether a rollout ended by itself, in the format of its mode, with the right answer (`rewards.hard`)."""
    if one.truncated:
        return False
    return right_answer(one.text, row) if mode == "vanilla" else all_or_nothing(one.text, row, mode) == 1


def errors(rows: Sequence[Mapping], groups: Sequence[Group], mode: str) -> dict[Any, float]:
    """The share of wrong rollouts of each question, 0 to 1, by the rows' `id`."""
    wrong = [[not is_right(one, row, mode) for one in group] for row, group in zip(rows, groups, strict=True)]
    return {row["id"]: sum(own) / len(own) for row, own in zip(rows, wrong, strict=True)}


def shortest_right(rows: Sequence[Mapping], groups: Sequence[Group], mode: str) -> dict[Any, str]:
    """Of each question the right rollout with the fewest tokens, by the rows' `id`; none where all are wrong."""
    right = {
        row["id"]: [one for one in group if is_right(one, row, mode)] for row, group in zip(rows, groups, strict=True)
    }
    return {name: min(own, key=lambda one: one.num_tokens).text for name, own in right.items() if own}


class OwnChainsTrainer(VideoSFTTrainer):
    """`VideoSFTTrainer` on the shortest right rollouts of the weights that training finds, from a fresh adapter.

    Logged with the first step: `rollouts/kept`, the share of questions with a right one, and `rollouts/tokens`, what
    drawing took, every rollout with its whole prompt, as TRL counts a step's tokens.

    Args:
        questions: the rows of which rollouts are drawn.
        mode: of the prompt.
        how: as `draw_groups` takes it.
        check: check(texts kept), which complains if they are too few for a step.
        args, kwargs: those of `VideoSFTTrainer`.
    """

    def __init__(
        self, *args, questions: Sequence[dict], mode: str, how: Mapping, check: Callable[[int], None], **kwargs
    ) -> None:
        super().__init__(*args, train_dataset=answer_rows(questions, mode), **kwargs)
        refuse_several(self)
        _by_id(questions)
        self._questions, self._mode, self._how, self._check = questions, mode, how, check
        model = self.accelerator.unwrap_model(self.model)
        self._fresh = {name: weight.detach().clone() for name, weight in model.named_parameters() if _learns(weight)}

    def train(self, *args, **kwargs):
        """Write the texts, put the fresh adapter back, and train; arguments as transformers' own.

        Raises:
            ValueError: not one rollout was right, or too few questions have a right one.
        """
        model = self.accelerator.unwrap_model(self.model)
        groups = draw_groups(model, self.processing_class, self._questions, self.clips, self._mode, **self._how)
        texts = shortest_right(self._questions, groups, self._mode)
        if not texts:
            count = sum(map(len, groups))
            raise ValueError(f"not one of {count} rollouts is right: draw more of each question, or a longer cap")
        self._check(len(texts))
        metrics = self._metrics["train"]
        metrics["rollouts/kept"].append(len(texts) / len(groups))
        prompts = list(answer_rows(self._questions, self._mode))
        metrics["rollouts/tokens"].append(tokens_of(self, prompts, groups))
        self.train_dataset = answer_rows(self._questions, self._mode, targets=texts)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in self._fresh:
                    weight.copy_(self._fresh[name])
        return super().train(*args, **kwargs)


def _learns(weight: torch.Tensor) -> bool:
    return weight.requires_grad


class OwnPairsTrainer(VideoDPOTrainer):
    """`VideoDPOTrainer` on pairs of rollouts that are drawn at every step: the best paid of a question and the worst.

    The reference is the policy as training finds it, frozen (`references.REFERENCE`). Who writes the rollouts is all
    that tells online from offline: the present policy, or that frozen one, whose rollouts of a question never change,
    as if they had been drawn before training. A question whose rollouts all earn the same trains nothing, as in GRPO.
    Logged: `pairs/there`, the share of questions with a pair; `pairs/best`, the mean of what the best earned; and
    `rollouts/tokens`, what drawing took.

    Args:
        questions: the rows that are asked.
        mode: of the prompt.
        how: as `draw_groups` takes it.
        pay: pay(text, row) -> what a rollout earns.
        online: whether the present policy writes.
        args, kwargs: those of `VideoDPOTrainer`.
    """

    def __init__(
        self,
        *args,
        questions: Sequence[dict],
        mode: str,
        how: Mapping,
        pay: Callable[[str, Mapping], float],
        online: bool,
        **kwargs,
    ) -> None:
        unwritten = training_rows(questions, mode)
        for name in self.answers:
            unwritten = unwritten.add_column(name, [""] * len(questions))
        super().__init__(*args, train_dataset=unwritten, **kwargs)
        refuse_several(self)
        self._by_id = _by_id(questions)
        self._mode, self._how, self._pay, self._online = mode, how, pay, online

    def train(self, *args, **kwargs):
        """Freeze what training finds as the reference, and train; arguments as transformers' own."""
        freeze_as_reference(self.accelerator.unwrap_model(self.model))
        return super().train(*args, **kwargs)

    def _collate(self, rows: list[Mapping]) -> dict:
        return {"rows": rows}  # pairs are made right before the step, by the weights of then

    def _prepare_inputs(self, inputs):
        rows = inputs["rows"]
        own = [self._by_id[row["id"]] for row in rows]
        model = self.accelerator.unwrap_model(self.model)
        with use_adapter(model, adapter_name="default" if self._online else REFERENCE):
            groups = draw_groups(model, self.processing_class, own, self.clips, self._mode, **self._how)
        pairs = [best_and_worst(row, group, self._pay) for row, group in zip(own, groups, strict=True)]
        metrics = self._metrics["train"]
        metrics["pairs/there"].append(sum(best[0] > worst[0] for best, worst in pairs) / len(pairs))
        metrics["pairs/best"].append(sum(best[0] for best, _ in pairs) / len(pairs))
        metrics["rollouts/tokens"].append(tokens_of(self, rows, groups))
        written = [
            {**row, "chosen": best[1], "rejected": worst[1]} for row, (best, worst) in zip(rows, pairs, strict=True)
        ]
        return super()._prepare_inputs(super()._collate(written))


def best_and_worst(
    row: Mapping, group: Group, pay: Callable[[str, Mapping], float]
) -> tuple[tuple[float, str], tuple[float, str]]:
    """What the best paid rollout earns and its text, and those of the worst paid; one that was cut is neither.

    Where all earn the same, both are one rollout: the loss of such a pair has no gradient.
    """
    paid = [(pay(one.text, row), one.text) for one in group if not one.truncated] or [(0.0, "")]
    best, worst = max(paid), min(paid)
    return (best, worst) if best[0] > worst[0] else (best, best)


def tokens_of(trainer, rows: Sequence[Mapping], groups: Sequence[Group]) -> int:
    """Tokens that drawing some groups took, every rollout with its whole prompt, as TRL counts a step's."""
    prompts = [len(one.ids_P) for one in trainer.encoded_prompts(list(rows))]
    return sum(len(own) * prompt + sum(o.num_tokens for o in own) for prompt, own in zip(prompts, groups, strict=True))


def _by_id(rows: Sequence[dict]) -> dict[Any, dict]:
    """Rows by their ids; complains if two share one."""
    by_id = {row["id"]: row for row in rows}
    if len(by_id) < len(rows):
        raise ValueError(f"{len(rows)} rows share ids: rollouts are known by them, so give each its own")
    return by_id


def refuse_several(trainer) -> None:
    """Complain if a trainer runs in several processes."""
    if (count := trainer.accelerator.num_processes) > 1:
        raise ValueError(f"{count} processes would each draw rollouts of their own: launch one")
