"""An inspector of answers: several models' answers to one question, beside the clip and the floor plan.

Dropdowns choose a room or all of them, a question type, what came out, a question and whose answers to show, and a
search narrows the questions to those in which, or in whose answers, some words stand; the display follows from them
alone. What came out is told of the last checkpoint that has an answer, and, where there are two, against the first:
which questions became right, or are no longer. It opens with the first question on which the checkpoints differ.
Buttons go on to the next question, or any. Kept answers appear at once; a model is asked when the button is pressed,
and its answer is kept. What answers can come from is told in answer_sources.py. Model text is shown by
`vsr_kit.plots.traces`, which escapes it.
Left out: questions of one's own (`Playground`), and asking many at once (`vsr eval`).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as ipw
import numpy as np

from vsr_kit.inspection import CHANGES, OUTCOMES, RolloutTable, change_of
from vsr_kit.plots import Html, traces
from vsr_kit.plots.answer_marks import answer_marks
from vsr_kit.plots.style import check_source, task_name
from vsr_kit.plots.tables import read_answer
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.rewards import accuracy_reward
from vsr_kit.rooms import Room
from vsr_kit.validation import one_of
from vsr_kit.videos import CameraPath, Clip
from vsr_kit.widgets.answer_sources import Answers, AnswerSource, Asking, answer_source, by_label
from vsr_kit.widgets.player import ClipPlayer, display_live_or_still
from vsr_kit.widgets.view import Quietly

_EVERY = "every type"
_ALL = "all of them"
_EVERYWHERE = "every room"


class AnswerInspector(Quietly):
    """Choose a room, a question and a checkpoint; see the clip, the plan, and what was answered and earned.

    Attributes:
        view: the widget.
        room, kind, only, question, checkpoint: its dropdowns; setting a `value` updates everything below.
        back, on, any: buttons: the question before, the one after, and one at random, of those that fit.
        player: the `ClipPlayer`.
    """

    def __init__(
        self,
        rooms: Iterable[Room] | Mapping[str, Room],
        rows: Sequence[Mapping],
        clips: Mapping[str, Clip | np.ndarray],
        checkpoints: Mapping[str, Answers] | RolloutTable,
        *,
        source: str,
        models: Mapping[str, Any] | None = None,
        mode: str = "vanilla",
        prompt_set: str = "eval",
        paths: Mapping[str, CameraPath] | None = None,
        rewards: Callable[[str, Mapping], Mapping[str, float]] | None = None,
        read: Callable[[str, Mapping], tuple[str | None, str | None]] = read_answer,
    ) -> None:
        """Put questions, clips and answers together.

        Args:
            rooms: geometry for the plans; rows of a room that is not among them are shown without a plan.
            rows: questions with VSI-Bench's fields; `objects`, where a row has it, is outlined in the plan.
            clips: by scene name; a missing one is said to be missing.
            checkpoints: a name (say, "before", "after") to its answers, or to the model that gives them: kept answers,
                a loaded model, a function, a run folder, an adapter, a checkpoint (`answer_sources.answer_source`); or
                a table, whose labels are the names.
            source: `measured now` or `shipped`.
            models: loaded models by the names of checkpoints whose answers were kept: they can be asked, too.
            mode, prompt_set: how models are asked.
            paths: the camera's walks by scene name, where `clips` holds frames alone.
            rewards: reward terms of a text for a row; by default the kit's accuracy reward.
            read: what reads an answer from text, see `plots.traces`.
        """
        self.rooms = dict(rooms) if isinstance(rooms, Mapping) else {room.name: room for room in rooms}
        self.rows, self.clips, self.paths = [dict(row) for row in rows], clips, paths or {}
        self.source, self._read, self._rewards = check_source(source), read, rewards or accuracy_term
        asking = Asking(clips, mode, prompt_set)
        given = by_label(checkpoints) if isinstance(checkpoints, RolloutTable) else checkpoints
        sources = {name: answer_source(name, answers, asking) for name, answers in given.items()}
        for name, model in (models or {}).items():
            one_of("a name of `models`", name, sources, "models belong to checkpoints")
            sources[name] = AnswerSource(sources[name].kept, answer_source(name, model, asking).ask)
        self._ask = {name: one.ask for name, one in sources.items() if one.ask is not None}
        self._known: dict[str, dict[str, Any]] = {name: dict(one.kept) for name, one in sources.items()}
        self._came_out = {_key(row): self._judged(row) for row in self.rows}
        self._build(list(sources))
        self._open()

    def _build(self, checkpoints: list[str]) -> None:
        scenes = list(dict.fromkeys([*(row["scene_name"] for row in self.rows), *self.rooms]))
        wide = {"layout": ipw.Layout(width="min(98%, 860px)"), "style": {"description_width": "90px"}}
        half = {"layout": ipw.Layout(width="280px"), "style": {"description_width": "90px"}}
        small = {"layout": ipw.Layout(width="104px")}
        rooms = [*scenes, *[_EVERYWHERE] * bool(scenes)]
        self.room = ipw.Dropdown(options=rooms, description="room", **half)
        self.only = ipw.Dropdown(options=[("all", "")], description="came out", **half)
        self.search = ipw.Text(continuous_update=False, placeholder="words, then Enter", description="search", **half)
        self.back, self.on, self.any = (ipw.Button(description=d, **small) for d in ("◀ Previous", "Next ▶", "Random"))
        self.kind = ipw.Dropdown(description="type", **half)
        self.checkpoint = ipw.Dropdown(options=[_ALL, *checkpoints], description="answers of", **half)
        self.question = ipw.Dropdown(description="question", **wide)
        self.ask = ipw.Button(description="Ask now", tooltip="ask the model about this question")
        self.ask.layout.display = "" if self._ask else "none"
        self.answers = ipw.HTML()
        self.player = ClipPlayer(None, source=self.source, for_people=False)
        for control, react in (
            (self.room, self._room_chosen),
            (self.kind, self._kind_chosen),
            (self.only, self._kind_chosen),
            (self.search, self._kind_chosen),
            (self.question, self._question_chosen),
            (self.checkpoint, self._show_answers),
        ):
            control.observe(lambda change, react=react: None if self._quiet else react(), names="value")
        self.ask.on_click(lambda button: self.ask_now())
        for button, places in ((self.back, lambda: -1), (self.on, lambda: 1), (self.any, self._anywhere)):
            button.on_click(lambda pressed, places=places: self._go(places()))
        wrapped = ipw.Layout(flex_flow="row wrap")
        choices = ipw.HBox([self.room, self.kind, self.only, self.search, self.checkpoint], layout=wrapped)
        steps = ipw.HBox([self.back, self.on, self.any, self.ask], layout=wrapped)
        self.view = ipw.VBox([choices, self.question, steps, self.player.view, self.answers])

    # -- choosing ------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        """Begin with the first question on which the checkpoints differ, else with the first there is."""
        first = next((i for i, row in enumerate(self.rows) if self._differs(row)), 0)
        with self._quietly():
            if self.rows:
                self.room.value = self.rows[first]["scene_name"]
        self._room_chosen()
        if self.rows:
            self.question.value = first

    def _differs(self, row: Mapping) -> bool:
        """Whether two checkpoints' answers to a question are read differently."""
        texts = [known[_key(row)] for known in self._known.values() if isinstance(known.get(_key(row)), str)]
        return len({self._read(text, row)[0] for text in texts}) > 1

    def _room_chosen(self) -> None:
        kinds = {row["question_type"] for row in self.rows if self.room.value in (row["scene_name"], _EVERYWHERE)}
        known = [k for k in QUESTION_TYPES if k in kinds] + sorted(kinds - set(QUESTION_TYPES))
        kept = self.kind.value
        with self._quietly():
            self.kind.options = [(_EVERY, ""), *((task_name(k), k) for k in known)]
            self.kind.value = kept if kept in known else ""  # None would show as an empty field
        self._kind_chosen()

    def _kind_chosen(self) -> None:
        of_room = [(i, row) for i, row in enumerate(self.rows) if self.room.value in (row["scene_name"], _EVERYWHERE)]
        kind, sought = self.kind.value, self.search.value.casefold()
        fitting = [(i, row) for i, row in of_room if kind in ("", row["question_type"]) and self._has(row, sought)]
        self._narrowed = [row for _, row in fitting]
        self._count()
        only = self.only.value
        fitting = [(i, row) for i, row in fitting if not only or only in self._came_out[_key(row)]]
        with self._quietly():
            self.question.options = [(f"{n}. {_one_line(row)}", i) for n, (i, row) in enumerate(fitting, 1)]
            self.question.value = fitting[0][0] if fitting else None
        self._question_chosen()

    def _has(self, row: Mapping, words: str) -> bool:
        """Whether words stand in a question or in an answer to it, whatever the case."""
        texts = [row["question"], *(known.get(_key(row), "") for known in self._known.values())]
        return not words or any(words in str(text).casefold() for text in texts)

    def _count(self) -> None:
        """Tell of each outcome and change how many questions have it, the other filters as they are."""
        came_out = [self._came_out[_key(row)] for row in self._narrowed]
        there = {kind for own in self._came_out.values() for kind in own}
        counts = {kind: sum(kind in own for own in came_out) for kind in (*CHANGES, *OUTCOMES) if kind in there}
        kept = self.only.value
        with self._quietly():
            self.only.options = [("all", ""), *((f"{kind} ({count})", kind) for kind, count in counts.items())]
            self.only.value = kept if kept in counts else ""
        self.only.layout.display = "" if counts else "none"

    def _go(self, by: int) -> None:
        """Go on by some questions of the list, round and round."""
        places = [index for _, index in self.question.options]
        if places:
            self.question.value = places[(places.index(self.question.value) + by) % len(places)]

    def _anywhere(self) -> int:
        """How far another question of the list is, at random."""
        return random.randrange(1, max(2, len(self.question.options)))

    @property
    def scene(self) -> str:
        """The room that is shown: the question's, else the chosen one."""
        return str(self.row["scene_name"]) if self.row is not None else str(self.room.value)

    def _question_chosen(self) -> None:
        row, room = self.row, self.rooms.get(self.scene)
        objects = [name for name in (row or {}).get("objects") or () if room is not None and name in room.counts]
        self._asked_about = list(dict.fromkeys(objects))
        self._show_answers()

    @property
    def row(self) -> dict | None:
        """The chosen question's row; None where the room has none."""
        return None if self.question.value is None else self.rows[self.question.value]

    # -- answers -------------------------------------------------------------------------------------------------------

    def _judged(self, row: Mapping) -> tuple[str, ...]:
        """What came out of the last checkpoint that has an answer, and what became of the first one's answer."""
        texts = [known[_key(row)] for known in self._known.values() if isinstance(known.get(_key(row)), str)]
        outcomes = [self._outcome(text, row) for text in texts]
        change = change_of(outcomes[0], outcomes[-1]) if len(outcomes) > 1 else ""
        return tuple(filter(None, (*outcomes[-1:], change)))

    def _outcome(self, text: str, row: Mapping) -> str:
        if self._read(text, row)[0] is None:
            return OUTCOMES[3]
        paid = next(iter(self._rewards(text, row).values()), 0.0)
        return OUTCOMES[0] if paid >= 1 else OUTCOMES[1] if paid > 0 else OUTCOMES[2]

    def ask_now(self) -> None:
        """Ask the chosen live checkpoints about the chosen question; a failure is shown in place of an answer."""
        if (row := self.row) is None:
            return
        self.ask.disabled, self.ask.description = True, "Asking …"
        try:
            for name in self._chosen():
                if name in self._ask:
                    self._known[name][_key(row)] = self._asked(name, row)
        finally:
            self.ask.disabled, self.ask.description = False, "Ask now"
            self.ask.focus()  # which a disabled button loses
        self._came_out[_key(row)] = self._judged(row)
        self._count()
        self._show_answers()

    def _asked(self, name: str, row: dict) -> str | Exception:
        try:
            return str(self._ask[name](row))
        except Exception as error:  # the learner shall see it in place, whatever a model or processor raised
            return error

    def _chosen(self) -> list[str]:
        return list(self._known) if self.checkpoint.value == _ALL else [self.checkpoint.value]

    def answer_table(self) -> Html:
        """The chosen question with the answers known so far, as `plots.traces` shows them."""
        if (row := self.row) is None:
            what = (
                f"no question about room {self.room.value}"
                if not self.only.value + self.search.value
                else "no such question here"
            )
            return Html(f"<p><i>There is {escape(what)}.</i></p>", "no question")
        lines, notes = [], []
        for name in self._chosen():
            text = self._known[name].get(_key(row))
            if isinstance(text, str):
                lines.append(row | {"label": name, "completion": text, "rewards": self._rewards(text, row)})
            elif text is not None:
                notes.append(f"{name} failed: {type(text).__name__}: {text}")
            else:
                notes.append(f"{name}: {'not asked yet' if name in self._ask else 'no stored answer to this question'}")
        table = traces(lines or [_asked_alone(row)], source=self.source, read=self._read, title="Answers")
        below = "".join(f"<p><i>{escape(note)}</i></p>" for note in notes)
        return Html(table.markup + below, table.alt)

    def _show_answers(self) -> None:
        self.answers.value = self.answer_table().markup
        row, room, plan = self.row, self.rooms.get(self.scene), {}
        if row is not None and room is not None:
            said = (self._known[name].get(_key(row)) for name in self._chosen())
            marks = answer_marks(row, room, [text for text in said if isinstance(text, str)])
            plan = {"marks": marks, "links": () if marks else linked(row, room)}
        clip, path = self.clips.get(self.scene), self.paths.get(self.scene)
        self.player.show(clip, room, path=path, highlight=self._asked_about, **plan)

    # -- still ---------------------------------------------------------------------------------------------------------

    def static(self) -> str:
        """What is chosen now, as HTML: clip, plan, question and answers."""
        return f"{self.player.static()}\n{self.answer_table().markup}"

    def _ipython_display_(self) -> None:
        display_live_or_still(self.view, [self.player.strip(), self.player.figure(), self.answer_table()])


def accuracy_term(text: str, row: Mapping) -> dict[str, float]:
    """The kit's accuracy reward of a text, as the only reward term."""
    return {"accuracy_reward": accuracy_reward(text, row)}


def linked(row: Mapping, room: Room) -> list[tuple[str, str]]:
    """Pairs of objects a question relates: joined by a line in the plan, where each occurs once."""
    names, kind = list(row.get("objects") or ()), row["question_type"]
    if kind in ("object_rel_distance", "object_nearest_size", "object_count_within"):
        pairs = [(names[0], other) for other in names[1:]]
    elif kind == "object_compare_distances":
        pairs = [tuple(names[:2]), tuple(names[2:])]
    elif kind == "object_walk_length":
        pairs = list(itertools.pairwise(names))
    elif kind == "route_planning":
        stops = [names[0], *names[2:]] if len(names) > 2 else []
        pairs = list(itertools.pairwise(stops))
    elif kind == "object_abs_distance" or kind.startswith("object_rel_direction"):
        pairs = [tuple(names[:2])]
    else:
        pairs = []
    return [pair for pair in pairs if len(pair) == 2 and all(name in room.unique for name in pair)]


def _key(row: Mapping) -> str:
    return str(row["id"])


def _one_line(row: Mapping) -> str:
    """A question as a dropdown shows it (which needs no escaping: an option is text)."""
    text = " ".join(str(row["question"]).split())
    return text if len(text) <= 110 else text[:109] + "…"


def _asked_alone(row: Mapping) -> dict:
    """A question without any answer, also where the row itself brings a stored one."""
    return {k: v for k, v in row.items() if k not in ("completion", "prediction")}
