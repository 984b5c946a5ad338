"""Pictures as clips: a picture is shown to Qwen2-VL as two equal frames, which is what the model makes of one itself.

Qwen2-VL's vision tower reads patches of two frames, and its image processor repeats a picture to fill one. So a clip of
the same picture twice gives the tower the same pixels and the same grid, one step in time, and everything that works on
clips (shared features, packed passes, trainers) works on pictures. Pictures are made to fit: sides of multiples of 28
px, the aspect kept as nearly as these allow, at most so many pixels. The checkpoint's processor has bounds of its own
and may resize once more; Qwen2-VL's enlarges what is below 100,352 px.

A file is shown as a viewer would show it: turned as its EXIF says, transparency over white (figures of geometry are
often black on nothing), the first picture of an animation.
Left out: the token: the model sees `<|video_pad|>` where it would see `<|image_pad|>` for an image, with the same
positions; and several pictures in one question.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vsr_kit.data.clips import MEMORY_MB, ClipFolder
from vsr_kit.videos import Video, read_video
from vsr_kit.videos.frame_limits import SIDE_PX, check_pixels, resized, shrunk_size

MAX_PIXELS = 401_408  # 512 patches of 28 x 28 px, R1-V's bound; Vision-R1's is not stated
NUM_FRAMES = 16  # of a video, as Video-R1 trains on them
MOST_PIXELS = 100_000_000  # of a file; a few kilobytes can unfold to more than a memory holds


def fitted_size(height: int, width: int, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Height and width in multiples of 28 px, nearest to the given ones, with at most `max_pixels` together.

    Raises:
        ValueError: a picture more than 200 times as long as wide, or too long for so few pixels.
    """
    check_pixels(max_pixels)
    high, wide = (max(1, round(side / SIDE_PX)) * SIDE_PX for side in shrunk_size(height, width, max_pixels))
    return high, wide


def read_picture(source: str | Path | bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a picture as a clip of two equal frames, uint8 (2, H, W, 3).

    Args:
        source: a file, or the bytes of one, in any format that Pillow reads.
        max_pixels: of a frame.

    Raises:
        ValueError: naming the file and what is wrong with it.
    """
    named = "the picture in the row" if isinstance(source, bytes) else str(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # ours comes next, and is an error
            opened = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
        with opened as picture:
            if math.prod(picture.size) > MOST_PIXELS:
                raise ValueError(f"has {picture.width} × {picture.height} px, above {MOST_PIXELS:,}: make it smaller")
            upright = ImageOps.exif_transpose(picture)
            height, width = fitted_size(upright.height, upright.width, max_pixels)
            frame_HW3 = resized(_over_white(upright), height, width)
    except FileNotFoundError:
        raise ValueError(f"{named}: is missing; put it there, or leave its row out") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, MemoryError) as error:
        raise ValueError(f"{named}: not readable as a picture ({error}); copy it again from where it came") from error
    return np.stack([frame_HW3, frame_HW3])


def _over_white(picture: Image.Image) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


class PictureClips(ClipFolder):
    """Pictures and videos by scene name, each read when it is first asked for: uint8 frames (F, H, W, 3).

    Args:
        num_frames: of a video; None for all.
        max_pixels: of a frame.
        memory_mb: most memory to keep frames in; the bytes of pictures that are no files are kept beside.
    """

    def __init__(
        self, num_frames: int | None = NUM_FRAMES, max_pixels: int = MAX_PIXELS, memory_mb: float = MEMORY_MB
    ) -> None:
        super().__init__({}, num_frames, memory_mb=memory_mb)
        fitted_size(SIDE_PX, SIDE_PX, max_pixels)  # complain now, not at the first picture
        self._max_pixels = max_pixels
        self._videos: set[str] = set()
        self._bytes: dict[str, bytes] = {}

    def add(self, scene_name: str, source: str | Path | bytes, video: bool = False) -> None:
        """Name a file, or the bytes of a picture."""
        self._paths[scene_name] = Path(scene_name if isinstance(source, bytes) else source)
        if isinstance(source, bytes):
            self._bytes[scene_name] = source
        if video:
            self._videos.add(scene_name)

    def drop(self, scene_names: Iterable[str]) -> None:
        """Forget some scenes."""
        names = list(scene_names)
        super().drop(names)
        self._videos -= set(names)
        self._bytes = {name: held for name, held in self._bytes.items() if name not in names}

    def _video(self, scene_name: str) -> Video:
        source = self._paths[scene_name]
        if scene_name not in self._videos:
            return Video(read_picture(self._bytes.get(scene_name, source), self._max_pixels), {})
        if not Path(source).is_file():
            raise ValueError(f"{source}: is missing; put it there, or leave its row out")
        video = read_video(source, self._num_frames, max_side_px=max(SIDE_PX, self._max_pixels // SIDE_PX))
        _, height, width, _ = video.frames_FHW3.shape
        height, width = fitted_size(height, width, self._max_pixels)
        frames = [resized(Image.fromarray(frame), height, width) for frame in video.frames_FHW3]
        return Video(np.stack(frames), video.notes)
