"""Which runs are seeds of one training: those of the same name with the same settings.

The seed itself is recorded beside the settings. A study writes it into the name, too (`grpo-vanilla-seed1`), where it
is left out before names are compared.
Left out: runs of different code or machines, which versions.json would tell apart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from vsr_kit.paths import data_samples
from vsr_kit.runs.reading import RecordedRun


def name_without_seed(run: RecordedRun) -> str:
    """A run's name, without the ending that says its seed."""
    return run.name.removesuffix(f"-seed{run.seed}") or run.name


Run = TypeVar("Run", bound=RecordedRun)


def by_seeds(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Runs by the training that they are seeds of, in the order given.

    A training is called by its runs' name; where several of that name differ in their settings, by the folder of its
    first run.
    """
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        settings = json.dumps(run.config["config"], sort_keys=True)
        found.setdefault((name_without_seed(run), settings), []).append(run)
    names = [name for name, _ in found]
    called: dict[str, list[Run]] = {}
    for (name, _), seeds in found.items():
        wanted = name if names.count(name) == 1 else seeds[0].path.name
        free = (wanted if i == 1 else f"{wanted} ({i})" for i in range(1, len(found) + 2))
        called[next(each for each in free if each not in called)] = seeds
    return called


def is_shipped(run: RecordedRun) -> bool:
    """Whether a run is one of those that come with the kit."""
    try:
        return Path(run.path).resolve().is_relative_to(data_samples().resolve())
    except FileNotFoundError:  # a copy of the kit without them
        return False
