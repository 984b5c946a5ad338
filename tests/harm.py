"""Ways in which a file or a run comes to harm: what tests of damage do, and what they look for in the words of it."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from tests.tiny import tiny_checkpoint
from vsr_kit.files import SEAL, seal
from vsr_kit.models import load_model


class Killed(BaseException):
    """What nothing catches, as nothing catches SIGKILL."""


class Kill(TrainerCallback):
    """What a kill does, as far as files go."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise Killed


FOREIGN = {
    "list": "[1, 2]",
    "number": "7",
    "null": "null",
    "text": '"words"',
    "deep": "[" * 100_000,
    "words": "no such\n",
}


def _flip(data: bytes, draw: random.Random) -> bytes:
    place = draw.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]


BYTES = {
    "cut": lambda data, draw: data[: len(data) // 2],
    "short": lambda data, draw: data[:-7],
    "empty": lambda data, draw: b"",
    "garbled": lambda data, draw: draw.randbytes(len(data)),
    "zeros": lambda data, draw: bytes(len(data)),
    "holed": lambda data, draw: data[: len(data) // 3] + bytes(64) + data[len(data) // 3 + 64 :],
    "bit": _flip,
    **{name: (lambda data, draw, text=text: text.encode()) for name, text in FOREIGN.items()},
}


def harm(path: Path, how: str, seed: int = 0) -> None:
    """Do to a file what `how` says: a key of BYTES, `missing`, `folder`, or `field:NAME` (of JSON, its value wrong)."""
    data = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how.startswith("field:"):
        _, name = how.split(":")
        lines = data.decode().splitlines() if path.suffix == ".jsonl" else [data.decode()]
        record = json.loads(lines[0])
        record[name] = {"odd": []} if not isinstance(record.get(name), dict) else 5
        path.write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n")
    elif how != "missing":
        path.write_bytes(BYTES[how](data, random.Random(f"{path.name} {how} {seed}")))


def told_well(error: BaseException, path: Path) -> str | None:
    """What is wrong with how an error tells of a file; None for a line that names the file or its folder."""
    said = str(error)
    if not isinstance(error, (ValueError, OSError)):
        return f"a {type(error).__name__} would end in a traceback: {said[:200]}"
    return line_told_well(said, path)


def line_told_well(said: str, path: Path) -> str | None:
    """As `told_well`, of a line."""
    if "\n" in said.strip() or len(said) > 1500:
        return f"it is no line: {said[:300]}"
    if str(path.parent) not in said:
        return f"it does not name {path}: {said[:300]}"
    return None


def make_all(root: Path) -> Path:
    """A checkpoint `model`, an adapter on it in `adapter`, a trainer's checkpoint in `run/checkpoint-2`, all sealed."""
    model = tiny_checkpoint(root / "model")
    loaded = load_model(model, lora=True, device="cpu", quiet=True)
    with torch.no_grad():
        for name, weight in loaded.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    loaded.model.save_pretrained(root / "adapter")
    seal(root / "adapter")
    save_as_trainer(loaded.model, root / "run" / "checkpoint-2")
    return root


def save_as_trainer(model, folder):
    """What transformers' trainer writes at step 2."""
    from transformers import TrainerState

    model.save_pretrained(folder)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
    for _ in range(2):
        for weight in weights:
            weight.grad = torch.zeros_like(weight)
        optimizer.step()
        schedule.step()
    torch.save(optimizer.state_dict(), folder / "optimizer.pt")
    torch.save(schedule.state_dict(), folder / "scheduler.pt")
    generators = {"python": random.getstate(), "numpy": np.random.get_state(), "cpu": torch.random.get_rng_state()}
    torch.save(generators, folder / "rng_state.pth")
    TrainerState(global_step=2, max_steps=4).save_to_json(str(folder / "trainer_state.json"))
    seal(folder)


def copied(made, tmp_path, sealed=True):
    """A copy to break, with or without its seals."""
    root = tmp_path / "copy"
    shutil.copytree(made, root)
    for path in root.rglob(SEAL) if not sealed else ():
        path.unlink()
    return root


def refused(path, action):
    """The message of what `action` raises, which must tell well of `path`."""
    with pytest.raises(Exception) as caught:  # told_well says which kinds are well
        action()
    assert told_well(caught.value, path) is None
    return str(caught.value)
