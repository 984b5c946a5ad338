"""The questions of the controls, about changed rooms; and who is asked what about real rooms.

The story: a control's room is filmed on the walk of the room as it is, its questions are those of the room as it is,
with the truths of the changed one. Left out: what is changed, and how answers are read (`vsr_kit.study.travel`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from vsr_kit.data import split_rooms
from vsr_kit.data.filming import walk_seed
from vsr_kit.questions import STUDY_RULES
from vsr_kit.questions.again import in_other_words, truth_in
from vsr_kit.rooms import Room, read_geometry
from vsr_kit.rooms.changes import renamed
from vsr_kit.study.answers import Condition
from vsr_kit.study.sets import ARKITSCENES, REAL, TEST_ROOMS, QuestionSet, make_set
from vsr_kit.study.travel import ASKED_CONTROLS, SCANNETPP, Control, World, control
from vsr_kit.study.variants import BENCH
from vsr_kit.videos import Clip, camera_walk, render, visible_objects

Geometry = tuple[Path, ...]  # files of VSI-Bench's released geometry, one a data set


def files_by_dataset(geometry: Geometry | None) -> dict[str, Path]:
    """Geometry files by the data set whose rooms they hold.

    Raises:
        ValueError: for a file that is not there or holds no rooms, one of a data set that the study asks nothing about,
            or two of one data set.
    """
    found: dict[str, Path] = {}
    for path in geometry or ():
        dataset = _dataset_of(path)
        if f"{dataset}-benchmark" not in REAL:
            known = ", ".join(name.removesuffix("-benchmark") for name in REAL if name.endswith("-benchmark"))
            raise ValueError(
                f"{path} holds rooms of {dataset!r}, and the study asks about {known}; ask about others with vsr eval"
            )
        if dataset in found:
            raise ValueError(f"{path} and {found[dataset]} both hold rooms of {dataset}: give one of them")
        found[dataset] = path
    return found


@lru_cache(maxsize=8)
def _dataset_of(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"no file {path}: give VSI-Bench's arkitscenes_meta_info_val.json, or leave geometry out")
    return read_geometry(path).rooms[0].dataset


def real_set(name: str, geometry: Geometry | None) -> QuestionSet:
    """A set by its name, whether it needs geometry or not; raises as `make_set` and `files_by_dataset` do."""
    files = files_by_dataset(geometry)
    if name in {known.name for known in ASKED_CONTROLS}:
        return control_set(name, files[SCANNETPP.partition("-")[0]])
    return make_set(name, files.get(name.partition("-")[0]))


def control_set(name: str, geometry: Path) -> QuestionSet:
    """The questions of a control that is asked, about changed rooms of `SCANNETPP` or `BENCH`, and what is shown.

    Args:
        name: of one of `ASKED_CONTROLS`.
        geometry: ScanNet++'s, as VSI-Bench's authors released it.
    """
    known, (world, rows) = control(name), _plain(geometry)
    return changed_set(known, rows[known.of], world.real if known.of == SCANNETPP else world.made, world)


@lru_cache(maxsize=1)
def _plain(geometry: Path) -> tuple[World, dict[str, list[dict]]]:
    """The rooms of both sets as they are, and their questions."""
    rows = {SCANNETPP: make_set(SCANNETPP, geometry).rows, BENCH: make_set(BENCH).rows}
    named: dict[str, set[str]] = {}
    for row in rows[SCANNETPP]:
        named.setdefault(row["scene_name"], set()).update(row["objects"])
    real = read_geometry(geometry, REAL[SCANNETPP].walls).rooms
    made = tuple(split_rooms(TEST_ROOMS, "test"))
    return World(real, made, {scene: frozenset(names) for scene, names in named.items()}), rows


def changed_set(known: Control, rows: Iterable[Mapping], rooms: Iterable[Room], world: World) -> QuestionSet:
    """A set's questions about the changed rooms, with the ids they had, filmed on the walks of the rooms as they are.

    A question goes where its truth is not clear any more, or where a thing it names was seen and is not any more.

    Args:
        known: one of `ASKED_CONTROLS`.
        rows: of the set that it changes.
        rooms: they are about.
        world: see `World`.
    """
    kept, clips = [], {}
    by_scene: dict[str, list[Mapping]] = {}
    for row in rows:
        by_scene.setdefault(row["scene_name"], []).append(row)
    clear = REAL[SCANNETPP].clear_walk if known.of == SCANNETPP else STUDY_RULES.clear_walk
    for room in rooms:
        (walk, before), moved = _as_it_is(room, clear), known.moved(room, world)
        clip = _film(renamed(moved, known.drawn(room)), walk)
        clips[room.name] = clip.frames_FHW3
        seen = _seen(moved, clip)
        for row in by_scene.get(room.name, ()):
            truth = truth_in(row, moved)
            if truth is not None and all(seen[name] >= before[name] for name in row["objects"]):
                kept.append(in_other_words({**row, "ground_truth": truth}, known.said(room)))
    return QuestionSet(known.name, kept, clips)


@lru_cache(maxsize=512)
def _as_it_is(room: Room, clear: bool) -> tuple[int, Counter]:
    """The walk on which a room is filmed, and what is seen on it; many controls ask."""
    walk = walk_seed(room, clear)
    return walk, _seen(room, _film(room, walk))


def _film(room: Room, walk: int) -> Clip:
    return render(room, camera_walk(room, seed=walk))


def _seen(room: Room, clip: Clip) -> Counter:
    """How many things of each category a clip shows."""
    return Counter(room.boxes[i].category for i in visible_objects(clip))


# -- who is asked what -------------------------------------------------------------------------------------------------


def real_conditions(dataset: str, model: str) -> list[Condition]:
    """What the base, or a run of GRPO with vanilla prompts, is asked about a data set's real rooms.

    About ARKitScenes also by the study's own rules, as it was before the benchmark's were all known; about ScanNet++
    every control.
    """
    asked = [Condition(f"{dataset}-benchmark", model, clip=clip) for clip in ("own", "wrong")]
    if f"{dataset}-benchmark" == SCANNETPP:
        asked += [Condition(known.name, model) for known in ASKED_CONTROLS]
    if ARKITSCENES.startswith(f"{dataset}-"):
        asked += [Condition(ARKITSCENES, model, clip=clip) for clip in ("own", "wrong")[: 2 if model == "base" else 1]]
    return asked
