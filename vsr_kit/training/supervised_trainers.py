"""SFT and DPO that see the video: TRL's trainers with shared prefixes, and the preference pairs that DPO trains on.

TRL's SFT and DPO trainers ask a model for the log-probabilities of answers, row by row, and make a loss of them. Here a
collator adds to the rows the prompts and answers that they share, and a model after `vsr_kit.sharing.give_scores`
computes the same numbers in one packed pass: for SFT each clip is read once, for DPO chosen and rejected share the
whole prompt. Everything after the log-probabilities is TRL's.

`corrupted_pairs` follows the paper: the chosen answer is the true one, the rejected "the same answer changed to a wrong
one"; how it was changed is not stated. Here it is the answer of another training question of the same type (for words,
another word that the question offers), so that a rejected answer could be right elsewhere. The authors suspect that
these pairs explain DPO's small gain. `rollout_pairs` therefore samples several answers from the base model and pairs
the one with the highest reward with the one with the lowest, as preference data is usually made; questions whose
answers all earn the same give no pair.

Left out: label smoothing and other losses that need whole logits (TRL asks the plain model for those, which has no
video here: refused), truncation, pairs from a reward model, and sampling new pairs during training (online DPO).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from datasets import Dataset
from torch.nn.utils.rnn import pad_sequence
from trl import DPOTrainer, SFTTrainer

from vsr_kit.prompts import answer_choices, has_options, same_answer, target_completion
from vsr_kit.questions import MATHEMATICS, NUMERIC_TYPES
from vsr_kit.rewards import accuracy_reward
from vsr_kit.sharing import SharedRows
from vsr_kit.training.video_mixin import SeesClips, rows_and_clips, training_rows

SAMPLES = 8  # as many as the miniature's GRPO draws


Targets = Callable[[dict], str | None] | Mapping[str, str]


def answer_rows(
    rows: Sequence[dict], mode: str = "vanilla", prompt_set: str = "train", targets: Targets | None = None
) -> Dataset:
    """Rows for SFT: `prompt`, and as `completion` the text that is to be said.

    Args:
        rows, mode, prompt_set: as `training_rows` takes them.
        targets: f(row) -> text, or texts by the rows' `id`; a row without one is left out. By default the mode's reply
            with the true answer, no chain.

    Raises:
        ValueError: a text that is none.
    """
    texts = target_texts(rows, mode, prompt_set, targets)
    kept = [(row, text) for row, text in zip(rows, texts, strict=True) if text is not None]
    data = training_rows([row for row, _ in kept], mode, prompt_set)
    return data.add_column("completion", [text for _, text in kept])


def target_texts(rows: Sequence[dict], mode: str, prompt_set: str, targets: Targets | None) -> list[str | None]:
    """What each row's completion is to be, None for one that is left out; arguments and errors as `answer_rows`."""
    if targets is None:
        return [target_completion(mode, prompt_set, "", row["ground_truth"]) for row in rows]
    texts = [targets.get(row["id"]) if isinstance(targets, Mapping) else targets(row) for row in rows]
    for row, text in zip(rows, texts, strict=True):
        if text is not None and (not isinstance(text, str) or not text):
            raise ValueError(
                f"the target of question {row.get('id')!r} is {text!r}: give a text that holds something, or None to "
                "leave the question out"
            )
    return texts


def _rollouts(
    loaded, rows, clips, mode: str, samples: int, *, max_new_tokens: int, seed: int, temperature: float = 1.0
):
    """Sampled answers to each row, asked with the training prompt: a list of generations for each."""
    from vsr_kit.generation import generate

    return generate(
        loaded,
        rows,
        clips,
        mode=mode,
        prompt_set="train",
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        num_samples=samples,
        seed=seed,
    )


def filtered_rollouts(
    loaded,
    questions,
    keep: Callable[[str, Mapping], bool],
    *,
    clips: Mapping[str, np.ndarray] | None = None,
    mode: str = "vanilla",
    samples: int = SAMPLES,
    max_new_tokens: int = 16,
    temperature: float = 1.0,
    seed: int = 0,
) -> dict[str, str]:
    """Texts for `methods.SFT(targets=...)` from a model's own rollouts: of each question the first that is kept.

    Rejection sampling as in STaR (arXiv 2203.14465), without its second try that is told the answer.

    Args:
        loaded: the model that answers, asked with the training prompt.
        questions, clips, mode: as in `training.train`.
        keep: keep(text, row) -> whether a rollout may be learnt from; one that was cut never is.
        samples: rollouts of each question.
        max_new_tokens: cap of a rollout.
        temperature, seed: of the sampling.

    Returns:
        Texts by the rows' `id`; a question of which nothing was kept has none.

    Raises:
        ValueError: two rows have one id, or nothing at all was kept.
    """
    rows, clips = rows_and_clips(questions, clips)
    if len({row["id"] for row in rows}) < len(rows):
        raise ValueError(f"{len(rows)} rows share ids: texts are known by them, so give each row one of its own")
    how = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
    generations = _rollouts(loaded, rows, clips, mode, samples, **how)
    texts = {}
    for row, group in zip(rows, generations, strict=True):
        kept = [one.text for one in group if not one.truncated and one.text and keep(one.text, row)]
        texts |= {row["id"]: kept[0]} if kept else {}
    if not texts:
        raise ValueError(f"none of {samples} rollouts of each of {len(rows)} questions is kept: keep less strictly")
    return texts


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


def corrupted_pairs(rows: Sequence[dict], mode: str = "vanilla", seed: int = 0) -> Dataset:
    """`training_rows` with `chosen`, the mode's reply with the true answer, and `rejected`, with a wrong one.

    Raises:
        ValueError: a type of question has no second answer to be wrong with.
    """
    answers: dict[tuple, list[str]] = {}
    for row in rows:
        answers.setdefault((row["question_type"], has_options(row)), []).append(row["ground_truth"])
    wrong = [_other_answer(row, answers[row["question_type"], has_options(row)], seed) for row in rows]
    chosen = [target_completion(mode, "train", "", row["ground_truth"]) for row in rows]
    rejected = [target_completion(mode, "train", "", answer) for answer in wrong]
    return training_rows(rows, mode).add_column("chosen", chosen).add_column("rejected", rejected)


def _other_answer(row: dict, answers: list[str], seed: int) -> str:
    kind = "number" if row["question_type"] in NUMERIC_TYPES else "letter" if has_options(row) else "word"
    kind = "formula" if kind == "word" and row["question_type"] == MATHEMATICS else kind
    offered = [choice.label if kind == "letter" else choice.text for choice in answer_choices(row)] or answers
    others = [answer for answer in offered if not same_answer(answer, row["ground_truth"], kind)]
    if not others:
        raise ValueError(f"every answer of type {row['question_type']!r} is {row['ground_truth']!r}: give more rows")
    draw = np.random.default_rng([seed, zlib.crc32(str(row["id"]).encode())])
    return others[int(draw.integers(len(others)))]


def rollout_pairs(
    loaded,
    rows: Sequence[dict],
    clips: Mapping[str, np.ndarray],
    mode: str = "vanilla",
    numeric: str = "paper",
    max_new_tokens: int = 16,
    seed: int = 0,
) -> Dataset:
    """`training_rows` with `chosen` and `rejected`: of eight answers of `loaded`, the best paid and the worst paid.

    Args:
        loaded: the model that answers, at temperature 1, asked with the training prompt.
        rows, clips, mode: as in `training.train`.
        numeric: how numbers are paid, a name of `rewards.NUMERIC_REWARDS`.
        max_new_tokens: cap of an answer; one that was cut is in no pair.
        seed: of the sampling.

    Raises:
        ValueError: not one question has two answers that earn differently.
    """
    generations = _rollouts(loaded, rows, clips, mode, SAMPLES, max_new_tokens=max_new_tokens, seed=seed)
    kept = []
    for row, group in zip(rows, generations, strict=True):
        paid = [(accuracy_reward(one.text, row, numeric), one.text) for one in group if not one.truncated]
        best, worst = max(paid, default=(0, "")), min(paid, default=(0, ""))
        if best[0] > worst[0]:
            kept.append((row, best[1], worst[1]))
    if not kept:
        raise ValueError(f"all {SAMPLES} answers to each of {len(rows)} questions earn the same: there is no pair")
    own, chosen, rejected = zip(*kept, strict=True)
    return training_rows(own, mode).add_column("chosen", list(chosen)).add_column("rejected", list(rejected))
