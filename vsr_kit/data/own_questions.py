"""A question typed by hand becomes a row like any other, and the questions that a room suggests.

A row says what kind of answer is asked for, and a reader reads answers by it. `own_row` finds the kind by the wording
(`questions.wordings`); a question in other words has none, its `question_type` is empty, and its answers are taken as
they stand. The truth is what the user gives, or, where the same question is among those that the kit asks about the
room, that one's (`known_row`). What cannot be asked is refused before a model is: the error names value and rule.
Left out: working out the truth of other questions, and questions about several rooms.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

from vsr_kit.data.checking import check_row
from vsr_kit.data.rows import make_rows
from vsr_kit.prompts import same_words
from vsr_kit.questions import MULTI_STEP_TYPES, PICTURE_TYPES, QUESTION_TYPES
from vsr_kit.questions.types import NUMERIC_TYPES, PHRASINGS
from vsr_kit.questions.wordings import LONGEST, wording_of
from vsr_kit.rooms import Room
from vsr_kit.validation import one_of, shown, text_fault
from vsr_kit.videos import Clip

FREE = ""  # the type of a question in no wording that is known
KINDS = tuple(kind for kind in QUESTION_TYPES if kind not in PICTURE_TYPES)
_LETTERS = "ABCDEFGH"
_LETTERED = re.compile(r"\s*[A-Ha-h][.):]\s+")


def suggested_rows(room: Room, clip: Clip | None = None) -> list[dict]:
    """Every question that the kit asks about a room, in both phrasings, the multi-step types behind VSI-Bench's.

    clip: only what it shows is asked.
    """
    clips = None if clip is None else {room.name: clip}
    rows = [row for phrasing in PHRASINGS for row in make_rows([room], phrasing, clips=clips)]
    return rows + make_rows([room], types=MULTI_STEP_TYPES, clips=clips)


def known_row(rows: Sequence[dict], question: str, options: Sequence[str] = ()) -> dict | None:
    """The row with this question and these options, whatever the case and the spaces; None where there is none.

    A distance is the same from either end: where the row has its two objects the other way round, it comes in the words
    that were given.
    """
    asked = _spelled(question), [_spelled(option) for option in _with_letters(options)]
    for row in rows:
        if (_spelled(row["question"]), [_spelled(option) for option in row["options"] or ()]) == asked:
            return row
    if asked[1] or (ends := _ends(question)) is None:
        return None
    kind, phrasing, *objects = ends
    for row in rows:
        if (row["question_type"], row["phrasing"]) == (kind, phrasing) and set(row["objects"]) == set(objects):
            return {**row, "id": f"{row['id']}-turned", "question": question.strip(), "objects": objects}
    return None


def _ends(question: str) -> tuple[str, ...] | None:
    """Type, phrasing and both objects of an absolute distance; None of any other question."""
    found = wording_of(question)
    if found is None or found.question_type != "object_abs_distance":
        return None
    return found.question_type, found.phrasing, found.fields["a"].lower(), found.fields["b"].lower()


def _spelled(text: str) -> str:
    return " ".join(text.lower().split())


def own_row(
    question: str,
    options: Sequence[str] = (),
    truth: str = "",
    *,
    kind: str | None = None,
    scene: str = "own",
    dataset: str = "own",
    room: Room | None = None,
) -> dict:
    """A row of a question of one's own.

    Args:
        question: the text, without options and prompt.
        options: two to eight to choose from, with letters ("A. bed") or without; empty for none.
        truth: the right answer, where it is known: a number, a letter or the words of an option.
        kind: the question type by which answers are read; None takes the one whose wording the question has, and
            `FREE` none.
        scene, dataset: whose clip is shown.
        room: its geometry; names of its objects in the question become the row's `objects`.

    Raises:
        ValueError: naming what was given, the rule and the remedy.
    """
    question = question.strip()
    if not question:
        raise ValueError("the question is empty: type one, or choose one from the list")
    if len(question) > LONGEST:
        raise ValueError(f"the question has {len(question)} characters: ask in at most {LONGEST}")
    if fault := text_fault(question, breaks=True):
        raise ValueError(f"the question {fault}")
    found = wording_of(question)
    offered = _checked_options(options)
    if kind is None:
        kind = found.question_type if found else FREE
    one_of("question type", kind, (FREE, *KINDS))
    if kind in NUMERIC_TYPES and offered:
        raise ValueError(f"{kind} asks for a number, and there are {len(offered)} options: remove them, or the type")
    named = zlib.crc32("\n".join([question, *offered]).encode())
    row = {
        "id": f"own-{named:08x}",  # the same question draws by the same random numbers
        "dataset": dataset,
        "scene_name": scene,
        "question_type": kind,
        "question": question,
        "options": offered or None,
        "ground_truth": "",
        "phrasing": "vsi-bench" if offered or not found or kind != found.question_type else found.phrasing,
        "objects": names_in(question, room.counts) if room is not None else _in_order(found),
    }
    return _with_truth(row, truth.strip())


def objects_named(row: Mapping, room: Room) -> list[str]:
    """The objects that a question is about, in its order: the row's own list, else the room's names in its text."""
    if row.get("objects") is not None:
        return list(dict.fromkeys(name for name in row["objects"] if name in room.counts))
    return names_in(str(row.get("question", "")), room.counts)


def names_in(question: str, names) -> list[str]:
    """The names that a question holds, each once, in its order; of names within names the longest."""
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return list(dict.fromkeys(re.findall(rf"(?<!\w)(?:{known})(?!\w)", question.lower()))) if known else []


def _in_order(found) -> list[str]:
    """What stands in a wording's fields: the objects that it is about, where no room tells."""
    told = [] if found is None else [found.fields.get(name) for name in ("a", "b", "c", "category")]
    return list(dict.fromkeys(name.lower() for name in told if name))


def _with_letters(options: Sequence[str]) -> list[str]:
    texts = [" ".join(_LETTERED.sub("", option, count=1).split()) for option in options if option.strip()]
    return [f"{letter}. {text}" for letter, text in zip(_LETTERS, texts, strict=False)]


def _checked_options(options: Sequence[str]) -> list[str]:
    given = [option for option in options if option.strip()]
    if given and not 2 <= len(given) <= len(_LETTERS):
        raise ValueError(f"there are {len(given)} options: give two to {len(_LETTERS)}, one a line, or none")
    for option in given:
        if fault := text_fault(option.strip()):
            raise ValueError(f"the option {shown(option)} {fault}")
    lettered = _with_letters(given)
    spelled = [same_words(option[3:]) or option[3:] for option in lettered]
    if twice := [text for text in spelled if spelled.count(text) > 1]:
        raise ValueError(f"two options say {shown(twice[0])}: give each once")
    return lettered


def _with_truth(row: dict, truth: str) -> dict:
    """The row with its truth, checked as every row is, where its kind is known."""
    if not truth:
        return row
    by_words = {same_words(option[3:]): option[0] for option in row["options"] or ()}
    truth = by_words.get(same_words(truth), truth.upper() if row["options"] and len(truth) == 1 else truth)
    row = row | {"ground_truth": truth}
    if row["question_type"] == FREE:
        if row["options"] and truth not in list(_LETTERS[: len(row["options"])]):
            rule = f"must be one of {', '.join(option[0] for option in row['options'])}, or an option's words"
            raise ValueError(f"the true answer is {shown(truth)}: {rule}")
        if fault := text_fault(truth):
            raise ValueError(f"the true answer {fault}")
        return row
    return check_row(row, "your question")
