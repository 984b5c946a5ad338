"""`vsr ask`: a question on the command line, what is answered how often, and what of it is new to the model."""

from types import SimpleNamespace

import pytest

from tests.test_cli import fails, vsr
from vsr_kit.data.own_questions import suggested_rows
from vsr_kit.data.rows import room_named
from vsr_kit.evaluation.taught import Taught
from vsr_kit.videos import film
from vsr_kit.videos.files import write_mp4

ROOM = room_named("val-0-00031")
ROW = next(row for row in suggested_rows(ROOM, film(ROOM)) if row["question_type"] == "room_size_estimation")


@pytest.fixture
def asked(monkeypatch):
    """What was asked; every second answer cannot be read."""
    calls = []

    def draw(loaded, row, frames, **how):
        calls.append((row, frames, how))
        texts = ["2", "no idea"]
        return [SimpleNamespace(text=texts[i % 2], truncated=False) for i in range(how["num_samples"])]

    stub = SimpleNamespace(model=None, processor=SimpleNamespace(tokenizer=None), name="stub")
    monkeypatch.setattr("vsr_kit.evaluation.draws.draw_answers", draw)
    monkeypatch.setattr("vsr_kit.models.loading.load_model", lambda *given, **more: stub)
    return calls


def test_answers_are_counted_and_scored_where_the_truth_is_known(asked, monkeypatch):
    card = Taught(("bed",), {"vsi-bench": ("room_size_estimation",)})
    monkeypatch.setattr("vsr_kit.evaluation.taught.read_taught", lambda folder: card)
    done = vsr("ask", ROW["question"].upper(), "--n", 5, "--mode", "think", "--seed", 3)
    assert done.exit_code == 0, done.output
    ((row, frames, how),) = asked
    assert row == ROW and frames.shape == (8, 112, 112, 3)
    assert how == {"mode": "think", "temperature": 1.0, "num_samples": 5, "seed": 3, "max_new_tokens": 96}
    assert (
        "2            3  ####" in done.output
        and "not read     2  ####" in done.output
        and f"the truth is {ROW['ground_truth']}" in done.output
    )
    assert "never seen" not in done.output


def test_a_question_of_ones_own_about_a_video_is_asked_greedily(asked, tmp_path):
    write_mp4(tmp_path / "my.mp4", film(ROOM).frames_FHW3)
    done = vsr("ask", "Which?", "--option", "bed", "--option", "tv", "--truth", "tv", "--video", tmp_path / "my.mp4")
    assert done.exit_code == 0, done.output
    ((row, _, how),) = asked
    assert (row["options"], row["ground_truth"], row["scene_name"]) == (["A. bed", "B. tv"], "B", "my.mp4")
    assert how["temperature"] == 0.0 and how["num_samples"] == 1
    assert "what stub was taught is not known" in done.output and "not read" in done.output


@pytest.mark.parametrize(
    "words, told",
    [
        (["hi", "--room", "nowhere"], "there is no room 'nowhere'"),
        (["hi", "--n", "4", "--temperature", "0"], "n is 4 at temperature 0: greedy answers are all the same"),
        ([" "], "the question is empty"),
        (["hi", "--video", "none.mp4"], "none.mp4: not readable as video"),
    ],
)
def test_what_cannot_be_asked_is_one_line(asked, monkeypatch, capsys, words, told):
    line = fails(monkeypatch, capsys, "ask", *words)
    assert told in line and len(line.splitlines()) == 1 and asked == []
