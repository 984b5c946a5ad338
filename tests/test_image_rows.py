"""SAT's and CV-Bench's choices about a picture, from files made to the published forms to an answer and a gradient."""

import io
import json

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from tests.test_cli_models import runs, vsr  # noqa: F401  a fixture
from vsr_kit.data import read_picture_rows
from vsr_kit.data.benchmark import benchmark_scenes, training_rows
from vsr_kit.evaluation.evaluate import load_questions
from vsr_kit.prompts import parse_answer
from vsr_kit.prompts.templates import user_text
from vsr_kit.runs import RunFolder


def picture(seed: int, size=(112, 84)) -> bytes:
    kept = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(
        kept, format="PNG"
    )
    return kept.getvalue()


def sat(count=6, pictures=1) -> list[dict]:
    """Fields of the card of array/SAT: image_bytes, question, answers, question_type, correct_answer."""
    return [
        {
            "image_bytes": [picture(i * 10 + k) for k in range(pictures)],
            "question": f"Is the chair (marked {i}) to the left or to the right of the table?",
            "answers": ["left of it", "right of it"],
            "question_type": "obj_rel",
            "correct_answer": "left of it",
        }
        for i in range(count)
    ]


def cv_bench() -> list[dict]:
    """Fields of nyu-visionx/CV-Bench, `prompt` and `source` among those that are not read."""
    asked = [("Count", "How many chairs are in the image?", ["3", "1", "2", "0"], "(C)")]
    asked += [("Depth", "Which object is closer to the camera?", ["sofa", "lamp"], "(B)")]
    return [
        {
            "idx": 40 + i,
            "type": "2D",
            "task": task,
            "image": {"bytes": picture(i, (140, 84)), "path": None},
            "question": question,
            "choices": choices,
            "answer": answer,
            "prompt": f"{question} Select from the following choices.",
            "source": "ADE20K",
        }
        for i, (task, question, choices, answer) in enumerate(asked)
    ]


def parquet(path, records):
    Dataset.from_list(records).to_parquet(str(path))
    return path


def test_sat_becomes_lettered_rows_whose_right_place_is_drawn(tmp_path):
    read = read_picture_rows(parquet(tmp_path / "SAT_train.parquet", sat(20)))
    assert {row["question_type"] for row in read.rows} == {"picture_choice"}
    for row in read.rows:
        right = row["options"]["ABCD".index(row["ground_truth"])]
        assert right == f"{row['ground_truth']}. left of it" and row["picture_task"] == "obj_rel"
        assert parse_answer(row["ground_truth"], row).value == row["ground_truth"]
    assert {row["ground_truth"] for row in read.rows} == {"A", "B"}  # the file has the right one first, always
    again = read_picture_rows(tmp_path / "SAT_train.parquet")
    assert again.rows == read.rows


def test_one_question_asked_of_many_pictures_has_its_answer_in_no_fixed_place(tmp_path):
    asked = [record | {"question": "Which way did the camera move?"} for record in sat(20)]
    rows = read_picture_rows(parquet(tmp_path / "SAT_train.parquet", asked)).rows
    assert {row["ground_truth"] for row in rows} == {"A", "B"}
    named = [record | {"id": f"sat-{i}"} for i, record in enumerate(asked)]
    letters = {}
    for name, records in (("forwards", named), ("backwards", named[::-1])):
        rows = read_picture_rows(parquet(tmp_path / f"{name}.parquet", records)).rows
        letters[name] = {row["id"]: row["ground_truth"] for row in rows}
    assert letters["forwards"] == letters["backwards"] and set(letters["forwards"].values()) == {"A", "B"}


def test_cv_bench_keeps_its_letters(tmp_path):
    rows = read_picture_rows(parquet(tmp_path / "test_2d.parquet", cv_bench())).rows
    assert [(row["id"], row["ground_truth"], row["picture_task"]) for row in rows] == [
        (40, "C", "Count"),
        (41, "B", "Depth"),
    ]
    assert rows[0]["options"] == ["A. 3", "B. 1", "C. 2", "D. 0"]
    text = user_text(rows[0], "vanilla", "eval")
    assert text.startswith("How many chairs") and "C. 2" in text  # an image is not called frames of a video


def test_a_picture_is_a_clip_of_one_moment(tmp_path):
    asked = load_questions(parquet(tmp_path / "test_2d.parquet", cv_bench()), size_px=112)
    for row in asked.rows:
        clip = asked.clips[row["scene_name"]]
        assert clip.shape == (2, 84, 140, 3) and np.array_equal(clip[0], clip[1])


def test_questions_about_two_pictures_are_named_or_left_out(tmp_path):
    path = parquet(tmp_path / "SAT_val.parquet", sat(2) + sat(1, pictures=2))
    with pytest.raises(ValueError, match="row 3: shows 2 pictures"):
        load_questions(path)
    asked = load_questions(path, skip_broken=True)
    assert len(asked.rows) == 2 and "shows 2 pictures" in asked.skipped[0]


def test_an_answer_that_is_no_choice_is_named(tmp_path):
    (tmp_path / "sat.jsonl").write_text(
        json.dumps({**sat(1)[0], "image_bytes": ["x.png"], "correct_answer": "behind it"})
    )
    with pytest.raises(ValueError, match="'correct_answer' is 'behind it'.*must be one of answers"):
        load_questions(tmp_path / "sat.jsonl")


def test_a_test_set_is_not_trained_on(tmp_path):
    rows = read_picture_rows(parquet(tmp_path / "test_2d.parquet", cv_bench())).rows
    with pytest.raises(ValueError, match="2 of 2 rows are CV-Bench's, which is a test set"):
        training_rows(rows, benchmark_scenes())
    kept, told = training_rows(rows, benchmark_scenes(), allowed=True)
    assert kept == rows and "TEST SET of CV-Bench" in told[0]
    rows = read_picture_rows(parquet(tmp_path / "SAT_train.parquet", sat())).rows
    assert training_rows(rows, benchmark_scenes()) == (rows, ())


@pytest.mark.slow
@pytest.mark.usefixtures("runs")
def test_both_commands_take_a_file_of_pictures(tiny_path, tmp_path):
    path = parquet(tmp_path / "SAT_train.parquet", sat())
    small = ["--model", tiny_path, "--max-new-tokens", 3]
    done = vsr("eval", "--rooms", path, *small, "--quantize", "none")
    assert done.exit_code == 0 and "picture_choice" in done.output, done.output
    train = ["--rooms", path, "--model", tiny_path, "--steps", 1, "--questions-per-step", 2, "--num-generations", 2]
    done = vsr("train", *train, "--groups-per-pass", 2, "--questions-per-clip", 1, "--max-vanilla-tokens", 3)
    assert done.exit_code == 0, done.output
    folders = sorted(path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    rollouts = [row for folder in folders for row in RunFolder.open(folder).read_rollouts()]
    assert {row["question_type"] for row in rollouts} == {"picture_choice"} and len(rollouts) == 4
