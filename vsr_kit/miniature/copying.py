"""An extra loss that teaches copying: where a reply repeats a value stated before, attention belongs on that value.

A chain that computes says `tv west 3.8` when it states a place and says it again when it needs it. Predicting the
second from the first takes two steps of attention, and from text alone a small network hardly ever finds them: each of
the two is worth nothing without the other (Olsson et al., "In-context learning and induction heads", 2022). A text of
this form shows which token repeats which, so both can be taught directly, as words are taught to look at the clip:

    bind   the tokens of a value look back at the name before it, so that side and digits learn whose they are, and a
           name's later tokens at the one before;
    fetch  where a value is about to be repeated, the token before each of its tokens looks at the same token of an
           earlier statement, so that what is to be said can be read off there; where a value is said for the first
           time, it looks at the very first token, where there is nothing to read, or it would repeat another's.

Two heads each, one for each key-value head, in two neighbouring layers above those that look at the clip.
Left out: copying of anything but names and their coordinates.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch

from vsr_kit.bridging.chains import stated_in

BIND_LAYER, FETCH_LAYER = 2, 3


@dataclass(frozen=True)
class Pointers:
    """Which token of a text is to look at which, as positions in it.

    Attributes:
        bind: (looking, looked at): a value's token and the last token of its name, a name's token and the one before.
        fetch: (looking, looked at): the token before a repeated one, and the places where it was said before; none for
            a value's token that is said for the first time.
    """

    bind: tuple[tuple[int, int], ...]
    fetch: tuple[tuple[int, tuple[int, ...]], ...]


def token_texts(tokenizer, vocab_size: int) -> list[str]:
    """What each token id adds to a text, by id; special tokens as they are written."""
    table = [""] * vocab_size
    for token, index in tokenizer.get_vocab().items():
        table[index] = tokenizer.convert_tokens_to_string([token])
    return table


def pointers_in(ids: Sequence[int], texts: Sequence[str], learnt_from: int = 0) -> Pointers:
    """Find the names and values of a text, and which of them repeat an earlier one.

    Args:
        ids: tokens of a text.
        texts: from `token_texts`.
        learnt_from: nothing before this position is predicted, so nothing there has to be fetched.
    """
    ends = list(accumulate(len(texts[i]) for i in ids))
    bind: list[tuple[int, int]] = []
    fetch: list[tuple[int, tuple[int, ...]]] = []
    said: dict[tuple, list[list[int]]] = {}

    def repeated(key: tuple, tokens: list[int], first: int) -> None:
        """Point each token from number `first` on at the same token of every earlier statement that reads alike."""
        spelt = [ids[t] for t in tokens[first:]]
        earlier = [other for other in said.get(key, ()) if [ids[t] for t in other[first:]] == spelt]
        for k in range(first, len(tokens)):
            if (earlier or first == 0) and tokens[k] >= learnt_from:  # a name that is new comes from the question
                fetch.append((tokens[k] - 1, tuple(other[k] for other in earlier)))
        said.setdefault(key, []).append(tokens)

    text = "".join(texts[i] for i in ids)
    for own in stated_in(text):
        name = _tokens(ends, own.name_at, own.name_at + len(own.name))
        bind += [(after, before) for before, after in pairwise(name)]
        repeated((own.name,), name, first=1)  # which name comes next is a choice, how it goes on is not
        if own.axis is not None:
            value = _tokens(ends, *own.value)
            bind += [(token, name[-1]) for token in value]
            repeated((own.name, own.axis, text[slice(*own.value)]), value, first=0)
    return Pointers(tuple(bind), tuple(fetch))


def _tokens(ends: Sequence[int], begin: int, end: int) -> list[int]:
    """The tokens that hold the characters from `begin` to `end`."""
    return list(range(bisect_right(ends, begin), bisect_left(ends, end) + 1))


def copying_loss(
    seen: dict[int, tuple[torch.Tensor, torch.Tensor]], pointers: Sequence[Pointers], before: int
) -> tuple[torch.Tensor, int]:
    """Cross-entropy between attention and what it is to look at, and over how many looks it was summed.

    Args:
        seen: rotated queries (N, H, T, d) and keys (N, K, before + T, d) of the two layers, by layer.
        pointers: of the N rows.
        before: tokens of the prefix that all rows continue; nothing in it is pointed at.
    """
    bind = [(row, at, (to,)) for row, own in enumerate(pointers) for at, to in own.bind]
    fetch = [(row, at, to) for row, own in enumerate(pointers) for at, to in own.fetch]
    parts = [_off_target(*seen[BIND_LAYER], bind, before), _off_target(*seen[FETCH_LAYER], fetch, before)]
    return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]


def _off_target(query, key, looks, before: int) -> tuple[torch.Tensor, int]:
    """The summed loss of some looks (row, position, positions looked at) in two heads of a layer."""
    if not looks:
        return query.new_zeros(()), 0
    rows_M, at_M = (torch.tensor([look[i] for look in looks]) for i in (0, 1))
    length, group = key.shape[2], query.shape[1] // key.shape[1]
    target_MS = torch.zeros(len(looks), length, dtype=torch.bool)
    for place, (_, _, to) in enumerate(looks):
        target_MS[place, [before + t for t in to] or [0]] = True  # the first token of all: nothing to be read there
    later_MS = torch.arange(length) > (before + at_M)[:, None]
    rows_M, at_M, target_MS, later_MS = (own.to(query.device) for own in (rows_M, at_M, target_MS, later_MS))
    total, lowest = query.new_zeros(()), torch.finfo(torch.float32).min
    with torch.autocast(query.device.type, enabled=False):
        for head in range(key.shape[1]):
            scores_NTS = query[:, head * group].float() @ key[:, head].float().mT / query.shape[-1] ** 0.5
            scores_MS = scores_NTS[rows_M, at_M].masked_fill(later_MS, lowest)
            right_M = scores_MS.masked_fill(~target_MS, lowest).logsumexp(-1)
            total = total + (scores_MS.logsumexp(-1) - right_M).sum()
    return total, len(looks) * key.shape[1]
