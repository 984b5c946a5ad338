"""GRPO-CARE's bonus: among right answers of a group, those that their own chain makes likely are paid more.

GRPO-CARE (arXiv 2506.16141, by SEED-Bench-R1's authors) found that GRPO on answers alone leaves chains that do not
lead to what is answered. Its bonus asks a slowly moving reference model how likely the answer is, once the chain is
read. Of the completions whose accuracy is at least their group's mean, those whose likelihood is not below the mean of
that choice, less a margin, earn half of their accuracy on top. Likelihood is the geometric mean over the answer's
tokens, cut at a ceiling, so that certainty beyond it is worth nothing. The authors published their code
(github.com/TencentARC/GRPO-CARE); this is written anew from it, with its numbers.

A reward sees no model. `training.care.CareGRPO` has the trainer work the likelihoods out and hands them in.
Left out: the group baseline of the paper's ablations, and a soft bonus.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from vsr_kit.rewards.terms import accuracy_reward

BONUS = 0.5  # of the accuracy, in their scripts
CEILING = 0.95  # of a likelihood
MARGIN = 0.01
LEAST_ACCURACY = 0.1  # below it nothing counts as right


def bonus_of(accuracy_G: Sequence[float], likelihood_G: Sequence[float]) -> list[float]:
    """The bonus of each completion of a group.

    Args:
        accuracy_G: what each answer earns, 0 to 1.
        likelihood_G: of each answer after its chain under the reference, 0 to 1.

    Raises:
        ValueError: not one likelihood for each accuracy.
    """
    if len(accuracy_G) != len(likelihood_G):
        raise ValueError(f"{len(likelihood_G)} likelihoods for {len(accuracy_G)} accuracies: give one for each")
    usual = fmean(accuracy_G)
    right_G = [own > LEAST_ACCURACY and own >= usual for own in accuracy_G]
    sure_G = [min(CEILING, own) for own in likelihood_G]
    chosen = [own for own, right in zip(sure_G, right_G, strict=True) if right]
    bar = fmean(chosen) - MARGIN if chosen else math.inf
    return [
        BONUS * own if right and sure >= bar else 0.0
        for own, right, sure in zip(accuracy_G, right_G, sure_G, strict=True)
    ]


def consistency_bonus(
    completions_G: Sequence[str], row: Mapping, reference_logps: Sequence[float], numeric: str = "paper"
) -> list[float]:
    """The bonus of a group's completions, as `rewards.group_reward(consistency_bonus, reference=True)` pays it.

    Args:
        completions_G: the texts of a group.
        row: their question.
        reference_logps: of each, the mean log-probability of a token of the answer after its chain, in nats; -inf
            where there is no answer in tags. `training.care.CareGRPO` gives these.
        numeric: the reward for numbers that accuracy is by, one of `NUMERIC_REWARDS`.
    """
    accuracy_G = [accuracy_reward(text, row, numeric) for text in completions_G]
    return bonus_of(accuracy_G, [math.exp(own) for own in reference_logps])
