"""Answers written as lmms-eval and VLMEvalKit keep theirs, so that their scorers and viewers take them.

lmms-eval (`--log_samples`) keeps a line a question in `…_samples_vsibench.jsonl`: `doc_id`, `target`, `filtered_resps`
and, since its files leave the question itself out, a metric `vsibench_score` that is the question with prediction and
score. `doc` and `resps` are written as well, which older versions had and whatever reads them expects. VLMEvalKit keeps
a table, `MODEL_VSIBench.xlsx` (or `.tsv`, with PRED_FORMAT=tsv), whose columns carry the names of its data set: index,
id, prefix, video, type, question, candidates, answer, prediction; its later loader of VSI-Bench calls the type
question_type, so both are there. `vsr_kit.inspection.read_rollout_table` reads both back, and `vsr explain-gap` takes
either as a side.

The metric that lmms-eval's lines hold is computed here by its own reading (`score_row(…, "lmms-eval")`).
Left out: their result files (`…_results.json`, `_acc.csv`), which their scorers write from these, hashes of prompts,
and VLMEvalKit's pickles.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from vsr_kit.evaluation.scorers import score_row
from vsr_kit.files import append_lines, replace
from vsr_kit.prompts import user_text
from vsr_kit.questions import NUMERIC_TYPES
from vsr_kit.validation import drawable, one_of, unwritable

FORMATS = {"lmms-eval": (".jsonl",), "vlmevalkit": (".tsv", ".xlsx", ".csv")}
DOC = ("id", "dataset", "scene_name", "question_type", "question", "options", "ground_truth")
CHOICE_METRIC, NUMBER_METRIC = "accuracy", "MRA:.5:.95:.05"  # as lmms-eval's task calls them


def export_answers(rows: Sequence[Mapping], format: str, out: str | Path, *, overwrite: bool = False) -> Path:
    """Write rows with `prediction` as another harness keeps its own.

    Args:
        rows: with VSI-Bench's fields, `prediction` and, where it is known, `mode`; one row an answer.
        format: `lmms-eval` or `vlmevalkit`.
        out: the file; its ending says which of a format's kinds.
        overwrite: replace a file that is there.

    Raises:
        ValueError: no rows, an unknown format or ending, a file that is there, a question with several answers where
            the format has room for one, or a text that no file can hold.
        ImportError: an .xlsx without openpyxl.
    """
    out = Path(out)
    one_of("format", format, FORMATS)
    if out.suffix not in FORMATS[format]:
        raise ValueError(f"{out} ends with {out.suffix!r}: {format} keeps {' or '.join(FORMATS[format])} files")
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists: name another file, or remove it")
    if not rows:
        raise ValueError("there is no answer to export: name an evaluation, or a file of predictions")
    for row in rows:
        if not isinstance(row.get("prediction"), str):
            raise ValueError(f"row {row.get('id')!r} has no prediction: an export needs the text that the model wrote")
        if half := unwritable(dict(row)):
            raise ValueError(f"row {row.get('id')!r} holds {half}, half of a character, which no file can keep")
    if format == "lmms-eval":
        lines = _samples(rows)
        replace(out, lambda beside: append_lines(beside, lines))
    else:
        _write_table(_table(rows), out)
    return out


# -- lmms-eval ---------------------------------------------------------------------------------------------------------


def _samples(rows: Sequence[Mapping]) -> list[dict]:
    """A line a question, with all of its answers in `resps`."""
    groups: dict[str, list[Mapping]] = {}
    for row in rows:
        groups.setdefault(json.dumps([str(row.get(name)) for name in ("dataset", "scene_name", "id")]), []).append(row)
    return [_sample(number, group) for number, group in enumerate(groups.values())]


def _sample(number: int, group: Sequence[Mapping]) -> dict:
    first, said = group[0], [row["prediction"] for row in group]
    doc = {name: first.get(name) for name in DOC}
    value = score_row(first, said[0], "lmms-eval").value
    metric = NUMBER_METRIC if first["question_type"] in NUMERIC_TYPES else CHOICE_METRIC
    line = {"doc_id": number, "doc": doc, "target": first.get("ground_truth"), "resps": [said], "filtered_resps": said}
    line["vsibench_score"] = {**doc, "prediction": said[0], metric: value}
    if isinstance(mode := first.get("mode"), str):
        line["input"] = user_text(first, mode)
    return line


# -- VLMEvalKit --------------------------------------------------------------------------------------------------------


def _table(rows: Sequence[Mapping]):
    import pandas as pd

    counted = Counter((row.get("dataset"), row.get("scene_name"), str(row.get("id"))) for row in rows)
    (_, scene, ident), most = counted.most_common(1)[0]
    if most > 1:
        raise ValueError(
            f"question {ident!r} of {scene!r} has {most} answers, and VLMEvalKit's table has room for one: export an "
            "evaluation with one answer a question, or as lmms-eval"
        )
    return pd.DataFrame(
        {
            "index": range(len(rows)),
            "id": [row.get("id") for row in rows],
            "prefix": [row.get("dataset") for row in rows],
            "video": [row.get("scene_name") for row in rows],
            "type": [row["question_type"] for row in rows],
            "question_type": [row["question_type"] for row in rows],
            "question": [row["question"] for row in rows],
            "candidates": [None if not row.get("options") else str(list(row["options"])) for row in rows],
            "answer": [row["ground_truth"] for row in rows],
            "prediction": [row["prediction"] for row in rows],
        }
    )


def _write_table(frame, out: Path) -> None:
    if out.suffix != ".xlsx":
        sep = "\t" if out.suffix == ".tsv" else ","
        replace(out, lambda at: frame.to_csv(at, sep=sep, index=False, encoding="utf-8", quoting=csv.QUOTE_ALL))
        return
    if find_spec("openpyxl") is None:
        raise ImportError(f"writing {out} needs openpyxl: pip install openpyxl, or name a .tsv file")
    import pandas as pd

    frame = frame.map(lambda value: drawable(value) if isinstance(value, str) else value)  # a sheet is XML

    def write(beside: Path) -> None:
        with pd.ExcelWriter(beside, engine="openpyxl") as book:
            frame.to_excel(book, index=False)
            for cell in (cell for row in book.book.active.iter_rows() for cell in row):
                if cell.data_type == "f":  # "=1+1" is what a model wrote, and no formula
                    cell.data_type = "s"

    replace(out, write)
