"""What a chain of thought concludes, and whether the answer after it agrees: of chains that compute, and of others.

Chains that compute say their conclusion (`chains`, `quality`). Those of the shipped base only state facts, in the
grammar of its lessons (`vsr_kit.miniature.lessons.chain_text`): places, sizes, distances, one object after another. A
rule works out what follows from them. `agrees` then asks of either kind: were the chain's own conclusion the truth,
would the answer be right? SEED-Bench-R1's authors have a large model judge that (arXiv 2506.16141); here it is
computed.
Left out: chains in other words, such as a large model writes; they conclude nothing that is read here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vsr_kit.bridging.chains import read_chain
from vsr_kit.bridging.quality import conclusion
from vsr_kit.prompts import answer_choices
from vsr_kit.questions.geometric import side_of
from vsr_kit.questions.types import DIRECTION_TYPES
from vsr_kit.rewards.hard import right_answer

_ANSWER = re.compile(r"\bthe answer is\b|< ?answer ?>", re.IGNORECASE)
_NUMBER = re.compile(r"(?:\b(east|west|north|south) )?(\d+(?:\.\d+)?)")


def chain_of(text: str) -> str:
    """What stands before the answer of a completion; all of it where no answer is announced."""
    return _ANSWER.split(text, maxsplit=1)[0]


def stated_numbers(text: str) -> list[float]:
    """The numbers of a chain in order, in metres; west and south are negative."""
    return [-float(n) if side in ("west", "south") else float(n) for side, n in _NUMBER.findall(chain_of(text))]


def follows(text: str, row: Mapping) -> str | None:
    """The answer that follows from what a chain states; None where it does not state what the question needs.

    Distances follow centre to centre in plan, which is a little more than the closest points that VSI-Bench asks for.
    """
    kind, facts = row["question_type"], stated_numbers(text)
    if kind == "object_counting":
        count = len(re.findall(r"\bone in the\b", chain_of(text)))
        return str(count) if count else None
    if kind == "object_size_estimation":
        return f"{100 * max(facts):.0f}" if len(facts) == 3 else None
    if kind == "room_size_estimation":
        return f"{facts[0] * facts[1]:.1f}" if len(facts) == 2 else None
    if kind == "object_abs_distance":
        return f"{math.dist(facts[:2], facts[2:]):.1f}" if len(facts) == 4 else None
    if kind == "object_rel_distance":
        return _label(_nearest(facts, row["objects"][1:]), row)
    return _label(_side(kind, facts), row) if kind in DIRECTION_TYPES else None


def _nearest(facts: Sequence[float], names: Sequence[str]) -> str | None:
    if len(facts) != len(names) or list(facts).count(min(facts)) > 1:
        return None
    return names[int(np.argmin(facts))]


def _side(kind: str, facts: Sequence[float]) -> str | None:
    if len(facts) != 6:
        return None
    (ax, ay), (bx, by), (cx, cy) = facts[:2], facts[2:4], facts[4:]
    (ux, uy), (wx, wy) = (bx - ax, by - ay), (cx - ax, cy - ay)
    turn_deg = math.degrees(math.atan2(ux * wy - uy * wx, ux * wx + uy * wy))
    return side_of(kind, turn_deg) if turn_deg else None


def _label(word: str | None, row: Mapping) -> str | None:
    return next((c.label for c in answer_choices(row) if word and c.text.lower() == word.lower()), None)


# -- agreement ---------------------------------------------------------------------------------------------------------


def concluded(text: str, row: Mapping) -> str | None:
    """The answer that a completion's chain leads to: what it says it concludes, or else what follows from its facts.

    None where it does neither, as an empty or a broken-off chain does.
    """
    thought = chain_of(text)
    said = conclusion(thought, read_chain(thought), row)
    return follows(text, row) if said is None else said


def agrees(text: str, row: Mapping) -> bool | None:
    """Whether an answer is right by its own chain; None where the chain concludes nothing.

    Right is what `rewards.hard.right_answer` calls so, were the conclusion the truth: a measure within a quarter of
    it, a count exactly, the same letter or word. Whether chain or answer is right about the room is not asked.

    Args:
        text: a completion, chain and answer.
        row: with `question_type`, `question`, `options` and, for relative distances, `objects`.
    """
    own = concluded(text, row)
    return None if own is None else right_answer(text, {**row, "ground_truth": own})


def agreement(rows: Iterable[Mapping]) -> tuple[float, float]:
    """Of many predictions: the share of chains that conclude something, and of those the share that answers agree with.

    Args:
        rows: with `prediction`, and the fields that `agrees` needs.

    Returns:
        Both in per cent; the second is nan where no chain concludes anything.

    Raises:
        ValueError: no rows.
    """
    found = [agrees(row["prediction"], row) for row in rows]
    if not found:
        raise ValueError("no rows, so nothing can agree: give answers with chains")
    told = [own for own in found if own is not None]
    return 100 * len(told) / len(found), 100 * sum(told) / len(told) if told else math.nan
