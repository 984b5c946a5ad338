"""The DPO loss, against TRL's own code on the same tensors and against numbers done by hand."""

import math
import types
from collections import defaultdict

import pytest
import torch
from trl import DPOTrainer

from vsr_kit.losses import dpo_loss

PAIRS, TOKENS = 5, 6


def tensors(seed=0):
    """Log-probabilities of the tokens of ten answers under policy and reference, chosen ones first, and their mask."""
    rng = torch.Generator().manual_seed(seed)
    mask_BT = (torch.arange(TOKENS) < torch.randint(1, TOKENS + 1, (2 * PAIRS, 1), generator=rng)).long()
    policy_BT = -torch.rand(2 * PAIRS, TOKENS, generator=rng) * 3 * mask_BT
    reference_BT = -torch.rand(2 * PAIRS, TOKENS, generator=rng) * 3 * mask_BT
    return policy_BT.requires_grad_(True), reference_BT, mask_BT


def trl_loss(policy_BT, reference_BT, mask_BT, beta):
    """DPOTrainer._compute_loss itself, with the two models replaced by their log-probabilities."""

    def saying(logps_BT):
        others = dict.fromkeys(("entropy", "mean_logits"), torch.zeros_like(logps_BT))
        found = types.SimpleNamespace(log_probs=logps_BT, is_top1=mask_BT.bool(), **others)
        return lambda **inputs: found

    accelerator = types.SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x)
    model = torch.nn.Module()
    model.is_gradient_checkpointing = False
    trainer = types.SimpleNamespace(
        model=model, ref_model=saying(reference_BT), accelerator=accelerator, beta=beta, label_smoothing=0.0,
        args=types.SimpleNamespace(gradient_checkpointing_kwargs=None), aux_loss_enabled=False, ld_alpha=None,
        precompute_ref_logps=False, f_divergence_type="reverse_kl", loss_types=["sigmoid"], loss_weights=[1.0],
        use_weighting=False, _metrics={"train": defaultdict(list)}, _total_train_tokens=0, _tp_size=1,
    )  # fmt: skip
    first = torch.ones(2 * PAIRS, 1, dtype=torch.long)  # what stands before the first answered token
    inputs = {
        "input_ids": torch.zeros(2 * PAIRS, TOKENS + 1, dtype=torch.long),
        "attention_mask": torch.cat([first, mask_BT], 1),
        "completion_mask": torch.cat([0 * first, mask_BT], 1),
    }
    return DPOTrainer._compute_loss(trainer, saying(policy_BT), inputs, return_outputs=False)


def sums(policy_BT, reference_BT):
    return [*policy_BT.sum(1).chunk(2), *reference_BT.sum(1).chunk(2)]


@pytest.mark.parametrize("beta", [0.1, 0.7])
def test_loss_and_gradient_are_trls(beta):
    policy_BT, reference_BT, mask_BT = tensors()
    ours = dpo_loss(*sums(policy_BT, reference_BT), beta)
    theirs = trl_loss(policy_BT, reference_BT, mask_BT, beta)
    torch.testing.assert_close(ours, theirs, atol=1e-7, rtol=1e-6)
    gradients = [torch.autograd.grad(loss, policy_BT)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-7, rtol=1e-6)
    assert gradients[0].norm() > 0.01


def test_beta_is_trls_default():
    from trl import DPOConfig

    from vsr_kit.training.profiles import DPO_BETA

    numbers = [torch.tensor([x]) for x in (-1.0, -2.0, -1.5, -1.0)]
    assert DPOConfig.__dataclass_fields__["beta"].default == DPO_BETA
    assert dpo_loss(*numbers) == dpo_loss(*numbers, DPO_BETA)


def test_a_policy_that_is_its_reference_pays_log_2_whatever_the_answers():
    policy_BT, _, _ = tensors()
    loss = dpo_loss(*sums(policy_BT, policy_BT))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-7)
    (gradient_BT,) = torch.autograd.grad(loss, policy_BT)
    assert (gradient_BT[:PAIRS] < 0).all() and (gradient_BT[PAIRS:] > 0).all()  # and it moves all the same


def test_a_loss_by_hand_and_no_gradient_into_the_reference():
    chosen, rejected = torch.tensor([-1.0, -2.0]), torch.tensor([-3.0, -2.0])
    ref_chosen, ref_rejected = torch.tensor([-1.5, -2.0], requires_grad=True), torch.tensor([-2.5, -3.0])
    expected = (math.log1p(math.exp(-0.5)) + math.log1p(math.exp(0.5))) / 2  # margins 1 and -1, beta 0.5
    loss = dpo_loss(chosen.requires_grad_(), rejected, ref_chosen, ref_rejected, 0.5)
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert ref_chosen.grad is None


def test_what_is_no_pair_is_refused():
    pair, tokens = torch.zeros(2), torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"one shape.*\(2, 3\).*sum over tokens"):
        dpo_loss(pair, pair, tokens, pair)
    with pytest.raises(ValueError, match="beta is 0: it must be above 0"):
        dpo_loss(pair, pair, pair, pair, beta=0)
