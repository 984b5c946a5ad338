"""Live curves: one figure redrawn in its place, a still picture while it grows, interactive at the end."""

import IPython
import IPython.display
import pytest

from vsr_kit.widgets import LiveCurves, TimeLeft
from vsr_kit.widgets.live import duration

PLOTLY = "application/vnd.plotly.v1+json"


class Shown:
    """A display that keeps what it was given."""

    def __init__(self):
        self.first, self.updates = [], []

    def display(self, forms, raw, display_id):
        assert raw and display_id
        self.first.append(forms)
        return self

    def update(self, forms, raw):
        assert raw
        self.updates.append(forms)


@pytest.fixture
def shown(monkeypatch):
    shown = Shown()
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", shown.display)
    return shown


def row(step, **more):
    return {"step": step, "reward": 0.1 * step, "kl": 1e-4, "entropy": 1.0, **more}


def test_the_figure_grows_in_its_place_and_ends_interactive(shown):
    live = LiveCurves(every_s=0)
    for step in (1, 2, 3):
        live(row(step))
    live({"step": 3, "train_runtime": 4.5, "train_loss": 0.1})
    assert (len(shown.first), len(shown.updates)) == (1, 3)
    assert "image/svg+xml" in shown.first[0]
    assert all(PLOTLY not in forms for forms in [*shown.first, *shown.updates[:-1]])
    assert PLOTLY in shown.updates[-1] and "image/svg+xml" in shown.updates[-1]
    assert [r["step"] for r in live.rows] == [1, 2, 3]
    assert "0.3 at step 3" in shown.updates[-1]["text/plain"]


def test_drawing_waits_between_two_pictures_but_not_at_the_end(shown):
    live = LiveCurves(every_s=3600)
    for step in (1, 2, 3):
        live(row(step))
    assert (len(shown.first), len(shown.updates)) == (1, 0)
    live({"step": 3, "train_runtime": 1.0})
    assert len(shown.updates) == 1


def test_a_run_that_never_logged_a_reward_shows_nothing(shown):
    live = LiveCurves(every_s=0)
    live({"step": 1, "loss": 0.0})
    live({"step": 1, "train_runtime": 1.0})
    assert shown.first == []


def test_outside_a_notebook_lines_are_kept_and_nothing_is_drawn(shown, monkeypatch):
    monkeypatch.setattr(IPython, "get_ipython", lambda: None)
    live = LiveCurves(every_s=0)
    live(row(1))
    assert shown.first == []
    assert len(live.rows) == 1
    assert live.figure().source == "measured now"


def test_the_curve_is_a_trailing_mean_and_says_so():
    live = LiveCurves(("reward",), smooth=2)
    for step in (1, 2, 3):
        live.rows.append(row(step))
    assert list(live.figure().data[0].y) == pytest.approx([0.1, 0.15, 0.25])
    assert any("trailing mean of 2" in note.text for note in live.figure().layout.annotations)


def test_a_curve_known_beforehand_and_the_borders_of_stages_stand_beside_the_run():
    cap = [{"step": step, "completions/mean_length": 160 * (1 + (step > 2))} for step in (1, 2, 3, 4)]
    live = LiveCurves(("completions/mean_length", "reward"), smooth=1, borders=(0, 2), beside={"the cap": cap})
    live(row(1, **{"completions/mean_length": 90.0}))
    figure = live.figure()
    assert {line.name: list(line.y) for line in figure.data if line.xaxis == "x" and len(line.x)} == {
        "this run": [90.0],
        "the cap": [160, 160, 320, 320],
    }
    assert [shape.x0 for shape in figure.layout.shapes] == [2.5, 2.5]


# -- how long it will take ---------------------------------------------------------------------------------------------


def lines_of(monkeypatch, steps, seconds, **settings):
    """What TimeLeft says while log lines come in at the given times."""
    said, clock = [], iter(seconds)
    monkeypatch.setattr("vsr_kit.widgets.live.time.monotonic", lambda: next(clock))
    told = TimeLeft(steps, say=said.append, **settings)
    for step in range(1, len(seconds)):
        told({"step": step, "reward": 0.5})
    told({"train_runtime": 1.0, "step": steps})
    return said


def test_the_time_left_is_measured_after_the_first_step_and_said_once(monkeypatch):
    slow_start = [100.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0]  # step 1 ends at 100, whenever it began
    assert lines_of(monkeypatch, 80, slow_start) == ["76 steps to go at 1.00 s each here: about 75 seconds"]


def test_a_slow_machine_is_told_minutes_and_a_short_run_nothing(monkeypatch):
    assert lines_of(monkeypatch, 80, [0, 6, 12, 18, 24]) == ["76 steps to go at 6.00 s each here: about 8 minutes"]
    assert lines_of(monkeypatch, 4, [0, 1, 2, 3, 4]) == []
    assert lines_of(monkeypatch, 2, [0, 1, 2]) == []


@pytest.mark.parametrize(
    "seconds, words", [(0.5, "5 seconds"), (62, "60 seconds"), (100, "2 minutes"), (9000, "2.5 hours")]
)
def test_a_time_ahead_is_told_as_roughly_as_it_is_known(seconds, words):
    assert duration(seconds) == f"about {words}"


# -- stopping from the curves ------------------------------------------------------------------------------------------


class Kernel:
    kernel = object()


@pytest.fixture
def in_notebook(shown, monkeypatch):
    monkeypatch.setattr(IPython, "get_ipython", Kernel)
    return shown


def test_a_button_above_the_curves_asks_the_training_to_stop_and_ends_as_words(in_notebook):
    live = LiveCurves(every_s=0)
    live(row(1))
    button, figure = in_notebook.first
    assert "text/html" in button and "application/vnd.jupyter.widget-view+json" in button
    assert "image/svg+xml" in figure
    assert not live.stop_asked()
    live._button.button.click()
    assert live.stop_asked() and live._button.button.disabled
    live({"step": 2, "train_runtime": 4.5})
    words = in_notebook.updates[-1]
    assert words["text/plain"] == "Stopped after step 2." and "application/vnd.jupyter.widget-view+json" not in words
    assert not live.stop_asked(), "the next training that logs here has not been asked"


def test_a_wish_to_stop_a_training_that_an_error_ended_does_not_stop_the_next(in_notebook):
    live = LiveCurves(every_s=0)
    live({"step": 1, "reward": 0.1})
    live.ask_to_stop()
    live({"step": 2, "reward": 0.1})
    assert live.stop_asked()
    live({"step": 1, "reward": 0.2})  # another training
    assert not live.stop_asked()


def test_a_training_that_was_not_stopped_says_that_it_ended(in_notebook):
    live = LiveCurves(every_s=0)
    live(row(1))
    live({"step": 2, "train_runtime": 4.5})
    assert in_notebook.updates[-1]["text/plain"] == "Ended after step 2."


def test_drawing_takes_a_fiftieth_of_the_time_at_most(shown, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("vsr_kit.widgets.live.time.monotonic", lambda: clock[0])
    live = LiveCurves(every_s=0.1)
    draw = live._growing

    def slow():
        clock[0] += 0.4
        return draw()

    monkeypatch.setattr(live, "_growing", slow)
    for step in range(1, 101):
        live(row(step))
        clock[0] += 1
    assert 1 + len(shown.updates) == 5, "0.4 s each, so one in 20 s"
