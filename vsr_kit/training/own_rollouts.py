"""Trainers whose rows are the model's own rollouts: short right chains for SFT, best and worst answers for DPO.

The story: a loop that improves a model by itself trains on what the model wrote. Who writes is the model as the
training finds it (fresh, or with the adapter that it starts from), and it writes when training begins, since only then
are its weights there. `OwnChainsTrainer` keeps the shortest right rollout of each question, puts the fresh adapter back
and learns from these texts: whatever wrote them, training begins at the base (OpenVLThinker, arXiv 2503.17352; before
it STaR, arXiv 2203.14465). A resumed run draws the same rollouts again, since seed and weights are the same.
Left out: several processes, which would each write their own texts, and texts that are kept from an earlier round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from vsr_kit.generation import Generation, generate
from vsr_kit.models.loading import Loaded
from vsr_kit.rewards.hard import all_or_nothing, right_answer
from vsr_kit.training.supervised_trainers import VideoSFTTrainer, answer_rows

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
        args, kwargs: those of `VideoSFTTrainer`.
    """

    def __init__(self, *args, questions: Sequence[dict], mode: str, how: Mapping, **kwargs) -> None:
        super().__init__(*args, train_dataset=answer_rows(questions, mode), **kwargs)
        if self.accelerator.num_processes > 1:
            raise ValueError(f"{self.accelerator.num_processes} processes would each write their own texts: launch one")
        self._questions, self._mode, self._how = questions, mode, how
        model = self.accelerator.unwrap_model(self.model)
        self._fresh = {name: weight.detach().clone() for name, weight in model.named_parameters() if _learns(weight)}

    def train(self, *args, **kwargs):
        """Write the texts, put the fresh adapter back, and train; arguments as transformers' own.

        Raises:
            ValueError: not one rollout was right.
        """
        model = self.accelerator.unwrap_model(self.model)
        groups = draw_groups(model, self.processing_class, self._questions, self.clips, self._mode, **self._how)
        texts = shortest_right(self._questions, groups, self._mode)
        if not texts:
            count = sum(map(len, groups))
            raise ValueError(f"not one of {count} rollouts is right: draw more of each question, or a longer cap")
        metrics = self._metrics["train"]
        metrics["rollouts/kept"].append(len(texts) / len(groups))
        metrics["rollouts/tokens"].append(self._tokens_of(groups))
        self.train_dataset = answer_rows(self._questions, self._mode, targets=texts)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name in self._fresh:
                    weight.copy_(self._fresh[name])
        return super().train(*args, **kwargs)

    def _tokens_of(self, groups: Sequence[Group]) -> int:
        rows = answer_rows(self._questions, self._mode)
        prompts = [len(one.ids_P) for one in self.encoded_prompts(list(rows))]
        return sum(
            prompt * len(own) + sum(o.num_tokens for o in own) for prompt, own in zip(prompts, groups, strict=True)
        )


def _learns(weight: torch.Tensor) -> bool:
    return weight.requires_grad
