"""Strict reading of what others wrote: JSON that means one thing, texts that a chat and a terminal take as text.

Every reader of the kit (rows, predictions, geometry, rooms) goes through these few functions, so that all of them
refuse the same and say so in the same words: what was found, shown short and escaped, and which rule it breaks.
Left out: what the fields mean; that is each reader's business.
"""

from __future__ import annotations

import json
import re
import reprlib

DEEPEST = 16  # levels of lists and objects in a record; ours have two, and Python's own limit is hit without a name
# What chat models read as a turn, a picture or an end, `<|im_start|>`, `<|video_pad|>`: never part of a question.
CONTROL_TOKEN = re.compile(r"<\|[^|<>\s]{1,64}\|>")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BREAKS = re.compile(r"[\t\n\r\u2028\u2029]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 100
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 9


def parse_json(text: str) -> object:
    """The value of a JSON text.

    Raises:
        ValueError: saying what is wrong: no JSON, nested too deeply, a number of thousands of digits, a name twice.
    """
    try:
        value = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_once)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    if _depth_above(value, DEEPEST):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    return value


def _once(pairs: list[tuple[str, object]]) -> dict:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"names {shown(twice)} twice in one object")
    return record


def _depth_above(value: object, most: int) -> bool:
    level = [value]
    for _ in range(most + 1):
        inside = [v for v in level if isinstance(v, (dict, list)) and v]
        level = [part for v in inside for part in (v.values() if isinstance(v, dict) else v)]
        if not inside:
            return False
    return True


def shown(value: object) -> str:
    """A value as an error message quotes it: escaped, and cut where it is long."""
    return _SHORT.repr(value)


def text_fault(text: str, breaks: bool = False) -> str | None:
    """Why a text cannot be a name or a question; None if it can.

    Args:
        text: any.
        breaks: whether it may hold line breaks and tabs.
    """
    if half := _SURROGATE.search(text):
        return f"holds {half[0]!r}, half of a character, which no file can keep; write the whole character"
    if control := _CONTROL.search(text) or (None if breaks else _BREAKS.search(text)):
        return f"holds the control character {control[0]!r}; take it out"
    if token := CONTROL_TOKEN.search(text):
        return f"holds {token[0]!r}, which chat models read as a command and not as text; take it out"
    return None


def unwritable(value: object) -> str | None:
    """The first lone surrogate in any text of a JSON value, names included, as an error message quotes it; or None."""
    level = [value]
    while level:
        for text in level:
            if isinstance(text, str) and (half := _SURROGATE.search(text)):
                return repr(half[0])
        inside = [v for v in level if isinstance(v, (dict, list))]
        level = [part for v in inside for part in ([*v, *v.values()] if isinstance(v, dict) else v)]
    return None
