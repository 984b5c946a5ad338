"""What the papers claim, how the kit measures it, and what would count, each written before its run.

A claim's rule looks at one or more paired differences with their intervals and gives a verdict: *reproduced*, *not
reproduced*, or *built in* where the miniature's own recipe already decides it. Nothing in the recipe, the data or the
settings was chosen by how a claim comes out.
Left out: the claims whose runs do not exist yet (KL collapse, reward hacking, SFT and DPO, think and observe training,
untrained tasks); they are added with their runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

REPRODUCED = "reproduced"
NOT_REPRODUCED = "not reproduced"
UNDECIDED = "undecided: the interval holds zero"


class Interval(Protocol):
    """A mean with a 95 % interval, in points."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        name: short and stable.
        says: the claim, in the paper's terms.
        source: paper and place.
        measured: what is compared, on which questions, decoded and read how.
        rule: the verdict rule in words.
        decide: the same rule in code; takes the named differences, returns a verdict.
        caveat: what the miniature cannot tell, or what its recipe builds in.
    """

    name: str
    says: str
    source: str
    measured: str
    rule: str
    decide: Callable[[Mapping[str, Interval]], str]
    caveat: str


def _no_gain_from_prompts(found: Mapping[str, Interval]) -> str:
    if any(found[mode].low > 0 for mode in ("think", "observe")):
        return NOT_REPRODUCED
    return REPRODUCED


def _gain(name: str) -> Callable[[Mapping[str, Interval]], str]:
    def decide(found: Mapping[str, Interval]) -> str:
        if found[name].low > 0:
            return REPRODUCED
        return NOT_REPRODUCED if found[name].high <= 0 else UNDECIDED

    return decide


CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="cot-prompts-do-not-help",
        says="Prompting for a chain of thought does not improve small Qwen2-VL models on visual-spatial questions.",
        source="vsGRPO (arXiv 2504.00883), Table 1",
        measured=(
            "Mean of the six trained tasks on held-out procedural rooms, VSI-Bench's phrasing, the paper's evaluation "
            "prompts, greedy, one token cap for all modes, read by the lenient parser; think minus vanilla and observe "
            "minus vanilla, paired by question, 95 % bootstrap interval over rooms."
        ),
        rule=(
            "Reproduced if neither prompt is better than vanilla beyond its interval; not reproduced if one of them is."
        ),
        decide=_no_gain_from_prompts,
        caveat=(
            "The miniature's chains are as grounded as its recipe made them (the stated share of chains speaks of "
            "another room), so whichever way this comes out is partly built in; it says nothing about 2B models."
        ),
    ),
    Claim(
        name="grpo-lifts",
        says="GRPO with vanilla prompts lifts Qwen2-VL-2B by 12.1 points on VSI-Bench.",
        source="vsGRPO (arXiv 2504.00883), Table 2",
        measured=(
            "Mean of the six trained tasks on held-out procedural rooms, VSI-Bench's phrasing, vanilla prompt, greedy, "
            "lenient parser; GRPO-trained minus base, both with nf4 weights, paired by question, 95 % bootstrap "
            "interval over three training seeds and rooms. Training: VSI-100k phrasing, the paper's objective."
        ),
        rule="Reproduced if the gain's interval is above zero, not reproduced if it is at or below, else undecided.",
        decide=_gain("grpo_minus_base"),
        caveat=(
            "The room to gain is built in: the base was tuned on labels of which a stated share is random. The size of "
            "the gain is therefore a property of the recipe; the paper's 12.1 is shown beside it, never as a target."
        ),
    ),
    Claim(
        name="grpo-teaches-looking",
        says="What GRPO adds is looking at the clip, not better constants.",
        source="asked by this kit; the papers do not test it",
        measured=(
            "The own-clip score minus the score with another room's clip, trained against base, same questions and "
            "decoding as grpo-lifts; difference of the two gaps, 95 % bootstrap interval over seeds and rooms."
        ),
        rule="Reproduced if the gap grows beyond its interval, not reproduced if it shrinks, else undecided.",
        decide=_gain("gap_growth"),
        caveat=(
            "Another room's clip still shows a room: constants that fit all rooms cancel, a wrong room's facts do not."
        ),
    ),
)


def claim(name: str) -> Claim:
    """Look a claim up by name."""
    for known in CLAIMS:
        if known.name == name:
            return known
    raise ValueError(f"unknown claim {name!r}: there are {', '.join(c.name for c in CLAIMS)}")
