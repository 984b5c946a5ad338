"""The process in which math-verify compares two formulas, run as a script by `vsr_kit.prompts.judging`.

A formula from a model may be one that no computer can evaluate (`9^{9^{9^9}}`), and Python cannot be interrupted in the
middle of such a power: math-verify's own time limit is an alarm signal, which waits until the power is there, and which
works in a main thread alone. So its limit is switched off here, and the system's limits hold: a question that takes
more processor time than allowed ends this process. Processor time, unlike the time on the wall, hardly depends on what
else the machine does, so that a busy machine pays the same rewards as an idle one.

Each line that is read is a JSON list of two texts in LaTeX, the true one first; each line that is written is 1 where
math-verify holds them for equal, else 0. The first line says `ready`, or why there is nothing to be had.
Left out: everything else of the kit, which this file does not import, so that it starts quickly and anywhere.
"""

import contextlib
import json
import logging
import math
import os
import sys


def main(seconds: int, memory_bytes: int) -> None:
    """Answer until the input ends.

    Args:
        seconds: of processor time a pair may take; the limit is whole seconds, so that up to one more passes.
        memory_bytes: most address space of the process.
    """
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr  # whatever the libraries print is no answer
    try:
        import resource

        from math_verify import LatexExtractionConfig, parse, verify
    except ImportError as error:
        print(f"does not import: {error}", file=out, flush=True)
        return
    logging.disable(logging.CRITICAL)
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit and refuses it
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, resource.RLIM_INFINITY))
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = math.ceil(used.ru_utime + used.ru_stime) + seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        try:
            gold, said = (
                parse(f"${text}$", [LatexExtractionConfig()], parsing_timeout=None) for text in json.loads(line)
            )
            same = bool(gold and said) and verify(gold, said, timeout_seconds=None)
        except (Exception, RecursionError):  # a formula that the libraries stumble over equals nothing
            same = False
        print(int(same), file=out, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
