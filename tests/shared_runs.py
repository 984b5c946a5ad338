"""Finished trainings as run folders, for tests of what is made of them: their adapters are given, not trained."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

from vsr_kit.runs import RunFolder
from vsr_kit.training.profiles import get_profile

TRAINED = {"mode": "think", "method": "grpo", "extra_rewards": ["length"], "detectors": [], "rooms": "12"}
TRAINED |= {"phrasing": "vsi-100k", "per_room": 2, "seconds": None, "record_tokens": 0, "skip_broken_clips": False}
TRAINED |= {"types": []}


def finished(root: Path, model, adapter, quantize=None, *, finish=True, name="grpo", **changes) -> Path:
    """The folder of a run as `vsr train` leaves it: 3 steps with seed 5."""
    profile = replace(get_profile("mini"), model=str(model), quantize=quantize, steps=3, beta=0.01, **changes)
    run = RunFolder.create(name, {**TRAINED, "profile": asdict(profile)}, seed=5, root=root, checkpoint=model)
    run.metrics({"step": 3, "reward": 0.5})
    if adapter is not None:
        shutil.copytree(adapter, run.adapter)
    run.summarise(headline={"steps": 3})
    if finish:
        run.finish()
    else:
        run.close()
    return run.path
