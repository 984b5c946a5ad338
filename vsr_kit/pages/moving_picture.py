"""The moving picture: a walk through a room, its floor plan, questions and two models' answers, as one GIF.

First comes the walk: large frames for people, and beside them the eight frames that the model gets, each when the walk
has come to it. Then each question stands beside a frame that shows what it asks about, first alone, then with the truth
and both answers. At the end stand the scores. The same room and the same answers give the same bytes. What it shows is
written into the file, too, as its comment, so that a page has words for readers who cannot see it (`words_of`).

The kit's own is `docs/walk.gif`, which `python docs/make_gif.py` makes and the site's index shows (landing.py).
Left out: asking models, which is what takes the time; whoever draws has the answers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vsr_kit.files import replace
from vsr_kit.plots.large_frames import FOR_PEOPLE, MODEL_SEES, named_frame
from vsr_kit.plots.style import FAINT, INK, LINE, SOFT, task_name
from vsr_kit.questions import task_of
from vsr_kit.rooms import Room
from vsr_kit.videos import Clip, camera_walk, frame_showing, object_colors, walk_seed
from vsr_kit.videos.for_people import frame_for_people
from vsr_kit.videos.light import Light

GOOD, SOME, NONE = "#1a7f37", "#9a6700", "#b42318"  # of an answer, by its score
WIDE, HIGH, EDGE = 800, 408, 14
LARGE, SMALL = 336, 224  # the frame for people, and the model's, each pixel doubled
TOP = 34  # of all pictures, below the words above them
MIDDLE = EDGE + LARGE + 16  # where the second column begins
PLAN = (MIDDLE + SMALL + 18, TOP, WIDE - EDGE, TOP + SMALL)  # left, top, right, bottom
TEXT = (MIDDLE, TOP + SMALL + 12)
BETWEEN = 4  # large frames for each of the model's: the walk is smooth, the model's clip is not
COLORS = 256
WALK_MS, ASK_MS, ANSWER_MS, END_MS = 130, 1500, 3200, 6000


def moving_picture(room: Room, clip: Clip, rows: Sequence[Mapping], path: str | Path) -> str:
    """Draw the picture, write it, and return what it shows in words.

    Args:
        room: what is walked through.
        clip: the model's.
        rows: questions of `data.make_rows` about it, each with `base` and `after`: (answer, score from 0 to 1) before
            and after training.
        path: of the file.

    Raises:
        ValueError: no rows, or one without both answers.
    """
    if not rows or any(not {"base", "after"} <= row.keys() for row in rows):
        raise ValueError(f"{len(rows)} rows: give at least one, each with `base` and `after`, an (answer, score) both")
    scene = Scene(room, clip)
    words = alt(room, rows, len(clip.path))
    write([*walking(scene), *asking(scene, rows), scores(scene, rows)], Path(path), words)
    return words


def words_of(path: str | Path) -> str:
    """What a moving picture shows, as it was written into the file; empty where nothing was."""
    with Image.open(path) as picture:
        told = picture.info.get("comment", b"")
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that the picture is the same everywhere."""
    return ImageFont.load_default(size=size)


class Scene:
    """The room with its walk, and all that is drawn from them more than once."""

    def __init__(self, room: Room, clip: Clip) -> None:
        self.room, self.clip = room, clip
        self.path = camera_walk(room, BETWEEN * (len(clip.path) - 1) + 1, walk_seed(room))
        self.light, self.colors = Light(room), object_colors(room)
        self._large: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def large(self, at: int, objects: list[int]) -> Image.Image:
        """The frame for people at one place of the walk, with names."""
        if at not in self._large:
            self._large[at] = frame_for_people(self.light, self.path, at, LARGE)[:2]
        return Image.fromarray(named_frame(*self._large[at], self.room, objects, size_px=13))

    def objects(self, row: Mapping) -> list[int]:
        """Indices of the boxes that a row asks about."""
        return [i for i, box in enumerate(self.room.boxes) if box.category in row["objects"]]


def sheet(scene: Scene, at: int, objects: list[int]) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A picture with both frames and the plan; what stands below the model's frame is still to be written."""
    picture = Image.new("RGB", (WIDE, HIGH), "white")
    pen, seen = ImageDraw.Draw(picture), at // BETWEEN
    pen.text((EDGE, 10), FOR_PEOPLE, fill=INK, font=font(15))
    pen.text((MIDDLE, 10), f"{MODEL_SEES}, frame {seen + 1} of {len(scene.clip.path)}", fill=INK, font=font(15))
    pen.text((PLAN[0], 10), "Floor plan, never shown", fill=INK, font=font(15))
    picture.paste(scene.large(at, objects), (EDGE, TOP))
    small = Image.fromarray(scene.clip.frames_FHW3[seen])
    picture.paste(small.resize((SMALL, SMALL), Image.Resampling.NEAREST), (MIDDLE, TOP))
    pen.text((EDGE, TOP + LARGE + 8), "a panel of the floor measures half a metre", fill=SOFT, font=font(13))
    draw_plan(pen, scene, at, objects)
    return picture, pen


def draw_plan(pen: ImageDraw.ImageDraw, scene: Scene, at: int, objects: list[int]) -> None:
    """The room from above, the camera and what it looks at; what is asked about keeps its full colour."""
    room, path = scene.room, scene.path
    corners = room.shell.plan()
    low, high = corners.min(0), corners.max(0)
    scale = min((PLAN[2] - PLAN[0]) / (high[0] - low[0]), (PLAN[3] - PLAN[1]) / (high[1] - low[1]))

    def on_paper(point) -> tuple[float, float]:
        return PLAN[0] + (point[0] - low[0]) * scale, PLAN[1] + (high[1] - point[1]) * scale

    pen.polygon([on_paper(p) for p in corners], fill="#f6f8fa", outline=SOFT, width=2)
    for i in sorted(range(len(room.boxes)), key=lambda i: (i in objects, -room.boxes[i].longest_m)):
        full = i in objects or not objects
        color = scene.colors[i] if full else 0.3 * scene.colors[i] + 0.7 * 246
        outline = [on_paper(p) for p in room.boxes[i].plan()]
        pen.polygon(
            outline, fill=tuple(map(int, color)), outline=INK if full else FAINT, width=2 if i in objects else 1
        )
    pen.line([on_paper(p) for p in path.positions_m_F3], fill=INK, width=1)
    x, y = on_paper(path.positions_m_F3[at])
    yaw = math.radians(path.yaw_deg_F[at])
    view = [(x + 34 * math.cos(yaw + turn), y - 34 * math.sin(yaw + turn)) for turn in np.linspace(-0.78, 0.78, 9)]
    pen.polygon([(x, y), *view], outline=INK, width=1)
    pen.ellipse((x - 6, y - 6, x + 6, y + 6), fill=INK)
    pen.text((PLAN[0], on_paper(low)[1] + 4), f"{room.floor_area_m2:.1f} square metres", fill=SOFT, font=font(13))


def walking(scene: Scene) -> list[tuple[Image.Image, int]]:
    """The walk, with what is about to happen in words."""
    told = f"{_number(len(scene.clip.path)).capitalize()} small frames of this walk are all that the model gets. "
    told += "Then it is asked how many, how far, how large, and where."
    shown = []
    for at in range(len(scene.path)):
        picture, pen = sheet(scene, at, [])
        for i, line in enumerate(wrap(told, 52)):
            pen.text((TEXT[0], TEXT[1] + 22 + 24 * i), line, fill=INK, font=font(17))
        shown.append((picture, WALK_MS if at < len(scene.path) - 1 else 8 * WALK_MS))
    return shown


def asking(scene: Scene, rows: Sequence[Mapping]) -> list[tuple[Image.Image, int]]:
    """Each question alone, then with the truth and both answers."""
    shown = []
    for number, row in enumerate(rows, 1):
        objects = scene.objects(row)
        at = BETWEEN * frame_showing(scene.clip.object_ids_FHW, objects)
        for answered in (False, True):
            picture, pen = sheet(scene, at, objects)
            head = f"{number} of {len(rows)}: {task_name(task_of(row['question_type'])).lower()}"
            pen.text(TEXT, head, fill=SOFT, font=font(13))
            lines = wrap(row["question"], 62)
            for i, line in enumerate(lines):
                pen.text((TEXT[0], TEXT[1] + 17 + 18 * i), line, fill=INK, font=font(14))
            if answered:
                _answers(pen, row, TEXT[1] + 17 + 18 * 3 + 4)
            shown.append((picture, ANSWER_MS if answered else ASK_MS))
    return shown


def _answers(pen: ImageDraw.ImageDraw, row: Mapping, y: int) -> None:
    """The truth, the base's answer and the answer after GRPO in three columns, each with its score."""
    said = [("truth", row["ground_truth"], None), ("base", *row["base"]), ("after GRPO", *row["after"])]
    for i, (who, text, value) in enumerate(said):
        x = TEXT[0] + 140 * i
        color = INK if value is None else _color(value)
        pen.text((x, y), who, fill=SOFT, font=font(13))
        pen.text((x, y + 15), in_words(row, text), fill=color, font=font(19))
        if value is not None:
            pen.text((x, y + 39), f"scores {100 * value:.0f} %", fill=color, font=font(13))


def _color(value: float) -> str:
    return GOOD if value >= 0.8 else SOME if value > 0 else NONE


def scores(scene: Scene, rows: Sequence[Mapping]) -> tuple[Image.Image, int]:
    """All six scores below each other."""
    picture = Image.new("RGB", (WIDE, HIGH), "white")
    pen = ImageDraw.Draw(picture)
    at = len(scene.path) - 1
    picture.paste(scene.large(at, []), (EDGE, TOP))
    pen.text((EDGE, 10), FOR_PEOPLE, fill=INK, font=font(15))
    pen.text((MIDDLE, 10), "VSI-Bench's scores in this one room", fill=INK, font=font(15))
    columns = (MIDDLE + 250, MIDDLE + 390)
    for x, head in zip(columns, ("base", "after GRPO"), strict=True):
        pen.text((x, TOP + 8), head, fill=SOFT, font=font(16), anchor="ra")
    y = TOP + 36
    for row in rows:
        pen.line((MIDDLE, y - 4, WIDE - EDGE, y - 4), fill=LINE, width=1)
        pen.text((MIDDLE, y + 4), task_name(task_of(row["question_type"])), fill=INK, font=font(17))
        for x, (_, value) in zip(columns, (row["base"], row["after"]), strict=True):
            pen.text((x, y + 4), f"{100 * value:.0f} %", fill=_color(value), font=font(19), anchor="ra")
        y += 38
    told = "One room proves nothing: the README has the scores of 120 held-out rooms, with their intervals."
    for i, line in enumerate(wrap(told, 56)):
        pen.text((MIDDLE, y + 14 + 20 * i), line, fill=SOFT, font=font(15))
    return picture, END_MS


def alt(room: Room, rows: Sequence[Mapping], frames: int = 8) -> str:
    """What the moving picture shows, for readers who cannot see it."""
    said = "; ".join(
        f"{task_name(task_of(row['question_type'])).lower()}: true {in_words(row, row['ground_truth'])}, "
        f"base {in_words(row, row['base'][0])}, after GRPO {in_words(row, row['after'][0])}"
        for row in rows
    )
    return (
        f"A camera walks through a room of {room.floor_area_m2:.1f} square metres, drawn large for people, beside the "
        f"{_number(frames)} small frames that the model sees and the floor plan. Then {_number(len(rows))} "
        f"question{'s' * (len(rows) != 1)} with their answers: {said}."
    )


def in_words(row: Mapping, answer: str) -> str:
    """An answer as it may stand in a column: of a letter, the option it names."""
    named = [option for option in row["options"] or () if option[0] == answer.strip()]
    return (named[0] if named else answer.strip())[:14]


def _number(count: int) -> str:
    """The numbers that the kit's own picture needs as words, any other in digits."""
    return {6: "six", 8: "eight"}.get(count, str(count))


def palette(pictures: list[Image.Image]) -> Image.Image:
    """Colours for all pictures. A colour counts by the square root of its pixels, or a wall would take them all."""
    pixels = np.concatenate([np.asarray(picture)[::2, ::2].reshape(-1, 3) for picture in pictures]) >> 2
    kinds, counts = np.unique(pixels, axis=0, return_counts=True)
    line = np.repeat((kinds << 2) + 2, np.sqrt(counts).astype(int).clip(1), axis=0).astype(np.uint8)
    found = Image.fromarray(line[None]).quantize(COLORS, kmeans=2, dither=Image.Dither.NONE)
    table = np.array(found.getpalette()).reshape(-1, 3)
    table[table.min(1) > 247] = 255  # the paper is white
    colors = Image.new("P", (1, 1))
    colors.putpalette(table.ravel().tolist())
    return colors


def write(pictures: Sequence[tuple[Image.Image, int]], path: Path, words: str = "") -> None:
    """All pictures with one palette, so that what stands still costs nothing, in an endless loop; words go along."""
    colors = palette([picture for picture, _ in pictures])
    frames = [picture.quantize(palette=colors, dither=Image.Dither.NONE) for picture, _ in pictures]
    how: dict = {"save_all": True, "append_images": frames[1:], "duration": [ms for _, ms in pictures]}
    how |= {"loop": 0, "optimize": False, "disposal": 1, "comment": words.encode()}
    replace(path, lambda beside: frames[0].save(beside, "GIF", **how))
