"""Room files: VSI-Bench's released geometry, and a JSON format of the kit's own.

For each scene the release gives the floor area, oriented boxes by category and the number of each; it gives no walls
and no floor. The lowest box marks the floor. Walls are a rectangle of the stated area around all boxes, turned as most
boxes are turned. Labels are never computed from these walls, but a clip shows them, so they follow the label: they come
as near to the boxes as the area requires, and turn if that helps. Only where the boxes reach further than any rectangle
of that area is the rectangle larger; `Room.drawn_area_m2` gives its size, and the rules in `vsr_kit.questions.types`
decide whether the room's size may still be asked.
Left out: the release's videos, which may not be redistributed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsr_kit.rooms.furnished import furnished_rooms
from vsr_kit.rooms.generator import make_rooms
from vsr_kit.rooms.geometry import Box, Room, yaw_axes
from vsr_kit.validation import parse_json, shown, text_fault

WALLS = ("labelled", "roomy")
_WALL_MARGIN_M = 0.25
_CEILING_M = 2.7
_FURTHEST = 1e9  # a number beyond it is damage; integers of any length are JSON, and no float


@dataclass(frozen=True)
class GeometryFile:
    """What a geometry file held: the rooms that could be read, and one line for each scene that could not."""

    rooms: tuple[Room, ...]
    skipped: tuple[str, ...]


def read_geometry(path: str | Path, walls: str = "labelled") -> GeometryFile:
    """Read a `*_meta_info_*.json` of VSI-Bench.

    A malformed scene is left out and named in `skipped` with file, scene, object and field; the other scenes load.

    Args:
        path: the file.
        walls: `labelled` walls enclose the stated area as nearly as the boxes allow; `roomy` ones always stand 25 cm
            from the boxes, however large that makes the room (which is how the shipped study was filmed).

    Raises:
        ValueError: if the file is not JSON, not an object of scenes, or holds no readable scene at all; or for other
            walls.
    """
    if walls not in WALLS:
        raise ValueError(f"walls are {walls!r}: choose one of {', '.join(WALLS)}")
    path = Path(path)
    scenes = _json_of(path, "give a VSI-Bench *_meta_info_*.json")
    if not isinstance(scenes, dict):
        raise ValueError(f"{path}: holds a {type(scenes).__name__}, must be an object that maps scene names to scenes")
    rooms, skipped = [], []
    for name, scene in scenes.items():
        try:
            rooms.append(_read_scene(name, scene, path.stem.split("_")[0], walls))
        except _BadField as error:
            skipped.append(f"{path.name}: scene {shown(name)}: {error}")
    if not rooms:
        first = skipped[0] if skipped else "it holds no scene"
        raise ValueError(f"{path}: none of {len(scenes)} scenes could be read: {first}")
    return GeometryFile(tuple(rooms), tuple(skipped))


def _json_of(path: Path, remedy: str) -> object:
    """What a JSON file holds, a byte order mark or not."""
    try:
        return parse_json(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error}); {remedy}") from None


class _BadField(Exception):
    """A scene's field that breaks a rule; the message names object, field and rule."""


def _read_scene(name: str, scene: object, dataset: str, walls: str) -> Room:
    if not isinstance(scene, dict):
        raise _BadField(f"is a {type(scene).__name__}, must be an object")
    dataset = _name(scene.get("dataset", dataset), "field 'dataset'")
    _name(name, "its name")
    area = _numbers(scene.get("room_size"), 1, "room_size")[0]
    if area <= 0:
        raise _BadField(f"field 'room_size' is {area}, must be above 0 m²")
    by_category = scene.get("object_bbox")
    if not isinstance(by_category, dict) or not by_category:
        raise _BadField("field 'object_bbox' is missing or empty, must map categories to lists of boxes")
    boxes = []
    for category, records in by_category.items():
        _name(category, f"object {shown(category)}: its category")
        if not isinstance(records, list):
            raise _BadField(f"object {category!r}: is a {type(records).__name__}, must be a list of boxes")
        boxes += [_read_box(category, i, record) for i, record in enumerate(records)]
    if not boxes:
        raise _BadField("field 'object_bbox' lists no box")
    counts = _read_counts(scene.get("object_counts"))
    return Room(name, dataset, tuple(boxes), _shell_around(boxes, area, walls), area, counts)


def _read_counts(counts: object) -> dict[str, int] | None:
    if counts is None:
        return None
    if not isinstance(counts, dict):
        raise _BadField(f"field 'object_counts' is a {type(counts).__name__}, must map categories to whole numbers")
    for category, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, (int, float)) or count < 0 or count % 1 != 0:
            raise _BadField(f"object {category!r}: its 'object_counts' is {count!r}, must be a whole number from 0")
    return {category: int(count) for category, count in counts.items()}


def _name(value: object, what: str) -> str:
    """Names become text of questions, and of files."""
    if not isinstance(value, str) or not value.strip():
        raise _BadField(f"{what} is {shown(value)}, must be text that is not empty")
    if fault := text_fault(value):
        raise _BadField(f"{what} {fault}")
    return value


def _read_box(category: str, index: int, record: object) -> Box:
    where = f"object {category!r}[{index}]"
    if not isinstance(record, dict):
        raise _BadField(f"{where}: is a {type(record).__name__}, must be an object")
    center = _numbers(record.get("centroid"), 3, "centroid", where)
    size = _numbers(record.get("axesLengths"), 3, "axesLengths", where)
    axes = np.reshape(_numbers(record.get("normalizedAxes"), 9, "normalizedAxes", where), (3, 3))
    try:
        return Box(category, tuple(center), tuple(size), tuple(map(tuple, axes.tolist())))
    except ValueError as error:
        raise _BadField(f"{where}: {error}") from error


def _numbers(value: object, count: int, field: str, where: str = "") -> list[float]:
    values = value if isinstance(value, list) else [value]
    good = [isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) < _FURTHEST for v in values]
    if len(values) != count or not all(good):
        place = f"{where}: " if where else ""
        raise _BadField(f"{place}field {field!r} is {shown(value)}, must be {count} finite number{'s' * (count > 1)}")
    return [float(v) for v in values]


def _shell_around(boxes: list[Box], area_m2: float, walls: str) -> Box:
    """Stand-in walls: a rectangle around all boxes, turned the way their longer sides turn, of `area_m2` if it can be.

    With room to spare it stands 25 cm from the boxes and is then stretched to the area; where that is too large, the
    gap shrinks, and where none is too large still, the rectangle takes the turn that makes it smallest.
    """
    corners = np.concatenate([box.corners() for box in boxes])
    yaw = _common_yaw_deg(boxes)
    gap = _WALL_MARGIN_M if walls == "roomy" else _gap_m(_sides(corners, yaw), area_m2)
    if gap < 0:
        yaw = min((yaw, *_hull_yaws_deg(corners)), key=lambda turn: float(np.prod(_sides(corners, turn))))
        gap = max(0.0, _gap_m(_sides(corners, yaw), area_m2))
    axes = np.asarray(yaw_axes(yaw))
    local = corners @ axes.T
    low, high = local.min(0) - [gap, gap, 0], local.max(0) + [gap, gap, 0]
    side = high - low
    grow = max(1.0, math.sqrt(area_m2 / (side[0] * side[1])))  # never smaller than what the boxes need
    height = max(_CEILING_M, side[2] + 0.1)
    middle = np.array([*(low + high)[:2] / 2, low[2] + height / 2]) @ axes
    return Box("room", tuple(middle.tolist()), (side[0] * grow, side[1] * grow, height), yaw_axes(yaw))


def _sides(corners: np.ndarray, yaw_deg: float) -> np.ndarray:
    """Both sides of the rectangle around the corners, seen from above, turned by `yaw_deg`."""
    return np.ptp(corners @ np.asarray(yaw_axes(yaw_deg)).T, axis=0)[:2]


def _gap_m(sides: np.ndarray, area_m2: float) -> float:
    """The gap on all four sides that makes a rectangle's area `area_m2`, at most 25 cm; below 0 if it is too large."""
    total, product = float(sides.sum()), float(np.prod(sides))  # (a + 2 gap) (b + 2 gap) = area
    inside = total**2 / 4 + area_m2 - product
    return min(_WALL_MARGIN_M, (math.sqrt(max(inside, 0.0)) - total / 2) / 2)


def _hull_yaws_deg(corners: np.ndarray) -> list[float]:
    """Turns that lay a side of the corners' outline along an axis; the smallest rectangle around them has one."""
    from scipy.spatial import ConvexHull  # here, as it takes long to load

    outline = corners[ConvexHull(corners[:, :2]).vertices, :2]
    edges = np.roll(outline, -1, axis=0) - outline
    return np.degrees(np.arctan2(edges[:, 1], edges[:, 0])).tolist()


def _common_yaw_deg(boxes: list[Box]) -> float:
    """Mean yaw modulo 90 degrees, weighted by footprint, on the circle that four turns make."""
    total = 0j
    for box in boxes:
        x, y, _ = box.axes[0]
        total += box.size[0] * box.size[1] * np.exp(4j * math.atan2(y, x)) * math.hypot(x, y)
    return math.degrees(np.angle(total)) / 4


def save_rooms(path: str | Path, rooms: Iterable[Room]) -> None:
    """Write rooms as one JSON list, the format `load_rooms` reads."""
    Path(path).write_text(json.dumps([room.to_dict() for room in rooms]) + "\n", encoding="utf-8")


def load_rooms(path: str | Path) -> list[Room]:
    """Read what `save_rooms` wrote.

    Raises:
        ValueError: naming the record and the rule it breaks.
    """
    records = _json_of(Path(path), "write rooms with save_rooms")
    if not isinstance(records, list):
        raise ValueError(f"{path}: holds a {type(records).__name__}, must be a list of rooms as save_rooms writes them")
    rooms = []
    for i, record in enumerate(records):
        name = record.get("name", record.get("scene_name")) if isinstance(record, dict) else None
        where = f"{path}: room {i}" + ("" if name is None else f" ({shown(name)})")
        rooms.append(_read_room(record, where))
    return rooms


def _read_room(record: object, where: str) -> Room:
    if not isinstance(record, dict):
        raise ValueError(f"{where}: is a {type(record).__name__}, must be an object; write it with save_rooms")
    if "object_bbox" in record:
        rule = "a list cannot name its scenes; write one object that maps scene names to scenes, as the release does"
        raise ValueError(f"{where}: is a scene of VSI-Bench's geometry, and {rule}")
    try:
        room = Room.from_dict(record)
        _name(room.name, "field 'name'")
        _name(room.dataset, "field 'dataset'")
        for box in room.boxes:
            _name(box.category, f"object {shown(box.category)}: its category")
        if not 0 < room.floor_area_m2 < _FURTHEST:
            raise _BadField(f"field 'floor_area_m2' is {room.floor_area_m2}, must be above 0")
    except KeyError as error:
        raise ValueError(f"{where}: field {error} is missing; write it with save_rooms") from None
    except (_BadField, AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}; write it with save_rooms") from None
    return room


def read_rooms(
    source: str | int | Path, seed: int = 0, walls: str = "labelled", furnished: bool = False
) -> GeometryFile:
    """Rooms from wherever they are: a number (procedural), our own file, or VSI-Bench's geometry.

    Args:
        source: how many rooms to make, or a path.
        seed: of the procedural rooms.
        walls: as read_geometry takes it.
        furnished: make that number of furnished rooms (`vsr_kit.rooms.furnished`), not the study's kind.

    Raises:
        ValueError: for a file that is not there or cannot be read, or a file together with `furnished`.
    """
    numbered = isinstance(source, int) or str(source).isdigit()
    if furnished and not numbered:
        raise ValueError(f"rooms is {source}, a file's name: furnished rooms are made, so give a number of them")
    if furnished:
        return GeometryFile(tuple(furnished_rooms(int(source), seed)), ())
    if numbered:
        return GeometryFile(tuple(make_rooms(int(source), seed)), ())
    path = Path(source)
    if not path.is_file():
        raise ValueError(
            f"no file or folder {path}: give a number of procedural rooms, a geometry file, a folder of vsr build, or "
            "questions (VSI-Bench: vsr fetch vsi-bench)"
        )
    if path.read_text(encoding="utf-8-sig", errors="replace").lstrip().startswith("["):
        return GeometryFile(tuple(load_rooms(path)), ())
    return read_geometry(path, walls)
