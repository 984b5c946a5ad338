"""Benchmark of rooms: clips rendered and questions made per second, on one core.

Rendering is pure NumPy and questions are pure geometry, so both can be measured on any machine in seconds. The measured
work is that of `vsr build` without writing files; making the rooms beforehand is not counted.
Left out: the speed of training and generation (a run folder's metrics hold step times), and several cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from vsr_kit.questions import make_questions
from vsr_kit.rooms import make_rooms
from vsr_kit.videos import film


@dataclass(frozen=True)
class RoomSpeeds:
    """Rates of one core. `clips` and `questions` are how many were made to measure them."""

    clips_per_s: float
    questions_per_s: float
    clips: int
    questions: int
    num_frames: int
    size_px: int


def bench_rooms(seconds: float = 3.0, num_frames: int = 8, size_px: int = 84, seed: int = 0) -> RoomSpeeds:
    """Film rooms, then ask about them from geometry alone, for about `seconds` each."""
    if seconds <= 0:
        raise ValueError(f"seconds must be above 0, got {seconds}")
    rooms = make_rooms(64, seed, prefix="bench")
    film(rooms[0], num_frames, size_px)  # the first call pays for imports and caches
    clips, clip_seconds = _repeat(lambda i: film(rooms[i % 64], num_frames, size_px) and 1, seconds)
    questions, question_seconds = _repeat(lambda i: len(make_questions(rooms[i % 64], seed=i // 64)), seconds)
    return RoomSpeeds(clips / clip_seconds, questions / question_seconds, clips, questions, num_frames, size_px)


def _repeat(work: Callable[[int], int], seconds: float) -> tuple[int, float]:
    """Call work(0), work(1), … until `seconds` are over: (sum of what they returned, seconds taken)."""
    began, done, calls = time.perf_counter(), 0, 0
    while (took := time.perf_counter() - began) < seconds or not calls:
        done += work(calls)
        calls += 1
    return done, took
