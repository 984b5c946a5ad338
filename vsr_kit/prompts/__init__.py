"""Prompts: the texts that a model is asked, and `parse_answer`, which reads its answers.

The six prompts are the paper's, word for word, in VSI-Bench's layout (templates.py). The paper does not state how its
authors read an answer out of a chain of thought, so the reader is the kit's own: parsing.py applies it, markup.py
removes markup, numbers.py and candidates.py find the numbers and options in a text, wording.py knows which of them are
no answers, and number_words.py has English number words and lmms-eval's own reading. mathematics.py reads and compares
formulas, which judging.py gives to math-verify in a process of its own (judge_worker.py). frame_tags.py has texts that
stand before a clip's frames.
Left out: system prompts, few-shot examples, and models that judge answers.
"""

from vsr_kit.prompts.candidates import Choice, answer_choices, same_words
from vsr_kit.prompts.frame_tags import TAGGINGS, tagged
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
    "TAGGINGS",
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
    "tagged",
    "target_completion",
    "user_text",
]
