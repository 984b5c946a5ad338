"""The playground: ask a question of your own about a room or a video, as often as you like, and see what is answered.

Choose a room or a video file, start from one of the room's questions or type one, and press Ask. Shown are what of the
question the model was never taught, as far as its model card tells; how the answers are distributed; each text with
what two readers read in it; and the clip and the plan with the objects that are named, the truth and the answers.
The answers are drawn in a thread, so that Stop can be pressed meanwhile; the other controls are switched off until they
are there. What cannot be asked is said in one sentence and changes nothing that is shown.
Left out: talk of several turns, and asking about several rooms (`evaluation.predict`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as ipw
import numpy as np

from vsr_kit.data.own_questions import FREE, KINDS, known_row, own_row, suggested_rows
from vsr_kit.data.rows import first_of_types
from vsr_kit.evaluation.draws import check_drawing, draw_answers
from vsr_kit.evaluation.readings import Reading, mean_score, read_all
from vsr_kit.evaluation.taught import Taught, folder_of_model, news, read_taught
from vsr_kit.plots import Figure, Html
from vsr_kit.plots.answer_marks import answer_marks
from vsr_kit.plots.draws import answer_distribution, readings_table
from vsr_kit.plots.style import PANEL, WARN, task_name
from vsr_kit.prompts import MODES, USES, VSI_BENCH_MODE, user_text
from vsr_kit.questions import QUESTION_TYPES
from vsr_kit.validation import one_line
from vsr_kit.videos import Clip
from vsr_kit.widgets.inspector import linked
from vsr_kit.widgets.player import ClipPlayer, display_live_or_still
from vsr_kit.widgets.room_choice import RoomChoice, Rooms
from vsr_kit.widgets.view import Quietly

_SUGGESTED = 2  # questions of each type and phrasing in the list
_BY_WORDING = "by its wording"  # stands for None, which a dropdown would show as an empty field
_OPENING = "object_abs_distance"  # the type of the first question: its answers can be drawn on the plan
_NONE = -1
_PROMPTS = {"eval": "the evaluation's", "train": "the training's"}
_START = "a question of this room, to start from"
Draw = Callable[..., list]


class Playground(Quietly):
    """Ask a model about a room or a video.

    Attributes:
        view: the widget.
        choice: the `RoomChoice`.
        suggestion, question, options, truth, kind, mode, prompts, n, temperature, seed, cap: the controls.
        ask, stop, clear: the buttons; `ask_now` asks and returns when the answers are there.
        asked: the row that was asked last, and `readings` what was answered; None and empty before.
    """

    def __init__(
        self,
        loaded,
        rooms: Rooms = None,
        *,
        video: str | Path | None = None,
        num_frames: int = 8,
        taught: Taught | None = None,
        draw: Draw = draw_answers,
    ) -> None:
        """Take a model.

        Args:
            loaded: from `load_model`, with an adapter or without.
            rooms: a room, several, or a geometry file; rooms of the kit can be chosen besides.
            video: path of a video file to begin with.
            num_frames: of every clip.
            taught: what the model was taught; by default what its model card says.
            draw: what draws the answers; takes what `evaluation.draws.draw_answers` takes.

        Raises:
            ValueError: no room among those given, a geometry file that cannot be read, or a model card whose entry
                `taught` cannot be understood.
        """
        self.loaded, self._draw = loaded, draw
        self.taught = taught or read_taught(folder_of_model(loaded.model))
        self.asked: dict | None = None
        self.readings: list[Reading] = []
        self._heading, self._known, self._own_truth = "", list[dict](), ""
        self._halt, self._thread = threading.Event(), threading.Thread()
        self.choice = RoomChoice(rooms, video, num_frames=num_frames, on_choice=self._room_chosen)
        self._build()
        self._room_chosen()

    # -- controls ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.suggestion = ipw.Dropdown(**_look("start", "min(98%, 820px)"))
        hint = {"placeholder": "type a question", "continuous_update": False, "rows": 2}
        self.question = ipw.Textarea(**hint, **_look("question", "min(98%, 820px)"))
        hint = {"placeholder": "none, or one option a line", "continuous_update": False, "rows": 3}
        self.options = ipw.Textarea(**hint, **_look("options", "min(98%, 400px)"))
        hint = {"placeholder": "if you know it", "continuous_update": False}
        self.truth = ipw.Text(**hint, **_look("true answer", "min(98%, 240px)", 84))
        kinds = [(_BY_WORDING, _BY_WORDING), *((task_name(k), k) for k in KINDS), ("as it stands", FREE)]
        self.kind = ipw.Dropdown(options=kinds, **_look("read as", "min(98%, 270px)", 84))
        self.mode = ipw.Dropdown(options=[*MODES, VSI_BENCH_MODE], **_look("mode", "190px"))
        uses = [(_PROMPTS.get(use, use), use) for use in USES]
        self.prompts = ipw.Dropdown(options=uses, **_look("prompt", "220px"))
        self.n = ipw.IntText(value=16, **_look("n", "150px"))
        self.temperature = ipw.FloatText(value=1.0, step=0.1, **_look("temperature", "190px", 84))
        self.seed = ipw.IntText(value=0, **_look("seed", "150px"))
        self.cap = ipw.IntText(value=96, **_look("most tokens", "190px", 84))
        self.n.tooltip = "how many answers"
        self.ask = ipw.Button(description="Ask", button_style="primary", tooltip="draw the answers")
        self.stop = ipw.Button(description="Stop", disabled=True, tooltip="keep what is there and ask no more")
        self.clear = ipw.Button(description="Clear", tooltip="take the answers away")
        self.message, self.news = ipw.HTML(), ipw.HTML()
        scrolled = {"max_width": "100%", "overflow": "auto"}
        self.heading, self.figure_box = ipw.HTML(), ipw.HTML(layout=ipw.Layout(**scrolled))
        self.texts = ipw.HTML(layout=ipw.Layout(**scrolled))
        self.player = ClipPlayer(None, source="measured now")
        self._observe()
        self.view = self._arranged()

    def _observe(self) -> None:
        self.suggestion.observe(lambda change: None if self._quiet else self._suggested(), names="value")
        for control in (self.question, self.options):
            control.observe(lambda change: None if self._quiet else self._typed(), names="value")
        for control in (self.truth, self.kind):
            control.observe(lambda change: None if self._quiet else self._show(), names="value")
        self.ask.on_click(lambda button: self._start())
        self.stop.on_click(lambda button: self._halt.set())
        self.clear.on_click(lambda button: self._clear())

    def _arranged(self) -> ipw.VBox:
        flow = {"flex_flow": "row wrap", "align_items": "flex-start"}
        beside = ipw.VBox([self.truth, self.kind])
        wording = ipw.HBox([self.options, beside], layout=ipw.Layout(**flow))
        numbers = [self.mode, self.prompts, self.n, self.temperature, self.seed, self.cap]
        settings = ipw.HBox(numbers, layout=ipw.Layout(**flow))
        buttons = ipw.HBox([self.ask, self.stop, self.clear, self.message], layout=ipw.Layout(**flow))
        half = {"min_width": "240px", "max_width": "100%"}
        answers = ipw.VBox([self.heading, self.figure_box, self.texts], layout=ipw.Layout(flex="1 1 540px", **half))
        room = ipw.VBox([self.player.view], layout=ipw.Layout(flex="0 1 400px", **half))
        below = ipw.HBox([answers, room], layout=ipw.Layout(**flow))
        asking = [self.suggestion, self.question, wording, settings, self.news, buttons]
        return ipw.VBox([self.choice.view, *asking, below])

    @property
    def _switched(self) -> list[ipw.Widget]:
        texts = [self.suggestion, self.question, self.options, self.truth, self.kind, self.mode, self.prompts]
        return [*self.choice.controls, *texts, self.n, self.temperature, self.seed, self.cap, self.ask, self.clear]

    # -- choosing ------------------------------------------------------------------------------------------------------

    def _room_chosen(self) -> None:
        """Another room or video: its questions are suggested, and answers about the one before are taken away."""
        if not hasattr(self, "suggestion"):  # the choice is made before its playground is built
            return
        room, clip = self.choice.room, self.choice.clip
        before = known_row(self._known, self.question.value, self._option_lines())
        self._known = suggested_rows(room, clip if isinstance(clip, Clip) else None) if room is not None else []
        picked = [row for phrasing in dict.fromkeys(r["phrasing"] for r in self._known) for row in self._of(phrasing)]
        with self._quietly():
            told = _START if picked else "nothing is suggested about a video file"
            self.suggestion.options = [(told, _NONE), *((_line(row), i) for i, row in enumerate(picked))]
            self.suggestion.value = _NONE
        self._picked = picked
        gone = self.asked is not None
        self._clear()
        if gone:
            self.message.value = "<i>The answers were about another room and are gone.</i>"
        # A question of the reader's own stays; one of the room before gives place to one of this room.
        wanted = before["question_type"] if before else _OPENING if not self.question.value else ""
        alike = [i for i, row in enumerate(picked) if row["question_type"] == wanted]
        if alike:
            self.suggestion.value = alike[0]
        else:
            self._typed()

    def _of(self, phrasing: str) -> list[dict]:
        return first_of_types([row for row in self._known if row["phrasing"] == phrasing], _SUGGESTED)

    def _suggested(self) -> None:
        if self.suggestion.value == _NONE:
            return
        row = self._picked[self.suggestion.value]
        with self._quietly():
            self.question.value, self.options.value = row["question"], "\n".join(row["options"] or ())
            self.truth.value = self._own_truth = row["ground_truth"]
            self.kind.value = _BY_WORDING
        self._show()

    def _typed(self) -> None:
        """The question was changed: the truth follows where the kit asks the same, and one that it gave is gone."""
        found = known_row(self._known, self.question.value, self._option_lines())
        with self._quietly():
            if found is not None:
                self.truth.value = self._own_truth = found["ground_truth"]
            elif self.truth.value == self._own_truth:
                self.truth.value = self._own_truth = ""
            if found is None:
                self.suggestion.value = _NONE  # it is no longer what is asked, and can be chosen again
        self._show()

    def _option_lines(self) -> list[str]:
        return [line for line in self.options.value.split("\n") if line.strip()]

    def row(self) -> dict:
        """The question as it stands in the controls.

        Raises:
            ValueError: it cannot be asked; names what, the rule and the remedy.
        """
        found = known_row(self._known, self.question.value, self._option_lines())
        by_wording = self.kind.value == _BY_WORDING
        if found is not None and by_wording and self.truth.value == found["ground_truth"]:
            return found
        return own_row(
            self.question.value,
            self._option_lines(),
            self.truth.value,
            kind=None if by_wording else self.kind.value,
            scene=self.choice.scene,
            dataset=self.choice.dataset,
            room=self.choice.room,
        )

    @property
    def frames(self) -> np.ndarray | None:
        """The frames that the model is shown, (F, H, W, 3); None where there is no clip."""
        clip = self.choice.clip
        return clip.frames_FHW3 if isinstance(clip, Clip) else clip

    # -- asking --------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Ask in a thread: this one has to stay free for the Stop button."""
        if self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self.ask_now, daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the answers that are under way are there."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def ask_now(self) -> None:
        """Ask what stands in the controls; what goes wrong is shown in the widget."""
        self._halt.clear()
        self._switch(asking=True)
        try:
            self._ask()
        except ValueError as error:
            self._complain(one_line(error))
        except Exception as error:  # whatever a model or a processor raises: the reader shall see it in place
            self._complain(f"asking failed: {type(error).__name__}: {one_line(error)}")
        finally:
            self._switch(asking=False)
            self.ask.focus()  # which a disabled button loses

    def _ask(self) -> None:
        row, settings = self.row(), self.settings()
        check_drawing(settings["num_samples"], settings["temperature"], settings["max_new_tokens"], settings["seed"])
        if self.frames is None:
            raise ValueError("no clip is chosen: choose a room, or type the path of a video file")
        n = settings["num_samples"]
        self.message.value = f"<i>Asking {escape(self.loaded.name)}: {n} answer{'s' * (n != 1)} …</i>"
        drawn: list = []

        def show_part(part: Sequence) -> None:
            drawn.extend(part)
            self.message.value = f"<i>{len(drawn)} of {n} answers are there.</i>"

        answers = self._draw(self.loaded, row, self.frames, stop=self._halt, on_part=show_part, **settings)
        if not answers:
            self.message.value = "<i>Stopped before an answer was there.</i>"
            return
        self.asked = row
        self.readings = read_all(row, [own.text for own in answers], [own.truncated for own in answers])
        self._heading = self._headed(row, settings, len(answers))
        early = f"Stopped: {len(answers)} of {n} answers are there." if len(answers) < n else ""
        self.message.value = f"<i>{early}</i>" if early else ""
        self._show()

    def settings(self) -> dict[str, Any]:
        """How answers are drawn, as `draw_answers` takes it."""
        return {
            "mode": self.mode.value,
            "prompt_set": self.prompts.value,
            "num_samples": self.n.value,
            "temperature": float(self.temperature.value),
            "max_new_tokens": self.cap.value,
            "seed": self.seed.value,
        }

    def _complain(self, told: str) -> None:
        self.message.value = f'<span role="alert" style="{WARN}">{escape(told[:1].upper() + told[1:])}</span>'

    def _switch(self, asking: bool) -> None:
        for control in self._switched:
            control.disabled = asking
        self.stop.disabled = not asking

    def _clear(self) -> None:
        self.asked, self.readings, self._heading, self.message.value = None, [], "", ""
        self._show()

    # -- showing -------------------------------------------------------------------------------------------------------

    def _headed(self, row: dict, settings: dict, count: int) -> str:
        """What was asked, how, and what it earned; with the prompt, which the model reads in front of nothing else."""
        how = [f"about {row['scene_name']}", f"{settings['mode']} prompt of {settings['prompt_set']}"]
        how += [f"{count} answers" if count > 1 else "one answer", f"temperature {settings['temperature']:g}"]
        how += [f"seed {settings['seed']}"]
        score, official = mean_score(self.readings), mean_score(self.readings, official=True)
        if score is not None and official is not None:
            told = f"the truth is {row['ground_truth']}; mean score {score:.2f} by the lenient reader"
            how.append(f"{told}, {official:.2f} by VSI-Bench's")
        prompt = escape(user_text(row, settings["mode"], settings["prompt_set"]))
        pre = f'<pre style="white-space:pre-wrap; {PANEL}; padding:6px; margin:0">{prompt}</pre>'
        folded = f"<details><summary>the prompt, behind the clip</summary>{pre}</details>"
        return f"<p><b>{escape(row['question'])}</b><br>{escape(' · '.join(how))}</p>{folded}"

    def figure(self) -> Figure | None:
        """How the answers are distributed; None before there are some."""
        return answer_distribution(self.asked, self.readings, source="measured now") if self.asked else None

    def table(self) -> Html | None:
        """The texts and what was read in them; None before there are some."""
        return readings_table(self.readings, source="measured now") if self.asked else None

    def new_to_it(self) -> Html:
        """What of the question the model was never taught, as its model card tells."""
        if self.taught is None:
            name = escape(self.loaded.name)
            told = f"What {name} was taught is not known: its model card (README.md) has no entry <code>taught</code>."
            return Html(f"<p><i>{told}</i></p>", "what the model was taught is not known")
        try:
            row = self.row()
        except ValueError:  # said when it is asked
            row = {"question": self.question.value}
        if not row["question"].strip():
            return Html(f"<p><i>{escape(self.taught.summary())}</i></p>", self.taught.summary())
        shape = () if self.frames is None else self.frames.shape
        tokenizer = getattr(self.loaded.processor, "tokenizer", None)
        found = news(self.taught, row, tokenizer, dataset=self.choice.dataset, frames_shape=shape)
        said = " ".join(found) or "Its words, its type and its wording were taught."
        head = "New to this model" if found else "Nothing in this question is new to the model"
        more = f"<details><summary>what it was taught</summary>{escape(self.taught.summary())}</details>"
        look = WARN if found else PANEL
        return Html(f'<p style="{look}; padding:6px"><b>{head}.</b> {escape(said)}</p>{more}', f"{head}. {said}")

    def _show(self) -> None:
        self.news.value = self.new_to_it().__html__()
        figure, table = self.figure(), self.table()
        self.heading.value = self._heading
        self.figure_box.value = "" if figure is None else figure.to_svg()
        self.texts.value = "" if table is None else table.__html__()
        self._show_room()

    def _show_room(self) -> None:
        room, clip, plan = self.choice.room, self.choice.clip, dict[str, Any]()
        try:
            row = self.row()
        except ValueError:
            row = None
        if room is not None and row is not None:
            plan["highlight"] = [name for name in row["objects"] if name in room.counts]
            if row["question_type"] in QUESTION_TYPES:
                texts = [r.text for r in self.readings for _ in range(r.times)] if row == self.asked else []
                plan["marks"] = answer_marks(row, room, texts)
                plan["links"] = () if plan["marks"] else linked(row, room)
        self.player.show(clip, room, **plan)

    # -- still ---------------------------------------------------------------------------------------------------------

    def static(self) -> str:
        """What is shown now, as HTML."""
        parts = [self.new_to_it(), Html(self._heading), self.figure(), self.table()]
        return "\n".join([*(part.__html__() for part in parts if part is not None), self.player.static()])

    def _ipython_display_(self) -> None:
        heading = Html(self._heading, "what was asked") if self._heading else None
        answers = [self.new_to_it(), heading, self.figure(), self.table()]
        display_live_or_still(self.view, [*answers, self.player.strip(), self.player.figure()])


def _line(row: dict) -> str:
    """A question as the list shows it (which needs no escaping: an option is text)."""
    text = f"{task_name(row['question_type'])}: {' '.join(row['question'].split())}"
    return text if len(text) <= 120 else text[:119] + "…"


def _look(description: str, width: str, told_px: int = 62) -> dict[str, Any]:
    style = {"description_width": f"{told_px}px"}
    return {"description": description, "layout": ipw.Layout(width=width), "style": style}
