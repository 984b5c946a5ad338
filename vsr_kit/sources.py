"""Where the files of a model or an adapter are: always a folder, and never code.

The story: whatever was named, what is loaded is a folder: one here, or the hub's copy of a repository, of which only
weights, tokenizer, template and configurations are fetched. A name that can only be a path, or no repository's, is
refused at once, since a hub that is out of reach is waited for. No Python of a folder or repository is ever run: the
kit's own classes read them, and `NO_CODE` goes to every loader of transformers that would ask.

Left out: revisions and tokens, which the hub's own environment variables and `hf download` take care of.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

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
