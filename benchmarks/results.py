"""Results of a benchmark, computed from its journal: medians, ratios of stock over shared, targets met or missed.

Each side is summarised by medians over its repeats. A ratio of seconds comes with its spread, from the least favourable
to the most favourable pairing of repeats. Processor seconds are listed next to wall-clock seconds: where the two
differ, the machine was busy and the wall-clock figures should not be trusted. The FLOP floor
(`vsr_kit.sharing.meter.flop_floor`) of both sides gives the ratio that would be reached if every floating-point
operation took the same time; each target is shown with that ratio and with the phase that takes most of the shared
side's time.
Left out: tests of significance, which two repeats do not allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from statistics import median

from benchmarks.cases import STOCK, Case, Shape
from vsr_kit.runs.provenance import versions


def summarise(shape: Shape, cases: Sequence[Case], repeats: int, seed: int, quantize: str | None, lines) -> dict:
    """The result: provenance, and for each case its sides, ratios and targets. `lines`: of the journal."""
    wanted = [row for row in lines if row["repeat"] < repeats]
    return {
        "benchmark": "sharing",
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": versions(),
        "commits": sorted({row["git"]["commit"] for row in wanted if row["git"]}),
        "devices": sorted({row["device"] for row in wanted}),
        "threads": sorted({row["threads"] for row in wanted}),
        "dtypes": sorted({row["dtype"] for row in wanted}),
        "seed": seed,
        "quantize": quantize,
        "shape": {**asdict(shape), "clip_tokens": shape.clip_tokens},
        "cases": {case.name: summarise_case(case, wanted) for case in cases},
    }


def summarise_case(case: Case, lines: Sequence[dict]) -> dict:
    """One case: `sides`, what they `agree` in, `ratios` by side, and `targets`."""
    own = [row for row in lines if row["case"] == case.name]
    rows = {side: sorted((r for r in own if r["side"] == side), key=lambda r: r["repeat"]) for side in case.sides}
    sides = {side: summarise_side(found) for side, found in rows.items()}
    others = [side for side in case.sides if side != STOCK]
    ratios = {side: _ratios(sides[STOCK], sides[side]) for side in others}
    return {
        "about": case.describe(),
        **{name: value for name, value in asdict(case).items() if name not in ("name", "sides", "targets")},
        "sides": sides,
        "agree": {side: agreement(rows[STOCK], rows[side]) for side in others},
        "ratios": ratios,
        "targets": [_judged(asdict(target), ratios[target.side], sides[target.side]) for target in case.targets],
    }


def summarise_side(rows: Sequence[dict]) -> dict:
    """Medians over the repeats of a side; `repeats` holds the lines themselves."""
    seconds, flop = [row["seconds"] for row in rows], sum(rows[0]["flop"].values())
    phases = {name: median(row["phases"][name] for row in rows) for name in rows[0]["phases"]}
    return {
        "seconds": median(seconds),
        "cpu_seconds": median(row["cpu_seconds"] for row in rows),
        "phases": phases,
        "trunk_tokens": sum(rows[0]["trunk_tokens"].values()),
        "trunk_tokens_by_phase": rows[0]["trunk_tokens"],
        "flop_floor": flop,
        "flop_floor_by_phase": rows[0]["flop"],
        "gflop_per_s": flop / median(seconds) / 1e9,
        "peak_bytes": max(row["peak_bytes"] for row in rows),
        "repeats": list(rows),
    }


def agreement(stock: Sequence[dict], other: Sequence[dict]) -> dict:
    """Whether two sides did the same: prompts read, share of completions that are identical, loss, gradient norm.

    What a kind of case does not have is None. Differences are the largest over the repeats: the loss's absolute, the
    norm's relative.
    """
    pairs = list(zip(stock, other, strict=True))
    completions = [a == b for s, o in pairs for a, b in zip(s["completions"], o["completions"], strict=True)]
    found = {"prompts": None, "completions": sum(completions) / len(completions), "loss": None, "grad_norm": None}
    if "loss" in stock[0]:
        found["prompts"] = all(s["prompts"] == o["prompts"] for s, o in pairs)
        found["loss"] = max(abs(s["loss"] - o["loss"]) for s, o in pairs)
        found["grad_norm"] = max(abs(o["grad_norm"] / s["grad_norm"] - 1) for s, o in pairs)
    return found


def _ratios(stock: dict, side: dict) -> dict:
    slow, fast = ([row["seconds"] for row in part["repeats"]] for part in (stock, side))
    return {
        "seconds": stock["seconds"] / side["seconds"],
        "seconds_spread": [min(slow) / max(fast), max(slow) / min(fast)],
        "cpu seconds": stock["cpu_seconds"] / side["cpu_seconds"],
        "trunk tokens": stock["trunk_tokens"] / side["trunk_tokens"],
        "flop floor": stock["flop_floor"] / side["flop_floor"],
        "peak memory": stock["peak_bytes"] / side["peak_bytes"],
    }


def _judged(target: dict, ratios: dict, side: dict) -> dict:
    """A target with what was measured; beside it the floor, and where most of the time is left."""
    measured = ratios[target["measure"]]
    left = max(side["phases"], key=side["phases"].get)
    return {
        **target,
        "measured": measured,
        "met": measured >= target["at_least"],
        "at_the_flop_floor": ratios["flop floor"],
        "largest_phase": left,
        "share_of_largest_phase": side["phases"][left] / side["seconds"],
    }
