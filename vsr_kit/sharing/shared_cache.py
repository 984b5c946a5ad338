"""A KV cache in which a beginning that many rows share is held once: a clip's tokens, a prompt's, then rows' own.

Rows of a batch go on from beginnings in levels. Prompts about one clip share the clip's keys and values, the samples of
a prompt share the prompt's, and only what a row has said itself is its own: memory grows with the clip once, and not
with rows times clip. `Level` knows which row goes on from which beginning, for all layers; attention.py attends.

Where all copies together are small (`COPIED_BYTES`), a beginning is copied for its rows after all. A small batch is
then one plain product a layer, and rounds as it always did, on which recorded answers hang.
Left out: paged memory, sliding windows, moving beginnings to another device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

COPIED_BYTES = 2**29  # a beginning is copied for its rows where the copies, of all layers, take no more
Pair = tuple[torch.Tensor, torch.Tensor]  # keys and values, (n, K, P, d) each


@dataclass(frozen=True, eq=False)
class Level:
    """Which of n beginnings each of N rows goes on from.

    Attributes:
        owner_N: index of the row's beginning.
        count: n.
        side_by_side: whether each beginning has equally many rows, which follow one another in its order.
    """

    owner_N: torch.Tensor
    count: int
    side_by_side: bool = False

    @classmethod
    def each(cls, count: int, times: int = 1, device=None) -> Level:
        """`times` rows for each of `count` beginnings, side by side."""
        return cls(torch.arange(count, device=device).repeat_interleave(times), count, True)

    @cached_property
    def _slots(self) -> tuple[torch.Tensor, torch.Tensor]:
        """For each beginning its rows, (n, M), filled up with row 0; and where each row stands there, (N,)."""
        number_N = torch.zeros_like(self.owner_N)  # of a row among those of its beginning
        order = self.owner_N.argsort(stable=True)
        counts = torch.bincount(self.owner_N, minlength=self.count)
        number_N[order] = (
            torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[self.owner_N[order]]
        )
        most = int(counts.max())
        place_N = self.owner_N * most + number_N
        row_nM = torch.zeros(self.count * most, dtype=torch.long, device=order.device)
        row_nM[place_N] = torch.arange(len(order), device=order.device)
        return row_nM, place_N

    def together(self, x: torch.Tensor) -> torch.Tensor:
        """(N, K, g, d) -> (n, K, M * g, d): the rows of a beginning behind one another, for one product with it."""
        if not self.side_by_side:
            x = x[self._slots[0]]
        grouped = x.view(self.count, -1, *x.shape[1:])
        return grouped.transpose(1, 2).reshape(self.count, x.shape[1], -1, x.shape[-1])

    def back(self, x: torch.Tensor) -> torch.Tensor:
        """(n, K, M * g, d) -> (N, K, g, d), what `together` put together."""
        most = len(self.owner_N) // self.count if self.side_by_side else len(self._slots[0]) // self.count
        apart = x.view(self.count, x.shape[1], most, -1, x.shape[-1]).transpose(1, 2)
        rows = apart.reshape(self.count * most, x.shape[1], -1, x.shape[-1])
        return rows if self.side_by_side else rows[self._slots[1]]

    def repeat(self, times: int) -> Level:
        """Each row `times` over, side by side."""
        return Level(self.owner_N.repeat_interleave(times), self.count, self.side_by_side)

    def take(self, rows: torch.Tensor) -> Level:
        """Some of the rows; those that are left go on from the same beginnings."""
        return Level(self.owner_N[rows], self.count)


class SharedLayer(DynamicLayer):
    """One layer of the cache: the beginnings of each level, and the own tokens of N rows."""

    def __init__(self, beginnings: Sequence[Pair]) -> None:
        super().__init__()
        self.beginnings = list(beginnings)

    def get_seq_length(self) -> int:
        return sum(keys.shape[-2] for keys, _ in self.beginnings) + super().get_seq_length()

    def own(self) -> Pair:
        """Hand out the rows' own tokens, and begin anew."""
        keys, values = self.keys, self.values
        if keys is None or values is None:
            raise ValueError("the rows have read nothing yet: read their prompts first")
        self.keys = self.values = None
        self.is_initialized = False
        return keys, values


class SharedCache(DynamicCache):
    """A KV cache of N rows that go on from shared beginnings.

    Args:
        beginnings: keys and values of n beginnings, (n, K, P, d) each, one pair a layer.
        level: which row goes on from which; one row for each where it is None.

    Attributes:
        levels: one for each level of beginnings, the first read first.
    """

    def __init__(self, beginnings: Sequence[Pair], level: Level | None = None) -> None:
        super().__init__()
        self.layers: list[Any] = [SharedLayer([pair]) for pair in beginnings]
        keys = beginnings[0][0]
        self.levels = [level or Level.each(len(keys), device=keys.device)]

    def begin(self) -> None:
        """Make what the rows have read themselves a beginning, for others to go on from.

        It stands behind the beginning before it, or where copies are small in one piece with a copy of that.
        """
        (level,) = self.levels
        own = Level.each(len(level.owner_N), device=level.owner_N.device)
        small = self._bytes_of_a_row(0) * len(level.owner_N) <= COPIED_BYTES
        for layer in self.layers:
            (before,), rest = layer.beginnings, layer.own()
            if small:
                joined = tuple(torch.cat([x[level.owner_N], y], 2) for x, y in zip(before, rest, strict=True))
                layer.beginnings = [joined]
            else:
                layer.beginnings = [before, rest]
        self.levels = [own] if small else [level, own]

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row `repeats` over, with the same beginnings; called before any row has added a token."""
        self.levels = [level.repeat(repeats) for level in self.levels]

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep only some of the rows, each with a beginning of its own from now on where copies are small."""
        for i, level in enumerate(self.levels):
            left = level.take(indices)
            if self._bytes_of_a_row(i) * len(indices) <= COPIED_BYTES:
                for layer in self.layers:
                    layer.beginnings[i] = tuple(x[left.owner_N] for x in layer.beginnings[i])
                left = Level.each(len(indices), device=left.owner_N.device)
            self.levels[i] = left
        for layer in self.layers:
            if layer.is_initialized:
                layer.keys, layer.values = layer.keys[indices], layer.values[indices]

    def _bytes_of_a_row(self, level: int) -> int:
        """Of one beginning of a level, all layers together."""
        return sum(x[0].nbytes for layer in self.layers for x in layer.beginnings[level])
