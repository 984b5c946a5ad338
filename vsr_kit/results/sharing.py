"""The shipped benchmark of sharing in one table of Markdown, as the README shows it; a test holds the README to it."""

from __future__ import annotations

from pathlib import Path

from vsr_kit.damage import reading
from vsr_kit.journals import read_json
from vsr_kit.seals import check_seal
from vsr_kit.shipped import data_samples

FILE = "sharing.json"
_KINDS = {"grpo": "GRPO", "sft": "SFT", "evaluation": "evaluation"}


def sharing_summary(path: Path | str | None = None) -> str:
    """Markdown: for each case stock's seconds, how often sharing fits into them, and tokens and memory as ratios.

    path: what `vsr bench sharing --out` wrote; the shipped one if None.
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
