"""Errors of a machine that has reached a limit, each with its remedy: memory that ran out, numbers that overflowed.

They are no faults of an input, so they are no ValueErrors; the command line shows them in one line all the same. This
module loads no torch: who catches them may not have it.
Left out: a full disk, which is an OSError (runs/interrupts.py).
"""

from __future__ import annotations

import sys


class OutOfMemory(MemoryError):
    """No memory for a tensor; says what was used and what to turn down."""


class NotFinite(RuntimeError):
    """Logits that are no numbers; says where, and what to do."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory for a tensor, on a GPU or in main memory."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "not enough memory: you tried to allocate" in str(error)


def refuse_non_finite(logits_NW, step: int) -> None:
    """Complain about a next token's logits that are NaN or +infinity; -infinity is a token that may not come.

    Args:
        logits_NW: a tensor, N sequences by the size of the vocabulary.
        step: which token of the completion is about to be chosen, from 0.

    Raises:
        NotFinite: naming the token, the precision and the remedy.
    """
    wrong_N = (logits_NW.isnan() | logits_NW.isposinf()).any(-1)
    if not wrong_N.any():
        return
    count, kind = int(wrong_N.sum()), str(logits_NW.dtype).removeprefix("torch.")
    raise NotFinite(
        f"the model's logits are not finite (NaN or infinite) for {count} of {len(wrong_N)} sequences at token "
        f"{step + 1} of the answer, as {kind}: its numbers overflowed, and every answer would be noise such as '!!!!'; "
        "use --dtype float32 (or bfloat16 where the card has it), another adapter or an earlier checkpoint"
    )
