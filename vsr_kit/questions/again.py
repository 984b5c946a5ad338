"""The same question about a room in which something was changed: its truth there, or None where it has none any more.

Left out: types whose truth needs a clip (appearance order) or a way through the room (route planning).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vsr_kit.questions.rules import STUDY_RULES, get_rules
from vsr_kit.rooms import Box, Room, box_distance


def truth_in(row: Mapping, room: Room) -> str | None:
    """The ground truth of a VSI-Bench row about `room`, whose categories must be called as in the row's `objects`.

    Sizes, distances and the area are measured again; of several instances the nearest counts. Counts and directions are
    kept: no change of `vsr_kit.rooms.changes` touches a count, and none moves an object sideways against another.

    Returns:
        The truth as the row would state it; None where the question has no clear answer any more by its rules: a pair
        that is too near, nearest options that are about as far.
    """
    kind, named, rules = row["question_type"], row["objects"], get_rules(row.get("rules", STUDY_RULES), room.dataset)
    boxes: dict[str, list[Box]] = {}
    for box in room.boxes:
        boxes.setdefault(box.category, []).append(box)
    if kind == "room_size_estimation":
        return f"{room.floor_area_m2:.1f}"
    if kind == "object_size_estimation":
        return str(round(100 * boxes[named[0]][0].longest_m))
    if kind == "object_abs_distance":
        distance = _nearest(boxes[named[0]], boxes[named[1]])
        return f"{distance:.1f}" if distance >= rules.least_distance_m else None
    if kind != "object_rel_distance":
        return row["ground_truth"]
    away = {name: _nearest(boxes[named[0]], boxes[name]) for name in named[1:]}
    first, second, *_ = sorted(away.values())
    if first < rules.least_nearest_m or second - first < rules.margin_m(room):
        return None
    nearest = min(away, key=away.get)
    return next((option[0] for option in row["options"] if option[3:] == nearest), None)


def _nearest(some: list[Box], others: list[Box]) -> float:
    return min(box_distance(a, b) for a in some for b in others)


def in_other_words(row: Mapping, names: Mapping[str, str]) -> dict:
    """A row with other words for some categories, in its question, its options and its `objects`.

    Words are replaced all at once, long ones first, so that two may change places and `lamp` leaves `table lamp` alone.
    """
    if not names:
        return dict(row)
    longest_first = sorted({*names, *row["objects"]}, key=len, reverse=True)
    pattern = re.compile(r"(?<!\w)(" + "|".join(map(re.escape, longest_first)) + r")(?!\w)")

    def said(text: str) -> str:
        return pattern.sub(lambda match: names.get(match[1], match[1]), text)

    options = row["options"] and [option[:3] + said(option[3:]) for option in row["options"]]
    objects = [names.get(name, name) for name in row["objects"]]
    return {**row, "question": said(row["question"]), "options": options, "objects": objects}
