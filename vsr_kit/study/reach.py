"""The reach of a result: the model and the rooms on which it was measured, in words that accompany every verdict.

"Reproduced" alone would be understood as a statement about the paper's model on the paper's rooms, neither of which was
used here. So a verdict is always given with its reach, which is computed from what was measured: the data sets of the
rows behind its intervals, the profile of the runs, and the number of runs.
Left out: whether a result would hold elsewhere, for which answers from there are needed (`vsr_kit.study.real_rooms`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vsr_kit.claims import Claim, Count, Finding
from vsr_kit.claims.recipe import BENCH_SET, Condition
from vsr_kit.evaluation import Interval
from vsr_kit.recipes import RECIPES, variant
from vsr_kit.study.answers import condition_answers
from vsr_kit.study.question_sets import ROOMS

MODELS = {
    "mini": "the miniature (3.3M parameters)",
    "mini-cold-start": "the miniature after its cold start (3.3M parameters)",
}
NO_MODEL = "geometry alone"
DATASETS = {"procedural": "procedural", "arkitscenes": "ARKitScenes", "scannet": "ScanNet", "scannetpp": "ScanNet++"}


@dataclass(frozen=True)
class Reach:
    """What a result was measured on; each part in words.

    Attributes:
        model: that answered.
        rooms: that it was asked about, or trained on where a claim looks at its training.
        runs: how many trained models stand behind it; empty for the base alone.
    """

    model: str
    rooms: str
    runs: str = ""

    def __str__(self) -> str:
        return ", ".join(part for part in (self.model, self.rooms, self.runs) if part)


def reach_of(claim: Claim, found: Mapping[str, Finding], runs: Mapping[str, tuple[int, int]]) -> Reach:
    """The reach of a claim's findings; of a claim without any, what it would be measured on.

    Args:
        found: what was measured, by name.
        runs: for each variant that the claim needs, how many runs are there and how many it asks for.
    """
    bands = [finding for finding in found.values() if not isinstance(finding, Count)]
    model, rooms = (NO_MODEL, "ARKitScenes rooms") if claim.geometry_only else (_model(claim), "procedural rooms")
    if asked := [band for band in bands if band.rooms]:
        rooms = rooms_in_words(asked)
    elif found:
        rooms = "trained on " + _training_rooms(claim)
    return Reach(model, rooms, _runs(bands, runs) if found else "")


def rooms_in_words(bands: Iterable[Interval]) -> str:
    """How many rooms of which data sets intervals rest on: `120 procedural rooms`."""
    bands = list(bands)
    counts = sorted({band.rooms for band in bands})
    sets = sorted({dataset for band in bands for dataset in band.datasets})
    number = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return " ".join([number, *[" and ".join(DATASETS.get(name, name) for name in sets)] * bool(sets), "rooms"])


def rooms_asked(folder: Path | str | None = None) -> str:
    """The model and the test rooms that a study's scores speak of, in words."""
    rooms = {(row["dataset"], row["scene_name"]) for row in condition_answers(Condition(BENCH_SET), folder)}
    names = " and ".join(sorted({DATASETS.get(dataset, dataset) for dataset, _ in rooms}))
    return f"{MODELS['mini']}, {len(rooms)} {names} rooms"


def _model(claim: Claim) -> str:
    models = {variant(name).profile.model for name in claim.needs} | set(claim.untrained) or {"mini"}
    return " and ".join(MODELS.get(name, name) for name in sorted(models))


def _training_rooms(claim: Claim) -> str:
    splits = {variant(name).questions.partition("-")[0] for name in claim.needs}
    if not splits <= ROOMS.keys():  # a recipe's own question sets; the kit's own recipes ask about procedural rooms
        own = {known.name for recipe in RECIPES for known in recipe.variants}
        return ("procedural " if own.issuperset(claim.needs) else "") + "rooms of its own"
    counts = sorted({ROOMS[split] for split in splits})
    return f"{' and '.join(map(str, counts))} procedural rooms"


def _runs(bands: Iterable[Interval], runs: Mapping[str, tuple[int, int]]) -> str:
    trained = [have for have, _ in runs.values()]
    if not trained:
        return ""
    counts = " and ".join(map(str, dict.fromkeys(trained)))
    return f"{counts} seeds" if list(bands) else f"{counts} runs" + " each" * (len(trained) > 1)
