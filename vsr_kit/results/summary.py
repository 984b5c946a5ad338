"""The study in one table of Markdown, as the README shows it; a test holds the README to it."""

from __future__ import annotations

from pathlib import Path

from vsr_kit.evaluation import Interval
from vsr_kit.results.prompting import cot_table, lines_to_beat
from vsr_kit.results.trained import grpo_table
from vsr_kit.results.verdicts import Verdict, verdicts


def study_summary(folder: Path | str | None = None) -> str:
    """Markdown: prompting, training and the lines to beat on the six trained tasks, then each claim's verdict."""
    prompting, lines, trained = cot_table(folder), lines_to_beat(folder), grpo_table(folder)
    rows = {
        "base, vanilla prompt": prompting["vanilla"],
        "base, think prompt": prompting["think"],
        "base, observe prompt": prompting["observe"],
        "**GRPO, vanilla prompt, three seeds**": trained.after,
        "most frequent training answer": lines["frequent"],
        "base, another room's clip": lines["wrong_clip"],
        "base, no video": lines["no_video"],
    }
    table = ["| | six trained tasks, % | 95 % interval |", "|---|---|---|"]
    table += [f"| {name} | {_mean(bands).mean:.1f} | {_range(_mean(bands))} |" for name, bands in rows.items()]
    said = [f"- {_sentence(verdict)}" for verdict in verdicts(folder).values()]
    return "\n".join([*table, "", *said])


def _mean(bands: dict[str, Interval]) -> Interval:
    return bands["trained"] if "trained" in bands else bands["overall"]


def _sentence(verdict: Verdict) -> str:
    *measured, _ = str(verdict).split("\n")
    return f"`{verdict.claim.name}`: **{verdict.verdict}**. {verdict.claim.says} Here {'; '.join(measured)}."


def _range(interval: Interval) -> str:
    return f"{interval.low:.1f} to {interval.high:.1f}"
