"""SFT and DPO that see the video: TRL's trainers, with batches that share clips and questions.

The story: both trainers ask a model for the log-probabilities of answers, row by row, and make a loss of them. Here a
collator puts beside the rows what they share, and a model after `prompted.give_scores` computes the same numbers in one
packed pass: of SFT's rows each clip is read once, of DPO's pairs chosen and rejected share all but the answer.
Everything after the log-probabilities is TRL's.

Left out: label smoothing and other losses that need whole logits (TRL asks the plain model for those, which has no
video here: refused), and truncation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from trl import DPOTrainer, SFTTrainer

from vsr_kit.prompted import SharedRows
from vsr_kit.prompts import completion_text
from vsr_kit.trainers.clips import SeesClips, training_rows


def answer_rows(rows: Sequence[dict], mode: str = "vanilla", use: str = "train") -> Dataset:
    """Rows for SFT on the answers: `prompt`, and as `completion` the mode's reply with the true answer, no chain."""
    data = training_rows(rows, mode, use)
    return data.add_column("completion", [completion_text(mode, use, "", row["ground_truth"]) for row in rows])


class _AnswersTrainer(SeesClips):
    """What SFT and DPO have in common: rows stay as they are, batches are collated here."""

    answers: tuple[str, ...]  # columns of a row that hold answers to its prompt

    def __init__(self, *args, **kwargs) -> None:
        config = kwargs.get("args", args[1] if len(args) > 1 else None)
        _refuse_unsupported(config, kwargs)
        config.remove_unused_columns = False
        config.max_length = None  # would cut the video's tokens
        super().__init__(*args, data_collator=self._collate, **kwargs)

    def _prepare_dataset(self, dataset, *args, **kwargs):
        needed = ("prompt", "scene_name", *self.answers)
        if missing := [name for name in needed if name not in dataset.column_names]:
            raise ValueError(f"the data set lacks the column {missing[0]!r}: rows need {', '.join(needed)}")
        return dataset

    def _collate(self, rows: list[Mapping]) -> dict:
        """Rows of every prompt's first answer, then of its second; what they share under `shared`."""
        prompts, tokenizer = self.encoded_prompts(rows), self.processing_class.tokenizer
        end = [tokenizer.convert_tokens_to_ids("<|im_end|>")]
        answers = [[torch.tensor(tokenizer(row[name])["input_ids"] + end) for name in self.answers] for row in rows]
        places = [(prompt, answer) for answer in range(len(self.answers)) for prompt in range(len(rows))]
        pairs = [(prompts[p].ids_P.cpu(), answers[p][a]) for p, a in places]
        ids_BT = pad_sequence([torch.cat(pair) for pair in pairs], True, tokenizer.pad_token_id)
        lengths_B = torch.tensor([len(prompt) + len(answer) for prompt, answer in pairs])
        begins_B = torch.tensor([len(prompt) for prompt, _ in pairs])
        order_T = torch.arange(ids_BT.shape[1])
        filled_BT = order_T < lengths_B[:, None]
        device = prompts[0].ids_P.device
        shared = SharedRows(prompts, [[answer.to(device) for answer in own] for own in answers], places)
        batch = {"input_ids": ids_BT, "attention_mask": filled_BT.long(), "shared": shared}
        return batch | self._marked(ids_BT, filled_BT & (order_T >= begins_B[:, None]))

    def _marked(self, ids_BT: torch.Tensor, answered_BT: torch.Tensor) -> dict[str, torch.Tensor]:
        """How the trainer wants to be told which tokens are an answer's."""
        raise NotImplementedError


class VideoSFTTrainer(_AnswersTrainer, SFTTrainer):
    """`trl.SFTTrainer` on `answer_rows`, with clips; see `SeesClips`."""

    answers = ("completion",)

    def _marked(self, ids_BT, answered_BT):
        return {"labels": ids_BT.masked_fill(~answered_BT, -100)}


class VideoDPOTrainer(_AnswersTrainer, DPOTrainer):
    """`trl.DPOTrainer` on `training_rows` with the columns `chosen` and `rejected`, with clips; see `SeesClips`."""

    answers = ("chosen", "rejected")

    def _marked(self, ids_BT, answered_BT):
        return {"completion_mask": answered_BT.long()}


def _refuse_unsupported(config, kwargs: Mapping) -> None:
    if config is None:
        raise ValueError("args is None: give a trl.SFTConfig or trl.DPOConfig")
    if config.dataloader_num_workers:
        raise ValueError(
            f"dataloader_num_workers is {config.dataloader_num_workers}: batches are made with the model, in its own "
            "process; leave it at 0"
        )
    names = ("label_smoothing_factor", "packing", "padding_free", "precompute_ref_log_probs")
    wrong = [name for name in names if getattr(config, name, False)]
    wrong += [name for name in ("compute_metrics", "compute_loss_func") if kwargs.get(name) is not None]
    if wrong:
        raise ValueError(f"{wrong[0]} is not supported here: its passes would not see the video; leave it out")
