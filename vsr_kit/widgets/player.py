"""A clip player beside the floor plan that shows where each frame was taken, and the choice of live or still display.

One slider controls everything, and Play only moves the slider. Frames are PNG, enlarged by whole pixels. Where the room
and the walk are known, the same moment is drawn once more for people: larger, with light and names. That picture is
made when it is first looked at, kept, and can be put away; the model's frame always stays, and words above each say
which is which. A clip opens on the frame that shows most of what is asked about, without a question on the first.
`display_live_or_still` gives the widget where a kernel runs and its still parts elsewhere.
Left out: sound, speed, clips too long for memory, and widget state in notebooks, which breaks them on GitHub.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import ipywidgets as ipw
import numpy as np

from vsr_kit.plots import Figure, Html, Picture, beside, clip_strip, floor_plan, frame_png, named_frame
from vsr_kit.plots.large_frames import FOR_PEOPLE, MODEL_SEES, large_png
from vsr_kit.plots.rooms import Mark
from vsr_kit.plots.style import check_source
from vsr_kit.rooms import Room
from vsr_kit.videos import CameraPath, Clip, frame_showing, render
from vsr_kit.videos.for_people import frame_for_people
from vsr_kit.videos.light import Light
from vsr_kit.widgets.view import as_view

_MODEL_ALONE, _BOTH = "what the model sees", "and for people"
_WIDE_PX, _NARROW_PX = 336, 224  # of the model's frame: alone, and beside the other
_SEARCH_PX = 56  # of frames that are drawn only to find the one to open on
WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


def display_live_or_still(view: ipw.Box, stills: Sequence[Figure | Picture | Html | None]) -> None:
    """Display a widget together with its still forms, of which a viewer shows one or the other.

    A viewer picks one form of each output, so every still part rides on an output of its own: the first beside the
    widget itself, the others beside widgets that take no space. Live, only the widget is seen; in a saved notebook,
    where widgets have no state, PNG, SVG and HTML each come through whatever else the viewer filters.
    """
    from IPython.display import display

    as_view(view)
    hidden = ipw.Layout(display="none")
    for i, still in enumerate([part for part in stills if part is not None] or [Html("", "a widget")]):
        bundle = still._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        widget = view if i == 0 else ipw.HTML(layout=hidden)
        forms = {k: v for k, v in data.items() if not k.startswith("application/")}
        live = {WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}
        display({**forms, **live}, metadata=metadata, raw=True)


class ClipPlayer:
    """A clip to play and scrub, and the floor plan that shows where each frame was taken.

    Attributes:
        view: the widget.
        slider: the frame, counted from 1; setting its value shows that frame.
        frames_shown: the model's frames alone, or those for people beside them.
        picture, large: the model's frame, and the one for people.
    """

    def __init__(
        self,
        clip: Clip | np.ndarray | None,
        room: Room | None = None,
        *,
        source: str,
        for_people: bool = True,
        **plan,
    ) -> None:
        """Show a clip.

        Args:
            clip: a rendered `Clip` (which knows its camera's walk), or uint8 frames of shape (F, H, W, 3).
            room: its room; no plan without one.
            source: `measured now` or `shipped`.
            for_people: whether it opens with the frames for people beside the model's. Each takes about half a second
                to draw, so a widget that goes from room to room at every click leaves them to be asked for.
            plan: `path`, `highlight`, `links`, `marks`: what `floor_plan` shall draw.
        """
        self.source = check_source(source)
        self.room, self.frames, self.path, self._light = None, None, None, None
        fitted = {"format": "png", "layout": ipw.Layout(max_width="100%", object_fit="contain")}
        self.picture, self.large = ipw.Image(**fitted), ipw.Image(**fitted | {"layout": ipw.Layout(max_width="100%")})
        self.caption, self.large_caption = ipw.HTML(), ipw.HTML()
        shown = {"options": [_MODEL_ALONE, _BOTH], "value": _BOTH if for_people else _MODEL_ALONE}
        look = {"style": {"button_width": "auto", "description_width": "52px"}}
        wide = ipw.Layout(width="400px", max_width="100%")
        self.frames_shown = ipw.ToggleButtons(**shown, **look, description="frames", layout=wide)
        self.play = ipw.Play(min=1, max=1, interval=450, description="play the clip")
        self.slider = ipw.IntSlider(min=1, max=1, description="frame", layout=ipw.Layout(width="230px"))
        self.plan, self.message = ipw.HTML(layout=ipw.Layout(max_width="100%")), ipw.HTML()
        self._link = ipw.jslink((self.play, "value"), (self.slider, "value"))
        for control in (self.slider, self.frames_shown):
            control.observe(lambda change: self._draw(), names="value")
        self.view = self._arranged()
        self.show(clip, room, **plan)

    def _arranged(self) -> ipw.HBox:
        narrow = {"max_width": "100%", "flex": "0 1 auto", "margin": "0 14px 0 0"}
        self._model = ipw.VBox([self.caption, self.picture], layout=ipw.Layout(**narrow))
        self._people = ipw.VBox([self.large_caption, self.large], layout=ipw.Layout(**narrow))
        flow = {"flex_flow": "row wrap", "align_items": "flex-start", "max_width": "100%"}
        pictures = ipw.HBox([self._model, self._people], layout=ipw.Layout(**flow))
        controls = ipw.HBox([self.play, self.slider], layout=ipw.Layout(**flow))
        parts = [pictures, controls, self.frames_shown, self.message]
        left = ipw.VBox(parts, layout=ipw.Layout(flex="0 1 auto", max_width="100%"))
        return ipw.HBox([left, self.plan], layout=ipw.Layout(flex_flow="row wrap", align_items="flex-start"))

    def show(
        self,
        clip: Clip | np.ndarray | None,
        room: Room | None = None,
        *,
        path: CameraPath | None = None,
        highlight: Sequence[str] = (),
        links: Iterable[tuple[str, str]] = (),
        marks: Sequence[Mark] = (),
    ) -> None:
        """Show another clip, from the frame that shows most of what is highlighted; None says that there is none.

        The frame that is shown stays where the clip and what is highlighted are the same as before.
        """
        frames = clip.frames_FHW3 if isinstance(clip, Clip) else None if clip is None else np.asarray(clip)
        path = clip.path if isinstance(clip, Clip) else path
        asked, before = tuple(highlight), (self.frames, self.room, getattr(self, "highlight", None))
        if room is not self.room or path is not self.path:
            self._light, self._large = None, dict[int, tuple[np.ndarray, np.ndarray]]()
        self.room, self.path, self.frames = room, path, frames
        self.highlight, self.links, self.marks = asked, tuple(links), tuple(marks)
        self._plans: dict[int | None, Figure] = {}
        same = frames is not None and frames is before[0] and room is before[1] and asked == before[2]
        count = 1 if frames is None else len(frames)
        first = self.slider.value if same else 1 + self._opening(clip)
        self.play.max = self.slider.max = count
        self.play.disabled = self.slider.disabled = frames is None
        self._model.layout.display = "none" if frames is None else ""
        self.picture.layout.display = "none" if frames is None else ""
        self.message.value = "<i>There is no clip of this room here.</i>" if frames is None else ""
        if self.slider.value != first:
            self.slider.value = first  # draws
        else:
            self._draw()

    def _opening(self, clip: Clip | np.ndarray | None) -> int:
        """Index of the frame to open on."""
        asked = self._asked()
        if self.frames is None or self.room is None or not asked:
            return 0
        if isinstance(clip, Clip):
            return frame_showing(clip.object_ids_FHW, asked)
        if not self._can_draw():
            return 0
        return frame_showing(render(self.room, self.path, _SEARCH_PX).object_ids_FHW, asked, min_pixels=3)

    def _asked(self) -> list[int]:
        """Indices of the boxes that are highlighted."""
        boxes = () if self.room is None else self.room.boxes
        return [i for i, box in enumerate(boxes) if box.category in self.highlight or i in self.highlight]

    def _can_draw(self) -> bool:
        """Whether frames for people can be drawn: the room and the walk are known, and the walk is the clip's."""
        known = self.room is not None and self.path is not None and self.frames is not None
        return known and len(self.path) == len(self.frames)

    @property
    def frame(self) -> int:
        """Index of the frame shown, from 0."""
        return self.slider.value - 1

    def figure(self) -> Figure | None:
        """The floor plan with the view of the current frame; None without a room."""
        if self.room is None:
            return None
        frame = self.frame if self.path is not None and self.frame < len(self.path) else None
        if frame not in self._plans:
            drawn = {"highlight": self.highlight, "links": self.links, "marks": self.marks, "frame": frame}
            self._plans[frame] = floor_plan(self.room, self.path, source=self.source, longest_px=360, **drawn)
        return self._plans[frame]

    def strip(self) -> Picture | None:
        """All frames as a contact sheet; None without a clip."""
        return None if self.frames is None else clip_strip(self.frames, source=self.source)

    def frame_for_people(self) -> np.ndarray | None:
        """The current frame drawn for people, with names; None where the room or the walk is not known."""
        if not self._can_draw():
            return None
        if self._light is None:
            self._light = Light(self.room)
        if self.frame not in self._large:
            picture, ids, _ = frame_for_people(self._light, self.path, self.frame, _WIDE_PX)
            self._large[self.frame] = picture, ids
        picture, ids = self._large[self.frame]
        return named_frame(picture, ids, self.room, self._asked())

    def both(self) -> Picture | None:
        """The current frame as the model sees it and as people do, side by side; None where it is put away."""
        large = self.frame_for_people() if self.frames_shown.value == _BOTH else None
        return None if large is None else beside(self.frames[self.frame], large, self.frame + 1, source=self.source)

    def _draw(self) -> None:
        self.frames_shown.layout.display = "" if self._can_draw() else "none"
        large = self.frame_for_people() if self.frames_shown.value == _BOTH else None
        self._people.layout.display = "none" if large is None else ""
        if self.frames is not None:
            frame, wide = self.frames[self.frame], _WIDE_PX if large is None else _NARROW_PX
            high, across = frame.shape[:2]
            self.picture.layout.width = f"{wide}px"
            self.picture.value = frame_png(frame, max(1, wide // max(high, across)))
            self.caption.value = f"{MODEL_SEES}: {across} × {high} px"
        if large is not None:
            self.large.value, self.large_caption.value = large_png(large), FOR_PEOPLE
        plan = self.figure()
        self.plan.value = plan.to_svg() if plan else "<i>The geometry of this room is not here.</i>"

    def static(self) -> str:
        """What is shown now, as HTML: the clip's frames, the current one for people, and the plan."""
        return "\n".join(part.__html__() for part in self._stills() if part is not None)

    def _stills(self) -> list[Figure | Picture | None]:
        return [self.strip(), self.both(), self.figure()]

    def _ipython_display_(self) -> None:
        display_live_or_still(self.view, self._stills())
