"""Files and folders of questions that `--rooms` takes beside rooms: VSI-Bench as the hub has it, VSI-100k, own rows.

VSI-Bench's folder on the hub (`nyu-visionx/VSI-Bench`) has the questions as `test.jsonl` and as parquet
(`test-00000-of-00001.parquet`; a subset that is hard to guess as `test_debiased.parquet`), and the films in three
archives, which unpack to `{dataset}/{scene_name}.mp4`. Such a folder is taken as it is, or one of its files, with the
films beside it. So are VSI-100k's annotations, and any file of rows with VSI-Bench's fields. What a file is, its
records tell, not its name. All ten question types are taken, options with letters, too.

Files of rows about pictures (picture_rows.py: SAT, CV-Bench, MathVista, Vision-R1, Video-R1) are told by their
fields, too.

`find_source` says whether a path is one of these; a folder of `vsr build` and a geometry file are not, and stay what
they are. Rows have no split and are taken whole.
Left out: downloading and unpacking (fetching.py, archives.py), and reading clips (clips.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vsr_kit.data.checking import check_row
from vsr_kit.data.picture_records import is_picture_record
from vsr_kit.data.rows import read_records
from vsr_kit.data.vsi_100k import ReadRows, checked, is_vsi_100k, records_of, rows_of
from vsr_kit.validation import parse_json

ARCHIVES = ("arkitscenes.zip", "scannet.zip", "scannetpp.zip")
# Where the questions of a folder are looked for, the first one found being taken; a debiased file must be named, or be
# alone.
PLACES = (
    "test.jsonl",
    "test.parquet",
    "test-*-of-*.parquet",
    "data/test.jsonl",
    "data/test-*-of-*.parquet",
    "data/test.parquet",
    "test_debiased.parquet",
)
PICTURES = "questions about pictures"  # read by picture_rows.py
_BUILT = "questions.jsonl"  # what vsr build writes
_WANTED = "rows with VSI-Bench's fields, as JSON lines, a JSON list or parquet"
_ROW_ENDS = (".jsonl", ".parquet", ".gz")
_SHARD = re.compile(r".*-(\d+)-of-(\d+)\.parquet")
_OTHERS = re.compile(r"_meta_info_|dataset_infos|^build\.json$|^rooms\.json$")


@dataclass(frozen=True)
class Source:
    """Questions that were found.

    Attributes:
        kind: `VSI-Bench's fields`, `VSI-100k` or `PICTURES`, the form of the records.
        path: what was named.
        records: (place, record) of each.
        root: the folder whose clips the rows ask about, unless another is named.
    """

    kind: str
    path: Path
    records: list[tuple[str, object]]
    root: Path


def find_source(rooms: str | int | Path) -> Source | None:
    """The questions that `--rooms` names; None for a number, a geometry file, a folder of `vsr build`, or no file.

    Raises:
        ValueError: questions that cannot be read, shards that are missing, or films without questions.
    """
    path = Path(str(rooms))
    if str(rooms).isdigit() or not (path.is_dir() or path.is_file()):
        return None
    return _of_folder(path) if path.is_dir() else _of_file(path)


def _of_file(path: Path) -> Source | None:
    records = _records(path)
    if records is None:
        return None
    parent = path.parent
    root = parent.parent if parent.name == "data" and not _has_films(parent) else parent
    return _source(path, records, root)


def _records(path: Path) -> list[tuple[str, object]] | None:
    """A file's records; None where it is a file of rooms, or one that the reader of rooms will complain about."""
    if path.suffix.lower() in _ROW_ENDS:
        return list(read_records(path, _WANTED))
    try:
        text = path.read_text(encoding="utf-8-sig")
        whole = _json_or_first_line(text)
    except ValueError:
        return None
    first = whole[0] if isinstance(whole, list) and whole else whole
    if isinstance(first, dict) and ("question" in first or is_vsi_100k(first) or is_picture_record(first)):
        return list(read_records(path, _WANTED))
    if isinstance(whole, dict) and (records := list(records_of([path]))) and is_vsi_100k(records[0][1]):
        return records
    return None


def _json_or_first_line(text: str) -> object:
    """What the text is as JSON, or its first line where it is JSON lines."""
    try:
        return parse_json(text)
    except ValueError:
        return parse_json(text.lstrip().split("\n", 1)[0])


def _of_folder(folder: Path) -> Source | None:
    if (folder / _BUILT).exists():
        return None
    for place in PLACES:
        if found := sorted(path for path in folder.glob(place) if path.is_file()):
            _check_shards(found)
            return _source(folder, [each for path in found for each in read_records(path, _WANTED)], folder)
    loose = [path for path in sorted(folder.glob("*.json*")) if not _OTHERS.search(path.name)]
    own = [path for path in loose if _is_vsi_100k_file(path)]
    if own:
        return _source(folder, list(records_of(own)), folder)
    if _has_films(folder) or any((folder / name).is_file() for name in ARCHIVES):
        raise ValueError(
            f"{folder}: has films or their archives, and no questions: test.jsonl or test-00000-of-00001.parquet is "
            f"missing; bring it by: vsr fetch vsi-bench --annotations-only --out {folder}"
        )
    return None


def _is_vsi_100k_file(path: Path) -> bool:
    return next((is_vsi_100k(record) for _, record in records_of([path])), False)


def _check_shards(files: list[Path]) -> None:
    """ValueError where `test-00001-of-00003.parquet` has no sister."""
    numbers = [found for path in files if (found := _SHARD.fullmatch(path.name))]
    if not numbers:
        return
    total = max(int(found[2]) for found in numbers)
    if {int(found[1]) for found in numbers} != set(range(total)):
        raise ValueError(
            f"{files[0].parent}: has {len(numbers)} of {total} parts of the questions ({files[0].name}, …); bring the "
            "others, too, since a score over some of them is none over all"
        )


def _has_films(folder: Path) -> bool:
    return any((folder / name.removesuffix(".zip")).is_dir() for name in ARCHIVES)


def _source(path: Path, records: list[tuple[str, object]], root: Path) -> Source:
    if not records:
        raise ValueError(f"{path}: holds no row; give {_WANTED}")
    first = records[0][1]
    if is_picture_record(first) and not is_vsi_100k(first):
        if path.is_dir():
            raise ValueError(f"{path}: holds questions about pictures; name one of its files")
        return Source(PICTURES, path, records, root)
    kind = "VSI-100k" if is_vsi_100k(first) else "VSI-Bench's fields"
    return Source(kind, path, records, root)


def read_source(source: Source, skip_broken: bool = False) -> ReadRows:
    """Check every record, and return rows.

    skip_broken: leave out records that break a rule instead of refusing them all.

    Raises:
        ValueError: naming the records that break a rule.
    """
    if source.kind == "VSI-100k":
        return rows_of(source.records, source.path, skip_broken)
    return checked(check_row, source.records, source.path, skip_broken)


def check_unpacked(rows: Iterable[dict], root: str | Path) -> None:
    """ValueError where rows ask about films that still lie in an archive."""
    root = Path(root)
    datasets = {row["dataset"] for row in rows}
    packed = [n for n in ARCHIVES if n[:-4] in datasets and (root / n).is_file() and not (root / n[:-4]).is_dir()]
    if packed:
        how = "; ".join(f"unzip {root / name} -d {root}" for name in packed)
        raise ValueError(
            f"{root}: {', '.join(packed)} {'is' if len(packed) == 1 else 'are'} not unpacked, so there is no "
            f"{packed[0][:-4]}/SCENE.mp4; unpack by: {how}; or by: vsr fetch vsi-bench --out {root}"
        )
