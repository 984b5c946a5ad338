"""The scores that a run folder recorded, with their intervals: as the run wrote them down, or from its predictions.

A score is (mean, low, high, n) in per cent, n the number of questions. A score whose interval is not known has low and
high equal to its mean.
Left out: answers that a study keeps outside its runs' folders (`vsr_kit.study` reads those).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vsr_kit.evaluation.intervals import intervals
from vsr_kit.evaluation.small_samples import student_interval
from vsr_kit.runs.reading import RecordedRun

Band = tuple[float, float, float, int]


def recorded_scores(run: RecordedRun) -> dict[str, dict[str, Band]]:
    """A run's rows of scores, by their labels and tasks; empty where it recorded none."""
    scores = run.summary.get("scores") or {}
    bands = recorded_bands(run, scores)
    return {
        label: {task: _band(value, bands.get(label, {}).get(task)) for task, value in row.items() if value is not None}
        for label, row in scores.items()
    }


def _band(value: float, band: Sequence | None) -> Band:
    low, high, n = (value, value, 0) if band is None else (band[1], band[2], band[3] if len(band) > 3 else 0)
    return float(value), float(low), float(high), int(n)


def recorded_bands(run: RecordedRun, scores: Mapping[str, Mapping]) -> dict[str, dict[str, Band]]:
    """Intervals by label and task: the summary's own, or those of the run's predictions; empty where neither has any.

    Predictions count where they are the only row of scores, one answer a question, and lead to the scores recorded.
    """
    if noted := run.summary.get("intervals"):
        return noted
    answered = run.read_predictions()
    if len(scores) != 1 or len(answered) != len({(row.get("dataset"), row.get("id")) for row in answered}):
        return {}  # several draws of one question are no questions of their own
    ((label, row),) = scores.items()
    harness = label.rpartition(", ")[2]  # as `vsr eval` names its row
    try:
        found = {task: band.band for task, band in intervals(answered, harness).items()}
    except (ValueError, KeyError):  # rows of another kind
        return {}
    return {label: {task: band for task, band in found.items() if abs(band[0] - row.get(task, band[0])) < 0.05}}


def scores_of_seeds(runs: Sequence[RecordedRun]) -> dict[str, dict[str, Band]]:
    """Scores of runs that are seeds of one training: the mean of those that have a score, and its interval.

    The interval is the run's own where one run has the score, and Student's over the runs where several have it.
    """
    found: dict[str, dict[str, list[Band]]] = {}
    for run in runs:
        for label, row in recorded_scores(run).items():
            for task, band in row.items():
                found.setdefault(label, {}).setdefault(task, []).append(band)
    return {label: {task: _mean(bands) for task, bands in row.items()} for label, row in found.items()}


def _mean(bands: Sequence[Band]) -> Band:
    if len(bands) == 1:
        return bands[0]
    values = [band[0] for band in bands]
    low, high = student_interval(values)
    return sum(values) / len(values), low, high, bands[0][3]
