"""Constraint puzzles about furniture: a row of pieces, rules about it, and one order that meets them all.

LR²Bench (arXiv 2502.17848) asks language models for the solutions of constraint satisfaction problems, whose single
places are subtasks. This is its kind of puzzle in a room: pieces that a clip shows are to stand in a row, rules such as
"The sofa is left of the bed." say how, and the answer is the order of their numbers from left to right, such as 213,
since the prompts ask for "one or two words or a number". It is a question type of the kit's own, `furniture_order`,
asked where it is named and part of no mean of VSI-Bench's. What an answer is worth is in `vsr_kit.rewards.orders`.

Rules are drawn at random from all that are true of the solution. One that excludes nothing new is not taken; when one
order is left, those that turn out to be needless are taken away. So every puzzle has one solution, proved by looking at
all orders, and would have more without any of its rules.
Left out: rules that only the clip can settle. The clip shows the pieces; the rules alone decide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations, permutations

import numpy as np

from vsr_kit.questions.own_types import add_type
from vsr_kit.questions.types import PUZZLE_TYPES

PIECES = 3  # of the question type; the miniature's numbers have three digits at most
MOST_PIECES = 7  # whose 5,040 orders are looked at in no time
PUZZLES_A_ROOM = 4


@dataclass(frozen=True)
class Clue:
    """A rule of a puzzle: its sentence, and whether the places of the pieces, from 0 at the left, meet it."""

    text: str
    holds: Callable[[Mapping[str, int]], bool]


def clues_about(pieces: Sequence[str]) -> list[Clue]:
    """Everything that a puzzle may say about its pieces, true of some orders and false of others."""
    last = len(pieces) - 1
    found = []
    for a in pieces:
        found += [
            Clue(f"The {a} is at the left end.", partial(_at, a, 0)),
            Clue(f"The {a} is at the right end.", partial(_at, a, last)),
            Clue(f"The {a} is not at an end.", partial(_inside, a, last)),
        ]
        found += [Clue(f"The {a} is left of the {b}.", partial(_left_of, a, b)) for b in pieces if b != a]
    for a, b in combinations(pieces, 2):
        found += [
            Clue(f"Nothing stands between the {a} and the {b}.", partial(_next_to, a, b)),
            Clue(f"The {a} is not next to the {b}.", partial(_apart, a, b)),
        ]
    return found


def _at(piece: str, place: int, at: Mapping[str, int]) -> bool:
    return at[piece] == place


def _inside(piece: str, last: int, at: Mapping[str, int]) -> bool:
    return 0 < at[piece] < last


def _left_of(a: str, b: str, at: Mapping[str, int]) -> bool:
    return at[a] < at[b]


def _next_to(a: str, b: str, at: Mapping[str, int]) -> bool:
    return abs(at[a] - at[b]) == 1


def _apart(a: str, b: str, at: Mapping[str, int]) -> bool:
    return abs(at[a] - at[b]) > 1


def solutions(pieces: Sequence[str], clues: Sequence[Clue]) -> list[tuple[str, ...]]:
    """Every order of the pieces, from left to right, that meets all clues: found by looking at all orders.

    Raises:
        ValueError: fewer than two pieces, more than MOST_PIECES, or one of them twice.
    """
    if not 2 <= len(pieces) <= MOST_PIECES or len(set(pieces)) < len(pieces):
        raise ValueError(f"pieces are {list(pieces)}: give 2 to {MOST_PIECES} different ones")
    return [order for order in permutations(pieces) if all(clue.holds(_places(order)) for clue in clues)]


def _places(order: Sequence[str]) -> dict[str, int]:
    return {piece: place for place, piece in enumerate(order)}


def draw_clues(order: Sequence[str], rng: np.random.Generator) -> list[Clue]:
    """Clues that this order alone meets, in random order, none of them needless.

    Args:
        order: the solution, from left to right.
        rng: draws which clues, and in which order they stand.
    """
    pieces = sorted(order)
    true = [clue for clue in clues_about(pieces) if clue.holds(_places(order))]
    chosen: list[Clue] = []
    left = solutions(pieces, chosen)
    for i in rng.permutation(len(true)):
        narrower = [own for own in left if true[i].holds(_places(own))]
        if len(narrower) < len(left):  # else it says nothing new
            chosen, left = [*chosen, true[i]], narrower
        if len(left) == 1:
            break
    for clue in list(chosen):  # an early clue may follow from later ones
        without = [other for other in chosen if other is not clue]
        if len(solutions(pieces, without)) == 1:
            chosen = without
    return chosen


def numbered(pieces: Sequence[str], order: Sequence[str]) -> str:
    """The answer to a puzzle: the pieces' numbers, from 1 as the question names them, in the order given."""
    return "".join(str(pieces.index(piece) + 1) for piece in order)


def furniture_order(scene) -> Iterator[tuple[dict, tuple[str, ...], str, None]]:
    """Draft up to PUZZLES_A_ROOM puzzles about different pieces of a room; none where it shows too few."""
    asked = set()
    for _ in range(PUZZLES_A_ROOM if len(scene.names) >= PIECES else 0):
        pieces = tuple(scene.names[i] for i in scene.rng.permutation(len(scene.names))[:PIECES])
        order = tuple(pieces[i] for i in scene.rng.permutation(PIECES))
        clues = draw_clues(order, scene.rng)
        if frozenset(pieces) not in asked:
            asked.add(frozenset(pieces))
            fields = {"rules": " ".join(clue.text for clue in clues), **dict(zip("abc", pieces, strict=True))}
            yield fields, pieces, numbered(pieces, order), None


_WORDING = "{rules} What is the order of the {a} (1), the {b} (2) and the {c} (3) from left to right, as one number?"
add_type(PUZZLE_TYPES[0], _WORDING, furniture_order, words=_WORDING)
