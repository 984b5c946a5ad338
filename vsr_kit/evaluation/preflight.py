"""Every row and clip looked at before a model is loaded, so that no run ends in its third hour over row 4,000.

For each row: its fields and options are those of a row, its clip is there and decodes, the chat template takes its
text, and its right answer, written as the mode asks for it, is read by the reader and paid in full. For each clip:
frames, size and video tokens. `vsr eval` and `vsr train` do this for the rows they will use; `vsr preflight` does it
for a whole folder, goes on after a fault, and writes what it found.
Left out: whether a ground truth is true, and whether a model's memory holds a prompt of so many tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsr_kit.data import ClipFolder, check_row
from vsr_kit.data.clips import clip_paths, read_all
from vsr_kit.data.frame_cache import default_cache
from vsr_kit.prompts import VSI_BENCH_MODE, chat_messages, parse_answer, target_completion
from vsr_kit.questions import MATHEMATICS
from vsr_kit.rewards import accuracy_reward
from vsr_kit.videos.filming import shown_rows
from vsr_kit.videos.frame_limits import FrameLimits, bounds_of, video_tokens

STAGES = ("row", "clip", "shown", "template", "answer", "reward")  # in which a row may fail, in this order
_NAMED = 3
_ABOUT = {
    "row": "fields and options",
    "clip": "its clip is there and decodes",
    "shown": "the frames show what it asks about",
    "template": "the chat template takes it",
    "answer": "the reader reads the right answer",
    "reward": "the reward pays it 1.0",
}


@dataclass(frozen=True)
class RowFinding:
    """What was found about a row.

    Attributes:
        place: file and line, or the row's number.
        id, dataset, scene_name, question_type: the row's, where it has them.
        stage: where it failed, one of STAGES; empty where nothing is wrong.
        fault: why.
        prompt_tokens: of the whole prompt, its clip's included; None where it was not written.
    """

    place: str
    id: object = None
    dataset: str = ""
    scene_name: str = ""
    question_type: str = ""
    stage: str = ""
    fault: str = ""
    prompt_tokens: int | None = None


@dataclass(frozen=True)
class ClipFinding:
    """What was found about a clip: frames, height and width as the model is given them, and tokens; or the fault."""

    scene_name: str
    path: str = ""
    frames: int = 0
    height: int = 0
    width: int = 0
    video_tokens: int = 0
    fault: str = ""
    note: str = ""


@dataclass(frozen=True)
class Preflight:
    """Everything found. `rows` in their order, `clips` in the order in which rows name them."""

    rows: tuple[RowFinding, ...]
    clips: tuple[ClipFinding, ...]

    @property
    def faults(self) -> list[RowFinding]:
        """Rows that something is wrong with; a question that its frames do not show is left out, and no fault."""
        return [row for row in self.rows if row.stage and row.stage != "shown"]

    def counts(self) -> list[tuple[str, int, int]]:
        """(what was looked at, rows that passed, rows that failed), in the order of looking."""
        left, lines = len(self.rows), []
        failed = Counter(row.stage for row in self.rows)
        for stage in STAGES:
            left -= failed[stage]
            lines.append((_ABOUT[stage], left, failed[stage]))
        return lines

    def records(self) -> Iterable[dict]:
        """A flat record for every clip, then for every row, without empty fields."""
        for kind, found in (("clip", self.clips), ("row", self.rows)):
            for one in found:
                yield {"about": kind} | {k: v for k, v in vars(one).items() if v not in ("", None)}


def check_records(
    records: Iterable[tuple[str, object]],
    folder: str | Path,
    limits: FrameLimits,
    *,
    processor,
    how: Mapping,
    progress: bool = False,
) -> Preflight:
    """Look at every record and the clips that they ask about, going on after each fault.

    Args:
        records: (place, record), as `data.read_records` gives them.
        folder: holds the clips, and what `vsr build --video` recorded of what they show.
        limits: of frames and pixels.
        processor: the model's.
        how: `mode`, `prompt_set` and `numeric`, as `check_row_of` takes them.
        progress: show a bar while clips are read.

    Raises:
        ValueError: two data sets share the name of a scene, or what was recorded of the clips is another folder's.
    """
    folder = Path(folder)
    found: dict[str, RowFinding] = {}
    rows: dict[str, dict] = {}
    for place, record in records:
        try:
            rows[place] = check_row(record, place)
        except ValueError as error:
            named = record if isinstance(record, dict) else {}
            known = {name: named.get(name, "") for name in ("id", "dataset", "scene_name", "question_type")}
            found[place] = RowFinding(place, **known, stage="row", fault=str(error))
        else:
            found[place] = _found(place, rows[place])
    for place, fault in _twice(rows):
        found[place] = _found(place, rows.pop(place), "row", fault)
    shown = {id(row) for row in shown_rows(rows.values(), folder, **vars(limits))}
    for place in [place for place, row in rows.items() if id(row) not in shown]:
        found[place] = _found(place, rows.pop(place), "shown", "the sampled frames do not show what it asks about")
    clips = ClipFolder(paths := clip_paths(rows.values(), folder), cache=default_cache(), **vars(limits))
    broken = read_all(clips, paths, progress)
    told = clip_findings(clips, paths, processor, broken)
    tokens = {clip.scene_name: clip.video_tokens for clip in told}
    for place, row in rows.items():
        if why := broken.get(row["scene_name"]):
            found[place] = _found(place, row, "clip", why)
        else:
            found[place] = check_row_of(place, row, tokens, processor, **how)
    return Preflight(tuple(found.values()), tuple(told))


def _twice(rows: Mapping[str, dict]) -> list[tuple[str, str]]:
    """Places of rows whose id another row of the data set has, and which."""
    seen: dict[tuple, str] = {}
    faults = []
    for place, row in rows.items():
        first = seen.setdefault((row["dataset"], str(row["id"])), place)
        if first != place:
            faults.append((place, f"field 'id' is that of {first.rpartition(', ')[2]}, too; give each its own"))
    return faults


def clip_findings(
    clips: Mapping, paths: Mapping[str, Path], processor, broken: Mapping[str, str] | None = None
) -> list[ClipFinding]:
    """Frames, size and tokens of clips that were read, and the faults of those that could not be."""
    bounds, found = bounds_of(processor), []
    for scene, path in paths.items():
        if broken and scene in broken:
            found.append(ClipFinding(scene, str(path), fault=broken[scene]))
            continue
        known = getattr(clips, "shapes", {})
        frames, height, width = (known[scene] if scene in known else clips[scene].shape)[:3]
        note = "; ".join(getattr(clips, "notes", {}).get(scene, {}).values())
        tokens = video_tokens(frames, height, width, bounds)
        found.append(ClipFinding(scene, str(path), frames, height, width, tokens, note=note))
    return found


def check_questions(rows: Sequence[dict], clips: Mapping | None, processor, how: Mapping) -> Preflight:
    """Look at rows and clips that were read already, as a run will use them; arguments as `check_records`.

    Without clips the rows are asked without video.
    """
    scenes = {} if clips is None else dict.fromkeys((row["scene_name"] for row in rows), Path())
    told = clip_findings(clips or {}, scenes, processor)
    tokens = {clip.scene_name: clip.video_tokens for clip in told}
    return Preflight(
        tuple(check_row_of(f"row {i}", row, tokens, processor, **how) for i, row in enumerate(rows, 1)), tuple(told)
    )


def check_row_of(
    place: str,
    row: dict,
    tokens: Mapping[str, int],
    processor,
    *,
    mode: str = "vanilla",
    prompt_set: str = "eval",
    numeric: str = "paper",
) -> RowFinding:
    """Write a row's prompt, and have its right answer read and paid.

    Args:
        place: what to call the row.
        row: with VSI-Bench's fields.
        tokens: video tokens of its clip, by scene; a scene without is asked without video.
        processor: the model's.
        mode, prompt_set: as `prompts.chat_messages` takes them.
        numeric: the reward for numbers.
    """
    from vsr_kit.models.vision import chat_ids, chat_text

    cost = tokens.get(row["scene_name"])
    try:
        messages = chat_messages(row, mode, prompt_set)
        # a token stands for the clip, or for each piece of it, and is counted as all its own: pads are never joined
        if cost is None:
            total = len(chat_ids(processor, messages, None))
        else:
            text = chat_text(processor, messages, True)
            total = len(processor.tokenizer(text)["input_ids"]) - text.count(processor.video_token) + cost
    except (ValueError, TypeError, KeyError) as error:
        return _found(place, row, "template", str(error))
    stage, fault = ("", "") if row["question_type"] == MATHEMATICS else _paid(row, mode, prompt_set, numeric)
    return _found(place, row, stage, fault, total)


def _paid(row: dict, mode: str, prompt_set: str, numeric: str) -> tuple[str, str]:
    """(stage, fault) of the right answer, in the words of the mode; empty where it is read and paid in full."""
    truth = row["ground_truth"]
    told = truth if mode == VSI_BENCH_MODE else target_completion(mode, prompt_set, "I look at the clip.", truth)
    parsed = parse_answer(told, row)
    if parsed.value is None:
        return "answer", f"the right answer, {truth!r}, is not read ({parsed.reason}); correct or remove the row"
    paid = accuracy_reward(told, row, numeric)
    if paid != 1.0:
        return "reward", f"the right answer, {truth!r}, is read as {parsed.value!r} and earns {paid:.2f}, not 1.00"
    return "", ""


def _found(place: str, row: dict, stage: str = "", fault: str = "", tokens: int | None = None) -> RowFinding:
    named = row["id"], row["dataset"], row["scene_name"], row["question_type"]
    return RowFinding(place, *named, stage, fault, tokens)


def refuse_faults(found: Preflight, where: str) -> None:
    """ValueError that names the first rows that something is wrong with; nothing where none is.

    where: what `vsr preflight` would be given to list them all: rooms, and the flags that decide what it finds.
    """
    faults = found.faults
    if not faults:
        return
    first = "; ".join(f"row {row.id!r} of {row.scene_name!r}: {row.fault}" for row in faults[:_NAMED])
    more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
    raise ValueError(
        f"{len(faults)} of {len(found.rows)} rows cannot be used: {first}{more}. Correct or remove them; "
        f"vsr preflight --rooms {where} lists them all"
    )
