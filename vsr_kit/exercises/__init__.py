"""What the course's exercise cells call: your function goes in, one line comes out, or an error that gives a hint.

The story: an exercise cell holds a stub that imports the kit's own function; delete the line, write yours, and run the
next cell, `checks.<name>(<name>)`. A check runs a handful of cases small enough to work out by hand. Their answers are
written here as plain numbers and words and are not computed by the kit, so that a check and the kit cannot be wrong
together. The first case that fails is shown with what was expected and what to think of; nothing is graded.
Left out: checking how a function is written, its speed, and inputs that a notebook never meets.
"""

from vsr_kit.exercises.cases import Case, NotYet, run_cases
from vsr_kit.exercises.course import (
    best_of_k,
    dpo_loss,
    first_appearance,
    format_reward,
    gain_rule,
    group_advantages,
    grpo_loss,
    kl_k3,
    paper_numeric,
    shared_tokens,
    side_of,
    thought_reward,
)

__all__ = [
    "Case",
    "NotYet",
    "best_of_k",
    "dpo_loss",
    "first_appearance",
    "format_reward",
    "gain_rule",
    "group_advantages",
    "grpo_loss",
    "kl_k3",
    "paper_numeric",
    "run_cases",
    "shared_tokens",
    "side_of",
    "thought_reward",
]
