"""What the site's index opens with: the picture, the headline figure, and how long each notebook takes.

All of it is read from where it is kept: the picture and its words from the repository's README, minutes from the table
in a notebook's first cells, the figure from the shipped study's verdicts.
Left out: the picture where the kit was installed from a wheel, which has none.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vsr_kit.paths import checkout
from vsr_kit.study.judge import Verdict
from vsr_kit.study.summary import HEADLINES, ruled

if TYPE_CHECKING:
    from vsr_kit.plots import Figure

PICTURE = "docs/picture.png"
_TIME = re.compile(r"^\|\s*time\s*\|([^|]*)\|", re.M)
_SHOWN = re.compile(r"!\[([^\]]*)\]\(docs/picture\.png\)")


def copy_picture(out: Path) -> dict[str, str] | None:
    """Copy the README's picture into the site; its name there and what it shows, None where there is no picture."""
    top = checkout()
    if top is None or not (top / PICTURE).is_file():
        return None
    shown = _SHOWN.search((top / "README.md").read_text(encoding="utf-8"))
    shutil.copyfile(top / PICTURE, out / "picture.png")
    return {"src": "picture.png", "alt": shown[1] if shown else "a clip, its floor plan, and answers about it"}


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
