"""Guesses: asked before the result is shown, compared with it, and told again at the end."""

import pandas as pd
import pytest

from vsr_kit.plots import Html, score_dots
from vsr_kit.widgets import Guesses

HOSTILE = "<script>window.hacked = 1</script>"
SIDES = ["left", "right"]


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, as mime bundles."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda data, **more: bundles.append(data))
    return bundles


def words(output) -> str:
    """All that an output area shows as HTML or text."""
    return "\n".join(str(one["data"].get("text/html", one["data"].get("text/plain"))) for one in output.outputs)


def test_the_result_stays_hidden_until_a_guess_is_made_and_is_compared_with_it():
    asked = Guesses()("Which side?", SIDES, answer="right", then="the long result")
    assert asked.results.outputs == () and asked.outcome.value == ""
    asked.buttons[0].click()
    assert "the long result" in words(asked.results)
    assert "left" in asked.outcome.value and "right" in asked.outcome.value and "a surprise" in asked.outcome.value
    assert asked.guess.right is False
    assert all(control.disabled for control in (*asked.buttons, asked.waive))


def test_only_the_first_guess_counts():
    asked = Guesses()("Which side?", SIDES, answer="right", then="result")
    asked.buttons[1].click()
    asked.buttons[0].click()
    asked.waive.click()
    assert asked.guess.made == "right" and asked.guess.right and not asked.guess.waived
    assert len(asked.results.outputs) == 1


def test_a_reader_may_look_without_a_guess():
    guesses = Guesses()
    back = guesses.looking_back()
    asked = guesses("Which side?", SIDES, answer="right", then="result")
    asked.waive.click()
    assert "result" in words(asked.results) and asked.guess.right is None
    assert "came out as <b>right</b>" in asked.outcome.value and "Your guess" not in asked.outcome.value
    assert "No guess was made" in back.table.value


@pytest.mark.parametrize(("guess", "right"), [(5.0, True), (6.0, True), (4.0, True), (6.1, False), (-5.0, False)])
def test_a_number_is_right_within_the_stated_distance(guess, right):
    asked = Guesses()("How many points?", answer=5.0, within=1.0, unit=" points")
    assert not asked.buttons
    asked.number.value = guess
    asked.enter.click()
    assert asked.guess.right is right
    assert "5 points" in asked.outcome.value
    assert asked.guess.said(1.0) == "1 point" and asked.guess.said(-1.5) == "-1.5 points"


def test_looking_back_lists_surprises_first_and_follows_later_guesses():
    guesses = Guesses()
    easy = guesses("Easy?", ["yes", "no"], answer="yes")
    hard = guesses("Hard?", ["yes", "no"], answer="no")
    back = guesses.looking_back()  # a notebook that is run as a whole shows it before a guess was made
    assert "No guess was made" in back.table.value
    easy.buttons[0].click()
    assert "1 of 1 guesses were right" in back.table.value and "surprising" not in back.table.value
    hard.buttons[0].click()
    assert "1 of 2 guesses were right" in back.table.value
    assert back.table.value.index("Hard?") < back.table.value.index("Easy?")


def test_a_cell_that_runs_again_asks_anew():
    guesses = Guesses()
    guesses("Which side?", SIDES, answer="right").buttons[0].click()
    again = guesses("Which side?", SIDES, answer="right")
    assert again.guess.made is None and list(guesses.guesses) == ["Which side?"]
    assert not again.buttons[0].disabled


def test_a_saved_notebook_shows_the_figures_and_folds_the_answer_away(shown):
    figure = score_dots({"base": {"overall": (50.0, 45.0, 55.0)}}, source="shipped")
    Guesses()("Which side?", SIDES, answer="right", then=[figure, "a text"])._ipython_display_()
    first, *others = shown
    assert first["text/html"].startswith("<details><summary>") and "right</details>" not in first["text/html"]
    assert "It came out as right." in first["text/html"]
    assert any("image/svg+xml" in bundle for bundle in others)
    assert any("a text" in bundle.get("text/html", "") for bundle in others)
    assert not any("application/vnd.plotly.v1+json" in bundle for bundle in shown)


def test_tables_and_texts_are_shown_and_nothing_foreign_runs(shown):
    table = pd.DataFrame({"text": [HOSTILE]})
    guesses = Guesses()
    asked = guesses(HOSTILE, [HOSTILE, "no"], answer=HOSTILE, then=[table, HOSTILE, Html("<i>ours</i>", "ours")])
    back = guesses.looking_back()
    asked.buttons[0].click()
    asked._ipython_display_()
    still = "".join(bundle.get("text/html", "") for bundle in shown)
    said = asked.outcome.value + words(asked.results) + back.table.value + still + asked.view.children[0].value
    assert "<script" not in said and "&lt;script" in said and "<i>ours</i>" in said


@pytest.mark.parametrize(
    ("options", "answer", "told"),
    [
        (["left"], "left", "at least two options"),
        (SIDES, "up", "'up'.*left, right"),
        (None, "left", "name the options"),
    ],
)
def test_what_cannot_be_asked_is_refused(options, answer, told):
    with pytest.raises(ValueError, match=told):
        Guesses()("Which?", options, answer=answer)
