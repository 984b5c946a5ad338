"""An inspector of answers: several models' answers to one question, beside the clip and the floor plan.

Dropdowns choose a room or all of them, a question type, what came out, a question and whose answers to show; the
display follows from them alone. What came out is told of the last checkpoint with stored answers, and, where there are
two, against the first: which questions became right, or are no longer. Buttons go on to the next question, or any.
Stored predictions appear at once; a live model is asked when the button is pressed, and its answer is kept. Model text
is shown by `vsr_kit.plots.traces`, which escapes it.
Left out: editing questions, and asking many at once (`vsr eval`).
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

import ipywidgets as ipw
import numpy as np

from vsr_kit.inspection import CHANGES, OUTCOMES, change_of
from vsr_kit.plots import Html, traces
from vsr_kit.plots.answer_marks import answer_marks
from vsr_kit.plots.style import check_source, task_name
from vsr_kit.plots.tables import read_answer
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.rewards import accuracy_reward
from vsr_kit.rooms import Room
from vsr_kit.videos import CameraPath, Clip
from vsr_kit.widgets.player import ClipPlayer, display_live_or_still
from vsr_kit.widgets.view import Quietly

_EVERY = "every type"
_ALL = "all of them"
_EVERYWHERE = "every room"

Answers = Callable[[Mapping], str] | Mapping[str, str] | Iterable[Mapping]


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
        checkpoints: Mapping[str, Answers],
        *,
        source: str,
        paths: Mapping[str, CameraPath] | None = None,
        rewards: Callable[[str, Mapping], Mapping[str, float]] | None = None,
        read: Callable[[str, Mapping], tuple[str | None, str | None]] = read_answer,
    ) -> None:
        """Put questions, clips and answers together.

        Args:
            rooms: geometry for the plans; rows of a room that is not among them are shown without a plan.
            rows: questions with VSI-Bench's fields; `objects`, where a row has it, is outlined in the plan.
            clips: by scene name; a missing one is said to be missing.
            checkpoints: a name (say, "before", "after") to its answers: a mapping from a row's id to text, rows with
                `id` and `prediction`, or a function that asks a model about a row when the button is pressed.
            source: `measured now` or `shipped`.
            paths: the camera's walks by scene name, where `clips` holds frames alone.
            rewards: reward terms of a text for a row; by default the kit's accuracy reward.
            read: what reads an answer from text, see `plots.traces`.
        """
        self.rooms = dict(rooms) if isinstance(rooms, Mapping) else {room.name: room for room in rooms}
        self.rows, self.clips, self.paths = [dict(row) for row in rows], clips, paths or {}
        self.source, self._read, self._rewards = check_source(source), read, rewards or accuracy_term
        self._ask = {name: answers for name, answers in checkpoints.items() if callable(answers)}
        self._known = {name: {} if callable(a) else stored_answers(name, a) for name, a in checkpoints.items()}
        self._came_out = self._judged([name for name, a in checkpoints.items() if not callable(a)])
        self._build(list(checkpoints))
        self._room_chosen()

    def _build(self, checkpoints: list[str]) -> None:
        scenes = list(dict.fromkeys([*(row["scene_name"] for row in self.rows), *self.rooms]))
        wide = {"layout": ipw.Layout(width="min(98%, 860px)"), "style": {"description_width": "90px"}}
        half = {"layout": ipw.Layout(width="280px"), "style": {"description_width": "90px"}}
        small = {"layout": ipw.Layout(width="104px")}
        rooms = [*scenes, *[_EVERYWHERE] * bool(scenes)]
        self.room = ipw.Dropdown(options=rooms, description="room", **half)
        kinds = [kind for kind in (*CHANGES, *OUTCOMES) if any(kind in came for came in self._came_out.values())]
        came_out = [("all", ""), *((kind, kind) for kind in kinds)]
        self.only = ipw.Dropdown(options=came_out, description="came out", **half)
        self.only.layout.display = "" if kinds else "none"
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
            (self.question, self._question_chosen),
            (self.checkpoint, self._show_answers),
        ):
            control.observe(lambda change, react=react: None if self._quiet else react(), names="value")
        self.ask.on_click(lambda button: self.ask_now())
        for button, places in ((self.back, lambda: -1), (self.on, lambda: 1), (self.any, self._anywhere)):
            button.on_click(lambda pressed, places=places: self._go(places()))
        wrapped = ipw.Layout(flex_flow="row wrap")
        choices = ipw.HBox([self.room, self.kind, self.only, self.checkpoint], layout=wrapped)
        steps = ipw.HBox([self.back, self.on, self.any, self.ask], layout=wrapped)
        self.view = ipw.VBox([choices, self.question, steps, self.player.view, self.answers])

    # -- choosing ------------------------------------------------------------------------------------------------------

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
        kind, only = self.kind.value, self.only.value
        fitting = [(i, row) for i, row in of_room if kind in ("", row["question_type"])]
        fitting = [(i, row) for i, row in fitting if not only or only in self._came_out[_key(row)]]
        with self._quietly():
            self.question.options = [(f"{n}. {_one_line(row)}", i) for n, (i, row) in enumerate(fitting, 1)]
            self.question.value = fitting[0][0] if fitting else None
        self._question_chosen()

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

    def _judged(self, stored: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """By question, what came out of the last stored checkpoint, and what became of the first one's answer."""
        found: dict[str, tuple[str, ...]] = {}
        for row in self.rows:
            outcomes = [self._outcome(self._known[name].get(_key(row)), row) for name in stored]
            change = change_of(outcomes[0], outcomes[-1]) if len(outcomes) > 1 else ""
            found[_key(row)] = tuple(filter(None, (*outcomes[-1:], change)))
        return found

    def _outcome(self, text: str | None, row: Mapping) -> str:
        if text is None:
            return ""
        if self._read(text, row)[0] is None:
            return OUTCOMES[3]
        paid = next(iter(self._rewards(text, row).values()), 0.0)
        return OUTCOMES[0] if paid >= 1 else OUTCOMES[1] if paid > 0 else OUTCOMES[2]

    def ask_now(self) -> None:
        """Ask the chosen live checkpoints about the chosen question; a failure is shown in place of an answer."""
        if (row := self.row) is None:
            return
        self.ask.disabled = True
        try:
            for name in self._chosen():
                if name in self._ask:
                    self._known[name][_key(row)] = self._asked(name, row)
        finally:
            self.ask.disabled = False
            self.ask.focus()  # which a disabled button loses
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
            what = f"no question about room {self.room.value}" if not self.only.value else "no such question here"
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


def stored_answers(name: str, answers: Mapping[str, str] | Iterable[Mapping]) -> dict[str, str]:
    """Predictions by row id, from a mapping or from rows; of several samples of one question the first.

    Raises:
        ValueError: naming the checkpoint, for a row without `id` or `prediction`.
    """
    if isinstance(answers, Mapping):
        return {str(key): str(text) for key, text in answers.items()}
    known: dict[str, str] = {}
    for i, row in enumerate(answers):
        if "id" not in row or "prediction" not in row:
            raise ValueError(f"answers of {name!r}: row {i} holds {sorted(row)}, it needs 'id' and 'prediction'")
        known.setdefault(str(row["id"]), str(row["prediction"]))
    return known


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
