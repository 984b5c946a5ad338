"""The course as pages: execute notebooks one after another, keep what they show, and write an index over all of it.

The story: `vsr run` calls `build_site`. Every notebook runs in a fresh kernel of this very Python, in a folder of its
own under the site, with VSR_RUNS pointing to `<site>/runs`; what notebooks record there as run folders becomes the
report page. The index is rewritten after every notebook, so that the first curve can be looked at while the rest runs.
A cell that fails ends its notebook, not the course: the page shows the error and the index says so.

Pages work without a network: plotly.js is copied beside them, and widgets are shown by their static fallback. Left out:
mathematical notation offline (MathJax is loaded by the browser), and parallel execution, which would falsify timings.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path

from vsr_kit.budget import SMOKE_VARIABLE
from vsr_kit.characters import drawable, without_commands
from vsr_kit.report import page, write_report
from vsr_kit.runs import RUNS_VARIABLE, RunFolder, run_folders
from vsr_kit.shipped import checkout, notebooks_folder

MAIN_JOB = ("00", "01", "02", "03")
PLOTLY_MIME = "application/vnd.plotly.v1+json"


@dataclass(frozen=True)
class Executed:
    """One notebook after its run. `error` is None where every cell ran, else the last lines of what went wrong."""

    name: str
    title: str
    seconds: float
    cells: int
    error: str | None = None


@dataclass(frozen=True)
class Site:
    """What `build_site` left: the index, the executed notebooks, and the run folders they recorded."""

    index: Path
    notebooks: tuple[Executed, ...]
    runs: tuple[RunFolder, ...]

    @property
    def failed(self) -> tuple[Executed, ...]:
        return tuple(notebook for notebook in self.notebooks if notebook.error)


def course_notebooks(prefixes: Iterable[str] | None = None, folder: str | Path | None = None) -> list[Path]:
    """The course's notebooks in order, or those whose names start with one of `prefixes`.

    Raises ValueError where a prefix names none.
    """
    folder = Path(folder or notebooks_folder())
    every = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if prefixes is None:
        return every
    chosen = []
    for prefix in prefixes:
        found = [path for path in every if path.name.startswith(prefix)]
        if not found:
            raise ValueError(f"no notebook starts with {prefix!r}; {folder} holds {[p.name for p in every]}")
        chosen += found
    return chosen


def build_site(
    notebooks: Iterable[Path],
    out: str | Path = "site",
    *,
    smoke: bool = False,
    cell_timeout_s: int | None = None,
    on_start: Callable[[Path, int], None] = lambda path, cells: None,
    on_cell: Callable[[], None] = lambda: None,
    on_done: Callable[[Executed], None] = lambda executed: None,
) -> Site:
    """Execute `notebooks` into `out` and write index.html, report.html and plotly.min.js there.

    on_start(path, code cells), on_cell() and on_done(executed) are told about progress.
    """
    notebooks = list(notebooks)
    if not notebooks:
        raise ValueError(f"there is no notebook to execute in {notebooks_folder()}")
    out = Path(out).resolve()
    before = {run.path for run in run_folders(out / "runs")}
    (out / "notebooks").mkdir(parents=True, exist_ok=True)
    _copy_plotly(out)
    executed: list[Executed] = []
    for path in notebooks:
        on_start(path, len(_code_cells(_read(path))))
        executed.append(execute(path, out, smoke=smoke, cell_timeout_s=cell_timeout_s, on_cell=on_cell))
        runs = [run for run in run_folders(out / "runs") if run.path not in before]
        _write_index(out, executed, [p.stem for p in notebooks[len(executed) :]], runs, smoke)
        on_done(executed[-1])
    return Site(out / "index.html", tuple(executed), tuple(runs))


def execute(
    path: str | Path,
    out: str | Path,
    *,
    smoke: bool = False,
    cell_timeout_s: int | None = None,
    on_cell: Callable[[], None] = lambda: None,
) -> Executed:
    """Run one notebook in a fresh kernel; leave `<out>/notebooks/<name>.ipynb` and `.html`.

    cell_timeout_s: a cell that takes longer fails; 300 on the smoke budget and 1800 otherwise. Nothing is raised for a
    failing cell: see `Executed.error`.
    """
    path, out = Path(path), Path(out).resolve()
    workplace = out / "notebooks"
    workplace.mkdir(parents=True, exist_ok=True)
    notebook = _read(path)
    environment = _environment(smoke, out / "runs")
    began = time.monotonic()
    error = _run_cells(notebook, workplace, environment, cell_timeout_s or (300 if smoke else 1800), on_cell)
    seconds = time.monotonic() - began
    _write(notebook, workplace / path.name)
    (workplace / f"{path.stem}.html").write_text(notebook_page(notebook, path.stem), encoding="utf-8")
    return Executed(path.stem, _title(notebook, path.stem), seconds, len(_code_cells(notebook)), error)


def _environment(smoke: bool, runs: Path) -> dict[str, str]:
    """Of the kernel: budget, place of run folders and, in a checkout that was never installed, this very package."""
    environment = {**os.environ, SMOKE_VARIABLE: "1" if smoke else "0", RUNS_VARIABLE: str(runs)}
    if top := checkout():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(top), os.environ.get("PYTHONPATH")]))
    return environment


def _run_cells(notebook, workplace: Path, environment: dict, timeout_s: int, on_cell) -> str | None:
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpecManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    # No search for kernels by name: whatever "python3" means elsewhere on the machine, here it is this interpreter.
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))
    client = NotebookClient(
        notebook,
        km=manager,
        timeout=timeout_s,
        extra_arguments=["--IPKernelApp.log_level=40"],  # errors only: a page is no place for the kernel's warnings
        resources={"metadata": {"path": str(workplace)}},
        on_cell_executed=lambda **_: on_cell(),
    )
    try:
        client.execute(env=environment)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as err:
        return "\n".join(without_commands(str(err)).strip().splitlines()[-12:]) or type(err).__name__
    return None


def notebook_page(notebook, name: str) -> str:
    """The executed notebook as one HTML page that needs `../plotly.min.js` and no network."""
    from nbconvert import HTMLExporter

    html, _ = HTMLExporter(template_name="lab").from_notebook_node(_static(notebook), {"metadata": {"name": name}})
    # Before anything else in the head: loaded after require.js, plotly.js would register with it and define no global.
    html = html.replace("<head>", '<head>\n<script src="../plotly.min.js"></script>', 1)
    return drawable(re.sub(r'href="(\d\d_[\w-]+)\.ipynb', r'href="\1.html', html))


def _static(notebook):
    """A copy whose figures draw without the notebook server; widgets without state are shown by what else there is."""
    import copy

    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    for cell in _code_cells(notebook):
        for output in cell.outputs:
            data = output.get("data", {})
            if PLOTLY_MIME in data:
                data["text/html"] = figure_html(data.pop(PLOTLY_MIME), data.pop("image/svg+xml", ""))
    return notebook


def figure_html(figure: dict, still: str = "") -> str:
    """A plotly figure as a <div> and a script, for a page that loads plotly.js; `still`, an SVG, without scripts."""
    import plotly.io

    config = figure.get("config", {})
    figure = {key: figure[key] for key in ("data", "layout", "frames") if key in figure}
    alt = escape((figure.get("layout", {}).get("meta") or {}).get("alt", "a figure"))
    live = plotly.io.to_html(figure, config=config, include_plotlyjs=False, full_html=False, validate=False)
    return f'<div role="img" aria-label="{alt}">{live}</div><noscript>{still}</noscript>'


def _copy_plotly(out: Path) -> None:
    import plotly

    shutil.copyfile(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", out / "plotly.min.js")


def _write_index(out: Path, executed: list[Executed], waiting: list[str], runs: list[RunFolder], smoke: bool) -> None:
    report = None
    if runs:
        report = write_report(runs, out / "report.html").name
    headlines = [(run.name, run.summary["headline"]) for run in runs if run.summary.get("headline")]
    made = datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
    html = page(
        "index.html.j2",
        executed=executed,
        waiting=waiting,
        report=report,
        headlines=headlines,
        smoke=smoke,
        made=made,
    )
    (out / "index.html").write_text(html, encoding="utf-8")


def _read(path: Path):
    import nbformat

    return nbformat.read(path, as_version=4)


def _write(notebook, path: Path) -> None:
    import nbformat

    nbformat.write(notebook, path)


def _code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _title(notebook, fallback: str) -> str:
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (found := re.search(r"^#\s+(.+)$", cell.source, re.M)):
            return found.group(1).strip()
    return fallback
