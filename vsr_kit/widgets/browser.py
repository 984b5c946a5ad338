"""The rollout browser: from a curve to a step, to a question, to what was sampled for it, in three clicks.

Everything that is shown follows from one filter: the curve over the steps, the bars of the histogram, the counts beside
every facet, the list of questions, and the rollouts themselves. Beside them stand the clip and the floor plan of the
question's room, which are made anew from the room's name where the kit generated it. Rollouts come from a run folder,
from TRL's logged completions or another harness's samples (`inspection.read_rollout_table`), or from a table.
Model text is shown by `vsr_kit.plots.traces`, which escapes it.
Left out: asking a model for answers (`AnswerInspector`), and editing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import numpy as np

from vsr_kit.data.own_questions import objects_named
from vsr_kit.data.rows import room_named
from vsr_kit.inspection import SIGNS, Filter, Group, read_rollout_table
from vsr_kit.inspection.sources import Source
from vsr_kit.inspection.table import ORDERS, without
from vsr_kit.plots import Figure, Html, traces
from vsr_kit.plots.answer_marks import answer_marks
from vsr_kit.plots.steps import measure_name, step_curve
from vsr_kit.plots.style import BLUE, LINE, check_source, task_name
from vsr_kit.plots.tables import read_if_known
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.questions.types import rules_for
from vsr_kit.rooms import Room
from vsr_kit.validation import one_of
from vsr_kit.videos import Clip, film
from vsr_kit.widgets.inspector import linked
from vsr_kit.widgets.player import ClipPlayer, display_live_or_still
from vsr_kit.widgets.token_colours import TokenColours
from vsr_kit.widgets.view import Quietly

if TYPE_CHECKING:
    from vsr_kit.models.loading import Loaded

PAGE = 8  # rollouts shown at once
MOST_QUESTIONS = 200  # in the list: more are reached by narrowing
_BARS, _BAR_PX = 10, 64
_FACETS = {"question_type": "type", "outcome": "outcome", "sign": "sign", "change": "training", "label": "model"}


class RolloutBrowser(Quietly):
    """Choose a step, a question and a facet; see what was sampled, what it earned, and the room that it is about.

    Attributes:
        view: the widget.
        table: the rollouts.
        filter: what is looked at; `look` sets it.
        step, question, search, measure, order, facets: the controls; setting a `value` updates everything.
        colours: colours the tokens of the shown rollouts by the value of its `control`.
        bars: buttons of the histogram: pressed, one narrows to its bin, pressed again, it lets go.
    """

    def __init__(
        self,
        source: Source,
        *,
        shown_as: str = "measured now",
        rooms: Mapping[str, Room] | Callable[[str], Room | None] = room_named,
        clips: Mapping[str, Clip | np.ndarray] | None = None,
        loaded: Loaded | None = None,
    ) -> None:
        """Read rollouts.

        Args:
            source: a table, or what `inspection.read_rollout_table` reads.
            shown_as: `measured now` or `shipped`.
            rooms: geometry by scene name; rooms that the kit generated are made anew from their names by default.
            clips: by scene name; a room without one is filmed.
            loaded: a model from `load_model`, which is asked about the tokens of the shown rollouts; without one those
                can be coloured whose tokens a training recorded.
        """
        self.table = read_rollout_table(source)
        self.source, self._rooms, self._clips = check_source(shown_as), rooms, dict(clips or {})
        self._page, self._groups, self._drawn = 0, list[Group](), ""
        self._last: tuple[int | None, str] = (None, "")  # the question that was chosen last
        self.colours = TokenColours(self.table, self._frames_of, loaded, self._clips, **_look("colour by"))
        self._build()
        self._set(Filter(step=self.table.steps[-1] if self.table.steps else None))

    # -- controls ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        steps, table = self.table.steps, self.table
        measures = [(measure_name(measure), measure) for measure in table.measures]
        self.measure = ipw.Dropdown(options=measures, **_look("measure"))
        self.order = ipw.Dropdown(options=ORDERS, **_look("order"))
        self.search = ipw.Text(continuous_update=False, placeholder="words, then Enter", **_look("search"))
        self.facets = {name: ipw.Dropdown(**_look(told)) for name, told in _FACETS.items()}
        everything = np.arange(len(table))
        for name in _FACETS:  # what is the same everywhere divides nothing
            if name != "sign" and len(table.facet(name, everything)) < 2:
                self.facets[name].layout.display = "none"
        self.reset = ipw.Button(description="Show all", tooltip="drop every filter but the step")
        self.curve, self.status, self.narrowed = ipw.HTML(), ipw.HTML(), ipw.HTML()
        slider = _look("step", "min(98%, 540px)") | {"continuous_update": False, "disabled": not steps}
        self.step = ipw.SelectionSlider(options=steps or [0], value=steps[-1] if steps else 0, **slider)
        self.all_steps = ipw.Checkbox(value=not steps, description="all steps", indent=False)
        self.bars = [
            ipw.Button(layout=ipw.Layout(width="56px", flex="0 0 auto", margin="0 2px 0 0")) for _ in range(_BARS)
        ]
        self.question = ipw.Select(rows=6, layout=ipw.Layout(width="min(98%, 880px)"))
        self.back = ipw.Button(description="◀ Earlier", layout=ipw.Layout(width="90px"))
        self.on = ipw.Button(description="Later ▶", layout=ipw.Layout(width="90px"))
        self.where, self.rollouts = ipw.HTML(), ipw.HTML(layout=ipw.Layout(max_width="100%", overflow="auto"))
        self.player = ClipPlayer(None, source=self.source, for_people=False)
        self._observe()
        self.view = self._arranged()

    def _observe(self) -> None:
        for control in (self.measure, self.order, self.search, self.step, self.all_steps, *self.facets.values()):
            control.observe(lambda change: self._chosen(), names="value")
        self.colours.control.observe(lambda change: self._show_rollouts(), names="value")
        self.question.observe(lambda change: None if self._quiet else self._question_chosen(), names="value")
        self.reset.on_click(lambda button: self.look(Filter(step=self.filter.step)))
        self.back.on_click(lambda button: self._turn(-1))
        self.on.on_click(lambda button: self._turn(1))
        for at, bar in enumerate(self.bars):
            bar.on_click(lambda button, at=at: self._bar_pressed(at))

    def _arranged(self) -> ipw.VBox:
        flow = {"flex_flow": "row wrap", "align_items": "center"}
        steps = [self.curve, ipw.HBox([self.step, self.all_steps], layout=ipw.Layout(**flow))]
        asked = [self.search, *self.facets.values(), self.measure, self.order, self.reset]
        scrolled = {"max_width": "100%", "overflow": "auto", "min_height": f"{_BAR_PX + 34}px"}
        bars = ipw.HBox(self.bars, layout=ipw.Layout(align_items="flex-end", **scrolled))
        pages = ipw.HBox([self.back, self.on, self.where, self.colours.control], layout=ipw.Layout(**flow))
        texts = ipw.VBox(
            [pages, self.rollouts], layout=ipw.Layout(flex="1 1 460px", min_width="240px", max_width="100%")
        )
        room = ipw.VBox([self.player.view], layout=ipw.Layout(flex="0 1 460px", min_width="240px", max_width="100%"))
        beside = ipw.HBox([texts, room], layout=ipw.Layout(flex_flow="row wrap", align_items="flex-start"))
        controls = ipw.HBox(asked, layout=ipw.Layout(**flow))
        below = [controls, self.status, self.narrowed, bars, self.question, beside]
        return ipw.VBox([*(steps if self.table.steps else []), *below])

    def _chosen(self) -> None:
        """A control was used: the filter follows from all of them."""
        if self._quiet:
            return
        step = None if self.all_steps.value else self.step.value
        values: dict[str, Any] = {name: control.value or "" for name, control in self.facets.items()}
        kept = self.filter if self.measure.value == self.filter.measure else without(self.filter, "low", "high")
        self._set(replace(kept, search=self.search.value, step=step, measure=self.measure.value, **values))

    def look(self, chosen: Filter) -> None:
        """Look at what a filter leaves, and set the controls to it.

        Raises:
            ValueError: a step, measure or facet's value that there is not; nothing has changed then.
        """
        if chosen.step is not None:
            one_of("step", chosen.step, self.table.steps, "leave it out for all steps")
        self.table.select(chosen)
        with self._quietly():
            self.search.value = chosen.search
            self.all_steps.value = chosen.step is None
            if chosen.step is not None:
                self.step.value = chosen.step
            if chosen.measure:
                self.measure.value = chosen.measure
        self._set(chosen)

    def _set(self, chosen: Filter) -> None:
        self.filter = replace(chosen, measure=self.measure.value)
        self._update()

    def _bar_pressed(self, at: int) -> None:
        if at >= len(self._bins):  # pressed before it was taken away
            return
        low, high, _ = self._bins[at]
        open_again = (self.filter.low, self.filter.high) == (low, high)
        self._set(without(self.filter, "low", "high") if open_again else replace(self.filter, low=low, high=high))

    # -- what follows from the filter ----------------------------------------------------------------------------------

    def _update(self) -> None:
        table, chosen = self.table, self.filter
        rows = table.select(chosen)
        self._show_facets()
        self._show_bars(table.select(without(chosen, "low", "high")))
        if table.steps:
            self.curve.value = self._curve().__html__()
        everywhere = len(table.select(without(chosen, "step")))
        beyond = f" · {everywhere} at all steps" if chosen.step is not None else f" of {len(table)}"
        self.status.value = f"<b>{len(rows)}</b> rollouts fit{beyond}"
        self._groups = table.groups(rows, chosen.measure, self.order.value)
        listed = self._groups[:MOST_QUESTIONS]
        if len(listed) < len(self._groups):
            what = f"the first {MOST_QUESTIONS} of {len(self._groups)} questions are listed: narrow to reach the others"
            self.status.value += f" · {what}"
        with self._quietly():
            self.question.options = [(_line(g, chosen.step is None), i) for i, g in enumerate(listed)]
            same = [i for i, g in enumerate(listed) if (g.step, g.id) == self._last]
            self.question.value = (same or [0])[0] if listed else None
        self._question_chosen()

    def _show_facets(self) -> None:
        with self._quietly():
            for name, control in self.facets.items():
                counts = self.table.facet(name, self.table.select(without(self.filter, name)))
                value = getattr(self.filter, name)
                options = [(f"{task_name(v) if name == 'question_type' else v} ({n})", v) for v, n in counts.items()]
                if name == "sign":  # not counted yet: it takes seconds for a hundred thousand
                    options += [(f"{v} (look)", v) for v in SIGNS if v not in self.table.known_signs]
                if value and value not in [v for _, v in options]:
                    options.append((f"{value} (0)", value))
                control.options = [("all", ""), *options]
                control.value = value

    def _show_bars(self, rows: np.ndarray) -> None:
        self._bins = self.table.histogram(rows, self.filter.measure, _BARS)
        most = max((count for *_, count in self._bins), default=0) or 1
        name = measure_name(self.filter.measure)
        bounds = (self.filter.low, self.filter.high)
        what = "press a bar to see its rollouts alone"
        if bounds in [(low, high) for low, high, _ in self._bins]:
            what = "press the blue bar to let go"
        elif bounds != (None, None):
            ends = zip(("at least", "at most"), bounds, strict=True)
            told = " and ".join(f"{sign} {end:g}" for sign, end in ends if end is not None)
            what = f"only {told}; press Show all to let go"
        self.narrowed.value = f"<i>How many rollouts by {escape(name)}: {escape(what)}.</i>"
        for at, bar in enumerate(self.bars):
            there = at < len(self._bins)
            bar.layout.display = "" if there else "none"
            if there:
                low, high, count = self._bins[at]
                chosen = (self.filter.low, self.filter.high) == (low, high)
                bar.description = f"{low:.3g}"
                said = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
                bar.tooltip = f"{count} rollouts with {name} {said}" + (": press to let go" if chosen else "")
                bar.layout.height = f"{28 + round(_BAR_PX * count / most)}px"
                bar.style.button_color = BLUE if chosen else LINE
                bar.style.text_color = "white" if chosen else "#1b1f24"

    def _curve(self) -> Figure | Html:
        means = self.table.by_step(self.table.select(without(self.filter, "step")), self.filter.measure)
        if not means:
            return Html("<p><i>No rollout of any step fits the filter.</i></p>", "no rollouts")
        look = {"measure": self.filter.measure, "source": self.source, "title": self.table.name}
        return step_curve(means, self.filter.step, **look)

    # -- one question --------------------------------------------------------------------------------------------------

    @property
    def group(self) -> Group | None:
        """The chosen question's rollouts; None where the filter leaves none."""
        return None if self.question.value is None else self._groups[self.question.value]

    def _question_chosen(self) -> None:
        self._page, self._last = 0, (self.group.step, self.group.id) if self.group else self._last
        self._show_rollouts()
        self._show_room()

    def _turn(self, by: int) -> None:
        self._page += by
        self._show_rollouts()
        self._show_room()

    def rollout_table(self) -> Html:
        """The page of rollouts that is shown, as `plots.traces` shows them."""
        if (group := self.group) is None:
            return Html("<p><i>No rollout fits: loosen the filter.</i></p>", "no rollouts")
        places = group.rows[self._page * PAGE : (self._page + 1) * PAGE]
        look: dict[str, Any] = {"title": self.table.name, "highlight": self.filter.search}
        above = Html("")
        if self.colours.measure:
            above, look["texts"] = self.colours.texts(places, self.source)
        shown = traces([self.table.row(at) for at in places], source=self.source, read=read_if_known, **look)
        return Html(above.markup + shown.markup, shown.alt)

    def _show_rollouts(self) -> None:
        count = len(self.group.rows) if self.group else 0
        pages = max(1, -(-count // PAGE))
        self._page = min(max(self._page, 0), pages - 1)  # two quick presses come before the button is disabled
        self.rollouts.value = self.rollout_table().markup
        self.back.disabled, self.on.disabled = self._page == 0, self._page >= pages - 1
        first = self._page * PAGE
        left = f", of {self.group.size} sampled" if self.group and self.group.size > count else ""
        self.where.value = f"{min(first + 1, count)} to {min(first + PAGE, count)} of {count}{left}"

    def _show_room(self) -> None:
        row = self.table.row(self.group.rows[0]) if self.group else {}
        scene = str(row.get("scene_name", ""))
        rows = self.group.rows[self._page * PAGE : (self._page + 1) * PAGE] if self.group else ()
        if (drawn := f"{scene}\n{row.get('question')}\n{rows}") == self._drawn:
            return
        self._drawn = drawn
        room, clip = self._room_and_clip(scene)
        self.player.view.layout.display = "none" if room is None and clip is None else ""
        names = objects_named(row, room) if room is not None else []
        about, plan = {**row, "objects": names}, dict[str, Any]()
        if room is not None and row.get("question_type") in QUESTION_TYPES:
            marks = answer_marks(about, room, [self.table.row(at)["completion"] for at in rows])
            plan = {"marks": marks, "links": () if marks else linked(about, room)}
        self.player.show(clip, room, highlight=names, **plan)

    def _room_and_clip(self, scene: str) -> tuple[Room | None, Clip | np.ndarray | None]:
        """A scene's geometry and its clip, filmed if need be; None for what there is not."""
        room = self._rooms(scene) if callable(self._rooms) else self._rooms.get(scene)
        clip = self._clips.get(scene)
        if clip is None and room is not None:
            clip = self._clips[scene] = film(room, clear=rules_for(room.dataset).clear_walk)
        return room, clip

    def _frames_of(self, scene: str) -> np.ndarray | None:
        clip = self._room_and_clip(scene)[1]
        return clip.frames_FHW3 if isinstance(clip, Clip) else clip

    # -- still ---------------------------------------------------------------------------------------------------------

    def static(self) -> str:
        """What is chosen now, as HTML: the curve, the rollouts, the clip and the plan."""
        curve = [self._curve().__html__()] if self.table.steps else []
        return "\n".join([*curve, self.rollout_table().markup, self.player.static()])

    def _ipython_display_(self) -> None:
        curve = [self._curve()] if self.table.steps else []
        display_live_or_still(self.view, [*curve, self.rollout_table(), self.player.strip(), self.player.figure()])


def _line(group: Group, with_step: bool) -> str:
    """A question as the list shows it (which needs no escaping: an option is text)."""
    step = f"step {group.step}  " if with_step and group.step is not None else ""
    mean = "" if np.isnan(group.mean) else f"{group.mean:5.2f}  "
    text = " ".join(group.question.split()) or group.id
    return f"{step}{mean}{len(group.rows)}/{group.size}  {text if len(text) <= 110 else text[:109] + '…'}"


def _look(description: str, width: str = "250px") -> dict[str, Any]:
    """A control's look, its own and not shared: what is hidden is hidden alone."""
    return {"description": description, "layout": ipw.Layout(width=width), "style": {"description_width": "62px"}}
