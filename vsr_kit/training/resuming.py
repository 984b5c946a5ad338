"""Where a training starts: at its first step, or from the last checkpoint of the same run.

A run folder that is resumed is first compared with what the training would be (runs/identity.py), before anything is
written. The run then continues after its last complete checkpoint (runs/checkpoints.py). If that is the run's last
step, or its time was up there, no more training takes place: the weights are loaded into the model and the run is
finished.
Left out: choosing an older checkpoint.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from transformers import TrainerState

from vsr_kit.files import read_json
from vsr_kit.paths import checkpoint_of
from vsr_kit.runs.attempts import UNFINISHED
from vsr_kit.runs.checkpoints import check_trainer_checkpoint
from vsr_kit.runs.identity import clips_identity, rows_identity, same_run
from vsr_kit.runs.provenance import checkpoint_identity
from vsr_kit.training.callbacks import spent_of
from vsr_kit.training.methods import Method
from vsr_kit.training.profiles import Profile

_LABELS = ("name", "about")  # of a profile: they change no result


@dataclass(frozen=True)
class Begun:
    """Where a training begins.

    Attributes:
        checkpoint: folder of the checkpoint, None at the first step.
        step: of the checkpoint, 0 without.
        spent: seconds of training behind it.
        max_steps: what the run that wrote it was to have.
        resumed: whether an earlier attempt is gone on with.
    """

    checkpoint: str | None = None
    step: int = 0
    spent: float = 0.0
    max_steps: int = 0
    resumed: bool = False

    def is_over(self, max_steps: int, seconds: float | None) -> bool:
        """Whether the run had come to its end there: by its steps, or by its seconds."""
        last = max_steps if max_steps > 0 else self.max_steps
        return self.checkpoint is not None and (self.step >= last or (seconds is not None and self.spent > seconds))


def begin(run, resume: bool, identity: Callable[[], dict]) -> Begun:
    """Decide where a training with this folder begins.

    Args:
        run: a runs.RunFolder, or None.
        resume: whether to go on with what is there.
        identity: makes what the training would be, see `identity_of`.

    Raises:
        ValueError: a folder to resume is missing, was begun otherwise, holds steps and is not to be resumed, or its
            last checkpoint is not whole.
    """
    if run is None:
        if resume:
            raise ValueError("resume=True needs the run folder to go on with: pass run=RunFolder.resume(path)")
        return Begun()
    checkpoint = run.last_checkpoint()
    steps = [row["step"] for row in run.read_metrics() if row.get("step") is not None]
    held = bool(steps) or checkpoint is not None or bool(run.read_rollouts())
    if held and not resume:
        raise ValueError(
            f"{run.path} holds {int(max(steps, default=0))} steps already, and what was sampled for them: pass "
            "resume=True to go on, or a new folder, RunFolder.create(name)"
        )
    if resume and checkpoint is not None:
        check_trainer_checkpoint(checkpoint)
    if run.attempt is not None:
        missing = same_run(run, identity(), held)
        if missing and run.status == UNFINISHED:
            told = f"{run.path} was begun by an earlier version, which did not record {', '.join(missing)}"
            print(f"{told}: not compared", file=sys.stderr)
    if not resume:
        return Begun()
    if checkpoint is None:
        return Begun(resumed=held or run.attempt != 1)
    state = read_json(checkpoint / "trainer_state.json")
    return Begun(str(checkpoint), int(checkpoint.name.split("-")[1]), spent_of(state), state["max_steps"], True)


def identity_of(
    profile: Profile,
    method: Method,
    rows: Sequence[dict],
    clips: Mapping[str, np.ndarray],
    seed: int,
    steps: int | None,
    overrides: Mapping,
    origin: Mapping = MappingProxyType({}),
) -> dict:
    """What a training is made of, flat: settings, rows in their order, pixels, the base's weights."""
    settings = {name: value for name, value in asdict(profile).items() if name not in _LABELS}
    joints = method.joints() | dict(origin)  # by themselves, so that one that was left out later is seen
    settings |= {name: value for name, value in method.settings().items() if name not in joints} | {"joints": joints}
    settings |= {"seed": seed, "steps": profile.steps if steps is None else steps} | dict(overrides)
    base = checkpoint_identity(checkpoint_of(profile.model))
    own = {"base sha256": base["sha256"], "processes": int(os.environ.get("WORLD_SIZE") or 1)}
    return {**settings, **rows_identity(rows), **clips_identity(clips, [row["scene_name"] for row in rows]), **own}


def restore(trainer, begun: Begun) -> None:
    """Put a checkpoint's weights and history into a trainer that has nothing more to train."""
    trainer._load_from_checkpoint(begun.checkpoint)
    trainer.state = TrainerState.load_from_json(str(Path(begun.checkpoint) / "trainer_state.json"))
