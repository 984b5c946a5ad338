"""Controls for the question "does the gain travel to real rooms?", with their rule: written before any answer.

GRPO with vanilla prompts gains on procedural rooms (`BENCH_SET`); on rooms of another kind (`SCANNETPP`) it need not.
The two sets differ in many ways at once: words and colours that the recipe never taught, room sizes, things that hang
or lie on others, the number of things, the spread of answers, counts beyond six. A control changes one of these, in
whichever set allows it, and asks the same models the same questions: does the gain come back on real rooms, or is it
lost on procedural ones?

The gain is GRPO minus base, mean of the six trained tasks, VSI-Bench's phrasing, vanilla prompt, greedy, lenient
parser. A control's *change* is the gain with the thing changed minus the gain without, on the questions that both have,
runs paired with themselves, rooms drawn together; 95 % bootstrap over seeds and rooms, with Student's interval as well.
The *shortfall* is the gain on BENCH_SET minus the gain on SCANNETPP. `reading` turns the two into words.

`control_set` makes a control's questions: the room is filmed on the walk of the unchanged room, and the questions are
those of the unchanged room with the truths of the changed one. `real_conditions` lists which models are asked about
real rooms, and how.

Left out: pairs of controls except `all-at-once`; walls, textures and shapes of real rooms, which the released geometry
lacks; and measuring, which travel.py does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from vsr_kit.claims.recipe import BENCH_SET, Condition
from vsr_kit.data import split_rooms
from vsr_kit.evaluation import Interval
from vsr_kit.questions import STUDY_RULES
from vsr_kit.questions.geometric import in_other_words, truth_in
from vsr_kit.rooms import CATEGORIES, Room, read_geometry
from vsr_kit.rooms.generator import bottom_m, lifted, on_the_floor, renamed, scaled, without_others
from vsr_kit.study.question_sets import ARKITSCENES, REAL, TEST_ROOMS, QuestionSet, make_set
from vsr_kit.videos import Clip, camera_walk, render, visible_objects, walk_seed

SCANNETPP = "scannetpp-benchmark"
SEED = 0
EXPLAINS, NOT_MAIN, CANNOT_TELL = "explains part of it", "not the main reason", "cannot tell"
RULE = (
    "A thing explains part of the shortfall if changing it moves the gain the way the shortfall goes, beyond the "
    "interval: up on real rooms, down on procedural ones. It is not the main reason if the interval excludes half of "
    "the shortfall. Else these rooms and seeds cannot tell."
)
# Words of ScanNet++'s geometry that no lesson of the base has.
UNTAUGHT = (
    *("door", "ceiling light", "heater", "monitor", "whiteboard", "trash can", "keyboard", "computer mouse"),
    *("telephone", "cup", "bookshelf", "microwave", "power strip", "computer tower", "laptop", "exhaust fan"),
    *("pillow", "kettle", "printer", "blanket", "basket", "shoes", "cutting board", "coat hanger", "bucket", "clock"),
)


@dataclass(frozen=True)
class World:
    """What a change may look at: the rooms of both sets, and which categories each real room's questions name.

    Attributes:
        real, made: the rooms of `SCANNETPP` and of `BENCH_SET`.
        named: by real room, the categories that its questions name.
    """

    real: tuple[Room, ...]
    made: tuple[Room, ...]
    named: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Control:
    """One thing changed about a set of questions.

    Attributes:
        name: of the changed set, or of what is done with its answers.
        of: the set it changes, `SCANNETPP` or `BENCH_SET`.
        changes: the one thing, in words.
        moved: the room with its geometry changed, from the room as it is; None where nobody is asked again.
        drawn: the categories as whose things are drawn, by category; each as itself by default.
        words: the words that questions use, by category; its own by default.
    """

    name: str
    of: str
    changes: str
    moved: Callable[[Room, World], Room] | None = None
    drawn: Callable[[Room], Mapping[str, str]] = lambda room: {}
    words: Callable[[Room], Mapping[str, str]] = lambda room: {}

    @property
    def sign(self) -> int:
        """Which way the gain moves where the thing matters: up on real rooms, down on procedural ones."""
        return 1 if self.of == SCANNETPP else -1


def reading(control: Control, change: Interval, shortfall: float) -> str:
    """What a control's change says, by `RULE`; both in points."""
    low, high = sorted((control.sign * change.low, control.sign * change.high))
    if low > 0:
        return EXPLAINS
    return NOT_MAIN if high < shortfall / 2 else CANNOT_TELL


# -- the changes -------------------------------------------------------------------------------------------------------


def taught_names(room: Room) -> dict[str, str]:
    """For each category that was never taught, a taught one that the room lacks; fixed by the room's name."""
    never = [category for category in room.counts if category not in CATEGORIES]
    return _names(room, never, [category for category in CATEGORIES if category not in room.counts])


def untaught_names(room: Room) -> dict[str, str]:
    """For each taught category, a word that was never taught; fixed by the room's name."""
    return _names(room, list(room.counts), list(UNTAUGHT))


def _names(room: Room, old: Sequence[str], new: Sequence[str]) -> dict[str, str]:
    drawn = np.random.default_rng([SEED, *room.name.encode()]).permutation(new).tolist()
    return dict(zip(sorted(old), drawn, strict=False))


def _as_is(room: Room, world: World) -> Room:
    return room


def _sized_like(room: Room, own: Iterable[Room], others: Iterable[Room]) -> Room:
    """The room scaled to the area that stands where its own stands among its set's, from small to large."""
    areas, wanted = sorted(r.floor_area_m2 for r in own), sorted(r.floor_area_m2 for r in others)
    place = (areas.index(room.floor_area_m2) + 0.5) / len(areas)
    return scaled(room, float(np.quantile(wanted, place) / room.floor_area_m2) ** 0.5)


def _made_sizes(room: Room, world: World) -> Room:
    return _sized_like(room, world.real, world.made)


def _real_sizes(room: Room, world: World) -> Room:
    return _sized_like(room, world.made, world.real)


def _let_down(room: Room, world: World) -> Room:
    return on_the_floor(room)


def _hung_up(room: Room, world: World) -> Room:
    heights = [max(0.0, bottom_m(box) - other.floor_z_m) for other in world.real for box in other.boxes]
    return lifted(room, heights, SEED)


def _thinned(room: Room, world: World) -> Room:
    return without_others(room, world.named[room.name])


def _everything(room: Room, world: World) -> Room:
    return on_the_floor(_made_sizes(_thinned(room, world), world))


# -- the list ----------------------------------------------------------------------------------------------------------

CONTROLS: tuple[Control, ...] = (
    Control(
        "scannetpp-known-words",
        SCANNETPP,
        "questions say a taught word for each thing that was never taught; the picture stays",
        _as_is,
        words=taught_names,
    ),
    Control(
        "scannetpp-known-colours",
        SCANNETPP,
        "things that were never taught have a taught thing's colour; the questions stay",
        _as_is,
        drawn=taught_names,
    ),
    Control(
        "scannetpp-known-things",
        SCANNETPP,
        "both: what was never taught is called and coloured as a taught thing",
        _as_is,
        taught_names,
        taught_names,
    ),
    Control(
        "scannetpp-made-sizes", SCANNETPP, "rooms are scaled, so that areas are spread as the test rooms'", _made_sizes
    ),
    Control("scannetpp-on-the-floor", SCANNETPP, "nothing hangs or lies on anything: all is let down", _let_down),
    Control("scannetpp-thinned", SCANNETPP, "things that no question names are taken away", _thinned),
    Control(
        "scannetpp-all-at-once",
        SCANNETPP,
        "known things, made sizes, on the floor, thinned: all of these",
        _everything,
        taught_names,
        taught_names,
    ),
    Control(
        "procedural-unknown-words",
        BENCH_SET,
        "questions say words that were never taught; the picture stays",
        _as_is,
        words=untaught_names,
    ),
    Control(
        "procedural-unknown-things",
        BENCH_SET,
        "things are called and coloured as never taught ones",
        _as_is,
        untaught_names,
        untaught_names,
    ),
    Control(
        "procedural-real-sizes", BENCH_SET, "rooms are scaled, so that areas are spread as real ones'", _real_sizes
    ),
    Control("procedural-hung-up", BENCH_SET, "things hang at heights drawn from the real rooms'", _hung_up),
    # What follows asks nobody again: it looks at the answers that are there.
    Control("scannetpp-rescaled", SCANNETPP, "a model's numbers times a constant of each type, fitted on other rooms"),
    Control("scannetpp-without-counting", SCANNETPP, "questions about counts are left out"),
    Control("scannetpp-counts-to-six", SCANNETPP, "counts above six, which the recipe never had, are left out"),
    Control("scannetpp-taught-named", SCANNETPP, "questions that name a thing that was never taught are left out"),
    Control("procedural-rescaled", BENCH_SET, "the same: if the gain goes, what was gained was scale"),
    Control("procedural-real-truths", BENCH_SET, "questions are drawn so that numbers are spread as the real rooms'"),
)
ASKED_CONTROLS = tuple(control for control in CONTROLS if control.moved is not None)


def control(name: str) -> Control:
    """Look a control up by name."""
    for known in CONTROLS:
        if known.name == name:
            return known
    raise ValueError(f"no control is called {name!r}: there are {', '.join(c.name for c in CONTROLS)}")


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
    """The questions of a control that is asked, about changed rooms of `SCANNETPP` or `BENCH_SET`, and what is shown.

    Args:
        name: of one of `ASKED_CONTROLS`.
        geometry: ScanNet++'s, as VSI-Bench's authors released it.
    """
    known, (world, rows) = control(name), _plain(geometry)
    return changed_set(known, rows[known.of], world.real if known.of == SCANNETPP else world.made, world)


@lru_cache(maxsize=1)
def _plain(geometry: Path) -> tuple[World, dict[str, list[dict]]]:
    """The rooms of both sets as they are, and their questions."""
    rows = {SCANNETPP: make_set(SCANNETPP, geometry).rows, BENCH_SET: make_set(BENCH_SET).rows}
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
                kept.append(in_other_words({**row, "ground_truth": truth}, known.words(room)))
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
