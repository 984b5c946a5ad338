"""Measurements behind each claim: paired differences of answers, and counts of runs whose curves show an effect.

There is one small function per claim, from a study's folder to named findings, to which the claim's own rule is then
applied. A claim is measured on the runs that exist, and the findings say how many they are.
Left out: claims that cannot be measured here (their verdict is *not testable here*).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vsr_kit.claims import Count, Finding
from vsr_kit.evaluation import difference
from vsr_kit.recipes.vsgrpo import COLLAPSE_FALL, COLLAPSE_WINDOW, FORMAT_AT_ONCE, HABIT_SHARE, LAST_STEPS
from vsr_kit.study.answers import (
    condition_answers,
    mode_answers,
    run_curves,
    run_summaries,
    study_folder,
    trained_answers,
    variant_answers,
)
from vsr_kit.study.conditions import Condition, pairs_path
from vsr_kit.study.labels import centre_ceiling, read_pairs
from vsr_kit.study.variants import HELD_OUT_SET, ORDER_SET
from vsr_kit.training.collapse import collapsed, running_mean

Folder = Path | str | None
Findings = dict[str, Finding]
KEPT_SHARE = 0.1  # of rollouts that may be empty or repeat, where a run is said to keep its thoughts
_RISE = 0.9
_PAID = ("format_reward", "accuracy_reward")


def _prompts(folder: Folder) -> Findings:
    answers = mode_answers(folder)
    return {mode: difference(answers[mode], answers["vanilla"], task="trained") for mode in ("think", "observe")}


def _lift(folder: Folder) -> Findings:
    answers = trained_answers(folder)
    return {"grpo_minus_base": difference(answers.own, answers.base, task="trained")}


def _looking(folder: Folder) -> Findings:
    return {"gap_growth": trained_answers(folder).gap_growth["trained"]}


def _between(name: str, a: str, b: str, task: str = "trained") -> Callable[[Folder], Findings]:
    """Variant a minus variant b, each asked in its own mode."""

    def measure(folder: Folder) -> Findings:
        return {name: difference(variant_answers(a, folder), variant_answers(b, folder), task=task)}

    return measure


def _all_of(*parts: Callable[[Folder], Findings]) -> Callable[[Folder], Findings]:
    def measure(folder: Folder) -> Findings:
        return {name: found for part in parts for name, found in part(folder).items()}

    return measure


def _held_out(name: str, task: str, questions: str) -> Callable[[Folder], Findings]:
    """GRPO-V minus base on a task that nobody trained."""

    def measure(folder: Folder) -> Findings:
        after = variant_answers("grpo-vanilla", folder, questions)
        return {name: difference(after, condition_answers(Condition(questions), folder), task=task)}

    return measure


def reward_curve(rows: Sequence[Mapping], name: str) -> list[float]:
    """A run's mean reward of one kind, or a detector's share, step by step."""
    key = f"rewards/{name}/mean"
    return [row[key] for row in rows if row.get(key) is not None]


def _curves(of: str, folder: Folder) -> list[list[dict]]:
    curves = run_curves(folder, of)
    if not curves:
        raise FileNotFoundError(f"{study_folder(folder)} holds no runs of {of}; vsr reproduce makes them")
    return curves


def _counted(of: str, folder: Folder, shows: Callable[[Sequence[Mapping]], bool]) -> Count:
    """How many runs of a variant have logs that show something."""
    curves = _curves(of, folder)
    return Count(sum(map(shows, curves)), len(curves))


def _collapses(of: str, folder: Folder) -> Count:
    """How many runs of a variant fell for good, or were stopped by a number that is none."""
    runs = zip(_curves(of, folder), run_summaries(folder, of), strict=True)
    down = [
        number_broke(summary)
        or any(collapsed(reward_curve(rows, name), COLLAPSE_WINDOW, COLLAPSE_FALL) for name in _PAID)
        for rows, summary in runs
    ]
    return Count(sum(down), len(down))


def number_broke(summary: Mapping) -> bool:
    """Whether a run was stopped by a loss, gradient, KL or weight that is no finite number.

    `callbacks.StopWhenBroken` also ends a run whose KL is finite and stays high; of that its curves tell.
    """
    return "not finite" in (summary.get("stopped") or "")


def _kl(folder: Folder) -> Findings:
    return {"collapsed_at_0": _collapses("kl-0", folder), "collapsed_at_1e-4": _collapses("grpo-think", folder)}


def _kl_long(folder: Folder) -> Findings:
    return {"collapsed_at_0_in_720_steps": _collapses("kl-0-long", folder)}


def _habit(*detectors: str, at_least: float = HABIT_SHARE) -> Callable[[Sequence[Mapping]], bool]:
    """Whether one of the detectors marks so large a share of the rollouts of a run's last steps.

    What is returned raises ValueError for a log without the detectors: nothing counted is not nothing there.
    """

    def shows(rows: Sequence[Mapping]) -> bool:
        shares = {name: reward_curve(rows, name)[-LAST_STEPS:] for name in detectors}
        for name, values in shares.items():
            if len(values) < LAST_STEPS:
                raise ValueError(
                    f"a log has {len(values)} steps with rewards/{name}/mean and the claim looks at the last "
                    f"{LAST_STEPS}: train with it (vsr train --detector {name}), for as many steps at least"
                )
        return any(np.mean(values) >= at_least for values in shares.values())

    return shows


def _empty(folder: Folder) -> Findings:
    return {"runs_with_empty_thoughts": _counted("grpo-think", folder, _habit("empty_thought"))}


def _length(folder: Folder) -> Findings:
    return {
        "runs_with_repeated_tags": _counted("length", folder, _habit("repeated_tags")),
        "runs_padded_with_words": _counted("length", folder, _habit("repeated_words")),
    }


def _thoughts_kept(folder: Folder) -> Findings:
    spoilt = _habit("empty_thought", "repeated_tags", "repeated_words", at_least=KEPT_SHARE)
    return {"runs_that_keep_thoughts": _counted("thought", folder, lambda rows: not spoilt(rows))}


def _format(folder: Folder) -> Findings:
    counts = {name: Count(0, 0) for name in ("format_from_the_start", "format_first")}
    for of in ("grpo-think", "grpo-observe"):
        for name, shows in (("format_from_the_start", _starts_with_format), ("format_first", _learns_format_first)):
            more = _counted(of, folder, shows)
            counts[name] = Count(counts[name].k + more.k, counts[name].of + more.of)
    return counts


def _starts_with_format(rows: Sequence[Mapping]) -> bool:
    return bool(np.mean(reward_curve(rows, "format_reward")[:COLLAPSE_WINDOW]) >= FORMAT_AT_ONCE)


def _learns_format_first(rows: Sequence[Mapping]) -> bool:
    form, accuracy = (_steps_to_rise(reward_curve(rows, name)) for name in _PAID)
    return form is not None and accuracy is not None and form <= accuracy / 2


def _steps_to_rise(values: Sequence[float]) -> int | None:
    """Steps until the running mean has made nine tenths of its way to its best; None where it never rises."""
    means = running_mean(values, COLLAPSE_WINDOW)
    if not len(means) or max(means) <= means[0]:
        return None
    return next(i for i, mean in enumerate(means) if mean >= means[0] + _RISE * (max(means) - means[0]))


def _ceiling(folder: Folder) -> Findings:
    path = pairs_path(study_folder(folder))
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there; vsr reproduce --geometry FILE measures the geometry's pairs")
    apart = [pair for pair in read_pairs(path) if not pair.touching]
    return {"perfect_centre_answers": replace(centre_ceiling(apart), datasets=("arkitscenes",))}


_DIRECTION = "object_rel_direction"
MEASURED: dict[str, Callable[[Folder], Findings]] = {
    "cot-prompts-do-not-help": _prompts,
    "grpo-lifts": _lift,
    "grpo-teaches-looking": _looking,
    "grpo-beats-sft": _between("grpo_minus_sft", "grpo-vanilla", "sft"),
    "sft-beats-dpo": _between("sft_minus_dpo", "sft", "dpo-corrupted"),
    "corrupted-answers-hold-dpo-back": _between("rollout_pairs_minus_corrupted", "dpo-rollouts", "dpo-corrupted"),
    "kl-prevents-collapse": _kl,
    "format-first": _format,
    "thoughts-become-empty": _empty,
    "length-reward-is-gamed": _length,
    "vanilla-beats-chains": _all_of(
        _between("vanilla_minus_think", "grpo-vanilla", "grpo-think"),
        _between("vanilla_minus_observe", "grpo-vanilla", "grpo-observe"),
    ),
    "chains-win-on-direction": _all_of(
        _between("think_minus_vanilla", "grpo-think", "grpo-vanilla", _DIRECTION),
        _between("observe_minus_vanilla", "grpo-observe", "grpo-vanilla", _DIRECTION),
    ),
    "route-planning-improves": _held_out("route_planning", "route_planning", HELD_OUT_SET),
    "appearance-order-does-not": _held_out("appearance_order", "obj_appearance_order", ORDER_SET),
    "small-model-beats-gpt-4o": lambda folder: {},
    "seven-billion-near-72b": lambda folder: {},
    "centre-labels-cap-distance": _ceiling,
    "closest-labels-help": _between("closest_minus_centre", "labels-closest", "grpo-vanilla", "object_abs_distance"),
    "words-or-letters": _between("letters_minus_words", "labels-letters", "grpo-vanilla", "object_rel_distance"),
    "metric-as-reward-helps": _between("mra_minus_paper", "reward-mra", "grpo-vanilla"),
    "thought-reward-is-not-gamed": _thoughts_kept,
    "longer-without-kl-collapses": _kl_long,
}
