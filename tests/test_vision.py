"""Clips to features: the PIL processor against transformers' own code, prompts, positions, errors."""

import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, Qwen2VLForConditionalGeneration

from tests.tiny import SIZE, tiny_clip, tiny_messages
from vsr_kit.models import vision
from vsr_kit.models.vision import (
    Qwen2VLVideoProcessor,
    chat_ids,
    chat_inputs,
    encode_clip,
    encode_clips,
    load_processor,
    new_processor,
    rope_positions,
)


@pytest.fixture(scope="module")
def model(tiny_path):
    return Qwen2VLForConditionalGeneration.from_pretrained(tiny_path).eval()


@pytest.fixture(scope="module")
def processor(tiny_path):
    return load_processor(tiny_path)


@pytest.mark.parametrize("height_px, width_px", [(56, 56), (112, 84), (100, 61), (300, 200), (30, 30)])
def test_a_still_clip_is_cut_like_an_image_by_transformers(height_px, width_px):
    """transformers' image processor repeats an image in time: a clip of two equal frames must give the same patches."""
    image = tiny_clip(3, 1, height_px, width_px)[0]
    stock = vision.Qwen2VLImageProcessorPil(size=SIZE)(Image.fromarray(image), return_tensors="pt")
    ours = Qwen2VLVideoProcessor(size=SIZE)(np.stack([image, image]), return_tensors="pt")
    assert ours["video_grid_thw"].tolist() == stock["image_grid_thw"].tolist()
    torch.testing.assert_close(ours["pixel_values_videos"], stock["pixel_values"], rtol=0, atol=1e-6)


def test_patches_hold_the_pixels_that_the_layout_says():
    """Rows run over time, then over 2 x 2 blocks, then inside a block; values over colour, time, row, column."""
    clip = tiny_clip(0, 4, 84, 56)
    settings = {"do_rescale": False, "do_normalize": False, "do_resize": False}
    out = Qwen2VLVideoProcessor(size=SIZE, **settings)(clip, return_tensors="pt")
    patches = out["pixel_values_videos"].numpy().reshape(-1, 3, 2, 14, 14)
    assert out["video_grid_thw"].tolist() == [[2, 6, 4]]
    row = 0
    for t in range(2):
        for block_y in range(3):
            for block_x in range(2):
                for y in (2 * block_y, 2 * block_y + 1):
                    for x in (2 * block_x, 2 * block_x + 1):
                        cut = clip[2 * t : 2 * t + 2, 14 * y : 14 * y + 14, 14 * x : 14 * x + 14]
                        np.testing.assert_array_equal(patches[row], cut.transpose(3, 0, 1, 2))
                        row += 1
    assert row == len(patches)


def test_an_odd_clip_repeats_its_last_frame():
    clip = tiny_clip(0, 3)
    process = Qwen2VLVideoProcessor(size=SIZE)
    odd, even = (process(c)["pixel_values_videos"] for c in (clip, np.concatenate([clip, clip[-1:]])))
    assert torch.equal(odd, even)


def test_torchvisions_processor_gives_the_same_patches():
    pytest.importorskip("torchvision")
    clip = tiny_clip(0, 4, 112, 84)
    stock = transformers.Qwen2VLVideoProcessor(size=SIZE, cap_pixels_per_frame=False)
    ours, theirs = Qwen2VLVideoProcessor(size=SIZE)(clip), stock(torch.from_numpy(clip).permute(0, 3, 1, 2))
    torch.testing.assert_close(ours["pixel_values_videos"], theirs["pixel_values_videos"], rtol=0, atol=1e-5)


def test_the_size_of_the_checkpoint_is_kept_and_clips_within_it_pass_unchanged(processor):
    assert dict(processor.video_processor.size) == SIZE
    grids = [
        processor.video_processor(tiny_clip(0, 8, side, side))["video_grid_thw"].tolist() for side in (56, 112, 224)
    ]
    assert grids == [[[4, 4, 4]], [[4, 8, 8]], [[4, 8, 8]]]


def test_saved_processors_carry_the_names_that_transformers_knows(tiny_path, tmp_path):
    load_processor(tiny_path, backend="pil").save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "processor_config.json").read_text())
    names = [saved["processor_class"], saved["image_processor"]["image_processor_type"]]
    names += [saved["video_processor"]["video_processor_type"]]
    names += [json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"]]
    assert names == ["Qwen2VLProcessor", "Qwen2VLImageProcessor", "Qwen2VLVideoProcessor", "Qwen2Tokenizer"]
    assert all(hasattr(transformers, name) for name in names)
    assert saved["image_processor"]["size"] == saved["video_processor"]["size"] == SIZE
    (tmp_path / "config.json").write_bytes((tiny_path / "config.json").read_bytes())
    assert len(AutoTokenizer.from_pretrained(tmp_path)) == len(AutoTokenizer.from_pretrained(tiny_path))
    assert dict(AutoImageProcessor.from_pretrained(tmp_path).size) == SIZE


def test_chat_ids_are_those_of_the_processor(processor):
    messages = tiny_messages("How many chair(s) are in this room?")
    inputs = chat_inputs(processor, messages, tiny_clip(0, 6, 56, 84))
    grid = tuple(inputs["video_grid_thw"][0].tolist())
    assert chat_ids(processor, messages, grid).tolist() == inputs["input_ids"][0].tolist()
    assert (inputs["input_ids"] == processor.video_token_id).sum() == 3 * 2 * 3
    assert (inputs["mm_token_type_ids"] == 2).equal(inputs["input_ids"] == processor.video_token_id)


def test_without_a_clip_the_video_block_is_gone(processor):
    asked = chat_inputs(processor, tiny_messages("How many?"))
    assert asked.keys() == {"input_ids", "attention_mask", "mm_token_type_ids"}
    assert asked["input_ids"].equal(chat_inputs(processor, tiny_messages("How many?", video=False))["input_ids"])
    assert "<|vision_start|>" not in processor.tokenizer.decode(asked["input_ids"][0])


def test_the_chat_template_puts_the_video_before_the_text(processor):
    text = processor.tokenizer.decode(chat_ids(processor, tiny_messages("How many?"), (1, 2, 2)))
    assert text == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
        "<|vision_start|><|video_pad|><|vision_end|>These are frames of a video.\nHow many?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_features_of_a_clip_are_those_the_model_computes_itself(model, processor):
    """Features written over the video pads by hand, with our positions, give the logits of the model's own forward."""
    messages, clip = tiny_messages("How many?"), tiny_clip(1)
    inputs = chat_inputs(processor, messages, clip)
    encoded = encode_clip(model, processor, clip)
    ids = inputs["input_ids"][0]
    positions, following = rope_positions(model, ids, encoded.grid_thw)
    embeds = model.get_input_embeddings()(ids)
    embeds[ids == processor.video_token_id] = encoded.features_VD
    with torch.no_grad():
        plain = model(**inputs).logits
        ours = model(inputs_embeds=embeds[None], position_ids=positions[:, None]).logits
    torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)
    assert following == int(positions.max()) + 1


def test_clips_of_several_sizes_are_encoded_together_as_they_are_alone(model, processor):
    clips = [tiny_clip(0), tiny_clip(1, 2, 84, 56), tiny_clip(2)]
    for clip, together in zip(clips, encode_clips(model, processor, clips), strict=True):
        alone = encode_clip(model, processor, clip)
        assert alone.grid_thw == together.grid_thw
        torch.testing.assert_close(together.features_VD, alone.features_VD, rtol=1e-5, atol=1e-5)
    assert encode_clips(model, processor, []) == []


def test_the_text_after_a_clip_starts_where_the_grid_ends(model, processor):
    ids = chat_ids(processor, tiny_messages("?"), (2, 4, 8))  # 2 x 2 x 4 merged tokens: the text moves on by 4
    positions, _ = rope_positions(model, ids, (2, 4, 8))
    first = ids.tolist().index(processor.video_token_id)
    assert positions[:, first].tolist() == [first] * 3
    assert positions[:, first + 15].tolist() == [first + 1, first + 1, first + 3]
    assert positions[:, first + 16].tolist() == [first + 4] * 3


@pytest.mark.parametrize(
    "clip, seen",
    [
        (np.zeros((2, 56, 56, 3), np.float32), "float32"),
        (np.zeros((56, 56, 3), np.uint8), "(56, 56, 3)"),
        (np.zeros((0, 56, 56, 3), np.uint8), "(0, 56, 56, 3)"),
    ],
)
def test_what_is_no_clip_is_named(model, processor, clip, seen):
    with pytest.raises(ValueError, match="a clip must be uint8") as caught:
        encode_clip(model, processor, clip)
    assert seen in str(caught.value)


def test_a_clip_without_a_place_for_it_is_refused(processor):
    with pytest.raises(ValueError, match="exactly one"):
        chat_inputs(processor, tiny_messages("How many?", video=False), tiny_clip(0))


def test_bad_sizes_and_backends_are_named(processor):
    with pytest.raises(ValueError, match="shortest_edge"):
        new_processor(processor.tokenizer, {"shortest_edge": 100, "longest_edge": 50})
    with pytest.raises(ValueError, match="'pill'"):
        load_processor("nowhere", backend="pill")
