"""Acceptance of a cold start: does it look, copy, calculate and keep the form, measured before anyone asks if it pays.

Four rules, fixed in advance. *Places*: asked where objects of validation rooms stand, it is no farther off than its
base. *Copying* and *arithmetic*: in texts with names and numbers that no training showed, it fetches stated places
exactly and its differences are right to a decimal. *Form*: its thinking answers can be read. None of them looks at
whether thinking makes an answer better; that is what the study asks afterwards, on other rooms.
Left out: anything about test rooms.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vsr_kit.bridging.chains import difference, read_chain
from vsr_kit.bridging.quality import STEP_RIGHT_M, check_steps
from vsr_kit.evaluation import score
from vsr_kit.evaluation.predictions import predict
from vsr_kit.generation import decode, greedy
from vsr_kit.miniature.text_lessons import HELD_OUT_NAMES, text_lesson
from vsr_kit.models.loading import Loaded, load_model
from vsr_kit.models.vision import encode_clips
from vsr_kit.rooms import CATEGORIES, Room, room_position
from vsr_kit.sharing.packing import EncodedPrompt, encode_prompt
from vsr_kit.sharing.prefill import prefill
from vsr_kit.study.acceptance import LEAST_PARSE_RATE, Rule
from vsr_kit.study.question_sets import QuestionSet, procedural_questions

LEAST_COPIED, LEAST_RIGHT = 98.0, 90.0
CHAIN_CAP = 512  # tokens of a chain; the longest of the cold start's lessons have about 450
TEXTS = 128
_HEAD = re.compile(r" from [^:,.]+ to [^:,.]+:")
_SLACK_M = 1e-6  # of floats
_STEP_CAP = 72  # tokens of a step of two long names
_BATCH = 64


def accept_cold_start(
    checkpoint: str | Path, base: str | Path = "mini", questions: QuestionSet | None = None
) -> list[Rule]:
    """Measure all rules, greedily; the rule about places has the base's error as its limit, negated to be a least.

    Args:
        checkpoint: the candidate.
        base: what it was made from.
        questions: validation questions in VSI-100k's words by default.
    """
    questions = questions or procedural_questions("val", "vsi-100k")
    started, made = load_model(base, quiet=True), load_model(checkpoint, quiet=True)
    rooms = rooms_of(questions)
    off = {name: place_errors(loaded, questions, rooms) for name, loaded in (("base", started), ("own", made))}
    own, before = (float(np.median(off[name])) for name in ("own", "base"))
    told, known = (_told_steps(made, TEXTS, 99, names) for names in (HELD_OUT_NAMES, CATEGORIES))
    copied = _share([same for step in told for same in step.copied])
    apart = _share([near for step in told for near in step.differences])
    whole, ours = _share([step.right for step in told])[0], _share([same for step in known for same in step.copied])[0]
    answers = predict(made, questions, "think", prompt_set="train", max_new_tokens=CHAIN_CAP)
    cut = 100 * sum(row["truncated"] for row in answers) / len(answers)
    rate = 100 * score(answers, "lenient").parse_rate
    return [
        Rule("places, minus the median error in cm", -100 * own, -100 * before, f"{len(off['own'])} objects"),
        Rule(
            "copying, operands fetched exactly",
            copied[0],
            LEAST_COPIED,
            f"{copied[1]} of names that no lesson had; of rooms' names {ours:.1f}",
        ),
        Rule(
            "arithmetic, differences right to 0.1 m",
            apart[0],
            LEAST_RIGHT,
            f"{apart[1]} of them; {whole:.1f} of steps whole, with distance and bearing",
        ),
        Rule("parse rate, think", rate, LEAST_PARSE_RATE, f"{cut:.1f} % cut off at {CHAIN_CAP} tokens"),
    ]


def rooms_of(questions: QuestionSet) -> dict[str, Room]:
    """The procedural rooms of a set, by scene name."""
    from vsr_kit.data import split_rooms
    from vsr_kit.study.question_sets import ROOMS

    split = questions.name.split("-")[0]
    return {room.name: room for room in split_rooms(ROOMS[split], split) if room.name in questions.clips}


def place_errors(loaded: Loaded, questions: QuestionSet, rooms: dict[str, Room]) -> list[float]:
    """How far from its place each object is said to be that occurs once and is asked about, in metres; inf unread."""
    found = []
    for scene, room in rooms.items():
        named = {name for row in questions.rows if row["scene_name"] == scene for name in row["objects"]}
        unique = sorted(named & set(room.unique))
        if not unique:
            continue
        clip = encode_clips(loaded.model, loaded.processor, [questions.clips[scene]])[0]
        chats = [_chat(f"Where is each {name}?") for name in unique]
        said = _said(loaded, [encode_prompt(loaded.model, loaded.processor, chat, clip) for chat in chats], 48)
        for name, text in zip(unique, said, strict=True):
            spot = room_position(room, room.unique[name].center)
            stated = read_chain(text + ".").place_of.get(name)
            found.append(math.inf if stated is None else math.dist(stated, spot))
    return found


def _chat(text: str, clip: bool = True) -> list[dict]:
    video = [{"type": "video"}] if clip else []
    return [{"role": "user", "content": [*video, {"type": "text", "text": text}]}]


def _said(loaded: Loaded, prompts: Sequence[EncodedPrompt], cap: int) -> list[str]:
    """Greedy replies to prompts that are encoded already."""
    tokenizer: Any = loaded.processor.tokenizer  # type: ignore[attr-defined]
    texts = [""] * len(prompts)
    for batch, reading in prefill(loaded.model, list(prompts), _BATCH, 1):
        ids = decode(loaded, reading, torch.tensor(batch), cap, greedy)
        for i, own in zip(batch, ids, strict=True):
            texts[i] = tokenizer.decode(own, skip_special_tokens=True)
    return texts


def text_shares(
    loaded: Loaded, texts: int = TEXTS, seed: int = 99, names: Sequence[str] = HELD_OUT_NAMES
) -> tuple[tuple[float, int], tuple[float, int]]:
    """Operands fetched and steps right, in per cent with their numbers, in texts of names that no lesson had.

    Given are the places and the head of a step, ` from a to b:`, so that what has to be fetched is settled; the model
    says the rest of it. A step that is not written in full is wrong, in both its operands, too.
    """
    told = _told_steps(loaded, texts, seed, names)
    return _share([same for step in told for same in step.copied]), _share([step.right for step in told])


@dataclass(frozen=True)
class _Told:
    """A step that was said: which operands repeat their places, which differences are right, whether all of it is."""

    copied: tuple[bool, bool]
    differences: tuple[bool, bool]
    right: bool


def _told_steps(loaded: Loaded, texts: int, seed: int, names: Sequence[str]) -> list[_Told]:
    rng = np.random.default_rng(seed)
    lessons = [text_lesson("steps", rng, names) for _ in range(texts)]
    heads = [(lesson, head) for lesson in lessons for head in _HEAD.findall(lesson.reply)]
    said = _said(loaded, [_begun(loaded, lesson.user, lesson.given + head) for lesson, head in heads], _STEP_CAP)
    return [_checked(lesson.given + head + text) for (lesson, head), text in zip(heads, said, strict=True)]


def _checked(text: str) -> _Told:
    """The first step of a text, checked."""
    chain = read_chain(text)
    copied, right = check_steps(chain)
    if not chain.steps or len(copied) < 2:
        return _Told((False, False), (False, False), False)
    step = chain.steps[0]
    true = difference(step.from_place, step.to_place)
    east, north = (abs(a - b) <= STEP_RIGHT_M + _SLACK_M for a, b in zip(true, step.way, strict=True))
    return _Told((copied[0], copied[1]), (east, north), right[0])


def _share(found: Sequence[bool]) -> tuple[float, int]:
    return 100 * float(np.mean(found)), len(found)


def _begun(loaded: Loaded, user: str, given: str) -> EncodedPrompt:
    """A question with the beginning of its reply."""
    tokenizer: Any = loaded.processor.tokenizer  # type: ignore[attr-defined]
    asked = encode_prompt(loaded.model, loaded.processor, _chat(user, clip=False), None)
    ids = torch.tensor(tokenizer(given)["input_ids"])
    positions = asked.next_position + torch.arange(len(ids)).expand(3, -1)
    return replace(
        asked,
        ids_P=torch.cat([asked.ids_P, ids]),
        positions_3P=torch.cat([asked.positions_3P, positions], 1),
        next_position=asked.next_position + len(ids),
    )
