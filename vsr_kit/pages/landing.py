"""What the site's index opens with: the moving picture, the headline figure, and how long each notebook takes.

All of it is read from where it is kept: the pictures from docs/, which a wheel carries, too; their words from the file
of the moving one; minutes from the table in a notebook's first cells, the figure from the shipped study's verdicts.
Left out: drawing the pictures (moving_picture.py, docs/make_picture.py), which asks the miniature and takes its time.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vsr_kit.paths import shipped_picture
from vsr_kit.study.judge import Verdict
from vsr_kit.study.summary import HEADLINES, ruled

if TYPE_CHECKING:
    from vsr_kit.plots import Figure

MOVING, STILL = "walk.gif", "picture.png"
_TIME = re.compile(r"^\|\s*time\s*\|([^|]*)\|", re.M)


def copy_pictures(out: Path) -> dict[str, str]:
    """Copy the moving picture and the still one about the same room into the site.

    Returns:
        Their names there, `moving` and `still`, and what they show, `alt`.
    """
    from vsr_kit.pages.moving_picture import words_of

    for name in (MOVING, STILL):
        shutil.copyfile(shipped_picture(name), out / name)
    return {"moving": MOVING, "still": STILL, "alt": words_of(out / MOVING)}


def minutes_told(notebook) -> str:
    """How long a notebook takes on a CPU, as the table in its first cells says; empty where it says nothing."""
    texts = [cell.source for cell in notebook.cells[:3] if cell.cell_type == "markdown"]
    found = next(filter(None, map(_TIME.search, texts)), None)
    return found[1].strip() if found else ""


def headline_figure(found: Mapping[str, Verdict]) -> Figure | None:
    """The headline claims' differences with their rules' intervals, a row each; None where nothing was measured."""
    from vsr_kit.plots import difference_forest

    bands, conclusions = {}, {}
    for name in (name for names in HEADLINES.values() for name in names if name in found):
        verdict = found[name]
        differences = ruled(verdict)
        for finding, band in differences.items():
            row = f"{name}: {finding.replace('_', ' ')}" if len(differences) > 1 else name
            bands[row] = (band.mean, band.low, band.high)
            conclusions[row] = verdict.verdict.partition(":")[0]
    if not bands:
        return None
    title = "What held on the miniature, and what did not"
    return difference_forest(bands, conclusions=conclusions, source="shipped", title=title)
