"""Slow, independent answers to what the kit computes fast; tests compare the two.

Nothing here shares code with the kit: distances come from corners and edges, rays from plane equations.
"""

from itertools import product

import numpy as np

_EDGES = [(i, i ^ bit) for i in range(8) for bit in (1, 2, 4) if not i & bit]


def _corners(box) -> np.ndarray:
    """Corner i has the sign of bit k of i along axis k."""
    signs = np.array([[1 if i >> k & 1 else -1 for k in range(3)] for i in range(8)])
    return np.asarray(box.center) + (signs * np.asarray(box.size) / 2) @ np.asarray(box.axes)


def closest_distance(a, b) -> float:
    """Least distance between two boxes: a corner and the other box, or two edges, unless the boxes overlap."""
    if _overlap(a, b):
        return 0.0
    return min(_from_corners(a, b), _from_corners(b, a), _between_edges(_corners(a), _corners(b)))


def _overlap(a, b) -> bool:
    """Separating axes: three faces each, nine crossed edges."""
    crossed = [np.cross(u, v) for u, v in product(np.asarray(a.axes), np.asarray(b.axes))]
    for axis in (*np.asarray(a.axes), *np.asarray(b.axes), *crossed):
        if np.linalg.norm(axis) > 1e-9:
            one, two = _corners(a) @ axis, _corners(b) @ axis
            if one.max() < two.min() or two.max() < one.min():
                return False
    return True


def _from_corners(a, b) -> float:
    local = (_corners(a) - np.asarray(b.center)) @ np.asarray(b.axes).T
    return float(np.linalg.norm(np.maximum(np.abs(local) - np.asarray(b.size) / 2, 0), axis=1).min())


def _between_edges(a, b) -> float:
    """Least distance between points strictly inside two edges (points at their ends are corners)."""
    best = np.inf
    for (i, j), (k, m) in product(_EDGES, _EDGES):
        u, v, apart = a[j] - a[i], b[m] - b[k], b[k] - a[i]
        system = np.array([[u @ u, -(u @ v)], [u @ v, -(v @ v)]])
        if abs(np.linalg.det(system)) > 1e-12:
            s, t = np.linalg.solve(system, [u @ apart, v @ apart])
            if 0 <= s <= 1 and 0 <= t <= 1:
                best = min(best, float(np.linalg.norm(apart + t * v - s * u)))
    return best


def surface_points(box, per_side: int) -> np.ndarray:
    """Points on a grid over all six faces, shape (N, 3)."""
    steps = np.linspace(-0.5, 0.5, per_side)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    shell = grid[np.abs(grid).max(1) == 0.5]
    return np.asarray(box.center) + (shell * box.size) @ np.asarray(box.axes)


def ray_hits(box, eye, ray) -> list[float]:
    """Distances at which a unit ray crosses the faces of a box, ascending, from the six plane equations."""
    hits = []
    for axis, length in zip(np.asarray(box.axes), box.size, strict=True):
        for side in (-1, 1):
            on_face = np.asarray(box.center) + side * length / 2 * axis
            slope = axis @ ray
            if abs(slope) < 1e-12:
                continue
            far = axis @ (on_face - eye) / slope
            spot = eye + far * ray
            inner = np.asarray(box.axes) @ (spot - np.asarray(box.center))
            if (np.abs(inner) <= np.asarray(box.size) / 2 + 1e-9).all():
                hits.append(float(far))
    return sorted(hits)


def pixel_ray(path, frame: int, row: int, column: int, size_px: int) -> np.ndarray:
    """Unit direction through a pixel's middle: a pinhole turned by pitch, then by yaw."""
    pitch, yaw = np.radians(path.pitch_deg), np.radians(path.yaw_deg_F[frame])
    reach = np.tan(np.radians(path.fov_deg / 2))
    right, up = (2 * (column + 0.5) / size_px - 1) * reach, (1 - 2 * (row + 0.5) / size_px) * reach
    # in the camera: x forward, y left, z up; pitch turns about y, yaw about z
    ray = np.array([1.0, -right, up])
    pitched = np.array([[np.cos(pitch), 0, -np.sin(pitch)], [0, 1, 0], [np.sin(pitch), 0, np.cos(pitch)]])
    turned = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    return turned @ pitched @ ray / np.linalg.norm(ray)
