"""Rows about pictures in other projects' layouts: read, paid by what equals the truth, and trained on."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from vsr_kit.data import check_row, fitted_size, read_picture, read_picture_rows
from vsr_kit.evaluation import intervals, score
from vsr_kit.prompts import chat_messages, judging, parse_answer, user_text
from vsr_kit.prompts.mathematics import read_formula
from vsr_kit.questions import MATHEMATICS, QUESTION_TYPES, TYPE_GROUPS, make_questions
from vsr_kit.rewards import accuracy_reward, hard_reward, make_reward_funcs, right_answer
from vsr_kit.rooms import make_rooms
from vsr_kit.videos import write_mp4

FREE = {"id": 1, "dataset": "d", "scene_name": "s", "question_type": MATHEMATICS, "question": "?", "options": None}
LETTERS = FREE | {"options": ["A. 30°", "B. $\\frac{1}{2}$", "C. 2π", "D. 2"], "ground_truth": "B"}


def png(colour="red", size=(40, 30), mode="RGB") -> bytes:
    kept = io.BytesIO()
    Image.new(mode, size, colour).save(kept, "PNG")
    return kept.getvalue()


def said(text, truth, **more):
    """What a completion earns where the truth is a free answer."""
    return accuracy_reward(text, FREE | {"ground_truth": truth} | more)


@pytest.fixture
def folder(tmp_path):
    """Two pictures and a video."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "red.png").write_bytes(png())
    (tmp_path / "images" / "blue.png").write_bytes(png("blue", (60, 90)))
    write_mp4(tmp_path / "clip.mp4", np.full((4, 56, 56, 3), 90, np.uint8))
    return tmp_path


def written(folder, *records, name="rows.jsonl"):
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


# -- layouts -----------------------------------------------------------------------------------------------------------

RL = {"problem": "<image>Find $x$.", "answer": "\\frac{1}{2}", "images": ["images/red.png"]}
CHOICES = "<image>What is the area?\nChoices:\nA: 2π\nB: 3π\nC: 6π\nD: 8π"
VIDEO = {
    "problem_id": 7,
    "problem": "What moves?",
    "data_type": "video",
    "problem_type": "multiple choice",
    "options": ["A. a car", "B. a dog"],
    "solution": "<answer>B</answer>",
    "path": "./clip.mp4",
}
VISTA = {
    "pid": "12",
    "question": "How long is it?",
    "image": "images/blue.png",
    "choices": None,
    "unit": "cm",
    "precision": 1.0,
    "answer": "2.5",
    "question_type": "free_form",
    "answer_type": "float",
}
COLD = {
    "id": "c1",
    "image": "images/red.png",
    "conversations": [
        {"from": "human", "value": "<image>\nHow many?"},
        {"from": "gpt", "value": "<think>\nOne, two.\n</think>\n\n**Final Answer**\n\n\\boxed{2}"},
    ],
}
MULBERRY = {
    "id": "m1",
    "images": ["images/blue.png"],
    "messages": [
        {"role": "user", "content": "<image>Which?\nA: 3\nB: 4"},
        {"role": "assistant", "content": "<think>It is four.</think> <answer>B</answer>"},
    ],
}


def test_rows_of_every_layout_are_read_from_one_file(folder):
    listed = RL | {"problem": CHOICES, "answer": "C"}
    read = read_picture_rows(written(folder, RL, listed, VIDEO, VISTA, COLD, MULBERRY), num_frames=4)
    rl, choice, video, vista, cold, mulberry = read.rows
    assert {row["question_type"] for row in read.rows} == {MATHEMATICS} and rl["dataset"] == "rows"
    assert (rl["question"], rl["options"], rl["ground_truth"]) == ("Find $x$.", None, "\\frac{1}{2}")
    assert (choice["question"], choice["ground_truth"]) == ("What is the area?", "C")
    assert choice["options"] == ["A. 2π", "B. 3π", "C. 6π", "D. 8π"]
    assert (video["id"], video["options"], video["ground_truth"]) == (7, ["A. a car", "B. a dog"], "B")
    assert (vista["question"], vista["precision"]) == ("How long is it? (Unit: cm)", 1.0)
    assert (vista["id"], vista["unit"], vista["answer_type"]) == ("12", "cm", "float")
    assert (cold["question"], cold["ground_truth"]) == ("How many?", "2")
    assert (mulberry["question"], mulberry["options"]) == ("Which?", ["A. 3", "B. 4"])
    assert read.completions == {
        "c1": "<think>One, two.</think> <answer>2</answer>",
        "m1": "<think>It is four.</think> <answer>B</answer>",
    }
    assert [row["data_type"] for row in read.rows].count("video") == 1 and read.left_out == ()
    shapes = [read.clips[row["scene_name"]].shape for row in (rl, video, vista)]
    assert shapes == [(2, 28, 28, 3), (4, 56, 56, 3), (2, 84, 56, 3)]
    assert rl["scene_name"] == choice["scene_name"] == cold["scene_name"] == os.path.join("images", "red.png")


def test_chains_of_video_r1_and_pictures_within_the_row_are_read(folder):
    bytes_in_table = {"bytes": png("green"), "path": "nowhere.png"}
    frame = pd.DataFrame(
        [
            RL | {"images": [bytes_in_table], "answer": "3"},
            RL | {"images": [bytes_in_table], "answer": "4"},
            RL | {"images": [{"bytes": None, "path": "images/red.png"}], "answer": "5"},
        ]
    )
    frame.to_parquet(folder / "table.parquet")
    read = read_picture_rows(folder / "table.parquet")
    scenes = [row["scene_name"] for row in read.rows]
    assert scenes[0] == scenes[1] != scenes[2] and scenes[0].startswith("sha256-") and len(read.clips) == 2
    assert (read.clips[scenes[0]] == (0, 128, 0)).all()
    within = RL | {"images": [{"bytes": base64.b64encode(png("lime", (300, 200))).decode()}]}
    chain = VIDEO | {"process": "<think>A dog runs.</think>"}
    read = read_picture_rows(written(folder, within, chain))
    assert (read.clips[read.rows[0]["scene_name"]] == (0, 255, 0)).all()
    assert read.completions == {7: "<think>A dog runs.</think> <answer>B</answer>"}


def test_mathvistas_picture_lies_in_the_table_and_its_choice_is_named_by_its_text(folder):
    row = VISTA | {
        "decoded_image": {"bytes": png()},
        "image": "gone.jpg",
        "choices": ["5", "−5", "0.5"],
        "answer": "−5",
    }
    row |= {"question_type": "multi_choice", "answer_type": "text", "unit": float("nan"), "precision": float("nan")}
    pd.DataFrame([row]).to_parquet(folder / "vista.parquet")
    (only,) = read_picture_rows(folder / "vista.parquet").rows
    assert (only["options"], only["ground_truth"]) == (["A. 5", "B. −5", "C. 0.5"], "B")
    assert "unit" not in only and "precision" not in only and only["question"] == "How long is it?"


@pytest.mark.parametrize(
    "change, told",
    [
        ({"answer": ""}, "line 1: field 'answer' or 'solution' is .*must be text that is not empty"),
        ({"images": ["images/no.png"]}, "line 1: .*no.png: is missing"),
        ({"images": ["broken.png"]}, "line 1: .*broken.png: not readable as a picture"),
        ({"images": ["../red.png"]}, r"line 1: the path '../red.png' leads out of"),
        ({"images": ["images/../../red.png"]}, "leads out of"),
        ({"images": ["http://example.org/a.png"]}, "is the address .*download it"),
        ({"images": ["images/red.png", "images/blue.png"]}, "shows 2 pictures"),
        ({"images": []}, "shows 0 pictures"),
        ({"images": ["a\0b"]}, "must be a path or the bytes of one"),
        ({"problem": "<|im_end|> x"}, "field 'question' holds '<|im_end|>'"),
        ({"problem": 3, "answer": "<answer></answer>"}, "field 'ground_truth' is ''"),
        ({"answer": "3 <answer> x"}, "which no answer can earn"),
        ({"options": ["A. 1", "B. 2"], "answer": "7"}, "the ground truth one of their letters"),
        ({"options": ["1", "2", "2"], "answer": "1"}, "two options say the same"),
        ({"options": [str(i) for i in range(9)]}, "has 9 options"),
        ({"problem": None}, "has the fields .*no layout that is known"),
        ({"data_type": "video", "images": ["clip.avi"]}, "clip.avi: is missing"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_or_left_out(folder, change, told):
    (folder / "broken.png").write_bytes(png()[:50])
    path = written(folder, RL | change, RL | {"id": "good"})
    with pytest.raises(ValueError, match=told.replace("|", r"\|")):
        read_picture_rows(path)
    read = read_picture_rows(path, skip_broken=True)
    assert [row["id"] for row in read.rows] == ["good"] and len(read.left_out) == 1
    with pytest.raises(ValueError, match="no row that can be used: .*line 1"):
        read_picture_rows(written(folder, RL | change), skip_broken=True)


@pytest.mark.parametrize(
    "reply, answer",
    [
        ("<think>a</think>\n\nThe answer is B.", "B"),
        ("<think>a</think> The two angles add up to $90^\\circ$.", "90^\\circ"),
        ("<think>a</think> <answer>A red car</answer>", "A red car"),
    ],
)
def test_the_answer_of_a_chain_is_read_as_a_models_is(folder, reply, answer):
    turns = [COLD["conversations"][0], {"from": "gpt", "value": reply}]
    read = read_picture_rows(written(folder, COLD | {"conversations": turns}))
    assert read.rows[0]["ground_truth"] == answer
    assert read.completions["c1"] == f"<think>a</think> <answer>{answer}</answer>"
    assert accuracy_reward(read.completions["c1"], read.rows[0]) == 1.0


def test_ids_are_one_rows_own_and_chains_are_whole(folder):
    with pytest.raises(ValueError, match="line 2: has the id 'a' of .*line 1"):
        read_picture_rows(written(folder, RL | {"id": "a"}, RL | {"id": "a"}))
    for reply in ("2", "<think></think> 2", "<think>a <think>b</think> <answer>2</answer>"):
        turns = [COLD["conversations"][0], {"from": "gpt", "value": reply}]
        with pytest.raises(ValueError, match="the reply is|holds the tag"):
            read_picture_rows(written(folder, COLD | {"conversations": turns}))
    with pytest.raises(ValueError, match="1 turns of a user and 0 of an assistant"):
        read_picture_rows(written(folder, COLD | {"conversations": COLD["conversations"][:1]}))


def test_paths_begin_where_the_root_is_and_absolute_ones_are_taken(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    path = written(other, RL, RL | {"id": 2, "images": [str(folder / "images" / "blue.png")]})
    assert len(read_picture_rows(path, root=folder).rows) == 2
    with pytest.raises(ValueError, match="line 1: .*red.png: is missing"):
        read_picture_rows(path)


# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "height, width, most, size",
    [
        (28, 28, 784, (28, 28)),
        (10, 10, 784, (28, 28)),
        (60, 90, 10_000, (56, 84)),
        (1000, 2000, 401_408, (448, 896)),
        (4000, 30, 7840, (280, 28)),
    ],
)
def test_pictures_fit_into_whole_patches(height, width, most, size):
    fitted = fitted_size(height, width, most)
    assert fitted == size and fitted[0] * fitted[1] <= most


def test_sizes_are_those_of_qwen2_vls_own_processor():
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    for height, width in np.random.default_rng(0).integers(30, 3000, (200, 2)).tolist():
        own = smart_resize(height, width, factor=28, min_pixels=1, max_pixels=401_408)
        assert fitted_size(height, width, 401_408) == own


def test_pictures_are_upright_over_white_and_not_too_large(tmp_path):
    clear = Image.new("RGBA", (28, 28), (0, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert (read_picture(tmp_path / "clear.png") == 255).all()
    turned = Image.new("RGB", (56, 28), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert read_picture(tmp_path / "turned.jpg").shape == (2, 56, 28, 3)
    Image.new("1", (12_000, 9_000)).save(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="12000 × 9000 px, above 100,000,000"):
        read_picture(tmp_path / "bomb.png")
    with pytest.raises(ValueError, match="more than 200 times as long as wide"):
        read_picture(png(size=(2100, 10)))
    with pytest.raises(ValueError, match="pixels is 100"):
        read_picture(png(), 100)


def test_a_picture_twice_is_what_the_processor_makes_of_an_image():
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from vsr_kit.models.vision import Qwen2VLVideoProcessor

    pixels = np.random.default_rng(0).integers(0, 256, (56, 84, 3), dtype=np.uint8)
    kept = io.BytesIO()
    Image.fromarray(pixels).save(kept, "PNG")
    size = {"shortest_edge": 784, "longest_edge": 401_408}
    clip = Qwen2VLVideoProcessor(size=size)(videos=[read_picture(kept.getvalue())], return_tensors="np")
    image = Qwen2VLImageProcessorPil(size=size)(images=[Image.fromarray(pixels)], return_tensors="np")
    assert np.asarray(clip["video_grid_thw"]).tolist() == np.asarray(image["image_grid_thw"]).tolist() == [[1, 4, 6]]
    np.testing.assert_allclose(clip["pixel_values_videos"], image["pixel_values"], atol=1e-5)


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, truth",
    [
        ("0.5", "1/2"),
        ("\\frac{1}{2}", "0.5"),
        ("$\\dfrac12$", "1/2"),
        ("<think>x</think> <answer>$\\frac{1}{2}$</answer>", "0.5"),
        ("The area is 12 cm.", "12"),
        ("12", "12 cm"),
        ("0.12 m", "12 cm"),
        ("<think>9</think>\n\n**Final Answer**\n\n10√3", "10\\sqrt{3}"),
        ("So\n\\boxed{\\frac{3}{4}}", "0.75"),
        ("2π", "2\\pi"),
        ("sqrt(2)/2", "\\frac{\\sqrt{2}}{2}"),
        ("x = 3", "3"),
        ("45°", "45^\\circ"),
        ("1.5e3", "1,500"),
        ("1 1/2", "1.5"),
        ("{2, 1}", "\\{1,2\\}"),
        ("[1, 2.0]", "[1,2]"),
        ("(x-1)(x+1)", "x^2-1"),
        ("−3", "-3"),
        ("YES.", "yes"),
        ("(A)", "A"),
        ("**12**", "12"),
        ("There are 12 apples.", "12"),
    ],
)
def test_answers_that_equal_the_truth_are_paid(text, truth):
    assert said(text, truth) == 1.0
    assert right_answer(text, FREE | {"ground_truth": truth})
    assert said(truth, truth) == 1.0


@pytest.mark.parametrize(
    "text, truth",
    [
        ("0.4", "1/2"),
        ("3 or 4", "3"),
        ("3, 4", "3"),
        ("There are 3 or 4 apples", "3"),
        ("not 3 apples, I think", "3"),
        ("at least 3 apples", "3"),
        ("maybe 5, 3", "3"),
        ("12 m", "12 cm"),
        ("12 m^2", "12 m"),
        ("on", "no"),
        ("[2, 1]", "[1, 2]"),
        ("(2, 1)", "(1, 2)"),
        ("-3", "3"),
        ("three", "3"),
        ("", "3"),
        ("<answer></answer>", "3"),
        ("3}{\\badcmd", "3"),
        ("<think>3", "3"),
        ("3" * 3000, "3"),
    ],
)
def test_answers_that_do_not_are_not(text, truth):
    assert said(text, truth) == 0.0
    assert not right_answer(text, FREE | {"ground_truth": truth})


@pytest.mark.parametrize(
    "text, truth, more, paid",
    [
        ("2.54", "2.5", {"precision": 1.0}, 1),
        ("2.56", "2.5", {"precision": 1.0}, 0),
        ("\\frac{1}{3}", "0.33", {"precision": 2}, 1),
        ("0.3", "0.33", {"precision": 2}, 0),
        ("$1.45", "1.45", {"unit": "$", "precision": 2.0}, 1),
        ("0.12 m", "12", {"unit": "cm"}, 1),
        ("12 m", "12", {"unit": "cm"}, 0),
        ("12 m^2", "12", {"unit": "m"}, 0),
        ("12 kg", "12", {"unit": "kg"}, 1),
        ("3.7", "3", {"answer_type": "integer"}, 0),
    ],
)
def test_mathvistas_precision_and_unit_count(text, truth, more, paid):
    assert said(text, truth, **more) == paid


@pytest.mark.parametrize(
    "text, letter",
    [
        ("B", "B"),
        ("(b)", "B"),
        ("The answer is D.", "D"),
        ("C) 2π", "C"),
        ("option B because it halves", "B"),
        ("\\boxed{C}", "C"),
        ("30°", "A"),
        ("The answer is 30 degrees", "A"),
        ("$\\frac12$", "B"),
        ("0.5", "B"),
        ("2", "D"),
        ("2.7", None),
        ("E", None),
        ("A or B", None),
        ("A) 2", None),
        ("none of them", None),
    ],
)
def test_options_are_named_by_letter_or_by_what_equals_their_text(text, letter):
    parsed = parse_answer(text, LETTERS)
    assert (parsed.value, parsed.kind) == (letter, "letter") and (parsed.reason is None) == (letter is not None)
    assert accuracy_reward(text, LETTERS) == float(letter == "B")


def test_the_hard_reward_asks_for_tags_and_a_right_formula():
    columns = {"question_type": [MATHEMATICS] * 3, "ground_truth": ["1/2"] * 3}
    texts = ["<think>half</think> <answer>0.5</answer>", "0.5", "<think>half</think> <answer>0.6</answer>"]
    assert hard_reward("think")(texts, **columns) == [1.0, 0.0, 0.0]
    accuracy, format_ = make_reward_funcs("think")
    assert accuracy(texts, **columns) == [1.0, 1.0, 0.0] and format_(texts, **columns) == [1.0, 0.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("bomb", ["9**9**9**9", "99999999!"])
def test_a_formula_that_no_computer_evaluates_is_wrong_after_seconds(bomb, monkeypatch):
    monkeypatch.setattr(judging, "CPU_SECONDS", 1)
    judging._JUDGE.end()
    began = time.monotonic()
    assert said(bomb, "5") == 0.0
    assert time.monotonic() - began < judging.WALL_SECONDS
    assert said("\\frac{10}{4}", "2.50") == 1.0  # the next one is judged as if nothing had been
    judging._JUDGE.end()


def test_threads_may_judge():
    found = []
    threads = [threading.Thread(target=lambda n=n: found.append(said(f"{n}/8", str(n / 8)))) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1.0] * 4


def test_without_math_verify_a_row_of_mathematics_says_what_to_install(monkeypatch, folder):
    monkeypatch.setattr(judging.importlib.util, "find_spec", lambda name: None)
    for asked in (
        lambda: said("3", "3"),
        lambda: parse_answer("A", LETTERS),
        lambda: read_picture_rows(written(folder, RL), skip_broken=True),
    ):
        with pytest.raises(ImportError, match=r"vsr-kit\[mathematics\]"):
            asked()
    assert parse_answer("3", FREE | {"question_type": "object_counting"}).value == "3"


def test_points_in_a_free_question_are_no_choices():
    row = FREE | {"question": "What is the midpoint of (0, 1) and (2, 3)?", "ground_truth": "(1, 2)"}
    assert parse_answer("(1,2)", row).kind == "formula"
    assert accuracy_reward("(1,2)", row) == 1.0 and accuracy_reward("(0, 1)", row) == 0.0


def test_reading_a_formula_twice_changes_nothing():
    for text in ("The area is 12 cm.", "\\boxed{\\frac{1}{2}}", "**x = 3**", "3 or 4", "$2\\pi$.", "[1, 2]", "$$"):
        assert read_formula(read_formula(text)) == read_formula(text)


# -- the type among the others -----------------------------------------------------------------------------------------


def test_the_type_is_in_no_mean_of_the_benchmark():
    counting = {**FREE, "id": 2, "question_type": "object_counting", "ground_truth": "4", "prediction": "4"}
    rows = [FREE | {"ground_truth": "1/2", "prediction": "0.6"}, counting]
    table = score(rows, "lenient")
    assert (table.overall, table.trained, table.tasks[MATHEMATICS]) == (1.0, 1.0, 0.0)
    assert score(rows[:1], "lenient").overall is None
    found = intervals(rows)
    assert (found["overall"].mean, found["overall"].n, found[MATHEMATICS].mean) == (100.0, 1, 0.0)
    assert "multi_step" not in found
    assert MATHEMATICS in QUESTION_TYPES and not any(MATHEMATICS in group for group in TYPE_GROUPS.values())
    with pytest.raises(ValueError, match="'mathematics' is asked about no room"):
        make_questions(next(iter(make_rooms(1))), types=(MATHEMATICS,))


def test_rows_are_checked_like_all_others():
    assert check_row(FREE | {"ground_truth": 0.5}, "row 1")["ground_truth"] == "0.5"
    for change, told in [
        ({"precision": 1.5}, "field 'precision' is 1.5"),
        ({"unit": 3}, "field 'unit' is 3"),
        ({"data_type": "sound"}, "field 'data_type' is 'sound'"),
        ({"ground_truth": "<answer>"}, "which no answer can earn"),
        ({"ground_truth": "12 kg", "unit": "12 kg"}, None),
    ]:
        if told:
            with pytest.raises(ValueError, match=told):
                check_row(FREE | {"ground_truth": "3"} | change, "row 1")
        else:
            check_row(FREE | change, "row 1")


def test_prompts_do_not_call_a_picture_a_video():
    still, moving = FREE | {"data_type": "image"}, FREE | {"data_type": "video"}
    assert user_text(still, "think", "train").startswith("?\nPlease think step by step and enclose")
    assert user_text(still, "vanilla") == "?\nPlease answer the question using a single word or phrase."
    assert user_text(moving).startswith("These are frames of a video.\n?")
    assert "A. 30°\nB. $" in user_text(LETTERS)
    assert [block["type"] for block in chat_messages(still)[0]["content"]] == ["video", "text"]


def test_wrong_answers_of_pairs_do_not_equal_the_truth():
    from vsr_kit.training.supervised_trainers import corrupted_pairs

    rows = [FREE | {"id": i, "ground_truth": truth} for i, truth in enumerate(["1/2", "0.5", "\\frac{1}{2}", "7"])]
    pairs = corrupted_pairs([*rows, LETTERS | {"id": 9}])
    assert pairs["rejected"][:3] == ["7", "7", "7"] and pairs["rejected"][3] != "7"
    assert pairs["rejected"][4] in {"A", "C", "D"}


# -- training ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Four rows about two pictures, two of them with chains."""
    folder = tmp_path_factory.mktemp("four")
    (folder / "a.png").write_bytes(png("red", (112, 112)))
    (folder / "b.png").write_bytes(png("blue", (112, 84)))
    chain = [{"from": "human", "value": "<image>How many?"}, {"from": "gpt", "value": "<think>I see 2.</think> 2"}]
    vista = VISTA | {"image": "b.png", "unit": None}
    vista = {name: value for name, value in vista.items() if value is not None}
    path = written(
        folder,
        RL | {"images": ["a.png"]},
        vista,
        COLD | {"image": "a.png", "conversations": chain},
        COLD | {"id": "c2", "image": "b.png", "conversations": chain},
    )
    return read_picture_rows(path, max_pixels=112 * 112)


def test_columns_of_unlike_rows_make_a_data_set(four):
    from vsr_kit.training.video_mixin import training_rows

    data = training_rows(four.rows, "think")
    assert data["ground_truth"] == ["\\frac{1}{2}", "2.5", "2", "2"] and data["precision"] == [None, 1.0, None, None]


@pytest.mark.slow
def test_grpo_and_sft_train_on_pictures(four):
    from dataclasses import replace

    from vsr_kit.training.methods import GRPO, SFT
    from vsr_kit.training.profiles import get_profile
    from vsr_kit.training.run import train

    mini = get_profile("mini")
    small = replace(mini, steps=2, num_generations=2, questions_per_step=2, groups_per_pass=2, max_chain_tokens=12)
    logs = train(small, GRPO("think", rewards=(hard_reward("think"),)), four, quiet=True).logs
    names = {name for log in logs for name in log}
    assert {"rewards/accuracy_reward/mean", "rewards/hard_format_result_reward/mean"} <= names
    learnt = train(small, SFT("think", targets=four.completions), four, quiet=True)
    losses = [log["loss"] for log in learnt.logs if "loss" in log]
    assert learnt.steps == 2 and len(losses) == 2 and all(np.isfinite(losses))
