"""The files of a run folder, read strictly: what is there is what a run writes, or it is damage and named.

The story: `RunFolder` (runs.py) says which files a run has and who may write them; here they are read back. Each is
held against its seal, if the folder has one (a study seals the runs it keeps), and against the fields that readers rely
on, so that a list for a dictionary or a step that is text ends in one line instead of in a traceback or in a curve.

Left out: which rows count after a resume; runs.py knows that.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vsr_kit.damage import NUMBER, expect
from vsr_kit.journals import read_json, read_lines, read_parquet
from vsr_kit.seals import check_seal

# What readers rely on; "?" may be missing. See damage.expect.
_CONFIG = {"name": str, "seed": int, "started": str, "config": dict}
_VERSIONS = {"hardware": dict, "git?": dict, "checkpoint?": dict}
_SUMMARY = {"scores?": dict, "headline?": dict}
_ATTEMPT = {"event": str, "attempt": int, "from_step?": NUMBER}
_METRICS = {"step?": int, "attempt?": int, "elapsed_s?": NUMBER}
_MEASURED = ("reward", "reward_std", "loss", "kl", "entropy", "grad_norm", "frac_reward_zero_std", "num_tokens")
_ROLLOUT = {"row": int, "step?": int, "attempt?": int, "completion?": str}


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


def read_metrics(folder: Path) -> list[dict]:
    """metrics.jsonl, every measure a number or null; those of rewards and completions are named with a slash."""
    rows = _lines(folder / "metrics.jsonl", _METRICS)
    for number, row in enumerate(rows, start=1):
        measured = {f"{name}?": NUMBER for name in row if "/" in name or name in _MEASURED}
        expect(row, f"{folder / 'metrics.jsonl'}, row {number}", measured)
    return rows


def read_rollouts(folder: Path) -> list[dict]:
    """rollouts.parquet and what rollouts.jsonl holds beyond it; a row is in one or, after a kill, in both."""
    settled = read_parquet(check_seal(folder / "rollouts.parquet"), _ROLLOUT)
    last = max((row["row"] for row in settled), default=-1)
    return settled + [row for row in _lines(folder / "rollouts.jsonl", _ROLLOUT) if row["row"] > last]


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
