"""Bytes of live tensors while code runs, counted as torch makes and frees them: what a memory plan is compared with.

A process's resident memory says little about tensors: allocators keep what was freed, and libraries have pages of their
own. `LiveBytes` sees every tensor that an operation returns, in backward passes too, counts each storage once however
many views it has, and forgets it when it is freed.
Left out: what a kernel allocates and frees inside itself, and tensors that were made before counting began, unless
`hold` names them.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveBytes(TorchDispatchMode):
    """Within it, counts the bytes of all storages that operations returned and that are still alive.

    given: count a tensor that was there before and comes out of an operation as a view, such as a weight, too.

    Attributes:
        now, peak: bytes alive, and the most there were since the last `mark`.
        peaks: the peak of each stretch between marks, by name.
    """

    def __init__(self, given: bool = True) -> None:
        super().__init__()
        self._given = given
        self.now = self.peak = 0
        self.peaks: dict[str, int] = {}
        self._held: dict[int, tuple[weakref.ref, int]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        known = set() if self._given else {id(x.untyped_storage()) for x in _tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        self.hold(value for value in _tensors(out) if id(value.untyped_storage()) not in known)
        return out

    def begin(self) -> None:
        """Forget the peak so far."""
        self.peak = self.now

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count these, too, if they are not counted yet."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            key = id(storage)  # torch keeps one Python object a storage for as long as one of the two is referred to
            known = self._held.get(key)
            if known is not None and known[0]() is storage:
                self._resized(key, storage)
                continue
            size = storage.nbytes()
            self._held[key] = (weakref.ref(storage, lambda _, key=key: self._free(key)), size)
            self._count(size)

    def mark(self, name: str) -> None:
        """End a stretch of this name, of which `peaks` keeps the most, and begin the next."""
        self.peaks[name] = max(self.peak, self.peaks.get(name, 0))
        self.peak = self.now

    def _count(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)

    def _free(self, key: int) -> None:
        self.now -= self._held.pop(key)[1]

    def _resized(self, key: int, storage) -> None:
        kept, size = self._held[key]
        if storage.nbytes() != size:
            self._held[key] = (kept, storage.nbytes())
            self._count(storage.nbytes() - size)


def _tensors(values) -> Iterator[torch.Tensor]:
    return (value for value in tree_iter(values) if isinstance(value, torch.Tensor))
