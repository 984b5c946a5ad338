"""Asking a model and keeping nothing: rows with their predictions, and one group of rollouts as GRPO samples it.

`predict` asks questions about their own clips, about other rooms' (`mismatched_clips`, the baseline that tells looking
from guessing), or without video. `sample_group` samples one question several times and adds rewards and advantages.
Left out: recording answers so that a killed evaluation goes on (`ask`, evaluate.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from vsr_kit.evaluation.baselines import wrong_clip_pairing
from vsr_kit.rewards import make_reward_funcs

CLIPS = ("own", "wrong", "none")
TOKEN_CAP = 96  # one cap for every mode: generous for a number, enough for nearly every chain
CAP_WITHOUT_CHAIN = 16  # of a training completion in vanilla mode


class MismatchedClips(Mapping[str, np.ndarray]):
    """Every scene with another scene's clip, by evaluation.wrong_clip_pairing; each is read when it is asked for.

    Args:
        clips: of the scenes.
        seed: of the pairing.
    """

    def __init__(self, clips: Mapping[str, np.ndarray], seed: int = 0) -> None:
        self._clips, self._other = clips, wrong_clip_pairing(clips, seed)

    def __getitem__(self, scene_name: str) -> np.ndarray:
        return self._clips[self._other[scene_name]]

    def __contains__(self, scene_name: object) -> bool:
        return scene_name in self._other  # Mapping's own would read the clip

    def __iter__(self) -> Iterator[str]:
        return iter(self._other)

    def __len__(self) -> int:
        return len(self._other)

    def ahead(self, scene_names: Iterable[str]) -> None:
        """Begin to read the clips that these scenes will be shown, where they lie on disk (`data.ClipFolder`)."""
        if (begin := getattr(self._clips, "ahead", None)) is not None:
            begin([self._other[name] for name in scene_names])


def mismatched_clips(clips: Mapping[str, np.ndarray], seed: int = 0) -> MismatchedClips:
    """Every scene with another scene's clip, read one after the other; all at once they may not fit into memory."""
    return MismatchedClips(clips, seed)


def predict(
    loaded,
    questions,
    mode: str = "vanilla",
    *,
    clips: Mapping[str, np.ndarray] | None = None,
    clip: str = "own",
    prompt_set: str = "eval",
    max_new_tokens: int = TOKEN_CAP,
    temperature: float = 0.0,
    num_samples: int = 1,
    seed: int = 0,
) -> list[dict]:
    """Ask every question and return the rows with their answers, ready to be scored.

    Args:
        loaded: from `load_model`.
        questions: rows with VSI-Bench's fields and `clips` beside them, or anything with `rows` and `clips`.
        mode: vanilla, think or observe.
        clips: scene_name to uint8 frames (F, H, W, 3), where `questions` is a list of rows.
        clip: `own`, `wrong` (every room is shown another room's clip) or `none`.
        prompt_set: the paper's `eval` prompts, or those of its training, `train`.
        max_new_tokens, temperature, num_samples, seed: as `generate` takes them.

    Returns:
        The row with `prediction`, `mode`, `sample`, `num_tokens` and `truncated`, for each row and sample in order.

    Raises:
        ValueError: for an unknown `clip`, or a setting that `generate` refuses.
    """
    from vsr_kit.generation import generate

    rows = getattr(questions, "rows", questions)
    own = getattr(questions, "clips", clips) if clips is None else clips
    answers = generate(
        loaded,
        rows,
        shown_clips(own, clip),
        mode=mode,
        prompt_set=prompt_set,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        num_samples=num_samples,
        seed=seed,
    )
    return [row for asked, group in zip(rows, answers, strict=True) for row in answered_rows(asked, mode, group)]


def answered_rows(row: Mapping, mode: str, group: Sequence) -> list[dict]:
    """A row with each of its sampled answers: `prediction`, `mode`, `sample`, `num_tokens`, `truncated`."""
    return [
        {**row, "mode": mode, "sample": sample, "prediction": own.text, "num_tokens": own.num_tokens}
        | {"truncated": own.truncated}
        for sample, own in enumerate(group)
    ]


def shown_clips(clips: Mapping[str, np.ndarray] | None, which: str) -> Mapping[str, np.ndarray] | None:
    """What every room is shown: its own clip, another room's (always the same one), or none.

    Raises:
        ValueError: for another word than `own`, `wrong` and `none`, or for `wrong` with fewer than two rooms.
    """
    if which not in CLIPS:
        raise ValueError(f"clip is {which!r}: choose one of {', '.join(CLIPS)}")
    if which == "none" or clips is None:
        return None
    return clips if which == "own" else mismatched_clips(clips)


def sample_group(
    loaded,
    row: dict,
    clips: Mapping[str, np.ndarray],
    *,
    num_generations: int = 8,
    mode: str = "vanilla",
    max_new_tokens: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    numeric: str = "paper",
) -> list[dict]:
    """One GRPO group as a training step samples it: the training prompt, rewards, advantages.

    Args:
        loaded, clips: as `predict` takes them.
        row: the question.
        num_generations: G, completions of the group, at least 2.
        mode: vanilla earns accuracy alone, think and observe format as well.
        max_new_tokens: cap of a completion; 16 without a chain, 96 with one.
        temperature, seed: of the sampling.
        numeric: how numbers are rewarded, a name of `rewards.NUMERIC_REWARDS`.

    Returns:
        G rows with the question's fields, `completion`, `rewards` (by the reward functions' names) and `advantage`, as
        `plots.group_figure` draws them.
    """
    from vsr_kit.generation import generate
    from vsr_kit.losses import group_advantages

    cap = max_new_tokens or (CAP_WITHOUT_CHAIN if mode == "vanilla" else TOKEN_CAP)
    (group,) = generate(
        loaded,
        [row],
        clips,
        mode=mode,
        prompt_set="train",
        max_new_tokens=cap,
        temperature=temperature,
        num_samples=num_generations,
        seed=seed,
    )
    functions = make_reward_funcs(mode, numeric)
    columns = {name: [value] * len(group) for name, value in row.items()}
    paid = {f.__name__: f([own.text for own in group], **columns) for f in functions}
    advantages = group_advantages([[sum(terms) for terms in zip(*paid.values(), strict=True)]])[0].tolist()
    return [
        {**row, "completion": own.text, "rewards": {name: values[g] for name, values in paid.items()}}
        | {"advantage": advantages[g]}
        for g, own in enumerate(group)
    ]
