"""Which of the candidates in a text is its answer, if the text says one thing: `settle`.

Candidates that are no answers go first (`left_out`). What is left must agree: two that differ are ambiguous, whatever
joins them, unless

- the rest only explains ("3, because …"; after "the answer is" also "3, two of which …"),
- or is worked out of the former ("2 + 1 = 3", "2 here and 1 there, so 3").

A bound ("at least 3", "3 or more") is ambiguous, too. Between sentences the last one counts, unless it repeats the one
before with another answer ("It could be 1. It could be 2.") or offers one more ("Or 4."); and a text that opens with
nothing but an answer means that one.
Left out: weighing of candidates by how sure the text sounds.
"""

from __future__ import annotations

import re
from itertools import pairwise

from vsr_kit.prompts import wording
from vsr_kit.prompts.left_out import BOUND, answers_only, gap_between
from vsr_kit.prompts.numbers import Mention

_SAME_SHARE = 0.02  # "1.5 m (4.9 ft)" is one length, rounded twice
_FILLER = re.compile(
    r"\W|_|\b(?:the|to|an?|option|about|approximately|around|roughly|answer|it|is|its|there|are|of|on|at|my|your|"
    r"so|sure|okay|ok|yes)\b",
    re.IGNORECASE,
)


def settle(text: str, mentions: list[Mention], source: str, lettered: bool) -> tuple[Mention | None, bool]:
    """Find the answer among the candidates of a text.

    Args:
        text: the part of a completion that holds the answer.
        mentions: its candidates, in order.
        source: `answer_tag`, `statement` (the text after "the answer is") or `last_candidate`.
        lettered: whether the candidates are choices, not numbers.

    Returns:
        (the answer, False); (None, True) if the text says more than one thing; (None, False) if it says nothing.
    """
    kept = answers_only(text, mentions, source, lettered)
    if not kept:
        return None, False
    if source == "answer_tag":
        group = _explained(text, kept, aside=False)
    elif source == "statement":
        group = _stated(text, kept)
    else:
        group = _last_said(text, kept, lettered)
    group = _worked_out(text, group, words_too=source == "last_candidate")
    if not _agree(group):
        return None, True
    picked = group[0]
    if picked.value == BOUND:
        return None, True
    return (picked, False) if picked.value else (None, False)


def _is_filler(text: str) -> bool:
    """Whether a stretch of text holds nothing but punctuation, articles and the like."""
    return not _FILLER.sub("", text)


def _agree(group: list[Mention]) -> bool:
    first = group[0]
    return all(_same(first, other) for other in group[1:])


def _same(a: Mention, b: Mention) -> bool:
    if a.value == b.value:
        return True
    if a.size is None or b.size is None or a.size == b.size or BOUND in (a.value, b.value) or not (a.value and b.value):
        return False
    one, other = float(a.value), float(b.value)
    return abs(one - other) <= _SAME_SHARE * max(abs(one), abs(other))


def _explained(text: str, mentions: list[Mention], *, aside: bool) -> list[Mention]:
    """The candidates up to the first gap that opens an explanation."""
    for i, (a, b) in enumerate(pairwise(mentions), 1):
        if wording.explains(gap_between(text, a, b), aside=aside):
            return mentions[:i]
    return mentions


def _stated(text: str, mentions: list[Mention]) -> list[Mention]:
    """After "the answer is": the first candidate, and what its sentence, or one that says "or", puts beside it."""
    group = [mentions[0]]
    for a, b in pairwise(mentions):
        gap = gap_between(text, a, b)
        end = wording.ends_sentence(gap)
        if end and not wording.says_may_be(gap[end.end() :]) and not _repeats(text, a, b, ""):
            return group
        if not end and wording.explains(gap, aside=True, clause=True):
            return group
        group.append(b)
    return group


def _last_said(text: str, mentions: list[Mention], lettered: bool) -> list[Mention]:
    """Without a statement: the candidates of the last sentence that has any; or the answer that the text opens with."""
    sentences = _sentences(text, mentions)
    last = _main_clause(text, sentences[-1], lettered)
    if len(sentences) == 1:
        return last
    before = sentences[-2]
    if _offers_another(text, before, sentences[-1]):
        return [before[-1], *last]
    if _is_opening(text, sentences[0]):
        found = _worked_out(text, last, words_too=True)
        start = _sentence_start(text, sentences[-2][-1], sentences[-1][0])
        differs = _agree(found) and not _same(found[0], sentences[0][0])
        if differs and (lettered or wording.corrects(text[start : last[-1].start])):
            return [sentences[0][0], *last]
        return sentences[0]
    return last


def _sentences(text: str, mentions: list[Mention]) -> list[list[Mention]]:
    groups = [[mentions[0]]]
    for a, b in pairwise(mentions):
        if wording.ends_sentence(gap_between(text, a, b)):
            groups.append([b])
        else:
            groups[-1].append(b)
    return groups


def _sentence_start(text: str, before: Mention, first: Mention) -> int:
    end = wording.ends_sentence(gap_between(text, before, first))
    return before.end + end.end() if end else before.end


def _main_clause(text: str, sentence: list[Mention], lettered: bool) -> list[Mention]:
    """The candidates of a sentence without those of its reasons, in front or behind."""
    first = sentence[0].start
    lead = text[max(0, first - wording.BEFORE) : first]
    end = re.search(r"[.!?\n;][^.!?\n;]*\Z", lead)
    if wording.opens_with_reason(lead[end.start() + 1 :] if end else lead, lettered):
        commas = [i for i, (a, b) in enumerate(pairwise(sentence), 1) if "," in gap_between(text, a, b)]
        if commas:
            sentence = sentence[commas[-1] :]
    return _explained(text, sentence, aside=True)


def _offers_another(text: str, before: list[Mention], last: list[Mention]) -> bool:
    """Whether a sentence only offers one more answer: it says so, says maybe like the one before, or repeats it."""
    start = _sentence_start(text, before[-1], last[0])
    opening = text[start : last[0].start]
    if wording.says_may_be(opening):
        return True
    lead = text[max(0, before[0].start - wording.BEFORE) : before[0].start]
    lead = lead[(end.end() if (end := wording.ends_sentence(lead + " ")) else 0) :].strip()
    if wording.is_possible(opening) and wording.is_possible(lead):
        return True
    return len(before) == len(last) == 1 and _repeats(text, before[-1], last[0], lead)


def _repeats(text: str, a: Mention, b: Mention, lead: str) -> bool:
    """Whether the sentence or line of `b` repeats that of `a`, which begins with `lead`, but for the candidate."""
    start = _sentence_start(text, a, b)
    opening, tail = text[start : b.start].strip().lower(), text[a.end : start].strip(" .!?\n;").lower()
    follows = re.match(r"[^.!?\n;]*", text[b.end : b.end + wording.AFTER])[0].strip(" )]}").lower()
    return tail == follows and opening in ("", lead.lower()) and bool(tail or lead)


def _is_opening(text: str, sentence: list[Mention]) -> bool:
    """Whether a text opens with an answer that stands alone in its sentence or line."""
    start, end = sentence[0].start, sentence[-1].end
    return (
        _agree(sentence)
        and _is_filler(text[:start])
        and re.match(r"[^\w\n.!]*(?:[.!](?:\s|\Z)|\n|\Z)", text[end:]) is not None
    )


def _worked_out(text: str, group: list[Mention], *, words_too: bool) -> list[Mention]:
    """What a sentence ends in, where it works it out of other candidates."""
    for i in range(len(group) - 1, 0, -1):
        gap = gap_between(text, group[i - 1], group[i])
        if wording.equals(gap) or (words_too and wording.concludes(gap)):
            return group[i:]
    return group[-1:] if words_too and _adds_up(text, group) else group


def _adds_up(text: str, group: list[Mention]) -> bool:
    """Whether the last number, behind a colon, is the sum of those before it ("2 here, 1 there: 3")."""
    if len(group) < 3 or not re.search(r":\W*\Z", gap_between(text, group[-2], group[-1])):
        return False
    numbers = [mention.value for mention in group]
    return all(re.fullmatch(r"\d{1,6}", n) for n in numbers) and sum(map(int, numbers[:-1])) == int(numbers[-1])
