"""The README's tables in Markdown: the study's main table, the ledger of claims, and the benchmark of sharing.

`study_summary`, `ledger` and `sharing_summary` compute them from the shipped study and the shipped benchmark; a test
checks that the README contains them.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from vsr_kit.evaluation import Interval
from vsr_kit.files import check_seal, read_json, reading
from vsr_kit.paths import data_samples
from vsr_kit.recipes import all_claims
from vsr_kit.study.answers import cot_table, lines_to_beat, trained_runs
from vsr_kit.study.comparisons import variant_scores
from vsr_kit.study.judge import Verdict, not_run, verdicts
from vsr_kit.study.reach import rooms_asked

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
    for name, bands in variant_scores(tuple(_TRAINED), folder).items():
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
    for known in all_claims():
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


FILE = "sharing.json"
_KINDS = {"grpo": "GRPO", "sft": "SFT", "evaluation": "evaluation"}


def sharing_summary(path: Path | str | None = None) -> str:
    """Markdown: for each case stock's seconds, how often sharing fits into them, and tokens and memory as ratios.

    path: what `python -m benchmarks sharing --out` wrote; the shipped one if None.
    """
    path = check_seal(path or data_samples("reference_runs") / FILE)
    result = read_json(path, {"cases": dict})
    lines = [
        "| work | stock TRL | shared | faster, clips new / known | fewer tokens | less memory | asked for |",
        "|---|---|---|---|---|---|---|",
    ]
    with reading(path):
        return "\n".join(lines + [_line(case) for case in result["cases"].values()])


def _line(case: dict) -> str:
    sides, ratios = case["sides"], case["ratios"]
    *_, warm = ratios
    seconds = [f"{sides[name]['seconds']:.1f} s" for name in ("stock", warm)]
    faster = " / ".join(f"{ratio['seconds']:.1f}×" for ratio in ratios.values())
    tokens, memory = (f"{ratios[warm][kind]:.1f}×" for kind in ("trunk tokens", "peak memory"))
    asked = "; ".join(_target(target) for target in case["targets"])
    return (
        "| " + " | ".join([f"{_KINDS[case['kind']]}: {case['about']}", *seconds, faster, tokens, memory, asked]) + " |"
    )


def _target(target: dict) -> str:
    word = "met" if target["met"] else f"missed: {target['measured']:.1f}×"
    return f"{target['measure']} {target['at_least']:g}× ({target['side'].removeprefix('shared ')}), {word}"
