"""Curves that fell for good, and curves that did not."""

import pytest

from vsr_kit.training.collapse import collapsed

UP, DOWN = [1.0] * 30, [0.0] * 30


def test_a_curve_that_falls_for_good_collapsed_where_its_running_mean_passed_the_share():
    """Of 20 values, 11 have to be 0 before their mean is below one half of 1: step 30 + 11."""
    assert collapsed(UP + DOWN) == 41
    assert collapsed(UP + DOWN, window=1) == 31
    assert collapsed(UP + DOWN, window=10, fall=0.25) == 30 + 8


def test_exactly_the_share_is_no_fall():
    assert collapsed([1.0] * 20 + [0.5] * 60, window=20, fall=0.5) is None
    assert collapsed([1.0] * 20 + [0.49] * 60, window=20, fall=0.5) == 40


def test_a_dip_that_recovers_is_no_collapse():
    assert collapsed(UP + DOWN + UP) is None


def test_a_collapse_after_a_dip_counts_from_the_last_fall():
    assert collapsed(UP + DOWN + UP + DOWN) == 101


def test_a_fall_in_the_last_step_counts():
    assert collapsed(UP + [0.0] * 11) == 41 and collapsed(UP + [0.0] * 10) is None


def test_a_curve_that_rises_stays_low_or_wavers_did_not_collapse():
    assert collapsed([step / 100 for step in range(100)]) is None
    assert collapsed([0.0] * 100) is None and collapsed([0.2] * 100) is None
    assert collapsed([1.0, 0.3] * 50) is None


def test_it_is_the_best_mean_that_counts_not_the_first():
    assert collapsed([0.2] * 20 + [1.0] * 20 + [0.4] * 30) == 20 + 20 + 17


def test_a_curve_shorter_than_the_window_says_nothing():
    assert collapsed([1.0] * 10 + [0.0] * 9) is None and collapsed([]) is None


@pytest.mark.parametrize(
    "values, settings, message",
    [
        ([1.0, float("nan")], {}, "the value of step 2 is nan"),
        ([1.0, -0.5], {}, "the value of step 2 is -0.5"),
        ([1.0], {"window": 0}, "window is 0"),
        ([1.0], {"fall": 1.0}, "fall 1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(values, settings, message):
    with pytest.raises(ValueError, match=message):
        collapsed(values, **settings)
