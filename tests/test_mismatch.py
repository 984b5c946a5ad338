"""What rollouts were sampled with is compared with what is trained on: true numbers, logged, and nothing is changed."""

import contextlib
from dataclasses import replace

import pytest
import torch
from transformers import GenerationConfig

from tests.test_trainers import CLIPS, G, make, plain, rows, scored_rows  # noqa: F401 (make is a fixture)
from tests.tiny import tiny_clip, tiny_messages
from vsr_kit.models import load_model
from vsr_kit.models.feature_cache import FeatureStore
from vsr_kit.sharing import EncodedPrompt, SampledLogps, encode_prompt, generate_ids, give_scores, score
from vsr_kit.training import grpo_trainer
from vsr_kit.training.mismatch import MAX, MEAN, differences, padded


def logged(trainer, name) -> list[float]:
    return [line[name] for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize("quantize", [None, "nf4"])
def test_what_was_seen_while_sampling_is_what_a_plain_forward_says(make, quantize):  # noqa: F811
    trainer = make(quantize, temperature=0.7, learning_rate=0.0)
    trainer.train()
    batch = trainer.batches[0]
    for ids, place in scored_rows(batch):
        with torch.no_grad():
            logps, _ = plain_at(trainer, batch, place, ids, 0.7)
        torch.testing.assert_close(batch["rollout_logps"][place, : len(ids)], logps, atol=1e-4, rtol=1e-4)
    assert max(logged(trainer, MEAN)) < 1e-5 and max(logged(trainer, MEAN)) <= max(logged(trainer, MAX)) < 1e-4


def plain_at(trainer, batch, place, ids, temperature):
    """The plain forward's log-probabilities, its logits divided by the temperature."""
    head = trainer.accelerator.unwrap_model(trainer.model).get_output_embeddings()
    hook = head.register_forward_hook(lambda module, args, logits: logits / temperature)
    try:
        return plain(trainer, batch, place, ids)
    finally:
        hook.remove()


def test_it_is_logged_for_every_step_and_over_old_weights(make):  # noqa: F811
    trainer = make(num_iterations=2, max_steps=4)
    trainer.train()
    assert len(logged(trainer, MEAN)) == 4
    assert max(logged(trainer, MEAN)) < 1e-5, "in a second iteration the weights have moved; that is no mismatch"


def test_training_is_the_same_to_the_last_bit_with_and_without_it(make, monkeypatch):  # noqa: F811
    first = make(max_steps=3)
    first.train()
    monkeypatch.setattr(grpo_trainer, "SampledLogps", lambda *args: contextlib.nullcontext(Silent()))
    monkeypatch.setattr(grpo_trainer, "log_mismatch", lambda *args: None)
    second = make(max_steps=3)
    second.train()
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)
    timed = {MEAN, MAX, "step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second"}
    cut = [[{k: v for k, v in line.items() if k not in timed} for line in t.state.log_history] for t in (first, second)]
    assert cut[0] == cut[1]
    assert MEAN in first.state.log_history[0] and MEAN not in second.state.log_history[0]


class Silent:
    def of(self, completions):
        return None


def without_clip(prompts: list[EncodedPrompt]) -> list[EncodedPrompt]:
    """The same prompts, row by row, their clips' features all zero."""
    blind = {own: replace(own, features_VD=torch.zeros_like(own.features_VD)) for own in prompts}
    return [blind[own] for own in prompts]


def blind_policy(trainer, model, inputs, seeing=grpo_trainer.VideoGRPOTrainer._compute_loss):
    """A loss as stock TRL's with a video: the rollouts saw the clip, the pass that trains does not."""
    return seeing(trainer, model, inputs | {"encoded_prompts": without_clip(inputs["encoded_prompts"])})


def test_a_policy_pass_without_the_clip_shows_in_the_log(make, monkeypatch):  # noqa: F811
    monkeypatch.setattr(grpo_trainer.VideoGRPOTrainer, "_compute_loss", blind_policy)
    trainer = make()
    trainer.train()
    assert min(logged(trainer, MEAN)) > 0.5


@pytest.fixture
def asked(tiny_path):
    loaded = load_model(tiny_path, device="cpu", dtype=torch.float32, quiet=True)
    give_scores(loaded.model)
    messages = [tiny_messages(row["question"]) for row in rows(2)]
    clips = FeatureStore().encode(loaded.model, loaded.processor, [CLIPS["room-0"], tiny_clip(5)])
    prompts = [
        encode_prompt(loaded.model, loaded.processor, own, clip) for own, clip in zip(messages, clips, strict=True)
    ]
    pad = loaded.processor.tokenizer.pad_token_id
    ends = list(range(0, 400, 4))  # a random model's rollouts then end at different steps
    settings = {"do_sample": True, "top_k": 0, "max_new_tokens": 5, "eos_token_id": ends, "pad_token_id": pad}
    return loaded.model, prompts, GenerationConfig(**settings), pad


def test_completions_are_the_same_when_watched(asked):
    model, prompts, settings, pad = asked
    torch.manual_seed(0)
    unwatched = generate_ids(model, prompts, G, settings, pad)
    after = torch.rand(1)
    torch.manual_seed(0)
    with SampledLogps(model) as seen:
        watched = generate_ids(model, prompts, G, settings, pad)
    assert watched == unwatched and torch.equal(torch.rand(1), after), "the stream of random numbers is untouched"
    found = seen.of(watched)
    assert len({len(own) for own in found}) > 2, "rollouts that end at different steps"
    groups = [[torch.tensor(own) for own in watched[i : i + G]] for i in range(0, len(watched), G)]
    with torch.no_grad():
        scored = [one.logps_T for group in score(model, prompts, groups) for one in group]
    torch.testing.assert_close(found, scored, atol=1e-4, rtol=1e-4)
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    assert not head._forward_hooks and not embedding._forward_pre_hooks


def test_numbers_that_belong_to_other_tokens_are_not_given(asked):
    model, prompts, settings, pad = asked
    with SampledLogps(model) as seen:
        ids = generate_ids(model, prompts, G, settings, pad)
    other = [list(own) for own in ids]
    other[0][0] += 1
    assert seen.of(other) is None and seen.of(ids[:-1]) is None
    assert seen.of(ids) is not None


def test_only_tokens_that_count_and_were_seen_are_compared():
    ids = torch.zeros(3, 3, dtype=torch.long)
    rollout = padded([torch.tensor([-1.0, -2.0]), torch.tensor([-3.0])], ids)
    assert rollout.isnan().tolist() == [[False, False, True], [False, True, True], [True, True, True]]
    training = torch.tensor([[-1.5, -2.0, -9.0], [-3.25, -9.0, -9.0], [-9.0, -9.0, -9.0]])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 1]])
    assert differences(rollout, training, mask).tolist() == [0.5, 0.0, 0.25]
    mask[1] = 0  # truncated, and told not to count
    assert differences(rollout, training, mask).tolist() == [0.5, 0.0]
    assert padded(None, ids).isnan().all()
