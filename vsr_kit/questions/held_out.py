"""The two tasks that vsGRPO did not train: appearance order, from rendered pixels, and route planning, from geometry.

VSI-Bench's routes were written by people; here a route goes straight from object to object, and its turns follow from
the objects' centres. As in the benchmark, a route begins either with a turn or with a walk to the object that the robot
faces.
Left out: obstacles on the way, routes of more than two turns, and stops that are no object ("until the wall").
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise, permutations, product

from vsr_kit.videos import first_appearance

TURNS = ("Turn Back", "Turn Left", "Turn Right")
LEAST_TURN_DEG = 40.0  # anything flatter is no turn at all
SIDE_DEG = 120.0  # up to here a turn is to the left or the right
BACK_DEG = 150.0  # from here on it is a turn back; between the two it is not asked
STEP_M = 0.4  # least way between two objects of a route, centre to centre in plan
MOST_ORDERS = 4  # of one room
_DRAWS = 4  # of each kind of route


def appearance_order(scene) -> Iterator[tuple]:
    """Draft questions over four categories that first appear in four different frames."""
    firsts: dict[str, int] = {}
    for i, box in enumerate(scene.room.boxes):
        first = first_appearance(scene.clip, i)
        if first is not None:
            firsts[box.category] = min(first, firsts.get(box.category, first))
    by_frame: dict[int, list[str]] = {}
    for category, first in sorted(firsts.items()):
        by_frame.setdefault(first, []).append(category)
    seen: set[tuple[str, ...]] = set()
    for _ in range(MOST_ORDERS if len(by_frame) >= 4 else 0):
        frames = sorted(scene.rng.choice(sorted(by_frame), 4, replace=False).tolist())
        order = tuple(by_frame[f][int(scene.rng.integers(len(by_frame[f])))] for f in frames)
        if order not in seen:
            seen.add(order)
            yield _order_draft(scene.rng, order)


def _order_draft(rng, order: tuple[str, ...]) -> tuple:
    asked = tuple(order[i] for i in rng.permutation(4))
    others = [", ".join(p) for p in permutations(order) if p != order]
    wrong = [others[i] for i in rng.choice(len(others), 3, replace=False)]
    return "obj_appearance_order", {"options": ", ".join(asked)}, asked, ", ".join(order), wrong


def route_planning(scene) -> Iterator[tuple]:
    """Draft routes of one and of two turns, beginning with a turn or with a walk, a few of each."""
    seen: set[tuple] = set()
    for turns, walk_first in product((1, 2), (False, True)):
        if len(scene.names) < turns + 2:
            continue
        for _ in range(_DRAWS):
            picked = scene.rng.permutation(len(scene.names))[: turns + 2]
            start, facing, *rest = (scene.names[i] for i in picked)
            stops = [facing, *rest] if walk_first else rest
            answer = route_turns(scene.plan, start, facing, stops)
            if answer is not None and (start, facing, *stops) not in seen:
                seen.add((start, facing, *stops))
                yield _route_draft(scene.rng, start, facing, stops, answer)


def route_turns(plan: dict, start: str, facing: str, stops: list[str]) -> list[str] | None:
    """The turns of a robot that begins at `start` facing `facing` and goes to each stop in turn.

    Args:
        plan: x and y of every object, in metres.
        start, facing, stops: objects; where the first stop is `facing`, the robot walks there without a turn.

    Returns:
        One of `TURNS` for each turn; None where one is neither clearly to a side nor clearly back.
    """
    if any(math.dist(plan[a], plan[b]) < STEP_M for a, b in pairwise((facing, start, *stops))):
        return None
    turns, here, ahead = [], start, facing
    heading = _bearing_deg(plan[start], plan[facing])
    for stop in stops:
        bearing = _bearing_deg(plan[here], plan[stop])
        if stop != ahead:
            turn = _name_turn((bearing - heading + 180) % 360 - 180)
            if turn is None:
                return None
            turns.append(turn)
        here, heading, ahead = stop, bearing, None
    return turns


def _bearing_deg(here, there) -> float:
    return math.degrees(math.atan2(there[1] - here[1], there[0] - here[0]))


def _name_turn(turn_deg: float) -> str | None:
    if abs(turn_deg) >= BACK_DEG:
        return "Turn Back"
    if not LEAST_TURN_DEG <= abs(turn_deg) <= SIDE_DEG:
        return None
    return "Turn Left" if turn_deg > 0 else "Turn Right"


def _route_draft(rng, start: str, facing: str, stops: list[str], turns: list[str]) -> tuple:
    """Write the route as VSI-Bench does, and draw up to three wrong sequences of turns."""
    steps = []
    for stop in stops:
        steps += ([] if stop == facing else ["[please fill in]"]) + [f"Go forward until the {stop}"]
    actions = " ".join(f"{i}. {step}" for i, step in enumerate(steps, 1)) + "."
    sequences = [", ".join(s) for s in product(TURNS, repeat=len(turns)) if list(s) != turns]
    wrong = [sequences[i] for i in rng.permutation(len(sequences))[:3]]
    fields = {"a": start, "b": facing, "c": stops[-1], "actions": actions}
    objects = tuple(dict.fromkeys((start, facing, *stops)))
    return "route_planning", fields, objects, ", ".join(turns), wrong
