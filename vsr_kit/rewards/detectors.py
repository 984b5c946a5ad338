"""Detectors: signs of reward hacking in a completion, counted during training and never rewarded.

The paper reports two ways in which its rollouts degenerated: empty thoughts, and empty tags repeated to collect a
length reward. Each detector finds one such sign in the text alone, without knowing the reward. As reward functions of
weight 0 they appear in TRL's log (`rewards/<name>/mean`) and train nothing, so a run's curves show when a sign appears.

`thinking_words` is no such sign: it counts the words with which a thought turns back on itself. It stands in a table of
its own, COUNTS: its mean in the log is how many there are in a completion, and no share.

Left out: unreadable answers, for which a row is needed (`parse_answer` gives the reason), and false thoughts, for which
the room is needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from vsr_kit.rewards.terms import TAGGED_MODES, check_mode, has_words, tag_counts, thoughts, words
from vsr_kit.rewards.trl_functions import RewardFunction, text_reward

# A thought this short cannot be padded; longer, it is padding if fewer than this share of its words are different.
# 0.7 % of the base's own chains fall below, all of them lists ("one in the north-east, one in the north-east, …").
PADDED_WORDS, DIFFERENT_SHARE = 8, 1 / 3


def empty_thought(text: str, mode: str) -> bool:
    """Whether there are blocks of the mode and no word in any; without a block it is the format that is missing.

    A block that is never closed counts up to the answer, so its tag with nothing after it is an empty thought.
    """
    held = thoughts(text, mode)
    return bool(held) and not any(has_words(thought) for thought in held)


def repeated_tags(text: str, mode: str) -> bool:
    """Whether an opening or closing tag of the mode, or of the answer, stands there more than once."""
    check_mode(mode)
    counts = tag_counts(text) if mode in TAGGED_MODES else {}
    return any(counts.get(name, 0) > 1 for name in (mode, f"/{mode}", "answer", "/answer"))


def repeated_words(text: str, mode: str) -> bool:
    """Whether the thought, all its blocks together, has 8 words or more of which fewer than a third are different."""
    thought_words = words(" ".join(thoughts(text, mode)))
    return len(thought_words) >= PADDED_WORDS and len(set(thought_words)) < DIFFERENT_SHARE * len(thought_words)


# Vision-R1 (arXiv 2503.06749) counts such words in chains as signs of questioning and reflection: "Wait", "Hmm",
# "However", "Alternatively", "Check", "Mistake". The kit adds "again" (as in "start again") and "recheck".
THINKING_WORDS = frozenset("wait hmm however alternatively check mistake again recheck".split())


def thinking_words(text: str, mode: str) -> int:
    """How many words of the thought, all its blocks together, are among `THINKING_WORDS`, whatever their case.

    A count and not a share of the words: it is compared over the steps of a run, and a share would fall where a chain
    only gets longer. Other forms of a word ("checks") are other words.
    """
    return sum(word in THINKING_WORDS for word in words(" ".join(thoughts(text, mode))))


DETECTORS: dict[str, Callable[[str, str], bool]] = {
    "empty_thought": empty_thought,
    "repeated_tags": repeated_tags,
    "repeated_words": repeated_words,
}
"""By name: (completion, mode) to whether the sign is there; never in vanilla mode. ValueError for an unknown mode."""

COUNTS: dict[str, Callable[[str, str], int]] = {"thinking_words": thinking_words}
"""By name: (completion, mode) to how many there are; 0 in vanilla mode. ValueError for an unknown mode."""


def make_detectors(mode: str, names: Iterable[str] | None = None) -> list[RewardFunction]:
    """Make detectors as `trl.GRPOTrainer(reward_funcs=…)` takes them, named as in `DETECTORS` and `COUNTS`.

    Args:
        mode: in vanilla mode no detector applies, and the list is empty.
        names: which of `DETECTORS` and `COUNTS`; by default all of `DETECTORS`.

    Returns:
        Functions that return 1.0 (there) or 0.0, or a count, for each completion. Give each the weight 0.0 in
        `GRPOConfig(reward_weights=…)`, or finding a sign is rewarded.

    Raises:
        ValueError: for an unknown mode or name.
    """
    check_mode(mode)
    chosen = list(DETECTORS if names is None else names)
    known: dict[str, Callable[[str, str], bool | int]] = {**DETECTORS, **COUNTS}
    if unknown := [name for name in chosen if name not in known]:
        raise ValueError(f"unknown detector {unknown[0]!r}: choose from {', '.join(known)}, as a list")
    return [text_reward(known[name], mode) for name in chosen] if mode in TAGGED_MODES else []


def shares(texts: Iterable[str], mode: str) -> dict[str, float]:
    """The share of completions, 0 to 1, in which each detector finds its sign; empty in vanilla mode.

    Raises:
        ValueError: for an unknown mode, or no texts.
    """
    check_mode(mode)
    texts = list(texts)
    if not texts:
        raise ValueError("no texts: a share needs at least one completion")
    if mode not in TAGGED_MODES:
        return {}
    return {name: sum(found(text, mode) for text in texts) / len(texts) for name, found in DETECTORS.items()}


# Numbers that an answer's row may hold besides rewards: `runs.RunFolder.rollouts`, VSI-Bench's fields, and `predict`.
NO_REWARDS = {"step", "attempt", "stage", "advantage", "id", "run", "seed", "ground_truth", "score", "tokens"}
NO_REWARDS |= {"sample", "num_tokens", "row"}


def reward_columns(row: Mapping) -> dict[str, float]:
    """A rollout's rewards by name: every number of its row that is neither a detector nor bookkeeping.

    So a reward of yours is in every figure and report under the name of its function, with nothing to register.
    """
    numbers = {k: v for k, v in row.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
    return {k: float(v) for k, v in numbers.items() if k not in NO_REWARDS | DETECTORS.keys() | COUNTS.keys()}


def reward_of_key(key: str) -> str | None:
    """The reward or detector that a log's key is about: `format_reward` of `rewards/format_reward/mean`, else None."""
    found = re.fullmatch(r"rewards/(\w+)/mean", key)
    return found[1] if found else None
