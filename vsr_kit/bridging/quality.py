"""Chains checked by computation, not by a judge: are the places right, is the arithmetic right, does the answer follow?

Three shares, because they fail for three reasons. Places are held against the room that was shown: that is seeing.
A step is held against the places that the chain itself stated: that is copying and calculating. The answer is held
against the chain's own last conclusion: that is minding what one thought.
Left out: chains in other words than `bridging.chains`; of them nothing is read, and `read` says how many were.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from vsr_kit.bridging.chains import (
    DEGREES_STEP,
    Chain,
    Place,
    Step,
    bearing_of,
    difference,
    read_chain,
)
from vsr_kit.prompts import answer_choices, parse_answer, same_answer
from vsr_kit.prompts.templates import has_options
from vsr_kit.questions.geometric import side_of
from vsr_kit.questions.types import DIRECTION_TYPES, NUMERIC_TYPES
from vsr_kit.rooms import Room, room_position

PLACE_RIGHT_M = 1.0  # a stated place this near to an object of its name is right
STEP_RIGHT_M = 0.1  # a stated difference or distance this near to what follows is right
_SLACK = 1e-6
_THREE = re.compile(r"(\d+\.\d) by (\d+\.\d) by (\d+\.\d) meters")
_TWO = re.compile(r"The room is (\d+\.\d) by (\d+\.\d) meters")
_FARTHER = re.compile(r"farther ([a-z\- ]+)\.")
_ANSWER = re.compile(r"The answer is\b|<answer>", re.IGNORECASE)


@dataclass(frozen=True)
class Checked:
    """What was found in one chain.

    Attributes:
        off_m: of each stated place, how far it is from the nearest object of its name; inf where there is none.
        copied: of each operand of a step, whether it repeats the place that the chain stated.
        steps: of each step, whether difference, distance and bearing follow from its own operands.
        follows: whether the answer is the one that the chain concludes; None where it concludes nothing.
    """

    off_m: tuple[float, ...]
    copied: tuple[bool, ...]
    steps: tuple[bool, ...]
    follows: bool | None


def check_chain(text: str, row: Mapping, room: Room) -> Checked:
    """Read a completion's chain and check it against its room, itself and its answer."""
    thought = _ANSWER.split(text, maxsplit=1)[0]
    chain = read_chain(thought)
    off = tuple(_off(name, place, room) for name, place in chain.places)
    return Checked(off, *check_steps(chain), _follows(text, thought, chain, row))


def answer_follows(text: str, row: Mapping) -> bool | None:
    """Whether a completion's answer is the one that its own chain concludes; None where the chain concludes nothing."""
    thought = _ANSWER.split(text, maxsplit=1)[0]
    return _follows(text, thought, read_chain(thought), row)


def check_steps(chain: Chain) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    """Of each operand, whether it repeats the stated place; of each step, whether it follows from its operands."""
    copied = tuple(same for step in chain.steps for same in _copied(step, chain.place_of))
    return copied, tuple(_right(step) for step in chain.steps)


def _off(name: str, place: Place, room: Room) -> float:
    spots = [room_position(room, box.center) for box in room.boxes if box.category == name]
    return min((math.dist(place, spot) for spot in spots), default=math.inf)


def _copied(step: Step, stated: Mapping[str, Place]) -> tuple[bool, ...]:
    pairs = ((step.a, step.from_place), (step.b, step.to_place))
    return tuple(stated.get(name) == place for name, place in pairs if name in stated)


def _right(step: Step) -> bool:
    true = difference(step.from_place, step.to_place)
    near = all(abs(a - b) <= STEP_RIGHT_M + _SLACK for a, b in zip(true, step.way, strict=True))
    if step.distance_m is not None:
        near &= abs(step.distance_m - math.hypot(*step.way)) <= STEP_RIGHT_M + _SLACK
    if step.degrees is not None:
        off = (step.degrees - bearing_of(step.way) + 180) % 360 - 180
        near &= abs(off) <= DEGREES_STEP
    return near


def _follows(text: str, thought: str, chain: Chain, row: Mapping) -> bool | None:
    concluded = conclusion(thought, chain, row)
    if concluded is None:
        return None
    kind = "number" if row["question_type"] in NUMERIC_TYPES else "letter" if has_options(row) else "word"
    given = parse_answer(text, row).value
    return given is not None and same_answer(given, concluded, kind)


def conclusion(thought: str, chain: Chain, row: Mapping) -> str | None:
    """The answer that a chain's own last statements lead to, as the question wants it; None where they lead nowhere."""
    kind, found = row["question_type"], None
    if kind == "object_abs_distance":
        told = [step.distance_m for step in chain.steps if step.distance_m is not None]
        return f"{told[-1]:.1f}" if told else None
    if kind == "object_walk_length":
        return f"{chain.sums[-1][1]:.1f}" if chain.sums else None
    if kind in ("object_counting", "object_count_within"):
        return str(chain.counts[-1]) if chain.counts else None
    if kind in ("object_size_estimation", "object_nearest_size"):
        sides = _THREE.findall(thought)
        return f"{100 * max(map(float, sides[-1])):.0f}" if sides else None
    if kind == "room_size_estimation":
        walls = _TWO.findall(thought)
        return f"{float(walls[-1][0]) * float(walls[-1][1]):.1f}" if walls else None
    if kind == "object_rel_distance":
        away = {step.b: step.distance_m for step in chain.steps if step.distance_m is not None}
        offered = _offered(row)  # nothing where a question asks for more than one of them, such as for an order
        found = min(away, key=lambda name: away[name] or 0.0) if offered and offered <= set(away) else None
    elif kind in DIRECTION_TYPES and chain.turns:
        found = side_of(kind, -chain.turns[-1])
    elif kind == "object_compare_distances":
        farther = _FARTHER.findall(thought)
        found = farther[-1] if farther else None
    return next((c.label for c in answer_choices(row) if found and c.text.lower() == found.lower()), None)


def _offered(row: Mapping) -> set[str]:
    """The objects among which a question about the closest one lets choose, whether or not its row lists them."""
    return set(row["objects"][1:]) if "objects" in row else {choice.text for choice in answer_choices(row)}


@dataclass(frozen=True)
class Quality:
    """Shares in per cent over many chains, each with how many it was taken over.

    Attributes:
        texts: completions looked at.
        read_percent: of them, how many state a place, a step or a conclusion.
        places_percent, off_m: stated places within PLACE_RIGHT_M, and their median distance from the truth.
        copied_percent: operands of steps that repeat the stated place.
        steps_percent: steps whose results follow from their operands.
        follows_percent: answers that are what the chain concludes, of chains that conclude something.
    """

    texts: int
    read_percent: float
    places: int
    places_percent: float
    off_m: float
    operands: int
    copied_percent: float
    steps: int
    steps_percent: float
    concluded: int
    follows_percent: float

    @property
    def shares(self) -> dict[str, float]:
        """What a table shows of it, by heading."""
        return {
            "places right, %": self.places_percent,
            "off, m": self.off_m,
            "values copied, %": self.copied_percent,
            "steps right, %": self.steps_percent,
            "answers follow, %": self.follows_percent,
        }


def chain_quality(rows: Iterable[Mapping], rooms: Mapping[str, Room]) -> Quality:
    """Check the chains of many predictions.

    Args:
        rows: with `prediction`, `question`, `question_type`, `options` and `scene_name`; `objects` if there are.
        rooms: by scene name.

    Returns:
        Shares; nan where nothing was stated that a share could be taken of.
    """
    found = [check_chain(row["prediction"], row, rooms[row["scene_name"]]) for row in rows]
    off = [metres for one in found for metres in one.off_m]
    copied = [same for one in found for same in one.copied]
    steps = [right for one in found for right in one.steps]
    follows = [one.follows for one in found if one.follows is not None]
    read = [bool(one.off_m or one.steps) or one.follows is not None for one in found]
    return Quality(
        len(found),
        _percent(read),
        len(off),
        _percent([metres <= PLACE_RIGHT_M for metres in off]),
        float(np.median(off)) if off else math.nan,
        len(copied),
        _percent(copied),
        len(steps),
        _percent(steps),
        len(follows),
        _percent(follows),
    )


def _percent(shown: list[bool]) -> float:
    return 100 * float(np.mean(shown)) if shown else math.nan
