"""Rooms and clips as pictures: a floor plan with the camera's walk, and a clip as a numbered sheet of frames.

On `floor_plan` objects have the colours that they have in the clip, so that plan and frames can be read together.
Objects that a question names are filled and outlined; a door is a gap in the wall with the quarter circle that it opens
over, where one is known (`rooms.door_of`); the camera's walk is a numbered line, with the view opened up at
one frame. `clip_strip` and `frame_png` give PNG, which every notebook viewer shows; pixels are enlarged by whole
factors, so that a reader sees what the model gets.
Left out: heights (except on hover), the thickness of walls, tilted boxes beyond their outline, animation and smoothing.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from PIL import Image, ImageDraw, ImageFont

from vsr_kit.plots.canvas import Figure, Picture, axis, canvas
from vsr_kit.plots.style import (
    BACK,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    SOFT,
    WIDTH_PX,
    check_source,
    nice_ticks,
    plain,
    text_width,
    tidy,
)
from vsr_kit.rooms import Box, Room, door_of
from vsr_kit.videos import CameraPath, object_colors


@dataclass(frozen=True)
class Mark:
    """A line on a floor plan.

    Attributes:
        start, end: in metres, as the room's boxes are.
        text: at its end.
        kind: `truth`, `answer`, or `aid`, such as the direction in which one faces.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    text: str
    kind: str


_MARKS = {"truth": (GREEN, 3.0, "solid"), "answer": (ORANGE, 2.2, "solid"), "aid": (SOFT, 1.4, "dash")}


_LONGEST_PX = 460.0
_MARGIN_M = 0.35
_TEXT_PX = 12


def floor_plan(
    room: Room,
    path: CameraPath | None = None,
    highlight: Sequence[str | int] = (),
    *,
    source: str,
    frame: int | None = None,
    links: Iterable[tuple[str, str]] = (),
    marks: Sequence[Mark] = (),
    title: str | None = None,
    longest_px: float = _LONGEST_PX,
) -> Figure:
    """Draw a room from above, in metres and to scale.

    Args:
        room: the room.
        path: the camera's walk.
        highlight: what is asked about: categories (all boxes of one) or indices into `room.boxes`, in the question's
            order.
        source: `measured now` or `shipped`: where the geometry comes from.
        frame: index of the frame whose view is opened up; the first by default.
        links: pairs of categories that occur once, to be joined by a dashed line (a distance, a direction).
        marks: lines with a text at their end: a truth and answers, `answer_marks.answer_marks`.
        title: the figure's; the room's name by default.
        longest_px: length of the drawing's longer side.

    Raises:
        ValueError: for a highlighted or linked category, index or frame that is not there.
    """
    chosen = _chosen(room, highlight)
    outline = _outline(room.shell)
    camera = [] if path is None else [path.positions_m_F3[:, :2]]
    drawn = [np.array([mark.start, mark.end]) for mark in marks]
    around = np.concatenate([outline, *(_outline(box) for box in room.boxes), *camera, *drawn])
    low, high = around.min(0) - _MARGIN_M, around.max(0) + _MARGIN_M
    fig, scale = _open(room, chosen, source, title, (low, high), longest_px, marks)
    _polygon(fig, outline, BACK, FAINT, 1.5, "")
    _door(fig, room)
    colors = object_colors(room)
    for i in sorted(range(len(room.boxes)), key=lambda i: (i in chosen, -room.boxes[i].longest_m)):
        _box(fig, room.boxes[i], colors[i], i in chosen)
    taken = [] if path is None else _walk(fig, path, 0 if frame is None else frame)
    for a, b in links:
        _link(fig, _only(room, a), _only(room, b))
    placed = [_Label(x * scale, y * scale, 14) for x, y in taken]
    _names(fig, room, chosen, colors, scale, placed)
    for mark in marks:
        _mark(fig, mark)
    return fig


def _chosen(room: Room, highlight: Sequence[str | int]) -> list[int]:
    chosen: list[int] = []
    for item in [highlight] if isinstance(highlight, (str, int)) else highlight:
        found = [item] if isinstance(item, int) else [i for i, b in enumerate(room.boxes) if b.category == item]
        if not found or not all(0 <= i < len(room.boxes) for i in found):
            there = f"boxes 0 to {len(room.boxes) - 1}, of {', '.join(sorted(room.counts))}"
            raise ValueError(f"{item!r} is not in room {room.name}: it has {there}")
        chosen += found
    return chosen


def _only(room: Room, category: str) -> Box:
    if category not in room.unique:
        count = room.counts.get(category, 0)
        raise ValueError(f"{category!r} occurs {count} times in room {room.name}: link what occurs once")
    return room.unique[category]


def _outline(box: Box) -> np.ndarray:
    """A box seen from above, corners in order: the rectangle of an upright one, the hull of a tilted one."""
    if box.upright:
        return box.plan()
    from scipy.spatial import ConvexHull

    corners = box.corners()[:, :2]
    return corners[ConvexHull(corners).vertices]


def _open(
    room: Room, chosen: list[int], source: str, title: str | None, ends: tuple, longest_px: float, marks: Sequence[Mark]
) -> tuple[Figure, float]:
    """The canvas, in metres, and its pixels a metre."""
    low, high = ends
    scale = longest_px / float(max(high - low))
    wide, tall = (high - low) * scale
    asked = ", ".join(dict.fromkeys(room.boxes[i].category for i in chosen))
    about, outlined = (f" Asked about: {asked}.", f" · outlined: {asked}") if asked else ("", "")
    objects = ", ".join(f"{n} {c}" for c, n in room.drawn_counts.items())
    told = " A door opens into it." if door_of(room) else ""
    told += f" Drawn: {', '.join(mark.text for mark in marks if mark.text)}." if marks else ""
    fig = canvas(
        title or room.name,
        source,
        f"Floor plan of room {room.name}: {room.floor_area_m2:.1f} square metres with {objects}.{about}{told}",
        note=f"{room.floor_area_m2:.1f} m², {len(room.boxes)} objects, axes in metres{outlined}",
        keys=[("━", GREEN, "the truth"), ("━", ORANGE, "what was answered")] if marks else [],
        height_px=tall,
        width_px=max(wide + 70, 420),
        left_px=46,
        right_px=max(24, 420 - 46 - wide),
        bottom_px=34,
    )
    ticks = [nice_ticks(a, b, max(2, round((b - a) * scale / 60))) for a, b in zip(low, high, strict=True)]
    x, y = (axis(float(a), float(b), ticks=t) for a, b, t in zip(low, high, ticks, strict=True))
    fig.update_layout(xaxis=x, yaxis=y | {"scaleanchor": "x"})
    return fig, scale


def _polygon(fig: Figure, corners: np.ndarray, fill: str, edge: str, width: float, hover: str) -> None:
    closed = np.round(np.concatenate([corners, corners[:1]]), 3)
    look = {"fill": "toself", "fillcolor": fill, "line": {"color": edge, "width": width}, "mode": "lines"}
    told = {"text": hover, "hoverinfo": "text", "hoveron": "fills"} if hover else {"hoverinfo": "skip"}
    fig.add_trace(go.Scatter(x=closed[:, 0].tolist(), y=closed[:, 1].tolist(), **look, **told))


def _door(fig: Figure, room: Room) -> None:
    """A gap in the wall, the open door, and the quarter circle between them; nothing where no door is known."""
    if (door := door_of(room)) is None:
        return
    hinge, latch, opened = door.swing
    turns = np.linspace(0, math.pi / 2, 13)[:, None]
    arc = hinge + np.cos(turns) * (latch - hinge) + np.sin(turns) * (opened - hinge)
    parts = [(np.array([hinge, latch]), BACK, 4.0, "solid"), (np.array([hinge, opened]), SOFT, 2.4, "solid")]
    for points, color, width, dash in (*parts, (arc, SOFT, 1.0, "dot")):
        x, y = np.round(points, 3).T.tolist()
        line = {"color": color, "width": width, "dash": dash}
        fig.add_trace(go.Scatter(x=x, y=y, mode="lines", line=line, hovertext="the door", hoverinfo="text"))


def _box(fig: Figure, box: Box, color: np.ndarray, asked: bool) -> None:
    red, green, blue = (int(v) for v in color)
    size = " × ".join(f"{v:.2f}" for v in box.size)
    hover = f"{plain(box.category)}<br>{size} m"
    fill = f"rgba({red},{green},{blue},{1 if asked else 0.35})"
    _polygon(fig, _outline(box), fill, INK if asked else FAINT, 2.4 if asked else 0.8, hover)


def _walk(fig: Figure, path: CameraPath, frame: int) -> list[tuple[float, float]]:
    """The camera's positions as a line of dots, and the view of one frame; returns the positions."""
    if not 0 <= frame < len(path):
        raise ValueError(f"frame is {frame}: the walk has frames 0 to {len(path) - 1}")
    at = np.round(path.positions_m_F3[:, :2], 3)
    half, reach = math.radians(path.fov_deg / 2), 1.1
    yaw = math.radians(path.yaw_deg_F[frame])
    wedge = [at[frame] + reach * np.array([math.cos(yaw + a), math.sin(yaw + a)]) for a in np.linspace(-half, half, 9)]
    _polygon(fig, np.array([at[frame], *wedge]), "rgba(27,31,36,0.16)", SOFT, 1, "")
    sizes = [18 if i == frame else 6 for i in range(len(at))]
    fills = [INK if i == frame else "white" for i in range(len(at))]
    marker = {"size": sizes, "color": fills, "line": {"color": INK, "width": 1.4}}
    ends = (0, len(at) - 1)
    texts = [str(i + 1) if i in (*ends, frame) else "" for i in range(len(at))]
    outside = ["middle left" if math.cos(math.radians(y)) > 0 else "middle right" for y in path.yaw_deg_F]
    sides = ["middle center" if i == frame else side for i, side in enumerate(outside)]
    inks = ["white" if i == frame else INK for i in range(len(at))]
    line = {"color": INK, "width": 1.2}
    look = {"mode": "lines+markers+text", "marker": marker, "line": line}
    text = {"text": texts, "textposition": sides, "textfont": {"size": 11, "color": inks}}
    hover = {"hovertext": [f"camera, frame {i + 1}" for i in range(len(at))], "hoverinfo": "text"}
    fig.add_trace(go.Scatter(x=at[:, 0].tolist(), y=at[:, 1].tolist(), **look, **text, **hover))
    return at.tolist()


def _mark(fig: Figure, mark: Mark) -> None:
    color, width, dash = _MARKS[mark.kind]
    ends = {"x": tidy([mark.start[0], mark.end[0]]), "y": tidy([mark.start[1], mark.end[1]])}
    look = {"line": {"color": color, "width": width, "dash": dash}, "marker": {"color": color, "size": 6}}
    fig.add_trace(go.Scatter(**ends, mode="lines+markers", **look, hoverinfo="skip"))
    if not mark.text:
        return
    side = "right" if mark.end[0] >= mark.start[0] else "left"
    font = {"size": _TEXT_PX, "color": color}
    words = {"text": [f"<b>{plain(mark.text)}</b>"], "textposition": f"middle {side}", "textfont": font}
    fig.add_trace(go.Scatter(x=ends["x"][1:], y=ends["y"][1:], mode="text", **words, hoverinfo="skip"))


def _link(fig: Figure, a: Box, b: Box) -> None:
    line = {"color": INK, "width": 1.6, "dash": "dash"}
    ends = {"x": [a.center[0], b.center[0]], "y": [a.center[1], b.center[1]]}
    fig.add_trace(go.Scatter(**ends, mode="lines", line=line, hoverinfo="skip"))


@dataclass(frozen=True)
class _Label:
    """Where a name would stand, in pixels from the plan's corner."""

    x: float
    y: float
    half_width: float

    def clear_of(self, other: _Label) -> bool:
        apart = self.half_width + other.half_width + 3
        return abs(self.x - other.x) >= apart or abs(self.y - other.y) >= _TEXT_PX + 3


def _chord_m(box: Box) -> float:
    """How wide a box is along x through its centre."""
    return min(s / abs(a[0]) for s, a in zip(box.size, box.axes, strict=True) if abs(a[0]) > 1e-9)


def _names(fig: Figure, room: Room, chosen: list[int], colors: np.ndarray, scale: float, placed: list[_Label]) -> None:
    """Name the boxes, inside or beside, the ones asked about first; without a free place a name is left to hovering."""
    named: list[tuple[str, float, float, str]] = []
    for i in sorted(range(len(room.boxes)), key=lambda i: (i not in chosen, -max(room.boxes[i].size[:2]))):
        box, asked = room.boxes[i], i in chosen
        options = _spots(box, scale, 1.08 if asked else 1)
        free = next((o for o in options if all(o.clear_of(p) for p in placed)), options[0] if asked else None)
        if free is None:
            continue
        placed.append(free)
        inside = math.dist((free.x, free.y), np.asarray(box.center[:2]) * scale) < 1
        dark = np.dot(colors[i], (0.3, 0.59, 0.11)) < 110
        ink = "white" if inside and asked and dark else INK if asked else SOFT
        name = f"<b>{plain(box.category)}</b>" if asked else plain(box.category)
        named.append((name, round(free.x / scale, 3), round(free.y / scale, 3), ink))
    text, x, y, inks = (list(column) for column in zip(*named, strict=True)) if named else ([], [], [], [])
    font = {"size": _TEXT_PX, "color": inks}
    fig.add_trace(go.Scatter(x=x, y=y, text=text, mode="text", textfont=font, hoverinfo="skip", name="names"))


def _spots(box: Box, scale: float, bold: float) -> list[_Label]:
    """Places for a box's name, best first: inside where it fits, else above, below, right, left."""
    half = text_width(box.category, _TEXT_PX) / 2 * bold
    x, y = np.asarray(box.center[:2]) * scale
    wide, tall = np.ptp(_outline(box), axis=0) * scale
    up, side = float(tall) / 2 + 9, float(wide) / 2 + half + 4
    beside = [(0, up), (0, -up), (side, 0), (-side, 0)]
    fits = 2 * half <= _chord_m(box) * scale and up >= 16
    return [_Label(x + dx, y + dy, half) for dx, dy in ([(0, 0), *beside] if fits else beside)]


_GAP_PX, _HEAD_PX, _FOOT_PX = 6, 26, 18


def check_frames(frames_FHW3: np.ndarray) -> np.ndarray:
    """Return the frames, or raise ValueError where they are not uint8 of shape (F, H, W, 3) with F ≥ 1."""
    frames = np.asarray(frames_FHW3)
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8 or len(frames) == 0:
        raise ValueError(f"frames have shape {frames.shape} and type {frames.dtype}: give uint8 of shape (F, H, W, 3)")
    return frames


def frame_png(frame_HW3: np.ndarray, scale: int = 3) -> bytes:
    """One uint8 frame as PNG, every pixel enlarged to `scale` × `scale`."""
    return _png(enlarged(frame_HW3, scale))


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
        sheet.paste(enlarged(frame, scale), (x, y))
        pen.text((x + 2, y + high * scale + 2), f"frame {i + 1}", fill=SOFT, font=ImageFont.load_default(size=12))
    alt_text = alt or f"{count} frames of a walk through the room"
    return Picture(_png(sheet), f"{alt_text} ({source})", sheet.width)


def enlarged(frame_HW3: np.ndarray, scale: int) -> Image.Image:
    """A uint8 frame with every pixel enlarged to `scale` × `scale`."""
    image = Image.fromarray(np.ascontiguousarray(frame_HW3))
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)


def _png(image: Image.Image) -> bytes:
    """256 colours chosen from the picture: a third of the bytes, and no difference to the eye in rendered rooms."""
    out = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()
