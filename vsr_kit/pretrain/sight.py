"""First lesson: the vision tower learns to see, from labels a renderer gives for free.

Each merged token is asked, through heads that are thrown away afterwards, which categories it shows, where the largest
of them stands in the room, how long it is, and how large the room is. A web-pretrained tower has seen more than that;
ours would need far more clips than a laptop films if it had to learn seeing from answers alone.
Left out: augmentation, and anything the language model sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from vsr_kit.pretrain.clips import ClipStore
from vsr_kit.rooms import CATEGORIES, Room

LEAST_PIXELS = 6
_POSITION_UNIT_M, _LENGTH_UNIT_M, _WALL_UNIT_M = 3.0, 1.0, 6.0


def room_position(room: Room, point_m) -> tuple[float, float]:
    """Metres east and north of the room's middle: along the shell's own first and second axis."""
    offset = np.asarray(point_m)[:2] - np.asarray(room.shell.center)[:2]
    east, north = np.asarray(room.shell.axes)[:2, :2] @ offset
    return float(east), float(north)


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
