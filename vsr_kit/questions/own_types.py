"""Question types of your own: `add_type` makes one known to rows, prompts, the reader, scores and intervals.

A type is a wording and a function that looks at a room and drafts questions with their true answers. What it yields is
asked in VSI-Bench's phrasing, after the ten types of the benchmark, and in VSI-100k's where it has words for it; it
gets a column of its own in every score. The mean `trained` stays that of the papers' six tasks; `overall` takes the new
type in, as it takes all that occur but the kit's own multi-step types (multi_step.py), which are added here, too.
Left out: the miniature's vocabulary, which has few words that its lessons did not use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from vsr_kit.questions.geometric import ASK
from vsr_kit.questions.types import (
    ANSWER_UNITS,
    CHOICE_TYPES,
    NUMERIC_TYPES,
    QUESTION_TYPES,
    TASKS,
    VSI_100K,
    VSI_BENCH,
)

Drafts = Iterable[tuple[dict, tuple[str, ...], str, list[str] | None]]


def add_type(
    name: str,
    wording: str,
    ask: Callable[..., Drafts],
    *,
    words: str | None = None,
    unit: tuple[str, float] | None = None,
    choice: bool = False,
) -> None:
    """Make a question type known in this process.

    Args:
        name: in small letters, such as `object_height`.
        wording: the question, with fields in braces.
        ask: takes a scene (`room`, `names` of objects that occur once, `index` of their boxes, `distance`, `plan`,
            `rules`, `rng`) and yields (fields, objects, answer, wrong): the wording's fields, the categories named in
            it, the true answer as text, and the wrong options, at most three; None where the answer is a number.
        words: the question in VSI-100k's open words, with the same fields; a choice must name what there is to choose
            from in brackets, with commas. None: VSI-100k's phrasing does not ask it.
        unit: what numbers are in: `("length", 0.01)` for centimetres, `("area", 1.0)` for square metres; None: a count.
        choice: lettered options instead of a number.

    Raises:
        ValueError: the name is taken or cannot be a name.
    """
    if name in QUESTION_TYPES or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"question type {name!r} is there already, or is no name in small letters: choose another")

    def drafts(scene) -> Iterator[tuple]:
        for fields, objects, answer, wrong in ask(scene):
            if (wrong is not None) != choice:
                kind = "options" if choice else "a number, so None in the place of wrong options"
                raise ValueError(f"question type {name!r} must yield {kind}: change `ask`, or `choice`")
            yield name, fields, objects, answer, wrong

    for names in (CHOICE_TYPES if choice else NUMERIC_TYPES, QUESTION_TYPES, TASKS):
        names.append(name)
    VSI_BENCH[name], ASK[name] = wording, drafts
    VSI_100K.update({name: words} if words else {})
    ANSWER_UNITS.update({name: unit} if unit else {})


def remove_type(name: str) -> None:
    """Forget a type that was added."""
    for names in (CHOICE_TYPES, NUMERIC_TYPES, QUESTION_TYPES, TASKS):
        names[:] = [other for other in names if other != name]
    for table in (VSI_BENCH, VSI_100K, ASK, ANSWER_UNITS):
        table.pop(name, None)
