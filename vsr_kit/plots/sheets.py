"""Frames as pictures: one frame for a player, a whole clip as a numbered contact sheet.

The story: PNG is the one form of a frame that every notebook viewer shows; pixels are enlarged whole, so that what is
seen is what the model gets. Left out: animation, and any smoothing.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vsr_kit.plots.display import Picture
from vsr_kit.plots.style import INK, SOFT, WIDTH_PX, check_source

_GAP_PX, _HEAD_PX, _FOOT_PX = 6, 26, 18


def check_frames(frames_FHW3: np.ndarray) -> np.ndarray:
    """Return the frames, or raise ValueError where they are not uint8 of shape (F, H, W, 3) with F ≥ 1."""
    frames = np.asarray(frames_FHW3)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(f"frames have shape {frames.shape} and type {frames.dtype}: give uint8 of shape (F, H, W, 3)")
    return frames


def frame_png(frame_HW3: np.ndarray, scale: int = 3) -> bytes:
    """One uint8 frame as PNG, every pixel enlarged to `scale` × `scale`."""
    return _png(_enlarged(frame_HW3, scale))


def clip_strip(
    frames_FHW3: np.ndarray,
    *,
    source: str,
    columns: int | None = None,
    scale: int | None = None,
    title: str = "The clip",
    alt: str = "",
) -> Picture:
    """Lay a clip's frames out as a numbered contact sheet.

    Args:
        frames_FHW3: uint8 frames.
        source: `measured now` or `shipped`.
        columns: frames in a row; by default 4, and 8 of a clip of more than 12 frames.
        scale: whole number every pixel is enlarged by; by default what fits a notebook's width.
        title: stands above, with the source.
        alt: what the frames show.

    Raises:
        ValueError: for frames of another shape or type.
    """
    frames = check_frames(frames_FHW3)
    count, high, wide = frames.shape[:3]
    columns = min(columns or (4 if count <= 12 else 8), count)
    scale = scale or max(1, round(WIDTH_PX / columns / wide))
    cell_w, cell_h = wide * scale + _GAP_PX, high * scale + _FOOT_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * cell_w, _HEAD_PX + -(-count // columns) * cell_h), "white")
    pen = ImageDraw.Draw(sheet)
    heading = f"{title}: {count} frames of {wide} x {high} px ({check_source(source)})"
    pen.text((2, 4), heading, fill=INK, font=ImageFont.load_default(size=14))
    for i, frame in enumerate(frames):
        x, y = (i % columns) * cell_w, _HEAD_PX + (i // columns) * cell_h
        sheet.paste(_enlarged(frame, scale), (x, y))
        pen.text((x + 2, y + high * scale + 2), f"frame {i + 1}", fill=SOFT, font=ImageFont.load_default(size=12))
    said = alt or f"{count} frames of a walk through the room"
    return Picture(_png(sheet), f"{said} ({source})", sheet.width)


def _enlarged(frame_HW3: np.ndarray, scale: int) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(frame_HW3))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _png(image: Image.Image) -> bytes:
    """256 colours chosen from the picture: a third of the bytes, and no difference to the eye in rendered rooms."""
    out = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()
