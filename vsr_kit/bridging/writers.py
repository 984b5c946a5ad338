"""Writers: whoever writes the text of a stage, and the one that is the default.

A writer takes prompts and gives their texts in the same order. There are three: `Endpoint` asks a server, `LocalModel`
a model on this machine, and `Rules`, here, needs nothing: it describes a room by its geometry, and reasons from that
description alone. As in the paper, whoever reasons is given neither clip nor room nor true answer, so a chain can be
wrong and is then dropped.
Left out: writers that are asked over several turns, and streaming.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np

from vsr_kit.bridging.answer_cache import AnswerCache
from vsr_kit.bridging.asking import REFUSED, Prompt, Written
from vsr_kit.bridging.costs import Ledger
from vsr_kit.bridging.description import Description, describe
from vsr_kit.bridging.reasoner import Style, reason
from vsr_kit.files import in_a_line, plain


class Writer(Protocol):
    """Whoever writes the texts of stages.

    Attributes:
        paid: whether asking may cost something, so that costs are shown first and a budget is kept.
    """

    paid: bool

    def identity(self) -> dict:
        """What its texts hang on, as JSON: a folder is not gone on with under another identity."""
        ...

    def write(self, messages: list[dict], images: np.ndarray | None = None) -> str:
        """The text for one chat; images are uint8 frames (F, H, W, 3)."""
        ...

    def write_many(
        self, prompts: Sequence[Prompt], cache: AnswerCache | None = None, ledger: Ledger | None = None
    ) -> Generator[Written]:
        """The texts of many prompts, in their order, as they come; what `cache` has is not asked again."""
        ...


def prompt_key(writer: Writer, prompt: Prompt) -> str:
    """SHA-256 of all that an answer hangs on: the writer's identity, the messages, the frames."""
    digest = hashlib.sha256(
        json.dumps([writer.identity(), prompt.messages], sort_keys=True, default=plain).encode("utf-8", "replace")
    )
    if prompt.frames_FHW3 is not None:
        frames_FHW3 = np.ascontiguousarray(prompt.frames_FHW3)
        digest.update(f"{frames_FHW3.dtype}{frames_FHW3.shape}".encode())
        digest.update(frames_FHW3.data)
    return digest.hexdigest()


class Rules:
    """The default: a describer with the room's geometry, and a reasoner that reads the description alone.

    Args:
        style: the reasoner's knobs, a `bridging.reasoner.Style`; its own default if left out.
        seed: of the reasoner's draws. A row's draws follow from the seed and the row's id, so that neither the order
            of rows nor a resumed run changes a chain.
        describe, reason: other rules, with the signatures of `bridging.description.describe` and
            `bridging.reasoner.reason`.
        read: makes a description of its text, as `bridging.description.Description.read`.
    """

    paid = False

    def __init__(
        self,
        style: Style | None = None,
        seed: int = 0,
        *,
        describe: Callable = describe,
        reason: Callable = reason,
        read: Callable[[str], Any] = Description.read,
    ) -> None:
        style = Style() if style is None else style
        self.style, self.seed, self._describe, self._reason, self._read = style, seed, describe, reason, read

    def identity(self) -> dict:
        """The style and the seed."""
        return {"writer": "rules", "style": asdict(self.style), "seed": self.seed}

    def write(self, messages: list[dict], images: np.ndarray | None = None) -> str:
        """Rules read no chats: ask with `write_many` and prompts that name their stage."""
        raise ValueError("Rules read rooms and rows, not chats: give write_many prompts with stage, row and room")

    def write_many(self, prompts, cache=None, ledger=None) -> Generator[Written]:
        """The texts of many prompts, in their order; nothing is cached, and nothing costs."""
        for prompt in prompts:
            try:
                yield Written(self._text(prompt))
            except (ValueError, KeyError) as error:  # a description that cannot be read, a type without a rule
                yield Written("", REFUSED, in_a_line(error))

    def _text(self, prompt: Prompt) -> str:
        row = prompt.row or {}
        if prompt.stage == "chain":
            number = zlib.crc32(f"{row['dataset']}/{row['scene_name']}/{row['id']}".encode())
            rng = np.random.default_rng([self.seed, number])
            made = self._reason(row, self._read(prompt.given), self.style, rng)
            if made is None:
                raise ValueError("the description lacks what the question needs, or no rule knows its type")
            return f"<think>{made.chain}</think> <answer>{made.answer}</answer>"
        if prompt.room is None:
            raise ValueError(f"no room {row.get('scene_name')!r} to describe: give `rooms`, or another describer")
        if prompt.stage == "description":
            return self._describe(prompt.room, prompt.seen).text()
        counts = Counter(box.category for box in prompt.room.boxes)
        things = ", ".join(f"{number} {name}" for name, number in sorted(counts.items())) or "nothing"
        return f"A room with {things}. The question is {row['question']!r}. The answer is {prompt.given}."
