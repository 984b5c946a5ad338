"""Chains of thought compared with the room that was shown and with the answer that follows them.

The miniature's chains use the grammar of its lessons (`vsr_kit.miniature.lessons.chain_text`), so a rule can read what
they state, in metres (`vsr_kit.bridging.stated`). Two questions can then be measured. Does a chain describe the room
that was shown: is it nearer to that room's geometry than to another room's? And does the answer follow from it: what
would an answer worked out from the chain's own facts score?
Left out: chains in other words, such as a large model writes; they cannot be read and are only counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np

from vsr_kit.bridging.stated import follows, stated_numbers
from vsr_kit.data import split_rooms
from vsr_kit.prompts import parse_answer
from vsr_kit.questions import task_of
from vsr_kit.rooms import Room
from vsr_kit.study.question_sets import TEST_ROOMS


def worked_out(rows: Iterable[Mapping]) -> list[dict]:
    """The same rows with the answer that follows from each chain as `prediction`; where none does, the one given.

    `worked` says which.
    """
    found = [(row, follows(row["prediction"], row)) for row in rows]
    return [{**row, "prediction": own or row["prediction"], "worked": own is not None} for row, own in found]


def chain_statistics(rows: Iterable[Mapping]) -> dict[str, float]:
    """What chains about counts list, what is answered after them, and what is there: means over counting questions.

    Args:
        rows: with `prediction` or `completion`; other questions, chains that list nothing and answers that cannot be
            read are left out.

    Raises:
        ValueError: if nothing is left.
    """
    found = []
    for row in rows:
        text = row["prediction"] if "prediction" in row else row["completion"]
        if row["question_type"] == "object_counting" and (listed := follows(text, row)):
            answer = parse_answer(text, row).value
            found += [] if answer is None else [(float(listed), float(answer), float(row["ground_truth"]))]
    if not found:
        raise ValueError("no chain lists anything before an answer: give answers to counting questions, with chains")
    return dict(zip(("listed", "answered", "truth"), np.mean(found, axis=0).tolist(), strict=True))


def grounding(rows: Sequence[Mapping]) -> dict[str, dict[str, float]]:
    """How far the numbers of chains are from the geometry of the room shown, by task; counts state no metres.

    Each chain is also held against every other room that was asked such a question (for sizes: about such an object).

    Returns:
        For every task `questions`, `read_percent` (chains that state as many numbers as the question needs),
        `off_m` and `other_m` (medians over chains of their numbers' mean distance from the room shown, and from other
        rooms), and `nearer_percent`: how many of the other rooms are farther off than the one shown. That is 50 for a
        model that does not look.
    """
    by_task: dict[str, list] = {}
    for group in _groups(row for row in rows if row["question_type"] != "object_counting"):
        by_task.setdefault(task_of(group[0]["question_type"]), []).extend(_held_against(group))
    return {task: _summary(found) for task, found in by_task.items() if found}


def _groups(rows: Iterable[Mapping]) -> Iterable[list[Mapping]]:
    """Rows whose chains state the same kinds of numbers."""
    groups: dict[tuple, list[Mapping]] = {}
    for row in rows:
        same = row["objects"][0] if row["question_type"] == "object_size_estimation" else ""
        groups.setdefault((row["question_type"], same), []).append(row)
    return groups.values()


def _held_against(group: Sequence[Mapping]) -> list[tuple[float, float, float] | None]:
    """For each chain its distance from its own room, from others, and the share of others farther off; None unread."""
    truths_NK, rooms_N = np.array([_truth(row) for row in group]), np.array([row["scene_name"] for row in group])
    found: list[tuple[float, float, float] | None] = []
    for row, true_K in zip(group, truths_NK, strict=True):
        stated, others = stated_numbers(row["prediction"]), rooms_N != row["scene_name"]
        if not others.any():
            continue
        if len(stated) != len(true_K):
            found.append(None)
            continue
        own, off_N = np.abs(true_K - stated).mean(), np.abs(truths_NK[others] - stated).mean(1)
        found.append((float(own), float(off_N.mean()), float(np.mean((off_N > own) + 0.5 * (off_N == own)))))
    return found


def _summary(found: Sequence[tuple | None]) -> dict[str, float]:
    read = [one for one in found if one is not None]
    own, others, nearer = np.array(read).T if read else np.full((3, 1), np.nan)
    shares = {"read_percent": 100 * len(read) / len(found), "nearer_percent": 100 * float(nearer.mean())}
    return {"questions": len(found), "off_m": float(np.median(own)), "other_m": float(np.median(others))} | shares


def _truth(row: Mapping) -> list[float]:
    from vsr_kit.miniature.lessons import chain_text

    return stated_numbers(chain_text(_rooms()[row["scene_name"]], dict(row)))


@cache
def _rooms() -> dict[str, Room]:
    return {room.name: room for room in split_rooms(TEST_ROOMS, "test")}
