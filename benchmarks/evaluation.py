"""Benchmark of an evaluation's memory: a clip's keys and values held once for its questions, against a copy for each.

Both sides ask the same model the same questions about one clip, in turn and in one process, and how many answers are
the same is told. The peak is that of the language model's passes, which begin when the vision tower is done: of tensors
that are alive besides the weights (live.py), on a GPU of all that is allocated there.
Left out: reading the clip again for each question, with which `python -m benchmarks sharing` compares.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.cases import Case, Shape, find_shape
from benchmarks.live import LiveBytes
from benchmarks.workload import make_checkpoint, make_work
from vsr_kit.generation import generate
from vsr_kit.models import choose_threads, load_model
from vsr_kit.models.vision import core_model
from vsr_kit.sharing import shared_cache
from vsr_kit.sharing.meter import peak_bytes, reset_peak
from vsr_kit.validation import whole

COPIES, SHARED = "a copy for each question", "held once"
SIDES = {COPIES: 2**62, SHARED: 0}  # how many bytes of copies are small


@dataclass(frozen=True)
class EvaluationCosts:
    """Seconds of an evaluation and peak bytes of each side; and how often the one is the other.

    Attributes:
        seconds: of the processor on a CPU, of the clock on a GPU; the best of the repeats.
        cache_bytes: of one clip's keys and values.
        same_answers: share of questions that both sides answer alike.
    """

    seconds: dict[str, float]
    peak_bytes: dict[str, int]
    ratios: dict[str, float]
    cache_bytes: int
    same_answers: float
    questions: int
    clip_tokens: int
    repeats: int
    device: str
    dtype: str


def bench_evaluation(
    model: str = "paper-shape", questions: int = 64, frames: int | None = None, repeats: int = 2, seed: int = 0
) -> EvaluationCosts:
    """Ask `questions` about one clip, `repeats` times a side.

    Args:
        model: a name of `cases.SHAPES`, or a checkpoint's folder.
        frames: of the clip, an even number; the shape's if None.
        seed: of weights, clip and questions.

    Raises:
        ValueError: fewer than one question or repeat, frames that are not an even number.
    """
    whole("questions", questions)
    whole("repeats", repeats)
    shape = find_shape(model)
    if frames is not None:
        whole("frames", frames)
        shape = replace(shape, num_frames=frames)
    if shape.num_frames % 2:
        raise ValueError(f"frames is {shape.num_frames}: the tower merges frames in pairs, give an even number")
    choose_threads()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(model) if shape.text is None else make_checkpoint(Path(scratch) / "checkpoint", shape, seed)
        loaded = load_model(folder, quiet=True)
    case = Case("asking", "evaluation", (SHARED,), questions, questions, 1, 16)
    rows, clips = make_work(loaded.processor, shape, case, 0, seed)
    seconds, peaks, said = {}, {}, {}
    for side, small in SIDES.items():
        with patch.object(shared_cache, "COPIED_BYTES", small):
            peaks[side], said[side] = _peak(loaded, rows, clips, case.answer_tokens)  # which warms up, too
            seconds[side] = min(_seconds(loaded, rows, clips, case.answer_tokens) for _ in range(repeats))
    return _told(loaded, shape, (seconds, peaks, said), questions, repeats)


def _peak(loaded, rows: list[dict], clips: dict, cap: int) -> tuple[int, list[str]]:
    """The most bytes since the language model's first pass, and the answers."""
    core, live = core_model(loaded.model), LiveBytes(given=False)
    on_gpu = core.device.type == "cuda"

    def begin(module, args) -> None:
        hook.remove()
        live.begin()
        reset_peak(core.device)

    hook = core.model.language_model.register_forward_pre_hook(begin)
    with nullcontext() if on_gpu else live:
        said = generate(loaded, rows, clips, max_new_tokens=cap)
    return peak_bytes(core.device) if on_gpu else live.peak, [own.text for (own,) in said]


def _seconds(loaded, rows: list[dict], clips: dict, cap: int) -> float:
    clock = time.perf_counter if core_model(loaded.model).device.type == "cuda" else time.process_time
    began = clock()
    generate(loaded, rows, clips, max_new_tokens=cap)  # its answers are there: the device has done its work
    return clock() - began


def _told(loaded, shape: Shape, found: tuple[dict, dict, dict], questions: int, repeats: int) -> EvaluationCosts:
    seconds, peaks, said = found
    core = core_model(loaded.model)
    config, dtype = core.config.text_config, core.get_input_embeddings().weight.dtype
    size = 2 * config.num_hidden_layers * config.num_key_value_heads * config.hidden_size // config.num_attention_heads
    return EvaluationCosts(
        seconds=seconds,
        peak_bytes=peaks,
        ratios={what: own[COPIES] / own[SHARED] for what, own in (("seconds", seconds), ("memory", peaks))},
        cache_bytes=size * dtype.itemsize * shape.clip_tokens,
        same_answers=sum(a == b for a, b in zip(said[COPIES], said[SHARED], strict=True)) / questions,
        questions=questions,
        clip_tokens=shape.clip_tokens,
        repeats=repeats,
        device=torch.cuda.get_device_name(core.device) if core.device.type == "cuda" else core.device.type,
        dtype=str(dtype).removeprefix("torch."),
    )
