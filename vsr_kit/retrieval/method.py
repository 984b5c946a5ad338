"""`Retrieval`: what `training.train`, a variant or a phase takes to train a model that finds rooms.

It is SFT with another loss: a sum of in-batch InfoNCE between queries and clips, and of behaviour cloning of thoughts,
weighted as in O1 Embedder's public code (lambda 0.8 on the first). What a run finds is logged with its last step under
`retrieval/…`, in per cent, so that claims read it from the log and a killed run goes on like any other.
Left out: hard negatives, and measuring before the end.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vsr_kit.retrieval.queries import facts_of, write_queries
from vsr_kit.training.methods import SFT, enough
from vsr_kit.validation import real, whole

HELD_OUT = 5  # one scene in so many is measured on where no others are given


@dataclass(frozen=True)
class Retrieval(SFT):
    """Contrastive learning of queries and clips, with or without thoughts.

    Attributes:
        thinks: whether a query goes on with a thought before it is embedded, which is learnt as well.
        thought_weight: of behaviour cloning against the contrastive loss, 0 to below 1.
        temperature: that products of embeddings are divided by.
        draws: queries of each scene.
        longest_thought: cap of a thought that is generated, in tokens.
        measured_on: makes questions about new rooms (with `rows` and `clips`) to measure recall on; None holds a fifth
            of the scenes back.
    """

    thinks: bool = True
    thought_weight: float = 0.2
    temperature: float = 0.05
    draws: int = 4
    longest_thought: int = 72
    measured_on: Callable[[], Any] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        real("temperature", self.temperature, above=True, remedy="0.05 is a usual one")
        real("thought_weight", self.thought_weight, remedy="0 leaves the thoughts unlearnt")
        if self.thought_weight >= 1:
            raise ValueError(f"thought_weight is {self.thought_weight}: must be below 1, what is left is retrieval's")
        whole("draws", self.draws)
        whole("longest_thought", self.longest_thought)

    def check(self, profile, rows) -> None:
        super().check(profile, rows)
        enough(len(facts_of(self.split(rows)[0])) * self.draws, profile, "queries")
        write_queries(rows, 1)

    def split(self, rows) -> tuple[list[dict], list[dict]]:
        """Rows to train on, and rows of scenes that are held back; none of these where `measured_on` has its own.

        Raises:
            ValueError: fewer than two scenes are held back.
        """
        if self.measured_on is not None:
            return list(rows), []
        held = [zlib.crc32(row["scene_name"].encode()) % HELD_OUT == 0 for row in rows]
        back = [row for row, out in zip(rows, held, strict=True) if out]
        if (told := len(facts_of(back))) < 2:  # recall of trained scenes would go by the name of recall of new ones
            raise ValueError(
                f"scenes held back to measure recall on: {told} (one in {HELD_OUT}, by a hash of its name), 2 is "
                "the least: give more rooms, or others to measure on by measured_on"
            )
        return [row for row, out in zip(rows, held, strict=True) if not out], back

    def trainer(self, profile, config, loaded, rows, clips, features=None, recorder=None):
        from vsr_kit.retrieval.retrieval_trainer import retrieval_trainer

        return retrieval_trainer(self, profile, config, loaded, rows, clips, features)
