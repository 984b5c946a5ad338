"""Student's interval beside the bootstrap's: right where a textbook says what it must be, and wide enough."""

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from vsr_kit import evaluation as ev

ROW = {"dataset": "rooms", "question_type": "object_rel_distance", "question": "?", "options": ["A. bed", "B. sofa"]}
ROW |= {"ground_truth": "B"}


def told(right_RQ) -> list[dict]:
    """Rows of R rooms with Q questions each, answered right where the array says so."""
    return [
        ROW | {"id": f"{room}-{i}", "scene_name": f"s{room}", "prediction": "B" if right else "A"}
        for room, own in enumerate(right_RQ)
        for i, right in enumerate(own)
    ]


def alike(count, rooms=20, questions=10):
    """The same number of right answers in every room: rooms add no variance."""
    return told(np.tile(np.arange(questions) < count, (rooms, 1)))


def test_without_variance_between_rooms_it_is_welchs():
    a, b = [alike(k) for k in (3, 5, 4)], [alike(k) for k in (1, 2, 1, 5, 1)]
    found = ev.difference(a, b, task="trained")
    welch = ttest_ind([30, 50, 40], [10, 20, 10, 50, 10], equal_var=False).confidence_interval(0.95)
    assert found.student == pytest.approx((welch.low, welch.high)) and found.seeds == (3, 5)


def test_against_one_network_it_is_that_of_a_mean():
    found = ev.difference([alike(k) for k in (3, 5, 4)], alike(1), task="trained")
    low, high = t.interval(0.95, 2, loc=30, scale=10 / 3**0.5)
    assert found.student == pytest.approx((low, high)) and found.seeds == (3, 1)


def test_without_variance_between_seeds_it_is_that_of_the_rooms():
    rng = np.random.default_rng(0)
    rows = told(rng.random((100, 4)) < 0.5)
    found = ev.interval([rows, rows], resamples=4000, task="trained")
    spread = np.reshape([row["prediction"] == "B" for row in rows], (100, 4)).mean(1).std(ddof=1)
    assert found.student[1] - found.student[0] == pytest.approx(2 * t.ppf(0.975, 99) * 100 * spread / 10, rel=0.06)


def test_both_variances_add():
    rng = np.random.default_rng(1)
    rows = [told(rng.random((50, 4)) < right) for right in (0.3, 0.5, 0.7)]
    found = ev.interval(rows, resamples=4000, task="trained")
    seeds = np.var([ev.score(own, "lenient").trained for own in rows], ddof=1) / 3
    means = np.mean([np.reshape([r["prediction"] == "B" for r in own], (50, 4)).mean(1) for own in rows], axis=0)
    rooms = np.var(means, ddof=1) / 50
    freedom = (seeds + rooms) ** 2 / (seeds**2 / 2 + rooms**2 / 49)
    reach = 100 * t.ppf(0.975, freedom) * (seeds + rooms) ** 0.5
    assert (found.student[1] - found.student[0]) / 2 == pytest.approx(reach, rel=0.05)


def test_pairs_of_one_network_are_one_side():
    own, other = [alike(k) for k in (5, 7, 6)], [alike(k) for k in (1, 3, 2)]
    together = ev.difference(own, other, same_seeds=True)
    assert together.student == pytest.approx((40, 40)) and together.seeds == (3,)
    apart = ev.difference(own, other)
    assert apart.student[0] < 20 and apart.seeds == (3, 3)
    grown = ev.gap_change((own, other), ([alike(4)], [alike(3)]))["overall"]
    assert grown.student == pytest.approx((30, 30)) and grown.seeds == (3, 1)


def test_there_is_none_where_no_side_has_several_seeds():
    found = ev.difference(alike(5), alike(3))
    assert found.student is None and found.seeds == (1, 1)


def test_a_task_that_a_seed_was_not_asked_has_none():
    rows = alike(5)
    count = [{**row, "question_type": "object_counting", "options": None, "id": "c" + row["id"]} for row in rows]
    found = ev.intervals([rows + count, rows])
    assert found["object_rel_distance"].student and found["object_counting"].student is None


def test_rooms_are_those_that_are_asked_about():
    rows = alike(5, rooms=6)
    count = [{**row, "question_type": "object_counting", "options": None, "id": "c" + row["id"]} for row in rows[:20]]
    found = ev.intervals([*rows, *count])
    assert {name: (own.n, own.rooms) for name, own in found.items()} == {
        "overall": (80, 6),
        "trained": (80, 6),
        "object_counting": (20, 2),
        "object_rel_distance": (60, 6),
    }


def test_with_three_seeds_it_covers_the_truth_and_the_bootstrap_does_not():
    """Seeds' shares of right answers drawn around one half, 200 times: 95 % of the intervals should hold it."""
    rng, held = np.random.default_rng(3), []
    for _ in range(200):
        rows = [alike(round(count), rooms=2, questions=100) for count in rng.normal(50, 8, 3)]
        found = ev.interval(rows, resamples=100, task="trained")
        held.append((found.low <= 50 <= found.high, found.student[0] <= 50 <= found.student[1]))
    bootstrap, student = np.mean(held, axis=0)
    assert 0.91 < student < 0.99 and bootstrap < 0.8
