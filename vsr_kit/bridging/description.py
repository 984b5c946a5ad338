"""What a describer says about a clip: walls, and every object's place and size, as a text that can be read back.

With a room's own geometry at hand the description is exact to a decimal, which is what the miniature's chains are made
from. A model that sees the clip may write it instead; a reasoner that never sees the clip reads it all the same.
Left out: colours, materials and heights, and objects that were not seen.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vsr_kit.bridging.chains import Place, place_text, rounded
from vsr_kit.rooms import Room, room_position

_WALLS = re.compile(r"The room is (\d+\.\d) by (\d+\.\d) meters\.")
_OBJECT = re.compile(
    r"([a-z][a-z\- ]*?) (east|west) (\d+\.\d), \1 (north|south) (\d+\.\d), "
    r"\1 (\d+\.\d) by (\d+\.\d) by (\d+\.\d) meters\."
)


@dataclass(frozen=True)
class Described:
    """One object: its category, its centre's place, and its three sides in metres, the longest first."""

    name: str
    place: Place
    size_m: tuple[float, float, float]


@dataclass(frozen=True)
class Description:
    """A room in words.

    Attributes:
        walls_m: width and depth in metres, None where nothing is said of them.
        objects: in the order in which they are said.
    """

    walls_m: tuple[float, float] | None
    objects: tuple[Described, ...]

    def text(self) -> str:
        """The description as sentences, which `read` reads back to an equal description."""
        said = [] if self.walls_m is None else [walls_text(self.walls_m)]
        said += [f"{place_text(o.name, o.place)}, {o.name} {size_text(o.size_m)}." for o in self.objects]
        return " ".join(said)

    @staticmethod
    def read(text: str) -> Description:
        """Read a description back; sentences of another form are passed over."""
        walls = _WALLS.search(text)
        objects = []
        for name, side, east, other, north, *sizes in _OBJECT.findall(text):
            place = float(east) * (1 if side == "east" else -1), float(north) * (1 if other == "north" else -1)
            longest, middle, shortest = map(float, sizes)
            objects.append(Described(name.strip(), rounded(*place), (longest, middle, shortest)))
        return Description(None if walls is None else (float(walls[1]), float(walls[2])), tuple(objects))

    def named(self, name: str) -> list[Described]:
        """All objects of a category, from west to east."""
        return sorted((o for o in self.objects if o.name == name), key=lambda o: o.place)


def describe(room: Room, seen: Collection[int] | None = None) -> Description:
    """Describe a room from its geometry.

    Args:
        room: with its shell, whose axes give east and north.
        seen: indices of the boxes that a clip shows; all by default.
    """
    shown = range(len(room.boxes)) if seen is None else sorted(seen)
    objects = []
    for i in shown:
        box = room.boxes[i]
        longest, middle, shortest = (round(float(side), 1) for side in sorted(box.size, reverse=True))
        objects.append(Described(box.category, rounded(*room_position(room, box.center)), (longest, middle, shortest)))
    width, depth = room.shell.size[:2]
    return Description((round(float(width), 1), round(float(depth), 1)), tuple(objects))


def walls_text(walls_m: tuple[float, float]) -> str:
    """`The room is 5.1 by 4.2 meters.`"""
    return f"The room is {walls_m[0]:.1f} by {walls_m[1]:.1f} meters."


def size_text(size_m: tuple[float, float, float]) -> str:
    """`1.2 by 0.5 by 0.4 meters`"""
    return " by ".join(f"{side:.1f}" for side in size_m) + " meters"


def imagined(room: Room, rng: np.random.Generator) -> Room:
    """The same names in a room that is not there: places, sizes and walls drawn anew. For chains without grounding."""
    boxes = []
    for box in room.boxes:
        spot = np.asarray(room.shell.center) + (rng.random(3) - 0.5) * np.asarray(room.shell.size)
        size: Any = tuple(float(s * f) for s, f in zip(box.size, np.exp(rng.normal(0, 0.4, 3)), strict=True))
        boxes.append(replace(box, center=tuple(spot.tolist()), size=size))
    walls: Any = tuple(float(s * f) for s, f in zip(room.shell.size, np.exp(rng.normal(0, 0.3, 3)), strict=True))
    return replace(room, boxes=tuple(boxes), shell=replace(room.shell, size=walls))
