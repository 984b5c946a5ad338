"""How a claim is measured: from a study's evidence to named findings, which the claim's own rule then looks at.

A measure is a function of one argument, the evidence (`study.evidence.Evidence`): answers of base and trained runs,
and the curves that trainings logged. Each function here makes one: a paired difference of answers, or a count of runs
whose logs show something. A claim is measured on the runs that are there, and says how many they are.
A measure that compares answers also says which ones, as `Compared`, so that examples of what it found can be cited.
Left out: claims that nothing here can measure; their `measure` is None and their verdict *not testable here*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vsr_kit.claims.rules import Count, Finding, Measure
from vsr_kit.evaluation import difference, gap_change
from vsr_kit.training.collapse import collapsed, running_mean

Log = Sequence[Mapping]  # one run's log rows
Shows = Callable[[Log], bool]
_RISE = 0.9


class Evidence(Protocol):
    """What measures read of a study; `study.evidence.Evidence` is one."""

    def base(self, mode: str = "vanilla", clip: str = "own", questions: str | None = None, **how) -> list[dict]:
        """An untrained model's answers: rows with `prediction`; `how` has `model`, `cap` and `prompt_set`."""

    def texts(self, mode: str, questions: str, model: str = "base", **how) -> list[dict]:
        """An untrained model's answers as rows with `prediction`, whatever `base` gives."""

    def trained(
        self, of: str, clip: str = "own", questions: str | None = None, mode: str | None = None
    ) -> list[list[dict]]:
        """The answers of a variant's runs, one list a seed, each asked in its own mode unless another is named."""

    def trained_texts(self, of: str, questions: str | None = None, mode: str | None = None) -> list[list[dict]]:
        """The answers of a variant's runs about the own clips as rows with `prediction`, one list a seed."""

    def sides(self, after: str, before: str, questions: str | None = None, **how) -> tuple:
        """The answers of both sides of a difference; `how` has the `mode`, `cap` and `prompt_set` of untrained ones."""

    def draws(self, of: str, questions: str | None = None, mode: str | None = None) -> list[list[list[dict]]]:
        """The sampled answers of a variant's runs, or of the base's one run: for each seed a list for each draw."""

    def runs(self, of: str) -> tuple[str, ...]:
        """Names of a variant's runs, by seed; `texts` takes them as models, too."""

    def test_set(self, of: str) -> str:
        """The question set by which a variant is judged."""

    def curves(self, of: str) -> list[Log]:
        """What a variant's runs logged, one list a seed; FileNotFoundError where there is no run."""

    def summaries(self, of: str) -> list[Mapping]:
        """The headline figures of a variant's runs."""

    def object_scores(self) -> Any:
        """How surely models say that objects are in the test rooms, a `study.object_scores.ObjectScores`."""

    def centre_answers(self) -> Finding:
        """What perfect centre-to-centre distances score where closest points are asked, from geometry alone."""


@dataclass(frozen=True)
class Compared:
    """Which answers a measure compares, of those that it reads: what examples are chosen from.

    Attributes:
        after, before: places of the two sides among the sets of answers, in the order in which they are read.
        task: as `minus` takes it; questions of other tasks show nothing.
        halves: one set of answers is read, and its shorter half is compared with its longer one.
    """

    after: int = 0
    before: int = 1
    task: str = "overall"
    halves: bool = False


def comparing(measure: Measure, compared: Compared) -> Measure:
    """The measure, which says what it compares."""
    measure.compared = compared  # type: ignore[attr-defined]
    return measure


def compared_by(measure: Measure) -> Compared:
    """What a measure compares: the first two sets of answers that it reads, unless it says otherwise."""
    return getattr(measure, "compared", Compared())


def minus(
    name: str,
    after: str,
    before: str,
    task: str = "trained",
    questions: str | None = None,
    *,
    mode: str | None = None,
    cap: int | None = None,
    prompt_set: str | None = None,
) -> Measure:
    """The difference between two models, paired by question, in points: variants, each asked as it says, or untrained.

    Against a model that was not trained here, which has no seeds, the interval is over the rooms and the seeds of the
    other side; Student's too, from the variance between these seeds and that between rooms.

    Args:
        name: of the finding.
        after, before: variants, `base` or shipped checkpoints, by name.
        task: one task, `trained` for the mean of the six trained ones, or `multi_step` for that of multi-step types.
        questions: name of the question set; by default that by which `after` is judged, or `before` where `after` is
            untrained.
        mode, cap, prompt_set: of untrained models. By default a checkpoint is asked as the variant on the other side,
            and so is the base where that variant has prompts or a cap of its own; else both as the study asks, in
            vanilla mode.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        own, other = evidence.sides(after, before, questions, mode=mode, cap=cap, prompt_set=prompt_set)
        return {name: difference(own, other, task=task)}

    return comparing(measure, Compared(task=task))


def prompts_minus(
    before: str,
    *modes: str,
    task: str = "trained",
    questions: str | None = None,
    model: str = "base",
    cap: int | None = None,
    prompt_set: str = "eval",
) -> Measure:
    """An untrained model asked in some modes minus the same model asked in another, one finding a mode.

    Args:
        before, modes: vanilla, think or observe.
        task, questions: as `minus` takes them.
        model: `base`, or the name of a shipped checkpoint.
        cap, prompt_set: of all modes, as a `Condition` has them.
    """

    def measure(evidence: Evidence) -> dict[str, Finding]:
        told = {m: evidence.base(m, "own", questions, model=model, cap=cap, prompt_set=prompt_set) for m in modes}
        other = evidence.base(before, "own", questions, model=model, cap=cap, prompt_set=prompt_set)
        return {mode: difference(own, other, task=task) for mode, own in told.items()}

    return comparing(measure, Compared(0, -1, task))  # the mode that all others are compared with is read last


def gap_growth(name: str, of: str, task: str = "trained") -> Measure:
    """What training added to the gap between the own clip and another room's clip, in points."""

    def measure(evidence: Evidence) -> dict[str, Finding]:
        about = evidence.test_set(of)
        after = evidence.trained(of), evidence.trained(of, clip="wrong")
        before = [evidence.base(questions=about)], [evidence.base(clip="wrong", questions=about)]
        return {name: gap_change(after, before)[task]}

    return comparing(measure, Compared(task=task))  # the trained model with its own clip and with another


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

    return comparing(measure, compared_by(measures[0]))


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
