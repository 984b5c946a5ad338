"""All Roads: one question in two forms, what an order earns, and who writes the pairs that DPO learns from."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.data import make_rows, split_rooms
from vsr_kit.evaluation import load_questions
from vsr_kit.evaluation.scorers import score_row
from vsr_kit.generation import Generation
from vsr_kit.recipes import all_roads, variant
from vsr_kit.runs import RunFolder
from vsr_kit.training import own_rollouts
from vsr_kit.training.joints import Start
from vsr_kit.training.methods import SFT
from vsr_kit.training.profiles import get_profile
from vsr_kit.training.references import REFERENCE
from vsr_kit.training.run import train

SMALL = replace(get_profile("mini"), questions_per_step=2, groups_per_pass=2, num_generations=2, num_frames=2)
SMALL = replace(SMALL, size_px=56, max_vanilla_tokens=4, steps=2)
ROW = {
    "id": "q",
    "question_type": all_roads.KIND,
    "options": None,
    "question": "Name these objects: bed, tv, bin, sofa.",
}
ROW |= {"objects": ["lamp", "bed", "tv", "bin", "sofa"], "ground_truth": "sofa tv bed bin"}
WORD = ROW | {
    "question": "Which of these objects (bed, tv, bin, sofa)is the closest to the lamp?",
    "ground_truth": "tv",
}


@pytest.mark.parametrize(
    ("text", "earned"),
    [
        ("sofa tv bed bin", 1),
        ("Sofa, tv, bed, bin.", 1),
        ("tv sofa bed bin", 5 / 6),
        ("bin bed tv sofa", 0),
        ("sofa bin", 1 / 6),
        ("sofa sofa sofa bin", 1 / 6),
        ("sofa tv bed bin lamp", 0),
        ("", 0),
    ],
)
def test_an_order_earns_the_share_of_its_pairs(text, earned):
    assert all_roads.pay(text, ROW) == pytest.approx(earned)
    assert all_roads.answer_reward([text], **{name: [value] for name, value in ROW.items()}) == [pytest.approx(earned)]


def test_one_word_earns_all_or_nothing_and_the_reader_asks_for_whole_orders():
    assert all_roads.pay("tv", WORD) == 1 and all_roads.pay("bed", WORD) == 0
    assert not all_roads.is_order(WORD | {"ground_truth": "front left"})
    assert [score_row(ROW, text, "lenient").value for text in ("sofa tv bed bin", "tv sofa bed bin")] == [1, 0]
    assert score_row(WORD, "tv", "lenient").value == 1


def test_an_order_begins_with_the_answer_of_its_one_word_form():
    rooms = split_rooms(6, "val")
    rows = make_rows(rooms, "vsi-100k", types=(all_roads.KIND,))
    by_name = {room.name: room for room in rooms}
    for row in rows:
        order = all_roads.as_order(row, by_name[row["scene_name"]])
        named = order["ground_truth"].split()
        assert named[0] == row["ground_truth"] and sorted(named) == sorted(row["objects"][1:])
        assert "(" not in order["question"] and order["id"] != row["id"] and all_roads.is_order(order)
    assert len(rows) > 5


def test_a_pair_is_the_best_and_the_worst_of_what_ended():
    group = [Generation(text, 4, cut) for text, cut in (("tv", True), ("bed", False), ("sofa", False), ("bin", False))]
    worth = {"tv": 1.0, "bed": 0.2, "sofa": 0.7, "bin": 0.1}
    pair = own_rollouts.best_and_worst(WORD, group, lambda text, row: worth[text])
    assert pair == ((0.7, "sofa"), (0.1, "bin"))
    best, worst = own_rollouts.best_and_worst(WORD, group, lambda text, row: 0.5)
    assert best == worst  # no gradient
    assert own_rollouts.best_and_worst(WORD, group[:1], lambda text, row: 1.0) == ((0.0, ""), (0.0, ""))


def test_claims_compare_what_answers_earn_run_by_run():
    said = {"roads-a-seed1": "sofa tv bed bin", "roads-a-seed2": "tv sofa bed bin", "roads-b-seed1": "bin bed tv sofa"}

    def texts(mode, questions, model):
        rooms = [{**ROW, "id": f"q{i}", "dataset": "procedural", "scene_name": f"room-{i}"} for i in range(3)]
        return [{**row, "prediction": said[model], "truncated": False} for row in rooms]

    evidence = SimpleNamespace(texts=texts, runs=lambda of: [name for name in said if name.startswith(of)])
    found = all_roads.paid_minus("gap", "roads-a", "roads-b", "test-roads-order")(evidence)["gap"]
    assert found.mean == pytest.approx(100 * (1 + 5 / 6) / 2) and found.n == 3 and found.seeds == (2, 1)
    decide = {claim.name: claim.decide for claim in all_roads.CLAIMS}
    clear = {"online_minus_dpo": SimpleNamespace(mean=4.0, low=2.0, high=6.0, student=(1.0, 7.0))}
    none = {"online_minus_dpo": SimpleNamespace(mean=1.0, low=0.5, high=1.5, student=(-1.0, 3.0))}
    assert decide["online-beats-offline-on-orders"](clear) == "reproduced"
    assert decide["online-beats-offline-on-orders"](none).startswith("undecided")
    assert decide["no-online-gap-on-one-word"](clear) == "not reproduced"
    assert decide["no-online-gap-on-one-word"](none) == "reproduced"


@pytest.fixture(scope="module")
def questions():
    asked = load_questions(2, split="train", phrasing="vsi-100k", per_room=1, num_frames=2, size_px=56)
    return SimpleNamespace(rows=asked.rows[:2], clips=asked.clips)


@pytest.fixture(scope="module")
def start(questions, tmp_path_factory):
    run = RunFolder.create("sft", {"x": 1}, seed=1, root=tmp_path_factory.mktemp("start"))
    train(replace(SMALL, learning_rate=0.01), SFT(), questions, run=run, seed=1, quiet=True)
    return Start(run.adapter)


@pytest.mark.parametrize("online", [False, True])
def test_online_the_present_policy_writes_and_offline_the_one_that_training_found(
    online, questions, start, monkeypatch
):
    drawn, draw = [], own_rollouts.draw_groups

    def watched(model, processor, rows, *args, **kwargs):
        groups = draw(model, processor, rows, *args, **kwargs)
        drawn.append({row["id"]: [one.text for one in group] for row, group in zip(rows, groups, strict=True)})
        return groups

    monkeypatch.setattr(own_rollouts, "draw_groups", watched)
    monkeypatch.setattr(own_rollouts, "best_and_worst", lambda row, group, pay: ((1.0, "red sofa"), (0.0, "no")))
    how = all_roads.RolloutDPO(online=online, draws=4)
    profile = replace(SMALL, learning_rate=0.01)
    done = train(profile, how, questions, seed=1, quiet=True, start=start)
    assert len(drawn) == 2 and drawn[0].keys() == drawn[1].keys()  # two steps, the same two questions
    assert (drawn[0] == drawn[1]) is not online
    assert abs(done.logs[0]["rewards/margins"]) < 1e-4 < done.logs[1]["rewards/margins"]  # from where training began
    assert done.logs[0]["pairs/there"] == 1 and done.logs[0]["rollouts/tokens"] > 8
    assert REFERENCE not in done.loaded.model.peft_config


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"online": None, "draws": 8}, "online is None"),
        ({"online": True, "draws": 1}, "draws is 1"),
        ({"online": True, "draws": 0}, "draws is 0"),
    ],
)
def test_who_writes_and_how_many_rollouts_must_be_said(wrong, told):
    with pytest.raises(ValueError, match=told):
        all_roads.RolloutDPO(**wrong)
    with pytest.raises(TypeError, match="online"):
        all_roads.RolloutDPO(draws=8)
    assert all_roads.METHODS["dpo"][0].settings()["online"] is False
    assert all_roads.METHODS["dpo"][0].settings()["draws"] == 8


def test_methods_differ_in_who_writes_and_start_from_one_sft():
    offline, online = all_roads.METHODS["dpo"], all_roads.METHODS["online"]
    assert replace(offline[0], online=True) == online[0] and offline[1] == online[1]
    assert offline[0].settings() != online[0].settings()
    for form in all_roads.FORMS:
        variants = [variant(f"roads-{form}-{method}") for method in all_roads.METHODS]
        assert {v.starts_from for v in variants} == {"roads-start"} and len({v.questions for v in variants}) == 1
        assert {(v.profile.steps, v.profile.questions_per_step) for v in variants} == {(all_roads.STEPS, 8)}
    grpo = all_roads.METHODS["grpo"][0]
    assert variant("roads-word-grpo").profile.num_generations == all_roads.ROLLOUTS == online[0].draws
    assert grpo.stages[0].rewards == {"accuracy_reward": 0.0}  # an order is paid by its pairs alone


@pytest.mark.slow
def test_the_command_trains_sft_and_online_dpo(tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    done = CliRunner().invoke(app, ["train", "--recipe", "all-roads", "--steps", "2", "--rooms", "2"])
    assert done.exit_code == 0, done.output
    found = list(tmp_path.rglob("adapter/adapter_model.safetensors"))
    assert len(found) == 2
    assert all(weight.isfinite().all() for path in found for weight in load_file(path).values())
