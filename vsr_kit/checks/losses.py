"""Exercises on what is minimised, and on what a pass reads: GRPO, DPO, sharing. Left out: as in `vsr_kit.checks`."""

from __future__ import annotations

from collections.abc import Callable

from vsr_kit.checks.cases import Case, run_cases


def group_advantages(function: Callable) -> None:
    """Notebook 03: `(rewards_BG) -> advantages_BG`, tensors; (r - mean) / (std + 1e-4) in each row."""
    import torch

    spread = "the standard deviation is the sample's, over G - 1: torch's own `std`"
    rows = "every row is a group of its own: mean and std along dim=1, with keepdim=True"
    given = [
        ([[1.0, 0.0, 0.0, 0.0]], [[0.75 / 0.5001, *[-0.25 / 0.5001] * 3]], spread),
        ([[0.5, 0.5, 0.5]], [[0.0, 0.0, 0.0]], "equal rewards have no spread: the 1e-4 keeps 0 / 0 away"),
        ([[1.0, 0.0], [0.6, 0.6]], [[0.5 / 0.7072067811865475, -0.5 / 0.7072067811865475], [0.0, 0.0]], rows),
    ]
    cases = [Case((torch.tensor(r, dtype=torch.float64),), a, hint, shown=f"tensor({r})") for r, a, hint in given]
    run_cases("group_advantages", function, cases)


def kl_k3(function: Callable) -> None:
    """Notebook 03: `(logps, ref_logps) -> q/p - log(q/p) - 1` of each token, p the policy, q the reference."""
    import torch

    ratio = "q / p is exp(ref_logps - logps): the reference on top"
    given = [
        ([0.5, 0.1], [0.5, 0.1], [0.0, 0.0], "where both agree, the estimate is 0"),
        ([0.5], [0.25], [0.5 + 0.6931471805599453 - 1], ratio),
        ([0.25], [0.5], [2 - 0.6931471805599453 - 1], f"{ratio}; it is never negative"),
    ]
    cases = [
        Case(
            tuple(torch.tensor(x, dtype=torch.float64).log() for x in pair),
            found,
            hint,
            shown=f"log{pair[0]}, log{pair[1]}",
        )
        for *pair, found, hint in given
    ]
    run_cases("kl_k3", function, cases)


def grpo_loss(function: Callable) -> None:
    """Notebook 05: `(logps_NT, old_logps_NT, ref_logps_NT, advantages_N, mask_NT, beta=…) -> loss`, epsilon 0.2."""
    import torch

    clip = "the ratio p / p_old may count as 0.8 to 1.2, no more; take the smaller of clipped gain and plain gain"
    lengths = "the mean over each completion's own tokens first, then over completions"
    masked = "a token whose mask is 0 counts in no sum and in no length"
    one = [[1]]
    given = [  # p, p_old, q, advantages, mask, beta, loss, hint
        ([[0.5]], [[0.5]], [[0.5]], [1.0], one, 0.1, -1.0, "nothing has moved yet: minus the advantage"),
        ([[0.4]], [[0.2]], [[0.4]], [1.0], one, 0.0, -1.2, clip),
        ([[0.4]], [[0.2]], [[0.4]], [-1.0], one, 0.0, 2.0, clip),
        ([[0.2]], [[0.4]], [[0.2]], [1.0], one, 0.0, -0.5, clip),
        ([[0.2]], [[0.4]], [[0.2]], [-1.0], one, 0.0, 0.8, clip),
        ([[0.5]], [[0.5]], [[0.25]], [0.0], one, 0.1, 0.1 * (0.5 + 0.6931471805599453 - 1), "beta times k3"),
        ([[0.5, 0.5]] * 2, [[0.5, 0.5]] * 2, [[0.5, 0.5]] * 2, [1.0, 0.5], [[1, 0], [1, 1]], 0.1, -0.75, lengths),
        ([[0.5, 0.9]], [[0.5, 0.1]], [[0.5, 0.1]], [1.0], [[1, 0]], 0.1, -1.0, masked),
    ]

    def case(p, p_old, q, advantages, mask, beta, loss, hint):
        logps = [torch.tensor(x, dtype=torch.float64).log() for x in (p, p_old, q)]
        shown = f"log{p}, log{p_old}, log{q}, {advantages}, {mask}, beta={beta}"
        values = torch.tensor(advantages, dtype=torch.float64), torch.tensor(mask)
        return Case((*logps, *values), loss, hint, {"beta": beta}, shown)

    def slope(function, advantage):
        logps = torch.tensor([[0.5, 0.5]], dtype=torch.float64).log().requires_grad_()
        function(logps, logps, logps.detach(), torch.tensor([advantage]), torch.ones(1, 2), beta=0.1).backward()
        return logps.grad[0]

    still = "p_old is a number, not a way for the gradient: detach it, or its gradient cancels that of p"
    pulls = [
        Case((a,), [-a / 2] * 2, still, shown=f"two tokens, advantage {a}), its gradient in logps (", of=slope)
        for a in (2.0, -2.0)
    ]
    run_cases("grpo_loss", function, [*(case(*row) for row in given), *pulls])


def shared_tokens(function: Callable[..., int]) -> None:
    """Notebook 04: tokens of one pass, `(clip, question, answer, num_generations, questions=1) -> int`, all shared."""
    last = "all of a question but its last token is read once; the last one comes again with every completion"
    once = "the clip is read once, however many questions are asked about it"
    all_of_them = "every completion is read, of every question: questions * num_generations * answer"
    cases = [
        Case((10, 1, 3, 1), 13, "clip, no token of the question by itself, one completion: 10 + 0 + 3"),
        Case((10, 5, 3, 1), 17, last),
        Case((10, 5, 3, 2), 20, f"the clip and the question are read once for both completions; {last}"),
        Case((10, 5, 3, 2), 30, f"{once}; {all_of_them}", {"questions": 2}),
        Case((1024, 60, 16, 14), 2156, f"{once}; {all_of_them}", {"questions": 4}),
    ]
    run_cases("shared_tokens", function, cases)


def dpo_loss(function: Callable) -> None:
    """Notebook 07: `(chosen_B, rejected_B, ref_chosen_B, ref_rejected_B, beta=0.1) -> loss` of log-probabilities."""
    import torch

    margin = "margin = (chosen - ref_chosen) - (rejected - ref_rejected), and a pair costs -log sigmoid(beta * margin)"
    given = [
        ([[-1.0], [-7.0], [-1.0], [-7.0]], 0.1, 0.6931471805599453, "a policy that is its reference has margin 0"),
        ([[-1.0], [-3.0], [-2.0], [-2.0]], 1.0, 0.1269280110429725, f"{margin}; 2 here"),
        ([[-3.0], [-1.0], [-2.0], [-2.0]], 1.0, 2.1269280110429727, f"{margin}; -2 here"),
        ([[-1.0], [-3.0], [-2.0], [-2.0]], 0.1, 0.5981388693815919, "beta multiplies the margin, inside the sigmoid"),
        ([[-1.0, -3.0], [-3.0, -1.0], [-2.0] * 2, [-2.0] * 2], 1.0, 1.1269280110429725, "the mean over pairs, last"),
    ]
    cases = [
        Case(tuple(torch.tensor(x, dtype=torch.float64) for x in pair), loss, hint, {"beta": beta}, f"{pair}, {beta}")
        for pair, beta, loss, hint in given
    ]
    run_cases("dpo_loss", function, cases)
