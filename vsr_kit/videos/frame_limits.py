"""How much of a clip a model is shown: how many frames, how many pixels of each, and the video tokens that these cost.

A limit of pixels holds for a frame of any shape. A frame within it stays as it is; a larger one is shrunk to the size
that Qwen2-VL's own rule (`smart_resize`) gives for that bound: sides of multiples of 28 px, the aspect kept as nearly
as these allow. Shrinking is Pillow's bicubic, which averages over all pixels that become one (no aliasing), and so
gives bit for bit what the kit's video processor would make of the whole frame under the same bound. Nothing is enlarged
here; a processor enlarges what lies below its own least size.

A token stands for 28 x 28 px of two frames. `video_tokens` counts them from sizes alone, so that the cost of a clip is
known before a model is loaded.
Left out: limits of the kit's own on all frames of a clip together, and in the sides of Qwen3-VL (32 px): what is shrunk
here to multiples of 28 px, its processor brings to multiples of 32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from vsr_kit.validation import real, whole

SIDE_PX = 28  # of what becomes one token: 2 x 2 patches of 14 px
MOST_ASPECT = 200  # Qwen2-VL's own bound
# By rate: qwen-vl-utils' numbers of frames (FPS_MIN_FRAMES, FPS_MAX_FRAMES), which are even, since two make a token.
_LEAST_FRAMES, _MOST_FRAMES, _FRAMES_A_TOKEN = 4, 768, 2


@dataclass(frozen=True)
class PixelBounds:
    """What a video processor does to a frame's size; Qwen2-VL's hub files have these numbers.

    Attributes:
        least, most: pixels of a frame, between which it is resized.
        side: of a token, in pixels.
        frames: that become one token.
        of_clip: whether `least` and `most` bound all frames of a clip together, as Qwen3-VL's do.
    """

    least: int = 3_136
    most: int = 12_845_056
    side: int = SIDE_PX
    frames: int = _FRAMES_A_TOKEN
    of_clip: bool = False


def bounds_of(processor) -> PixelBounds:
    """The bounds of a processor's video half."""
    video = processor.video_processor
    side, of_clip = video.patch_size * video.merge_size, type(video).__name__ == "Qwen3VLVideoProcessor"
    least, most = video.size["shortest_edge"], video.size["longest_edge"]
    return PixelBounds(least, most, side, video.temporal_patch_size, of_clip)


def smart_size(height: int, width: int, bounds: PixelBounds, num_frames: int = 1) -> tuple[int, int]:
    """Height and width after a processor's `smart_resize`: multiples of the token's side, between the bounds.

    num_frames: of the clip, which counts where the bounds are those of a whole clip; then an even number.

    Raises:
        ValueError: a frame more than 200 times as long as wide.
    """
    _check_aspect(height, width)
    frames = -(-num_frames // bounds.frames) * bounds.frames if bounds.of_clip else 1
    if bounds.of_clip and min(height, width) < bounds.side:
        enlarge = bounds.side / min(height, width)
        height, width = int(height * enlarge), int(width * enlarge)
    high, wide = (round(side / bounds.side) * bounds.side for side in (height, width))
    if frames * high * wide > bounds.most:
        shrink = math.sqrt(frames * height * width / bounds.most)
        return _down(height / shrink, bounds.side), _down(width / shrink, bounds.side)
    if frames * high * wide < bounds.least:
        grow = math.sqrt(bounds.least / (frames * height * width))
        return _up(height * grow, bounds.side), _up(width * grow, bounds.side)
    return high, wide


def _down(side: float, step: int) -> int:
    return max(step, math.floor(side / step) * step)


def _up(side: float, step: int) -> int:
    return math.ceil(side / step) * step


def _check_aspect(height: int, width: int) -> None:
    if max(height, width) > MOST_ASPECT * min(height, width):
        raise ValueError(f"is {width} × {height} px, more than {MOST_ASPECT} times as long as wide: cut it")


def shrunk_size(height: int, width: int, max_pixels: int | None) -> tuple[int, int]:
    """Height and width within a limit: as they are, or those of `smart_size` under it.

    A frame so long that its shorter side can shrink no further loses length instead, so that the bound always holds.

    Raises:
        ValueError: a limit below one token's 28 x 28 px, or a frame more than 200 times as long as wide.
    """
    if max_pixels is None:
        return height, width
    check_pixels(max_pixels)
    _check_aspect(height, width)
    high, wide = (max(SIDE_PX, round(side / SIDE_PX) * SIDE_PX) for side in (height, width))
    if high * wide <= max_pixels:
        return (height, width) if height * width <= max_pixels else (high, wide)
    scale = math.sqrt(height * width / max_pixels)
    high, wide = (_down(side / scale, SIDE_PX) for side in (height, width))
    longest = max_pixels // min(high, wide) // SIDE_PX * SIDE_PX
    return min(high, longest), min(wide, longest)


def check_pixels(max_pixels: int) -> None:
    """Complain about a limit of pixels that holds not even one token."""
    whole("pixels", max_pixels, SIDE_PX**2, remedy=f"one token of Qwen2-VL has {SIDE_PX} × {SIDE_PX} px")


def filmed_side(size_px: int, max_pixels: int | None) -> int:
    """Side of the square that a room is filmed in: the size asked for, or less where a limit of pixels is less."""
    return size_px if max_pixels is None else min(size_px, math.isqrt(max_pixels) // SIDE_PX * SIDE_PX)


def shrink(frames_FHW3: np.ndarray, max_pixels: int | None) -> np.ndarray:
    """Frames, uint8 (F, H, W, 3), within a limit of pixels for each; the array itself where they are within it."""
    if max_pixels is None:
        return frames_FHW3
    _, *size, _ = frames_FHW3.shape
    height, width = shrunk_size(size[0], size[1], max_pixels)
    if [height, width] == size:
        return frames_FHW3
    return np.stack([resized(Image.fromarray(frame), height, width) for frame in frames_FHW3])


def resized(picture: Image.Image, height: int, width: int) -> np.ndarray:
    """A picture at another size, uint8 (H, W, 3), bicubic as Qwen2-VL's processor does it."""
    same = picture.size == (width, height)
    return np.asarray(picture if same else picture.resize((width, height), Image.Resampling.BICUBIC))


def video_tokens(num_frames: int, height: int, width: int, bounds: PixelBounds) -> int:
    """Tokens that a clip costs, after the processor resized it."""
    high, wide = smart_size(height, width, bounds, num_frames)
    return -(-num_frames // bounds.frames) * (high // bounds.side) * (wide // bounds.side)


def frames_by_rate(total: int, rate: float, fps: float, most: int | None = None) -> int:
    """How many of a clip's frames make `fps` a second, as qwen-vl-utils counts: even, at least 4, at most all.

    Args:
        total: frames of the clip.
        rate: of the clip, frames a second.
        fps: wanted.
        most: a cap; qwen-vl-utils' own of 768 where it is None.
    """
    real("fps", fps, above=True)
    most = min(_MOST_FRAMES if most is None else most, total)
    wanted = min(max(total / rate * fps, _LEAST_FRAMES), most)
    return max(1, min(most, math.floor(wanted / _FRAMES_A_TOKEN) * _FRAMES_A_TOKEN)) if wanted >= 2 else max(1, most)


@dataclass(frozen=True)
class FrameLimits:
    """What is taken of each clip.

    Attributes:
        num_frames: so many, evenly over the clip; with `fps` at most so many; None for all.
        max_pixels: of a frame; None for its own.
        fps: frames a second of the clip instead of a fixed number; needs a file that knows its rate.
    """

    num_frames: int | None = None
    max_pixels: int | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        """Refuse what shows nothing.

        Raises:
            ValueError: naming the number and its rule.
        """
        if self.num_frames is not None:
            whole("frames", self.num_frames)
        if self.max_pixels is not None:
            check_pixels(self.max_pixels)
        if self.fps is not None:
            real("fps", self.fps, above=True, remedy="leave it out for a fixed number of frames")

    def frames_of(self, path: str | Path) -> int | None:
        """How many frames of a file are shown; None for all."""
        if self.fps is None:
            return self.num_frames
        total, rate = length_of(path)
        return frames_by_rate(total, rate, self.fps, self.num_frames)


def length_of(path: str | Path) -> tuple[int, float]:
    """Frames of a video file, and frames a second, from its header; where that has no count, its packets are counted.

    Raises:
        ValueError: the file cannot be opened, holds no video, or states no rate.
    """
    import av

    if Path(path).is_dir() or Path(path).suffix.lower() == ".sens":
        raise ValueError(f"{path}: pictures in a folder and .sens files state no rate: give --frames, without --fps")
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            total = stream.frames or sum(packet.size > 0 for packet in container.demux(stream))
            rate = float(stream.average_rate or 0)
    except (OSError, IndexError, av.error.FFmpegError) as error:
        raise ValueError(f"{path}: not readable as video ({error}); copy it again from where it came") from error
    if not total or rate <= 0:
        raise ValueError(f"{path}: states no frame rate: ask for a number of frames instead, --frames without --fps")
    return total, rate
