"""The folder that a build fills: what in it is a build's own, and how a new build takes the old one's place.

The story: a build keeps a list of its files with their hashes, build.json. Only what that list accounts for, unchanged,
may be replaced or removed; of a folder from before there was a list, only what its questions.jsonl and rooms.json
account for. Anything else in the folder is somebody's, and the build is refused before it begins.

The folder itself is filled, never renamed: it may be a mount point, the working directory of a shell, or the target of
a link. A new build is written into a folder inside it, and moves out of there when it is whole: questions.jsonl of the
old build goes first and that of the new one comes last, so that questions never stand beside another build's clips. A
build killed while it moves is finished by the next one. A second build into the folder is kept out (locks.py).

Left out: power failures (nothing is flushed to the disk).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vsr_kit import __version__
from vsr_kit.characters import one_line
from vsr_kit.data.visibility import VISIBILITY
from vsr_kit.journals import read_json, write_json
from vsr_kit.locks import held
from vsr_kit.rooms import load_rooms

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
