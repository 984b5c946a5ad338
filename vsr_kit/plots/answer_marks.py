"""The right answer and what was answered, as lines on a floor plan: distances at their length, directions as rays.

A distance goes from centre to centre or between the closest points of the two objects, whichever comes nearer to the
truth (the words of a question do not tell: some are labelled otherwise), both as seen from above. What was answered
stands beside it, in the same direction, as long as the answer says. A direction is seen from the first object, facing
the second: a ray to the third, and a ray into the middle of each side that was answered.
Left out: questions whose answer is no place on the plan.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vsr_kit.inspection.outcomes import has_truth
from vsr_kit.plots.rooms import Mark
from vsr_kit.prompts import answer_choices, parse_answer
from vsr_kit.questions.types import DIRECTION_TYPES
from vsr_kit.rooms import Box, Room, box_distance, center_distance
from vsr_kit.rooms.geometry import outlines_overlap

MOST_ANSWERS = 4  # different ones, the most frequent first
_APART_M, _RAY_M = 0.22, 1.1
# Degrees from ahead to the middle of each side, by how many sides there are.
_HALF, _THIRD = {"left": 90.0, "right": -90.0}, {"left": 67.5, "right": -67.5, "back": 180.0}
_QUARTER = {"front-left": 45.0, "front-right": -45.0, "back-left": 135.0, "back-right": -135.0}
_TURNS = dict(zip(DIRECTION_TYPES, (_HALF, _THIRD, _QUARTER), strict=True))


def answer_marks(row: Mapping, room: Room, answers: Sequence[str]) -> tuple[Mark, ...]:
    """The truth of a question and answers to it, as far as they can be drawn.

    Args:
        row: with `question_type`, `objects`, `ground_truth` and what reading an answer takes.
        room: where it is asked.
        answers: texts of a model, as many as there are.

    Returns:
        The truth before answers; nothing where an object of the question does not stand in the room exactly once, or
        where there is no truth.
    """
    values = (parse_answer(text, row).value for text in answers)
    read = Counter(value for value in values if value is not None)
    truth, lines = answer_lines(row, room, read)
    ranked = enumerate(read.most_common(MOST_ANSWERS), 1)
    return (*truth, *(lines[value].mark(place, count) for place, (value, count) in ranked if value in lines))


@dataclass(frozen=True)
class AnswerLine:
    """How an answer is drawn, whoever gave it and whatever other answers stand beside it.

    Attributes:
        start, end: in metres.
        aside_m: how far it is moved for each place that it has among the answers.
        told: its words; `note` stands behind how often it was given.
    """

    start: np.ndarray
    end: np.ndarray
    aside_m: np.ndarray
    told: str
    note: str = ""

    def mark(self, place: int, count: int) -> Mark:
        """The line of the answer at a place, the most frequent at 1, that was given so often."""
        moved = self.aside_m * place
        return _mark(self.start + moved, self.end + moved, f"{self.told}{_times(count)}{self.note}", "answer")


def answer_lines(row: Mapping, room: Room, values: Iterable[str]) -> tuple[tuple[Mark, ...], dict[str, AnswerLine]]:
    """The truth's marks, and by answer the line of each that can be drawn; nothing where `answer_marks` has nothing.

    values: answers as the parser reads them.
    """
    names = row.get("objects")
    kind, boxes = row.get("question_type"), [room.unique.get(name) for name in ([] if names is None else names)]
    if kind == "object_abs_distance" and len(boxes) == 2:
        draw = _distance
    elif kind in DIRECTION_TYPES and len(boxes) == 3:
        draw = _direction
    else:
        return (), {}
    there = [box for box in boxes if box is not None]
    if len(there) < len(boxes) or not has_truth(kind, str(row.get("ground_truth") or "")):
        return (), {}
    return draw(row, room, there, values)


def _distance(row: Mapping, room: Room, boxes: Sequence[Box], values: Iterable[str]) -> tuple:
    centres = [np.asarray(box.center[:2], float) for box in boxes]
    truth = float(row["ground_truth"])
    conventions = ((box_distance(*boxes), closest(*boxes)), (center_distance(*boxes), centres))
    start, end = min(conventions, key=lambda one: abs(one[0] - truth))[1]
    way = end - start if math.dist(start, end) > 1e-6 else centres[1] - centres[0]
    along = way / max(float(np.hypot(*way)), 1e-6)
    aside_m = _APART_M * np.array([-along[1], along[0]])
    lines = {}
    # what reaches beyond the room would make it tiny
    farthest = max(float(np.hypot(*np.ptp(room.shell.plan(), axis=0))), float(np.hypot(*way)))
    for value in values:
        length = max(float(value), 0.0)
        note = " (cut off)" if length > farthest else ""
        lines[value] = AnswerLine(start, start + along * min(length, farthest), aside_m, f"{float(value):g} m", note)
    return (_mark(start, end, f"true {row['ground_truth']} m", "truth"),), lines


def _direction(row: Mapping, room: Room, boxes: Sequence[Box], values: Iterable[str]) -> tuple:
    stand, facing, target = (np.asarray(box.center[:2], float) for box in boxes)
    ahead = math.atan2(*(facing - stand)[::-1])
    aid, truth = (
        _mark(stand, facing, "", "aid"),
        _mark(stand, target, "true: " + _said(row, str(row["ground_truth"])), "truth"),
    )
    lines = {}
    for value in values:
        side = _said(row, value)
        if side in _TURNS[row["question_type"]]:
            at = ahead + math.radians(_TURNS[row["question_type"]][side])
            ray = stand + _RAY_M * np.array([math.cos(at), math.sin(at)])
            lines[value] = AnswerLine(stand, ray, np.zeros(2), side)
    return (aid, truth), lines


def _said(row: Mapping, value: str) -> str:
    """An answer as the words of its option, where the question has letters."""
    return next((choice.text for choice in answer_choices(row) if choice.label == value), value).lower()


def closest(a: Box, b: Box) -> tuple[np.ndarray, np.ndarray]:
    """The closest points of two boxes as seen from above, (2,) each.

    Where they overlap it is twice the middle between their centres; of a tilted box the centre is taken.
    """
    if not (a.upright and b.upright):  # whose outlines are no rectangles
        return np.asarray(a.center[:2], float), np.asarray(b.center[:2], float)
    first, second = a.plan(), b.plan()
    best = (math.inf, first[0], second[0])
    for corners, other, swapped in ((first, second, False), (second, first, True)):
        for corner in corners:
            for start, end in zip(other, np.roll(other, -1, axis=0), strict=True):
                along = end - start
                part = np.clip(np.dot(corner - start, along) / max(float(np.dot(along, along)), 1e-12), 0, 1)
                point = start + part * along
                gap = math.dist(corner, point)
                if gap < best[0]:
                    best = (gap, point, corner) if swapped else (gap, corner, point)
    if outlines_overlap(first[None], second[None])[0]:
        middle = (np.asarray(a.center[:2]) + np.asarray(b.center[:2])) / 2
        return middle, middle
    return best[1], best[2]


def _times(count: int) -> str:
    return f" ×{count}" if count > 1 else ""


def _mark(start: np.ndarray, end: np.ndarray, text: str, kind: str) -> Mark:
    return Mark((float(start[0]), float(start[1])), (float(end[0]), float(end[1])), text, kind)
