"""Qwen2.5-VL and Qwen3-VL: whatever is shared or cached gives what transformers gives for one plain row.

Random checkpoints in transformers' own format, their weights large enough that every token of a clip counts.
"""

import dataclasses
import json
import math

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, GenerationConfig
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

from tests.plain import plain_generate, plain_logps
from tests.test_cli_models import runs, vsr  # noqa: F401  a fixture
from tests.test_training import CLIPS, ROWS
from tests.tiny import random_lora, tiny_clip, tiny_messages, tiny_of_family
from vsr_kit.generation import generate
from vsr_kit.models import load_model, packed
from vsr_kit.models.families import FAMILIES
from vsr_kit.models.vision import chat_ids, chat_inputs, core_model, encode_clip
from vsr_kit.prompts import chat_messages
from vsr_kit.runs import RunFolder
from vsr_kit.sharing import encode_prompt, generate_ids, give_scores, score
from vsr_kit.training.methods import make_method
from vsr_kit.training.mismatch import NAME
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.run import train
from vsr_kit.videos.frame_limits import bounds_of, video_tokens

OTHERS = ("qwen2_5_vl", "qwen3_vl")
ASKED = [tiny_messages("How many chairs are in this room?"), tiny_messages("How long is the sofa?")]
SAID = [[torch.tensor([5, 6, 7, 8, 300]), torch.tensor([9, 10])], [torch.tensor([11, 12, 13])]]


@pytest.fixture(scope="module", params=OTHERS)
def path(request, tmp_path_factory):
    return tiny_of_family(tmp_path_factory.mktemp(request.param) / "model", request.param)


@pytest.fixture(scope="module")
def loaded(path):
    """With LoRA that is no identity, after `give_scores`, which leaves other passes as they were."""
    made = load_model(path, lora=random_lora(), device="cpu", quiet=True)
    give_scores(made.model)
    return made


@pytest.mark.parametrize("shape", [(4, 56, 84), (5, 84, 56), (1, 64, 64)])
def test_a_prompt_is_what_the_models_own_processor_writes(loaded, shape):
    """Also of an odd clip, whose last frame the tower is shown twice, and of a picture, a clip of one frame."""
    frames = tiny_clip(3, *shape)
    inputs = chat_inputs(loaded.processor, ASKED[0], frames)
    clip = encode_clip(loaded.model, loaded.processor, frames)
    assert torch.equal(chat_ids(loaded.processor, ASKED[0], clip.grid_thw), inputs["input_ids"][0])
    assert inputs["video_grid_thw"].tolist() == [list(clip.grid_thw)] and clip.grid_thw[0] == math.ceil(shape[0] / 2)


def test_seconds_are_told_in_the_familys_own_way(loaded):
    inputs = chat_inputs(loaded.processor, ASKED[0], tiny_clip(3, 6, 64, 64))
    text = loaded.processor.tokenizer.decode(inputs["input_ids"][0])
    if "second_per_grid_ts" in inputs:
        assert inputs["second_per_grid_ts"].tolist() == [1.0] and "seconds>" not in text
    else:  # middles of pairs of frames half a second apart
        assert [f"<{at} seconds>" in text for at in ("0.2", "1.2", "2.2", "3.2")] == [True, True, True, False]


def shared_and_plain(loaded, shape):
    """Log-probabilities of all completions, shared and plain, in one order."""
    frames = tiny_clip(0, *shape)
    clip = encode_clip(loaded.model, loaded.processor, frames)
    prompts = [encode_prompt(loaded.model, loaded.processor, asked, clip) for asked in ASKED]
    found = torch.cat([one.logps_T for own in score(loaded.model, prompts, SAID) for one in own])
    pairs = [(asked, said) for asked, own in zip(ASKED, SAID, strict=True) for said in own]
    plain = [plain_logps(loaded.model, loaded.processor, asked, frames, said.tolist())[0] for asked, said in pairs]
    return found, torch.cat(plain)


@pytest.mark.parametrize("shape", [(4, 56, 84), (7, 84, 84)])
def test_shared_scores_and_their_gradient_are_the_plain_ones(loaded, shape):
    found, plain = shared_and_plain(loaded, shape)
    torch.testing.assert_close(found, plain, atol=2e-5, rtol=0)
    weights = [p for p in loaded.model.parameters() if p.requires_grad]
    ours, theirs = (torch.cat([g.flatten() for g in torch.autograd.grad(x.sum(), weights)]) for x in (found, plain))
    assert (ours - theirs).norm() < 1e-4 * theirs.norm() and theirs.norm() > 1e-2


def test_a_clip_that_lasts_longer_than_its_question(tmp_path):
    """Its last frames then stand behind the completion in time; what follows a prompt goes on behind the question."""
    path = tiny_of_family(tmp_path / "fast", "qwen2_5_vl", tokens_per_second=60)
    found = load_model(path, lora=random_lora(), device="cpu", quiet=True)
    give_scores(found.model)
    ours, plain = shared_and_plain(found, (6, 56, 56))
    torch.testing.assert_close(ours, plain, atol=2e-5, rtol=0)


def test_a_score_depends_on_all_that_the_tower_says(loaded):
    """On every level of Qwen3-VL's features; a test in which they did not count could not fail."""
    clip = encode_clip(loaded.model, loaded.processor, tiny_clip(0))
    width = core_model(loaded.model).config.text_config.hidden_size
    levels = clip.features_VD.shape[1] // width
    assert levels == (3 if "qwen3" in core_model(loaded.model).config.model_type else 1)
    whole = encode_prompt(loaded.model, loaded.processor, ASKED[0], clip)
    for level in range(levels):
        less = clip.features_VD.clone()
        less[:, level * width : (level + 1) * width] = 0
        changed = dataclasses.replace(whole, features_VD=less)
        (one,), (other,) = score(loaded.model, [whole, changed], [SAID[1], SAID[1]])
        assert (one.logps_T - other.logps_T).abs().max() > 1e-3, level


def test_greedy_rollouts_and_answers_are_those_of_transformers(loaded):
    frames, rows = CLIPS["room-0"], [row for row in ROWS if row["scene_name"] == "room-0"]
    asked = [chat_messages(row, "vanilla", "eval") for row in rows]
    clip = encode_clip(loaded.model, loaded.processor, frames)
    prompts = [encode_prompt(loaded.model, loaded.processor, one, clip) for one in asked]
    core = core_model(loaded.model)
    ends, pads = core.generation_config.eos_token_id, [core.config.image_token_id, core.config.video_token_id]
    how = GenerationConfig(
        max_new_tokens=8,
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=prompts[0].ids_P[0].item(),
        suppress_tokens=pads,
    )
    plain = [plain_generate(loaded.model, loaded.processor, one, frames, how)[0] for one in asked]
    core.model.rope_deltas = None
    assert generate_ids(loaded.model, prompts, 1, how, how.pad_token_id) == plain
    said = generate(loaded, rows, CLIPS, max_new_tokens=8)
    tokenizer = loaded.processor.tokenizer
    assert [own[0].text for own in said] == [text.strip() for text in tokenizer.batch_decode(plain, True)]
    assert len({tuple(own) for own in plain}) == len(plain)


@pytest.mark.parametrize("how", ["grpo", "sft", "dpo-corrupted"])
def test_every_method_trains(path, tmp_path, how, rewards_that_differ):
    profile = dataclasses.replace(
        PROFILES["mini"],
        model=str(path),
        lora_rank=4,
        num_generations=4,
        questions_per_step=2,
        groups_per_pass=2,
        max_vanilla_tokens=5,
        learning_rate=1e-2,
        steps=2,
    )
    run = RunFolder.create(how, root=tmp_path)
    trained = train(profile, make_method(how, "vanilla"), ROWS, clips=CLIPS, run=run, quiet=True)
    weights = load_file(run.adapter / "adapter_model.safetensors")
    moved = [weight.abs().max() for name, weight in weights.items() if "lora_B" in name]
    assert trained.steps == 2 and len(moved) in (14, 21) and min(moved) > 1e-4
    steps = run.read_metrics()
    assert all(math.isfinite(step["loss"]) for step in steps)
    if how == "grpo":  # what was sampled is what was trained on
        assert max(step[f"{NAME}/max"] for step in steps) < 1e-4


def test_in_four_bits(path):
    """The tower is left alone in each family."""
    found = load_model(path, quantize="nf4", lora=True, device="cpu", quiet=True)
    assert packed(found.model)
    kinds = {type(part).__name__ for part in core_model(found.model).model.visual.modules()}
    assert "Linear4bit" not in kinds
    assert len(generate(found, ROWS[:1], CLIPS, max_new_tokens=3)[0]) == 1


def test_loading_says_what_is_assumed_of_time(path, tiny_path, capsys):
    load_model(path, device="cpu")
    assert "0.5 s apart" in capsys.readouterr().out
    load_model(tiny_path, device="cpu")
    assert "apart" not in capsys.readouterr().out


def test_a_saved_processor_is_the_familys_own(path):
    config = json.loads((path / "processor_config.json").read_text())
    family = FAMILIES[AutoConfig.from_pretrained(path).model_type]
    assert config["processor_class"] == family.processor
    assert config["image_processor"]["patch_size"] == config["video_processor"]["patch_size"]


@pytest.mark.parametrize("shape", [(8, 480, 640), (3, 100, 300), (2, 64, 64), (16, 90, 90)])
def test_a_clips_tokens_are_known_beforehand(loaded, shape):
    clip = encode_clip(loaded.model, loaded.processor, tiny_clip(1, *shape))
    assert video_tokens(*shape, bounds_of(loaded.processor)) == len(clip.features_VD)


def test_pixels_of_a_whole_clip_are_bounded_as_in_transformers():
    from vsr_kit.models.processors import Qwen3VLVideoProcessor

    process = Qwen3VLVideoProcessor(size={"shortest_edge": 4096, "longest_edge": 64 * 64 * 8})
    for shape in ((8, 200, 100), (4, 40, 40), (6, 33, 500)):
        (grid,) = process([tiny_clip(0, *shape)])["video_grid_thw"].tolist()
        high, wide = smart_resize(*shape, factor=32, min_pixels=4096, max_pixels=64 * 64 * 8)
        assert grid == [shape[0] // 2, high // 16, wide // 16]


@pytest.mark.parametrize(
    "changed, message",
    [({"model_type": "qwen9_vl"}, "is a qwen9_vl checkpoint"), ({"use_sliding_window": True}, "use_sliding_window")],
)
def test_what_is_not_computed_here_is_refused(path, tmp_path, changed, message):
    config = json.loads((path / "config.json").read_text())
    own = config if "model_type" in changed else config["text_config"]
    own |= changed
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path, quiet=True)


@pytest.mark.slow
@pytest.mark.usefixtures("runs")
def test_the_command_asks_trains_and_merges(path, tmp_path):
    """From a folder to a score, to an adapter, to a whole model that is asked like any other."""
    small = ["--max-new-tokens", 3, "--per-type", 1]
    done = vsr("eval", "--rooms", 1, "--model", path, *small)
    assert done.exit_code == 0 and "overall" in done.output, done.output
    how = ["--method", "sft", "--rooms", 4, "--per-room", 1, "--steps", 1, "--frames", 4, "--name", "one"]
    done = vsr("train", "--model", path, "--quantize", "none", *how)
    assert done.exit_code == 0, done.output
    (run,) = (tmp_path / "runs").glob("*-one")
    assert vsr("merge", run, "--out", tmp_path / "whole").exit_code == 0
    asked = [load_model(tmp_path / "whole", device="cpu", quiet=True)]
    asked.append(load_model(path, adapter=run / "adapter", device="cpu", quiet=True))
    inputs = chat_inputs(asked[0].processor, ASKED[0], tiny_clip(1))
    merged, adapted = (one.model(**inputs).logits for one in asked)
    torch.testing.assert_close(merged, adapted, atol=2e-3, rtol=0)
