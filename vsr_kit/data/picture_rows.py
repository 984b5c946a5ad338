r"""Rows about pictures and videos in the layouts of Vision-R1, Video-R1 and MathVista, read as rows of mathematics.

A layout is recognised by its fields, row by row:

- `problem`, `answer` (or `solution`), `images` or `videos`: Vision-R1-rl, whose authors say that it has the form of
  hiyouga's geometry3k, as EasyR1 and verl take it (github.com/Osilly/Vision-R1, README and issue 26). Its problems
  begin with `<image>` and may list their choices in the text ("Choices:\nA: 2π\nB: 3π"; the README's example).
- `problem_id`, `problem`, `data_type`, `problem_type`, `options`, `solution` (`<answer>B</answer>`), `path`: Video-R1,
  also in Spatial-R1 (`video_filename`) and SpaceR. `process` holds a chain in its cold start.
- `pid`, `question`, `image`, `decoded_image`, `choices`, `unit`, `precision`, `answer`, `question_type` (multi_choice,
  free_form), `answer_type` (text, integer, float, list): MathVista (the card of AI4Math/MathVista). The unit is shown
  behind the question, "(Unit: $)", as in MathVista's own prompts.
- `conversations` (`from`, `value`) or `messages` (`role`, `content`), with `image` or `images`: Vision-R1-cold, in the
  two forms of LLaMA-Factory that Vision-R1's README registers: human and gpt, user and assistant. The assistant's turn
  is `<think>…</think>` and an answer, in `<answer>` tags, in `\boxed{}` or under "**Final Answer**".

Chains come back as whole completions in the form that the think prompt asks for, by the rows' ids, for
`SFT("think", targets=read.completions)`. A picture is a path beside the file or below it, an absolute path, bytes
(base64 in JSON), or a dictionary with `bytes` or `path` as `datasets` keeps one. Every picture is read once.

Nothing is guessed: the first row that cannot be used stops the reading, or is left out and told of (`skip_broken`).
Left out: downloading, several pictures in one question, conversations of several turns, system prompts, MathVista's
hints ("Please answer the question requiring an integer answer …"), whose place the kit's prompts take, and Video-R1's
shares of a reward for free text and for numbers that are nearly right: here an answer equals the truth or does not.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import os.path
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vsr_kit.data.checking import check_row
from vsr_kit.data.pictures import MAX_PIXELS, NUM_FRAMES, PictureClips
from vsr_kit.data.rows import read_records
from vsr_kit.prompts import parse_answer, target_completion
from vsr_kit.questions import MATHEMATICS
from vsr_kit.validation import shown, text_fault, unwritable

_WANTED = "rows about pictures in Vision-R1's, Video-R1's or MathVista's form, as JSON lines, a JSON list or parquet"
_PLACEHOLDER = re.compile(r"\s*<(?:image|video)(?: ?\d+)?>[ \t]*\n?", re.IGNORECASE)
_ANSWER = re.compile(r"<answer>(.*)</answer>", re.DOTALL | re.IGNORECASE)
_CHAIN = re.compile(r"\s*<think>(.*?)</think>(.*)", re.DOTALL | re.IGNORECASE)
_ANY_TAG = re.compile(r"<\s?/?\s?(?:think|observe|answer)\s?>", re.IGNORECASE)
_LETTERED = re.compile(r"\s*\(?([A-H])\s*[.):]\s*(\S.*)", re.DOTALL)
_HEADED = re.compile(r"\s*(?:choices|options)\s*:?\s*\Z", re.IGNORECASE)
_VIDEO_ENDS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")
_NAMED = 3  # rows that an error names one by one


@dataclass(frozen=True)
class PictureRows:
    """What was read: rows and their clips, as `train`, `predict` and `generate` take both.

    Attributes:
        rows: with VSI-Bench's fields, of the type `mathematics`; `data_type` says image or video, and `unit`,
            `precision` and `answer_type` are there where the file has them.
        clips: scene_name to uint8 frames (F, H, W, 3), read when used; a picture is two equal frames.
        completions: by id the chain and answer of rows that have a chain, as the think prompt asks for them.
        left_out: a line for each row that could not be used, with the reason.
    """

    rows: list[dict]
    clips: PictureClips
    completions: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Record:
    """A record of any layout, taken apart."""

    ident: object
    question: str
    answer: str
    options: Sequence[str]
    shown: tuple[object, ...]  # pictures or videos, as the record gives them
    video: bool
    chain: str | None = None
    more: Mapping[str, object] = field(default_factory=dict)


def read_picture_rows(
    path: str | Path,
    *,
    root: str | Path | None = None,
    dataset: str | None = None,
    max_pixels: int = MAX_PIXELS,
    num_frames: int | None = NUM_FRAMES,
    skip_broken: bool = False,
    progress: bool = False,
) -> PictureRows:
    """Read a file of rows about pictures or videos; the module's docstring has the layouts.

    Args:
        path: JSON lines, a JSON list, either of them gzipped, or parquet.
        root: the folder that relative paths begin in; the file's own by default.
        dataset: a name for the rows' field; the file's name up to its first dot by default.
        max_pixels: of a frame; pictures above are shrunk, and all have sides of multiples of 28 px.
        num_frames: of a video, sampled uniformly; None for all.
        skip_broken: leave out rows that cannot be used instead of refusing the file.
        progress: show a bar.

    Raises:
        ValueError: naming the row, what is wrong with it and the remedy: a layout that is none of these, no answer, an
            answer that no completion could earn, a picture that is missing, broken or outside of the folder.
        ImportError: math-verify is not installed, which compares answers.
    """
    from tqdm import tqdm

    path = Path(path)
    name = dataset or path.name.split(".")[0] or "pictures"
    folder = Path(os.path.abspath(path.parent if root is None else root))
    read = PictureRows([], PictureClips(num_frames, max_pixels))
    seen: dict[str, str] = {}
    broken: list[str] = []
    records = list(read_records(path, _WANTED))
    for number, (where, record) in enumerate(tqdm(records, "reading rows", unit="row", disable=not progress), 1):
        try:
            taken = _taken(record, where)
            row = _row(taken, where, number, name)
            if (first := seen.setdefault(str(row["id"]), where)) != where:
                raise ValueError(f"{where}: has the id {shown(row['id'])} of {first}; give every row an id of its own")
            completion = _completion(taken, where)
            row["scene_name"] = _add_picture(read.clips, taken, where, folder)
        except ValueError as error:
            if not skip_broken:
                raise
            broken.append(str(error))
            continue
        read.rows.append(row)
        if completion is not None:
            read.completions[row["id"]] = completion
    if not read.rows:
        told = f": {'; '.join(broken[:_NAMED])}" if broken else ", it is empty"
        raise ValueError(f"{path}: holds no row that can be used{told}")
    return replace(read, left_out=tuple(broken))


def _taken(record: object, where: str) -> _Record:
    """A record taken apart by the layout that its fields tell."""
    if not isinstance(record, dict):
        raise ValueError(f"{where}: is a {type(record).__name__}, must be an object; give {_WANTED}")
    if half := unwritable({name: value for name, value in record.items() if not isinstance(value, bytes)}):
        raise ValueError(f"{where}: holds {half}, half of a character, which no file can keep; write it whole")
    if _held(record, "conversations", "messages") is not None:
        return _of_turns(record, where)
    if _held(record, "problem") is not None:
        return _of_problem(record, where)
    if _held(record, "question") is not None:
        return _of_mathvista(record, where)
    found = ", ".join(map(str, list(record)[:8])) or "none"
    rule = "a row needs problem and answer (or solution), question and answer, or conversations"
    raise ValueError(f"{where}: has the fields {found}, which are no layout that is known; {rule}")


def _held(record: Mapping, *names: str) -> object:
    """The first of some fields that holds anything; None if none does."""
    for name in names:
        value: Any = record.get(name)
        value = value.tolist() if hasattr(value, "tolist") else value
        if not (value is None or value == "" or value == [] or (isinstance(value, float) and math.isnan(value))):
            return value
    return None


def _of_problem(record: Mapping, where: str) -> _Record:
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
    return _Record(ident, question, answer, options, _several(seen), video, chain)


def _of_mathvista(record: Mapping, where: str) -> _Record:
    question, answer = _text(record, where, "question"), _text(record, where, "answer")
    unit, choices = _held(record, "unit"), _listed(record, where, "choices", "options")
    more = {name: value for name in ("unit", "precision", "answer_type") if (value := _held(record, name)) is not None}
    question += f" (Unit: {unit})" if unit is not None else ""
    decoded = record.get("decoded_image")
    within = isinstance(decoded, Mapping) and _held(decoded, "bytes") is not None
    seen = decoded if within else _held(record, "image", "images")
    if choices and answer in choices and not _LETTERED.fullmatch(answer):
        answer = "ABCDEFGH"[choices.index(answer)] if choices.index(answer) < 8 else answer
    return _Record(_held(record, "pid", "id"), question, answer, choices, _several(seen), False, None, more)


def _of_turns(record: Mapping, where: str) -> _Record:
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
    if (found := _CHAIN.fullmatch(reply)) is None or not found[1].strip():
        rule = "must be <think>a chain</think> and an answer; correct or remove the row"
        raise ValueError(f"{where}: the reply is {shown(reply)}, {rule}")
    answer = parse_answer(reply, {"question_type": MATHEMATICS, "options": None}).value or ""
    options: Sequence[str] = ()
    if re.fullmatch("[A-H]", answer):
        question, options = _choices_within(question)
    seen = _held(record, "image", "images", "videos", "video")
    video = _held(record, "videos", "video") is not None and _held(record, "image", "images") is None
    return _Record(_held(record, "id", "problem_id"), question, answer, options, _several(seen), video, found[1])


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
    found = [_LETTERED.fullmatch(line) for line in lines[start:] if line.strip()]
    letters = "".join(match[1] if match else "?" for match in found)
    if len(found) < 2 or letters != "ABCDEFGH"[: len(found)]:
        return question, []
    asked = _HEADED.sub("", "\n".join(lines[:start]))
    return asked.strip(), [match[2] for match in found if match]


def _several(seen: object) -> tuple[object, ...]:
    return tuple(seen) if isinstance(seen, (list, tuple)) else () if seen is None else (seen,)


def _row(taken: _Record, where: str, number: int, dataset: str) -> dict:
    """The checked row; its scene is named when its picture is known."""
    matches = [_LETTERED.fullmatch(option) for option in taken.options]
    own = "".join(match[1] if match else "?" for match in matches)
    bare = [match[2] if match else "" for match in matches] if own == "ABCDEFGH"[: len(own)] else taken.options
    options = [f"{'ABCDEFGH'[i]}. {' '.join(text.split())}" for i, text in enumerate(bare[:8])]
    if len(bare) > 8:
        raise ValueError(f"{where}: has {len(bare)} options, must have two to eight; leave the row out")
    row: dict[str, Any] = {
        "id": number if taken.ident is None else taken.ident,
        "dataset": dataset,
        "scene_name": "not known yet",
    }
    row |= {"question_type": MATHEMATICS, "question": _PLACEHOLDER.sub("\n", taken.question).strip()}
    row |= {"options": options or None, "ground_truth": " ".join(taken.answer.split()), **taken.more}
    row["data_type"] = "video" if taken.video else "image"
    if options:
        row["ground_truth"] = parse_answer(row["ground_truth"], row).value or row["ground_truth"]
    return check_row(row, where)


def _completion(taken: _Record, where: str) -> str | None:
    """The completion that a row with a chain teaches."""
    if taken.chain is None:
        return None
    told = _CHAIN.fullmatch(str(taken.chain))
    chain, answer = (told[1] if told else str(taken.chain)).strip(), " ".join(taken.answer.split())
    if found := _ANY_TAG.search(chain + answer):
        raise ValueError(f"{where}: the chain or its answer holds the tag {found[0]!r} once more; remove the row")
    if fault := text_fault(chain, breaks=True):
        raise ValueError(f"{where}: the chain {fault}")
    return target_completion("think", "train", chain, answer)


def _add_picture(clips: PictureClips, taken: _Record, where: str, folder: Path) -> str:
    """Find what a row shows, read it once, and return the name of its scene."""
    what = "video" if taken.video else "picture"
    if len(taken.shown) != 1:
        raise ValueError(f"{where}: shows {len(taken.shown)} {what}s, a question is asked about one; leave the row out")
    source = _source(taken.shown[0], where, folder)
    if isinstance(source, bytes):
        if taken.video:
            raise ValueError(f"{where}: holds a video's bytes; write it to a file and give its path")
        scene = f"sha256-{hashlib.sha256(source).hexdigest()[:16]}"
    else:
        scene = os.path.relpath(source, folder) if source.is_relative_to(folder) else str(source)
    if fault := text_fault(scene):
        raise ValueError(f"{where}: the {what}'s path {shown(scene)} {fault}")
    if scene not in clips:
        clips.add(scene, source, taken.video)
        try:
            clips.read(scene)
        except ValueError as error:
            clips.drop([scene])
            raise ValueError(f"{where}: {error}") from error
    return scene


def _source(given: object, where: str, folder: Path) -> Path | bytes:
    """The bytes of a picture, or where it lies."""
    if isinstance(given, Mapping):
        given = next((given[name] for name in ("bytes", "path") if given.get(name)), None)
    if isinstance(given, (bytes, bytearray)):
        return bytes(given)
    if not isinstance(given, str) or not given.strip() or "\0" in given:
        raise ValueError(f"{where}: the picture is {shown(given)}, must be a path or the bytes of one")
    if re.match(r"[a-z]+://", given):
        raise ValueError(f"{where}: the picture is the address {shown(given)}; download it and give its path")
    if (data := _from_base64(given)) is not None:
        return data
    if os.path.isabs(given):
        return Path(given)
    path = Path(os.path.normpath(folder / given))
    if not path.is_relative_to(folder):
        rule = f"leads out of {folder}; put the picture below it, or give an absolute path"
        raise ValueError(f"{where}: the path {shown(given)} {rule}")
    return path


def _from_base64(given: str) -> bytes | None:
    """What a long text of base64 holds; None for a path."""
    text = re.sub(r"^data:image/[a-z+.-]+;base64,", "", given)
    if text == given and len(given) < 200:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
