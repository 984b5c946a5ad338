"""Acceptance of a new miniature: measured on validation rooms, never by how prompting or GRPO turn out on it.

There are three rules, fixed in advance: its answers can be read (parse rate in every mode), it sees (its own clip beats
another room's), and there is room to gain (the same network trained on the truth is better).
Left out: anything about test rooms.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsr_kit.evaluation import ScoreTable, difference, score
from vsr_kit.evaluation.predictions import TOKEN_CAP, predict
from vsr_kit.models.loading import load_model
from vsr_kit.prompts import MODES
from vsr_kit.study.question_sets import QuestionSet, procedural_questions

LEAST_PARSE_RATE = 95.0
LEAST_SIGHT = 8.0
LEAST_HEADROOM = 25.0


@dataclass(frozen=True)
class Rule:
    """One rule of acceptance: what was measured, what is asked for, in per cent or points."""

    name: str
    measured: float
    least: float
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether the measurement reaches the rule."""
        return self.measured >= self.least

    def __str__(self) -> str:
        word = "met" if self.met else "NOT MET"
        line = f"{self.name}: {self.measured:.1f} (at least {self.least:.0f}): {word}"
        return f"{line}; {self.detail}" if self.detail else line


def accept(checkpoint: str | Path, clean: str | Path, questions: QuestionSet | None = None) -> list[Rule]:
    """Measure all rules on the validation rooms, greedily, read by the lenient parser.

    Args:
        checkpoint: the candidate.
        clean: the same network on true labels.
        questions: the validation questions by default.
    """
    questions = questions or procedural_questions("val", "vsi-bench")
    base, told = load_model(checkpoint, quiet=True), load_model(clean, quiet=True)
    rules = []
    answers = {mode: _asked(base, questions, mode, "own") for mode in MODES}
    for mode, rows in answers.items():
        cut = 100 * sum(row["truncated"] for row in rows) / len(rows)
        rate = 100 * score(rows, "lenient").parse_rate
        rules.append(Rule(f"parse rate, {mode}", rate, LEAST_PARSE_RATE, f"{cut:.1f} % cut off at {TOKEN_CAP} tokens"))
    own, wrong = answers["vanilla"], _asked(base, questions, "vanilla", "wrong")
    best = _asked(told, questions, "vanilla", "own")
    rooms = len(questions.clips)
    for name, pair, least in (("sight", (own, wrong), LEAST_SIGHT), ("headroom", (best, own), LEAST_HEADROOM)):
        gap = difference(*pair, task="trained")
        scores = " - ".join(f"{100 * score(rows, 'lenient').trained:.1f}" for rows in pair)
        detail = f"{scores}, 95 % {gap.low:.1f} to {gap.high:.1f}, {gap.n} questions, {rooms} rooms"
        rules.append(Rule(name, gap.mean, least, detail))
    return rules


def by_task(checkpoint: str | Path, questions: QuestionSet, clip: str = "own", mode: str = "vanilla") -> ScoreTable:
    """Scores of one checkpoint on one question set."""
    return score(_asked(load_model(checkpoint, quiet=True), questions, mode, clip), "lenient")


def _asked(loaded, questions: QuestionSet, mode: str, clip: str) -> list[dict]:
    return predict(loaded, questions, mode, clip=clip)
