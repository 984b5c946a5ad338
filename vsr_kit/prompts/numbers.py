"""Numbers as models write them, in digits or words, with their units.

`find_numbers` reads what a person would read, and converts it to the unit that a question asks for:

- digits: `1,234.5`, `.5`, `1e2`; a mixed fraction (`1½`, `2 1/2`), and a plain one with a unit behind it (`1/2 m`);
- words: `twenty-one`, `hundred and fifty`, `one point five`, `point five`, `two and a half`, `three quarters`;
- a unit behind the number or before it, with or without markup between them (`150 (cm)`, `Distance (cm): 150`), is
  converted if it has the dimension asked for and ignored otherwise; consecutive units form one length (`6'2"`, `1 m 50
  cm`);
- a tolerance (`± 0.2 m`, `give or take 1`) belongs to the number before it and is not a number of its own.

Units are spelled as seen in answers: whole words, abbreviations with and without full stops, exponents, the marks for
feet and inches, and the Chinese words that Qwen sometimes writes. A number too large for a float is not read.

Why no library is used: of 62 answers in units, words, LaTeX and hedges this module reads all correctly; pint 0.25 and
word2number 1.1 read 19 (most by reading nothing: they take an expression and raise on a sentence), numerizer 0.2 with a
search for digits 2. None knows hedges, tolerances or numbers of other things, which is where the work is. Per answer of
the shipped study this reader takes 0.07 ms, pint 0.24, numerizer 0.29; for a megabyte of text it takes under 0.1 s,
those two over 20 s. HTML characters are left to `html.unescape`.

Left out: units that nobody gives a room in (light years, acres) and other dimensions, which are read as text; thirds
and the like in words, Roman numerals, decimal commas (`1,5` is two numbers), other languages.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np

from vsr_kit.prompts.number_words import NUMBER_WORDS, ONES, TEENS, TENS, lmms_eval_number, words_value
from vsr_kit.questions.types import ANSWER_UNITS

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
    return ANSWER_UNITS.get(question_type)


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


__all__ = ["Mention", "canonical_number", "find_numbers", "find_quantities", "lmms_eval_number", "words_value"]

_PARTS = {"half": 2, "halve": 2, "quarter": 4, "fourth": 4, "fifth": 5, "eighth": 8, "tenth": 10}

_UNIT, _TEEN, _TEN = ("|".join(words) for words in (ONES, TEENS, TENS))
_BELOW_100 = rf"(?:(?:{_TEN})(?:[ -](?:{_UNIT}))?|{_TEEN}|{_UNIT}|zero)"
_BELOW_1000 = rf"(?:(?:(?:{_UNIT}|a) )?hundred(?:(?: and)? {_BELOW_100})?|{_BELOW_100})"
_WORDS = rf"(?:(?:{_BELOW_1000}|a) thousand(?:(?: and)? {_BELOW_1000})?|{_BELOW_1000}|thousand)(?![\w-])"
_SPOKEN = rf"(?: point(?P<decimals>(?: (?:{_UNIT}|zero|oh)\b)+|(?: (?:{_TEN})(?:[ -](?:{_UNIT}))?\b)| \d{{1,9}}\b))?"
_NUMBER = re.compile(
    # 3/2 as a fraction, alone or mixed: 1 1/2; \u2044 is what typographic and LaTeX fractions became
    r"(?<![\w.,/])(?<!\d )(?:(?P<whole>\d{1,6})(?: and |"
    r"[ -]))?(?P<num>\d{1,6}) ?(?P<bar>[⁄/]) ?"
    r"(?P<den>\d{1,6})(?![\d/])(?: of an?\b)?"
    # digits: possessive (++), so that no digit is read twice
    r"|(?P<digits>(?<![\w^])(?<!\d\.)(?:(?<![+/±])[-+])?(?:\d++(?:,\d++)*+(?:\.\d++)?|(?<![\w.])\.\d++)(?:e[-+]?\d++)?)"
    r"(?: point (?P<after_point>\d{1,9})\b)?"
    # words
    rf"|(?<![\w-])(?:(?P<some>half(?= an? | of | ?-?[cm])|(?:an?|{_UNIT})[ -](?P<part>half|halves|quarters?|fourths?|"
    r"fifths?|eighths?|tenths?))\b(?: of)?(?: an?\b)?"
    rf"|(?P<words>{_WORDS}){_SPOKEN}|(?P<lead>oh |nought |naught |nil )?"
    rf"point(?P<only_point>(?: (?:{_UNIT}|zero)\b)+| \d{{1,9}}\b)"
    r"|(?<!of )(?P<one>an?)(?= (?:centi|milli|deci)?(?:met(?:er|re)|foot|yard)\b))",
    re.IGNORECASE | re.ASCII,  # ASCII, or "ſix" would match "six" and not be found among the words
)
_MORE = re.compile(r" and (?P<some>a |one |three )?(?P<part>half|quarters?)\b(?! of)", re.IGNORECASE)
_THOUSANDS = re.compile(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?:e[-+]?\d+)?\Z", re.IGNORECASE)
_ORDINAL = re.compile(r"(?:st|nd|rd|th|d)\b", re.IGNORECASE)  # 1st, 2nd, 3D are no quantities
_OF_PARTS = re.compile(
    r"[ -](?P<part>halves|quarters|fourths|fifths|eighths|tenths)\b(?: of)?(?: an?\b)?", re.IGNORECASE
)
_NO_PART = re.compile(r"[ -](?:thirds?|sixths?|sevenths?|ninths?|twelfths?)\b", re.IGNORECASE)
# "the one by the door" names a thing
_PRONOUN = re.compile(r"\b(?:the|this|that|each|every|any|no|another|other|last|first|which|next) $", re.IGNORECASE)
_BEFORE_POINT = re.compile(r"(?:\A|[^\w\s]\s*|\b(?:is|be|of|about|around|approximately|roughly|nearly|almost) )\Z")
_TOLERANCE = re.compile(
    r"[\s(\[,;]*(?:±|\+ ?/? ?-|(?:plus|\+)(?: or |/| ?)(?:minus|-)|give or take|"
    r"(?:with )?(?:in|an? )?(?:error|tolerance|uncertainty|margin)(?: of error)?(?: of)?:?)[\s\w]{0,7}",
    re.IGNORECASE,
)
_CONTINUED = re.compile(r",? ?(?:and )?")
_LOOK_BACK = 60


@dataclass(frozen=True)
class Mention:
    """One candidate answer in a text.

    Attributes:
        value: in canonical form; empty for what can be no answer but stands beside one, like an endless number.
        start, end: the span it was read from.
        in_words: whether it is a number spelled in words.
        dimension: of the unit it came with (`length`, `area`, `volume`); None without one.
        size: of that unit, in metres or square metres.
        converted: whether it came with a unit of the dimension asked for.
    """

    value: str
    start: int
    end: int
    in_words: bool = False
    dimension: str | None = None
    size: float | None = None
    converted: bool = False


@dataclass(frozen=True)
class _Quantity:
    number: float
    start: int
    end: int
    in_words: bool = False
    dimension: str | None = None
    size: float | None = None


def find_numbers(text: str, question_type: str) -> list[Mention]:
    """Find the finite numbers of a text in order, converted to the unit the question type asks for.

    Number words count only where the text has no digits, since chains use them loosely ("one of them").

    Args:
        text: as `vsr_kit.prompts.markup.plain` writes it: plain hyphens, single spaces, no markup.
        question_type: decides the unit: metres, centimetres, square metres, or none for counts.
    """
    found = [mention for mention in find_quantities(text, question_type) if mention.value]
    return [mention for mention in found if not mention.in_words] or found


def find_quantities(text: str, question_type: str) -> list[Mention]:
    """Find all numbers of a text, in digits and words, endless ones (with an empty value) too; see `find_numbers`."""
    found: list[_Quantity] = []
    for match in _NUMBER.finditer(text):
        for quantity in _quantities(match, text):
            if not found or quantity.start >= found[-1].end:  # else it is part of a unit, as in m^2
                _add(quantity, found, text)
    if len(found) == 1 and found[0].dimension is None and (named := UNIT_NAMED.search(text)):
        dimension, size = unit_of(named)
        found[0] = replace(found[0], dimension=dimension, size=size)
    return [_mention(quantity, question_type) for quantity in found]


def canonical_number(value: float) -> str:
    """Write a number the one way it is compared: `30.0`, `30` and `3e1` are all `30`; ten significant digits."""
    return np.format_float_positional(float(f"{value:.10g}"), trim="-")


def _quantities(match: re.Match, text: str) -> list[_Quantity]:
    """What a match of `_NUMBER` holds: one number, several where commas or a slash only list them, or none."""
    start, end = match.span()
    if match["bar"]:
        return _fraction(match, text)
    if match["digits"]:
        return _digits(match, text)
    if match["words"]:
        loose = match["words"].lower() == "one" and _PRONOUN.search(text, max(0, start - 12), start)
        return [] if loose or _NO_PART.match(text, end) else [_Quantity(_words(match), start, end, in_words=True)]
    if match["only_point"]:
        return _only_point(match, text)
    number = 1.0 if match["one"] else _part(match)
    unit = UNIT_AFTER.match(text, end)
    several = match["some"] and match["part"] and match["some"].lower()[:2] not in ("a ", "a-", "an")
    return [_Quantity(number, start, end, in_words=True)] if number and (unit or several) else []


def _fraction(match: re.Match, text: str) -> list[_Quantity]:
    start, end = match.span()
    top, bottom, whole = int(match["num"]), int(match["den"]), int(match["whole"] or 0)
    proper = bottom > 0 and (match["bar"] == "⁄" or top < bottom)
    if proper and (match["bar"] == "⁄" or match["whole"] or UNIT_AFTER.match(text, end)):
        return [_Quantity(whole + top / bottom, start, end)]
    names = [name for name in ("whole", "num", "den") if match[name]]
    return [_Quantity(float(match[name]), *match.span(name)) for name in names]


def _digits(match: re.Match, text: str) -> list[_Quantity]:
    start, end = match.span("digits")
    run = match["digits"]
    if _ORDINAL.match(text, end):
        run = run.rpartition(",")[0]
        if not run:
            return []
    if match["after_point"] and run.isdigit():
        return [_Quantity(float(f"{run}.{match['after_point']}"), start, match.end())]
    if "," not in run or _THOUSANDS.match(run):
        number, end = _float(run.replace(",", "")), start + len(run)
        if parts := _OF_PARTS.match(text, end):  # 3 quarters of a meter
            return [_Quantity(number / _PARTS[parts["part"].lower().removesuffix("s")], start, parts.end())]
        return [] if _NO_PART.match(text, end) else [_Quantity(number, start, end)]
    found = []
    for part in run.split(","):
        found.append(_Quantity(_float(part), start, start + len(part)))
        start += len(part) + 1
    return found


def _only_point(match: re.Match, text: str) -> list[_Quantity]:
    start, end = match.span()
    lead = (match["lead"] or "").strip().lower()
    if lead and lead != "oh":
        return []
    if lead or _BEFORE_POINT.search(text, max(0, start - 20), start) or start == 0:
        return [_Quantity(_decimals(match["only_point"]), start, end, in_words=True)]
    words = match["only_point"].lower().split()  # "at this point five chairs"
    if words[0].isdigit():
        return [_Quantity(float(words[0]), match.start("only_point") + 1, end)]
    return [_Quantity(float(words_value(words)), match.start("only_point") + 1, end, in_words=True)]


def _words(match: re.Match) -> float:
    value = float(words_value([w for w in re.findall(r"[a-z]+", match["words"].lower()) if w in NUMBER_WORDS]))
    return value + _decimals(match["decimals"]) if match["decimals"] else value


def _decimals(words: str) -> float:
    """0.25 for "two five", "twenty-five" and "25"."""
    if words.strip().isdigit():
        return float(f"0.{words.strip()}")
    values = [NUMBER_WORDS.get(word, 0) for word in re.findall(r"[a-z]+", words.lower())]
    digits = str(sum(values)) if values[0] >= 20 else "".join(map(str, values))
    return float(f"0.{digits}")


def _part(match: re.Match) -> float | None:
    """0.75 for "three quarters"; None for a plural that is none ("two quarter")."""
    if not match["part"]:
        return 0.5
    some = re.match(r"[a-z]+", match["some"].lower())[0]
    count = NUMBER_WORDS.get(some, 1)
    plural = match["part"].lower().endswith("s")
    return count / _PARTS[match["part"].lower().removesuffix("s")] if plural == (count > 1) else None


def _add(quantity: _Quantity, found: list[_Quantity], text: str) -> None:
    """Append a number with its unit, or put it into the one before it: a tolerance, or feet and their inches."""
    quantity = _with_unit(_with_more(quantity, text), text)
    last = found[-1] if found else None
    if last is None or quantity.start - last.end > 40:
        found.append(quantity)
        return
    gap = text[last.end : quantity.start]
    if _TOLERANCE.fullmatch(gap):
        if last.dimension is None and quantity.dimension:
            found[-1] = replace(last, dimension=quantity.dimension, size=quantity.size)
    elif _continues(last, quantity) and _CONTINUED.fullmatch(gap):
        total = last.number + quantity.number * quantity.size / last.size
        found[-1] = replace(last, number=total, end=quantity.end)
    else:
        found.append(quantity)


def _continues(large: _Quantity, small: _Quantity) -> bool:
    if large.dimension != "length" or small.dimension != "length" or not large.number.is_integer():
        return False
    return small.size < large.size and 0 <= small.number * small.size < large.size


def _with_more(quantity: _Quantity, text: str) -> _Quantity:
    """Add "and a half" or "and three quarters"."""
    more = _MORE.match(text, quantity.end)
    if not more or not (more["some"] or more["part"].lower() == "half"):
        return quantity
    count = 3 if (more["some"] or "").lower() == "three " else 1
    added = count / _PARTS[more["part"].lower().removesuffix("s")]
    return replace(quantity, number=quantity.number + added, end=more.end())


def _with_unit(quantity: _Quantity, text: str) -> _Quantity:
    after = UNIT_AFTER.match(text, quantity.end)
    if after and not (quantity.in_words and after[after.lastgroup].lower() == "in"):  # "I see one in"
        dimension, size = unit_of(after)
        found = replace(quantity, end=after.end(), dimension=dimension, size=size)
        return _with_more(found, text)  # two meters and a half
    if mark := mark_unit(text, quantity.start, quantity.end):
        return replace(quantity, end=quantity.end + 1, dimension="length", size=mark)
    start = max(0, quantity.start - _LOOK_BACK)
    before = UNIT_BEFORE.search(text[start : quantity.start])
    if before and before.group(before.lastgroup).lower() != "in":
        dimension, size = unit_of(before)
        return replace(quantity, dimension=dimension, size=size)
    return quantity


def _mention(quantity: _Quantity, question_type: str) -> Mention:
    asked = asked_unit(question_type)
    convert = asked is not None and quantity.dimension == asked[0]
    value = quantity.number * (quantity.size / asked[1] if convert else 1.0)
    # rounding to ten digits may lift the largest floats to infinity
    spelled = canonical_number(value) if math.isfinite(value) and math.isfinite(float(f"{value:.10g}")) else ""
    return Mention(spelled, quantity.start, quantity.end, quantity.in_words, quantity.dimension, quantity.size, convert)


def _float(digits: str) -> float:
    return float(digits) if len(digits) < 1000 else math.inf
