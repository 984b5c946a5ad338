"""`--resume FOLDER`: a run continues with the settings that the folder's own command recorded, and no others.

A flag typed beside --resume that contradicts them is refused, as is a folder of another command, or one whose settings
another version wrote; a finished run is reported and left as it is. All of this is checked before any room is filmed.
Left out: comparing rows, clips and weights, which training and asking do themselves (runs/identity.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

import typer

from vsr_kit.runs.attempts import BROKEN, FINISHED

BROKEN_STATUS = 3  # the exit status of a training whose numbers broke
_OF = {"train": "profile", "eval": "split"}  # a setting that only this command records


def typed(context: typer.Context) -> dict:
    """The options typed on the command line, their defaults too, by name; not --resume itself."""
    given = {name: value for name, value in context.params.items() if name != "resume"}
    return {name: value for name, value in given.items() if _was_typed(context, name)}


def _was_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")


def settings_of(run, command: str) -> dict:
    """The settings a command's run recorded.

    Raises:
        ValueError: the folder is another command's, or lacks them.
    """
    settings = run.config["config"]
    if _OF[command] in settings:
        return settings
    other = next((name for name, setting in _OF.items() if setting in settings), None)
    if other is not None:
        raise ValueError(f"{run.path} is a run of vsr {other}: go on with it by vsr {other} --resume {run.path}")
    how = "vsr reproduce goes on with a study's runs" if "questions" in settings else "its own script goes on with it"
    raise ValueError(f"{run.path} is no run of vsr {command}: it records no {_OF[command]}; {how}")


def needed(run, settings: Mapping, names) -> None:
    """ValueError unless the run's settings have all these names."""
    if missing := [name for name in names if name not in settings]:
        raise ValueError(
            f"{run.path / 'config.json'} lacks {', '.join(missing)}: another version of vsr-kit "
            f"({run.versions.get('vsr_kit', 'unknown')}) wrote it; go on with that version, or begin a new run"
        )


def profile_of(run, settings: Mapping):
    """The profile a run recorded.

    Raises:
        ValueError: fields that this version does not know or that are missing, or values that no run can have.
    """
    from vsr_kit.training.profiles import Profile

    recorded, path = settings["profile"], run.path / "config.json"
    if not isinstance(recorded, dict):
        raise ValueError(f"{path}: profile is {recorded!r}, no object of settings; it was edited")
    known = [field.name for field in fields(Profile)]
    if unknown := [name for name in recorded if name not in known]:
        raise ValueError(
            f"{path}: its profile has {', '.join(unknown)}, which this version does not know "
            f"(vsr-kit {run.versions.get('vsr_kit', 'unknown')} wrote it); go on with that version, or begin a new run"
        )
    needed(run, recorded, known)
    try:
        return Profile(**recorded)
    except ValueError as error:
        raise ValueError(f"{path}: its profile cannot be: {error}") from None


def refuse_changes(run, command: str, given: Mapping, recorded: Mapping) -> None:
    """ValueError if an option typed beside --resume says otherwise than the run recorded.

    given: options by their names, as `typed` gives them. recorded: what they would have to be.
    """
    wrong = [
        f"--{name.replace('_', '-')} {_shown(value)} (the run has {_shown(recorded.get(name))})"
        for name, value in given.items()
        if _plain(value) != _plain(recorded.get(name))
    ]
    if wrong:
        raise ValueError(
            f"{run.path} goes on with the settings it recorded: leave out {', '.join(wrong)}, or begin a new run "
            f"without --resume by vsr {command}"
        )


def is_over(run) -> bool:
    """Whether a run came to its end, which is then told.

    Raises:
        typer.Exit: with BROKEN_STATUS where its numbers broke.
    """
    if run.status == BROKEN:
        typer.echo(f"{run.path} broke and is left as it is: {run.stopped}; begin a new run", err=True)
        raise typer.Exit(BROKEN_STATUS)
    if run.status == FINISHED:
        typer.echo(f"{run.path} is finished and is left as it is; a page: vsr report {run.path}")
    return run.status == FINISHED


def _plain(value):
    """A value as a record holds it."""
    value = getattr(value, "value", value)
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _shown(value) -> str:
    value = _plain(value)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
