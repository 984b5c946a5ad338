"""Clips on disk, found by the rows that ask about them and read when they are used.

VSI-Bench's layout, and ScanNet's; scans.py says which places are looked into, and reads what lies there.

`load_clips` takes any folder of videos: the kit's, the benchmark's or a user's own. `whole_clips` reads every clip once
before anything is asked, so that all missing or broken ones are reported at the start and can be left out together with
their questions.
Left out: downloading videos, and repairing them.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vsr_kit.data.scans import find_clip, read_clip
from vsr_kit.videos import Video

MEMORY_MB = 2000
_NAMED = 3  # broken clips that an error names one by one
_KINDS = {
    "missing": "clips are not whole",
    "few": "clips have fewer frames than were asked for",
    "pixels": "clips have odd pixels",
}


class ClipFolder(Mapping[str, np.ndarray]):
    """Clips on disk by scene name, each read when it is first asked for: uint8 frames, shape (F, H, W, 3).

    The benchmark's videos do not fit into memory together, so the ones not used for longest are let go above
    `memory_mb`. `load_clips` makes it.

    Attributes:
        notes: of each clip that was read, what is to know about it (`videos.Video`).
    """

    def __init__(
        self,
        paths: Mapping[str, Path],
        num_frames: int | None = None,
        max_side_px: int | None = None,
        memory_mb: float = MEMORY_MB,
    ) -> None:
        self._paths, self._num_frames, self._max_side_px = dict(paths), num_frames, max_side_px
        self._memory_bytes, self._kept = memory_mb * 1e6, {}
        self.notes: dict[str, dict[str, str]] = {}

    def __getitem__(self, scene_name: str) -> np.ndarray:
        told = scene_name in self.notes
        frames = self.read(scene_name)
        for note in () if told else self.notes[scene_name].values():
            warnings.warn(f"{self._paths[scene_name]}: {note}", stacklevel=2)
        return frames

    def read(self, scene_name: str) -> np.ndarray:
        """The frames of a clip; what is to know about it goes into `notes` and, unlike with `clips[name]`, no further.

        Raises:
            KeyError: an unknown scene.
            ValueError: a clip that cannot be read.
        """
        if scene_name not in self._kept:
            video = self._video(scene_name)
            self._kept[scene_name], self.notes[scene_name] = video.frames_FHW3, video.notes
        self._kept[scene_name] = self._kept.pop(scene_name)  # most recent last
        while len(self._kept) > 1 and sum(frames.nbytes for frames in self._kept.values()) > self._memory_bytes:
            del self._kept[next(iter(self._kept))]
        return self._kept[scene_name]

    def _video(self, scene_name: str) -> Video:
        """What lies on disk; `pictures.PictureClips` reads pictures, too."""
        return read_clip(self._paths[scene_name], self._num_frames, self._max_side_px)

    def drop(self, scene_names: Iterable[str]) -> None:
        """Forget some scenes."""
        for name in scene_names:
            for own in (self._paths, self._kept, self.notes):
                own.pop(name, None)

    def __contains__(self, scene_name: object) -> bool:
        return scene_name in self._paths  # Mapping's own would read the clip

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def load_clips(
    rows: Iterable[dict],
    root: str | Path,
    num_frames: int | None = None,
    max_side_px: int | None = None,
    memory_mb: float = MEMORY_MB,
) -> ClipFolder:
    """Find the clips that rows ask about; each is read when it is used.

    Args:
        rows: any rows with `dataset` and `scene_name`.
        root: the folder that holds `{dataset}/{scene_name}.mp4` (ours, the benchmark's unpacked zips, or your own), or
            ScanNet's scans; `scans.find_clip` has all places.
        num_frames: sample so many frames uniformly; all of them by default.
        max_side_px: shrink larger frames.
        memory_mb: most memory to keep frames in.

    Raises:
        ValueError: if a clip is missing, or two data sets have a scene of the same name.
    """
    paths = _paths(rows, root)
    missing = [path for path in paths.values() if not path.exists()]
    if missing:
        raise ValueError(f"{len(missing)} of {len(paths)} clips are missing, first {missing[0]}: put them there")
    return ClipFolder(paths, num_frames, max_side_px, memory_mb)


def _paths(rows: Iterable[dict], root: str | Path) -> dict[str, Path]:
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
    rows: Sequence[dict], root: str | Path, num_frames: int | None = None, skip_broken: bool = False, progress=False
) -> tuple[list[dict], ClipFolder, tuple[str, ...], tuple[str, ...]]:
    """Read the clips of rows once, and keep what can be asked.

    Args:
        rows, root, num_frames: as `load_clips` takes them.
        skip_broken: leave out rooms whose clip is missing or broken instead of refusing them all.
        progress: show a bar.

    Returns:
        The rows that are left, their clips, a line for each clip left out, and a line for each kind of thing to know
        about the others (frames missing, fewer than asked), with how many clips it is true of.

    Raises:
        ValueError: naming the broken clips, first ones with their reasons; with `skip_broken`, if none is left.
    """
    from tqdm import tqdm

    paths = _paths(rows, root)
    clips, broken = ClipFolder(paths, num_frames), {}
    for scene, path in tqdm(paths.items(), desc="reading clips", unit="clip", disable=not progress):
        try:
            clips.read(scene)
        except ValueError as error:
            broken[scene] = str(error) if path.exists() else f"{path}: is missing"
    if broken and (not skip_broken or len(broken) == len(paths)):
        raise ValueError(_told(broken, len(paths)))
    clips.drop(broken)
    asked = Counter(row["scene_name"] for row in rows)
    left_out = [f"{why} ({asked[scene]} questions left out)" for scene, why in broken.items()]
    kept = [row for row in rows if row["scene_name"] not in broken]
    return kept, clips, tuple(left_out), tuple(_notes(clips, paths))


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
