r"""Free answers of mathematics: a formula is read out of a text, and two of them are compared.

A formula is what stands in the last `\boxed{…}`, or in the only `$…$` of a sentence, or the only number of one ("The
area is 12 cm"); anything else is taken whole, so that "3 or 4" is a set of two and equals neither. Words are compared
as words (for SymPy "no" is n times o, and equals "on"), lists in square brackets item by item, numbers with a known
unit after conversion, and all else by math-verify (judging.py). Where a row gives MathVista's `precision`, a number is
rounded to so many digits behind the point before it is compared, which is how MathVista scores; where it gives a
`unit`, a number in another known unit is converted to it, and one of another dimension is no answer.

With options an answer is a letter, an option's text, or what equals one option and no other.

What math-verify decides, so that nobody takes it for ours: `50%` equals both 50 and 0.5, a formula in degrees equals
one without, units that are no length or area are dropped, `y=2x+1` is said by `2x+1`, and floats count as equal that
agree in six digits behind the point.
Left out: MathVista's integers that are cut (3.7 is not 3 here), its nearest option by letters that differ, and proofs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from vsr_kit.prompts import wording
from vsr_kit.prompts.candidates import Choice, answer_choices, find_choices, same_words, settle
from vsr_kit.prompts.judging import require, same_latex
from vsr_kit.prompts.markup import plain
from vsr_kit.prompts.numbers import ANY_UNIT, Mention, unit_of

_BOXED = re.compile(r"\\f?box(?:ed)?\s*\{")
_HEADING = re.compile(r"(?:\*\*|#+ ?)?\s*final answer\s*(?:\*\*)?\s*:?\s*(?:\*\*)?", re.IGNORECASE)
_SPAN = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_BOLD = re.compile(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", re.DOTALL)
_NAMES = (
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp sqrt frac dfrac tfrac pi lim max min gcd "
    "lcm mod det deg theta alpha beta gamma infty text mathrm left right times cdot"
).split()
# a word of prose: three letters or more, at the end of no command and beside no digit, power or bracket
_PROSE = re.compile(rf"(?<![\\A-Za-z\d^_{{])(?!(?:{'|'.join(_NAMES)})\b)[A-Za-z]{{3,}}(?![A-Za-z\d^_{{(])")
_NUMBER = re.compile(r"(?<![\w.\\^])[-−+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?: ?/ ?\d+)?(?![\w^])")
_PLAIN = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d{1,3})?)", re.IGNORECASE)
_FRACTION = re.compile(r"([-+]?)(?:\\[dt]?frac ?\{ ?(\d{1,15}) ?\} ?\{ ?(\d{1,15}) ?\}|(\d{1,15}) ?/ ?(\d{1,15}))")
_SCIENTIFIC = re.compile(r"(?<![\w.])(\d+\.?\d*|\.\d+)e([-+]?\d{1,2})(?!\w)", re.IGNORECASE)
_MIXED = re.compile(r"(?<![\w./])(\d{1,9}) (\d{1,9}) ?/ ?(\d{1,9})(?![\w./])")
_WITH_UNIT = re.compile(rf"([-+]?(?:\d+\.?\d*|\.\d+))[\s~]{{0,3}}{ANY_UNIT}\.?", re.IGNORECASE)
_ONLY_UNIT = re.compile(rf"{ANY_UNIT}\.?", re.IGNORECASE)
_NOT_ONE = re.compile(
    r"\b(?:not|no|never|or|nor|less|more|than|least|most|between|maybe|except|but)\b|n't\b", re.IGNORECASE
)
_ROOT = re.compile(r"√ ?(?:\(([^()]*)\)|\{([^{}]*)\}|(\d+(?:\.\d+)?|[A-Za-z]))")
_SPELLED = {
    "−": "-", "–": "-", "×": r"\times ", "·": r"\cdot ", "÷": "/", "π": r"\pi ", "∞": r"\infty ", "°": r"^{\circ}",
    "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "²": "^2", "³": "^3", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "θ": r"\theta ", "∪": r"\cup ", "**": "^", "\u00a0": " ", "\u2009": " ",
}  # fmt: skip
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf|textit|operatorname)\s*\{([^{}]*)\}")
_SPACING = re.compile(r"\\[,;:! ]|\\quad|\\left\b|\\right\b|~")


def read_formula(text: str) -> str:
    r"""The formula of an answer, without what is written around it; the text itself where there is no single one.

    Args:
        text: an answer, or the end of a completion: `$\frac12$`, `\boxed{3}`, `**12 cm**`, "The area is 12 cm.".
    """
    boxed = _last_boxed(text)
    said = text if boxed is None else boxed
    if boxed is None and (headings := list(_HEADING.finditer(said))):
        said = said[headings[-1].end() :] if said[headings[-1].end() :].strip() else said
    said = _bare(said)
    if _PROSE.search(_TEXT.sub(" ", said)):
        said = _bare(_of_prose(said))
    return " ".join(said.split())


def _last_boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{…}` that is closed."""
    for match in reversed(list(_BOXED.finditer(text))):
        depth = 1
        for place in range(match.end(), len(text)):
            depth += (text[place] == "{") - (text[place] == "}")
            if not depth:
                return text[match.end() : place]
    return None


def _bare(text: str) -> str:
    """A text without bold marks, dollars and brackets around all of it, and without punctuation at its ends."""
    for _ in range(4):
        before, text = text, text.strip().strip("`").rstrip(".,;: ").lstrip(":= ")
        for around in (_BOLD, _SPAN):
            if match := around.fullmatch(text):
                text = match[2] if around is _BOLD else next(filter(None, match.groups()))
        if re.fullmatch(r"\(\s*[A-Za-z0-9]\s*\)", text):
            text = text[1:-1]
        if text == before:
            break
    return text


def _of_prose(said: str) -> str:
    """The one formula or number that a sentence holds, with its unit; the sentence itself where it holds several."""
    spans = [next(filter(None, match.groups())) for match in _SPAN.finditer(said)]
    if len(spans) == 1:
        return spans[0]
    numbers = [match for match in _NUMBER.finditer(said) if match[0].strip()]
    if spans or len(numbers) != 1 or _NOT_ONE.search(said):
        return said
    number = numbers[0]
    if wording.is_bound(said, Mention(number[0], *number.span())):
        return said
    unit = re.match(rf"[\s~]{{0,3}}{ANY_UNIT}", said[number.end() :], re.IGNORECASE)
    return number[0] + (unit[0] if unit else "")


def read_mathematics(segment: str, source: str, row: Mapping) -> tuple[str | None, bool]:
    """The answer of a row of mathematics in a part of a completion: (a letter or a formula, whether it is ambiguous).

    Args:
        segment, source: the part that holds the answer, and where it was found, as `settle` takes them.
        row: its `options`, `unit` and `precision` are looked at.

    Raises:
        ImportError: math-verify is not installed.
    """
    require()
    if choices := answer_choices(row):
        return _letter(segment, source, choices)
    said = read_formula(segment)
    if (unit := _unit(row.get("unit"))) is not None:
        said = _in_unit(said, *unit)
    elif row.get("unit"):
        said = said.removesuffix(str(row["unit"])).removeprefix(str(row["unit"])).strip() or said
    return (_rounded(said, row.get("precision")) or None), False


def _letter(segment: str, source: str, choices: Sequence[Choice]) -> tuple[str | None, bool]:
    said, by_label = read_formula(segment), {choice.label: choice for choice in choices}
    if said.upper() in by_label:
        return said.upper(), False
    if len(named := [choice.label for choice in choices if _same_text(said, read_formula(choice.text))]) == 1:
        return named[0], False
    readable = plain(segment)
    mentions = find_choices(readable, tuple(Choice(choice.label, "") for choice in choices))
    answer, ambiguous = settle(readable, mentions, source, lettered=True) if mentions else (None, False)
    if answer is not None:
        beside = re.sub(r"\A[\s).:\]*,-]+", "", readable[answer.end :])
        others = [choice for choice in choices if choice.label != answer.value and beside.strip()]
        contradicts = any(_same_text(read_formula(beside), read_formula(plain(choice.text))) for choice in others)
        return (None, True) if contradicts else (answer.value, False)
    if ambiguous:
        return None, True
    equal = [choice.label for choice in choices if same_formula(said, choice.text)]
    return (equal[0], False) if len(equal) == 1 else (None, len(equal) > 1)


def same_formula(said: str, truth: str) -> bool:
    """Whether an answer equals the truth, by the rules that the module's docstring states.

    Raises:
        ImportError: math-verify is not installed.
    """
    said, truth = read_formula(said), read_formula(truth)
    if _same_text(said, truth):
        return bool(said)
    if not said or _is_words(said) or _is_words(truth):
        return False
    given, wanted = _items(said), _items(truth)
    if given is not None and wanted is not None:
        return len(given) == len(wanted) and all(map(same_formula, given, wanted))
    if (unit := _WITH_UNIT.fullmatch(truth)) and _WITH_UNIT.fullmatch(said):
        said, truth = _in_unit(said, *unit_of(unit)), unit[1]
    return bool(said) and same_latex(_latex(truth), _latex(said))


def _same_text(one: str, other: str) -> bool:
    """Whether two formulas are spelled alike but for spaces, or are the same words."""
    if _is_words(one) and _is_words(other):
        return same_words(_text(one)) == same_words(_text(other))
    return re.sub(r"\s", "", _text(one)) == re.sub(r"\s", "", _text(other))


def _text(formula: str) -> str:
    formula = _SPACING.sub(" ", _TEXT.sub(r"\1", formula))
    return formula.replace("−", "-").replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").strip()


def _is_words(formula: str) -> bool:
    """Whether there are but letters, and they are no name that mathematics has."""
    words = re.fullmatch(r"[^\W\d_]+(?:[\s'’.,!-]+[^\W\d_]+)*", _text(formula))
    return words is not None and len(_text(formula)) > 1 and not set(words[0].lower().split()) <= {*_NAMES, "π"}


def _items(formula: str) -> list[str] | None:
    """The items of a list in square brackets, which may hold lists; None for anything else."""
    if not re.fullmatch(r"\[[^\[\]].*\]|\[\[.*\]\]", formula, re.DOTALL):
        return None
    items, depth = [""], 0
    for char in formula[1:-1]:
        depth += (char in "[({") - (char in "])}")
        if char == "," and not depth:
            items.append("")
        else:
            items[-1] += char
    return items if not depth else None


def _unit(unit: object) -> tuple[str, float] | None:
    """The dimension and the size of a row's unit, if the kit knows it."""
    match = _ONLY_UNIT.fullmatch(unit.strip()) if isinstance(unit, str) else None
    return unit_of(match) if match else None


def _in_unit(said: str, dimension: str, size: float) -> str:
    """A number in a unit as the number in another; empty where the two measure different things."""
    match = _WITH_UNIT.fullmatch(_text(said))
    if match is None:
        return said
    own_dimension, own_size = unit_of(match)
    if own_dimension != dimension:
        return ""
    return match[1] if own_size == size else f"{float(match[1]) * own_size / size:.12g}"


def _rounded(said: str, precision: object) -> str:
    """A number rounded to MathVista's `precision`, digits behind the point; anything else as it is."""
    if isinstance(precision, bool) or not isinstance(precision, (int, float)) or not 0 <= precision <= 12:
        return said  # nan is none of these
    number, text = None, re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", said).replace("−", "-")
    if match := _PLAIN.fullmatch(text):
        number = float(match[1])
    elif (match := _FRACTION.fullmatch(text)) and int(match[3] or match[5]):
        number = int(match[2] or match[4]) / int(match[3] or match[5]) * (-1 if match[1] == "-" else 1)
    return said if number is None or not math.isfinite(number) else str(round(number, int(precision)))


def _latex(formula: str) -> str:
    """A formula with typographic signs and a computer's spellings as LaTeX has them."""
    formula = _ROOT.sub(lambda m: rf"\sqrt{{{m[1] or m[2] or m[3]}}}", formula.replace("$", ""))
    formula = re.sub(r"(?<![\\A-Za-z])(pi|sqrt)(?![A-Za-z])", r"\\\1 ", formula)
    formula = re.sub(r"\\sqrt ?\(([^()]*)\)", r"\\sqrt{\1}", formula)
    for sign, spelled in _SPELLED.items():
        formula = formula.replace(sign, spelled)
    formula = _MIXED.sub(r"\1\\frac{\2}{\3}", formula)
    return _SCIENTIFIC.sub(lambda m: f"{Decimal(f'{m[1]}e{m[2]}'):f}", formula)
