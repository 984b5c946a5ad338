"""The reader's own copy of the course: to edit, run and keep, while the shipped notebooks stay as they are.

The story: `vsr lab` opens notebooks in ./vsr-notebooks. What is missing there is copied; what the reader has changed
(and running a notebook changes it) is never written again: a newer shipped version is put beside it under another name.
A small file in the folder says which version each copy was. Runs made in a notebook go beside its folder, into ./runs
as seen from where `vsr lab` was started, so that `vsr report` finds them there; the same holds for a checkout's
`notebooks/` opened by hand. Left out: merging a new version into an edited copy.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from vsr_kit.shipped import checkout, notebooks_folder

RUNS_VARIABLE = "VSR_RUNS"
OWN_COPY = "vsr-notebooks"
RECORD = ".vsr-course.json"  # {notebook: sha256 of the shipped version its copy was made from}


def update_copy(folder: str | Path = OWN_COPY, shipped: str | Path | None = None) -> list[str]:
    """Bring the reader's copy up to date without touching what was edited; returns a line for each thing to know.

    Args:
        folder: the copy, made where it is missing.
        shipped: where the notebooks come from; the kit's own by default.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    known, said = _record(folder), []
    for source in sorted(Path(shipped or notebooks_folder()).glob("*.ipynb")):
        own, version = folder / source.name, _version(source)
        if not own.exists():
            _copy(source, own)
        elif _version(own) == known.get(source.name) != version:
            _copy(source, own)
            said.append(f"{own} was as shipped, and is the newer version now")
        elif _version(own) != version and known.get(source.name) != version:
            beside = folder / f"{source.stem}-new-{version[:8]}.ipynb"
            if not beside.exists():
                _copy(source, beside)
            said.append(f"{own} is yours and stays as it is; the version shipped now is {beside}")
        known[source.name] = version
    (folder / RECORD).write_text(json.dumps(known, indent=1), encoding="utf-8")
    return said


def default_runs() -> Path:
    """Where runs go if nobody says: ./runs, or ../runs for a notebook of a copy or of a checkout's own notebooks."""
    here, top = Path.cwd(), checkout()
    of_the_course = (here / RECORD).is_file() or (top is not None and here == top / "notebooks")
    return Path("..", "runs") if of_the_course else Path("runs")


def kernel_environment(runs: str | Path) -> dict[str, str]:
    """This process' environment for kernels: their runs go to `runs`, and a checkout is found, installed or not."""
    environment = {**os.environ, RUNS_VARIABLE: str(Path(runs).resolve())}
    if top := checkout():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(top), os.environ.get("PYTHONPATH")]))
    return environment


def _record(folder: Path) -> dict[str, str]:
    try:
        known = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or spoilt: every copy that differs then counts as the reader's
        return {}
    return dict(known) if isinstance(known, Mapping) else {}


def _version(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _copy(source: Path, target: Path) -> None:
    """Copy by renaming, so that a kill leaves no half notebook."""
    beside = target.with_suffix(".part")
    shutil.copyfile(source, beside)
    os.replace(beside, target)
