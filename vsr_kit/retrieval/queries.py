"""Queries that describe a room in part, and thoughts that say more of it, written by rules out of rows.

A fact is a row's question with its true answer, so the words are those that a model knows already: "How many chair(s)in
the room? 3". A query has a few facts of one room; a thought has further ones. O1 Embedder (arXiv 2502.07555) makes its
thoughts in two steps, and so does this: *exploration*, several drafts, and *refinement*, a committee of retrievers
that keeps the draft which finds the right document best. Here drafts are drawn from the room's other facts, and the
committee has one member, which compares bags of words.

`words_recall` is the control without a network: rooms as bags of the words of their questions. No text encoder is among
the controls, since none was found that a package registry ships with its weights; those that install fetch them from a
hub.
Left out: thoughts that a language model writes, and facts that no row states.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vsr_kit.prompts import answer_choices, has_options
from vsr_kit.validation import whole

FACTS = 3  # of a query
MORE = 2  # further facts of a thought
DRAFTS = 8  # thoughts that the committee chooses from
_WORD = re.compile(r"[a-z]+|\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Query:
    """A description of a room in part.

    Attributes:
        scene: the room that is meant.
        text: what is said of it.
        thought: what else is true of it, as a model is taught to go on.
    """

    scene: str
    text: str
    thought: str


def fact(row: Mapping) -> str:
    """A row's question and its true answer; of lettered options the right one's text."""
    truth = row["ground_truth"]
    if has_options(row):
        truth = next((choice.text for choice in answer_choices(row) if choice.label == truth), truth)
    return f"{row['question']} {truth}"


def facts_of(rows: Iterable[Mapping]) -> dict[str, list[str]]:
    """Different facts by scene, in the rows' order, of the scenes that have enough for a query and a thought."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(row["scene_name"], {})[fact(row)] = None
    return {scene: list(own) for scene, own in found.items() if len(own) >= FACTS + MORE}


def write_queries(rows: Sequence[Mapping], draws: int = 4, seed: int = 0) -> list[Query]:
    """Queries about every scene that has `FACTS` + `MORE` facts, each with the thought that the committee kept.

    Args:
        rows: with VSI-Bench's fields.
        draws: queries of each scene.
        seed: of the draws, which follow from it and from a scene's name alone.

    Raises:
        ValueError: draws below 1, or fewer than two scenes with enough facts: there would be nothing to tell apart.
    """
    whole("draws", draws)
    facts = facts_of(rows)
    if len(facts) < 2:
        raise ValueError(
            f"{len(facts)} scenes have {FACTS + MORE} different facts: give at least two, more questions about each"
        )
    committee = _Committee({scene: " ".join(own) for scene, own in facts.items()})
    found = []
    for scene, own in facts.items():
        rng = np.random.default_rng([seed, zlib.crc32(scene.encode())])
        for _ in range(draws):
            order = [own[i] for i in rng.permutation(len(own))]
            text, rest = " ".join(order[:FACTS]), order[FACTS:]
            drafts = [" ".join(rest[i] for i in rng.permutation(len(rest))[:MORE]) for _ in range(DRAFTS)]
            found.append(Query(scene, text, max(drafts, key=lambda draft: committee.margin(f"{text} {draft}", scene))))
    return found


class _Committee:
    """Bags of words of all scenes, rare words counting more: by how much does a text point to the right one?

    Args:
        texts: what is known of each scene.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        bags = {scene: set(words(text)) for scene, text in texts.items()}
        self.places = {scene: i for i, scene in enumerate(bags)}
        self.column = {word: i for i, word in enumerate(sorted(set().union(*bags.values())))}
        self.has_NW = np.zeros((len(bags), len(self.column)))
        for scene, bag in bags.items():
            self.has_NW[self.places[scene], [self.column[word] for word in bag]] = 1
        self.weights_W = np.log(len(bags) / self.has_NW.sum(0))

    def scores(self, text: str) -> np.ndarray:
        """Weight of the text's words that each scene has, (N,)."""
        known = [self.column[word] for word in sorted(set(words(text))) if word in self.column]
        return self.has_NW[:, known] @ self.weights_W[known]

    def margin(self, text: str, scene: str) -> float:
        """The right scene's score minus the best of the others'."""
        scores_N, own = self.scores(text), self.places[scene]
        return float(scores_N[own] - np.delete(scores_N, own).max())


def words(text: str) -> list[str]:
    """Words and numbers of a text, in lower case."""
    return _WORD.findall(text.lower())


def words_recall(queries: Sequence[Query], rows: Sequence[Mapping]) -> float:
    """Recall@1 of bags of words, 0 to 1: each room is the words of its questions, no numbers and no answers.

    It says how far one comes by knowing which objects a room has, without a look at it. Of several rooms that lead
    together each has its chance.
    """
    asked: dict[str, list[str]] = {}
    for row in rows:
        asked.setdefault(row["scene_name"], []).append(row["question"])
    facts = facts_of(rows)
    rooms = _Committee({scene: re.sub(r"\d", " ", " ".join(asked[scene])) for scene in facts})
    hits = 0.0
    for query in queries:
        scores_N = rooms.scores(query.text)
        first_N = np.isclose(scores_N, scores_N.max())
        hits += float(first_N[rooms.places[query.scene]]) / first_N.sum()
    return float(hits / len(queries))
