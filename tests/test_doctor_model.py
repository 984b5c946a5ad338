"""`vsr doctor` on models: parity and the clip are numbers, and each pass that is blinded on purpose is named."""

import dataclasses
from types import SimpleNamespace

import pytest
from peft.tuners.lora import LoraLayer

from tests.test_mismatch import without_clip
from tests.test_trainers import CLIPS, G, rows
from vsr_kit.diagnosis.model import check_model, findings_of
from vsr_kit.diagnosis.probe import Probed
from vsr_kit.sharing import generate_ids
from vsr_kit.training import grpo_trainer
from vsr_kit.training.grpo_trainer import VideoGRPOTrainer
from vsr_kit.training.profiles import PROFILES

CLIP_CHECKS = ["clip in rollouts", "clip in policy", "clip in reference"]


@pytest.fixture
def checked(tiny_path, rewards_that_differ):
    """checked() -> findings by check, of four questions about two rooms asked of the tiny checkpoint."""

    def make(questions=4, **settings):
        profile = dataclasses.replace(PROFILES["mini"], model=str(tiny_path), num_generations=G, max_vanilla_tokens=6)
        asked = SimpleNamespace(rows=rows(questions), clips=CLIPS)
        found = check_model("tiny", profile, "vanilla", asked, num_questions=questions, **settings)
        return {finding.check: finding for finding in found.findings}

    return make


def levels(found) -> dict[str, str]:
    return {name: finding.level for name, finding in found.items() if finding.level in ("warning", "problem")}


def test_all_three_passes_see_the_clip_and_agree(checked):
    found = checked()
    assert set(levels(found)) <= {"answers"}, "a random model has nothing to read"
    assert found["parity"].numbers["value"] < 1e-5 and found["parity"].numbers["max"] < 1e-4
    rollouts, policy, reference = (found[name].numbers["value"] for name in CLIP_CHECKS)
    assert rollouts == pytest.approx(policy, rel=1e-3) == pytest.approx(reference, rel=1e-3)
    assert policy > 0.1 and found["reference"].numbers["value"] == 0, "a fresh adapter is its reference"
    tokens = {found[name].numbers["tokens"] for name in ("parity", *CLIP_CHECKS)}
    assert len(tokens) == 1 and min(tokens) > 4 * G, "every token is looked at in every pass"
    assert found["template"].evidence.startswith("8 video tokens for a clip of 8; begins '<|im_start|>system")


def blind_where(monkeypatch, adapter_on: bool) -> None:
    """Blind one of the trainer's two scoring passes: the policy's, which has the adapter, or the reference's."""
    seeing = VideoGRPOTrainer._get_per_token_logps_and_entropies

    def scored(self, model, *args, **kwargs):
        layer = next(module for module in model.modules() if isinstance(module, LoraLayer))
        own = self._prompts
        if layer.disable_adapters != adapter_on:
            self._prompts = without_clip(own)
        try:
            return seeing(self, model, *args, **kwargs)
        finally:
            self._prompts = own

    monkeypatch.setattr(VideoGRPOTrainer, "_get_per_token_logps_and_entropies", scored)


def test_a_policy_pass_without_the_clip(checked, monkeypatch):
    blind_where(monkeypatch, adapter_on=True)
    assert set(levels(checked())) - {"answers"} == {"clip in policy", "parity"}


def test_a_reference_without_the_clip(checked, monkeypatch):
    blind_where(monkeypatch, adapter_on=False)
    assert set(levels(checked())) - {"answers"} == {"clip in reference"}


def test_rollouts_without_the_clip(checked, monkeypatch):
    monkeypatch.setattr(
        grpo_trainer, "generate_ids", lambda model, prompts, *args: generate_ids(model, without_clip(prompts), *args)
    )
    assert set(levels(checked())) - {"answers"} == {"clip in rollouts", "parity"}


def test_rewards_that_are_all_equal(checked, monkeypatch):
    monkeypatch.setattr(
        "vsr_kit.training.methods.make_reward_funcs",
        lambda mode, numeric, extra: [lambda completions, **columns: [0.5] * len(completions)],
    )
    assert checked()["reward varies"].level == "note", "four groups are too few to judge"
    monkeypatch.setattr("vsr_kit.diagnosis.model.GROUPS", 4)
    assert checked()["reward varies"].level == "problem"


def test_it_needs_another_room(checked, monkeypatch):
    with pytest.raises(ValueError, match="1 questions about 1 rooms: the probe needs 1 questions about two rooms"):
        checked(questions=1)


CLIP = "<|vision_start|><|video_pad|>×8<|vision_end|>"
ENDS = "?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    "prompt, tokens, told",
    [
        ("Question: How many? Answer:", (0, 8), "does not begin"),
        (f"<|im_start|>user\n{CLIP}{ENDS}", (7, 8), "other than the clip's tokens"),
        (f"<|im_start|>user\n{CLIP}?<|im_end|>\n", (8, 8), "does not end"),
        (f"<|im_start|>system\n{CLIP}{ENDS}", (8, 8), "not inside the user's turn"),
    ],
)
def test_a_prompt_without_its_template(prompt, tokens, told):
    row = rows(1)[0] | {"completion": "A"}
    found = {one.check: one for one in findings_of(Probed(prompt=prompt, video_tokens=tokens, completions=[row]))}
    assert found["template"].level == "problem" and told in found["template"].finding
