"""How a claim is measured: from a study's evidence to named findings, which the claim's own rule then looks at.

A measure is a function of one argument, the evidence (`study.evidence.Evidence`): answers of base and trained runs,
and the curves that trainings logged. Each function here makes one: a paired difference of answers, or a count of runs
whose logs show something. A claim is measured on the runs that are there, and says how many they are.
Left out: claims that nothing here can measure; their `measure` is None and their verdict *not testable here*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

from vsr_kit.claims.rules import Count, Finding, Measure
from vsr_kit.evaluation import difference, gap_change
from vsr_kit.training.collapse import collapsed, running_mean

Log = Sequence[Mapping]  # one run's log rows
Shows = Callable[[Log], bool]
_RISE = 0.9


class Evidence(Protocol):
    """What measures read of a study; `study.evidence.Evidence` is one."""

    def base(self, mode: str = "vanilla", clip: str = "own", questions: str | None = None) -> list[dict]:
        """The untrained model's answers: rows with `prediction`."""

    def trained(self, of: str, clip: str = "own", questions: str | None = None) -> list[list[dict]]:
        """The answers of a variant's runs, one list a seed, each asked in its own mode."""

    def test_set(self, of: str) -> str:
        """The question set by which a variant is judged."""

    def curves(self, of: str) -> list[Log]:
        """What a variant's runs logged, one list a seed; FileNotFoundError where there is no run."""

    def summaries(self, of: str) -> list[Mapping]:
        """The headline figures of a variant's runs."""

    def centre_answers(self) -> Finding:
        """What perfect centre-to-centre distances score where closest points are asked, from geometry alone."""


def minus(name: str, after: str, before: str, task: str = "trained", questions: str | None = None) -> Measure:
    """The difference between two variants, or a variant and the `base`, each asked in its own mode, in points.

    Args:
        name: of the finding.
        after, before: variants by name; `before` may be `base`, asked in vanilla mode.
        task: one task, `trained` for the mean of the six trained ones, or `multi_step` for that of multi-step types.
        questions: name of the question set; by default that by which `after` is judged.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        about = questions or evidence.test_set(after)
        other = evidence.base(questions=about) if before == "base" else evidence.trained(before, questions=about)
        return {name: difference(evidence.trained(after, questions=about), other, task=task)}

    return measure


def prompts_minus(before: str, *modes: str, task: str = "trained") -> Measure:
    """The untrained model asked in some modes minus the same model asked in another, one finding a mode."""

    def measure(evidence: Evidence) -> dict[str, Finding]:
        return {mode: difference(evidence.base(mode), evidence.base(before), task=task) for mode in modes}

    return measure


def gap_growth(name: str, of: str, task: str = "trained") -> Measure:
    """What training added to the gap between the own clip and another room's clip, in points."""

    def measure(evidence: Evidence) -> dict[str, Finding]:
        about = evidence.test_set(of)
        after = evidence.trained(of), evidence.trained(of, clip="wrong")
        before = [evidence.base(questions=about)], [evidence.base(clip="wrong", questions=about)]
        return {name: gap_change(after, before)[task]}

    return measure


def runs_that(name: str, shows: Shows, *variants: str) -> Measure:
    """How many runs of the variants have logs that show something."""

    def measure(evidence: Evidence) -> dict[str, Finding]:
        shown = [shows(rows) for of in variants for rows in evidence.curves(of)]
        return {name: Count(sum(shown), len(shown))}

    return measure


def collapses(name: str, of: str, rewards: Sequence[str], window: int, fall: float) -> Measure:
    """How many runs of a variant fell for good in one of the rewards, or were stopped by a number that is none.

    Args:
        rewards: names of reward functions, as in `rewards/<name>/mean` of the log.
        window, fall: see `training.collapse.collapsed`.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        runs = zip(evidence.curves(of), evidence.summaries(of), strict=True)
        down = [
            number_broke(summary) or any(collapsed(reward_curve(rows, reward), window, fall) for reward in rewards)
            for rows, summary in runs
        ]
        return {name: Count(sum(down), len(down))}

    return measure


def all_of(*measures: Measure) -> Measure:
    """The findings of several measures together."""

    def measure(evidence: Evidence) -> dict[str, Finding]:
        return {name: found for part in measures for name, found in part(evidence).items()}

    return measure


# -- what a log can show -----------------------------------------------------------------------------------------------


def reward_curve(rows: Log, name: str) -> list[float]:
    """A run's mean reward of one kind, or a detector's share, step by step."""
    key = f"rewards/{name}/mean"
    return [row[key] for row in rows if row.get(key) is not None]


def number_broke(summary: Mapping) -> bool:
    """Whether a run was stopped by a loss, gradient, KL or weight that is no finite number.

    `callbacks.StopWhenBroken` also ends a run whose KL is finite and stays high; of that its curves tell.
    """
    return "not finite" in (summary.get("stopped") or "")


def habit(*detectors: str, at_least: float, last_steps: int) -> Shows:
    """Whether one of the detectors marks at least a share of the rollouts in a run's last steps.

    What is returned raises ValueError for a log without the detectors: nothing counted is not nothing there.
    """

    def shows(rows: Log) -> bool:
        shares = {name: reward_curve(rows, name)[-last_steps:] for name in detectors}
        for name, values in shares.items():
            if len(values) < last_steps:
                raise ValueError(
                    f"a log has {len(values)} steps with rewards/{name}/mean and the claim looks at the last "
                    f"{last_steps}: train with it (vsr train --detector {name}), for as many steps at least"
                )
        return any(np.mean(values) >= at_least for values in shares.values())

    return shows


def starts_at(reward: str, at_least: float, first_steps: int) -> Shows:
    """Whether a reward's mean over a run's first steps is that high already."""
    return lambda rows: bool(np.mean(reward_curve(rows, reward)[:first_steps]) >= at_least)


def rises_before(first: str, second: str, window: int) -> Shows:
    """Whether one reward has risen in at most half the steps that another takes."""

    def shows(rows: Log) -> bool:
        early, late = (_steps_to_rise(reward_curve(rows, name), window) for name in (first, second))
        return early is not None and late is not None and early <= late / 2

    return shows


def _steps_to_rise(values: Sequence[float], window: int) -> int | None:
    """Steps until the running mean has made nine tenths of its way to its best; None where it never rises."""
    means = running_mean(values, window)
    if not len(means) or max(means) <= means[0]:
        return None
    return next(i for i, mean in enumerate(means) if mean >= means[0] + _RISE * (max(means) - means[0]))
