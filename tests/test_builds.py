"""What a build may replace, how it fills a folder, and what a kill leaves."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import pytest

from vsr_kit import data
from vsr_kit.cli import data as commands
from vsr_kit.data import build, clip_path, datasets, make_rows, read_rows, unfinished
from vsr_kit.data.datasets import UNFINISHED, complete, filling, own_files
from vsr_kit.evaluation.evaluate import load_questions
from vsr_kit.questions import get_rules
from vsr_kit.rooms import load_rooms, make_rooms, save_rooms
from vsr_kit.videos import files, film, write_mp4

SMALL = {"num_frames": 1, "size_px": 16}


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its bytes; None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def early_build(out: Path, rooms, video: bool = True) -> None:
    """A folder as it was written before builds kept a list of their files, and a record of what their frames show."""
    with mock.patch.dict(files._ENCODING, {"crf": "12"}):
        build(rooms, out, video=video, rules="study", **SMALL)
    (out / "build.json").unlink()
    (out / "visibility.jsonl").unlink(missing_ok=True)


def refused(out: Path, named: str) -> None:
    """A build into `out` is refused with one line that names a file, and nothing there changes."""
    before = tree(out)
    for video in (False, True):
        with pytest.raises(ValueError, match="which no build wrote") as caught:
            build(make_rooms(2, seed=2), out, video=video, **SMALL)
        assert named in str(caught.value) and "\n" not in str(caught.value)
        assert tree(out) == before


# ------------------------------------------------------------------------------------------- what is somebody else's


@pytest.mark.slow
@pytest.mark.parametrize("beside", [(), ("questions.jsonl",), ("rooms.json",), ("questions.jsonl", "rooms.json")])
def test_videos_laid_out_as_the_benchmark_does_are_never_touched(tmp_path, beside):
    out = tmp_path / "vsi"
    for dataset in ("arkitscenes", "scannet"):
        for scene in ("1", "2", "3"):
            clip_path(out, dataset, scene).parent.mkdir(parents=True, exist_ok=True)
            clip_path(out, dataset, scene).write_text("precious")
    rooms = make_rooms(1, seed=1)
    for name in beside:  # rows about the videos, rooms of one's own
        if name == "rooms.json":
            save_rooms(out / name, rooms)
        else:
            rows = make_rows(rooms)
            data.write_rows(out / name, [row | {"dataset": "arkitscenes", "scene_name": "1"} for row in rows])
    refused(out, "arkitscenes/1.mp4")


def test_the_command_refuses_them_before_it_works(tmp_path):
    clip = tmp_path / "vsi" / "scannet" / "scene0000_00.mp4"
    clip.parent.mkdir(parents=True)
    clip.write_text("precious")
    words = [sys.executable, "-m", "vsr_kit.cli", "build", "--rooms", "2", "--out", str(tmp_path / "vsi")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and "scene0000_00.mp4" in done.stderr
    assert clip.read_text() == "precious"


@pytest.mark.parametrize("early", [False, True], ids=["listed", "before there was a list"])
@pytest.mark.parametrize(
    "path",
    [
        "thesis.txt",
        ".notes",
        "procedural/room-9-00000.mp4",
        "procedural/.hidden.mp4",
        "scannet/a.mp4",
        "a.mp4",
        "d/e/f",
    ],
)
def test_a_file_beside_a_build_is_never_touched(tmp_path, path, early):
    out = tmp_path / "out"
    early_build(out, make_rooms(2, seed=1)) if early else build(make_rooms(2, seed=1), out, video=True, **SMALL)
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    (out / path).write_text("mine")
    refused(out, path)


@pytest.mark.parametrize("early", [False, True], ids=["listed", "before there was a list"])
def test_links_and_folders_beside_a_build_are_never_touched(tmp_path, early):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    early_build(out, make_rooms(2, seed=1)) if early else build(make_rooms(2, seed=1), out, video=True, **SMALL)
    (out / "procedural").rename(elsewhere)
    (out / "procedural").symlink_to(elsewhere)  # the clips are on another disk
    refused(out, "procedural")
    (out / "procedural").unlink()
    (out / "empty").mkdir()
    refused(out, "empty/")
    (out / "empty").rmdir()
    (out / "questions.jsonl").rename(elsewhere / "questions.jsonl")
    (out / "questions.jsonl").symlink_to(elsewhere / "questions.jsonl")
    refused(out, "questions.jsonl")
    assert len(list(elsewhere.iterdir())) == 3


def edit_text(out):
    rows = read_rows(out / "questions.jsonl")
    rows[0]["question"] = "Corrected by hand: " + rows[0]["question"]
    data.write_rows(out / "questions.jsonl", rows)


def edit_form(out):
    text = (out / "questions.jsonl").read_text()
    (out / "questions.jsonl").write_text(text.replace('"options": null', '"options":null', 1))


def add_field(out):
    rows = [row | {"note": "checked"} for row in read_rows(out / "questions.jsonl")]
    data.write_rows(out / "questions.jsonl", rows)


def drop_row(out):
    rows = read_rows(out / "questions.jsonl")
    first = next(i for i, row in enumerate(rows) if row["id"].endswith("/1")) - 1  # of a type with two or more
    data.write_rows(out / "questions.jsonl", rows[:first] + rows[first + 1 :])


def edit_rooms(out):
    records = json.loads((out / "rooms.json").read_text())
    (out / "rooms.json").write_text(json.dumps(records[:1]) + "\n")


def own_clip(out):
    clip_path(out, "procedural", "room-1-00000").write_bytes(b"my own film of that room")


@pytest.mark.parametrize("edit", [edit_text, edit_form, add_field, drop_row, edit_rooms, own_clip])
def test_a_file_that_was_changed_since_it_was_built_is_never_touched(tmp_path, edit):
    out = tmp_path / "out"
    build(make_rooms(2, seed=1), out, video=True, **SMALL)
    edit(out)
    refused(out, {edit_rooms: "rooms.json", own_clip: "procedural/room-1-00000.mp4"}.get(edit, "questions.jsonl"))


@pytest.mark.parametrize("edit", [edit_form, add_field, drop_row, edit_rooms, own_clip])
def test_what_shows_in_an_early_build_is_never_touched_either(tmp_path, edit):
    out = tmp_path / "out"
    early_build(out, make_rooms(2, seed=1))
    edit(out)
    refused(out, "procedural/room-1-00000.mp4")


def test_an_early_build_whose_questions_were_edited_later_is_left_alone(tmp_path):
    out = tmp_path / "out"
    early_build(out, make_rooms(2, seed=1))
    edit_text(out)
    later = (out / "rooms.json").stat().st_mtime + 3600
    os.utime(out / "questions.jsonl", (later, later))
    refused(out, "questions.jsonl")


@pytest.mark.parametrize(
    "content", ["{}", "[]", '{"files": {}}', "not JSON", '{"written_by": "vsr build", "files": 3}']
)
def test_a_build_json_of_another_tool_accounts_for_nothing(tmp_path, content):
    out = tmp_path / "out"
    early_build(out, make_rooms(1, seed=1))
    (out / "build.json").write_text(content)
    refused(out, "build.json")


def test_a_list_cannot_claim_files_that_no_build_writes(tmp_path):
    out = tmp_path / "out"
    build(make_rooms(1, seed=1), out, **SMALL)
    (tmp_path / "outside.mp4").write_text("mine")
    (out / "thesis.txt").write_text("mine")
    record = json.loads((out / "build.json").read_text())
    for name in ("thesis.txt", "../outside.mp4"):
        record["files"][name] = datasets._identity(out / name)
    (out / "build.json").write_text(json.dumps(record))
    assert "../outside.mp4" not in datasets._listed(out)
    refused(out, "thesis.txt")


def test_names_of_files_are_told_without_control_characters(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a\x1b]0;title\x07\u202eb\nc.mp4").write_text("")
    with pytest.raises(ValueError, match="which no build wrote") as caught:
        build(make_rooms(1), tmp_path / "out")
    assert str(caught.value).isprintable()


# ------------------------------------------------------------------------------------------------- filling a folder


@pytest.mark.parametrize("early", [False, True], ids=["listed", "before there was a list"])
@pytest.mark.parametrize("video", [False, True])
def test_an_earlier_build_makes_room_for_the_new_one(tmp_path, early, video):
    out = tmp_path / "out"
    early_build(out, make_rooms(3, seed=1)) if early else build(make_rooms(3, seed=1), out, video=True, **SMALL)
    (out / ".DS_Store").write_text("")
    build(make_rooms(2, seed=2), out, video=video, **SMALL)
    clips = ["procedural/room-2-00000.mp4", "procedural/room-2-00001.mp4", "visibility.jsonl"] if video else []
    found = [name for name, content in tree(out).items() if content is not None]
    assert sorted(found) == sorted([".DS_Store", "build.json", "questions.jsonl", "rooms.json", *clips])
    assert (out / "procedural").exists() is video
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_the_folder_itself_stays(tmp_path, monkeypatch):
    out, link = tmp_path / "out", tmp_path / "link"
    out.mkdir()
    link.symlink_to(out)
    same = out.stat().st_ino
    monkeypatch.chdir(out)
    build(make_rooms(1, seed=1), ".", video=True, **SMALL)
    build(make_rooms(1, seed=2), link, **SMALL)
    assert out.stat().st_ino == same and link.is_symlink()
    Path("still here").write_text("")  # no shell is left in a folder that was deleted
    assert load_rooms(out / "rooms.json") == make_rooms(1, seed=2)


def test_a_refused_build_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError, match="cannot name"), filling(tmp_path / "a" / "b", {}):
        clip_path("x", "..", "y")
    assert not list(tmp_path.iterdir())


def test_two_builds_into_one_folder_are_refused_the_second(tmp_path):
    out = tmp_path / "out"
    with filling(out, {}) as staged:
        with pytest.raises(ValueError, match="being written by another process"):
            build(make_rooms(1), out)
        words = [sys.executable, "-m", "vsr_kit.cli", "build", "--rooms", "1", "--out", str(out)]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "another process" in done.stderr
        assert staged.is_dir()
        save_rooms(staged / "rooms.json", make_rooms(1))
        data.write_rows(staged / "questions.jsonl", make_rows(make_rooms(1)))
    build(make_rooms(2, seed=2), out)  # and the lock is gone with the first
    assert len(load_rooms(out / "rooms.json")) == 2


# ------------------------------------------------------------------------------------------------------------- kills

STEPS = ("unlink", "replace", "rmdir", "rmtree", "mkdir")


def build_killed_at(step: int, rooms, out: Path, monkeypatch) -> bool:
    """Build, and be killed (nothing is cleaned up) just before the step-th change to the file system; False if done."""
    left = [step]

    class Killed(BaseException):
        pass

    def counted(function):
        def change(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*args, **kwargs)

        return change

    with monkeypatch.context() as patch:
        for owner, name in [(Path, "unlink"), (Path, "rmdir"), (Path, "mkdir"), (os, "replace")]:
            patch.setattr(owner, name, counted(getattr(owner, name)))
        patch.setattr(datasets.shutil, "rmtree", counted(datasets.shutil.rmtree))
        try:
            build(rooms, out, video=True, **SMALL)
        except Killed:
            return True
    return False


def whole(out: Path, rooms) -> bool:
    """Whether `out` holds one build of `rooms`: its questions, its rooms and its clips."""
    rows = read_rows(out / "questions.jsonl")
    rules = get_rules(rows[0].get("rules", "study"), "")
    clips = {room.name: film(room, **SMALL, clear=rules.clear_walk) for room in rooms}
    if load_rooms(out / "rooms.json") != rooms or rows != make_rows(rooms, clips=clips, rules=rules):
        return False
    return not (own_files(out) ^ {name for name, content in tree(out).items() if content and UNFINISHED not in name})


@pytest.mark.parametrize("early", [False, True], ids=["listed", "before there was a list"])
def test_a_kill_at_any_change_leaves_a_whole_build_or_says_that_it_is_unfinished(tmp_path, monkeypatch, early):
    old, new = make_rooms(2, seed=1), make_rooms(3, seed=2)
    new[0] = type(new[0])(old[0].name, *list(vars(new[0]).values())[1:])  # another room of an old room's name
    states, step, killed = [], 0, True
    while killed:
        out = tmp_path / str(step)
        early_build(out, old) if early else build(old, out, video=True, **SMALL)
        killed = build_killed_at(step, new, out, monkeypatch)
        if (out / "questions.jsonl").exists():
            states.append("old" if load_rooms(out / "rooms.json") == old else "new")
            assert whole(out, old if states[-1] == "old" else new)
        else:
            states.append("unfinished")
            assert unfinished(out)
            with pytest.raises(ValueError, match="not finished.*vsr build.* again"):
                load_questions(out)
            complete(out)  # what the next build does first
            assert whole(out, new)
        build(new, out, video=True, **SMALL)
        assert whole(out, new) and not (out / UNFINISHED).exists()
        step += 1
    assert states == sorted(states, key=["old", "unfinished", "new"].index)
    assert set(states) == {"old", "unfinished", "new"}


def test_a_file_put_where_a_killed_build_goes_on_is_not_written_over(tmp_path, monkeypatch):
    for step in range(30):
        out = tmp_path / str(step)
        build(make_rooms(1, seed=1), out, **SMALL)
        assert build_killed_at(step, make_rooms(2, seed=2), out, monkeypatch)
        if unfinished(out):
            break
    mine = clip_path(out, "procedural", "room-2-00001")
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(ValueError, match=r"room-2-00001\.mp4.*move it away"):
        build(make_rooms(2, seed=3), out)
    assert mine.read_text() == "mine"


def test_a_clip_has_the_mark_by_which_early_builds_are_known(tmp_path):
    with mock.patch.dict(files._ENCODING, {"crf": "12"}):  # as they were encoded then
        write_mp4(tmp_path / "a.mp4", film(make_rooms(1)[0], **SMALL).frames_FHW3)
    assert datasets._filmed(tmp_path / "a.mp4")


# ------------------------------------------------------------------------------------------- signals and full disks


def stopped(out: Path, signum: int) -> subprocess.CompletedProcess:
    """`vsr build` into `out`, stopped by a signal while it films."""
    words = [sys.executable, "-m", "vsr_kit.cli", "build", "--rooms", "500", "--video", "--out", str(out)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(1200):
        if any(out.glob(f"{UNFINISHED}/*/*.mp4")):
            break
        time.sleep(0.05)
    process.send_signal(signum)
    said, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(words, process.returncode, said, err)


@pytest.mark.parametrize("signum, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_build_says_how_to_go_on_and_leaves_nothing(tmp_path, signum, status):
    out = tmp_path / "out"
    build(make_rooms(1, seed=1), out, **SMALL)
    before = tree(out)
    done = stopped(out, signum)
    assert done.returncode == status
    assert done.stderr.split("\n")[-2].startswith("stopped; begin again with the same command")
    assert tree(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_full_disk_is_one_line_and_the_old_build_is_kept(tmp_path, monkeypatch):
    out = tmp_path / "out"
    build(make_rooms(1, seed=1), out, **SMALL)
    before = tree(out)

    def full(path, frames):
        Path(path).write_bytes(b"half a clip")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(datasets, "write_mp4", full)
    with pytest.raises(OSError, match="is full .*free some space, then begin again with the same command") as caught:
        commands.build("2", out, video=True)
    assert str(out) in str(caught.value) and "\n" not in str(caught.value)
    assert tree(out) == before


@pytest.mark.parametrize("seed", [-1, -99])
def test_a_seed_below_zero_is_named(tmp_path, seed):
    with pytest.raises(ValueError, match=f"--seed is {seed}, must be 0 or more"):
        commands.build("2", tmp_path / "out", seed=seed)
    assert not list(tmp_path.iterdir())
