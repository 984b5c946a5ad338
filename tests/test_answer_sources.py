"""Where an inspector's answers come from: kept in every form, live in every form, loaded no earlier than asked."""

import shutil

import pytest

from vsr_kit.data import make_rows, split_rooms
from vsr_kit.inspection import RolloutTable
from vsr_kit.models import load_model
from vsr_kit.paths import data_samples
from vsr_kit.runs import RunFolder
from vsr_kit.videos import film
from vsr_kit.widgets import AnswerInspector
from vsr_kit.widgets.answer_sources import AnswerSource, Asking, answer_source, by_label

ROOMS = split_rooms(1, "val")
CLIPS = {room.name: film(room) for room in ROOMS}
ROWS = make_rows(ROOMS, "vsi-100k", clips=CLIPS, max_per_type=1)
ASKING = Asking(CLIPS)
RUN = data_samples("reference_runs", "grpo-vanilla-seed1")


def kept(text, rows=ROWS):
    return [row | {"prediction": text, "sample": sample} for row in rows for sample in range(2)]


def test_kept_answers_come_in_every_form(tmp_path):
    said = {row["id"]: "3" for row in ROWS}
    table = RolloutTable(kept("3"), "some")
    run = RunFolder.create("asked", {"model": "mini"}, root=tmp_path)
    run.predictions([row | {"prediction": "3", "mode": "vanilla"} for row in ROWS])
    run.finish()
    for given in (said, kept("3"), table, run, run.path, str(run.path), run.path / "predictions.jsonl"):
        source = answer_source("x", given, ASKING)
        assert source.kept == said and source.ask is None
    assert answer_source("x", AnswerSource(said), ASKING).kept is said


def test_a_table_is_divided_by_its_labels():
    rows = [row | {"label": label} for label, text in (("before", "3"), ("after", "4")) for row in kept(text)]
    found = by_label(RolloutTable(rows, "both"))
    assert list(found) == ["before", "after"] and set(found["after"].kept.values()) == {"4"}
    view = AnswerInspector(ROOMS, ROWS, CLIPS, RolloutTable(rows, "both"), source="shipped")
    assert view.checkpoint.options == ("all of them", "before", "after")
    assert list(by_label(RolloutTable(kept("3"), "some"))) == ["some"]


@pytest.mark.parametrize("given", [3, None])
def test_what_is_no_source_is_refused(given):
    with pytest.raises(ValueError, match="answers of 'x' are .*: give kept answers, a model, a run"):
        answer_source("x", given, ASKING)
    with pytest.raises(
        ValueError, match="answers of 'x': there is no 'nowhere'; give a file, a folder, or one of mini"
    ):
        answer_source("x", "nowhere", ASKING)


def test_named_models_are_loaded_when_they_are_first_asked(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("vsr_kit.models.load_model", lambda **how: asked.append(how) or "a model")
    monkeypatch.setattr(Asking, "__call__", lambda self, loaded, row: f"{loaded} says 3")
    shutil.copytree(RUN / "adapter", tmp_path / "mine")
    for given, how in (
        (RUN, {"name": "mini", "quantize": "nf4", "adapter": RUN / "adapter"}),
        (tmp_path / "mine", {"name": "mini", "quantize": "nf4", "adapter": tmp_path / "mine"}),
        ("mini-cold-start", {"name": "mini-cold-start"}),
        (data_samples("mini-qwen2-vl"), {"name": data_samples("mini-qwen2-vl")}),
    ):
        source = answer_source("x", given, ASKING)
        assert asked == [] and source.kept == {}
        assert {source.ask(row) for row in ROWS} == {"a model says 3"}
        assert asked == [how | {"quiet": True}]
        asked.clear()


def test_the_miniature_its_adapter_and_kept_answers_are_compared_live():
    base = load_model("mini", quantize="nf4", quiet=True)
    view = AnswerInspector(
        ROOMS,
        ROWS,
        CLIPS,
        {"base": base, "after GRPO": RUN, "kept": {ROWS[0]["id"]: "7"}},
        source="measured now",
    )
    assert view.answers.value.count("not asked yet") == 2 and view.ask.layout.display == ""
    view.ask.click()
    assert "not asked yet" not in view.answers.value and "failed" not in view.answers.value
    assert view.answers.value.count("accuracy ") == 3
    texts = [view._known[name][ROWS[0]["id"]] for name in ("base", "after GRPO")]
    assert all(texts) and not view.ask.disabled
