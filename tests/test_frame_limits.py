"""Frames and pixels of clips: the same sizes, pixels and tokens as Qwen2-VL's own code gives, and limits that hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from vsr_kit.models.vision import Qwen2VLVideoProcessor, load_processor
from vsr_kit.videos import write_mp4
from vsr_kit.videos.frame_limits import (
    FrameLimits,
    PixelBounds,
    bounds_of,
    frames_by_rate,
    length_of,
    shrink,
    shrunk_size,
    smart_size,
    video_tokens,
)

# as phones, ARKitScenes, ScanNet, ScanNet++ and the kit film, and some that nobody does
SHAPES = [(4, 480, 640), (2, 968, 1296), (1, 1440, 1920), (3, 640, 480), (8, 112, 112), (1, 56, 56), (5, 90, 160)]
SHAPES += [(2, 30, 3000), (7, 333, 271), (4, 20, 20), (2, 1080, 1920)]
SIDES = st.integers(28, 1600)


@given(SIDES, SIDES, st.sampled_from([784, 3136, 100_352]), st.integers(100_352, 600_000))
def test_sizes_are_those_of_qwen2_vls_own_rule(height, width, least, most):
    assert smart_size(height, width, PixelBounds(least, most)) == smart_resize(height, width, 28, least, most)


@given(SIDES, SIDES, st.integers(784, 500_000))
def test_a_limit_holds_and_sizes_within_it_are_qwen2_vls(height, width, most):
    high, wide = shrunk_size(height, width, most)
    assert high * wide <= most
    if (high, wide) == (height, width):
        return
    assert high % 28 == wide % 28 == 0
    theirs = smart_resize(height, width, 28, 784, most)
    assert (high, wide) == theirs or theirs[0] * theirs[1] > most  # a strip, for which their rule has no bound


@pytest.mark.parametrize("frames, height, width", SHAPES)
@pytest.mark.parametrize("most", [None, 401_408, 112_896, 12_544])
def test_tokens_are_counted_as_the_processor_makes_them(frames, height, width, most):
    size = {"shortest_edge": 3136, "longest_edge": 12_845_056}
    process = Qwen2VLVideoProcessor(size=size, do_rescale=False, do_normalize=False)
    clip = shrink(np.zeros((frames, height, width, 3), np.uint8), most)
    (grid,) = process(clip, return_tensors="pt")["video_grid_thw"].tolist()
    assert video_tokens(*clip.shape[:3], PixelBounds()) == np.prod(grid) // 4


def test_a_processors_bounds_are_read_from_it(tiny_path):
    assert bounds_of(load_processor(tiny_path)) == PixelBounds(56 * 56, 112 * 112)


@pytest.mark.parametrize("height, width", [(480, 640), (333, 271), (300, 200), (112, 500)])
def test_shrunk_frames_are_the_processors_own_to_the_last_bit(height, width):
    """The whole frame under a processor's bound, and the frame shrunk before under a bound that does nothing more."""
    clip, most = np.random.default_rng(0).integers(0, 256, (4, height, width, 3), np.uint8), 28 * 28 * 20
    low = {"shortest_edge": 784, "longest_edge": most}
    bounded, whole = (Qwen2VLVideoProcessor(size=low | extra) for extra in ({}, {"longest_edge": 10**7}))
    theirs, ours = bounded(clip, return_tensors="pt"), whole(shrink(clip, most), return_tensors="pt")
    assert theirs["video_grid_thw"].tolist() == ours["video_grid_thw"].tolist()
    assert np.array_equal(theirs["pixel_values_videos"], ours["pixel_values_videos"])


def test_frames_within_the_limit_are_the_same_array():
    clip = np.zeros((2, 112, 112, 3), np.uint8)
    assert shrink(clip, 112 * 112) is clip and shrink(clip, None) is clip


def test_shrinking_averages_and_shows_no_false_pattern():
    """Lines one pixel wide: picking pixels would give black or white, averaging gives grey."""
    clip = np.zeros((1, 560, 560, 3), np.uint8)
    clip[:, :, ::2] = 255
    small = shrink(clip, 112 * 112)
    assert small.shape == (1, 112, 112, 3) and small.min() > 110 and small.max() < 145


@pytest.mark.parametrize(
    "total, rate, fps, most, count",
    [(300, 30, 2, None, 20), (300, 30, 2, 8, 8), (300, 30, 0.1, None, 4), (3, 30, 2, None, 2), (1, 30, 1, None, 1)]
    + [(301, 30, 1, None, 10), (3000, 30, 30, None, 768), (300, 30, 2, 1, 1)],
)
def test_a_rate_gives_an_even_number_of_frames_as_qwen_vl_utils_counts(total, rate, fps, most, count):
    assert frames_by_rate(total, rate, fps, most) == count


def test_a_files_frames_by_rate_come_from_its_header(tmp_path):
    write_mp4(tmp_path / "a.mp4", np.zeros((40, 32, 32, 3), np.uint8), fps=4)
    assert length_of(tmp_path / "a.mp4") == (40, 4.0)
    assert FrameLimits(fps=1.0).frames_of(tmp_path / "a.mp4") == 10
    assert FrameLimits(6, fps=1.0).frames_of(tmp_path / "a.mp4") == 6
    assert FrameLimits(6).frames_of(tmp_path / "gone.mp4") == 6  # asks no file


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"num_frames": 0}, "frames is 0: must be a whole number of at least 1"),
        ({"max_pixels": 100}, "pixels is 100: must be a whole number of at least 784; one token of Qwen2-VL"),
        ({"fps": 0.0}, "fps is 0.0: must be a finite number above 0; leave it out"),
    ],
)
def test_limits_that_show_nothing_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        FrameLimits(**settings)


def test_a_file_without_a_rate_is_named(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    for place, words in ((tmp_path / "a.mp4", "not readable as video"), (tmp_path, "state no rate")):
        with pytest.raises(ValueError, match=words):
            length_of(place)
