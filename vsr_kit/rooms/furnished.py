"""Furnished rooms: bedrooms, living rooms, offices, kitchens, bathrooms and dining rooms that a person would believe.

The study's rooms (generator.py) scatter boxes on purpose, so that nothing but looking tells where things are. They look
like no home. These rooms do: a bed has its head at the wall and something beside it, a chair stands before its desk, a
sofa faces the tv, a kitchen has stove, dishwasher and refrigerator in one row, and the space before them and behind the
door is free. What stands in a room fits its kind and its floor, and nothing comes in numbers that a room of its size
does not have.

**No result of the study rests on these rooms**, and the shipped base was never trained on their arrangement: they are
for samples, pages and pictures, and for trying what a model does where furniture stands as people place it. They use
the categories, colours and about the sizes of the study's rooms, so everything that takes a room takes them. Their data
set is called `furnished`, their names say kind and seed (`furnished-office-12`), and `vsr_kit.data.room_named` makes
them again from the name.

A room's door is a place that is kept free (`door_of`). Plans and frames for people draw it; no frame that a model gets
shows it, and no question asks about it.

Left out: windows, carpets, and what stands on tables except for a tv.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vsr_kit.rooms.arranging import ON_TOP_M, Floor, Group, Piece, Rectangle, alone
from vsr_kit.rooms.geometry import Box, Room
from vsr_kit.validation import one_of

DATASET = "furnished"
_CEILING_M = 2.7
DOOR_M = 0.9  # width of the door, and depth of the floor behind it that stays free
_NAME = re.compile(r"furnished-([a-z-]+)-([0-9]{1,12})")


def furnished_room(seed: int, kind: str | None = None) -> Room:
    """Make one furnished room; the same seed and kind always give the same room.

    Args:
        seed: any integer from 0.
        kind: one of `KINDS`; drawn by the seed where none is given.

    Raises:
        ValueError: for a seed below 0, or another kind.
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}: give an integer from 0")
    kind = kind_of(seed) if kind is None else kind
    one_of("kind", kind, KINDS)
    rng, floor, area, _ = _with_a_door(seed, kind)
    KINDS[kind][1](rng, floor, area)
    width, depth = floor.width, floor.depth
    shell = Box("room", (width / 2, depth / 2, _CEILING_M / 2), (width, depth, _CEILING_M))
    return Room(f"furnished-{kind.replace(' ', '-')}-{seed}", DATASET, tuple(floor.boxes), shell, width * depth)


@dataclass(frozen=True)
class Door:
    """A door that opens into its room, hung at the low end of its place in the wall.

    Attributes:
        wall: which of the four, at y = 0, x = width, y = depth and x = 0, in this order.
        free: the square of floor that it opens over, where nothing stands.
    """

    wall: int
    free: Rectangle

    @property
    def span(self) -> tuple[float, float]:
        """Where it begins and ends along its wall, in metres from the room's corner at the origin."""
        return (self.free[1], self.free[3]) if self.wall % 2 else (self.free[0], self.free[2])

    @property
    def swing(self) -> np.ndarray:
        """Three points of the floor plan, (3, 2) in metres: its hinge, its latch when closed, and when open."""
        x0, y0, x1, y1 = self.free
        points = (
            ((x0, y0), (x1, y0), (x0, y1)),
            ((x1, y0), (x1, y1), (x0, y0)),
            ((x0, y1), (x1, y1), (x0, y0)),
            ((x0, y0), (x0, y1), (x1, y0)),
        )
        return np.array(points[self.wall])


def door_of(room: Room) -> Door | None:
    """The door of a furnished room, by its name; None for any other room, whose doors nobody knows."""
    named = _kind_and_seed(room.name) if room.dataset == DATASET else None
    if named is None:
        return None
    _, floor, _, door = _with_a_door(named[1], named[0])
    return door if np.allclose(room.shell.size[:2], (floor.width, floor.depth)) else None


def furnished_rooms(n: int, seed: int = 0) -> list[Room]:
    """Make `n` furnished rooms, the kinds in turn; rooms of different `seed` never coincide.

    Raises:
        ValueError: for n outside 1 to 100,000.
    """
    if not 1 <= n <= 100_000:
        raise ValueError(f"cannot make {n} furnished rooms: n must be 1 to 100000")
    kinds = list(KINDS)
    return [furnished_room(100_000 * seed + i, kinds[i % len(kinds)]) for i in range(n)]


def furnished_named(name: str) -> Room | None:
    """The furnished room of this name, made anew; None for any other name."""
    named = _kind_and_seed(name)
    room = None if named is None else furnished_room(named[1], named[0])
    return room if room is not None and room.name == name else None


def _kind_and_seed(name: str) -> tuple[str, int] | None:
    """What a furnished room's name says; None for any other name."""
    found = _NAME.fullmatch(name)
    kind = found[1].replace("-", " ") if found else ""
    return (kind, int(found[2])) if found and kind in KINDS else None


def kind_of(seed: int) -> str:
    """The kind of room that a seed gives where none is named: each about as often as another."""
    return list(KINDS)[int(np.random.default_rng([seed, 5]).integers(len(KINDS)))]


def _with_a_door(seed: int, kind: str) -> tuple[np.random.Generator, Floor, float, Door]:
    """The empty floor of a room with its door, its area, and the generator that goes on to furnish it."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), 11])
    smallest, largest = KINDS[kind][0]
    area = math.exp(rng.uniform(math.log(smallest), math.log(largest)))
    aspect = rng.uniform(1.0, 1.45) ** rng.choice([-1, 1])
    floor = Floor(math.sqrt(area * aspect), math.sqrt(area / aspect))
    return rng, floor, area, _keep_a_door_free(rng, floor)


def _keep_a_door_free(rng: np.random.Generator, floor: Floor) -> Door:
    wall = int(rng.integers(4))
    at = float(rng.uniform(0.1, floor.wall_m(wall) - DOOR_M - 0.1))
    floor.free.append(floor._turned(wall, at, 0.0, (0.0, 0.0, DOOR_M, DOOR_M)))
    return Door(wall, floor.free[-1])


# -- pieces of furniture; sizes are length along the wall, depth, height, in metres ------------------------------------


def _about(rng: np.random.Generator, *size: float) -> tuple[float, float, float]:
    """A size that differs a little from piece to piece, in whole centimetres."""
    length, depth, height = (round(side * float(rng.uniform(0.93, 1.07)), 2) for side in size)
    return length, depth, height


def _chair(rng: np.random.Generator, u: float, v: float, turn_deg: float = 12.0) -> Piece:
    return Piece("chair", u, v, _about(rng, 0.46, 0.46, 0.88), turn_deg=float(rng.uniform(-turn_deg, turn_deg)))


def _bed(rng: np.random.Generator, area: float) -> Group:
    """The head at the wall, a low cabinet on each side of a wide bed, on one side of a narrow one."""
    wide = 0.95 if area < 11 else float(rng.choice([1.4, 1.6, 1.8]))
    size = (wide, round(float(rng.uniform(1.95, 2.1)), 2), round(float(rng.uniform(0.42, 0.58)), 2))
    pieces = [Piece("bed", 0.0, size[1] / 2, size)]
    for side in (-1, 1) if wide > 1 else (int(rng.choice([-1, 1])),):
        beside = (0.5, 0.4, 0.55)
        pieces.append(Piece("cabinet", side * (wide / 2 + 0.04 + beside[0] / 2), beside[1] / 2, beside))
    reach = wide / 2 + 0.55
    sides = [(-reach, 0.45, -wide / 2, size[1]), (wide / 2, 0.45, reach, size[1])]
    return Group(tuple(pieces), tuple(sides if wide > 1 else sides[:1]))


def _desk(rng: np.random.Generator, screen: bool) -> Group:
    """A desk at the wall, its chair before it, and a screen on it, which the kit's words call a tv."""
    size = _about(rng, 1.35, 0.7, 0.74)
    chair = _chair(rng, float(rng.uniform(-0.12, 0.12)), size[1] + 0.36, 20)
    pieces = [Piece("desk", 0.0, size[1] / 2, size), chair]
    if screen:
        pieces.append(Piece("tv", 0.0, 0.2, (0.62, 0.16, 0.42), size[2] + ON_TOP_M))
    return Group(tuple(pieces), ((-0.4, size[1] + 0.7, 0.4, size[1] + 0.95),))


def _table(rng: np.random.Generator, seats: int) -> Group:
    """A table with its chairs around it: two sides first, then the ends."""
    a_side = max(1, min(3, seats // 2 - (seats > 4)))
    length, deep, high = _about(rng, max(0.85, 0.66 * a_side + 0.2), 0.85, 0.75)
    pieces = [Piece("table", 0.0, 0.0, (length, deep, high))]
    for side in (-1, 1):
        for i in range(a_side):
            pieces.append(_chair(rng, (i - (a_side - 1) / 2) * 0.66, side * (deep / 2 + 0.33), 8))
    for side in (-1, 1)[: max(0, seats - 2 * a_side)]:
        pieces.append(_chair(rng, side * (length / 2 + 0.33), 0.0, 8))
    reach = deep / 2 + 0.85
    return Group(tuple(pieces), ((-length / 2, -reach, length / 2, reach),))


def _table_at_the_wall(rng: np.random.Generator) -> Group:
    """A small table with a chair at each end, for where none can stand free."""
    length, deep, high = _about(rng, 0.85, 0.62, 0.75)
    chairs = (_chair(rng, side * (length / 2 + 0.33), deep / 2 + 0.05, 8) for side in (-1, 1))
    return Group((Piece("table", 0.0, deep / 2, (length, deep, high)), *chairs))


def _tv_and_sofa(rng: np.random.Generator, floor: Floor, wall: int) -> Group:
    """A tv on a low cabinet, a sofa across from it, a low table between them."""
    stand, tv, sofa = _about(rng, 1.55, 0.42, 0.53), _about(rng, 1.1, 0.16, 0.65), _about(rng, 2.0, 0.9, 0.78)
    across = floor.wall_m(1 - wall % 2) - sofa[1] - 0.04
    seat = across if across < 3.4 else float(rng.uniform(2.5, 3.1))  # against the other wall, or in the room
    pieces = [
        Piece("cabinet", 0.0, stand[1] / 2, stand),
        Piece("tv", 0.0, stand[1] / 2, tv, stand[2] + ON_TOP_M),
        Piece("sofa", 0.0, seat + sofa[1] / 2, sofa),
    ]
    if seat > 2.1:
        table = _about(rng, 1.0, 0.58, 0.44)
        pieces.append(Piece("table", 0.0, seat - 0.42 - table[1] / 2, table))
    return Group(tuple(pieces), ((-0.9, stand[1], 0.9, seat),))


def _kitchen_row(rng: np.random.Generator, wall_m: float) -> Group:
    """Refrigerator, cabinets, stove and dishwasher side by side; a short wall has fewer cabinets."""
    deep = 0.6
    row = [("refrigerator", (0.65, 0.65, 1.45)), ("cabinet", (0.8, deep, 0.88)), ("stove", (0.6, deep, 0.88))]
    row += [("cabinet", (0.6, deep, 0.88)), ("dishwasher", (0.6, deep, 0.84)), ("cabinet", (0.9, deep, 0.88))]
    row += [("washer", (0.6, deep, 0.85))] * int(rng.random() < 0.4)
    while sum(size[0] + 0.03 for _, size in row) > wall_m - 0.1:
        last = max(i for i, (name, _) in enumerate(row) if name in ("cabinet", "washer"))
        del row[last]
    if rng.random() < 0.5:
        row.reverse()
    pieces, u = [], 0.0
    for name, size in row:
        pieces.append(Piece(name, u + size[0] / 2, size[1] / 2, size))
        u += size[0] + 0.03
    return Group(tuple(pieces), ((0.0, deep, u, deep + 0.8),))


def _put(rng: np.random.Generator, floor: Floor, category: str, share: float = 1.0, times: int = 1) -> None:
    """One piece at a wall, `times` times, each with a chance of `share`; it stays out where there is no place."""
    size, before = _SINGLES[category]
    for _ in range(times):
        if rng.random() < share:
            corner = category in ("plant", "lamp", "bin") and rng.random() < 0.7
            own = _about(rng, *size)
            group = alone(category, own, before)
            if category == "mirror":  # hangs, and ends where the camera's way begins
                group = alone(category, (own[0], own[1], size[2]), before, _MIRROR_BOTTOM_M)
            floor.against(rng, group, corner=corner)


_MIRROR_BOTTOM_M = 0.86
_SINGLES = {
    "shelf": ((0.95, 0.34, 1.42), 0.5),
    "cabinet": ((1.0, 0.5, 1.15), 0.6),
    "dresser": ((1.15, 0.48, 0.92), 0.6),
    "plant": ((0.42, 0.42, 1.1), 0.0),
    "lamp": ((0.34, 0.34, 1.42), 0.0),
    "bin": ((0.3, 0.3, 0.45), 0.0),
    "radiator": ((1.0, 0.13, 0.6), 0.2),
    "mirror": ((0.7, 0.11, 0.76), 0.5),
    "stool": ((0.4, 0.4, 0.48), 0.2),
    "suitcase": ((0.62, 0.3, 0.5), 0.0),
    "fireplace": ((1.25, 0.42, 1.1), 0.9),
    "washer": ((0.6, 0.6, 0.85), 0.6),
    "toilet": ((0.42, 0.64, 0.78), 0.5),
    "bathtub": ((1.65, 0.75, 0.56), 0.4),
    "chair": ((0.5, 0.5, 0.9), 0.3),
}


# -- kinds of rooms ----------------------------------------------------------------------------------------------------


def _bedroom(rng: np.random.Generator, floor: Floor, area: float) -> None:
    floor.against(rng, _bed(rng, area))
    _put(rng, floor, "dresser")
    if area > 12.5:
        floor.against(rng, _desk(rng, screen=rng.random() < 0.6))
    for category, share in (("shelf", 0.6), ("radiator", 0.8), ("lamp", 0.9), ("plant", 0.7), ("mirror", 0.6)):
        _put(rng, floor, category, share)
    for category, share in (("suitcase", 0.4), ("bin", 0.4), ("stool", 0.4)):
        _put(rng, floor, category, share)


def _living_room(rng: np.random.Generator, floor: Floor, area: float) -> None:
    for wall in rng.permutation(4).tolist():
        if floor.against(rng, _tv_and_sofa(rng, floor, wall), [wall]) is not None:
            break
    if area > 24:
        floor.anywhere(rng, _table(rng, int(rng.choice([4, 6]))), margin_m=0.3)
    if area > 20 and rng.random() < 0.4:
        piano, stool = _about(rng, 1.45, 0.6, 1.15), _about(rng, 0.5, 0.36, 0.5)
        pieces = (Piece("piano", 0.0, piano[1] / 2, piano), Piece("stool", 0.0, piano[1] + 0.3, stool))
        floor.against(rng, Group(pieces, ((-0.5, piano[1], 0.5, piano[1] + 0.9),)))
    _put(rng, floor, "fireplace", 0.4 * (area > 18))
    _put(rng, floor, "shelf", 0.8, times=1 + (area > 22))
    for category, share in (("radiator", 0.8), ("lamp", 0.9), ("plant", 0.8), ("dresser", 0.4), ("bin", 0.2)):
        _put(rng, floor, category, share)
    _put(rng, floor, "plant", 0.5 * (area > 22))


def _office(rng: np.random.Generator, floor: Floor, area: float) -> None:
    for _ in range(1 + (area > 12) + (area > 17) + (area > 23)):
        floor.against(rng, _desk(rng, screen=True))
    _put(rng, floor, "cabinet")
    _put(rng, floor, "shelf", 0.9, times=1 + (area > 15))
    if area > 24:
        floor.anywhere(rng, _table(rng, 4), margin_m=0.3)
    for category, share in (("plant", 0.9), ("bin", 0.9), ("radiator", 0.8), ("lamp", 0.6), ("stool", 0.3)):
        _put(rng, floor, category, share)


def _kitchen(rng: np.random.Generator, floor: Floor, area: float) -> None:
    walls = sorted(range(4), key=lambda wall: -floor.wall_m(wall))
    longest = [walls[i] for i in rng.permutation(2)] + walls[2:]
    for wall in longest:
        if floor.against(rng, _kitchen_row(rng, floor.wall_m(wall)), [wall]) is not None:
            break
    if area > 8:
        seats = 2 if area < 11 else 4 if area < 16 else 6
        if not floor.anywhere(rng, _table(rng, seats), margin_m=0.1):
            floor.against(rng, _table_at_the_wall(rng))
    for category, share in (("bin", 0.9), ("radiator", 0.8), ("plant", 0.6), ("shelf", 0.5), ("stool", 0.5)):
        _put(rng, floor, category, share)
    _put(rng, floor, "lamp", 0.3)


def _bathroom(rng: np.random.Generator, floor: Floor, area: float) -> None:
    size, before = _SINGLES["bathtub"]
    floor.against(rng, alone("bathtub", _about(rng, *size), before), corner=True)
    _put(rng, floor, "toilet")
    basin = _about(rng, 0.75, 0.48, 0.78)
    above = Piece("mirror", 0.0, 0.06, (0.62, 0.1, 0.76), _MIRROR_BOTTOM_M)
    floor.against(rng, Group((Piece("cabinet", 0.0, basin[1] / 2, basin), above), ((-0.35, basin[1], 0.35, 1.0),)))
    for category, share in (("washer", 0.6), ("bin", 0.8), ("radiator", 0.8), ("stool", 0.5), ("plant", 0.4)):
        _put(rng, floor, category, share)
    _put(rng, floor, "shelf", 0.5 * (area > 7))


def _dining_room(rng: np.random.Generator, floor: Floor, area: float) -> None:
    seats = 4 if area < 14 else 6 if area < 19 else 8
    floor.anywhere(rng, _table(rng, seats), margin_m=0.3)
    _put(rng, floor, "dresser")
    for category, share in (("cabinet", 0.8), ("radiator", 0.8), ("plant", 0.8), ("lamp", 0.8), ("mirror", 0.4)):
        _put(rng, floor, category, share)
    _put(rng, floor, "fireplace", 0.3 * (area > 16))
    _put(rng, floor, "shelf", 0.5)
    _put(rng, floor, "stool", 0.3)


# By kind: the smallest and the largest floor in square metres, and what furnishes it.
KINDS: dict[str, tuple[tuple[float, float], Callable[[np.random.Generator, Floor, float], None]]] = {
    "bedroom": ((9.0, 20.0), _bedroom),
    "living room": ((14.0, 36.0), _living_room),
    "office": ((8.5, 30.0), _office),
    "kitchen": ((8.0, 20.0), _kitchen),
    "bathroom": ((5.5, 10.0), _bathroom),
    "dining room": ((11.0, 24.0), _dining_room),
}
