"""What this machine is, and the largest profile that it should hold: where a notebook begins without being told.

A profile's sizes were chosen for a class of GPU, so the choice goes by the GPU's memory alone: `a100` from 36 GB with
bfloat16, `t4` from 14 GB, else the miniature's `mini`, which runs anywhere. `vsr plan` says what a profile needs in
detail, and what to turn down where a GPU lies between two classes; `work_here` is what it plans.
Left out: several GPUs (`profile_here` looks at the first one), and Apple's GPUs, which no profile was sized for.
"""

from __future__ import annotations

from dataclasses import dataclass

from vsr_kit.paths import SHIPPED
from vsr_kit.training.memory import Work
from vsr_kit.training.profiles import Profile, get_profile
from vsr_kit.training.shapes import shape_of

# Smallest memory in GB that a profile is chosen for, largest first; None asks for no GPU. A T4 reports 15.6 to 16.1 GB,
# of which some is taken; an A100 of the small kind 42.
CHOICES = (("a100", 36.0), ("t4", 14.0), ("mini", None))
_WITHOUT_BF16 = ("t4",)  # profiles named after cards that compute in fp32 instead


@dataclass(frozen=True)
class Machine:
    """What matters of a machine for choosing a profile.

    Attributes:
        name: of the GPU, or "no GPU".
        memory_gb: of the GPU in 10^9 bytes; 0 without one.
        bf16: whether the GPU computes in bfloat16 by its own units.
    """

    name: str
    memory_gb: float
    bf16: bool

    def __str__(self) -> str:
        if not self.memory_gb:
            return self.name
        return f"{self.name}, {self.memory_gb:.0f} GB, {'with' if self.bf16 else 'without'} bfloat16"


def this_machine() -> Machine:
    """The first CUDA device, or a machine without one."""
    import torch

    if not torch.cuda.is_available():
        return Machine("no GPU", 0.0, bf16=False)
    properties = torch.cuda.get_device_properties(0)
    return Machine(properties.name, properties.total_memory / 1e9, torch.cuda.is_bf16_supported(False))


def profile_for(machine: Machine) -> Profile:
    """The largest profile whose class of GPU the machine has; `mini` where it has none."""
    for name, least_gb in CHOICES:
        if least_gb is None or (machine.memory_gb >= least_gb and (machine.bf16 or name != "a100")):
            return get_profile(name)
    raise AssertionError("the last choice asks for nothing")


def profile_here(wanted: str | Profile | None = None) -> tuple[Profile, str]:
    """The profile to use on this machine, and one sentence that says which and why.

    wanted: a profile to take whatever the machine is; None chooses one by the GPU's memory.
    """
    machine = this_machine()
    profile = profile_for(machine) if wanted is None else get_profile(wanted)
    why = "chosen by the memory" if wanted is None else "as asked for"
    if wanted is None and not machine.memory_gb:
        why = "the same cells on the miniature"
    return profile, f"{machine}: profile {profile.name} ({why}), model {profile.model}"


def slow_here(profile: Profile) -> str | None:
    """A sentence where a profile is meant for a GPU and here is none; None otherwise."""
    meant = dict(CHOICES).get(profile.name, 1.0)
    if this_machine().memory_gb or meant is None or profile.model in SHIPPED:
        return None
    return f"profile {profile.name} with {profile.model} is meant for a GPU, and here is none: it will take days"


def work_here(profile: Profile, device: str | None = None, **more) -> Work:
    """What a memory plan is made of (`memory.plan`), on this machine's GPU, or else on the card a profile is for.

    Args:
        profile: whose model must be known to `shape_of`, or be a folder.
        device: `cuda` or `cpu`; None takes a GPU where there is one, and for profiles that are for one.
        more: as `Work` takes it.
    """
    machine = this_machine()
    device = device or ("cuda" if machine.memory_gb or profile.name != "mini" else "cpu")
    bf16 = machine.bf16 if machine.memory_gb else device == "cuda" and profile.name not in _WITHOUT_BF16
    two = profile.dtype == "bfloat16" if profile.dtype else bf16 and device == "cuda"
    card = {"card_bytes": int((machine.memory_gb or dict(CHOICES).get(profile.name) or 16) * 10**9)}
    number_bytes = 2 if two else 4
    return Work(
        profile, shape_of(profile.model), device=device, number_bytes=number_bytes, has_bf16=bf16, **card | more
    )
