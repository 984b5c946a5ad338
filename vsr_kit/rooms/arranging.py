"""Furniture put into a rectangle: pieces that belong together, against a wall or free, with space in front of them.

A `Group` is a few pieces in a frame of its own: u runs along the wall to the right of somebody who stands with their
back to it, v leads away from it, both in metres. A bed with what stands beside it is one group, a desk with its chair
another. A group also has *room to move*: rectangles where nothing may stand, such as the space in front of a dresser;
two groups may share that. `Floor` tries places at random until one fits, and remembers what is taken. Everything
stands parallel to the walls, except for chairs, which are turned a little, as people leave them; a rectangle around
each piece is what must not meet another's.

Left out: rooms that are not one rectangle, doors in two walls, and any search for the best place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from vsr_kit.rooms.geometry import Box, yaw_axes

Rectangle = tuple[float, float, float, float]  # x and y of the low corner, then of the high one
GAP_M = 0.05  # between pieces of two groups, at least
_WALL_GAP_M = 0.02
_TRIES = 60  # places, for one group
ON_TOP_M = 0.005  # between a piece and what stands on it: boxes that touch would be one


@dataclass(frozen=True)
class Piece:
    """One object of a group.

    Attributes:
        category: what it is.
        u, v: its middle, in metres along the wall and away from it.
        size: length along the wall, depth away from it, height.
        bottom_m: height of its lower side above the floor: above 0 for what stands on something or hangs.
        turn_deg: how far it is turned against the wall.
    """

    category: str
    u: float
    v: float
    size: tuple[float, float, float]
    bottom_m: float = 0.0
    turn_deg: float = 0.0

    @property
    def around(self) -> Rectangle:
        """The rectangle around it, in u and v."""
        c, s = abs(math.cos(math.radians(self.turn_deg))), abs(math.sin(math.radians(self.turn_deg)))
        u, v = (c * self.size[0] + s * self.size[1]) / 2, (s * self.size[0] + c * self.size[1]) / 2
        return self.u - u, self.v - v, self.u + u, self.v + v


@dataclass(frozen=True)
class Group:
    """Pieces that stand together, and rectangles before them (in u and v) where nothing may stand."""

    pieces: tuple[Piece, ...]
    free: tuple[Rectangle, ...] = ()


def alone(category: str, size: tuple[float, float, float], before_m: float = 0.5, bottom_m: float = 0.0) -> Group:
    """One piece with its back to the wall and some room to move before it."""
    length, depth, _ = size
    free = (-length / 2, depth, length / 2, depth + before_m)
    return Group((Piece(category, 0.0, depth / 2, size, bottom_m),), (free,) if before_m else ())


def around(rectangles: Iterable[Rectangle]) -> Rectangle:
    """The rectangle around some others."""
    a, b, c, d = np.array(list(rectangles)).T
    return float(a.min()), float(b.min()), float(c.max()), float(d.max())


def meet(a: Rectangle, b: Rectangle, gap_m: float = 0.0) -> bool:
    """Whether two rectangles share a place, or come nearer to each other than a gap along both sides."""
    return a[0] - gap_m < b[2] and b[0] - gap_m < a[2] and a[1] - gap_m < b[3] and b[1] - gap_m < a[3]


@dataclass
class Floor:
    """A floor of `width` x `depth` metres, its corner at the origin, and what stands on it.

    Attributes:
        boxes: what was placed, in order.
        taken, free: rectangles where something stands, and where nothing may.
    """

    width: float
    depth: float
    boxes: list[Box] = field(default_factory=list)
    taken: list[Rectangle] = field(default_factory=list)
    free: list[Rectangle] = field(default_factory=list)

    def wall_m(self, wall: int) -> float:
        """Length of a wall; walls 0 to 3 are at y = 0, x = width, y = depth and x = 0."""
        return self.depth if wall % 2 else self.width

    def against(
        self, rng: np.random.Generator, group: Group, walls: Iterable[int] | None = None, corner: bool = False
    ) -> int | None:
        """Place a group with its back to a wall, in a corner if that is asked; the wall, or None where none has room.

        Args:
            rng: draws walls and places.
            group: what to place.
            walls: those to try, in order; all in random order by default.
            corner: beside another wall only.
        """
        low, _, high, _ = around(piece.around for piece in group.pieces)
        for wall in rng.permutation(4).tolist() if walls is None else walls:
            ends = -low + _WALL_GAP_M, self.wall_m(wall) - high - _WALL_GAP_M
            if ends[0] > ends[1]:
                continue
            for _ in range(_TRIES):
                at = ends[int(rng.integers(2))] if corner else float(rng.uniform(*ends))
                if self._fits(group, wall, at, _WALL_GAP_M):
                    return wall
        return None

    def anywhere(self, rng: np.random.Generator, group: Group, margin_m: float = 0.0) -> bool:
        """Place a group away from the walls, turned either way; the place nearest to the room's middle is taken."""
        u0, v0, u1, v1 = around(piece.around for piece in group.pieces)
        for wall in rng.permutation(2).tolist():
            along, away = self.wall_m(wall) - (u1 - u0), self.wall_m(1 - wall) - (v1 - v0)
            if min(along, away) < 2 * margin_m:
                continue
            spots = margin_m + rng.random((_TRIES, 2)) * (along - 2 * margin_m, away - 2 * margin_m)
            middle = np.abs(spots - np.array([along, away]) / 2).max(1)
            for u, v in spots[np.argsort(middle)].tolist():
                if self._fits(group, wall, u - u0, v - v0):
                    return True
        return False

    def _fits(self, group: Group, wall: int, at: float, off: float) -> bool:
        """Place a group here, if nothing is in the way."""
        stands = [self._turned(wall, at, off, piece.around) for piece in group.pieces]
        clear = [self._turned(wall, at, off, free) for free in group.free]
        if not all(self._inside(rectangle) for rectangle in (*stands, *clear)):
            return False
        if any(meet(mine, other, GAP_M) for mine in stands for other in (*self.taken, *self.free)):
            return False
        if any(meet(mine, other) for mine in clear for other in self.taken):
            return False
        for piece, rectangle in zip(group.pieces, stands, strict=True):
            x, y = (rectangle[0] + rectangle[2]) / 2, (rectangle[1] + rectangle[3]) / 2
            center = (x, y, piece.bottom_m + piece.size[2] / 2)
            yaw = (90.0 * wall + piece.turn_deg) % 360
            self.boxes.append(Box(piece.category, center, piece.size, yaw_axes(yaw)))
        self.taken += stands
        self.free += clear
        return True

    def _inside(self, r: Rectangle) -> bool:
        return min(r[0], r[1]) >= 0 and r[2] <= self.width and r[3] <= self.depth

    def _turned(self, wall: int, at: float, off: float, r: Rectangle) -> Rectangle:
        """A rectangle in u and v, of a group whose zero is `at` metres along a wall and `off` before it, in x and y."""
        u0, v0, u1, v1 = r[0] + at, r[1] + off, r[2] + at, r[3] + off
        if wall == 0:
            return u0, v0, u1, v1
        if wall == 1:
            return self.width - v1, u0, self.width - v0, u1
        if wall == 2:
            return self.width - u1, self.depth - v1, self.width - u0, self.depth - v0
        return v0, self.depth - u1, v1, self.depth - u0
