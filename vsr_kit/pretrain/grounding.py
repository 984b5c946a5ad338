"""Where to look: words that name an object are taught to attend to the tokens that show it.

Left to answers alone, a small language model learns for thousands of steps before the first word finds its object in
the clip. The renderer knows which token shows what, so two heads in each of the first two layers are told: where a
lesson names a category, their attention belongs on that category's tokens. What they do with what they find is learnt
from the lessons. Left out: any grounding of numbers, places or directions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from vsr_kit.rooms import CATEGORIES

LAYERS = (0, 1)


@dataclass
class Watch:
    """Queries and keys that attention saw, by layer, while `on`; see `stages.quicken`."""

    on: bool = False
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def note(self, layer: int | None, query: torch.Tensor, key: torch.Tensor) -> None:
        """Keep a layer's rotated queries (N, H, T, d) and keys (N, K, P + T, d), with their graph."""
        if self.on and layer in LAYERS:
            self.seen[layer] = (query, key)


WATCH = Watch()


def category_of_token(tokenizer, vocab_size: int) -> torch.Tensor:
    """For each token id the category it spells, with or without a leading space or bracket, else -1. Shape (vocab,)."""
    table = torch.full((vocab_size,), -1)
    for token, index in tokenizer.get_vocab().items():
        word = tokenizer.convert_tokens_to_string([token]).strip(" (")
        if word in CATEGORIES:
            table[index] = CATEGORIES.index(word)
    return table


def grounding_loss(
    category_NT: torch.Tensor, shown_NVC: torch.Tensor, visual_P: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy between attention and the tokens that show the word's object, summed, and how many words.

    Args:
        category_NT: category a lesson's token names, -1 where it names none.
        shown_NVC: which of a clip's V merged tokens show which category, for each row.
        visual_P: True where a prefix token is one of the clip's.
    """
    rows, places = (category_NT >= 0).nonzero(as_tuple=True)
    target_MV = shown_NVC[rows, :, category_NT[rows, places]] > 0
    known = target_MV.any(1)
    rows, places, target_MV = rows[known], places[known], target_MV[known]
    total, count = shown_NVC.new_zeros(()), 0
    for query, key in WATCH.seen.values():
        group = query.shape[1] // key.shape[1]
        q_MKd = query[:, ::group][rows, :, places]
        k_MKPd = key[:, :, : len(visual_P)][rows][:, :, visual_P]
        with torch.autocast("cpu", enabled=False):
            logits_MKV = torch.einsum("mkd,mkpd->mkp", q_MKd.float(), k_MKPd.float()) / query.shape[-1] ** 0.5
            right = logits_MKV.masked_fill(~target_MV[:, None], torch.finfo(torch.float32).min).logsumexp(-1)
            total = total + (logits_MKV.logsumexp(-1) - right).sum()
        count += right.numel()
    WATCH.seen.clear()
    return total, torch.tensor(count)
