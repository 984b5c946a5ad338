"""The KL estimators beside the truth: by hand, by enumeration, by autograd, and by plain forwards of a model."""

import math

import pytest
import torch

from tests.plain import plain_inputs
from tests.tiny import random_lora, tiny_clip
from vsr_kit import kl
from vsr_kit.generation import generate
from vsr_kit.kl import (
    CORRECTED,
    ESTIMATORS,
    KLRecord,
    estimator_errors,
    exact_kl,
    exact_moments,
    kl_estimates,
    kl_gradients,
    rollout_kl,
    token_mean,
)
from vsr_kit.losses import kl_k3
from vsr_kit.models import load_model
from vsr_kit.models.vision import core_model
from vsr_kit.prompts import chat_messages

CLIPS = {"room-0": tiny_clip(0), "room-1": tiny_clip(1, 3, 56, 84)}
# the second is shorter than the first, and about the same clip: a batch has them the other way round
QUESTIONS = ["How many chair(s) are in this room?", "How far?", "How long is the sofa?", "Is the bed wider than it?"]
SCENES = ["room-0", "room-0", "room-1", "unseen"]
ROWS = [
    {
        "id": str(i),
        "dataset": "rooms",
        "scene_name": scene,
        "question_type": "object_counting",
        "question": question,
        "options": None,
        "ground_truth": "3",
    }
    for i, (question, scene) in enumerate(zip(QUESTIONS, SCENES, strict=True))
]
G, T = 5, 6


def distributions(*shape, seed=0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two unlike log-distributions over the last axis, fp64."""
    rng = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=rng).double().log_softmax(-1) for _ in range(2))


# -- values ------------------------------------------------------------------------------------------------------------


def test_a_mean_over_tokens_and_its_error_by_hand():
    values = torch.tensor([[1.0, 3.0, 99.0], [5.0, math.nan, math.inf]])
    mean, error = token_mean(values, torch.tensor([[1, 1, 0], [1, 0, 0]]))
    assert mean == 3.0
    # rows' sums 4 and 5 against 2 x 3 and 1 x 3: off by -2 and 2; times N / (N - 1) = 2
    assert error == pytest.approx(math.sqrt((4 + 4) * 2) / 3)


def test_with_one_token_a_row_the_error_is_the_usual_one():
    values = torch.tensor([[1.0], [2.0], [4.0], [9.0]])
    mean, error = token_mean(values, torch.ones(4, 1))
    assert mean == 4.0 and error == pytest.approx(values.std().item() / 2)


def test_one_row_has_no_error_and_no_token_no_mean():
    assert math.isnan(token_mean(torch.ones(1, 3), torch.ones(1, 3))[1])
    with pytest.raises(ValueError, match="no token counts"):
        token_mean(torch.ones(2, 3), torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"values_NT \(2, 3\) and mask_NT \(2, 2\)"):
        token_mean(torch.ones(2, 3), torch.ones(2, 2))


def test_estimates_are_the_means_of_the_three():
    p, q = distributions(4, 3)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    found, counted = kl_estimates(p.float(), q.float(), mask), mask.bool()
    x = (p - q)[counted]
    by_hand = {"k1": x, "k2": x**2 / 2, "k3": (-x).exp() + x - 1}
    assert list(found) == list(by_hand)
    for name, values in by_hand.items():
        assert found[name][0] == pytest.approx(values.mean().item(), rel=1e-5)
        assert 0 < found[name][1] < 2


def test_the_exact_kl_by_hand():
    p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.5, 0.25])
    assert exact_kl(p.log(), q.log()).item() == pytest.approx(0.5 * math.log(2))
    assert exact_kl(q.log(), p.log()) == math.inf
    pair = distributions(2, 3, 7)
    assert exact_kl(*pair).shape == (2, 3) and (exact_kl(*pair) > 0).all()
    torch.testing.assert_close(exact_kl(*pair), torch.distributions.kl_divergence(*map(_categorical, pair)))


def _categorical(log_p):
    return torch.distributions.Categorical(logits=log_p)


def test_moments_by_hand_and_that_k1_and_k3_are_unbiased_and_k2_is_not():
    p, q = torch.tensor([0.8, 0.2, 0.0]).double(), torch.tensor([0.5, 0.5, 0.0]).double()
    found = exact_moments(p.log(), q.log())
    x = [math.log(1.6), math.log(0.4)]
    values = {"k1": x, "k2": [v**2 / 2 for v in x], "k3": [math.exp(-v) + v - 1 for v in x]}
    for name, (one, two) in values.items():
        mean, variance = (value.item() for value in found[name])
        assert mean == pytest.approx(0.8 * one + 0.2 * two)
        assert variance == pytest.approx(0.16 * (one - two) ** 2)
    log_p, log_q = distributions(3, 9)
    found, truth = exact_moments(log_p, log_q), exact_kl(log_p, log_q)
    torch.testing.assert_close(found["k1"][0], truth)
    torch.testing.assert_close(found["k3"][0], truth)
    assert ((found["k2"][0] - truth).abs() > 1e-3).all()


def test_k3_is_the_least_noisy_near_the_reference_and_the_noisiest_where_the_policy_dropped_a_word():
    base = torch.tensor([0.4, 0.3, 0.3]).double()
    spread = {
        name: [exact_moments(p.log(), base.log())[name][1].item() for p in (near, dropped)]
        for near, dropped in [(torch.tensor([0.42, 0.3, 0.28]).double(), torch.tensor([0.5, 0.4999, 1e-4]).double())]
        for name in ESTIMATORS
    }
    assert spread["k3"][0] < spread["k1"][0] / 100 and spread["k3"][1] > spread["k1"][1] * 100


# -- gradients ---------------------------------------------------------------------------------------------------------


def test_the_gradients_are_autograds():
    logps, reference = (value.exp().neg() for value in distributions(3, 4))
    old = (logps + 0.3 * distributions(3, 4, seed=1)[0]).detach()
    logps.requires_grad_(True)
    losses = {name: estimator(logps, reference) for name, estimator in ESTIMATORS.items()}
    losses[CORRECTED] = (logps - old).exp() * kl_k3(logps, reference)
    found = kl_gradients(logps.detach(), reference, old)
    assert found.keys() == losses.keys()
    for name, loss in losses.items():
        torch.testing.assert_close(found[name], torch.autograd.grad(loss.sum(), logps)[0])


@pytest.mark.parametrize("off_policy", [False, True])
def test_which_of_them_follow_the_gradient_of_the_kl(off_policy):
    """Each estimator's expected gradient in the logits of a softmax, against the true one, by enumeration."""
    theta = torch.randn(6, generator=torch.Generator().manual_seed(3)).double().requires_grad_(True)
    log_q, log_old = distributions(6)
    log_p = theta.log_softmax(-1)
    if not off_policy:
        log_old = log_p.detach()

    def gradient(loss):
        return torch.autograd.grad(loss, theta, retain_graph=True)[0]

    reverse, forward = gradient(exact_kl(log_p, log_q)), gradient(exact_kl(log_q, log_p))
    by_token = kl_gradients(log_p.detach(), log_q, log_old)
    expected = {name: gradient((log_old.exp() * own * log_p).sum()) for name, own in by_token.items()}
    assert reverse.norm() > 0.1 and (reverse - forward).norm() > 0.1
    torch.testing.assert_close(expected[CORRECTED], reverse)
    if off_policy:
        assert all((expected[name] - reverse).norm() > 0.1 for name in ESTIMATORS)
    else:
        torch.testing.assert_close(expected["k1"], torch.zeros_like(theta), atol=1e-12, rtol=0)
        torch.testing.assert_close(expected["k2"], reverse)
        torch.testing.assert_close(expected["k3"], forward)


def test_without_an_older_policy_the_correction_weighs_every_token_alike():
    p, q = distributions(3, 4)
    torch.testing.assert_close(kl_gradients(p, q)[CORRECTED], p - q)
    torch.testing.assert_close(kl_gradients(p, q, p)[CORRECTED], p - q)


# -- a model's own rollouts --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded(tiny_path):
    """With an adapter, and one token in ten as an end token, so that completions differ in length."""
    made = load_model(tiny_path, lora=random_lora(), device="cpu", dtype=torch.float32, quiet=True)
    core_model(made.model).generation_config.eos_token_id = list(range(3, 400, 10))
    return made


@pytest.fixture(scope="module")
def record(loaded):
    return rollout_kl(loaded, ROWS, CLIPS, "think", G, seed=4, max_new_tokens=T)


def plain_distributions(loaded, row, ids) -> torch.Tensor:
    """(T, W) by `model(**inputs)`: the whole conversation with pixels in, the pads struck out."""
    messages, clip = chat_messages(row, "think", "train"), CLIPS.get(row["scene_name"])
    with torch.no_grad():
        logits = loaded.model(**plain_inputs(loaded.processor, messages, clip, ids), use_cache=False).logits[0]
    config = core_model(loaded.model).config
    logits[:, [config.image_token_id, config.video_token_id]] = -math.inf
    return logits[-len(ids) - 1 : -1].double().log_softmax(-1)


def test_rollouts_are_weighed_as_plain_forwards_weigh_them(loaded, record):
    lengths = [len(ids) for ids in record.ids]
    assert len(lengths) == len(ROWS) * G and len(set(lengths)) > 2 and record.mask_NT.sum(1).tolist() == lengths
    assert record.exact_NT[record.mask_NT].min() > 1e-3, "policy and reference are the same: the test proves little"
    for n, ids in enumerate(record.ids):
        policy = plain_distributions(loaded, ROWS[n // G], ids)
        with loaded.model.disable_adapter():
            reference = plain_distributions(loaded, ROWS[n // G], ids)
        chosen = torch.tensor(ids)[:, None]
        moments = exact_moments(policy, reference)
        pairs = {
            "logps": (record.logps_NT, policy.gather(1, chosen)[:, 0]),
            "ref_logps": (record.ref_logps_NT, reference.gather(1, chosen)[:, 0]),
            "exact": (record.exact_NT, exact_kl(policy, reference)),
            "mean": (record.means_NT["k2"], moments["k2"][0]),
            "variance": (record.variances_NT["k3"], moments["k3"][1]),
        }
        for name, (found, truth) in pairs.items():
            torch.testing.assert_close(found[n, : len(ids)], truth, atol=2e-4, rtol=2e-4, msg=f"{name} of {n}")
            assert (found[n, len(ids) :] == 0).all()


def test_the_completions_are_those_of_generate(loaded, record):
    said = generate(
        loaded, ROWS, CLIPS, mode="think", prompt_set="train", max_new_tokens=T, temperature=1.0, num_samples=G, seed=4
    )
    texts = loaded.processor.tokenizer.batch_decode(record.ids, skip_special_tokens=True)
    assert [text.strip() for text in texts] == [one.text for own in said for one in own]
    assert len(set(texts)) > G


def test_a_question_at_a_time_makes_no_difference(loaded, record, monkeypatch):
    monkeypatch.setattr(kl, "_NUMBERS_AT_ONCE", 1)
    single = rollout_kl(loaded, ROWS, CLIPS, "think", G, seed=4, max_new_tokens=T)
    assert single.ids == record.ids
    torch.testing.assert_close(single.exact_NT, record.exact_NT, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(single.ref_logps_NT, record.ref_logps_NT, atol=1e-5, rtol=1e-4)


def test_the_sampled_means_agree_with_the_exact_ones_within_their_error(loaded):
    """Places are the same, so all that differs is chance: 240 tokens of it."""
    record = rollout_kl(loaded, ROWS, CLIPS, "vanilla", 40, max_new_tokens=T)
    errors, estimates = estimator_errors(record), record.estimates()
    assert list(estimates) == ["k1", "k2", "k3", "exact"]
    for name in ("k1", "k3"):
        own = errors[name]
        assert abs(own.true_bias) < 1e-6 and abs(own.bias) < 4 * own.std_error
        assert estimates[name][0] - estimates["exact"][0] == pytest.approx(own.bias)
    assert errors["k1"].spread == pytest.approx(errors["k1"].true_spread, rel=0.25)
    assert errors["k2"].true_bias > 0.05


def test_errors_by_hand():
    """Two places where the policy says 0.8 : 0.2 and one where it says 0.6 : 0.4, against a reference of 0.5 : 0.5."""
    q, p = torch.tensor([0.5, 0.5]).double().log(), torch.tensor([[0.8, 0.2], [0.6, 0.4]]).double().log()
    tokens, mask = torch.tensor([[0, 1], [0, 0]]), torch.tensor([[True, True], [True, False]])
    exact = exact_kl(p, q)
    means, variances = ({k: v[i][:, None].expand(2, 2) for k, v in exact_moments(p, q).items()} for i in (0, 1))
    record = KLRecord(p.gather(1, tokens), q[tokens], exact[:, None].expand(2, 2), mask, means, variances, [])
    own = estimator_errors(record)["k2"]
    apart = [
        [math.log(2 * x) ** 2 / 2 - truth for x in pair]
        for pair, truth in zip(p.exp().tolist(), exact.tolist(), strict=True)
    ]
    chances = [(2 * 0.8, apart[0][0]), (2 * 0.2, apart[0][1]), (0.6, apart[1][0]), (0.4, apart[1][1])]
    bias = sum(share * error for share, error in chances) / 3
    assert own.true_bias == pytest.approx(bias)
    assert own.true_spread == pytest.approx(math.sqrt(sum(share * (e - bias) ** 2 for share, e in chances) / 3))
    sampled = torch.tensor([apart[0][0], apart[0][1], apart[1][0]])
    assert own.bias == pytest.approx(sampled.mean().item())
    assert own.spread == pytest.approx(sampled.std(correction=0).item())


def test_what_cannot_be_compared_is_refused(tiny_path, loaded):
    bare = load_model(tiny_path, device="cpu", quiet=True)
    with pytest.raises(ValueError, match="has no adapter, so policy and reference are the same"):
        rollout_kl(bare, ROWS, CLIPS)
    with pytest.raises(ValueError, match="rows is empty"):
        rollout_kl(loaded, [], CLIPS)
