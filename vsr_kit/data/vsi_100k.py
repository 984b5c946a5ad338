r"""VSI-100k, the paper's training set, read into rows with VSI-Bench's fields.

It was released in June 2025 as annotations without films: `OPPOer/VSI-100k` on the hub, one JSON file a question type
(the authors' announcement is issue 2 of their repository R1-Zero-VSI). Its scenes are ScanNet's, so the films come from
ScanNet by a licence of one's own (scans.py reads them).

What was verified while this was written: that the release exists, that it has a file `object_counting.json` of 862 kB,
and the six wordings, which are in the paper (Fig. 2). What was not: the names of a record's fields, since no copy of
the files could be opened. So this reader takes the names that are in use for such rows, and refuses a record that has
none of them by naming those that it has:

- the question: `question`, `problem`, or the human's turn in `conversations` (`from`, `value`) or `messages` (`role`,
  `content`);
- the answer: `ground_truth`, `answer`, `solution` (also as `<answer>3</answer>`), or the other turn;
- the scene: a name such as `scene0000_00` in `scene_name`, `scene_id`, `scene`, `video_filename`, `video_path`,
  `video`, `image`, `images` or `path`, or as the key that records stand under;
- the type: the question's wording tells it, whatever its spaces and commas. A type that is stated must agree.

Files are JSON lists, JSON objects of scenes, JSON lines or parquet. Every row then passes `checking.check_row`.
Left out: downloading (fetching.py), several turns, and questions in other words, which have no type here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Formatter

from vsr_kit.data.checking import FIELDS, check_row
from vsr_kit.data.rows import read_records
from vsr_kit.questions.types import VSI_100K
from vsr_kit.questions.wordings import LONGEST, TEMPLATES
from vsr_kit.validation import parse_json, shown

HUB_ID_VSI_100K = "OPPOer/VSI-100k"
SCENE = re.compile(r"scene\d{4}_\d{2}")
_QUESTION, _ANSWER = ("question", "problem"), ("ground_truth", "answer", "solution")
_SCENE = ("scene_name", "scene_id", "scene", "video_filename", "video_path", "video", "image", "images", "path")
_IDS = ("id", "problem_id", "question_id")
_TYPE = ("question_type", "problem_type", "type", "task")
_TURNS = {"conversations": ("from", "value"), "messages": ("role", "content")}
_TAGGED = re.compile(r"\s*<answer>(.*)</answer>\s*", re.DOTALL | re.IGNORECASE)
_PLACEHOLDER = re.compile(r"(?:image-\d+:\s*)?<(?:image|video)>\s*", re.IGNORECASE)
KINDS = (
    "object_counting",
    "object_abs_distance",
    "object_rel_distance",
    "object_rel_direction_easy",
    "object_size_estimation",
    "room_size_estimation",
)
_STATED = {kind.replace("object_", "").replace("_", ""): kind for kind in KINDS}
_STATED |= {"counting": "object_counting", "count": "object_counting", "absolutedistance": "object_abs_distance"}
_STATED |= {"relativedistance": "object_rel_distance", "reldirection": "object_rel_direction_easy"}
_STATED |= {"relativedirection": "object_rel_direction_easy", "size": "object_size_estimation"}
_STATED |= {"roomsize": "room_size_estimation"}
_ENDS = (".json", ".jsonl", ".parquet", ".json.gz", ".jsonl.gz")
_NAMED = 3  # rows that an error names one by one


@dataclass(frozen=True)
class ReadRows:
    """Rows of a file or folder, and a line for each record that was left out, with the reason."""

    rows: list[dict]
    left_out: tuple[str, ...] = ()


def load_vsi_100k(path: str | Path, *, skip_broken: bool = False) -> ReadRows:
    """Read VSI-100k's annotations: a file, or a folder of them.

    Args:
        path: one of the release's files, or the folder that `vsr fetch vsi-100k` filled.
        skip_broken: leave out records that cannot be used instead of refusing them all.

    Returns:
        Rows of data set `scannet` in the wording `vsi-100k`; an id is the file's name and the record's own, or its
        place.

    Raises:
        ValueError: naming file, record, field, rule and remedy.
    """
    return rows_of(records_of(files_of(path)), path, skip_broken)


def files_of(path: str | Path) -> tuple[Path, ...]:
    """The files of a release: the file itself, or those of a folder, by name.

    Raises:
        ValueError: nothing is there.
    """
    path = Path(path)
    if path.is_file():
        return (path,)
    found = sorted(each for each in path.glob("*") if each.name.endswith(_ENDS) and not each.name.startswith("."))
    found = [each for each in found if each.stem != "dataset_infos" and "_meta_info_" not in each.name]
    if not found:
        raise ValueError(
            f"{path}: {'holds' if path.is_dir() else 'there is'} no {', '.join(_ENDS[:3])}; give VSI-100k's files, "
            f"which vsr fetch vsi-100k brings ({HUB_ID_VSI_100K})"
        )
    return tuple(found)


def is_vsi_100k(record: object) -> bool:
    """Whether a record has a question, an answer and a scene in this form, and is no row with VSI-Bench's fields."""
    if not isinstance(record, Mapping) or all(field in record for field in FIELDS if field != "options"):
        return False
    asked = any(name in record for name in (*_QUESTION, *_TURNS))
    told = any(name in record for name in (*_ANSWER, *_TURNS))
    return asked and told and bool(_scenes(record))


def records_of(files: Iterable[Path]) -> Iterator[tuple[str, object]]:
    """(place, record) of every record of the files; one of an object of scenes has its key as `_scene`."""
    for path in files:
        whole = _object_of(path)
        if whole is None:
            yield from read_records(path, "VSI-100k's annotations, as JSON, JSON lines or parquet")
            continue
        for scene, records in whole.items():
            each = records if isinstance(records, list) else [records]
            for number, record in enumerate(each, 1):
                place = f"{path}, {shown(scene)}, record {number}"
                yield place, {"_scene": scene, **record} if isinstance(record, Mapping) else record


def _object_of(path: Path) -> dict | None:
    """A file that is one JSON object of scenes; None for any other."""
    if not path.name.endswith(".json"):
        return None
    try:
        whole = parse_json(path.read_text(encoding="utf-8-sig"))
    except ValueError:
        return None  # JSON lines, or broken, which the other reader will say
    return whole if isinstance(whole, dict) and any(SCENE.search(str(key)) for key in whole) else None


def rows_of(records: Iterable[tuple[str, object]], path: str | Path, skip_broken: bool = False) -> ReadRows:
    """Rows of records, as `load_vsi_100k` makes them; path: what the errors call them all."""
    return checked(_row, records, path, skip_broken)


def checked(
    make: Callable[[object, str], dict], records: Iterable[tuple[str, object]], path: str | Path, skip_broken: bool
) -> ReadRows:
    """The rows that `make(record, where)` makes of records, ids all different; it raises ValueError for a bad one.

    Raises:
        ValueError: naming how many records break a rule, and the first ones; with `skip_broken`, only if none is left.
    """
    rows: list[dict] = []
    broken: list[str] = []
    seen: dict[tuple, str] = {}
    for where, record in records:
        try:
            row = make(record, where)
            key = row["dataset"], str(row["id"])
            if (first := seen.setdefault(key, where)) != where:
                raise ValueError(
                    f"{where}: field 'id' {shown(row['id'])} is that of {first}, too; give every question of a data "
                    "set an id of its own"
                )
        except ValueError as error:
            broken.append(str(error))
            continue
        rows.append(row)
    if broken and (not skip_broken or not rows):
        first = "; ".join(broken[:_NAMED])
        remedy = "mend them" + ("" if not rows else ", or go on without them: --skip-broken-clips (skip_broken=True)")
        raise ValueError(f"{path}: {len(broken)} of {len(broken) + len(rows)} rows cannot be used: {first}; {remedy}")
    if not rows:
        raise ValueError(f"{path}: holds no row")
    return ReadRows(rows, tuple(broken))


def _row(record: object, where: str) -> dict:
    if not isinstance(record, Mapping):
        raise ValueError(f"{where}: is a {type(record).__name__}, must be an object with a question and its answer")
    question = _PLACEHOLDER.sub("", _text(record, where, _QUESTION, "the question", asked=True)).strip()
    answer = _text(record, where, _ANSWER, "the answer", asked=False)
    answer = tagged[1] if (tagged := _TAGGED.fullmatch(answer)) else answer
    ident = next((record[name] for name in _IDS if record.get(name) is not None), None)
    scene = _scene(record, where)
    parts = [Path(where.split(", ")[0]).name.split(".")[0], *([scene] if "_scene" in record else [])]
    place = re.findall(r"\d+", where)[-1] if ident is None else ident
    row = {
        "id": "-".join([*parts, str(place)]),
        "dataset": "scannet",
        "scene_name": scene,
        "question_type": _type(record, question, where),
        "question": question,
        "options": record.get("options") or None,
        "ground_truth": answer.strip(),
    }
    row["phrasing"] = "vsi-100k" if row["options"] is None else "vsi-bench"
    return check_row(row, where)


def _text(record: Mapping, where: str, names: tuple[str, ...], what: str, asked: bool) -> str:
    """The question or the answer: a field of that name, else the first turn of a conversation, or its last."""
    for name in names:
        if isinstance(value := record.get(name), (str, int, float)) and not isinstance(value, bool):
            return str(value)
    for name, (_, text) in _TURNS.items():
        turns = record.get(name)
        said = [turn for turn in turns if isinstance(turn, Mapping)] if isinstance(turns, list) else []
        said = [turn for turn in said if turn.get("from", turn.get("role")) != "system"]
        if len(said) == 2 and isinstance(value := said[0 if asked else 1].get(text), str):
            return value
    has = ", ".join(map(str, record)) or "nothing"
    raise ValueError(
        f"{where}: {what} is in none of the fields {', '.join(names)} or {', '.join(_TURNS)} (a question and an "
        f"answer); the record has {has}: rename its field to {names[0]!r}"
    )


def _scenes(record: Mapping) -> set[str]:
    """The scenes that a record's fields name, as texts or lists of texts."""
    values = [record.get(field) for field in (*_SCENE, "_scene")]
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return {name for text in texts if isinstance(text, str) for name in SCENE.findall(text)}


def _scene(record: Mapping, where: str) -> str:
    found = _scenes(record)
    if len(found) != 1:
        told = f"names {len(found)} scenes ({', '.join(sorted(found))})" if found else "names no scene"
        raise ValueError(
            f"{where}: {told}; one such as scene0000_00 must stand in one of {', '.join(_SCENE)}; the record has "
            f"{', '.join(map(str, record))}: rename its field to 'scene_name'"
        )
    return found.pop()


def _type(record: Mapping, question: str, where: str) -> str:
    """The type that the wording tells, which a stated one may not contradict."""
    kind = next((kind for kind, pattern in _patterns() if pattern.fullmatch(_squashed(question[:LONGEST]))), None)
    stated = next((str(record[name]) for name in _TYPE if isinstance(record.get(name), str)), "")
    spelled = stated.lower().replace("object_", "").replace("_", "").replace(" ", "").replace("-", "")
    known = _STATED.get(spelled)
    if kind is None:
        raise ValueError(
            f"{where}: the question {shown(question)} has none of VSI-100k's six wordings, such as "
            f"{VSI_100K['object_counting']!r}; reword it, or leave the record out"
        )
    if known not in (None, kind):
        raise ValueError(f"{where}: is called {stated!r}, and the question is one of {kind}: correct one of them")
    return kind


@cache
def _patterns() -> tuple[tuple[str, re.Pattern], ...]:
    """Both phrasings' wordings of the six types without spaces and commas, VSI-100k's first."""
    return tuple((kind, _pattern(each[kind])) for each in (VSI_100K, TEMPLATES["vsi-bench"]) for kind in KINDS)


def _pattern(template: str) -> re.Pattern:
    parts, seen = [], set()
    for literal, name, _, _ in Formatter().parse(template):
        parts.append(re.escape(_squashed(literal)))
        if name is not None:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.{{1,200}}?)")
            seen.add(name)
    return re.compile("".join(parts))


def _squashed(text: str) -> str:
    return re.sub(r"[\s,]+", "", text.lower())
