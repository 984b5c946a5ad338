"""Exercises on rooms and clips: sides, and first sights. Left out: as in `vsr_kit.checks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vsr_kit.checks.cases import Case, run_cases
from vsr_kit.videos import CameraPath, Clip


def side_of(function: Callable[[str, float], str]) -> None:
    """Notebook 01: the answer to a direction question, `(question_type, turn_deg) -> side`."""
    easy, medium, hard = (f"object_rel_direction_{level}" for level in ("easy", "medium", "hard"))
    sign = "turns are counter-clockwise: above 0 is to the left"
    back = "medium knows three answers, and 'back' starts at a turn of 135 degrees to either side"
    quadrant = "hard names a quadrant, 'front-left' and so on; beyond 90 degrees it is behind you"
    cases = [
        Case((easy, 30.0), "left", sign),
        Case((easy, -170.0), "right", f"{sign}; easy has no 'back'"),
        Case((medium, 100.0), "left", back),
        Case((medium, -100.0), "right", back),
        Case((medium, 135.0), "back", back),
        Case((medium, -160.0), "back", back),
        Case((hard, 45.0), "front-left", quadrant),
        Case((hard, 100.0), "back-left", quadrant),
        Case((hard, -89.0), "front-right", quadrant),
        Case((hard, -179.0), "back-right", quadrant),
    ]
    run_cases("side_of", function, cases)


def first_appearance(function: Callable[..., int | None]) -> None:
    """Notebook 01: the first frame that shows a box, `(clip, index, min_pixels=12) -> frame or None`."""
    clip = _clip_of_counts([{2: 20}, {0: 3, 2: 20}, {0: 12, 1: 11}, {0: 25}])
    told = "`clip.object_ids_FHW == index` is True where box `index` is seen; count by frame"
    shown = "clip in which box 0 covers 0, 3, 12, 25 pixels, box 1 at most 11, box 2 20 in frames 0 and 1"
    cases = [
        Case((clip, 2), 0, told, shown=f"{shown}; 2"),
        Case((clip, 0), 2, f"{told}; three pixels are not enough, twelve are", shown=f"{shown}; 0"),
        Case((clip, 0), 1, "`min_pixels` decides", {"min_pixels": 3}, f"{shown}; 0, min_pixels=3"),
        Case((clip, 1), None, "never seen well enough: return None", shown=f"{shown}; 1"),
    ]
    run_cases("first_appearance", function, cases)


def _clip_of_counts(counts: Sequence[dict[int, int]]) -> Clip:
    """A clip of 8 x 8 pixels whose frames show so many pixels of each box."""
    ids_FHW = np.full((len(counts), 64), -1, np.int16)
    for frame, seen in zip(ids_FHW, counts, strict=True):
        frame[: sum(seen.values())] = np.repeat(list(seen), list(seen.values()))
    ids_FHW = ids_FHW.reshape(-1, 8, 8)
    path = CameraPath(np.zeros((len(counts), 3)), np.zeros(len(counts)))
    return Clip(np.zeros((*ids_FHW.shape, 3), np.uint8), ids_FHW, np.zeros(ids_FHW.shape, np.float32), path)
