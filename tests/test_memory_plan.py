"""The memory plan: its sizes are the model's own, its sum is what real steps hold, and it says what to turn down."""

import dataclasses
import json
import re

import pytest
import torch

from benchmarks.live import LiveBytes
from benchmarks.memory import measured
from tests.tiny import TEXT, VISION, tiny_checkpoint, tiny_clip, tiny_of_family
from vsr_kit.models import dequantized, load_model
from vsr_kit.models.families import FAMILIES
from vsr_kit.models.vision import encode_clip
from vsr_kit.sharing import packing, scoring
from vsr_kit.training import memory
from vsr_kit.training.memory import Work, plan, weights
from vsr_kit.training.methods import make_method
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.shapes import KINDS, SHAPES, STAMP_TOKENS, shape_of

QWEN_2B = SHAPES["Qwen/Qwen2-VL-2B-Instruct"]
DEEP = TEXT | {"intermediate_size": 512, "num_hidden_layers": 4}
# each makes another phase the largest: completions, logits, the tower
CASES = {
    "update": ({"text": DEEP}, {"max_vanilla_tokens": 32, "num_generations": 8, "num_frames": 8}),
    "update, everything kept": (
        {"text": DEEP},
        {"max_vanilla_tokens": 32, "num_generations": 8, "num_frames": 8, "gradient_checkpointing": False},
    ),
    "update, logits": (
        {"text": DEEP | {"vocab_size": 50048, "num_hidden_layers": 2}},
        {"max_vanilla_tokens": 8, "num_generations": 8, "num_frames": 4, "quantize": "nf4"},
    ),
    "clip": (
        {"text": TEXT, "vision": VISION | {"embed_dim": 256, "num_heads": 4, "mlp_ratio": 4}},
        {"max_vanilla_tokens": 8, "num_frames": 16, "quantize": "nf4"},
    ),
    "rollouts": (
        {"text": DEEP | {"hidden_size": 256, "intermediate_size": 1024}},
        {"max_vanilla_tokens": 8, "num_frames": 8},
    ),
}
WIDE_TOWER = {"hidden_size": 256, "intermediate_size": 1024, "num_heads": 4}
FAMILY_CASES = {
    "qwen2_5_vl, update": ({"text": DEEP}, CASES["update"][1]),
    "qwen2_5_vl, clip": (WIDE_TOWER, CASES["clip"][1]),
    "qwen3_vl, update": ({"text": DEEP}, CASES["update, everything kept"][1]),
    "qwen3_vl, rollouts": ({"text": CASES["rollouts"][0]["text"]}, CASES["rollouts"][1]),
}
# As the hub counts the weights of each; no file of them was needed here.
PARAMETERS = {
    "Qwen2-VL-2B": 2_208_985_600,
    "Qwen2-VL-7B": 8_291_375_616,
    "Qwen2.5-VL-3B": 3_754_622_976,
    "Qwen2.5-VL-7B": 8_292_166_656,
    "Qwen3-VL-2B": 2_127_532_032,
    "Qwen3-VL-4B": 4_437_815_808,
    "Qwen3-VL-8B": 8_767_123_696,
}
SIDE = 112


def rows_about(scenes):
    own = {"dataset": "rooms", "question_type": "object_counting", "options": None}
    question = "How many chair(s) are in this room?"
    return [
        {"id": str(i), "scene_name": scene, "question": question, "ground_truth": str(i + 2), **own}
        for i, scene in enumerate(scenes)
    ]


def small_profile(path, **changes):
    small = {"quantize": None, "lora_rank": 8, "num_generations": 4, "questions_per_step": 2, "groups_per_pass": 1}
    small |= {"gradient_checkpointing": True, "size_px": SIDE}
    return dataclasses.replace(PROFILES["mini"], model=str(path), **(small | changes))


def work_of(profile, **more):
    """As it is on this machine's CPU, with the tokens that the tiny tokenizer makes of the question."""
    shape = shape_of(profile.model)
    stamped = 70 + (14 - STAMP_TOKENS) * profile.num_frames // 2  # the tiny tokenizer writes a time with 14
    tokens = stamped if shape.kind == "qwen3_vl" else 83
    return Work(profile, shape, num_clips=2, device="cpu", number_bytes=4, text_tokens=tokens, **more)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "dpo-corrupted"])
def test_the_plan_of_the_other_methods_is_as_near(tmp_path, method):
    changes = {"num_frames": 8, "groups_per_pass": 2, "max_vanilla_tokens": 12, "gradient_checkpointing": False}
    profile = small_profile(tiny_checkpoint(tmp_path / "model", text=DEEP), **changes)
    clips = {f"room-{i}": tiny_clip(i, profile.num_frames, SIDE, SIDE) for i in range(2)}
    found = measured(profile, make_method(method), rows_about(clips), clips)
    planned = plan(work_of(profile, method=method.split("-")[0]))
    assert "rollouts" not in planned.phases
    assert planned.peak == pytest.approx(found, rel=0.15)


@pytest.mark.slow
@pytest.mark.usefixtures("rewards_that_differ")
@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_within_15_per_cent_of_the_live_tensors_of_real_steps(tmp_path, case):
    sizes, changes = CASES[case]
    profile = small_profile(tiny_checkpoint(tmp_path / "model", **sizes), **changes)
    clips = {f"room-{i}": tiny_clip(i, profile.num_frames, SIDE, SIDE) for i in range(2)}
    found = measured(profile, "vanilla", rows_about(clips), clips)
    planned = plan(work_of(profile))
    assert planned.largest == case.split(",")[0]
    assert planned.peak == pytest.approx(found, rel=0.15)


@pytest.mark.slow
@pytest.mark.usefixtures("rewards_that_differ")
@pytest.mark.parametrize("case", FAMILY_CASES)
def test_the_plan_of_other_families_is_as_near(tmp_path, case):
    (sizes, changes), (kind, phase) = FAMILY_CASES[case], case.split(", ")
    profile = small_profile(tiny_of_family(tmp_path / "model", kind, **sizes), **changes)
    clips = {f"room-{i}": tiny_clip(i, profile.num_frames, SIDE, SIDE) for i in range(2)}
    found = measured(profile, "vanilla", rows_about(clips), clips)
    planned = plan(work_of(profile))
    assert planned.largest == phase
    assert planned.peak == pytest.approx(found, rel=0.15)


def test_live_bytes_count_a_storage_once_and_forget_it():
    with LiveBytes() as live:
        first = torch.zeros(1000)
        view = first[10:]
        assert live.now == 4000
        del first
        assert live.now == 4000
        weight = torch.ones(1000, requires_grad=True)
        (view.sum() * weight).sum().backward()
        assert live.now >= 12000  # and the gradient, which a backward pass made
        peak = live.peak
        del view, weight
    assert live.now < 4000 <= peak


@pytest.mark.parametrize("quantize", [None, "nf4"])
def test_weights_are_predicted_to_a_thousandth(tiny_path, quantize):
    loaded = load_model(tiny_path, quantize, lora=True, device="cpu", dtype=torch.float32, quiet=True)
    held = 0
    for name, weight in loaded.model.named_parameters():
        if ".lora_" not in name:
            held += weight.nbytes
            if (state := getattr(weight, "quant_state", None)) is not None:
                held += state.absmax.nbytes + state.code.nbytes + state.offset.nbytes
                held += state.state2.absmax.nbytes + state.state2.code.nbytes
    assert sum(weights(shape_of(tiny_path), quantize, 4).values()) == pytest.approx(held, rel=1e-3)
    trained = sum(weight.numel() for weight in loaded.model.parameters() if weight.requires_grad)
    assert shape_of(tiny_path).adapter_weights(16) == trained


def test_parameters_of_known_models_are_those_of_their_weights(tiny_path, tmp_path):
    assert {name: shape_of(f"Qwen/{name}").parameters for name in PARAMETERS} == PARAMETERS
    assert {f"Qwen/{name}-Instruct" for name in PARAMETERS} == SHAPES.keys() and set(KINDS) == FAMILIES.keys()
    others = [tiny_of_family(tmp_path / kind, kind) for kind in KINDS if kind != "qwen2_vl"]
    for path in (tiny_path, "mini", *others):
        loaded = load_model(path, device="cpu", quiet=True)
        assert shape_of(path).parameters == sum(weight.numel() for weight in loaded.model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_video_tokens_are_the_towers(tiny_path, tmp_path, kind):
    path = tiny_path if kind == "qwen2_vl" else tiny_of_family(tmp_path / kind, kind)
    loaded, shape = load_model(path, device="cpu", quiet=True), shape_of(path)
    for frames, height, width in ((4, 56, 56), (5, 70, 100), (2, 300, 40)):
        clip = encode_clip(loaded.model, loaded.processor, tiny_clip(0, frames, height, width))
        assert clip.features_VD.shape == (shape.video_tokens(frames, height, width), shape.features_width)
    assert [QWEN_2B.video_tokens(frames, 480, 640) for frames in (8, 16, 32)] == [1564, 3128, 6256]


def test_a_flat_configuration_of_the_hub_is_read_like_a_nested_one(tmp_path):
    flat = {"model_type": "qwen2_vl", "hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12}
    flat |= {"num_key_value_heads": 2, "intermediate_size": 8960, "vocab_size": 151936, "tie_word_embeddings": True}
    vision = {"depth": 32, "embed_dim": 1280, "num_heads": 16, "mlp_ratio": 4, "patch_size": 14, "hidden_size": 1536}
    (tmp_path / "config.json").write_text(json.dumps(flat | {"vision_config": vision}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"min_pixels": 3136, "max_pixels": 12845056}))
    assert dataclasses.replace(shape_of(tmp_path), name=QWEN_2B.name) == QWEN_2B


def test_configurations_of_the_other_families_are_read_as_the_hub_has_them(tmp_path):
    flat = {"model_type": "qwen2_5_vl", "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16}
    flat |= {"num_key_value_heads": 2, "intermediate_size": 11008, "vocab_size": 151936, "tie_word_embeddings": True}
    tower = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048}
    tower |= {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}
    text = {"hidden_size": 2048, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8}
    text |= {"head_dim": 128, "intermediate_size": 6144, "vocab_size": 151936, "tie_word_embeddings": True}
    deep = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "num_heads": 16, "patch_size": 16}
    deep |= {"deepstack_visual_indexes": [5, 11, 17], "num_position_embeddings": 2304, "temporal_patch_size": 2}
    nested = {"model_type": "qwen3_vl", "text_config": text, "vision_config": deep, "tie_word_embeddings": True}
    sizes = {"size": {"shortest_edge": 4096, "longest_edge": 25165824}}
    pictures = {"size": {"shortest_edge": 65536, "longest_edge": 16777216}}  # of pictures, not of clips
    for name, config in (("Qwen2.5-VL-3B", flat | {"vision_config": tower}), ("Qwen3-VL-2B", nested)):
        folder, known = tmp_path / name, shape_of(f"Qwen/{name}")
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(config))
        if name.startswith("Qwen3"):
            (folder / "video_preprocessor_config.json").write_text(json.dumps(sizes))
            (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
        assert dataclasses.replace(shape_of(folder), name=known.name) == known


def test_a_qwen3_clip_is_bounded_as_a_whole_and_its_times_are_counted():
    shape = shape_of("Qwen/Qwen3-VL-2B")
    few, many = (shape.video_tokens(frames, 1080, 1920) / frames for frames in (4, 64))
    assert many < few / 2 and shape.stamp_tokens(8) == 4 * STAMP_TOKENS and QWEN_2B.stamp_tokens(8) == 0
    profile = dataclasses.replace(PROFILES["mini"], num_frames=8)
    assert Work(profile, shape).clip_tokens == shape.video_tokens(8, *Work(profile, shape).size_px) + 4 * STAMP_TOKENS


@pytest.mark.parametrize(
    "config, told",
    [({"model_type": "llama"}, "'llama'"), ({"model_type": "qwen2_vl", "hidden_size": 8}, "num_hidden_layers")],
)
def test_a_configuration_that_is_none_is_refused_by_name(tmp_path, config, told):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=told):
        shape_of(tmp_path)
    with pytest.raises(FileNotFoundError, match="no/such"):
        shape_of("no/such")


@pytest.mark.parametrize(
    "where, field, value, told",
    [
        ("text_config", "head_dim", None, "head_dim"),
        ("text_config", "head_dim", 0, "head_dim is 0"),
        ("text_config", "hidden_size", "2048", "hidden_size is '2048'"),
        ("vision_config", "temporal_patch_size", -2, "temporal_patch_size is -2"),
        ("vision_config", "hidden_size", 0, "hidden_size is 0"),
        ("vision_config", "patch_size", float("inf"), "patch_size is inf"),
        ("vision_config", "deepstack_visual_indexes", "abc", "deepstack_visual_indexes is 'abc'"),
        (None, "text_config", [1], "text_config is"),
        ("size", "size", [1, 2], "size is"),
        ("size", "size", {"shortest_edge": -1, "longest_edge": 5}, "least number of pixels is -1"),
        ("size", "size", {"shortest_edge": 9, "longest_edge": 5}, "largest number of pixels is 5"),
        ("size", "video_processor", [1], "video_processor is"),
    ],
)
def test_a_size_that_is_none_is_named(tmp_path, where, field, value, told):
    config = json.loads((tiny_of_family(tmp_path / "model", "qwen3_vl") / "config.json").read_text())
    if where == "size":
        (tmp_path / "processor_config.json").write_text(json.dumps({field: value}))
    else:
        (config if where is None else config[where])[field] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=re.escape(told)):
        shape_of(tmp_path)


def test_null_says_nothing_about_tied_embeddings(tmp_path):
    config = json.loads((tiny_of_family(tmp_path / "model", "qwen3_vl") / "config.json").read_text())
    config["tie_word_embeddings"], config["text_config"]["tie_word_embeddings"] = None, True
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert shape_of(tmp_path).tied


def test_the_plans_bounds_are_those_of_the_code_it_describes():
    assert memory.HELD_BYTES == dequantized.HELD_BYTES
    assert memory.LOGITS_AT_ONCE == scoring._LOGITS_AT_ONCE
    assert memory.TOKENS_A_PART == packing._TOKENS_A_PART
