"""The renderer: frames of a walk through a room, in which every pixel has the colour of the box that it shows.

One ray per pixel is cast against oriented boxes, so occlusion is exact, in NumPy alone. The frames carry cues that a
small network can use: one colour per category, a tint of its own for each wall (so that a view shows its direction), a
half-metre grid on the floor (so that depth can be read), and a lamp at the camera, so that distant things are darker.

The 24 categories of procedural rooms have fixed colours, which the shipped base model learnt to read. Other categories
of released rooms (a door, a printer) choose from colours that keep their distance from the fixed ones, from the walls'
and from each other: each search starts at a place that the name decides and takes the first colour free in the room. So
a category mostly keeps its colour from room to room and never shares it within one. Similarity is measured in CIELAB,
once directly and once at equal brightness, because the lamp and shaded sides change the brightness of everything; the
smaller distance counts.

Left out: video files (files.py), shadows, textures, reflections, motion blur, rolling shutter, doors, anything but
boxes, and colour-blind viewers.
"""

from __future__ import annotations

import colorsys
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from vsr_kit.rooms import CATEGORIES, Box, Room
from vsr_kit.videos.files import Video, read_mp4, read_video, sample_frame_indices, write_mp4

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


__all__ = [
    "CameraPath",
    "Clip",
    "Video",
    "camera_walk",
    "category_color",
    "first_appearance",
    "frame_showing",
    "object_colors",
    "read_mp4",
    "read_video",
    "render",
    "sample_frame_indices",
    "visible_objects",
    "write_mp4",
]

CAMERA_HEIGHT_M = 1.75
PITCH_DEG = -26.0
FOV_DEG = 90.0
SWEEP_DEG = 140.0
LEAST_PIXELS = 12  # of a frame: an object that covers fewer is not seen in it
NEAR_M = 0.05
_FACE_SHADE = np.array([0.82, 0.94, 1.08], dtype=np.float32)
_LAMP_REACH_M = 11.0
_WALLS = np.array(WALL_COLORS, dtype=np.float32)  # at the low and high end of the shell's first and second axis
_FLOOR = np.array([112, 112, 112], dtype=np.float32)
_FLOOR_ODD = np.array([136, 136, 136], dtype=np.float32)
_CEILING = np.array([236, 236, 236], dtype=np.float32)


@dataclass(frozen=True)
class CameraPath:
    """Where the camera stands and looks in each of F frames; all frames share pitch and field of view.

    Attributes:
        positions_m_F3: x, y, z in metres.
        yaw_deg_F: heading, counter-clockwise from the room's x axis, seen from above.
        pitch_deg: below zero looks down.
        fov_deg: of the width and the height of the square picture.
    """

    positions_m_F3: np.ndarray
    yaw_deg_F: np.ndarray
    pitch_deg: float = PITCH_DEG
    fov_deg: float = FOV_DEG

    def __len__(self) -> int:
        return len(self.yaw_deg_F)


@dataclass(frozen=True)
class Clip:
    """A rendered walk.

    Attributes:
        frames_FHW3: uint8 pictures.
        object_ids_FHW: int16 index into `room.boxes`, -1 for floor, walls and ceiling.
        depth_m_FHW: float32 distance from the camera along each pixel's ray.
        path: the camera's.
    """

    frames_FHW3: np.ndarray
    object_ids_FHW: np.ndarray
    depth_m_FHW: np.ndarray
    path: CameraPath


def camera_walk(room: Room, num_frames: int = 8, seed: int = 0) -> CameraPath:
    """A slow walk along the walls that keeps looking at the middle of the room.

    The start and the direction of the walk follow from `seed`; any number of frames samples the same walk evenly.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}: a clip needs at least 1 frame")
    rng = np.random.default_rng([seed, 7])
    start, turn = rng.uniform(0, 360), rng.choice([-1.0, 1.0])
    angle = np.radians(start + turn * SWEEP_DEG * np.linspace(0, 1, num_frames))
    # A rounded rectangle: a circle pushed outwards until it nearly meets the walls.
    reach = 0.9 / np.maximum(np.abs(np.cos(angle)), np.abs(np.sin(angle))).clip(0.78)
    half = np.asarray(room.shell.size[:2]) / 2
    local = np.stack([np.cos(angle), np.sin(angle)], 1) * reach[:, None] * np.maximum(half - 0.25, half * 0.6)
    axes = np.asarray(room.shell.axes)
    plan = np.asarray(room.shell.center)[:2] + local @ axes[:2, :2]
    heading = np.asarray(room.shell.center)[:2] - plan
    positions = np.column_stack([plan, np.full(num_frames, room.floor_z_m + CAMERA_HEIGHT_M)])
    return CameraPath(positions, np.degrees(np.arctan2(heading[:, 1], heading[:, 0])))


def render(room: Room, path: CameraPath, size_px: int = 112) -> Clip:
    """Cast every ray of every frame.

    Args:
        room: what to film.
        path: F camera poses.
        size_px: width and height of the square frames.
    """
    if size_px < 8:
        raise ValueError(f"size_px is {size_px}: frames need at least 8 pixels a side")
    colors = object_colors(room)
    views = [_render_frame(room, path, f, size_px, colors) for f in range(len(path))]
    frames, ids, depth = (np.stack(part) for part in zip(*views, strict=True))
    return Clip(frames, ids, depth, path)


def camera_axes(path: CameraPath, frame: int) -> np.ndarray:
    """Rows: right, up, forward."""
    yaw, pitch = math.radians(path.yaw_deg_F[frame]), math.radians(path.pitch_deg)
    forward = np.array([math.cos(yaw) * math.cos(pitch), math.sin(yaw) * math.cos(pitch), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    return np.stack([right, np.cross(right, forward), forward])


def pixel_rays(axes: np.ndarray, fov_deg: float, size_px: int) -> np.ndarray:
    """Unit ray directions through the middles of the pixels, shape (H, W, 3), float32."""
    span = (np.arange(size_px) + 0.5) / size_px * 2 - 1
    u, v = np.meshgrid(span, -span)
    rays = np.stack([u, v, np.full_like(u, 1 / math.tan(math.radians(fov_deg) / 2))], -1) @ axes
    return (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).astype(np.float32)


def _render_frame(room: Room, path: CameraPath, frame: int, size_px: int, colors: np.ndarray) -> tuple:
    axes, eye = camera_axes(path, frame), path.positions_m_F3[frame]
    rays = pixel_rays(axes, path.fov_deg, size_px)
    image, depth = _shell_view(room.shell, eye, rays)
    ids = np.full(depth.shape, -1, np.int16)
    for i, box in enumerate(room.boxes):
        window = screen_window(box, eye, axes, path.fov_deg, size_px)
        if window is None:
            continue
        near, face = _box_hits(box, eye, rays[window])
        closer = near < depth[window]
        depth[window] = np.where(closer, near, depth[window])
        ids[window][closer] = i
        image[window][closer] = colors[i] * _FACE_SHADE[face[closer], None]
    image *= (1 / (1 + (depth / _LAMP_REACH_M) ** 2))[..., None]
    return np.clip(image, 0, 255).astype(np.uint8), ids, depth


def in_box_axes(box: Box, eye: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eye and inverse ray directions in a box's own axes."""
    frame = np.asarray(box.axes)
    along = rays @ frame.T.astype(np.float32)
    inverse = 1 / np.where(along == 0, np.float32(1e-20), along)  # 0 * inf would be no number
    return (frame @ (eye - np.asarray(box.center))).astype(np.float32), inverse


def _shell_view(shell: Box, eye: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour (H, W, 3) and depth (H, W) of the floor, walls and ceiling, seen from inside."""
    start, inverse = in_box_axes(shell, eye, rays)
    half = np.asarray(shell.size, np.float32) / 2
    leave = (np.where(inverse > 0, half, -half) - start) * inverse
    axis = leave.argmin(-1)
    depth = np.take_along_axis(leave, axis[..., None], -1)[..., 0]
    positive = np.take_along_axis(inverse, axis[..., None], -1)[..., 0] > 0
    image = _WALLS[np.minimum(2 * axis + positive, 3)]
    ceiling, floor = (axis == 2) & positive, (axis == 2) & ~positive
    image[ceiling] = _CEILING
    spot = start[:2] + half[:2] + depth[floor, None] / inverse[floor][:, :2]
    odd = np.floor(2 * spot).astype(np.int32).sum(-1) % 2 == 1
    image[floor] = np.where(odd[:, None], _FLOOR_ODD, _FLOOR)
    return image, depth


def _box_hits(box: Box, eye: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slab test: depth of the entry point (infinite where the ray misses) and the axis of the face it enters."""
    start, inverse = in_box_axes(box, eye, rays)
    half = np.asarray(box.size, np.float32) / 2
    side = np.abs(inverse) * half
    middle = -start * inverse
    enter, leave = middle - side, middle + side
    face = enter.argmax(-1)
    near = enter.max(-1)
    return np.where((near < leave.min(-1)) & (near > NEAR_M), near, np.float32(np.inf)), face


def screen_window(box: Box, eye: np.ndarray, axes: np.ndarray, fov_deg: float, size_px: int) -> tuple | None:
    """The rectangle of pixels a box can cover, or None where it lies outside the view."""
    seen = (box.corners() - eye) @ axes.T
    if (seen[:, 2] <= NEAR_M).all():
        return None
    if (seen[:, 2] <= NEAR_M).any():
        return slice(0, size_px), slice(0, size_px)
    scale = size_px / 2 / math.tan(math.radians(fov_deg) / 2)
    columns = size_px / 2 + scale * seen[:, 0] / seen[:, 2]
    rows = size_px / 2 - scale * seen[:, 1] / seen[:, 2]
    left, right = max(0, int(columns.min()) - 1), min(size_px, int(columns.max()) + 2)
    top, bottom = max(0, int(rows.min()) - 1), min(size_px, int(rows.max()) + 2)
    return None if left >= right or top >= bottom else (slice(top, bottom), slice(left, right))


def visible_objects(clip: Clip, min_pixels: int = LEAST_PIXELS) -> tuple[int, ...]:
    """Indices of the boxes that cover at least `min_pixels` pixels in some frame."""
    seen = [int(i) for i in np.unique(clip.object_ids_FHW) if i >= 0]
    return tuple(i for i in seen if _pixels(clip, i).max() >= min_pixels)


def frame_showing(object_ids_FHW: np.ndarray, indices: Sequence[int], min_pixels: int = LEAST_PIXELS) -> int:
    """The frame that shows most of some boxes, and of those the one where the least of them is seen best; else 0.

    Args:
        object_ids_FHW: a Clip's.
        indices: of the boxes.
        min_pixels: a box that covers fewer is not seen in a frame.
    """
    pixels = np.array([(object_ids_FHW == i).sum(axis=(1, 2)) for i in indices], dtype=int)
    pixels = pixels.reshape(len(indices), len(object_ids_FHW))
    seen = pixels >= min_pixels
    least = np.where(seen, pixels, object_ids_FHW[0].size).min(axis=0, initial=object_ids_FHW[0].size)
    return int(np.lexsort((-pixels.sum(0), -least, -seen.sum(0)))[0])


def first_appearance(clip: Clip, index: int, min_pixels: int = LEAST_PIXELS) -> int | None:
    """First frame in which box `index` covers at least `min_pixels` pixels; None where it never does."""
    frames = np.flatnonzero(_pixels(clip, index) >= min_pixels)
    return int(frames[0]) if len(frames) else None


def _pixels(clip: Clip, index: int) -> np.ndarray:
    return (clip.object_ids_FHW == index).sum(axis=(1, 2))
