"""Commands around models and runs: pretrain, eval, train, report.

The story: `vsr eval` asks and scores, `vsr train` runs QLoRA GRPO, each into a run folder that a kill does not spoil;
`--resume FOLDER` goes on with the settings the folder recorded. `vsr report` makes a page of one folder, or compares
several. `vsr pretrain` makes the miniature itself.

Left out: sweeps (study.py), and every setting of a profile that has no flag here: a notebook or a script sets those.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vsr_kit.cli.questions import Harness, Phrasing


class Mode(StrEnum):
    """How the model is asked: at once, after thinking, after describing what it sees."""

    vanilla = "vanilla"
    think = "think"
    observe = "observe"


class ClipChoice(StrEnum):
    """What the model is shown."""

    own = "own"
    wrong = "wrong"
    none = "none"


Model = Annotated[str, typer.Option(help="`mini`, a hub id such as Qwen/Qwen2-VL-2B-Instruct, or a folder.")]
Quantize = Annotated[str, typer.Option(help="`nf4` loads in 4 bits; `none` does not.")]
Rooms = Annotated[str, typer.Option(help="A number of procedural rooms, a geometry file, or a folder of `vsr build`.")]
Seed = Annotated[int, typer.Option(help="Fixes rooms, questions and draws.")]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken-clips", help="Go on without rooms whose clip is missing or broken.")
]
Resume = Annotated[Path | None, typer.Option(help="Go on in this run folder, with the settings it recorded.")]


def report(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders; the newest of ./runs by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page; report.html in the first folder by default.")] = None,
) -> None:
    """Make a page of one run folder, or compare several: scores, curves, traces, settings that differ."""
    from vsr_kit.report import write_report
    from vsr_kit.runs import RunFolder, run_folders, runs_root

    folders = [RunFolder.open(path) for path in runs or []] or run_folders()[-1:]
    if not folders:
        raise ValueError(f"there is no run folder in {runs_root()}/; name one, or make one with vsr eval or vsr train")
    typer.echo(f"look at {write_report(folders, out)}")


def eval_(
    model: Model = "mini",
    adapter: Annotated[str | None, typer.Option(help="A trained adapter, or the run folder it is in.")] = None,
    mode: Annotated[Mode, typer.Option(help="How the model is asked.")] = Mode.vanilla,
    rooms: Rooms = "20",
    split: Annotated[str, typer.Option(help="train, val or test; `all` of a geometry file.")] = "test",
    phrasing: Annotated[Phrasing, typer.Option(help="VSI-Bench's wording, or VSI-100k's.")] = Phrasing.vsi_bench,
    per_type: Annotated[int, typer.Option(help="Questions of each type; 0 asks all.")] = 20,
    clip: Annotated[ClipChoice, typer.Option(help="The room's own clip, another room's, or none.")] = ClipChoice.own,
    quantize: Quantize = "none",
    max_new_tokens: Annotated[int, typer.Option(help="Cap of an answer; a chain of thought needs more.")] = 64,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    samples: Annotated[int, typer.Option(help="Answers to draw for each question.")] = 1,
    harness: Annotated[Harness, typer.Option(help="The scorer of the printed table.")] = Harness.lenient,
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 8,
    size: Annotated[int, typer.Option(help="Width and height of filmed frames in pixels.")] = 112,
    skip_broken_clips: SkipBroken = False,
    seed: Seed = 0,
    name: Annotated[str, typer.Option(help="Name of the run folder.")] = "eval",
    resume: Resume = None,
) -> None:
    """Ask a model about held-out rooms, score it, and leave predictions.jsonl in a run folder."""
    from vsr_kit.cli.evaluating import evaluate

    settings = {
        "model": model,
        "adapter": adapter,
        "mode": mode.value,
        "rooms": rooms,
        "split": split,
        "phrasing": phrasing.value,
        "per_type": per_type,
        "clip": clip.value,
        "quantize": quantize,
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "samples": samples,
        "frames": frames,
        "size": size,
        "skip_broken_clips": skip_broken_clips,
    }
    evaluate(settings, harness.value, seed, name, resume)


def pretrain(
    out: Annotated[Path, typer.Option(help="Checkpoint folder to write, in the ordinary Hugging Face format.")],
    work: Annotated[
        Path | None, typer.Option(help="Films, logs and resume states, about 5 GB; OUT-work by default.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights and draws.")] = 0,
    share: Annotated[float, typer.Option(help="Share of the recipe's rooms and steps: 0.01 tries the pipeline.")] = 1.0,
    fuse: Annotated[bool, typer.Option(help="Compile small operations; needs a C++ compiler.")] = True,
) -> None:
    """Make the miniature from our rooms alone, or go on where a killed run stood.

    Hours at the whole recipe. For several processes: torchrun --nproc_per_node N -m vsr_kit.pretrain OUT.
    """
    from dataclasses import replace

    from vsr_kit.interrupts import say_on_full_disk, say_on_stop
    from vsr_kit.pretrain import Recipe, Stage
    from vsr_kit.pretrain import pretrain as make

    if seed < 0:
        raise ValueError(f"--seed is {seed}, must be 0 or more")
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    whole = Recipe(seed=seed)
    stages = {name: value for name, value in vars(whole).items() if isinstance(value, Stage)}
    fewer = {name: replace(stage, steps=max(2, round(stage.steps * share))) for name, stage in stages.items()}
    recipe = replace(whole, num_rooms=max(64, round(whole.num_rooms * share)), **fewer)
    with say_on_stop("go on with the same command") as stop, say_on_full_disk(work or f"{out}-work", stop):
        made = make(out, recipe, work, fuse)
    typer.echo(f"look at {made}")


def train(
    profile: Annotated[str, typer.Option(help="mini (CPU), t4, a100 or paper: model, precision and numbers.")] = "mini",
    mode: Annotated[Mode, typer.Option(help="How the model is asked while it trains.")] = Mode.vanilla,
    method: Annotated[str, typer.Option(help="grpo, sft, dpo-corrupted or dpo-rollouts.")] = "grpo",
    extra_reward: Annotated[
        list[str] | None, typer.Option(help="length or thought, paid beside accuracy and format; may repeat.")
    ] = None,
    detector: Annotated[
        list[str] | None, typer.Option(help="A cheat to count and log: empty_thought, repeated_tags, …; may repeat.")
    ] = None,
    rooms: Rooms = "400",
    phrasing: Annotated[Phrasing, typer.Option(help="VSI-100k's wording is the paper's.")] = Phrasing.vsi_100k,
    per_room: Annotated[int, typer.Option(help="Most questions of one type about one room.")] = 2,
    seconds: Annotated[float, typer.Option(help="Stop after the step that ends later than this; 0 never does.")] = 0,
    model: Annotated[str | None, typer.Option(help="Instead of the profile's; as in `vsr eval`.")] = None,
    steps: Annotated[int | None, typer.Option(help="Updates, instead of the profile's.")] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the KL term, instead of the profile's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Instead of the profile's.")] = None,
    num_generations: Annotated[int | None, typer.Option(help="Rollouts of a question; else the profile's.")] = None,
    questions_per_clip: Annotated[int | None, typer.Option(help="Questions of a clip that meet in a step.")] = None,
    numeric: Annotated[str | None, typer.Option(help="How numbers are rewarded: paper, mra, …")] = None,
    skip_broken_clips: SkipBroken = False,
    seed: Seed = 0,
    name: Annotated[str, typer.Option(help="Name of the run folder.")] = "grpo",
    resume: Resume = None,
) -> None:
    """Train by GRPO, SFT or DPO (QLoRA on the language model) on rooms of the training split, into a run folder.

    The two held-out question types, route planning and appearance order, are never trained on.
    """
    from vsr_kit.cli.training import train as start

    changes = {
        "model": model,
        "steps": steps,
        "beta": beta,
        "learning_rate": learning_rate,
        "num_generations": num_generations,
        "questions_per_clip": questions_per_clip,
        "numeric": numeric,
    }
    settings = {
        "mode": mode.value,
        "method": method,
        "extra_rewards": extra_reward or [],
        "detectors": detector or [],
        "rooms": rooms,
        "phrasing": phrasing.value,
        "per_room": per_room,
        "seconds": seconds or None,
        "skip_broken_clips": skip_broken_clips,
    }
    start(profile, {key: value for key, value in changes.items() if value is not None}, settings, seed, name, resume)
