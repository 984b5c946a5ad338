"""A step done both ways finds the same, reads what the formulas say, and tells each phase."""

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from tests.tiny import random_lora, tiny_clip
from vsr_kit.models import load_model
from vsr_kit.sharing.compare import make_work, plain_step, shared_step
from vsr_kit.sharing.reference import plain_tokens, relative_error, shared_tokens

ROW = {"id": "r/1", "dataset": "procedural", "scene_name": "r", "question_type": "object_counting", "options": None}
ROWS = [ROW | {"question": f"How many {what}(s)?", "ground_truth": "2"} for what in ("chair", "sofa on the left")]
G, T = 3, 4


@pytest.fixture(scope="module")
def loaded(tiny_path):
    return load_model(tiny_path, lora=random_lora(), device="cpu", quiet=True)


@pytest.mark.parametrize("asked", [ROWS[:1], ROWS])
def test_both_ways_find_the_same_and_read_what_the_formulas_say(loaded, asked):
    work = make_work(loaded, asked, tiny_clip(0), G, T)
    plain = plain_step(work)
    shared = shared_step(work, plain.completions)
    assert [[len(one) for one in group] for group in plain.completions] == [[T] * G] * len(asked)
    assert relative_error(shared.logps_S, plain.logps_S) < 1e-5
    assert relative_error(shared.gradient, plain.gradient) < 1e-5
    assert shared.logps_S.shape == (len(asked) * G * T,)
    reads = plain_tokens(**work.lengths)
    assert plain.tokens == {"rollout": reads - len(asked) * G, "scoring": reads, "policy": reads}
    assert shared.tokens == dict.fromkeys(("rollout", "scoring", "policy"), shared_tokens(**work.lengths))
    assert set(plain.seconds) == {"vision", "rollout", "scoring", "policy", "backward"}
    assert set(shared.seconds) == set(plain.seconds) - {"vision"}


def test_one_question_ends_its_clip_behind_the_video(loaded):
    work = make_work(loaded, ROWS[:1], tiny_clip(0), G, T)
    ids, video = work.prompts[0].ids_P, loaded.processor.video_token_id
    clip, question = work.lengths["clip"], work.lengths["question"]
    assert ids[clip - 1] == video
    assert video not in ids[clip:]
    assert clip + question == len(ids)


def test_a_question_alone_is_answered_alike_from_one_seed(loaded):
    work = make_work(loaded, ROWS[:1], tiny_clip(0), G, T)
    one, other, again = shared_step(work, seed=1), plain_step(work, seed=1), shared_step(work, seed=2)

    def ids(step):
        return torch.stack(step.completions[0]).tolist()

    assert ids(one) == ids(other) != ids(again)
    assert relative_error(one.gradient, again.gradient) > 1e-3


def test_the_reference_is_the_model_without_its_adapter(loaded, monkeypatch):
    """Scores asked for without a gradient come while the adapter is off, those with one while it is on."""
    from vsr_kit.sharing import compare

    seen = []

    def watched(model, *args):
        layer = next(m for m in model.modules() if isinstance(m, BaseTunerLayer))
        seen.append((torch.is_grad_enabled(), layer.disable_adapters))
        return real(model, *args)

    for step, name in ((plain_step, "plain_logps"), (shared_step, "score")):
        real = getattr(compare, name)
        monkeypatch.setattr(compare, name, watched)
        step(make_work(loaded, ROWS[:1], tiny_clip(0), G, T))
        assert seen == [(False, True), (True, False)]
        seen.clear()
