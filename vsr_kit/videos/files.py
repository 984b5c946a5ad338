"""Video files, through PyAV: the kit's clips written reproducibly, and any clip read.

Writing: the same frames give the same bytes. Reading returns what a player shows: turned and mirrored as the file's
display matrix says, with square pixels. Video files in the wild are cut, damaged or hold no video at all. Missing
frames are reported with both counts; if too many are missing the clip is refused, because frames sampled from the rest
would show a different walk.
Left out: deinterlacing, transparency (dropped), HDR tone mapping, sound, seeking (every frame is decoded, since indices
must be exact), damage that still decodes, and a cut in a container that states no length.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

# Of the frames (or, where a container does not count them, the seconds) that a file says it has: below this it is
# refused. Sampling evenly over nine tenths moves a frame by at most a tenth of the clip, as far as 8 of 10 frames lie
# apart; with less, frames stand for moments that were not filmed together.
LEAST_SHARE = 0.9
MOST_BYTES = 4 * 2**30  # frames of one clip in memory
_OLDEST_SAR, _WIDEST_SAR = Fraction(1, 4), Fraction(4)
# Mean error below one grey level. Macroblock-tree reads ahead over threads and memory: with it, x264 gave other bytes
# for the same frames. One thread, since the number of threads changes the bytes, too.
_ENCODING = {"crf": "14", "preset": "veryslow", "tune": "animation", "x264-params": "mbtree=0:threads=1"}


def sample_frame_indices(total: int, num_frames: int) -> np.ndarray:
    """Uniform frame indices, first and last included, as qwen-vl-utils takes them for Qwen2-VL, to the last rounding.

    (The sampler inside transformers steps by `total / num_frames` instead and never takes the last frame.)
    """
    if total < 1 or num_frames < 1:
        raise ValueError(f"cannot take {num_frames} of {total} frames: both must be at least 1")
    place, last = np.arange(num_frames, dtype=np.float32), np.float32(total - 1)
    step = last / np.float32(max(num_frames - 1, 1))
    from_the_end = last - step * (num_frames - 1 - place)  # torch.linspace fills its second half backwards, in float32
    return np.where(place < max(num_frames // 2, 1), step * place, from_the_end).round().astype(int)


def write_mp4(path: str | Path, frames_FHW3: np.ndarray, fps: int = 4) -> None:
    """Write uint8 frames as H.264 (4:4:4, near lossless, so that small pictures keep their colours).

    The same frames give the same bytes, in every process and on any number of cores.
    """
    import av

    frames = np.asarray(frames_FHW3)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        got = f"shape {frames.shape} and type {frames.dtype}"
        raise ValueError(f"frames have {got}: give uint8 of shape (F, H, W, 3) with F of at least 1")
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:  # no time, no version of the writer
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.options = "yuv444p", _ENCODING
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


@dataclass(frozen=True)
class Video:
    """What was read of a video file.

    Attributes:
        frames_FHW3: uint8 pictures.
        notes: what a user of the frames should know, by kind (`few`, `missing`, `pixels`); empty for most files.
    """

    frames_FHW3: np.ndarray
    notes: dict[str, str]


def read_mp4(path: str | Path, num_frames: int | None = None, max_side_px: int | None = None) -> np.ndarray:
    """`read_video`'s frames, uint8 of shape (F, H, W, 3); its notes are given as warnings."""
    video = read_video(path, num_frames, max_side_px)
    for note in video.notes.values():
        warnings.warn(f"{path}: {note}", stacklevel=2)
    return video.frames_FHW3


def read_video(path: str | Path, num_frames: int | None = None, max_side_px: int | None = None) -> Video:
    """Read a video as a player would show it.

    Args:
        path: any file PyAV can read.
        num_frames: sample so many frames uniformly; only these are kept in memory.
        max_side_px: shrink frames whose longer side is above it.

    Raises:
        ValueError: naming the file and what is wrong: no video in it, a picture, frames of several sizes, fewer than
            `LEAST_SHARE` of the frames it says it has, more than `MOST_BYTES` of pictures.
    """
    import av

    try:
        found = _decode(path, None if num_frames is None else set(), max_side_px, num_frames)
        if num_frames is not None and found.total != found.sampled_of:
            found = _decode(path, set(_indices(found.total, num_frames)), max_side_px, None, found.total)
    except (OSError, MemoryError, av.error.FFmpegError) as error:
        why = getattr(error, "strerror", None) or error
        remedy = "copy it again from where it came, or write one with write_mp4"
        raise ValueError(f"{path}: not readable as video ({why}); {remedy}") from error
    notes = found.notes | _missing(path, found)
    if num_frames is not None and found.total < num_frames:
        notes["few"] = f"has {found.total} frames, fewer than the {num_frames} asked for: some are shown several times"
    return Video(np.stack([found.frames[i] for i in _indices(found.total, num_frames)]), notes)


def _indices(total: int, num_frames: int | None) -> list[int]:
    if num_frames is None or not total:
        return list(range(total))
    return sample_frame_indices(total, num_frames).tolist()


@dataclass
class _Found:
    """What one pass over a file found: kept frames by index, counts, and how far the packets reach in seconds."""

    frames: dict[int, np.ndarray] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    total: int = 0
    damaged: int = 0
    stated: int = 0  # the header's word; some containers leave it at 0
    hidden: int = 0  # frames that the file itself cuts away (an edit list)
    sampled_of: int | None = None
    stated_s: float | None = None
    first_s: float = math.inf
    last_s: float = 0.0


def _decode(
    path: str | Path, wanted: set[int] | None, max_side_px: int | None, num_frames: int | None, sampled_of: int = 0
) -> _Found:
    """One pass over a file: keep the wanted frames (None: all; or `num_frames` of as many as the header says)."""
    import av

    found = _Found(sampled_of=sampled_of or None)
    with av.open(str(path)) as container:
        stream = _video_stream(path, container)
        found.stated, found.stated_s = stream.frames, container.duration and container.duration / 1e6
        if num_frames is not None and found.stated:
            found.sampled_of, wanted = found.stated, set(_indices(found.stated, num_frames))
        stretch = _stretch(stream, found.notes)
        size = None
        for frame in _frames(container, stream, found):
            found.total += 1
            found.damaged += frame.is_corrupt
            size = size or (frame.width, frame.height)
            if (frame.width, frame.height) != size:
                sizes = f"{size[0]} × {size[1]} to {frame.width} × {frame.height}"
                raise ValueError(f"{path}: the size changes from {sizes} at frame {found.total}; write it at one size")
            if wanted is None or found.total - 1 in wanted:
                found.frames[found.total - 1] = _picture(path, frame, stretch, max_side_px)
                _check_memory(path, found, wanted)
        if found.total == 1 and container.duration is None:
            raise ValueError(f"{path}: is a picture, not a video; write its frames with write_mp4")
    return found


def _video_stream(path: str | Path, container):
    """The first stream that is a video: not the cover of a song."""
    import av

    if container.format.name.endswith("_pipe"):
        raise ValueError(
            f"{path}: is a picture ({container.format.name[:-5]}), not a video; write frames with write_mp4"
        )
    cover = av.stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover:
            return stream
    kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise ValueError(f"{path}: holds no video, only {kinds}; give a file with pictures, such as write_mp4 writes")


def _frames(container, stream, found: _Found):
    """Frames as they come. A packet that cannot be decoded is passed over: the counts tell that it is missing."""
    import av

    packets, numbered, following = container.demux(), container.format.name == "avi", 0
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError):
            break
        time = packet.dts if packet.pts is None else packet.pts
        if time is not None and packet.time_base is not None:
            found.first_s = min(found.first_s, float(time * packet.time_base))
            found.last_s = max(found.last_s, float((time + (packet.duration or 0)) * packet.time_base))
        if packet.stream.index == stream.index:
            found.hidden += packet.is_discard
            if numbered and time is not None:  # an empty chunk of AVI: the frame before it stays, and none is missing
                found.hidden += max(0, time - following)
                following = time + 1
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                found.damaged += 0 if found.stated else 1
    with contextlib.suppress(av.error.FFmpegError, EOFError):
        yield from stream.decode(None)  # what the decoder still holds, where the file ended without warning


def _stretch(stream, notes: dict[str, str]) -> tuple[float, float]:
    """Factors of width and height that make pixels square; never below 1, so that nothing is lost."""
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)
    if ratio <= 0 or ratio == 1:
        return 1.0, 1.0
    if not _OLDEST_SAR <= ratio <= _WIDEST_SAR:
        notes["pixels"] = f"says that its pixels are {ratio} as wide as high, which is not believed: taken as square"
        return 1.0, 1.0
    return max(1.0, float(ratio)), max(1.0, float(1 / ratio))


def _picture(path: str | Path, frame, stretch: tuple[float, float], max_side_px: int | None) -> np.ndarray:
    """A frame as it is shown, uint8 (H, W, 3): square pixels, shrunk, turned and mirrored."""
    width, height = frame.width * stretch[0], frame.height * stretch[1]
    shrink = min(1.0, (max_side_px or math.inf) / max(width, height))
    if width * height * shrink**2 * 3 > MOST_BYTES:
        raise ValueError(f"{path}: a frame of {frame.width} × {frame.height} is too large; give max_side_px")
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    return _turned(path, frame.to_ndarray(format="rgb24", width=size[0], height=size[1]), frame)


def _turned(path: str | Path, picture: np.ndarray, frame) -> np.ndarray:
    """Apply the display matrix: a pixel (x, y) is shown at (a x + c y, b x + d y), shifted into view."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32)[:9] / 65536
    if max(abs(b), abs(c)) <= 0.01 * max(abs(a), abs(d)):
        across, down = a, d
    elif max(abs(a), abs(d)) <= 0.01 * max(abs(b), abs(c)):
        picture, across, down = picture.swapaxes(0, 1), c, b
    else:
        raise ValueError(
            f"{path}: is to be shown at a slant ({frame.rotation} degrees); turn it by quarters, write again"
        )
    return np.ascontiguousarray(picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1])


def _check_memory(path: str | Path, found: _Found, wanted: set[int] | None) -> None:
    count = max(found.stated, found.total) if wanted is None else len(wanted)
    each = next(iter(found.frames.values())).nbytes
    if count * each > MOST_BYTES:
        size = f"{count} frames take {count * each / 2**30:.1f} GiB, above {MOST_BYTES / 2**30:.0f}"
        raise ValueError(f"{path}: {size}; give num_frames, or max_side_px")


def _missing(path: str | Path, found: _Found) -> dict[str, str]:
    """What to say of a file that is not whole; ValueError where too little of it is."""
    expected, whole = max(found.stated - found.hidden, found.total), found.total - found.damaged
    if not expected:
        raise ValueError(f"{path}: holds no frame that can be read; write it again with write_mp4")
    share, told = whole / expected, f"{whole} of the {expected} frames it says it has can be read whole"
    if not found.stated and found.stated_s and math.isfinite(found.first_s):
        reach = found.last_s - (found.first_s if not 0 <= found.first_s < 1 else 0)
        if reach < min(0.98 * found.stated_s, found.stated_s - 0.2):
            share *= reach / found.stated_s
            told = f"{reach:.1f} of the {found.stated_s:.1f} seconds it says it has can be read, {whole} whole frames"
    if share >= 1:
        return {}
    if share < LEAST_SHARE:
        rule = f"a clip needs {LEAST_SHARE:.0%} of them"
        raise ValueError(f"{path}: only {told}: {rule}; copy it again from where it came, or leave it out")
    return {"missing": f"{told}: it is cut or damaged, and frames are sampled from the rest"}
