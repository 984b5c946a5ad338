"""`vsr preflight`: every row and clip of a data set looked at in minutes, before a run spends hours on it.

It says frames, sizes and tokens, how many rows pass each check, and why the others do not, and leaves one JSON line for
every clip and row. Its exit status is 1 where something is wrong.
Left out: asking a model; no weights are loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vsr_kit.cli.clips import Fps, Pixels, clip_lines, processor_of
from vsr_kit.cli.data import Rooms, Videos
from vsr_kit.cli.models import EvalMode, Model
from vsr_kit.cli.terminal import bars

_LISTED = 10  # faults that are printed; the file has all
FAULTY = 1  # exit status


def preflight(
    context: typer.Context,
    rooms: Rooms,
    videos: Videos = None,
    model: Model = "mini",
    mode: Annotated[EvalMode, typer.Option(help="How the model will be asked.")] = EvalMode.vanilla,
    training: Annotated[
        bool, typer.Option("--training", help="By the prompts of training, not of evaluation.")
    ] = False,
    numeric: Annotated[str, typer.Option(help="How numbers will be rewarded: paper, mra, …")] = "paper",
    split: Annotated[str, typer.Option(help="Of filmed rooms: train, val, test; `all` of a geometry file.")] = "test",
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 8,
    size: Annotated[int, typer.Option(help="Width and height of filmed frames in pixels.")] = 112,
    pixels: Pixels = None,
    fps: Fps = None,
    preset: Annotated[str | None, typer.Option(help="As in `vsr eval`: vsi-bench.")] = None,
    out: Annotated[Path, typer.Option(help="The report, JSON lines; an earlier one is replaced.")] = Path(
        "preflight.jsonl"
    ),
) -> None:
    """Check all rows and clips of ROOMS, without loading a model: files, frames, tokens, prompts, answers, rewards."""
    from vsr_kit.cli.resume import typed
    from vsr_kit.evaluation.presets import with_preset
    from vsr_kit.rewards.terms import numeric_reward

    numeric_reward(numeric)
    settings = {"mode": mode.value, "frames": frames, "pixels": pixels}
    if preset is not None:
        settings, _ = with_preset(preset, settings, typed(context))
    processor = processor_of(model)
    if processor is None:
        raise ValueError(f"{model}: no processor of a Qwen2-VL can be read there; name another --model")
    how = {"mode": settings["mode"], "prompt_set": "train" if training else "eval", "numeric": numeric}
    shown = {"num_frames": settings["frames"], "size_px": size, "max_pixels": settings["pixels"], "fps": fps}
    found, lines = _found(rooms, videos, split, shown, model, processor, how)
    for line in lines:
        typer.echo(line, err=True)
    _write(found, out)
    _print(found, out)
    if found.faults:
        raise typer.Exit(FAULTY)


def _records(rooms: str, videos: str | None):
    """The records of a file or folder with VSI-Bench's fields, whole or not, and where their clips lie; else None."""
    from vsr_kit.data import read_records
    from vsr_kit.data.sources import PICTURES, find_source

    if (path := Path(rooms) / "questions.jsonl").is_file():
        return read_records(path, "a questions.jsonl"), videos or rooms
    source = find_source(rooms)
    if source is None or source.kind in ("VSI-100k", PICTURES):  # whose records become rows on the way
        return None
    return source.records, videos or source.root


def _found(rooms: str, videos: str | None, split: str, shown: dict, model: str, processor, how: dict):
    """What was found, and lines about the clips."""
    from vsr_kit.evaluation.evaluate import frame_limits, load_questions
    from vsr_kit.evaluation.preflight import check_questions, check_records

    if (there := _records(rooms, videos)) is not None:
        records, root = there
        limits = frame_limits(*shown.values())
        found = check_records(records, root, limits, processor=processor, how=how, progress=bars())
        whole = [clip for clip in found.clips if not clip.fault]
        shapes = {clip.scene_name: _Shape((clip.frames, clip.height, clip.width, 3)) for clip in whole}
        rows = [{"scene_name": row.scene_name, "dataset": row.dataset} for row in found.rows]
        rows = [row for row in rows if row["scene_name"] in shapes]
        return found, clip_lines(model, processor, rows, shapes) if rows else []
    asked = load_questions(rooms, videos=videos, split=split, **shown, skip_broken=True, progress=bars())
    lines = [*asked.told(), *clip_lines(model, processor, asked.rows, asked.clips)]
    return check_questions(asked.rows, asked.clips, processor, how), lines


class _Shape:
    """What stands for a clip whose frames are not held."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


def _write(found, out: Path) -> None:
    import json

    from vsr_kit.files import plain, replace

    lines = [json.dumps(record, ensure_ascii=False, default=plain) + "\n" for record in found.records()]
    out.parent.mkdir(parents=True, exist_ok=True)
    replace(out, lambda beside: beside.write_text("".join(lines), encoding="utf-8"))


def _print(found, out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from vsr_kit.validation import printable

    broken = [clip for clip in found.clips if clip.fault]
    table = Table(title=f"{len(found.rows)} rows about {len(found.clips)} clips")
    for heading in ("looked at", "pass", "fail"):
        table.add_column(heading, justify="left" if heading == "looked at" else "right")
    for what, passed, failed in found.counts():
        table.add_row(what, str(passed), str(failed))
    Console().print(table)
    for clip in broken[:_LISTED]:
        typer.echo(f"broken clip: {printable(clip.fault)}")
    rows = [row for row in found.faults if row.stage != "clip"]
    for row in rows[:_LISTED]:
        typer.echo(f"row {printable(str(row.id))}: {printable(row.fault)}")
    if (more := len(broken) + len(rows) - min(len(broken), _LISTED) - min(len(rows), _LISTED)) > 0:
        typer.echo(f"and {more} more faults")
    skip = "; --skip-broken-clips goes on without them" if broken else ""
    typer.echo(f"{len(found.faults)} rows cannot be used{skip}" if found.faults else "every row can be used")
    typer.echo(f"look at {out}")
