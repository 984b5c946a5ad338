"""The installation as `vsr doctor` sees it: Python, packages, device, disk, threads, and two that get in the way.

Ranges are pyproject.toml's, read from the checkout or from the installed package's metadata; the versions that the kit
is tested with are constraints.txt's, which only a checkout has. Two packages that the kit does not ask for can break
it where they are installed beside it, as on Colab: torchvision built for another torch breaks transformers, and a
torchao that is too old makes PEFT refuse every LoRA layer without 4-bit weights.
Left out: drivers below CUDA's version, other users of a GPU, and the network.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

from vsr_kit.diagnosis.findings import Diagnosis, Finding
from vsr_kit.files import in_a_line
from vsr_kit.paths import checkout
from vsr_kit.runs import runs_root
from vsr_kit.runs.provenance import hardware

FREE_GB, LITTLE_GB = 10, 2  # Qwen2-VL-2B is 4.5 GB on disk, and runs and their checkpoints come on top
TORCHAO = "0.16.0"  # the least that PEFT 0.21 takes (peft/import_utils.py)
_GPU_GB = 14  # profile t4 is made for a card of 16 GB, of which about 15 can be used


def check_environment() -> Diagnosis:
    """Look at the installation; imports torch."""
    checks = (_python, _packages, _tested, _torchvision, _torchao, _device, _threads, _disk)
    return Diagnosis(str(Path(sys.prefix)), "installation", tuple(own for check in checks for own in check()))


def _python() -> Iterator[Finding]:
    from packaging.specifiers import SpecifierSet

    needed, here = _requires_python(), platform.python_version()
    numbers = {"version": here, "range": needed}
    if SpecifierSet(needed).contains(here, prereleases=True):
        yield Finding("python", "fine", f"Python {here}", f"needs {needed}", numbers=numbers)
    else:
        yield Finding("python", "problem", f"Python {here} is not supported", f"needs {needed}",
                      "make an environment with a Python of that range", numbers)  # fmt: skip


def _packages() -> Iterator[Finding]:
    """Every package that pyproject.toml asks for: is it there, and in its range?"""
    fine = []
    for needed in _requirements():
        found = _version(needed.name)
        numbers = {"version": found, "range": str(needed.specifier)}
        install = f"pip install '{needed.name}{needed.specifier}'"
        if found is None:
            yield Finding(needed.name, "problem", "is not installed", f"needs {needed.specifier}", install, numbers)
        elif not needed.specifier.contains(found, prereleases=True):
            told = f"{found} is outside the range that the kit was tried with"
            yield Finding(needed.name, "problem", told, f"needs {needed.specifier}", install, numbers)
        else:
            fine.append(f"{needed.name} {found}")
    if fine:
        yield Finding("packages", "fine", f"{len(fine)} packages are in their ranges", ", ".join(fine))


def _tested() -> Iterator[Finding]:
    """Where this installation differs from the versions that the kit is tested with; worth knowing, no fault."""
    differ = {name: (found, tested) for name, tested in _constraints().items() if (found := _version(name))
              and found.split("+")[0] != tested}  # fmt: skip
    if differ:
        told = ", ".join(f"{name} {found} (tested: {tested})" for name, (found, tested) in sorted(differ.items()))
        remedy = "pip install -c constraints.txt, if something fails"
        yield Finding("tested versions", "note", f"{len(differ)} packages are other than tested", told, remedy)


def _torchvision() -> Iterator[Finding]:
    found = _version("torchvision")
    if found is None:
        yield Finding("torchvision", "fine", "torchvision is not installed, and the kit does without")
        return
    try:
        import_module("torchvision")
    except Exception as error:  # RuntimeError: operator torchvision::nms does not exist
        remedy = "pip uninstall -y torchvision (the kit needs none), or install the one made for this torch"
        evidence = f"torchvision {found}, torch {_version('torch')}: {in_a_line(error)}"
        yield Finding("torchvision", "problem", "torchvision does not import; transformers will fail", evidence, remedy)
    else:
        yield Finding("torchvision", "fine", "torchvision imports", found)


def _torchao() -> Iterator[Finding]:
    from packaging.version import Version

    found = _version("torchao")
    if found is not None and Version(found) < Version(TORCHAO):
        evidence = f"torchao {found}, PEFT {_version('peft')} needs {TORCHAO}"
        remedy = f"pip uninstall -y torchao (the kit needs none), or pip install 'torchao>={TORCHAO}'; then restart"
        told = "torchao is too old: PEFT refuses LoRA on weights that are not in 4 bits"
        yield Finding("torchao", "problem", told, evidence, remedy, {"version": found, "least": TORCHAO})
    elif found is not None:
        yield Finding("torchao", "fine", "torchao is new enough for PEFT", found)


def _device() -> Iterator[Finding]:
    if _version("torch") is None:
        return  # said among the packages
    import torch

    for i in range(torch.cuda.device_count()):
        own = torch.cuda.get_device_properties(i)
        total = own.total_memory / 1e9
        bf16 = torch.cuda.is_bf16_supported(False)
        numbers = {"name": own.name, "memory_gb": round(total, 1), "bf16": bf16}
        evidence = f"{total:.1f} GB, compute capability {own.major}.{own.minor}, bf16 {'yes' if bf16 else 'no: fp32'}"
        level = "fine" if total >= _GPU_GB else "note"
        remedy = "" if level == "fine" else "a 2B model in 4 bits needs about 15 GB for GRPO: lower frames and passes"
        yield Finding(f"gpu {i}", level, own.name, evidence, remedy, numbers)
    if not torch.cuda.device_count():
        kind = "Apple's GPU (mps)" if torch.backends.mps.is_available() else "no GPU"
        told = f"{kind}: the miniature trains here; profiles t4, a100 and paper need CUDA"
        yield Finding("gpu", "note", told, f"torch {_version('torch')}", numbers={"name": None})


def _threads() -> Iterator[Finding]:
    machine, asked = hardware(), os.environ.get("OMP_NUM_THREADS")
    evidence = f"{machine['cores']} cores, {machine['memory_gib']} GiB memory, OMP_NUM_THREADS {asked or 'not set'}"
    numbers = {"cores": machine["cores"], "omp_num_threads": asked}
    if asked and asked.isdigit() and int(asked) > (machine["cores"] or 1):
        told, remedy = "more threads than cores: they wait for each other", f"OMP_NUM_THREADS={machine['cores']}"
        yield Finding("threads", "warning", told, evidence, remedy, numbers)
    else:
        yield Finding("threads", "fine", "threads fit the cores", evidence, numbers=numbers)


def _disk() -> Iterator[Finding]:
    cache = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    for what, folder in (("runs", runs_root()), ("models", cache)):
        free = shutil.disk_usage(_existing(folder)).free / 1e9
        evidence, numbers = f"{free:.0f} GB free for {folder}", {"free_gb": round(free, 1)}
        if free >= FREE_GB:
            yield Finding(f"disk for {what}", "fine", "there is room", evidence, numbers=numbers)
        else:
            level = "problem" if free < LITTLE_GB else "warning"
            remedy = "free some, or choose another disk: VSR_RUNS for runs, HF_HOME for models"
            told = "there is little room: Qwen2-VL-2B alone takes 4.5 GB"
            yield Finding(f"disk for {what}", level, told, evidence, remedy, numbers)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(own for own in (folder.absolute(), *folder.absolute().parents) if own.exists())


# -- what is asked for -------------------------------------------------------------------------------------------------


def _requirements() -> list:
    """What pyproject.toml asks for on this machine, extras left out; of packaging's Requirement."""
    from packaging.requirements import Requirement

    project = _project()
    lines = project["dependencies"] if project else requires("vsr-kit") or []
    found = [Requirement(line) for line in lines]
    return [own for own in found if own.marker is None or own.marker.evaluate({"extra": ""})]


def _requires_python() -> str:
    project = _project()
    return project["requires-python"] if project else str(metadata("vsr-kit")["Requires-Python"])


def _project() -> dict | None:
    """pyproject.toml's [project] of a checkout; its metadata may be of an older one. None in an installed wheel."""
    top = checkout()
    path = None if top is None else top / "pyproject.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))["project"] if path and path.is_file() else None


def _constraints() -> dict[str, str]:
    """Package to tested version; empty without a checkout."""
    top = checkout()
    path = None if top is None else top / "constraints.txt"
    lines = path.read_text(encoding="utf-8").splitlines() if path and path.is_file() else []
    named = (line.split("#")[0].split(";")[0].strip() for line in lines)
    return dict(line.split("==", 1) for line in named if "==" in line)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
