"""Token measures: texts of tokens, the shared computation against plain forwards, and what cannot be measured."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import get_peft_model

from tests.plain import plain_logps
from tests.tiny import random_lora, tiny_clip
from vsr_kit.evaluation.baselines import wrong_clip_pairing
from vsr_kit.evaluation.token_measures import adapter_off, token_measures
from vsr_kit.evaluation.token_texts import MEASURES, retokenized, special_tokens, token_texts
from vsr_kit.models import load_model, packed
from vsr_kit.prompts import chat_messages

CLIPS = {f"room-{i}": tiny_clip(i) for i in range(3)}
TEXTS = ["3", "a chair left of the sofa", "<answer>4</answer>", "<script>alert(1)</script>", "Zimmer für 🛋️\n\n two"]


def rows():
    """Two questions about one room and one about another, completions of unequal length."""
    made = []
    for i, text in enumerate(TEXTS):
        question = {"id": str(i % 2), "dataset": "rooms", "scene_name": "room-0", "question_type": "object_counting"}
        question |= {"question": f"How many {['chair', 'table'][i % 2]}(s)?", "options": None, "ground_truth": "4"}
        made.append(question | {"completion": text, "truncated": bool(i % 2), "advantage": i - 2.0})
    made.append(made[0] | {"id": "other", "scene_name": "room-1", "completion": "in room 2"})
    return made


@pytest.fixture(params=[None, "nf4"], ids=["fp32", "nf4"])
def loaded(request, tiny_path):
    """The tiny checkpoint with an adapter that is no identity, frozen as a loaded one is."""
    bare = load_model(tiny_path, quantize=request.param, device="cpu", dtype=torch.float32, quiet=True)
    torch.manual_seed(0)
    model = get_peft_model(bare.model, random_lora()).eval()
    return replace(bare, model=model.requires_grad_(False))


@pytest.fixture
def tokenizer(tiny_path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_path)


def plainly(loaded, row, ids, scene):
    messages = chat_messages(row, "vanilla", "train")
    logps, entropies = plain_logps(loaded.model, loaded.processor, messages, CLIPS[scene], ids)
    return logps.detach().double().numpy(), entropies.detach().double().numpy()


def test_sharing_gives_what_a_plain_forward_of_each_rollout_gives(loaded):
    """Within 1e-5, relative, as tests/test_sharing.py holds fp32 to; nf4 computes in fp32, too."""
    found, other = token_measures(loaded, rows(), CLIPS), wrong_clip_pairing(CLIPS)
    lengths = set()
    for row, one in zip(rows(), found, strict=True):
        assert tuple(one.values) == MEASURES and one.reason == ""
        ids = retokenized(loaded.processor.tokenizer, row["completion"])
        ids += [] if row["truncated"] else [loaded.processor.tokenizer.eos_token_id]
        lengths.add(len(ids))
        logps, entropies = plainly(loaded, row, ids, row["scene_name"])
        there, _ = plainly(loaded, row, ids, other[row["scene_name"]])
        with torch.no_grad(), loaded.model.disable_adapter():
            reference, _ = plainly(loaded, row, ids, row["scene_name"])
        wanted = {"entropy": entropies, "policy_minus_reference": logps - reference, "grounding": logps - there}
        for name, true in wanted.items():
            error = np.abs(np.array(one.values[name]) - true).max()
            assert error < 1e-5 * np.abs(logps).max(), name
            assert np.abs(true).max() > 1e-2, name  # there is something to be wrong about
        assert one.values["advantage"] == (row["advantage"],) * len(ids)
        assert one.other_scene == other[row["scene_name"]] != row["scene_name"]
    assert len(lengths) > 3


def test_asking_leaves_the_model_as_it_was(loaded):
    trained = [weight.requires_grad for weight in loaded.model.parameters()]
    before = [weight.clone() for weight in loaded.model.parameters()]
    state = torch.random.get_rng_state()
    token_measures(loaded, rows(), CLIPS)
    assert [weight.requires_grad for weight in loaded.model.parameters()] == trained
    assert all(torch.equal(a, b) for a, b in zip(before, loaded.model.parameters(), strict=True))
    assert torch.equal(state, torch.random.get_rng_state())
    with adapter_off(loaded.model):
        pass
    assert [weight.requires_grad for weight in loaded.model.parameters()] == trained


def test_another_model_may_be_the_reference(loaded, tiny_path):
    base = load_model(tiny_path, "nf4" if packed(loaded.model) else None, device="cpu", quiet=True)
    ours = token_measures(loaded, rows(), CLIPS, measures=["policy_minus_reference"])
    given = token_measures(loaded, rows(), CLIPS, measures=["policy_minus_reference"], reference=base)
    for a, b in zip(ours, given, strict=True):
        assert np.allclose([*a.values.values()], [*b.values.values()], atol=1e-5)
    alone = token_measures(base, rows(), CLIPS)
    assert all("policy_minus_reference" not in one.values for one in alone)


def test_ids_that_were_recorded_are_used_as_they_are(loaded, tokenizer):
    chair = retokenized(tokenizer, "chair")
    letters = [tokenizer.convert_tokens_to_ids(letter) for letter in "chair"]  # as a model may sample it
    assert len(chair) < len(letters)
    end = tokenizer.eos_token_id
    row = rows()[0] | {"completion": "chair", "truncated": True}
    two = token_measures(loaded, [row, row | {"completion_ids": [*letters, end]}], CLIPS, measures=["entropy"])
    assert two[0].tokens == tuple(tokenizer.decode([i]) for i in chair)
    assert (
        two[1].tokens == (*"chair", "") and two[1].specials[-1] == "<|im_end|>" and len(two[1].values["entropy"]) == 6
    )


def test_completions_without_text_have_the_tokens_that_they_have(loaded, tokenizer):
    empty = rows()[0] | {"completion": ""}
    names = list(special_tokens(tokenizer).values())
    special = rows()[0] | {"completion_ids": sorted(special_tokens(tokenizer)), "completion": ""}
    cases = [empty | {"truncated": True}, empty | {"truncated": False}, special, rows()[1]]
    cut, ended, strange, usual = token_measures(loaded, cases, CLIPS)
    assert cut.tokens == () and cut.reason == "" and cut.values.get("entropy", ()) == ()
    assert ended.tokens == ("",) and ended.specials == ("<|im_end|>",) and len(ended.values["grounding"]) == 1
    assert set(strange.tokens) == {""} and sorted(strange.specials) == sorted(names)
    assert np.isfinite(strange.values["grounding"]).all() and usual.values["entropy"]
    with_pads = token_measures(loaded, [special], CLIPS)[0]  # `<|video_pad|>` in a completion gets no features
    assert np.allclose(with_pads.values["entropy"], strange.values["entropy"], atol=1e-5)


HARD = [
    "",
    "3",
    " a\n\n\tb  ",
    "für 🛋️👩‍👩‍👧 é",
    "<|im_end|> is no end",
    "<script>alert('x')</script>",
    "‮abc",
    "\x00\x1b[31m",
]


@pytest.mark.parametrize("text", HARD)
def test_texts_of_tokens_are_the_completion_letter_by_letter(tokenizer, text):
    ids = retokenized(tokenizer, text)
    tokens, specials = token_texts(tokenizer, ids)
    assert "".join(tokens) == text and len(tokens) == len(ids) and not any(specials)


def test_a_character_stands_with_the_last_of_the_tokens_that_make_it(tokenizer):
    ids = [tokenizer.convert_tokens_to_ids("a"), *retokenized(tokenizer, "🛋")]
    tokens, _ = token_texts(tokenizer, ids)
    assert len(ids) > 2 and tokens == ["a", *[""] * (len(ids) - 2), "🛋"]
    cut, _ = token_texts(tokenizer, ids[:-1])  # a truncated completion ends inside a character
    assert "".join(cut) == tokenizer.decode(ids[:-1]) and cut[0] == "a" and "\ufffd" in "".join(cut)


@pytest.mark.parametrize("seed", range(20))
def test_any_ids_give_the_text_that_the_tokenizer_gives(tokenizer, seed):
    ids = np.random.default_rng(seed).integers(0, len(tokenizer), 40).tolist()
    tokens, specials = token_texts(tokenizer, ids)
    assert "".join(tokens) == tokenizer.decode(ids, skip_special_tokens=True)
    assert [bool(name) for name in specials] == [i in special_tokens(tokenizer) for i in ids]


@pytest.mark.parametrize("text, told", [("half \ufffd", "U\\+FFFD"), ("cafe\u0301", "give the ids that were sampled")])
def test_a_text_that_no_ids_give_is_told_and_spoils_no_other_row(loaded, text, told):
    with pytest.raises(ValueError, match=told):
        retokenized(loaded.processor.tokenizer, text)
    bad, good = token_measures(loaded, [rows()[0] | {"completion": text}, rows()[1]], CLIPS, measures=["entropy"])
    assert bad.tokens == () and bad.values.get("entropy", ()) == () and bad.reason
    assert good.reason == "" and good.values["entropy"]


def test_what_cannot_be_measured_is_named(loaded, tiny_path):
    bare = load_model(tiny_path, device="cpu", quiet=True)
    alone = {"room-0": CLIPS["room-0"]}
    rest = [row for row in rows() if row["scene_name"] == "room-0"]
    wrong = [
        (lambda: token_measures(bare, rows(), CLIPS, measures=["policy_minus_reference"]), "no adapter to switch off"),
        (lambda: token_measures(loaded, rest, alone, measures=["grounding"]), "at least two rooms"),
        (lambda: token_measures(loaded, rows(), CLIPS, measures=["surprise"]), "measures is 'surprise'"),
        (lambda: token_measures(loaded, rows(), alone), "no clip for scene 'room-1'"),
        (lambda: token_measures(loaded, rows(), CLIPS, temperature=0), "temperature"),
        (lambda: token_measures(loaded, rows(), CLIPS, mode=["vanilla"]), "1 modes for 6 rows"),
    ]
    for ask, told in wrong:
        with pytest.raises(ValueError, match=told):
            ask()
    assert token_measures(loaded, [], CLIPS) == []
    assert all("grounding" not in one.values for one in token_measures(loaded, rest, alone))
