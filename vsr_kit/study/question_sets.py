"""The study's question sets by name: rooms of a split, a phrasing, and what was changed about the labels.

`train-vsi-100k`, `val-vsi-bench`, `test-vsi-bench` and so on name a split and a phrasing. `train-closest` asks in
VSI-100k's words about closest points instead of centres, `train-letters` gives its word questions options to choose
from, and `test-held-out` asks the two tasks that no run trained. `test-multi-step` asks the kit's four multi-step types
about the same rooms, in VSI-Bench's phrasing, and `train-multi-step-words` in VSI-100k's open words. `train-puzzles`
and `test-puzzles` ask the kit's puzzles. These sets and `arkitscenes-vsi-bench` use the study's rules and its way of
filming, so their questions and clips never change.
`arkitscenes-benchmark` and `scannetpp-benchmark` ask about real rooms by the benchmark's rules.
Left out: real scenes beyond the geometry that a caller names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsr_kit.data import make_rows, split_rooms
from vsr_kit.questions import (
    BENCHMARK_RULES,
    HELD_OUT_TYPES,
    MULTI_STEP_TYPES,
    PUZZLE_TYPES,
    STUDY_RULES,
    TRAINED_TYPES,
    Rules,
)
from vsr_kit.recipes import question_set_maker, recipes
from vsr_kit.rooms import Room, read_geometry
from vsr_kit.study.labels import as_letters
from vsr_kit.videos import film

ROOMS = {"train": 400, "val": 120, "test": 120}
TEST_ROOMS, VAL_ROOMS, TRAIN_ROOMS = ROOMS["test"], ROOMS["val"], ROOMS["train"]
PER_TYPE_AND_ROOM = 2
ARKITSCENES = "arkitscenes-vsi-bench"
# Sets about real rooms, in VSI-Bench's phrasing, and the rules they are asked by.
REAL = {ARKITSCENES: STUDY_RULES, "arkitscenes-benchmark": BENCHMARK_RULES, "scannetpp-benchmark": BENCHMARK_RULES}
# the part of a name after the split: phrasing, types, labels
KINDS = {
    "vsi-bench": ("vsi-bench", TRAINED_TYPES, None),
    "vsi-100k": ("vsi-100k", TRAINED_TYPES, None),
    "held-out": ("vsi-bench", HELD_OUT_TYPES, None),
    "order": ("vsi-bench", ("obj_appearance_order",), None),
    "closest": ("vsi-100k", TRAINED_TYPES, "closest"),
    "letters": ("vsi-100k", TRAINED_TYPES, None),
    "multi-step": ("vsi-bench", MULTI_STEP_TYPES, None),
    "multi-step-words": ("vsi-100k", MULTI_STEP_TYPES, None),
    "puzzles": ("vsi-bench", PUZZLE_TYPES, None),
}
# In one clip of twenty at most do four objects first appear in four different frames.
TIMES_THE_ROOMS = {"order": 10}


@dataclass(frozen=True)
class QuestionSet:
    """Rows, and the frames of the rooms they are about (scene_name to uint8 (F, H, W, 3))."""

    name: str
    rows: list[dict]
    clips: dict[str, np.ndarray]


def make_set(name: str, geometry: str | Path | None = None) -> QuestionSet:
    """Film a set's rooms and ask what their clips show.

    Args:
        name: `<split>-<kind>` with a split of `ROOMS` and a kind of `KINDS`, one of `REAL`, or one of a recipe's own.
        geometry: for the latter, VSI-Bench's released `arkitscenes_meta_info_val.json` or `scannetpp_…`.

    Raises:
        ValueError: a name that is neither, or a geometry of another data set than the name says.
    """
    if name in REAL and geometry is not None:
        rules = REAL[name]
        rooms = list(read_geometry(geometry, rules.walls).rooms)
        if (found := rooms[0].dataset) != name.split("-")[0]:
            raise ValueError(f"{geometry} holds rooms of {found!r}: question set {name!r} asks about another data set")
        return question_set(name, rooms, "vsi-bench", rules=rules)
    if (make := question_set_maker(name)) is not None:
        return _checked(name, make())
    split, _, kind = name.partition("-")
    if split not in ROOMS or kind not in KINDS:
        own = [name for recipe in recipes() for name in recipe.question_sets]
        theirs = f"; recipes have {', '.join(own)}" if own else ""
        raise ValueError(
            f"no question set {name!r}: give a split ({', '.join(ROOMS)}), a dash, and one of {', '.join(KINDS)}; "
            f"{', '.join(REAL)} need a geometry file{theirs}"
        )
    phrasing, types, labels = KINDS[kind]
    rooms = split_rooms(ROOMS[split] * TIMES_THE_ROOMS.get(kind, 1), split)
    made = question_set(name, rooms, phrasing, types=types, labels=labels)
    if kind in TIMES_THE_ROOMS:
        asked = {row["scene_name"] for row in made.rows}
        return QuestionSet(name, made.rows, {scene: clip for scene, clip in made.clips.items() if scene in asked})
    return QuestionSet(name, as_letters(made.rows), made.clips) if kind == "letters" else made


def _checked(name: str, made) -> QuestionSet:
    """A recipe's own set: some rows, each with a clip of its scene, since a model without a clip answers blindly."""
    if not hasattr(made, "rows") or not hasattr(made, "clips"):
        raise ValueError(f"question set {name!r} is {made!r}: its maker must return something with rows and clips")
    if not made.rows:
        raise ValueError(f"question set {name!r} has no rows: give it more rooms, or other types")
    if missing := [row["scene_name"] for row in made.rows if row["scene_name"] not in made.clips]:
        raise ValueError(
            f"question set {name!r} has no clip of scene {missing[0]!r}: film every room that is asked about"
        )
    return QuestionSet(name, list(made.rows), dict(made.clips))


def procedural_questions(split: str, phrasing: str, seed: int = 0) -> QuestionSet:
    """The study's questions about a split's rooms: the eight trained types, so many of each type and room."""
    return question_set(f"{split}-{phrasing}", split_rooms(ROOMS[split], split), phrasing, seed)


def question_set(
    name: str,
    rooms: list[Room],
    phrasing: str,
    seed: int = 0,
    types: tuple[str, ...] = TRAINED_TYPES,
    labels: str | None = None,
    rules: Rules = STUDY_RULES,
) -> QuestionSet:
    """Film the rooms and ask what their clips show."""
    filmed = {room.name: film(room, clear=rules.clear_walk) for room in rooms}
    rows = make_rows(
        rooms, phrasing, seed, types=types, clips=filmed, max_per_type=PER_TYPE_AND_ROOM, labels=labels, rules=rules
    )
    return QuestionSet(name, rows, {scene: clip.frames_FHW3 for scene, clip in filmed.items()})
