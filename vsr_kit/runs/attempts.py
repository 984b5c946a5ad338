"""Attempts of a run: its starts, resumes and finishes, which of its rows still count, and its status.

A run that is resumed from step N writes the steps after N again. The rows of earlier attempts beyond N stay in its
files and no longer count. attempts.jsonl records this, one event per line. If that file is lost or cut, the rows
themselves show it: the first step that an attempt logged is the one after the step from which it resumed.
Left out: which process writes; a lock on the run folder allows one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

UNFINISHED, FINISHED, BROKEN = "unfinished", "finished", "broken"  # a run's status
INTERRUPTED = "interrupted"  # training.run.Trained.stopped of a run that someone stopped


def with_lost(events: list[dict], rows: Iterable[Mapping]) -> list[dict]:
    """The events, with one for every attempt that rows tell of and no event does."""
    known = {event["attempt"] for event in events}
    first: dict[int, float] = {}
    for row in rows:
        attempt, step = row.get("attempt"), row.get("step")
        if attempt is not None and attempt not in known and step is not None:
            first[attempt] = min(step, first.get(attempt, step))
    lost = [
        {"event": "start", "attempt": attempt, "rebuilt": True}
        if attempt == 1
        else {"event": "resume", "attempt": attempt, "from_step": step - 1, "rebuilt": True}
        for attempt, step in first.items()
    ]
    return sorted([*events, *lost], key=lambda event: event["attempt"]) if lost else events


def current(rows: list[dict], events: list[dict]) -> list[dict]:
    """The rows that no later attempt wrote again."""
    resumes = [e for e in events if e["event"] == "resume" and e.get("from_step") is not None]
    if not resumes:
        return rows

    def replaced(row: Mapping) -> bool:
        attempt, step = row.get("attempt"), row.get("step")
        later = [e["from_step"] for e in resumes if attempt is not None and e["attempt"] > attempt]
        return bool(later) and step is not None and step > min(later)

    return [row for row in rows if not replaced(row)]


def next_attempt(events: Iterable[Mapping], rows: Iterable[Mapping]) -> int:
    """The number of the attempt that comes next; rows count, too, where events were lost."""
    return 1 + max((item.get("attempt") or 0 for item in (*events, *rows)), default=0)


def status(events: list[dict]) -> str:
    """`finished`, `broken` (finished, its numbers broke), or `unfinished`: running still, stopped, or killed."""
    if not events or events[-1]["event"] != "finish":
        return UNFINISHED
    return events[-1].get("status", FINISHED)
