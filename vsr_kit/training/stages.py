"""Settings that switch at given steps inside one run of GRPO, the optimiser kept.

The story: a schedule of a recipe (short answers first, then long ones; easy questions first; more rollouts at the end)
is a list of `joints.Stage`. What a stage does not name is as the run's configuration has it. Which stage a step is in
follows from the number of steps done alone, so a resumed run lands in the right one. A switch takes effect with the
next rollouts that are drawn.
Left out: conditions other than the step, and other trainers than GRPO's.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping, Sequence

import torch

from vsr_kit.training.joints import Stage


def number_of(stages: Sequence[Stage], step: int) -> int:
    """How many stages have begun once `step` optimiser steps are done: 0 before the first."""
    return sum(stage.from_step <= step for stage in stages)


def check_stages(stages: Sequence[Stage], reward_names: Sequence[str], rows: Sequence[Mapping], needed: int) -> None:
    """Complain about stages that no run can have, before a model is loaded.

    Args:
        stages: in their order.
        reward_names: of all reward functions, as TRL logs them.
        rows: of the training.
        needed: questions of a step.

    Raises:
        ValueError: a stage that begins no later than the one before, pays a reward that there is none of, or leaves
            fewer questions than a step needs.
    """
    for place, stage in enumerate(stages):
        if place and stage.from_step <= stages[place - 1].from_step:
            raise ValueError(
                f"stage {place + 1} begins at step {stage.from_step} and the one before at "
                f"{stages[place - 1].from_step}: name stages in the order of their steps"
            )
        if unknown := sorted(set(stage.rewards or {}) - set(reward_names)):
            raise ValueError(
                f"stage {place + 1} pays {unknown[0]!r}: the rewards are {', '.join(reward_names)}; name one of them"
            )
        if (left := sum(stage.asks(row) for row in rows)) < needed:
            raise ValueError(
                f"stage {place + 1} leaves {left} of {len(rows)} questions, a step needs {needed}: ask more loosely"
            )


def make_room(trainer, stages: Sequence[Stage]) -> None:
    """Let TRL's logs of a step hold the rollouts of the largest stage."""
    own = trainer.args.num_generations
    most = trainer.args.generation_batch_size * max([own, *(s.num_generations or own for s in stages)]) // own
    for name, kept in trainer._logs.items():
        room: deque | defaultdict = (
            deque(maxlen=most) if isinstance(kept, deque) else defaultdict(lambda: deque(maxlen=most))
        )
        trainer._logs[name] = room


def enter(trainer, stage: Stage | None) -> None:
    """Set a trainer to a stage; None for what its configuration says."""
    args, weights = trainer.args, dict(zip(trainer.reward_func_names, trainer.configured_weights, strict=True))
    wanted = {name: getattr(args, name) for name in Stage.SETTINGS}
    if stage is not None:
        wanted |= {name: getattr(stage, name) for name in Stage.SETTINGS if getattr(stage, name) is not None}
        weights |= stage.rewards or {}
    trainer.num_generations, trainer.temperature = wanted["num_generations"], wanted["temperature"]
    trainer.max_completion_length = wanted["max_completion_length"]
    sampling = {"max_new_tokens": wanted["max_completion_length"], "temperature": wanted["temperature"]}
    trainer.generation_kwargs |= sampling
    for name, value in sampling.items():
        setattr(trainer.generation_config, name, value)
    trainer.reward_weights = torch.tensor(list(weights.values()), dtype=torch.float32)
    _set_rate(trainer, wanted["learning_rate"])


def _set_rate(trainer, rate: float) -> None:
    """Another height of the same schedule, from the coming step on; the optimiser's memory stays."""
    schedule = getattr(trainer.lr_scheduler, "scheduler", trainer.lr_scheduler)
    if all(base == rate for base in schedule.base_lrs):
        return
    schedule.base_lrs = [rate for _ in schedule.base_lrs]
    now = [rate * shape(schedule.last_epoch) for shape in schedule.lr_lambdas]
    for group, own in zip(schedule.optimizer.param_groups, now, strict=True):
        group["initial_lr"], group["lr"] = rate, own
    schedule._last_lr = now
