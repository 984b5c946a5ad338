"""Evaluation: VSI-Bench's score as three harnesses compute it, what to compare it with, and how sure one can be.

A score alone says little. `scorers` gives a value to every answer, `tables` makes VSI-Bench's table of them,
`baselines` has the lines to beat without looking, `intervals` says how far rooms and seeds could have moved a score or
a difference, `prediction` where a repetition should land, and `passk` whether the right answer is there at all.
Left out: VLMEvalKit's harness (its prompt and frames differ too), tests of significance, and asking a model, which is
`vsr_kit.asking`'s work.
"""

from vsr_kit.evaluation.baselines import (
    best_constant,
    draws_from_training_answers,
    most_frequent_answer,
    wrong_clip_pairing,
)
from vsr_kit.evaluation.intervals import Interval, difference, differences, gap_change, interval, intervals
from vsr_kit.evaluation.passk import best_of_k, best_of_k_curve, best_of_k_table, pass_at_k
from vsr_kit.evaluation.prediction import Prediction, predict
from vsr_kit.evaluation.predictions import read_predictions
from vsr_kit.evaluation.scorers import HARNESSES, Score, score_row
from vsr_kit.evaluation.tables import ScoreTable, TypeScore, score, tabulate

__all__ = [
    "HARNESSES",
    "Interval",
    "Prediction",
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
    "predict",
    "read_predictions",
    "score",
    "score_row",
    "tabulate",
    "wrong_clip_pairing",
]
