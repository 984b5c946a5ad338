"""How surely a model says that objects are in a clip: one number for each clip and prompt, from its first token.

Two readings make a number of the logits of an answer's first token:

    yes_no    "Is there a chair and a table in this room?": log p(yes) - log p(no)
    count     "How many chair(s) and table(s) are in this room?": log p(a digit above `absent`) - log p(one up to it)

`yes_no` is for models that were taught such questions. The miniature was not; it was taught counts, and no count below
two, so of things that are not there it says two, and `absent` is 2. A model that counts from nothing has `absent` 0.
A clip is read once for all of its prompts (`vsr_kit.sharing.prefill`), each of which costs its own few tokens.
Left out: answers whose first token is neither; their probability counts on no side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from vsr_kit.models.dequantized import keep_dequantized
from vsr_kit.models.loading import Loaded
from vsr_kit.models.vision import encode_clips
from vsr_kit.prompts import chat_messages
from vsr_kit.sharing import encode_prompt, prefill
from vsr_kit.validation import one_of, whole

READINGS = ("yes_no", "count")
_SPELLINGS = {"yes": ("Yes", "yes", " Yes", " yes"), "no": ("No", "no", " No", " no")}


def question_about(names: Sequence[str], reading: str) -> str:
    """The question whether these objects are there, in the words of a reading."""
    one_of("reading", reading, READINGS)
    *others, last = (f"{name}(s)" if reading == "count" else f"a {name}" for name in names)
    listed = f"{', '.join(others)} and {last}" if others else last
    return f"How many {listed} are in this room?" if reading == "count" else f"Is there {listed} in this room?"


def presence_scores(
    loaded: Loaded,
    clips: Mapping[str, np.ndarray],
    prompts: Sequence[Sequence[str]],
    reading: str = "yes_no",
    *,
    absent: int = 0,
    batch_size: int = 64,
) -> np.ndarray:
    """Score every prompt about every clip, (C, P): higher is surer that its objects are there.

    Args:
        loaded: any model of `load_model`.
        clips: by name, uint8 frames (F, H, W, 3); their order is that of the scores.
        prompts: for each, the names of objects that it holds.
        reading: one of READINGS.
        absent: of `count`: the highest count that says nothing is there.
        batch_size: prompts read together; changes nothing but time and memory.

    Raises:
        ValueError: another reading, or a tokenizer for which both answers begin with the same token.
    """
    processor: Any = loaded.processor
    for_it, against = _tokens(processor.tokenizer, reading, absent)
    rows = [_row(question_about(names, reading)) for names in prompts]
    found = np.empty((len(clips), len(prompts)))
    with torch.no_grad(), keep_dequantized(loaded.model):
        for c, frames in enumerate(clips.values()):
            (encoded,) = encode_clips(loaded.model, processor, [frames])
            asked = [encode_prompt(loaded.model, processor, chat_messages(row), encoded) for row in rows]
            for batch, read in prefill(loaded.model, asked, batch_size):
                logits = read.logits_NW.double()
                found[c, batch] = (logits[:, for_it].logsumexp(1) - logits[:, against].logsumexp(1)).cpu().numpy()
    return found


def _row(question: str) -> dict:
    return {"id": question, "question_type": "object_counting", "question": question, "options": None}


def _tokens(tokenizer, reading: str, absent: int) -> tuple[list[int], list[int]]:
    """First tokens of the answers that speak for a prompt, and of those that speak against it."""
    one_of("reading", reading, READINGS)
    whole("absent", absent, 0)
    if reading == "count" and absent > 8:
        raise ValueError(f"absent is {absent}: must be at most 8, since the first digit of a count is looked at")

    def first(texts) -> list[int]:
        return sorted({tokenizer(text, add_special_tokens=False)["input_ids"][0] for text in texts})

    if reading == "count":
        sides = first(map(str, range(absent + 1, 10))), first(map(str, range(absent + 1)))
    else:
        sides = first(_SPELLINGS["yes"]), first(_SPELLINGS["no"])
    if both := set(sides[0]) & set(sides[1]):
        told = tokenizer.decode([min(both)])
        raise ValueError(f"answers for and against begin with the same token {told!r}: take another reading")
    return sides
