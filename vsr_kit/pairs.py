"""Pairs for DPO: the true answer against a corrupted one, as the paper made them, or the base's own best and worst.

The paper's chosen answer is the true one and its rejected answer "the same answer changed to a wrong one"; how it was
changed is unstated. Ours is the answer of another training question of the same type (for words, another word the
question offers), so that a rejected answer is always one that could be right elsewhere. The authors suspect these pairs
of DPO's small gain; `rollout_pairs` therefore draws several answers from the base and sets the best paid against the
worst paid, as preference data is usually made. Questions whose answers all earn the same give no pair.

Left out: pairs from a reward model, and drawing anew while training goes on (online DPO).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from datasets import Dataset

from vsr_kit.prompts import answer_choices, completion_text, has_options, same_answer
from vsr_kit.questions import NUMERIC_TYPES
from vsr_kit.rewards import accuracy_reward
from vsr_kit.trainers import training_rows

SAMPLES = 8  # as many as the miniature's GRPO draws


def corrupted_pairs(rows: Sequence[dict], mode: str = "vanilla", seed: int = 0) -> Dataset:
    """`training_rows` with `chosen`, the mode's reply with the true answer, and `rejected`, with a wrong one.

    Raises:
        ValueError: a type of question has no second answer to be wrong with.
    """
    answers: dict[str, list[str]] = {}
    for row in rows:
        answers.setdefault(row["question_type"], []).append(row["ground_truth"])
    wrong = [_other_answer(row, answers[row["question_type"]], seed) for row in rows]
    chosen = [completion_text(mode, "train", "", row["ground_truth"]) for row in rows]
    rejected = [completion_text(mode, "train", "", answer) for answer in wrong]
    return training_rows(rows, mode).add_column("chosen", chosen).add_column("rejected", rejected)


def _other_answer(row: dict, answers: list[str], seed: int) -> str:
    kind = "number" if row["question_type"] in NUMERIC_TYPES else "letter" if has_options(row) else "word"
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
    from vsr_kit.generation import generate

    said = generate(loaded, rows, clips, mode, "train", max_new_tokens, 1.0, SAMPLES, seed)
    kept = []
    for row, group in zip(rows, said, strict=True):
        paid = [(accuracy_reward(one.text, row, numeric), one.text) for one in group if not one.truncated]
        best, worst = max(paid, default=(0, "")), min(paid, default=(0, ""))
        if best[0] > worst[0]:
            kept.append((row, best[1], worst[1]))
    if not kept:
        raise ValueError(f"all {SAMPLES} answers to each of {len(rows)} questions earn the same: there is no pair")
    own, chosen, rejected = zip(*kept, strict=True)
    return training_rows(own, mode).add_column("chosen", list(chosen)).add_column("rejected", list(rejected))
