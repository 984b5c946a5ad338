"""Checks whether results of an earlier study in a folder may count for the study of today.

A study keeps every run and every file of answers that its folder already holds. That is right only if they would be
made the same way now, so before anything runs they are compared with today's settings: a run's settings and checkpoint,
the checkpoint and the token cap behind answers, the pairs of the real rooms. A difference is an error that names it;
old and new results are never mixed.
Left out: code and machine, which the files record and which may differ within a study; and the rows of the questions,
which `conditions.save_questions` compares where they are made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path

from vsr_kit.claims.recipe import Condition, Variant
from vsr_kit.files import read_json
from vsr_kit.rooms import Room
from vsr_kit.runs.identity import rows_identity
from vsr_kit.runs.provenance import identity_differs
from vsr_kit.study.conditions import answers_path, base_identity, manifest_entries, pairs_path, why_stale
from vsr_kit.study.labels import DistancePair, distance_pairs, read_pairs
from vsr_kit.study.question_sets import QuestionSet
from vsr_kit.training.methods import GRPO
from vsr_kit.training.profiles import Profile

# What a profile is called, what is said of it, and the part of the study a variant belongs to: they change no result.
LABELS = ("name", "about", "group")
_DEFAULTS = {field.name: field.default for field in fields(Profile)} | GRPO().settings()
_UNKNOWN = "not recorded"


def settings_of(variant: Variant) -> dict:
    """What a run of a variant records as its settings, but for the number of its questions."""
    settings = {**asdict(variant.profile), **variant.trained_by.settings(), "questions": variant.questions}
    begun = {"starts_from": variant.starts_from} if variant.starts_from else {}
    return {**settings, **begun, "group": variant.group}


def check_not_stale(
    runs: Iterable[tuple[Variant, int]],
    conditions: Iterable[Condition],
    folder: Path,
    scratch: Path,
    real_rooms: Mapping[str, Iterable[Room]] | None = None,
) -> None:
    """Complain if the folder holds something of a study that was made otherwise than it would be today.

    Args:
        runs: variants with seeds that are to be in the folder.
        conditions: what is to be asked.
        folder: the study's.
        scratch: its unfinished runs.
        real_rooms: of the geometry files that are asked about, by data set.

    Raises:
        ValueError: naming the first file that differs, the setting with both values, and the remedies.
    """
    found = [told for variant, seed in runs for told in _run_differs(variant, seed, folder, scratch)]
    found += _answers_differ(conditions, folder)
    for dataset, rooms in (real_rooms or {}).items():
        found += _pairs_differ(dataset, rooms, folder)
    if found:
        more = f" ({len(found) - 1} more files of {folder} differ, too)" if len(found) > 1 else ""
        raise ValueError(found[0] + more)


def check_rows(questions: QuestionSet, folder: Path, scratch: Path) -> None:
    """Complain if a run of the study, finished or not, was trained on others than these questions.

    Their number is known of every run, their content of those that recorded what they are made of.

    Raises:
        ValueError: naming the first such run and the remedies.
    """
    today = rows_identity(questions.rows)
    for path in (*sorted(folder.glob("*/config.json")), *sorted(scratch.glob("*/config.json"))):
        then = read_json(path, {"config": dict})["config"]
        if then.get("questions") != questions.name:
            continue
        if (was := then.get("rows", today["rows"])) != today["rows"]:
            told = f"{path}: rows was {was} of {questions.name} and is {today['rows']} today"
            raise ValueError(f"{told}; {_remedy(path.parent, folder)}")
        made = path.with_name("versions.json")
        identity = read_json(made, {"identity?": dict}).get("identity") if made.exists() else None
        if (identity or {}).get("rows sha256", today["rows sha256"]) != today["rows sha256"]:
            told = f"{made}: the rows of {questions.name} were others than they are today, though as many"
            raise ValueError(f"{told}; {_remedy(path.parent, folder)}")


def first_difference(then: Mapping, today: Mapping) -> str | None:
    """The first setting that counts and differs, with both values; None where all agree.

    A setting that is missing in an old record came up later: it was what is the default now, or the old code would have
    no name for what it did.
    """
    today = json.loads(json.dumps(today))  # lists for tuples, as in the record
    defaults = {name: list(v) if isinstance(v, tuple) else v for name, v in _DEFAULTS.items()}
    for name in (*today, *(name for name in then if name not in today)):
        was = then.get(name, defaults.get(name, _UNKNOWN))
        now = today.get(name, "no setting any more")
        if name not in LABELS and was != now:
            return f"{name} was {was!r} and is {now!r} today"
    return None


def _run_differs(variant: Variant, seed: int, folder: Path, scratch: Path) -> Iterator[str]:
    name = variant.run_name(seed)
    if (folder / name / "summary.json").exists():
        yield from _records_differ(folder / name, variant, seed, folder)
        return
    for config in sorted(scratch.glob(f"*-{name}/config.json")):
        yield from _records_differ(config.parent, variant, seed, folder)
    if answers := sorted((folder / "answers").glob(f"*--{name}--*.jsonl.gz")):  # the next run would be given them
        told = f"{answers[0]} has answers of a run that is not in {folder / name} any more"
        yield f"{told}; give another --out, or remove {_of(name, folder)}"


def _records_differ(run: Path, variant: Variant, seed: int, folder: Path) -> Iterator[str]:
    settings, made = run / "config.json", run / "versions.json"
    for record in (settings, made):
        if not record.exists():
            yield f"{record} is missing, so how the run was made is not known; {_remedy(run, folder)}"
            return
    config = read_json(settings, {"config": dict, "seed": int})
    then = {k: v for k, v in config["config"].items() if k != "rows"} | {"seed": config["seed"]}  # see check_rows
    if told := first_difference(then, settings_of(variant) | {"seed": seed}):
        yield f"{settings}: {told}; {_remedy(run, folder)}"
    today = base_identity(variant.profile.model)
    if told := identity_differs(read_json(made, {"checkpoint?": dict}).get("checkpoint"), today):
        yield f"{made}: the checkpoint's {told}; {_remedy(run, folder)}"


def _answers_differ(conditions: Iterable[Condition], folder: Path) -> Iterator[str]:
    entries = manifest_entries(folder)
    for condition in conditions:
        if answers_path(condition, folder).exists() and (told := why_stale(condition, folder, entries)):
            yield told


def _pairs_differ(dataset: str, rooms: Iterable[Room], folder: Path) -> Iterator[str]:
    """Another geometry file shows in its distances, without a room being filmed."""
    path = pairs_path(folder, dataset)
    if not path.exists():
        return
    then, today = read_pairs(path), distance_pairs(rooms, touching="keep")
    differ = [(a, b) for a, b in zip(then, today, strict=False) if not _same(a, b)]
    if differ or len(then) != len(today):
        was, now = differ[0] if differ else (f"{len(then)} pairs", f"{len(today)} pairs")
        files = f"{path}, {folder}/questions/{dataset}-* and {folder}/answers/{dataset}-*"
        yield (
            f"{path}: made from another geometry file: it has {was} where this one gives {now}; give the file of then, "
            f"another --out, or remove {files}"
        )


def _same(a: DistancePair, b: DistancePair) -> bool:
    """Equal, but for the last millimetre, which hangs on how a machine rounds."""
    near = max(abs(a.closest_m - b.closest_m), abs(a.centre_m - b.centre_m)) < 1.5e-3
    return near and (a.scene, a.a, a.b) == (b.scene, b.a, b.b)


def _remedy(run: Path, folder: Path) -> str:
    """For a run's folder, finished or not."""
    answers = f" and {_of(run.name, folder)}" if run.parent == folder else ""
    return f"give another --out, or remove {run}{answers}"


def _of(name: str, folder: Path) -> str:
    return f"{folder}/answers/*--{name}--*"
