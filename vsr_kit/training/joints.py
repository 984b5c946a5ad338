"""What a recipe may change of a training, as small plain objects: stages, references, penalties, where to start.

The story: most recipes of the literature are GRPO with one part exchanged: another advantage, groups left out,
questions chosen by what was earned before, a schedule, another reference. Each such part is an argument of
`methods.GRPO`, `methods.SFT` or `train`, and the objects here say what the longer ones are. joint_trainer.py does them.
A run records what it was given, functions by their names; so give a function that matters a name and a module.
Left out: whatever TRL's configuration has a field for (clipping, the kind of loss, scaling, an adaptive entropy
coefficient): such fields are given to `train` by their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Protocol

History = Mapping[int, Sequence[float | None]]


@dataclass(frozen=True)
class Start:
    """A trained adapter to start from: `train(..., start=Start(folder))`.

    Attributes:
        adapter: its folder, as a run leaves it.
        merge: False goes on with it, in its rank; True adds it to the base's weights and trains a fresh one on top.
    """

    adapter: str | Path
    merge: bool = False


class NextRows(Protocol):
    """Which questions come next, chosen right before their rollouts are drawn: `GRPO(next_rows=...)`.

    A resumed run is the same run only if the choice follows from the arguments: draw with a generator seeded by `step`.
    """

    def choose(self, step: int, count: int, history: History) -> Sequence[int]:
        """The indices of `count` rows, in the order in which training was given them.

        Args:
            step: optimiser steps that are done.
            count: questions wanted, over all processes.
            history: the index of every row that was asked to the weighted rewards of its last group; None stands for a
                completion that nothing rewarded.
        """


def described(value):
    """A joint as a run records it: plain values as they are, functions by module and name, objects by their fields.

    Two functions of one name are told apart by nothing else: a lambda is `<lambda>`.
    """
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, Mapping):
        return {str(key): described(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [described(entry) for entry in (value if isinstance(value, (list, tuple)) else sorted(value))]
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: described(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__qualname__} | {name: entry for name, entry in own.items() if entry is not None}
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    plain = {name: described(entry) for name, entry in vars(value).items()} if hasattr(value, "__dict__") else {}
    return {"kind": f"{type(value).__module__}.{type(value).__qualname__}"} | plain
