"""Named sets of evaluation settings, so that a published protocol is one word and what it sets is printed.

`vsi-bench` is the benchmark's own protocol as its public harness runs it (vision-x-nyu/thinking-in-space): its two
prompts, 32 frames evenly over the clip, greedy answers of at most 16 tokens, read by their first word. The harness
bounds pixels model by model and states nothing for Qwen2-VL; the preset takes R1-V's 401,408 a frame, on which vsGRPO
builds, so that films of 640 x 480 stay whole.
Left out: presets for training, which are profiles (`vsr_kit.training.profiles`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vsr_kit.prompts import VSI_BENCH_MODE
from vsr_kit.validation import one_of

PRESETS: dict[str, dict] = {
    "vsi-bench": {
        "mode": VSI_BENCH_MODE,
        "frames": 32,
        "pixels": 401_408,
        "per_type": 0,
        "max_new_tokens": 16,
        "temperature": 0.0,
        "samples": 1,
        "harness": "official",
    },
}


def with_preset(name: str, settings: Mapping, typed: Collection[str]) -> tuple[dict, str]:
    """Settings with those of a preset in place of what was not typed, and a line that says what was set.

    Args:
        name: one of `PRESETS`.
        settings: of `vsr eval`, by name.
        typed: names of the settings that the user gave, which win.

    Raises:
        ValueError: an unknown preset.
    """
    one_of("preset", name, PRESETS)
    setting = {key: value for key, value in PRESETS[name].items() if key not in typed}
    told = " ".join(f"--{key.replace('_', '-')} {_shown(value)}" for key, value in setting.items())
    kept = [f"--{key.replace('_', '-')} {_shown(settings[key])}" for key in PRESETS[name] if key in typed]
    return {**settings, **setting}, f"preset {name} sets {told}" + (f"; typed: {' '.join(kept)}" if kept else "")


def _shown(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
