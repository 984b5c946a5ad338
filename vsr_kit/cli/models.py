"""Commands on models and runs: eval, train and report.

`vsr eval` asks a model and scores its answers (evaluating.py), `vsr train` trains an adapter, GRPO by default
(training.py), each into a run folder. A kill spoils neither folder; `--resume FOLDER` continues with the settings that
the folder recorded. `vsr report` makes a page of one folder or compares several.
Left out: sweeps (`vsr_kit.study`), and intervals, which `vsr_kit.evaluation` computes from the predictions that a run
keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vsr_kit.cli.clips import Fps, Pixels
from vsr_kit.cli.data import Harness, Phrasing, Rooms, Types, Videos
from vsr_kit.cli.evaluating import ASKED_WITH, evaluate
from vsr_kit.cli.flags import (
    ChainTokens,
    Checkpointing,
    Dtype,
    Frames,
    GroupsPerPass,
    LoraAlpha,
    LoraRank,
    NumGenerations,
    ProfileQuantize,
    QuestionsPerClip,
    QuestionsPerStep,
    VanillaTokens,
    changes_of,
    in_panels,
)
from vsr_kit.cli.held_out import Benchmark, TrainOnTestSet
from vsr_kit.cli.loading import default_quantize
from vsr_kit.cli.resume import typed
from vsr_kit.runs import RunFolder, runs_root


class Mode(StrEnum):
    """How the model is asked: at once, after thinking, after describing what it sees."""

    vanilla = "vanilla"
    think = "think"
    observe = "observe"


class EvalMode(StrEnum):
    """The same, and the benchmark's own two prompts."""

    vanilla = "vanilla"
    think = "think"
    observe = "observe"
    vsi_bench = "vsi-bench"


class ClipChoice(StrEnum):
    """What the model is shown."""

    own = "own"
    wrong = "wrong"
    none = "none"


Model = Annotated[
    str, typer.Option(help="`mini`, `mini-cold-start`, a hub id such as Qwen/Qwen2-VL-2B-Instruct, or a folder.")
]
Quantize = Annotated[
    str | None, typer.Option(help="`nf4` loads in 4 bits, `none` does not; as it was trained if left out.")
]
Seed = Annotated[int, typer.Option(help="Fixes rooms, questions and draws.")]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken-clips", help="Go on without rooms whose clip is missing or broken.")
]
RecipeName = Annotated[
    str | None, typer.Option(help="Train all phases of a recipe, such as vision-r1, or of a file with a RECIPE.")
]
Chains = Annotated[
    Path | None, typer.Option(help="With --recipe: a folder of `vsr bridge`; rules write chains if left out.")
]
PictureRows = Annotated[
    list[Path] | None, typer.Option(help="With --recipe: a file of questions about pictures or videos; may repeat.")
]
Resume = Annotated[Path | None, typer.Option(help="Go on in this run folder, with the settings it recorded.")]


def report(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders; the newest of ./runs by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="The page; report.html in the first folder by default.")] = None,
) -> None:
    """Make a page of one run folder, or compare several: scores, curves, traces, settings that differ."""
    from vsr_kit.pages.report import write_report
    from vsr_kit.runs import newest_run

    newest = None if runs else newest_run()
    folders = [RunFolder.open(path) for path in runs or []] or [newest] * (newest is not None)
    if not folders:
        raise ValueError(f"there is no run folder in {runs_root()}/; name one, or make one with vsr eval or vsr train")
    typer.echo(f"look at {write_report(folders, out)}")


def eval_(
    context: typer.Context,
    model: Model = "mini",
    adapter: Annotated[str | None, typer.Option(help="A trained adapter, or the run folder it is in.")] = None,
    mode: Annotated[EvalMode, typer.Option(help="How the model is asked.")] = EvalMode.vanilla,
    rooms: Rooms = "20",
    videos: Videos = None,
    split: Annotated[
        str, typer.Option(help="train, val or test; `all` of a geometry file. Questions are taken whole.")
    ] = "test",
    phrasing: Annotated[Phrasing, typer.Option(help="VSI-Bench's wording, or VSI-100k's.")] = Phrasing.vsi_bench,
    per_type: Annotated[int, typer.Option(help="Questions of each type; 0 asks all.")] = 20,
    clip: Annotated[ClipChoice, typer.Option(help="The room's own clip, another room's, or none.")] = ClipChoice.own,
    quantize: Quantize = None,
    dtype: Annotated[
        str | None, typer.Option(help="float32, bfloat16, or float16 with nf4; what the device computes best if not.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Answers written at once; fewer take less memory.")] = 64,
    max_new_tokens: Annotated[int, typer.Option(help="Cap of an answer; a chain of thought needs more.")] = 64,
    temperature: Annotated[float, typer.Option(help="0 is greedy.")] = 0.0,
    samples: Annotated[int, typer.Option(help="Answers to draw for each question.")] = 1,
    harness: Annotated[Harness, typer.Option(help="The scorer of the printed table.")] = Harness.lenient,
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 8,
    size: Annotated[int, typer.Option(help="Width and height of filmed frames in pixels.")] = 112,
    pixels: Pixels = None,
    fps: Fps = None,
    preset: Annotated[
        str | None, typer.Option(help="vsi-bench sets the benchmark's own protocol, and says so.")
    ] = None,
    skip_broken_clips: SkipBroken = False,
    types: Types = None,
    seed: Seed = 0,
    name: Annotated[str, typer.Option(help="Name of the run folder.")] = "eval",
    resume: Resume = None,
) -> None:
    """Ask a model about held-out rooms, score it, and leave predictions.jsonl in a run folder."""
    asked = {"mode": mode.value, "phrasing": phrasing.value, "clip": clip.value, "types": types or []}
    settings = {**locals(), **asked, "quantize": quantize or default_quantize(model, adapter)}
    settings = {each: settings[each] for each in ASKED_WITH}
    if preset is not None and resume is None:
        from vsr_kit.evaluation.presets import with_preset

        settings, told = with_preset(preset, {**settings, "harness": harness.value}, typed(context))
        harness = Harness(settings.pop("harness"))
        typer.echo(f"{told}; weights: {settings['quantize']} (--quantize)", err=True)
    evaluate(settings, harness.value, seed, name, resume, typed(context), batch_size)


@in_panels
def train(
    context: typer.Context,
    recipe: RecipeName = None,
    chains: Chains = None,
    rows: PictureRows = None,
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
    videos: Videos = None,
    benchmark: Benchmark = None,
    train_on_test_set: TrainOnTestSet = False,
    phrasing: Annotated[Phrasing, typer.Option(help="VSI-100k's wording is the paper's.")] = Phrasing.vsi_100k,
    per_room: Annotated[int, typer.Option(help="Most questions of one type about one room.")] = 2,
    seconds: Annotated[float, typer.Option(help="Stop after the step that ends later than this; 0 never does.")] = 0,
    model: Annotated[str | None, typer.Option(help="Instead of the profile's; as in `vsr eval`.")] = None,
    steps: Annotated[int | None, typer.Option(help="Updates, instead of the profile's.")] = None,
    beta: Annotated[float | None, typer.Option(help="Weight of the KL term, instead of the profile's.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Instead of the profile's.")] = None,
    num_generations: NumGenerations = None,
    questions_per_step: QuestionsPerStep = None,
    questions_per_clip: QuestionsPerClip = None,
    groups_per_pass: GroupsPerPass = None,
    max_vanilla_tokens: VanillaTokens = None,
    max_chain_tokens: ChainTokens = None,
    frames: Frames = None,
    pixels: Pixels = None,
    fps: Fps = None,
    quantize: ProfileQuantize = None,
    dtype: Dtype = None,
    lora_rank: LoraRank = None,
    lora_alpha: LoraAlpha = None,
    gradient_checkpointing: Checkpointing = None,
    numeric: Annotated[str | None, typer.Option(help="How numbers are rewarded: paper, mra, …")] = None,
    record_tokens: Annotated[int, typer.Option(help="Record a group's tokens every so many steps; 0 never.")] = 0,
    divide: Annotated[bool, typer.Option("--divide", help="Let a step divide among a launch's processes.")] = False,
    skip_broken_clips: SkipBroken = False,
    types: Types = None,
    seed: Seed = 0,
    name: Annotated[str, typer.Option(help="Name of the run folder.")] = "grpo",
    resume: Resume = None,
) -> None:
    """Train by GRPO, SFT or DPO (QLoRA on the language model) on rooms of the training split, into a run folder.

    With --recipe the whole of a recipe: chains, a cold start on them, and what follows, --steps updates each. The two
    held-out question types, route planning and appearance order, are never trained on; the kit's multi-step
    types are, where --types names them.

    Qwen2-VL-2B on one T4: vsr train --profile t4 --rooms 400 --steps 300

    On a larger card, with a larger adapter: vsr train --profile a100 --lora-rank 32 --lora-alpha 64 --steps 500
    """
    _start_training({**locals(), "mode": mode.value, "phrasing": phrasing.value}, typed(context))


def _start_training(options: Mapping, given: Mapping) -> None:
    """Hand `train`'s options to a recipe's training or to one of its own. given: those that were typed."""
    from vsr_kit.cli.recipes import is_recipes, train_recipe
    from vsr_kit.cli.training import train as start

    recipe, resume, rest = options["recipe"], options["resume"], (options["seed"], options["name"], options["resume"])
    held_out = {"benchmark": options["benchmark"] or [], "train_on_test_set": options["train_on_test_set"]}
    if recipe is not None or is_recipes(resume):
        changes = {name: options[name] for name in ("model", "learning_rate")} | {"num_frames": options["frames"]}
        names = ("pixels", "rooms", "phrasing", "per_room", "steps", "chains", "rows", "skip_broken_clips")
        settings = {name: options[name] for name in names} | held_out
        train_recipe(recipe, options["profile"], changes, settings, *rest, given)
        return
    if options["chains"] or options["rows"]:
        wrong = "chains" if options["chains"] else "rows"
        raise ValueError(f"--{wrong} belongs to --recipe: name one, such as vision-r1")
    names = ("mode", "method", "rooms", "videos", "phrasing", "per_room", "record_tokens", "pixels", "fps", "divide")
    settings = {name: options[name] for name in (*names, "skip_broken_clips")} | {"types": options["types"] or []}
    settings |= {"extra_rewards": options["extra_reward"] or [], "detectors": options["detector"] or []}
    settings |= {"seconds": options["seconds"] or None, **held_out}
    start(options["profile"], changes_of(options), settings, *rest, given)
