"""One question, many answers: drawn a part at a time, so that they fit into memory and can be stopped.

`draw_answers` is `generate` for a single row. All answers of a part share one reading of the clip and the prompt, as
the rollouts of a GRPO group do. The first part draws exactly what `predict` and `sample_group` draw for the same seed;
every further part has random numbers of its own. Stopping takes effect at the next token: a hook on the language model
raises `Stopped` inside the pass, so no loop of the kit needs to know of it, and the parts that were whole are kept.
Left out: several questions at once (`predict`), and recording (`evaluate.ask`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from vsr_kit import validation

MOST_ANSWERS = 512  # of one question: more are no clearer, and a slow model would never come to an end
AT_ONCE = 64  # answers that share one reading, as many sequences as `generate` decodes together
_ASKING = threading.Lock()  # two widgets may have one model, whose passes must not mix


class Stopped(Exception):
    """The user has stopped the answers that were under way."""


def check_drawing(num_samples, temperature, max_new_tokens, seed) -> None:
    """ValueError unless so many answers can be drawn; names the value, the rule and the remedy.

    Greedy answers are all the same, so temperature 0 goes with one answer alone.
    """
    validation.whole("n", num_samples, 1, MOST_ANSWERS, "for more answers ask again with another seed")
    if num_samples > 1 and temperature == 0:
        rule = "greedy answers are all the same: raise the temperature, or ask for one answer"
        raise ValueError(f"n is {num_samples} at temperature 0: {rule}")
    validation.drawing(max_new_tokens, temperature, num_samples, seed)


def draw_answers(
    loaded,
    row: dict,
    frames_FHW3: np.ndarray | None,
    *,
    mode: str = "vanilla",
    prompt_set: str = "eval",
    num_samples: int = 1,
    temperature: float = 0.0,
    max_new_tokens: int = 96,
    seed: int = 0,
    stop: threading.Event | None = None,
    on_part: Callable[[list], None] = lambda part: None,
) -> list:
    """Draw answers to one question.

    Args:
        loaded: from `load_model`.
        row: the question; `data.own_questions.own_row` makes one of a text.
        frames_FHW3: uint8 frames of its clip; None asks without video.
        mode, prompt_set, temperature, max_new_tokens, seed: as `generate` takes them.
        num_samples: how many answers, at most `MOST_ANSWERS`.
        stop: set from another thread, it ends the asking at the next token.
        on_part: called with the answers of each part as it is done.

    Returns:
        `generation.Generation`s in the order of drawing; fewer than asked for where it was stopped.

    Raises:
        ValueError: a setting that cannot be, before anything is asked; or not enough memory, which names the remedy.
    """
    check_drawing(num_samples, temperature, max_new_tokens, seed)
    from vsr_kit.generation import generate

    clips = None if frames_FHW3 is None else {row["scene_name"]: frames_FHW3}
    settings: dict[str, Any] = {
        "mode": mode,
        "prompt_set": prompt_set,
        "max_new_tokens": max_new_tokens,
        "temperature": temperature,
    }
    answers: list = []
    try:
        with one_at_a_time(), _stoppable(loaded, stop), _enough_memory(min(num_samples, AT_ONCE), max_new_tokens):
            for part, start in enumerate(range(0, num_samples, AT_ONCE)):
                asked = row if part == 0 else row | {"id": f"{row['id']}#{part}"}
                count = min(AT_ONCE, num_samples - start)
                (own,) = generate(loaded, [asked], clips, num_samples=count, seed=seed, **settings)
                answers += own
                on_part(own)
    except Stopped:
        pass
    return answers


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """While this is open, no other widget asks a model: what makes a pass fast changes the model while it lasts."""
    with _ASKING:
        yield


@contextmanager
def _stoppable(loaded, stop: threading.Event | None) -> Iterator[None]:
    """While this is open, the language model's next pass raises `Stopped` once `stop` is set."""
    if stop is None:
        yield
        return
    from vsr_kit.models.vision import core_model

    def check(module, args) -> None:
        if stop.is_set():
            raise Stopped

    hook = core_model(loaded.model).model.language_model.register_forward_pre_hook(check)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def _enough_memory(count: int, max_new_tokens: int) -> Iterator[None]:
    """Tell a lack of memory as what it is; PyTorch's own words are about bytes and allocators."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        words = str(error).lower()
        if not isinstance(error, MemoryError) and "out of memory" not in words and "not enough memory" not in words:
            raise
        rule = f"{count} answers of up to {max_new_tokens} tokens at once do not fit into the memory"
        raise ValueError(f"{rule}: ask for fewer answers (n), or shorter ones (max new tokens)") from error
