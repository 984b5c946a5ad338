"""A model before a run: one step of GRPO on a few questions, and what it shows of template, clip, answers and rewards.

The step is the trainer's own, from the chat template to the gradient, so what is found is what a run would do. While it
runs, the log-probabilities of its completions are compared between the rollouts and the pass with gradients (parity),
and each of the three passes (rollouts, reference, policy) is repeated with another room's clip, brought to the same
shape: a pass that sees the clip must then say something else about the same tokens. The rollouts are made to say them
again, by raising each wanted token's logit above all others after it was read.
Left out: scores (`vsr eval`), memory and speed; the weights that the step changes are thrown away.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PrinterCallback

from vsr_kit.evaluation.baselines import wrong_clip_pairing
from vsr_kit.evaluation.token_measures import adapter_off
from vsr_kit.models.adapters import read_config
from vsr_kit.models.dequantized import keep_dequantized
from vsr_kit.models.loading import load_model, without_renaming_warnings
from vsr_kit.models.vision import core_model
from vsr_kit.sharing import EncodedPrompt, SampledLogps, encode_prompt
from vsr_kit.training.joints import Start
from vsr_kit.training.methods import GRPO
from vsr_kit.training.mismatch import differences, padded
from vsr_kit.training.profiles import Profile
from vsr_kit.training.starting import check_start, finish_trainer
from vsr_kit.validation import whole

PASSES = ("rollouts", "policy", "reference")
ABOVE = 1e4  # a logit that leaves all others no probability, and is finite in 16 bits


@dataclass
class Probed:
    """What one step of GRPO showed.

    Attributes:
        description: the model, in a line.
        prompt: the first prompt's text, its video tokens written once with their number.
        video_tokens: of that prompt, and how many the clip has.
        apart_N: |log-probability in the rollout - in the training pass| of every token, nats.
        changes: by pass the change of each token's log-probability with another clip, nats.
        from_reference_N: |policy - reference|, nats; 0 with a fresh adapter.
        completions: what was sampled, with its row's fields and rewards.
        equal_share: of groups whose completions all earned the same.
        groups: how many there were.
    """

    description: str = ""
    prompt: str = ""
    video_tokens: tuple[int, int] = (0, 0)
    apart_N: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    changes: dict[str, torch.Tensor] = field(default_factory=lambda: {name: torch.zeros(0) for name in PASSES})
    from_reference_N: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    completions: list[dict] = field(default_factory=list)
    equal_share: float = 0.0
    groups: int = 0


def probe(
    profile: Profile, mode: str, questions, *, adapter: Path | None = None, num_questions: int = 8, seed: int = 0
) -> Probed:
    """Do one step of GRPO with a model and watch it.

    Args:
        profile: names the model, and the sizes of the step; its rank gives way to the adapter's.
        mode: vanilla, think or observe.
        questions: with `.rows` and `.clips`, of two rooms or more.
        adapter: a trained adapter to look at instead of a fresh one.
        num_questions: of the step.
        seed: of the sampling.

    Raises:
        ValueError: fewer rooms or questions than that, or a model or adapter that cannot be loaded.
    """
    whole("questions", num_questions)
    rows = _spread(questions.rows)[:num_questions]
    if len({row["scene_name"] for row in rows}) < 2 or len(rows) < num_questions:
        raise ValueError(
            f"{len(rows)} questions about {len({row['scene_name'] for row in rows})} rooms: the probe needs "
            f"{num_questions} questions about two rooms or more, to show another room's clip; give more rooms"
        )
    start = None if adapter is None else Start(adapter)
    sizes: dict[str, Any] = {
        "questions_per_step": num_questions,
        "groups_per_pass": 1,
        "questions_per_clip": 1,
        "steps": 1,
    }
    if adapter is not None:
        own = read_config(Path(adapter))
        sizes |= {"lora_rank": own.r, "lora_alpha": int(own.lora_alpha)}
    profile, method, found = replace(profile, **sizes), GRPO(mode), Probed()
    check_start(start, False, profile)
    with tempfile.TemporaryDirectory() as scratch, without_renaming_warnings():
        dtype = None if profile.dtype is None else getattr(torch, profile.dtype)
        loaded = load_model(profile.model, profile.quantize, dtype=dtype, quiet=True)
        found.description = loaded.description
        config = method.config(profile, output_dir=scratch, seed=seed, disable_tqdm=True)
        trainer = method.trainer(profile, config, loaded, rows, questions.clips, recorder=_Kept(found))
        finish_trainer(trainer, start)
        trainer.remove_callback(PrinterCallback)
        trainer.token_records = _Look(found, wrong_clip_pairing({row["scene_name"]: None for row in rows}))
        with keep_dequantized(trainer.model):
            trainer.train()
    found.equal_share = next(line["frac_reward_zero_std"] for line in trainer.state.log_history if "loss" in line)
    found.groups = num_questions
    return found


def _spread(rows: Sequence[dict]) -> list[dict]:
    """Rows with the rooms in turn: each room's first question, then each room's second."""
    turn: Counter = Counter()
    placed = []
    for row in rows:
        placed.append((turn[row["scene_name"]], row))
        turn[row["scene_name"]] += 1
    return [row for _, row in sorted(placed, key=lambda own: own[0])]


class _Kept:
    """A recorder that keeps the step's completions."""

    def __init__(self, found: Probed) -> None:
        self.found = found

    def rollouts(self, rows: Sequence[dict]) -> None:
        self.found.completions += rows


class _Look:
    """Stands where a trainer's TokenRecords stands, and looks at each pass of the step."""

    def __init__(self, found: Probed, others: Mapping[str, str]) -> None:
        self.found, self.others = found, others

    def number(self, rows: Sequence[dict]) -> None:
        """Nothing is recorded."""

    def look(self, trainer, inputs: Mapping, scores: tuple[torch.Tensor, torch.Tensor]) -> None:
        """Compare the passes of a batch whose loss was just computed."""
        found, mask_BT, own = self.found, inputs["completion_mask"].bool(), inputs["encoded_prompts"]
        if not found.prompt:
            found.prompt, found.video_tokens = _shown(trainer, own[0])
        said = {"rollouts": inputs["rollout_logps"], "policy": scores[0], "reference": inputs["ref_per_token_logps"]}
        found.apart_N = _longer(found.apart_N, differences(said["rollouts"], said["policy"], mask_BT))
        kept = differences(said["policy"], said["reference"], mask_BT)
        found.from_reference_N = _longer(found.from_reference_N, kept)
        gpus = [trainer.accelerator.device] if trainer.accelerator.device.type == "cuda" else []
        with torch.no_grad(), torch.random.fork_rng(gpus):
            trainer._prompts = self._with_other_clips(trainer, inputs)
            changed = _all_passes(trainer, inputs)
            trainer._prompts = own
        for name in PASSES:
            more = differences(said[name], changed[name], mask_BT)
            found.changes[name] = _longer(found.changes[name], more)

    def _with_other_clips(self, trainer, inputs: Mapping) -> list[EncodedPrompt]:
        """The batch's prompts, row by row, each about another room's clip."""
        model, processor, made = trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class, {}
        for prompt, sampled in zip(inputs["encoded_prompts"], inputs["sampled"], strict=True):
            if prompt not in made:
                scene = sampled.row["scene_name"]
                clip = _of_shape(trainer.clips[self.others[scene]], trainer.clips[scene].shape)
                (features,) = trainer.features.encode(model, processor, [clip])
                made[prompt] = encode_prompt(model, processor, sampled.messages, features)
        return [made[prompt] for prompt in inputs["encoded_prompts"]]


def _of_shape(frames_FHW3: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A clip's frames and pixels picked so that it has another's shape: then the pixels alone are other."""
    picked = [
        np.linspace(0, have - 1, want).round().astype(int) for have, want in zip(frames_FHW3.shape, shape, strict=True)
    ]
    return frames_FHW3[np.ix_(*picked)]


def _all_passes(trainer, inputs: Mapping) -> dict[str, torch.Tensor]:
    """Log-probabilities (B, T) of a batch's completions after `trainer._prompts`, by pass."""
    ids_BT = inputs["completion_ids"]
    ids = torch.cat([inputs["prompt_ids"], ids_BT], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    model = trainer.accelerator.unwrap_model(trainer.model)
    policy, _, _ = trainer._get_per_token_logps_and_entropies(model, ids, mask, ids_BT.shape[1])
    with adapter_off(model):
        reference, _, _ = trainer._get_per_token_logps_and_entropies(model, ids, mask, ids_BT.shape[1])
    lengths = inputs["completion_mask"].sum(1).tolist()
    completions = [own[:length].tolist() for own, length in zip(ids_BT, lengths, strict=True)]
    rollouts = padded(_said_again(trainer, model, completions), ids_BT)
    return {"policy": policy, "reference": reference, "rollouts": rollouts}


def _said_again(trainer, model, completions: list[list[int]]) -> list[torch.Tensor] | None:
    """What the rollouts' own pass says of given completions, row by row; None where it cannot be told."""
    with SampledLogps(model, trainer.temperature) as seen, _forced(model, completions):
        ids, _ = trainer._generate_single_turn(None, None, None, trainer.num_generations)
    logps = seen.of(ids)
    if logps is None or [own[: len(told)] for own, told in zip(ids, completions, strict=True)] != completions:
        return None
    return [own[: len(told)] for own, told in zip(logps, completions, strict=True)]


@contextmanager
def _forced(model, completions: list[list[int]]) -> Iterator[None]:
    """Within it, sampling draws these tokens: after the logits were read, the wanted one is put above all others."""
    head, place = core_model(model).get_output_embeddings(), iter(range(max(map(len, completions))))

    def raise_wanted(module, args, logits):
        t = next(place, None)
        if t is None:
            return logits
        wanted = torch.tensor([[own[t] if t < len(own) else own[-1]] for own in completions], device=logits.device)
        raised = logits.clone()
        raised[:, -1].scatter_(-1, wanted, ABOVE)
        return raised

    hook = head.register_forward_hook(raise_wanted)
    try:
        yield
    finally:
        hook.remove()


def _shown(trainer, prompt: EncodedPrompt) -> tuple[str, tuple[int, int]]:
    """A prompt's text with its video tokens counted, how many there are, and how many its clip has."""
    config = core_model(trainer.accelerator.unwrap_model(trainer.model)).config
    count = int((prompt.ids_P == config.video_token_id).sum())
    text, pad = trainer.processing_class.tokenizer.decode(prompt.ids_P), trainer.processing_class.video_token
    shown = re.sub(f"(?:{re.escape(pad)})+", lambda run: f"{pad}×{len(run[0]) // len(pad)}", text)
    return shown, (count, 0 if prompt.features_VD is None else len(prompt.features_VD))


def _longer(values_N: torch.Tensor, more_M: torch.Tensor) -> torch.Tensor:
    return torch.cat([values_N, more_M.detach().float().cpu()])
