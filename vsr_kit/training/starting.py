"""What a training starts from: the base, a trained adapter to go on with or to melt in first, or all weights at once.

The story: a second stage of a recipe goes on with what the first one learnt. Going on with an adapter keeps its rank
and scaling, and the reference stays the base without it; merging it first makes a new base, on which a fresh adapter is
trained and against which the KL term is measured. `train_all` trains the whole language model instead of an adapter;
the vision tower stays frozen in every case, since clips are encoded once.
Left out: merging into 4-bit weights, which would round them again, and training embeddings apart from the head.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from vsr_kit.files import file_hash, seal
from vsr_kit.models.adapters import WEIGHTS, check_files, check_fits, read_config, with_adapter
from vsr_kit.models.loading import Loaded, packed
from vsr_kit.models.vision import core_model
from vsr_kit.sharing import give_scores
from vsr_kit.training.joints import Start
from vsr_kit.training.profiles import Profile

BASE, WHOLE = "base", "model"  # in a run's folder: a merged base, and all weights after `train_all`


def check_start(start: Start | None, train_all: bool, profile: Profile) -> None:
    """Complain before a model is loaded.

    Raises:
        ValueError: an adapter of another rank or scaling than the profile's that is not merged, or 4-bit weights that
            would have to be changed; as `Damaged`, an adapter that is not whole.
        FileNotFoundError: there is no adapter.
    """
    merge = start is not None and start.merge
    if profile.quantize is not None and (train_all or merge):
        what = "train_all" if train_all else "merge=True"
        raise ValueError(
            f"{what} with quantize={profile.quantize!r}: 4-bit weights cannot be changed without rounding them anew; "
            "use a profile with quantize=None"
        )
    if start is None:
        return
    folder = Path(start.adapter)
    if not folder.is_dir():
        raise FileNotFoundError(f"start.adapter is {folder}, which is no folder: name a trained adapter's")
    check_files(folder)
    config = read_config(folder)
    if train_all and not merge:
        raise ValueError(f"train_all trains no adapter, and {folder} is one: start with merge=True")
    own = (profile.lora_rank, profile.lora_alpha)
    if not merge and (config.r, config.lora_alpha) != own:
        raise ValueError(
            f"the adapter of {folder} has rank {config.r} and alpha {config.lora_alpha}, the profile {own[0]} and "
            f"{own[1]}: use a profile with lora_rank={config.r}, lora_alpha={config.lora_alpha}, or merge=True"
        )


def start_identity(start: Start | None, train_all: bool) -> dict:
    """What a run is known by, of where it starts; empty for a fresh adapter on the base."""
    told: dict[str, object] = {"train_all": True} if train_all else {}
    if start is not None:
        told |= {"start sha256": file_hash(Path(start.adapter) / WEIGHTS), "start merged": start.merge}
    return told


def made_ready(loaded: Loaded, start: Start | None, train_all: bool, run) -> Loaded:
    """The model that a trainer is given: with an adapter merged in, with all of its language model to be trained.

    A merged base is written into the run's folder, in BASE: the adapter that is trained on it fits no other.
    """
    model = loaded.model
    if start is not None and start.merge:
        model = with_adapter(model, Path(start.adapter)).merge_and_unload()
        model.requires_grad_(False)
        name = f"{loaded.name} with {Path(start.adapter).name} merged in"
        if run is not None:
            name = str(run.path / BASE)
            if run.attempt is not None and not (run.path / BASE).exists():
                save_whole(model, loaded.processor, run.path / BASE)
        loaded = replace(loaded, model=model, name=name)
    if train_all:
        core = core_model(model)
        for part in (core.model.language_model, core.get_output_embeddings()):
            part.requires_grad_(True)
    return loaded


def finish_trainer(trainer, start: Start | None) -> None:
    """Give a trainer that was just made the weights to go on with, and its reference the ones it starts from."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    if start is not None and not start.merge:
        from peft import set_peft_model_state_dict
        from safetensors.torch import load_file

        check_fits(model, Path(start.adapter))
        set_peft_model_state_dict(model, load_file(Path(start.adapter) / WEIGHTS), adapter_name="default")
    if getattr(trainer, "ref_model", None) is not None:  # TRL read it from the checkpoint: nothing merged in, no video
        reference = trainer.accelerator.unwrap_model(trainer.ref_model)
        reference.load_state_dict(model.state_dict())
        give_scores(core_model(reference))


def trains_all(model) -> bool:
    """Whether a model before a trainer takes it has weights to be trained: then it gets no adapter."""
    return any(weight.requires_grad for weight in model.parameters()) and not packed(model)


def save_whole(model, processor, folder: Path) -> None:
    """Write a checkpoint that `load_model` loads, whole or not at all."""
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    model.save_pretrained(beside)
    processor.save_pretrained(beside)
    seal(beside)
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)
