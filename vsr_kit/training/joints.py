"""What a recipe may change of a training, as small plain objects: stages, references, penalties, where to start.

The story: most recipes of the literature are GRPO with one part exchanged: another advantage, groups left out,
questions chosen by what was earned before, a schedule, another reference. Each such part is an argument of
`methods.GRPO`, `methods.SFT` or `train`, and the objects here say what the longer ones are. joint_trainer.py does them.
A run records what it was given, functions by their names; so give a function that matters a name and a module.
Left out: whatever TRL's configuration has a field for (clipping, the kind of loss, scaling, an adaptive entropy
coefficient): such fields are given to `train` by their names.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar, Protocol

from vsr_kit.validation import real, whole

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


@dataclass(frozen=True)
class Ema:
    """A reference that follows the policy: after every step, reference = decay * reference + (1 - decay) * policy.

    An exponential moving average of each of the adapter's weights, from the adapter that the run starts with. Near 1 it
    moves slowly; at 0 it is the policy of the step before.
    """

    decay: float = 0.99

    def __post_init__(self) -> None:
        real("decay", self.decay)
        if self.decay >= 1:
            raise ValueError(f"decay is {self.decay}: must be below 1, or the reference never moves; use the base then")


@dataclass(frozen=True)
class AdaptiveBeta:
    """A weight of the KL term that is raised where the KL is above its target and lowered where it is below.

    After each step beta is multiplied by 1 + gain * e, where e = KL / target - 1, cut to 0.2 either way (arXiv
    1909.08593, section 2.2). It starts at the profile's beta.

    Attributes:
        target: mean KL to the reference in nats a token, as TRL logs it.
        gain: how fast; the paper's 0.1.
    """

    target: float
    gain: float = 0.1

    def __post_init__(self) -> None:
        real("target", self.target, above=True)
        real("gain", self.gain, above=True)

    def after(self, beta: float, kl: float) -> float:
        """The beta of the step after one with this KL; unchanged where the KL is no finite number."""
        error = min(0.2, max(-0.2, kl / self.target - 1)) if math.isfinite(kl) else 0.0
        return beta * (1 + self.gain * error)


@dataclass(frozen=True)
class Stage:
    """Settings of a part of a run; what is None is as the run's configuration has it.

    Attributes:
        from_step: steps done before it begins; 0 is a run's beginning. It ends where the next one begins.
        max_completion_length: cap of a completion in tokens.
        num_generations: G, completions of each question; the questions of a step stay as many.
        learning_rate: the schedule goes on, at another height.
        temperature: of the sampling.
        questions: which rows are asked: f(row) -> bool, or types of questions by their names.
        rewards: weights of reward functions by the names that are logged; the others keep theirs.
    """

    SETTINGS: ClassVar = ("max_completion_length", "num_generations", "learning_rate", "temperature")

    from_step: int
    max_completion_length: int | None = None
    num_generations: int | None = None
    learning_rate: float | None = None
    temperature: float | None = None
    questions: Callable[[Mapping], bool] | tuple[str, ...] | None = None
    rewards: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        whole("from_step", self.from_step, 0)
        for name, least in (("max_completion_length", 1), ("num_generations", 2)):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least)
        for name in ("learning_rate", "temperature"):
            if getattr(self, name) is not None:
                real(name, getattr(self, name), above=True)

    def asks(self, row: Mapping) -> bool:
        """Whether a row is among this stage's questions."""
        if self.questions is None:
            return True
        return bool(self.questions(row)) if callable(self.questions) else row.get("question_type") in self.questions


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
    """A joint as a run records it: plain values as they are, functions by name and source, objects by their fields.

    The source is known by a hash, so that a run is not gone on with by a function that has changed since. What a
    function reads from outside itself is not part of it.
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
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, partial):
        return {"kind": described(value.func), "args": described(value.args), **described(value.keywords)}
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__qualname__} {_source_hash(value)}"
    plain = {name: described(entry) for name, entry in vars(value).items()} if hasattr(value, "__dict__") else {}
    return {"kind": f"{type(value).__qualname__} {_source_hash(type(value))}"} | plain


def _source_hash(function) -> str:
    """The first digits of the SHA-256 of a function's source; of its byte code where there is no source."""
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        source = "" if code is None else code.co_code.hex() + repr(code.co_consts)
    return hashlib.sha256(source.encode()).hexdigest()[:8]
