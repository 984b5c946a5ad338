"""A page about one run, or several side by side, made from their folders alone.

`write_report` reads config, versions, metrics, rollouts and summary of each run folder and fills one template: what
ran, what it measured, score tables, curves, sampled traces, and the settings that differ. Everything that a model, a
file or a user wrote is escaped by the template engine; the only trusted markup is that of the kit's own figures. A
score is shown with its interval and its number of questions, from the summary if the run recorded them, otherwise from
the run's predictions. All rollouts or answers can be looked through in a second file beside it (browser.py).
Left out: verdicts over several seeds (`vsr_kit.study.verdicts`; their tables arrive here as scores).
"""

from __future__ import annotations

import json
from pathlib import Path

from vsr_kit.evaluation.run_scores import recorded_bands
from vsr_kit.pages.filling import number, page
from vsr_kit.rewards.detectors import reward_columns
from vsr_kit.runs import RunFolder
from vsr_kit.runs.seeds import by_seeds

TRACES_PER_STEP = 6
CURVES = ("reward", "kl", "completions/mean_length", "entropy", "frac_reward_zero_std", "grad_norm")


def write_report(
    runs: list[RunFolder], path: str | Path | None = None, index: str | None = None, browse: bool = True
) -> Path:
    """Write the page and return its path; the default is report.html in the first run's folder.

    Beside it lies the browser of the runs' rollouts or answers, where they have some: `report-rollouts.html`.

    Args:
        runs: runs of one name with the same settings are drawn as seeds of one curve.
        path: of the page.
        index: a link back to the page that leads here, where there is one.
        browse: whether to write the browser.

    Raises:
        ValueError: there is no run.
    """
    if not runs:
        raise ValueError("a report needs at least one run folder, got none")
    path = Path(path or runs[0].path / "report.html")
    views = [_view(run) for run in runs]
    settings = _settings([run.config["config"] | {"seed": run.seed} for run in runs])
    browser = {"page": "", "trouble": ""} | (_write_browser(runs, path, index) if browse else {})
    html = page("report.html.j2", runs=views, figures=_figures(runs), settings=settings, index=index, browser=browser)
    path.write_text(html, encoding="utf-8")
    return path


def rollouts_beside(report: Path) -> Path:
    """Where the browser of a report's rollouts lies."""
    return report.with_name(f"{report.stem}-rollouts.html")


def _write_browser(runs: list[RunFolder], report: Path, index: str | None) -> dict[str, str]:
    """Write the browser: `page`, its address, or `trouble`, why what was recorded cannot be shown; else nothing."""
    from vsr_kit.inspection import read_rollout_table
    from vsr_kit.pages.browser import write_browser

    rollouts_beside(report).unlink(missing_ok=True)  # of other runs, it may be
    recorded = [run for run in runs if run.read_rollouts() or run.read_predictions()]
    if not recorded:
        return {}
    names = [run.path.name for run in recorded]
    called = [name if names.count(name) == 1 else str(run.path) for name, run in zip(names, recorded, strict=True)]
    links = ({"Index of the course": index} if index else {}) | {"Report": report.name}
    try:
        tables = [read_rollout_table(run, name) for run, name in zip(recorded, called, strict=True)]
        write_browser(tables, rollouts_beside(report), title="Rollouts and answers of the reported runs", links=links)
    except ValueError as error:  # the report stands without it
        return {"trouble": str(error)}
    return {"page": rollouts_beside(report).name}


def _view(run: RunFolder) -> dict:
    config, versions, summary, metrics = run.config, run.versions, run.summary, run.read_metrics()
    git, weights, hardware = versions.get("git"), versions.get("checkpoint"), versions.get("hardware") or {}
    steps = [row["step"] for row in metrics if row.get("step") is not None]
    scores = summary.get("scores", {})
    bands = recorded_bands(run, scores)
    shown = {label: _with_columns(row, _columns(scores), bands.get(label, {})) for label, row in scores.items()}
    processor = f"{hardware.get('processor', '–')}, {hardware.get('cores', '–')} cores"
    return {
        "name": run.name,
        "folder": run.path.name,
        "status": run.status,
        "stopped": summary.get("stopped") or run.stopped or summary.get("headline", {}).get("stopped"),
        "started": config["started"].replace("T", " "),
        "minutes": _minutes(run),
        "steps": max(steps, default=None),
        "seed": run.seed,
        "commit": "–" if git is None else git["commit"][:10] + (" + changes" if git["dirty"] else ""),
        "weights": "–" if weights is None else f"{weights['name']} {(weights['sha256'] or '')[:10]}".strip(),
        "machine": ", ".join(hardware.get("cuda") or [processor]),
        "headline": summary.get("headline", {}),
        "scores": shown,
        "banded": bool(bands),
        "bare": any(one["value"] is not None and one["low"] is None for row in shown.values() for one in row.values()),
        "score_columns": _columns(scores),
        "progress": _progress(metrics),
        "traces": _traces(run.read_rollouts()),
        "versions": json.dumps(versions, indent=2, ensure_ascii=False),
    }


def _minutes(run: RunFolder) -> float | None:
    """Minutes spent in all attempts, as far as logged steps tell."""
    longest: dict[int, float] = {}
    for row in run.read_metrics(superseded=True):
        attempt, elapsed = row.get("attempt"), row.get("elapsed_s")
        if isinstance(elapsed, (int, float)):
            longest[attempt] = max(longest.get(attempt, 0.0), elapsed)
    return sum(longest.values()) / 60 if longest else None


def _columns(scores: dict) -> list[str]:
    return list(dict.fromkeys(column for row in scores.values() for column in row))


def _with_columns(row: dict, columns: list[str], bands: dict) -> dict[str, dict]:
    """Each column's score with its interval and n, None where a row has none."""
    shown = {}
    for column in columns:
        _, low, high, n = bands.get(column) or (None,) * 4
        shown[column] = {"value": row.get(column), "low": low, "high": high, "n": n}
    return shown


def _progress(metrics: list[dict]) -> list[tuple]:
    """(metric, first, last) for every number that was logged with a step, in the order of appearance."""
    rows = [row for row in metrics if row.get("step") is not None]
    names = dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, (int, float)))
    shown = [name for name in names if name not in ("step", "attempt", "elapsed_s")]
    table = []
    for name in shown:
        values = [row[name] for row in rows if isinstance(row.get(name), (int, float))]
        table.append((name, values[0], values[-1]))
    return table


def _traces(rollouts: list[dict]) -> list[dict]:
    steps = sorted({row["step"] for row in rollouts if row.get("step") is not None})
    chosen = []
    for step in dict.fromkeys([*steps[:1], *steps[-1:]]):
        chosen += [row for row in rollouts if row.get("step") == step][:TRACES_PER_STEP]
    return [
        {
            "step": row["step"],
            "question": row.get("question") or row.get("question_type") or row.get("id") or "",
            "truth": row.get("ground_truth") or "",
            "completion": row.get("completion") or "",
            "rewards": _rewards(row),
        }
        for row in chosen
    ]


def _rewards(row: dict) -> str:
    """`accuracy 1.00, format 0.00`: the terms as they were logged, one column each."""
    terms = reward_columns(row).items()
    return ", ".join(f"{name.removesuffix('_reward')} {number(value)}" for name, value in terms)


def _settings(configs: list[dict]) -> list[tuple[str, list[str]]]:
    """(setting, its value in each run): every setting of a single run, or those that differ between several."""
    flat = [_flatten(config) for config in configs]
    names = dict.fromkeys(name for config in flat for name in config)
    table = [(name, [config.get(name, "–") for config in flat]) for name in names]
    return table if len(flat) == 1 else [(name, values) for name, values in table if len(set(values)) > 1]


def _flatten(config: dict, prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return flat


def _figures(runs: list[RunFolder]) -> list:
    """Training curves of the runs that logged steps; figures bring their own markup, an SVG."""
    logs = _seeds(runs)
    keys = [key for key in CURVES if any(key in row for seeds in logs.values() for rows in seeds for row in rows)]
    if not keys:
        return []
    from vsr_kit.plots import training_curves

    return [training_curves(logs, keys, source="measured now")]


def _seeds(runs: list[RunFolder]) -> dict[str, list[list[dict]]]:
    """Logged steps by curve; runs that logged none are left out."""
    logged = {run.path: [row for row in run.read_metrics() if row.get("step") is not None] for run in runs}
    groups = by_seeds(run for run in runs if logged[run.path])
    return {name: [logged[run.path] for run in seeds] for name, seeds in groups.items()}
