"""Numbers as models write them: digits or words, with or without a unit.

`find_numbers` reads what a person would read: `1,234.5`, `.5`, `1e2`, `twenty-one`, `two and a half`, `150 cm`. A unit
of the dimension asked for is converted (`150 cm` is 1.5 where metres are asked for); any other unit is ignored.
`lmms_eval_number` reads what lmms-eval reads, quirks included, because scores are compared with it.
Left out: fractions (`1/2` counts as two numbers), Roman numerals, feet with inches, decimal commas, other languages.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

_UNITS = "one two three four five six seven eight nine".split()
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBER_WORDS = (
    {"zero": 0, "hundred": 100, "thousand": 1000}
    | {word: i for i, word in enumerate([*_UNITS, *_TEENS], 1)}
    | {word: 10 * i for i, word in enumerate(_TENS, 2)}
)

# unit -> (dimension, size in metres or square metres); longer spellings first, since the first that fits is taken
_LENGTH_OR_AREA = [
    (r"square[ -](?:meter|metre)s?|sq\.? ?m(?:eters?|etres?)?\.?|m²|m\^2|m2|sqm", ("area", 1.0)),
    (r"square[ -](?:foot|feet)|sq\.? ?(?:ft|feet|foot)\.?|ft²|ft\^2|ft2|sqft", ("area", 0.09290304)),
    (r"square[ -]centi(?:meter|metre)s?|cm²|cm\^2|cm2", ("area", 1e-4)),
    (r"milli(?:meter|metre)s?|mm", ("length", 1e-3)),
    (r"centi(?:meter|metre)s?|cms?", ("length", 1e-2)),
    (r"meters?|metres?|m", ("length", 1.0)),
    (r"inch(?:es)?", ("length", 0.0254)),  # not "in": it is a preposition far more often
    (r"feet|foot|ft", ("length", 0.3048)),
]
_ASKED = {
    "object_abs_distance": ("length", 1.0),
    "object_size_estimation": ("length", 0.01),
    "room_size_estimation": ("area", 1.0),
}

_UNIT, _TEEN, _TEN = ("|".join(words) for words in (_UNITS, _TEENS, _TENS))
_BELOW_100 = rf"(?:(?:{_TEN})(?:[ -](?:{_UNIT}))?|{_TEEN}|{_UNIT}|zero)"
_BELOW_1000 = rf"(?:(?:(?:{_UNIT})|a) hundred(?:(?: and)? {_BELOW_100})?|{_BELOW_100})"
_WORDS = rf"(?P<words>(?:(?:{_BELOW_1000}|a) thousand(?:(?: and)? {_BELOW_1000})?|{_BELOW_1000}))(?![\w-])"
_POINT = rf"(?: point(?P<decimals>(?: (?:{_UNIT}|zero))+)\b)?"
# possessive (++), so that "21st" is not read as 2
_DIGITS = (
    r"(?P<digits>(?<!\w)(?<!\d\.)[-+]?(?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)?(?:e[-+]?\d++)?"
    r"|(?<![\w.])[-+]?\.\d++)(?!(?:st|nd|rd|th|d)\b)"  # 1st, 2nd, 3D are no quantities
)
_MEASURE = "|".join(f"(?P<unit{i}>{spelling})" for i, (spelling, _) in enumerate(_LENGTH_OR_AREA))
_NUMBER = re.compile(
    rf"(?:{_DIGITS}|(?<![\w-]){_WORDS}{_POINT})(?P<half> and a half\b)?(?: ?-?(?:{_MEASURE})(?![\w²^]))?",
    re.IGNORECASE | re.ASCII,  # ASCII, or "ſix" would match "six" and not be found among the words
)
# "the one by the door" names a thing
_PRONOUN = re.compile(r"\b(?:the|this|that|each|every|any|no|another|other|last|first|which|next) $", re.IGNORECASE)


@dataclass(frozen=True)
class Mention:
    """One candidate answer in a text: its canonical value, and the span it was read from."""

    value: str
    start: int
    end: int


def find_numbers(text: str, question_type: str) -> list[Mention]:
    """Find the finite numbers of a text in order, converted to the unit the question type asks for.

    Number words count only where the text has no digits, since chains use them loosely ("one of them").

    Args:
        text: with plain hyphens and single spaces.
        question_type: decides the unit: metres, centimetres, square metres, or none for counts.
    """
    found = list(_NUMBER.finditer(text))
    if any(match["digits"] for match in found):
        found = [match for match in found if match["digits"]]
    else:
        found = [m for m in found if m["words"].lower() != "one" or not _PRONOUN.search(text[: m.start()][-12:])]
    values = [(_value_of(match) * _factor(match, question_type), match) for match in found]
    return [Mention(canonical_number(v), match.start(), match.end()) for v, match in values if math.isfinite(v)]


def canonical_number(value: float) -> str:
    """Write a number the one way it is compared: `30.0`, `30` and `3e1` are all `30`; ten significant digits."""
    return np.format_float_positional(float(f"{value:.10g}"), trim="-")


def words_value(words: list[str]) -> int:
    """Add up English number words: `["three", "hundred", "twenty", "one"]` is 321."""
    total, current = 0, 0
    for value in (NUMBER_WORDS[word] for word in words):
        if value == 1000:
            total, current = total + max(current, 1) * 1000, 0
        else:
            current = max(current, 1) * 100 if value == 100 else current + value
    return total + current


def lmms_eval_number(text: str) -> float | None:
    """Read the first digit or number word anywhere in a text, as lmms-eval (0.7.3, MIT) does for VSI-Bench.

    Its quirks are kept: `.5` is 5, `1,234` is 1, `3-4` is 3, `one, two` is 3, and no unit is looked at.
    """
    text = text.strip().lower()
    digits = re.search(r"-?\d+(?:\.\d+)?", text)
    tokens = list(re.finditer(r"[a-z]+", text))
    first = next((i for i, token in enumerate(tokens) if token[0] in NUMBER_WORDS), None)
    if digits and (first is None or digits.start() < tokens[first].start()):
        return float(digits[0])
    if first is None:
        return None
    words = []
    for token in tokens[first:]:
        if token[0] in NUMBER_WORDS:
            words.append(token[0])
        elif token[0] != "and":
            break
    return float(words_value(words))


def _value_of(match: re.Match) -> float:
    if match["digits"]:
        value = float(match["digits"].replace(",", ""))
    else:
        value = float(words_value([w for w in re.findall(r"[a-z]+", match["words"].lower()) if w in NUMBER_WORDS]))
        if match["decimals"]:
            digits = "".join(str(NUMBER_WORDS[word]) for word in match["decimals"].lower().split())
            value += float(f"0.{digits}")
    return value + 0.5 if match["half"] else value


def _factor(match: re.Match, question_type: str) -> float:
    """What to multiply a number by to get from the unit it is stated in to the one asked for."""
    stated = next((size for i, (_, size) in enumerate(_LENGTH_OR_AREA) if match[f"unit{i}"]), None)
    asked = _ASKED.get(question_type)
    if stated is None or asked is None or stated[0] != asked[0]:
        return 1.0
    return stated[1] / asked[1]
