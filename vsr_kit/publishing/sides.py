"""The two sides of a gap between scores: their answers, what is known of how they came about, and what differs.

A side is a run folder of `vsr eval`, or a file of answers of this kit, of lmms-eval or of VLMEvalKit. A run records its
settings, weights and packages; a file of another harness records few of them, and what that harness does unless told
otherwise is given as its default. Questions of two sides are paired by their ids, or by scene and wording where one
side has numbered them anew.
Left out: the account in points, which gap.py makes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vsr_kit.evaluation import HARNESSES, score_row
from vsr_kit.inspection.sources import read_answer_file
from vsr_kit.prompts import user_text
from vsr_kit.prompts.templates import MODES, VSI_BENCH_MODE
from vsr_kit.publishing.card import recorded_packages
from vsr_kit.questions import NUMERIC_TYPES, QUESTION_TYPES
from vsr_kit.runs import RunFolder
from vsr_kit.runs.reading import flat_settings
from vsr_kit.validation import one_line, one_of

UNKNOWN = "unknown"
# What the other harnesses do unless told otherwise; a file of answers does not record it.
_DEFAULTS = {
    "lmms-eval": {"mode": "vsi-bench", "max_new_tokens": "16 by default"},
    "vlmevalkit": {"mode": "prompts of its own", "frames": "its nframe, in one sampling with the last frame besides"},
}
_FIRST: tuple[str, ...] = (
    "model",
    "base sha256",
    "adapter",
    "adapter sha256",
    "quantize",
    "dtype",
    "device",
    "mode",
    "clip",
    "frames",
)
_FIRST += ("size", "pixels", "fps", "clips sha256", "max_new_tokens", "temperature", "samples", "seed", "harness")
_NOT_TOLD = ("name", "rows sha256", "use")


@dataclass(frozen=True)
class Side:
    """One of two scores: its answers, and what is known of how they came about.

    Attributes:
        name: the folder's or file's.
        kind: `run`, `lmms-eval`, `vlmevalkit` or `rows`.
        rows: with `prediction`, one a question.
        harness: one of ours, by which its answers are read.
        settings: what is recorded, flat; texts and numbers.
        recorded: whether every row has a `recorded_score` of another program.
    """

    name: str
    kind: str
    rows: Sequence[Mapping]
    harness: str
    settings: Mapping[str, object] = field(default_factory=dict)
    recorded: bool = False

    @property
    def reader(self) -> str:
        """What reads its answers, in words."""
        return f"its own scores, nearest {self.harness}" if self.recorded else self.harness


def short(value: object, most: int = 100) -> str:
    """A value in one line that a terminal does not obey, cut where it is long."""
    text = one_line(value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
    return text if len(text) <= most else text[: most - 1] + "…"


def read_side(source: str | Path, harness: str | None = None) -> Side:
    """A side from a run folder of `vsr eval` or from a file of answers, of this kit or another harness.

    Args:
        source: the folder or the file.
        harness: one of ours by which to read the answers, whatever the file records of their scores; by default the
            run's own, or the file's kind's.

    Raises:
        ValueError: a run without answers, several answers to one question, or rows that no reading knows.
        FileNotFoundError: there is nothing.
    """
    path = Path(source)
    one_of("harness", harness, (None, *HARNESSES))
    side = _of_run(path) if path.is_dir() else _of_file(path)
    for row in side.rows:
        _check(row, path)
    counted = Counter(_by_id(row) for row in side.rows)
    if counted and (most := counted.most_common(1)[0])[1] > 1:
        rule = "an account needs one answer a question; evaluate with --samples 1"
        raise ValueError(f"{path}: question {most[0][-1]!r} has {most[1]} answers: {rule}")
    recorded = side.recorded and harness is None
    found = harness or (_nearest(side.rows) if recorded else str(side.settings.get("harness", UNKNOWN)))
    found = found if found in HARNESSES else {"lmms-eval": "lmms-eval"}.get(side.kind, "official")
    settings = {**side.settings, "harness": Side("", side.kind, (), found, recorded=recorded).reader}
    return Side(side.name, side.kind, side.rows, found, settings, recorded)


def _check(row: Mapping, path: Path) -> None:
    """Complain of a row that no reading here can score."""
    if (kind := row.get("question_type")) not in QUESTION_TYPES:
        told = short(kind or "missing")
        raise ValueError(f"{path}: question {row.get('id')!r} is of the type {told}, which no reading here knows")
    for name in ("question", "ground_truth", "prediction"):
        if not isinstance(row.get(name), str):
            raise ValueError(f"{path}: question {row.get('id')!r} has no text in {name!r}, so it cannot be compared")
    if kind in NUMERIC_TYPES:
        with suppress(ValueError):
            if float(row["ground_truth"]) > 0:
                return
        found = short(row["ground_truth"])
        raise ValueError(f"{path}: the truth of question {row.get('id')!r} is {found}, must be a number above 0")


def _of_run(path: Path) -> Side:
    run = RunFolder.open(path)
    rows = run.read_predictions()
    if not rows:
        raise ValueError(f"{path} holds no answers: name the run folder of an evaluation (vsr eval)")
    settings = {k: v for k, v in flat_settings(run).items() if k not in _NOT_TOLD}
    settings |= {k: v for k, v in run.identity.items() if k not in _NOT_TOLD} | {"seed": run.seed}
    versions = run.versions
    settings |= {f"{name} version": version for name, version in recorded_packages(run).items()}
    settings["device"] = ", ".join(versions["hardware"].get("cuda") or []) or "cpu"
    return Side(path.name, "run", rows, UNKNOWN, settings)


def _of_file(path: Path) -> Side:
    rows = read_answer_file(path)
    kind = "vlmevalkit" if path.suffix in (".csv", ".tsv", ".xlsx") else "rows"
    kind = "lmms-eval" if kind == "rows" and _is_sample(path) else kind
    recorded = bool(rows) and all(row["recorded_score"] is not None for row in rows)
    settings: dict[str, object] = dict(_DEFAULTS.get(kind, {}))
    modes = {row["mode"] for row in rows if isinstance(row.get("mode"), str)}
    if len(modes) == 1:
        settings["mode"] = modes.pop()
    return Side(path.name, kind, rows, UNKNOWN, settings, recorded)


def _is_sample(path: Path) -> bool:
    with path.open("rb") as stream:
        head = stream.readline(1 << 16)
    return b'"filtered_resps"' in head or b'"resps"' in head


def _nearest(rows: Sequence[Mapping]) -> str:
    """Our reading whose scores lie closest to those recorded."""
    far = {
        name: sum(abs(row["recorded_score"] - score_row(row, row["prediction"], name).value) for row in rows)
        for name in ("lmms-eval", "official", "lenient")
    }
    return min(far, key=lambda name: far[name])


# -- which rows are the same -------------------------------------------------------------------------------------------

Key = Callable[[Mapping], Hashable]


def _by_id(row: Mapping) -> tuple:
    return str(row.get("dataset") or ""), str(row.get("scene_name") or ""), str(row.get("id"))


def _by_wording(row: Mapping) -> tuple:
    return str(row.get("scene_name") or ""), str(row.get("question")), tuple(row.get("options") or ())


def pair_rows(a: Sequence[Mapping], b: Sequence[Mapping]) -> list[tuple[Mapping, Mapping]]:
    """Rows of one question on both sides, by the key that finds the most of them in one wording.

    Data set, scene and id together count even where the wording differs; an id alone does not.
    """
    keys: tuple[Key, ...] = (_by_id, lambda row: str(row.get("id")), _by_wording)
    best: list[tuple[Mapping, Mapping]] = []
    most = 0.0
    for key in keys:
        theirs = _unique(b, key)
        found = [(row, theirs[name]) for name, row in _unique(a, key).items() if name in theirs]
        alike = float(sum(one["question"] == other["question"] for one, other in found))
        if key is _by_id and all(row.get("dataset") and row.get("scene_name") for row, _ in found):
            alike += 1e-3 * len(found)
        if alike > most:
            best, most = found, alike
    return best


def _unique(rows: Sequence[Mapping], key: Key) -> dict[Hashable, Mapping]:
    counted = Counter(key(row) for row in rows)
    return {key(row): row for row in rows if counted[key(row)] == 1}


# -- what was done differently -----------------------------------------------------------------------------------------


def differing_settings(a: Side, b: Side, common: tuple[list, list]) -> tuple[tuple[str, str, str], ...]:
    """(what, on A's side, on B's side): prompts, then settings that differ or that one side alone records.

    common: the questions of both, in pairs.
    """
    told: list[tuple[str, str, str]] = []
    names = list(dict.fromkeys([*_FIRST, *a.settings, *b.settings]))
    runs = a.kind == b.kind == "run"
    for name in names:
        one, other = a.settings.get(name), b.settings.get(name)
        if one == other and (one is not None) == (other is not None):
            continue
        if not runs and name not in _FIRST:  # a file of another harness records none of a run's other settings
            continue
        told.append((name, _told(a.settings, name), _told(b.settings, name)))
    return (*_prompts(a, b, common), *told)


def _told(settings: Mapping, name: str) -> str:
    return short(settings[name]) if name in settings else UNKNOWN


def _prompts(a: Side, b: Side, common: tuple[list, list]) -> list[tuple[str, str, str]]:
    """The first common question that is put in other words on the two sides, and how many are."""
    texts = [[_prompt(side, row) for row in rows] for side, rows in zip((a, b), common, strict=True)]
    known = [(one, other) for one, other in zip(*texts, strict=True) if one is not None and other is not None]
    differing = [(one, other) for one, other in known if one.split() != other.split()]
    if not differing:
        return []
    one, other = differing[0]
    at = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), min(len(one), len(other)))
    begin = max(0, at - 20)
    return [(f"prompt of {len(differing)} of {len(known)} questions", _cut(one, begin), _cut(other, begin))]


def _cut(text: str, begin: int) -> str:
    return short(("…" if begin else "") + text[begin:], 90)


def _prompt(side: Side, row: Mapping) -> str | None:
    """The text that a question was asked with: as the file keeps it, or as the recorded mode writes it."""
    if isinstance(row.get("input"), str):
        return row["input"]
    mode = row.get("mode") or side.settings.get("mode")
    if mode not in (*MODES, VSI_BENCH_MODE):
        return None
    try:
        return user_text(row, str(mode))
    except ValueError:
        return None
