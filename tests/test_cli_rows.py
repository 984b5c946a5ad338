"""`vsr score`, `eval`, `train` on what strangers give them: pipes, narrow terminals, broken clips, other encodings."""

import gzip
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from vsr_kit.cli import app, main
from vsr_kit.data import make_rows, read_rows, write_rows
from vsr_kit.evaluation import read_predictions
from vsr_kit.rooms import make_rooms
from vsr_kit.runs import run_folders
from vsr_kit.videos import write_mp4

ROW = {"dataset": "d", "scene_name": "a", "question_type": "object_counting", "question": "How many?", "options": None}
GOOD = ROW | {"id": 1, "ground_truth": "2"}
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def vsr(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def run(*words, stdin=None, **environment):
    """The command in a process of its own."""
    words = [sys.executable, "-m", "vsr_kit.cli", *map(str, words)]
    return subprocess.run(words, input=stdin, capture_output=True, env=os.environ | environment)


def refused(monkeypatch, capsys, *words):
    """The one line on stderr of a command that stops with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["vsr", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "clip" not in line or line.startswith("error")]
    assert lines[-1].startswith("error: ")
    return lines[-1]


# ------------------------------------------------------------------------------------------------------------- score


@pytest.fixture
def many(tmp_path):
    """Predictions for every question type, thousands in all, so that the numbers of the table are long."""
    rows = make_rows(make_rooms(2, seed=2), max_per_type=3)
    said = [row | {"sample": i, "prediction": row["ground_truth"]} for row in rows for i in range(40)]
    write_rows(tmp_path / "many.jsonl", said)
    return tmp_path / "many.jsonl", said


@pytest.mark.parametrize("columns", [30, 45, 50, 55, 60, 66, 70, 78, 80, 100, 200])
def test_numbers_of_the_table_are_whole_in_any_terminal(many, monkeypatch, columns):
    path, said = many
    monkeypatch.setenv("COLUMNS", str(columns))
    done = vsr("score", path)
    assert "…" not in done.stdout
    assert f"100.0 {len(said)}" in re.sub("[│ ]+", " ", done.stdout)
    names = done.stdout.replace("\n", "")
    for kind in {row["question_type"] for row in said}:
        parts = "".join(rf"{part}[^a-z_]*" for part in re.findall("[a-z]+_?", kind))
        assert re.search(parts, names), kind
        count = sum(row["question_type"] == kind for row in said)
        assert re.search(rf"100\.0[ │]+{count}[ │]+{count}[ │]+0[ │]+0[ │]+0", done.stdout), kind
    widest = max(map(len, done.stdout.splitlines()))
    assert widest <= max(columns, 48)
    assert columns > 60 or "│" not in done.stdout


@pytest.mark.parametrize("packed", [False, True])
def test_predictions_come_through_a_pipe(many, packed):
    data = many[0].read_bytes()
    done = run("score", "/dev/stdin", "--json", stdin=gzip.compress(data) if packed else data)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["overall"] == 100.0


def test_help_and_tables_need_no_unicode(many):
    for words in (["train", "--help"], ["--help"], ["score", many[0]], ["score", many[0], "--json"]):
        done = run(*words, **ASCII)
        assert done.returncode == 0, done.stderr
        done.stdout.decode("ascii")
    done = run("train", "--help", LC_ALL="en_US.ISO-8859-1", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert b"repeated_tags, ?; may" in done.stdout


def test_an_error_about_a_name_outside_ascii_is_one_line(tmp_path):
    done = run("score", tmp_path / "größe-房间.jsonl", **ASCII)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: no file ")
    assert done.stderr.count(b"\n") == 1


# -------------------------------------------------------------------------------------------------- eval and train


class Said:
    text, num_tokens, truncated = "2", 2, False


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """No model: every answer is 2; the rows that were asked."""
    asked = []

    def generate(loaded, rows, clips, **settings):
        asked.extend(row["id"] for row in rows if clips[row["scene_name"]].shape[0])
        return [[Said] for _ in rows]

    monkeypatch.setattr("vsr_kit.models.loading.load_model", lambda *args, **kwargs: None)
    monkeypatch.setattr("vsr_kit.generation.generate", generate)
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return asked


@pytest.fixture
def folder(tmp_path):
    """Four rooms of a folder, each with two questions; b's clip is no video and d's is missing."""
    rows = [GOOD | {"id": f"{s}{i}", "scene_name": s} for s in "abcd" for i in range(2)]
    (tmp_path / "set" / "d").mkdir(parents=True)
    write_rows(tmp_path / "set" / "questions.jsonl", rows)
    for scene in "ac":
        write_mp4(tmp_path / "set" / "d" / f"{scene}.mp4", np.full((9, 32, 32, 3), 90, np.uint8))
    (tmp_path / "set" / "d" / "b.mp4").write_bytes(b"no video")
    return tmp_path / "set"


@pytest.mark.parametrize("command", ["eval", "train"])
def test_broken_clips_are_all_named_before_there_is_a_run(stub, folder, monkeypatch, capsys, command):
    line = refused(monkeypatch, capsys, command, "--rooms", folder)
    for part in (
        "2 of 4 clips are missing or broken",
        "b.mp4: not readable",
        "d.mp4: is missing",
        "--skip-broken-clips",
    ):
        assert part in line
    assert run_folders() == []


def test_eval_goes_on_without_broken_clips_and_so_does_its_resume(stub, folder):
    done = vsr("eval", "--rooms", folder, "--per-type", 0, "--frames", 12, "--skip-broken-clips")
    assert done.exit_code == 0, done.output
    assert stub == ["a0", "a1", "c0", "c1"]
    for part in ("skipped ", "b.mp4", "d.mp4: is missing (2 questions left out)"):
        assert part in done.output
    assert done.output.count("note: 2 of 2 clips have fewer frames than were asked for") == 1
    (run,) = run_folders()
    journal = run.path / "predictions.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(True)[:2]))
    stub.clear()
    done = vsr("eval", "--resume", run.path)
    assert done.exit_code == 0, done.output
    assert stub[-2:] == ["c0", "c1"]
    assert [row["id"] for row in read_predictions(journal)] == ["a0", "a1", "c0", "c1"]


def test_a_folder_without_broken_clips_says_nothing_of_them(stub, folder):
    for scene in "bd":
        write_mp4(folder / "d" / f"{scene}.mp4", np.full((9, 32, 32, 3), 90, np.uint8))
    done = vsr("eval", "--rooms", folder, "--per-type", 0, "--frames", 8)
    assert done.exit_code == 0
    assert "skipped" not in done.output
    assert "note" not in done.output
    assert len(stub) == 8


BAD = {
    "truth": GOOD | {"ground_truth": "0"},
    "options": GOOD | {"options": "[None]"},
    "id": GOOD | {"id": None},
    "half a character": GOOD | {"question": "\ud800"},
    "control token": GOOD | {"question": "<|video_pad|>"},
    "letter without options": GOOD | {"question_type": "object_rel_distance", "ground_truth": "B"},
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("command", ["eval", "train", "score"])
def test_every_command_refuses_the_same_rows_in_the_same_words(stub, folder, monkeypatch, capsys, command, what):
    path = folder / "questions.jsonl"
    path.write_text(json.dumps(GOOD | {"id": 0, "prediction": ""}) + "\n" + json.dumps(BAD[what] | {"prediction": ""}))
    line = refused(monkeypatch, capsys, *(["score", path] if command == "score" else [command, "--rooms", folder]))
    assert f"questions.jsonl, line 2: {'holds' if what == 'half a character' else 'field'} " in line
    assert run_folders() == []


def test_what_eval_accepts_score_accepts(stub, folder):
    """Odd rows that are allowed: ids of two types, truths as numbers, options as text, fields of one's own."""
    near = {"question_type": "object_rel_distance", "question": "Which (a, b)?", "options": "['A. a', 'B. b']"}
    odd = [
        GOOD | {"id": 7, "ground_truth": 2.0, "options": "nan", "note": 1},
        GOOD | {"id": "7b", "note": "x", "prediction": "old", "sample": 9, "mode": 3},
        GOOD | near | {"id": "c", "ground_truth": "B"},
    ]
    for row in odd:
        row["scene_name"] = "a"
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\r\n" for row in odd))
    assert len(read_rows(path)) == 3
    done = vsr("eval", "--rooms", folder, "--per-type", 0)
    assert done.exit_code == 0, done.output
    (run,) = run_folders()
    scored = vsr("score", run.path / "predictions.jsonl", "--harness", "lenient", "--json")
    assert json.loads(scored.stdout) == run.summary["scores"]["vanilla, own clip, lenient"]
