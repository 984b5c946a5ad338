"""Tags and words of a completion: what the rewards and the detectors look at, and nothing about whether it is right.

A tag counts however sloppily it is spelled (`< Think >`), as for `parse_answer`: who counts tags must not be fooled by
a space. A word is a run of letters and digits; what a dot, a hyphen or an apostrophe joins stays one word, so "2.5" and
"north-west" are one each.
Left out: tags with attributes, and languages that write without spaces, where a sentence counts as one word.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice

from vsr_kit.prompts import MODES

TAGGED_MODES = tuple(mode for mode in MODES if mode != "vanilla")

_TAG = re.compile(r"< ?(/?) ?(think|observe|answer) ?>", re.IGNORECASE | re.ASCII)
_WORD = re.compile(r"[^\W_]+(?:[.'’-][^\W_]+)*")


def check_mode(mode: str) -> None:
    """Raise a ValueError that names the modes, unless `mode` is one of them."""
    if mode not in MODES:
        raise ValueError(f"unknown mode {mode!r}: choose one of {', '.join(MODES)}")


def tag_names(text: str, most: int | None = None) -> list[str]:
    """The tags of a text in order, the first `most`, a closing one with its slash: `["think", "/think", "answer"]`."""
    return [match[1] + match[2].lower() for match in islice(_TAG.finditer(text), most)]


def tag_counts(text: str) -> Counter[str]:
    """How often each tag stands in a text, by the names of `tag_names`."""
    counts: Counter[str] = Counter()
    for (slash, name), count in Counter(_TAG.findall(text)).items():
        counts[slash + name.lower()] += count
    return counts


def has_words(text: str) -> bool:
    """Whether there is a word in a text."""
    return _WORD.search(text) is not None


def thoughts(text: str, mode: str) -> list[str]:
    """What stands in each block of a mode, tags within it taken out; a block never closed counts, too.

    Raises:
        ValueError: for an unknown mode. Vanilla has no blocks: an empty list.
    """
    check_mode(mode)
    if mode not in TAGGED_MODES:
        return []
    held, start = [], None
    for match in _TAG.finditer(text):
        name = match[1] + match[2].lower()
        if start is None and name == mode:
            start = match.end()
        elif start is not None and name in (f"/{mode}", "answer"):  # never closed: it ends where the answer begins
            held.append(text[start : match.start()])
            start = None
    if start is not None:
        held.append(text[start:])
    return [_TAG.sub(" ", block) if "<" in block else block for block in held]


def words(text: str) -> list[str]:
    """The words of a text in order, without case."""
    return _WORD.findall(text.casefold())
