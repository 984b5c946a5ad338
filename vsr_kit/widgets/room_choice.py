"""Controls that choose what a question is about: a room of the kit by split and number or by name, a room that was
given, or a video file.

A room is filmed when it is chosen, the one way in which the kit films. Rooms may be given as they are, as a list, or as
a geometry file (`rooms.files`), such as VSI-Bench's release. A video is read by PyAV (`videos.files`), as many frames
of it as the model is shown of a room. What cannot be found or read is said in one sentence under the controls, and what
was chosen before stays.
Left out: uploading a file, and cutting a video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path

import ipywidgets as ipw
import numpy as np

from vsr_kit.data.rows import SPLITS, room_named
from vsr_kit.plots.style import WARN
from vsr_kit.questions.types import rules_for
from vsr_kit.rooms import Room
from vsr_kit.rooms.files import read_rooms
from vsr_kit.validation import one_line
from vsr_kit.videos import Clip, film
from vsr_kit.videos.files import read_video
from vsr_kit.widgets.view import Quietly

BY_NUMBER, GIVEN, VIDEO = "a room by number", "a room that was given", "a video file"
MOST_SIDE_PX = 448  # of a video's frames, before the processor makes them smaller still
FIRST = "val-0-00031"  # of middle size, with questions of thirteen types
_MOST_NUMBER = 99_999

Rooms = Room | Iterable[Room] | str | Path | None


class RoomChoice(Quietly):
    """Choose a room or a video.

    Attributes:
        view: the widget.
        source, split, number, name, given, video: the controls; setting a `value` chooses.
        room: the room; None of a video.
        clip: its clip: a `Clip`, or frames (F, H, W, 3) of a video; None before anything could be read.
        scene, dataset: what a row calls them.
    """

    def __init__(
        self,
        rooms: Rooms = None,
        video: str | Path | None = None,
        *,
        num_frames: int = 8,
        on_choice: Callable[[], None] = lambda: None,
    ) -> None:
        """Start with the video, else with the first of the rooms, else with a room of the kit.

        Args:
            rooms: a room, several, or a geometry file.
            video: path of a video file.
            num_frames: of a clip.
            on_choice: called after another room or video was chosen.

        Raises:
            ValueError: no room among those given, or a geometry file that cannot be read.
        """
        self._rooms = {room.name: room for room in _listed(rooms)} if rooms is not None else {}
        if rooms is not None and not self._rooms:
            raise ValueError("rooms is empty: give a room, a list of rooms or a geometry file, or leave it out")
        self.num_frames, self._on_choice = num_frames, on_choice
        self.room: Room | None = None
        self.clip: Clip | np.ndarray | None = None
        self.scene, self.dataset = "own", "own"
        self._build(video)
        self._chosen()

    def _build(self, video: str | Path | None) -> None:
        sources = [BY_NUMBER, *[GIVEN] * bool(self._rooms), VIDEO]
        first = VIDEO if video is not None else GIVEN if self._rooms else BY_NUMBER
        self.source = ipw.Dropdown(options=sources, value=first, **_look("about", "min(98%, 270px)"))
        split, _, number = FIRST.split("-")
        self.split = ipw.Dropdown(options=SPLITS, value=split, **_look("split", "150px"))
        self.number = ipw.BoundedIntText(value=int(number), min=0, max=_MOST_NUMBER, **_look("number", "170px"))
        self.name = ipw.Text(value=FIRST, continuous_update=False, **_look("name", "min(98%, 230px)"))
        self.given = ipw.Dropdown(options=list(self._rooms), **_look("room", "min(98%, 330px)"))
        path = "" if video is None else str(video)
        hint = {"placeholder": "path of an mp4, then Enter", "continuous_update": False}
        self.video = ipw.Text(value=path, **hint, **_look("file", "min(98%, 420px)"))
        self.message = ipw.HTML()
        for control in (self.source, self.given, self.name, self.video):
            control.observe(lambda change: None if self._quiet else self._chosen(), names="value")
        for control in (self.split, self.number):
            control.observe(lambda change: None if self._quiet else self._numbered(), names="value")
        flow = ipw.Layout(flex_flow="row wrap", align_items="center")
        own = [self.source, self.split, self.number, self.name, self.given, self.video]
        self.view = ipw.VBox([ipw.HBox(own, layout=flow), self.message])

    @property
    def controls(self) -> list[ipw.Widget]:
        """Every control, to be switched off and on."""
        return [self.source, self.split, self.number, self.name, self.given, self.video]

    def choose(self, what: Room | str) -> None:
        """Choose a room, or a room of the kit by its name."""
        if isinstance(what, Room):
            self._rooms[what.name] = what
            with self._quietly():
                self.given.options, self.given.value = list(self._rooms), what.name
                self.source.options, self.source.value = [BY_NUMBER, GIVEN, VIDEO], GIVEN
            self._chosen()
            return
        with self._quietly():
            self.source.value = BY_NUMBER
            self.name.value = what
        self._chosen()

    def _numbered(self) -> None:
        self.name.value = f"{self.split.value}-0-{self.number.value:05d}"

    def _chosen(self) -> None:
        for control, source in (
            (self.split, BY_NUMBER),
            (self.number, BY_NUMBER),
            (self.name, BY_NUMBER),
            (self.given, GIVEN),
            (self.video, VIDEO),
        ):
            control.layout.display = "" if self.source.value == source else "none"
        try:
            found = self._of_video() if self.source.value == VIDEO else self._of_room()
        except ValueError as error:
            self.message.value = f'<span role="alert" style="{WARN}">{escape(one_line(error))}</span>'
            return
        if found is None:  # nothing is named yet
            return
        self.room, self.clip, self.scene, self.dataset, note = found
        self.message.value = f"<i>{escape(note)}</i>" if note else ""
        self._on_choice()

    def _of_room(self) -> tuple[Room, Clip, str, str, str]:
        if self.source.value == GIVEN:
            room: Room | None = self._rooms[self.given.value]
        else:
            room = room_named(self.name.value.strip())
        if room is None:
            rule = f"a room of the kit is called {FIRST}: {', '.join(SPLITS)}, a seed, a number of five digits"
            raise ValueError(f"there is no room {self.name.value!r}: {rule}")
        parts = room.name.split("-")
        if self.source.value == BY_NUMBER and int(parts[2]) <= _MOST_NUMBER:
            with self._quietly():
                self.split.value, self.number.value = parts[0], int(parts[2])
        clip = film(room, self.num_frames, clear=rules_for(room.dataset).clear_walk)
        return room, clip, room.name, room.dataset, ""

    def _of_video(self) -> tuple[None, np.ndarray, str, str, str] | None:
        path = self.video.value.strip()
        if not path:
            self.message.value = "<i>Type the path of a video file.</i>"
            return None
        video = read_video(Path(path).expanduser(), self.num_frames, MOST_SIDE_PX)
        notes = "; ".join(f"{Path(path).name} {note}" for note in video.notes.values())
        return None, video.frames_FHW3, Path(path).name, "video", notes


def _listed(rooms: Room | Iterable[Room] | str | Path) -> list[Room]:
    if isinstance(rooms, Room):
        return [rooms]
    if isinstance(rooms, (str, Path)):
        return list(read_rooms(rooms).rooms)
    return list(rooms)


def _look(description: str, width: str) -> dict:
    return {"description": description, "layout": ipw.Layout(width=width), "style": {"description_width": "56px"}}
