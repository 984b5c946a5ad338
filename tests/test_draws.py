"""Many answers to one question, by a tiny model: parts, stopping, memory, and the same draws as everywhere else."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from tests.tiny import tiny_clip
from vsr_kit.evaluation import draws, predict
from vsr_kit.evaluation.draws import MOST_ANSWERS, draw_answers
from vsr_kit.evaluation.taught import folder_of_model, read_taught
from vsr_kit.generation import generate
from vsr_kit.models import load_model
from vsr_kit.widgets import Playground

ROW = {
    "id": "own-1",
    "dataset": "own",
    "scene_name": "s",
    "question_type": "object_counting",
    "question": "How many chair(s) are in this room?",
    "options": None,
    "ground_truth": "3",
    "phrasing": "vsi-bench",
}
CLIP = tiny_clip(1)
HOW = {"temperature": 1.0, "max_new_tokens": 6, "seed": 5}


@pytest.fixture(scope="module")
def tiny(tiny_path):
    return load_model(tiny_path, quiet=True)


def texts(answers):
    return [own.text for own in answers]


def test_the_first_part_is_what_predict_draws(tiny):
    answers = draw_answers(tiny, ROW, CLIP, num_samples=5, **HOW)
    assert texts(answers) == [
        row["prediction"] for row in predict(tiny, [ROW], clips={"s": CLIP}, num_samples=5, **HOW)
    ]
    (greedy,) = draw_answers(tiny, ROW, None, max_new_tokens=6)
    assert greedy.text == predict(tiny, [ROW], max_new_tokens=6)[0]["prediction"]


def test_parts_have_random_numbers_of_their_own(tiny, monkeypatch):
    monkeypatch.setattr(draws, "AT_ONCE", 3)
    parts = []
    answers = draw_answers(tiny, ROW, CLIP, num_samples=8, on_part=parts.append, **HOW)
    assert [len(part) for part in parts] == [3, 3, 2] and sum(parts, []) == answers
    assert texts(parts[0]) == texts(generate(tiny, [ROW], {"s": CLIP}, num_samples=3, **HOW)[0])
    assert len({tuple(texts(part[:2])) for part in parts}) == 3


def test_it_is_stopped_at_the_next_token_and_keeps_whole_parts(tiny, monkeypatch):
    monkeypatch.setattr(draws, "AT_ONCE", 3)
    stop = threading.Event()
    answers = draw_answers(tiny, ROW, CLIP, num_samples=9, stop=stop, on_part=lambda part: stop.set(), **HOW)
    assert len(answers) == 3
    assert draw_answers(tiny, ROW, CLIP, num_samples=9, stop=stop, **HOW) == []
    stop.clear()
    assert texts(draw_answers(tiny, ROW, CLIP, num_samples=3, stop=stop, **HOW)) == texts(answers)


def test_too_little_memory_is_told_with_its_remedy(tiny, monkeypatch):
    def full(*given, **more):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr("vsr_kit.generation.generate", full)
    with pytest.raises(
        ValueError, match=r"64 answers of up to 6 tokens at once do not fit .*: ask for fewer answers \(n\)"
    ):
        draw_answers(tiny, ROW, CLIP, num_samples=100, **HOW)
    with pytest.raises(ValueError, match=f"n is {MOST_ANSWERS + 1}: must be a whole number of at least 1"):
        draw_answers(tiny, ROW, CLIP, num_samples=MOST_ANSWERS + 1, **HOW)

    def broken(*given, **more):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("vsr_kit.generation.generate", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        draw_answers(tiny, ROW, CLIP, num_samples=2, **HOW)


def test_two_askings_wait_for_each_other(tiny, monkeypatch):
    """What makes a pass fast (weights kept dequantized, a hook) changes the model while it lasts."""
    inside, most, both = [], [], threading.Barrier(3)

    def slow(loaded, rows, *given, num_samples, **more):
        inside.append(rows[0]["id"])
        most.append(len(inside))
        threading.Event().wait(0.05)
        inside.pop()
        return [[SimpleNamespace(text="3", truncated=False)] * num_samples]

    def ask():
        both.wait(20)
        draw_answers(tiny, ROW, CLIP, num_samples=4, **HOW)

    monkeypatch.setattr("vsr_kit.generation.generate", slow)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == [1, 1, 1]


def test_a_checkpoint_without_a_card_is_said_to_tell_nothing(tiny, tiny_path):
    assert folder_of_model(tiny.model) == tiny_path and read_taught(tiny_path) is None
    assert folder_of_model(SimpleNamespace(config=SimpleNamespace(_name_or_path=""))) is None


def test_the_miniature_is_asked_in_the_playground_with_its_adapter_and_without():
    from vsr_kit.paths import data_samples

    run = data_samples("reference_runs", "grpo-vanilla-seed1", "adapter")
    for adapter in (None, run):
        loaded = load_model("mini", quantize="nf4", adapter=adapter, quiet=True)
        view = Playground(loaded)
        assert view.taught is not None and "Nothing in this question is new" in view.news.value
        view.n.value = 4
        view.ask.click()
        view.wait(120)
        assert len(view.readings) >= 1 and sum(r.times for r in view.readings) == 4, view.message.value
        assert view.figure() is not None and not view.ask.disabled
        view.question.value = "How many hamster(s) are in this room?"
        assert "hamster&#x27; (read in pieces: ha·m·st·er)" in view.news.value
    assert np.array_equal(view.frames, view.choice.clip.frames_FHW3)
