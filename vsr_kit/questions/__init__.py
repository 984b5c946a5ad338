"""Questions: VSI-Bench's ten question types, with wordings, ground truths and rules against ambiguity.

types.py has the types, wordings and rule sets, geometric.py the eight types that geometry alone answers, held_out.py
the other two, and own_types.py adds types of your own. The eight come in two phrasings: VSI-Bench's (options with
letters, closest points) and VSI-100k's (no options, centre to centre), on which vsGRPO trained. Route planning and
appearance order exist only in VSI-Bench's phrasing and are held out of all training here, as they were in the paper.
multi_step.py adds four types of the kit's own, which are asked only where they are named, and puzzles.py
one whose answer follows from rules that the question states. The types `mathematics` and `picture_choice` are those of
questions about pictures, which come from files (`vsr_kit.data.read_picture_rows`).
wordings.py says which type a question that somebody typed is of.
Left out: human filtering; a question is dropped by a stated rule or not at all.
"""

from vsr_kit.questions.geometric import make_questions
from vsr_kit.questions.multi_step import answer_from, limit_m
from vsr_kit.questions.own_types import add_type, remove_type
from vsr_kit.questions.puzzles import PIECES, solutions
from vsr_kit.questions.types import (
    BENCHMARK_RULES,
    BESIDE_TYPES,
    CHOICE_TYPES,
    HELD_OUT_TYPES,
    LABELS,
    MATHEMATICS,
    MULTI_STEP_TYPES,
    NUMERIC_TYPES,
    PHRASINGS,
    PICTURE_CHOICE,
    PICTURE_TYPES,
    PUZZLE_TYPES,
    QUESTION_TYPES,
    RULES,
    STUDY_RULES,
    TASKS,
    TRAINED_TASKS,
    TRAINED_TYPES,
    TYPE_GROUPS,
    Question,
    Rules,
    get_rules,
    named_types,
    rules_for,
    task_of,
)

__all__ = [
    "BENCHMARK_RULES",
    "BESIDE_TYPES",
    "CHOICE_TYPES",
    "HELD_OUT_TYPES",
    "LABELS",
    "MATHEMATICS",
    "MULTI_STEP_TYPES",
    "NUMERIC_TYPES",
    "PHRASINGS",
    "PICTURE_CHOICE",
    "PICTURE_TYPES",
    "PIECES",
    "PUZZLE_TYPES",
    "QUESTION_TYPES",
    "RULES",
    "STUDY_RULES",
    "TASKS",
    "TRAINED_TASKS",
    "TRAINED_TYPES",
    "TYPE_GROUPS",
    "Question",
    "Rules",
    "add_type",
    "answer_from",
    "get_rules",
    "limit_m",
    "make_questions",
    "named_types",
    "remove_type",
    "rules_for",
    "solutions",
    "task_of",
]
