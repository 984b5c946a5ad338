"""Prompts: what a model is asked, and `parse_answer`, which reads what it answered.

The six prompts are the paper's, word for word; the layout around them is VSI-Bench's. How the paper's authors read an
answer out of a chain of thought is not stated anywhere: the rules in `vsr_kit.prompts.parsing` are ours.
Left out: system prompts, few-shot examples, and any model that judges answers.
"""

from vsr_kit.prompts.candidates import Choice, answer_choices, same_words
from vsr_kit.prompts.parsing import REASONS, SOURCES, Parsed, parse_answer, same_answer
from vsr_kit.prompts.templates import (
    MODES,
    PROMPTS,
    USES,
    VSI_BENCH_CHOICE_PROMPT,
    VSI_BENCH_MODE,
    VSI_BENCH_NUMBER_PROMPT,
    chat_messages,
    has_options,
    target_completion,
    user_text,
)

__all__ = [
    "MODES",
    "PROMPTS",
    "REASONS",
    "SOURCES",
    "USES",
    "VSI_BENCH_CHOICE_PROMPT",
    "VSI_BENCH_MODE",
    "VSI_BENCH_NUMBER_PROMPT",
    "Choice",
    "Parsed",
    "answer_choices",
    "chat_messages",
    "has_options",
    "parse_answer",
    "same_answer",
    "same_words",
    "target_completion",
    "user_text",
]
