"""The language of chains that compute: where objects stand, steps between them, and what follows; written and read.

A chain states places first, in metres east or west and north or south of the room's middle. A step then says both
places again, side by side, with their difference, and from the difference a distance or a bearing:

    tv west 3.8, tv north 3.7. sofa east 0.2, sofa south 1.0. from tv to sofa: tv west 3.8 to sofa east 0.2 is east 4.0,
    tv north 3.7 to sofa south 1.0 is south 4.7, distance 6.2.

Every number that a step needs is said right before it is needed, after the name it belongs to, since a small network
copies a named value well and looks a sentence back badly. Metres have one decimal and degrees are compass bearings in
fives, clockwise from north. Steps are computed from places as they were said, rounded, so that a reader can check them.
Left out: height, and any other wording; what is worded otherwise is not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

Place = tuple[float, float]  # metres east and north of the room's middle, one decimal
SIDES = (("east", "west"), ("north", "south"))
DEGREES_STEP = 5
_NAME = r"[a-z][a-z\- ]*?"
_METRES = r"\d+\.\d"
# A value: a name, a side, a number. It stands at a sentence's or a clause's beginning, after `to`, or after a tag.
_VALUE = re.compile(rf"(?:^|[.,:;>] ?| to |\n)({_NAME}) (east|west|north|south) ({_METRES})")
_STEP = re.compile(
    rf"from ({_NAME}) to ({_NAME}): ({_NAME}) (east|west) ({_METRES}) to ({_NAME}) (east|west) ({_METRES}) is "
    rf"(east|west) ({_METRES}), ({_NAME}) (north|south) ({_METRES}) to ({_NAME}) (north|south) ({_METRES}) is "
    rf"(north|south) ({_METRES})(?:, distance ({_METRES}))?(?:, degrees (\d+))?"
)
_HEADER = re.compile(rf"from ({_NAME}) to ({_NAME}):")
_TURN = re.compile(r"turn (left|right) (\d+)")
_CLOSEST = re.compile(rf"closest ({_NAME})(?=[.,;<]|$)")
_SUM = re.compile(rf"({_METRES}(?: plus {_METRES})+) is ({_METRES})")
_COUNT = re.compile(r"count (\d+)")


def rounded(east_m: float, north_m: float) -> Place:
    """A place as chains say it, to one decimal and without a negative zero."""
    return round(east_m, 1) + 0.0, round(north_m, 1) + 0.0


def side_text(axis: int, metres: float) -> str:
    """`west 3.8`: a coordinate or a difference on the east-west axis (0) or the north-south axis (1)."""
    return f"{SIDES[axis][metres < 0]} {abs(metres):.1f}"


def place_text(name: str, place: Place) -> str:
    """`tv west 3.8, tv north 3.7`: the name stands before each coordinate."""
    return ", ".join(f"{name} {side_text(axis, metres)}" for axis, metres in enumerate(place))


def difference(a: Place, b: Place) -> Place:
    """How far east and north one has to go from `a` to `b`, to one decimal."""
    return rounded(b[0] - a[0], b[1] - a[1])


def distance_of(step: Place) -> float:
    """The length of a difference, metres to one decimal."""
    return round(math.hypot(*step), 1)


def bearing_of(step: Place) -> int:
    """The compass bearing of a difference in degrees, clockwise from north, in fives below 360."""
    return round(math.degrees(math.atan2(*step)) / DEGREES_STEP) * DEGREES_STEP % 360


def step_text(a: str, b: str, places: Mapping[str, Place], *, distance: bool = True, degrees: bool = False) -> str:
    """A step between two named places: both operands, the difference, and what follows from it."""
    way = difference(places[a], places[b])
    said = []
    for axis in (0, 1):
        here, there, apart = (side_text(axis, place[axis]) for place in (places[a], places[b], way))
        said.append(f"{a} {here} to {b} {there} is {apart}")
    said += [f"distance {distance_of(way):.1f}"] if distance else []
    said += [f"degrees {bearing_of(way)}"] if degrees else []
    return f"from {a} to {b}: " + ", ".join(said)


def turn_of(first_deg: float, second_deg: float) -> tuple[str, int]:
    """The shorter turn from one bearing to another: its side and its degrees, 0 to 180; both ends count as right."""
    clockwise = int(second_deg - first_deg) % 360
    return ("right", clockwise) if clockwise <= 180 else ("left", 360 - clockwise)


def turn_text(first_deg: float, second_deg: float) -> str:
    """`turn left 105`."""
    return "turn {} {}".format(*turn_of(first_deg, second_deg))


def sum_text(metres: list[float]) -> str:
    """`2.1 plus 3.0 plus 1.2 is 6.3`: the length of a walk from the lengths of its parts."""
    return " plus ".join(f"{m:.1f}" for m in metres) + f" is {round(sum(metres), 1):.1f}"


# -- reading -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A step as a chain states it.

    Attributes:
        a, b: names of the two objects.
        from_place, to_place: the operands, as the step repeats them.
        way: the stated difference.
        distance_m, degrees: what is said to follow; None where nothing is said.
        named: whether the operands carry the names that the step was announced with.
    """

    a: str
    b: str
    from_place: Place
    to_place: Place
    way: Place
    distance_m: float | None
    degrees: int | None
    named: bool


@dataclass(frozen=True)
class Chain:
    """What a text states in this language, in its order.

    Attributes:
        places: each place with its name, repetitions inside steps left out.
        steps: see `Step`.
        turns: signed degrees, right is positive.
        closest: names said to be closest.
        sums: stated parts and stated total of each sum, in metres.
        counts: stated counts.
    """

    places: tuple[tuple[str, Place], ...]
    steps: tuple[Step, ...]
    turns: tuple[int, ...]
    closest: tuple[str, ...]
    sums: tuple[tuple[tuple[float, ...], float], ...]
    counts: tuple[int, ...]

    @property
    def place_of(self) -> dict[str, Place]:
        """The place of each name as it was last stated."""
        return dict(self.places)


def _signed(side: str, metres: str) -> float:
    return -float(metres) + 0.0 if side in ("west", "south") else float(metres)


def read_chain(text: str) -> Chain:
    """Read what a text states; whatever is worded otherwise is passed over."""
    steps = tuple(_read_step(found) for found in _STEP.finditer(text))
    outside = _STEP.sub("; ", text)
    turns = tuple(int(deg) * (1 if side == "right" else -1) for side, deg in _TURN.findall(outside))
    sums = tuple((tuple(map(float, parts.split(" plus "))), float(total)) for parts, total in _SUM.findall(outside))
    counts = tuple(map(int, _COUNT.findall(outside)))
    return Chain(_read_places(outside), steps, turns, tuple(_CLOSEST.findall(outside)), sums, counts)


def _read_places(text: str) -> tuple[tuple[str, Place], ...]:
    """Two values of one name in a row, the first along east and west, the second along north and south."""
    values = [(name, side, metres) for name, side, metres in _VALUE.findall(text)]
    return tuple(
        (name, (_signed(side, metres), _signed(other_side, other)))
        for (name, side, metres), (same, other_side, other) in pairwise(values)
        if name == same and side in SIDES[0] and other_side in SIDES[1]
    )


def _read_step(found: re.Match) -> Step:
    a, b, a0, s1, m1, b0, s2, m2, s3, m3, a1, s4, m4, b1, s5, m5, s6, m6, distance, degrees = found.groups()
    return Step(
        a,
        b,
        (_signed(s1, m1), _signed(s4, m4)),
        (_signed(s2, m2), _signed(s5, m5)),
        (_signed(s3, m3), _signed(s6, m6)),
        None if distance is None else float(distance),
        None if degrees is None else int(degrees),
        (a0, b0, a1, b1) == (a, b, a, b),
    )


@dataclass(frozen=True)
class Stated:
    """Where a text names an object, and the coordinate that follows, as places in the text.

    Attributes:
        name: the object.
        name_at: where its name begins; it ends `len(name)` further.
        axis: 0 for east and west, 1 for north and south; None where no coordinate follows.
        value: where the side begins and where the number ends.
    """

    name: str
    name_at: int
    axis: int | None = None
    value: tuple[int, int] = (0, 0)


def stated_in(text: str) -> list[Stated]:
    """Every named coordinate of a text, those inside steps too, and the names that steps are announced with, in order.

    Used to find out which characters repeat what was stated before.
    """
    found = [
        Stated(own[1], own.start(1), 0 if own[2] in SIDES[0] else 1, (own.start(2), own.end(3)))
        for own in _VALUE.finditer(text)
    ]
    found += [Stated(own[k], own.start(k)) for own in _HEADER.finditer(text) for k in (1, 2)]
    return sorted(found, key=lambda own: own.name_at)


_RESULT = re.compile(rf"(?<= is )(?:east|west|north|south) {_METRES}|(?<=, distance ){_METRES}|(?<=, degrees )\d+")


def results_in(text: str) -> list[tuple[int, int]]:
    """Where the results of steps stand in a text: differences, distances and bearings, as places in it."""
    return [found.span() for found in _RESULT.finditer(text)]
