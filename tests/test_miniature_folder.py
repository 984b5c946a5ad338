"""What a pretraining may go on with: its own recipe's films, states and logs, in a folder that it holds alone."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.test_builds import tree
from tests.test_miniature import ROOMS, Killed, killed_in, small_recipe
from vsr_kit.cli import pretraining
from vsr_kit.locks import held
from vsr_kit.miniature import folder, pretrain, stages, training
from vsr_kit.miniature.sight import ClipStore
from vsr_kit.runs.interrupts import say_on_full_disk


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A finished pretraining of `small_recipe`; tests copy it."""
    out = tmp_path_factory.mktemp("begun") / "mini"
    pretrain(out, small_recipe(), fuse=False)
    return out


@pytest.fixture
def copied(begun, tmp_path):
    """A copy with the checkpoint folders named as they lie now."""
    for path in begun.parent.iterdir():
        shutil.copytree(path, tmp_path / path.name)
    noted = [str((tmp_path / name).resolve()) for name in ("mini", "mini-clean")]
    (tmp_path / "mini-work" / "checkpoints.json").write_text(json.dumps({"folders": noted}))
    return tmp_path / "mini"


def other_steps(recipe):
    return replace(recipe, look=replace(recipe.look, steps=3))


def other_teaching(recipe):
    return replace(recipe, clean=replace(recipe.clean, teaching=replace(recipe.clean.teaching, cot_share=0.25)))


CHANGES = {
    "recipe.seed 0 (now 1)": lambda recipe: replace(recipe, seed=1),
    "recipe.look.steps 2 (now 3)": other_steps,
    "recipe.clean.teaching.cot_share 0.5 (now 0.25)": other_teaching,
    "recipe.num_rooms 6 (now 5)": lambda recipe: replace(recipe, num_rooms=5),
    "recipe.size_px 112 (now 56)": lambda recipe: replace(recipe, size_px=56),
    "recipe.vision.depth 1 (now 2)": lambda recipe: replace(recipe, vision={**recipe.vision, "depth": 2}),
}


@pytest.mark.parametrize("told", CHANGES)
def test_a_work_folder_of_another_recipe_is_refused_with_both_values(copied, told):
    before = tree(copied.parent)
    with pytest.raises(ValueError, match="go on with the settings it was begun with") as caught:
        pretrain(copied, CHANGES[told](small_recipe()), fuse=False)
    assert told in str(caught.value)
    assert tree(copied.parent) == before


def test_the_same_recipe_goes_on_to_the_same_checkpoint(copied):
    before = tree(copied)
    pretrain(copied, small_recipe(), fuse=False)
    assert tree(copied) == before


@pytest.mark.parametrize("what", ["corpus", "make_rooms"])
def test_code_that_makes_other_rooms_or_words_is_noticed(copied, monkeypatch, what):
    if what == "make_rooms":
        monkeypatch.setattr(training, what, lambda count, seed, split: ROOMS[::-1])
    else:
        monkeypatch.setattr(training, what, lambda rooms, seed: iter(["other words"] * 50))
    with pytest.raises(ValueError, match=r"(rooms|tokenizer) '\w+' \(now '\w+'\)"):
        pretrain(copied, small_recipe(), fuse=False)


def test_another_number_of_processes_is_another_recipe(copied, monkeypatch):
    monkeypatch.setattr(training, "world", lambda: 2)
    with pytest.raises(ValueError, match=r"processes 1 \(now 2\)"):
        pretrain(copied, small_recipe(), fuse=False)


def test_a_state_carried_in_from_another_recipe_is_refused(copied, tmp_path):
    pretrain(tmp_path / "b" / "mini", small_recipe(seed=1), fuse=False)
    work = tmp_path / "b" / "mini-work"
    shutil.copyfile(copied.with_name("mini-work") / "look.pt", work / "look.pt")
    with pytest.raises(ValueError, match=r"look\.pt was made with recipe\.seed 0 \(now 1\)"):
        pretrain(tmp_path / "b" / "mini", small_recipe(seed=1), fuse=False)


def test_a_work_folder_that_does_not_say_its_recipe_is_left_alone(copied):
    work = copied.with_name("mini-work")
    (work / "recipe.json").unlink()
    before = tree(work)
    with pytest.raises(ValueError, match="no recipe.json that says"):
        pretrain(copied, small_recipe(), fuse=False)
    assert tree(work) == before


@pytest.mark.parametrize("name", ["mini", "mini-clean"])
def test_somebody_elses_files_are_not_written_over(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "config.json").write_text("mine")
    with pytest.raises(ValueError, match=r"holds config\.json, which no pretraining"):
        pretrain(tmp_path / "mini", small_recipe(), fuse=False)
    assert list(tree(tmp_path)) == [name, f"{name}/config.json"]


def test_a_second_pretraining_in_the_folder_is_refused(tmp_path):
    with held(tmp_path / "mini-work"), pytest.raises(ValueError, match="being written by another process"):
        pretrain(tmp_path / "mini", small_recipe(), fuse=False)
    assert not list(tmp_path.iterdir())


def test_the_command_refuses_another_seed(tmp_path):
    words = [sys.executable, "-m", "vsr_kit.cli", "pretrain", "--out", str(tmp_path / "mini"), "--no-fuse"]
    (tmp_path / "mini-work").mkdir()
    recorded = folder.as_recorded({"recipe": training.Recipe(seed=0), "processes": 1})
    (tmp_path / "mini-work" / "recipe.json").write_text(json.dumps(recorded))
    done = subprocess.run([*words, "--seed", "1"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: ") and "recipe.seed 0 (now 1)" in done.stderr.strip().split("\n")[-1]


# -------------------------------------------------------------------------------------------------------------- logs


def steps_of(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().split("\n")[:-1]]


@pytest.mark.parametrize("torn", ["", '{"loss": 1.2, "st', '{"loss": 0.1, "step": 4}\n{"l'])
def test_a_log_that_is_gone_on_with_has_every_step_once(tmp_path, monkeypatch, torn):
    small = small_recipe()
    recipe = replace(small, sight=replace(small.sight, steps=6))
    monkeypatch.setattr(stages, "SAVE_EVERY", 2)
    monkeypatch.setattr(stages, "LOG_EVERY", 1)
    killed_in(monkeypatch, "sight", at=4)  # three steps logged, two saved
    with pytest.raises(Killed):
        pretrain(tmp_path / "mini", recipe, fuse=False)
    log = tmp_path / "mini-work" / "sight.jsonl"
    assert steps_of(log) == [1, 2, 3]
    with log.open("a") as stream:
        stream.write(torn)
    killed_in(monkeypatch, "sight", at=99)
    pretrain(tmp_path / "mini", recipe, fuse=False)
    assert steps_of(log) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("damage", ["cut", "empty", "garbled"])
def test_a_damaged_state_is_named(copied, damage):
    path = copied.with_name("mini-work") / "clean.pt"
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[:1000], "empty": b"", "garbled": whole[:50] + b"x" * 50 + whole[100:]}[damage])
    with pytest.raises(ValueError, match=r"clean\.pt cannot be read.*remove") as caught:
        pretrain(copied, small_recipe(), fuse=False)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------------------- films


def test_films_have_their_room_on_the_disk_before_they_are_made(tmp_path):
    ClipStore(tmp_path, ROOMS)
    for name in ("frames.npy", "cover.npy"):
        stat = (tmp_path / name).stat()
        assert stat.st_blocks * 512 >= stat.st_size > 0


def test_a_disk_too_small_for_the_films_is_told_before_filming(tmp_path, monkeypatch):
    def full(handle, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder.os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"needs \d+\.\d MB more, .* MB are free: free some space"):
        ClipStore(tmp_path / "clips", ROOMS)
    assert not list((tmp_path / "clips").iterdir())


def test_the_count_of_filmed_rooms_is_written_whole(tmp_path, monkeypatch):
    store = ClipStore(tmp_path, ROOMS)
    (tmp_path / "filmed.json").write_text('{"filmed": 4}')

    def torn(path, text, **how):
        path.write_bytes(text.encode()[:7])
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Path, "write_text", torn)
        store.film_all()
    assert store.filmed == 4


@pytest.mark.parametrize("content", ["{}", "[]", '{"filmed": 700}', '{"filmed": "3"}', '{"fil'])
def test_a_count_that_says_nothing_is_named(tmp_path, content):
    store = ClipStore(tmp_path, ROOMS)
    (tmp_path / "filmed.json").write_text(content)
    with pytest.raises(ValueError, match=r"filmed\.json"):
        store.film_all()


def test_frames_that_are_gone_are_filmed_again(tmp_path):
    ClipStore(tmp_path, ROOMS).film_all()
    (tmp_path / "frames.npy").unlink()
    store = ClipStore(tmp_path, ROOMS)
    assert store.filmed == 0
    store.film_all()
    assert all(frames.any() for frames in store.frames_NFHW3)


def test_a_film_file_that_is_cut_is_named(tmp_path):
    ClipStore(tmp_path, ROOMS).film_all()
    os.truncate(tmp_path / "frames.npy", 5000)
    with pytest.raises(ValueError, match=r"frames\.npy is not whole .*remove it"):
        ClipStore(tmp_path, ROOMS)


# ------------------------------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_half_in_place_is_none(tmp_path, monkeypatch):
    school = training.MiniatureTrainer(small_recipe(), tmp_path / "work", fuse=False)
    (tmp_path / "mini").mkdir()
    school.save(tmp_path / "mini")
    whole, moved = tree(tmp_path / "mini"), []
    move = os.replace

    def killed(source, target):
        if len(moved) == 3:
            raise Killed
        moved.append(target)
        move(source, target)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training.os, "replace", killed)
        school.save(tmp_path / "mini")
    assert not (tmp_path / "mini" / "config.json").exists()
    school.save(tmp_path / "mini")
    assert tree(tmp_path / "mini") == whole


# ------------------------------------------------------------------------------------------- signals and full disks


@pytest.mark.parametrize("signum, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_pretraining_says_how_to_go_on(tmp_path, monkeypatch, capsys, signum, status):
    monkeypatch.setattr("vsr_kit.miniature.pretrain", lambda *_: os.kill(os.getpid(), signum))
    with pytest.raises(SystemExit) as caught:
        pretraining.pretrain(tmp_path / "mini", share=0.001)
    assert caught.value.code == status
    assert capsys.readouterr().err == "stopped; go on with the same command\n"


def test_a_disk_that_fills_up_in_a_stage_is_one_line(copied, monkeypatch):
    work = copied.with_name("mini-work")
    (work / "diffuse.pt").unlink()
    before = tree(work)

    def full(state, path):
        Path(path).write_bytes(b"half a state")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="is full .*free some space, then go on"), say_on_full_disk(work, "go on"):
        pretrain(copied, small_recipe(), fuse=False)
    assert {name: before[name] for name in before if name.endswith(".pt")} == {
        name: content for name, content in tree(work).items() if name.endswith((".pt", ".part", ".tmp"))
    }
