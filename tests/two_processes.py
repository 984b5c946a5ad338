"""What test_processes.py starts under torchrun: one step's gradients against the textbook's, and who wrote what."""

import dataclasses
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from tests.test_trainers import CLIPS, G, Gradients, Spy, config, random_lora, rows, textbook_loss, vowels_reward
from vsr_kit.diagnosis import check_run
from vsr_kit.models import load_model
from vsr_kit.runs import RunFolder, ask_to_stop
from vsr_kit.training import methods
from vsr_kit.training.launching import divided
from vsr_kit.training.mismatch import MEAN
from vsr_kit.training.profiles import PROFILES
from vsr_kit.training.run import train
from vsr_kit.training.video_mixin import training_rows


def gathered(values: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Both processes' values, each as one long vector."""
    own = torch.cat([value.detach().flatten() for value in values.values()])
    both = [torch.zeros_like(own) for _ in range(2)]
    dist.all_gather(both, own)
    return both


def one_step(folder: Path) -> dict:
    loaded = load_model(folder / "tiny", device="cpu", dtype=torch.float32, quiet=True)
    watcher = Gradients(lambda trainer: textbook_loss(trainer, trainer.batches))
    watcher.trainer = Spy(
        model=loaded.model,
        reward_funcs=[vowels_reward],
        args=config(folder / "out", activation_checkpointing=True, ddp_find_unused_parameters=False),
        train_dataset=training_rows(rows(), "vanilla"),
        processing_class=loaded.processor,
        peft_config=random_lora(),
        clips=CLIPS,
        callbacks=[watcher],
    )
    watcher.trainer.train()
    # rows of the two processes differ; DDP steps along the mean of their gradients
    ours, theirs = gathered(watcher.ours[0]), gathered(watcher.theirs[0])
    mean = sum(theirs) / 2
    return {
        "error": max(float((own - mean).norm() / mean.norm()) for own in ours),
        "apart": float((theirs[0] - theirs[1]).norm() / mean.norm()),
        "groups": [len(batch["completion_ids"]) // G for batch in watcher.trainer.batches],
    }


def shared_run(name: str, folder: Path) -> RunFolder:
    """A new run, which the main process writes."""
    path = [str(RunFolder.create(name, root=folder).path) if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(path)
    return RunFolder.open(path[0]) if dist.get_rank() else RunFolder.resume(path[0])


def small(folder: Path):
    """A profile of the tiny model, and a reward that tells its rollouts apart."""
    sizes = {"lora_rank": 4, "num_generations": G, "questions_per_step": 2, "groups_per_pass": 2}
    methods.make_reward_funcs = lambda mode, numeric, extra: [vowels_reward]
    return divided(dataclasses.replace(PROFILES["mini"], model=str(folder / "tiny"), max_vanilla_tokens=4, **sizes))


def stopped_run(folder: Path) -> dict:
    """A run that is asked to stop by a file, at which only the main process looks."""
    run = shared_run("stopped", folder)
    if dist.get_rank() == 0:
        ask_to_stop(run)
    dist.barrier()
    trained = train(small(folder), "vanilla", rows(), clips=CLIPS, run=run, steps=50, save_every=1, quiet=True)
    dist.barrier()
    return {"stopped": [trained.stopped, trained.steps, run.attempts()[-1]["event"]]}


def one_run(folder: Path) -> dict:
    run, profile = shared_run("two", folder), small(folder)
    trained = train(profile, "vanilla", rows(), clips=CLIPS, run=run, steps=2, save_every=1, quiet=True)
    weights = gathered({n: p for n, p in trained.loaded.model.named_parameters() if p.requires_grad})
    return {
        "same weights": torch.equal(*weights),
        "metrics": [row["step"] for row in run.read_metrics()],
        "rollouts": len(run.read_rollouts()),
        "adapter": run.adapter.exists() and run.last_checkpoint().name,
        "mismatch": max(row[MEAN] for row in run.read_metrics()),
        "problems": [finding.check for finding in check_run(run).at("problem")],
    }


if __name__ == "__main__":
    home = Path(sys.argv[1])
    found = one_step(home)
    found |= one_run(home) | stopped_run(home)
    (home / f"found-{dist.get_rank()}.json").write_text(json.dumps(found))
    dist.destroy_process_group()
