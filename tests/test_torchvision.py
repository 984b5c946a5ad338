"""The kit's video processors beside torchvision's, shape by shape; skipped where torchvision is not installed.

The kit needs no torchvision, and its default environment has none: run this file in an environment that has
(docs/guarantees.md tells what was measured, and with which versions).
"""

import numpy as np
import pytest

pytest.importorskip("torchvision")

import torch
import transformers

from vsr_kit.models.processors import Qwen2VLVideoProcessor, Qwen3VLVideoProcessor

# frames, height, width: those that keep their size, those that are resized, odd ones, films as they are common
SHAPES = [
    (4, 56, 56),
    (4, 112, 84),
    (3, 112, 112),
    (8, 224, 224),
    (4, 100, 61),
    (4, 30, 30),
    (2, 480, 640),
    (4, 640, 480),
    (2, 720, 1280),
    (2, 1080, 1920),
    (2, 300, 1000),
]
PAIRS = {
    "qwen2_vl": (Qwen2VLVideoProcessor, transformers.Qwen2VLVideoProcessor),
    "qwen3_vl": (Qwen3VLVideoProcessor, transformers.Qwen3VLVideoProcessor),
}
# By kind of picture: grey levels by which one value may differ, and the share of values that may by more than 2.5.
# Noise is the worst there is: where a size is nearly kept, the two libraries weigh neighbours differently.
BOUNDS = {"noise": (26.0, 0.02), "waves": (2.5, 1e-4)}


def noise(frames: int, height: int, width: int) -> np.ndarray:
    """The steepest edges there are."""
    return np.random.default_rng(1).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def waves(frames: int, height: int, width: int) -> np.ndarray:
    """Smooth, like most of a room."""
    y, x = np.mgrid[0:height, 0:width]
    colours = [[127 + 120 * np.sin(x / 17 + k) * np.cos(y / 23 + c) for c in range(3)] for k in range(frames)]
    return np.stack([np.stack(own, -1) for own in colours]).astype(np.uint8)


def apart(family: str, clip: np.ndarray) -> tuple[np.ndarray, bool]:
    """Differences in grey levels, and whether the clip kept its size."""
    ours, stock = PAIRS[family]
    size = {"shortest_edge": 56 * 56, "longest_edge": 401_408 * (4 if family == "qwen3_vl" else 1)}
    found = ours(size=size)(videos=[clip], return_tensors="pt")
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2)
    theirs = stock(size=size, cap_pixels_per_frame=False)(videos=[frames], do_sample_frames=False, return_tensors="pt")
    assert found["video_grid_thw"].tolist() == theirs["video_grid_thw"].tolist()
    step = (found["pixel_values_videos"] - theirs["pixel_values_videos"]).abs().numpy()
    levels = step.reshape(len(step), 3, -1) * 255 * np.array(ours.image_std)[None, :, None]
    _, high, wide = found["video_grid_thw"].tolist()[0]
    return levels, (high * ours.patch_size, wide * ours.patch_size) == clip.shape[1:3]


@pytest.mark.parametrize("family", PAIRS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
def test_the_grid_is_torchvisions_and_pixels_are_as_near_as_is_told(family, shape):
    for make in (noise, waves):
        levels, kept = apart(family, make(*shape))
        most, share = BOUNDS[make.__name__]
        if kept:
            assert levels.max() < 1e-3  # rounding of fp32
        assert levels.max() <= most and (levels > 2.5).mean() <= share


def test_a_different_filter_would_be_seen():
    """Nearest neighbours in the place of bicubic differ by far more than is allowed."""
    clip = noise(2, 300, 220)
    usual, _ = apart("qwen2_vl", clip)
    before = Qwen2VLVideoProcessor.resample
    try:
        Qwen2VLVideoProcessor.resample = 0
        other, _ = apart("qwen2_vl", clip)
    finally:
        Qwen2VLVideoProcessor.resample = before
    assert other.max() > 3 * BOUNDS["noise"][0] and (other > 2.5).mean() > 0.2 > (usual > 2.5).mean()
