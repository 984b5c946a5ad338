"""What is to be said about each token of a rollout: advantage, entropy, distance from the reference, grounding.

    advantage               how much better the rollout was than its group: the same for all of its tokens
    entropy                 of the policy's distribution where the token was chosen, in nats: 0 is no choice at all
    policy_minus_reference  log p(token) under the trained policy, minus the same under the reference model, in nats
    grounding               log p(token) with the room's clip, minus the same with another room's clip, in nats

Grounding asks of a single token what the score "another room's clip" asks of a whole answer. A token that the model
reads off the clip loses probability when the clip is another; one that follows from the question or from the words
before it stays as likely as it was. It is a property of model and token, not of their truth: a wrong number that was
read off the clip is grounded, too. Over tokens that the policy samples its mean estimates a KL divergence, from what
the model says of this clip to what it says of the other: below 0 only by chance, so what counts is where it is high.

Rollouts of one question share its prompt, and questions about one room share its clip, so all of them are scored in one
packed pass (`vsr_kit.sharing`), which equals a plain forward pass for each. A measure costs one such pass: entropy and
the policy's log-probabilities come from the same one, the reference and the other clip each take another.
Left out: recording while training (`training.token_records`), drawing (`plots.token_colours`), and masks of the loss,
which only a training knows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeGuard

import numpy as np
import torch

from vsr_kit.evaluation.baselines import wrong_clip_pairing
from vsr_kit.evaluation.token_texts import MEASURES, TokenMeasures, retokenized, token_texts
from vsr_kit.models.dequantized import keep_dequantized
from vsr_kit.models.feature_cache import FeatureStore
from vsr_kit.models.loading import Loaded
from vsr_kit.prompts import chat_messages
from vsr_kit.sharing import Scored, encode_prompt, give_scores, score
from vsr_kit.validation import one_of, real

_TOKENS_AT_ONCE = 4096  # of completions, in one packed pass


def token_measures(
    loaded: Loaded,
    rows: Sequence[Mapping],
    clips: Mapping[str, np.ndarray],
    *,
    mode: str | Sequence[str] = "vanilla",
    prompt_set: str = "train",
    measures: Sequence[str] | None = None,
    reference: Loaded | None = None,
    other_scenes: Mapping[str, str] | None = None,
    temperature: float = 1.0,
) -> list[TokenMeasures]:
    """Measure every token of some rollouts.

    Args:
        loaded: the policy, from `load_model` or `train`; the same weights that sampled the rollouts, or others.
        rows: with VSI-Bench's fields and the completion: its ids in `completion_ids` where they are known, otherwise
            its text in `completion` or `prediction`, of which ids are made again (see token_texts.py for what that may
            change; a row that says `truncated: False` gets its end token back). `advantage` where there is one.
        clips: scene_name to uint8 frames (F, H, W, 3), for every row's scene and the ones beside it.
        mode, prompt_set: how the rows were asked, as `generate` takes them.
        measures: names of `MEASURES`; None for all that can be taken of what is given.
        reference: another model; None for the policy with its adapter switched off.
        other_scenes: whose clip to measure grounding against, for each scene; None for `wrong_clip_pairing` of all
            clips.
        temperature: that the logits are divided by, as the rollouts were sampled.

    Returns:
        One for each row, in order. A row whose tokens cannot be known has none, and a `reason`.

    Raises:
        ValueError: a measure that does not exist, or that cannot be taken of what is given; a scene without a clip.
    """
    real("temperature", temperature, above=True)
    processor: Any = loaded.processor
    model, tokenizer = loaded.model, processor.tokenizer
    modes = [mode] * len(rows) if isinstance(mode, str) else list(mode)
    if len(modes) != len(rows):
        raise ValueError(f"{len(modes)} modes for {len(rows)} rows: give one mode, or one for each row")
    if other_scenes is None and len(clips) > 1:
        other_scenes = wrong_clip_pairing(clips)
    chosen = _chosen(measures, rows, model, reference, other_scenes)
    known = [_ids_of(row, tokenizer) for row in rows]
    asked = [
        _Asked(i, row["scene_name"], chat_messages(row, own, prompt_set), ids)
        for i, (row, own, (ids, _)) in enumerate(zip(rows, modes, known, strict=True))
        if ids
    ]
    values = _values(loaded, asked, clips, chosen, reference, other_scenes or {}, temperature)
    for one in asked:
        if "advantage" in chosen and _is_number(advantage := rows[one.row].get("advantage")):
            values[one.row]["advantage"] = (float(advantage),) * len(one.ids)
    found = []
    for i, (row, (ids, reason)) in enumerate(zip(rows, known, strict=True)):
        texts, specials = token_texts(tokenizer, ids)
        other = (other_scenes or {}).get(row["scene_name"], "") if "grounding" in values.get(i, {}) else ""
        ordered = {name: values[i][name] for name in MEASURES if name in values.get(i, {})}
        found.append(TokenMeasures(tuple(texts), tuple(specials), ordered, other, reason))
    return found


@dataclass(frozen=True, eq=False)
class _Asked:
    """A rollout to score: its place among the rows, the clip and conversation before it, its ids."""

    row: int
    scene: str
    messages: list[dict]
    ids: list[int]


def _chosen(measures, rows, model, reference, other_scenes) -> list[str]:
    """The measures to take; those asked for, or all that are possible."""
    lacking = {}
    if not any(_is_number(row.get("advantage")) for row in rows):
        lacking["advantage"] = "no row has an `advantage`: give rollouts of a training"
    if reference is None and not hasattr(model, "peft_config"):
        lacking["policy_minus_reference"] = "the model has no adapter to switch off: give reference=load_model(...)"
    if other_scenes is None:
        lacking["grounding"] = "there is no other room's clip: give the clips of at least two rooms"
    if measures is None:
        return [name for name in MEASURES if name not in lacking]
    for name in measures:
        one_of("measures", name, MEASURES)
        if name in lacking and rows:
            raise ValueError(f"{name} cannot be measured: {lacking[name]}")
    return list(measures)


def _ids_of(row: Mapping, tokenizer) -> tuple[list[int], str]:
    """A row's ids, or why it has none."""
    if row.get("completion_ids") is not None:
        return [int(i) for i in row["completion_ids"]], ""
    text = row.get("completion") if row.get("completion") is not None else row.get("prediction")
    if text is None:
        return [], "it has no text: give `completion_ids`, `completion` or `prediction`"
    try:
        ids = retokenized(tokenizer, str(text))
    except ValueError as why:
        return [], str(why)
    return ids + [tokenizer.eos_token_id] * (row.get("truncated") is False), ""


def _values(loaded, asked, clips, chosen, reference, other_scenes, temperature) -> dict[int, dict[str, tuple]]:
    """By row, the measures for which the model is asked."""
    made: dict[int, dict[str, tuple]] = {one.row: {} for one in asked}
    if not asked or not {"entropy", "policy_minus_reference", "grounding"} & set(chosen):
        return made
    how = {"clips": clips, "temperature": temperature, "features": FeatureStore()}
    own = _scores(loaded, asked, with_entropy="entropy" in chosen, **how)
    if "entropy" in chosen:
        for i, scored in own.items():
            made[i]["entropy"] = () if scored.entropies_T is None else tuple(scored.entropies_T.tolist())
    compared = {}
    if "policy_minus_reference" in chosen:
        with adapter_off(loaded.model) if reference is None else nullcontext():
            compared["policy_minus_reference"] = _scores(loaded if reference is None else reference, asked, **how)
    if "grounding" in chosen:
        compared["grounding"] = _scores(loaded, asked, shown=other_scenes, **how)
    for name, other in compared.items():
        for i, scored in own.items():
            made[i][name] = tuple((scored.logps_T.double() - other[i].logps_T.double()).tolist())
    return made


@torch.no_grad()
def _scores(
    loaded, asked, *, clips, temperature, features, shown=MappingProxyType({}), with_entropy=False
) -> dict[int, Scored]:
    """Every rollout's scores, those about one clip together; `shown`: whose clip a scene is shown, if not its own."""
    model, processor = loaded.model, loaded.processor
    give_scores(model)
    found: dict[int, Scored] = {}
    with keep_dequantized(model):
        for scene in dict.fromkeys(one.scene for one in asked):
            if (clip := clips.get(shown.get(scene, scene))) is None:
                raise ValueError(f"no clip for scene {shown.get(scene, scene)!r}: `clips` must hold its frames")
            (encoded,) = features.encode(model, processor, [clip])
            for part in _parts([one for one in asked if one.scene == scene]):
                prompts = [encode_prompt(model, processor, own[0].messages, encoded) for own in part]
                ids = [[torch.tensor(one.ids, device=prompts[0].ids_P.device) for one in own] for own in part]
                scored = score(model, prompts, ids, temperature, with_entropy)
                found |= zip((one.row for one in sum(part, [])), sum(scored, []), strict=True)
    return found


def _parts(asked: list[_Asked]) -> Iterator[list[list[_Asked]]]:
    """Rollouts about one clip, those of a question together, in parts that fit into a pass."""
    questions: dict[str, list[_Asked]] = {}
    for one in asked:
        questions.setdefault(repr(one.messages), []).append(one)
    part: list[list[_Asked]] = []
    for own in questions.values():
        if part and sum(len(one.ids) for other in [*part, own] for one in other) > _TOKENS_AT_ONCE:
            yield part
            part = []
        part.append(own)
    yield part


@contextmanager
def adapter_off(model) -> Iterator[None]:
    """Within it, a model in a PEFT wrapper computes without its adapter; afterwards everything is as it was.

    PEFT's own leaves frozen weights of the adapter trainable behind it.
    """
    trained = [(weight, weight.requires_grad) for weight in model.parameters()]
    try:
        with model.disable_adapter():
            yield
    finally:
        for weight, before in trained:
            weight.requires_grad_(before)


def _is_number(value) -> TypeGuard[float]:
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)
