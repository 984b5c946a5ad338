"""Short answers rewritten into rationales, as MAmmoTH-VL does it (arXiv 2412.05237), and mixtures of the two.

A rewriter is given a question and its answer and writes what leads from one to the other. Here the rule reasoner does,
from a description of the room. A language model that rewrites invents things at times, so a stated share of the
rationales is about a room that is not there; the answer beneath stays the true one, and whoever reads the rationale can
tell that it does not follow (`vsr_kit.evaluation.rationale_judge`).
What is drawn for a question depends on its id alone.
Left out: rewriting by a model, which `vsr bridge` does.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vsr_kit.bridging.description import describe, imagined
from vsr_kit.bridging.reasoner import Style, reason
from vsr_kit.prompts import target_completion
from vsr_kit.rewards.hard import right_answer
from vsr_kit.rooms import Room

INVENTED = 0.2
_ANSWER = re.compile(r"<answer>(.*)</answer>\s*\Z", re.DOTALL)


def _draw(ident: Any, stream: int) -> np.random.Generator:
    return np.random.default_rng([stream, zlib.crc32(str(ident).encode())])


def rationale(row: Mapping, room: Room, share: float = INVENTED) -> tuple[str, bool] | None:
    """A question's rationale, and whether it is invented; None where the reasoner misses the truth.

    share: of rationales that are invented.
    """
    rng = _draw(row["id"], 23)
    invented = bool(rng.random() < share)
    found = reason(row, describe(imagined(room, rng) if invented else room), Style())
    if found is None or not (invented or right_answer(found.answer, row)):
        return None
    return found.chain, invented


def in_share(ident: Any, share: float) -> bool:
    """Whether the question of this id is among a share of all; a larger share only adds questions."""
    return bool(_draw(ident, 29).random() < share)


def mixed(chains: Mapping[Any, str], share: float) -> dict[Any, str]:
    """Completions of which a share is kept whole, by id, and the others are cut down to the answer they end in.

    Completions without an `<answer>` at their end are kept as they are.
    """

    def told(ident: Any, text: str) -> str:
        end = _ANSWER.search(text)
        return text if end is None or in_share(ident, share) else target_completion("think", "train", "", end[1])

    return {ident: told(ident, text) for ident, text in chains.items()}
