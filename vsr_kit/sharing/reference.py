"""The plain computation with which sharing is compared: every rollout with its own clip and question, nothing reused.

`plain_rollouts` and `plain_logps` start from pixels and do what transformers, and so stock TRL, does with G rows of one
question. The rest of `vsr_kit.sharing` has to give the same numbers; `gradient` and `relative_error` help to check
that. `answer_logps` gives log-probabilities of whole answers, as preference data compares them. `plain_tokens` and
`shared_tokens` count the tokens that either computation reads in one pass over the questions of a clip.
Left out: the loss, several questions in one plain pass, and padding, which only a real batch has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from vsr_kit.models.vision import chat_inputs, core_model


def plain_tokens(clip: int, question: int, answer: int, num_generations: int, questions: int = 1) -> int:
    """Tokens that the language model reads in one pass where nothing is shared.

    Args:
        clip: tokens up to the end of what the questions have in common.
        question: tokens from there to the end of a prompt.
        answer: tokens of a completion. Rollouts read one less of each: nothing has to follow the last.
        num_generations: G, completions of each question.
        questions: about the clip.
    """
    return questions * num_generations * (clip + question + answer)


def shared_tokens(clip: int, question: int, answer: int, num_generations: int, questions: int = 1) -> int:
    """Tokens that the language model reads in one pass where clip and questions are read once; args of `plain_tokens`.

    A question's last token predicts the first of every completion, so each completion brings its own; in return the
    completion's last token, from which nothing is predicted, is not read. The same holds for scoring and for rollouts.
    """
    return clip + questions * (question - 1) + questions * num_generations * answer


@torch.no_grad()
def plain_rollouts(
    model, processor, messages: list[dict], frames_FHW3: np.ndarray, num_samples: int, generation_config
) -> list[list[int]]:
    """`model.generate` on G rows of one question about one clip; each completion cut after its first end token."""
    inputs = _rows(model, chat_inputs(processor, messages, frames_FHW3), num_samples)
    full = model.generate(**inputs, generation_config=generation_config)
    ends = generation_config.eos_token_id
    ends = set(ends) if isinstance(ends, list) else {ends}
    rows = full[:, inputs["input_ids"].shape[1] :].tolist()
    return [row[: next((i + 1 for i, token in enumerate(row) if token in ends), len(row))] for row in rows]


def plain_logps(
    model, processor, messages: list[dict], frames_FHW3: np.ndarray, completions: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Log-probabilities (T,) of G completions of one question, by `model(**inputs)`; positions are the model's own."""
    rows = _rows(model, chat_inputs(processor, messages, frames_FHW3), len(completions))
    ids_GT = pad_sequence(completions, batch_first=True).to(rows["input_ids"].device)
    real_GT = pad_sequence([torch.ones_like(c) for c in completions], batch_first=True).to(ids_GT.device)
    added = {"input_ids": ids_GT, "attention_mask": real_GT, "mm_token_type_ids": torch.zeros_like(ids_GT)}
    rows |= {name: torch.cat([rows[name], more.to(rows[name].dtype)], 1) for name, more in added.items()}
    longest = ids_GT.shape[1]
    logits_GTW = model(**rows, use_cache=False, logits_to_keep=longest + 1).logits[:, :-1]
    logps_GT = -F.cross_entropy(logits_GTW.flatten(0, 1), ids_GT.flatten(), reduction="none").view(ids_GT.shape)
    return [logps[: len(c)] for logps, c in zip(logps_GT, completions, strict=True)]


@torch.no_grad()
def answer_logps(model, processor, messages: list[dict], frames_FHW3: np.ndarray, texts: Sequence[str]) -> torch.Tensor:
    """Log-probabilities (N,) of N whole answers to one question: sums over an answer's tokens and its end token."""
    tokenizer = processor.tokenizer
    end = [tokenizer.convert_tokens_to_ids("<|im_end|>")]
    ids = [torch.tensor(tokenizer(text)["input_ids"] + end) for text in texts]
    return torch.stack([logps.sum() for logps in plain_logps(model, processor, messages, frames_FHW3, ids)]).cpu()


def _rows(model, inputs: dict[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    """The inputs `count` times over, patches and grids included, where the model is."""
    device = core_model(model).device
    return {name: value.repeat(count, *[1] * (value.ndim - 1)).to(device) for name, value in inputs.items()}


def gradient(model, loss: torch.Tensor) -> torch.Tensor:
    """The gradient of `loss` in all that is trained, as one vector, fp64; the graph is freed."""
    weights = [p for p in model.parameters() if p.requires_grad]
    return torch.cat([g.flatten().double() for g in torch.autograd.grad(loss, weights)])


def relative_error(found: torch.Tensor, true: torch.Tensor) -> float:
    """Norm of the difference over the norm of `true`."""
    found, true = found.detach().double(), true.detach().double()
    return float((found - true).norm() / true.norm())
