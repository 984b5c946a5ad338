"""Boxes, rooms, and the exact distances between boxes.

VSI-Bench estimates the smallest distance between two oriented boxes from points sampled inside them; here it is exact.
For two upright boxes it splits into the distance between two rectangles in plan and a vertical gap; a box that leans
goes to a bounded least-squares solver. How many boxes lean depends on the data: 3 % of ARKitScenes' by more than a
degree, 18 % of ScanNet++'s, more elsewhere.
Left out: contact and support relations.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np

Vector = tuple[float, float, float]
UPRIGHT: tuple[Vector, Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
# Two boxes of one category that share so much of their volume are one object, stored twice; half of it is enough where
# the stated count says that there are fewer. (Two chairs of ScanNet++ that are counted as two share 0.73.)
SAME_OBJECT_IOU, SAME_IF_COUNTED_IOU = 0.85, 0.5
_GRID = np.stack(np.meshgrid(*[(np.arange(12) + 0.5) / 12 - 0.5] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
_CORNER_SIGNS = np.array([[x, y, z] for z in (-1, 1) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]) / 2


def yaw_axes(yaw_deg: float) -> tuple[Vector, Vector, Vector]:
    """Return the axes (rows) of an upright box turned counter-clockwise by `yaw_deg`, seen from above."""
    c, s = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    return ((c, s, 0.0), (-s, c, 0.0), (0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Box:
    """One labelled object: an oriented box.

    Attributes:
        category: what it is, as questions name it.
        center: x, y, z in metres; z points up.
        size: full lengths in metres along the box's own three axes.
        axes: three unit vectors, one row for each axis of the box.
    """

    category: str
    center: Vector
    size: Vector
    axes: tuple[Vector, Vector, Vector] = UPRIGHT

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (*self.center, *self.size, *np.ravel(self.axes))):
            raise ValueError(f"box {self.category!r} has a number that is not finite: {self}; give metres as floats")
        if min(self.size) <= 0:
            raise ValueError(f"box {self.category!r} has size {self.size}: lengths must be above 0 m; drop or mend it")
        frame = np.asarray(self.axes, dtype=float)
        if frame.shape != (3, 3) or np.abs(frame @ frame.T - np.eye(3)).max() > 1e-3:
            raise ValueError(f"box {self.category!r} has axes {self.axes}: they must be three orthogonal unit rows")

    @property
    def longest_m(self) -> float:
        """Length of the longest side in metres."""
        return max(self.size)

    @cached_property
    def upright(self) -> bool:
        """Whether one of the box's axes is vertical, within 0.01 degrees: half a millimetre over three metres."""
        lean = min(math.hypot(row[0], row[1]) for row in self.axes)
        return lean < math.sin(math.radians(0.01))

    def corners(self) -> np.ndarray:
        """Return the eight corners, shape (8, 3), in metres."""
        return np.asarray(self.center) + (_CORNER_SIGNS * self.size) @ np.asarray(self.axes)

    def plan(self) -> np.ndarray:
        """Return an upright box's outline seen from above, shape (4, 2), counter-clockwise or clockwise."""
        rows = [i for i in range(3) if i != int(np.argmax([abs(row[2]) for row in self.axes]))]
        a, b = (np.asarray(self.axes[i])[:2] * self.size[i] / 2 for i in rows)
        return np.asarray(self.center)[:2] + np.array([-a - b, a - b, a + b, b - a])

    def to_dict(self) -> dict:
        """Return plain lists and floats, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: dict) -> Box:
        """Read what `to_dict` wrote."""
        axes = tuple(tuple(map(float, row)) for row in record.get("axes", UPRIGHT))
        return cls(record["category"], tuple(map(float, record["center"])), tuple(map(float, record["size"])), axes)


@dataclass(frozen=True)
class Room:
    """One room: labelled boxes inside an oriented shell.

    Attributes:
        name: unique among rooms of a data set (VSI-Bench's `scene_name`).
        dataset: where it comes from (`procedural`, `arkitscenes`, …).
        boxes: the objects; one that is given twice (same category, nearly the same box) is kept once.
        shell: floor, walls and ceiling as one box that is seen from inside.
        floor_area_m2: the room-size label; of a real room it need not be the shell's (`drawn_area_m2`).
        stated_counts: how often each category occurs by its label (VSI-Bench's `object_counts`), where that is stated
            beside the boxes. Where the two differ, this decides.
    """

    name: str
    dataset: str
    boxes: tuple[Box, ...]
    shell: Box
    floor_area_m2: float
    stated_counts: dict[str, int] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", distinct(self.boxes, self.stated_counts))

    @property
    def drawn_area_m2(self) -> float:
        """Area of the floor that a clip shows: the shell's."""
        return self.shell.size[0] * self.shell.size[1]

    @property
    def floor_z_m(self) -> float:
        """Height of the floor in the room's own coordinates."""
        return self.shell.center[2] - self.shell.size[2] / 2

    @cached_property
    def drawn_counts(self) -> dict[str, int]:
        """How many boxes of each category there are, in order of first mention."""
        return dict(Counter(box.category for box in self.boxes))

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each category occurs: as stated, or else by the boxes; in order of first mention."""
        return self.drawn_counts | (self.stated_counts or {})

    @cached_property
    def unique(self) -> dict[str, Box]:
        """The boxes whose category occurs once, by count and by boxes: only these can be asked about by name."""
        once = {name for name, drawn in self.drawn_counts.items() if drawn == self.counts[name] == 1}
        return {box.category: box for box in self.boxes if box.category in once}

    def to_dict(self) -> dict:
        """Return plain lists and floats, ready for JSON; counts only where they are stated."""
        record = asdict(self)
        if self.stated_counts is None:
            del record["stated_counts"]
        return record

    @classmethod
    def from_dict(cls, record: dict) -> Room:
        """Read what `to_dict` wrote."""
        boxes = tuple(Box.from_dict(b) for b in record["boxes"])
        shell = Box.from_dict(record["shell"])
        counts = record.get("stated_counts")
        counts = None if counts is None else {name: int(count) for name, count in dict(counts).items()}
        return cls(record["name"], record["dataset"], boxes, shell, float(record["floor_area_m2"]), counts)


def distinct(boxes: tuple[Box, ...] | list[Box], counts: Mapping[str, int] | None = None) -> tuple[Box, ...]:
    """The boxes without doubles, in their order: of several that are one object, the first is kept.

    Args:
        boxes: of one room.
        counts: of objects by category, where stated: it decides which of two thresholds makes two boxes one.
    """
    kept: dict[str, list[Box]] = {}
    for box in boxes:
        others = kept.setdefault(box.category, [])
        if not any(overlap(box, other) >= SAME_OBJECT_IOU for other in others):
            others.append(box)
    for category, others in kept.items():
        while len(others) > max(1, (counts or {}).get(category, len(others))):
            shared, second = max((overlap(a, b), j) for (_, a), (j, b) in combinations(enumerate(others), 2))
            if shared < SAME_IF_COUNTED_IOU:
                break
            del others[second]
    left = {id(box) for others in kept.values() for box in others}
    return tuple(box for box in boxes if id(box) in left)


def overlap(a: Box, b: Box) -> float:
    """Shared share of the volume of two oriented boxes, 0 to 1 (intersection over union), by a grid of 12³ points."""
    if math.dist(a.center, b.center) > (math.hypot(*a.size) + math.hypot(*b.size)) / 2:
        return 0.0
    one, two = math.prod(a.size), math.prod(b.size)
    shared = (one * _share_inside(a, b) + two * _share_inside(b, a)) / 2
    return shared / (one + two - shared)


def _share_inside(a: Box, b: Box) -> float:
    """Share of `a` that lies in `b`."""
    points = np.asarray(a.center) + (_GRID * a.size) @ np.asarray(a.axes)
    local = (points - np.asarray(b.center)) @ np.asarray(b.axes).T
    return float((np.abs(local) <= np.asarray(b.size) / 2 + 1e-9).all(axis=1).mean())


def center_distance(a: Box, b: Box) -> float:
    """Distance between two centres in metres: VSI-100k's ground truth."""
    return math.dist(a.center, b.center)


def box_distance(a: Box, b: Box) -> float:
    """Least distance between two oriented boxes in metres: VSI-Bench's ground truth. Touching boxes give 0."""
    if a.upright and b.upright:
        return float(_upright_distances([a], [b])[0])
    return _tilted_distance(a, b)


def pairwise_distances(boxes: tuple[Box, ...] | list[Box], closest_points: bool = True) -> np.ndarray:
    """Return the symmetric (N, N) matrix of distances in metres.

    Args:
        boxes: N boxes.
        closest_points: least distance between the boxes, or else between their centres.
    """
    centers = np.array([box.center for box in boxes]).reshape(-1, 3)
    if not closest_points:
        return np.linalg.norm(centers[:, None] - centers[None], axis=-1)
    out = np.zeros((len(boxes), len(boxes)))
    rows, cols = np.triu_indices(len(boxes), 1)
    plain = np.array([boxes[i].upright and boxes[j].upright for i, j in zip(rows, cols, strict=True)], dtype=bool)
    if plain.any():
        out[rows[plain], cols[plain]] = _upright_distances(
            [boxes[i] for i in rows[plain]], [boxes[j] for j in cols[plain]]
        )
    for i, j in zip(rows[~plain], cols[~plain], strict=True):
        out[i, j] = _tilted_distance(boxes[i], boxes[j])
    return out + out.T


def _upright_distances(first: list[Box], second: list[Box]) -> np.ndarray:
    """Distances of P pairs of upright boxes: rectangles in plan, intervals in height. Shape (P,)."""
    a_P42, b_P42 = _stacked(first, Box.plan), _stacked(second, Box.plan)
    plan_P = np.minimum(_corner_to_edge(a_P42, b_P42), _corner_to_edge(b_P42, a_P42))
    plan_P[outlines_overlap(a_P42, b_P42)] = 0.0
    half_P = (_stacked(first, _height) + _stacked(second, _height)) / 2
    rise_P = np.abs(_stacked(first, lambda b: b.center[2]) - _stacked(second, lambda b: b.center[2]))
    return np.hypot(plan_P, np.maximum(rise_P - half_P, 0.0))


def _stacked(boxes: list[Box], read) -> np.ndarray:
    """Apply `read` once to each distinct box, since a room's boxes stand in many pairs."""
    known = {id(box): read(box) for box in boxes}
    return np.array([known[id(box)] for box in boxes])


def _height(box: Box) -> float:
    return float(np.ptp(box.corners()[:, 2]))


def _corner_to_edge(a_P42: np.ndarray, b_P42: np.ndarray) -> np.ndarray:
    """Least distance from the corners of `a` to the edges of `b`, shape (P,)."""
    start, edge = b_P42[:, None], (np.roll(b_P42, -1, axis=1) - b_P42)[:, None]
    offset = a_P42[:, :, None] - start
    t = np.clip((offset * edge).sum(-1) / (edge * edge).sum(-1), 0.0, 1.0)[..., None]
    return np.linalg.norm(offset - t * edge, axis=-1).min(axis=(1, 2))


def outlines_overlap(a_P42: np.ndarray, b_P42: np.ndarray) -> np.ndarray:
    """Whether rectangles share a point, by the separating axes of P pairs of them, shape (P,)."""
    sides = [shape[:, i] - shape[:, 0] for shape in (a_P42, b_P42) for i in (1, 3)]
    apart = np.zeros(len(a_P42), dtype=bool)
    for axis in sides:
        a, b = ((shape * axis[:, None]).sum(-1) for shape in (a_P42, b_P42))
        apart |= (a.max(1) < b.min(1)) | (b.max(1) < a.min(1))
    return ~apart


def _tilted_distance(a: Box, b: Box) -> float:
    """Bounded least squares over both boxes' inner coordinates: convex, so its minimum is the distance."""
    from scipy.optimize import lsq_linear  # here, as it takes long to load

    frame = np.concatenate([np.asarray(a.axes).T, -np.asarray(b.axes).T], axis=1)
    half = np.array([*a.size, *b.size]) / 2
    gap = np.asarray(b.center) - np.asarray(a.center)
    solution = lsq_linear(frame, gap, bounds=(-half, half), method="bvls", tol=1e-12)
    return float(np.linalg.norm(frame @ solution.x - gap))


def room_position(room: Room, point_m) -> tuple[float, float]:
    """Metres east and north of the room's middle: along the shell's own first and second axis."""
    offset = np.asarray(point_m)[:2] - np.asarray(room.shell.center)[:2]
    east, north = np.asarray(room.shell.axes)[:2, :2] @ offset
    return float(east), float(north)
