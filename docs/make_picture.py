"""The README's picture: a clip, its floor plan, and answers before and after GRPO. `python docs/make_picture.py`.

The room is the validation room of notebook 00; the questions are the first of each trained task, whatever came of
them. The miniature answers now, with and without the shipped adapter of seed 1; scores are VSI-Bench's.
"""

import math
import sys
from pathlib import Path
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent))

import vsr_kit as vsr  # noqa: E402
from vsr_kit.evaluation.scorers import score_row  # noqa: E402
from vsr_kit.pages.moving_picture import GOOD, NONE, SOME, font, in_words  # noqa: E402
from vsr_kit.plots.style import FAINT, INK, SOFT, task_name  # noqa: E402
from vsr_kit.questions import TRAINED_TASKS, task_of  # noqa: E402
from vsr_kit.videos import object_colors  # noqa: E402

PICTURE = DOCS / "picture.png"
WIDE, HIGH, EDGE = 2000, 1300, 40
SCALE, GAP = 2, 16  # a frame's pixels are drawn SCALE times as large
PLAN = (EDGE, 470, 790, 1230)  # left, top, right, bottom
COLUMNS = (850, 1440, 1590, 1800)  # question, truth, base, after GRPO


def asked() -> tuple:
    """The room, its clip, and a row for each task with both answers and their scores."""
    room = vsr.split_rooms(32, "val")[31]
    clip = vsr.film(room)
    rows = vsr.make_rows([room], clips={room.name: clip}, max_per_type=3)
    rows = [next(row for row in rows if task_of(row["question_type"]) == task) for task in TRAINED_TASKS]
    adapter = vsr.data_samples("reference_runs", "grpo-vanilla-seed1", "adapter")
    for name, weights in (("base", None), ("after", adapter)):
        model = vsr.load_model("mini", quantize="nf4", adapter=weights, quiet=True)
        for row, (answer,) in zip(rows, vsr.generate(model, rows, {room.name: clip.frames_FHW3}), strict=True):
            row[name] = answer.text, score_row(row, answer.text, "lenient").value
    return room, clip, rows


def draw_clip(pen, sheet, frames_FHW3: np.ndarray) -> None:
    """The frames in a row, numbered."""
    pen.text((EDGE, 24), "What the model sees: eight frames of a walk through a room", fill=INK, font=font(34))
    size = frames_FHW3.shape[2] * SCALE
    for i, frame in enumerate(frames_FHW3):
        x = EDGE + i * (size + GAP)
        sheet.paste(Image.fromarray(frame).resize((size, size), Image.Resampling.NEAREST), (x, 84))
        pen.text((x + 4, 84 + size + 6), f"{i + 1}", fill=SOFT, font=font(26))


def draw_plan(pen, room, path) -> None:
    """The room from above, to scale, in the colours of the clip, with the camera's walk."""
    left, top, right, bottom = PLAN
    pen.text((left, top - 66), "Where things are: the floor plan, never shown to it", fill=INK, font=font(34))
    corners = np.concatenate([room.shell.plan(), *(box.plan() for box in room.boxes)])
    low, high = corners.min(0), corners.max(0)
    scale = min((right - left) / (high[0] - low[0]), (bottom - top) / (high[1] - low[1]))

    def at(point) -> tuple[float, float]:
        return left + (point[0] - low[0]) * scale, top + (high[1] - point[1]) * scale

    pen.polygon([at(p) for p in room.shell.plan()], fill="#f6f8fa", outline=SOFT, width=4)
    colors = object_colors(room)
    for i in sorted(range(len(room.boxes)), key=lambda i: -room.boxes[i].longest_m):
        pen.polygon([at(p) for p in room.boxes[i].plan()], fill=tuple(map(int, colors[i])), outline=INK, width=2)
    walk = [at(p) for p in path.positions_m_F3]
    pen.line(walk, fill=INK, width=3)
    for i, (x, y) in enumerate(walk):
        pen.ellipse((x - 17, y - 17, x + 17, y + 17), fill="white", outline=INK, width=3)
        pen.text((x, y), f"{i + 1}", fill=INK, font=font(22), anchor="mm")
        yaw = math.radians(path.yaw_deg_F[i])
        ahead = np.array([math.cos(yaw), -math.sin(yaw)])
        pen.line([tuple((x, y) + 17 * ahead), tuple((x, y) + 36 * ahead)], fill=INK, width=3)
    taken: list[tuple[float, float]] = list(walk)
    for box in sorted(room.boxes, key=lambda box: -box.longest_m):
        _name(pen, box.category, at(box.center[:2]), taken)


def _name(pen, name: str, at: tuple[float, float], taken: list[tuple[float, float]]) -> None:
    """A name on its object, or beside it where it would stand on another name or on the walk."""
    half = pen.textlength(name, font=font(26)) / 2
    for right, down in ((0, 0), (0, 34), (0, -34), (-half - 34, 0), (half + 34, 0)):
        x, y = min(max(at[0] + right, PLAN[0] + half + 8), PLAN[2] - half - 8), at[1] + down
        if all(abs(x - a) > half + 30 or abs(y - b) > 30 for a, b in taken):
            pen.text((x, y), name, fill=INK, font=font(26), anchor="mm", stroke_width=5, stroke_fill="white")
            taken += [(x, y), (x - half, y), (x + half, y)]
            return


def draw_answers(pen, rows: list[dict]) -> None:
    """A line for each question: the truth, the base's answer, the answer after GRPO, each with its score."""
    y = PLAN[1] - 66
    for x, head in zip(COLUMNS, ("What it answers", "truth", "base", "after GRPO"), strict=True):
        pen.text((x, y), head, fill=INK, font=font(34 if x == COLUMNS[0] else 30))
    y += 58
    for row in rows:
        pen.line((COLUMNS[0], y, WIDE - EDGE, y), fill=FAINT, width=2)
        pen.text((COLUMNS[0], y + 10), task_name(task_of(row["question_type"])), fill=SOFT, font=font(22))
        lines = wrap(row["question"], 50)
        for i, line in enumerate(lines):
            pen.text((COLUMNS[0], y + 38 + 28 * i), line, fill=INK, font=font(24))
        pen.text((COLUMNS[1], y + 38), in_words(row, row["ground_truth"]), fill=INK, font=font(28))
        for x, (answer, value) in zip(COLUMNS[2:], (row["base"], row["after"]), strict=True):
            color = GOOD if value >= 0.8 else SOME if value > 0 else NONE
            pen.text((x, y + 38), in_words(row, answer), fill=color, font=font(28))
            pen.text((x, y + 72), f"scores {100 * value:.0f} %", fill=color, font=font(22))
        y += 38 + max(2, len(lines)) * 28 + 16
    pen.line((COLUMNS[0], y, WIDE - EDGE, y), fill=FAINT, width=2)


def main() -> None:
    """Ask, draw, write."""
    room, clip, rows = asked()
    sheet = Image.new("RGB", (WIDE, HIGH), "white")
    pen = ImageDraw.Draw(sheet)
    draw_clip(pen, sheet, clip.frames_FHW3)
    draw_plan(pen, room, clip.path)
    draw_answers(pen, rows)
    sheet.quantize(128, dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.name}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
