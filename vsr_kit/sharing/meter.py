"""Seconds and tokens of a training step by phase, measured from outside the trainer.

Stock TRL's trainers and the kit's have methods of the same names, so one set of wrappers times both. Phases nest (the
vision tower runs inside a rollout) and each is counted without those inside it. Tokens are counted by a hook on the
language model's first layer, as batch times length, for every caller.
Left out: what happens inside a phase; a profiler shows that.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import torch

from vsr_kit.models.vision import core_model

PIXELS, VISION, ROLLOUT, SCORING, POLICY, BACKWARD, REST = PHASES = (
    "pixels",
    "vision",
    "rollout",
    "scoring",
    "policy",
    "backward",
    "rest",
)


class Meter:
    """Seconds, trunk tokens and vision patches of each phase since the last `take`.

    trunk tokens: positions that go through the language model's layers, padding included. `policy` is the forward
    pass with gradients, `scoring` every one without (reference, old policy), `rest` what is in no other phase.
    """

    def __init__(self, model) -> None:
        core = core_model(model)
        self._device = core.device
        self._open = [REST]
        self._reset()
        core.model.language_model.layers[0].register_forward_pre_hook(self._count_tokens, with_kwargs=True)
        core.model.visual.register_forward_pre_hook(self._enter_vision, with_kwargs=True)
        core.model.visual.register_forward_hook(lambda *_: self._leave())

    def take(self) -> dict:
        """Since the last call: {"seconds", "cpu_seconds", "phases", "trunk_tokens", "vision_patches"}."""
        self._switch()
        found = {
            "seconds": sum(self._seconds.values()),
            "cpu_seconds": time.process_time() - self._cpu_since,
            "phases": {name: self._seconds[name] for name in PHASES},
            "trunk_tokens": dict(self._tokens),
            "vision_patches": self._patches,
        }
        self._reset()
        return found

    @contextmanager
    def phase(self, name: str):
        """Time in the block is `name`'s, apart from phases opened inside."""
        self._enter(name)
        try:
            yield
        finally:
            self._leave()

    def wrap(self, owner, method: str, name: str | Callable[[], str]) -> None:
        """Make calls of `owner.method` a phase of that name, or of what `name()` says at the time."""
        plain = getattr(owner, method)

        def timed(*args, **kwargs):
            with self.phase(name if isinstance(name, str) else name()):
                return plain(*args, **kwargs)

        setattr(owner, method, timed)

    def watch_trainer(self, trainer) -> None:
        """Time the phases of one of TRL's trainers, stock or ours."""
        if hasattr(trainer, "_generate_single_turn"):
            own = lambda: POLICY if torch.is_grad_enabled() else SCORING  # noqa: E731
            self.wrap(trainer, "_generate_single_turn", ROLLOUT)
            self.wrap(trainer, "_get_per_token_logps_and_entropies", own)
            self.wrap(trainer, "_compute_loss", POLICY)
        else:
            self.wrap(trainer, "compute_loss", POLICY)
        self.wrap(trainer.accelerator, "backward", BACKWARD)

    def watch_processor(self, processor) -> None:
        """Time the making of patches from frames."""
        for part in (processor.image_processor, processor.video_processor):
            self.wrap(part, "preprocess", PIXELS)

    def _reset(self) -> None:
        self._seconds, self._tokens, self._patches = Counter(), Counter(), 0
        self._since, self._cpu_since = time.perf_counter(), time.process_time()

    def _switch(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self._seconds[self._open[-1]] += now - self._since
        self._since = now

    def _enter(self, name: str) -> None:
        self._switch()
        self._open.append(name)

    def _leave(self) -> None:
        self._switch()
        self._open.pop()

    def _count_tokens(self, layer, args, kwargs) -> None:
        states = args[0] if args else kwargs["hidden_states"]
        self._tokens[self._open[-1]] += states.shape[0] * states.shape[1]

    def _enter_vision(self, tower, args, kwargs) -> None:
        self._patches += len(args[0] if args else kwargs["hidden_states"])
        self._enter(VISION)


def linear_weights(model) -> tuple[int, int]:
    """Weights that every trunk token, and every vision patch, is multiplied with (the merger's counted per patch).

    Embeddings, the head, LoRA and attention over other tokens are not in it: what follows from it is a floor.
    """
    core = core_model(model)

    def weights(part) -> int:
        linears = [(n, m) for n, m in part.named_modules() if isinstance(m, torch.nn.Linear) and "lora_" not in n]
        return sum(linear.in_features * linear.out_features for _, linear in linears)

    visual = core.model.visual
    merged = weights(visual.merger) // visual.spatial_merge_size**2
    return weights(core.model.language_model.layers), weights(visual.blocks) + merged


def flop_floor(measured: dict, text_weights: int, vision_weights: int) -> dict[str, int]:
    """Least floating-point operations of a phase: 2 a weight and token; as many again backward, weights being frozen.

    What a backward pass recomputes (activation checkpointing) counts as tokens of that phase.
    """
    flop = {name: 2 * text_weights * count for name, count in measured["trunk_tokens"].items()}
    if POLICY in flop:
        flop[BACKWARD] = flop.get(BACKWARD, 0) + flop[POLICY]
    return {**flop, VISION: 2 * vision_weights * measured["vision_patches"]}


def peak_bytes(device: torch.device) -> int:
    """Most memory so far: allocated on a CUDA device since the last reset, elsewhere resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")  # getrusage would hand down the peak of the process that started this one
    if status.exists():
        (peak,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows outside WSL
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def reset_peak(device: torch.device) -> bool:
    """Let the peak begin anew; False where that cannot be done: a process's resident memory outside Linux."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    try:
        Path("/proc/self/clear_refs").write_text("5")  # proc(5): sets VmHWM to what is resident now
    except OSError:
        return False
    return True
