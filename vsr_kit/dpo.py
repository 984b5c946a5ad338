"""DPO's arithmetic: four log-probabilities of a pair become a loss.

The story: a pair is a question with an answer that shall be preferred and one that shall not. How much more probable
the policy finds each than the reference does is its log-ratio; the difference of the two is the margin, and the loss is
what logistic regression pays for it (arXiv 2305.18290). A policy that still is the reference has margin 0 and pays
log 2, whatever the answers are. The trainer computes the same by TRL's own code; a test holds the two equal, so this is
what the course reads.

Left out: TRL's other losses on pairs, label smoothing, and log-probabilities themselves (`vsr_kit.prompted`).
"""

from __future__ import annotations

import torch


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
