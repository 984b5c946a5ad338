r"""Plain text from an answer written as Markdown, LaTeX, HTML or typographic Unicode.

`**150** cm`, `$150\,\text{cm}$`, `150&nbsp;cm` and `１５０ cm` all become `150 cm`. Characters that carry meaning stay,
each in one spelling: exponents as `^2`, fractions with U+2044 (`½` and `\frac{1}{2}` alike), line breaks, `±`,
brackets, and `~` between numbers.
Left out: formulas that have to be evaluated, tables, and anything that only a browser would show.
"""

from __future__ import annotations

import html
import re

_DASHES = {ord(dash): "-" for dash in "−–—‐‑‒﹣－"}
_SPACES = {
    ord(space): " " for space in "\t\v\f\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
}
_SPACES |= {ord(space): " " for space in "\u200a\u202f\u205f\u3000"} | dict.fromkeys(
    map(ord, "\u200b\u200d\u2060\ufeff")
)
_BREAKS = {ord(mark): "\n" for mark in "\u0085\u2028\u2029"}
_WIDE = {0xFF01 + i: chr(0x21 + i) for i in range(94) if chr(0x21 + i) != "-"}  # full width ASCII
_CJK = dict(zip(map(ord, "、。【】〜∼"), ",.[]~~", strict=True)) | dict.fromkeys(map(ord, "「」『』《》〈〉«»„"), '"')
_SIGNS = {
    ord("²"): "^2",
    ord("³"): "^3",
    ord("＋"): "+",
    ord("㎡"): "m^2",
    ord("㎝"): "cm",
    ord("㎜"): "mm",
    ord("㎞"): "km",
}
_FRACTIONS = {
    "½": "1⁄2",
    "¼": "1⁄4",
    "¾": "3⁄4",
    "⅓": "1⁄3",
    "⅔": "2⁄3",
    "⅕": "1⁄5",
    "⅖": "2⁄5",
    "⅗": "3⁄5",
    "⅘": "4⁄5",
}
_FRACTIONS |= {"⅙": "1⁄6", "⅚": "5⁄6", "⅛": "1⁄8", "⅜": "3⁄8", "⅝": "5⁄8", "⅞": "7⁄8"}
_QUOTES = {ord("”"): '"', ord("“"): '"', ord("″"): '"', ord("’"): "'", ord("‘"): "'", ord("′"): "'"}
_CHARACTERS = _DASHES | _SPACES | _BREAKS | _CJK | _WIDE | _SIGNS | _QUOTES
_CHARACTERS |= {ord(sign): f" {spelled}" for sign, spelled in _FRACTIONS.items()}

_GROUP_SPACE = re.compile(r"(?<=\d)(?:[\u00a0\u2007\u2009\u202f]|\\,|\{,\})(?=\d{3}(?!\d))")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac ?(?:\{ ?(\d{1,9}) ?\} ?\{ ?(\d{1,9}) ?\}|(\d) ?(\d))")
_LATEX_SIGNS = {
    "pm": "±", "times": " x ", "sim": "~", "approx": "≈", "to": "→", "rightarrow": "→", "div": "/", "le": "≤",
    "leq": "≤",
    "ge": "≥", "geq": "≥", "lt": "<", "gt": ">", "newline": "\n", "circ": "°", "prime": "'", "ldots": "...",
    "dots": "...", "textsuperscript": "^",
}  # fmt: skip
_LATEX_COMMAND = re.compile(r"\\(?:([a-zA-Z]{1,24})\*?|([,;:!> ()\[\]{}%$&#_\\]))")
_HTML_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,15})(?: [^<>\n]{0,80})?/?>")
_POWER = re.compile(r"(?<=[a-z.])(?:\*\*(?=[23](?![\d*]))| ?\^) ?[{(]? ?([23])(?!\d) ?[})]?", re.IGNORECASE)
_TIMES = re.compile(r"(?<=\d) ?\*{1,2} ?(?=\d)")
_EMPHASIS = re.compile(r"[*`$]+|(?<!\w)_+|_+(?!\w)")
_TILDE = re.compile(r"(?<=\d)~(?=[^\W\d])")  # LaTeX's space between a number and its unit
_RUN_ON = re.compile(  # 3or4, 1m50cm
    r"(?<=\d)(?P<joiner>or|and|to)(?=\d)|(?<=\d)(?P<unit>m|ft|feet|foot)(?=\d{1,2} ?(?:cm|mm|in|inch|\"))",
    re.IGNORECASE,
)
_MANY_SPACES = re.compile(r" {2,}")
_ODD = re.compile(r"[^\w\n .,:;!?()'\"/%+>-]|__|_\b|\b_|[^\x00-\x7f]")
_BREAKING_TAGS = {"br", "p", "div", "li", "tr"}
_OTHER_TAGS = set(  # any other name in angle brackets may be an answer: <chair>
    "a b i u s em strong small big mark span font code pre tt kbd sub sup ul ol dl dt dd td th table tbody thead "
    "center h1 h2 h3 h4 h5 h6 body html math mi mn mo mrow mfrac msup mtext mstyle del ins q cite".split()
)


def plain(text: str) -> str:
    """Write a text without its markup, words apart by single spaces; line breaks stay.

    Args:
        text: of any origin; what looks like markup and is not (`a < b`) stays as it is.
    """
    if _ODD.search(text) or "\t" in text:
        text = _without_markup(text)
    text = _RUN_ON.sub(lambda match: f" {match[0]} ", text)
    return _MANY_SPACES.sub(" ", text)


def _without_markup(text: str) -> str:
    if "&" in text:
        text = html.unescape(text)
    text = _GROUP_SPACE.sub(",", text).translate(_CHARACTERS)
    if "<" in text:
        text = _HTML_TAG.sub(_spelled_tag, text)
    text = _POWER.sub(r"^\1 ", text)
    if "\\" in text:
        text = _LATEX_FRACTION.sub(lambda m: f" {m[1] or m[3]}⁄{m[2] or m[4]}", text)
        text = _POWER.sub(r"^\1 ", _LATEX_COMMAND.sub(_spelled_command, text).replace("} ^", "}^"))
        # braces of commands: \text{ m}^2
        text = re.sub(r"\} ?\^ ?\{?([23])(?!\d)\}?", r"^\1 ", text)
    return _EMPHASIS.sub("", _TILDE.sub(" ", _TIMES.sub(" x ", text)))


def _spelled_tag(match: re.Match) -> str:
    closing, name = match[1], match[2].lower()
    if name == "sup":
        return "" if closing else "^"
    return "\n" if name in _BREAKING_TAGS else " " if name in _OTHER_TAGS else match[0]


def _spelled_command(match: re.Match) -> str:
    name, sign = match[1], match[2]
    if sign:
        return "%" if sign == "%" else "\n" if sign == "\\" else " "
    return _LATEX_SIGNS.get(name, f" {name}" if len(name) == 1 else " ")  # "A\\B" is no command
