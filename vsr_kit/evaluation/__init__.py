"""Evaluation: VSI-Bench's score as three harnesses compute it, baselines, and the uncertainty of a score.

scorers.py scores answers, makes VSI-Bench's table and reads files of predictions; baselines.py has answers that need no
understanding; intervals.py says how far rooms and seeds could have moved a score or a difference, and where a
repetition should land; passk.py says whether the right answer is among several samples. evaluate.py asks a model (`vsr
eval`). draws.py asks one question many times, readings.py reads all answers by two readers, taught.py tells what of a
question is new to a model (`vsr ask`).
Left out: VLMEvalKit's harness (its prompt and frames differ too), and tests of significance.
"""

from vsr_kit.evaluation.baselines import (
    best_constant,
    draws_from_training_answers,
    most_frequent_answer,
    wrong_clip_pairing,
)
from vsr_kit.evaluation.evaluate import Questions, load_questions, training_questions
from vsr_kit.evaluation.intervals import (
    Interval,
    ReplicationInterval,
    difference,
    differences,
    gap_change,
    interval,
    intervals,
    replication_interval,
    student_interval,
    unpaired_difference,
)
from vsr_kit.evaluation.passk import best_of_k, best_of_k_curve, best_of_k_table, pass_at_k
from vsr_kit.evaluation.predictions import mismatched_clips, predict, sample_group
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
    "Questions",
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
    "load_questions",
    "mismatched_clips",
    "most_frequent_answer",
    "pass_at_k",
    "predict",
    "read_predictions",
    "replication_interval",
    "sample_group",
    "score",
    "score_row",
    "student_interval",
    "tabulate",
    "training_questions",
    "unpaired_difference",
    "wrong_clip_pairing",
]
