r"""Checks of input from outside: settings, JSON, and text that is shown in a terminal or on a page.

Settings: `whole`, `real`, `one_of`, `seed` and `drawing` are the same rules for the command line, for notebooks and for
records that are read back. They run before anything is loaded or written, because otherwise a run of hours can end in
"zip() argument 2 is longer" over one unusable number. The error gives the name, the value, the rule and the remedy.
NaN, infinity, negative numbers, fractions and booleans are not accepted as counts.

Reading: every reader of the kit (rows, predictions, geometry, rooms) uses `parse_json`, `shown` and `text_fault`, so
that all refuse the same things in the same words, showing what was found, shortened and escaped, and the rule that it
breaks.

Showing: names, options, model answers and other programs' messages may hold any character. A terminal obeys some (ESC
and C1 begin commands that recolour, retitle or overwrite; U+202E reverses the order of letters), so `printable` writes
them as escapes such as `\x1b`. XML cannot hold others, and a lone surrogate has no UTF-8, so `drawable` writes U+FFFD
for them. `without_commands` removes terminal commands from a terminal's output, such as a notebook's error.

Left out: rules between several settings, the meaning of fields (each reader knows its own), and look-alike letters.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
import unicodedata
from collections.abc import Iterable
from numbers import Integral, Real

MAX_SEED = 2**32 - 1  # what NumPy's global generator takes, which trainers seed
MIN_TEMPERATURE = 1e-3  # below it logits divided by it leave what a float can tell apart
MAX_TEMPERATURE = 1e3


def whole(name: str, value, least: int = 1, most: int | None = None, remedy: str = "") -> None:
    """ValueError unless `value` is a whole number from `least` to `most`."""
    is_number = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_number or value < least or (most is not None and value > most):
        upper = f" and at most {most}" if most is not None else ""
        raise ValueError(_told(name, value, f"must be a whole number of at least {least}{upper}", remedy))


def real(name: str, value, least: float = 0.0, above: bool = False, remedy: str = "") -> None:
    """ValueError unless `value` is a finite number of at least `least`, or above it if that is asked for."""
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value < least or (above and value == least):
        rule = f"must be a finite number {'above' if above else 'of at least'} {least:g}"
        raise ValueError(_told(name, value, rule, remedy))


def one_of(name: str, value, known: Iterable, remedy: str = "") -> None:
    """ValueError unless `value` is one of `known`."""
    known = list(known)
    if value not in known:
        choices = ", ".join("none" if each is None else str(each) for each in known)
        raise ValueError(_told(name, value, f"choose one of {choices}", remedy))


def seed(value) -> None:
    """ValueError unless `value` can seed every generator that a run has."""
    whole("seed", value, 0, MAX_SEED)


def drawing(max_new_tokens, temperature, num_samples, seed_value) -> None:
    """ValueError unless answers can be drawn so: the cap in tokens, the temperature, the answers of a question."""
    whole("max_new_tokens", max_new_tokens)
    whole("samples", num_samples)
    real("temperature", temperature, remedy="0 is greedy, 1 is the model's own distribution")
    if temperature and not MIN_TEMPERATURE <= temperature <= MAX_TEMPERATURE:
        rule = f"must be 0 (greedy), or from {MIN_TEMPERATURE:g} to {MAX_TEMPERATURE:g}"
        raise ValueError(_told("temperature", temperature, rule))
    if num_samples > 1 and not temperature:
        raise ValueError(
            f"num_samples is {num_samples} at temperature {temperature}: greedy samples are all the same; give a "
            "temperature above 0, or one sample"
        )
    seed(seed_value)


def _told(name: str, value, rule: str, remedy: str = "") -> str:
    return f"{name} is {value!r}: {rule}" + (f"; {remedy}" if remedy else "")


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


# Control, format (bidi marks and overrides among them), surrogate, unassigned, and the two separators of lines.
_COMMANDING = ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")
_UNDRAWABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_STRING = r"(?:\x1b[P\]X^_]|[\x90\x9d\x98\x9e\x9f]).*?(?:\x1b\\|\x9c|\x07|\Z)"  # DCS, OSC, SOS, PM and APC
_CSI = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
_TERMINAL_COMMAND = re.compile(rf"{_STRING}|{_CSI}|\x1b[ -/]*[0-~]?", re.S)


def printable(text: object, keep: str = "\n\t") -> str:
    r"""Text for a terminal: what it might obey is written as an escape, `\x1b`; `keep` are let through."""
    text = str(text)
    return "".join(
        char if char in keep or unicodedata.category(char) not in _COMMANDING else _escaped(char) for char in text
    )


def one_line(text: object) -> str:
    """Text for a line of its own: as `printable`, and lines that it holds are joined by a space."""
    return printable(re.sub(r"\s*[\r\n]\s*", " ", str(text).strip()), keep="")


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def drawable(text: str) -> str:
    """Markup or text for an XML or HTML file: what cannot stand there is U+FFFD, carriage returns are line breaks."""
    return _UNDRAWABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def without_commands(text: str) -> str:
    """A terminal's output without its commands (colours, titles, links); what is left over is printable."""
    return printable(_TERMINAL_COMMAND.sub("", text), keep="\n\t\r")
