"""What a finished training left and what it was trained on: the adapter, its base, and how the base was loaded.

Merging, pushing and the three lines of plain PEFT all begin with the same questions, and each has one answer here: is
the run finished, is there an adapter, on which checkpoint was it trained, with which weights (nf4 or as they are)?
`vsr train`, a phase of a recipe and a run of the study write their settings differently; all three are read.
Left out: evaluations, which hold no weights, and trainings of all weights, which are checkpoints already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vsr_kit.paths import checkpoint_of
from vsr_kit.runs import RunFolder
from vsr_kit.runs.attempts import BROKEN, FINISHED
from vsr_kit.runs.provenance import checkpoint_identity, identity_differs
from vsr_kit.runs.reading import flat_settings

MERGED_BASE, WHOLE = "base", "model"  # in a run's folder: see training/starting.py


@dataclass(frozen=True)
class Origin:
    """A finished training, as others need to know it.

    Attributes:
        run: its folder, open for reading.
        adapter: the folder of its LoRA weights.
        base: the checkpoint it was trained on, as `load_model` takes it: a name of the kit, a hub id or a folder.
        quantize: `nf4` or None, how that base was loaded; "unknown" where the run does not say.
        settings: everything the run recorded of itself, flat: its profile's fields and its own.
    """

    run: RunFolder
    adapter: Path
    base: str
    quantize: str | None
    settings: Mapping

    @property
    def is_folder(self) -> bool:
        """Whether the base is a folder of this machine (or ships with the kit), so that nobody else finds its name."""
        return Path(checkpoint_of(self.base)).is_dir()


def origin_of(path: str | Path) -> Origin:
    """What the run in a folder is made of.

    Raises:
        FileNotFoundError: there is no run.
        ValueError: it is an evaluation, is not finished, broke, or has no adapter; says what to do instead.
    """
    run = RunFolder.open(path)
    settings = flat_settings(run)
    if "split" in settings and "profile" not in run.config["config"]:
        raise ValueError(f"{run.path} is an evaluation and has no weights: name the training's run folder")
    if run.status == BROKEN:
        raise ValueError(f"{run.path} broke ({run.stopped or 'no reason recorded'}): train it anew before it is shared")
    if run.status != FINISHED:
        raise ValueError(f"{run.path} is not finished: go on with it first, vsr train --resume {run.path}")
    if not run.adapter.is_dir():
        if (run.path / WHOLE).is_dir():
            raise ValueError(
                f"{run.path} trained all weights and has no adapter: {run.path / WHOLE} is a whole checkpoint already"
            )
        raise ValueError(f"{run.path} has no adapter/: it was not kept, or never trained; name another run")
    return Origin(run, run.adapter, _base(run, settings), settings.get("quantize", "unknown"), settings)


def _base(run: RunFolder, settings: Mapping) -> str:
    """A merged base in the run's own folder comes first: the adapter fits no other."""
    if (run.path / MERGED_BASE).is_dir():
        return str(run.path / MERGED_BASE)
    if isinstance(model := settings.get("model"), str) and model:
        return model
    raise ValueError(f"{run.path / 'config.json'} names no model: what the adapter was trained on is not known")


def check_base(origin: Origin) -> None:
    """Complain of a base that is another than the run was trained on, where both can be told by their hashes.

    Raises:
        ValueError: naming both hashes.
        FileNotFoundError: the base's folder is gone.
    """
    folder, recorded = Path(checkpoint_of(origin.base)), origin.run.versions.get("checkpoint") or {}
    looks_like_path = folder.is_absolute() or str(folder).startswith((".", "~")) or len(folder.parts) > 2
    if not folder.is_dir() and looks_like_path:
        raise FileNotFoundError(
            f"the base of {origin.run.path} is gone: there is no folder {folder}; put it back there, or train anew"
        )
    if not folder.is_dir() or folder == origin.run.path / MERGED_BASE or not recorded.get("sha256"):
        return  # of a hub id the hub keeps the revision
    if told := identity_differs(recorded, checkpoint_identity(folder)):
        raise ValueError(
            f"{folder} is not the base that {origin.run.path} was trained on ({told}): restore that one, or train anew"
        )
