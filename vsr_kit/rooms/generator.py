"""Procedural rooms, and copies of a room with one thing changed.

`make_room` draws a rectangle of 6 to 80 square metres with boxes of 24 categories standing on the floor. The spreads
are wide on purpose: one category comes in sizes that differ by a factor of three, so that naming an object does not
tell its size, and neither the number of objects nor their distances follow from the floor area alone.

The other functions (`renamed`, `scaled`, `on_the_floor`, `lifted`, `without_others`, `crowded`) take a room and return
one of the same name with a single property changed and everything else kept, which is how the study tests whether a
result holds elsewhere. They draw nothing at random that their arguments do not fix.

Left out: doors, windows, objects on top of others, and the statistics of real homes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from vsr_kit.rooms.geometry import Box, Room, yaw_axes

# Typical length, width and height in metres. The first thirteen are the categories of the ARKitScenes geometry.
_TYPICAL_M: dict[str, tuple[float, float, float]] = {
    "chair": (0.55, 0.55, 0.90),
    "table": (1.40, 0.85, 0.75),
    "sofa": (1.90, 0.90, 0.80),
    "tv": (1.10, 0.25, 0.75),
    "stool": (0.45, 0.45, 0.50),
    "bed": (2.00, 1.50, 0.60),
    "toilet": (0.65, 0.45, 0.80),
    "stove": (0.65, 0.60, 0.90),
    "bathtub": (1.60, 0.75, 0.55),
    "washer": (0.65, 0.60, 0.90),
    "refrigerator": (0.75, 0.70, 1.75),
    "fireplace": (1.20, 0.45, 1.10),
    "dishwasher": (0.60, 0.60, 0.85),
    "desk": (1.40, 0.70, 0.75),
    "lamp": (0.40, 0.40, 1.50),
    "shelf": (1.00, 0.40, 1.80),
    "cabinet": (1.00, 0.55, 1.10),
    "bin": (0.40, 0.40, 0.60),
    "plant": (0.50, 0.50, 1.10),
    "piano": (1.50, 0.65, 1.20),
    "suitcase": (0.70, 0.35, 0.55),
    "mirror": (0.80, 0.20, 1.60),
    "radiator": (1.00, 0.20, 0.65),
    "dresser": (1.20, 0.50, 0.95),
}
CATEGORIES: tuple[str, ...] = tuple(_TYPICAL_M)
_CEILING_M = 2.7
Rectangle = tuple[float, float, float, float]  # x and y of the low corner, then of the high one
_GAP_M = 0.12  # least free space between two boxes in plan, so that no two touch
_TALLEST_M = 1.45  # below the camera, so that nothing hides a whole room
_LARGEST_SHARE = 0.14  # of the floor, for one box


def make_room(seed: int, name: str | None = None) -> Room:
    """Make one room; the same seed always gives the same room.

    Args:
        seed: any non-negative integer.
        name: the room's `scene_name`; `room-<seed>` by default.
    """
    rng = np.random.default_rng(seed)
    area = math.exp(rng.uniform(math.log(6.0), math.log(80.0)))
    aspect = rng.uniform(1.0, 1.8) ** rng.choice([-1, 1])
    width, depth = math.sqrt(area * aspect), math.sqrt(area / aspect)
    boxes: list[Box] = []
    taken: list[Rectangle] = []
    for category in _wanted(rng, area):
        placed = _place(rng, category, width, depth, taken)
        if placed is not None:
            boxes.append(placed[0])
            taken.append(placed[1])
    shell = Box("room", (width / 2, depth / 2, _CEILING_M / 2), (width, depth, _CEILING_M))
    return Room(name or f"room-{seed}", "procedural", tuple(boxes), shell, width * depth)


def make_rooms(n: int, seed: int = 0, prefix: str = "room") -> list[Room]:
    """Make `n` rooms with distinct names; rooms of different `seed` never coincide."""
    if n < 1:
        raise ValueError(f"cannot make {n} rooms: n must be at least 1")
    children = np.random.SeedSequence(seed).generate_state(n, dtype=np.uint64)
    return [make_room(int(child), f"{prefix}-{seed}-{i:05d}") for i, child in enumerate(children)]


def _wanted(rng: np.random.Generator, area: float) -> list[str]:
    """Draw the categories to place, big ones first so that they find room: some once, some several times."""
    singles = int(rng.integers(4, 8 if area > 10 else 6))
    groups = int(rng.integers(1, 4 if area > 10 else 3))
    picked = rng.permutation(CATEGORIES)[: singles + groups].tolist()
    wanted = picked[:singles]
    for category in picked[singles:]:
        wanted += [category] * int(rng.integers(2, 7))
    return sorted(wanted, key=lambda c: -_TYPICAL_M[c][0] * _TYPICAL_M[c][1])


def _place(
    rng: np.random.Generator, category: str, width: float, depth: float, taken: list[Rectangle]
) -> tuple[Box, Rectangle] | None:
    """Try 40 places for one box, shrinking as it fails; None where the room is full."""
    scale = math.exp(rng.uniform(math.log(0.6), math.log(1.8)))
    wanted_m = np.asarray(_TYPICAL_M[category]) * scale * np.exp(rng.uniform(-0.25, 0.25, size=3))
    for attempt in range(40):
        length, depth_m, height = (wanted_m * 0.985**attempt).tolist()
        shrink = min(1.0, math.sqrt(_LARGEST_SHARE * width * depth / (length * depth_m)))
        length, depth_m, height = length * shrink, depth_m * shrink, min(height, _TALLEST_M)
        yaw = float(rng.choice([0.0, 90.0])) if rng.random() < 0.7 else float(rng.uniform(0, 180))
        c, s = abs(math.cos(math.radians(yaw))), abs(math.sin(math.radians(yaw)))
        reach_x, reach_y = (c * length + s * depth_m) / 2, (s * length + c * depth_m) / 2
        if 2 * reach_x + 0.06 >= width or 2 * reach_y + 0.06 >= depth:
            continue
        x = float(rng.uniform(reach_x + 0.03, width - reach_x - 0.03))
        y = float(rng.uniform(reach_y + 0.03, depth - reach_y - 0.03))
        around = (x - reach_x, y - reach_y, x + reach_x, y + reach_y)
        if all(_apart(around, other) for other in taken):
            return Box(category, (x, y, height / 2), (length, depth_m, height), yaw_axes(yaw)), around
    return None


def _apart(a: Rectangle, b: Rectangle) -> bool:
    """Whether two bounding rectangles keep their gap; stricter than the outlines themselves, and cheap."""
    return a[0] - _GAP_M > b[2] or b[0] - _GAP_M > a[2] or a[1] - _GAP_M > b[3] or b[1] - _GAP_M > a[3]


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


def crowded(room: Room, more: int, seed: int = 0) -> Room:
    """The same procedural room with objects of up to `more` further categories, one each, wherever they find a place.

    What stood there stays where it was, so that its questions keep their answers. The draws follow from `seed` and the
    room's name; a full room takes fewer.

    Raises:
        ValueError: a room that is not procedural, whose floor need not be a rectangle from the origin.
    """
    if room.dataset != "procedural":
        raise ValueError(f"room {room.name!r} is of {room.dataset!r}: only procedural rooms are filled further")
    rng = np.random.default_rng([seed, *room.name.encode()])
    width, depth = room.shell.size[:2]
    boxes = list(room.boxes)
    taken = [(*plan.min(0).tolist(), *plan.max(0).tolist()) for plan in (box.plan() for box in boxes)]
    for category in rng.permutation([name for name in CATEGORIES if name not in room.counts])[:more].tolist():
        placed = _place(rng, category, width, depth, taken)
        if placed is not None:
            boxes.append(placed[0])
            taken.append(placed[1])
    return replace(room, boxes=tuple(boxes))


def bottom_m(box: Box) -> float:
    """Height of a box's lowest corner in the room's own coordinates."""
    return float(box.corners()[:, 2].min())


def _raised(box: Box, by_m: float) -> Box:
    x, y, z = box.center
    return replace(box, center=(x, y, z + by_m))
