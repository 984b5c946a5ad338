"""`vsr`: the command line of the kit.

Its commands build, fetch and check questions, score predictions, ask and train models, report on runs, reproduce the
study, pass results on, and open or run the course. Each is a thin layer over functions of the packages, so a notebook
can do whatever a command can. Commands that train or evaluate write a run folder (runs/folder.py) and can be killed and
resumed. A command is in the module that is called as it is, or as what it is about; training.py, held_out.py, clips.py
and resume.py have what several share, and terminal.py guards what is printed.

An error with a remedy is one line on stderr and exit code 2; `vsr --debug` shows where it came from. Nothing heavy is
imported before a command runs, so that help is quick.
Left out: configuration files; a run folder's config.json records what was chosen.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Annotated

import typer
from typer.core import TyperGroup

from vsr_kit import __version__
from vsr_kit.cli import (
    asking,
    bridging,
    course,
    data,
    doctor,
    fetch,
    models,
    planning,
    preflight,
    pretraining,
    publishing,
    stopping,
    study,
)
from vsr_kit.cli.terminal import guard, paragraphs
from vsr_kit.failures import NotFinite, OutOfMemory
from vsr_kit.files import Damaged, in_a_line
from vsr_kit.validation import one_line, printable


class _Group(TyperGroup):
    """Typer's group of commands, with two habits mended.

    Typer shows what was typed as it was typed, and a terminal must not obey it. And it takes every EOFError for Ctrl-D
    and says no more than "Aborted."; here it is a file that ends too early.
    """

    def make_context(self, *args, **extra):
        try:
            return super().make_context(*args, **extra)
        except Exception as error:
            _make_printable(error)
            raise

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise Damaged(f"a file ends too early ({in_a_line(error)}); vsr --debug shows which") from error
        except Exception as error:
            _make_printable(error)
            raise


def _make_printable(error: Exception) -> None:
    """Escape what was typed wrongly in the message of an error about it."""
    if hasattr(error, "format_message"):
        error.message = printable(error.message)


app = typer.Typer(
    cls=_Group,
    name="vsr",
    help="Visual-spatial reasoning by R1-Zero-like training: rooms, clips, questions, scores, QLoRA GRPO, a course.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(command: Callable, name: str | None = None, **how) -> None:
    app.command(name, help=paragraphs(command.__doc__ or ""), **how)(command)


for command in (course.run, course.course, course.lab):
    _add(command, rich_help_panel="Course")
# pytest's own options need no -- before them
_add(course.test, rich_help_panel="Course", context_settings={"ignore_unknown_options": True})
for command in (data.build, fetch.fetch, data.score, preflight.preflight):
    _add(command, rich_help_panel="Questions and scores")
_RUNS = (pretraining.pretrain, bridging.bridge, models.eval_, models.train, models.report, study.reproduce)
_RUNS += (study.claims, stopping.stop, planning.plan, doctor.doctor)
_SHARING = (publishing.merge, publishing.push, publishing.export, publishing.explain_gap)
for command in (asking.ask, *_RUNS):
    _add(command, command.__name__.rstrip("_"), rich_help_panel="Models and runs")

for command in _SHARING:
    _add(command, command.__name__.replace("_", "-"), rich_help_panel="Sharing")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vsr-kit {__version__}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options before the command."""


def main() -> None:
    """Entry point of the `vsr` script: errors become one line and exit code 2."""
    _print_anything()
    guard()
    debug = "--debug" in sys.argv
    try:
        app()
    except (ValueError, OSError, ImportError, OutOfMemory, NotFinite) as error:  # with a remedy
        if debug:
            raise
        traceback.clear_frames(error.__traceback__)  # a bar that was cut short ends its line before ours
        typer.echo(f"error: {one_line(error)}", err=True)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        typer.echo(f"error: {one_line(in_a_line(error))} ({type(error).__name__}; vsr --debug shows where)", err=True)
        sys.exit(2)


def _print_anything() -> None:
    """A terminal that knows no "…" (ASCII, Latin-1) shows a question mark; it is no reason to stop."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
