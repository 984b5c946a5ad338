"""Looking at a run while it is written, by this process or another: where it stands, in words and numbers.

Every look reads only what the journals have gained since the one before, so a run of many thousand steps costs no more
than a short one. A last line that is half written is read when it is whole. Whether a process still works on the folder
is told by its lock (locks.py): an unfinished run that nobody holds was killed, or its process works on another machine.

    waiting       begun, no step yet                 interrupted   stopped by someone, can be gone on with
    running       some process works on it           gone          unfinished, and no process here works on it
    stopping      asked to stop, in its last step    unknown       unfinished; its folder has no lock to look at
    done          all steps are there, not closed    unreadable    a file is damaged; the words name it
    finished, broken

Left out: drawing, and numbers of evaluations beyond how many questions are answered.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from vsr_kit.files import expect, reading
from vsr_kit.locks import is_held
from vsr_kit.runs import attempts
from vsr_kit.runs.folder import RunFolder
from vsr_kit.runs.reading import metrics_file, read_rollouts
from vsr_kit.runs.stopping import is_asked, resume_command

ENDED = ("finished", "broken", "interrupted", "gone")
_PACE_STEPS = 20  # over so many last steps the time of a step is taken
_FIRST_BYTES = 1_000_000  # of rollouts, at the first look: the newest step's are all that is wanted


@dataclass(frozen=True)
class Seen:
    """A run at one moment.

    Attributes:
        state: one of those in the module's docstring.
        words: the state as a sentence.
        step, steps: the last step that was logged, 0 before; how many there will be, None where the folder does not say.
        step_s: seconds a step takes, None before the second.
        age_s: seconds since the last step was written, None before the first.
        rows: metrics of all steps that count.
        rollouts: completions of the newest step that has some.
        answered: questions, of a run that asks some.
    """

    state: str
    words: str
    step: int = 0
    steps: int | None = None
    step_s: float | None = None
    age_s: float | None = None
    rows: list[dict] = field(default_factory=list)
    rollouts: list[dict] = field(default_factory=list)
    answered: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing more will come, unless someone goes on with the run."""
        return self.state in ENDED

    @property
    def left_s(self) -> float | None:
        """Seconds until the last step, at the pace of the last ones; None where that cannot be told."""
        if self.ended or self.step_s is None or self.steps is None:
            return None
        return max(0, self.steps - self.step) * self.step_s


class Watch:
    """Looks at one run folder again and again.

    Args:
        run: a RunFolder or its path.

    Raises:
        FileNotFoundError: there is no run.
    """

    def __init__(self, run: RunFolder | str | Path) -> None:
        self.run = RunFolder.open(run.path if isinstance(run, RunFolder) else run)
        self.path = self.run.path
        self._journal: _Tail | None = None  # of metrics, from the first look on
        self._sampled = _Tail(self.path / "rollouts.jsonl", _FIRST_BYTES)
        self._answers = _Tail(self.path / "predictions.jsonl", parse=False)
        self._newest: list[dict] = []
        self._settled: tuple | None = None  # the parquet file that was read
        self._steps: int | None = None
        self._seen = Seen("waiting", "Nothing was read yet.")

    def look(self) -> Seen:
        """Read what is new. A damaged file is told in the words, beside what was read before; nothing is raised."""
        try:
            self._seen = self._look()
        except (ValueError, OSError) as error:
            self._seen = replace(self._seen, state="unreadable", words=f"The run cannot be read: {error}")
        return self._seen

    def _look(self) -> Seen:
        if not (self.path / "config.json").is_file():
            raise FileNotFoundError(f"{self.path} is no longer there")
        events = self.run.attempts()
        journal = self._journal = self._journal or _Tail(metrics_file(self.path))
        packed = journal.path.suffix == ".gz"  # of a run that is kept: nothing more is written to it
        logged = self.run.read_metrics(superseded=True) if packed else journal.read()
        rows = attempts.current(logged, attempts.with_lost(events, logged))
        rows = [row for row in rows if isinstance(row.get("step"), int)]
        self._read_rollouts()
        self._steps = self._steps or planned_steps(self.run)
        step = rows[-1]["step"] if rows else 0
        found = Seen(
            "", "", step, self._steps, _pace(rows), journal.age_s() if rows else None, rows, self._newest,
            self._answers.read_count(),
        )  # fmt: skip
        state = self._state(events, found)
        return replace(found, state=state, words=_words(state, found, self.run, events))

    def _state(self, events: list[dict], found: Seen) -> str:
        """What the events say, and, of a run that is under way, what its lock says."""
        status = self.run.status
        if status != attempts.UNFINISHED:
            return status
        held = is_held(self.path)
        if held:
            if is_asked(self.path):
                return "stopping"
            if found.steps is not None and found.step >= found.steps:
                return "done"
            return "running" if found.step or found.answered else "waiting"
        if events and events[-1]["event"] == "interrupt":
            return "interrupted"
        return "unknown" if held is None else "gone"

    def _read_rollouts(self) -> None:
        """Keep the completions of the newest step; a finished run has them all in one file."""
        settled = self.path / "rollouts.parquet"
        if settled.is_file():
            stat = settled.stat()
            mark = stat.st_mtime_ns, stat.st_size
            if mark != self._settled:
                self._settled, self._newest = mark, _of_newest_step(read_rollouts(self.path))
        if new := self._sampled.read_new():
            self._newest = _of_newest_step([*self._newest, *new])


def planned_steps(run: RunFolder) -> int | None:
    """How many steps a training is to have, from what it is made of or its settings; None where neither says."""
    settings = run.config["config"]
    profile = settings.get("profile")
    places: tuple = (run.identity, profile if isinstance(profile, Mapping) else {}, settings)
    for place in places:
        if isinstance(place.get("steps"), int) and place["steps"] > 0:
            return place["steps"]
    return None


def _of_newest_step(rollouts: list[dict]) -> list[dict]:
    """Those of the last step, by the last attempt that sampled for it."""
    steps = [row["step"] for row in rollouts if isinstance(row.get("step"), int)]
    if not steps:
        return rollouts[-8:]
    last = rollouts[-1].get("attempt")  # rows are in the order of writing: a resumed run's newest step may be a lower one
    of_last = [row for row in rollouts if row.get("attempt") == last and isinstance(row.get("step"), int)]
    step = max(row["step"] for row in of_last) if of_last else max(steps)
    return [row for row in of_last or rollouts if row.get("step") == step]


def _pace(rows: list[dict]) -> float | None:
    """Seconds a step, over the last steps of the newest attempt."""
    timed = [row for row in rows[-_PACE_STEPS - 1 :] if isinstance(row.get("elapsed_s"), (int, float))]
    timed = [row for row in timed if row.get("attempt") == timed[-1].get("attempt")]
    if len(timed) < 2 or timed[-1]["step"] <= timed[0]["step"]:
        return None
    return (timed[-1]["elapsed_s"] - timed[0]["elapsed_s"]) / (timed[-1]["step"] - timed[0]["step"])


def _words(state: str, seen: Seen, run: RunFolder, events: list[dict]) -> str:
    go_on = f"Go on with it: {resume_command(run)}"
    if state == attempts.BROKEN:
        reason = run.stopped or (run.summary.get("headline") or {}).get("stopped") or "its numbers broke"
        return f"Broken: {reason}."
    if state == "interrupted":
        return f"Stopped by someone after step {events[-1].get('step', seen.step)}. {go_on}"
    return {
        "waiting": "Begun; the first step is not done yet.",
        "running": "Running.",
        "stopping": "Stopping after the step it is in.",
        "done": "All steps are done; the run is not closed yet.",
        attempts.FINISHED: "Finished.",
        "gone": f"The process is gone: no process on this machine works on this run. {go_on}",
        "unknown": "Unfinished. Whether a process works on it cannot be told here: its folder has no lock.",
    }[state]


class _Tail:
    """The whole lines of a journal, read as they come.

    Args:
        path: of the journal, which need not be there yet.
        last_bytes: begin so many bytes before its end; None reads all.
        parse: whether its lines are read, or only counted.
    """

    def __init__(self, path: Path, last_bytes: int | None = None, parse: bool = True) -> None:
        self.path, self.last_bytes, self.parse = path, last_bytes, parse
        self._rows: list[dict] = []
        self._file: int | None = None
        self._at = self._count = 0

    def read(self) -> list[dict]:
        """All rows so far."""
        new = self.read_new()  # may have emptied the rows
        self._rows += new
        return self._rows

    def read_count(self) -> int:
        """How many lines there are."""
        self.read_new()
        return self._count

    def read_new(self) -> list[dict]:
        """Rows that came since the last look; a file that was replaced or cut is read from its beginning."""
        try:
            stream = self.path.open("rb")
        except FileNotFoundError:
            return []
        with stream:
            stat = os.fstat(stream.fileno())
            if stat.st_ino != self._file or stat.st_size < self._at:
                self._rows, self._count, self._file = [], 0, stat.st_ino
                self._at = 0 if self.last_bytes is None else max(0, stat.st_size - self.last_bytes)
                cut = self._at > 0
            else:
                cut = False
            stream.seek(self._at)
            whole, end, _ = stream.read().rpartition(b"\n")
        lines = [line for line in whole.split(b"\n")[1 if cut else 0 :] if line]
        with reading(self.path):  # a bad line is told at every look, and nothing behind it is read
            rows = [expect(json.loads(line), self.path, {}) for line in lines] if self.parse else []
        self._at += len(whole) + len(end)
        self._count += len(lines)
        return rows

    def age_s(self) -> float | None:
        """Seconds since it was written."""
        try:
            return max(0.0, time.time() - self.path.stat().st_mtime)
        except OSError:
            return None
