"""The study in Markdown as the README shows it, main table and ledger of claims; a test holds the README to it."""

from __future__ import annotations

from html import escape
from pathlib import Path

from vsr_kit.claims import CLAIMS
from vsr_kit.evaluation import Interval
from vsr_kit.results.compared import compared
from vsr_kit.results.prompting import cot_table, lines_to_beat
from vsr_kit.results.reach import rooms_asked
from vsr_kit.results.trained import trained_runs
from vsr_kit.results.verdicts import Verdict, not_run, verdicts

_TRAINED = {
    "grpo-vanilla": "**GRPO, vanilla prompt**",
    "sft": "SFT on the answers",
    "dpo-corrupted": "DPO, corrupted answers",
    "dpo-rollouts": "DPO, the base's best and worst rollouts",
    "grpo-think": "GRPO, think prompt",
    "grpo-observe": "GRPO, observe prompt",
}


def study_summary(folder: Path | str | None = None) -> str:
    """Markdown: prompting, training and the lines to beat on the six trained tasks, each with its interval."""
    prompting, lines = cot_table(folder), lines_to_beat(folder)
    rows = {f"base, {mode} prompt": prompting[mode] for mode in ("vanilla", "think", "observe")}
    for name, bands in compared(tuple(_TRAINED), folder).items():
        rows[f"{_TRAINED[name]}, {len(trained_runs(folder, name))} seeds"] = bands
    rows |= {
        "most frequent training answer": lines["frequent"],
        "base, another room's clip": lines["wrong_clip"],
        "base, no video": lines["no_video"],
    }
    table = [f"| {rooms_asked(folder)} | six trained tasks, % | 95 % interval |", "|---|---|---|"]
    table += [f"| {name} | {_mean(bands).mean:.1f} | {_range(_mean(bands))} |" for name, bands in rows.items()]
    return "\n".join(table)


def ledger(folder: Path | str | None = None) -> str:
    """Markdown: every claim, what was found, and the verdict; a claim whose runs are not there says so."""
    found = verdicts(folder)
    table = ["| claim | found | verdict, and what it speaks of |", "|---|---|---|"]
    for known in CLAIMS:
        verdict = found.get(known.name)
        cells = (_found(verdict), _verdict(verdict)) if verdict else ("", not_run(known))
        table.append(f"| `{known.name}`: {escape(known.says, quote=False)} | {' | '.join(cells)} |")
    return "\n".join(table)


def _found(verdict: Verdict) -> str:
    return "; ".join(str(verdict).split("\n")[:-1]) or f"it takes {verdict.claim.scale}"


def _verdict(verdict: Verdict) -> str:
    reach, limits = verdict.reach, f"; {verdict.limits}" if verdict.limits else ""
    return f"**{verdict.verdict} on {reach.model}**, {', '.join(filter(None, (reach.rooms, reach.runs)))}{limits}"


def _mean(bands: dict[str, Interval]) -> Interval:
    return bands["trained"] if "trained" in bands else bands["overall"]


def _range(interval: Interval) -> str:
    return f"{interval.low:.1f} to {interval.high:.1f}"
