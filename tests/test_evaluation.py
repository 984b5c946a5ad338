"""Scores are VSI-Bench's to the last case, intervals cover what they should, guessers know only training rooms."""

import json
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from vsr_kit import evaluation as ev
from vsr_kit.data import make_rows
from vsr_kit.prompts.number_words import lmms_eval_number
from vsr_kit.rooms import make_rooms

BASE = {"id": "q", "dataset": "d", "scene_name": "s", "question": "?", "options": None, "phrasing": "vsi-bench"}
COUNT = BASE | {"question_type": "object_counting", "ground_truth": "3"}
LETTER = BASE | {"question_type": "object_rel_distance", "options": ["A. bed", "B. sofa"], "ground_truth": "B"}
SIDE = BASE | {"question_type": "object_rel_direction_easy", "options": ["A. left", "B. right"], "ground_truth": "A"}


@pytest.mark.parametrize(
    "row, text, official, lenient, lmms",
    [
        (COUNT, "3", 1, 1, 1),
        (COUNT, "3.", 1, 1, 1),
        (COUNT, "3.0 chairs", 1, 1, 1),
        (COUNT, "3\n", 1, 1, 1),
        (COUNT, "Answer: 3", 0, 1, 1),
        (COUNT, "three", 0, 1, 1),
        (COUNT, "3 chairs.", 1, 1, 1),
        (COUNT, "nan", 0, 0, 0),
        (COUNT, "<think>7</think> <answer>3</answer>", 0, 1, 0),
        (COUNT, "First 2, then 1 more: 3", 0, 1, 0.4),
        (COUNT, "", 0, 0, 0),
        (LETTER, "B", 1, 1, 1),
        (LETTER, "b.", 1, 1, 1),
        (LETTER, "B. sofa", 1, 1, 1),
        (LETTER, "B)", 0, 1, 0),
        (LETTER, "sofa", 0, 1, 0),
        (LETTER, "The answer is B", 0, 1, 0),
        (LETTER, "A", 0, 0, 0),
    ],
)
def test_the_three_harnesses(row, text, official, lenient, lmms):
    values = [ev.score_row(row, text, harness).value for harness in ("official", "lenient", "lmms-eval")]
    assert values == pytest.approx([official, lenient, lmms])


@pytest.mark.parametrize("harness", ev.HARNESSES)
@pytest.mark.parametrize(
    "row, text, parsed", [(COUNT, "5", True), (COUNT, "x", False), (LETTER, "A", True), (LETTER, "x", False)]
)
def test_wrong_is_not_unreadable(harness, row, text, parsed):
    score = ev.score_row(row, text, harness)
    assert score.parsed is parsed and (score.reason is None) is parsed
    assert score.value < 1


@given(st.text(), st.sampled_from(ev.HARNESSES), st.sampled_from([COUNT, LETTER]))
def test_no_prediction_raises(text, harness, row):
    assert 0 <= ev.score_row(row, text, harness).value <= 1


@pytest.mark.parametrize(
    "text, number",
    [("3-4", 3), (".5", 5), ("1,234", 1), ("one apple, room 2", 1), ("three hundred and twenty-one", 321), ("x", None)],
)
def test_lmms_eval_reads_as_it_does(text, number):
    assert lmms_eval_number(text) == number


@pytest.mark.parametrize("row, harness", [(COUNT, "strict"), (COUNT | {"question_type": "size"}, "official")])
def test_unknown_names_are_named(row, harness):
    with pytest.raises(ValueError, match="unknown.*('strict'|'size')"):
        ev.score_row(row, "3", harness)


def levels():
    """Four rows whose means tell the mean of tasks from that of types and of questions."""
    hard = SIDE | {"question_type": "object_rel_direction_hard", "options": ["A. front-left", "B. back-left"]}
    route = LETTER | {"question_type": "route_planning"}
    said = [(COUNT, "3"), (SIDE, "A"), (SIDE, "A"), (SIDE, "B"), (hard, "B"), (route, "A")]
    return [row | {"id": str(i), "prediction": text} for i, (row, text) in enumerate(said)]


def test_overall_is_the_mean_of_tasks_and_direction_of_levels():
    table = ev.score(levels(), "official")
    direction = (2 / 3 + 0) / 2
    assert table.tasks == pytest.approx({"object_counting": 1, "object_rel_direction": direction, "route_planning": 0})
    assert table.overall == pytest.approx((1 + direction) / 3)
    assert table.trained == pytest.approx((1 + direction) / 2)
    assert table.n == 6 and table.parse_rate == 1
    assert table.percent()["object_rel_direction"] == pytest.approx(100 * direction)
    assert list(table.percent()) == ["overall", "object_counting", "object_rel_direction", "route_planning"]
    json.dumps(table.to_dict())


def test_a_row_without_prediction_is_named_and_nothing_scores_nothing():
    with pytest.raises(ValueError, match="'prediction'"):
        ev.score([COUNT])
    with pytest.raises(ValueError, match="0 rows|no row"):
        ev.score([])


GOOD = COUNT | {"prediction": "3"}


@pytest.mark.parametrize(
    "line, said",
    [
        ("{", "not JSON"),
        ("[1]", "object"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "prediction"}), "prediction"),
        (json.dumps(GOOD | {"prediction": None}), "prediction"),
        (json.dumps(GOOD | {"question_type": "size"}), "question_type"),
        (json.dumps(GOOD | {"ground_truth": "three"}), "ground_truth"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, said):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + line + "\n")
    with pytest.raises(ValueError, match=f"line 2.*{said}"):
        ev.read_predictions(path)


def test_predictions_are_read_whole(tmp_path):
    path = tmp_path / "p.jsonl"
    rows = [GOOD | {"id": "a", "prediction": "3\u2028"}, GOOD | {"id": "b", "prediction": ""}]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    assert [row["prediction"] for row in ev.read_predictions(path)] == ["3\u2028", ""]
    path.write_text("")
    with pytest.raises(ValueError, match="p.jsonl"):
        ev.read_predictions(path)
    with pytest.raises(ValueError, match="no file"):
        ev.read_predictions(tmp_path / "none.jsonl")


def answers(rooms, per_room, right, seed=0, same=False):
    """Letter rows; `right` is the chance of each to be right, of all of a room's together with `same`."""
    rng = np.random.default_rng(seed)
    rows = []
    for room in range(rooms):
        drawn = rng.random(per_room) < right
        rows += [
            LETTER
            | {"id": f"{room}-{i}", "scene_name": f"s{room}", "prediction": "B" if drawn[0 if same else i] else "A"}
            for i in range(per_room)
        ]
    return rows


def test_an_interval_holds_its_mean_and_counts():
    found = ev.interval(answers(30, 4, 0.5), task="object_rel_distance")
    assert found.low < found.mean < found.high
    assert (found.n, found.rooms, found.seeds) == (120, 30, (1,))
    assert found.band == (found.mean, found.low, found.high, 120)
    assert found == ev.interval(answers(30, 4, 0.5), task="object_rel_distance")
    assert found != ev.interval(answers(30, 4, 0.5), task="object_rel_distance", seed=1)


def test_one_question_a_room_gives_the_binomial_width():
    found = ev.interval(answers(400, 1, 0.5), resamples=4000)
    p = found.mean / 100
    assert found.high - found.low == pytest.approx(2 * 196 * (p * (1 - p) / 400) ** 0.5, rel=0.08)


def test_rooms_are_drawn_not_questions():
    together, apart = (ev.interval(answers(50, 9, 0.5, same=same)) for same in (True, False))
    assert (together.high - together.low) / (apart.high - apart.low) == pytest.approx(3, rel=0.35)


def test_seeds_are_drawn_too():
    low, high = answers(50, 4, 0.2), answers(50, 4, 0.8)
    both, one = ev.interval([low, high]), ev.interval(low)
    assert both.mean == pytest.approx((one.mean + ev.interval(high).mean) / 2)
    assert both.high - both.low > 3 * (one.high - one.low) and both.seeds == (2,)


def test_tasks_are_merged_in_every_resample():
    rows = [row | {"scene_name": f"s{i}"} for i, row in enumerate(levels())]
    found = ev.intervals(rows, "official")
    table = ev.score(rows, "official")
    assert {name: i.mean for name, i in found.items() if name != "trained"} == pytest.approx(table.percent())
    assert found["trained"].mean == pytest.approx(100 * table.trained)
    with pytest.raises(ValueError, match="'room_size_estimation'.*overall"):
        ev.interval(rows, task="room_size_estimation")


def test_pairing_takes_out_what_both_share():
    a = answers(60, 3, 0.5)
    b = [row | {"prediction": "A"} if i % 10 == 0 else row for i, row in enumerate(a)]
    paired = ev.difference(a, b)
    alone = ev.interval(a)
    assert paired.mean == pytest.approx(alone.mean - ev.interval(b).mean)
    assert 0 < paired.high - paired.low < 0.6 * (alone.high - alone.low)
    same = ev.difference(a, list(reversed(a)))
    assert (same.mean, same.low, same.high) == pytest.approx((0, 0, 0))


def test_seeds_of_one_network_are_drawn_together():
    a, b = [answers(40, 3, p, seed=1) for p in (0.1, 0.9)], [answers(40, 3, p, seed=2) for p in (0.1, 0.9)]
    together, apart = (ev.difference(a, b, same_seeds=same) for same in (True, False))
    assert together.high - together.low < 0.5 * (apart.high - apart.low)
    assert together.mean == pytest.approx(apart.mean)


def test_the_change_of_a_gap():
    right = answers(40, 4, 1.0)
    half = [row | {"prediction": "AB"[i % 2]} for i, row in enumerate(right)]
    found = ev.gap_change(after=([right], [half]), before=([half], [right]))["overall"]
    assert (found.mean, found.low, found.high) == pytest.approx((100, 100, 100))


def test_pairs_must_match():
    a = answers(5, 2, 0.5)
    with pytest.raises(ValueError, match="differ by 1 rows"):
        ev.difference(a, a[1:])
    with pytest.raises(ValueError, match="2 times"):
        ev.difference(a + a[:1], a + a[:1])


@pytest.fixture(scope="module", params=["vsi-bench", "vsi-100k"])
def trained_and_asked(request):
    train, rows = (make_rows(make_rooms(12, s, f"r{s}"), request.param, max_per_type=2) for s in (1, 2))
    return train, rows


def test_guessers_parse_and_the_best_constant_wins_on_training_rows(trained_and_asked):
    train, rows = trained_and_asked
    for guess in (ev.most_frequent_answer, ev.best_constant):
        assert ev.score(guess(train, rows), "lenient").parse_rate == 1
    tables = [ev.score(guess(train, train), "lenient").tasks for guess in (ev.best_constant, ev.most_frequent_answer)]
    assert all(tables[0][task] >= value for task, value in tables[1].items())


def test_the_most_frequent_answer_is_that_of_training_by_type():
    train = [COUNT | {"ground_truth": n} for n in ("2", "2", "3", "10")] + [
        LETTER,
        LETTER,
        LETTER | {"ground_truth": "A"},
    ]
    said = [row["prediction"] for row in ev.most_frequent_answer(train, [COUNT, LETTER | {"ground_truth": "A"}])]
    assert said == ["2", "B"]
    ties = [COUNT | {"ground_truth": n} for n in ("10", "9")]
    assert ev.most_frequent_answer(ties, [COUNT])[0]["prediction"] == "9"
    with pytest.raises(ValueError, match="route_planning.*vsi-bench"):
        ev.most_frequent_answer(train, [LETTER | {"question_type": "route_planning"}])


def test_a_word_must_be_offered():
    near = BASE | {"question_type": "object_rel_distance", "phrasing": "vsi-100k"}
    train = [near | {"ground_truth": word} for word in ("bed", "bed", "lamp")]
    asked = near | {
        "question": "Which of these objects (lamp, sofa)is the closest to the desk?",
        "ground_truth": "sofa",
    }
    assert ev.most_frequent_answer(train, [asked])[0]["prediction"] == "lamp"
    drawn = ev.draws_from_training_answers(train[:2], [asked], 40)
    assert {row["prediction"] for row in drawn} == {"lamp", "sofa"}


def test_draws_follow_the_training_answers():
    train = [COUNT | {"ground_truth": n} for n in ("2", "2", "2", "5")]
    drawn = ev.draws_from_training_answers(train, [COUNT, COUNT | {"id": "other"}], 500, seed=3)
    assert [row["sample"] for row in drawn[:3]] == [0, 1, 2] and len(drawn) == 1000
    assert np.mean([row["prediction"] == "2" for row in drawn]) == pytest.approx(0.75, abs=0.05)
    assert drawn == ev.draws_from_training_answers(train, [COUNT, COUNT | {"id": "other"}], 500, seed=3)
    with pytest.raises(ValueError, match="k is 0"):
        ev.draws_from_training_answers(train, [COUNT], 0)


@given(st.integers(2, 30), st.integers(0, 1000))
def test_the_wrong_clip_is_another_ones_and_used_once(count, seed):
    names = [f"s{i}" for i in range(count)]
    pairs = ev.wrong_clip_pairing(names, seed)
    assert sorted(pairs) == sorted(pairs.values()) == sorted(names)
    assert all(a != b for a, b in pairs.items())
    assert list(pairs.items()) == list(ev.wrong_clip_pairing([*reversed(names), names[0]], seed).items())


def test_the_wrong_clips_are_the_same_ones_everywhere_and_for_ever():
    assert ev.wrong_clip_pairing("abcde") == {"a": "c", "b": "e", "c": "b", "d": "a", "e": "d"}
    pairs = ev.wrong_clip_pairing("abcdefghij")
    more = ev.wrong_clip_pairing("abcdefghijk")
    assert sum(pairs[name] != more[name] for name in pairs) == 1
    assert ev.wrong_clip_pairing("abcdefghij", seed=1) != pairs


def test_one_room_has_no_wrong_clip():
    with pytest.raises(ValueError, match=r"got 1 scene\(s\) \['s'\]; a scene is never paired with itself.*at least 2"):
        ev.wrong_clip_pairing(["s", "s"])
    with pytest.raises(ValueError, match="got 0"):
        ev.wrong_clip_pairing([])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.data())
def test_best_of_k_is_the_mean_over_all_choices(scores, data):
    k = data.draw(st.integers(1, len(scores)))
    assert ev.best_of_k(scores, k) == pytest.approx(np.mean([max(pick) for pick in combinations(scores, k)]))
    right = [float(score > 0.5) for score in scores]
    assert ev.pass_at_k(len(right), int(sum(right)), k) == pytest.approx(ev.best_of_k(right, k))


@pytest.mark.parametrize("n, c, k", [(4, 5, 1), (4, 2, 5), (4, 2, 0), (4, -1, 1)])
def test_impossible_tries_are_named(n, c, k):
    with pytest.raises(ValueError, match=f"{c} of n = {n}|k is {k}"):
        ev.pass_at_k(n, c, k)


def test_the_curve_is_by_task_and_question():
    said = {"1": "ABAA", "2": "AAAA"}
    rows = [LETTER | {"id": i, "prediction": c, "sample": s} for i, text in said.items() for s, c in enumerate(text)]
    rows += [COUNT | {"id": "3", "prediction": c} for c in ("3", "3", "9", "9")]
    curve = ev.best_of_k_curve(rows, [1, 2, 4])
    assert {k: i.mean for k, i in curve["object_rel_distance"].items()} == pytest.approx({1: 12.5, 2: 25, 4: 50})
    assert curve["object_counting"][2].mean == pytest.approx(100 * 5 / 6)
    assert curve["overall"][4].mean == pytest.approx(75) and curve["overall"][4].n == 3
    with pytest.raises(ValueError, match="has 4 answers"):
        ev.best_of_k_table(rows, 5)


def test_a_bootstrap_of_plain_values_is_scipys():
    values = np.random.default_rng(3).normal(50, 10, 40)
    low, high = ev.bootstrap_interval(values, 20_000)
    own = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert low == pytest.approx(own.low, abs=0.1) and high == pytest.approx(own.high, abs=0.1)
    assert ev.bootstrap_interval([2.0, 2.0]) == (2.0, 2.0)
    assert ev.bootstrap_interval(values) == ev.bootstrap_interval(values)  # the seed is fixed
    with pytest.raises(ValueError, match="at least 2"):
        ev.bootstrap_interval([])


def test_a_repetition_is_predicted_from_the_spread_of_runs():
    found = ev.replication_interval([10.0, 12.0, 14.0], 3)
    assert (found.mean, found.runs, found.new_runs) == (12.0, 3, 3)
    reach = 4.302653 * 2.0 * (1 / 3 + 1 / 3) ** 0.5  # Student's t with 2 degrees of freedom, 97.5 %; spread 2
    assert (found.low, found.high) == (pytest.approx(12 - reach, rel=1e-6), pytest.approx(12 + reach, rel=1e-6))
    one = ev.replication_interval([10.0, 12.0, 14.0], 1)
    assert one.high - 12 == pytest.approx(4.302653 * 2.0 * (4 / 3) ** 0.5, rel=1e-6)
    assert found.holds(found.low) and found.holds(12) and not found.holds(found.high + 1e-9)
    assert ev.replication_interval([5.0, 5.0], 2).low == 5.0 == ev.replication_interval([5.0, 5.0], 2).high


def test_a_prediction_holds_19_of_20_times():
    rng = np.random.default_rng(0)
    draws = rng.normal(3, 2, (2000, 5))
    held = [ev.replication_interval(row[:3], 2).holds(row[3:].mean()) for row in draws]
    assert 0.935 < np.mean(held) < 0.965


@pytest.mark.parametrize("values, new_runs", [([], 1), ([1.0], 1), ([1.0, 2.0], 0)])
def test_too_few_runs_predict_nothing(values, new_runs):
    with pytest.raises(ValueError, match=f"{len(values)} runs cannot predict {new_runs}: give at least 2 runs"):
        ev.replication_interval(values, new_runs)
