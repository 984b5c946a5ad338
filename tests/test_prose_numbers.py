"""Numbers in the notebooks' prose are what their outputs, the shipped study, the papers' tables or the settings say.

Whoever changes a number in prose, or what it comes from, is told the notebook, the cell, the sentence and the number.

Left out: whole numbers below 10 unless they count points, seeds, runs, rooms and the like; comparisons without a number
("more", "most"); and whether a sentence says the right thing about its number.
"""

import pytest

from tests.prose import Figure, Told, figures
from tests.prose_sources import SOURCES
from vsr_kit.pages.site import course_notebooks

PATHS = {Told(path).name: path for path in course_notebooks()}
NOTEBOOKS = {name: Told(path) for name, path in PATHS.items()}
each = pytest.mark.parametrize("name", NOTEBOOKS)


def within(phrase: str, figure: Figure) -> bool:
    begin = figure.sentence.find(phrase)
    return begin >= 0 and begin <= figure.at < begin + len(phrase)


def listed(told: Told, figure: Figure):
    """The source that SOURCES has for a number; None if it has none."""
    for phrase, sources in SOURCES.get(told.name, {}).items():
        if within(phrase, figure):
            inside = [other.at for other in figures(figure.cell, figure.sentence) if within(phrase, other)]
            sources = sources if isinstance(sources, tuple) else (sources,)
            assert len(inside) == len(sources), f"{told.name}, {phrase!r}: {len(inside)} numbers need a source each"
            return sources[inside.index(figure.at)]
    return None


def problem(told: Told, figure: Figure) -> str:
    """What is wrong with a number; nothing if it is what its source says."""
    where = f"{told.name}, cell {figure.cell}, {figure.sentence!r}: {figure.text!r}"
    source = listed(told, figure)
    if source is None:
        return "" if told.has(figure) else f"{where} is not printed, or not alone: name its source in SOURCES"
    if isinstance(source, str):
        return ""
    value = source(told) if callable(source) else source
    return "" if figure.says(value) else f"{where}, but its source says {value}"


def problems(told: Told) -> list[str]:
    return [found for figure in told.figures if (found := problem(told, figure))]


@each
def test_numbers_in_prose_are_what_their_sources_say(name):
    assert not problems(NOTEBOOKS[name]), "\n".join(problems(NOTEBOOKS[name]))


@each
def test_each_source_is_of_a_number_that_is_there(name):
    told = NOTEBOOKS[name]
    gone = [phrase for phrase in SOURCES.get(name, {}) if not any(within(phrase, figure) for figure in told.figures)]
    assert not gone, f"{name} no longer says {gone}: take it from SOURCES, or mend it"


def test_each_list_of_sources_is_of_a_notebook():
    assert SOURCES.keys() <= NOTEBOOKS.keys()


# -- that these tests would see a change -------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("step", [-1, 1])
def test_a_number_that_is_one_off_is_seen(name, step):
    told = NOTEBOOKS[name]
    for figure in (one for one in told.figures if one.in_digits):
        source, changed = listed(told, figure), figure.changed(step)
        if source is None:
            assert not told.has(changed), figure
        elif not isinstance(source, str):
            assert not changed.says(source(told) if callable(source) else source), figure


@pytest.mark.parametrize(
    "name, old, new, what",
    [
        ("which_part_pays", "a loss of 0.8 points", "a loss of 0.9 points", "'0.9' is not printed, or not alone"),
        ("which_part_pays", "+0.6 (-0.8 to +1.9)", "+0.6 (-0.7 to +1.9)", "'0.8', but its source says -0.7"),
        ("kl_penalty", "about seventy lines", "about sixty lines", "'sixty lines'"),
        ("sft_dpo_grpo", "about 0.693", "about 0.692", "'0.692'"),
        ("sft_dpo_grpo", "loss 0.6931", "loss 0.6941", "'0.693'"),
        ("kl_penalty", "three of ten replies", "four of ten replies", "'four of ten'"),
        ("verdicts", "more than twice as much", "more than three times as much", "'three times'"),
    ],
)
def test_a_change_of_prose_or_of_an_output_is_told(name, old, new, what, tmp_path):
    text = PATHS[name].read_text(encoding="utf-8")
    assert old in text
    changed = tmp_path / PATHS[name].name
    changed.write_text(text.replace(old, new), encoding="utf-8")
    assert what in "\n".join(problems(Told(changed)))


# -- what is a number --------------------------------------------------------------------------------------------------


def found_in(markdown: str) -> list[str]:
    return [f"{figure.kind} {figure.text}" for figure in figures("a cell", markdown)]


def test_numbers_of_facts_are_found():
    assert found_in("It gains 5.8 points (−1.4 to +2,176), 41 % and 7 per cent.") == [
        "result 5.8",
        "result -1.4",
        "setting +2,176",
        "result 41",
        "result 7",
    ]
    assert found_in("Half of the runs, a third of these, twice as many.") == [
        "fraction Half",
        "fraction a third",
        "times twice",
    ]
    assert found_in("Three of ten replies. Some nine points, in three or five seeds.") == [
        "share Three of ten",
        "count nine points",
        "count three or five seeds",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Notebook 02 (arXiv 2504.00883), section 12, Qwen2-VL-2B on VSI-100k and [08](08_think.ipynb).",
        "| time | 12 minutes | `x = 12` |",
        "The loss is $0.5 x$ at `0.25` and\n\n$$12.5$$",
        "*Predict:* is it 12.5 points?",
        "Does it gain 12 points?",
        "## 12. A heading",
        "On a third set, with 9 rooms, they were asked twice.",
    ],
)
def test_what_is_no_fact_is_not(text):
    assert found_in(text) == []


@pytest.mark.parametrize(
    "text, value, right",
    [
        ("5.8 points", 5.84, True),
        ("5.8 points", -5.79, True),
        ("5.8 points", 5.86, False),
        ("2,176 tokens", 2176, True),
        ("a third of", 0.30, True),
        ("a third of", 0.26, False),
        ("half of", 0.55, True),
        ("three of ten", 0.297, True),
        ("three of ten", 0.36, False),
        ("twice as", 2.3, True),
        ("twice as", 2.6, False),
        ("nine points", 9.2, True),
        ("three or five seeds", (3, 5), True),
        ("three or five seeds", (3, 6), False),
    ],
)
def test_a_number_says_what_rounds_to_it(text, value, right):
    (figure,) = figures("a cell", text)
    assert figure.says(value) == right
