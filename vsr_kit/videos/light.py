"""How light falls in a room: a lamp as wide as half the ceiling, and the dusk of corners and of gaps.

Pictures for people (for_people.py) need shadows, or things seem to float. Light does not move in a room, so it is
computed once for each face of each box and not for each pixel of each frame: a grid of points 5 cm apart covers the
face, and a pixel reads the grid where its ray meets the face. At each point two things are computed. The *lamp's share*
is the part of the lamp that the point sees: rays go to points spread over the lamp, and a box between takes its ray
away, so that shadows are soft. The *open share* stands for light from everywhere else, which does not reach into
corners: it sinks near the floor, near walls and near other boxes, with the distance to them.

Left out: light that is thrown back in colour, windows, glass, mirrors that mirror, and units: brightness here is a
factor on a colour, near 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vsr_kit.rooms import Box, Room

GRID_M = 0.05  # between the points of a face
_MOST_POINTS = 260  # along one side of a face: what is longer gets a coarser grid
_LAMP_SIDE = 4  # rays to the lamp: this many times this many
_LAMP_SHARE = 0.5  # of the ceiling's sides
_BEFORE_FACE_M = 2e-3  # a ray starts this far before its face, so as not to meet it
_AMBIENT, _LAMP = 0.70, 0.42  # how much comes from everywhere, and from the lamp
_CORNER, _CORNER_M = 0.20, 0.28  # how dark a corner of the room is, and how far that reaches
_GAP, _GAP_M = 0.34, 0.16  # the same of a gap between boxes, or between a box and a wall


@dataclass
class Light:
    """The light in one room; faces are lit when they are first looked up.

    Attributes:
        room: the room; index -1 stands for its shell, seen from inside.
    """

    room: Room
    _faces: dict[tuple[int, int, bool], np.ndarray] = field(default_factory=dict)

    def at(self, index: int, axis: int, high: bool, points_N3: np.ndarray) -> np.ndarray:
        """Brightness at points of one face, shape (N,): a factor on the colour that is there.

        Args:
            index: of the box; -1 for the shell.
            axis, high: which face: across this axis of the box, at its high or low end.
            points_N3: in metres from the box's middle, along the box's own axes.
        """
        box = self.room.shell if index < 0 else self.room.boxes[index]
        key = (index, axis, bool(high))
        if key not in self._faces:
            self._faces[key] = self._lit(box, index, axis, bool(high))
        across = [i for i in range(3) if i != axis]
        place = points_N3[:, across] / np.asarray(box.size, np.float32)[across] + 0.5
        return _read(self._faces[key], place)

    def _lit(self, box: Box, index: int, axis: int, high: bool) -> np.ndarray:
        """Brightness on a face's grid, shape (U, V)."""
        local, normal, shape = _grid(box, axis, high, inside=index < 0)
        axes = np.asarray(box.axes)
        points = np.asarray(box.center) + local @ axes + _BEFORE_FACE_M * (normal @ axes)
        others = [other for i, other in enumerate(self.room.boxes) if i != index]
        up = normal @ axes
        # a little more from one side, so that the sides of a box differ where the lamp lights them alike
        ambient = _AMBIENT * (1 + 0.05 * up[2] + 0.07 * float(up @ np.asarray(self.room.shell.axes[0])))
        if index < 0 and axis == 2 and high:
            lamp = np.full(len(points), 1 - _AMBIENT)  # the ceiling, whose lamp shines down
        else:
            lamp = _LAMP * self._lamp_share(points, up, others)
        light = ambient * self._open_share(points, others, up) + lamp
        return _smooth(light.reshape(shape)).astype(np.float32)

    def _open_share(self, points_N3: np.ndarray, others: list[Box], normal: np.ndarray) -> np.ndarray:
        shell = self.room.shell
        inside = (points_N3 - np.asarray(shell.center)) @ np.asarray(shell.axes).T
        facing = np.asarray(shell.axes) @ normal
        open_N = np.ones(len(points_N3))
        for axis in range(3):
            for sign in (-1.0, 1.0):
                if abs(facing[axis]) > 0.9:  # the face's own wall, or the one across the room
                    continue
                gap = shell.size[axis] / 2 - sign * inside[:, axis]
                open_N *= 1 - _CORNER * np.exp(-np.maximum(gap, 0) / _CORNER_M)
        for box in others:
            open_N *= 1 - _GAP * np.exp(-_distance(box, points_N3) / _GAP_M)
        return open_N

    def _lamp_share(self, points_N3: np.ndarray, normal: np.ndarray, others: list[Box]) -> np.ndarray:
        """How much of the lamp each point sees, times the cosine at which its light comes in; shape (N,)."""
        rng = np.random.default_rng(7)  # where in its cell each ray ends: grain instead of steps, smoothed afterwards
        shell, total = self.room.shell, np.zeros(len(points_N3))
        axes, half = np.asarray(shell.axes), np.asarray(shell.size) / 2
        for i in range(_LAMP_SIDE):
            for j in range(_LAMP_SIDE):
                cell = (np.array([i, j]) + rng.random((len(points_N3), 2))) / _LAMP_SIDE - 0.5
                at = np.column_stack([2 * _LAMP_SHARE * half[:2] * cell, np.full(len(cell), 0.99 * half[2])])
                rays = (np.asarray(shell.center) + at @ axes - points_N3).astype(np.float32)
                cosine = np.maximum(rays @ normal.astype(np.float32), 0) / np.linalg.norm(rays, axis=1)
                lit = cosine > 0
                for box in others:
                    lit[lit] = ~_blocks(box, points_N3[lit], rays[lit])
                total += cosine * lit
        return total / _LAMP_SIDE**2


def _grid(box: Box, axis: int, high: bool, inside: bool) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """A face's points in the box's axes (middles of cells), the direction it looks to, and the grid's shape."""
    across = [i for i in range(3) if i != axis]
    wide, high_up = (int(np.clip(round(box.size[i] / GRID_M), 3, _MOST_POINTS)) for i in across)
    shape = (wide, high_up)
    u, v = ((np.arange(n) + 0.5) / n - 0.5 for n in shape)
    local = np.zeros((wide, high_up, 3))
    local[..., across[0]] = (u * box.size[across[0]])[:, None]
    local[..., across[1]] = v * box.size[across[1]]
    local[..., axis] = box.size[axis] / 2 * (1 if high else -1)
    normal = np.zeros(3)
    normal[axis] = (1.0 if high else -1.0) * (-1 if inside else 1)
    return local.reshape(-1, 3), normal, shape


def _distance(box: Box, points_N3: np.ndarray) -> np.ndarray:
    """From points to a box in metres, shape (N,); 0 inside."""
    local = np.abs((points_N3 - np.asarray(box.center)) @ np.asarray(box.axes).T)
    return np.linalg.norm(np.maximum(local - np.asarray(box.size) / 2, 0), axis=1)


def _blocks(box: Box, points_N3: np.ndarray, rays_N3: np.ndarray) -> np.ndarray:
    """Whether a box lies between each point and the end of its ray, shape (N,): the slab test, side by side."""
    axes, half = np.asarray(box.axes, np.float32), np.asarray(box.size, np.float32) / 2
    from_middle = (points_N3 - np.asarray(box.center)).astype(np.float32)
    enter, leave = np.zeros(len(rays_N3), np.float32), np.ones(len(rays_N3), np.float32)
    for axis, reach in zip(axes, half, strict=True):  # one axis after another: NumPy is slow along short ones
        along = rays_N3 @ axis
        inverse = 1 / np.where(along == 0, np.float32(1e-20), along)
        middle, side = -(from_middle @ axis) * inverse, np.abs(inverse) * reach
        np.maximum(enter, middle - side, out=enter)
        np.minimum(leave, middle + side, out=leave)
    return enter < leave


def _smooth(values_UV: np.ndarray) -> np.ndarray:
    """A mean over 3 x 3 points, twice: takes the grain out of soft shadows."""
    for _ in range(2):
        wide = np.pad(values_UV, 1, mode="edge")
        rows = wide[:-2] + wide[1:-1] + wide[2:]
        values_UV = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
    return values_UV


def _read(grid_UV: np.ndarray, place_N2: np.ndarray) -> np.ndarray:
    """Values of a grid between its points, bilinear; places run from 0 to 1."""
    at = np.clip(place_N2 * grid_UV.shape - 0.5, 0, np.array(grid_UV.shape) - 1.001)
    low = at.astype(np.int32)
    (u, v), (part_u, part_v) = low.T, (at - low).T
    near = grid_UV[u, v] * (1 - part_v) + grid_UV[u, v + 1] * part_v
    far = grid_UV[u + 1, v] * (1 - part_v) + grid_UV[u + 1, v + 1] * part_v
    return near * (1 - part_u) + far * part_u
