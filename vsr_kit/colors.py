"""Colours of objects: what a clip and a floor plan paint a category in, so that no two of a room look alike.

The 24 categories of procedural rooms have fixed colours, which the shipped base learnt to read. Released rooms name
others (a door, a printer). These take theirs from a row of colours that keeps away from the fixed ones, from the walls'
and from each other: each begins its search at a place that its name decides and takes the first colour free in the
room. So a category mostly keeps its colour from room to room, and never shares it inside one.
How alike two colours look is measured in CIELAB, once as they are and once at equal brightness, because a lamp that
fades and sides in shade change the brightness of everything; the smaller figure counts.
Left out: colour vision other than the usual.
"""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Iterable
from functools import cache

import numpy as np

from vsr_kit.rooms import CATEGORIES, Room

Color = tuple[float, float, float]  # red, green and blue, 0 to 255
# Tints of the walls, paler than any object, and the floor's grey.
WALL_COLORS = ((200, 168, 160), (160, 196, 170), (166, 172, 206), (204, 200, 156))
_FLOOR_COLOR = (124, 124, 124)
_FIRST_CHOICE = 24  # colours among which a name decides: as many as there are fixed ones, and a room has at most 13
_COLORS = 200
_WHITE = np.array([0.9505, 1.0, 1.089])  # D65
_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_EQUAL_Y = 0.3


def category_color(category: str) -> Color:
    """The colour of one category alone: twelve hues, full and pale; any other name decides on one of its own."""
    return category_colors([category])[category]


def category_colors(categories: Iterable[str]) -> dict[str, Color]:
    """Colours of the categories of one room, each different from all others.

    They depend on the set of categories alone. A room with more unknown categories than there are colours in the row
    (200) would use some twice.
    """
    names = sorted(set(categories))
    row = _other_colors()
    taken: set[int] = set()
    found: dict[str, Color] = {}
    for name in names:
        if name in CATEGORIES:
            found[name] = _known_color(CATEGORIES.index(name))
            continue
        start = zlib.crc32(name.encode()) % _FIRST_CHOICE
        places = [*range(start, _FIRST_CHOICE), *range(start), *range(_FIRST_CHOICE, len(row))]
        place = next((i for i in places if i not in taken), start)
        taken.add(place)
        found[name] = row[place]
    return found


def object_colors(room: Room) -> np.ndarray:
    """Colours of all boxes, shape (N, 3): the category's, with a brightness of each object's own."""
    colors = category_colors(box.category for box in room.boxes)
    shade = [0.84 + 0.16 * ((31 * i + len(room.boxes)) % 7) / 6 for i in range(len(room.boxes))]
    tints = [np.multiply(colors[box.category], s) for box, s in zip(room.boxes, shade, strict=True)]
    return np.array(tints, np.float32).reshape(-1, 3)


def color_distance(a_N3: np.ndarray, b_M3: np.ndarray) -> np.ndarray:
    """How unlike colours look, shape (N, M): CIELAB distance, as they are or at equal brightness, whichever is less."""
    plain, equal = (np.linalg.norm(_lab(a_N3, y)[:, None] - _lab(b_M3, y)[None], axis=-1) for y in (None, _EQUAL_Y))
    return np.minimum(plain, equal)


def _known_color(index: int) -> Color:
    return _rgb((index % 12) / 12, 1.0 if index < 12 else 0.5, 0.92)


def _rgb(hue: float, saturation: float, value: float) -> Color:
    return tuple(255 * part for part in colorsys.hsv_to_rgb(hue, saturation, value))


@cache
def _other_colors() -> tuple[Color, ...]:
    """A row of colours, each the one of a fine grid that is least like all before it, fixed ones and walls included."""
    levels = [(s, v) for s in (1.0, 0.85, 0.7, 0.55, 0.4, 0.28) for v in (0.92, 0.7, 0.5)]
    grid = [_rgb(hue / 72, s, v) for hue in range(72) for s, v in levels]
    fixed = [*map(_known_color, range(len(CATEGORIES))), *WALL_COLORS, _FLOOR_COLOR]
    nearest = color_distance(np.array(grid), np.array(fixed)).min(axis=1)
    row = []
    for _ in range(_COLORS):
        best = int(nearest.argmax())
        row.append(grid[best])
        nearest = np.minimum(nearest, color_distance(np.array(grid), np.array(grid[best : best + 1]))[:, 0])
    return tuple(row)


def _lab(rgb_N3: np.ndarray, luminance: float | None) -> np.ndarray:
    """sRGB, 0 to 255, in CIELAB; all at one luminance, if one is given. Shape (N, 3)."""
    part = np.asarray(rgb_N3, dtype=float) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _XYZ.T / _WHITE
    if luminance is not None:
        xyz = xyz * (luminance / np.maximum(xyz[:, 1:2], 1e-6))
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=-1)
