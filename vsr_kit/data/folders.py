"""Data sets on disk: rooms.json, questions.jsonl, clips where VSI-Bench keeps its videos, and what their frames show.

`build` writes a folder; `vsr_kit.data.clips` reads one.
The sample rooms that ship with the kit are such a folder; `make_samples` writes it.
Left out: downloading the benchmark's videos, and putting a folder on the hub.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vsr_kit.data.builds import QUESTIONS, ROOMS, filling
from vsr_kit.data.clips import ClipFolder, clip_path, load_clips
from vsr_kit.data.filming import film
from vsr_kit.data.rows import check_names, make_rows, read_rows, write_rows
from vsr_kit.data.splits import split_rooms
from vsr_kit.data.visibility import VISIBILITY, shown_rows, visibility_of, write_visibility
from vsr_kit.questions import BENCHMARK_RULES, QUESTION_TYPES, STUDY_RULES, Rules, get_rules
from vsr_kit.rooms import Room, load_rooms, save_rooms
from vsr_kit.shipped import data_samples
from vsr_kit.videos import write_mp4

SAMPLE_ROOMS = 12
SAMPLE_FRAMES = 32
SAMPLE_QUESTIONS = 5  # of each type and room


@dataclass(frozen=True)
class BuildReport:
    """What `build` wrote.

    Attributes:
        folder: holds questions.jsonl, rooms.json, build.json (the list of its files) and, if asked for,
            `{dataset}/{scene_name}.mp4` and visibility.jsonl.
        rooms, questions, clips: how many.
        counts: questions by type.
        skipped: one line for each scene that could not be read.
        seconds: the time it took.
        rules: the name of the rule set the rooms were asked by.
    """

    folder: Path
    rooms: int
    questions: int
    clips: int
    counts: dict[str, int]
    skipped: tuple[str, ...]
    seconds: float
    rules: str = BENCHMARK_RULES.name


def build(
    rooms: Iterable[Room],
    out: str | Path,
    phrasing: str = "vsi-bench",
    seed: int = 0,
    *,
    video: bool = False,
    num_frames: int = SAMPLE_FRAMES,
    size_px: int = 112,
    types: tuple[str, ...] | None = None,
    max_per_type: int | None = None,
    skipped: tuple[str, ...] = (),
    progress: bool = False,
    rules: Rules | str = BENCHMARK_RULES,
) -> BuildReport:
    """Write a data set: questions.jsonl, rooms.json and, with `video`, a clip of every room and what its frames show.

    An earlier build in `out` is replaced once the new one is whole; a folder that holds anything else is refused
    before the work starts, and so is one that another build is writing into (`vsr_kit.data.builds`). With `video`, what
    the clip does not show is not asked, and appearance order is. All rooms are asked by one rule set, the benchmark's
    by default, which every row names.

    Raises:
        ValueError: if `out` is taken, there is no room, or two rooms have one name.
    """
    began, out, rooms = time.monotonic(), Path(out).resolve(), list(rooms)
    if not rooms:
        raise ValueError("no room to build from: give at least one")
    check_names(rooms)
    rules = get_rules(rules, "")
    if video:
        for room in rooms:
            clip_path(out, room.dataset, room.name)  # every name before any work
    settings = {"phrasing": phrasing, "seed": seed, "video": video, "rules": rules.name}
    if video:
        settings |= {"num_frames": num_frames, "size_px": size_px}
    with filling(out, settings) as staged:
        rows, shown = [], []
        for room in _watched(rooms, progress):
            clips = {room.name: film(room, num_frames, size_px, rules.clear_walk)} if video else None
            rows += make_rows([room], phrasing, seed, types, clips, max_per_type, rules=rules)
            if clips:
                shown.append(visibility_of(room, clips[room.name]))
                path = clip_path(staged, room.dataset, room.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_mp4(path, clips[room.name].frames_FHW3)
        if video:
            write_visibility(staged / VISIBILITY, shown)
        save_rooms(staged / ROOMS, rooms)
        write_rows(staged / QUESTIONS, rows)
    counts = Counter(row["question_type"] for row in rows)
    ordered = {kind: counts[kind] for kind in QUESTION_TYPES if kind in counts}
    took = time.monotonic() - began
    return BuildReport(out, len(rooms), len(rows), len(rooms) * video, ordered, tuple(skipped), took, rules.name)


def _watched(rooms: list[Room], progress: bool) -> Iterable[Room]:
    if not progress:
        return rooms
    from tqdm import tqdm

    return tqdm(rooms, desc="rooms", unit="room")


def make_samples(out: str | Path) -> BuildReport:
    """Write the sample rooms that ship with the kit (data_samples/rooms): the first of the procedural test split.

    They are the study's, and asked by its rules.
    """
    rooms = split_rooms(SAMPLE_ROOMS, "test")
    return build(rooms, out, video=True, max_per_type=SAMPLE_QUESTIONS, rules=STUDY_RULES)


def sample_rooms() -> list[Room]:
    """The dozen sample rooms. FileNotFoundError where they are not shipped: `make_samples` writes them."""
    return load_rooms(data_samples("rooms", "rooms.json"))


def sample_rows(num_frames: int | None = None) -> list[dict]:
    """A few questions of every type about each of `sample_rooms`: those that `sample_clips(num_frames)` shows."""
    rows = read_rows(data_samples("rooms", "questions.jsonl"))
    return shown_rows(rows, data_samples("rooms"), num_frames)


def sample_clips(num_frames: int | None = None) -> ClipFolder:
    """The walk-throughs of `sample_rooms` by room name, `num_frames` of their 32 frames."""
    rows = [{"dataset": room.dataset, "scene_name": room.name} for room in sample_rooms()]
    return load_clips(rows, data_samples("rooms"), num_frames)
