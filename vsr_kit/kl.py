"""GRPO's KL term: three estimators, their gradients, and the exact divergence on the same rollouts.

The KL divergence of the policy p from the reference model q at a token is a sum over the vocabulary. GRPO sees one
sampled token of it and estimates the sum by k1, k2 or k3 (losses.py). `rollout_kl` samples completions from a trained
model and keeps both: the log-probabilities of the sampled tokens, from which `kl_estimates` takes each estimator's
mean, and the exact sum, with which `estimator_errors` compares them. A single sample's error can mislead: k3 is
unbiased, yet where the policy has all but dropped words that its reference says, k3 is too low in nearly every sample
and makes up for it in the rare one that says such a word.

An estimator with the right mean need not have a gradient with the right mean. `kl_gradients` has the gradients in
closed form: on tokens drawn from p, k1's has mean zero and k3's is that of the other divergence, KL(q||p); k2's and
that of TRL's bias-corrected k3 are unbiased for KL(p||q), the latter even on tokens drawn from an older policy.

Sources: J. Schulman, "Approximating KL Divergence" (2020), for the estimators; TRL 1.16's GRPOConfig on
`use_bias_correction_kl` and DeepSeek-V3.2 (arXiv 2512.02556) for the correction; Tang and Munos (arXiv 2506.09477) for
the gradients.

Left out: the divergence of whole sequences beyond the sum over sampled prefixes, and temperatures other than 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vsr_kit.generation import decode, sampler
from vsr_kit.losses import kl_k1, kl_k2, kl_k3
from vsr_kit.models.loading import Loaded
from vsr_kit.models.vision import core_model, encode_clip
from vsr_kit.prompts import chat_messages
from vsr_kit.sharing import encode_prompt, prefill

ESTIMATORS: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {"k1": kl_k1, "k2": kl_k2, "k3": kl_k3}
CORRECTED = "k3 corrected"
_NUMBERS_AT_ONCE = 2**25  # of the policy's distributions, 256 MB


# -- values ------------------------------------------------------------------------------------------------------------


def token_mean(values_NT: torch.Tensor, mask_NT: torch.Tensor) -> tuple[float, float]:
    """Mean over the tokens that count, and its standard error.

    Tokens of one completion depend on each other, so the error is that of a ratio of sums over N independent rows; with
    one token a row it is the usual standard deviation over the root of N. NaN for a single row.

    Raises:
        ValueError: shapes that differ, or no token that counts.
    """
    if values_NT.shape != mask_NT.shape or values_NT.ndim != 2:
        raise ValueError(f"values_NT {tuple(values_NT.shape)} and mask_NT {tuple(mask_NT.shape)}: both must be (N, T)")
    counts_NT = mask_NT.bool()
    lengths_N, sums_N = counts_NT.sum(1).double(), values_NT.detach().double().masked_fill(~counts_NT, 0).sum(1)
    total, rows = lengths_N.sum().item(), len(lengths_N)
    if not total:
        raise ValueError("no token counts: mask_NT is zero throughout")
    mean = sums_N.sum().item() / total
    squares = ((sums_N - mean * lengths_N) ** 2).sum().item()
    return mean, math.sqrt(squares * rows / (rows - 1)) / total if rows > 1 else math.nan


def kl_estimates(
    logps_NT: torch.Tensor, ref_logps_NT: torch.Tensor, mask_NT: torch.Tensor
) -> dict[str, tuple[float, float]]:
    """(mean, standard error) of k1, k2 and k3 over sampled tokens, in nats a token; see `token_mean`."""
    logps, reference = logps_NT.detach().double(), ref_logps_NT.detach().double()
    return {name: token_mean(estimator(logps, reference), mask_NT) for name, estimator in ESTIMATORS.items()}


def exact_kl(log_p_W: torch.Tensor, log_q_W: torch.Tensor) -> torch.Tensor:
    """KL(p||q) in nats from log-probabilities of the whole vocabulary, (..., W) each; (...) comes back.

    A token that p never says adds nothing; one that p says and q never does makes it infinite.
    """
    terms = log_p_W.exp() * (log_p_W - log_q_W)
    return terms.masked_fill(log_p_W == -torch.inf, 0).sum(-1)


def exact_moments(log_p_W: torch.Tensor, log_q_W: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(mean, variance) of k1, k2 and k3 on a token drawn from p, summed over the vocabulary; shapes as in `exact_kl`.

    k3's variance holds the sum of q^2 / p: what q says and p hardly ever does makes it large, and a sample of p seldom
    shows that.
    """
    never, found = log_p_W == -torch.inf, {}
    for name, estimator in ESTIMATORS.items():
        values_W = estimator(log_p_W, log_q_W).masked_fill(never, 0)
        mean = (log_p_W.exp() * values_W).sum(-1)
        found[name] = mean, (log_p_W.exp() * (values_W - mean[..., None]) ** 2).sum(-1)
    return found


# -- gradients ---------------------------------------------------------------------------------------------------------


def kl_gradients(
    logps: torch.Tensor, ref_logps: torch.Tensor, old_logps: torch.Tensor | None = None
) -> dict[str, torch.Tensor]:
    """What each estimator, used as a loss, adds to the gradient in `logps` at a sampled token; shapes agree.

    With x = log(p/q): k1 gives 1, k2 gives x, k3 gives 1 - e^-x. TRL's correction, r k3 with r = p / old, gives
    r k3 + r (1 - e^-x) = r x. A token's share of the gradient in the weights is this times that of its log-probability,
    so its mean under p is the gradient of KL(p||q) for k2 and the corrected k3, 0 for k1, that of KL(q||p) for k3.

    Args:
        old_logps: of the policy that sampled, for r; None where it is the policy itself and r is 1.
    """
    log_ratio = logps - ref_logps
    weight = torch.ones_like(logps) if old_logps is None else (logps - old_logps).exp()
    return {
        "k1": torch.ones_like(logps),
        "k2": log_ratio,
        "k3": 1 - (-log_ratio).exp(),
        CORRECTED: weight * log_ratio,
    }


# -- a trained model's own rollouts ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class KLRecord:
    """N completions, G of each question side by side, under policy and reference; natural logarithms, fp64.

    Attributes:
        logps_NT: of the sampled tokens under the policy, zero behind a completion's end, as all that follows.
        ref_logps_NT: the same under the reference.
        exact_NT: KL of the policy from the reference at each place, over the vocabulary.
        mask_NT: whether a token was sampled there.
        means_NT, variances_NT: of each estimator at each place, over the vocabulary.
        ids: of each completion, its end token included.
    """

    logps_NT: torch.Tensor
    ref_logps_NT: torch.Tensor
    exact_NT: torch.Tensor
    mask_NT: torch.Tensor
    means_NT: dict[str, torch.Tensor]
    variances_NT: dict[str, torch.Tensor]
    ids: list[list[int]]

    def estimates(self) -> dict[str, tuple[float, float]]:
        """(mean, standard error) in nats a token of k1, k2, k3 and `exact`."""
        sampled = kl_estimates(self.logps_NT, self.ref_logps_NT, self.mask_NT)
        return sampled | {"exact": token_mean(self.exact_NT, self.mask_NT)}


@dataclass(frozen=True)
class EstimatorError:
    """How far an estimator is from the exact KL at a token, in nats: as this sample shows it, and as it is.

    Attributes:
        bias, std_error: mean difference over the sampled tokens, and its standard error.
        spread: standard deviation of the differences.
        true_bias, true_spread: the same over the whole vocabulary at the same places; no chance is left in them but
            which places were sampled.
    """

    bias: float
    std_error: float
    spread: float
    true_bias: float
    true_spread: float


def estimator_errors(record: KLRecord) -> dict[str, EstimatorError]:
    """What k1, k2 and k3 get wrong about the exact KL of the places that were sampled."""
    mask, found = record.mask_NT, {}
    for name, estimator in ESTIMATORS.items():
        apart_NT = estimator(record.logps_NT, record.ref_logps_NT) - record.exact_NT
        true_bias, _ = token_mean(record.means_NT[name] - record.exact_NT, mask)
        off_NT = record.variances_NT[name] + (record.means_NT[name] - record.exact_NT - true_bias) ** 2
        spread, true_spread = apart_NT[mask].std(correction=0).item(), math.sqrt(token_mean(off_NT, mask)[0])
        found[name] = EstimatorError(*token_mean(apart_NT, mask), spread, true_bias, true_spread)
    return found


@torch.no_grad()
def rollout_kl(
    loaded: Loaded,
    rows: Sequence[dict],
    clips: Mapping[str, np.ndarray],
    mode: str = "vanilla",
    num_generations: int = 8,
    seed: int = 0,
    prompt_set: str = "train",
    max_new_tokens: int = 96,
) -> KLRecord:
    """Sample completions from a trained model at temperature 1, and weigh each token under policy and reference.

    Both distributions are those that can be sampled from, without image and video pads; a trainer's log-probabilities
    have the pads in them, and differ by what little the model gives to those.

    Args:
        loaded: a model with an adapter; without it the model is the reference.
        rows: with VSI-Bench's fields.
        clips: scene_name to uint8 frames (F, H, W, 3); a scene that is missing is asked without video.
        mode, prompt_set: which of the six prompts.
        num_generations: G, completions of each row; N is rows x G.
        seed: of the sampling; the completions are those of `generation.generate` at temperature 1.
        max_new_tokens: cap of a completion.

    Raises:
        ValueError: a model without adapter, no rows.
    """
    if not hasattr(loaded.model, "disable_adapter"):
        raise ValueError(f"{loaded.name} has no adapter, so policy and reference are the same: load one (adapter=...)")
    if not len(rows):
        raise ValueError("rows is empty: give at least one question")
    scenes = dict.fromkeys(row["scene_name"] for row in rows)
    model, processor = loaded.model, loaded.processor
    features = {s: encode_clip(model, processor, clips[s]) if s in clips else None for s in scenes}
    vocabulary = core_model(model).get_output_embeddings().weight.shape[0]
    at_once = max(1, _NUMBERS_AT_ONCE // (num_generations * max_new_tokens * vocabulary))
    completions: list[list[int]] = []
    weighed: list[torch.Tensor] = []
    for start in range(0, len(rows), at_once):
        part = rows[start : start + at_once]
        chats = [(chat_messages(row, mode, prompt_set), features[row["scene_name"]]) for row in part]
        prompts = [encode_prompt(model, processor, *chat) for chat in chats]
        pick = sampler(part, num_generations, seed, 1.0, max_new_tokens)
        ids, values = _weigh(loaded, prompts, num_generations, max_new_tokens, pick)
        completions, weighed = completions + ids, weighed + values
    columns = torch.nn.utils.rnn.pad_sequence(weighed, batch_first=True).unbind(-1)
    mask_NT = torch.arange(columns[0].shape[1]) < torch.tensor([len(own) for own in completions])[:, None]
    means, variances = (dict(zip(ESTIMATORS, columns[3 + i :: 2], strict=True)) for i in (0, 1))
    return KLRecord(*columns[:3], mask_NT, means, variances, completions)


def _weigh(loaded: Loaded, prompts, group: int, max_new_tokens: int, pick) -> tuple[list, list[torch.Tensor]]:
    """G completions of each prompt as `pick` chooses them, and for each of their tokens a row of numbers, (T, 9).

    The adapter is switched off for a second reading, which is made to say the same. A row holds log p, log q, the exact
    KL, and mean and variance of each estimator.
    """
    policy: dict[tuple[int, int], torch.Tensor] = {}
    rows: dict[tuple[int, int], torch.Tensor] = {}

    def choose(logits_NW, sequences_N, step):
        for i, log_p_W in zip(sequences_N.tolist(), logits_NW.double().cpu().log_softmax(-1), strict=True):
            policy[i, step] = log_p_W
        return pick(logits_NW, sequences_N, step)

    def repeat(logits_NW, sequences_N, step):
        chosen = [ids[i][min(step, len(ids[i]) - 1)] for i in sequences_N.tolist()]
        for i, token, log_q_W in zip(
            sequences_N.tolist(), chosen, logits_NW.double().cpu().log_softmax(-1), strict=True
        ):
            if step < len(ids[i]):  # what follows an end token is thrown away
                rows[i, step] = _numbers(policy.pop((i, step)), log_q_W, token)
        return torch.tensor(chosen, device=logits_NW.device)

    ids = _decode(loaded, prompts, group, max_new_tokens, choose)
    with loaded.model.disable_adapter():
        _decode(loaded, prompts, group, max_new_tokens, repeat)
    return ids, [torch.stack([rows[i, step] for step in range(len(own))]) for i, own in enumerate(ids)]


def _decode(loaded: Loaded, prompts, group: int, max_new_tokens: int, pick) -> list[list[int]]:
    completions: dict[int, list[int]] = {}
    for batch, reading in prefill(loaded.model, prompts, len(prompts), group):
        sequences = torch.tensor([i * group + k for i in batch for k in range(group)])
        made = decode(loaded, reading, sequences, max_new_tokens, pick)
        completions |= dict(zip(sequences.tolist(), made, strict=True))
    return [completions[i] for i in range(len(prompts) * group)]


def _numbers(log_p_W: torch.Tensor, log_q_W: torch.Tensor, token: int) -> torch.Tensor:
    moments = [value for pair in exact_moments(log_p_W, log_q_W).values() for value in pair]
    return torch.stack([log_p_W[token], log_q_W[token], exact_kl(log_p_W, log_q_W), *moments])
