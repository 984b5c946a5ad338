"""`python -m vsr_kit.miniature OUT` trains the miniature, and with `--cold-start` before OUT its cold start.

Under torchrun several processes share the work.
"""

import os
import sys
from contextlib import nullcontext

from vsr_kit.miniature.cold_start import cold_start
from vsr_kit.miniature.training import pretrain
from vsr_kit.runs.interrupts import say_on_full_disk, say_on_stop

if __name__ == "__main__":
    cold = sys.argv[1:2] == ["--cold-start"]
    if len(sys.argv) != 2 + cold:
        sys.exit("usage: python -m vsr_kit.miniature [--cold-start] OUT")
    out, how = sys.argv[-1], "go on with the same command"
    first = int(os.environ.get("RANK") or 0) == 0  # one process speaks for all
    try:
        with say_on_stop(how) if first else nullcontext(), say_on_full_disk(f"{out}-work", how):
            (cold_start if cold else pretrain)(out)
    except (ValueError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        sys.exit(2)
