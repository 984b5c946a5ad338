"""The arithmetic, against TRL's own code on the same tensors and against numbers done by hand."""

import math
import types
from collections import defaultdict

import pytest
import torch
from trl import GRPOConfig, GRPOTrainer

from vsr_kit.losses import (
    LOSS_TYPES,
    entropy,
    group_advantages,
    grpo_loss,
    kl_k1,
    kl_k2,
    kl_k3,
    reinforce_loss,
)

LENGTHS = [5, 2, 4, 1, 5, 3]


def tensors(seed=0, spread=0.4):
    """(logps, old, reference, advantages, mask) of six completions of up to five tokens."""
    rng = torch.Generator().manual_seed(seed)
    logps = -torch.rand(6, 5, generator=rng) * 3
    old = logps + spread * torch.randn(6, 5, generator=rng)
    reference = logps + spread * torch.randn(6, 5, generator=rng)
    mask = (torch.arange(5) < torch.tensor(LENGTHS)[:, None]).long()
    return logps.requires_grad_(True), old, reference, torch.randn(6, generator=rng), mask


def trl_loss(tmp_path, logps, old, reference, advantages, mask, beta, epsilon, loss_type, corrected=False):
    """GRPOTrainer._compute_loss itself, with the model's part replaced by `logps`."""
    off = {"activation_checkpointing": False}
    config = GRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, use_bias_correction_kl=corrected, **off)
    accelerator = types.SimpleNamespace(
        num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x, sync_gradients=True
    )
    trainer = types.SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (logps, torch.zeros_like(logps), None),
        args=config, beta=beta, epsilon_low=epsilon, epsilon_high=epsilon, loss_type=loss_type, accelerator=accelerator,
        aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None, use_vllm=False,
        importance_sampling_level="token", model=types.SimpleNamespace(training=True), _entropy_bonus_enabled=False,
        current_gradient_accumulation_steps=1, max_completion_length=mask.shape[1],
        _metrics={"train": defaultdict(list)},
    )  # fmt: skip
    inputs = {
        "prompt_ids": torch.zeros(6, 1, dtype=torch.long), "prompt_mask": torch.ones(6, 1, dtype=torch.long),
        "completion_ids": torch.zeros(6, 5, dtype=torch.long), "completion_mask": mask, "advantages": advantages,
        "old_per_token_logps": old, "ref_per_token_logps": reference,
    }  # fmt: skip
    return GRPOTrainer._compute_loss(trainer, None, inputs)


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
@pytest.mark.parametrize("beta, corrected", [(0.0, False), (0.0, True), (0.3, False), (0.3, True)])
@pytest.mark.parametrize("spread", [0.0, 0.05, 0.4], ids=["on-policy", "unclipped", "clipped"])
def test_loss_and_gradient_are_trls(tmp_path, loss_type, beta, corrected, spread):
    logps, old, reference, advantages, mask = tensors(spread=spread)
    reference = reference + 0.3  # on-policy, too, the reference is another
    settings = (beta, 0.2, loss_type, corrected)
    ours = grpo_loss(logps, old, reference, advantages, mask, *settings)
    theirs = trl_loss(tmp_path, logps, old, reference, advantages, mask, *settings)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-6)
    gradients = [torch.autograd.grad(loss, logps)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-7, rtol=1e-6)
    ratio = (logps - old).exp()
    clipped = ((ratio > 1.2) & (advantages[:, None] > 0)) | ((ratio < 0.8) & (advantages[:, None] < 0))
    assert (clipped & mask.bool()).any().item() is (spread == 0.4) and gradients[0].norm() > 0


def test_bias_correction_changes_the_gradient_even_on_policy():
    """Where the ratio is 1 the loss is the same; its gradient is k1's value, not 1 - q/p."""
    logps, _, reference, _, mask = tensors()
    losses = [grpo_loss(logps, logps, reference, torch.zeros(6), mask, 1.0, 0.2, "dr_grpo", how) for how in (0, 1)]
    assert losses[0].item() == pytest.approx(losses[1].item())
    plain, corrected = (torch.autograd.grad(loss, logps)[0] * logps.numel() for loss in losses)
    torch.testing.assert_close(plain, (1 - (reference - logps).exp()) * mask)
    torch.testing.assert_close(corrected, (logps - reference) * mask)


@pytest.mark.parametrize(
    "dtype, largest", [(torch.float32, 88.7), (torch.bfloat16, 88.5), (torch.float16, 11.08)], ids=str
)
def test_k3_overflows_and_with_it_its_gradient(dtype, largest):
    """bfloat16 has float32's range, and no number between 88.5 and 89."""
    apart = torch.tensor([-1000.0, largest, math.ceil(largest)], dtype=dtype)
    logps = torch.zeros(3, dtype=dtype, requires_grad=True)
    values = kl_k3(logps, apart)
    assert values.isfinite().tolist() == [True, True, False] and values[0] == 999 and values[2] == math.inf
    (gradient,) = torch.autograd.grad(values.sum(), logps)
    assert gradient[0] == 1 and gradient[2] == -math.inf
    assert gradient[1].item() == pytest.approx(1 - math.exp(apart[1].item()), rel=1e-2)


@pytest.mark.parametrize("masked", [False, True])
def test_one_token_that_overflows_spoils_the_loss_as_it_does_trls(tmp_path, masked):
    """However small beta is; and behind the mask, since 0 times infinity is NaN."""
    logps, old, reference, advantages, mask = tensors()
    row, token = (3, 4) if masked else (0, 0)
    assert mask[row, token] == (not masked)
    reference[row, token] = logps[row, token].detach() + 89
    for loss_of in (grpo_loss, lambda *given: trl_loss(tmp_path, *given)):
        loss = loss_of(logps, old, reference, advantages, mask, 1e-12, 0.2, "grpo")
        (gradient,) = torch.autograd.grad(loss, logps)
        assert loss.isnan() if masked else loss == math.inf
        assert not gradient[row, token].isfinite() and gradient.isfinite().sum() == gradient.numel() - 1


def test_a_loss_by_hand():
    logps = torch.log(torch.tensor([[0.5, 0.3], [0.2, 0.9]]))
    old = torch.log(torch.tensor([[0.25, 0.3], [0.4, 0.9]]))
    mask = torch.tensor([[1, 1], [1, 0]])
    # ratios 2, 1 (advantage 1: the first is clipped to 1.2) and 0.5 (advantage -1: clipped to 0.8)
    expected = (-(1.2 + 1.0) / 2 + 0.8) / 2
    assert float(grpo_loss(logps, old, None, torch.tensor([1.0, -1.0]), mask, beta=0.0)) == pytest.approx(expected)
    # Dr. GRPO: the second completion's one token counts half, as one of two
    expected = (-(1.2 + 1.0) / 2 + 0.8 / 2) / 2
    loss = grpo_loss(logps, old, None, torch.tensor([1.0, -1.0]), mask, beta=0.0, loss_type="dr_grpo")
    assert float(loss) == pytest.approx(expected)


def test_masked_tokens_count_nothing():
    logps, old, reference, advantages, mask = tensors()
    (gradient,) = torch.autograd.grad(grpo_loss(logps, old, reference, advantages, mask, beta=0.3), logps)
    assert (gradient[mask == 0] == 0).all()
    empty = grpo_loss(logps, old, reference, advantages, torch.zeros_like(mask))
    assert empty.item() == 0


def test_advantages_by_hand():
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 3.0]])
    advantages = group_advantages(rewards, eps=0.0).nan_to_num()
    half = 0.5 / (1 / 3) ** 0.5  # the sample's standard deviation of 1, 0, 0, 1 is sqrt(1/3)
    assert advantages[0].tolist() == pytest.approx([half, -half, -half, half])
    assert advantages[2].tolist() == pytest.approx([-0.5, -0.5, -0.5, 1.5])
    assert group_advantages(rewards)[1].tolist() == [0.0] * 4
    assert float(group_advantages(rewards)[2, 3]) == pytest.approx(2.25 / (1.5 + 1e-4))


def test_advantages_take_whole_numbers():
    assert group_advantages([[1, 0]]).tolist() == group_advantages(torch.tensor([[1.0, 0.0]])).tolist()


@pytest.mark.parametrize("shape", [(4, 1), (4,), (2, 2, 2)])
def test_a_group_of_one_is_refused(shape):
    with pytest.raises(ValueError, match="a group of one has no mean to beat; raise num_generations"):
        group_advantages(torch.zeros(shape))


def test_kl_estimators_on_two_distributions():
    """Means under p: k1 and k3 are the KL divergence itself, k2 is near it; k2 and k3 are never negative."""
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.4, 0.4, 0.2])
    truth = float((p * (p / q).log()).sum())
    means = [float((p * k(p.log(), q.log())).sum()) for k in (kl_k1, kl_k2, kl_k3)]
    assert means[0] == pytest.approx(truth, abs=1e-7) and means[2] == pytest.approx(truth, abs=1e-7)
    assert means[1] == pytest.approx(truth, rel=0.05) and means[1] != pytest.approx(truth, rel=1e-4)
    assert (kl_k1(p.log(), q.log()) < 0).any()
    assert (kl_k2(p.log(), q.log()) >= 0).all() and (kl_k3(p.log(), q.log()) >= 0).all()
    assert float(kl_k3(torch.tensor(0.5).log(), torch.tensor(0.25).log())) == pytest.approx(0.5 + 0.6931472 - 1)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"loss_type": "dapo"}, "loss_type is 'dapo': choose one of grpo, dr_grpo"),
        ({"ref_logps_NT": None}, "beta is 0.0001, and there is no reference"),
        ({"mask_NT": torch.ones(6, 4)}, r"mask_NT has shape \(6, 4\), logps_NT \(6, 5\)"),
        ({"advantages_N": torch.ones(6, 1)}, r"advantages_N has shape \(6, 1\): one for each of 6 completions"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    names = ("logps_NT", "old_logps_NT", "ref_logps_NT", "advantages_N", "mask_NT")
    with pytest.raises(ValueError, match=message):
        grpo_loss(**dict(zip(names, tensors(), strict=True)) | change)


# -- what both losses began with ---------------------------------------------------------------------------------------


def test_the_push_is_the_gradient_of_the_expected_reward_whatever_the_baseline():
    """Averaged over the policy's own distribution, not over draws: exact."""
    rewards, logits = torch.tensor([1.0, 0.2, 0.5]).double(), torch.tensor([0.3, -1.0, 0.7]).double()
    for baseline in (0.0, 0.4, -7.0):
        scores = logits.clone().requires_grad_()
        weights = scores.softmax(0).detach() * len(rewards)  # the mean over draws becomes a sum over the distribution
        reinforce_loss(scores.log_softmax(0), weights * (rewards - baseline)).backward()
        pushed = scores.grad.clone()
        scores.grad = None
        (-(scores.softmax(0) * rewards).sum()).backward()
        torch.testing.assert_close(pushed, scores.grad)


def test_at_the_first_step_grpos_loss_pushes_as_reinforce_does():
    logps_NT = torch.tensor([[0.5], [0.25], [0.2]]).log().requires_grad_()
    advantages_N, now = torch.tensor([1.0, -0.5, 0.0]), logps_NT.detach()
    (plain,) = torch.autograd.grad(reinforce_loss(logps_NT[:, 0], advantages_N), logps_NT)
    loss = grpo_loss(logps_NT, now, now, advantages_N, torch.ones(3, 1), beta=0.0)
    torch.testing.assert_close(torch.autograd.grad(loss, logps_NT)[0], plain)


def test_entropy_is_in_nats_along_the_last_axis():
    probabilities = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(entropy(probabilities), torch.tensor([2.0, 1.0, 3.0]).log())
