"""The gallery: rollouts of the shipped study and answers behind its verdicts, as one page that opens from a disk.

Of the study's many thousand completions the page holds those that `RULE` names, nothing chosen by hand: of every way of
training one run, at steps from beginning to end; and for every claim about answers the two models that it compares,
side by side. The examples that `study.citations` cites are all among them, so that a verdict links to what shows it.
Left out: the other seeds, which `read_rollout_table` and `Study` read from `data_samples/reference_runs/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from vsr_kit.inspection import RolloutTable, read_rollout_table
from vsr_kit.pages.browser import Shown, link_to, write_browser
from vsr_kit.recipes import all_variants
from vsr_kit.study.answers import condition_answers, earned, finished_runs, study_folder
from vsr_kit.study.citations import EVERY_STEPS, Citations, Cited, gallery_steps, label_of

PAGE = "gallery.html"
ROOMS = 12
RULE = (
    f"Rollouts: of every way of training its first seed, at the first step, every {EVERY_STEPS}th and the last, with "
    "all rollouts of every question. Answers: for every claim about answers the first runs of the two models that it "
    f"compares, questions about the first {ROOMS} rooms of its set, and the questions that the verdicts' page cites."
)


def write_gallery(
    out: str | Path, citations: Mapping[str, Citations], folder: Path | str | None = None, links: Mapping | None = None
) -> Path:
    """Write the page of a study, the shipped one by default, into a folder, and return its path.

    Args:
        out: the folder.
        citations: of the claims whose answers are shown, by name.
        folder: the study's.
        links: text and address of links at the top.
    """
    shown = [
        *shown_rollouts(folder),
        *(shown_answers(found, folder) for found in citations.values() if found.conditions),
    ]
    about = "What models wrote in the study that ships with the kit: choose a run, a step and a question. " + RULE
    look = {"title": "Rollouts and answers of the study", "about": about, "links": links, "shown_as": "shipped"}
    return write_browser(shown, Path(out) / PAGE, **look)  # type: ignore[arg-type]


def shown_rollouts(folder: Path | str | None = None) -> list[Shown]:
    """The first run of every variant that kept rollouts, at the gallery's steps."""
    found = []
    for of in (known.name for known in all_variants()):
        runs = finished_runs(folder, of)
        if not runs or not (study_folder(folder) / runs[0] / "rollouts.parquet").is_file():
            continue
        rows = read_rollout_table(study_folder(folder) / runs[0])
        kept = np.flatnonzero(rows.frame["step"].isin(gallery_steps(rows.steps)))
        found.append(Shown(rows.part(kept), f"Rollouts of training, from the run {rows.name}."))
    return found


def shown_answers(found: Citations, folder: Path | str | None = None) -> Shown:
    """The answers that a claim compares: of both models, about the first rooms and the cited questions."""
    cited = {example.row["id"] for example in found.examples}
    rows: list[dict] = []
    for condition in reversed(found.conditions):  # what the other is compared with comes first
        own = condition_answers(condition, folder)
        rooms = set(_first(row["scene_name"] for row in own))
        label = label_of(condition.model, condition.mode + condition.asked_otherwise, condition.clip)
        rows += [_shown(row, label) for row in own if row["scene_name"] in rooms or row["id"] in cited]
    note = (
        f"Answers that the claim {found.claim} compares. The reward beside an answer is what GRPO would have paid; "
        "a verdict counts the lenient reader's score."
    )
    return Shown(RolloutTable(rows, run_name(found.claim)), note)


def _first(scenes: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(scenes))[:ROOMS]


def _shown(row: dict, label: str) -> dict:
    """A kept answer as the page lists it, with the reward that it would have been paid."""
    told = earned(row, label)
    return {name: value for name, value in told.items() if name not in ("rewards", "truncated")} | told["rewards"]


def run_name(claim: str) -> str:
    """What the page calls a claim's answers."""
    return f"claim {claim}"


def link(citations: Citations, cited: Cited) -> str:
    """The address at which the gallery opens on a cited answer or rollout."""
    if cited.step is not None:
        return link_to(PAGE, cited.run, cited.id, cited.step)
    return link_to(PAGE, run_name(citations.claim), cited.id)
