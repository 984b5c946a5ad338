"""Reading a study folder: answers of the base and of trained runs, their scores, curves and rollouts, and baselines.

The first part finds answers, training answers and their provenance. The second has the base model under three prompts:
scores, shares of right, wrong and unreadable answers, best of k, and baselines. The third has trained runs: their
answers, curves, rollouts and summaries, and the base against GRPO with vanilla prompts.
Left out: comparing the other variants, which comparisons.py does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

from vsr_kit.claims.recipe import BENCH_SET, SAMPLES, Condition
from vsr_kit.data import first_of_types, make_rows, split_rooms
from vsr_kit.evaluation import (
    Interval,
    ScoreTable,
    best_of_k_curve,
    best_of_k_table,
    differences,
    draws_from_training_answers,
    gap_change,
    intervals,
    most_frequent_answer,
    score,
)
from vsr_kit.files import NUMBER, Damaged, expect
from vsr_kit.questions import STUDY_RULES, TRAINED_TYPES
from vsr_kit.recipes import variant
from vsr_kit.rewards import accuracy_reward
from vsr_kit.runs import RunFolder
from vsr_kit.runs.reading import metrics_file
from vsr_kit.study.conditions import (
    answers_path,
    held_now,
    manifest_entries,
    questions_path,
    read_answers,
    read_lines,
    read_samples,
    reference_runs,
)
from vsr_kit.study.question_sets import PER_TYPE_AND_ROOM, TRAIN_ROOMS

Bands = dict[str, Interval]  # `overall`, `trained` and every task; see `drop_repeated_mean`


def study_folder(folder: Path | str | None) -> Path:
    """The folder given, or the shipped study's."""
    return Path(folder) if folder is not None else reference_runs()


def answered(condition: Condition, folder: Path | str | None) -> bool:
    """Whether the answers of a condition are in the folder."""
    return answers_path(condition, study_folder(folder)).exists()


def condition_answers(condition: Condition, folder: Path | str | None) -> list[dict]:
    """The answers of a greedy condition: its rows with `prediction` and `truncated`."""
    return read_answers(condition, study_folder(folder))


def scored(condition: Condition, folder: Path | str | None) -> ScoreTable:
    """The same answers, scored leniently: once a process for all claims, as long as the files hold the same."""
    folder = study_folder(folder)
    files = answers_path(condition, folder), questions_path(condition.questions, folder)
    return _scored(condition, folder, *map(held_now, files))


@lru_cache(maxsize=256)
def _scored(condition: Condition, folder: Path, *_held: str | None) -> ScoreTable:
    # kept under what the files hold, so that no change goes unseen; an error is not kept
    return score(read_answers(condition, folder), "lenient")


def all_draws(condition: Condition, folder: Path | str | None) -> list[dict]:
    """Every draw of a sampled condition, draw after draw."""
    return [row for draw in read_samples(condition, study_folder(folder)) for row in draw]


def training_answers(phrasing: str, folder: Path | str | None = None) -> list[dict]:
    """Rows of the training rooms: the study's own where it kept them, else all that geometry alone allows."""
    kept = questions_path(f"train-{phrasing}", study_folder(folder))
    if kept.exists():
        return read_lines(kept)
    return list(_from_geometry(phrasing, TRAIN_ROOMS))


@cache
def _from_geometry(phrasing: str, count: int) -> tuple[dict, ...]:
    rooms = split_rooms(count, "train")
    return tuple(make_rows(rooms, phrasing, 0, types=TRAINED_TYPES, max_per_type=PER_TYPE_AND_ROOM, rules=STUDY_RULES))


def drop_repeated_mean(bands: Bands) -> Bands:
    """Bands without `trained` where no other tasks were asked: `overall` then is the same mean."""
    same = "trained" in bands and bands["trained"].n == bands["overall"].n
    return {task: band for task, band in bands.items() if not (same and task == "trained")}


def in_points(bands: Bands) -> dict[str, str]:
    """Differences as a table writes them: `{"object_counting": "+1.2 (-0.3 to +2.7)", …}`; a repeated mean once."""
    return {t: f"{b.mean:+.1f} ({b.low:+.1f} to {b.high:+.1f})" for t, b in drop_repeated_mean(bands).items()}


def provenance(folder: Path | str | None = None) -> str:
    """One line: conditions, token cap, commit and checkpoint behind the answers, from the manifest."""
    entries = [e for e in manifest_entries(study_folder(folder)).values() if "token_cap" in e]  # of conditions
    parts = {
        "token cap": {str(e["token_cap"]) for e in entries},
        "commit": {(e["git"] or {}).get("commit", "unknown")[:10] for e in entries},
        "SHA-256 of the base": {(e["base"].get("sha256") or "unknown")[:10] for e in entries},
    }
    return f"{len(entries)} conditions; " + ", ".join(f"{k} {' and '.join(sorted(v))}" for k, v in parts.items())


MODES = ("think", "observe", "vanilla")  # in the order of the paper's table


def cot_table(folder: Path | str | None = None, harness: str = "lenient", sampled: bool = False) -> dict[str, Bands]:
    """Scores of the base with each of the three prompts: greedy, or the mean over draws at temperature 1."""
    answers = mode_answers(folder, sampled)
    tables = {m: best_of_k_table(rows, 1, harness) if sampled else score(rows, harness) for m, rows in answers.items()}
    return {mode: drop_repeated_mean(intervals(table)) for mode, table in tables.items()}


def mode_answers(
    folder: Path | str | None = None, sampled: bool = False, questions: str = BENCH_SET
) -> dict[str, list[dict]]:
    """The base's answers with each prompt: greedy, or all draws one after another."""
    if sampled:
        return {mode: all_draws(Condition(questions, mode=mode, samples=SAMPLES), folder) for mode in MODES}
    return {mode: condition_answers(Condition(questions, mode=mode), folder) for mode in MODES}


def lines_to_beat(folder: Path | str | None = None, questions: str = BENCH_SET) -> dict[str, Bands]:
    """Scores that need no understanding: `frequent`, `no_video` and `wrong_clip`, by the names the plots use.

    The two that ask the base (vanilla, greedy) are there where the study asked it so.
    """
    rows = condition_answers(Condition(questions), folder)
    sets = {"frequent": most_frequent_answer(training_answers(rows[0]["phrasing"], folder), rows)}
    blind = {"no_video": Condition(questions, clip="none"), "wrong_clip": Condition(questions, clip="wrong")}
    sets |= {name: condition_answers(c, folder) for name, c in blind.items() if answered(c, folder)}
    return {name: drop_repeated_mean(intervals(found)) for name, found in sets.items()}


def answer_shares(rows: Sequence[dict], harness: str = "lenient") -> dict[str, int]:
    """How many answers were right, partly right, wrong, not readable, or cut off by the cap, whatever they said."""
    counts = dict.fromkeys(("right", "partly", "wrong", "unparsed", "cut"), 0)
    for row, own in zip(rows, score(rows, harness).scores, strict=True):
        read = "right" if own.value == 1 else "partly" if own.value > 0 else "wrong"
        counts["cut" if row.get("truncated") else read if own.parsed else "unparsed"] += 1
    return counts


def truncated_percent(rows: Sequence[dict]) -> float:
    """The share of answers that the token cap cut off, in per cent."""
    return 100 * sum(bool(row["truncated"]) for row in rows) / len(rows)


def tries_table(
    folder: Path | str | None = None, ks: Sequence[int] = (1, 2, 4, 8)
) -> tuple[dict[str, dict[int, tuple]], dict[str, dict[int, tuple]]]:
    """Mean best of k draws, mean of the trained tasks, as (value, low, high) by k.

    Returns:
        One curve for each prompt, and the same for k draws from the training answers: {name: {k: band}} each.
    """
    draws = mode_answers(folder, sampled=True)
    asked = draws[MODES[0]][: len(draws[MODES[0]]) // SAMPLES]
    blind = draws_from_training_answers(training_answers(asked[0]["phrasing"], folder), asked, SAMPLES)
    modes = {mode: _tries(rows, ks) for mode, rows in draws.items()}
    return modes, {"draws from training answers": _tries(blind, ks)}


def _tries(rows: list[dict], ks: Sequence[int]) -> dict[int, tuple]:
    return {k: found.band[:3] for k, found in best_of_k_curve(rows, ks)["trained"].items()}


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
    """Answers to the same questions: of the base, and one list for each trained run; with own and other clips.

    Tables instead of lists where they were read by `answers.scored`.
    """

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
    test = known.test_set  # a recipe may have test questions of its own
    named = re.compile(rf"{re.escape(test)}--{re.escape(of)}-seed(\d+)--")
    files = (named.match(path.name) for path in (study_folder(folder) / "answers").glob(f"{test}--{of}-seed*"))
    seeds = sorted({int(match[1]) for match in files if match})
    about = {seed: [c for c in known.conditions(seed) if c.questions == test] for seed in seeds}
    return tuple(known.run_name(seed) for seed, passes in about.items() if all(answered(c, folder) for c in passes))


def finished_runs(folder: Path | str | None = None, of: str = "grpo-vanilla") -> tuple[str, ...]:
    """Names of a variant's runs, by seed, that are trained to their end, whether or not they have been asked.

    A run that was asked counts even where its files are gone: whoever reads it is told that they are damaged.
    """
    named = re.compile(rf"{re.escape(of)}-seed(\d+)")
    runs = [path.parent.name for path in study_folder(folder).glob(f"{of}-seed*/summary.json")]
    matches = map(named.fullmatch, {*runs, *trained_runs(folder, of)})
    seeds = sorted(int(match[1]) for match in matches if match)
    return tuple(variant(of).run_name(seed) for seed in seeds)


def asked_runs(conditions: Sequence[Condition], folder: Path | str | None = None) -> tuple[str, ...]:
    """Those runs of GRPO with vanilla prompts that a study asked all of some conditions, whoever these name."""
    runs = trained_runs(folder)
    return tuple(run for run in runs if all(answered(replace(c, model=run), folder) for c in conditions))


def variant_answers(
    of: str,
    folder: Path | str | None = None,
    questions: str | None = None,
    mode: str | None = None,
    clip: str = "own",
    runs: Sequence[str] | None = None,
    read: Callable = condition_answers,
) -> list:
    """What a variant's runs, or some of them, answered, one list for each; in their own mode unless told otherwise.

    They are those to the variant's prompts and at its cap, about its test questions unless a question set is named.

    `read` gives a condition's answers: `condition_answers` rows, `scored` a table, which is not made twice.

    Raises:
        FileNotFoundError: if the folder holds no run of the variant, or lacks some of these answers.
    """
    runs = trained_runs(folder, of) if runs is None else runs
    if not runs:
        raise FileNotFoundError(f"{study_folder(folder)} holds no answers of {of}; vsr reproduce makes them")
    known = variant(of)
    return [read(known.condition(run, questions or known.test_set, mode, clip), folder) for run in runs]


def trained_answers(
    folder: Path | str | None = None,
    questions: str = BENCH_SET,
    runs: Sequence[str] | None = None,
    read: Callable = condition_answers,
) -> Answers:
    """All answers a comparison needs, of all runs unless some are named; `read` as in `variant_answers`.

    Raises:
        FileNotFoundError: if the folder holds the answers of no trained run, or lacks some of the others.
    """
    return Answers(
        base=read(Condition(questions), folder),
        base_wrong=read(Condition(questions, clip="wrong"), folder),
        own=variant_answers("grpo-vanilla", folder, questions, runs=runs, read=read),
        wrong=variant_answers("grpo-vanilla", folder, questions, clip="wrong", runs=runs, read=read),
    )


def grpo_table(
    folder: Path | str | None = None, questions: str = BENCH_SET, runs: Sequence[str] | None = None
) -> BeforeAfter:
    """What GRPO changed, over seeds and rooms; of all runs unless some are named. Raises as `trained_answers` does."""
    found = trained_answers(folder, questions, runs, scored)
    return BeforeAfter(
        runs=trained_runs(folder) if runs is None else tuple(runs),
        before=drop_repeated_mean(intervals(found.base)),
        after=drop_repeated_mean(intervals(found.own)),
        change=drop_repeated_mean(differences(found.own, found.base)),
        gap_before=drop_repeated_mean(differences(found.base, found.base_wrong, same_seeds=True)),
        gap_after=drop_repeated_mean(differences(found.own, found.wrong, same_seeds=True)),
        gap_growth=drop_repeated_mean(found.gap_growth),
        frequent=lines_to_beat(folder, questions)["frequent"],
    )


def run_curves(folder: Path | str | None = None, of: str = "grpo-vanilla") -> list[list[dict]]:
    """What each run of a variant logged, one list of log rows for each seed."""
    return [whole_log(run_folder(name, folder)) for name in trained_runs(folder, of)]


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
        f"{metrics_file(run.path)} has {len(steps)} of the {due} steps that summary.json tells of, the last "
        f"{max(steps, default='none')}; restore it from a copy, or remove {run.path} and its answers and run it again"
    )


def run_folder(name: str, folder: Path | str | None) -> RunFolder:
    """The folder of a run whose answers are there, as the study kept it."""
    path = study_folder(folder) / name
    for file in (path / "config.json", metrics_file(path)):
        if path.is_dir() and not file.is_file():
            raise Damaged(f"{file} is missing, though the run's answers are there; restore it from a copy")
    return RunFolder.open(path)


def rollouts(folder: Path | str | None = None, of: str = "grpo-vanilla") -> list[list[dict]]:
    """What each run of a variant kept of its rollouts, one list for each seed; every row names its `run`.

    The study keeps the first and the last five steps whole, and every twentieth between them.
    """
    runs = {name: run_folder(name, folder).read_rollouts() for name in trained_runs(folder, of)}
    return [[{**row, "run": name} for row in rows] for name, rows in runs.items()]


def run_summaries(folder: Path | str | None = None, of: str = "grpo-vanilla") -> list[dict]:
    """The headline figures of each run of a variant: steps, seconds, tokens, and why it stopped early, if it did."""
    return [headline(run_folder(name, folder)) for name in trained_runs(folder, of)]


def headline(run: RunFolder) -> dict:
    """The headline figures of a finished run, checked: steps, seconds, tokens, questions, and why it stopped early."""
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

    Both are asked in the variant's mode, with its prompts and at its cap. The first questions of each type are
    taken: not chosen by how they came out.
    """
    run = trained_runs(folder, of)[0]
    before, own = (condition_answers(variant(of).condition(name, BENCH_SET), folder) for name in ("base", run))
    after = {row["id"]: row for row in own}
    firsts = first_of_types(before, per_type, types)
    return [shown for row in firsts for shown in (earned(row, "base"), earned(after[row["id"]], run))]


def first_and_last_groups(
    folder: Path | str | None = None, question_type: str = "object_counting", of: str = "grpo-vanilla"
) -> list[list[dict]]:
    """A type's first group of rollouts that a variant's first run sampled, and its last group."""
    rollouts = run_folder(trained_runs(folder, of)[0], folder).read_rollouts()
    rows = [row for row in rollouts if row["question_type"] == question_type]
    ends = rows[0], rows[-1]
    return [[r for r in rows if (r["step"], r["id"]) == (end["step"], end["id"])] for end in ends]


def earned(row: dict, label: str) -> dict:
    """An answer with a label and the reward it would have been paid, as `plots.traces` takes it."""
    return {**row, "label": label, "rewards": {"accuracy_reward": accuracy_reward(row["prediction"], row)}}
