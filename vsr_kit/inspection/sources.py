"""Reading completions into a `RolloutTable`: run folders, TRL's logged completions, samples of other harnesses.

A run folder has rollouts or, after an evaluation, predictions. TRL writes `completions/completions_00010.parquet` where
`log_completions` is set, which holds prompts and no questions: a prompt's last turn stands for the question, and there
is no truth to read an answer by. lmms-eval writes `…_samples_….jsonl`: VSI-Bench's row is its `doc` in some versions,
and the value of its metric `vsibench_score` in those that leave `doc` out; VLMEvalKit writes a table of questions with
a column `prediction` (CSV, TSV, or XLSX, for which pandas wants openpyxl). What such a file says that an answer scored
is kept as `recorded_score`.
Left out: other benchmarks' scores; what is no VSI-Bench row is shown as it is.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from vsr_kit.data import read_records
from vsr_kit.evaluation.scorers import read_predictions
from vsr_kit.files import reading
from vsr_kit.inspection.table import RolloutTable
from vsr_kit.inspection.tokens import recorded_tokens
from vsr_kit.runs import RunFolder
from vsr_kit.runs.reading import RecordedRun

# VLMEvalKit's names and ours.
_COLUMNS = {"index": "id", "answer": "ground_truth", "category": "question_type", "candidates": "options"}
_COLUMNS |= {"type": "question_type", "video": "scene_name", "prefix": "dataset", "score": "recorded_score"}
_METRICS = ("accuracy", "MRA:.5:.95:.05")  # as lmms-eval's task of VSI-Bench calls a row's score


Source: TypeAlias = RolloutTable | RecordedRun | str | Path | pd.DataFrame | Sequence[Mapping]


def read_rollout_table(source: Source, name: str = "") -> RolloutTable:
    """Completions of a run, or of a file of answers, as a table.

    Args:
        source: a run folder or its path; a folder of TRL's `completions`, or the training's that has one; a file of
            answers: JSON lines of VSI-Bench rows with `prediction`, lmms-eval's samples, VLMEvalKit's CSV, TSV or XLSX;
            or rows.
        name: what the table is called; the folder's or the file's name by default.

    Raises:
        FileNotFoundError: there is nothing at the path.
        ValueError: nothing is recorded there, or it is none of these.
    """
    if isinstance(source, RolloutTable):
        return source
    if isinstance(source, RecordedRun):
        return _of_run(source, name)
    if isinstance(source, (Sequence, pd.DataFrame)) and not isinstance(source, str):
        return RolloutTable(source, name or "rows")
    if not isinstance(source, (str, Path)):
        raise ValueError(f"source is {source!r}: give a run folder or its path, a file of answers, or rows")
    path = Path(source)
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: give a run folder, TRL's completions, or a file of answers")
    if path.is_file():
        return RolloutTable(_of_file(path), name or path.name)
    if (path / "config.json").is_file() and (path / "versions.json").is_file():
        return _of_run(RunFolder.open(path), name)
    logged = sorted([*path.glob("completions_*.parquet"), *path.glob("completions/completions_*.parquet")])
    if not logged:
        rule = "it needs config.json and versions.json, or TRL's completions_*.parquet"
        raise ValueError(f"{path} is neither a run folder nor a folder of completions: {rule}")
    return RolloutTable(_of_trl(logged), name or path.name)


def read_answer_file(path: str | Path) -> list[dict]:
    """Rows with `prediction` from a file of any harness that `read_rollout_table` reads, as plain dictionaries.

    Fields that a table leaves empty are None, and `recorded_score` is a number or None; raises as that does.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is no file: give a run folder, or a file of answers")
    found = _of_file(path)
    rows = found.to_dict("records") if isinstance(found, pd.DataFrame) else list(found)
    return [{**row, "recorded_score": _number(row.get("recorded_score"))} for row in rows]


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _of_run(run: RecordedRun, name: str) -> RolloutTable:
    settings = run.config["config"]
    mode = settings.get("mode") if isinstance(settings, dict) else None
    rollouts = run.read_rollouts()
    rows = rollouts or run.read_predictions()
    table = RolloutTable(rows, name or run.path.name, mode if mode in ("think", "observe", "vanilla") else "think")
    table.token_measures = recorded_tokens(run.read_tokens(), rollouts)
    return table


def _of_trl(files: Sequence[Path]) -> pd.DataFrame:
    frames = []
    for file in files:
        with reading(file):
            frames.append(pd.read_parquet(file))
    for file, each in zip(files, frames, strict=True):
        if missing := [column for column in ("prompt", "completion") if column not in each]:
            raise ValueError(f"{file} has no column {missing[0]!r}: it is none of TRL's logs of completions")
    frame = pd.concat(frames, ignore_index=True)
    frame["completion"] = [_turns(value) for value in frame["completion"]]
    frame["question"] = [_turns(value, last=True) for value in frame["prompt"]]
    return frame.drop(columns="prompt")


def _turns(value: Any, last: bool = False) -> str:
    """The text of a prompt or a completion: it is text, or turns whose content is text or blocks."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, float):  # none, as pandas has it
        return ""
    turns = [_content(turn["content"]) for turn in value if isinstance(turn, Mapping) and "content" in turn]
    return turns[-1] if last and turns else "\n".join(turns)


def _content(content: Any) -> str:
    if content is None or isinstance(content, str):  # a call of a tool says nothing
        return content or ""
    blocks = [block for block in content if isinstance(block, Mapping)]
    return "\n".join(str(block["text"]) for block in blocks if block.get("text"))


def _of_file(path: Path) -> Sequence[Mapping] | pd.DataFrame:
    if path.suffix in (".csv", ".tsv", ".xlsx"):
        return _of_vlmevalkit(path)
    if path.suffix == ".jsonl":
        lines = [record for _, record in read_records(path, "samples of lmms-eval, or rows with a prediction")]
        if lines and isinstance(lines[0], dict) and ("doc" in lines[0] or "filtered_resps" in lines[0]):
            return [row for number, line in enumerate(lines, 1) for row in _of_lmms_eval(path, number, line)]
    return read_predictions(path)


def _of_lmms_eval(path: Path, number: int, line: Any) -> list[dict]:
    """VSI-Bench's row with each text that the model wrote, before a filter cut it where that is kept."""
    said = _texts(line.get("resps") or line.get("filtered_resps")) if isinstance(line, Mapping) else []
    doc = _doc(line) if said else None
    if doc is None:
        rule = "it needs `doc` or `vsibench_score` with the question, and text in `resps` or `filtered_resps`"
        raise ValueError(f"{path}, line {number} is no sample of lmms-eval: {rule}")
    scored = {**doc, **line["vsibench_score"]} if isinstance(line.get("vsibench_score"), Mapping) else doc
    metric = next((scored[name] for name in _METRICS if scored.get(name) is not None), None)
    row = {"id": line.get("doc_id", number), "ground_truth": line.get("target")}
    row |= {name: value for name, value in doc.items() if name not in (*_METRICS, "prediction")}
    row |= {"input": line["input"]} if isinstance(line.get("input"), str) else {}
    row |= {"recorded_score": metric} if metric is not None and len(said) == 1 else {}
    return [row | {"prediction": text} for text in said]


def _doc(line: Mapping) -> Mapping | None:
    """The question of a sample: `doc`, or the metric that holds it where a version leaves `doc` out."""
    return next((line[name] for name in ("doc", "vsibench_score") if isinstance(line.get(name), Mapping)), None)


def _texts(said: Any) -> list[str]:
    """Texts, however deep lists of lists hold them."""
    if isinstance(said, list):
        return [text for part in said for text in _texts(part)]
    return [said] if isinstance(said, str) else []


def _of_vlmevalkit(path: Path) -> pd.DataFrame:
    as_text: dict[str, Any] = {"dtype": str, "keep_default_na": False}  # "NA" and "4.50" are what a model wrote
    with reading(path):
        if path.suffix == ".xlsx":
            frame = pd.read_excel(path, **as_text)
        else:
            frame = pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t", **as_text)
    if "prediction" not in frame:
        raise ValueError(f"{path} has the columns {', '.join(map(str, frame.columns))}: `prediction` is missing")
    for old, new in _COLUMNS.items():
        if old in frame and new not in frame:
            frame = frame.rename(columns={old: new})
    if "options" in frame:
        frame["options"] = pd.Series([_options(value) for value in frame["options"]], dtype=object)
    if "scene_name" in frame:  # a later loader names the file, arkitscenes/41069025.mp4
        places = [Path(name) for name in frame["scene_name"]]
        if "dataset" not in frame:
            frame["dataset"] = [place.parent.name for place in places]
        frame["scene_name"] = [
            place.stem if place.suffix == ".mp4" else name
            for place, name in zip(places, frame["scene_name"], strict=True)
        ]
    return frame


def _options(value: str) -> list[str] | None:
    """Options as a list; a table has them as JSON, or as Python writes a list."""
    found = None
    for read in (json.loads, ast.literal_eval):
        try:
            found = found or read(value)
        except (ValueError, SyntaxError):
            continue
    return [str(option) for option in found] if isinstance(found, list) and found else None
