"""How much a notebook may spend: the full budget, or the smoke budget on which the tests run the whole course.

The story: a notebook's parameters cell says `SMOKE = smoke()` and picks its numbers by it; nothing else in a notebook
knows about tests. The switch is one environment variable, so that a kernel started by anyone inherits it.

Left out: budgets in between. A researcher edits the parameters cell.
"""

from __future__ import annotations

import os

SMOKE_VARIABLE = "VSR_SMOKE"
_ANSWERS = {"": False, "0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}


def smoke() -> bool:
    """True where the environment asks for the smoke budget (VSR_SMOKE=1). ValueError on a value that is neither."""
    value = os.environ.get(SMOKE_VARIABLE, "")
    if value.lower() not in _ANSWERS:
        raise ValueError(f"{SMOKE_VARIABLE} must be 1 or 0, got {value!r}: unset it for the full budget")
    return _ANSWERS[value.lower()]
