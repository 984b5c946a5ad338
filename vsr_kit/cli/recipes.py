"""`vsr train --recipe NAME`: a recipe's whole training, from questions to chains to the adapter of its last phase.

The folder holds all of it:

    recipe.json   which recipe, profile and questions
    chains/       what `vsr bridge` writes by rules, unless --chains names a folder that it filled
    <phase>/      a run folder for each phase

Killed anywhere, `vsr train --resume FOLDER` goes on. A recipe whose phases need no chains gets none. Rules write chains
about rooms whose geometry is known. With --rows the questions are about pictures and videos (`data.read_picture_rows`),
and chains stand beside them in a file of their own, as Vision-R1's cold start has them, or in a folder that
`vsr bridge` filled.
Left out: evaluation, and phases by several processes (`vsr_kit.training.phases`).
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import typer

from vsr_kit import validation
from vsr_kit.cli.bridging import material_of
from vsr_kit.cli.held_out import without_test_scenes
from vsr_kit.cli.resume import refuse_changes
from vsr_kit.cli.terminal import bars
from vsr_kit.files import read_json, write_json
from vsr_kit.locks import begin, held, put
from vsr_kit.recipes import trainable
from vsr_kit.runs import check_name, runs_root
from vsr_kit.training.profiles import Profile, get_profile
from vsr_kit.validation import whole
from vsr_kit.videos.frame_limits import check_pixels

RECORD, CHAINS = "recipe.json", "chains"
STEPS = 120  # updates of a phase
_OWN = {"recipe", "chains", "rows", "skip_broken_clips", "profile", "rooms", "phrasing", "per_room", "model", "steps"}
_OWN |= {"learning_rate", "seed", "name", "benchmark", "train_on_test_set", "frames", "pixels"}
_SECOND_THOUGHTS = 0.1  # chance of a check, a detour and a restart in a chain that rules write, as in the cold start


def is_recipes(folder: Path | None) -> bool:
    """Whether a folder is one of `vsr train --recipe`."""
    return folder is not None and (folder / RECORD).is_file()


def train_recipe(
    recipe: str | None,
    profile: str,
    changes: dict,
    settings: dict,
    seed: int,
    name: str,
    resume: Path | None,
    given: Mapping,
) -> None:
    """Train all phases of a recipe, or go on in the folder `resume`.

    Args:
        recipe: its name, or a file with one.
        profile, changes: a profile's name, and its fields that were given.
        settings: rooms, phrasing, per_room, rows, skip_broken_clips, chains, steps, pixels, benchmark and
            train_on_test_set.
        seed: of questions, chains and phases.
        name: of the folder.
        resume: an earlier one's folder.
        given: the options that were typed.
    """
    from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

    changes = {key: value for key, value in changes.items() if value is not None}
    settings = settings | {
        "steps": STEPS if settings["steps"] is None else settings["steps"],
        "chains": None if settings["chains"] is None else str(Path(settings["chains"]).resolve()),
        "rows": [str(Path(path).resolve()) for path in settings["rows"] or ()],
    }
    name = name if "name" in given or recipe is None else Path(recipe).stem
    with say_on_stop("begin again with the same command (nothing was recorded)") as stop:
        work = (
            _begun(recipe, profile, changes, settings, seed, name, given) if resume is None else _gone_on(resume, given)
        )
        stop.how = f"go on with: vsr train --resume {work.folder}"
        with say_on_full_disk(work.folder, stop), held(work.folder):
            _run(work)


@dataclass(frozen=True)
class _Work:
    """A folder and what its record says."""

    folder: Path
    recipe: str
    profile: Profile
    settings: Mapping
    seed: int
    asked: Mapping


def _begun(recipe, profile: str, changes: dict, settings: dict, seed: int, name: str, given: Mapping) -> _Work:
    """A new folder, once all that can be checked is."""
    if strange := [each for each in given if each not in _OWN]:
        raise ValueError(
            f"--{strange[0].replace('_', '-')} beside --recipe: the recipe's phases say that themselves; leave it out, "
            "or train without --recipe"
        )
    trainable(recipe)
    check_name(name)
    validation.seed(seed)
    whole("steps", settings["steps"])
    whole("per_room", settings["per_room"])
    if settings["pixels"] is not None:
        check_pixels(settings["pixels"])
    chosen = replace(get_profile(profile), **changes)
    asked = _asked(recipe, chosen, settings, seed)
    record = {"recipe": recipe, "profile": asdict(chosen), "settings": settings, "seed": seed, "name": name}
    beside = begin(runs_root(), name)
    write_json(beside / RECORD, record)
    return _Work(put(beside, runs_root(), name), str(recipe), chosen, settings, seed, asked)


def _gone_on(folder: Path, given: Mapping) -> _Work:
    record = read_json(folder / RECORD, {"recipe": str, "profile": dict, "settings": dict, "seed": int, "name": str})
    try:
        chosen = Profile(**record["profile"])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{folder / RECORD}: its profile cannot be ({error}); another version of vsr-kit wrote it, or "
            "it was edited: begin anew without --resume"
        ) from None
    own = {"recipe": record["recipe"], "seed": record["seed"], "name": record["name"], "profile": chosen.name}
    own |= {"frames": chosen.num_frames}
    refuse_changes(SimpleNamespace(path=folder), "train", given, {**asdict(chosen), **record["settings"], **own})
    trainable(record["recipe"])
    settings, seed = record["settings"], record["seed"]
    return _Work(folder, record["recipe"], chosen, settings, seed, _asked(record["recipe"], chosen, settings, seed))


def _run(work: _Work) -> None:
    """Chains, then phase after phase."""
    from vsr_kit.training.phases import train_phases

    chosen, settings, asked = work.profile, work.settings, work.asked
    recipe, drawn, chains = trainable(work.recipe), _Bars(), asked["chains"]
    if chains is None:
        chains = _written(asked, work.folder / CHAINS, work.seed) if _needs_chains(work.recipe) else {}
    questions = SimpleNamespace(rows=asked["rows"], clips=asked["clips"])
    try:
        runs = train_phases(
            recipe.phases, chosen, questions, chains, work.folder, steps=settings["steps"], seed=work.seed, on_log=drawn
        )
    finally:
        drawn.close()
    for phase, run in zip(recipe.phases, runs, strict=True):
        typer.echo(f"{phase.name}: {phase.about}")
        for what, value in run.summary["headline"].items():
            typer.echo(f"    {what}: {value:.3g}")
        mode = run.config["config"]["mode"]
        typer.echo(f"    ask it: vsr eval --adapter {run.path} --mode {mode}; a page: vsr report {run.path}")


def _needs_chains(recipe: str) -> bool:
    return any(phase.needs_chains for phase in trainable(recipe).phases)


def _asked(recipe: str, profile: Profile, settings: Mapping, seed: int) -> dict:
    """Rows, clips, and chains by the rows' ids; None for chains that are still to be written.

    Raises:
        ValueError: rows that nothing can be made of or that are a test set, two of one id, or no chain beside rows
            about pictures where a phase of the recipe needs chains.
    """
    from vsr_kit.bridging import chains_of

    chains = None if settings["chains"] is None else chains_of(settings["chains"])
    if not settings["rows"]:
        places = settings["rooms"], "train", settings["phrasing"], settings["per_room"]
        # an earlier version recorded no pixels, and took the size's
        material = material_of(*places, profile.num_frames, profile.size_px, seed, settings.get("pixels"))
        return material | {"rows": without_test_scenes(material["rows"], settings), "chains": chains}
    from vsr_kit.data import read_picture_rows

    if len({Path(path).parent for path in settings["rows"]}) > 1:
        raise ValueError("--rows names files of several folders, and pictures go by their paths: put them into one")
    how: dict[str, Any] = {"num_frames": profile.num_frames, "max_pixels": settings.get("pixels") or profile.size_px**2}
    read = [read_picture_rows(path, **how, skip_broken=settings["skip_broken_clips"]) for path in settings["rows"]]
    for line in (line for each in read for line in each.left_out):
        typer.echo(f"left out {line}", err=True)
    rows = [row for each in read for row in each.rows]
    counts = Counter(row["id"] for row in rows)
    if twice := [ident for ident, count in counts.items() if count > 1]:
        raise ValueError(
            f"{len(twice)} ids stand in two of the files of --rows, {twice[0]!r} first: rename them in one"
        )
    known = {ident: text for each in read for ident, text in each.completions.items()} | dict(chains or {})
    if not known and _needs_chains(recipe):
        raise ValueError(
            "--rows has no chains of thought: name a file of Vision-R1-cold's form beside it by a second --rows, or a "
            "folder that vsr bridge filled by --chains"
        )
    clips: ChainMap = ChainMap(*(cast(Any, each.clips) for each in read))  # which is never written to
    return {"rows": without_test_scenes(rows, settings), "clips": clips, "chains": known}


def _written(material: Mapping, folder: Path, seed: int) -> Mapping:
    """Chains that rules write about the rooms; those that miss the truth are left out."""
    from vsr_kit.bridging import Rules, Style, bridge, chains_of

    rules = Rules(Style(checks=_SECOND_THOUGHTS, detours=_SECOND_THOUGHTS, restarts=_SECOND_THOUGHTS), seed)
    shown = {name: material[name] for name in ("rooms", "seen")}
    how: dict[str, Any] = {"describer": rules, "reasoner": rules, "progress": bars()}
    done = bridge(material["rows"], material["clips"], folder, **shown, **how)
    for line in done.told():
        typer.echo(line)
    return chains_of(folder)


class _Bars:
    """A bar for each phase, with the number to watch."""

    def __init__(self) -> None:
        self.name, self.bar = "", None

    def __call__(self, phase, profile: Profile, row: dict) -> None:
        from tqdm import tqdm

        if self.name != phase.name:
            self.close()
            self.name = phase.name
            self.bar = tqdm(total=profile.steps, desc=phase.name, unit="step", disable=not bars())
        for name, format_ in (("reward", ".2f"), ("completions/mean_length", ".0f"), ("loss", ".3f")):
            if name in row and self.bar is not None:
                self.bar.set_postfix({name.split("/")[-1]: f"{row[name]:{format_}}"}, refresh=False)
                break
        if "loss" in row and self.bar is not None:
            self.bar.update(row["step"] - self.bar.n)

    def close(self) -> None:
        """End the bar that is drawn."""
        if self.bar is not None:
            self.bar.close()
        self.bar = None
