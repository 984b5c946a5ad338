"""Answers written as lmms-eval and VLMEvalKit keep theirs, and what those write themselves, read back equal."""

import json
from importlib.util import find_spec

import pandas as pd
import pytest
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.evaluation import score, score_row
from vsr_kit.inspection import read_rollout_table
from vsr_kit.inspection.sources import read_answer_file
from vsr_kit.publishing import FORMATS, export_answers
from vsr_kit.publishing.formats import DOC
from vsr_kit.runs import RunFolder

COUNT = {"dataset": "arkitscenes", "scene_name": "41069025", "question_type": "object_counting", "options": None}
COUNT |= {"question": "How many table(s) are in this room?", "ground_truth": "4", "mode": "vanilla"}
SIDE = {"dataset": "scannet", "scene_name": "scene0011_00", "question_type": "object_rel_direction_easy"}
SIDE |= {"question": 'If I stand by the "bed",\nis the tv to the left?', "options": ["A. left, it's", 'B. "right"']}
SIDE |= {"ground_truth": "A", "mode": "vanilla"}
# what a model may write: separators, quotes, breaks, formulas, markup, control characters, what looks like nothing
TEXTS = ["4", "A", "NA", "", "nan", "4.50", "a\tb", 'say "4"', "two\nlines\r\nand\rmore", "=1+1", "-4", "+", "@x", "'4"]
TEXTS += [
    "<b>4</b>",
    "\x1b[31mred",
    "a,b;c",
    "\\n",
    " 4 ",
    "房间 🙂",
    "None",
    "[]",
    "1e5",
    "007",
    "\u2028",
    "\x85",
    "TRUE",
]


def rows():
    return [
        {**(COUNT if at % 2 else SIDE), "id": at, "sample": 0, "prediction": text, "num_tokens": 3, "truncated": False}
        for at, text in enumerate(TEXTS)
    ]


KINDS = [("lmms-eval", ".jsonl"), ("vlmevalkit", ".tsv"), ("vlmevalkit", ".csv")]
XLSX = pytest.param("vlmevalkit", ".xlsx", marks=pytest.mark.skipif(not find_spec("openpyxl"), reason="no openpyxl"))


@pytest.mark.parametrize("format, ending", [*KINDS, XLSX])
def test_what_is_written_is_read_back_equal(tmp_path, format, ending):
    wanted = rows()
    path = export_answers(wanted, format, tmp_path / f"model_VSIBench{ending}")
    found = read_answer_file(path)
    shown = [text.replace("\r\n", "\n").replace("\r", "\n") for text in TEXTS]
    shown = [text.replace("\x1b", "\ufffd").replace("\x85", "\ufffd") for text in shown]
    assert [row["prediction"] for row in found] == (shown if ending == ".xlsx" else TEXTS)
    for one, other in zip(wanted, found, strict=True):
        assert {k: str(one[k]) for k in DOC} == {k: str(other[k]) for k in DOC}
    for harness in ("official", "lenient", "lmms-eval"):
        assert score(found, harness).percent() == score(wanted, harness).percent()
    assert [*read_rollout_table(path).frame["completion"]] == [row["prediction"] for row in found]
    assert [*read_rollout_table(path).outcomes] == [*read_rollout_table(wanted).outcomes] or ending == ".xlsx"
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_lmms_evals_lines_are_as_its_own_and_hold_its_scores(tmp_path):
    path = export_answers(rows(), "lmms-eval", tmp_path / "x_samples_vsibench.jsonl")
    lines = [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]
    assert [line["doc_id"] for line in lines] == list(range(len(TEXTS)))
    for line, row in zip(lines, rows(), strict=True):
        metric = "MRA:.5:.95:.05" if row["question_type"] == "object_counting" else "accuracy"
        assert line["vsibench_score"][metric] == score_row(row, row["prediction"], "lmms-eval").value
        assert (
            line["filtered_resps"] == [row["prediction"]] == line["resps"][0] and line["target"] == row["ground_truth"]
        )
        assert line["input"].startswith("These are frames of a video.\n" + row["question"])
    assert [row["recorded_score"] for row in read_answer_file(path)][1] == 0.0


def test_several_answers_to_a_question_are_one_line_of_lmms_eval_and_none_of_vlmevalkit(tmp_path):
    drawn = [{**COUNT, "id": 7, "sample": k, "prediction": text} for k, text in enumerate(("4", "5"))]
    path = export_answers(drawn, "lmms-eval", tmp_path / "samples.jsonl")
    assert len(path.read_text().splitlines()) == 1
    found = read_answer_file(path)
    assert [row["prediction"] for row in found] == ["4", "5"] and found[0]["recorded_score"] is None
    with pytest.raises(ValueError, match="question '7' of '41069025' has 2 answers, and VLMEvalKit"):
        export_answers(drawn, "vlmevalkit", tmp_path / "x.tsv")
    assert not (tmp_path / "x.tsv").exists()


def test_samples_that_lmms_eval_wrote_without_doc_are_read(tmp_path):
    """As evaluation_tracker.py writes them: input, filtered_resps and target stay; doc, arguments, equal resps go."""
    doc = {name: COUNT.get(name, 12) for name in DOC}
    line = {"doc_id": 3, "target": "4", "filtered_resps": ["4."], "doc_hash": "ab", "input": "These are frames"}
    line["vsibench_score"] = {**doc, "prediction": "4.", "MRA:.5:.95:.05": 1.0}
    path = tmp_path / "20260101_120000_samples_vsibench.jsonl"
    path.write_text(json.dumps(line) + "\n")
    (row,) = read_answer_file(path)
    assert {name: row[name] for name in DOC} == doc and row["prediction"] == "4." and row["recorded_score"] == 1.0
    assert row["input"] == "These are frames" and "accuracy" not in row
    assert [*read_rollout_table(path).outcomes] == ["right"]
    path.write_text(json.dumps({k: v for k, v in line.items() if k != "vsibench_score"}) + "\n")
    with pytest.raises(ValueError, match="line 1 is no sample of lmms-eval: it needs `doc` or `vsibench_score`"):
        read_answer_file(path)


@pytest.mark.parametrize(
    "columns",
    [
        {"prefix": "arkitscenes", "video": "41069025", "type": "object_counting"},
        {"video": "arkitscenes/41069025.mp4", "question_type": "object_counting"},
    ],
    ids=["prefix and scene", "a later loader"],
)
def test_both_of_vlmevalkits_tables_name_their_scene(tmp_path, columns):
    asked = {"index": 0, "question": COUNT["question"], "answer": "4", "candidates": None, "prediction": "5"}
    pd.DataFrame([asked | columns]).to_csv(tmp_path / "x.tsv", sep="\t", index=False)
    (row,) = read_answer_file(tmp_path / "x.tsv")
    assert {k: row[k] for k in ("dataset", "scene_name", "question_type")} == {k: COUNT[k] for k in row if k in (
        "dataset", "scene_name", "question_type")}  # fmt: skip
    assert row["options"] is None and row["ground_truth"] == "4"


@pytest.mark.parametrize(
    "change, told",
    [
        ({"format": "other"}, "format is 'other'"),
        ({"out": "x.pkl"}, "vlmevalkit keeps .tsv or .xlsx or .csv files"),
        ({"rows": []}, "there is no answer to export"),
        ({"rows": [{**COUNT, "id": 1}]}, "row 1 has no prediction"),
        ({"rows": [{**COUNT, "id": 1, "prediction": "a\ud800"}]}, "half of a character"),
        ({"out": "there.tsv"}, "there.tsv exists"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_written(tmp_path, change, told):
    (tmp_path / "there.tsv").write_text("mine")
    how = {"rows": rows(), "format": "vlmevalkit", "out": "x.tsv"} | change
    with pytest.raises(ValueError, match=told):
        export_answers(how["rows"], how["format"], tmp_path / how["out"])
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("there.tsv", "mine")]


@pytest.mark.skipif(find_spec("openpyxl") is not None, reason="openpyxl is here")
def test_a_sheet_without_openpyxl_says_what_to_do(tmp_path):
    with pytest.raises(ImportError, match="needs openpyxl: pip install openpyxl, or name a .tsv"):
        export_answers(rows(), "vlmevalkit", tmp_path / "x.xlsx")
    assert list(tmp_path.iterdir()) == []


def test_the_command_exports_a_run_and_a_file(tmp_path):
    run = RunFolder.create("eval", {"mode": "vanilla", "split": "test"}, root=tmp_path / "runs")
    run.predictions([row for row in rows() if row["prediction"]])
    run.finish()
    for format, endings in FORMATS.items():
        out = tmp_path / f"out{endings[0]}"
        done = CliRunner().invoke(app, ["export", str(run.path), "--format", format, "--out", str(out)])
        assert done.exit_code == 0 and f"{len(TEXTS) - 1} answers written to" in done.output, done.output
    again = CliRunner().invoke(app, ["export", str(tmp_path / "out.jsonl"), "--format", "vlmevalkit", "--out",
                                     str(tmp_path / "again.tsv")])  # fmt: skip
    assert again.exit_code == 0, again.output
    assert len(read_answer_file(tmp_path / "again.tsv")) == len(TEXTS) - 1
