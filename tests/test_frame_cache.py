"""The cache of decoded frames: what it gives is what decoding gives; damage, kills and full folders cost a decode."""

import os
import threading
import time

import numpy as np
import pytest

from vsr_kit.data import ClipFolder, load_clips, whole_clips
from vsr_kit.data.frame_cache import FrameCache, default_cache
from vsr_kit.paths import cache_bytes, cache_folder
from vsr_kit.videos import Video, write_mp4


@pytest.fixture
def films(tmp_path):
    """Three films of 60 frames, and two questions about each."""
    (tmp_path / "d").mkdir()
    for i, name in enumerate("abc"):
        y, x = np.mgrid[:96, :128]
        frames = [np.stack([x * 2 + 5 * n, y * 3 + 40 * i, x + y], -1) % 256 for n in range(60)]
        write_mp4(tmp_path / "d" / f"{name}.mp4", np.array(frames, np.uint8))
    return tmp_path, [{"id": f"{s}{i}", "dataset": "d", "scene_name": s} for s in "abc" for i in range(2)]


def files(folder):
    return sorted(folder.glob("*.safetensors"))


def cached(films, folder, **how):
    """The three clips, read through a cache in `folder`, and the cache."""
    root, rows = films
    cache = FrameCache(folder, worth_s=0, **how)
    clips = load_clips(rows, root, 6, max_pixels=56 * 84, cache=cache)
    return {name: clips[name] for name in clips}, cache


def test_cached_frames_are_the_decoded_ones(films, tmp_path):
    root, rows = films
    plain = load_clips(rows, root, 6, max_pixels=56 * 84)
    for hits in (0, 3):
        found, cache = cached(films, tmp_path / "cache")
        assert cache.hits == hits and cache.damaged == 0
        for name, frames in found.items():
            assert frames.dtype == np.uint8 and np.array_equal(frames, plain[name])
    assert len(files(tmp_path / "cache")) == 3


def test_notes_come_back_with_the_frames(films, tmp_path):
    root, rows = films
    for _ in range(2):
        clips = load_clips(rows[:2], root, 80, cache=FrameCache(tmp_path / "cache", worth_s=0))
        with pytest.warns(UserWarning, match="fewer than the 80 asked for"):
            clips["a"]


@pytest.mark.parametrize("harm", ["a bit", "cut", "empty", "renamed"])
def test_a_damaged_file_is_noticed_decoded_anew_and_replaced(films, tmp_path, harm):
    plain, _ = cached(films, tmp_path / "cache")
    first, second, _ = files(tmp_path / "cache")
    data = bytearray(first.read_bytes())
    if harm == "a bit":
        data[len(data) // 2] ^= 1
    changed = {"a bit": bytes(data), "cut": bytes(data[:-100]), "empty": b"", "renamed": second.read_bytes()}[harm]
    first.write_bytes(changed)
    again, cache = cached(films, tmp_path / "cache")
    assert (cache.hits, cache.damaged) == (2, 1)
    assert all(np.array_equal(again[name], plain[name]) for name in plain)
    assert cached(films, tmp_path / "cache")[1].hits == 3


def test_another_video_or_another_limit_is_another_file(films, tmp_path):
    root, rows = films
    cached(films, tmp_path / "cache")
    for limits in ({"num_frames": 5}, {"num_frames": 6, "max_pixels": 28 * 28}, {"num_frames": 6, "fps": 1.0}):
        cache = FrameCache(tmp_path / "cache", worth_s=0)
        load_clips(rows, root, cache=cache, **limits)["a"]
        assert cache.hits == 0
    write_mp4(root / "d" / "a.mp4", np.full((60, 96, 128, 3), 9, np.uint8))
    again, cache = cached(films, tmp_path / "cache")
    assert cache.hits == 2 and abs(again["a"].astype(int) - 9).max() < 4


def test_above_its_bound_the_files_used_longest_ago_go(films, tmp_path):
    cached(films, tmp_path / "cache")
    held = files(tmp_path / "cache")
    for age, file in enumerate(held):
        os.utime(file, (time.time() - 100 + age, time.time() - 100 + age))
    small = FrameCache(tmp_path / "cache", most_bytes=2 * held[0].stat().st_size + 10, worth_s=0)
    root, rows = films
    load_clips(rows, root, 6, max_pixels=28 * 28, cache=small)["a"]  # a fourth file, smaller than the others
    left = files(tmp_path / "cache")
    assert held[2] in left and held[0] not in left and held[1] not in left and len(left) == 2


def test_what_decodes_quickly_is_not_kept(films, tmp_path):
    root, rows = films
    load_clips(rows, root, 6, cache=FrameCache(tmp_path / "cache", worth_s=60))["a"]
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_takes_nothing_costs_a_warning(films, tmp_path):
    (tmp_path / "cache").write_text("a file")
    root, rows = films
    clips = load_clips(rows, root, 6, cache=FrameCache(tmp_path / "cache", worth_s=0))
    with pytest.warns(UserWarning, match="decoded frames are no longer kept in"):
        assert clips["a"].shape[0] == 6
    assert clips["b"].shape[0] == 6  # said once


def test_the_environment_names_the_folder_and_its_bound(monkeypatch, tmp_path):
    monkeypatch.setenv("VSR_CACHE", "off")
    assert default_cache() is None
    monkeypatch.setenv("VSR_CACHE", str(tmp_path))
    monkeypatch.setenv("VSR_CACHE_GB", "2")
    assert (default_cache().folder, default_cache().most_bytes) == (tmp_path / "frames", 2 * 10**9)
    monkeypatch.delenv("VSR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own" / "vsr-kit"
    monkeypatch.setenv("VSR_CACHE_GB", "much")
    with pytest.raises(ValueError, match="VSR_CACHE_GB is 'much': give a number of gigabytes"):
        cache_bytes()


# -- ahead -------------------------------------------------------------------------------------------------------------


def test_clips_are_decoded_ahead_by_other_threads(films, monkeypatch):
    root, rows = films
    plain = {name: load_clips(rows, root, 6)[name] for name in "abc"}
    threads, decode = [], ClipFolder._video

    def watched(self, name):
        threads.append(threading.current_thread().name)
        return decode(self, name)

    monkeypatch.setattr(ClipFolder, "_video", watched)
    clips = load_clips(rows, root, 6)
    clips.ahead(["a", "b", "nobody"])
    clips.ahead(["a", "b"])  # begun already
    assert all(np.array_equal(clips[name], plain[name]) for name in "abc")
    assert sorted(name.startswith("decoding") for name in threads) == [False, True, True]


def test_reading_all_ahead_keeps_order_clips_and_faults(films):
    root, rows = films
    (root / "d" / "b.mp4").write_bytes(b"no video")
    kept, clips, left_out, _ = whole_clips(rows, root, 6, skip_broken=True, max_pixels=56 * 84)
    assert [row["id"] for row in kept] == ["a0", "a1", "c0", "c1"]
    assert clips.shapes == {"a": (6, 56, 56, 3), "c": (6, 56, 56, 3)}
    assert len(left_out) == 1 and "b.mp4: not readable" in left_out[0]


def test_what_was_begun_and_fails_says_so_where_it_is_asked_for(films):
    root, rows = films
    (root / "d" / "b.mp4").write_bytes(b"no video")
    clips = load_clips(rows, root, 6)
    clips.ahead(["b"])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"b\.mp4: not readable as video"):
            clips["b"]


def test_a_cache_without_the_file_lets_decoding_say_so(tmp_path):
    def decode():
        raise ValueError("gone.mp4: not readable")

    with pytest.raises(ValueError, match="not readable"):
        FrameCache(tmp_path).video(tmp_path / "gone.mp4", {}, decode)
    made = Video(np.zeros((1, 2, 2, 3), np.uint8), {})
    kept = FrameCache(tmp_path / "c", worth_s=0).video(__file__, {}, lambda: made)
    assert kept is made and len(files(tmp_path / "c")) == 1
