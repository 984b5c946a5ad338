"""Provenance of a run: Python, packages, hardware, the commit of the code, and the hash of the weights.

`versions` writes them into a run folder's `versions.json`, so that two runs that differ can be compared later. A
checkpoint is identified by a hash of its weights' bytes, so that a retrained one under an old name is noticed, and by a
second hash of its tokenizer and chat template, without which the same weights read another text.
Left out: environment variables and user names (a run folder may be shared), and drivers below CUDA's version.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from vsr_kit import __version__
from vsr_kit.paths import checkout

TEXT_FILES = ("tokenizer*.json", "vocab.json", "merges.txt", "added_tokens.json", "special_tokens_map.json")
TEXT_FILES += ("chat_template.*", "*processor_config.json")


def versions(checkpoint: str | Path | None = None) -> dict:
    """A record of where and with what a run happens.

    checkpoint: a folder of weights (hashed) or a hub id (kept as it is). CUDA devices are listed where torch is loaded
    already; nothing heavy is imported for it.
    """
    return {
        "vsr_kit": __version__,
        "python": platform.python_version(),
        "packages": package_versions(),
        "hardware": hardware(),
        "git": git_state(),
        "checkpoint": None if checkpoint is None else checkpoint_identity(checkpoint),
    }


def package_versions() -> dict[str, str]:
    """Versions of the packages the kit asks for, as installed: {"torch": "2.13.0", ...}."""
    found = {}
    for name in _declared():
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _declared() -> list[str]:
    try:
        lines = requires("vsr-kit") or []
    except PackageNotFoundError:  # run straight from a checkout, never installed
        return ["torch", "transformers", "trl", "peft", "bitsandbytes", "numpy"]
    cut = str.maketrans(dict.fromkeys("<>=!~;[ ", "|"))
    return sorted({line.translate(cut).split("|")[0] for line in lines if "extra" not in line})


def hardware() -> dict:
    """Machine type, processor name, cores this process may use, memory in GiB, CUDA devices if torch is loaded."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    record = {
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": usable,
        "memory_gib": _memory_gib(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        record["torch_threads"] = torch.get_num_threads()
        record["cuda"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return record


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def git_state() -> dict | None:
    """{"commit": "…", "dirty": bool} of the checkout the code runs from; None for an installed wheel or without git."""
    top = checkout()
    if top is None or not (top / ".git").exists():
        return None
    commit, status = _git(top, "rev-parse", "HEAD"), _git(top, "status", "--porcelain")
    return None if commit is None else {"commit": commit, "dirty": bool(status)}


def _git(top: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(top), *words], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def checkpoint_identity(checkpoint: str | Path) -> dict:
    """{"name": …, "sha256": …, "text_sha256": …}: hashes of a folder, None for a hub id (its revision is the hub's).

    Records from before there was a `text_sha256` have none; `identity_differs` compares what both sides have.
    """
    folder = Path(checkpoint)
    if not folder.is_dir():
        return {"name": str(checkpoint), "sha256": None}
    return {"name": folder.name, "sha256": checkpoint_hash(folder), "text_sha256": text_hash(folder)}


def identity_differs(then: Mapping | None, now: Mapping) -> str | None:
    """What tells the checkpoint of a record from today's, with both values; None where they are the same.

    then, now: as `checkpoint_identity` makes them; the hash of the text counts where both sides have one.
    """
    then = then or {}
    if (was := then.get("sha256", "not recorded")) != now["sha256"]:
        return f"sha256 was {was} and is {now['sha256']} today"
    was, today = then.get("text_sha256"), now.get("text_sha256")
    if was and today and was != today:
        return f"text_sha256 (tokenizer, chat template) was {was} and is {today} today"
    return None


def checkpoint_hash(folder: str | Path) -> str:
    """SHA-256 over names and bytes of the folder's safetensors and configuration files, in the order of their names.

    Raises ValueError where there are no safetensors: other weight formats can run code when loaded and are not read.
    """
    folder = Path(folder)
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*config.json")])
    if not any(file.suffix == ".safetensors" for file in files):
        raise ValueError(f"{folder} holds no .safetensors file; the kit reads weights in that format only")
    return _hash_of(files)


def text_hash(folder: str | Path) -> str:
    """SHA-256, as `checkpoint_hash`, over what turns text and clips into numbers: tokenizer, template, processor."""
    return _hash_of(sorted({file for pattern in TEXT_FILES for file in Path(folder).glob(pattern)}))


def _hash_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
