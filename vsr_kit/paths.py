"""Paths and the environment of the course: shipped files, the reader's copy of the notebooks, runs, the smoke budget.

Shipped files (data_samples/, notebooks/, two pictures of docs/) lie beside `vsr_kit/` in a checkout and inside the
package in a wheel. Both are found from this file's own location, so neither the working directory nor the installer
matters.

`vsr lab` opens the notebooks in ./vsr-notebooks (`update_copy`). Missing notebooks are copied there. A notebook that
the reader changed, and running one changes it, is never overwritten: a newer shipped version is placed beside it under
another name. A small file in the folder records which version each copy was made from. Runs made in a notebook go
beside its folder, into ./runs as seen from where `vsr lab` was started, so that `vsr report` finds them there; the same
holds for a checkout's own `notebooks/`.

A notebook's parameters cell says `SMOKE = vsr.smoke()` and chooses its numbers by it: the full budget, or the small
one with which the tests run the whole course. The switch is an environment variable, which every kernel inherits.

`$VSR_CACHE` names the folder of decoded frames (data/frame_cache.py).

Left out: downloading (what is not shipped is named by a path or hub id where it is used), merging a new version into an
edited copy, and budgets between full and smoke.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """The repository's top folder where the package runs from a checkout, None where it was installed from a wheel."""
    top = PACKAGE.parent
    return top if (top / "pyproject.toml").is_file() else None


def data_samples(*parts: str) -> Path:
    """Path of a shipped sample: `data_samples("mini-qwen2-vl")`. FileNotFoundError names what is there instead."""
    return _find("data_samples", parts)


# The checkpoints that ship with the kit: what models, profiles and recipes call them, and their folders.
SHIPPED = {"mini": "mini-qwen2-vl", "mini-cold-start": "mini-cold-start"}


def checkpoint_of(name: str | Path) -> str | Path:
    """The folder of a shipped checkpoint by its name; any other name, a hub id or a folder, as it is.

    Raises:
        FileNotFoundError: a checkpoint of `SHIPPED` whose files are not there.
    """
    if str(name) not in SHIPPED:
        return name
    try:
        return data_samples(SHIPPED[str(name)])
    except FileNotFoundError as error:
        others = ", ".join(repr(other) for other in SHIPPED if other != str(name))
        raise FileNotFoundError(
            f"the checkpoint {str(name)!r} is not in this copy of the kit: {error}; get the whole repository or wheel, "
            f"or take another of the kit's: {others}"
        ) from error


def notebooks_folder() -> Path:
    """The folder that holds the course's notebooks."""
    return _find("notebooks", ())


def shipped_picture(name: str) -> Path:
    """Path of a picture of docs/ that travels along: `walk.gif` or `picture.png`. FileNotFoundError for any other."""
    return _find("docs", (name,))


def _find(folder: str, parts: tuple[str, ...]) -> Path:
    for top in (PACKAGE, PACKAGE.parent):
        path = top.joinpath(folder, *parts)
        if path.exists():
            return path
    parent = next((p for p in path.parents if p.is_dir()), path.parent)
    there = ", ".join(sorted(p.name for p in parent.iterdir())[:20]) or "nothing"
    raise FileNotFoundError(f"nothing is shipped as {'/'.join((folder, *parts))}; {parent} holds {there}")


SMOKE_VARIABLE = "VSR_SMOKE"
_ANSWERS = {"": False, "0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}


def smoke() -> bool:
    """True where the environment asks for the smoke budget (VSR_SMOKE=1). ValueError on a value that is neither."""
    value = os.environ.get(SMOKE_VARIABLE, "")
    if value.lower() not in _ANSWERS:
        raise ValueError(f"{SMOKE_VARIABLE} must be 1 or 0, got {value!r}: unset it for the full budget")
    return _ANSWERS[value.lower()]


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
    known, notes = _record(folder), []
    for source in sorted(Path(shipped or notebooks_folder()).glob("*.ipynb")):
        own, version = folder / source.name, _version(source)
        if not own.exists():
            _copy(source, own)
        elif _version(own) == known.get(source.name) != version:
            _copy(source, own)
            notes.append(f"{own} was as shipped, and is the newer version now")
        elif _version(own) != version and known.get(source.name) != version:
            beside = folder / f"{source.stem}-new-{version[:8]}.ipynb"
            if not beside.exists():
                _copy(source, beside)
            notes.append(f"{own} is yours and stays as it is; the version shipped now is {beside}")
        known[source.name] = version
    for page in Path(shipped or notebooks_folder()).glob("*.md"):  # the glossary that notebooks link to
        _copy(page, folder / page.name)
    (folder / RECORD).write_text(json.dumps(known, indent=1), encoding="utf-8")
    return notes


def default_runs() -> Path:
    """Where runs go if nobody says: ./runs; from within a copy of the course or a checkout's notebooks, beside it."""
    here, top = Path.cwd(), checkout()
    for up, folder in enumerate((here, *here.parents), start=1):
        if (folder / RECORD).is_file() or (top is not None and folder == top / "notebooks"):
            return Path(*[".."] * up, "runs")
    return Path("runs")


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


CACHE_VARIABLE, CACHE_GB_VARIABLE = "VSR_CACHE", "VSR_CACHE_GB"
CACHE_GB = 10.0


def cache_folder() -> Path | None:
    """Where decoded frames are kept: $VSR_CACHE, else vsr-kit in the user's cache folder; None where it is `off`."""
    value = os.environ.get(CACHE_VARIABLE, "").strip()
    if value.lower() in ("off", "none", "no", "0"):
        return None
    own = os.environ.get("XDG_CACHE_HOME", "").strip()
    return Path(value) if value else (Path(own) if own else Path.home() / ".cache") / "vsr-kit"


def cache_bytes() -> int:
    """How many bytes of them: $VSR_CACHE_GB, else 10 GB. ValueError for what is no number of at least 0."""
    value = os.environ.get(CACHE_GB_VARIABLE, "").strip()
    try:
        gigabytes = float(value) if value else CACHE_GB
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < math.inf:
        raise ValueError(f"{CACHE_GB_VARIABLE} is {value!r}: give a number of gigabytes of at least 0, or unset it")
    return int(gigabytes * 1e9)
