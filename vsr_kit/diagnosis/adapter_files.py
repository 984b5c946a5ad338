"""Whether an adapter has moved, read from its file alone: LoRA starts with B = 0, so an adapter whose B is 0 did not.

The file's header gives names, types and places, and the bytes of a weight are zero where the weight is, in every
floating-point type but for the sign. So nothing is loaded as a tensor, and bf16 needs no library that knows it.
Left out: adapters with another start (PiSSA, OLoRA), whose B is never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsr_kit.files import Damaged, reading

WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class Moved:
    """How many of an adapter's B matrices are other than zero."""

    moved: int
    all: int

    @property
    def share(self) -> float:
        return self.moved / self.all if self.all else 0.0


def moved(folder: str | Path) -> Moved | None:
    """Count an adapter's B matrices; None where the folder holds no adapter.

    Raises:
        ValueError: as `Damaged`, a file that is no safetensors, or holds no B matrix.
    """
    path = Path(folder) / WEIGHTS
    if not path.is_file():
        return None
    from safetensors import deserialize

    with reading(path, "copy the adapter's folder again, or train it anew"):
        tensors = deserialize(path.read_bytes())
    matrices = [own["data"] for name, own in tensors if ".lora_B" in name]
    if not matrices:
        raise Damaged(f"{path} holds no lora_B matrix: it is no LoRA adapter; name a LoRA adapter's folder")
    return Moved(sum(data.count(0) < len(data) for data in matrices), len(matrices))
