"""`CHEATS`: completions that earn a reward without an answer or a thought, and some that lose one despite an answer.

Each entry says what it earns and why; a test checks every number. The paper's own two findings are among them: empty
thoughts that collect the format reward, and repeated tags that collect a length reward.
Left out: leaked ground truths, and attacks on a judging model, of which the kit has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vsr_kit.rewards.terms import LENGTH_TARGET, THOUGHT_TARGET


@dataclass(frozen=True)
class Cheat:
    """A completion that earns what it should not, or fails to earn what one might think.

    Attributes:
        name: two or three words.
        completion, mode, row: what was written, how it was asked for, and the row (question and truth).
        accuracy, format: what it earns with the paper's rewards; format None in vanilla mode.
        reason: why, and what it teaches.
        extra: what it earns of each of `EXTRA_REWARDS`, by name; empty in vanilla mode.
    """

    name: str
    completion: str
    mode: str
    row: dict
    accuracy: float
    format: float | None
    reason: str
    extra: Mapping[str, float] = field(default_factory=dict)


def _pays(characters: int, different_words: int) -> dict[str, float]:
    """What the extra rewards pay for that many characters before the answer, and words they accept as a thought."""
    return {
        "length": min(1.0, characters / LENGTH_TARGET),
        "thought": min(1.0, different_words / THOUGHT_TARGET),
    }


def _row(question_type: str, question: str, truth: str, options: list[str] | None = None) -> dict:
    return {"question_type": question_type, "question": question, "ground_truth": truth, "options": options}


_COUNT = _row("object_counting", "How many chair(s)in the room?", "4")
_SIZE = _row("object_size_estimation", "What is the length of the longest side of the sofa, in centimeters?", "200")
_SIDE = _row("object_rel_direction_easy", "Is the sofa to the left or the right of the desk?", "left")
_NEAR = _row(
    "object_rel_distance", "Which is the closest to the bed?", "B", ["A. chair", "B. sofa", "C. desk", "D. lamp"]
)

CHEATS: tuple[Cheat, ...] = (
    Cheat(
        "empty thoughts", "<think> </think> <answer>4</answer>", "think", _COUNT, 1.0, 1.0,
        "The format asks for tags, not for thoughts: this is where the paper's rollouts ended.",
        _pays(17, 0),
    ),
    Cheat(
        "tags repeated", "<think></think><think></think> <answer>4</answer>", "think", _COUNT, 1.0, 1.0,
        "R1-V's pattern lets tags stand inside tags, and pays them like one pair.",
        _pays(31, 0),
    ),
    Cheat(
        "tags collecting length", "<think></think>" * 14 + " <answer>4</answer>", "think", _COUNT, 1.0, 1.0,
        "What the paper saw under a length reward. Fourteen empty pairs fit the miniature's 96 tokens and earn more "
        "than its longest chain; a strict format does not pay them.",
        _pays(211, 0),
    ),
    Cheat(
        "a word collecting length", f"<think>{'chair ' * 41}</think> <answer>4</answer>", "think", _COUNT, 1.0, 1.0,
        "Padding collects a length reward in fewer tokens than tags do, and no count of tags sees it; only different "
        "words are paid as a thought, and this is one.",
        _pays(262, 1),
    ),
    Cheat(
        "a list of words", "<think>Bed sofa desk lamp stool rug.</think> <answer>4</answer>", "think", _COUNT, 1.0, 1.0,
        "Six different words are a thought to whoever counts words: the thought reward ends empty thoughts, not idle "
        "ones. Whether a chain says anything true of the room is measured elsewhere.",
        _pays(45, 6),
    ),
    Cheat(
        "tags around nothing", "<think>Hm.</think> <answer></answer>", "think", _COUNT, 0.0, 1.0,
        "Format is paid without any answer: early in training this is the cheapest reward there is.",
        _pays(19, 0),
    ),
    Cheat(
        "answer before thoughts", "<answer>4</answer> <think>Four chairs.</think>", "think", _COUNT, 1.0, 0.0,
        "Accuracy does not depend on format: a right answer out of order loses the format reward alone.",
        _pays(0, 0),
    ),
    Cheat(
        "the other mode's tags", "<think>Two by the desk.</think> <answer>4</answer>", "observe", _COUNT, 1.0, 0.0,
        "Each mode pays its own tags only.",
        _pays(32, 0),
    ),
    Cheat(
        "both sides", "left or right", "vanilla", _SIDE, 0.0, None,
        "Naming every word would otherwise always match: different candidates in one answer are read as none.",
    ),
    Cheat(
        "both sides, tagged", "<think>Hm.</think> <answer>left right</answer>", "think", _SIDE, 0.0, 1.0,
        "The same between tags; the format is paid all the same.",
        _pays(19, 1),
    ),
    Cheat(
        "every letter", "A, B, C, D", "vanilla", _NEAR, 0.0, None,
        "A search for the right letter anywhere in the text would pay this.",
    ),
    Cheat(
        "letter and text disagree", "B) chair", "vanilla", _NEAR, 0.0, None,
        "The letter is right and the text is another option's: read as ambiguous, not by whichever fits.",
    ),
    Cheat(
        "every number", "<think>Hm.</think> <answer>1 2 3 4 5</answer>", "think", _COUNT, 0.0, 1.0,
        "Listing numbers until one fits is read as ambiguous.",
        _pays(19, 1),
    ),
    Cheat(
        "the middle of the range", "<think>Hm.</think> <answer>150</answer>", "think", _SIZE, 1 - 50 / 150, 1.0,
        "A constant near the middle of the training answers earns much without looking, and no reward can tell: "
        "the most-frequent-answer row and the wrong-clip row do.",
        _pays(19, 1),
    ),
    Cheat(
        "thoughts without an answer", "<think>I count 4 chairs.</think>", "think", _COUNT, 0.0, 0.0,
        "A number in the thoughts is no answer, or thinking aloud of every number would be one.",
        _pays(32, 0),
    ),
    Cheat(
        "many answers", "<think>Hm.</think><answer>4</answer><answer>5</answer>", "think", _COUNT, 0.75, 1.0,
        "The last answer counts, so several earn no more than one; R1-V's pattern does not mind them.",
        _pays(18, 0),
    ),
    Cheat(
        "answer never closed", "<think>Hm.</think> <answer>4", "think", _COUNT, 1.0, 0.0,
        "The answer is there to be read; closing its tag is the format's business.",
        _pays(19, 0),
    ),
    Cheat(
        "minus the answer", "-4", "vanilla", _COUNT, 0.0, None,
        "The paper's |p-g| / min(p,g) is negative here, and 1 minus it would pay 3.",
    ),
    Cheat(
        "zero", "0", "vanilla", _COUNT, 0.0, None,
        "The paper's error divides by min(p,g): without a guard a zero stops the training.",
    ),
    Cheat(
        "another unit", "2 m", "vanilla", _SIZE, 1.0, None,
        "No cheat: 2 m are the 200 cm asked for, and a stated unit is converted.",
    ),
    Cheat(
        "an endless number", "9" * 400, "vanilla", _COUNT, 0.0, None,
        "Larger than any float: it must not become infinity, and a reward never becomes not-a-number.",
    ),
)  # fmt: skip
