"""Filming a room: the one way the kit does it, so that a clip follows from the room alone.

The walk follows from the room's name. In a released room it may lead through a tall box, or past one that fills the
whole view; there the camera takes the next walk, and the next, until one is clear. Procedural furniture is lower than
the camera, so that their first walk always is.
Left out: paths that turn aside, and cameras at another height.
"""

from __future__ import annotations

import zlib

import numpy as np

from vsr_kit.rooms import Room
from vsr_kit.videos import CameraPath, Clip, camera_walk, render

WALKS = 24  # tried at most
ELBOW_ROOM_M = 0.1  # between the camera and a box
MOST_OF_THE_VIEW = 0.8  # for one object, of a frame
_STEPS, _PILOT_FRAMES, _PILOT_PX = 64, 16, 28


def film(room: Room, num_frames: int = 8, size_px: int = 112, clear: bool = True) -> Clip:
    """Film a room the one way the kit does it: the walk follows from the room and its name, at any number of frames.

    Args:
        room: what to film.
        num_frames, size_px: of the clip.
        clear: take the first walk that is clear of boxes, if there is one, and else the one with the least in its way;
            False takes the first walk as it is, as the shipped study did.
    """
    return render(room, camera_walk(room, num_frames, walk_seed(room, clear)), size_px)


def walk_seed(room: Room, clear: bool = True) -> int:
    """The seed of the walk that `film` takes, for whoever films another room on the same walk."""
    first = zlib.crc32(room.name.encode())
    return _clear_walk(room, first) if clear else first


def _clear_walk(room: Room, first: int) -> int:
    """The seed of the first walk with nothing in its way, or else of the one with the least."""
    best, least = first, (np.inf, np.inf)
    for seed in range(first, first + WALKS):
        inside = _inside(room, camera_walk(room, _STEPS, seed))
        if inside >= least[0] and inside > 0:
            continue
        found = (inside, _fill(room, camera_walk(room, _PILOT_FRAMES, seed)))
        if found[0] == 0 and found[1] <= MOST_OF_THE_VIEW:
            return seed
        if found < least:
            best, least = seed, found
    return best


def _inside(room: Room, path: CameraPath) -> int:
    """In how many frames the camera is in a box, or has no elbow room."""
    hit = np.zeros(len(path), dtype=bool)
    for box in room.boxes:
        local = (path.positions_m_F3 - np.asarray(box.center)) @ np.asarray(box.axes).T
        hit |= (np.abs(local) <= np.asarray(box.size) / 2 + ELBOW_ROOM_M).all(axis=1)
    return int(hit.sum())


def _fill(room: Room, path: CameraPath) -> float:
    """The largest share of a frame that one object fills."""
    ids_FHW = render(room, path, _PILOT_PX).object_ids_FHW
    counts = [np.bincount(ids[ids >= 0]).max(initial=0) for ids in ids_FHW]
    return max(counts) / ids_FHW[0].size
