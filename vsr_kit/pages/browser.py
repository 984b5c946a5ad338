"""The rollout browser as one HTML file: what `widgets.RolloutBrowser` shows in a notebook, for anyone with a browser.

`write_browser` takes tables of rollouts or of answers and writes a page that holds everything: the rows, the plans and
the clips of their rooms, and a script without any library. It asks no other file and no server for anything, so it can
be sent by mail and opened from a disk. An address such as `page.html#run=…&step=…&id=…` opens at one question's
rollouts. Where a training recorded tokens (`vsr train --record-tokens`), they can be coloured by what was recorded; the
plan shows the answers that the filter leaves. A page has at most 15 MB: of runs that do not fit, whole questions are
left out by a rule that the page states.
Model text never becomes markup: it arrives as compressed JSON and is set as text.
Left out: browsers without DecompressionStream (older than Chrome 80, Firefox 113, Safari 16.4), which are told so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from vsr_kit.data.rows import room_named
from vsr_kit.files import replace
from vsr_kit.inspection import RolloutTable, read_rollout_table
from vsr_kit.inspection.sources import Source
from vsr_kit.pages.filling import page
from vsr_kit.pages.packing import Shared, embedded, pack, told
from vsr_kit.pages.rooms import RoomPictures
from vsr_kit.rooms import Room
from vsr_kit.validation import whole

MOST_BYTES = 15_000_000
# Of a page, about, before it is made: a room's pictures, a row beside its text, a number of a token.
_ROOM_BYTES, _ROW_BYTES, _NUMBER_BYTES = 12_500, 30, 5
_COUNTS = (None, 64, 32, 16, 8, 4, 2, 1)  # questions kept of a step, from all to one
_STRIDES = (2, 4, 8, 16, 32, 64, 128)  # then every so many steps


@dataclass(frozen=True)
class Shown:
    """One entry of a page's list of runs.

    Attributes:
        table: its rollouts or answers.
        note: a sentence that stands above them.
    """

    table: RolloutTable
    note: str = ""


def write_browser(
    shown: Sequence[Shown | Source],
    path: str | Path,
    *,
    title: str = "Rollouts",
    about: str = "",
    links: Mapping[str, str] | None = None,
    most_bytes: int = MOST_BYTES,
    rooms: Callable[[str], Room | None] = room_named,
    shown_as: str = "measured now",
) -> Path:
    """Write the page and return its path.

    Args:
        shown: runs, each with its table or what `inspection.read_rollout_table` reads.
        path: of the file.
        title: the page's heading.
        about: a paragraph below it.
        links: text and address of links at the top, such as one back to an index.
        most_bytes: size of the file at which questions begin to be left out.
        rooms: geometry by scene name; rooms that the kit generated are made anew from their names by default.
        shown_as: what plans say of themselves: `measured now` or `shipped`.

    Raises:
        ValueError: no run, two runs of one name, or one question a run is too much for `most_bytes` already.
    """
    whole("most_bytes", most_bytes, 100_000)
    runs = [one if isinstance(one, Shown) else Shown(read_rollout_table(one)) for one in shown]
    names = [run.table.name for run in runs]
    if not runs or len(set(names)) < len(names):
        raise ValueError(f"runs are {', '.join(names) or 'none'}: give at least one, and each a name of its own")
    look = {"title": title, "about": about, "links": dict(links or {})}
    pictures = RoomPictures(rooms, shown_as)  # kept from try to try: a room is drawn once
    html = _fitting(runs, look, most_bytes, pictures)
    replace(Path(path), lambda beside: beside.write_text(html, encoding="utf-8"))
    return Path(path)


def link_to(page: str, run: str, id: str, step: int | None = None, **chosen: str) -> str:
    """The address of one question's rollouts on a page; `chosen` may narrow: search, type, outcome, label."""
    parts = {"run": run} | ({} if step is None else {"step": str(step)}) | {"id": id} | chosen
    return f"{page}#{urlencode(parts)}"


def _fitting(runs: Sequence[Shown], look: dict, most_bytes: int, pictures: RoomPictures) -> str:
    """The page with as many questions as fit."""
    for count, stride in [*((count, 1) for count in _COUNTS), *((1, stride) for stride in _STRIDES)]:
        chosen = [Shown(sampled(run.table, count, stride), run.note) for run in runs]
        if (count, stride) != (1, _STRIDES[-1]) and _estimate(chosen) > 1.5 * most_bytes:
            continue  # packing would take its time for nothing
        html = _page(chosen, _left_out(runs, chosen, count, stride), look, pictures)
        if len(html.encode()) <= most_bytes:
            return html
    raise ValueError(f"one question of every {stride}th step is too much for {most_bytes} bytes: name fewer runs")


def sampled(table: RolloutTable, count: int | None, stride: int = 1) -> RolloutTable:
    """The first questions of each step, with all their rollouts, of every so many steps; of answers, the first ones.

    Args:
        table: of rollouts or answers.
        count: questions kept of a step; None keeps all.
        stride: every so many steps are kept, counted from the last, which is always there.
    """
    steps = set(table.steps[::-1][::stride])
    kept: dict[int | None, int] = {}
    rows: list[int] = []
    for group in table.groups(np.arange(len(table)), table.measures[0]):
        kept[group.step] = kept.get(group.step, 0) + 1
        if (count is None or kept[group.step] <= count) and (group.step is None or group.step in steps):
            rows += group.rows
    if len(rows) == len(table):
        return table
    return table.part(rows)


def _estimate(runs: Sequence[Shown]) -> float:
    """About how large a page becomes."""
    scenes = {scene for run in runs for scene in run.table.frame["scene_name"]}
    texts = "\n".join(text for run in runs for text in run.table.frame["completion"])
    packed = len(zlib.compress(texts.encode("utf-8", "replace"), 1))
    known = [one for run in runs for one in run.table.token_measures.values()]
    tokens = sum(len(one.tokens) * (1 + len(one.values)) for one in known)
    rows = sum(len(run.table) for run in runs)
    return packed * 4 / 3 + _ROOM_BYTES * len(scenes) + _ROW_BYTES * rows + _NUMBER_BYTES * tokens


def _left_out(runs: Sequence[Shown], chosen: Sequence[Shown], count: int | None, stride: int) -> str:
    """What a page does not hold and by which rule, in a sentence; empty where it holds everything."""
    whole_size, size = (sum(len(one.table) for one in some) for some in (runs, chosen))
    if size == whole_size:
        return ""
    each = f"the first {count} question{'s' * (count != 1)} of each step" if count else "all questions of each step"
    which = "" if stride == 1 else f" of every {stride}th recorded step, counted from the last"
    return (
        f"{size:,} of {whole_size:,} completions are shown, so that the page stays small: {each}{which}, in the order "
        "in which they were recorded and with all their completions. Counts and bars are of these alone."
    )


def _page(runs: Sequence[Shown], left_out: str, look: dict, pictures: RoomPictures) -> str:
    shared = Shared(pictures)
    packed = [pack(run.table, shared, run.note) for run in runs]
    scenes = {question["scene"] for question in shared.questions}
    data = {
        "words": told(),
        "runs": packed,
        "questions": shared.questions,
        "rooms": {scene: room for scene, room in pictures.shown.items() if scene in scenes},
    }
    return page("browser.html.j2", data=embedded(data), left_out=left_out, **look)
