"""VSI-Bench's archives of films, unpacked into `{dataset}/{scene_name}.mp4` and nowhere else.

An archive is a stranger's file: a name inside it may lead out of the folder, be a link, or unfold to more than the disk
holds. So names are looked at before a byte is written, what a file claims to hold must fit on the disk, and every film
is written beside its place and moved there when its checksum is right. A film that is there already, whole, is not
written again, so unpacking that was killed goes on.
Left out: archives other than zip, and passwords.
"""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from vsr_kit.validation import shown

_BLOCK = 1 << 20
_IGNORED = ("__MACOSX", ".DS_Store")
_AGAIN = "remove it and fetch it again"


def unpack_films(
    archive: str | Path, out: str | Path, on_film: Callable[[str], None] = lambda name: None
) -> list[Path]:
    """Unpack `out/{archive's name}/SCENE.mp4` from an archive, whatever folder it names inside.

    Args:
        archive: `scannet.zip`, say.
        out: the folder that gets `scannet/`.
        on_film: told of each film that is in place.

    Returns:
        The films' paths, in the archive's order.

    Raises:
        ValueError: a damaged archive, a name that leads elsewhere, a link, two films of one name, a full disk to come.
    """
    archive = Path(archive)
    folder = Path(out) / archive.stem
    try:
        with zipfile.ZipFile(archive) as opened:
            films = _films(opened, archive)
            _check_room(films, folder, archive)
            folder.mkdir(parents=True, exist_ok=True)
            for name, member in films.items():
                _write(opened, member, folder / name, archive)
                on_film(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{archive}: is damaged, or no zip ({error}); {_AGAIN}") from error
    return [folder / name for name in films]


def _films(opened: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """The films of an archive by file name, every name checked."""
    films: dict[str, zipfile.ZipInfo] = {}
    for member in opened.infolist():
        raw = member.orig_filename
        path = PurePosixPath(raw)
        if path.is_absolute() or ".." in path.parts or set(raw) & set("\\:\0"):
            raise ValueError(f"{archive}: holds {shown(raw)}, a name that leads out of the folder; {_AGAIN}")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ValueError(f"{archive}: holds {shown(raw)}, a link, must be a film; {_AGAIN}")
        hidden = path.name.startswith(".") or any(part in _IGNORED for part in path.parts)
        if member.is_dir() or hidden or path.suffix.lower() != ".mp4":
            continue
        if path.name in films:
            raise ValueError(f"{archive}: holds two films {shown(path.name)}, and a scene has one; {_AGAIN}")
        films[path.name] = member
    if not films:
        raise ValueError(f"{archive}: holds no .mp4 among {len(opened.infolist())} entries; {_AGAIN}")
    return films


def _check_room(films: dict[str, zipfile.ZipInfo], folder: Path, archive: Path) -> None:
    """ValueError where what is still to be written does not fit on the disk."""
    missing = sum(m.file_size for name, m in films.items() if not (folder / name).is_file())
    free = shutil.disk_usage(existing(folder)).free
    if missing > free:
        raise ValueError(
            f"{archive}: unpacks to {missing / 1e9:.2f} GB, and {folder} has {free / 1e9:.2f} GB free; make room, and "
            "run the same command again"
        )


def existing(path: str | Path) -> Path:
    """The nearest folder above `path` that is there."""
    path = Path(path).absolute()
    while not path.exists():
        path = path.parent
    return path


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, archive: Path) -> None:
    """Write one film, unless it is there with the size and checksum that the archive states."""
    if path.is_file() and path.stat().st_size == member.file_size and _crc(path) == member.CRC:
        return
    beside = path.with_name(f".{path.name}.part")
    with opened.open(member) as source, beside.open("wb") as target:  # which checks the checksum at the end
        left = member.file_size
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise ValueError(f"{archive}: {shown(member.filename)} holds more than it says it does; {_AGAIN}")
            target.write(block)
    if left:
        raise ValueError(f"{archive}: {shown(member.filename)} ends {left} bytes early; {_AGAIN}")
    os.replace(beside, path)


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value
