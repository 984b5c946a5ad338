"""`vsr plan`: what a training or an evaluation would hold in memory, what settings cost, and what to turn down.

Nothing is loaded and no GPU is needed: the sizes of a model come from its configuration (training/shapes.py), the sum
from the formulas of training/memory.py and training/asking_memory.py. With a GPU at hand its memory is what has to
suffice, unless `--memory` names another.
Left out: speed.
"""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from vsr_kit import validation
from vsr_kit.cli.clips import Pixels
from vsr_kit.cli.flags import (
    ChainTokens,
    Checkpointing,
    Dtype,
    Frames,
    GroupsPerPass,
    LoraRank,
    NumGenerations,
    ProfileQuantize,
    QuestionsPerClip,
    QuestionsPerStep,
    VanillaTokens,
    changes_of,
)
from vsr_kit.cli.models import Mode


class For(StrEnum):
    """What a plan is made for."""

    train = "train"
    eval = "eval"


_SHOWN = 0.002  # of the peak: settings that change less are not listed
_UNITS = {"": 10**9, "g": 10**9, "gb": 10**9, "gib": 2**30, "m": 10**6, "mb": 10**6, "mib": 2**20}


def plan(
    profile: Annotated[str, typer.Option(help="mini, t4, a100 or paper, as in `vsr train`.")] = "t4",
    method: Annotated[str, typer.Option(help="grpo, sft or dpo.")] = "grpo",
    mode: Annotated[Mode, typer.Option(help="Decides the cap of a completion.")] = Mode.vanilla,
    memory: Annotated[
        str | None, typer.Option(help="What must suffice, such as 15GB; else the GPU's that is there.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Instead of the profile's: a known id, or a folder.")] = None,
    quantize: ProfileQuantize = None,
    dtype: Dtype = None,
    frames: Frames = None,
    pixels: Pixels = None,
    film: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT of the film, which is shrunk where it has more pixels.")
    ] = None,
    text_tokens: Annotated[int | None, typer.Option(help="Tokens of a prompt beside its clip.")] = None,
    num_generations: NumGenerations = None,
    questions_per_step: QuestionsPerStep = None,
    questions_per_clip: QuestionsPerClip = None,
    groups_per_pass: GroupsPerPass = None,
    max_vanilla_tokens: VanillaTokens = None,
    max_chain_tokens: ChainTokens = None,
    lora_rank: LoraRank = None,
    gradient_checkpointing: Checkpointing = None,
    rooms: Annotated[int, typer.Option(help="Clips of the run, whose features are kept.")] = 400,
    device: Annotated[str | None, typer.Option(help="cuda or cpu; by the machine and the profile if left out.")] = None,
    what_for: Annotated[For, typer.Option("--for", help="Plan `vsr train`, or `vsr eval`.")] = For.train,
    batch_size: Annotated[int, typer.Option(help="With --for eval: answers written at once.")] = 64,
    max_new_tokens: Annotated[int, typer.Option(help="With --for eval: cap of an answer.")] = 64,
    per_clip: Annotated[int, typer.Option(help="With --for eval: questions about a clip.")] = 8,
) -> None:
    """Predict the memory of a training or an evaluation, and what to turn down if it does not fit.

    Qwen2-VL-2B on a T4, at the film's own size:
    vsr plan --profile t4 --frames 16 --film 640x480 --pixels 401408 --memory 15GB

    The same model asked with the benchmark's 32 frames:
    vsr plan --for eval --frames 32 --film 640x480 --pixels 401408 --memory 15GB
    """
    from vsr_kit.training.machine import this_machine, work_here
    from vsr_kit.training.memory import METHODS
    from vsr_kit.training.profiles import get_profile

    validation.one_of("method", method, METHODS)
    changes = changes_of(locals())
    chosen = replace(get_profile(profile), **changes)
    frame_px = _shown_size(chosen.size_px, film, pixels)
    chosen.check_passes()
    budget = None if memory is None else bytes_of(memory)
    own = {"method": method, "mode": mode.value, "frame_px": frame_px, "text_tokens": text_tokens, "num_clips": rooms}
    own |= {} if budget is None else {"card_bytes": budget}
    work = work_here(chosen, device, **own)
    there = int(this_machine().memory_gb * 10**9) if work.device == "cuda" else 0
    if what_for is For.eval:
        asked = {"batch_size": batch_size, "max_new_tokens": max_new_tokens, "questions": per_clip}
        _show_asking(_asking(work, asked), chosen.name, budget or there or None)
        return
    _show(work, budget or there or None)


def _asking(work, asked: dict):
    """An evaluation of what a training's plan is made of."""
    from vsr_kit.training.asking_memory import QUESTION_TOKENS, Asking

    tokens = {"text_tokens": work.own_tokens, "own_tokens": min(QUESTION_TOKENS, work.own_tokens)}
    return Asking(
        work.shape,
        quantize=work.profile.quantize,
        num_frames=work.profile.num_frames,
        frame_px=work.size_px,
        num_clips=work.num_clips,
        device=work.device,
        number_bytes=work.number_bytes,
        adapter_rank=work.profile.lora_rank,
        **tokens,
        **asked,
    )


def bytes_of(text: str) -> int:
    """Bytes of a text such as 15GB, 15, 16GiB or 800MB; a number alone is GB.

    Raises:
        ValueError: anything else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].lower() not in _UNITS or not float(found[1]):
        raise ValueError(f"memory is {text!r}: give a number above 0 with its unit, such as 15GB or 16GiB")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _shown_size(size_px: int, film: str | None, pixels: int | None) -> tuple[int, int]:
    """Height and width of a frame as a model is shown it: of a film, or the square that rooms are filmed in."""
    from vsr_kit.videos.frame_limits import check_pixels, shrunk_size

    if pixels is not None:
        check_pixels(pixels)
    height, width = (size_px, size_px) if film is None else size_of(film)
    return shrunk_size(height, width, size_px**2 if pixels is None else pixels)


def size_of(text: str) -> tuple[int, int]:
    """(height, width) in pixels of a text such as 640x480, width x height.

    Raises:
        ValueError: anything else.
    """
    found = re.fullmatch(r"(\d{1,5})[xX×](\d{1,5})", text.strip())
    if found is None or not int(found[1]) or not int(found[2]):
        raise ValueError(f"film is {text!r}: give width x height in pixels, such as 640x480")
    return int(found[2]), int(found[1])


def _show_asking(asking, profile: str, budget: int | None) -> None:
    """Print the plan of an evaluation: what it is of, its parts, what can be turned down, and whether it fits."""
    from rich.console import Console
    from rich.table import Column, Table

    from vsr_kit.training.asking_memory import plan_asking, turned_down
    from vsr_kit.training.knobs import gigabytes

    own, console = plan_asking(asking), Console()
    height, width = asking.frame_px
    weights = "nf4 weights, " if asking.quantize == "nf4" else ""
    typer.echo(
        f"{asking.shape.name}: {asking.shape.parameters:,} parameters, {weights}"
        f"{'bfloat16' if asking.number_bytes == 2 else 'float32'}, on {asking.device}; an evaluation with the "
        f"frames of profile {profile} and an adapter; a clip of {asking.num_frames} frames at {width} x {height} px "
        f"is {asking.clip_tokens:,} tokens; {asking.questions} questions a clip, {asking.batch_size} answers at once"
    )
    _show_parts(own, console)
    table = Table("setting", Column("it frees", justify="right"), "the price", title="one setting turned down")
    for flag, then, price in turned_down(asking):
        if (saved := own.peak - plan_asking(then).peak) > _SHOWN * own.peak:
            table.add_row(flag, gigabytes(saved), price)
    console.print(table)
    if asking.device == "cuda":
        typer.echo(f"with a GPU's own share and gaps, which are guessed: {gigabytes(own.needed)}")
    if budget is not None:
        fits = "and fits" if own.needed <= budget else "and does not fit"
        typer.echo(f"it needs {gigabytes(own.needed)} {fits} {gigabytes(budget)}")


def _show(work, budget: int | None) -> None:
    """Print the plan: what it is of, its parts, its knobs, and whether it fits."""
    from rich.console import Console
    from rich.table import Table

    from vsr_kit.training.knobs import gigabytes, knobs, sentence
    from vsr_kit.training.memory import plan as planned

    own = planned(work)
    typer.echo(_headline(work))
    console = Console()
    _show_parts(own, console)
    settings = [knob for knob in knobs(work) if abs(knob.saved) > _SHOWN * own.peak]
    for title, saves, chosen in (
        ("one setting turned down", "it frees", [knob for knob in settings if knob.saved > 0]),
        ("one setting turned up", "it takes", [knob for knob in settings if knob.saved < 0]),
    ):
        table = Table(title=title)
        for heading in ("setting", saves, "the price" if saves == "it frees" else "what for"):
            table.add_column(heading, justify="right" if heading == saves else "left")
        for knob in chosen:
            table.add_row(knob.flag, gigabytes(abs(knob.saved)), knob.price)
        if chosen:
            console.print(table)
    if work.device == "cuda":
        typer.echo(f"with a GPU's own share and gaps, which are guessed: {gigabytes(own.needed)}")
        if budget is not None:
            typer.echo(sentence(work, budget))


def _show_parts(own, console) -> None:
    """Print what is there all the time and at the worst moment, and what other moments take."""
    from rich.table import Table

    from vsr_kit.training.knobs import gigabytes

    parts = Table(title="live tensors at the peak")
    for heading in ("when", "what", "size"):
        parts.add_column(heading, justify="right" if heading == "size" else "left")
    rows = [("all the time", name, count) for name, count in own.standing.items()]
    rows += [(own.largest, name, count) for name, count in own.phases[own.largest].items()]
    for when, name, count in rows:
        parts.add_row(when, name, gigabytes(count))
    parts.add_section()
    parts.add_row("", "together", gigabytes(own.peak))
    console.print(parts)
    others = [f"{phase} {gigabytes(own.at(phase))}" for phase in own.phases if phase != own.largest]
    typer.echo(f"at other moments: {', '.join(others)}")


def _headline(work) -> str:
    profile, (height, width) = work.profile, work.size_px
    weights = "nf4 weights, " if profile.quantize == "nf4" else ""
    numbers = "bfloat16" if work.number_bytes == 2 else "float32"
    return (
        f"{work.shape.name}: {work.shape.parameters:,} parameters, {weights}{numbers}, on {work.device}; {work.method} "
        f"by profile {profile.name}; a clip of {profile.num_frames} frames at {width} x {height} px is "
        f"{work.clip_tokens:,} tokens, its prompt about {work.own_tokens} more"
    )
