"""What a run folder holds, read: settings, versions, attempts, metrics, rollouts, predictions, summary, checkpoints.

The story: a reader counts on what a writer wrote, and a file that was cut or edited is told by its name, line and
field, never by an error of Python's further on. Rows that a later attempt wrote again are left out unless asked for.
Left out: writing (runs.py), and shipped runs, which hold fewer files and no attempts: all of their rows count.
"""

from __future__ import annotations

import re
from pathlib import Path

from vsr_kit import attempts
from vsr_kit.journals import read_json, read_lines, read_parquet

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
        return self._record("config.json", name=str, seed=int, started=str, config=dict)

    @property
    def name(self) -> str:
        return self.config["name"]

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def versions(self) -> dict:
        """provenance.versions() as it was."""
        return self._record("versions.json")

    @property
    def identity(self) -> dict:
        """What the run is made of, flat, see identity.py; empty where nothing wrote it down."""
        return self.versions.get("identity") or {}

    @property
    def summary(self) -> dict:
        """{"scores": …, "headline": …}; empty where nothing was summarised."""
        return self._record("summary.json") if (self.path / "summary.json").exists() else {}

    def _record(self, file: str, **fields: type) -> dict:
        """A file that holds an object with these fields; ValueError naming the file where it does not."""
        path = self.path / file
        record = read_json(path)
        if not isinstance(record, dict):
            raise ValueError(f"{path} holds no object of settings but {type(record).__name__}; it was edited")
        for field, kind in fields.items():
            if not isinstance(record.get(field), kind):
                raise ValueError(f"{path}: {field} is {record.get(field)!r}, no {kind.__name__}; it was edited")
        return record

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
        """The newest checkpoint that was saved whole: trainer_state.json is the last file a trainer writes into it."""
        found = [p for p in self.checkpoints.glob("checkpoint-*") if re.fullmatch(r"checkpoint-\d+", p.name)]
        for path in sorted(found, key=lambda p: int(p.name.split("-")[1]), reverse=True):
            try:
                read_json(path / "trainer_state.json")
            except (OSError, ValueError):
                continue
            return path
        return None

    def attempts(self) -> list[dict]:
        """Starts, resumes, interruptions and finishes, in order."""
        return self._rows("attempts.jsonl", event=str, attempt=int)

    def read_metrics(self, superseded: bool = False) -> list[dict]:
        """Rows of metrics.jsonl; with superseded=True also those a later attempt repeated."""
        return self._current(self._rows("metrics.jsonl"), superseded)

    def read_rollouts(self, superseded: bool = False) -> list[dict]:
        """Every sampled completion, from the parquet file and the journal."""
        return self._current(self._all_rollouts(), superseded)

    def read_predictions(self) -> list[dict]:
        """Rows of predictions.jsonl."""
        return read_lines(self.path / "predictions.jsonl")

    def _rows(self, file: str, **fields: type) -> list[dict]:
        """Rows of a journal whose steps, and `fields`, are what readers count on."""
        rows = read_lines(self.path / file)
        for number, row in enumerate(rows, start=1):
            wrong = [key for key, kind in fields.items() if not isinstance(row.get(key), kind)]
            wrong += [key for key in ("step", "attempt") if not isinstance(row.get(key), (int, float, type(None)))]
            if wrong:
                told = f"{self.path / file}, line {number}: {wrong[0]} is {row.get(wrong[0])!r}"
                raise ValueError(f"{told}, which no run writes; mend or remove the line")
        return rows

    def _current(self, rows: list[dict], superseded: bool) -> list[dict]:
        if superseded or not rows:
            return rows
        return attempts.current(rows, attempts.with_lost(self.attempts(), self._rows("metrics.jsonl")))

    def _all_rollouts(self) -> list[dict]:
        settled = read_parquet(self.path / "rollouts.parquet")
        last = max((row["row"] for row in settled), default=-1)
        return settled + [row for row in self._rows("rollouts.jsonl", row=int) if row["row"] > last]
