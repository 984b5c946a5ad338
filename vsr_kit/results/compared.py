"""The variants side by side: scores, looking, answers, what training cost, and how a repetition compares.

Left out: verdicts, which only `vsr_kit.results.verdicts` gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsr_kit.data import first_of_types
from vsr_kit.evaluation import Prediction, differences, intervals, predict, score
from vsr_kit.results.answers import Bands, answered, one_mean, said
from vsr_kit.results.trained import Answers, earned, run_summaries, trained_runs, variant_answers
from vsr_kit.study import BENCH, VARIANTS, Condition, variant

HEADLINE = ("grpo-vanilla", "sft", "dpo-corrupted", "dpo-rollouts")


@dataclass(frozen=True)
class RunCost:
    """What training a variant cost, means over its runs.

    Attributes:
        questions: asked, each as often as it came up.
        tokens: of prompts and completions as TRL counts them, every rollout with its whole prompt.
        seconds: on one core, making pairs included.
    """

    questions: float
    tokens: float
    seconds: float


def compared(
    variants: Sequence[str], folder: Path | str | None = None, mode: str | None = None, questions: str = BENCH
) -> dict[str, Bands]:
    """Scores of variants by task, over seeds and rooms; each asked in its own mode unless `mode` says otherwise.

    Variants without runs in the folder are left out.
    """
    there = [name for name in variants if trained_runs(folder, name)]
    return {name: one_mean(intervals(variant_answers(name, folder, questions, mode))) for name in there}


def gains(variants: Sequence[str], folder: Path | str | None = None, mode: str | None = None) -> dict[str, Bands]:
    """Variants minus the base asked with the vanilla prompt, paired by question; as `compared` otherwise."""
    there = [name for name in variants if trained_runs(folder, name)]
    base = said(Condition(BENCH), folder)
    return {name: one_mean(differences(variant_answers(name, folder, mode=mode), base)) for name in there}


def costs(variants: Sequence[str], folder: Path | str | None = None) -> dict[str, RunCost]:
    """What each variant that is there cost to train."""
    found = {}
    for name in variants:
        summaries = run_summaries(folder, name)
        if summaries:
            rows = [(s["questions"], s["tokens"], s["training seconds"] + s["preparation seconds"]) for s in summaries]
            found[name] = RunCost(*(float(v) for v in np.mean(rows, axis=0)))
    return found


def seed_gains(of: str, folder: Path | str | None = None) -> list[float]:
    """One value for each run of a variant: its score on the trained tasks minus the base's, in points."""
    base = score(said(Condition(BENCH), folder), "lenient").trained
    return [100 * (score(rows, "lenient").trained - base) for rows in variant_answers(of, folder)]


def repeated(folder: Path | str, shipped: Path | str | None = None) -> dict[str, tuple[float, Prediction]]:
    """A study of your own against the shipped one: each variant's mean gain over the base, and where it was expected.

    Variants of which a folder lacks runs are left out, and all of them where one lacks the base's answers.
    """
    if not (answered(Condition(BENCH), folder) and answered(Condition(BENCH), shipped)):
        return {}
    found = {}
    for name in (known.name for known in VARIANTS):
        if trained_runs(folder, name) and len(trained_runs(shipped, name)) > 1:
            own = seed_gains(name, folder)
            found[name] = float(np.mean(own)), predict(seed_gains(name, shipped), len(own))
    return found


def looking(variants: Sequence[str], folder: Path | str | None = None) -> dict[str, tuple[Bands, Bands]]:
    """Whether a variant looks: its own clip minus another room's clip, and that gap minus the base's, in points.

    Variants that were not asked with other rooms' clips are left out.
    """
    base, base_wrong = (said(Condition(BENCH, clip=clip), folder) for clip in ("own", "wrong"))
    found = {}
    for name in variants:
        runs = trained_runs(folder, name)
        if runs and all(answered(Condition(BENCH, run, variant(name).mode, clip="wrong"), folder) for run in runs):
            own, wrong = (variant_answers(name, folder, clip=clip) for clip in ("own", "wrong"))
            gap = one_mean(differences(own, wrong, same_seeds=True))
            found[name] = gap, one_mean(Answers(base, base_wrong, own, wrong).gap_growth)
    return found


def side_by_side(
    variants: Sequence[str],
    folder: Path | str | None = None,
    types: Sequence[str] | None = None,
    per_type: int = 1,
    mode: str = "vanilla",
) -> list[dict]:
    """The base, asked in `mode`, and each variant's first run, asked in its own, on the same questions.

    They come one after another as `plots.traces` takes them. The first questions of each type are taken: not chosen by
    how they came out.
    """
    said_by = {"base": said(Condition(BENCH, mode=mode), folder)}
    said_by |= {name: variant_answers(name, folder)[0] for name in variants if trained_runs(folder, name)}
    answers = {name: {row["id"]: row for row in rows} for name, rows in said_by.items()}
    firsts = first_of_types(said_by["base"], per_type, types)
    return [earned(answers[name][row["id"]], name) for row in firsts for name in answers]
