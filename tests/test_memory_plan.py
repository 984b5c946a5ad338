"""The memory plan: its sizes are the model's own, its sum is what real steps hold, and it says what to turn down."""

import dataclasses
import json

import pytest
import torch

from benchmarks.live import LiveBytes
from benchmarks.memory import measured
from tests.tiny import TEXT, VISION, tiny_checkpoint, tiny_clip
from vsr_kit.models import dequantized, load_model
from vsr_kit.models.vision import encode_clip
from vsr_kit.sharing import packing, scoring
from vsr_kit.training import memory
from vsr_kit.training.memory import Work, plan, weights
from vsr_kit.training.methods import make_method
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.shapes import SHAPES, shape_of

QWEN_2B, QWEN_7B = SHAPES.values()
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
    return Work(profile, shape_of(profile.model), num_clips=2, device="cpu", number_bytes=4, text_tokens=83, **more)


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


def test_parameters_of_known_models_are_those_of_their_weights(tiny_path):
    assert QWEN_2B.parameters == 2_208_985_600 and QWEN_7B.parameters == 8_291_375_616
    for path in (tiny_path, "mini"):
        loaded = load_model(path, device="cpu", quiet=True)
        assert shape_of(path).parameters == sum(weight.numel() for weight in loaded.model.parameters())


def test_video_tokens_are_the_towers(tiny_path):
    loaded = load_model(tiny_path, device="cpu", quiet=True)
    for frames, height, width in ((4, 56, 56), (5, 70, 100), (2, 300, 40)):
        clip = encode_clip(loaded.model, loaded.processor, tiny_clip(0, frames, height, width))
        assert shape_of(tiny_path).video_tokens(frames, height, width) == len(clip.features_VD)
    assert [QWEN_2B.video_tokens(frames, 480, 640) for frames in (8, 16, 32)] == [1564, 3128, 6256]


def test_a_flat_configuration_of_the_hub_is_read_like_a_nested_one(tmp_path):
    flat = {"model_type": "qwen2_vl", "hidden_size": 1536, "num_hidden_layers": 28, "num_attention_heads": 12}
    flat |= {"num_key_value_heads": 2, "intermediate_size": 8960, "vocab_size": 151936, "tie_word_embeddings": True}
    vision = {"depth": 32, "embed_dim": 1280, "num_heads": 16, "mlp_ratio": 4, "patch_size": 14, "hidden_size": 1536}
    (tmp_path / "config.json").write_text(json.dumps(flat | {"vision_config": vision}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"min_pixels": 3136, "max_pixels": 12845056}))
    assert dataclasses.replace(shape_of(tmp_path), name=QWEN_2B.name) == QWEN_2B


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


def test_the_plans_bounds_are_those_of_the_code_it_describes():
    assert memory.HELD_BYTES == dequantized.HELD_BYTES
    assert memory.LOGITS_AT_ONCE == scoring._LOGITS_AT_ONCE
    assert memory.TOKENS_A_PART == packing._TOKENS_A_PART
