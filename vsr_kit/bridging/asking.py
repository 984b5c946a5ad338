"""What a writer is asked (`Prompt`) and what it wrote (`Written`).

Text of a model is hostile: `safe_text` takes out what no file can hold, and filters.py drops what a chat model would
obey, before it is put into another prompt or is learnt.
Left out: conversations of several turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vsr_kit.rooms import Room

STOP, LENGTH, REFUSED = "stop", "length", "refused"
FINISHES = (STOP, LENGTH, REFUSED)


@dataclass(frozen=True)
class Prompt:
    """One request to a writer.

    Attributes:
        messages: a chat, with {"type": "video"} where the clip stands.
        frames_FHW3: the clip, uint8; None where the writer is to see none.
        stage: one of STAGES; empty for a chat of your own.
        row: the question without its true answer, for writers that go by rules.
        given: the text that the stage builds on: the true answer, the pseudo-CoT or the description.
        room, seen: the room, and what its clip shows of it; only in stages that see the clip.
    """

    messages: list[dict]
    frames_FHW3: np.ndarray | None = None
    stage: str = ""
    row: Mapping[str, Any] | None = None
    given: str = ""
    room: Room | None = None
    seen: Any = None


@dataclass(frozen=True)
class Written:
    """What a writer wrote.

    Attributes:
        text: all of it; a chain that came apart from its answer stands in `<think>` tags before it.
        finish: `stop`; `length`, cut by the cap on tokens; or `refused`, the writer would not or could not.
        detail: why it was refused.
    """

    text: str
    finish: str = STOP
    detail: str = ""


def safe_text(text: object) -> str:
    """A model's text as it can be kept: half characters, which have no UTF-8, are written as U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if isinstance(text, str) else ""
