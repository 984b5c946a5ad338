"""From a room to its questions: ground truths from geometry, and the rules that drop what is ambiguous.

Rules taken from the benchmark: an object is asked about by name only if its category occurs once; a count of one is
not asked; distances within 15 cm of each other (30 cm in rooms above 40 m²) are not compared; directions near a class
border are dropped. Rules of ours, where it is silent: touching pairs have no distance question; options must differ
from each other by the same margin; where a clip is given, everything a question names must be seen in it, and a count
is asked only if every instance is.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import combinations, permutations

import numpy as np

from vsr_kit.questions.records import LABELS, PHRASINGS, QUESTION_TYPES, Question
from vsr_kit.questions.templates import VSI_100K, VSI_BENCH
from vsr_kit.rooms import Room, pairwise_distances
from vsr_kit.videos import Clip, visible_objects

TOUCHING_M = 0.1
CLOSE_CALL_M = 0.15
CLOSE_CALL_LARGE_ROOM_M = 0.30
LARGE_ROOM_M2 = 40.0
BORDER_DEG = 12.0
STANDING_ROOM_M = 0.4  # least plan distance between two objects of a direction question
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
) -> list[Question]:
    """Ask everything that can be asked of a room.

    Args:
        room: the room.
        phrasing: `vsi-bench` or `vsi-100k`; the latter has six types only.
        seed: fixes the drawn options, their order, and the subset `max_per_type` keeps.
        types: the types to ask, in order; all of the phrasing's by default. Appearance order needs `clip`.
        clip: leave out what this clip does not show.
        max_per_type: keep at most so many of each type, drawn at random.
        seen: indices of the boxes that may be asked about, where they are known without a clip.
        labels: what the two distance types measure, `closest` (points) or `centre` (to centre), whatever the words
            say; None is the phrasing's own, `closest` for vsi-bench and `centre` for vsi-100k. Other labels than its
            own change truths, never draws: the same questions come with the same ids and options, less those that are
            ambiguous by the other labels as well (touching pairs, close calls). None is added, so a pair too close for
            VSI-Bench's words is not asked with centre labels either.

    Raises:
        ValueError: for an unknown phrasing, question type or choice of labels.
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
            raise ValueError(f"unknown question_type {name!r}: VSI-Bench has {', '.join(QUESTION_TYPES)}")
    rng = np.random.default_rng([seed, *room.name.encode()])
    if seen is None:
        seen = range(len(room.boxes)) if clip is None else visible_objects(clip)
    scene = _Scene(room, phrasing, clip, rng, set(seen))
    questions = []
    for name in types or templates:
        if name not in templates or (name == "obj_appearance_order" and clip is None):
            continue
        drafts = list(_ASK[name](scene))
        if max_per_type is not None and len(drafts) > max_per_type:
            drafts = [drafts[i] for i in sorted(rng.choice(len(drafts), max_per_type, replace=False))]
        questions += [_finish(scene, draft, templates, i) for i, draft in enumerate(drafts)]
    if labels in (None, scene.labels):
        return questions
    other = _Scene(room, phrasing, clip, rng, set(seen), labels)
    return [kept for question in questions if (kept := _relabelled(other, question)) is not None]


class _Scene:
    """A room as the rules need it: what may be named, where it is, how far apart."""

    def __init__(
        self,
        room: Room,
        phrasing: str,
        clip: Clip | None,
        rng: np.random.Generator,
        seen: set[int],
        labels: str | None = None,
    ) -> None:
        self.room, self.phrasing, self.clip, self.rng = room, phrasing, clip, rng
        self.hidden = {box.category for i, box in enumerate(room.boxes) if i not in seen}
        self.index = {b.category: i for i, b in enumerate(room.boxes) if room.counts[b.category] == 1 and i in seen}
        self.names = sorted(self.index)
        self.margin_m = CLOSE_CALL_LARGE_ROOM_M if room.floor_area_m2 > LARGE_ROOM_M2 else CLOSE_CALL_M
        self.labels = labels or _OWN_LABELS[phrasing]

    @cached_property
    def distances_m(self) -> np.ndarray:
        return pairwise_distances(self.room.boxes, closest_points=self.labels == "closest")

    def distance(self, a: str, b: str) -> float:
        return float(self.distances_m[self.index[a], self.index[b]])

    @cached_property
    def plan(self) -> dict[str, tuple[float, float]]:
        return {name: self.room.boxes[i].center[:2] for name, i in self.index.items()}

    def turn_deg(self, a: str, b: str, c: str) -> float | None:
        """Counter-clockwise turn from facing `b` to facing `c`, standing at `a`; None where two of them coincide."""
        (ax, ay), (bx, by), (cx, cy) = self.plan[a], self.plan[b], self.plan[c]
        ux, uy, wx, wy = bx - ax, by - ay, cx - ax, cy - ay
        if min(math.hypot(ux, uy), math.hypot(wx, wy), math.hypot(cx - bx, cy - by)) < STANDING_ROOM_M:
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
    return Question(ident, scene.room.dataset, name, kind, text, options, answer, scene.phrasing, objects)


def _relabelled(scene: _Scene, question: Question) -> Question | None:
    """The same question with the truth of the scene's labels; None where these make it ambiguous."""
    if question.question_type == "object_abs_distance":
        distance = scene.distance(*question.objects)
        return replace(question, ground_truth=_metres(distance)) if distance >= TOUCHING_M else None
    if question.question_type != "object_rel_distance":
        return question
    target, *picked = question.objects
    ranked = _ranked(scene, target, picked)
    if ranked is None:
        return None
    letters = [option[0] for option in question.options or () if option[3:] == ranked[0]]
    return replace(question, ground_truth=letters[0] if letters else ranked[0])


def _metres(distance: float) -> str:
    return f"{distance:.1f}"


def _ranked(scene: _Scene, target: str, names: list[str]) -> list[str] | None:
    """The names from near to far; None where two of them are about as far."""
    ranked = sorted(names, key=lambda name: scene.distance(target, name))
    gaps = np.diff([scene.distance(target, name) for name in ranked])
    return None if gaps.min() < scene.margin_m else ranked


def _counting(scene: _Scene) -> Iterator[Draft]:
    for category, count in sorted(scene.room.counts.items()):
        if count >= 2 and category not in scene.hidden:
            yield "object_counting", {"category": category}, (category,), str(count), None


def _abs_distance(scene: _Scene) -> Iterator[Draft]:
    for a, b in combinations(scene.names, 2):
        distance = scene.distance(a, b)
        if distance >= TOUCHING_M:
            if scene.rng.random() < 0.5:
                a, b = b, a
            yield "object_abs_distance", {"a": a, "b": b}, (a, b), _metres(distance), None


def _object_size(scene: _Scene) -> Iterator[Draft]:
    for name in scene.names:
        answer = str(round(100 * scene.room.boxes[scene.index[name]].longest_m))
        yield "object_size_estimation", {"category": name}, (name,), answer, None


def _room_size(scene: _Scene) -> Iterator[Draft]:
    yield "room_size_estimation", {}, (), f"{scene.room.floor_area_m2:.1f}", None


def _rel_distance(scene: _Scene) -> Iterator[Draft]:
    for target in scene.names:
        others = [name for name in scene.names if name != target]
        if len(others) < 4:
            continue
        picked = [others[i] for i in scene.rng.permutation(len(others))[:4]]
        ranked = _ranked(scene, target, picked)
        if ranked is None:
            continue
        fields = {"category": target, "options": ", ".join(picked)}
        yield "object_rel_distance", fields, (target, *picked), ranked[0], ranked[1:]


def _direction(kind: str, sides: tuple[str, ...], borders_deg: tuple[float, ...]):
    """Ask a level of relative direction of every ordered triple: where I stand, what I face, what is asked about."""

    def ask(scene: _Scene) -> Iterator[Draft]:
        for a, b, c in permutations(scene.names, 3):
            turn = scene.turn_deg(a, b, c)
            if turn is None or min(abs(abs(turn) - border) for border in borders_deg) < BORDER_DEG:
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


_ASK = {
    "object_counting": _counting,
    "object_abs_distance": _abs_distance,
    "object_size_estimation": _object_size,
    "room_size_estimation": _room_size,
    "object_rel_distance": _rel_distance,
    "object_rel_direction_easy": _direction("object_rel_direction_easy", ("left", "right"), (0.0, 180.0)),
    "object_rel_direction_medium": _direction("object_rel_direction_medium", ("left", "right", "back"), (0.0, 135.0)),
    "object_rel_direction_hard": _direction("object_rel_direction_hard", _QUADRANTS, (0.0, 90.0, 180.0)),
    "route_planning": _ask_held_out("route_planning"),
    "obj_appearance_order": _ask_held_out("appearance_order"),
}
