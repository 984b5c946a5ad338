"""Clips that are no mp4: ScanNet's `.sens` files and folders of pictures, found by a row's scene and read as clips.

ScanNet's films may not be handed on, so everybody gets them from ScanNet by a licence of their own, as `SCENE.sens`.
Such a file has, in little-endian numbers: the version (4) and the sensor's name; four 4 × 4 matrices; how colour and
depth are compressed; both sizes, the depth's unit, the number of frames. Then, for each frame, its pose (16 floats),
two times, the bytes of colour and of depth, and both pictures (github.com/ScanNet/ScanNet, SensReader). Colour is
JPEG, which Pillow reads; depth is stepped over, and only frames that are wanted are decoded. ScanNet's own reader
exports them as `SCENE/color/0.jpg`, `1.jpg`, …

`find_clip` says where a scene lies, `read_clip` reads whatever lies there.
Left out: depth, poses and intrinsics, and frames of more than one size in a clip.
"""

from __future__ import annotations

import io
import math
import os
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from vsr_kit.videos import Video, read_video, sample_frame_indices
from vsr_kit.videos.files import LEAST_SHARE, MOST_BYTES

VIDEO_ENDS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
_PICTURE_ENDS = (".jpg", ".jpeg", ".png")  # the first kind that a folder holds is its kind
_MOST_PIXELS = 100_000_000  # of a frame; a few kilobytes can unfold to more than a memory holds
_VERSION, _LONGEST_NAME = 4, 1000
_BEFORE, _MATRICES, _SETTINGS = struct.Struct("<IQ"), struct.Struct("<64f"), struct.Struct("<ii4IfQ")
_FRAME = struct.Struct("<16f4Q")
_COLOURS = {-1: "unknown", 0: "raw", 1: "PNG", 2: "JPEG"}
_COPY = "copy it again from where it came"


def clip_path(root: str | Path, dataset: str, scene_name: str) -> Path:
    """Where VSI-Bench keeps a video: `{root}/{dataset}/{scene_name}.mp4`. Names that lead elsewhere are refused."""
    for name in (dataset, scene_name):
        if not name or name.startswith(".") or set(name) & set("/\\:\0"):
            raise ValueError(f"{name!r} cannot name a folder or clip: no dot in front, none of / \\ :, and not empty")
    return Path(root) / dataset / f"{scene_name}.mp4"


def find_clip(root: str | Path, dataset: str, scene_name: str) -> Path:
    """Where a scene's clip lies below `root`; VSI-Bench's place for it, where there is none.

    Looked for in this order, with VIDEO_ENDS for the end and `scans` for ScanNet's own folder:
    `{dataset}/{scene}.mp4`, `{scene}.mp4`; then `{scene}.sens` and, in a folder `{scene}`, `{scene}.sens`,
    `{scene}.mp4`, pictures in `color/`, pictures; the folder in `{dataset}`, in `scans`, or in `root` itself.

    Raises:
        ValueError: names that lead elsewhere.
    """
    usual, root = clip_path(root, dataset, scene_name), Path(root)
    places = [root / dataset, root, root / "scans"]
    for place in places[:2]:
        if film := _film(place, scene_name):
            return film
    for place in places:
        for found in (place / f"{scene_name}.sens", place / scene_name / f"{scene_name}.sens"):
            if found.is_file():
                return found
        if film := _film(place / scene_name, scene_name):
            return film
        for folder in (place / scene_name / "color", place / scene_name):
            if folder.is_dir() and _pictures(folder):
                return folder
    return usual


def _film(folder: Path, scene_name: str) -> Path | None:
    """The first of a scene's video files in a folder."""
    paths = (folder / f"{scene_name}{end}" for each in VIDEO_ENDS for end in (each, each.upper()))
    return next((path for path in paths if path.is_file()), None)


def read_clip(path: str | Path, num_frames: int | None = None, max_side_px: int | None = None) -> Video:
    """Read a clip of any kind: a video file, a `.sens` file, or a folder of pictures.

    Args:
        path: as `find_clip` gives it.
        num_frames: sample so many frames uniformly, first and last included; all of them by default.
        max_side_px: shrink frames whose longer side is above it.

    Raises:
        ValueError: naming the file and what is wrong with it.
    """
    path = Path(path)
    if path.is_dir():
        pictures = _pictures(path)
        if not pictures:
            raise ValueError(f"{path}: holds no {', '.join(_PICTURE_ENDS)}; put the scene's frames there")
        return _sampled(path, len(pictures), lambda i: _opened(pictures[i], str(pictures[i])), num_frames, max_side_px)
    if path.suffix.lower() != ".sens":
        return read_video(path, num_frames, max_side_px)
    try:
        with path.open("rb") as stream:
            stated, places = _frame_places(stream, path)
            read = _reader(stream, places, path)
            video = _sampled(path, len(places), read, num_frames, max_side_px)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error}); {_COPY}") from error
    if len(places) < stated:
        video.notes["missing"] = f"has {len(places)} of the {stated} frames that it says it has"
    return video


def _pictures(folder: Path) -> list[Path]:
    """A folder's pictures of the first kind that it has, in the order of the numbers in their names; no depth."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and "depth" not in entry.name]
    for end in _PICTURE_ENDS:
        if own := [name for name in names if name.lower().endswith(end)]:
            return [folder / name for name in sorted(own, key=_by_number)]
    return []


def _by_number(name: str) -> tuple:
    """The key by which frame 2 comes before frame 10."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name))


def _sampled(
    path: Path, total: int, read: Callable[[int], Image.Image], num_frames: int | None, max_side_px: int | None
) -> Video:
    """The clip of `total` frames that `read` opens one by one."""
    indices: Sequence[int] = range(total) if num_frames is None else sample_frame_indices(total, num_frames).tolist()
    frames: dict[int, np.ndarray] = {}
    size = None
    for i in indices:
        if i in frames:
            continue
        picture = read(i)
        size = size or picture.size
        if picture.size != size:
            raise ValueError(
                f"{path}: frame {i} has {picture.width} × {picture.height} px, the first one {size[0]} × {size[1]}: "
                "frames of a clip have one size; make them so"
            )
        frames[i] = np.asarray(_shrunk(picture, max_side_px))
        if frames[i].nbytes * len(indices) > MOST_BYTES:
            raise ValueError(
                f"{path}: {len(indices)} frames of {size[0]} × {size[1]} px take more than "
                f"{MOST_BYTES // 2**30} GiB; sample fewer, with num_frames (--frames)"
            )
    notes = {}
    if num_frames is not None and total < num_frames:
        notes["few"] = f"has {total} frames, fewer than the {num_frames} asked for: some are shown several times"
    return Video(np.stack([frames[i] for i in indices]), notes)


def _opened(source: Path | io.BytesIO, named: str) -> Image.Image:
    """A picture as a viewer shows it, RGB."""
    try:
        with Image.open(source) as picture:
            if math.prod(picture.size) > _MOST_PIXELS:
                raise ValueError(f"{picture.width} × {picture.height} px are above {_MOST_PIXELS:,}")
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, MemoryError) as error:
        raise ValueError(f"{named}: not readable as a picture ({error}); {_COPY}") from error


def _shrunk(picture: Image.Image, max_side_px: int | None) -> Image.Image:
    share = 1 if max_side_px is None else max_side_px / max(picture.size)
    if share >= 1:
        return picture
    width, height = (max(1, round(side * share)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _frame_places(stream: BinaryIO, path: Path) -> tuple[int, list[tuple[int, int]]]:
    """How many frames a `.sens` file says it has, and where and how long the colour pictures of those are that it has.

    Raises:
        ValueError: no such file, another version, colours that are no JPEG or PNG, too few frames.
    """
    size = os.fstat(stream.fileno()).st_size
    version, length = _unpacked(_BEFORE, stream, path)
    if version != _VERSION or length > _LONGEST_NAME:
        raise ValueError(
            f"{path}: is no .sens file of version {_VERSION} (it begins with {version}, and a name of {length} bytes); "
            "give ScanNet's own file, or frames extracted from it"
        )
    stream.seek(length, os.SEEK_CUR)
    _unpacked(_MATRICES, stream, path)
    colours, *_, stated = _unpacked(_SETTINGS, stream, path)
    if colours not in (1, 2):
        kind = _COLOURS.get(colours, colours)
        raise ValueError(f"{path}: its colours are stored as {kind}, must be JPEG or PNG; extract its frames instead")
    places = list(_walk(stream, stated, size))
    if len(places) < max(1, LEAST_SHARE * stated):
        raise ValueError(
            f"{path}: has {len(places)} of the {stated} frames that it says it has, below {LEAST_SHARE:.0%}; {_COPY}"
        )
    return stated, places


def _unpacked(form: struct.Struct, stream: BinaryIO, path: Path) -> tuple:
    data = stream.read(form.size)
    if len(data) < form.size:
        raise ValueError(f"{path}: ends inside its head, no .sens file is so short; {_COPY}")
    return form.unpack(data)


def _walk(stream: BinaryIO, stated: int, size: int) -> Iterator[tuple[int, int]]:
    """(offset, length) of each frame's colours, up to the first frame that is not whole."""
    at = stream.tell()
    for _ in range(stated):
        stream.seek(at)
        head = stream.read(_FRAME.size)
        if len(head) < _FRAME.size:
            return
        *_, colour, depth = _FRAME.unpack(head)
        at += _FRAME.size
        if colour > size - at or depth > size - at - colour:
            return
        yield at, colour
        at += colour + depth


def _reader(stream: BinaryIO, places: Sequence[tuple[int, int]], path: Path) -> Callable[[int], Image.Image]:
    def read(i: int) -> Image.Image:
        at, length = places[i]
        stream.seek(at)
        return _opened(io.BytesIO(stream.read(length)), f"{path}, frame {i}")

    return read
