"""Limits of a machine: memory that runs out and numbers that overflow end in one sentence with a remedy."""

import dataclasses
import sys

import pytest
import torch

from tests.test_training import CLIPS, ROWS, run_of, weights
from tests.tiny import tiny_messages
from vsr_kit.cli import main
from vsr_kit.failures import NotFinite, OutOfMemory, is_out_of_memory, refuse_non_finite
from vsr_kit.generation import generate
from vsr_kit.models import load_model
from vsr_kit.models.vision import encode_clip
from vsr_kit.runs import RunFolder
from vsr_kit.sharing import encode_prompt, generate_ids
from vsr_kit.training.grpo_trainer import VideoGRPOTrainer
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.run import train

CUDA_SAYS = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 14.58 GiB of which little"


@pytest.fixture
def profile(tiny_path):
    small = {"lora_rank": 4, "num_generations": 4, "questions_per_step": 2, "groups_per_pass": 2, "steps": 3}
    return dataclasses.replace(PROFILES["mini"], model=str(tiny_path), max_vanilla_tokens=8, **small)


@pytest.fixture
def full(monkeypatch):
    """No memory in the loss of the third step; emptied, it lets everything pass."""
    compute, steps = VideoGRPOTrainer._compute_loss, {2}

    def fail(self, model, inputs):
        if self.state.global_step in steps:
            raise torch.OutOfMemoryError(CUDA_SAYS)
        return compute(self, model, inputs)

    monkeypatch.setattr(VideoGRPOTrainer, "_compute_loss", fail)
    return steps


@pytest.mark.usefixtures("rewards_that_differ")
def test_out_of_memory_names_what_to_turn_down_and_the_run_goes_on(profile, tmp_path, full):
    run = run_of(tmp_path, "full")
    with pytest.raises(OutOfMemory) as caught:
        train(profile, "vanilla", ROWS, clips=CLIPS, run=run, seed=5, save_every=1, quiet=True)
    told = str(caught.value)
    assert "Tried to allocate 2.00 GiB" in told and "total capacity" not in told
    assert "turn it down by --gradient-checkpointing" in told
    assert "from step 2" in told and str(run.path) in told and "RunFolder.resume" in told
    full.clear()
    resumed = RunFolder.resume(run.path, from_step=2)
    trained = train(profile, "vanilla", ROWS, clips=CLIPS, run=resumed, seed=5, resume=True, quiet=True)
    assert trained.steps == 3 and weights(resumed)


def test_other_errors_and_other_memory_are_told_apart():
    assert is_out_of_memory(torch.OutOfMemoryError("x"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."))
    assert not is_out_of_memory(RuntimeError("size mismatch")) and not is_out_of_memory(MemoryError())


@pytest.mark.parametrize(
    "profile_name, advice",
    [("mini", "turn it down by --gradient-checkpointing"), ("t4", "take a smaller model or a larger GPU")],
)
def test_vsr_train_ends_with_one_line_and_keeps_its_folder(monkeypatch, capsys, tmp_path, profile_name, advice):
    from vsr_kit.runs import run_folders
    from vsr_kit.training.out_of_memory import told_out_of_memory

    def fail(profile, method, questions, *, run, **how):
        run.metrics({"step": 1, "loss": 0.5})
        with told_out_of_memory(profile, method, questions.clips, run):
            raise torch.OutOfMemoryError(CUDA_SAYS)

    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    monkeypatch.setattr("vsr_kit.training.run.train", fail)
    monkeypatch.setattr(sys, "argv", ["vsr", "train", "--rooms", "2", "--profile", profile_name])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err.strip().splitlines()[-1]
    (run,) = run_folders(tmp_path)
    assert stopped.value.code == 2 and said.startswith("error: memory ran out: CUDA out of memory")
    assert f"vsr train --resume {run.path}" in said and advice in said
    assert RunFolder.resume(run.path)  # its lock is free


def test_vsr_eval_ends_with_one_line(monkeypatch, capsys, tmp_path):
    def fail(*args, **how):
        raise torch.OutOfMemoryError(CUDA_SAYS)

    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    monkeypatch.setattr("vsr_kit.generation.generate", fail)
    monkeypatch.setattr("vsr_kit.models.loading.load_model", lambda *given, **how: None)
    monkeypatch.setattr(sys, "argv", ["vsr", "eval", "--rooms", "1", "--per-type", "1", "--quantize", "none"])
    with pytest.raises(SystemExit) as stopped:
        main()
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert stopped.value.code == 2 and "turn it down by --batch-size 16 --quantize nf4 --frames 4" in said
    assert "vsr eval --resume" in said


# -- numbers that overflow ---------------------------------------------------------------------------------------------


def test_logits_that_are_no_numbers_are_refused_and_excluded_tokens_are_not():
    fine = torch.tensor([[0.0, -torch.inf], [1.0, 2.0]])
    refuse_non_finite(fine, 0)
    for wrong in (torch.nan, torch.inf):
        spoilt = fine.clone()
        spoilt[1, 0] = wrong
        with pytest.raises(NotFinite, match=r"1 of 2 sequences at token 4 .*--dtype float32"):
            refuse_non_finite(spoilt, 3)


@pytest.fixture
def overflowing(tiny_path):
    """As fp16 leaves a model: one number that is infinite, and all that comes after is NaN."""
    loaded = load_model(tiny_path, device="cpu", quiet=True)
    loaded.model.model.language_model.layers[1].mlp.down_proj.weight.data[0, 0] = torch.inf
    return loaded


def test_an_overflowing_model_is_not_asked_on(overflowing):
    with pytest.raises(NotFinite, match="at token 1 of the answer, as float32"):
        generate(overflowing, ROWS[:2], CLIPS, max_new_tokens=3)


def test_an_overflowing_model_samples_no_rollouts(overflowing):
    model, processor = overflowing.model, overflowing.processor
    clip = encode_clip(model, processor, CLIPS["room-0"])
    prompt = encode_prompt(model, processor, tiny_messages("How many?"), clip)
    how = model.generation_config
    how.update(do_sample=True, max_new_tokens=3, suppress_tokens=[1])
    with pytest.raises(NotFinite, match="2 of 2 sequences at token 1"):
        generate_ids(model, [prompt], 2, how, how.pad_token_id)


@pytest.mark.usefixtures("rewards_that_differ")
def test_a_training_whose_logits_overflow_ends_with_its_last_good_weights(profile, tmp_path, monkeypatch):
    """Before the rollouts of step 2, as a GPU would meet it; there torch's own refusal would end the process."""
    generated = VideoGRPOTrainer._generate_single_turn

    def spoilt(self, *args, **how):
        if self.state.global_step == 1:
            refuse_non_finite(torch.full((1, 4), torch.nan), 0)
        return generated(self, *args, **how)

    monkeypatch.setattr(VideoGRPOTrainer, "_generate_single_turn", spoilt)
    trained = train(profile, "vanilla", ROWS, clips=CLIPS, run=run_of(tmp_path, "spoilt"), quiet=True)
    assert "probabilities are not finite at step 2" in trained.broken and "float32" in trained.broken
    assert trained.good_step == 0  # step 1's own line was written, but no pass has tried its weights
