"""A table of rollouts as plain data for a page: every row with what the kit read in it, and the facets by numbers.

`pack` turns a `RolloutTable` into lists and dictionaries; the page's script counts and filters these as the table
does, so that the page and the widget in a notebook agree. Nothing is rounded: a measure is kept as its different
values and one number a row that points at them, which also makes the page small. Questions and rooms are shared by all
runs of a page.
What a training recorded of tokens goes along, and for every answer to a question its line on the plan, so that the
page can draw those that its filter leaves.
`embedded` makes text of it that is harmless inside a page whatever a model wrote: compressed JSON in base64 has no
bracket, quote or line separator.
Left out: pages (browser.py), and drawing rooms (rooms.py).
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vsr_kit.evaluation.token_texts import MEASURES
from vsr_kit.inspection import CHANGES, OUTCOMES, SIGNS, RolloutTable
from vsr_kit.inspection.columns import KEY
from vsr_kit.inspection.table import ORDERS
from vsr_kit.pages.rooms import RoomPictures

BINS = 10  # of a histogram, as in the widget
_ASKED = ("id", "dataset", "scene_name", "question_type", "question", "ground_truth")


@dataclass
class Shared:
    """What several runs of a page have in common.

    Attributes:
        rooms: draws the rooms.
        questions: every different question, in the order in which they come.
    """

    rooms: RoomPictures = field(default_factory=RoomPictures)
    questions: list[dict] = field(default_factory=list)
    _places: dict[tuple, int] = field(default_factory=dict)

    def question(self, row: Mapping) -> int:
        """The place of a row's question among the questions."""
        options = row.get("options")
        options = None if options is None or isinstance(options, float) else [str(option) for option in options]
        told = (*(str(row[name]) for name in _ASKED), tuple(options or ()))
        if told not in self._places:
            self._places[told] = len(self.questions)
            asked: dict[str, Any] = dict(
                zip(("id", "dataset", "scene", "type", "question", "truth"), told[:-1], strict=True)
            )
            asked |= {"key": row[KEY], "options": options, "asked": self.rooms.asked(row)}
            self.questions.append(asked)
        return self._places[told]


def pack(table: RolloutTable, shared: Shared, note: str = "") -> dict[str, Any]:
    """A table as a page has it: `rows` are columns of equal length, whose numbers point into the lists beside them.

    note: a sentence that stands above the run.
    """
    rows = table.frame.to_dict("records")
    everywhere = np.arange(len(table))
    columns = _columns(table, rows)
    codes, read = {name: _coded(list(values)) for name, values in columns.items()}, columns["read"]
    signs = sum(np.asarray(table.sign(sign), int) << at for at, sign in enumerate(SIGNS))
    return {
        "name": table.name,
        "kind": "rollouts" if table.steps else "answers",
        "note": note,
        "steps": table.steps,
        "measures": [_measure(table, name, everywhere) for name in table.measures],
        "lists": {name: values for name, (values, _) in codes.items()},
        "rows": {name: numbers for name, (_, numbers) in codes.items()}
        | {"question": [shared.question(row) for row in rows], "signs": np.asarray(signs).tolist()}
        | {"step": [None if math.isnan(step) else int(step) for step in table.frame["step"]]},
        "marks": _marks(rows, read, shared.rooms),
        "tokens": _tokens(table),
    }


def _columns(table: RolloutTable, rows: list[dict]) -> dict[str, Any]:
    """Columns of which many rows have the same value: texts, what was read in them, and facets."""
    return {
        "text": table.frame["completion"].tolist(),
        "read": [_read(row) for row in rows],
        "outcome": table.outcomes.tolist(),
        "change": table.changes.tolist(),
        "label": table.frame["label"].tolist(),
    }


def _coded(values: list[Hashable]) -> tuple[list, list[int]]:
    """Different values in the order in which they come, and for each row the place of its own among them."""
    places: dict[Hashable, int] = {}
    numbers = [places.setdefault(value, len(places)) for value in values]
    return list(places), numbers


def _read(row: Mapping) -> tuple:
    """What the kit's parser read in a row: (answer, reason why none, start and end of the answer in the text)."""
    from vsr_kit.plots.tables import answer_span, read_if_known

    there = {name: value for name, value in row.items() if not (isinstance(value, float) and math.isnan(value))}
    answer, reason = read_if_known(row["completion"], there)
    span = None if answer is None else answer_span(row["completion"], answer)
    start, end = (None, None) if span is None else (_script_length(row["completion"][:at]) for at in span)
    return answer, reason, start, end


def _script_length(text: str) -> int:
    """How long a text is for a script, which counts characters beyond the first 65,536 twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _measure(table: RolloutTable, name: str, everywhere: np.ndarray) -> dict[str, Any]:
    """A measure with its values, the place of each row's, and the bounds of its histogram's bars."""
    from vsr_kit.plots.steps import measure_name

    values, numbers = _coded([None if math.isnan(value) else value for value in table.values(name).tolist()])
    bins = [[low, high] for low, high, _ in table.histogram(everywhere, name, BINS)]
    return {"name": name, "told": measure_name(name), "values": values, "numbers": numbers, "bins": bins}


def _marks(rows: list[dict], read: list[tuple], rooms: RoomPictures) -> dict[str, dict]:
    """By question's key what `RoomPictures.lines` gives for all its answers; questions without lines are left out."""
    about: dict[str, Mapping] = {}
    answers: dict[str, dict[str, None]] = {}
    for row, (answer, *_) in zip(rows, read, strict=True):
        about.setdefault(row[KEY], row)
        answers.setdefault(row[KEY], {}).update({} if answer is None else {answer: None})
    drawn = {key: rooms.lines(row, answers[key]) for key, row in about.items()}
    return {key: lines for key, lines in drawn.items() if lines}


def _tokens(table: RolloutTable) -> dict[str, Any]:
    """What was recorded of tokens: by row its tokens as places in a list of texts, special ones by name, and numbers.

    `measures` are those that some row has; a page offers them and no others.
    """
    texts: dict[str, int] = {}
    rows = {
        at: {
            "tokens": [texts.setdefault(token, len(texts)) for token in one.tokens],
            "specials": {place: name for place, name in enumerate(one.specials) if name},
            "values": {name: [v if math.isfinite(v) else None for v in own] for name, own in one.values.items()},
            "other": one.other_scene,
        }
        for at, one in sorted(table.token_measures.items())
        if one.tokens and not one.reason
    }
    known = {name for one in rows.values() for name in one["values"]}
    return {"texts": list(texts), "rows": rows, "measures": [name for name in MEASURES if name in known]}


def told() -> dict[str, Any]:
    """Words that every page needs: names of facets' values in their order, of types, and of orders."""
    from vsr_kit.plots.answer_marks import MOST_ANSWERS
    from vsr_kit.plots.style import TASK_NAMES
    from vsr_kit.plots.token_colours import colour_rules

    return {
        "colours": colour_rules(),
        "most_answers": MOST_ANSWERS,
        "outcomes": OUTCOMES,
        "changes": CHANGES,
        "signs": SIGNS,
        "types": TASK_NAMES,
        "orders": ORDERS,
    }


def embedded(data: Mapping) -> str:
    """Data as it stands in a page: JSON, compressed, in base64. Same data, same text."""
    held = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(held.encode("utf-8", "replace"), mtime=0)).decode()


def unpacked(text: str) -> dict:
    """The data of `embedded`."""
    return json.loads(gzip.decompress(base64.b64decode(text)))
