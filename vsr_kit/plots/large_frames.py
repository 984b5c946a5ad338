"""Large frames with the names of what they show, and the model's frame beside them.

Boxes in colours say little to somebody who sees a room for the first time, so a frame for people
(`vsr_kit.videos.film_for_people`) gets a name on each object that covers enough of it. What a question asks about is
named first and on a white plate; a name that would stand on another is left out. `beside` puts the frame that the model
gets to the left of the frame for people, each under words that say which is which: wherever a large frame is shown, the
model's stands with it, because only that one tells what could be seen.
Left out: names of objects of which little is seen, and lines from a name to its object.
"""

from __future__ import annotations

import io
from collections.abc import Collection

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vsr_kit.plots.canvas import Picture
from vsr_kit.plots.rooms import check_frames, enlarged
from vsr_kit.plots.style import INK, SOFT, check_source
from vsr_kit.rooms import Room
from vsr_kit.validation import drawable

MODEL_SEES = "What the model sees"
FOR_PEOPLE = "For people: the same view, drawn larger"
_LEAST_SHARE = 0.004  # of a frame: what covers less gets no name, unless it is asked about
_LEAST_ASKED = 0.0006
_HEAD_PX, _GAP_PX = 24, 14


def named_frame(
    frame_HW3: np.ndarray, ids_HW: np.ndarray, room: Room, asked: Collection[int] = (), size_px: int | None = None
) -> np.ndarray:
    """Write the names of objects on a frame, in place of nothing else.

    Args:
        frame_HW3: the picture, uint8.
        ids_HW: which box each pixel shows, -1 for none: a Clip's object_ids_FHW.
        room: whose boxes these are.
        asked: indices of the boxes that a question is about.
        size_px: of the letters; a thirtieth of the frame's width by default.

    Returns:
        A new picture of the same shape.
    """
    picture = Image.fromarray(np.ascontiguousarray(frame_HW3))
    pen, size = ImageDraw.Draw(picture), size_px or max(10, round(frame_HW3.shape[1] / 30))
    font, taken = ImageFont.load_default(size=size), list[tuple[float, float, float, float]]()
    pixels = np.bincount(ids_HW[ids_HW >= 0], minlength=len(room.boxes))
    for i in sorted(np.flatnonzero(pixels).tolist(), key=lambda i: (i not in asked, -pixels[i])):
        if pixels[i] < (_LEAST_ASKED if i in asked else _LEAST_SHARE) * ids_HW.size:
            continue
        name = " ".join(drawable(room.boxes[i].category).split())[:24]
        x, y = _middle(ids_HW == i)
        half = pen.textlength(name, font=font) / 2 + 4
        x = min(max(x, half + 2), picture.width - half - 2)
        for down in (0.0, -1.5, 1.5) if i in asked else (0.0,):  # what is asked about may stand a little beside
            below = min(max(y + down * size, size), picture.height - size)
            plate = (x - half, below - 0.62 * size, x + half, below + 0.68 * size)
            if not any(plate[0] < t[2] and t[0] < plate[2] and plate[1] < t[3] and t[1] < plate[3] for t in taken):
                break
        else:
            continue
        taken.append(plate)
        y = below
        if i in asked:
            pen.rounded_rectangle(plate, size / 3, fill="white", outline=INK, width=max(1, size // 10))
            pen.text((x, y), name, fill=INK, font=font, anchor="mm")
        else:
            edge = max(1, size // 8)
            pen.text((x, y), name, fill=INK, font=font, anchor="mm", stroke_width=edge, stroke_fill="white")
    return np.asarray(picture)


def _middle(mask_HW: np.ndarray) -> tuple[float, float]:
    """A place well inside a region: of its pixels the one nearest to their middle, x and y."""
    y, x = np.nonzero(mask_HW)
    nearest = np.hypot(y - y.mean(), x - x.mean()).argmin()
    return float(x[nearest]), float(y[nearest])


def large_png(frame_HW3: np.ndarray) -> bytes:
    """A large frame as PNG in all its colours: 256 would draw rings on its softly lit walls."""
    return _png(Image.fromarray(np.ascontiguousarray(frame_HW3)))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def beside(model_HW3: np.ndarray, people_HW3: np.ndarray, number: int, *, source: str) -> Picture:
    """The frame that the model gets and the one for people, side by side, each with words above that say which it is.

    Args:
        model_HW3: the model's frame, enlarged by whole pixels to at most the other's height.
        people_HW3: the frame for people.
        number: of the frame, counted from 1.
        source: `measured now` or `shipped`.

    Raises:
        ValueError: for pictures that are not uint8 of shape (H, W, 3).
    """
    model, people = (check_frames(np.asarray(frame)[None])[0] for frame in (model_HW3, people_HW3))
    high, wide = model.shape[:2]
    small = enlarged(model, max(1, people.shape[0] // max(model.shape[:2])))
    left = max(small.width, 230) + _GAP_PX
    sheet = Image.new("RGB", (left + people.shape[1], _HEAD_PX + max(small.height, people.shape[0]) + 20), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    pen.text((2, 4), f"{MODEL_SEES}: {wide} x {high} px", fill=INK, font=font)
    pen.text((left, 4), FOR_PEOPLE, fill=INK, font=font)
    sheet.paste(small, (0, _HEAD_PX))
    sheet.paste(Image.fromarray(np.ascontiguousarray(people)), (left, _HEAD_PX))
    told = f"frame {number} ({check_source(source)}); no model is given the frame on the right"
    pen.text((2, sheet.height - 16), told, fill=SOFT, font=ImageFont.load_default(size=12))
    alt = f"Frame {number} as the model sees it, and the same drawn larger with names for people ({source})"
    return Picture(_png(sheet), alt, sheet.width)
