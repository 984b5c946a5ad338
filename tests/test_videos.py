"""Clips: every ray against plane equations, what hides what, the camera's walk, and video files there and back."""

import numpy as np
import pytest

from tests.oracles import pixel_ray, ray_hits
from vsr_kit.rooms import CATEGORIES, Box, Room, make_rooms, yaw_axes
from vsr_kit.videos import (
    CameraPath,
    camera_walk,
    category_color,
    files,
    first_appearance,
    read_mp4,
    render,
    rendering,
    sample_frame_indices,
    visible_objects,
    write_mp4,
)

SHELL = Box("room", (0.0, 0.0, 1.5), (8.0, 6.0, 3.0))


def room_of(*boxes: Box, shell: Box = SHELL) -> Room:
    return Room("r", "d", boxes, shell, shell.size[0] * shell.size[1])


def look(*poses, pitch_deg=0.0) -> CameraPath:
    """Camera poses (x, y, z, yaw_deg)."""
    poses = np.array(poses, float)
    return CameraPath(poses[:, :3], poses[:, 3], pitch_deg)


def rotated(room: Room) -> Room:
    """The same furniture, some of it tilted, in a turned shell."""
    tilt = np.array([[1, 0, 0], [0, np.cos(0.4), np.sin(0.4)], [0, -np.sin(0.4), np.cos(0.4)]])
    boxes = [Box(b.category, b.center, b.size, tuple(map(tuple, tilt @ np.asarray(b.axes)))) for b in room.boxes]
    shell = Box("room", room.shell.center, tuple(np.add(room.shell.size, 1.0)), yaw_axes(20))
    return Room(room.name, room.dataset, tuple(boxes), shell, room.floor_area_m2)


# ------------------------------------------------------------------------------------------------------------- rays


@pytest.mark.parametrize("change", [lambda room: room, rotated])
def test_every_ray_sees_what_plane_equations_say(change):
    size_px, rng = 48, np.random.default_rng(0)
    some_objects = some_walls = 0
    for room in map(change, make_rooms(4, seed=11)):
        path = camera_walk(room, 3, seed=1)
        clip = render(room, path, size_px)
        for _ in range(60):
            frame, row, column = rng.integers(0, [3, size_px, size_px])
            eye, ray = path.positions_m_F3[frame], pixel_ray(path, frame, row, column, size_px)
            hits = {-1: ray_hits(room.shell, eye, ray)[-1]}  # seen from inside: where the ray leaves
            hits |= {i: h[0] for i, box in enumerate(room.boxes) if len(h := ray_hits(box, eye, ray)) > 1 and h[0] > 0}
            nearest = min(hits, key=hits.get)
            depth, seen = clip.depth_m_FHW[frame, row, column], clip.object_ids_FHW[frame, row, column]
            if sorted(hits.values())[1:2] < [hits[nearest] + 1e-3] and len(hits) > 1:
                continue  # two surfaces within a millimetre
            assert depth == pytest.approx(hits[nearest], abs=2e-3)
            assert seen == nearest
            some_objects, some_walls = some_objects + (seen >= 0), some_walls + (seen < 0)
    assert some_objects > 40
    assert some_walls > 40


def test_the_window_around_a_box_changes_nothing(monkeypatch):
    rooms = make_rooms(6, seed=3)
    paths = [camera_walk(room, 4, seed=2) for room in rooms]
    fast = [render(room, path, 40) for room, path in zip(rooms, paths, strict=True)]
    monkeypatch.setattr(rendering, "screen_window", lambda *_: (slice(None), slice(None)))
    for room, path, clip in zip(rooms, paths, fast, strict=True):
        plain = render(room, path, 40)
        assert (plain.object_ids_FHW == clip.object_ids_FHW).all()
        assert (plain.frames_FHW3 == clip.frames_FHW3).all()


def test_what_lies_to_the_left_is_drawn_on_the_left_and_high_things_high():
    left, high = Box("bed", (2.0, 1.0, 0.5), (0.5, 0.5, 0.5)), Box("lamp", (2.0, -1.0, 2.5), (0.5, 0.5, 0.5))
    ids = render(room_of(left, high), look((-1, 0, 1.5, 0)), 64).object_ids_FHW[0]
    rows, columns = np.nonzero(ids == 0)
    assert columns.max() < 32 < rows.min()
    rows, columns = np.nonzero(ids == 1)
    assert rows.max() < 32 < columns.min()


def test_a_box_hides_what_is_behind_it_until_the_camera_has_passed():
    front, behind = Box("shelf", (1.0, 0.0, 1.0), (0.2, 2.0, 2.0)), Box("bin", (2.0, 0.0, 0.4), (0.4, 0.4, 0.4))
    room = room_of(front, behind)
    before, after = (-1.0, 0.0, 1.0, 0.0), (1.5, -1.0, 1.0, 60.0)
    clip = render(room, look(before, before), 64)
    assert visible_objects(clip) == (0,)
    assert first_appearance(clip, 1) is None
    clip = render(room, look(before, after), 64)
    assert visible_objects(clip) == (0, 1)
    assert (first_appearance(clip, 0), first_appearance(clip, 1)) == (0, 1)
    assert visible_objects(render(room_of(behind), look(before), 64)) == (0,)


def test_seeing_asks_for_enough_pixels():
    clip = render(room_of(Box("bin", (2.0, 0.0, 1.5), (0.2, 0.2, 0.2))), look((-1, 0, 1.5, 0)), 64)
    pixels = int((clip.object_ids_FHW == 0).sum())
    assert 2 < pixels < 30
    assert visible_objects(clip, min_pixels=pixels) == (0,)
    assert visible_objects(clip, min_pixels=pixels + 1) == ()
    assert first_appearance(clip, 0, min_pixels=pixels + 1) is None


def test_rays_along_a_face_are_rays_like_others():
    """Odd sizes have a middle column; looking straight along x, its rays are parallel to the faces of upright boxes."""
    box = Box("bed", (2.0, 0.0, 1.5), (1.0, 1.0, 1.0))
    with np.errstate(all="raise"):
        clip = render(room_of(box), look((-1, 0, 1.5, 0)), 33)
    assert clip.object_ids_FHW[0, 16, 16] == 0
    assert clip.depth_m_FHW[0, 16, 16] == pytest.approx(2.5)
    assert np.isfinite(clip.depth_m_FHW).all()


def test_what_is_behind_the_camera_or_around_it_is_not_drawn():
    behind, around = Box("bed", (-3.0, 0.0, 0.5), (1, 1, 1)), Box("shelf", (-1.0, 0.0, 1.0), (1.0, 1.0, 2.0))
    assert visible_objects(render(room_of(behind, around), look((-1, 0, 1.5, 0)), 32), 1) == ()


# ---------------------------------------------------------------------------------------------------------- pictures


def test_every_category_has_a_colour_of_its_own_unlike_the_walls():
    colors = np.array([category_color(name) for name in CATEGORIES] + rendering._WALLS.tolist())
    apart = np.abs(colors[:, None] - colors[None]).max(-1) + 999 * np.eye(len(colors))
    assert apart.min() > 25
    assert category_color("piano") == category_color("piano")
    assert min(np.abs(np.subtract(category_color("whiteboard"), category_color(name))).max() for name in CATEGORIES) > 5


def test_the_picture_shows_the_objects_colour_and_fades_with_distance():
    near, far = Box("bed", (0.5, 0.8, 1.5), (0.5, 0.5, 0.5)), Box("bed", (3.5, -0.8, 1.5), (0.5, 0.5, 0.5))
    clip = render(room_of(near, far), look((-1, 0, 1.5, 0)), 64)
    one, two = (clip.frames_FHW3[clip.object_ids_FHW == i].astype(float).mean(0) for i in (0, 1))
    hue = np.array(category_color("bed")) / np.linalg.norm(category_color("bed"))
    for seen in (one, two):
        assert seen @ hue / np.linalg.norm(seen) > 0.999
    assert two.sum() < 0.95 * one.sum()


def test_frames_follow_from_the_room_and_its_name_alone():
    room = make_rooms(1, seed=4)[0]
    one, two = (render(room, camera_walk(room, 3, seed=9), 56) for _ in range(2))
    assert (one.frames_FHW3 == two.frames_FHW3).all()
    assert one.frames_FHW3.shape == (3, 56, 56, 3)
    assert one.frames_FHW3.dtype == np.uint8
    assert one.object_ids_FHW.dtype == np.int16
    assert one.object_ids_FHW.shape == one.depth_m_FHW.shape == (3, 56, 56)
    with pytest.raises(ValueError, match="at least 8 pixels"):
        render(room, one.path, 4)


def test_a_room_without_objects_can_be_filmed():
    clip = render(room_of(), look((0, 0, 1.5, 0)), 16)
    assert (clip.object_ids_FHW == -1).all()


# -------------------------------------------------------------------------------------------------------------- walk


def test_the_camera_stays_inside_the_walls_and_out_of_the_furniture():
    for i, room in enumerate(make_rooms(60, seed=2)):
        path = camera_walk(room, 32, seed=i)
        inner = np.abs(path.positions_m_F3 - room.shell.center) - np.asarray(room.shell.size) / 2
        assert inner.max() < -0.02
        assert path.positions_m_F3[:, 2] == pytest.approx(room.floor_z_m + 1.75)
        assert max(box.corners()[:, 2].max() for box in room.boxes) < room.floor_z_m + 1.75


@pytest.mark.parametrize("few, many", [(2, 8), (4, 7), (8, 29)])
def test_any_number_of_frames_samples_the_same_walk(few, many):
    room = make_rooms(1, seed=1)[0]
    coarse, fine = camera_walk(room, few, seed=5), camera_walk(room, many, seed=5)
    same = np.linspace(0, many - 1, few)
    assert (same == same.round()).all()
    assert coarse.positions_m_F3 == pytest.approx(fine.positions_m_F3[same.astype(int)])
    assert coarse.yaw_deg_F == pytest.approx(fine.yaw_deg_F[same.astype(int)])
    assert len(coarse) == few


def test_walks_differ_by_seed_and_turn_both_ways():
    room = make_rooms(1, seed=1)[0]
    walks = [camera_walk(room, 3, seed=s) for s in range(12)]
    assert len({tuple(walk.positions_m_F3[0]) for walk in walks}) == 12
    turned = {float(np.sign(np.sin(np.radians(walk.yaw_deg_F[1] - walk.yaw_deg_F[0])))) for walk in walks}
    assert turned == {-1.0, 1.0}
    assert len(camera_walk(room, 1)) == 1
    with pytest.raises(ValueError, match="at least 1 frame"):
        camera_walk(room, 0)


def test_the_camera_looks_at_the_middle_of_a_turned_room():
    shell = Box("room", (3.0, -2.0, 1.0), (6.0, 4.0, 3.0), yaw_axes(30))
    path = camera_walk(room_of(shell=shell), 5, seed=3)
    to_middle = np.array([3.0, -2.0]) - path.positions_m_F3[:, :2]
    yaw = np.radians(path.yaw_deg_F)
    cosine = (to_middle * np.stack([np.cos(yaw), np.sin(yaw)], 1)).sum(1) / np.linalg.norm(to_middle, axis=1)
    assert cosine == pytest.approx(np.ones(5))
    local = (path.positions_m_F3 - shell.center) @ np.asarray(shell.axes).T
    assert (np.abs(local) < np.asarray(shell.size) / 2).all()


# ------------------------------------------------------------------------------------------------------------- files


def picture_of(num_frames, height_px, width_px):
    """Frames that all differ: a bright column wanders over coloured noise of 8 px."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(40, 200, (-(-height_px // 8), -(-width_px // 8), 3))
    still = np.kron(blocks, np.ones((8, 8, 1)))[:height_px, :width_px].astype(np.uint8)
    frames = np.repeat(still[None], num_frames, 0)
    for i in range(num_frames):
        frames[i, :, (5 * i) % width_px : (5 * i) % width_px + 5] = 250
    return frames


@pytest.mark.parametrize("num_frames", [1, 2, 7, 8, 33])
def test_mp4_there_and_back_at_any_number_of_frames(tmp_path, num_frames):
    frames = picture_of(num_frames, 48, 64)
    write_mp4(tmp_path / "a.mp4", frames)
    back = read_mp4(tmp_path / "a.mp4")
    assert back.shape == frames.shape
    assert back.dtype == np.uint8
    assert np.abs(back.astype(int) - frames).mean() < 2.5


@pytest.mark.parametrize("height_px, width_px", [(84, 84), (33, 57), (112, 56), (28, 31)])
def test_mp4_keeps_odd_sizes_and_colours(tmp_path, height_px, width_px):
    frames = picture_of(3, height_px, width_px)
    write_mp4(tmp_path / "a.mp4", frames, fps=7)
    back = read_mp4(tmp_path / "a.mp4")
    assert back.shape == frames.shape
    wrong = np.abs(back.astype(int) - frames)
    assert wrong.mean() < 2.5
    assert np.quantile(wrong, 0.99) < 20  # 4:2:0 would smear colours over two pixels


@pytest.mark.parametrize("suffix", ["mp4", "mpg"])
def test_reading_some_frames_equals_reading_all(tmp_path, suffix):
    """An MPEG program stream does not say how many frames it has; they must be counted."""
    import av

    frames, path = picture_of(33, 64, 64), tmp_path / f"a.{suffix}"
    if suffix == "mp4":
        write_mp4(path, frames)
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg1video", rate=24)
            stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    everything = read_mp4(path)
    assert len(everything) == 33
    for wanted in (1, 2, 8, 33, 40):
        assert (read_mp4(path, wanted) == everything[sample_frame_indices(33, wanted)]).all()


def test_only_the_wanted_frames_are_kept(tmp_path, monkeypatch):
    write_mp4(tmp_path / "a.mp4", picture_of(30, 32, 32))
    kept = []
    decode = files._decode
    monkeypatch.setattr(files, "_decode", lambda *args: kept.append(out := decode(*args)) or out)
    read_mp4(tmp_path / "a.mp4", 4)
    assert [sorted(found.frames) for found in kept] == [[0, 10, 19, 29]]


def test_large_frames_can_be_shrunk_while_reading(tmp_path):
    write_mp4(tmp_path / "a.mp4", picture_of(2, 60, 90))
    assert read_mp4(tmp_path / "a.mp4", max_side_px=45).shape == (2, 30, 45, 3)
    assert read_mp4(tmp_path / "a.mp4", max_side_px=200).shape == (2, 60, 90, 3)


@pytest.mark.parametrize("content", [b"", b"no video at all", None])
def test_what_is_no_video_is_named(tmp_path, content):
    path = tmp_path / "broken.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.mp4.*write_mp4"):
        read_mp4(path)


def test_a_sound_file_is_no_video(tmp_path):
    import av

    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(ValueError, match=r"a\.wav"):
        read_mp4(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 3)), np.zeros((0, 8, 8, 3), np.uint8)]
)
def test_what_are_no_frames_is_refused(tmp_path, frames):
    with pytest.raises(ValueError, match=r"uint8 of shape \(F, H, W, 3\)"):
        write_mp4(tmp_path / "a.mp4", frames)


def test_frames_are_sampled_as_qwen2_vl_samples_them():
    """qwen-vl-utils: torch.linspace(0, total - 1, n).round(), in float32, which may round a half the other way."""
    import torch

    assert sample_frame_indices(32, 8).tolist() == [0, 4, 9, 13, 18, 22, 27, 31]
    assert sample_frame_indices(8, 8).tolist() == list(range(8))
    assert sample_frame_indices(5, 1).tolist() == [0]
    assert sample_frame_indices(3, 7).tolist() == [0, 0, 1, 1, 1, 2, 2]
    for total in (*range(1, 90), 901, 1800, 2777):
        for wanted in range(1, 65):
            theirs = torch.linspace(0, total - 1, wanted).round().long().tolist()
            assert sample_frame_indices(total, wanted).tolist() == theirs, (total, wanted)
    for bad in ((0, 4), (4, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            sample_frame_indices(*bad)
