"""Training curves that grow during a training, and an early estimate of how long it will take.

A trainer passes every log line to a `LiveCurves`, which redraws the figure in its place, at most once a second and
never for more than a fiftieth of the time. While it grows it is a still picture, which does not flicker; TRL's closing
line turns it into the interactive figure with its SVG, so that a saved notebook shows the whole run. Above it is a
button that stops the training after its step: `train` asks every sink for its `stop_asked()`. Which notebooks hear a
click while their cell runs is said in training/background.py; the interrupt button does the same in all of them.
`TimeLeft` estimates the duration.
Left out: figures and buttons outside a notebook, where lines are only kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from vsr_kit.plots import Figure, training_curves
from vsr_kit.plots.sketch import sketch
from vsr_kit.widgets.player import WIDGET_MIME
from vsr_kit.widgets.stop import StopButton, hear_while_busy
from vsr_kit.widgets.view import as_view

SHARE = 50  # of what a drawing took is waited for until the next: watching takes 2 % of the time at most


class LiveCurves:
    """A callable for a trainer's log lines; the figure appears in the cell that makes the first call.

    Attributes:
        rows: the log lines of steps so far.
    """

    def __init__(
        self,
        keys: Sequence[str] = ("reward", "kl", "entropy"),
        *,
        smooth: int = 5,
        every_s: float = 1.0,
        title: str = "Training, as it runs",
        borders: Sequence[int] = (),
        beside: Mapping[str, Sequence[Mapping]] | None = None,
    ) -> None:
        """Draw nothing yet.

        Args:
            keys: the metrics, see `plots.METRICS`.
            smooth: trailing mean over so many steps; the figure says so.
            every_s: least seconds between two drawings; 0 draws every line.
            title: the figure's.
            borders: as `plots.training_curves` takes them.
            beside: curves that are known beforehand, such as a cap, by their names; lines with `step` and metrics.
        """
        self.keys, self.smooth, self.every_s, self.title = tuple(keys), smooth, every_s, title
        self.borders, self.beside = tuple(borders), dict(beside or {})
        self.rows: list[dict] = []
        self._handle, self._next = None, -float("inf")
        self._asked, self._button, self._button_handle = threading.Event(), None, None

    def __call__(self, row: Mapping) -> None:
        """Take one log line. TRL's last one, which has `train_runtime`, draws the figure as it stays."""
        closing = "train_runtime" in row
        if row.get("step") == 1 and self.rows:
            self._asked.clear()  # of a training that an error ended before
        if not closing and "reward" in row:
            self.rows.append(dict(row))
        if self.rows and (closing or time.monotonic() >= self._next):
            self._draw(final=closing)
        if closing:
            self._end(row)

    def ask_to_stop(self) -> None:
        """End the training after the step it is in, as the button does."""
        self._asked.set()

    def stop_asked(self) -> bool:
        """Whether the training shall end; `train` asks after every step."""
        return self._asked.is_set()

    def figure(self) -> Figure:
        """The curves so far."""
        look = {"source": "measured now", "smooth": self.smooth, "title": self.title, "borders": self.borders}
        shown = {"this run": self.rows} | self.beside if self.beside else self.rows
        return training_curves(shown, self.keys, **look)

    def _draw(self, final: bool) -> None:
        from IPython import get_ipython
        from IPython.display import display

        began, shell = time.monotonic(), get_ipython()
        self._next = began + self.every_s
        if shell is None:
            return
        if self._handle is None and not final and getattr(shell, "kernel", None) is not None:
            self._show_button()
        forms = self.figure()._repr_mimebundle_() if final else self._growing()
        if self._handle is None:
            self._handle = display(forms, raw=True, display_id=True)
        else:
            self._handle.update(forms, raw=True)
        if self.every_s:
            now = time.monotonic()
            self._next = now + max(self.every_s, SHARE * (now - began))

    def _growing(self) -> dict:
        """The curves so far, drawn at once: an interactive figure takes as long to make as a step of the miniature."""
        name = "this run" if self.beside else ""
        curves = {name: self.rows, **self.beside}
        look = {"smooth": self.smooth, "title": self.title, "borders": self.borders}
        drawn = sketch(curves, self.keys, source="measured now", **look)
        return {"image/svg+xml": drawn.markup, "text/plain": drawn.alt}

    def _show_button(self) -> None:
        from IPython.display import display

        self._button = StopButton(self.ask_to_stop)
        widget = as_view(self._button.view)
        live = {WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}
        still = {"text/html": "<small>A button that stops the training after its step.</small>"}
        told = {"text/plain": "a button that stops the training after its step"}
        self._button_handle = display({**live, **still, **told}, raw=True, display_id=True)
        hear_while_busy(self._button.button)

    def _end(self, row: Mapping) -> None:
        """In place of the button, how the training ended; the next one that logs here has not been asked to stop."""
        asked = self._asked.is_set()
        self._asked.clear()
        if self._button_handle is not None:
            words = f"{'Stopped' if asked else 'Ended'} after step {row.get('step', self.rows[-1]['step'])}."
            self._button_handle.update({"text/html": f"<small>{words}</small>", "text/plain": words}, raw=True)
            self._button = self._button_handle = None


class TimeLeft:
    """A callable for a trainer's log lines that says once, after the first steps, how long the rest will take here."""

    def __init__(self, steps: int, after: int = 4, say: Callable[[str], None] = print) -> None:
        """Measure from the end of the first step, which has the preparations in it.

        Args:
            steps: the run's last step.
            after: the step after which it is said; a run of no more steps says nothing.
            say: what is done with the line.
        """
        self.steps, self.after, self._say = steps, after, say
        self._first: tuple[int, float] | None = None
        self._said = False

    def __call__(self, row: Mapping) -> None:
        """Take one log line; a resumed run is measured from the first step it does."""
        now, step = time.monotonic(), row.get("step")
        if "train_runtime" in row or step is None or self._said:
            return
        if self._first is None:
            self._first = (step, now)
        done = step - self._first[0]
        if done >= self.after - 1 and step < self.steps:
            self._said = True
            pace = (now - self._first[1]) / done
            self._say(
                f"{self.steps - step} steps to go at {pace:.2f} s each here: {duration((self.steps - step) * pace)}"
            )


def duration(seconds: float) -> str:
    """A time ahead in words, as roughly as it is known."""
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5))} seconds"
    if seconds < 90 * 60:
        return f"about {round(seconds / 60)} minutes"
    return f"about {seconds / 3600:.1f} hours"
