r"""Rows about pictures and videos in the layouts of Vision-R1, Video-R1, MathVista, SAT and CV-Bench.

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

- SAT's and CV-Bench's choices about one picture: picture_records.py has their fields.

Rows of the first four are of the type `mathematics`, those of the last two of the type `picture_choice`.

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
import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vsr_kit.data.checking import check_row
from vsr_kit.data.picture_records import CHAIN, LETTERED, WANTED, Record, take_apart
from vsr_kit.data.pictures import MAX_PIXELS, NUM_FRAMES, PictureClips
from vsr_kit.data.rows import read_records
from vsr_kit.prompts import parse_answer, target_completion
from vsr_kit.validation import shown, text_fault

_PLACEHOLDER = re.compile(r"\s*<(?:image|video)(?: ?\d+)?>[ \t]*\n?", re.IGNORECASE)
_ANY_TAG = re.compile(r"<\s?/?\s?(?:think|observe|answer)\s?>", re.IGNORECASE)
_NAMED = 3  # rows that an error names one by one


@dataclass(frozen=True)
class PictureRows:
    """What was read: rows and their clips, as `train`, `predict` and `generate` take both.

    Attributes:
        rows: with VSI-Bench's fields, of the type `mathematics` or `picture_choice`; `data_type` says image or video,
            and `unit`, `precision`, `answer_type` and `picture_task` are there where the file has them.
        clips: scene_name to uint8 frames (F, H, W, 3), read when used; a picture is two equal frames.
        completions: by id the chain and answer of rows that have a chain, as the think prompt asks for them.
        left_out: a line for each row that could not be used, with the reason.
    """

    rows: list[dict]
    clips: PictureClips
    completions: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


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
    records = list(read_records(path, WANTED))
    for number, (where, record) in enumerate(tqdm(records, "reading rows", unit="row", disable=not progress), 1):
        try:
            taken = take_apart(record, where, number)
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


def _row(taken: Record, where: str, number: int, dataset: str) -> dict:
    """The checked row; its scene is named when its picture is known."""
    matches = [LETTERED.fullmatch(option) for option in taken.options]
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
    row |= {"question_type": taken.kind, "question": _PLACEHOLDER.sub("\n", taken.question).strip()}
    row |= {"options": options or None, "ground_truth": " ".join(taken.answer.split()), **taken.more}
    row["data_type"] = "video" if taken.video else "image"
    if options:
        row["ground_truth"] = parse_answer(row["ground_truth"], row).value or row["ground_truth"]
    return check_row(row, where)


def _completion(taken: Record, where: str) -> str | None:
    """The completion that a row with a chain teaches."""
    if taken.chain is None:
        return None
    told = CHAIN.fullmatch(str(taken.chain))
    chain, answer = (told[1] if told else str(taken.chain)).strip(), " ".join(taken.answer.split())
    if found := _ANY_TAG.search(chain + answer):
        raise ValueError(f"{where}: the chain or its answer holds the tag {found[0]!r} once more; remove the row")
    if fault := text_fault(chain, breaks=True):
        raise ValueError(f"{where}: the chain {fault}")
    return target_completion("think", "train", chain, answer)


def _add_picture(clips: PictureClips, taken: Record, where: str, folder: Path) -> str:
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
