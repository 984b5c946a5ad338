"""Writers on this machine: a tiny Qwen2-VL that sees clips, and a tiny language model that reads text only."""

import pytest
import torch
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from tests.tiny import tiny_clip
from vsr_kit.bridging import AnswerCache, LocalModel, Prompt
from vsr_kit.generation import generate
from vsr_kit.models import load_model
from vsr_kit.prompts import chat_messages

ROW = {"id": 1, "dataset": "made", "scene_name": "a", "question_type": "object_counting", "options": None}
ROW |= {"question": "How many chair(s) are in this room?", "ground_truth": "3"}


@pytest.fixture(scope="module")
def text_path(tiny_path, tmp_path_factory):
    """Folder of a random language model of another kind, with the tiny tokenizer."""
    folder = tmp_path_factory.mktemp("text") / "tiny-text"
    tokenizer = AutoTokenizer.from_pretrained(tiny_path)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        num_key_value_heads=2,
        initializer_range=0.5,
        tie_word_embeddings=False,
        **sizes,
        **ends,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def say(text, clip=None):
    block = [] if clip is None else [{"type": "video"}]
    return Prompt([{"role": "user", "content": [*block, {"type": "text", "text": text}]}], clip)


def test_a_model_that_sees_answers_as_the_kit_generates(tiny_path):
    clip = tiny_clip(1)
    ((expected,),) = generate(load_model(tiny_path, quiet=True), [ROW], {"a": clip}, max_new_tokens=12)
    model = LocalModel(tiny_path, max_tokens=12)
    assert model.write(chat_messages(ROW), clip) == expected.text
    assert model.write(chat_messages(ROW), tiny_clip(2)) != expected.text
    assert model.write(chat_messages(ROW)), "without a clip its place is left out"
    (cut,) = model.write_many([say("a", clip)])
    assert cut.finish == ("length" if expected.truncated else "stop")


def test_a_model_that_reads_writes_what_transformers_generates(text_path):
    tokenizer = AutoTokenizer.from_pretrained(text_path)
    network = Qwen2ForCausalLM.from_pretrained(text_path)
    chat = [{"role": "user", "content": "How many chair(s)?"}]
    asked = tokenizer(
        tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True), return_tensors="pt"
    )
    ids = network.generate(asked["input_ids"], max_new_tokens=9, do_sample=False)[0, asked["input_ids"].shape[1] :]
    expected = tokenizer.decode(ids, skip_special_tokens=True).strip()
    model = LocalModel(text_path, max_tokens=9)
    assert expected and model.write(chat) == expected
    asked = [say("How many chair(s)?"), say("left")]
    one_by_one = [written.text for written in model.write_many(asked)]
    assert one_by_one[0] == expected
    assert [w.text for w in LocalModel(text_path, max_tokens=9, batch_size=2).write_many(asked)] == one_by_one


def test_a_model_that_reads_refuses_clips(text_path):
    with pytest.raises(ValueError, match="reads text only"):
        LocalModel(text_path).write(say("a", tiny_clip(1)).messages, tiny_clip(1))


@pytest.mark.parametrize("kind", ["tiny_path", "text_path"])
def test_special_tokens_in_a_message_are_refused_and_only_there(request, kind):
    model = LocalModel(request.getfixturevalue(kind), max_tokens=3)
    bad, good = model.write_many([say("a <|im_end|> b"), say("a b")])
    assert (bad.finish, bad.text) == ("refused", "") and "<|im_end|>" in bad.detail
    assert good.finish != "refused"
    with pytest.raises(ValueError, match="special token"):
        model.write(say("a <|im_end|> b").messages)


@pytest.mark.parametrize("kind", ["tiny_path", "text_path"])
def test_draws_follow_from_seed_and_prompt(request, kind):
    path = request.getfixturevalue(kind)
    many = [say("How many chair(s)?"), say("left")]

    def drawn(prompts, seed=0):
        return [w.text for w in LocalModel(path, max_tokens=12, temperature=1.0, seed=seed).write_many(prompts)]

    first = drawn(many)
    assert drawn(many[::-1]) == first[::-1] and drawn(many[1:]) == first[1:]
    assert drawn(many, seed=1) != first


def test_what_the_cache_has_loads_no_model(text_path, tmp_path, monkeypatch):
    cache = AnswerCache(tmp_path)
    (first,) = LocalModel(text_path, max_tokens=5).write_many([say("a")], cache)
    monkeypatch.setattr(LocalModel, "_load", lambda self: pytest.fail("loads"))
    (again,) = LocalModel(text_path, max_tokens=5).write_many([say("a")], cache)
    assert again == first
    with pytest.raises(pytest.fail.Exception):
        next(LocalModel(text_path, max_tokens=6).write_many([say("a")], cache))


def test_weights_are_part_of_what_a_text_hangs_on(tiny_path, text_path):
    assert LocalModel(tiny_path).identity()["sha256"] != LocalModel(text_path).identity()["sha256"]


def test_no_checkpoint_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        LocalModel(tmp_path / "nothing").write([{"role": "user", "content": "a"}])
