"""Evaluation: VSI-Bench's score as three harnesses compute it, baselines, and the uncertainty of a score.

scorers.py scores answers, makes VSI-Bench's table and reads files of predictions; baselines.py has answers that need no
understanding; intervals.py says how far rooms and seeds could have moved a score or a difference; small_samples.py has
intervals of a few plain numbers and says where a repetition should land; run_scores.py reads the scores that a run
recorded; passk.py says whether the right answer is among several samples. evaluate.py asks a model (`vsr eval`);
draws.py asks one question many times, readings.py reads all answers by two readers, taught.py says what of a question
is new to a model (`vsr ask`).
token_measures.py says of each token of a rollout how undecided the policy was, how far from the reference it is, and
what the clip adds to it; import it by its own name, as it loads torch.
Left out: VLMEvalKit's harness (its prompt and frames differ too), and tests of significance.
"""

from vsr_kit.evaluation.baselines import (
    best_constant,
    draws_from_training_answers,
    even_guess,
    most_frequent_answer,
    wrong_clip_pairing,
)
from vsr_kit.evaluation.evaluate import Questions, load_questions, training_questions
from vsr_kit.evaluation.intervals import (
    Interval,
    difference,
    differences,
    gap_change,
    interval,
    intervals,
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
from vsr_kit.evaluation.small_samples import (
    ReplicationInterval,
    bootstrap_interval,
    replication_interval,
    resampled_means,
    student_interval,
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
    "bootstrap_interval",
    "difference",
    "differences",
    "draws_from_training_answers",
    "even_guess",
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
    "resampled_means",
    "sample_group",
    "score",
    "score_row",
    "student_interval",
    "tabulate",
    "training_questions",
    "unpaired_difference",
    "wrong_clip_pairing",
]
