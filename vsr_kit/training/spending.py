"""Minutes and memory of the parts of a piece of work, such as the sections of a notebook.

    spent = Spending()
    with spent.on("asking"):
        ...
    spent.rows()  # [{"part": "asking", "minutes": 0.4, "GB": 1.1, "of what": "the process"}]

Memory is the highest point within the part: allocated on the GPU where there is one, else resident in the process. The
process's own peak can be begun anew on Linux alone; elsewhere it is the highest since the process began, and the row
says so. Parts of the same name add up their minutes and keep the larger peak.
Left out: energy, money, and memory of other processes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from vsr_kit.models.loading import pick_device
from vsr_kit.sharing.meter import peak_bytes, reset_peak


@dataclass
class _Part:
    seconds: float = 0.0
    peak_bytes: int = 0


class Spending:
    """What each part took, in the order in which the parts began.

    device: whose memory is read; by default where models are loaded.
    """

    def __init__(self, device: torch.device | str | None = None) -> None:
        self._device = pick_device() if device is None else torch.device(device)
        self._parts: dict[str, _Part] = {}
        self._open: str | None = None
        self._begun_anew = True  # until a part's peak could not be

    @contextmanager
    def on(self, part: str) -> Iterator[None]:
        """Count what happens in the block as `part`; an error inside counts, too, and goes on.

        Raises:
            ValueError: another part is open: its minutes would be counted twice.
        """
        if self._open is not None:
            raise ValueError(f"the part {self._open!r} is open: end it before {part!r} begins")
        gc.collect()  # what earlier parts let go is not this one's
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self._begun_anew &= reset_peak(self._device)
        self._open, began = part, time.perf_counter()
        try:
            yield
        finally:
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            own = self._parts.setdefault(part, _Part())
            own.seconds += time.perf_counter() - began
            own.peak_bytes = max(own.peak_bytes, peak_bytes(self._device))
            self._open = None

    def rows(self) -> list[dict]:
        """One row a part: `part`, `minutes`, `GB` (10^9 bytes) at its highest, and whose memory that is."""
        whose = "the GPU" if self._device.type == "cuda" else "the process"
        whose += "" if self._begun_anew else ", since it began"
        return [
            {"part": name, "minutes": own.seconds / 60, "GB": own.peak_bytes / 1e9, "of what": whose}
            for name, own in self._parts.items()
        ]
