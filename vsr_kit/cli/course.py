"""Commands of the course: run, course, lab and test.

`vsr run` executes the main notebooks and leaves a site, `vsr course` executes every notebook; `vsr lab` opens the
notebooks for the reader to work through; `vsr test` runs the checkout's tests.
Left out: a server; the site consists of files.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from vsr_kit.validation import printable

SPREAD = ["-n", "auto", "--dist", "worksteal"]  # of pytest-xdist

Out = Annotated[Path, typer.Option(help="Folder of the site; its index.html is what to look at.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="The smoke budget: every cell runs, the numbers mean nothing.")]
Timeout = Annotated[int, typer.Option(help="Seconds a single cell may take; 0 keeps the budget's own limit.")]


def run(
    notebooks: Annotated[
        list[str] | None, typer.Argument(help="Notebooks by the start of their names.", show_default="00 01 02 03")
    ] = None,
    out: Out = Path("site"),
    smoke: Smoke = False,
    cell_timeout: Timeout = 0,
) -> None:
    """Run the main job: execute notebooks 00 to 04 on the miniature and leave a site with a report."""
    from vsr_kit.pages.site import MAIN_JOB, course_notebooks

    _build(course_notebooks(notebooks or MAIN_JOB), out, smoke, cell_timeout)


def course(out: Out = Path("site"), smoke: Smoke = False, cell_timeout: Timeout = 0) -> None:
    """Execute every notebook of the course and leave a site with a report."""
    from vsr_kit.pages.site import course_notebooks

    _build(course_notebooks(), out, smoke, cell_timeout)


def _build(notebooks: list[Path], out: Path, smoke: bool, cell_timeout: int) -> None:
    """Execute with a bar per notebook on a terminal, a line per notebook anywhere; exit 1 where one failed."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from vsr_kit.pages.site import build_site

    console = Console()
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=1)

        def on_start(path: Path, cells: int) -> None:
            progress.reset(bar, total=cells, description=printable(path.stem))

        def on_done(done) -> None:
            state = "FAILED" if done.error else "ran"
            console.print(
                f"{printable(done.name)}: {state}, {done.cells} code cells, {done.seconds:.0f} s", highlight=False
            )
            if done.error:
                console.print(printable(done.error), markup=False, highlight=False, soft_wrap=True)

        site = build_site(
            notebooks,
            out,
            smoke=smoke,
            cell_timeout_s=cell_timeout or None,
            on_start=on_start,
            on_cell=lambda: progress.advance(bar),
            on_done=on_done,
            on_study=lambda: progress.reset(bar, total=None, description="verdicts and gallery"),
        )
    _tell(console, site, smoke)
    if site.failed:
        raise typer.Exit(1)


def _tell(console, site, smoke: bool) -> None:
    from vsr_kit.pages.report import number

    measured = [(run.name, what, number(v)) for run in site.runs for what, v in run.summary.get("headline", {}).items()]
    if measured:
        caveat = " (smoke budget: these numbers mean nothing)" if smoke else ""
        console.print(f"measured{caveat}:", highlight=False)
    for name, what, value in measured:
        console.print(printable(f"  {name}: {what}: {value}"), markup=False, highlight=False, soft_wrap=True)
    console.print(printable(f"look at {site.index}"), markup=False, highlight=False, soft_wrap=True)


def lab(
    notebook: Annotated[str, typer.Argument(help="The notebook to open, by the start of its name.")] = "00",
    browser: Annotated[bool, typer.Option(help="Open a browser window.")] = True,
) -> None:
    """Open JupyterLab on the first notebook of your own copy of the course.

    The notebooks are copied to ./vsr-notebooks, where what you edit is never overwritten; their runs go to ./runs.
    """
    from importlib.util import find_spec

    from vsr_kit.pages.site import course_notebooks
    from vsr_kit.paths import OWN_COPY, kernel_environment, update_copy
    from vsr_kit.runs import runs_root

    if find_spec("jupyterlab") is None:
        raise ValueError("JupyterLab is not installed; pip install 'vsr-kit[lab]'")
    shipped = course_notebooks([notebook])[0]
    for line in update_copy(OWN_COPY):
        typer.echo(line)
    runs = runs_root().resolve()
    typer.echo(f"{OWN_COPY}/ is your own copy of the course; its runs go to {runs}, and vsr report shows the newest")
    words = [sys.executable, "-m", "jupyterlab", f"{OWN_COPY}/{shipped.name}", *([] if browser else ["--no-browser"])]
    raise typer.Exit(subprocess.run(words, env=kernel_environment(runs)).returncode)


def test(
    pytest_arguments: Annotated[list[str] | None, typer.Argument(help="Passed on to pytest.")] = None,
) -> None:
    """Run the tests, every notebook on its smoke budget included. Needs a checkout."""
    from importlib.util import find_spec

    from vsr_kit.paths import checkout

    top = checkout()
    if top is None or not (top / "tests").is_dir():
        raise ValueError("the tests live in the repository, not in the wheel; run vsr test from a checkout")
    if find_spec("pytest") is None:
        raise ValueError("pytest is not installed; pip install -e '.[test]'")
    given = pytest_arguments or []
    # As many processes as cores, unless told otherwise: the suite is minutes long, and its tests share nothing.
    spread = [] if find_spec("xdist") is None or any(w.startswith(("-n", "--pdb")) for w in given) else SPREAD
    words = [sys.executable, "-m", "pytest", *spread, *given]
    raise typer.Exit(subprocess.run(words, cwd=top).returncode)
