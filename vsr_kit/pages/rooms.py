"""Rooms as the pages of rollouts show them: a floor plan, a sheet of the clip's frames, and lines for answers.

A room is drawn and filmed once for a page, however many questions are about it: the plan as the still SVG of
`plots.floor_plan`, the frames as one small JPEG. What belongs to a question, the outlines of the objects it names and
the lines of the truth and of answers, is given in pixels of that plan, so that a page lays it over the shared picture.
Left out: rooms that the kit did not generate, since nothing on a page's side knows their geometry.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from vsr_kit.data.own_questions import objects_named
from vsr_kit.data.rows import room_named
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.questions.types import rules_for
from vsr_kit.rooms import Room

_COLUMNS, _JPEG_QUALITY = 4, 60


class RoomPictures:
    """The rooms of one page, each drawn when it is first asked for.

    Attributes:
        shown: by scene name `{"plan", "wide", "tall", "strip", "told"}`: SVG, its size in pixels, JPEG in base64, and
            the frames in words.
    """

    def __init__(self, rooms: Callable[[str], Room | None] = room_named, source: str = "measured now") -> None:
        """Draw nothing yet; `source` is what plans say of themselves: `measured now` or `shipped`."""
        self._rooms, self._source = rooms, source
        self._known: dict[str, tuple[Room, _Place] | None] = {}
        self.shown: dict[str, dict[str, Any]] = {}

    def has(self, scene: str) -> bool:
        """Whether the kit can draw a scene; it is drawn then."""
        return self._of(scene) is not None

    def asked(self, row: Mapping) -> list[list[list[int]]]:
        """Outlines of the objects that a question names, corners in pixels of the plan; none for another's room."""
        if (found := self._of(str(row.get("scene_name") or ""))) is None:
            return []
        room, place = found
        chosen = [box for name in objects_named(row, room) for box in room.boxes if box.category == name]
        return [[place.of(corner) for corner in box.plan()] for box in chosen]

    def lines(self, row: Mapping, values: Iterable[str]) -> dict[str, Any]:
        """The truth and answers as lines on the plan, in its pixels; `plots.answer_lines` finds them.

        values: what was answered, each once, as the parser reads it.

        Returns:
            `truth`, a list of `[x1, y1, x2, y2, text, kind]`, and `answers`, by value `[x1, y1, x2, y2, aside right,
            aside down, text, note]`: a page counts those that its filter leaves, as `AnswerLine.mark` does. Nothing
            where nothing can be drawn.
        """
        from vsr_kit.plots.answer_marks import answer_lines

        found = self._of(str(row.get("scene_name") or ""))
        if found is None or row.get("question_type") not in QUESTION_TYPES:
            return {}
        room, place = found
        truth, lines = answer_lines({**row, "objects": objects_named(row, room)}, room, values)
        if not truth:
            return {}
        drawn = {
            value: [*place.of(one.start), *place.of(one.end), *place.along(one.aside_m), one.told, one.note]
            for value, one in lines.items()
        }
        return {"truth": [[*place.of(one.start), *place.of(one.end), one.text, one.kind] for one in truth]} | {
            "answers": drawn
        }

    def _of(self, scene: str) -> tuple[Room, _Place] | None:
        if scene not in self._known:
            room = self._rooms(scene) if scene else None
            self._known[scene] = None if room is None else (room, self._draw(scene, room))
        return self._known[scene]

    def _draw(self, scene: str, room: Room) -> _Place:
        from vsr_kit.plots import floor_plan
        from vsr_kit.videos import film

        clip = film(room, clear=rules_for(room.dataset).clear_walk)
        figure = floor_plan(room, clip.path, source=self._source)
        count, (high, wide) = len(clip.frames_FHW3), clip.frames_FHW3.shape[1:3]
        self.shown[scene] = {
            "plan": figure.to_svg(),
            "wide": figure.layout.width,
            "tall": figure.layout.height,
            "strip": frames_jpeg(clip.frames_FHW3),
            "told": f"The {count} frames of the clip of room {scene}, row by row; each has {wide} × {high} pixels",
        }
        return _Place(figure)


class _Place:
    """Where a point of a room lies on its drawn plan."""

    def __init__(self, figure) -> None:
        layout, margin = figure.layout, figure.layout.margin
        (self.west, east), (self.south, north) = layout.xaxis.range, layout.yaxis.range
        self.left, self.bottom = margin.l, layout.height - margin.b
        self.across = (layout.width - margin.l - margin.r) / (east - self.west)  # pixels a metre
        self.up = (layout.height - margin.t - margin.b) / (north - self.south)

    def of(self, point) -> list[int]:
        """Pixels from the plan's top left corner of a point in metres."""
        x, y = self.left + (point[0] - self.west) * self.across, self.bottom - (point[1] - self.south) * self.up
        return [round(float(x)), round(float(y))]

    def along(self, way) -> list[float]:
        """Pixels to the right and down of a way in metres, which is so short that parts of a pixel count."""
        return [round(float(way[0]) * self.across, 2), round(-float(way[1]) * self.up, 2)]


def frames_jpeg(frames_FHW3: np.ndarray) -> str:
    """A clip's frames in rows of four, as one JPEG in base64: some 7 KB for eight frames of 112 pixels."""
    from PIL import Image

    count, high, wide, _ = frames_FHW3.shape
    columns = min(_COLUMNS, count)
    sheet = np.full((-(-count // columns) * high, columns * wide, 3), 255, np.uint8)
    for at, frame in enumerate(frames_FHW3):
        row, column = divmod(at, columns)
        sheet[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = frame
    held = io.BytesIO()
    Image.fromarray(sheet).save(held, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return base64.b64encode(held.getvalue()).decode()
