"""Baselines: answers that need no understanding, which a score must beat before it means anything.

`most_frequent_answer` and `best_constant` use nothing of a question but its type, `draws_from_training_answers` does
the same at random for pass@k, `even_guess` says what a guess among the offered answers is worth, and
`wrong_clip_pairing` chooses another room's clip for each room. All learn from training rows alone; VSI-Bench's own row
of most frequent answers counts the test's answers, which gives a little more. They write a bare answer, which every
harness reads, except words of several parts, of which `official` sees only the first.
Left out: the baseline without video, for which `generate` is called without clips.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from vsr_kit.data.forms import offered
from vsr_kit.evaluation.scorers import Score, ScoreTable, score_row, tabulate
from vsr_kit.prompts import answer_choices, same_words
from vsr_kit.questions import NUMERIC_TYPES
from vsr_kit.rewards import mra

_Kind = tuple[str, str]  # phrasing and type


def most_frequent_answer(train_rows: Iterable[Mapping], rows: Iterable[Mapping]) -> list[dict]:
    """Answer every row with the most frequent training answer of its phrasing and type.

    Letters and numbers are counted as they stand; of words, the most frequent one that the question offers is taken.
    Ties go to the smallest number, or to the first letter or word.

    Returns:
        Copies of `rows` with `prediction`.

    Raises:
        ValueError: for a row whose phrasing and type the training rows lack.
    """
    return _answer_all(train_rows, rows, _most_frequent)


def best_constant(train_rows: Iterable[Mapping], rows: Iterable[Mapping]) -> list[dict]:
    """Answer every row with the training answer that scores best on the training rows of its phrasing and type.

    Numbers are judged by MRA, which pays near misses, so this beats the most frequent number; letters and words are
    those of `most_frequent_answer`. Returns and raises as it does.
    """
    best: dict[int, str] = {}

    def pick(row: Mapping, answers: Counter) -> str:
        if row["question_type"] not in NUMERIC_TYPES:
            return _most_frequent(row, answers)
        if id(answers) not in best:
            drawn_answers = sorted(answers, key=float)
            numbers = np.array(drawn_answers, dtype=float)
            earned = sum(count * mra(numbers, float(truth)) for truth, count in answers.items())
            best[id(answers)] = drawn_answers[int(np.argmax(earned))]
        return best[id(answers)]

    return _answer_all(train_rows, rows, pick)


def draws_from_training_answers(
    train_rows: Iterable[Mapping], rows: Iterable[Mapping], k: int, seed: int = 0
) -> list[dict]:
    """Answer every row k times at random, as often as the training answers of its phrasing and type occur.

    Of words, only those a question offers are drawn, evenly where none of them occurs in training.

    Returns:
        k copies of each row, in order, with `prediction` and `sample`, its number.
    """
    if k < 1:
        raise ValueError(f"k is {k}: must be at least 1 answer a row")
    rng = np.random.default_rng(seed)
    drawn = []
    by_kind = _answers(train_rows)
    for row in rows:
        answers = _offered(row, _of(row, by_kind))
        weights = np.array(list(answers.values()), dtype=float)
        drawn_answers = rng.choice(list(answers), size=k, p=weights / weights.sum())
        drawn += [{**row, "prediction": str(answer), "sample": i} for i, answer in enumerate(drawn_answers)]
    return drawn


def even_guess(train_rows: Iterable[Mapping], rows: Iterable[Mapping]) -> ScoreTable:
    """What a guess is worth that sees no clip: the mean over all it may say, each as likely, row by row.

    It says one of what the row offers; where nothing is offered, one of the training answers of the row's type.

    Raises:
        KeyError: nothing is offered, and no training row has the type.
    """
    answers: dict[str, list[str]] = {}
    for row in train_rows:
        answers.setdefault(row["question_type"], []).append(row["ground_truth"])
    rows, worth = list(rows), []
    for row in rows:
        may = offered(row) or answers[row["question_type"]]
        worth.append(Score(float(np.mean([score_row(row, said, "lenient").value for said in may])), True, None))
    return tabulate(rows, worth, "lenient")


def wrong_clip_pairing(scene_names: Iterable[str], seed: int = 0) -> dict[str, str]:
    """Pair every scene with another one, each used once: the clip to show in the wrong-clip row.

    The scenes stand in one circle, in the order of a hash of seed and name, and each is shown the next one's clip: none
    meets its own, no two are merely swapped (but for two scenes), and names that resemble each other are no neighbours.
    Pairs follow from the set of names and `seed` alone, not from their order or a library's random numbers; a scene
    more or less changes one other pair.

    Args:
        scene_names: in any order; repeated ones count once.
        seed: another one, another circle.

    Raises:
        ValueError: for fewer than two scenes.
    """
    names = sorted(set(scene_names))
    if len(names) < 2:
        rule = "a scene is never paired with itself, so at least 2 scenes are needed"
        raise ValueError(f"no other room's clip to show: got {len(names)} scene(s) {names}; {rule}; give more rooms")
    circle = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    following = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    return {name: following[name] for name in names}


def _answer_all(
    train_rows: Iterable[Mapping], rows: Iterable[Mapping], pick: Callable[[Mapping, Counter], str]
) -> list[dict]:
    by_kind = _answers(train_rows)
    return [{**row, "prediction": pick(row, _of(row, by_kind))} for row in rows]


def _answers(train_rows: Iterable[Mapping]) -> dict[_Kind, Counter]:
    """How often each answer occurs, by phrasing and type; in the order of the answers, which decides ties."""
    found: dict[_Kind, list[str]] = {}
    for row in train_rows:
        found.setdefault(_kind(row), []).append(row["ground_truth"])
    sort = {kind: float if kind[1] in NUMERIC_TYPES else str for kind in found}
    return {kind: Counter(sorted(answers, key=sort[kind])) for kind, answers in found.items()}


def _kind(row: Mapping) -> _Kind:
    lettered = row.get("options") is not None and len(row["options"]) > 0
    by_default = "vsi-bench" if lettered or row["question_type"] in NUMERIC_TYPES else "vsi-100k"
    return row.get("phrasing") or by_default, row["question_type"]


def _of(row: Mapping, by_kind: Mapping[_Kind, Counter]) -> Counter:
    kind = _kind(row)
    if kind not in by_kind:
        raise ValueError(
            f"no training row is a {kind[1]} in {kind[0]} phrasing, so its most frequent answer is unknown: "
            "add such rows of training rooms (they are counted, not trained on), or leave these questions out"
        )
    return by_kind[kind]


def _most_frequent(row: Mapping, answers: Counter) -> str:
    return _offered(row, answers).most_common(1)[0][0]


def _offered(row: Mapping, answers: Counter) -> Counter:
    """The answers a question offers by word; all of them for numbers and letters."""
    if row["question_type"] in NUMERIC_TYPES or (row.get("options") is not None and len(row["options"])):
        return answers
    words = {choice.label: choice.text for choice in answer_choices(row)}
    if not words:
        return answers
    offered = Counter({answer: count for answer, count in answers.items() if same_words(answer) in words})
    return offered or Counter(dict.fromkeys(words.values(), 1))
