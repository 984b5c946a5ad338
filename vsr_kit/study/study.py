"""`Study`: everything that can be asked of a study folder, in one object.

`Study()` is the shipped study, `Study(folder)` one of your own. `answers` is one table of all answers; `curves`,
`scores`, `difference` and `verdict` read it by a variant's name, with intervals over rooms and seeds.
Left out: running a study (`vsr reproduce`), and drawing (`vsr_kit.plots`).
"""

from __future__ import annotations

from collections.abc import Sequence

from vsr_kit.evaluation import Interval, differences, intervals
from vsr_kit.recipes import variant
from vsr_kit.study import answers
from vsr_kit.study.answers import Bands
from vsr_kit.study.evidence import Evidence
from vsr_kit.study.judge import Verdict, verdict, verdicts


class Study(Evidence):
    """A study folder: its answers, curves, scores, differences and verdicts.

    Args:
        folder, questions, runs: see `Evidence`.
    """

    read = staticmethod(answers.condition_answers)

    def answers_of(self, of: str, clip: str = "own", mode: str | None = None) -> list[list[dict]]:
        """The answers of a variant's runs, one list a seed (of `base`, one list), in its own mode by default."""
        return [self.base(mode or "vanilla", clip)] if of == "base" else self.trained(of, clip, mode=mode)

    def scores(self, names: str | Sequence[str], *, clip: str = "own", mode: str | None = None) -> dict[str, Bands]:
        """Scores by task in per cent with 95 % intervals, of one variant or several, `base` among them."""
        names = [names] if isinstance(names, str) else names
        return {of: answers.drop_repeated_mean(intervals(self.answers_of(of, clip, mode))) for of in names}

    def difference(self, after: str, before: str = "base", *, task: str = "trained", clip: str = "own") -> Interval:
        """One variant minus another in points, paired by question; `task` is a VSI-Bench task or `trained`."""
        return self.differences(after, before, clip=clip)[task]

    def differences(self, after: str, before: str = "base", *, clip: str = "own") -> Bands:
        """One variant minus another by task, in points, paired by question, each asked in its own mode."""
        own, other = self.answers_of(after, clip), self.answers_of(before, clip)
        return differences(own, other[0] if before == "base" else other)

    def lines_to_beat(self) -> dict[str, Bands]:
        """Scores that need no understanding: the most frequent training answer, no video, another room's clip."""
        return answers.lines_to_beat(self.folder, self.questions)

    def rollouts(self, of: str) -> list[list[dict]]:
        """What each run of a variant kept of its rollouts, one list a seed."""
        return answers.rollouts(self.folder, of)

    def settings(self, of: str):
        """The variant as it was written before it ran: method, mode, profile, seeds."""
        return variant(of)

    def verdict(self, claim: str) -> Verdict:
        """Measure what a claim names and apply its rule."""
        return verdict(claim, self.folder)

    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on every claim for which the folder holds answers."""
        return verdicts(self.folder)
