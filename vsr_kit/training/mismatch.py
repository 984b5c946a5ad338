"""How far rollouts are from the pass that trains on them, logged with every step under the names TRL has for vLLM.

    sampling/sampling_logp_difference/mean, /max    |log-probability while sampling - in the training pass|, in nats

TRL logs these two where vLLM samples. Here the same model does both, so they should be rounding alone: about 1e-6 in
fp32, and what two kernels of the device differ by in bf16. A mean near one nat says that the two passes do not read the
same, for example because one of them does not see the clip. What rollouts said comes from sharing/sampled_logps.py; the
other side is the pass with the weights that sampled, which TRL keeps where the weights have moved since.
Left out: correcting the loss for it, TRL's importance sampling ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

NAME = "sampling/sampling_logp_difference"
MEAN, MAX = f"{NAME}/mean", f"{NAME}/max"


def padded(logps: Sequence[torch.Tensor] | None, ids_BT: torch.Tensor) -> torch.Tensor:
    """Rollouts' log-probabilities as (B, T) beside their ids; NaN where there is none.

    Not under TRL's own name for it, which would enter the loss of `off_policy_mask_threshold`.
    """
    out_BT = torch.full(ids_BT.shape, torch.nan)
    for row, own in zip(out_BT, logps or (), strict=False):
        row[: len(own)] = own
    return out_BT.to(ids_BT.device)


def differences(rollout_BT: torch.Tensor, training_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """|rollout - training| of the tokens that count and were seen by both, in nats, (N,)."""
    apart = (rollout_BT.float() - training_BT.float()).abs()[mask_BT.bool()]
    return apart[~apart.isnan()]


def log_mismatch(trainer, inputs: Mapping, scores_BT: torch.Tensor) -> None:
    """Add a pass's two numbers to what the trainer logs.

    Args:
        trainer: a VideoGRPOTrainer.
        inputs: the pass's batch, with `rollout_logps`.
        scores_BT: the policy's log-probabilities in this pass.
    """
    old_BT = inputs.get("old_per_token_logps")
    apart = differences(inputs["rollout_logps"], scores_BT if old_BT is None else old_BT, inputs["completion_mask"])
    own = torch.stack([apart.mean(), apart.max()]) if len(apart) else apart.new_full((2,), torch.nan)
    # every process comes here, also one without a token: who gathers waits for all of them
    all_P2 = trainer.accelerator.gather(own).view(-1, 2)
    metrics = trainer._metrics["train" if trainer.model.training else "eval"]
    metrics[MEAN].append(all_P2[:, 0].nanmean().item())
    metrics[MAX].append(max((value for value in all_P2[:, 1].tolist() if value == value), default=float("nan")))
