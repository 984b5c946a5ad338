"""The four measures of LR²Bench (arXiv 2502.17848) over answers to puzzles, with intervals over rooms and seeds.

    completion          share of places that the answer fills with one of the puzzle's pieces
    subtask_accuracy    share of places that it fills rightly
    exact_match         all places right
    pm_0.5              at least half of the places right

All are means over puzzles, in per cent, of what `vsr_kit.rewards.orders` says of an answer. The last three follow from
the score of an answer, its share of right places, so they can be had from a table of scores as well.
Left out: the paper's six kinds of puzzle, of which crosswords and cryptograms need words that no room has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vsr_kit.evaluation.intervals import Interval, interval
from vsr_kit.evaluation.scorers import Score, ScoreTable, score
from vsr_kit.questions import PUZZLE_TYPES
from vsr_kit.rewards.orders import PARTIAL_MATCH, places_filled
from vsr_kit.validation import one_of

COMPLETION = "completion"
_OF_SHARE: dict[str, Callable[[float], float]] = {
    "subtask_accuracy": lambda share: share,
    "exact_match": lambda share: float(share == 1),
    "pm_0.5": lambda share: float(share >= PARTIAL_MATCH),
}
PUZZLE_MEASURES = (COMPLETION, *_OF_SHARE)


def puzzle_table(answers: ScoreTable | Sequence[Mapping], measure: str) -> ScoreTable:
    """One measure of every answer, 0 to 1, as a table that `interval` and `difference` take.

    Args:
        answers: rows of puzzles with `prediction`, or a table of their scores.
        measure: one of `PUZZLE_MEASURES`; `completion` needs rows.

    Raises:
        ValueError: another measure, rows that are no puzzles, or a table where texts are needed.
    """
    one_of("measure", measure, PUZZLE_MEASURES)
    table = answers if isinstance(answers, ScoreTable) else score(answers, "lenient")
    if other := set(table.question_types) - set(PUZZLE_TYPES):
        raise ValueError(f"there are answers to {min(other)!r}: give those to {PUZZLE_TYPES[0]} alone")
    if measure != COMPLETION:
        shares = [_OF_SHARE[measure](float(value)) for value in table.values]
    elif isinstance(answers, ScoreTable):
        raise ValueError("completion is read from texts: give rows with `prediction`, not their scores")
    else:
        shares = [places_filled(row["prediction"], row) for row in answers]
    return replace(table, scores=tuple(Score(share, True, None) for share in shares))


def puzzle_scores(sets: Sequence[Mapping] | Sequence[Sequence[Mapping]]) -> dict[str, Interval]:
    """All four measures with their intervals, in per cent.

    sets: rows of puzzles with `prediction`, or one such list for each seed.
    """
    each: Any = [sets] if isinstance(sets[0], Mapping) else sets
    return {
        measure: interval([puzzle_table(rows, measure) for rows in each], task=PUZZLE_TYPES[0])
        for measure in PUZZLE_MEASURES
    }
