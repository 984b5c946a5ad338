"""Clips on disk, found by the rows that ask about them and read when they are used.

VSI-Bench's layout, and ScanNet's; scans.py says which places are looked into, and reads what lies there.

`load_clips` takes any folder of videos: the kit's, the benchmark's or a user's own. `whole_clips` reads every clip once
before anything is asked, so that all missing or broken ones are reported at the start and can be left out together with
their questions. Limits of frames and pixels (videos/frame_limits.py) hold for all of them.

Clips are decoded by several threads (FFmpeg works outside Python's lock), and `ahead` begins with those that will be
needed next. What memory does not hold is read again, from a cache on disk where there is one (frame_cache.py).
Left out: downloading videos, and repairing them.
"""

from __future__ import annotations

import math
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from vsr_kit.data.frame_cache import FrameCache
from vsr_kit.data.scans import find_clip, read_clip
from vsr_kit.videos import Video
from vsr_kit.videos.frame_limits import FrameLimits, shrink

MEMORY_MB = 2000
_NAMED = 3  # broken clips that an error names one by one
_KINDS = {
    "missing": "clips are not whole",
    "few": "clips have fewer frames than were asked for",
    "pixels": "clips have odd pixels",
    "shrunk": "clips are larger than the limit of pixels",
}


class ClipFolder(Mapping[str, np.ndarray]):
    """Clips on disk by scene name, each read when it is first asked for: uint8 frames, shape (F, H, W, 3).

    The benchmark's videos do not fit into memory together, so the ones not used for longest are let go above
    `memory_mb`. `load_clips` makes it.

    Attributes:
        notes: of each clip that was read, what is to know about it (`videos.Video`).
        shapes: (F, H, W, 3) of each clip that was read.
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        num_frames: int | None = None,
        max_side_px: int | None = None,
        memory_mb: float = MEMORY_MB,
        *,
        max_pixels: int | None = None,
        fps: float | None = None,
        cache: FrameCache | None = None,
    ) -> None:
        self._paths, self._num_frames, self._max_side_px = dict(paths), num_frames, max_side_px
        self._memory_bytes, self._kept = memory_mb * 1e6, {}
        self._limits, self._cache = FrameLimits(num_frames, max_pixels, fps), cache
        self._ahead: dict[str, Future[Video]] = {}
        self._threads: ThreadPoolExecutor | None = None
        self.notes: dict[str, dict[str, str]] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def __getstate__(self) -> dict:
        """Without what is being read ahead: threads cannot be copied."""
        return {**self.__dict__, "_ahead": {}, "_threads": None}

    def __getitem__(self, scene_name: str) -> np.ndarray:
        told = scene_name in self.notes
        frames = self.read(scene_name)
        for kind, note in {} if told else self.notes[scene_name].items():
            if kind != "shrunk":  # which was asked for
                warnings.warn(f"{self._paths[scene_name]}: {note}", stacklevel=2)
        return frames

    def read(self, scene_name: str) -> np.ndarray:
        """The frames of a clip; what is to know about it goes into `notes` and, unlike with `clips[name]`, no further.

        Raises:
            KeyError: an unknown scene.
            ValueError: a clip that cannot be read.
        """
        if scene_name not in self._kept:
            begun = self._ahead.pop(scene_name, None)
            video = self._video(scene_name) if begun is None else begun.result()
            self._kept[scene_name], self.notes[scene_name] = video.frames_FHW3, video.notes
            self.shapes[scene_name] = video.frames_FHW3.shape
        self._kept[scene_name] = self._kept.pop(scene_name)  # most recent last
        while len(self._kept) > 1 and sum(frames.nbytes for frames in self._kept.values()) > self._memory_bytes:
            del self._kept[next(iter(self._kept))]
        return self._kept[scene_name]

    def ahead(self, scene_names: Iterable[str]) -> None:
        """Begin to read scenes in threads, so that `clips[name]` finds them ready; what fails says so there.

        What was begun is held until it is asked for; as far as sizes are known, no more is begun than `memory_mb`.
        """
        for name in scene_names:
            begun = [*self._ahead, name] if self._ahead else []
            if sum(math.prod(self.shapes.get(each, ())) for each in begun) > self._memory_bytes:
                return
            if name in self._paths and name not in self._kept and name not in self._ahead:
                self._threads = self._threads or ThreadPoolExecutor(decoding_threads(), "decoding")
                self._ahead[name] = self._threads.submit(self._video, name)

    def _video(self, scene_name: str) -> Video:
        """What lies on disk or in the cache; `pictures.PictureClips` reads pictures, too."""
        path, limits = self._paths[scene_name], self._limits

        def decode() -> Video:
            video = read_clip(path, limits.frames_of(path), self._max_side_px)
            try:
                frames = shrink(video.frames_FHW3, limits.max_pixels)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from None
            return Video(frames, video.notes | _shrunk(video.frames_FHW3, frames))

        if self._cache is None:
            return decode()
        return self._cache.video(path, {**vars(limits), "max_side_px": self._max_side_px}, decode)

    def drop(self, scene_names: Iterable[str]) -> None:
        """Forget some scenes."""
        for name in scene_names:
            for own in (self._paths, self._kept, self.notes, self.shapes, self._ahead):
                own.pop(name, None)

    def __contains__(self, scene_name: object) -> bool:
        return scene_name in self._paths  # Mapping's own would read the clip

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _shrunk(before_FHW3: np.ndarray, after_FHW3: np.ndarray) -> dict[str, str]:
    if before_FHW3 is after_FHW3:
        return {}
    (_, high, wide, _), (_, height, width, _) = before_FHW3.shape, after_FHW3.shape
    return {"shrunk": f"is {wide} × {high} and is shown at {width} × {height}; --pixels (max_pixels) sets the limit"}


def decoding_threads() -> int:
    """Threads that decode videos: this process's share of the cores, 8 at most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = os.environ.get("LOCAL_WORLD_SIZE", "")  # of one launch on this machine
    return max(1, min(8, cores // (int(processes) if processes.isdigit() and int(processes) else 1)))


def load_clips(
    rows: Iterable[dict],
    root: str | Path,
    num_frames: int | None = None,
    max_side_px: int | None = None,
    memory_mb: float = MEMORY_MB,
    *,
    max_pixels: int | None = None,
    fps: float | None = None,
    cache: FrameCache | None = None,
) -> ClipFolder:
    """Find the clips that rows ask about; each is read when it is used.

    Args:
        rows: any rows with `dataset` and `scene_name`.
        root: the folder that holds `{dataset}/{scene_name}.mp4` (ours, the benchmark's unpacked zips, or your own), or
            ScanNet's scans; `scans.find_clip` has all places.
        num_frames: sample so many frames uniformly; all of them by default.
        max_side_px: shrink larger frames.
        memory_mb: most memory to keep frames in.
        max_pixels, fps: of a frame, and frames a second instead of `num_frames` (then their cap); see FrameLimits.
        cache: of decoded frames.

    Raises:
        ValueError: if a clip is missing, or two data sets have a scene of the same name.
    """
    paths = clip_paths(rows, root)
    missing = [path for path in paths.values() if not path.exists()]
    if missing:
        raise ValueError(f"{len(missing)} of {len(paths)} clips are missing, first {missing[0]}: put them there")
    return ClipFolder(paths, num_frames, max_side_px, memory_mb, max_pixels=max_pixels, fps=fps, cache=cache)


def clip_paths(rows: Iterable[dict], root: str | Path) -> dict[str, Path]:
    """Where the clips of rows should be, by scene name.

    Raises:
        ValueError: two data sets have a scene of the same name, or a name leads elsewhere.
    """
    paths: dict[str, Path] = {}
    of: dict[str, str] = {}
    for row in rows:
        scene, dataset = row["scene_name"], row["dataset"]
        if of.setdefault(scene, dataset) != dataset:
            path = find_clip(root, dataset, scene)
            raise ValueError(f"scene {scene!r} is in two data sets, {path} is one: load each on its own")
        if scene not in paths:
            paths[scene] = find_clip(root, dataset, scene)
    return paths


def whole_clips(
    rows: Sequence[dict],
    root: str | Path,
    num_frames: int | None = None,
    skip_broken: bool = False,
    progress=False,
    *,
    max_pixels: int | None = None,
    fps: float | None = None,
    cache: FrameCache | None = None,
) -> tuple[list[dict], ClipFolder, tuple[str, ...], tuple[str, ...]]:
    """Read the clips of rows once, and keep what can be asked.

    Args:
        rows, root, num_frames, max_pixels, fps, cache: as `load_clips` takes them.
        skip_broken: leave out rooms whose clip is missing or broken instead of refusing them all.
        progress: show a bar.

    Returns:
        The rows that are left, their clips, a line for each clip left out, and a line for each kind of thing to know
        about the others (frames missing, fewer than asked), with how many clips it is true of.

    Raises:
        ValueError: naming the broken clips, first ones with their reasons; with `skip_broken`, if none is left.
    """
    paths = clip_paths(rows, root)
    clips = ClipFolder(paths, num_frames, max_pixels=max_pixels, fps=fps, cache=cache)
    broken = read_all(clips, paths, progress)
    if broken and (not skip_broken or len(broken) == len(paths)):
        raise ValueError(_told(broken, len(paths)))
    clips.drop(broken)
    asked = Counter(row["scene_name"] for row in rows)
    left_out = [f"{why} ({asked[scene]} questions left out)" for scene, why in broken.items()]
    kept = [row for row in rows if row["scene_name"] not in broken]
    return kept, clips, tuple(left_out), tuple(_notes(clips, paths))


def read_all(clips: ClipFolder, paths: Mapping[str, Path], progress: bool = False) -> dict[str, str]:
    """Read every clip once, several at a time; why the missing and the broken ones could not be, by scene name."""
    from tqdm import tqdm

    broken, scenes, window = {}, list(paths), 2 * decoding_threads()
    for at, scene in enumerate(tqdm(scenes, desc="reading clips", unit="clip", disable=not progress)):
        clips.ahead(scenes[at : at + window])
        try:
            clips.read(scene)
        except ValueError as error:
            broken[scene] = str(error) if paths[scene].exists() else f"{paths[scene]}: is missing"
    return broken


def _told(broken: Mapping[str, str], total: int) -> str:
    first = "; ".join(list(broken.values())[:_NAMED])
    more = f"; and {len(broken) - _NAMED} more: {', '.join(list(broken)[_NAMED:])}" if len(broken) > _NAMED else ""
    remedy = "mend them" if len(broken) == total else "mend them, or go on without their rooms: --skip-broken-clips"
    return f"{len(broken)} of {total} clips are missing or broken: {first}{more}. Remedy: {remedy}"


def _notes(clips: ClipFolder, paths: Mapping[str, Path]) -> Iterator[str]:
    for kind, what in _KINDS.items():
        told = [scene for scene, notes in clips.notes.items() if kind in notes]
        if told:
            yield f"{len(told)} of {len(clips)} {what}, first {paths[told[0]]}: {clips.notes[told[0]][kind]}"
