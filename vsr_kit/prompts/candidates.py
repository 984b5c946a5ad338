"""Candidates for an answer: which options a text names, and which candidate, if any, is its answer.

`find_choices` finds an option by its letter (`B`, `(b)`, `Option B`), by its text however punctuated, in a list however
written (`chair, then table, and sofa` for "chair, table, sofa"); a direction is found in either order and by its other
names (`left-front`, `in front and to the left`, `behind`).

`settle` chooses among candidates, numbers or options, after wording.py has left out those that are no answers. The
remaining ones must agree: two different ones are ambiguous, whatever joins them, unless

- the rest only explains ("3, because …"; after "the answer is" also "3, two of which …"),
- or one is computed from the other ("2 + 1 = 3", "2 here and 1 there, so 3").

A bound ("at least 3", "3 or more") is ambiguous too. Of several sentences the last one counts, unless it repeats the
one before with another answer ("It could be 1. It could be 2.") or offers one more ("Or 4."); a text that opens with
nothing but an answer means that one.

Left out: synonyms of objects ("couch" for "sofa"), misspellings, options named by position ("the second one"), and
weighing candidates by how certain the text sounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from vsr_kit.prompts import wording
from vsr_kit.prompts.numbers import Mention
from vsr_kit.prompts.templates import has_options
from vsr_kit.prompts.wording import BOUND, answers_only, gap_between
from vsr_kit.questions import MATHEMATICS, NUMERIC_TYPES

_SIDES = {
    "object_rel_direction_easy": ("left", "right"),
    "object_rel_direction_medium": ("left", "right", "back"),
    "object_rel_direction_hard": ("front-left", "front-right", "back-left", "back-right"),
}
_OF_PAIRS = ("object_compare_distances",)
_SEPARATOR = r"[\W_]+"
# between the items of a list; numbers of a list stand before its items
_NEXT = (
    r"[\W_]+(?:(?:and|then|next|after|that|followed|by|finally|lastly|last|the|an?|first|second|third|fourth|"
    r"\d+(?:st|nd|rd|th)?)[\W_]+){0,4}"
)
_DIRECTIONS = {
    "left": r"left(?:[ -]?wards?)?(?:[ -]hand)?(?: side)?",
    "right": r"right(?:[ -]?wards?)?(?:[ -]hand)?(?: side)?",
    "back": r"(?:back(?:[ -]?wards?)?|behind(?: (?:me|you|us))?|rear(?:[ -]?wards?)?)",
    "front": r"(?:(?:in )?front|forwards?|ahead)",
}
_AND_SIDE = r"[\W_]*(?:(?:of|me|you|and|to|on|at|in|the|my|your|towards?|slightly)[\W_]+){0,6}"
_NO_NOUN = (
    r"(?i:is|was|because|since|or|and|as|maybe|perhaps|possibly|but|not|rather|with|then|if|else|otherwise|vs|versus|plus|"
    r"through|to|over|unless|either|also|alternatively|though|although|however|could|can|may|might|will|would|instead|"
    r"seems|looks|appears|has|wins|by|[b-h])\b"
)
_MOST_VSI_100K_CHOICES = 4
_OR = re.compile(r"\b(?:or|maybe|perhaps|possibly|and)\b|[/|~→]", re.IGNORECASE)


@dataclass(frozen=True)
class Choice:
    """One option: the label it is recorded by (a letter, or the word itself without letters), its text, other names."""

    label: str
    text: str
    also: tuple[str, ...] = ()


def answer_choices(row: Mapping) -> tuple[Choice, ...]:
    """List what a row lets one choose from: its options, else the words its question names; empty for numbers.

    Rows without options (VSI-100k's) offer the directions of their level, or the objects in brackets in the question.
    A label may hold a comma ("cabinet, tall"): the row's `objects` tell where one ends. Without them more than four
    names in brackets are taken one by one and, since VSI-100k offers four objects, in neighbouring runs, too.
    Empty, too, where neither is found: then any short phrase is an answer.
    """
    free = row["question_type"] == MATHEMATICS and not has_options(row)  # brackets in the question are points
    if free or row["question_type"] in NUMERIC_TYPES:
        return ()
    if has_options(row):
        found = [_lettered(str(option), i) for i, option in enumerate(row["options"])]
    else:
        words = _SIDES.get(row["question_type"]) or _named(row)
        found = [Choice(same_words(word), word.strip()) for word in words]
    return tuple(map(_either_way, found) if row["question_type"] in _OF_PAIRS else found)


def _either_way(choice: Choice) -> Choice:
    """A pair is the same in either order, however its two names are joined."""
    one, _, other = choice.text.partition(" and ")
    return replace(choice, also=(f"{one}, {other}", f"{other}, {one}")) if one and other else choice


def same_words(text: str) -> str:
    """Spell a phrase the one way phrases are compared: lower case, words apart by one space, no punctuation."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def find_choices(text: str, choices: tuple[Choice, ...]) -> list[Mention]:
    """Find the choices that a text names, in order.

    Args:
        text: as `vsr_kit.prompts.markup.plain` writes it.
        choices: what the row offers. A side that is none of them alone ("left" where the sides are "front-left" and so
            on) is found with an empty value.
    """
    found = []
    for match in _matches(text, choices):
        name = match.lastgroup or ""  # "text2" is the third option's text; every other group holds a letter
        if name == "side":
            label = ""
        else:
            label = choices[int(name[4:])].label if name.startswith("text") else match[name].upper()
        found.append(Mention(label, *match.span()))
    return found


def find_phrase(text: str) -> list[Mention]:
    """With nothing to choose from, a phrase of at most four words up to its clause's end; two, if "or" joins them."""
    match = re.search(r"[^\s.,;:!?*][^.,;:!?*\n]*", text)
    words = re.sub(r"^(?:the|an?) ", "", same_words(match[0])) if match else ""
    if not words or len(words.split()) > 4:
        return []
    phrase = Mention(words, *match.span())
    other = _OR.search(match[0]) or re.match(
        r"[\W_]*(?:or|maybe|perhaps|possibly)\b", text[match.end() :], re.IGNORECASE
    )
    return [phrase, Mention("", match.end(), match.end())] if other else [phrase]


def _named(row: Mapping) -> list[str]:
    """The words in brackets in a question."""
    bracketed = re.search(r"\(([^()]*,[^()]*)\)", row["question"])
    if not bracketed:
        return []
    objects = row.get("objects")
    objects = [] if objects is None or isinstance(objects, (str, float)) else [str(label) for label in objects]
    for first in range(len(objects)):
        if same_words(" ".join(objects[first:])) == same_words(bracketed[1]):
            return objects[first:]
    names = bracketed[1].split(",")
    spare = len(names) - _MOST_VSI_100K_CHOICES
    runs = [",".join(names[i : i + n]) for n in range(2, min(spare, 3) + 2) for i in range(len(names) - n + 1)]
    return names + (runs if spare > 0 else [])


def _lettered(option: str, place: int) -> Choice:
    match = re.match(r"\s*\(?([A-Za-z])\s*[.):]\s*(.*)", option, re.DOTALL)
    return Choice(match[1].upper(), match[2].strip()) if match else Choice(chr(ord("A") + place), option.strip())


def _may_name(text: str, choices: tuple[Choice, ...]) -> bool:
    """Whether a text may hold a choice's text. Most hold a letter alone, and patterns of texts take long to compile."""
    low = text.lower()  # tells nothing of other letters than ASCII's, some of which equal one of these but for case
    return not text.isascii() or any(all(word in low for word in words) for words in _words(choices))


@lru_cache(maxsize=4096)
def _words(choices: tuple[Choice, ...]) -> tuple[tuple[str, ...], ...]:
    """The words that a text must hold to name each choice; directions have other names."""
    words = (same_words(text).split() for choice in choices for text in (choice.text, *choice.also))
    return tuple(tuple(word for word in own if word.isascii() and word not in _DIRECTIONS) for own in words)


@lru_cache(maxsize=4096)
def _letters(choices: tuple[Choice, ...]) -> str:
    return "".join(choice.label for choice in choices if re.fullmatch("[A-Z]", choice.label))


def _matches(text: str, choices: tuple[Choice, ...]) -> Iterator[re.Match]:
    """Texts and letters of choices from left to right, none inside another: "plan B" holds no letter.

    As one pattern of both finds them; but most rows share their letters, and that pattern takes long to compile.
    """
    patterns = [_text_pattern(choices)] if _may_name(text, choices) else []
    patterns += [_letter_pattern(upper)] if (upper := _letters(choices)) else []
    found = [pattern.search(text) for pattern in patterns]
    while any(found):
        first = min(filter(None, found), key=re.Match.start)  # of two that begin alike the text, which comes first
        yield first
        end = first.end()
        found = [m and (m if m.start() >= end else p.search(text, end)) for m, p in zip(found, patterns, strict=True)]


def _spelled(text: str) -> str:
    """The pattern of a choice's text."""
    sides = same_words(text).split()
    if 1 <= len(sides) <= 2 and all(side in _DIRECTIONS for side in sides):
        one, *other = (_DIRECTIONS[side] for side in sides)
        return rf"(?:{one}{_AND_SIDE}{other[0]}|{other[0]}{_AND_SIDE}{one})" if other else one
    items = [same_words(item) for item in text.split(",")]
    return _NEXT.join(_SEPARATOR.join(map(re.escape, item.split())) for item in items if item)


@lru_cache(maxsize=4096)
def _text_pattern(choices: tuple[Choice, ...]) -> re.Pattern:
    """A pattern of the options' texts, longest first."""
    texts = sorted(((same_words(c.text), i) for i, c in enumerate(choices)), key=lambda text: -len(text[0]))
    either = ["|".join(map(_spelled, (choice.text, *choice.also))) for choice in choices]
    spelled = [rf"(?P<text{i}>{either[i]})" for text, i in texts if text]
    if choices and all(text.count(" ") == 1 and set(text.split()) <= set(_DIRECTIONS) for text, _ in texts):
        spelled.append(rf"(?P<side>{'|'.join(_DIRECTIONS.values())})")
    return re.compile(rf"(?i:(?<![\w-])(?:{'|'.join(spelled)})(?:e?s)?(?![\w-]))" if spelled else r"(?!)")


@lru_cache(maxsize=256)
def _letter_pattern(upper: str) -> re.Pattern:
    """A pattern of the options' letters."""
    both = upper + upper.lower()
    word = "A-Za-z0-9_'"
    joined = "".join(
        rf"(?<={re.escape(before)})|" for before in ("or ", "and ", "be ", "/", ", ", "-", "|", "~", "& ", "? ")
    )
    return re.compile(
        rf"[(\[{{] ?(?P<bracketed>[{both}]) ?[)\]}}]"
        # "a" before a word is an article, unless the word is a joiner
        rf"|\A[\W_]*(?P<leading>(?![Aa] (?!{_NO_NOUN})\w)[{both}])(?![\w'-])[.):]?"
        rf"|\b(?:[Oo]ption|[Cc]hoice|[Ll]etter) (?P<named>[{both}])(?![\w'])[.):]?"
        rf"|(?<![{word}])(?P<marked>[{upper}])(?=[.):,;!?*\]}}/|~]|\s*\Z|\s*\n)[.):]?"
        rf"|(?<![{word}])(?P<plain>(?!A (?!{_NO_NOUN})\w)[{upper}])(?![{word}])"
        rf"|(?:{joined}(?<=\n)|(?<=maybe )|(?<=perhaps )|(?<=possibly ))"
        rf"(?P<joined>(?!a \w)[{upper.lower()}])(?![\w'-])[.):]?"
    )


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
