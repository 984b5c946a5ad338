"""A clip player beside the floor plan that shows where each frame was taken, and the choice of live or still display.

One slider controls everything, and Play only moves the slider. Frames are PNG, enlarged by whole pixels.
`display_live_or_still` gives the widget where a kernel runs and its still parts elsewhere.
Left out: sound, speed, clips too long for memory, and widget state in notebooks, which breaks them on GitHub.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import ipywidgets as ipw
import numpy as np

from vsr_kit.plots import Figure, Html, Picture, clip_strip, floor_plan, frame_png
from vsr_kit.plots.rooms import Mark
from vsr_kit.plots.style import check_source
from vsr_kit.rooms import Room
from vsr_kit.videos import CameraPath, Clip
from vsr_kit.widgets.view import as_view

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
    """

    def __init__(self, clip: Clip | np.ndarray | None, room: Room | None = None, *, source: str, **plan) -> None:
        """Show a clip.

        Args:
            clip: a rendered `Clip` (which knows its camera's walk), or uint8 frames of shape (F, H, W, 3).
            room: its room; no plan without one.
            source: `measured now` or `shipped`.
            plan: `path`, `highlight`, `links`, `marks`: what `floor_plan` shall draw.
        """
        self.source = check_source(source)
        self.picture = ipw.Image(format="png", layout=ipw.Layout(width="336px", max_width="100%", object_fit="contain"))
        self.play = ipw.Play(min=1, max=1, interval=450, description="play the clip")
        self.slider = ipw.IntSlider(min=1, max=1, description="frame", layout=ipw.Layout(width="230px"))
        self.plan, self.message = ipw.HTML(layout=ipw.Layout(max_width="100%")), ipw.HTML()
        self._link = ipw.jslink((self.play, "value"), (self.slider, "value"))
        self.slider.observe(lambda change: self._draw(), names="value")
        controls = ipw.HBox([self.play, self.slider])
        left = ipw.VBox([self.picture, controls, self.message], layout=ipw.Layout(flex="0 1 auto", max_width="100%"))
        self.view = ipw.HBox([left, self.plan], layout=ipw.Layout(flex_flow="row wrap", align_items="flex-start"))
        self.show(clip, room, **plan)

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
        """Show another clip, from its first frame; None says that there is none."""
        self.room, self.path = room, clip.path if isinstance(clip, Clip) else path
        self.highlight, self.links, self.marks = tuple(highlight), tuple(links), tuple(marks)
        self.frames = clip.frames_FHW3 if isinstance(clip, Clip) else None if clip is None else np.asarray(clip)
        self._plans: dict[int | None, Figure] = {}
        count = 1 if self.frames is None else len(self.frames)
        self.play.max = self.slider.max = count
        self.play.disabled = self.slider.disabled = self.frames is None
        self.picture.layout.display = "none" if self.frames is None else ""
        self.message.value = "<i>There is no clip of this room here.</i>" if self.frames is None else ""
        if self.slider.value != 1:
            self.slider.value = 1  # draws
        else:
            self._draw()

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

    def _draw(self) -> None:
        if self.frames is not None:
            frame = self.frames[self.frame]
            self.picture.value = frame_png(frame, max(1, 336 // max(frame.shape[:2])))
        plan = self.figure()
        self.plan.value = plan.to_svg() if plan else "<i>The geometry of this room is not here.</i>"

    def static(self) -> str:
        """What is shown now, as HTML: the clip's frames and the plan."""
        return "\n".join(part.__html__() for part in (self.strip(), self.figure()) if part is not None)

    def _ipython_display_(self) -> None:
        display_live_or_still(self.view, [self.strip(), self.figure()])
