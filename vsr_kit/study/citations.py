"""Examples of every verdict: three questions with the answers that show it, chosen by a rule and never by hand.

A verdict is a number over a thousand answers. `cited` opens three of them. What a claim compares is known from its own
measure: it is run once on evidence that notes which answers it reads, so a claim of a recipe of your own is cited as
well. `RULES` says in words how examples are chosen. `showing` backs a sentence about how rollouts look in the same way:
with the first ones that show it.
Left out: drawing; `vsr_kit.pages.verdicts` has the page, `vsr_kit.pages.cited` what notebooks show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from vsr_kit.claims import REPRODUCED, Claim, Count, Finding
from vsr_kit.claims.chain_measures import halves_by_length
from vsr_kit.claims.measures import Compared, compared_by
from vsr_kit.claims.recipe import Condition
from vsr_kit.evaluation import score
from vsr_kit.questions import TRAINED_TYPES
from vsr_kit.recipes import claim, variant
from vsr_kit.study import answers
from vsr_kit.study.evidence import Evidence

EXAMPLES = 3
EVERY_STEPS = 60  # of a run's kept steps, that the gallery shows
CLEAR = 0.5  # of a full score, by which two answers differ in an example
ALONG, AGAINST, AT_THE_END = "with the difference", "against the difference", "from the end of a run"
RULES = {
    "answers": (
        "The first runs of the two compared models answered the same questions. Examples are the first questions by id "
        f"on which their scores differ by at least {CLEAR:g}, each of another question type as long as there is one: "
        "three in the direction of the difference; where the verdict is another than reproduced, or the interval holds "
        "zero, two in its direction and one against it."
    ),
    "halves": (
        "One model's answers are compared by their length. Examples are, by id and in turn, a right answer of the "
        "shorter half of its question type and a wrong one of the longer half."
    ),
    "rollouts": (
        "The claim is about what happens in training, so examples are rollouts: of the first run of each variant, in "
        "turn, the first rollout of the first questions by id of the last step that the run kept."
    ),
    "showing": (
        "A sentence says how rollouts look. Examples are the first rollouts that show it, by step and then by their "
        "question's id, each of another question and question type as long as there is one. They are of "
        f"the first run, of the steps that the gallery holds: the first, every {EVERY_STEPS}th and the last."
    ),
}


@dataclass(frozen=True)
class Cited:
    """One kept answer or rollout.

    Attributes:
        variant: name of the variant, or of an untrained model.
        seed: of its run; 0 of an untrained model.
        mode, clip: how it was asked, as a `Condition` has them.
        id: of the question.
        text: as it was written.
        score: by the lenient reader, 0 to 1; of a rollout the accuracy reward that it was paid.
        run: name of the run, or of the untrained model.
        step: of the training; None of an answer.
    """

    variant: str
    seed: int
    mode: str
    clip: str
    id: str
    text: str
    score: float
    run: str
    step: int | None = None


@dataclass(frozen=True)
class Example:
    """A question with the answers to be compared: the side that a claim speaks of first, then the other."""

    row: Mapping[str, Any]
    answers: tuple[Cited, ...]
    shows: str


@dataclass(frozen=True)
class Citations:
    """Examples of a verdict, or of a sentence.

    Attributes:
        claim: its name; of a sentence its words.
        examples: as many as there are, at most three.
        rule: by which they were chosen, a key of `RULES`; empty where there are none.
        none: why there are none; empty where there are some.
        conditions: the two sides, the one that the claim speaks of first; empty of rollouts.
    """

    claim: str
    examples: tuple[Example, ...] = ()
    rule: str = ""
    none: str = ""
    conditions: tuple[Condition, ...] = ()


class _Noting(Evidence):
    """Evidence that notes what is read of it: sets of answers in order, and variants whose curves are read."""

    def __init__(self, *about, **how) -> None:
        super().__init__(*about, **how)
        self.sets: list[list[Condition]] = []
        self.variants: list[str] = []
        self.read = self._noted

    def _noted(self, condition: Condition, folder) -> Any:
        self._note(condition)
        return answers.scored(condition, folder)

    def _note(self, condition: Condition) -> None:
        last = self.sets[-1][-1] if self.sets else None
        if last is not None and _asked_alike(last) == _asked_alike(condition):
            self.sets[-1].append(condition)
        else:
            self.sets.append([condition])

    def texts(self, mode: str, questions: str, model: str = "base", **how) -> list[dict]:
        self._note(Condition(questions, model, mode, **how))
        return super().texts(mode, questions, model, **how)

    def trained_texts(self, of: str, questions: str | None = None, mode: str | None = None) -> list[list[dict]]:
        known, about = variant(of), questions or self.test_set(of)
        for run in self.runs(of):
            self._note(known.condition(run, about, mode))
        return super().trained_texts(of, questions, mode)

    def curves(self, of: str) -> list[list[dict]]:
        self.variants += [of] if of not in self.variants else []
        return super().curves(of)


def _asked_alike(condition: Condition) -> tuple:
    """What the passes over all seeds of one variant have in common."""
    name, _ = _variant_of(condition.model)
    return name, condition.questions, condition.mode, condition.clip, condition.cap, condition.prompt_set


def _variant_of(model: str) -> tuple[str, int]:
    """The variant and the seed of a run; an untrained model has seed 0."""
    name, _, seed = model.rpartition("-seed")
    return (name, int(seed)) if seed.isdigit() else (model, 0)


def cited(name: str, folder: Path | str | None = None) -> Citations:
    """Examples of a claim's verdict, from the kept answers and rollouts.

    Raises:
        ValueError: for a claim that nobody knows.
        FileNotFoundError: if the folder lacks answers it needs.
    """
    known = claim(name)
    if known.measure is None:
        return Citations(name, none=f"Nothing here was asked: it takes {known.scale}.")
    evidence = _Noting(folder)
    found = known.measure(evidence)
    if known.geometry_only:
        return Citations(name, none="It is measured on released geometry alone: no model answered anything.")
    if not evidence.sets and not evidence.variants:
        return Citations(name, none="It compares numbers over many draws or scores; no single answer shows it.")
    if not evidence.sets:
        return _of_rollouts(name, evidence.variants, folder)
    return _of_answers(known, found, evidence.sets, folder)


def showing(of: str, says: str, shows: Callable[[Mapping], bool], folder: Path | str | None = None) -> Citations:
    """Rollouts that show what a sentence says of them; `RULES` has the rule.

    Args:
        of: a variant, whose first run kept rollouts.
        says: the sentence's words about them.
        shows: whether a rollout, a row as the run kept it, shows it.
        folder: the study's, by default the shipped one.

    Raises:
        FileNotFoundError: no finished run of the variant, or none that kept rollouts.
        ValueError: an unknown variant; or no rollout shows it, so the sentence should not say it.
    """
    if not (names := answers.finished_runs(folder, of)):
        raise FileNotFoundError(f"{answers.study_folder(folder)} has no finished run of {of!r}, so none can be cited")
    run = answers.run_folder(names[0], folder)
    if not (rows := run.read_rollouts()):
        raise FileNotFoundError(f"{names[0]} kept no rollouts: name a variant that samples, such as one of GRPO")
    held = set(gallery_steps(row["step"] for row in rows))
    kept = sorted((row for row in rows if row["step"] in held), key=lambda row: (row["step"], str(row["id"])))
    if not (shown := [row for row in kept if shows(row)]):
        raise ValueError(f"no rollout of {names[0]} that the gallery holds shows that it {says}: mend the sentence")
    return Citations(says, tuple(_rollout(run, row, says) for row in _of_other_questions(shown)), "showing")


def _of_other_questions(rows: Sequence[dict]) -> list[dict]:
    """The first of some rollouts, each of another question and type as long as there is one."""
    firsts: dict[str, dict] = {}
    for row in rows:
        firsts.setdefault(str(row["id"]), row)
    chosen = [firsts[id] for id in _first(firsts, {id: (row, 0.0) for id, row in firsts.items()}, EXAMPLES)]
    again = [row for row in rows if not any(row is one for one in chosen)]
    return [*chosen, *again][:EXAMPLES]


def gallery_steps(steps: Iterable[int]) -> list[int]:
    """Of the steps whose rollouts a run kept those that the gallery shows: the first, the last, and some between."""
    kept = sorted(set(steps))
    return [step for step in kept if step in (kept[0], kept[-1]) or step % EVERY_STEPS == 0]


def _of_answers(known: Claim, found: Mapping[str, Finding], sets: Sequence[list[Condition]], folder) -> Citations:
    compared = compared_by(known.measure)  # type: ignore[arg-type]
    if compared.halves:
        return _of_halves(known.name, sets[0][0], folder)
    sides = sets[compared.after][0], sets[compared.before][0]
    after, before = (_scored(condition, folder) for condition in sides)
    ids = [id for id in sorted(after, key=str) if id in before and _belongs(after[id][0], compared)]
    gained = {id: after[id][1] - before[id][1] for id in ids}
    band = next((finding for finding in found.values() if not isinstance(finding, Count)), None)
    if band is None:
        return Citations(known.name, none="It counts runs; no two answers are compared.")
    sign = 1 if band.mean >= 0 else -1
    along, against = ([id for id in ids if way * gained[id] >= CLEAR] for way in (sign, -sign))
    clear = known.decide(found) == REPRODUCED and not band.low <= 0 <= band.high
    chosen = [(id, ALONG) for id in _first(along, after, EXAMPLES if clear else EXAMPLES - 1)]
    if not clear:
        kinds = {after[id][0]["question_type"] for id, _ in chosen}
        chosen += [(id, AGAINST) for id in _first(against, after, 1, kinds)]
    if not chosen:
        none = (
            f"Of its first runs no two answers to a question differ by {CLEAR:g} of a full score, as benchmarks score."
        )
        return Citations(known.name, none=none)
    examples = [
        Example(
            after[id][0], tuple(_answer(side, *own[id]) for side, own in zip(sides, (after, before), strict=True)), how
        )
        for id, how in chosen
    ]
    return Citations(known.name, tuple(examples), "answers", conditions=sides)


def _scored(condition: Condition, folder) -> dict[Any, tuple[dict, float]]:
    """Rows of a pass with their scores, by id."""
    rows = answers.condition_answers(condition, folder)
    return {row["id"]: (row, own.value) for row, own in zip(rows, score(rows, "lenient").scores, strict=True)}


def _belongs(row: Mapping, compared: Compared) -> bool:
    """Whether a question is of a comparison's task."""
    if compared.task in ("overall", "multi_step"):
        return True
    kind = row["question_type"]
    return kind in TRAINED_TYPES if compared.task == "trained" else kind.startswith(compared.task)


def _first(ids: Iterable, rows: Mapping, count: int, taken: Iterable[str] = ()) -> list:
    """The first of some ids, each of another question type as long as there is one."""
    kinds, chosen, rest = set(taken), list[Any](), list[Any]()
    for id in ids:
        kind = rows[id][0]["question_type"]
        (rest if kind in kinds else chosen).append(id)
        kinds.add(kind)
    return [*chosen, *rest][:count]


def _answer(condition: Condition, row: Mapping, value: float) -> Cited:
    of, seed = _variant_of(condition.model)
    mode, clip = condition.mode + condition.asked_otherwise, condition.clip
    return Cited(of, seed, mode, clip, str(row["id"]), row["prediction"], float(value), condition.model)


def _of_halves(name: str, condition: Condition, folder) -> Citations:
    own = _scored(condition, folder)
    halves = [[row["id"] for row in half] for half in halves_by_length([row for row, _ in own.values()])]
    wanted: list[Callable] = [lambda value: value == 1, lambda value: value == 0]
    short, long = (
        _first([id for id in sorted(half, key=str) if is_so(own[id][1])], own, 2)
        for half, is_so in zip(halves, wanted, strict=True)
    )
    if len(short) < 2 or not long:
        return Citations(name, none="Too few answers are right or wrong to show it.")
    turns = zip(
        (short[0], long[0], short[1]), ("shorter and right", "longer and wrong", "shorter and right"), strict=True
    )
    examples = tuple(Example(own[id][0], (_answer(condition, *own[id]),), how) for id, how in turns)
    return Citations(name, examples, "halves", conditions=(condition,))


def _of_rollouts(name: str, variants: Sequence[str], folder) -> Citations:
    groups = [_last_questions(of, folder) for of in variants]
    turns = [group[at] for at in range(EXAMPLES) for group in groups if at < len(group)]
    if not turns:
        return Citations(name, none="It is about curves, and its runs kept no rollouts.")
    return Citations(name, tuple(turns[:EXAMPLES]), "rollouts")


def _last_questions(of: str, folder) -> list[Example]:
    """The first rollout of each question of the last kept step of a variant's first run, by the questions' ids."""
    run = answers.run_folder(answers.finished_runs(folder, of)[0], folder)
    rows = run.read_rollouts()
    last = max((row["step"] for row in rows), default=None)
    firsts: dict[str, dict] = {}
    for row in rows:
        if row["step"] == last:
            firsts.setdefault(str(row["id"]), row)
    return [_rollout(run, row, AT_THE_END) for _, row in sorted(firsts.items())]


def _rollout(run, row: Mapping, shows: str) -> Example:
    """A rollout of a run as an example."""
    variant, seed = _variant_of(run.path.name)
    mode = run.config["config"].get("mode", "")
    paid = float(row.get("accuracy_reward") or 0)
    one = Cited(variant, seed, mode, "own", str(row["id"]), row["completion"], paid, run.path.name, int(row["step"]))
    return Example(row, (one,), shows)


def label_of(model: str, mode: str, clip: str) -> str:
    """Who answered and how, in words."""
    other = {"own": "", "wrong": ", another room's clip", "none": ", no clip"}[clip]
    return f"{model}, {mode.split('--')[0]}{other}"


def who_wrote(one: Cited) -> str:
    """Who wrote a cited text, how it was asked, and in training when."""
    return label_of(one.run, one.mode, one.clip) + ("" if one.step is None else f", step {one.step}")


def citation_table(found: Mapping[str, Citations]) -> str:
    """Markdown: the cited answers and rollouts of each claim, by question, with their runs and steps."""
    table = ["| claim | cited |", "|---|---|"]
    for name, own in found.items():
        table.append(f"| `{name}` | {'<br>'.join(map(_in_words, own.examples)) or escape(own.none, quote=False)} |")
    return "\n".join(table)


def _in_words(example: Example) -> str:
    who = "; ".join(map(who_wrote, example.answers))
    return f"`{example.answers[0].id}`: {escape(who, quote=False)} ({example.shows})"
