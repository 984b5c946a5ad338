"""The rules of `vsr doctor` in one table: what is looked at, the thresholds with their reasons, and the remedy.

A rule with two thresholds gives a warning at the first and a problem at the second. Thresholds of runs were set so that
none of vsGRPO's and Vision-R1's shipped runs, which all trained, is beyond one: `shipped` is how near the worst of them
came, and a test computes it. Runs of later recipes may be beyond one: where a puzzle pays for exact matches only, few
groups have rewards that differ. Shares are 0 to 1, means are over the last WINDOW logged lines, and a rule about a
trend needs two such windows.
Left out: rules about a score on held-out questions, which a run folder of a training does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 20  # log lines, as collapse.collapsed's and callbacks.WarnOfCollapse's
FEW = 3  # fewer lines say nothing about a run
GROUPS = 8  # of the probe: fewer groups say nothing about how often rewards differ


@dataclass(frozen=True)
class Rule:
    """One thing that is checked.

    Attributes:
        asks: the question that it answers.
        warning, problem: beyond which a finding is one; None where there is no such level.
        unit: of the thresholds.
        reason: why these thresholds.
        remedy: what to do.
        shipped: the worst value among vsGRPO's and Vision-R1's shipped runs; None where none of them has one.
    """

    asks: str
    warning: float | None
    problem: float | None
    unit: str
    reason: str
    remedy: str
    shipped: float | None = None


RULES: dict[str, Rule] = {
    # -- of a run folder -----------------------------------------------------------------------------------------------
    "steps": Rule(
        "was anything trained?", None, None, "log lines",
        "without a log line there is nothing to look at; under three say nothing",
        "train longer, or look at another folder; vsr train --resume FOLDER goes on with a run that was stopped",
    ),
    "numbers": Rule(
        "are loss, gradient norm and KL numbers?", None, None, "log lines",
        "TRL logs null where nothing but NaN was left, so one such line is a broken step",
        "lower the learning rate, or compute in float32 (a profile's dtype)",
    ),
    "learning rate": Rule(
        "was the learning rate ever above zero?", None, 0.0, "largest logged",
        "at zero no weight moves; a schedule that ends at zero has higher values before",
        "set learning_rate, and look at the scheduler's warm-up",
    ),
    "gradient": Rule(
        "is there a gradient?", None, 1e-6, "largest grad_norm of the window",
        "clipping and AdamW hide the size of a gradient, but not its absence; single lines of shipped runs reach 4e-5",
        "look at the findings beside this one: equal rewards, masked completions and frozen weights all end here",
        shipped=0.108,
    ),
    "adapter": Rule(
        "has the adapter moved?", None, 0.0, "largest |B|",
        "LoRA starts with B = 0; AdamW moves every weight that has a gradient in its first step",
        "see that the adapter's weights require gradients and are the optimiser's; a learning rate of 0 does it, too",
        shipped=1.0,
    ),
    "equal rewards": Rule(
        "do rewards tell the completions of a group apart?", 0.8, 0.95, "share of groups with equal rewards",
        "such a group has no advantages; rewards for exact matches only, the study's sparsest, came nearest",
        "use a graded reward (numeric='paper'), ask easier or harder questions, raise num_generations or temperature",
        shipped=0.669,
    ),
    "clipped": Rule(
        "do completions end by themselves?", 0.5, 0.95, "share cut off by the cap",
        "a completion without its end has no answer to read; chains under Vision-R1's short cap came nearest",
        "raise max_vanilla_tokens or max_chain_tokens, or train the format first (SFT)",
        shipped=0.33,
    ),
    "masked": Rule(
        "does any completion count?", 0.5, 1.0, "share of lines without one",
        "mask_truncated_completions leaves truncated ones out: when all are, loss and entropy are exactly 0",
        "raise the cap of completions, or leave mask_truncated_completions off",
        shipped=0.0,
    ),
    "format without accuracy": Rule(
        "does accuracy rise with the format?", 0.2, None, "rise of the format's share, accuracy's below 0.02",
        "a format that is learnt while answers stay as they were is hacked or empty",
        "read completions (vsr report), weight the format less, or pay for both or nothing (rewards/hard.py)",
        shipped=0.056,
    ),
    "collapse": Rule(
        "has a reward collapsed?", None, 0.5, "share of its best window's mean",
        "the study's rule, training/collapse.py, fixed before its runs; it finds none in the shipped ones",
        "lower the learning rate, raise beta, or go back to a checkpoint before the fall",
    ),
    "kl": Rule(
        "is the policy still near its reference?", 5.0, 20.0, "median kl of the window, nats a token",
        "above 20 it shares no words with it (callbacks.StopWhenBroken); a median, as one rare token adds hundreds",
        "raise beta, or lower the learning rate",
        shipped=1.32,
    ),
    "kl rises": Rule(
        "has the KL settled?", 5.0, None, "last quarter's median over the second quarter's, above 1 nat",
        "the learning rate falls to zero, so a KL that still grows fivefold is running away",
        "raise beta, or lower the learning rate",
        shipped=1.21,
    ),
    "entropy": Rule(
        "does the policy still explore?", 0.25, 0.05, "entropy, last window over first",
        "without entropy all rollouts are alike, and no reward tells them apart",
        "raise beta or temperature, or add an entropy bonus (methods.GRPO(entropy_bonus=…))",
        shipped=0.528,
    ),
    "mismatch": Rule(
        "is what samples what is trained?", 0.05, 0.5, "median |log-probability in rollout - in training|, nats",
        "in fp32 the two differ by 1e-6; bf16 kernels of the same weights stay below 0.05, another clip is above 0.5",
        "run vsr doctor on the model; compute in float32; see that the clip reaches both passes",
    ),
    "unread": Rule(
        "can the answers be read?", 0.5, 0.95, "share of the window's completions without a readable answer",
        "what is not read earns nothing; chains cut off by Vision-R1's short cap came nearest",
        "read completions (vsr report); raise their cap; see that mode and prompt are the ones that were meant",
        shipped=0.328,
    ),
    "hacking": Rule(
        "are thoughts empty, or tags repeated?", 0.5, None, "share of the window's completions",
        "the two ways in which the paper's rollouts degenerated",
        "read completions (vsr report), and pay for what they say rather than for tags",
        shipped=0.025,
    ),
    # -- of a model ----------------------------------------------------------------------------------------------------
    "template": Rule(
        "is the chat template applied?", None, None, "",
        "a model answers in the form that it was tuned on; the video's tokens belong inside the user's turn",
        "use the checkpoint's own processor files: tokenizer, chat template, preprocessor",
    ),
    "parity": Rule(
        "do rollout and training agree on the log-probability of a token?", 0.05, 0.5, "mean, nats",
        "as `mismatch`, on the same clip and weights, before a run",
        "compute in float32 (dtype='float32'); if it stays, one of the two passes does not read what the other reads",
    ),
    "clip in rollouts": Rule(
        "do rollouts see the clip?", None, 1e-3, "mean change of a log-probability with another clip, nats",
        "rounding is below 1e-3 in fp32, and a clip that is read moves log-probabilities by a tenth and more",
        "see that the trainer is VideoGRPOTrainer, and that clips of different rooms were given",
    ),
    "clip in policy": Rule(
        "does the pass with gradients see the clip?", None, 1e-3, "mean change with another clip, nats",
        "as `clip in rollouts`; stock TRL drops a video here without a word",
        "train with VideoGRPOTrainer (vsr train), not with stock GRPOTrainer",
    ),
    "clip in reference": Rule(
        "does the reference's pass see the clip?", None, 1e-3, "mean change with another clip, nats",
        "as `clip in rollouts`; the KL term would pull the policy away from the clip",
        "train with VideoGRPOTrainer (vsr train), not with stock GRPOTrainer",
    ),
    "answers": Rule(
        "can the model's answers be read?", 0.5, 0.95, "share of completions without a readable answer",
        "as `unread`: GRPO has nothing to reward where nothing can be read",
        "raise the cap of completions, choose another mode, or train the format first (SFT)",
    ),
    "reward varies": Rule(
        "would GRPO learn from these rewards?", 0.8, 0.95, "share of groups with equal rewards",
        "as `equal rewards`; only groups with different rewards give a gradient",
        "raise temperature or the number of completions, ask other questions, or use a graded reward",
    ),
}  # fmt: skip


def level_of(name: str, value: float, below: bool = False) -> str:
    """`fine`, `warning` or `problem`, by a rule's thresholds; `below` where small values are the bad ones.

    A value at its threshold is beyond it.
    """
    rule = RULES[name]
    for level in ("problem", "warning"):
        limit = getattr(rule, level)
        if limit is not None and (value <= limit if below else value >= limit):
            return level
    return "fine"
