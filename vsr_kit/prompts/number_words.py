"""English number words and their values, and lmms-eval's own way of reading a number.

`lmms_eval_number` copies lmms-eval's reading, quirks included, because scores are compared with it. It shares the words
with the kit's reader (numbers.py) and nothing else.
Left out: millions, dozens, fractions (numbers.py has halves and quarters), and every other language.
"""

from __future__ import annotations

import math
import re
import sys

ONES = "one two three four five six seven eight nine".split()
TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
NUMBER_WORDS = (
    {"zero": 0, "hundred": 100, "thousand": 1000}
    | {word: i for i, word in enumerate([*ONES, *TEENS], 1)}
    | {word: 10 * i for i, word in enumerate(TENS, 2)}
)
_ANY = "|".join(NUMBER_WORDS)
_ENDING_WORD = re.compile(rf"(?:{_ANY})(?![a-z])")  # no look behind in front, which would make it several times slower
_WORDS = re.compile(rf"(?:[^a-z]*+(?:and|{_ANY})(?![a-z]))*+")  # possessive: no letter is read twice
_LARGEST = int(sys.float_info.max)


def words_value(words: list[str]) -> int:
    """Add up English number words: `["three", "hundred", "twenty", "one"]` is 321."""
    total, current = 0, 0
    for value in (NUMBER_WORDS[word] for word in words):
        total, current = _add_word(total, current, value)
    return total + current


def lmms_eval_number(text: str) -> float | None:
    """Read the first digit or number word anywhere in a text, as lmms-eval (0.7.3, MIT) does for VSI-Bench.

    Its quirks are kept: `.5` is 5, `1,234` is 1, `3-4` is 3, `one, two` is 3, and no unit is looked at. Only what a
    float cannot hold (`hundred` two hundred times over) is None here, where lmms-eval ends in an error or in infinity.
    """
    text = text.strip().lower()
    digits = re.search(r"-?\d+(?:\.\d+)?", text)
    found = _ENDING_WORD.finditer(text)
    first = next((match for match in found if not "a" <= text[match.start() - 1 : match.start()] <= "z"), None)
    if digits and (first is None or digits.start() < first.start()):
        value = float(digits[0])
        return value if math.isfinite(value) else None
    if first is None:
        return None
    total, current = 0, 0
    for value in map(NUMBER_WORDS.__getitem__, _ENDING_WORD.findall(_WORDS.match(text, first.start())[0])):
        if value < 100:  # nearly all of a long text: no call for each
            current += value
            continue
        total, current = _add_word(total, current, value)
        if total + current > _LARGEST:  # it only grows from here
            return None
    return float(total + current) if total + current <= _LARGEST else None


def _add_word(total: int, current: int, value: int) -> tuple[int, int]:
    if value == 1000:
        return total + max(current, 1) * 1000, 0
    return total, max(current, 1) * 100 if value == 100 else current + value
