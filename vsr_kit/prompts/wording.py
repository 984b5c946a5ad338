"""Tables of English wording that decide whether a number or option in a text can be its answer.

The first part holds word lists and patterns for hedges, bounds, denials, reasons and numbers of other things, with
small yes-or-no questions about the text beside a candidate. Every pattern looks at a few dozen characters, so that
reading time grows linearly with the length of a text.

`answers_only` then leaves out candidates that are no answers: numbers of frames, steps, seconds, degrees or per cent,
the numbers of a list, the whole of a share ("3 of the 4"), words beside digits ("4 chairs, one by the door"), numbers
of another dimension, what is denied ("B, not A"), what is compared with ("closer than A"), and remarks in brackets ("3
(2 at the window)"). candidates.py decides among the remaining ones.

Left out: irony, conditions ("if the stool counts"), what only knowledge of the room could decide, and remarks without
brackets, which candidates.py weighs.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

from vsr_kit.prompts import wording
from vsr_kit.prompts.numbers import Mention

BEFORE, AFTER = 60, 80

_ARTICLES = (
    r"(?:(?:the|an?|option|choice|answer|to|at|my|your|on|by|in|just|only|exactly|about|around|it's|its|it is) )*"
)
# not A; rather than A; compared with A
_DENIED_BEFORE = re.compile(
    r"(?:\b(?:(?<!if )not|never|neither|nor|rather than|instead of|anything but|everything but|all but|"
    r"other than|as opposed to|excluding|except|except for|without|"
    r"unlike|no longer|compared (?:to|with)|ruled? out|ruling out|eliminat(?:e|es|ed|ing)|discard(?:s|ed|ing)?)|n't) "
    rf"{_ARTICLES}[\"'(]*\Z",
    re.IGNORECASE,
)
_VERB = r"(?:is|are|was|were|does|do|did|has|have|can|could|would|should|will)"
# A is not …; A is wrong; A is farther
_DENIED_AFTER = re.compile(
    rf"[\"')\]]*(?: \w+){{0,3}}? (?:{_VERB}(?:n't| not|not)|can't|won't)\b(?! (?:far|only|too far|just))"
    rf"|[\"')\]]*(?: \w+){{0,3}}? (?:is|are|was|were|seems?|looks?|appears?)(?: (?:much|too|very|the|clearly|"
    rf"definitely|also|even|quite))*"
    r" (?:far|farther|further|farthest|furthest|wrong|incorrect|out of|ruled out|excluded|distant)\b",
    re.IGNORECASE,
)
_THAN = re.compile(rf"\bthan {_ARTICLES}[\"'(]*\Z", re.IGNORECASE)
_NEARER = re.compile(r"\b(?:closer|nearer|more|earlier|sooner|rather|better)\b", re.IGNORECASE)
_REVERSED = re.compile(r"\b(?:not|less|farther|further|no)\b|n't", re.IGNORECASE)

_BOUND_BEFORE = re.compile(
    r"(?P<soft>(?:just|slightly|a little|a bit|marginally|only) (?:a bit |a little )?)?(?:\b(?:(?:more|less|"
    r"fewer|greater|"
    r"larger|bigger|smaller|longer|shorter|higher|lower|farther|further|wider|closer) than|at least|at most|over|"
    r"under|above|"
    r"below|beyond|exceed(?:s|ing)?|(?:minimum|maximum|upwards) of|up to|within|not? exceed(?:s|ing)?) |(?<=\S )[<>] |"
    r"[<>]= ?|[≤≥] ?)"
    r"(?:(?:an?|the|or equal to|about|around|approximately) ?)*\Z",
    re.IGNORECASE,
)
_BOUND_AFTER = re.compile(
    r" ?(?:\+(?! ?[\d/-])|(?:\w+ )?(?:or|and) (?:more|less|fewer|higher|lower|above|below|greater|beyond|up)\b"
    r"|(?:\w+ )?(?:at (?:the )?(?:very )?(?:least|most)|minimum|maximum|tops|plus(?! or | ?/))\b)",
    re.IGNORECASE,
)

# numbers that count or name something else: frames, steps, seconds, degrees, how sure the model is
_OTHER_BEFORE = re.compile(
    r"(?:\b(?:frames?|images?|pictures?|steps?|figures?|fig\.|scenes?|views?|cameras?|clips?|videos?|timestamps?|"
    r"seconds?|"
    r"minutes?|questions?|versions?|instances?|t ?=|p ?=) ?#? ?"
    r"|\b(?:confidence|confident|conf\.?|probability|certainty|certain|likelihood|sure)\b(?: (?:score|level|is|"
    r"of|at|about|around|rating))*"
    r"[ :=(~≈]{0,4}|#)\Z",
    re.IGNORECASE,
)
_OTHER_AFTER = re.compile(
    r"[ -]?(?:%|percent\b|per cent\b|°|deg(?:rees?)?\b|(?:(?:different|video|input|sampled|key|consecutive|"
    r"of the|the|more|other) )?"
    r"(?:frames?|images?|pictures|views|clips?|pixels?|px|fps|seconds?|secs?|s|minutes?|mins?|hours?|times|"
    r"steps?|turns?|legs?)\b)",
    re.IGNORECASE,
)
_ALSO_OTHER = re.compile(r" ?(?:-|to|and|or|,|through|&|/|,? and) ?")
_SHARE = re.compile(r"(?: \w+)? (?:out )?of (?:the |these |those |all |all the |them,? )*")

_HEDGES = (
    "or maybe perhaps possibly probably potentially alternatively either else otherwise could might may can through "
    "thru til till until versus vs between anywhere unless uncertain unsure conceivably plausibly likely also equally "
    "if but though although however while whereas yet both also another wait no actually rather range plus 或 到 至"
).split()
_HEDGE = re.compile(rf"(?<![\w'-])(?:{'|'.join(_HEDGES)})(?![\w'-])|[|~→/?]|\.\.|up to", re.IGNORECASE)
_JOINERS = set(
    "or and to by x × vs the a an then option letter choice also too both about approximately around roughly "
    "maybe 和 与".split()
)
_REASON = re.compile(
    r"(?<![\w'-])(?:because|since|as (?:seen|shown|i|it|they|the|there|in|visible|you|we|can)|"
    r"due to|given|"
    r"considering|judging|"
    r"based on|e\.g\.|i\.e\.|for (?:example|instance))(?![\w'-])",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"(?<![\w'-])(?:which|where|when (?:i|you|we|one|facing|turning|standing|looking)|"
    r"including|counting|with|"
    r"from|after|once)(?![\w'-])",
    re.IGNORECASE,
)
_LED_BY_REASON = re.compile(
    r"\W*(?:because|since|as|although|though|while|if|when|given|considering|of|among|amongst|out of|comparing|"
    r"compared|from|with|"
    r"after|once|behind|facing|standing|looking)\b",
    re.IGNORECASE,
)
_MAY_BE = re.compile(
    r"\W*(?:(?:but|and|though|then|well)\W+)?(?:(?:or|maybe|perhaps|possibly|alternatively|otherwise|either|hmm+|actually|no|wait|"
    r"sorry|correction|rather|scratch|i mean)\b"
    r"|(?:it|that|this|there|they|the \w+|answer)(?: answer)? (?:could|might|may|can)\b)",
    re.IGNORECASE,
)
_POSSIBLE = re.compile(r"\b(?:could|might|may|maybe|perhaps|possibly|probably|either|or)\b", re.IGNORECASE)
_SO = re.compile(
    r"(?<![\w'-])(?:so|thus|therefore|hence|makes?|making|gives?|giving|equals?|total(?:s|ing|ling)|total of|"
    r"total is|in total:|adds? up to|"
    r"adding up to|sums? to|leaving|leaves)(?![\w'-])",
    re.IGNORECASE,
)
_EQUALS = re.compile(r"(?<![<>≤≥!=])=(?![=>])")
_CORRECTED = re.compile(
    r"\b(?:no|wait|actually|sorry|correction|rather|instead|so|therefore|thus|hence|total|finally|final|conclusion)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(
    r"(?<!approx)(?<!\bca)(?<!\bvs)(?<!e\.g)(?<!i\.e)(?<!no)[.!?;。][\"')\]}]*(?=\s|\Z)|\n", re.IGNORECASE
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_BREAK = re.compile(r"[,;:(\[-]")


def words_of(gap: str) -> list[str]:
    """The words of a stretch of text, in lower case."""
    return _WORD.findall(gap.lower())


def is_denied(text: str, mention: Mention, following: Mention | None) -> bool:
    """Whether a text says that a candidate is not the answer, before it or between it and the one that follows."""
    before = text[max(0, mention.start - BEFORE) : mention.start]
    end = min(mention.end + AFTER, following.start if following else len(text))
    return bool(_DENIED_BEFORE.search(before) or _DENIED_AFTER.match(text[mention.end : end]))


def compared_by(text: str, last: Mention | None, mention: Mention) -> bool | None:
    """Whether a candidate is what the one before is nearer, or farther, than; None without such a comparison.

    Returns:
        True for "A is closer than B", False for "A is farther than B", None for anything else.
    """
    start = max(0, mention.start - BEFORE, last.end if last else 0)
    before = text[start : mention.start]
    if not _THAN.search(before):
        return None
    return bool(_NEARER.search(before)) and not _REVERSED.search(before)


def is_bound(text: str, mention: Mention) -> bool:
    """Whether a number only says how many there are at least or at most."""
    before = _BOUND_BEFORE.search(text[max(0, mention.start - BEFORE) : mention.start])
    return bool((before and not before["soft"]) or _BOUND_AFTER.match(text[mention.end : mention.end + AFTER]))


def counts_other(text: str, mention: Mention) -> bool:
    """Whether a number is one of frames, steps, seconds, degrees, per cent, or of confidence."""
    before = _OTHER_BEFORE.search(text[max(0, mention.start - BEFORE) : mention.start])
    return bool(before or _OTHER_AFTER.match(text[mention.end : mention.end + AFTER]))


def goes_on(gap: str) -> bool:
    """Whether a number after such a gap counts what the one before it counts ("frames 3 to 7")."""
    return _ALSO_OTHER.fullmatch(gap) is not None


def is_whole_of(gap: str) -> bool:
    """Whether the number after the gap is what the one before is a share of ("3 of the 4")."""
    return _SHARE.fullmatch(gap) is not None


def hedges(gap: str) -> bool:
    """Whether what stands between two candidates offers both: a hedging word or sign, or nothing but joiners."""
    return bool(_HEDGE.search(gap)) or joins(gap)


def joins(gap: str) -> bool:
    """Whether nothing but punctuation and joining words stands between two candidates."""
    return _JOINERS.issuperset(words_of(gap)) and not _EQUALS.search(gap)


def explains(gap: str, *, aside: bool, clause: bool = False) -> bool:
    """Whether what follows only explains the candidate before the gap.

    Args:
        gap: what stands between that candidate and the next.
        aside: whether "which …", "when I …", "with …" and the like explain, too, not only reasons ("because …").
        clause: whether any clause of its own does ("3, two of them by the window"), if it has no hedge.
    """
    count = len(words_of(gap))
    if (count >= 2 and _REASON.search(gap)) or (aside and count >= 3 and _ASIDE.search(gap)):
        return not _POSSIBLE.search(gap)
    return clause and count >= 3 and bool(_BREAK.search(gap)) and not _HEDGE.search(gap)


def opens_with_reason(sentence: str, lettered: bool) -> bool:
    """Whether a sentence begins with a reason or a list of what is compared ("Of the chair and the table, …").

    Args:
        sentence: its beginning.
        lettered: whether choices are compared; "between 3 and 4, …" compares nothing.
    """
    return bool(_LED_BY_REASON.match(sentence) or (lettered and re.match(r"\W*between\b", sentence, re.IGNORECASE)))


def says_may_be(sentence: str) -> bool:
    """Whether a sentence begins by offering another answer: "Or …", "It could also be …"."""
    return _MAY_BE.match(sentence) is not None


def is_conditional(remark: str) -> bool:
    """Whether a remark says under which condition another answer holds: "4 if the stool counts"."""
    return re.search(r"\b(?:if|unless|with|without|including|counting)\b", remark, re.IGNORECASE) is not None


def is_possible(sentence: str) -> bool:
    """Whether a sentence says maybe anywhere."""
    return _POSSIBLE.search(sentence) is not None


def concludes(gap: str) -> bool:
    """Whether what follows is worked out from what came before: "=", "so", "gives"."""
    if _EQUALS.search(gap):
        return not re.search(r"\bor\b|\bmaybe\b", gap, re.IGNORECASE)
    return bool(_SO.search(gap)) and not re.search(
        r"\b(?:or|maybe|perhaps|possibly|may|might|could)\b", gap, re.IGNORECASE
    )


def equals(gap: str) -> bool:
    """Whether both sides of a gap are said to be equal."""
    return concludes(gap) and bool(_EQUALS.search(gap))


def corrects(sentence: str) -> bool:
    """Whether a sentence takes back or sums up what was said before."""
    return _CORRECTED.search(sentence) is not None


def ends_sentence(gap: str) -> re.Match | None:
    """The last end of a sentence or line in a gap that holds letters; lone punctuation joins ("A, B", "3. 4")."""
    if not re.search(r"[^\W\d_]", gap):
        return None
    end = None
    for end in _SENTENCE_END.finditer(gap):  # noqa: B007, the last one is wanted
        pass
    return end


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
