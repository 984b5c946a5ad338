"""The cost of labels measured from centre to centre, and lettered options for VSI-100k's open words.

VSI-100k, on which vsGRPO trained, labels the distance of two objects from centre to centre; VSI-Bench, on which it was
scored, asks for their closest points. A model that learned its labels perfectly still loses points, and
`centre_ceiling` says how many. Pairs are plain records that can be written to a file and read back, so that a ceiling
on released geometry can be recomputed without the geometry. `as_letters` changes the other difference between the two
data sets, letters for words, and nothing else; `make_rows(..., labels="closest")` changes the labels and not the words.
Left out: the same cost for relative distance, where few questions have another answer, and other data sets' conventions
(vertical distance, nearest corner).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from vsr_kit.data.forms import as_letters as as_letters  # where it stood once
from vsr_kit.data.rows import check_names
from vsr_kit.evaluation import Interval, interval
from vsr_kit.files import check_seal, in_a_line, reading
from vsr_kit.questions import STUDY_RULES
from vsr_kit.rooms import Box, Room, center_distance, pairwise_distances

TOUCHING = ("drop", "keep")
TOUCHING_M = STUDY_RULES.least_distance_m


@dataclass(frozen=True)
class DistancePair:
    """Two objects of a room that can be asked about by name, and how far apart they are.

    Attributes:
        scene: the room.
        a, b: categories that occur once in it, in the order of the alphabet.
        closest_m, centre_m: between their closest points and between their centres, in whole millimetres.
    """

    scene: str
    a: str
    b: str
    closest_m: float
    centre_m: float

    @property
    def touching(self) -> bool:
        """Whether the two are too close for a distance question by the study's rules."""
        return self.closest_m < TOUCHING_M


def distance_pairs(rooms: Iterable[Room], touching: str = "drop", grid_m: float | None = None) -> list[DistancePair]:
    """Measure every pair of objects that a distance question could be about.

    Args:
        rooms: of any source; their names must differ.
        touching: `drop` leaves out pairs closer than `TOUCHING_M`, as the study's rules do; `keep` keeps them.
        grid_m: find the closest points as VSI-Bench's code does, between two grids of this spacing (0.05 there) that
            fill the boxes' outer parts, faces included; by default exactly. That code then crops each grid to its box,
            by which rounding may lose points that lie on a face; this is not imitated.

    Raises:
        ValueError: for another word than `drop` and `keep`, a spacing not above 0, or two rooms of one name.
    """
    if touching not in TOUCHING:
        raise ValueError(f"touching is {touching!r}: choose one of {', '.join(TOUCHING)}")
    if grid_m is not None and not 0 < grid_m < math.inf:
        raise ValueError(f"grid_m is {grid_m}: must be above 0 m, such as 0.05, or None for exact distances")
    rooms = list(rooms)
    check_names(rooms)
    found = [pair for room in rooms for pair in _pairs_of(room, grid_m)]
    return [pair for pair in found if touching == "keep" or not pair.touching]


def _pairs_of(room: Room, grid_m: float | None) -> list[DistancePair]:
    named = sorted(room.unique.items())
    boxes = [box for _, box in named]
    closest = pairwise_distances(boxes) if grid_m is None else _grid_distances(boxes, grid_m)
    return [
        DistancePair(
            room.name, named[i][0], named[j][0], round(float(closest[i, j]), 3), round(center_distance(a, b), 3)
        )
        for (i, a), (j, b) in combinations(enumerate(boxes), 2)
    ]


def _grid_distances(boxes: Sequence[Box], grid_m: float) -> np.ndarray:
    """Least distances between the boxes' grids, (N, N); the upper triangle is filled."""
    from scipy.spatial import cKDTree  # here, as it takes long to load

    grids = [_grid(box, grid_m) for box in boxes]
    trees = [cKDTree(grid) for grid in grids]
    out = np.zeros((len(boxes), len(boxes)))
    for i, j in combinations(range(len(boxes)), 2):
        few, many = sorted((i, j), key=lambda k: len(grids[k]))
        out[i, j] = trees[many].query(grids[few])[0].min()
    return out


def _grid(box: Box, step_m: float) -> np.ndarray:
    """Points of a box but for its inner half, (N, 3), at most `step_m` and a little apart along its axes."""
    size = np.asarray(box.size)
    sides = [np.linspace(-s / 2, s / 2, math.ceil(s / step_m)) for s in size]
    points = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 3)
    outer = points[(np.abs(points) > size / 4).any(axis=1)]
    return np.asarray(box.center) + outer @ np.asarray(box.axes)


def centre_ceiling(pairs: Iterable[DistancePair], resamples: int = 1000, seed: int = 0) -> Interval:
    """Score perfect centre-to-centre answers where the closest points are asked for: MRA in per cent, 95 % over rooms.

    Truths are written with one decimal, as VSI-Bench writes them, and answers with two, so that rounding the answer
    adds nothing of note. A truth of 0.0 can only be met by 0, so a touching pair earns nothing. Every pair counts
    the same. It bounds a model that is right by its labels, not one that errs: centres are farther apart than closest
    points, so answers too low for the labels, a constant among them, can score higher.

    Args:
        pairs: from `distance_pairs` or `read_pairs`.
        resamples, seed: of the bootstrap, which draws rooms.

    Raises:
        ValueError: if there is no pair.
    """
    rows = [_answered(pair) for pair in pairs]
    if not rows:
        raise ValueError("there is no pair to score: give rooms with at least two categories that occur once")
    return interval(rows, "official", resamples=resamples, seed=seed)


def _answered(pair: DistancePair) -> dict:
    """The pair as a row with the answer of a model that measures from centre to centre."""
    return {
        "dataset": "pairs",
        "scene_name": pair.scene,
        "id": f"{pair.scene}/{pair.a}/{pair.b}",
        "question_type": "object_abs_distance",
        "options": None,
        "ground_truth": f"{pair.closest_m:.1f}",
        "prediction": f"{pair.centre_m:.2f}",
    }


def write_pairs(path: str | Path, pairs: Iterable[DistancePair]) -> None:
    """Write pairs as JSON lines, the format `read_pairs` reads."""
    lines = [json.dumps(asdict(pair), ensure_ascii=False) + "\n" for pair in pairs]
    Path(path).write_text("".join(lines), encoding="utf-8")


def read_pairs(path: str | Path) -> list[DistancePair]:
    """Read what `write_pairs` wrote.

    Raises:
        ValueError: for a missing or empty file, and naming the line, field and rule that a line breaks.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no file {path}: give pairs that `write_pairs` wrote")
    with reading(check_seal(path)):
        lines = path.read_text(encoding="utf-8").split("\n")
    pairs = [_pair(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not pairs:
        raise ValueError(f"{path}: is empty; write pairs to it with `write_pairs`")
    return pairs


def _pair(line: str, where: str) -> DistancePair:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: not JSON ({in_a_line(error)}); write one object a line") from None
    fields = list(DistancePair.__dataclass_fields__)
    if not isinstance(record, dict) or set(record) != set(fields):
        raise ValueError(f"{where}: is {record!r}, must be an object with {', '.join(fields)} and nothing else")
    for field in fields[:3]:
        if not isinstance(record[field], str):
            raise ValueError(f"{where}: field {field!r} is {record[field]!r}, must be text")
    for field in fields[3:]:
        value = record[field]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise ValueError(f"{where}: field {field!r} is {value!r}, must be metres, finite and not below 0")
    return DistancePair(**record)
