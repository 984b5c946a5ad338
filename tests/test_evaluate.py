"""Asking, with a stub for a model: every row is answered once, a killed evaluation resumes to the same answers."""

import json

import numpy as np
import pytest

from vsr_kit.evaluation.evaluate import ask, load_questions, training_questions
from vsr_kit.evaluation.predictions import TOKEN_CAP, mismatched_clips, predict, sample_group
from vsr_kit.generation import Generation, generate
from vsr_kit.losses import group_advantages
from vsr_kit.models import load_model
from vsr_kit.rewards import accuracy_reward
from vsr_kit.runs import RunFolder


@pytest.fixture
def rows():
    shared = {"dataset": "d", "question_type": "object_counting", "options": None, "ground_truth": "2", "question": "?"}
    return [{**shared, "id": f"{i}", "scene_name": f"room-{i % 3}"} for i in range(7)]


@pytest.fixture
def clips():
    return {f"room-{i}": np.full((2, 4, 4, 3), i, np.uint8) for i in range(3)}


class Stub:
    """Answers with the seed, the clip's colour and the row; dies after so many calls."""

    def __init__(self, calls=99):
        self.calls, self.seen = calls, []

    def __call__(self, loaded, rows, clips, *, mode, prompt_set, max_new_tokens, temperature, num_samples, seed):
        if self.calls == 0:
            raise KeyboardInterrupt
        self.calls -= 1
        self.seen += [row["id"] for row in rows]
        return [[self.say(row, clips, seed, k) for k in range(num_samples)] for row in rows]

    def say(self, row, clips, seed, sample):
        return Generation(f"{seed} {clips[row['scene_name']].max()} {row['id']} {sample}", 4, sample == 1)


def use(monkeypatch, stub):
    monkeypatch.setattr("vsr_kit.generation.generate", stub)
    monkeypatch.setattr(
        "vsr_kit.evaluation.evaluate.ROWS_AT_ONCE", 3
    )  # rooms of 3, 2 and 2 questions: batches of 1, 2 rooms
    return stub


def key(row):
    return row["id"], row["sample"]


def test_every_row_is_answered_with_its_own_clip(monkeypatch, tmp_path, rows, clips):
    use(monkeypatch, Stub())
    told = []
    run = RunFolder.create("e", root=tmp_path)
    answered = ask(None, rows, clips, run, num_samples=2, on_answers=told.append)
    assert sorted(map(key, answered)) == [(str(i), k) for i in range(7) for k in range(2)]
    for row in answered:
        assert row["prediction"].split()[1:] == [row["scene_name"][-1], row["id"], str(row["sample"])]
        assert (row["num_tokens"], row["truncated"]) == (4, row["sample"] == 1)
    assert sum(told) == 7


def test_a_killed_evaluation_resumes_to_the_same_answers(monkeypatch, tmp_path, rows, clips):
    use(monkeypatch, Stub())
    first = RunFolder.create("whole", root=tmp_path)
    whole = ask(None, rows, clips, first, num_samples=2, seed=5)
    use(monkeypatch, Stub(calls=1))
    run = RunFolder.create("killed", root=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        ask(None, rows, clips, run, num_samples=2, seed=5)
    run.close()
    lines = (first.path / "predictions.jsonl").read_text().splitlines()
    with (run.path / "predictions.jsonl").open("a") as journal:  # as if killed while writing the second batch
        journal.write("\n".join(lines[6:11]) + "\n" + lines[11][:9])
    stub = use(monkeypatch, Stub())
    resumed = ask(None, rows, clips, RunFolder.resume(run.path), num_samples=2, seed=5)
    assert sorted(resumed, key=key) == sorted(whole, key=key)
    assert sorted(stub.seen) == ["1", "2", "4", "5"]  # the first batch was whole, the second is asked again as it was


def test_clips_of_the_next_batch_are_read_while_one_is_asked(monkeypatch, tmp_path, rows, clips):
    class Folder(dict):
        def ahead(self, scenes):
            begun.append([*scenes])

    begun, stub = [], use(monkeypatch, Stub())
    ask(None, rows, Folder(clips), RunFolder.create("e", root=tmp_path))
    assert stub.seen == ["0", "3", "6", "1", "4", "2", "5"]  # room-0, then the two others
    assert begun == [["room-0", "room-1", "room-1", "room-2", "room-2"], ["room-1", "room-2"]]


def test_another_seed_draws_other_answers(monkeypatch, tmp_path, rows, clips):
    use(monkeypatch, Stub())
    one, two = (ask(None, rows, clips, RunFolder.create("s", root=tmp_path), seed=seed) for seed in (1, 2))
    assert {row["prediction"] for row in one}.isdisjoint(row["prediction"] for row in two)


def test_no_room_keeps_its_own_clip_when_clips_are_swapped(clips):
    swapped = mismatched_clips(clips)
    assert swapped.keys() == clips.keys()
    assert all(swapped[name].max() != clips[name].max() for name in clips)
    with pytest.raises(ValueError, match="got 1 .*at least 2 scenes"):
        mismatched_clips({"only": clips["room-0"]})


def test_procedural_rooms_are_filmed_and_asked_about():
    asked = load_questions(3, per_type=2, num_frames=2, size_px=28, types=("object_counting", "object_size_estimation"))
    assert len(asked.rows) == 4
    assert {row["scene_name"] for row in asked.rows} <= asked.clips.keys()
    assert {clip.shape for clip in asked.clips.values()} == {(2, 28, 28, 3)}
    again = load_questions(3, per_type=2, num_frames=2, size_px=28, types=("object_counting", "object_size_estimation"))
    assert again.rows == asked.rows


def test_splits_share_no_room():
    names = [set(load_questions(4, split=split, num_frames=1, size_px=28).clips) for split in ("train", "val", "test")]
    assert len(set.union(*names)) == 12


def test_a_built_folder_is_taken_whole_with_its_own_wording(tmp_path):
    from vsr_kit.data import build
    from vsr_kit.rooms import make_rooms

    build(make_rooms(2, seed=3), tmp_path / "set", "vsi-100k", video=True, num_frames=4, size_px=28)
    asked = load_questions(tmp_path / "set", num_frames=4)  # fewer would not show everything (test_visibility.py)
    lines = (tmp_path / "set" / "questions.jsonl").read_text().splitlines()
    assert [row["id"] for row in asked.rows] == [json.loads(line)["id"] for line in lines]
    assert {row["phrasing"] for row in asked.rows} == {"vsi-100k"}
    assert {len(clip) for clip in asked.clips.values()} == {4}


def test_an_unknown_split_is_named(tmp_path):
    from vsr_kit.rooms import make_rooms, save_rooms

    save_rooms(tmp_path / "rooms.json", make_rooms(2, seed=3))
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        load_questions(tmp_path / "rooms.json", split="dev")
    assert len(load_questions(tmp_path / "rooms.json", split="all", num_frames=1, size_px=28).clips) == 2


def test_a_files_rooms_are_asked_about_in_one_split_only(tmp_path):
    from vsr_kit.rooms import make_rooms, save_rooms

    save_rooms(tmp_path / "rooms.json", make_rooms(30, seed=3))
    splits = [
        load_questions(tmp_path / "rooms.json", split=split, types=("object_counting",), num_frames=1, size_px=28).clips
        for split in ("train", "val", "test")
    ]
    assert sum(map(len, splits)) == 30
    assert len(set().union(*splits)) == 30
    assert 0 < len(splits[2]) < 15


# -- rows with predictions, and one group ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def miniature():
    return load_model("mini", quantize="nf4", quiet=True)


def test_predict_is_generate_with_the_rows(miniature):
    asked = load_questions(2, per_type=1)
    rows = predict(miniature, asked)
    said = generate(miniature, asked.rows, asked.clips, max_new_tokens=TOKEN_CAP)
    assert [row["prediction"] for row in rows] == [group[0].text for group in said]
    assert [{name: row[name] for name in asked.rows[0]} for row in rows] == asked.rows
    assert {(row["mode"], row["sample"]) for row in rows} == {("vanilla", 0)}
    assert predict(miniature, asked.rows, clips=asked.clips) == rows
    wrong = predict(miniature, asked, clip="wrong")
    assert wrong == predict(miniature, asked.rows, clips=mismatched_clips(asked.clips)) != rows
    assert predict(miniature, asked, clip="none") == predict(miniature, asked.rows, clip="none")
    with pytest.raises(ValueError, match="clip is 'other': choose one of own, wrong, none"):
        predict(miniature, asked, clip="other")
    drawn = predict(miniature, asked.rows[:1], "think", clips=asked.clips, temperature=1.0, num_samples=3, seed=4)
    assert [row["sample"] for row in drawn] == [0, 1, 2] and {row["mode"] for row in drawn} == {"think"}


@pytest.mark.parametrize("mode, terms", [("vanilla", 1), ("think", 2)])
def test_a_group_is_sampled_and_paid_as_a_training_step_does(miniature, mode, terms):
    lessons = training_questions(2)
    assert {row["phrasing"] for row in lessons.rows} == {"vsi-100k"}
    row = next(row for row in lessons.rows if row["question_type"] == "object_counting")
    group = sample_group(miniature, row, lessons.clips, num_generations=4, mode=mode, seed=3)
    cap = 16 if mode == "vanilla" else TOKEN_CAP
    drawn = generate(
        miniature,
        [row],
        lessons.clips,
        mode=mode,
        prompt_set="train",
        max_new_tokens=cap,
        temperature=1.0,
        num_samples=4,
        seed=3,
    )[0]
    assert [own["completion"] for own in group] == [own.text for own in drawn]
    assert all(len(own["rewards"]) == terms for own in group)
    assert [own["rewards"]["accuracy_reward"] for own in group] == [accuracy_reward(own.text, row) for own in drawn]
    totals = [sum(own["rewards"].values()) for own in group]
    assert [own["advantage"] for own in group] == group_advantages([totals])[0].tolist()
    with pytest.raises(ValueError, match="group of one"):
        sample_group(miniature, row, lessons.clips, num_generations=1)
