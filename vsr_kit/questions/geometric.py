"""Questions that geometry alone answers: ground truths computed from a room, and rules that drop ambiguous ones.

The rule set (types.py) gives the numbers: which distances are too small to ask, which are too similar to compare, which
directions lie too near a border. Three rules hold in every set. An object is asked about by name only if its category
occurs once, both by its count and by its boxes. A count is the stated one, and a count of one is not asked. Where a
clip is given, everything a question names must be visible in it; a category that occurs several times counts as visible
only if as many instances are visible as its count says.

Relative distance offers four options. By the benchmark's rules an option is a category, as far away as its nearest
instance, and any four that can be told apart may be drawn. By the study's rules an option is an object that occurs
once, and four are drawn without looking: if they are too close to tell apart, there is no question.

`truth_in` gives the truth of the same question in a changed room, or None if it has none there.

Left out: questions that need a clip or a route (held_out.py), options drawn to be hard, and balancing the right answer
over categories.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import combinations, permutations

import numpy as np

from vsr_kit.questions.types import (
    BESIDE_TYPES,
    DIRECTION_TYPES,
    HELD_OUT_TYPES,
    LABELS,
    PHRASINGS,
    PICTURE_TYPES,
    QUESTION_TYPES,
    STUDY_RULES,
    VSI_100K,
    VSI_BENCH,
    Question,
    Rules,
    get_rules,
)
from vsr_kit.rooms import Box, Room, box_distance, pairwise_distances
from vsr_kit.videos import Clip, visible_objects

_DRAWS = 100  # of four options, before those that the nearest ones allow are taken


def ranked(scene, distances: Mapping[str, float], names: list[str]) -> list[str] | None:
    """The names from near to far; None where two of them are about as far, or the nearest is too near."""
    order = sorted(names, key=distances.__getitem__)
    gaps = np.diff([distances[name] for name in order])
    too_near = distances[order[0]] < scene.rules.least_nearest_m
    return None if too_near or gaps.min() < scene.rules.margin_m(scene.room) else order


def relative_distance(scene) -> Iterator[tuple]:
    """Draft at most one question about each object that occurs once: which of four is closest to it?"""
    for target in scene.names:
        distances = scene.options(target)
        draw = _valid_four if scene.rules.nearest_instance else _any_four
        picked = draw(scene, distances)
        order = None if picked is None else ranked(scene, distances, picked)
        if picked is not None and order is not None:
            fields = {"category": target, "options": ", ".join(picked)}
            yield "object_rel_distance", fields, (target, *picked), order[0], order[1:]


def _any_four(scene, distances: Mapping[str, float]) -> list[str] | None:
    """Draw four options, once: where they are too close to tell apart, there is no question."""
    others = list(distances)
    return [others[i] for i in scene.rng.permutation(len(others))[:4]] if len(others) >= 4 else None


def _valid_four(scene, distances: Mapping[str, float]) -> list[str] | None:
    """Draw four options that can be told apart; None where no four can."""
    far = {name: distance for name, distance in distances.items() if distance >= scene.rules.least_nearest_m}
    apart: list[str] = []
    for name in sorted(far, key=far.__getitem__):  # from the nearest on, each as soon as it is far enough from the last
        if not apart or far[name] - far[apart[-1]] >= scene.rules.margin_m(scene.room):
            apart.append(name)
    if len(apart) < 4:
        return None
    for _ in range(_DRAWS):
        picked = _any_four(scene, far)
        if ranked(scene, far, picked) is not None:
            return picked
    return [apart[i] for i in scene.rng.permutation(4)]


_OWN_LABELS = {"vsi-bench": "closest", "vsi-100k": "centre"}

# A draft is (question_type, template fields, objects, answer, wrong answers or None).
Draft = tuple[str, dict, tuple[str, ...], str, list[str] | None]


def make_questions(
    room: Room,
    phrasing: str = "vsi-bench",
    seed: int = 0,
    types: tuple[str, ...] | None = None,
    clip: Clip | None = None,
    max_per_type: int | None = None,
    seen: Collection[int] | None = None,
    labels: str | None = None,
    rules: Rules | str | None = None,
) -> list[Question]:
    """Ask everything that can be asked of a room.

    Args:
        room: the room.
        phrasing: `vsi-bench` or `vsi-100k`; the latter has six of VSI-Bench's types only.
        seed: fixes the drawn options, their order, and the subset `max_per_type` keeps.
        types: the types to ask, in order; by default all of the phrasing's but `BESIDE_TYPES`. Appearance order
            needs `clip`.
        clip: leave out what this clip does not show.
        max_per_type: keep at most so many of each type, drawn at random.
        seen: indices of the boxes that may be asked about, where they are known without a clip.
        labels: what the two distance types measure, `closest` (points) or `centre` (to centre), whatever the words
            say; None is the phrasing's own, `closest` for vsi-bench and `centre` for vsi-100k. Other labels than its
            own change truths, never draws: the same questions come with the same ids and options, less those that are
            ambiguous by the other labels as well (touching pairs, close calls). None is added, so a pair too close for
            VSI-Bench's words is not asked with centre labels either.
        rules: a rule set or its name, `benchmark` or `study`; None takes the study's for procedural rooms and the
            benchmark's for all others (`rules_for`).

    Raises:
        ValueError: for an unknown phrasing, question type, choice of labels or rule set.
    """
    if phrasing not in PHRASINGS:
        raise ValueError(f"unknown phrasing {phrasing!r}: choose one of {', '.join(PHRASINGS)}")
    if labels is not None and labels not in LABELS:
        raise ValueError(
            f"unknown labels {labels!r}: choose one of {', '.join(LABELS)}, or None for the phrasing's own"
        )
    templates = VSI_BENCH if phrasing == "vsi-bench" else VSI_100K
    for name in types or ():
        if name not in QUESTION_TYPES:
            raise ValueError(f"unknown question_type {name!r}: choose one of {', '.join(QUESTION_TYPES)}")
        if name in PICTURE_TYPES:
            raise ValueError(f"question_type {name!r} is asked about no room: read a file by data.read_picture_rows")
    rng = np.random.default_rng([seed, *room.name.encode()])
    if seen is None and clip is not None:
        seen = visible_objects(clip)
    rules = get_rules(rules, room.dataset)
    scene = _Scene(room, phrasing, clip, rng, seen, rules)
    questions = []
    for name in types or [name for name in templates if name not in BESIDE_TYPES]:
        if name not in templates or (name == "obj_appearance_order" and clip is None):
            continue
        drafts = list(ASK[name](scene))
        if max_per_type is not None and len(drafts) > max_per_type:
            drafts = [drafts[i] for i in sorted(rng.choice(len(drafts), max_per_type, replace=False))]
        questions += [_finish(scene, draft, templates, i) for i, draft in enumerate(drafts)]
    if labels in (None, scene.labels):
        return questions
    other = _Scene(room, phrasing, clip, rng, seen, rules, labels)
    return [kept for question in questions if (kept := _relabelled(other, question)) is not None]


class _Scene:
    """A room as the rules need it: what may be named, where it is, how far apart."""

    def __init__(
        self,
        room: Room,
        phrasing: str,
        clip: Clip | None,
        rng: np.random.Generator,
        seen: Collection[int] | None,
        rules: Rules,
        labels: str | None = None,
    ) -> None:
        self.room, self.phrasing, self.clip, self.rng, self.rules = room, phrasing, clip, rng, rules
        if phrasing == "vsi-100k":  # the paper's questions are the same by every set
            tolerance = rules.room_size_tolerance
            self.rules = replace(STUDY_RULES, name=rules.name, room_size_tolerance=tolerance)
        unsure = {name for name, count in room.counts.items() if count != room.drawn_counts.get(name, 0)}
        within = set(range(len(room.boxes)) if seen is None else seen)
        unseen = {box.category for i, box in enumerate(room.boxes) if i not in within}
        self.whole = {box.category for box in room.boxes} - unseen - unsure  # every instance has a box that is seen
        self.countable = self.whole if seen is not None else set(room.counts)  # unseen, a count is taken as stated
        self.index = {b.category: i for i, b in enumerate(room.boxes) if b.category in room.unique and i in within}
        self.names = sorted(self.index)
        self.labels = labels or _OWN_LABELS[phrasing]

    @cached_property
    def distances_m(self) -> np.ndarray:
        return pairwise_distances(self.room.boxes, closest_points=self.labels == "closest")

    def distance(self, a: str, b: str) -> float:
        return float(self.distances_m[self.index[a], self.index[b]])

    def options(self, target: str) -> dict[str, float]:
        """What may be offered as nearest to the target, and how far it is: of several instances the nearest counts."""
        if not self.rules.nearest_instance:
            return {name: self.distance(target, name) for name in self.names if name != target}
        found: dict[str, float] = {}
        for box, distance in zip(self.room.boxes, self.distances_m[self.index[target]].tolist(), strict=True):
            if box.category in self.whole and box.category != target:
                found[box.category] = min(distance, found.get(box.category, math.inf))
        return dict(sorted(found.items()))

    @cached_property
    def plan(self) -> dict[str, tuple[float, float]]:
        return {name: self.room.boxes[i].center[:2] for name, i in self.index.items()}

    def turn_deg(self, a: str, b: str, c: str) -> float | None:
        """Counter-clockwise turn from facing `b` to facing `c`, standing at `a`; None where two of them coincide."""
        (ax, ay), (bx, by), (cx, cy) = self.plan[a], self.plan[b], self.plan[c]
        ux, uy, wx, wy = bx - ax, by - ay, cx - ax, cy - ay
        nearest = min(math.hypot(ux, uy), math.hypot(wx, wy), math.hypot(cx - bx, cy - by))
        if nearest < self.rules.standing_room_m:
            return None
        return math.degrees(math.atan2(ux * wy - uy * wx, ux * wx + uy * wy))


def _finish(scene: _Scene, draft: Draft, templates: dict[str, str], number: int) -> Question:
    """Turn a draft into a question: letter the options where the phrasing has them."""
    kind, fields, objects, answer, wrong = draft
    options = None
    if wrong is not None and scene.phrasing == "vsi-bench":
        texts = [answer, *wrong]
        order = scene.rng.permutation(len(texts))
        options = tuple(f"{'ABCD'[place]}. {texts[i]}" for place, i in enumerate(order))
        answer = "ABCD"[int(np.flatnonzero(order == 0)[0])]
    name = scene.room.name
    text = templates[kind].format(**fields)
    ident = f"{name}/{scene.phrasing}/{kind}/{number}"
    rules = scene.rules.name
    return Question(ident, scene.room.dataset, name, kind, text, options, answer, scene.phrasing, objects, rules)


def _relabelled(scene: _Scene, question: Question) -> Question | None:
    """The same question with the truth of the scene's labels; None where these make it ambiguous."""
    if question.question_type == "object_abs_distance":
        distance = scene.distance(*question.objects)
        near = distance < scene.rules.least_distance_m
        return None if near else replace(question, ground_truth=_metres(distance))
    if question.question_type != "object_rel_distance":
        return question
    target, *picked = question.objects
    ranking = ranked(scene, scene.options(target), picked)
    if ranking is None:
        return None
    letters = [option[0] for option in question.options or () if option[3:] == ranking[0]]
    return replace(question, ground_truth=letters[0] if letters else ranking[0])


def _metres(distance: float) -> str:
    return f"{distance:.1f}"


def _counting(scene: _Scene) -> Iterator[Draft]:
    for category, count in sorted(scene.room.counts.items()):
        if count >= 2 and category in scene.countable:
            yield "object_counting", {"category": category}, (category,), str(count), None


def _abs_distance(scene: _Scene) -> Iterator[Draft]:
    for a, b in combinations(scene.names, 2):
        distance = scene.distance(a, b)
        if distance >= scene.rules.least_distance_m:
            if scene.rng.random() < 0.5:
                a, b = b, a
            yield "object_abs_distance", {"a": a, "b": b}, (a, b), _metres(distance), None


def _object_size(scene: _Scene) -> Iterator[Draft]:
    for name in scene.names:
        answer = str(round(100 * scene.room.boxes[scene.index[name]].longest_m))
        yield "object_size_estimation", {"category": name}, (name,), answer, None


def _room_size(scene: _Scene) -> Iterator[Draft]:
    if scene.rules.shows_its_size(scene.room):
        yield "room_size_estimation", {}, (), f"{scene.room.floor_area_m2:.1f}", None


def _direction(kind: str, sides: tuple[str, ...], borders_deg: tuple[float, ...]):
    """Ask a level of relative direction of every ordered triple: where I stand, what I face, what is asked about."""

    def ask(scene: _Scene) -> Iterator[Draft]:
        for a, b, c in permutations(scene.names, 3):
            turn = scene.turn_deg(a, b, c)
            if turn is None or min(abs(abs(turn) - border) for border in borders_deg) < scene.rules.border_deg:
                continue
            answer = side_of(kind, turn)
            wrong = [side for side in sides if side != answer]
            yield kind, {"a": a, "b": b, "c": c}, (a, b, c), answer, wrong

    return ask


def side_of(kind: str, turn_deg: float) -> str:
    """The answer to a direction question for a counter-clockwise turn of `turn_deg`, -180 to 180."""
    side = "left" if turn_deg > 0 else "right"
    if kind == "object_rel_direction_easy":
        return side
    if kind == "object_rel_direction_medium":
        return "back" if abs(turn_deg) >= 135 else side
    return f"{'front' if abs(turn_deg) < 90 else 'back'}-{side}"


_QUADRANTS = ("front-left", "front-right", "back-left", "back-right")


def _ask_held_out(name: str):
    def ask(scene: _Scene) -> Iterator[Draft]:
        from vsr_kit.questions import held_out

        return getattr(held_out, name)(scene)

    return ask


ASK = {
    "object_counting": _counting,
    "object_abs_distance": _abs_distance,
    "object_size_estimation": _object_size,
    "room_size_estimation": _room_size,
    "object_rel_distance": relative_distance,
    "object_rel_direction_easy": _direction("object_rel_direction_easy", ("left", "right"), (0.0, 180.0)),
    "object_rel_direction_medium": _direction("object_rel_direction_medium", ("left", "right", "back"), (0.0, 135.0)),
    "object_rel_direction_hard": _direction("object_rel_direction_hard", _QUADRANTS, (0.0, 90.0, 180.0)),
    "route_planning": _ask_held_out("route_planning"),
    "obj_appearance_order": _ask_held_out("appearance_order"),
}


_KEPT = ("object_counting", *DIRECTION_TYPES, *HELD_OUT_TYPES)


def truth_in(row: Mapping, room: Room) -> str | None:
    """The ground truth of a VSI-Bench row about `room`, whose categories must be called as in the row's `objects`.

    Sizes, distances and the area are measured again; of several instances the nearest counts. Counts and directions are
    kept: no change of `vsr_kit.rooms.generator` touches a count, and none moves an object sideways against another.

    Returns:
        The truth as the row would state it; None where the question has no clear answer any more by its rules: a pair
        that is too near, nearest options that are about as far.

    Raises:
        ValueError: for a type whose truth is not measured again here.
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
    if kind in _KEPT:
        return row["ground_truth"]
    if kind != "object_rel_distance":
        raise ValueError(f"question_type {kind!r} has no rule for changed rooms: leave its rows out")
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
