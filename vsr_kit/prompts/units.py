"""Units of length and area, however models spell them, and what they are worth in the unit a question asks for.

Spellings are those seen in answers: whole words, abbreviations with and without full stops, exponents, feet and inches
by their marks, and the Chinese words that Qwen falls back to.
Left out: units nobody gives a room in (light years, acres), and every other dimension: a unit that is not here is text.
"""

from __future__ import annotations

import re

_METRE = r"(?:met(?:er|re)s?|mtrs?|mts?)"
_SQUARED = r"(?: ?\^ ?2|2| squared|[ -]?sq(?:uared?)?)"
_SQUARE = r"(?:square|sq\.?)[ -]?"

# (spelling, dimension, size in metres or square metres); the first that fits is taken, so areas come before lengths
UNITS: tuple[tuple[str, str, float], ...] = (
    (rf"{_SQUARE}(?:centi{_METRE}|cms?)|(?:centi{_METRE}|cms?\.?){_SQUARED}|平方厘米", "area", 1e-4),
    (rf"{_SQUARE}(?:feet|foot|ft)|sq\.?ft\.?|(?:feet|foot|ft\.?){_SQUARED}|平方英尺", "area", 0.09290304),
    (rf"{_SQUARE}(?:yards?|yds?)|(?:yards?|yds?\.?){_SQUARED}", "area", 0.83612736),
    (rf"{_SQUARE}(?:inch(?:es)?|in)|(?:inch(?:es)?|in\.?){_SQUARED}", "area", 0.00064516),
    (rf"{_SQUARE}(?:{_METRE}|m)|sqm|(?:{_METRE}|m\.?){_SQUARED}|平方米|平米|平方公尺", "area", 1.0),
    (rf"(?:{_METRE}|m)(?: ?\^ ?3|3\b)|cubic[ -]{_METRE}|立方米", "volume", 1.0),
    (rf"kilo{_METRE}|kms?|k\.m\.|公里|千米", "length", 1000.0),
    (rf"milli{_METRE}|mms?|m\.m\.|毫米", "length", 1e-3),
    (rf"centi{_METRE}|cms?|c\.m\.|cent(?:im)?s?(?=\.)|厘米|公分", "length", 1e-2),
    (rf"deci{_METRE}|dms?|分米", "length", 0.1),
    (rf"{_METRE}|m|米|公尺", "length", 1.0),
    # "in" is a preposition far more often: only where nothing follows that it could belong to
    (r"inch(?:es)?|in(?=\W*\Z|\. |[,;)\]}\n])|英寸", "length", 0.0254),
    (r"feet|foot|ft|英尺", "length", 0.3048),
    (r"yards?|yds?|码", "length", 0.9144),
)

_ASKED = {
    "object_abs_distance": ("length", 1.0),
    "object_size_estimation": ("length", 0.01),
    "room_size_estimation": ("area", 1.0),
}

# what may stand between a number and its unit: brackets, quotes, a comma, a line break, and "in" within brackets
BETWEEN = r"[\s\"'(\[{)\]},\\~_-]{0,6}?(?:in )?"
_ENDS = r"(?![^\W\u4e00-\u9fff]|\^)"  # a letter or digit would make it another word; Chinese has no spaces
_NAMES = [f"u{i}" for i in range(len(UNITS))]
ANY_UNIT = (
    "(?:" + "|".join(f"(?P<{n}>{spelled})" for n, (spelled, *_) in zip(_NAMES, UNITS, strict=True)) + rf"){_ENDS}"
)
UNIT_AFTER = re.compile(rf"{BETWEEN}{ANY_UNIT}", re.IGNORECASE)
# "Distance (cm): 150", "in centimeters: 150", "The distance in cm is 150", "cm = 150"
UNIT_BEFORE = re.compile(
    rf"(?:[(\[] ?(?:in )?|\bin |(?<![\w'-]))(?:{ANY_UNIT})[ )\]\"']*(?:is |are |of |equals |[:=] ?|\n ?)"
    r"(?:about |around |approximately |roughly |~ ?|≈ ?)?\Z",
    re.IGNORECASE,
)

# a field of its own, as in {"answer": 150, "unit": "cm"}
UNIT_NAMED = re.compile(rf"\bunits?\b[\s\"':=(]{{1,6}}(?:is |are |in )?{ANY_UNIT}", re.IGNORECASE)


def unit_of(match: re.Match) -> tuple[str, float]:
    """The dimension, and the size in metres or square metres, of the unit that one of the patterns found."""
    name = match.lastgroup or ""
    _, dimension, size = UNITS[int(name[1:])]
    return dimension, size


def asked_unit(question_type: str) -> tuple[str, float] | None:
    """The dimension and the size of the unit a type of question asks for; None for counts."""
    return _ASKED.get(question_type)


def mark_unit(text: str, start: int, end: int) -> float | None:
    """The size of the foot or inch whose mark follows a number (`6'`, `74"`), None if it is a quotation's end.

    A mark that closes what was opened within the 200 characters before the number is a quotation's.
    """
    mark = text[end : end + 1]
    if (
        mark not in ("'", '"')
        or not mark
        or (text[start - 1 : start] in ("'", '"') and text[start - 2 : start - 1] in ("", " "))
    ):
        return None
    if text[end + 1 : end + 2].isalpha():
        return None
    opened = [m for m in re.finditer(mark, text[max(0, start - 200) : start]) if not _is_mark_or_apostrophe(m)]
    if len(opened) % 2:
        return None
    return 0.3048 if mark == "'" else 0.0254


def _is_mark_or_apostrophe(match: re.Match) -> bool:
    before, after = match.string[match.start() - 1 : match.start()], match.string[match.end() : match.end() + 1]
    return before.isdigit() or (before.isalpha() and after.isalpha())
