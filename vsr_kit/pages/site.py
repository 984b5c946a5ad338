"""The course as a site: notebooks are executed one after another, kept as pages, and listed in an index.

`vsr run` calls `build_site`. Every notebook runs in a fresh kernel of the current Python, in a folder of its own under
the site, with VSR_RUNS set to `<site>/runs`; the run folders that notebooks record there become the report page. The
index is rewritten after every notebook, so that the first curves can be viewed while the rest runs. A cell that fails
ends its notebook, not the course: the page shows the error and the index says so. Notebooks that were not run get pages
too, with the outputs that they were shipped with, so that every link leads somewhere; pages of notebooks that an
earlier build executed stay. The shipped study's verdicts and a gallery of what its models wrote belong to the site.
Furnished rooms, which the study has none of, have a page besides. Pages work without a network (html.py); plotly.js is
copied into the site.
Left out: parallel execution, which would falsify timings.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vsr_kit.pages.filling import page
from vsr_kit.pages.landing import copy_pictures, headline_figure, minutes_told
from vsr_kit.pages.report import rollouts_beside, write_report
from vsr_kit.paths import SMOKE_VARIABLE, kernel_environment, notebooks_folder
from vsr_kit.runs import RunFolder, run_folders
from vsr_kit.validation import without_commands

GALLERY = "gallery.html"  # its module brings pandas and plotly
MAIN_JOB = ("00", "01", "02", "03", "04")
AS_SHIPPED = "Not executed here: these are the outputs that the course ships with. vsr course executes all of it."


@dataclass(frozen=True)
class Executed:
    """One notebook after its run. `error` is None where every cell ran, else the last lines of what went wrong."""

    name: str
    title: str
    seconds: float
    cells: int
    error: str | None = None

    @property
    def state(self) -> str:
        return "failed" if self.error else "ran"


@dataclass(frozen=True)
class Listed:
    """A notebook of the index that was not executed this time; `state` says what its page shows."""

    name: str
    title: str
    state: str


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
    on_study: Callable[[], None] = lambda: None,
    study: bool = True,
) -> Site:
    """Execute `notebooks` into `out` and write index.html, report.html and plotly.min.js there.

    Args:
        notebooks: files to execute.
        out: the site's folder.
        smoke: on the smoke budget.
        cell_timeout_s: see `execute`.
        on_start, on_cell, on_done: are told about progress: (path, code cells), (), (executed).
        on_study: is told when the study's pages begin.
        study: whether the shipped study's verdicts and gallery, and a page of furnished rooms, belong to the site; they
            take about a minute.
    """
    notebooks = list(notebooks)
    if not notebooks:
        raise ValueError(f"there is no notebook to execute in {notebooks_folder()}")
    out = Path(out).resolve()
    before = {run.path for run in run_folders(out / "runs")}
    (out / "notebooks").mkdir(parents=True, exist_ok=True)
    _copy_plotly(out)
    _write_glossary(out)
    course = _with_neighbours(notebooks)
    minutes = {name: minutes_told(_read(path)) for name, path in course.items()}
    shown: dict = {"minutes": minutes, "picture": copy_pictures(out), "smoke": smoke}
    later = (f"../{GALLERY}",) if study else ()
    others = [_as_shipped(path, out, list(course), later) for path in course.values() if path not in notebooks]
    waiting = {path: Listed(path.stem, _title(_read(path), path.stem), "waiting") for path in notebooks}
    executed: list[Executed] = []
    runs: list[RunFolder] = []
    limits = {"smoke": smoke, "cell_timeout_s": cell_timeout_s}
    for path in notebooks:
        _write_index(out, executed, [*waiting.values(), *others], runs, shown)
        on_start(path, len(_code_cells(_read(path))))
        executed.append(execute(path, out, pages=list(course), later=later, on_cell=on_cell, **limits))
        del waiting[path]
        runs = [run for run in run_folders(out / "runs") if run.path not in before]
        _write_index(out, executed, [*waiting.values(), *others], runs, shown)
        on_done(executed[-1])
    if study:
        on_study()
        shown |= _write_study(out)
    _write_index(out, executed, others, runs, shown, last=True)
    return Site(out / "index.html", tuple(executed), tuple(runs))


def execute(
    path: str | Path,
    out: str | Path,
    *,
    smoke: bool = False,
    cell_timeout_s: int | None = None,
    on_cell: Callable[[], None] = lambda: None,
    pages: Iterable[str] = (),
    later: Collection[str] = (),
) -> Executed:
    """Run one notebook in a fresh kernel; leave `<out>/notebooks/<name>.ipynb` and `.html`.

    pages: names of the notebooks that have or will have a page there; links to others become plain text.
    later: addresses of other pages that will be there, seen from a notebook's.
    cell_timeout_s: a cell that takes longer fails; 300 on the smoke budget and 1800 otherwise. Nothing is raised for a
    failing cell: see `Executed.error`.
    """
    from vsr_kit.pages.html import notebook_page

    path, out = Path(path), Path(out).resolve()
    workplace = out / "notebooks"
    workplace.mkdir(parents=True, exist_ok=True)
    notebook = _read(path)
    environment = kernel_environment(out / "runs") | {SMOKE_VARIABLE: "1" if smoke else "0"}
    began = time.monotonic()
    error = _run_cells(notebook, workplace, environment, cell_timeout_s or (300 if smoke else 1800), on_cell)
    seconds = time.monotonic() - began
    _write(notebook, workplace / path.name)
    note = "Executed on the smoke budget: every cell ran, the numbers mean nothing." if smoke else ""
    html = notebook_page(notebook, path.stem, pages=pages, folder=workplace, note=note, later=later)
    (workplace / f"{path.stem}.html").write_text(html, encoding="utf-8")
    return Executed(path.stem, _title(notebook, path.stem), seconds, len(_code_cells(notebook)), error)


def _with_neighbours(notebooks: Sequence[Path]) -> dict[str, Path]:
    """The notebooks to execute and the course's others from the same folders, by name and in order."""
    beside = [path for folder in {path.parent for path in notebooks} for path in course_notebooks(folder=folder)]
    return dict(sorted({path.stem: path for path in [*beside, *notebooks]}.items()))


def _as_shipped(path: Path, out: Path, pages: list[str], later: Collection[str] = ()) -> Listed:
    """Leave the page of a notebook with the outputs it has; one that an earlier build executed stays."""
    from vsr_kit.pages.html import notebook_page

    copy, page = out / "notebooks" / path.name, out / "notebooks" / f"{path.stem}.html"
    notebook = _read(path)
    title = _title(notebook, path.stem)
    if page.exists() and copy.exists() and copy.read_bytes() != path.read_bytes():
        return Listed(path.stem, title, "from an earlier run")
    shutil.copyfile(path, copy)
    html = notebook_page(notebook, path.stem, pages=pages, folder=copy.parent, note=AS_SHIPPED, later=later)
    page.write_text(html, encoding="utf-8")
    return Listed(path.stem, title, "as shipped")


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
        client.execute(env=environment, cleanup_kc=True)  # the manager is ours: the kernel would outlive the notebook
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as err:
        return "\n".join(without_commands(str(err)).strip().splitlines()[-12:]) or type(err).__name__
    return None


def _copy_plotly(out: Path) -> None:
    import plotly

    shutil.copyfile(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", out / "plotly.min.js")


def _write_glossary(out: Path) -> None:
    """The glossary as a page, where the notebooks' pages look for it; none where the course has none."""
    source = notebooks_folder() / "glossary.md"
    if source.is_file():
        from vsr_kit.pages.html import markdown_body

        html = page("glossary.html.j2", body=markdown_body(source.read_text(encoding="utf-8")))
        (out / "notebooks" / "glossary.html").write_text(html, encoding="utf-8")


def _write_study(out: Path) -> dict:
    """Verdicts and gallery of the shipped study and the furnished rooms as pages, and what the index says of them."""
    from vsr_kit.pages import gallery, verdicts
    from vsr_kit.pages.furnished import write_rooms
    from vsr_kit.study.judge import verdicts as judged
    from vsr_kit.study.summary import counted

    damaged: dict[str, str] = {}
    found, cited = judged(damaged=damaged), verdicts.all_citations()
    index = {"Index of the course": "index.html"}
    links = index | {"Gallery": gallery.PAGE}
    pages = {
        "gallery": gallery.write_gallery(out, cited, links=index | {"Verdicts": verdicts.PAGE}).name,
        "verdicts": verdicts.write_verdicts(out, found, cited, damaged, links).name,
        "rooms": write_rooms(out).name,
    }
    return pages | {"figure": headline_figure(found), "counted": counted(found)}


def _write_index(
    out: Path, executed: list[Executed], others: list[Listed], runs: list[RunFolder], shown: dict, last: bool = False
) -> None:
    """Write the index, and the report where there are runs; their rollouts, which take longer, the `last` time."""
    pages: dict = {"report": None, "rollouts": None}
    if runs:
        pages["report"] = write_report(runs, out / "report.html", index="index.html", browse=last).name
        beside = rollouts_beside(out / "report.html")
        pages["rollouts"] = beside.name if last and beside.exists() else None
    headlines = [(run.name, run.summary["headline"]) for run in runs if run.summary.get("headline")]
    made = datetime.now().astimezone().isoformat(sep=" ", timespec="minutes")
    glossary = "notebooks/glossary.html" if (out / "notebooks" / "glossary.html").exists() else None
    html = page(
        "index.html.j2",
        **dict.fromkeys(("figure", "counted", "gallery", "verdicts", "rooms")) | shown | pages,
        notebooks=sorted([*executed, *others], key=lambda notebook: notebook.name),
        failed=[notebook for notebook in executed if notebook.error],
        headlines=headlines,
        glossary=glossary,
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
