"""Training curves that grow during a training, and an early estimate of how long it will take.

A trainer passes every log line to a `LiveCurves`, which redraws the figure in its place, at most once a second. While
it grows it is a still picture, which does not flicker; TRL's closing line turns it into the interactive figure with its
SVG, so that a saved notebook shows the whole run. `TimeLeft` estimates the duration.
Left out: controls (stop the cell to stop the run), and figures outside a notebook, where lines are only kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from vsr_kit.plots import Figure, training_curves


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
            every_s: least seconds between two drawings.
            title: the figure's.
            borders: as `plots.training_curves` takes them.
            beside: curves that are known beforehand, such as a cap, by their names; lines with `step` and metrics.
        """
        self.keys, self.smooth, self.every_s, self.title = tuple(keys), smooth, every_s, title
        self.borders, self.beside = tuple(borders), dict(beside or {})
        self.rows: list[dict] = []
        self._handle, self._drawn = None, -float("inf")

    def __call__(self, row: Mapping) -> None:
        """Take one log line. TRL's last one, which has `train_runtime`, draws the figure as it stays."""
        closing = "train_runtime" in row
        if not closing and "reward" in row:
            self.rows.append(dict(row))
        if self.rows and (closing or time.monotonic() - self._drawn >= self.every_s):
            self._draw(final=closing)

    def figure(self) -> Figure:
        """The curves so far."""
        look = {"source": "measured now", "smooth": self.smooth, "title": self.title, "borders": self.borders}
        shown = {"this run": self.rows} | self.beside if self.beside else self.rows
        return training_curves(shown, self.keys, **look)

    def _draw(self, final: bool) -> None:
        from IPython import get_ipython
        from IPython.display import display

        self._drawn = time.monotonic()
        if get_ipython() is None:
            return
        figure = self.figure()
        forms = figure._repr_mimebundle_()
        if not final:
            forms = {kind: form for kind, form in forms.items() if not kind.startswith("application/")}
        if self._handle is None:
            self._handle = display(forms, raw=True, display_id=True)
        else:
            self._handle.update(forms, raw=True)


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
