"""Candidates that are no answers: `answers_only` leaves them out before the rest has to agree.

Numbers of frames, steps, seconds, degrees or per cent, a list's own numbers, the whole of a share ("3 of the 4"), words
beside digits ("4 chairs, one by the door"), numbers of another dimension, what is denied ("B, not A"), what is
compared with ("closer than A"), and remarks in brackets ("3 (2 at the window)").
Left out: remarks without brackets, which `candidates` weighs.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from vsr_kit.prompts import wording
from vsr_kit.prompts.numbers import Mention

BOUND = "≤"  # the value of a number that is only a bound
_LIST_MARK = re.compile(r"(?:\A|\n)[ \-•(\[#>]*\Z")
_LOOK_BACK = 120


def answers_only(text: str, mentions: list[Mention], source: str, lettered: bool) -> list[Mention]:
    """Leave out of a text's candidates those that are no answers; a number that is only a bound stays, as `BOUND`.

    Args:
        text, mentions, source, lettered: as for `vsr_kit.prompts.candidates.settle`.
    """
    if lettered:
        kept = _without_compared(text, _without_strays(text, mentions))
    else:
        kept = _numbers_only(text, mentions, source)
    return _without_remarks(text, kept)


def gap_between(text: str, a: Mention, b: Mention) -> str:
    """What stands between two candidates."""
    return text[a.end : b.start]


def _without_strays(text: str, mentions: list[Mention]) -> list[Mention]:
    """Leave out lone sides ("left" where the sides are "front-left" …), unless joined to a side that is offered."""
    beside = [False] * len(mentions)
    for i, (a, b) in enumerate(pairwise(mentions)):
        if bool(a.value) != bool(b.value) and wording.joins(gap_between(text, a, b)):
            beside[i] = beside[i + 1] = True
    kept = [mention for mention, joined in zip(mentions, beside, strict=True) if mention.value or joined]
    return [m for m, after in _with_following(kept) if not wording.is_denied(text, m, after)]


def _with_following(mentions: list[Mention]) -> list[tuple[Mention, Mention | None]]:
    return list(zip(mentions, [*mentions[1:], None], strict=True)) if mentions else []


def _numbers_only(text: str, mentions: list[Mention], source: str) -> list[Mention]:
    kept: list[Mention] = []
    other: Mention | None = None  # the last number that counts frames or the like
    for mention, following in _with_following(_without_list_marks(text, mentions)):
        gap = gap_between(text, kept[-1], mention) if kept else None
        if wording.counts_other(text, mention) or (other and wording.goes_on(gap_between(text, other, mention))):
            if kept and other is None and gap is not None and gap.strip() in ("-", "to", "or"):
                kept.pop()  # 3 to 7 frames
            other = mention
        elif wording.is_bound(text, mention):
            kept.append(replace(mention, value=BOUND))
        elif not wording.is_denied(text, mention, following) and not (gap is not None and wording.is_whole_of(gap)):
            kept.append(mention)
    return _of_the_dimension(text, _without_loose_words(text, kept, source))


def _without_list_marks(text: str, mentions: list[Mention]) -> list[Mention]:
    """Leave out the numbers of a list that starts at 1: "1. 4", "(1) 4 chairs"."""
    kept, expected = [], 1
    for i, mention in enumerate(mentions):
        after = text[mention.end : mention.end + 2]
        is_mark = mention.value == str(expected) and re.match(r"[.):](?!\d)", after) is not None
        is_mark = is_mark and _LIST_MARK.search(text[max(0, mention.start - 6) : mention.start]) is not None
        is_mark = is_mark and (mention.start < 6 or "\n" in text[max(0, mention.start - 6) : mention.start])
        following = mentions[i + 1] if i + 1 < len(mentions) else None
        if is_mark and following and not re.match(r"[^\w]*\n", gap_between(text, mention, following)[1:]):
            expected += 1
        else:
            kept.append(mention)
    return kept


def _without_loose_words(text: str, mentions: list[Mention], source: str) -> list[Mention]:
    """Beside digits a number word counts only where it is joined to one, or comes first after "the answer is"."""
    first_digit = next((i for i, mention in enumerate(mentions) if not mention.in_words), None)
    if first_digit is None:
        return mentions
    kept = []
    for i, mention in enumerate(mentions):
        if not mention.in_words or (source != "last_candidate" and i < first_digit and not _is_pronoun(text, mention)):
            kept.append(mention)
            continue
        near = [gap_between(text, mentions[i - 1], mention)] if i else []
        near += [gap_between(text, mention, mentions[i + 1])] if i + 1 < len(mentions) else []
        if not _is_pronoun(text, mention) and any(len(gap) < wording.AFTER and wording.joins(gap) for gap in near):
            kept.append(mention)
    return kept


def _is_pronoun(text: str, mention: Mention) -> bool:
    return mention.value == "1" and re.match(r" [a-z]", text[mention.end : mention.end + 2]) is not None


def _of_the_dimension(text: str, mentions: list[Mention]) -> list[Mention]:
    """Where some numbers have the unit asked for, leave out those of another dimension and those that count things."""
    if not any(mention.converted for mention in mentions):
        return mentions
    kept = [mention for mention in mentions if mention.converted or mention.dimension is None]
    joined = set()
    for a, b in pairwise(kept):
        if wording.hedges(gap_between(text, a, b)):
            joined |= {a.start, b.start}
    return [m for m in kept if m.converted or m.start in joined or not re.match(r" [a-z]", text[m.end : m.end + 2])]


def _without_compared(text: str, mentions: list[Mention]) -> list[Mention]:
    """Leave out what something is closer than; what is farther than something, or is compared otherwise, is a bound."""
    kept: list[Mention] = []
    for mention in mentions:
        nearer = wording.compared_by(text, kept[-1] if kept else None, mention)
        if nearer is None:
            kept.append(mention)
        elif not nearer and kept:
            kept[-1] = replace(kept[-1], value=BOUND)
    return kept


def _without_remarks(text: str, mentions: list[Mention]) -> list[Mention]:
    """Leave out candidates within brackets behind an answer, unless the bracket hedges or holds nothing else."""
    kept: list[Mention] = []
    for mention in mentions:
        before = text[max(0, mention.start - _LOOK_BACK) : mention.start]
        opened = max(before.rfind("("), before.rfind("["))
        if not kept or opened <= max(before.rfind(")"), before.rfind("]")):
            kept.append(mention)
            continue
        after = re.match(r"[^)\]]*", text[mention.end : mention.end + _LOOK_BACK])[0]
        inside = before[opened + 1 :] + " " + after
        first = mention.start - len(before) + opened <= kept[0].start
        if first or wording.is_possible(inside) or wording.is_conditional(inside) or len(wording.words_of(inside)) < 2:
            kept.append(mention)
    return kept
