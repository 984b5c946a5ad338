r"""Text from elsewhere, made harmless for where it is shown: a terminal, an SVG or HTML page.

The story: names of scenes and files, options, model answers and messages of other programs may hold any character. A
terminal obeys some (ESC, and C1 in old ones, begin commands that recolour, retitle or overwrite; U+202E turns the order
of letters around), so `printable` writes all of these as escapes such as `\x1b`. XML has no way at all to write others,
and a lone surrogate has no UTF-8, so `drawable` puts U+FFFD in their place. `without_commands` takes away the terminal
commands of a text that is a terminal's output, such as a notebook's error.

Left out: letters that merely look alike.
"""

from __future__ import annotations

import re
import unicodedata

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
