"""The study: its training runs, the questions that they are asked, how it is run, and what it found.

`Study` (study.py) is the one object to read a study with.

Set up: question_sets.py has the questions, conditions.py the passes over them and the answer files, controls.py the
questions about changed rooms, labels.py the cost of VSI-100k's labels. Run: runner.py runs every variant of every
recipe, training_runs.py one run; staleness.py says whether results of an earlier study may stay; acceptance.py says
whether the miniature may be shipped.

What was found is computed anew from the kept answers, never stored: answers.py reads them, comparisons.py compares
variants, reward_analysis.py, chains.py and thinking.py look at rewards and chains of thought, real_rooms.py and
travel.py at real rooms. evidence.py is what claims' measures read, judge.py applies the claim's own rule, reach.py
names the model and rooms behind it, and summary.py writes the tables of the README and docs/. Every function that reads
takes the study's folder, by default the shipped one.
Left out: drawing, which is in `vsr_kit.plots`.
"""

from vsr_kit.claims.recipe import (
    BENCH_SET,
    HELD_OUT_SET,
    ORDER_SET,
    SAMPLES,
    SEEDS,
    THREE_SEEDS,
    TUNING_SEED,
    WORDS_SET,
    Condition,
    Variant,
)
from vsr_kit.evaluation.predictions import TOKEN_CAP
from vsr_kit.recipes import LEARNING_RATES, VARIANTS, base_conditions, tuning_variants, variant
from vsr_kit.recipes.vsgrpo import PAPER_2B, TUNED
from vsr_kit.study.answers import (
    MODES,
    Bands,
    BeforeAfter,
    answer_pairs,
    answer_shares,
    cot_table,
    drop_repeated_mean,
    first_and_last_groups,
    grpo_table,
    in_points,
    lines_to_beat,
    mode_answers,
    provenance,
    rollouts,
    run_curves,
    run_summaries,
    trained_answers,
    trained_runs,
    training_answers,
    tries_table,
    truncated_percent,
    variant_answers,
)
from vsr_kit.study.conditions import (
    SAMPLED_PER_TYPE,
    answer,
    answers_path,
    pairs_path,
    questions_path,
    read_answers,
    read_lines,
    read_samples,
    reference_runs,
    sampled_subset,
    save_questions,
    write_lines,
)
from vsr_kit.study.judge import Verdict, claim_text, verdict, verdicts
from vsr_kit.study.question_sets import (
    PER_TYPE_AND_ROOM,
    TEST_ROOMS,
    TRAIN_ROOMS,
    VAL_ROOMS,
    QuestionSet,
    make_set,
    procedural_questions,
    question_set,
)
from vsr_kit.study.study import Study
from vsr_kit.study.summary import ledger, study_summary
from vsr_kit.study.thinking import Thinking, chains_by_step, right_by_length, thinking_of, token_counts

__all__ = [
    "BENCH_SET",
    "HELD_OUT_SET",
    "LEARNING_RATES",
    "MODES",
    "ORDER_SET",
    "PAPER_2B",
    "PER_TYPE_AND_ROOM",
    "SAMPLED_PER_TYPE",
    "SAMPLES",
    "SEEDS",
    "TEST_ROOMS",
    "THREE_SEEDS",
    "TOKEN_CAP",
    "TRAIN_ROOMS",
    "TUNED",
    "TUNING_SEED",
    "VAL_ROOMS",
    "VARIANTS",
    "WORDS_SET",
    "Bands",
    "BeforeAfter",
    "Condition",
    "QuestionSet",
    "Study",
    "Thinking",
    "Variant",
    "Verdict",
    "answer",
    "answer_pairs",
    "answer_shares",
    "answers_path",
    "base_conditions",
    "chains_by_step",
    "claim_text",
    "cot_table",
    "drop_repeated_mean",
    "first_and_last_groups",
    "grpo_table",
    "in_points",
    "ledger",
    "lines_to_beat",
    "make_set",
    "mode_answers",
    "pairs_path",
    "procedural_questions",
    "provenance",
    "question_set",
    "questions_path",
    "read_answers",
    "read_lines",
    "read_samples",
    "reference_runs",
    "right_by_length",
    "rollouts",
    "run_curves",
    "run_summaries",
    "sampled_subset",
    "save_questions",
    "study_summary",
    "thinking_of",
    "token_counts",
    "trained_answers",
    "trained_runs",
    "training_answers",
    "tries_table",
    "truncated_percent",
    "tuning_variants",
    "variant",
    "variant_answers",
    "verdict",
    "verdicts",
    "write_lines",
]
