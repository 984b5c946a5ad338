"""What a command does beside its work: bars, help, hints that can be pasted, and clips read when they are shown."""

import io
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.test_cli_models import runs, vsr  # noqa: F401  a fixture
from tests.test_image_rows import parquet, sat
from vsr_kit.cli import app
from vsr_kit.cli.bridging import material_of
from vsr_kit.cli.clips import flags_of
from vsr_kit.cli.terminal import Guarded, bars, paragraphs
from vsr_kit.evaluation.predictions import mismatched_clips
from vsr_kit.runs import runs_root


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_bars_are_drawn_on_a_terminal_and_nowhere_else(monkeypatch):
    for stream, drawn in ((Terminal(), True), (io.StringIO(), False), (Guarded(Terminal()), True), (None, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        assert bars() is drawn


@pytest.mark.slow
@pytest.mark.usefixtures("runs")
def test_a_log_holds_no_bar(tiny_path):
    done = vsr("eval", "--rooms", 1, "--model", tiny_path, "--max-new-tokens", 2, "--per-type", 1)
    assert done.exit_code == 0, done.output
    assert "%|" not in done.output and "\r" not in done.output


def test_paragraphs_of_help_are_not_ragged():
    """Only the first paragraph of a docstring is joined by typer; a command keeps a line of its own."""
    made = paragraphs("Do it.\n\n    One line\n    and another.\n\n    Like so:\n    vsr plan --profile t4\n    ")
    assert made == "Do it.\n\nOne line and another.\n\nLike so:\nvsr plan --profile t4"
    for command in app.registered_commands:
        assert command.help == paragraphs(command.callback.__doc__), command.name
    assert len(app.registered_commands) > 15


def test_a_hint_repeats_the_flags_that_decide_what_is_found():
    plain = flags_of({"rooms": "a b", "split": "test"}, "mini", "vanilla", 8, 112)
    assert plain == "'a b'"
    settings = {"rooms": "rows.jsonl", "videos": "films", "pixels": 40000, "fps": 2.0}
    told = flags_of(settings, "t/m", "think", 16, 112, training=True, numeric="mra")
    assert told.split(" ", 1) == [
        "rows.jsonl",
        "--model t/m --videos films --mode think --split train --frames 16 --pixels 40000 --fps 2.0 --numeric mra "
        "--training",
    ]
    known = vsr("preflight", "--help").output
    assert all(word in known for word in told.split() if word.startswith("--"))


@pytest.mark.slow
@pytest.mark.usefixtures("runs")
def test_a_refusal_hints_with_its_own_flags(tiny_path, tmp_path, monkeypatch):
    def refused(found, where):
        raise ValueError(where)

    monkeypatch.setattr("vsr_kit.evaluation.preflight.refuse_faults", refused)
    path = parquet(tmp_path / "sat.parquet", sat(2))
    done = vsr("eval", "--rooms", path, "--model", tiny_path, "--frames", 4, "--mode", "think")
    assert str(done.exception) == f"{path} --model {tiny_path} --mode think --frames 4"
    done = vsr("train", "--rooms", path, "--model", tiny_path, "--pixels", 4000)
    assert str(done.exception) == f"{path} --model {tiny_path} --split train --pixels 4000 --training"


def test_another_rooms_clip_is_read_when_it_is_shown():
    read, begun = [], []

    class Clips(dict):
        def __getitem__(self, name):
            read.append(name)
            return np.full((1, 1, 1, 3), ord(name), np.uint8)

        def ahead(self, names):
            begun.extend(names)

    shown = mismatched_clips(Clips(a=0, b=0, c=0))
    assert read == [] and set(shown) == {"a", "b", "c"} and "a" in shown and len(shown) == 3
    other = chr(shown["a"].flat[0])
    assert read == [other] and other != "a"
    shown.ahead(["a"])
    assert begun == [other] and read == [other]


def test_a_recipes_rooms_are_filmed_as_told():
    made = material_of("1", "train", "vsi-100k", 1, 4, 112, 0, pixels=60 * 60)
    assert {clip.shape for clip in made["clips"].values()} == {(4, 56, 56, 3)}


@pytest.mark.slow
@pytest.mark.usefixtures("runs")
def test_a_recipe_takes_frames_and_pixels(tiny_path, monkeypatch):
    """They reach the rooms and the record, and a resumed training may not be told others."""
    seen = []

    def phases(phases, profile, questions, *_, **__):
        seen.append((profile.num_frames, {clip.shape for clip in questions.clips.values()}))
        config = {"config": {"mode": "vanilla"}}
        return [SimpleNamespace(summary={"headline": {}}, config=config, path="x")] * len(phases)

    monkeypatch.setattr("vsr_kit.training.phases.train_phases", phases)
    asked = ["--recipe", "vision-r1", "--model", tiny_path, "--rooms", 2, "--per-room", 1]
    done = vsr("train", *asked, "--frames", 4, "--pixels", 3600, "--steps", 1)
    assert done.exit_code == 0, done.output
    assert seen == [(4, {(4, 56, 56, 3)})]
    (folder,) = (path for path in runs_root().iterdir() if not path.name.startswith("."))
    again = vsr("train", "--resume", folder, "--frames", 8)
    assert again.exit_code and "frames" in str(again.exception)
