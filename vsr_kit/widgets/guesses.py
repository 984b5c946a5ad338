"""A guess before a figure: the reader commits to one, then sees what came out, and at the end what was surprising.

Somebody who has guessed looks at a figure with a question, and a wrong guess is what one remembers. `Guesses` keeps the
guesses of one notebook. Calling it asks one question: live, the result stays hidden until a guess is made or waived; in
a saved notebook the figures are shown and the answer to the question is folded away. `looking_back` lists the guesses
beside the results, the surprising ones first, and follows guesses made after it was shown, because a notebook that is
run as a whole shows it before anything was guessed.
Nothing that is guessed leaves the kernel.
Left out: grades, questions with several right answers, and guesses that outlive the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as ipw

from vsr_kit.plots import Figure, Html, Picture
from vsr_kit.validation import one_of
from vsr_kit.widgets.player import display_live_or_still
from vsr_kit.widgets.view import as_view

Answer = str | float
Shown = Figure | Picture | Html


@dataclass
class Guess:
    """One question, what the reader guessed, and what came out.

    Attributes:
        question: as it is asked.
        answer: what came out: one of the options, or a number.
        within: how far from a number a guess may be and still count as right.
        unit: behind the numbers, in the plural.
        made: the guess; None while there is none.
        waived: the reader looked without guessing.
    """

    question: str
    answer: Answer
    within: float = 0.0
    unit: str = ""
    made: Answer | None = None
    waived: bool = False

    @property
    def right(self) -> bool | None:
        """Whether the guess was right; None without one."""
        if self.made is None:
            return None
        if isinstance(self.answer, str) or isinstance(self.made, str):
            return self.made == self.answer
        return abs(self.made - self.answer) <= self.within

    def said(self, value: Answer) -> str:
        """A guess or an answer as it is written."""
        if isinstance(value, str):
            return value
        return f"{value:g}{self.unit.removesuffix('s') if abs(value) == 1 else self.unit}"


class Guesses:
    """The guesses of one notebook, in the order of their questions.

    Attributes:
        guesses: by question; a cell that is run again asks its question anew.
    """

    def __init__(self) -> None:
        self.guesses: dict[str, Guess] = {}
        self._told: list[Callable[[], None]] = []  # what is redrawn when a guess is made

    def __call__(
        self,
        question: str,
        options: Sequence[str] | None = None,
        *,
        answer: Answer,
        then: Any = (),
        within: float = 0.0,
        unit: str = "",
    ) -> Asked:
        """Ask a question; the last expression of a cell shows it.

        Args:
            question: one plain sentence.
            options: what can be guessed; without them a number is asked for.
            answer: what came out, computed by the notebook: one of `options`, or a number.
            then: what is shown after the guess: a figure, a table or a text, or several of them in a list.
            within: how far from the number a guess may be and still count as right.
            unit: behind the numbers, such as ` points`.

        Raises:
            ValueError: an answer that is none of the options, fewer than two options, or a text without options.
        """
        if options is not None:
            if len(options) < 2:
                raise ValueError(f"a guess needs at least two options, got {list(options)}")
            one_of("answer", answer, options)
        elif isinstance(answer, str):
            raise ValueError(f"the answer {answer!r} is a text: name the options that it is one of")
        self.guesses[question] = Guess(question, answer, within, unit)
        parts = then if isinstance(then, (list, tuple)) else [then]
        return Asked(self.guesses[question], options, [_shown(part) for part in parts], self._changed)

    def _changed(self) -> None:
        for redraw in self._told:
            redraw()

    def looking_back(self) -> LookingBack:
        """The guesses beside what came out; the last expression of a cell shows them and keeps up with new guesses."""
        back = LookingBack(self)
        self._told.append(back.redraw)
        return back


class Asked:
    """One question as it is shown.

    Attributes:
        view: the widget.
        buttons: one for each option, where there are options.
        number, enter: the field for a number and its button, where there are none.
        waive: the button that shows the result without a guess.
        outcome: the line that compares the guess with what came out.
    """

    def __init__(self, guess: Guess, options: Sequence[str] | None, shown: list[Shown], changed: Callable) -> None:
        self.guess, self._shown, self._changed = guess, shown, changed
        self.buttons = [_button(option) for option in options or ()]
        for button in self.buttons:
            button.on_click(lambda pressed: self.make(pressed.description))
        self.number = ipw.FloatText(description="", layout=ipw.Layout(width="110px"))
        self.enter = _button("This is my guess")
        self.enter.on_click(lambda pressed: self.make(self.number.value))
        self.waive = _button("Show without a guess")
        self.waive.on_click(lambda pressed: self.make(None))
        self.outcome, self.results = ipw.HTML(), ipw.Output()
        asked = ipw.HTML(f"<b>Predict:</b> {escape(guess.question)}")
        ways = self.buttons or [self.number, ipw.Label(guess.unit), self.enter]
        row = ipw.HBox([*ways, self.waive], layout=ipw.Layout(flex_flow="row wrap", align_items="center"))
        self.view = ipw.VBox([asked, row, self.outcome, self.results])

    def make(self, made: Answer | None) -> None:
        """Make a guess, or None to look without one; only the first counts."""
        guess = self.guess
        if guess.made is not None or guess.waived:
            return
        guess.made, guess.waived = made, made is None
        for control in (*self.buttons, self.number, self.enter, self.waive):
            control.disabled = True
        self.outcome.value = _outcome(guess)
        for part in self._shown:
            self.results.append_display_data(part)
        self._changed()

    def _ipython_display_(self) -> None:
        display_live_or_still(self.view, [Html(_folded(self.guess), self.guess.question), *self._shown])


class LookingBack:
    """The table of a notebook's guesses.

    Attributes:
        view: the widget.
        table: its markup.
    """

    def __init__(self, guesses: Guesses) -> None:
        self._guesses, self.table = guesses, ipw.HTML()
        self.view = as_view(ipw.VBox([self.table]))
        self.redraw()

    def redraw(self) -> None:
        """Draw the table of the guesses as they are now."""
        self.table.value = self._markup()

    def _markup(self) -> str:
        made = [guess for guess in self._guesses.guesses.values() if guess.made is not None]
        if not made:
            return "<p><i>No guess was made yet. Guesses made above appear here.</i></p>"
        right = sum(bool(guess.right) for guess in made)
        rows = "".join(_row(guess) for guess in sorted(made, key=lambda guess: bool(guess.right)))
        head = "".join(
            f"<th style='text-align:left'>{name}</th>" for name in ("question", "your guess", "what came out")
        )
        count = f"{right} of {len(made)} guesses were right."
        if right < len(made):
            count += " The surprising results come first: they are worth a second look."
        return f"<p>{count}</p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def _ipython_display_(self) -> None:
        display_live_or_still(self.view, [Html(self._markup(), "The guesses of this notebook")])


def _outcome(guess: Guess) -> str:
    came = f"It came out as <b>{escape(guess.said(guess.answer))}</b>"
    if guess.made is None:
        return f"{came}."
    verdict = "as you guessed" if guess.right else "a surprise"
    return f"Your guess: {escape(guess.said(guess.made))}. {came}, {verdict}."


def _folded(guess: Guess) -> str:
    answer = escape(guess.said(guess.answer))
    return f"<details><summary><b>Predict:</b> {escape(guess.question)}</summary>It came out as {answer}.</details>"


def _row(guess: Guess) -> str:
    made = "" if guess.made is None else guess.said(guess.made)
    cells = (guess.question, made, guess.said(guess.answer))
    return "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in cells) + "</tr>"


def _button(description: str) -> ipw.Button:
    """A button as wide as its words."""
    return ipw.Button(description=description, layout=ipw.Layout(width="auto"))


def _shown(part: Any) -> Shown:
    """What can be displayed live and still; tables of pandas and texts become markup, escaped."""
    if isinstance(part, (Figure, Picture, Html)):
        return part
    if hasattr(part, "to_html"):
        return Html(part.to_html(), str(part))  # pandas escapes its cells
    return Html(f"<pre style='white-space:pre-wrap'>{escape(str(part))}</pre>", str(part))
