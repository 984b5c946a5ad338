"""A training watched while it runs, by reading its folder: also one of another process, such as `vsr train`'s.

It shows step n of N and the time left, the state in words, the curves and the newest sampled answers with what they
earned, and has a button that stops the run after its step (runs/stopping.py). A thread looks at the folder every second
or so, so the view follows while no cell runs and also while one does. It draws only what has changed, waits fifty times
as long as that took before it looks again, and ends when the run has ended or `close` is called. Model text is shown by
`plots.traces`, which escapes it.
Left out: a history of the answers (`RolloutBrowser` has it), and runs on machines whose disk is not shared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path

import ipywidgets as ipw

from vsr_kit.files import in_a_line
from vsr_kit.plots import Figure, Html, traces, training_curves
from vsr_kit.plots.sketch import sketch
from vsr_kit.plots.style import WARN
from vsr_kit.plots.tables import read_if_known
from vsr_kit.plots.training import DEFAULT_KEYS
from vsr_kit.runs import RunFolder, ask_to_stop, newest_run, run_folders, runs_root
from vsr_kit.runs.seeds import is_shipped
from vsr_kit.runs.watching import Seen, Watch
from vsr_kit.validation import real
from vsr_kit.widgets.live import SHARE, duration
from vsr_kit.widgets.player import display_live_or_still
from vsr_kit.widgets.stop import StopButton
from vsr_kit.widgets.view import Quietly

ANSWERS = 6  # of the newest step, which are shown
MORE_KEYS = ("loss", "rewards/margins", "rewards/accuracies", "mean_token_accuracy")  # of SFT and DPO
_NEWEST = ""  # the choice that follows whatever run is the newest


class RunMonitor(Quietly):
    """A live view of a run's folder.

    Attributes:
        view: the widget.
        seen: what the last look found, a `runs.watching.Seen`; None while there is no run.
        choice: which run of a folder of runs is shown; its value is a path, or "" for the newest.
        stop: its `button.click()` asks the run to stop.
        again: its `click()` follows a run that had ended, once someone goes on with it.
    """

    def __init__(
        self,
        run: RunFolder | str | Path | None = None,
        *,
        every_s: float = 1.0,
        keys: Sequence[str] | None = None,
        smooth: int = 5,
    ) -> None:
        """Look once; following begins when the view is displayed.

        Args:
            run: a run folder or its path; or a folder of runs, whose newest is followed, also one that begins later;
                None is the folder that new runs go to.
            every_s: least seconds between two looks.
            keys: metrics of the curves; by default up to six of those that the run has.
            smooth: trailing mean over so many steps; the curves say so.

        Raises:
            FileNotFoundError: there is no such folder.
            ValueError: every_s is no number above 0.
        """
        real("every_s", every_s, above=True)
        self.every_s, self.keys, self.smooth = every_s, keys, smooth
        path = run.path if isinstance(run, RunFolder) else Path(run) if run is not None else runs_root()
        if run is not None and not path.is_dir():
            raise FileNotFoundError(f"{path} is no folder: give a run's folder, or one that holds runs")
        single = (path / "config.json").is_file()
        self._root = None if single else path
        self._watch = Watch(path) if single else None
        self.seen: Seen | None = None
        self._drawn: tuple = ()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._one_at_a_time = threading.RLock()  # a click and the thread that follows may come together
        self._build()
        self.refresh()

    def _build(self) -> None:
        wide = ipw.Layout(max_width="100%")
        self.choice = ipw.Dropdown(description="run", options=[("the newest", _NEWEST)], layout=ipw.Layout(width="90%"))
        self.choice.layout.display = "none" if self._root is None else ""
        self.progress = ipw.IntProgress(min=0, max=1, layout=ipw.Layout(width="180px"))
        self.told = ipw.HTML(layout=wide)
        self.stop = StopButton(self._ask_to_stop)
        self.again = ipw.Button(description="Look again", tooltip="Follow the run if it goes on")
        self.curves = ipw.HTML(layout=wide)
        self.answers = ipw.HTML(layout=ipw.Layout(max_width="100%", overflow="auto"))  # a wide table scrolls in itself
        self.choice.observe(lambda change: None if self._quiet else self._chosen(), names="value")
        self.again.on_click(lambda button: self.follow())
        line = ipw.HBox([self.progress, self.stop.view, self.again], layout=ipw.Layout(flex_flow="row wrap"))
        self.view = ipw.VBox([self.choice, self.told, line, self.curves, self.answers])

    # -- looking -------------------------------------------------------------------------------------------------------

    def refresh(self) -> Seen | None:
        """Look at the folder now and show what has changed; what the look found."""
        with self._one_at_a_time:
            if self._root is not None:
                self._find()
            self.seen = None if self._watch is None else self._watch.look()
            self._show()
            return self.seen

    def _find(self) -> None:
        """Offer the runs that the folder holds now, and take up the one that is chosen."""
        try:
            runs, newest = run_folders(self._root), newest_run(self._root)
        except (ValueError, OSError) as error:
            self.told.value = _warning(f"{self._root} cannot be read: {error}")
            return
        options = [("the newest", _NEWEST), *((run.path.name, str(run.path)) for run in reversed(runs))]
        if options != [tuple(option) for option in self.choice.options]:
            with self._quietly():
                chosen = self.choice.value
                self.choice.options = options
                self.choice.value = chosen if chosen in [path for _, path in options] else _NEWEST
        path = Path(self.choice.value) if self.choice.value else None if newest is None else newest.path
        if path is None:
            self._watch = None
        elif self._watch is None or self._watch.path != path:
            self._watch, self._drawn = Watch(path), ()

    def _chosen(self) -> None:
        self.refresh()
        if self._closed.is_set() or self._thread is None:
            return
        self.follow()

    def _ask_to_stop(self) -> None:
        if self._watch is not None:
            ask_to_stop(self._watch.run)
            self.refresh()

    # -- showing -------------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        seen = self.seen
        self.told.value = self.status_html()
        state = None if seen is None else seen.state
        self.stop.show(state in ("running", "waiting", "stopping"), state == "stopping")
        self.again.layout.display = "none" if self.following or self._thread is None or state == "finished" else ""
        if seen is None:
            self.curves.value = self.answers.value = ""
            self.progress.layout.display = "none"
            return
        self.progress.layout.display = "none" if seen.steps is None else ""
        self.progress.max, self.progress.value = seen.steps or 1, min(seen.step, seen.steps or 1)
        drawn = (self._watch and self._watch.path, len(seen.rows), seen.step), _mark(seen.rollouts)
        if drawn[:1] != self._drawn[:1]:
            self.curves.value = self._sketch()
        if drawn[1:] != self._drawn[1:]:
            self.answers.value = self._answers_html()
        self._drawn = drawn

    def status_html(self) -> str:
        """Which run, its state in words, its step, and the time left; escaped."""
        if self._watch is None or self.seen is None:
            where = escape(str(self._root))
            return f"There is no run in <b>{where}</b> yet; the first that begins is shown here."
        seen = self.seen
        step = f"step {seen.step}" + (f" of {seen.steps}" if seen.steps else "") if seen.step or seen.steps else ""
        answered = f"{seen.answered} questions answered" if seen.answered else ""
        left = f"{duration(seen.left_s)} left" if seen.left_s else ""
        pace = f"{seen.step_s:.2f} s a step" if seen.step_s and not seen.ended else ""
        age_s = 0.0 if seen.age_s is None or seen.ended else seen.age_s
        long = age_s > max(30.0, 5 * (seen.step_s or 0.0))
        age = f"nothing new for {duration(age_s).removeprefix('about ')}" if long else ""
        line = " · ".join(filter(None, [step, answered, left, pace, age]))
        words = escape(seen.words)
        if seen.state in ("broken", "gone", "unreadable"):
            words = _warning(seen.words)
        return f"<b>{escape(self._watch.path.name)}</b>: {words}<br>{escape(line)}"

    def _keys(self) -> list[str]:
        wanted = self.keys or (*DEFAULT_KEYS, *MORE_KEYS)
        found = {name for row in (self.seen.rows if self.seen else ()) for name in row}
        return [key for key in wanted if key in found or self.keys][:6]

    def _source(self) -> str:
        return "shipped" if self._watch is not None and is_shipped(self._watch.run) else "measured now"

    def _sketch(self) -> str:
        keys = self._keys()
        if not keys or not self.seen or not self.seen.rows:
            return ""
        source, title = self._source(), "What training does"
        return sketch({"": self.seen.rows}, keys, source=source, smooth=self.smooth, title=title).markup

    def figure(self) -> Figure | None:
        """The curves as an interactive figure; None before the first step."""
        if not self.seen or not self.seen.rows or not self._keys():
            return None
        return training_curves(self.seen.rows, self._keys(), source=self._source(), smooth=self.smooth)

    def traces(self) -> Html | None:
        """The newest step's answers, the first of them; None where none were kept."""
        every = self.seen.rollouts if self.seen else []
        if not every:
            return None
        rows, step, count = every[:ANSWERS], every[0].get("step"), len(every)
        title = f"Sampled {'last' if step is None else f'for step {step}'}, {len(rows)} of {count} answers"
        return traces(rows, source=self._source(), title=title, read=read_if_known)

    def _answers_html(self) -> str:
        try:
            told = self.traces()
        except (ValueError, TypeError, KeyError) as error:  # rows of another program: the curves are worth seeing still
            return _warning(f"The answers cannot be shown: {in_a_line(error)}")
        return "" if told is None else told.__html__()

    # -- following -----------------------------------------------------------------------------------------------------

    @property
    def following(self) -> bool:
        """Whether the view is kept up to date."""
        return self._thread is not None and self._thread.is_alive()

    def follow(self) -> None:
        """Keep the view up to date from now on, until the run has ended or `close` is called."""
        with self._one_at_a_time:
            self._closed.clear()
            if not self.following:
                self._thread = threading.Thread(target=self._keep_looking, name="vsr monitor", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop following; the view stays as it is, and the run is left alone."""
        self._closed.set()

    def _keep_looking(self) -> None:
        while not self._closed.is_set():
            began = time.thread_time()
            try:
                seen = self.refresh()
            except Exception as error:  # a thread that ended silently would leave a view that only looks alive
                self.told.value = _warning(f"The view cannot follow: {error}")
                break
            if self._root is None and seen is not None and seen.ended:
                break
            self._closed.wait(max(self.every_s, SHARE * (time.thread_time() - began)))
        if self.seen is not None and self.seen.state != "finished":
            self.again.layout.display = ""  # someone may go on with it

    def static(self) -> str:
        """What is shown now, as HTML."""
        return "\n".join(part.__html__() for part in self._stills() if part is not None)

    def _stills(self) -> list:
        answers = self._answers_html()
        shown = Html(answers, "sampled answers") if answers else None
        return [Html(f"<p>{self.status_html()}</p>", "a run"), self.figure(), shown]

    def _ipython_display_(self) -> None:
        self.refresh()
        display_live_or_still(self.view, self._stills())
        self.follow()


def _mark(rollouts: Sequence[dict]) -> tuple:
    """What tells one step's answers from another's."""
    return len(rollouts), *((rollouts[0].get("row"), rollouts[0].get("attempt")) if rollouts else ())


def _warning(text: str) -> str:
    return f'<span style="{WARN}; padding:1px 6px">{escape(text)}</span>'
