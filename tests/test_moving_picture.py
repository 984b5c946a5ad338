"""The moving picture of docs/: small, endless, described, and made from what it says it shows."""

import numpy as np
import pytest
from PIL import Image, ImageChops

import vsr_kit as vsr
from tests.test_docs import DOCS, made
from vsr_kit.pages import moving_picture as drawing
from vsr_kit.questions import TRAINED_TASKS, task_of

GIF = DOCS / "walk.gif"


@pytest.fixture(scope="module")
def filmed():
    room = vsr.split_rooms(32, "val")[31]
    return room, vsr.film(room)


@pytest.fixture(scope="module")
def answered(filmed):
    """The questions, with answers that nobody gave."""
    room, clip = filmed
    rows = vsr.make_rows([room], clips={room.name: clip}, max_per_type=3)
    rows = [next(row for row in rows if task_of(row["question_type"]) == task) for task in TRAINED_TASKS]
    return [row | {"base": ("5 chairs", 0.0), "after": (row["ground_truth"], 1.0)} for row in rows]


def pictures(path) -> list[np.ndarray]:
    """A GIF's pictures, whole."""
    image, found = Image.open(path), []
    for i in range(image.n_frames):
        image.seek(i)
        found.append(np.asarray(image.convert("RGB")))
    return found


def test_it_is_small_endless_and_as_wide_as_a_page():
    shipped = Image.open(GIF)
    assert GIF.stat().st_size < 2_500_000
    assert shipped.info["loop"] == 0 and shipped.size == (800, drawing.HIGH)
    assert shipped.n_frames == 7 * drawing.BETWEEN + 1 + 2 * len(TRAINED_TASKS) + 1


def test_the_models_own_frames_stand_beside_every_large_one(filmed):
    """In the shipped file: each of the eight, where the walk has come to it, every pixel doubled."""
    frames, left = pictures(GIF), drawing.MIDDLE
    for at in range(7 * drawing.BETWEEN + 1):
        across = slice(left, left + drawing.SMALL, 2)
        shown = frames[at][drawing.TOP : drawing.TOP + drawing.SMALL : 2, across].astype(int)
        apart = [np.abs(shown - frame).mean() for frame in filmed[1].frames_FHW3]
        assert int(np.argmin(apart)) == at // drawing.BETWEEN and min(apart) < 4  # 256 colours
    assert (frames[0][0] == 255).all()


def test_the_large_walk_passes_the_cameras_eight_places(filmed):
    room, clip = filmed
    path = drawing.Scene(room, clip).path
    assert np.allclose(path.positions_m_F3[:: drawing.BETWEEN], clip.path.positions_m_F3)
    assert np.allclose(path.yaw_deg_F[:: drawing.BETWEEN], clip.path.yaw_deg_F)


def test_each_question_has_a_picture_alone_and_one_with_its_answers(filmed, answered, monkeypatch):
    room, clip = filmed
    scene = drawing.Scene(room, clip)
    monkeypatch.setattr(scene, "large", lambda at, objects: Image.new("RGB", (drawing.LARGE, drawing.LARGE)))
    shown = drawing.asking(scene, answered)
    assert [ms for _, ms in shown] == [drawing.ASK_MS, drawing.ANSWER_MS] * 6
    for (alone, _), (told, _) in zip(shown[::2], shown[1::2], strict=True):
        left, top, right, bottom = ImageChops.difference(alone, told).getbbox()
        assert (
            left >= drawing.MIDDLE - 2
            and top > drawing.TOP + drawing.SMALL
            and right <= drawing.WIDE
            and bottom <= drawing.HIGH
        )
    end, _ = drawing.scores(scene, answered)
    assert end.size == (drawing.WIDE, drawing.HIGH)


def test_the_words_for_those_who_cannot_see_it_name_every_answer(filmed, answered):
    said = drawing.alt(filmed[0], answered)
    assert said.count("5 chairs") == 6 and said.count("after GRPO") == 6
    assert all(drawing.in_words(row, row["ground_truth"]) in said for row in answered)


def test_the_same_pictures_give_the_same_bytes_and_rare_colours_stay(tmp_path):
    wall = Image.linear_gradient("L").convert("RGB").resize((800, drawing.HIGH))
    wall.paste((0, 200, 200), (10, 10, 22, 22))
    for name in ("a", "b"):
        drawing.write([(wall, 100), (wall.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 200)], tmp_path / f"{name}.gif")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()
    first, _ = pictures(tmp_path / "a.gif")
    assert np.abs(first[15, 15].astype(int) - (0, 200, 200)).max() < 12


@pytest.mark.slow
def test_it_can_be_made_anew(tmp_path, monkeypatch):
    gif, shipped = made("make_gif"), pictures(GIF)
    monkeypatch.setattr(gif, "GIF", tmp_path / "walk.gif")
    gif.main()
    again = pictures(gif.GIF)
    assert len(shipped) == len(again) and drawing.words_of(gif.GIF) == drawing.words_of(GIF)
    for one, other in zip(shipped, again, strict=True):
        assert (np.abs(one.astype(int) - other).max(-1) > 40).mean() < 0.02
    assert GIF != gif.GIF


def test_one_s_own_picture_needs_answers_and_keeps_its_words(filmed, answered, tmp_path, monkeypatch):
    room, clip = filmed
    black = Image.new("RGB", (drawing.LARGE, drawing.LARGE))
    monkeypatch.setattr(drawing.Scene, "large", lambda self, at, objects: black)
    monkeypatch.setattr(drawing, "BETWEEN", 1)
    words = drawing.moving_picture(room, clip, answered[:2], tmp_path / "own.gif")
    assert words == drawing.words_of(tmp_path / "own.gif") and "Then 2 questions" in words
    assert Image.open(tmp_path / "own.gif").n_frames == 7 * drawing.BETWEEN + 1 + 2 * 2 + 1
    bare = [{name: value for name, value in row.items() if name != "after"} for row in answered]
    with pytest.raises(ValueError, match="6 rows: give at least one, each with `base` and `after`"):
        drawing.moving_picture(room, clip, bare, tmp_path / "own.gif")
