"""A reasoner that never sees the clip: from a description and a question it writes a chain that computes, by rule.

It stands where Vision-R1 has a text-only language model (arXiv 2503.06749, section 3.2). What it writes has stated
knobs. Which facts and steps a chain states decides whether its answer can be computed; checks, detours and restarts
make chains long without making them right, as a large reasoner's habits do ("Wait, ..."). They are drawn without regard
to the question, its truth or the clip, so that whatever length comes to mean was not put in here.
Left out: questions about routes and the order of appearance, and mistakes made on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from vsr_kit.bridging.chains import (
    Place,
    bearing_of,
    difference,
    distance_of,
    place_text,
    step_text,
    sum_text,
    turn_of,
    turn_text,
)
from vsr_kit.bridging.description import Description, size_text, walls_text
from vsr_kit.prompts import answer_choices
from vsr_kit.questions.geometric import side_of
from vsr_kit.questions.multi_step import limit_m
from vsr_kit.questions.types import DIRECTION_TYPES
from vsr_kit.validation import real

CHECK = "wait, again "  # before a step that is said once more
RESTART = "wait, start again. "


@dataclass(frozen=True)
class Style:
    """How a chain is written.

    Attributes:
        steps: say differences and what follows from them; False leaves places alone, to be computed in one glance.
        checks: chance of each step to be said once more, after "wait".
        detours: chance of a chain to begin with a step that nobody asked for.
        restarts: chance of a chain to be broken off before its conclusion and begun anew.
    """

    steps: bool = True
    checks: float = 0.0
    detours: float = 0.0
    restarts: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self)[1:]:
            real(field.name, getattr(self, field.name), remedy="it is a chance, 0 to 1")
            if getattr(self, field.name) > 1:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}: it is a chance, give 0 to 1")


@dataclass(frozen=True)
class Reasoned:
    """A chain and the answer it ends in, as the question wants it: a number, a word, or an option's letter."""

    chain: str
    answer: str


def reason(
    row: Mapping, description: Description, style: Style | None = None, rng: np.random.Generator | None = None
) -> Reasoned | None:
    """Write a chain for a question from a description, and answer it.

    Args:
        row: with `question_type`, `objects`, and `options` where it has them.
        description: of the room, or of another one: then the chain is about that.
        style: how; computing and terse by default.
        rng: draws checks, detours and restarts; needed where the style has chances above 0.

    Returns:
        None where the description lacks what the question needs, or the type is none that this reasoner knows.
    """
    style, rng = style or Style(), np.random.default_rng(0) if rng is None else rng
    solve = _SOLVERS.get(row["question_type"])
    found = None if solve is None else solve(row, description, _Writer(description, style, rng))
    if found is None:
        return None
    sentences, answer = found
    label = _label(answer, row)
    return None if label is None else Reasoned(" ".join(sentences), label)


def _label(answer: str, row: Mapping) -> str | None:
    """An option's letter where the row has options, else the word or number itself."""
    choices = answer_choices(row)
    if not row.get("options"):
        return answer
    return next((choice.label for choice in choices if choice.text.lower() == answer.lower()), None)


class _Writer:
    """Writes places and steps of a chain in a style, and keeps what they come to."""

    def __init__(self, description: Description, style: Style, rng: np.random.Generator) -> None:
        self.description, self.style, self.rng = description, style, rng
        self.places: dict[str, Place] = {}

    def know(self, names) -> bool:
        """Look places up; False where one is not described."""
        for name in names:
            found = self.description.named(name)
            if not found:
                return False
            self.places[name] = found[0].place
        return True

    def stated(self, names) -> list[str]:
        """A sentence for each place, in the order of the names."""
        return [place_text(name, self.places[name]) + "." for name in names]

    def chain(self, names, steps: list[tuple[str, str]], *, distance: bool = True, degrees: bool = False) -> list[str]:
        """Places, then steps, with the style's habits."""
        if not self.style.steps:
            return self.stated(names)
        told = self._detour(names, distance, degrees)
        lines = self.stated(names)
        walked = []
        for a, b in steps:
            step = step_text(a, b, self.places, distance=distance, degrees=degrees) + "."
            walked += [step] + ([CHECK + step] if self.rng.random() < self.style.checks else [])
        if self.rng.random() < self.style.restarts:
            stop = 1 + int(self.rng.integers(len(walked)))
            return told + lines + walked[:stop] + [RESTART.strip()] + lines + walked
        return told + lines + walked

    def _detour(self, names, distance: bool, degrees: bool) -> list[str]:
        """A step from the first object to one that nobody asked about."""
        if self.rng.random() >= self.style.detours:
            return []
        others = sorted({o.name for o in self.description.objects if o.name not in names})
        if not others:
            return []
        other = others[int(self.rng.integers(len(others)))]
        places = {names[0]: self.places[names[0]], other: self.description.named(other)[0].place}
        both = [place_text(name, place) + "." for name, place in places.items()]
        return [*both, step_text(names[0], other, places, distance=distance, degrees=degrees) + "."]

    def way(self, a: str, b: str) -> Place:
        return difference(self.places[a], self.places[b])

    def away(self, a: str, b: str) -> float:
        return distance_of(self.way(a, b))


Solved = tuple[list[str], str] | None


def _count(row: Mapping, description: Description, writer: _Writer) -> Solved:
    found = description.named(row["objects"][0])
    said = [place_text(o.name, o.place) + "." for o in found]
    return ([*said, f"count {len(found)}."], str(len(found))) if found else None


def _size(row: Mapping, description: Description, writer: _Writer) -> Solved:
    found = description.named(row["objects"][0])
    if not found:
        return None
    return [f"The {found[0].name} is {size_text(found[0].size_m)}."], f"{100 * found[0].size_m[0]:.0f}"


def _room(row: Mapping, description: Description, writer: _Writer) -> Solved:
    walls = description.walls_m
    return None if walls is None else ([walls_text(walls)], f"{walls[0] * walls[1]:.1f}")


def _distance(row: Mapping, description: Description, writer: _Writer) -> Solved:
    a, b = row["objects"]
    return (writer.chain([a, b], [(a, b)]), f"{writer.away(a, b):.1f}") if writer.know([a, b]) else None


def _nearest(row: Mapping, description: Description, writer: _Writer) -> Solved:
    target, *others = row["objects"]
    if not writer.know([target, *others]):
        return None
    nearest = min(others, key=lambda name: writer.away(target, name))
    said = writer.chain([target, *others], [(target, name) for name in others])
    return said + ([f"closest {nearest}."] if writer.style.steps else []), nearest


def _direction(row: Mapping, description: Description, writer: _Writer) -> Solved:
    a, b, c = row["objects"]
    if not writer.know([a, b, c]):
        return None
    first, second = bearing_of(writer.way(a, b)), bearing_of(writer.way(a, c))
    side, degrees = turn_of(first, second)
    said = writer.chain([a, b, c], [(a, b), (a, c)], distance=False, degrees=True)
    told = [f"{turn_text(first, second)}."] if writer.style.steps else []
    return said + told, side_of(row["question_type"], degrees if side == "left" else -degrees)


def _compare(row: Mapping, description: Description, writer: _Writer) -> Solved:
    a, b, c, d = names = row["objects"]
    if not writer.know(names):
        return None
    farther = (a, b) if writer.away(a, b) > writer.away(c, d) else (c, d)
    told = [f"farther {' and '.join(farther)}."] if writer.style.steps else []
    return writer.chain(names, [(a, b), (c, d)]) + told, " and ".join(farther)


def _nearest_size(row: Mapping, description: Description, writer: _Writer) -> Solved:
    found = _nearest(row, description, writer)
    if found is None:
        return None
    said, nearest = found
    size_m = description.named(nearest)[0].size_m
    return [*said, f"The {nearest} is {size_text(size_m)}."], f"{100 * size_m[0]:.0f}"


def _walk(row: Mapping, description: Description, writer: _Writer) -> Solved:
    if not writer.know(row["objects"]):
        return None
    legs = list(pairwise(row["objects"]))
    lengths = [writer.away(*leg) for leg in legs]
    told = [f"{sum_text(lengths)}."] if writer.style.steps else []
    return writer.chain(row["objects"], legs) + told, f"{sum(lengths):.1f}"


def _within(row: Mapping, description: Description, writer: _Writer) -> Solved:
    target, *others = row["objects"]
    if not writer.know(row["objects"]):
        return None
    near = [name for name in others if writer.away(target, name) <= limit_m(row["question"])]
    said = writer.chain(row["objects"], [(target, name) for name in others])
    told = [f"within: {', '.join(near)}."] if near and writer.style.steps else []
    return [*said, *told, *([f"count {len(near)}."] if writer.style.steps else [])], str(len(near))


_SOLVERS: dict[str, Callable[[Mapping, Description, _Writer], Solved]] = {
    "object_counting": _count,
    "object_size_estimation": _size,
    "room_size_estimation": _room,
    "object_abs_distance": _distance,
    "object_rel_distance": _nearest,
    **dict.fromkeys(DIRECTION_TYPES, _direction),
    "object_compare_distances": _compare,
    "object_nearest_size": _nearest_size,
    "object_walk_length": _walk,
    "object_count_within": _within,
}
