"""Training the vision tower to see: filmed rooms, labels for each token, and heads that predict them.

`ClipStore` films the rooms once and keeps on disk, beside the frames, how many pixels of each merged video token show
which box: labels that a renderer gives for free. Filming is resumable; a half-written clip is filmed again.

Through heads that are discarded afterwards, each merged token predicts which categories it shows, where the largest of
them stands in the room, how long it is, and how large the room is. A web-pretrained tower has seen more than that; this
one would need far more clips than a laptop can film if it had to learn seeing from answers alone.

Left out: augmentation, and anything that the language model sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from vsr_kit.files import read_json, replace, write_json
from vsr_kit.miniature.folder import reserve
from vsr_kit.rooms import CATEGORIES, Room, room_position
from vsr_kit.videos import film

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


LEAST_PIXELS = 6
_POSITION_UNIT_M, _LENGTH_UNIT_M, _WALL_UNIT_M = 3.0, 1.0, 6.0


@dataclass
class SightLabels:
    """Labels of B clips with V merged tokens each.

    Attributes:
        shown_BVC: 1 where a token shows a category, float.
        main_BV: the category with most pixels, `len(CATEGORIES)` where there is none.
        place_BV3: its position in the room and its longest side, scaled to about one.
        walls_B2: the room's width and depth, scaled to about one.
    """

    shown_BVC: torch.Tensor
    main_BV: torch.Tensor
    place_BV3: torch.Tensor
    walls_B2: torch.Tensor


def sight_labels(store: ClipStore, indices: list[int]) -> SightLabels:
    """Look up the labels of some of the store's clips."""
    cover_BVN = torch.from_numpy(store.cover_NVB[indices].astype(np.int32))
    b, v, n = cover_BVN.shape
    categories_BN = torch.full((b, n), len(CATEGORIES))
    places_BN3 = torch.zeros(b, n, 3)
    walls = torch.zeros(b, 2)
    for row, i in enumerate(indices):
        room = store.rooms[i]
        walls[row] = torch.tensor(room.shell.size[:2]) / _WALL_UNIT_M
        for k, box in enumerate(room.boxes):
            categories_BN[row, k] = CATEGORIES.index(box.category)
            east, north = room_position(room, box.center)
            places_BN3[row, k] = torch.tensor(
                [east / _POSITION_UNIT_M, north / _POSITION_UNIT_M, box.longest_m / _LENGTH_UNIT_M]
            )
    shown = torch.zeros(b, v, len(CATEGORIES) + 1)
    seen = (cover_BVN >= LEAST_PIXELS).float()
    shown.scatter_reduce_(2, categories_BN[:, None].expand(b, v, n), seen, "amax")
    largest_BV = cover_BVN.argmax(-1)
    main = categories_BN.gather(1, largest_BV)
    main = torch.where(cover_BVN.amax(-1) >= LEAST_PIXELS, main, len(CATEGORIES))
    place = places_BN3.gather(1, largest_BV[..., None].expand(b, v, 3))
    return SightLabels(shown[..., :-1], main, place, walls)


class SightHeads(nn.Module):
    """Linear read-outs of a merged token, one set for every category together, so that places share their axes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shown = nn.Linear(width, len(CATEGORIES))
        self.main = nn.Linear(width, len(CATEGORIES) + 1)
        self.place = nn.Linear(width, 3)
        self.walls = nn.Linear(width, 2)

    def loss(self, features_BVD: torch.Tensor, labels: SightLabels) -> tuple[torch.Tensor, dict[str, float]]:
        """Sum of the four losses, and what a person can read: accuracies and median errors in metres."""
        shown, main = self.shown(features_BVD), self.main(features_BVD)
        place, walls = self.place(features_BVD), self.walls(features_BVD)
        there = labels.main_BV < len(CATEGORIES)
        off = (place - labels.place_BV3)[there]
        wall_off = walls - labels.walls_B2[:, None]
        loss = (
            3 * F.binary_cross_entropy_with_logits(shown, labels.shown_BVC)
            + F.cross_entropy(main.flatten(0, 1), labels.main_BV.flatten())
            + F.smooth_l1_loss(off, torch.zeros_like(off), beta=0.1) * 3
            + F.smooth_l1_loss(wall_off, torch.zeros_like(wall_off), beta=0.1)
        )
        right = (main.argmax(-1) == labels.main_BV)[there].float().mean()
        read = {
            "main_accuracy": float(right),
            "place_error_m": float(off[:, :2].detach().norm(dim=-1).median() * _POSITION_UNIT_M),
            "length_error_m": float(off[:, 2].detach().abs().median() * _LENGTH_UNIT_M),
            "wall_error_m": float(wall_off.detach().abs().median() * _WALL_UNIT_M),
        }
        return loss, read
