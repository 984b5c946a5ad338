"""Tables of the README and of docs/ in Markdown: scores, headline claims, the ledger of claims, sharing's benchmark.

`study_summary`, `headlines`, `ledger` and `sharing_summary` compute them from the shipped study and the shipped
benchmark. `python docs/make_pages.py` writes them into the pages, and a test checks that the pages contain them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

from vsr_kit.claims import Count
from vsr_kit.evaluation import Interval
from vsr_kit.files import check_seal, read_json, reading
from vsr_kit.paths import data_samples
from vsr_kit.recipes import all_claims
from vsr_kit.study.answers import cot_table, lines_to_beat, trained_runs
from vsr_kit.study.comparisons import variant_scores
from vsr_kit.study.judge import NOT_RUN, Verdict, not_run, verdicts
from vsr_kit.study.reach import rooms_asked, rooms_in_words

_TRAINED = {
    "grpo-vanilla": "**GRPO, vanilla prompt**",
    "sft": "SFT on the answers",
    "dpo-corrupted": "DPO, corrupted answers",
    "dpo-rollouts": "DPO, the base's best and worst rollouts",
    "grpo-think": "GRPO, think prompt",
    "grpo-observe": "GRPO, observe prompt",
}

HEADLINES = {
    "vsGRPO": ("cot-prompts-do-not-help", "grpo-lifts", "grpo-beats-sft", "grpo-teaches-looking"),
    "Vision-R1": ("cold-start-makes-chains-pay", "ptst-beats-fixed-long-cap", "cold-start-is-needed"),
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


def headlines(folder: Path | str | None = None) -> str:
    """Markdown: a line for each headline claim, by paper with its models and rooms, and a count of all verdicts."""
    found = verdicts(folder)
    blocks = []
    for paper, names in HEADLINES.items():
        if shown := [found[name] for name in names if name in found]:
            lines = [f"- {escape(verdict.claim.says, quote=False)} {_short(verdict)}" for verdict in shown]
            blocks.append("\n".join([f"{paper}, measured on {_together(shown)}:\n", *lines, ""]))
    return "\n".join([*blocks, counted(found)])


def counted(found: Mapping[str, Verdict]) -> str:
    """How many claims have which verdict, in a sentence; those without one are counted, too."""
    counts = Counter(verdict.verdict.partition(":")[0] for verdict in found.values())
    total = len(all_claims())
    if total > len(found):
        counts[NOT_RUN] = total - len(found)
    words = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    return f"Of all {total} claims: {words}."


def _together(shown: Sequence[Verdict]) -> str:
    """The models and the rooms that several verdicts speak of, each model once."""
    models = dict.fromkeys(model for verdict in shown for model in verdict.reach.model.split(" and "))
    bands = [band for verdict in shown for band in verdict.found.values() if not isinstance(band, Count)]
    return f"{' and '.join(sorted(models))}, {rooms_in_words(bands)}"


def _short(verdict: Verdict) -> str:
    """The verdict with its differences and the intervals that its rule looks at; the ledger has the rest."""
    bands = ruled(verdict)
    found = {name: f"{band.mean:+.1f} {band.unit} ({_signed(band)})" for name, band in bands.items()}
    words = ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in found.items())
    return f"**{verdict.verdict.partition(':')[0].capitalize()}**: {words}."


def ruled(verdict: Verdict) -> dict[str, Interval]:
    """A verdict's differences with the intervals that its rule looks at, the bootstrap's or Student's; no counts."""
    bands = {name: band for name, band in verdict.found.items() if not isinstance(band, Count)}
    if "Student's interval" not in verdict.claim.rule:
        return bands
    return {n: replace(b, low=b.student[0], high=b.student[1]) if b.student else b for n, b in bands.items()}


def _found(verdict: Verdict) -> str:
    return "; ".join(str(verdict).split("\n")[:-1]) or f"it takes {verdict.claim.scale}"


def _verdict(verdict: Verdict) -> str:
    reach, limits = verdict.reach, f"; {verdict.limits}" if verdict.limits else ""
    return f"**{verdict.verdict} on {reach.model}**, {', '.join(filter(None, (reach.rooms, reach.runs)))}{limits}"


def _mean(bands: dict[str, Interval]) -> Interval:
    return bands["trained"] if "trained" in bands else bands["overall"]


def _range(interval: Interval) -> str:
    return f"{interval.low:.1f} to {interval.high:.1f}"


def _signed(interval: Interval) -> str:
    return f"{interval.low:+.1f} to {interval.high:+.1f}"


FILE = "sharing.json"
_KINDS = {"grpo": "GRPO", "sft": "SFT", "evaluation": "evaluation"}


def sharing_summary(path: Path | str | None = None) -> str:
    """Markdown: for each case stock's seconds, how often sharing fits into them, and tokens and memory as ratios.

    path: what `python -m benchmarks sharing --out` wrote; the shipped one if None.
    """
    heads = ["work", "stock TRL", "shared", "speed-up, cold / warm cache", "fewer tokens", "less memory", "target"]
    head, *lines = (f"| {' | '.join(cells)} |" for cells in (heads, *_cases(path)))
    return "\n".join([head, "|" + "---|" * len(heads), *lines])


def sharing_lines(path: Path | str | None = None) -> str:
    """Markdown: the speed-up of GRPO's cases, a line each."""
    grpo = [case for case in _read_cases(path) if case["kind"] == "grpo"]
    return "\n".join(f"- {work}: {faster}" for work, _, _, faster, *_ in map(_cells, grpo))


def _cases(path: Path | str | None) -> list[list[str]]:
    return [_cells(case) for case in _read_cases(path)]


def _read_cases(path: Path | str | None) -> list[dict]:
    path = check_seal(path or data_samples("reference_runs") / FILE)
    result = read_json(path, {"cases": dict})
    with reading(path):
        return list(result["cases"].values())


def _cells(case: dict) -> list[str]:
    sides, ratios = case["sides"], case["ratios"]
    *_, warm = ratios
    seconds = [f"{sides[name]['seconds']:.1f} s" for name in ("stock", warm)]
    faster = " / ".join(f"{ratio['seconds']:.1f}×" for ratio in ratios.values())
    tokens, memory = (f"{ratios[warm][kind]:.1f}×" for kind in ("trunk tokens", "peak memory"))
    asked = "; ".join(_target(target) for target in case["targets"])
    return [f"{_KINDS[case['kind']]}: {case['about']}", *seconds, faster, tokens, memory, asked]


def _target(target: dict) -> str:
    word = "met" if target["met"] else f"missed: {target['measured']:.1f}×"
    return f"{target['measure']} {target['at_least']:g}× ({target['side'].removeprefix('shared ')}), {word}"
