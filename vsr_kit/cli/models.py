"""Commands on models and runs: eval, train and report.

`vsr eval` asks a model and scores its answers: it gathers rows and clips, loads the model, asks into a run folder and
prints a table. `vsr train` trains an adapter (GRPO by default) into a run folder. A kill spoils neither folder;
`--resume FOLDER` continues with the settings that the folder recorded. `vsr report` makes a page of one folder or
compares several.
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
from vsr_kit.cli.clips import Fps, Pixels, look
from vsr_kit.cli.data import Harness, Phrasing, Rooms, Types, Videos
from vsr_kit.cli.held_out import Benchmark, TrainOnTestSet
from vsr_kit.cli.resume import is_over, needed, refuse_changes, settings_of, typed
from vsr_kit.paths import checkpoint_of
from vsr_kit.runs import RunFolder, check_name, runs_root
from vsr_kit.runs.attempts import FINISHED, UNFINISHED
from vsr_kit.runs.provenance import checkpoint_identity


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
Quantize = Annotated[str, typer.Option(help="`nf4` loads in 4 bits; `none` does not.")]
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
    mode: Annotated[EvalMode, typer.Option(help="How the model is asked.")] = EvalMode.vanilla,
    rooms: Rooms = "20",
    videos: Videos = None,
    split: Annotated[
        str, typer.Option(help="train, val or test; `all` of a geometry file. Questions are taken whole.")
    ] = "test",
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
    from vsr_kit.evaluation.presets import with_preset

    settings = {
        "model": model,
        "adapter": adapter,
        "mode": mode.value,
        "rooms": rooms,
        "videos": videos,
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
        "pixels": pixels,
        "fps": fps,
        "preset": preset,
        "skip_broken_clips": skip_broken_clips,
        "types": types or [],
        "harness": harness.value,
    }
    if preset is not None and resume is None:
        settings, told = with_preset(preset, settings, typed(context))
        typer.echo(told, err=True)
    evaluate(settings, settings.pop("harness"), seed, name, resume, typed(context))


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
    num_generations: Annotated[int | None, typer.Option(help="Rollouts of a question; else the profile's.")] = None,
    questions_per_clip: Annotated[int | None, typer.Option(help="Questions of a clip that meet in a step.")] = None,
    frames: Annotated[int | None, typer.Option(help="Frames of a clip, instead of the profile's.")] = None,
    pixels: Pixels = None,
    fps: Fps = None,
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
    """
    from vsr_kit.cli.recipes import is_recipes, train_recipe
    from vsr_kit.cli.training import train as start

    held_out = {"benchmark": benchmark or [], "train_on_test_set": train_on_test_set}
    if recipe is not None or is_recipes(resume):
        changes = {"model": model, "learning_rate": learning_rate}
        settings = {"rooms": rooms, "phrasing": phrasing.value, "per_room": per_room, "steps": steps}
        settings |= {"chains": chains, "rows": rows, "skip_broken_clips": skip_broken_clips, **held_out}
        train_recipe(recipe, profile, changes, settings, seed, name, resume, typed(context))
        return
    if chains or rows:
        raise ValueError(f"--{'chains' if chains else 'rows'} belongs to --recipe: name one, such as vision-r1")
    changes = {"model": model, "steps": steps, "beta": beta, "learning_rate": learning_rate, "numeric": numeric}
    changes |= {"num_generations": num_generations, "questions_per_clip": questions_per_clip, "num_frames": frames}
    same = ("method", "rooms", "videos", "per_room", "record_tokens", "pixels", "fps", "skip_broken_clips", "divide")
    settings = {each: context.params[each] for each in same} | {"mode": mode.value, "phrasing": phrasing.value}
    settings |= {"extra_rewards": extra_reward or [], "detectors": detector or [], "types": types or []}
    settings |= {"seconds": seconds or None, **held_out}
    changes = {key: value for key, value in changes.items() if value is not None}
    start(profile, changes, settings, seed, name, resume, typed(context))


SETTINGS = ("model", "adapter", "mode", "rooms", "split", "phrasing", "per_type", "clip", "quantize", "max_new_tokens")
SETTINGS += ("temperature", "samples", "frames", "size")


def evaluate(
    settings: dict, harness: str, seed: int, name: str, resume: Path | None, given: Mapping | None = None
) -> None:
    """Run `settings`, or go on with those that the folder `resume` recorded; print the table and where to look.

    given: the options that were typed, which may not contradict the record.
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
            own = {"seed": seed, "name": run.name, "harness": harness}
            refuse_changes(run, "eval", given or {}, settings | own)
            run = RunFolder.resume(resume)
            stop.how = f"go on with: vsr eval --resume {run.path}"
        validation.drawing(settings["max_new_tokens"], settings["temperature"], settings["samples"], seed)
        validation.whole("per_type", settings["per_type"], 0, remedy="0 asks all")
        asked = load_questions(
            settings["rooms"],
            split=settings["split"],
            phrasing=settings["phrasing"],
            types=named_types(settings.get("types", [])),
            per_type=settings["per_type"] or None,
            num_frames=settings["frames"],
            size_px=settings["size"],
            max_pixels=settings.get("pixels"),
            fps=settings.get("fps"),
            seed=seed,
            skip_broken=settings.get("skip_broken_clips", False),
            videos=settings.get("videos"),
            blind=settings["clip"] == "none",
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
        seen = asked.clips if settings["clip"] != "none" else None
        trained_in = adapter_run(settings["adapter"])
        look(settings["model"], asked.rows, seen, {"mode": settings["mode"]}, where=settings["rooms"], run=trained_in)
        with say_on_full_disk(run.path if run else runs_root(), stop):
            loaded, checkpoint = load(settings)
            if run is None:
                run = RunFolder.create(name, settings, seed=seed, checkpoint=checkpoint)
                stop.how = f"go on with: vsr eval --resume {run.path}"
            _ask_and_tell(loaded, checkpoint, asked.rows, shown, run, settings, seed, harness)


def _ask_and_tell(loaded, checkpoint, rows, shown, run, settings: dict, seed: int, harness: str) -> None:
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


def load(settings: dict):
    """The model of the settings, and what its run records as the checkpoint: a folder, or a hub id."""
    from vsr_kit.models.loading import load_model

    quantize = None if settings["quantize"] == "none" else settings["quantize"]
    loaded = load_model(settings["model"], quantize, adapter=adapter_folder(settings["adapter"]))
    return loaded, checkpoint_of(settings["model"])


def adapter_run(adapter: str | None) -> RunFolder | None:
    """The run folder that an adapter is, or lies in; None for any other."""
    places = [] if not adapter else [Path(adapter), Path(adapter).parent]
    return next((RunFolder.open(place) for place in places if (place / "config.json").is_file()), None)


def adapter_folder(adapter: str | None) -> Path | str | None:
    """The adapter itself, or the one in a run folder of that name; what is odd about the run is told.

    Raises:
        ValueError: the run's training broke before it had learnt anything, or it has left no adapter yet.
    """
    if not adapter:
        return adapter
    path, run = Path(adapter), adapter_run(adapter)
    if run is None or (path != run.path and path.name != "adapter"):
        return adapter
    if not run.adapter.is_dir():
        if path != run.path or (path / "adapter_config.json").exists():
            return adapter
        raise ValueError(f"{path} is a run that has left no adapter: finish it first, vsr train --resume {path}")
    broken = run.summary.get("stopped")
    if broken and not run.summary.get("good step"):
        raise ValueError(f"{path} has an untrained adapter: its training broke in its first steps ({broken})")
    if broken:
        typer.echo(f"warning: the training of {path} broke: {broken}", err=True)
    elif run.status == UNFINISHED and run.attempts() and (steps := run.read_metrics()):
        typer.echo(f"warning: {path} is unfinished; its adapter is that of step {steps[-1]['step']}", err=True)
    return run.adapter
