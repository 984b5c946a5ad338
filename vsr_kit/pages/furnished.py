"""Rooms as people furnish them, on a page: of every kind one, its floor plan beside a frame for people.

The study's rooms are plain: boxes scattered on a floor. This page shows what the kit can make besides, says why the
study has none of it, and how to make more. Which rooms it shows is no choice of anybody: the first of every kind.
Left out: questions about them; `vsr build --furnished` asks those.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsr_kit.files import replace
from vsr_kit.pages.filling import page
from vsr_kit.rooms import Room, furnished_rooms
from vsr_kit.rooms.furnished import KINDS
from vsr_kit.videos import Clip, film
from vsr_kit.videos.for_people import frame_for_people
from vsr_kit.videos.light import Light

if TYPE_CHECKING:
    from vsr_kit.plots import Figure, Picture

PAGE = "rooms.html"
SIZE_PX = 336  # of the frame for people
_LEAST_SHARE = 0.004  # of a frame: an object that covers less is hardly seen


def write_rooms(out: str | Path, index: str = "index.html") -> Path:
    """Write the page into a folder and return its path; it takes some ten seconds.

    Args:
        out: the folder.
        index: the page to lead back to; empty for none.
    """
    shown = [{"room": room, **pictures(room)} for room in furnished_rooms(len(KINDS))]
    html = page("rooms.html.j2", rooms=shown, index=index)
    path = Path(out) / PAGE
    replace(path, lambda beside: beside.write_text(html, encoding="utf-8"))
    return path


def pictures(room: Room) -> dict[str, Figure | Picture]:
    """The `plan` of a room, and of the frame that shows most of it the model's and the one for people, `frames`."""
    from vsr_kit.plots import beside, floor_plan, named_frame

    clip = film(room)
    at = fullest_frame(clip)
    large, ids, _ = frame_for_people(Light(room), clip.path, at, SIZE_PX)
    frames = beside(clip.frames_FHW3[at], named_frame(large, ids, room), at + 1, source="measured now")
    return {"plan": floor_plan(room, clip.path, source="measured now", frame=at), "frames": frames}


def fullest_frame(clip: Clip) -> int:
    """The frame in which most objects are to be seen, the first of several."""
    least = _LEAST_SHARE * clip.object_ids_FHW[0].size
    counts = [(np.bincount(ids[ids >= 0]) >= least).sum() if (ids >= 0).any() else 0 for ids in clip.object_ids_FHW]
    return int(np.argmax(counts))
