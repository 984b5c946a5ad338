"""Benchmark of recording tokens while training (`vsr_kit.training.token_records`): with it against without.

Both sides take the same GRPO steps on the same questions, in turn and in one process; what they log must be equal to
the last digit, since recording may change nothing but time. Every step is recorded, which is the dearest case; recorded
every so many steps, it costs that part of it. Seconds are the processor's, so that other work on the machine counts
little.
Left out: GPUs, and the space on disk, which the result tells in bytes a recorded rollout.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import TrainerCallback

from vsr_kit.evaluation import load_questions
from vsr_kit.models import choose_threads
from vsr_kit.runs import RunFolder
from vsr_kit.training.methods import GRPO
from vsr_kit.training.profiles import get_profile
from vsr_kit.validation import whole

SIDES = ("without", "recorded")


@dataclass(frozen=True)
class TokenCosts:
    """Processor seconds of each side, all steps and repeats together; and how much dearer a recorded step is."""

    seconds: dict[str, float]
    ratio: float
    rollouts: int
    bytes_a_rollout: float
    mode: str
    steps: int
    repeats: int
    threads: int

    def ratio_of(self, every: int) -> float:
        """Of a training that records every `every`-th step."""
        return 1 + (self.ratio - 1) / every


class Watch(TrainerCallback):
    """The processor's seconds of a training's steps, without what loading and saving take."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.began = time.process_time()

    def on_train_end(self, args, state, control, **kwargs):
        self.seconds = time.process_time() - self.began


def bench_tokens(
    model: str = "mini", mode: str = "vanilla", steps: int = 6, repeats: int = 2, questions: int = 1
) -> TokenCosts:
    """Train `steps`, `repeats` times a side, in the miniature's profile.

    Args:
        model: name or folder of a checkpoint, loaded as the profile says.
        mode: vanilla, think or observe.
        questions: of a step whose rollouts are recorded.

    Raises:
        ValueError: fewer than one step, repeat or question.
        RuntimeError: the sides' logs differ, so that their times do not compare.
    """
    from vsr_kit.training.run import train
    from vsr_kit.training.token_records import TokenSample

    for name, value in {"steps": steps, "repeats": repeats, "questions": questions}.items():
        whole(name, value)
    threads, profile = choose_threads(), replace(get_profile("mini"), model=model)
    asked = load_questions(max(4, profile.questions_per_step), split="train", phrasing="vsi-100k", per_room=1)
    samples = {"without": None, "recorded": TokenSample(every=1, questions=questions)}
    seconds, recorded, size = dict.fromkeys(SIDES, 0.0), 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(-1, repeats):  # the first one warms up, on one step
            logs = {}
            for side in SIDES:
                run = RunFolder.create(f"{side}{repeat}", root=Path(scratch))
                how = {"steps": 1 if repeat < 0 else steps, "seed": max(repeat, 0), "quiet": True}
                watch = Watch()
                done = train(profile, GRPO(mode), asked, run=run, record_tokens=samples[side], callbacks=[watch], **how)
                seconds[side] += watch.seconds * (repeat >= 0)
                logs[side] = [{k: v for k, v in log.items() if "time" not in k} for log in done.logs if "loss" in log]
            if logs["without"] != logs["recorded"]:
                raise RuntimeError("both sides should log the same, and do not: their times do not compare")
            recorded += len(run.read_tokens())
            size += (run.path / "tokens.jsonl").stat().st_size
    ratio = seconds["recorded"] / seconds["without"]
    return TokenCosts(seconds, ratio, recorded, size / recorded, mode, steps, repeats, threads)
