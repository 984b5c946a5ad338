"""How fast the kit is: rooms a second on one core, and the shared trainer against stock TRL on the same work.

The story: `bench_rooms` measures what `vsr build` does. `bench_sharing` measures GRPO steps and evaluation: the shapes
and cases are data (shapes.py); each side of a case runs in a process of its own (worker.py), so that its peak of memory
is its own, and every finished repeat is a line of a journal, so that a killed benchmark goes on (sharing.py);
results.py makes ratios and verdicts of the lines.

Left out: quality of what is trained (study.py), and more than one process a side.
"""

from vsr_kit.bench.rooms import RoomSpeeds, bench_rooms
from vsr_kit.bench.shapes import CASES, SHAPES, Case, Shape, Target
from vsr_kit.bench.sharing import bench_sharing

__all__ = ["CASES", "SHAPES", "Case", "RoomSpeeds", "Shape", "Target", "bench_rooms", "bench_sharing"]
