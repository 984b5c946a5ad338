"""NVLM's tags: the prompt without them is the ordinary one, with them it is what transformers makes of pieces."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.tiny import tiny_clip, tiny_of_family
from vsr_kit.claims.recipe import SEEDS
from vsr_kit.cli import app
from vsr_kit.evaluation.preflight import check_row_of
from vsr_kit.models.vision import chat_ids, chat_inputs, encode_clip, rope_positions
from vsr_kit.prompts import chat_messages, tagged
from vsr_kit.prompts.frame_tags import frame_tags
from vsr_kit.recipes import nvlm
from vsr_kit.sharing import encode_prompt, give_scores, prefill, score
from vsr_kit.sharing.reference import plain_logps

ROW = {
    "id": "r/0",
    "dataset": "procedural",
    "scene_name": "r",
    "question_type": "obj_appearance_order",
    "question": "Which?",
    "options": ["A. a, b", "B. b, a"],
    "ground_truth": "A",
}
CLIP = tiny_clip(1, 6)  # three pairs of frames, 2 x 2 merged tokens each


@pytest.fixture(scope="module")
def loaded(tiny_path):
    from vsr_kit.models.loading import load_model

    return load_model(tiny_path, quiet=True)


def _row(tagging):
    return tagged([ROW], {"r": CLIP}, tagging)[0]


def test_tags_are_counted_and_shuffled_by_the_clips_name_alone():
    assert frame_tags(3) == ["<frame_1>", "<frame_2>", "<frame_3>"] and frame_tags(3, "none") == []
    orders = {tuple(frame_tags(4, "shuffled", f"room-{i}")) for i in range(60)}
    assert len(orders) > 12 and all(sorted(order) == frame_tags(4) for order in orders)
    first = [sum(order[0] == tag for order in orders) / len(orders) for tag in frame_tags(4)]
    assert max(first) < 0.5  # no tag stands for the beginning
    assert frame_tags(4, "shuffled", "room-1") == frame_tags(4, "shuffled", "room-1")
    assert len(tagged([ROW], {"r": tiny_clip(0, 5)})[0]["frame_tags"]) == 3  # the odd frame has its own
    assert "frame_tags" not in tagged([_row("right")], {}, "none")[0]


def test_what_cannot_be_tagged_is_named():
    with pytest.raises(ValueError, match="'left'"):
        frame_tags(3, "left")
    with pytest.raises(ValueError, match="no clip of scene 'r'"):
        tagged([ROW], {})


@pytest.mark.parametrize("row", [ROW, ROW | {"frame_tags": None}, ROW | {"frame_tags": []}, _row("none")])
def test_without_tags_it_is_the_ordinary_prompt_to_the_last_bit(loaded, row):
    messages = chat_messages(row)
    assert [block["type"] for block in messages[0]["content"]] == ["video", "text"]
    clip = encode_clip(loaded.model, loaded.processor, CLIP)
    prompt = encode_prompt(loaded.model, loaded.processor, messages, clip)
    inputs = chat_inputs(loaded.processor, chat_messages(ROW), CLIP)
    assert prompt.ids_P.tolist() == inputs["input_ids"][0].tolist()
    ((_, ordinary),) = prefill(
        loaded.model, [encode_prompt(loaded.model, loaded.processor, chat_messages(ROW), clip)], 1
    )
    ((_, own),) = prefill(loaded.model, [prompt], 1)
    assert torch.equal(own.logits_NW, ordinary.logits_NW)
    with torch.no_grad():
        plain = loaded.model(**inputs).logits[:, -1]
    torch.testing.assert_close(own.logits_NW, plain, rtol=1e-4, atol=1e-4)


def test_a_tag_stands_before_each_pair_of_frames(loaded):
    text = loaded.processor.tokenizer.decode(chat_ids(loaded.processor, chat_messages(_row("right")), (3, 4, 4)))
    pair = "<|vision_start|>" + 4 * "<|video_pad|>" + "<|vision_end|>"
    assert f"user\n<frame_1>{pair}<frame_2>{pair}<frame_3>{pair}These are frames" in text


@pytest.mark.parametrize("tagging", ["right", "shuffled"])
def test_a_tagged_prompt_is_what_transformers_makes_of_a_video_for_each_pair(loaded, tagging):
    """Pixels cut into pairs by hand and the model's own forward: the same ids, features, positions and logits."""
    model, processor = loaded.model, loaded.processor
    messages = chat_messages(_row(tagging))
    inputs = chat_inputs(processor, messages, CLIP)
    assert inputs["video_grid_thw"].tolist() == [[1, 4, 4]] * 3
    clip = encode_clip(model, processor, CLIP)
    pairs = [encode_clip(model, processor, CLIP[i : i + 2]).features_VD for i in (0, 2, 4)]
    torch.testing.assert_close(clip.features_VD, torch.cat(pairs), rtol=1e-4, atol=1e-5)
    prompt = encode_prompt(model, processor, messages, clip)
    assert prompt.ids_P.tolist() == inputs["input_ids"][0].tolist()
    ((_, own),) = prefill(model, [prompt], 1)
    with torch.no_grad():
        plain = model(**inputs).logits[:, -1]
    torch.testing.assert_close(own.logits_NW, plain, rtol=1e-4, atol=1e-4)


def test_training_reads_a_tagged_prompt_as_the_plain_model_does(loaded):
    """Tagged and untagged prompts about one clip in one packed pass, as a trainer scores answers."""
    model, processor = loaded.model, loaded.processor
    give_scores(model)
    asked = [chat_messages(_row(tagging)) for tagging in ("right", "none", "shuffled")]
    clip, answer = encode_clip(model, processor, CLIP), torch.tensor([5, 9, 11])
    prompts = [encode_prompt(model, processor, messages, clip) for messages in asked]
    with torch.no_grad():
        scored = score(model, prompts, [[answer]] * 3)
        for messages, (own,) in zip(asked, scored, strict=True):
            plain = plain_logps(model, processor, messages, CLIP, [answer])[0]
            torch.testing.assert_close(own.logps_T, plain, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(scored[0][0].logps_T, scored[2][0].logps_T, atol=1e-3)  # the model sees which tag it is


def test_a_pair_begins_where_the_text_before_it_ends(loaded):
    ids = chat_ids(loaded.processor, chat_messages(_row("right")), (3, 4, 4))
    positions, following = rope_positions(loaded.model, ids, (3, 4, 4))
    pads = (ids == loaded.processor.video_token_id).nonzero()[:, 0].tolist()
    for k in range(3):
        first = pads[4 * k]
        begin = int(positions[0, first - 1]) + 1
        assert positions[:, first : first + 4].tolist() == [
            [begin] * 4,
            [begin, begin, begin + 1, begin + 1],
            [begin, begin + 1] * 2,
        ]
        assert positions[:, first + 4].tolist() == [begin + 2] * 3
    assert following == int(positions.max()) + 1


def test_tags_for_another_number_of_frames_are_refused(loaded):
    messages = chat_messages(ROW | {"frame_tags": ["<frame_1>", "<frame_2>"]})
    with pytest.raises(ValueError, match=r"3 pairs of frames .* got 2"):
        chat_ids(loaded.processor, messages, (3, 4, 4))
    with pytest.raises(ValueError, match=r"3 pairs of frames .* got 2"):
        chat_inputs(loaded.processor, messages, CLIP)
    with pytest.raises(ValueError, match="special token"):
        chat_ids(loaded.processor, chat_messages(ROW | {"frame_tags": ["<|im_end|>"]}), (1, 4, 4))


def test_the_check_before_a_run_counts_a_tagged_prompts_tokens(loaded):
    for tagging in ("right", "none"):
        row = _row(tagging)
        found = check_row_of("row 1", row, {"r": 12}, loaded.processor)
        assert found.prompt_tokens == len(chat_ids(loaded.processor, chat_messages(row), (3, 4, 4)))


def test_the_recipe_says_what_runs_before_it_runs():
    assert {v.how.tags: [asked for asked, _, _ in v.asked] for v in nvlm.VARIANTS} == {
        "none": ["test-nvlm"],
        "right": ["test-nvlm-right", "test-nvlm-shuffled"],
        "shuffled": ["test-nvlm-shuffled"],
    }
    assert {(v.seeds, v.profile.steps, v.profile.learning_rate) for v in nvlm.VARIANTS} == {(SEEDS[:3], 480, 1e-3)}
    assert [v.trained_by.settings().get("tags", "none") for v in nvlm.VARIANTS] == ["none", "right", "shuffled"]
    assert nvlm.RECIPE.system.source == "arXiv 2409.11402"


def _answers(letter, seeds=3):
    rows = [ROW | {"id": f"r{i}/0", "scene_name": f"r{i}", "prediction": letter} for i in range(9)]
    return [rows] * seeds


def test_each_side_is_asked_with_its_own_tags():
    """Made-up answers that are right only where a variant is asked as the claim says."""
    good = {("nvlm-right", "test-nvlm-right"), ("base", "test-nvlm-right")}

    def asked(of, questions):
        return _answers("A" if (of, questions) in good else "B")

    evidence = SimpleNamespace(
        trained=lambda of, questions: asked(of, questions), base=lambda questions: asked("base", questions)[0]
    )
    found = nvlm.CLAIMS[0].measure(evidence)
    assert {name: one.mean for name, one in found.items()} == dict.fromkeys(found, 100.0) and len(found) == 4
    assert nvlm.CLAIMS[0].decide(found) == "reproduced"
    good.add(("nvlm-none", "test-nvlm"))  # as good without tags: then tags did not help
    assert nvlm.CLAIMS[0].decide(nvlm.CLAIMS[0].measure(evidence)) == "not reproduced"


def test_test_questions_differ_in_their_tags_alone(monkeypatch):
    monkeypatch.setattr(nvlm, "ORDER_ROOMS", {"test": 8})
    monkeypatch.setattr(nvlm, "DIRECTION_ROOMS", {"test": 2})
    nvlm._asked.cache_clear()
    try:
        sets = {name: make() for name, make in nvlm.RECIPE.question_sets.items() if name.startswith("test")}
    finally:
        nvlm._asked.cache_clear()
    assert {name: made.name for name, made in sets.items()} == {name: name for name in nvlm.TEST.values()}
    plain, *others = ([{**row, "frame_tags": None} for row in sets[name].rows] for name in nvlm.TEST.values())
    assert others == [plain, plain] and {row["question_type"] for row in plain} >= {nvlm.ORDER, nvlm.DIRECTIONS[0]}
    assert [row["frame_tags"] for row in sets["test-nvlm-right"].rows] == [frame_tags(4)] * len(plain)
    assert any(row["frame_tags"] != frame_tags(4) for row in sets["test-nvlm-shuffled"].rows)
    assert all(np.shape(sets["test-nvlm"].clips[row["scene_name"]])[0] == 8 for row in plain)


@pytest.mark.slow
def test_vsr_train_recipe_nvlm_tags_its_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    words = ["train", "--recipe", "nvlm", "--rooms", "2", "--steps", "2"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (config,) = tmp_path.glob("*/*-frame-tags/config.json")
    assert json.loads(config.read_text())["config"]["tags"] == "right"


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_other_families_take_tags_unless_they_tell_the_time_themselves(family, tmp_path):
    from vsr_kit.models.loading import load_model

    other = load_model(tiny_of_family(tmp_path / "model", family), device="cpu", quiet=True)
    clip, messages = encode_clip(other.model, other.processor, CLIP), chat_messages(_row("right"))
    if family == "qwen3_vl":
        with pytest.raises(ValueError, match="rows without tags"):
            encode_prompt(other.model, other.processor, messages, clip)
        return
    inputs = chat_inputs(other.processor, messages, CLIP)
    prompt = encode_prompt(other.model, other.processor, messages, clip)
    assert prompt.ids_P.tolist() == inputs["input_ids"][0].tolist()
    ((_, own),) = prefill(other.model, [prompt], 1)
    with torch.no_grad():
        plain = other.model(**inputs).logits[:, -1]
    torch.testing.assert_close(own.logits_NW, plain, rtol=1e-3, atol=1e-3)
