"""Weights that are dequantized once give the same numbers, merged adapters the same but for rounding; both leave."""

import sys

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, get_peft_model

import vsr_kit.models.dequantized as dequantized
from tests.tiny import random_lora
from vsr_kit.evaluation import load_questions
from vsr_kit.generation import generate
from vsr_kit.models import load_model
from vsr_kit.models.dequantized import keep_dequantized, merged_adapters
from vsr_kit.training.methods import GRPO
from vsr_kit.training.run import train

IDS = torch.arange(40, 60).reshape(2, 10)


def model_of(path, quantize="nf4", dtype=torch.float32, config=None):
    loaded = load_model(path, quantize=quantize, device="cpu", dtype=dtype, quiet=True)
    torch.manual_seed(0)
    return get_peft_model(loaded.model, config or random_lora())


def logits(model) -> torch.Tensor:
    return model(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits


def loss_and_gradient(model) -> tuple:
    model.zero_grad()
    loss = logits(model).float().logsumexp(-1).sum()
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def changed(model) -> list:
    return [layer for layer in model.modules() if "forward" in layer.__dict__]


def test_weights_that_are_kept_give_the_same_numbers_to_the_last_bit(tiny_path):
    model = model_of(tiny_path).train()
    before = changed(model)
    loss, gradient = loss_and_gradient(model)
    with keep_dequantized(model) as count:
        kept_loss, kept_gradient = loss_and_gradient(model)
    assert count > 10 and kept_loss == loss
    assert kept_gradient.keys() == gradient.keys() and gradient
    assert all(torch.equal(kept_gradient[name], gradient[name]) for name in gradient)
    assert changed(model) == before


def test_a_kept_weight_is_what_the_layer_computes_with(tiny_path):
    """Weights that differ would be seen: the test above does not compare a layer with itself."""
    model = model_of(tiny_path).train()
    plain = logits(model)
    with keep_dequantized(model):
        layer = next(layer for layer in changed(model))
        layer.forward.keywords["weight"].mul_(1.5)
        assert not torch.equal(logits(model), plain)
    assert torch.equal(logits(model), plain)


@torch.no_grad()
@pytest.mark.parametrize("quantize", ["nf4", None])
def test_a_merged_adapter_gives_the_same_numbers_but_for_rounding(tiny_path, quantize):
    model = model_of(tiny_path, quantize).train()
    plain = logits(model)
    with model.disable_adapter():
        base = logits(model)
    state = {name: value.clone() for name, value in model.state_dict().items() if "lora" in name}
    with keep_dequantized(model), merged_adapters(model) as count:
        merged = logits(model)
    assert count > 10
    assert (merged - plain).abs().max() <= 1e-5 * plain.abs().max()
    assert (plain - base).abs().max() > 0.01  # the adapter is no identity
    assert torch.equal(logits(model), plain)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())


@torch.no_grad()
def test_an_adapter_that_is_switched_off_is_not_merged(tiny_path):
    model = model_of(tiny_path)
    with model.disable_adapter():
        base = logits(model)
        with merged_adapters(model) as count:
            assert count == 0 and torch.equal(logits(model), base)


@torch.no_grad()
@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False, lora_dropout=0.5),
        LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False, use_dora=True),
        LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False, lora_bias=True),
    ],
    ids=["dropout", "DoRA", "bias"],
)
def test_adapters_that_are_no_product_of_two_matrices_run_as_ever(tiny_path, config):
    model = model_of(tiny_path, None, config=config)
    with merged_adapters(model) as count:
        assert count == 0


@torch.no_grad()
def test_what_is_not_float32_or_takes_too_much_memory_runs_as_ever(tiny_path, monkeypatch):
    half = model_of(tiny_path, "nf4", torch.bfloat16)
    for context in (keep_dequantized, merged_adapters):
        with context(half) as count:
            assert count == 0
    model = model_of(tiny_path)
    monkeypatch.setattr(dequantized, "HELD_BYTES", 1000)
    monkeypatch.setattr(dequantized, "_dequantized", None)  # not even for a moment
    for context in (keep_dequantized, merged_adapters):
        with context(model) as count:
            assert count == 0 and not [layer for layer in changed(model) if "weight" in str(layer.forward)]


@torch.no_grad()
def test_models_without_four_bit_weights_do_not_need_bitsandbytes(tiny_path, monkeypatch):
    model = model_of(tiny_path, None)
    plain = logits(model)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as where it is not installed
    with keep_dequantized(model) as kept, merged_adapters(model) as merged:
        assert kept == 0 and merged > 10
        assert (logits(model) - plain).abs().max() <= 1e-5 * plain.abs().max()


def test_layers_are_as_they_were_after_an_error(tiny_path):
    model = model_of(tiny_path)
    before = changed(model)
    with pytest.raises(KeyError), keep_dequantized(model), merged_adapters(model):
        assert len(changed(model)) > len(before)
        raise KeyError
    assert changed(model) == before


def test_asking_keeps_the_weights_and_gets_the_same_answers(tiny_path, monkeypatch):
    loaded = load_model(tiny_path, "nf4", device="cpu", quiet=True)
    rows = load_questions(1, per_type=1).rows
    called, forward, said = [], Linear4bit.forward, {}
    monkeypatch.setattr(Linear4bit, "forward", lambda self, x: called.append(1) or forward(self, x))
    for held in (2**30, 0):
        monkeypatch.setattr(dequantized, "HELD_BYTES", held)
        called.clear()
        said[held] = generate(loaded, rows, None, max_new_tokens=6), len(called)
    assert said[2**30][1] == 0 and said[0][1] > 10
    assert said[2**30][0] == said[0][0] and not changed(loaded.model)


def test_training_keeps_the_weights_and_ends_with_the_same_numbers(monkeypatch):
    questions = load_questions(3, split="train", per_type=2)
    called, forward, logs = [], Linear4bit.forward, {}
    monkeypatch.setattr(Linear4bit, "forward", lambda self, x: called.append(1) or forward(self, x))
    for held in (2**30, 0):
        monkeypatch.setattr(dequantized, "HELD_BYTES", held)
        called.clear()
        trained = train("mini", GRPO("vanilla"), questions, steps=2, seed=3, quiet=True)
        logs[held] = [(row.get("loss"), row.get("grad_norm"), row.get("reward")) for row in trained.logs], len(called)
    (kept, without), (anew, calls) = logs[2**30], logs[0]
    assert without == 0 and calls > 100
    assert kept[0] == anew[0] and len(kept) == len(anew)
