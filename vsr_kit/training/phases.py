"""A recipe's whole training in one folder: phases, each of which goes on with the adapter of the one before.

    <phase by phase>/   a run folder each (runs/folder.py): `<time>-cold-start`, `<time>-ptst`, …

A phase says how it trains once it knows what came before: the chains of thought that were written, how long they are,
the adapter that the phase before it left. Killed anywhere, the same call goes on: finished phases stay as they are, the
one under way goes on with its last checkpoint.
Left out: several processes (train the phases one by one under `accelerate launch`), phases that train all weights, and
writing the chains, which is `vsr_kit.bridging`'s work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vsr_kit.paths import checkpoint_of
from vsr_kit.runs import RunFolder
from vsr_kit.runs.attempts import BROKEN, FINISHED, INTERRUPTED
from vsr_kit.training.joints import Start
from vsr_kit.training.methods import Method
from vsr_kit.training.profiles import Profile, get_profile
from vsr_kit.validation import whole

ENDS = 10  # steps at either end of a training, whose mean reward is told


@dataclass(frozen=True)
class Given:
    """What a phase's plan may hang on.

    Attributes:
        profile: the model and the numbers that were chosen.
        steps: updates of each phase.
        chains: completions by the rows' `id`, as `bridging.chains_of` reads them; empty where no phase needs them.
        chain_tokens: their mean length in tokens of the profile's model; 0 where there are none.
        adapter: folder of what the phase before learnt; None for the first phase.
    """

    profile: Profile
    steps: int
    chains: Mapping[Any, str]
    chain_tokens: float
    adapter: Path | None = None


@dataclass(frozen=True)
class Phase:
    """A part of a recipe's training.

    Attributes:
        name: of its run folder.
        about: one sentence.
        plan: f(given) -> the method, and the fields of the profile that differ in this phase.
        needs_chains: whether its plan reads `given.chains`. Where no phase of a recipe does, none are written.
    """

    name: str
    about: str
    plan: Callable[[Given], tuple[Method, dict]]
    needs_chains: bool = True


def train_phases(
    phases: Sequence[Phase],
    profile: Profile | str,
    questions,
    chains: Mapping[Any, str],
    folder: str | Path,
    *,
    steps: int,
    seed: int = 0,
    on_log: Callable[[Phase, Profile, dict], None] = lambda phase, profile, row: None,
) -> list[RunFolder]:
    """Train all phases, or go on where a killed call stood.

    Args:
        phases: in their order.
        profile: a Profile, or the name of one.
        questions: anything with `.rows` and `.clips`, as `train` takes it.
        chains: completions by the rows' `id`.
        folder: gets a run folder for each phase.
        steps: updates of each phase.
        seed: of adapters, orders and sampling, in every phase.
        on_log: gets every log dictionary with the phase and the profile that it is trained by.

    Returns:
        The run folders, open for reading; the last one's `adapter` is what the recipe made.

    Raises:
        ValueError: no chain belongs to a row, steps below 1, several processes, a phase that broke, or what `train`
            refuses.
        KeyboardInterrupt: someone stopped it; the run folder under way can be gone on with.
    """
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise ValueError("WORLD_SIZE is above 1: phases are trained by one process; launch it without accelerate")
    whole("steps", steps)
    profile, folder = get_profile(profile), Path(folder)
    needed = any(phase.needs_chains for phase in phases)
    own = {row["id"]: chains[row["id"]] for row in questions.rows if row["id"] in chains}
    if needed and not own:
        raise ValueError(
            f"none of the {len(chains)} chains is about one of the {len(questions.rows)} questions: their ids differ; "
            "give the questions that the chains were written for"
        )
    given = Given(profile, steps, own, mean_tokens(own.values(), profile.model) if own else 0.0)
    runs = []
    for phase in phases:
        runs.append(_train(phase, given, questions, folder, seed, on_log))
        given = replace(given, adapter=runs[-1].adapter)
    return runs


def mean_tokens(texts, model: str) -> float:
    """Mean number of tokens of some texts, by the tokenizer of a model that `load_model` knows."""
    from vsr_kit.models.vision import load_processor

    tokenizer: Any = load_processor(checkpoint_of(model)).tokenizer
    counts = [len(tokenizer(text)["input_ids"]) for text in texts]
    return sum(counts) / len(counts)


def _train(phase: Phase, given: Given, questions, folder: Path, seed: int, on_log) -> RunFolder:
    """Train one phase unless it is finished."""
    from vsr_kit.training.run import train

    method, changes = phase.plan(given)
    profile = replace(given.profile, **changes)
    run, begun = _run_folder(phase, profile, method, folder, seed)
    if run.status == BROKEN:
        raise ValueError(f"{run.path} broke: {run.stopped}; remove it, and begin again with a smaller learning rate")
    if run.status == FINISHED:
        return run
    try:
        trained = train(
            profile,
            method,
            questions,
            run=run,
            seed=seed,
            resume=begun,
            quiet=True,
            start=None if given.adapter is None else Start(given.adapter),
            on_log=lambda row: on_log(phase, profile, row),
        )
    except (ValueError, OSError):
        if not begun:
            run.discard_if_empty()
        raise
    if trained.stopped == INTERRUPTED:
        run.close()
        raise KeyboardInterrupt
    run.summarise(headline=headline_of(run, trained))
    run.finish(stopped=trained.broken)
    if trained.broken:
        raise ValueError(f"{phase.name} broke after step {trained.good_step}: {trained.broken}; look at {run.path}")
    return RunFolder.open(run.path)


def _run_folder(phase: Phase, profile: Profile, method: Method, folder: Path, seed: int) -> tuple[RunFolder, bool]:
    """The phase's run folder, and whether an earlier call began it."""
    for config in sorted(folder.glob(f"*-{phase.name}/config.json")):
        run = RunFolder.open(config.parent)
        return (run, True) if run.status in (FINISHED, BROKEN) else (RunFolder.resume(run.path), True)
    settings = {"profile": asdict(profile), "phase": phase.name, **method.settings()}
    return RunFolder.create(
        phase.name, settings, seed=seed, root=folder, checkpoint=checkpoint_of(profile.model)
    ), False


def headline_of(run: RunFolder, trained) -> dict:
    """What a run's summary tells of a training: steps, minutes, sampled reward at either end, what a step cost."""
    rewards = [row["reward"] for row in run.read_metrics() if "reward" in row]
    told = {"steps": trained.steps, "minutes of this attempt": trained.seconds / 60}
    if rewards:
        count = min(ENDS, len(rewards))
        told[f"sampled reward, mean of the first {count} steps"] = sum(rewards[:count]) / count
        told[f"sampled reward, mean of the last {count} steps"] = sum(rewards[-count:]) / count
    if (cost := trained.cost) is not None:
        told |= {
            "seconds a step": cost.seconds_per_step,
            "tokens a second": cost.tokens_per_second,
            "peak memory, GB": cost.peak_bytes / 1e9,
            "groups of equal rewards, %": 100 * cost.zero_variance_share,
        }
    return told
