"""Reading a file of predictions: one JSON object a line, VSI-Bench's fields and `prediction`.

A line that breaks a rule stops the reading and is named: a score over the lines that happened to be well formed would
be the score of another set of questions.
Several answers to one question tell themselves apart by a field `sample`.
Left out: other formats.
"""

from __future__ import annotations

import json
from pathlib import Path

from vsr_kit.data import check_row
from vsr_kit.questions import NUMERIC_TYPES


def read_predictions(path: str | Path) -> list[dict]:
    """Read rows with VSI-Bench's fields plus `prediction` from a JSONL file.

    Raises:
        ValueError: naming line, field, rule and remedy of the first line that breaks one; also for an empty file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"no file {path}: give a JSONL file of VSI-Bench rows with 'prediction'")
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")  # bytes: text may hold other line breaks
    if not lines[-1].strip():
        lines.pop()
    if not lines:
        raise ValueError(f"{path}: is empty; a line for each prediction is needed")
    rows, seen = [], {}
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number}"
        row = _checked(_parsed(line, where), where)
        key = (row["dataset"], json.dumps([row["id"], row.get("sample")]))
        if key in seen:
            rule = "give a question one row, or number its rows in a field 'sample'"
            raise ValueError(f"{where}: field 'id' {row['id']!r} is line {seen[key]}'s, too; {rule}")
        seen[key] = number
        rows.append(row)
    return rows


def _parsed(line: bytes, where: str) -> object:
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}: is not UTF-8 ({error}); save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: is not JSON ({error}); write one object a line") from None


def _checked(record: object, where: str) -> dict:
    row = check_row(record, where)
    if not isinstance(row.get("prediction"), str):
        found = "missing" if "prediction" not in row else repr(row["prediction"])
        raise ValueError(f"{where}: field 'prediction' is {found}, must be the text the model wrote, such as \"3\"")
    if row["question_type"] in NUMERIC_TYPES and float(row["ground_truth"]) <= 0:
        rule = "must be above 0, since the metric divides by it"
        raise ValueError(f"{where}: field 'ground_truth' is {row['ground_truth']!r}, {rule}; correct or remove the row")
    return row
