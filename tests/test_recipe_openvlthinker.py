"""OpenVLThinker's loop: who writes the texts, where each SFT begins, and which questions GRPO asks first."""

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.data import first_of_types, make_rows, split_rooms
from vsr_kit.evaluation import load_questions
from vsr_kit.generation import Generation
from vsr_kit.recipes import openvlthinker, variant
from vsr_kit.runs import RunFolder
from vsr_kit.study import runner
from vsr_kit.training import own_rollouts
from vsr_kit.training.joints import Start
from vsr_kit.training.profiles import get_profile
from vsr_kit.training.run import train

SMALL = replace(get_profile("mini"), questions_per_step=2, groups_per_pass=2, num_generations=2, num_frames=2)
SMALL = replace(SMALL, size_px=56, max_chain_tokens=8, steps=1)
ROW = {"id": "q", "question_type": "object_counting", "question": "How many?", "options": None, "ground_truth": "3"}


def said(text, tokens, truncated=False):
    return Generation(text, tokens, truncated)


def test_the_shortest_right_rollout_is_learnt_and_the_error_is_the_share_of_wrong_ones():
    right = "<think>{}</think><answer>3</answer>"
    group = [
        said("<think>One.</think><answer>2</answer>", 5),
        said(right.format("There are one, two, three."), 12),
        said(right.format("Three."), 6),
        said("3", 1),  # right, without the format
    ]
    other = [said(right.format("Cut."), 4, truncated=True)] * 4
    rows = [ROW, ROW | {"id": "r"}]
    assert own_rollouts.shortest_right(rows, [group, other], "think") == {"q": right.format("Three.")}
    assert own_rollouts.errors(rows, [group, other], "think") == {"q": 0.5, "r": 1.0}
    assert own_rollouts.errors(rows[:1], [[said("3", 1), said("4", 1)]], "vanilla") == {"q": 0.5}


def test_medium_is_the_middle_third_by_error_and_hard_the_last():
    error = {"a": 1.0, "b": 0.0, "c": 0.5, "d": 0.75, "e": 0.5, "f": 0.0, "g": 0.5}
    assert openvlthinker.by_difficulty(error) == ({"c", "e", "g"}, {"a", "d"})
    with pytest.raises(ValueError, match="2 questions have no thirds"):
        openvlthinker.by_difficulty({"a": 0.0, "b": 1.0})


def test_equal_errors_put_no_type_of_question_into_one_third():
    rows = first_of_types(make_rows(split_rooms(60, "train"), "vsi-100k"), openvlthinker.PER_TYPE)
    kinds = {row["id"]: row["question_type"] for row in rows}  # grouped by type, as the loop asks them
    for third in openvlthinker.by_difficulty(dict.fromkeys(kinds, 0.5)):
        counts = Counter(kinds[name] for name in third)
        assert len(counts) == 6 and max(counts.values()) < len(third) / 3
    backwards = dict.fromkeys(reversed(list(kinds)), 0.5)
    assert openvlthinker.by_difficulty(backwards) == openvlthinker.by_difficulty(dict.fromkeys(kinds, 0.5))


@pytest.fixture(scope="module")
def questions():
    asked = load_questions(2, split="train", phrasing="vsi-100k", per_room=2, num_frames=2, size_px=56)
    return SimpleNamespace(rows=asked.rows[:9], clips=asked.clips)


@pytest.fixture
def everything_is_right(monkeypatch):
    monkeypatch.setattr(own_rollouts, "is_right", lambda one, row, mode: len(one.text) > 0)


def trained(tmp_path, name, how, questions, start=None, **changes):
    run = RunFolder.create(name, {"x": 1}, seed=1, root=tmp_path)
    done = train(replace(SMALL, **changes), how, questions, run=run, seed=1, quiet=True, start=start)
    run.summarise(headline={})
    run.finish(stopped=None)
    return done, run


def test_what_it_starts_from_writes_the_texts_and_the_sft_begins_at_the_base(
    questions, everything_is_right, tmp_path, monkeypatch
):
    how = replace(openvlthinker.CHAINS, per_type=2)
    writers = []
    draw = own_rollouts.draw_groups

    def watched(model, *args, **kwargs):
        writers.append({name: w.detach().clone() for name, w in model.named_parameters() if "lora_" in name})
        return draw(model, *args, **kwargs)

    monkeypatch.setattr(own_rollouts, "draw_groups", watched)
    first, run = trained(tmp_path, "first", how, questions, learning_rate=0.1)
    again, _ = trained(tmp_path, "again", how, questions, start=Start(run.adapter), learning_rate=1e-12)
    assert all(w.abs().sum() == 0 for name, w in writers[0].items() if "lora_B" in name)  # the base wrote the first
    learnt = {name: w for name, w in first.loaded.model.named_parameters() if "lora_" in name}
    assert all(torch.equal(writers[1][name], weight) for name, weight in learnt.items())
    now = dict(again.loaded.model.named_parameters())  # a step of no size from a fresh adapter
    assert all(torch.allclose(now[name], fresh, atol=1e-9) for name, fresh in writers[0].items())
    assert any(not torch.allclose(now[name], weight, atol=1e-4) for name, weight in learnt.items())
    assert 0 < first.logs[0]["rollouts/kept"] <= 1 and first.logs[0]["rollouts/tokens"] > 0
    spent = openvlthinker.spent([first.logs, again.logs])
    assert spent == sum(log["rollouts/tokens"] + log["num_tokens"] for log in (first.logs[0], again.logs[0]))


def test_no_right_rollout_is_an_error(questions, tmp_path, monkeypatch):
    monkeypatch.setattr(own_rollouts, "is_right", lambda *args: False)
    with pytest.raises(ValueError, match="not one of .* rollouts is right: draw more of each question, or a longer"):
        trained(tmp_path, "none", replace(openvlthinker.CHAINS, per_type=1), questions)


def test_texts_must_fill_a_step_and_rows_have_ids_of_their_own(questions, tmp_path, monkeypatch):
    how, only = replace(openvlthinker.CHAINS, per_type=1), questions.rows[0]["id"]
    monkeypatch.setattr(own_rollouts, "is_right", lambda one, row, mode: row["id"] == only)
    with pytest.raises(ValueError, match="1 questions with a right rollout to train on, a step needs 2"):
        trained(tmp_path, "few", how, questions)
    twice = SimpleNamespace(rows=[row | {"id": "same"} for row in questions.rows], clips=questions.clips)
    with pytest.raises(ValueError, match="rows share ids: rollouts are known by them"):
        trained(tmp_path, "twice", how, twice)


def test_grpo_asks_medium_questions_first_and_hard_ones_later_by_the_bases_error(questions, tmp_path, monkeypatch):
    order = {row["id"]: place for place, row in enumerate(questions.rows)}

    def by_place(rows, groups, mode):
        return {row["id"]: order[row["id"]] / 10 for row in rows}

    monkeypatch.setattr(own_rollouts, "errors", by_place)
    how = replace(openvlthinker.REINFORCED, per_type=9)
    _, run = trained(tmp_path, "grpo", how, questions, steps=2)
    asked = {step: {order[row["id"]] for row in run.read_rollouts() if row["step"] == step} for step in (1, 2)}
    assert asked[1] <= {3, 4, 5} and asked[2] <= {6, 7, 8} and len(asked[1]) == len(asked[2]) == 2
    assert [row["stage"] for row in run.read_metrics()] == [1, 2]
    json.dumps(how.settings())  # as a run records it


def test_the_recipe_is_two_rounds_that_follow_each_other():
    before = {v.name: v.starts_from for v in openvlthinker.VARIANTS}
    assert before == {
        "ovt-sft-1": "",
        "ovt-grpo-1": "ovt-sft-1",
        "ovt-sft-2": "ovt-grpo-1",
        "ovt-grpo-2": "ovt-sft-2",
    }
    assert openvlthinker.ROUNDS == 2
    control, grpo = variant(openvlthinker.CONTROL), variant("ovt-grpo-2")
    same = ("model", "beta", "learning_rate", "questions_per_step", "num_generations", "max_chain_tokens")
    assert [getattr(control.profile, name) for name in same] == [getattr(grpo.profile, name) for name in same]
    assert (control.asked, control.cap, control.prompt_set) == (grpo.asked, grpo.cap, grpo.prompt_set)


def test_a_run_that_starts_from_another_waits_for_it():
    units = runner.plan(["openvlthinker"], seeds=2)
    names = [unit.name for unit in runner._ready(units, [])]
    assert names == ["base", "ovt-sft-1-seed1", "ovt-sft-1-seed2"]
    left = [unit for unit in units if unit.name not in names]
    under_way = [unit for unit in units if unit.name == "ovt-sft-1-seed1"]
    assert [unit.name for unit in runner._ready(left, under_way)] == ["ovt-grpo-1-seed2"]
    last = [unit for unit in units if unit.name == "ovt-grpo-2-seed1"]
    assert runner._ready(last, []) == last  # what it starts from is not of this plan: there already, or missing


@pytest.mark.slow
def test_the_command_trains_the_whole_loop(tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    done = CliRunner().invoke(app, ["train", "--recipe", "openvlthinker", "--steps", "2", "--rooms", "8"])
    assert done.exit_code == 0, done.output
    found = list(tmp_path.rglob("adapter/adapter_model.safetensors"))
    assert len(found) == 4 and not list(tmp_path.rglob("chains"))
    assert all(weight.isfinite().all() for path in found for weight in load_file(path).values())
