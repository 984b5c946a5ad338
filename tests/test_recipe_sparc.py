"""SPARC's recipe: the arithmetic by hand, the scores that a model's first token gives, the file, and the claims."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import vsr_kit as vsr
from vsr_kit.evaluation.multi_label import (
    METHODS,
    average_precision,
    first_component,
    fused,
    map_difference,
    mean_average_precision,
    name_scores,
    ranked,
    single_and_compound,
    standardised,
)
from vsr_kit.evaluation.presence import presence_scores, question_about
from vsr_kit.files import Damaged
from vsr_kit.prompts import chat_messages
from vsr_kit.recipes import sparc
from vsr_kit.rooms import CATEGORIES
from vsr_kit.study import object_scores
from vsr_kit.study.evidence import Evidence


def test_average_precision_by_hand():
    assert average_precision([4, 3, 2, 1], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([1, 2, 3, 4], [1, 0, 0, 0]) == pytest.approx(1 / 4)
    assert average_precision([1, 1, 1], [0, 0, 1]) == pytest.approx(1 / 3)  # equal scores keep their order
    assert np.isnan(average_precision([1, 2], [0, 0]))
    drawn = average_precision([3, 2, 1], [1, 0, 1], np.array([[1, 1, 1], [0, 2, 1], [2, 0, 1]]))
    assert drawn == pytest.approx([(1 + 2 / 3) / 2, 1 / 3, 1])  # a clip that was drawn twice, or not at all


def test_an_object_that_the_clip_does_not_show_is_left_out_of_its_names_ranking():
    scores = np.array([[3.0, 1], [2, 2], [1, 3]])
    assert mean_average_precision(scores, np.array([[0, 0], [1, 0], [0, 1]])) == pytest.approx((1 / 2 + 1) / 2)
    assert mean_average_precision(scores, np.array([[-1, 0], [1, 0], [0, 1]])) == pytest.approx(1)
    assert mean_average_precision(scores, np.array([[0, 0], [1, 0], [0, 0]])) == pytest.approx(1 / 2)  # one name


def test_every_name_has_as_many_compounds_as_another():
    prompts = single_and_compound(24)
    assert prompts[:24] == [(i,) for i in range(24)] and len({frozenset(p) for p in prompts}) == len(prompts) == 120
    for name in range(24):
        sizes = [len(prompt) for prompt in prompts if name in prompt]
        assert (sizes.count(1), sizes.count(2), sizes.count(3)) == (1, 6, 3)
    assert len({frozenset(p) for p in single_and_compound(10)}) == 50
    with pytest.raises(ValueError, match="at least 10"):
        single_and_compound(9)


def test_standardising_takes_away_a_clips_and_a_prompts_bias():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(7, 12))
    clips, spreads = rng.normal(size=(7, 1)), rng.uniform(0.5, 2, size=(7, 1))
    prompts, widths = rng.normal(size=12), rng.uniform(0.5, 2, size=12)
    debiased = standardised(scores, 10)
    assert debiased.mean(0) == pytest.approx(np.zeros(12)) and debiased.std(0, ddof=1) == pytest.approx(np.ones(12))
    assert standardised(scores * spreads + clips, 10) == pytest.approx(debiased)
    by_hand = (scores - scores[:, :10].mean(1, keepdims=True)) / scores[:, :10].std(1, ddof=1, keepdims=True)
    by_hand = by_hand * widths + prompts  # a prompt's bias on top of what clips leave
    assert (by_hand - by_hand.mean(0)) / by_hand.std(0, ddof=1) == pytest.approx(debiased)
    with pytest.raises(ValueError, match="no spread"):
        standardised(scores[:1], 10)


def test_ranking_sorts_within_a_clip_the_compounds_that_hold_the_name():
    prompts = [(0,), (1,), (0, 1), (0, 2), (1, 2)]
    scores = np.array([[9.0, 9, 1, 3, 7], [9, 9, 5, 4, 7]])
    assert ranked(scores, prompts, 0).tolist() == [[3, 1], [5, 4]]
    assert ranked(scores, prompts, 2).tolist() == [[7, 3], [7, 4]]


def test_fusing_weighs_by_the_first_component_and_averages_with_the_single_score():
    # both columns rise together, the first twice as fast: the component is (2, 1) / 3, whatever the sign found
    rising = np.array([[-2.0, -1], [0, 0], [2, 1]])
    assert first_component(rising) == pytest.approx([2 / 3, 1 / 3])
    assert first_component(-rising) == pytest.approx([2 / 3, 1 / 3])
    assert fused(rising[:, 1], rising[:, :1]) == pytest.approx([(-5 / 3 - 1) / 2, 0, (5 / 3 + 1) / 2])


def made_up(rooms=60, seed=0):
    """Scores of a model that sees, with biases; the highest compound is often a company's."""
    rng, prompts = np.random.default_rng(seed), single_and_compound(12)
    labels = (rng.random((rooms, 12)) < 0.3).astype(int)
    said = np.column_stack([labels[:, list(prompt)].max(1) for prompt in prompts]).astype(float)
    noise = rng.normal(size=said.shape)
    return (said + noise) * rng.uniform(0.3, 3, (rooms, 1)) + 3 * rng.normal(size=(rooms, 1)), prompts, labels


def test_a_biased_models_scores_are_mended_and_a_blind_models_are_not():
    scores, prompts, labels = made_up()
    by_method = name_scores(scores, prompts)
    assert tuple(by_method) == METHODS and {own.shape for own in by_method.values()} == {labels.shape}
    found = map_difference(by_method, labels, "fused", "plain")
    assert found.low > 0 and found.rooms == 60 and found.seeds == (1, 1) and found.student is None
    by_hand = [100 * mean_average_precision(by_method[of], labels) for of in ("fused", "plain")]
    assert found.mean == pytest.approx(by_hand[0] - by_hand[1])
    blind = name_scores(np.random.default_rng(1).normal(size=scores.shape), prompts)
    told = map_difference(blind, labels, "fused", "plain")
    assert told.low < 0 < told.high


def test_standardising_over_clips_alone_would_change_no_names_precision():
    scores, _, labels = made_up()
    single = scores[:, :12]
    by_prompt = (single - single.mean(0)) / single.std(0, ddof=1)
    assert mean_average_precision(by_prompt, labels) == pytest.approx(mean_average_precision(single, labels))


@pytest.mark.parametrize(
    "names, reading, question",
    [
        (["chair"], "yes_no", "Is there a chair in this room?"),
        (["chair", "bed"], "yes_no", "Is there a chair and a bed in this room?"),
        (["chair"], "count", "How many chair(s) are in this room?"),
        (["chair", "bed", "tv"], "count", "How many chair(s), bed(s) and tv(s) are in this room?"),
    ],
)
def test_the_questions_words(names, reading, question):
    assert question_about(names, reading) == question


@pytest.fixture(scope="module")
def asked():
    room = vsr.split_rooms(1, "val")[0]
    return vsr.load_model("mini", quantize=None, quiet=True), {room.name: vsr.film(room).frames_FHW3}


@pytest.mark.slow
def test_a_score_is_the_log_odds_of_the_first_token(asked):
    """The same from a plain forward pass of one prompt, without shared keys and values."""
    mini, clips = asked
    names = [["chair"], ["bed", "tv"]]
    found = presence_scores(mini, clips, names, "count", absent=2)
    (frames,) = clips.values()
    digits = [mini.processor.tokenizer(str(d), add_special_tokens=False)["input_ids"][0] for d in range(10)]
    for own, score in zip(names, found[0], strict=True):
        row = {"id": 0, "question_type": "object_counting", "question": question_about(own, "count"), "options": None}
        text = mini.processor.apply_chat_template(chat_messages(row), tokenize=False, add_generation_prompt=True)
        video = torch.from_numpy(frames).permute(0, 3, 1, 2)
        inputs = mini.processor(text=[text], videos=[video], return_tensors="pt", do_sample_frames=False)
        with torch.no_grad():
            shares = mini.model(**inputs).logits[0, -1].double().softmax(-1)[digits]
        assert score == pytest.approx(float(torch.log(shares[3:].sum()) - torch.log(shares[:3].sum())), abs=2e-3)


@pytest.mark.slow
def test_readings_that_cannot_be_had_are_refused(asked):
    mini, clips = asked
    with pytest.raises(ValueError, match="choose one of"):
        presence_scores(mini, clips, [["chair"]], "sure")
    with pytest.raises(ValueError, match="at most 8"):
        presence_scores(mini, clips, [["chair"]], "count", absent=9)


@pytest.mark.slow
def test_scores_are_measured_once_kept_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(object_scores, "ROOMS", {"test": 3, "val": 3})
    object_scores.main(["--out", str(tmp_path), "--model", "mini", "--split", "val"])
    written = (tmp_path / "sparc.json").read_bytes()
    monkeypatch.setattr("vsr_kit.evaluation.presence.presence_scores", None)  # nobody is asked again
    object_scores.main(["--out", str(tmp_path), "--model", "mini", "--split", "val"])
    assert (tmp_path / "sparc.json").read_bytes() == written
    with pytest.raises(ValueError, match="its rooms are not those of today"):
        object_scores.main(["--out", str(tmp_path), "--model", "mini", "--split", "test"])
    found = Evidence(tmp_path).object_scores()
    assert found.names == tuple(CATEGORIES) and found.rooms == ("val-0-00000", "val-0-00001", "val-0-00002")
    assert found.scores["mini"].shape == (3, 120) and set(found.labels_CN.ravel().tolist()) <= {-1, 0, 1}
    made = json.loads(written)["made"]
    assert (made["reading"], made["absent"], made["clear_walk"]) == ("count", 2, True)
    early = json.loads(written)
    del early["made"]["clear_walk"]  # as the first files are, whose walks were clear
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "sparc.json").write_text(json.dumps(early))
    object_scores.main(["--out", str(tmp_path / "early"), "--model", "mini", "--split", "val"])
    monkeypatch.setattr(object_scores, "CLEAR_WALK", False)
    with pytest.raises(ValueError, match="its (made|labels) are not those of today"):
        object_scores.main(["--out", str(tmp_path / "early"), "--model", "mini", "--split", "val"])
    assert {"packages", "git", "checkpoint", "loaded"} <= made["by"]["mini"].keys()
    assert found.by_method()["plain"] == pytest.approx(found.scores["mini"][:, :24])
    with pytest.raises(ValueError, match="no scores of 'other'"):
        found.by_method("other")


def test_a_file_that_does_not_fit_together_is_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match="object_scores --out"):
        object_scores.read_scores(tmp_path)
    record = {"names": ["a"], "prompts": [[0]], "rooms": ["r"], "labels": [[1]], "scores": {"mini": [[1, 2]]}}
    (tmp_path / "sparc.json").write_text(json.dumps(record | {"made": {}}))
    with pytest.raises(Damaged, match="1 rooms and 1 prompts"):
        object_scores.read_scores(tmp_path)


def test_labels_tell_what_is_shown_from_what_is_hidden_and_from_what_is_not_there():
    room = vsr.split_rooms(1, "val")[0]
    clip = vsr.film(room)
    seen = {room.boxes[i].category for i in vsr.videos.visible_objects(clip)}
    hidden = SimpleNamespace(object_ids_FHW=np.full_like(clip.object_ids_FHW, -1))
    own = dict(zip(CATEGORIES, object_scores.labels_of(room, clip), strict=True))
    assert {name for name, label in own.items() if label == 1} == seen
    there = {box.category for box in room.boxes}
    unseen = dict(zip(CATEGORIES, object_scores.labels_of(room, hidden), strict=True))
    assert {name for name, label in unseen.items() if label == -1} == there and 1 not in unseen.values()


def test_the_claims_read_the_base_and_can_fail():
    scores, prompts, labels = made_up()
    kept = object_scores.ObjectScores(("",) * 12, tuple(prompts), ("",) * 60, labels, {"mini": scores})
    evidence = SimpleNamespace(object_scores=lambda: kept)
    fusing, second = sparc.CLAIMS
    found = fusing.measure(evidence)
    assert list(found) == ["fused_minus_plain", "standardised_minus_plain", "fused_minus_standardised"]
    assert fusing.decide(found) == "reproduced"
    told = second.measure(evidence)["second_minus_highest"]
    assert told.mean == pytest.approx(map_difference(kept.by_method(), labels, "second", "highest").mean)
    worse = SimpleNamespace(mean=-2.0, low=-3.0, high=-1.0, student=None)
    assert second.decide({"second_minus_highest": worse}) == "not reproduced"
    assert fusing.untrained == second.untrained == ("mini",) and not fusing.needs


def test_the_shipped_scores_are_of_the_test_rooms_from_one_clean_commit():
    found = Evidence().object_scores()
    assert found.rooms == tuple(room.name for room in vsr.split_rooms(120, "test"))
    assert list(found.scores) == list(object_scores.MODELS) and found.prompts == tuple(single_and_compound(24))
    made = json.loads((Evidence().folder / "sparc.json").read_text())["made"]
    assert {(by["git"]["dirty"], by["git"]["commit"]) for by in made["by"].values()} == {
        (False, made["by"]["mini"]["git"]["commit"])
    }
    room = vsr.split_rooms(1, "test")[0]
    assert found.labels_CN[0].tolist() == object_scores.labels_of(room, vsr.film(room))
