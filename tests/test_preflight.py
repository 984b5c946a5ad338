"""Before a model is loaded: tokens told, rows and clips looked at, faults named; and the benchmark's preset."""

import copy
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.cli.evaluating import _questions
from vsr_kit.data import build, read_rows
from vsr_kit.evaluation import load_questions
from vsr_kit.evaluation.preflight import check_questions, check_row_of, refuse_faults
from vsr_kit.evaluation.presets import with_preset
from vsr_kit.evaluation.shown_clips import cost_told, trained_otherwise, unlearnt
from vsr_kit.evaluation.taught import Taught
from vsr_kit.models.vision import chat_inputs, load_processor
from vsr_kit.paths import data_samples
from vsr_kit.prompts import chat_messages, user_text
from vsr_kit.rooms import make_rooms
from vsr_kit.runs import RunFolder, run_folders
from vsr_kit.videos import write_mp4
from vsr_kit.videos.frame_limits import PixelBounds

BOUNDS = PixelBounds()


def vsr(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def processor():
    return load_processor(data_samples("mini-qwen2-vl"))


@pytest.fixture
def built(tmp_path):
    build(make_rooms(3, seed=3), tmp_path / "set", video=True, num_frames=8, size_px=56, max_per_type=2)
    return tmp_path / "set"


@pytest.fixture
def film(tmp_path):
    """A folder of one film of 640 x 480, 24 frames at 4 a second, and two questions with VSI-Bench's fields."""
    folder = tmp_path / "films"
    (folder / "arkitscenes").mkdir(parents=True)
    y, x = np.mgrid[:480, :640]
    frames = np.array([np.stack([x + 9 * i, y, x + y], -1) % 256 for i in range(24)], np.uint8)
    write_mp4(folder / "arkitscenes" / "41069021.mp4", frames)
    rows = [
        {"id": 1, "question_type": "object_counting", "question": "How many chair(s) are in this room?"}
        | {"options": None, "ground_truth": "4"},
        {"id": 2, "question_type": "object_rel_direction_easy", "options": ["A. left", "B. right"], "ground_truth": "B"}
        | {
            "question": "If I am standing by the bed and facing the tv, is the sofa to the left or the right of the tv?"
        },
    ]
    where = {"dataset": "arkitscenes", "scene_name": "41069021"}
    (folder / "questions.jsonl").write_text("".join(json.dumps(row | where) + "\n" for row in rows))
    return folder


# -- frames and pixels hold for folders --------------------------------------------------------------------------------


def test_a_folders_films_keep_to_frames_pixels_and_rate(film):
    shapes = [
        load_questions(film, **how).clips["41069021"].shape
        for how in (
            {},
            {"size_px": 336, "num_frames": 16},
            {"max_pixels": 640 * 480},
            {"size_px": 112, "max_pixels": 401_408},
            {"fps": 1.0, "max_pixels": 784},
            {"fps": 2.0, "num_frames": 4, "max_pixels": 784},
        )
    ]
    assert shapes == [
        (8, 84, 112, 3),
        (16, 280, 364, 3),
        (8, 480, 640, 3),
        (8, 480, 640, 3),
        (6, 28, 28, 3),
        (4, 28, 28, 3),
    ]


def test_films_that_are_shrunk_are_told_with_both_sizes(film):
    (line,) = load_questions(film).notes
    assert line.startswith("1 of 1 clips are larger than the limit of pixels, first ")
    assert line.endswith("41069021.mp4: is 640 × 480 and is shown at 112 × 84; --pixels (max_pixels) sets the limit")
    assert load_questions(film, max_pixels=640 * 480).notes == ()


def test_filmed_rooms_are_no_larger_than_their_size_or_the_pixels():
    for how, side in (({"max_pixels": 60 * 60}, 56), ({"max_pixels": 401_408}, 84), ({}, 84)):
        asked = load_questions(1, num_frames=2, size_px=84, **how)
        assert {clip.shape for clip in asked.clips.values()} == {(2, side, side, 3)}
    with pytest.raises(ValueError, match=r"fps is 1\.0, but rooms that are filmed have no rate"):
        load_questions(1, fps=1.0)


def test_a_built_folder_within_the_limit_is_shown_as_it_was(built):
    from vsr_kit.data import load_clips

    asked = load_questions(built)
    plain = load_clips(asked.rows, built, 8)
    assert all(np.array_equal(asked.clips[name], plain[name]) for name in plain)
    assert len(asked.rows) == len(read_rows(built / "questions.jsonl")) and not asked.unseen


def test_what_shrunk_frames_no_longer_show_is_not_asked(built):
    """An object of 12 to 47 pixels in frames of 56 px has fewer than 12 in frames of 28."""
    records = [json.loads(line) for line in (built / "visibility.jsonl").read_text().splitlines()]
    most = {r["scene_name"]: np.max(r["pixels"], axis=1) for r in records}
    names = {r["scene_name"]: r["categories"] for r in records}
    asked = load_questions(built, max_pixels=28 * 28, types=("object_size_estimation",))
    rows = [r for r in read_rows(built / "questions.jsonl") if r["question_type"] == "object_size_estimation"]
    seen = [
        row["id"]
        for row in rows
        if all(
            px / 4 >= 12
            for name, px in zip(names[row["scene_name"]], most[row["scene_name"]], strict=True)
            if name in row["objects"]
        )
    ]
    assert [row["id"] for row in asked.rows] == seen
    assert 0 < len(seen) < len(rows) and asked.unseen == len(rows) - len(seen)


# -- what is told ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shapes, line",
    [
        ([(8, 252, 336, 3)], "8 frames of 336 × 252: 432 video tokens a clip"),
        ([(8, 480, 640, 3)], "8 frames of 640 × 480, resized to 644 × 476: 1,564 video tokens a clip"),
        ([(32, 968, 1296, 3)], "32 frames of 1296 × 968, resized to 1288 × 980: 25,760 video tokens a clip"),
        (
            [(8, 112, 112, 3), (4, 84, 112, 3)],
            "4 to 8 frames of 112 × 84 to 112 × 112: 24 to 64 video tokens a clip (2 clips)",
        ),
        ([(1, 28, 28, 3)], "1 frame of 28 × 28, resized to 56 × 56: 4 video tokens a clip"),
        ([], "no clip"),
    ],
)
def test_what_clips_cost_is_told_in_a_line(shapes, line):
    assert cost_told(shapes, BOUNDS) == line


def test_a_model_on_what_it_never_learnt_is_warned_of():
    taught = Taught((), {}, rooms=("procedural",), frames=8, size_px=112)
    assert unlearnt(taught, ["procedural"], [(8, 112, 112, 3)], BOUNDS) == []
    assert unlearnt(None, ["scannet"], [(16, 480, 640, 3)], BOUNDS) == []
    assert unlearnt(taught, ["scannet", "procedural"], [(16, 480, 640, 3)], BOUNDS) == [
        "warning: the model never learnt from rooms of scannet; it was shown rooms of procedural only",
        "warning: the model never learnt from clips of 16 frames; it was shown clips of 8",
        "warning: the model never learnt from frames of 644 × 476; it was shown frames of 112 × 112",
    ]


def test_an_adapter_that_is_shown_more_than_it_was_trained_on_is_warned_of():
    config = {"profile": {"num_frames": 8, "size_px": 112}}
    assert trained_otherwise(config, [(8, 84, 112, 3)]) is None
    assert trained_otherwise({}, [(9, 480, 640, 3)]) is None
    line = trained_otherwise(config | {"pixels": 50_176}, [(16, 280, 364, 3)])
    assert "on 8 frames of at most 50,176 pixels and is shown 16 of up to 101,920: --frames 8 --pixels 50176" in line


# -- rows --------------------------------------------------------------------------------------------------------------

ROW = {"id": 7, "dataset": "d", "scene_name": "s", "question_type": "object_counting", "options": None}
ROW |= {"question": "How many chair(s) are in this room?", "ground_truth": "4"}


@pytest.mark.parametrize("mode, use", [("vanilla", "eval"), ("think", "train"), ("vsi-bench", "eval")])
def test_a_prompts_tokens_are_those_that_the_model_reads(processor, mode, use):
    clip = np.zeros((4, 84, 112, 3), np.uint8)
    found = check_questions([ROW], {"s": clip}, processor, {"mode": mode, "prompt_set": use})
    inputs = chat_inputs(processor, chat_messages(ROW, mode, use), clip)
    assert not found.faults and found.rows[0].prompt_tokens == inputs["input_ids"].shape[1]
    blind = check_questions([ROW], None, processor, {"mode": mode, "prompt_set": use}).rows[0]
    assert blind.prompt_tokens == chat_inputs(processor, chat_messages(ROW, mode, use))["input_ids"].shape[1]


@pytest.mark.parametrize(
    "change, stage, words",
    [
        ({"question": "Is it <|im_end|>?"}, "template", "hold '<|im_end|>'"),
        ({"ground_truth": "?"}, "answer", "the right answer, '?', is not read"),
        (
            {"question_type": "object_rel_distance", "question": "Which (bed, tv)?", "ground_truth": "sofa"},
            "answer",
            "",
        ),
        ({"ground_truth": "4", "question": "?"}, "", ""),
    ],
)
def test_a_row_that_cannot_be_asked_or_paid_is_found(processor, change, stage, words):
    found = check_row_of("line 3", ROW | change, {"s": 4}, processor)
    assert found.stage == stage and words in found.fault


def test_a_right_answer_that_is_not_paid_in_full_is_found(processor, monkeypatch):
    monkeypatch.setattr("vsr_kit.evaluation.preflight.accuracy_reward", lambda *given: 0.5)
    found = check_questions([ROW], None, processor, {})
    assert found.faults[0].fault == "the right answer, '4', is read as '4' and earns 0.50, not 1.00"
    with pytest.raises(ValueError, match=r"1 of 1 rows .* row 7 of 's': .* vsr preflight --rooms there lists"):
        refuse_faults(found, "there")


# -- commands ----------------------------------------------------------------------------------------------------------


def test_preflight_lists_every_fault_of_a_folder_and_goes_on(built, tmp_path):
    lines = (built / "questions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    broken = rows[-1]["scene_name"]
    (built / "procedural" / f"{broken}.mp4").write_bytes(b"no video")
    rows[0]["question"] += " <|im_end|>"  # which the reader of rows refuses already
    rows[1]["question_type"] = "no such type"
    rows[3]["id"] = rows[2]["id"]
    (built / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = vsr("preflight", "--rooms", built, "--out", tmp_path / "found.jsonl")
    assert done.exit_code == 1, done.output
    assert "8 frames of 56 × 56: 16 video tokens a clip (2 clips)" in done.output
    assert f"broken clip: {built}/procedural/{broken}.mp4: not readable as video" in done.output
    found = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    clips = [one for one in found if one["about"] == "clip"]
    assert [one.get("video_tokens") for one in clips].count(16) == 2 and len(clips) == 3
    by_stage = {}
    for one in found[len(clips) :]:
        by_stage.setdefault(one.get("stage"), []).append(one)
    assert [one["id"] for one in by_stage["row"]] == [row["id"] for row in (rows[0], rows[1], rows[3])]
    for one, words in zip(by_stage["row"], ("<|im_end|>", "must be one of", "is that of line 3, too"), strict=True):
        assert words in one["fault"]
    assert {one["scene_name"] for one in by_stage["clip"]} == {broken}
    assert sum(map(len, by_stage.values())) == len(rows)
    assert all(one["prompt_tokens"] > 16 for one in by_stage[None])


def test_preflight_of_a_sound_folder_says_so(film, tmp_path):
    done = vsr("preflight", "--rooms", film, "--preset", "vsi-bench", "--frames", 4, "--out", tmp_path / "found.jsonl")
    assert done.exit_code == 0, done.output
    assert "every row can be used" in done.output and "2 rows about 1 clips" in done.output
    assert "4 frames of 640 × 480" in done.output and "warning: the model never learnt from rooms of ark" in done.output
    assert vsr("preflight", "--rooms", 2, "--frames", 2, "--size", 28, "--out", tmp_path / "x").exit_code == 0


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """vsr eval without a model: what generate was given is kept."""
    seen = []

    class Said:
        text, num_tokens, truncated = "4", 1, False

    def generate(loaded, rows, clips, **how):
        seen.append({"shapes": {row["scene_name"]: clips[row["scene_name"]].shape for row in rows}, **how})
        return [[Said] for _ in rows]

    monkeypatch.setattr("vsr_kit.models.loading.load_model", lambda *given, **how: seen.append("loaded"))
    monkeypatch.setattr("vsr_kit.generation.generate", generate)
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "runs"))
    return seen


def test_eval_tells_what_clips_cost_before_it_loads_and_refuses_rows_that_cannot_be_asked(asked, film, monkeypatch):
    done = vsr("eval", "--rooms", film, "--pixels", 84 * 112, "--frames", 4)
    assert done.exit_code == 0, done.output
    assert "4 frames of 112 × 84: 24 video tokens a clip\n" in done.output
    assert asked[0] == "loaded" and asked[1]["shapes"] == {"41069021": (4, 84, 112, 3)}
    asked.clear()
    monkeypatch.setattr("vsr_kit.evaluation.preflight.accuracy_reward", lambda text, row, *how: row["id"] / 2)
    done = vsr("eval", "--rooms", film)
    assert "1 of 2 rows cannot be used: row 1 of '41069021'" in str(done.exception) and asked == []
    assert len(run_folders()) == 1


def test_the_benchmarks_preset_is_its_protocol_and_typed_flags_win(asked, film):
    done = vsr("eval", "--rooms", film, "--preset", "vsi-bench", "--frames", 6)
    assert done.exit_code == 0, done.output
    assert "preset vsi-bench sets --mode vsi-bench --pixels 401408 --per-type 0 --max-new-tokens 16" in done.output
    assert "--harness official; typed: --frames 6" in done.output
    how = asked[1]
    assert how["shapes"] == {"41069021": (6, 480, 640, 3)}
    assert (how["mode"], how["max_new_tokens"], how["temperature"]) == ("vsi-bench", 16, 0.0)
    (run,) = run_folders()
    assert run.config["config"]["preset"] == "vsi-bench" and list(run.summary["scores"]) == [
        "vsi-bench, own clip, official"
    ]
    assert {row["mode"] for row in run.read_predictions()} == {"vsi-bench"}
    resumed = vsr("eval", "--resume", run.path, "--preset", "vsi-bench")
    assert resumed.exit_code == 0 and "is finished" in resumed.output


def test_the_presets_prompts_are_the_benchmarks_own(film):
    count, direction = read_rows(film / "questions.jsonl")
    assert user_text(count, "vsi-bench") == (
        "These are frames of a video.\nHow many chair(s) are in this room?\n"
        "Please answer the question using a single word or phrase."
    )
    assert user_text(direction, "vsi-bench").endswith(
        "\nOptions:\nA. left\nB. right\nAnswer with the option's letter from the given choices directly."
    )


def test_an_unknown_preset_is_named():
    with pytest.raises(ValueError, match="preset is 'mmmu': choose one of vsi-bench"):
        with_preset("mmmu", {}, ())


def test_train_takes_frames_and_pixels_records_them_and_resumes_with_them(film, monkeypatch, tmp_path):
    from vsr_kit.training.run import Trained

    seen = []

    def train(profile, method, questions, *, run, **how):
        seen.append((profile.num_frames, {name: questions.clips[name].shape for name in questions.clips}))
        if len(seen) == 1:
            raise KeyboardInterrupt
        return Trained(None, run.adapter, [], 1, 6.0, 1.5, None)

    monkeypatch.setattr("vsr_kit.training.run.train", train)
    monkeypatch.setenv("VSR_RUNS", str(tmp_path / "runs"))
    lines = (film / "questions.jsonl").read_text().splitlines()
    rows = [json.loads(line) | {"id": f"{i}-{n}"} for i in range(4) for n, line in enumerate(lines)]
    (film / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    begun = vsr("train", "--rooms", film, "--frames", 4, "--pixels", 84 * 112, "--steps", 1)
    assert begun.exit_code == 130, begun.output
    assert "4 frames of 112 × 84: 24 video tokens a clip" in begun.output
    (run,) = run_folders()
    assert isinstance(run, RunFolder)
    assert "the run has 4" in str(vsr("train", "--resume", run.path, "--frames", 8).exception)
    done = vsr("train", "--resume", run.path, "--frames", 4, "--pixels", 84 * 112)
    assert done.exit_code == 0, done.output
    assert seen == [(4, {"41069021": (4, 84, 112, 3)})] * 2


def test_what_an_earlier_version_began_is_shown_whole_frames_as_then(built):
    settings = {"rooms": str(built), "split": "test", "phrasing": "vsi-bench", "per_type": 0, "frames": 4, "size": 28}
    settings |= {"clip": "own"}
    now, then = (next(iter(_questions(own, 0).clips.values())) for own in (settings | {"pixels": None}, settings))
    assert now.shape == (4, 28, 28, 3) and then.shape == (4, 56, 56, 3)


def test_clips_that_were_read_ahead_can_be_copied(built):
    clips = load_questions(built, num_frames=4).clips
    scenes = list(clips)
    clips.ahead(scenes)
    assert np.array_equal(copy.deepcopy(clips)[scenes[0]], clips[scenes[0]])


def test_a_folder_is_not_read_where_nothing_is_shown(built):
    for path in built.glob("*/*.mp4"):
        path.unlink()
    assert load_questions(built, blind=True).rows and load_questions(built, blind=True).clips == {}
