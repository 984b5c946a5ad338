"""Cache of decoded frames: a long video is decoded and shrunk once, and later runs read its frames from a folder.

Every frame of a video must be decoded to take a few of them, which is seconds for a film of minutes; what is left of it
are some megabytes. A file's name is a hash of everything that decides its frames: path, size and time of change of the
video, how many frames of how many pixels were asked for, and the versions of the libraries that decode and shrink. So
nothing has to be invalidated: a changed video or another limit is another name.

A file is written under another name and renamed, and carries a SHA-256 of its content: a file that was cut, altered or
renamed is decoded anew and replaced. Above `most_bytes` the files used longest ago go. Clips that decode faster than
reading them back is worth are not kept.

`$VSR_CACHE` names the folder, or is `off`; `$VSR_CACHE_GB` bounds it.
Left out: locks (two processes may decode the same clip and write the same file), compression, and a video that was
changed without a change of its size and its time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from vsr_kit.paths import cache_bytes, cache_folder
from vsr_kit.videos import Video

WORTH_S = 0.2  # of decoding: what is faster is decoded again
_FORMAT = 1
_FILE = re.compile(r"[0-9a-f]{64}\.safetensors")
_PART = re.compile(r"\.[0-9a-f]{64}\.[0-9a-f]{16}\.part")
_STALE_PART_S = 3600  # a file that is still being written after an hour was left by a kill


class FrameCache:
    """Decoded clips in a folder; several processes and threads may share it.

    Args:
        folder: made when the first clip is kept.
        most_bytes: of all files.
        worth_s: clips that decode in less are not kept.

    Attributes:
        hits, damaged: clips that were read from it, and files that were not what was written.

    Raises:
        ValueError: a negative bound.
    """

    def __init__(self, folder: str | Path, most_bytes: int = 10 * 2**30, worth_s: float = WORTH_S) -> None:
        if most_bytes < 0:
            raise ValueError(f"most_bytes is {most_bytes}: a bound in bytes is 0 (keep nothing) or more")
        self.folder, self.most_bytes, self.worth_s = Path(folder), most_bytes, worth_s
        self.hits = self.damaged = 0
        self._gave_up = False

    def video(self, path: str | Path, settings: Mapping, decode: Callable[[], Video]) -> Video:
        """The frames of a video file: from the folder, or else what `decode` gives, which is then kept.

        Args:
            path: of the video; it is what `decode` reads.
            settings: all else that decides the frames, flat.
            decode: may raise; nothing is kept then.
        """
        try:
            key = _key(Path(path), settings)
        except OSError:  # no such file: decode says it in its own words
            return decode()
        if (kept := self._read(key)) is not None:
            self.hits += 1
            return kept
        began = time.monotonic()
        video = decode()
        if time.monotonic() - began >= self.worth_s:
            self._write(key, video)
        return video

    def _read(self, key: str) -> Video | None:
        path = self.folder / f"{key}.safetensors"
        try:
            data = path.read_bytes()
        except OSError:
            return None
        video = _unpacked(key, data)
        self.damaged += video is None
        with suppress(OSError):  # evicted in between, or a folder we may only read
            os.utime(path)
        return video

    def _write(self, key: str, video: Video) -> None:
        """Keep a clip. A folder that takes no more is said once; the run goes on without it."""
        data = _packed(key, video)
        if self._gave_up or len(data) > self.most_bytes:
            return
        part = self.folder / f".{key}.{secrets.token_hex(8)}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            os.replace(part, self.folder / f"{key}.safetensors")
            self._make_room()
        except OSError as error:
            self._gave_up = True
            warnings.warn(f"decoded frames are no longer kept in {self.folder}: {error}", stacklevel=2)
            with suppress(OSError):
                part.unlink(missing_ok=True)

    def _make_room(self) -> None:
        """Remove the files used longest ago until the rest fits, and parts that a kill left."""
        files = sorted(self._files())
        held = sum(size for _, _, size in files)
        for _, path, size in files:
            if held <= self.most_bytes:
                break
            with suppress(OSError):
                path.unlink(missing_ok=True)
                held -= size

    def _files(self) -> list[tuple[int, Path, int]]:
        """(last use in ns, path, bytes) of every clip's file."""
        found = []
        for path in self.folder.iterdir():
            with suppress(OSError):  # another process removed it
                stat = path.stat()
                if _FILE.fullmatch(path.name):
                    found.append((stat.st_mtime_ns, path, stat.st_size))
                elif _PART.fullmatch(path.name) and time.time() - stat.st_mtime > _STALE_PART_S:
                    path.unlink()
        return found


def default_cache() -> FrameCache | None:
    """The cache that the environment names (`paths.cache_folder`); None where it is off."""
    folder = cache_folder()
    return None if folder is None else FrameCache(folder / "frames", cache_bytes())


def _key(path: Path, settings: Mapping) -> str:
    import av
    import PIL

    files = sorted(path.iterdir()) if path.is_dir() else [path]  # frames may lie in a folder, one file each
    stats = [(file.name, file.stat()) for file in files]
    made_of = {
        "video": [str(path.resolve()), [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]],
        "settings": dict(settings),
        "libraries": [av.__version__, sorted(av.library_versions.items()), PIL.__version__],
        "format": _FORMAT,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode(errors="surrogatepass")).hexdigest()


def _packed(key: str, video: Video) -> bytes:
    from safetensors.numpy import save

    notes = np.frombuffer(json.dumps(video.notes).encode(errors="surrogatepass"), np.uint8)
    frames = np.ascontiguousarray(video.frames_FHW3)
    return save({"frames_FHW3": frames, "notes": notes, "seal": _seal(key, frames, notes)})


def _unpacked(key: str, data: bytes) -> Video | None:
    """What was packed; None for anything else: a file that is cut, altered, renamed or another program's."""
    from safetensors.numpy import load

    try:
        held = load(data)
        frames, notes, seal = held["frames_FHW3"], held["notes"], held["seal"]
        if not np.array_equal(seal, _seal(key, frames, notes)):
            return None
        return Video(frames, json.loads(notes.tobytes().decode(errors="surrogatepass")))
    except Exception:  # safetensors says no in several ways, and all of them mean: not a file of ours
        return None


def _seal(key: str, frames_FHW3: np.ndarray, notes: np.ndarray) -> np.ndarray:
    """32 bytes over the name and all that the file holds."""
    digest = hashlib.sha256(f"{key} {frames_FHW3.dtype} {frames_FHW3.shape} ".encode())
    digest.update(np.ascontiguousarray(frames_FHW3).data)
    digest.update(np.ascontiguousarray(notes).data)
    return np.frombuffer(digest.digest(), np.uint8)
