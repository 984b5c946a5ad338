"""Sharing is exact: scores, the whole gradient and rollouts equal those of plain forwards, over shapes drawn at random.

In fp64 within 1e-9 and in fp32 within 1e-5, relative; in bf16 and nf4 no further from fp32 than the plain path is.
"""

import numpy as np
import pytest
import torch
from peft import get_peft_model
from transformers import GenerationConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLRMSNorm

from tests.plain import plain_generate, plain_logps
from tests.tiny import random_lora, tiny_clip, tiny_messages
from vsr_kit.models import load_model
from vsr_kit.models.vision import core_model, encode_clip
from vsr_kit.sharing import encode_prompt, generate_ids, give_scores, score

SIZES = [(4, 56, 56), (2, 84, 56), (6, 56, 84), (2, 28, 28)]
WORDS = "How many chairs are in this room , long the sofa left right ? 3 4 A B".split()


class Case:
    """Questions about clips and completions of each, drawn from a seed."""

    def __init__(self, seed: int, model, processor, num_clips=None, completions=None):
        rng = np.random.default_rng(seed)
        self.frames, self.messages, self.said, self.prompts = [], [], [], []
        for clip in range(num_clips or rng.integers(1, 4)):
            frames = tiny_clip(int(rng.integers(99)), *SIZES[(seed + clip) % len(SIZES)])
            features = encode_clip(model, processor, frames)
            for _ in range(rng.integers(1, 4)):
                messages = tiny_messages(" ".join(rng.choice(WORDS, rng.integers(1, 12))))
                self.frames.append(frames)
                self.messages.append(messages)
                self.prompts.append(encode_prompt(model, processor, messages, features))
                lengths = rng.integers(1, 9, completions or rng.integers(1, 5))
                self.said.append([torch.from_numpy(rng.integers(5, 300, n)) for n in lengths])
        order = rng.permutation(len(self.prompts)) if seed % 2 else range(len(self.prompts))  # clips need no neighbours
        for name in ("frames", "messages", "said", "prompts"):
            setattr(self, name, [getattr(self, name)[i] for i in order])
        self.weights = [[torch.from_numpy(rng.normal(size=len(c))) for c in own] for own in self.said]


def norm_in_own_dtype(self, hidden):
    """transformers computes norms in fp32 whatever the model's dtype; here fp64 stays fp64 all the way."""
    scale = torch.rsqrt(hidden.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
    return self.weight * (hidden * scale)


def model_of(tiny_path, dtype=torch.float32, quantize=None, seed=0):
    """The tiny checkpoint with LoRA that is no identity."""
    loaded = load_model(tiny_path, quantize=quantize, device="cpu", dtype=dtype, quiet=True)
    torch.manual_seed(seed)
    model = get_peft_model(loaded.model, random_lora()).to(dtype if quantize is None else None).train()
    return model, loaded.processor


def gradient(model, loss) -> torch.Tensor:
    """The whole gradient as one vector, fp64."""
    weights = [p for p in model.parameters() if p.requires_grad]
    return torch.cat([g.flatten().double() for g in torch.autograd.grad(loss, weights)])


def plain_scores(model, processor, case) -> list[torch.Tensor]:
    pairs = zip(case.messages, case.frames, case.said, strict=True)
    return [plain_logps(model, processor, m, f, c)[0] for m, f, own in pairs for c in own]


def shared_scores(model, case) -> list[torch.Tensor]:
    give_scores(model)
    return [one.logps_T for own in score(model, case.prompts, case.said) for one in own]


def both(model, processor, case):
    """(log-probabilities, gradient) of the plain and of the shared computation."""
    weights = torch.cat(sum(case.weights, []))
    out = []
    for compute in (lambda: plain_scores(model, processor, case), lambda: shared_scores(model, case)):
        logps = torch.cat(compute())
        out.append((logps.detach().double(), gradient(model, (logps * weights.to(logps.dtype)).sum())))
    return out


def off(found: torch.Tensor, true: torch.Tensor) -> float:
    return float((found - true).norm() / true.norm())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dtype, least", [(torch.float64, 1e-9), (torch.float32, 1e-5)])
def test_scores_and_gradient_equal_the_plain_ones(tiny_path, monkeypatch, dtype, least, seed):
    if dtype == torch.float64:
        monkeypatch.setattr(Qwen2VLRMSNorm, "forward", norm_in_own_dtype)
    model, processor = model_of(tiny_path, dtype)
    case = Case(seed, model, processor)
    (plain, plain_gradient), (shared, shared_gradient) = both(model, processor, case)
    assert off(shared, plain) < least
    assert off(shared_gradient, plain_gradient) < least
    other = Case(seed + 100, model, processor)
    if len(other.said) == len(case.said):  # the numbers do depend on what is scored
        assert off(torch.cat(shared_scores(model, other)).double()[: len(plain)], plain) > 1e-3


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("how", ["bf16", "nf4"])
def test_in_low_precision_sharing_is_no_further_from_fp32_than_the_plain_path(tiny_path, how, seed):
    """nf4: against the same 4-bit weights computed in fp32 by plain forwards."""
    truth, processor = model_of(tiny_path, quantize="nf4" if how == "nf4" else None)
    case = Case(seed, truth, processor, completions=4)
    exact = torch.cat(plain_scores(truth, processor, case)).detach()
    with torch.autocast("cpu", torch.bfloat16):
        case = Case(seed, truth, processor, completions=4)
        plain = torch.cat(plain_scores(truth, processor, case)).detach().float()
        shared = torch.cat(shared_scores(truth, case)).detach().float()
    assert off(plain, exact) > 1e-4  # bf16 was on
    assert off(shared, exact) < 1.5 * off(plain, exact)


def test_gradient_checkpointing_changes_nothing(tiny_path, monkeypatch):
    monkeypatch.setattr(Qwen2VLRMSNorm, "forward", norm_in_own_dtype)
    model, processor = model_of(tiny_path, torch.float64)
    case = Case(3, model, processor)
    weights = torch.cat(sum(case.weights, []))
    expected = gradient(model, (torch.cat(shared_scores(model, case)) * weights).sum())
    for reentrant in (False, True):
        core_model(model).gradient_checkpointing_enable({"use_reentrant": reentrant})
        core_model(model).enable_input_require_grads()
        loss = (torch.cat(shared_scores(model, case)) * weights).sum()
        loss.backward()
        found = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
        model.zero_grad()
        assert off(found, expected) < 1e-9


@pytest.mark.parametrize("quantize", [None, "nf4"])
def test_sampled_tokens_are_those_of_transformers_alone(tiny_path, quantize):
    """Same random state, same tokens, for one question; and greedily for many of several clips at once."""
    model, processor = model_of(tiny_path, quantize=quantize)
    model.eval()
    case = Case(5, model, processor, num_clips=3)
    pads = [processor.image_token_id, processor.video_token_id]
    how = {
        "max_new_tokens": 12,
        "eos_token_id": [processor.tokenizer.eos_token_id],
        "pad_token_id": processor.tokenizer.pad_token_id,
        "suppress_tokens": pads,
    }
    greedy = GenerationConfig(do_sample=False, **how)
    ours = generate_ids(model, case.prompts, 1, greedy, processor.tokenizer.pad_token_id)
    plain = [plain_generate(model, processor, m, f, greedy)[0] for m, f in zip(case.messages, case.frames, strict=True)]
    assert ours == plain
    sampled = GenerationConfig(do_sample=True, top_k=0, top_p=0.95, temperature=0.9, **how)
    for i in (0, len(case.prompts) - 1):
        torch.manual_seed(i)
        ours = generate_ids(model, [case.prompts[i]], 5, sampled, processor.tokenizer.pad_token_id)
        torch.manual_seed(i)
        assert ours == plain_generate(model, processor, case.messages[i], case.frames[i], sampled, num_samples=5)
        assert len({tuple(ids) for ids in ours}) > 1


def test_beams_are_refused(tiny_path):
    model, processor = model_of(tiny_path)
    case = Case(0, model, processor)
    with pytest.raises(ValueError, match="num_beams is 3"):
        generate_ids(model, case.prompts, 1, GenerationConfig(num_beams=3), 0)


def test_an_ordinary_forward_is_what_it_was(tiny_path):
    model, processor = model_of(tiny_path)
    case = Case(2, model, processor)
    before = torch.cat(plain_scores(model, processor, case))
    give_scores(model)
    give_scores(model)  # twice does no harm
    torch.testing.assert_close(torch.cat(plain_scores(model, processor, case)), before, rtol=0, atol=0)
