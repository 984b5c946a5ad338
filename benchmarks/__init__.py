"""How fast the kit is: rooms a second on one core, and the shared trainer against stock TRL on the same work.

    python -m benchmarks rooms        seconds
    python -m benchmarks sharing      half an hour on one core; goes on where it was killed

The story: `bench_rooms` measures what `vsr build` does. `bench_sharing` measures GRPO steps and evaluation: the shapes
and cases are data (cases.py); each side of a case runs in a process of its own (worker.py), so that its peak of memory
is its own, and every finished repeat is a line of a journal, so that a killed benchmark goes on (sharing.py);
results.py makes ratios and verdicts of the lines.

Left out: quality of what is trained (the study), and more than one process a side.
"""

from benchmarks.cases import CASES, SHAPES, Case, Shape, Target
from benchmarks.rooms import RoomSpeeds, bench_rooms
from benchmarks.sharing import bench_sharing

__all__ = ["CASES", "SHAPES", "Case", "RoomSpeeds", "Shape", "Target", "bench_rooms", "bench_sharing"]
