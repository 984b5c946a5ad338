"""Numbers in the prose of notebooks, and what the notebooks' code and outputs say, so that a test can compare the two.

`figures` finds in a markdown cell the numbers that a reader takes for facts. In digits: decimals, percentages, points
and whole numbers from 10 on. In words: fractions ("a third of", "half"), multiples ("twice", "three times"), shares
("three of ten", "one in twenty") and counts of points, seeds, runs and the like. `Told` has one notebook's prose, code
and committed outputs.
Left out: formulas, code, tables, numbers of headings, sections and papers, names such as VSI-100k, and what is asked
and not said: paragraphs that begin with *Predict* or *Find*, and questions.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

_UP_TO_TWENTY = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
WORDS = {word: value for value, word in enumerate(_UP_TO_TWENTY, 1)}
WORDS |= {
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "ten thousand": 10_000,
    "fifteen thousand": 15_000,
}
FRACTIONS = {"tenth": 0.1, "fifth": 0.2, "quarter": 0.25, "third": 1 / 3, "half": 0.5, "two thirds": 2 / 3}
FRACTIONS |= {"three quarters": 0.75, "nine tenths": 0.9}
COUNTED = "points?|per cent|seeds|runs|rooms|rollouts|intervals|rows|lines|tokens"

_WORD = "|".join(sorted(WORDS, key=len, reverse=True))  # longer ones first: a pattern takes the first that fits
_FRACTION = r"two thirds|three quarters|nine tenths|one half|half(?= of\b| as\b| the\b)"
_PART = r"(?:a|one) (?:third|quarter|fifth|tenth)(?= of\b| as\b| at\b| shorter\b|[.,;:)]|$)"  # and no `a third set`
_IN_WORDS = re.compile(
    rf"\b(?:(?P<fraction>{_FRACTION}|{_PART})"
    rf"|(?P<times>(?:twice|(?:{_WORD}) times)(?= as\b| the\b| that\b| what\b| with\b| more\b| G\b))"
    rf"|(?P<share>(?:{_WORD}) (?:of|in) (?:{_WORD}))"
    rf"|(?P<count>(?:(?:{_WORD}) (?:or|to) )?(?:{_WORD}) (?:{COUNTED})))\b",
    re.IGNORECASE,
)
_IN_DIGITS = re.compile(r"(?<![\w.,^/-])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?![\w^]|[.,-]\d|-[a-zA-Z])")
_RESULT = re.compile(r" ?%| per cent| points?\b")  # behind a whole number that is a result and no setting
_NO_NUMBERS = re.compile(
    r"arXiv \d+\.\d+|(?:[Nn]otebooks?|[Ss]ections?|Table|Fig\.) \d+(?:,? (?:and|to) \d+)?|\(\d\d\)|Qwen2-VL-2B"
)


@dataclass(frozen=True)
class Figure:
    """A number in prose.

    Attributes:
        cell: the id of the markdown cell.
        sentence: where it stands.
        at: its first character in the sentence.
        text: as written, such as `5.8` or `a third`.
        kind: `result` and `setting` (in digits); `fraction`, `times`, `share` and `count` (in words).
    """

    cell: str
    sentence: str
    at: int
    text: str
    kind: str

    @property
    def in_digits(self) -> bool:
        return self.kind in ("result", "setting")

    @property
    def decimals(self) -> int:
        return _decimals(self.text)

    @property
    def plain(self) -> str:
        """In digits without sign and commas."""
        return self.text.replace(",", "").lstrip("+-")

    def says(self, value: float | tuple[float, ...]) -> bool:
        """Whether values, rounded as this is written, are what it says. Signs are not compared: a loss of 3 is -3."""
        if self.in_digits:
            return f"{abs(value):.{self.decimals}f}" == self.plain
        text = self.text.lower()
        if self.kind == "fraction":  # the nearest that has a name
            return re.sub(r"^(an?|one|the) ", "", text) == min(FRACTIONS, key=lambda name: abs(FRACTIONS[name] - value))
        if self.kind == "share":
            few, many = (WORDS[word] for word in re.split(" (?:of|in) ", text))
            return round(value * many) == few
        values = value if isinstance(value, tuple) else (value,)
        return [round(abs(one)) for one in values] == [2 if w == "twice" else WORDS[w] for w in _numbers_in(text)]

    def changed(self, step: int) -> Figure:
        """One in digits, off by so many units of its last place."""
        value = float(self.plain) + step * 10.0**-self.decimals
        return replace(self, text=f"{value:.{self.decimals}f}")


def _numbers_in(text: str) -> list[str]:
    return re.findall(rf"\b(?:twice|{_WORD})\b", text)


def _decimals(number: str) -> int:
    return len(number.partition(".")[2])


def sentences(markdown: str) -> list[str]:
    """What a cell says, sentence by sentence, without code, formulas, tables, links' targets and questions."""
    text = markdown.replace("−", "-")
    text = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|`[^`]*`", "…", text, flags=re.DOTALL)
    text = re.sub(r"\[\d+\]\([^)]*\)", "…", text)  # a notebook's number
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    found = []
    for paragraph in text.split("\n"):
        if not re.match(r"\s*(\||\*Predict|\*Find|\*Before you run)", paragraph):
            paragraph = re.sub(r"^#+ (\d+\. )?", "", paragraph)
            found += re.split(r"(?<=[.?!])[*)\"]* +(?=[*(\[A-Z\"])", paragraph)
    return [sentence for sentence in found if sentence.strip() and not sentence.endswith("?")]


def figures(cell: str, markdown: str) -> list[Figure]:
    """The numbers of a markdown cell, in their order."""
    found = []
    for sentence in sentences(markdown):
        plain = _NO_NUMBERS.sub(lambda name: "·" * len(name[0]), sentence)  # places stay what they are
        own = []
        for number in _IN_DIGITS.finditer(plain):
            result = "." in number[0] or _RESULT.match(plain, number.end())
            if result or abs(int(number[0].replace(",", ""))) >= 10:
                kind = "result" if result else "setting"
                own.append(Figure(cell, sentence, number.start(), number[0], kind))
        for words in _IN_WORDS.finditer(plain):
            own.append(Figure(cell, sentence, words.start(), words[0], words.lastgroup))
        found += sorted(own, key=lambda figure: figure.at)
    return found


class Told:
    """What one notebook says: its prose, its code, and its committed outputs.

    Args:
        path: of the notebook.
    """

    def __init__(self, path: Path):
        self.name = re.sub(r"^\d+_", "", path.stem)  # without its number, which may change
        self.cells = json.loads(path.read_text(encoding="utf-8"))["cells"]

    def _of_kind(self, kind: str) -> list[dict]:
        return [cell for cell in self.cells if cell["cell_type"] == kind]

    @cached_property
    def figures(self) -> list[Figure]:
        cells = self._of_kind("markdown")
        return [figure for cell in cells for figure in figures(cell["id"], "".join(cell["source"]))]

    @cached_property
    def sentences(self) -> list[str]:
        return [each for cell in self._of_kind("markdown") for each in sentences("".join(cell["source"]))]

    @cached_property
    def code(self) -> str:
        return "\n".join("".join(cell["source"]) for cell in self._of_kind("code"))

    @cached_property
    def outputs(self) -> str:
        """All that outputs say in words: printed text, alternative texts of figures, tables without their tags."""
        said = []
        for output in (output for cell in self._of_kind("code") for output in cell["outputs"]):
            data = {"text/out": output.get("text", ""), **output.get("data", {})}
            said += ["".join(data.get(f"text/{kind}", "")) for kind in ("out", "plain", "markdown")]
            said.append(_without_tags("".join(data.get("text/html", ""))))
        return "\n".join(said).replace("−", "-")

    @cached_property
    def _numbers(self) -> set[str]:
        text = self.outputs + "\n" + re.sub(r"(?<=\d)_(?=\d)", "", self.code)
        return {number.replace(",", "") for number in re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?", text)}

    def has(self, figure: Figure) -> bool:
        """Whether code or outputs have the number of a figure in digits, and none that is one off in its last place.

        The second part makes the first worth something: a notebook prints so many numbers that a wrong one is often
        among them. Where a neighbour is printed, too, the figure's source has to be named.
        """
        if not figure.in_digits:
            return False
        places = figure.decimals
        there = {f"{float(number):.{places}f}" for number in self._numbers if _decimals(number) >= places}
        return [figure.changed(step).text in there for step in (-1, 0, 1)] == [False, True, False]


def _without_tags(html: str) -> str:
    html = re.sub(r"<(style|svg)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))
