"""Several runs over each other: one metric, over steps, tokens or seconds, and beneath it where each run ended.

Runs of one name and the same settings are seeds of one training and have one line with a band (runs/seeds.py); who
names groups of runs decides that. What the band spans, how wide the smoothing is and what an interval is about stands
in the captions. Runs may be running, killed and resumed, broken, without a step, or unreadable; what is missing is
said, and the others are shown. A run that was only asked questions, by `vsr eval`, has scores and no line.
Left out: differences with intervals (`evaluation.differences`), for which the answers must be about the same questions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import mean

import ipywidgets as ipw

from vsr_kit.evaluation.run_scores import scores_of_seeds
from vsr_kit.evaluation.small_samples import student_interval
from vsr_kit.files import check_seal, in_a_line
from vsr_kit.plots import Figure, Html, score_table
from vsr_kit.plots.curves import AXES, is_number, measured
from vsr_kit.plots.overlay import overlay
from vsr_kit.plots.style import WARN
from vsr_kit.plots.training import METRICS, metric_name
from vsr_kit.runs import RunFolder, run_folders, runs_root
from vsr_kit.runs.reading import metrics_file
from vsr_kit.runs.seeds import by_seeds, is_shipped
from vsr_kit.runs.watching import Seen, Watch
from vsr_kit.validation import one_of
from vsr_kit.widgets.player import display_live_or_still
from vsr_kit.widgets.view import Quietly

SMOOTH = (1, 2, 5, 10, 20, 50)
ENDS = 10  # last logged steps, whose mean says where a run ended
AT_FIRST = 6  # trainings shown at first: as many as there are colours
_NO_METRICS = ("step", "attempt", "elapsed_s", "num_tokens")
_NUMBER = 'style="text-align:right; padding:3px 8px; white-space:nowrap; font-variant-numeric:tabular-nums"'
_TEXT = 'style="text-align:left; padding:3px 8px"'

Runs = RunFolder | str | Path


class RunCompare(Quietly):
    """A figure with its controls, and tables of how the runs ended.

    Attributes:
        view: the widget.
        metric, over, smooth: the controls; giving their `value` another one redraws what is below.
        shown: the trainings that are shown, by name.
        again: its `click()` reads the folders anew.
        runs: the runs of each training.
    """

    def __init__(
        self,
        runs: Runs | Sequence[Runs] | Mapping[str, Runs | Sequence[Runs]] | None = None,
        *,
        metric: str | None = None,
        over: str = "step",
        smooth: int = 10,
        scores: Mapping[str, Mapping] | None = None,
    ) -> None:
        """Read the runs.

        Args:
            runs: run folders, their paths, or folders that hold runs, one or several; by name, the runs of a name are
                seeds of one training. None is the folder that new runs go to.
            metric: shown first, a key of the logs; by default the first of `plots.METRICS` that some run has.
            over: the axis at first: `step`, `tokens` or `seconds`.
            smooth: trailing mean at first, one of 1, 2, 5, 10, 20 and 50 logged steps.
            scores: a row's name to its scores by task, numbers or (mean, low, high, n), such as those that a study
                keeps outside its runs; they stand beside the scores that the runs recorded.

        Raises:
            FileNotFoundError: a path at which there is no folder.
            ValueError: no run at all, an unknown axis or smoothing, or a metric that no run logged.
        """
        one_of("over", over, AXES)
        one_of("smooth", smooth, SMOOTH)
        self._given, self._scores = runs, dict(scores or {})
        self.runs: dict[str, list[RunFolder]] = {}
        self._seen: dict[Path, Seen] = {}
        self._faults: list[str] = []
        self._read()
        if metric is not None:
            one_of("metric", metric, self._metrics(), remedy="these were logged")
        self._build(metric, over, smooth)
        self._draw()

    # -- reading -------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Every run that can be read, with its steps; what cannot be read is told."""
        self._faults, self._seen = [], {}
        if isinstance(self._given, Mapping):
            if not self._given:
                raise ValueError("there is no run to compare: give each training's name its runs")
            self.runs = {name: self._readable(_folders(own)) for name, own in self._given.items()}
        else:
            self.runs = by_seeds(self._readable(_folders(self._given)))

    def _readable(self, runs: Sequence[RunFolder]) -> list[RunFolder]:
        """Those of some runs that can be read; the others are told."""
        readable = []
        for run in runs:
            try:
                check_seal(metrics_file(run.path))
                seen = Watch(run).look()
                if seen.state == "unreadable":
                    raise ValueError(seen.words)
                by_seeds([run])
            except (ValueError, OSError) as error:
                self._faults.append(f"{run.path.name} is left out: {in_a_line(error)}")
                continue
            self._seen[run.path] = seen
            readable.append(run)
        return readable

    def _rows(self, name: str) -> list[list[dict]]:
        """The steps of each seed that logged some."""
        return [rows for run in self.runs[name] if (rows := self._seen[run.path].rows)]

    def _trainings(self) -> list[str]:
        """Names of those that logged a step."""
        return [name for name in self.runs if self._rows(name)]

    def _metrics(self) -> list[str]:
        """What some run logged as a number, the known ones first."""
        found = {
            name: None
            for name_of in self._trainings()
            for rows in self._rows(name_of)
            for row in rows
            for name, value in row.items()
            if is_number(value)
        }
        return [k for k in METRICS if k in found] + [k for k in found if k not in METRICS and k not in _NO_METRICS]

    # -- the view ------------------------------------------------------------------------------------------------------

    def _build(self, metric: str | None, over: str, smooth: int) -> None:
        wide, own = ipw.Layout(max_width="100%"), {"style": {"description_width": "initial"}}
        self.metric = ipw.Dropdown(description="metric", layout=wide, **own)
        self.over = ipw.ToggleButtons(options=list(AXES), value=over, description="over", layout=wide, **own)
        self.over.style.button_width = "auto"
        self.smooth = ipw.SelectionSlider(options=SMOOTH, value=smooth, description="mean of steps", layout=wide, **own)
        self.shown = ipw.SelectMultiple(description="trainings", layout=ipw.Layout(width="min(98%, 480px)"), **own)
        self.again = ipw.Button(description="Read again", tooltip="Read the folders anew", layout=ipw.Layout())
        self.drawing, self.told = ipw.HTML(layout=wide), ipw.HTML(layout=wide)
        self.table = ipw.HTML(layout=ipw.Layout(max_width="100%", overflow="auto"))  # wide tables scroll in themselves
        self._offer(metric)
        for control in (self.metric, self.over, self.smooth, self.shown):
            control.observe(lambda change: None if self._quiet else self._draw(), names="value")
        self.again.on_click(lambda button: self.refresh())
        rows = ipw.Layout(flex_flow="row wrap")
        controls = [ipw.HBox([self.metric, self.over], layout=rows), ipw.HBox([self.smooth, self.again], layout=rows)]
        self.view = ipw.VBox([*controls, self.shown, self.told, self.drawing, self.table])

    def _offer(self, metric: str | None) -> None:
        """Let the controls have what the runs have now, and keep what was chosen where it is still there."""
        names, metrics = self._trainings(), self._metrics()
        before = [name for name in self.shown.value if name in names]
        with self._quietly():
            self.shown.options = names
            self.shown.value = before or names[:AT_FIRST]
            self.shown.rows = max(2, min(8, len(names)))
            self.shown.layout.display = "" if len(names) > 1 else "none"
            self.metric.options = [(metric_name(key), key) for key in metrics]
            if metrics:
                self.metric.value = metric if metric in metrics else metrics[0]

    def refresh(self) -> None:
        """Read the folders anew, such as those of runs that are still running."""
        self._read()
        self._offer(self.metric.value)
        self._draw()

    def _draw(self) -> None:
        figure = self.figure()
        self.drawing.value = "" if figure is None else figure.to_svg()
        self.table.value = "".join(part.__html__() for part in self.tables())
        self.told.value = self._told()

    def _told(self) -> str:
        """What is not in the figure, and why."""
        without = [run.path.name for runs in self.runs.values() for run in runs if not self._seen[run.path].rows]
        lines = [f"<i>No step is logged yet: {escape(', '.join(without))}.</i>"] if without else []
        lines += [f'<span style="{WARN}; padding:1px 6px">{escape(fault)}</span>' for fault in self._faults]
        return "<br>".join(lines)

    def _source(self, names: Sequence[str]) -> str:
        runs = [run for name in names for run in self.runs[name]]
        return "shipped" if runs and all(map(is_shipped, runs)) else "measured now"

    def figure(self) -> Figure | None:
        """The chosen trainings' metric; None where no step is logged."""
        names = list(self.shown.value)
        if not names or self.metric.value is None:
            return None
        look = {"source": self._source(names), "over": self.over.value, "smooth": self.smooth.value}
        return overlay({name: self._rows(name) for name in names}, self.metric.value, **look)

    # -- how they ended ------------------------------------------------------------------------------------------------

    def tables(self) -> list[Html]:
        """Where the chosen trainings ended, and the scores that runs recorded or that were given."""
        names = list(self.shown.value)
        made = [self._ends(names)] if names and self.metric.value is not None else []
        rows, given = self._score_rows(), self._given_scores()
        if rows or given:
            notes = ["of one run over its rooms, of several over their seeds (Student's), where they are known"]
            notes = (notes if rows else []) + (["of given scores as they were given"] if given else [])
            runs = [name for name in self.runs if self.runs[name]]
            note, source = f"intervals: {'; '.join(notes)}", self._source(runs)
            made.append(score_table(rows | given, source=source, note=note, title="Scores, per cent"))
        return made

    def _score_rows(self) -> dict[str, dict]:
        """Scores by row that runs recorded: of trainings that are shown, and of runs without steps."""
        rows: dict[str, dict] = {}
        for name, runs in self.runs.items():
            if name in self.shown.options and name not in self.shown.value:
                continue
            try:
                found = scores_of_seeds(runs)
            except (ValueError, OSError) as error:
                fault = f"the scores of {name} are left out: {in_a_line(error)}"
                self._faults += [] if fault in self._faults else [fault]  # every redraw comes by here
                continue
            rows |= {f"{name}: {label}": row for label, row in found.items()}
        return rows

    def _given_scores(self) -> dict[str, dict]:
        return {name: {t: getattr(band, "band", band) for t, band in row.items()} for name, row in self._scores.items()}

    def _ends(self, names: Sequence[str]) -> Html:
        """Each training's steps, state, and its metric's mean of the last steps."""
        key = self.metric.value
        head = ("training", "runs", "steps", "state", f"{metric_name(key)}, at the end", "95 % interval")
        body = [[name, *self._end_of(name, key)] for name in names]
        lines = "".join(f"<tr>{_cells(line, 'td')}</tr>" for line in body)
        caption = (
            f"Where they ended · <b>{self._source(names)}</b> · the mean of the last {ENDS} logged steps of each run, "
            "and Student's interval of its mean over runs, where there are several"
        )
        look = 'style="border-collapse:collapse; font-size:13px"'
        table = f"<table {look}><thead><tr>{_cells(head, 'th')}</tr></thead>{lines}</table>"
        told = "; ".join(" ".join(line) for line in body)
        return Html(f'<div style="padding:4px 10px">{caption}</div>{table}', f"Where they ended: {told}")

    def _end_of(self, name: str, key: str) -> list[str]:
        runs = [self._seen[run.path] for run in self.runs[name]]
        steps = sorted({seen.step for seen in runs})
        states = ", ".join(f"{n} {state}" if len(runs) > 1 else state for state, n in _counted(runs))
        ends = [mean(y for *_, y in points[-ENDS:]) for rows in self._rows(name) if (points := measured(rows, key))]
        low, high = student_interval(ends) if len(ends) > 1 else (None, None)
        shown = [f"{mean(ends):.3g}" if ends else "–", "–" if low is None else f"{low:.3g} to {high:.3g}"]
        return [str(len(runs)), "–".join(map(str, dict.fromkeys((steps[0], steps[-1])))), states, *shown]

    def static(self) -> str:
        """What is shown now, as HTML."""
        return "\n".join(part.__html__() for part in self._stills() if part is not None)

    def _stills(self) -> list:
        told = self._told()
        return [self.figure(), *self.tables(), Html(told, "runs that are not in the figure") if told else None]

    def _ipython_display_(self) -> None:
        display_live_or_still(self.view, self._stills())


def _cells(texts: Sequence[str], kind: str) -> str:
    """A line of the table of ends, escaped; the first and fourth column are text."""
    return "".join(f"<{kind} {_TEXT if i in (0, 3) else _NUMBER}>{escape(t)}</{kind}>" for i, t in enumerate(texts))


def _counted(runs: Sequence[Seen]) -> list[tuple[str, int]]:
    states = [seen.state for seen in runs]
    return [(state, states.count(state)) for state in dict.fromkeys(states)]


def _folders(given: Runs | Sequence[Runs] | None) -> list[RunFolder]:
    """The runs that are meant, each once."""
    if given is None:
        given = [runs_root()]
    found: dict[Path, RunFolder] = {}
    for each in [given] if isinstance(given, (RunFolder, str, Path)) else given:
        path = each.path if isinstance(each, RunFolder) else Path(each)
        if not path.is_dir():
            raise FileNotFoundError(f"{path} is no folder: give a run's folder, or one that holds runs")
        single = (path / "config.json").is_file()
        found |= {run.path.resolve(): run for run in ([RunFolder.open(path)] if single else run_folders(path))}
    if not found:
        raise ValueError(f"there is no run in {given}: give a run's folder, or one that holds runs")
    return list(found.values())
