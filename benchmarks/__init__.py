"""Benchmarks: rooms filmed per second on one core, and the kit's shared trainers against stock TRL on the same work.

    python -m benchmarks rooms        seconds
    python -m benchmarks weights      minutes
    python -m benchmarks tokens       minutes
    python -m benchmarks evaluation   minutes
    python -m benchmarks gpu          at most eight minutes, on a GPU (benchmarks/gpu.sh)
    python -m benchmarks sharing      half an hour on one core; continues after a kill

rooms.py times what `vsr build` does, weights.py asking and training with four-bit weights on a CPU,
tokens.py GRPO that records tokens, evaluation.py the memory of many questions about one clip (live.py), gpu.py all
ways of sharing on a GPU, cell by cell (gpu_cell.py), and steps of profile `t4`. `sharing` times
GRPO steps, SFT steps and evaluation. Its model shapes, cases and targets are data (cases.py); workload.py makes the
checkpoint, clips and questions; each side of a case runs in a process of its own (worker.py, sft_case.py), so that its
peak memory is its own. Every finished repeat becomes a line of a journal (step_log.py, sharing.py), so that a killed
benchmark can continue; results.py turns the lines into ratios and verdicts.
Left out: the quality of what is trained (see `vsr_kit.study`), and several processes per side.
"""

from benchmarks.cases import CASES, SHAPES, Case, Shape, Target
from benchmarks.rooms import RoomSpeeds, bench_rooms
from benchmarks.sharing import bench_sharing

__all__ = ["CASES", "SHAPES", "Case", "RoomSpeeds", "Shape", "Target", "bench_rooms", "bench_sharing"]
