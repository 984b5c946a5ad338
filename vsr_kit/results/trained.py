"""Trained runs: their answers, and the base against GRPO with vanilla prompts (scores, gaps, curves, side by side).

Left out: comparing the other variants, which `vsr_kit.results.compared` does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vsr_kit.damage import NUMBER, Damaged, expect
from vsr_kit.data import first_of_types
from vsr_kit.evaluation import differences, gap_change, intervals
from vsr_kit.results.answers import Bands, answered, one_mean, said, study_folder
from vsr_kit.results.prompting import lines_to_beat
from vsr_kit.rewards import accuracy_reward
from vsr_kit.runs import RunFolder
from vsr_kit.study import BENCH, Condition, variant


@dataclass(frozen=True)
class BeforeAfter:
    """The base against the trained runs on the same questions; every field by task.

    Attributes:
        runs: names of the trained runs that were found.
        before, after, change: scores, and trained minus base, paired by question.
        gap_before, gap_after, gap_growth: own clip minus another room's clip, and what training added to it.
        frequent: always the most frequent training answer.
    """

    runs: tuple[str, ...]
    before: Bands
    after: Bands
    change: Bands
    gap_before: Bands
    gap_after: Bands
    gap_growth: Bands
    frequent: Bands


@dataclass(frozen=True)
class Answers:
    """Answers to the same questions: of the base, and one list for each trained run; with own and other clips."""

    base: list[dict]
    base_wrong: list[dict]
    own: list[list[dict]]
    wrong: list[list[dict]]

    @property
    def gap_growth(self) -> Bands:
        """What training added to the gap between the own clip and another room's, by task, in points."""
        return gap_change((self.own, self.wrong), ([self.base], [self.base_wrong]))


def trained_runs(folder: Path | str | None = None, of: str = "grpo-vanilla") -> tuple[str, ...]:
    """Names of a variant's runs, by seed, for which every pass over the test questions is there, whatever the seeds."""
    known = variant(of)
    named = re.compile(rf"{BENCH}--{re.escape(of)}-seed(\d+)--")
    files = (named.match(path.name) for path in (study_folder(folder) / "answers").glob(f"{BENCH}--{of}-seed*"))
    seeds = sorted({int(match[1]) for match in files if match})
    about = {seed: [c for c in known.conditions(seed) if c.questions == BENCH] for seed in seeds}
    return tuple(known.run_name(seed) for seed, passes in about.items() if all(answered(c, folder) for c in passes))


def asked_runs(conditions: Sequence[Condition], folder: Path | str | None = None) -> tuple[str, ...]:
    """Those runs of GRPO with vanilla prompts that a study asked all of some conditions, whoever these name."""
    runs = trained_runs(folder)
    return tuple(run for run in runs if all(answered(replace(c, model=run), folder) for c in conditions))


def variant_answers(
    of: str,
    folder: Path | str | None = None,
    questions: str = BENCH,
    mode: str | None = None,
    clip: str = "own",
    runs: Sequence[str] | None = None,
) -> list[list[dict]]:
    """What a variant's runs, or some of them, answered, one list for each; in their own mode unless told otherwise.

    Raises:
        FileNotFoundError: if the folder holds no run of the variant, or lacks some of these answers.
    """
    runs = trained_runs(folder, of) if runs is None else runs
    if not runs:
        raise FileNotFoundError(f"{study_folder(folder)} holds no answers of {of}; vsr reproduce makes them")
    return [said(Condition(questions, run, mode or variant(of).mode, clip=clip), folder) for run in runs]


def trained_answers(
    folder: Path | str | None = None, questions: str = BENCH, runs: Sequence[str] | None = None
) -> Answers:
    """All answers a comparison needs, of all runs unless some are named.

    Raises:
        FileNotFoundError: if the folder holds the answers of no trained run, or lacks some of the others.
    """
    return Answers(
        base=said(Condition(questions), folder),
        base_wrong=said(Condition(questions, clip="wrong"), folder),
        own=variant_answers("grpo-vanilla", folder, questions, runs=runs),
        wrong=variant_answers("grpo-vanilla", folder, questions, clip="wrong", runs=runs),
    )


def grpo_table(
    folder: Path | str | None = None, questions: str = BENCH, runs: Sequence[str] | None = None
) -> BeforeAfter:
    """What GRPO changed, over seeds and rooms; of all runs unless some are named. Raises as `trained_answers` does."""
    found = trained_answers(folder, questions, runs)
    return BeforeAfter(
        runs=trained_runs(folder) if runs is None else tuple(runs),
        before=one_mean(intervals(found.base)),
        after=one_mean(intervals(found.own)),
        change=one_mean(differences(found.own, found.base)),
        gap_before=one_mean(differences(found.base, found.base_wrong, same_seeds=True)),
        gap_after=one_mean(differences(found.own, found.wrong, same_seeds=True)),
        gap_growth=one_mean(found.gap_growth),
        frequent=lines_to_beat(folder, questions)["frequent"],
    )


def run_curves(folder: Path | str | None = None, of: str = "grpo-vanilla") -> list[list[dict]]:
    """What each run of a variant logged, one list of log rows for each seed."""
    return [whole_log(_run(name, folder)) for name in trained_runs(folder, of)]


def whole_log(run: RunFolder) -> list[dict]:
    """A finished run's metrics, if they are of all its steps: a curve that ends early tells of another run.

    Raises:
        Damaged: steps are missing, or too many. A run that a broken number stopped may lack the one it broke in.
    """
    rows, headline = run.read_metrics(), run.summary.get("headline") or {}
    steps = {row["step"] for row in rows if row.get("step") is not None}
    due = headline.get("steps")
    if due is None or steps == set(range(1, due + 1)) or (headline.get("stopped") and steps == set(range(1, due))):
        return rows
    raise Damaged(
        f"{run.path / 'metrics.jsonl'} has {len(steps)} of the {due} steps that summary.json tells of, the last "
        f"{max(steps, default='none')}; restore it from a copy, or remove {run.path} and its answers and run it again"
    )


def _run(name: str, folder: Path | str | None) -> RunFolder:
    """The folder of a run whose answers are there, as the study kept it."""
    path = study_folder(folder) / name
    for file in ("config.json", "metrics.jsonl"):
        if path.is_dir() and not (path / file).is_file():
            raise Damaged(f"{path / file} is missing, though the run's answers are there; restore it from a copy")
    return RunFolder.open(path)


def rollouts(folder: Path | str | None = None, of: str = "grpo-vanilla") -> list[list[dict]]:
    """What each run of a variant kept of its rollouts, one list for each seed; every row names its `run`.

    The study keeps the first and the last five steps whole, and every twentieth between them.
    """
    runs = {name: _run(name, folder).read_rollouts() for name in trained_runs(folder, of)}
    return [[{**row, "run": name} for row in rows] for name, rows in runs.items()]


def run_summaries(folder: Path | str | None = None, of: str = "grpo-vanilla") -> list[dict]:
    """The headline figures of each run of a variant: steps, seconds, tokens, and why it stopped early, if it did."""
    return [_headline(_run(name, folder)) for name in trained_runs(folder, of)]


def _headline(run: RunFolder) -> dict:
    fields = {"steps?": int, "stopped?": str, "questions?": NUMBER, "tokens?": NUMBER}
    fields |= {"training seconds?": NUMBER, "preparation seconds?": NUMBER}
    return expect(run.summary.get("headline"), f"{run.path / 'summary.json'}, headline", fields)


def answer_pairs(
    folder: Path | str | None = None,
    types: Sequence[str] | None = None,
    per_type: int = 1,
    of: str = "grpo-vanilla",
) -> list[dict]:
    """Base and a variant's first run on the same questions, side by side as `plots.traces` takes them.

    Both are asked in the variant's mode. The first questions of each type are taken: not chosen by how they came out.
    """
    run, mode = trained_runs(folder, of)[0], variant(of).mode
    after = {row["id"]: row for row in said(Condition(BENCH, run, mode), folder)}
    firsts = first_of_types(said(Condition(BENCH, mode=mode), folder), per_type, types)
    return [shown for row in firsts for shown in (earned(row, "base"), earned(after[row["id"]], run))]


def first_and_last_groups(
    folder: Path | str | None = None, question_type: str = "object_counting", of: str = "grpo-vanilla"
) -> list[list[dict]]:
    """A type's first group of rollouts that a variant's first run sampled, and its last group."""
    rollouts = _run(trained_runs(folder, of)[0], folder).read_rollouts()
    rows = [row for row in rollouts if row["question_type"] == question_type]
    ends = rows[0], rows[-1]
    return [[r for r in rows if (r["step"], r["id"]) == (end["step"], end["id"])] for end in ends]


def earned(row: dict, label: str) -> dict:
    """An answer with a label and the reward it would have been paid, as `plots.traces` takes it."""
    return {**row, "label": label, "rewards": {"accuracy_reward": accuracy_reward(row["prediction"], row)}}
