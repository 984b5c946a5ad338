"""Reading predictions: records with VSI-Bench's fields and `prediction`, one JSON object a line or a table.

A record that breaks a rule stops the reading and is named: a score over the lines that happened to be well formed would
be the score of another set of questions. The rules are those of rows (`vsr_kit.data.checks`), so what `vsr eval` and
`vsr train` accept can be scored.
Several answers to one question tell themselves apart by a field `sample`. A study keeps answers without their
questions (`id`, `said`, `cut`); they are joined to the questions beside them.
Left out: other formats.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from vsr_kit.data import check_row, read_records, read_rows
from vsr_kit.strict import shown

_STUDY_LINE = {"id", "said"}


def read_predictions(path: str | Path) -> list[dict]:
    """Read rows with VSI-Bench's fields plus `prediction` from JSON lines, plain or gzipped, a pipe, or parquet.

    A study's `answers/NAME.jsonl.gz` is read with its `questions/`: each draw is a row with `sample`.

    Raises:
        ValueError: naming line, field, rule and remedy of the first line that breaks one; also for an empty file.
    """
    path = Path(path)
    records = list(read_records(path, "JSON lines of VSI-Bench rows with 'prediction'", blank_lines=False))
    if not records:
        raise ValueError(f"{path}: is empty; a line for each prediction is needed")
    first = records[0][1]
    if isinstance(first, dict) and first.keys() >= _STUDY_LINE and "question_type" not in first:
        records = list(_joined(records, path))
    return _checked(records)


def _checked(records: Iterable[tuple[str, object]]) -> list[dict]:
    rows, seen = [], {}
    for where, record in records:
        row = _checked_row(record, where)
        key = row["dataset"], str(row["id"]), json.dumps(row.get("sample"))
        if key in seen:
            rule = "give a question one row, or number its rows in a field 'sample'"
            raise ValueError(f"{where}: field 'id' {shown(row['id'])} is {seen[key]}'s, too; {rule}")
        seen[key] = where.rpartition(", ")[2]
        rows.append(row)
    return rows


def _checked_row(record: object, where: str) -> dict:
    asked = {k: v for k, v in record.items() if k != "prediction"} if isinstance(record, dict) else record
    row = check_row(asked, where)  # but for the prediction: a model may have written anything
    if not isinstance(record.get("prediction"), str):
        found = "missing" if "prediction" not in record else shown(record["prediction"])
        raise ValueError(f"{where}: field 'prediction' is {found}, must be the text the model wrote, such as \"3\"")
    return row | {"prediction": record["prediction"]}


def _joined(records: list[tuple[str, object]], path: Path) -> Iterator[tuple[str, object]]:
    """A study's answers with the fields of their questions; every draw is a row."""
    beside = path.absolute().parent.parent / "questions" / f"{path.name.split('--')[0]}.jsonl.gz"
    if "--" not in path.name or not beside.is_file():
        raise ValueError(
            f"{path}: holds a study's answers (id, said) without their questions: keep answers/NAME--….jsonl.gz and "
            "questions/NAME.jsonl.gz side by side, or give rows with VSI-Bench's fields and 'prediction'"
        )
    questions = {row["id"]: row for row in read_rows(beside)}
    for where, record in records:
        answers = record.get("said") if isinstance(record, dict) else None
        if not isinstance(answers, list) or record.get("id") not in questions:
            raise ValueError(f"{where}: is no answer to a question of {beside}; copy both files of the study again")
        for sample, said in enumerate(answers):
            yield where, {**questions[record["id"]], "sample": sample, "prediction": said}
