"""Filming a room: the camera's walk, which follows from the room's name, and a record of what each frame shows.

`film` is the only way in which the kit films, so that a clip follows from the room alone. In a released room the first
walk may lead through a tall box or past one that fills the view; the camera then tries the next walk until one is
clear. Procedural furniture is lower than the camera, so there the first walk is always clear.

A build checks its questions against all frames of its clips, but a model may later get fewer of them. The build
therefore records in visibility.jsonl, one line per clip, how many pixels of every box each frame shows. `shown_rows`
uses it to leave out questions that the sampled frames do not support: something named but not visible, a count with an
instance missing, another order of appearance. Where frames are shrunk, what they show of a box shrinks with them. A
folder without the record, such as the benchmark's own, is used whole.

Left out: walks that turn aside, cameras at another height, clips that were resized after they were recorded, and what a
model's own processor does to their size.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsr_kit.rooms import Room
from vsr_kit.videos.files import sample_frame_indices
from vsr_kit.videos.frame_limits import FrameLimits, shrunk_size
from vsr_kit.videos.rendering import LEAST_PIXELS, CameraPath, Clip, camera_walk, render

WALKS = 24  # tried at most
ELBOW_ROOM_M = 0.1  # between the camera and a box
MOST_OF_THE_VIEW = 0.8  # for one object, of a frame
_STEPS, _PILOT_FRAMES, _PILOT_PX = 64, 16, 28


def film(room: Room, num_frames: int = 8, size_px: int = 112, *, clear: bool = True) -> Clip:
    """Film a room the one way the kit does it: the walk follows from the room and its name, at any number of frames.

    Args:
        room: what to film.
        num_frames, size_px: of the clip.
        clear: take the first walk that is clear of boxes, if there is one, and else the one with the least in its way;
            False takes the first walk as it is, as the shipped study did.
    """
    return render(room, camera_walk(room, num_frames, walk_seed(room, clear)), size_px)


def walk_seed(room: Room, clear: bool = True) -> int:
    """The seed of the walk that `film` takes, for whoever films another room on the same walk."""
    first = zlib.crc32(room.name.encode())
    return _clear_walk(room, first) if clear else first


def _clear_walk(room: Room, first: int) -> int:
    """The seed of the first walk with nothing in its way, or else of the one with the least."""
    best, least = first, (np.inf, np.inf)
    for seed in range(first, first + WALKS):
        inside = _inside(room, camera_walk(room, _STEPS, seed))
        if inside >= least[0] and inside > 0:
            continue
        found = (inside, _fill(room, camera_walk(room, _PILOT_FRAMES, seed)))
        if found[0] == 0 and found[1] <= MOST_OF_THE_VIEW:
            return seed
        if found < least:
            best, least = seed, found
    return best


def _inside(room: Room, path: CameraPath) -> int:
    """In how many frames the camera is in a box, or has no elbow room."""
    hit = np.zeros(len(path), dtype=bool)
    for box in room.boxes:
        local = (path.positions_m_F3 - np.asarray(box.center)) @ np.asarray(box.axes).T
        hit |= (np.abs(local) <= np.asarray(box.size) / 2 + ELBOW_ROOM_M).all(axis=1)
    return int(hit.sum())


def _fill(room: Room, path: CameraPath) -> float:
    """The largest share of a frame that one object fills."""
    ids_FHW = render(room, path, _PILOT_PX).object_ids_FHW
    counts = [np.bincount(ids[ids >= 0]).max(initial=0) for ids in ids_FHW]
    return max(counts) / ids_FHW[0].size


VISIBILITY = "visibility.jsonl"
_FIELDS = ("dataset", "scene_name", "categories", "pixels")


@dataclass(frozen=True)
class Visibility:
    """What the frames of one clip show.

    Attributes:
        dataset, scene_name: the clip's.
        categories: of the room's B boxes.
        pixels_BF: how many pixels of each box each frame shows.
    """

    dataset: str
    scene_name: str
    categories: tuple[str, ...]
    pixels_BF: np.ndarray

    @property
    def num_frames(self) -> int:
        """How many frames the clip has."""
        return self.pixels_BF.shape[1]

    def sampled(self, num_frames: int | None) -> Visibility:
        """The same of `num_frames` frames of the clip, sampled as read_mp4 samples them; None takes all."""
        if num_frames is None:
            return self
        picked = sample_frame_indices(self.num_frames, num_frames)
        return Visibility(self.dataset, self.scene_name, self.categories, self.pixels_BF[:, picked])

    def shrunk(self, share: float) -> Visibility:
        """The same of frames that were shrunk to this share of their pixels; 1 leaves them as they are."""
        if share == 1:
            return self
        return Visibility(self.dataset, self.scene_name, self.categories, self.pixels_BF * share)

    def limited(self, clip: str | Path, limits: FrameLimits) -> Visibility:
        """The same of what is taken of the clip's file under limits of frames and pixels."""
        sampled = self.sampled(limits.frames_of(clip))
        if limits.max_pixels is None or (size := _size_of(Path(clip))) is None:
            return sampled
        height, width = shrunk_size(*size, limits.max_pixels)
        return sampled.shrunk(min(1.0, height * width / (size[0] * size[1])))

    def shows(self, row: Mapping) -> bool:
        """Whether the frames show what a row of this scene asks about, and its answer holds in them.

        A row that does not say what it names (`objects`) is taken to be shown.
        """
        named = row.get("objects")
        if named is None:
            return True
        firsts: dict[str, list[int | None]] = {}
        for category, pixels_F in zip(self.categories, self.pixels_BF, strict=True):
            frames = np.flatnonzero(pixels_F >= LEAST_PIXELS)
            firsts.setdefault(category, []).append(int(frames[0]) if len(frames) else None)
        if row["question_type"] == "obj_appearance_order":
            return self._in_order(row, firsts)
        return all(name in firsts and None not in firsts[name] for name in named)

    @staticmethod
    def _in_order(row: Mapping, firsts: Mapping[str, list[int | None]]) -> bool:
        seen = {name: min((f for f in firsts.get(name, ()) if f is not None), default=None) for name in row["objects"]}
        if None in seen.values() or len(set(seen.values())) < len(seen):
            return False
        right = [str(text)[3:] for text in row["options"] or () if str(text)[:1] == row["ground_truth"]]
        return ", ".join(sorted(seen, key=seen.__getitem__)) in (right or [row["ground_truth"]])

    def to_dict(self) -> dict:
        """Return what a line of visibility.jsonl holds."""
        return {
            "dataset": self.dataset,
            "scene_name": self.scene_name,
            "categories": list(self.categories),
            "pixels": self.pixels_BF.tolist(),
        }


def visibility_of(room: Room, clip: Clip) -> Visibility:
    """Count the pixels of every box in every frame of a clip of the room."""
    ids = range(len(room.boxes))
    pixels = [(clip.object_ids_FHW == i).sum(axis=(1, 2)) for i in ids]
    shape = (len(room.boxes), len(clip.object_ids_FHW))
    categories = tuple(box.category for box in room.boxes)
    return Visibility(room.dataset, room.name, categories, np.array(pixels, dtype=int).reshape(shape))


def write_visibility(path: str | Path, records: Iterable[Visibility]) -> None:
    """Write a line for each clip, the format `read_visibility` reads."""
    lines = [json.dumps(record.to_dict(), ensure_ascii=False) + "\n" for record in records]
    Path(path).write_text("".join(lines), encoding="utf-8")


def read_visibility(path: str | Path) -> dict[tuple[str, str], Visibility]:
    """Read what `write_visibility` wrote, by data set and scene.

    Raises:
        ValueError: naming the file, and the line and the rule it breaks.
    """
    path, found = Path(path), {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = json.loads(line)
            dataset, scene, categories, pixels = (record[field] for field in _FIELDS)
            pixels_BF = np.array(pixels, dtype=int)
            if not isinstance(categories, list) or len(categories) != len(pixels_BF):
                raise ValueError(f"{len(pixels_BF)} lists of pixels, for the categories {categories!r}")
        except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
            told = f"{type(error).__name__}: {error}"
            raise ValueError(
                f"{where}: is no record of what a clip shows ({told}); build the folder anew, or remove the file: "
                "then every question is asked, shown or not"
            ) from None
        if pixels_BF.ndim == 2 and pixels_BF.size:  # of a room without objects there is nothing to tell
            found[dataset, scene] = Visibility(dataset, scene, tuple(map(str, categories)), pixels_BF)
    return found


def shown_rows(
    rows: Iterable[dict],
    folder: str | Path,
    num_frames: int | None,
    *,
    max_pixels: int | None = None,
    fps: float | None = None,
) -> list[dict]:
    """The rows of a built folder that hold for `num_frames` sampled frames; all, where the build recorded nothing.

    Args:
        rows: of the folder's questions.jsonl.
        folder: holds the record and the clips.
        num_frames: how many frames are sampled; None takes all of a clip.
        max_pixels, fps: as `frame_limits.FrameLimits` takes them.

    Raises:
        ValueError: for a record that cannot be read, or a clip of another length than it was when it was recorded.
    """
    rows, path, limits = list(rows), Path(folder) / VISIBILITY, FrameLimits(num_frames, max_pixels, fps)
    if not path.is_file():
        return rows
    records = read_visibility(path)
    sampled = {}
    for dataset, scene in dict.fromkeys((row["dataset"], row["scene_name"]) for row in rows):
        if (dataset, scene) in records:
            record, clip = records[dataset, scene], Path(folder) / dataset / f"{scene}.mp4"
            _check_length(clip, record.num_frames, path)
            sampled[dataset, scene] = record.limited(clip, limits)
    kept = []
    for row in rows:
        record = sampled.get((row["dataset"], row["scene_name"]))
        if record is None or record.shows(row):
            kept.append(row)
    return kept


def _size_of(clip: Path) -> tuple[int, int] | None:
    """Height and width as the clip's header has them; None for one that cannot be opened: reading it says why."""
    import av

    try:
        with av.open(str(clip)) as container:
            return container.streams.video[0].height, container.streams.video[0].width
    except (OSError, IndexError, av.error.FFmpegError):
        return None


def _check_length(clip: Path, recorded: int, record: Path) -> None:
    """A clip of other frames than were recorded is not the one that was filmed: what it shows is unknown."""
    import av

    try:
        with av.open(str(clip)) as container:
            stated = container.streams.video[0].frames
    except (OSError, IndexError, av.error.FFmpegError):
        return  # reading the clip will say what is wrong with it
    if stated and stated != recorded:
        raise ValueError(
            f"{clip} has {stated} frames, and {record} tells of {recorded}: it is not the clip that was built; put "
            "that one back, or remove the record: then every question is asked, shown or not"
        )
