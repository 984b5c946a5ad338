"""What a row lets one choose from, and where a text names one of its choices: by letter, by label, by direction.

A choice is found by its letter (`B`, `(b)`, `Option B`), by its text however punctuated, in a list however written
(`chair, then table, and sofa` for "chair, table, sofa"), and a direction in either order and by its other names
(`left-front`, `in front and to the left`, `behind`).
Left out: synonyms of objects ("couch" for "sofa"), misspellings, and choices told by their place ("the second one").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from vsr_kit.prompts.numbers import Mention
from vsr_kit.prompts.templates import has_options
from vsr_kit.questions import NUMERIC_TYPES

_SIDES = {
    "object_rel_direction_easy": ("left", "right"),
    "object_rel_direction_medium": ("left", "right", "back"),
    "object_rel_direction_hard": ("front-left", "front-right", "back-left", "back-right"),
}
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
    """One option: the label it is recorded by (a letter, or the word itself without letters), and its text."""

    label: str
    text: str


def answer_choices(row: Mapping) -> tuple[Choice, ...]:
    """List what a row lets one choose from: its options, else the words its question names; empty for numbers.

    Rows without options (VSI-100k's) offer the directions of their level, or the objects in brackets in the question.
    A label may hold a comma ("cabinet, tall"): the row's `objects` tell where one ends. Without them more than four
    names in brackets are taken one by one and, since VSI-100k offers four objects, in neighbouring runs, too.
    Empty, too, where neither is found: then any short phrase is an answer.
    """
    if row["question_type"] in NUMERIC_TYPES:
        return ()
    if has_options(row):
        return tuple(_lettered(str(option), i) for i, option in enumerate(row["options"]))
    words = _SIDES.get(row["question_type"]) or _named(row)
    return tuple(Choice(same_words(word), word.strip()) for word in words)


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
    for match in _choice_pattern(choices).finditer(text):
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


def _spelled(text: str) -> str:
    """The pattern of a choice's text."""
    sides = same_words(text).split()
    if 1 <= len(sides) <= 2 and all(side in _DIRECTIONS for side in sides):
        one, *other = (_DIRECTIONS[side] for side in sides)
        return rf"(?:{one}{_AND_SIDE}{other[0]}|{other[0]}{_AND_SIDE}{one})" if other else one
    items = [same_words(item) for item in text.split(",")]
    return _NEXT.join(_SEPARATOR.join(map(re.escape, item.split())) for item in items if item)


@lru_cache(maxsize=4096)
def _choice_pattern(choices: tuple[Choice, ...]) -> re.Pattern:
    """A pattern of the options' texts, longest first, and of their letters; one, since "plan B" holds no letter."""
    texts = sorted(((same_words(c.text), i) for i, c in enumerate(choices)), key=lambda text: -len(text[0]))
    spelled = [rf"(?P<text{i}>{_spelled(choices[i].text)})" for text, i in texts if text]
    if choices and all(text.count(" ") == 1 and set(text.split()) <= set(_DIRECTIONS) for text, _ in texts):
        spelled.append(rf"(?P<side>{'|'.join(_DIRECTIONS.values())})")
    by_text = rf"(?i:(?<![\w-])(?:{'|'.join(spelled)})(?:e?s)?(?![\w-]))" if spelled else r"(?!)"
    upper = "".join(choice.label for choice in choices if re.fullmatch("[A-Z]", choice.label))
    if not upper:
        return re.compile(by_text)
    both = upper + upper.lower()
    word = "A-Za-z0-9_'"
    joined = "".join(
        rf"(?<={re.escape(before)})|" for before in ("or ", "and ", "be ", "/", ", ", "-", "|", "~", "& ", "? ")
    )
    return re.compile(
        rf"{by_text}|[(\[{{] ?(?P<bracketed>[{both}]) ?[)\]}}]"
        # "a" before a word is an article, unless the word is a joiner
        rf"|\A[\W_]*(?P<leading>(?![Aa] (?!{_NO_NOUN})\w)[{both}])(?![\w'-])[.):]?"
        rf"|\b(?:[Oo]ption|[Cc]hoice|[Ll]etter) (?P<named>[{both}])(?![\w'])[.):]?"
        rf"|(?<![{word}])(?P<marked>[{upper}])(?=[.):,;!?*\]}}/|~]|\s*\Z|\s*\n)[.):]?"
        rf"|(?<![{word}])(?P<plain>(?!A (?!{_NO_NOUN})\w)[{upper}])(?![{word}])"
        rf"|(?:{joined}(?<=\n)|(?<=maybe )|(?<=perhaps )|(?<=possibly ))"
        rf"(?P<joined>(?!a \w)[{upper.lower()}])(?![\w'-])[.):]?"
    )
