"""The published systems whose recipes the kit has, in three tables: what each is, its KL term, and what it is worth.

A recipe says of its system what no run can tell: title, source, mechanism, the published weight of the KL term. All
else is computed from the study: which runs are there, which verdicts they gave, what they cost, and by how much the
recipe differs from its control.
Left out: why a system should work; a recipe's own file and its notebook section say that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vsr_kit.claims.recipe import Recipe, System
from vsr_kit.evaluation import Interval
from vsr_kit.recipes import recipes
from vsr_kit.study.answers import finished_runs
from vsr_kit.study.comparisons import run_costs
from vsr_kit.study.judge import NOT_RUN, Verdict, verdicts
from vsr_kit.study.summary import ruled

_NOTEBOOKS = "notebooks"


@dataclass(frozen=True)
class SystemRow:
    """What the study knows of one system.

    Attributes:
        recipe, system: the two records.
        runs: training runs that are there, and runs that the recipe asks for.
        verdicts: on those claims of the recipe that have one, in the recipe's order.
        claims: how many it has.
    """

    recipe: Recipe
    system: System
    runs: tuple[int, int]
    verdicts: tuple[Verdict, ...]
    claims: int

    @property
    def status(self) -> str:
        """Whether its runs are there, in words."""
        have, asked = self.runs
        if not asked:
            return "no training" if self.verdicts else NOT_RUN
        return f"{have} runs" if have == asked else f"{have} of {asked} runs"

    @property
    def outcome(self) -> str:
        """Its verdicts, counted: `2 reproduced, 1 undecided`."""
        counts = Counter(verdict.verdict.partition(":")[0] for verdict in self.verdicts)
        if missing := self.claims - len(self.verdicts):
            counts[NOT_RUN] = missing
        return ", ".join(f"{count} {word}" for word, count in counts.items())


@dataclass(frozen=True)
class SystemDifference:
    """How far a recipe is from its control, by the first difference of the claim that its `System` names.

    Attributes:
        recipe, claim, finding: by name.
        interval: of the recipe minus its control, with the ends that the claim's rule looks at.
        verdict: of that claim.
        tokens: that a run of the recipe took, a mean over its runs; None where nothing was trained.
    """

    recipe: str
    claim: str
    finding: str
    interval: Interval
    verdict: str
    tokens: float | None


def system_rows(folder: Path | str | None = None) -> list[SystemRow]:
    """A row for each recipe that is about a published system, in the order of the recipes."""
    found = verdicts(folder)
    return [_row(recipe, recipe.system, found, folder) for recipe in recipes() if recipe.system is not None]


def _row(recipe: Recipe, system: System, found, folder) -> SystemRow:
    asked = sum(len(variant.seeds) for variant in recipe.variants)
    have = sum(len(finished_runs(folder, variant.name)) for variant in recipe.variants)
    own = tuple(found[claim.name] for claim in recipe.claims if claim.name in found)
    return SystemRow(recipe, system, (have, asked), own, len(recipe.claims))


def system_table(folder: Path | str | None = None) -> str:
    """Markdown: every system with what its recipe switches on, a command, its notebook, its runs and its verdicts."""
    head = ("system", "what is switched on", "try it", "notebook", "runs", "verdicts")
    return _markdown(head, [_cells(row) for row in system_rows(folder)])


def _cells(row: SystemRow) -> tuple[str, ...]:
    system = row.system
    link = f"[{system.section.partition('_')[0]}]({_NOTEBOOKS}/{system.section}.ipynb)"
    return _titled(system), system.mechanism, f"`{system.try_it}`", link, row.status, row.outcome


def kl_table() -> str:
    """Markdown: the weight of the KL term as each system published it, and in this kit's runs of it."""
    known = [recipe.system for recipe in recipes() if recipe.system is not None]
    rows = [(_titled(system), system.kl, system.kl_here) for system in known]
    return _markdown(("system", "KL weight as published", "here"), rows)


def _titled(system: System) -> str:
    number = system.source.removeprefix("arXiv ")
    return f"[{system.title}](https://arxiv.org/abs/{number})"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def system_differences(folder: Path | str | None = None) -> list[SystemDifference]:
    """How far each system's recipe is from its control, the largest difference first.

    Only differences in points are here, since others have no common axis. A recipe without one is left out.
    """
    found = [shown for row in system_rows(folder) if (shown := _difference(row, folder)) is not None]
    return sorted(found, key=lambda shown: -shown.interval.mean)


def _difference(row: SystemRow, folder) -> SystemDifference | None:
    system = row.system
    drawn = system.drawn or row.recipe.claims[0].name
    verdict = next((own for own in row.verdicts if own.claim.name == drawn), None)
    if verdict is None:
        return None
    bands = {name: band for name, band in ruled(verdict).items() if band.unit == "points"}
    if not bands:
        return None
    name, band = next(iter(bands.items()))
    if system.turned:
        band, name = replace(band, mean=-band.mean, low=-band.high, high=-band.low), _turned(name)
    cost = run_costs([system.trained], folder).get(system.trained) if system.trained else None
    tokens = None if cost is None else cost.tokens
    return SystemDifference(row.recipe.name, verdict.claim.name, name, band, verdict.verdict, tokens)


def _turned(name: str) -> str:
    """`a_minus_b` becomes `b_minus_a`."""
    return "_minus_".join(reversed(name.split("_minus_")))
