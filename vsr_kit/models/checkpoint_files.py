"""Checkpoint files: finding a model's or adapter's folder, and checking that nothing in it is missing or damaged.

`folder_of` always gives a folder: a local one, or the hub's copy of a repository, of which only weights, tokenizer,
template and configurations are downloaded. A name that can only be a path, or that no repository can have, is refused
at once, since an unreachable hub means a long wait. Python code in a folder or repository is never run: the kit's own
classes read the files, and `NO_CODE` is passed to every loader of transformers that would ask.

transformers warns about missing parts and fills them in: missing weights become random, a tokenizer without its file
gets an empty vocabulary, and the model still answers. Here each of these is an error of one line that names the file:
first what the files show (`check_files`), then what loading found (`check_filled`), the numbers themselves
(`check_finite`), and the tokenizer and template (`check_processor`). One thing may be absent: `lm_head.weight` where
the configuration ties it to the embedding, which is then its value.

Left out: revisions and tokens (see the hub's environment variables and `hf download`), the quality of the weights, and
telling two checkpoints of one shape apart, which only their hashes can.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

import torch
from safetensors import safe_open

from vsr_kit.files import NUMBER, Damaged, check_folder, read_json, reading
from vsr_kit.models.families import Family, family_of

NO_CODE = {"trust_remote_code": False}
FILES = {
    "checkpoint": ["*.json", "*.safetensors", "*.jinja", "merges.txt"],
    "adapter": ["adapter_config.json", "adapter_model.safetensors"],
}
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]*[A-Za-z0-9_]")


def folder_of(source: str | Path, kind: str = "checkpoint") -> Path:
    """The folder with the files of `source`, downloaded if it is a hub id.

    Args:
        source: a folder, or a hub id `owner/name`.
        kind: `checkpoint` or `adapter`, whose files are fetched.

    Raises:
        FileNotFoundError: nothing is there under that name; says what to name or to download instead.
        ValueError: it is a file.
    """
    path = Path(source)
    if path.is_dir():
        return path
    if path.exists():
        raise ValueError(f"{source} is a file: name the {kind}'s folder" + _INSTEAD[kind])
    if why := _no_hub_id(str(source)):
        raise FileNotFoundError(f"there is no folder {str(source)!r}{why}: name the {kind}'s folder" + _INSTEAD[kind])
    return _from_hub(str(source), kind)


_INSTEAD = {
    "checkpoint": ", a hub id such as Qwen/Qwen2-VL-2B-Instruct, or 'mini', which ships with the kit",
    "adapter": ", the run folder it is in, or a hub id such as owner/name",
}


def _no_hub_id(name: str) -> str | None:
    """Why the hub need not be asked; None where it must be."""
    if not _HUB_ID.fullmatch(name) or ".." in name or "--" in name:
        return ", and it is no hub id (owner/name) either"
    first = name.split("/")[0]
    if Path(first).is_dir():
        return f", though there is a folder {first!r}"
    return None


def _from_hub(name: str, kind: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        # subfolders hold other formats of the same weights
        found = snapshot_download(
            name, allow_patterns=FILES[kind], ignore_patterns=["*/*"], local_files_only=not _hub_in_reach()
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise FileNotFoundError(
            f"cannot load {name!r}: it is no folder here and the hub gave nothing ({type(error).__name__}). "
            f"Connect to the network, or download it once with `hf download {name} --local-dir FOLDER` and name the "
            "folder" + (", or use 'mini', which ships with the kit" if kind == "checkpoint" else "")
        ) from error
    return Path(found)


def _hub_in_reach() -> bool:
    """Whether the hub's name resolves. Where it does not, half a minute of trying is spared; the cache is asked."""
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    if getproxies().get(address.scheme):  # which look names up themselves
        return True
    try:
        socket.getaddrinfo(address.hostname, address.port or 443)
    except OSError:
        return False
    return True


WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
AGAIN = "copy or download the folder again"
TIED = "lm_head.weight"
_TOKENS = {  # of the families' chats, with what the configuration calls their ids
    "<|im_start|>": None,
    "<|im_end|>": None,
    "<|endoftext|>": None,
    "<|vision_start|>": "vision_start_token_id",
    "<|vision_end|>": "vision_end_token_id",
    "<|image_pad|>": "image_token_id",
    "<|video_pad|>": "video_token_id",
}
_BYTES = 256  # a byte-level vocabulary begins with them; every other token is merged from two


def check_files(folder: Path) -> dict[Path, list[str]]:
    """Complain of what the files of a checkpoint show before they are loaded: kind, missing ones, damage, their seal.

    Returns:
        The weight files with the names of their tensors.

    Raises:
        FileNotFoundError: the folder lacks a file.
        ValueError: a checkpoint of another kind, or, as `Damaged`, naming a broken file.
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no config.json: name a checkpoint folder, a hub id, or 'mini'")
    config = read_json(folder / "config.json", {"model_type": str}, AGAIN)
    family_of(config, folder)
    if (folder / "adapter_config.json").exists() or "transformers_weights" in config:
        raise ValueError(f"{folder} holds an adapter, or names weights of its own, beside the model: keep them apart")
    tensors = _weight_files(folder)
    _need(folder, "generation_config.json", "which says where an answer ends")
    _need(folder, "tokenizer_config.json", "without which the tokenizer is another")
    if not (folder / "vocab.json").is_file() or not (folder / "merges.txt").is_file():
        _need(folder, "tokenizer.json", "so the vocabulary would be empty")
    if not (folder / "preprocessor_config.json").is_file():
        _need(folder, "processor_config.json", "which says how clips are cut into patches")
    for path in sorted(folder.glob("*.json")):
        read_json(path, remedy=AGAIN)
    check_folder(folder)
    return tensors


def family_in(folder: Path) -> Family:
    """The family of the checkpoint in a folder; errors as `check_files` gives them."""
    return family_of(read_json(folder / "config.json", {"model_type": str}, AGAIN), folder)


def _need(folder: Path, name: str, why: str) -> None:
    if not (folder / name).is_file():
        there = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
        raise FileNotFoundError(f"{folder} holds no {name}, {why}, only {there}; {AGAIN}")


def _weight_files(folder: Path) -> dict[Path, list[str]]:
    if any(path.name.startswith("shard-") for path in folder.glob("*.safetensors")):
        raise ValueError(f"{folder} holds shards of a distributed checkpoint: save it by save_pretrained instead")
    if (folder / WEIGHTS).is_file() or not (folder / INDEX).is_file():
        _need(folder, WEIGHTS, "the only format of weights that is read")
        return {folder / WEIGHTS: tensor_names(folder / WEIGHTS)}
    place = read_json(folder / INDEX, {"weight_map": dict}, AGAIN)["weight_map"]
    if not place or not all(isinstance(name, str) and Path(name).name == name for name in place.values()):
        raise Damaged(f"{folder / INDEX}: weight_map must name a file of this folder for each weight; {AGAIN}")
    tensors = {}
    for name in sorted(set(place.values())):
        if not (folder / name).is_file():
            raise Damaged(f"{folder / name} is missing, and {INDEX} names it; {AGAIN}")
        tensors[folder / name] = found = tensor_names(folder / name)
        if odd := set(found) ^ {key for key, file in place.items() if file == name}:
            raise Damaged(f"{folder / name}: {min(odd)} is in the file or in {INDEX}, not in both; {AGAIN}")
    return tensors


def tensor_names(path: Path) -> list[str]:
    """Names of the tensors of a safetensors file; its header and length are checked, its numbers are not read."""
    with reading(path, AGAIN), safe_open(path, "pt") as stream:
        return list(stream.keys())


def check_filled(model: torch.nn.Module, info: Mapping, tensors: Mapping[Path, list[str]], folder: Path) -> None:
    """Complain of weights that found no place, places without weights, and weights of another shape.

    info: what `from_pretrained(…, ignore_mismatched_sizes=True, output_loading_info=True)` told beside the model.
    Raises `Damaged`.
    """
    if wrong := sorted(map(tuple, info["mismatched_keys"])):
        name, there, wanted = wrong[0][:3]
        raise Damaged(
            f"{folder}: {len(wrong)} weights have another shape than config.json says, the first {name} "
            f"{_sizes(there)} instead of {_sizes(wanted)}; weights and config.json are of two models: {AGAIN}"
        )
    missing, unused = info["missing_keys"], info["unexpected_keys"]
    for what, names in (("of the model are not in the files", missing), ("in the files fit no part of it", unused)):
        if names:
            raise Damaged(f"{folder}: {len(names)} weights {what}, the first {min(names)}; {AGAIN}")
    names = [name for found in tensors.values() for name in found]
    if any(".quant_state." in name for name in names):  # saved in 4 bits: several tensors a weight
        return
    filled = sum(1 for _ in model.named_parameters())  # tied ones once
    tied = TIED in names and model.config.tie_word_embeddings
    if len(names) - tied != filled:
        raise Damaged(f"{folder}: {len(names)} tensors in the files for {filled} weights of the model; {AGAIN}")


def _sizes(shape) -> str:
    return "×".join(map(str, shape)) or "one number"


def check_finite(model: torch.nn.Module, tensors: Mapping[Path, list[str]]) -> None:
    """Complain of a weight that is no finite number, in the model, or in the files where the model packs them (nf4).

    Raises `Damaged`.
    """
    for path, names in tensors.items():
        if any(not p.is_floating_point() for p in model.parameters()):  # a packed NaN looks like any number
            with reading(path, AGAIN), safe_open(path, "pt") as stream:
                for name in names:
                    _check_numbers(stream.get_tensor(name), name, path)
    for name, parameter in model.named_parameters():
        _check_numbers(parameter, name, next(iter(tensors)).parent)


def _check_numbers(tensor: torch.Tensor, name: str, where: Path) -> None:
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor.detach()).all()):
        raise Damaged(f"{where}: the weight {name} holds values that are no finite numbers; {AGAIN}, or train it anew")


def check_processor(processor, config, ends: int | list[int] | None, folder: Path) -> None:
    """Complain of a tokenizer, template or clip processing that is not this model's.

    Args:
        processor: as loaded.
        config: the model's configuration.
        ends: token ids that end an answer, from the generation configuration.

    Raises `Damaged`.
    """
    tokenizer, text = processor.tokenizer, config.text_config
    with reading(folder / "tokenizer.json", AGAIN):
        _check_vocabulary(tokenizer, text.vocab_size, folder)
    for token, named in _TOKENS.items():
        own, wanted = tokenizer.convert_tokens_to_ids(token), None if named is None else getattr(config, named)
        if tokenizer.convert_ids_to_tokens(own) != token or (wanted is not None and own != wanted):
            raise Damaged(f"{folder}: the tokenizer's {token} is {own}, the model's {wanted}: not its own; {AGAIN}")
    special = set(tokenizer.added_tokens_decoder)
    ends = [ends] if isinstance(ends, int) else ends or []
    if not ends or not special.issuperset(ends):
        raise Damaged(f"{folder}: generation_config.json ends answers at {ends}, no special tokens; {AGAIN}")
    with reading(f"the chat template of {folder}", AGAIN):
        _check_template(processor, folder)
    with reading(folder / "processor_config.json", AGAIN):
        _check_clips(processor.video_processor, config.vision_config, folder)


def _check_vocabulary(tokenizer, size: int, folder: Path) -> None:
    ids = sorted(tokenizer.get_vocab().values())
    parts = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens, merges = len(parts["vocab"]), len(parts["merges"])
    if tokens < _BYTES or merges < tokens - _BYTES:
        raise Damaged(f"{folder}: the tokenizer has {tokens} tokens from {merges} merges, too few of them; {AGAIN}")
    if ids != list(range(len(ids))) or len(ids) > size:
        raise Damaged(
            f"{folder}: the tokenizer has {len(ids)} tokens up to number {ids[-1]}, the model {size} without gaps: "
            f"not its own; {AGAIN}"
        )


def _check_template(processor, folder: Path) -> None:
    asked = "How many chairs are there?"
    turn = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": asked}]}
    chat = processor.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
    before, _, after = chat.partition("<|vision_start|><|video_pad|><|vision_end|>")
    if asked not in after or "<|video_pad|>" in before + after or not after.rstrip().endswith("<|im_start|>assistant"):
        raise Damaged(f"{folder}: the chat template writes {chat[:80]!r}…, no chat of a Qwen-VL about a clip; {AGAIN}")


def _check_clips(clips, vision, folder: Path) -> None:
    wanted = {name: getattr(vision, name) for name in ("patch_size", "temporal_patch_size")}
    for name, size in (wanted | {"merge_size": vision.spatial_merge_size}).items():
        if getattr(clips, name) != size:
            raise Damaged(f"{folder}: the processor's {name} is {getattr(clips, name)}, the model's {size}; {AGAIN}")
    for name in ("image_mean", "image_std"):
        values = getattr(clips, name)
        if len(values) != 3 or not all(isinstance(v, NUMBER) and 0 < v < 1 for v in values):
            raise Damaged(f"{folder}: the processor's {name} is {values}, must be three shares; {AGAIN}")
