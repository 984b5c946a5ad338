"""New checkpoints: a Qwen tokenizer, Qwen2-VL's template and configuration, files that stock code loads."""

import hashlib
import json

import pytest
import torch
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, Qwen2VLForConditionalGeneration

from tests.tiny import CORPUS, SIZE, TEXT, VISION, tiny_checkpoint
from vsr_kit.models.new_checkpoint import (
    SPECIAL_TOKENS,
    build_config,
    build_tokenizer,
    new_checkpoint,
    save_checkpoint,
    stock_chat_template,
)
from vsr_kit.models.vision import load_processor


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer(CORPUS, 350)


def test_the_vocabulary_has_the_size_that_was_asked_for(tokenizer):
    assert len(tokenizer) == 350
    assert set(SPECIAL_TOKENS) <= tokenizer.get_vocab().keys()


@pytest.mark.parametrize(
    "text", ["How many chairs?", " 12.5 m² — naïve ☃\n\n\tx", "<think>a</think> <answer>3</answer>"]
)
def test_any_text_survives_the_tokenizer(tokenizer, text):
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_digits_stand_alone_and_special_tokens_are_one_token(tokenizer):
    assert [tokenizer.decode(i) for i in tokenizer("1504")["input_ids"]] == list("1504")
    for token in SPECIAL_TOKENS:
        assert tokenizer(token)["input_ids"] == [tokenizer.convert_tokens_to_ids(token)]


def test_no_token_is_spent_on_what_the_splitting_never_yields():
    vocabulary = build_tokenizer(["1500 chairs 1500 chairs"] * 4, 290).get_vocab()
    assert "Ġchairs" in vocabulary
    assert [token for token in vocabulary if sum(c.isdigit() for c in token) > 1] == []


def test_the_chat_template_is_the_one_trl_recognises(tokenizer):
    from trl.chat_template_utils import get_training_chat_template

    assert tokenizer.chat_template == stock_chat_template()
    assert "{% generation %}" in get_training_chat_template(tokenizer)


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(ValueError, match="at least 270"):
        build_tokenizer(CORPUS, 200)


@pytest.mark.parametrize(
    "text, vision, message",
    [
        ({"hidden_size": 96, "num_attention_heads": 3, "num_key_value_heads": 3}, {}, "hidden_size.*multiples of 64"),
        ({"intermediate_size": 100}, {}, "intermediate_size"),
        ({"num_key_value_heads": 1}, {}, "num_key_value_heads"),
        ({"num_attention_heads": 3}, {}, "3 heads"),
        ({"num_key_value_heads": 3}, {}, "into 3 groups"),
        ({}, {"embed_dim": 60, "num_heads": 2}, "embed_dim"),
    ],
)
def test_widths_that_cannot_be_quantised_or_split_are_refused(tokenizer, text, vision, message):
    with pytest.raises(ValueError, match=message):
        build_config(tokenizer, TEXT | text, VISION | vision)


def test_the_rotary_shares_fill_half_a_head(tokenizer):
    for heads in (2, 4, 8):
        widths = {"num_attention_heads": heads, "num_key_value_heads": max(2, heads // 2)}
        config = build_config(tokenizer, TEXT | widths, VISION).text_config
        section = config.rope_parameters["mrope_section"]
        assert sum(section) == 128 // heads // 2
        assert section[1] == section[2]


def test_a_checkpoint_loads_with_stock_code(tiny_path):
    assert AutoConfig.from_pretrained(tiny_path).model_type == "qwen2_vl"
    assert type(AutoTokenizer.from_pretrained(tiny_path)).__name__ == "Qwen2Tokenizer"
    ends = AutoTokenizer.from_pretrained(tiny_path).convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    how = GenerationConfig.from_pretrained(tiny_path)
    assert (how.eos_token_id, how.pad_token_id, how.do_sample) == (ends, ends[1], False)
    assert {path.suffix for path in tiny_path.iterdir()} == {".json", ".safetensors", ".jinja"}


def test_every_linear_of_the_language_model_fits_nf4_blocks(tiny_path):
    model = Qwen2VLForConditionalGeneration.from_pretrained(tiny_path)
    linears = [m for n, m in model.model.language_model.named_modules() if isinstance(m, torch.nn.Linear)]
    assert linears
    assert all(m.in_features % 64 == 0 and m.out_features % 64 == 0 for m in linears)


def test_weights_follow_from_the_seed_alone(tmp_path):
    def digest(name, seed):
        path = tiny_checkpoint(tmp_path / name, seed=seed)
        return hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()

    state = torch.get_rng_state()
    assert digest("a", 1) == digest("b", 1) != digest("c", 2)
    assert torch.equal(state, torch.get_rng_state())


def test_bf16_weights_are_saved_as_such_and_load_again(tokenizer, tmp_path):
    path = new_checkpoint(tmp_path / "a", tokenizer, build_config(tokenizer, TEXT, VISION), SIZE, dtype=torch.bfloat16)
    assert json.loads((path / "config.json").read_text())["dtype"] == "bfloat16"
    model = Qwen2VLForConditionalGeneration.from_pretrained(path, dtype="auto")
    again = save_checkpoint(tmp_path / "b", model, load_processor(path))
    assert (again / "model.safetensors").read_bytes() == (path / "model.safetensors").read_bytes()
