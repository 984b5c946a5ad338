"""The base with three prompts: scores, what became of the answers, best of k, and the lines to beat.

Left out: trained models.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vsr_kit.evaluation import (
    best_of_k_curve,
    best_of_k_table,
    draws_from_training_answers,
    intervals,
    most_frequent_answer,
    score,
)
from vsr_kit.results.answers import Bands, all_draws, answered, one_mean, said, training_answers
from vsr_kit.study import BENCH, SAMPLES, Condition

MODES = ("think", "observe", "vanilla")  # in the order of the paper's table


def cot_table(folder: Path | str | None = None, harness: str = "lenient", sampled: bool = False) -> dict[str, Bands]:
    """Scores of the base with each of the three prompts: greedy, or the mean over draws at temperature 1."""
    answers = mode_answers(folder, sampled)
    tables = {m: best_of_k_table(rows, 1, harness) if sampled else score(rows, harness) for m, rows in answers.items()}
    return {mode: one_mean(intervals(table)) for mode, table in tables.items()}


def mode_answers(
    folder: Path | str | None = None, sampled: bool = False, questions: str = BENCH
) -> dict[str, list[dict]]:
    """The base's answers with each prompt: greedy, or all draws one after another."""
    if sampled:
        return {mode: all_draws(Condition(questions, mode=mode, samples=SAMPLES), folder) for mode in MODES}
    return {mode: said(Condition(questions, mode=mode), folder) for mode in MODES}


def lines_to_beat(folder: Path | str | None = None, questions: str = BENCH) -> dict[str, Bands]:
    """Scores that need no understanding: `frequent`, `no_video` and `wrong_clip`, by the names the plots use.

    The two that ask the base (vanilla, greedy) are there where the study asked it so.
    """
    rows = said(Condition(questions), folder)
    sets = {"frequent": most_frequent_answer(training_answers(rows[0]["phrasing"], folder), rows)}
    blind = {"no_video": Condition(questions, clip="none"), "wrong_clip": Condition(questions, clip="wrong")}
    sets |= {name: said(c, folder) for name, c in blind.items() if answered(c, folder)}
    return {name: one_mean(intervals(found)) for name, found in sets.items()}


def answer_shares(rows: Sequence[dict], harness: str = "lenient") -> dict[str, int]:
    """How many answers were right, partly right, wrong, not readable, or cut off by the cap, whatever they said."""
    counts = dict.fromkeys(("right", "partly", "wrong", "unparsed", "cut"), 0)
    for row, own in zip(rows, score(rows, harness).scores, strict=True):
        read = "right" if own.value == 1 else "partly" if own.value > 0 else "wrong"
        counts["cut" if row.get("truncated") else read if own.parsed else "unparsed"] += 1
    return counts


def truncated_percent(rows: Sequence[dict]) -> float:
    """The share of answers that the token cap cut off, in per cent."""
    return 100 * sum(bool(row["truncated"]) for row in rows) / len(rows)


def tries_table(
    folder: Path | str | None = None, ks: Sequence[int] = (1, 2, 4, 8)
) -> tuple[dict[str, dict[int, tuple]], dict[str, dict[int, tuple]]]:
    """Mean best of k draws, mean of the trained tasks, as (value, low, high) by k.

    Returns:
        One curve for each prompt, and the same for k draws from the training answers: {name: {k: band}} each.
    """
    draws = mode_answers(folder, sampled=True)
    asked = draws[MODES[0]][: len(draws[MODES[0]]) // SAMPLES]
    blind = draws_from_training_answers(training_answers(asked[0]["phrasing"], folder), asked, SAMPLES)
    modes = {mode: _tries(rows, ks) for mode, rows in draws.items()}
    return modes, {"draws from training answers": _tries(blind, ks)}


def _tries(rows: list[dict], ks: Sequence[int]) -> dict[int, tuple]:
    return {k: found.band[:3] for k, found in best_of_k_curve(rows, ks)["trained"].items()}
