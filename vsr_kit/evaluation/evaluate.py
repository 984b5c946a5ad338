"""Asking a model about rooms and recording its answers: the work behind `vsr eval`.

`load_questions` makes rows and clips from a number of procedural rooms, a geometry file, a folder that `vsr build`
wrote, or questions from elsewhere (VSI-Bench as the hub has it, VSI-100k, own rows: `data.sources`). `ask` takes a few
rooms at a time and records every answer in a run folder as it comes: a killed evaluation goes on to the same answers.
Left out: asking without a record (predictions.py), scoring (scorers.py), and several models at once.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vsr_kit import validation
from vsr_kit.data import SPLITS, assign_splits, balanced, make_rows, read_rows, split_rooms, unfinished, whole_clips
from vsr_kit.data.frame_cache import default_cache
from vsr_kit.data.picture_rows import check_asked, read_picture_rows
from vsr_kit.data.sources import PICTURES, Source, check_unpacked, find_source, read_source
from vsr_kit.evaluation.predictions import answered_rows
from vsr_kit.files import plain
from vsr_kit.questions import PICTURE_TYPES, TRAINED_TYPES, Rules, get_rules
from vsr_kit.rooms import read_rooms
from vsr_kit.runs import RunFolder
from vsr_kit.runs.identity import clips_identity, rows_identity, same_run, weights_identity
from vsr_kit.validation import whole
from vsr_kit.videos import film
from vsr_kit.videos.filming import shown_rows
from vsr_kit.videos.frame_limits import SIDE_PX, FrameLimits, filmed_side

ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Questions:
    """Questions ready to be asked.

    Attributes:
        rows: with VSI-Bench's fields.
        clips: scene_name to uint8 frames (F, H, W, 3), one for every scene of the rows.
        skipped: one line for each scene that could not be read, and each clip that was left out.
        unseen: how many questions of a built folder were left out, because the sampled frames do not show what they
            ask about.
        notes: what to know about clips that were read; see `data.whole_clips`.
    """

    rows: list[dict]
    clips: Mapping[str, np.ndarray]
    skipped: tuple[str, ...] = ()
    unseen: int = 0
    notes: tuple[str, ...] = ()

    def told(self) -> list[str]:
        """What whoever asks should know: scenes skipped, questions left out, oddities of clips, and the rules."""
        lines = [f"skipped {line}" for line in self.skipped]
        if self.unseen:
            lines.append(
                f"left out {self.unseen} questions of the folder: the frames shown do not show what they ask about"
            )
        named = sorted({row["rules"] for row in self.rows if "rules" in row})
        rules = [f"asked by the rules {name!r} (vsr_kit.questions.types)" for name in named]
        return [*lines, *(f"note: {line}" for line in self.notes), *rules]


def load_questions(
    rooms: str | int | Path,
    *,
    split: str = "test",
    phrasing: str = "vsi-bench",
    types: tuple[str, ...] | None = None,
    per_type: int | None = None,
    per_room: int | None = None,
    num_frames: int = 8,
    size_px: int = 112,
    max_pixels: int | None = None,
    fps: float | None = None,
    seed: int = 0,
    skip_broken: bool = False,
    progress: bool = False,
    rules: Rules | str | None = None,
    videos: str | Path | None = None,
    blind: bool = False,
    keep: Callable[[list[dict]], list[dict]] = list,
) -> Questions:
    """Rows and clips of `rooms`.

    Args:
        rooms: a number of procedural rooms, a geometry file, a folder written by `vsr build --video`; or questions from
            elsewhere: VSI-Bench's folder as the hub has it (`test.jsonl` or parquet, films in
            `{dataset}/{scene_name}.mp4`), one of its files with the films beside it (`test_debiased.parquet`),
            VSI-100k's annotations, rows about pictures (SAT, CV-Bench and others, `data.picture_rows`), or any file of
            rows with VSI-Bench's fields (`data.sources`).
        split: `train`, `val` or `test` (a geometry file is split by a hash of the scenes' names), or `all` of a file. A
            built folder and questions from elsewhere have no split and are taken whole.
        phrasing, types, seed: as make_rows takes them; rows that are there already keep their own wording.
        per_type: draw so many questions of each type, spread over rooms; all of them by default.
        per_room: ask at most so many of each type about a room that is filmed.
        num_frames: of the clips that are filmed; from a folder so many are sampled, and what these do not show is not
            asked, where its build recorded what each frame shows.
        size_px: width and height of filmed frames. Frames of a folder keep their aspect; larger ones are shrunk to at
            most size_px² pixels.
        max_pixels: of a frame, instead of size_px²; filmed frames are of size_px or of less.
        fps: frames a second of a folder's clips, num_frames at most.
        skip_broken: leave out rooms of a folder whose clip is missing or broken, with their questions.
        progress: show a bar while filming or reading.
        rules: what rooms are asked and filmed by, a rule set or its name; by default the study's for procedural
            rooms, so that they are asked what the shipped runs were asked, and the benchmark's for all others. A built
            folder keeps its own.
        videos: where the films of questions from elsewhere lie, if not beside them: mp4, ScanNet's `.sens`, or
            extracted frames (`data.scans.find_clip` has the places).
        blind: read no clips from disk, since none will be shown; `clips` is empty then.
        keep: given the rows before any is drawn or a clip on disk is read, returns those to go on with; it may refuse.

    Raises:
        ValueError: rows that break a rule, clips that are missing or broken, named.
    """
    for name, value in {"per_type": per_type, "per_room": per_room}.items():
        if value is not None:
            whole(name, value, remedy="leave it out for all of them")
    whole("num_frames", num_frames)
    whole("size_px", size_px)
    limits = frame_limits(num_frames, size_px, max_pixels, fps)
    validation.seed(seed)
    built = Path(str(rooms)) / "questions.jsonl"  # of vsr build, or one's own; with videos= its films lie elsewhere
    source = find_source(built if videos is not None and built.is_file() else rooms)
    if source is not None:
        return _of_source(source, videos, split, types, per_type, limits, seed, skip_broken, blind, keep, progress)
    if videos is not None:
        raise ValueError(f"videos is {videos}, and {rooms} are rooms, whose films are theirs; leave --videos out")
    if (folder := Path(str(rooms))).is_dir():
        return _of_folder(folder, types, per_type, limits, seed, skip_broken, blind, keep, progress)
    if fps is not None:
        raise ValueError(f"fps is {fps}, but rooms that are filmed have no rate: leave it out, and give num_frames")
    size_px = filmed_side(size_px, max_pixels)
    picked, skipped = _rooms(rooms, split, seed, rules)
    watched = tqdm(picked, desc="filming rooms", unit="room", disable=not progress)
    filmed = {
        room.name: film(room, num_frames, size_px, clear=get_rules(rules, room.dataset).clear_walk) for room in watched
    }
    rows = keep(make_rows(picked, phrasing, seed, types=types, clips=filmed, max_per_type=per_room, rules=rules))
    chosen = rows if per_type is None else balanced(rows, per_type, seed)
    return Questions(chosen, {name: clip.frames_FHW3 for name, clip in filmed.items()}, skipped)


def _rooms(rooms: str | int | Path, split: str, seed: int, rules) -> tuple[list, tuple[str, ...]]:
    """Rooms that will be filmed, procedural or of a geometry file, and what was left out of such a file."""
    if str(rooms).isdigit():
        return split_rooms(int(str(rooms)), split, seed), ()
    geometry = read_rooms(rooms, walls="labelled" if rules is None else get_rules(rules, "").walls)
    return _of_split(list(geometry.rooms), split), geometry.skipped


def frame_limits(num_frames: int, size_px: int, max_pixels: int | None = None, fps: float | None = None) -> FrameLimits:
    """What is taken of a folder's clips: arguments as `load_questions` takes them."""
    return FrameLimits(num_frames, max(size_px, SIDE_PX) ** 2 if max_pixels is None else max_pixels, fps)


def _of_folder(
    folder: Path, types, per_type, limits: FrameLimits, seed: int, skip_broken: bool, blind: bool, keep, progress: bool
) -> Questions:
    """The questions of a built folder that what is taken of its clips supports; arguments as `load_questions`."""
    if unfinished(folder):
        raise ValueError(f"the build in {folder} is not finished: wait for it, or run the same vsr build again")
    rows = read_rows(folder / "questions.jsonl")
    rows = keep([row for row in rows if types is None or row["question_type"] in types])
    shown = shown_rows(rows, folder, **vars(limits))
    chosen = shown if per_type is None else balanced(shown, per_type, seed)
    if blind:
        return Questions(chosen, {}, unseen=len(rows) - len(shown))
    kept, clips, left_out, notes = whole_clips(
        chosen, folder, skip_broken=skip_broken, progress=progress, cache=default_cache(), **vars(limits)
    )
    return Questions(kept, clips, left_out, len(rows) - len(shown), notes)


def _of_source(
    source: Source,
    videos: str | Path | None,
    split: str,
    types,
    per_type: int | None,
    limits: FrameLimits,
    seed: int,
    skip_broken: bool,
    blind: bool,
    keep,
    progress: bool,
) -> Questions:
    """Questions that were made elsewhere, taken whole; arguments as `load_questions`."""
    notes = [] if split in ("test", "all") else [f"{source.path}: has no split {split!r}, so its rows are taken whole"]
    if source.kind == PICTURES:
        check_asked(source.path, videos, limits.fps)
        asked = _of_pictures(source, types, per_type, limits, seed, skip_broken, blind, keep, progress)
        return replace(asked, notes=tuple(notes))
    read = read_source(source, skip_broken)
    rows = [row for row in read.rows if types is None or row["question_type"] in types]
    if not rows:
        found = ", ".join(sorted({row["question_type"] for row in read.rows}))
        raise ValueError(f"{source.path}: none of its questions is of these types; it has {found}")
    rows = keep(rows)
    shown = rows if videos is not None or blind else shown_rows(rows, source.root, **vars(limits))
    chosen = shown if per_type is None else balanced(shown, per_type, seed)
    if blind:
        return Questions(chosen, {}, read.left_out, notes=tuple(notes))
    root = source.root if videos is None else Path(videos)
    check_unpacked(chosen, root)
    kept, clips, left_out, more = whole_clips(
        chosen, root, skip_broken=skip_broken, progress=progress, cache=default_cache(), **vars(limits)
    )
    return Questions(kept, clips, (*read.left_out, *left_out), len(rows) - len(shown), (*notes, *more))


def _of_pictures(
    source: Source, types, per_type: int | None, limits: FrameLimits, seed: int, skip_broken, blind, keep, progress
) -> Questions:
    """Questions about pictures or videos, taken whole; a picture is a clip of two equal frames."""
    how = {"max_pixels": limits.max_pixels, "num_frames": limits.num_frames, "skip_broken": skip_broken}
    read = read_picture_rows(source.path, **how, progress=progress)
    wanted = PICTURE_TYPES if types in (None, TRAINED_TYPES) else types  # training names these where nobody names any
    rows = keep([row for row in read.rows if row["question_type"] in wanted])
    if not rows:
        found = ", ".join(sorted({row["question_type"] for row in read.rows}))
        raise ValueError(f"{source.path}: none of its questions is of these types; it has {found}")
    chosen = rows if per_type is None else balanced(rows, per_type, seed)
    return Questions(chosen, {} if blind else read.clips, read.left_out)


def _of_split(rooms: list, split: str) -> list:
    if split == "all":
        return rooms
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}, or all")
    return assign_splits(rooms)[split]


def training_questions(rooms: int, *, seed: int = 0, num_frames: int = 8, size_px: int = 112) -> Questions:
    """Questions as the study trains on: procedural training rooms, VSI-100k's words, the trained types, two of each.

    Args:
        rooms: how many; the study's own runs have 400.
        seed, num_frames, size_px: as `load_questions` takes them.
    """
    return load_questions(
        rooms,
        split="train",
        phrasing="vsi-100k",
        types=TRAINED_TYPES,
        per_room=2,
        seed=seed,
        num_frames=num_frames,
        size_px=size_px,
    )


def ask(
    loaded,
    rows: list[dict],
    clips: Mapping[str, np.ndarray] | None,
    run: RunFolder,
    *,
    mode: str = "vanilla",
    prompt_set: str = "eval",
    max_new_tokens: int = 16,
    temperature: float = 0.0,
    num_samples: int = 1,
    seed: int = 0,
    on_answers: Callable[[int], None] = lambda count: None,
    made_of: Mapping | None = None,
    batch_size: int | None = None,
) -> list[dict]:
    """Ask every row and record the answers in `run`, a few rooms at a time; what is recorded there is not asked again.

    Args are those of generation.generate; without clips the model is asked without video. on_answers(rows) is told of
    progress. made_of: what else the answers hang on, flat, such as the base's hash; recorded with rows, clips, LoRA
    weights and settings. batch_size: answers written at once, `generate`'s own if None. Returns every prediction of the
    run, one for each row and sample, in the order of asking: the row with `prediction`, `mode`, `sample` (its number),
    `num_tokens` and `truncated`.

    Raises:
        ValueError: no rows; or the run holds answers to others, or was begun with other clips, weights or settings.
    """
    from vsr_kit.generation import generate

    whole("samples", num_samples)
    if not rows:
        raise ValueError("0 questions: there is nothing to ask; give more rooms, or other types")
    done, kept = answered_scenes(run, rows, mode, num_samples)
    how = {"use": prompt_set, "max_new_tokens": max_new_tokens, "temperature": temperature, "samples": num_samples}
    identity = rows_identity(rows) | clips_identity(clips, [row["scene_name"] for row in rows])
    identity |= weights_identity(getattr(loaded, "model", None)) | {
        "mode": mode,
        "seed": seed,
        **how,
        **(made_of or {}),
    }
    asked = {"mode": mode, "prompt_set": prompt_set, "max_new_tokens": max_new_tokens, "temperature": temperature}
    asked |= {"num_samples": num_samples, "seed": seed} | ({} if batch_size is None else {"batch_size": batch_size})
    recorded = run.read_predictions()
    if missing := same_run(run, identity, bool(recorded)):
        told = f"{run.path} was begun by an earlier version, which did not record {', '.join(missing)}"
        print(f"{told}: not compared", file=sys.stderr)
    if len(kept) < len(recorded):
        run.replace_predictions(kept)
    try:
        _ask(generate, loaded, rows, clips, run, done, asked, on_answers)
    except KeyboardInterrupt:
        run.let_go()  # the same kernel may resume it
        raise
    return _in_order(run, rows)


def _ask(generate, loaded, rows, clips, run: RunFolder, done: set[str], how: dict, on_answers) -> None:
    """Ask what is not done, batch after batch; clips of the next batch are read meanwhile, where they can be."""
    batches, ahead = list(_batches(rows)), getattr(clips, "ahead", None)
    for own, following in zip(batches, [*batches[1:], []], strict=True):
        scenes = list(dict.fromkeys(row["scene_name"] for row in own))
        if not done.issuperset(scenes):
            if ahead is not None:
                ahead(scenes + [row["scene_name"] for row in following if row["scene_name"] not in done])
            answers = generate(loaded, own, clips, **how)
            run.predictions(
                answer
                for row, group in zip(own, answers, strict=True)
                if row["scene_name"] not in done
                for answer in answered_rows(row, how["mode"], group)
            )
        on_answers(len(own))


def _batches(rows: list[dict]) -> Iterator[list[dict]]:
    """Rows scene by scene, in batches of whole scenes that hold at least ROWS_AT_ONCE rows."""
    by_scene: dict[str, list[dict]] = {}
    for row in rows:
        by_scene.setdefault(row["scene_name"], []).append(row)
    batch: list[dict] = []
    for own in by_scene.values():
        batch += own
        if len(batch) >= ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def answered_scenes(run: RunFolder, rows: list[dict], mode: str, num_samples: int = 1) -> tuple[set[str], list[dict]]:
    """Scenes of which every row and sample is answered once, and their recorded answers; writes nothing.

    A kill may have cut the last scene short, and a hand may have doubled or lost a line: such scenes are asked anew.

    Raises:
        ValueError: an answer belongs to none of these rows, or to one that has changed since.
    """
    wanted: dict[str, Counter] = {}
    texts: dict[tuple, list[str]] = {}
    for row in rows:
        for sample in range(num_samples):
            key = _key(row, sample)
            wanted.setdefault(row["scene_name"], Counter())[key] += 1
            texts.setdefault(key, []).append(_text({**row, "mode": mode}))
    recorded = run.read_predictions()
    found: dict[str, Counter] = {}
    for number, line in enumerate(recorded, start=1):
        key = _key(line, line.get("sample", 0))
        if _text({k: v for k, v in line.items() if k not in _SAID}) not in texts.get(key, []):
            why = "which has changed since" if key in texts else "which is not asked"
            raise ValueError(
                f"{run.path / 'predictions.jsonl'}, line {number}, answers question {line.get('id')!r} of "
                f"{line.get('scene_name')!r} (sample {line.get('sample', 0)}), {why}: give the rooms, split and mode "
                "it was begun with, or begin a new run"
            )
        found.setdefault(line["scene_name"], Counter())[key] += 1
    whole_ones = {scene for scene, keys in found.items() if keys == wanted[scene]}
    return whole_ones, [line for line in recorded if line["scene_name"] in whole_ones]


_SAID = ("sample", "prediction", "num_tokens", "truncated")  # what an answer has besides its row and mode


def _key(row: Mapping, sample: int) -> tuple:
    return json.dumps([row.get("dataset"), row.get("scene_name"), row.get("id")], default=plain), sample


def _text(row: Mapping) -> str:
    return json.dumps(row, sort_keys=True, default=plain)


def _in_order(run: RunFolder, rows: list[dict]) -> list[dict]:
    """All answers, in the order in which a run that nothing happened to asks, which the file is given, too."""
    place = {_key(row, 0)[0]: i for i, row in enumerate(row for own in _batches(rows) for row in own)}
    recorded = run.read_predictions()
    ordered = sorted(recorded, key=lambda line: (place[_key(line, 0)[0]], line.get("sample", 0)))
    if ordered != recorded:
        run.replace_predictions(ordered)
    return ordered
