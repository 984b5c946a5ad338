"""The check that every row with VSI-Bench's fields passes before it is asked, trained on or scored.

An error names the row's place, the field, the rule and the remedy, because a question that cannot be answered correctly
would otherwise count as answered wrongly. The last rule tests that directly: the ground truth itself, given as an
answer, must be scored as right by the reader that rewards and scores use. Empty fields as table programs write them
(None, NaN, "nan", "[]", …) mean no options, and a list written as text is read as a list.
Left out: whether a ground truth is true.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable

from vsr_kit.prompts import answer_choices, parse_answer, same_answer, same_words
from vsr_kit.prompts.numbers import canonical_number
from vsr_kit.questions import CHOICE_TYPES, HELD_OUT_TYPES, MATHEMATICS, NUMERIC_TYPES, PHRASINGS, QUESTION_TYPES
from vsr_kit.validation import parse_json, shown, text_fault, unwritable

FIELDS = ("id", "dataset", "scene_name", "question_type", "question", "options", "ground_truth")
_NOTHING = {"", "nan", "none", "null", "[]", "()", "<na>", "na", "n/a", "nat"}  # as table programs write an empty field
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_OPTION = re.compile(r"([A-H])[.):]\s*(\S.*)")


def check_rows(records: Iterable[tuple[str, object]]) -> list[dict]:
    """Check every (place, record), and that no two have one id.

    Raises:
        ValueError: naming place, field, rule and remedy of the first record that breaks one.
    """
    rows, seen = [], {}
    for where, record in records:
        row = check_row(record, where)
        key = row["dataset"], str(row["id"])
        if key in seen:
            rule = "give every question of a data set an id of its own"
            raise ValueError(f"{where}: field 'id' {shown(row['id'])} is {seen[key]}'s, too; {rule}")
        seen[key] = _short_place(where)
        rows.append(row)
    return rows


def _short_place(where: str) -> str:
    return where.rpartition(", ")[2]


def check_row(record: object, where: str) -> dict:
    """Return the row: truth as text, options a list or None, `phrasing` filled in; a number stays a number as an id.

    Raises:
        ValueError: naming `where`, field, rule and remedy.
    """
    if not isinstance(record, dict):
        raise ValueError(f"{where}: is a {type(record).__name__}, must be an object with {', '.join(FIELDS)}")
    if missing := [field for field in FIELDS if field not in record and field != "options"]:
        raise ValueError(f"{where}: field {missing[0]!r} is missing; a row needs {', '.join(FIELDS)}")
    if half := unwritable(record):
        raise ValueError(f"{where}: holds {half}, half of a character, which no file can keep; write it whole")
    row = {name: _as_python(value) for name, value in record.items()}
    row["options"] = _options(row.get("options"))
    if isinstance(row["ground_truth"], (int, float)) and not isinstance(row["ground_truth"], bool):
        row["ground_truth"] = str(row["ground_truth"])
    _check_texts(row, where)
    kind = row["question_type"]
    if kind not in QUESTION_TYPES:
        raise ValueError(f"{where}: field 'question_type' is {shown(kind)}, must be one of {', '.join(QUESTION_TYPES)}")
    if _is_nothing(row.get("phrasing")):
        row["phrasing"] = "vsi-100k" if kind in CHOICE_TYPES and row["options"] is None else "vsi-bench"
    if row["phrasing"] not in PHRASINGS:
        found = shown(row["phrasing"])
        raise ValueError(f"{where}: field 'phrasing' is {found}, must be one of {', '.join(PHRASINGS)}")
    if kind == MATHEMATICS:
        _check_mathematics(row, where)
        return row
    check = _check_number if kind in NUMERIC_TYPES else _check_word if row["options"] is None else _check_letter
    check(row, where)
    return row


def _as_python(value: object) -> object:
    """NumPy's scalars and arrays, and tuples, as Python's own."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return list(value) if isinstance(value, tuple) else value


def _is_nothing(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _NOTHING
    return value is None or (isinstance(value, list) and not value) or (isinstance(value, float) and math.isnan(value))


def _options(value: object) -> object:
    """Options as they were before a table program wrote them as text; None for none."""
    if _is_nothing(value):
        return None
    if isinstance(value, str) and value.strip().startswith("["):
        for read in (parse_json, ast.literal_eval):
            try:
                return read(value.strip()) or None
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return value


def _check_texts(row: dict, where: str) -> None:
    row["id"] = _checked_id(row["id"], where)
    for field in ("dataset", "scene_name", "question_type", "question", "ground_truth"):
        value = row[field]
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{where}: field {field!r} is {shown(value)}, must be text that is not empty")
        if fault := text_fault(value, breaks=field == "question"):
            raise ValueError(f"{where}: field {field!r} {fault}")


def _checked_id(value: object, where: str) -> str | int:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # a table program's column of whole numbers
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise ValueError(f"{where}: field 'id' is {shown(value)}, must be text that is not empty, or a whole number")
    if fault := text_fault(str(value)):
        raise ValueError(f"{where}: field 'id' {fault}")
    return value


def _check_number(row: dict, where: str) -> None:
    answer = row["ground_truth"]
    if row["options"] is not None:
        found = shown(row["options"])
        raise ValueError(
            f"{where}: field 'options' is {found}, but {row['question_type']} asks for a number; remove it"
        )
    value = float(answer) if _NUMBER.fullmatch(answer.strip()) else math.nan
    if not math.isfinite(value):
        found = shown(answer)
        raise ValueError(f"{where}: field 'ground_truth' is {found}, must be a number such as 3 or 1.5, no unit")
    if value <= 0:
        rule = "must be above 0, since the metric divides by it"
        raise ValueError(f"{where}: field 'ground_truth' is {shown(answer)}, {rule}; correct or remove the row")
    read = parse_answer(canonical_number(value), row).value
    if read is None or abs(float(read) - value) > 0.01 * value:
        rule = f"which no answer can earn: it is read as {read or 'no number'}"
        raise ValueError(f"{where}: field 'ground_truth' is {shown(answer)}, {rule}; correct or remove the row")


def _lettered(row: dict, where: str) -> tuple[list[re.Match], str]:
    """Options taken apart, and what an error tells of them, which it does where they or the truth are no letters."""
    options, answer = row["options"], row["ground_truth"]
    texts = [option if isinstance(option, str) else "" for option in options] if isinstance(options, list) else []
    found = [_OPTION.fullmatch(text.strip()) for text in texts]
    letters = "".join(match[1] for match in found if match)
    told = f"{where}: field 'options' is {shown(options)} and 'ground_truth' {shown(answer)}"
    if len(found) < 2 or not all(found) or letters != "ABCDEFGH"[: len(found)] or answer not in set(letters):
        raise ValueError(
            f"{told}: options must be two to eight that read 'A. …', 'B. …' in order, and the ground truth one of "
            "their letters; or remove the options, and phrasing is vsi-100k"
        )
    for text in texts:
        if fault := text_fault(text):
            raise ValueError(f"{where}: field 'options' {fault}")
    return [match for match in found if match], told


def _check_letter(row: dict, where: str) -> None:
    found, told = _lettered(row, where)
    answer = row["ground_truth"]
    spelled = [same_words(match[2]) or match[2] for match in found]
    if len(set(spelled)) < len(spelled):
        raise ValueError(f"{told}: two options say the same; leave one of them out, or the row")
    if row["phrasing"] != "vsi-bench":
        rule = "options with letters are VSI-Bench's phrasing; set it to vsi-bench, or remove the options"
        raise ValueError(f"{where}: field 'phrasing' is {row['phrasing']!r}: {rule}")
    if min(map(len, spelled)) == 1 and parse_answer(answer, row).value != answer:  # an option that says "B"
        raise ValueError(f"{told}: the letter alone is not read as the answer; reword the options")


def _check_mathematics(row: dict, where: str) -> None:
    """Letters or a free answer; `unit`, `precision` and `data_type` where the row has them."""
    precision, answer = row.get("precision"), row["ground_truth"]
    whole = isinstance(precision, (int, float)) and not isinstance(precision, bool) and precision in range(13)
    if not _is_nothing(precision) and not whole:
        found = shown(precision)
        raise ValueError(
            f"{where}: field 'precision' is {found}, must be the digits behind the point, 0 to 12, or None"
        )
    unit, medium = row.get("unit"), row.get("data_type")
    if not _is_nothing(unit) and (not isinstance(unit, str) or text_fault(unit)):
        raise ValueError(f"{where}: field 'unit' is {shown(unit)}, must be text such as 'cm', or None")
    if medium not in (None, "image", "video"):
        raise ValueError(f"{where}: field 'data_type' is {shown(medium)}, must be 'image' or 'video'")
    if row["options"] is not None:
        found, told = _lettered(row, where)
        texts = ["".join(match[2].split()) for match in found]
        if len(set(texts)) < len(texts):
            raise ValueError(f"{told}: two options say the same; leave one of them out, or the row")
    read = parse_answer(answer, row)
    if read.value is None or not same_answer(read.value, answer, read.kind):
        rule = f"which no answer can earn: it is read as {read.value or read.reason}"
        raise ValueError(f"{where}: field 'ground_truth' is {shown(answer)}, {rule}; correct or remove the row")


def _check_word(row: dict, where: str) -> None:
    answer, kind = row["ground_truth"], row["question_type"]
    if row["phrasing"] != "vsi-100k" or kind in HELD_OUT_TYPES:
        rule = f"a row of {kind} in {row['phrasing']} wording needs options; add them: 'A. …', 'B. …'"
        other = "" if kind in HELD_OUT_TYPES else ", or set phrasing to vsi-100k, and the ground truth to a word"
        raise ValueError(f"{where}: field 'options' is None: {rule}{other}")
    offered = [choice.text for choice in answer_choices(row)]
    if not offered:
        rule = "without options the question must name what to choose from in brackets, such as (chair, table)"
        raise ValueError(f"{where}: field 'question' is {shown(row['question'])}: {rule}; add them, or options")
    word = same_words(answer)
    if word not in map(same_words, offered) or parse_answer(answer, row).value != word:
        rule = f"which no answer can earn: the row has no options, and its words are {', '.join(offered)}"
        raise ValueError(f"{where}: field 'ground_truth' is {shown(answer)}, {rule}; add options, or correct it")
