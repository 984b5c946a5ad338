"""Rooms with one thing changed and everything else kept: names, size, heights, what stands in them.

The story: whether a result holds elsewhere is asked by changing one property at a time. Every function takes a room
and returns another of the same name; none draws anything at random that its arguments do not fix.
Left out: pictures and questions, which follow from the room.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vsr_kit.rooms.geometry import Box, Room

_LEAST_HEIGHT_M = 2.7  # of a ceiling: the camera walks 1.75 m above the floor
_UNDER_CEILING_M = 0.05


def renamed(room: Room, names: Mapping[str, str]) -> Room:
    """The same room with other words for some categories; a category that `names` lacks keeps its own.

    Raises:
        ValueError: if two categories would share a name.
    """
    now = {category: names.get(category, category) for category in room.counts}
    if len(set(now.values())) < len(now):
        raise ValueError(f"room {room.name!r}: {now} gives two categories one name; give each its own")
    boxes = tuple(replace(box, category=now[box.category]) for box in room.boxes)
    stated = room.stated_counts and {now[category]: count for category, count in room.stated_counts.items()}
    return replace(room, boxes=boxes, stated_counts=stated)


def scaled(room: Room, factor: float) -> Room:
    """The same room, all lengths multiplied: floor, places and sizes of objects; the area grows by the square.

    The ceiling alone never sinks below 2.7 m.

    Raises:
        ValueError: for a factor that is not above 0.
    """
    if not factor > 0:
        raise ValueError(f"factor is {factor}: must be above 0")
    origin = np.array([*room.shell.center[:2], room.floor_z_m])

    def grown(box: Box) -> Box:
        center = origin + factor * (np.asarray(box.center) - origin)
        return replace(box, center=tuple(center.tolist()), size=tuple(factor * side for side in box.size))

    shell = grown(room.shell)
    height = max(shell.size[2], min(room.shell.size[2], _LEAST_HEIGHT_M))
    middle = (*shell.center[:2], room.floor_z_m + height / 2)
    shell = replace(shell, center=middle, size=(*shell.size[:2], height))
    boxes = tuple(grown(box) for box in room.boxes)
    return replace(room, boxes=boxes, shell=shell, floor_area_m2=room.floor_area_m2 * factor**2)


def on_the_floor(room: Room) -> Room:
    """The same room with every object let down until its lowest corner is on the floor."""
    return replace(room, boxes=tuple(_raised(box, room.floor_z_m - bottom_m(box)) for box in room.boxes))


def lifted(room: Room, heights_m: Sequence[float], seed: int = 0) -> Room:
    """The same room with objects hung up, each at a height above the floor drawn from `heights_m`, below the ceiling.

    The draws follow from `seed` and the room's name.
    """
    rng = np.random.default_rng([seed, *room.name.encode()])
    top = room.floor_z_m + room.shell.size[2] - _UNDER_CEILING_M
    boxes = []
    for box, height in zip(room.boxes, rng.choice(np.asarray(heights_m), len(room.boxes)), strict=True):
        rise = room.floor_z_m + float(height) - bottom_m(box)
        boxes.append(_raised(box, min(rise, max(0.0, top - float(box.corners()[:, 2].max())))))
    return replace(room, boxes=tuple(boxes))


def without_others(room: Room, categories: Collection[str]) -> Room:
    """The same room with the objects of some categories alone; all of them where that would leave none."""
    kept = tuple(box for box in room.boxes if box.category in categories)
    if not kept:
        return room
    stated = room.stated_counts and {name: n for name, n in room.stated_counts.items() if name in categories}
    return replace(room, boxes=kept, stated_counts=stated)


def bottom_m(box: Box) -> float:
    """Height of a box's lowest corner in the room's own coordinates."""
    return float(box.corners()[:, 2].min())


def _raised(box: Box, by_m: float) -> Box:
    x, y, z = box.center
    return replace(box, center=(x, y, z + by_m))
