"""Data sets on disk: rooms.json, questions.jsonl, clips where VSI-Bench keeps its videos, and what their frames show.

`build` writes a folder, `load_clips` reads one, ours or the benchmark's.
The sample rooms that ship with the kit are such a folder; `make_samples` writes it.
Left out: downloading the benchmark's videos, and putting a folder on the hub.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsr_kit.data.filming import film
from vsr_kit.data.rows import check_names, make_rows, read_rows, write_rows
from vsr_kit.data.splits import split_rooms
from vsr_kit.data.visibility import VISIBILITY, shown_rows, visibility_of, write_visibility
from vsr_kit.questions import BENCHMARK_RULES, QUESTION_TYPES, STUDY_RULES, Rules, get_rules
from vsr_kit.rooms import Room, load_rooms, save_rooms
from vsr_kit.shipped import data_samples
from vsr_kit.videos import read_mp4, write_mp4

SAMPLE_ROOMS = 12
SAMPLE_FRAMES = 32
SAMPLE_QUESTIONS = 5  # of each type and room


@dataclass(frozen=True)
class BuildReport:
    """What `build` wrote.

    Attributes:
        folder: holds questions.jsonl, rooms.json and, if asked for, `{dataset}/{scene_name}.mp4` and visibility.jsonl.
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

    Everything is written beside `out` and moved there at the end: a killed build leaves nothing half done. An earlier
    build is replaced; a folder that holds anything else is refused. With `video`, what the clip does not show is not
    asked, and appearance order is. All rooms are asked by one rule set, the benchmark's by default, which every row
    names.

    Raises:
        ValueError: if `out` is taken, there is no room, or two rooms have one name.
    """
    began, out, rooms = time.monotonic(), Path(out).resolve(), list(rooms)
    if not rooms:
        raise ValueError("no room to build from: give at least one")
    check_names(rooms)
    _refuse_foreign(out)
    rules = get_rules(rules, "")
    beside, rows, shown = _fresh(out, "part"), [], []
    for room in _watched(rooms, progress):
        clips = {room.name: film(room, num_frames, size_px, rules.clear_walk)} if video else None
        rows += make_rows([room], phrasing, seed, types, clips, max_per_type, rules=rules)
        if clips:
            shown.append(visibility_of(room, clips[room.name]))
            path = clip_path(beside, room.dataset, room.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_mp4(path, clips[room.name].frames_FHW3)
    if video:
        write_visibility(beside / VISIBILITY, shown)
    save_rooms(beside / "rooms.json", rooms)
    write_rows(beside / "questions.jsonl", rows)
    _move_into_place(beside, out)
    counts = Counter(row["question_type"] for row in rows)
    ordered = {kind: counts[kind] for kind in QUESTION_TYPES if kind in counts}
    took = time.monotonic() - began
    return BuildReport(out, len(rooms), len(rows), len(rooms) * video, ordered, tuple(skipped), took, rules.name)


def _watched(rooms: list[Room], progress: bool) -> Iterable[Room]:
    if not progress:
        return rooms
    from tqdm import tqdm

    return tqdm(rooms, desc="rooms", unit="room")


def _refuse_foreign(out: Path) -> None:
    """Only what an earlier build wrote may be replaced."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: give a folder")
    for path in sorted(out.rglob("*")) if out.exists() else ():
        inside = path.relative_to(out)
        ours = path.is_dir() or str(inside) in ("questions.jsonl", "rooms.json", VISIBILITY, ".DS_Store")
        if not ours and not (len(inside.parts) == 2 and path.suffix == ".mp4"):
            raise ValueError(f"{out} holds {inside}, which no build wrote: give a new folder, or an earlier build's")


def _fresh(out: Path, suffix: str) -> Path:
    """An empty folder beside `out`."""
    beside = out.with_name(f".{out.name}.{suffix}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    return beside


def _move_into_place(beside: Path, out: Path) -> None:
    if out.exists():
        old = _fresh(out, "old")
        out.rename(old / out.name)
        beside.rename(out)
        shutil.rmtree(old)
    else:
        beside.rename(out)


def clip_path(root: str | Path, dataset: str, scene_name: str) -> Path:
    """Where VSI-Bench keeps a video: `{root}/{dataset}/{scene_name}.mp4`. Names that lead elsewhere are refused."""
    for name in (dataset, scene_name):
        if not name or name.startswith(".") or set(name) & set("/\\:\0"):
            raise ValueError(f"{name!r} cannot name a folder or clip: no dot in front, none of / \\ :, and not empty")
    return Path(root) / dataset / f"{scene_name}.mp4"


class ClipFolder(Mapping[str, np.ndarray]):
    """Clips on disk by scene name, each read when it is first asked for: uint8 frames, shape (F, H, W, 3).

    The benchmark's videos do not fit into memory together, so the ones not used for longest are let go above
    `memory_mb`. `load_clips` makes it.
    """

    def __init__(self, paths: Mapping[str, Path], num_frames: int | None, max_side_px: int | None, memory_mb: float):
        self._paths, self._num_frames, self._max_side_px = dict(paths), num_frames, max_side_px
        self._memory_bytes, self._kept = memory_mb * 1e6, {}

    def __getitem__(self, scene_name: str) -> np.ndarray:
        if scene_name not in self._kept:
            self._kept[scene_name] = read_mp4(self._paths[scene_name], self._num_frames, self._max_side_px)
        self._kept[scene_name] = self._kept.pop(scene_name)  # most recent last
        while len(self._kept) > 1 and sum(frames.nbytes for frames in self._kept.values()) > self._memory_bytes:
            del self._kept[next(iter(self._kept))]
        return self._kept[scene_name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def load_clips(
    rows: Iterable[dict],
    root: str | Path,
    num_frames: int | None = None,
    max_side_px: int | None = None,
    memory_mb: float = 2000,
) -> ClipFolder:
    """Find the clips that rows ask about; each is read when it is used.

    Args:
        rows: any rows with `dataset` and `scene_name`.
        root: the folder that holds `{dataset}/{scene_name}.mp4`: ours, the benchmark's unpacked zips, or your own.
        num_frames: sample so many frames uniformly; all of them by default.
        max_side_px: shrink larger frames.
        memory_mb: most memory to keep frames in.

    Raises:
        ValueError: if a clip is missing, or two data sets have a scene of the same name.
    """
    paths: dict[str, Path] = {}
    for row in rows:
        path = clip_path(root, row["dataset"], row["scene_name"])
        if paths.setdefault(row["scene_name"], path) != path:
            raise ValueError(f"scene {row['scene_name']!r} is in two data sets, {path} is one: load each on its own")
    missing = [path for path in paths.values() if not path.is_file()]
    if missing:
        raise ValueError(f"{len(missing)} of {len(paths)} clips are missing, first {missing[0]}: put them there")
    return ClipFolder(paths, num_frames, max_side_px, memory_mb)


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
