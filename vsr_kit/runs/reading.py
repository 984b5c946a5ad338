"""Reading a run folder strictly: settings, versions, attempts, metrics, rollouts, predictions, summary, checkpoints.

folder.py says which files a run has and writes them. Here each file is compared with its seal, if the folder has one (a
study seals the runs that it keeps), and with the fields that readers rely on, so that a cut or edited file gives one
line with its name, line and field instead of a traceback or a wrong curve. `RecordedRun` combines the files: which rows
count (those that a later attempt wrote again are left out unless asked for), how the run ended, and from which
checkpoint it can be resumed.
Left out: writing, and attempts of shipped runs, which hold fewer files: all of their rows count.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from vsr_kit.files import NUMBER, REMEDY, Damaged, expect
from vsr_kit.files import read_gzip_lines, read_json, read_lines, read_parquet
from vsr_kit.files import check_seal, sealed_files
from vsr_kit.runs import attempts

# What readers rely on; "?" may be missing. See files.expect.
_CONFIG = {"name": str, "seed": int, "started": str, "config": dict}
_VERSIONS = {"hardware": dict, "git?": dict, "checkpoint?": dict}
_SUMMARY = {"scores?": dict, "headline?": dict}
_ATTEMPT = {"event": str, "attempt": int, "from_step?": NUMBER}
_METRICS = {"step?": int, "attempt?": int, "elapsed_s?": NUMBER}
_MEASURED = ("reward", "reward_std", "loss", "kl", "entropy", "grad_norm", "frac_reward_zero_std", "num_tokens")
_ROLLOUT = {"row": int, "step?": int, "attempt?": int, "completion?": str}
_TOKENS = {"step": int, "attempt?": int, "rollout": int, "completion": str, "tokens": list, "specials": list}
_TOKENS |= {"completion_ids": list, "other_scene": str}


def read_config(folder: Path) -> dict:
    """config.json."""
    return _json(folder / "config.json", _CONFIG)


def read_versions(folder: Path) -> dict:
    """versions.json."""
    found, path = _json(folder / "versions.json", _VERSIONS), folder / "versions.json"
    expect(found["hardware"], f"{path}, field 'hardware'", {"processor?": str, "cores?": int, "cuda?": list})
    for name, fields in (("git", {"commit": str}), ("checkpoint", {"name": str, "sha256?": str, "text_sha256?": str})):
        if found.get(name) is not None:
            expect(found[name], f"{path}, field {name!r}", fields)
    return found


def read_summary(folder: Path) -> dict:
    """summary.json, every score a number; empty where nothing was summarised."""
    path = check_seal(folder / "summary.json")
    if not path.exists():
        return {}
    summary = read_json(path, _SUMMARY)
    for label, row in (summary.get("scores") or {}).items():
        expect(row, f"{path}, scores of {label!r}", {f"{name}?": NUMBER for name in row} if _is_dict(row) else {})
    return summary


def read_attempts(folder: Path) -> list[dict]:
    """attempts.jsonl."""
    return _lines(folder / "attempts.jsonl", _ATTEMPT)


def metrics_file(folder: Path) -> Path:
    """Where a run's metrics are: metrics.jsonl, or metrics.jsonl.gz in its place where finished runs are kept small.

    Raises:
        Damaged: both are there, or the seal cannot be read.
    """
    plain, packed = folder / "metrics.jsonl", folder / "metrics.jsonl.gz"
    if packed.exists() and plain.exists():
        raise Damaged(f"{folder} holds {plain.name} and {packed.name}: remove the one that is not this run's")
    sealed = sealed_files(folder)
    return packed if packed.name in sealed or (packed.exists() and plain.name not in sealed) else plain


def read_metrics(folder: Path) -> list[dict]:
    """The metrics, every measure a number or null; those of rewards and completions are named with a slash."""
    path = check_seal(metrics_file(folder))
    rows = read_gzip_lines(path, _METRICS) if path.suffix == ".gz" else read_lines(path, _METRICS)
    for number, row in enumerate(rows, start=1):
        measured = {f"{name}?": NUMBER for name in row if "/" in name or name in _MEASURED}
        expect(row, f"{path}, row {number}", measured)
    return rows


def read_rollouts(folder: Path) -> list[dict]:
    """rollouts.parquet and what rollouts.jsonl holds beyond it; a row is in one or, after a kill, in both."""
    settled = read_parquet(check_seal(folder / "rollouts.parquet"), _ROLLOUT)
    last = max((row["row"] for row in settled), default=-1)
    return settled + [row for row in _lines(folder / "rollouts.jsonl", _ROLLOUT) if row["row"] > last]


def read_tokens(folder: Path) -> list[dict]:
    """tokens.jsonl, every list of a line as long as the others; empty where a training recorded none."""
    rows = _lines(folder / "tokens.jsonl", _TOKENS)
    for number, row in enumerate(rows, start=1):
        lengths = {name: len(value) for name, value in row.items() if isinstance(value, list)}
        if len(set(lengths.values())) > 1:
            raise Damaged(f"{folder / 'tokens.jsonl'}, line {number}: its lists are of the lengths {lengths}; {REMEDY}")
    return rows


def read_predictions(folder: Path, sealed: bool = True) -> list[dict]:
    """predictions.jsonl; not `sealed` for an evaluation that goes on, which holds every line against its question."""
    path = folder / "predictions.jsonl"
    return read_lines(check_seal(path) if sealed else path, {"scene_name?": str, "prediction?": str})


def _json(path: Path, fields: Mapping) -> dict:
    return read_json(check_seal(path), fields)


def _lines(path: Path, fields: Mapping) -> list[dict]:
    return read_lines(check_seal(path), fields)


def _is_dict(value) -> bool:
    return isinstance(value, dict)


RECORDED = (
    "metrics.jsonl",
    "metrics.jsonl.gz",
    "rollouts.jsonl",
    "rollouts.parquet",
    "predictions.jsonl",
    "summary.json",
)


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
        """What the run is made of, flat, see attempts.py; empty where nothing wrote it down."""
        return self.versions.get("identity") or {}

    @property
    def summary(self) -> dict:
        """{"scores": …, "headline": …}; empty where nothing was summarised."""
        return read_summary(self.path)

    @property
    def status(self) -> str:
        """`finished`, `broken`, or `unfinished`: running still, stopped, or killed."""
        events, headline = self.attempts(), self.summary.get("headline") or {}
        if not events and "stopped" in headline:  # a study keeps an ended run without its attempts
            return attempts.BROKEN if headline["stopped"] else attempts.FINISHED
        return attempts.status(events)

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
        """The newest checkpoint that was saved to its end; see `checkpoints.newest`."""
        from vsr_kit.runs.checkpoints import newest

        return newest(self.checkpoints)

    def attempts(self) -> list[dict]:
        """Starts, resumes, interruptions and finishes, in order."""
        return read_attempts(self.path)

    def read_metrics(self, superseded: bool = False) -> list[dict]:
        """Rows of the metrics; with superseded=True also those a later attempt repeated."""
        rows = read_metrics(self.path)
        return self._current(rows, superseded, rows)

    def read_rollouts(self, superseded: bool = False) -> list[dict]:
        """Every sampled completion, from the parquet file and the journal."""
        return self._current(read_rollouts(self.path), superseded)

    def read_tokens(self, superseded: bool = False) -> list[dict]:
        """What each token of some rollouts was worth; the rollout is the `rollout`-th of its step, from 0."""
        return self._current(read_tokens(self.path), superseded)

    def read_predictions(self) -> list[dict]:
        """Rows of predictions.jsonl. Lines that were lost from a finished run are for its resume to ask again."""
        return read_predictions(self.path, sealed=getattr(self, "attempt", None) is None)

    def _current(self, rows: list[dict], superseded: bool, metrics: list[dict] | None = None) -> list[dict]:
        if superseded or not rows:
            return rows
        metrics = read_metrics(self.path) if metrics is None else metrics
        return attempts.current(rows, attempts.with_lost(self.attempts(), metrics))


def flat_settings(run: RecordedRun) -> dict:
    """The settings of a run with its profile's fields among them; `profile` is then the profile's name."""
    told = run.config.get("config")
    settings = dict(told) if isinstance(told, Mapping) else {}
    profile = settings.pop("profile", None)
    if isinstance(profile, Mapping):
        settings = {**profile, **settings, "profile": profile.get("name")}
    return settings
