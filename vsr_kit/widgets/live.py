"""Training curves that grow while a training runs.

The story: a trainer hands every log line to a `LiveCurves`, which redraws the figure in its place, at most once a
second. While it grows it is a still picture, which does not flicker; TRL's closing line turns it into the interactive
figure with its SVG, so that a saved notebook shows the whole run. Left out: controls (stop the cell to stop the run),
and anything outside a notebook, where lines are only kept.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

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
    ) -> None:
        """Draw nothing yet.

        Args:
            keys: the metrics, see `plots.METRICS`.
            smooth: trailing mean over so many steps; the figure says so.
            every_s: least seconds between two drawings.
            title: the figure's.
        """
        self.keys, self.smooth, self.every_s, self.title = tuple(keys), smooth, every_s, title
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
        look = {"source": "measured now", "smooth": self.smooth, "title": self.title}
        return training_curves(self.rows, self.keys, **look)

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
