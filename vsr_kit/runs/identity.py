"""Identity of a run: rows, clips, weights and settings as hashes, compared before the run is resumed.

A run that is resumed with other rows, clips, adapter or settings would be two runs in one folder, and none of its
numbers would mean anything. So a run records what it is made of when it begins, as hashes where that is large. A resume
is compared with the record, and the error names the first difference with both values. Folders of earlier versions
recorded nothing: they can be resumed, and the run reports what could not be compared.
Left out: code, packages and hardware, which versions.json records and which may differ between attempts.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from vsr_kit.files import plain

HASH_SHOWN = 12  # of a hash's 64 letters


def rows_identity(rows: Iterable[Mapping]) -> dict:
    """{"rows": how many, "rows sha256": over every field of every row, in order}."""
    digest, count = hashlib.sha256(), 0
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=plain).encode() + b"\n")
        count += 1
    return {"rows": count, "rows sha256": digest.hexdigest()}


def clips_identity(clips: Mapping[str, np.ndarray] | None, scenes: Iterable[str]) -> dict:
    """{"clips sha256": over names, sizes and pixels of the clips of `scenes`}; None where no clip is shown."""
    if clips is None:
        return {"clips sha256": None}
    digest = hashlib.sha256()
    for scene in sorted({scene for scene in scenes if scene in clips}):
        frames_FHW3 = np.ascontiguousarray(clips[scene])
        digest.update(f"{scene}\0{frames_FHW3.dtype}{frames_FHW3.shape}\0".encode(errors="surrogatepass"))
        digest.update(frames_FHW3.data)
    return {"clips sha256": digest.hexdigest()}


def weights_identity(model) -> dict:
    """{"adapter sha256": over the LoRA weights of a model in memory, as float32}; None where it has none.

    A hash of what answers, not of a file: an adapter that was trained on, copied or saved anew is told by its numbers.
    """
    if model is None or not hasattr(model, "named_parameters"):
        return {"adapter sha256": None}
    digest, found = hashlib.sha256(), False
    for name, weight in sorted(model.named_parameters(), key=lambda item: item[0]):
        if "lora_" in name:
            _count_weight(digest, name, weight)
            found = True
    return {"adapter sha256": digest.hexdigest() if found else None}


def adapter_file_identity(path: Path) -> str:
    """The "adapter sha256" of a model that has loaded this adapter_model.safetensors."""
    from safetensors.torch import load_file

    named = {re.sub(r"(\.lora_\w+)\.weight$", r"\1.default.weight", key): own for key, own in load_file(path).items()}
    digest = hashlib.sha256()
    for name, weight in sorted(named.items()):
        _count_weight(digest, name, weight)
    return digest.hexdigest()


def _count_weight(digest, name: str, weight) -> None:
    digest.update(f"{name}\0{tuple(weight.shape)}\0".encode())
    digest.update(weight.detach().float().cpu().contiguous().numpy().data)


def difference(recorded: Mapping, now: Mapping) -> str | None:
    """What differs, each with both values, in one line; None where all that both know agrees."""
    now = json.loads(json.dumps(now, default=plain))  # as it comes back from a file
    told = [
        f"{name} was {_shown(name, recorded[name])} and is {_shown(name, now[name])} now"
        for name in now
        if name in recorded and recorded[name] != now[name]
    ]
    return ", ".join(told) or None


def unknown(recorded: Mapping, now: Mapping) -> list[str]:
    """What a record says nothing about."""
    return [name.removesuffix(" sha256") for name in now if name not in recorded]


def _shown(name: str, value) -> str:
    if isinstance(value, str) and name.endswith("sha256"):
        return value[:HASH_SHOWN] + "…"
    return repr(value)


def same_run(run, now: Mapping, begun: bool) -> list[str]:
    """Compare a run that goes on with what it was begun as; a run that begins is written down.

    Args:
        run: a runs.RunFolder that can write.
        now: what it would go on as, flat.
        begun: whether the folder holds steps or answers.

    Returns:
        What could not be compared, since the folder's version did not record it.

    Raises:
        ValueError: something differs; nothing was written.
    """
    recorded = run.identity
    if told := difference(recorded, now):
        raise ValueError(
            f"{run.path} was begun otherwise: {told}; give what it was begun with, or begin a new run without --resume "
            "(resume=True)"
        )
    missing = unknown(recorded, now) if begun else []
    if not begun or missing:
        run.identify({**recorded, **now})
    return missing
