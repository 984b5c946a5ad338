"""The study: which questions are asked of which model how, and where the answers are kept.

A condition is one pass over one set of questions: a model (the base or a trained seed), a prompt mode, a decoding, and
the clip shown (the room's own, another room's, or none). Its answers go into one small file under `reference_runs/`,
beside a manifest that says with what they were made; a condition whose file exists is not run again, so the study goes
on where a kill stopped it. Nothing is scored here: every table and verdict is computed from these files.
Left out: the claims that need more than base and GRPO runs.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from vsr_kit.asking import other_clips
from vsr_kit.data import film, make_rows, split_rooms
from vsr_kit.provenance import checkpoint_identity, git_state, hardware
from vsr_kit.questions import TRAINED_TYPES
from vsr_kit.rooms import Room, read_geometry
from vsr_kit.shipped import data_samples

TEST_ROOMS, VAL_ROOMS, TRAIN_ROOMS = 120, 120, 400
PER_TYPE_AND_ROOM = 2
TOKEN_CAP = 96  # one cap for every mode: generous for a number, enough for nearly every chain
SAMPLES = 8
SAMPLED_PER_TYPE = 40
SEEDS = (1, 2, 3)
TUNING_SEED = 0  # left out of every result
CLIPS = ("own", "wrong", "none")


@dataclass(frozen=True)
class QuestionSet:
    """Rows, and the frames of the rooms they are about (scene_name to uint8 (F, H, W, 3))."""

    name: str
    rows: list[dict]
    clips: dict[str, np.ndarray]


@dataclass(frozen=True)
class Condition:
    """One pass over one question set.

    Attributes:
        questions: name of the question set.
        model: `base`, or the name of a training run.
        mode: vanilla, think or observe; always with the paper's evaluation prompt.
        samples: 0 decodes greedily, else so many draws at temperature 1.
        clip: `own`, `wrong` or `none`.
    """

    questions: str
    model: str = "base"
    mode: str = "vanilla"
    samples: int = 0
    clip: str = "own"

    @property
    def name(self) -> str:
        """File name of the answers."""
        decode = f"sampled{self.samples}" if self.samples else "greedy"
        return f"{self.questions}--{self.model}--{self.mode}--{decode}--{self.clip}"


def procedural_questions(split: str, phrasing: str, seed: int = 0) -> QuestionSet:
    """The study's questions about a split's rooms: the eight trained types, so many of each type and room."""
    count = {"train": TRAIN_ROOMS, "val": VAL_ROOMS, "test": TEST_ROOMS}[split]
    return question_set(f"{split}-{phrasing}", split_rooms(count, split), phrasing, seed)


def arkitscenes_questions(geometry: str | Path) -> QuestionSet:
    """The same types about the 150 real rooms of VSI-Bench's released ARKitScenes geometry."""
    return question_set("arkitscenes-vsi-bench", list(read_geometry(geometry).rooms), "vsi-bench", seed=0)


def question_set(name: str, rooms: list[Room], phrasing: str, seed: int) -> QuestionSet:
    """Film the rooms and ask what their clips show."""
    filmed = {room.name: film(room) for room in rooms}
    rows = make_rows(rooms, phrasing, seed, TRAINED_TYPES, filmed, max_per_type=PER_TYPE_AND_ROOM)
    return QuestionSet(name, rows, {scene: clip.frames_FHW3 for scene, clip in filmed.items()})


def base_conditions(bench: str = "test-vsi-bench", words: str = "test-vsi-100k") -> list[Condition]:
    """Everything that is asked of the untrained model."""
    modes = ("vanilla", "think", "observe")
    greedy = [Condition(bench, mode=mode) for mode in modes]
    sampled = [Condition(bench, mode=mode, samples=SAMPLES) for mode in modes]
    blind = [Condition(bench, clip=clip) for clip in ("wrong", "none")]
    return [*greedy, *blind, Condition(words), Condition(words, clip="wrong"), *sampled]


def trained_conditions(model: str, bench: str = "test-vsi-bench", words: str = "test-vsi-100k") -> list[Condition]:
    """Everything that is asked of a model trained with vanilla prompts."""
    return [Condition(q, model, clip=clip) for q in (bench, words) for clip in ("own", "wrong")]


def answer(
    condition: Condition, questions: QuestionSet, loaded, folder: Path, log: Callable[[str], None] = print
) -> Path:
    """Run one condition unless its answers are there; write them, and its entry in the manifest."""
    from vsr_kit.generation import generate

    path = folder / "answers" / f"{condition.name}.jsonl"
    if path.exists():
        return path
    rows, clips = questions.rows, shown_clips(questions, condition.clip)
    if condition.samples:
        rows = sampled_subset(rows)
    began = time.monotonic()
    said = generate(
        loaded,
        rows,
        clips,
        condition.mode,
        "eval",
        max_new_tokens=TOKEN_CAP,
        temperature=1.0 if condition.samples else 0.0,
        num_samples=max(1, condition.samples),
        seed=17,
    )
    seconds = time.monotonic() - began
    lines = [
        {"id": row["id"], "said": [g.text for g in group], "cut": [g.truncated for g in group]}
        for row, group in zip(rows, said, strict=True)
    ]
    write_lines(path, lines)
    _note(
        folder, {**asdict(condition), "name": condition.name, "rows": len(rows), "seconds": round(seconds, 1)}, loaded
    )
    log(f"{condition.name}: {len(rows)} questions in {seconds:.0f} s")
    return path


def sampled_subset(rows: list[dict]) -> list[dict]:
    """The first questions of each type, one room after another: what is asked eight times over."""
    taken: dict[str, list[dict]] = {}
    for row in rows:
        taken.setdefault(row["question_type"], []).append(row)
    return [row for kind in taken.values() for row in kind[:SAMPLED_PER_TYPE]]


def shown_clips(questions: QuestionSet, which: str) -> dict[str, np.ndarray] | None:
    """What every room is shown: its own clip, another room's (always the same one, as `vsr eval` picks it), or None.

    Raises:
        ValueError: for another word than `own`, `wrong` and `none`, or for `wrong` with fewer than two rooms.
    """
    if which not in CLIPS:
        raise ValueError(f"clip is {which!r}: choose one of {', '.join(CLIPS)}")
    if which == "none":
        return None
    return questions.clips if which == "own" else other_clips(questions.clips)


def write_lines(path: Path, lines: Iterable[dict]) -> None:
    """Write JSON lines beside, then rename: a file that exists is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.with_suffix(".tmp").write_text(text, encoding="utf-8")
    path.with_suffix(".tmp").replace(path)


def _note(folder: Path, entry: dict, loaded) -> None:
    """Append how a condition's answers were made."""
    made = {
        "token_cap": TOKEN_CAP,
        "loaded": loaded.description.replace(f"{folder}{os.sep}", ""),  # an adapter's place within the study
        "base": checkpoint_identity(data_samples("mini-qwen2-vl")),
        "git": git_state(),
        "hardware": hardware(),
    }
    with (folder / "manifest.jsonl").open("a", encoding="utf-8") as manifest:
        manifest.write(json.dumps({**entry, **made}) + "\n")


def save_questions(questions: QuestionSet, folder: Path) -> None:
    """Keep the rows beside the answers, so that anyone can score them again without a model."""
    path = folder / "questions" / f"{questions.name}.jsonl"
    if not path.exists():
        write_lines(path, questions.rows)


# -- training ----------------------------------------------------------------------------------------------------------


def run_name(seed: int) -> str:
    """Folder and model name of a seed's vanilla GRPO run."""
    return f"grpo-vanilla-seed{seed}"


def train_seed(questions: QuestionSet, seed: int, folder: Path, scratch: Path, **changes):
    """Train the miniature with vanilla prompts, unless its run is in `folder`; keep what the course shows of it.

    `changes` are fields of the profile, for tuning; a tuned run keeps them in its config.
    """
    from vsr_kit.profiles import get_profile
    from vsr_kit.runs import RunFolder
    from vsr_kit.training import train

    kept = folder / run_name(seed)
    if (kept / "adapter").exists():
        return kept
    profile = replace(get_profile("mini"), **changes)
    settings = {**asdict(profile), "mode": "vanilla", "questions": questions.name, "rows": len(questions.rows)}
    run = RunFolder.create(run_name(seed), settings, seed=seed, root=scratch, checkpoint=data_samples("mini-qwen2-vl"))
    trained = train(profile, "vanilla", questions.rows, questions.clips, run, seed, quiet=True)
    run.summarise(headline={"steps": trained.steps, "training seconds": round(trained.seconds, 1)})
    run.finish()
    kept.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "versions.json", "metrics.jsonl", "summary.json", "rollouts.parquet"):
        shutil.copy2(run.path / name, kept / name)
    shutil.copytree(run.adapter, kept / "adapter", ignore=shutil.ignore_patterns("README.md"))  # it names local paths
    return kept


def load_trained(seed: int, folder: Path | None = None):
    """The miniature with a shipped (or your own) run's adapter, nf4 as it was trained."""
    from vsr_kit.models import load_model

    return load_model(
        "mini", quantize="nf4", adapter=(folder or reference_runs()) / run_name(seed) / "adapter", quiet=True
    )


# -- reading back ------------------------------------------------------------------------------------------------------


def reference_runs() -> Path:
    """The shipped study."""
    return data_samples("reference_runs")


def read_answers(condition: Condition, folder: Path | None = None, sample: int = 0) -> list[dict]:
    """Rows of a condition with `prediction` and `truncated`, from the shipped study or a folder of your own."""
    folder = folder or reference_runs()
    path = folder / "answers" / f"{condition.name}.jsonl"
    if not path.exists():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.jsonl"))) or "nothing"
        raise FileNotFoundError(f"no answers {path.stem} in {folder}; it holds {there}")
    rows = {row["id"]: row for row in _read_lines(folder / "questions" / f"{condition.questions}.jsonl")}
    return [
        {**rows[line["id"]], "prediction": line["said"][sample], "truncated": line["cut"][sample]}
        for line in _read_lines(path)
    ]


def read_samples(condition: Condition, folder: Path | None = None) -> list[list[dict]]:
    """Every draw of a sampled condition, one list of predicted rows for each draw."""
    return [read_answers(condition, folder, k) for k in range(condition.samples)]


def _read_lines(path: Path) -> list[dict]:
    lines = path.read_bytes().split(b"\n")  # bytes: what a model said may hold other line breaks, such as U+2028
    return [json.loads(line) for line in lines if line]
