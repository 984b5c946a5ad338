"""The study: which clip a condition shows, and answers that come back as they were written."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vsr_kit.asking import other_clips
from vsr_kit.evaluation import wrong_clip_pairing
from vsr_kit.study import (
    CLIPS,
    Condition,
    QuestionSet,
    answers,
    answers_path,
    read_answers,
    save_questions,
    shown_clips,
    write_lines,
)


def filmed(*names) -> QuestionSet:
    return QuestionSet("q", [], {name: np.full((1, 2, 2, 3), i, np.uint8) for i, name in enumerate(names)})


def test_a_condition_shows_its_own_clip_another_rooms_or_none():
    questions = filmed("x", "a", "m", "b")
    assert shown_clips(questions, "own") is questions.clips
    assert shown_clips(questions, "none") is None
    shown, pairs = shown_clips(questions, "wrong"), wrong_clip_pairing("abmx")
    assert {scene: clip.max() for scene, clip in shown.items()} == {
        scene: questions.clips[other].max() for scene, other in pairs.items()
    }
    for scene, clip in other_clips(questions.clips).items():  # what `vsr eval` shows
        assert np.array_equal(clip, shown[scene])
    assert Condition("q").clip in CLIPS


@pytest.mark.parametrize(
    "names, which, words", [("ab", "others", "'others': choose one of own, wrong, none"), ("a", "wrong", "got 1")]
)
def test_a_clip_that_cannot_be_shown_is_an_error(names, which, words):
    with pytest.raises(ValueError, match=words):
        shown_clips(filmed(*names), which)


def test_answers_with_any_line_break_come_back(tmp_path):
    said = ["3\u2028or\u20294", "\x85\x0b\x0c", "a\r\nb"]
    rows = [{"id": str(i), "question": "How many\u2028chairs?"} for i in range(len(said))]
    save_questions(QuestionSet("q", rows, {}), tmp_path)
    lines = [{"id": row["id"], "said": [text], "cut": [False]} for row, text in zip(rows, said, strict=True)]
    write_lines(answers_path(Condition("q"), tmp_path), lines)
    read = read_answers(Condition("q"), tmp_path)
    assert [row["prediction"] for row in read] == said
    assert read[0]["question"] == "How many\u2028chairs?"


def test_the_manifest_names_no_place_on_the_machine_that_ran_it(tmp_path):
    loaded = SimpleNamespace(description=f"mini, adapter {tmp_path}/grpo-vanilla-seed1/adapter")
    answers._note(tmp_path, {"questions": "some"}, loaded)
    (line,) = (tmp_path / "manifest.jsonl").read_text().splitlines()
    assert json.loads(line)["loaded"] == "mini, adapter grpo-vanilla-seed1/adapter"
    assert str(tmp_path) not in line
