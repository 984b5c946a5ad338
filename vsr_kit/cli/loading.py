"""What `vsr eval` and `vsr ask` load: a model as it was trained, an adapter out of a run folder, and too little memory.

A model is asked in the precision it is trained in: 4 bits, as the profiles of a laptop and of a T4 train, unless the
run that an adapter is from says otherwise, the checkpoint is a folder of one's own, or the device has no 4-bit
products. Full precision is asked for by `--quantize none`.
Left out: choosing a device.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import typer

from vsr_kit.cli.flags import quantization_of
from vsr_kit.paths import SHIPPED, checkpoint_of
from vsr_kit.runs import RunFolder
from vsr_kit.runs.attempts import UNFINISHED
from vsr_kit.runs.reading import flat_settings

DEFAULT = "nf4"  # of the profiles mini and t4


def default_quantize(model: str, adapter: str | None) -> str:
    """How to load a model where nobody says: nf4 or none.

    As the adapter's run was trained; a checkpoint in a folder of its own, which a merge or a training of all weights
    left, as it is stored; any other as the profiles train it.
    """
    if _on_mps():
        return "none"
    if (run := adapter_run(adapter)) is not None and "quantize" in (settings := flat_settings(run)):
        return settings["quantize"] or "none"
    stored = adapter is None and model not in SHIPPED and Path(model).is_dir()
    return "none" if stored else DEFAULT


def _on_mps() -> bool:
    from vsr_kit.models.loading import pick_device

    return pick_device().type == "mps"  # bitsandbytes has no products for it


def load(settings: Mapping):
    """The model of the settings, and what its run records as the checkpoint: a folder, or a hub id."""
    import torch

    from vsr_kit.models.loading import load_model
    from vsr_kit.validation import one_of

    one_of("dtype", dtype := settings.get("dtype"), (None, "float32", "bfloat16", "float16"))
    how = {} if dtype is None else {"dtype": getattr(torch, dtype)}
    adapter = adapter_folder(settings["adapter"])
    loaded = load_model(settings["model"], quantization_of(settings["quantize"]), adapter=adapter, **how)
    return loaded, checkpoint_of(settings["model"])


def told_out_of_memory(settings: Mapping, batch_size: int, stop) -> AbstractContextManager:
    """Around the asking: what to turn down where memory runs out, and how to go on, which `stop` knows."""
    from vsr_kit.training.out_of_memory import told_out_of_memory_asking

    knobs = [f"--batch-size {batch_size // 4}"] if batch_size > 4 else []
    knobs += ["--quantize nf4"] if settings["quantize"] == "none" else []
    knobs += [f"--frames {settings['frames'] // 2}"] if settings["frames"] > 2 else []
    return told_out_of_memory_asking(knobs or ["--size"], lambda: f"{stop.how} (--batch-size may be another)")


def adapter_run(adapter: str | None) -> RunFolder | None:
    """The run folder that an adapter is, or lies in; None for any other, a checkpoint's folder among them."""
    for own in (Path(adapter), Path(adapter).parent) if adapter else ():
        if (own / "config.json").is_file() and (own / "versions.json").is_file():
            return RunFolder.open(own)
    return None


def adapter_folder(adapter: str | None) -> Path | str | None:
    """The adapter itself, or the one in a run folder of that name; what is odd about the run is told.

    Raises:
        ValueError: the run's training broke before it had learnt anything, or it has left no adapter yet.
    """
    if not adapter:
        return adapter
    path, run = Path(adapter), adapter_run(adapter)
    if run is None or (path != run.path and path.name != "adapter"):
        return adapter
    if not run.adapter.is_dir():
        if path != run.path or (path / "adapter_config.json").exists():
            return adapter
        raise ValueError(f"{path} is a run that has left no adapter: finish it first, vsr train --resume {path}")
    broken = run.summary.get("stopped")
    if broken and not run.summary.get("good step"):
        raise ValueError(f"{path} has an untrained adapter: its training broke in its first steps ({broken})")
    if broken:
        typer.echo(f"warning: the training of {path} broke: {broken}", err=True)
    elif run.status == UNFINISHED and run.attempts() and (steps := run.read_metrics()):
        typer.echo(f"warning: {path} is unfinished; its adapter is that of step {steps[-1]['step']}", err=True)
    return run.adapter
