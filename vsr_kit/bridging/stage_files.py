"""The journals of a bridging folder: what each stage wrote, row after row, and how a killed run finds its place.

pseudo_cot.jsonl, description.jsonl and chain.jsonl hold one line a row, in the order of the rows, and are only appended
to; a row that is dropped at a stage has no line in the later ones. So each journal is a prefix of what the stage before
it leads to expect, and anything else is damage, told with its line. settings.json says what the texts hang on.
Left out: what rows are kept, which is worked out from the journals (pipeline.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vsr_kit.bridging.asking import FINISHES, Written
from vsr_kit.bridging.filters import stage_fault
from vsr_kit.bridging.stage_prompts import STAGES
from vsr_kit.files import Damaged, append_lines, drop_torn_line, read_json, read_lines, write_json
from vsr_kit.runs.identity import difference

SETTINGS = "settings.json"
_FIELDS = {"id": (str, int), "dataset": str, "scene_name": str, "text": str, "finish": str, "detail": str}


def row_key(row: Mapping) -> tuple[str, str]:
    """How a row is known: its data set, and its id as text."""
    return str(row["dataset"]), str(row["id"])


class StageFiles:
    """The journals of a folder, opened for writing by one process.

    Args:
        folder: there already, and locked by whoever opens it.
        rows: all rows, in order.

    Attributes:
        written: by stage, what is recorded for each row's key.

    Raises:
        Damaged: a line that is none, or that belongs to another row than the order says.
    """

    def __init__(self, folder: Path, rows: Sequence[Mapping]) -> None:
        self.folder = folder
        self.written: dict[str, dict[tuple[str, str], Written]] = {}
        expected = [row_key(row) for row in rows]
        for stage in STAGES:
            drop_torn_line(self.path(stage))
            self.written[stage] = found = self._read(stage, expected)
            expected = [key for key, written in found.items() if stage_fault(written) is None]

    def path(self, stage: str) -> Path:
        """The journal of a stage."""
        return self.folder / f"{stage}.jsonl"

    def _read(self, stage: str, expected: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Written]:
        found = {}
        for place, line in enumerate(read_lines(self.path(stage), _FIELDS)):
            where = f"{self.path(stage)}, line {place + 1}"
            if place >= len(expected) or row_key(line) != expected[place]:
                wanted = repr(expected[place][1]) if place < len(expected) else "no row"
                raise Damaged(
                    f"{where}: belongs to question {line['id']!r} where {wanted} is expected; restore the file from a "
                    "copy, or remove this line and all below it, here and in the later stages' files"
                )
            if line["finish"] not in FINISHES:
                raise Damaged(f"{where}: finish is {line['finish']!r}, must be one of {', '.join(FINISHES)}")
            found[row_key(line)] = Written(line["text"], line["finish"], line["detail"])
        return found

    def append(self, stage: str, row: Mapping, written: Written) -> None:
        """Record what was written about a row, the next of its stage."""
        line = {"id": row["id"], "dataset": row["dataset"], "scene_name": row["scene_name"]}
        line |= {"text": written.text, "finish": written.finish, "detail": written.detail}
        append_lines(self.path(stage), [line])
        self.written[stage][row_key(row)] = written


def same_settings(folder: Path, now: Mapping) -> None:
    """Write down what a folder's texts hang on, or compare it with what was written.

    Raises:
        ValueError: it differs; nothing was changed.
    """
    path = folder / SETTINGS
    if not path.exists():
        if left := [name for name in _journals() if (folder / name).exists()]:
            raise Damaged(f"{path} is missing beside {left[0]}: restore it from a copy, or give another folder")
        write_json(path, dict(now))
        return
    if told := difference(read_json(path), now):
        raise ValueError(f"{folder} was begun otherwise: {told}; give what it was begun with, or another folder")


def _journals() -> Iterable[str]:
    return (f"{stage}.jsonl" for stage in STAGES)
