"""Question sets at a distance from training: the rooms that were trained on, and one thing changed after another.

Training asks about half of the questions of 120 rooms, in VSI-100k's words (`levels-train`). Near it lie the other half
of the same rooms' questions (`levels-seen`), which nothing trained on. Farther off are new rooms, in the same words
(the study's `test-vsi-100k`), new tasks in new rooms (`test-held-out`), and sets that change one thing about 60 of the
new rooms: the wording (VSI-Bench's, with options, about centres as in training), the labels (closest points instead of
centres), the number of objects, and how far the camera walks.
Left out: real rooms, where every one of these changes at once (`vsr_kit.study.travel`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from vsr_kit.claims.recipe import HELD_OUT_SET, WORDS_SET, Asked
from vsr_kit.data import split_rooms
from vsr_kit.questions import STUDY_RULES, TRAINED_TYPES
from vsr_kit.recipes.filmed import asked_about, filmed
from vsr_kit.rooms import Room
from vsr_kit.rooms.generator import crowded
from vsr_kit.videos import CameraPath, Clip, camera_walk, render
from vsr_kit.videos.filming import walk_seed

TRAIN_SET, SEEN_SET = "levels-train", "levels-seen"
NEW_ROOMS_SET, NEW_TASKS_SET = WORDS_SET, HELD_OUT_SET
SHIFTED = ("shift-wording", "shift-closest", "shift-crowded", "shift-sweep")
# As notebooks and tables name them, from near to far.
IN_WORDS = {
    SEEN_SET: "seen rooms",
    NEW_ROOMS_SET: "new rooms",
    "shift-wording": "new wording",
    "shift-closest": "closest points",
    "shift-crowded": "more objects",
    "shift-sweep": "shorter walk",
    NEW_TASKS_SET: "new tasks",
}
ROOMS, SHIFTED_ROOMS = 120, 60
PER_TYPE = 4  # of a room, before they are dealt into halves
MORE_OBJECTS = 6
FRAMES = 8


def halves(rows: Sequence[dict]) -> tuple[list[dict], list[dict]]:
    """Deal each room's questions of each type into two halves, in turn; every other room begins with the second.

    So a type that is asked once in a room is in the first half of every other room. Rows stay in their order.
    """
    rooms: dict[str, int] = {}
    dealt: dict[tuple[str, str], int] = {}
    parts: tuple[list[dict], list[dict]] = [], []
    for row in rows:
        scene, kind = row["scene_name"], row["question_type"]
        turn = dealt.setdefault((scene, kind), rooms.setdefault(scene, len(rooms)))
        dealt[scene, kind] += 1
        parts[turn % 2].append(row)
    return parts


def shorter_walk(room: Room, clear: bool = STUDY_RULES.clear_walk) -> Clip:
    """The first half of the walk that `film` takes, in as many frames: each is half as far from the next."""
    whole = camera_walk(room, 2 * FRAMES - 1, walk_seed(room, clear))
    return render(room, CameraPath(whole.positions_m_F3[:FRAMES], whole.yaw_deg_F[:FRAMES]))


@cache
def _filmed(split: str, count: int) -> tuple[list[Room], dict[str, Clip]]:
    """The first rooms of a split and their clips, filmed once a process."""
    rooms = split_rooms(count, split)
    return rooms, filmed(rooms)


def _asked(name: str, rooms: Sequence[Room], clips: dict[str, Clip], phrasing: str, **how) -> Asked:
    return asked_about(name, rooms, phrasing, clips, types=TRAINED_TYPES, **how)


def half_set(name: str, which: int) -> Asked:
    """One half of the questions about the rooms that training sees: 0 is trained on, 1 is not.

    A small room may have no question in the first half; such a room was never seen, and is left out of the second.
    """
    whole = _asked(name, *_filmed("train", ROOMS), "vsi-100k", max_per_type=PER_TYPE)
    parts = halves(whole.rows)
    seen = {row["scene_name"] for row in parts[0]}
    return Asked(name, [row for row in parts[which] if row["scene_name"] in seen], whole.clips)


def wording_set() -> Asked:
    """New rooms in VSI-Bench's phrasing with its options; distances are between centres, as in training."""
    return _asked("shift-wording", *_filmed("test", SHIFTED_ROOMS), "vsi-bench", labels="centre", max_per_type=1)


def closest_set() -> Asked:
    """New rooms in training's words, which now mean closest points."""
    return _asked("shift-closest", *_filmed("test", SHIFTED_ROOMS), "vsi-100k", labels="closest", max_per_type=1)


def crowded_set() -> Asked:
    """New rooms with up to six objects more, each of a category that was not there."""
    rooms = [crowded(room, MORE_OBJECTS) for room in _filmed("test", SHIFTED_ROOMS)[0]]
    return _asked("shift-crowded", rooms, filmed(rooms), "vsi-100k", max_per_type=1)


def sweep_set() -> Asked:
    """New rooms, filmed on half the walk; only what it shows is asked."""
    rooms = _filmed("test", SHIFTED_ROOMS)[0]
    return _asked("shift-sweep", rooms, {r.name: shorter_walk(r) for r in rooms}, "vsi-100k", max_per_type=1)


MAKERS: dict[str, Callable[[], Asked]] = {
    TRAIN_SET: lambda: half_set(TRAIN_SET, 0),
    SEEN_SET: lambda: half_set(SEEN_SET, 1),
    "shift-wording": wording_set,
    "shift-closest": closest_set,
    "shift-crowded": crowded_set,
    "shift-sweep": sweep_set,
}
