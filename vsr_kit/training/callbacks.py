"""Callbacks that stop training early (time limit, a stop request, non-finite numbers) or warn that rewards collapsed.

A training step ends with new weights, and only the next step's loss, gradient and KL show whether they are any good.
`StopWhenBroken` therefore copies the trained weights before a step and calls the copy good once the log line of that
step is in order. When a log line or the weights break, it restores the last good copy and ends
the training. It raises no error: the weights are saved as in any other run, together with the reason. `WarnOfCollapse`
watches for a policy that fails although every number is finite: it earns nothing any more, or every answer is the same.

Left out: stopping because a score no longer rises or has fallen (the study's runs go to their last step, and a dip may
pass). The last step's weights, which no later step tests, are only checked for being finite.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import torch
from transformers import TrainerCallback

from vsr_kit.failures import NotFinite
from vsr_kit.training.collapse import collapsed


class StopAfter(TrainerCallback):
    """Ends training after the first step that ends later than `seconds` from its beginning; None never does.

    What was spent is written into every checkpoint (`spent_of`), so that a resumed run has the rest of its time; the
    step at which time was up is saved, so that a run killed after it does not go on.

    Args:
        seconds: of all attempts together.
        spent: by earlier attempts.
    """

    def __init__(self, seconds: float | None, spent: float = 0.0) -> None:
        self.seconds, self.spent = math.inf if seconds is None else seconds, spent

    def on_train_begin(self, args, state, control, **kwargs):
        self.began = time.monotonic()

    def on_step_end(self, args, state, control, **kwargs):
        spent = self.spent + time.monotonic() - self.began
        if isinstance(state.stateful_callbacks, dict):
            state.stateful_callbacks["StopAfter"] = {"args": {}, "attributes": {"spent": spent}}
        if spent > self.seconds:
            control.should_training_stop = True
            control.should_save = _saves(args)
        return control


def spent_of(state: Mapping) -> float:
    """Seconds of training behind a checkpoint, from its trainer_state.json; 0 where none were written."""
    record = (state.get("stateful_callbacks") or {}).get("StopAfter") or {}
    return float((record.get("attributes") or {}).get("spent", 0.0))


class StopWhenAsked(TrainerCallback):
    """Ends training after the step in which someone asked for it, with a checkpoint of that step.

    Args:
        asks: each says whether someone asked, by a signal, a request in the run's folder, or a button; they are called
            after every step.
        save: whether there is a folder for checkpoints.
        every: steps between moments at which a checkpoint is exact: rollouts that are used again are in none.
        agree: makes of this process's answer the one that all processes of a launch act on, so that none of them goes
            on to a step whose gradients it would wait for alone.

    Attributes:
        asked: whether training ends because someone asked for it.
    """

    def __init__(
        self,
        asks: Sequence[Callable[[], bool]],
        save: bool,
        every: int = 1,
        agree: Callable[[bool], bool] = bool,
    ) -> None:
        self.asks, self.save, self.every, self.agree = tuple(asks), save, every, agree
        self.asked = False

    def on_step_end(self, args, state, control, **kwargs):
        self.asked = self.agree(any(ask() for ask in self.asks))
        if self.asked:
            control.should_training_stop = True
            control.should_save = self.save and state.global_step % self.every == 0
        return control


def _saves(args) -> bool:
    return args is not None and str(getattr(args.save_strategy, "value", args.save_strategy)) != "no"


REMEDIES = {
    "not finite": "lower the learning rate, or compute in float32 (a profile's dtype)",
    "kl": "raise beta or lower the learning rate: the policy has left its reference",
    "grad_norm": "lower the learning rate or max_grad_norm",
}
_LINES = 50  # good lines whose median a gradient norm is compared with, once there are a fifth of them


class StopWhenBroken(TrainerCallback):
    """Ends training when its numbers break, with the last good weights put back into the model.

    Broken is: a trained weight that is no finite number after a step; a logged loss, grad_norm or kl that is none (TRL
    drops NaN from what it averages and logs None if nothing is left: that counts too; transformers logs a NaN loss as
    0, and the weights tell); a kl above its limit for `patience` lines in a row; and, if asked for, a grad_norm far
    above the usual. A step that a gradient scaler skipped, as in fp16 when it looks for its scale, changed nothing and
    is not broken.

    TRL's `kl` is a step's mean of k3 = e^x - x - 1 over sampled tokens, x = log(reference / policy), in nats a token.
    One rare token with x = 10 adds 22,015 / N, so a single line above the limit proves nothing, and is only not
    trusted: no copy counts as good while it lasts. In the kit's own runs the kl is below 1 in most steps, and single
    steps between two such reached 15, and once 150. A policy whose mean stays above 20 nats no longer shares words with
    its reference, and from x = 89 on (12 in fp16) k3 is infinite.

    In a launch of several processes all of them stop at the same step: weights and gradient norm are the same in each,
    loss and kl are averaged over all of them before they are logged.

    Weights that are finite and yet so large that logits are NaN end in an error of the next rollout's sampling, before
    any line: catch RuntimeError around `trainer.train()` and ask `caught`.

    Args:
        kl_limit: in nats a token.
        patience: lines in a row above it that break a run.
        grad_limit: a grad_norm above this many times the median of the last 50 good lines is broken; None never. A
            clipped gradient does little harm, so it is off.
        every: steps between two copies; each holds all trained weights in main memory, and there are two.

    Attributes:
        reason: what broke, its value, the step and a remedy; None while nothing has.
        good_step: the step after which the model had the weights that were put back, or would be now.
    """

    def __init__(
        self, kl_limit: float = 20.0, patience: int = 3, grad_limit: float | None = None, every: int = 1
    ) -> None:
        if not (kl_limit > 0 and patience >= 1 and every >= 1 and (grad_limit is None or grad_limit > 1)):
            raise ValueError(
                f"kl_limit {kl_limit} must be above 0, patience {patience} and every {every} at least 1, grad_limit "
                f"{grad_limit} None or above 1"
            )
        self.kl_limit, self.patience, self.grad_limit, self.every = kl_limit, patience, grad_limit, every
        self.reason: str | None = None
        self.good_step = 0
        self._good: list[torch.Tensor] | None = None
        self._tried: tuple[int, list[torch.Tensor]] | None = None  # a copy that no line has been written about yet
        self._high = 0
        self._norms: deque[float] = deque(maxlen=_LINES)

    def on_train_begin(self, args, state, control, **kwargs):
        norms = [line["grad_norm"] for line in state.log_history if "loss" in line and _finite(line.get("grad_norm"))]
        self._norms.extend(norms)  # a resumed run knows what was usual; checkpoints are of states in order

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        if self._good is None or state.global_step % self.every == 0:
            self._tried = (state.global_step, [weight.detach().cpu().clone() for weight in _trained(model)])
        if self._good is None:
            self.good_step, self._good = self._tried

    def on_step_end(self, args, state, control, model=None, **kwargs):
        weights = _trained(model)
        if self.reason is None and not torch.stack([weight.isfinite().all() for weight in weights]).all():
            bad = sum(int((~weight.isfinite()).sum()) for weight in weights)
            what = f"{bad} of {sum(w.numel() for w in weights)} trained weights are not finite"
            self._break(what, "not finite", state.global_step, model)
        return self._stopped(control)

    def on_log(self, args, state, control, logs=None, model=None, optimizer=None, **kwargs):
        if not logs or "loss" not in logs:  # an evaluation's line, or the closing one
            return control
        if self.reason is not None:  # the weights broke in this step: its line says more
            self.reason += f" (its log line: {_brief(logs)})"
            return self._stopped(control)
        self._high = self._high + 1 if _above(logs.get("kl"), self.kl_limit) else 0
        found = self._broken(logs, bool(getattr(optimizer, "step_was_skipped", False)))
        if found:
            self._break(*found, state.global_step, model)
        elif not self._high:
            self.good_step, self._good = self._tried
            if _finite(logs.get("grad_norm")):
                self._norms.append(logs["grad_norm"])
        if self._high:  # no checkpoint of a state that may be broken: a resumed run would not know since when
            control.should_save = False
        return self._stopped(control)

    def put_back(self, step: int, model) -> None:
        """Give the model the weights it had after `step`, if it is in the middle of the next one."""
        if self._tried is not None and self._tried[0] == step:
            _give(model, self._tried[1])

    def _stopped(self, control):
        """Once broken: no more steps, and no checkpoint either, since the optimiser's state is broken too."""
        if self.reason is not None:
            control.should_training_stop, control.should_save, control.should_evaluate = True, False, False
        return control

    def caught(self, error: RuntimeError, trainer) -> bool:
        """Whether an error of `trainer.train()` is a refusal to sample from NaN; if so, as if a line had broken.

        Rollouts refuse it themselves (failures.NotFinite). Torch's own refusal is met on a CPU only: on a GPU it is an
        assertion on the device, after which the process can do no more there.
        """
        refused = isinstance(error, NotFinite) or "probability tensor contains" in str(error)
        if self.reason is not None or self._good is None or not refused:
            return False
        what, step = "the next token's probabilities are not finite", trainer.state.global_step + 1
        self._break(what, "not finite", step, trainer.model)
        return True

    def _broken(self, logs: Mapping, skipped: bool) -> tuple[str, str] | None:
        """What of a log line is broken, and the key of its remedy."""
        for name in ("loss", "kl", *(() if skipped else ("grad_norm",))):
            if name in logs and not _finite(logs[name]):
                value = "NaN throughout" if logs[name] is None else logs[name]
                return f"{name} is {value}, not finite", "not finite"
        if self._high >= self.patience:
            lines = f"{self._high} lines in a row" if self._high > 1 else "one line"
            return f"kl is {logs['kl']:.4g} nats a token, for {lines} above {self.kl_limit:g}", "kl"
        if self.grad_limit is None or len(self._norms) < _LINES // 5:
            return None
        limit = self.grad_limit * median(self._norms)
        if limit > 0 and _above(logs.get("grad_norm"), limit):
            return f"grad_norm is {logs['grad_norm']:.4g}, above {self.grad_limit:g} times its usual size", "grad_norm"
        return None

    def _break(self, what: str, remedy: str, step: int, model) -> None:
        """Put the last good weights back and say why."""
        _give(model, self._good)
        self.reason = (
            f"{what} at step {step}: training ended with the weights it had after step {self.good_step}; "
            f"{REMEDIES[remedy]}"
        )


class WarnOfCollapse(TrainerCallback):
    """Warns on stderr, once each, of a collapsed reward and of zero-variance groups only. The run goes on.

    Collapsed is a reward whose mean over `window` log lines is below half of its best, `collapse.collapsed`'s rule; the
    rule asks for the end of a run, so a warned run may yet recover. Silent is a line with zero-variance groups only
    (TRL's `frac_reward_zero_std` of 1): all advantages are 0, and only the KL term still trains. `window` such lines in
    a row give a warning. Both are read from the trainer's own history, so a resumed run knows what came before. For
    rewards that can be negative, half of the best means nothing: they only get the second warning.

    Args:
        window: log lines.

    Attributes:
        warnings: the warnings, by name (collapsed, silent).
    """

    def __init__(self, window: int = 20) -> None:
        if window < 1:
            raise ValueError(f"window is {window}: take at least one log line")
        self.window = window
        self.warnings: dict[str, str] = {}

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "reward" in logs:
            lines = [line for line in state.log_history if _finite(line.get("reward"))]
            for name, found in (("collapsed", self._collapsed(lines)), ("silent", self._silent(lines))):
                if found and name not in self.warnings:
                    self.warnings[name] = f"{found} at step {state.global_step}"
                    if state.is_world_process_zero:
                        print(f"warning: {self.warnings[name]}", file=sys.stderr)
        return control

    def _collapsed(self, lines: list[dict]) -> str | None:
        rewards = [line["reward"] for line in lines]
        if not rewards or min(rewards) < 0 or collapsed(rewards, self.window) is None:
            return None
        now = math.fsum(rewards[-self.window :]) / self.window
        return (
            f"the reward's mean of the last {self.window} lines, {now:.3g}, is below half of its best: if it stays "
            "there the policy has collapsed; lower the learning rate, or go back to a checkpoint; seen"
        )

    def _silent(self, lines: list[dict]) -> str | None:
        last = lines[-self.window :]
        if len(last) < self.window or any(line.get("frac_reward_zero_std", 0.0) < 1 for line in last):
            return None
        return (
            f"for {self.window} lines every group's rollouts earned the same, last {last[-1]['reward']:.3g}: no reward "
            "tells them apart and nothing is learnt; ask harder or easier questions, raise the temperature, or look at "
            "the rewards; seen"
        )


def _give(model, kept: list[torch.Tensor]) -> None:
    with torch.no_grad():
        for weight, own in zip(_trained(model), kept, strict=True):
            weight.copy_(own)


def _trained(model) -> list[torch.nn.Parameter]:
    return [weight for weight in model.parameters() if weight.requires_grad]


def _finite(value) -> bool:
    return value is not None and math.isfinite(value)


def _above(value, limit: float) -> bool:
    return value is not None and value > limit


def _brief(logs: Mapping) -> str:
    names = ("loss", "grad_norm", "kl", "reward", "entropy")
    return ", ".join(f"{name} {logs[name]}" for name in names if name in logs)
