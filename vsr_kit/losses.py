"""GRPO's and DPO's arithmetic in a few lines each: rewards become advantages, log-probabilities become a loss.

GRPO: G rollouts of one question are rewarded. `group_advantages` compares each reward with its group's mean, in units
of the group's standard deviation; `grpo_loss` moves the policy towards the better rollouts by a clipped ratio and keeps
it near a reference model by a KL term. Shapes: B questions, G rollouts of each, T tokens; a batch of completions has N
= B * G rows.

DPO: a pair is a question with a preferred and a rejected answer. How much more probable the policy finds an answer than
the reference model does is its log-ratio; the difference of the two log-ratios is the margin, and the loss is that of
logistic regression on it (arXiv 2305.18290). A policy equal to its reference has margin 0 and loss log 2, whatever the
answers are.

`reinforce_loss` is what both began with, the plain push, and `entropy` says how undecided a policy is.

The trainers compute the same by TRL's own code, and tests check that both are equal; the course reads this module.
Left out: losses other than the papers' first one and Dr. GRPO's, sequence-level ratios, entropy bonuses, label
smoothing, and the log-probabilities themselves (`vsr_kit.sharing`). kl.py compares the three KL estimators and their
gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

LOSS_TYPES = ("grpo", "dr_grpo")


def group_advantages(rewards_BG: torch.Tensor | Sequence[Sequence[float]], eps: float = 1e-4) -> torch.Tensor:
    """A = (r - mean) / (std + eps) within each group (arXiv 2402.03300, section 4.1.2).

    std is the sample's, over G - 1, and eps 1e-4, as in TRL; the paper writes neither. Equal rewards give zeros: the
    group then teaches nothing.

    Args:
        rewards_BG: one row for each question.

    Raises:
        ValueError: not two axes, or a group of one.
    """
    rewards_BG = torch.as_tensor(rewards_BG)
    if rewards_BG.ndim != 2 or rewards_BG.shape[1] < 2:
        raise ValueError(
            f"rewards must have shape (B, G) with G >= 2, got {tuple(rewards_BG.shape)}: a group of one has no mean to "
            "beat; raise num_generations"
        )
    rewards = rewards_BG if rewards_BG.is_floating_point() else rewards_BG.float()
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + eps)


def reinforce_loss(logps_N: torch.Tensor, advantages_N: torch.Tensor) -> torch.Tensor:
    """Minus the mean of advantage times log-probability: its gradient is the push of REINFORCE (Williams 1992).

    A step down this loss raises the log-probability of whatever has a positive advantage, in proportion to it. Averaged
    over answers drawn from the policy, the gradient is that of minus the expected reward, whatever constant has been
    subtracted from the rewards.

    Args:
        logps_N: log-probabilities of sampled answers under the policy, with their graph.
        advantages_N: a number for each: its reward, or its reward minus a baseline.
    """
    return -(advantages_N.detach() * logps_N).mean()


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """The mean surprise of a distribution, -sum p log p over the last axis, in nats; what has probability 0 adds 0.

    0 for a sure thing, log W for W equally likely ones.
    """
    return torch.special.entr(probabilities).sum(-1)


def kl_k1(logps: torch.Tensor, ref_logps: torch.Tensor) -> torch.Tensor:
    """log p - log q of tokens drawn from p: unbiased for KL(p||q), often negative (Schulman 2020, k1)."""
    return logps - ref_logps


def kl_k2(logps: torch.Tensor, ref_logps: torch.Tensor) -> torch.Tensor:
    """(log p - log q)^2 / 2: never negative, biased, of low variance (Schulman 2020, k2)."""
    return (logps - ref_logps) ** 2 / 2


def kl_k3(logps: torch.Tensor, ref_logps: torch.Tensor) -> torch.Tensor:
    """q/p - log(q/p) - 1: never negative, unbiased (Schulman 2020, k3). The one GRPO uses, arXiv 2402.03300 eq. 4.

    It overflows: with x = ref_logps - logps above 88.7 in fp32 and bf16, or 11.09 in fp16, e^x and so k3 are infinite.
    Its gradient in logps is 1 - e^x, which is then -inf, and one such token turns the gradient of every weight into NaN
    however small beta is, even a masked one, since 0 times infinity is NaN. Short of that the gradient is finite and
    huge, and clipping leaves a step that follows this one token. On the other side, x far below 0, k3 is -x - 1 and
    its gradient 1. callbacks.StopWhenBroken ends a run at such a step.
    """
    log_ratio = ref_logps - logps
    return log_ratio.exp() - log_ratio - 1


def grpo_loss(
    logps_NT: torch.Tensor,
    old_logps_NT: torch.Tensor,
    ref_logps_NT: torch.Tensor | None,
    advantages_N: torch.Tensor,
    mask_NT: torch.Tensor,
    beta: float = 1e-4,
    epsilon: float = 0.2,
    loss_type: str = "grpo",
    use_bias_correction_kl: bool = False,
) -> torch.Tensor:
    """The loss whose gradient GRPO follows, a scalar (arXiv 2402.03300, eq. 3, negated).

    With r = exp(logps - old_logps), a token costs

        -min(r A, clip(r, 1 - epsilon, 1 + epsilon) A) + beta k3

    and `grpo` takes the mean over each completion's tokens, then over completions: a token of a short completion weighs
    more than one of a long one. `dr_grpo` (arXiv 2503.20783) divides by the longest possible length, here T, instead.

    `use_bias_correction_kl`, TRL's name and in 1.16 its default, makes the KL term beta r k3 (DeepSeek-V3.2, arXiv
    2512.02556). Tokens were drawn from the old policy, and r weighs them as if from the new; as r carries a gradient
    too, this changes what is learned even where r is 1: kl.py shows how. The papers of this kit have no r.

    Args:
        logps_NT: of the policy, with gradients.
        old_logps_NT: of the policy that sampled; detached here.
        ref_logps_NT: of the reference; None where beta is 0.
        advantages_N: one for each completion.
        mask_NT: 1 where a token counts.

    Raises:
        ValueError: shapes that do not fit, an unknown loss, beta without a reference.
    """
    _check(logps_NT, old_logps_NT, ref_logps_NT, advantages_N, mask_NT, beta, loss_type)
    ratio = (logps_NT - old_logps_NT.detach()).exp()
    gain = advantages_N[:, None].detach()
    cost_NT = -torch.minimum(ratio * gain, ratio.clamp(1 - epsilon, 1 + epsilon) * gain)
    if beta and ref_logps_NT is not None:  # _check refuses beta without a reference
        kl_NT = kl_k3(logps_NT, ref_logps_NT.detach())
        cost_NT = cost_NT + beta * (kl_NT * ratio if use_bias_correction_kl else kl_NT)
    cost_N = (cost_NT * mask_NT).sum(1)
    lengths = mask_NT.sum(1).clamp(min=1) if loss_type == "grpo" else mask_NT.shape[1]
    return (cost_N / lengths).mean()


def _check(logps, old_logps, ref_logps, advantages, mask, beta: float, loss_type: str) -> None:
    if loss_type not in LOSS_TYPES:
        raise ValueError(f"loss_type is {loss_type!r}: choose one of {', '.join(LOSS_TYPES)}; TRL's trainer has more")
    if beta and ref_logps is None:
        raise ValueError(f"beta is {beta}, and there is no reference to be near: give ref_logps_NT, or beta=0")
    given = {"old_logps_NT": old_logps, "ref_logps_NT": ref_logps, "mask_NT": mask}
    for name, value in given.items():
        if value is not None and value.shape != logps.shape:
            raise ValueError(f"{name} has shape {tuple(value.shape)}, logps_NT {tuple(logps.shape)}: they must agree")
    if advantages.shape != logps.shape[:1]:
        raise ValueError(f"advantages_N has shape {tuple(advantages.shape)}: one for each of {len(logps)} completions")


def dpo_loss(
    chosen_B: torch.Tensor,
    rejected_B: torch.Tensor,
    ref_chosen_B: torch.Tensor,
    ref_rejected_B: torch.Tensor,
    beta: float = 0.1,
) -> torch.Tensor:
    """Mean of -log sigmoid(beta * margin), a scalar (arXiv 2305.18290, eq. 7).

    margin = (chosen - ref_chosen) - (rejected - ref_rejected)

    Args:
        chosen_B, rejected_B: log-probabilities of whole answers under the policy: sums over their tokens, not means.
        ref_chosen_B, ref_rejected_B: the same under the reference; detached here.
        beta: how soon a margin is large enough.

    Raises:
        ValueError: shapes that differ, or a beta that is not above zero.
    """
    shapes = [tuple(x.shape) for x in (chosen_B, rejected_B, ref_chosen_B, ref_rejected_B)]
    if len(set(shapes)) > 1:
        raise ValueError(f"log-probabilities must have one shape, one number a pair, got {shapes}: sum over tokens")
    if beta <= 0:
        raise ValueError(f"beta is {beta}: it must be above 0, or no pair would say anything; 0.1 is usual")
    margin_B = (chosen_B - ref_chosen_B.detach()) - (rejected_B - ref_rejected_B.detach())
    return -torch.nn.functional.logsigmoid(beta * margin_B).mean()
