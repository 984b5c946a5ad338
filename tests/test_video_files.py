"""Video files as they come: turned, cut, damaged, of changing size, no video at all; and the same bytes each time."""

import os
import struct
import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pytest

from vsr_kit.data import ClipFolder, load_clips, whole_clips
from vsr_kit.videos import files, read_mp4, read_video, sample_frame_indices, write_mp4

CORNERS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


def cornered(num_frames=4, height_px=48, width_px=64):
    """Red in the top left corner, green in the top right, blue in the bottom left."""
    frames = np.zeros((num_frames, height_px, width_px, 3), np.uint8)
    frames[:, :12, :12], frames[:, :12, -12:], frames[:, -12:, :12] = CORNERS.values()
    return frames


def corners_of(frame):
    """The names of the corners' colours, clockwise from the top left."""
    names = []
    for pixel in (frame[4, 4], frame[4, -5], frame[-5, -5], frame[-5, 4]):
        near = [name for name, color in CORNERS.items() if np.abs(pixel.astype(int) - color).max() < 40]
        names.append(near[0] if near else "none")
    return names


def moving(num_frames, height_px=64, width_px=96):
    y, x = np.mgrid[:height_px, :width_px]
    frames = [np.stack([x * 2 + 5 * i, y * 3, x + y + 7 * i], -1) % 256 for i in range(num_frames)]
    return np.array(frames, np.uint8)


def write(path, frames, codec="libx264", pix_fmt="yuv420p", rate=10, sar=None, sound_s=0, **options):
    """Write frames with any codec into any container."""
    import av

    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if sar:
            stream.codec_context.sample_aspect_ratio = sar
        if sound_s:
            _add_sound(container, sound_s)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path


def _add_sound(container, seconds):
    import av

    sound = container.add_stream("aac", rate=8000)
    for start in range(0, int(8000 * seconds), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, start
        container.mux(sound.encode(frame))
    container.mux(sound.encode())


def with_matrix(path, matrix):
    """The file with another display matrix in its track header: nine numbers, row by row."""
    data = bytearray(path.read_bytes())
    start = data.index(b"tkhd") + 4
    start += 4 + (32 if data[start] else 20) + 16
    assert struct.unpack(">9i", data[start : start + 36]) == (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    fixed = [round(value * (1 << (30 if i % 3 == 2 else 16))) for i, value in enumerate(matrix)]
    data[start : start + 36] = struct.pack(">9i", *fixed)
    path.write_bytes(data)
    return path


# ------------------------------------------------------------------------------------------- what a player would show


@pytest.mark.parametrize(
    "matrix, corners",
    [
        ((1, 0, 0, 0, 1, 0, 0, 0, 1), "red green none blue"),
        ((0, 1, 0, -1, 0, 0, 48, 0, 1), "blue red green none"),  # a quarter clockwise: a phone held upright
        ((-1, 0, 0, 0, -1, 0, 64, 48, 1), "none blue red green"),
        ((0, -1, 0, 1, 0, 0, 0, 64, 1), "green none blue red"),
        ((-1, 0, 0, 0, 1, 0, 64, 0, 1), "green red blue none"),  # mirrored
        ((1, 0, 0, 0, -1, 0, 0, 48, 1), "blue none green red"),
        ((0, 1, 0, 1, 0, 0, 0, 0, 1), "red blue none green"),
        ((0, -1, 0, -1, 0, 0, 48, 64, 1), "none green red blue"),
        ((0, 2, 0, -2, 0, 0, 96, 0, 1), "blue red green none"),  # and enlarged, which is the screen's business
    ],
)
def test_frames_are_turned_and_mirrored_as_the_file_says(tmp_path, matrix, corners):
    write_mp4(tmp_path / "a.mp4", cornered())
    path = with_matrix(tmp_path / "a.mp4", matrix)
    everything = read_mp4(path)
    upright = matrix[0] != 0
    assert everything.shape == ((4, 48, 64, 3) if upright else (4, 64, 48, 3))
    assert corners_of(everything[0]) == corners.split()
    assert (read_mp4(path, 2) == everything[[0, 3]]).all()
    small = read_mp4(path, max_side_px=32)
    assert small.shape == ((4, 24, 32, 3) if upright else (4, 32, 24, 3))
    assert corners_of(small[0]) == corners.split()


def test_a_slanted_video_is_refused(tmp_path):
    write_mp4(tmp_path / "a.mp4", cornered())
    path = with_matrix(tmp_path / "a.mp4", (0.7, 0.7, 0, -0.7, 0.7, 0, 0, 0, 1))
    with pytest.raises(ValueError, match=r"a\.mp4: is to be shown at a slant \(-?45 degrees\); turn it by quarters"):
        read_mp4(path)


@pytest.mark.parametrize(
    "sar, shape",
    [((4, 3), (64, 128)), ((3, 4), (85, 96)), ((1, 1), (64, 96)), ((64, 45), (64, 137)), ((9, 1), (64, 96))],
)
def test_pixels_become_square(tmp_path, sar, shape):
    video = read_video(write(tmp_path / "a.mp4", moving(3), sar=Fraction(*sar)))
    assert video.frames_FHW3.shape == (3, *shape, 3)
    assert ("pixels" in video.notes) == (sar == (9, 1))  # nobody films so: said, and not believed


@pytest.mark.parametrize(
    "suffix, codec, pix_fmt, size",
    [
        ("mp4", "libx264", "yuv420p10le", (64, 96)),
        ("mov", "prores_ks", "yuva444p10le", (64, 96)),
        ("webm", "libvpx-vp9", "yuva420p", (64, 96)),
        ("mkv", "ffv1", "gray", (33, 57)),
        ("avi", "rawvideo", "bgr24", (1, 1)),
        ("mkv", "ffv1", "bgr0", (1, 7)),
        ("mp4", "libx264", "yuv444p", (33, 57)),
        ("gif", "gif", "rgb8", (40, 30)),
        ("ts", "mpeg2video", "yuv420p", (64, 96)),
        ("flv", "flv1", "yuv420p", (64, 96)),
        ("mpg", "mpeg1video", "yuv420p", (64, 96)),
    ],
)
def test_whole_files_of_any_kind_are_read_whole_and_without_a_word(tmp_path, suffix, codec, pix_fmt, size):
    frames = moving(11, *size)
    path = write(tmp_path / f"a.{suffix}", frames, codec, pix_fmt, rate=25)
    everything = read_video(path)
    assert everything.frames_FHW3.shape == frames.shape
    assert everything.notes == {}
    assert (read_video(path, 4).frames_FHW3 == everything.frames_FHW3[sample_frame_indices(11, 4)]).all()
    if pix_fmt != "gray":
        assert np.abs(everything.frames_FHW3.astype(int) - frames).mean() < 30


def test_frames_that_an_edit_list_cuts_away_are_not_missed(tmp_path):
    """A film trimmed on a phone keeps its frames in the file and says from where to where it is shown."""
    path = write(tmp_path / "a.mp4", moving(60))
    data = bytearray(path.read_bytes())
    start = data.index(b"elst") + 4
    assert struct.unpack(">II", data[start : start + 8]) == (0, 1)
    data[start + 8 : start + 12] = struct.pack(">I", 3000)  # three of six seconds
    path.write_bytes(data)
    assert read_video(path, 8).notes == {}
    assert len(read_mp4(path)) == 30


# ----------------------------------------------------------------------------------------------- what is not all there


def halved(path, share=0.5):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


@pytest.mark.parametrize(
    "suffix, codec, options",
    [
        ("mp4", "libx264", {"movflags": "faststart"}),
        ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("mkv", "libx264", {}),
        ("webm", "libvpx-vp9", {}),
        ("flv", "libx264", {}),
        ("avi", "mpeg4", {}),
        ("mov", "mpeg4", {}),
    ],
)
@pytest.mark.parametrize("num_frames", [None, 8])
@pytest.mark.parametrize("sound_s", [0, 9])
def test_half_a_file_is_refused(tmp_path, suffix, codec, options, num_frames, sound_s):
    if sound_s and suffix in ("webm", "flv"):
        pytest.skip("no sound of this kind in that container")
    path = write(tmp_path / f"a.{suffix}", moving(60), codec, rate=10, sound_s=sound_s, **options)
    assert read_video(path, num_frames).notes == {}  # sound may well go on longer than the pictures
    with pytest.raises(ValueError, match=rf"a\.{suffix}: (only .* of the .* it says it has|not readable as video)"):
        read_video(halved(path), num_frames)


def test_little_missing_is_said_with_both_counts(tmp_path):
    path = write(tmp_path / "a.mp4", moving(100), movflags="faststart")
    data = path.read_bytes()
    for share in (0.99, 0.98, 0.97, 0.96, 0.95):
        path.write_bytes(data[: int(len(data) * share)])
        video = read_video(path, 8)
        found = len(read_video(path).frames_FHW3)
        if found < 100:
            break
    assert 90 <= found < 100
    assert f"{found} of the 100 frames" in video.notes["missing"]
    with pytest.warns(UserWarning, match=rf"a\.mp4: {found} of the 100 frames it says it has"):
        read_mp4(path, 8)


def damaged(path, seed, count):
    data = bytearray(path.read_bytes())
    rng, start = np.random.default_rng(seed), data.index(b"mdat") + 600
    for place in rng.integers(start, data.index(b"moov"), count):
        data[place] = rng.integers(256)
    path.write_bytes(data)
    return path


def test_damage_is_said_or_refused(tmp_path):
    """Of files with 50 damaged bytes, each is refused or read with a word. (One byte may decode to another picture.)"""
    path = tmp_path / "a.mp4"
    write_mp4(path, moving(60))
    whole, said, refused = path.read_bytes(), 0, 0
    for seed in range(24):
        path.write_bytes(whole)
        try:
            said += "missing" in read_video(damaged(path, seed, 50)).notes
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert said + refused == 24
    assert refused >= 8


def test_a_header_that_says_more_than_is_there_is_not_believed(tmp_path, monkeypatch):
    """6 of 32 frames were used eight times over."""
    path = write(tmp_path / "a.mp4", moving(32))
    decode = files._frames
    monkeypatch.setattr(files, "_frames", lambda *a: [f for f, _ in zip(decode(*a), range(6), strict=False)])
    with pytest.raises(ValueError, match=r"a\.mp4: only 6 of the 32 frames.*a clip needs 90% of them"):
        read_video(path, 8)


def test_fewer_frames_than_asked_for_are_said(tmp_path):
    path = write(tmp_path / "a.mp4", moving(3))
    video = read_video(path, 8)
    assert len(video.frames_FHW3) == 8
    assert video.notes == {"few": "has 3 frames, fewer than the 8 asked for: some are shown several times"}
    assert read_video(path, 3).notes == read_video(path).notes == {}
    with pytest.warns(UserWarning, match=r"a\.mp4: has 3 frames"):
        read_mp4(path, 8)


# ------------------------------------------------------------------------------------------------------ what is no clip


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "webp", "gif", "tiff"])
def test_a_picture_is_no_video(tmp_path, kind):
    from PIL import Image

    Image.fromarray(cornered()[0]).save(tmp_path / "a.mp4", format=kind)
    with pytest.raises(ValueError, match=r"a\.mp4: is a picture.*write_mp4"):
        read_mp4(tmp_path / "a.mp4", 8)


def test_one_frame_is_a_video(tmp_path):
    write_mp4(tmp_path / "a.mp4", cornered(1))
    assert read_mp4(tmp_path / "a.mp4").shape == (1, 48, 64, 3)


def test_sound_alone_is_named(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        _add_sound(container, 1)
    with pytest.raises(ValueError, match=r"a\.mp4: holds no video, only audio; give a file with pictures"):
        read_mp4(tmp_path / "a.mp4")


def test_the_cover_of_a_song_is_no_video(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 48, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        _add_sound(container, 1)
        container.mux(cover.encode(av.VideoFrame.from_ndarray(cornered()[0], format="rgb24")))
        container.mux(cover.encode())
    with pytest.raises(ValueError, match=r"a\.mp4: (holds no video, only audio|is a picture)"):
        read_mp4(tmp_path / "a.mp4")


def test_a_size_that_changes_is_named(tmp_path):
    """A transport stream may be two recordings, one behind the other."""
    first = write(tmp_path / "a.ts", moving(12), "mpeg2video", rate=25).read_bytes()
    second = write(tmp_path / "b.ts", moving(12, 96, 64), "mpeg2video", rate=25).read_bytes()
    path = tmp_path / "both.mp4"
    path.write_bytes(first + second)
    for num_frames in (None, 8):
        with pytest.raises(
            ValueError, match=r"both\.mp4: the size changes from 96 × 64 to 64 × 96 at frame \d+; write"
        ):
            read_mp4(path, num_frames)


def test_frames_that_no_memory_holds_are_refused_before_they_are_read(tmp_path, monkeypatch):
    write_mp4(tmp_path / "a.mp4", moving(30))
    monkeypatch.setattr(files, "MOST_BYTES", 20 * 64 * 96 * 3)
    with pytest.raises(ValueError, match=r"a\.mp4: 30 frames take .* GiB.*num_frames, or max_side_px"):
        read_mp4(tmp_path / "a.mp4")
    assert len(read_mp4(tmp_path / "a.mp4", 20)) == 20
    assert len(read_mp4(tmp_path / "a.mp4", max_side_px=48)) == 30
    monkeypatch.setattr(files, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match=r"a\.mp4: a frame of 96 × 64 is too large"):
        read_mp4(tmp_path / "a.mp4", 1)


# --------------------------------------------------------------------------------------------------- the same bytes


WRITE = """
import sys
from vsr_kit.videos import film
from vsr_kit.rooms import make_rooms
from vsr_kit.videos import write_mp4
frames = film(make_rooms(1, seed=1)[0], 32).frames_FHW3
for number in range(3):
    write_mp4(f"{sys.argv[1]}-{number}-32.mp4", frames)
    write_mp4(f"{sys.argv[1]}-{number}-12.mp4", frames[:12])
"""


@pytest.mark.slow
def test_the_same_frames_are_the_same_bytes_in_every_process(tmp_path):
    for cores in ("1", "8"):
        setting = {"OMP_NUM_THREADS": cores, "PYTHONHASHSEED": cores, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run([sys.executable, "-c", WRITE, str(tmp_path / cores)], env=os.environ | setting)
        assert done.returncode == 0
    for num_frames in (12, 32):
        made = {path.read_bytes() for path in tmp_path.glob(f"*-{num_frames}.mp4")}
        assert len(list(tmp_path.glob(f"*-{num_frames}.mp4"))) == 6
        assert len(made) == 1
        assert b"Lavf" not in made.pop()  # no version of the writer, and no time


# ------------------------------------------------------------------------------------------------ a folder of clips


@pytest.fixture
def folder(tmp_path):
    """Five clips, of which one is no video, one is half there and one is missing; two questions about each."""
    for name in "abcd":
        write(tmp_path / f"{name}.mp4", moving(20), movflags="faststart")
    (tmp_path / "b.mp4").write_bytes(b"no video")
    halved(tmp_path / "c.mp4")
    (tmp_path / "d").mkdir()
    for path in tmp_path.glob("*.mp4"):
        path.rename(tmp_path / "d" / path.name)
    rows = [{"id": f"{s}{i}", "dataset": "d", "scene_name": s} for s in "abcde" for i in range(2)]
    return tmp_path, rows


def test_all_broken_clips_are_named_at_once(folder):
    root, rows = folder
    with pytest.raises(ValueError, match=r"3 of 5 clips are missing or broken: .*--skip-broken-clips") as error:
        whole_clips(rows, root, 8)
    for part in ("b.mp4: not readable", "c.mp4: only", "e.mp4: is missing"):
        assert part in str(error.value)


def test_broken_clips_can_be_left_out_with_their_questions(folder):
    root, rows = folder
    kept, clips, left_out, notes = whole_clips(rows, root, 30, skip_broken=True)
    assert [row["id"] for row in kept] == ["a0", "a1", "d0", "d1"]
    assert isinstance(clips, ClipFolder)
    assert list(clips) == ["a", "d"]
    assert len(left_out) == 3
    assert all(line.endswith("(2 questions left out)") for line in left_out)
    (note,) = notes
    assert note.startswith("2 of 2 clips have fewer frames than were asked for, first ")
    assert note.endswith("a.mp4: has 20 frames, fewer than the 30 asked for: some are shown several times")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said already
        assert clips["a"].shape == (30, 64, 96, 3)


def test_where_every_clip_is_broken_there_is_nothing_to_go_on_with(folder):
    root, rows = folder
    with pytest.raises(ValueError, match=r"1 of 1 clips are missing or broken: .*b\.mp4.* Remedy: mend them$"):
        whole_clips(rows[2:4], root, 8, skip_broken=True)


def test_many_broken_clips_are_counted(folder):
    root, _ = folder
    rows = [{"id": i, "dataset": "d", "scene_name": f"gone{i}"} for i in range(50)]
    with pytest.raises(ValueError, match=r"50 of 50 clips .*gone0\.mp4: is missing.*; and 47 more: gone3, gone4"):
        whole_clips(rows, root, 8)


def test_a_clip_read_by_itself_warns_once(folder):
    root, rows = folder
    clips = load_clips(rows[:2], root, 30)
    with pytest.warns(UserWarning, match=r"a\.mp4: has 20 frames") as told:
        for _ in range(3):
            clips["a"]
    assert len(told) == 1
    assert "b" not in clips
    assert "a" in load_clips(rows[2:4] + rows[:2], root, 8)
    assert "b" in load_clips(rows[2:4], root, 8)  # whether it is there, not whether it can be read
