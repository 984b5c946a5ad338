"""`Study`: everything that can be asked of a study folder, in one object.

`Study()` is the shipped study, `Study(folder)` one of your own. `answers` is one table of all answers; `curves`,
`scores`, `difference` and `verdict` read it by a variant's name, with intervals over rooms and seeds.
Left out: running a study (`vsr reproduce`), and drawing (`vsr_kit.plots`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vsr_kit.claims.recipe import UNTRAINED, Condition, Variant
from vsr_kit.evaluation import Interval, differences, intervals
from vsr_kit.paths import SHIPPED
from vsr_kit.recipes import claim, variant
from vsr_kit.study import answers, comparisons
from vsr_kit.study.answers import Bands, BeforeAfter
from vsr_kit.study.comparisons import RunCost
from vsr_kit.study.evidence import Evidence
from vsr_kit.study.judge import Verdict, verdict, verdict_text, verdicts
from vsr_kit.study.real_rooms import RealRooms, ceilings, real_rooms
from vsr_kit.study.summary import ledger
from vsr_kit.study.travel import Tried, tried

if TYPE_CHECKING:
    from vsr_kit.inspection import RolloutTable


class Study(Evidence):
    """A study folder: its answers, curves, scores, differences and verdicts.

    Args:
        folder, questions, runs: see `Evidence`.
    """

    read: Callable = staticmethod(answers.condition_answers)

    def answers_of(self, of: str, clip: str = "own", mode: str | None = None, **how) -> list[list[dict]]:
        """The answers of a variant's runs, one list a seed, in its own mode by default.

        Of `base` and of a shipped checkpoint it is one list, in vanilla mode by default; `how` may have their `cap` and
        `prompt_set`.
        """
        if of in UNTRAINED:
            return [self.base(mode or "vanilla", clip, model=of, **how)]
        return self.trained(of, clip, mode=mode)

    def has(self, of: str) -> bool:
        """Whether there are runs of a variant that answered the test questions; of an untrained model, its answers."""
        if of in SHIPPED:  # asked in whatever way
            return any((self.folder / "answers").glob(f"{self.questions}--{of}--*"))
        return answers.answered(Condition(self.questions), self.folder) if of == "base" else bool(self.runs(of))

    def curves_of(self, *variants: str) -> dict[str, list[list[dict]]]:
        """What the runs of some variants logged, by variant; one of which no run is there is left out."""
        return {of: self.curves(of) for of in variants if answers.finished_runs(self.folder, of)}

    def scores(
        self, names: str | Sequence[str], *, clip: str = "own", mode: str | None = None, **how
    ) -> dict[str, Bands]:
        """Scores by task in per cent with 95 % intervals, of one variant or several, untrained models among them.

        Variants without runs in the folder are left out. `how` may have the `cap` and the `prompt_set` with which
        untrained models were asked; a variant's runs are asked with its own.
        """
        names = [names] if isinstance(names, str) else names
        there = [of for of in names if self.has(of)]
        return {of: answers.drop_repeated_mean(intervals(self.answers_of(of, clip, mode, **how))) for of in there}

    def difference(self, after: str, before: str = "base", *, task: str = "trained", clip: str = "own") -> Interval:
        """One variant minus another in points, paired by question; `task` is a VSI-Bench task or `trained`."""
        return self.differences(after, before, clip=clip)[task]

    def differences(self, after: str, before: str = "base", *, clip: str = "own") -> Bands:
        """One variant minus another by task, in points, paired by question, each asked in its own mode.

        Either may be an untrained model, which is asked as `Evidence.sides` says.
        """
        return differences(*self.sides(after, before, clip=clip))

    # -- the base with its three prompts -------------------------------------------------------------------------------

    def prompt_answers(self, *, sampled: bool = False) -> dict[str, list[dict]]:
        """The base's answers with each prompt: greedy, or all draws one after another."""
        return answers.mode_answers(self.folder, sampled, self.questions)

    def prompt_scores(self, *, harness: str = "lenient", sampled: bool = False) -> dict[str, Bands]:
        """Scores of the base with each prompt: greedy, or the mean over draws at temperature 1."""
        return answers.cot_table(self.folder, harness, sampled)

    def best_of_k(self, ks: Sequence[int] = (1, 2, 4, 8)) -> tuple[dict, dict]:
        """Mean best of k draws by prompt, and the same for draws from the training answers: {name: {k: band}} each."""
        return answers.tries_table(self.folder, ks)

    def lines_to_beat(self) -> dict[str, Bands]:
        """Scores that need no understanding: the most frequent training answer, no video, another room's clip."""
        return answers.lines_to_beat(self.folder, self.questions)

    def training_answers(self, phrasing: str = "vsi-100k") -> list[dict]:
        """Rows of the training rooms."""
        return answers.training_answers(phrasing, self.folder)

    # -- what training changed -----------------------------------------------------------------------------------------

    def before_after(self) -> BeforeAfter:
        """What GRPO with vanilla prompts changed, over seeds and rooms: scores, gains, clip gaps, lines to beat."""
        return answers.grpo_table(self.folder, self.questions)

    def gains(self, names: Sequence[str], *, mode: str | None = None) -> dict[str, Bands]:
        """Each variant minus its untrained model by task, in points; variants without runs are left out."""
        return comparisons.gains(names, self.folder, mode)

    def seed_gains(self, of: str) -> list[float]:
        """The gain of each seed over its untrained model, mean of the trained tasks, in points."""
        return comparisons.seed_gains(of, self.folder)

    def run_costs(self, names: Sequence[str]) -> dict[str, RunCost]:
        """What a run of each variant cost, mean over seeds: questions, tokens, seconds."""
        return comparisons.run_costs(names, self.folder)

    def clip_gaps(self, names: Sequence[str]) -> dict[str, tuple[Bands, Bands]]:
        """Own clip minus another room's clip, by variant: the gap, and what training added to it."""
        return comparisons.clip_gaps(names, self.folder)

    def held_out(self, names: Sequence[str]) -> dict[str, Bands]:
        """Scores on the two tasks that nobody trained, of the base and of variants."""
        return comparisons.held_out_table(names, self.folder)

    def letter_lines(self) -> dict[str, dict[str, float]]:
        """What a letter alone earns on those tasks: the most frequent one, or any at random."""
        return comparisons.letter_lines(self.folder)

    # -- single answers and rollouts -----------------------------------------------------------------------------------

    def pairs(self, of: str = "grpo-vanilla", *, types: Sequence[str] | None = None, per_type: int = 1) -> list[dict]:
        """Base and a variant's first run on the same questions, one after another, as `plots.traces` takes them."""
        return answers.answer_pairs(self.folder, types, per_type, of)

    def side_by_side(
        self, names: Sequence[str], *, types: Sequence[str] | None = None, per_type: int = 1, mode: str = "vanilla"
    ) -> list[dict]:
        """The base's and several variants' answers to the same questions, as `plots.traces` takes them."""
        return comparisons.side_by_side(names, self.folder, types, per_type, mode)

    def answer_table(self, of: str, before: str = "base", *, mode: str | None = None, **how) -> RolloutTable:
        """Answers before and after a training to the same questions, to be looked through: what did it change?

        Args:
            of: the variant, whose first run answers, in its own mode by default.
            before: an untrained model or another variant, in the same mode.
            mode, how: of an untrained model, as `answers_of` takes them.

        Returns:
            Both models' answers, labelled; `widgets.RolloutBrowser` shows it.

        Raises:
            ValueError: `before` is the variant itself.
            FileNotFoundError: the study lacks the answers of one.
        """
        from vsr_kit.inspection import RolloutTable  # which brings pandas

        if before == of:
            raise ValueError(f"before is {before!r}, the variant itself: name an untrained model or another variant")
        mode = mode or variant(of).mode
        both = {before: self.answers_of(before, mode=mode, **how)[0], of: self.answers_of(of, mode=mode)[0]}
        rows = [row | {"label": name} for name, answered in both.items() for row in answered]
        return RolloutTable(rows, f"{before} and {self.runs(of)[0]}", mode)

    def rollouts(self, of: str) -> list[list[dict]]:
        """What each run of a variant kept of its rollouts, one list a seed."""
        return answers.rollouts(self.folder, of)

    def first_and_last_groups(self, of: str, question_type: str = "object_counting") -> list[list[dict]]:
        """A type's first group of rollouts that a variant's first run sampled, and its last group."""
        return answers.first_and_last_groups(self.folder, question_type, of)

    # -- real rooms ----------------------------------------------------------------------------------------------------

    def real_rooms(self) -> dict[str, RealRooms]:
        """What GRPO changed on each set of rooms that was asked about, our own test rooms first, for comparison."""
        return real_rooms(self.folder)

    def centre_ceilings(self) -> dict[str, Interval]:
        """By data set, what perfect centre-to-centre distances earn where closest points are asked: MRA in per cent."""
        return ceilings(self.folder)

    def controls(self) -> dict[str, Tried]:
        """Every control of the question why a gain stays at home, and what came of it."""
        return tried(self.folder)

    # -- verdicts ------------------------------------------------------------------------------------------------------

    def settings(self, of: str) -> Variant:
        """The variant as it was written before it ran: method, mode, profile, seeds."""
        return variant(of)

    def provenance(self) -> str:
        """One line: conditions, token cap, commit and checkpoint behind the answers."""
        return answers.provenance(self.folder)

    def verdict(self, claim: str) -> Verdict:
        """Measure what a claim names and apply its rule."""
        return verdict(claim, self.folder)

    def told(self, *claims: str) -> str:
        """Claims in their words, each with what was found and its verdict, or that its runs are not there."""
        return "\n\n".join(f"{claim(name).says}\n{verdict_text(name, self.folder)}" for name in claims)

    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on every claim for which the folder holds answers."""
        return verdicts(self.folder)

    def ledger(self) -> str:
        """Every claim with what was found and its verdict, as a table in Markdown."""
        return ledger(self.folder)
