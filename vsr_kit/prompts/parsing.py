"""`parse_answer`: the answer in a model's text, or the reason why none can be read.

How vsGRPO read answers out of chains of thought is not stated, and VSI-Bench's own scorer sees only the first word, so
this reader is the kit's own. One principle governs its rules: a text that does not say one thing has no readable
answer.

1. Where to look. The last `<answer>` holds the answer; its closing tag may be missing. Without one, the text after
   `</think>` or `</observe>` counts, and thoughts alone are no answer: a chain that is never closed was cut off before
   its answer. In what remains, the text after the last "answer is", "answer:" or "option is" counts, or all of it if
   there is none; what another turn ("User: …") adds is cut off.
2. What is there. Markup is removed (markup.py), and candidates are found: numbers with their units (numbers.py), or
   options by letter or by text (candidates.py).
3. Which of them is meant. Candidates that are no answers are left out (wording.py): numbers of frames, steps and per
   cent, the numbers of a list, what is denied or compared with, remarks in brackets. The remaining ones must agree
   (candidates.py): hedges ("3 or maybe 4", "2~3", "A, B", "B) the text of A") and bounds ("at least 3") are ambiguous.

Two types that are not VSI-Bench's need a rule each. Where the farther pair is asked for, "farther" says what "closer"
says elsewhere, so the two change places in the text. And where objects within a limit are counted, a number of metres
is the limit.

The ground truth is never looked at. No text raises an error: failures come back as a reason, so that parse failures and
wrong answers can be counted separately. Time grows linearly with the length of a text: only the last `LONGEST_TEXT`
characters of a completion are read, as if the last tag before them stood at their beginning, and of these the
`LONGEST_ANSWER` behind the statement, or the last ones; a tag that holds more is ambiguous.

Mathematics has rules of its own from the second step on (mathematics.py), and a library that compares formulas.

Why no library reads the numbers: see the measurement in numbers.py.
Left out: judging by a model, conditions, and answers in languages other than English except for Chinese units.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from vsr_kit.prompts.candidates import Choice, answer_choices, find_choices, find_phrase, same_words, settle
from vsr_kit.prompts.markup import plain
from vsr_kit.prompts.mathematics import read_mathematics, same_formula
from vsr_kit.prompts.numbers import Mention, canonical_number, find_quantities
from vsr_kit.prompts.templates import has_options
from vsr_kit.questions import MATHEMATICS, NUMERIC_TYPES, QUESTION_TYPES

__all__ = ["REASONS", "SOURCES", "Choice", "Parsed", "answer_choices", "parse_answer", "same_answer", "same_words"]

EMPTY = "empty"
TRUNCATED = "truncated"
NO_ANSWER = "no answer"
AMBIGUOUS = "ambiguous"
NOT_A_NUMBER = "not a number"
NOT_AN_OPTION = "not an option"
REASONS = (EMPTY, TRUNCATED, NO_ANSWER, AMBIGUOUS, NOT_A_NUMBER, NOT_AN_OPTION)
SOURCES = ("answer_tag", "statement", "bare", "last_candidate")
# Characters. Training caps completions at 384 tokens, about 1,500 characters; an answer itself has a few dozen.
LONGEST_TEXT, LONGEST_ANSWER = 50_000, 2000

_TAG = re.compile(r"<\s?(/?)\s?(think|observe|answer)\s?>", re.IGNORECASE)
_STATEMENT = re.compile(
    r"\b(?:answer|option|choice)\b(?: to (?:the|this|"
    r"your) question)?(?P<unit> ?\(?in [a-z² ]{1,20}?\)?)?[*_\"'`$ \u00a0]{0,4}"
    r"(?:(?:is|would be|should be)\b|[:=])",
    re.IGNORECASE,
)
_OTHER_TURN = re.compile(
    r"(?:\n\s{0,8}(?:user|human|question|assistant|system|q)\s?:|<\|(?:im_end|im_start|endoftext)\|>)", re.IGNORECASE
)
_SO_STATED = re.compile(r"\W|\b(?:so|the|final|correct|my|and|then|that|or|therefore|thus|is|a|best)\b", re.IGNORECASE)
_OF_FARTHER, _WITHIN_LIMIT = "object_compare_distances", "object_count_within"
_COMPARED = re.compile(
    r"\b(?:(?P<far>farther|further|longer|larger|greater|farthest|furthest|longest|largest|greatest)|"
    r"(?P<near>closer|nearer|shorter|smaller|closest|nearest|shortest|smallest))\b",
    re.IGNORECASE,
)
_BARE_FILLER = re.compile(r"\W|\b(?:the|to|an?|option|about|approximately|around|roughly)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Parsed:
    """What was read.

    Attributes:
        value: the answer in canonical form: a number ("1.5", in the unit asked for), an option's letter, or a word;
            None if none could be read. A formula is as it was written (mathematics.py).
        reason: why not, one of `REASONS`; None if it could.
        kind: what the row asks for: `number`, `letter`, `word`, or `formula` (mathematics without options).
        source: where it was read, one of `SOURCES`; None if nothing was read.
    """

    value: str | None
    reason: str | None
    kind: str
    source: str | None


def parse_answer(text: str, row: Mapping) -> Parsed:
    """Read the answer to a row's question out of a completion; the module's docstring states the rules.

    Args:
        text: what the model wrote, in any format.
        row: its `question_type`, `options` and, where there are no options, `question` and `objects` are looked at.

    Raises:
        ValueError: if the row's question type is unknown; never because of the text.
        ImportError: a row of mathematics, and math-verify is not installed.
    """
    kind, nothing = _asked(row)
    *part, reason = _part_once(text) if len(text) <= LONGEST_ANSWER else _part(text)
    if reason:
        return Parsed(None, reason, kind, None)
    if row["question_type"] == MATHEMATICS:
        value, ambiguous = read_mathematics(*part[:2], row)
        why = AMBIGUOUS if ambiguous else nothing
        return Parsed(None, why, kind, None) if value is None else Parsed(value, None, kind, part[1])
    if kind == "word":
        return _read(*part, row)
    return _read_once(*part, row["question_type"], tuple(map(str, row["options"])) if kind == "letter" else ())


def _part(text: str) -> tuple[str, str, str | None, str | None]:
    """What is read of a completion: its part, the source, what stands before a statement, reason why there is none."""
    text = _end_of(text)
    segment, source, reason = _answer_segment(text)
    return segment, source, _before_statement(text) if source == "statement" else None, reason


# Many answers of a study are alike. What is kept of one is kept under all that decides it, and cannot be changed.
_part_once = lru_cache(maxsize=1 << 15)(_part)


@lru_cache(maxsize=1 << 15)
def _read_once(segment: str, source: str, before: str | None, question_type: str, options: tuple[str, ...]) -> Parsed:
    return _read(segment, source, before, {"question_type": question_type, "options": options})


def _read(segment: str, source: str, before: str | None, row: Mapping) -> Parsed:
    kind, nothing = _asked(row)
    readable = _readable(segment, row)
    readable = readable[-LONGEST_ANSWER:] if source == "last_candidate" else readable[:LONGEST_ANSWER]
    mentions = _find(readable, row, kind)
    if not mentions:
        return Parsed(None, nothing, kind, None)
    answer, ambiguous = settle(readable, mentions, source, lettered=kind != "number")
    if answer is None or (before is not None and _stated_before(before, answer, row, kind)):
        return Parsed(None, AMBIGUOUS if answer or ambiguous else nothing, kind, None)
    if source == "last_candidate" and "\\" not in segment and _is_bare(readable, mentions):
        source = "bare"
    return Parsed(answer.value, None, kind, source)


def same_answer(value: str, ground_truth: str, kind: str) -> bool:
    """Tell whether a parsed value is the ground truth: equal numbers, letters or formulas, or the same words."""
    if kind == "formula":
        return same_formula(value, ground_truth)
    if kind == "number":
        return canonical_number(float(value)) == canonical_number(float(ground_truth))
    if kind == "letter":
        return value.upper() == ground_truth.strip().upper()
    return same_words(value) == same_words(ground_truth)


def _asked(row: Mapping) -> tuple[str, str]:
    """What a row asks for, and the reason if it is not found."""
    question_type = row["question_type"]
    if question_type not in QUESTION_TYPES:
        raise ValueError(f"unknown question_type {question_type!r}: choose one of {', '.join(QUESTION_TYPES)}")
    if question_type in NUMERIC_TYPES:
        return "number", NOT_A_NUMBER
    if question_type == MATHEMATICS and not has_options(row):
        return "formula", NO_ANSWER
    return "letter" if has_options(row) else "word", NOT_AN_OPTION


def _find(text: str, row: Mapping, kind: str) -> list[Mention]:
    if kind == "number":
        found = find_quantities(text, row["question_type"])
        counts = [mention for mention in found if mention.dimension is None]
        return counts if counts and row["question_type"] == _WITHIN_LIMIT else found
    choices = answer_choices(row)
    return find_choices(text, choices) if choices else find_phrase(text)


def _readable(text: str, row: Mapping) -> str:
    """A text without markup, in which "closer" says of a choice that it is what is asked for."""
    text = plain(text)
    return _COMPARED.sub(_exchanged, text) if row["question_type"] == _OF_FARTHER else text


def _exchanged(match: re.Match) -> str:
    if match["far"]:
        return "closest" if match["far"].lower().endswith("st") else "closer"
    return "farthest" if match["near"].lower().endswith("st") else "farther"


def _end_of(text: str) -> str:
    """The end of a text that is looked at, behind the last tag of the part that is not."""
    text = text.strip()
    if len(text) <= LONGEST_TEXT:
        return text
    start = len(text) - LONGEST_TEXT
    left = text[:start].lower()
    tags = [f"<{slash}{name}>" for name in ("think", "observe", "answer") for slash in ("", "/")]
    last = max(tags, key=left.rfind)
    return (last if last in left else "") + text[start:]


def _answer_segment(text: str) -> tuple[str, str, str | None]:
    """Cut out the part of a completion that holds the answer: (part, source, reason why there is none)."""
    if not text:
        return "", "", EMPTY
    tags = [(match[1] + match[2].lower(), match) for match in _TAG.finditer(text)] if "<" in text else []
    answers = [match for name, match in tags if name == "answer"]
    if answers:
        return _tagged_answer(text, answers[-1].end(), tags)
    chain = [(name, match) for name, match in tags if "answer" not in name]
    if chain and not chain[-1][0].startswith("/"):
        return "", "", TRUNCATED
    rest = _TAG.sub(" ", text[chain[-1][1].end() :]) if tags and chain else _TAG.sub(" ", text) if tags else text
    rest = rest.strip()
    if not rest:
        return "", "", NO_ANSWER
    turn = _OTHER_TURN.search(rest)
    if turn and turn.start():
        rest = rest[: turn.start()]
    statement = None
    for statement in _STATEMENT.finditer(rest):  # noqa: B007, the last one is wanted
        pass
    if statement is None:
        return rest[-LONGEST_ANSWER:], "last_candidate", None
    stated = rest[statement.start("unit") if statement["unit"] else statement.end() :].strip()[:LONGEST_ANSWER]
    return stated, "statement", None if rest[statement.end() :].strip() else TRUNCATED


def _tagged_answer(text: str, start: int, tags: list) -> tuple[str, str, str | None]:
    closing = next((match for name, match in tags if name == "/answer" and match.start() >= start), None)
    held = _TAG.sub(" ", text[start : closing.start() if closing else len(text)]).strip()
    if len(held) > LONGEST_ANSWER:
        return "", "", AMBIGUOUS
    if held:
        return held, "answer_tag", None
    return "", "", EMPTY if closing else TRUNCATED


def _before_statement(text: str) -> str | None:
    """What stands between the last two statements; None where there is one."""
    statements = list(_STATEMENT.finditer(text))
    return text[statements[-2].end() : statements[-1].start()][:200] if len(statements) > 1 else None


def _stated_before(before: str, answer: Mention, row: Mapping, kind: str) -> bool:
    """Whether the statement right before the last one states another answer ("The answer is 2. The answer is 3.")."""
    between = _readable(before, row)
    mentions = _find(between, row, kind)
    values = {mention.value for mention in mentions}
    if len(values) != 1 or values == {answer.value}:
        return False
    edges = [Mention("", 0, 0), *mentions, Mention("", len(between), len(between))]
    return not _SO_STATED.sub("", " ".join(between[a.end : b.start] for a, b in pairwise(edges)))


def _is_bare(text: str, mentions: list[Mention]) -> bool:
    """Whether a text is one answer and nothing else."""
    if len({mention.value for mention in mentions}) > 1:
        return False
    edges = [Mention("", 0, 0), *mentions, Mention("", len(text), len(text))]
    return not _BARE_FILLER.sub("", " ".join(text[a.end : b.start] for a, b in pairwise(edges)))
