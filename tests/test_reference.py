"""The plain side of the comparison: G rows at once are G single forwards, and the counts are what a model reads."""

import pytest
import torch
from transformers import GenerationConfig

from tests.plain import plain_generate
from tests.plain import plain_logps as one_row
from tests.tiny import random_lora, tiny_clip, tiny_messages
from vsr_kit.models import load_model
from vsr_kit.models.vision import encode_clip
from vsr_kit.sharing import encode_prompt, generate_ids, give_scores, score, shared_prefixes
from vsr_kit.sharing.meter import ROLLOUT, SCORING, Meter
from vsr_kit.sharing.reference import (
    answer_logps,
    gradient,
    plain_logps,
    plain_rollouts,
    plain_tokens,
    relative_error,
    shared_tokens,
)

QUESTIONS = ["How many chair(s)?", "How many sofa(s)?", "How many left(s)?"]
CLIP = tiny_clip(0)
G, T = 3, 4


@pytest.fixture(scope="module")
def loaded(tiny_path):
    return load_model(tiny_path, lora=random_lora(), device="cpu", quiet=True)


def settings(processor, **how):
    tokenizer, pads = processor.tokenizer, [processor.image_token_id, processor.video_token_id]
    ends = {"eos_token_id": [tokenizer.eos_token_id], "pad_token_id": tokenizer.pad_token_id}
    return GenerationConfig(do_sample=True, top_k=0, max_new_tokens=T, suppress_tokens=pads, **ends, **how)


def test_rows_of_ragged_completions_are_single_forwards(loaded):
    said = [torch.tensor(c) for c in ([5, 9, 2, 7], [3], [7, 7])]
    messages = tiny_messages(QUESTIONS[0])
    for completion, found in zip(said, plain_logps(loaded.model, loaded.processor, messages, CLIP, said), strict=True):
        alone, _ = one_row(loaded.model, loaded.processor, messages, CLIP, completion)
        assert relative_error(found, alone) < 1e-5


def test_an_answer_is_as_probable_as_its_tokens_and_its_end_together(loaded):
    tokenizer, messages = loaded.processor.tokenizer, tiny_messages(QUESTIONS[1])
    (end,) = tokenizer.encode("<|im_end|>")
    texts = ["3", "4 chairs"]
    found = answer_logps(loaded.model, loaded.processor, messages, CLIP, texts)
    for text, logp in zip(texts, found, strict=True):
        ids = [*tokenizer.encode(text), end]
        alone, _ = one_row(loaded.model, loaded.processor, messages, CLIP, ids)
        assert logp.item() == pytest.approx(alone.sum().item(), rel=1e-5)
    assert not found.requires_grad


def test_rollouts_are_transformers_own(loaded):
    how, messages = settings(loaded.processor), tiny_messages(QUESTIONS[0])
    torch.manual_seed(0)
    ours = plain_rollouts(loaded.model, loaded.processor, messages, CLIP, G, how)
    torch.manual_seed(0)
    assert ours == plain_generate(loaded.model, loaded.processor, messages, CLIP, how, num_samples=G)
    how.eos_token_id = ours[0][1]
    torch.manual_seed(0)
    assert plain_rollouts(loaded.model, loaded.processor, messages, CLIP, G, how)[0] == ours[0][:2]


@pytest.mark.parametrize("asked", [QUESTIONS[:1], QUESTIONS])
def test_the_counts_are_what_the_language_model_reads(loaded, asked):
    model, processor = loaded.model, loaded.processor
    messages = [tiny_messages(text) for text in asked]
    features = encode_clip(model, processor, CLIP)
    prompts = [encode_prompt(model, processor, own, features) for own in messages]
    how, pad = settings(processor, min_new_tokens=T), processor.tokenizer.pad_token_id
    give_scores(model)
    meter = Meter(model)
    with meter.phase(ROLLOUT):
        ids = generate_ids(model, prompts, G, how, pad)
    said = [[torch.tensor(own) for own in ids[i : i + G]] for i in range(0, len(ids), G)]
    with meter.phase(SCORING):
        score(model, prompts, said)
    (_, clip), total = shared_prefixes(prompts)[0], sum(len(p.ids_P) for p in prompts)
    shape = (clip, total / len(asked) - clip, T, G, len(asked))
    assert meter.take()["trunk_tokens"] == dict.fromkeys((ROLLOUT, SCORING), shared_tokens(*shape))
    for own, completions in zip(messages, said, strict=True):
        with meter.phase(ROLLOUT):
            plain_rollouts(model, processor, own, CLIP, G, how)
        with meter.phase(SCORING):
            plain_logps(model, processor, own, CLIP, completions)
    tokens = meter.take()["trunk_tokens"]
    assert tokens == {ROLLOUT: plain_tokens(*shape) - len(asked) * G, SCORING: plain_tokens(*shape)}


def test_a_gradient_is_all_of_it_as_one_vector(loaded):
    weights = [p for p in loaded.model.parameters() if p.requires_grad]
    found = gradient(loaded.model, sum((i + 1) * p.sum() for i, p in enumerate(weights)))
    assert found.dtype == torch.float64
    assert found.tolist() == [float(i + 1) for i, p in enumerate(weights) for _ in range(p.numel())]


def test_relative_error():
    assert relative_error(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 4.0])) == pytest.approx(0.75)
