"""MAmmoTH-VL: rationales and answers in stated shares, a judge that finds invented ones, and the recipe's file."""

import math
from dataclasses import replace

import pytest
import torch
from typer.testing import CliRunner

from vsr_kit.bridging.rationales import INVENTED, mixed, rationale
from vsr_kit.cli import app
from vsr_kit.data import split_rooms
from vsr_kit.evaluation.rationale_judge import answer_places, nats_added
from vsr_kit.models import load_model
from vsr_kit.prompts import chat_messages, parse_answer, target_completion
from vsr_kit.recipes import mammoth_vl, vision_r1
from vsr_kit.recipes.filmed import asked_about
from vsr_kit.rewards import accuracy_reward
from vsr_kit.runs import RunFolder


def rationale_of(row):
    return rationale(row, mammoth_vl._rooms()[row["scene_name"]])


@pytest.fixture(scope="module")
def few():
    """The questions about four training rooms."""
    return asked_about("few", split_rooms(4, "train"), types=mammoth_vl.TRAINED_TYPES, max_per_type=2)


@pytest.fixture(scope="module")
def whole():
    """All questions before the judge, which takes a while to film."""
    return mammoth_vl.candidates()


@pytest.fixture(scope="module")
def cold():
    return load_model("mini-cold-start", quantize="nf4")


# --------------------------------------------------------------------------------------------------- the mixture


def test_a_share_of_the_targets_are_rationales_and_all_end_in_the_truth(few):
    told = {share: [mammoth_vl.Mixed(share / 100)(row) for row in few.rows] for share in mammoth_vl.SHARES}
    plain = [target_completion("think", "train", "", row["ground_truth"]) for row in few.rows]
    assert told[0] == plain and len(few.rows) > 20
    with_chain = {share: {i for i, text in enumerate(own) if text != plain[i]} for share, own in told.items()}
    assert with_chain[0] < with_chain[30] < with_chain[50] < with_chain[70] < with_chain[100]
    assert with_chain[100] == {i for i, row in enumerate(few.rows) if rationale_of(row)}
    for row, text in zip(few.rows * len(told), sum(told.values(), []), strict=True):
        assert accuracy_reward(text, row) == 1.0 and parse_answer(text, row).source == "answer_tag"


@pytest.mark.slow
def test_most_rationales_lead_to_the_truth_and_the_stated_share_is_invented(whole):
    rows = whole.rows
    made = [found for row in rows if (found := rationale_of(row)) is not None]
    share = sum(invented for _, invented in made) / len(made)
    assert len(rows) > 1200 and len(made) > 0.9 * len(rows)
    assert abs(share - INVENTED) < 4 * math.sqrt(0.2 * 0.8 / len(made))


def test_chains_of_any_model_are_mixed_by_their_ids():
    chains = {f"q{i}": f"<think>step {i}.</think> <answer>{i}</answer>" for i in range(200)}
    told = mixed(chains, 0.7)
    whole = {ident for ident in chains if told[ident] == chains[ident]}
    assert 110 < len(whole) < 170 and told.keys() == chains.keys()
    assert {told[ident] for ident in chains.keys() - whole} == {
        f"<think></think> <answer>{ident[1:]}</answer>" for ident in chains.keys() - whole
    }
    assert mixed(chains, 1) == chains and mixed({"a": "no tags"}, 0) == {"a": "no tags"}


# ------------------------------------------------------------------------------------------------------ the judge


def test_the_judged_tokens_are_the_answers_and_no_others(cold):
    tokenizer = cold.processor.tokenizer
    for chain, answer in (("distance 2.3.", "2.3"), ("closest lamp.", "lamp"), ("", "145")):
        ids, places = answer_places(tokenizer, "think", chain, answer)
        said = tokenizer.decode([ids[i] for i in places])
        assert said.strip(">").removesuffix("<") == answer and tokenizer.decode(ids).endswith("</answer>")


@pytest.mark.slow
def test_a_judgement_is_a_difference_of_two_plain_forward_passes(cold, few):
    row = next(row for row in few.rows if row["question_type"] == "object_abs_distance")
    chain, _ = rationale_of(row)
    (nats,) = nats_added(cold, [row], few.clips, [chain])
    found = []
    processor = cold.processor
    for own in (chain, ""):
        ids, places = answer_places(processor.tokenizer, "think", own, row["ground_truth"])
        text = processor.apply_chat_template(chat_messages(row, "think", "train"), add_generation_prompt=True)
        inputs = processor(text=[text], videos=[few.clips[row["scene_name"]]], return_tensors="pt")
        begin = inputs["input_ids"].shape[1]
        inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([ids])], 1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        if "mm_token_type_ids" in inputs:
            more = torch.zeros((1, len(ids)), dtype=inputs["mm_token_type_ids"].dtype)
            inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], more], 1)
        with torch.no_grad():
            logps = cold.model(**inputs).logits[0].float().log_softmax(-1)
        found.append(sum(float(logps[begin + i - 1, ids[i]]) for i in places))
    assert nats == pytest.approx(found[0] - found[1], abs=2e-3)
    assert nats_added(cold, [row], few.clips, [""]) == pytest.approx([0.0], abs=1e-4)
    with pytest.raises(ValueError, match="2 chains for 1 rows"):
        nats_added(cold, [row], few.clips, ["", ""])


@pytest.mark.slow
def test_the_shipped_judgements_are_of_these_rationales(whole):
    said = mammoth_vl.judged()
    made = {row["id"]: found[1] for row in whole.rows if (found := rationale_of(row))}
    assert made == {ident: own["invented"] for ident, own in said.items()}
    kept = mammoth_vl.kept(whole.rows, said)
    assert {row["id"] for row in kept} == {ident for ident, own in said.items() if own["nats"] > 0}
    assert len(kept) >= 800  # 100 steps of 8 questions


def test_a_question_whose_rationale_takes_probability_away_is_left_out():
    rows = [{"id": name} for name in ("helps", "harms", "no rationale")]
    said = {"helps": {"nats": 0.2}, "harms": {"nats": -0.2}}
    assert mammoth_vl.kept(rows, said) == [{"id": "helps"}]


def test_the_judge_throws_out_invented_rationales_more_often():
    said = mammoth_vl.judged().values()
    lost = {kind: [own["nats"] <= 0 for own in said if own["invented"] is kind] for kind in (True, False)}
    stays = {kind: f"{100 - 100 * sum(own) / len(own):.0f} %" for kind, own in lost.items()}
    assert stays == {True: "69 %", False: "88 %"}
    assert all(share in mammoth_vl.CLAIMS[0].caveat for share in stays.values())


@pytest.mark.slow
def test_judging_again_says_the_same(cold, few):
    said = mammoth_vl.judged()
    rows = [row for row in few.rows if row["id"] in said][:6]
    nats = nats_added(cold, rows, few.clips, [rationale_of(row)[0] for row in rows])
    assert nats == pytest.approx([said[row["id"]]["nats"] for row in rows], abs=0.05)


# ----------------------------------------------------------------------------------------------------- the recipe


def test_the_arms_differ_in_the_share_alone():
    arms = mammoth_vl.VARIANTS
    assert [arm.name for arm in arms] == [f"mammoth-{share}" for share in (0, 30, 50, 70, 100)]
    assert [arm.trained_by.targets.share for arm in arms] == [0, 0.3, 0.5, 0.7, 1] and mammoth_vl.PAPER_SHARE == 0.7
    assert all(replace(arm, name=arms[0].name, how=arms[0].how) == arms[0] for arm in arms)
    assert arms[0].profile.model == "mini-cold-start" and arms[0].seeds == (1, 2, 3)
    assert {arm.name for arm in vision_r1.VARIANTS}.isdisjoint(arm.name for arm in arms)


@pytest.mark.slow
def test_it_trains_on_chains_that_the_command_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--recipe", "mammoth-vl", "--steps", "2", "--rooms", "2", "--name", "mvl"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (found,) = tmp_path.rglob("*-mixed/config.json")
    run = RunFolder.open(found.parent)
    assert len(run.read_metrics()) >= 2 and "texts, sha256" in run.config["config"]["targets"]
    assert "which nobody judged" in done.output and "no judge leaves any out" in mammoth_vl.__doc__
