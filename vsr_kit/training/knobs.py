"""What each setting of a run costs in memory, and what to turn down when a run does not fit.

`knobs` plans the same work once more for every setting that can be turned down, and says how much smaller the peak gets
and what is paid for it instead. `remedy` turns them down one after another, those that change nothing in what is learnt
first, until the plan fits; its sentence is the same in `vsr plan` and where CUDA ran out of memory.
Left out: searching for the best combination, and settings that the profile's model decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vsr_kit.training.memory import Plan, Work, plan
from vsr_kit.videos.frame_limits import shrunk_size

GB = 10**9
_WORTH = 0.01  # of the peak: what saves less is not proposed


@dataclass(frozen=True)
class Knob:
    """One setting turned down.

    Attributes:
        flag: as `vsr train` takes it.
        work: what is then planned.
        price: what is paid for the memory.
        saved: bytes of the peak; negative where it costs some.
    """

    flag: str
    work: Work
    price: str
    saved: int


def _with(work: Work, **changes) -> Work:
    return replace(work, profile=replace(work.profile, **changes))


def _checkpointing(work: Work):
    if work.profile.gradient_checkpointing:
        return None
    return "--gradient-checkpointing", _with(work, gradient_checkpointing=True), "a step reads every layer twice"


def _groups(work: Work):
    least = work.profile.questions_per_clip
    if work.profile.groups_per_pass <= least:
        return None
    return f"--groups-per-pass {least}", _with(work, groups_per_pass=least), "more passes; the same gradient"


def _nf4(work: Work):
    if work.profile.quantize == "nf4":
        return None
    return "--quantize nf4", _with(work, quantize="nf4"), "weights are rounded to 4 bits"


def _bfloat16(work: Work):
    if work.number_bytes == 2 or not work.has_bf16 or work.device != "cuda":
        return None
    return "--dtype bfloat16", replace(_with(work, dtype="bfloat16"), number_bytes=2), "fewer digits"


def _questions(work: Work):
    profile = work.profile
    fewer = profile.questions_per_step // 2
    if fewer < 1 or fewer % (profile.groups_per_pass * work.processes):
        return None
    return f"--questions-per-step {fewer}", _with(work, questions_per_step=fewer), "noisier steps"


def _generations(work: Work):
    now = work.profile.num_generations
    fewer = 8 if now > 8 else now // 2
    if fewer < 2 or work.method != "grpo":
        return None
    return f"--num-generations {fewer}", _with(work, num_generations=fewer), "noisier advantages"


def _cap(work: Work):
    name = "max_vanilla_tokens" if work.mode == "vanilla" else "max_chain_tokens"
    fewer = work.cap // 2
    if fewer < 8:
        return None
    return f"--{name.replace('_', '-')} {fewer}", _with(work, **{name: fewer}), "longer answers are cut off"


def _pixels(work: Work):
    height, width = work.size_px
    fewer = height * width // 4
    if min(height, width) // 2 < work.shape.patch_px * work.shape.merge:
        return None
    changed = replace(work, frame_px=shrunk_size(height, width, fewer))
    return f"--pixels {fewer}", changed, "small objects are no longer seen"


def _frames(work: Work):
    fewer = work.profile.num_frames // 2
    if fewer < 2:
        return None
    return f"--frames {fewer}", _with(work, num_frames=fewer), "less of the walk is seen"


# Those that change nothing, or little, in what is learnt come first.
_ORDER: tuple[Callable, ...] = (_checkpointing, _groups, _bfloat16, _nf4, _questions, _cap, _generations, _pixels)
_ORDER += (_frames,)


def knobs(work: Work) -> list[Knob]:
    """Every setting that can be turned down, one at a time, with what it saves; and what costs memory if taken back."""
    peak = plan(work).peak
    found = [made for turn in _ORDER if (made := turn(work)) is not None]
    if work.profile.gradient_checkpointing:
        found.append(
            ("--no-gradient-checkpointing", _with(work, gradient_checkpointing=False), "it saves time instead")
        )
    if work.profile.quantize == "nf4":
        found.append(("--quantize none", _with(work, quantize=None), "weights as they were trained"))
    return [Knob(flag, less, price, peak - plan(less).peak) for flag, less, price in found]


def remedy(work: Work, memory_bytes: float) -> tuple[list[Knob], Plan]:
    """The settings to turn down, in their order, until the plan fits; and the plan with all of them.

    Each knob's `saved` is what it saves behind those before it. Where all of them are not enough, all are returned, and
    the plan does not fit.
    """
    chosen: list[Knob] = []
    while True:
        own = plan(work)
        if own.needed <= memory_bytes:
            return chosen, own
        taken = {knob.flag.split()[0] for knob in chosen}
        better = next((knob for knob in knobs(work) if _helps(knob, own, taken)), None)
        if better is None:
            return chosen, own
        chosen.append(better)
        work = better.work


def _helps(knob: Knob, own: Plan, taken: set[str]) -> bool:
    return knob.saved > _WORTH * own.peak and knob.flag.split()[0] not in taken


def sentence(work: Work, memory_bytes: float) -> str:
    """What to turn down so that the work fits, as one sentence."""
    chosen, after = remedy(work, memory_bytes)
    fits = after.needed <= memory_bytes
    if fits and not chosen:
        return f"by the plan it needs {gigabytes(after.needed)} and fits {gigabytes(memory_bytes)}"
    if not chosen:
        return _too_small(work, after, memory_bytes)
    flags = " ".join(knob.flag for knob in chosen)
    told = f"turn it down by {flags}; by the plan that needs {gigabytes(after.needed)}"
    return told if fits else f"{told}, still more than {gigabytes(memory_bytes)}: take a smaller model or a larger GPU"


def _too_small(work: Work, own: Plan, memory_bytes: float) -> str:
    standing = gigabytes(sum(own.standing.values()))
    return (
        f"by the plan it needs {gigabytes(own.needed)}, {standing} of it for {work.shape.name} itself, and nothing "
        f"that can be turned down makes it fit {gigabytes(memory_bytes)}: take a smaller model or a larger GPU"
    )


def gigabytes(count: float) -> str:
    """Bytes in GB (10^9) with three digits, as people read them; below a GB in MB."""
    return f"{count / GB:#.3g} GB" if abs(count) >= GB else f"{count / 10**6:.0f} MB"


def largest_parts(own: Plan, most: int = 3) -> Sequence[tuple[str, int]]:
    """The parts that need most at the peak, (name, bytes)."""
    parts = {**own.standing, **own.phases[own.largest]}
    return sorted(parts.items(), key=lambda part: -part[1])[:most]
