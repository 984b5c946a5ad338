r"""Records about pictures and videos taken apart by the layout that their fields tell; picture_rows.py names all.

Two of the layouts are choices about one picture, and become rows of the type `picture_choice`:

- SAT (arXiv 2412.07755; the card of array/SAT on the hub): `image_bytes`, a list of pictures (`images` in SAT-v2),
  `question`, `answers`, a list, `correct_answer`, one of its texts, and `question_type`, which is kept as
  `picture_task`. The options' order is drawn from the question's text and the row's id, or its number in the file
  where it has none: so no place can give an answer away, not even where many pictures are asked about in one text.
- CV-Bench (arXiv 2406.16860; nyu-visionx/CV-Bench): `image`, `question`, `choices`, a list, `answer`, a letter in
  brackets such as "(A)", and `task` (Count, Relation, Depth, Distance), which is kept as `picture_task`; `idx` is the
  id where it is there. `prompt`, which repeats question and choices in other words, is not read.

Left out: SAT's questions about two pictures, and everything else that picture_rows.py names.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vsr_kit.prompts import parse_answer
from vsr_kit.questions import MATHEMATICS, PICTURE_CHOICE
from vsr_kit.validation import shown, unwritable

CV_BENCH = "CV-Bench"  # a test set as a whole: data/benchmark.py keeps training from it
WANTED = (
    "rows about pictures in Vision-R1's, Video-R1's, MathVista's, SAT's or CV-Bench's form, as JSON lines, a JSON list "
    "or parquet"
)
_ANSWER = re.compile(r"<answer>(.*)</answer>", re.DOTALL | re.IGNORECASE)
CHAIN = re.compile(r"\s*<think>(.*?)</think>(.*)", re.DOTALL | re.IGNORECASE)
LETTERED = re.compile(r"\s*\(?([A-H])\s*[.):]\s*(\S.*)", re.DOTALL)
_HEADED = re.compile(r"\s*(?:choices|options)\s*:?\s*\Z", re.IGNORECASE)
_VIDEO_ENDS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")


@dataclass(frozen=True)
class Record:
    """A record of any layout, taken apart."""

    ident: object
    question: str
    answer: str
    options: Sequence[str]
    shown: tuple[object, ...]  # pictures or videos, as the record gives them
    video: bool
    chain: str | None = None
    more: Mapping[str, object] = field(default_factory=dict)
    kind: str = MATHEMATICS


def take_apart(record: object, where: str, number: int) -> Record:
    """A record, the number-th of its file, taken apart by the layout that its fields tell.

    Raises:
        ValueError: naming `where`, the field, the rule and the remedy.
    """
    if not isinstance(record, dict):
        raise ValueError(f"{where}: is a {type(record).__name__}, must be an object; give {WANTED}")
    if half := unwritable({name: value for name, value in record.items() if not isinstance(value, bytes)}):
        raise ValueError(f"{where}: holds {half}, half of a character, which no file can keep; write it whole")
    if _held(record, "conversations", "messages") is not None:
        return _of_turns(record, where)
    if _held(record, "problem") is not None:
        return _of_problem(record, where)
    if _is_sat(record):
        return _of_sat(record, where, number)
    if _is_cv_bench(record):
        return _of_cv_bench(record, where)
    if _held(record, "question") is not None:
        return _of_mathvista(record, where)
    found = ", ".join(map(str, list(record)[:8])) or "none"
    rule = "a row needs problem and answer (or solution), question and answer, or conversations"
    raise ValueError(f"{where}: has the fields {found}, which are no layout that is known; {rule}")


_SHOWN = ("images", "image", "image_bytes", "decoded_image", "videos", "video", "video_filename")


def is_picture_record(record: object) -> bool:
    """Whether a record asks about a picture or a video that it names or holds; a row with VSI-Bench's fields does not.

    Only fields are looked at: a record that is broken in another way is for the reader to name.
    """
    if not isinstance(record, Mapping) or "scene_name" in record:
        return False
    asks = any(name in record for name in ("problem", "question", "conversations", "messages"))
    path = "problem" in record and "path" in record  # Video-R1
    return asks and (path or any(_held(record, name) is not None for name in _SHOWN))


def _is_sat(record: Mapping) -> bool:
    return "correct_answer" in record and "answers" in record


def _of_sat(record: Mapping, where: str, number: int) -> Record:
    question, answer = _text(record, where, "question"), _text(record, where, "correct_answer")
    options = _listed(record, where, "answers")
    if options.count(answer) != 1:
        rule = f"must be one of answers, {shown(options)}; correct or remove the row"
        raise ValueError(f"{where}: field 'correct_answer' is {shown(answer)}, {rule}")
    ident = _held(record, "id")
    drawn_from = f"{number if ident is None else ident}\n{question}"  # by the text alone a template has one order
    order = np.random.default_rng(zlib.crc32(drawn_from.encode())).permutation(len(options))
    options = [options[i] for i in order]
    more = {"picture_task": task} if (task := _held(record, "question_type")) is not None else {}
    seen = _several(_held(record, "image_bytes", "images"))
    letter = "ABCDEFGH"[options.index(answer)] if options.index(answer) < 8 else answer
    return Record(ident, question, letter, options, seen, False, None, more, PICTURE_CHOICE)


def _is_cv_bench(record: Mapping) -> bool:
    lettered = re.fullmatch(r"\([A-H]\)", str(record.get("answer")).strip()) is not None
    return "choices" in record and "task" in record and lettered


def _of_cv_bench(record: Mapping, where: str) -> Record:
    question, options = _text(record, where, "question"), _listed(record, where, "choices")
    letter, seen = str(record["answer"]).strip()[1], _several(_held(record, "image"))
    more = {"picture_task": str(record["task"]), "benchmark": CV_BENCH}
    return Record(_held(record, "idx"), question, letter, options, seen, False, None, more, PICTURE_CHOICE)


def _held(record: Mapping, *names: str) -> object:
    """The first of some fields that holds anything; None if none does."""
    for name in names:
        value: Any = record.get(name)
        value = value.tolist() if hasattr(value, "tolist") else value
        if not (value is None or value == "" or value == [] or (isinstance(value, float) and math.isnan(value))):
            return value
    return None


def _of_problem(record: Mapping, where: str) -> Record:
    """Vision-R1-rl, EasyR1, Video-R1."""
    question, answer = _text(record, where, "problem"), _text(record, where, "answer", "solution")
    tagged = _ANSWER.search(answer)
    answer, options = tagged[1] if tagged else answer, _listed(record, where, "options")
    if not options and re.fullmatch(r"\s*\(?[A-H]\)?\.?\s*", answer):
        question, options = _choices_within(question)
    video = _held(record, "videos", "video", "video_filename") is not None
    seen = _held(record, "images", "image", "videos", "video", "video_filename", "path")
    kind = _held(record, "data_type")
    video = kind == "video" if kind is not None else video or str(seen).lower().endswith(_VIDEO_ENDS)
    ident, chain = _held(record, "problem_id", "id"), _text(record, where, "process") if record.get("process") else None
    return Record(ident, question, answer, options, _several(seen), video, chain)


def _of_mathvista(record: Mapping, where: str) -> Record:
    question, answer = _text(record, where, "question"), _text(record, where, "answer")
    unit, choices = _held(record, "unit"), _listed(record, where, "choices", "options")
    more = {name: value for name in ("unit", "precision", "answer_type") if (value := _held(record, name)) is not None}
    question += f" (Unit: {unit})" if unit is not None else ""
    decoded = record.get("decoded_image")
    within = isinstance(decoded, Mapping) and _held(decoded, "bytes") is not None
    seen = decoded if within else _held(record, "image", "images")
    if choices and answer in choices and not LETTERED.fullmatch(answer):
        answer = "ABCDEFGH"[choices.index(answer)] if choices.index(answer) < 8 else answer
    return Record(_held(record, "pid", "id"), question, answer, choices, _several(seen), False, None, more)


def _of_turns(record: Mapping, where: str) -> Record:
    """Vision-R1-cold: one question, and one reply with a chain."""
    turns = _held(record, "conversations", "messages")
    said: dict[str, list[str]] = {"user": [], "assistant": []}
    for turn in turns if isinstance(turns, list) else []:
        speaker = turn.get("from", turn.get("role")) if isinstance(turn, Mapping) else None
        speaker = {"human": "user", "gpt": "assistant"}.get(str(speaker), speaker)
        text = turn.get("value", turn.get("content")) if speaker in said else None
        if isinstance(text, list):  # blocks of a chat, whose pictures stand in a field of their own
            text = "".join(str(block.get("text") or "") for block in text if isinstance(block, Mapping))
        if isinstance(text, str):
            said[str(speaker)].append(text)
    if [len(texts) for texts in said.values()] != [1, 1]:
        counts = f"{len(said['user'])} turns of a user and {len(said['assistant'])} of an assistant"
        raise ValueError(f"{where}: has {counts}, must have one of each, in 'conversations' or 'messages'")
    (question,), (reply,) = said.values()
    if (found := CHAIN.fullmatch(reply)) is None or not found[1].strip():
        rule = "must be <think>a chain</think> and an answer; correct or remove the row"
        raise ValueError(f"{where}: the reply is {shown(reply)}, {rule}")
    answer = parse_answer(reply, {"question_type": MATHEMATICS, "options": None}).value or ""
    options: Sequence[str] = ()
    if re.fullmatch("[A-H]", answer):
        question, options = _choices_within(question)
    seen = _held(record, "image", "images", "videos", "video")
    video = _held(record, "videos", "video") is not None and _held(record, "image", "images") is None
    return Record(_held(record, "id", "problem_id"), question, answer, options, _several(seen), video, found[1])


def _text(record: Mapping, where: str, *names: str) -> str:
    """The text, or the number as text, of the first of some fields that holds anything."""
    value = _held(record, *names)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        told = " or ".join(map(repr, names))
        raise ValueError(f"{where}: field {told} is {shown(value)}, must be text that is not empty; remove the row")
    return value.strip()


def _listed(record: Mapping, where: str, *names: str) -> list[str]:
    value = _held(record, *names)
    if value is None:
        return []
    if not isinstance(value, (list, tuple)) or not all(isinstance(option, (str, int, float)) for option in value):
        raise ValueError(f"{where}: field {names[0]!r} is {shown(value)}, must be a list of texts, or empty")
    return [str(option) for option in value]


def _choices_within(question: str) -> tuple[str, list[str]]:
    """Choices that a problem lists at its end, "A: …" a line, in order from A; the problem itself where it has none."""
    lines = question.split("\n")
    start = next((i for i, line in enumerate(lines) if re.match(r"\s*\(?A\s*[.):]\s*\S", line)), len(lines))
    found = [LETTERED.fullmatch(line) for line in lines[start:] if line.strip()]
    letters = "".join(match[1] if match else "?" for match in found)
    if len(found) < 2 or letters != "ABCDEFGH"[: len(found)]:
        return question, []
    asked = _HEADED.sub("", "\n".join(lines[:start]))
    return asked.strip(), [match[2] for match in found if match]


def _several(seen: object) -> tuple[object, ...]:
    return tuple(seen) if isinstance(seen, (list, tuple)) else () if seen is None else (seen,)
