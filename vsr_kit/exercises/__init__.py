"""Checks for the course's exercises: the reader's function goes in; one line comes out, or an error with a hint.

An exercise cell holds a stub that imports the kit's own function. The reader deletes that line, writes a function and
runs the next cell, `exercises.<name>(<name>)`. course.py has a check for each exercise, recipe_cases.py for those about
recipes, and cases.py runs it: a few cases small enough to work out by hand. Their answers are written down as plain
numbers and words and are not computed by the kit, so that a check and the kit cannot be wrong together.
Left out: grades, how a function is written, its speed, and inputs that no notebook uses.
"""

from vsr_kit.exercises.cases import Case, NotYet, run_cases
from vsr_kit.exercises.course import (
    all_or_nothing,
    best_of_k,
    dpo_loss,
    entropy,
    first_appearance,
    format_reward,
    gain_rule,
    group_advantages,
    grpo_loss,
    kl_k3,
    mra,
    paper_numeric,
    ptst_stages,
    reinforce_loss,
    resampled_means,
    shared_tokens,
    side_of,
    student_interval,
    thought_reward,
)
from vsr_kit.exercises.recipe_cases import normal_scores, useful

__all__ = [
    "Case",
    "NotYet",
    "all_or_nothing",
    "best_of_k",
    "dpo_loss",
    "entropy",
    "first_appearance",
    "format_reward",
    "gain_rule",
    "group_advantages",
    "grpo_loss",
    "kl_k3",
    "mra",
    "normal_scores",
    "paper_numeric",
    "ptst_stages",
    "reinforce_loss",
    "resampled_means",
    "run_cases",
    "shared_tokens",
    "side_of",
    "student_interval",
    "thought_reward",
    "useful",
]
