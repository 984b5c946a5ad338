"""Bytes of tensors that are alive, and their peak: what a computation itself needs, on any device.

The memory that a process has taken from the system says little on a CPU: allocators keep what was freed, and a peak is
never forgotten. `LiveBytes` follows every tensor that an operation makes, by its storage, until it is let go.
Left out: what kernels hold inside an operation, the autograd engine's own tensors, fragmentation.
"""

from __future__ import annotations

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """While open, follows the storages of all tensors that operations return.

    Attributes:
        now, peak: bytes of those that are alive, and the most so far. What was there before is not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def begin(self) -> None:
        """Forget the peak so far."""
        self.peak = self.now

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run the operation and look at what it returns; tensors that it was given are known as given ones."""
        given = {x.untyped_storage()._cdata for x in _tensors((args, kwargs))}
        made = func(*args, **(kwargs or {}))
        for x in _tensors(made):
            self._follow(x.untyped_storage(), given)
        return made

    def _follow(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known or key in given:
            return
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._let_go, key, size)

    def _let_go(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def _tensors(values) -> list[torch.Tensor]:
    return [x for x in tree_leaves(values) if isinstance(x, torch.Tensor)]
