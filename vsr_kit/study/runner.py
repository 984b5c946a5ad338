"""Running the study: units of work, each a run with its answers, on all cores with one thread each.

`plan` lists the units of what was asked for, in an order that finishes the headline results first. `reproduce` gives
them to worker processes, reads their run folders for progress, and leaves a study folder. Existing results are not made
again: a killed study continues with every finished answer and every run's last checkpoint, and stops at once if those
were made in another way (staleness.py). A run that goes on with another one's adapter waits until that is done.
Left out: several machines. Two study folders can be joined by copying one into the other and concatenating their
manifests.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

from vsr_kit.claims.recipe import TUNING_SEED, Condition, Variant
from vsr_kit.evaluation.predictions import TOKEN_CAP
from vsr_kit.files import drop_torn_line, read_lines, replace, seal
from vsr_kit.locks import Lock
from vsr_kit.paths import checkpoint_of
from vsr_kit.recipes import (
    add,
    added_files,
    all_claims,
    all_variants,
    base_conditions,
    claim,
    model_of,
    recipes,
    tuning_variants,
    variant,
)
from vsr_kit.rooms import read_geometry
from vsr_kit.runs import git_at_start
from vsr_kit.study.conditions import answer, answers_path, cap_of, pairs_path, save_questions, sweep
from vsr_kit.study.controls import Geometry, files_by_dataset, real_conditions, real_set
from vsr_kit.study.labels import distance_pairs, write_pairs
from vsr_kit.study.question_sets import QuestionSet
from vsr_kit.study.staleness import check_not_stale
from vsr_kit.study.training_runs import load_run, load_untrained, train_variant

TUNING = "tuning"
UNFINISHED = "unfinished"  # in a study's folder: runs under way
_POLL_S = 2.0
# For the bar and the order of the plan alone: seconds on one core of a Xeon.
_A_STEP = {"grpo": 0.55, "sft": 0.15, "dpo-corrupted": 0.25, "dpo-rollouts": 0.25}
_CHAIN_STEP, _PASS, _CHAIN_PASS, _START = 2.4, 12.0, 30.0, 25.0


@dataclass(frozen=True)
class Unit:
    """A run and all its answers, or the base's answers.

    Attributes:
        name: of the run, or `base`.
        variant: name of its variant, None for the base.
        seed: of the run.
        steps: it trains for.
        seconds: it may take on one core, roughly.
        recipes: whose questions the base is asked, by name; empty for all, and of runs.
    """

    name: str
    variant: str | None
    seed: int
    steps: int
    seconds: float
    recipes: tuple[str, ...] = ()


def plan(only: Sequence[str] = (), seeds: int | None = None, first_seed: int | None = None) -> list[Unit]:
    """The units of some parts of the study, all of it by default; the base first, then group after group.

    Args:
        only: names of groups, of variants, or of claims, whose evidence is meant; or `tuning`, the grid of learning
            rates, which comes after all else that is named.
        seeds: at most so many of each variant.
        first_seed: where they begin to count, a variant's own seeds if None; beyond the shipped runs' are new ones.

    Raises:
        ValueError: for a name that is none of these, a claim that takes more than this study, seeds below 1, or a first
            seed below 1.
    """
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds is {seeds}: must be at least 1")
    if first_seed is not None and first_seed < 1:
        raise ValueError(f"first_seed is {first_seed}: must be at least 1; seed {TUNING_SEED} chose the learning rates")
    wanted = {name for each in only if each != TUNING for name in _variants_of(each)}
    tuning = [_unit(v, seed) for v in tuning_variants() for seed in v.seeds] if TUNING in only else []
    tuning.sort(key=lambda unit: -unit.seconds)  # long ones first: no core waits for the last
    if tuning and set(only) == {TUNING}:
        return tuning  # which asks nothing of the base
    chosen = [v for v in all_variants() if not only or v.name in wanted]
    runs = [
        ((groups().index(v.group), bool(v.starts_from), seed), v, seed)  # what goes on with another run comes after it
        for v in chosen
        for seed in (v.seeds if first_seed is None else v.seeds_from(first_seed))[:seeds]
    ]
    names = {v.name for v in chosen}
    whose = tuple(r.name for r in recipes() if names & {v.name for v in r.variants}) if only else ()
    base = Unit("base", None, 0, 0, sum(map(_pass_seconds, base_conditions(whose))), whose)
    return [base, *(_unit(v, seed) for _, v, seed in sorted(runs, key=lambda run: run[0])), *tuning]


def groups() -> tuple[str, ...]:
    """The parts of the study by name, in the order in which they run."""
    return tuple(dict.fromkeys(v.group for v in all_variants()))


def _variants_of(name: str) -> list[str]:
    """The variants that a group, a claim or a variant's own name means."""
    if name in {c.name for c in all_claims()}:
        if claim(name).scale:
            raise ValueError(f"{name} cannot be tested here, leave it out: it takes {claim(name).scale}")
        return list(claim(name).needs)
    found = [v.name for v in all_variants() if name in (v.group, v.name)]
    if not found:
        claims = ", ".join(c.name for c in all_claims())
        raise ValueError(
            f"no part of the study is called {name!r}: give a group ({', '.join(groups())}, {TUNING}), a variant "
            f"({', '.join(v.name for v in all_variants())}) or a claim ({claims}); your own recipe needs --recipe FILE"
        )
    return found


def _unit(known: Variant, seed: int) -> Unit:
    a_step = _A_STEP.get(known.trained_by.name, _CHAIN_STEP) if known.mode == "vanilla" else _CHAIN_STEP
    steps, asked = known.profile.steps, known.conditions(seed)
    seconds = _START + steps * a_step + sum(_pass_seconds(c) for c in asked)
    return Unit(known.run_name(seed), known.name, seed, steps, seconds)


def _pass_seconds(condition: Condition) -> float:
    return _PASS if condition.mode == "vanilla" else _CHAIN_PASS * cap_of(condition) / TOKEN_CAP


def conditions_of(unit: Unit, geometry: Geometry | None = None) -> list[Condition]:
    """What a unit is asked; with real geometry, the base and GRPO with vanilla prompts are asked about it, too."""
    own = base_conditions(unit.recipes) if unit.variant is None else variant(unit.variant).conditions(unit.seed)
    if unit.variant not in (None, "grpo-vanilla"):
        return own
    return own + [c for dataset in files_by_dataset(geometry) for c in real_conditions(dataset, unit.name)]


def finished(unit: Unit, folder: Path, geometry: Geometry | None = None) -> bool:
    """Whether the folder holds everything of a unit."""
    if unit.variant is None:
        made = all(pairs_path(folder, dataset).exists() for dataset in files_by_dataset(geometry))
    else:
        made = (folder / unit.name / "summary.json").exists()
    return made and all(answers_path(c, folder).exists() for c in conditions_of(unit, geometry))


# -- in a worker -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _set(name: str, geometry: Geometry | None) -> QuestionSet:
    return real_set(name, geometry)


def run_unit(unit: Unit, folder: Path, scratch: Path, geometry: Geometry | None = None) -> float:
    """Do a unit; returns the seconds it took."""
    began = time.monotonic()
    asked = [c for c in conditions_of(unit, geometry) if not answers_path(c, folder).exists()]  # what is there stays
    for name in dict.fromkeys(condition.questions for condition in asked):  # before training: they may differ
        save_questions(_set(name, geometry), folder)
    if unit.variant is None:
        for dataset, path in files_by_dataset(geometry).items():
            _measure(path, pairs_path(folder, dataset))
    else:
        known = variant(unit.variant)
        if not (folder / unit.name / "summary.json").exists():
            train_variant(known, unit.seed, _set(known.questions, None), folder, scratch)
    for model in dict.fromkeys(condition.model for condition in asked):  # one after another: each is loaded once
        loaded = load_untrained(model) if unit.variant is None else load_run(model, folder)
        for condition in (c for c in asked if c.model == model):
            answer(condition, _set(condition.questions, geometry), loaded, folder)
    return time.monotonic() - began


def _measure(geometry: Path, path: Path) -> None:
    """Write the distances, centre to centre and of the closest points, of every pair in a geometry file."""
    pairs = distance_pairs(read_geometry(geometry).rooms, touching="keep")
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, lambda beside: write_pairs(beside, pairs))
    seal(path.parent)


def _begin(log: str, parent: int, files: Sequence[str]) -> None:
    """A worker's first act: one thread, its chatter into a file instead of the bar, and an end when its parent ends.

    files: of the recipes that were added in the parent.
    """
    for path in files:
        add(path)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it reaches a whole terminal; the parent ends its workers
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    git_at_start()
    import torch

    torch.set_num_threads(1)


def _end_with(parent: int) -> None:
    """A killed study must not go on in processes that nobody sees."""
    while os.getppid() == parent:
        time.sleep(_POLL_S)
    os._exit(1)


# -- in the process that was called ------------------------------------------------------------------------------------


def check_plan(
    units: Sequence[Unit], folder: Path, workers: int | None = None, geometry: Geometry | None = None
) -> None:
    """Complain about what can be known before anything runs; arguments as `reproduce`.

    Raises:
        ValueError: for fewer workers than 1, a geometry file that is not there or is none or that nothing is asked
            about, and for anything in the folder that was made otherwise than these units would make it today.
        FileNotFoundError: a checkpoint that units train or ask ships with the kit, and is not there.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}: must be at least 1; leave it out for one a core")
    rooms = {dataset: read_geometry(path).rooms for dataset, path in files_by_dataset(geometry).items()}
    runs = [(variant(unit.variant), unit.seed) for unit in units if unit.variant is not None]
    conditions = [condition for unit in units for condition in conditions_of(unit, geometry)]
    for model in dict.fromkeys(model_of(condition.model) for condition in conditions):
        checkpoint_of(model)
    check_not_stale(runs, conditions, folder, folder / UNFINISHED, rooms)


def reproduce(
    units: Sequence[Unit],
    folder: Path,
    workers: int | None = None,
    geometry: Geometry | None = None,
    progress: bool = True,
    job: Callable[[Unit, Path, Path, Geometry | None], float] = run_unit,
) -> list[str]:
    """Do what is missing of some units.

    Args:
        units: from `plan`.
        folder: the study's; unfinished runs are kept in its `unfinished/`.
        workers: processes, one thread each; as many as cores this process may use by default.
        geometry: files that VSI-Bench's authors released, one a data set, to ask about real rooms, too.
        progress: draw a bar with the time left.
        job: what a worker does with a unit, by default all of it; a function of a module, since workers import it.

    Returns:
        For each unit that failed, its name and error; the others are complete.

    Raises:
        ValueError: see `check`, or another process fills the folder; nothing ran.
    """
    check_plan(units, folder, workers, geometry)
    scratch = folder / UNFINISHED
    scratch.mkdir(parents=True, exist_ok=True)
    with closing(Lock(scratch, str(folder))):
        return _reproduce(units, folder, scratch, workers, geometry, progress, job)


def _reproduce(units, folder: Path, scratch: Path, workers, geometry, progress: bool, job) -> list[str]:
    from tqdm import tqdm

    sweep(folder)
    drop_torn_line(folder / "manifest.jsonl")
    todo = [unit for unit in units if not finished(unit, folder, geometry)]
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by the workers before they import torch
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    total = sum(unit.seconds for unit in units)
    shape = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} gone, {remaining} left{postfix}"
    failed = []
    pool = ProcessPoolExecutor(
        workers or cores, get_context("spawn"), _begin, (str(scratch / "workers.log"), os.getpid(), added_files())
    )
    with pool, tqdm(total=round(total), desc="study", bar_format=shape, disable=not progress, file=sys.stderr) as bar:
        done = total - sum(unit.seconds for unit in todo)
        bar.initial = bar.n = round(done)
        running: dict[Future, Unit] = {}
        waiting = list(todo)
        try:
            while running or waiting:
                for unit in _ready(waiting, list(running.values())):
                    waiting.remove(unit)
                    running[pool.submit(job, unit, folder, scratch, geometry)] = unit
                over, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in over:
                    unit = running.pop(future)
                    done += unit.seconds
                    failed += _told(bar, unit, future, len(units) - len(running) - len(waiting), len(units))
                bar.n = round(done + sum(_begun(unit, folder) for unit in running.values()))
                bar.refresh()
        except BaseException:
            processes = list((pool._processes or {}).values())  # shutdown forgets them
            pool.shutdown(wait=False, cancel_futures=True)
            [process.terminate() for process in processes]
            raise
    return failed


def _ready(waiting: Sequence[Unit], running: Sequence[Unit]) -> list[Unit]:
    """Units that may begin: those whose run to start from is neither under way nor to come."""
    to_come = {unit.name for unit in (*waiting, *running)}
    found = [unit for unit in waiting if _starts_from(unit) not in to_come]
    return found or ([] if running else list(waiting))  # runs that wait for each other fail and say so


def _starts_from(unit: Unit) -> str:
    """The run whose adapter a unit goes on with; empty for none."""
    before = variant(unit.variant).starts_from if unit.variant is not None else ""
    return f"{before}-seed{unit.seed}" if before else ""


def _told(bar, unit: Unit, future: Future, count: int, of: int) -> list[str]:
    bar.set_postfix_str(f"{count} of {of} units", refresh=False)
    if (error := future.exception()) is None:
        bar.write(f"{unit.name}: {future.result():.0f} s", file=sys.stderr)
        return []
    bar.write(f"{unit.name} FAILED: {type(error).__name__}: {error}", file=sys.stderr)
    return [f"{unit.name}: {type(error).__name__}: {error}"]


def _begun(unit: Unit, folder: Path) -> float:
    """The seconds of work that an unfinished unit has behind it."""
    if unit.variant is None:
        asked = base_conditions(unit.recipes)
        return unit.seconds * sum(answers_path(c, folder).exists() for c in asked) / len(asked)
    training = 0.9 * unit.seconds
    if (folder / unit.name / "summary.json").exists():  # trained, and being asked
        return training
    for metrics in (folder / UNFINISHED).glob(f"*-{unit.name}/metrics.jsonl"):
        return training * max((row.get("step", 0) for row in read_lines(metrics)[-1:]), default=0) / unit.steps
    return 0.0
