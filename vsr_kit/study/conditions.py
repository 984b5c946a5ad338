"""Conditions and their answer files: which model was asked which questions, how, and with which clip.

A condition is one pass over one set of questions: a model (the base, another shipped checkpoint, or a trained run), a
prompt, a cap, a decoding, and the clip shown (the room's own, another room's, or none). Its answers go into one small
file under `answers/`, and manifest.jsonl records how they were made. A condition whose file exists is not asked again,
so a killed study continues where it stopped. The manifest's entry is written before the answers appear, so that no
answers lack an entry: after a kill between the two, a name has two entries, of which the last counts, or one entry
without answers, which is ignored.
Left out: scores. Every table and verdict is computed from these files.
"""

from __future__ import annotations

import gzip
import json
import marshal
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache, lru_cache
from itertools import zip_longest
from pathlib import Path

from vsr_kit.claims.recipe import Condition
from vsr_kit.data import first_of_types
from vsr_kit.evaluation.predictions import TOKEN_CAP, shown_clips
from vsr_kit.files import Damaged, file_hash, read_gzip_lines, reading, replace
from vsr_kit.files import read_lines as read_journal
from vsr_kit.paths import checkpoint_of, data_samples
from vsr_kit.recipes import MINI, model_of
from vsr_kit.runs import git_at_start
from vsr_kit.runs.provenance import checkpoint_identity, hardware, identity_differs
from vsr_kit.study.question_sets import QuestionSet

SAMPLED_PER_TYPE = 40


def answer(
    condition: Condition, questions: QuestionSet, loaded, folder: Path, log: Callable[[str], None] = print
) -> Path:
    """Run one condition unless its answers are there; write its entry in the manifest, then the answers.

    Raises:
        ValueError: the answers that are there were made otherwise, see `why_stale`.
    """
    from vsr_kit.generation import generate

    path = answers_path(condition, folder)
    if path.exists():
        if told := why_stale(condition, folder, manifest_entries(folder)):
            raise ValueError(told)
        return path
    rows, clips = questions.rows, shown_clips(questions.clips, condition.clip)
    if condition.samples:
        rows = sampled_subset(rows)
    began = time.monotonic()
    generations = generate(
        loaded,
        rows,
        clips,
        mode=condition.mode,
        prompt_set=condition.prompt_set,
        max_new_tokens=cap_of(condition),
        temperature=1.0 if condition.samples else 0.0,
        num_samples=max(1, condition.samples),
        seed=17,
    )
    seconds = time.monotonic() - began
    lines = [
        {"id": row["id"], "said": [g.text for g in group], "cut": [g.truncated for g in group]}
        for row, group in zip(rows, generations, strict=True)
    ]
    entry = {**asdict(condition), "name": condition.name, "rows": len(rows), "seconds": round(seconds, 1)}
    _note(folder, entry | {"token_cap": cap_of(condition), "base": base_identity(model_of(condition.model))}, loaded)
    write_lines(path, lines)
    log(f"{condition.name}: {len(rows)} questions in {seconds:.0f} s")
    return path


def cap_of(condition: Condition) -> int:
    """The cap of a condition's answers in tokens."""
    return TOKEN_CAP if condition.cap is None else condition.cap


def sampled_subset(rows: list[dict]) -> list[dict]:
    """The first questions of each type, one room after another: what is asked eight times over."""
    return first_of_types(rows, SAMPLED_PER_TYPE)


def answers_path(condition: Condition, folder: Path) -> Path:
    """Where a condition's answers are, or will be."""
    return folder / "answers" / f"{condition.name}.jsonl.gz"


def questions_path(name: str, folder: Path) -> Path:
    """Where a question set's rows are, or will be."""
    return folder / "questions" / f"{name}.jsonl.gz"


def pairs_path(folder: Path, dataset: str = "arkitscenes") -> Path:
    """Where the distances of the pairs of a data set's released geometry are, or will be."""
    return folder / "labels" / f"{dataset}.jsonl"


def write_lines(path: Path, lines: Iterable[dict]) -> None:
    """Write gzipped JSON lines beside, then rename: a file that exists is whole. Same lines, same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    replace(path, lambda beside: beside.write_bytes(gzip.compress(text.encode(), mtime=0)))


def sweep(folder: Path) -> None:
    """Remove what kills left half-written of questions and answers; for whoever holds the study's lock."""
    for part in ("answers", "questions"):
        for left in (folder / part).glob(".*.jsonl.gz.*"):
            left.unlink(missing_ok=True)


def _note(folder: Path, entry: dict, loaded) -> None:
    """Append how a condition's answers were made."""
    made = {
        "loaded": loaded.description.replace(f"{folder}{os.sep}", ""),  # an adapter's place within the study
        "git": git_at_start(),
        "hardware": hardware(),
    }
    with (folder / "manifest.jsonl").open("a", encoding="utf-8") as manifest:
        manifest.write(json.dumps({**entry, **made}) + "\n")


def base_identity(model: str = MINI) -> dict:
    """Name and hash of the checkpoint that a profile calls `model`, the miniature by default.

    Raises:
        FileNotFoundError: it ships with the kit, and its files are not there.
    """
    return _identity(checkpoint_of(model))


@cache
def _identity(checkpoint: Path | str) -> dict:
    """Weights are read once a process."""
    return checkpoint_identity(checkpoint)


def manifest_entries(folder: Path) -> dict[str, dict]:
    """How each condition's answers were made, by the condition's name: its last entry in the manifest."""
    return {entry["name"]: entry for entry in read_journal(folder / "manifest.jsonl") if "name" in entry}


def why_stale(condition: Condition, folder: Path, entries: dict[str, dict]) -> str | None:
    """Why answers that are there may not stand for those of today: another token cap or checkpoint, or nobody knows.

    Returns:
        The file, what differs with both values, and the remedies; None where the answers may stay.
    """
    path, entry = answers_path(condition, folder), entries.get(condition.name)
    remedy = f"give another --out, or remove {path} to have it asked again"
    if entry is None:
        return f"{path} has no entry in {folder / 'manifest.jsonl'}, so how it was made is not known; {remedy}"
    if (then := entry.get("token_cap")) != (today := cap_of(condition)):
        return f"{path}: token_cap was {then} and is {today} today; {remedy}"
    told = identity_differs(entry.get("base"), base_identity(model_of(condition.model)))
    return told and f"{path}: base {told}; {remedy}"


def save_questions(questions: QuestionSet, folder: Path) -> None:
    """Keep the rows beside the answers, so that anyone can score them again without a model.

    Raises:
        ValueError: the folder keeps other rows under the set's name; answers to these would be scored by those.
    """
    path = questions_path(questions.name, folder)
    if not path.exists():
        write_lines(path, questions.rows)
        return
    kept, asked = read_lines(path), json.loads(json.dumps(questions.rows))  # as they would come back
    for then, now in zip_longest(kept, asked, fillvalue={}):
        if then != now:
            field = next(n for n in {**then, **now} if then.get(n, "nothing") != now.get(n, "nothing"))
            was, is_now = (row.get(field, "nothing") for row in (then, now))
            raise ValueError(
                f"{path}: row {(now or then)['id']} differs from what would be asked today: {field} is {was!r} there, "
                f"{is_now!r} today; give another --out (or the geometry file of then, if the rooms are real), or "
                f"remove {path} and {folder}/answers/{questions.name}--*"
            )


# -- reading back ------------------------------------------------------------------------------------------------------


def reference_runs() -> Path:
    """The shipped study."""
    return data_samples("reference_runs")


def read_answers(condition: Condition, folder: Path | None = None, sample: int = 0) -> list[dict]:
    """Rows of a condition with `prediction` and `truncated`, from the shipped study or a folder of your own."""
    folder = folder or reference_runs()
    path = answers_path(condition, folder)
    if not path.exists():
        there = ", ".join(sorted(p.name.split(".jsonl")[0] for p in path.parent.glob("*.gz"))) or "nothing"
        raise FileNotFoundError(f"no answers {condition.name} in {folder}; it holds {there}")
    rows, lines = _asked(condition, folder), _said(condition, path)
    if condition.samples and len(lines) < len(rows):
        rows = sampled_subset(rows)
    by_id = {row["id"]: row for row in rows}
    _check_one_each([line["id"] for line in lines], by_id, path)
    return [
        {**by_id[line["id"]], "prediction": line["said"][sample], "truncated": line["cut"][sample]} for line in lines
    ]


def _asked(condition: Condition, folder: Path) -> list[dict]:
    """The questions of a condition whose answers are there."""
    path = questions_path(condition.questions, folder)
    if not path.exists():
        raise Damaged(f"{path} is missing, and {answers_path(condition, folder)} answers it; restore it from a copy")
    return marshal.loads(_questions(path, held_now(path)))


def held_now(path: Path) -> str | None:
    """The hash of what a file holds, to keep under it what was made of the file; None where there is none."""
    with reading(path):
        return file_hash(path) if path.is_file() else None


@lru_cache(maxsize=32)
def _questions(path: Path, _held: str | None) -> bytes:
    """A file's questions, read once as long as it holds the same; packed, so that no two callers share rows."""
    return marshal.dumps(read_gzip_lines(path, {"id": (str, int), "question_type?": str, "scene_name?": str}))


def _said(condition: Condition, path: Path) -> list[dict]:
    """The lines of an answers file, each with as many texts as were drawn."""
    lines, draws = read_gzip_lines(path, {"id": (str, int), "said": list, "cut": list}), max(1, condition.samples)
    for number, line in enumerate(lines, start=1):
        texts = [text for text in line["said"] if isinstance(text, str)]
        if not len(texts) == len(line["said"]) == len(line["cut"]) == draws:
            raise Damaged(f"{path}, line {number}: {draws} texts are due under 'said' and 'cut'; {_HAVE_MADE}")
    return lines


def _check_one_each(ids: list, asked: dict, path: Path) -> None:
    """Every question has one answer, and no other is there: a score over some of them would be another score."""
    missing, strange = asked.keys() - set(ids), set(ids) - asked.keys()
    if missing or strange or len(ids) != len(asked):
        twice = {i for i in ids if ids.count(i) > 1} if not missing and not strange else set()
        what, odd = next((w, o) for w, o in (("none to", missing), ("one to", strange), ("two to", twice)) if o)
        raise Damaged(
            f"{path}: {len(ids)} answers for {len(asked)} questions, {what} {min(map(str, odd))}; the answers or the "
            f"questions were cut or changed: {_HAVE_MADE}"
        )


_HAVE_MADE = "restore them from a copy, or remove the answers and have them made again"


def read_samples(condition: Condition, folder: Path | None = None) -> list[list[dict]]:
    """Every draw of a sampled condition, one list of predicted rows for each draw."""
    return [read_answers(condition, folder, k) for k in range(condition.samples)]


def read_lines(path: Path) -> list[dict]:
    """Rows of a gzipped file of JSON lines; `Damaged`, naming the file, where it was cut or changed."""
    return read_gzip_lines(path)
