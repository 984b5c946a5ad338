"""Rewards: functions of one completion and its row that give one number, and the same as `trl.GRPOTrainer` takes them.

The paper pays accuracy (a match for words; |p-g| / min(p,g) for numbers) and, where it asks for tags, format. It does
not say how an error becomes a reward: max(0, 1 - error) is the kit's reading. terms.py has these, three other rewards
for numbers, and two extra terms against empty thoughts: one of length, which the paper tried and does not describe, and
one of thought, which is the kit's. hard.py has Vision-R1's reward, all or nothing; matched.py advantages by rank, which
a reward hands on; waste.py a penalty. cheats.py lists completions that earn a reward without an answer, or lose one
despite an answer; detectors.py counts such completions, and thinking words, during training; trl_functions.py wraps all
of them for TRL. mixed.py pays each row by the rule of its own answer, consistency.py an answer that its chain makes
likely.
Every reward but the matched one and the bonus of consistency is a pure function of one completion and one row; the
ground truth itself earns 1.0 on every row, in every mode.
Left out: reward models.
"""

from vsr_kit.rewards.cheats import CHEATS, Cheat
from vsr_kit.rewards.detectors import COUNTS, DETECTORS, THINKING_WORDS
from vsr_kit.rewards.hard import RIGHT_WITHIN, all_or_nothing, hard_reward, right_answer, right_reward
from vsr_kit.rewards.matched import as_paid, matched_advantages, matched_reward, normal_scores
from vsr_kit.rewards.terms import (
    EXTRA_REWARDS,
    LENGTH_TARGET,
    MRA_TOLERANCES,
    NUMERIC_REWARDS,
    TAGGED_MODES,
    THOUGHT_TARGET,
    accuracy_reward,
    check_mode,
    exact,
    format_reward,
    has_words,
    length_reward,
    mra,
    one_minus_relative_error,
    paper_numeric,
    tag_counts,
    tag_names,
    thought_reward,
    thoughts,
    words,
)
from vsr_kit.rewards.trl_functions import RewardFunction, group_reward, make_reward_funcs, text_reward
from vsr_kit.rewards.waste import waste_reward

__all__ = [
    "CHEATS",
    "COUNTS",
    "DETECTORS",
    "EXTRA_REWARDS",
    "LENGTH_TARGET",
    "MRA_TOLERANCES",
    "NUMERIC_REWARDS",
    "RIGHT_WITHIN",
    "TAGGED_MODES",
    "THINKING_WORDS",
    "THOUGHT_TARGET",
    "Cheat",
    "RewardFunction",
    "accuracy_reward",
    "all_or_nothing",
    "as_paid",
    "check_mode",
    "exact",
    "format_reward",
    "group_reward",
    "hard_reward",
    "has_words",
    "length_reward",
    "make_reward_funcs",
    "matched_advantages",
    "matched_reward",
    "mra",
    "normal_scores",
    "one_minus_relative_error",
    "paper_numeric",
    "right_answer",
    "right_reward",
    "tag_counts",
    "tag_names",
    "text_reward",
    "thought_reward",
    "thoughts",
    "waste_reward",
    "words",
]
