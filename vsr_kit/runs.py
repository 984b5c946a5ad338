"""Run folders: everything a run leaves behind, in one place that survives a kill and can be compared with another.

The story: `runs/<time>-<name>/` holds

    config.json       name, seed and settings, written once          predictions.jsonl  one answered question a line
    versions.json     what it ran with, see provenance.py            summary.json       scores and headline numbers
    attempts.jsonl    a line a start (its commit), resume, finish    adapter/           the LoRA weights
    metrics.jsonl     one line a logged step                         checkpoints/       what the trainer resumes from
    rollouts.parquet  every sampled completion with its rewards      report.html        made by `vsr report`

Rows are appended and flushed as they come, whole files appear by renaming, so a kill at any moment costs at most the
line being written, and that torn line is dropped on the next opening. Rollouts are a journal, rollouts.jsonl, until
`finish` turns them into parquet. After a resume from step N, rows of earlier attempts beyond N stay in the files but
are superseded: readers leave them out unless asked.

Left out: power failures (rows are flushed, not fsynced), several writers at once (a lock refuses the second; in
distributed training only the main process records), and uploading anywhere.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from vsr_kit.copies import RUNS_VARIABLE, default_runs
from vsr_kit.journals import (
    append_lines,
    drop_torn_line,
    write_json,
    write_parquet,
)
from vsr_kit.provenance import git_state, hardware, versions
from vsr_kit.run_files import (
    read_attempts,
    read_config,
    read_metrics,
    read_predictions,
    read_rollouts,
    read_summary,
    read_versions,
)
from vsr_kit.seals import seal, unseal

JOURNALS = ("attempts.jsonl", "metrics.jsonl", "rollouts.jsonl", "predictions.jsonl")
SEALED = ("config.json", "versions.json", "summary.json", "metrics.jsonl", "rollouts.parquet", "predictions.jsonl")
git_at_start = cache(git_state)  # the code this process runs: the checkout may move on while it works


def runs_root() -> Path:
    """Where new run folders go: the environment's VSR_RUNS, else ./runs (of the course's notebooks, beside them)."""
    return Path(os.environ.get(RUNS_VARIABLE) or default_runs())


def run_folders(root: str | Path | None = None) -> list[RunFolder]:
    """All runs under `root`, oldest first; an empty list where there are none."""
    folder = Path(root or runs_root())
    return [RunFolder.open(path.parent) for path in sorted(folder.glob("*/config.json"))]


class RunFolder:
    """One run on disk. `create` and `resume` give one that can write, `open` one that only reads.

    A trainer needs two methods of it, `metrics(row)` and `rollouts(rows)`, and the paths `adapter` and `checkpoints`.
    """

    def __init__(self, path: Path, attempt: int | None = None):
        self.path = Path(path)
        self.attempt = attempt  # None: read only
        self._began = time.monotonic()
        self._lock = None
        self._next_rollout = 0

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    # -- making, opening, resuming -------------------------------------------------------------------------------------

    @classmethod
    def create(cls, name: str, config: Mapping | None = None, *, seed=0, root=None, checkpoint=None) -> RunFolder:
        """A new folder `<root>/<time>-<name>`, with config.json and versions.json in it.

        name: letters, digits, dot, dash, underscore. config: settings, anything JSON can hold, a dataclass too.
        checkpoint: the weights the run starts from, a folder (hashed) or a hub id.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", name):
            raise ValueError(f"a run's name is letters, digits, '.', '_', '-', at most 80 of them; got {name!r}")
        run = cls(_fresh_path(Path(root or runs_root()), name), attempt=1)
        run._take_lock()
        settings = asdict(config) if is_dataclass(config) and not isinstance(config, type) else dict(config or {})
        write_json(run.path / "versions.json", {**versions(checkpoint), "git": git_at_start()})
        write_json(run.path / "config.json", {"name": name, "seed": seed, "started": _now(), "config": settings})
        run._append("attempts.jsonl", [{"event": "start", "attempt": 1, "time": _now(), "git": git_at_start()}])
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
        """An existing folder, to go on writing in a new attempt.

        from_step: the step of the checkpoint the trainer goes on from; rows of earlier attempts with a greater `step`
        are superseded. None supersedes nothing (right for evaluations, whose rows have no step).
        """
        run = cls.open(path)
        run._take_lock()
        unseal(run.path)
        for name in JOURNALS:
            drop_torn_line(run.path / name)
        run.attempt = 1 + max((row["attempt"] for row in run.attempts()), default=0)
        run._next_rollout = 1 + max((row["row"] for row in read_rollouts(run.path)), default=-1)
        event = {"event": "resume", "attempt": run.attempt, "from_step": from_step, "time": _now()}
        run._append("attempts.jsonl", [{**event, "git": git_at_start()}])
        return run

    def _take_lock(self) -> None:
        """Held until the process ends, however it ends. Where the file system knows no locks, there is none."""
        try:
            import fcntl
        except ImportError:  # Windows outside WSL
            return
        self._lock = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise ValueError(
                f"{self.path} is being written by another process; wait for it or stop it before resuming"
            ) from None
        except OSError:
            pass

    def close(self) -> None:
        """Let go of the folder without marking it finished; another process may resume it."""
        if self._lock is not None:
            self._lock.close()
        self._lock, self.attempt = None, None

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

    def predictions(self, rows: Iterable[Mapping]) -> None:
        """Append answered questions: rows with VSI-Bench's fields plus `prediction`, as `vsr score` reads them."""
        self._append("predictions.jsonl", rows)

    def summarise(self, *, scores: Mapping | None = None, headline: Mapping | None = None, **extra) -> None:
        """Merge into summary.json what reports show.

        scores: {row label: {"overall": per cent, "object_counting": per cent, …}}; headline: {what: number or text},
        printed by `vsr run`. Other keywords are kept as they are.
        """
        self._must_write()
        summary = self.summary
        for key, value in {"scores": scores, "headline": headline}.items():
            summary[key] = {**summary.get(key, {}), **(value or {})}
        write_json(self.path / "summary.json", {**summary, **extra})

    def finish(self) -> None:
        """Turn the journal of rollouts into rollouts.parquet, refresh versions.json and seal the finished run."""
        self._must_write()
        self._settle_rollouts()
        write_json(self.path / "versions.json", {**self.versions, "hardware": hardware()})
        self._append("attempts.jsonl", [{"event": "finish", "attempt": self.attempt, "time": _now()}])
        seal(self.path, [name for name in SEALED if (self.path / name).is_file()])
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
        append_lines(self.path / name, rows)

    def _must_write(self) -> None:
        if self.attempt is None:
            raise ValueError(f"{self.path} is open for reading only; RunFolder.resume(path) writes")

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def config(self) -> dict:
        """{"name", "seed", "started", "config": settings}."""
        return read_config(self.path)

    @property
    def name(self) -> str:
        return self.config["name"]

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def versions(self) -> dict:
        """provenance.versions() as it was."""
        return read_versions(self.path)

    @property
    def summary(self) -> dict:
        """{"scores": …, "headline": …}; empty where nothing was summarised."""
        return read_summary(self.path)

    @property
    def status(self) -> str:
        """The word "finished", or "unfinished": running still, or killed."""
        attempts = self.attempts()
        return "finished" if attempts and attempts[-1]["event"] == "finish" else "unfinished"

    @property
    def adapter(self) -> Path:
        """Where the LoRA adapter goes."""
        return self.path / "adapter"

    @property
    def checkpoints(self) -> Path:
        """The trainer's output_dir."""
        return self.path / "checkpoints"

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that was saved to its end; see `resumable.newest`."""
        from vsr_kit.resumable import newest

        return newest(self.checkpoints)

    def attempts(self) -> list[dict]:
        """Starts, resumes and finishes, in order."""
        return read_attempts(self.path)

    def read_metrics(self, superseded: bool = False) -> list[dict]:
        """Rows of metrics.jsonl; with superseded=True also those a later attempt repeated."""
        return self._current(read_metrics(self.path), superseded)

    def read_rollouts(self, superseded: bool = False) -> list[dict]:
        """Every sampled completion, from the parquet file and the journal."""
        return self._current(read_rollouts(self.path), superseded)

    def read_predictions(self) -> list[dict]:
        """Rows of predictions.jsonl."""
        return read_predictions(self.path)

    def _current(self, rows: list[dict], superseded: bool) -> list[dict]:
        resumes = [e for e in self.attempts() if e["event"] == "resume" and e.get("from_step") is not None]
        if superseded or not resumes:
            return rows

        def replaced(row: dict) -> bool:
            later = [e["from_step"] for e in resumes if e["attempt"] > row.get("attempt", 0)]
            return bool(later) and row.get("step") is not None and row["step"] > min(later)

        return [row for row in rows if not replaced(row)]


def _fresh_path(root: Path, name: str) -> Path:
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    for count in range(1, 1000):
        path = root / (f"{stamp}-{name}" if count == 1 else f"{stamp}-{name}-{count}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        return path
    raise FileExistsError(f"{root} already holds 999 runs named {name!r} of this second")


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
