"""ScanNet's .sens files, folders of frames and mp4: found by a row's scene, and read as clips of uniform frames."""

import struct

import numpy as np
import pytest
from PIL import Image

from tests.real_files import COLORS, jpeg, plain_frames, write_sens
from vsr_kit.data import find_clip, load_clips, read_clip, whole_clips
from vsr_kit.videos import write_mp4

SCENE = "scene0000_00"
ROW = {"dataset": "scannet", "scene_name": SCENE}


def colors_of(frames):
    """Which of COLORS each frame shows."""
    return [int(np.abs(np.array(COLORS) - frame.reshape(-1, 3).mean(0)).sum(1).argmin()) for frame in frames]


def write_pictures(folder, count, name="{}.jpg"):
    folder.mkdir(parents=True)
    for i, frame in enumerate(plain_frames(count)):
        (folder / name.format(i)).write_bytes(jpeg(frame))
    return folder


@pytest.mark.parametrize("colours", [1, 2])
def test_a_sens_file_gives_uniform_frames_of_its_colours(tmp_path, colours):
    path = write_sens(tmp_path / f"{SCENE}.sens", plain_frames(6), colours=colours)
    clip = read_clip(path)
    assert clip.frames_FHW3.shape == (6, 24, 32, 3) and clip.frames_FHW3.dtype == np.uint8
    assert colors_of(clip.frames_FHW3) == [0, 1, 2, 3, 4, 5] and clip.notes == {}
    assert colors_of(read_clip(path, 3).frames_FHW3) == [0, 2, 5]
    assert read_clip(path, 2, max_side_px=16).frames_FHW3.shape == (2, 12, 16, 3)
    few = read_clip(path, 8)
    assert len(few.frames_FHW3) == 8 and "fewer than the 8" in few.notes["few"]


def test_depth_is_never_read(tmp_path):
    path = write_sens(tmp_path / "a.sens", plain_frames(3))
    assert jpeg(plain_frames(3)[2]) in path.read_bytes()  # colours lie there as they are; depth is no picture at all
    assert colors_of(read_clip(path).frames_FHW3) == [0, 1, 2]


def test_frames_in_a_folder_come_by_their_numbers_and_without_depth(tmp_path):
    folder = write_pictures(tmp_path / SCENE / "color", 6)
    for i in range(6, 12):
        (folder / f"{i}.jpg").write_bytes(jpeg(plain_frames(6)[i - 6]))
    (folder / "0.depth.jpg").write_bytes(b"not looked at")
    (folder / "0.png").write_bytes(b"another kind, not looked at")
    assert colors_of(read_clip(folder).frames_FHW3) == [0, 1, 2, 3, 4, 5] * 2  # 10 after 9, not after 1
    assert colors_of(read_clip(folder, 3).frames_FHW3) == [0, 0, 5]  # frames 0, 6 and 11


@pytest.mark.parametrize(
    "place",
    [
        f"scannet/{SCENE}.mp4",
        f"{SCENE}.mp4",
        f"{SCENE}.MOV",
        f"{SCENE}.sens",
        f"scans/{SCENE}/{SCENE}.sens",
        f"{SCENE}/{SCENE}.sens",
        f"scannet/{SCENE}/{SCENE}.sens",
        f"{SCENE}/{SCENE}.mp4",
        f"{SCENE}/color/",
        f"scans/{SCENE}/color/",
        f"{SCENE}/",
    ],
)
def test_a_scene_is_found_wherever_users_keep_it(tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if place.endswith("/"):
        write_pictures(path, 5)
    elif place.endswith(".sens"):
        write_sens(path, plain_frames(5))
    else:
        film = path.with_suffix(".mp4")
        write_mp4(film, plain_frames(5))
        film.rename(path)
    assert find_clip(tmp_path, "scannet", SCENE) == path
    clips = load_clips([ROW], tmp_path, num_frames=3)
    assert colors_of(clips[SCENE]) == [0, 2, 4]


def test_what_lies_in_the_benchmarks_place_comes_first(tmp_path):
    assert find_clip(tmp_path, "scannet", SCENE) == tmp_path / "scannet" / f"{SCENE}.mp4"
    write_pictures(tmp_path / SCENE / "color", 2)
    write_sens(tmp_path / SCENE / f"{SCENE}.sens", plain_frames(2))
    assert find_clip(tmp_path, "scannet", SCENE).suffix == ".sens"  # it says how many frames there are
    (tmp_path / "scannet").mkdir()
    write_mp4(tmp_path / "scannet" / f"{SCENE}.mp4", plain_frames(2))
    assert find_clip(tmp_path, "scannet", SCENE).suffix == ".mp4"


@pytest.mark.parametrize("name", ["..", "a/b", ".hidden", "a\\b", "", "a\0b"])
def test_a_scene_cannot_lead_out_of_the_folder(tmp_path, name):
    with pytest.raises(ValueError, match="cannot name a folder or clip"):
        find_clip(tmp_path, "scannet", name)


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def test_a_sens_file_that_lacks_a_tenth_is_taken_with_a_note_and_one_that_lacks_more_is_refused(tmp_path):
    path = write_sens(tmp_path / "a.sens", plain_frames(20), stated=21)
    assert read_clip(path).notes == {"missing": "has 20 of the 21 frames that it says it has"}
    with pytest.raises(ValueError, match=r"has \d+ of the 20 frames that it says it has, below 90%; copy it again"):
        read_clip(cut(write_sens(tmp_path / "b.sens", plain_frames(20)), 0.7))
    with pytest.raises(ValueError, match="ends inside its head"):
        read_clip(cut(write_sens(tmp_path / "c.sens", plain_frames(2)), 0.05))
    with pytest.raises(ValueError, match="has 1 of the 1152921504606846976 frames"):
        read_clip(write_sens(tmp_path / "d.sens", plain_frames(1), stated=2**60))


def test_what_is_no_sens_file_is_told(tmp_path):
    (tmp_path / "a.sens").write_bytes(b"\x89PNG and more" * 40)
    with pytest.raises(ValueError, match=r"a\.sens: is no \.sens file of version 4 .*give ScanNet's own file"):
        read_clip(tmp_path / "a.sens")
    with pytest.raises(ValueError, match="begins with 3"):
        read_clip(write_sens(tmp_path / "b.sens", plain_frames(2), version=3))
    with pytest.raises(ValueError, match="stored as raw, must be JPEG or PNG"):
        read_clip(write_sens(tmp_path / "c.sens", plain_frames(2), colours=0))
    with pytest.raises(ValueError, match="has 0 of the 0 frames"):
        read_clip(write_sens(tmp_path / "e.sens", []))


def test_a_frame_that_is_no_picture_is_named_by_its_number(tmp_path):
    path = write_sens(tmp_path / "a.sens", plain_frames(3))
    data = path.read_bytes()
    second = data.index(jpeg(plain_frames(3)[1]))
    path.write_bytes(data[:second] + b"\0\0" + data[second + 2 :])
    with pytest.raises(ValueError, match=r"a\.sens, frame 1: not readable as a picture"):
        read_clip(path)
    assert colors_of(read_clip(path, 2).frames_FHW3) == [0, 2]  # frames that are not wanted are not looked at


def test_a_frame_that_says_it_is_longer_than_the_file_ends_the_walk(tmp_path):
    path = write_sens(tmp_path / "a.sens", plain_frames(2))
    data, first = path.read_bytes(), jpeg(plain_frames(2)[0])
    place = data.index(first) - 16  # the length of its colours
    path.write_bytes(data[:place] + struct.pack("<Q", 2**63) + data[place + 8 :])
    with pytest.raises(ValueError, match="has 0 of the 2 frames"):
        read_clip(path)


def test_frames_of_two_sizes_are_refused_and_a_folder_without_frames_is_missing(tmp_path):
    folder = write_pictures(tmp_path / SCENE, 2)
    Image.new("RGB", (10, 10)).save(folder / "2.jpg")
    with pytest.raises(ValueError, match=r"frame 2 has 10 × 10 px, the first one 32 × 24"):
        read_clip(folder)
    (folder / "2.jpg").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"2\.jpg: not readable as a picture"):
        read_clip(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: holds no \.jpg"):
        read_clip(tmp_path / "empty")


def test_broken_scans_are_told_with_their_reason_and_left_out_when_told_so(tmp_path):
    rows = [{**ROW, "scene_name": f"scene000{i}_00"} for i in range(3)]
    write_sens(tmp_path / "scene0000_00.sens", plain_frames(3))
    (tmp_path / "scene0001_00.sens").write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"2 of 3 clips .*ends inside its head.*scene0002_00\.mp4: is missing"):
        whole_clips(rows, tmp_path, 2)
    kept, clips, left_out, _ = whole_clips(rows, tmp_path, 2, skip_broken=True)
    assert [row["scene_name"] for row in kept] == list(clips) == ["scene0000_00"] and len(left_out) == 2


def test_one_scene_in_two_data_sets_is_refused(tmp_path):
    write_sens(tmp_path / f"{SCENE}.sens", plain_frames(2))
    with pytest.raises(ValueError, match="is in two data sets"):
        load_clips([ROW, {**ROW, "dataset": "other"}], tmp_path)
