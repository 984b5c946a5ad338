"""Coloured tokens: colours that can be read, words for who cannot see them, hostile text, and the browser's control."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.test_rollout_browser import HOSTILE, ROWS, table
from vsr_kit.evaluation.token_texts import MEASURES, TokenMeasures
from vsr_kit.plots.style import INK
from vsr_kit.plots.token_colours import ABOUT, NAMES, coloured, legend, scale_of, token_color, token_text
from vsr_kit.widgets import RolloutBrowser

SOURCE = {"source": "measured now"}


def brightness(color: str) -> float:
    """Relative luminance of `#rrggbb`, as WCAG 2 defines it."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a: str, b: str) -> float:
    high, low = sorted((brightness(a), brightness(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def seen(markup: str) -> str:
    """The text of markup, tags removed."""
    return re.sub(r"<[^>]*>", "", markup)


def test_there_is_a_name_for_every_measure():
    assert tuple(NAMES) == tuple(ABOUT) == MEASURES


@pytest.mark.parametrize("measure", MEASURES)
def test_text_can_be_read_on_every_colour(measure):
    values = [*np.linspace(-5, 5, 201), None, float("nan")]
    assert min(contrast(INK, token_color(value, measure, 4.0)) for value in values) >= 4.5
    assert len({token_color(value, measure, 4.0) for value in values}) > 50
    assert token_color(0.0, measure, 4.0) == "#ffffff"


def test_a_sign_has_its_own_hue_and_size_is_depth():
    red, _, blue = (int(token_color(4.0, "grounding", 4.0)[i : i + 2], 16) for i in (1, 3, 5))
    other_red, _, other_blue = (int(token_color(-4.0, "grounding", 4.0)[i : i + 2], 16) for i in (1, 3, 5))
    assert red < blue and other_red > other_blue
    depths = [brightness(token_color(value, "grounding", 4.0)) for value in (0, 1, 2, 4, 9)]
    assert depths[:4] == sorted(depths[:4], reverse=True) and depths[3] == depths[4]
    assert scale_of([None, 1.0, -3.0], "grounding") == 3.0 and scale_of([], "entropy") == 1.0


def test_every_token_says_its_number_and_a_table_the_extremes():
    tokens, values = ["<think>", "two", " beds", ".", "\n"], [0.1, 2.5, -1.25, 0.0, None]
    shown = token_text(tokens, values, "grounding", title="step 3", **SOURCE)
    assert 'title="token 2, two: grounding, nats 2.50"' in shown.markup
    assert "token 5, ↵: grounding, nats no number" in shown.markup
    highest, lowest = re.findall(r"<tr>.*?</tr>", shown.markup)
    assert seen(highest).startswith("highesttwo 2.50 (token 2)") and seen(lowest).startswith("lowest␣beds −1.25")
    assert "−1.25" in lowest and "measured now" in shown.markup and "step 3" in shown.markup
    assert [
        text
        for text in ("−2.50", "−1.25", "0.00", "1.25", "2.50")
        if text not in seen(legend("grounding", 2.5, **SOURCE).markup)
    ] == []
    assert "highest: two 2.50" in shown.alt and "5 tokens" in shown.alt
    same = coloured(["a", "b"], [0.5, 0.5], "advantage", 1.0)
    assert "every token: 0.50" in same and "<table" not in same
    assert "−" not in seen(legend("entropy", 2.5, **SOURCE).markup)


def test_what_cannot_be_seen_is_written_as_a_sign():
    tokens, specials = [" a", "\n\n", " ", "\t", "", "", "é", "", "🛋"], [""] * 5 + ["<|im_end|>"] + [""] * 3
    text = seen(
        re.search(r'<div class="vsr-tokens".*?</div>', coloured(tokens, [1.0] * 9, "entropy", 1.0, specials), re.S)[0]
    )
    assert text == " a↵\n↵\n␣⇥\t▯&lt;|im_end|&gt;é▯🛋"
    assert "part of the next character" in coloured(["", "é"], [1.0, 2.0], "entropy", 2.0)


@pytest.mark.parametrize(
    "tokens",
    [
        [HOSTILE],
        list(HOSTILE),
        ['"><script>alert(1)</script>', "' onmouseover=alert(1) x='"],
        ["\x00\x1b", "\ud800", "\ufffe"],
    ],
)
def test_hostile_tokens_stay_text(tokens):
    shown = token_text(
        tokens, list(range(len(tokens))), "entropy", title=HOSTILE, specials=["<script>"] * len(tokens), **SOURCE
    )
    tags = set(re.findall(r"<\s*/?\s*(\w+)", shown.markup))
    assert tags <= {"div", "span", "b", "br", "table", "tbody", "tr", "th", "td", "code", "small", "i"}
    assert not re.search(r"<[^>]*\son\w+=", re.sub(r'"[^"]*"', '""', shown.markup))
    shown.markup.encode()
    assert not re.search("[\x00\x1b\ufffe]", shown.markup)


def test_nothing_and_what_does_not_fit():
    assert "(no tokens)" in token_text([], [], "entropy", **SOURCE).markup
    assert "no numbers" in token_text(["a"], [None], "entropy", **SOURCE).markup
    for wrong, told in (
        (lambda: token_text(["a"], [], "entropy", **SOURCE), "1 tokens, 0 values"),
        (lambda: token_text(["a"], [1.0], "surprise", **SOURCE), "measure is 'surprise'"),
        (lambda: token_text(["a"], [1.0], "entropy", source="guessed"), "source is 'guessed'"),
    ):
        with pytest.raises(ValueError, match=told):
            wrong()


# -- in the browser ----------------------------------------------------------------------------------------------------


def with_records(measure="grounding", every=2):
    """The rollouts of tests/test_rollout_browser.py, with recorded tokens of every second one."""
    made = table()
    for at in range(0, len(made), every):
        tokens = tuple(re.findall(r"\s*\S+", made.row(at)["completion"]))
        made.token_measures[at] = TokenMeasures(
            tokens, ("",) * len(tokens), {measure: tuple(range(len(tokens)))}, "far"
        )
    return made


def test_without_records_and_without_a_model_there_is_no_control():
    browser = RolloutBrowser(table())
    assert browser.colours.control.layout.display == "none" and browser.colours.control.options == (("nothing", ""),)


def test_recorded_tokens_are_coloured_and_the_others_shown_as_they_are():
    browser = RolloutBrowser(with_records(), shown_as="shipped")
    plain = browser.rollouts.value
    assert "vsr-tokens" not in plain and [value for _, value in browser.colours.control.options] == ["", "grounding"]
    browser.colours.control.value = "grounding"
    shown = browser.rollouts.value
    assert (
        shown.count('class="vsr-tokens"') == 4 and shown.count("<pre") == 4 and shown.count("tokens coloured by") == 1
    )
    assert "of 4 of these rollouts nothing was recorded; give the browser loaded=" in shown
    assert "clip: far" in shown and "<b>shipped</b>" in shown
    assert "<script" not in shown and "<img" not in shown and "&lt;script&gt;" in shown
    assert "vsr-tokens" in browser.static()
    browser.question.value = 1
    assert "vsr-tokens" in browser.rollouts.value
    browser.colours.control.value = ""
    browser.question.value = 0
    assert browser.rollouts.value == plain


def test_a_model_is_asked_for_the_shown_page_alone_and_once(monkeypatch):
    asked = []

    def says(loaded, rows, clips, *, mode, prompt_set, measures, other_scenes):
        asked.append((len(rows), set(clips), mode, prompt_set, measures))
        if measures == ["entropy"]:
            raise ValueError("no prompt for these")
        return [TokenMeasures((row["completion"],), ("",), {measures[0]: (1.0,)}, "far") for row in rows]

    stub = SimpleNamespace(token_measures=says)  # the module itself would load torch
    monkeypatch.setitem(sys.modules, "vsr_kit.evaluation.token_measures", stub)
    how = {
        "loaded": SimpleNamespace(model=None, name="<b>fake"),
        "clips": {"far": np.zeros((2, 28, 28, 3), np.uint8)},
    }
    browser = RolloutBrowser(with_records("entropy", every=1000), shown_as="shipped", **how)
    offered = [value for _, value in browser.colours.control.options]
    assert offered == ["", "advantage", "entropy", "grounding"]  # no adapter to switch off
    assert asked == []
    browser.colours.control.value = "grounding"
    assert asked == [(8, {ROWS[0]["scene_name"], "far"}, ["think"] * 8, "train", ["grounding"])]
    assert browser.rollouts.value.count("vsr-tokens") == 8 and "measured now" in browser.rollouts.value
    told = "8 of them measured with &lt;b&gt;fake, asked in think mode with the prompts of training"
    assert told in browser.rollouts.value
    browser.on.click()
    assert [count for count, *_ in asked] == [8, 2]
    browser.back.click()
    browser.colours.control.value = ""
    browser.colours.control.value = "grounding"
    assert len(asked) == 2
    browser.colours.control.value = "entropy"
    assert "these rows cannot be asked: no prompt for these" in browser.rollouts.value
    browser.step.value = 1  # of whose first rollout the entropy was recorded
    assert browser.rollouts.value.count("vsr-tokens") == 1 and asked[-1][0] == 7


def test_a_room_without_a_clip_is_named():
    rows = [{"completion": "4", "id": i, "scene_name": f"none-{i}", "question": "x", "step": 1} for i in range(2)]
    browser = RolloutBrowser(rows, loaded=SimpleNamespace(model=None, name="<b>fake"))
    browser.colours.control.value = "entropy"
    assert "no clip of &#x27;none-0&#x27; here" in browser.rollouts.value and "<pre" in browser.rollouts.value
