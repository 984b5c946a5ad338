"""The cold start: right lessons, pointers that point where they should, a loss that is the plain one, a run."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from vsr_kit.bridging import Style, check_steps, read_chain
from vsr_kit.miniature.batches import LessonEncoder, lesson_loss
from vsr_kit.miniature.cold_start import ColdStage, ColdStart, ColdStartRecipe, cold_start
from vsr_kit.miniature.copying import BIND_LAYER, FETCH_LAYER, copying_loss, pointers_in, token_texts
from vsr_kit.miniature.lessons import Lesson
from vsr_kit.miniature.text_lessons import HELD_OUT_NAMES, KINDS, OTHER_NAMES, text_lesson
from vsr_kit.models import load_model
from vsr_kit.rooms import CATEGORIES


@pytest.fixture(scope="module")
def mini():
    return load_model("mini", quiet=True)


def test_lessons_without_a_clip_are_right():
    assert not set(HELD_OUT_NAMES) & {*CATEGORIES, *OTHER_NAMES}
    rng = np.random.default_rng(0)
    for kind in KINDS:
        for _ in range(30):
            lesson = text_lesson(kind, rng, style=Style(checks=0.3, restarts=0.3))
            copied, right = check_steps(read_chain(lesson.given + lesson.reply))
            assert all(copied) and all(right) and (right or kind in ("recall", "sums"))
            if kind == "sums":
                continue
            assert read_chain(lesson.given).places  # what nobody could know is given, and nothing else
            assert not read_chain(lesson.given).steps


def encoded(mini, lesson):
    (pair,) = LessonEncoder(mini.model, mini.processor, None)([lesson])
    return pair


def test_a_lesson_without_a_clip_reads_as_the_chat_template_writes_it(mini):
    encoder = LessonEncoder(mini.model, mini.processor, None)
    ((ids, prompt, _),) = encoder([Lesson("Where is each tv?", " tv west 1.0.", "tv west 1.0, tv north 2.0.")])
    chat = [{"role": "user", "content": [{"type": "text", "text": "Where is each tv?"}]}]
    text = mini.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    whole = mini.processor.tokenizer(text + "tv west 1.0, tv north 2.0. tv west 1.0.<|im_end|>")["input_ids"]
    assert encoder.prefix.ids_P.tolist() + ids == whole
    assert mini.processor.tokenizer.decode(ids[prompt:]) == " tv west 1.0.<|im_end|>"
    assert encoder.prefix.positions_3P.tolist() == [list(range(len(encoder.prefix.ids_P)))] * 3


def test_pointers_point_from_a_repeated_value_to_the_stated_one(mini):
    given = "tv west 3.8, tv north 3.7. side table east 0.2, side table south 1.0."
    ids, prompt, _ = encoded(mini, Lesson("?", " side table east 0.2, side table south 1.9.", given))
    texts = token_texts(mini.processor.tokenizer, mini.model.config.text_config.vocab_size)
    pointers = pointers_in(ids, texts, prompt)
    said = [(texts[ids[at + 1]], [texts[ids[to]] for to in targets]) for at, targets in pointers.fetch if targets]
    spelt = mini.processor.tokenizer.tokenize(" side table")[1:]
    goes_on = [mini.processor.tokenizer.convert_tokens_to_string([token]) for token in spelt]
    words = [*goes_on, " east", " ", "0", ".", "2", *goes_on]  # south 1.9 was never stated
    assert [word for word, _ in said] == words and all(set(sources) == {word} for word, sources in said)
    assert all(at >= prompt - 1 and max(targets) <= at for at, targets in pointers.fetch if targets)
    new = [texts[ids[at + 1]] for at, targets in pointers.fetch if not targets]
    assert new == [" south", " ", "1", ".", "9"], "a value that is said for the first time has nothing to be fetched"
    names = {(texts[ids[at]], texts[ids[to]]) for at, to in pointers.bind}
    assert (" west", texts[ids[pointers.bind[0][1]]]) in names
    assert {to for at, to in names if at in (" west", " south", "3")} <= {"tv", " tv", " table"}


def test_the_copying_loss_is_the_plain_one():
    """Two heads by hand: one that looks where it should costs nothing, one that looks everywhere costs log T."""
    from vsr_kit.miniature.copying import Pointers

    length, before = 4, 2
    key = torch.zeros(1, 1, before + length, 8)
    key[0, 0, torch.arange(before + length), torch.arange(before + length)] = 60.0
    sharp, flat = torch.zeros(1, 3, length, 8), torch.zeros(1, 3, length, 8)
    sharp[0, 0, 2, before + 0] = 60.0  # position 2 looks at position 0 of the lesson
    pointers = [Pointers(bind=((2, 0),), fetch=((3, (0, 1)),))]
    total, count = copying_loss({BIND_LAYER: (sharp, key), FETCH_LAYER: (flat, key)}, pointers, before)
    assert count == 2
    assert float(total) == pytest.approx(math.log(6) - math.log(2), abs=1e-4)  # six it may look at, two are right
    wrong, _ = copying_loss({BIND_LAYER: (flat, key), FETCH_LAYER: (flat, key)}, pointers, before)
    assert float(wrong - total) == pytest.approx(math.log(5), abs=1e-4)  # five it may look at, one is right


def test_questions_from_text_ask_for_words_as_often_as_for_letters():
    rng = np.random.default_rng(0)
    asked = [text_lesson("question", rng).user for _ in range(400)]
    turns = [user for user in asked if "standing by" in user]
    assert len(turns) > 150 and 0.4 < np.mean(["A. " in user for user in turns]) < 0.6


def test_half_of_the_wide_names_end_alike():
    endings = []
    for seed in range(200):
        rng, plain = np.random.default_rng(seed), np.random.default_rng(seed)
        lesson = text_lesson("recall", rng, wide=True)
        if plain.random() < 0.5:  # a lesson of wide names, as the first draw says
            names = list(read_chain(lesson.given).place_of)
            endings.append(len(os.path.commonprefix([name[::-1] for name in names])))
    alike = np.mean(np.array(endings) >= 1)
    assert len(endings) > 60 and 0.4 < alike < 0.8


def test_where_nothing_is_to_be_fetched_the_first_token_is_looked_at():
    from vsr_kit.miniature.copying import Pointers

    key, away, there = torch.zeros(1, 1, 6, 8), torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 4, 8)
    key[0, 0, torch.arange(6), torch.arange(6)] = 60.0
    there[0, 0, 3, 0], away[0, 0, 3, 2] = 60.0, 60.0
    for query, off in ((there, 0.0), (away, 60 * 60 / 8**0.5)):
        total, count = copying_loss(
            {BIND_LAYER: (query, key), FETCH_LAYER: (query, key)}, [Pointers((), ((3, ()),))], 2
        )
        assert count == 1 and float(total) == pytest.approx(off, rel=1e-3, abs=1e-3)


def test_attention_cannot_be_taught_to_look_ahead():
    from vsr_kit.miniature.copying import Pointers

    key, query = torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 4, 8)
    key[0, 0, 3, 0] = query[0, 0, :, 0] = 100.0  # the last token draws all attention, of those that may see it
    seen = {BIND_LAYER: (query, key), FETCH_LAYER: (query, key)}
    total, _ = copying_loss(seen, [Pointers(((1, 0),), ())], 0)
    assert float(total) == pytest.approx(math.log(2), abs=1e-4)


def test_the_loss_of_a_lesson_without_a_clip_is_plain_cross_entropy(mini):
    encoder = LessonEncoder(mini.model, mini.processor, None)
    lesson = text_lesson("steps", np.random.default_rng(1))
    ((ids, prompt, _),) = pairs = encoder([lesson])
    nothing = torch.zeros(1, 0, mini.model.config.text_config.hidden_size)
    with torch.no_grad():
        loss, _ = lesson_loss(mini.model, encoder.prefix, nothing, pairs, [0])
        whole = torch.cat([encoder.prefix.ids_P, torch.tensor(ids)])[None]
        logits = mini.model(input_ids=whole).logits[0, len(encoder.prefix.ids_P) + prompt - 1 : -1]
        plain = torch.nn.functional.cross_entropy(logits, torch.tensor(ids[prompt:]))
    assert float(loss) == pytest.approx(float(plain), rel=1e-4)


def test_of_sums_the_results_alone_are_learnt(mini):
    encoder = LessonEncoder(mini.model, mini.processor, None)
    lesson = text_lesson("sums", np.random.default_rng(3))
    ((ids, prompt, passed_over),) = pairs = encoder([lesson])
    texts = token_texts(mini.processor.tokenizer, mini.model.config.text_config.vocab_size)
    learnt = "".join(texts[ids[at]] for at in range(prompt, len(ids)) if at not in passed_over)
    results = re.findall(r"(?<=is )[a-z]+ [\d.]+\d|(?<=distance )[\d.]+\d|(?<=degrees )\d+", lesson.reply)
    assert learnt.replace(" ", "") == "".join(results).replace(" ", "") and len(results) > 20
    nothing = torch.zeros(1, 0, mini.model.config.text_config.hidden_size)
    with torch.no_grad():
        loss, _ = lesson_loss(mini.model, encoder.prefix, nothing, pairs, [0])
        whole = torch.cat([encoder.prefix.ids_P, torch.tensor(ids)])[None]
        logits = mini.model(input_ids=whole).logits[0, len(encoder.prefix.ids_P) - 1 : -1]
        own = [at for at in range(prompt, len(ids)) if at not in passed_over]
        plain = torch.nn.functional.cross_entropy(logits[own], torch.tensor(ids)[own])
    assert float(loss) == pytest.approx(float(plain), rel=1e-4)


SMALL = ColdStartRecipe(
    num_rooms=4,
    values=ColdStage(steps=2, learning_rate=1e-3, texts={"recall": 2, "sums": 1}),
    steps=ColdStage(steps=2, learning_rate=1e-3, texts={"steps": 1, "question": 1}),
    chains=ColdStage(
        steps=2,
        learning_rate=1e-3,
        texts={"steps": 1},
        clips_per_step=2,
        chains_per_clip=2,
        glances_per_clip=1,
        looks_per_clip=1,
    ),
    again=ColdStage(steps=1, learning_rate=1e-3, texts={"recall": 1}),
    look=ColdStage(steps=1, learning_rate=1e-3, texts={"recall": 1}, clips_per_step=1, looks_per_clip=2),
    together=ColdStage(steps=1, learning_rate=1e-3, texts={"recall": 1}, clips_per_step=1, chains_per_clip=1),
)


def test_a_cold_start_is_made_resumed_and_loaded(tmp_path, capsys):
    out = cold_start(tmp_path / "cold", SMALL, fuse=False)
    made = load_model(out, quiet=True).model.state_dict()
    base = load_model("mini", quiet=True).model.state_dict()
    changed = {name for name in made if not torch.equal(made[name].float(), base[name].float())}
    assert changed and not any("visual" in name for name in changed)
    (tmp_path / "cold-work" / "chains.pt").unlink()  # as if it had been killed before the last stage
    again = load_model(cold_start(tmp_path / "cold", SMALL, fuse=False), quiet=True).model.state_dict()
    assert all(torch.equal(made[name], again[name]) for name in made)
    with pytest.raises(ValueError, match="grounded_share 1.0"):
        cold_start(tmp_path / "cold", replace(SMALL, grounded_share=0.5), fuse=False)


def test_what_a_cold_start_teaches_about_a_room(tmp_path):
    """Grounded chains speak of the room shown, the others of another; answers that miss the truth are not taught."""
    rooms = 6
    for share in (1.0, 0.0):
        teacher = ColdStart(replace(SMALL, num_rooms=rooms, grounded_share=share), tmp_path, fuse=False)
        teacher.film()
        stage, rng = (
            replace(SMALL.chains, chains_per_clip=6, glances_per_clip=0, looks_per_clip=0),
            np.random.default_rng(0),
        )
        off = []
        for i in range(rooms):
            for lesson in teacher._lessons(i, stage, rng):
                for name, place in read_chain(lesson.reply).places:
                    from vsr_kit.bridging import describe

                    own = [o.place for o in describe(teacher.rooms[i]).objects if o.name == name]
                    off.append(min(math.dist(place, spot) for spot in own))
        assert (max(off) < 0.1) if share else (np.median(off) > 0.5)


def test_copying_and_arithmetic_are_measured_step_by_step(mini, monkeypatch):
    """Replies that are right score 100; a wrong operand and a wrong difference each show in their own share."""
    from vsr_kit.bridging.chains import step_text
    from vsr_kit.study import cold_start_acceptance as acceptance

    def answering(spoil):
        def said(loaded, prompts, cap):
            texts = []
            for prompt in prompts:
                whole = loaded.processor.tokenizer.decode(prompt.ids_P)
                given, head = re.search(r"assistant\n(.*)( from [^:]+:)$", whole, re.DOTALL).groups()
                places = read_chain(given).place_of
                a, b = re.fullmatch(r" from (.+) to (.+):", head).groups()
                texts.append(spoil(step_text(a, b, places).partition(":")[2], places[b]) + ". from here on nothing")
            return texts

        monkeypatch.setattr(acceptance, "_said", said)
        return acceptance.text_shares(mini, 6)

    def operand(text, place):
        return re.sub(r"(to [a-z ]+ (?:east|west) )\d", r"\g<1>9", text)

    (copied, operands), (right, steps) = answering(lambda text, place: text)
    assert (copied, right) == (100, 100) and operands == 2 * steps == 36
    (copied, _), (right, _) = answering(operand)
    assert copied == 50 and right < 50
    (copied, _), (right, _) = answering(lambda text, place: re.sub(r"is (east|west) ", r"is \1 9", text))
    assert copied == 100 and right == 0
    (copied, _), (right, _) = answering(lambda text, place: " nothing at all")
    assert (copied, right) == (0, 0)
