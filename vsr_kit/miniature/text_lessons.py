"""Lessons without a clip: places of random objects are given, and everything that follows from them is to be said.

The miniature saw no text but its own lessons, and nothing there ever asked it to look a value up in what was said, or
to calculate. Here it does both, in the very form in which chains will be written: *recall* says given places again in
another order, *steps* says steps between them, and *question* answers a spatial question from them. Numbers are drawn
afresh each time, so none can be known by heart. Names are those of rooms, of a longer list, or made up on the spot, so
that looking up is learnt for names and not for some words. HELD_OUT_NAMES stay out of training, for the test.
Left out: sizes, counts and the room's own size, which are read off the clip and need no calculation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vsr_kit.bridging.chains import bearing_of, difference, distance_of, place_text, rounded, step_text
from vsr_kit.bridging.description import Described, Description
from vsr_kit.bridging.reasoner import CHECK, Style, reason
from vsr_kit.miniature.lessons import Lesson
from vsr_kit.prompts import target_completion, user_text
from vsr_kit.questions.geometric import side_of
from vsr_kit.questions.types import DIRECTION_TYPES, VSI_100K, VSI_BENCH
from vsr_kit.rooms import CATEGORIES

OTHER_NAMES = tuple(
    "pillow, window, door, book, box, basket, rug, curtain, clock, vase, monitor, keyboard, fan, heater, bench, "
    "ottoman, crib, guitar, kettle, microwave, oven, sink, towel, coffee table, trash can, printer, speaker, bicycle, "
    "ladder, picture, blanket, bottle, bucket, candle, cushion, drawer, easel, fish tank, game table, hamper, iron, "
    "jar, kitchen island, laptop, mat, night stand, office chair, paper bag, quilt, rack, shoe, tray, umbrella, "
    "whiteboard, yoga mat".split(", ")
)
HELD_OUT_NAMES = tuple("wardrobe, toaster, globe, side table, helmet, drum, puppet, mug, aquarium, jacket".split(", "))
_ROOM_WORDS, _MADE_UP = 0.5, 0.25  # shares of lessons that name nothing but what rooms have, or what nothing is called
_SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
_ONSETS = (
    "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr qu r s sc sh sk sl sm sn sp st str sw t th tr v w"
)
_ONSETS_OR_NONE = [*_ONSETS.split(), "wh", "y", "z", "", "", ""]
_VOWELS = "a e i o u ai ea ee oa oo ou".split()
_CODAS = "b ck d f g k l ll m n nd ng nk nt p r rd rm rn rt s sh sk ss st t tch th x".split()
_RECALLS, _SUMS, _STEPS = 6, 8, 3
_EXTENT_M = (1.0, 5.0)  # places lie in a square, whose half side is drawn
_TURN_MARGIN_DEG = 12
KINDS = ("recall", "sums", "steps", "question")


def text_lesson(
    kind: str,
    rng: np.random.Generator,
    names: Sequence[str] | None = None,
    style: Style | None = None,
    wide: bool = False,
) -> Lesson:
    """Draw a lesson.

    Args:
        kind: one of KINDS.
        rng: draws everything.
        names: to choose objects from; those of training by default.
        style: of the chains of *question*; terse by default.
        wide: in half of the lessons names are made of all kinds of syllables, so that hardly any token of a name
            is one that was never said again; half of these lessons have names that all end alike, as `helmet` and
            `jacket` do, so that the last token does not tell which is meant.
    """
    if names is None and wide and rng.random() < 0.5:
        ending = _syllable(rng) if rng.random() < 0.5 else ""
        names = sorted({_made_up_wide(rng) + ending for _ in range(12)} - {*HELD_OUT_NAMES})
    if names is None:
        drawn = rng.random()
        names = CATEGORIES if drawn < _ROOM_WORDS else (*CATEGORIES, *OTHER_NAMES)
        names = sorted({_made_up(rng) for _ in range(12)}) if drawn > 1 - _MADE_UP else names
    return {"recall": _recall, "sums": _sums, "steps": _steps, "question": _question}[kind](rng, names, style)


def _made_up(rng: np.random.Generator) -> str:
    """A name such as `kadilo` or `mu tirem`, of one or two words."""
    lengths = [int(rng.integers(1, 4)) for _ in range(int(rng.integers(1, 3)))]
    return " ".join("".join(_SYLLABLES[i] for i in rng.integers(len(_SYLLABLES), size=n)) for n in lengths)


def _made_up_wide(rng: np.random.Generator) -> str:
    """A name such as `strend` or `boatch quimmer`, of one or two words."""
    return " ".join("".join(_syllable(rng) for _ in range(rng.integers(1, 4))) for _ in range(rng.integers(1, 3)))


def _syllable(rng: np.random.Generator) -> str:
    coda = "" if rng.random() < 0.4 else _CODAS[rng.integers(len(_CODAS))]
    return _ONSETS_OR_NONE[rng.integers(len(_ONSETS_OR_NONE))] + _VOWELS[rng.integers(len(_VOWELS))] + coda


def _places(rng: np.random.Generator, names: Sequence[str], count: int) -> dict[str, tuple[float, float]]:
    chosen = rng.choice(len(names), count, replace=False)
    extent = rng.uniform(*_EXTENT_M)
    return {names[i]: rounded(*rng.uniform(-extent, extent, 2).tolist()) for i in chosen}


def _given(places) -> str:
    return " ".join(f"{place_text(name, place)}." for name, place in places.items())


def _where(places) -> str:
    return "Where is each " + ", ".join(places) + "?"


def _recall(rng, names, style) -> Lesson:
    places = _places(rng, names, int(rng.integers(2, 6)))
    order = [list(places)[i] for i in rng.permutation(2 * len(places))[:_RECALLS] % len(places)]
    said = " ".join(f"{place_text(name, places[name])}." for name in order)
    return Lesson(_where(places), f" {said}", _given(places))


def _sums(rng, names, style) -> Lesson:
    said = []
    for _ in range(_SUMS):
        places = _places(rng, names, 2)
        distance, degrees = ((True, False), (False, True), (True, True))[int(rng.integers(3))]
        a, b = places
        step = step_text(a, b, places, distance=distance, degrees=degrees)
        said.append(step.partition(": ")[2] + ".")
    return Lesson("How far?", " ".join(said), results_only=True)


def _steps(rng, names, style) -> Lesson:
    places = _places(rng, names, int(rng.integers(2, 5)))
    chosen = list(places)
    said: list[str] = []
    for _ in range(_STEPS):
        a, b = (chosen[i] for i in rng.choice(len(chosen), 2, replace=False))
        distance, degrees = ((True, False), (False, True), (True, True))[int(rng.integers(3))]
        again = CHECK if rng.random() < 0.1 else ""
        said.append(f"{again}{step_text(a, b, places, distance=distance, degrees=degrees)}.")
    return Lesson(_where(places), " " + " ".join(said), _given(places))


def _question(rng, names, style) -> Lesson:
    """A question about three to five objects, asked as a room's would be, whose places are given."""
    while True:
        kind = ("object_abs_distance", "object_rel_distance", *3 * ["direction"])[int(rng.integers(5))]
        bench = rng.random() < 0.5
        if kind == "direction":  # VSI-100k has one type of it, and is asked as often as VSI-Bench's three
            kind = DIRECTION_TYPES[int(rng.integers(3))] if bench else "object_rel_direction_easy"
        places = _places(rng, names, {"object_abs_distance": 2, "object_rel_distance": 5}.get(kind, 3))
        row = _row(kind, list(places), bench, rng)
        objects = tuple(Described(name, place, (0.0, 0.0, 0.0)) for name, place in places.items())
        if _clear(kind, list(places), places):
            break
    found = reason(row, Description(None, objects), style, rng)
    assert found is not None  # every object is described
    use = ("train", "eval")[int(rng.integers(2))]
    whole = target_completion("think", use, found.chain, found.answer)
    given = whole[: whole.index(_given(places))] + _given(places)
    return Lesson(user_text(row, "think", use), whole[len(given) :], given)


def _clear(kind: str, objects: list[str], places) -> bool:
    """Whether the answer is far from a border, as questions about rooms are."""
    ways = [difference(places[objects[0]], places[other]) for other in objects[1:]]
    away = sorted(distance_of(way) for way in ways)
    if kind == "object_abs_distance":
        return away[0] > 0.3
    if kind == "object_rel_distance":
        return away[1] - away[0] >= 0.2
    turn = abs((bearing_of(ways[0]) - bearing_of(ways[1]) + 180) % 360 - 180)
    return away[0] > 0.4 and min(abs(turn - border) for border in (0, 90, 135, 180)) >= _TURN_MARGIN_DEG


def _row(kind: str, objects: list[str], bench: bool, rng: np.random.Generator) -> dict:
    """A question in VSI-Bench's or VSI-100k's words, without a truth: what follows from the places is the truth."""
    fields = dict(zip("abc", objects, strict=False))
    if kind == "object_rel_distance":
        fields = {"category": objects[0], "options": ", ".join(objects[1:])}
    options = None
    if bench and kind != "object_abs_distance":
        turns = {"easy": (1, -1), "medium": (1, -1, 180), "hard": (1, -1, 179, -179)}
        texts = objects[1:]
        if kind in DIRECTION_TYPES:
            texts = [side_of(kind, turn) for turn in turns[kind.rsplit("_", 1)[1]]]
        texts = [texts[i] for i in rng.permutation(len(texts))]
        options = [f"{'ABCD'[place]}. {text}" for place, text in enumerate(texts)]
    question = (VSI_BENCH if bench else VSI_100K)[kind].format(**fields)
    return {"id": "text", "question_type": kind, "question": question, "options": options, "objects": objects}
