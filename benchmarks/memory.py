"""A memory plan beside what steps of training really hold: live tensors of two steps, phase after phase.

`measured` trains by a profile and counts the tensors that are alive from the first step on; `vsr_kit.training.memory`
says beforehand what they should be. Two steps, because the optimiser's moments exist from the second on.
Left out: loading, and a GPU's own count (`torch.cuda.max_memory_allocated`), which the command line prints after a run.
"""

from __future__ import annotations

from transformers import TrainerCallback

from benchmarks.live import LiveBytes
from vsr_kit.training.profiles import Profile
from vsr_kit.training.run import train

BEFORE = "before the first step"


class _Mark(TrainerCallback):
    def __init__(self, live: LiveBytes) -> None:
        self.live = live

    def on_train_begin(self, args, state, control, **kwargs):
        self.live.mark(BEFORE)


def measured(profile: Profile, method, rows, clips, **overrides) -> int:
    """Most bytes of live tensors in two steps of training; arguments as `training.train` takes them."""
    live = LiveBytes()
    with live:
        train(profile, method, rows, clips=clips, steps=2, quiet=True, callbacks=[_Mark(live)], **overrides)
    return live.peak
