"""Evaluation: VSI-Bench's score as three harnesses compute it, what to compare it with, and how sure one can be.

A score alone says little. `scorers` gives a value to every answer, `tables` makes VSI-Bench's table of them,
`baselines` has the lines to beat without looking, `intervals` says how far rooms and seeds could have moved a score or
a difference, `prediction` where a repetition should land, and `passk` whether the right answer is there at all.
Left out: VLMEvalKit's harness (its prompt and frames differ too), tests of significance, and asking a model, which is
`vsr_kit.evaluation.evaluate`'s work.
"""

from vsr_kit.evaluation.baselines import (
    best_constant,
    draws_from_training_answers,
    most_frequent_answer,
    wrong_clip_pairing,
)
from vsr_kit.evaluation.intervals import (
    Interval,
    ReplicationInterval,
    difference,
    differences,
    gap_change,
    interval,
    intervals,
    replication_interval,
)
from vsr_kit.evaluation.passk import best_of_k, best_of_k_curve, best_of_k_table, pass_at_k
from vsr_kit.evaluation.scorers import (
    HARNESSES,
    Score,
    ScoreTable,
    TypeScore,
    read_predictions,
    score,
    score_row,
    tabulate,
)

__all__ = [
    "HARNESSES",
    "Interval",
    "ReplicationInterval",
    "Score",
    "ScoreTable",
    "TypeScore",
    "best_constant",
    "best_of_k",
    "best_of_k_curve",
    "best_of_k_table",
    "difference",
    "differences",
    "draws_from_training_answers",
    "gap_change",
    "interval",
    "intervals",
    "most_frequent_answer",
    "pass_at_k",
    "read_predictions",
    "replication_interval",
    "score",
    "score_row",
    "tabulate",
    "wrong_clip_pairing",
]
