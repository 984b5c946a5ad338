"""Which rooms are for training, which for choosing, which for testing.

Splits are by room, never by question. A procedural room belongs to the split whose random stream its seed comes from, a
real one to the split that a hash of its name falls into; neither ever changes because other rooms come or go.
Left out: telling which real scenes show the same home twice; the benchmark's release does not say.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np

from vsr_kit.rooms import Room, make_room

SPLITS = ("train", "val", "test")


def split_rooms(n: int, split: str, seed: int = 0) -> list[Room]:
    """Make `n` procedural rooms of a split, named `{split}-{seed}-00000` and on.

    Splits draw from separate random streams, so no room is in two of them; asking for more rooms keeps the first ones.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    if n < 1:
        raise ValueError(f"cannot make {n} rooms: n must be at least 1")
    stream = np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split) + 1,))
    states = stream.generate_state(n, dtype=np.uint64)
    return [make_room(int(state), f"{split}-{seed}-{i:05d}") for i, state in enumerate(states)]


def assign_splits(
    rooms: Iterable[Room], seed: int = 0, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> dict[str, list[Room]]:
    """Put every room of a geometry file into train, val or test by a hash of its scene name.

    A scene's split depends on its name and `seed` alone, not on the other scenes or their order; the shares are
    therefore `fractions` on average only.
    """
    if len(fractions) != 3 or min(fractions) < 0 or not math.isclose(sum(fractions), 1.0):
        raise ValueError(f"fractions are {fractions}: give three shares, none below 0, that add up to 1")
    edges = np.cumsum(fractions)[:2]
    splits: dict[str, list[Room]] = {split: [] for split in SPLITS}
    for room in rooms:
        digest = hashlib.sha256(f"{seed}/{room.name}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        splits[SPLITS[int(np.searchsorted(edges, share, side="right"))]].append(room)
    return splits
