"""`parse_answer`: what did the model answer, and if nothing can be read, why not?

How vsGRPO read answers out of chains is not stated, and VSI-Bench's own scorer sees only the first word. So this reader
is ours, and its rules are few:

1. The last `<answer>` holds the answer. It may lack its closing tag; it may not hold two different answers.
2. Without one, text after `</think>` or `</observe>` counts, and thoughts alone are no answer. A chain that is never
   closed was cut off before its answer.
3. In what remains, the first candidate after the last "answer is", "answer:" or "option is" counts, else the last
   candidate of all. Candidates are numbers, or the options by letter or by text, whichever the row asks for.
4. Two different candidates joined as alternatives ("3 or 4", "3-4", "A, B", "B) the text of A") are ambiguous.

The ground truth is never looked at. Any text is read without an error: failures come back as a reason, so that parse
failures and wrong answers can be counted apart.
Left out: judging by a model, negation ("not A"), and answers in other languages than English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from vsr_kit.prompts.numbers import Mention, canonical_number, find_numbers
from vsr_kit.prompts.templates import has_options
from vsr_kit.questions import NUMERIC_TYPES, QUESTION_TYPES

EMPTY = "empty"
TRUNCATED = "truncated"
NO_ANSWER = "no answer"
AMBIGUOUS = "ambiguous"
NOT_A_NUMBER = "not a number"
NOT_AN_OPTION = "not an option"
REASONS = (EMPTY, TRUNCATED, NO_ANSWER, AMBIGUOUS, NOT_A_NUMBER, NOT_AN_OPTION)
SOURCES = ("answer_tag", "statement", "bare", "last_candidate")

_TAG = re.compile(r"< ?(/?) ?(think|observe|answer) ?>", re.IGNORECASE)
_STATEMENT = re.compile(
    r"\b(?:answer|option|choice)\b(?: to (?:the|this|your) question)?[*_ ]{0,3}(?:(?:is|would be|should be)\b|[:=])",
    re.IGNORECASE,
)
_JOINED = re.compile(r"[ ,;/&-]*(?:\b(?:or|and|to|by|x|vs)\b ?|× ?)?(?:\b(?:the|an?)\b ?)?", re.IGNORECASE)
_SEPARATOR = r"[\W_]+"
_FILLER = re.compile(r"\W|\b(?:the|to|an?|option|about|approximately|around|roughly)\b", re.IGNORECASE)
_SPELLING = {ord(dash): "-" for dash in "−–—‐‑‒﹣－"} | {ord(space): " " for space in "\t\u00a0\u2007\u2009\u202f"}
_SIDES = {
    "object_rel_direction_easy": ("left", "right"),
    "object_rel_direction_medium": ("left", "right", "back"),
    "object_rel_direction_hard": ("front-left", "front-right", "back-left", "back-right"),
}


@dataclass(frozen=True)
class Parsed:
    """What was read.

    Attributes:
        value: the answer in canonical form: a number ("1.5", in the unit asked for), an option's letter, or a word;
            None if none could be read.
        reason: why not, one of `REASONS`; None if it could.
        kind: what the row asks for: `number`, `letter` or `word`.
        source: where it was read, one of `SOURCES`; None if nothing was read.
    """

    value: str | None
    reason: str | None
    kind: str
    source: str | None


@dataclass(frozen=True)
class Choice:
    """One option: the label it is recorded by (a letter, or the word itself without letters), and its text."""

    label: str
    text: str


def parse_answer(text: str, row: Mapping) -> Parsed:
    """Read the answer to a row's question out of a completion; the module's docstring states the rules.

    Args:
        text: what the model wrote, in any format.
        row: its `question_type`, `options` and, where there are no options, `question` are looked at.

    Raises:
        ValueError: if the row's question type is unknown; never because of the text.
    """
    kind, find, nothing = _reader(row)
    segment, source, reason = _answer_segment(_plain(text))
    if reason:
        return Parsed(None, reason, kind, None)
    mentions = find(segment)
    if not mentions:
        return Parsed(None, nothing, kind, None)
    picked = 0 if source == "statement" else len(mentions) - 1
    rivals = mentions if source == "answer_tag" else _joined_to(picked, mentions, segment)
    if len({rival.value for rival in rivals}) > 1:
        return Parsed(None, AMBIGUOUS, kind, None)
    if source == "last_candidate" and _is_bare(segment, mentions):
        source = "bare"
    return Parsed(mentions[picked].value, None, kind, source)


def answer_choices(row: Mapping) -> tuple[Choice, ...]:
    """List what a row lets one choose from: its options, else the words its question names; empty for numbers.

    Rows without options (VSI-100k's) offer the directions of their level, or the objects in brackets in the question.
    Empty, too, where neither is found: then any short phrase is an answer.
    """
    if row["question_type"] in NUMERIC_TYPES:
        return ()
    if has_options(row):
        return tuple(_lettered(str(option), i) for i, option in enumerate(row["options"]))
    words = _SIDES.get(row["question_type"])
    if words is None:
        bracketed = re.search(r"\(([^()]*,[^()]*)\)", row["question"])
        words = bracketed[1].split(",") if bracketed else ()
    return tuple(Choice(same_words(word), word.strip()) for word in words)


def same_answer(value: str, ground_truth: str, kind: str) -> bool:
    """Tell whether a parsed value is the ground truth: equal numbers, letters, or words however punctuated."""
    if kind == "number":
        return canonical_number(float(value)) == canonical_number(float(ground_truth))
    if kind == "letter":
        return value.upper() == ground_truth.strip().upper()
    return same_words(value) == same_words(ground_truth)


def same_words(text: str) -> str:
    """Spell a phrase the one way phrases are compared: lower case, words apart by one space, no punctuation."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def _plain(text: str) -> str:
    return re.sub(r" {2,}", " ", text.translate(_SPELLING))


def _answer_segment(text: str) -> tuple[str, str, str | None]:
    """Cut out the part of a completion that holds the answer: (part, source, reason why there is none)."""
    if not text.strip():
        return "", "", EMPTY
    tags = [(match[1] + match[2].lower(), match) for match in _TAG.finditer(text)]
    answers = [match for name, match in tags if name == "answer"]
    if answers:
        return _tagged_answer(text, answers[-1].end(), tags)
    chain = [(name, match) for name, match in tags if "answer" not in name]
    if chain and not chain[-1][0].startswith("/"):
        return "", "", TRUNCATED
    rest = _TAG.sub(" ", text[chain[-1][1].end() :] if chain else text)
    if not rest.strip():
        return "", "", NO_ANSWER
    statements = list(_STATEMENT.finditer(rest))
    if not statements:
        return rest, "last_candidate", None
    stated = rest[statements[-1].end() :]
    return stated, "statement", None if stated.strip() else TRUNCATED


def _tagged_answer(text: str, start: int, tags: list) -> tuple[str, str, str | None]:
    closing = next((match for name, match in tags if name == "/answer" and match.start() >= start), None)
    held = _TAG.sub(" ", text[start : closing.start() if closing else len(text)])
    if held.strip():
        return held, "answer_tag", None
    return "", "", EMPTY if closing else TRUNCATED


def _joined_to(picked: int, mentions: list[Mention], text: str) -> list[Mention]:
    """The run of mentions, around the picked one, that are strung together as alternatives."""
    joined = [bool(_JOINED.fullmatch(text[a.end : b.start])) for a, b in pairwise(mentions)]
    first = last = picked
    while first > 0 and joined[first - 1]:
        first -= 1
    while last < len(joined) and joined[last]:
        last += 1
    return mentions[first : last + 1]


def _is_bare(text: str, mentions: list[Mention]) -> bool:
    """Whether a text is one answer and nothing else."""
    if len({mention.value for mention in mentions}) > 1:
        return False
    edges = [Mention("", 0, 0), *mentions, Mention("", len(text), len(text))]
    return not _FILLER.sub("", " ".join(text[a.end : b.start] for a, b in pairwise(edges)))


def _reader(row: Mapping) -> tuple[str, Callable[[str], list[Mention]], str]:
    """What a row asks for, the function that finds candidates for it, and what to say if there is none."""
    question_type = row["question_type"]
    if question_type not in QUESTION_TYPES:
        raise ValueError(f"unknown question_type {question_type!r}: VSI-Bench has {', '.join(QUESTION_TYPES)}")
    if question_type in NUMERIC_TYPES:
        return "number", lambda text: find_numbers(text, question_type), NOT_A_NUMBER
    choices = answer_choices(row)
    find = (lambda text: _find_choices(text, choices)) if choices else _find_phrase
    return "letter" if has_options(row) else "word", find, NOT_AN_OPTION


def _lettered(option: str, place: int) -> Choice:
    match = re.match(r"\s*\(?([A-Za-z])\s*[.):]\s*(.*)", option, re.DOTALL)
    return Choice(match[1].upper(), match[2].strip()) if match else Choice(chr(ord("A") + place), option.strip())


def _find_phrase(text: str) -> list[Mention]:
    """With nothing to choose from, a phrase of at most four words up to the end of its clause."""
    match = re.search(r"[^\s.,;:!?*][^.,;:!?*\n]*", text)
    words = re.sub(r"^(?:the|an?) ", "", same_words(match[0])) if match else ""
    return [Mention(words, match.start(), match.end())] if words and len(words.split()) <= 4 else []


def _find_choices(text: str, choices: tuple[Choice, ...]) -> list[Mention]:
    found = []
    for match in _choice_pattern(choices).finditer(text):
        name = match.lastgroup  # "text2" is the third option's text; every other group holds a letter
        label = choices[int(name[4:])].label if name.startswith("text") else match[name].upper()
        found.append(Mention(label, *match.span()))
    return found


@lru_cache(maxsize=4096)
def _choice_pattern(choices: tuple[Choice, ...]) -> re.Pattern:
    """A pattern of the options' texts, longest first, and of their letters; one, since "plan B" holds no letter."""
    texts = sorted(((same_words(c.text), i) for i, c in enumerate(choices)), key=lambda text: -len(text[0]))
    spelled = [rf"(?P<text{i}>{_SEPARATOR.join(map(re.escape, text.split()))})" for text, i in texts if text]
    by_text = rf"(?i:(?<![\w-])(?:{'|'.join(spelled)})(?:e?s)?(?![\w-]))" if spelled else r"(?!)"
    upper = "".join(choice.label for choice in choices if len(choice.label) == 1)
    if not upper:
        return re.compile(by_text)
    both = upper + upper.lower()
    return re.compile(
        rf"{by_text}|[(\[] ?(?P<bracketed>[{both}]) ?[)\]]"
        rf"|\A[\W_]*(?P<leading>(?![Aa] \w)[{both}])(?![\w'-])[.):]?"
        rf"|\b(?:[Oo]ption|[Cc]hoice|[Ll]etter) (?P<named>[{both}])(?![\w'])[.):]?"
        rf"|(?<![\w'])(?P<marked>[{upper}])(?=[.):,;!?*\]}}]|\s*\Z|\s*\n)[.):]?"
        # "A" before a word is an article, unless the word is one of these
        rf"|(?<![\w'])(?P<plain>(?!A (?!(?:is|was|because|since|or|and|as)\b))[{upper}])(?![\w'])"
    )
