"""Cache of clip features: each clip goes through the frozen vision tower once per run.

Rollouts, reference model and policy read the same clip, a data set asks dozens of questions about it, and every epoch
returns to it. `FeatureStore.encode` looks for a clip's features in memory, then in a folder, and only then runs the
tower. A key is a hash of everything that decides the features: the frames, the processor's class and settings, the
tower's weights and configuration, an adapter on it, precision, autocast and the libraries' versions. Entries never need
invalidating: changed weights, settings or libraries give a new key.

Clips are encoded one at a time. In bf16 the last bits of a clip's features depend on the other clips of the batch, so
only separate encoding makes a run with a cold cache equal to one with a warm cache, bit for bit; one clip is enough
work for the machine anyway.

The folder holds one safetensors file per clip. Files are written under another name and renamed, sealed with a hash of
their content, and read completely, so that a kill, a second process or a foreign file costs a cache miss and nothing
more.

Left out: locks (two processes may encode the same clip at the same time and write the same file), threads sharing a
store, compression, pinned host memory, towers offloaded to disk, and rounding that differs between machines of one
kind. The caller promises that the tower is frozen. A weight changed by an optimizer, by `load_state_dict` or by
conversion is noticed; one changed in place through `.data` is not.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import secrets
import time
import warnings
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import PIL
import torch
import transformers
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load, save

from vsr_kit.models.vision import TORCHVISION, ClipFeatures, core_model, encode_clip

LIBRARIES = [torch, transformers, PIL, *([importlib.import_module("torchvision")] if TORCHVISION else [])]
_FILE = re.compile(r"[0-9a-f]{64}\.safetensors")
_PART = re.compile(r"\.[0-9a-f]{64}\.[0-9a-f]{16}\.part")
_STALE_PART_S = 3600  # a file that is still being written after an hour was left by a kill
_WRITES_BETWEEN_LOOKS = 64
# tower -> (where its weights lie and how often they were written, the hash of what they hold)
_TOWERS: weakref.WeakKeyDictionary[torch.nn.Module, tuple[list, str]] = weakref.WeakKeyDictionary()


class FeatureStore:
    """Features of clips, each computed once: in memory first, then in a folder that a later run finds warm.

    Args:
        memory_bytes: of features kept between calls, on the device they were computed on; the longest unused go first.
            The clips of one call are held until it returns, however large. None is 4 GiB, on a GPU a twentieth of it.
        folder: one safetensors file a clip, shared safely by several processes and runs; None keeps memory only.
        disk_bytes: of features in the folder; the files read or written longest ago go first. What other processes
            write is seen at every 64th write, so several may pass the bound by 64 clips each.

    Attributes:
        encoded, from_memory, from_disk: clips that went through the tower, and that did not have to, so far. A clip
            named several times in one call counts once.

    Raises:
        ValueError: a negative bound.
    """

    def __init__(
        self, memory_bytes: int | None = None, folder: Path | str | None = None, disk_bytes: int = 20 * 2**30
    ) -> None:
        memory_bytes = _default_memory_bytes() if memory_bytes is None else memory_bytes
        for name, bound in (("memory_bytes", memory_bytes), ("disk_bytes", disk_bytes)):
            if bound < 0:
                raise ValueError(f"{name} is {bound}: a bound in bytes is 0 (keep nothing) or more")
        self.memory_bytes = memory_bytes
        self.encoded = self.from_memory = self.from_disk = 0
        self._memory: dict[str, ClipFeatures] = {}  # the longest unused first
        self._folder = None if folder is None else _Folder(Path(folder), disk_bytes)

    @property
    def bytes_in_memory(self) -> int:
        """Bytes of the features now in memory."""
        return sum(clip.features_VD.nbytes for clip in self._memory.values())

    def encode(self, model, processor, frames: Sequence[np.ndarray]) -> list[ClipFeatures]:
        """Features of these clips, in order, bit for bit what `vision.encode_clip` gives for each.

        Args:
            model: a Qwen2-VL with a frozen vision tower, also inside PEFT or DistributedDataParallel.
            processor: its processor.
            frames: clips, each uint8 (F, H, W, 3); sizes may differ.

        Returns:
            One ClipFeatures a clip, on the tower's device, without gradient. They are the store's own: do not write
            into them.

        Raises:
            ValueError: a clip of another type or shape (from `vision.encode_clips`).
        """
        if not len(frames):
            return []
        # Features made inside torch.inference_mode could never meet a gradient, and these outlive this call.
        with torch.inference_mode(False):
            setting = _setting(model, processor)
            keys = [_clip_key(setting, clip) for clip in frames]
            found = self._gather(model, processor, dict(zip(keys, frames, strict=True)))
        return [found[key] for key in keys]

    def _gather(self, model, processor, wanted: Mapping[str, np.ndarray]) -> dict[str, ClipFeatures]:
        """Features by key. What memory holds is taken out first, so that nothing of this call is let go during it."""
        device = core_model(model).model.visual.device
        found = {key: _on(self._memory.pop(key), device) for key in wanted if key in self._memory}
        self.from_memory += len(found)
        try:
            for key in [key for key in wanted if key not in found]:
                found[key] = self._from_folder(key, device) or self._compute(model, processor, key, wanted[key])
        finally:  # a bad clip in the middle costs nothing of what was done before it
            self._memory.update(found)
            self._forget()
        return found

    def _from_folder(self, key: str, device: torch.device) -> ClipFeatures | None:
        clip = self._folder and self._folder.read(key)
        if clip is None:
            return None
        self.from_disk += 1
        return _on(clip, device)

    def _compute(self, model, processor, key: str, frames_FHW3: np.ndarray) -> ClipFeatures:
        clip = encode_clip(model, processor, frames_FHW3)
        self.encoded += 1
        if self._folder:
            self._folder.write(key, clip)
        return clip

    def _forget(self) -> None:
        held = self.bytes_in_memory
        for key in list(self._memory):
            if held <= self.memory_bytes:
                break
            held -= self._memory.pop(key).features_VD.nbytes


def _default_memory_bytes() -> int:
    return min(4 * 2**30, torch.cuda.mem_get_info()[1] // 20 if torch.cuda.is_available() else 4 * 2**30)


def _on(clip: ClipFeatures, device: torch.device) -> ClipFeatures:
    return ClipFeatures(clip.features_VD.to(device), clip.grid_thw)


# -- what decides a clip's features ------------------------------------------------------------------------------------


def _clip_key(setting: str, frames_FHW3: np.ndarray) -> str:
    frames = np.ascontiguousarray(frames_FHW3)
    digest = hashlib.sha256(f"{setting} {frames.dtype} {frames.shape} ".encode())
    digest.update(frames)
    return digest.hexdigest()


def _setting(model, processor) -> str:
    """All that decides features apart from the frames, as text: two settings are the same when their texts are."""
    tower, video = core_model(model).model.visual, processor.video_processor
    kind = tower.device.type
    # Read from the new switches alone: asking the old ones is an error once somebody has set a new one. "none", nothing
    # said so far, computes as "ieee".
    products = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.mkldnn.matmul)
    setting = {
        "processor": [type(video).__module__, type(video).__qualname__, video.to_dict()],
        "tower": [_tower_hash(tower), tower.config.to_dict(), tower.config._attn_implementation, _adapters(tower)],
        "device": kind,
        "autocast": torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None,
        "fp32 products": [getattr(p, "fp32_precision", "none").replace("none", "ieee") for p in products],
        "libraries": [f"{library.__name__} {library.__version__}" for library in LIBRARIES],
    }
    return json.dumps(setting, sort_keys=True, default=str)


def _adapters(tower: torch.nn.Module) -> list:
    """Which adapters on the tower are at work, and how strongly; the kit's own never sit there."""
    return [
        [name, part.active_adapters, part.disable_adapters, part.merged_adapters, getattr(part, "scaling", None)]
        for name, part in tower.named_modules()
        if isinstance(part, BaseTunerLayer)
    ]


def _tower_hash(tower: torch.nn.Module) -> str:
    """Hash of the tower's weights, remembered until the tower goes or a weight is written or moved."""
    weights = [*tower.named_parameters(), *tower.named_buffers()]
    state = [(name, w.data_ptr(), None if w.is_inference() else w._version, w.dtype, w.device) for name, w in weights]
    known = _TOWERS.get(tower)
    if known is None or known[0] != state:
        # state_dict has what 4-bit weights keep beside themselves, named_buffers what is not saved
        known = _TOWERS[tower] = (state, _hash_of({**dict(tower.named_buffers()), **tower.state_dict()}.items()))
    return known[1]


def _hash_of(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


# -- the folder --------------------------------------------------------------------------------------------------------


class _Folder:
    """Features in files `<key>.safetensors`; other files are left alone, and a torn or foreign one is a miss."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.max_bytes = folder, max_bytes
        self._writes, self._gave_up = 0, False
        self._make_room()  # sets _bytes: in the folder when last looked, plus what this process wrote since

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def read(self, key: str) -> ClipFeatures | None:
        """The clip's features on the CPU; None where there is no such file, or one that is torn or not ours."""
        path = self._path(key)
        try:
            clip = _unpacked(key, path.read_bytes())
        except OSError:
            return None
        with suppress(OSError):  # evicted in between, or a folder we may only read
            os.utime(path)
        return clip

    def write(self, key: str, clip: ClipFeatures) -> None:
        """Keep a clip's features. A folder that takes no more is said once; the run goes on without it."""
        if self._gave_up:
            return
        part = self.folder / f".{key}.{secrets.token_hex(8)}.part"
        data = _packed(key, clip)
        try:
            part.write_bytes(data)
            os.replace(part, self._path(key))
            self._bytes, self._writes = self._bytes + len(data), self._writes + 1
            if self._bytes > self.max_bytes or self._writes % _WRITES_BETWEEN_LOOKS == 0:
                self._make_room()
        except OSError as err:
            self._gave_up = True
            warnings.warn(f"clip features are no longer written to {self.folder}: {err}", stacklevel=2)
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Remove the files used longest ago until the rest fits, and parts that a kill left."""
        files = sorted(self._files())
        self._bytes = sum(size for _, _, size in files)
        for _, path, size in files:
            if self._bytes <= self.max_bytes:
                break
            with suppress(OSError):  # on Windows another process may be reading it
                path.unlink(missing_ok=True)
                self._bytes -= size

    def _files(self) -> list[tuple[int, Path, int]]:
        """(last use in ns, path, bytes) of every clip's file."""
        found = []
        for path in self.folder.iterdir():
            with suppress(OSError):  # another process removed it
                if _FILE.fullmatch(path.name):
                    stat = path.stat()
                    found.append((stat.st_mtime_ns, path, stat.st_size))
                elif _PART.fullmatch(path.name) and time.time() - path.stat().st_mtime > _STALE_PART_S:
                    path.unlink()
        return found


def _packed(key: str, clip: ClipFeatures) -> bytes:
    held = {"features_VD": clip.features_VD.cpu().contiguous(), "grid_thw": torch.tensor(clip.grid_thw)}
    return save(held | {"seal": _seal(key, held)})


def _unpacked(key: str, data: bytes) -> ClipFeatures | None:
    try:
        held = load(data)
    except Exception:  # safetensors says no in several ways, and all of them mean: not a file of ours
        return None
    if held.keys() != {"features_VD", "grid_thw", "seal"}:
        return None
    if held.pop("seal").tolist() != _seal(key, held).tolist():
        return None
    return ClipFeatures(held["features_VD"], tuple(held["grid_thw"].tolist()))


def _seal(key: str, held: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """32 bytes over the key and all the file holds: a file that was cut, altered or renamed does not match."""
    return torch.tensor(list(hashlib.sha256(f"{key} {_hash_of(held.items())}".encode()).digest()), dtype=torch.uint8)
