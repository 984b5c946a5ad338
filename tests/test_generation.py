"""Asking a model: the answers of plain generation, whatever the batches, and draws that belong to the row."""

import pytest
import torch

from tests.tiny import tiny_clip
from vsr_kit.generation import Generation, generate
from vsr_kit.models import load_model
from vsr_kit.models.vision import chat_inputs
from vsr_kit.prompts import chat_messages

CLIPS = {"a": tiny_clip(0), "b": tiny_clip(1, 2, 84, 56)}


def row(i, scene, question, options=None):
    return {
        "id": str(i),
        "dataset": "test",
        "scene_name": scene,
        "question_type": "object_counting",
        "question": question,
        "options": options,
        "ground_truth": "3",
        "phrasing": "vsi-bench",
    }


ROWS = [
    row(0, "a", "How many chair(s) are in this room?"),
    row(1, "b", "How many?"),
    row(2, "a", "Left?", ["A. left", "B. right"]),
    row(3, "unseen", "How many table(s) are in this room?"),
    row(4, "b", "What will be the first-time appearance order of the following categories in the video?"),
    row(5, "a", "x"),
]


@pytest.fixture(scope="module")
def loaded(tiny_path):
    return load_model(tiny_path, device="cpu", quiet=True)


def plain(loaded, r, clips, **settings):
    """One question through transformers alone."""
    core, tokenizer = loaded.model, loaded.processor.tokenizer
    inputs = chat_inputs(loaded.processor, chat_messages(r, "think", "eval"), clips.get(r["scene_name"]))
    pads = [core.config.image_token_id, core.config.video_token_id]
    made = core.generate(**inputs, suppress_tokens=pads, **settings)[0, inputs["input_ids"].shape[1] :]
    return tokenizer.decode(made, skip_special_tokens=True).strip()


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_greedy_answers_are_those_of_transformers(loaded, batch_size):
    asked = generate(loaded, ROWS, CLIPS, mode="think", max_new_tokens=10, batch_size=batch_size)
    assert [g.text for (g,) in asked] == [plain(loaded, r, CLIPS, max_new_tokens=10, do_sample=False) for r in ROWS]


def test_several_modes_at_once_are_each_mode_alone(loaded):
    modes = ["vanilla", "think", "observe"]
    each = [generate(loaded, ROWS, CLIPS, mode=mode, max_new_tokens=6) for mode in modes]
    together = generate(loaded, ROWS * 3, CLIPS, mode=[mode for mode in modes for _ in ROWS], max_new_tokens=6)
    assert together == sum(each, [])
    assert each[0] != each[1]
    with pytest.raises(ValueError, match="2 modes for 6 rows"):
        generate(loaded, ROWS, CLIPS, mode=modes[:2])


def test_answers_that_end_early_leave_the_others_as_they_are(loaded, monkeypatch):
    """With a seventh of the vocabulary as end tokens, rows end at different steps, and the batch is thinned out."""
    monkeypatch.setattr(loaded.model.generation_config, "eos_token_id", list(range(3, 350, 7)))
    asked = generate(loaded, ROWS, CLIPS, mode="think", max_new_tokens=24)
    assert len({g.num_tokens for (g,) in asked}) >= 4
    assert [g.text for (g,) in asked] == [plain(loaded, r, CLIPS, max_new_tokens=24, do_sample=False) for r in ROWS]


def test_without_clips_or_with_others_the_answers_change(loaded):
    own = generate(loaded, ROWS[:3], CLIPS, max_new_tokens=10)
    blind = generate(loaded, ROWS[:3], None, max_new_tokens=10)
    swapped = generate(loaded, ROWS[:3], {"a": CLIPS["b"], "b": CLIPS["a"]}, max_new_tokens=10)
    assert all(len({x[0].text, y[0].text, z[0].text}) == 3 for x, y, z in zip(own, blind, swapped, strict=True))


def test_draws_depend_on_the_seed_and_the_row_but_not_on_the_company(loaded):
    how = {"temperature": 1.0, "num_samples": 3, "max_new_tokens": 6}
    together = generate(loaded, ROWS, CLIPS, seed=4, **how)
    assert together == generate(loaded, ROWS, CLIPS, seed=4, batch_size=2, **how)
    assert together[2] == generate(loaded, ROWS[2:3], CLIPS, seed=4, **how)[0]
    assert together != generate(loaded, ROWS, CLIPS, seed=5, **how)
    assert all(len({g.text for g in group}) > 1 for group in together)


def test_draws_follow_the_models_distribution(loaded, monkeypatch):
    """First tokens of many samples against the probabilities of a plain forward, at two temperatures."""
    inputs = chat_inputs(loaded.processor, chat_messages(ROWS[0], "vanilla", "eval"), CLIPS["a"])
    with torch.no_grad():
        logits = loaded.model(**inputs).logits[0, -1].double()
    logits[[loaded.model.config.image_token_id, loaded.model.config.video_token_id]] = -torch.inf
    for temperature in (1.0, 0.5):
        expected = (logits / temperature).softmax(-1)
        drawn = first_tokens(loaded, monkeypatch, temperature, 400)
        share = torch.bincount(drawn, minlength=len(expected)) / len(drawn)
        assert (share - expected).abs().sum() < 1.5 * (expected * (1 - expected) / len(drawn)).sqrt().sum()


def first_tokens(loaded, monkeypatch, temperature, count):
    caught = []
    decode = loaded.processor.tokenizer.batch_decode
    with monkeypatch.context() as patched:
        patched.setattr(loaded.processor.tokenizer, "batch_decode", lambda ids, **k: caught.extend(ids) or decode(ids))
        generate(loaded, ROWS[:1], CLIPS, max_new_tokens=1, temperature=temperature, num_samples=count)
    return torch.tensor([ids[0] for ids in caught])


def force(monkeypatch, loaded, first, then, else_=None):
    """Make the model want one token at first, and another after it; `else_` comes second, the others hardly."""
    head = loaded.model.lm_head
    calls = []

    def forward(hidden):
        calls.append(1)
        logits = torch.full((*hidden.shape[:-1], head.out_features), -50.0)
        logits[..., first if else_ is None else else_] = 0.0
        logits[..., first if len(calls) <= 2 else then] = 9.0  # the beginnings and the rest of the prompts make two
        return logits

    monkeypatch.setattr(head, "forward", forward)


def test_a_completion_knows_whether_the_cap_cut_it(loaded, monkeypatch):
    end = loaded.processor.tokenizer.eos_token_id
    a = loaded.processor.tokenizer("a")["input_ids"][0]
    force(monkeypatch, loaded, a, a)
    assert generate(loaded, ROWS[:1], CLIPS, max_new_tokens=3) == [[Generation("aaa", 3, True)]]
    force(monkeypatch, loaded, a, end)
    assert generate(loaded, ROWS[:1], CLIPS, max_new_tokens=3) == [[Generation("a", 2, False)]]


@pytest.mark.parametrize("kind", ["image_token_id", "video_token_id"])
def test_a_vision_pad_is_never_said(loaded, monkeypatch, kind):
    pad = getattr(loaded.model.config, kind)
    force(monkeypatch, loaded, pad, pad, else_=loaded.processor.tokenizer("a")["input_ids"][0])
    for how in ({}, {"temperature": 1.0}):
        assert generate(loaded, ROWS[:1], CLIPS, max_new_tokens=4, **how) == [[Generation("aaaa", 4, True)]]


def test_no_rows_no_answers_and_bad_settings_are_named(loaded):
    assert generate(loaded, [], CLIPS) == []
    with pytest.raises(ValueError, match="num_samples is 2 at temperature 0"):
        generate(loaded, ROWS, CLIPS, num_samples=2)
    with pytest.raises(ValueError, match="max_new_tokens is 0: must be a whole number of at least 1"):
        generate(loaded, ROWS, CLIPS, max_new_tokens=0)
