"""Log-probabilities of completions in one packed pass, with the output head applied only where a token is scored.

`score` packs prompts and completions into one sequence (packing.py), runs the model over it once, and computes the
log-probabilities of the completions' tokens in chunks: no buffer of tokens x vocabulary exists. `give_scores` extends a
model's forward so that one call does this, because wrappers (PEFT, DistributedDataParallel) must see a forward pass to
do their work; the same forward answers TRL's SFT and DPO trainers, which ask for rows. TRL's own chunked head is not
used: it sums in fp32 even where the model computes in fp64, and on a CPU it projects every token of the sequence.
Left out: soft-capped or scaled logits (no Qwen-VL has them).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from types import MethodType

import torch
from torch.utils.checkpoint import checkpoint
from trl.trainer.utils import FusedCausalLMOutput

from vsr_kit.models.vision import core_model
from vsr_kit.sharing.attention import read_tree, share_attention
from vsr_kit.sharing.packing import EncodedPrompt, PackedTree, pack

FIELDS = ("log_probs", "entropy", "is_top1", "mean_logits", "log_sum_sq_probs")
_LOGITS_AT_ONCE = 2**24  # 64 MB in fp32


@dataclass(frozen=True, eq=False)
class Scored:
    """One completion of T tokens under a model: log-probabilities, and entropies where they were asked for."""

    logps_T: torch.Tensor
    entropies_T: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class SharedRows:
    """A batch of rows, each a prompt and an answer, that shares clips and questions.

    Attributes:
        prompts: N of them.
        completions: for each prompt its id tensors.
        rows: (prompt, completion) of each row.
    """

    prompts: Sequence[EncodedPrompt]
    completions: Sequence[Sequence[torch.Tensor]]
    rows: Sequence[tuple[int, int]]


def score(
    model,
    prompts: Sequence[EncodedPrompt],
    completions: Sequence[Sequence[torch.Tensor]],
    temperature: float = 1.0,
    with_entropy: bool = False,
) -> list[list[Scored]]:
    """Score each prompt's completions, all in one pass.

    Args:
        model: a model after `give_scores`, in its wrappers or not.
        prompts: N of them; those about one clip share it.
        completions: for each prompt its id tensors, none empty.
        temperature: the logits are divided by it.

    Returns:
        For each prompt, in order, one `Scored` a completion.
    """
    tree = pack(model, prompts, completions)
    fields = FIELDS[:2] if with_entropy else FIELDS[:1]
    read = [tree.by_completion(values) for values in model(tree=tree, fields=fields, temperature=temperature)]
    logps, entropies = read[0], read[1] if with_entropy else [[None] * len(own) for own in read[0]]
    return [[Scored(*pair) for pair in zip(*own, strict=True)] for own in zip(logps, entropies, strict=True)]


def give_scores(model) -> None:
    """Extend the forward of a model (inside wrappers or not) by packed passes; every other pass stays as it was.

    With `tree`, its forward returns the `fields` of the scored places, (S,) each. With `shared` it returns what a model
    with TRL's fused head would for the same rows, so TRL's trainers must have patched the model before.
    """
    share_attention(model)
    core = core_model(model)
    if getattr(core.forward, "gives_scores", False):
        return
    plain = core.forward

    @functools.wraps(type(core).forward)  # `generate` checks its arguments against this signature
    def forward(self, *args, tree=None, fields=FIELDS, temperature=1.0, shared=None, **inputs):
        if tree is not None:
            return _tree_scores(self, tree, fields, temperature)
        if shared is not None:
            return _rows(self, shared, inputs["labels"], temperature)
        return plain(*args, **inputs)

    forward.gives_scores = True
    core.forward = MethodType(forward, core)


def _tree_scores(core, tree: PackedTree, fields: Sequence[str], temperature: float) -> tuple[torch.Tensor, ...]:
    hidden_LD = read_tree(core, tree, use_cache=False).last_hidden_state[0]
    return token_scores(core.get_output_embeddings(), hidden_LD[tree.scored_S], tree.labels_S, temperature, fields)


def _rows(core, shared: SharedRows, labels_BT: torch.Tensor, temperature: float) -> FusedCausalLMOutput:
    """Scores where the rows' labels stand, (B, T - 1) as TRL shifts them, zero elsewhere."""
    tree = pack(core, shared.prompts, shared.completions)
    mask = labels_BT[:, 1:] != -100
    out = {"label_mask": mask}
    for name, values_S in zip(FIELDS, _tree_scores(core, tree, FIELDS, temperature), strict=True):
        own = tree.by_completion(values_S)
        in_order = torch.cat([own[prompt][completion] for prompt, completion in shared.rows])
        out[name] = in_order.new_zeros(mask.shape).masked_scatter(mask, in_order)
    return FusedCausalLMOutput(loss=-out["log_probs"].sum() / mask.sum().clamp(min=1), **out)


def token_scores(
    head, hidden_SD, labels_S, temperature: float = 1.0, fields: Sequence[str] = FIELDS[:1]
) -> tuple[torch.Tensor, ...]:
    """Log-probabilities and other `fields` of S labels, (S,) each; in fp32, or fp64 where the model computes in it.

    Logits exist for a few tokens at a time, and again in the backward pass.

    fields: of `FIELDS`, which TRL's FusedCausalLMOutput explains; the first two carry gradients.
    """
    at_once = max(1, _LOGITS_AT_ONCE // head.weight.shape[0])

    def some(hidden, labels):
        logits = head(hidden)
        logits = (logits if logits.dtype == torch.float64 else logits.float()) / temperature
        logps = logits.log_softmax(-1)
        made = {
            "log_probs": lambda: logps.gather(-1, labels[:, None])[:, 0],
            "entropy": lambda: -(logps.exp() * logps).sum(-1),
            "is_top1": lambda: logits.argmax(-1) == labels,
            "mean_logits": lambda: logits.detach().mean(-1),
            "log_sum_sq_probs": lambda: (2 * logps.detach()).logsumexp(-1),
        }
        return tuple(made[name]() for name in fields)

    chunks = zip(hidden_SD.split(at_once), labels_S.split(at_once), strict=True)
    parts = [checkpoint(some, *chunk, use_reentrant=False) for chunk in chunks]
    return tuple(torch.cat(values) for values in zip(*parts, strict=True))
