"""Benchmark of four-bit weights on a CPU: dequantized in every pass against once (`vsr_kit.models.dequantized`).

Both sides ask the same model the same questions, and take the same GRPO steps, in turn and in one process; answers and
logged numbers must be equal, since nothing but time may differ. Seconds are the processor's, so that other work on the
machine counts little.
Left out: GPUs, where weights are dequantized by a kernel and nothing is kept.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from unittest.mock import patch

from vsr_kit.evaluation import load_questions
from vsr_kit.models import choose_threads, dequantized, load_model
from vsr_kit.training.methods import GRPO
from vsr_kit.training.profiles import get_profile
from vsr_kit.validation import whole

SIDES = {"every pass": 0, "once": dequantized.HELD_BYTES}  # what may be kept of the weights, in bytes
LOGGED = ("loss", "grad_norm", "reward", "kl", "completions/mean_length")


@dataclass(frozen=True)
class WeightSpeeds:
    """Processor seconds of each side, by what was done, and how often the one is the other."""

    seconds: dict[str, dict[str, float]]
    ratios: dict[str, float]
    questions: int
    steps: int
    repeats: int
    threads: int


def bench_weights(
    model: str = "mini-cold-start", questions: int = 48, steps: int = 2, repeats: int = 2, max_new_tokens: int = 136
) -> WeightSpeeds:
    """Ask `questions` to think and train `steps`, `repeats` times a side.

    Args:
        model: name or folder of a checkpoint, loaded in nf4.
        max_new_tokens: cap of an answer and of a rollout.

    Raises:
        ValueError: fewer than one question, step or repeat.
        RuntimeError: the sides' answers or logs differ, so that their times do not compare.
    """
    for name, value in {"questions": questions, "steps": steps, "repeats": repeats}.items():
        whole(name, value)
    threads = choose_threads()
    asked = load_questions(max(2, questions // 6), split="val", phrasing="vsi-100k")
    asked = replace(asked, rows=asked.rows[:questions])
    loaded = load_model(model, "nf4", device="cpu", quiet=True)
    profile = replace(get_profile("mini"), model=model, num_generations=16, questions_per_step=4, groups_per_pass=4)
    profile = replace(profile, max_chain_tokens=max_new_tokens)
    work = {"asking": lambda: _ask(loaded, asked, max_new_tokens), "training": lambda: _train(profile, asked, steps)}
    seconds = {what: dict.fromkeys(SIDES, 0.0) for what in work}
    for what, do in work.items():
        for _ in range(repeats):
            made = {}
            for side, held in SIDES.items():
                with patch.object(dequantized, "HELD_BYTES", held):
                    began = time.process_time()
                    made[side] = do()
                    seconds[what][side] += (time.process_time() - began) / repeats
            if made["once"] != made["every pass"]:
                raise RuntimeError(f"{what}: both sides should give the same, and do not; their times do not compare")
    ratios = {what: own["every pass"] / own["once"] for what, own in seconds.items()}
    return WeightSpeeds(seconds, ratios, len(asked.rows), steps, repeats, threads)


def _ask(loaded, asked, cap: int) -> list[str]:
    from vsr_kit.evaluation import predict

    return [row["prediction"] for row in predict(loaded, asked, "think", prompt_set="train", max_new_tokens=cap)]


def _train(profile, asked, steps: int) -> list[dict]:
    """What the steps logged, to six digits: merged adapters round otherwise."""
    from vsr_kit.training.run import train

    done = train(profile, GRPO("think"), asked, steps=steps, seed=0, quiet=True)
    return [{name: f"{log[name]:.6g}" for name in LOGGED if name in log} for log in done.logs if "loss" in log]
