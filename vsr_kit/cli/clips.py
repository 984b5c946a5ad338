"""What commands say and check about clips before a model's weights are loaded, and the flags for frames and pixels.

`look` prints what a model will be shown and what that costs, warns of what it never learnt, and refuses rows that could
not be asked or paid. It reads a model's processor and its card, no weights.
Left out: reading the clips, which `load_questions` does.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from vsr_kit.paths import checkpoint_of

Pixels = Annotated[
    int | None, typer.Option(help="Most pixels of a frame, its aspect kept; else the size times itself.")
]
Fps = Annotated[float | None, typer.Option(help="Frames a second of a folder's clips; --frames caps them.")]


def processor_of(model: str):
    """The processor of a model, without its weights; None where there is none that can be read."""
    from vsr_kit.models.vision import chat_text, load_processor

    try:
        processor = load_processor(checkpoint_of(model))
        chat_text(processor, [{"role": "user", "content": "?"}], with_video=False)  # a template that cannot be filled
    except Exception:  # damaged files raise all kinds; loading the model, which comes next, says it in better words
        return None
    return processor


def flags_of(settings: Mapping, model: str, mode: str, frames: int, size: int, training: bool = False, numeric="paper"):
    """Rooms and flags by which `vsr preflight` looks at what a command was given; those at its defaults are left out.

    settings: with `rooms`, and where they are set `videos`, `split`, `pixels` and `fps`.
    """
    given: dict[str, tuple] = {
        "model": (model, "mini"),
        "videos": (settings.get("videos"), None),
        "mode": (mode, "vanilla"),
    }
    given |= {"split": (settings.get("split", "train" if training else "test"), "test"), "frames": (frames, 8)}
    given |= {"size": (size, 112), "pixels": (settings.get("pixels"), None), "fps": (settings.get("fps"), None)}
    given |= {"numeric": (numeric, "paper")}
    told = {name: value for name, (value, usual) in given.items() if value not in (None, usual)}
    flags = [f"--{name} {shlex.quote(str(value))}" for name, value in told.items()]
    return " ".join([shlex.quote(str(settings["rooms"])), *flags, *["--training"] * training])


def look(model: str, rows: Sequence[dict], clips: Mapping | None, how: Mapping, *, where: str, run=None, say=True):
    """Say what a model will be shown, and refuse rows that it cannot be asked.

    Args:
        model: by name, as `load_model` takes it.
        rows, clips: what it will be asked about; None where it is asked without video.
        how: as `preflight.check_row_of` takes it.
        where: what `vsr preflight` would be given, as `flags_of` writes it.
        run: that of the adapter, a RunFolder.
        say: False says nothing, as all but the main process do.

    Raises:
        ValueError: rows that cannot be used.
    """
    from vsr_kit.evaluation.preflight import check_questions, refuse_faults

    processor = processor_of(model)
    if processor is None:
        return
    for line in clip_lines(model, processor, rows, clips, run) if say and clips is not None else ():
        typer.echo(line, err=True)
    refuse_faults(check_questions(rows, clips, processor, how), where)


def clip_lines(model: str, processor, rows: Sequence[dict], clips: Mapping, run=None) -> list[str]:
    """Frames, sizes and tokens of the clips, and warnings of what model and adapter never learnt."""
    from vsr_kit.evaluation.shown_clips import cost_told, shapes_of, trained_otherwise, unlearnt
    from vsr_kit.evaluation.taught import read_taught
    from vsr_kit.videos.frame_limits import bounds_of

    shapes = list(shapes_of(clips, (row["scene_name"] for row in rows)).values())
    bounds, folder = bounds_of(processor), Path(checkpoint_of(model))
    taught = read_taught(folder) if folder.is_dir() else None
    lines = [cost_told(shapes, bounds), *unlearnt(taught, {row["dataset"] for row in rows}, shapes, bounds)]
    otherwise = trained_otherwise(run.config["config"], shapes) if run is not None else None
    return lines if otherwise is None else [*lines, otherwise]
