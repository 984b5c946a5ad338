"""Multi-step questions: four types of the kit's own, which take several distances each, beside VSI-Bench's ten types.

`object_compare_distances`: which of two pairs is farther apart. `object_nearest_size`: how long the nearest of up to
four objects is, in centimetres. `object_walk_length`: how far it is past four objects, in metres.
`object_count_within`: how many of up to four objects are within a distance. They are asked where they are named
(`types=MULTI_STEP_TYPES`) and never by default, no table of VSI-Bench counts them, and `overall` leaves them out: they
have a mean of their own, `multi_step`.

Distances are between centres on the floor plan, and the wordings say so: places as the miniature's chains state them
then give the answer, and a walk from closest point to closest point would jump inside every object. So the two
phrasings have the same truths, and `labels` changes nothing. Rules, which hold for both rule sets:

- All objects occur once and are seen. Objects between which a question measures are at least `standing_room_m` (0.4 m)
  apart, as those of a direction.
- Two pairs are compared if their distances differ by `COMPARED_MARGINS` margins of relative distance (2 x 0.15 m; 2 x
  0.30 m in rooms above 40 m²), since both are uncertain.
- The nearest object is nearer than the second by one margin. The longest side of any other differs from its own by at
  least `SIZES_APART` (a fifth), so that another object's size is a wrong answer.
- A walk has four stops, each another object.
- A limit is a multiple of `LIMIT_STEP_M` (0.5 m). Every object is at least one margin off the limit, and at least one
  within it, since no metric scores a truth of 0; how many are within is drawn evenly from what the limits allow.
- `MOST_CANDIDATES` (4) objects are offered, `FEWEST_CANDIDATES` (3) where a room has no more.
- Every object comes first in at most one question of a type, with others drawn until the rules hold, `DRAWS` times at
  most.

Left out: chance levels and a check that no single glance answers them, which are measured, not made; and heights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from vsr_kit.questions.own_types import add_type
from vsr_kit.questions.types import MULTI_STEP_TYPES

COMPARED_MARGINS = 2
SIZES_APART = 0.2  # share of the nearest object's longest side
LIMIT_STEP_M = 0.5
MOST_CANDIDATES, FEWEST_CANDIDATES = 4, 3
DRAWS = 100

Plan = Mapping[str, tuple[float, float]]
Draft = tuple[dict, tuple[str, ...], str, list[str] | None]

_LIMIT = re.compile(r"\bwithin (\d+(?:\.\d+)?) meters\b")


def limit_m(question: str) -> float:
    """The limit that a question of `object_count_within` states, in metres.

    Raises:
        ValueError: it states none.
    """
    if (found := _LIMIT.search(question)) is None:
        raise ValueError(f"question {question!r} states no limit: it must say 'within … meters'")
    return float(found[1])


def answer_from(row: Mapping, plan: Plan, longest_m: Mapping[str, float] | None = None) -> str | None:
    """The answer to a multi-step row that follows from places and sizes, as the row would state it, rules aside.

    Args:
        row: with `question_type`, `question`, `options` and `objects`.
        plan: x and y of every object that it names, in metres, along any two axes at right angles.
        longest_m: the longest sides of the candidates, where their size is asked.

    Returns:
        A number, a letter or words; None where two objects or pairs are equally far.

    Raises:
        ValueError: for rows of another type.
    """
    kind, (first, *others) = row["question_type"], row["objects"]
    if kind == "object_compare_distances":
        pair = _farther(plan, (first, others[0]), (others[1], others[2]))
        return None if pair is None else _label(" and ".join(pair), row["options"])
    if kind == "object_nearest_size":
        order = _from_near(plan, first, others)
        tied = _far(plan, first, order[0]) == _far(plan, first, order[1])
        return None if tied or longest_m is None else _centimetres(longest_m[order[0]])
    if kind == "object_walk_length":
        return _metres(_walked(plan, row["objects"]))
    if kind == "object_count_within":
        limit = limit_m(row["question"])
        return str(sum(_far(plan, first, name) <= limit for name in others))
    raise ValueError(f"question_type {kind!r} has no several steps: choose one of {', '.join(MULTI_STEP_TYPES)}")


def _label(text: str, options: Iterable[str] | None) -> str:
    return next((option[0] for option in options or () if option[3:] == text), text)


def _far(plan: Plan, a: str, b: str) -> float:
    return math.dist(plan[a], plan[b])


def _farther(plan: Plan, one: tuple[str, str], other: tuple[str, str]) -> tuple[str, str] | None:
    difference = _far(plan, *one) - _far(plan, *other)
    return None if difference == 0 else one if difference > 0 else other


def _from_near(plan: Plan, target: str, names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: _far(plan, target, name))


def _walked(plan: Plan, stops: Iterable[str]) -> float:
    return sum(_far(plan, a, b) for a, b in pairwise(stops))


def _metres(length: float) -> str:
    return f"{length:.1f}"


def _centimetres(length: float) -> str:
    return str(round(100 * length))


def compare_distances(scene) -> Iterator[Draft]:
    """Draft which of two pairs is farther apart, each two pairs once."""
    margin, asked = COMPARED_MARGINS * scene.rules.margin_m(scene.room), set()
    for a in scene.names:
        for b, c, d in _draws(scene, a, 3):
            pairs = frozenset((frozenset((a, b)), frozenset((c, d))))
            one, other = _far(scene.plan, a, b), _far(scene.plan, c, d)
            if pairs in asked or min(one, other) < scene.rules.standing_room_m or abs(one - other) < margin:
                continue
            asked.add(pairs)
            far, near = ((a, b), (c, d)) if one > other else ((c, d), (a, b))
            yield {"a": a, "b": b, "c": c, "d": d}, (a, b, c, d), " and ".join(far), [" and ".join(near)]
            break


def nearest_size(scene) -> Iterator[Draft]:
    """Draft how long the nearest of a few objects is, for each target."""
    longest_m = {name: scene.room.boxes[i].longest_m for name, i in scene.index.items()}
    for target in scene.names:
        for picked in _candidates(scene, target):
            first, second, *_ = order = _from_near(scene.plan, target, picked)
            gap = _far(scene.plan, target, second) - _far(scene.plan, target, first)
            alike = min(abs(longest_m[name] / longest_m[first] - 1) for name in order[1:]) < SIZES_APART
            if gap >= scene.rules.margin_m(scene.room) and not alike:
                fields = {"category": target, "options": ", ".join(picked)}
                yield fields, (target, *picked), _centimetres(longest_m[first]), None
                break


def walk_length(scene) -> Iterator[Draft]:
    """Draft how far it is past four objects, each walk in one direction only."""
    asked = set()
    for a in scene.names:
        for others in _draws(scene, a, 3):
            stops = (a, *others)
            legs_m = [_far(scene.plan, *leg) for leg in pairwise(stops)]
            if min(legs_m) >= scene.rules.standing_room_m and stops[::-1] not in asked:
                asked.add(stops)
                yield dict(zip("abcd", stops, strict=True)), stops, _metres(sum(legs_m)), None
                break


def count_within(scene) -> Iterator[Draft]:
    """Draft how many of a few objects are within a limit, for each target."""
    for target in scene.names:
        for picked in _candidates(scene, target):
            far_m = sorted(_far(scene.plan, target, name) for name in picked)
            if limits := _limits(far_m, scene.rules.margin_m(scene.room)):
                counts = sorted(limits)
                count = counts[int(scene.rng.integers(len(counts)))]
                limit = limits[count][int(scene.rng.integers(len(limits[count])))]
                fields = {"category": target, "options": ", ".join(picked), "limit": f"{limit:.1f}"}
                yield fields, (target, *picked), str(count), None
                break


def _limits(far_m: list[float], margin_m: float) -> dict[int, list[float]]:
    """The limits that no distance is near to, by how many of the distances (ascending) are within, at least one."""
    found: dict[int, list[float]] = {}
    for step in range(1, math.ceil(far_m[-1] / LIMIT_STEP_M) + 2):
        limit = step * LIMIT_STEP_M
        count = sum(far <= limit for far in far_m)
        if count and min(abs(far - limit) for far in far_m) >= margin_m:
            found.setdefault(count, []).append(limit)
    return found


def _draws(scene, first: str, count: int, names: list[str] | None = None) -> Iterator[tuple[str, ...]]:
    """`count` of the names in random order, again and again; nothing where there are fewer."""
    others = [name for name in names or scene.names if name != first]
    for _ in range(DRAWS if len(others) >= count else 0):
        yield tuple(others[i] for i in scene.rng.permutation(len(others))[:count])


def _candidates(scene, target: str) -> Iterator[tuple[str, ...]]:
    """Draws of objects that may be offered beside a target."""
    far = [n for n in scene.names if n != target and _far(scene.plan, target, n) >= scene.rules.standing_room_m]
    if len(far) >= FEWEST_CANDIDATES:
        yield from _draws(scene, target, min(MOST_CANDIDATES, len(far)), far)


_MEASURED = "Measuring on the floor plan from center to center, "
_PLAN = "on the floor plan, center to center"

add_type(
    "object_compare_distances",
    f"{_MEASURED}which two objects are farther apart: the {{a}} and the {{b}}, or the {{c}} and the {{d}}?",
    compare_distances,
    words=f"Which two objects are farther apart {_PLAN} ({{a}} and {{b}}, {{c}} and {{d}})?",
    choice=True,
)
add_type(
    "object_nearest_size",
    f"{_MEASURED}take the one of these objects ({{options}}) that is the closest to the {{category}}. What is the "
    "length of its longest dimension (length, width, or height), measured in centimeters?",
    nearest_size,
    words=f"Of these objects ({{options}}) take the closest to the {{category}} {_PLAN}. What is the length of its "
    "longest dimension (length, width, or height), measured in centimeters?",
    unit=("length", 0.01),
)
add_type(
    "object_walk_length",
    f"{_MEASURED}how long is the walk in straight lines from the {{a}} to the {{b}}, then to the {{c}}, and then to "
    "the {d} (in meters)?",
    walk_length,
    words=f"How long is the walk in straight lines {_PLAN}, from the {{a}} to the {{b}} to the {{c}} to the {{d}} "
    "(in meters)?",
    unit=("length", 1.0),
)
add_type(
    "object_count_within",
    f"{_MEASURED}how many of these objects ({{options}}) are within {{limit}} meters of the {{category}}?",
    count_within,
    words=f"How many of these objects ({{options}}) are within {{limit}} meters of the {{category}} {_PLAN}?",
)
