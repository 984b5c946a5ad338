"""Commands on models and runs: pretrain, eval, train and report.

`vsr eval` asks a model and scores its answers: it gathers rows and clips, loads the model, asks into a run folder and
prints a table. `vsr train` trains an adapter (GRPO by default) into a run folder. A kill spoils neither folder;
`--resume FOLDER` continues with the settings that the folder recorded. `vsr report` makes a page of one folder or
compares several. `vsr pretrain` makes the miniature itself.
Left out: sweeps (`vsr_kit.study`), profile settings without a flag (a notebook or script sets those), and intervals,
which `vsr_kit.evaluation` computes from the predictions that a run keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vsr_kit import validation
from vsr_kit.cli.data import Harness, Phrasing, Types
from vsr_kit.cli.flags import (
    ChainTokens,
    Checkpointing,
    Dtype,
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
from vsr_kit.cli.loading import default_quantize, load, told_out_of_memory
from vsr_kit.cli.resume import is_over, needed, refuse_changes, settings_of, typed
from vsr_kit.runs import RunFolder, check_name, runs_root
from vsr_kit.runs.attempts import FINISHED
from vsr_kit.runs.provenance import checkpoint_identity


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


Model = Annotated[
    str, typer.Option(help="`mini`, `mini-cold-start`, a hub id such as Qwen/Qwen2-VL-2B-Instruct, or a folder.")
]
Quantize = Annotated[
    str | None, typer.Option(help="`nf4` loads in 4 bits, `none` does not; as it was trained if left out.")
]
Rooms = Annotated[str, typer.Option(help="A number of procedural rooms, a geometry file, or a folder of `vsr build`.")]
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
    from vsr_kit.runs import RunFolder, newest_run, runs_root

    newest = None if runs else newest_run()
    folders = [RunFolder.open(path) for path in runs or []] or [newest] * (newest is not None)
    if not folders:
        raise ValueError(f"there is no run folder in {runs_root()}/; name one, or make one with vsr eval or vsr train")
    typer.echo(f"look at {write_report(folders, out)}")


def eval_(
    context: typer.Context,
    model: Model = "mini",
    adapter: Annotated[str | None, typer.Option(help="A trained adapter, or the run folder it is in.")] = None,
    mode: Annotated[Mode, typer.Option(help="How the model is asked.")] = Mode.vanilla,
    rooms: Rooms = "20",
    split: Annotated[str, typer.Option(help="train, val or test; `all` of a geometry file.")] = "test",
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
    skip_broken_clips: SkipBroken = False,
    types: Types = None,
    seed: Seed = 0,
    name: Annotated[str, typer.Option(help="Name of the run folder.")] = "eval",
    resume: Resume = None,
) -> None:
    """Ask a model about held-out rooms, score it, and leave predictions.jsonl in a run folder."""

    settings = {
        "model": model,
        "adapter": adapter,
        "mode": mode.value,
        "rooms": rooms,
        "split": split,
        "phrasing": phrasing.value,
        "per_type": per_type,
        "clip": clip.value,
        "quantize": quantize or default_quantize(model, adapter),
        "dtype": dtype,
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
        "samples": samples,
        "frames": frames,
        "size": size,
        "skip_broken_clips": skip_broken_clips,
        "types": types or [],
    }
    evaluate(settings, harness.value, seed, name, resume, typed(context), batch_size)


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

    Hours at the whole recipe. For several processes: torchrun --nproc_per_node N -m vsr_kit.miniature OUT.
    """
    from dataclasses import replace

    from vsr_kit.miniature import Recipe, Stage
    from vsr_kit.miniature import pretrain as make
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

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
    quantize: ProfileQuantize = None,
    dtype: Dtype = None,
    lora_rank: LoraRank = None,
    lora_alpha: LoraAlpha = None,
    gradient_checkpointing: Checkpointing = None,
    numeric: Annotated[str | None, typer.Option(help="How numbers are rewarded: paper, mra, …")] = None,
    record_tokens: Annotated[int, typer.Option(help="Record a group's tokens every so many steps; 0 never.")] = 0,
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

    The same on a larger card: vsr train --profile a100 --num-generations 8 --lora-rank 32 --max-vanilla-tokens 16
    """
    _start_training({**locals(), "mode": mode.value, "phrasing": phrasing.value}, typed(context))


def _start_training(options: Mapping, given: Mapping) -> None:
    """Hand `train`'s options to a recipe's training or to one of its own. given: those that were typed."""
    from vsr_kit.cli.recipes import is_recipes, train_recipe
    from vsr_kit.cli.training import train as start

    recipe, resume, rest = options["recipe"], options["resume"], (options["seed"], options["name"], options["resume"])
    if recipe is not None or is_recipes(resume):
        changes = {name: options[name] for name in ("model", "learning_rate")}
        names = ("rooms", "phrasing", "per_room", "steps", "chains", "rows", "skip_broken_clips")
        train_recipe(recipe, options["profile"], changes, {name: options[name] for name in names}, *rest, given)
        return
    if options["chains"] or options["rows"]:
        wrong = "chains" if options["chains"] else "rows"
        raise ValueError(f"--{wrong} belongs to --recipe: name one, such as vision-r1")
    names = ("mode", "method", "rooms", "phrasing", "per_room", "record_tokens", "skip_broken_clips")
    settings = {name: options[name] for name in names} | {"types": options["types"] or []}
    settings |= {"extra_rewards": options["extra_reward"] or [], "detectors": options["detector"] or []}
    settings |= {"seconds": options["seconds"] or None}
    start(options["profile"], changes_of(options), settings, *rest, given)


SETTINGS = ("model", "adapter", "mode", "rooms", "split", "phrasing", "per_type", "clip", "quantize", "max_new_tokens")
SETTINGS += ("temperature", "samples", "frames", "size")


def evaluate(
    settings: dict,
    harness: str,
    seed: int,
    name: str,
    resume: Path | None,
    given: Mapping | None = None,
    batch_size: int = 64,
) -> None:
    """Run `settings`, or go on with those that the folder `resume` recorded; print the table and where to look.

    given: the options that were typed, which may not contradict the record. batch_size changes no answer, and may.
    """
    from vsr_kit.evaluation.evaluate import answered_scenes, load_questions
    from vsr_kit.evaluation.predictions import mismatched_clips
    from vsr_kit.questions import named_types
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

    with say_on_stop("begin again with the same command (nothing was recorded)") as stop:
        run = None
        if resume is None:
            check_name(name)
            settings = {**settings, "harness": harness}
        else:
            run = RunFolder.open(resume)
            settings, seed = settings_of(run, "eval"), run.seed
            needed(run, settings, SETTINGS)
            harness = settings.get("harness", harness)
            own = {"seed": seed, "name": run.name, "harness": harness, "batch_size": batch_size}
            refuse_changes(run, "eval", given or {}, settings | own)
            run = RunFolder.resume(resume)
            stop.how = f"go on with: vsr eval --resume {run.path}"
        validation.drawing(settings["max_new_tokens"], settings["temperature"], settings["samples"], seed)
        validation.whole("per_type", settings["per_type"], 0, remedy="0 asks all")
        validation.whole("batch_size", batch_size)
        asked = load_questions(
            settings["rooms"],
            split=settings["split"],
            phrasing=settings["phrasing"],
            types=named_types(settings.get("types", [])),
            per_type=settings["per_type"] or None,
            num_frames=settings["frames"],
            size_px=settings["size"],
            seed=seed,
            skip_broken=settings.get("skip_broken_clips", False),
            progress=True,
        )
        for line in asked.told():
            typer.echo(line, err=True)
        if not asked.rows:
            where = f"{settings['rooms']}, split {settings['split']}"
            raise ValueError(f"{where}: 0 questions, so there is nothing to ask; give more rooms, or another split")
        if run is not None and run.status == FINISHED:
            done, _ = answered_scenes(run, asked.rows, settings["mode"], settings["samples"])
            if done == {row["scene_name"] for row in asked.rows} and is_over(run):
                return
        clips = {"own": lambda: asked.clips, "wrong": lambda: mismatched_clips(asked.clips, seed), "none": lambda: None}
        shown = clips[settings["clip"]]()
        with say_on_full_disk(run.path if run else runs_root(), stop), told_out_of_memory(settings, batch_size, stop):
            loaded, checkpoint = load(settings)
            if run is None:
                run = RunFolder.create(name, settings, seed=seed, checkpoint=checkpoint)
                stop.how = f"go on with: vsr eval --resume {run.path}"
            _ask_and_tell(loaded, checkpoint, asked.rows, shown, run, settings, seed, harness, batch_size)


def _ask_and_tell(
    loaded, checkpoint, rows, shown, run, settings: dict, seed: int, harness: str, batch_size: int
) -> None:
    from tqdm import tqdm

    from vsr_kit.cli.data import show_scores
    from vsr_kit.evaluation import score
    from vsr_kit.evaluation.evaluate import ask

    how = {
        "mode": settings["mode"],
        "max_new_tokens": settings["max_new_tokens"],
        "temperature": settings["temperature"],
        "num_samples": settings["samples"],
        "seed": seed,
        "made_of": {"base sha256": checkpoint_identity(checkpoint)["sha256"], "quantize": settings["quantize"]},
    }
    how["made_of"] |= {"dtype": settings["dtype"]} if settings.get("dtype") else {}
    how |= {"batch_size": batch_size} if batch_size != 64 else {}
    with tqdm(total=len(rows), desc=f"asking ({settings['mode']})", unit="question") as bar:
        answered = ask(loaded, rows, shown, run, on_answers=bar.update, **how)
    table = score(answered, harness)
    label = f"{settings['mode']}, {settings['clip']} clip, {harness}"
    cut = sum(row["truncated"] for row in answered) / len(answered)
    run.summarise(
        scores={label: table.percent()},
        headline={f"{name}, per cent ({label})": mean * 100 for name, mean in table.means.items()}
        | {"cut off by the cap, per cent": 100 * cut},
    )
    run.finish()
    show_scores(table)
    typer.echo(f"look at {run.path}; a page: vsr report {run.path}")
