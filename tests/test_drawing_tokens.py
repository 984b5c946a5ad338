"""Tokens are drawn where the logits are, from numbers that belong to seed, row and sample."""

import numpy as np
import pytest
import torch
from scipy import stats

from vsr_kit import generation
from vsr_kit.generation import draw, sampler

ROWS = [{"dataset": "test", "id": str(i)} for i in range(16)]


def as_it_was(logits_NW, uniform_N, temperature):
    """The draws of all recorded answers: fp64 on the CPU, all rows together."""
    heights = (logits_NW.double() / temperature).softmax(-1).cumsum(-1)
    return torch.searchsorted(heights, uniform_N[:, None] * heights[:, -1:], right=True)[:, 0]


@pytest.mark.parametrize("vocabulary", [7, 1024, 151_936])
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_draws_are_the_recorded_ones(vocabulary, temperature):
    logits = 3 * torch.randn(40, vocabulary)
    uniform = torch.from_numpy(np.random.default_rng(1).random(40))
    drawn = draw(logits, uniform, temperature)
    assert torch.equal(drawn, as_it_was(logits, uniform, temperature))
    assert len(drawn.unique()) > 3


def test_only_numbers_go_to_the_device():
    """On a device that nothing can be read from: logits that left it would be an error."""
    pick = sampler(ROWS, 4, 0, 1.0, 8)
    drawn = pick(torch.empty(64, 151_936, device="meta"), torch.arange(64), 3)
    assert (drawn.device.type, drawn.shape, drawn.dtype) == ("meta", (64,), torch.long)


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_draws_follow_softmax(precision, temperature):
    """Chi-square over 20,000 draws of a vocabulary of nine, two of which have no probability."""
    logits = torch.tensor([-torch.inf, 1.0, 0.5, -1.0, 2.0, 0.0, 1.5, -2.0, -torch.inf])
    uniform = torch.from_numpy(np.random.default_rng(2).random(20_000))
    drawn = generation._at_height(logits.to(precision).expand(20_000, 9) / temperature, uniform.to(precision))
    seen = torch.bincount(drawn, minlength=9)
    assert seen[0] == seen[8] == 0
    expected = (logits.double() / temperature).softmax(-1)[1:8] * 20_000
    assert stats.chisquare(seen[1:8].numpy(), expected.numpy()).pvalue > 0.01


@pytest.mark.parametrize("precision", [torch.float64, torch.float32])
def test_the_highest_number_stays_in_the_vocabulary(precision):
    """In fp32 it rounds to 1, which no height passes; a token without probability behind is not drawn either."""
    highest = torch.full((3,), 1 - 2.0**-53, dtype=torch.float64).to(precision)
    logits = torch.tensor([[0.0, 0.1, 0.2, -torch.inf], [0.3, -torch.inf, -torch.inf, -torch.inf], [0, 0, 0, 0]])
    assert generation._at_height(logits.to(precision), highest).tolist() == [2, 0, 3]
    assert generation._at_height(logits.to(precision), 0 * highest).tolist() == [0, 0, 0]


def test_numbers_belong_to_seed_row_and_sample():
    """In whatever company and order the rows are drawn."""
    logits = torch.randn(1, 50).expand(64, 50)
    together = sampler(ROWS, 4, 7, 1.0, 8)(logits, torch.arange(64), 5)
    few = sampler(ROWS[3:5], 4, 7, 1.0, 20)(logits[:3], torch.tensor([6, 0, 1]), 5)
    assert few.tolist() == together[[18, 12, 13]].tolist()
    assert sampler(ROWS, 4, 8, 1.0, 8)(logits, torch.arange(64), 5).tolist() != together.tolist()
    assert len(together.unique()) > 10
