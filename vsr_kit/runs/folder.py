"""The run folder: what a run writes into `runs/<time>-<name>/`, so that a kill at any moment loses at most one line.

    config.json       name, seed and settings, written once          predictions.jsonl  one answered question a line
    versions.json     what it ran with, see provenance.py            summary.json       scores and headline numbers
    attempts.jsonl    a line a start (its commit), resume, finish    adapter/           the LoRA weights
    metrics.jsonl     one line a logged step                         checkpoints/       what the trainer resumes from
    rollouts.parquet  every sampled completion with its rewards      report.html        made by `vsr report`
    tokens.jsonl      of some rollouts what each token was worth, where a training was asked to record it
    stop.request      there while the run is asked to stop, see stopping.py

Shipped runs have `gzip -9n metrics.jsonl` instead, a fifth of the size; readers take either (reading.metrics_file).

Rows are appended and flushed as they come, and whole files appear by renaming; a line that a kill cut short is dropped
when the folder is opened again. Rollouts are a journal, rollouts.jsonl, until `finish` turns them into parquet. After a
resume from step N, rows of earlier attempts beyond N stay in the files but no longer count (attempts.py): readers leave
them out unless asked. Resuming writes nothing before the first row, so that a refused resume leaves no trace;
versions.json also holds the run's identity (identity.py), with which a resume is compared.

Left out: power failures (rows are flushed, not fsynced), several writers at once (a lock refuses the second; in
distributed training only the main process records), and uploading.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from vsr_kit.runs import attempts
from vsr_kit.paths import RUNS_VARIABLE, default_runs
from vsr_kit.locks import begin, put
from vsr_kit.files import append_lines, drop_torn_line, replace, write_json, write_parquet
from vsr_kit.locks import Lock
from vsr_kit.runs.provenance import git_state, hardware, versions
from vsr_kit.runs.reading import RecordedRun
from vsr_kit.runs.reading import metrics_file, read_metrics, read_rollouts
from vsr_kit.runs.stopping import withdraw
from vsr_kit.files import check_seal, seal, unseal

JOURNALS = ("attempts.jsonl", "metrics.jsonl", "rollouts.jsonl", "predictions.jsonl", "tokens.jsonl")
_WHOLE = ("config.json", "versions.json", "summary.json", "rollouts.parquet")
SEALED = (*_WHOLE, "metrics.jsonl", "predictions.jsonl", "tokens.jsonl")
git_at_start = cache(git_state)  # the code this process runs: the checkout may move on while it works


def runs_root() -> Path:
    """Where new run folders go: the environment's VSR_RUNS, else ./runs (of the course's notebooks, beside them)."""
    return Path(os.environ.get(RUNS_VARIABLE) or default_runs())


def run_folders(root: str | Path | None = None) -> list[RunFolder]:
    """All runs under `root`, oldest first; an empty list where there are none."""
    folder = Path(root or runs_root())
    return [RunFolder.open(path.parent) for path in sorted(folder.glob("[!.]*/config.json"))]


def newest_run(root: str | Path | None = None) -> RunFolder | None:
    """The newest run that recorded anything, else the newest; None where there is none."""
    found = run_folders(root)
    return next((run for run in reversed(found) if not run.is_empty), found[-1] if found else None)


def check_name(name: str) -> None:
    """ValueError unless `name` can be a run's."""
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
        raise ValueError(f"a run's name is letters, digits, '.', '_', '-', at most 80 of them; got {name!r}")


class RunFolder(RecordedRun):
    """One run on disk. `create` and `resume` give one that can write, `open` one that only reads.

    A trainer needs two methods of it, `metrics(row)` and `rollouts(rows)`, and the paths `adapter` and `checkpoints`.
    """

    def __init__(self, path: Path, attempt: int | None = None):
        self.path = Path(path)
        self.attempt = attempt  # None: read only
        self._began = time.monotonic()
        self._lock: Lock | None = None
        self._next_rollout = 0
        self._resumed: dict | None = None  # the event of a resume that has written nothing yet
        self._interrupted: int | None = None  # the step after which train() was stopped

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    # -- making, opening, resuming -------------------------------------------------------------------------------------

    @classmethod
    def create(cls, name: str, config: Mapping | None = None, *, seed=0, root=None, checkpoint=None) -> RunFolder:
        """A new folder `<root>/<time>-<name>`, with config.json and versions.json in it.

        name: letters, digits, dot, dash, underscore. config: settings, anything JSON can hold, a dataclass too.
        checkpoint: the weights the run starts from, a folder (hashed) or a hub id.
        """
        check_name(name)
        root = Path(root or runs_root())
        beside = begin(root, name)
        run = cls(beside, attempt=1)
        run._lock = Lock(beside)
        settings = asdict(config) if is_dataclass(config) and not isinstance(config, type) else dict(config or {})
        write_json(beside / "versions.json", {**versions(checkpoint), "git": git_at_start()})
        write_json(beside / "config.json", {"name": name, "seed": seed, "started": _now(), "config": settings})
        run._append("attempts.jsonl", [{"event": "start", "attempt": 1, "time": _now(), "git": git_at_start()}])
        run.path = put(beside, root, name)
        return run

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """An existing folder, to read. FileNotFoundError where it is none."""
        path = Path(path)
        if not (path / "config.json").is_file():
            raise FileNotFoundError(f"{path} is no run folder: it has no config.json; runs are under {runs_root()}/")
        return cls(path)

    @classmethod
    def resume(cls, path: str | Path, from_step: int | None = None) -> RunFolder:
        """An existing folder, to go on writing in a new attempt, which is noted with its first row.

        from_step: the step of the checkpoint the trainer goes on from; rows of earlier attempts with a greater `step`
        are superseded, and the attempt is noted at once. None is the last checkpoint's, or supersedes nothing where
        there is none (right for evaluations, whose rows have no step); `train(..., resume=True)` says it anyway.
        """
        run = cls.open(path)
        run._lock = Lock(run.path)
        withdraw(run.path)  # it was for an attempt that is over
        run._unpack()
        rows = run.read_metrics(superseded=True) + read_rollouts(run.path)
        run.attempt = attempts.next_attempt(run.attempts(), rows)
        run._next_rollout = 1 + max((row.get("row", -1) for row in rows), default=-1)
        last = run.last_checkpoint()
        step = int(last.name.split("-")[1]) if from_step is None and last is not None else from_step
        run._resumed = {"event": "resume", "attempt": run.attempt, "from_step": step}
        if from_step is not None:
            run._note_resume()
        return run

    def _unpack(self) -> None:
        """Make the metrics of a run that is kept small a journal again, which can be appended to."""
        if (packed := check_seal(metrics_file(self.path))).suffix == ".gz":
            rows = self.read_metrics(superseded=True)
            unseal(self.path)
            replace(self.path / "metrics.jsonl", lambda beside: append_lines(beside, rows))
            packed.unlink()

    def go_on(self, from_step: int) -> None:
        """Note that what is written from now on follows the checkpoint of `from_step`: a trainer says so."""
        self._must_write()
        if self._resumed is None:
            noted = self.attempts()[-1:]
            if noted and noted[0].get("from_step") == from_step and noted[0]["attempt"] == self.attempt:
                return
            if self._lock is None:
                self._lock = Lock(self.path)
                withdraw(self.path)
            self.attempt = attempts.next_attempt(self.attempts(), self.read_metrics(superseded=True))
            self._resumed = {"event": "resume", "attempt": self.attempt}
        self._interrupted = None
        self._resumed["from_step"] = from_step
        self._note_resume()

    def _note_resume(self) -> None:
        """Make the journals fit to be appended to, and write the event of this attempt."""
        event, self._resumed = self._resumed, None
        unseal(self.path)
        for name in JOURNALS:
            drop_torn_line(self.path / name)
        rows = read_metrics(self.path)
        noted = self.attempts()
        lost = [each for each in attempts.with_lost(noted, rows) if each not in noted]
        append_lines(self.path / "attempts.jsonl", [*lost, {**event, "time": _now(), "git": git_at_start()}])

    def interrupt(self, step: int) -> None:
        """Note that someone stopped the training after `step`, and let the folder be resumed, by this process too."""
        self._append("attempts.jsonl", [{"event": "interrupt", "attempt": self.attempt, "step": step, "time": _now()}])
        self._interrupted = step
        withdraw(self.path)
        self.let_go()

    def close(self) -> None:
        """Let go of the folder without marking it finished; another process may resume it."""
        self.let_go()
        self.attempt = None

    def let_go(self) -> None:
        """Let another object, or process, resume the folder; this one writes no more rows, but may still summarise."""
        if self._lock is not None:
            self._lock.release()
        self._lock = None

    def discard_if_empty(self) -> bool:
        """Remove the folder if nothing was recorded in it, as a refused command leaves it; whether it was removed."""
        self.close()
        if not self.is_empty:
            return False
        shutil.rmtree(self.path, ignore_errors=True)
        return True

    # -- writing -------------------------------------------------------------------------------------------------------

    def metrics(self, row: Mapping) -> None:
        """Append one line to metrics.jsonl: `step` and numbers. `attempt` and its `elapsed_s` are added."""
        elapsed = round(time.monotonic() - self._began, 3)
        self._append("metrics.jsonl", [{"attempt": self.attempt, "elapsed_s": elapsed, **row}])

    def rollouts(self, rows: Iterable[Mapping]) -> None:
        """Append sampled completions. `step` is the update they are for, counted from 1 as in the metrics."""
        numbered = []
        for row in rows:
            numbered.append({"row": self._next_rollout, "attempt": self.attempt, **row})
            self._next_rollout += 1
        self._append("rollouts.jsonl", numbered)

    def tokens(self, rows: Iterable[Mapping]) -> None:
        """Append what each token of some rollouts was worth; see `training.token_records`."""
        self._append("tokens.jsonl", [{"attempt": self.attempt, **row} for row in rows])

    def predictions(self, rows: Iterable[Mapping]) -> None:
        """Append answered questions: rows with VSI-Bench's fields plus `prediction`, as `vsr score` reads them."""
        self._append("predictions.jsonl", rows)

    def replace_predictions(self, rows: Iterable[Mapping]) -> None:
        """Let these be all answered questions; the file is the old one or the new one, never half of it."""
        self._append("predictions.jsonl", [])
        rows = list(rows)
        replace(self.path / "predictions.jsonl", lambda beside: append_lines(beside, rows))

    def summarise(self, *, scores: Mapping | None = None, headline: Mapping | None = None, **extra) -> None:
        """Merge into summary.json what reports show.

        scores: {row label: {"overall": per cent, "object_counting": per cent, …}}; headline: {what: number or text},
        printed by `vsr run`. Other keywords are kept as they are.
        """
        self._must_write()
        summary = self.summary
        for key, value in {"scores": scores, "headline": headline}.items():
            summary[key] = {**summary.get(key, {}), **(value or {})}
        unseal(self.path)
        write_json(self.path / "summary.json", {**summary, **extra})

    def finish(self, stopped: str | None = None) -> None:
        """Turn the journal of rollouts into rollouts.parquet, refresh versions.json, mark the run finished and seal it.

        stopped: why the training broke, see training.run.Trained; the run's status is then `broken`. A run whose training
        was interrupted is only closed, with a word: it can be gone on with.
        """
        self._must_write()
        if self._interrupted is not None:
            told = f"{self.path} was stopped after step {self._interrupted} and is left unfinished"
            print(f"{told}; go on with RunFolder.resume({str(self.path)!r})", file=sys.stderr)
            self.close()
            return
        self._settle_rollouts()
        write_json(self.path / "versions.json", {**self.versions, "hardware": hardware()})
        broken = {"status": attempts.BROKEN, "reason": stopped} if stopped else {}
        self._append("attempts.jsonl", [{"event": "finish", "attempt": self.attempt, "time": _now(), **broken}])
        seal(self.path, [name for name in SEALED if (self.path / name).is_file()])
        withdraw(self.path)
        self.close()

    def _settle_rollouts(self) -> None:
        rows = read_rollouts(self.path)
        if not rows:
            return
        target = self.path / "rollouts.parquet"
        write_parquet(target, rows)
        # A kill between these two lines leaves rows in both files; readers tell them by their row number.
        (self.path / "rollouts.jsonl").unlink(missing_ok=True)

    def _append(self, name: str, rows: Iterable[Mapping]) -> None:
        self._must_write()
        if self._resumed is not None:
            self._note_resume()
        append_lines(self.path / name, rows)

    def _must_write(self) -> None:
        if self.attempt is None:
            raise ValueError(f"{self.path} is open for reading only; RunFolder.resume(path) writes")

    def identify(self, identity: Mapping) -> None:
        """Write down what the run is made of, see attempts.py."""
        self._must_write()
        before = self.versions
        unseal(self.path)
        write_json(self.path / "versions.json", {**before, "identity": identity})


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
