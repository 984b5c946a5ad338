"""Which question type a text asks, by its wording: a question typed by hand is recognised if its type is known.

A wording is a sentence with fields ("How many {category}(s) are in this room?"). A text has the wording if it is that
sentence with something in every field, whatever its case and spaces. The wordings are those of `make_questions`, so
types that were added (`own_types.add_type`) are recognised as well.
Left out: paraphrases. A question in other words has no wording here, although a reader sees what it asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from string import Formatter

from vsr_kit.questions.types import PHRASINGS, VSI_100K, VSI_BENCH

TEMPLATES = dict(zip(PHRASINGS, (VSI_BENCH, VSI_100K), strict=True))
LONGEST = 2000  # characters of a question that are looked at; the longest wording has some 300


@dataclass(frozen=True)
class Wording:
    """What a text asks.

    Attributes:
        question_type: one of `QUESTION_TYPES`.
        phrasing: `vsi-bench` or `vsi-100k`.
        fields: what stands in the wording's fields, such as {"category": "chair"}.
    """

    question_type: str
    phrasing: str
    fields: dict[str, str]


def wording_of(text: str) -> Wording | None:
    """The wording that a question has; VSI-Bench's where both phrasings share it, None where it has none."""
    text = " ".join(text.split())
    if not text or len(text) > LONGEST:
        return None
    return next(_matches(text), None)


def _matches(text: str) -> Iterator[Wording]:
    for phrasing, templates in TEMPLATES.items():
        for kind, template in templates.items():
            if found := re.fullmatch(_pattern(template), text, re.IGNORECASE):
                yield Wording(kind, phrasing, found.groupdict())


def _pattern(template: str) -> str:
    """A wording as a regular expression; a field that comes again must hold the same words."""
    parts, seen = [], set()
    for literal, name, _, _ in Formatter().parse(" ".join(template.split())):
        parts.append(re.escape(literal))
        if name is not None:
            # at most so many characters that no text, however odd, takes long to be refused
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.{{1,200}}?)")
            seen.add(name)
    return "".join(parts)
