"""VSI-Bench and VSI-100k fetched from the hub into a folder that `--rooms` takes.

What will be fetched and how much disk it takes is known before the first byte (the hub's list of files has sizes), and
refused where the disk has less. Every file is compared with the hub's checksum: SHA-256 of large files, git's SHA-1 of
small ones. A killed download goes on inside the file where it stood, since what has come lies in `.fetch/NAME.part`:
`huggingface_hub.hf_hub_download` begins a file anew in every process, so its parts are used (the list, the address, and
`http_get`, which retries and asks for the rest). Each archive of films is unpacked (archives.py) and, once all its
films are in place, removed; `.fetch/done.json` remembers it, so the same command again fetches nothing twice.
Left out: ScanNet's own films (a licence of one's own), private and gated data sets, and versions other than `main`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

from vsr_kit.data.archives import existing, unpack_films
from vsr_kit.data.rows import HUB_ID
from vsr_kit.data.vsi_100k import HUB_ID_VSI_100K
from vsr_kit.files import write_json
from vsr_kit.locks import held
from vsr_kit.validation import one_of, shown

STATE = ".fetch"  # in the folder: parts of files, and what is done
_DONE = "done.json"
_BLOCK = 1 << 20
_SPARE_BYTES = 100_000_000  # beside what is fetched
_TERMS = "The kit hands none of it on."


@dataclass(frozen=True)
class HubSet:
    """A data set on the hub.

    Attributes:
        hub_id: its name there.
        files: patterns of what is fetched.
        archives: patterns of the archives of films among them.
        terms: a sentence on whose data it is.
    """

    hub_id: str
    files: tuple[str, ...]
    archives: tuple[str, ...]
    terms: str


SETS = {
    "vsi-bench": HubSet(
        HUB_ID,
        ("README.md", "test.jsonl", "test*.parquet", "data/test*.parquet", "pruned_ids.txt"),
        ("arkitscenes.zip", "scannet.zip", "scannetpp.zip"),
        "VSI-Bench's questions are Apache-2.0 by its card. Its films were made from ScanNet, ScanNet++ and "
        f"ARKitScenes, each under terms of its own, which you accept by using them: read them first. {_TERMS}",
    ),
    "vsi-100k": HubSet(
        HUB_ID_VSI_100K,
        ("README.md", "*.json", "*.jsonl", "*.parquet"),
        (),
        "VSI-100k's annotations are Apache-2.0 by its card, for research only by its authors' README. Its films are "
        f"ScanNet's: ask http://www.scan-net.org for a licence of your own. {_TERMS}",
    ),
}


@dataclass(frozen=True)
class HubFile:
    """A file as the hub lists it: name, bytes, SHA-256 of a large one, git's SHA-1."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


def fetch(
    name: str,
    out: str | Path,
    *,
    annotations_only: bool = False,
    endpoint: str | None = None,
    tell: Callable[[str], None] = print,
) -> Path:
    """Fetch a data set of `SETS` into a folder; what is there already, whole, is not fetched again.

    Args:
        name: `vsi-bench` or `vsi-100k`.
        out: the folder, made where it is not there.
        annotations_only: leave the films out.
        endpoint: another hub, by its address; the usual one by default (or HF_ENDPOINT).
        tell: is given a line for each step.

    Returns:
        The folder, which `load_questions` takes.

    Raises:
        ValueError: no network, no such files, too little room, a checksum that does not agree, a damaged archive.
    """
    one_of("data set", name, SETS)
    chosen, out = SETS[name], Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file: give a folder")
    revision, files = _listed(chosen, annotations_only, endpoint)
    out.mkdir(parents=True, exist_ok=True)
    with held(out):
        missing = _fill(chosen, revision, files, out, endpoint, tell)
    tell(f"{out}: {chosen.hub_id} at {revision[:10]}, {len(files)} files, {len(missing)} of them fetched now")
    return out


def _fill(
    chosen: HubSet,
    revision: str,
    files: Sequence[HubFile],
    out: Path,
    endpoint: str | None,
    tell: Callable[[str], None],
) -> list[HubFile]:
    """Bring what is missing, and return it."""
    done = _done(out)
    missing = [file for file in files if not _is_there(file, out, done)]
    tell(chosen.terms)
    _check_room(chosen, missing, out, tell)
    for file in missing:
        _download(chosen.hub_id, file, revision, out, endpoint)
        if _matches(file.name, chosen.archives):
            films = unpack_films(out / file.name, out)
            done[file.name] = {"sha256": file.sha256, "films": {path.name: path.stat().st_size for path in films}}
            write_json(out / STATE / _DONE, done)
            (out / file.name).unlink()
            tell(f"{file.name}: {len(films)} films unpacked into {out / PurePosixPath(file.name).stem}")
        else:
            tell(f"{file.name}: {_size(file.size)}, checksum right")
    return missing


def _listed(chosen: HubSet, annotations_only: bool, endpoint: str | None) -> tuple[str, list[HubFile]]:
    """The version, and its files that are wanted, annotations first."""
    from huggingface_hub import HfApi

    with _network(chosen.hub_id):
        info = HfApi(endpoint=endpoint, token=False).dataset_info(chosen.hub_id, files_metadata=True)
    wanted = chosen.files if annotations_only else chosen.files + chosen.archives
    files = [_file(each) for each in info.siblings or () if _matches(each.rfilename, wanted)]
    if not any(_matches(file.name, chosen.files[1:]) for file in files):
        names = ", ".join(each.rfilename for each in info.siblings or ())
        raise ValueError(
            f"{chosen.hub_id}: has none of {', '.join(chosen.files[1:])} any more (it has {names}): fetch it by hand, "
            "and give the folder or file to --rooms"
        )
    return str(info.sha), sorted(files, key=lambda file: (_matches(file.name, chosen.archives), file.name))


def _file(listed: Any) -> HubFile:
    name, lfs = listed.rfilename, listed.lfs
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or set(name) & set("\\:\0"):
        raise ValueError(f"the hub lists {shown(name)}, a name that leads out of the folder: nothing was fetched")
    return HubFile(name, int(listed.size or 0), lfs.sha256 if lfs else None, listed.blob_id)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in patterns)


def _done(out: Path) -> dict:
    """What earlier calls unpacked; nothing where the note cannot be read, and then it is done again."""
    try:
        done = json.loads((out / STATE / _DONE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return done if isinstance(done, dict) else {}


def _is_there(file: HubFile, out: Path, done: dict) -> bool:
    """Whether a file is whole, or an archive's films are all in place."""
    if isinstance(record := done.get(file.name), dict) and record.get("sha256") == file.sha256:
        folder = out / PurePosixPath(file.name).stem
        films = record.get("films", {})
        return bool(films) and all(_has_size(folder / name, size) for name, size in films.items())
    return not file.name.endswith(".zip") and _is_whole(file, out / file.name)


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _is_whole(file: HubFile, path: Path) -> bool:
    return _has_size(path, file.size) and _checksum(file, path) in (None, True)


def _checksum(file: HubFile, path: Path) -> bool | None:
    """Whether a file has the hub's checksum; None where the hub states none."""
    if file.sha256 is None and file.blob is None:
        return None
    digest = (
        hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    )
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest() == (file.sha256 or file.blob)


def _check_room(chosen: HubSet, missing: Sequence[HubFile], out: Path, tell: Callable[[str], None]) -> None:
    """State what will be fetched and what disk it takes; ValueError where the disk has less."""
    if not missing:
        return
    here = sum(path.stat().st_size for path in (out / STATE).glob("*.part")) if (out / STATE).is_dir() else 0
    fetched = [file for file in missing if file.name.endswith(".zip") and _has_size(out / file.name, file.size)]
    size = sum(file.size for file in missing if file not in fetched)
    # films do not shrink in a zip: an archive and its films lie side by side until it is unpacked
    to_unpack = [file.size for file in missing if file not in fetched and _matches(file.name, chosen.archives)]
    to_unpack += [max(0, file.size - _unpacked_bytes(file, out)) for file in fetched]
    largest = max(to_unpack, default=0)
    free = shutil.disk_usage(existing(out)).free
    waiting = f", {len(fetched)} fetched already and to be unpacked" if fetched else ""
    tell(
        f"{chosen.hub_id}: {len(missing)} files{waiting}, {_size(size)} to fetch ({_size(here)} of parts are here); on "
        f"disk {_size(size)}, for a while {_size(size + largest)}; {_size(free)} free"
    )
    if size + largest + _SPARE_BYTES - here > free:
        raise ValueError(
            f"{out}: {_size(size + largest + _SPARE_BYTES - here)} are needed and {_size(free)} are free; make room, "
            "name another disk by --out, or leave the films out by --annotations-only"
        )


def _unpacked_bytes(file: HubFile, out: Path) -> int:
    """Of an archive's films that a call which was cut off has left in place."""
    folder = out / PurePosixPath(file.name).stem
    return sum(path.stat().st_size for path in folder.glob("*.mp4")) if folder.is_dir() else 0


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _download(hub_id: str, file: HubFile, revision: str, out: Path, endpoint: str | None) -> None:
    """Bring one file into place, going on where an earlier call was cut off; checked before it is moved there."""
    place = out / file.name
    part = out / STATE / f"{file.name.replace('/', '--')}.{(file.sha256 or file.blob or revision)[:16]}.part"
    for path in (place, part):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not (place.suffix == ".zip" and _is_whole(file, place)):  # it was fetched, and unpacking it was cut off
        _bring(hub_id, file, revision, part, endpoint)
        if _checksum(file, part) is False:
            part.unlink()
            raise ValueError(
                f"{place}: came with another checksum than the hub states ({file.sha256 or file.blob}), so it was not "
                "kept; run the same command again, and if it comes wrong again, try another network"
            )
        os.replace(part, place)


def _bring(hub_id: str, file: HubFile, revision: str, part: Path, endpoint: str | None) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get

    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        part.unlink()
        have = 0
    if have == file.size and part.exists():
        return
    url = hf_hub_url(hub_id, file.name, repo_type="dataset", revision=revision, endpoint=endpoint)
    with _network(hub_id):
        found = get_hf_file_metadata(url, token=False)
        with part.open("ab") as stream:
            http_get(
                found.location,
                stream,
                resume_size=have,
                expected_size=file.size,
                displayed_filename=file.name,
            )


@contextmanager
def _network(hub_id: str) -> Iterator[None]:
    """Errors of the network as one that says what to do; a full disk stays what it is."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise ValueError(
            f"{hub_id} cannot be fetched ({why}): it needs the network (https://huggingface.co, or what HF_ENDPOINT "
            "names; HF_HUB_OFFLINE must not be set); run the same command again, and it goes on where it stood. "
            "Without network, copy the folder from a machine that has it"
        ) from error
