"""Log-probabilities of rollouts, taken while they are sampled: one more look at logits that are there anyway.

On policy, the loss treats a rollout as drawn from the very model that scores it. Two computations stand behind that:
decoding token by token over a cache, and one packed pass with gradients. Where they disagree (a kernel, a precision, a
merged adapter, or a clip that one of them does not see), the gradient is of another policy than the one that sampled.
`SampledLogps` keeps what the first of them said about each drawn token, so that the two can be compared.

It watches both ends of the model: the output head gives the logits of the next token, and the input embedding is then
given the token that was drawn from them. Nothing that passes is changed, no random number is drawn, and of all logits
only those of the newest token are kept. The numbers are of the plain softmax at the sampling's temperature, before
top-k, top-p and suppressed tokens, as the training pass computes them.
Left out: decoding in which a pass reads several tokens or other rows (beams, assistants); there is no number then.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vsr_kit.models.vision import core_model


class SampledLogps:
    """Within it, what a model says about the tokens that are sampled from it is kept.

    Args:
        model: Qwen2VLForConditionalGeneration, in a PEFT wrapper or not.
        temperature: the logits are divided by it.
    """

    def __init__(self, model, temperature: float = 1.0) -> None:
        self.core, self.temperature = core_model(model), temperature
        self._last: torch.Tensor | None = None  # the newest logits, whose token is not known yet
        self._ids: list[torch.Tensor] = []
        self._logps: list[torch.Tensor] = []
        self._whole = True

    def __enter__(self) -> SampledLogps:
        head, embedding = self.core.get_output_embeddings(), self.core.get_input_embeddings()
        self._hooks = [
            head.register_forward_hook(lambda module, args, logits: self._computed(logits)),
            embedding.register_forward_pre_hook(lambda module, args: self._drawn(args[0])),
        ]
        return self

    def __exit__(self, *error) -> None:
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def of(self, completions: Sequence[Sequence[int]]) -> list[torch.Tensor] | None:
        """Log-probabilities (T,) of the completions that were sampled, row by row, on the CPU.

        Returns:
            None where what was seen does not match them token by token.
        """
        longest = max(map(len, completions))
        if not self._whole or self._last is None or len(self._last) != len(completions):
            return None
        if len(self._ids) < longest:  # nothing reads the last token
            self._drawn(torch.tensor([[own[-1]] for own in completions], device=self._last.device))
        if len(self._ids) < longest:
            return None
        ids_BT, logps_BT = torch.stack(self._ids, 1).tolist(), torch.stack(self._logps, 1).cpu()
        if any(row[: len(own)] != list(own) for row, own in zip(ids_BT, completions, strict=True)):
            return None
        return [row[: len(own)] for row, own in zip(logps_BT, completions, strict=True)]

    def _computed(self, logits: torch.Tensor) -> None:
        self._last = logits[:, -1] if logits.ndim == 3 else None
        self._whole &= self._last is not None

    def _drawn(self, ids: torch.Tensor) -> None:
        """The token after the newest logits; prompts are read before there are any."""
        if self._last is None:
            return
        if ids.shape != (len(self._last), 1):
            self._whole = False
            return
        logits = self._last if self._last.dtype == torch.float64 else self._last.float()
        self._ids.append(ids[:, 0])
        self._logps.append((logits / self.temperature).log_softmax(-1).gather(-1, ids)[:, 0])
