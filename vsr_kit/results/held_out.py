"""The two tasks that nobody trained: scores of base and trained models, and what a letter alone earns there.

Route planning is asked about the test rooms, appearance order about ten times as many, where the study did so.
Left out: the most frequent training answer, since no training set has these tasks; the most frequent letter is counted
on the test itself, as VSI-Bench does, which flatters it a little.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vsr_kit.evaluation import intervals
from vsr_kit.results.answers import Bands, answered, said
from vsr_kit.results.prompting import MODES
from vsr_kit.results.trained import trained_runs, variant_answers
from vsr_kit.study import HELD_OUT, ORDER, Condition, variant

ASKED_IN = {"route_planning": HELD_OUT, "obj_appearance_order": ORDER}


def held_out_table(variants: Sequence[str], folder: Path | str | None = None) -> dict[str, Bands]:
    """Scores on each held-out task: the base with each prompt, and each variant that is there in its own mode.

    A task that a row's models were not asked is left out of it.
    """
    table: dict[str, Bands] = {}
    for mode in MODES:
        sets = {task: Condition(questions, mode=mode) for task, questions in ASKED_IN.items()}
        there = {task: [said(c, folder)] for task, c in sets.items() if answered(c, folder)}
        table[f"base, {mode}"] = _bands(there)
    for name in variants:
        runs, mode = trained_runs(folder, name), variant(name).mode
        there = {
            task: variant_answers(name, folder, questions)
            for task, questions in ASKED_IN.items()
            if runs and all(answered(Condition(questions, run, mode), folder) for run in runs)
        }
        table |= {name: _bands(there)} if there else {}
    return table


def letter_lines(folder: Path | str | None = None) -> dict[str, dict[str, float]]:
    """Per cent by task that need no model: always the task's most frequent letter, and any option at random."""
    lines: dict[str, dict[str, float]] = {"most frequent letter": {}, "any option at random": {}}
    for task, questions in ASKED_IN.items():
        if answered(Condition(questions), folder):
            rows = [row for row in said(Condition(questions), folder) if row["question_type"] == task]
            truths = Counter(row["ground_truth"] for row in rows)
            lines["most frequent letter"][task] = 100 * max(truths.values()) / len(rows)
            lines["any option at random"][task] = 100 * float(np.mean([1 / len(row["options"]) for row in rows]))
    return lines


def _bands(sets: dict[str, list[list[dict]]]) -> Bands:
    return {task: intervals(answers)[task] for task, answers in sets.items()}
