"""What a run folder holds, read: settings, versions, attempts, metrics, rollouts, predictions, summary, checkpoints.

The story: `run_files` reads each file strictly, so that one that was cut or edited is told by its name, line and field,
never by an error of Python's further on. Here the files become a run: which of its rows count (those that a later
attempt wrote again are left out unless asked for), how it ended, and where it can be gone on with.
Left out: writing (runs.py), and shipped runs, which hold fewer files and no attempts: all of their rows count.
"""

from __future__ import annotations

from pathlib import Path

from vsr_kit import attempts
from vsr_kit.run_files import (
    read_attempts,
    read_config,
    read_metrics,
    read_predictions,
    read_rollouts,
    read_summary,
    read_versions,
)

RECORDED = ("metrics.jsonl", "rollouts.jsonl", "rollouts.parquet", "predictions.jsonl", "summary.json")


class RecordedRun:
    """A run folder to read; see runs.RunFolder."""

    path: Path

    @property
    def is_empty(self) -> bool:
        """Whether nothing was recorded: no row, no summary, no weights."""
        return not any((self.path / name).exists() for name in (*RECORDED, "adapter", "checkpoints"))

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
    def identity(self) -> dict:
        """What the run is made of, flat, see identity.py; empty where nothing wrote it down."""
        return self.versions.get("identity") or {}

    @property
    def summary(self) -> dict:
        """{"scores": …, "headline": …}; empty where nothing was summarised."""
        return read_summary(self.path)

    @property
    def status(self) -> str:
        """`finished`, `broken`, or `unfinished`: running still, stopped, or killed."""
        return attempts.status(self.attempts())

    @property
    def stopped(self) -> str | None:
        """Why the training broke; None where it did not."""
        noted = self.attempts()
        return noted[-1].get("reason") if attempts.status(noted) == attempts.BROKEN else None

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
        """Starts, resumes, interruptions and finishes, in order."""
        return read_attempts(self.path)

    def read_metrics(self, superseded: bool = False) -> list[dict]:
        """Rows of metrics.jsonl; with superseded=True also those a later attempt repeated."""
        return self._current(read_metrics(self.path), superseded)

    def read_rollouts(self, superseded: bool = False) -> list[dict]:
        """Every sampled completion, from the parquet file and the journal."""
        return self._current(read_rollouts(self.path), superseded)

    def read_predictions(self) -> list[dict]:
        """Rows of predictions.jsonl. Lines that were lost from a finished run are for its resume to ask again."""
        return read_predictions(self.path, sealed=getattr(self, "attempt", None) is None)

    def _current(self, rows: list[dict], superseded: bool) -> list[dict]:
        if superseded or not rows:
            return rows
        return attempts.current(rows, attempts.with_lost(self.attempts(), read_metrics(self.path)))
