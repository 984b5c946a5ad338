"""Data sets on disk: the folder that `vsr build` writes, how a new build replaces an old one, and the shipped sample.

A folder holds rooms.json, questions.jsonl, clips where VSI-Bench keeps its videos, visibility.jsonl with what their
frames show, and build.json, a list of the build's files with their hashes. Only files that this list accounts for,
unchanged, may be replaced or removed; in a folder from before the list existed, only those that its questions.jsonl and
rooms.json account for. Anything else belongs to someone, and the build is refused before it begins.

The folder itself is filled, never renamed: it may be a mount point, a shell's working directory or the target of a
link. A new build is written into a folder inside it and moved into place when it is complete: the old questions.jsonl
goes first and the new one comes last, so that questions never appear beside another build's clips. The next build
finishes one that was killed while it moved. A second build into the same folder is refused (vsr_kit/locks.py).

The sample rooms that ship with the kit are such a folder, made by `make_samples`; `vsr_kit.data.clips` reads its clips.

Left out: power failures (nothing is flushed to the disk), downloading the benchmark's videos, and uploading to the hub.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vsr_kit import __version__
from vsr_kit.data.clips import ClipFolder, load_clips
from vsr_kit.data.rows import check_names, make_rows, read_rows, split_rooms, write_rows
from vsr_kit.data.scans import clip_path
from vsr_kit.files import read_json, write_json
from vsr_kit.locks import held
from vsr_kit.paths import data_samples
from vsr_kit.questions import BENCHMARK_RULES, QUESTION_TYPES, STUDY_RULES, Rules, get_rules
from vsr_kit.rooms import Room, load_rooms, save_rooms
from vsr_kit.validation import one_line
from vsr_kit.videos import film, write_mp4
from vsr_kit.videos.filming import VISIBILITY, shown_rows, visibility_of, write_visibility

QUESTIONS, ROOMS, LISTING = "questions.jsonl", "rooms.json", "build.json"
UNFINISHED = ".unfinished-build"  # inside the folder: a new build until it is whole and in place
_MOVES = "moves.json"  # inside UNFINISHED once the build is whole: what goes, and what comes
_HARMLESS = (".DS_Store", "lost+found")  # what the Finder, and a disk of its own, leave in any folder
_WRITTEN_BY = "vsr build"
_ROW = {"id", "dataset", "scene_name", "question_type", "question", "options", "ground_truth", "phrasing", "objects"}
_EDITED_S = 60  # an early build wrote rooms.json and questions.jsonl one after the other


@contextmanager
def filling(out: Path, settings: dict) -> Iterator[Path]:
    """Give an empty folder to write a build into; at the end it takes the place of the earlier build in `out`.

    Where the work inside fails or is stopped, the earlier build is left as it was.

    Args:
        out: the folder to fill; it is made where there is none.
        settings: what the build was made with, recorded in build.json.

    Raises:
        ValueError: if `out` is a file, is being built into, or holds anything but an earlier build.
    """
    with held(out) as out:
        complete(out)
        own_files(out)
        staged = _emptied(out / UNFINISHED)
        try:
            yield staged
            _list_moves(staged, out, settings)
        except BaseException:
            (staged / _MOVES).unlink(missing_ok=True)  # first: what is left of the rest is then no whole build
            shutil.rmtree(staged, ignore_errors=True)
            raise
        complete(out)


def complete(out: Path) -> None:
    """Move a whole build that waits in `out` into place; the moves that a kill has left undone are done.

    Raises:
        ValueError: if a file of the earlier build was changed in between.
    """
    staged = out / UNFINISHED
    if staged.is_symlink() or not (staged / _MOVES).is_file():
        return
    moves = read_json(staged / _MOVES)
    old, new = moves["old"], [name for name in moves["new"] if (staged / name).exists()]  # those not moved yet
    going = [name for name in old if name in new or name not in moves["new"]]
    for name in {*going, *new}:
        if os.path.lexists(out / name) and not (_plain(out, name) and _identity(out / name) == old.get(name)):
            raise ValueError(f"{out} holds {one_line(name)}, where a build wants to write: move it away")
    if QUESTIONS in new:
        (out / QUESTIONS).unlink(missing_ok=True)
    for name in set(going) - set(new):
        (out / name).unlink(missing_ok=True)
        if "/" in name:
            with suppress(OSError):
                (out / name).parent.rmdir()  # refused where it is not empty
    for name in new:
        (out / name).parent.mkdir(exist_ok=True)
        os.replace(staged / name, out / name)
    (staged / _MOVES).unlink()
    shutil.rmtree(staged)


def unfinished(out: Path) -> bool:
    """Whether a build into `out` was stopped, or is under way, and no build is in place."""
    return (out / UNFINISHED).is_dir() and not (out / QUESTIONS).exists()


def _list_moves(staged: Path, out: Path, settings: dict) -> None:
    """Write the new build's list and, last of all, the moves that put it into place."""
    come = [path.relative_to(staged).as_posix() for path in sorted(staged.rglob("*")) if path.is_file()]
    listing = {name: _identity(staged / name) for name in come}
    record = {"written_by": _WRITTEN_BY, "vsr_kit": __version__, "settings": settings, "files": listing}
    write_json(staged / LISTING, record)
    new = [*(name for name in come if name != QUESTIONS), LISTING, QUESTIONS]
    own = own_files(out)  # once more: the folder may have gained files since the build began
    write_json(staged / _MOVES, {"old": {name: _identity(out / name) for name in sorted(own)}, "new": new})


def own_files(out: Path) -> set[str]:
    """Names of the files in `out` that an earlier build wrote and nobody changed, as `folder/file`.

    Raises:
        ValueError: if `out` holds anything else; it names the first of it.
    """
    own = _listed(out) if (out / LISTING).exists() else _recognised(out)
    folders = {name.split("/")[0] for name in own if "/" in name}
    first = list(itertools.islice(_foreign(out, own, folders), 4))
    if first:
        named = ", ".join(map(one_line, first[:3])) + (" and more" if len(first) > 3 else "")
        raise ValueError(
            f"{out} holds {named}, which no build wrote or somebody changed since: nothing was touched; give a new or "
            "empty folder, or move away what is yours"
        )
    return own


def _foreign(out: Path, own: set[str], folders: set[str], inside: str = "") -> Iterator[str]:
    """What is in `out` beside a build's own files, in order; links are not followed."""
    with os.scandir(out / inside) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        name = f"{inside}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if name in (UNFINISHED, *_HARMLESS):
                continue
            within = list(itertools.islice(_foreign(out, own, folders, f"{name}/"), 4))
            yield from within or ([] if name in folders else [f"{name}/"])
        elif name not in own and not (entry.name in _HARMLESS and entry.is_file(follow_symlinks=False)):
            yield name


def _listed(out: Path) -> set[str]:
    """Files of the build's own list that are as it wrote them."""
    try:
        record = read_json(out / LISTING)
        files = dict(record["files"]) if record["written_by"] == _WRITTEN_BY else {}
    except (ValueError, KeyError, TypeError, OSError):
        return set()
    if (out / LISTING).is_symlink() or not {QUESTIONS, ROOMS} <= files.keys():
        return set()
    shaped = [name for name in files if name in (QUESTIONS, ROOMS, VISIBILITY) or _is_clip(name)]
    return {LISTING, *(name for name in shaped if _plain(out, name) and _identity(out / name) == files[name])}


def _is_clip(name: str) -> bool:
    return (
        name.endswith(".mp4") and len(Path(name).parts) == 2 and ".." not in Path(name).parts and name[0] not in "/\\"
    )


def _plain(out: Path, name: str) -> bool:
    """Whether `name` is a file of its own, with no link on the way from `out`."""
    path = out / name
    return path.is_file() and not path.is_symlink() and (path.parent == out or not path.parent.is_symlink())


def _identity(path: Path) -> dict:
    with path.open("rb") as stream:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _recognised(out: Path) -> set[str]:
    """Files of a build from before there was a list: rows about the rooms beside them, and clips that the kit wrote."""
    if not (_plain(out, QUESTIONS) and _plain(out, ROOMS)):
        return set()
    if (out / QUESTIONS).stat().st_mtime - (out / ROOMS).stat().st_mtime > _EDITED_S:
        return {ROOMS}
    try:
        scenes = {(room.dataset, room.name) for room in load_rooms(out / ROOMS)}
        lines = (out / QUESTIONS).read_text(encoding="utf-8").split("\n")
        asked = _scenes_of_build(lines)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return set()
    if not asked <= scenes:
        return set()
    clips = {f"{dataset}/{name}.mp4" for dataset, name in scenes}
    return {QUESTIONS, ROOMS, *(name for name in clips if _is_clip(name) and _plain(out, name) and _filmed(out / name))}


def _scenes_of_build(lines: list[str]) -> set[tuple[str, str]]:
    """Data set and scene of every row; ValueError where a row is not exactly as a build writes it."""
    scenes, next_number = set(), {}
    for line in lines[:-1]:
        row = json.loads(line)
        kind = f"{row['scene_name']}/{row['phrasing']}/{row['question_type']}"
        number = next_number.setdefault(kind, 0)
        if row.keys() != _ROW or row["id"] != f"{kind}/{number}" or json.dumps(row, ensure_ascii=False) != line:
            raise ValueError(f"row {row['id']!r} was not written by a build")
        next_number[kind] += 1
        scenes.add((row["dataset"], row["scene_name"]))
    if lines[-1] or not scenes:
        raise ValueError("not written by a build: no row, or a last line that is not whole")
    return scenes


def _filmed(path: Path) -> bool:
    """Whether a video has the mark of videos.write_mp4: the encoder notes its settings in the stream."""
    data = path.read_bytes()
    return b"x264 - core" in data and b"crf=12.0" in data


def _emptied(folder: Path) -> Path:
    if folder.is_symlink():
        raise ValueError(f"{folder} is a link: remove it")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


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

    An earlier build in `out` is replaced once the new one is whole; a folder that holds anything else is refused before
    the work starts, and so is one that another build is writing into (see the top of this module). With `video`, what
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
    settings |= {} if types is None else {"types": list(types)}
    if video:
        settings |= {"num_frames": num_frames, "size_px": size_px}
    with filling(out, settings) as staged:
        rows, shown = [], []
        for room in _watched(rooms, progress):
            clips = {room.name: film(room, num_frames, size_px, clear=rules.clear_walk)} if video else None
            rows += make_rows([room], phrasing, seed, types=types, clips=clips, max_per_type=max_per_type, rules=rules)
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
