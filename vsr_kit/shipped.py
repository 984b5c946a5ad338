"""Where the files are that ship beside the code: data_samples/ and notebooks/.

The story: in a checkout they lie at the top level, beside `vsr_kit/`; in a wheel they lie inside the package. Both are
found from this file's own place, so that neither the working directory nor an installer matters.

Left out: downloading. What is not shipped is asked for by a path or a hub id where it is used.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def checkout() -> Path | None:
    """The repository's top folder where the package runs from a checkout, None where it was installed from a wheel."""
    top = PACKAGE.parent
    return top if (top / "pyproject.toml").is_file() else None


def data_samples(*parts: str) -> Path:
    """Path of a shipped sample: `data_samples("mini-qwen2-vl")`. FileNotFoundError names what is there instead."""
    return _find("data_samples", parts)


def notebooks_folder() -> Path:
    """The folder that holds the course's notebooks."""
    return _find("notebooks", ())


def _find(folder: str, parts: tuple[str, ...]) -> Path:
    for top in (PACKAGE, PACKAGE.parent):
        path = top.joinpath(folder, *parts)
        if path.exists():
            return path
    parent = next((p for p in path.parents if p.is_dir()), path.parent)
    there = ", ".join(sorted(p.name for p in parent.iterdir())[:20]) or "nothing"
    raise FileNotFoundError(f"nothing is shipped as {'/'.join((folder, *parts))}; {parent} holds {there}")
