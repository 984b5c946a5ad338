"""Variants compared: scores, clip gaps, answers, training costs, and the tasks that no run trained.

`held_out_table` has the two tasks that no run trained. Route planning is asked about the test rooms, appearance order
about ten times as many, where the study asked it. The baseline there is the most frequent letter, since no training set
has these tasks; it is counted on the test itself, as VSI-Bench does, which flatters it a little.

`repeated` compares a repetition of the study with the interval in which it should land.

Left out: the paper's 7B models, and verdicts, which only judge.py gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vsr_kit.claims.recipe import BENCH_SET, HELD_OUT_SET, ORDER_SET, Condition
from vsr_kit.data import first_of_types
from vsr_kit.evaluation import ReplicationInterval, differences, intervals, replication_interval
from vsr_kit.recipes import all_variants, untrained_pass, variant
from vsr_kit.study.answers import (
    MODES,
    Answers,
    Bands,
    answered,
    condition_answers,
    drop_repeated_mean,
    earned,
    run_summaries,
    scored,
    trained_runs,
    variant_answers,
)

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


def variant_scores(
    variants: Sequence[str], folder: Path | str | None = None, mode: str | None = None, questions: str | None = None
) -> dict[str, Bands]:
    """Scores of variants by task, over seeds and rooms; each asked in its own mode unless `mode` says otherwise.

    The questions are those by which each is judged (`Variant.test_set`), unless a question set is named.

    Variants without runs in the folder are left out.
    """
    there = [name for name in variants if trained_runs(folder, name)]
    return {
        name: drop_repeated_mean(intervals(variant_answers(name, folder, questions, mode, read=scored)))
        for name in there
    }


def gains(variants: Sequence[str], folder: Path | str | None = None, mode: str | None = None) -> dict[str, Bands]:
    """Variants minus their untrained model asked with the vanilla prompt (`untrained_pass`), paired by question.

    Variants without runs in the folder are left out.
    """
    there = [name for name in variants if trained_runs(folder, name)]
    after = {name: variant_answers(name, folder, mode=mode, read=scored) for name in there}
    return {
        name: drop_repeated_mean(differences(own, scored(untrained_pass(name), folder))) for name, own in after.items()
    }


def run_costs(variants: Sequence[str], folder: Path | str | None = None) -> dict[str, RunCost]:
    """What each variant that is there cost to train."""
    found = {}
    for name in variants:
        summaries = run_summaries(folder, name)
        if summaries:
            rows = [(s["questions"], s["tokens"], s["training seconds"] + s["preparation seconds"]) for s in summaries]
            found[name] = RunCost(*(float(v) for v in np.mean(rows, axis=0)))
    return found


def seed_gains(of: str, folder: Path | str | None = None) -> list[float]:
    """One value for each run of a variant: its score on the trained tasks minus its untrained model's, in points."""
    base = scored(untrained_pass(of), folder).trained
    return [100 * (table.trained - base) for table in variant_answers(of, folder, read=scored)]


def repeated(folder: Path | str, shipped: Path | str | None = None) -> dict[str, tuple[float, ReplicationInterval]]:
    """A study of your own against the shipped one: each variant's mean gain, and where it was expected.

    A gain is counted from the untrained model that the variant begins with. Variants of which a folder lacks runs, or
    that model's answers, are left out.
    """
    found = {}
    for name in (known.name for known in all_variants()):
        begun = all(answered(untrained_pass(name), each) for each in (folder, shipped))
        if begun and trained_runs(folder, name) and len(trained_runs(shipped, name)) > 1:
            own = seed_gains(name, folder)
            found[name] = float(np.mean(own)), replication_interval(seed_gains(name, shipped), len(own))
    return found


def clip_gaps(variants: Sequence[str], folder: Path | str | None = None) -> dict[str, tuple[Bands, Bands]]:
    """Whether a variant looks: its own clip minus another room's clip, and that gap minus the base's, in points.

    Variants that were not asked with other rooms' clips are left out.
    """
    base, base_wrong = (scored(Condition(BENCH_SET, clip=clip), folder) for clip in ("own", "wrong"))
    found = {}
    for name in variants:
        runs = trained_runs(folder, name)
        if runs and all(answered(variant(name).condition(run, BENCH_SET, clip="wrong"), folder) for run in runs):
            own, wrong = (variant_answers(name, folder, clip=clip, read=scored) for clip in ("own", "wrong"))
            gap = drop_repeated_mean(differences(own, wrong, same_seeds=True))
            found[name] = gap, drop_repeated_mean(Answers(base, base_wrong, own, wrong).gap_growth)
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
    said_by = {"base": condition_answers(Condition(BENCH_SET, mode=mode), folder)}
    said_by |= {name: variant_answers(name, folder)[0] for name in variants if trained_runs(folder, name)}
    answers = {name: {row["id"]: row for row in rows} for name, rows in said_by.items()}
    firsts = first_of_types(said_by["base"], per_type, types)
    return [earned(answers[name][row["id"]], name) for row in firsts for name in answers]


ASKED_IN = {"route_planning": HELD_OUT_SET, "obj_appearance_order": ORDER_SET}


def held_out_table(variants: Sequence[str], folder: Path | str | None = None) -> dict[str, Bands]:
    """Scores on each held-out task: the base with each prompt, and each variant that is there in its own mode.

    A task that a row's models were not asked is left out of it.
    """
    table: dict[str, Bands] = {}
    for mode in MODES:
        sets = {task: Condition(questions, mode=mode) for task, questions in ASKED_IN.items()}
        there = {task: [condition_answers(c, folder)] for task, c in sets.items() if answered(c, folder)}
        table[f"base, {mode}"] = _bands(there)
    for name in variants:
        runs = trained_runs(folder, name)
        there = {
            task: variant_answers(name, folder, questions)
            for task, questions in ASKED_IN.items()
            if runs and all(answered(variant(name).condition(run, questions), folder) for run in runs)
        }
        table |= {name: _bands(there)} if there else {}
    return table


def letter_lines(folder: Path | str | None = None) -> dict[str, dict[str, float]]:
    """Per cent by task that need no model: always the task's most frequent letter, and any option at random."""
    lines: dict[str, dict[str, float]] = {"most frequent letter": {}, "any option at random": {}}
    for task, questions in ASKED_IN.items():
        if answered(Condition(questions), folder):
            rows = [row for row in condition_answers(Condition(questions), folder) if row["question_type"] == task]
            truths = Counter(row["ground_truth"] for row in rows)
            lines["most frequent letter"][task] = 100 * max(truths.values()) / len(rows)
            lines["any option at random"][task] = 100 * float(np.mean([1 / len(row["options"]) for row in rows]))
    return lines


def _bands(sets: dict[str, list[list[dict]]]) -> Bands:
    return {task: intervals(answers)[task] for task, answers in sets.items()}
