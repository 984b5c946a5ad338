"""A penalty on waste: an output that reached its cap, or that says the same again and again.

T1 (arXiv 2501.11651) penalises outputs that are too long or repeat themselves, which a high temperature and a bonus for
entropy invite. Its form was not obtained; ours takes PENALTY off a completion that did either, once. What repeats is
told as the detectors tell it (`rewards.detectors`), but of the whole text, so that it applies without tags, too.
Left out: lengths short of the cap, and repetition within words.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, update_wrapper

from vsr_kit.rewards.detectors import DIFFERENT_SHARE, PADDED_WORDS, repeated_tags
from vsr_kit.rewards.terms import check_mode, words
from vsr_kit.rewards.trl_functions import RewardFunction, read_completion
from vsr_kit.validation import whole

PENALTY = 1.0  # what a right answer earns


def repeats(text: str, mode: str) -> bool:
    """Whether a tag of the mode stands there twice, or 8 words or more of which fewer than a third are different."""
    said = words(text)
    return repeated_tags(text, mode) or (len(said) >= PADDED_WORDS and len(set(said)) < DIFFERENT_SHARE * len(said))


def waste_penalty(completions: Sequence, *, mode: str, cap: int, completion_ids: Sequence, **columns) -> list[float]:
    """-PENALTY for each completion that reached its cap in tokens or repeats itself, else 0.

    Args:
        completions: N texts, or conversations whose last turn counts.
        mode: vanilla, think or observe, whose tags are looked for.
        cap: of a completion in tokens.
        completion_ids: N lists of token ids, as TRL gives them to rewards.
        columns: the other columns of the batch, not looked at.
    """
    texts = map(read_completion, completions)
    wasted = [len(ids) >= cap or repeats(text, mode) for text, ids in zip(texts, completion_ids, strict=True)]
    return [-PENALTY if bad else 0.0 for bad in wasted]


def waste_reward(mode: str, cap: int) -> RewardFunction:
    """Make the penalty of a mode and a cap for `GRPO(rewards=(…,))`; it is logged as `waste_penalty`.

    Raises:
        ValueError: an unknown mode, or a cap below 1.
    """
    check_mode(mode)
    whole("cap", cap)
    return update_wrapper(partial(waste_penalty, mode=mode, cap=cap), waste_penalty)
