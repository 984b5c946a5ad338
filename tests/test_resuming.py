"""A training that is gone on with: the same end to the last bit, never past it, and only by the run it was."""

import dataclasses
import json
import math
import signal

import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerCallback

from tests.harm import Kill, Killed
from tests.test_training import CLIPS, ROWS, run_of, weights
from vsr_kit.runs import RunFolder
from vsr_kit.runs.attempts import INTERRUPTED, UNFINISHED
from vsr_kit.training.methods import make_method
from vsr_kit.training.profiles import PROFILES, Profile
from vsr_kit.training.run import train

pytestmark = pytest.mark.usefixtures("rewards_that_differ")


@pytest.fixture
def profile(tiny_path):
    sizes = {"lora_rank": 4, "num_generations": 2, "questions_per_step": 2, "groups_per_pass": 2}
    return dataclasses.replace(
        PROFILES["mini"], model=str(tiny_path), max_vanilla_tokens=3, learning_rate=1e-2, steps=4, **sizes
    )


def killed_at(step, profile, task, folder, **how) -> RunFolder:
    run = run_of(folder, "killed")
    with pytest.raises(Killed):
        train(profile, task, ROWS[:5], clips=CLIPS, run=run, callbacks=[Kill(step)], quiet=True, **how)
    run.close()
    return run


class Raise(TrainerCallback):
    """Something that happens in the middle of a step, or after all of them."""

    def __init__(self, step, what, when="on_step_end"):
        self.step, self.what = step, what
        setattr(self, when, self._happen)

    def _happen(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            self.what()


def raise_(error):
    raise error


@pytest.mark.parametrize("method", ["grpo", "sft"])
def test_beyond_its_first_epoch_a_killed_run_ends_with_the_same_bits(profile, tmp_path, method):
    """5 questions, 2 a step: GRPO has 2 steps an epoch, SFT 3; the kill is in the second or third."""
    how = {"seed": 5, "steps": 6, "save_every": 2}
    whole = run_of(tmp_path, "whole")
    train(profile, make_method(method), ROWS[:5], clips=CLIPS, run=whole, quiet=True, **how)
    killed = killed_at(5, profile, make_method(method), tmp_path, **how)
    resumed = RunFolder.resume(killed.path)
    assert (
        train(profile, make_method(method), ROWS[:5], clips=CLIPS, run=resumed, resume=True, quiet=True, **how).steps
        == 6
    )
    assert [row["step"] for row in resumed.read_metrics()] == [1, 2, 3, 4, 5, 6]
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("steps", [2, 3])  # the end of an epoch, and within one
def test_a_run_killed_after_its_last_checkpoint_ends_there(profile, tmp_path, steps):
    how = {"seed": 5, "steps": steps, "save_every": 1}
    whole = run_of(tmp_path, "whole")
    done = train(profile, "vanilla", ROWS[:5], clips=CLIPS, run=whole, quiet=True, **how)
    run = run_of(tmp_path, "killed")
    last = Raise(steps, lambda: raise_(Killed()), when="on_train_end")
    with pytest.raises(Killed):
        train(profile, "vanilla", ROWS[:5], clips=CLIPS, run=run, callbacks=[last], quiet=True, **how)
    run.close()
    for _ in range(2):  # killed again, before it was finished
        resumed = RunFolder.resume(run.path)
        again = train(profile, "vanilla", ROWS[:5], clips=CLIPS, run=resumed, resume=True, quiet=True, **how)
        assert (again.steps, again.cost, again.stopped) == (steps, None, None)
        resumed.close()
    assert [row["step"] for row in run.read_metrics()] == list(range(1, steps + 1))
    assert len(run.read_rollouts()) == len(whole.read_rollouts())
    first, second = weights(whole), weights(run)
    assert all(torch.equal(first[name], second[name]) for name in first)
    own = dict(again.loaded.model.named_parameters())
    for name, weight in done.loaded.model.named_parameters():
        assert torch.equal(weight, own[name]), "the model that is returned is the trained one"


def test_time_that_was_up_is_up_after_a_kill_too(profile, tmp_path):
    run = run_of(tmp_path, "killed")
    last = Raise(1, lambda: raise_(Killed()), when="on_train_end")
    with pytest.raises(Killed):
        train(profile, "vanilla", ROWS, clips=CLIPS, run=run, seconds=0.0, callbacks=[last], quiet=True)
    run.close()
    resumed = RunFolder.resume(run.path)
    assert train(profile, "vanilla", ROWS, clips=CLIPS, run=resumed, seconds=0.0, resume=True, quiet=True).steps == 1
    assert [row["step"] for row in resumed.read_metrics()] == [1]


CHANGES = {
    "learning_rate": ({"learning_rate": 1e-3}, {}, "learning_rate was 0.01 and is 0.001 now"),
    "beta": ({"beta": 0.5}, {}, "beta was 0.0001 and is 0.5 now"),
    "rollouts": ({"num_generations": 4}, {}, "num_generations was 2 and is 4 now"),
    "seed": ({}, {"seed": 6}, "seed was 5 and is 6 now"),
    "steps": ({}, {"steps": 9}, "steps was 4 and is 9 now"),
    "method": ({}, {"method": make_method("sft")}, "method was 'grpo' and is 'sft' now"),
    "order of rows": ({}, {"questions": [*ROWS[1:5], ROWS[0]]}, "rows sha256 was "),
    "a truth": ({}, {"questions": [*ROWS[:4], ROWS[4] | {"ground_truth": "99"}]}, "rows sha256 was "),
    "fewer rows": ({}, {"questions": ROWS[:4]}, "rows was 5 and is 4 now"),
    "a pixel": ({}, {"clips": CLIPS | {"room-1": CLIPS["room-1"] ^ 1}}, "clips sha256 was "),
    "overrides": ({}, {"max_grad_norm": 0.5, "num_iterations": 1}, None),
}


@pytest.fixture
def begun(profile, tmp_path) -> RunFolder:
    """A run with a step and no checkpoint: what it was begun as is all there is to compare."""
    return killed_at(1, profile, "vanilla", tmp_path, seed=5, max_grad_norm=1.0)


def test_another_run_is_refused_with_both_values_and_leaves_no_mark(begun, profile, monkeypatch):
    monkeypatch.setattr("vsr_kit.training.run.load_model", lambda *args, **how: pytest.fail("too late"))
    before = {path.name: path.read_bytes() for path in begun.path.iterdir() if path.is_file()}
    for changes, how, words in CHANGES.values():
        given = {"method": "vanilla", "questions": ROWS[:5], "clips": CLIPS, "seed": 5, "max_grad_norm": 1.0} | how
        run = RunFolder.resume(begun.path)
        with pytest.raises(ValueError, match="was begun otherwise") as told:
            train(dataclasses.replace(profile, **changes), run=run, resume=True, quiet=True, **given)
        assert (words or "max_grad_norm was 1.0 and is 0.5 now") in str(told.value)
        assert str(begun.path) in str(told.value) and "begin a new run" in str(told.value)
        run.close()
    assert {path.name: path.read_bytes() for path in begun.path.iterdir() if path.is_file()} == before


def test_a_folder_of_an_earlier_version_goes_on_and_says_what_was_not_compared(begun, profile, capsys):
    record = begun.versions
    del record["identity"]
    (begun.path / "versions.json").write_text(json.dumps(record))
    how = {"seed": 5, "max_grad_norm": 1.0, "quiet": True, "steps": 4}
    assert (
        train(profile, "vanilla", ROWS[:5], clips=CLIPS, run=RunFolder.resume(begun.path), resume=True, **how).steps
        == 4
    )
    said = capsys.readouterr().err
    assert "was begun by an earlier version, which did not record" in said and "clips" in said
    assert [row["step"] for row in begun.read_metrics()] == [1, 2, 3, 4]


def test_a_folder_with_steps_is_not_begun_again(begun, profile):
    with pytest.raises(ValueError, match="holds 0 steps already, and what was sampled for them: pass resume=True"):
        train(profile, "vanilla", ROWS[:5], clips=CLIPS, run=RunFolder.resume(begun.path), seed=5, quiet=True)


@pytest.mark.parametrize("how", ["signal", "exception"])
def test_a_stopped_training_is_usable_and_goes_on_in_its_own_kernel(profile, tmp_path, capsys, how):
    whole = run_of(tmp_path, "whole")
    train(profile, "vanilla", ROWS, clips=CLIPS, run=whole, seed=5, quiet=True)

    def make():  # the run is an object of a function's, as in a notebook's
        run = run_of(tmp_path, "stopped")
        act = signal.raise_signal if how == "signal" else lambda signum: raise_(KeyboardInterrupt)
        stop = Raise(2, lambda: act(signal.SIGINT), when="on_step_begin" if how == "exception" else "on_step_end")
        kept.append(run)
        return train(profile, "vanilla", ROWS, clips=CLIPS, run=run, seed=5, save_every=1, callbacks=[stop], quiet=True)

    kept = []
    before = signal.getsignal(signal.SIGINT)
    trained = make()
    assert signal.getsignal(signal.SIGINT) is before
    assert (trained.stopped, trained.steps, trained.good_step, trained.broken) == (INTERRUPTED, 2, 2, None)
    said = capsys.readouterr().err
    path = kept[0].path
    assert "stopped after step 2 of 4: the result has its weights" in said
    assert f"train(…, run=RunFolder.resume({str(path)!r}), resume=True)" in said
    saved = load_file(path / "checkpoints" / "checkpoint-2" / "adapter_model.safetensors")
    adapter = load_file(trained.adapter / "adapter_model.safetensors")
    assert all(torch.equal(saved[name], adapter[name]) for name in saved)
    kept[0].finish()
    assert kept[0].status == UNFINISHED
    resumed = RunFolder.resume(path)
    assert train(profile, "vanilla", ROWS, clips=CLIPS, run=resumed, seed=5, resume=True, quiet=True).steps == 4
    assert [row["step"] for row in resumed.read_metrics()] == [1, 2, 3, 4]
    assert len(resumed.read_rollouts()) == 4 * 2 * 2
    first, second = weights(whole), weights(resumed)
    assert all(torch.equal(first[name], second[name]) for name in first)


NUMBERS = [
    ("num_generations", 1, "must be a whole number of at least 2"),
    ("learning_rate", math.nan, "must be a finite number"),
    ("learning_rate", math.inf, "must be a finite number"),
    ("learning_rate", -1.0, "must be a finite number"),
    ("beta", math.nan, "must be a finite number"),
    ("beta", -1.0, "must be a finite number"),
    ("steps", 0, "must be a whole number of at least 1"),
    ("steps", 2.5, "must be a whole number"),
    ("questions_per_clip", 0, "must be a whole number"),
    ("size_px", True, "must be a whole number"),
    ("numeric", "papr", "choose one of paper"),
    ("dtype", "float8", "choose one of none, float32"),
    ("quantize", "int8", "choose one of none, nf4"),
    ("model", "", "give a text"),
]


@pytest.mark.parametrize("name, value, rule", NUMBERS)
def test_a_profile_that_no_run_can_have_is_an_error(name, value, rule):
    with pytest.raises(ValueError, match=rule) as told:
        Profile(**({"name": "own"} | {name: value}))
    assert name in str(told.value) and repr(value) in str(told.value)


@pytest.mark.parametrize(
    "how, words",
    [
        ({"seed": -1}, "seed is -1: must be a whole number of at least 0"),
        ({"seed": 2**40}, "at most 4294967295"),
        ({"steps": 0}, "steps is 0"),
        ({"seconds": math.nan}, "seconds is nan"),
        ({"seconds": -1}, "seconds is -1"),
        ({"save_every": 0}, "save_every is 0"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0: must be a finite number above 0; at 0 nothing is learnt"),
        ({"beta": math.inf}, "beta is inf"),
        ({"num_generations": 1}, "num_generations is 1"),
        ({"questions": ROWS[:1]}, "1 questions to train on, a step needs 2"),
        ({"questions": []}, "0 questions to train on, a step needs 2"),
    ],
)
@pytest.mark.parametrize("method", ["grpo", "sft", "dpo-corrupted"])
def test_numbers_are_looked_at_before_a_model_is_loaded(profile, monkeypatch, how, words, method):
    monkeypatch.setattr("vsr_kit.training.run.load_model", lambda *args, **how: pytest.fail("too late"))
    with pytest.raises(ValueError, match=words):
        train(profile, make_method(method), **({"questions": ROWS, "clips": CLIPS, "quiet": True} | how))


def test_a_mode_that_is_none_is_an_error():
    with pytest.raises(ValueError, match="mode is 'thnk': choose one of vanilla, think, observe"):
        make_method(mode="thnk")


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_reward_that_is_no_number_is_named(profile, monkeypatch, value):
    def own_reward(completions, **columns):
        return [0.5] * (len(completions) - 1) + [value]

    monkeypatch.setattr("vsr_kit.training.methods.make_reward_funcs", lambda mode, numeric, extra: [own_reward])
    with pytest.raises(ValueError, match=f"the reward own_reward gave {value} for question '.': a reward must be"):
        train(profile, "vanilla", ROWS, clips=CLIPS, steps=1, quiet=True)
