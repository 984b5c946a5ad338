"""Frames for people: the walk that the model sees, four times as large, with light, shadows and a floor one can read.

The model gets frames of 112 pixels in flat colours (rendering.py). Nobody likes to look at those for long, so
`film_for_people` takes the same room and the same camera path and draws them again: the same boxes at the same places
in the same colours, under a lamp (light.py), with thin lines where surfaces meet, pale walls with a skirting board, and
a parquet whose panels measure half a metre a side, as the model's grey squares do. Whatever is found in the large frame
is found at the same place in the small one.

No model is ever given these frames: none was trained on them, and a caption beside them has to say so. They show a
person where things are; what can be made out in 112 pixels only the small frames tell.

Edges are smooth because twice as many rays are cast along each side as there are pixels. A frame of 448 pixels takes
0.2 to 0.5 s on one core, the light of a room about a second once a clip.

A furnished room has a door, which is drawn on its wall here and in no frame for a model.

Left out: shapes other than boxes, names (`vsr_kit.plots.large_frames` writes them), windows, reflections.
"""

from __future__ import annotations

import numpy as np

from vsr_kit.rooms import Box, Room, door_of
from vsr_kit.videos.filming import walk_seed
from vsr_kit.videos.light import Light
from vsr_kit.videos.rendering import (
    NEAR_M,
    WALL_COLORS,
    CameraPath,
    Clip,
    camera_axes,
    camera_walk,
    in_box_axes,
    object_colors,
    pixel_rays,
    screen_window,
)

SIZE_PX = 448
PANEL_M = 0.5  # side of a parquet panel: the model's floor squares are as large
_RAYS = 2  # along each side of a pixel
_STRIPS = 4  # of a panel
_WOOD = np.array([196, 165, 128], np.float32)
_JOINT = np.array([132, 102, 74], np.float32)
_JOINT_M, _SEAM_M = 0.011, 0.005  # width of the lines between panels, and between the strips of one
_PAPER = np.array([250, 248, 243], np.float32)
_TINT = 0.55  # how much of the model's wall colour a wall keeps
_SKIRTING_M = 0.09
_CEILING = np.array([247, 246, 242], np.float32)
_LINE, _CREASE = 0.42, 0.8  # brightness where two things meet, and where two faces of one do
_WALLS = {2: 0, 1: 1, 3: 2, 0: 3}  # which wall a face is, as doors count them
_LEAF, _FRAME = np.array([238, 231, 218], np.float32), np.array([150, 134, 112], np.float32)
_DOOR_HIGH_M, _FRAME_M = 2.02, 0.07
_HANDLE_M = (0.09, 1.02, 0.13, 0.035)  # from the latch's side, above the floor, length, thickness
_FLOOR, _TOP = 4, 5  # faces are numbered 2 * axis + (1 at the high end)


def film_for_people(room: Room, clip: Clip | CameraPath | None = None, size_px: int = SIZE_PX) -> Clip:
    """Draw a room for a reader, along the camera path of a clip.

    Args:
        room: what to draw.
        clip: the clip that the model gets, or a camera path; by default the walk that `vsr_kit.videos.film` takes.
        size_px: width and height of the square frames.

    Returns:
        A clip of the same walk: frames_FHW3 for people, and what each pixel shows and how far away it is. Do not give
        its frames to a model.

    Raises:
        ValueError: for a size below 8.
    """
    if clip is None:
        clip = camera_walk(room, seed=walk_seed(room))
    path, light = clip.path if isinstance(clip, Clip) else clip, Light(room)
    views = [frame_for_people(light, path, frame, size_px) for frame in range(len(path))]
    frames, ids, depth = (np.stack(part) for part in zip(*views, strict=True))
    return Clip(frames, ids, depth, path)


def frame_for_people(
    light: Light, path: CameraPath, frame: int, size_px: int = SIZE_PX
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one frame of a walk, for whoever shows one after another.

    Args:
        light: of the room, kept from frame to frame: what it has computed it need not compute again.
        path, frame: the walk, and which of its frames.
        size_px: width and height.

    Returns:
        The picture (H, W, 3) in uint8, the index of the box that each pixel shows (H, W), and its distance (H, W).

    Raises:
        ValueError: for a size below 8.
    """
    if size_px < 8:
        raise ValueError(f"size_px is {size_px}: frames need at least 8 pixels a side")
    room, fine = light.room, size_px * _RAYS
    axes, eye, colors = camera_axes(path, frame), path.positions_m_F3[frame], object_colors(room)
    rays = pixel_rays(axes, path.fov_deg, fine)
    ids, faces, depth = _surfaces(room, eye, axes, rays, path.fov_deg)
    pixels = np.empty((fine * fine, 3), np.float32)
    foot_m = depth.ravel() * np.float32(2 * np.tan(np.radians(path.fov_deg) / 2) / fine)  # how wide a ray's view is
    numbers = (6 * ids + faces).ravel()
    order = np.argsort(numbers, kind="stable")  # all rays that meet the same face, together
    for here in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        index, face = divmod(int(numbers[here[0]]), 6)
        ends, far = rays.reshape(-1, 3)[here], depth.ravel()[here]
        local = _points(room, index, eye, ends, far)
        color = colors[index] if index >= 0 else _shell_colors(room, face, local, foot_m[here], ends)
        pixels[here] = color * light.at(index, face // 2, bool(face % 2), local)[:, None]
    image = pixels.reshape(fine, fine, 3) * _lines(ids, faces)[..., None]
    small = image.reshape(size_px, _RAYS, size_px, _RAYS, 3).mean(axis=(1, 3))
    return np.clip(small, 0, 255).astype(np.uint8), ids[::_RAYS, ::_RAYS], depth[::_RAYS, ::_RAYS]


def _surfaces(room: Room, eye: np.ndarray, axes: np.ndarray, rays: np.ndarray, fov_deg: float) -> tuple:
    """What each ray meets first, shapes (H, W): the box's index (-1: the shell), its face, and the distance."""
    depth, faces = _shell_hits(room, eye, rays)
    ids = np.full(depth.shape, -1, np.int16)
    for i, box in enumerate(room.boxes):
        window = screen_window(box, eye, axes, fov_deg, len(rays))
        if window is None:
            continue
        near, face = _box_hits(box, eye, rays[window])
        closer = near < depth[window]
        depth[window] = np.where(closer, near, depth[window])
        faces[window] = np.where(closer, face, faces[window])
        ids[window][closer] = i
    return ids, faces, depth


def _box_hits(box: Box, eye: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance at which rays enter a box (infinite where they miss it), and the face: as rendering.py finds them.

    It goes through the axes one by one, because NumPy is slow along short axes, and there are many rays here.
    """
    start = (np.asarray(box.axes) @ (eye - np.asarray(box.center))).astype(np.float32)
    enter, leave = np.full(rays.shape[:2], -np.inf, np.float32), np.full(rays.shape[:2], np.inf, np.float32)
    face = np.zeros(rays.shape[:2], np.int16)
    for axis in range(3):
        along = rays @ np.asarray(box.axes[axis], np.float32)
        inverse = 1 / np.where(along == 0, np.float32(1e-20), along)
        side = np.abs(inverse) * np.float32(box.size[axis] / 2)
        near = -start[axis] * inverse - side
        last = near > enter
        enter = np.where(last, near, enter)
        face = np.where(last, 2 * axis + (along < 0), face).astype(np.int16)  # from above it meets the high end
        np.minimum(leave, near + 2 * side, out=leave)
    return np.where((enter < leave) & (enter > NEAR_M), enter, np.float32(np.inf)), face


def _shell_hits(room: Room, eye: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance to floor, wall or ceiling, seen from inside, and the number of that face."""
    start, inverse = in_box_axes(room.shell, eye, rays)
    half = np.asarray(room.shell.size, np.float32) / 2
    leave = (np.where(inverse > 0, half, -half) - start) * inverse
    axis = leave.argmin(-1)
    ahead = np.take_along_axis(inverse, axis[..., None], -1)[..., 0] > 0
    return np.take_along_axis(leave, axis[..., None], -1)[..., 0], (2 * axis + ahead).astype(np.int16)


def _points(room: Room, index: int, eye: np.ndarray, rays_N3: np.ndarray, depth_N: np.ndarray) -> np.ndarray:
    """Where rays end, in metres from a box's middle along its own axes, shape (N, 3)."""
    box = room.shell if index < 0 else room.boxes[index]
    start, inverse = in_box_axes(box, eye, rays_N3)
    return start + depth_N[:, None] / inverse


def _shell_colors(room: Room, face: int, local_N3: np.ndarray, foot_m_N: np.ndarray, rays_N3: np.ndarray) -> np.ndarray:
    """Colours of points of the floor, of a wall or of the ceiling."""
    if face == _FLOOR:
        # a ray that comes in flat shows a longer piece of the floor
        steep = np.abs(rays_N3 @ np.asarray(room.shell.axes[2], np.float32)).clip(0.05)
        return _parquet(local_N3[:, :2] + np.asarray(room.shell.size[:2]) / 2, foot_m_N / steep)
    if face == _TOP:
        return np.broadcast_to(_CEILING, local_N3.shape)
    wall = _TINT * np.array(WALL_COLORS[face], np.float32) + (1 - _TINT) * _PAPER
    above = local_N3[:, 2] + room.shell.size[2] / 2
    rim = _covered(np.abs(above - _SKIRTING_M), 0.012, foot_m_N)[:, None]
    skirting = np.where((above < _SKIRTING_M)[:, None], _PAPER, wall)
    return _with_door(room, face, local_N3, foot_m_N, skirting * (1 - 0.35 * rim))


def _with_door(room: Room, face: int, local_N3: np.ndarray, foot_m_N: np.ndarray, wall_N3: np.ndarray) -> np.ndarray:
    """Colours of points of a wall with the door in it, where it has one: a pale leaf, a frame around it, a handle."""
    door = door_of(room)
    if door is None or door.wall != _WALLS[face]:
        return wall_N3
    corner_N3 = local_N3 + np.asarray(room.shell.size) / 2
    start, end = door.span
    along, above = corner_N3[:, door.wall % 2], corner_N3[:, 2]
    off = np.maximum(np.abs(along - (start + end) / 2) - (end - start) / 2, above - _DOOR_HIGH_M)  # below 0 inside
    rim = _covered(np.abs(off + _FRAME_M / 2), _FRAME_M, foot_m_N)[:, None]
    aside, high, long, thick = _HANDLE_M
    grip = np.maximum(np.abs(along - (end - aside - long / 2)) - long / 2, np.abs(above - high) - thick / 2) < 0
    leaf = np.where(grip[:, None], _FRAME * 0.55, _LEAF)
    return np.where((off < 0)[:, None], leaf * (1 - rim) + _FRAME * rim, wall_N3)


def _parquet(spot_N2: np.ndarray, foot_m_N: np.ndarray) -> np.ndarray:
    """Wood in panels of 0.5 m: four strips each, along one direction in one panel and across in the next."""
    panel = np.floor(spot_N2 / PANEL_M).astype(np.int64)
    inside = spot_N2 - panel * PANEL_M
    turned = panel.sum(1) % 2 == 1
    across = np.where(turned, inside[:, 0], inside[:, 1])
    strip = np.floor(across / PANEL_M * _STRIPS).astype(np.int64)
    number = panel[:, 0] * 7919 + panel[:, 1] * 104729 + strip * 1299709
    grain = ((number * 2654435761) % 1000) / 1000 - 0.5  # a shade of each strip's own, always the same
    far = np.clip(1.6 - foot_m_N / (PANEL_M / _STRIPS) * 1.6, 0, 1)  # too far away for single strips
    shade = 1 + 0.13 * grain * far + np.where(turned, 0.055, -0.055)
    seam = across - np.round(across / PANEL_M * _STRIPS) * PANEL_M / _STRIPS
    seams = 0.5 * _covered(np.abs(seam), _SEAM_M, foot_m_N)
    joints = 0.9 * _covered(np.minimum(inside, PANEL_M - inside).min(1), _JOINT_M, foot_m_N)
    dark = np.maximum(seams, joints)[:, None]
    return _WOOD * shade[:, None] * (1 - dark) + _JOINT * dark


def _covered(off_m_N: np.ndarray, width_m: float, foot_m_N: np.ndarray) -> np.ndarray:
    """How much of what a ray shows is covered by a line this wide whose middle is `off_m_N` away: 0 to 1."""
    reach = np.maximum(foot_m_N, 1e-4)
    return np.clip((width_m / 2 + reach / 2 - off_m_N) / reach, 0, 1) * np.minimum(1, width_m / reach)


def _lines(ids: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Brightness of each ray's place, shape (H, W): darker on both sides of a border."""
    factor = np.ones(ids.shape, np.float32)
    for axis in (0, 1):
        low = (slice(None, -1), slice(None))[:: 1 - 2 * axis]
        high = (slice(1, None), slice(None))[:: 1 - 2 * axis]
        other = ids[low] != ids[high]
        turn = ~other & (faces[low] != faces[high])
        dark = np.where(other, _LINE, np.where(turn, _CREASE, 1)).astype(np.float32)
        factor[low] = np.minimum(factor[low], dark)
        factor[high] = np.minimum(factor[high], dark)
    return factor
