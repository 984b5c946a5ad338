"""The evidence in a study folder, as claims' measures read it, and all of its answers as one table.

`Evidence()` is the shipped study's, `Evidence(folder)` yours. It knows one set of questions, the test rooms' unless
told otherwise; `about` gives the same view of another set, of the runs that were asked about it.
Left out: rules and verdicts (judge.py), and scores (`Study`, study.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vsr_kit.claims.recipe import BENCH_SET, SAMPLES, UNTRAINED, Condition
from vsr_kit.evaluation import Interval, score
from vsr_kit.recipes import variant
from vsr_kit.study import answers
from vsr_kit.study.conditions import manifest_entries, pairs_path, read_samples
from vsr_kit.study.labels import centre_ceiling, read_pairs

if TYPE_CHECKING:
    import pandas as pd

    from vsr_kit.study.object_scores import ObjectScores

REAL_SETS = ("arkitscenes-benchmark", "scannetpp-benchmark")
_RECORDED = ("questions", "model", "mode", "samples", "clip")  # by every manifest; the others came later
COLUMNS: tuple[str, ...] = (
    *("variant", "seed", "mode", "clip", "questions", "draw"),
    *("id", "scene_name", "question_type", "ground_truth", "prediction", "score", "read", "truncated"),
)


class Evidence:
    """Answers and logs of a study.

    Args:
        folder: the study's; the shipped one if None.
        questions: name of the question set that answers are of; by default the test rooms', and where a variant has
            test questions of its own, those.
        runs: names of the runs to look at, for every variant that has some of them; all runs if None.
    """

    read: Callable = staticmethod(answers.scored)  # tables, each made once in a process; `Study` reads rows

    def __init__(
        self, folder: Path | str | None = None, questions: str | None = None, runs: Sequence[str] | None = None
    ) -> None:
        self.folder, self.questions, self.only = answers.study_folder(folder), questions or BENCH_SET, runs
        self._asked = questions
        if not self.folder.is_dir():
            raise FileNotFoundError(f"no folder {self.folder}: give a study's folder, or none for the shipped study")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r}, {self.questions!r})"

    def about(self, questions: str) -> Evidence:
        """The same study's answers to another question set, of the runs that were asked about it."""
        asked = [Condition(questions), Condition(questions, clip="wrong")]
        return type(self)(self.folder, questions, answers.asked_runs(asked, self.folder))

    @property
    def dataset(self) -> str:
        """Whose geometry `centre_answers` looks at: the questions' data set, ARKitScenes for procedural rooms."""
        return self.questions.split("-")[0] if self.questions in REAL_SETS else "arkitscenes"

    def test_set(self, of: str) -> str:
        """The question set by which a variant is judged here: the one that was named, else the variant's own."""
        return self._asked or (BENCH_SET if of in UNTRAINED else variant(of).test_set)

    def runs(self, of: str) -> tuple[str, ...]:
        """Names of a variant's runs, by seed, that answered every pass over the test questions."""
        found = answers.trained_runs(self.folder, of)
        return found if self.only is None else tuple(name for name in found if name in self.only)

    def base(
        self,
        mode: str = "vanilla",
        clip: str = "own",
        questions: str | None = None,
        *,
        model: str = "base",
        cap: int | None = None,
        prompt_set: str = "eval",
    ):
        """An untrained model's greedy answers: a table of scores, or in `Study` rows with `prediction`.

        Args:
            mode, clip, cap, prompt_set: how it was asked, as a `Condition` has them.
            questions: name of the question set; this one's by default.
            model: `base`, or the name of a shipped checkpoint.

        Raises:
            FileNotFoundError: it was not asked so.
        """
        about = questions or self.questions
        return self.read(Condition(about, model, mode, clip=clip, cap=cap, prompt_set=prompt_set), self.folder)

    def sides(
        self,
        after: str,
        before: str,
        questions: str | None = None,
        *,
        clip: str = "own",
        mode: str | None = None,
        cap: int | None = None,
        prompt_set: str | None = None,
    ) -> tuple:
        """The greedy answers of both sides of a difference to the same questions.

        A variant's are those of its runs, one list a seed, asked as it says. An untrained model's (`base`, a shipped
        checkpoint) are one set: it is asked in the mode, with the prompts and at the cap of the variant on the other
        side, and as the study asks, in vanilla mode, where there is none. The base is asked as the study asks beside
        every variant without prompts or a cap of its own, whatever its mode.

        Args:
            after, before: names of variants or untrained models.
            questions: name of the question set; by default that by which `after` is judged, or `before` where `after`
                is untrained.
            clip: that was shown.
            mode, cap, prompt_set: of untrained models, where they are to be others.

        Raises:
            FileNotFoundError: if the folder lacks these answers.
        """
        about = questions or self.test_set(before if after in UNTRAINED else after)
        told = {"mode": mode, "cap": cap, "prompt_set": prompt_set}
        others = {name: value for name, value in told.items() if value is not None}

        def side(of: str, other: str):
            if of not in UNTRAINED:
                return self.trained(of, clip, about)
            return self.base(clip=clip, questions=about, model=of, **self._asked_beside(of, other) | others)

        return side(after, before), side(before, after)

    def _asked_beside(self, of: str, other: str) -> dict:
        """How an untrained model is asked that is held against another model."""
        if other in UNTRAINED:
            return {}
        known = variant(other)
        as_the_study = known.cap is None and known.prompt_set == "eval"
        asked = {"mode": known.mode, "cap": known.cap, "prompt_set": known.prompt_set}
        return {} if of == "base" and as_the_study else asked

    def texts(self, mode: str, questions: str, model: str = "base", **how) -> list[dict]:
        """An untrained model's greedy answers about the own clips: rows with `prediction` and `truncated`.

        how: cap and prompt_set, as a `Condition` has them.
        """
        return answers.condition_answers(Condition(questions, model, mode, **how), self.folder)

    def trained(self, of: str, clip: str = "own", questions: str | None = None, mode: str | None = None) -> list:
        """The greedy answers of a variant's runs, one list a seed; in its own mode unless another is named.

        Raises:
            FileNotFoundError: if the folder holds no run of the variant, or lacks some of these answers.
        """
        about = questions or self.test_set(of)
        return answers.variant_answers(of, self.folder, about, mode, clip, self.runs(of), self.read)

    def draws(self, of: str, questions: str | None = None, mode: str | None = None) -> list[list[list[dict]]]:
        """The sampled answers of a variant's runs, or of an untrained model: for each seed a list of rows a draw.

        mode: the variant's own by default, vanilla for an untrained model.

        Raises:
            FileNotFoundError: if the folder holds no run of the variant, or lacks some of these answers.
        """
        about = questions or self.test_set(of)
        if of in UNTRAINED:
            asked = [Condition(about, of, mode or "vanilla", SAMPLES)]
        else:
            runs = self.runs(of)
            if not runs:
                raise FileNotFoundError(f"{self.folder} holds no runs of {of}; vsr reproduce makes them")
            asked = [replace(variant(of).condition(run, about, mode), samples=SAMPLES) for run in runs]
        return [read_samples(condition, self.folder) for condition in asked]

    def trained_texts(self, of: str, questions: str | None = None, mode: str | None = None) -> list[list[dict]]:
        """As `trained` of the own clips, but rows with `prediction` and `truncated`, whatever `trained` gives."""
        about = questions or self.test_set(of)
        return answers.variant_answers(of, self.folder, about, mode, "own", self.runs(of))

    def curves(self, of: str) -> list[list[dict]]:
        """What each run of a variant logged, one list of log rows a seed, whether or not it has been asked anything.

        Raises:
            FileNotFoundError: if the folder holds no run of the variant.
        """
        return [answers.whole_log(run) for run in self._folders(of)]

    def summaries(self, of: str) -> list[dict]:
        """The headline figures of a variant's runs: steps, seconds, tokens, and why one stopped early, if it did."""
        return [answers.headline(run) for run in self._folders(of)]

    def _folders(self, of: str) -> list:
        names = answers.finished_runs(self.folder, of)
        if not names:
            raise FileNotFoundError(f"{self.folder} holds no runs of {of}; vsr reproduce makes them")
        return [answers.run_folder(name, self.folder) for name in names]

    def centre_answers(self, dataset: str | None = None) -> Interval:
        """What perfect centre-to-centre distances score where closest points are asked: MRA in per cent, over rooms.

        dataset: whose released geometry; `self.dataset` if None.

        Raises:
            FileNotFoundError: if the study did not measure the geometry's pairs.
        """
        dataset = dataset or self.dataset
        path = pairs_path(self.folder, dataset)
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there; vsr reproduce --geometry FILE measures the geometry's pairs")
        apart = [pair for pair in read_pairs(path) if not pair.touching]
        return replace(centre_ceiling(apart), datasets=(dataset,))

    def object_scores(self) -> ObjectScores:
        """How surely models say that objects are in the test rooms.

        Raises:
            FileNotFoundError: if the study did not measure it.
        """
        from vsr_kit.study.object_scores import read_scores  # here: that module is a command, too

        return read_scores(self.folder)

    @cached_property
    def answers(self) -> pd.DataFrame:
        """Every answer of the study, one row an answer, with the columns `COLUMNS`.

        `variant` is the name of the model where that is untrained (`base`, a shipped checkpoint), with seed 0. `mode`
        tells prompts and cap, too, where these are not the study's own: `think--train--cap512`; so no two ways of
        asking are taken for one. `draw` counts the draws of a sampled pass and is
        -1 for greedy decoding; `score` is the lenient reader's, 0 to 1, and `read` whether it could read the answer.
        """
        import pandas as pd

        rows = [row for condition in self._conditions() for row in self._table(condition)]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def _conditions(self) -> list[Condition]:
        """The passes whose answers are there, in the manifest's order."""
        entries = manifest_entries(self.folder).values()
        known = [{f.name: entry[f.name] for f in fields(Condition) if f.name in entry} for entry in entries]
        found = [Condition(**own) for own in known if own.keys() >= set(_RECORDED)]
        return [condition for condition in found if answers.answered(condition, self.folder)]

    def _table(self, condition: Condition) -> Iterable[tuple]:
        of, _, seed = condition.model.rpartition("-seed")
        if not seed.isdigit():
            of, seed = condition.model, "0"
        mode = condition.mode + condition.asked_otherwise
        about = (of, int(seed), mode, condition.clip, condition.questions)
        drawn = read_samples(condition, self.folder) if condition.samples else [self._greedy(condition)]
        for draw, rows in enumerate(drawn, start=0 if condition.samples else -1):
            for row, own in zip(rows, score(rows, "lenient").scores, strict=True):
                asked = (row[name] for name in ("id", "scene_name", "question_type", "ground_truth", "prediction"))
                yield (*about, draw, *asked, own.value, own.parsed, bool(row["truncated"]))

    def _greedy(self, condition: Condition) -> list[dict]:
        return answers.condition_answers(condition, self.folder)
