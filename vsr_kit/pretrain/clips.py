"""The rooms the miniature learns from, filmed once and kept on disk.

Beside the frames it keeps, for each merged video token, how many of its pixels show which box: labels a renderer gives
for free and the vision tower is first taught with. Filming is resumable; a half-written clip is filmed again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from vsr_kit.data import film
from vsr_kit.journals import read_json, replace, write_json
from vsr_kit.pretrain.folder import reserve
from vsr_kit.rooms import Room

MOST_BOXES = 32
_TOKEN_PX = 28
_TOKEN_FRAMES = 2


class ClipStore:
    """Frames and labels of N filmed rooms.

    Attributes:
        frames_NFHW3: uint8, on disk.
        cover_NVB: uint16 pixels of box B (index into `room.boxes`) inside merged token V; on disk.
    """

    def __init__(self, folder: Path, rooms: list[Room], num_frames: int = 8, size_px: int = 112) -> None:
        if most := max(len(room.boxes) for room in rooms) > MOST_BOXES:
            raise ValueError(f"a room has {most} boxes, the store holds {MOST_BOXES} a room; raise MOST_BOXES")
        self.folder, self.rooms, self.num_frames, self.size_px = Path(folder), rooms, num_frames, size_px
        self.folder.mkdir(parents=True, exist_ok=True)
        tokens = num_frames // _TOKEN_FRAMES * (size_px // _TOKEN_PX) ** 2
        n = len(rooms)
        self.frames_NFHW3 = self._array("frames.npy", (n, num_frames, size_px, size_px, 3), np.uint8)
        self.cover_NVB = self._array("cover.npy", (n, tokens, MOST_BOXES), np.uint16)

    def _array(self, name: str, shape: tuple[int, ...], dtype) -> np.ndarray:
        path = self.folder / name
        if not path.exists():
            (self.folder / "filmed.json").unlink(missing_ok=True)  # nothing is filmed in a file that is new
            replace(path, lambda beside: self._new(beside, shape, dtype))
        try:
            np.lib.format.open_memmap(path, "r")  # a file that is too short is filled up in silence by "r+"
            array = np.lib.format.open_memmap(path, "r+")
        except ValueError as error:
            raise ValueError(f"{path} is not whole ({error}): remove it, the rooms are filmed anew") from None
        reserve(path, self.folder)
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(
                f"{path} has shape {array.shape}, this recipe needs {shape}: use another folder or remove it"
            )
        return array

    def _new(self, path: Path, shape: tuple[int, ...], dtype) -> None:
        try:
            np.lib.format.open_memmap(path, "w+", dtype, shape).flush()
            reserve(path, self.folder)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    @property
    def filmed(self) -> int:
        """How many rooms, from the first, are on disk."""
        path = self.folder / "filmed.json"
        count = read_json(path, {"filmed": int})["filmed"] if path.exists() else 0
        if not 0 <= count <= len(self.rooms):
            raise ValueError(f"{path} does not say how many rooms are filmed: remove it, they are filmed anew")
        return count

    def film_all(self) -> None:
        """Film what is missing; a progress bar tells how far it is."""
        for i in tqdm(range(self.filmed, len(self.rooms)), desc="filming rooms", unit="room", mininterval=5):
            clip = film(self.rooms[i], self.num_frames, self.size_px)
            self.frames_NFHW3[i] = clip.frames_FHW3
            self.cover_NVB[i] = token_cover(clip.object_ids_FHW)
            if i % 100 == 99 or i == len(self.rooms) - 1:
                self.frames_NFHW3.flush()
                self.cover_NVB.flush()
                write_json(self.folder / "filmed.json", {"filmed": i + 1})


def token_cover(object_ids_FHW: np.ndarray) -> np.ndarray:
    """Pixels of each box inside each merged token, shape (V, MOST_BOXES), tokens in Qwen2-VL's order (t, h, w)."""
    f, h, w = object_ids_FHW.shape
    t, rows, columns = f // _TOKEN_FRAMES, h // _TOKEN_PX, w // _TOKEN_PX
    ids = object_ids_FHW.reshape(t, _TOKEN_FRAMES, rows, _TOKEN_PX, columns, _TOKEN_PX).transpose(0, 2, 4, 1, 3, 5)
    ids = ids.reshape(t * rows * columns, -1).astype(np.int64)
    flat = np.where(ids < 0, MOST_BOXES, ids) + (MOST_BOXES + 1) * np.arange(len(ids))[:, None]
    counts = np.bincount(flat.ravel(), minlength=len(ids) * (MOST_BOXES + 1))
    return counts.reshape(len(ids), MOST_BOXES + 1)[:, :MOST_BOXES].astype(np.uint16)
