"""Reading completions into a `RolloutTable`: run folders, TRL's logged completions, samples of other harnesses.

A run folder has rollouts or, after an evaluation, predictions. TRL writes `completions/completions_00010.parquet` where
`log_completions` is set, which holds prompts and no questions: a prompt's last turn stands for the question, and there
is no truth to read an answer by. lmms-eval writes `…_samples_….jsonl`, whose `doc` is VSI-Bench's row; VLMEvalKit
writes a table of questions with a column `prediction` (CSV, TSV, or XLSX, for which pandas wants openpyxl).
Left out: other benchmarks' scores; what is no VSI-Bench row is shown as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from vsr_kit.evaluation.scorers import read_predictions
from vsr_kit.files import check_seal, read_lines
from vsr_kit.inspection.table import RolloutTable
from vsr_kit.runs import RunFolder
from vsr_kit.runs.reading import RecordedRun

# VLMEvalKit's names and ours.
_COLUMNS = {"index": "id", "answer": "ground_truth", "category": "question_type", "candidates": "options"}
_COLUMNS |= {"type": "question_type", "video": "scene_name"}


def read_rollout_table(source: RecordedRun | str | Path | Sequence[Mapping], name: str = "") -> RolloutTable:
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
    if isinstance(source, RecordedRun):
        return _of_run(source, name)
    if not isinstance(source, (str, Path)):
        return RolloutTable(source, name or "rows")
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


def _of_run(run: RecordedRun, name: str) -> RolloutTable:
    settings = run.config["config"]
    mode = settings.get("mode") if isinstance(settings, dict) else None
    rows = run.read_rollouts() or run.read_predictions()
    return RolloutTable(rows, name or run.path.name, mode if mode in ("think", "observe", "vanilla") else "think")


def _of_trl(files: Sequence[Path]) -> pd.DataFrame:
    frames = [pd.read_parquet(file) for file in files]
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
    turns = [_content(turn["content"]) for turn in value if isinstance(turn, Mapping) and "content" in turn]
    return turns[-1] if last and turns else "\n".join(turns)


def _content(content: Any) -> str:
    if isinstance(content, str):
        return content
    blocks = [block for block in content if isinstance(block, Mapping)]
    return "\n".join(str(block["text"]) for block in blocks if block.get("text"))


def _of_file(path: Path) -> Sequence[Mapping] | pd.DataFrame:
    if path.suffix in (".csv", ".tsv", ".xlsx"):
        return _of_vlmevalkit(path)
    if path.suffix == ".jsonl" and (first := next(iter(read_lines(path)), None)) and "doc" in first:
        return [_of_lmms_eval(path, i, line) for i, line in enumerate(read_lines(check_seal(path)), 1)]
    return read_predictions(path)


def _of_lmms_eval(path: Path, number: int, line: Mapping) -> dict:
    """VSI-Bench's row with what the model wrote, before a filter cut it where that is kept."""
    said: Any = line.get("resps") or line.get("filtered_resps")
    while isinstance(said, list) and said:
        said = said[0]
    if not isinstance(said, str) or not isinstance(line["doc"], Mapping):
        rule = "it needs `doc` with the question, and text in `resps` or `filtered_resps`"
        raise ValueError(f"{path}, line {number} is no sample of lmms-eval: {rule}")
    row = {"id": line.get("doc_id", number), "ground_truth": line.get("target"), **line["doc"]}
    return row | {"prediction": said}


def _of_vlmevalkit(path: Path) -> pd.DataFrame:
    if path.suffix == ".xlsx":
        frame = pd.read_excel(path)
    else:
        frame = pd.read_csv(path, sep="," if path.suffix == ".csv" else "\t")
    if "prediction" not in frame:
        raise ValueError(f"{path} has the columns {', '.join(map(str, frame.columns))}: `prediction` is missing")
    frame = frame.rename(columns={old: new for old, new in _COLUMNS.items() if old in frame and new not in frame})
    if "options" in frame:
        frame["options"] = [_options(value) for value in frame["options"]]
    frame["prediction"] = frame["prediction"].where(frame["prediction"].notna(), "").astype(str)
    return frame


def _options(value: Any) -> list[str] | None:
    """Options as a list; a table has them as JSON, or as Python writes a list."""
    if not isinstance(value, str):
        return None
    try:
        found = json.loads(value.replace("'", '"'))
    except json.JSONDecodeError:
        return None
    return [str(option) for option in found] if isinstance(found, list) and found else None
