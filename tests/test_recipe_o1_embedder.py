"""O1 Embedder: queries and thoughts by hand, both losses against the plain model, a run that measures itself."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from typer.testing import CliRunner

from tests.tiny import tiny_clip
from vsr_kit.claims.recipe import SEEDS
from vsr_kit.cli import app
from vsr_kit.models.loading import load_model
from vsr_kit.models.vision import chat_inputs, encode_clip
from vsr_kit.recipes import o1_embedder
from vsr_kit.retrieval import Query, Retrieval, words_recall, write_queries
from vsr_kit.retrieval.embedding import (
    DOCUMENT,
    continued,
    contrastive_loss,
    embeddings,
    hidden_states,
    query_messages,
    recall_at_1,
)
from vsr_kit.retrieval.queries import FACTS, MORE, fact, facts_of
from vsr_kit.sharing import encode_prompt
from vsr_kit.training.profiles import get_profile
from vsr_kit.training.run import train

NAMES = ("bed", "chair", "sofa", "table", "tv", "piano", "stove")


def _row(scene, name, count, **more):
    row = {"id": f"{scene}/{name}", "dataset": "procedural", "scene_name": scene, "question_type": "object_counting"}
    row |= {"question": f"How many {name}(s)in the room?", "options": None, "ground_truth": str(count)}
    return row | more


def _rows(*scenes):
    """Every scene has the same objects in counts of its own."""
    return [_row(scene, name, 1 + (i + k) % 5) for i, scene in enumerate(scenes) for k, name in enumerate(NAMES)]


def test_a_fact_is_a_question_with_its_true_answer():
    assert fact(_row("a", "bed", 3)) == "How many bed(s)in the room? 3"
    lettered = _row("a", "bed", 0, question_type="object_rel_distance", options=["A. tv", "B. bed"], ground_truth="B")
    assert fact(lettered).endswith("? bed")


def test_queries_and_thoughts_are_different_facts_of_one_room():
    rows = _rows("a", "b", "c")
    queries = write_queries([*rows, rows[0], _row("poor", "bed", 1)], draws=3)
    assert [query.scene for query in queries] == [scene for scene in "abc" for _ in range(3)]
    for query in queries:
        said = [known for known in facts_of(rows)[query.scene] if known in f"{query.text} {query.thought}"]
        assert len(said) == FACTS + MORE and query.text.count("?") == FACTS and query.thought.count("?") == MORE
    assert write_queries(rows, 3) == queries != write_queries(rows, 3, seed=1)
    texts = [query.text for query in queries if query.scene == "c"]
    fewer = write_queries([row for row in rows if row["scene_name"] != "b"], 3)
    assert [query.text for query in fewer if query.scene == "c"] == texts and len(set(texts)) > 1


def test_the_committee_keeps_the_thought_that_tells_the_room_apart():
    """All rooms share six facts, and one has a piano: whenever it was not said, the thought says it."""
    shared = [_row(scene, name, 2) for scene in "abcd" for name in NAMES if name != "piano"]
    queries = [q for q in write_queries([*shared, _row("a", "piano", 7)], draws=12) if q.scene == "a"]
    silent = [query for query in queries if "piano" not in query.text]
    assert len(silent) > 3 and all("piano(s)in the room? 7" in query.thought for query in silent)


def test_too_little_to_tell_apart_is_named():
    with pytest.raises(ValueError, match="1 scenes have 5 different facts"):
        write_queries(_rows("a"))
    with pytest.raises(ValueError, match="thought_weight is 1"):
        Retrieval(thought_weight=1)
    with pytest.raises(ValueError, match="temperature"):
        Retrieval(temperature=0)


def test_bags_of_words_by_hand():
    """Two rooms with the same objects share a query between them; a third has a piano, which numbers do not tell."""
    rows = [row for row in _rows("a", "b", "c") if "piano" not in row["id"] or row["scene_name"] == "c"]
    plain = Query("a", "How many bed(s)in the room? 1 How many chair(s)in the room? 2", "")
    assert words_recall([plain], rows) == pytest.approx(1 / 3)
    assert words_recall([Query("c", "How many piano(s)in the room? 3", "")], rows) == 1.0
    assert words_recall([Query("a", "How many piano(s)in the room? 3", "")], rows) == 0.0


def test_the_contrastive_loss_by_hand():
    queries, documents = torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    right, wrong = [1.0, 0.8], [0.0, 0.6]
    expected = np.mean([math.log(1 + math.exp((w - r) / 0.5)) for r, w in zip(right, wrong, strict=True)])
    assert float(contrastive_loss(queries, documents, ["a", "b"], 0.5)) == pytest.approx(expected, rel=1e-5)
    assert float(contrastive_loss(queries, documents, ["a", "a"], 0.5)) == 0.0  # one room twice: nothing is wrong
    assert recall_at_1(queries, documents, [0, 1]) == 1.0 and recall_at_1(queries, documents, [1, 1]) == 0.5


@pytest.fixture(scope="module")
def loaded(tiny_path):
    return load_model(tiny_path, quiet=True)


END = "<|im_end|>"


def _plain_states(loaded, messages, clip, said):
    """The last hidden states of transformers' own forward, from pixels and text."""
    inputs = chat_inputs(loaded.processor, messages, clip)
    tokenizer = loaded.processor.tokenizer
    more = torch.tensor([[*tokenizer(said)["input_ids"], tokenizer.convert_tokens_to_ids(END)]])
    inputs["input_ids"] = torch.cat([inputs["input_ids"], more], 1)
    for name, value in (("attention_mask", 1), ("mm_token_type_ids", 0)):
        inputs[name] = torch.cat([inputs[name], torch.full_like(more, value)], 1)
    with torch.no_grad():
        out = loaded.model(**inputs, output_hidden_states=True)
    return out.hidden_states[-1][0], out.logits[0], more[0]


def _prompts(loaded):
    """Three of different lengths: two texts, one with a thought, and a clip."""
    clip = encode_clip(loaded.model, loaded.processor, tiny_clip(3))
    asked = [(query_messages("chair 3"), None, ""), (query_messages("a bed and 2"), None, "tv 1"), (DOCUMENT, clip, "")]
    tokenizer, made = loaded.processor.tokenizer, []
    for messages, features, said in asked:
        ids = torch.tensor([*tokenizer(said)["input_ids"], tokenizer.convert_tokens_to_ids(END)])
        made.append(continued(encode_prompt(loaded.model, loaded.processor, messages, features), ids))
    plain = [
        _plain_states(loaded, messages, None if features is None else tiny_clip(3), said)[0]
        for messages, features, said in asked
    ]
    return made, plain


def test_padded_texts_and_clips_are_read_as_the_plain_model_reads_each(loaded):
    prompts, plain = _prompts(loaded)
    with torch.no_grad():
        for own, alone in zip(hidden_states(loaded.model, prompts), plain, strict=True):
            torch.testing.assert_close(own, alone, rtol=1e-3, atol=1e-3)
    ends = torch.stack([states[-1] / states[-1].norm() for states in plain])
    torch.testing.assert_close(embeddings(loaded.model, prompts), ends, rtol=1e-3, atol=1e-4)


SCENES = tuple("abcdefgh")
CLIPS = {scene: tiny_clip(i) for i, scene in enumerate(SCENES)}


def _profile(tiny_path):
    sizes = {"steps": 2, "questions_per_step": 4, "groups_per_pass": 4, "quantize": None, "learning_rate": 1e-2}
    return replace(get_profile("mini"), model=str(tiny_path), **sizes)


def _trained(tiny_path, monkeypatch=None, **how):
    asked = SimpleNamespace(rows=_rows("x", "y", "z"), clips={s: tiny_clip(9 + i) for i, s in enumerate("xyz")})
    method = Retrieval(draws=2, longest_thought=6, measured_on=lambda: asked, **how)
    questions = SimpleNamespace(rows=_rows(*SCENES), clips=CLIPS)
    return train(_profile(tiny_path), method, questions, seed=1, quiet=True), method


def test_a_run_logs_both_losses_and_the_recall_of_its_last_step(tiny_path):
    trained, _ = _trained(tiny_path, thought_weight=0.25)
    first, last = [log for log in trained.logs if "loss" in log]
    for log in (first, last):
        weighted = 0.75 * log["retrieval/contrastive_loss"] + 0.25 * log["retrieval/thought_loss"]
        assert log["loss"] == pytest.approx(weighted, rel=1e-3)
    assert first["retrieval/contrastive_loss"] > 0 and "retrieval/recall_at_1" not in first
    assert last["retrieval/recall_at_1"] == last["retrieval/recall_at_1_own_thought"]
    assert last["retrieval/recall_at_1_chance"] == pytest.approx(100 / 3)
    hits = [last[f"retrieval/recall_at_1{kind}"] * 6 / 100 for kind in ("", "_no_thought", "_true_thought")]
    assert hits == pytest.approx([round(hit) for hit in hits]) and max(hits) <= 6  # two queries of three rooms
    moved = [p for name, p in trained.loaded.model.named_parameters() if "lora_B" in name and p.abs().sum() > 0]
    assert moved and trained.steps == 2 and trained.stopped is None


def test_without_thoughts_nothing_is_said_and_nothing_cloned(tiny_path):
    trained, _ = _trained(tiny_path, thinks=False)
    first, last = [log for log in trained.logs if "loss" in log]
    assert first["loss"] == pytest.approx(first["retrieval/contrastive_loss"], rel=1e-4)
    assert not any("retrieval/thought_loss" in log for log in trained.logs)
    assert last["retrieval/recall_at_1"] == last["retrieval/recall_at_1_no_thought"]


def _trainer(tiny_path, tmp_path, loaded):
    asked = SimpleNamespace(rows=_rows(*SCENES), clips=CLIPS)
    method, profile = Retrieval(draws=1, longest_thought=6, measured_on=lambda: asked), _profile(tiny_path)
    config = method.config(profile, output_dir=str(tmp_path))
    return method.trainer(profile, config, loaded, _rows(*SCENES), CLIPS)


def test_the_thoughts_loss_is_the_plain_models_cross_entropy(tiny_path, tmp_path):
    own = load_model(tiny_path, quiet=True)
    trainer = _trainer(tiny_path, tmp_path, own)
    rows = [{**row, "scene_name": "a"} for row in trainer.train_dataset.to_list()[:2]]
    batch = trainer._collate(rows)
    with torch.no_grad():
        states = hidden_states(trainer.model, batch["queries"])
        found = trainer._thought_loss(trainer.model, states, batch["thoughts"])
    parts = []
    for row in rows:
        messages = [{"role": "user", "content": [{"type": "text", "text": row["prompt"][0]["content"][0]["text"]}]}]
        _, logits, said = _plain_states(
            SimpleNamespace(model=trainer.model, processor=own.processor), messages, None, row["completion"]
        )
        parts.append(torch.nn.functional.cross_entropy(logits[-len(said) - 1 : -1], said, reduction="none"))
    assert float(found) == pytest.approx(float(torch.cat(parts).mean()), rel=1e-3)


def test_a_generated_thought_is_greedy_and_closed(tiny_path, tmp_path):
    own = load_model(tiny_path, quiet=True)
    trainer = _trainer(tiny_path, tmp_path, own)
    trainer.model.eval()
    texts = ("chair 3", "a bed and 2")
    prompts = [trainer._asked(query_messages(text)) for text in texts]
    end = own.processor.tokenizer.convert_tokens_to_ids(END)
    for text, thought in zip(texts, trainer.think(prompts), strict=True):
        inputs = chat_inputs(own.processor, query_messages(text))
        pads = [own.model.config.image_token_id, own.model.config.video_token_id]
        plain = trainer.model.generate(**inputs, max_new_tokens=6, do_sample=False, suppress_tokens=pads)
        said = plain[0, inputs["input_ids"].shape[1] :].tolist()
        assert thought.tolist() == (said if said[-1] == end else [*said, end])


def test_a_fifth_of_the_scenes_is_held_back_where_no_others_are_given():
    rows = _rows(*(f"room-{i}" for i in range(40)))
    own, back = Retrieval().split(rows)
    scenes = [{row["scene_name"] for row in part} for part in (own, back)]
    assert not scenes[0] & scenes[1] and len(scenes[0] | scenes[1]) == 40 and 3 <= len(scenes[1]) <= 14
    assert Retrieval(measured_on=lambda: None).split(rows) == (rows, [])
    few = _rows(*SCENES)
    with pytest.raises(ValueError, match="held back to measure recall on: 1 .*give more rooms"):
        Retrieval().split(few)
    assert Retrieval(measured_on=lambda: None).split(few) == (few, [])


def test_several_processes_are_refused(tiny_path, tmp_path, monkeypatch):
    monkeypatch.setattr(Accelerator, "num_processes", property(lambda self: 2))
    with pytest.raises(ValueError, match="2 processes would each train an adapter .*launch one"):
        _trainer(tiny_path, tmp_path, load_model(tiny_path, quiet=True))


def test_the_recipe_says_what_runs_before_it_runs():
    assert [(v.name, v.how.thinks, v.seeds) for v in o1_embedder.VARIANTS] == [
        ("o1-plain", False, SEEDS),
        ("o1-thinks", True, SEEDS),
    ]
    assert {(v.profile.steps, v.profile.questions_per_step, v.how.thought_weight) for v in o1_embedder.VARIANTS} == {
        (120, 16, 0.2)
    }
    assert o1_embedder.VARIANTS[0].trained_by.settings()["thinks"] is False


def _logs(own, none, true=60.0):
    """Five runs with so much recall, a little apart."""
    return [
        [{"loss": 1.0}]
        + [
            {f"retrieval/recall_at_1{kind}": value + 0.1 * seed for kind, value in known.items()}
            | {"retrieval/recall_at_1_chance": 1.0, "retrieval/recall_at_1_words": 30.0}
        ]
        for seed in range(5)
        for known in [{"": own, "_own_thought": own, "_no_thought": none, "_true_thought": true}]
    ]


def test_claims_read_recall_from_the_logs():
    logs = {"o1-plain": _logs(20.0, 20.0), "o1-thinks": _logs(26.0, 22.0)}
    evidence = SimpleNamespace(curves=logs.__getitem__)
    first, second = (claim.measure(evidence) for claim in o1_embedder.CLAIMS)
    assert first["thought_minus_plain"].mean == pytest.approx(6.0)
    assert first["plain_minus_chance"].mean == pytest.approx(19.2)
    assert first["plain_minus_words"].mean == pytest.approx(-9.8)
    assert second["own_minus_none"].mean == pytest.approx(4.0)
    assert second["true_minus_own"].mean == pytest.approx(34.0)
    assert [claim.decide(found) for claim, found in zip(o1_embedder.CLAIMS, (first, second), strict=True)] == [
        "reproduced"
    ] * 2
    logs["o1-thinks"] = _logs(20.0, 22.0)
    first, second = (claim.measure(evidence) for claim in o1_embedder.CLAIMS)
    assert o1_embedder.CLAIMS[0].decide(first).startswith("undecided")
    assert o1_embedder.CLAIMS[1].decide(second) == "not reproduced"


@pytest.mark.slow
def test_vsr_train_recipe_o1_embedder_measures_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    done = CliRunner().invoke(app, ["train", "--recipe", "o1-embedder", "--rooms", "16", "--steps", "2"])
    assert done.exit_code == 0, done.output
    (metrics,) = tmp_path.glob("*/*-think-and-embed/metrics.jsonl")
    last = json.loads(metrics.read_text().splitlines()[-1])
    assert 0 <= last["retrieval/recall_at_1"] <= 100 and last["retrieval/recall_at_1_chance"] > 0
